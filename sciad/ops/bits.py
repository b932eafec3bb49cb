"""Bits of integers: and, or, xor, not, shifts. Integers carry no derivative, so these have none.

They stand beside the logic of truth values in `sciad.ops.elementwise`; NumPy gives both meanings
to one name.
"""

import numpy as np

from sciad.core.errors import DTypeError, at_line
from sciad.core.rules import ElementwiseConstant

bitwise_and = ElementwiseConstant("bitwise_and", np.bitwise_and)
bitwise_or = ElementwiseConstant("bitwise_or", np.bitwise_or)
bitwise_xor = ElementwiseConstant("bitwise_xor", np.bitwise_xor)
invert = ElementwiseConstant("invert", np.invert)
left_shift = ElementwiseConstant("left_shift", np.left_shift)
right_shift = ElementwiseConstant("right_shift", np.right_shift)


def either(name, logical, bitwise):
    """The operation that NumPy calls `name`: of truth values, of integers, or an error."""

    def rule(*operands):
        kinds = {np.dtype(getattr(x, "dtype", type(x))).kind for x in operands}
        if logical is not None and kinds == {"b"}:
            return logical(*operands)
        if not kinds <= set("biu"):
            raise DTypeError(f"{name} takes integers or truth values, got "
                             f"{' and '.join(_named(x) for x in operands)}{at_line()}; for truth "
                             "values use comparisons or np.logical_and and the like")
        return bitwise(*operands)

    return rule


def _named(x):
    return str(getattr(x, "dtype", type(x).__name__))
