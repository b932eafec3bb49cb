"""Native forms of the elementwise operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciad.compiler.loops import Const, Expr, Op
from sciad.compiler.lower import LOWERINGS, lowering
from sciad.compiler.ranges import joined_cuts
from sciad.compiler.scalars import KIND, TABLE
from sciad.compiler.sinks import Once
from sciad.compiler.values import (
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    Value,
    Virtual,
    convert,
    cost_of,
    depth_of,
    fits,
    index,
    kind_of,
    size_of,
    unflatten_index,
)
from sciad.core.rules import Elementwise
from sciad.core.transforms import stop_p
from sciad.ops import elementwise as e
from sciad.ops import functions

SAME_NAME = {
    e.add: "add", e.subtract: "sub", e.multiply: "mul", e.divide: "div", e.negative: "neg",
    e.power: "pow", e.floor_divide: "floordiv", e.remainder: "mod", e.exp: "exp",
    e.expm1: "expm1", e.log: "log", e.log1p: "log1p", e.log2: "log2", e.log10: "log10",
    e.sqrt: "sqrt", e.sin: "sin", e.cos: "cos", e.tan: "tan", e.arcsin: "asin",
    e.arccos: "acos", e.arctan: "atan", e.sinh: "sinh", e.cosh: "cosh", e.tanh: "tanh",
    e.arctan2: "atan2", e.hypot: "hypot", e.sign: "sign", e.floor: "floor", e.ceil: "ceil",
    e.trunc: "trunc", e.rint: "rint", e.absolute: "abs", e.maximum: "max", e.minimum: "min",
    functions.arcsinh: "asinh", functions.arccosh: "acosh", functions.arctanh: "atanh",
    functions.cbrt: "cbrt", functions.copysign: "copysign", functions.fmod: "fmod",
}
COMPARISONS = {
    e.less: "lt", e.less_equal: "le", e.greater: "gt", e.greater_equal: "ge", e.equal: "eq",
    e.not_equal: "ne",
}
LOGIC = {e.logical_and: "and", e.logical_or: "or", e.logical_xor: "xor"}
FAST = ("add", "sub", "mul", "div")
"""Operations that `fastmath` lets LLVM reassociate and contract."""
TESTS = {e.isfinite: "isfinite", e.isnan: "isnan", e.isinf: "isinf"}


def apply(em: Emitter, step, operands: tuple[Value, ...],
          scalar: Callable[..., Expr], price: int = 1) -> list[Value]:
    """An elementwise function of values: entry by entry if small, else virtual. `price`: what the
    function costs, in additions."""
    shape, kind = step.out()
    if size_of(shape) <= SMALL:
        parts = [_spread(em, value, shape) for value in operands]
        return [Scalars(shape, kind, [em.let(scalar(*entries))
                                      for entries in zip(*parts, strict=True)])]
    different = list({id(value): value for value in operands}.values())
    ready = [_ready(em, value, shape) for value in different]
    places = [next(k for k, x in enumerate(different) if x is value) for value in operands]

    def combined(entries):
        return em.let(scalar(*(entries[k] for k in places)))

    def at(indices):
        return combined([em.at(v, indices[len(indices) - len(v.shape):]) for v in ready])

    flat = None
    if all(size_of(v.shape) == 1 or v.shape == shape and _has_flat(v) for v in ready):
        def flat(i):
            return combined([em.element(v, i if v.shape == shape else index(0)) for v in ready])
        flat = Once(em, flat, [v.flat for v in ready if type(v) is Virtual], depth_of(*ready))
    cuts = joined_cuts(shape, ready)
    at = Once(em, at, [v.at for v in ready if type(v) is Virtual and v.shape == shape],
              depth_of(*ready))
    return [Virtual(shape, kind, at, flat if cuts is None else None, depth=depth_of(*ready),
                    cost=cost_of(*ready) + price, cuts=cuts)]


def _has_flat(value: Value) -> bool:
    return type(value) is Buffer or type(value) is Virtual and value.flat is not None


def _ready(em: Emitter, value: Value, shape) -> Value:
    """An operand for reading in a loop: computed once if it is stretched."""
    value = em.addressable(value)
    if type(value) is Virtual and value.computed and value.shape != shape:
        return em.settled(value) if size_of(value.shape) == 1 else em.to_buffer(value)
    return value


def _spread(em: Emitter, value: Value, shape) -> list[Expr]:
    """The entries of an operand, broadcast to a small shape."""
    entries = em.scalars(value).entries
    if value.shape == shape:
        return entries
    if len(entries) == 1:
        return entries * size_of(shape)
    out = []
    for k in range(size_of(shape)):
        indices = unflatten_index(shape, index(k))[len(shape) - len(value.shape):]
        place = 0
        for extent, i in zip(value.shape, indices, strict=True):
            place = place * extent + (i.value if extent > 1 else 0)
        out.append(entries[place])
    return out


def _register_table():
    for primitive, name in SAME_NAME.items():
        LOWERINGS[primitive] = _arithmetic(name)
    for primitive, name in COMPARISONS.items():
        LOWERINGS[primitive] = _comparison(name)
    for primitive, name in LOGIC.items():
        LOWERINGS[primitive] = _logic(name)
    for primitive, name in TESTS.items():
        LOWERINGS[primitive] = _test(name)


ON_TRUTH = {"add": "or", "max": "or", "mul": "and", "min": "and"}
"""What arithmetic means on truth values."""

LIGHT = ("add", "sub", "mul", "neg", "abs", "max", "min", "and", "or")
"""Operations that cost next to nothing."""

WHOLE = ("floor", "ceil", "trunc", "abs")
"""Operations that leave integers (abs: truth values) as they are."""


def _arithmetic(name):
    def lower(em, step, *operands):
        kind = step.out()[1]
        _require_fitting(step, operands, kind)
        if name in WHOLE and kind[0] != "f" and (name != "abs" or kind[0] == "u" or kind == "i1"):
            return [operands[0]]
        return _of_kind(em, step, ON_TRUTH.get(name, name) if kind == "i1" else name, kind,
                        operands)

    def _of_kind(em, step, name, kind, operands):
        if name == "pow" and kind[0] != "f" and type(x := operands[1]) is Scalars and all(
                type(n) is Const and n.value >= 0 for n in x.entries):
            return apply(em, step, operands,
                         lambda a, n: _whole_power(em, convert(a, kind), n.value))
        if KIND[kind] not in TABLE[name].takes:
            raise Unsupported(f"no native form of {name} of {kind} ({step.equation.where})")
        if name == "pow":
            one = not operands[1].shape
            return apply(em, step, operands, lambda a, n: _float_power(
                em, convert(a, kind), convert(n, kind), one), 100)
        fast = em.fast and name in FAST and KIND[kind] == "f"
        return apply(em, step, operands,
                     lambda *xs: Op(name, tuple(convert(x, kind) for x in xs), fast),
                     1 if name in LIGHT else 100)

    return lower


def _require_fitting(step, operands, kind: str) -> None:
    """Refuse an operation in integers with a Python number that need not be one of them: NumPy
    looks at its value."""
    if kind[0] == "f" or kind in ("i1", "i64"):
        return
    for atom, x in zip(step.equation.inputs, operands, strict=True):
        if atom.type.weak and not all(type(entry) is Const and fits(entry.value, kind)
                                      for entry in getattr(x, "entries", (None,))):
            raise Unsupported(f"no native form of {step.equation.primitive} of {kind} and a Python "
                              f"integer ({step.equation.where})")


def common_kind(step) -> str:
    """The type in which operands are compared."""
    samples = [_sample(atom.type) for atom in step.equation.inputs]
    return kind_of(np.result_type(*samples))


def _sample(kind):
    return kind.dtype.type(0).item() if kind.weak else kind.dtype


def _comparison(name):
    def lower(em, step, x, y):
        kinds = {x.kind, y.kind}
        if "u64" in kinds and any(kind[0] == "i" and kind != "i1" for kind in kinds):
            return apply(em, step, (x, y), lambda a, b: _of_any_sign(em, name, a, b))
        kind = common_kind(step)
        if kind[0] in "iu" and any(atom.type.weak for atom in step.equation.inputs):
            kind = "i64" if "u64" not in kinds else kind
        return apply(em, step, (x, y),
                     lambda a, b: Op(name, (convert(a, kind), convert(b, kind))))

    return lower


NEGATIVE = {"lt": (True, False), "le": (True, False), "gt": (False, True), "ge": (False, True),
            "eq": (False, False), "ne": (True, True)}
"""Comparisons with a natural number of a negative one that stands on the left, on the right."""


def _of_any_sign(em: Emitter, name: str, a: Expr, b: Expr) -> Expr:
    """A comparison of integers of which one has a sign: exact, as NumPy's."""
    right = b.type[0] == "i"
    signed = convert(b if right else a, "i64")
    natural = Op(name, (convert(a, "u64"), convert(b, "u64")))
    return Op("select", (signed < 0, Const(NEGATIVE[name][right], "i1"), natural))


