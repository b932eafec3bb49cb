"""linearize: the linear map at a point, without running the function again."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import ArgumentError

X = np.array([0.3, 1.2, -0.7])
V = np.array([1.0, -0.5, 2.0])


def branches(x):
    total = 0.0
    while sciad.stop_gradient(total) < 5.0:
        total = total + np.sum(np.sin(x) * x) + 1.0
    y = x * 1.0
    y[0] = total
    return {"y": y * total, "total": total, "count": 3}


def loops(x):
    carry, rows = sciad.scan(lambda c, r: (c * r, c + r), 1.0, x)
    return carry + np.sum(rows)


FUNCTIONS = [
    branches, loops, np.sin, lambda x: x, lambda x: np.ones(2),
    lambda x: np.linalg.solve(np.outer(x, x) + np.eye(3), x),
    sciad.grad(lambda x: np.sum(x**3 * x[0])), lambda x: np.exp(1j * x),
    sciad.checkpoint(lambda x: np.sin(x) * x),
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_agrees_with_jvp(f):
    out, f_jvp = sciad.linearize(f, X)
    for v in (V, 2.0 * X):
        want_out, want = sciad.jvp(f, (X,), (v,))
        got = f_jvp(v)
        for a, b in zip(sciad.core.tree.flatten(got)[0], sciad.core.tree.flatten(want)[0],
                        strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_runs_once():
    runs = []

    def f(x):
        runs.append(1)
        return np.sin(x)

    _, f_jvp = sciad.linearize(f, X)
    f_jvp(V)
    f_jvp(X)
    assert len(runs) == 1


def test_nonlinear_work_is_not_repeated():
    from sciad.core.linearize import linearized

    done = linearized(lambda x: np.sin(np.exp(x)), [X])
    assert {e.primitive.name for e in done.graph.equations} == {"multiply"}


def test_differentiates_in_point_and_tangent():
    def f(x):
        return np.sin(x) * x[0]

    sciad.check_grads(lambda x, v: sciad.linearize(f, x)[1](v), (X, V))


def test_compiled():
    def f(x, v):
        return sciad.linearize(lambda x: np.sin(x) if x[0] > 0 else x, x)[1](v)

    np.testing.assert_allclose(sciad.jit(f)(X, V), f(X, V))


def test_constants_stay_and_results_are_fresh():
    w = np.ones(3)
    _, f_jvp = sciad.linearize(lambda x: x * w, X)
    w[:] = 100.0
    np.testing.assert_array_equal(f_jvp(V), V)
    _, same = sciad.linearize(lambda x: x, X)
    assert not np.shares_memory(same(V), V)


def test_tangents_must_fit():
    _, f_jvp = sciad.linearize(np.sin, X)
    with pytest.raises(ArgumentError, match="shape"):
        f_jvp(np.ones(2))
    with pytest.raises(ArgumentError, match="structure"):
        f_jvp(V, V)
