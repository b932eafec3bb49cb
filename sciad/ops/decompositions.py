"""Cholesky and QR decompositions, eigenvalues of general matrices.

Each block derives its rule. Sources: M. Giles, "An extended collection of matrix derivative
results for forward and reverse mode algorithmic differentiation" (2008); M. Seeger, A. Hetzel,
Z. Dai, E. Meissner, N. Lawrence, "Auto-differentiating linear algebra" (2017); Z.-Q. Wan and
S.-X. Zhang, "Automatic differentiation for complex valued SVD" (2019).

Complex eigenvectors and singular vectors carry a phase that the matrix does not fix; a result that
depends on it has no derivative, and reverse mode raises. `sciad.ops.degenerate` tells what holds
where values repeat; eigenvalues of general matrices that a direction couples have NaN as tangents,
since no order of theirs is their own.

As in LAPACK, `cholesky` and `eigh` read one triangle of their operand, and the derivative belongs
to that triangle: the upper one receives 0, the real parts of the diagonal count.
"""

import numpy as np

from sciad.core.graph import Type
from sciad.core.patterns import by_matrix
from sciad.core.rules import Constant, General
from sciad.ops.degenerate import (
    coupled,
    inverse,
    repeated,
    symmetric_in,
    undefined,
    unused,
    usable,
)
from sciad.ops.elementwise import absolute, conj, equal
from sciad.ops.factor import solve_p
from sciad.ops.guards import known
from sciad.ops.matrices import (
    column,
    diagonal_of,
    from_triangle,
    like,
    lower_half,
    on_diagonal,
    real_dtype,
    real_of,
    recomputed,
    right_divide,
    row,
    to_triangle,
)
from sciad.ops.products import _adjoint, matmul_p
from sciad.ops.reduce import all_, any_, argmax, max_, sum_

# --- Cholesky: A = L L^H --------------------------------------------------------------------------
#
#     L^-1 dA L^-H = L^-1 dL + (L^-1 dL)^H,   so   dL = L P(L^-1 dA L^-H)
#
# with P the lower triangle, its diagonal halved; P is its own adjoint, hence
# A* = L^-H P(L^H g) L^-1.


def _cholesky_jvp(tangents, factor, args, params):
    change = from_triangle(tangents[0])
    inner = right_divide(solve_p(factor, change), _adjoint(factor))
    return matmul_p(factor, inner * lower_half(factor))


def _cholesky_vjp(g, needs, factor, args, params):
    adjoint = _adjoint(factor)
    inner = matmul_p(adjoint, g) * lower_half(factor)
    return [to_triangle(right_divide(solve_p(adjoint, inner), factor))]


cholesky_p = General("cholesky", np.linalg.cholesky, lambda a: Type(a.shape, a.dtype),
                     _cholesky_jvp, _cholesky_vjp, pattern=by_matrix)


# --- QR of a matrix with at least as many rows as columns: A = Q R --------------------------------
#
# With C = Q^H dA R^-1 and LAPACK's real diagonal of R,
#
#     dR = U(C) R,     dQ = dA R^-1 - Q U(C),     U(C) = strict upper (C) + strict lower (C)^H
#                                                       + Re diag C
#     A* = (gQ + Q U*(N)) R^-H,   N = gR R^H - Q^H gQ,   U*(N) the Hermitian matrix with the upper
#                                                       triangle of N


def _upper_part(c):
    half = lower_half(c)
    return c * half.T + _adjoint(c * half)


def _with_columns(r, cotangents):
    """R, whose columns must be linearly independent where a cotangent needs it."""
    (diagonal,) = known(diagonal_of(r))
    if not diagonal.shape[-1]:
        return r
    size = absolute(diagonal)
    low = 10 * size.shape[-1] * float(np.finfo(size.dtype).eps) * max_(size, -1, keepdims=True)
    return usable(r, all_(size > low, -1), cotangents,
                  "qr: linearly dependent columns, so that Q has no derivative; pinv and lstsq "
                  "have one at constant rank")


def _qr_jvp(tangents, out, args, params):
    q, r = out[0], _with_columns(out[1], tangents)
    change = right_divide(tangents[0], r)
    upper = _upper_part(matmul_p(_adjoint(q), change))
    return change - matmul_p(q, upper), matmul_p(upper, r)


