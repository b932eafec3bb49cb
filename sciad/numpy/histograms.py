"""Histograms and counts.

Which bin an entry falls into is constant, so counts are; sums of weights are differentiated, and
so are edges that follow from the extreme entries, and densities through both.
"""

import numpy as np

from sciad.core.array import plain
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import reduce, sorting
from sciad.ops.functions import require_real
from sciad.ops.indexing import index_add, read
from sciad.ops.shape import reshape


@implements(np.digitize)
def digitize(x, bins, right=False):
    x, bins = as_array(x), as_array(bins)
    require_real("np.digitize", x, bins)
    edges = plain(bins, "the bins of np.digitize")
    _require_order(edges, edges[::-1] if edges.size and edges[0] > edges[-1] else edges,
                   "digitize")
    if edges.size and edges[0] > edges[-1]:
        places = sorting.searchsorted(read(bins, slice(None, None, -1)), x,
                                      "right" if right else "left")
        return edges.size - places
    return sorting.searchsorted(bins, x, "left" if right else "right")


def _require_order(edges, rising, name):
    if edges.ndim != 1 or np.any(np.diff(rising) < 0):
        raise ArgumentError(f"{name}: the bins must be a vector of numbers in order{at_line()}, "
                            f"got {edges}")


@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """Sums of weights; the counts themselves are constant."""
    places = plain(as_array(x), "np.bincount")
    if weights is None:
        return np.bincount(places, minlength=minlength)
    weights = as_array(weights)
    if np.any(places < 0) or weights.shape != places.shape:
        raise ArgumentError(f"bincount: places {places} must be whole numbers >= 0, as many as the "
                            f"weights of shape {weights.shape}{at_line()}")
    size = max(int(places.max(initial=-1)) + 1, minlength)
    blank = np.zeros(size, np.result_type(weights.dtype, np.float64))
    return index_add(blank, weights, places)


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
        edges = plain(as_array(bins), f"the bins of np.{name}")
        _require_order(edges, edges, name)
        return as_array(bins)
    values = plain(a, f"np.{name}")
    if isinstance(bins, str):
        bins = len(np.histogram_bin_edges(values, bins, range)) - 1
    if range is None and values.size and values.min() < values.max():
        weight = np.linspace(0.0, 1.0, bins + 1)
        return reduce.min_(a) * (1.0 - weight) + reduce.max_(a) * weight
    return np.histogram_bin_edges(values, bins, range)


def _counted(columns, edges, weights):
    """How many points fall into each bin, or the sums of their weights; and the edges."""
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
