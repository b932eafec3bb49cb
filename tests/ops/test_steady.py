"""Bodies that keep state outside their carry are refused when recorded, wherever the state is."""

import array
import functools
import importlib
import itertools
import time
import types

import numpy as np
import pytest

import sciad
from sciad.compiler.jit import FallbackWarning
from sciad.core.errors import RecordError
from sciad.core.record import record
from sciad.ops.control.bodies import record_body

scan = importlib.import_module("sciad.ops.control.scan")
calls = 0


def loop(body, x):
    return sciad.fori_loop(0, 4, body, x)


def previous_value(x):
    before = [0.0]

    def body(i, s):
        new = s * x + before[0]
        before[0] = s
        return new

    return loop(body, x)


def first_iteration(x):
    seen = set()

    def body(i, s):
        first = not seen
        seen.add(1)
        return s * 2 if first else s * x

    return loop(body, x)


def counter_of_the_closure(x):
    count = 0

    def body(i, s):
        nonlocal count
        count += 1
        return s * count

    return loop(body, x)


def counter_of_the_module(x):
    def body(i, s):
        global calls
        calls += 1
        return s * calls

    global calls
    calls = 0
    return loop(body, x)


class Counting:
    total = 0

    def __init__(self):
        self.count = 0

    def method(self, i, s):
        self.count += 1
        return s * self.count

    def __call__(self, i, s):
        return self.method(i, s)

    @classmethod
    def of_class(cls, i, s):
        cls.total += 1
        return s * cls.total


class Slotted:
    __slots__ = ("count",)


def counter_of_the_class(x):
    Counting.total = 0
    return loop(Counting.of_class, x)


def counter_in_slots(x):
    state = Slotted()
    state.count = 0

    def body(i, s):
        state.count += 1
        return s * state.count

    return loop(body, x)


def counter_of_the_function(x):
    def body(i, s):
        body.count += 1
        return s * body.count

    body.count = 0
    return loop(body, x)


def counter_in_a_default(x):
    def body(i, s, count=[0]):  # noqa: B006
        count[0] += 1
        return s * count[0]

    return loop(body, x)


def counter_of_a_helper(x):
    space = types.SimpleNamespace(count=0)

    def helper():
        space.count += 1
        return space.count

    return loop(lambda i, s: s * helper(), x)


def entries_of_an_array(x):
    count = np.zeros(2)

    def body(i, s):
        count[1] += 1
        return s * count[1]

    return loop(body, x)


def entries_of_a_buffer(x):
    count = array.array("d", [0.0])

    def body(i, s):
        count[0] += 1
        return s * count[0]

    return loop(body, x)


def entries_of_a_followed_array(x):
    store = np.ones(2) * x

    def body(i, s):
        store[0] = store[0] * 2.0
        return s + store[0]

    return loop(body, x)


def iterator(x, make=lambda: iter([1.0, 2.0, 3.0, 4.0])):
    rest = make()
    return loop(lambda i, s: s * next(rest), x)


def bound_next(x):
    rest = iter([1.0, 2.0, 3.0, 4.0])
    return loop(lambda i, s: s * rest.__next__(), x)


def too_short_an_iterator(x):
    rest = iter([2.0])
    return loop(lambda i, s: s * next(rest, 1.0), x)


def generator(x):
    return iterator(x, lambda: (k + 1.0 for k in range(4)))


def count(x):
    return iterator(x, lambda: itertools.count(1))


def cycle(x):
    return iterator(x, lambda: itertools.cycle([1.0, 2.0]))


def mapped_iterator(x):
    return iterator(x, lambda: map(float, range(1, 5)))


def random_numbers(x):
    rng = np.random.default_rng(0)
    return np.sum(sciad.vmap(lambda a: a * rng.standard_normal())(x * np.ones(3)))


def bound_random_numbers(x):
    draw = np.random.default_rng(0).standard_normal
    return loop(lambda i, s: s * draw(), x)


def vmap_counter(x):
    number = 0

    def entry(a):
        nonlocal number
        number += 1
        return a * number

    return np.sum(sciad.vmap(entry)(x * np.ones(3)))


def scan_counter(x):
    number = [0]

    def body(carry, row):
        number[0] += 1
        return carry * number[0], carry

    return np.sum(sciad.scan(body, x, None, 4)[1])


def scan_in_segments(x):
    number = [0]

    def body(carry, row):
        number[0] += 1
        return carry * number[0], carry

    return np.sum(sciad.scan(body, x, None, 5, checkpoint=2)[1])


def while_counter(x):
    number = [0]

    def body(s):
        number[0] += 1
        return s * number[0]

    return sciad.while_loop(lambda s: s < 100.0, body, x)


def condition_counter(x):
    number = [0]

    def condition(s):
        number[0] += 1
        return number[0] < 5

    return sciad.while_loop(condition, lambda s: s * 2.0, x)


def traced_bound(x):
    number = [0]

    def body(i, s):
        number[0] += 1
        return s * number[0]

    return sciad.fori_loop(0, sciad.cond(x > 0, lambda: 3, lambda: 4), body, x)


def branch_that_appends(x):
    notes = []

    def noted(y):
        notes.append(1)
        return y * 2

    y = sciad.cond(x < 0, noted, lambda y: y, x)
    return y + len(notes)