def _qr_vjp(cotangents, needs, out, args, params):
    gq, gr = cotangents
    q, r = out[0], _with_columns(out[1], cotangents)
    n = 0.0
    if gr is not None:
        n = matmul_p(gr, _adjoint(r))
    if gq is not None:
        n = n - matmul_p(_adjoint(q), gq)
    total = matmul_p(q, from_triangle(n, lower=False))
    return [right_divide(total if gq is None else gq + total, _adjoint(r))]


def _qr_type(a):
    rows, columns = a.shape[-2:]
    return Type(a.shape, a.dtype), Type((*a.shape[:-2], columns, columns), a.dtype)


qr_p = General("qr", lambda a: tuple(np.linalg.qr(a)), _qr_type, _qr_jvp, _qr_vjp, multiple=True,
               pattern=by_matrix)


# --- eigenvalues of a general matrix: A V = V diag(w) ---------------------------------------------
#
# With M = V^-1 dA V and Y = V (F o M),
#
#     dw = diag M,     dV = Y - V diag(c)
#
# where c keeps LAPACK's normalisation: columns of length 1, their largest entry r real, so
# Re c_k = Re(v_k^H Y_k), Im c_k = Im Y_rk / V_rk. Backwards, with h_k = v_k^H gV_k and e_rk the
# unit entry at (r, k),
#
#     gY = gV - V diag(Re h) - i e_r diag(Im h / V_r),      A* = V^-H (diag gw + F^* o V^H gY) V^H


def _pivots(v):
    """1 at the largest real entry of each column, 0 elsewhere; and these entries."""
    if not v.shape[-1]:
        return real_of(v), real_of(v)[..., 0:0, :].sum(-2)
    size = absolute(v) * equal(v.imag, 0.0)
    rows = np.arange(v.shape[-2]).reshape(-1, 1)
    mark = equal(rows, row(argmax(size, -2))).astype(real_dtype(v.dtype))
    return mark, sum_(real_of(v) * mark, -2)


reciprocal_condition = Constant("reciprocal_condition",
                                lambda v: 1.0 / np.linalg.cond(v),
                                lambda v: Type(v.shape[:-2], real_dtype(v.dtype)))


def _independent(v, cotangents):
    """The vectors, if there is a basis of them (a defective matrix has none)."""
    if not v.shape[-1]:
        return v
    limit = 10.0 * float(np.finfo(v.dtype).eps) ** 0.5
    return usable(v, reciprocal_condition(v) > limit, cotangents,
                  "eig: the matrix is defective or nearly so, and its eigenvalues have no "
                  "derivative")


def _eig_jvp(tangents, out, args, params):
    w, v = recomputed(eig_p, out, args, params)
    v = _independent(v, tangents)
    inner = solve_p(v, matmul_p(tangents[0], v))
    same = repeated(w)
    bad = coupled(same, inner)
    dw = undefined(diagonal_of(inner), any_(bad, -1))
    if not params["vectors"]:
        return dw, None
    gaps = undefined(inverse(row(w) - column(w), same), bad)
    y = matmul_p(v, inner * gaps)
    mark, pivot = _pivots(v)
    c = sum_((conj(v) * y).real, -2) + 1j * (sum_(y.imag * mark, -2) / pivot)
    return dw, y - v * row(c).astype(v.dtype)


def _eig_vjp(cotangents, needs, out, args, params):
    gw, gv = cotangents
    w, v = recomputed(eig_p, out, args, params)
    v = _independent(v, cotangents)
    same = repeated(w)
    inner = 0.0 if gw is None else on_diagonal(symmetric_in(gw, same, "eig"))
    if gv is not None:
        mark, pivot = _pivots(v)
        h = sum_(conj(v) * gv, -2)
        phase = (1j * mark * row(h.imag / pivot)).astype(v.dtype)
        gy = matmul_p(_adjoint(v), gv - v * row(h.real) - phase)
        gaps = inverse(row(w) - column(w), same)
        inner = inner + unused(gy, same, gv, "eig") * conj(gaps)
    full = matmul_p(solve_p(_adjoint(v), inner), _adjoint(v))
    return [like(full, args[0])]


def _eig(a, vectors):
    w, v = np.linalg.eig(a)
    dtype = np.result_type(w.dtype, np.complex64)
    return w.astype(dtype), v.astype(dtype)


def _eig_type(a, vectors):
    dtype = np.result_type(a.dtype, np.complex64)
    return Type(a.shape[:-1], dtype), Type(a.shape, dtype)


eig_p = General("eig", _eig, _eig_type, _eig_jvp, _eig_vjp, multiple=True, pattern=by_matrix)
