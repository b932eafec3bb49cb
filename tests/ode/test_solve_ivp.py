"""solve_ivp: SciPy's numbers, the laws of its methods, and one clear error for each mistake."""

import threading
import warnings

import numpy as np
import pytest
from scipy.integrate import solve_ivp as scipy_solve_ivp

import sciad
from sciad.ode import RK45, SolveError, solve_ivp
from tests.ode.problems import METHODS, NAMES, PREY, PROBLEMS, RATES, lotka_volterra

TIGHT = {"rtol": 1e-11, "atol": 1e-11}


def decay(t, y, *args):
    return -y


def oscillator(t, y):
    return [y[1], -y[0]]


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_values_are_scipys(problem, method):
    times = np.linspace(*problem.span, 17)
    ours = solve_ivp(problem.fun, problem.span, problem.y0, method, times, args=problem.args,
                     **TIGHT)
    theirs = scipy_solve_ivp(problem.fun, problem.span, problem.y0, "DOP853", times,
                             args=problem.args, rtol=1e-12, atol=1e-12)
    assert ours.native, ours.reason
    np.testing.assert_allclose(ours.y, theirs.y, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("options", [
    {}, {"rtol": 1e-6, "atol": 1e-9}, {"atol": [1e-3, 1e-8]}, {"rtol": 1e-2, "max_step": 0.1},
    {"first_step": 0.3}, {"first_step": 1e-9, "max_step": 0.5}, {"t_eval": [0.5, 0.6, 2.0]},
], ids=str)
@pytest.mark.parametrize("span", [(0.0, 5.0), (5.0, 0.0)], ids=str)
def test_rk45_takes_scipys_steps(options, span):
    if "t_eval" in options and span[1] < span[0]:
        options = {"t_eval": options["t_eval"][::-1]}
    ours = solve_ivp(lotka_volterra, span, PREY / 5, args=(RATES,), **options)
    theirs = scipy_solve_ivp(lotka_volterra, span, PREY / 5, args=(RATES,), **options)
    assert ours.nfev == theirs.nfev
    np.testing.assert_allclose(ours.t, theirs.t, rtol=1e-9)
    np.testing.assert_allclose(ours.y, theirs.y, rtol=1e-7)


def test_absolute_tolerance_alone():
    sol = solve_ivp(decay, (0.0, 1.0), [1.0], "Tsit5", [1.0], rtol=0.0, atol=1e-10)
    assert sol.y[0, 0] == pytest.approx(np.exp(-1.0), abs=1e-9)
    loose = solve_ivp(decay, (0.0, 1.0), [1.0], "Tsit5", [1.0], rtol=0, atol=1e-4)
    assert loose.accepted < sol.accepted


def test_fields_are_scipys():
    ours = solve_ivp(oscillator, (0, 3), [1, 0])
    theirs = scipy_solve_ivp(oscillator, (0, 3), [1, 0])
    for name in theirs:
        assert hasattr(ours, name), name
    for name in ("status", "message", "success", "nfev", "njev", "nlu", "t_events", "y_events",
                 "sol"):
        assert ours[name] == theirs[name], name
    assert ours.accepted + 1 == len(ours.t) == len(ours.steps)
    assert repr(ours) == (f"<OdeResult: t 0 to 3, y of shape (2, {len(ours.t)}), {ours.accepted} "
                          f"steps, {ours.rejected} rejected, {ours.nfev} evaluations, native>")


@pytest.mark.parametrize("t_eval", [[], [0.0], [1.0], [0.4], (0.0, 1.0), np.array([0.5, 0.5])],
                         ids=str)
def test_output_times(t_eval):
    sol = solve_ivp(decay, (0.0, 1.0), [1.0, 2.0], "Tsit5", t_eval, **TIGHT)
    assert sol.y.shape == (2, len(t_eval))
    np.testing.assert_array_equal(sol.t, t_eval)
    np.testing.assert_allclose(sol.y, np.exp(-np.array(t_eval)) * np.array([[1.0], [2.0]]),
                               rtol=1e-9)


def test_output_at_the_steps_is_the_state():
    free = solve_ivp(oscillator, (0.0, 4.0), [1.0, 0.0], "Tsit5")
    asked = solve_ivp(oscillator, (0.0, 4.0), [1.0, 0.0], "Tsit5", free.steps)
    np.testing.assert_allclose(asked.y, free.y, rtol=1e-13, atol=1e-14)


def test_no_time_passes():
    for t_eval in (None, [2.0, 2.0]):
        sol = solve_ivp(oscillator, (2.0, 2.0), [1.0, 0.5], t_eval=t_eval)
        np.testing.assert_array_equal(sol.t, [2.0, 2.0])
        np.testing.assert_array_equal(sol.y, [[1.0, 1.0], [0.5, 0.5]])
    y0 = np.array([1.0, 0.5])
    rate = sciad.jacobian(lambda t1: solve_ivp(oscillator, (2.0, t1), y0).y[:, -1])(2.0)
    np.testing.assert_allclose(rate, [0.5, -1.0])
    rate = sciad.jacobian(lambda t0: solve_ivp(oscillator, (t0, 2.0), y0).y[:, -1])(2.0)
    np.testing.assert_allclose(rate, [-0.5, 1.0])


@pytest.mark.parametrize("y0", [[1, 2], (1.0, 2.0), np.array([1, 2]), np.float32([1, 2]),
                                np.array([1.0, 9.0, 2.0, 9.0])[::2]], ids=repr)
def test_initial_states(y0):
    sol = solve_ivp(decay, (0, 1), y0, t_eval=[1])
    assert sol.y.dtype == np.float64
    expected = solve_ivp(decay, (0.0, 1.0), np.array([1.0, 2.0]), t_eval=[1.0]).y
    np.testing.assert_array_equal(sol.y, expected)


def test_results_are_the_callers():
    y0, times = np.array([1.0, 2.0]), np.array([0.0, 0.5, 1.0])
    kept = y0.copy(), times.copy()
    for t_eval in (times, None):
        sol = solve_ivp(decay, (0.0, 1.0), y0, t_eval=t_eval)
        before = sol.steps.copy()
        for array in (sol.t, sol.y):
            assert array.flags.writeable
            array[...] = -7.0
        np.testing.assert_array_equal(sol.steps, before)
        sol.steps[...] = 3.0
        again = solve_ivp(decay, (0.0, 1.0), y0, t_eval=t_eval)
        np.testing.assert_array_equal(again.steps, before)
    np.testing.assert_array_equal(y0, kept[0])
    np.testing.assert_array_equal(times, kept[1])


# --- replay ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
@pytest.mark.parametrize("outputs", [None, 9])
def test_replay_equals_the_adaptive_solve(problem, method, outputs):
    times = None if outputs is None else np.linspace(*problem.span, outputs)
    arguments = (problem.fun, problem.span, problem.y0, method, times)
    first = solve_ivp(*arguments, args=problem.args, rtol=1e-5)
    again = solve_ivp(*arguments, args=problem.args, steps=first.steps)
    np.testing.assert_array_equal(again.y, first.y)
    np.testing.assert_array_equal(again.t, first.t)
    np.testing.assert_array_equal(again.steps, first.steps)


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backwards", [False, True])
def test_order_of_convergence(method, backwards):
    span = (0.0, 4.0)[::-1] if backwards else (0.0, 4.0)
    counts, errors = np.array([16, 32, 64]), []
    for count in counts:
        end = solve_ivp(oscillator, span, [1.0, 0.0], method, [span[1]],
                        steps=np.linspace(*span, count + 1)).y[:, 0]
        length = span[1] - span[0]
        errors.append(np.abs(end - [np.cos(length), -np.sin(length)]).max())
    assert 4.8 < slope(1 / counts, errors) < 6.2


@pytest.mark.parametrize("method", METHODS)
def test_order_of_the_dense_output(method):
    counts, errors = np.array([8, 16, 32, 64]), []
    times = np.linspace(0.0, 4.0, 333)
    for count in counts:
        y = solve_ivp(oscillator, (0.0, 4.0), [1.0, 0.0], method, times,
                      steps=np.linspace(0.0, 4.0, count + 1)).y
        errors.append(np.abs(y[0] - np.cos(times)).max())
    assert slope(1 / counts, errors) > 3.8


@pytest.mark.parametrize("method", METHODS)
def test_energy_drifts_with_the_order(method):
    counts, drifts = np.array([128, 256, 512]), []
    for count in counts:
        y = solve_ivp(oscillator, (0.0, 20.0), [1.0, 0.0], method,
                      steps=np.linspace(0.0, 20.0, count + 1)).y
        drifts.append(np.abs(np.sum(y**2, 0) - 1.0).max())
    assert slope(1 / counts, drifts) > 4.8


@pytest.mark.parametrize("problem", PROBLEMS[:5], ids=NAMES[:5])
def test_forth_and_back(problem):
    span = problem.span
    there = solve_ivp(problem.fun, span, problem.y0, "Tsit5", args=problem.args, **TIGHT).y[:, -1]
    back = solve_ivp(problem.fun, span[::-1], there, "Tsit5", args=problem.args, **TIGHT).y[:, -1]
    np.testing.assert_allclose(back, problem.y0, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_errors_follow_the_tolerance(method):
    exact = np.exp(-5.0)
    errors = [abs(solve_ivp(decay, (0.0, 5.0), [1.0], method, [5.0], rtol=r, atol=r).y[0, 0]
                  - exact) for r in (1e-4, 1e-7, 1e-10)]
    assert errors[0] > 30 * errors[1] > 900 * errors[2]


def test_the_parts_of_a_solve_make_the_whole():
    half = solve_ivp(lotka_volterra, (0.0, 3.0), PREY, "Tsit5", args=(RATES,), **TIGHT).y[:, -1]
    end = solve_ivp(lotka_volterra, (3.0, 6.0), half, "Tsit5", args=(RATES,), **TIGHT).y[:, -1]
    whole = solve_ivp(lotka_volterra, (0.0, 6.0), PREY, "Tsit5", args=(RATES,), **TIGHT).y[:, -1]
    np.testing.assert_allclose(end, whole, rtol=1e-8)


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fun, span, y0, options, text", [
    (lambda t, y: y / 0.0 - y / 0.0, (0.0, 1.0), [1.0], {}, r"t = 0: .* not finite"),
    (lambda t, y: y, (0.0, 1.0), [np.inf], {}, r"t = 0: .* not finite"),
    (lambda t, y: y, (0.0, 1.0), [np.nan], {}, r"t = 0: .* not finite"),
    (lambda t, y: np.where(t > 0.5, np.nan, 1.0) * y, (0.0, 1.0), [1.0], {},
     r"t = (0\.5|0\.4999\d*): .* not finite"),
    (lambda t, y: y**2, (0.0, 2.0), [1.0], {"rtol": 1e-9, "atol": 1e-9},
     r"t = (1|0\.99999\d*): the step size fell"),
    (lambda t, y: y**2, (0.0, -2.0), [-1.0], {"rtol": 1e-9, "atol": 1e-9},
     r"t = -(1|0\.99999\d*): the step size fell"),
    (decay, (0.0, 2000.0), [1.0], {"max_steps": 10}, r"t = 8\.\d+: max_steps"),
], ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("native", [True, False])
def test_a_solve_that_fails_says_where(fun, span, y0, options, text, native):
    def called_back(t, y):
        float(t)
        return fun(t, y)

    with pytest.raises(SolveError, match=text), np.errstate(all="ignore"):
        solve_ivp(fun if native else called_back, span, y0, **options)


@pytest.mark.parametrize("changes, text", [
    ({"fun": 3}, "fun is a int"),
    ({"method": "BDF"}, r"method is 'BDF', must be one of \['RK45', 'Tsit5'\]"),
    ({"method": None}, "method is None"),
    ({"method": RK45}, "method is"),
    ({"t_eval": [0.5, 0.2]}, "t_eval is not sorted"),
    ({"t_eval": [0.5, 1.2]}, r"t_eval, from 0.5 to 1.2, leaves t_span \(0, 1\)"),
    ({"t_eval": [-0.5, 1.0]}, r"leaves t_span"),
    ({"t_eval": [1.0, 0.0]}, "t_eval is not sorted"),
    ({"t_eval": [0.2, np.nan, 0.4]}, "t_eval holds a time that is not finite"),
    ({"t_eval": 0.5}, r"t_eval has shape \(\), must be one-dimensional"),
    ({"t_eval": "soon"}, "t_eval has dtype"),
    ({"y0": [1j]}, "y0 is complex"),
    ({"y0": [[1.0]]}, r"y0 has shape \(1, 1\), must be one-dimensional"),
    ({"y0": 1.0}, r"y0 has shape \(\)"),
    ({"y0": []}, "y0 is empty"),
    ({"y0": "abc"}, "y0 has dtype <U3, must be numbers"),
    ({"y0": [None]}, "y0 has dtype object"),
    ({"atol": [1.0, 2.0]}, r"atol has shape \(2,\), y0 has \(1,\)"),
    ({"atol": -1.0}, "atol is -1.0, must not be negative"),
    ({"atol": np.nan}, "atol is nan"),
    ({"atol": "tiny"}, "atol has dtype"),
    ({"rtol": -1}, r"rtol is -1.0, must lie in \[0, 1\)"),
    ({"rtol": 2.0}, "rtol is 2.0"),
    ({"rtol": 0.0, "atol": 0.0}, "rtol and atol are both 0"),
    ({"rtol": [1e-3]}, "rtol is .* must be a number"),
    ({"first_step": 0}, "first_step is 0.0, must be positive"),
    ({"first_step": "x"}, "first_step is 'x', must be a number"),
    ({"max_step": 0}, "max_step is 0.0, must be positive"),
    ({"max_step": np.nan}, "max_step is nan"),
    ({"max_steps": 0}, "max_steps is 0, must be a positive integer"),
    ({"max_steps": 1.5}, "max_steps is 1.5"),
    ({"t_span": (0, np.inf)}, "t1 is inf, must be finite"),
    ({"t_span": (0, 1, 2)}, r"t_span must be a pair \(t0, t1\)"),
    ({"t_span": 3}, "t_span must be a pair"),
    ({"t_span": "ab"}, "t0 is 'a', must be a number"),
    ({"steps": [0.0]}, "steps needs at least two times"),
    ({"steps": [0.0, 0.5]}, "steps, from 0 to 0.5, must begin at t0 = 0 and end at t1 = 1"),
    ({"steps": [0.1, 1.0]}, "must begin at t0 = 0"),
    ({"steps": [0.0, 0.5, 0.4, 1.0]}, "steps must run strictly from t0 to t1"),
    ({"steps": [0.0, 0.5, 0.5, 1.0]}, "steps must run strictly"),
    ({"steps": [0.0, np.nan, 1.0]}, "steps must run strictly"),
    ({"events": decay}, "events are not supported"),
    ({"dense_output": True}, "dense_output=True is not supported; give the output times"),
    ({"fun": lambda t, y: [1.0, 2.0]}, r"fun returned shape \(2,\), y has shape \(1,\)"),
    ({"fun": lambda t, y: y.reshape(1, 1)}, r"fun returned shape \(1, 1\)"),
    ({"fun": lambda t, y: None}, "fun returned values of dtype object"),
    ({"fun": lambda t, y: "ab"}, "fun returned values of dtype <U2"),
    ({"fun": lambda t, y: y * 1j}, "fun returned values of dtype complex128"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_a_bad_argument_is_one_clear_error(changes, text):
    arguments = {"fun": decay, "t_span": (0, 1), "y0": [1.0], **changes}
    with pytest.raises(sciad.SciadError, match=text) as caught:
        solve_ivp(**arguments)
    assert isinstance(caught.value, (ValueError, TypeError))
    assert "test_solve_ivp.py" in str(caught.value)


def test_warnings_are_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve_ivp(decay, (0.0, 1.0), [1.0])


# --- threads --------------------------------------------------------------------------------------


def test_threads_solve_at_once():
    rates = np.linspace(0.5, 2.0, 8)
    found = {}

    def work(k):
        rate = rates[k]

        def loss(rate):
            def fun(t, y):
                return -rate * y - (k % 2) * y

            return solve_ivp(fun, (0.0, 1.0), [1.0], "Tsit5", [1.0], **TIGHT).y[0, 0]

        found[k] = [sciad.value_and_grad(loss)(rate) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, rate in enumerate(rates):
        exact = np.exp(-rate - k % 2)
        for value, gradient in found[k]:
            assert value == pytest.approx(exact, rel=1e-9)
            assert gradient == pytest.approx(-exact, rel=1e-9)
