"""Singular values and vectors: A = U diag(s) V^H.

With k the smaller extent, U1, V1 the first k columns of U, V, and

    M = U1^H dA V1,    F_ij = 1 / (s_j^2 - s_i^2), 0 on the diagonal,    S = diag(s)

the differential is (Seeger et al. 2017; Wan & Zhang 2019 for the phases, here shared equally)

    ds  = Re diag M
    dU1 = U1 (F o (M S + S M^H) + i Im diag M / 2s) + (I - U1 U1^H) dA V1 S^-1
    dV1 = V1 (F o (S M + M^H S) - i Im diag M / 2s) + (I - V1 V1^H) dA^H U1 S^-1
    dU2 = -U1 dU1^H U2                            (full_matrices: the remaining columns)

and backwards, with Ju = F o (U1^H gU), Jv = F o (V1^H gV), t = Im diag(U1^H gU - V1^H gV) / 2s,

    gM = (Ju + Ju^H) S + S (Jv + Jv^H) + diag(gs + i t)
    A* = U1 gM V1^H + (I - U1 U1^H) gU S^-1 V1^H + U1 S^-1 gV^H (I - V1 V1^H)

where gU2 first moves into gU by -U2 gU2^H U1. The phases of complex vectors and the basis within
U2 are LAPACK's choice; a result that depends on them raises in reverse mode.
"""

import numpy as np

from sciad.core.graph import Type
from sciad.core.patterns import by_matrix
from sciad.core.rules import General, is_complex
from sciad.ops.decompositions import (
    _real_dtype,
    _recomputed,
    column,
    diagonal_of,
    imag_of,
    inverse_gaps,
    on_diagonal,
    real_of,
    row,
    symmetric_in,
    without_phase,
)
from sciad.ops.elementwise import logical_not, where
from sciad.ops.guards import known, require
from sciad.ops.products import _adjoint, matmul_p
from sciad.ops.reduce import any_, max_
from sciad.ops.shape import concatenate


def _fun(a, full, vectors):
    return tuple(np.linalg.svd(a, full_matrices=full))


def _type(a, full, vectors):
    *batch, rows, columns = a.shape
    k = min(rows, columns)
    return (Type((*batch, rows, rows if full else k), a.dtype),
            Type((*batch, k), _real_dtype(a.dtype)),
            Type((*batch, columns if full else k, columns), a.dtype))


def _inverse(s, raising=False):
    """1 / s for the vectors; where a value is 0 they have no derivative (as `inverse_gaps`)."""
    (values,) = known(s)
    if not values.size:
        return s
    eps = 10 * values.shape[-1] * float(np.finfo(values.dtype).eps)
    zero = values <= eps * max_(values, -1, keepdims=True)
    if raising:
        return 1.0 / require(s, logical_not(any_(zero)),
                             "svd: the singular vectors of a rank-deficient matrix have no "
                             "derivative; the singular values alone have one")
    return where(zero, np.nan, 1.0 / where(zero, 1.0, s))


def _outside(q, x):
    """(I - q q^H) x."""
    return x - matmul_p(q, matmul_p(_adjoint(q), x))


def _vectors_jvp(da, u, s, v):
    """Tangents of the first k columns of U and V, and of s."""
    inner = matmul_p(_adjoint(u), matmul_p(da, v))
    left = inner * row(s) + column(s) * _adjoint(inner)
    right = column(s) * inner + _adjoint(inner) * row(s)
    left = left * inverse_gaps(s * s, left, s * s)
    right = right * inverse_gaps(s * s, right, s * s)
    if is_complex(inner):
        turn = on_diagonal(imag_of(diagonal_of(inner)) * 0.5 * _inverse(s)) * 1j
        left, right = left + turn, right - turn
    du, dv = matmul_p(u, left), matmul_p(v, right)
    if u.shape[-2] > s.shape[-1]:
        du = du + _outside(u, matmul_p(da, v)) * row(_inverse(s))
    if v.shape[-2] > s.shape[-1]:
        dv = dv + _outside(v, matmul_p(_adjoint(da), u)) * row(_inverse(s))
    return du, real_of(diagonal_of(inner)), dv


