"""Right-hand sides: what is native, what is called back, and that neither is ever stale."""

import ctypes
import functools
import gc
import itertools
import os
import signal
import threading
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.ode import model, solve_ivp

END = {"t_eval": [1.0], "rtol": 1e-10, "atol": 1e-10}


def at_end(fun, y0=(1.0,), **options):
    sol = solve_ivp(fun, (0.0, 1.0), np.array(y0), "Tsit5", **{**END, **options})
    return sol, sol.y[:, -1]


# --- forms of a right-hand side -------------------------------------------------------------------


@pytest.mark.parametrize("fun", [
    lambda t, y: [-y[0]], lambda t, y: (-y[0],), lambda t, y: -y[0], lambda t, y: -y,
    lambda t, y: np.array([-y[0]]), lambda t, y: snp.array([-y[0]]), lambda t, y: np.negative(y),
    lambda t, y: -1 * y.reshape(1, 1).T[0], lambda t, y: np.array([-y.item()]),
    lambda t, y: np.stack([-y[0]]), lambda t, y: [np.float64(-1.0) * y[0]],
])
def test_forms_of_a_result(fun):
    sol, y = at_end(fun)
    assert sol.native, sol.reason
    assert y[0] == pytest.approx(np.exp(-1.0), rel=1e-8)


@pytest.mark.parametrize("fun", [lambda t, y: 1, lambda t, y: [2.0], lambda t, y: np.ones(1),
                                 lambda t, y: np.float32(1.0), lambda t, y: True])
def test_constant_results(fun):
    assert at_end(fun, (0.0,))[1] == pytest.approx(float(np.ravel(fun(0, 0))[0]))


def with_zeros_like(t, y):
    out = np.zeros_like(y)
    out[0], out[1] = y[1], -y[0]
    return out


def with_empty_like(t, y):
    out = np.empty_like(y)
    out[0] = y[1]
    out[1] = -y[0]
    return out


def with_own_zeros(t, y):
    out = snp.zeros(2)
    out[0] += y[1]
    out[1:] -= y[:1]
    return out


def with_matrix(t, y):
    return np.array([[0.0, 1.0], [-1.0, 0.0]]) @ y


def with_dot(t, y):
    return np.dot(np.array([[0, 1], [-1, 0]]), y)


def with_if(t, y):
    if t > 0.5:
        return np.array([y[1], -y[0]])
    return -np.array([-y[1], y[0]])


def with_where(t, y):
    return np.where(np.array([True, False]), y[1], -y[0])


def with_cond(t, y):
    return sciad.cond(t > 0.5, lambda y: np.stack([y[1], -y[0]]),
                      lambda y: np.stack([1.0 * y[1], -1.0 * y[0]]), y)


def with_while(t, y):
    k = sciad.while_loop(lambda k: k < 0.9, lambda k: k + 0.25, 0.0 * t)
    return np.stack([y[1], -k * y[0]])


def with_scan(t, y):
    total, _ = sciad.scan(lambda c, x: (c + x, c), 0.0 * t, np.array([0.5, 0.25, 0.25]))
    return np.stack([total * y[1], -y[0]])


def with_loop(t, y):
    return [sum(y[1 - i] * (1, -1)[i] / 4 for _ in range(4)) for i in range(2)]


def with_unpacking(t, y):
    position, speed = y
    return [speed, -position]


def with_mutation_of_y(t, y):
    y[0] *= -1.0
    return y[::-1]


@pytest.mark.parametrize("fun", [
    with_zeros_like, with_empty_like, with_own_zeros, with_matrix, with_dot, with_if, with_where,
    with_cond, with_while, with_scan, with_loop, with_unpacking, with_mutation_of_y,
])
def test_ways_to_write_an_oscillator(fun):
    start = np.array([1.0, 0.5])
    exact = [np.cos(1.0) + 0.5 * np.sin(1.0), -np.sin(1.0) + 0.5 * np.cos(1.0)]
    sol, y = at_end(fun, start)
    assert sol.native, sol.reason
    np.testing.assert_allclose(y, exact, rtol=1e-8)
    jacobian = sciad.jacobian(lambda y0: solve_ivp(fun, (0.0, 1.0), y0, "Tsit5", **END).y[:, -1])
    rotation = [[np.cos(1.0), np.sin(1.0)], [-np.sin(1.0), np.cos(1.0)]]
    np.testing.assert_allclose(jacobian(start), rotation, rtol=1e-7)
    np.testing.assert_array_equal(start, [1.0, 0.5])


