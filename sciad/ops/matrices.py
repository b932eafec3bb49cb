"""What the rules of matrix functions share: rows, columns, triangles, adjoints."""

import numpy as np

from sciad.core.array import Array
from sciad.core.backend import beside
from sciad.core.errors import ArgumentError, at_line
from sciad.core.rules import is_complex
from sciad.ops.factor import solve_p
from sciad.ops.products import _adjoint


def require_square(a, name):
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise ArgumentError(f"{name}: the matrix has shape {a.shape}, must be square{at_line()}")


def require_matrix(a, name):
    if len(a.shape) < 2:
        raise ArgumentError(f"{name}: shape {a.shape} is not a matrix{at_line()}")


def real_dtype(dtype):
    return np.empty(0, dtype).real.dtype


def like(g, x):
    return g.real if is_complex(g) and not is_complex(x) else g


def column(x):
    """The entries of the last axis as a column (they scale rows)."""
    return x.reshape((*x.shape, 1))


def row(x):
    """The entries of the last axis as a row (they scale columns)."""
    return x.reshape((*x.shape[:-1], 1, x.shape[-1]))


def on_diagonal(x):
    """Diagonal matrices of the last axis."""
    return column(x) * beside(np.eye(x.shape[-1], dtype=real_dtype(x.dtype)), x)


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
    mask = (np.tril(np.ones((n, n)), -1) + 0.5 * np.eye(n)).astype(real_dtype(x.dtype))
    return beside(mask, x)


def from_triangle(a, lower=True):
    """The Hermitian matrix whose one triangle is that of `a`."""
    half = lower_half(a)
    part = a * (half if lower else half.T)
    return part + _adjoint(part)


def to_triangle(g, lower=True):
    """The adjoint of `from_triangle`."""
    half = lower_half(g)
    return (g + _adjoint(g)) * (half if lower else half.T)


def right_divide(b, a):
    """b a^-1."""
    return _adjoint(solve_p(_adjoint(a), _adjoint(b)))


def recomputed(primitive, out, args, params):
    """All outputs, tracked by the outer transforms also where only the values are."""
    if params["vectors"] or type(args[0]) is not Array:
        return out
    return primitive(args[0], **{**params, "vectors": True})
