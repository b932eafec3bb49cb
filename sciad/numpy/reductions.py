"""Sums, means, extrema and the like over axes, in NumPy's signatures."""

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import reduce, running
from sciad.ops.shape import broadcast_to, concatenate, reshape


def _cast(a, dtype):
    a = as_array(a)
    return a if dtype is None else a.astype(dtype)


def _flag(keepdims) -> bool:
    return keepdims is not np._NoValue and bool(keepdims)


def chosen(a, where, blank):
    """`a` where `where` holds, `blank` elsewhere."""
    return a if where is True or where is np._NoValue else e.where(as_array(where), a, blank)


def started(combine, out, initial):
    """A reduced value, with the one that the reduction starts from."""
    return out if initial is None or initial is np._NoValue else combine(out, initial)


@implements(np.sum)
def sum(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    a = chosen(_cast(a, dtype), where, 0)
    return started(e.add, reduce.sum_(a, axis, _flag(keepdims)), initial)


@implements(np.prod)
def prod(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    a = chosen(_cast(a, dtype), where, 1)
    return started(e.multiply, reduce.prod(a, axis, _flag(keepdims)), initial)


@implements(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    a, keepdims = _cast(a, dtype), _flag(keepdims)
    if where is True:
        return reduce.mean(a, axis, keepdims)
    return reduce.sum_(chosen(a, where, 0), axis, keepdims) / _count(a, axis, keepdims, where)


def _count(a, axis, keepdims, where):
    """How many entries count."""
    where = broadcast_to(as_array(where), a.shape)
    return reduce.sum_(where, axis, keepdims).astype(np.empty(0, a.dtype).real.dtype)


@implements(np.cumsum, fresh=True)
def cumsum(a, axis=None, dtype=None):
    return reduce.cumsum(_cast(a, dtype), axis)


@implements(np.cumprod, fresh=True)
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


def _correction(ddof, correction):
    return ddof if correction is np._NoValue else correction


@implements(np.var)
def var(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
        correction=np._NoValue):
    a, keepdims = _cast(a, dtype), _flag(keepdims)
    ddof = _correction(ddof, correction)
    if where is True and mean is np._NoValue:
        return reduce.var(a, axis, ddof, keepdims)
    about = _mean(a, axis, keepdims=True, where=where) if mean is np._NoValue else as_array(mean)
    centred = chosen(a - about, where, 0.0)
    squares = abs(centred) ** 2 if a.dtype.kind == "c" else centred * centred
    return reduce.sum_(squares, axis, keepdims) / (_count(a, axis, keepdims, where) - ddof)


_mean = mean


@implements(np.std)
def std(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
        correction=np._NoValue):
    if where is True and mean is np._NoValue:
        return reduce.std(_cast(a, dtype), axis, _correction(ddof, correction), _flag(keepdims))
    return e.sqrt(var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean,
                      correction=correction))


def extremum(function, combine, a, axis, keepdims, initial, where):
    """max, min and the like: with ``where=`` an initial value stands for what is left out."""
    if where is not True and where is not np._NoValue:
        if initial is np._NoValue or initial is None:
            raise ArgumentError(f"{combine.name}: where= needs initial=, the value for lines "
                                f"without entries{at_line()}")
        a = chosen(a, where, initial)
    if not a.size and initial is not np._NoValue and initial is not None:
        axes = reduce.axes_of(axis, a.ndim, combine.name)
        kept = tuple(1 if k in axes else n for k, n in enumerate(a.shape))
        shape = kept if keepdims else tuple(n for k, n in enumerate(kept) if k not in axes)
        return broadcast_to(as_array(initial), shape)
    return started(combine, function(a, axis, keepdims), initial)


@implements(np.max)
def max(a, axis=None, *, keepdims=False, initial=np._NoValue, where=True):
    return extremum(reduce.max_, e.maximum, as_array(a), axis, _flag(keepdims), initial, where)


@implements(np.min)
def min(a, axis=None, *, keepdims=False, initial=np._NoValue, where=True):
    return extremum(reduce.min_, e.minimum, as_array(a), axis, _flag(keepdims), initial, where)


amax = implements(np.amax)(max.__wrapped__)
amin = implements(np.amin)(min.__wrapped__)


@implements(np.any)
def any(a, axis=None, *, keepdims=False, where=True):
    return reduce.any_(chosen(as_array(a), where, False), axis, _flag(keepdims))


@implements(np.all)
def all(a, axis=None, *, keepdims=False, where=True):
    return reduce.all_(chosen(as_array(a), where, True), axis, _flag(keepdims))


@implements(np.argmax)
def argmax(a, axis=None, *, keepdims=False):
    return reduce.argmax(as_array(a), axis, _flag(keepdims))


@implements(np.argmin)
def argmin(a, axis=None, *, keepdims=False):
    return reduce.argmin(as_array(a), axis, _flag(keepdims))
