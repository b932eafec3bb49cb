"""A long function cut into several, so that compiling takes time linear in its length.

Register allocation, scheduling and the loop passes of LLVM take time that grows faster than the
length of a function; an unrolled loop of Python over arrays makes functions of thousands of loops.
Such a body is cut between statements of its top level. Each piece becomes a function of its own,
never inlined: the buffers that it touches are its parameters, the status that it returns is handed
on. A scalar that is needed in a later piece travels through memory, in one buffer for each type.
Where a mutable scalar or a pointer made on the way is alive, nothing is cut. A loop with a long
body is cut in the same way inside: statements that touch mutable scalars from outside (carries)
stay in the loop, what stands between them becomes functions.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace

from sciad.compiler.nodes import (
    Address,
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
)

LONG = 1200
"""Weight from which a function is cut."""

PIECE = 400
"""Weight at which a piece ends."""

LOOP_WEIGHT = 8
"""A loop costs the compiler as much as this many statements."""


@dataclass(slots=True)
class _Facts:
    """What one statement of the top level reads, defines for those after it, and weighs."""

    reads: dict[str, str] = field(default_factory=dict)
    defines: dict[str, str] = field(default_factory=dict)
    inner: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)
    derived: bool = False
    weight: int = 0


def _read(e, reads: dict[str, str]) -> None:
    kind = type(e)
    if kind is Name:
        reads[e.name] = e.type
    elif kind is Op:
        for arg in e.args:
            _read(arg, reads)
    elif kind is Load or kind is Address:
        reads[e.buffer.name] = e.buffer.type
        _read(e.index, reads)


def _visit(body: list, facts: _Facts) -> None:
    """Add what statements read, define and weigh."""
    reads, inner = facts.reads, facts.inner
    for s in body:
        kind = type(s)
        facts.weight += 1
        if kind is Let or kind is Var or kind is Assign:
            _read(s.expr, reads)
            if kind is Assign:
                reads[s.name] = s.expr.type
            else:
                inner.add(s.name)
                facts.derived |= s.expr.type.startswith("ptr")
        elif kind is Store:
            reads[s.buffer.name] = s.buffer.type
            _read(s.index, reads)
            _read(s.expr, reads)
        elif kind is Call:
            for arg in s.args:
                _read(arg, reads)
            if type(s.target) is Name:
                reads[s.target.name] = s.target.type
            if s.result is not None:
                inner.add(s.result)
        elif kind is Spread:
            for arg in (*s.args, s.start, s.stop):
                _read(arg, reads)
            inner.add(s.result)
        elif kind is Return:
            _read(s.expr, reads)
        elif kind is Alloc:
            _read(s.count, reads)
            inner.add(s.name)
        else:
            _visit_blocks(s, kind, facts)


def _visit_blocks(s, kind, facts: _Facts) -> None:
    if kind is Loop:
        facts.weight += LOOP_WEIGHT
        facts.inner.add(s.index)
        _read(s.start, facts.reads)
        _read(s.stop, facts.reads)
        _visit(s.body, facts)
        return
    _read(s.condition, facts.reads)
    if kind is While:
        facts.weight += LOOP_WEIGHT
        _visit(s.head, facts)
        _visit(s.body, facts)
    else:
        _visit(s.then, facts)
        _visit(s.orelse, facts)


def _facts(s) -> _Facts:
    facts = _Facts()
    _visit([s], facts)
    kind = type(s)
    if kind is Let or kind is Var:
        facts.defines[s.name] = s.expr.type
        if kind is Var or s.expr.type.startswith("ptr"):
            facts.fixed.add(s.name)
    elif kind is Call and s.result is not None:
        facts.defines[s.result] = s.type
    elif kind is Spread:
        facts.defines[s.result] = "i64"
    elif kind is Alloc:
        facts.defines[s.name] = f"ptr<{s.type}>"
        facts.fixed.add(s.name)
    for name in facts.inner:
        facts.reads.pop(name, None)
    return facts


def names_of(body: list) -> dict[str, str]:
    """The names that statements read and do not define, with their types."""
    facts = _Facts()
    _visit(body, facts)
    return {name: type for name, type in facts.reads.items() if name not in facts.inner}


def lifetimes(body: list) -> dict[str, tuple[int, int]]:
    """The first and the last statement of a body that touches a name; to the end of the body if a
    pointer into it is made."""
    facts = [_facts(s) for s in body]
    spans: dict[str, tuple[int, int]] = {}
    escaped = {name for each in facts if each.derived for name in each.reads}
    for k, each in enumerate(facts):
        for name in each.reads:
            spans[name] = spans.get(name, (k, k))[0], len(body) if name in escaped else k
    return spans


def packed(sizes: dict[str, int], spans: dict[str, tuple[int, int]]) -> tuple[dict, int]:
    """Offsets for allocations, and the bytes that they take together: one takes the place of
    another of its size that is no longer touched."""
    offsets: dict[str, int] = {}
    free: dict[int, list[int]] = {}
    ends: list[tuple[int, int, int]] = []
    total = 0
    for name in sorted((name for name in sizes if name in spans), key=lambda n: spans[n][0]):
        start, stop = spans[name]
        while ends and ends[0][0] < start:
            _, size, place = heapq.heappop(ends)
            free.setdefault(size, []).append(place)
        size = sizes[name]
        if free.get(size):
            offsets[name] = free[size].pop()
        else:
            offsets[name] = total
            total += size
        heapq.heappush(ends, (stop, size, offsets[name]))
    return {name: offsets.get(name, 0) for name in sizes}, max(total, 64)


def _cuts(facts: list[_Facts]) -> list[tuple[int, int]]:
    """The pieces, as ranges of statements."""
    last = {name: k for k, each in enumerate(facts) for name in each.reads}
    pieces, start, weight, closed = [], 0, 0, 0
    for k, each in enumerate(facts):
        weight += each.weight
        closed = max([closed, *(last.get(name, k) for name in each.fixed)])
        if weight >= PIECE and closed <= k:
            pieces.append((start, k + 1))
            start, weight = k + 1, 0
    if start < len(facts):
        pieces.append((start, len(facts)))
    return pieces


class _Travellers:
    """The scalars that one piece makes and a later one reads: their places in memory."""

    def __init__(self):
        self.places: dict[str, tuple[Name, int]] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, type: str) -> None:
        if name not in self.places:
            place = self.counts.get(type, 0)
            self.counts[type] = place + 1
            self.places[name] = Name(f"..between_{type}", f"ptr<{type}>"), place

    def store(self, name: str, type: str) -> Store:
        buffer, place = self.places[name]
        return Store(buffer, Const(place, "i64"), Name(name, type))

    def load(self, name: str) -> Let:
        buffer, place = self.places[name]
        return Let(name, Load(buffer, Const(place, "i64")))

    def allocs(self) -> list[Alloc]:
        return [Alloc(f"..between_{type}", type, Const(count, "i64"))
                for type, count in self.counts.items()]


def outlined(function: Function) -> list[Function]:
    """The function itself if it is short, else its pieces, and last a function of the same name
    and parameters that calls them."""
    body = [s for s in function.body if type(s) is not Alloc or type(s.count) is not Const]
    facts = [_facts(s) for s in body]
    if sum(each.weight for each in facts) < LONG or not _ends_well(body, function):
        return [function]
    travellers = _Travellers()
    loops = _Loops(function, travellers)
    body = loops.cut(body, set())
    if loops.functions:
        facts = [_facts(s) for s in body]
    pieces = _cuts(facts[:-1])
    if len(pieces) < 2:
        if not loops.functions:
            return [function]
        functions, calls = [], body[:-1]
    else:
        functions, calls = _pieces(function, body, facts, pieces, travellers)
    allocs = [s for s in function.body if type(s) is Alloc and type(s.count) is Const]
    head = [*allocs, *travellers.allocs()]
    main = Function(function.name, function.params, [*head, *calls, body[-1]], function.result,
                    function.inline, function.noalias)
    return [*loops.functions, *functions, main]


class _Loops:
    """Cuts the long bodies of loops; `functions` are the pieces."""

    def __init__(self, function: Function, travellers: _Travellers):
        self.function = function
        self.travellers = travellers
        self.functions: list[Function] = []

    def cut(self, body: list, mutable: set[str]) -> list:
        """A block whose loops have short bodies; `mutable` are the scalars of blocks around."""
        mutable = mutable | {s.name for s in body if type(s) is Var}
        return [self._shorter(s, mutable) if type(s) in (Loop, While) else s for s in body]

    def _shorter(self, s, mutable: set[str]):
        facts = [_facts(each) for each in s.body]
        if sum(each.weight for each in facts) < LONG or type(s) is Loop and (
                s.parallel or getattr(s, "scratch", False)):
            return s
        body = self.cut(s.body, mutable)
        facts = [_facts(each) for each in body]
        return replace(s, body=self._called(body, facts, self._ranges(facts, mutable)))

    def _ranges(self, facts: list[_Facts], mutable: set[str]) -> dict[int, int]:
        """The pieces of a block: where they start and stop."""
        last = {name: k for k, each in enumerate(facts) for name in each.reads}
        pieces: dict[int, int] = {}
        start, weight, closed = 0, 0, 0
        for k, each in enumerate(facts):
            if not mutable.isdisjoint(each.reads):
                if weight >= PIECE // 4 and closed < k:
                    pieces[start] = k
                start, weight = k + 1, 0
                continue
            weight += each.weight
            closed = max([closed, *(last.get(name, k) for name in each.fixed)])
            if weight >= PIECE and closed <= k:
                pieces[start] = k + 1
                start, weight = k + 1, 0
        return pieces

    def _called(self, body: list, facts: list[_Facts], pieces: dict[int, int]) -> list:
        """A block with calls in place of its pieces."""
        makers = {name: start for start, stop in pieces.items()
                  for each in facts[start:stop] for name in each.defines}
        out, here, k = [], set(), 0
        for start, stop in pieces.items():
            inside = {name for each in facts[start:stop] for name in each.defines}
            for other in [*facts[:start], *facts[stop:]]:
                for name, kind in other.reads.items():
                    if name in inside:
                        self.travellers.add(name, kind)
        while k < len(body):
            stop = pieces.get(k)
            if stop is not None:
                out += self._piece(body[k:stop], facts[k:stop], makers, k)
                k = stop
                continue
            for name in facts[k].reads:
                if name in makers and name not in here:
                    here.add(name)
                    out.append(self.travellers.load(name))
            out.append(body[k])
            k += 1
        return out

    def _piece(self, content: list, facts: list[_Facts], makers, start: int) -> list:
        places = self.travellers.places
        made = {name: kind for each in facts for name, kind in each.defines.items()}
        reads = {name: kind for each in facts for name, kind in each.reads.items()
                 if name not in made}
        loads = [name for name in reads if makers.get(name, start) != start]
        stores = [name for name in made if name in places]
        params = {name: kind for name, kind in reads.items() if name not in loads}
        for name in [*loads, *stores]:
            params[places[name][0].name] = places[name][0].type
        label = f"{self.function.name}..in{len(self.functions)}"
        self.functions.append(Function(label, list(params.items()), [
            *map(self.travellers.load, loads), *content,
            *(self.travellers.store(name, made[name]) for name in stores),
            Return(Const(0, "i64"))], "i64", "never", self.function.noalias))
        status = Name(f"..status_{label}", "i64")
        return [Call(label, tuple(Name(*each) for each in params.items()), status.name, "i64"),
                If(status.ne(0), [Return(status)], [])]


def _ends_well(body: list, function: Function) -> bool:
    """Whether the body's last statement returns a plain status."""
    return function.result == "i64" and type(body[-1]) is Return and type(body[-1].expr) is Const


