"""Distinct entries and sets. The first of each set of equal entries stands for it, with its
derivative; which entries are equal is constant."""

from typing import Any, NamedTuple

import numpy as np

from sciad.core.array import plain
from sciad.numpy.dispatch import as_array, implements
from sciad.ops.indexing import read
from sciad.ops.shape import concatenate, normalize_axis, reshape


@implements(np.unique)
def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *,
           equal_nan=True, sorted=True):
    """The order of NumPy's sort also where `sorted` is False."""
    x = as_array(ar)
    values, axis = plain(x, "np.unique"), None if axis is None else normalize_axis(
        axis, x.ndim, "unique")
    _, first, inverse, counts = np.unique(values, True, True, True, axis, equal_nan=equal_nan)
    distinct = (read(reshape(x, (-1,)), first) if axis is None
                else read(x, (slice(None),) * axis + (first,)))
    extra = [part for part, wanted in zip((first, inverse, counts),
                                          (return_index, return_inverse, return_counts),
                                          strict=True) if wanted]
    return (distinct, *extra) if extra else distinct


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
    return UniqueAll(*unique(x, True, True, True, equal_nan=False))


@implements(np.unique_counts)
def unique_counts(x):
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse(x):
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


@implements(np.unique_values)
def unique_values(x):
    return unique(x, equal_nan=False)


def _flat(*arrays):
    return [reshape(as_array(x), (-1,)) for x in arrays]


@implements(np.union1d)
def union1d(ar1, ar2):
    return unique(concatenate(_flat(ar1, ar2), 0))


@implements(np.intersect1d)
def intersect1d(ar1, ar2, assume_unique=False, return_indices=False):
    """The entries of `ar1` that stand in `ar2`."""
    first, second = _flat(ar1, ar2)
    _, left, right = np.intersect1d(plain(first, "np.intersect1d"),
                                    plain(second, "np.intersect1d"), assume_unique, True)
    common = read(first, left)
    return (common, left, right) if return_indices else common


@implements(np.setdiff1d)
def setdiff1d(ar1, ar2, assume_unique=False):
    first, second = _flat(ar1, ar2)
    first = first if assume_unique else unique(first)
    keep = np.isin(plain(first, "np.setdiff1d"), plain(second, "np.setdiff1d"), invert=True)
    return read(first, np.nonzero(keep)[0])


@implements(np.setxor1d)
def setxor1d(ar1, ar2, assume_unique=False):
    parts = _flat(ar1, ar2)
    both = concatenate(parts if assume_unique else [unique(x) for x in parts], 0)
    values = plain(both, "np.setxor1d")
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    new = np.concatenate([[True], ranked[1:] != ranked[:-1], [True]])
    return read(both, order[new[1:] & new[:-1]])