def test_a_constant_array_in_a_branch():
    table = np.linspace(0.5, 1.5, 36).reshape(6, 6) / 6

    def fun(t, y):
        if y[0] > 1.2:
            return np.arange(36.0).reshape(6, 6) / 600 @ y
        return table @ y

    one, two = (at_end(f, np.ones(6))[1] for f in (fun, lambda t, y: fun(t, y)))
    np.testing.assert_allclose(one, two)


# --- arguments ------------------------------------------------------------------------------------


Pair = namedtuple("Pair", "a b")


class Rates:
    def __init__(self, a, b):
        self.a, self.b = a, b


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b


@pytest.mark.parametrize("args, fun", [
    (0.7, lambda t, y, a: -a * y),
    (np.float64(0.7), lambda t, y, a: -a * y),
    ((0.7,), lambda t, y, a: -a * y),
    ([0.7], lambda t, y, a: -a * y),
    (np.array([0.3, 0.4]), lambda t, y, p: -np.sum(p) * y),
    (np.array(0.7), lambda t, y, a: -a * y),
    ({"a": 0.3, "b": [0.4, None]}, lambda t, y, d: -(d["a"] + d["b"][0]) * y),
    ((0.3, {"b": (0.2, {"c": 0.2})}, "name", None),
     lambda t, y, a, d, name, none: -(a + d["b"][0] + d["b"][1]["c"]) * y * len(name) / 4),
    ((7, True, 10), lambda t, y, n, flag, m: -n / m * y if flag else y),
    ((np.array([3, 4]), np.int64(10)), lambda t, y, k, m: -(k[0] + k[1]) / m * y),
    ((np.array([True, False]),), lambda t, y, mask: -0.7 * np.where(mask, y[0], 1.0)[:1]),
    ((np.arange(40) / 40, 25), lambda t, y, table, k: -(table[k] + 0.075) * y),
    ((np.float32(0.5), np.arange(3, dtype=np.uint8)), lambda t, y, a, k: -(a + 0.1 * k[2]) * y),
    ((lambda t: 0.7,), lambda t, y, rate: -rate(t) * y),
    ((Rates(0.3, 0.4),), lambda t, y, p: -(p.a + p.b) * y),
    ((Slotted(0.3, np.array([0.4])),), lambda t, y, p: -(p.a + p.b) * y),
    ((Pair(0.3, 0.4),), lambda t, y, p: -(p.a + p.b) * y),
    ((0.7 + 0j,), lambda t, y, z: -z.real * y),
], ids=range(18))
def test_extra_arguments(args, fun):
    assert at_end(fun, args=args)[1][0] == pytest.approx(np.exp(-0.7), rel=1e-6)


# --- never stale ----------------------------------------------------------------------------------


rate = 0.7
settings = {"rate": 0.7}


def test_globals_are_read_at_each_call(monkeypatch):
    def fun(t, y):
        return -rate * y

    def other(t, y):
        return -settings["rate"] * y

    for f in (fun, other):
        assert at_end(f)[1][0] == pytest.approx(np.exp(-0.7))
    monkeypatch.setitem(globals(), "rate", 0.2)
    monkeypatch.setitem(settings, "rate", 0.2)
    for f in (fun, other):
        assert at_end(f)[1][0] == pytest.approx(np.exp(-0.2))


