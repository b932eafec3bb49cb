"""The native solves obey the laws of their methods, and their derivatives those of calculus."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciad.compiler import llvm
from sciad.compiler.loops import Builder, Module, check, evaluate
from sciad.ode import kernels
from sciad.ode.tableau import RK45, TSIT5

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

METHODS = [RK45, TSIT5]
BUFFER = "ptr<f64>"
SIGNATURES = {
    "rhs": dict(t="f64", y=BUFFER, theta=BUFFER, dy=BUFFER),
    "jvp": dict(t="f64", y=BUFFER, theta=BUFFER, tdot="f64", ydot=BUFFER, thetadot=BUFFER,
                dydot=BUFFER),
    "vjp": dict(t="f64", y=BUFFER, theta=BUFFER, g=BUFFER, gt=BUFFER, gy=BUFFER, gtheta=BUFFER),
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIAD_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


# ---- models --------------------------------------------------------------------------------------


def lotka_volterra(kind):
    b = Builder(kind, **SIGNATURES[kind])
    x, y = b.load(b.y, 0), b.load(b.y, 1)
    alpha, beta, gamma, delta = (b.load(b.theta, k) for k in range(4))
    if kind == "rhs":
        b.store(b.dy, 0, alpha * x - beta * x * y)
        b.store(b.dy, 1, delta * x * y - gamma * y)
    elif kind == "jvp":
        u, v = b.load(b.ydot, 0), b.load(b.ydot, 1)
        p = [b.load(b.thetadot, k) for k in range(4)]
        b.store(b.dydot, 0, (alpha - beta * y) * u - beta * x * v + p[0] * x - p[1] * x * y)
        b.store(b.dydot, 1, delta * y * u + (delta * x - gamma) * v + p[3] * x * y - p[2] * y)
    else:
        g, k = b.load(b.g, 0), b.load(b.g, 1)
        b.add_to(b.gy, 0, g * (alpha - beta * y) + k * delta * y)
        b.add_to(b.gy, 1, k * (delta * x - gamma) - g * beta * x)
        for j, term in enumerate((g * x, -(g * x * y), -(k * y), k * x * y)):
            b.add_to(b.gtheta, j, term)
    b.ret()
    return b.function()


def van_der_pol(kind):
    """x'' = mu (1 - x^2) x' - x + a sin(w t): depends on t."""
    b = Builder(kind, **SIGNATURES[kind])
    x, v = b.load(b.y, 0), b.load(b.y, 1)
    mu, a, w = (b.load(b.theta, k) for k in range(3))
    sine, cosine = b.let(b.op("sin", w * b.t)), b.let(b.op("cos", w * b.t))
    if kind == "rhs":
        b.store(b.dy, 0, v)
        b.store(b.dy, 1, mu * (1.0 - x * x) * v - x + a * sine)
    elif kind == "jvp":
        dx, dv = b.load(b.ydot, 0), b.load(b.ydot, 1)
        dmu, da, dw = (b.load(b.thetadot, k) for k in range(3))
        b.store(b.dydot, 0, dv)
        along_y = (-2.0 * mu * x * v - 1.0) * dx + mu * (1.0 - x * x) * dv
        along_p = dmu * (1.0 - x * x) * v + da * sine + a * cosine * (b.t * dw + w * b.tdot)
        b.store(b.dydot, 1, along_y + along_p)
    else:
        g, k = b.load(b.g, 0), b.load(b.g, 1)
        b.add_to(b.gy, 0, k * (-2.0 * mu * x * v - 1.0))
        b.add_to(b.gy, 1, g + k * mu * (1.0 - x * x))
        b.add_to(b.gt, 0, k * a * cosine * w)
        for j, term in enumerate((k * (1.0 - x * x) * v, k * sine, k * a * cosine * b.t)):
            b.add_to(b.gtheta, j, term)
    b.ret()
    return b.function()


RING = 11


