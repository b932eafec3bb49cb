"""Memory planning: which buffers of a kernel share memory.

All allocations of a kernel that do not fit on the stack stand in one workspace, taken at its start
and released at its end. Two buffers may have the same place if they are never alive at once. A
buffer is alive from the first statement that touches it to the last; one that is touched in a loop
and outside it is alive in all of the loop. One that only a loop's body touches is alive from its
first to its last statement there: lowering writes a buffer in an iteration before it reads it in
the same one (what one iteration hands to the next is written before the loop as well).

In a function that was cut (outline.py) this holds for the calls of its pieces: the parameters of a
piece must not overlap, so buffers of one piece never share a place.

Places are given greedily, the largest buffer first, each at the lowest offset where it fits beside
those that are alive with it (Pisarchyk and Lee, "Efficient memory management for deep neural net
inference", 2020, section 5.1, "greedy by size").
"""

from __future__ import annotations

import heapq

from sciad.compiler.nodes import (
    STACK_TOTAL,
    Alloc,
    Call,
    Const,
    If,
    Loop,
    Name,
    Placement,
    While,
    allocations,
    expressions,
    names_of,
    on_stack,
)
from sciad.compiler.scalars import DTYPES

Span = tuple[int, int]
_CAREFULLY = 300
"""Buffers that are placed side by side; of more, only those of equal size share a place."""


def constant_sizes(body: list) -> dict[str, int]:
    """The bytes of each allocation of constant size, whole cache lines."""
    return {s.name: -(-max(s.count.value, 1) * DTYPES[s.type].itemsize // 64) * 64
            for s in allocations(body) if type(s.count) is Const}


def on_the_stack(sizes: dict[str, int], small: set[str]) -> set[str]:
    """The small allocations that the stack has room for, the smallest first."""
    room, chosen = STACK_TOTAL, set()
    for name in sorted((name for name in sizes if name in small), key=sizes.__getitem__):
        if sizes[name] <= room:
            room -= sizes[name]
            chosen.add(name)
    return chosen


def placement(body: list) -> Placement:
    """Places for the allocations of a kernel that are not on the stack."""
    sizes = constant_sizes(body)
    stacked = on_the_stack(sizes, {s.name for s in allocations(body) if on_stack(s)})
    rest = {name: size for name, size in sizes.items() if name not in stacked}
    if not rest:
        return Placement({}, 0)
    spans = live_spans(body, set(rest))
    return (_by_size if len(rest) <= _CAREFULLY else _by_age)(rest, spans)


def _by_size(sizes: dict[str, int], spans: dict[str, Span]) -> Placement:
    placed: list[tuple[int, int, Span]] = []  # from, to, alive
    offsets = {}
    for name in sorted(sizes, key=lambda n: (-sizes[n], spans[n])):
        size, (first, last) = sizes[name], spans[name]
        offset = 0
        for start, stop, (a, b) in placed:
            if a <= last and first <= b and start < offset + size and offset < stop:
                offset = stop
        offsets[name] = offset
        placed.append((offset, offset + size, spans[name]))
        placed.sort()
    return Placement(offsets, max(offsets[name] + sizes[name] for name in sizes))


def _by_age(sizes: dict[str, int], spans: dict[str, Span]) -> Placement:
    """In the order of their first use; each in the place of one of its size that is dead."""
    offsets: dict[str, int] = {}
    free: dict[int, list[int]] = {}
    ends: list[tuple[int, int, int]] = []
    total = 0
    for name in sorted(sizes, key=spans.__getitem__):
        start, stop = spans[name]
        while ends and ends[0][0] < start:
            _, size, place = heapq.heappop(ends)
            free.setdefault(size, []).append(place)
        size = sizes[name]
        if free.get(size):
            offsets[name] = free[size].pop()
        else:
            offsets[name] = total
            total += size
        heapq.heappush(ends, (stop, size, offsets[name]))
    return Placement(offsets, total)


# --- lifetimes ------------------------------------------------------------------------------------


class _Touches:
    """Where names are touched: for each path of loops, the first and the last statement."""

    def __init__(self, names: set[str]):
        self.names = names
        self.count = 0
        self.extents: dict[int, Span] = {}
        self.touched: dict[str, dict[tuple[int, ...], Span]] = {name: {} for name in names}
        self.escaped: set[str] = set()

    def note(self, read: set[str], path: tuple[int, ...]) -> None:
        for name in read & self.names:
            first = self.touched[name].get(path, (self.count, 0))[0]
            self.touched[name][path] = (first, self.count)

    def visit(self, body: list, path: tuple[int, ...] = ()) -> None:
        for s in body:
            self.count += 1
            if type(s) is Alloc:
                continue
            read = {name for e in expressions(s) for name in names_of(e)}
            if type(s) is Call and type(s.target) is Name:
                read.add(s.target.name)
            self.note(read, path)
            kind = type(s)
            if kind is If:
                self.visit(s.then, path)
                self.visit(s.orelse, path)
            elif kind is Loop or kind is While:
                here = self.count
                inner = (*path, here)
                if kind is While:
                    self.visit(s.head, inner)
                    self.count += 1
                    self.note(set(names_of(s.condition)), inner)
                self.visit(s.body, inner)
                self.extents[here] = (here, self.count)
            elif hasattr(s, "expr") and s.expr is not None and s.expr.type.startswith("ptr"):
                self.escaped |= read


def live_spans(body: list, names: set[str]) -> dict[str, Span]:
    """The first and the last statement, numbered in the order of the text, at which each of these
    buffers is alive; all of the body if a pointer into it is made."""
    touches = _Touches(names)
    touches.visit(body)
    return {name: (0, touches.count) if name in touches.escaped
            else _span(where, touches.extents) for name, where in touches.touched.items()}


def _span(where: dict[tuple[int, ...], Span], extents: dict[int, Span]) -> Span:
    paths = list(where)
    if not paths:
        return (0, 0)
    depth = 0
    while all(len(path) > depth and path[depth] == paths[0][depth] for path in paths):
        depth += 1
    ends = [extents[path[depth]] if len(path) > depth else span for path, span in where.items()]
    return min(first for first, _ in ends), max(last for _, last in ends)
