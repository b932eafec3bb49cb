"""QR, eigenvalues, singular values and what NumPy composes of them, natively."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from tests.compiler.test_lower import compare
from tests.compiler.test_lower_factor import TERMS, definite, regular, vector

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

SHAPES = [(1, 1), (2, 2), (3, 3), (4, 2), (2, 4), (5, 5), (9, 4), (4, 9), (30, 30), (70, 20),
          (20, 70), (2, 3, 3), (3, 5, 2), (2, 2, 2, 6)]
SQUARE = [s for s in SHAPES if s[-1] == s[-2]]
FLOATS = [np.float64, np.float32]


def outs(f):
    return lambda *args: tuple(f(*args))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_qr(shape, dtype):
    a = regular(*shape, dtype=dtype)
    compare(outs(np.linalg.qr), (a,), TERMS)
    compare(lambda a: np.linalg.qr(a, "r"), (a,), TERMS)
    compare(lambda a: np.linalg.qr(a * 2)[0], (a,), TERMS)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SQUARE, ids=str)
def test_eigh(shape, dtype):
    a = definite(*shape, dtype=dtype)
    compare(outs(np.linalg.eigh), (a,), TERMS)
    compare(lambda a: tuple(np.linalg.eigh(np.swapaxes(a, -1, -2), "U")), (a,), TERMS)
    for uplo in "LU":
        compare(lambda a, u=uplo: np.linalg.eigvalsh(np.sin(a), u), (a,), TERMS)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_svd(shape, dtype):
    a = regular(*shape, dtype=dtype)
    for full in (True, False):
        compare(lambda a, f=full: tuple(np.linalg.svd(a, full_matrices=f)), (a,), TERMS)
    compare(lambda a: np.linalg.svd(a)[1], (a,), TERMS)
    compare(lambda a: np.linalg.svd(a, compute_uv=False), (a,), TERMS)
    if len(shape) == 2:
        compare(lambda a: (np.linalg.norm(a, 2), np.linalg.cond(a)), (a,), TERMS)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pseudoinverse_and_least_squares(shape, dtype):
    a = regular(*shape, dtype=dtype)
    compare(np.linalg.pinv, (a,), TERMS)
    if shape in SQUARE:
        compare(lambda a: np.linalg.pinv(a, hermitian=True), (definite(*shape, dtype=dtype),),
                TERMS)
    if len(shape) == 2:
        solve = sciad.ops.pseudoinverse.lstsq_p
        for columns in (1, 3):
            compare(lambda a, b: solve(a, b, rcond=1e-6), (a, vector(shape[0], columns).astype(
                dtype)), TERMS)


def test_matrices_of_low_rank():
    a = np.outer(np.arange(1.0, 6.0), np.arange(2.0, 5.0))
    compare(np.linalg.pinv, (a,), TERMS)
    compare(lambda a: np.linalg.pinv(a, 1e-3), (a + 1e-6 * regular(5, 3),), 2**40)
    compare(lambda a: sciad.ops.pseudoinverse.lstsq_p(a, np.ones((5, 1)), rcond=1e-10), (a,), TERMS)
    for shape in [(0, 3), (3, 0), (0, 0), (2, 0, 3)]:
        compare(np.linalg.pinv, (np.zeros(shape),))
        for full in (True, False):
            compare(lambda a, f=full: tuple(np.linalg.svd(a, f)), (np.zeros(shape),))


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_gradients(n):
    a, s = regular(n, n), definite(n, n)
    compare(sciad.grad(lambda a: np.sum(np.sin(np.linalg.qr(a)[1]))), (a,), TERMS)
    compare(sciad.grad(lambda a: np.sum(np.linalg.eigh(a)[1] ** 3)), (s,), 50 * TERMS)
    compare(sciad.grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 3)), (s,), TERMS)
    compare(sciad.grad(lambda a: np.sum(np.linalg.svd(a)[0] ** 3)), (a,), 50 * TERMS)
    compare(sciad.grad(lambda a: np.sum(np.linalg.svd(a)[1] ** 3)), (a,), TERMS)
    compare(sciad.grad(lambda a: np.sum(np.linalg.pinv(a) ** 3)), (regular(n, n + 1),), TERMS)
    compare(sciad.grad(np.linalg.det), (a,), TERMS)
    compare(sciad.grad(lambda a: np.sum(sciad.grad(np.linalg.det)(a) ** 2)), (a,), TERMS)
    compare(sciad.grad(lambda a: np.sum(np.linalg.det(a))), (regular(2, n, n),), TERMS)


@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_number_has_no_singular_values(n, bad):
    a = definite(n, n)
    a[-1, 0] = bad
    for f in (np.linalg.svd, np.linalg.pinv, lambda a: np.linalg.svd(a, compute_uv=False)):
        with pytest.raises(np.linalg.LinAlgError, match="SVD did not converge"):
            sciad.jit(f, strict=True)(a)
    least = sciad.jit(lambda a, b: sciad.ops.pseudoinverse.lstsq_p(a, b, rcond=1e-9), strict=True)
    for args in ((a, np.ones((n, 1))), (np.eye(n), np.full((n, 1), bad))):
        with pytest.raises(np.linalg.LinAlgError, match="did not converge in Linear Least"):
            least(*args)
