"""Reductions over axes."""

import math
from functools import lru_cache

import numpy as np

from sciad.core.array import Array
from sciad.core.backend import beside
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type
from sciad.core.patterns import reduced, running
from sciad.core.reverse import LARGE, RULE
from sciad.core.rules import Constant, Linear, Primitive, Tools
from sciad.ops.elementwise import maximum


def axes_of(axis, ndim: int, name: str) -> tuple[int, ...]:
    """NumPy's axis argument as a sorted tuple of non-negative numbers."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ArgumentError(f"{name}: axis {a} is out of range for {ndim} dimensions"
                                f"{at_line()}")
    unique = tuple(sorted({int(a) % ndim for a in axes}))
    if len(unique) != len(axes):
        raise ArgumentError(f"{name}: an axis stands twice in {axis}{at_line()}")
    return unique


def reduced_axes(axis, ndim: int, name: str) -> tuple[int, ...]:
    """The same for a reduction by a ufunc, to which a number is a line of one entry as well."""
    return () if is_line(axis, ndim) else axes_of(axis, ndim, name)


def is_line(axis, ndim: int) -> bool:
    """Whether an axis of a number is asked for, where NumPy takes it for a line of one entry."""
    return not ndim and isinstance(axis, (int, np.integer)) and axis in (0, -1)


def one_axis(axis, ndim: int, name: str) -> int:
    """The axis of an operation along one, as a non-negative number."""
    if isinstance(axis, (tuple, list)):
        raise ArgumentError(f"{name}: axis={axis!r} must be one number{at_line()}")
    return axes_of(axis, ndim, name)[0]


def ordered_axes(axis, ndim: int, name: str) -> tuple[int, ...]:
    """As `axes_of`, in the order given."""
    axes_of(axis, ndim, name)
    return tuple(range(ndim)) if axis is None else tuple(int(a) % ndim for a in axis)


def _without(shape, axes):
    return tuple(extent for k, extent in enumerate(shape) if k not in axes)


def _kept(shape, axes):
    return tuple(1 if k in axes else extent for k, extent in enumerate(shape))


def spread(g, shape, axes):
    """A reduced array back over the axes that it was reduced over."""
    return Tools.broadcast_to(g.reshape(_kept(shape, axes)), shape)


@lru_cache(maxsize=64)
def _sum_dtype(dtype):
    return np.sum(np.ones(1, dtype)).dtype


def widened(x):
    """Integers and truth values in the integers that NumPy adds and multiplies them in."""
    return x.astype(_sum_dtype(x.dtype)) if x.dtype.kind in "biu" else x


sum_p = Linear("sum", lambda x, axes: np.sum(x, axes),
               lambda x, axes: Type(_without(x.shape, axes), _sum_dtype(x.dtype)),
               lambda g, x, axes: spread(g, x.shape, axes), reduced)


def sum_(x, axis=None, keepdims=False):
    axes = reduced_axes(axis, len(x.shape), "sum")
    out = _sum_on_tape(x, axes) if type(x) is Array else sum_p(x, axes=axes)
    return out.reshape(_kept(x.shape, axes)) if keepdims else out


def _sum_on_tape(x, axes):
    """The sum, written on the tape of an eager reverse interpreter where there is one."""
    interp, value = x._interp, x._value
    if interp is None or not interp.fast or type(value) is not np.ndarray:
        return sum_p(x, axes=axes)
    interp.tape.append((RULE, _spread_part, (value.shape, axes), (x._node,), True))
    return Array(np.add.reduce(value, axes), interp, len(interp.tape) - 1)


def _spread_part(g, saved, nodes):
    shape, axes = saved
    if type(g) is Array or math.prod(shape) > LARGE:
        return (spread(g, shape, axes),)
    full = np.empty(shape, g.dtype)
    full[...] = g.reshape(_kept(shape, axes))
    return (full,)


class Extremum(Primitive):
    """max or min over axes. Among k tied entries each receives 1/k."""

    __slots__ = ()
    routes = True

    def _weights(self, out, x, axes):
        hit = x == spread(out, x.shape, axes)
        hits = hit.astype(x.dtype)
        return hits / spread(sum_(hits, axes), x.shape, axes)

    def jvp(self, k, tangent, out, args, params):
        axes = params["axes"]
        weights = self._weights(out, args[0], axes)
        return sum_(Tools.where(weights == 0.0, 0.0, tangent * weights), axes)

    def vjp(self, k, cotangent, out, args, params):
        axes, x = params["axes"], args[0]
        return spread(cotangent, x.shape, axes) * self._weights(out, x, axes)


def _extremum_shape(x, axes):
    if any(x.shape[a] == 0 for a in axes):
        raise ArgumentError(f"max and min of an empty array of shape {x.shape}{at_line()}")
    return Type(_without(x.shape, axes), x.dtype)


max_p = Extremum("max", lambda x, axes: np.max(x, axes), _extremum_shape,
                 pattern=reduced)
min_p = Extremum("min", lambda x, axes: np.min(x, axes), _extremum_shape,
                 pattern=reduced)


def _extremum(primitive, x, axis, keepdims):
    axes = reduced_axes(axis, len(x.shape), primitive.name)
    out = primitive(x, axes=axes)
    return out.reshape(_kept(x.shape, axes)) if keepdims else out


def max_(x, axis=None, keepdims=False):
    return _extremum(max_p, x, axis, keepdims)


def min_(x, axis=None, keepdims=False):
    return _extremum(min_p, x, axis, keepdims)


def mean_dtype(dtype):
    """The dtype in which a mean adds up: whole numbers as floats, half precision in single."""
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.char == "e" else dtype


def count_along(x, axis, name: str) -> int:
    """How many entries each entry of the result is made of."""
    return math.prod(x.shape[a] for a in axes_of(axis, len(x.shape), name))


def mean(x, axis=None, keepdims=False):
    count, dtype = count_along(x, axis, "mean"), x.dtype
    wide = mean_dtype(dtype)
    if wide == dtype:
        return sum_(x, axis, keepdims) / count
    out = sum_(x.astype(wide), axis, keepdims) / count
    return out.astype(dtype) if dtype.kind == "f" else out


def freedom(count, ddof):
    """Degrees of freedom, of which there are never less than none."""
    left = count - ddof
    return max(left, 0) if isinstance(left, (int, float)) else maximum(left, 0)


def var(x, axis=None, ddof=0, keepdims=False):
    count = count_along(x, axis, "var")
    centred = x - mean(x, axis, keepdims=True)
    squares = abs(centred) ** 2 if x.dtype.kind == "c" else centred * centred
    return sum_(squares, axis, keepdims) / freedom(count, ddof)


def std(x, axis=None, ddof=0, keepdims=False):
    return var(x, axis, ddof, keepdims) ** 0.5


any_p = Constant("any", lambda x, axes: np.any(x, axes),
                 lambda x, axes: Type(_without(x.shape, axes), bool))
all_p = Constant("all", lambda x, axes: np.all(x, axes),
                 lambda x, axes: Type(_without(x.shape, axes), bool))


def any_(x, axis=None, keepdims=False):
    axes = reduced_axes(axis, len(x.shape), "any")
    out = any_p(x, axes=axes)
    return out.reshape(_kept(x.shape, axes)) if keepdims else out


def all_(x, axis=None, keepdims=False):
    axes = reduced_axes(axis, len(x.shape), "all")
    out = all_p(x, axes=axes)
    return out.reshape(_kept(x.shape, axes)) if keepdims else out


argmax_p = Constant("argmax", lambda x, axis: np.argmax(x, axis),
                    lambda x, axis: Type(_without(x.shape, (axis,)), np.intp))
argmin_p = Constant("argmin", lambda x, axis: np.argmin(x, axis),
                    lambda x, axis: Type(_without(x.shape, (axis,)), np.intp))


def _arg_extremum(primitive, x, axis, keepdims):
    shape = x.shape
    kept = (1,) * len(shape)
    if axis is None or is_line(axis, len(shape)):
        x, axis = x.reshape(-1), 0
    else:
        axis = one_axis(axis, len(shape), primitive.name)
        kept = _kept(shape, (axis,))
    out = primitive(x, axis=axis)
    return out.reshape(kept) if keepdims else out


def argmax(x, axis=None, keepdims=False):
    return _arg_extremum(argmax_p, x, axis, keepdims)


def argmin(x, axis=None, keepdims=False):
    return _arg_extremum(argmin_p, x, axis, keepdims)


# --- products and running sums --------------------------------------------------------------------


def prod(x, axis=None, keepdims=False):
    """Products by halves: log n multiplications of arrays, whose derivative is right at zeros."""
    axes, factors = reduced_axes(axis, len(x.shape), "prod"), widened(x)
    kept, out = _kept(x.shape, axes), factors
    for a in axes:
        out = _prod_along(out, a)
    if out is x:
        out = x.copy()
    return out.reshape(kept if keepdims else _without(x.shape, axes))


def _prod_along(x, axis):
    before = (slice(None),) * axis
    if x.shape[axis] == 0:
        return beside(np.ones(_kept(x.shape, (axis,)), x.dtype), x)
    while x.shape[axis] > 1:
        half, odd = divmod(x.shape[axis], 2)
        product = x[before + (slice(half),)] * x[before + (slice(half, 2 * half),)]
        if odd:
            last = x[before + (slice(2 * half, None),)]
            product = Tools.concatenate([product, last], axis)
        x = product
    return x


def _reversed(x, axis):
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


cumsum_p = Linear("cumsum", lambda x, axis: np.cumsum(x, axis),
                  lambda x, axis: Type(x.shape, _sum_dtype(x.dtype)),
                  lambda g, x, axis: _reversed(cumsum_p(_reversed(g, axis), axis=axis), axis),
                  running)


def cumsum(x, axis=None):
    if axis is None:
        x, axis = x.reshape(-1), 0
    if is_line(axis, len(x.shape)):
        x = x.reshape(1)
    axis = one_axis(axis, len(x.shape), "cumsum")
    return cumsum_p(x, axis=axis)
