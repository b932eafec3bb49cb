"""Quantiles by every method of NumPy, differentiable by the data and, where it moves them, by q.

A quantile lies between two neighbours of the sorted entries x_0 <= ... <= x_{n-1}, at a place p
that depends on n and q alone: x_k + (p - k) (x_{k+1} - x_k) with k the whole part of p. The
continuous methods (Hyndman and Fan, "Sample quantiles in statistical packages", 1996) have

    p = q (n + 1 - a - b) + a - 1

the others are steps in q; their places are those that NumPy finds for the entries 0, 1, ..., n-1.
"""

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.backend import asnumpy, beside
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import type_of
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.reductions import _flag
from sciad.numpy.weighted import quantile_of_lines, weights_like
from sciad.ops import elementwise as e
from sciad.ops import reduce, sorting
from sciad.ops.indexing import read
from sciad.ops.reduce import sum_
from sciad.ops.shape import reshape, transpose_p

CONTINUOUS = {
    "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "linear": (1.0, 1.0), "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (0.375, 0.375),
}
"""The parameters (a, b)."""

PICKS = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
"""Methods whose quantiles are entries."""

STEPS = (*PICKS, "averaged_inverted_cdf", "midpoint")


@implements(np.quantile)
def quantile(a, q, axis=None, keepdims=False, *, method="linear", weights=None):
    return _quantile("quantile", a, q, 1.0, axis, keepdims, method, weights)


@implements(np.percentile)
def percentile(a, q, axis=None, keepdims=False, *, method="linear", weights=None):
    return _quantile("percentile", a, q, 100.0, axis, keepdims, method, weights)


@implements(np.median)
def median(a, axis=None, keepdims=False):
    return _quantile("median", a, 0.5, 1.0, axis, keepdims, "linear")


@implements(np.nanquantile)
def nanquantile(a, q, axis=None, keepdims=False, *, method="linear", weights=None):
    return _quantile("nanquantile", a, q, 1.0, axis, keepdims, method, weights)


@implements(np.nanpercentile)
def nanpercentile(a, q, axis=None, keepdims=False, *, method="linear", weights=None):
    return _quantile("nanpercentile", a, q, 100.0, axis, keepdims, method, weights)


@implements(np.nanmedian)
def nanmedian(a, axis=None, keepdims=False):
    return _quantile("nanmedian", a, 0.5, 1.0, axis, keepdims, "linear")


def _quantile(name, a, q, whole, axis, keepdims, method, weights=None):
    a = as_array(a)
    dtype, q = _common(a.dtype, q), as_array(q)
    kind = q.dtype if q.dtype.kind == "f" else np.dtype(float)
    if a.dtype.kind == "c":
        raise ArgumentError(f"{name}: complex numbers have no order{at_line()}")
    if method not in CONTINUOUS and method not in STEPS:
        raise ArgumentError(f"{name}: method={method!r}, must be one of "
                            f"{', '.join((*CONTINUOUS, *STEPS))}{at_line()}")
    if weights is not None and method != "inverted_cdf":
        raise ArgumentError(f"{name}: weights= needs method='inverted_cdf', as in NumPy"
                            f"{at_line()}")
    if not isinstance(q, Array) or method in STEPS and weights is None:
        q = _checked(plain(q, f"the q of np.{name}"), whole)
    elif has_data(q):
        _checked(plain(q), whole)
    axes = reduce.axes_of(axis, a.ndim, name)
    if name in ("median", "nanmedian") and not all(a.shape[k] for k in axes):
        return reduce.mean(a.astype(dtype), axes, _flag(keepdims))  # of nothing, as NumPy has it
    lines = _lines(a, axes, name)
    if weights is not None:
        weights = _lines(weights_like(a, weights, axis, name), axes, name)
        out = quantile_of_lines(lines, weights, q / whole, kind, name)
        return _shaped(out, a.shape, q.shape, axes, _flag(keepdims))
    ranked = sorting.sort(lines, 0)
    if method not in PICKS and ranked.dtype.kind != "f":
        ranked = ranked.astype(dtype)
    between = _middle if name in ("median", "nanmedian") else _between
    find = _of_numbers if name.startswith("nan") else _of_lines
    q = beside(q / whole, ranked) if method in CONTINUOUS else q / whole
    out = find(ranked, q, method, dtype, between)
    return _shaped(out, a.shape, q.shape, axes, _flag(keepdims))


