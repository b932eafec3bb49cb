"""Padding: every mode of NumPy, axis after axis, so that corners follow from the later axis."""

import numpy as np

from sciad.core.errors import ArgumentError, NoRuleError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.numpy.quantiles import median
from sciad.ops import reduce
from sciad.ops.elementwise import rint
from sciad.ops.indexing import read
from sciad.ops.layout import made_like
from sciad.ops.shape import broadcast_to, concatenate, reshape

INDEXED = ("edge", "reflect", "symmetric", "wrap")
STATISTICS = {"maximum": reduce.max_, "minimum": reduce.min_, "mean": reduce.mean,
              "median": lambda x, axis, keepdims: median(x, axis, keepdims=keepdims)}


@implements(np.pad, fresh=True)
def pad(array, pad_width, mode="constant", *, constant_values=0, end_values=0, stat_length=None,
        reflect_type="even"):
    """Constants and end values may be differentiated. Mode "empty" pads with zeros."""
    x = as_array(array)
    return made_like(_padded(x, pad_width, mode, constant_values, end_values, stat_length,
                             reflect_type), x, keep=False)


def _padded(x, pad_width, mode, constant_values, end_values, stat_length, reflect_type):
    widths = _widths(pad_width, x.ndim)
    if not any(map(any, widths)):
        return x.copy()
    if mode in ("constant", "linear_ramp"):
        values = constant_values if mode == "constant" else end_values
        values = broadcast_to(as_array(values), (x.ndim, 2)).astype(x.dtype)
        margin = _constant if mode == "constant" else _ramp
        return _each(x, widths, lambda x, axis, side, count: margin(
            x, axis, side, count, read(values, (axis, side))))
    if mode == "empty":
        return _padded(x, pad_width, "constant", 0, 0, stat_length, reflect_type)
    if mode in STATISTICS:
        lengths = _lengths(stat_length, x.ndim)
        return _each(x, widths, lambda x, axis, side, count: _statistic(
            STATISTICS[mode], x, axis, side, count, lengths[axis][side]))
    if callable(mode) or mode not in INDEXED:
        raise NoRuleError(f"np.pad(mode={mode!r}) has no rule in sciad{at_line()}; modes with one "
                          f"are constant, linear_ramp, {', '.join((*INDEXED, *STATISTICS))}")
    odd = reflect_type == "odd" and mode in ("reflect", "symmetric")
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = (_odd if odd and x.shape[axis] > 1 else _indexed)(x, axis, before, after, mode)
    return x


def _widths(pad_width, ndim) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        widths = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            widths[axis] = tuple(np.broadcast_to(width, 2).tolist())
        return widths
    pairs = np.broadcast_to(np.asarray(pad_width), (ndim, 2))
    if pairs.dtype.kind not in "iu" or (pairs < 0).any():
        raise ArgumentError(f"pad: pad_width {pad_width} must hold integers >= 0{at_line()}")
    return [tuple(pair) for pair in pairs.tolist()]


def _lengths(stat_length, ndim):
    if stat_length is None:
        return [(None, None)] * ndim
    return [tuple(pair) for pair in np.broadcast_to(stat_length, (ndim, 2)).tolist()]


def _each(x, widths, margin):
    """`x` between the margins ``margin(x, axis, side, count)`` of each axis."""
    for axis, (before, after) in enumerate(widths):
        parts = [margin(x, axis, 0, before)] if before else []
        parts += [x, margin(x, axis, 1, after)] if after else [x]
        x = concatenate(parts, axis) if len(parts) > 1 else x
    return x


def _cut(x, axis, start, stop, step=None):
    return read(x, (slice(None),) * axis + (slice(start, stop, step),))


def _stretched(part, axis, count):
    return broadcast_to(part, part.shape[:axis] + (count,) + part.shape[axis + 1:])


def _constant(x, axis, side, count, value):
    return broadcast_to(value, x.shape[:axis] + (count,) + x.shape[axis + 1:])


def _ramp(x, axis, side, count, end):
    """From the end value, which stands outermost, towards the edge, which stays its own."""
    steps = np.arange(count) / count
    steps = (steps if side == 0 else steps[::-1]).astype(x.dtype if x.dtype.kind in "fc" else float)
    edge = _cut(x, axis, 0, 1) if side == 0 else _cut(x, axis, -1, None)
    return (end + (edge - end) * reshape(steps, (-1,) + (1,) * (x.ndim - axis - 1))).astype(x.dtype)


def _statistic(function, x, axis, side, count, length):
    extent = x.shape[axis]
    length = extent if length is None else min(length, extent)
    part = _cut(x, axis, 0, length) if side == 0 else _cut(x, axis, extent - length, None)
    value = function(part, axis, keepdims=True)
    value = (rint(value) if x.dtype.kind in "iu" else value).astype(x.dtype)
    return _stretched(value, axis, count)


def _indexed(x, axis, before, after, mode):
    """The margins are entries of `x`: those that NumPy puts there for the numbers 0, 1, ..."""
    places = np.pad(np.arange(x.shape[axis]), (before, after), mode)
    margins = [read(x, (slice(None),) * axis + (part,))
               for part in (places[:before], places[places.size - after:])]
    return concatenate([margins[0], x, margins[1]], axis)


def _odd(x, axis, before, after, mode):
    """Point reflections at the edges: 2 edge - x, as often as needed."""
    with_edge = mode == "symmetric"
    period = x.shape[axis] - (not with_edge)
    while before or after:
        extent = x.shape[axis]
        reach = (extent - (not with_edge)) // period * period
        skip, parts = (0 if with_edge else 1), [x]
        count = min(reach, before)
        if count:
            inner = _cut(x, axis, skip, skip + count)
            parts.insert(0, 2 * _cut(x, axis, 0, 1) - _flipped(inner, axis))
            before -= count
        count = min(reach, after)
        if count:
            inner = _cut(x, axis, extent - skip - count, extent - skip)
            parts.append(2 * _cut(x, axis, extent - 1, None) - _flipped(inner, axis))
            after -= count
        x = concatenate(parts, axis)
    return x


def _flipped(x, axis):
    return _cut(x, axis, None, None, -1)
