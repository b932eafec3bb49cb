"""cond, while_loop and scan: eager and recorded, derivatives in both modes to second order."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.errors import ArgumentError, SciadError
from sciad.core.record import record
from sciad.ops.control import BufferFull, loop_capacity

X = np.array([0.5, 1.5, -0.7])


def cond_scalar(x):
    return sciad.cond(x[0] > 0, lambda y: np.sin(y) * y[1], lambda y: np.exp(y), x)


def cond_untaken(x):
    return sciad.cond(x[0] > 9, lambda y: np.sin(y) * y[1], lambda y: np.exp(y) * 2, x)


def cond_closure(x):
    y, z = x * 2, x[1] ** 3
    return sciad.cond(x[1] > 1, lambda: y * z, lambda: y + x[0]) * y


def cond_containers(x):
    out = sciad.cond(x[0] > 0, lambda p: {"a": p["b"] * 2, "n": 3}, lambda p: {"a": p["b"], "n": 4},
                     {"b": x})
    return out["a"] ** 2 * out["n"]


def cond_one_side_constant(x):
    return sciad.cond(x[2] > 0, lambda: x * x, lambda: np.ones(3)) + \
        sciad.cond(x[1] > 0, lambda: x * x, lambda: np.ones(3))


def nested_cond(x):
    def inner(y):
        return sciad.cond(y[1] > 1, np.tanh, np.cos, y * y)

    return sciad.cond(x[0] > 0, inner, np.sin, x) * x


def scan_plain(x):
    return sciad.scan(lambda c, row: (np.sin(c) * row + c, c * row), x[0], x)


def scan_reverse(x):
    return sciad.scan(lambda c, row: (np.sin(c) * row + c, c * row), x[0], x, reverse=True)


def scan_matrix_closure(x):
    m = np.outer(x, x) * 0.3
    return sciad.scan(lambda c, _: (np.tanh(m @ c), np.sum(c)), x, None, length=4)


def scan_containers(x):
    def body(state, row):
        new = {"p": state["p"] + row[0] * row[1], "q": state["q"] * state["p"]}
        return new, (new["q"], row[0])

    init = {"p": 1.0 * x[0], "q": x[1]}
    carry, ys = sciad.scan(body, init, (x, 2 * x))
    return [carry["p"], carry["q"], *ys]


def scan_counter(x):
    def body(state, row):
        k, total = state
        return (k + 1, total + row * row * k), k

    (_, total), _ = sciad.scan(body, (np.int64(1), 0.0 * x[0]), x)
    return total


def scan_unused_carry(x):
    return sciad.scan(lambda c, row: (c, row * 2), x, x)[1]


def scan_with_branch(x):
    def body(c, row):
        if row > 0:
            return c * row, c
        return c + row, c

    return sciad.scan(body, x[1], x)


def scan_of_scan(x):
    def body(c, row):
        inner, _ = sciad.scan(lambda d, entry: (d * 0.5 + entry * c, None), row, x)
        return c + inner * row, inner

    return sciad.scan(body, x[0], x)


def scan_of_nothing(x):
    return sciad.scan(lambda c, row: (c * row, c), x[0] ** 2, x[:0])[0]


def while_powers(x):
    return sciad.while_loop(lambda s: np.sum(s * s) < 50.0, lambda s: s * 1.5 + np.sin(s), x)


def while_closure(x):
    w = x * x + 1
    out = sciad.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] * w * 0.5), (0, x))
    return out[1]


def while_never(x):
    return sciad.while_loop(lambda s: s[0] > 100, lambda s: s * 2, x * x)


def while_newton(x):
    """The root of y**3 = a; its derivative is the solution's."""
    a = x[1] + 2.0

    def step(state):
        y, _ = state
        new = y - (y**3 - a) / (3 * y**2)
        return new, abs(new - y)

    return sciad.while_loop(lambda s: s[1] > 1e-12, step, (a, 1.0 + 0.0 * a))[0]


