"""sciad.special: names, plain results, plain SciPy calls, errors, values against known laws."""

import mpmath
import numpy as np
import pytest
from scipy import special as sp

import sciad
from sciad import check_grads, grad, special
from sciad.core.errors import ArgumentError, NoRuleError

X = np.array([0.3, 0.9, 2.1])


def test_names_are_scipys():
    assert special.__all__ == sorted(special.__all__)
    for name in special.__all__:
        assert callable(getattr(special, name))
        assert hasattr(sp, name) or name == "softplus"


OTHERS = [name for name in sp.__all__ if name not in special.__all__]


def test_every_name_of_scipys_stands_here():
    assert set(sp.__all__) <= set(dir(special))
    assert all(callable(getattr(special, name)) for name in OTHERS)
    with pytest.raises(AttributeError, match="'sciad.special' has no attribute 'kolmogorof'"):
        special.kolmogorof  # noqa: B018


@pytest.mark.parametrize("name, args", [
    ("kolmogorov", (X,)), ("diric", (X, 3)), ("jn_zeros", (1, 3)), ("ellipj", (X, 0.3)),
    ("roots_legendre", (3,)), ("sph_harm_y", (2, 1, X, X)), ("bernoulli", (4,)),
])
def test_functions_without_a_rule_are_scipys(name, args):
    np.testing.assert_equal(getattr(special, name)(*args), getattr(sp, name)(*args))


@pytest.mark.parametrize("name", [n for n in OTHERS if not isinstance(getattr(sp, n), type)])
def test_functions_without_a_rule_raise_by_name(name):
    for x in (1.0, X):
        with pytest.raises(NoRuleError, match=f"special.{name} has no derivative in sciad .*py:"):
            grad(lambda x: getattr(special, name)(x))(x)
    with pytest.raises(NoRuleError, match=f"special.{name} has no derivative"):
        grad(lambda x: getattr(special, name)([x[0], x[1]]))(X)


@pytest.mark.parametrize("f", [
    lambda x: special.jvp(1, x), lambda x: special.kvp(1.5, x, 2), lambda x: special.jn(2, x),
    lambda x: special.h1vp(1, x).real, lambda x: special.assoc_laguerre(x, 3, 0.5),
    lambda x: special.sinc(x), lambda x: special.legendre_p(3, x),
])
def test_what_scipy_composes(f):
    check_grads(f, (X,))


def test_the_derivatives_of_legendre_p_are_left_to_grad():
    np.testing.assert_array_equal(special.legendre_p(3, X), sp.legendre_p(3, X))
    with pytest.raises(ArgumentError, match="legendre_p: diff_n=1"):
        grad(lambda x: special.legendre_p(3, x, diff_n=1)[1])(0.3)


@pytest.mark.parametrize("name", ["erf", "gammaln", "expit", "j0", "softmax", "logsumexp"])
def test_plain_arguments_give_scipys_results(name):
    got, expected = getattr(special, name)(X), getattr(sp, name)(X)
    assert type(got) is type(expected)
    np.testing.assert_array_equal(got, expected)


def test_plain_results_of_other_signatures():
    assert special.zeta(2.0) == sp.zeta(2.0)
    np.testing.assert_array_equal(special.polygamma(1, X), sp.polygamma(1, X))
    np.testing.assert_array_equal(special.lambertw(X), sp.lambertw(X))
    np.testing.assert_array_equal(special.multigammaln(X + 2, 2), sp.multigammaln(X + 2, 2))
    np.testing.assert_allclose(special.softplus(X), np.log1p(np.exp(X)), rtol=1e-15)


def test_the_riemann_zeta_function_goes_on_below_one():
    s = np.array([-20.5, -2.0, -1.0, 0.0, 0.5, 0.999, 1.0, 1.5, 2.0, 30.0, np.inf, np.nan])
    for function in (sp.zeta, special.zeta):
        compiled = sciad.jit(lambda s, function=function: function(s), strict=True)
        np.testing.assert_array_equal(compiled(s), sp.zeta(s))
        assert compiled(0.5) == sp.zeta(0.5) and special.zeta(-1.0) == sp.zeta(-1.0)
    z = np.array([0.5 + 14j, -1.5 + 2j])
    np.testing.assert_array_equal(sciad.jit(special.zeta)(z), sp.zeta(z))
    assert sciad.vjp(lambda x: special.zeta(sciad.stop_gradient(x)) * x, 0.5)[0] == (
        0.5 * sp.zeta(0.5))


def test_lists_of_differentiated_values():
    check_grads(lambda x: special.erf([x[0], 2.0, x[1] * x[2]]), (X,))
    check_grads(lambda x: special.logsumexp([x[0], x[1] * x[2]]), (X,))
    check_grads(lambda x: special.gammaln(np.array([x[0], x[1]])), (X,))


