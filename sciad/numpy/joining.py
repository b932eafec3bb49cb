"""Splitting, stacking, inserting and deleting."""

import numpy as np

from sciad.core.array import plain
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.shaping import _cast, _handle
from sciad.ops import shape as shapes
from sciad.ops import sorting
from sciad.ops.indexing import read
from sciad.ops.layout import made_like
from sciad.ops.operators import reshape_view
from sciad.ops.shape import broadcast_to, concatenate, normalize_axis, reshape

# --- dimensions -----------------------------------------------------------------------------------


def _each(function):
    """A function of one array, for one or several (then a tuple, as in NumPy)."""

    def rule(*arys):
        out = tuple(function(_handle(x)) for x in arys)
        return out[0] if len(out) == 1 else out

    return rule


@implements(np.atleast_1d)
def atleast_1d(*arys):
    return _each(lambda a: a if a.ndim else reshape_view(a, (1,)))(*arys)


@implements(np.atleast_2d)
def atleast_2d(*arys):
    return _each(lambda a: a if a.ndim > 1 else reshape_view(a, (1, a.size)))(*arys)


@implements(np.atleast_3d)
def atleast_3d(*arys):
    return _each(_three)(*arys)


def _three(a):
    if a.ndim > 2:
        return a
    return reshape_view(a, (*a.shape, 1) if a.ndim == 2 else (1, a.size, 1))


# --- splitting: views, as in NumPy ----------------------------------------------------------------


@implements(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    return _pieces(ary, indices_or_sections, axis, False)


@implements(np.split)
def split(ary, indices_or_sections, axis=0):
    return _pieces(ary, indices_or_sections, axis, True)


@implements(np.hsplit)
def hsplit(ary, indices_or_sections):
    ary = _handle(ary)
    return _pieces(ary, indices_or_sections, 1 if ary.ndim > 1 else 0, True)


@implements(np.vsplit)
def vsplit(ary, indices_or_sections):
    return _pieces(ary, indices_or_sections, 0, True)


@implements(np.dsplit)
def dsplit(ary, indices_or_sections):
    return _pieces(ary, indices_or_sections, 2, True)


def _pieces(ary, sections, axis, equal):
    ary = _handle(ary)
    axis = normalize_axis(axis, ary.ndim, "split")
    extent = ary.shape[axis]
    if np.ndim(sections):
        ends = [0, *(int(k) for k in sections), None]
    else:
        count = int(sections)
        if count < 1 or equal and extent % count:
            raise ArgumentError(f"split: {extent} entries of axis {axis} do not divide into "
                                f"{count} equal parts{at_line()}; np.array_split allows unequal "
                                "ones")
        each, more = divmod(extent, count)
        ends = np.cumsum([0] + more * [each + 1] + (count - more) * [each]).tolist()
    before = (slice(None),) * axis
    return [ary[(*before, slice(a, b))] for a, b in zip(ends[:-1], ends[1:], strict=True)]


@implements(np.unstack)
def unstack(x, /, *, axis=0):
    x = _handle(x)
    axis = normalize_axis(axis, x.ndim, "unstack")
    return tuple(x[(slice(None),) * axis + (k,)] for k in range(x.shape[axis]))


# --- joining --------------------------------------------------------------------------------------


@implements(np.hstack, fresh=True)
def hstack(tup, *, dtype=None):
    parts = [atleast_1d(as_array(x)) for x in tup]
    return _cast(concatenate(parts, 1 if parts and parts[0].ndim > 1 else 0), dtype)


@implements(np.vstack, fresh=True)
def vstack(tup, *, dtype=None):
    return _cast(concatenate([atleast_2d(as_array(x)) for x in tup], 0), dtype)


@implements(np.dstack, fresh=True)
def dstack(tup):
    return concatenate([_three(_handle(as_array(x))) for x in tup], 2)


@implements(np.block, fresh=True)
def block(arrays):
    """Innermost lists join along the last axis, the next along the one before, and so on."""
    depth = _depth(arrays)
    ndim = max(depth, _greatest(arrays))
    return _block(arrays, depth, ndim)


def _depth(nested):
    return 1 + max(map(_depth, nested), default=0) if isinstance(nested, list) else 0


def _greatest(nested):
    if isinstance(nested, list):
        return max(map(_greatest, nested), default=0)
    return as_array(nested).ndim


def _block(nested, depth, ndim):
    if not isinstance(nested, list):
        x = as_array(nested)
        return reshape(x, (1,) * (ndim - x.ndim) + x.shape)
    if not nested:
        raise ArgumentError(f"block: a list is empty{at_line()}")
    return concatenate([_block(part, depth - 1, ndim) for part in nested], ndim - depth)


@implements(np.append, fresh=True)
def append(arr, values, axis=None):
    return concatenate([as_array(arr), as_array(values)], axis)


@implements(np.delete, fresh=True)
def delete(arr, obj, axis=None):
    x, axis = sorting.line(as_array(arr), axis, "delete")
    keep = np.delete(np.arange(x.shape[axis]), plain(obj, "the places of np.delete"))
    return made_like(read(x, (slice(None),) * axis + (keep,)), x, keep=False)


@implements(np.insert, fresh=True)
def insert(arr, obj, values, axis=None):
    """The places come from NumPy's insert of numbers: those of `arr` and those of `values`."""
    x, axis = sorting.line(as_array(arr), axis, "insert")
    values, extent = as_array(values), x.shape[axis]
    count = len(np.arange(extent)[obj]) if isinstance(obj, slice) else np.size(obj)
    if not isinstance(obj, slice) and np.ndim(obj) == 0:
        values = _scalar_insert(values, x, axis)
        count = values.shape[axis]
    else:
        lead = (1,) * (x.ndim - values.ndim)
        values = reshape(values, lead + values.shape)
        values = broadcast_to(values, x.shape[:axis] + (count,) + x.shape[axis + 1:])
    where_from = np.insert(np.arange(extent), obj, extent + np.arange(count))
    joined = concatenate([x, values.astype(x.dtype)], axis)
    return made_like(read(joined, (slice(None),) * axis + (where_from,)), x, keep=False)


def _scalar_insert(values, x, axis):
    """The values as layers of `x`: NumPy moves their first axis to `axis` for a single place."""
    values = reshape(values, (1,) * (x.ndim - values.ndim) + values.shape)
    order = list(range(1, x.ndim))
    order.insert(axis, 0)
    values = shapes.transpose(values, tuple(order))
    rest = x.shape[:axis] + (values.shape[axis],) + x.shape[axis + 1:]
    return broadcast_to(values, rest)


@implements(np.resize, fresh=True)
def resize(a, new_shape):
    a = reshape(as_array(a), (-1,))
    new_shape = (new_shape,) if isinstance(new_shape, (int, np.integer)) else tuple(new_shape)
    size = int(np.prod(new_shape, dtype=int))
    if not a.shape[0]:
        return np.zeros(new_shape, a.dtype)
    return reshape(read(a, np.arange(size) % a.shape[0]), new_shape)


@implements(np.trim_zeros)
def trim_zeros(filt, trim="fb"):
    filt = as_array(filt)
    places = np.nonzero(plain(filt, "np.trim_zeros"))[0]
    start = places[0] if places.size and "f" in trim.lower() else 0
    stop = places[-1] + 1 if places.size and "b" in trim.lower() else filt.shape[0]
    return filt[int(start):int(stop) if places.size else 0]

