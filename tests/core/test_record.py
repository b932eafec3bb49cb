"""Recording: graphs print, check and evaluate themselves; branches join; impurity is noticed."""

import itertools
import sys
import traceback

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sciad
from sciad import numpy as snp
from sciad.core.errors import GraphError, RecordError
from sciad.core.graph import Equation, Graph, Type, Var
from sciad.core.record import record
from sciad.ops.elementwise import multiply

X = np.array([0.5, 1.5, -0.7])


def test_graph_prints():
    def f(x, y):
        return [np.sin(x) * y, x[1]]

    assert str(record(f, X, 2.0).graph) == """\
graph(a: f64[3], b: f64*) {
  c: f64[3] = sin a
  d: f64[3] = multiply c b
  e: f64 = getitem[spec=(1,)] a
  return d, e
}"""


def test_branches_print_as_cond():
    def f(x):
        if x > 0:
            return np.sin(x)
        return -x

    assert str(record(f, np.float64(1.0)).graph) == """\
graph(a: f64) {
  b: bool = greater a 0
  c: f64 = cond b a
    true(d: f64) {
      e: f64 = sin d
      return e
    }
    false(f: f64) {
      g: f64 = negative f
      return g
    }
  return c
}"""


def test_graph_checks_itself():
    a, b, c = (Var(Type((3,), float)) for _ in range(3))
    Graph([a], [Equation(multiply, [a, a], [b], {})], [b]).check()
    with pytest.raises(GraphError, match="before definition"):
        Graph([a], [Equation(multiply, [a, c], [b], {})], [b]).check()
    with pytest.raises(GraphError, match="defined twice"):
        Graph([a], [Equation(multiply, [a, a], [a], {})], [a]).check()
    with pytest.raises(GraphError, match="shape rule"):
        Graph([a], [Equation(multiply, [a, a], [Var(Type((), float))], {})], [a]).check()
    with pytest.raises(GraphError, match="twice"):
        Graph([a, a], [], [a]).check()
    with pytest.raises(GraphError, match="takes 1 inputs"):
        Graph([a], [], [a])(1.0, 2.0)


def test_equal_graphs_have_equal_keys():
    def f(x):
        return np.sum(x * 2.0)

    def g(x):
        return np.sum(x * 3.0)

    assert record(f, X).graph == record(f, X).graph
    assert record(f, X).graph != record(g, X).graph
    assert record(f, X).graph != record(f, X[:2]).graph


def test_containers_and_constants():
    def f(p, n):
        return {"a": p["x"] ** n, "b": (1.0, p["y"])}

    out = record(f, {"x": X, "y": 2.0}, 2)({"x": X, "y": 3.0}, 2)
    np.testing.assert_allclose(out["a"], X**2)
    assert out["b"] == (1.0, 3.0)


def test_recursion_and_python_loops_vanish():
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    graph = record(lambda x: power(x, 5), 2.0)
    assert len(graph.graph) == 4 and graph(2.0) == 32.0


# --- branches: random inputs ----------------------------------------------------------------------


def branchy(x):
    """Nested and sequential ifs, early return, max and abs, and/or, and one that raises."""
    a, b, c = x[0], x[1], x[2]
    if a > 2.5:
        return a * b
    total = a + b
    if b > 0:
        if c > 0 and a > 0:
            total = total * c
        elif c < -1 or a < -1:
            total = total - abs(c)
        else:
            total = np.sin(total)
    else:
        total = max(total, c)
    if abs(total) > 3:
        raise ValueError("the total is too large")
    for k in range(2):
        if x[k] < total:
            total = total + x[k] * k
        else:
            total = total * 0.5
    if not c < 0.5:
        return total * total
    return total + (b if a > b else a)


def _outcome(function, x):
    try:
        return function(x)
    except ValueError as error:
        return str(error)


