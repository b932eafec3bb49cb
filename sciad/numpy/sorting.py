"""Sorting, ranks, searching, counting, in NumPy's signatures."""

from typing import Any, NamedTuple

import numpy as np

from sciad.core.array import FUNCTIONS, Array, plain
from sciad.core.errors import ArgumentError, LostGradientError, NoRuleError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import reduce, sorting
from sciad.ops.indexing import index_add, read
from sciad.ops.shape import concatenate, reshape


def _numbers(k):
    """`kth` as a tuple of ints."""
    return tuple(int(i) for i in np.atleast_1d(k))


# Every kind of sort gives the same values; at ties sciad's is stable.


@implements(np.sort)
def sort(a, axis=-1, kind=None, *, stable=None):
    return sorting.sort(as_array(a), axis)


@implements(np.argsort)
def argsort(a, axis=-1, kind=None, *, stable=None):
    return sorting.argsort(as_array(a), axis)


@implements(np.partition)
def partition(a, kth, axis=-1):
    return sorting.partition(as_array(a), _numbers(kth), axis)


@implements(np.argpartition)
def argpartition(a, kth, axis=-1):
    return sorting.argpartition(as_array(a), _numbers(kth), axis)


@implements(np.quantile)
def quantile(a, q, axis=None, keepdims=False, *, method="linear"):
    return _quantile("quantile", a, q, 1.0, axis, keepdims, method)


@implements(np.percentile)
def percentile(a, q, axis=None, keepdims=False, *, method="linear"):
    return _quantile("percentile", a, q, 100.0, axis, keepdims, method)


def _quantile(name, a, q, whole, axis, keepdims, method):
    if method != "linear":
        raise NoRuleError(f"np.{name}(method={method!r}) has no rule in sciad{at_line()}; use "
                          "'linear'")
    if isinstance(q, Array):
        raise NoRuleError(f"np.{name} has no derivative by q{at_line()}; pass "
                          "sciad.stop_gradient(q)")
    a = _ranked(as_array(a), name)
    find = sorting.nanquantile if name.startswith("nan") else sorting.quantile
    return find(a, np.asarray(q, float) / whole, reduce.axes_of(axis, a.ndim, name),
                keepdims is not np._NoValue and bool(keepdims))


def _ranked(a, name):
    if a.dtype.kind == "c":
        raise ArgumentError(f"{name}: complex numbers have no order{at_line()}")
    return a


@implements(np.median)
def median(a, axis=None, keepdims=False):
    a = _ranked(as_array(a), "median")
    return sorting.quantile(a, 0.5, reduce.axes_of(axis, a.ndim, "median"), bool(keepdims))


@implements(np.nanquantile)
def nanquantile(a, q, axis=None, keepdims=False, *, method="linear"):
    return _quantile("nanquantile", a, q, 1.0, axis, keepdims, method)


@implements(np.nanpercentile)
def nanpercentile(a, q, axis=None, keepdims=False, *, method="linear"):
    return _quantile("nanpercentile", a, q, 100.0, axis, keepdims, method)


@implements(np.nanmedian)
def nanmedian(a, axis=None, keepdims=False):
    return _quantile("nanmedian", a, 0.5, 1.0, axis, keepdims, "linear")


@implements(np.searchsorted)
def searchsorted(a, v, side="left"):
    return sorting.searchsorted(as_array(a), as_array(v), side)


@implements(np.digitize)
def digitize(x, bins, right=False):
    x, bins = as_array(x), as_array(bins)
    edges = plain(bins, "the bins of np.digitize")
    if edges.size and edges[0] > edges[-1]:
        places = sorting.searchsorted(read(bins, slice(None, None, -1)), x,
                                      "right" if right else "left")
        return edges.size - places
    return sorting.searchsorted(bins, x, "left" if right else "right")


@implements(np.unique)
def unique(ar, return_index=False, return_inverse=False, return_counts=False):
    """The first of each set of equal entries stands for it, with its derivative."""
    flat = reshape(as_array(ar), (-1,))
    made = np.unique(plain(flat, "np.unique"), True, True, True)
    values = read(flat, made[1])
    inverse = made[2].reshape(as_array(ar).shape)
    extra = [part for part, wanted in zip((made[1], inverse, made[3]),
                                          (return_index, return_inverse, return_counts),
                                          strict=True) if wanted]
    return (values, *extra) if extra else values


