"""Pseudoinverse and least squares, at constant rank.

G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
problems whose variables separate" (1973): with P = A^+, and the projectors onto the complements
Q = I - A P, R = I - P A,

    dP = -P dA P + P P^H dA^H Q + R dA^H P^H P

and for x = P b with residual r = b - A x

    dx = P (db - dA x) + P P^H dA^H r + R dA^H P^H x
    b* = P^H g,    A* = -b* x^H + r (P b*)^H + P^H x (R g)^H

At a point where the rank changes no derivative exists; the one given is that of matrices of the
same rank.
"""

import numpy as np

from sciad.core.graph import Type
from sciad.core.patterns import by_matrix
from sciad.core.rules import General, is_complex
from sciad.ops.products import _adjoint, matmul_p


def _like(g, x):
    return g.real if is_complex(g) and not is_complex(x) else g


def _pinv(a, rtol, hermitian):
    return np.linalg.pinv(a, rtol, hermitian)


def _right_rest(a, p, x):
    """x (I - A P)."""
    return x - matmul_p(matmul_p(x, a), p)


def _left_rest(a, p, x):
    """(I - P A) x."""
    return x - matmul_p(p, matmul_p(a, x))


def _pinv_jvp(tangents, p, args, params):
    a, da = args[0], tangents[0]
    dah, ph = _adjoint(da), _adjoint(p)
    return (-matmul_p(p, matmul_p(da, p))
            + _right_rest(a, p, matmul_p(p, matmul_p(ph, dah)))
            + _left_rest(a, p, matmul_p(matmul_p(dah, ph), p)))


def _pinv_vjp(g, needs, p, args, params):
    a = args[0]
    gh, ph = _adjoint(g), _adjoint(p)
    outer = matmul_p(matmul_p(gh, p), ph)
    inner = matmul_p(ph, matmul_p(p, gh))
    return [-matmul_p(ph, matmul_p(g, ph))
            + outer - matmul_p(a, matmul_p(p, outer))
            + inner - matmul_p(matmul_p(inner, p), a)]


pinv_p = General("pinv", _pinv,
                 lambda a, rtol, hermitian: Type((*a.shape[:-2], a.shape[-1], a.shape[-2]),
                                                 a.dtype),
                 _pinv_jvp, _pinv_vjp, pattern=by_matrix)


def _parts(x, args, rcond):
    """P, the residual, as operations."""
    a, b = args
    p = pinv_p(a, rtol=rcond, hermitian=False)
    return p, b - matmul_p(a, x)


def _lstsq_jvp(tangents, x, args, params):
    da, db = tangents
    a = args[0]
    p, r = _parts(x, args, params["rcond"])
    if da is None:
        return matmul_p(p, db)
    change = -matmul_p(da, x)
    dah, ph = _adjoint(da), _adjoint(p)
    out = matmul_p(p, change if db is None else db + change)
    return (out + matmul_p(p, matmul_p(ph, matmul_p(dah, r)))
            + _left_rest(a, p, matmul_p(dah, matmul_p(ph, x))))


def _lstsq_vjp(g, needs, x, args, params):
    a, b = args
    p, r = _parts(x, args, params["rcond"])
    gb = matmul_p(_adjoint(p), g)
    ga = None
    if needs[0]:
        ga = _like(matmul_p(r, _adjoint(matmul_p(p, gb))) - matmul_p(gb, _adjoint(x))
                   + matmul_p(matmul_p(_adjoint(p), x), _adjoint(_left_rest(a, p, g))), a)
    return [ga, _like(gb, b) if needs[1] else None]


lstsq_p = General(
    "lstsq", lambda a, b, rcond: np.linalg.lstsq(a, b, rcond)[0],
    lambda a, b, rcond: Type((a.shape[-1], b.shape[-1]),
                             np.result_type(a.dtype, b.dtype, np.float32)),
    _lstsq_jvp, _lstsq_vjp)
