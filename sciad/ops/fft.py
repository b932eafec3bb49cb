"""Discrete Fourier transforms over given axes; padding and cropping stand in `sciad.numpy.fft`.

With W the unscaled transform over N points, W^H is the unscaled inverse, so the adjoint of a
transform is the other direction with its scale kept: "backward" and "forward" change places.

For a real x of length n, rfft keeps the entries 0..n//2 of W x. Under Re<a, b>, with w_k = 1 where
an entry stands alone (k = 0, and k = n/2 for even n) and 2 where its conjugate was dropped,

    irfft(C) = Re sum_k w_k C_k exp(2 pi i j k / n) / n
    rfft*  g = n irfft(g / w),        irfft* g = w rfft(g) / n

(the imaginary parts of the lone entries of C have no effect, and rfft returns 0 there).
"""

import numpy as np

from sciad.core.backend import beside
from sciad.core.graph import Type
from sciad.core.patterns import Groups, along
from sciad.core.rules import Linear
from sciad.ops.elementwise import conj, real

SWAPPED = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The scale of the adjoint."""


def _full(x, axes, inverse, norm):
    return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axes, norm=norm)


def _full_adjoint(g, x, axes, inverse, norm):
    part = fft_p(g, axes=axes, inverse=not inverse, norm=SWAPPED[norm])
    return part if x.dtype.kind == "c" else real(part)


def _lines(out, x, axes):
    """The pattern: each entry depends on all those along the axes."""
    return Groups(along(out.shape, axes), along(x.shape, axes))


def _complex(dtype):
    return np.fft.fft(np.ones(2, dtype)).dtype


fft_p = Linear("fft", _full, lambda x, axes, inverse, norm: Type(x.shape, _complex(x.dtype)),
               _full_adjoint, lambda k, out, args, params: _lines(out, args[0], params["axes"]))


def _with_last(shape, axis, extent):
    return (*shape[:axis], extent, *shape[axis + 1:])


def _weights(n, axis, ndim):
    """How often each entry of a half spectrum counts in the full one."""
    weights = np.full(n // 2 + 1, 2.0)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    return weights.reshape((-1,) + (1,) * (ndim - axis - 1))


def _rfft_adjoint(g, x, n, axis, norm):
    weights = beside(_weights(n, axis, len(x.shape)).astype(x.dtype), g)
    return irfft_p(g / weights, n=n, axis=axis, norm=SWAPPED[norm])


def _irfft_adjoint(g, x, n, axis, norm):
    part = rfft_p(g, n=n, axis=axis, norm=SWAPPED[norm])
    part = part * beside(_weights(n, axis, len(x.shape)).astype(g.dtype), g)
    return part if x.dtype.kind == "c" else real(part)


rfft_p = Linear(
    "rfft", lambda x, n, axis, norm: np.fft.rfft(x, n, axis, norm),
    lambda x, n, axis, norm: Type(_with_last(x.shape, axis, n // 2 + 1), _complex(x.dtype)),
    _rfft_adjoint, lambda k, out, args, params: _lines(out, args[0], (params["axis"],)))
irfft_p = Linear(
    "irfft", lambda x, n, axis, norm: np.fft.irfft(x, n, axis, norm),
    lambda x, n, axis, norm: Type(_with_last(x.shape, axis, n),
                                  np.empty(0, _complex(x.dtype)).real.dtype),
    _irfft_adjoint, lambda k, out, args, params: _lines(out, args[0], (params["axis"],)))


def hfft(x, n, axis, norm):
    """The real transform of half a Hermitian-symmetric signal."""
    return irfft_p(conj(x), n=n, axis=axis, norm=SWAPPED[norm])


def ihfft(x, n, axis, norm):
    """The inverse of `hfft`."""
    return conj(rfft_p(x, n=n, axis=axis, norm=SWAPPED[norm]))
