"""Each pass on the printed graph: what it changes, what it must not change."""

import numpy as np
import pytest

import sciad
from sciad.compiler import passes, rewriting
from sciad.core.errors import SciadError
from sciad.core.graph import Graph
from sciad.core.record import record
from tests.ops.cases import CASES

X = np.array([0.5, 1.5, -0.7])


def graph_of(f, *args) -> Graph:
    return record(f, *args).graph


def names(graph: Graph) -> list[str]:
    return [equation.primitive.name for equation in graph.equations]


def agree(before: Graph, after: Graph, *args):
    after.check()
    with np.errstate(all="ignore"):
        for a, b in zip(before(*args), after(*args), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
            if np.asarray(a).dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


SPECIAL = [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 5e-324]


# --- fold -----------------------------------------------------------------------------------------


def test_fold_evaluates_what_is_constant():
    def f(x):
        k = sciad.cond(x > 5, lambda: x, lambda: x)
        return k * 1

    graph = graph_of(lambda x: x + np.sin(x * 0 + 1), 1.0)
    assert names(passes.fold(graph)) == names(graph), "x * 0 is not 0"
    equations = graph_of(lambda x: sciad.ops.elementwise.add(x, 1.0), 1.0).equations
    assert len(equations) == 1
    agree(graph_of(f, 1.0), passes.fold(graph_of(f, 1.0)), 2.0)


def constant_graph(*values):
    """An addition of literals, as a derivative leaves them behind."""
    graph = graph_of(lambda x: x + (x + x), 1.0)
    first = graph.equations[0]
    graph.equations[0] = type(first)(first.primitive, [sciad.core.graph.Literal(v) for v in values],
                                     first.outputs, {}, first.line)
    return graph


def test_fold_of_literals():
    graph = constant_graph(np.float64(1.5), np.float64(2.5))
    assert str(passes.fold(graph)) == "graph(a: f64*) {\n  b: f64* = add a 4.0\n  return b\n}" or \
        names(passes.fold(graph)) == ["add"]
    agree(graph, passes.fold(graph), 1.0)


def test_fold_keeps_what_stops_the_program():
    def f(x):
        if x > 1:
            raise ValueError("large")
        return x

    graph = graph_of(f, 0.5)
    for one in (passes.fold, passes.simplify, passes.select, passes.share, passes.prune,
                passes.optimise):
        assert "fail" in str(one(graph))
        with pytest.raises(ValueError, match="large"):
            one(graph)(2.0)


# --- simplify -------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [
    lambda x: x * 1.0, lambda x: 1.0 * x, lambda x: x / 1.0, lambda x: x - 0.0,
    lambda x: np.negative(np.negative(x)),
    lambda x: np.where(x > 1, x, x), lambda x: x**1, lambda x: x.astype(x.dtype),
    lambda x: np.reshape(x, x.shape), lambda x: np.negative(-np.negative(-x)) * 1 / 1.0,
])
def test_identities_go(f):
    graph = graph_of(lambda x: f(x) + 2.0, np.float64(1.0))
    simple = passes.prune(passes.simplify(graph))
    assert names(simple) == ["add"]
    for value in SPECIAL:
        agree(graph, simple, np.float64(value))


@pytest.mark.parametrize("f", [
    lambda x: x + 0.0, lambda x: 0.0 + x, lambda x: x * 0.0, lambda x: 0.0 * x, lambda x: x - x,
    lambda x: x / x, lambda x: 0.0 / x, lambda x: 0.0 - x, lambda x: x - (-0.0), lambda x: x**0,
    lambda x: (x + 1.0) - 1.0, lambda x: np.sqrt(x * x), lambda x: np.exp(np.log(x)),
    lambda x: x * 2.0 / 2.0, lambda x: np.maximum(x, x * 1), lambda x: (x > x * 1) * 1.0,
])
def test_what_holds_only_for_real_numbers_stays(f):
    """-0.0 + 0.0 is 0.0, nan * 0 is nan, inf - inf is nan."""
    graph = graph_of(f, np.float64(1.0))
    simple = passes.optimise(graph)
    for value in SPECIAL:
        agree(graph, simple, np.float64(value))


def test_an_identity_that_changes_the_type_stays():
    graph = graph_of(lambda x: x * np.float64(1.0), np.float32(2.0))
    assert names(passes.simplify(graph)) == ["multiply"]
    graph = graph_of(lambda x: x * np.ones(3), 2.0)
    assert names(passes.simplify(graph)) == ["multiply"]
    graph = graph_of(lambda x: x / 1, np.int64(2))
    assert names(passes.simplify(graph)) == ["divide"]


# --- select ---------------------------------------------------------------------------------------


def test_small_branches_become_a_selection():
    def f(x):
        if x > 1:
            return x * 2.0
        return -x

    graph = graph_of(f, 0.5)
    chosen = passes.select(graph)
    assert names(chosen) == ["greater", "multiply", "negative", "where"]
    for value in SPECIAL:
        agree(graph, chosen, value)


def test_nested_small_branches_become_selections():
    def f(x):
        y = abs(x) if x > -3 else x + 1
        if y > 1:
            if y > 2:
                y = y - 1
            else:
                y = 2 * y
        return y * x

    graph = graph_of(f, 0.5)
    chosen = passes.optimise(graph)
    assert "cond" not in str(chosen)
    for value in [-5.0, -2.5, -1.5, 0.5, 1.5, 2.5, np.nan]:
        agree(graph, chosen, value)


