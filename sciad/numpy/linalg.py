"""``numpy.linalg``: NumPy's functions over the factorisations of `sciad.ops`.

Where no derivative exists:

=======================  ==========================================================
norm at 0                0, the least subgradient (every order of at least 1)
cholesky, eigh           the derivative belongs to the triangle that is read
eigh, eig, svd           vectors of repeated values raise; so does a result that
                         depends on the free phase of complex vectors
svdvals, eigvalsh        at repeated values: of functions symmetric in them; a result
                         that tells them apart raises (so does norm 2 there)
eig, eigvals             a defective matrix raises
qr, svd vectors          dependent columns raise
det                      right at singular matrices; slogdet raises there
pinv, lstsq              at constant rank
matrix_rank              constant
=======================  ==========================================================
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.linalg import LinAlgError

from sciad.core.array import Array, has_data, plain
from sciad.core.backend import beside
from sciad.core.errors import ArgumentError, NoRuleError, at_line
from sciad.numpy import products
from sciad.numpy.asking import matrix_rank
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.norms import cond, matrix_norm, norm, singular_values, vector_norm
from sciad.numpy.products import multi_dot
from sciad.ops import factor, reduce, sorting
from sciad.ops.control import assume
from sciad.ops.create import buffer
from sciad.ops.decompositions import cholesky_p, eig_p, qr_p
from sciad.ops.determinant import det_p, slogdet_p
from sciad.ops.eigh import eigh_p
from sciad.ops.elementwise import absolute, conj, sign
from sciad.ops.householder import complete_qr
from sciad.ops.matrices import require_matrix, require_square
from sciad.ops.products import _adjoint, matmul_p
from sciad.ops.products import matmul as product
from sciad.ops.products import outer as outer_product
from sciad.ops.pseudoinverse import lstsq_p, pinv_p
from sciad.ops.shape import concatenate, normalize_axis, reshape, transpose
from sciad.ops.svd import svd_p

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals",
    "eigvalsh", "inv", "lstsq", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "svd",
    "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]


class EigResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class EighResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    U: Any
    S: Any
    Vh: Any


def _square(a, name):
    a = as_array(a)
    require_square(a, name)
    return a if a.dtype.kind in "fc" else a.astype(float)


def _matrix(a, name):
    a = as_array(a)
    require_matrix(a, name)
    return a if a.dtype.kind in "fc" else a.astype(float)


# --- solves ---------------------------------------------------------------------------------------


@implements(np.linalg.solve)
def solve(a, b):
    return factor.solve(as_array(a), as_array(b))


def _identity_like(a):
    return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)


@implements(np.linalg.inv)
def inv(a):
    a = _square(a, "inv")
    return factor.solve(a, _identity_like(a))


@implements(np.linalg.pinv)
def pinv(a, rcond=None, hermitian=False, *, rtol=np._NoValue):
    a = _matrix(a, "pinv")
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    if rcond is None:
        rcond = max(a.shape[-2:]) * np.finfo(a.dtype).eps
    return pinv_p(a, rtol=float(rcond), hermitian=hermitian)


@implements(np.linalg.lstsq)
def lstsq(a, b, rcond=None):
    """Solution, residuals, rank and singular values (the rank is constant)."""
    a, b = _matrix(a, "lstsq"), as_array(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or b.shape[0] != a.shape[0]:
        raise ArgumentError(f"lstsq: shapes {a.shape} and {b.shape} do not fit{at_line()}")
    rows, columns = a.shape
    eps = np.finfo(a.dtype).eps
    rcond = eps * max(rows, columns) if rcond is None else eps if rcond < 0 else rcond
    right = reshape(b, (-1, 1)) if b.ndim == 1 else b
    x = lstsq_p(a, right, rcond=float(rcond))
    s = singular_values(a)
    rank = _rank(s, rcond)
    return reshape(x, (-1,)) if b.ndim == 1 else x, _residuals(a, x, right, rank), rank, s


def _rank(s, rcond):
    """The number of singular values that count."""
    if type(s) is Array and not has_data(s):
        large = s > rcond * np.max(s, initial=0.0)
        return reduce.sum_(large).astype(np.int32)
    s = plain(s)
    return int(np.sum(s > rcond * np.max(s, initial=0.0)))


def _residuals(a, x, right, rank):
    """The squared lengths of what is left of each column; none unless the rank is full."""
    rows, columns = a.shape
    if rows <= columns or type(rank) is int and rank < columns:
        return np.empty(0, x.dtype)
    rest = right - matmul_p(a, x)
    squares = rest.real ** 2 + rest.imag ** 2 if rest.dtype.kind == "c" else rest * rest
    residuals = reduce.sum_(squares, 0)
    if type(rank) is int:
        return residuals
    return assume(residuals, rank == columns, "lstsq: the rank is not full, so that there are no "
                                              "residuals")


@implements(np.linalg.tensorsolve)
def tensorsolve(a, b, axes=None):
    a, b = as_array(a), as_array(b)
    if axes is not None:
        moved = [normalize_axis(k, a.ndim, "tensorsolve") for k in axes]
        a = transpose(a, [k for k in range(a.ndim) if k not in moved] + moved)
    rest = a.shape[b.ndim:]
    if int(np.prod(rest)) != b.size:
        raise ArgumentError(f"tensorsolve: shapes {a.shape} and {b.shape} do not make a square "
                            f"system{at_line()}")
    return reshape(factor.solve(reshape(a, (b.size, -1)), reshape(b, (-1,))), rest)


@implements(np.linalg.tensorinv)
def tensorinv(a, ind=2):
    a = as_array(a)
    if ind <= 0:
        raise ArgumentError(f"tensorinv: ind={ind} must be positive{at_line()}")
    front, back = a.shape[:ind], a.shape[ind:]
    return reshape(inv(reshape(a, (int(np.prod(front)), -1))), back + front)


# --- determinants ---------------------------------------------------------------------------------


@implements(np.linalg.det)
def det(a):
    return det_p(_square(a, "det"))


@implements(np.linalg.slogdet)
def slogdet(a):
    return SlogdetResult(*slogdet_p(_square(a, "slogdet")))


# --- decompositions -------------------------------------------------------------------------------


@implements(np.linalg.cholesky)
def cholesky(a, *, upper=False):
    a = _square(a, "cholesky")
    return _adjoint(cholesky_p(_adjoint(a))) if upper else cholesky_p(a)


@implements(np.linalg.qr)
def qr(a, mode="reduced"):
    a = _matrix(a, "qr")
    if mode not in ("reduced", "complete", "r"):
        raise NoRuleError(f"qr: mode={mode!r} has no rule in sciad{at_line()}; "
                          "use 'reduced', 'complete' or 'r'")
    rows, columns = a.shape[-2:]
    if rows > columns and mode == "complete":
        return QRResult(*complete_qr(a))
    q, r = qr_p(a[..., :rows])
    if rows < columns:
        r = concatenate([r, matmul_p(_adjoint(q), a[..., rows:])], -1)
    return r if mode == "r" else QRResult(q, r)


def _lower(uplo, name):
    if uplo not in ("L", "U", "l", "u"):
        raise ArgumentError(f"{name}: UPLO={uplo!r}, must be 'L' or 'U'{at_line()}")
    return uplo in "Ll"


@implements(np.linalg.eigh)
def eigh(a, UPLO="L"):
    return EighResult(*eigh_p(_square(a, "eigh"), lower=_lower(UPLO, "eigh"), vectors=True))


@implements(np.linalg.eigvalsh)
def eigvalsh(a, UPLO="L"):
    return eigh_p(_square(a, "eigvalsh"), lower=_lower(UPLO, "eigvalsh"), vectors=False)[0]


def _as_numpy(a, *outs):
    """Real where NumPy gives real: a real matrix whose eigenvalues all are."""
    if a.dtype.kind == "c":
        return outs
    return outs if bool(np.any(np.imag(outs[0]) != 0)) else tuple(x.real for x in outs)


@implements(np.linalg.eig)
def eig(a):
    a = _square(a, "eig")
    return EigResult(*_as_numpy(a, *eig_p(a, vectors=True)))


@implements(np.linalg.eigvals)
def eigvals(a):
    a = _square(a, "eigvals")
    return _as_numpy(a, eig_p(a, vectors=False)[0])[0]


@implements(np.linalg.svd)
def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    a = _matrix(a, "svd")
    if hermitian:
        return _hermitian_svd(a, compute_uv)
    if not compute_uv:
        return singular_values(a)
    return SVDResult(*svd_p(a, full=bool(full_matrices), vectors=True))


def _hermitian_svd(a, compute_uv):
    """From the eigenvalues w: s = |w| and V = U sign(w)."""
    w, u = eigh_p(_square(a, "svd"), lower=True, vectors=compute_uv)
    size = absolute(w)
    order = plain(size, "np.linalg.svd(hermitian=True)").argsort(axis=-1)[..., ::-1]
    s = sorting.take_along_axis(size, order, -1)
    if not compute_uv:
        return s
    signs = sorting.take_along_axis(sign(w), order, -1)
    u = sorting.take_along_axis(u, order[..., None, :], -1)
    return SVDResult(u, s, _adjoint(u * reshape(signs, (*signs.shape[:-1], 1, -1))))


@implements(np.linalg.svdvals)
def svdvals(x):
    return singular_values(_matrix(x, "svdvals"))


# --- products -------------------------------------------------------------------------------------


@implements(np.linalg.matrix_power)
def matrix_power(a, n):
    """Of integers in integers, as long as no inverse is taken."""
    a = as_array(a)
    require_square(a, "matrix_power")
    if n == 0:
        return buffer(beside(_identity_like(a).copy(), a))
    if n < 0:
        a, n = inv(a), -n
    result = None
    while n:
        if n & 1:
            result = a if result is None else matmul_p(result, a)
        n >>= 1
        if n:
            a = matmul_p(a, a)
    return result


@implements(np.linalg.trace)
def trace(x, *, offset=0):
    return reduce.sum_(_diagonal(x, offset, "trace"), -1)


@implements(np.linalg.diagonal)
def diagonal(x, *, offset=0):
    x = as_array(x)
    require_matrix(x, "diagonal")
    return np.diagonal(x, offset, -2, -1)


def _diagonal(x, offset, name):
    x = as_array(x)
    require_matrix(x, name)
    row, column = max(0, -offset), max(0, offset)
    k = np.arange(max(0, min(x.shape[-2] - row, x.shape[-1] - column)))
    return x[..., row + k, column + k]


@implements(np.linalg.outer)
def outer(x1, x2):
    x1, x2 = as_array(x1), as_array(x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ArgumentError(f"linalg.outer: shapes {x1.shape} and {x2.shape} are not vectors"
                            f"{at_line()}; np.outer ravels")
    return outer_product(x1, x2)


@implements(np.linalg.cross)
def cross(x1, x2, axis=-1):
    return products.cross(as_array(x1), as_array(x2), axis=axis)


@implements(np.linalg.tensordot)
def tensordot(x1, x2, axes=2):
    return products.tensordot(as_array(x1), as_array(x2), axes)


@implements(np.linalg.matmul)
def matmul(x1, x2):
    return product(as_array(x1), as_array(x2))


@implements(np.linalg.vecdot)
def vecdot(x1, x2, axis=-1):
    x1, x2 = as_array(x1), as_array(x2)
    return reduce.sum_((conj(x1) if x1.dtype.kind == "c" else x1) * x2, axis)


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x):
    x = as_array(x)
    require_matrix(x, "matrix_transpose")
    return np.swapaxes(x, -1, -2)
