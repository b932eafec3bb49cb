"""Sums, means, extrema and the like over axes, in NumPy's signatures."""

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import reduce, running
from sciad.ops.shape import broadcast_to, concatenate, reshape


def _cast(a, dtype):
    a = as_array(a)
    return a if dtype is None else a.astype(dtype)


def _in(dtype, out):
    """A result in the dtype asked for."""
    return out if dtype is None else out.astype(dtype)


def _flag(keepdims) -> bool:
    return keepdims is not np._NoValue and bool(keepdims)


def chosen(a, where, blank):
    """`a` where `where` holds, `blank` elsewhere."""
    return a if where is True or where is np._NoValue else e.where(as_array(where), a, blank)


def started(combine, out, initial):
    """A reduced value, with the one that the reduction starts from."""
    return out if not given(initial) else combine(out, in_dtype_of(out, initial))


def given(initial) -> bool:
    return initial is not None and initial is not np._NoValue


def in_dtype_of(x, initial):
    """What a reduction starts from, as NumPy takes it: in the dtype of the reduction."""
    if isinstance(initial, Array):
        return initial.astype(x.dtype)
    return np.full((), initial, x.dtype).item()


@implements(np.sum)
def sum(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    a = chosen(_cast(a, dtype), where, 0)
    return started(e.add, _in(dtype, reduce.sum_(a, axis, _flag(keepdims))), initial)


@implements(np.prod)
def prod(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    a = chosen(_cast(a, dtype), where, 1)
    return started(e.multiply, _in(dtype, reduce.prod(a, axis, _flag(keepdims))), initial)


@implements(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    a, keepdims = as_array(a), _flag(keepdims)
    if where is True and dtype is None:
        return reduce.mean(a, axis, keepdims)
    wide = reduce.mean_dtype(a.dtype) if dtype is None else dtype
    total = sum(a, axis, wide, keepdims=keepdims, where=where)
    out = quotient(total, _count(a, axis, keepdims, where))
    return out.astype(a.dtype) if dtype is None and a.dtype.kind in "fc" else out


def quotient(total, count):
    """A sum over a number of entries, in the dtype of the sum."""
    return (total / count).astype(total.dtype)


def _count(a, axis, keepdims, where):
    """How many entries count."""
    if where is True:
        return reduce.count_along(a, axis, "mean")
    return reduce.sum_(broadcast_to(as_array(where), a.shape), axis, keepdims)


@implements(np.cumsum, fresh=True)
def cumsum(a, axis=None, dtype=None):
    return _in(dtype, reduce.cumsum(_cast(a, dtype), axis))


@implements(np.cumprod, fresh=True)
def cumprod(a, axis=None, dtype=None):
    return _in(dtype, running.cumprod(_cast(a, dtype), axis))


@implements(np.cumulative_sum)
def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    return _in(dtype, _cumulative(reduce.cumsum, _cast(x, dtype), axis, include_initial, np.zeros))


@implements(np.cumulative_prod)
def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    return _in(dtype,
               _cumulative(running.cumprod, _cast(x, dtype), axis, include_initial, np.ones))


def _cumulative(function, x, axis, include_initial, start):
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"cumulative_sum and cumulative_prod need an axis for shape "
                                f"{x.shape}{at_line()}")
        axis = 0
    out = function(x, axis)
    if not include_initial:
        return out
    axis = reduce.one_axis(axis, x.ndim, "cumulative_sum")
    shape = x.shape[:axis] + (1,) + x.shape[axis + 1:]
    return concatenate([start(shape, out.dtype), out], axis)


@implements(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    a, keepdims = as_array(a), _flag(keepdims)
    if weights is None:
        out = reduce.mean(a, axis, keepdims)
        count = np.full(out.shape, reduce.count_along(a, axis, "average"), out.dtype)[()]
        return (out, count) if returned else out
    weights = _weights(as_array(weights), a, axis)
    least = (np.float64,) if a.dtype.kind in "biu" else ()
    dtype = np.result_type(a.dtype, weights.dtype, *least)
    a, weights = a.astype(dtype), weights.astype(dtype)
    total = reduce.sum_(weights, axis, keepdims)
    _require_weight(total)
    out = reduce.sum_(a * weights, axis, keepdims) / total
    return (out, total) if returned else out


def _require_weight(total):
    """Refuse weights that add up to zero, as NumPy does, where their values are known."""
    if not (isinstance(total, Array) and not has_data(total)) and np.any(plain(total) == 0.0):
        raise ZeroDivisionError("average: the weights sum to zero, so they can't be normalized"
                                f"{at_line()}")


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
    a, keepdims = as_array(a), _flag(keepdims)
    ddof = _correction(ddof, correction)
    if where is True and mean is np._NoValue and dtype is None:
        return reduce.var(a, axis, ddof, keepdims)
    about = as_array(mean) if mean is not np._NoValue else _mean(
        a, axis, dtype, keepdims=True, where=where)
    centred = chosen(a - about, where, 0)
    squares = abs(centred) ** 2 if a.dtype.kind == "c" else centred * centred
    total = sum(squares, axis, dtype, keepdims=keepdims)
    return quotient(total, reduce.freedom(_count(a, axis, keepdims, where), ddof))


_mean = mean


@implements(np.std)
def std(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
        correction=np._NoValue):
    if where is True and mean is np._NoValue and dtype is None:
        return reduce.std(as_array(a), axis, _correction(ddof, correction), _flag(keepdims))
    square = var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean,
                 correction=correction)
    return e.sqrt(square).astype(square.dtype)


def extremum(function, combine, a, axis, keepdims, initial, where):
    """max, min and the like: with ``where=`` an initial value stands for what is left out."""
    if where is not True and where is not np._NoValue:
        if not given(initial):
            raise ArgumentError(f"{combine.name}: where= needs initial=, the value for lines "
                                f"without entries{at_line()}")
        a = chosen(a, where, in_dtype_of(a, initial))
    if not a.size and given(initial):
        axes = reduce.reduced_axes(axis, a.ndim, combine.name)
        kept = tuple(1 if k in axes else n for k, n in enumerate(a.shape))
        shape = kept if keepdims else tuple(n for k, n in enumerate(kept) if k not in axes)
        return broadcast_to(as_array(in_dtype_of(a, initial)).astype(a.dtype), shape)
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
