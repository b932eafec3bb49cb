"""Fourier transforms: laws, frequencies, errors."""

import numpy as np
import pytest

from sciad import check_grads, grad
from sciad import numpy as snp
from sciad.core.errors import ArgumentError

X = np.array([0.3, -1.2, 0.7, 2.1, -0.4])


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [4, 5])
def test_energy_is_kept(norm, n):
    """Parseval: the sum of |F x|^2 is a multiple of the sum of x^2, and so are the gradients."""
    x = X[:n]
    scale = {"backward": n, "ortho": 1, "forward": 1 / n}[norm]
    slope = grad(lambda x: np.sum(np.abs(np.fft.fft(x, norm=norm)) ** 2))(x)
    np.testing.assert_allclose(slope, 2 * scale * x, rtol=1e-13)


def test_a_transform_and_its_inverse():
    for forth, back in [(np.fft.fft, np.fft.ifft), (np.fft.rfft, lambda y: np.fft.irfft(y, 5)),
                        (np.fft.ihfft, lambda y: np.fft.hfft(y, 5))]:
        slope = grad(lambda x, f=forth, b=back: np.sum(np.real(b(f(x))) ** 2))(X)
        np.testing.assert_allclose(slope, 2 * X, rtol=1e-13)


def test_a_spectral_derivative():
    k = 2j * np.pi * np.fft.fftfreq(5, 0.1)
    check_grads(lambda x: np.fft.ifft(k * np.fft.fft(x)).real, (X,))
    np.testing.assert_array_equal(snp.fft.fftfreq(5, 0.1), np.fft.fftfreq(5, 0.1))


def test_repeated_axes():
    check_grads(lambda x: np.fft.fftn(x, axes=(0, 0)), (X,))


@pytest.mark.parametrize("function, message", [
    (lambda x: np.fft.fft(x, 0), "fft: a transform over 0 points"),
    (lambda x: np.fft.fft(x, norm="unit"), "fft: norm='unit'"),
    (lambda x: np.fft.rfft(x * 1j), "rfft takes a real array, got complex128"),
    (lambda x: np.fft.fft(x, axis=2), "fft: axis 2 is out of range"),
    (lambda x: np.fft.fftn(x, (2, 2), (0,)), "fftn: s=.* differ in length"),
])
def test_errors_name_the_operation(function, message):
    with pytest.raises(ArgumentError, match=message):
        grad(lambda x: np.sum(np.abs(function(x))))(X)