def ring(kind):
    """y_i' = k (y_{i+1} - y_i) - c t y_i^2 on a ring; more components than are unrolled."""
    b = Builder(kind, **SIGNATURES[kind])
    k, c = b.load(b.theta, 0), b.load(b.theta, 1)
    with b.loop(0, RING) as i:
        after = b.let((i + 1) % RING)
        y, z = b.load(b.y, i), b.load(b.y, after)
        if kind == "rhs":
            b.store(b.dy, i, k * (z - y) - c * b.t * y * y)
        elif kind == "jvp":
            u, v = b.load(b.ydot, i), b.load(b.ydot, after)
            along_p = b.load(b.thetadot, 0) * (z - y) - b.load(b.thetadot, 1) * b.t * y * y
            b.store(b.dydot, i, k * (v - u) - c * (b.tdot * y * y + 2.0 * b.t * y * u) + along_p)
        else:
            g = b.load(b.g, i)
            b.add_to(b.gy, i, -(g * (k + 2.0 * c * b.t * y)))
            b.add_to(b.gy, after, g * k)
            b.add_to(b.gt, 0, -(g * c * y * y))
            b.add_to(b.gtheta, 0, g * (z - y))
            b.add_to(b.gtheta, 1, -(g * b.t * y * y))
    b.ret()
    return b.function()


def python_lotka_volterra(t, y, p):
    return np.array([p[0] * y[0] - p[1] * y[0] * y[1], p[3] * y[0] * y[1] - p[2] * y[1]])


def python_van_der_pol(t, y, p):
    force = p[1] * np.sin(p[2] * t)
    return np.array([y[1], p[0] * (1.0 - y[0] * y[0]) * y[1] - y[0] + force])


def python_ring(t, y, p):
    return p[0] * (np.roll(y, -1) - y) - p[1] * t * y * y


class Model:
    """A model's three functions compiled, and a problem to solve with them."""

    def __init__(self, build, python, theta, y0, span):
        self.python, self.name = python, build.__name__
        self.theta, self.y0, self.span = np.array(theta), np.array(y0), span
        self.build, self._library = build, None

    def __getattr__(self, kind):
        if kind not in SIGNATURES:
            raise AttributeError(kind)
        if self._library is None:
            module = Module([self.build(each) for each in SIGNATURES], self.name)
            check(module)
            self._library = llvm.compile_module(module)
        return self._library.address(kind)


MODELS = [
    Model(lotka_volterra, python_lotka_volterra, [0.55, 0.028, 0.84, 0.026], [30.0, 4.0], (0, 20)),
    Model(lotka_volterra, python_lotka_volterra, [0.55, 0.028, 0.84, 0.026], [30.0, 4.0], (5, -3)),
    Model(van_der_pol, python_van_der_pol, [1.5, 0.7, 1.1], [2.0, -0.5], (0.3, 7)),
    Model(ring, python_ring, [0.9, 0.2], np.linspace(0.5, 2.0, RING), (-0.2, 3)),
]
MODEL = pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m.name}{m.span}")
METHOD = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


# ---- calling the kernels -------------------------------------------------------------------------


def run(kind, method, n, **values):
    """Call a kernel by the names of its parameters."""
    values |= {"n": n, "work": np.full(kernels.workspace(kind, method, n), np.nan)} | {
        key: values[key] for key in ("work",) if key in values
    }
    names = [name for name, _ in kernels.parameters(kind, method)]
    assert set(names) == set(values)
    return kernels.load(kind, method, n)(*(values[name] for name in names))


def march(model, method, rtol=1e-6, atol=1e-6, times=20, cap=2000, rhs=None, **options):
    n, (t0, t1) = len(model.y0), map(float, model.span)
    t_eval = np.linspace(t0, t1, times) if np.isscalar(times) else times
    s = SimpleNamespace(
        t_eval=t_eval, out=np.full((len(t_eval), n), np.nan), ts=np.full(cap, np.nan),
        ys=np.full((cap, n), np.nan), counters=np.zeros(4, np.int64), state=np.zeros(2),
        work=np.full(kernels.workspace("march", method, n), np.nan),
    )  # fmt: skip
    s.arguments = dict(
        rhs=rhs or model.rhs, theta=model.theta, y0=model.y0, t0=t0, t1=t1, rtol=rtol,
        atol=np.full(n, atol), first_step=0.0, max_step=np.inf, max_steps=10**6, m=len(t_eval),
        t_eval=t_eval, out=s.out, cap=cap, ts=s.ts, ys=s.ys, counters=s.counters, state=s.state,
        work=s.work,
    ) | options  # fmt: skip
    s.status = run("march", method, n, **s.arguments)
    s.steps = int(s.counters[1])
    s.t, s.y = s.ts[: s.steps + 1], s.ys[: s.steps + 1]
    return s


