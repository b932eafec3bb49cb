"""Fractions, decimals, mpmath and uncertainties: differentiated with their own arithmetic.

Fractions give exact values, so results are compared with ``==``; mpmath's are compared with its own
`diff` to 35 of 40 digits; uncertainties with linear propagation, done by hand.
"""

import warnings
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mpf
from uncertainties import ufloat, umath

import sciad
from sciad import numpy as snp

A, B, C = Fraction(1, 2), Fraction(-3, 7), Fraction(5, 3)
V = np.array([A, B, C], object)


@pytest.fixture(autouse=True)
def forty_digits():
    with mpmath.workdps(40):
        yield


def exact(x, kind=Fraction):
    """The entries of a result, which must all be of a type."""
    entries = x.ravel().tolist() if isinstance(x, np.ndarray) else [x]
    assert all(type(entry) is kind for entry in entries), entries
    return entries


# --- fractions ------------------------------------------------------------------------------------

SCALARS = {
    "square": (lambda x: x**2, lambda x: 2 * x, lambda x: Fraction(2)),
    "cube": (lambda x: 2 * x**3 - x / 3, lambda x: 6 * x**2 - Fraction(1, 3), lambda x: 12 * x),
    "inverse": (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "negative power": (lambda x: x**-2, lambda x: -2 / x**3, lambda x: 6 / x**4),
    "quotient": (lambda x: (x + 1) / (x * x + 1),
                 lambda x: (1 - 2 * x - x * x) / (x * x + 1) ** 2,
                 lambda x: 2 * (x**3 + 3 * x * x - 3 * x - 1) / (x * x + 1) ** 3),
    "branch": (lambda x: x * x if x > 0 else -3 * x * x * x,
               lambda x: 2 * x if x > 0 else -9 * x * x,
               lambda x: Fraction(2) if x > 0 else -18 * x),
    "loop": (lambda x: sum((x**k for k in range(4)), 0 * x), lambda x: 1 + 2 * x + 3 * x * x,
             lambda x: 2 + 6 * x),
    "absolute": (lambda x: abs(x) * x, lambda x: 2 * abs(x), lambda x: 2 * x / abs(x)),
    "remainder": (lambda x: (x % 2) * x, lambda x: x % 2 + x, lambda x: Fraction(2)),
}


@pytest.mark.parametrize("x", [A, B, C])
@pytest.mark.parametrize("name", SCALARS)
def test_fractions_stay_fractions(name, x):
    f, first, second = SCALARS[name]
    value, slope = sciad.value_and_grad(f)(x)
    assert exact(value) == [f(x)] and exact(slope) == [first(x)]
    assert exact(sciad.jvp(f, (x,), (Fraction(2, 3),))[1]) == [first(x) * Fraction(2, 3)]
    assert exact(sciad.grad(sciad.grad(f))(x)) == [second(x)]
    assert exact(sciad.hvp(f, (x,), (B,))) == [second(x) * B]


def gradient_by_hand(f, x):
    """Exact slopes of a function that is a polynomial of degree < 8 in each entry."""
    slopes = []
    nodes = [Fraction(k) for k in range(-4, 5)]
    for k in range(x.size):
        def along(h, k=k):
            moved = x.copy()
            moved[k] = moved[k] + h
            return Fraction(np.asarray(f(moved)).item())
        # Lagrange's weights for the derivative at 0
        total = Fraction(0)
        for i, a in enumerate(nodes):
            weight = Fraction(0)
            for m, c in enumerate(nodes):
                if m != i:
                    part = 1 / (a - c)
                    for n, b in enumerate(nodes):
                        if n not in (i, m):
                            part *= -b / (a - b)
                    weight += part
            total += weight * along(a)
        slopes.append(total)
    return slopes


def overwritten(x):
    y = x.copy()
    y[0] = y[1] * y[2]
    y *= 2
    y[1:] += x[:-1] * x[0]
    return np.sum(y * y)


def filled(x):
    out = np.zeros(3, object) if isinstance(x, np.ndarray) else snp.zeros(3)
    for k in range(3):
        out[k] = x[k] * x[k - 1]
    return np.sum(out)


VECTORS = {
    "sum": lambda x: np.sum(x**3), "prod": lambda x: np.prod(x), "mean": lambda x: np.mean(x * x),
    "dot": lambda x: np.dot(x, x), "matmul": lambda x: x @ (x * x),
    "constant dot": lambda x: V @ x, "outer": lambda x: np.sum(np.outer(x, x * x)),
    "einsum": lambda x: np.einsum("i,j,j->", x, x, x), "tensordot": lambda x: np.tensordot(x, x, 1),
    "entries": lambda x: x[0] * x[1] + x[-1] ** 2, "slices": lambda x: np.sum(x[1:] * x[:-1]),
    "fancy": lambda x: np.sum(x[[0, 0, 2]] ** 2), "cumsum": lambda x: np.sum(np.cumsum(x) ** 2),
    "cumprod": lambda x: np.sum(np.cumprod(x)), "var": lambda x: np.var(x),
    "concatenate": lambda x: np.sum(np.concatenate([x, 2 * x]) ** 2),
    "stack": lambda x: np.sum(np.stack([x, x * x])[1]), "reversed": lambda x: np.sum(x[::-1] * x),
    "array": lambda x: np.sum(np.array([x[0] * x[1], x[2]]) ** 2),
    "reshape": lambda x: np.sum(x.reshape(3, 1) * x), "diff": lambda x: np.sum(np.diff(x) ** 2),
    "roll": lambda x: np.sum(np.roll(x, 1) * x), "trace": lambda x: np.trace(np.outer(x, x)),
    "integers beside": lambda x: np.sum(x * np.arange(3)), "assigned": overwritten,
    "filled": filled,
}


@pytest.mark.parametrize("name", VECTORS)
def test_arrays_of_fractions(name):
    f = VECTORS[name]
    expected = gradient_by_hand(f, V)
    assert exact(sciad.grad(f)(V)) == expected
    value, slope = sciad.jvp(f, (V,), (V[::-1].copy(),))
    assert value == f(V)
    assert exact(slope) == [sum(a * b for a, b in zip(expected, V[::-1], strict=True))]


@pytest.mark.parametrize("name", ["sum", "prod", "outer", "assigned", "cumprod"])
def test_second_derivatives_of_arrays(name):
    f = VECTORS[name]
    product = sciad.hvp(f, (V,), (V,))
    matrix = sciad.hessian(f)(V)
    assert exact(product) == exact(matrix @ V) and np.all(matrix == matrix.T)
    assert exact(matrix[0]) == gradient_by_hand(lambda x: sciad.grad(f)(x)[0], V)


SELECTIONS = {
    "max": (lambda x: np.max(x), [0, 0, 1]), "min": (lambda x: np.min(x), [0, 1, 0]),
    "maximum": (lambda x: np.sum(np.maximum(x, 0)), [1, 0, 1]),
    "where": (lambda x: np.sum(np.where(x > 0, x * x, x)), [2 * A, 1, 2 * C]),
    "mask": (lambda x: np.sum(x[x > 0] ** 2), [2 * A, 0, 2 * C]),
    "clip": (lambda x: np.sum(np.clip(x, 0, 1)), [1, 0, 0]),
    "sort": (lambda x: np.sum(np.sort(x) * np.arange(3)), [1, 0, 2]),
    "median": (lambda x: np.median(x), [1, 0, 0]), "sign": (lambda x: x @ np.sign(x), [1, -1, 1]),
    "cond": (lambda x: sciad.cond(x[0] > 0, lambda y: y[0] * y[1], lambda y: y[2], x), [B, A, 0]),
    "fori": (lambda x: sciad.fori_loop(0, 3, lambda k, c: c * x[1], x[0]),
             [B**3, 3 * A * B * B, 0]),
    "vmap": (lambda x: np.sum(sciad.vmap(lambda q: q * q)(x)), [2 * A, 2 * B, 2 * C]),
    "checkpoint": (sciad.checkpoint(lambda x: np.sum(x * x)), [2 * A, 2 * B, 2 * C]),
    "stop": (lambda x: np.sum(sciad.stop_gradient(x) * x), [A, B, C]),
    "unused": (lambda x: x[0] * 0, [0, 0, 0]),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_selections_and_control(name):
    f, expected = SELECTIONS[name]
    assert exact(sciad.grad(f)(V)) == expected


def test_containers_and_several_arguments():
    slope = sciad.grad(lambda p: p["a"] * p["b"][0])({"a": A, "b": [B]})
    assert slope == {"a": B, "b": [A]} and type(slope["a"]) is Fraction
    assert sciad.grad(lambda x, y: x * y, (0, 1))(A, B) == (B, A)
    assert exact(sciad.linearize(lambda x: x**3, A)[1](Fraction(1))) == [3 * A * A]
    out, pull = sciad.vjp(lambda x: x * x, V)
    assert exact(out) == [x * x for x in V] and exact(pull(V)[0]) == [2 * x * x for x in V]
    for mode in ("forward", "reverse"):
        jac = sciad.jacobian(lambda x: np.outer(V, V) @ x, mode=mode)(V)
        assert exact(jac) == exact(np.outer(V, V))


@pytest.mark.parametrize("number", [Fraction(1, 3), mpf(1) / 3], ids=["fraction", "mpf"])
def test_jacobian_and_hessian_of_one_number(number):
    for mode in ("forward", "reverse"):
        slope = sciad.jacobian(lambda x: x**3 + x, mode=mode)(number)
        assert type(slope) is type(number) and slope == 3 * number * number + 1
    curvature = sciad.hessian(lambda x: x * x * x + x)(number)
    assert type(curvature) is type(number) and curvature == 6 * number
    blocks = sciad.hessian(lambda p: p["a"] * p["b"])({"a": number, "b": number})
    assert blocks["a"] == {"a": 0, "b": 1} and type(blocks["a"]["b"]) is type(number)
    np.testing.assert_array_equal(sciad.jacobian(lambda x: np.stack([x, 2 * x]))(number), [1, 2])


# --- beside other numbers -------------------------------------------------------------------------


def test_a_float_beside_a_fraction_is_its_binary_fraction():
    assert exact(sciad.grad(lambda x: 0.1 * x)(A)) == [Fraction(0.1)]
    assert exact(sciad.grad(lambda x: x * np.float32(0.5))(A)) == [Fraction(1, 2)]


@pytest.mark.parametrize("f, x", [
    (lambda x: x * A, 2.0), (lambda x: A / x, 2.0), (lambda x: np.sum(x * V), np.ones(3)),
    (lambda x: x * 2 if x > A else x, 2.0),
])
def test_a_fraction_beside_a_float_is_a_float(f, x):
    slope = sciad.grad(f)(x)
    assert np.asarray(slope).dtype == float
    sciad.check_grads(f, (x,), order=1)


@pytest.mark.parametrize("third", [np.int64(3), np.array([3, 3, 3]), np.array([3.0] * 3), 3.0])
def test_constants_of_numpy_do_not_round(third):
    for f in (lambda x: np.sum(x / third), lambda x: np.sum(np.divide(x, third))):
        assert exact(sciad.grad(f)(V)) == [Fraction(1, 3)] * 3
    slope = sciad.grad(lambda x: V @ x)(np.ones(3))
    assert slope.dtype == float and np.allclose(slope, V.astype(float))


def test_a_constant_slope_stays_exact_at_every_level():
    third = sciad.grad(lambda x: x / 3)
    value, slope = sciad.jvp(third, (A,), (Fraction(1),))
    assert exact(value) == [Fraction(1, 3)] and exact(slope) == [0]
    assert exact(sciad.value_and_grad(third)(A)[0]) == [Fraction(1, 3)]


def test_types_that_meet():
    assert sciad.grad(lambda x: x * mpf(2))(A) == 2
    assert sciad.grad(lambda x: x * Decimal(2))(A) == Decimal(2)
    assert type(sciad.grad(lambda x: mpf(3) * x)(2.0)) is mpf
    mixed = sciad.grad(lambda x: np.sum(x * x))(np.array([A, 2.0, mpf(3)], object))
    assert exact(mixed, mpf) == [1, 4, 6]
    assert exact(sciad.grad(lambda x: np.sum(x * x))(np.array([A, 2.0, 3], object))) == [1, 4, 6]
    with pytest.raises(TypeError, match="Decimal"):  # Python's own refusal
        sciad.grad(lambda x: x * Decimal(2))(2.0)
    with pytest.raises(sciad.SciadError, match="multiply of mpf and"):
        sciad.grad(lambda x: x * ufloat(2.0, 0.1))(mpf(2))


# --- decimals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("f, slope", [
    (lambda x: x * x * x, lambda x: 3 * x * x), (lambda x: 1 / x, lambda x: -1 / (x * x)),
    (np.exp, lambda x: x.exp()), (np.log, lambda x: 1 / x), (np.sqrt, lambda x: 1 / (2 * x.sqrt())),
    (lambda x: x ** Decimal("2.5"), lambda x: Decimal("2.5") * x ** Decimal("1.5")),
    (lambda x: Decimal(-7) % x, lambda x: Decimal(7) // x),
])
def test_decimals(f, slope):
    x = Decimal("1.25")
    got = sciad.grad(f)(x)
    assert type(got) is Decimal and abs(got - slope(x)) < Decimal("1e-26")


# --- mpmath ---------------------------------------------------------------------------------------

OF_MPMATH = {
    "sin": (np.sin, mpmath.sin), "cos": (np.cos, mpmath.cos), "tan": (np.tan, mpmath.tan),
    "arcsin": (np.arcsin, mpmath.asin), "arccos": (np.arccos, mpmath.acos),
    "arctan": (np.arctan, mpmath.atan), "sinh": (np.sinh, mpmath.sinh),
    "cosh": (np.cosh, mpmath.cosh), "tanh": (np.tanh, mpmath.tanh),
    "arcsinh": (np.arcsinh, mpmath.asinh), "arctanh": (np.arctanh, mpmath.atanh),
    "exp": (np.exp, mpmath.exp), "expm1": (np.expm1, mpmath.expm1), "log": (np.log, mpmath.log),
    "log1p": (np.log1p, mpmath.log1p), "sqrt": (np.sqrt, mpmath.sqrt),
    "cbrt": (np.cbrt, mpmath.cbrt), "square": (np.square, lambda x: x * x),
    "reciprocal": (np.reciprocal, lambda x: 1 / x),
    "hypot": (lambda x: np.hypot(x, 2 * x * x), lambda x: mpmath.hypot(x, 2 * x * x)),
    "arctan2": (lambda x: np.arctan2(x, x * x + 1), lambda x: mpmath.atan2(x, x * x + 1)),
    "exp2": (np.exp2, lambda x: 2**x), "divide": (lambda x: np.divide(x, np.int64(3)),
                                                  lambda x: x / 3),
    "power": (lambda x: x**x, lambda x: x**x), "base": (lambda x: 2**x, lambda x: 2**x),
    "np.power": (lambda x: np.power(x, 2.5), lambda x: x ** mpf(2.5)),
    "gammaln": (scipy.special.gammaln, mpmath.loggamma),
    "mean": (lambda x: np.mean(np.array([x, x * x, 1.0])), lambda x: (x + x * x + 1) / 3),
    "norm": (lambda x: np.linalg.norm(np.array([x, x * x])), lambda x: mpmath.sqrt(x**2 + x**4)),
    "std": (lambda x: np.std(np.array([x, x * x])), lambda x: abs(x - x * x) / 2),
    "polynomial": (lambda x: np.polyval([1, 2, 3], x), lambda x: x * x + 2 * x + 3),
}


@pytest.mark.parametrize("name", OF_MPMATH)
def test_mpmath_keeps_its_precision(name):
    f, own = OF_MPMATH[name]
    x = mpf(3) / 10
    value, slope = sciad.value_and_grad(f)(x)
    assert type(value) is mpf and type(slope) is mpf
    assert mpmath.almosteq(value, own(x), mpf(10) ** -37)
    assert mpmath.almosteq(slope, mpmath.diff(own, x), mpf(10) ** -35)
    assert mpmath.almosteq(sciad.jvp(f, (x,), (mpf(1),))[1], slope, mpf(10) ** -37)
    if name == "gammaln":
        return  # its second derivative, a zeta function of SciPy's, has no form for mpmath
    second = sciad.hvp(f, (x,), (mpf(1),))
    assert abs(second - mpmath.diff(own, x, 2)) < mpf(10) ** -33


@pytest.mark.parametrize("f", [np.log2, np.log10, np.degrees, np.sinc, scipy.special.erf])
def test_what_would_round_to_a_float_is_refused(f):
    with pytest.raises(sciad.SciadError, match="rounded to a float.*mpf"):
        sciad.grad(f)(mpf("0.3"))


def test_fmod_and_constants_of_mpmath():
    value, slope = sciad.value_and_grad(lambda x: np.fmod(x, mpf(3)))(mpf(-7))
    assert (value, slope) == (-1, 1)
    assert sciad.grad(lambda x: mpmath.pi * x)(mpf(2)) == +mpmath.pi
    assert sciad.grad(lambda x: np.heaviside(x, 1.0) * x)(mpf(2)) == 1


# --- uncertainties --------------------------------------------------------------------------------

OF_UNCERTAIN = {
    "sin": (np.sin, umath.cos), "exp": (np.exp, umath.exp), "log": (np.log, lambda u: 1 / u),
    "sqrt": (np.sqrt, lambda u: 0.5 / umath.sqrt(u)), "cube": (lambda u: u**3, lambda u: 3 * u**2),
    "quotient": (lambda u: 1 / (1 + u * u), lambda u: -2 * u / (1 + u * u) ** 2),
    "branch": (lambda u: u * u if u > 1 else u, lambda u: 2 * u),
    "maximum": (lambda u: np.maximum(u * u, 1.0), lambda u: 2 * u),
}


@pytest.mark.parametrize("name", OF_UNCERTAIN)
def test_uncertainty_is_carried_through_the_derivative(name):
    f, first = OF_UNCERTAIN[name]
    u = ufloat(1.7, 0.1)
    slope, expected = sciad.grad(f)(u), first(u)
    assert slope.nominal_value == pytest.approx(expected.nominal_value, rel=1e-12)
    assert slope.std_dev == pytest.approx(expected.std_dev, rel=1e-12)
    h = 1e-5  # the slope of the slope, times the uncertainty
    bend = (sciad.grad(f)(1.7 + h) - sciad.grad(f)(1.7 - h)) / (2 * h)
    assert slope.std_dev == pytest.approx(abs(bend) * 0.1, rel=1e-6, abs=1e-9)
    assert abs((slope - expected).std_dev) < 1e-12  # of the same variable


def test_independent_and_equal_variables_are_told_apart():
    a, b = ufloat(2.0, 0.1), ufloat(3.0, 0.2)
    slopes = sciad.grad(lambda x: x[0] * x[0] * x[1])(np.array([a, b]))
    assert slopes[0].std_dev == pytest.approx(np.hypot(2 * 3 * 0.1, 2 * 2 * 0.2))
    assert slopes[1].std_dev == pytest.approx(2 * 2 * 0.1)
    both = sciad.grad(lambda x: np.sum(np.sin(x) * x))(np.array([a, b]))
    for got, u in zip(both, (a, b), strict=True):
        assert (got - (umath.cos(u) * u + umath.sin(u))).std_dev < 1e-12
    constant = sciad.grad(lambda x: x * 2 if x > 1 else x)(a)
    assert constant == 2.0 and type(constant) is float


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("f, x, words", [
    (np.sin, A, "sin .*Fraction.*float.*mpmath.mpf"), (np.sin, Decimal(1), "sin .*Decimal"),
    (np.sqrt, A, "sqrt .*Fraction"), (lambda x: x**0.5, A, "power of 1/2 and 1/2 is no Fraction"),
    (lambda x: x * np.inf, A, "inf is no Fraction"), (lambda x: x * 1j, A, "1j"),
    (np.linalg.norm, V, "sqrt"), (lambda x: np.sum(np.linalg.solve(np.outer(x, x), x)), V, "solve"),
    (np.sqrt, mpf(-1), "complex"), (lambda x: x, mpmath.mpc(1, 1), "complex.*mpc"),
    (lambda x: x, mpmath.iv.mpf([1, 2]), "ivmpf"), (float, A, "float.*drop"),
    (lambda x: np.sum(x), np.array([A, None], object), "object"),
    (lambda x: np.sum(x), np.array([A, "a"], object), "object"),
    (lambda x: scipy.special.gammainc(2.0, x), mpf(1), "mpf"),
    (lambda x: np.log2(x), ufloat(1.0, 0.1), "log2"),
])
def test_errors_name_the_operation_and_the_type(f, x, words):
    with pytest.raises(sciad.SciadError, match=words):
        sciad.grad(f)(x)


@pytest.mark.parametrize("f, x", [
    (lambda x: 1 / x, Fraction(0)), (lambda x: x**-1, Fraction(0)), (np.sqrt, mpf(0)),
    (lambda x: np.sum(1 / x), V * 0),
])
def test_singular_points_raise(f, x):
    with pytest.raises(ZeroDivisionError):
        sciad.grad(f)(x)


@pytest.mark.parametrize("power", range(5))
def test_powers_at_zero_are_exact_to_third_order(power):
    slope = sciad.grad(lambda x: x**power)
    second = sciad.grad(slope)
    third = sciad.grad(second)
    zero = Fraction(0)
    assert [exact(f(zero))[0] for f in (slope, second, third)] == [
        int(power == 1), 2 * int(power == 2), 6 * int(power == 3)]


def test_products_with_zeros_are_exact():
    assert exact(sciad.grad(np.prod)(np.array([A, Fraction(0), C]))) == [0, A * C, 0]
    assert exact(sciad.grad(np.prod)(V * 0)) == [0, 0, 0]


# --- jit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f, x, expected", [
    (lambda x: x**3, A, A**3), (sciad.grad(lambda x: x**3), A, 3 * A * A),
    (sciad.grad(lambda x: np.sum(x * x)), V, 2 * V), (lambda p: p["a"] * 2, {"a": A}, 2 * A),
])
def test_jit_falls_back_with_the_reason(f, x, expected):
    with pytest.warns(sciad.compiler.jit.FallbackWarning, match="number objects, .*not compiled"):
        assert np.all(sciad.jit(f)(x) == expected)
    with pytest.raises(sciad.SciadError, match="number objects"):
        sciad.jit(f, strict=True)(x)


def test_gradient_of_a_jitted_function():
    with pytest.warns(sciad.compiler.jit.FallbackWarning):
        assert exact(sciad.grad(sciad.jit(lambda x: x**3))(A)) == [3 * A * A]


def test_a_fraction_that_compiled_code_closes_over_is_a_float():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sciad.jit(lambda x: x * A, strict=True)(3.0) == 1.5
