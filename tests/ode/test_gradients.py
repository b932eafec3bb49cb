"""Derivatives of solve_ivp: against differences of the replay, in both modes, to second order.

The step sizes of an adaptive solve are data to its derivative, so a difference of the adaptive
solve misleads; the differences here are of the replay over the same steps.
"""

import numpy as np
import pytest

import sciad
from sciad.core import tree
from sciad.core.errors import LostGradientError
from sciad.ode import solve_ivp
from tests.ode.problems import (
    METHODS,
    NAMES,
    PREY,
    PROBLEMS,
    RATES,
    lotka_volterra,
    network,
    weights,
)

OPTIONS = {"rtol": 1e-4, "atol": 1e-6}


def solution(problem, method, steps=None):
    """y at 7 times as a function of (t0, t1, y0, args), adaptive or over steps in [0, 1]."""
    def function(t0, t1, y0, args):
        def between(w):
            return t0 * (1.0 - w) + t1 * w

        times = between(np.linspace(0.0, 1.0, 7))
        options = OPTIONS if steps is None else {"steps": between(steps)}
        return solve_ivp(problem.fun, (t0, t1), y0, method, times, args=args, **options).y

    return function


def unit_steps(problem, method):
    """The steps of the adaptive solve, scaled to [0, 1]."""
    t0, t1 = problem.span
    steps = solve_ivp(problem.fun, problem.span, problem.y0, method, args=problem.args,
                      **OPTIONS).steps
    unit = (steps - t0) / (t1 - t0)
    unit[0], unit[-1] = 0.0, 1.0
    return unit


def direction(x, seed=0):
    """A random direction of the structure of `x`."""
    leaves, structure = tree.flatten(x)
    rng = np.random.default_rng(seed)
    moves = [rng.normal(size=np.shape(leaf)) / np.sqrt(max(1, np.size(leaf))) for leaf in leaves]
    return tree.unflatten(structure, moves)


def inner(x, y):
    pairs = zip(tree.flatten(x)[0], tree.flatten(y)[0], strict=True)
    return sum(float(np.sum(a * b)) for a, b in pairs)


def moved(x, v, h):
    return tree.tree_map(lambda a, b: a + h * b, x, v)


def difference(f, x, v, h=1e-4):
    """Fourth-order central difference of f along v."""
    near = f(*moved(x, v, h)) - f(*moved(x, v, -h))
    far = f(*moved(x, v, 2 * h)) - f(*moved(x, v, -2 * h))
    return (8 * near - far) / (12 * h)


def close(got, expected, rtol):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected)))


# --- first order ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_replay_in_both_modes(problem, method):
    """All arguments at once: t0, t1, output times, steps, y0 and args."""
    f = solution(problem, method, unit_steps(problem, method))
    x = (*problem.span, problem.y0, problem.args)
    v = direction(x)
    expected = difference(f, x, v)
    y, tangent = sciad.jvp(f, x, v)
    np.testing.assert_array_equal(y, f(*x))
    close(tangent, expected, 1e-7)
    y, pull = sciad.vjp(f, *x)
    w = direction(y, 1)
    assert inner(pull(w), v) == pytest.approx(inner(w, tangent), rel=1e-10)


