"""Functions that pass over NaNs. An entry that is NaN counts for nothing and has slope zero."""

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import DTypeError, LostGradientError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.reductions import _flag, extremum, quotient
from sciad.ops import elementwise as e
from sciad.ops import reduce
from sciad.ops.shape import broadcast_to


def _inexact(a) -> bool:
    """Whether there can be a NaN at all; whole numbers go to the functions that mind none."""
    return a.dtype.kind in "fc"


def _filled(a, value):
    return e.where(e.isnan(a), value, a) if _inexact(a) else a


def _numbers_in(a, where):
    """Which entries count."""
    found = e.logical_not(e.isnan(a))
    return found if where is True else e.logical_and(found, as_array(where))


def _count(a, axis, keepdims, where=True):
    return reduce.sum_(broadcast_to(_numbers_in(a, where), a.shape), axis, keepdims)


def _require_inexact(name, dtype):
    if dtype is not None and np.dtype(dtype).kind not in "fc":
        raise DTypeError(f"{name}: dtype={np.dtype(dtype)} for an array that can hold NaN, must be "
                         f"a dtype of floats or complex numbers{at_line()}")


@implements(np.nansum)
def nansum(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    return np.sum(_filled(as_array(a), 0), axis, dtype, keepdims=keepdims, initial=initial,
                  where=where)


@implements(np.nanprod)
def nanprod(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    return np.prod(_filled(as_array(a), 1), axis, dtype, keepdims=keepdims, initial=initial,
                   where=where)


@implements(np.nancumsum)
def nancumsum(a, axis=None, dtype=None):
    return np.cumsum(_filled(as_array(a), 0), axis, dtype)


@implements(np.nancumprod)
def nancumprod(a, axis=None, dtype=None):
    return np.cumprod(_filled(as_array(a), 1), axis, dtype)


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    a = as_array(a)
    if not _inexact(a):
        return np.mean(a, axis, dtype, keepdims=keepdims, where=where)
    _require_inexact("nanmean", dtype)
    total = nansum(a, axis, dtype, keepdims=keepdims, where=where)
    return quotient(total, _count(a, axis, _flag(keepdims), where))


_nanmean = nanmean


@implements(np.nanvar)
def nanvar(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
           correction=np._NoValue):
    a = as_array(a)
    if not _inexact(a):
        return np.var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean,
                      correction=correction)
    _require_inexact("nanvar", dtype)
    about = mean if mean is not np._NoValue else _nanmean(
        a, axis, dtype, keepdims=True, where=where)
    centred = e.where(_numbers_in(a, where), a - about, 0.0)
    squares = abs(centred) ** 2 if a.dtype.kind == "c" else centred * centred
    ddof = ddof if correction is np._NoValue else correction
    freedom = _count(a, axis, _flag(keepdims), where) - ddof
    total = np.sum(squares, axis, dtype, keepdims=keepdims)
    return quotient(total, e.where(freedom > 0, freedom, np.nan))


@implements(np.nanstd)
def nanstd(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
           correction=np._NoValue):
    square = nanvar(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean,
                    correction=correction)
    return e.sqrt(square).astype(square.dtype)


def _extremum(function, combine, a, axis, keepdims, blank, initial, where):
    a, keepdims = as_array(a), _flag(keepdims)
    found = extremum(function, combine, _filled(a, blank), axis, keepdims, initial, where)
    if not _inexact(a):
        return found
    empty = reduce.all_(e.logical_not(_numbers_in(a, where)), axis, keepdims)
    return e.where(empty, np.nan if initial is np._NoValue else initial, found)


@implements(np.nanmax)
def nanmax(a, axis=None, *, keepdims=False, initial=np._NoValue, where=True):
    return _extremum(reduce.max_, e.maximum, a, axis, keepdims, -np.inf, initial, where)


@implements(np.nanmin)
def nanmin(a, axis=None, *, keepdims=False, initial=np._NoValue, where=True):
    return _extremum(reduce.min_, e.minimum, a, axis, keepdims, np.inf, initial, where)


@implements(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    x = as_array(x)
    if not copy:
        if not isinstance(x, Array):
            raise LostGradientError(f"np.nan_to_num(copy=False) would write a differentiated value "
                                    f"into a plain array{at_line()}")
        x[...] = nan_to_num(x, True, nan, posinf, neginf)
        return x
    if x.dtype.kind == "c":
        parts = (_numbers(part, nan, posinf, neginf) for part in (x.real, x.imag))
        return next(parts) + 1j * next(parts)
    return _numbers(x, nan, posinf, neginf)


def _numbers(x, nan, posinf, neginf):
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    x = e.where(e.isnan(x), nan, x)
    return e.where(e.equal(x, np.inf), high, e.where(e.equal(x, -np.inf), low, x))
