"""Questions about whole arrays: NumPy's answers, eagerly, followed and compiled."""

import numpy as np
import pytest

import sciad

X = np.array([[0.0, 2.0, np.nan], [3.0, 0.0, -1.0]])
Y = np.where(np.isnan(X), np.nan, X + 1e-12)
CASES = {
    "count_nonzero": (np.count_nonzero, X),
    "count_nonzero by axis": (lambda x: np.count_nonzero(x, axis=1, keepdims=True), X),
    "allclose": (lambda x: np.allclose(x[1], Y[1]), X),
    "allclose, nan": (lambda x: np.allclose(x, Y), X),
    "allclose, equal nan": (lambda x: np.allclose(x, Y, equal_nan=True), X),
    "allclose, far": (lambda x: np.allclose(x, x + 1e-3, equal_nan=True), X),
    "array_equal": (lambda x: np.array_equal(x, X), X),
    "array_equal, nan": (lambda x: np.array_equal(x, X, equal_nan=True), X),
    "array_equal, shapes": (lambda x: np.array_equal(x, X[0]), X),
    "array_equiv": (lambda x: np.array_equiv(x[0, :2], np.array([[0.0, 2.0]] * 3)), X),
    "array_equiv, shapes": (lambda x: np.array_equiv(x, X[:, :2]), X),
    "nanargmax": (lambda x: np.nanargmax(x, axis=1), X),
    "nanargmin": (np.nanargmin, X),
    "nanargmin, kept": (lambda x: np.nanargmin(x, keepdims=True), X),
    "isin": (lambda x: np.isin(x, np.array([0.0, 3.0])), X),
    "matrix_rank": (lambda x: np.linalg.matrix_rank(np.nan_to_num(x)), X),
    "matrix_rank, tolerance": (lambda x: np.linalg.matrix_rank(np.nan_to_num(x), tol=2.5), X),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_are_numpys(name):
    f, x = CASES[name]
    expected = f(x)
    np.testing.assert_array_equal(sciad.jit(f, strict=True)(x), expected)
    seen = []
    sciad.grad(lambda x: seen.append(f(x)) or np.sum(np.nan_to_num(x)))(x)
    np.testing.assert_array_equal(seen[0], expected)
    assert not isinstance(seen[0], sciad.Array)


def test_an_answer_may_decide_a_branch():
    f = sciad.jit(lambda x: x * 2 if np.allclose(x, 1.0) else x * 3, strict=True)
    np.testing.assert_array_equal(f(np.ones(3)), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(f(np.arange(3.0)), [0.0, 3.0, 6.0])


def test_rows_without_a_number_raise_as_in_numpy():
    empty = np.full((2, 3), np.nan)
    for f in (np.nanargmax, sciad.jit(lambda x: np.nanargmax(x, axis=1))):
        with pytest.raises(ValueError, match="All-NaN slice"):
            f(empty)