def state_of_an_outer_iteration(x):
    """Out of reach for the outer body: only the inner one has it."""
    def outer(i, s):
        number = [0]

        def inner(j, t):
            number[0] += 1
            return t * number[0]

        return loop(inner, s)

    return sciad.fori_loop(0, 2, outer, x)


def leaking(x):
    last = [x]

    def body(i, s):
        last[0] = s
        return s * 2

    return loop(body, x) + last[0]


def partial_body(x):
    def body(number, i, s):
        number[0] += 1
        return s * number[0]

    return loop(functools.partial(body, [0]), x)


def through_grad(x):
    number = [0]

    def squared(s):
        number[0] += 1
        return s**2 * number[0]

    return loop(lambda i, s: sciad.grad(squared)(s), x)


STATEFUL = [
    previous_value, first_iteration, counter_of_the_closure, counter_of_the_module,
    counter_of_the_class, counter_in_slots, counter_of_the_function,
    counter_of_a_helper, entries_of_an_array, entries_of_a_buffer, entries_of_a_followed_array,
    iterator, bound_next, too_short_an_iterator, generator, count, cycle, mapped_iterator,
    random_numbers, bound_random_numbers, vmap_counter, scan_counter, scan_in_segments,
    while_counter, condition_counter, traced_bound, branch_that_appends,
    state_of_an_outer_iteration, leaking, partial_body, through_grad, counter_in_a_default,
    lambda x: loop(Counting().method, x), lambda x: loop(Counting(), x),
]


@pytest.mark.parametrize("f", STATEFUL, ids=lambda f: f.__name__)
def test_state_outside_the_carry_is_refused(f):
    with pytest.raises(RecordError) as caught:
        record(f, 1.5)
    text = str(caught.value)
    assert "carry what changes in the state" in text and "test_steady.py" in text


@pytest.mark.parametrize("f", STATEFUL, ids=lambda f: f.__name__)
def test_jit_runs_it_eagerly(f):
    with pytest.warns(FallbackWarning, match="changes state"):
        compiled = sciad.jit(f)(1.5)
    np.testing.assert_allclose(compiled, f(1.5), rtol=1e-14)
    with pytest.raises(RecordError, match="changes state"):
        sciad.jit(f, strict=True)(1.5)


def test_the_message_names_function_line_and_state():
    line = counter_of_the_closure.__code__.co_firstlineno + 3
    with pytest.raises(RecordError, match=rf"the body body \(.*test_steady.py:{line}\).*\(count\)"):
        record(counter_of_the_closure, 1.5)
    with pytest.raises(RecordError, match=r"the body method .*\(Counting.count\)"):
        record(lambda x: loop(Counting().method, x), 1.5)


def test_state_that_nobody_can_look_into():
    with pytest.raises(RecordError, match="does something else when it runs again"):
        record(lambda x: loop(lambda i, s: s * time.perf_counter_ns(), x), 1.5)
    with pytest.raises(RecordError, match="nobody can tell how far"):
        record(lambda x: iterator(x, lambda: np.arange(1.0, 5.0).flat), 1.5)


TABLE = {"rate": 0.5, "weights": np.arange(3.0)}


def reads_only(x):
    y, rows = np.sin(x), [x, 2.0]
    return loop(lambda i, s: s * TABLE["rate"] + y * rows[1] + np.sum(TABLE["weights"]), x)


def returns_what_it_closes_over(x):
    return loop(lambda i, s: np.sin(x), x)


def takes_views(x):
    v = np.ones(3) * x
    return loop(lambda i, s: s + v[0] * v[1:].sum(), x)


def local_state(x):
    def body(i, s):
        parts = []
        for k in range(3):
            parts.append(s * k)
        return sum(parts)

    return loop(body, x)


def derivative_of_nested_loops(x):
    def inner(y):
        return loop(lambda i, s: loop(lambda j, t: np.sin(t) * x + y, s), y)

    return sciad.grad(inner)(x)


def jitted_helper(x):
    helper = sciad.jit(lambda s: s * 2.0)
    return loop(lambda i, s: helper(s) + x, x)


@pytest.mark.parametrize("f", [reads_only, returns_what_it_closes_over, takes_views, local_state,
                               derivative_of_nested_loops, jitted_helper],
                         ids=lambda f: f.__name__)
def test_bodies_without_state_are_recorded(f):
    np.testing.assert_allclose(record(f, 1.5)(1.5), f(1.5), rtol=1e-13)
    np.testing.assert_allclose(record(sciad.grad(f), 1.5)(1.5), sciad.grad(f)(1.5), rtol=1e-13)


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_only_the_outermost_loop_is_recorded_twice(depth, monkeypatch):
    recorded = []

    def counted(function, carry, rows):
        recorded.append(carry)
        return record_body(function, carry, rows)

    def nested(level, x):
        body = (lambda i, s: nested(level - 1, s)) if level else (lambda i, s: s * x)
        return sciad.fori_loop(0, 2, body, x)

    monkeypatch.setattr(scan, "record_body", counted)
    record(lambda x: nested(depth - 1, x), 1.5)
    assert len(recorded) == 2 * depth


def test_without_iterations_the_eager_body_may_keep_state():
    notes = []

    def body(carry, row):
        notes.append(row)
        return carry, carry

    carry, ys = sciad.scan(body, 1.0, None, 0)
    assert carry == 1.0 and ys.shape == (0,)
