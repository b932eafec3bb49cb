"""Loops in segments: the same values and derivatives, in the memory of two segments' worth."""

import io
import tracemalloc

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.core import tree
from sciad.core.errors import ArgumentError
from sciad.core.record import record

X = np.array([0.5, 1.5, -0.7, 0.2, 0.9, -0.1, 1.1])


def scan_plain(x, checkpoint):
    return sciad.scan(lambda c, r: (np.sin(c) * r + c, c * r), x[0], x, checkpoint=checkpoint)


def scan_reverse(x, checkpoint):
    return sciad.scan(lambda c, r: (np.sin(c) * r + c, {"y": [c * r]}), x[0], x, reverse=True,
                      checkpoint=checkpoint)


def scan_closure(x, checkpoint):
    w = x * x

    def body(c, r):
        return {"c": np.tanh(c["c"] * w) + r[0] * r[1], "n": c["n"] + 1}, None

    out, _ = sciad.scan(body, {"c": x, "n": 0}, (x, 2 * x), checkpoint=checkpoint)
    return out["c"] * out["n"]


def scan_without_rows(x, checkpoint):
    return sciad.scan(lambda c, _: (np.sin(c) * x, np.sum(c)), x, None, 11, checkpoint=checkpoint)


def scan_with_branches(x, checkpoint):
    def body(c, r):
        if r > 0.3:
            return c * r, c
        return c + r, c

    return sciad.scan(body, x[1], x, checkpoint=checkpoint)


def scan_of_nothing(x, checkpoint):
    return sciad.scan(lambda c, r: (c * r, c), x[0] ** 2, x[:0], checkpoint=checkpoint)[0]


def scan_with_mutation(x, checkpoint):
    def body(c, r):
        c[1] = c[0] * r
        c += r
        return c, c[2]

    return sciad.scan(body, x[:3] * 2, x, checkpoint=checkpoint)


def fori(x, checkpoint):
    return sciad.fori_loop(0, 7, lambda i, s: np.sin(s) * x[i] + i * s, x, checkpoint=checkpoint)


def fori_in_fori(x, checkpoint):
    def body(i, s):
        return sciad.fori_loop(0, 5, lambda j, t: np.sin(t) + x * j, s, checkpoint=checkpoint) * i

    return sciad.fori_loop(1, 4, body, x, checkpoint=checkpoint)


def while_powers(x, checkpoint):
    return sciad.while_loop(lambda s: np.sum(s * s) < 300.0, lambda s: s * 1.3 + 0.1 * np.sin(s), x,
                            checkpoint=checkpoint)


def while_closure(x, checkpoint):
    w = x * x + 1
    out = sciad.while_loop(lambda s: s[0] < 9, lambda s: (s[0] + 1, np.sin(s[1] * w)), (0, x),
                           checkpoint=checkpoint)
    return out[1]


def while_never(x, checkpoint):
    return sciad.while_loop(lambda s: s[0] > 100, lambda s: s * 2, x * x, checkpoint=checkpoint)


CASES = [scan_plain, scan_reverse, scan_closure, scan_without_rows, scan_with_branches,
         scan_of_nothing, scan_with_mutation, fori, fori_in_fori, while_powers, while_closure,
         while_never]
BY_NAME = pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
BY_SIZE = pytest.mark.parametrize("checkpoint", [True, 1, 2, 3, 7, 100])


def same(a, b, rtol=1e-12):
    for p, q in zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True):
        p, q = np.asarray(p), np.asarray(q)
        assert p.shape == q.shape and p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-13)


def scalar_of(function, checkpoint):
    def loss(x):
        leaves = tree.flatten(function(x, checkpoint))[0]
        return sum((np.sum(np.sin(y)) for y in leaves), 0.0)

    return loss


@BY_SIZE
@BY_NAME
def test_values(function, checkpoint):
    expected = function(X, None)
    same(function(X, checkpoint), expected)
    same(record(lambda x: function(x, checkpoint), X)(X), expected)
    same(sciad.jit(lambda x: function(x, checkpoint), strict=llvm.available())(X), expected)