def holders():
    class Model:
        def __init__(self):
            self.p = [0.7]

        def field(self, t, y):
            return -self.p[0] * y

        def __call__(self, t, y):
            return -self.p[0] * y

    class Table(dict):
        pass

    first, second = Model(), Model()
    array, numbers, names = np.array([0.7]), [0.7], types.SimpleNamespace(a=0.7)
    slotted, record = Slotted(0.7, None), Rates(0.7, None)
    table, order, queue = Table(a=0.7), OrderedDict(a=0.7), deque([0.7])
    missing = defaultdict(float, a=0.7)
    inner = Pair({"a": 0.7}, ())
    bound = functools.partial(lambda t, y, p: -p[0] * y, p=array)
    nested = functools.partial(functools.partial(lambda t, y, p, q: -p[0] * y, q=1.0), p=numbers)
    jitted = sciad.jit(lambda y: -names.a * y)
    return [
        (lambda t, y: -array[0] * y, lambda v: array.__setitem__(0, v)),
        (lambda t, y: -numbers[0] * y, lambda v: numbers.__setitem__(0, v)),
        (lambda t, y: -names.a * y, lambda v: setattr(names, "a", v)),
        (lambda t, y: -slotted.a * y, lambda v: setattr(slotted, "a", v)),
        (lambda t, y: -record.a * y, lambda v: setattr(record, "a", v)),
        (lambda t, y: -table["a"] * y, lambda v: table.update(a=v)),
        (lambda t, y: -order["a"] * y, lambda v: order.update(a=v)),
        (lambda t, y: -missing["a"] * y, lambda v: missing.update(a=v)),
        (lambda t, y: -queue[0] * y, lambda v: queue.__setitem__(0, v)),
        (lambda t, y: -inner.a["a"] * y, lambda v: inner.a.update(a=v)),
        (first.field, lambda v: first.p.__setitem__(0, v)),
        (second, lambda v: setattr(second, "p", [v])),
        (bound, lambda v: array.__setitem__(0, v)),
        (nested, lambda v: numbers.__setitem__(0, v)),
        (lambda t, y: jitted(y), lambda v: setattr(names, "a", v)),
        (sciad.jit(lambda t, y: -names.a * y), lambda v: setattr(names, "a", v)),
    ]


@pytest.mark.parametrize("k", range(len(holders())))
def test_what_a_closure_reaches_is_read_at_each_call(k):
    fun, change = holders()[k]
    for value in (0.7, 0.2, 0.3):
        change(value)
        for _ in range(2):
            sol, y = at_end(fun)
            assert sol.native, sol.reason
            assert y[0] == pytest.approx(np.exp(-value), rel=1e-8)


@pytest.mark.parametrize("k", range(len(holders())))
def test_what_a_closure_reaches_is_differentiated(k):
    if k in (0, 12):
        pytest.skip("a plain array refuses a differentiated value by an error")

    def last(value):
        fun, change = holders()[k]
        change(value)
        return at_end(fun)[1][0]

    assert sciad.grad(last)(0.7) == pytest.approx(-np.exp(-0.7), rel=1e-7)


def test_objects_of_arrays():
    def last(a):
        rates = np.array([a, 2.0 * a])
        return at_end(lambda t, y: -rates[0] * rates[1] * y)[1][0]

    assert sciad.grad(last)(0.5) == pytest.approx(-2.0 * np.exp(-0.5), rel=1e-7)


def test_integers_count_by_value():
    def solve(n):
        return at_end(lambda t, y: -sum([y] * n))[1][0]

    assert [solve(n) for n in (1, 2, 1)] == pytest.approx(np.exp([-1.0, -2.0, -1.0]))


# --- called back ----------------------------------------------------------------------------------


