"""jit: containers, arguments, transforms, purity, fallback, caches, threads."""

import concurrent.futures
import copy
import math
import os
import pickle
import random
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning, Jitted, _recordings
from sciad.core.errors import ArgumentError, RecordError
from sciad.ode import solve_ivp

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.array([0.5, 1.5, -0.7])


def same(a, b, rtol=1e-12):
    leaves, structure = sciad.core.tree.flatten(a)
    others, other = sciad.core.tree.flatten(b)
    assert structure == other
    for p, q in zip(leaves, others, strict=True):
        assert np.shape(p) == np.shape(q)
        np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-14)


class Pair(NamedTuple):
    a: float
    b: float


@dataclass
class Point:
    x: float
    y: float


# --- containers and arguments ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda x: x, lambda x: (x, 2 * x), lambda x: [x, (x, {"k": x * x})], lambda x: Pair(x, x + 1),
    lambda x: Point(x, -x), lambda x: {"b": x, "a": 3.0}, lambda x: (), lambda x: None,
    lambda x: (x, None, 2), lambda x: (np.ones(3), True, x > 1),
])
def test_containers_out(make):
    for x in (1.5, X):
        same(sciad.jit(make, strict=True)(x), make(x))


@pytest.mark.parametrize("x", [
    [1.0, 2.0], (1.0, [X, 2.0]), {"a": X, "b": {"c": 1.0}}, Pair(1.0, 2.0), Point(1.0, X), 2.0,
    np.float32(1.5), np.array(2.5), 3, True, np.int64(4), np.arange(4), np.zeros((0, 3)),
], ids=repr)
def test_containers_in(x):
    def f(tree):
        return sum(np.sum(leaf * leaf) for leaf in sciad.core.tree.flatten(tree)[0])

    compiled = sciad.jit(f, strict=True)
    for _ in range(2):
        same(compiled(x), f(x))
        assert np.asarray(compiled(x)).dtype == np.asarray(f(x)).dtype


def test_keywords_and_defaults():
    @partial(sciad.jit, strict=True)
    def f(x, y=2.0, *rest, scale=3.0, **more):
        return x * y * scale + sum(rest) + more.get("extra", 0.0)

    assert f(2.0) == 12.0
    assert f(2.0, 3.0) == 18.0
    assert f(y=1.0, x=2.0) == 6.0
    assert f(2.0, 1.0, 5.0, 6.0, scale=1.0, extra=0.5) == 13.5
    assert f(2.0, scale=np.float64(1.0)) == 4.0
    with pytest.raises(TypeError, match="missing"):
        f()


def test_static_arguments_count_by_value():
    @partial(sciad.jit, static_argnames=("n", "mode"), strict=True)
    def f(x, n, *rest, mode="sum"):
        for _ in range(n):
            x = np.sin(x)
        return (x if mode == "sum" else -x) + len(rest)

    assert f(0.5, 2) == np.sin(np.sin(0.5))
    assert f(0.5, n=1) == np.sin(0.5)
    assert f(0.5, 1, 7.0, mode="minus") == 1 - np.sin(0.5)
    with pytest.raises(TypeError):
        f(0.5)


def test_static_containers_and_functions():
    @partial(sciad.jit, static_argnames=("how",), strict=True)
    def f(x, how):
        return how["f"](x) * how["n"]

    assert f(2.0, {"f": np.sqrt, "n": 2}) == 2 * np.sqrt(2.0)
    assert f(2.0, {"f": np.sqrt, "n": 3}) == 3 * np.sqrt(2.0)
    k = 2.0
    how = {"f": lambda x: x * k, "n": 2}
    assert f(2.0, how) == 8.0
    k = 5.0
    assert f(2.0, how) == 20.0


def test_bools_strings_and_none_are_static():
    @partial(sciad.jit, strict=True)
    def f(x, flag, how, other=None):
        if flag is True:
            x = x + 1
        return (x * 2 if how == "double" else x) + (0 if other is None else other)

    assert f(1.0, True, "double") == 4.0
    assert f(1.0, False, "double") == 2.0
    assert f(1.0, False, "other", 1.0) == 2.0


