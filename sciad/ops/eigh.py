"""Eigenvalues and eigenvectors of Hermitian matrices: A V = V diag(w).

With M = V^H dA V,

    dw = Re diag M,    dV = V (F o M),   F_ij = 1 / (w_j - w_i), 0 on the diagonal
    A* = V (diag gw + F o (V^H gV)) V^H

Where values repeat, `sciad.ops.degenerate` tells what has a derivative; dw there are the
eigenvalues of the blocks of M, in ascending order.

Of functions of the values alone the gradient G = V diag(gw) V^H is an operation of its own, since
its derivative exists where values repeat and that of V does not (Daleckii and Krein; R. Bhatia,
"Matrix Analysis", theorem V.3.3):

    dG = V (D o M + R diag(dgw) R^H) V^H,   D_ij = (gw_j - gw_i) / (w_j - w_i), 0 in the blocks

with R the unitary matrix that diagonalises the blocks of M, to whose columns dw and dgw belong.
"""

import numpy as np

from sciad.core.graph import Type
from sciad.core.patterns import Groups, along, by_matrix
from sciad.core.rules import General, is_complex
from sciad.ops.control.cond import cond
from sciad.ops.degenerate import (
    coupled,
    inverse,
    repeated,
    symmetric_in,
    undefined,
    unused,
    without_phase,
)
from sciad.ops.elementwise import absolute, equal, logical_not, logical_or, where
from sciad.ops.guards import require
from sciad.ops.matrices import (
    column,
    diagonal_of,
    from_triangle,
    imag_of,
    on_diagonal,
    real_dtype,
    real_of,
    recomputed,
    row,
    to_triangle,
)
from sciad.ops.products import _adjoint, matmul_p
from sciad.ops.reduce import any_, argmax, max_


def between(q, x):
    """q^H x q."""
    return matmul_p(_adjoint(q), matmul_p(x, q))


def rotation(inner, same):
    """The unitary matrix that diagonalises the blocks of `inner` that belong to repeated values,
    with their eigenvalues in ascending order, and leaves the other values where they are; after
    the eigenvalues, which are kept apart by a number for each block."""
    n = inner.shape[-1]
    together = _together(same)
    size = max_(absolute(inner), (-2, -1), keepdims=True)
    apart = 2.0 * n * size + equal(size, 0.0)  # more than the eigenvalues of two blocks can differ
    group = argmax(together, -1).astype(real_dtype(inner.dtype))
    blocks = where(together, inner, 0.0) + on_diagonal(group) * apart
    return eigh_p(blocks, lower=True, vectors=True)


def _together(same):
    return logical_or(same, np.eye(same.shape[-1], dtype=bool))


# --- what a direction does to repeated values -----------------------------------------------------
#
# Operations of their own, since they are not linear in the direction: in a linear program
# (`sciad.core.linearize`) they wait for its numbers. With R = rotation(inner), each is the diagonal
# of R^H x R, or R diag(g) R^H; the derivative of the latter by `inner` is that of a function of
# the eigenvalues of the blocks, as of dG above, and its own adjoint.


def _where_coupled(parting, straight, inner, same, *xs):
    if not inner.size:
        return straight(inner, same, *xs)
    return cond(any_(coupled(same, inner)), parting, straight, inner, same, *xs)


def _back(x, inner, same):
    return _where_coupled(
        lambda inner, same, x: real_of(diagonal_of(between(rotation(inner, same)[1], x))),
        lambda inner, same, x: real_of(diagonal_of(x)), inner, same, x)


def _turned(inner, same, g):
    def parting(inner, same, g):
        r = rotation(inner, same)[1]
        return matmul_p(r * row(g), _adjoint(r))

    return _where_coupled(parting, lambda inner, same, g: on_diagonal(g).astype(inner.dtype),
                          inner, same, g)


def _change(x, inner, same, g):
    def parting(inner, same, g, x):
        w, r = rotation(inner, same)
        part = _quotients(g, w, repeated(w)) * between(r, where(_together(same), x, 0.0))
        return matmul_p(r, matmul_p(part, _adjoint(r)))

    return _where_coupled(parting, lambda inner, same, g, x: 0.0 * x, inner, same, g, x)


def _turned_jvp(tangents, out, args, params):
    inner, same, g = args
    of_inner = 0.0 if tangents[0] is None else _change(tangents[0], inner, same, g)
    return of_inner if tangents[2] is None else of_inner + turned(inner, same, tangents[2])


def _turned_vjp(h, needs, out, args, params):
    inner, same, g = args
    return [_change(h, inner, same, g) if needs[0] else None, None,
            _back(h, inner, same) if needs[2] else None]


