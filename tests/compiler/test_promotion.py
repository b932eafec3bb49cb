"""Counters, bisections and step sizes of plain Python: their branches join, and mean what they do
in Python."""

import math
import random

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.core import promotion
from sciad.core.record import record

STRICT = llvm.available()
TABLE = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]


def counter(x):
    count = 0
    for v in x:
        if v > 0.2:
            count += 1
    return count * x[0] + np.sum(x)


def bisection(x):
    low, high = 0.0, 4.0
    for _ in range(len(x)):
        middle = (low + high) / 2
        if middle * middle > 2 + np.sin(x[0]):
            high = middle
        else:
            low = middle
    return (low + high) / 2 * x[1]


def step_sizes(x):
    h, y = 0.1, x[0]
    for v in x:
        error = np.abs(y + v) * h * h
        y = y - h * np.sin(y)
        h = h / 2 if error > 1e-2 else h * 1.1
    return y * h


def longest_run(x):
    best = now = 0
    for v in x:
        if v > 0:
            now += 1
            best = max(best, now)
        else:
            now = 0
    return best * np.sum(x)


def swapped(x):
    a, b, sign = 1.0, 2.0, 1
    for v in x:
        if v > 0:
            sign = -sign
            a, b = b, a + sign
    return a * x[0] + b * x[1]


def accepted(v, level, hits):
    if v > level:
        return level * 1.5, hits + 1
    return level / 2, hits


def in_a_function(x):
    level, hits = 1.0, 0
    for v in x:
        level, hits = accepted(v, level, hits)
    return level * np.sum(x) + hits


def steps_of_a_while(x):
    t, h, y, k = 0.0, 0.25, x[0], 0
    while k < len(x):
        y = y + h * np.cos(y + x[k])
        if y > 0.5:
            h = h * 0.8
        t, k = t + h, k + 1
    return y + t


def nested_questions(x):
    top = x[0]
    for v in x:
        if v > 0:
            if v > top:
                top = v
        else:
            top = top * 0.5
    return top


LINEAR = [nested_questions, counter, bisection, step_sizes, longest_run, swapped, in_a_function,
          steps_of_a_while]


def inputs(n=12, many=40):
    rng = np.random.default_rng(7)
    return [rng.normal(size=n) * 0.8 for _ in range(many)]


@pytest.mark.parametrize("f", LINEAR)
def test_the_branches_join(f):
    compiled = sciad.jit(f, strict=STRICT)
    for x in inputs():
        assert compiled(x) == pytest.approx(f(x), rel=1e-13)
    if STRICT:
        signature, = compiled.report().signatures
        assert signature["branches"] <= 5 * 12
        assert signature["operations"] < 600


@pytest.mark.parametrize("f", LINEAR)
def test_gradients(f):
    slope = sciad.jit(sciad.grad(f), strict=STRICT)
    for x in inputs(many=10):
        np.testing.assert_allclose(slope(x), sciad.grad(f)(x), rtol=1e-12, atol=1e-14)


def test_the_number_of_runs_is_linear():
    runs = [record(counter, np.zeros(n)).explored.runs for n in (10, 20, 40)]
    assert runs[2] - runs[1] == 2 * (runs[1] - runs[0])


def test_few_paths_promote_nothing():
    graph = record(counter, np.zeros(4)).graph
    assert "stop_gradient" not in str(graph)


# --- what must stay Python's own ------------------------------------------------------------------


def by_index(x):
    k = 0
    for v in x:
        if v > 0:
            k += 1
    return TABLE[k] * np.sum(x)


def by_range(x):
    k, y = 0, x[0]
    for v in x:
        if v > 0:
            k += 1
    for _ in range(k):
        y = y * 0.5
    return y


def by_text(x):
    k = 1
    for v in x:
        if v > 0:
            k *= 10
    return x[0] * len(f"{k}")


def by_key(x):
    k = 0
    for v in x:
        if v > 0:
            k += 1
    return {0: x[0], 1: x[1], 2: x[0] - x[1]}.get(k, np.sum(x))


def told_by_type(x):
    h = 1.0
    for v in x:
        if v > 0:
            h = h / 2
    return x[0] * h if isinstance(h, float) else x[1]


def doubled(h):
    return 2 * h if type(h) is int else 0.0


def told_by_a_helper(x):
    h = 1
    for v in x:
        if v > 0:
            h = h + 1
    return doubled(h) * x[0]


def without_end(x):
    product = 3
    for v in x:
        if v > 0:
            product = product * 1_000_003
    return float(product % 1009 if product > 0 else -1) * x[0]


def by_math(x):
    h = 1.0
    for v in x:
        if v > 0:
            h = h + 0.5
    return x[0] * math.sqrt(h)


