"""Native forms of random bits and of the draws that carry an implicit derivative."""

from __future__ import annotations

from sciad.compiler.loops import Const, Expr, Op
from sciad.compiler.lower import lowering
from sciad.compiler.lower_elementwise import apply
from sciad.compiler.values import Emitter, convert
from sciad.random.gamma import beta_draw, gamma_draw
from sciad.random.threefry import PARITY, ROTATIONS, ROUNDS, threefry, unit


def _word(value: int) -> Const:
    return Const(value, "i32")


def _long(value: int) -> Const:
    return Const(value, "i64")


def _words(em: Emitter, x: Expr) -> tuple[Expr, Expr]:
    x = em.let(convert(x, "i64"))
    return (em.let(Op("i32", (Op("shr", (x, _long(32))),))), em.let(Op("i32", (x,))))


def _rotated(em: Emitter, x: Expr, places: int) -> Expr:
    """The shift to the right keeps the sign, which the mask takes away."""
    low = Op("and", (Op("shr", (x, _word(32 - places))), _word(2**places - 1)))
    return em.let(Op("or", (Op("shl", (x, _word(places))), low)))


@lowering(threefry)
def _threefry(em, step, key, counter):
    def scalar(k, c):
        k0, k1 = _words(em, k)
        keys = (k0, k1, em.let(Op("xor", (Op("xor", (k0, k1)), _word(PARITY)))))
        x0, x1 = (em.let(a + b) for a, b in zip(_words(em, c), keys, strict=False))
        for r in range(ROUNDS):
            x0 = em.let(x0 + x1)
            x1 = em.let(Op("xor", (_rotated(em, x1, ROTATIONS[r % 8]), x0)))
            if r % 4 == 3:
                i = r // 4 + 1
                x0 = em.let(x0 + keys[i % 3])
                x1 = em.let(x1 + keys[(i + 1) % 3] + _word(i))
        low = Op("and", (Op("i64", (x1,)), _long(2**32 - 1)))
        return Op("or", (Op("shl", (Op("i64", (x0,)), _long(32))), low))

    return apply(em, step, (key, counter), scalar)


@lowering(unit)
def _unit(em, step, x):
    def scalar(bits_):
        whole = Op("and", (Op("shr", (bits_, _long(12))), _long(2**52 - 1)))
        return (Op("f64", (whole,)) + Const(0.5, "f64")) * Const(2.0**-52, "f64")

    return apply(em, step, (x,), scalar)


@lowering(gamma_draw, beta_draw)
def _draw(em, step, draw, *shapes):
    """The draw itself; its shape parameters only give it a derivative."""
    kind = step.out()[1]
    return apply(em, step, (draw, *shapes), lambda x, *_: convert(x, kind))
