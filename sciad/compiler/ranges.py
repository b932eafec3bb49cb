"""Which values an index may take, and loops cut where an array's definition changes.

An array joined of pieces (`concatenate`, a write to a slice) is a virtual value with another
expression in each piece. Its `cuts` say, for each axis, at which places one piece ends. A loop
over its entries is cut there, so that in each part the bounds of the indices tell which piece is
meant, and no test remains in the loop:

    axis        0 1 2 3 4 5 6 7 8 9
    piece       | a |     b     | c |       cuts = (2, 8)
    loops       0..2    2..8     8..10

Where the bounds do not tell, both expressions are written and one is selected; indices are clamped
so that neither reads outside its memory. Thin parts beside each other are left joined in that way,
so that the number of loops stays small in more than one dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sciad.compiler.nodes import Const, Expr, Name, Op

Bounds = tuple[int, int]
THIN = 8
"""Parts of a loop shorter than this are not worth a loop of their own, where there are many."""

MOST_PARTS = 4
"""Parts of one axis that are loops of their own in any case."""


def bounds(expr: Expr, known: dict[str, Bounds]) -> Bounds | None:
    """The smallest and the largest value of an index expression, if they are known."""
    kind = type(expr)
    if kind is Const:
        return (expr.value, expr.value)
    if kind is Name:
        return known.get(expr.name)
    if kind is not Op or expr.name not in _RULES:
        return None
    parts = [bounds(arg, known) for arg in expr.args]
    return None if None in parts else _RULES[expr.name](*parts)


def _product(a: Bounds, b: Bounds) -> Bounds:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


_RULES: dict[str, Callable] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _product,
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
}


def clamped(expr: Expr, extent: int, known: dict[str, Bounds]) -> Expr:
    """An index held between 0 and extent - 1."""
    found = bounds(expr, known)
    if found is None or found[0] < 0:
        expr = Op("max", (expr, Const(0, "i64")))
    if found is None or found[1] >= extent:
        expr = Op("min", (expr, Const(extent - 1, "i64")))
    return expr


# --- cuts -----------------------------------------------------------------------------------------

Cuts = tuple[tuple[int, ...], ...]


def joined_cuts(shape: tuple[int, ...], values: Sequence) -> Cuts | None:
    """The cuts of an array made entry by entry from values that broadcast to its shape."""
    out: list[set[int]] = [set() for _ in shape]
    for value in values:
        cuts = getattr(value, "cuts", None)
        if cuts:
            first = len(shape) - len(value.shape)
            for axis, places in enumerate(cuts):
                if value.shape[axis] == shape[first + axis]:
                    out[first + axis].update(places)
    return _made(out)


def _made(places: list[set[int]]) -> Cuts | None:
    return tuple(tuple(sorted(each)) for each in places) if any(places) else None


def moved_cuts(cuts: Cuts | None, shape: tuple[int, ...], source: Callable) -> Cuts | None:
    """The cuts of an array whose entry at `indices` is another's at ``source(indices)``: affine
    in each index."""
    if not cuts or 0 in shape:
        return None
    origin = [Const(0, "i64")] * len(shape)
    start = source(tuple(origin))
    out: list[set[int]] = [set() for _ in shape]
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        step = source((*origin[:axis], Const(1, "i64"), *origin[axis + 1:]))
        for places, a, b in zip(cuts, start, step, strict=True):
            if type(a) is not Const or type(b) is not Const or a.value == b.value:
                continue
            stride = b.value - a.value
            for place in places:
                gap = place - a.value if stride > 0 else a.value - place + 1
                first = -(-gap // abs(stride))
                if 0 < first < extent:
                    out[axis].add(first)
    return _made(out)


def parts(extent: int, places: tuple[int, ...]) -> list[tuple[int, int, bool]]:
    """The loops over an axis: start, stop, and whether one piece is meant in all of it."""
    ends = [0, *places, extent]
    whole = [(a, b, True) for a, b in zip(ends, ends[1:], strict=False)]
    if len(whole) <= MOST_PARTS:
        return whole
    out: list[tuple[int, int, bool]] = []
    for a, b, _ in whole:
        if b - a >= THIN:
            out.append((a, b, True))
        elif out and not (out[-1][2] and out[-1][1] - out[-1][0] >= THIN):
            out[-1] = (out[-1][0], b, False)
        else:
            out.append((a, b, True))
    return out if len(out) <= 2 * MOST_PARTS else [(0, extent, False)]