def test_branches_at_300_random_inputs():
    recorded = record(branchy, np.zeros(3))
    recorded.graph.check()
    slope = record(sciad.grad(branchy), np.zeros(3))
    slope.graph.check()
    raised = 0
    for x in np.random.default_rng(0).uniform(-3, 3, (300, 3)):
        expected = _outcome(branchy, x)
        got = _outcome(recorded, x)
        if isinstance(expected, str):
            raised += 1
            assert got == expected
            assert _outcome(slope, x) == expected
            continue
        assert got == expected
        gradient = sciad.grad(branchy)(x)
        np.testing.assert_allclose(sciad.grad(recorded)(x), gradient, rtol=1e-13)
        np.testing.assert_allclose(slope(x), gradient, rtol=1e-13)
        v = np.array([1.0, -0.5, 2.0])
        np.testing.assert_allclose(sciad.jvp(recorded, (x,), (v,))[1], gradient @ v, rtol=1e-12)
    assert 5 < raised < 295


def test_hessian_of_recorded_branches():
    recorded = record(branchy, np.zeros(3))
    for x in np.random.default_rng(1).uniform(-1, 1, (10, 3)):
        np.testing.assert_allclose(sciad.hessian(recorded)(x), sciad.hessian(branchy)(x),
                                   rtol=1e-12, atol=1e-13)


# --- branches: joins ------------------------------------------------------------------------------


RUNS = []
"""Out of sight of the recorder, which joins no runs whose locals or closures differ."""


def _counted(function):
    def counted(x):
        RUNS.append(1)
        return function(x)

    return counted


def seven_ifs(x):
    y = 1.0 * x[0]
    if x[0] > 0:
        y = y + x[0]
    if x[1] > 0:
        y = y * x[1]
    if x[2] > 0:
        y = np.sin(y)
    if x[3] > 0:
        y = y - x[3]
    if x[4] > 0:
        y = y * y
    if x[5] > 0:
        y = y + x[5] * x[0]
    if x[6] > 0:
        y = np.exp(-y * y)
    return y


def loop_of_ifs(x):
    y = 1.0 * x[0]
    for k in range(7):
        y = y * 0.5 if x[k] > 0 else y + x[k]
    return y


def mutating_ifs(x):
    y = snp.zeros(3)
    for k in range(7):
        if x[k] > 0:
            y[k % 3] += x[k] * (k + 1)
        else:
            y[1:] *= x[k]
    return np.sum(y * y)


def ifs_in_a_helper(x):
    def relu(v):
        return v if v > 0 else 0.1 * v

    return sum(relu(x[k]) * (k + 1) for k in range(7))


def containers_in_branches(x):
    state = {"sum": 0.0 * x[0], "items": []}
    for k in range(7):
        if x[k] > 0:
            state["items"].append(x[k] * 2)
        else:
            state["items"].append(-x[k])
        state["sum"] = state["sum"] + state["items"][-1] * (k + 1)
    return state["sum"] * state["items"][0]


@pytest.mark.parametrize("function", [seven_ifs, loop_of_ifs, mutating_ifs, ifs_in_a_helper,
                                      containers_in_branches], ids=lambda f: f.__name__)
def test_seven_sequential_ifs_join(function):
    RUNS.clear()
    recorded = record(_counted(function), np.zeros(7))
    recorded.graph.check()
    assert len(RUNS) < 40
    size = np.arange(1.0, 8.0) / 5
    for signs in itertools.product([-1.0, 1.0], repeat=7):
        x = size * signs
        assert recorded(x) == pytest.approx(function(x), rel=1e-14)
    np.testing.assert_allclose(sciad.grad(recorded)(x), sciad.grad(function)(x), rtol=1e-13)


def test_untraced_state_keeps_branches_apart():
    """The count differs by branch, so the continuations must not be joined."""
    def f(x):
        count = 0
        for k in range(4):
            if x[k] > 0:
                count += 1
        return x[0] * count

    recorded = record(f, np.zeros(4))
    for signs in itertools.product([-1.0, 1.0], repeat=4):
        x = np.array(signs)
        assert recorded(x) == f(x)


def test_untraced_state_out_of_sight_keeps_branches_apart():
    """The state is reachable only through an object and a closure."""
    class Counter:
        __slots__ = ("n",)

    def f(x):
        counter = Counter()
        counter.n = 0

        def bump():
            counter.n += 1

        for k in range(4):
            if x[k] > 0:
                bump()
        return x[0] * counter.n + x[1] * (counter.n % 2)

    recorded = record(f, np.zeros(4))
    for signs in itertools.product([-1.0, 1.0], repeat=4):
        x = np.array(signs)
        assert recorded(x) == f(x)


