"""Native forms of control flow: cond, while_loop, scan, and stopping with an exception."""

from __future__ import annotations

from itertools import compress

import numpy as np

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
    flat_index,
    index,
    kind_of,
    size_of,
)
from sciad.core.graph import Graph, Var
from sciad.ops import control, indexing


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


class Rows:
    """Places for a large carry that is made anew in each iteration: row k of a buffer holds it
    before iteration k, so that the new one is written where it stays, never copied. The rows are
    those that the loop keeps anyway, if it keeps this carry, else two in turn."""

    def __init__(self, em: Emitter, shape, kind, home: Buffer | None):
        self.shape, self.kind = shape, kind
        self.kept = home is not None
        self.buffer = home or em.buffer((2, *shape), kind)

    def _start(self, em: Emitter, k):
        return em.let((k if self.kept else em.let(k % 2)) * size_of(self.shape))

    def read(self, em: Emitter, k) -> Value:
        """The carry before iteration k."""
        return row_at(em, self.buffer, self.shape, self._start(em, k))

    def write(self, em: Emitter, value: Value, k) -> None:
        em.store(value, self.buffer.name, self._start(em, k))


def _made_in_place(body: Graph, before: Var, after) -> bool:
    """Whether a body makes a carry from itself by writes to small pieces."""
    makers = {out: equation for equation in body.equations for out in equation.outputs}
    while after is not before:
        write = makers.get(after) if type(after) is Var else None
        if write is None or write.primitive not in (indexing.index_set_p, indexing.index_add_p):
            return False
        spec, x = write.params["spec"], write.inputs[0]
        if not any(type(entry) is indexing.At for entry in spec):
            blank = np.broadcast_to(np.zeros((), np.int8), x.type.shape)
            if 2 * blank[spec].size >= x.type.size:
                return False
        after = x
    return True


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


def _assign_all(em: Emitter, slots: list, values: list[Value], k) -> None:
    """Assign the carries for iteration k, which may read the old ones: those with rows of their
    own first, and of the others what is not in place is computed before any is assigned."""
    for slot, value in zip(slots, values, strict=True):
        if type(slot) is Rows:
            slot.write(em, value, k)
    others = [type(slot) is Slots for slot in slots]
    slots, values = list(compress(slots, others)), list(compress(values, others))
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


def _homes(body: Graph, first: int, carry: int) -> list[bool]:
    """Which carries (inputs of the body from number `first` on) are made anew, and large."""
    return [size_of(atom.type.shape) > SMALL
            and not _made_in_place(body, body.inputs[first + k], atom)
            for k, atom in enumerate(body.outputs[:carry])]


@lowering(control.while_p)
def _while(em, step, *operands):
    n_test, n_body = step.params["test_consts"], step.params["body_consts"]
    test, body, keep = step.params["test"], step.params["body"], step.params["keep"]
    operands = [em.forced(x) for x in operands]
    fixed = [_shared(x) for x in operands[:n_test + n_body]]
    firsts, kinds = operands[n_test + n_body:], _outs(body)
    anew = _homes(body, n_body, len(kinds))
    stacked = [em.buffer((keep + new, *shape), kind)
               for new, (shape, kind) in zip(anew, kinds, strict=True) if keep]
    count = em.variable(index(0))
    slots = [Rows(em, shape, kind, stacked[k] if keep else None) if anew[k] else
             Slots(em, shape, kind, first)
             for k, ((shape, kind), first) in enumerate(zip(kinds, firsts, strict=True))]
    _begin(em, slots, firsts, index(0))
    with em.nested() as head:
        k = em.snapshot(count)
        state = [_shared(_carry(em, slot, k)) for slot in slots]
        (go,) = lower_body(em, test, fixed[:n_test] + state)
        condition = convert(em.element(go, index(0)), "i1")
    with em.nested() as block:
        k = em.snapshot(count)
        if keep:
            em.stop_unless(k < keep, control.full_buffer())
        state = [_owned(_carry(em, slot, k)) for slot in slots]
        if keep:
            others = [not new for new in anew]
            _store_rows(em, compress(stacked, others), compress(state, others), k)
        em.emit(ir.Assign(count.name, k + 1))
        values = lower_body(em, body, fixed[n_test:] + state)
        if not em.dead:
            _assign_all(em, slots, values, k + 1)
        em.dead = False
    em.emit(ir.While(head, condition, block))
    last = em.snapshot(count)
    return [Scalars((), "i64", [last]), *(_carry(em, slot, last) for slot in slots),
            *(Buffer((keep, *shape), kind, x.name, owned=not new)  # the last state may be a row
              for x, new, (shape, kind) in zip(stacked, anew, kinds, strict=False))]


