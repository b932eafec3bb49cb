"""Cholesky, QR, eigenvalue and singular value decompositions.

Each block derives its rule. Sources: M. Giles, "An extended collection of matrix derivative
results for forward and reverse mode algorithmic differentiation" (2008); M. Seeger, A. Hetzel,
Z. Dai, E. Meissner, N. Lawrence, "Auto-differentiating linear algebra" (2017); Z.-Q. Wan and
S.-X. Zhang, "Automatic differentiation for complex valued SVD" (2019).

Gauge. Complex eigenvectors of Hermitian matrices and complex singular vectors carry a phase that
the matrix does not fix. A result that depends on it has no derivative: reverse mode raises. So do
the vectors of repeated values (in forward mode their tangents are NaN), and a result that tells
repeated values apart; functions symmetric in them, such as their sum, have a derivative.

As in LAPACK, `cholesky` and `eigh` read one triangle of their operand, and the derivative belongs
to that triangle: the upper one receives 0, the real parts of the diagonal count.
"""

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.backend import beside
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type
from sciad.core.patterns import by_matrix
from sciad.core.rules import Constant, General, is_complex
from sciad.ops.elementwise import absolute, conj, equal, logical_and, logical_not, logical_or, where
from sciad.ops.factor import solve_p
from sciad.ops.guards import known, require
from sciad.ops.products import _adjoint, _swap, matmul_p
from sciad.ops.reduce import all_, any_, argmax, max_, sum_


def require_square(a, name):
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise ArgumentError(f"{name}: the matrix has shape {a.shape}, must be square{at_line()}")


def require_matrix(a, name):
    if len(a.shape) < 2:
        raise ArgumentError(f"{name}: shape {a.shape} is not a matrix{at_line()}")


def _real_dtype(dtype):
    return np.empty(0, dtype).real.dtype


def _like(g, x):
    return g.real if is_complex(g) and not is_complex(x) else g


def column(x):
    """The entries of the last axis as a column (they scale rows)."""
    return x.reshape((*x.shape, 1))


def row(x):
    """The entries of the last axis as a row (they scale columns)."""
    return x.reshape((*x.shape[:-1], 1, x.shape[-1]))


def on_diagonal(x):
    """Diagonal matrices of the last axis."""
    return column(x) * beside(np.eye(x.shape[-1], dtype=_real_dtype(x.dtype)), x)


def diagonal_of(x):
    k = np.arange(min(x.shape[-2:]))
    return x[..., k, k]


def imag_of(x):
    return x.imag if is_complex(x) else 0.0 * x


def real_of(x):
    return x.real if is_complex(x) else x


def lower_half(x):
    """A mask for square matrices `x`: 1 below the diagonal, 1/2 on it."""
    n = x.shape[-1]
    mask = (np.tril(np.ones((n, n)), -1) + 0.5 * np.eye(n)).astype(_real_dtype(x.dtype))
    return beside(mask, x)


def _from_triangle(a, lower=True):
    """The Hermitian matrix whose one triangle is that of `a`."""
    half = lower_half(a)
    part = a * (half if lower else half.T)
    return part + _adjoint(part)


def _to_triangle(g, lower=True):
    """The adjoint of `_from_triangle`."""
    half = lower_half(g)
    return (g + _adjoint(g)) * (half if lower else half.T)


def right_divide(b, a):
    """b a^-1."""
    return _adjoint(solve_p(_adjoint(a), _adjoint(b)))


# --- Cholesky: A = L L^H --------------------------------------------------------------------------
#
#     L^-1 dA L^-H = L^-1 dL + (L^-1 dL)^H,   so   dL = L P(L^-1 dA L^-H)
#
# with P the lower triangle, its diagonal halved; P is its own adjoint, hence
# A* = L^-H P(L^H g) L^-1.


def _cholesky_jvp(tangents, factor, args, params):
    change = _from_triangle(tangents[0])
    inner = right_divide(solve_p(factor, change), _adjoint(factor))
    return matmul_p(factor, inner * lower_half(factor))


def _cholesky_vjp(g, needs, factor, args, params):
    adjoint = _adjoint(factor)
    inner = matmul_p(adjoint, g) * lower_half(factor)
    return [_to_triangle(right_divide(solve_p(adjoint, inner), factor))]


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


