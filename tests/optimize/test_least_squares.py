from dataclasses import dataclass

import numpy as np
import pytest
import scipy.optimize

import sciad
from sciad.compiler.jit import FallbackWarning, jit
from sciad.core import tree
from sciad.core.errors import ArgumentError, DTypeError, LostGradientError
from sciad.optimize import least_squares

T = np.linspace(0.0, 2.0, 15)
Y = 3.0 * np.exp(-0.7 * T) + 0.5
EXACT = {"rtol": 1e-7, "atol": 1e-9}


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jacobian(x):
    return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])


def decay(p):
    height, rate, offset = p
    return height * np.exp(-rate * T) + offset - Y


def decay_of_dict(p):
    return p["height"] * np.exp(-p["rates"][0] * T) + p["rates"][1] - Y


@dataclass
class Decay:
    height: float
    rates: np.ndarray


def decay_of_dataclass(p):
    return p.height * np.exp(-p.rates[0] * T) + p.rates[1] - Y


def wide(x):
    return np.array([np.sum(x**2) - 4.0, np.prod(x) - 1.0])


def matrix(a):
    return (a @ a - np.array([[2.0, 1.0], [1.0, 3.0]])).ravel()


FUNCTIONS = {
    "square": (rosenbrock, np.array([-1.2, 1.0])),
    "tall": (decay, np.array([1.0, 1.0, 0.0])),
    "wide": (wide, np.array([0.5, 1.0, 1.5, 2.0])),
    "matrix": (matrix, np.array([[1.0, 0.2], [0.1, 2.0]])),
    "number": (lambda x: np.sum(x) - 1.0, np.array([0.3, 0.2])),
    "list": (lambda x: [x[0] * x[1], np.sin(x[0]), 2.0], np.array([0.3, 0.2])),
    "dict": (decay_of_dict, {"height": 1.0, "rates": np.array([1.0, 0.1])}),
    "tuple": (lambda p: p[0] * np.exp(-p[1] * T) - Y, (1.0, np.float64(0.4))),
    "dataclass": (decay_of_dataclass, Decay(1.0, np.array([1.0, 0.1]))),
}


