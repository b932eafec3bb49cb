"""Lifetime: what a finished transform leaves in memory, and programs of a million operations."""

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.primitive import active
from sciad.core.reverse import Reverse

X = np.array([0.5, 1.5, -0.7])


class Watched(list):
    """A tape that can be watched."""


@pytest.fixture
def tapes(monkeypatch):
    """Weak references to the tapes of all gradients taken; the collector is off, so that what is
    gone was freed by counting."""
    seen: list = []
    opened = Reverse.__enter__

    def enter(self):
        opened(self)
        self.tape = Watched()
        seen.append(weakref.ref(self.tape))
        return self

    monkeypatch.setattr(Reverse, "__enter__", enter)
    gc.collect()
    gc.disable()
    yield seen
    gc.enable()


def body(x):
    y = np.sin(x) * x
    y[1:] *= x[0]
    z = y.reshape(3, 1)
    z[0] = x[2]
    w = y @ np.outer(x, y)
    return np.sum(np.where(w > 0, w, x))


KEPT: list = []


def keeps_values(x):
    y = x * x
    KEPT.extend([y, y[0], y[1:], np.sum(y), np.asarray(y)])
    y[0] = 1.0
    return np.sum(y * x)


def raises(x):
    np.sum(x * x)
    raise ArithmeticError


@pytest.mark.parametrize("function", [body, keeps_values])
@pytest.mark.parametrize("take", [
    lambda f: sciad.grad(f)(X), lambda f: sciad.value_and_grad(f)(X),
    lambda f: sciad.hessian(f)(X), lambda f: sciad.hvp(f, (X,), (X,)),
    lambda f: sciad.jacobian(sciad.grad(f), mode="reverse")(X),
    lambda f: sciad.vjp(f, X)[1](1.0), lambda f: sciad.vjp(f, X)[0],
    lambda f: sciad.grad(lambda x: np.sum(sciad.grad(f)(x)))(X),
], ids=range(8))
def test_finished_tape_is_freed_by_counting(tapes, function, take):
    KEPT.clear()
    take(function)
    assert tapes and all(ref() is None for ref in tapes)
    KEPT.clear()


def test_tape_of_a_failed_gradient_is_freed(tapes):
    try:
        sciad.grad(raises)(X)
    except ArithmeticError:
        pass
    assert len(tapes) == 1 and tapes[0]() is None


def test_pullback_holds_its_tape_and_no_longer(tapes):
    _, pull = sciad.vjp(body, X)
    assert tapes[0]() is not None
    pull(1.0)
    del pull
    assert tapes[0]() is None


def test_inputs_and_intermediate_arrays_are_freed():
    """Of a large intermediate value nothing stays, though a number made of it does."""
    history, seen = [], []

    def f(x):
        y = np.sin(x)
        seen.append(weakref.ref(sciad.stop_gradient(y)))
        loss = np.sum(y * y)
        history.append(loss)
        return loss

    x = np.ones(100_000)
    sciad.grad(f)(x)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        sciad.grad(f)(x)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 200_000  # a quarter of one intermediate array
    assert all(ref() is None for ref in seen) and len(history) == 21
    assert float(history[0]) == pytest.approx(np.sin(1.0) ** 2 * 1e5)


def test_outliving_values_mean_their_numbers():
    KEPT.clear()
    sciad.grad(keeps_values)(X)
    y, first, rest, total, objects = KEPT
    np.testing.assert_array_equal(np.asarray(y, float), [1.0, X[1] ** 2, X[2] ** 2])
    assert float(first) == X[0] ** 2 and f"{total:.3f}" == f"{np.sum(X**2):.3f}"
    np.testing.assert_array_equal(np.asarray(rest, float), X[1:] ** 2)
    np.testing.assert_allclose(sciad.grad(lambda x: np.sum(x * y))(X), [1.0, *X[1:] ** 2])
    np.testing.assert_array_equal(np.array([float(v) for v in objects])[1:], X[1:] ** 2)
    KEPT.clear()


def test_value_kept_across_gradients_counts_as_a_constant():
    """A running mean kept between steps, as optimisers do."""
    state = {"mean": 0.0}

    def f(x):
        state["mean"] = 0.9 * state["mean"] + 0.1 * np.sum(x)
        return np.sum(x * x) * state["mean"]

    first = sciad.grad(f)(X)
    total = np.sum(X)
    np.testing.assert_allclose(first, 0.2 * X * total + 0.1 * np.sum(X**2))
    held = 0.09 * total + 0.1 * total
    np.testing.assert_allclose(sciad.grad(f)(X), 2 * X * held + 0.1 * np.sum(X**2))


