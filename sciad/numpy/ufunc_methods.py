"""The methods of ufuncs: reduce, accumulate, reduceat, outer and at.

Sums, products, extrema and truth values have reductions of their own; every other ufunc of two
operands is applied entry after entry, as NumPy defines it.
"""

import math
import operator

import numpy as np

from sciad.core.array import FILLED, UFUNC_METHODS, UFUNCS, Array, plain
from sciad.core.errors import ArgumentError, LostGradientError, NoRuleError, at_line
from sciad.core.primitive import refused
from sciad.numpy.dispatch import as_array
from sciad.numpy.reductions import chosen, extremum, started
from sciad.ops import elementwise as e
from sciad.ops import functions, indexing, reduce, running, views
from sciad.ops.indexing import read
from sciad.ops.shape import broadcast_to, normalize_axis, reshape, stack, transpose_p

_NOTHING = np._NoValue


# --- reduce ---------------------------------------------------------------------------------------


def _masked(function, combine, blank):
    """A reduction to which an entry that is left out counts as `blank`."""

    def rule(x, axis=0, keepdims=False, initial=_NOTHING, where=True):
        x = chosen(as_array(x), where, blank)
        return started(combine, function(x, axis=axis, keepdims=keepdims), initial)

    return rule


def _extremum(function, combine):
    def rule(x, axis=0, keepdims=False, initial=_NOTHING, where=True):
        return extremum(function, combine, as_array(x), axis, keepdims, initial, where)

    return rule


def _nonan(function, blank):
    """fmax and fmin over axes: a NaN counts only among NaNs."""

    def reduction(x, axis, keepdims):
        if x.dtype.kind not in "fc":
            return function(x, axis, keepdims)
        gone = e.isnan(x)
        found = function(e.where(gone, blank, x), axis, keepdims)
        return e.where(reduce.all_(gone, axis, keepdims), np.nan, found)

    return reduction


def _folded(ufunc):
    """Entry after entry; along several axes where their order does not count."""

    def rule(x, axis=0, keepdims=False, initial=_NOTHING, where=True):
        x = _in_its_dtype(ufunc, "reduce", as_array(x))
        _refuse_where(ufunc, "reduce", where)
        axes = reduce.reduced_axes(axis, x.ndim, f"{ufunc.__name__}.reduce")
        if len(axes) != 1 and ufunc.identity is None:
            raise ArgumentError(f"{ufunc.__name__}.reduce: the order of the entries counts, so it "
                                f"takes one axis, not {axis}{at_line()}")
        steps = _layers(_as_first_axis(x, axes), 0)
        out = None if initial is _NOTHING else initial
        for step in steps:
            out = step if out is None else ufunc(out, step)
        if not steps:
            out = _of_nothing(ufunc, x, axes, out)
        if not keepdims:
            return out
        kept = tuple(1 if k in axes else n for k, n in enumerate(x.shape))
        return reshape(as_array(out), kept)

    return rule


def _as_first_axis(x, axes):
    """`x` with all of `axes` as one, the first."""
    rest = [k for k in range(x.ndim) if k not in axes]
    count = math.prod(x.shape[k] for k in axes)
    return reshape(transpose_p(x, axes=(*axes, *rest)), (count, *(x.shape[k] for k in rest)))


def _of_nothing(ufunc, x, axes, initial):
    """The reduction of an array without entries: what it starts from."""
    start = ufunc.identity if initial is None else initial
    if start is None:
        raise ArgumentError(f"{ufunc.__name__}.reduce of an empty axis of shape {x.shape}"
                            f"{at_line()}")
    shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    return broadcast_to(as_array(start).astype(x.dtype), shape)


def _in_its_dtype(ufunc, method, x):
    """`x` in the dtype in which NumPy runs the loop of a ufunc's method."""
    one = np.ones(1, x.dtype)
    operands = (one, [0]) if method == "reduceat" else (one,)
    return x.astype(getattr(ufunc, method)(*operands).dtype)


def _layers(x, axis):
    return [read(x, (slice(None),) * axis + (k,)) for k in range(x.shape[axis])]


def _refuse_where(ufunc, method, where):
    if where is not True:
        raise NoRuleError(f"np.{ufunc.__name__}.{method} of a differentiated value does not take "
                          f"where{at_line()}")


# --- accumulate, reduceat, outer ------------------------------------------------------------------


def _running(function):
    def rule(x, axis=0):
        x = as_array(x)
        return function(x, normalize_axis(axis, x.ndim, "accumulate"))

    return rule


def _stepwise(ufunc):
    """The running result, entry after entry."""

    def rule(x, axis=0):
        x = _in_its_dtype(ufunc, "accumulate", as_array(x))
        axis = normalize_axis(axis, x.ndim, f"{ufunc.__name__}.accumulate")
        steps, outs = _layers(x, axis), []
        for step in steps:
            outs.append(step if not outs else ufunc(outs[-1], step))
        return stack(outs, axis) if outs else x

    return rule


