"""Sorting, ranks, searching, counting, in NumPy's signatures."""

import numpy as np

from sciad.core.array import FUNCTIONS, Array, has_data, plain
from sciad.core.errors import ArgumentError, LostGradientError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import reduce, sorting
from sciad.ops.functions import require_real
from sciad.ops.indexing import read
from sciad.ops.shape import concatenate, reshape


def _numbers(k):
    """`kth` as a tuple of ints."""
    return tuple(int(i) for i in np.atleast_1d(k))


# Every kind of sort gives the same values; at ties sciad's is stable.


@implements(np.sort, fresh=True)
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


@implements(np.searchsorted)
def searchsorted(a, v, side="left", sorter=None):
    a = as_array(a) if sorter is None else read(as_array(a), as_array(sorter))
    return sorting.searchsorted(a, as_array(v), side)


@implements(np.ptp)
def ptp(a, axis=None, *, keepdims=False):
    a = as_array(a)
    keepdims = keepdims is not np._NoValue and bool(keepdims)
    return reduce.max_(a, axis, keepdims) - reduce.min_(a, axis, keepdims)


@implements(np.sort_complex)
def sort_complex(a):
    a = sorting.sort(as_array(a))
    if a.dtype.kind == "c":
        return a
    return a.astype(np.complex64 if a.dtype.char in "bBhH" else np.complex128)


def sort_in_place(x, axis=-1, kind=None, *, stable=None):
    """``x.sort()``."""
    x[...] = sorting.sort(x, axis)


def partition_in_place(x, kth, axis=-1):
    """``x.partition(kth)``."""
    x[...] = sorting.partition(x, _numbers(kth), axis)


@implements(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None):
    if ddof is not None and ddof != int(ddof):
        raise ArgumentError(f"cov: ddof {ddof} must be an integer{at_line()}")
    m = _rows(m, rowvar)
    if y is not None:
        m = concatenate([m, _rows(y, rowvar)], 0)
    m = m.astype(np.result_type(m.dtype, np.float64))
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = [as_array(w) for w in (fweights, aweights) if w is not None]
    if weights:
        return _weighted_cov(m, weights, fweights, aweights, ddof)
    centred = m - reduce.mean(m, 1, keepdims=True)
    other = centred.T.conj() if m.dtype.kind == "c" else centred.T
    out = (centred @ other) / (m.shape[1] - ddof)
    return reshape(out, ()) if out.shape == (1, 1) else out


def _weighted_cov(m, weights, frequencies, importances, ddof):
    """With numbers of repetitions and weights of observations."""
    if any(w.shape != m.shape[1:] for w in weights):
        raise ArgumentError(f"cov: weights of shapes {[w.shape for w in weights]} for "
                            f"{m.shape[1]} observations{at_line()}")
    require_real("np.cov", *weights)
    w = weights[0] if len(weights) == 1 else weights[0] * weights[1]
    total = reduce.sum_(w)
    centred = m - reshape(reduce.sum_(m * w, 1), (-1, 1)) / total
    scale = total - ddof
    if importances is not None and ddof:
        scale = total - ddof * reduce.sum_(w * as_array(importances)) / total
    other = (centred * w).T
    out = (centred @ (other.conj() if m.dtype.kind == "c" else other)) / scale
    return reshape(out, ()) if out.shape == (1, 1) else out


def _rows(m, rowvar):
    m = as_array(m)
    if m.ndim > 2:
        raise ArgumentError(f"cov: shape {m.shape} has more than two dimensions{at_line()}")
    if m.ndim < 2:
        return reshape(m, (1, m.size))
    return m if rowvar or m.shape[0] == 1 else m.T


@implements(np.lexsort)
def lexsort(keys, axis=-1):
    """The order by the last key, at ties by the one before: one stable sort a key."""
    keys = [as_array(key) for key in keys]
    if all(type(key) is not Array or has_data(key) for key in keys):
        return np.lexsort([plain(key) for key in keys], axis)
    order = sorting.argsort(keys[0], axis)
    for key in keys[1:]:
        again = sorting.argsort(sorting.take_along_axis(key, order, axis), axis)
        order = sorting.take_along_axis(order, again, axis)
    return order


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


for _original in [np.argwhere, np.flatnonzero, np.shares_memory,
                  np.may_share_memory, np.can_cast,
                  np.unravel_index, np.ravel_multi_index, np.min_scalar_type, np.common_type,
                  np.tril_indices_from, np.triu_indices_from, np.diag_indices_from,
                  np.array_repr, np.array_str, np.array2string]:
    if _original not in FUNCTIONS:
        _constant(_original)
