"""Functions whose results seem to depend on data in shape, compiled all the same."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.core import tree

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.random.default_rng(5).normal(size=9)
A, B = np.random.default_rng(6).normal(size=(6, 3)), np.linspace(-1.0, 2.0, 6)
PLACES = np.array([0, 1, 1, 3, 2, 2, 0, 4, 1])
EDGES = np.array([-2.0, -0.5, 0.1, 1.0])
FLAT = np.stack([B, 2.0 * B, A[:, 0]], 1)


def eigenvalues(a):
    w = np.linalg.eigvals(a)
    return np.sum(w.real**2) + np.max(np.abs(w))


def leading_vector(a):
    w, v = np.linalg.eig(a)
    return np.abs(v[:, np.argmax(np.abs(w))])


CASES = {
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[0], A, B),
    "lstsq, columns": (lambda a, b: np.linalg.lstsq(a, np.stack([b, b * b], 1))[0], A, B),
    "lstsq, wide": (lambda a, b: np.linalg.lstsq(a.T, b[:3])[:2], A, B),
    "lstsq, all": (lambda a, b: np.linalg.lstsq(a, b), A, B),
    "lstsq, rank": (lambda a: np.linalg.lstsq(a, B)[2], FLAT),
    "lstsq, dependent columns": (lambda a: np.linalg.lstsq(a, B)[0], FLAT),
    "eigvals, real": (eigenvalues, A[:3] + A[:3].T),
    "eigvals, complex": (eigenvalues, np.array([[0.1, -1.0, 0.0], [1.2, 0.2, 0.3], [0, 0.1, 2.0]])),
    "eig": (leading_vector, A[:3]),
    "piecewise": (lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda t: -t, lambda t: t * t]), X),
    "piecewise, rest": (lambda x: np.piecewise(x, [x < 0, x > 1], [-1.0, np.sin, np.exp]), X),
    "piecewise, overlap": (lambda x: np.piecewise(x, [x < 1, x > 0], [np.sin, np.cos]), X),
    "piecewise, more arguments": (
        lambda x: np.piecewise(x, [x > 0], [lambda t, a, b: a * t**b, 0.5], 2.0, b=3), X),
    "piecewise, captured": (
        lambda x: np.piecewise(x, [x > 0], [lambda t: t * x[0], lambda t: t + np.sum(x)]), X),
    "piecewise, mask": (lambda x: np.piecewise(x, x > 0, [np.sqrt, np.square]), X),
    "piecewise, number": (lambda x: np.piecewise(x[0], [x[0] > 0], [np.exp, np.sin]), X),
    "piecewise, matrix": (lambda x: np.piecewise(x.reshape(3, 3), [x.reshape(3, 3) > 0],
                                                 [np.exp, np.sin]), X),
    "piecewise, integers": (lambda k: np.piecewise(k, [k > 1], [lambda t: t / 2.0, 7.9]), PLACES),
    "lexsort": (lambda x: x[np.lexsort((x, np.floor(x)))], X),
    "lexsort, ties": (lambda x: np.lexsort((np.floor(x), np.sign(x))), X),
    "lexsort, rows": (lambda x: np.lexsort((x, np.round(x)), axis=0), X.reshape(3, 3)),
    "bincount": (lambda k, x: np.bincount(k, x, minlength=6), PLACES, X),
    "bincount, counts": (lambda k: np.bincount(k, minlength=5), PLACES),
    "histogram": (lambda x: np.histogram(x, EDGES), X),
    "histogram, weights": (lambda x, w: np.histogram(x, EDGES, weights=w)[0], X, X**2),
    "histogram, density": (lambda x, w: np.histogram(x, EDGES, weights=w, density=True), X, X**2),
    "histogram, range": (lambda x: np.histogram(x, 4, (-1.0, 1.0)), X),
    "histogram, upper edge": (lambda x: np.histogram(np.round(x), [-1, 0, 1]), X),
    "histogram2d": (lambda x: np.histogram2d(x, x[::-1], [EDGES, EDGES], weights=x)[0], X),
    "histogramdd": (lambda x: np.histogramdd(np.stack([x, x * x], 1), [EDGES, EDGES[1:]])[0], X),
}


def same(got, want):
    for a, b in zip(tree.flatten(got)[0], tree.flatten(want)[0], strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_values_are_numpys(name):
    f, *args = CASES[name]
    same(sciad.jit(f, strict=True)(*args), f(*args))


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_the_eager_ones(name):
    f, *args = CASES[name]
    floats = [k for k, x in enumerate(args) if x.dtype.kind == "f"]

    def loss(*args):
        return sum((np.sum(np.sin(y)) for y in tree.flatten(f(*args))[0]
                    if np.asarray(y).dtype.kind in "fO"), args[floats[0]].ravel()[0] * 0.0)

    if floats:
        g = sciad.grad(loss, floats)
        same(sciad.jit(g, strict=True)(*args), g(*args))


@pytest.mark.parametrize("name, function", {
    "sum": lambda t: t * np.sum(t),
    "size": lambda t: t / t.size,
    "length": lambda t: t * float(len(t)),
    "order": lambda t: np.sort(t),
    "places": lambda t: t * np.arange(len(t)),
}.items())
def test_piecewise_of_several_entries_runs_eagerly(name, function):
    def f(x):
        return np.piecewise(x, [x > 0], [function, 1.0])

    with pytest.warns(FallbackWarning):
        same(sciad.jit(f)(X), f(X))


@pytest.mark.parametrize("name, f, args", [
    ("residuals", lambda a: np.linalg.lstsq(a, B)[1], (FLAT,)),
    ("places", lambda k: np.bincount(k, minlength=2), (PLACES,)),
])
def test_what_the_shape_rests_on_is_asked_at_each_call(name, f, args):
    jitted = sciad.jit(f, strict=True)
    same(jitted(*args), f(*args))
    assert "repeated eagerly" in str(jitted.report())


def test_negative_places_raise():
    with pytest.raises(ValueError, match="negative"):
        sciad.jit(lambda k: np.bincount(k, minlength=9))(PLACES - 1)