def _by_segments(ufunc):
    """``ufunc.reduceat``: entry i reduces x[k_i : k_{i+1}], or is x[k_i] if that is empty."""
    reduction = UFUNC_METHODS[ufunc, "reduce"]

    def rule(x, indices, axis=0):
        x = _in_its_dtype(ufunc, "reduceat", as_array(x))
        starts = np.asarray(plain(as_array(indices), "the index of reduceat"))
        axis = normalize_axis(axis, x.ndim, f"{ufunc.__name__}.reduceat")
        extent, before = x.shape[axis], (slice(None),) * axis
        if np.any((starts < 0) | (starts >= extent)):
            raise ArgumentError(f"{ufunc.__name__}.reduceat: indices {starts} are not all in "
                                f"[0, {extent}){at_line()}")
        stops = [*starts[1:].tolist(), extent]
        parts = [reduction(read(x, (*before, slice(a, b))), axis) if a < b
                 else read(x, (*before, a)) for a, b in zip(starts.tolist(), stops, strict=True)]
        return stack(parts, axis)

    return rule


def _outer(ufunc):
    def rule(a, b):
        a, b = as_array(a), as_array(b)
        return ufunc(reshape(a, a.shape + (1,) * b.ndim), b)

    return rule


# --- at -------------------------------------------------------------------------------------------


def _at(ufunc, change):
    """``ufunc.at(x, index, v)``: an assignment in which repeated indices act one by one."""

    def rule(x, index, *v):
        if not isinstance(x, Array):
            raise refused(LostGradientError(
                f"np.{ufunc.__name__}.at would write a differentiated value into a plain array"
                f"{at_line()}; make the array by {FILLED}"))
        views.write(x, Ellipsis, change(x, index, *map(as_array, v)))

    return rule


def _in_rounds(ufunc):
    """The change of ``ufunc.at``: the first occurrence of each index, then the second, ..."""

    def change(x, index, *v):
        places = np.arange(x.size).reshape(x.shape)[_plain_index(index)]
        values = [reshape(broadcast_to(w, places.shape), (-1,)) for w in v]
        places, flat = places.reshape(-1), reshape(x, (-1,))
        turns = _occurrences(places)
        for turn in range(int(turns.max(initial=-1)) + 1):
            now = np.nonzero(turns == turn)[0]
            new = ufunc(read(flat, places[now]), *(read(w, now) for w in values))
            flat = indexing.index_set(flat, new.astype(x.dtype), places[now])
        return reshape(flat, x.shape)

    return change


def _plain_index(index):
    if isinstance(index, tuple):
        return tuple(_plain_index(entry) for entry in index)
    return plain(index, "the index of ufunc.at") if isinstance(index, Array) else index


def _occurrences(places):
    """How often each entry stood before itself."""
    order = np.argsort(places, kind="stable")
    ranked = places[order]
    first = np.searchsorted(ranked, ranked)
    out = np.empty_like(places)
    out[order] = np.arange(places.size) - first
    return out


# --- tables ---------------------------------------------------------------------------------------

REDUCE = {
    np.add: _masked(reduce.sum_, e.add, 0), np.multiply: _masked(reduce.prod, e.multiply, 1),
    np.logical_and: _masked(reduce.all_, e.logical_and, True),
    np.logical_or: _masked(reduce.any_, e.logical_or, False),
    np.logaddexp: _masked(running.logsumexp, functions.logaddexp, -np.inf),
    np.maximum: _extremum(reduce.max_, e.maximum), np.minimum: _extremum(reduce.min_, e.minimum),
    np.fmax: _extremum(_nonan(reduce.max_, -np.inf), e.maximum),
    np.fmin: _extremum(_nonan(reduce.min_, np.inf), e.minimum),
}

ACCUMULATE = {
    np.add: _running(reduce.cumsum), np.multiply: _running(running.cumprod),
    np.maximum: _running(running.cummax), np.minimum: _running(running.cummin),
}


def _sum_at(sign):
    return lambda x, index, v: indexing.index_add(x, sign(v), index)


def _install():
    binary = [u for u in UFUNCS if u.nin == 2 and u.nout == 1 and u.signature is None]
    for ufunc in binary:
        rules = UFUNC_METHODS
        rules[ufunc, "reduce"] = REDUCE.get(ufunc) or _folded(ufunc)
        rules[ufunc, "accumulate"] = ACCUMULATE.get(ufunc) or _stepwise(ufunc)
        rules[ufunc, "reduceat"] = _by_segments(ufunc)
        rules[ufunc, "outer"] = _outer(ufunc)
    for ufunc in UFUNCS:
        if ufunc.nout == 1 and ufunc.signature is None:
            UFUNC_METHODS[ufunc, "at"] = _at(ufunc, _in_rounds(ufunc))
    UFUNC_METHODS[np.add, "at"] = _at(np.add, _sum_at(operator.pos))
    UFUNC_METHODS[np.subtract, "at"] = _at(np.subtract, _sum_at(operator.neg))


_install()