def test_buffer_kept_across_gradients_may_be_written_again():
    kept = []

    def f(x):
        if not kept:
            kept.append(snp.zeros(3))
        kept[0][1] = x[0] * x[1]
        return np.sum(kept[0] * x)

    expected = sciad.grad(lambda x: x[0] * x[1] ** 2)(X)
    for _ in range(3):
        np.testing.assert_allclose(sciad.grad(f)(X), expected)
    np.testing.assert_allclose(np.asarray(kept[0], float), [0.0, X[0] * X[1], 0.0])


# --- perturbation confusion -----------------------------------------------------------------------


def derivative(f, mode):
    if mode == "reverse":
        return sciad.grad(f)
    return lambda x: sciad.jvp(f, (x,), (1.0,))[1]


MODES = ["forward", "reverse"]


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_levels_are_kept_apart(outer, inner):
    """d/dx x d/dy (x + y) = 1, and its relatives, whichever mode is inside."""
    assert derivative(lambda x: x * derivative(lambda y: x + y, inner)(1.0), outer)(1.0) == 1.0
    assert derivative(lambda x: x * derivative(lambda y: x * y, inner)(2.0), outer)(3.0) == 6.0

    def through_a_list(x):
        seen = []
        slope = derivative(lambda y: (seen.append(x * y), x * y * y)[1], inner)(x)
        return slope * seen[0]

    assert derivative(through_a_list, outer)(2.0) == pytest.approx(8 * 2.0**3)

    def through_a_buffer(x):
        buffer = snp.zeros(2)

        def inside(y):
            buffer[0] = x * y
            buffer[1] = buffer[0] * x
            return buffer[1] * y

        return derivative(inside, inner)(x) + buffer[1]

    # 2 x^2 y at y = x, and x^2 y once the inner derivative has ended
    assert derivative(through_a_buffer, outer)(1.5) == pytest.approx(9 * 1.5**2)


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_closures_that_leave_an_inner_transform(outer, inner):
    """Manzyuk et al., Perturbation confusion in forward automatic differentiation (2019)."""
    def shift(offset):
        return lambda f: lambda x: f(x + offset)

    def slope_at(x):
        made = []
        derivative(lambda s: (made.append(shift(s)), s)[1], inner)(0.0)
        return made[0](np.exp)(x)

    assert derivative(slope_at, outer)(1.0) == pytest.approx(np.e)
    twice = derivative(lambda s: derivative(shift(s)(np.exp), inner)(1.0), outer)(0.0)
    assert twice == pytest.approx(np.e)


# --- depth ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_chain_of_a_million_nodes():
    count = 1_000_000

    def f(x):
        y = x
        for _ in range(count):
            y = y * 0.999999 + x
        return y

    a = 0.999999
    assert sciad.grad(f)(2.0) == pytest.approx(a**count + (1 - a**count) / (1 - a), rel=1e-9)
    assert sciad.jvp(f, (2.0,), (1.0,))[1] == pytest.approx(sciad.grad(f)(2.0), rel=1e-12)


def test_memory_of_a_chain_is_linear():
    def peak(count):
        def f(x):
            y = x
            for _ in range(count):
                y = y * 0.5 + x
            return y

        tracemalloc.start()
        sciad.grad(f)(2.0)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(40_000) < 2.5 * peak(20_000)


def test_deep_tapes_and_values_are_freed_without_recursion():
    def f(x):
        y = x
        for _ in range(200_000):
            y = np.sin(y)
        return y

    _, pull = sciad.vjp(f, X[0])
    del pull
    gc.collect()
    assert np.isfinite(sciad.jvp(f, (X[0],), (1.0,))[1])


def test_deep_recursion_of_the_users_function():
    limit = sys.getrecursionlimit()

    def power(x, n):
        return x if n == 0 else power(x, n - 1) * x

    depth = limit // 3
    assert sciad.grad(power)(1.0, depth) == depth + 1
    assert sciad.hvp(lambda x: power(x, depth), (1.0,), (1.0,)) == depth * (depth + 1)
    with pytest.raises(RecursionError):
        sciad.grad(power)(1.0, 2 * limit)
    assert not active()
