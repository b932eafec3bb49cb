"""Values joined of pieces, without a copy: an expression for each piece (ranges.py)."""

from __future__ import annotations

from collections.abc import Sequence

from sciad.compiler.loops import Const, Expr, Op
from sciad.compiler.ranges import Cuts, bounds, clamped
from sciad.compiler.values import (
    Emitter,
    Value,
    Virtual,
    convert,
    cost_of,
    depth_of,
    index,
)


def _inside(em: Emitter, i: Expr, start: int, stop: int) -> bool | Expr:
    """Whether start <= i < stop: an answer, or an expression for it."""
    found = bounds(i, em.ranges)
    if found is not None:
        if start <= found[0] and found[1] < stop:
            return True
        if found[1] < start or found[0] >= stop:
            return False
    tests = []
    if found is None or found[0] < start:
        tests.append(i >= start)
    if found is None or found[1] >= stop:
        tests.append(i < stop)
    return em.let(tests[0] if len(tests) == 1 else Op("and", tuple(tests)))


def _minus(i: Expr, start: int) -> Expr:
    if type(i) is Const:
        return index(i.value - start)
    return i - start if start else i


def joined(em: Emitter, parts: Sequence[Value], shape, kind: str, axis: int) -> Virtual:
    """The parts one after the other along an axis."""
    ready = [em.addressable(part) for part in parts if part.shape[axis]]
    starts = [0]
    for part in ready:
        starts.append(starts[-1] + part.shape[axis])

    def entry(k, indices):
        place = clamped(_minus(indices[axis], starts[k]), ready[k].shape[axis], em.ranges)
        return convert(em.at(ready[k], (*indices[:axis], place, *indices[axis + 1:])), kind)

    def at(indices):
        out = None
        for k in reversed(range(len(ready))):
            here = _inside(em, indices[axis], starts[k], starts[k + 1])
            if here is True or here is not False and out is None:
                out = entry(k, indices)
            elif here is not False:
                out = em.let(Op("select", (here, entry(k, indices), out)))
        return out

    cuts: list[set[int]] = [set() for _ in shape]
    for part, start in zip(ready, starts, strict=False):
        for k, places in enumerate(getattr(part, "cuts", None) or ()):
            cuts[k].update(place + start if k == axis else place for place in places)
    cuts[axis].update(starts[1:-1])
    return Virtual(tuple(shape), kind, at, None, _computed(ready), depth_of(*ready),
                   max(map(cost_of, ready)) + 1, _sorted(cuts))


def replaced(em: Emitter, x: Value, v: Value, box, adds: bool, kind: str) -> Virtual:
    """`x` with `v` written to a box of it, or added."""
    x = em.addressable(x)
    shape = x.shape

    def piece(indices, old):
        places = tuple(clamped(_minus(i, start), stop - start, em.ranges)
                       for i, (start, stop, kept) in zip(indices, box, strict=True) if kept)
        new = convert(em.at(v, places[len(places) - len(v.shape):]), kind)
        return em.let(old + new) if adds else new

    def at(indices):
        tests = [_inside(em, i, start, stop)
                 for i, (start, stop, _) in zip(indices, box, strict=True)]
        if any(test is False for test in tests):
            return em.at(x, indices)
        tests = [test for test in tests if test is not True]
        old = em.at(x, indices) if tests or adds else None
        new = piece(indices, old)
        if not tests:
            return new
        here = tests[0]
        for test in tests[1:]:
            here = em.let(Op("and", (here, test)))
        return em.let(Op("select", (here, new, old)))

    cuts = [set(each) for each in getattr(x, "cuts", None) or [()] * len(shape)]
    axes = [k for k, (*_, kept) in enumerate(box) if kept]
    for k, extent, places in zip(axes[len(axes) - len(v.shape):], v.shape,
                                 getattr(v, "cuts", None) or ((),) * len(v.shape), strict=True):
        cuts[k].update(place + box[k][0] for place in places if extent > 1)
    for places, extent, (start, stop, _) in zip(cuts, shape, box, strict=True):
        places.update(place for place in (start, stop) if 0 < place < extent)
    return Virtual(shape, kind, at, None, _computed([x, v]), depth_of(x, v),
                   max(cost_of(x), cost_of(v)) + 1, _sorted(cuts))


def _computed(values: Sequence[Value]) -> bool:
    return any(type(x) is Virtual and x.computed for x in values)


def _sorted(cuts: Sequence[set[int]]) -> Cuts:
    return tuple(tuple(sorted(places)) for places in cuts)
