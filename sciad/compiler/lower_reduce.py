"""Native forms of reductions. The sum of a virtual array is one loop over what makes it."""

from __future__ import annotations

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Name, Op
from sciad.compiler.lower import lowering
from sciad.compiler.values import (
    SMALL,
    Emitter,
    Scalars,
    Value,
    convert,
    flat_index,
    index,
    size_of,
)
from sciad.ops import reduce


def _sum(kind):
    return Const(0, kind), lambda a, b: Op("add", (a, b), fast=kind.startswith("f"))


def _extremum(name):
    def identity(kind):
        if kind.startswith("f"):
            return Const(-np.inf if name == "max" else np.inf, kind)
        info = np.iinfo({"i64": np.int64, "i32": np.int32}[kind])
        return Const(int(info.min if name == "max" else info.max), kind)

    return lambda kind: (identity(kind), lambda a, b: Op(name, (a, b)))


REDUCTIONS = {
    reduce.sum_p: _sum,
    reduce.max_p: _extremum("max"),
    reduce.min_p: _extremum("min"),
    reduce.any_p: lambda kind: (Const(False, "i1"), lambda a, b: Op("or", (a, b))),
    reduce.all_p: lambda kind: (Const(True, "i1"), lambda a, b: Op("and", (a, b))),
}


@lowering(*REDUCTIONS)
def _reduce(em, step, x):
    out_shape, kind = step.out()
    start, combine = REDUCTIONS[step.equation.primitive](kind)
    axes = step.params["axes"]
    if type(x) is Scalars:
        return [_of_scalars(em, x, axes, out_shape, kind, start, combine)]
    if not out_shape:
        return [Scalars((), kind, [_to_scalar(em, x, kind, start, combine)])]
    return [_to_array(em, x, axes, out_shape, kind, start, combine)]


def _of_scalars(em: Emitter, x: Scalars, axes, out_shape, kind, start, combine) -> Scalars:
    places = np.arange(size_of(x.shape)).reshape(x.shape)
    kept = [k for k in range(len(x.shape)) if k not in axes]
    groups = places.transpose(*kept, *axes).reshape(size_of(out_shape), -1)
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
        with em.loops(x.shape) as indices:
            em.emit(ir.Assign(total.name, combine(total, convert(em.at(x, indices), kind))))
    return em.snapshot(total)


def _to_array(em: Emitter, x: Value, axes, out_shape, kind, start, combine) -> Value:
    """Sweep x in C order, adding into the result in memory."""
    out = em.buffer(out_shape, kind)
    with em.loop(size_of(out_shape)) as i:
        em.emit(ir.Store(out.name, i, start))
    kept = [k for k in range(len(x.shape)) if k not in axes]
    last_kept = (len(x.shape) - 1) in kept
    order = kept + list(axes) if not last_kept else [*axes, *kept]
    with em.loops([x.shape[k] for k in order]) as moved:
        indices = [moved[order.index(k)] for k in range(len(x.shape))]
        place = em.let(flat_index(out_shape, [indices[k] for k in kept]))
        entry = convert(em.at(x, tuple(indices)), kind)
        em.emit(ir.Store(out.name, place, combine(ir.Load(out.name, place), entry)))
    return em.scalars(out) if size_of(out_shape) <= SMALL else out


@lowering(reduce.argmax_p, reduce.argmin_p)
def _argument(em, step, x):
    out_shape, _ = step.out()
    axis = step.params["axis"]
    better = "gt" if step.equation.primitive is reduce.argmax_p else "lt"
    x = em.to_buffer(x)
    out = em.buffer(out_shape, "i64")
    with em.loops(out_shape) as rest:
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