def while_with_mutation(x):
    def body(state):
        k, y = state
        out = snp.copy(y)
        out[k] = y[k] * y[k - 1] + x[0]
        return k + 1, out

    return sciad.while_loop(lambda s: s[0] < 3, body, (0, x * 2))[1]


FUNCTIONS = [value for value in list(globals().values())
             if callable(value) and getattr(value, "__module__", "") == __name__]
BY_NAME = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def _flat(x):
    return [np.asarray(leaf) for leaf in sciad.core.tree.flatten(x)[0]]


def _same(a, b, rtol=1e-13):
    for p, q in zip(_flat(a), _flat(b), strict=True):
        assert p.shape == q.shape and p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-14)


@BY_NAME
def test_recorded_value(function):
    recorded = record(function, X)
    recorded.graph.check()
    _same(recorded(X), function(X))


@BY_NAME
def test_eager_derivatives(function):
    sciad.check_grads(function, (X,))


@BY_NAME
def test_derivatives_of_recorded(function):
    """The rules of the structured primitives."""
    recorded = record(function, X)
    sciad.check_grads(recorded, (X,))


def _floats(function):
    def of_floats(x):
        return [y for y in sciad.core.tree.flatten(function(x))[0] if y.dtype.kind == "f"]

    return of_floats


def _pulled(function):
    def cotangents(x):
        out, pull = sciad.vjp(_floats(function), x)
        return pull([np.cos(y) for y in out])[0]

    return cotangents


@BY_NAME
def test_recorded_derivatives(function):
    """Differentiated while recording, to second order."""
    first = _pulled(function)
    recorded = record(first, X)
    recorded.graph.check()
    _same(recorded(X), first(X), 1e-11)

    def tangent(x):
        return sciad.jvp(_floats(function), (x,), (np.cos(x),))[1]

    _same(record(tangent, X)(X), tangent(X), 1e-11)
    second = _pulled(first)
    recorded = record(second, X)
    recorded.graph.check()
    _same(recorded(X), second(X), 1e-10)


def test_branches_must_agree_when_recorded():
    with pytest.raises(ArgumentError, match="different types"):
        record(lambda x: sciad.cond(x[0] > 0, lambda: x, lambda: x[:2]), X)
    with pytest.raises(ArgumentError, match="different structures"):
        record(lambda x: sciad.cond(x[0] > 0, lambda: x, lambda: (x, x)), X)


def test_carry_keeps_its_type_when_recorded():
    with pytest.raises(ArgumentError, match="scan: the carry changes"):
        record(lambda x: sciad.scan(lambda c, r: (x, r), x[0], x), X)
    with pytest.raises(ArgumentError, match="while_loop: the carry changes"):
        record(lambda x: sciad.while_loop(lambda c: c[0] < 1, lambda c: c[:1], x), X)


@pytest.mark.parametrize("call, message", [
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0), "give xs or length"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, (X, X[:2])), "differ"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, X, length=2), "differ"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, 1.0), "leading axis"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, "abc"), "numbers and arrays"),
])
def test_bad_arguments(call, message):
    with pytest.raises(SciadError, match=message):
        call()


def test_full_buffer_of_a_recorded_loop_is_an_error_not_a_number():
    def f(x):
        return sciad.while_loop(lambda s: s < 100.0, lambda s: s + 1.0, x)

    with loop_capacity(10):
        slope = record(sciad.grad(f), 0.5)
    with pytest.raises(BufferFull, match="more iterations"):
        slope(0.5)
    assert slope(95.5) == 1.0


def test_an_exception_in_a_recorded_branch():
    def f(x):
        y = np.sin(x)
        if y > 0.5:
            raise ValueError("too steep")
        return y * x

    recorded = record(f, 1.0)
    assert recorded(0.1) == pytest.approx(0.1 * np.sin(0.1))
    with pytest.raises(ValueError, match="too steep"):
        recorded(1.0)
    with pytest.raises(ValueError, match="too steep"):
        sciad.grad(recorded)(1.0)
    with pytest.raises(ValueError, match="too steep"):
        record(sciad.grad(f), 1.0)(1.0)