def replay(model, method, ts, t_eval, y0=None, theta=None):
    ts, t_eval = np.array(ts, float), np.array(t_eval, float)
    n = len(model.y0)
    ys, out = np.full((len(ts), n), np.nan), np.full((len(t_eval), n), np.nan)
    status = run("replay", method, n, rhs=model.rhs, theta=model.theta if theta is None else theta,
                 y0=model.y0 if y0 is None else y0, steps=len(ts) - 1, ts=ts, ys=ys,
                 m=len(t_eval), t_eval=t_eval, out=out)  # fmt: skip
    assert status is None
    return ys, out


def tangent(model, method, ts, ys, t_eval, directions):
    y0dot, thetadot, ts_dot, t_eval_dot = directions
    ydot, out = y0dot.copy(), np.full((len(t_eval), len(y0dot)), np.nan)
    status = run("tangent", method, len(y0dot), rhs=model.rhs, jvp=model.jvp, theta=model.theta,
                 thetadot=thetadot, ydot=ydot, steps=len(ts) - 1, ts=ts, ts_dot=ts_dot,
                 ys=ys.copy(), m=len(t_eval), t_eval=t_eval, t_eval_dot=t_eval_dot,
                 out_dot=out)  # fmt: skip
    assert status is None
    return out, ydot


def adjoint(model, method, ts, ys, t_eval, g_out, g_theta=None):
    n = len(model.y0)
    s = SimpleNamespace(
        g_y0=np.full(n, np.nan), g_ts=np.full(len(ts), np.nan),
        g_t_eval=np.full(len(t_eval), np.nan),
        g_theta=np.zeros(len(model.theta)) if g_theta is None else g_theta,
    )  # fmt: skip
    status = run("adjoint", method, n, rhs=model.rhs, vjp=model.vjp, theta=model.theta,
                 steps=len(ts) - 1, ts=ts, ys=ys.copy(), m=len(t_eval), t_eval=t_eval,
                 g_out=g_out, **vars(s))  # fmt: skip
    assert status is None
    return s


# ---- the solve -----------------------------------------------------------------------------------


@MODEL
@METHOD
def test_march_solves(model, method):
    s = march(model, method, 1e-10, 1e-10)
    assert s.status is None and s.counters[3] == len(s.t_eval)
    reference = solve_ivp(model.python, model.span, model.y0, args=(model.theta,), rtol=1e-11,
                          atol=1e-11, t_eval=s.t_eval, method="DOP853")  # fmt: skip
    assert np.allclose(s.out, reference.y.T, rtol=3e-8, atol=3e-8)
    assert s.t[0] == model.span[0] and s.t[-1] == model.span[1]
    assert np.all(np.diff(s.t) * np.sign(model.span[1] - model.span[0]) > 0)


@MODEL
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_decisions_are_scipys(model, tolerance):
    s = march(model, RK45, tolerance, tolerance)
    scipys = solve_ivp(model.python, model.span, model.y0, args=(model.theta,), rtol=tolerance,
                       atol=tolerance, method="RK45", dense_output=True)  # fmt: skip
    assert s.counters[0] == scipys.nfev
    assert np.allclose(s.t, scipys.t, rtol=1e-8) and np.allclose(s.y, scipys.y.T, rtol=1e-7)
    assert np.allclose(s.out, scipys.sol(s.t_eval).T, rtol=1e-7)


@pytest.mark.parametrize("options", [{"first_step": 0.01}, {"max_step": 0.05}], ids=str)
def test_step_options_are_scipys(options):
    model = MODELS[2]
    s = march(model, RK45, 1e-5, 1e-7, **options)
    scipys = solve_ivp(model.python, model.span, model.y0, args=(model.theta,), rtol=1e-5,
                       atol=1e-7, method="RK45", **options)  # fmt: skip
    assert np.allclose(s.t, scipys.t, rtol=1e-9)


def test_atol_is_by_component():
    model = MODELS[2]
    atol = np.array([1e-4, 1e-8])
    s = march(model, RK45, 1e-5, atol=atol)
    scipys = solve_ivp(model.python, model.span, model.y0, args=(model.theta,), rtol=1e-5,
                       atol=atol, method="RK45")  # fmt: skip
    assert np.allclose(s.t, scipys.t, rtol=1e-9)


