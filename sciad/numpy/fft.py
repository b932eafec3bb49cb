"""``numpy.fft``: the transforms with NumPy's lengths, axes and norms."""

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.creation import _fresh
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.shaping import roll
from sciad.ops import fft as ops
from sciad.ops.shape import concatenate, normalize_axis

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]

fftfreq, rfftfreq = _fresh(np.fft.fftfreq), _fresh(np.fft.rfftfreq)


def _resized(x, n, axis, name):
    """`x` cropped or padded with zeros to `n` entries along an axis."""
    extent = x.shape[axis]
    if n < 1:
        raise ArgumentError(f"{name}: a transform over {n} points{at_line()}; n must be positive")
    if n <= extent:
        return x if n == extent else x[(slice(None),) * axis + (slice(n),)]
    padding = np.zeros((*x.shape[:axis], n - extent, *x.shape[axis + 1:]), x.dtype)
    return concatenate([x, padding], axis)


def _checked_norm(norm, name):
    if norm not in ops.SWAPPED:
        raise ArgumentError(f"{name}: norm={norm!r}, must be 'backward', 'ortho' or 'forward'"
                            f"{at_line()}")
    return norm


def _real_input(x, name):
    if x.dtype.kind == "c":
        raise ArgumentError(f"{name} takes a real array, got {x.dtype}{at_line()}; "
                            "use x.real or the complex transform")
    return x


def _lengths(x, s, axes, name):
    """Lengths and axes of a transform over several axes."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    axes = [normalize_axis(a, x.ndim, name) for a in axes]
    lengths = [x.shape[a] for a in axes] if s is None else list(s)
    if len(lengths) != len(axes):
        raise ArgumentError(f"{name}: s={s} and axes={axes} differ in length{at_line()}")
    return [x.shape[a] if n == -1 else n for n, a in zip(lengths, axes, strict=True)], axes


def _many(x, s, axes, norm, inverse, name):
    lengths, axes = _lengths(x, s, axes, name)
    _checked_norm(norm, name)
    for n, axis in zip(lengths, axes, strict=True):
        x = _resized(x, n, axis, name)
    if len(set(axes)) == len(axes):
        return ops.fft_p(x, axes=tuple(axes), inverse=inverse, norm=norm)
    for axis in axes:
        x = ops.fft_p(x, axes=(axis,), inverse=inverse, norm=norm)
    return x


def _one(a, n, axis, norm, inverse, name):
    return _many(as_array(a), None if n is None else (n,), (axis,), norm, inverse, name)


@implements(np.fft.fft)
def fft(a, n=None, axis=-1, norm=None):
    return _one(a, n, axis, norm, False, "fft")


@implements(np.fft.ifft)
def ifft(a, n=None, axis=-1, norm=None):
    return _one(a, n, axis, norm, True, "ifft")


@implements(np.fft.fftn)
def fftn(a, s=None, axes=None, norm=None):
    return _many(as_array(a), s, axes, norm, False, "fftn")


@implements(np.fft.ifftn)
def ifftn(a, s=None, axes=None, norm=None):
    return _many(as_array(a), s, axes, norm, True, "ifftn")


@implements(np.fft.fft2)
def fft2(a, s=None, axes=(-2, -1), norm=None):
    return _many(as_array(a), s, axes, norm, False, "fft2")


@implements(np.fft.ifft2)
def ifft2(a, s=None, axes=(-2, -1), norm=None):
    return _many(as_array(a), s, axes, norm, True, "ifft2")


# --- real signals ---------------------------------------------------------------------------------


@implements(np.fft.rfft)
def rfft(a, n=None, axis=-1, norm=None):
    return _rfft(_real_input(as_array(a), "rfft"), n, axis, norm, "rfft")


def _rfft(x, n, axis, norm, name):
    axis = normalize_axis(axis, x.ndim, name)
    n = x.shape[axis] if n is None else n
    return ops.rfft_p(_resized(x, n, axis, name), n=n, axis=axis, norm=_checked_norm(norm, name))


@implements(np.fft.irfft)
def irfft(a, n=None, axis=-1, norm=None):
    return _irfft(as_array(a), n, axis, norm, "irfft")


def _half(x, n, axis, name):
    """The half spectrum, its length and axis, for a result of `n` entries."""
    axis = normalize_axis(axis, x.ndim, name)
    n = 2 * (x.shape[axis] - 1) if n is None else n
    if n < 1:
        raise ArgumentError(f"{name}: a transform over {n} points{at_line()}; n must be positive")
    return _resized(x, n // 2 + 1, axis, name), n, axis


def _irfft(x, n, axis, norm, name):
    x, n, axis = _half(x, n, axis, name)
    return ops.irfft_p(x, n=n, axis=axis, norm=_checked_norm(norm, name))


@implements(np.fft.hfft)
def hfft(a, n=None, axis=-1, norm=None):
    x, n, axis = _half(as_array(a), n, axis, "hfft")
    return ops.hfft(x, n, axis, _checked_norm(norm, "hfft"))


@implements(np.fft.ihfft)
def ihfft(a, n=None, axis=-1, norm=None):
    x = _real_input(as_array(a), "ihfft")
    axis = normalize_axis(axis, x.ndim, "ihfft")
    n = x.shape[axis] if n is None else n
    return ops.ihfft(_resized(x, n, axis, "ihfft"), n, axis, _checked_norm(norm, "ihfft"))


def _rfftn(x, s, axes, norm, name):
    _real_input(x, name)
    lengths, axes = _lengths(x, s, axes, name)
    half = _rfft(x, lengths[-1], axes[-1], norm, name)
    return _many(half, lengths[:-1], axes[:-1], norm, False, name) if axes[:-1] else half


def _irfftn(x, s, axes, norm, name):
    lengths, axes = _lengths(x, s, axes, name)
    last = lengths[-1] if s is not None and s[-1] != -1 else None
    full = _many(x, lengths[:-1], axes[:-1], norm, True, name) if axes[:-1] else x
    return _irfft(full, last, axes[-1], norm, name)


@implements(np.fft.rfftn)
def rfftn(a, s=None, axes=None, norm=None):
    return _rfftn(as_array(a), s, axes, norm, "rfftn")


@implements(np.fft.irfftn)
def irfftn(a, s=None, axes=None, norm=None):
    return _irfftn(as_array(a), s, axes, norm, "irfftn")


@implements(np.fft.rfft2)
def rfft2(a, s=None, axes=(-2, -1), norm=None):
    return _rfftn(as_array(a), s, axes, norm, "rfft2")


@implements(np.fft.irfft2)
def irfft2(a, s=None, axes=(-2, -1), norm=None):
    return _irfftn(as_array(a), s, axes, norm, "irfft2")


# --- order of frequencies -------------------------------------------------------------------------


def _shifted(x, axes, halves):
    x, axes = x.copy(), range(x.ndim) if axes is None else axes
    for axis in axes if not isinstance(axes, int) else (axes,):
        x = roll(x, halves(x.shape[axis]), axis)
    return x


@implements(np.fft.fftshift)
def fftshift(x, axes=None):
    return _shifted(as_array(x), axes, lambda n: n // 2)


@implements(np.fft.ifftshift)
def ifftshift(x, axes=None):
    return _shifted(as_array(x), axes, lambda n: -(n // 2))
