"""Many threads compile, call, differentiate and save the same functions at once."""

import concurrent.futures
import sys
import threading

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.native import kernel_of
from sciad.core.record import record
from sciad.ode import solve_ivp

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")
COUNT = 8


def together(work):
    """What each of some threads returns, all started at one moment."""
    barrier = threading.Barrier(COUNT)

    def run(k):
        barrier.wait(30)
        return work(k)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
            return list(pool.map(run, range(COUNT)))
    finally:
        sys.setswitchinterval(before)


def branching(x):
    y = np.sin(x) if x[0] > 0 else np.cos(x)
    if np.sum(y) > 1:
        y = y * x
    return np.sum(y * 1.000123)


def test_the_first_call_of_many_threads():
    f = sciad.jit(branching, strict=llvm.available())
    x = np.linspace(-1, 1.7, 60)
    values = together(lambda k: f(x * (k + 1)))
    np.testing.assert_allclose(values, [branching(x * (k + 1)) for k in range(COUNT)], rtol=1e-12)
    assert len(f.report().signatures) == 1


def test_each_thread_compiles_a_function_of_its_own():
    def work(k):
        f = sciad.jit(lambda x: np.sum(x ** (k + 2)) * 1.000321)
        return f(np.arange(5.0)), sciad.grad(f)(np.arange(5.0))

    for k, (value, slope) in enumerate(together(work)):
        np.testing.assert_allclose(value, np.sum(np.arange(5.0) ** (k + 2)) * 1.000321, rtol=1e-13)
        np.testing.assert_allclose(slope, (k + 2) * np.arange(5.0) ** (k + 1) * 1.000321)


def test_transforms_shapes_and_kinds_at_once():
    f = sciad.jit(branching)

    def work(k):
        x = np.linspace(0.1, 1, 3 + k % 4)
        return [f(x), sciad.grad(f)(x), sciad.jit(sciad.grad(branching))(x), f(x.astype("f4"))]

    for k, got in enumerate(together(work)):
        x = np.linspace(0.1, 1, 3 + k % 4)
        for a, b in zip(got[:3], [branching(x), *[sciad.grad(branching)(x)] * 2], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        np.testing.assert_allclose(got[3], branching(x), rtol=1e-5)


def test_a_captured_number_is_each_calls_own():
    def work(k):
        rate = float(k)
        f = sciad.jit(lambda x: x * rate + 0.000777)
        return [f(float(j)) for j in range(50)]

    for k, values in enumerate(together(work)):
        assert values == [j * float(k) + 0.000777 for j in range(50)]


def test_exceptions_belong_to_their_thread():
    def f(x):
        if x > 0.5:
            raise ValueError("too large")
        return x * 1.000555

    compiled = sciad.jit(f)

    def work(k):
        seen = []
        for j in range(100):
            x = (j % 10) / 10 + k * 1e-3
            try:
                seen.append(compiled(x) == f(x))
            except ValueError as error:
                seen.append(x > 0.5 and error.args == ("too large",))
        return all(seen)

    assert all(together(work))


def test_saved_functions(tmp_path):
    compiled = sciad.jit(branching)
    x = np.linspace(-1, 1.7, 30)
    compiled.save(tmp_path / "f", x)

    def work(k):
        compiled.save(tmp_path / "f")
        loaded = sciad.load_compiled(tmp_path / "f")
        return [loaded(x * (j + 1)) for j in range(20)]

    want = [compiled(x * (j + 1)) for j in range(20)]
    assert all(values == want for values in together(work))


def counted(x):
    return sciad.fori_loop(0, 20_000_000, lambda k, s: np.sin(s) + x[0], x[1])


def a_number(x):
    return sciad.fori_loop(0, 20_000_000, lambda k, s: np.sin(s) + x, x)


def until(x):
    return sciad.while_loop(lambda s: s[0] < 2e7, lambda s: (s[0] + 1, np.sin(s[1])), (0.0, x))[1]


@native
@pytest.mark.parametrize("slow, x", [(counted, np.ones(2)), (a_number, 1.0), (until, 1.0)],
                         ids=["array", "number", "while"])
def test_python_runs_while_a_call_is_in_native_code(slow, x):
    turns = 0
    done = threading.Event()
    f = sciad.jit(slow, strict=True)
    f.lower(x)

    def call():
        f(x)
        done.set()

    thread = threading.Thread(target=call)
    thread.start()
    while not done.wait(1e-4):
        turns += 1
    thread.join()
    assert turns > 10, "no Python ran during a call of many milliseconds"


@native
def test_short_calls_keep_the_lock_of_python():
    def lets_go(f, *args):
        return kernel_of(record(f, *args).graph).entry.nogil

    def solved(w):
        return solve_ivp(lambda t, y: -w * y, (0.0, 1.0), np.ones(1), t_eval=[1.0]).y[0, 0]

    assert not lets_go(lambda x: x * x + 1 if x > 0 else x, 1.0)
    assert lets_go(solved, 1.0) and lets_go(until, 1.0) and lets_go(np.sum, np.ones(3))
