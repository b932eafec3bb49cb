"""Tiling, rotating, diagonals, triangles, grids."""

import numpy as np

from sciad.core.array import Array, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy import shaping
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.shaping import flip, swapaxes
from sciad.ops import elementwise as e
from sciad.ops import sorting, views
from sciad.ops.einsum import diagonal as entries_of_diagonal
from sciad.ops.einsum import diagonal_slice
from sciad.ops.indexing import index_set, read
from sciad.ops.operators import axes_view
from sciad.ops.reduce import sum_
from sciad.ops.shape import broadcast_to, normalize_axis, reshape


@implements(np.tile, fresh=True)
def tile(A, reps):
    x = as_array(A)
    reps = (int(reps),) if np.ndim(reps) == 0 else tuple(int(r) for r in reps)
    ndim = max(x.ndim, len(reps))
    reps = (1,) * (ndim - len(reps)) + reps
    shape = (1,) * (ndim - x.ndim) + x.shape
    wide = reshape(x, tuple(n for extent in shape for n in (1, extent)))
    wide = broadcast_to(wide, tuple(n for pair in zip(reps, shape, strict=True) for n in pair))
    return reshape(wide, tuple(r * n for r, n in zip(reps, shape, strict=True)))


@implements(np.repeat, fresh=True)
def repeat(a, repeats, axis=None):
    x, axis = sorting.line(as_array(a), axis, "repeat")
    places = np.repeat(np.arange(x.shape[axis]),
                       np.asarray(plain(repeats, "the repeats of np.repeat")))
    return read(x, (slice(None),) * axis + (places,))


@implements(np.rot90)
def rot90(m, k=1, axes=(0, 1)):
    m = as_array(m)
    first, second = (normalize_axis(a, m.ndim, "rot90") for a in axes)
    if first == second:
        raise ArgumentError(f"rot90: axes {axes} must differ{at_line()}")
    k %= 4
    if k == 2:
        return flip(flip(m, first), second)
    if not k:
        return m
    if k == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second)


@implements(np.fliplr)
def fliplr(m):
    return flip(as_array(m), 1)


@implements(np.flipud)
def flipud(m):
    return flip(as_array(m), 0)


@implements(np.rollaxis)
def rollaxis(a, axis, start=0):
    a = as_array(a)
    axis = normalize_axis(axis, a.ndim, "rollaxis")
    start = start + a.ndim if start < 0 else start
    order = [k for k in range(a.ndim) if k != axis]
    order.insert(start - (axis < start), axis)
    return axes_view(a, tuple(order)) if isinstance(a, Array) else a.transpose(order)


# --- diagonals and triangles ----------------------------------------------------------------------


@implements(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    """A view that cannot be written, as in NumPy."""
    a = as_array(a)
    if isinstance(a, Array):
        return views.computed(a, lambda x: entries_of_diagonal(x, offset, axis1, axis2),
                              "diagonal", lambda x: x.diagonal(offset, axis1, axis2))
    return entries_of_diagonal(a, offset, axis1, axis2)


@implements(np.trace)
def trace(a, offset=0, axis1=0, axis2=1):
    return sum_(entries_of_diagonal(as_array(a), offset, axis1, axis2), -1)


@implements(np.diag, fresh=True)
def diag(v, k=0):
    v = as_array(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ArgumentError(f"diag: shape {v.shape} is neither a vector nor a matrix{at_line()}")
    return _diagonal_matrix(v, k)


@implements(np.diagflat, fresh=True)
def diagflat(v, k=0):
    return _diagonal_matrix(reshape(as_array(v), (-1,)), k)


def _diagonal_matrix(v, k):
    n = v.shape[0] + abs(k)
    flat = index_set(np.zeros(n * n, v.dtype), v, diagonal_slice(n, n, k))
    return reshape(flat, (n, n))


def _triangle(m, keep):
    m = as_array(m)
    if m.ndim < 2:
        m = broadcast_to(m, (m.size, m.size))
    return e.where(keep(m.shape), m, np.zeros((), m.dtype))


@implements(np.tril, fresh=True)
def tril(m, k=0):
    return _triangle(m, lambda shape: np.tri(*shape[-2:], k=k, dtype=bool))


@implements(np.triu, fresh=True)
def triu(m, k=0):
    return _triangle(m, lambda shape: ~np.tri(*shape[-2:], k=k - 1, dtype=bool))


@implements(np.meshgrid, fresh=True)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing {indexing!r}, must be 'xy' or 'ij'{at_line()}")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0
    lines = [shaping.reshape(x, tuple(-1 if k == place else 1 for k in range(len(xi))))
             for x, place in zip(xi, places, strict=True)]
    if not sparse:
        lines = shaping.broadcast_arrays(*lines)
    return tuple(x.copy() for x in lines) if copy else tuple(lines)
