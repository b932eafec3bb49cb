"""Native forms of reductions. The sum of a virtual array is one loop over what makes it."""

from __future__ import annotations

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Name, Op
from sciad.compiler.lower import lowering
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import (
    SMALL,
    Emitter,
    Scalars,
    Unsupported,
    Value,
    convert,
    flat_index,
    index,
    size_of,
)
from sciad.ops import reduce, running


def _sum(kind):
    """Minus zero is neutral for every float, plus zero is not for minus zero."""
    floats = kind.startswith("f")
    return Const(-0.0 if floats else 0, kind), lambda a, b: Op("add", (a, b), fast=floats)


def _extremum(name):
    def identity(kind):
        if kind.startswith("f"):
            return Const(-np.inf if name == "max" else np.inf, kind)
        info = np.iinfo(DTYPES[kind])
        return Const(int(info.min if name == "max" else info.max), kind)

    def reduction(kind):
        if kind == "i1":
            return _any(kind) if name == "max" else _all(kind)
        return identity(kind), lambda a, b: Op(name, (a, b))

    return reduction


def _any(kind):
    return Const(False, "i1"), lambda a, b: Op("or", (a, b))


def _all(kind):
    return Const(True, "i1"), lambda a, b: Op("and", (a, b))


REDUCTIONS = {
    reduce.sum_p: _sum,
    reduce.max_p: _extremum("max"),
    reduce.min_p: _extremum("min"),
    reduce.any_p: _any,
    reduce.all_p: _all,
}


@lowering(*REDUCTIONS)
def _reduce(em, step, x):
    out_shape, kind = step.out()
    start, combine = REDUCTIONS[step.equation.primitive](kind)
    axes = step.params["axes"]
    if size_of(x.shape) == 0 and kind.startswith("f"):
        start = Const(0.0, kind)
    if type(x) is Scalars:
        return [_of_scalars(em, x, axes, out_shape, kind, start, combine)]
    if not out_shape:
        return [Scalars((), kind, [_to_scalar(em, x, kind, start, combine)])]
    return [_to_array(em, x, axes, out_shape, kind, start, combine)]


def _of_scalars(em: Emitter, x: Scalars, axes, out_shape, kind, start, combine) -> Scalars:
    places = np.arange(size_of(x.shape)).reshape(x.shape)
    kept = [k for k in range(len(x.shape)) if k not in axes]
    width = size_of([x.shape[k] for k in axes])
    groups = places.transpose(*kept, *axes).reshape(size_of(out_shape), width)
    entries = []
    for group in groups:
        total = None
        for place in group:
            entry = convert(x.entries[place], kind)
            total = entry if total is None else em.let(combine(total, entry))
        entries.append(start if total is None else total)
    return Scalars(out_shape, kind, entries)


def _to_scalar(em: Emitter, x: Value, kind, start, combine) -> Name:
    total = em.variable(start)
    if getattr(x, "flat", True):
        with em.loop(size_of(x.shape)) as i:
            em.emit(ir.Assign(total.name, combine(total, convert(em.element(x, i), kind))))
    else:
        em.each(x.shape, x.cuts, lambda indices: em.emit(
            ir.Assign(total.name, combine(total, convert(em.at(x, indices), kind)))))
    return em.snapshot(total)


def _to_array(em: Emitter, x: Value, axes, out_shape, kind, start, combine) -> Value:
    """Sweep x in C order, adding into the result: a scalar for each entry where the last axis goes,
    else in memory."""
    out = em.buffer(out_shape, kind)
    kept = [k for k in range(len(x.shape)) if k not in axes]
    last_kept = (len(x.shape) - 1) in kept
    order = kept + list(axes) if not last_kept else [*axes, *kept]
    cuts = getattr(x, "cuts", None)
    if not last_kept and not any(cuts or ()):
        _entry_by_entry(em, x, order, out, start, combine)
        return em.scalars(out) if size_of(out_shape) <= SMALL else out
    with em.loop(size_of(out_shape), parallel=True) as i:
        em.emit(ir.Store(out.name, i, start))

    def visit(moved):
        indices = [moved[order.index(k)] for k in range(len(x.shape))]
        place = em.let(flat_index(out_shape, [indices[k] for k in kept]))
        entry = convert(em.at(x, tuple(indices)), kind)
        em.emit(ir.Store(out.name, place, combine(ir.Load(out.name, place), entry)))

    em.each([x.shape[k] for k in order], cuts and tuple(cuts[k] for k in order), visit,
            apart=0 if last_kept else len(kept))
    return em.scalars(out) if size_of(out_shape) <= SMALL else out