def test_an_integer_is_traced_until_its_value_is_needed():
    @partial(sciad.jit, strict=True)
    def f(x, n):
        return x * n

    assert [f(2.0, n) for n in (1, 2, 3)] == [2.0, 4.0, 6.0]
    assert len(f.report().signatures) == 1

    @partial(sciad.jit, strict=True)
    def power(x, n):
        for _ in range(n):
            x = x * x
        return x

    assert [power(2.0, n) for n in (0, 1, 2)] == [2.0, 4.0, 16.0]
    assert [power(2.0, np.int64(n)) for n in (0, 1, 2)] == [2.0, 4.0, 16.0]


def test_an_argument_that_is_no_number_is_refused_by_name():
    with pytest.raises(ArgumentError, match="builtin_function.*static_argnames"):
        sciad.jit(lambda f, x: f(x))(math.sin, 1.0)


class Model:
    def __init__(self, rate):
        self.rate = rate
        self.kind = "plain"

    @sciad.jit
    def decorated(self, x):
        return self.rate * x if self.kind == "plain" else -x

    def method(self, x, power=2):
        return self.rate * x**power


@native
def test_methods():
    model, other = Model(2.0), Model(3.0)
    assert model.decorated(2.0) == 4.0 and other.decorated(2.0) == 6.0
    model.rate = 5.0
    assert model.decorated(2.0) == 10.0
    model.kind = "other"
    assert model.decorated(2.0) == -2.0
    bound = sciad.jit(other.method, strict=True)
    assert bound(3.0) == 27.0 and bound(3.0, power=1) == 9.0
    other.rate = 1.0
    assert bound(3.0) == 9.0
    assert isinstance(Model.decorated, Jitted)


def test_jit_of_jit_is_itself_and_takes_only_functions():
    f = sciad.jit(np.sin)
    assert sciad.jit(f) is f
    with pytest.raises(ArgumentError, match="takes a function"):
        sciad.jit(3)


@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "free", "main", "memcpy", "lambda x", "é"])
def test_names_of_functions_do_not_meet_names_of_symbols(name):
    def f(x):
        return np.exp(x) + np.tanh(x) + np.sum(np.sin(np.ones(1000) * x))

    f.__name__ = name
    same(sciad.jit(f, strict=True)(0.5), f(0.5))


def test_shapes_and_dtypes_specialise():
    f = sciad.jit(lambda x: np.sin(x) * 2, strict=True)
    for x in (1.0, np.float32(1.0), X, X.astype(np.float32), np.ones((2, 3)), np.arange(3), 1.0, X):
        same(f(x), np.sin(x) * 2, 1e-6)
        assert f(x).dtype == (np.sin(x) * 2).dtype
    assert len(f.report().signatures) == 6


# --- transforms -----------------------------------------------------------------------------------


def model(x, w):
    y = np.tanh(w @ x)
    if np.sum(y) > 0.2:
        y = y * x[0]
    return np.sum(np.sin(y) ** 2) * x[1]


W = np.array([[0.3, -0.2, 0.5], [0.1, 0.9, 0.4], [-0.6, 0.2, 0.1]])


def test_gradients_and_jit_commute():
    f = sciad.jit(model, strict=True)
    for x in (X, -X):
        want = sciad.grad(model, (0, 1))(x, W)
        same(sciad.grad(f, (0, 1))(x, W), want)
        same(sciad.jit(sciad.grad(model, (0, 1)), strict=True)(x, W), want)
        same(sciad.jit(sciad.grad(f, (0, 1)), strict=True)(x, W), want)
        same(sciad.value_and_grad(f)(x, W), sciad.value_and_grad(model)(x, W))
        same(sciad.jvp(f, (x, W), (W[0], W)), sciad.jvp(model, (x, W), (W[0], W)))


