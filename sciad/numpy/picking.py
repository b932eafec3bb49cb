"""Picking entries by index or condition, and writing them."""

import numpy as np

from sciad.core.array import FILLED, Array, plain
from sciad.core.call_sites import numpy_function
from sciad.core.errors import ArgumentError, LostGradientError, at_line
from sciad.core.graph import shape_of
from sciad.core.primitive import refused
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.selection import _branch
from sciad.ops import elementwise as e
from sciad.ops import overlap, sorting, views
from sciad.ops.indexing import read
from sciad.ops.shape import (
    broadcast_to,
    expand_dims,
    normalize_axis,
    reshape,
    stack,
    transpose,
)


@implements(np.take)
def take(a, indices, axis=None, *, mode="raise"):
    a, axis = sorting.line(as_array(a), axis, "take")
    indices, extent = as_array(indices), a.shape[axis]
    if mode == "wrap":
        indices = indices % extent
    elif mode == "clip":
        indices = e.clip(indices, 0, extent - 1)
    return read(a, (slice(None),) * axis + (indices,))


@implements(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    return sorting.take_along_axis(as_array(arr), as_array(indices), axis)


@implements(np.put_along_axis)
def put_along_axis(arr, indices, values, axis):
    """Writes into `arr`; where an index repeats, the last value stays."""
    _writable(arr, "put_along_axis")
    if axis is None:
        index = np.unravel_index(plain(as_array(indices), "np.put_along_axis"), arr.shape)
    else:
        axis = normalize_axis(axis, arr.ndim, "put_along_axis")
        index = sorting.along(arr.shape, as_array(indices), axis)
    views.write(arr, index, as_array(values))


@implements(np.copyto)
def copyto(dst, src, *, casting="same_kind", where=True):
    _writable(dst, numpy_function() or "copyto")
    src = _branch(src)
    views.write(dst, Ellipsis, src if where is True else e.where(as_array(where), src, dst))


@implements(np.putmask)
def putmask(a, mask, values):
    """Where `values` is shorter than `a`, it repeats, as in NumPy."""
    _writable(a, "putmask")
    values = reshape(as_array(values), (-1,))
    repeated = read(values, np.arange(a.size) % values.shape[0])
    views.write(a, Ellipsis, e.where(as_array(mask), reshape(repeated, a.shape), a))


@implements(np.put)
def put(a, ind, v, mode="raise"):
    _writable(a, "put")
    ind = np.asarray(plain(as_array(ind), "the index of np.put")).reshape(-1)
    if mode != "raise":
        ind = ind % a.size if mode == "wrap" else np.clip(ind, 0, a.size - 1)
    v = reshape(as_array(v), (-1,))
    views.write(a, np.unravel_index(ind % a.size if mode == "raise" and _inside(ind, a) else ind,
                                    a.shape), read(v, np.arange(ind.size) % v.shape[0]))


def _inside(ind, a):
    if np.any((ind < -a.size) | (ind >= a.size)):
        raise ArgumentError(f"put: an index is out of range for {a.size} entries{at_line()}")
    return True


@implements(np.place)
def place(arr, mask, vals):
    """The first entries of `vals` go where the mask holds, again and again."""
    _writable(arr, "place")
    found = np.nonzero(plain(as_array(mask), "the mask of np.place"))
    vals = as_array(vals)
    if overlap.lies_together(arr) and overlap.lies_together(vals):
        vals = overlap.entry_by_entry(arr, np.ravel_multi_index(found, arr.shape), vals)
    vals = reshape(vals, (-1,))
    views.write(arr, found, read(vals, np.arange(found[0].size) % vals.shape[0]))


@implements(np.apply_along_axis)
def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    arr = as_array(arr)
    axis = normalize_axis(axis, arr.ndim, "apply_along_axis")
    rest = arr.shape[:axis] + arr.shape[axis + 1:]
    outs = [as_array(func1d(read(arr, (*at[:axis], slice(None), *at[axis:])), *args, **kwargs))
            for at in np.ndindex(rest)]
    if not outs:
        raise ArgumentError(f"apply_along_axis: shape {arr.shape} has no lines along axis {axis}"
                            f"{at_line()}")
    made = reshape(stack(outs, 0), rest + outs[0].shape)
    count = len(outs[0].shape)
    order = [*range(axis), *range(len(rest), len(rest) + count), *range(axis, len(rest))]
    return transpose(made, order)


@implements(np.apply_over_axes)
def apply_over_axes(func, a, axes):
    a = as_array(a)
    for axis in np.atleast_1d(axes).tolist():
        out = func(a, axis)
        a = out if len(out.shape) == a.ndim else expand_dims(out, axis)
    return a


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x, window_shape, axis=None):
    """The windows, as a view that cannot be written."""
    x = as_array(x)
    if not isinstance(x, Array):
        return _windows(x, window_shape, axis)
    return views.computed(x, lambda x: _windows(x, window_shape, axis), "window",
                          lambda x: np.lib.stride_tricks.sliding_window_view(
                              x, window_shape, axis))


