"""``numpy.linalg`` norms and what is made of them."""

import numpy as np

from sciad.core.array import Array, has_data, is_plain, plain, unwrap_plain
from sciad.core.errors import ArgumentError, LostGradientError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import factor, reduce
from sciad.ops.elementwise import equal, not_equal, real, sqrt, square, where
from sciad.ops.matrices import require_matrix, require_square
from sciad.ops.shape import normalize_axis, reshape, transpose_p
from sciad.ops.svd import svd_p


def singular_values(x):
    return svd_p(x, full=False, vectors=False)[1]


def _inexact(x):
    """An array whose norms are taken: of whole numbers as floats."""
    x = as_array(x)
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    x, ord = _inexact(x), _order(ord)
    if axis is None and (ord is None or x.ndim == 2 and ord == "fro"):
        return _keep(_euclidean(reshape(x, (-1,)), (0,), False), x.ndim, keepdims)
    axes = reduce.axes_of(axis, x.ndim, "norm")
    if len(axes) == 1:
        return _vector(x, 2 if ord is None else ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix(x, ord, reduce.ordered_axes(axis, x.ndim, "norm"), keepdims)
    raise ArgumentError(f"norm: ord={ord!r} takes one or two axes, got shape {x.shape} and "
                        f"axis={axis}{at_line()}")


def _order(ord):
    """The order of a norm, by which there is no derivative."""
    if type(ord) is not Array or is_plain(ord):
        return unwrap_plain(ord)
    if not has_data(ord):
        plain(ord, "the order of a norm")
    raise LostGradientError(f"norm has no derivative by its order{at_line()}; "
                            "sciad.stop_gradient(ord) gives the plain number")


def _keep(value, ndim, keepdims):
    return reshape(value, (1,) * ndim) if keepdims else value


def _root(total, power):
    """total ** power, with derivative 0 where the total is 0: the least subgradient of a norm."""
    zero = equal(total, 0.0)
    safe = where(zero, 1.0, total)
    return where(zero, 0.0, sqrt(safe) if power == 0.5 else safe ** power)


def _euclidean(x, axes, keepdims):
    squares = real(x) ** 2 + x.imag ** 2 if x.dtype.kind == "c" else square(x)
    return _root(reduce.sum_(squares, axes, keepdims), 0.5)


def _vector(x, ord, axes, keepdims):
    if ord == 2:
        return _euclidean(x, axes, keepdims)
    if ord == 0:
        count = not_equal(x, 0.0).astype(np.empty(0, x.dtype).real.dtype)
        return reduce.sum_(count, axes, keepdims)
    if not isinstance(ord, (int, float, np.integer, np.floating)):
        raise ArgumentError(f"norm: ord={ord!r} is no norm of a vector{at_line()}")
    size = abs(x)
    if ord == np.inf:
        return reduce.max_(size, axes, keepdims)
    if ord == -np.inf:
        return reduce.min_(size, axes, keepdims)
    if ord == 1:
        return reduce.sum_(size, axes, keepdims)
    total = reduce.sum_(size ** float(ord), axes, keepdims)
    return _root(total, 1.0 / ord) if ord > 0 else total ** (1.0 / ord)


def _matrix(x, ord, axes, keepdims):
    if ord in (None, "fro"):
        return _euclidean(x, axes, keepdims)
    if ord in (2, -2, "nuc"):
        return _spectral(x, ord, axes, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise ArgumentError(f"norm: ord={ord!r} is no norm of a matrix{at_line()}")
    rows, columns = axes
    inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = reduce.sum_(abs(x), inner, keepdims=True)
    best = (reduce.max_ if ord > 0 else reduce.min_)(sums, outer, True)
    return best if keepdims else reshape(best, _others(x.shape, axes))


def _others(shape, axes):
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def _spectral(x, ord, axes, keepdims):
    """Norms of the singular values: the largest, the smallest, the sum."""
    order = [k for k in range(x.ndim) if k not in axes] + list(axes)
    s = singular_values(transpose_p(x, axes=tuple(order)))
    value = reduce.sum_(s, -1) if ord == "nuc" else s[..., 0 if ord == 2 else -1]
    if not keepdims:
        return value
    return reshape(value, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))


@implements(np.linalg.vector_norm)
def vector_norm(x, axis=None, keepdims=False, ord=2):
    x = _inexact(x)
    axes = (axis,) if isinstance(axis, (int, np.integer)) else axis
    axes = range(x.ndim) if axes is None else [normalize_axis(a, x.ndim, "vector_norm")
                                               for a in axes]
    kept = tuple(1 if k in axes else n for k, n in enumerate(x.shape))
    order = tuple(k for k in range(x.ndim) if k not in axes)
    rest = tuple(x.shape[k] for k in order)
    value = _vector(reshape(transpose_p(x, axes=order + tuple(axes)), (*rest, -1)), ord,
                    (len(rest),), False)
    return reshape(value, kept) if keepdims else value


@implements(np.linalg.matrix_norm)
def matrix_norm(x, keepdims=False, ord="fro"):
    x = _inexact(x)
    require_matrix(x, "matrix_norm")
    return _matrix(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


@implements(np.linalg.cond)
def cond(x, p=None):
    x = _inexact(x)
    require_matrix(x, "cond")
    if not x.shape[-1] or not x.shape[-2]:
        raise ArgumentError(f"cond: a matrix of shape {x.shape[-2:]} has no entries, so no "
                            f"condition number{at_line()}")
    if p in (None, 2, -2):
        s = singular_values(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    require_square(x, "cond")
    axes = (x.ndim - 2, x.ndim - 1)
    eye = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    return _matrix(x, p, axes, False) * _matrix(factor.solve(x, eye), p, axes, False)
