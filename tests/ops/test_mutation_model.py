"""Random programs of views and writes against NumPy and against a model without mutation.

The model keeps, for each array that owns memory, its entries as one immutable vector, and for each
handle the places of its entries in that vector: an integer array to which NumPy itself applies the
same views. A write makes a new vector by ``np.where``. It has no views, so its derivative rests on
nothing that is tested here.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciad
from sciad.core.errors import NoRuleError, RecordError
from sciad.core.record import record

X = np.arange(1.0, 13.0).reshape(3, 4) / 7

VIEWS = [
    lambda y: y.T, lambda y: y.reshape(-1), lambda y: y.ravel(), lambda y: y[::-1],
    lambda y: y[..., ::-2], lambda y: y[1:], lambda y: y[..., None], lambda y: y[None],
    lambda y: y[0], lambda y: y[:, -1], lambda y: np.swapaxes(y, 0, -1), lambda y: np.flip(y),
    lambda y: np.squeeze(y), lambda y: np.expand_dims(y, -1), lambda y: np.rot90(y),
    lambda y: np.array_split(y, 2)[0], lambda y: np.moveaxis(y, 0, -1), lambda y: y.reshape(2, -1),
    lambda y: np.atleast_2d(y), lambda y: y[..., :0], lambda y: np.einsum("ij->ji", y),
    lambda y: y[1:, :2], lambda y: y.copy(), lambda y: y.flatten(), lambda y: y[[0, -1]],
]

ORDERS = [
    lambda y: np.copy(y), lambda y: y.copy("F"), lambda y: y.ravel("F"), lambda y: +y,
    lambda y: y.reshape(2, -1, order="F"), lambda y: y.ravel("A"), lambda y: np.tile(y, 2),
    lambda y: y[:, [0, -1]], lambda y: np.roll(y, 1, 0), lambda y: y.flatten("F"),
    lambda y: y.reshape(-1, order="A"), lambda y: np.concatenate([y, y], -1),
]
"""What follows the order in memory, or makes arrays of one."""

INDICES = [
    lambda y: 0, lambda y: -1, lambda y: slice(None), lambda y: slice(None, None, -2),
    lambda y: slice(1, None), lambda y: slice(1, 1), lambda y: Ellipsis, lambda y: [0, 0, -1],
    lambda y: np.array([[-1, 0]]), lambda y: (Ellipsis, 0), lambda y: (0, Ellipsis),
    lambda y: np.arange(int(np.prod(y.shape))).reshape(y.shape) % 3 == 0, lambda y: (None, 0),
    lambda y: (slice(None), -1), lambda y: (0, [0, 0]), lambda y: np.zeros(y.shape, bool),
    lambda y: [],
]

STEP = st.tuples(st.sampled_from(["view", "view", "set", "set from", "add", "scale", "whole"]),
                 st.integers(0, 40), st.integers(0, 40), st.integers(0, 11))


class Mutable:
    """The program as a user writes it."""

    def __init__(self, x):
        self.x, self.handles = x, [x * x]

    def view(self, k, take):
        self.handles.append(take(self.handles[k]))

    def store(self, k, index, value):
        self.handles[k][index] = value

    def update(self, k, index, factor, shift):
        if index is None:
            y = self.handles[k]
            y *= factor
            y += shift
        else:
            self.handles[k][index] *= factor
            self.handles[k][index] += shift

    def value(self, k):
        return self.handles[k]


def numbered(like):
    """The places of a new array that lies in memory as `like` does."""
    places = np.empty_like(like)
    places[...] = np.arange(like.size).reshape(like.shape)
    return places


class Model:
    """The same without mutation."""

    def __init__(self, x):
        self.x = x
        places = np.arange(12).reshape(3, 4)
        self.roots, self.handles = [np.reshape(x * x, (-1,))], [(0, places)]

    def view(self, k, take):
        root, places = self.handles[k]
        seen = take(places)
        if seen.size and not np.shares_memory(seen, places):
            self.roots.append(np.take(self.roots[root], seen.ravel()))
            root, seen = len(self.roots) - 1, numbered(seen)
        self.handles.append((root, seen))

    def store(self, k, index, value):
        root, places = self.handles[k]
        targets = places[index]
        value = np.reshape(np.broadcast_to(value, targets.shape), (-1,))
        latest = np.full(self.roots[root].shape, -1)
        latest[targets.ravel()] = np.arange(targets.size)
        if targets.size:
            chosen = np.take(value, np.maximum(latest, 0))
            self.roots[root] = np.where(latest >= 0, chosen, self.roots[root])

    def update(self, k, index, factor, shift):
        index = Ellipsis if index is None else index
        self.store(k, index, self.value(k)[index] * factor)
        self.store(k, index, self.value(k)[index] + shift)

    def value(self, k):
        root, places = self.handles[k]
        return np.reshape(np.take(self.roots[root], places.ravel()), places.shape)


def run(program, kind, x, views=VIEWS + ORDERS):
    """The final values of all handles."""
    state = kind(x)
    shapes = [np.empty((3, 4))]  # plain stand-ins: which steps NumPy takes
    for action, i, j, entry in program:
        k = i % len(shapes)
        scalar = np.reshape(x, (-1,))[entry]
        if action == "view":
            take = views[j % len(views)]
            try:
                stand_in = take(shapes[k])
            except (IndexError, ValueError):
                continue
            if stand_in.ndim and stand_in.ndim < 5:
                shapes.append(stand_in)
                state.view(k, take)
            continue
        index = None if action == "whole" else INDICES[j % len(INDICES)](shapes[k])
        try:
            target = shapes[k] if index is None else shapes[k][index]
        except IndexError:
            continue
        if action == "set":
            state.store(k, index, scalar)
        elif action == "set from":
            other = (i + j) % len(shapes)
            try:
                np.broadcast_to(shapes[other], target.shape)
            except ValueError:
                continue
            state.store(k, index, state.value(other) * 1.0 if entry % 2 else state.value(other))
        else:
            state.update(k, index, scalar if action != "add" else 1.0, x[1, entry % 4])
    return [state.value(k) for k in range(len(shapes))]


def weighted(values):
    return sum(np.sum(y * y * np.cos(1.0 + k + np.arange(np.prod(y.shape)).reshape(y.shape)))
               for k, y in enumerate(values))


def check(program):
    def f(x):
        return weighted(run(program, Mutable, x))

    def pure(x):
        return weighted(run(program, Model, x))

    plain = X.copy()
    for got, expected in zip(sciad.vjp(lambda x: run(program, Mutable, x), X)[0],
                             run(program, Mutable, plain), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_array_equal(plain, X)
    slope = sciad.grad(pure)(X)
    scale = 1e-11 * (1.0 + np.max(np.abs(slope)))
    np.testing.assert_allclose(sciad.grad(f)(X), slope, rtol=1e-10, atol=scale)
    v = np.cos(np.arange(12.0)).reshape(3, 4)
    np.testing.assert_allclose(sciad.jvp(f, (X,), (v,))[1], np.sum(slope * v), rtol=1e-10,
                               atol=scale * 10)
    curvature = sciad.hvp(pure, (X,), (v,))
    scale = 1e-10 * (1.0 + np.max(np.abs(curvature)))
    np.testing.assert_allclose(sciad.hvp(f, (X,), (v,)), curvature, rtol=1e-9, atol=scale)
    by_reverse = sciad.grad(lambda x: np.sum(sciad.grad(f)(x) * v))(X)
    np.testing.assert_allclose(by_reverse, curvature, rtol=1e-9, atol=scale)


@given(st.lists(STEP, min_size=1, max_size=10))
def test_mutation_is_the_model(program):
    check(program)


@pytest.mark.slow
@settings(max_examples=400)
@given(st.lists(STEP, min_size=6, max_size=24))
def test_long_mutation_is_the_model(program):
    check(program)


@settings(max_examples=60)
@given(st.lists(STEP, min_size=1, max_size=10))
def test_mutation_recorded_is_numpys_or_refused(program):
    def f(x):
        return weighted(run(program, Mutable, x))

    try:
        recorded = record(f, X)
    except (RecordError, NoRuleError) as error:
        assert "order" in str(error)
        return
    np.testing.assert_allclose(recorded(X), f(X.copy()), rtol=1e-10)
    slope = sciad.grad(f)(X)
    np.testing.assert_allclose(sciad.grad(lambda x: recorded(x))(X), slope, rtol=1e-9,
                               atol=1e-10 * (1.0 + np.max(np.abs(slope))))


@settings(max_examples=12)
@given(st.lists(STEP, min_size=1, max_size=8))
def test_mutation_compiled(program):
    def f(x):
        return weighted(run(program, Mutable, x, VIEWS))

    slope = sciad.grad(f)(X)
    np.testing.assert_allclose(sciad.jit(f)(X), f(X.copy()), rtol=1e-10)
    np.testing.assert_allclose(sciad.jit(sciad.grad(f))(X), slope, rtol=1e-9,
                               atol=1e-10 * (1.0 + np.max(np.abs(slope))))