def _completed(dq, q, rest):
    """The tangent of an orthonormal basis whose first columns move by `dq`."""
    if not rest.shape[-1]:
        return dq
    return concatenate([dq, -matmul_p(q, matmul_p(_adjoint(dq), rest))], -1)


def _jvp(tangents, out, args, params):
    u, s, vh = _recomputed(svd_p, out, args, params)
    k = s.shape[-1]
    u1, v = u[..., :k], _adjoint(vh)
    v1 = v[..., :k]
    if not params["vectors"]:
        inner = matmul_p(_adjoint(u1), matmul_p(tangents[0], v1))
        return None, real_of(diagonal_of(inner)), None
    du, ds, dv = _vectors_jvp(tangents[0], u1, s, v1)
    return _completed(du, u1, u[..., k:]), ds, _adjoint(_completed(dv, v1, v[..., k:]))


def _first_columns(g, q, k):
    """The cotangent of the first k columns that counts for all of them."""
    if g is None or g.shape[-1] == k:
        return g
    first, rest = q[..., :k], q[..., k:]
    g1, g2 = g[..., :k], g[..., k:]
    turn = matmul_p(_adjoint(rest), g2)
    g1 = without_phase(g1, turn - _adjoint(turn), turn, q, "svd with full_matrices")
    return g1 - matmul_p(rest, matmul_p(_adjoint(g2), first))


def _vjp(cotangents, needs, out, args, params):
    gu, gs, gvh = cotangents
    u, s, vh = _recomputed(svd_p, out, args, params)
    k = s.shape[-1]
    v = _adjoint(vh)
    gu = _first_columns(gu, u, k)
    gv = _first_columns(None if gvh is None else _adjoint(gvh), v, k)
    u1, v1 = u[..., :k], v[..., :k]
    inner = 0.0 if gs is None else on_diagonal(symmetric_in(gs, s, "svd"))
    if gu is not None or gv is not None:
        inner = inner + _coupling(gu, gv, u1, s, v1)
    if is_complex(u):
        inner = inner.astype(u.dtype)
    total = matmul_p(u1, matmul_p(inner, _adjoint(v1)))
    if gu is not None and u.shape[-2] > k:
        side = _outside(u1, gu) * row(_inverse(s, True))
        total = total + matmul_p(side, _adjoint(v1))
    if gv is not None and v.shape[-2] > k:
        side = _outside(v1, gv) * row(_inverse(s, True))
        total = total + matmul_p(u1, _adjoint(side))
    return [total]


def _coupling(gu, gv, u, s, v):
    """What the cotangents of the vectors send to M = U^H dA V."""
    left = 0.0 if gu is None else matmul_p(_adjoint(u), gu)
    right = 0.0 if gv is None else matmul_p(_adjoint(v), gv)
    inner = 0.0
    if gu is not None:
        turn = left * inverse_gaps(s * s, left, s * s, "svd")
        inner = (turn + _adjoint(turn)) * row(s)
    if gv is not None:
        turn = right * inverse_gaps(s * s, right, s * s, "svd")
        inner = inner + column(s) * (turn + _adjoint(turn))
    if is_complex(u):
        phase_u = 0.0 if gu is None else imag_of(diagonal_of(left))
        phase_v = 0.0 if gv is None else imag_of(diagonal_of(right))
        inner = without_phase(inner, phase_u + phase_v, left + right, u, "svd")
        inner = inner + on_diagonal((phase_u - phase_v) * 0.5 * _inverse(s, True)) * 1j
    return inner


svd_p = General("svd", _fun, _type, _jvp, _vjp, multiple=True, pattern=by_matrix)
