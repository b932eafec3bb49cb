"""Functions that pass over NaNs. An entry that is NaN counts for nothing and has slope zero."""

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import LostGradientError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.reductions import _cast, _flag, chosen, extremum, started
from sciad.ops import elementwise as e
from sciad.ops import reduce, running
from sciad.ops.shape import broadcast_to


def _filled(a, value):
    return e.where(e.isnan(a), value, a)


def _numbers_in(a, where):
    """Which entries count."""
    found = e.logical_not(e.isnan(a))
    return found if where is True else e.logical_and(found, as_array(where))


def _count(a, axis, keepdims, where=True):
    found = broadcast_to(_numbers_in(a, where), a.shape)
    return reduce.sum_(found.astype(float), axis, keepdims)


@implements(np.nansum)
def nansum(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    a = chosen(_filled(_cast(a, dtype), 0.0), where, 0.0)
    return started(e.add, reduce.sum_(a, axis, _flag(keepdims)), initial)


@implements(np.nanprod)
def nanprod(a, axis=None, dtype=None, *, keepdims=False, initial=np._NoValue, where=True):
    a = chosen(_filled(_cast(a, dtype), 1.0), where, 1.0)
    return started(e.multiply, reduce.prod(a, axis, _flag(keepdims)), initial)


@implements(np.nancumsum)
def nancumsum(a, axis=None, dtype=None):
    return reduce.cumsum(_filled(_cast(a, dtype), 0.0), axis)


@implements(np.nancumprod)
def nancumprod(a, axis=None, dtype=None):
    return running.cumprod(_filled(_cast(a, dtype), 1.0), axis)


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    a, keepdims = _cast(a, dtype), _flag(keepdims)
    count = _count(a, axis, keepdims, where).astype(a.real.dtype)
    return reduce.sum_(chosen(_filled(a, 0.0), where, 0.0), axis, keepdims) / count


_nanmean = nanmean


@implements(np.nanvar)
def nanvar(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
           correction=np._NoValue):
    a, keepdims = _cast(a, dtype), _flag(keepdims)
    about = _nanmean(a, axis, keepdims=True, where=where) if mean is np._NoValue else mean
    centred = chosen(_filled(a - about, 0.0), where, 0.0)
    squares = abs(centred) ** 2 if a.dtype.kind == "c" else centred * centred
    ddof = ddof if correction is np._NoValue else correction
    count = (_count(a, axis, keepdims, where) - ddof).astype(a.real.dtype)
    return reduce.sum_(squares, axis, keepdims) / e.where(count > 0, count, np.nan)


@implements(np.nanstd)
def nanstd(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=np._NoValue,
           correction=np._NoValue):
    return nanvar(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean,
                  correction=correction) ** 0.5


def _extremum(function, combine, a, axis, keepdims, blank, initial, where):
    a, keepdims = as_array(a), _flag(keepdims)
    found = extremum(function, combine, _filled(a, blank), axis, keepdims, initial, where)
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
