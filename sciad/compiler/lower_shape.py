"""Native forms of the operations that move entries: shape, joining, indexing."""

from __future__ import annotations

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Expr, Op
from sciad.compiler.lower import lowering
from sciad.compiler.pieces_of import joined, replaced
from sciad.compiler.ranges import moved_cuts
from sciad.compiler.values import (
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    Value,
    Virtual,
    convert,
    cost_of,
    depth_of,
    flat_index,
    index,
    size_of,
    unflatten_index,
)
from sciad.core.errors import BoundsError
from sciad.ops import indexing, shape

MOST_JOINED = 8
"""Parts that a virtual value may be joined of; more are written to memory one after the other."""


def moved(em: Emitter, step, x: Value, source) -> list[Value]:
    """The value whose entry at `indices` is the entry of `x` at ``source(indices)``."""
    out_shape, kind = step.out()
    if size_of(out_shape) <= SMALL and type(x) is Scalars:
        places = (unflatten_index(out_shape, index(k)) for k in range(size_of(out_shape)))
        return [Scalars(out_shape, kind, [em.at(x, source(place)) for place in places])]
    x = em.addressable(x)
    computed = type(x) is Virtual and x.computed
    return [Virtual(out_shape, kind, lambda indices: em.at(x, source(indices)), None, computed,
                    depth_of(x), cost_of(x),
                    moved_cuts(getattr(x, "cuts", None), out_shape, source))]


@lowering(shape.reshape_p)
def _reshape(em, step, x):
    out_shape, kind = step.out()
    if type(x) is Scalars:
        return [Scalars(out_shape, kind, x.entries)]
    if type(x) is Buffer:
        return [Buffer(out_shape, kind, x.name, x.owned and step.reusable[0])]

    if x.cuts:
        return _reshaped(em, step, x)

    def flat(i):
        return em.element(x, i)

    return [Virtual(out_shape, kind, lambda indices: flat(flat_index(out_shape, indices)), flat,
                    x.computed, depth_of(x), cost_of(x))]


def _reshaped(em: Emitter, step, x: Virtual) -> list[Value]:
    """A value joined of pieces in another shape: the same pieces if only axes of extent 1 come or
    go, else it is computed."""
    out_shape, kind = step.out()
    if [n for n in out_shape if n != 1] != [n for n in x.shape if n != 1]:
        return [Buffer(out_shape, kind, em.to_buffer(x).name, owned=True)]

    def source(indices):
        rest = iter([i for n, i in zip(out_shape, indices, strict=True) if n != 1])
        return tuple(index(0) if n == 1 else next(rest) for n in x.shape)

    return moved(em, step, x, source)


@lowering(shape.transpose_p)
def _transpose(em, step, x):
    axes = step.params["axes"]
    out = moved(em, step, x, lambda indices: tuple(indices[axes.index(k)]
                                                   for k in range(len(axes))))
    return out


@lowering(shape.broadcast_p)
def _broadcast(em, step, x):
    if type(x) is Virtual and x.computed:
        x = em.settled(x)
    extra = len(step.out()[0]) - len(x.shape)
    out_shape = step.out()[0]
    if size_of(x.shape) == 1 and size_of(out_shape) > SMALL:
        entry = em.element(x, index(0))
        return [Virtual(out_shape, x.kind, lambda indices: entry, lambda i: entry, False)]
    return moved(em, step, x, lambda indices: tuple(
        index(0) if n == 1 else i for n, i in zip(x.shape, indices[extra:], strict=True)))


@lowering(shape.pack_p)
def _pack(em, step, *entries):
    out_shape, kind = step.out()
    scalars = Scalars(out_shape, kind,
                      [convert(em.element(x, index(0)), kind) for x in entries])
    return [scalars if size_of(out_shape) <= SMALL else em.to_buffer(scalars)]


@lowering(shape.concatenate_p)
def _concatenate(em, step, *parts):
    out_shape, kind = step.out()
    axis = step.params["axis"]
    if size_of(out_shape) <= SMALL:
        return [_joined_scalars(em, parts, out_shape, kind, axis)]
    if len(parts) <= MOST_JOINED:
        return [joined(em, list(parts), out_shape, kind, axis)]
    out = em.buffer(out_shape, kind)
    start = 0
    for part in parts:
        part = em.addressable(part)
        with em.loops(part.shape, parallel=True) as indices:
            place = list(indices)
            place[axis] = place[axis] + start if start else place[axis]
            em.emit(ir.Store(out.name, flat_index(out_shape, place),
                             convert(em.at(part, indices), kind)))
        start += part.shape[axis]
    return [out]


def _joined_scalars(em: Emitter, parts, out_shape, kind, axis) -> Scalars:
    inner = size_of(out_shape[axis + 1:])
    rows = [[convert(entry, kind) for entry in em.scalars(part).entries] for part in parts]
    widths = [part.shape[axis] * inner for part in parts]
    entries = []
    for k in range(size_of(out_shape[:axis])):
        for row, width in zip(rows, widths, strict=True):
            entries += row[k * width:(k + 1) * width]
    return Scalars(out_shape, kind, entries)