def test_iterator_state_keeps_branches_apart():
    def f(x):
        numbers = iter([1.0, 2.0, 3.0, 4.0, 5.0])
        for k in range(3):
            if x[k] > 0:
                next(numbers)
        return x[0] * next(numbers)

    recorded = record(f, np.zeros(3))
    for signs in itertools.product([-1.0, 1.0], repeat=3):
        x = np.array(signs)
        assert recorded(x) == f(x)


# --- what cannot be recorded ----------------------------------------------------------------------


def test_impure_functions_raise():
    calls = []

    def f(x):
        calls.append(1)
        y = x * float(len(calls))
        return y if x > 0 else -y

    with pytest.raises(RecordError, match="not pure"):
        record(f, 1.0)


def test_random_numbers_in_branches_raise():
    generator = np.random.default_rng(0)

    def f(x):
        y = x * generator.standard_normal()
        if x > 0:
            y = y + generator.standard_normal()
        if x > 1:
            y = y * 2
        return y

    with pytest.raises(RecordError, match="not pure"):
        record(f, 1.0)


def test_texts_stand_in_the_structure():
    recorded = record(lambda x: {"y": 2 * x, "unit": "m"}, 1.0)
    assert recorded(3.0) == {"y": 6.0, "unit": "m"} and len(recorded.graph.outputs) == 1
    with pytest.raises(RecordError, match="structure"):
        record(lambda x: (x, "a") if x > 0 else (x, "b"), 1.0)


@pytest.mark.parametrize("function, message", [
    (lambda x: float(x[0]) * x, "float"),
    (lambda x: int(x[0]) * x, r"int\(\) needs the data"),
    (lambda x: x[x > 0], "boolean mask"),
    (lambda x: [1, 2][x[0].astype(int)] * x, "an index needs"),
    (lambda x: x if x > 0 else -x, "ambiguous"),
    (lambda x: x * len(f"{x[0]:.3f}"), "format"),
    (lambda x: (x, object()), "returned a object"),
    (lambda x: x if x[0] > 0 else x[:2], "shapes"),
    (lambda x: x if x[0] > 0 else (x, x), "structure"),
], ids=range(9))
def test_what_needs_data_raises(function, message):
    with pytest.raises((RecordError, ValueError, TypeError), match=message):
        record(function, X)


def test_a_debugger_shows_a_recorded_value():
    texts = []

    def f(x):
        frame = traceback.walk_stack(sys._getframe())
        stack = traceback.StackSummary.extract(frame, limit=1, capture_locals=True)
        texts.append(stack[0].locals["x"])
        with pytest.raises(RecordError, match=r"repr\(\) needs the data"):
            repr(x)
        return x

    with pytest.raises(RecordError, match="repr"):
        record(f, 1.0)
    assert "Array(" in texts[0]


def test_endless_data_dependent_loop_is_refused():
    def f(x):
        while x > 1e-3:
            x = x * 0.5
        return x

    with pytest.raises(RecordError, match="while_loop"):
        record(f, 1.0)


def test_value_kept_after_recording_raises():
    kept = []

    def f(x):
        kept.append(x * 2)
        return x

    record(f, 1.0)
    with pytest.raises(RecordError, match="after its recording ended"):
        kept[0] + 1.0


# --- nesting --------------------------------------------------------------------------------------


def test_outer_differentiated_values_are_lifted():
    def f(w):
        recorded = record(lambda x: np.sum(w * x**2), X)
        return recorded(X) * w[0]

    w = np.array([1.0, 2.0, 3.0])
    expected = sciad.grad(lambda w: np.sum(w * X**2) * w[0])(w)
    np.testing.assert_allclose(sciad.grad(f)(w), expected)


def test_outer_values_in_branches_are_lifted():
    def f(w):
        def inner(x):
            y = w * 2.0
            if x > 0:
                y = y * x
            if x > 1:
                y = y + w
            return y * w

        return record(inner, 1.0)(2.0)

    assert sciad.grad(f)(3.0) == pytest.approx(30.0)


