"""Points where a derivative does not exist, or where only a dropped entry is singular: both modes,
both orders and compiled code say the same."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad import special

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning",
                                        "ignore::sciad.compiler.jit.FallbackWarning")
X = np.array([0.0, 4.0, 0.0])
V = np.array([1.0, 2.0, -1.0])


def overwritten(x):
    y = np.sqrt(x)
    y[0] = 1.0
    y[2] = x[1]
    return np.sum(y)


def filled(x):
    out = snp.zeros(3)
    out[1] = np.sqrt(x)[1]
    return np.sum(out)


def by_mask(x):
    return np.sum(np.sqrt(x)[x > 0])


def nested_selection(x):
    inner = np.where(x > 1, np.sqrt(x) * np.log(x), 1 / x)
    return np.sum(np.where(x > 0, inner, x))


def norm_of_zero(x):
    return np.where(x[0] > 0, np.sqrt(np.sum(x[[0, 2]] ** 2)), x[1] ** 2)


DROPPED = [
    lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)),
    lambda x: np.sum(np.where(x > 0, np.log(x), x)),
    lambda x: np.sum(np.where(x > 0, x * np.log(x), 0.0)),
    lambda x: np.sum(np.where(x > 0, x**-1.5, x**2)),
    lambda x: np.sum(np.select([x > 0], [np.sqrt(x)], x)),
    lambda x: np.max(np.sqrt(x)), lambda x: -np.min(-np.sqrt(x)),
    lambda x: np.sum(np.maximum(np.sqrt(x), 1.0)),
    lambda x: np.sum(np.clip(np.sqrt(x), 0.5, 9.0)),
    lambda x: np.sort(np.sqrt(x))[2], lambda x: np.sqrt(x)[1], lambda x: np.sum(np.sqrt(x)[[1, 1]]),
    lambda x: np.where(x[0] > 0, np.arctan2(x[0], x[2]), x[1] ** 2),
    overwritten, filled, by_mask, nested_selection, norm_of_zero,
]


@pytest.mark.parametrize("f", DROPPED, ids=range(len(DROPPED)))
def test_dropped_entries_are_zero_in_every_way(f):
    slope = sciad.grad(f)(X)
    assert np.isfinite(slope).all()
    columns = [sciad.jvp(f, (X,), (unit,))[1] for unit in np.eye(3)]
    np.testing.assert_allclose(columns, slope)
    np.testing.assert_allclose(sciad.jit(sciad.grad(f))(X), slope)
    np.testing.assert_allclose(sciad.jit(lambda x: sciad.jvp(f, (x,), (V,))[1])(X), slope @ V)


@pytest.mark.parametrize("f", DROPPED, ids=range(len(DROPPED)))
def test_dropped_entries_are_zero_to_second_order(f):
    hessian = sciad.hessian(f)(X)
    assert np.isfinite(hessian).all()
    by_reverse = sciad.jacobian(sciad.grad(f), mode="reverse")(X)
    np.testing.assert_allclose(by_reverse, hessian)
    by_forward = sciad.grad(lambda x: sciad.jvp(f, (x,), (V,))[1])(X)
    np.testing.assert_allclose(by_forward, hessian @ V)
    twice = sciad.jvp(lambda x: sciad.jvp(f, (x,), (V,))[1], (X,), (V,))[1]
    np.testing.assert_allclose(twice, V @ hessian @ V)
    np.testing.assert_allclose(sciad.jit(lambda x: sciad.hvp(f, (x,), (V,)))(X), hessian @ V)


inf, nan = np.inf, np.nan
POINTS = [
    # infinite slopes, and none
    ("sqrt", np.sqrt, 0.0, inf), ("cbrt", np.cbrt, 0.0, inf), ("log", np.log, 0.0, inf),
    ("reciprocal", lambda x: 1 / x, 0.0, -inf), ("arccos", np.arccos, 1.0, -inf),
    ("x**0.5", lambda x: x**0.5, 0.0, inf), ("x**-1", lambda x: x**-1, 0.0, -inf),
    ("sqrt(x**2)", lambda x: np.sqrt(x**2), 0.0, nan),
    ("sqrt(x)**2", lambda x: np.sqrt(x) ** 2, 0.0, nan),
    ("(-1)**x", lambda x: (-1.0) ** x, 2.0, nan),
    ("arctan2", lambda x: np.arctan2(x[0], x[1]), np.zeros(2), [nan, nan]),
    ("std", np.std, np.ones(2), [nan, nan]),
    ("sqrt of squares", lambda x: np.sqrt(x @ x), np.zeros(2), [nan, nan]),
    # kinks
    ("abs", abs, 0.0, 0.0), ("complex abs", lambda x: np.abs(x + 0j), 0.0, 0.0),
    ("norm", np.linalg.norm, np.zeros(2), [0, 0]),
    ("norm 1", lambda x: np.linalg.norm(x, 1), np.zeros(2), [0, 0]),
    ("norm 3", lambda x: np.linalg.norm(x, 3), np.zeros(2), [0, 0]),
    ("norm inf", lambda x: np.linalg.norm(x, np.inf), np.array([1.0, -1.0]), [0.5, -0.5]),
    ("hypot", lambda x: np.hypot(x[0], x[1]), np.zeros(2), [0, 0]),
    ("relu", lambda x: np.maximum(x, 0.0), 0.0, 0.5),
    ("clip", lambda x: np.clip(x, 0.0, 1.0), 0.0, 0.5),
    # ties
    ("max", np.max, np.array([1.0, 2.0, 2.0]), [0, 0.5, 0.5]),
    ("min", np.min, np.ones(4), [0.25] * 4),
    ("maximum", lambda x: np.maximum(x[0], x[1]), np.ones(2), [0.5, 0.5]),
    ("fmax", lambda x: np.fmax(x[0], x[1]), np.ones(2), [0.5, 0.5]),
    ("python max", lambda x: max(x[0], x[1]), np.ones(2), [1, 0]),
    ("argmax", lambda x: x[np.argmax(x)], np.ones(2), [1, 0]),
    ("sort", lambda x: np.sort(x)[0], np.ones(2), [1, 0]),
    ("median", np.median, np.array([1.0, 2.0, 2.0, 3.0]), [0, 0.5, 0.5, 0]),
    # powers and products
    ("x**0", lambda x: x**0, 0.0, 0.0), ("x**0.0", lambda x: x**0.0, 0.0, 0.0),
    ("x**1", lambda x: x**1, 0.0, 1.0), ("x**2.0", lambda x: np.power(x, 2.0), 0.0, 0.0),
    ("0**x", lambda x: 0.0**x, 2.0, 0.0),
    ("prod", np.prod, np.array([0.0, 2.0, 3.0]), [6, 0, 0]),
    ("prod of two zeros", np.prod, np.array([0.0, 0.0, 3.0]), [0, 0, 0]),
    ("xlogy", lambda x: special.xlogy(2.0, x), 1.0, 2.0),
    ("sinc", np.sinc, 0.0, 0.0),
    # steps
    ("sign", np.sign, 0.0, 0.0), ("floor", np.floor, 1.0, 0.0), ("round", np.round, 0.5, 0.0),
    ("mod", lambda x: x % 1.0, 2.0, 1.0),
]


@pytest.mark.parametrize("name, f, x, expected", POINTS, ids=[point[0] for point in POINTS])
def test_documented_derivative(name, f, x, expected):
    slope = sciad.grad(f)(x)
    np.testing.assert_allclose(slope, expected)
    np.testing.assert_allclose(sciad.jit(sciad.grad(f))(x), expected)
    if np.ndim(x) == 0:
        np.testing.assert_allclose(sciad.jvp(f, (x,), (1.0,))[1], expected)
    elif np.isfinite(slope).all():
        np.testing.assert_allclose(sciad.jacobian(f, mode="forward")(x), expected)


@pytest.mark.parametrize("name, f, x, expected", POINTS, ids=[point[0] for point in POINTS])
def test_second_derivatives_agree(name, f, x, expected):
    by_forward = sciad.jacobian(sciad.grad(f), mode="forward")(x)
    by_reverse = sciad.jacobian(sciad.grad(f), mode="reverse")(x)
    np.testing.assert_allclose(by_forward, by_reverse)


def test_smooth_functions_at_zero_have_their_curvature():
    for f, x, expected in [(lambda x: x**2.0, 0.0, 2.0), (np.sinc, 0.0, -np.pi**2 / 3),
                           (np.var, np.ones(2), [[0.5, -0.5], [-0.5, 0.5]]),
                           (np.prod, np.array([0.0, 0.0, 3.0]), [[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
                           (lambda x: np.hypot(x[0], x[1]), np.zeros(2), np.zeros((2, 2)))]:
        np.testing.assert_allclose(sciad.hessian(f)(x), expected)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_slopes_of_an_angle_at_every_size(size):
    slopes = sciad.grad(np.arctan2, (0, 1))(3.0 * size, 4.0 * size)
    np.testing.assert_allclose(np.array(slopes) * size, [4 / 25, -3 / 25])
