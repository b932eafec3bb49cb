"""What the control functions do with values: operands, copies, rows, common types.

A loop or a branch is functional: its operands, carries and rows are values of its own. A body may
write into them; the caller's arrays stay as they are, in eager mode as in a compiled function.
"""

import math
from typing import Any

import numpy as np

from sciad.core.array import Array, current, plain
from sciad.core.backend import beside, home_of, is_array, module_of
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type, shape_of, type_of
from sciad.core.patterns import IDENTITY
from sciad.core.primitive import active, bind, pack
from sciad.core.rules import Linear
from sciad.ops.elementwise import astype
from sciad.ops.indexing import eager_read, read_p, reads_on_device
from sciad.ops.shape import concatenate, reshape, stack

_NUMBERS = (bool, int, float, complex)


def packed(x: Any) -> Any:
    """An object array of followed numbers as one Array; anything else unchanged."""
    return pack(x) if isinstance(x, np.ndarray) and x.dtype.hasobject else x


def operand(x: Any, name: str) -> Any:
    """A leaf that a recorded loop or branch carries: a number or an array."""
    x = packed(x)
    if isinstance(x, (Array, np.generic)) or is_array(x):
        return x
    if isinstance(x, _NUMBERS):
        return np.asarray(x)[()]
    raise ArgumentError(f"{name}: control flow carries numbers and arrays, got a "
                        f"{type(x).__name__}{at_line()}; let the function close over it")


def own(x: Any) -> Any:
    """A value that the body may write into without anybody else seeing it."""
    x = packed(x)
    if type(x) is Array:
        x = current(x)
        return Array(x._value, x._interp, x._node)
    return _fresh(x.copy()) if is_array(x) else x


def _fresh(x: Any) -> Any:
    """A new plain array; inside a transform floats become an Array, which takes followed values
    as it does when recorded."""
    return Array(x) if x.dtype.kind in "fc" and x.ndim and active() else x


def row(x: Any, k: int, axis: int = 0) -> Any:
    """Entry `k` along an axis, as a value of its own."""
    place = (slice(None),) * axis + (k,)
    if type(x) is not Array:
        entry = x[place]
        return _fresh(entry.copy()) if is_array(entry) else entry
    x = current(x)
    interp = x._interp
    if interp is not None and (interp.fast and isinstance(x._value, np.ndarray)
                               or reads_on_device(x)):
        return eager_read(x, place, [])
    return bind(read_p, (x,), {"spec": place})


def stacked(rows: list, axis: int, name: str) -> Any:
    """Results of an eager loop as one array; Python numbers among them adapt to the others."""
    rows = [packed(x) for x in rows]
    for x in rows:
        if isinstance(x, (str, bytes)) or not hasattr(x, "__mul__"):
            raise ArgumentError(f"{name}: the function returned a {type(x).__name__}; only "
                                f"numbers and arrays can be stacked{at_line()}")
    kinds = {getattr(x, "dtype", type(x)) for x in rows}
    kinds = {t if isinstance(t, np.dtype) or t in _NUMBERS else np.dtype(object) for t in kinds}
    kind = np.result_type(*(t(1) if isinstance(t, type) else t for t in kinds))
    shapes = list(dict.fromkeys(map(shape_of, rows)))
    if len(shapes) > 1:
        first = next(k for k, x in enumerate(rows) if shape_of(x) == shapes[1])
        raise ArgumentError(f"{name}: results differ in shape, {shapes[0]} in iteration 0 and "
                            f"{shapes[1]} in iteration {first}{at_line()}")
    if kind.hasobject:
        return np.stack([np.asarray(x, object) for x in rows], axis)
    rows = [np.asarray(x, kind) if not hasattr(x, "dtype") else x if x.dtype == kind
            else x.astype(kind) for x in rows]
    return _stacked([beside(x, *rows) for x in rows] if home_of(*rows) else rows, axis)


_AT_ONCE = 64


def _stacked(rows: list, axis: int) -> Any:
    """The rows joined in groups, and the groups in groups: the adjoint of joining many pieces at
    once adds up the lengths of those before each."""
    if not any(type(x) is Array for x in rows):
        return _fresh(module_of(*rows).stack(rows, axis))
    pieces = [stack(rows[k:k + _AT_ONCE], axis) for k in range(0, len(rows), _AT_ONCE)]
    while len(pieces) > 1:
        pieces = [concatenate(pieces[k:k + _AT_ONCE], axis)
                  for k in range(0, len(pieces), _AT_ONCE)]
    return pieces[0]


def truth(x: Any, purpose: str) -> bool:
    """The answer to a condition, a scalar that has data."""
    x = packed(x)
    _require_one(x, purpose)
    return bool(plain(x, purpose))


def recorded_truth(x: Any, purpose: str) -> Any:
    """A condition as a recorded bool scalar."""
    x = packed(x)
    _require_one(x, purpose)
    if not isinstance(x, Array):
        return np.bool_(x)
    x = reshape(x, ()) if x.shape else x
    return x if x.dtype == np.bool_ else x != 0


def _require_one(x, purpose):
    if math.prod(shape_of(x)) != 1:
        raise ArgumentError(f"{purpose} must be one truth value, got an array of shape "
                            f"{shape_of(x)}{at_line()}; use np.any or np.all")


# --- types ----------------------------------------------------------------------------------------


weaken_p = Linear("weaken", lambda x: x, lambda x: Type((), x.dtype, weak=True), lambda g, x: g,
                  IDENTITY)
"""A scalar that adapts its dtype to its partners, as a Python number does."""


def weakened(xs: list, types: list[Type]) -> list:
    """Recorded values, those of weak types adapting to their partners."""
    return [weaken_p(x) if t.weak else x for x, t in zip(xs, types, strict=True)]


def joined(a: Type, b: Type) -> Type:
    """The type that holds values of both, as NumPy promotes; they must have one shape."""
    if a == b:
        return a
    samples = [_one(t) if t.weak else t.dtype for t in (a, b)]
    return Type(a.shape, np.result_type(*samples), a.weak and b.weak)


def _one(kind: Type):
    return kind.dtype.type(1).item()


def as_type(x: Any, kind: Type) -> Any:
    """A value in the dtype of a type."""
    return x if type_of(x).dtype == kind.dtype else astype(x, dtype=kind.dtype)