def test_nested_transforms():
    third = grad(grad(grad(sp.erf)))
    exact = 2 / np.sqrt(np.pi) * np.exp(-0.49) * (4 * 0.49 - 2)
    np.testing.assert_allclose(third(0.7), exact, rtol=1e-13)
    check_grads(sp.gammaln, (1.3,), order=3)


@pytest.mark.parametrize("function, x, name", [
    (lambda v: sp.jv(v, 1.0), 0.5, "jv has no derivative by its v"),
    (lambda v: sp.kv(v, 1.0), 0.5, "kv has no derivative by its v"),
    (lambda s: special.zeta(s, 1.5), 2.5, "zeta has no derivative by its s"),
    (special.zeta, 0.5, "zeta has no derivative by its s"),
    (lambda a: sp.hyp2f1(a, 1.0, 2.0, 0.3), 0.5, "hyp2f1 has no derivative by its a"),
    (lambda n: sp.eval_legendre(n, 0.3), 2.5, "eval_legendre has no derivative by its n"),
    (grad(grad(lambda a: sp.gammainc(a, 0.4))), 1.5, "second derivative of gammainc"),
])
@pytest.mark.parametrize("transform", [grad, lambda f: lambda x: sciad.jvp(f, (x,), (1.0,))])
def test_what_has_no_derivative_raises_by_name(function, x, name, transform):
    with pytest.raises(NoRuleError, match=name):
        transform(function)(x)


def test_a_fixed_order_is_fine():
    slope = grad(lambda x: sp.jv(1.5 + 0.0 * sciad.stop_gradient(x), x))(0.7)
    np.testing.assert_allclose(slope, sp.jvp(1.5, 0.7), rtol=1e-12)


def test_polygamma_needs_a_whole_number():
    with pytest.raises(ArgumentError, match="polygamma: n=1.5"):
        grad(lambda x: special.polygamma(1.5, x))(1.0)


def difference(f, a):
    h = 1e-3 * min(a, 1.0)
    near, far = f(a + h) - f(a - h), f(a + 2 * h) - f(a - 2 * h)
    return (8 * near - far) / (12 * h)


@pytest.mark.parametrize("a", [0.01, 0.3, 1.0, 2.5, 30.0, 1000.0])
@pytest.mark.parametrize("ratio", [1e-6, 0.01, 0.5, 1.0, 1.1, 3.0, 300.0])
def test_gammainc_by_shape(a, ratio):
    x = a * ratio
    expected = difference(lambda a: sp.gammainc(a, x), a)
    np.testing.assert_allclose(grad(lambda a: sp.gammainc(a, x))(a), expected, rtol=1e-8,
                               atol=1e-9)


@pytest.mark.parametrize("a", [0.02, 0.5, 3.0, 80.0])
@pytest.mark.parametrize("b", [0.02, 0.5, 3.0, 200.0])
@pytest.mark.parametrize("x", [1e-6, 0.3, 0.5, 0.9999])
def test_betainc_by_shape(a, b, x):
    by_a, by_b = grad(lambda a, b: sp.betainc(a, b, x), argnums=(0, 1))(a, b)
    np.testing.assert_allclose(by_a, difference(lambda a: sp.betainc(a, b, x), a), rtol=1e-7,
                               atol=1e-9)
    np.testing.assert_allclose(by_b, difference(lambda b: sp.betainc(a, b, x), b), rtol=1e-7,
                               atol=1e-9)


def test_shape_derivatives_at_the_ends():
    assert grad(lambda a: sp.gammainc(a, 0.0))(1.5) == 0.0
    assert grad(lambda a: sp.gammainc(a, np.inf))(1.5) == 0.0
    assert grad(lambda a: sp.betainc(a, 2.0, 1.0))(1.5) == 0.0


def test_quantiles_invert():
    """d/da of P(a, Q(a, p)) = 0."""
    for inverse, function in [(sp.gammaincinv, sp.gammainc), (sp.gammainccinv, sp.gammaincc)]:
        slope = grad(lambda a, i=inverse, f=function: f(a, i(a, 0.3)))(1.7)
        assert abs(slope) < 1e-12
    slope = grad(lambda a: sp.betainc(a, 2.0, sp.betaincinv(a, 2.0, 0.3)))(1.7)
    assert abs(slope) < 1e-12


def test_legendre_relation():
    """E K' + E' K - K K' = pi / 2 for every m, so its derivative is 0."""
    def relation(m):
        e, k = special.ellipe, special.ellipk
        return e(m) * k(1 - m) + e(1 - m) * k(m) - k(m) * k(1 - m)

    for m in [0.05, 0.5, 0.9]:
        assert abs(grad(relation)(m)) < 1e-12 and abs(grad(grad(relation))(m)) < 1e-10


