"""solve_ivp inside compiled functions: what it is outside them, derivatives and errors included."""

import warnings

import numpy as np
import pytest

import sciad
from sciad.compiler.jit import FallbackWarning
from sciad.core import tree
from sciad.core.errors import ArgumentError, RecordError
from sciad.ode import SolveError, solve_ivp
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

TIMES = np.linspace(0.0, 4.0, 9)
OPTIONS = {"rtol": 1e-6, "atol": 1e-8}


def compiled(f):
    return sciad.jit(f, strict=True)


def close(got, expected, rtol=1e-10):
    got, expected = tree.flatten(got)[0], tree.flatten(expected)[0]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.max(np.abs(b), initial=0.0))


def states(p, y0=PREY, method="Tsit5", **options):
    return solve_ivp(lotka_volterra, (0.0, 4.0), y0, method, TIMES, args=(p,),
                     **{**OPTIONS, **options}).y


def loss(p):
    return np.sum(np.log(states(p)) ** 2)


# --- equal to eager -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_values_and_gradients(problem, method):
    t0, t1 = problem.span

    def f(t1, y0, args):
        times = t0 * (1.0 - np.linspace(0, 1, 5)) + t1 * np.linspace(0, 1, 5)
        y = solve_ivp(problem.fun, (t0, t1), y0, method, times, args=args, **OPTIONS).y
        return np.sum(np.cos(y) * np.arange(1.0, 6.0))

    x = (t1, problem.y0, problem.args)
    close(compiled(f)(*x), f(*x))
    both = sciad.value_and_grad(f, (0, 1, 2))
    close(compiled(both)(*x), both(*x), 1e-8)


def test_fields_of_the_result():
    def fields(p):
        sol = solve_ivp(lotka_volterra, (0.0, 4.0), PREY, t_eval=TIMES, args=(p,), **OPTIONS)
        return sol.t, sol.y, sol.nfev, sol.accepted, sol.rejected

    close(compiled(fields)(RATES), fields(RATES), 1e-12)


@pytest.mark.parametrize("transform", [
    sciad.value_and_grad, sciad.hessian,
    lambda f: lambda p: sciad.hvp(f, (p,), (np.ones(4),)),
    lambda f: lambda p: sciad.jvp(f, (p,), (p,)),
    lambda f: sciad.grad(lambda p: np.sum(sciad.grad(f)(p) ** 2)),
    lambda f: sciad.grad(lambda p: sciad.jvp(f, (p,), (p,))[1]),
], ids=["value_and_grad", "hessian", "hvp", "jvp", "grad of grad", "grad of jvp"])
def test_derivatives_of_a_loss(transform):
    expected = transform(loss)(RATES)
    close(compiled(transform(loss))(RATES), expected, 1e-8)


@pytest.mark.parametrize("transform", [sciad.value_and_grad, sciad.hessian],
                         ids=["value_and_grad", "hessian"])
def test_derivatives_of_a_compiled_loss(transform):
    close(transform(compiled(loss))(RATES), transform(loss)(RATES), 1e-8)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_residuals(mode):
    def residuals(p):
        return np.ravel(states(p) - 3.0)

    jacobian = sciad.jacobian(residuals, mode=mode)
    close(compiled(jacobian)(RATES), jacobian(RATES), 1e-9)
    close(sciad.jacobian(compiled(residuals), mode=mode)(RATES), jacobian(RATES), 1e-9)


def test_controls_and_ends_may_be_traced():
    def f(t0, t1, rtol, atol, first, most, times):
        return solve_ivp(lotka_volterra, (t0, t1), PREY, t_eval=times, args=(RATES,), rtol=rtol,
                         atol=atol, first_step=first, max_step=most).y

    x = (0.5, 3.0, 1e-4, np.array([1e-6, 1e-7]), 0.01, 0.4, np.array([0.5, 1.0, 3.0]))
    close(compiled(f)(*x), f(*x), 1e-13)
    backwards = (3.0, 0.5, 1e-4, np.array([1e-6, 1e-7]), 0.01, 0.4, np.array([3.0, 1.0, 0.5]))
    close(compiled(f)(*backwards), f(*backwards), 1e-13)


def test_replay():
    steps = solve_ivp(lotka_volterra, (0.0, 4.0), PREY, args=(RATES,), **OPTIONS).steps

    def f(p, steps):
        free = solve_ivp(lotka_volterra, (0.0, 4.0), PREY, args=(p,), steps=steps).y
        return np.sum(states(p, steps=steps) ** 2) + np.sum(free[:, 3])

    both = sciad.value_and_grad(f, (0, 1))
    close(compiled(both)(RATES, steps), both(RATES, steps), 1e-10)


def test_neural_ode():
    w = weights(20)

    def f(w, y0):
        sol = solve_ivp(lambda t, y: network(t, y, w), (0.0, 1.0), y0, "Tsit5",
                        np.linspace(0.0, 1.0, 9), **OPTIONS)
        return np.mean(sol.y**2)

    both = sciad.value_and_grad(f, (0, 1))
    close(compiled(both)(w, np.array([1.0, -1.0])), both(w, np.array([1.0, -1.0])), 1e-9)