def _windows(x, window_shape, axis):
    sizes = window_shape if isinstance(window_shape, (tuple, list)) else (window_shape,)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    if len(sizes) != len(axes):
        raise ArgumentError(f"sliding_window_view: window {window_shape} for {len(axes)} axes"
                            f"{at_line()}")
    for size, k in zip(sizes, axes, strict=True):
        k = normalize_axis(k, x.ndim, "sliding_window_view")
        if not 0 <= size <= x.shape[k]:
            raise ArgumentError(f"sliding_window_view: window {size} for an axis of {x.shape[k]} "
                                f"entries{at_line()}")
        places = np.arange(x.shape[k] - size + 1)[:, None] + np.arange(size)
        x = read(x, (slice(None),) * k + (places,))
        x = transpose(x, [a for a in range(x.ndim) if a != k + 1] + [k + 1])
    return x


@implements(np.fill_diagonal)
def fill_diagonal(a, val, wrap=False):
    _writable(a, "fill_diagonal")
    if a.ndim < 2 or a.ndim > 2 and len(set(a.shape)) > 1:
        raise ArgumentError(f"fill_diagonal: shape {a.shape} has no diagonal to fill{at_line()}")
    places = _diagonal(a.shape, wrap)
    val = as_array(val)
    if val.ndim:
        val = read(reshape(val, (-1,)), np.arange(places[0].size) % val.size)
    views.write(a, places, val)


def _diagonal(shape, wrap):
    """Where the diagonal lies; with `wrap`, that of a tall matrix begins again below itself."""
    rows = np.arange(min(shape))
    if wrap and len(shape) == 2:
        return np.divmod(np.arange(0, shape[0] * shape[1], shape[1] + 1), shape[1])
    return (rows,) * len(shape)


def _writable(x, name):
    if not isinstance(x, Array):
        raise refused(LostGradientError(
            f"np.{name} would write a differentiated value into a plain array"
            f"{at_line()}; make the array by {FILLED}"))


@implements(np.choose)
def choose(a, choices, *, mode="raise"):
    """Entry i is ``choices[a[i]][i]``."""
    a, choices = as_array(a), [_branch(x) for x in choices]
    count = len(choices)
    if mode == "wrap":
        a = a % count
    elif mode == "clip":
        a = e.clip(a, 0, count - 1)
    else:
        places = plain(a, "the index of np.choose")
        if np.any((places < 0) | (places >= count)):
            raise ArgumentError(f"choose: an index is not in [0, {count}){at_line()}; or give "
                                "mode='clip'")
    out = choices[-1] if count > 1 else as_array(choices[-1]).copy()
    for k in range(count - 2, -1, -1):
        out = e.where(e.equal(a, k), choices[k], out)
    return broadcast_to(out, np.broadcast_shapes(a.shape, *map(shape_of, choices)))


@implements(np.compress)
def compress(condition, a, axis=None):
    a, axis = sorting.line(as_array(a), axis, "compress")
    places = np.nonzero(plain(as_array(condition), "the condition of np.compress"))[0]
    return read(a, (slice(None),) * axis + (places,))


@implements(np.extract)
def extract(condition, arr):
    places = np.nonzero(plain(as_array(condition), "the condition of np.extract").reshape(-1))[0]
    return read(reshape(as_array(arr), (-1,)), places)


@implements(np.select)
def select(condlist, choicelist, default=0):
    if len(condlist) != len(choicelist) or not condlist:
        raise ArgumentError(f"select: {len(condlist)} conditions for {len(choicelist)} choices"
                            f"{at_line()}")
    out = _branch(default)
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        condition = as_array(condition)
        if condition.dtype != np.bool_:
            raise ArgumentError(f"select: a condition has dtype {condition.dtype}, must be bool"
                                f"{at_line()}")
        out = e.where(condition, _branch(choice), out)
    return out


@implements(np.ix_)
def ix_(*args):
    """Vectors along the axes of an open mesh; masks become the places where they hold."""
    out = []
    for k, x in enumerate(args):
        x = as_array(x)
        if x.ndim != 1:
            raise ArgumentError(f"np.ix_: argument {k} has shape {x.shape}, must be "
                                f"one-dimensional{at_line()}")
        if x.dtype == np.bool_:
            (x,) = np.nonzero(plain(x, "np.ix_ of a mask"))
        elif not x.size:
            x = np.zeros(0, np.intp)
        out.append(x.reshape((1,) * k + (-1,) + (1,) * (len(args) - k - 1)))
    return tuple(out)
