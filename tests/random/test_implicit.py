"""Implicit derivatives: those of the quantile function at a fixed quantile, to second order."""

import numpy as np
import pytest
from scipy import special as sp

import sciad
from sciad import random
from sciad.random.gamma import beta_draw, gamma_draw

SHAPES = [0.05, 0.4, 1.0, 3.3, 40.0]
QUANTILES = np.array([0.02, 0.3, 0.5, 0.9, 0.999])


def _difference(f, a):
    h = 1e-4 * a
    near, far = f(a + h) - f(a - h), f(a + 2 * h) - f(a - 2 * h)
    return (8 * near - far) / (12 * h)


@pytest.mark.parametrize("a", SHAPES)
def test_gamma_by_its_quantiles(a):
    x = sp.gammaincinv(a, QUANTILES)
    slope = np.diagonal(sciad.jacobian(lambda p: gamma_draw(x, p))(np.full(x.shape, a)))
    expected = _difference(lambda p: sp.gammaincinv(p, QUANTILES), a)
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-9 * x.max())


@pytest.mark.parametrize("a", SHAPES[1:])
def test_gamma_to_second_order(a):
    x = sp.gammaincinv(a, QUANTILES)

    def slope(p, u=QUANTILES):
        return sciad.jvp(lambda q: gamma_draw(sp.gammaincinv(p, u), q), (p,), (1.0,))[1]

    (_, (_, curve)) = _twice(lambda p: gamma_draw(x, p), a)
    np.testing.assert_allclose(curve, _difference(slope, a), rtol=1e-5, atol=1e-7 * x.max())


def _twice(f, a):
    """Value and slope, and their derivatives."""
    return sciad.jvp(lambda p: sciad.jvp(f, (p,), (1.0,)), (np.float64(a),), (1.0,))


@pytest.mark.parametrize("a, b", [(0.3, 0.3), (2.0, 5.0), (30.0, 0.8)])
def test_beta_by_its_quantiles(a, b):
    y = sp.betaincinv(a, b, QUANTILES)
    for k in (0, 1):
        at = [a, b]
        slope = sciad.jvp(lambda p, k=k: beta_draw(y, *([p, b] if k == 0 else [a, p])), (at[k],),
                          (1.0,))[1]
        expected = _difference(
            lambda p, k=k: sp.betaincinv(*([p, b] if k == 0 else [a, p]), QUANTILES), at[k])
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-8)


def test_modes_agree():
    x = np.array([0.2, 1.0, 4.0])

    def f(a):
        return np.sum(np.sin(gamma_draw(x, a)))

    forward = sciad.jvp(f, (2.0,), (1.0,))[1]
    np.testing.assert_allclose(sciad.grad(f)(2.0), forward, rtol=1e-13)
    curve = sciad.jvp(sciad.grad(f), (2.0,), (1.0,))[1]
    np.testing.assert_allclose(sciad.grad(sciad.grad(f))(2.0), curve, rtol=1e-10)


def test_draws_that_underflowed_do_not_move():
    slope = sciad.grad(lambda a: random.gamma(random.key(0), a, shape=50).sum())
    assert np.isfinite(slope(1e-3))
    assert sciad.grad(lambda a: gamma_draw(0.0, a))(1e-3) == 0.0
    for y in (0.0, 1.0):
        assert sciad.grad(lambda a, y=y: beta_draw(y, a, 1e-3))(1e-3) == 0.0
