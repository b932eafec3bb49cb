"""Singular points: the backward pass that keeps dropped entries at exact zero.

A selection (where, maximum, max, an index, an assignment) drops entries: nothing depends on them.
The plain pass sends them a cotangent of 0, and if the operation before has an infinite slope
there, 0 * inf = NaN, though the derivative is 0:

    y = where(x > 0, sqrt(x), 0) at x = 0:      g = 0,  0 * 0.5 / sqrt(0) = NaN

So when a NaN appears in a gradient, the pass is run again with a mask beside each cotangent:
`live` marks the entries that the result depends on. Rules are then applied to live entries only,
and the others stay zero. No other NaN changes: sqrt(x)**2 at 0 stays NaN.

How `live` moves: a primitive that `routes` entries (moves, sums or drops them) sends it through
its own adjoint; an elementwise one keeps it; any other makes all its operands live.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import reverse
from sciad.core.array import Array, has_data, plain
from sciad.core.backend import (
    as_operand,
    beside,
    ground,
    has_memory,
    module_of,
    on_any_device,
)
from sciad.core.graph import Type, shape_of
from sciad.core.rules import MINUS, SAME, Elementwise, Linear, Multilinear, Tools


def has_nan(slopes: list, entries: list | None = None) -> bool:
    """Whether a NaN appears where there are data.

    To ask a device, the program must wait for it; so it is asked only if `entries`, the tape that
    the slopes came from, drop any values. Elsewhere a second pass would find the same.
    """
    asked = []
    for slope in slopes:
        if has_memory(value := ground(slope)) and not isinstance(value, np.ndarray):
            asked.append(value)
            continue
        if type(slope) is Array:
            if not has_data(slope):
                continue
            slope = plain(slope)
        if slope is None:
            continue
        if slope != slope if type(slope) is np.float64 else np.isnan(slope).any():
            return True
    if not asked or entries is not None and not _drops(entries):
        return False
    return bool(module_of(*asked).stack([np.isnan(x).any() for x in asked]).any())


def _drops(entries) -> bool:
    """Whether an entry of a tape is a selection."""
    return any(entry[0] in _SELECTS or entry[0] == reverse.GENERAL and entry[1].routes
               and not isinstance(entry[1], (Linear, Multilinear)) for entry in entries)


def pull_masked(tape: reverse.Tape, seeds: list[tuple[int, Any]], leaves: int,
                look: Callable | None = None) -> list:
    """As `Tape.pull`, with rules applied to live entries only; ``look(i, g, cotangents)`` is
    called after entry `i` has passed on its cotangent g."""
    entries = tape.entries
    cots = _Cotangents(len(entries))
    for node, seed in seeds:
        cots.add(node, seed, _all_live(seed, seed))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for i in tape.order(leaves):
            g = cots.value[i]
            if g is not None:
                _PULLS[entries[i][0]](entries[i], g, cots.live[i], cots)
                if look is not None:
                    look(i, g, cots)
                cots.value[i] = None
    return cots.value[:leaves]


def _all_live(x, *beside_these):
    return beside(np.ones(shape_of(x), bool)[()], *beside_these)


class _Cotangents:
    """The cotangent of each node, and which of its entries are live."""

    def __init__(self, count):
        self.value: list[Any] = [None] * count
        self.live: list[Any] = [None] * count

    def add(self, node, part, live):
        if part is None or not np.any(live):
            return
        if not np.all(live):
            part = Tools.where(live, part, 0.0)
        old = self.value[node]
        self.value[node] = part if old is None else old + part
        self.live[node] = live if old is None else self.live[node] | live


def _general(entry, g, live, cots):
    _, primitive, out, args, nodes, params = entry
    if primitive.multiple:
        needs = [node is not None for node in nodes]
        parts = primitive.joint_vjp(g, needs, out, args, params)
        lives = [_all_live(x, *g) for x in args]
    else:
        parts, lives = _parts(primitive, g, live, out, args, nodes, params)
    for node, part, part_live in zip(nodes, parts, lives, strict=True):
        if node is not None:
            cots.add(node, part, part_live)


def _parts(primitive, g, live, out, args, nodes, params):
    """The cotangents of the operands, and their masks."""
    needs = [node is not None for node in nodes]
    if primitive.routes:
        parts = primitive.joint_vjp(g, needs, out, args, params)
        marks = primitive.joint_vjp(live * 1.0, needs, out, args, params)
        return parts, [None if mark is None else plain(mark) != 0 for mark in marks]
    if isinstance(primitive, Elementwise):
        pairs = [_elementwise(primitive, k, g, live, out, args, params) if need else (None, None)
                 for k, need in enumerate(needs)]
        return zip(*pairs, strict=True)
    parts = primitive.joint_vjp(g, needs, out, args, params)
    return parts, [_all_live(x, g) for x in args]


def _elementwise(primitive, k, g, live, out, args, params):
    shape = shape_of(args[k])
    mark = as_operand(plain(Tools.unbroadcast(live * 1.0, shape)) != 0)[()]
    if live.all():
        return primitive.vjp(k, g, out, args, params), mark
    chosen = np.nonzero(live)
    g, out = (_chosen(x, live, chosen) if shape_of(x) else x for x in (g, out))
    operands = [_chosen(x, live, chosen) if shape_of(x) or i == k else x
                for i, x in enumerate(args)]
    part = primitive.vjp(k, g, out, operands, params)
    if part is None:
        return None, mark
    full = Tools.index_set(Tools.zeros(live.shape, part.dtype, part), part, chosen)
    return Tools.unbroadcast(full, shape), mark


def _chosen(x, live, chosen):
    """The chosen entries of an operand that is stretched to the shape of `live`."""
    if type(x) is Type:
        return Type((len(chosen[0]),), x.dtype)
    return Tools.broadcast_to(x, live.shape)[chosen]


def _rule(entry, g, live, cots):
    _, rule, saved, nodes, routes = entry
    parts = rule(g, saved, nodes)
    marks = rule(live * 1.0, saved, nodes) if routes else parts
    for node, part, mark in zip(nodes, parts, marks, strict=True):
        if node is not None:
            mark = plain(mark) != 0 if routes else np.ones(part.shape, bool)[()]
            cots.add(node, part, mark)


def _pick(entry, g, live, cots):
    _, source, k, count = entry
    if cots.value[source] is None:
        cots.value[source] = [None] * count
    cots.value[source][k] = g


def _as_general(primitive, out, args, nodes):
    return (None, primitive, out, args, nodes, {})


def _unary(entry, g, live, cots):
    _, number, z, x, ix = entry
    partial = reverse.PARTIALS[number]
    _general(_as_general(Elementwise("", None, partial), z, (x,), (ix,)), g, live, cots)


def _scale(entry, g, live, cots):
    _, number, c, ix = entry
    factor = reverse.PARTIALS[number]
    cots.add(ix, g if factor is SAME else -g if factor is MINUS else g * factor(c), live)


def _left(entry, g, live, cots):
    _, number, z, x, c, ix = entry
    partial = reverse.PARTIALS[number]
    _general(_as_general(Elementwise("", None, partial, None), z, (x, c), (ix, None)), g, live,
             cots)


def _right(entry, g, live, cots):
    _, number, z, c, x, ix = entry
    partial = reverse.PARTIALS[number]
    _general(_as_general(Elementwise("", None, None, partial), z, (c, x), (None, ix)), g, live,
             cots)


def _both(entry, g, live, cots):
    _, number, z, x, y, ix, iy = entry
    partials = reverse.PARTIALS[number]
    _general(_as_general(Elementwise("", None, *partials), z, (x, y), (ix, iy)), g, live, cots)


def _read(entry, g, live, cots):
    _, shape, index, _, ix = entry
    mark = plain(Tools.index_add(Tools.zeros(shape, float, live), live * 1.0, index)) != 0
    cots.add(ix, Tools.index_add(Tools.zeros(shape, g.dtype, g), g, index), mark)


def _write(entry, g, live, cots):
    _, index, ix, iv, v = entry
    if iv is not None:
        mark = Tools.unbroadcast(live[index] * 1.0, v.shape) != 0
        cots.add(iv, Tools.unbroadcast(g[index], v.shape), mark)
    if ix is not None:
        mark = live.copy() if on_any_device(live) else np.array(live)
        mark[index] = False
        cots.add(ix, Tools.index_set(g, Tools.zeros((), g.dtype), index), mark[()])


_SELECTS = (reverse.READ, reverse.READ_ON_DEVICE, reverse.WRITE)

_PULLS = {
    reverse.GENERAL: _general, reverse.PICK: _pick, reverse.UNARY: _unary, reverse.SCALE: _scale,
    reverse.LEFT: _left, reverse.RIGHT: _right, reverse.BOTH: _both,
    reverse.READ: _read, reverse.READ_ON_DEVICE: _read, reverse.WRITE: _write,
    reverse.RULE: _rule,
}
