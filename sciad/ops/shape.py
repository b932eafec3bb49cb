"""Operations that move entries without changing them."""

import numpy as np

from sciad.core.array import Array
from sciad.core.backend import as_operand
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type, shape_of
from sciad.core.patterns import IDENTITY, MOVES
from sciad.core.primitive import install_packer
from sciad.core.rules import Linear, Multilinear, Tools
from sciad.ops.reduce import sum_


def _resolve_shape(size: int, shape) -> tuple[int, ...]:
    """`shape` with one -1 filled in."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
    known = 1
    for extent in shape:
        known *= extent if extent >= 0 else 1
    if -1 in shape:
        if shape.count(-1) > 1 or known == 0 or size % known:
            raise ArgumentError(f"cannot reshape {size} entries into {shape}{at_line()}")
        shape = tuple(size // known if extent == -1 else extent for extent in shape)
        known = size
    if known != size:
        raise ArgumentError(f"cannot reshape {size} entries into {shape}{at_line()}")
    return shape


reshape_p = Linear("reshape", lambda x, shape: np.reshape(x, shape)[()],
                   lambda x, shape: Type(shape, x.dtype),
                   lambda g, x, shape: reshape(g, x.shape), IDENTITY)


def reshape(x, shape):
    return reshape_p(x, shape=_resolve_shape(_size(x), shape))


def _size(x):
    size = 1
    for extent in x.shape:
        size *= extent
    return size


transpose_p = Linear("transpose", lambda x, axes: np.transpose(x, axes),
                     lambda x, axes: Type(tuple(x.shape[a] for a in axes), x.dtype),
                     lambda g, x, axes: transpose_p(g, axes=_inverse(axes)), MOVES)


def _inverse(axes):
    inverse = [0] * len(axes)
    for place, axis in enumerate(axes):
        inverse[axis] = place
    return tuple(inverse)


def transpose(x, axes=None):
    ndim = len(x.shape)
    axes = range(ndim)[::-1] if axes is None else axes
    if len(axes) != ndim:
        raise ArgumentError(f"transpose: axes {tuple(axes)} do not fit an array of {ndim} "
                            f"dimensions{at_line()}")
    return transpose_p(x, axes=tuple(int(a) % ndim for a in axes))


broadcast_p = Linear("broadcast_to", lambda x, shape: np.broadcast_to(x, shape),
                     lambda x, shape: Type(shape, x.dtype),
                     lambda g, x, shape: unbroadcast(g, x.shape), MOVES)


def broadcast_to(x, shape):
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    require_broadcast(shape_of(x), shape)
    return x if shape_of(x) == shape else broadcast_p(x, shape=shape)


def require_broadcast(before, after):
    """Raise unless an array of shape `before` can be stretched to `after`."""
    padded = (1,) * (len(after) - len(before)) + tuple(before)
    pairs = zip(padded, after, strict=len(padded) == len(after))
    if len(padded) != len(after) or any(a not in (1, b) for a, b in pairs):
        raise ArgumentError(f"cannot broadcast shape {tuple(before)} to {after}{at_line()}")


def unbroadcast(g, shape):
    """The adjoint of broadcasting: sum over the axes that were stretched."""
    if g.shape == shape:
        return g
    extra = len(g.shape) - len(shape)
    if extra < 0 or any(a not in (1, b) for a, b in zip(shape, g.shape[extra:], strict=True)):
        # a cotangent smaller than its operand: a constant one, broadcast
        return broadcast_to(g, shape)
    axes = tuple(range(extra)) + tuple(
        extra + k for k, extent in enumerate(shape) if extent == 1 and g.shape[extra + k] != 1
    )
    if type(g) is np.ndarray:
        return np.add.reduce(g, axes).reshape(shape)[()]
    summed = sum_(g, axes)
    return summed if summed.shape == shape else reshape(summed, shape)


# --- joining --------------------------------------------------------------------------------------


def _concatenate_shape(*types, axis):
    first = types[0]
    extent = sum(t.shape[axis] for t in types)
    return Type(first.shape[:axis] + (extent,) + first.shape[axis + 1:], _common(types))


def _common(types):
    return np.result_type(*(t.dtype for t in types))


class _Concatenate(Multilinear):
    """Pieces side by side; the cotangent is cut at the same places, found in one go."""

    __slots__ = ()

    def joint_vjp(self, cotangent, needs, out, args, params):
        axis = params["axis"]
        parts, stop = [], 0
        for x, need in zip(args, needs, strict=True):
            start, stop = stop, stop + shape_of(x)[axis]
            index = (slice(None),) * axis + (slice(start, stop),)
            parts.append(cotangent[index] if need else None)
        return parts


def _concatenate_adjoint(k, g, *args, axis):
    needs = [i == k for i in range(len(args))]
    return concatenate_p.joint_vjp(g, needs, None, args, {"axis": axis})[k]


concatenate_p = _Concatenate(
    "concatenate", lambda *xs, axis: np.concatenate(xs, axis), _concatenate_shape,
    _concatenate_adjoint, joint=True)


def concatenate(arrays, axis=0):
    arrays = [_as_operand(x) for x in arrays]
    if not arrays:
        raise ArgumentError(f"concatenate needs at least one array{at_line()}")
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    shapes = [x.shape for x in arrays]
    ndim = len(shapes[0])
    axis = normalize_axis(axis, ndim, "concatenate")
    rests = {shape[:axis] + shape[axis + 1:] for shape in shapes}
    if len(rests) > 1 or any(len(shape) != ndim for shape in shapes):
        raise ArgumentError(f"concatenate: shapes {shapes} do not join along axis {axis}"
                            f"{at_line()}")
    return concatenate_p(*arrays, axis=axis)


def _as_operand(x):
    return as_operand(x)


def stack(arrays, axis=0):
    arrays = [_as_operand(x) for x in arrays]
    if not arrays:
        raise ArgumentError(f"stack needs at least one array{at_line()}")
    shape = arrays[0].shape
    if any(x.shape != shape for x in arrays):
        raise ArgumentError(f"stack: shapes {[x.shape for x in arrays]} differ{at_line()}")
    if not shape:
        return pack_p(*arrays, shape=(len(arrays),))
    axis = normalize_axis(axis, len(shape) + 1, "stack")
    expanded = shape[:axis] + (1,) + shape[axis:]
    return concatenate([reshape(x, expanded) for x in arrays], axis)


# An array made of scalars: what np.array([a*x, b*y]) means.


def _pack_fun(*entries, shape):
    return np.array(entries).reshape(shape)


def _pack_adjoint(k, g, *entries, shape):
    return g[tuple(int(i) for i in np.unravel_index(k, shape))] if shape else g


pack_p = Multilinear("pack", _pack_fun, lambda *types, shape: Type(shape, _common(types)),
                     _pack_adjoint, joint=True)


def pack_objects(x: np.ndarray):
    """An object array that holds Arrays, as one Array; other object arrays unchanged."""
    entries = list(x.flat)
    if not any(isinstance(entry, Array) for entry in entries):
        return x
    if any(isinstance(entry, Array) and entry.shape for entry in entries):
        entries = [entry.reshape(()) if isinstance(entry, Array) and entry.size == 1 else entry
                   for entry in entries]
    return pack_p(*entries, shape=x.shape)


def expand_dims(x, axis):
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = len(x.shape) + len(axes)
    places = {normalize_axis(a, ndim, "expand_dims") for a in axes}
    rest = iter(x.shape)
    return reshape(x, tuple(1 if k in places else next(rest) for k in range(ndim)))


def squeeze(x, axis=None):
    ndim = len(x.shape)
    if axis is None:
        places = {k for k, extent in enumerate(x.shape) if extent == 1}
    else:
        axes = axis if isinstance(axis, tuple) else () if not ndim and axis in (0, -1) else (axis,)
        places = {normalize_axis(a, ndim, "squeeze") for a in axes}
        if any(x.shape[k] != 1 for k in places):
            raise ArgumentError(f"squeeze: axis {axis} of shape {x.shape} is not 1{at_line()}")
    return reshape(x, tuple(extent for k, extent in enumerate(x.shape) if k not in places))


def normalize_axis(axis: int, ndim: int, name: str) -> int:
    """`axis` as a non-negative number, or an error that names the operation."""
    if not -ndim <= axis < ndim:
        raise ArgumentError(f"{name}: axis {axis} is out of range for {ndim} "
                            f"dimensions{at_line()}")
    return int(axis) % ndim


install_packer(pack_objects)
Tools.unbroadcast = unbroadcast
Tools.broadcast_to = broadcast_to
Tools.stack = stack
Tools.concatenate = concatenate
Tools.pack = pack_objects
