"""QR with all columns of Q, as the program that LAPACK runs (xGEQRF, xUNGQR), differentiated.

The columns beyond those of A are fixed by nothing but the algorithm, so its steps are what is
differentiated. Step j reflects column x of the remaining matrix onto its first entry alpha:

    beta = -sign(Re alpha) |x|,   v = (x - beta e) / (alpha - beta),   tau = (beta - alpha) / beta
    A <- (I - tau v v^H)^H A,     Q <- Q (I - tau v v^H)

A column of zeros has no derivative here: the division gives NaN.
"""

import numpy as np

from sciad.core.backend import beside
from sciad.core.rules import is_complex
from sciad.ops.elementwise import conj, sqrt, where
from sciad.ops.matrices import column, real_of, row
from sciad.ops.products import matmul_p
from sciad.ops.reduce import sum_
from sciad.ops.shape import broadcast_to


def _reflector(x, j):
    """v (0 above entry j, 1 at it) and tau for the entries of `x` from j on."""
    n = x.shape[-1]
    places = beside(np.arange(n), x)
    tail = places > j
    alpha = x[..., j]
    squares = real_of(x * conj(x)) if is_complex(x) else x * x
    length = sqrt(sum_(squares * (places >= j), -1))
    beta = where(real_of(alpha) >= 0.0, -length, length)
    scale = (alpha - beta).reshape((*alpha.shape, 1))
    v = where(tail, x / scale, 0.0) + (places == j)
    return v, (beta - alpha) / beta


def complete_qr(a):
    """Q (square) and R of matrices with more rows than columns."""
    rows, columns = a.shape[-2:]
    q = broadcast_to(beside(np.eye(rows, dtype=a.dtype), a), (*a.shape[:-2], rows, rows))
    for j in range(columns):
        v, tau = _reflector(a[..., j], j)
        side, scale = column(v), column(column(tau))
        flipped = row(conj(v))
        a = a - conj(scale) * matmul_p(side, matmul_p(flipped, a))
        q = q - scale * matmul_p(matmul_p(q, side), flipped)
    return q, a * beside(np.triu(np.ones((rows, columns), a.dtype)), a)