def test_side_effects_are_seen():
    calls, counts, seen, total = [], Counter(), deque(), np.zeros(1)
    state = types.SimpleNamespace(n=0, last=0.0)
    number = 0.0

    def rebinds(t, y):
        nonlocal number
        number += 1.0
        return -y

    def assigns(t, y):
        state.last = state.last + 1.0
        return -y

    effects = [
        (lambda t, y: calls.append(t) or -y, lambda: len(calls)),
        (lambda t, y: counts.update(["n"]) or -y, lambda: counts["n"]),
        (lambda t, y: seen.append(1) or -y, lambda: len(seen)),
        (lambda t, y: total.__iadd__(1.0) * 0.0 - y, lambda: total[0]),
        (rebinds, lambda: number),
        (assigns, lambda: state.last),
    ]
    for fun, count in effects:
        sol, y = at_end(fun)
        assert not sol.native
        assert sol.reason == "it changes what it reaches outside itself"
        assert count() == sol.nfev
        assert y[0] == pytest.approx(np.exp(-1.0))
    assert all(type(t) is float for t in calls)
    assert "called back in Python (it changes" in repr(sol)


def test_printing_is_seen(capsys):
    sol, _ = at_end(lambda t, y: print("here") or -y)
    assert capsys.readouterr().out.split() == ["here"] * sol.nfev
    assert "it prints" in sol.reason


def test_global_random_numbers_are_drawn():
    def solve():
        return at_end(lambda t, y: -y * np.random.uniform(0.9, 1.1), steps=np.linspace(0, 1, 5))

    assert not solve()[0].native
    assert solve()[1] != solve()[1]


def test_memory_between_calls():
    """A buffer that carries something from call to call is no function of t and y."""
    buffer = np.zeros(2)

    def fun(t, y):
        buffer[0] = y[1]
        buffer[1] = -y[0]
        return buffer

    sol, y = at_end(fun, (1.0, 0.0))
    assert not sol.native
    np.testing.assert_allclose(y, [np.cos(1.0), -np.sin(1.0)])
    assert np.any(buffer)


def plain_zeros(t, y):
    out = np.zeros(2)
    out[0] = y[1]
    out[1] = -y[0]
    return out


def plain_zeros_in_a_branch(t, y):
    if t >= 0.0:
        return plain_zeros(t, y)
    return -y


@pytest.mark.parametrize("fun", [
    plain_zeros, plain_zeros_in_a_branch,
    lambda t, y: [float(y[1]), -float(y[0])],
    lambda t, y: np.array([y[1], -y[0]], dtype=float),
    lambda t, y: [y[1], -y[0]] if isinstance(y, np.ndarray) else y.missing,
    lambda t, y: list(itertools.takewhile(lambda _: t < 9, [y[1], -y[0]])) if y.any() else None,
    lambda t, y: (np.linalg.eigvals(np.diag(y + 9)).real - 9)[::-1] * [1, -1]
    if ctypes.c_double(y[0]) else y,
])
def test_what_cannot_be_recorded_still_runs(fun):
    sol, y = at_end(fun, (1.0, 0.0))
    np.testing.assert_allclose(y, [np.cos(1.0), -np.sin(1.0)], rtol=1e-6)
    if not sol.native:
        assert sol.reason


def test_randomness_is_not_frozen():
    rng = np.random.default_rng(0)
    sol, _ = at_end(lambda t, y: -y * rng.uniform(0.9, 1.1), steps=np.linspace(0, 1, 5))
    assert not sol.native


