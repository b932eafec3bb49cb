"""Histograms and counts.

Which bin an entry falls into is constant, so counts are; sums of weights are differentiated, and
so are edges that follow from the extreme entries, and densities through both. While recording,
every entry is counted, those outside of the bins by nothing, so that no shape rests on the data.
"""

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import reduce, sorting
from sciad.ops.control import assume
from sciad.ops.functions import require_real
from sciad.ops.indexing import index_add, read
from sciad.ops.shape import reshape


@implements(np.digitize)
def digitize(x, bins, right=False):
    x, bins = as_array(x), as_array(bins)
    require_real("np.digitize", x, bins)
    if bins.ndim == 1 and bins.size and bool(bins[0] > bins[-1]):
        rising = _in_order(read(bins, slice(None, None, -1)), "digitize")
        places = sorting.searchsorted(rising, x, "right" if right else "left")
        return bins.size - places
    return sorting.searchsorted(_in_order(bins, "digitize"), x, "left" if right else "right")


def _in_order(edges, name):
    """The edges, which must rise."""
    text = f"{name}: the bins must be a vector of numbers in order"
    if edges.ndim == 1 and not _known(edges):
        return assume(edges, np.all(edges[1:] >= edges[:-1]), text)
    if edges.ndim != 1 or np.any(np.diff(plain(edges)) < 0):
        raise ArgumentError(f"{text}{at_line()}, got {plain(edges)}")
    return edges


@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """Sums of weights; the counts themselves are constant."""
    x = as_array(x)
    if minlength and x.ndim == 1 and not _known(x):
        return _bincount(x, weights, minlength)
    places = plain(x, "np.bincount without minlength=")
    if weights is None:
        return np.bincount(places, minlength=minlength)
    weights = as_array(weights)
    if np.any(places < 0) or weights.shape != places.shape:
        raise ArgumentError(f"bincount: places {places} must be whole numbers >= 0, as many as the "
                            f"weights of shape {weights.shape}{at_line()}")
    size = max(int(places.max(initial=-1)) + 1, minlength)
    blank = np.zeros(size, np.result_type(weights.dtype, np.float64))
    return index_add(blank, weights, places)


def _known(x):
    return type(x) is not Array or has_data(x)


def _bincount(places, weights, size):
    """The same of as many bins as `minlength` says, which may be too few."""
    ok = np.all((places >= 0) & (places < size))
    places = assume(places, ok, f"bincount: not all places are among the {size} of minlength=")
    if weights is None:
        return index_add(np.zeros(size, np.intp), 1, places)
    weights = as_array(weights)
    return index_add(np.zeros(size, np.result_type(weights.dtype, np.float64)), weights, places)


@implements(np.histogram)
def histogram(a, bins=10, range=None, density=None, weights=None):
    a = reshape(as_array(a), (-1,))
    counts, (edges,) = _counted([a], [_edges(a, bins, range, "histogram")], weights)
    if density:
        counts = counts / _widths(edges) / reduce.sum_(counts)
    return counts, edges


@implements(np.histogram2d)
def histogram2d(x, y, bins=10, range=None, density=None, weights=None):
    if not isinstance(bins, (int, np.integer)) and len(bins) > 2:
        bins = [as_array(bins)] * 2
    counts, edges = histogramdd([as_array(x), as_array(y)], bins, range, density, weights)
    return counts, edges[0], edges[1]


@implements(np.histogramdd)
def histogramdd(sample, bins=10, range=None, density=None, weights=None):
    if isinstance(sample, (list, tuple)):
        columns = [reshape(as_array(x), (-1,)) for x in sample]
    else:
        sample = as_array(sample)
        sample = sample if sample.ndim == 2 else reshape(sample, (-1, 1))
        columns = [read(sample, (slice(None), k)) for k in np.arange(sample.shape[1]).tolist()]
    count = len(columns)
    bins = [bins] * count if isinstance(bins, (int, np.integer)) else list(bins)
    ranges = [None] * count if range is None else list(range)
    if len(bins) != count or len(ranges) != count:
        raise ArgumentError(f"histogramdd: {len(bins)} sets of bins and {len(ranges)} ranges for "
                            f"{count} coordinates{at_line()}")
    edges = [_edges(x, b, r, "histogramdd")
             for x, b, r in zip(columns, bins, ranges, strict=True)]
    counts, edges = _counted(columns, edges, weights)
    counts = counts if counts.dtype.kind in "fc" else counts.astype(float)
    if density:
        total = reduce.sum_(counts)
        for k, part in enumerate(edges):
            counts = counts / reshape(_widths(part), (-1,) + (1,) * (count - k - 1))
        counts = counts / total
    return counts, tuple(edges)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a, bins=10, range=None, weights=None):
    return _edges(reshape(as_array(a), (-1,)), bins, range, "histogram_bin_edges")


def _widths(edges):
    return read(edges, slice(1, None)) - read(edges, slice(None, -1))


def _edges(a, bins, range, name):
    if not isinstance(bins, (int, np.integer, str)):
        return _in_order(as_array(bins), name)
    if range is not None and not isinstance(bins, str):
        return np.histogram_bin_edges(np.zeros(0, a.dtype), bins, range)
    values = plain(a, f"np.{name} without range= and without edges as bins=")
    if isinstance(bins, str):
        bins = len(np.histogram_bin_edges(values, bins, range)) - 1
    if range is None and values.size and values.min() < values.max():
        dtype = np.empty(0, a.dtype).real.dtype if a.dtype.kind in "fc" else np.dtype(float)
        weight = np.linspace(0.0, 1.0, bins + 1).astype(dtype)
        return reduce.min_(a) * (1.0 - weight) + reduce.max_(a) * weight
    return np.histogram_bin_edges(values, bins, range)


def _counted(columns, edges, weights):
    """How many points fall into each bin, or the sums of their weights; and the edges."""
    if not all(map(_known, (*columns, *edges))):
        return _weighed(columns, edges, weights), edges
    points = [plain(x, "a histogram") for x in columns]
    ends = [plain(x, "a histogram") for x in edges]
    shape = tuple(len(end) - 1 for end in ends)
    inside = np.all([(x >= end[0]) & (x <= end[-1])
                     for x, end in zip(points, ends, strict=True)], axis=0)
    places = tuple(np.minimum(np.searchsorted(end, x[inside], "right") - 1, len(end) - 2)
                   for x, end in zip(points, ends, strict=True))
    if weights is None:
        counts = np.zeros(shape, np.intp)
        np.add.at(counts, places, 1)
    else:
        weights = reshape(as_array(weights), (-1,))
        if weights.shape != points[0].shape:
            raise ArgumentError(f"histogram: {weights.size} weights for {points[0].size} entries"
                                f"{at_line()}")
        counts = index_add(np.zeros(shape, weights.dtype),
                           read(weights, np.nonzero(inside)[0]), places)
    return counts, edges


def _weighed(columns, edges, weights):
    """The same of every point; those outside of the bins weigh nothing."""
    last = [end.shape[0] - 2 for end in edges]
    inside, places = True, []
    for x, end, most in zip(columns, edges, last, strict=True):
        inside = (x >= end[0]) & (x <= end[-1]) & inside
        place = sorting.searchsorted(end, x, "right") - 1
        places.append(e.minimum(e.maximum(place, 0), most))
    weights = 1 if weights is None else reshape(as_array(weights), (-1,))
    blank = np.zeros([most + 1 for most in last],
                     np.intp if isinstance(weights, int) else weights.dtype)
    return index_add(blank, e.where(inside, weights, blank.dtype.type(0)), tuple(places))
