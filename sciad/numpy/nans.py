"""Functions that pass over NaNs. An entry that is NaN counts for nothing and has slope zero."""

import numpy as np

from sciad.core.errors import NoRuleError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.reductions import _cast, _flag
from sciad.ops import elementwise as e
from sciad.ops import reduce, running


def _filled(a, value):
    return e.where(e.isnan(a), value, a)


def _count(a, axis, keepdims):
    return reduce.sum_(e.logical_not(e.isnan(a)).astype(float), axis, keepdims)


@implements(np.nansum)
def nansum(a, axis=None, dtype=None, *, keepdims=False):
    return reduce.sum_(_filled(_cast(a, dtype), 0.0), axis, _flag(keepdims))


@implements(np.nanprod)
def nanprod(a, axis=None, dtype=None, *, keepdims=False):
    return reduce.prod(_filled(_cast(a, dtype), 1.0), axis, _flag(keepdims))


@implements(np.nancumsum)
def nancumsum(a, axis=None, dtype=None):
    return reduce.cumsum(_filled(_cast(a, dtype), 0.0), axis)


@implements(np.nancumprod)
def nancumprod(a, axis=None, dtype=None):
    return running.cumprod(_filled(_cast(a, dtype), 1.0), axis)


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, *, keepdims=False):
    a, keepdims = _cast(a, dtype), _flag(keepdims)
    count = _count(a, axis, keepdims).astype(a.real.dtype)
    return reduce.sum_(_filled(a, 0.0), axis, keepdims) / count


@implements(np.nanvar)
def nanvar(a, axis=None, *, ddof=0, keepdims=False):
    a, keepdims = as_array(a), _flag(keepdims)
    centred = _filled(a - nanmean(a, axis, keepdims=True), 0.0)
    squares = abs(centred) ** 2 if a.dtype.kind == "c" else centred * centred
    count = (_count(a, axis, keepdims) - ddof).astype(a.real.dtype)
    return reduce.sum_(squares, axis, keepdims) / e.where(count > 0, count, np.nan)


@implements(np.nanstd)
def nanstd(a, axis=None, *, ddof=0, keepdims=False):
    return nanvar(a, axis, ddof=ddof, keepdims=keepdims) ** 0.5


def _extremum(function, a, axis, keepdims, blank):
    a, keepdims = as_array(a), _flag(keepdims)
    found = function(_filled(a, blank), axis, keepdims)
    empty = reduce.all_(e.isnan(a), axis, keepdims)
    return e.where(empty, np.nan, found)


@implements(np.nanmax)
def nanmax(a, axis=None, *, keepdims=False):
    return _extremum(reduce.max_, a, axis, keepdims, -np.inf)


@implements(np.nanmin)
def nanmin(a, axis=None, *, keepdims=False):
    return _extremum(reduce.min_, a, axis, keepdims, np.inf)


@implements(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    if not copy:
        raise NoRuleError(f"np.nan_to_num(copy=False) has no rule in sciad{at_line()}; write "
                          "x[...] = np.nan_to_num(x)")
    x = as_array(x)
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
