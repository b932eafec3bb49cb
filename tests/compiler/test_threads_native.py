"""Loops that threads share give what they give on one, to the bit."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm, loops, spreading
from sciad.compiler import threads as pool
from sciad.compiler.loops import Builder, Const, Function, If, Module, Name, Op, Return, Spread
from sciad.compiler.lower import lower
from sciad.compiler.native import Kernel
from sciad.core.errors import ArgumentError
from sciad.core.record import record

pytestmark = pytest.mark.skipif(not llvm.available() or not pool.available(),
                                reason="no native code, or no threads, here")
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def four_threads():
    before = pool.threads()
    pool.threads(4)
    yield
    pool.threads(before)


@pytest.fixture
def eager_to_spread(monkeypatch):
    """Loops of a hundred iterations are large."""
    monkeypatch.setattr(spreading, "LARGE", 100)
    monkeypatch.setattr(spreading, "PIECE", 1)


def small_kernel(f, *args):
    """A kernel with spread loops, compiled anew."""
    return Kernel(record(f, *args).graph)


def chain(x):
    y = np.exp(-x * x) * np.tanh(x) + np.log(2.0 + x * x)
    return np.maximum(y / (1.0 + x * x), 0.1) ** 1.5


def stencil(u):
    out = np.zeros_like(u)
    inner = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return out + np.pad(inner, 1)


LARGE = {
    "chain": (chain, RNG.normal(size=200_003)),
    "stencil": (stencil, RNG.normal(size=(640, 700))),
    "sum": (lambda x: np.sum(np.sin(x) ** 2), RNG.normal(size=200_001)),
    "max": (lambda x: np.max(np.cosh(x)) + np.min(np.exp(x)), RNG.normal(size=300_000)),
    "any": (lambda x: np.any(np.exp(np.sin(x)) > 2.7), RNG.normal(size=200_000)),
    "float32": (lambda x: np.exp(x) + np.sum(np.log(x)), RNG.uniform(1, 2, 400_000).astype("f4")),
    "gradient": (sciad.grad(lambda x: np.sum(np.tanh(x) * chain(x))), RNG.normal(size=150_007)),
    "rows": (lambda x: np.sum(np.exp(x), axis=1), RNG.normal(size=(700, 500))),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_number_of_threads_changes_nothing(name):
    f, x = LARGE[name]
    compiled = sciad.jit(f, strict=True)
    results = []
    for n in (1, 2, 3, 7):
        pool.threads(n)
        results.append(np.asarray(compiled(x)))
    want = np.asarray(f(x))
    for got in results:
        assert got.dtype == want.dtype and np.array_equal(got, results[0])
        tiny = 2000 * np.finfo(x.dtype).eps
        np.testing.assert_allclose(got, want, rtol=tiny, atol=tiny)
    assert " spread " in compiled.lower(x).loops


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("eager_to_spread")
def test_against_the_evaluator(name):
    """Small programs, cut as if they were large: native, the evaluator of the loops, eager."""
    f, x = LARGE[name]
    x = x.ravel()[:15 * 13].reshape((15, 13) if x.ndim == 2 else -1)
    recorded = record(f, x)
    lowered = lower(recorded.graph, threads=True)
    loops.check(lowered.module)
    (got,) = Kernel(recorded.graph)(*recorded.consts, x)
    want = np.asarray(f(x))
    main = lowered.module.functions[-1]
    out = np.empty(want.size, want.dtype)
    arrays = [np.asarray(c).ravel() for c in (*recorded.consts, x, *lowered.constants)]
    assert loops.evaluate(main, *arrays, out, module=lowered.module) == 0
    for each in (got, out.reshape(want.shape)):
        np.testing.assert_allclose(each, want, rtol=1e3 * np.finfo(x.dtype).eps, atol=1e-13)


# ---- vmap ----------------------------------------------------------------------------------------


def steps(a, x):
    m = np.outer(x, x) + a * np.eye(24)
    y = np.ones(24)
    for _ in range(3):
        y = y - 0.01 * (m @ y - x)
    return np.sum(y * y) if a > 0.5 else np.sum(np.sin(y)), y


def test_vmap_has_a_workspace_for_each_piece():
    a, x = RNG.uniform(size=3000), RNG.normal(size=(3000, 24))
    compiled = sciad.jit(sciad.vmap(steps), strict=True)
    text = compiled.lower(a, x).loops
    assert " spread " in text and "alloc" in text.partition("\nfunc ")[0]
    one, many = None, [compiled(a, x) for _ in range(3)]
    pool.threads(1)
    one = compiled(a, x)
    for got in many:
        assert all(np.array_equal(p, q) for p, q in zip(one, got, strict=True))
    for k in (0, 1234, 2999):
        want = steps(a[k], x[k])
        np.testing.assert_allclose(one[0][k], want[0], rtol=1e-12)
        np.testing.assert_allclose(one[1][k], want[1], rtol=1e-12)


def test_vmap_gradients():
    a, x = RNG.uniform(size=400), RNG.normal(size=(400, 24))
    mapped = sciad.vmap(steps, threads=3)
    compiled = sciad.jit(sciad.grad(lambda a, x: np.sum(mapped(a, x)[0] ** 2)), strict=True)
    got = compiled(a, x)
    want = [sciad.grad(lambda p, q=x[k]: steps(p, q)[0] ** 2)(a[k]) for k in (0, 17, 399)]
    np.testing.assert_allclose(got[[0, 17, 399]], want, rtol=1e-9)


def shared(w, x, k):
    y = x
    for _ in range(3):
        y = np.tanh(w @ y) * (k + 1)
    return np.sum(y * y)


@pytest.mark.parametrize("length", [127, 128, 137, 600])
def test_cotangents_of_what_entries_share_add_up_in_blocks(length):
    w, x, k = RNG.normal(size=(20, 20)), RNG.normal(size=(length, 20)), np.arange(length) % 3

    def loss(w, x):
        return np.sum(sciad.vmap(shared, in_axes=(None, 0, 0))(w, x, k))

    slopes = sciad.jit(sciad.grad(loss, (0, 1)), strict=True)
    want = sciad.grad(loss, (0, 1))(w, x)
    results = []
    for n in (1, 4):
        pool.threads(n)
        results.append(slopes(w, x))
    for one, four, true in zip(*results, want, strict=True):
        assert np.array_equal(one, four)
        np.testing.assert_allclose(one, true, rtol=1e-9, atol=1e-9 * np.abs(true).max())
    assert (" spread " in slopes.lower(w, x).loops) == (length >= 128)
    turn = sciad.grad(lambda w: np.sum(sciad.grad(lambda w: loss(w, x))(w) * w))
    turned, true = sciad.jit(turn, strict=True)(w), turn(w)
    np.testing.assert_allclose(turned, true, rtol=1e-8, atol=1e-8 * np.abs(true).max())


@pytest.mark.parametrize("n, shown", [(1, None), (2, "cap 2"), (None, "by")])
def test_vmap_caps_its_threads(n, shown):
    a, x = RNG.uniform(size=3000), RNG.normal(size=(3000, 24))
    text = sciad.jit(sciad.vmap(steps, threads=n)).lower(a, x).loops
    assert ((shown in text) if shown else (" spread " not in text)) and ("cap" in text) == bool(n)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "2"])
def test_vmap_refuses_odd_numbers_of_threads(n):
    with pytest.raises(ArgumentError, match="threads"):
        sciad.vmap(np.sin, threads=n)


def guarded(x):
    if x > 2.0:
        raise ValueError("too large")
    if x < -2.0:
        raise KeyError("too small")
    y = x
    for _ in range(40):
        y = np.sin(y) + x
    return y


@pytest.mark.parametrize("first, error", [(3.0, ValueError), (-3.0, KeyError)])
def test_the_first_entry_that_fails_is_the_one_that_raises(first, error):
    x = RNG.uniform(-1, 1, 20_000)
    x[7_000], x[7_001], x[15_000:] = first, -first, -first
    compiled = sciad.jit(sciad.vmap(guarded), strict=True)
    assert " spread " in compiled.lower(x).loops
    for _ in range(30):
        with pytest.raises(error):
            compiled(x)
    np.testing.assert_allclose(compiled(x * 0.1), [guarded(v) for v in x * 0.1], rtol=1e-12)


# ---- the pool ------------------------------------------------------------------------------------


def shared_sum():
    """out[i] = x[i] + 1 by pieces; pieces that hold a negative entry give a status."""
    p = Builder("part", s="i64", e="i64", x="ptr<f64>", out="ptr<f64>")
    with p.loop(p.s, p.e) as i:
        v = p.load(p.x, i)
        with p.if_(v < 0.0):
            p.ret(Op("i64", (-v,)))
        p.store(p.out, i, v + 1.0)
    p.ret()
    n = Name("n", "i64")
    buffers = (Name("x", "ptr<f64>"), Name("out", "ptr<f64>"))
    status = Name("status", "i64")
    main = Function("main", [("n", "i64"), ("x", "ptr<f64>"), ("out", "ptr<f64>")], [
        Spread("part", buffers, Const(0, "i64"), n, 64, "status"),
        If(status.ne(0), [Return(status)], []), Return(Const(0, "i64"))])
    return Module([p.function(), main], "shared")


def compiled_sum():
    module = shared_sum()
    loops.check(module)
    entry = llvm.Entry("main", ("i64", "array", "array"), nogil=True)
    return llvm.compile_module(module, (entry,)).function(entry), module


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 100_000])
def test_every_piece_runs_once(n):
    run, module = compiled_sum()
    x, out = np.arange(float(n)), np.zeros(n)
    for _ in range(20):
        assert run(n, x, out) is None
        assert np.array_equal(out, x + 1)
    x, out = x.copy(), np.zeros(n)
    assert loops.evaluate(module.functions[-1], n, x, out, module=module) == 0
    assert np.array_equal(out, x + 1)


def test_the_first_status_wins():
    run, module = compiled_sum()
    x = np.zeros(50_000)
    x[20_000], x[20_100:20_500], x[40_000] = -5.0, -6.0, -7.0
    assert {run(len(x), x, np.empty_like(x)) for _ in range(200)} == {5}
    assert loops.evaluate(module.functions[-1], len(x), x, np.empty_like(x), module=module) == 5


def test_many_callers_at_once():
    run, _ = compiled_sum()
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).uniform(size=30_000)
        for _ in range(100):
            out = np.zeros_like(x)
            run(len(x), x, out)
            if not np.array_equal(out, x + 1):
                wrong.append(seed)

    callers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def _in_child(queue):
    run, _ = compiled_sum()
    x, out = np.arange(50_000.0), np.zeros(50_000)
    run(len(x), x, out)
    queue.put(bool(np.array_equal(out, x + 1)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_pool_of_its_own():
    run, _ = compiled_sum()
    x, out = np.arange(50_000.0), np.zeros(50_000)
    run(len(x), x, out)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_in_child, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    assert all(queue.get(timeout=60) for _ in children)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    run(len(x), x, out)
    assert np.array_equal(out, x + 1)


PROGRAM = """
import threading, time
import numpy as np, sciad
f = sciad.jit(lambda x: np.sum(np.exp(np.sin(x))))
x = np.linspace(0, 1, 300_000)
f(x)
print(sciad.threads())
def forever():
    while True:
        f(x)
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.3)
"""


def run_program(**environment):
    return subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=120, check=False)


def test_the_interpreter_exits_while_loops_run():
    done = run_program(SCIAD_THREADS="3")
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr


def test_an_odd_number_of_threads_in_the_environment():
    done = run_program(SCIAD_THREADS="many")
    assert done.returncode != 0 and "SCIAD_THREADS" in done.stderr


@pytest.mark.parametrize("n", [0, 65, 1.0, True])
def test_threads_refuses(n):
    with pytest.raises(ArgumentError, match="threads"):
        pool.threads(n)


# ---- the pass ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("eager_to_spread")
@pytest.mark.parametrize("f, spread", [
    (lambda x: np.exp(x), True),
    (lambda x: np.cumsum(x), False),          # each entry needs the one before
    (lambda x: np.sum(x), True),
    (lambda x: x[0] + 1.0, False),
])
def test_what_is_spread(f, spread):
    graph = record(f, RNG.normal(size=1000)).graph
    assert (len(lower(graph, threads=True).module.functions) > 1) == spread
    assert len(lower(graph).module.functions) == 1


def test_a_loop_that_reads_what_it_reduces_stays_whole():
    b = Builder("running", x="ptr<f64>", out="ptr<f64>")
    total = b.var(0.0)
    with b.loop(0, 10**7) as i:
        b.assign(total, total + b.load(b.x, i) * total)
    b.store(b.out, Const(0, "i64"), total)
    b.ret()
    assert len(spreading.spread(b.function(), set())) == 1


def test_calls_that_are_not_safe_keep_a_loop_whole():
    b = Builder("calling", f="ptr", x="ptr<f64>")
    with b.loop(0, 10**6, parallel=True) as i:
        b.call_checked(b.f, i)
    b.ret()
    function = b.function()
    assert len(spreading.spread(function, set())) == 1
    assert len(spreading.spread(function, {"f"})) == 2


def test_the_checker_knows_spread():
    module = shared_sum()
    spread = module.functions[-1].body[0]
    spread.args = spread.args[:1]
    with pytest.raises(loops.LoopError, match="signature"):
        loops.check(module)