def _with_columns(r):
    """R, whose columns must be linearly independent."""
    (diagonal,) = known(diagonal_of(r))
    if not diagonal.shape[-1]:
        return r
    size = absolute(diagonal)
    low = 10 * size.shape[-1] * float(np.finfo(size.dtype).eps) * max_(size, -1, keepdims=True)
    return require(r, all_(size > low),
                   "qr: linearly dependent columns, so that Q has no derivative; pinv and lstsq "
                   "have one at constant rank")


def _qr_jvp(tangents, out, args, params):
    q, r = out[0], _with_columns(out[1])
    change = right_divide(tangents[0], r)
    upper = _upper_part(matmul_p(_adjoint(q), change))
    return change - matmul_p(q, upper), matmul_p(upper, r)


def _qr_vjp(cotangents, needs, out, args, params):
    gq, gr = cotangents
    q, r = out[0], _with_columns(out[1])
    n = 0.0
    if gr is not None:
        n = matmul_p(gr, _adjoint(r))
    if gq is not None:
        n = n - matmul_p(_adjoint(q), gq)
    total = matmul_p(q, _from_triangle(n, lower=False))
    return [right_divide(total if gq is None else gq + total, _adjoint(r))]


def _qr_type(a):
    rows, columns = a.shape[-2:]
    return Type(a.shape, a.dtype), Type((*a.shape[:-2], columns, columns), a.dtype)


qr_p = General("qr", lambda a: tuple(np.linalg.qr(a)), _qr_type, _qr_jvp, _qr_vjp, multiple=True,
               pattern=by_matrix)


# --- Hermitian eigenvalues: A V = V diag(w) -------------------------------------------------------
#
# With M = V^H dA V,
#
#     dw = Re diag M,    dV = V (F o M),   F_ij = 1 / (w_j - w_i), 0 on the diagonal
#     A* = V (diag gw + F o (V^H gV)) V^H


def inverse_gaps(values, couplings, scale, name=None):
    """1 / (v_j - v_i), and 0 on the diagonal and where a repeated value couples to nothing.

    The vectors of repeated values with a coupling have no derivative. Backwards that raises, in
    the name of an operation; forwards, where a tangent may be one that nobody asked for, it is NaN.
    """
    repeated, bad = _degenerate(*known(values, couplings, scale))
    skip = logical_or(repeated, np.eye(values.shape[-1], dtype=bool))
    gaps = row(values) - column(values)
    inverse = where(skip, 0.0, 1.0 / where(skip, 1.0, gaps))
    if name is None:
        return where(bad, np.nan, inverse) if not has_data(bad) or np.any(plain(bad)) else inverse
    return require(inverse, logical_not(any_(bad)),
                   f"{name}: the vectors of repeated values have no derivative; use the values "
                   "alone, or functions that do not need these vectors (solve, inv, pinv)")


def _degenerate(values, couplings, scale):
    """Which pairs of values coincide, and which of these are coupled."""
    n = values.shape[-1]
    spread = absolute(row(values) - column(values))
    eps = 10 * n * float(np.finfo(spread.dtype).eps)
    off = ~np.eye(n, dtype=bool)
    if not spread.size:
        return off & False, off & False
    size = column(column(max_(absolute(scale), -1)))
    repeated = logical_and(spread <= eps * size, off)
    strength = absolute(couplings)
    coupled = strength + _swap(strength) > 10 * eps * max_(strength)
    return repeated, logical_and(repeated, coupled)


def symmetric_in(g, values, name):
    """The cotangent of values, where those that repeat have the same: a result that tells them
    apart has no derivative."""
    seen, points = known(g, values)
    n = values.shape[-1]
    if n < 2 or not points.size:
        return g
    eps = float(np.finfo(points.dtype).eps)
    spread = absolute(row(points) - column(points))
    repeated = spread <= 10 * n * eps * column(column(max_(absolute(points), -1)))
    apart = absolute(row(seen) - column(seen)) > eps**0.5 * max_(absolute(seen))
    return require(g, logical_not(any_(logical_and(repeated, apart))),
                   f"{name}: repeated values have no derivative one by one; functions symmetric in "
                   "them have (their sum, the trace, the determinant, the Frobenius norm)")


def without_phase(x, phase, scale, vectors, name):
    """`x`; raises where a cotangent depends on the free phase of (complex) vectors."""
    phase, scale = known(absolute(phase), absolute(scale))
    if not phase.size:
        return x
    limit = 1e4 * float(np.finfo(vectors.dtype).eps) * max_(scale)
    return require(x, all_(logical_or(phase <= limit, equal(phase, 0.0))),
                   f"{name}: the result depends on the phase of complex vectors, which the matrix "
                   "does not determine; use |v|**2 or products v v^H")


