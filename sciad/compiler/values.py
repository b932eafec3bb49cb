"""What a value of a graph is in native code, and the emitter that makes it.

Scalars   a small array (at most `SMALL` entries) or a scalar: one expression an entry
Buffer    a contiguous array in memory
Virtual   an array not yet computed: an expression for each index. It is written out as part of
          the loop that uses it, which is how elementwise chains and their reductions fuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Expr, Name
from sciad.compiler.ranges import Bounds, Cuts, bounds, parts
from sciad.compiler.scalars import DTYPES
from sciad.core.errors import SciadError
from sciad.core.graph import Literal, Type

SMALL = 16
KINDS = {"float64": "f64", "float32": "f32", "int64": "i64", "int32": "i32", "bool": "i1",
         "int16": "i16", "int8": "i8", "uint64": "u64", "uint32": "u32", "uint16": "u16",
         "uint8": "u8"}


class Unsupported(SciadError):
    """A graph has something without a native form; the function then runs eagerly."""


class Unavailable(Unsupported):
    """There is no native code here at all."""


@lru_cache(maxsize=64)
def kind_of(dtype: np.dtype) -> str:
    """The loop IR's type of a dtype."""
    kind = KINDS.get(dtype.name)
    if kind is None:
        raise Unsupported(f"no native code for dtype {dtype}")
    return kind


@lru_cache(maxsize=64)
def has_kind(dtype: np.dtype) -> bool:
    """Whether native code computes with a dtype."""
    return dtype.name in KINDS