def test_second_order():
    f = sciad.jit(model, strict=True)
    for x in (X, -X):
        want = sciad.hessian(model)(x, W)
        same(sciad.hessian(f)(x, W), want, 1e-11)
        same(sciad.jit(sciad.hessian(model), strict=True)(x, W), want, 1e-11)
        same(sciad.jit(sciad.hessian(f), strict=True)(x, W), want, 1e-11)
        same(sciad.jacobian(sciad.grad(f), mode="reverse")(x, W), want, 1e-11)
        same(sciad.hvp(partial(f, w=W), (x,), (x,)), want @ x, 1e-11)
    sciad.check_grads(partial(f, w=W), (X,))


def test_captured_values_of_an_outer_gradient():
    def outer(wrap):
        def loss(a):
            inner = wrap(lambda x: np.sin(a * x) + a)
            slope = wrap(sciad.grad(lambda x: np.sin(a * x) * x))
            return inner(0.5) * inner(a) + slope(2.0) * slope(a)

        return loss

    for order in (outer, lambda wrap: sciad.grad(outer(wrap)),
                  lambda wrap: sciad.grad(sciad.grad(outer(wrap)))):
        want = order(lambda f: f)(0.7)
        same(order(partial(sciad.jit, strict=True))(0.7), want)
        same(sciad.jit(order(sciad.jit), strict=True)(0.7), want)
        same(sciad.jit(order(lambda f: f), strict=True)(0.7), want)


def test_a_differentiated_scalar_stays_differentiated():
    f = sciad.jit(lambda x: {"y": x * 2.0, "n": 3}, strict=True)
    assert sciad.grad(lambda x: f(x)["y"] * f(x)["n"])(1.0) == 6.0


def test_nested_jit_sees_what_changes():
    scale = 2.0
    inner = sciad.jit(lambda x: x * scale)
    outer = sciad.jit(lambda x: inner(x) + 1, strict=True)
    assert outer(3.0) == 7.0
    scale = 5.0
    assert outer(3.0) == 16.0
    assert sciad.grad(outer)(3.0) == 5.0


def test_results_of_an_inner_jit_may_be_written_to():
    inner = sciad.jit(lambda x: (x, x), strict=True)

    def f(x):
        a, b = inner(x * 2)
        a[0] = 10.0
        return np.sum(a) + np.sum(b * b)

    want = f(X)
    same(sciad.jit(f)(X), want)
    slope = sciad.grad(lambda x: np.sum((2 * x)[1:]) + np.sum(4 * x * x))(X)
    same(sciad.jit(sciad.grad(f))(X), slope)


@native
def test_a_fresh_lambda_hits_the_cache():
    def run(k):
        return sciad.jit(lambda x: np.sin(x) * k + k * k, strict=True)

    first = run(2.0)
    first(1.0)
    count = len(_recordings.found)
    for k in np.linspace(1, 2, 5):
        again = run(float(k))
        same(again(1.0), np.sin(1.0) * k + k * k)
        assert again.hits == 1
    assert len(_recordings.found) == count


# --- purity and fallback --------------------------------------------------------------------------

log, counter, total = [], 0, 0.0


def appends(x):
    log.append(x)
    return x * 2


def counts(x):
    global counter
    counter += 1
    return x * 2


def adds_up(x):
    global total
    total += 1.0
    return x * 2


def prints(x):
    print("x is", 3)
    return x * 2


def random_numpy(x):
    return x * np.random.rand()


def random_python(x):
    return x * 2 if random.random() < 2 else x


def random_branch(x):
    return x * 2 if np.random.randint(1000) >= 0 else x


def clock(x):
    return x + time.perf_counter()


def writes_argument(x, box=None):
    box = [] if box is None else box
    box.append(1)
    return x * 2


def needs_float(x):
    return float(x) * 2


def uses_math(x):
    return math.sin(x)


def needs_plain_array(x):
    return np.asarray(x, dtype=float) * 2


def fills_a_plain_array(x):
    out = np.zeros(2)
    out[0] = x
    return out


def fills_in_a_branch(x):
    out = np.zeros(2)
    if x > 0:
        out[0] = x
    return out