def _recomputed(primitive, out, args, params):
    """All outputs, tracked by the outer transforms also where only the values are."""
    if params["vectors"] or type(args[0]) is not Array:
        return out
    return primitive(args[0], **{**params, "vectors": True})


def _eigh_jvp(tangents, out, args, params):
    w, v = _recomputed(eigh_p, out, args, params)
    change = _from_triangle(tangents[0], params["lower"])
    inner = matmul_p(_adjoint(v), matmul_p(change, v))
    dw = real_of(diagonal_of(inner))
    if not params["vectors"]:
        return dw, None
    return dw, matmul_p(v, inner * inverse_gaps(w, inner, w))


def _eigh_vjp(cotangents, needs, out, args, params):
    gw, gv = cotangents
    w, v = _recomputed(eigh_p, out, args, params)
    inner = 0.0 if gw is None else on_diagonal(symmetric_in(gw, w, "eigh"))
    if gv is not None:
        coupling = matmul_p(_adjoint(v), gv)
        if is_complex(coupling):
            coupling = without_phase(coupling, imag_of(diagonal_of(coupling)), coupling, v,
                                     "eigh")
        inner = inner + coupling * inverse_gaps(w, coupling, w, "eigh")
    if is_complex(v):
        inner = inner.astype(v.dtype)
    full = matmul_p(v, matmul_p(inner, _adjoint(v)))
    return [_to_triangle(full, params["lower"])]


def _eigh_type(a, lower, vectors):
    return Type(a.shape[:-1], _real_dtype(a.dtype)), Type(a.shape, a.dtype)


eigh_p = General("eigh", lambda a, lower, vectors: tuple(np.linalg.eigh(a, "L" if lower else "U")),
                 _eigh_type, _eigh_jvp, _eigh_vjp, multiple=True, pattern=by_matrix)


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
    mark = equal(rows, row(argmax(size, -2))).astype(_real_dtype(v.dtype))
    return mark, sum_(real_of(v) * mark, -2)


reciprocal_condition = Constant("reciprocal_condition",
                                lambda v: 1.0 / np.linalg.cond(v),
                                lambda v: Type(v.shape[:-2], _real_dtype(v.dtype)))


def _independent(v):
    """The vectors, if there is a basis of them (a defective matrix has none)."""
    if not v.shape[-1]:
        return v
    limit = 10.0 * float(np.finfo(v.dtype).eps) ** 0.5
    return require(v, all_(reciprocal_condition(v) > limit),
                   "eig: the matrix is defective or nearly so, and its eigenvalues have no "
                   "derivative")


def _eig_jvp(tangents, out, args, params):
    w, v = _recomputed(eig_p, out, args, params)
    v = _independent(v)
    inner = solve_p(v, matmul_p(tangents[0], v))
    dw = diagonal_of(inner)
    if not params["vectors"]:
        return dw, None
    y = matmul_p(v, inner * inverse_gaps(w, inner, w))
    mark, pivot = _pivots(v)
    c = sum_((conj(v) * y).real, -2) + 1j * (sum_(y.imag * mark, -2) / pivot)
    return dw, y - v * row(c).astype(v.dtype)


def _eig_vjp(cotangents, needs, out, args, params):
    gw, gv = cotangents
    w, v = _recomputed(eig_p, out, args, params)
    v = _independent(v)
    inner = 0.0 if gw is None else on_diagonal(symmetric_in(gw, w, "eig"))
    if gv is not None:
        mark, pivot = _pivots(v)
        h = sum_(conj(v) * gv, -2)
        phase = (1j * mark * row(h.imag / pivot)).astype(v.dtype)
        gy = matmul_p(_adjoint(v), gv - v * row(h.real) - phase)
        inner = inner + gy * conj(inverse_gaps(w, gy, w, "eig"))
    full = matmul_p(solve_p(_adjoint(v), inner), _adjoint(v))
    return [_like(full, args[0])]


def _eig(a, vectors):
    w, v = np.linalg.eig(a)
    dtype = np.result_type(w.dtype, np.complex64)
    return w.astype(dtype), v.astype(dtype)


def _eig_type(a, vectors):
    dtype = np.result_type(a.dtype, np.complex64)
    return Type(a.shape[:-1], dtype), Type(a.shape, dtype)


eig_p = General("eig", _eig, _eig_type, _eig_jvp, _eig_vjp, multiple=True, pattern=by_matrix)