# --- indexing -------------------------------------------------------------------------------------


class Index:
    """An index of a spec, as maps between the indices of the piece and of the whole."""

    def __init__(self, em: Emitter, step, operands, whole: tuple[int, ...]):
        self.em = em
        self.whole = whole
        self.place = step.equation.where
        self.entries = _expand(step.params["spec"], len(whole))
        self.arrays = [em.addressable(operands[entry.k]) for entry in self.entries
                       if type(entry) is indexing.At]
        self.block = np.broadcast_shapes(*(x.shape for x in self.arrays))
        self.axes, self.block_at = self._axes()

    def _axes(self) -> tuple[list[int], int]:
        """The extents of the piece's axes that are not the index arrays', and how many of them
        come before those: NumPy puts the arrays' axes where the arrays and integers stand, or
        first if something stands between them."""
        entries = self.entries
        places = [k for k, e in enumerate(entries) if type(e) in (int, indexing.At)]
        together = not places or places == list(range(places[0], places[-1] + 1))
        extents, before, axis = [], 0, 0
        for k, entry in enumerate(entries):
            if places and k == places[0] and together:
                before = len(extents)
            if entry is None:
                extents.append(1)
                continue
            if isinstance(entry, slice):
                extents.append(len(range(*entry.indices(self.whole[axis]))))
            axis += 1
        return extents, before

    def shape(self) -> tuple[int, ...]:
        """The shape of the piece."""
        return (*self.axes[:self.block_at], *self.block, *self.axes[self.block_at:])

    def source(self, indices) -> tuple[Expr, ...]:
        """Where in the whole an entry of the piece stands."""
        out: list[Expr] = []
        start, stop = self.block_at, self.block_at + len(self.block)
        block = list(indices[start:stop])
        rest = [*indices[:start], *indices[stop:]]
        arrays = iter(self.arrays)
        for entry in self.entries:
            if entry is None:
                rest.pop(0)
                continue
            extent = self.whole[len(out)]
            if type(entry) is int:
                out.append(index(entry % extent if -extent <= entry < extent else _no(extent)))
            elif isinstance(entry, slice):
                start, _, stride = entry.indices(extent)
                out.append(_affine(rest.pop(0), stride, start))
            else:
                out.append(self._dynamic(next(arrays), block, len(out)))
        return tuple(out)

    def box(self) -> list[tuple[int, int, bool]] | None:
        """Where the piece stands on each axis of the whole: start, stop, and whether the piece
        has that axis. None if it is no box."""
        if self.arrays or any(entry is None for entry in self.entries):
            return None
        out = []
        for entry, extent in zip(self.entries, self.whole, strict=True):
            if type(entry) is int:
                place = entry % extent if -extent <= entry < extent else _no(extent)
                out.append((place, place + 1, False))
                continue
            start, stop, stride = entry.indices(extent)
            if stride != 1:
                return None
            out.append((start, stop, True))
        return out

    def _dynamic(self, array: Value, block, axis: int) -> Expr:
        extent = self.whole[axis]
        place = convert(self.em.at(array, tuple(block[len(block) - len(array.shape):])), "i64")
        if type(place) is Const and -extent <= place.value < extent:
            return index(place.value % extent)
        place = self.em.let(place)
        ok = Op("and", (place >= -extent, place < extent))
        self.em.stop_unless(ok, BoundsError(
            f"an index is out of bounds for axis {axis} with size {extent} (at {self.place})"))
        return self.em.let(Op("select", (place < 0, place + extent, place)))


def _no(extent):
    raise IndexError(f"index out of range for an axis of extent {extent}")


def _affine(i: Expr, stride: int, start: int) -> Expr:
    if type(i) is Const:
        return index(i.value * stride + start)
    scaled = i if stride == 1 else i * stride
    return scaled if start == 0 else scaled + start


def _expand(spec, ndim: int) -> list:
    """A spec with its Ellipsis and missing axes written out as full slices."""
    used = sum(entry is not None and entry is not Ellipsis for entry in spec)
    full = [slice(None)] * (ndim - used)
    if Ellipsis in [entry for entry in spec if type(entry) is not indexing.At]:
        k = next(i for i, entry in enumerate(spec) if entry is Ellipsis)
        return [*spec[:k], *full, *spec[k + 1:]]
    return [*spec, *full]