@lowering(control.scan_p)
def _scan(em, step, *operands):
    params = step.params
    body, carry, counted = params["body"], params["carry"], params["counted"]
    length, reverse, consts = params["length"], params["reverse"], params["consts"]
    extent = em.let(em.element(operands[0], index(0))) if counted else index(length)
    operands = operands[counted:]
    fixed = [_shared(em.forced(x)) for x in operands[:consts]]
    firsts = [em.forced(x) for x in operands[consts:consts + carry]]
    columns = [x if type(x) is Virtual and not x.computed else em.to_buffer(x)
               for x in operands[consts + carry:]]
    kinds = _outs(body)
    anew = _homes(body, consts, carry)
    kept = {} if reverse or counted else _kept(body, consts, carry, anew)
    stacked = [em.buffer((length + (k in kept.values()), *shape), kind)
               for k, (shape, kind) in enumerate(kinds[carry:])]
    slots = [Rows(em, shape, kind, stacked[kept[k]] if k in kept else None) if anew[k] else
             Slots(em, shape, kind, first)
             for k, ((shape, kind), first) in enumerate(zip(kinds[:carry], firsts, strict=True))]
    _begin(em, slots, firsts, em.let(extent + 1) if reverse else index(0))
    stored = [k for k in range(len(stacked)) if k not in kept.values()]
    with em.loop(length if not counted else extent, reverse=reverse, scratch=not carry,
                 cap=params.get("threads") or 0) as k:
        rows = [_row(em, column, k) for column in columns]
        state = [_owned(_carry(em, slot, k)) for slot in slots]
        values = lower_body(em, body, fixed + state + rows)
        if not em.dead:
            _store_rows(em, [stacked[m] for m in stored], [values[carry + m] for m in stored], k)
            _assign_all(em, slots, values[:carry], _next(k))
        em.dead = False
    last = index(1) if reverse else extent
    return [_carry(em, slot, last) for slot in slots] + [
        Buffer((length, *x.shape[1:]), x.kind, x.name, x.owned) for x in stacked]


def _next(k):
    return index(k.value + 1) if type(k) is Const else k + 1


def _kept(body: Graph, consts: int, carry: int, anew: list[bool]) -> dict[int, int]:
    """Carries that are kept as they come in, each with the number of the results that keep it."""
    places = {var: k for k, var in enumerate(body.inputs[consts:consts + carry])}
    kept: dict[int, int] = {}
    for m, atom in enumerate(body.outputs[carry:]):
        k = places.get(atom) if type(atom) is Var else None
        if k is not None and anew[k]:
            kept.setdefault(k, m)
    return kept


def _begin(em: Emitter, slots: list, firsts: list[Value], k) -> None:
    """The first carries, before iteration k."""
    for slot, first in zip(slots, firsts, strict=True):
        if type(slot) is Rows:
            slot.write(em, first, k)


def _carry(em: Emitter, slot, k) -> Value:
    """The carry before iteration k."""
    return slot.read(em, k) if type(slot) is Rows else slot.read(em)


def _row(em: Emitter, column: Value, k) -> Value:
    shape = column.shape[1:]
    if type(column) is Virtual:
        row = Virtual(shape, column.kind, lambda indices: em.at(column, (k, *indices)),
                      computed=False, cost=column.cost)
        return em.scalars(row) if size_of(shape) <= SMALL else row
    return row_at(em, column, shape, em.let(k * size_of(shape)))


def row_at(em: Emitter, column: Buffer, shape, start) -> Value:
    """The value of a shape that begins at a place of a buffer."""
    row = Virtual(shape, column.kind, None, lambda i: em.let(ir.Load(column.name, start + i)),
                  computed=False, cost=0)
    row.at = lambda indices: row.flat(flat_index(shape, indices))
    return em.scalars(row) if size_of(shape) <= SMALL else row


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
@lowering(control.assume_p)
def _check(em, step, x, ok):
    em.stop_unless(convert(em.element(ok, index(0)), "i1"), step.params["exception"].exception)
    return [x]
