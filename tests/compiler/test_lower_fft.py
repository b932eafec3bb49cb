"""Fourier transforms in machine code: NumPy's own loops, to the bit."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm, lower_fft
from sciad.core.array import Array

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

RNG = np.random.default_rng(3)
Z = RNG.normal(size=(4, 6, 9)) + 1j * RNG.normal(size=(4, 6, 9))

COMPLEX = {
    "fft": np.fft.fft, "first axis": lambda a: np.fft.fft(a, axis=0),
    "middle axis": lambda a: np.fft.ifft(a, axis=1, norm="ortho"), "fftn": np.fft.fftn,
    "ifft2": lambda a: np.fft.ifft2(a, norm="forward"), "padded": lambda a: np.fft.fft(a, 16),
    "cropped": lambda a: np.fft.ifft(a, 5, axis=1), "one line": lambda a: np.fft.fft(a[0, 0]),
    "one number": lambda a: np.fft.fft(a, 1, axis=0),
}
REAL = {
    "rfft": np.fft.rfft, "rfft even": lambda a: np.fft.rfft(a, 8), "rfftn": np.fft.rfftn,
    "rfft middle": lambda a: np.fft.rfft(a, axis=1, norm="ortho"),
    "irfft": lambda a: np.fft.irfft(np.fft.rfft(a)),
    "irfft odd": lambda a: np.fft.irfft(np.fft.rfft(a, axis=0), 5, axis=0, norm="forward"),
    "irfftn": lambda a: np.fft.irfftn(np.fft.rfftn(a)),
}


def check(f, x):
    """The value, to the bit of the transform and of what is computed with it."""
    jitted = sciad.jit(f, strict=True)
    got, want = jitted(x), f(x)
    assert got.dtype == want.dtype and got.shape == want.shape
    eps = np.finfo(want.dtype).eps
    np.testing.assert_allclose(got, want, rtol=4 * eps, atol=4 * eps * np.abs(want).max())
    assert jitted.report().signatures[0]["callbacks"] == []


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64, np.float64, np.float32, int])
@pytest.mark.parametrize("name", COMPLEX)
def test_transforms(name, dtype):
    real = np.dtype(dtype).kind != "c"
    check(COMPLEX[name], ((10 * Z.real).round() if real else Z).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", REAL)
def test_transforms_of_real_numbers(name, dtype):
    check(REAL[name], Z.real.astype(dtype))


@pytest.mark.parametrize("name", [*COMPLEX, *REAL])
def test_gradients(name):
    f = {**COMPLEX, **REAL}[name]
    slope = sciad.grad(lambda a: np.sum(np.abs(f(a)) ** 3))
    x = Z.real if name in REAL else Z
    jitted = sciad.jit(slope, strict=True)
    want = slope(x)
    np.testing.assert_allclose(jitted(x), want, rtol=1e-12, atol=1e-12 * np.abs(want).max())
    assert jitted.report().signatures[0]["callbacks"] == []


def test_views_and_orders_in_memory():
    for a in (Z.T, Z[:, ::-2], np.asfortranarray(Z), Z.transpose(1, 0, 2)[1:]):
        check(lambda a: np.fft.fft(a, axis=0) * 2.0, a)
    check(lambda a: np.fft.fft(a.T, axis=0)[1:, ::2], Z)


def test_in_loops_branches_and_maps():
    """A wave that disperses: a hundred split steps, and its gradient by the speed."""
    x = np.linspace(-3.0, 3.0, 64)

    def energy(c):
        phase = np.exp(-1j * c * np.fft.fftfreq(64) ** 2)

        def step(_, psi):
            return np.fft.ifft(phase * np.fft.fft(psi)) * np.exp(-1j * c * x**2)

        psi = sciad.fori_loop(0, 100, step, np.exp(-(x**2)) + 0j)
        return np.sum(np.abs(psi[:20]) ** 2)

    slope = sciad.value_and_grad(energy)
    jitted = sciad.jit(slope, strict=True)
    np.testing.assert_allclose(jitted(0.3), slope(0.3), rtol=1e-11)
    assert jitted.report().signatures[0]["callbacks"] == []
    many = sciad.jit(sciad.vmap(lambda c: np.fft.fft(np.cos(c * x)).real), strict=True)
    np.testing.assert_allclose(many(np.arange(3.0)), [np.fft.fft(np.cos(c * x)).real
                                                      for c in range(3)], atol=1e-12)


def test_a_numpy_of_another_design_is_called_back(monkeypatch):
    lower_fft._symbol.cache_clear()
    monkeypatch.setattr(lower_fft, "_loop", lambda name, letter: None)
    f = sciad.jit(lambda a: np.fft.fft(a) + 0.125, strict=True)
    np.testing.assert_array_equal(f(Z), np.fft.fft(Z) + 0.125)
    assert len(f.report().signatures[0]["callbacks"]) == 1
    lower_fft._symbol.cache_clear()


def test_saved_functions_find_the_loops_again(tmp_path):
    f = sciad.jit(np.fft.fft, strict=True)
    f(Z)
    f.save(tmp_path / "fft.sciad")
    loaded = sciad.load_compiled(tmp_path / "fft.sciad")
    np.testing.assert_array_equal(loaded(Z), np.fft.fft(Z))
    assert type(sciad.grad(lambda z: np.sum(np.abs(loaded(z))))(Z)) is not Array
