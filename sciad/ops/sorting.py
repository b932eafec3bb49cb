"""Order: sorting, selecting by rank, searching.

An order is found once, as integers without derivative; the entries then move by a read. At ties
the sort is stable: each of two equal entries keeps the derivative of its own place, one of the
one-sided slopes.
"""

import numpy as np

from sciad.core.backend import beside
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type
from sciad.core.rules import Constant
from sciad.ops.indexing import read
from sciad.ops.layout import made_like
from sciad.ops.reduce import is_line
from sciad.ops.shape import normalize_axis, reshape

argsort_p = Constant("argsort", lambda x, axis: np.argsort(x, axis, kind="stable"),
                     lambda x, axis: Type(x.shape, np.intp))
argpartition_p = Constant("argpartition",
                          lambda x, kth, axis: np.argpartition(x, kth, axis),
                          lambda x, kth, axis: Type(x.shape, np.intp))
searchsorted_p = Constant("searchsorted",
                          lambda a, v, side: np.asarray(np.searchsorted(a, v, side))[()],
                          lambda a, v, side: Type(v.shape, np.intp))


def line(x, axis, name):
    """`x` and the axis to work along; None flattens, and a number may be a line of one entry."""
    if axis is None or is_line(axis, len(x.shape)):
        return reshape(x, (-1,)), 0
    return x, normalize_axis(axis, len(x.shape), name)


def _proper_line(x, axis, name):
    """As `line`, but a number has none."""
    return line(x, axis if axis is None else normalize_axis(axis, len(x.shape), name), name)


def argsort(x, axis=-1):
    x, axis = line(x, axis, "argsort")
    return argsort_p(x, axis=axis)


def argpartition(x, kth, axis=-1):
    x, axis = line(x, axis, "argpartition")
    return argpartition_p(x, kth=kth, axis=axis)


def sort(x, axis=-1):
    x, axis = _proper_line(x, axis, "sort")
    return _rearranged(x, argsort_p(x, axis=axis), axis)


def partition(x, kth, axis=-1):
    x, axis = _proper_line(x, axis, "partition")
    return _rearranged(x, argpartition_p(x, kth=kth, axis=axis), axis)


def _rearranged(x, order, axis):
    """x along an axis in an order of its own shape, by flat indices: their adjoint is fast."""
    shape = x.shape
    if len(shape) == 1:
        return read(x, order)
    strides = np.cumprod((1, *shape[:0:-1]))[::-1]
    base = sum((np.arange(n).reshape((n,) + (1,) * (len(shape) - k - 1)) * int(strides[k])
                for k, n in enumerate(shape) if k != axis), np.intp(0))
    places = reshape(order * int(strides[axis]) + beside(base, order), (-1,))
    return made_like(reshape(read(reshape(x, (-1,)), places), shape), x)


def searchsorted(a, v, side="left"):
    if len(a.shape) != 1:
        raise ArgumentError(f"searchsorted: the sorted array has shape {a.shape}, must be "
                            f"one-dimensional{at_line()}")
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side {side!r}, must be 'left' or 'right'{at_line()}")
    return searchsorted_p(a, v, side=side)


def take_along_axis(x, order, axis):
    """x[..., order[..., i, ...], ...]: `order` has the dimensions of x, or 1 to broadcast."""
    x, axis = _proper_line(x, axis, "take_along_axis")
    return read(x, along(x.shape, order, axis))


def along(shape, order, axis) -> tuple:
    """The index that `order` means along an axis of an array of shape `shape`."""
    if len(order.shape) != len(shape):
        raise ArgumentError(f"take_along_axis: indices of shape {order.shape} for an array of "
                            f"shape {shape}; they need as many dimensions{at_line()}")
    ndim = len(shape)
    return tuple(order if k == axis else np.arange(n).reshape((n,) + (1,) * (ndim - k - 1))
                 for k, n in enumerate(shape))
