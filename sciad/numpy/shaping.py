"""Functions that move entries: views where NumPy gives views."""

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements, require_cpu
from sciad.ops import shape as shapes
from sciad.ops.indexing import read
from sciad.ops.layout import made_like
from sciad.ops.operators import axes_view, ravel_view, reshape_view, swap_view
from sciad.ops.views import Link, make_view


def _handle(x) -> Array:
    """`x` as an Array, so that it has views."""
    x = as_array(x)
    return x if isinstance(x, Array) else Array(x)


@implements(np.reshape)
def reshape(a, shape, order="C"):
    return reshape_view(_handle(a), shape, order=order)


@implements(np.ravel)
def ravel(a, order="C"):
    return ravel_view(_handle(a), order)


@implements(np.transpose)
def transpose(a, axes=None):
    return axes_view(_handle(a), *(() if axes is None else (tuple(axes),)))


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    return swap_view(_handle(a), axis1, axis2)


@implements(np.matrix_transpose)
def matrix_transpose(x, /):
    x = _handle(x)
    if x.ndim < 2:
        raise ArgumentError(f"matrix_transpose: shape {x.shape} has no matrices{at_line()}")
    return swap_view(x, -1, -2)


@implements(np.astype)
def astype(x, dtype, /, *, copy=True, device=None):
    x = as_array(x)
    require_cpu(device, "astype")
    return x if not copy and x.dtype == dtype else x.astype(dtype)


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    a = _handle(a)
    places = [_axes(axes, a.ndim, "moveaxis") for axes in (source, destination)]
    if len(places[0]) != len(places[1]):
        raise ArgumentError(f"moveaxis: source {source} and destination {destination} differ in "
                            f"length{at_line()}")
    order = [k for k in range(a.ndim) if k not in places[0]]
    for target, origin in sorted(zip(places[1], places[0], strict=True)):
        order.insert(target, origin)
    return axes_view(a, tuple(order))


def _axes(axes, ndim, name):
    axes = axes if isinstance(axes, (tuple, list)) else (axes,)
    return [shapes.normalize_axis(k, ndim, name) for k in axes]


@implements(np.expand_dims)
def expand_dims(a, axis):
    a = _handle(a)
    return reshape_view(a, shapes.expand_dims(np.broadcast_to(0, a.shape), axis).shape)


@implements(np.squeeze)
def squeeze(a, axis=None):
    a = _handle(a)
    return reshape_view(a, shapes.squeeze(np.broadcast_to(0, a.shape), axis).shape)


@implements(np.broadcast_to)
def broadcast_to(array, shape):
    array = _handle(array)
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    shapes.require_broadcast(array.shape, shape)
    return make_view(array, Link("broadcast", shape))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args):
    args = [as_array(x) for x in args]
    shape = np.broadcast_shapes(*(x.shape for x in args))
    return tuple(broadcast_to(x, shape) for x in args)


@implements(np.flip)
def flip(m, axis=None):
    m = _handle(m)
    axes = range(m.ndim) if axis is None else _axes(axis, m.ndim, "flip")
    return m[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(m.ndim))]


@implements(np.concatenate, fresh=True)
def concatenate(arrays, axis=0, *, dtype=None):
    return _cast(shapes.concatenate([as_array(x) for x in arrays], axis), dtype)


@implements(np.stack, fresh=True)
def stack(arrays, axis=0, *, dtype=None):
    return _cast(shapes.stack([as_array(x) for x in arrays], axis), dtype)


@implements(np.column_stack, fresh=True)
def column_stack(tup):
    columns = [as_array(x) for x in tup]
    return shapes.concatenate(
        [x if x.ndim > 1 else shapes.reshape(x, (-1, 1)) for x in columns], 1)


def _cast(x, dtype):
    return x if dtype is None else x.astype(dtype)


@implements(np.roll)
def roll(a, shift, axis=None):
    a = as_array(a)
    if axis is None:
        return shapes.reshape(roll(shapes.reshape(a, (-1,)), int(np.sum(shift)), 0), a.shape)
    given = a
    a = a.copy("K") if isinstance(a, Array) else a
    for k, by in np.broadcast(axis, shift):
        k = shapes.normalize_axis(int(k), a.ndim, "roll")
        extent = a.shape[k]
        cut = -int(by) % extent if extent else 0
        if cut:
            before = (slice(None),) * k
            a = shapes.concatenate([read(a, (*before, slice(cut, None))),
                                    read(a, (*before, slice(cut)))], k)
    return made_like(a, given)


@implements(np.shape)
def shape(a):
    return as_array(a).shape


@implements(np.ndim)
def ndim(a):
    return len(as_array(a).shape)


@implements(np.size)
def size(a, axis=None):
    extents = as_array(a).shape
    axes = range(len(extents)) if axis is None else _axes(axis, len(extents), "size")
    count = 1
    for k in axes:
        count *= extents[k]
    return count