@MODEL
@METHOD
def test_replay_is_march_to_the_bit(model, method):
    s = march(model, method, 1e-5, 1e-5, times=57)
    ys, out = replay(model, method, s.t, s.t_eval)
    assert np.array_equal(ys, s.y) and np.array_equal(out, s.out)


@METHOD
def test_dimension_at_run_time_gives_the_same_bits(method, monkeypatch):
    model = MODELS[0]
    s = march(model, method, times=57)
    fixed = replay(model, method, s.t, s.t_eval)
    monkeypatch.setattr(kernels, "UNROLLED", 0)
    again = march(model, method, times=57)
    assert s.steps == again.steps and np.allclose(s.t, again.t, rtol=1e-12)
    for a, b in zip(fixed, replay(model, method, s.t, s.t_eval), strict=True):
        assert np.array_equal(a, b)


def slope(errors):
    return np.polyfit(np.log2([1.0, 0.5, 0.25]), np.log2(errors), 1)[0]


@MODEL
@METHOD
def test_order_of_convergence(model, method):
    """Error of the last state like h^order, of the dense output like h^(dense order + 1)."""
    t0, t1 = model.span[0], model.span[0] + (model.span[1] - model.span[0]) / 3
    t_eval = np.linspace(t0, t1, 41)
    _, exact = replay(model, method, np.linspace(t0, t1, 1001), t_eval)
    ends, curves = [], []
    for steps in (16, 32, 64):
        ys, out = replay(model, method, np.linspace(t0, t1, steps + 1), t_eval)
        ends.append(np.abs(ys[-1] - exact[-1]).max())
        curves.append(np.abs(out - exact).max())
    assert slope(ends) > method.order - 0.5
    assert slope(curves) > method.dense_order + 0.5


@METHOD
def test_dense_output_meets_the_steps(method):
    s = march(MODELS[2], method)
    _, out = replay(MODELS[2], method, s.t, s.t)
    assert np.allclose(out, s.y, rtol=1e-13, atol=1e-13)


# ---- status --------------------------------------------------------------------------------------


