"""The native form of interleaving: both parts are written by one loop."""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.lower import lowering
from sciad.compiler.realify import interleave_p
from sciad.compiler.values import SMALL, Scalars, Virtual, convert, flat_index, index, size_of


@lowering(interleave_p)
def _interleave(em, step, re, im):
    shape, kind = step.out()
    if size_of(shape) <= SMALL:
        pairs = zip(em.scalars(re).entries, em.scalars(im).entries, strict=True)
        return [Scalars(shape, kind, [convert(x, kind) for pair in pairs for x in pair])]
    out = em.buffer(shape, kind)
    parts = [em.addressable(re), em.addressable(im)]
    if any(type(x) is Virtual and x.flat is None for x in parts):
        with em.loops(re.shape, parallel=True) as indices:
            place = em.let(flat_index(re.shape, indices) * 2)
            for k, part in enumerate(parts):
                em.emit(ir.Store(out.name, place + k if k else place, em.at(part, indices)))
        return [out]
    with em.loop(size_of(re.shape), parallel=True) as i:
        place = em.let(i * 2)
        for k, part in enumerate(parts):
            em.emit(ir.Store(out.name, place + index(k) if k else place, em.element(part, i)))
    return [out]