@lowering(indexing.read_p)
def _read(em, step, x, *operands):
    where = Index(em, step, operands, x.shape)
    out_shape, kind = step.out()
    if where.shape() != out_shape:
        raise Unsupported(f"no native form of this index ({step.equation.where})")
    if not where.arrays:
        return moved(em, step, x, where.source)
    x = em.to_buffer(x)
    if size_of(out_shape) <= SMALL:
        return [Scalars(out_shape, kind, [
            em.at(x, where.source(unflatten_index(out_shape, index(k))))
            for k in range(size_of(out_shape))])]
    if not where.block:  # a row at a run-time index: bounds are checked once, here
        first = where.source(tuple(index(0) for _ in out_shape))
        fixed = {k: place for k, place in enumerate(first) if type(place) is not Const}
        return [Virtual(out_shape, kind, lambda indices: em.at(x, tuple(
            fixed.get(k, place) for k, place in enumerate(_static(where, indices)))),
            None, False)]
    out = em.buffer(out_shape, kind)
    with em.loops(out_shape) as indices:
        em.emit(ir.Store(out.name, flat_index(out_shape, indices), em.at(x, where.source(indices))))
    return [out]


def _static(where: Index, indices):
    """`source` for the static entries alone, zeros for run-time indices."""
    out, rest = [], list(indices)
    for entry in where.entries:
        if entry is None:
            rest.pop(0)
            continue
        extent = where.whole[len(out)]
        if type(entry) is int:
            out.append(index(entry % extent))
        elif isinstance(entry, slice):
            start, _, stride = entry.indices(extent)
            out.append(_affine(rest.pop(0), stride, start))
        else:
            out.append(index(0))
    return out


def _update(em, step, x, v, operands, adds: bool) -> list[Value]:
    """A copy of x (x itself if this is its last use) with a piece changed."""
    out_shape, kind = step.out()
    where = Index(em, step, operands, x.shape)
    piece = where.shape()

    def combine(old, new):
        return old + new if adds else new

    if len(v.shape) > len(piece):
        v = _without_axes(em, v, len(v.shape) - len(piece))
    if size_of(piece) == 0:
        return [_converted(em, x, out_shape, kind)]
    if size_of(out_shape) <= SMALL and not where.arrays:
        entries = list(em.scalars(x).entries)
        v_entries = _broadcast_entries(em, v, piece)
        for k in range(size_of(piece)):
            place = flat_index(out_shape, where.source(unflatten_index(piece, index(k)))).value
            entries[place] = em.let(convert(combine(convert(entries[place], kind),
                                                    convert(v_entries[k], kind)), kind))
        return [Scalars(out_shape, kind, [convert(entry, kind) for entry in entries])]
    box = where.box() if 2 * size_of(piece) >= size_of(out_shape) else None
    if box is not None and x.kind == kind:
        return [replaced(em, x, em.addressable(v), box, adds, kind)]
    v = em.forced(em.addressable(v))
    if step.reusable[0] and x.kind == kind:
        out = x
    else:
        out = em.buffer(out_shape, kind)
        _copy(em, x, out)
    with em.loops(piece) as indices:
        place = em.let(flat_index(out_shape, where.source(indices)))
        entry = convert(em.at(v, indices[len(indices) - len(v.shape):]), kind)
        old = ir.Load(out.name, place)
        em.emit(ir.Store(out.name, place, combine(old, entry)))
    return [out]


def _without_axes(em: Emitter, v: Value, many: int) -> Value:
    """A value without its first axes, of extent 1."""
    v = em.settled(v)
    if type(v) is Scalars:
        return Scalars(v.shape[many:], v.kind, v.entries)
    return Buffer(v.shape[many:], v.kind, v.name)


def _converted(em, x, shape, kind) -> Value:
    if x.kind == kind:
        return x
    if size_of(shape) <= SMALL:
        return Scalars(shape, kind, [convert(entry, kind) for entry in em.scalars(x).entries])
    out = em.buffer(shape, kind)
    _copy(em, x, out)
    return out


def _copy(em, x, out: Buffer) -> None:
    """All of `x` to memory, in the kind of `out`."""
    if x.kind == out.kind:
        em.store(x, out.name)
        return
    x = em.addressable(x)
    with em.loops(out.shape, parallel=True) as indices:
        em.emit(ir.Store(out.name, flat_index(out.shape, indices),
                         convert(em.at(x, indices), out.kind)))


def _broadcast_entries(em, v, piece):
    entries = em.scalars(v).entries
    if len(entries) == 1:
        return entries * size_of(piece)
    out = []
    for k in range(size_of(piece)):
        indices = unflatten_index(piece, index(k))[len(piece) - len(v.shape):]
        out.append(em.at(Scalars(v.shape, v.kind, entries), tuple(
            index(0) if n == 1 else i for n, i in zip(v.shape, indices, strict=True))))
    return out


@lowering(indexing.index_set_p)
def _index_set(em, step, x, v, *operands):
    return _update(em, step, x, v, operands, adds=False)


@lowering(indexing.index_add_p)
def _index_add(em, step, x, v, *operands):
    return _update(em, step, x, v, operands, adds=True)
