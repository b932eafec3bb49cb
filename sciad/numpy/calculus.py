"""Differences, integrals, interpolation, convolution."""

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import reduce, signal, sorting
from sciad.ops.functions import require_real
from sciad.ops.indexing import read
from sciad.ops.shape import broadcast_to, concatenate, normalize_axis, reshape


def _cut(x, axis, start, stop):
    return read(x, (slice(None),) * axis + (slice(start, stop),))


@implements(np.diff)
def diff(a, n=1, axis=-1, prepend=np._NoValue, append=np._NoValue):
    a = as_array(a)
    axis = normalize_axis(axis, a.ndim, "diff")
    if n < 0:
        raise ArgumentError(f"diff: order {n} must not be negative{at_line()}")
    if not n:
        return a
    ends = [x if x is np._NoValue else _slab(x, a, axis) for x in (prepend, append)]
    parts = [x for x in (ends[0], a, ends[1]) if x is not np._NoValue]
    a = concatenate(parts, axis) if len(parts) > 1 else a
    difference = e.not_equal if a.dtype.kind == "b" else e.subtract
    for _ in range(n):
        a = difference(_cut(a, axis, 1, None), _cut(a, axis, None, -1))
    return a


def _slab(x, a, axis):
    """What `diff` puts before or after: a number stands for one layer."""
    x = as_array(x)
    return x if x.ndim else broadcast_to(x, a.shape[:axis] + (1,) + a.shape[axis + 1:])


@implements(np.ediff1d)
def ediff1d(ary, to_end=None, to_begin=None):
    flat = reshape(as_array(ary), (-1,))
    parts = [to_begin, _cut(flat, 0, 1, None) - _cut(flat, 0, None, -1), to_end]
    return concatenate([reshape(as_array(x), (-1,)).astype(flat.dtype)
                        for x in parts if x is not None], 0)


