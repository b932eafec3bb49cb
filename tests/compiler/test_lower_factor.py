"""Factorisations and solves: written out, in loops, by LAPACK; one matrix and stacks."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.lower_factor import LAPACK, UNROLL
from tests.compiler.test_lower import compare

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

SIZES = [1, 2, 3, 4, 5, UNROLL, UNROLL + 1, LAPACK - 1, LAPACK]
TERMS = 4000


def regular(*shape, dtype=np.float64, seed=0):
    """Matrices far from singular whose pivots swap rows."""
    x = np.random.default_rng([seed, *shape]).standard_normal(shape)
    n = min(shape[-2:], default=0)
    k = np.arange(n)
    x[..., k, k[::-1]] += 3.0 * np.sqrt(n + 1.0)
    return x.astype(dtype)


def definite(*shape, dtype=np.float64, seed=0):
    x = regular(*shape, seed=seed)
    return (x @ np.swapaxes(x, -1, -2) / shape[-1] + np.eye(shape[-1])).astype(dtype)


def vector(*shape, dtype=np.float64):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", SIZES)
def test_solve(n, dtype):
    a = regular(n, n, dtype=dtype)
    compare(np.linalg.solve, (a, vector(n, dtype=dtype)), TERMS)
    for columns in (1, 3, n):
        compare(np.linalg.solve, (a, vector(n, columns, dtype=dtype)), TERMS)
    compare(np.linalg.inv, (a,), TERMS)


@pytest.mark.parametrize("n", SIZES)
def test_solve_of_stacks(n):
    a, b = regular(3, n, n), vector(3, n, 2)
    compare(np.linalg.solve, (a, b), TERMS)
    compare(np.linalg.solve, (a, b[0]), TERMS)
    compare(np.linalg.solve, (a[0], b), TERMS)
    compare(np.linalg.solve, (a[:, None], b[:2]), TERMS)
    compare(np.linalg.solve, (regular(2, 1, n, n), vector(1, 3, n, 1)), TERMS)
    compare(np.linalg.inv, (a,), TERMS)


@pytest.mark.parametrize("n", SIZES)
def test_solve_of_expressions(n):
    a, b = regular(n, n), vector(n)
    compare(lambda a, b: np.linalg.solve(a.T, 2.0 * b), (a, b), TERMS)
    compare(lambda a, b: np.linalg.solve(np.sin(a) + 4 * a, a * b), (a, b), 50 * TERMS)
    compare(lambda a, b: np.linalg.solve(np.swapaxes(a, -1, -2), np.cos(b)[:, None] * a),
            (regular(2, n, n), b), TERMS)
    compare(sciad.grad(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2), (0, 1)), (a, b), TERMS)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_determinants(n, dtype):
    for a in (regular(n, n, dtype=dtype), regular(2, 3, n, n, dtype=dtype)):
        compare(np.linalg.det, (a,), TERMS)
        compare(lambda a: tuple(np.linalg.slogdet(a)), (a,), TERMS)
    a = regular(n, n)
    compare(sciad.grad(lambda a: np.linalg.slogdet(a)[1]), (a,), TERMS)
    compare(lambda a: np.linalg.det(a[::-1].T * 2), (a,), TERMS)


@pytest.mark.parametrize("n", SIZES)
def test_determinants_at_the_ends_of_the_range(n):
    scale = np.full(n, 1.0)
    scale[:n // 2], scale[n - n // 2:] = 1e300, 1e-300
    for a in (np.diag(scale), np.diag(scale[::-1]), np.full((n, n), 2.0), np.zeros((n, n)),
              np.full((n, n), np.nan), np.diag(np.full(n, 1e200)), np.diag(np.full(n, -1e-200))):
        compare(np.linalg.det, (a,), 2**22)
        compare(lambda a: np.linalg.slogdet(a)[1], (a,), TERMS)
        if not np.isnan(a).any():
            compare(lambda a: np.linalg.slogdet(a)[0], (a,))
        compare(np.linalg.det, (np.stack([a, np.eye(n)]),), 2**22)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cholesky(n, dtype):
    a = definite(n, n, dtype=dtype)
    lower = np.tril(a) + 7 * np.triu(np.ones((n, n), dtype), 1)  # only one triangle is read
    for x in (a, lower, definite(2, 3, n, n, dtype=dtype)):
        compare(np.linalg.cholesky, (x,), TERMS)
        compare(lambda a: np.linalg.cholesky(a, upper=True), (x if x is a else a,), TERMS)
    compare(lambda a: np.linalg.cholesky(a * 2)[..., 0], (a,), TERMS)
    compare(sciad.grad(lambda a: np.sum(np.sin(np.linalg.cholesky(a)))), (a.astype(float),), TERMS)


@pytest.mark.parametrize("n", SIZES)
def test_what_has_no_factor_raises(n):
    solve = sciad.jit(np.linalg.solve, strict=True)
    cholesky = sciad.jit(np.linalg.cholesky, strict=True)
    for singular in (np.zeros((n, n)), np.ones((n, n)), np.diag(np.arange(n) * 1.0),
                     np.stack([np.eye(n), np.zeros((n, n))])):
        if n == 1 and singular[..., 0, 0].all():
            continue
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            np.linalg.solve(singular, np.ones((n, 1)))
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            solve(singular, np.ones((n, 1)))
    for indefinite in (-np.eye(n), np.diag(np.arange(n) * 1.0), np.eye(n) - 2 * np.eye(n)[-1]):
        with pytest.raises(np.linalg.LinAlgError, match="Matrix is not positive definite"):
            cholesky(indefinite)
    solve(np.eye(n), np.ones((n, 1)))
    cholesky(np.eye(n))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_entries_that_are_no_numbers(n, bad):
    """Neither a crash nor a number where NumPy has none."""
    a = definite(n, n)
    a[-1, 0] = a[0, -1] = bad
    def outcome(f):
        try:
            return np.isfinite(f(a)).all()
        except np.linalg.LinAlgError as error:
            return str(error)

    with np.errstate(all="ignore"):
        for f in (np.linalg.inv, np.linalg.det, np.linalg.cholesky):
            assert outcome(sciad.jit(f, strict=True)) == outcome(f)


def test_empty_matrices():
    for shape in [(0, 0), (0, 3, 3), (2, 0, 0)]:
        a = np.zeros(shape)
        for f in (np.linalg.inv, np.linalg.det, np.linalg.cholesky):
            compare(f, (a,))
        compare(lambda a: tuple(np.linalg.slogdet(a)), (a,))
    for shape in [(2, 0), (40, 0)]:
        compare(np.linalg.solve, (np.eye(shape[0]), np.zeros(shape)))