slopes = General("slopes", lambda inner, same: _back(inner, inner, same),
                 lambda inner, same: Type(inner.shape[:-1], real_dtype(inner.dtype)),
                 lambda tangents, out, args, params: _back(tangents[0], *args),
                 lambda g, needs, out, args, params: [turned(*args, g), None])
"""The slopes of the values along a direction, from its Hermitian couplings and the pairs of values
that repeat: the diagonal, and in the blocks of repeated values the eigenvalues."""

turned = General("turned", _turned, lambda inner, same, g: Type(inner.shape, inner.dtype),
                 _turned_jvp, _turned_vjp)
"""diag(g), in the basis to whose vectors the slopes belong."""


# --- eigenvalues and eigenvectors -----------------------------------------------------------------


def _jvp(tangents, out, args, params):
    w, v = recomputed(eigh_p, out, args, params)
    inner = between(v, from_triangle(tangents[0], params["lower"]))
    same = repeated(w)
    dw = slopes(inner, same)
    if not params["vectors"]:
        return dw, None
    gaps = inverse(row(w) - column(w), same)
    return dw, matmul_p(v, inner * undefined(gaps, coupled(same, inner)))


def _vjp(cotangents, needs, out, args, params):
    gw, gv = cotangents
    lower = params["lower"]
    if gv is None:
        same = repeated(out[0])
        return [to_triangle(spectral_p(args[0], symmetric_in(gw, same, "eigh"), *out, lower=lower),
                            lower)]
    w, v = recomputed(eigh_p, out, args, params)
    same = repeated(w)
    inner = 0.0 if gw is None else on_diagonal(symmetric_in(gw, same, "eigh"))
    coupling = matmul_p(_adjoint(v), gv)
    if is_complex(coupling):
        coupling = without_phase(coupling, imag_of(diagonal_of(coupling)), coupling, v, "eigh")
    inner = inner + unused(coupling, same, gv, "eigh") * inverse(row(w) - column(w), same)
    if is_complex(v):
        inner = inner.astype(v.dtype)
    return [to_triangle(matmul_p(v, matmul_p(inner, _adjoint(v))), lower)]


def _type(a, lower, vectors):
    return Type(a.shape[:-1], real_dtype(a.dtype)), Type(a.shape, a.dtype)


eigh_p = General("eigh", lambda a, lower, vectors: tuple(np.linalg.eigh(a, "L" if lower else "U")),
                 _type, _jvp, _vjp, multiple=True, pattern=by_matrix)


# --- the gradient of functions of the values ------------------------------------------------------


def _quotients(g, w, same):
    """(g_j - g_i) / (w_j - w_i), and 0 for repeated values."""
    return (row(g) - column(g)) * inverse(row(w) - column(w), same)


def _spectral(a, g, w, v, lower):
    return matmul_p(v * row(g), _adjoint(v))


def _spectral_jvp(tangents, out, args, params):
    a, g = args[:2]
    da, dg = tangents[:2]
    w, v = recomputed(eigh_p, args[2:], args, {**params, "vectors": False})
    same = repeated(w)
    if da is None:
        return matmul_p(v * row(dg), _adjoint(v))
    inner = between(v, from_triangle(da, params["lower"]))
    change = _quotients(g, w, same) * inner
    if dg is not None:
        change = change + turned(inner, same, dg)
    return matmul_p(v, matmul_p(change, _adjoint(v)))


def _spectral_vjp(h, needs, out, args, params):
    a, g = args[:2]
    w, v = recomputed(eigh_p, args[2:], args, {**params, "vectors": False})
    same = repeated(w)
    inner = between(v, h)
    of_a = None
    if needs[0]:
        inner = require(inner, logical_not(any_(coupled(same, inner))),
                        "eigh: the derivative of a gradient at repeated values exists along "
                        "directions; sciad.hessian and sciad.hvp (forward over reverse) give it")
        of_a = matmul_p(v, matmul_p(_quotients(g, w, same) * inner, _adjoint(v)))
        of_a = to_triangle(of_a, params["lower"])
    return [of_a, real_of(diagonal_of(inner)), None, None]


def spectral_pattern(k, out, args, params):
    """Of a gradient, by its matrix and by the partials of the values."""
    if k > 1:
        return None  # values and vectors are those of the matrix, whose derivative counts theirs
    if k == 0:
        return by_matrix(k, out, args, params)
    last = len(out.shape) - 2
    return Groups(along(out.shape, (last, last + 1)), along(args[1].shape, (last,)))


spectral_p = General("spectral", _spectral, lambda a, g, w, v, lower: Type(a.shape, a.dtype),
                     _spectral_jvp, _spectral_vjp, pattern=spectral_pattern)
