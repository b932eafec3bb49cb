"""Running products and extrema, and the sum of exponentials.

A running product is formed by doubling: y[i] <- y[i - s] y[i] for s = 1, 2, 4 ... (Hillis and
Steele, 1986), log n multiplications of arrays, whose derivative is right also where factors are 0
(the usual rule divides by them). Running extrema go the same way; among ties the derivative is
shared. Where the factors are known and none is 0, the usual rule serves, in linear time:

    y_i = x_1 ... x_i        dy_i = y_i sum_{j <= i} dx_j / x_j
"""

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.graph import Type
from sciad.core.patterns import running
from sciad.core.primitive import Primitive
from sciad.core.rules import is_complex
from sciad.ops.elementwise import conj, exp, isfinite, log, maximum, minimum, multiply, where
from sciad.ops.functions import floats, require_real
from sciad.ops.indexing import read
from sciad.ops.reduce import (
    _kept,
    _reversed,
    cumsum_p,
    is_line,
    max_,
    one_axis,
    reduced_axes,
    sum_,
    widened,
)
from sciad.ops.shape import concatenate, normalize_axis, reshape


def _doubling(combine, x, axis, name):
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalize_axis(axis, len(x.shape), name)
    before, extent, step = (slice(None),) * axis, x.shape[axis], 1
    while step < extent:
        early = read(x, (*before, slice(None, extent - step)))
        late = read(x, (*before, slice(step, None)))
        x = concatenate([read(x, (*before, slice(None, step))), combine(early, late)], axis)
        step *= 2
    return x


class Cumprod(Primitive):
    """Running products of factors that are not 0."""

    __slots__ = ()

    def __init__(self):
        super().__init__("cumprod", lambda x, axis: np.cumprod(x, axis),
                         lambda x, axis: Type(x.shape, x.dtype), pattern=running)

    def jvp(self, k, tangent, out, args, params):
        return out * cumsum_p(tangent / args[0], **params)

    def vjp(self, k, cotangent, out, args, params):
        axis, x = params["axis"], args[0]
        if is_complex(out):
            out, x = conj(out), conj(x)
        later = cumsum_p(_reversed(cotangent * out, axis), axis=axis)
        return _reversed(later, axis) / x


cumprod_p = Cumprod()


def cumprod(x, axis=None):
    if axis is None or is_line(axis, len(x.shape)):
        x, axis = reshape(x, (-1,)), 0
    axis, x = one_axis(axis, len(x.shape), "cumprod"), widened(x)
    if x.dtype.kind in "fc" and not (isinstance(x, Array) and not has_data(x)) \
            and _divisible(plain(x), axis):
        return cumprod_p(x, axis=axis)
    return _doubling(multiply, x, axis, "cumprod")


def _divisible(x, axis) -> bool:
    """Whether factors and products are so far from 0 and infinity that quotients are exact."""
    limit = np.sqrt(np.finfo(x.dtype).tiny)
    with np.errstate(all="ignore"):
        return all(np.all((size > limit) & (size < 1.0 / limit))
                   for size in (np.abs(x), np.abs(np.cumprod(x, axis))))


def cummax(x, axis=None):
    return _doubling(maximum, x, axis, "maximum.accumulate")


def cummin(x, axis=None):
    return _doubling(minimum, x, axis, "minimum.accumulate")


def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))), shifted by the largest entry so that nothing overflows."""
    require_real("logaddexp.reduce", x)
    x = floats(x)
    axes = reduced_axes(axis, len(x.shape), "logaddexp.reduce")
    shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    if not all(x.shape[k] for k in axes):
        return np.full(_kept(x.shape, axes) if keepdims else shape, -np.inf, x.dtype)[()]
    top = max_(x, axes, keepdims=True)
    top = where(isfinite(top), top, 0.0)
    total = log(sum_(exp(x - top), axes, keepdims=True)) + top
    return reshape(total, _kept(x.shape, axes) if keepdims else shape)
