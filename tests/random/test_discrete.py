"""Discrete draws: frequencies, the relaxation, and what differentiates."""

import numpy as np
import pytest
from scipy import special as sp
from scipy import stats

import sciad
from sciad import random
from sciad.core.errors import ArgumentError, DTypeError

KEY = random.key(3)
P = np.array([0.1, 0.5, 0.4])
SOURCES = [lambda: KEY, lambda: np.random.default_rng(3)]
each_source = pytest.mark.parametrize("source", SOURCES, ids=["key", "generator"])


def _fits(draws, p):
    counts = np.bincount(draws.ravel(), minlength=len(p))
    assert counts[p == 0].sum() == 0
    assert stats.chisquare(counts[p > 0], p[p > 0] * draws.size).pvalue > 1e-3


@each_source
def test_categorical(source):
    _fits(random.categorical(source(), np.log(P) + 7.0, (50, 200)), P)
    with np.errstate(divide="ignore"):
        _fits(random.categorical(source(), np.log([0.5, 0.0, 0.5]), 1000), np.array([0.5, 0, 0.5]))
    rows = random.categorical(source(), np.log(np.stack([P, P[::-1]], 1)), (1000, 2), axis=0)
    _fits(rows[:, 0], P)
    _fits(rows[:, 1], P[::-1])
    slope = sciad.grad(lambda x: random.categorical(source(), x) * np.sum(x))(np.log(P))
    np.testing.assert_array_equal(slope, random.categorical(source(), np.log(P)))


@each_source
def test_choice(source):
    _fits(random.choice(source(), 3, 10_000, p=P), P)
    _fits(random.choice(source(), 4, (100, 100)), np.full(4, 0.25))
    without = random.choice(source(), 5, 5, replace=False)
    assert sorted(without) == list(range(5))
    assert sorted(random.choice(source(), 3, 2, replace=False, p=[0.5, 0.0, 0.5])) == [0, 2]


def test_choice_without_repetition_weighs_each_draw():
    pairs = np.array([random.choice(k, 3, 2, replace=False, p=P)
                      for k in random.split(KEY, 3000)])
    _fits(pairs[:, 0], P)
    after = pairs[pairs[:, 0] == 1][:, 1]
    _fits(after, np.array([0.2, 0.0, 0.8]))


@each_source
def test_permutation(source):
    x = np.arange(12.0).reshape(6, 2)
    moved = random.permutation(source(), x)
    assert not np.array_equal(moved, x)
    np.testing.assert_array_equal(np.sort(moved, 0), x)
    weights = np.arange(6.0)[:, None]
    slope = sciad.grad(lambda x: np.sum(weights * random.permutation(source(), x)))(x)
    np.testing.assert_array_equal(np.sort(slope, 0), np.broadcast_to(weights, (6, 2)))
    np.testing.assert_array_equal(sciad.grad(lambda x: np.sum(random.choice(source(), x, 3)))(x)
                                  .sum(), 6.0)


@each_source
def test_integers_and_bernoulli(source):
    k = random.integers(source(), -2, 4, (200, 100))
    assert k.dtype == np.int64
    _fits(k + 2, np.full(6, 1 / 6))
    _fits(random.bernoulli(source(), 0.3, 10_000).astype(int), np.array([0.7, 0.3]))


def test_relaxation():
    logits = np.log(P)
    x = random.relaxed_categorical(KEY, logits, 0.1, shape=20_000)
    np.testing.assert_allclose(x.sum(-1), 1.0)
    _fits(np.argmax(x, -1), P)
    sciad.check_grads(lambda z, t: random.relaxed_categorical(KEY, z, t, shape=4), (logits, 0.7))


def test_straight_through():
    weights = np.array([1.0, 2.0, 5.0])

    def loss(logits, **options):
        x = random.relaxed_categorical(KEY, logits, 0.5, shape=6, **options)
        return np.sum(x @ weights)

    one_hot = random.relaxed_categorical(KEY, np.log(P), 0.5, shape=6, straight_through=True)
    np.testing.assert_allclose(np.sort(one_hot, -1), np.eye(3)[[2] * 6], atol=1e-15)
    hard = sciad.grad(lambda z: loss(z, straight_through=True))(np.log(P))
    np.testing.assert_allclose(hard, sciad.grad(loss)(np.log(P)), rtol=1e-12)


def test_relaxed_gradient_tends_to_the_exact_one():
    """E of a linear function of the draw: d/dlogits sum_k w_k softmax(logits)_k."""
    weights, logits = np.array([1.0, 2.0, 5.0]), np.log(P)

    def mean(z):
        return np.mean(random.relaxed_categorical(KEY, z, 0.2, shape=200_000) @ weights)

    soft = sp.softmax(logits)
    np.testing.assert_allclose(sciad.grad(mean)(logits), soft * (weights - soft @ weights),
                               atol=0.05)


COMPILED = {
    "categorical": lambda key: random.categorical(key, np.log(P), 9),
    "relaxed": lambda key: random.relaxed_categorical(key, np.log(P), 0.5, 4),
    "straight through": lambda key: random.relaxed_categorical(key, np.log(P), 0.5, 4, True),
    "bernoulli": lambda key: random.bernoulli(key, 0.3, 9),
    "integers": lambda key: random.integers(key, 10, shape=9),
    "choice": lambda key: random.choice(key, 3, 9, p=P),
    "permutation": lambda key: random.permutation(key, 9),
}


@pytest.mark.parametrize("draw", COMPILED.values(), ids=COMPILED)
@pytest.mark.filterwarnings("ignore::sciad.compiler.jit.FallbackWarning")
def test_compiled_draws_are_the_same(draw):
    np.testing.assert_allclose(sciad.jit(draw)(KEY), draw(KEY), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("call, text", [
    (lambda: random.categorical(KEY, 1.0), "need an axis of categories"),
    (lambda: random.categorical(KEY, np.zeros((2, 0))), "no category"),
    (lambda: random.integers(KEY, 1.5), "must be ints"),
    (lambda: random.permutation(KEY, 1.5), "x=1.5 is a float"),
    (lambda: random.permutation(KEY, -3), "x=-3 is negative"),
    (lambda: random.choice(KEY, 2.5), "a=2.5 is a float"),
    (lambda: random.categorical(KEY, np.zeros(3), axis=1), "axis=1 is out of range"),
    (lambda: random.relaxed_categorical(KEY, P, 0.0), "temperature must be positive"),
    (lambda: random.bernoulli(KEY, 1.5), r"p must lie in \[0, 1\]"),
    (lambda: random.integers(KEY, 3, 3), "is empty"),
    (lambda: random.choice(KEY, 2, 3, replace=False), "3 draws from 2 rows"),
    (lambda: random.choice(KEY, 3, p=[0.5, 0.5]), "p has shape"),
    (lambda: random.choice(KEY, 2, p=[0.5, 0.6]), "must sum to 1"),
    (lambda: random.choice(KEY, 2, 2, replace=False, p=[1.0, 0.0]), "fewer than 2 rows"),
])
def test_errors(call, text):
    with pytest.raises((ArgumentError, DTypeError), match=text):
        call()
