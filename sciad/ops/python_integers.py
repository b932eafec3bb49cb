"""Python's integers in a recorded program: where 64 bits do not do what Python does, the program
stops, and the call is repeated in Python.

A recorded Python int has a weak type. Its results are checked outside of loops, whose indices
would pay for it: 2**62 * 4 does not fit, 5 // 0 raises. NumPy's integers wrap, as they always do.
"""

from collections.abc import Callable

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import IntegerError, at_line
from sciad.core.structure import Control, Frozen
from sciad.ops import bits
from sciad.ops import elementwise as e
from sciad.ops.control.stopping import check_p

_LEAST = -2**63
_BEYOND = 2.0**63 * (1 - 2.0**-50)
"""Below this, a product rounded to a float tells that the exact one has 64 bits."""


def _float(x):
    return x.astype(np.float64) if isinstance(x, Array) else float(x)


def _sum_fits(a, b):
    total = e.add(a, b)
    both = bits.bitwise_and(bits.bitwise_xor(a, total), bits.bitwise_xor(b, total))
    return e.greater_equal(both, 0)  # the sum has the sign of a or of b


def _difference_fits(a, b):
    rest = e.subtract(a, b)
    both = bits.bitwise_and(bits.bitwise_xor(a, b), bits.bitwise_xor(a, rest))
    return e.greater_equal(both, 0)


def _product_fits(a, b):
    return e.less(e.absolute(e.multiply(_float(a), _float(b))), _BEYOND)


def _power_fits(a, n):
    return e.logical_and(e.greater_equal(n, 0),
                         e.less(e.absolute(e.power(_float(a), _float(n))), _BEYOND))


def _shift_fits(a, n):
    inside = e.logical_and(e.greater_equal(n, 0), e.less(n, 64))
    return e.logical_and(inside, e.equal(bits.right_shift(bits.left_shift(a, n), n), a))


def _divides(a, b):
    if type(b) is int and b not in (0, -1):
        return True
    least = e.logical_and(e.equal(a, _LEAST), e.equal(b, -1))
    return e.logical_and(e.not_equal(b, 0), e.logical_not(least))


CONDITIONS: dict = {
    e.add: _sum_fits, e.subtract: _difference_fits, e.multiply: _product_fits,
    e.power: _power_fits, bits.left_shift: _shift_fits,
    e.square: lambda a: _product_fits(a, a),
    e.negative: lambda a: e.not_equal(a, _LEAST), e.absolute: lambda a: e.not_equal(a, _LEAST),
    e.floor_divide: _divides, e.remainder: _divides, e.divide: lambda a, b: e.not_equal(b, 0),
}
"""When an operation on Python's integers is that of 64 bits."""


def _is_python_int(x) -> bool:
    if type(x) is int:
        return True
    kind = getattr(x, "_value", None)
    return bool(getattr(kind, "weak", False)) and kind.dtype.kind == "i"


def _condition(primitive, params: dict) -> Callable | None:
    if primitive is e.integer_power:
        return lambda a: _power_fits(a, params["n"])
    return CONDITIONS.get(primitive)


def guarded(primitive, args: tuple, params: dict) -> tuple:
    """The operands of a recorded operation, the first one once it is known that the result is
    Python's."""
    condition = _condition(primitive, params)
    if condition is None or not all(map(_is_python_int, args)):
        return args
    fits = condition(*args)
    if not isinstance(fits, Array) and fits:
        return args
    k = next(k for k, x in enumerate(args) if isinstance(x, Array))
    error = IntegerError("an integer of Python's does not fit into 64 bits, or is divided by zero"
                         + at_line())
    checked = check_p(args[k], fits, exception=Frozen(error))
    return (*args[:k], checked, *args[k + 1:])


Control.guard = guarded