def test_many_steps_grow_the_buffers():
    def f(k, count):
        return solve_ivp(lambda t, y: [y[1], -k * y[0]], (0.0, 1.0), [1.0, 0.0], "Tsit5",
                         [0.5, 1.0], max_step=1.0 / count).y[0]

    end = compiled(lambda k, count: np.sum(f(k, count)))
    both = compiled(sciad.value_and_grad(end))
    for count in (10.0, 1500.0, 10.0, 2500.0):
        expected = np.cos(1.0) + np.cos(0.5)
        assert end(1.0, count) == pytest.approx(expected, abs=1e-4)
        value, slope = both(1.0, count)
        assert value == pytest.approx(expected, abs=1e-4)
        assert slope == pytest.approx(-0.5 * np.sin(1.0) - 0.25 * np.sin(0.5), abs=1e-4)
    eager = sciad.value_and_grad(end)
    close(eager(1.0, 1500.0), both(1.0, 1500.0), 1e-9)


# --- inside control flow --------------------------------------------------------------------------


def segments(p, scan=sciad.scan):
    """A solve in pieces, the state handed on."""
    def piece(y, t):
        y = solve_ivp(lotka_volterra, (t, t + 0.5), y, "Tsit5", np.stack([t + 0.5]), args=(p,),
                      **OPTIONS).y[:, 0]
        return y, y

    _, ys = scan(piece, PREY, np.arange(4) * 0.5)
    return np.sum(ys**2)


def chosen(p):
    if p[0] > 1.0:
        y = solve_ivp(lotka_volterra, (0.0, 1.0), PREY, t_eval=[1.0], args=(p,), **OPTIONS).y
    else:
        y = solve_ivp(lotka_volterra, (0.0, 2.0), PREY, t_eval=[2.0], args=(2.0 * p,), **OPTIONS).y
    return np.sum(y)


def conditional(p):
    return sciad.cond(p[0] > 1.0, lambda p: np.sum(states(p)), lambda p: np.sum(p), p)


def several(p):
    first = states(p)[:, -1]
    second = solve_ivp(lambda t, y: -p[:2] * y, (0.0, 1.0), first, t_eval=[1.0], **OPTIONS).y[:, 0]
    third = solve_ivp(lotka_volterra, (0.0, 1.0), second, "Tsit5", [0.5, 1.0], args=(p,), **OPTIONS)
    return np.sum(first) + np.sum(second * third.y[:, 0]) + np.sum(third.y)


def looped(p):
    def shrink(state):
        k, y = state
        return k + 1, solve_ivp(lambda t, y: -p[0] * y, (0.0, 0.2), y, t_eval=[0.2],
                                **OPTIONS).y[:, 0]

    return np.sum(sciad.while_loop(lambda s: s[0] < 3, shrink, (np.int64(0), PREY * p[1]))[1])


@pytest.mark.parametrize("f", [segments, chosen, conditional, several, looped])
def test_inside_control_flow(f):
    for p in (RATES, 0.5 * RATES):
        both = sciad.value_and_grad(f)
        close(compiled(f)(p), f(p), 1e-10)
        close(compiled(both)(p), both(p), 1e-7)


def stepped(t, y, p):
    if y[0] > 5.0:
        return -p[0] * y
    return -p[1] * y + np.where(t > 0.5, p[2], 0.0)


def searched(t, y, p):
    x = sciad.while_loop(lambda s: s < 10.0, lambda s: 1.5 * s, y[0])
    return -p[:2] * y * x / 10.0


def summed(t, y, p):
    total, _ = sciad.scan(lambda c, x: (0.5 * c + np.sin(x * t), c), p[0], y)
    return -p[1] * y + 0.1 * total


def tabulated(t, y, p):
    table = np.linspace(-0.2, 0.1, 400).reshape(20, 20)
    mixed = np.dot(table, np.concatenate([y, np.ones(18)]))
    return np.array([mixed[3], mixed[7]]) - p[0] * y


@pytest.mark.parametrize("fun", [stepped, searched, summed, tabulated])
def test_right_hand_sides_with_control_flow(fun):
    def f(p, y0):
        y = solve_ivp(fun, (0.0, 1.0), y0, "Tsit5", [0.3, 1.0], args=(p,), rtol=1e-4, atol=1e-6,
                      max_step=0.25).y
        return np.sum(y * np.array([1.0, 2.0]))

    x = (RATES, np.array([6.0, 3.0]))
    both = sciad.value_and_grad(f, (0, 1))
    close(compiled(f)(*x), f(*x), 1e-10)
    close(compiled(both)(*x), both(*x), 1e-8)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fun, span, y0, options, text", [
    (lambda t, y, k: k * y**2, (0.0, 2.0), [1.0], {}, "the step size fell"),
    (lambda t, y, k: k * (y - y) / (y - y), (0.0, 1.0), [1.0], {}, "not finite"),
    (lambda t, y, k: -k * y, (0.0, 2000.0), [1.0], {"max_steps": 10}, "max_steps"),
])
def test_failures_in_compiled_code(fun, span, y0, options, text):
    def last(k):
        return solve_ivp(fun, span, y0, t_eval=[span[1]], args=(k,), **options).y[0, 0]

    for f in (last, sciad.grad(last)):
        with pytest.raises(SolveError, match=text):
            compiled(f)(1.0)


