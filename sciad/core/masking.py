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

from typing import Any

import numpy as np

from sciad.core import reverse
from sciad.core.array import Array, has_data, plain
from sciad.core.graph import shape_of
from sciad.core.rules import Elementwise, Tools


def has_nan(slopes: list) -> bool:
    """Whether a NaN appears where there are data."""
    for slope in slopes:
        if type(slope) is Array:
            if not has_data(slope):
                continue
            slope = plain(slope)
        if slope is None:
            continue
        if slope != slope if type(slope) is np.float64 else np.isnan(slope).any():
            return True
    return False


def pull_masked(entries: list, seeds: list[tuple[int, Any]], leaves: int) -> list:
    """As `Tape.pull`, with rules applied to live entries only."""
    cots = _Cotangents(len(entries))
    for node, seed in seeds:
        cots.add(node, seed, np.ones(shape_of(seed), bool)[()])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for i in range(len(entries) - 1, leaves - 1, -1):
            if cots.value[i] is not None:
                _PULLS[entries[i][0]](entries[i], cots.value[i], cots.live[i], cots)
                cots.value[i] = None
    return cots.value[:leaves]


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
        lives = [np.ones(shape_of(x), bool)[()] for x in args]
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
    return parts, [np.ones(shape_of(x), bool)[()] for x in args]


def _elementwise(primitive, k, g, live, out, args, params):
    shape = shape_of(args[k])
    mark = np.asarray(plain(Tools.unbroadcast(live * 1.0, shape)) != 0)[()]
    if live.all():
        return primitive.vjp(k, g, out, args, params), mark
    chosen = np.nonzero(live)
    parts = [Tools.broadcast_to(x, live.shape)[chosen] if shape_of(x) else x for x in (g, out)]
    operands = [Tools.broadcast_to(x, live.shape)[chosen] if shape_of(x) or i == k else x
                for i, x in enumerate(args)]
    part = primitive.vjp(k, parts[0], parts[1], operands, params)
    if part is None:
        return None, mark
    full = Tools.index_set(Tools.zeros(live.shape, part.dtype), part, chosen)
    return Tools.unbroadcast(full, shape), mark


def _pick(entry, g, live, cots):
    _, source, k, count = entry
    if cots.value[source] is None:
        cots.value[source] = [None] * count
    cots.value[source][k] = g


def _as_general(primitive, out, args, nodes):
    return (None, primitive, out, args, nodes, {})


def _unary(entry, g, live, cots):
    _, partial, z, x, ix = entry
    _general(_as_general(Elementwise("", None, partial), z, (x,), (ix,)), g, live, cots)


def _left(entry, g, live, cots):
    _, partial, z, x, c, ix = entry
    _general(_as_general(Elementwise("", None, partial, None), z, (x, c), (ix, None)), g, live,
             cots)


def _right(entry, g, live, cots):
    _, partial, z, c, x, ix = entry
    _general(_as_general(Elementwise("", None, None, partial), z, (c, x), (None, ix)), g, live,
             cots)


def _both(entry, g, live, cots):
    _, partials, z, x, y, ix, iy = entry
    _general(_as_general(Elementwise("", None, *partials), z, (x, y), (ix, iy)), g, live, cots)


def _read(entry, g, live, cots):
    _, shape, index, _, ix = entry
    mark = np.zeros(shape, bool)
    np.logical_or.at(mark, index, live)
    cots.add(ix, Tools.index_add(Tools.zeros(shape, g.dtype), g, index), mark)


def _write(entry, g, live, cots):
    _, index, ix, iv, v = entry
    if iv is not None:
        mark = Tools.unbroadcast(live[index] * 1.0, v.shape) != 0
        cots.add(iv, Tools.unbroadcast(g[index], v.shape), mark)
    if ix is not None:
        mark = np.array(live)
        mark[index] = False
        cots.add(ix, Tools.index_set(g, Tools.zeros((), g.dtype), index), mark[()])


_PULLS = {
    reverse.pull_general: _general, reverse.pull_pick: _pick, reverse.pull_unary: _unary,
    reverse.pull_left: _left, reverse.pull_right: _right, reverse.pull_both: _both,
    reverse.pull_read: _read, reverse.pull_write: _write,
}
