"""Jacobians and Hessians over containers, and Wirtinger derivatives."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import ArgumentError, LostGradientError
from sciad.core.record import record

Z = np.array([0.3 + 0.4j, -1.2 + 0.7j, 0.9 - 0.2j])
X = np.array([0.3, 1.2, -0.7])
MODES = ["auto", "forward", "reverse"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("x", [X, X.astype(np.float32), X.reshape(1, 3), np.float64(0.5),
                               np.zeros(0), np.zeros((2, 0))], ids=lambda x: f"{x.shape}{x.dtype}")
def test_elementwise(mode, x):
    got = sciad.jacobian(np.sin, mode=mode)(x)
    want = np.diag(np.cos(x).ravel()).reshape(x.shape + x.shape)
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_containers(mode):
    def f(p, q):
        return {"y": p["a"] * q, "s": (np.sum(p["b"] ** 2) * p["a"], 3)}

    p = {"a": 2.0, "b": np.arange(6.0).reshape(2, 3)}
    slopes = sciad.jacobian(f, argnums=(0, 1), mode=mode)(p, X)
    np.testing.assert_allclose(slopes["y"][0]["a"], X)
    np.testing.assert_array_equal(slopes["y"][0]["b"], np.zeros((3, 2, 3)))
    np.testing.assert_allclose(slopes["y"][1], 2.0 * np.eye(3))
    np.testing.assert_allclose(slopes["s"][0][0]["b"], 4.0 * p["b"])
    np.testing.assert_array_equal(slopes["s"][1][0]["b"], np.zeros((2, 3)))


def test_aux_and_one_run():
    runs = []

    def f(x):
        runs.append(1)
        return x * np.random.default_rng(0).normal(), {"norm": np.sum(x), "note": "kept"}

    slopes, aux = sciad.jacobian(f, mode="forward", has_aux=True)(X)
    assert len(runs) == 1 and aux["note"] == "kept" and isinstance(aux["norm"], np.float64)
    assert slopes.shape == (3, 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("f, slope", [
    (lambda z: z**3, lambda z: 3 * z**2), (np.exp, np.exp), (lambda z: 1.0 / z, lambda z: -z**-2),
])
def test_complex_derivative(mode, f, slope):
    np.testing.assert_allclose(sciad.jacobian(f, mode=mode)(Z), np.diag(slope(Z)), rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_complex_result_of_real_argument(mode):
    np.testing.assert_allclose(sciad.jacobian(lambda x: np.exp(1j * x), mode=mode)(X),
                               np.diag(1j * np.exp(1j * X)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("f", [np.conj, np.real, lambda z: np.sum(abs(z) ** 2),
                               lambda z: z + 1e-6 * np.conj(z)])
def test_no_complex_derivative(f, mode):
    with pytest.raises(LostGradientError, match="sciad.wirtinger"):
        sciad.jacobian(f, mode=mode)(Z)


@pytest.mark.parametrize("f, dz, dzbar", [
    (lambda z: z**2, lambda z: 2 * z, lambda z: 0 * z),
    (np.conj, lambda z: 0 * z, lambda z: 0 * z + 1),
    (lambda z: abs(z) ** 2, np.conj, lambda z: z),
    (np.real, lambda z: 0 * z + 0.5, lambda z: 0 * z + 0.5),
], ids=["square", "conj", "abs2", "real"])
def test_wirtinger(f, dz, dzbar):
    for z in Z:
        got = sciad.wirtinger(f)(z)
        assert all(part.shape == () for part in got)
        np.testing.assert_allclose(got, (dz(z), dzbar(z)), atol=1e-14)
    got = sciad.wirtinger(f)(Z)
    np.testing.assert_allclose(got, (np.diag(dz(Z)), np.diag(dzbar(Z))), atol=1e-14)
    total = sciad.wirtinger(lambda z: np.sum(f(z)))(np.tile(Z, 4))
    np.testing.assert_allclose(total, (np.tile(dz(Z), 4), np.tile(dzbar(Z), 4)), atol=1e-14)


def test_hessian_of_containers():
    def f(p):
        return p["a"] ** 2 * np.sum(p["b"] ** 3)

    p = {"a": 2.0, "b": X}
    h = sciad.hessian(f)(p)
    np.testing.assert_allclose(h["a"]["a"], 2 * np.sum(X**3))
    np.testing.assert_allclose(h["b"]["b"], np.diag(24 * X))
    np.testing.assert_allclose(h["a"]["b"], 12 * X**2)
    np.testing.assert_allclose(h["b"]["a"], 12 * X**2)


@pytest.mark.parametrize("mode", MODES)
def test_nested_and_compiled(mode):
    def f(x):
        return np.sum(sciad.jacobian(lambda x: np.sin(x) * x[0], mode=mode)(x) ** 2)

    sciad.check_grads(f, (X,), order=1)
    np.testing.assert_allclose(sciad.jit(f)(X), f(X))


def test_unknown_mode():
    with pytest.raises(ArgumentError, match="'auto', 'forward' or 'reverse'"):
        sciad.jacobian(np.sin, mode="both")


@pytest.mark.parametrize("derivative, f, x", [
    (sciad.hessian, lambda a: np.sum(np.linalg.solve(a, np.ones(8)) ** 2),
     np.eye(8) + 0.01 * np.arange(64.0).reshape(8, 8) ** 0.5),
    (sciad.jacobian, lambda x: np.sin(np.outer(x, x))[0] * np.cumsum(x * np.exp(x)),
     np.linspace(0.1, 1.0, 60)),
    (sciad.jacobian, lambda x: np.cumsum(np.tanh(x[::2] * x[1::2])), np.linspace(0.1, 1.0, 60)),
], ids=["hessian", "by columns", "by rows"])
def test_long_recorded_derivatives_are_loops(derivative, f, x):
    graph = record(derivative(f), x).graph
    assert len(graph.equations) < 300 and "scan" in str(graph)
    got, want = sciad.jit(derivative(f), strict=True)(x), derivative(f)(x)
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    again = sciad.grad(lambda x: np.sum(np.abs(sciad.jit(derivative(f))(x)) ** 2))
    np.testing.assert_allclose(
        again(x), sciad.grad(lambda x: np.sum(np.abs(derivative(f)(x)) ** 2))(x), rtol=1e-9)


@pytest.mark.parametrize("n", [3, 90])
def test_complex_jacobians_are_recorded_with_their_check(n):
    z = np.linspace(0.1, 1.0, n) + 0.5j
    f = sciad.jit(sciad.jacobian(lambda z: np.exp(z * z) * np.cumsum(z)), strict=True)
    np.testing.assert_allclose(f(z), sciad.jacobian(lambda z: np.exp(z * z) * np.cumsum(z))(z),
                               rtol=1e-12, atol=1e-12)
    with pytest.raises(LostGradientError, match="has no complex derivative.*sciad.wirtinger"):
        sciad.jit(sciad.jacobian(lambda z: z * np.conj(z)), strict=True)(z)