def size_of(shape: Sequence[int]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def index(value: int) -> Const:
    return Const(value, "i64")


@dataclass(slots=True)
class Scalars:
    shape: tuple[int, ...]
    kind: str
    entries: list[Expr]


@dataclass(slots=True)
class Buffer:
    shape: tuple[int, ...]
    kind: str
    name: Name
    owned: bool = False


@dataclass(slots=True)
class Virtual:
    """`at(indices)` is the entry; `flat(i)`, where there is one, the i-th in C order. `computed`
    tells an expression that costs something from one that only moves entries; `depth` counts the
    operations between it and memory, `cost` those that an entry takes. `cuts`: where its pieces
    end, on each axis (ranges.py)."""

    shape: tuple[int, ...]
    kind: str
    at: Callable[[tuple[Expr, ...]], Expr]
    flat: Callable[[Expr], Expr] | None = None
    computed: bool = True
    depth: int = 1
    cost: int = 1000
    cuts: Cuts | None = None


Value = Scalars | Buffer | Virtual

DEEPEST = 32
"""Operations that one virtual value may stand for; a longer chain is cut by a buffer."""


def depth_of(*values: Value) -> int:
    """The depth of a virtual value made from these."""
    return 1 + max((x.depth for x in values if type(x) is Virtual), default=0)


CHEAP = 2
"""The cost up to which an entry is computed again where it is used again, rather than stored."""


def cost_of(*values: Value) -> int:
    """What an entry of each of these costs together."""
    return sum(x.cost for x in values if type(x) is Virtual and x.computed)


def flat_index(shape: tuple[int, ...], indices: Sequence[Expr]) -> Expr:
    """The place in C order of an entry."""
    place: Expr = index(0)
    for extent, i in zip(shape, indices, strict=True):
        if extent == 1:
            continue
        place = _plus(_times(place, extent), i)
    return place


def _times(x: Expr, n: int) -> Expr:
    return index(x.value * n) if type(x) is Const else x * n


def _plus(x: Expr, y: Expr) -> Expr:
    if type(x) is Const and type(y) is Const:
        return index(x.value + y.value)
    if type(x) is Const and x.value == 0:
        return y
    return x if type(y) is Const and y.value == 0 else x + y


def unflatten_index(shape: tuple[int, ...], place: Expr) -> tuple[Expr, ...]:
    """The indices of a place in C order."""
    indices: list[Expr] = []
    for extent in reversed(shape):
        if type(place) is Const:
            indices.append(index(place.value % extent))
            place = index(place.value // extent)
        else:
            indices.append(place % extent if len(indices) < len(shape) - 1 else place)
            place = place // extent
    return tuple(reversed(indices))


@dataclass
class Emitter:
    """Collects statements; makes names, buffers and loops.

    With `inline`, calls through function pointers are replaced by calls that LLVM can inline: more
    to compile, faster to run. With `linked`, callbacks are symbols, not parameters of the kernel.
    With `fast`, elementwise arithmetic may be reassociated and contracted.
    """

    block: list = field(default_factory=list)
    allocs: list = field(default_factory=list)
    constants: list[tuple[Name, np.ndarray]] = field(default_factory=list)
    statuses: list[Exception] = field(default_factory=list)
    functions: list = field(default_factory=list)
    pointers: list[tuple[Name, int, object]] = field(default_factory=list)
    callbacks: dict = field(default_factory=dict)
    inline: bool = False
    library: Callable | None = None
    linked: bool = False
    fast: bool = False
    inlinable: bool = False
    ranges: dict[str, Bounds] = field(default_factory=dict)
    count: int = 0
    dead: bool = False

    def fresh(self, prefix: str = "v") -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def emit(self, statement) -> None:
        self.block.append(statement)

    def let(self, expr: Expr) -> Expr:
        """`expr` under a name, so that it is computed once."""
        if type(expr) in (Const, Name):
            return expr
        name = self.fresh()
        self.block.append(ir.Let(name, expr))
        if expr.type == "i64" and (found := bounds(expr, self.ranges)):
            self.ranges[name] = found
        return Name(name, expr.type)

    def snapshot(self, var: Name) -> Name:
        """The present value of a mutable scalar."""
        name = self.fresh()
        self.block.append(ir.Let(name, var))
        return Name(name, var.type)

    def variable(self, expr: Expr) -> Name:
        name = self.fresh("m")
        self.emit(ir.Var(name, expr))
        return Name(name, expr.type)

    def alloc(self, kind: str, size: int) -> Name:
        name = self.fresh("b")
        self.allocs.append(ir.Alloc(name, kind, index(max(size, 1))))
        return Name(name, f"ptr<{kind}>")

    def buffer(self, shape, kind) -> Buffer:
        return Buffer(tuple(shape), kind, self.alloc(kind, size_of(shape)), owned=True)

    @contextmanager
    def nested(self):
        """A new block; yields the list of its statements."""
        outer, self.block = self.block, []
        try:
            yield self.block
        finally:
            self.block = outer

    @contextmanager
    def loop(self, extent: int | Expr, reverse: bool = False, parallel: bool = False,
             scratch: bool = False, cap: int = 0):
        """A loop over 0 <= i < extent; yields the index. `parallel`: no iteration touches an
        element that another one writes. `scratch`: the same, but for buffers that only this loop
        touches. `cap`: the most threads."""
        if type(extent) is int and extent == 1:
            yield index(0)
            return
        name = self.fresh("i")
        stop = index(extent) if isinstance(extent, int) else extent
        if type(stop) is Const:
            self.ranges[name] = (0, stop.value - 1)
        with self.nested() as body:
            yield Name(name, "i64")
        self.emit(ir.Loop(name, index(0), stop, body, reverse, parallel, scratch, cap))

    def part(self, start: int, stop: int, visit: Callable, parallel: bool,
             scratch: bool = False) -> None:
        """``visit(i)`` for start <= i < stop."""
        if stop - start == 1:
            visit(index(start))
            return
        name = self.fresh("i")
        self.ranges[name] = (start, stop - 1)
        with self.nested() as body:
            visit(Name(name, "i64"))
        self.emit(ir.Loop(name, index(start), index(stop), body, False, parallel, scratch))

    def each(self, shape: Sequence[int], cuts: Cuts | None, visit: Callable,
             parallel: bool = False, apart: int = 0) -> None:
        """``visit(indices)`` in nested loops over a shape, cut where pieces end; iterations along
        the first `apart` axes are independent."""
        self._each(tuple(shape), cuts or ((),) * len(shape), (), visit, parallel, apart)

    def _each(self, shape, cuts, before, visit, parallel, apart):
        if len(before) == len(shape):
            visit(before)
            return
        axis = len(before)
        for start, stop, sure in parts(shape[axis], cuts[axis]):
            rest = cuts if sure else ((),) * len(shape)
            self.part(start, stop, lambda i, rest=rest: self._each(
                shape, rest, (*before, i), visit, parallel, apart),
                parallel, axis < apart)

    @contextmanager
    def loops(self, shape: Sequence[int], parallel: bool = False):
        """Nested loops over a shape; yields the indices."""
        if not shape:
            yield ()
            return
        with self.loop(shape[0], parallel=parallel) as first, \
                self.loops(shape[1:], parallel) as rest:
            yield (first, *rest)

    def pointer(self, address: int, owner: object) -> Name:
        """A function pointer as a parameter of the kernel; `owner` is kept alive with it."""
        for name, known, _ in self.pointers:
            if known == address:
                return name
        name = Name(self.fresh("f"), "ptr")
        self.pointers.append((name, address, owner))
        return name

    def mark(self) -> list[int]:
        """What has been emitted so far."""
        return [len(x) for x in self._emitted()]

    def back_to(self, mark: list[int]) -> None:
        """Forget what was emitted since a mark."""
        for x, length in zip(self._emitted(), mark, strict=True):
            del x[length:]

    def _emitted(self) -> tuple[list, ...]:
        return (self.block, self.allocs, self.constants, self.statuses, self.functions,
                self.pointers)

    def stop(self, exception: Exception) -> None:
        """Return with the status of this exception."""
        self.statuses.append(exception)
        self.emit(ir.Return(index(FIRST_STATUS + len(self.statuses) - 1)))

    def stop_unless(self, ok: Expr, exception: Exception) -> None:
        with self.nested() as body:
            self.stop(exception)
        self.emit(ir.If(~ok, body, []))

    # --- values ---------------------------------------------------------------------------------

    def literal(self, atom: Literal) -> Value:
        value, kind = atom.value, kind_of(atom.type.dtype)
        shape = atom.type.shape
        if size_of(shape) <= SMALL:
            entries = [value] if not shape else np.asarray(value).ravel().tolist()
            return Scalars(shape, kind, [Const(_python(x, kind), kind) for x in entries])
        first = np.ravel(value)[0]
        if _uniform(np.asarray(value), first):
            entry = Const(_python(first, kind), kind)
            return Virtual(shape, kind, lambda indices: entry, lambda i: entry, computed=False)
        name = Name(self.fresh("k"), f"ptr<{kind}>")
        self.constants.append((name, np.ascontiguousarray(value)))
        return Buffer(shape, kind, name)

    def element(self, value: Value, place: Expr) -> Expr:
        """The entry at a place in C order."""
        if type(value) is Scalars:
            if len(value.entries) == 1:
                return value.entries[0]
            return value.entries[place.value]
        if type(value) is Buffer:
            return self.let(ir.Load(value.name, place))
        if value.flat is not None:
            return value.flat(place)
        return value.at(unflatten_index(value.shape, place))

    def at(self, value: Value, indices: tuple[Expr, ...]) -> Expr:
        """The entry at these indices; an axis of extent 1 takes any."""
        if type(value) is Virtual:
            return value.at(tuple(index(0) if n == 1 else i
                                  for n, i in zip(value.shape, indices, strict=True)))
        return self.element(value, flat_index(value.shape, indices))

    def scalars(self, value: Value) -> Scalars:
        """A value of any form, entry by entry."""
        if type(value) is Scalars:
            return value
        size = size_of(value.shape)
        return Scalars(value.shape, value.kind,
                       [self.element(value, index(k)) for k in range(size)])

    def addressable(self, value: Value) -> Value:
        """A value whose entries may be read at run-time indices."""
        if type(value) is Scalars and len(value.entries) != 1:
            return self.to_buffer(value)
        return value

    def to_buffer(self, value: Value) -> Buffer:
        """A value in memory."""
        if type(value) is Buffer:
            return value
        out = self.buffer(value.shape, value.kind)
        self.store(value, out.name)
        return out

    def forced(self, value: Value) -> Value:
        """A value that costs nothing to read: in memory or in scalars."""
        return self.to_buffer(value) if type(value) is Virtual else value

    def settled(self, value: Value) -> Value:
        """Small values as scalars, others in memory."""
        return self.scalars(value) if size_of(value.shape) <= SMALL else self.to_buffer(value)

    def store(self, value: Value, out: Name, offset: Expr | None = None) -> None:
        """Write all entries to memory that `value` does not read, in C order, from an offset on."""
        offset = offset or index(0)
        if type(value) is Scalars:
            for k, entry in enumerate(value.entries):
                self.emit(ir.Store(out, _plus(offset, index(k)), entry))
        elif type(value) is Buffer or value.flat is not None:
            with self.loop(size_of(value.shape), parallel=True) as i:
                self.emit(ir.Store(out, _plus(offset, i), self.element(value, i)))
        else:
            def visit(indices):
                place = flat_index(value.shape, indices)
                self.emit(ir.Store(out, _plus(offset, place), value.at(indices)))

            self.each(value.shape, value.cuts, visit, parallel=True)


FIRST_STATUS = 2000
"""Statuses from here on stand for the exceptions of the program, in order."""


def _uniform(value: np.ndarray, first) -> bool:
    """Whether all entries are `first`, signs of zeros included."""
    same = value == first
    if value.dtype.kind == "f":
        same &= np.signbit(value) == np.signbit(first)
    return bool(same.all())


def _python(x, kind):
    return bool(x) if kind == "i1" else float(x) if kind[0] == "f" else int(x)


def fits(value, kind: str) -> bool:
    """Whether a number, cut to an integer, is one of a kind."""
    limits = np.iinfo(DTYPES[kind])
    return bool(limits.min <= value <= limits.max)


def convert(expr: Expr, kind: str) -> Expr:
    """An expression in another type."""
    if expr.type == kind:
        return expr
    if type(expr) is Const and (kind[0] == "f" or kind == "i1" and abs(expr.value) < 2**31
                                or kind != "i1" and fits(expr.value, kind)):
        return Const(_python(expr.value, kind), kind)
    if kind == "i1":
        return expr.ne(0)
    return ir.Op(kind, (expr,))


def value_type(kind: Type) -> tuple[tuple[int, ...], str]:
    return kind.shape, kind_of(kind.dtype)
