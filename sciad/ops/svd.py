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

Where values repeat, `sciad.ops.degenerate` tells what has a derivative; ds there are the
eigenvalues of the blocks of (M + M^H) / 2. A value at 0 is at a kink, as |x| is, with slope 0.

Of functions of the values alone the gradient G = U diag(gs) V^H is an operation of its own, as in
`sciad.ops.eigh`. With H and K the Hermitian and the skew part of M, and q = gs / s,

    dG = U1 (D o H + E o K + R diag(dgs) R^H) V1^H
         + (I - U1 U1^H) dA V1 diag(q) V1^H + U1 diag(q) U1^H dA (I - V1 V1^H)
    D_ij = (gs_j - gs_i) / (s_j - s_i), 0 in the blocks,    E_ij = (gs_i + gs_j) / (s_i + s_j)
"""

import numpy as np

from sciad.core.graph import Type
from sciad.core.patterns import by_matrix
from sciad.core.rules import General, is_complex
from sciad.ops.degenerate import (
    coupled,
    inverse,
    repeated,
    symmetric_in,
    undefined,
    unused,
    without_phase,
)
from sciad.ops.eigh import slopes, spectral_pattern, turned
from sciad.ops.elementwise import equal, logical_not, logical_or, where
from sciad.ops.guards import known, require
from sciad.ops.matrices import (
    column,
    diagonal_of,
    imag_of,
    on_diagonal,
    real_dtype,
    real_of,
    recomputed,
    row,
)
from sciad.ops.products import _adjoint, matmul_p
from sciad.ops.reduce import any_, max_
from sciad.ops.shape import concatenate


def _fun(a, full, vectors):
    return tuple(np.linalg.svd(a, full_matrices=full))


def _type(a, full, vectors):
    *batch, rows, columns = a.shape
    k = min(rows, columns)
    return (Type((*batch, rows, rows if full else k), a.dtype),
            Type((*batch, k), real_dtype(a.dtype)),
            Type((*batch, columns if full else k, columns), a.dtype))


def _zero(s):
    """Which values are 0, up to rounding."""
    (s,) = known(s)
    if not s.size:
        return equal(s, 0.0)
    eps = 10 * s.shape[-1] * float(np.finfo(s.dtype).eps)
    return s <= eps * max_(s, -1, keepdims=True)


def _off_kink(x, s):
    """Slopes `x` by values: 0 for the values at 0, where they have a kink as |x| has."""
    zero = _zero(s)
    return x * where(zero, 0.0, 1.0).astype(s.dtype) if s.size else x


def _inverse(s, raising=False):
    """1 / s for the vectors; where a value is 0 they have no derivative: NaN, or an error."""
    if not s.size:
        return s
    zero = _zero(s)
    if raising:
        return 1.0 / require(s, logical_not(any_(zero)),
                             "svd: the singular vectors of a rank-deficient matrix have no "
                             "derivative; the singular values alone have one")
    return where(zero, np.nan, 1.0 / where(zero, 1.0, s))


def _gaps(s, same):
    """1 / (s_j^2 - s_i^2), and 0 for repeated values."""
    return inverse((row(s) - column(s)) * (row(s) + column(s)), same)


def _hermitian(x):
    return 0.5 * (x + _adjoint(x))


def _slopes(inner, s):
    """The slopes of the values, in descending order where they part, as the values are."""
    return _off_kink(-slopes(-_hermitian(inner), repeated(s)), s)


def _outside(q, x):
    """(I - q q^H) x."""
    return x - matmul_p(q, matmul_p(_adjoint(q), x))


def _vectors_jvp(da, u, s, v):
    """Tangents of the first k columns of U and V, and of s."""
    inner = matmul_p(_adjoint(u), matmul_p(da, v))
    left = inner * row(s) + column(s) * _adjoint(inner)
    right = column(s) * inner + _adjoint(inner) * row(s)
    same = repeated(s)
    gaps = undefined(_gaps(s, same), logical_or(coupled(same, left), coupled(same, right)))
    left, right = left * gaps, right * gaps
    if is_complex(inner):
        turn = on_diagonal(imag_of(diagonal_of(inner)) * 0.5 * _inverse(s)) * 1j
        left, right = left + turn, right - turn
    du, dv = matmul_p(u, left), matmul_p(v, right)
    if u.shape[-2] > s.shape[-1]:
        du = du + _outside(u, matmul_p(da, v)) * row(_inverse(s))
    if v.shape[-2] > s.shape[-1]:
        dv = dv + _outside(v, matmul_p(_adjoint(da), u)) * row(_inverse(s))
    return du, _slopes(inner, s), dv


def _completed(dq, q, rest):
    """The tangent of an orthonormal basis whose first columns move by `dq`."""
    if not rest.shape[-1]:
        return dq
    return concatenate([dq, -matmul_p(q, matmul_p(_adjoint(dq), rest))], -1)


def _jvp(tangents, out, args, params):
    u, s, vh = recomputed(svd_p, out, args, params)
    k = s.shape[-1]
    u1, v = u[..., :k], _adjoint(vh)
    v1 = v[..., :k]
    if not params["vectors"]:
        inner = matmul_p(_adjoint(u1), matmul_p(tangents[0], v1))
        return None, _slopes(inner, s), None
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
    if gu is None and gvh is None:
        return [_of_values(gs, out, args)]
    u, s, vh = recomputed(svd_p, out, args, params)
    k = s.shape[-1]
    v = _adjoint(vh)
    gu = _first_columns(gu, u, k)
    gv = _first_columns(None if gvh is None else _adjoint(gvh), v, k)
    u1, v1 = u[..., :k], v[..., :k]
    inner = _coupling(gu, gv, u1, s, v1)
    if gs is not None:
        inner = inner + on_diagonal(symmetric_in(_off_kink(gs, s), repeated(s), "svd"))
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
    inner, same = 0.0, repeated(s)
    gaps = _gaps(s, same)
    if gu is not None:
        turn = unused(left, same, gu, "svd") * gaps
        inner = (turn + _adjoint(turn)) * row(s)
    if gv is not None:
        turn = unused(right, same, gv, "svd") * gaps
        inner = inner + column(s) * (turn + _adjoint(turn))
    if is_complex(u):
        phase_u = 0.0 if gu is None else imag_of(diagonal_of(left))
        phase_v = 0.0 if gv is None else imag_of(diagonal_of(right))
        inner = without_phase(inner, phase_u + phase_v, left + right, u, "svd")
        inner = inner + on_diagonal((phase_u - phase_v) * 0.5 * _inverse(s, True)) * 1j
    return inner


svd_p = General("svd", _fun, _type, _jvp, _vjp, multiple=True, pattern=by_matrix)


# --- the gradient of functions of the values ------------------------------------------------------


def _of_values(gs, out, args):
    """The cotangent of the matrix from that of the values alone."""
    u, s, vh = out
    k = s.shape[-1]
    g = symmetric_in(_off_kink(gs, s), repeated(s), "svd")
    return spectral_svd_p(args[0], g, u[..., :k], s, vh[..., :k, :])


def _spectral(a, g, u, s, vh):
    return matmul_p(u * row(g), vh)


def _thin(args):
    """U, s and V, tracked by the outer transforms."""
    u, s, vh = recomputed(svd_p, args[2:], args, {"full": False, "vectors": False})
    return u, s, _adjoint(vh)


def _quotients(g, s, same):
    """D and E."""
    sums = row(s) + column(s)
    zero = equal(*known(sums), 0.0)
    skew = where(zero, np.nan, (row(g) + column(g)) / where(zero, 1.0, sums))
    return (row(g) - column(g)) * inverse(row(s) - column(s), same), skew


def _linear_part(x, g, u, s, v, same):
    """dG at constant gs for dA = x, without what the blocks of H do; its own adjoint."""
    inner = matmul_p(_adjoint(u), matmul_p(x, v))
    part = _hermitian(inner)
    skew = inner - part
    by_part, by_skew = _quotients(g, s, same)
    none = equal(*known(skew), 0.0)
    change = by_part * part + where(none, 0.0, where(none, 0.0, by_skew) * skew)
    total = matmul_p(u, matmul_p(change, _adjoint(v)))
    q = row(g * _inverse(s))
    if u.shape[-2] > s.shape[-1]:
        total = total + matmul_p(_outside(u, matmul_p(x, v)) * q, _adjoint(v))
    if v.shape[-2] > s.shape[-1]:
        total = total + matmul_p(u * q, _adjoint(_outside(v, matmul_p(_adjoint(x), u))))
    return total


def _spectral_jvp(tangents, out, args, params):
    da, dg = tangents[:2]
    u, s, v = _thin(args)
    if da is None:
        return matmul_p(u * row(dg), _adjoint(v))
    same = repeated(s)
    total = _linear_part(da, args[1], u, s, v, same)
    if dg is None:
        return total
    part = _hermitian(matmul_p(_adjoint(u), matmul_p(da, v)))
    return total + matmul_p(u, matmul_p(turned(-part, same, dg), _adjoint(v)))


def _spectral_vjp(h, needs, out, args, params):
    u, s, v = _thin(args)
    same = repeated(s)
    inner = matmul_p(_adjoint(u), matmul_p(h, v))
    of_a = None
    if needs[0]:
        h = require(h, logical_not(any_(coupled(same, _hermitian(inner)))),
                    "svd: the derivative of a gradient at repeated values exists along "
                    "directions; sciad.hessian and sciad.hvp (forward over reverse) give it")
        of_a = _linear_part(h, args[1], u, s, v, same)
    return [of_a, real_of(diagonal_of(inner)), None, None, None]


spectral_svd_p = General("spectral_svd", _spectral,
                         lambda a, g, u, s, vh: Type(a.shape, a.dtype),
                         _spectral_jvp, _spectral_vjp, pattern=spectral_pattern)