def test_transforms_inside_recording():
    def f(x):
        inner = sciad.grad(lambda y: y**3 if y > 0 else y**2)
        return inner(x) + sciad.jvp(np.sin, (x,), (1.0,))[1]

    recorded = record(f, 1.0)
    for x in (1.5, -1.5):
        assert recorded(x) == pytest.approx((3 * x**2 if x > 0 else 2 * x) + np.cos(x))


# --- random programs ------------------------------------------------------------------------------

STEP = st.tuples(st.sampled_from(["binary", "unary", "if", "write", "add", "early", "where",
                                  "matmul", "sum"]),
                 st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))


def _step(values, step, x):
    action, i, j, k = step
    a, b = values[i % len(values)], values[j % len(values)]
    if action == "binary":
        return [lambda: a + b, lambda: a * b, lambda: a - b, lambda: np.maximum(a, b),
                lambda: a / (2.0 + b * b), lambda: np.arctan2(a, 1.0 + b * b)][k]()
    if action == "unary":
        return [np.sin, np.tanh, np.cos, lambda v: v * v, np.abs, lambda v: 1.5 * v][k](a)
    if action == "if":
        return a * 0.5 if b[k % 3] > a[i % 3] else np.cos(b)
    if action == "write":
        c = a.copy()
        c[k % 3:] = b[: 3 - k % 3]
        c[0] *= 2
        return c
    if action == "add":
        c = a * 1.0
        c[::2] += b[1]
        return c
    if action == "where":
        return np.where(a > b, b, a * a)
    if action == "matmul":
        return np.outer(a, b) @ x
    return a + np.sum(b)


def _program(steps):
    def run(x):
        values = [x, x * 0.5 + 0.1]
        for step in steps:
            if step[0] == "early":
                if values[-1][step[1] % 3] > 0.3 * step[2]:
                    return np.sum(values[-1])
            else:
                values.append(np.tanh(_step(values, step, x)))
        return np.sum(values[-1] * values[-2])

    return run


@given(st.lists(STEP, min_size=1, max_size=8), st.lists(st.integers(-20, 20), min_size=3,
                                                        max_size=3))
def test_random_programs(steps, entries):
    f = _program(steps)
    x = np.array(entries) / 7.0 + 0.01
    recorded = record(f, np.zeros(3))
    recorded.graph.check()
    expected = f(x)
    np.testing.assert_allclose(recorded(x), expected, rtol=1e-13)
    slope = sciad.grad(f)(x)
    np.testing.assert_allclose(sciad.grad(recorded)(x), slope, rtol=1e-9, atol=1e-12)
    by_record = record(sciad.grad(f), np.zeros(3))
    by_record.graph.check()
    np.testing.assert_allclose(by_record(x), slope, rtol=1e-9, atol=1e-12)
    v = np.array([0.3, -1.0, 0.7])
    np.testing.assert_allclose(sciad.jvp(f, (x,), (v,))[1], slope @ v, rtol=1e-9, atol=1e-12)


# --- the limit of operations ----------------------------------------------------------------------


def long_loop(x):
    for _ in range(300):
        x = x + 1.0
    return x


def long_loop_of_objects(x):
    o = np.array([x, x])
    for _ in range(300):
        o = o + 1.0
    return np.sum(o)


def long_loop_of_branches(x):
    kept = []
    for k in range(30):
        if x > k:
            kept.append(k)
        x = x + 1.0
    return x


LONG = {
    "loop": (long_loop, "more than 100 operations recorded.*sciad.scan, .*for long loops$"),
    "objects": (long_loop_of_objects,
                "more than 100 .*loops; np.array .*each entry.*`from sciad import numpy as np`"),
    "branches": (long_loop_of_branches, "operations.*np.where.*`if` in a `for`"),
}


@pytest.mark.parametrize("name", LONG)
def test_the_limit_of_operations_names_the_line_and_the_cure(name, monkeypatch):
    f, message = LONG[name]
    monkeypatch.setattr("sciad.core.explore.MOST_OPERATIONS", 100)
    with pytest.raises(RecordError, match=message) as seen:
        record(f, 1.0)
    assert "test_record.py" in str(seen.value)