def _entry_by_entry(em: Emitter, x: Value, order, out, start, combine) -> None:
    """Each entry of the result in a loop of its own; `order` has the axes that stay, then those
    that go."""
    count = len(out.shape)
    with em.loops(out.shape, parallel=True) as place:
        total = em.variable(start)
        with em.loops([x.shape[k] for k in order[count:]]) as swept:
            moved = (*place, *swept)
            entry = em.at(x, tuple(moved[order.index(k)] for k in range(len(order))))
            em.emit(ir.Assign(total.name, combine(total, convert(entry, out.kind))))
        em.emit(ir.Store(out.name, em.let(flat_index(out.shape, place)), total))


@lowering(reduce.argmax_p, reduce.argmin_p)
def _argument(em, step, x):
    out_shape, _ = step.out()
    axis = step.params["axis"]
    if x.shape[axis] == 0:
        raise Unsupported(f"{step.equation.primitive} of nothing ({step.equation.where})")
    better = "gt" if step.equation.primitive is reduce.argmax_p else "lt"
    x = em.to_buffer(x)
    out = em.buffer(out_shape, "i64")
    with em.loops(out_shape, parallel=True) as rest:
        def entry(i):
            return em.let(em.at(x, (*rest[:axis], i, *rest[axis:])))

        best, place = em.variable(entry(index(0))), em.variable(index(0))
        with em.loop(x.shape[axis]) as i:
            value = entry(i)
            wins = Op(better, (value, best))
            if x.kind.startswith("f"):  # the first NaN wins, as in NumPy
                fresh = Op("and", (Op("isnan", (value,)), ~Op("isnan", (best,))))
                wins = Op("or", (wins, fresh))
            wins = em.let(wins)
            em.emit(ir.Assign(place.name, Op("select", (wins, i, place))))
            em.emit(ir.Assign(best.name, Op("select", (wins, value, best))))
        em.emit(ir.Store(out.name, flat_index(out_shape, rest), place))
    return [out]


RUNNING = {reduce.cumsum_p: "add", running.cumprod_p: "mul"}


@lowering(*RUNNING)
def _running(em, step, x):
    """Each entry is the one before it along the axis and the operand's, combined."""
    out_shape, kind = step.out()
    axis, name = step.params["axis"], RUNNING[step.equation.primitive]
    if not size_of(out_shape):
        return [em.buffer(out_shape, kind)]
    x = em.addressable(x)
    out = em.buffer(out_shape, kind)
    if axis == len(out_shape) - 1:
        _along_memory(em, x, out, name)
    else:
        _row_by_row(em, x, out, axis, name)
    return [em.scalars(out) if size_of(out_shape) <= SMALL else out]


def _along_memory(em: Emitter, x: Value, out, name: str) -> None:
    with em.loops(out.shape[:-1]) as place:
        total = em.variable(_neutral(name, out.kind))
        with em.loop(out.shape[-1]) as i:
            entry = convert(em.at(x, (*place, i)), out.kind)
            em.emit(ir.Assign(total.name, Op(name, (total, entry))))
            em.emit(ir.Store(out.name, em.let(flat_index(out.shape, (*place, i))), total))


def _neutral(name: str, kind: str) -> Const:
    """-0.0 leaves every float as it is."""
    return Const((1 if name == "mul" else -0.0) if kind[0] == "f" else int(name == "mul"), kind)


def _row_by_row(em: Emitter, x: Value, out, axis: int, name: str) -> None:
    shape, stride = out.shape, size_of(out.shape[axis + 1:])
    with em.loops(shape[:axis]) as before:
        with em.loops(shape[axis + 1:], parallel=True) as after:
            place = (*before, index(0), *after)
            em.emit(ir.Store(out.name, em.let(flat_index(shape, place)),
                             convert(em.at(x, place), out.kind)))
        with em.loop(shape[axis] - 1) as previous:
            i = em.let(previous + 1)
            with em.loops(shape[axis + 1:], parallel=True) as after:
                indices = (*before, i, *after)
                place = em.let(flat_index(shape, indices))
                entry = convert(em.at(x, indices), out.kind)
                total = ir.Load(out.name, em.let(place - stride))
                em.emit(ir.Store(out.name, place, Op(name, (total, entry))))