def test_user_exceptions_in_compiled_code():
    def fun(t, y, k):
        if y[0] < 0.5:
            raise KeyError("too little")
        return -k * y

    def last(k):
        return solve_ivp(fun, (0.0, 1.0), [1.0], t_eval=[1.0], args=(k,)).y[0, 0]

    f, both = compiled(last), compiled(sciad.value_and_grad(last))
    assert f(0.1) == pytest.approx(np.exp(-0.1), rel=1e-3)
    assert both(0.1)[1] == pytest.approx(-np.exp(-0.1), rel=1e-3)
    for g in (f, both):
        with pytest.raises(KeyError, match="too little"):
            g(2.0)


@pytest.mark.parametrize("times, text", [
    ([1.0, 0.5], "t_eval must be sorted"), ([1.0, 4.5], "t_eval must be sorted"),
    ([-1.0, 2.0], "t_eval must be sorted"), ([1.0, np.nan], "t_eval must be sorted"),
])
def test_bad_output_times_that_are_traced(times, text):
    f = compiled(lambda times: solve_ivp(lotka_volterra, (0.0, 4.0), PREY, t_eval=times,
                                         args=(RATES,)).y)
    close(f(np.array([0.0, 4.0]))[:, 0], PREY)
    with pytest.raises(ArgumentError, match=text):
        f(np.array(times))


@pytest.mark.parametrize("steps, text", [
    ([0.0, 2.0, 1.0, 4.0], "steps must run strictly"), ([0.0, 1.0, 1.0, 4.0], "strictly"),
    ([0.0, np.nan, 1.0, 4.0], "steps must run strictly"),
    ([0.0, 1.0, 2.0, 3.0], "steps must begin at t0 and end at t1"),
    ([0.1, 1.0, 2.0, 4.0], "steps must begin at t0 and end at t1"),
])
def test_bad_steps_that_are_traced(steps, text):
    f = compiled(lambda steps: states(RATES, steps=steps))
    f(np.linspace(0.0, 4.0, 4))
    with pytest.raises(ArgumentError, match=text):
        f(np.array(steps))


def test_equal_ends_that_are_traced():
    f = compiled(lambda t1: solve_ivp(lotka_volterra, (1.0, t1), PREY, t_eval=np.stack([t1]),
                                      args=(RATES,)).y)
    f(2.0)
    with pytest.raises(ArgumentError, match="t0 and t1 are equal"):
        f(1.0)


def test_output_times_are_needed():
    with pytest.raises(RecordError, match="give t_eval"):
        compiled(lambda p: solve_ivp(lotka_volterra, (0.0, 1.0), PREY, args=(p,)).y)(RATES)
    with pytest.warns(FallbackWarning, match="give t_eval"):
        y = sciad.jit(lambda p: solve_ivp(lotka_volterra, (0.0, 1.0), PREY, args=(p,)).y)(RATES)
    close(y, solve_ivp(lotka_volterra, (0.0, 1.0), PREY, args=(RATES,)).y)


@pytest.mark.parametrize("options", [{}, {"steps": np.linspace(0.0, 1.0, 9)}], ids=["", "replay"])
def test_callbacks_run_eagerly(options):
    def fun(t, y, k):
        float(sciad.stop_gradient(y[0]))
        return -k * y

    def last(k):
        return solve_ivp(fun, (0.0, 1.0), [1.0], t_eval=[1.0], args=(k,), **options).y[0, 0]

    for f in (last, sciad.value_and_grad(last)):
        with pytest.warns(FallbackWarning, match="data of a value that is being recorded"):
            got = sciad.jit(f)(0.7)
        close(got, f(0.7))


def test_what_is_captured_may_change():
    scale, box = 1.0, {"times": np.array([1.0, 2.0])}

    def f(p):
        return scale * solve_ivp(lambda t, y: scale * lotka_volterra(t, y, p), (0.0, 4.0), PREY,
                                 t_eval=box["times"], **OPTIONS).y

    g = compiled(f)
    close(g(RATES), f(RATES))
    scale = 0.5
    close(g(RATES), f(RATES))
    box["times"] = np.array([0.5, 3.0])
    close(g(RATES), f(RATES))
    box["times"][0] = 0.25
    close(g(RATES), f(RATES))


def test_no_warning_when_compiled():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sciad.jit(sciad.value_and_grad(loss))(RATES)
