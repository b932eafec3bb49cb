"""The case table of the Fourier transforms."""

import numpy as np

from tests.ops.cases import Case, complex_, real

NORMS = [None, "backward", "ortho", "forward"]


def _table():
    for name in ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]:
        f = getattr(np.fft, name)
        make = real if name in ("rfft", "ihfft") else complex_
        for norm in NORMS:
            for n in [5, 6]:
                yield Case(f"{name}[{norm},{n}]", lambda x, f=f, o=norm: f(x, norm=o), (make(n),))
        for n in [1, 3, 4, 7, 8]:
            yield Case(f"{name} to {n}", lambda x, f=f, n=n: f(x, n), (make(5),))
        yield Case(f"{name} axis", lambda x, f=f: f(x, axis=0), (make(4, 3),))
        yield Case(f"{name} of real", f, (real(5),))
        yield Case(f"{name}[single]", f,
                   (make(4, dtype=np.float32 if make is real else np.complex64),), 1)
        yield Case(f"{name} twice",
                   lambda x, f=f: np.abs(f(np.sin(x), axis=0)) ** 2, (real(4, 2),))
    for name in ["fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn"]:
        f = getattr(np.fft, name)
        make = real if name.startswith("r") else complex_
        for norm in NORMS:
            yield Case(f"{name}[{norm}]", lambda x, f=f, o=norm: f(x, norm=o), (make(3, 4),))
        yield Case(f"{name} sizes", lambda x, f=f: f(x, (5, 3), (1, 0)), (make(3, 4),))
        yield Case(f"{name} of a stack", lambda x, f=f: f(x, axes=(-2, -1)), (make(2, 3, 4),))
    for f in [np.fft.fftshift, np.fft.ifftshift]:
        yield Case(f.__name__, lambda x, f=f: f(x) * x, (real(3, 4),))
        yield Case(f"{f.__name__} axis", lambda x, f=f: f(x, axes=0) * x, (real(3, 4),))


CASES = list(_table())