@implements(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    """Second-order differences inside, of order `edge_order` at the ends; spacings and
    coordinates may be differentiated too."""
    f = as_array(f)
    axes = reduce.axes_of(axis, f.ndim, "gradient")
    if isinstance(axis, (tuple, list)):
        axes = tuple(int(a) % f.ndim for a in axis)
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order {edge_order} must be 1 or 2{at_line()}")
    spacings = [as_array(x) for x in varargs] or [np.float64(1.0)]
    if len(spacings) == 1:
        spacings = spacings * len(axes)
    if len(spacings) != len(axes):
        raise ArgumentError(f"gradient: {len(spacings)} spacings for {len(axes)} axes{at_line()}")
    f = f.astype(np.float64) if f.dtype.kind in "iu" else f
    dtype = f.dtype if f.dtype.kind in "fc" else np.dtype(float)
    out = tuple(_slope(f, h, a, edge_order).astype(dtype)
                for h, a in zip(spacings, axes, strict=True))
    return out[0] if len(out) == 1 else out


def _slope(f, h, axis, edge_order):
    n = f.shape[axis]
    if n <= edge_order:
        raise ArgumentError(f"gradient: axis {axis} of shape {f.shape} needs at least "
                            f"{edge_order + 1} points{at_line()}")
    if h.ndim > 1 or h.ndim and h.shape[0] != n:
        raise ArgumentError(f"gradient: coordinates of shape {h.shape} for an axis of {n} points"
                            f"{at_line()}")
    if not h.ndim:
        steps = broadcast_to(h, (n - 1,))
    else:
        steps = _cut(h, 0, 1, None) - _cut(h, 0, None, -1)
    steps = reshape(steps, (n - 1,) + (1,) * (f.ndim - axis - 1))
    before, here, after = (_cut(f, axis, k, n - 2 + k) for k in range(3))
    left, right = read(steps, slice(None, -1)), read(steps, slice(1, None))
    inner = (-right / (left * (left + right)) * before + (right - left) / (left * right) * here
             + left / (right * (left + right)) * after)
    return concatenate([_end(f, steps, axis, edge_order, 1), inner,
                        _end(f, steps, axis, edge_order, -1)], axis)


def _end(f, steps, axis, edge_order, side):
    """The one-sided difference at the first (side 1) or last (side -1) point."""
    n = f.shape[axis]
    points = [_cut(f, axis, k, k + 1) for k in (range(3) if side > 0 else range(n - 1, n - 4, -1))
              if 0 <= k < n]
    first, second = (read(steps, slice(k, k + 1))
                     for k in ((0, 1) if side > 0 else (n - 2, n - 3)))
    if edge_order == 1:
        return side * (points[1] - points[0]) / first
    total = first + second
    slope = (-(2.0 * first + second) / (first * total) * points[0]
             + total / (first * second) * points[1] - first / (second * total) * points[2])
    return side * slope


@implements(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    y = as_array(y)
    axis = normalize_axis(axis, y.ndim, "trapezoid")
    return reduce.sum_(_trapezoids(y, x, dx, axis), axis)


def cumulative_trapezoid(y, x=None, dx=1.0, axis=-1, initial=None):
    """The integral up to each sample by the trapezoidal rule, as
    `scipy.integrate.cumulative_trapezoid`.

    Parameters
    ----------
    y : array_like
        Samples.
    x : array_like, optional
        Their places: one vector, or an array of the shape of `y`.
    dx : float
        Their distance, where `x` is not given.
    axis : int
        To integrate along.
    initial : float, optional
        Put before the first integral, so that the result has as many entries as `y`.

    Returns
    -------
    array
        One entry less than `y` along the axis, unless `initial` is given.

    Raises
    ------
    ArgumentError
        If there is no sample along the axis.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> from sciad import numpy as snp
    >>> sciad.jacobian(snp.cumulative_trapezoid)(np.array([1.0, 2.0, 4.0]))
    array([[0.5, 0.5, 0. ],
           [0.5, 1. , 0.5]])
    """
    y = as_array(y)
    axis = normalize_axis(axis, y.ndim, "cumulative_trapezoid")
    if not y.shape[axis]:
        raise ArgumentError(f"cumulative_trapezoid: shape {y.shape} has no sample along axis "
                            f"{axis}{at_line()}")
    sums = reduce.cumsum(_trapezoids(y, x, dx, axis), axis)
    if initial is None:
        return sums
    start = broadcast_to(as_array(initial), y.shape[:axis] + (1,) + y.shape[axis + 1:])
    return concatenate([start.astype(sums.dtype), sums], axis)


def _trapezoids(y, x, dx, axis):
    """The areas between neighbouring samples."""
    if x is None:
        width = dx if isinstance(dx, (int, float)) else as_array(dx)
    else:
        x = as_array(x)
        width = _cut(x, 0 if x.ndim == 1 else axis, 1, None) - _cut(
            x, 0 if x.ndim == 1 else axis, None, -1)
        if x.ndim == 1:
            width = reshape(width, (-1,) + (1,) * (y.ndim - axis - 1))
    return width * (_cut(y, axis, 1, None) + _cut(y, axis, None, -1)) / 2.0


@implements(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None):
    """Piecewise linear interpolation, differentiable by x, xp, fp, left and right.

    At a node the slope by x is that of the interval to its right; outside of the nodes it is 0.
    """
    x, xp, fp = (v.astype(np.result_type(v.dtype, np.float64)) for v in map(as_array, (x, xp, fp)))
    require_real("np.interp", x, xp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ArgumentError(f"interp: nodes of shape {xp.shape} and values of shape {fp.shape}, "
                            f"must be two vectors of one length{at_line()}")
    if period is not None:
        x, xp, fp = _periodic(x, xp, fp, abs(as_array(period)))
        left = right = None
    n = xp.shape[0]
    left = read(fp, 0) if left is None else as_array(left)
    right = read(fp, n - 1) if right is None else as_array(right)
    if n == 1:
        inside = broadcast_to(read(fp, 0), x.shape)
    else:
        place = e.clip(sorting.searchsorted(xp, x, "right") - 1, 0, n - 2)
        start, value = read(xp, place), read(fp, place)
        inside = (read(fp, place + 1) - value) / (read(xp, place + 1) - start) * (x - start) + value
    out = e.where(e.less(x, read(xp, 0)), left, inside)
    return e.where(e.greater(x, read(xp, n - 1)), right, out)


def _periodic(x, xp, fp, period):
    x, xp = e.remainder(x, period), e.remainder(xp, period)
    order = sorting.argsort(xp)
    xp, fp = read(xp, order), read(fp, order)
    xp = concatenate([_cut(xp, 0, -1, None) - period, xp, _cut(xp, 0, 0, 1) + period], 0)
    return x, xp, concatenate([_cut(fp, 0, -1, None), fp, _cut(fp, 0, 0, 1)], 0)


@implements(np.unwrap)
def unwrap(p, discont=None, axis=-1, *, period=2 * np.pi):
    """Jumps are taken out by multiples of `period`, which are constant."""
    p = as_array(p)
    axis = normalize_axis(axis, p.ndim, "unwrap")
    discont = period / 2 if discont is None else discont
    step = _cut(p, axis, 1, None) - _cut(p, axis, None, -1)
    half = period / 2
    turns = e.floor_divide(step + half, period)
    wrapped = step - turns * period
    at_edge = e.logical_and(e.equal(wrapped, -half), e.greater(step, 0))
    turns = e.where(at_edge, turns - 1.0, turns)
    jumps = e.where(e.less(e.absolute(step), discont), 0.0, turns * -period)
    return concatenate([_cut(p, axis, None, 1),
                        _cut(p, axis, 1, None) + reduce.cumsum(jumps, axis)], axis)


@implements(np.convolve)
def convolve(a, v, mode="full"):
    a, v = _vectors(a, v)
    return signal.convolve(a, v, mode)


@implements(np.correlate)
def correlate(a, v, mode="valid"):
    a, v = _vectors(a, v)
    return signal.correlate(a, v, mode)


def _vectors(*operands):
    operands = [as_array(x) for x in operands]
    return [x if x.ndim else reshape(x, (1,)) for x in operands]
