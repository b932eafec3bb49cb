"""Native forms of control flow: cond, while_loop, scan, and stopping with an exception."""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Name
from sciad.compiler.lower import lower_body, lowering
from sciad.compiler.values import (
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Value,
    Virtual,
    convert,
    index,
    kind_of,
    size_of,
)
from sciad.core.graph import Graph
from sciad.ops import control


class Slots:
    """Places that a value is assigned to: mutable scalars if small, else a buffer."""

    def __init__(self, em: Emitter, shape, kind, first: Value | None = None):
        self.shape, self.kind = shape, kind
        self.names: list[Name] = []
        self.buffer: Buffer | None = None
        if size_of(shape) <= SMALL:
            entries = em.scalars(first).entries if first else None
            zero = Const(0, kind) if kind != "i1" else Const(False, kind)
            self.names = [em.variable(convert(entries[k], kind) if entries else zero)
                          for k in range(size_of(shape))]
        else:
            self.buffer = em.buffer(shape, kind)
            if first is not None:
                em.store(first, self.buffer.name)

    def read(self, em: Emitter) -> Value:
        """The present value."""
        if self.buffer is not None:
            return self.buffer
        return Scalars(self.shape, self.kind, [em.snapshot(name) for name in self.names])

    def assign(self, em: Emitter, value: Value) -> None:
        if self.buffer is None:
            for name, entry in zip(self.names, em.scalars(value).entries, strict=True):
                em.emit(ir.Assign(name.name, convert(entry, self.kind)))
        elif not (type(value) is Buffer and value.name is self.buffer.name):
            em.store(value, self.buffer.name)


def _outs(graph: Graph) -> list:
    return [(atom.type.shape, kind_of(atom.type.dtype)) for atom in graph.outputs]


@lowering(control.cond_p)
def _cond(em, step, pred, *operands):
    operands = [em.forced(x) for x in operands]
    slots = [Slots(em, shape, kind) for shape, kind in _outs(step.params["true"])]
    blocks, dead = [], []
    for name in ("true", "false"):
        with em.nested() as block:
            values = lower_body(em, step.params[name], [_shared(x) for x in operands])
            dead.append(em.dead)
            if not em.dead:
                for slot, value in zip(slots, values, strict=True):
                    slot.assign(em, value)
            em.dead = False
        blocks.append(block)
    em.emit(ir.If(convert(em.element(pred, index(0)), "i1"), *blocks))
    em.dead = all(dead)
    return [slot.read(em) for slot in slots]


def _shared(x: Value) -> Value:
    """A value that a body may read but not overwrite."""
    return Buffer(x.shape, x.kind, x.name) if type(x) is Buffer else x


def _owned(x: Value) -> Value:
    return Buffer(x.shape, x.kind, x.name, owned=True) if type(x) is Buffer else x


def _assign_all(em: Emitter, slots: list[Slots], values: list[Value]) -> None:
    """Assign new carries that may read the old ones: what is not in place is computed first."""
    ready = []
    for slot, value in zip(slots, values, strict=True):
        in_place = (type(value) is Buffer and slot.buffer is not None
                    and value.name is slot.buffer.name)
        if type(value) is Virtual or type(value) is Buffer and not in_place and _is_slot(
                value, slots):
            copy = em.buffer(value.shape, value.kind)
            em.store(value, copy.name)
            value = copy
        ready.append(value)
    for slot, value in zip(slots, ready, strict=True):
        slot.assign(em, value)


def _is_slot(value: Buffer, slots) -> bool:
    return any(slot.buffer is not None and slot.buffer.name is value.name for slot in slots)


@lowering(control.while_p)
def _while(em, step, *operands):
    n_test, n_body = step.params["test_consts"], step.params["body_consts"]
    test, body, keep = step.params["test"], step.params["body"], step.params["keep"]
    operands = [em.forced(x) for x in operands]
    fixed = [_shared(x) for x in operands[:n_test + n_body]]
    kinds = _outs(body)
    slots = [Slots(em, shape, kind, first)
             for (shape, kind), first in zip(kinds, operands[n_test + n_body:], strict=True)]
    count = em.variable(index(0))
    stacked = [em.buffer((keep, *shape), kind) for shape, kind in kinds if keep]
    with em.nested() as head:
        (go,) = lower_body(em, test, fixed[:n_test] + [_shared(s.read(em)) for s in slots])
        condition = convert(em.element(go, index(0)), "i1")
    with em.nested() as block:
        k = em.snapshot(count)
        state = [_owned(slot.read(em)) for slot in slots]
        if keep:
            em.stop_unless(k < keep, control.full_buffer())
            _store_rows(em, stacked, state, k)
        em.emit(ir.Assign(count.name, k + 1))
        values = lower_body(em, body, fixed[n_test:] + state)
        if not em.dead:
            _assign_all(em, slots, values)
        em.dead = False
    em.emit(ir.While(head, condition, block))
    iterations = Scalars((), "i64", [em.snapshot(count)])
    return [iterations, *(slot.read(em) for slot in slots), *stacked]


@lowering(control.scan_p)
def _scan(em, step, *operands):
    params = step.params
    body, carry, counted = params["body"], params["carry"], params["counted"]
    extent = em.element(operands[0], index(0)) if counted else params["length"]
    operands = [em.forced(x) for x in operands[counted:]]
    consts = params["consts"]
    fixed = [_shared(x) for x in operands[:consts]]
    columns = [em.to_buffer(x) for x in operands[consts + carry:]]
    kinds = _outs(body)
    slots = [Slots(em, shape, kind, first) for (shape, kind), first in
             zip(kinds[:carry], operands[consts:consts + carry], strict=True)]
    stacked = [em.buffer((params["length"], *shape), kind) for shape, kind in kinds[carry:]]
    with em.loop(extent, reverse=params["reverse"]) as k:
        rows = [_row(em, column, k) for column in columns]
        state = [_owned(slot.read(em)) for slot in slots]
        values = lower_body(em, body, fixed + state + rows)
        if not em.dead:
            _store_rows(em, stacked, values[carry:], k)
            _assign_all(em, slots, values[:carry])
        em.dead = False
    return [slot.read(em) for slot in slots] + stacked


def _row(em: Emitter, column: Buffer, k) -> Value:
    shape = column.shape[1:]
    size = size_of(shape)
    start = em.let(k * size)
    row = Virtual(shape, column.kind, None, lambda i: em.let(ir.Load(column.name, start + i)),
                  computed=False)
    row.at = lambda indices: row.flat(_flat(shape, indices))
    return em.scalars(row) if size <= SMALL else row


def _flat(shape, indices):
    place = index(0)
    for extent, i in zip(shape, indices, strict=True):
        place = place * extent + i
    return place


def _store_rows(em, stacked, rows, k):
    for column, row in zip(stacked, rows, strict=True):
        em.store(row, column.name, em.let(k * size_of(column.shape[1:])))


@lowering(control.fail_p)
def _fail(em, step):
    em.stop(step.params["exception"].exception)
    em.dead = True
    return []


@lowering(control.weaken_p)
def _weaken(em, step, x):
    return [x]


@lowering(control.check_p)
def _check(em, step, x, ok):
    em.stop_unless(convert(em.element(ok, index(0)), "i1"), step.params["exception"].exception)
    return [x]