class UniqueAll(NamedTuple):
    """The result of `unique_all`, as NumPy's."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """The result of `unique_counts`."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """The result of `unique_inverse`."""

    values: Any
    inverse_indices: Any


@implements(np.unique_all)
def unique_all(x):
    return UniqueAll(*unique(x, True, True, True))


@implements(np.unique_counts)
def unique_counts(x):
    return UniqueCounts(*unique(x, return_counts=True))


@implements(np.unique_inverse)
def unique_inverse(x):
    return UniqueInverse(*unique(x, return_inverse=True))


@implements(np.unique_values)
def unique_values(x):
    return unique(x)


@implements(np.union1d)
def union1d(ar1, ar2):
    return unique(concatenate([as_array(ar1), as_array(ar2)], None))


@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """Sums of weights; the counts themselves are constant."""
    places = plain(as_array(x), "np.bincount")
    if weights is None:
        return np.bincount(places, minlength=minlength)
    weights = as_array(weights)
    size = max(int(places.max(initial=-1)) + 1, minlength)
    return index_add(np.zeros(size, weights.dtype), weights, places)


@implements(np.histogram)
def histogram(a, bins=10, range=None, density=None, weights=None):
    """Counts are constant in `a` (piecewise), sums of `weights` are differentiated; so are edges
    that follow from the extreme entries."""
    a = reshape(as_array(a), (-1,))
    values = plain(a, "np.histogram")
    edges = _edges(a, values, bins, range)
    plain_edges = plain(edges, "np.histogram")
    if weights is None:
        counts = np.histogram(values, plain_edges)[0]
    else:
        weights = reshape(as_array(weights), (-1,))
        inside = np.nonzero((values >= plain_edges[0]) & (values <= plain_edges[-1]))[0]
        place = np.searchsorted(plain_edges, values[inside], "right") - 1
        place = np.minimum(place, len(plain_edges) - 2)
        blank = np.zeros(len(plain_edges) - 1, weights.dtype)
        counts = index_add(blank, read(weights, inside), place)
    if density:
        widths = read(edges, slice(1, None)) - read(edges, slice(None, -1))
        counts = counts / widths / reduce.sum_(counts)
    return counts, edges


def _edges(a, values, bins, range):
    if not isinstance(bins, (int, np.integer)):
        if isinstance(bins, str):
            raise NoRuleError(f"np.histogram(bins={bins!r}) has no rule in sciad{at_line()}; give "
                              "their number or the edges")
        return as_array(bins)
    if range is None and values.size and values.min() < values.max():
        weight = np.linspace(0.0, 1.0, bins + 1)
        return reduce.min_(a) * (1.0 - weight) + reduce.max_(a) * weight
    return np.histogram_bin_edges(values, bins, range)


@implements(np.ptp)
def ptp(a, axis=None, *, keepdims=False):
    a = as_array(a)
    keepdims = keepdims is not np._NoValue and bool(keepdims)
    return reduce.max_(a, axis, keepdims) - reduce.min_(a, axis, keepdims)


@implements(np.sort_complex)
def sort_complex(a):
    a = sorting.sort(as_array(a))
    return a if a.dtype.kind == "c" else a * (1 + 0j)


def sort_in_place(x, axis=-1, kind=None, *, stable=None):
    """``x.sort()``."""
    x[...] = sorting.sort(x, axis)


def partition_in_place(x, kth, axis=-1):
    """``x.partition(kth)``."""
    x[...] = sorting.partition(x, _numbers(kth), axis)


@implements(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None):
    if ddof is not None and ddof != int(ddof):
        raise ArgumentError(f"cov: ddof {ddof} must be an integer{at_line()}")
    m = _rows(m, rowvar)
    if y is not None:
        m = concatenate([m, _rows(y, rowvar)], 0)
    m = m.astype(np.result_type(m.dtype, np.float64))
    ddof = (0 if bias else 1) if ddof is None else ddof
    centred = m - reduce.mean(m, 1, keepdims=True)
    other = centred.T.conj() if m.dtype.kind == "c" else centred.T
    out = (centred @ other) / (m.shape[1] - ddof)
    return reshape(out, ()) if out.shape == (1, 1) else out


def _rows(m, rowvar):
    m = as_array(m)
    if m.ndim > 2:
        raise ArgumentError(f"cov: shape {m.shape} has more than two dimensions{at_line()}")
    if m.ndim < 2:
        return reshape(m, (1, m.size))
    return m if rowvar or m.shape[0] == 1 else m.T


@implements(np.corrcoef)
def corrcoef(x, y=None, rowvar=True):
    c = cov(x, y, rowvar)
    if not c.shape:
        return c / c
    places = np.arange(c.shape[0])
    spread = e.sqrt(read(c, (places, places)).real)
    return c / reshape(spread, (-1, 1)) / reshape(spread, (1, -1))


def _constant(original):
    """A function of the values whose derivative is zero: it takes them as plain arrays."""

    def rule(*args, **kwargs):
        name = f"np.{original.__name__}"
        if isinstance(kwargs.get("out"), Array):
            raise LostGradientError(f"{name}(out=) takes a plain array{at_line()}")
        return original(*(_plain(x, name) for x in args),
                        **{key: _plain(x, name) for key, x in kwargs.items()})

    FUNCTIONS[original] = rule


def _plain(x, name):
    if isinstance(x, (list, tuple)):
        return type(x)(_plain(entry, name) for entry in x)
    return plain(x, name) if isinstance(x, Array) else x


for _original in [np.argwhere, np.flatnonzero, np.count_nonzero, np.lexsort, np.isin,
                  np.array_equiv, np.nanargmax, np.nanargmin, np.shares_memory,
                  np.may_share_memory, np.can_cast, np.histogram_bin_edges, np.ix_,
                  np.unravel_index, np.ravel_multi_index, np.min_scalar_type, np.common_type,
                  np.tril_indices_from, np.triu_indices_from, np.diag_indices_from,
                  np.array_repr, np.array_str, np.array2string]:
    if _original not in FUNCTIONS:
        _constant(_original)
