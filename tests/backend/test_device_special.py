"""Special functions that are composed on a device: SciPy's values, over orders and arguments."""

import numpy as np
import pytest
from scipy import special as sp

import sciad
from sciad import special
from sciad.core.errors import NoRuleError
from tests.backend.strict import strict

X = np.concatenate([[0.0], np.logspace(-8, 2.5, 400)])
UNIT = np.linspace(-1.0, 1.0, 41)


def on_device(name, *args):
    """The value under a transform, which evaluates the operation on the device."""
    moved = strict.asarray(args[-1])
    return sciad.vjp(lambda x: getattr(special, name)(*args[:-1], x), moved)[0].get()


def close(got, expected, tolerance):
    """To a tolerance relative to the value, or to 1 where that is larger."""
    assert got.dtype == expected.dtype
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    error = np.abs(got - expected)[finite] / np.maximum(1.0, np.abs(expected[finite]))
    assert np.max(error, initial=0.0) < tolerance


@pytest.mark.parametrize("name, most", [("jv", 20), ("jve", 20), ("ive", 8), ("kve", 20)])
def test_bessel_functions_of_whole_order(name, most):
    for n in (0, 1, 2, 3, 7, most, -1, -2, -5):
        for x in (X, -X) if name != "kve" else (X[1:],):
            got, expected = on_device(name, n, x), getattr(sp, name)(n, x)
            close(got, expected, 1e-11)


@pytest.mark.parametrize("name", ["yv", "kv", "iv"])
def test_unscaled_ones(name):
    x = np.linspace(0.1, 60.0, 300)
    for n in (0, 2, 5, 8, -3):
        close(on_device(name, n, x), getattr(sp, name)(n, x), 1e-11)


@pytest.mark.parametrize("name", ["spherical_jn", "spherical_yn", "spherical_in", "spherical_kn"])
def test_spherical_ones(name):
    x = np.linspace(0.1, 60.0, 300)
    for n in (0, 1, 2, 5, 8):
        close(on_device(name, n, x), getattr(sp, name)(n, x), 1e-11)


def test_small_arguments_keep_their_digits():
    x = np.logspace(-6, 0, 50)
    for name in ("jv", "ive", "spherical_jn", "spherical_in"):
        np.testing.assert_allclose(on_device(name, 5, x), getattr(sp, name)(5, x), rtol=1e-12)


@pytest.mark.parametrize("name, parameters", [
    ("eval_legendre", ()), ("eval_chebyt", ()), ("eval_chebyu", ()), ("eval_hermite", ()),
    ("eval_hermitenorm", ()), ("eval_laguerre", ()), ("eval_gegenbauer", (1.5,)),
    ("eval_genlaguerre", (0.5,)), ("eval_jacobi", (0.5, 1.5)), ("eval_jacobi", (0.0, 0.0)),
    ("eval_jacobi", (-0.5, 0.5)),
])
def test_orthogonal_polynomials(name, parameters):
    for n in (0, 1, 2, 5, 12):
        close(on_device(name, n, *parameters, UNIT), getattr(sp, name)(n, *parameters, UNIT), 1e-12)
    degrees = np.arange(6)[:, None]
    got = sciad.vjp(lambda x: getattr(special, name)(strict.asarray(degrees), *parameters, x),
                    strict.asarray(UNIT))[0].get()
    close(got, getattr(sp, name)(degrees, *parameters, UNIT), 1e-12)


@pytest.mark.parametrize("a, b", [(2.0, 3.0), (3.0, 4.0), (0.5, 1.5), (1.0, 1.5)])
def test_hyp1f1(a, b):
    z = np.concatenate([-np.logspace(-6, 2, 50), [0.0], np.logspace(-6, 2, 50)])
    np.testing.assert_allclose(on_device("hyp1f1", a, b, z), sp.hyp1f1(a, b, z), rtol=1e-11)


@pytest.mark.parametrize("a, b, c", [(1.5, 1.5, 2.0), (2.5, 2.5, 3.0), (0.5, 1.5, 2.0),
                                     (1.0, 1.0, 2.0), (-0.5, 0.5, 1.0)])
def test_hyp2f1(a, b, c):
    z = np.concatenate([-np.logspace(-6, 2, 50), [0.0], 1.0 - np.logspace(-10, 0, 60)])
    np.testing.assert_allclose(on_device("hyp2f1", a, b, c, z), sp.hyp2f1(a, b, c, z), rtol=1e-11)
    at_one = on_device("hyp2f1", a, b, c, np.array([1.0, 1.5]))
    assert np.isinf(at_one[0]) == (a >= c - b) and np.isnan(at_one[1])


@pytest.mark.parametrize("name, args", [
    ("powm1", (0.7, np.array([-1e-9, 0.3, 2.0]))), ("ellipe", (np.array([-3.0, 0.0, 0.4, 1.0]),)),
    ("betaincc", (1.5, 0.3, np.array([1e-12, 0.3, 1.0]))),
    ("betainccinv", (1.5, 2.3, np.array([0.1, 0.3, 0.8]))),
    ("stdtr", (2.5, np.array([-400.0, -3.0, -1e-9, 0.0, 0.4, 2.0, 90.0]))),
    ("stdtrit", (2.5, np.array([1e-12, 0.1, 0.4, 0.5, 0.6, 0.99]))),
    ("elliprf", (1e-6, 2.0, np.array([0.0, 0.3, 1e5]))),
    ("elliprd", (0.0, 2.0, np.array([1e-3, 0.3, 1e5]))),
    ("sici", (np.array([1e-3, 0.3, 9.0]),)), ("shichi", (np.array([1e-3, 0.3, 9.0]),)),
])
def test_one_formula_each(name, args):
    moved = strict.asarray(args[-1])
    got = sciad.vjp(lambda x: getattr(special, name)(*args[:-1], x), moved)[0]
    pairs = zip(got, getattr(sp, name)(*args), strict=True) if isinstance(got, tuple) else [
        (got, getattr(sp, name)(*args))]
    for a, b in pairs:
        np.testing.assert_allclose(a.get(), b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("f, name", [
    (lambda x: special.jv(0.5, x), "jv"), (lambda x: special.jv(21, x), "jv"),
    (lambda x: special.iv(9, x), "iv"), (lambda x: special.eval_legendre(2.5, x), "eval_legendre"),
    (lambda x: special.eval_hermite(-1, x), "eval_hermite"),
    (lambda x: special.hyp1f1(2.0, 1.0, x), "hyp1f1"),
    (lambda x: special.hyp2f1(1.0, x, 2.0, x), "hyp2f1"),
])
def test_other_orders_raise_by_name(f, name):
    with pytest.raises(NoRuleError, match=f"{name} does not exist for arrays of cupy"):
        sciad.vjp(f, strict.asarray(UNIT))
