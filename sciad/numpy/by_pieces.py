"""np.piecewise: functions of the entries where a condition holds.

As in NumPy each function sees those entries alone, in a vector, so the conditions must be known.
While recording they are not: a function that treats every entry alike, whatever the others are and
however many, is then given all entries, and its results are selected. What it was recorded as, for
vectors of two lengths, tells whether it is one.
"""

import functools

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.errors import ArgumentError, RecordError, at_line
from sciad.core.graph import Graph, Type
from sciad.core.record import record_leaves
from sciad.core.rules import Elementwise
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops.indexing import read
from sciad.ops.shape import broadcast_to, concatenate, reshape

_LENGTHS = 1237, 1249
"""Unlikely numbers, so that a length that stands in a graph is no coincidence."""

_BY_ENTRY = {id(primitive) for primitive in (*e.UFUNC_PRIMITIVES.values(), e.astype)}


@implements(np.piecewise)
def piecewise(x, condlist, funclist, *args, **kw):
    """As NumPy; where several conditions hold, the last of them decides."""
    x = as_array(x)
    masks = _conditions(x, condlist, len(funclist))
    functions = [_with(f, args, kw) if callable(f) else f for f in funclist]
    if all(type(mask) is not Array or has_data(mask) for mask in masks):
        masks = [plain(mask).reshape(-1) for mask in masks]
        return reshape(_of_parts(reshape(x, (-1,)), masks, functions), x.shape)
    return _selected(x, masks, functions)


def _with(function, args, kw):
    return lambda entries: function(entries, *args, **kw)


def _conditions(x, condlist, count):
    """The masks, with that of the default where one more function is given."""
    if isinstance(condlist, Array) or np.ndim(condlist[0]) == 0 and x.ndim:
        condlist = [condlist]
    masks = [broadcast_to(as_array(c), x.shape).astype(bool) for c in condlist]
    if count == len(masks) + 1:
        masks.append(~functools.reduce(np.logical_or, masks))
    if count != len(masks):
        raise ArgumentError(f"piecewise: {len(masks)} conditions for {count} functions, must be as "
                            f"many or one more function{at_line()}")
    return masks


def _of_parts(x, masks, functions):
    """The vector whose entries come from the function of the last condition that holds."""
    chosen = np.full(x.shape, -1)
    for k, mask in enumerate(masks):
        chosen[mask] = k
    parts, places = [], []
    for k, function in enumerate(functions):
        place = np.nonzero(chosen == k)[0]
        if place.size:
            entries = read(x, place)
            value = function(entries) if callable(function) else function
            parts.append(broadcast_to(as_array(value), place.shape).astype(x.dtype))
            places.append(place)
    rest = np.nonzero(chosen == -1)[0]
    order = np.argsort(np.concatenate([*places, rest]))
    return read(concatenate([*parts, np.zeros(rest.shape, x.dtype)], 0), order)


def _selected(x, masks, functions):
    """The same of all entries, where no function looks at more than one of them at a time."""
    out, entries = np.zeros(x.shape, x.dtype), reshape(x, (-1,))
    for mask, function in zip(masks, functions, strict=True):
        value = _of_all(function, entries) if callable(function) else function
        value = broadcast_to(as_array(value), entries.shape).astype(x.dtype)
        out = e.where(mask, reshape(value, x.shape), out)
    return out


def _of_all(function, entries):
    first, second = (_recorded(function, n, entries.dtype) for n in _LENGTHS)
    if not (_by_entry(first) and _text(first, _LENGTHS[0]) == _text(second, _LENGTHS[1])):
        raise RecordError(f"a function of np.piecewise looks at several entries at once{at_line()}"
                          "; which ones it sees depends on the conditions, whose data recording "
                          "does not have")
    return function(entries)


def _recorded(function, length, dtype) -> Graph:
    return record_leaves(function, [Type((length,), dtype)]).graph


def _by_entry(graph: Graph) -> bool:
    """Whether every operation computes each entry from that entry alone."""
    return all(isinstance(equation.primitive, Elementwise) or id(equation.primitive) in _BY_ENTRY
               for equation in graph.equations)


def _text(graph: Graph, length: int) -> str:
    """The graph without the length of the vectors in it."""
    return str(graph).replace(f"[{length}]", "[n]")