def _logic(name):
    def lower(em, step, x, y):
        return apply(em, step, (x, y),
                     lambda a, b: Op(name, (convert(a, "i1"), convert(b, "i1"))))

    return lower


def _test(name):
    def lower(em, step, x):
        if x.kind[0] != "f":
            return apply(em, step, (x,), lambda a: Const(name == "isfinite", "i1"))
        return apply(em, step, (x,), lambda a: Op(name, (a,)))

    return lower


@lowering(e.logical_not)
def _not(em, step, x):
    return apply(em, step, (x,), lambda a: ~convert(a, "i1"))


@lowering(e.square)
def _square(em, step, x):
    if x.kind == "i1":
        raise Unsupported(f"no native form of square of truth values ({step.equation.where})")
    fast = em.fast and x.kind[0] == "f"
    return apply(em, step, (x,), lambda a: Op("mul", (a, a), fast))


@lowering(e.reciprocal)
def _reciprocal(em, step, x):
    if x.kind[0] != "f":
        raise Unsupported(f"no native form of reciprocal of integers ({step.equation.where})")
    fast = em.fast
    return apply(em, step, (x,), lambda a: Op("div", (Const(1, a.type), a), fast), 100)


@lowering(e.imag)
def _imag(em, step, x):
    """Of a real number (complex ones have no native form yet)."""
    kind = step.out()[1]
    return apply(em, step, (x,), lambda a: Const(0, kind))