class Fancy(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")
        self.a = a


def raising(t, y):
    raise KeyError("at once")


def raising_late(t, y):
    if t > 0.5:
        raise KeyError("later")
    return -y


def raising_fancily(t, y):
    if y[0] < 0.8:
        raise Fancy(1, "two")
    return -y


def raising_with_numbers(t, y):
    if y[0] < 0.8:
        raise ValueError(f"y fell to {float(y[0]):.1f}")
    return -y


def raising_in_a_callback(t, y):
    if float(t) > 0.5:
        raise ZeroDivisionError("called back")
    return -y


@pytest.mark.parametrize("fun, kind, text", [
    (raising, KeyError, "at once"), (raising_late, KeyError, "later"),
    (raising_fancily, Fancy, "1 and two"), (raising_with_numbers, ValueError, "y fell to 0.[78]"),
    (raising_in_a_callback, ZeroDivisionError, "called back"),
])
def test_exceptions_reach_the_user(fun, kind, text):
    def loss(y0):
        return at_end(fun, y0)[1][0]

    for call in (loss, sciad.grad(loss), lambda y: sciad.jvp(loss, (y,), (y,))):
        with pytest.raises(kind, match=text) as caught:
            call(np.array([1.0]))
        assert fun.__name__ in [entry.name for entry in caught.traceback]
    at_end(lambda t, y: -y)


def test_exceptions_in_the_backward_pass():
    armed = []

    def fun(t, y):
        float(sciad.stop_gradient(t))
        if armed:
            raise RuntimeError("armed")
        return -y

    _, pull = sciad.vjp(lambda y: at_end(fun, y)[1], np.array([1.0]))
    armed.append(1)
    with pytest.raises(RuntimeError, match="armed"):
        pull(np.array([1.0]))


class Stop(BaseException):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_an_interrupt_is_not_lost():
    """Wherever the signal strikes, in native code, at the door of a callback or inside."""
    def handler(number, frame):
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # what strikes inside a destructor is lost to Python itself
    try:
        for k in range(30):
            signal.setitimer(signal.ITIMER_REAL, 0.01 + 1e-4 * k)
            with pytest.raises(Stop):
                solve_ivp(lambda t, y: [float(-y[0])], (0.0, 1e6), [1.0], max_steps=10**9)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c():
    def fun(t, y):
        if float(t) > 0.1:
            signal.raise_signal(signal.SIGINT)
        return -y

    with pytest.raises(KeyboardInterrupt):
        at_end(fun)


def test_a_solve_inside_a_right_hand_side():
    def inner(t, y):
        return solve_ivp(lambda s, z: -z, (0.0, 1.0), y, t_eval=[1.0], rtol=1e-8).y[:, 0]

    for wrapped in (inner, lambda t, y: inner(float(t), y)):
        _, y = at_end(wrapped)
        assert y[0] == pytest.approx(np.exp(np.exp(-1.0)), rel=1e-5)
    slope = sciad.grad(lambda a: at_end(inner, [a])[1][0])(1.0)
    assert slope == pytest.approx(np.exp(np.exp(-1.0)), rel=1e-5)


# --- what is kept ---------------------------------------------------------------------------------


def test_caches_are_bounded():
    for k in range(model._MOST_MODELS + 20):
        solve_ivp(lambda t, y, k=k: -k * y, (0.0, 0.1), [1.0], t_eval=[0.1], steps=[0.0, 0.1])
        if k == 40:
            break
    assert len(model._models) <= model._MOST_MODELS


def test_a_new_closure_of_the_same_kind_is_known():
    def solve(a, b):
        return at_end(lambda t, y: -a * y + b)[0]

    solve(1.0, 2.0)
    count = len(model._models)
    for k in range(5):
        solve(1.0 * k, 2.0)
    assert len(model._models) == count


@pytest.mark.parametrize("native", [True, False])
def test_large_things_are_let_go(native):
    class Big(np.ndarray):
        pass

    def solve():
        table = np.ones(1000).view(Big)

        def fun(t, y):
            return -y * table[3] * (1.0 if native else float(table[2]))

        def loss(y0):
            return at_end(fun, y0)[1][0]

        sciad.grad(loss)(np.array([1.0]))
        return weakref.ref(table)

    refs = [solve() for _ in range(3)]
    for k in range(300):  # the walks of recent functions are remembered, the oldest dropped first
        from_many = functools.partial(lambda t, y, k: -y, k=float(k))
        solve_ivp(lambda t, y, f=from_many: f(t, y), (0.0, 0.1), [1.0], steps=[0.0, 0.1])
    gc.collect()
    assert all(ref() is None for ref in refs)


def test_threads_with_callbacks():
    found = {}

    def work(k):
        found[k] = at_end(lambda t, y: [-float(y[0]) * k])[1][0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[k] for k in range(6)] == pytest.approx(np.exp(-np.arange(6.0)), rel=1e-7)