@BY_SIZE
@BY_NAME
def test_gradients(function, checkpoint):
    slope = sciad.grad(scalar_of(function, None))(X)
    gradient = sciad.grad(scalar_of(function, checkpoint))
    same(gradient(X), slope, 1e-11)
    same(record(gradient, X)(X), slope, 1e-11)


@pytest.mark.parametrize("checkpoint", [True, 3])
@BY_NAME
def test_derivatives(function, checkpoint):
    sciad.check_grads(lambda x: function(x, checkpoint), (X,))


@BY_NAME
def test_compiled_second_derivative(function):
    def second(checkpoint):
        return lambda x: sciad.hvp(scalar_of(function, checkpoint), (x,), (np.cos(x),))

    same(sciad.jit(second(3))(X), second(None)(X), 1e-9)
    gradient = sciad.jit(sciad.grad(scalar_of(function, True)))
    same(gradient(X), sciad.grad(scalar_of(function, None))(X), 1e-10)


def peak_of(function, x):
    tracemalloc.start()
    try:
        function(x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("loop", [
    lambda x, n, c: sciad.scan(lambda s, _: (np.sin(s) * 1.01, None), x, None, n, checkpoint=c)[0],
    lambda x, n, c: sciad.fori_loop(0, n, lambda i, s: np.sin(s) * 1.01, x, checkpoint=c),
    lambda x, n, c: sciad.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1]) * 1.01),
                                     (0, x), checkpoint=c)[1],
], ids=["scan", "fori_loop", "while_loop"])
def test_memory_grows_like_the_square_root(loop):
    x = np.full(5000, 0.5)

    def peak(n, checkpoint):
        return peak_of(sciad.grad(lambda x: np.sum(loop(x, n, checkpoint))), x)

    assert peak(400, True) < 0.35 * peak(400, None)
    assert peak(400, 20) < 0.35 * peak(400, None)
    assert peak(400, True) < 3 * peak(100, True)


@pytest.mark.parametrize("checkpoint", [1, 4])
def test_each_iteration_runs_twice(checkpoint):
    """Once forwards, once more when the backward pass comes to its segment."""
    log = io.StringIO()  # a file: what is written there is no state of the function

    def body(c, r):
        log.write("run ")
        return np.sin(c) * r, None

    sciad.grad(lambda x: sciad.scan(body, 1.0, x, checkpoint=checkpoint)[0])(X)
    assert log.getvalue().count("run") == 2 * len(X)
    sciad.scan(body, 1.0, X, checkpoint=checkpoint)
    assert log.getvalue().count("run") == 3 * len(X)


def test_recorded_segments_store_their_starts():
    """The buffers of the compiled gradient hold a segment and the starts of all."""
    def loss(x, checkpoint):
        return np.sum(sciad.fori_loop(0, 400, lambda i, s: np.sin(s), x, checkpoint=checkpoint))

    def largest(checkpoint):
        graph = record(sciad.grad(lambda x: loss(x, checkpoint)), np.ones(30)).graph
        return max(x.type.size for x in variables(graph))

    def variables(graph):
        for equation in graph.equations:
            yield from equation.outputs
            for inner in equation.graphs():
                yield from variables(inner)

    assert largest(None) == 400 * 30
    assert largest(True) == 20 * 30
    assert largest(100) == 100 * 30


@pytest.mark.parametrize("value", [0, -1, 2.0, "3"])
@pytest.mark.parametrize("call", [
    lambda c: sciad.scan(lambda s, r: (s, r), 0.0, X, checkpoint=c),
    lambda c: sciad.fori_loop(0, 3, lambda i, s: s, 0.0, checkpoint=c),
    lambda c: sciad.while_loop(lambda s: s < 0, lambda s: s, 0.0, checkpoint=c),
], ids=["scan", "fori_loop", "while_loop"])
def test_bad_segments(call, value):
    with pytest.raises(ArgumentError, match="checkpoint=.* must be the length of a segment"):
        call(value)
