"""Singular points: what a selection dropped stays zero, every other NaN stays a NaN."""

import gc
import inspect

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core import masking, reverse

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
X = np.array([0.0, 4.0, 0.0])


def buffer_overwritten(x):
    y = np.sqrt(x)
    y[0] = 1.0
    y[2] = x[1]
    return np.sum(y)


def buffer_filled(x):
    out = snp.zeros(3)
    r = np.sqrt(x)
    out[1] = r[1]
    return np.sum(out)


def branchy_by_mask(x):
    y = np.sqrt(x)
    return np.sum(y[x > 0])


HARMLESS = [
    (lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), [0, 0.25, 0]),
    (lambda x: np.sum(np.where(x > 0, np.log(x), x)), [1, 0.25, 1]),
    (lambda x: np.sum(np.where(x > 0, np.sqrt(x) * 3 / x + 1, 2 * x)), [2, -3 / 16, 2]),
    (lambda x: np.max(np.sqrt(x)), [0, 0.25, 0]),
    (lambda x: np.sum(np.maximum(np.sqrt(x), 1.0)), [0, 0.25, 0]),
    (lambda x: np.sum(np.clip(np.sqrt(x), 0.5, 9.0)), [0, 0.25, 0]),
    (lambda x: np.sqrt(x)[1], [0, 0.25, 0]),
    (lambda x: np.sum(np.sqrt(x)[[1, 1]]), [0, 0.5, 0]),
    (lambda x: np.sum(np.sqrt(x).reshape(3, 1).T[:, 1:2] * 1.0), [0, 0.25, 0]),
    (lambda x: np.sum(np.concatenate([np.sqrt(x), x])[1:2]), [0, 0.25, 0]),
    (lambda x: np.sum(np.where(x > 0, np.sqrt(x[:, None] * np.ones(2)).sum(1), 0.0)), [0, 0.5, 0]),
    (lambda x: np.stack([np.sqrt(x[0]), x[1] ** 2])[1], [0, 8, 0]),
    (lambda x: np.where(x[0] > 0, np.sqrt(x[0]), 5.0) + x[1], [0, 1, 0]),
    (buffer_overwritten, [0, 1.25, 0]),
    (buffer_filled, [0, 0.25, 0]),
    (branchy_by_mask, [0, 0.25, 0]),
]


@pytest.mark.parametrize("function, expected", HARMLESS, ids=range(len(HARMLESS)))
def test_dropped_entries_are_zero(function, expected):
    np.testing.assert_allclose(sciad.grad(function)(X), expected)
    v = np.array([1.0, 2.0, -1.0])
    doubled = sciad.grad(lambda x: function(x) * 2)(X)
    np.testing.assert_allclose(doubled @ v, 2 * np.dot(expected, v))


HONEST = [
    lambda x: np.sum(np.sqrt(x) ** 2),
    lambda x: np.sum(np.sqrt(x) * x),
    lambda x: np.sum(0.0 * np.sqrt(x)),
    lambda x: np.sum(np.where(x >= 0, np.sqrt(x) * 0.0, 1.0)),
    lambda x: np.sum(x / x),
]


@pytest.mark.parametrize("function", HONEST, ids=range(len(HONEST)))
def test_other_nans_stay(function):
    slope = sciad.grad(function)(X)
    assert np.isnan(slope[0]) and np.isnan(slope[2]) and np.isfinite(slope[1])


def test_second_order():
    def f(x):
        return np.sum(np.where(x > 0, np.sqrt(x), x**2))

    expected = np.diag([2.0, -0.25 / 8, 2.0])
    np.testing.assert_allclose(sciad.hessian(f)(X), expected)
    np.testing.assert_allclose(sciad.jacobian(sciad.grad(f), mode="reverse")(X), expected)


def test_same_gradient_as_the_plain_pass_where_nothing_is_singular():
    def f(x):
        y = np.tanh(x) * x[1]
        y[1:] *= np.exp(x[:2])
        z = np.where(y > 0.1, y * y, np.maximum(x, y)) @ np.outer(x, y)
        return np.sum(z / (2.0 + x)) + np.max(z) + np.linalg.norm(x) + (3.0 - x[2]) ** 3

    x = np.array([0.5, 1.5, -0.7])
    with reverse.Reverse() as interp:
        leaf = interp.leaf(x)
        out = f(leaf)
        tape = reverse.Tape(interp)
    seeds = [(out._node, np.float64(1.0))]
    (masked,) = masking.pull_masked(tape, seeds, 1)
    np.testing.assert_allclose(masked, tape.pull(seeds, 1)[0], rtol=1e-14)


def test_every_pull_has_its_masked_form():
    pulls = {f for name, f in inspect.getmembers(reverse, inspect.isfunction)
             if name.startswith("pull_")}
    assert pulls == set(reverse.PULLS)
    assert set(range(len(reverse.PULLS))) - {reverse.LEAF} == set(masking._PULLS)
    for name, function in inspect.getmembers(reverse, inspect.isfunction):
        if name.startswith("pull_"):
            assert reverse.PULLS[getattr(reverse, name.removeprefix("pull_").upper())] is function


def test_entries_of_numbers_and_arrays_are_not_followed_by_the_garbage_collector():
    """A long tape would otherwise spend its time in the collector."""
    with reverse.Reverse() as interp:
        x = interp.leaf(np.array([0.5, 1.5]))
        y = np.sin(x * x + 2.0) / x - x[0]
        y[0] = x[1]
        for _ in range(2):  # first the shapes and indices within the entries
            gc.collect()
        assert [entry for entry in interp.tape[1:-1] if gc.is_tracked(entry)] == []