def flat(x):
    return np.concatenate([np.ravel(leaf) for leaf in tree.flatten(x)[0]])


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobian_is_exact(name, jit):
    fun, x0 = FUNCTIONS[name]
    fit = least_squares(fun, x0, jit=jit)
    leaves, structure = tree.flatten(fit.x)

    def of_vector(vector):
        parts, start = [], 0
        for leaf in leaves:
            parts.append(vector[start:start + leaf.size].reshape(leaf.shape)[()])
            start += leaf.size
        return np.atleast_1d(fun(tree.unflatten(structure, parts)))

    vector = flat(fit.x)
    steps = 1e-5 * np.eye(vector.size)
    differences = np.stack([(of_vector(vector + h) - of_vector(vector - h)) / 2e-5
                            for h in steps], axis=1)
    np.testing.assert_allclose(fit.jac, differences, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fit.fun, of_vector(vector), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(fit.grad, fit.jac.T @ fit.fun, **EXACT)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_agrees_with_scipy(method, jit):
    x0 = np.array([-1.2, 1.0])
    ours = least_squares(rosenbrock, x0, method=method, jit=jit)
    theirs = scipy.optimize.least_squares(rosenbrock, x0, jac=rosenbrock_jacobian, method=method)
    np.testing.assert_allclose(ours.x, theirs.x, **EXACT)
    assert ours.keys() == theirs.keys()
    assert ours.status == theirs.status and ours.success
    if method != "lm":                            # MINPACK's wrapper counts its own first checks
        assert ours.nfev == theirs.nfev
        assert 0 <= ours.njev - theirs.njev <= 1


@pytest.mark.parametrize("method", ["trf", "lm"])
def test_counts_are_exact(method):
    calls = {"fun": 0, "jac": 0}

    def fun(x):
        calls["fun"] += 1
        return rosenbrock(x)

    def jac(x):
        calls["jac"] += 1
        return rosenbrock_jacobian(x)

    fit = least_squares(fun, [-1.2, 1.0], jac=jac, method=method, jit=False)
    assert (fit.nfev, fit.njev) == (calls["fun"], calls["jac"])


def test_value_and_jacobian_come_together():
    calls = []

    def line(p):
        calls.append(type(p[0]))
        return p[0] + p[1] * T - Y

    fit = least_squares(line, (0.0, 0.0), jit=False)
    assert fit.nfev == fit.njev
    assert len(calls) == 2 * fit.njev             # one forward pass a variable, nothing besides


@pytest.mark.parametrize("name", ["dict", "tuple", "dataclass", "matrix"])
def test_solution_has_the_container_of_x0(name):
    fun, x0 = FUNCTIONS[name]
    fit = least_squares(fun, x0)
    assert tree.flatten(fit.x)[1] == tree.flatten(x0)[1]
    for before, after in zip(tree.flatten(x0)[0], tree.flatten(fit.x)[0],
                             strict=True):
        assert np.shape(before) == np.shape(after) and after.dtype == np.float64


@pytest.mark.parametrize("x0", [2.0, [2.0], np.float32(2.0), np.array([2])])
def test_numbers_and_lists_are_arrays(x0):
    fit = least_squares(lambda x: x**2 - 2.0, x0)
    assert fit.x.shape == (1,) and fit.x.dtype == np.float64
    np.testing.assert_allclose(fit.x, np.sqrt(2.0), **EXACT)


def test_container_and_array_take_the_same_steps():
    of_array = least_squares(decay, np.array([1.0, 1.0, 0.1]))
    of_dict = least_squares(decay_of_dict, {"height": 1.0, "rates": np.array([1.0, 0.1])})
    assert of_array.nfev == of_dict.nfev
    np.testing.assert_allclose(flat(of_dict.x), of_array.x, **EXACT)
    np.testing.assert_allclose(of_dict.jac, of_array.jac, **EXACT)


BOUNDS = {
    "number": (-np.inf, 1.5),
    "arrays": ([-2.0, -1.0], np.array([1.5, 1.5])),
    "scipy": scipy.optimize.Bounds([-2.0, -1.0], 1.5),
}


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_bounds_hold(method, bounds):
    fit = least_squares(lambda x: x - np.array([1.0, 2.0]), [0.0, 0.0], bounds=bounds,
                        method=method)
    np.testing.assert_allclose(fit.x, [1.0, 1.5], rtol=1e-6)
    assert fit.active_mask.tolist() == [0, 1]


def test_bounds_and_scales_of_containers():
    x0 = {"height": 1.0, "rates": np.array([1.0, 0.1])}
    fit = least_squares(decay_of_dict, x0, bounds=({"height": 0.0, "rates": 0.0},
                                                   {"height": 2.0, "rates": [9.0, np.inf]}),
                        x_scale={"height": 1.0, "rates": np.array([1.0, 0.1])})
    assert fit.x["height"] == pytest.approx(2.0) and fit.active_mask.tolist() == [1, 0, 0]


def test_start_on_a_bound():
    fit = least_squares(lambda x: np.sqrt(x) - 2.0, [0.0], bounds=(0.0, np.inf))
    np.testing.assert_allclose(fit.x, 4.0, rtol=1e-6)


def test_robust_loss():
    spoiled = Y.copy()
    spoiled[3] += 10.0

    def residuals(p):
        return p[0] * np.exp(-p[1] * T) + p[2] - spoiled

    options = {"loss": "cauchy", "f_scale": 0.1}
    fit = least_squares(residuals, [1.0, 1.0, 0.0], **options)
    np.testing.assert_allclose(fit.x, [3.0, 0.7, 0.5], atol=0.01)


def test_args_and_kwargs():
    def residuals(p, t, y, *, offset):
        return p[0] * np.exp(-p[1] * t) + offset - y

    fit = least_squares(residuals, [1.0, 1.0], args=(T, Y), kwargs={"offset": 0.5})
    np.testing.assert_allclose(fit.x, [3.0, 0.7], rtol=1e-6)


def test_data_are_read_at_each_fit():
    data = np.array([1.0, 2.0])

    def residuals(x):
        return x - data

    first = least_squares(residuals, [0.0, 0.0]).x
    data[:] = 5.0, 6.0
    second = least_squares(residuals, [0.0, 0.0]).x
    np.testing.assert_allclose(first, [1.0, 2.0], **EXACT)
    np.testing.assert_allclose(second, [5.0, 6.0], **EXACT)


def test_a_function_may_write_into_its_argument():
    x0 = np.array([1.0, 1.0])

    def residuals(x):
        x -= 3.0
        return x

    fit = least_squares(residuals, x0, jit=False)
    np.testing.assert_allclose(fit.x, 3.0, **EXACT)
    assert x0.tolist() == [1.0, 1.0]


def test_an_unrecordable_function_runs_eagerly():
    def residuals(x):
        count = 0
        while np.sum(x) * 0.5**count > 1.0:       # its end depends on the value
            count += 1
        return np.array([x[0] - 2.0, x[1] - 3.0 + 0.0 * float(sciad.stop_gradient(x[0]))])

    with pytest.warns(FallbackWarning):
        fit = least_squares(residuals, [1.0, 1.0])
    np.testing.assert_allclose(fit.x, [2.0, 3.0], **EXACT)


def test_differences_of_a_black_box():
    def black_box(x):
        return np.array([float(x[0]) ** 2 - 2.0])

    fit = least_squares(black_box, [1.0], jac="3-point", jit=False)
    np.testing.assert_allclose(fit.x, np.sqrt(2.0), **EXACT)


def test_a_rejected_trial_needs_no_derivative():
    best, rejected = [np.inf], []

    def residuals(x):
        r = rosenbrock(x)
        cost = np.sum(sciad.stop_gradient(r) ** 2)
        if cost > best[0]:
            rejected.append(float(x[0]))          # raises if x is being differentiated
        best[0] = min(best[0], cost)
        return r

    fit = least_squares(residuals, [-1.2, 1.0], jit=False)
    assert rejected
    np.testing.assert_allclose(fit.x, 1.0, **EXACT)


ERRORS = {
    "matrix": (lambda: least_squares(lambda x: np.outer(x, x), [1.0, 2.0]),
               ArgumentError, r"shape \(2, 2\).*ravel"),
    "nothing": (lambda: least_squares(lambda x: None, [1.0]), ArgumentError, "NoneType"),
    "complex residuals": (lambda: least_squares(lambda x: 1j * x, [1.0]), DTypeError, "real and"),
    "complex x0": (lambda: least_squares(rosenbrock, [1.0, 2j]), DTypeError, "complex128"),
    "words": (lambda: least_squares(rosenbrock, {"a": "b"}), DTypeError, r"x0\['a'\]"),
    "empty": (lambda: least_squares(rosenbrock, {}), ArgumentError, "no numbers"),
    "not finite": (lambda: least_squares(lambda x: np.where(x > 0, x, np.nan), [1.0, -1.0]),
                   ArgumentError, "1 of 2 residuals are not finite at x0: 1 is nan"),
    "no slope": (lambda: least_squares(lambda p: np.sqrt(p["a"]) + T, {"a": np.zeros(15)}),
                 ArgumentError, r"by x\['a'\]\[0\].* is not finite"),
    "bounds shape": (lambda: least_squares(rosenbrock, [1.0, 2.0], bounds=([0.0] * 3, 9.0)),
                     ArgumentError, r"lower bound has shape \(3,\).*shape \(2,\)"),
    "bounds structure": (lambda: least_squares(decay_of_dict, FUNCTIONS["dict"][1],
                                               bounds=({"height": 0.0}, 9.0)),
                         ArgumentError, "lower bound does not have the structure of x0"),
    "bounds single": (lambda: least_squares(rosenbrock, [1.0, 2.0], bounds=3.0),
                      ArgumentError, "pair"),
    "bounds crossed": (lambda: least_squares(rosenbrock, [1.0, 2.0], bounds=([0, 5], [3, 4])),
                       ArgumentError, r"not below.*x\[1\] \(5.0, 4.0\)"),
    "outside": (lambda: least_squares(rosenbrock, [1.0, 9.0], bounds=(0, 5)),
                ArgumentError, r"out of bounds at x\[1\]"),
    "jac": (lambda: least_squares(rosenbrock, [1.0, 2.0], jac="cs"), ArgumentError, "'cs'"),
    "x0 differentiated": (lambda: sciad.grad(
        lambda x: least_squares(rosenbrock, x).cost)(np.ones(2)),
        LostGradientError, "x0 is being differentiated"),
    "data differentiated": (lambda: sciad.grad(
        lambda w: least_squares(lambda x: x - w, [1.0]).x[0])(1.0),
        LostGradientError, "result of fun is being differentiated"),
    "bounds differentiated": (lambda: sciad.grad(
        lambda w: least_squares(rosenbrock, [0.0, 0.0], bounds=(-w, w)).x[0])(3.0),
        LostGradientError, "lower bound is being differentiated"),
    "loss scale differentiated": (lambda: sciad.grad(
        lambda w: least_squares(rosenbrock, [0.0, 0.0], loss="huber", f_scale=w).x[0])(3.0),
        LostGradientError, "f_scale is being differentiated"),
}


@pytest.mark.parametrize("call, kind, message", ERRORS.values(), ids=ERRORS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sciad.compiler.jit.FallbackWarning")
def test_errors_name_the_cause(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_residuals_of_changing_number():
    def residuals(x):
        return x[: 1 if x[0] > 1.5 else 2]

    with pytest.raises(ArgumentError, match="residuals, 2 before|residuals, 1 before"):
        least_squares(residuals, [2.0, 1.0], jit=False)


def test_stop_gradient_lets_a_fit_stand_inside_grad():
    def loss(w):
        fixed = sciad.stop_gradient(w)
        fit = least_squares(lambda x: x - fixed, [0.0])
        return w * fit.x[0]

    assert float(sciad.grad(loss)(3.0)) == pytest.approx(3.0)


def test_a_fit_inside_jit_runs_eagerly():
    def solve(w):
        return least_squares(lambda x: x - w, [0.0]).x[0]

    with pytest.warns(FallbackWarning, match="least_squares cannot be recorded"):
        assert float(jit(solve)(3.0)) == pytest.approx(3.0)