def _pieces(function, body, facts, pieces, travellers):
    """The functions of the pieces, and the statements that call them."""
    makers = {name: k for k, (start, stop) in enumerate(pieces)
              for each in facts[start:stop] for name in each.defines}
    needs = []
    for k, (start, stop) in enumerate(pieces):
        reads = {name: kind for each in facts[start:stop] for name, kind in each.reads.items()}
        needs.append({name: kind for name, kind in reads.items() if makers.get(name) != k})
    for need in needs:
        for name, kind in need.items():
            if name in makers:
                travellers.add(name, kind)
    functions, calls = [], []
    for k, (start, stop) in enumerate(pieces):
        made = {name: kind for each in facts[start:stop] for name, kind in each.defines.items()
                if name in travellers.places}
        content = [*(travellers.load(name) for name in needs[k] if name in makers),
                   *body[start:stop], *(travellers.store(*each) for each in made.items()),
                   Return(Const(0, "i64"))]
        params = {name: kind for name, kind in needs[k].items() if name not in makers}
        for name in [*(name for name in needs[k] if name in makers), *made]:
            buffer = travellers.places[name][0]
            params[buffer.name] = buffer.type
        piece = Function(f"{function.name}..{k}", list(params.items()), content, "i64", "never",
                         function.noalias)
        functions.append(piece)
        status = f"..status{k}"
        calls += [Call(piece.name, tuple(Name(*each) for each in params.items()), status, "i64"),
                  If(Name(status, "i64").ne(0), [Return(Name(status, "i64"))], [])]
    return functions, calls