@pytest.mark.parametrize("f", [
    lambda x: np.sin(x) if x > 1 else np.exp(x),
    lambda x: np.linalg.solve(np.reshape(x, (1, 1)), np.array([1.0]))[0] if x > 1 else x,
    lambda x: sum(x * x + k for k in range(20)) if x > 1 else x,
    lambda x: np.ones(100) * x if x > 1 else np.zeros(100) * x,
])
def test_costly_branches_stay_branches(f):
    assert "cond" in names(passes.select(graph_of(f, 0.5)))


def test_a_known_answer_leaves_one_branch():
    graph = graph_of(lambda x: sciad.cond(x > 1, np.sin, np.cos, x), 0.5)
    cond = graph.equations[1]
    for answer, name in ((np.True_, "sin"), (np.False_, "cos")):
        inputs = [sciad.core.graph.Literal(answer), *cond.inputs[1:]]
        known = Graph(graph.inputs, [type(cond)(cond.primitive, inputs, cond.outputs, cond.params)],
                      cond.outputs)
        assert names(passes.select(known)) == [name]
        agree(known, passes.select(known), 0.7)


# --- share ----------------------------------------------------------------------------------------


def test_equal_equations_are_computed_once():
    graph = graph_of(lambda x: np.sin(x) * np.sin(x) + np.sum(X * x) + np.sum(X * x), 0.5)
    shared = passes.prune(passes.share(graph))
    assert names(shared).count("sin") == 1 and names(shared).count("sum") == 1
    agree(graph, shared, 0.3)


def test_literals_are_told_apart_by_type_and_sign():
    graph = graph_of(lambda x: (x * 0.0, x * -0.0, x * np.float32(0.0), x * 0, x * 1, x * True),
                     2.0)
    assert len(passes.share(graph)) == len(graph)
    agree(graph, passes.share(graph), 2.0)


def test_parameters_are_told_apart():
    graph = graph_of(lambda x: (np.sum(x, 0), np.sum(x, 1), x[0], x[1], x.reshape(4),
                                x.astype(np.float32)), np.eye(2))
    assert len(passes.share(graph)) == len(graph)


def test_equal_bodies_are_shared_and_different_ones_are_not():
    def f(x):
        one = [sciad.scan(lambda c, r: (np.sin(c) * r, c), x[0], x) for _ in range(2)]
        other = sciad.scan(lambda c, r: (np.cos(c) * r, c), x[0], x)
        return one, other

    graph = graph_of(f, X)
    shared = passes.prune(passes.share(graph))
    assert names(shared).count("scan") == 2
    agree(graph, shared, X)


def test_what_may_stop_is_not_shared_away():
    def f(x):
        if x > 1:
            raise ValueError("a")
        return x

    graph = graph_of(lambda x: f(x) + f(x), 0.5)
    with pytest.raises(ValueError):
        passes.optimise(graph)(2.0)


# --- prune ----------------------------------------------------------------------------------------


def test_what_nothing_needs_goes():
    def f(x):
        np.sin(x)
        a, b = sciad.cond(x > 1, lambda: (x, np.exp(x)), lambda: (np.cos(x), x))
        return a

    pruned = passes.prune(graph_of(f, 0.5))
    assert "sin" not in names(pruned) and "exp" not in str(pruned)
    agree(graph_of(f, 0.5), pruned, 0.5)


def test_unused_operands_of_branches_go():
    graph = graph_of(lambda x: sciad.cond(x > 1, lambda y, z: y, lambda y, z: -y, x, np.sin(x)),
                     0.5)
    assert "sin" not in str(passes.prune(graph))


def test_prune_keeps_effects():
    def f(x):
        if np.sin(x) > 0.5:
            raise ValueError("large")
        return 3.0

    pruned = passes.optimise(graph_of(f, 0.5))
    assert pruned(0.1) == [3.0]
    with pytest.raises(ValueError):
        pruned(1.0)

    def g(x):
        sciad.scan(lambda c, r: (f(r), None), 0.0, x)
        return x[0]

    pruned = passes.optimise(graph_of(g, X))
    with pytest.raises(ValueError):
        pruned(np.array([0.0, 1.0, 0.0]))


# --- all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_optimised_graphs_check_and_agree(case):
    graph = graph_of(case.function, *case.args)
    simple = passes.optimise(graph)
    assert len(simple) <= len(graph)
    args = sciad.core.tree.flatten(case.args)[0]
    agree(graph, simple, *args)
    assert passes.optimise(simple).key == passes.optimise(passes.optimise(simple)).key


def test_many_nested_branches_take_linear_time():
    """Each body is read once, not once for each level around it."""
    reads = []

    def f(x):
        for k in range(40):
            if x[k % 3] > k:
                x = np.sin(x) * k
        return x

    graph = graph_of(f, X)
    digest = rewriting.body_digest

    def counting(graph, known):
        reads.append(id(graph) not in known)
        return digest(graph, known)

    rewriting.body_digest = counting
    try:
        passes.share(graph)
    finally:
        rewriting.body_digest = digest
    assert sum(reads) <= 2 * 40 + 2


def test_a_broken_graph_is_found():
    graph = graph_of(lambda x: np.sin(x) * x, 1.0)
    graph.equations.reverse()
    with pytest.raises(SciadError):
        graph.check()