def data_dependent_while(x):
    while x < 100:
        x = x * 2
    return x


def formats(x):
    return x if f"{x:.3f}" else -x


def its_text(x):
    return 2 * x if str(x) == "1.5" else x


def its_representation(x):
    return 2 * x if repr([x]) == "[1.5]" else x


def percent(x):
    return 2 * x if "%s" % x == "1.5" else x  # noqa: UP031


def shown_in_braces(x):
    return 2 * x if f"{x!r}" == "1.5" else x


IMPURE = [(appends, "not pure"), (counts, "not pure"), (adds_up, "not pure"), (prints, "it prints"),
          (random_numpy, "pure|random"), (random_python, "pure|random"), (random_branch, "random"),
          (clock, "not pure"), (needs_float, "float"), (uses_math, "float"),
          (needs_plain_array, "asarray|float"), (fills_a_plain_array, "float|sequence"),
          (fills_in_a_branch, "float|sequence"), (data_dependent_while, "while_loop"),
          (formats, "format"), (its_text, "str.*test_jit"), (percent, "str.*test_jit"),
          (its_representation, "repr.*test_jit"), (shown_in_braces, "repr.*test_jit")]


@native
@pytest.mark.parametrize("f, reason", IMPURE, ids=lambda x: getattr(x, "__name__", None))
def test_what_cannot_be_compiled_runs_eagerly_with_one_warning(f, reason):
    compiled = sciad.jit(f)
    text = f"jit: {f.__name__} runs eagerly: .*({reason})"
    with pytest.warns(FallbackWarning, match=text) as seen:
        out = compiled(1.5)
    assert len(seen) == 1 and seen[0].filename == __file__
    random.seed(0), np.random.seed(0)
    again = compiled(1.5)
    random.seed(0), np.random.seed(0)
    want = f(1.5)
    if f is not clock:
        same(again, want)
    if f not in (clock, random_numpy):
        same(out, want)
    with pytest.raises(Exception, match=reason):
        sciad.jit(f, strict=True)(1.5)


