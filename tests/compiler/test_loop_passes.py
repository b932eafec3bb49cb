"""Passes over loops on the printed graph: what goes, what stays, and that results are the same."""

import numpy as np
import pytest

import sciad
from sciad.compiler import passes
from sciad.compiler.loop_passes import hoist, settle, share_loops
from sciad.core.capacity import loop_capacity
from sciad.core.graph import Graph
from sciad.core.record import record
from sciad.ops import control, indexing

X = np.array([0.5, 1.5, -0.7])


def graph_of(f, *args) -> Graph:
    return record(f, *args).graph


def names(graph: Graph) -> list[str]:
    return [equation.primitive.name for equation in graph.equations]


def loops_of(graph: Graph) -> list:
    return [e for e in graph.equations if e.primitive in (control.scan_p, control.while_p)]


def agree(before: Graph, after: Graph, *args):
    after.check()
    for a, b in zip(before(*args), after(*args), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def power(x):
    return sciad.fori_loop(0, 5, lambda k, z: z * np.sin(x) + k, x)


def until(x):
    return sciad.while_loop(lambda z: np.sum(z * z) < 50.0, lambda z: 1.5 * z + x, x)


# --- share_loops ----------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [power, until])
def test_a_loop_and_the_one_that_keeps_its_states_are_one(f):
    with loop_capacity(16):
        graph = graph_of(sciad.value_and_grad(lambda x: np.sum(f(x))), X)
    shared = passes.prune(share_loops(graph))
    assert len(loops_of(shared)) == 2 < len(loops_of(graph))
    agree(graph, shared, X)


def test_all_passes_share_a_loop_whose_rows_only_its_value_needs():
    def f(x):
        c, rows = sciad.scan(lambda c, r: (np.sin(c) * r[0], c * r[1]), 1.0, (x, x * 3.0))
        return c + np.sum(rows)

    graph = graph_of(sciad.value_and_grad(f), X)
    simple = passes.optimise(graph)
    assert len(loops_of(simple)) == 2
    for a, b in zip(graph(X), simple(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_scans_over_the_same_states_run_once():
    def f(x):
        rows = [sciad.scan(lambda c, r, k=k: (c * r, c + k), 1.0, x) for k in range(3)]
        return [row for _, row in rows], sum(c for c, _ in rows)

    graph = graph_of(f, X)
    shared = passes.prune(passes.share(share_loops(graph)))
    assert len(loops_of(shared)) == 1
    agree(graph, shared, X)


@pytest.mark.parametrize("other", [
    lambda x: sciad.scan(lambda c, r: (c * r + 1.0, c), 1.0, x),
    lambda x: sciad.scan(lambda c, r: (c * r, c), 2.0, x),
    lambda x: sciad.scan(lambda c, r: (c * r, c), 1.0, x[::-1]),
    lambda x: sciad.scan(lambda c, r: (c * r, c), 1.0, x, reverse=True),
    lambda x: sciad.scan(lambda c, r: (c * r, c), 1.0, x[:2]),
])
def test_loops_over_other_states_stay_apart(other):
    graph = graph_of(lambda x: (sciad.scan(lambda c, r: (c * r, c), 1.0, x), other(x)), X)
    shared = share_loops(graph)
    assert len(loops_of(shared)) == 2
    agree(graph, shared, X)


def test_loops_inside_loops_are_shared():
    def body(c, r):
        one, other = (sciad.scan(lambda z, q, k=k: (z * q, z + k), r, X) for k in range(2))
        return c + one[0] * other[0], one[1] + other[1]

    graph = graph_of(lambda x: sciad.scan(body, 0.0, x), X)
    shared = passes.prune(passes.share(share_loops(graph)))
    assert str(shared).count("= scan") == 2
    agree(graph, shared, X)


# --- carries, rows and constants that nobody needs ------------------------------------------------


def test_dead_carries_rows_and_constants_of_a_scan_go():
    def f(x):
        def body(state, rows):
            a, b, c = state
            return (a * rows[0], b + a, np.sin(c) * x[2]), (b, a, np.cos(x[1]) * c)

        (a, b, c), (s, t, u) = sciad.scan(body, (1.0, x[0], 2.0), (x, x * 2.0))
        return a, t

    graph = graph_of(f, X)
    pruned = passes.prune(graph)
    (loop,) = loops_of(pruned)
    assert loop.params["carry"] == 1 and loop.params["consts"] == 0
    assert len(loop.inputs) == 2 and len(loop.outputs) == 2
    assert "sin" not in str(pruned) and "cos" not in str(pruned)
    agree(graph, pruned, X)


def test_a_carry_that_another_needs_stays():
    graph = graph_of(lambda x: sciad.scan(lambda s, r: ((s[1], s[2], s[0] + r), None),
                                          (x[0], x[1], x[2]), x)[0][0], X)
    pruned = passes.prune(graph)
    assert loops_of(pruned)[0].params["carry"] == 3
    agree(graph, pruned, X)


def test_dead_states_of_a_while_loop_go():
    def f(x):
        def body(state):
            k, a, b, c = state
            return k + 1, a * x[0], np.sin(b) * a, c + np.cos(x[1])

        return sciad.while_loop(lambda s: s[0] < 4, body, (0, x[2], 1.0, 2.0))[1]

    graph = graph_of(f, X)
    pruned = passes.prune(graph)
    (loop,) = loops_of(pruned)
    assert len(loop.params["body"].outputs) == 2
    assert "sin" not in str(pruned) and "cos" not in str(pruned)
    agree(graph, pruned, X)
    gradient = graph_of(sciad.grad(f), X)
    agree(gradient, passes.optimise(gradient), X)


def test_what_stops_the_program_stays_in_a_loop():
    def f(x):
        def body(c, r):
            if r < 0:
                raise ValueError("negative")
            return c, None

        sciad.scan(body, 0.0, x)
        return x[0]

    graph = passes.optimise(graph_of(f, X))
    with pytest.raises(ValueError, match="negative"):
        graph(X)
    assert graph(abs(X)) == [0.5]


# --- hoist ----------------------------------------------------------------------------------------


INVARIANT = [
    lambda x: sciad.fori_loop(0, 3, lambda k, s: (
        s[0] * np.sum(np.sin(s[1])) + np.exp(s[1]) * k, s[1]), (x, x * 2.0)),
    lambda x: sciad.while_loop(lambda s: np.sum(s[0]) < np.sum(s[1]) + 9, lambda s: (
        s[0] + np.sum(np.exp(np.sin(s[1]))), s[1]), (x, x * 2.0)),
    lambda x: sciad.scan(lambda s, r: ((s[0] + r, s[1]), np.exp(np.sin(s[1]))), (0.0, x * 2.0), x),
    lambda x: sciad.scan(lambda s, r: (sciad.scan(
        lambda d, q: ((d[0] * np.sin(d[1]) + np.exp(d[1]), d[1]), q), s, x)[0], r), (x, x * 2.0),
        x),
]


@pytest.mark.parametrize("f", INVARIANT)
def test_carries_that_stay_become_constants(f):
    graph = graph_of(f, X)
    settled = passes.prune(settle(graph))
    assert "carry=1" in str(settled) or len(loops_of(settled)[0].outputs) == 2
    agree(graph, settled, X)


@pytest.mark.parametrize("f", INVARIANT)
def test_what_no_iteration_changes_is_computed_once(f):
    graph = graph_of(f, X)
    moved = hoist(settle(graph))
    for loop in loops_of(moved):
        assert "sin" not in str(loop.params["body"]) and "exp" not in str(loop.params["body"])
    agree(graph, passes.prune(moved), X)
    agree(graph, passes.optimise(graph), X)


@pytest.mark.parametrize("f", [
    lambda x: sciad.scan(lambda s, r: ((s[0] + np.linalg.solve(s[1], x)[0] * r, s[1]), None),
                         (0.0, np.outer(x, x)), np.ones(0))[0][0],
    lambda x: sciad.while_loop(lambda s: np.sum(s[0]) > 99, lambda s: (
        s[0] + np.linalg.inv(s[1])[0], s[1]), (x, np.outer(x, x)))[0],
])
def test_what_can_fail_stays_where_it_may_not_run(f):
    """No iteration runs, and no singular matrix is met."""
    graph = graph_of(f, X)
    agree(graph, passes.optimise(graph), X)


def test_writes_in_a_loop_stay():
    def f(x):
        return sciad.fori_loop(0, 3, lambda k, z: indexing.index_add(z, np.sin(x[0]), k), x)

    graph = graph_of(f, X)
    moved = passes.optimise(graph)
    (loop,) = loops_of(moved)
    assert names(loop.params["body"]).count("sin") == 0
    agree(graph, moved, X)


@pytest.mark.parametrize("f", [
    power, until,
    lambda x: sciad.scan(lambda c, r: (c[::-1] * r, c), x, x, reverse=True)[1],
    lambda x: sciad.fori_loop(0, 2, lambda k, z: sciad.fori_loop(
        0, 3, lambda j, y: y * np.cos(x) + z * k, z), x),
    lambda x: sciad.scan(lambda s, r: ((s[1], s[0]), None), (x, 2.0 * x), None, length=0)[0],
])
def test_derivatives_after_all_passes(f):
    def loss(x):
        return np.sum(np.sin(f(x)))

    for function in (loss, sciad.grad(loss), lambda x: sciad.hvp(loss, (x,), (x,))):
        with loop_capacity(16):
            graph = graph_of(function, X)
        simple = passes.optimise(graph)
        simple.check()
        for a, b in zip(graph(X), simple(X), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
