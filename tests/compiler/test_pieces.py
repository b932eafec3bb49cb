"""Reads and writes of pieces: what the pass makes of them, and how loops are cut where they end."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm, loops, passes, ranges
from sciad.compiler.native import kernel_of
from sciad.compiler.nodes import Const, Name, Op
from sciad.compiler.pieces import pieces
from sciad.core.graph import Graph
from sciad.core.record import record
from sciad.ops import indexing

SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 5e-324] * 5)


def graph_of(f, *args) -> Graph:
    return record(f, *args).graph


def names(graph: Graph) -> list[str]:
    return [equation.primitive.name for equation in graph.equations]


def same_bits(before: Graph, after: Graph, *args):
    after.check()
    with np.errstate(all="ignore"):
        for a, b in zip(before(*args), after(*args), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


def put(x, index, v):
    return indexing.index_set(x, v, index)


def add_to(x, index, v):
    return indexing.index_add(x, v, index)


S = slice(2, -3)


@pytest.mark.parametrize("f, left", [
    (lambda x: put(x, S, x[S] * 2.0)[S], ["getitem", "multiply"]),
    (lambda x: put(x, S, x[S]), []),
    (lambda x: put(put(x, S, x[S] * 2.0), S, 3.0), ["index_set"]),
    (lambda x: put(x, S, 2.0 * put(x, S, 5.0)[S]), None),
    (lambda x: put(x, slice(None), x[::-1]), ["getitem"]),
    (lambda x: x[:] * x[...], ["multiply"]),
    (lambda x: put(x, Ellipsis, 0.0) + x, ["broadcast_to", "add"]),
    (lambda x: add_to(put(x, S, 0.0), S, x[S]), ["getitem", "add", "index_set"]),
    (lambda x: put(x, S, 0.0) + add_to(np.zeros(40), S, x[S]), ["add"]),
    (lambda x: np.abs(x) + add_to(np.zeros(40), S, x[S]), ["absolute", "getitem", "index_add"]),
    (lambda x: (x + 0.0) + np.zeros(40), ["add"]),
    (lambda x: add_to(np.zeros(40), 3, x[5]) + add_to(np.zeros(40), S, x[S]),
     ["getitem", "index_add", "getitem", "index_add"]),
])
def test_identities_of_pieces(f, left):
    graph = graph_of(f, SPECIAL)
    simple = passes.prune(passes.share(pieces(graph)))
    if left is not None:
        assert names(simple) == left
    same_bits(graph, simple, SPECIAL)


@pytest.mark.parametrize("f", [
    lambda x: x + add_to(np.zeros(40), S, x[S]),
    lambda x: x * 1.5 + add_to(np.zeros(40), S, x[S]),
    lambda x: put(x, S, 0.0) + add_to(np.zeros(40), slice(2, -2), x[2:-2]),
    lambda x: x + np.zeros(40),
    lambda x: put(x, S, -0.0) + add_to(np.zeros(40), S, x[S]),
    lambda x: np.abs(x) + add_to(-np.zeros(40), S, x[S]),
    lambda x: put(x, S, x[1:-4]),
    lambda x: put(put(x, S, 1.0), slice(3, -3), 2.0)[S],
    lambda x: put(x, S, x[0])[S] * x[S],
])
def test_what_would_change_a_sign_or_an_entry_stays(f):
    graph = graph_of(f, SPECIAL)
    simple = passes.optimise(graph)
    same_bits(graph, simple, SPECIAL)


def test_other_dtypes_keep_their_type():
    single = SPECIAL.astype(np.float32)
    graph = graph_of(lambda x: (put(x, S, 1.0)[S], put(x, slice(None), np.arange(40.0)),
                                x + add_to(np.zeros(40), S, 1.0)), single)
    same_bits(graph, passes.optimise(graph), single)
    whole = np.arange(40)
    graph = graph_of(lambda x: (put(x, S, 1.7)[S], put(x, S, x[S] * 2)[S]), whole)
    same_bits(graph, passes.optimise(graph), whole)


def test_the_gradient_of_many_reads_is_a_chain_of_sums():
    """n reads of an array of n entries cost n additions, not n arrays of zeros."""
    gradient = sciad.grad(lambda x: sum(x[k] * x[k + 1] for k in range(30)))
    graph = passes.optimise(graph_of(gradient, SPECIAL))
    sums = [e for e in graph.equations if e.primitive is indexing.index_add_p]
    assert len(sums) == 60
    assert sum(type(e.inputs[0]) is not type(graph.inputs[0]) for e in sums) == 1


# --- ranges ---------------------------------------------------------------------------------------


def test_bounds():
    i = Name("i", "i64")
    known = {"i": (2, 7)}
    assert ranges.bounds(i + 3, known) == (5, 10)
    assert ranges.bounds(i * -2, known) == (-14, -4)
    assert ranges.bounds(Op("min", (i - 4, Const(1, "i64"))), known) == (-2, 1)
    assert ranges.bounds(i % 2, known) is None and ranges.bounds(i, {}) is None
    assert ranges.bounds(ranges.clamped(i - 4, 3, known), known) == (0, 2)
    assert ranges.clamped(i, 8, known) is i


def test_parts_of_an_axis():
    assert ranges.parts(10, ()) == [(0, 10, True)]
    assert ranges.parts(10, (1, 9)) == [(0, 1, True), (1, 9, True), (9, 10, True)]
    assert ranges.parts(100, (1, 2, 98, 99)) == [(0, 2, False), (2, 98, True), (98, 100, False)]
    many = tuple(range(10, 300, 10))
    assert ranges.parts(300, many) == [(0, 300, False)]
    for places in [(1, 2, 3, 4, 5), (8, 16, 17, 18, 40), (1, 20, 21, 40, 41, 60)]:
        found = ranges.parts(64, places)
        assert found[0][0] == 0 and found[-1][1] == 64
        assert all(a[1] == b[0] for a, b in zip(found, found[1:], strict=False))
        assert all(not any(a < p < b for p in places) for a, b, sure in found if sure)


# --- native ---------------------------------------------------------------------------------------


def heat(u):
    return put(u, (slice(1, -1), slice(1, -1)), u[1:-1, 1:-1] + 0.1 * (
        u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]))


def padded(x):
    wide = np.concatenate([x[:1], x * 2.0, np.ones(3), x[-1:]])
    return wide[2:] - 2.0 * wide[1:-1] + wide[:-2]


def overlapping(x):
    y = snp.copy(x)
    y[3:] += x[:-3]
    y[:-5] = y[5:] * x[5:]
    y[1:-1] -= y[2:] + y[:-2]
    return y


def strided(x):
    y = snp.copy(x)
    y[::2] = x[1::2]
    y[::-1][3:] += x[3:]
    return y


def three_axes(x):
    y = snp.zeros((3, 4, 5, 2))
    y[1:, :, 2:] = x.reshape(2, 4, 1, 1) + np.arange(6.0).reshape(3, 2)[:, None, :][:, 0]
    y[:, 1:3, :4, 1] += 1.0
    return np.concatenate([y, y[:1] * 2.0], axis=0).transpose(2, 0, 3, 1)[1:, ::-1]


def in_new_axes(x):
    y = put(x.reshape(1, -1, 1), (0, slice(2, None), 0), x[2:] * 3.0).reshape(-1, 1)
    return np.sum(y * np.ones((len(x), 3)), axis=0), y.reshape(-1)[1:]


def leading_ones(x):
    return put(x, slice(1, -1), x[None, 2:] * 2.0)


def rolled(x):
    return np.roll(x, 3) * np.roll(x, -2) + np.sum(np.roll(x, 1)[2:] * x[:-2])


def chain(x):
    for k in range(1, 40):
        x = put(x, slice(k % 5, None), x[:len(x) - k % 5] * 0.9)
    return x


X = np.sin(np.arange(40.0) * 1.3)
PROGRAMS = [(heat, X.reshape(5, 8)), (heat, np.sin(np.arange(900.0)).reshape(30, 30)),
            (heat, np.sin(np.arange(9.0)).reshape(3, 3)), (heat, np.ones((2, 40))), (padded, X),
            (padded, X[:17]), (overlapping, X), (strided, X), (three_axes, X[:8]),
            (in_new_axes, X), (leading_ones, X), (rolled, X), (rolled, X[:17]), (chain, X)]


@pytest.mark.skipif(not llvm.available(), reason="no native code here")
@pytest.mark.parametrize("f, x", PROGRAMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_programs_of_pieces(f, x, dtype):
    x = x.astype(dtype)

    def loss(x):
        return sum(np.sum(np.sin(out)) for out in sciad.core.tree.flatten(f(x))[0])

    for function in (f, sciad.value_and_grad(loss)):
        recorded = record(function, x)
        kernel = kernel_of(recorded.graph)
        loops.check(kernel.lowered.module)
        eager = sciad.core.tree.flatten(function(x))[0]
        graph = recorded.graph(*recorded.consts, x)
        native = kernel(*recorded.consts, x)
        rtol = 1e-12 if dtype is np.float64 else 2e-5
        for e, g, n in zip(eager, graph, native, strict=True):
            assert np.shape(e) == np.shape(g) == np.shape(n)
            np.testing.assert_allclose(g, e, rtol, rtol)
            np.testing.assert_allclose(n, e, rtol, rtol)


@pytest.mark.skipif(not llvm.available(), reason="no native code here")
def test_a_padded_stencil_takes_no_memory():
    """Neither the padded array nor the pieces of its gradient are written out."""
    x = np.sin(np.arange(1000.0))
    for f in (padded, sciad.grad(lambda x: np.sum(padded(x) * np.cos(x[0])))):
        kernel = kernel_of(record(f, x).graph)
        assert kernel.lowered.workspace <= 16_128
