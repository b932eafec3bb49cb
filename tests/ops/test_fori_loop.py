"""fori_loop: the Python loop it means, with static and with traced bounds."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.core.errors import ArgumentError
from sciad.core.record import record

X = np.array([0.5, 1.5, -0.7])


def powers(x):
    return sciad.fori_loop(0, 4, lambda i, s: s * x + i, x * 0.5)


def negative_start(x):
    return sciad.fori_loop(-2, 2, lambda i, s: s + i * x**2, x)


def indexed(x):
    return sciad.fori_loop(1, 3, lambda i, s: s + x[i] * x[i - 1], 0.0)


def containers(x):
    def body(i, state):
        return {"p": state["p"] * x[0], "q": state["q"] + state["p"] * i}

    return sciad.fori_loop(0, 3, body, {"p": x[1], "q": 0})["q"]


def filling(x):
    def body(i, y):
        y[i] = x[i] * y[i - 1] + 1.0
        return y

    return sciad.fori_loop(0, 3, body, np.ones(3))


def empty(x):
    return sciad.fori_loop(3, 3, lambda i, s: s * 0, x**2)


def backwards(x):
    return sciad.fori_loop(5, 1, lambda i, s: s * 0, x**2)


def nested(x):
    def body(i, s):
        inner = sciad.fori_loop(0, 3, lambda j, t: t + x[j] * np.sin(s) * i, s)
        return inner * 0.5

    return sciad.fori_loop(0, 3, body, x)


def branching(x):
    return sciad.fori_loop(0, 3, lambda i, s: s * x[i] if x[i] > 0 else s + i, x)


def in_a_cond(x):
    def inner(y):
        return sciad.fori_loop(0, 3, lambda i, s: sciad.cond(s[0] > i, np.sin, np.cos, s) * y, y)

    return sciad.fori_loop(0, 2, lambda i, s: sciad.cond(s[1] > 1, inner, np.tanh, s) + x, x)


CASES = [powers, negative_start, indexed, containers, filling, empty, backwards, nested,
         branching, in_a_cond]
BY_NAME = pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)


def python_loop(lower, upper, body, init):
    state = init
    for i in range(lower, upper):
        state = body(i, state)
    return state


def same(a, b, rtol=1e-12):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-13)


@BY_NAME
def test_is_the_python_loop(function, monkeypatch):
    got = function(X)
    monkeypatch.setattr(sciad, "fori_loop", python_loop)
    same(got, function(X))


@BY_NAME
def test_recorded(function):
    recorded = record(function, X)
    recorded.graph.check()
    same(recorded(X), function(X))
    sciad.check_grads(recorded, (X,))


@BY_NAME
def test_derivatives(function):
    sciad.check_grads(function, (X,))


@BY_NAME
def test_compiled(function):
    same(sciad.jit(function, strict=llvm.available())(X), function(X))

    def loss(x):
        return np.sum(np.sin(function(x)))

    same(sciad.jit(sciad.grad(loss))(X), sciad.grad(loss)(X), 1e-10)

    def second(x):
        return sciad.hvp(loss, (x,), (np.cos(x),))

    same(sciad.jit(second)(X), second(X), 1e-9)


def power(x, n):
    return sciad.fori_loop(0, n, lambda i, s: s * x * (1 + 0 * i), 1.0)


def test_traced_bounds_do_not_record_again():
    f = sciad.jit(power)
    for n in (0, 1, 2, 5, 30):
        assert f(1.1, n) == pytest.approx(1.1**n)
    assert len(f._known) == 1
    gradient = sciad.jit(sciad.grad(power))
    for n in (0, 1, 2, 5, 30):
        assert gradient(1.1, n) == pytest.approx(n * 1.1 ** (n - 1))
    assert len(gradient._known) == 1


def test_traced_bounds_beyond_the_room_for_states():
    gradient = sciad.jit(sciad.grad(power))
    assert gradient(1.0001, 3000) == pytest.approx(3000 * 1.0001**2999)
    curvature = sciad.jit(sciad.grad(sciad.grad(power)))
    assert curvature(1.0001, 3000) == pytest.approx(3000 * 2999 * 1.0001**2998)


def test_both_bounds_traced():
    def f(x, a, b):
        return sciad.fori_loop(a, b, lambda i, s: s + i * x, x)

    for bounds in ((2, 5), (-3, 1), (4, 4), (5, 2)):
        assert sciad.jit(f)(0.5, *bounds) == f(0.5, *bounds)
        assert sciad.jit(sciad.grad(f))(0.5, *bounds) == sciad.grad(f)(0.5, *bounds)


def test_a_long_loop_is_short_to_record():
    def f(x):
        return sciad.fori_loop(0, 100_000, lambda i, s: s + x * i, 0.0)

    assert len(record(f, 1.0).graph) < 20
    assert sciad.jit(f)(1.0) == pytest.approx(100_000 * 99_999 / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_counter_is_a_python_int(dtype):
    """It does not widen what it meets, compiled or not."""
    x = X.astype(dtype)

    def f(x):
        return sciad.fori_loop(0, 3, lambda i, s: s * i + x, x)

    def g(x, n):
        return sciad.fori_loop(0, n, lambda i, s: s * i + x, x)

    assert f(x).dtype == sciad.jit(f)(x).dtype == sciad.jit(g)(x, 3).dtype == dtype
    same(sciad.jit(f)(x), f(x), 1e-6)


def test_the_counter_serves_as_an_index():
    rows = np.arange(12.0).reshape(4, 3)

    def f(x):
        return sciad.fori_loop(0, 4, lambda i, s: s + rows[i] * x, np.zeros(3))

    same(sciad.jit(f)(X), rows.sum(0) * X)


def test_the_first_state_stays_as_it_is():
    first = np.ones(3)

    def body(i, s):
        s *= 2
        return s

    assert np.array_equal(sciad.fori_loop(0, 3, body, first), np.full(3, 8.0))
    assert np.array_equal(first, np.ones(3))


@pytest.mark.parametrize("call, message", [
    (lambda: sciad.fori_loop(0, 2.5, lambda i, s: s, 1.0), "upper must be an integer, got f64"),
    (lambda: sciad.fori_loop(X, 3, lambda i, s: s, 1.0), "lower must be an integer"),
    (lambda: sciad.fori_loop(True, 3, lambda i, s: s, 1.0), "lower must be an integer"),
    (lambda: record(lambda x: sciad.fori_loop(0, x, lambda i, s: s, 1.0), 1.0), "upper must be"),
    (lambda: record(lambda x: sciad.fori_loop(0, 3, lambda i, s: (s, s), x), 1.0),
     "the state changes its structure"),
    (lambda: sciad.fori_loop(0, 3, lambda i, s: s, 1.0, checkpoint=0), "length of a segment"),
])
def test_errors(call, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        call()
    assert "test_fori_loop.py" in str(caught.value)


@pytest.mark.parametrize("kind", [int, np.int64, np.int32, np.uint8])
def test_a_segment_length_may_be_a_numpy_integer(kind):
    def f(x):
        y = sciad.fori_loop(0, 5, lambda i, s: np.sin(s) * x, x, checkpoint=kind(2))
        return sciad.while_loop(lambda s: s < 9.0, lambda s: s * 3.0, y, checkpoint=kind(2))

    plain = sciad.fori_loop(0, 5, lambda i, s: np.sin(s) * 1.5, 1.5)
    expected = sciad.while_loop(lambda s: s < 9.0, lambda s: s * 3.0, plain)
    np.testing.assert_allclose(f(1.5), expected, rtol=1e-14)
    np.testing.assert_allclose(record(f, 1.5)(1.5), expected, rtol=1e-14)
    sciad.check_grads(f, (1.5,))