def test_effects_happen_once_a_call():
    log.clear()
    compiled = sciad.jit(appends)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        for k in range(3):
            compiled(float(k))
    assert log == [0.0, 1.0, 2.0]
    before = counter
    compiled = sciad.jit(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        compiled(1.0), compiled(1.0)
    assert counter == before + 2


def test_printing_functions_print_every_time(capsys):
    compiled = sciad.jit(prints)
    with pytest.warns(FallbackWarning, match="it prints.*test_jit"):
        compiled(1.0)
    compiled(1.0)
    assert capsys.readouterr().out == "x is 3\nx is 3\n"


def test_nonlocal_counters_and_captured_containers():
    n, seen, box = 0, {}, np.zeros(2)

    def f(x):
        nonlocal n
        n += 1
        return x

    def g(x):
        seen["x"] = 1
        return x

    def h(x):
        box[0] = 5.0
        return x

    for function in (f, g, h):
        with pytest.warns(FallbackWarning, match="not pure"):
            assert sciad.jit(function)(1.5) == 1.5
    assert n == 1 and seen == {"x": 1} and box[0] == 5.0


def test_containers_among_the_arguments_that_are_written_to():
    def f(x, box):
        box.append(x)
        return x

    box = []
    compiled = sciad.jit(f)
    with pytest.warns(FallbackWarning, match="container among its arguments"):
        compiled(1.0, box)
    assert box == [1.0]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("make", [
    lambda: np.matrix([[1.0, 2.0], [3.0, 4.0]]),
    lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
])
def test_subclasses_of_arrays_run_eagerly(make):
    compiled = sciad.jit(lambda x: x * x)
    with pytest.warns(FallbackWarning, match="reaches a"):
        out = compiled(make())
    want = make() * make()
    assert type(out) is type(want) and (out == want).all()


# --- exceptions -----------------------------------------------------------------------------------


class Odd(Exception):
    def __init__(self, number, text):
        super().__init__(f"{text} {number}")
        self.number = number


def test_exceptions_of_the_function_propagate():
    def bad(x, n=1):
        if n > 3:
            raise Odd(n, "too many")
        return x[n]

    compiled = sciad.jit(bad, static_argnames=("n",), strict=True)
    assert compiled(X) == X[1]
    with pytest.raises(Odd, match="too many 4"):
        compiled(X, n=4)
    with pytest.raises(IndexError):
        compiled(X, n=3)
    with pytest.raises(ValueError, match="matmul|shapes"):
        sciad.jit(lambda x: x @ np.ones(5))(X)
    with pytest.raises(ZeroDivisionError):
        sciad.jit(lambda x: x * (1 / 0))(1.0)


@native
def test_exceptions_in_compiled_branches():
    def f(x):
        y = np.sin(x) * 2
        if y > 1.5:
            raise Odd(7, "too large")
        if y < -1.5:
            raise KeyError("too small", 3)
        return y

    compiled = sciad.jit(f, strict=True)
    same(compiled(0.1), f(0.1))
    for _ in range(2):
        with pytest.raises(Odd, match="too large 7") as caught:
            compiled(1.5)
        assert caught.value.number == 7
        with pytest.raises(KeyError, match="too small") as caught:
            compiled(-1.5)
        assert caught.value.args == ("too small", 3)
    with pytest.raises(Odd):
        sciad.grad(compiled)(1.5)
    with pytest.raises(Odd):
        sciad.jit(sciad.grad(f), strict=True)(1.5)


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 40])
def test_results_share_no_memory(n):
    x, constant = np.arange(float(n)), np.ones(n)
    fs = [lambda x: x, lambda x: x.reshape(1, -1), lambda x: (x, x), lambda x: constant,
          lambda x: (np.zeros(n), x[1:]), lambda x: x.T]
    for f in fs:
        compiled = sciad.jit(f)
        kept = [np.array(leaf) for leaf in sciad.core.tree.flatten(compiled(x))[0]]
        outs = sciad.core.tree.flatten(compiled(x))[0]
        for out in outs:
            assert not np.shares_memory(out, x) and not np.shares_memory(out, constant)
            out += 100.0
        for out, want in zip(sciad.core.tree.flatten(compiled(x))[0], kept, strict=True):
            np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(x, np.arange(float(n)))


def test_arguments_and_captured_arrays_are_not_written():
    captured = np.ones(40)

    def f(x):
        x = snp.copy(x)
        x[3] = 7.0
        y = captured * 2
        y[0] = np.sum(x)
        return x, y

    x = np.arange(40.0)
    x.flags.writeable = False
    compiled = sciad.jit(f, strict=True)
    same(compiled(x), f(x))
    assert (captured == 1).all()


@native
def test_a_loop_longer_than_its_buffer():
    def f(x):
        return sciad.while_loop(lambda s: s[0] < 3000, lambda s: (s[0] + 1, s[1] * 0.999 + x),
                                (0, x))[1]

    slope = sciad.jit(sciad.grad(f), strict=True)
    same(slope(0.5), sciad.grad(f)(0.5), 1e-10)
    same(slope(0.5), sciad.grad(f)(0.5), 1e-10)
    same(sciad.grad(sciad.jit(f))(0.5), sciad.grad(f)(0.5), 1e-10)


@native
@pytest.mark.slow
def test_a_solve_of_more_steps_than_there_is_room_for():
    def f(w):
        sol = solve_ivp(lambda t, y, w: np.array([y[1], -w * w * y[0]]), (0.0, 60.0),
                        np.array([1.0, 0.0]), t_eval=[60.0], args=(w,), rtol=1e-10, atol=1e-10)
        return sol.y[0, -1]

    compiled = sciad.jit(sciad.value_and_grad(f))
    same(compiled(9.0), sciad.value_and_grad(f)(9.0), 1e-6)
    same(compiled(9.0), sciad.value_and_grad(f)(9.0), 1e-6)


