"""Conversions, grids and windows: the creation functions beyond `sciad.numpy.creation`."""

import importlib

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.creation import _fresh, array, asarray
from sciad.numpy.dispatch import as_array, implements, is_followed
from sciad.numpy.joining import atleast_1d
from sciad.ops.create import buffer
from sciad.ops.elementwise import isfinite, sqrt
from sciad.ops.reduce import all_
from sciad.ops.shape import concatenate

bartlett, blackman = _fresh(np.bartlett), _fresh(np.blackman)
hamming, hanning = _fresh(np.hamming), _fresh(np.hanning)
frombuffer, fromstring = _fresh(np.frombuffer), _fresh(np.fromstring)

# --- conversions: an Array stays one --------------------------------------------------------------


def asanyarray(a, dtype=None, **kwargs):
    """``numpy.asanyarray``."""
    return asarray(a, dtype, **kwargs)


def _converted(a, made):
    """What NumPy made of `a`, which may be `a` itself."""
    return made if isinstance(a, np.ndarray) else buffer(made)


def ascontiguousarray(a, dtype=None, **kwargs):
    """``numpy.ascontiguousarray``: at least one dimension."""
    if not is_followed(a):
        return _converted(a, np.ascontiguousarray(a, dtype, **kwargs))
    return atleast_1d(asarray(a, dtype, **kwargs))


def asfortranarray(a, dtype=None, **kwargs):
    """``numpy.asfortranarray``: of an Array, its entries as they lie."""
    if not is_followed(a):
        return _converted(a, np.asfortranarray(a, dtype, **kwargs))
    return asarray(a, dtype, **kwargs)


def require(a, dtype=None, requirements=None, **kwargs):
    """``numpy.require``: of an Array, the dtype alone."""
    if is_followed(a):
        return asarray(a, dtype, **kwargs)
    return np.require(a, dtype, requirements, **kwargs)


def asarray_chkfinite(a, dtype=None, order=None):
    """``numpy.asarray_chkfinite``: raises where an entry is infinite or NaN."""
    if not is_followed(a):
        return np.asarray_chkfinite(a, dtype, order)
    out = asarray(a, dtype)
    if not all_(isfinite(out)):
        raise ArgumentError(f"asarray_chkfinite: the array has infinities or NaNs{at_line()}")
    return out


def fromiter(iter, dtype, count=-1, **kwargs):
    """``numpy.fromiter``; the entries may be differentiated."""
    entries = list(iter) if count < 0 else [x for x, _ in zip(iter, range(count), strict=False)]
    return array(entries, dtype) if is_followed(entries) else buffer(
        np.fromiter(entries, dtype, count, **kwargs))


def fromfunction(function, shape, *, dtype=float, **kwargs):
    """``numpy.fromfunction``."""
    out = np.fromfunction(function, shape, dtype=dtype, **kwargs)
    return buffer(out) if isinstance(out, np.ndarray) and not is_followed(out) else out


# --- np.r_ and its kin ----------------------------------------------------------------------------


class _Joined:
    """``np.r_`` and ``np.c_``: NumPy's own for plain entries, a concatenation of Arrays."""

    def __init__(self, original, columns):
        self.original = original
        self.columns = columns

    def __getitem__(self, key):
        entries = key if isinstance(key, tuple) else (key,)
        if not is_followed(entries) or any(isinstance(x, str) for x in entries):
            out = self.original[key]
            return as_array(out) if is_followed(out) else buffer(out)
        parts = [self.original[x] if isinstance(x, slice) else as_array(x) for x in entries]
        if self.columns:
            parts = [_column(as_array(x)) for x in parts]
        kind = np.result_type(*(x if isinstance(x, (int, float, complex)) else y.dtype
                                for x, y in zip(entries, parts, strict=True)))
        parts = [atleast_1d(x).astype(kind) for x in parts]
        ndim = max(x.ndim for x in parts)
        parts = [x.reshape((1,) * (ndim - x.ndim) + x.shape) for x in parts]
        return concatenate(parts, -1 if self.columns else 0)


def _column(x):
    return x.reshape((-1, 1)) if x.ndim < 2 else x


class _Grid:
    """``np.mgrid`` and ``np.ogrid``, assignable inside a transform."""

    def __init__(self, original):
        self.original = original

    def __getitem__(self, key):
        out = self.original[key]
        return tuple(map(buffer, out)) if isinstance(out, tuple) else buffer(out)


r_, c_ = _Joined(np.r_, False), _Joined(np.c_, True)
mgrid, ogrid = _Grid(np.mgrid), _Grid(np.ogrid)

# --- functions ------------------------------------------------------------------------------------


@implements(np.i0)
def i0(x):
    """The modified Bessel function; `scipy.special` is imported where it is used."""
    return importlib.import_module("sciad.ops.bessel").i0(as_array(x))


def kaiser(M, beta):
    """``numpy.kaiser``; `beta` may be differentiated."""
    if not isinstance(beta, Array):
        return buffer(np.kaiser(M, beta))
    if M == 1:
        return 0.0 * beta.reshape((1,)) + 1.0
    half = (M - 1) / 2.0
    ramp = sqrt(1.0 - ((np.arange(M) - half) / half) ** 2)
    return i0(beta * ramp) / i0(beta)


@implements(np.einsum_path)
def einsum_path(*operands, optimize="greedy", einsum_call=False):
    """The order of contraction follows from the shapes."""
    blanks = [np.broadcast_to(0.0, x.shape) if isinstance(x, Array) else x for x in operands]
    return np.einsum_path(*blanks, optimize=optimize, einsum_call=einsum_call)
