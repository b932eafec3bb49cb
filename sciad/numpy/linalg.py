"""``numpy.linalg``: solve, inv, norm."""

import numpy as np
from numpy.linalg import LinAlgError

from sciad.core.errors import ArgumentError, NoRuleError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import factor, reduce
from sciad.ops.elementwise import equal, real, sqrt, square, where
from sciad.ops.shape import reshape

__all__ = ["LinAlgError", "inv", "norm", "solve"]


@implements(np.linalg.solve)
def solve(a, b):
    return factor.solve(as_array(a), as_array(b))


@implements(np.linalg.inv)
def inv(a):
    a = as_array(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ArgumentError(f"inv: the matrix has shape {a.shape}, must be square{at_line()}")
    return factor.solve(a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    x = as_array(x)
    if axis is None and (ord is None or x.ndim == 2 and ord == "fro"):
        return _keep(_euclidean(reshape(x, (-1,)), (0,), False), x.ndim, keepdims)
    axes = reduce.axes_of(axis, x.ndim, "norm")
    if len(axes) == 1:
        return _vector(x, 2 if ord is None else ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix(x, ord, reduce.ordered_axes(axis, x.ndim, "norm"), keepdims)
    raise ArgumentError(f"norm: ord={ord!r} takes one or two axes, got shape {x.shape} and "
                        f"axis={axis}{at_line()}")


def _keep(value, ndim, keepdims):
    return reshape(value, (1,) * ndim) if keepdims else value


def _euclidean(x, axes, keepdims):
    """The root of the sum of squares; its derivative at 0 is 0, the least subgradient."""
    squares = real(x) ** 2 + x.imag ** 2 if x.dtype.kind == "c" else square(x)
    total = reduce.sum_(squares, axes, keepdims)
    zero = equal(total, 0.0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, total)))


def _vector(x, ord, axes, keepdims):
    if ord == 2:
        return _euclidean(x, axes, keepdims)
    size = abs(x)
    if ord == np.inf:
        return reduce.max_(size, axes, keepdims)
    if ord == -np.inf:
        return reduce.min_(size, axes, keepdims)
    if ord == 1:
        return reduce.sum_(size, axes, keepdims)
    if isinstance(ord, (int, float)) and ord > 1:
        return reduce.sum_(size ** ord, axes, keepdims) ** (1.0 / ord)
    raise NoRuleError(f"norm: ord={ord!r} of a vector has no rule in sciad{at_line()}")


def _matrix(x, ord, axes, keepdims):
    if ord in (None, "fro"):
        return _euclidean(x, axes, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise NoRuleError(f"norm: ord={ord!r} of a matrix has no rule in sciad{at_line()}")
    rows, columns = axes
    inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = reduce.sum_(abs(x), inner, keepdims=True)
    best = (reduce.max_ if ord > 0 else reduce.min_)(sums, outer, True)
    if keepdims:
        return best
    return reshape(best, tuple(n for k, n in enumerate(x.shape) if k not in axes))