# --- threads, copies, processes -------------------------------------------------------------------


def test_threads():
    scale = 3.0

    @partial(sciad.jit, strict=True)
    def f(x, n):
        y = x * scale
        if y[0] > 0:
            y = np.sin(y)
        return sum(y[k] for k in range(n))

    def work(seed):
        rng = np.random.default_rng(seed)
        for k in range(30):
            x = rng.standard_normal(3 + k % 3)
            y = x * 3.0
            want = np.sum((np.sin(y) if y[0] > 0 else y)[:1 + k % 2])
            np.testing.assert_allclose(f(x, 1 + k % 2), want, rtol=1e-12)
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


@sciad.jit
def at_module_level(x):
    return x * 3


def plain_function(x):
    return np.sin(x)


def test_pickle_and_copy():
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level
    assert copy.deepcopy(at_module_level) is at_module_level
    f = sciad.jit(plain_function, strict=True)
    f(1.0)
    again = pickle.loads(pickle.dumps(f))
    assert again.strict and again(0.5) == f(0.5)
    assert copy.copy(f)(0.5) == f(0.5)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(sciad.jit(lambda x: x))


PROGRAM = """
import numpy as np, sciad
f = sciad.jit(sciad.grad(lambda x: np.sum(np.tanh(x) ** 3)))
f(np.ones(50))
print([s["disk"] for s in f.report().signatures])
"""


def python(program, **environment):
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                         check=True, env={**os.environ, **environment})
    return out.stdout.strip()


@native
@pytest.mark.slow
def test_a_second_process_takes_the_code_from_disk(tmp_path):
    assert python(PROGRAM, SCIAD_CACHE_DIR=str(tmp_path)) == "[False]"
    assert python(PROGRAM, SCIAD_CACHE_DIR=str(tmp_path)) == "[True]"


@native
@pytest.mark.slow
def test_without_native_code_everything_runs_through_the_evaluator():
    tests = ["test_jit.py", "test_branches.py", "test_environment.py"]
    here = os.path.dirname(__file__)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow",
         *(os.path.join(here, name) for name in tests)],
        capture_output=True, text=True, env={**os.environ, "SCIAD_JIT": "0"},
        cwd=os.path.dirname(os.path.dirname(here)))
    assert run.returncode == 0, run.stdout[-3000:]


# --- showing --------------------------------------------------------------------------------------


@native
def test_stages_and_report():
    f = sciad.jit(lambda x: np.sin(x) * 2 if x > 0 else x)
    stages = f.lower(1.0)
    assert "cond" in str(stages.graph) or "where" in str(stages.simplified)
    assert "sin" in stages.loops and "define i64" in stages.llvm
    assert "define" in stages.optimised and len(stages.assembly) > 100
    assert all(part in repr(stages) for part in ("# recorded", "# simplified", "# loops"))
    f(1.0), f(2.0), f(X[:1][0])
    report = f.report()
    assert report.hits >= 2 and report.compile_seconds > 0
    assert "signatures" in repr(report) and "record" in repr(report)
    assert "signatures" in repr(f)
    with pytest.warns(FallbackWarning):
        g = sciad.jit(needs_float)
        g(1.0)
    assert "eager: float(x)" in repr(g.report())
    with pytest.raises(RecordError, match="float"):
        g.lower(1.0)


@pytest.mark.parametrize("order", [">f8", ">f4", ">i4", ">i8"])
def test_arrays_of_another_byte_order(order):
    """They are read by value, as argument, as captured array and as constant."""
    x, c = np.arange(20).astype(order), np.arange(1, 21).astype(order)

    def f(x):
        return x * c + np.arange(2, 22).astype(order)

    np.testing.assert_array_equal(sciad.jit(f)(x), f(x))
    np.testing.assert_array_equal(sciad.jit(lambda x: x[:3])(x), x[:3])
    if order[1] == "f":
        gradient = sciad.grad(lambda x: np.sum(x**2 * c))
        np.testing.assert_array_equal(sciad.jit(gradient)(x), gradient(x))
