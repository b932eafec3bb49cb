"""Selection, clipping, and the functions of complex numbers that are no ufuncs."""

import functools

import numpy as np

from sciad.core.array import Array, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops.create import buffer

_MISSING = np._NoValue


@implements(np.where)
def _where(condition, x=_MISSING, y=_MISSING):
    condition = as_array(condition)
    if x is _MISSING and y is _MISSING:
        return np.nonzero(plain(condition, "np.where(condition)"))
    if x is _MISSING or y is _MISSING:
        raise ArgumentError(f"where: give both x and y, or neither{at_line()}")
    if condition.dtype != np.bool_:
        condition = e.not_equal(condition, 0)
    return e.where(condition, _branch(x), _branch(y))


@functools.wraps(np.where, updated=())
def where(condition, *branches):
    """``numpy.where``; what it chooses can be assigned into, places are plain."""
    out = _where(condition, *branches)
    return buffer(out) if branches and isinstance(out, np.ndarray) else out


def _branch(x):
    """Python scalars stay weak, so that they do not widen float32."""
    return x if isinstance(x, (bool, int, float, complex)) else as_array(x)


@implements(np.nonzero)
def nonzero(a):
    return np.nonzero(plain(as_array(a), "np.nonzero"))


@implements(np.clip)
def clip(a, a_min=_MISSING, a_max=_MISSING, *, min=_MISSING, max=_MISSING):
    low = a_min if min is _MISSING else min
    high = a_max if max is _MISSING else max
    return e.clip(as_array(a), *(None if x is _MISSING or x is None else _branch(x)
                                 for x in (low, high)))


@implements(np.real)
def real(val):
    return as_array(val).real


@implements(np.imag)
def imag(val):
    return as_array(val).imag


@implements(np.angle)
def angle(z, deg=False):
    z = as_array(z)
    out = e.arctan2(z.imag, z.real) if z.dtype.kind == "c" else e.arctan2(0, z)
    return out * (180.0 / np.pi) if deg else out


@implements(np.iscomplexobj)
def iscomplexobj(x):
    return as_array(x).dtype.kind == "c"


@implements(np.isrealobj)
def isrealobj(x):
    return as_array(x).dtype.kind != "c"


@implements(np.result_type)
def result_type(*arrays_and_dtypes):
    return np.result_type(*(x.dtype if isinstance(x, Array) else x for x in arrays_and_dtypes))
