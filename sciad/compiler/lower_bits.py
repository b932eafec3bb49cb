"""Native forms of the operations on the bits of integers."""

from __future__ import annotations

from sciad.compiler.loops import Const, Op
from sciad.compiler.lower import LOWERINGS
from sciad.compiler.lower_elementwise import apply
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import convert
from sciad.ops import bits

WIDTH = {name: 8 * dtype.itemsize for name, dtype in DTYPES.items()}


def _bitwise(name):
    def lower(em, step, *operands):
        kind = step.out()[1]
        return apply(em, step, operands,
                     lambda *xs: Op(name, tuple(convert(x, kind) for x in xs)))

    return lower


def _shift(name):
    """NumPy's shift: by the width or more (or by less than 0) nothing remains but the sign."""

    def lower(em, step, x, places):
        kind = step.out()[1]
        last = Const(WIDTH[kind] - 1, kind)

        def scalar(a, n):
            a, n = convert(a, kind), convert(n, kind)
            inside = Op("and", (Op("ge", (n, Const(0, kind))), Op("le", (n, last))))
            if name == "shr" and kind[0] == "u":
                shifted = Op("shr", (a, Op("select", (inside, n, last))))
                return Op("select", (inside, shifted, Const(0, kind)))
            if name == "shr":
                return Op("shr", (a, Op("select", (inside, n, last))))
            shifted = Op("shl", (a, Op("select", (inside, n, Const(0, kind)))))
            return Op("select", (inside, shifted, Const(0, kind)))

        return apply(em, step, (x, places), scalar)

    return lower


for _primitive, _name in ((bits.bitwise_and, "and"), (bits.bitwise_or, "or"),
                          (bits.bitwise_xor, "xor"), (bits.invert, "not")):
    LOWERINGS[_primitive] = _bitwise(_name)
LOWERINGS[bits.left_shift] = _shift("shl")
LOWERINGS[bits.right_shift] = _shift("shr")