def _common(dtype, q):
    """The dtype of a quantile: a single number q leaves it that of the data."""
    if dtype.kind != "f":
        return np.dtype(float)
    weak = isinstance(q, (int, float)) or type_of(q).weak
    return dtype if weak else np.result_type(dtype, as_array(q).dtype)


def _checked(q, whole):
    q = np.asarray(asnumpy(q), float)
    if np.any((q < 0) | (q > whole) | np.isnan(q)):
        raise ArgumentError(f"quantile: q = {q} must lie in [0, 1] (percentile: [0, 100])"
                            f"{at_line()}")
    return q


def _lines(x, axes, name):
    """The entries along `axes` as the first axis."""
    rest = [k for k in range(len(x.shape)) if k not in axes]
    count = int(np.prod([x.shape[k] for k in axes], dtype=int))
    if not count:
        raise ArgumentError(f"{name} of an empty array of shape {x.shape}{at_line()}")
    lines = transpose_p(x, axes=(*axes, *rest))
    return reshape(lines, (count, *(x.shape[k] for k in rest)))


def _of_lines(ranked, q, method, dtype, between):
    """The quantiles of lines of one length; a line with a NaN gives NaN."""
    count = ranked.shape[0]
    place = beside(_place(count, reshape(q, (-1,)), method), ranked)
    low = _whole(place, count - 1)
    out = read(ranked, low)
    if method not in PICKS:
        weight = reshape((place - low).astype(dtype), (-1,) + (1,) * (len(ranked.shape) - 1))
        out = between(out, read(ranked, e.minimum(low + 1, count - 1)), weight)
    if ranked.dtype.kind != "f":
        return out
    return e.where(e.isnan(read(ranked, count - 1)), np.nan, out)


def _of_numbers(ranked, q, method, dtype, between):
    """As `_of_lines`, of the entries of each line that are numbers."""
    counts = sum_(e.logical_not(e.isnan(ranked)), 0)
    q = reshape(q, (-1,) + (1,) * (len(ranked.shape) - 1))
    if method in CONTINUOUS:
        place = _place(counts, q, method)
    else:
        counts = asnumpy(plain(counts, "the number of entries of np.nanquantile"))
        place = np.zeros(np.broadcast_shapes(q.shape, counts.shape))
        for count in np.unique(counts[counts > 0]):
            place = np.where(counts == count, _place(int(count), q, method), place)
        place, counts = beside(place, ranked), beside(counts, ranked)
    low = _whole(place, counts - 1)
    below = sorting.take_along_axis(ranked, low, 0)
    if method in PICKS:
        return below
    above = sorting.take_along_axis(ranked, e.minimum(low + 1, counts - 1), 0)
    return between(below, above, (place - low).astype(dtype))


def _between(below, above, weight):
    """From the nearer end, so that both are met exactly."""
    step = above - below
    return e.where(weight < 0.5, below + step * weight, above - step * (1.0 - weight))


def _middle(below, above, weight):
    """Of two entries their mean, also where both are infinite."""
    return e.where(e.equal(weight, 0.0), below, 0.5 * (below + above))


def _place(count, q, method):
    """Where a quantile lies among the sorted entries."""
    if method in CONTINUOUS:
        a, b = CONTINUOUS[method]
        return e.clip(q * (count + (1.0 - a - b)) + (a - 1.0), 0.0, count - 1.0)
    return np.quantile(np.arange(float(count)), q, method=method)


def _whole(place, last):
    """The whole part of a place, as an index; -1 in a line without entries."""
    return e.minimum(e.floor(place).astype(np.intp), last)


def _shaped(out, shape, q_shape, axes, keepdims):
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    rest = tuple(n for k, n in enumerate(shape) if k not in axes)
    return reshape(out, q_shape + (kept if keepdims else rest))