def callback(function):
    """(address, owner) of a right-hand side in Python; it gives a status or None."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_double, *[ctypes.c_void_p] * 3)

    def call(t, y, theta, dy):
        double = ctypes.c_double * 2
        arrays = [np.frombuffer(double.from_address(p)) for p in (y, dy)]
        return function(t, *arrays) or 0

    owner = prototype(call)
    return ctypes.cast(owner, ctypes.c_void_p).value, owner


def solve_callback(function, **options):
    address, owner = callback(function)
    s = march(MODELS[0], RK45, rhs=address, **options)
    del owner
    return s


def test_callback_gives_the_same_steps():
    def rhs(t, y, dy):
        dy[:] = python_lotka_volterra(t, y, MODELS[0].theta)

    s, native = solve_callback(rhs), march(MODELS[0], RK45)
    assert s.status is None and np.allclose(s.t, native.t, rtol=1e-9)
    assert np.array_equal(s.counters, native.counters)


@pytest.mark.parametrize("calls", [1, 2, 3, 11])
def test_status_of_the_model_is_handed_on(calls):
    seen = []

    def rhs(t, y, dy):
        seen.append(t)
        dy[:] = -y
        return 77 if len(seen) == calls else 0

    assert solve_callback(rhs).status == 77
    assert len(seen) == calls


def test_not_finite_at_the_start():
    def rhs(t, y, dy):
        dy[:] = np.nan

    assert solve_callback(rhs).status == kernels.NON_FINITE
    model = Model(lotka_volterra, None, MODELS[0].theta, [np.inf, 1.0], (0, 1))
    assert march(model, TSIT5).status == kernels.NON_FINITE


def test_not_finite_later():
    def rhs(t, y, dy):
        dy[:] = np.nan if t > 3.0 else 1.0

    s = solve_callback(rhs)
    assert s.status == kernels.NON_FINITE
    assert 2.9 < s.state[1] <= 3.0 and s.state[1] == s.t[-1]


def test_step_size_underflow():
    def rhs(t, y, dy):  # from t = 1 on no step is small enough
        dy[:] = 1.0 if t < 1.0 else 1e20 * np.sign(np.sin(1e20 * y))

    s = solve_callback(rhs)
    assert s.status == kernels.UNDERFLOW


def test_a_probe_that_is_not_finite_starts_small():
    def rhs(t, y, dy):  # the probe for the first step goes to t = 0.2 or so
        dy[:] = 1.0 if t < 0.1 else np.nan

    s = solve_callback(rhs, times=0)
    assert s.status == kernels.NON_FINITE and np.isclose(s.t[-1], 0.1)


def test_steps_run_out():
    s = march(MODELS[0], TSIT5, max_steps=10)
    assert s.status == kernels.MAX_STEPS and s.counters[1:3].sum() == 10


@METHOD
def test_full_buffer_resumes_where_it_stopped(method):
    whole, s = march(MODELS[3], method), march(MODELS[3], method, cap=5, max_steps=7)
    n, arguments, grown = len(MODELS[3].y0), dict(s.arguments), 0
    while s.status is not None:
        if s.status == kernels.FULL:
            cap = arguments["cap"] + 3
            ts, ys = np.full(cap, np.nan), np.full((cap, n), np.nan)
            ts[: cap - 3], ys[: cap - 3] = arguments["ts"], arguments["ys"]
            arguments |= dict(cap=cap, ts=ts, ys=ys)
        else:
            assert s.status == kernels.MAX_STEPS
            arguments["max_steps"] += 5
        grown += 1
        s.status = run("march", method, n, **arguments)
    steps = int(s.counters[1])
    assert grown > 2 and np.array_equal(s.counters, whole.counters)
    assert np.array_equal(arguments["ts"][: steps + 1], whole.t)
    assert np.array_equal(arguments["ys"][: steps + 1], whole.y)
    assert np.array_equal(s.out, whole.out)


def test_no_output_times():
    s = march(MODELS[0], RK45, times=0)
    assert s.status is None and s.counters[3] == 0 and s.t[-1] == 20.0


# ---- derivatives ---------------------------------------------------------------------------------


def directions(model, steps, m, rng):
    return [rng.normal(size=size) for size in (len(model.y0), len(model.theta), steps + 1, m)]


def saved(model, method, rng, tolerance=1e-4):
    """Steps and saved states, and output times well inside the steps."""
    s = march(model, method, tolerance, tolerance)
    fractions = rng.uniform(0.1, 0.9, size=s.steps)
    t_eval = np.sort(s.t[:-1] + fractions * np.diff(s.t))
    t_eval = t_eval[:: 1 if s.t[0] < s.t[-1] else -1][::2]
    return s.t.copy(), s.y.copy(), np.ascontiguousarray(t_eval)


@MODEL
@METHOD
def test_tangent_is_the_difference_of_replays(model, method):
    rng = np.random.default_rng(1)
    ts, ys, t_eval = saved(model, method, rng)
    moves = directions(model, len(ts) - 1, len(t_eval), rng)
    got, end = tangent(model, method, ts, ys, t_eval, moves)

    def moved(eps):
        y0, theta, times, evals = (
            x + eps * v for x, v in zip((model.y0, model.theta, ts, t_eval), moves, strict=True)
        )
        return replay(model, method, times, evals, y0, theta)

    eps = 1e-5
    above, below = moved(eps), moved(-eps)
    expected = (above[1] - below[1]) / (2 * eps)
    assert np.allclose(got, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert np.allclose(end, (above[0][-1] - below[0][-1]) / (2 * eps), rtol=1e-4, atol=1e-5)


@MODEL
@METHOD
@pytest.mark.parametrize("where", ["inside", "at the steps", "repeated"])
def test_adjoint_is_the_transpose_of_the_tangent(model, method, where):
    rng = np.random.default_rng(2)
    ts, ys, t_eval = saved(model, method, rng)
    if where == "at the steps":
        t_eval = ts.copy()
    elif where == "repeated":
        t_eval = np.repeat(np.concatenate([ts[:1], t_eval, ts[-1:]]), 2)
    moves = directions(model, len(ts) - 1, len(t_eval), rng)
    g_out = rng.normal(size=(len(t_eval), len(model.y0)))
    forward = np.vdot(g_out, tangent(model, method, ts, ys, t_eval, moves)[0])
    s = adjoint(model, method, ts, ys, t_eval, g_out)
    terms = [np.vdot(g, v) for g, v in
             zip((s.g_y0, s.g_theta, s.g_ts, s.g_t_eval), moves, strict=True)]  # fmt: skip
    assert np.isclose(sum(terms), forward, rtol=1e-11, atol=1e-11 * np.abs(terms).max())


@METHOD
def test_adjoint_adds_to_theta_only(method):
    model, rng = MODELS[2], np.random.default_rng(3)
    ts, ys, t_eval = saved(model, method, rng)
    g_out = rng.normal(size=(len(t_eval), 2))
    once = adjoint(model, method, ts, ys, t_eval, g_out)
    again = adjoint(model, method, ts, ys, t_eval, g_out, g_theta=np.full(3, 10.0))
    assert np.allclose(again.g_theta - 10.0, once.g_theta, rtol=1e-12)
    assert np.array_equal(again.g_y0, once.g_y0) and np.array_equal(again.g_ts, once.g_ts)


@METHOD
def test_kernels_of_both_kinds_have_the_same_derivatives(method, monkeypatch):
    model, rng = MODELS[2], np.random.default_rng(4)
    ts, ys, t_eval = saved(model, method, rng)
    g_out = rng.normal(size=(len(t_eval), 2))
    fixed = adjoint(model, method, ts, ys, t_eval, g_out)
    monkeypatch.setattr(kernels, "UNROLLED", 0)
    general = adjoint(model, method, ts, ys, t_eval, g_out)
    for name in vars(fixed):
        assert np.allclose(getattr(fixed, name), getattr(general, name), rtol=1e-9, atol=1e-12)


@METHOD
def test_solution_does_not_depend_on_the_steps_to_first_order(method):
    """At tight tolerance moving an inner step time changes nothing; moving t1 moves the end."""
    model = MODELS[0]
    s = march(model, method, 1e-11, 1e-11, times=np.array([20.0]))
    g_out = np.array([[1.0, 2.0]])
    got = adjoint(model, method, s.t, s.y, s.t_eval, g_out)
    speed = np.vdot(g_out, python_lotka_volterra(20.0, s.y[-1], model.theta))
    assert np.allclose(got.g_ts[1:-1], 0.0, atol=1e-7 * abs(speed))
    assert np.isclose(got.g_ts[-1] + got.g_t_eval[0], speed, rtol=1e-6)
    assert np.isclose(got.g_ts.sum() + got.g_t_eval[0], 0.0, atol=1e-6 * abs(speed))


def test_every_kernel_keeps_the_rules_of_the_ir():
    for kind in kernels.KERNELS:
        for n in (1, 3, None):
            function, vectors = kernels.program(kind, TSIT5, n)
            check(Module([function]))
            assert vectors > 0


def test_failures_of_the_model_end_the_derivatives():
    model, rng = MODELS[0], np.random.default_rng(5)
    ts, ys, t_eval = saved(model, RK45, rng)
    address, owner = callback(lambda t, y, dy: 5)
    broken = SimpleNamespace(**{key: getattr(model, key) for key in ("theta", "y0", "jvp", "vjp")},
                             rhs=address)  # fmt: skip
    for kind in (
        lambda: replay(broken, RK45, ts, t_eval),
        lambda: adjoint(broken, RK45, ts, ys, t_eval, np.ones((len(t_eval), 2))),
        lambda: tangent(broken, RK45, ts, ys, t_eval, directions(model, len(ts) - 1,
                                                                 len(t_eval), rng)),
    ):
        with pytest.raises(AssertionError):
            kind()
    del owner


def test_the_evaluator_runs_the_same_programs():
    """The loop IR's own meaning of the programs: what native code is held to."""
    model, method = MODELS[0], TSIT5

    def rhs(t, y, theta, dy):
        dy[:2] = python_lotka_volterra(t, y, theta)
        return 0

    native = march(model, method, times=5, cap=8)
    s = {key: np.array(value) for key, value in native.arguments.items() if key != "rhs"}
    s |= dict(ts=np.zeros(8), ys=np.zeros(16), out=np.zeros(10), counters=np.zeros(4, np.int64),
              state=np.zeros(2), rhs=rhs, n=2)  # fmt: skip
    function, _ = kernels.program("march", method, 2)
    status = evaluate(function, *(s[name] for name, _ in function.params))
    assert status == native.status == kernels.FULL
    assert np.array_equal(s["counters"], native.counters)
    assert np.allclose(s["ts"], native.ts, rtol=1e-10)
    assert np.allclose(s["ys"].reshape(8, 2), native.ys, rtol=1e-10)
