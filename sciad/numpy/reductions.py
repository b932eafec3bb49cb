"""Sums, means, extrema and the like over axes, in NumPy's signatures."""

import numpy as np

from sciad.numpy.dispatch import as_array, implements
from sciad.ops import reduce


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