def test_logsumexp_with_minus_infinity():
    out, slope = sciad.value_and_grad(lambda x: special.logsumexp(x))(np.array([0.0, -np.inf]))
    assert out == 0.0
    np.testing.assert_array_equal(slope, [1.0, 0.0])


CARLSON = [(sp.elliprf, -0.5), (sp.elliprd, -1.5), (sp.elliprg, 0.5), (sp.elliprc, -0.5),
           (sp.elliprj, -1.5)]


@pytest.mark.parametrize("place", range(len(CARLSON)))
@pytest.mark.parametrize("z", [(1.0, 1.0, 1.0, 1.0), (1e-9, 2.0, 3e7, 0.4), (0.3, 0.3, 5.0, 5.0),
                               (2.0, 1e-12, 1.0, 1e12), (1.0, 2.0, 3.0, -0.7)])
def test_carlson_integrals_are_homogeneous(place, z):
    """Euler: sum_j z_j dR/dz_j = degree R, wherever arguments meet or lie far apart."""
    function, degree = CARLSON[place]
    z = z[-function.nin:]
    if z[-1] < 0 and function not in (sp.elliprc, sp.elliprj):
        pytest.skip("the function needs positive arguments")
    slopes = grad(function, tuple(range(len(z))))(*z)
    terms = np.array(z) * slopes
    np.testing.assert_allclose(np.sum(terms), degree * function(*z), rtol=0,
                               atol=1e-12 * np.max(np.abs(terms)))


def test_carlson_integrals_at_zero():
    assert grad(lambda x: sp.elliprf(x, 1.0, 2.0))(0.0) == -np.inf
    assert grad(lambda x: sp.elliprd(x, 1.0, 2.0))(0.0) == -np.inf
    np.testing.assert_allclose(grad(lambda x: sp.elliprg(x, 1.0, 2.0))(0.0),
                               sp.elliprf(0.0, 1.0, 2.0) / 4, rtol=1e-14)


def _log_ndtr(t):
    return mpmath.log(mpmath.erfc(-t / mpmath.sqrt(2)) / 2)


def _dawsn(t):
    return mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-t * t) * mpmath.erfi(t)


FAR_OUT = {
    "log_ndtr": (_log_ndtr, [-1e5, -1e4, -30.0, -1.0, 0.0, 3.0]),
    "erfcx": (lambda t: mpmath.exp(t * t) * mpmath.erfc(t), [-3.0, 0.5, 11.0, 13.0, 1e3, 1e5]),
    "dawsn": (_dawsn, [-1e3, -3.0, 0.5, 11.0, 13.0, 1e3]),
    "rgamma": (mpmath.rgamma, [-5.0, -3.0, -2.5, -1.0, 0.0, 0.25, 0.5, 0.75, 10.0]),
}


@pytest.mark.parametrize("name", FAR_OUT)
def test_slopes_do_not_cancel(name):
    """To second order, far out and at poles of the factors, against 60 digits of mpmath."""
    exact, points = FAR_OUT[name]
    f = getattr(special, name)
    for x in points:
        with mpmath.workdps(60):
            want = [float(mpmath.diff(exact, mpmath.mpf(x), order)) for order in (1, 2)]
        got = [sciad.grad(f)(x), sciad.grad(sciad.grad(f))(x)]
        np.testing.assert_allclose(got, want, rtol=2e-11)
        np.testing.assert_allclose(sciad.jit(sciad.grad(sciad.grad(f)))(x), want[1], rtol=2e-11)


def test_logsumexp_leaves_out_what_has_no_weight():
    b, x = np.array([1.0, -2.0, 0.0]), np.array([3.0, -1.0, 1000.0])
    value, slope = sciad.value_and_grad(lambda x: special.logsumexp(x, b=b))(x)
    assert value == pytest.approx(sp.logsumexp(x, b=b))
    terms = b[:2] * np.exp(x[:2])
    np.testing.assert_allclose(slope, [*terms / terms.sum(), 0.0])
    check_grads(lambda x, b: special.logsumexp(x, b=b), (x / 1e3, np.array([0.0, 1.0, 2.0])))


def test_logsumexp_of_nothing_but_zeros():
    rows = np.array([[-np.inf, -np.inf], [1.0, 2.0]])
    value, slope = sciad.vjp(lambda x: special.logsumexp(x, axis=1), rows)
    np.testing.assert_array_equal(value, sp.logsumexp(rows, axis=1))
    np.testing.assert_allclose(slope(np.ones(2))[0], [[0.0, 0.0], sp.softmax(rows[1])])