def swallowed(x):
    k = 0
    for v in x:
        if v > 0:
            k += 1
        try:
            y = {0: 1.0, 1: 2.0}[k]
        except (KeyError, TypeError):
            y = 3.0
    return y * x[0]


def shared(x):
    k = 0

    def add():
        nonlocal k
        k += 1

    for v in x:
        if v > 0:
            add()
    return k * x[0]


def in_a_list(x):
    ends = [0.0, 4.0]
    for _ in x:
        middle = (ends[0] + ends[1]) / 2
        ends[int(bool(middle * middle > x[0] + 3))] = middle
    return ends[0] * x[1]


VALUED = [by_index, by_range, by_text, by_key, told_by_type, told_by_a_helper, without_end, by_math,
          swallowed, shared, in_a_list]


@pytest.mark.parametrize("f", VALUED)
@pytest.mark.filterwarnings("ignore::sciad.compiler.jit.FallbackWarning")
def test_what_asks_for_the_number_is_as_in_python(f):
    compiled = sciad.jit(f)
    for x in inputs(8, 30):
        assert compiled(x) == pytest.approx(f(x), rel=1e-13)


def test_a_division_by_zero_raises_as_in_python():
    def f(x):
        k = 3
        for v in x:
            if v > 0:
                k -= 1
        return x[0] * (1 / k)

    compiled = sciad.jit(f)
    for x in inputs(7, 60):
        try:
            want = f(x)
        except ZeroDivisionError:
            with pytest.raises(ZeroDivisionError):
                compiled(x)
        else:
            assert compiled(x) == pytest.approx(want)


def test_a_power_that_is_too_large_raises_as_in_python():
    def f(x):
        k = 2.0
        for v in x:
            if v > 0:
                k = k**2
        return x[0] * k

    compiled = sciad.jit(f)
    x = np.ones(11)
    assert compiled(-x) == f(-x)
    with pytest.raises(OverflowError):
        compiled(x)


def test_a_branch_that_raises():
    def f(x):
        h = 1.0
        for v in x:
            h = h / 2 if v > 0 else h * 1.5
            if h < 0.1:
                raise ValueError("the step is too small")
        return h * x[0]

    compiled = sciad.jit(f, strict=STRICT)
    for x in inputs(9, 40):
        try:
            want = f(x)
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)):
                compiled(x)
        else:
            assert compiled(x) == pytest.approx(want)


# --- random programs ------------------------------------------------------------------------------

STATEMENTS = [
    "a += 1", "a = a*2 - b", "b = a", "h = h/2", "h = h*1.1 + k", "k = h", "s = s + h*v",
    "s = s*0.5 + a", "a, b = b, a", "b = 3", "h = 0.25", "k = a*0.5", "h = h*abs(v)", "b = b - 1",
    "s = s + [0.5, 1.5, 2.5][a % 3]", "k = (h + k)/2", "s = s - v**2", "k = k**2", "a = -a",
    "b = a//2", "h = min(h, 0.3)", "s = s if s > k else k*s", "h, k = k, h", "h = h/(1 + b*b)",
    "for _ in range(a % 3): s = s*0.9", "a = len(str(b))",
]
CONDITIONS = ["v > 0.3", "s < h", "a > b", "h*2 < k", "v + s > 0.1*a", "v < -0.2 and s > 0",
              "v > h or v < -k", "b % 2 == 0"]


def program(seed):
    r = random.Random(seed)
    pool = r.sample(STATEMENTS, 4)
    lines = ["def f(x):", "    a, b, h, k, s = 0, 1, 0.5, 2.0, x[0]*1.0", "    for v in x:"]
    for condition in r.sample(CONDITIONS, r.randint(1, 2)):
        lines.append(f"        if {condition}:")
        lines += [f"            {text}" for text in r.sample(pool, r.randint(1, 2))]
        if r.random() < 0.6:
            lines += ["        else:", f"            {r.choice(pool)}"]
    if r.random() < 0.3:
        lines.append("        if s > 5: return s, a, b, h, k")
    lines.append("    return s, a, b, h, k")
    scope = {}
    exec("\n".join(lines), scope)
    return scope["f"]


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.filterwarnings("ignore")
def test_random_programs(seed, monkeypatch):
    monkeypatch.setattr(promotion, "UNPROMOTED_RUNS", 4)
    f = program(seed)
    compiled = sciad.jit(f)
    rng = np.random.default_rng(seed)
    for _ in range(25):
        x = rng.normal(size=4)
        try:
            want = f(x)
        except ArithmeticError:
            continue
        np.testing.assert_allclose(compiled(x), want, rtol=1e-9, atol=1e-12)