@lowering(e.integer_power)
def _integer_power(em, step, x):
    n, kind = step.params["n"], step.out()[1]
    if kind[0] != "f" and (n < 0 or kind == "i1"):
        raise Unsupported(f"no native form of the integer power {n} ({step.equation.where})")

    fast = em.fast and kind[0] == "f"

    def scalar(a):
        a = convert(a, kind)
        if n == 0:
            return Const(1, kind)
        if kind[0] == "f" and not 1 <= n <= 8:
            return _float_power(em, a, Const(n, kind))
        return _whole_power(em, a, n, fast)

    return apply(em, step, (x,), scalar, 2 if 1 <= n <= 3 else 100)


def _float_power(em: Emitter, a: Expr, n: Expr, one: bool = True) -> Expr:
    """a**n; by products and roots for exponents that programs use, with pow's results at zeros and
    infinities: pow(-0.0, 0.5) is 0.0 and pow(-inf, 0.5) is inf (C11, annex F.10.4.4), unlike the
    square root's. But NumPy takes the square root where there is `one` exponent for all, 0.5."""
    kind = a.type
    if type(n) is Const and n.value == 0.5 and one:
        return Op("sqrt", (a,))
    if type(n) is not Const and one:
        return Op("select", (n.eq(0.5), Op("sqrt", (a,)), em.let(Op("pow", (a, n)))))
    if type(n) is not Const or n.value not in (0, 1, 2, 3, 4, -1, 0.5, 1.5, -0.5):
        return Op("pow", (a, n))
    if n.value == -1:
        return Const(1, kind) / a
    if n.value == int(n.value):
        return _whole_power(em, a, int(n.value))
    root = em.let(Op("sqrt", (a,)) + 0.0)
    out = {0.5: root, 1.5: a * root + 0.0, -0.5: Const(1, kind) / root}[n.value]
    limit = Const(0.0 if n.value < 0 else np.inf, kind)
    return Op("select", (a.eq(-np.inf), limit, em.let(out)))


def _whole_power(em: Emitter, a: Expr, n: int, fast: bool = False) -> Expr:
    """a**n for n >= 0 by squaring."""
    if n == 0:
        return Const(1, a.type)
    power, out = a, None
    while n:
        if n & 1:
            out = power if out is None else em.let(Op("mul", (out, power), fast))
        n >>= 1
        power = em.let(Op("mul", (power, power), fast)) if n else power
    return out


@lowering(e.where)
def _where(em, step, c, x, y):
    kind = step.out()[1]
    return apply(em, step, (c, x, y), lambda t, a, b: Op(
        "select", (convert(t, "i1"), convert(a, kind), convert(b, kind))))


@lowering(e.conj, e.real, e.positive, stop_p)
def _identity(em, step, x):
    kind = step.out()[1]
    return [x] if x.kind == kind else apply(em, step, (x,), lambda a: convert(a, kind))


@lowering(e.astype)
def _astype(em, step, x):
    kind = step.out()[1]
    return [x] if x.kind == kind else apply(em, step, (x,), lambda a: convert(a, kind))


_register_table()
ELEMENTWISE = [p for p in LOWERINGS if isinstance(p, Elementwise)]
