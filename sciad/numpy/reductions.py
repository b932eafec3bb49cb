"""Sums, means, extrema and the like over axes, in NumPy's signatures."""

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import reduce, running
from sciad.ops.shape import broadcast_to, concatenate, reshape


def _cast(a, dtype):
    a = as_array(a)
    return a if dtype is None else a.astype(dtype)


def _flag(keepdims) -> bool:
    return keepdims is not np._NoValue and bool(keepdims)


@implements(np.sum)
def sum(a, axis=None, dtype=None, *, keepdims=False):
    return reduce.sum_(_cast(a, dtype), axis, _flag(keepdims))


@implements(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False):
    return reduce.mean(_cast(a, dtype), axis, _flag(keepdims))


@implements(np.prod)
def prod(a, axis=None, dtype=None, *, keepdims=False):
    return reduce.prod(_cast(a, dtype), axis, _flag(keepdims))


@implements(np.cumsum)
def cumsum(a, axis=None, dtype=None):
    return reduce.cumsum(_cast(a, dtype), axis)


@implements(np.cumprod)
def cumprod(a, axis=None, dtype=None):
    return running.cumprod(_cast(a, dtype), axis)


@implements(np.cumulative_sum)
def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    return _cumulative(reduce.cumsum, _cast(x, dtype), axis, include_initial, np.zeros)


@implements(np.cumulative_prod)
def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    return _cumulative(running.cumprod, _cast(x, dtype), axis, include_initial, np.ones)


def _cumulative(function, x, axis, include_initial, start):
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"cumulative_sum and cumulative_prod need an axis for shape "
                                f"{x.shape}{at_line()}")
        axis = 0
    out = function(x, axis)
    if not include_initial:
        return out
    (axis,) = reduce.axes_of(axis, x.ndim, "cumulative_sum")
    shape = x.shape[:axis] + (1,) + x.shape[axis + 1:]
    return concatenate([start(shape, out.dtype), out], axis)


@implements(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    a, keepdims = as_array(a), _flag(keepdims)
    if weights is None:
        out = reduce.mean(a, axis, keepdims)
        return (out, np.full(out.shape, a.size / max(out.size, 1))[()]) if returned else out
    weights = _weights(as_array(weights), a, axis)
    total = reduce.sum_(weights, axis, keepdims)
    out = reduce.sum_(a * weights, axis, keepdims) / total
    return (out, total) if returned else out


def _weights(weights, a, axis):
    """Weights of the shape of `a`; a vector of them lies along the one axis."""
    if weights.shape == a.shape:
        return weights
    axes = reduce.axes_of(axis, a.ndim, "average")
    if axis is None or weights.shape != tuple(a.shape[k] for k in axes):
        raise ArgumentError(f"average: weights of shape {weights.shape} for an array of shape "
                            f"{a.shape}, axis={axis}{at_line()}")
    shape = tuple(n if k in axes else 1 for k, n in enumerate(a.shape))
    return broadcast_to(reshape(weights, shape), a.shape)


@implements(np.var)
def var(a, axis=None, *, ddof=0, keepdims=False):
    return reduce.var(as_array(a), axis, ddof, _flag(keepdims))


@implements(np.std)
def std(a, axis=None, *, ddof=0, keepdims=False):
    return reduce.std(as_array(a), axis, ddof, _flag(keepdims))


@implements(np.max)
def max(a, axis=None, *, keepdims=False):
    return reduce.max_(as_array(a), axis, _flag(keepdims))


@implements(np.min)
def min(a, axis=None, *, keepdims=False):
    return reduce.min_(as_array(a), axis, _flag(keepdims))


amax = implements(np.amax)(max.__wrapped__)
amin = implements(np.amin)(min.__wrapped__)


@implements(np.any)
def any(a, axis=None, *, keepdims=False):
    return reduce.any_(as_array(a), axis, _flag(keepdims))


@implements(np.all)
def all(a, axis=None, *, keepdims=False):
    return reduce.all_(as_array(a), axis, _flag(keepdims))


@implements(np.argmax)
def argmax(a, axis=None, *, keepdims=False):
    return reduce.argmax(as_array(a), axis, _flag(keepdims))


@implements(np.argmin)
def argmin(a, axis=None, *, keepdims=False):
    return reduce.argmin(as_array(a), axis, _flag(keepdims))
