"""Determinants.

    d det(A) = sum C_ij dA_ij,   C the matrix of cofactors, det(A) A^-T where A is regular

det is a polynomial, so its derivatives exist at singular matrices too. There C comes from the
singular value decomposition A = U S V^H (Giles 2008 gives the regular case): with
k = det(U) det(V^H),  p_i the product of all s but s_i,  p_ij of all but s_i and s_j,

    C = k U^* diag(p) V^T,
    dC = k U^* N V^T,   N_ii = sum_j p_ij B_jj,   N_ij = -p_ij B_ji,   B = U^H dA V

The third derivative is written for regular matrices; at a singular one it raises.
"""

import numpy as np

from sciad.core.backend import beside
from sciad.core.graph import Type
from sciad.core.patterns import by_matrix
from sciad.core.rules import General, is_complex
from sciad.ops.degenerate import undefined, usable
from sciad.ops.elementwise import conj, logical_not, not_equal
from sciad.ops.factor import solve_p
from sciad.ops.guards import known, require
from sciad.ops.matrices import column, diagonal_of, imag_of, real_of
from sciad.ops.matrices import like as _like
from sciad.ops.products import _adjoint, _swap, matmul_p
from sciad.ops.reduce import all_, sum_


def _spread(x):
    """A number for each matrix, as a 1 x 1 matrix."""
    return column(column(x))


def _trace(x):
    return sum_(diagonal_of(x), -1)


def _contract(a, b):
    """sum_ij a_ij b_ij."""
    return sum_(a * b, (len(a.shape) - 2, len(a.shape) - 1))


# --- det ------------------------------------------------------------------------------------------


def _det_jvp(tangents, out, args, params):
    return _contract(cofactor_p(args[0]), tangents[0])


def _det_vjp(g, needs, out, args, params):
    return [_like(_spread(g) * conj(cofactor_p(args[0])), args[0])]


det_p = General("det", np.linalg.det, lambda a: Type(a.shape[:-2], a.dtype), _det_jvp, _det_vjp,
                pattern=by_matrix)


def _svd_parts(a):
    u, s, vh = np.linalg.svd(a)
    return u, s, vh, (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def _products_without(s, count):
    """p_i (count 1) or p_ij (count 2, diagonal 0): products of all s but these."""
    n = s.shape[-1]
    eye = beside(np.eye(n, dtype=bool), s)
    if count == 1:
        return np.prod(np.where(eye, 1.0, s[..., None, :]), axis=-1)
    left_out = eye[:, None, :] | eye[None, :, :]
    products = np.prod(np.where(left_out, 1.0, s[..., None, None, :]), axis=-1)
    return np.where(eye, 0.0, products)


def _cofactor(a):
    u, s, vh, sign = _svd_parts(a)
    out = sign * (np.conj(u) * _products_without(s, 1)[..., None, :]) @ np.conj(vh)
    return out.astype(a.dtype)


def _cofactor_change(a, b):
    u, s, vh, sign = _svd_parts(a)
    inner = np.conj(np.swapaxes(u, -1, -2)) @ b @ np.conj(np.swapaxes(vh, -1, -2))
    pairs = _products_without(s, 2)
    k = np.arange(s.shape[-1])
    change = -pairs * np.swapaxes(inner, -1, -2)
    change[..., k, k] = np.sum(pairs * inner[..., None, k, k], axis=-1)
    return (sign * np.conj(u) @ change @ np.conj(vh)).astype(np.result_type(a, b))


def _cofactor_jvp(tangents, out, args, params):
    return cofactor_change_p(args[0], tangents[0])


def _cofactor_vjp(g, needs, out, args, params):
    # the second derivative of det is symmetric: its own transpose
    return [_like(conj(cofactor_change_p(args[0], conj(g))), args[0])]


cofactor_p = General("cofactor", _cofactor, lambda a: Type(a.shape, a.dtype), _cofactor_jvp,
                     _cofactor_vjp, pattern=by_matrix)


def _third(a, b, e):
    """d/dA of cofactor_change(A, B) along E, for a regular A."""
    a = require(a, all_(not_equal(*known(det_p(a)), 0.0)),
                "det: the third derivative is given for regular matrices, and this one is singular")
    x, y = solve_p(a, b), solve_p(a, e)
    inverse = solve_p(a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))
    det = _spread(det_p(a))
    cofactors = det * _swap(inverse)
    xy, yx = matmul_p(x, y), matmul_p(y, x)
    return (cofactor_change_p(a, e) * _spread(_trace(x)) - cofactors * _spread(_trace(yx))
            - det * _spread(_trace(y)) * _swap(matmul_p(x, inverse))
            + det * _swap(matmul_p(yx + xy, inverse)))


def _change_jvp(tangents, out, args, params):
    da, db = tangents
    total = 0.0 if db is None else cofactor_change_p(args[0], db)
    return total if da is None else total + _third(*args, da)


def _change_vjp(g, needs, out, args, params):
    a, b = args
    ga = _like(conj(_third(a, b, conj(g))), a) if needs[0] else None
    return [ga, _like(conj(cofactor_change_p(a, conj(g))), b) if needs[1] else None]


cofactor_change_p = General(
    "cofactor_change", _cofactor_change,
    lambda a, b: Type(a.shape, np.result_type(a.dtype, b.dtype)), _change_jvp, _change_vjp,
    pattern=by_matrix)


# --- sign and logarithm: d log det A = tr(A^-1 dA) ------------------------------------------------


def _regular(logabsdet):
    """Which determinants are not 0."""
    (size,) = known(logabsdet)
    return not_equal(size, -np.inf)


def _slogdet_jvp(tangents, out, args, params):
    sign, logabsdet = out
    ok = _regular(logabsdet)
    a = usable(args[0], ok, (), "")
    slope = _trace(solve_p(a, tangents[0]))
    slope = undefined(slope, logical_not(ok))
    return (sign * imag_of(slope) * 1j if is_complex(sign) else None), real_of(slope)


def _slogdet_vjp(cotangents, needs, out, args, params):
    gsign, glog = cotangents
    sign, logabsdet = out
    a = usable(args[0], _regular(logabsdet), [glog, gsign if is_complex(sign) else None],
               "slogdet: the logarithm of a singular determinant has no derivative; "
               "np.linalg.det has one")
    eye = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    slope = 0.0 if glog is None else glog
    if gsign is not None and is_complex(sign):
        # Re(conj(gsign) sign i Im t) = Re(conj(i Re(conj(gsign) i sign)) t)
        slope = slope + (conj(gsign) * sign * 1j).real * 1j
    elif glog is None:
        return [None]
    return [_like(_spread(slope) * solve_p(_adjoint(a), eye), a)]


slogdet_p = General(
    "slogdet", lambda a: tuple(np.linalg.slogdet(a)),
    lambda a: (Type(a.shape[:-2], a.dtype),
               Type(a.shape[:-2], np.empty(0, a.dtype).real.dtype)),
    _slogdet_jvp, _slogdet_vjp, multiple=True, pattern=by_matrix)
