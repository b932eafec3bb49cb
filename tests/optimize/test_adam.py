from typing import NamedTuple

import numpy as np
import pytest

import sciad
from sciad.compiler.jit import jit
from sciad.core import tree
from sciad.core.errors import ArgumentError, DTypeError
from sciad.optimize import Adam


class Layer(NamedTuple):
    weight: np.ndarray
    bias: float


PARAMS = {
    "array": np.array([1.0, -2.0, 3.0]),
    "number": 1.5,
    "single": np.array([1.0, -2.0], dtype=np.float32),
    "complex": np.array([1.0 + 2.0j, -1.0j]),
    "complex single": np.array([1.0 + 2.0j], dtype=np.complex64),
    "nested": {"first": Layer(np.eye(2), 0.5), "rest": [np.ones(3, np.float32), (2.0,)]},
}


def hand_computed(x, slopes, lr, b1=0.9, b2=0.999, eps=1e-8):
    """Algorithm 1 of the paper, word by word, for one real number."""
    m = v = 0.0
    path = []
    for t, g in enumerate(slopes, start=1):
        alpha = lr(t) if callable(lr) else lr
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        x = x - alpha * (m / (1 - b1**t)) / ((v / (1 - b2**t)) ** 0.5 + eps)
        path.append(x)
    return path


@pytest.mark.parametrize("lr", [0.1, lambda t: 0.5 / np.sqrt(t)], ids=["constant", "schedule"])
def test_trajectory(lr):
    slopes = [1.0, -0.5, 2.0, 0.0, 0.25, -3.0]
    adam = Adam(lr=lr)
    x, state = 2.0, adam.init(2.0)
    for g, expected in zip(slopes, hand_computed(2.0, slopes, lr), strict=True):
        x, state = adam.update(x, g, state)
        assert float(x) == pytest.approx(expected, rel=1e-14)
    assert state.count == 6


def test_first_step_is_the_learning_rate():
    adam = Adam(lr=0.01)
    x = np.array([1.0, 2.0, 3.0])
    moved, _ = adam.update(x, np.array([1e-3, -5.0, 1e6]), adam.init(x))
    np.testing.assert_allclose(moved - x, [-0.01, 0.01, -0.01], rtol=1e-4)


def slopes_like(params, rng):
    def one(x):
        x = np.asarray(x)
        noise = rng.normal(size=x.shape) + (1j * rng.normal(size=x.shape)
                                            if x.dtype.kind == "c" else 0.0)
        return np.asarray(noise, dtype=x.dtype)[()]

    return tree.tree_map(one, params)


@pytest.mark.parametrize("name", PARAMS)
@pytest.mark.filterwarnings("ignore:.*no native code for dtype complex")
def test_jitted_equals_eager_and_keeps_types(name, rng):
    params = PARAMS[name]
    adam = Adam(lr=0.05)
    fast = jit(adam.update)
    eager, compiled = (params, adam.init(params)), (params, adam.init(params))
    for _ in range(4):
        slopes = slopes_like(params, rng)
        eager = adam.update(eager[0], slopes, eager[1])
        compiled = fast(compiled[0], slopes, compiled[1])
    leaves, structure = tree.flatten(eager)
    others, other = tree.flatten(compiled)
    assert structure == other
    for a, b in zip(leaves, others, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=32 * np.finfo(a.dtype).eps if a.dtype.kind in "fc"
                                   else 0)
    for before, after in zip(tree.flatten(params)[0], tree.flatten(eager[0])[0], strict=True):
        assert np.asarray(before).dtype == after.dtype and np.shape(before) == after.shape


def test_jitted_schedule():
    adam = Adam(lr=lambda t: 0.5 / np.sqrt(t))
    fast = jit(adam.update, strict=True)
    x = np.array([1.0, 2.0])
    state = adam.init(x)
    for _ in range(3):
        expected = adam.update(x, 2 * x, state)
        x, state = fast(x, 2 * x, state)
        np.testing.assert_allclose(x, expected[0], rtol=1e-14)


@pytest.mark.parametrize("scale", [np.array([1.0, 10.0, 0.1]), np.array([1.0 + 1.0j, 3.0j])],
                         ids=["real", "complex"])
def test_quadratic(scale):
    target = np.arange(scale.size) + scale / 2

    def loss(x):
        return np.sum(np.abs(scale * (x - target)) ** 2)

    adam = Adam(lr=lambda t: 0.3 / (1 + t / 100))
    x = np.zeros_like(scale)
    state = adam.init(x)
    slope = sciad.grad(loss)
    for _ in range(600):
        x, state = adam.update(x, slope(x), state)
    np.testing.assert_allclose(x, target, atol=1e-3)


def test_scale_of_the_gradient_does_not_matter():
    adam = Adam(lr=0.1)
    paths = []
    for factor in (1.0, 1e4):
        x = np.array([2.0])
        state = adam.init(x)
        for _ in range(5):
            x, state = adam.update(x, factor * x, state)
        paths.append(x)
    np.testing.assert_allclose(*paths, rtol=1e-6)


def test_complex_turns_with_the_gradient():
    adam = Adam(lr=0.1)
    turn = np.exp(0.7j)
    moved = []
    for factor in (1.0, turn):
        x = np.array([1.0 + 0.5j]) * factor
        state = adam.init(x)
        for _ in range(5):
            x, state = adam.update(x, x * np.array([0.3]), state)
        moved.append(x / factor)
    np.testing.assert_allclose(*moved, rtol=1e-12)


def test_nothing_is_written_into():
    adam = Adam(lr=0.1)
    x, g = np.ones(3), np.ones(3)
    state = adam.init(x)
    _, after = adam.update(x, g, state)
    adam.update(x, g, after)
    kept = after.mean.copy()
    assert (x == 1).all() and (g == 1).all() and (state.mean == 0).all()
    assert state.count == 0 and after.count == 1 and (after.mean == kept).all()


def test_an_update_can_be_differentiated():
    adam = Adam(lr=0.1)
    x = np.array([1.0, -2.0])

    def after(scale):
        moved, state = adam.update(x, scale * x, adam.init(x))
        moved, _ = adam.update(moved, scale**2 * moved, state)
        return np.sum(moved**2)

    sciad.check_grads(after, (1.3,))


def test_repr():
    assert repr(Adam(lr=0.05)) == "Adam(lr=0.05, b1=0.9, b2=0.999, eps=1e-08)"


X = np.ones(2)
ERRORS = {
    "lr": (lambda: Adam(lr=0.0), ArgumentError, "lr is 0.0"),
    "b1": (lambda: Adam(b1=1.0), ArgumentError, "b1 is 1.0"),
    "b2": (lambda: Adam(b2=-0.1), ArgumentError, "b2 is -0.1"),
    "eps": (lambda: Adam(eps=0.0), ArgumentError, "eps is 0.0"),
    "integers": (lambda: Adam().init(np.arange(3)), DTypeError, "int64"),
    "structure": (lambda: Adam().update({"a": X}, {"b": X}, Adam().init({"a": X})),
                  ArgumentError, "gradient has structure"),
    "shape": (lambda: Adam().update(X, np.ones(3), Adam().init(X)),
              ArgumentError, r"gradient has shape \(3,\).*\(2,\)"),
    "state": (lambda: Adam().update(X, X, Adam().init(np.ones(3))), ArgumentError, "mean"),
    "complex": (lambda: Adam().update(X, 1j * X, Adam().init(X)), DTypeError, "complex"),
}


@pytest.mark.parametrize("call, kind, message", ERRORS.values(), ids=ERRORS)
def test_errors_name_the_cause(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