@pytest.mark.parametrize("what", ["args", "y0"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_adaptive_solve_differentiates_as_its_replay(problem, what):
    span, y0, args = problem.span, problem.y0, problem.args
    times = np.linspace(*span, 7)
    steps = solve_ivp(problem.fun, span, y0, args=args, **OPTIONS).steps

    def f(x, **options):
        y0_, args_ = (x, args) if what == "y0" else (y0, x)
        return solve_ivp(problem.fun, span, y0_, "RK45", times, args=args_, **options).y

    x = y0 if what == "y0" else args
    v = direction(x)
    expected = difference(lambda x: f(x, steps=steps), (x,), (v,))
    y, tangent = sciad.jvp(lambda x: f(x, **OPTIONS), (x,), (v,))
    close(tangent, expected, 1e-7)
    y, pull = sciad.vjp(lambda x: f(x, **OPTIONS), x)
    w = direction(y, 1)
    assert inner(pull(w)[0], v) == pytest.approx(inner(w, expected), rel=1e-7)


@pytest.mark.parametrize("span", [(0.0, 3.0), (3.0, 0.0)], ids=str)
@pytest.mark.parametrize("free", [True, False])
def test_time_span(span, free):
    """Without t_eval the outputs are the steps; the ends move with t_span."""
    length = span[1] - span[0]

    def f(t0, t1, steps=None):
        if steps is None:
            options = OPTIONS
        else:
            steps = np.concatenate([np.reshape(t0, 1), steps[1:-1], np.reshape(t1, 1)])
            options = {"steps": steps}
        times = None if free else np.array([t0, t0 + 0.4 * length, t1 - 0.1 * length, t1])
        return solve_ivp(lotka_volterra, (t0, t1), PREY, "Tsit5", times, args=(RATES,),
                         **options).y

    steps = solve_ivp(lotka_volterra, span, PREY, "Tsit5", args=(RATES,), **OPTIONS).steps
    v = (0.7, -0.4)
    expected = difference(lambda t0, t1: f(t0, t1, steps), span, v, 1e-5)
    y, tangent = sciad.jvp(f, span, v)
    close(tangent, expected, 1e-7)
    y, pull = sciad.vjp(f, *span)
    w = direction(y)
    assert inner(pull(w), v) == pytest.approx(inner(w, expected), rel=1e-7)


def test_last_time_moves_with_the_field():
    def last(t1):
        return solve_ivp(lotka_volterra, (0.0, t1), PREY, "Tsit5", args=(RATES,), rtol=1e-9,
                         atol=1e-9).y[:, -1]

    end = last(2.0)
    close(sciad.jacobian(last)(2.0), lotka_volterra(2.0, end, RATES), 1e-6)


def test_output_times_and_steps():
    times, steps = np.array([0.0, 0.3, 0.9, 1.2]), np.linspace(0.0, 1.2, 6)

    def f(times, inner_steps):
        whole = np.concatenate([[0.0], inner_steps, [1.2]])
        return solve_ivp(lotka_volterra, (0.0, 1.2), PREY, "Tsit5", times, args=(RATES,),
                         steps=whole).y

    # an output time on a knot of the interpolant, or at the start, has two sides: keep off them
    inside = np.array([0.1, 0.3, 0.9, 1.1])
    x, v = (inside, steps[1:-1]), direction((inside, steps[1:-1]))
    close(sciad.jvp(f, x, v)[1], difference(f, x, v, 1e-5), 1e-7)
    sol = f(times, steps[1:-1])
    speeds = np.diagonal(sciad.jacobian(lambda t: f(t, steps[1:-1]))(times), axis1=1, axis2=2)
    field = np.stack([lotka_volterra(t, y, RATES) for t, y in zip(times, sol.T, strict=True)], 1)
    close(speeds, field, 2e-2)


def test_everything_a_closure_reaches():
    rate, matrix = 0.7, np.array([[0.0, 1.0], [-1.0, -0.2]])
    shape = {"size": np.array([0.3, 0.5]), "parts": [1.5, (0.2, "name")]}
    steps = np.linspace(0.0, 1.0, 9)

    def f(rate, matrix, shape):
        def helper(t):
            return shape["size"] * np.sin(shape["parts"][0] * t)

        def fun(t, y, gain=rate * 2.0):
            return rate * (matrix @ y) + helper(t) - gain * shape["parts"][1][0] * y

        return solve_ivp(fun, (0.0, 1.0), [1.0, 0.5], t_eval=[0.5, 1.0], steps=steps).y

    def numbers(rate, matrix, size, a, b):
        return f(rate, matrix, {"size": size, "parts": [a, (b, "name")]})

    x = (rate, matrix, shape["size"], 1.5, 0.2)
    sciad.check_grads(numbers, x)


def test_large_captured_arrays():
    """Arrays too large for scalars, captured, as arguments and as literals."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 6)) / 4
    y0 = rng.normal(size=6)

    def f(a, b, y0):
        def fun(t, y, b):
            fixed = np.arange(36.0).reshape(6, 6) / 50.0
            return np.dot(a, np.tanh(b @ y)) - np.dot(fixed, y) + np.cos(t)

        return solve_ivp(fun, (0.0, 1.0), y0, "Tsit5", [0.3, 1.0], args=(b,),
                         steps=np.linspace(0.0, 1.0, 5)).y

    sciad.check_grads(f, (a, b, y0))


def test_scalar_state_and_no_parameters():
    def f(y0):
        return solve_ivp(lambda t, y: -y[0] ** 2, (0.0, 1.0), [y0], steps=[0.0, 0.5, 1.0]).y

    sciad.check_grads(f, (0.8,))


def test_single_precision_arguments():
    p, y0 = RATES.astype(np.float32), PREY.astype(np.float32)

    def loss(p, y0):
        return np.sum(solve_ivp(lotka_volterra, (0.0, 1.0), y0, t_eval=[1.0], args=(p,)).y)

    single = sciad.grad(loss, (0, 1))(p, y0)
    double = sciad.grad(loss, (0, 1))(p.astype(float), y0.astype(float))
    for a, b in zip(single, double, strict=True):
        assert a.dtype == np.float32
        close(a, b, 1e-5)


# --- second order ---------------------------------------------------------------------------------


SECOND = [pytest.param(problem, id=problem.name, marks=pytest.mark.slow if k > 1 else ())
          for k, problem in enumerate(PROBLEMS[:5])]


@pytest.mark.parametrize("problem", SECOND)
def test_second_order_in_every_nesting(problem):
    """hvp, jvp of grad and grad of jvp, of a loss of the replay; against differences of grad."""
    f = solution(problem, "Tsit5", unit_steps(problem, "Tsit5"))
    x = (*problem.span, problem.y0, problem.args)
    v, w = direction(x, 2), direction(x, 3)
    scale = direction(f(*x), 4)

    def loss(*x):
        return np.sum(scale * np.sin(f(*x)))

    def slope(*x):
        return inner_traced(sciad.grad(loss, (0, 1, 2, 3))(*x), w)

    expected = difference(slope, x, v)
    product = sciad.hvp(loss, x, v)
    assert inner(product, w) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    forward = sciad.jvp(slope, x, v)[1]
    assert forward == pytest.approx(expected, rel=1e-6, abs=1e-6)
    reverse = sciad.grad(lambda *x: sciad.jvp(loss, x, v)[1], (0, 1, 2, 3))(*x)
    assert inner(reverse, w) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    twice = sciad.grad(slope, (0, 1, 2, 3))(*x)
    assert inner(twice, v) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def inner_traced(x, y):
    return sum(np.sum(a * b) for a, b in zip(tree.flatten(x)[0], tree.flatten(y)[0], strict=True))


def test_hessian_of_the_adaptive_solve():
    def loss(p, **options):
        y = solve_ivp(lotka_volterra, (0.0, 4.0), PREY, "Tsit5", [1.0, 2.5, 4.0], args=(p,),
                      **options).y
        return np.sum(np.log(y) ** 2)

    steps = solve_ivp(lotka_volterra, (0.0, 4.0), PREY, "Tsit5", args=(RATES,), **OPTIONS).steps
    hessian = sciad.hessian(lambda p: loss(p, **OPTIONS))(RATES)
    expected = np.stack([difference(sciad.grad(lambda p: loss(p, steps=steps)), (RATES,), (e,),
                                    1e-5) for e in np.eye(4)])
    close(hessian, expected, 1e-7)
    close(hessian, hessian.T, 1e-12)


def test_third_order():
    def f(k):
        return solve_ivp(lambda t, y: -k * y, (0.0, 1.0), [1.0], "Tsit5",
                         steps=np.linspace(0.0, 1.0, 30)).y[0, -1]

    third = sciad.grad(sciad.grad(sciad.grad(f)))(0.7)
    assert third == pytest.approx(-np.exp(-0.7), rel=1e-6)


def test_integers_among_the_arguments():
    """A table read at integer places, to second order; the integers have no derivative."""
    def f(table, k):
        return solve_ivp(lambda t, y, k: -table[k[1]] * y * k[0], (0.0, 1.0), [1.0], "Tsit5",
                         args=(k,), steps=np.linspace(0.0, 1.0, 9)).y[0, -1]

    table, k = np.linspace(0.1, 0.9, 20), np.array([2, 7])
    sciad.check_grads(f, (table, k))


def test_second_order_whatever_the_number_of_steps():
    def loss(k, rtol):
        return solve_ivp(lambda t, y: -k * y**2, (0.0, 2.0), [1.0], "Tsit5", [1.0, 2.0], rtol=rtol,
                         atol=1e-12).y[0, -1]

    for rtol in (1e-3, 1e-6, 1e-8, 1e-11):  # 1 / (1 + 2 k)
        assert sciad.grad(sciad.grad(loss))(0.7, rtol) == pytest.approx(8.0 / 2.4**3,
                                                                       rel=max(rtol, 1e-8) * 100)


# --- neural ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("captured", [True, False])
def test_neural_ode(captured):
    """2-50-2, tanh, on y**3: the gradient by all weights, as a dict of arrays."""
    w = weights(50)
    times = np.linspace(0.0, 1.5, 30)
    target = np.stack([2.0 * np.cos(times), -2.0 * np.sin(times)])

    def loss(w, **options):
        arguments = (lambda t, y: network(t, y, w),) if captured else (network,)
        sol = solve_ivp(*arguments, (0.0, 1.5), [2.0, 0.0], "Tsit5", times,
                        args=None if captured else (w,), **options)
        return np.mean((sol.y - target) ** 2)

    options = {"rtol": 1e-6, "atol": 1e-8}
    value, gradient = sciad.value_and_grad(lambda w: loss(w, **options))(w)
    assert value == loss(w, **options)
    steps = solve_ivp(network, (0.0, 1.5), [2.0, 0.0], "Tsit5", args=(w,), **options).steps
    for seed in range(3):
        v = direction(w, seed)
        expected = difference(lambda w: loss(w, steps=steps), (w,), (v,), 1e-4)
        assert inner(gradient, v) == pytest.approx(expected, rel=1e-7)
    assert sciad.jvp(lambda w: loss(w, **options), (w,), (v,))[1] == pytest.approx(expected,
                                                                                rel=1e-7)


# --- where nothing is recorded --------------------------------------------------------------------


def called_back(fun):
    def with_float(t, y, *args):
        assert float(sciad.stop_gradient(t)) < 1e9
        sciad.stop_gradient(y).tolist()
        return fun(t, y, *args)

    return with_float


@pytest.mark.parametrize("problem", PROBLEMS[:5], ids=NAMES[:5])
def test_callbacks_have_the_same_derivatives(problem):
    x = (*problem.span, problem.y0, problem.args)
    v = direction(x)
    steps = unit_steps(problem, "Tsit5")
    native = solution(problem, "Tsit5", steps)
    python = solution(problem._replace(fun=called_back(problem.fun)), "Tsit5", steps)
    close(python(*x), native(*x), 1e-13)
    close(sciad.jvp(python, x, v)[1], sciad.jvp(native, x, v)[1], 1e-12)
    w = direction(native(*x))
    expected = sciad.vjp(native, *x)[1](w)
    got = sciad.vjp(python, *x)[1](w)
    for a, b in zip(tree.flatten(got)[0], tree.flatten(expected)[0], strict=True):
        close(a, b, 1e-11)


def test_second_order_through_callbacks():
    steps = np.linspace(0.0, 1.0, 6)

    def loss(p, wrap):
        fun = wrap(lotka_volterra)
        return np.sum(solve_ivp(fun, (0.0, 1.0), PREY, args=(p,), steps=steps).y ** 2)

    v = direction(RATES)
    native = sciad.hvp(lambda p: loss(p, lambda f: f), (RATES,), (v,))
    python = sciad.hvp(lambda p: loss(p, called_back), (RATES,), (v,))
    close(python, native, 1e-9)


def test_captured_values_through_callbacks():
    def last(rate, wrap):
        def fun(t, y):
            return -rate * y

        return solve_ivp(wrap(fun), (0.0, 1.0), [1.0], t_eval=[1.0], rtol=1e-9, atol=1e-9).y[0, 0]

    for wrap in (lambda f: f, called_back):
        assert sciad.grad(last)(0.7, wrap) == pytest.approx(-np.exp(-0.7), rel=1e-6)
        assert sciad.jvp(lambda k, w=wrap: last(k, w), (0.7,), (1.0,))[1] == pytest.approx(
            -np.exp(-0.7), rel=1e-6)


@pytest.mark.parametrize("lose", [
    lambda rate, y: [-rate * float(y[0])],
    lambda rate, y: [-float(rate) * y[0]],
    lambda rate, y: np.asarray(-rate * y, dtype=float),
], ids=["state", "captured", "asarray"])
def test_no_gradient_is_lost(lose):
    def last(rate):
        return solve_ivp(lambda t, y: lose(rate, y), (0.0, 1.0), [rate], t_eval=[1.0]).y[0, 0]

    assert last(0.7) == pytest.approx(0.7 * np.exp(-0.7), rel=1e-3)
    with pytest.raises(LostGradientError, match="would drop the derivative"):
        sciad.grad(last)(0.7)
    with pytest.raises(LostGradientError, match="would drop the derivative"):
        sciad.jvp(last, (0.7,), (1.0,))
