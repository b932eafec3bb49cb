"""Large loops cut out of a function, so that threads may share them.

`spread` takes a function of the loop IR and gives it back with its large parallel loops as
functions of their own, over a range of the index, and `Spread` statements in their place.

A loop qualifies if its iterations are independent (`parallel`, or `scratch`: then the allocations
that it alone touches move into the new function, where each piece has its own), or if all it does
is to reduce: every assignment to a variable from outside has the form `m := m + e`, with another
associative operation perhaps, and `e` does not read `m`. A reduction is made in blocks, at most 64,
whose results are combined in order. Blocks and pieces depend on the program alone, never on the
number of threads, and so do results. Pieces of innermost loops are multiples of 64 iterations, so
that vectors fall on the same elements wherever a piece begins.

What a loop costs is estimated from its extents, in units of about 0.1 ns; loops of less than some
50 us are left alone, since waking the threads takes 5 to 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sciad.compiler.nodes import (
    Alloc,
    Assign,
    Call,
    Const,
    Function,
    If,
    Let,
    Load,
    Loop,
    Name,
    Op,
    Return,
    Spread,
    Store,
    Var,
    While,
    on_stack,
)
from sciad.compiler.outline import names_of
from sciad.compiler.scalars import DTYPES, SCALARS

LARGE = 2**19
"""Cost from which a loop is spread."""

PIECE = 2**17
"""Least cost of a piece."""

PIECES = 64
"""Most pieces of a loop."""

ROWS = 16
"""Least extent of an outer loop that is spread itself, if the loop in it may be spread instead."""

_CALL = 2**14  # what a call costs: solves of differential equations and the like
_UNKNOWN = 16  # iterations of a loop whose number is not known
_CHEAP = {"add", "sub", "mul", "fma", "neg", "abs", "max", "min", "select", "lt", "le", "gt", "ge",
          "eq", "ne", "and", "or", "xor", "not", *SCALARS, "shl",
          "shr", "isnan", "isfinite", "isinf", "signbit", "copysign", "sign"}
_MIDDLING = {"div", "sqrt", "floor", "ceil", "trunc", "rint"}


# ---- cost --------------------------------------------------------------------------------------


def _price(e) -> int:
    kind = type(e)
    if kind is Op:
        own = 1 if e.name in _CHEAP else 4 if e.name in _MIDDLING else 8
        return own + sum(map(_price, e.args))
    return 1 + _price(e.index) // 2 if kind is Load else 0


def extent_of(s: Loop) -> int | None:
    """The iterations of a loop, if that is a constant."""
    if type(s.start) is Const and type(s.stop) is Const:
        return max(s.stop.value - s.start.value, 0)
    return None


def cost(body: list) -> int:
    """What statements cost, in units of about 0.1 ns."""
    total = 0
    for s in body:
        kind = type(s)
        if kind is Let or kind is Var or kind is Assign:
            total += _price(s.expr)
        elif kind is Store:
            total += 1 + _price(s.expr) + _price(s.index) // 2
        elif kind is Loop:
            extent = extent_of(s)
            total += (_UNKNOWN if extent is None else extent) * (1 + cost(s.body))
        elif kind is While:
            total += _UNKNOWN * (cost(s.head) + _price(s.condition) + cost(s.body))
        elif kind is If:
            total += _price(s.condition) + max(cost(s.then), cost(s.orelse))
        elif kind is Call:
            total += _CALL
    return total


# ---- what a loop does ---------------------------------------------------------------------------

_NEUTRAL = {"add": lambda t: -0.0 if t[0] == "f" else 0, "mul": lambda t: 1,
            "or": lambda t: False if t == "i1" else 0, "and": lambda t: True if t == "i1" else -1,
            "max": lambda t: _end(t, "min"), "min": lambda t: _end(t, "max")}
"""What changes nothing, by the operation that reduces."""


def _end(type: str, side: str):
    if type[0] == "f":
        return -math.inf if side == "min" else math.inf
    return int(getattr(np.iinfo(DTYPES[type]), side))


@dataclass(slots=True)
class _Doings:
    """What a body does that matters here."""

    stores: bool = False
    calls: set = field(default_factory=set)
    returns: bool = False
    reduces: dict[str, Op] = field(default_factory=dict)
    odd: bool = False  # assigns from outside in another way, or is spread already
    reads: dict[str, int] = field(default_factory=dict)  # how often a name is read


def _reads(e, counts: dict[str, int]) -> None:
    kind = type(e)
    if kind is Name:
        counts[e.name] = counts.get(e.name, 0) + 1
    elif kind is Op:
        for arg in e.args:
            _reads(arg, counts)
    elif kind is not Const:
        _reads(e.buffer, counts)
        _reads(e.index, counts)


def _look(body: list, doings: _Doings, inner: set[str]) -> None:
    for s in body:
        kind = type(s)
        if kind is Let or kind is Var:
            inner.add(s.name)
            _reads(s.expr, doings.reads)
        elif kind is Assign:
            _look_at_assign(s, doings, inner)
        elif kind is Store:
            doings.stores = True
            for e in (s.buffer, s.index, s.expr):
                _reads(e, doings.reads)
        elif kind is Loop:
            _reads(s.start, doings.reads)
            _reads(s.stop, doings.reads)
            _look(s.body, doings, inner)
        elif kind is If or kind is While:
            _reads(s.condition, doings.reads)
            for block in (s.then, s.orelse) if kind is If else (s.head, s.body):
                _look(block, doings, inner)
        elif kind is Call:
            doings.calls.add(s.target if isinstance(s.target, str) else s.target.name)
            if s.result is not None:
                inner.add(s.result)
            for e in s.args:
                _reads(e, doings.reads)
        elif kind is Return:
            doings.returns = True
        elif kind is Alloc:
            inner.add(s.name)
        else:
            doings.odd = True


def _counted(body: list) -> dict[str, int]:
    """How often statements read each name, buffers that they write to included."""
    doings = _Doings()
    _look(body, doings, set())
    return doings.reads


def _look_at_assign(s: Assign, doings: _Doings, inner: set[str]) -> None:
    _reads(s.expr, doings.reads)
    if s.name in inner:
        return
    e, before = s.expr, doings.reduces.get(s.name)
    fits = (type(e) is Op and e.name in _NEUTRAL
            and sum(type(x) is Name and x.name == s.name for x in e.args) == 1
            and (before is None or (before.name, before.fast) == (e.name, e.fast)))
    doings.odd |= not fits
    doings.reduces.setdefault(s.name, e)
    doings.reads[s.name] = doings.reads.get(s.name, 0) - 1  # the one that it must make


# ---- the pass ----------------------------------------------------------------------------------


class _Spreader:
    """Works on one function; `safe`: what loops may call on any thread."""

    def __init__(self, function: Function, safe: set[str]):
        self.function, self.safe = function, safe
        self.parts: list[Function] = []
        self.count = 0
        self.everywhere: dict[str, int] | None = None
        self.allocs = {s.name: s for s in function.body if type(s) is Alloc}
        self.plain = {name for name, _ in function.params} | self.allocs.keys()

    def block(self, body: list) -> list:
        out: list = []
        for s in body:
            kind = type(s)
            if kind is Loop:
                out += self.loop(s)
            elif kind is If:
                out.append(If(s.condition, self.block(s.then), self.block(s.orelse)))
            elif kind is While:
                out.append(While(s.head, s.condition, self.block(s.body)))
            else:
                out.append(s)
        return out

    def loop(self, s: Loop) -> list:
        extent = extent_of(s)
        each = 1 + cost(s.body)
        if extent and extent * each >= LARGE and s.cap != 1:
            doings = _Doings()
            _look(s.body, doings, {s.index})
            free = not doings.odd and doings.calls <= self.safe
            independent = (s.parallel or s.scratch) and not doings.reduces
            within = extent < ROWS and extent * LARGE <= extent * each  # better one loop further in
            if free and independent and not (within and self.divisible(s.body)):
                return self.independent(s, extent, each)
            if free and not doings.stores and not doings.returns and not doings.calls \
                    and doings.reduces and not s.reverse \
                    and all(doings.reads[name] == 0 for name in doings.reduces):
                return self.reduction(s, extent, each, doings.reduces)
        elif not extent or s.cap == 1:
            return [s]
        return [Loop(s.index, s.start, s.stop, self.block(s.body), s.reverse, s.parallel,
                     s.scratch, s.cap)]

    def divisible(self, body: list) -> bool:
        """Whether a large loop in the body could be spread."""
        return any(type(s) is Loop and (s.parallel or s.scratch) and
                   (extent_of(s) or 0) * (1 + cost(s.body)) >= LARGE for s in body)

    def independent(self, s: Loop, extent: int, each: int) -> list:
        inner = any(type(x) in (Loop, While) for x in s.body)
        grain = _grain(extent, each, 1 if inner else 64)
        own = self.scratch_of(s) if s.scratch else []
        body = [*own, Loop(s.index, Name("start", "i64"), Name("stop", "i64"), s.body,
                           s.reverse, s.parallel, s.scratch), Return(Const(0, "i64"))]
        return self.calls(body, s, grain, {})

    def scratch_of(self, s: Loop) -> list[Alloc]:
        """The allocations that only this loop touches, taken out of the function."""
        if self.everywhere is None:
            self.everywhere = _counted(self.function.body)
        here = _counted([s])
        own = [name for name in self.allocs if here.get(name) and
               here[name] == self.everywhere[name]]
        return [self.allocs.pop(name) for name in own]

    def reduction(self, s: Loop, extent: int, each: int, reduces: dict[str, Op]) -> list:
        block = _grain(extent, each, 1 if any(type(x) is Loop for x in s.body) else 64)
        count = -(-extent // block)
        if count < 2:
            return [s]
        k = Name(self.fresh("k"), "i64")
        first = Name(self.fresh("first"), "i64")
        last = Name(self.fresh("last"), "i64")
        start = k * block + s.start if s.start.value else k * block
        body: list = [Let(first.name, start),
                      Let(last.name, Op("min", (first + block, s.stop)))]
        slots = {name: Name(self.fresh("part"), f"ptr<{e.type}>") for name, e in reduces.items()}
        body += [Var(name, Const(_NEUTRAL[e.name](e.type), e.type)) for name, e in reduces.items()]
        body.append(Loop(s.index, first, last, s.body, False, s.parallel))
        body += [Store(slots[name], k, Name(name, e.type)) for name, e in reduces.items()]
        allocs = [Alloc(slot.name, slot.type[4:-1], Const(count, "i64")) for slot in slots.values()]
        assert all(map(on_stack, allocs))
        whole = Loop(k.name, Name("start", "i64"), Name("stop", "i64"), body)
        statement = Loop(k.name, Const(0, "i64"), Const(count, "i64"), body, cap=s.cap)
        calls = self.calls([whole, Return(Const(0, "i64"))], statement, 1, slots)
        j = Name(self.fresh("j"), "i64")
        combine = [Assign(name, Op(e.name, (Name(name, e.type), Load(slots[name], j)), e.fast))
                   for name, e in reduces.items()]
        self.plain |= {slot.name for slot in slots.values()}
        return [*allocs, *calls, Loop(j.name, Const(0, "i64"), Const(count, "i64"), combine)]

    def calls(self, body: list, s: Loop, grain: int, slots: dict[str, Name]) -> list:
        """The body as a function, and what calls it in place of the loop."""
        needs = names_of(body)
        del needs["start"], needs["stop"]
        plain = self.plain | {slot.name for slot in slots.values()}
        noalias = self.function.noalias and all(
            name in plain for name, type in needs.items() if type.startswith("ptr<"))
        label = f"{self.function.name}..part{len(self.parts)}"
        params = [("start", "i64"), ("stop", "i64"), *needs.items()]
        self.parts.append(Function(label, params, body, "i64", None, noalias))
        status = Name(self.fresh("status"), "i64")
        args = tuple(Name(*each) for each in needs.items())
        return [Spread(label, args, s.start, s.stop, grain, status.name, s.cap),
                If(status.ne(0), [Return(status)], [])]

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def run(self) -> list[Function]:
        f = self.function
        body = self.block([s for s in f.body if type(s) is not Alloc])
        if not self.parts:
            return [f]
        main = Function(f.name, f.params, [*self.allocs.values(), *body], f.result, f.inline,
                        f.noalias)
        return [*self.parts, main]


def _grain(extent: int, each: int, unit: int) -> int:
    """Iterations of a piece."""
    least = max(-(-extent // PIECES), min(-(-PIECE // each), -(-extent // 8)))
    return -(-least // unit) * unit


def spread(function: Function, safe: set[str]) -> list[Function]:
    """The parts of a function that threads may share, and last the function itself.

    `safe` names the functions and the pointers that its loops may call from several threads.
    """
    fixed = all(type(s.count) is Const for s in function.body if type(s) is Alloc)
    if function.result != "i64" or not fixed or not any(
            type(s) in (Loop, If, While) and cost([s]) >= LARGE for s in function.body):
        return [function]
    return _Spreader(function, safe).run()
