"""A tableau proves its own order, and a wrong one cannot be made."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import RK45 as ScipyRK45

from sciad.ode import tableau
from sciad.ode.tableau import RK45, TSIT5

METHODS = [RK45, TSIT5]


def test_counts_of_rooted_trees():
    assert [len(tableau.trees(order)) for order in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]


def test_densities():
    chain = ()
    for order in range(2, 6):
        chain = (chain,)
        bush = ((),) * (order - 1)
        assert tableau.density(chain) == np.prod(np.arange(1, order + 1))
        assert tableau.density(bush) == order
        assert chain in tableau.trees(order) and bush in tableau.trees(order)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_order_is_not_higher(method):
    assert any(
        abs(method.b @ tableau.weights(tree, method.a) - 1 / tableau.density(tree)) > 1e-6
        for tree in tableau.trees(method.order + 1)
    )
    assert any(
        abs(method.e @ tableau.weights(tree, method.a)) > 1e-6
        for tree in tableau.trees(method.error_order + 1)
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("field", ["c", "a", "b", "e", "dense"])
def test_a_wrong_digit_is_found(method, field):
    for index in zip(*np.nonzero(getattr(method, field)), strict=True):
        wrong = np.array(getattr(method, field))
        wrong[index] += 1e-9
        with pytest.raises(ValueError, match=method.name):
            replace(method, **{field: wrong})


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_coefficients_are_constant(method):
    with pytest.raises(ValueError, match="read-only"):
        method.a[0, 0] = 1.0


def test_rk45_is_scipys():
    assert np.array_equal(RK45.a[:6, :5], ScipyRK45.A)
    assert np.array_equal(RK45.b[:6], ScipyRK45.B)
    assert np.array_equal(RK45.e, ScipyRK45.E)
    assert np.array_equal(RK45.dense, ScipyRK45.P)
