"""Which loops of a nest may run side by side, read off the loop IR.

A nest is a loop, the loops that stand alone in it, and so on: ``for i: for j: body``. The loops
chosen as *threads* may run in any order and at once if each memory cell that the nest writes is
touched by one thread alone; the remaining loops keep their order inside the thread.

A loop marked ``parallel`` says so itself. For others the indices of the accesses are written as
``sum of coefficient * index + constant + what the nest does not change``, and the proof is that of
mixed radix numbers: order the terms of a buffer's accesses by their coefficients; if the
coefficient of each thread's term exceeds all that the terms below it can add up to, and the terms
between two threads' are multiples of more than that, then equal addresses mean equal threads.
So a gather, a matrix product (its sum runs inside the thread) and a sum along an axis need no mark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from sciad.compiler.nodes import (
    Address,
    Alloc,
    Assign,
    Call,
    Const,
    Expr,
    If,
    Let,
    Load,
    Loop,
    Name,
    Op,
    Return,
    Store,
    Var,
    While,
)

# ---- walks ---------------------------------------------------------------------------------------


def parts(s) -> tuple[list, list[list]]:
    """The expressions that a statement holds itself, and its blocks."""
    kind = type(s)
    if kind in (Let, Var, Assign, Return):
        return [s.expr] if s.expr is not None else [], []
    if kind is Store:
        return [s.buffer, s.index, s.expr], []
    if kind is Loop:
        return [s.start, s.stop], [s.body]
    if kind is While:
        return [s.condition], [s.head, s.body]
    if kind is If:
        return [s.condition], [s.then, s.orelse]
    if kind is Call:
        return [*s.args, *([s.target] if type(s.target) is Name else [])], []
    return [s.count] if kind is Alloc else [s.buffer, s.index, s.expr], []


def statements(body: Iterable) -> Iterator:
    """Every statement of a body, those of its blocks included."""
    for s in body:
        yield s
        for block in parts(s)[1]:
            yield from statements(block)


def nodes(e: Expr) -> Iterator[Expr]:
    """Every node of an expression."""
    yield e
    kind = type(e)
    if kind is Op:
        for arg in e.args:
            yield from nodes(arg)
    elif kind is Load or kind is Address:
        yield from nodes(e.buffer)
        yield from nodes(e.index)


def expressions(body: Iterable) -> Iterator[Expr]:
    """Every node of every expression of a body."""
    for s in statements(body):
        for e in parts(s)[0]:
            yield from nodes(e)


def defined(body: Iterable) -> set[str]:
    """The names that a body or one of its blocks defines."""
    names = set()
    for s in statements(body):
        kind = type(s)
        if kind in (Let, Var, Alloc):
            names.add(s.name)
        elif kind is Loop:
            names.add(s.index)
        elif kind is Call and s.result is not None:
            names.add(s.result)
    return names


def free(body: list) -> dict[str, str]:
    """The names, with their types, that a body takes from outside."""
    found = {e.name: e.type for e in expressions(body) if type(e) is Name}
    found.update((s.name, s.expr.type) for s in statements(body) if type(s) is Assign)
    own = defined(body)
    return {name: type for name, type in found.items() if name not in own}


def work(body: Iterable) -> int:
    """About how many statements a body runs."""
    total = 0
    for s in body:
        kind = type(s)
        if kind is Loop:
            known = type(s.start) is Const and type(s.stop) is Const
            total += (max(s.stop.value - s.start.value, 0) if known else 64) * work(s.body) + 1
        elif kind is While:
            total += 64 * (work(s.head) + work(s.body)) + 1
        elif kind is If:
            total += max(work(s.then), work(s.orelse)) + 1
        else:
            total += 1
    return total


# ---- nests ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Nest:
    loops: list[Loop]
    body: list


def nest_of(loop: Loop) -> Nest:
    """The loops from this one inwards that stand alone in one another; the ``Let``s between them
    move into the innermost, where they do not read what the nest writes."""
    written = {s.buffer.name for s in statements([loop]) if type(s) is Store}
    written |= {s.name for s in statements([loop]) if type(s) is Assign}
    loops, lets = [loop], []
    while True:
        body = loops[-1].body
        inner = body[-1] if body else None
        own = {each.index for each in loops} | {s.name for s in lets}
        own |= {s.name for s in body[:-1] if type(s) is Let}
        if type(inner) is not Loop or not all(_movable(s, written) for s in body[:-1]) or any(
                type(e) is Name and e.name in own for x in (inner.start, inner.stop)
                for e in nodes(x)):
            return Nest(loops, [*lets, *body])
        lets += body[:-1]
        loops.append(inner)


def _movable(s, written) -> bool:
    return type(s) is Let and not any(
        type(e) is Address or type(e) is Name and e.name in written for e in nodes(s.expr))


# ---- addresses -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Affine:
    """constant + sum of coefficients * indices + fixed (a text that stands for the rest)."""

    constant: int = 0
    terms: dict[str, int] = field(default_factory=dict)
    fixed: tuple = ()

    def plus(self, other: Affine, sign: int = 1) -> Affine:
        terms = dict(self.terms)
        for name, c in other.terms.items():
            terms[name] = terms.get(name, 0) + sign * c
        fixed = (*self.fixed, *((sign * c, name) for c, name in other.fixed))
        return Affine(self.constant + sign * other.constant,
                      {name: c for name, c in terms.items() if c}, tuple(sorted(fixed)))

    def times(self, n: int) -> Affine:
        return Affine(n * self.constant, {name: n * c for name, c in self.terms.items() if n},
                      tuple(sorted((n * c, name) for c, name in self.fixed if n)))


class Addresses:
    """The accesses of a nest's body to the buffers that it writes.

    `spans` holds the first and last value of each loop's index; `known` tells that every address
    is affine. `scatters` are stores whose address is not.
    """

    def __init__(self, nest: Nest):
        self.lets: dict[str, Expr] = {}
        self.spans: dict[str, tuple[int, int]] = {}
        self.accesses: dict[str, list[tuple[Affine, dict]]] = {}
        self.known = True
        self.inner = defined(nest.body)
        self.local = {s.name for s in statements(nest.body) if type(s) is Alloc}
        self.written = {s.buffer.name for s in statements(nest.body) if type(s) is Store}
        for loop in nest.loops:
            self._span(loop)
        self._block(nest.body)

    def _span(self, loop: Loop) -> None:
        if type(loop.start) is Const and type(loop.stop) is Const:
            self.spans[loop.index] = loop.start.value, max(loop.stop.value - 1, loop.start.value)

    def _block(self, body) -> None:
        for s in body:
            if type(s) is Let:
                self.lets[s.name] = s.expr
            for e in parts(s)[0]:
                for node in nodes(e):
                    if type(node) is Load:
                        self._access(node)
                    elif type(node) is Address:
                        self.known = False
            if type(s) is Store:
                self._access(s)
            if type(s) is Loop:
                self._span(s)
            if type(s) is If:
                self._branches(s)
            else:
                for block in parts(s)[1]:
                    self._block(block)

    def _branches(self, s: If) -> None:
        """Under ``index > constant`` the index starts later."""
        c, before = s.condition, dict(self.spans)
        if type(c) is Op and c.name == "gt" and type(c.args[0]) is Name and type(
                c.args[1]) is Const and c.args[0].name in self.spans:
            name = c.args[0].name
            low, high = self.spans[name]
            self.spans[name] = max(low, c.args[1].value + 1), high
        self._block(s.then)
        self.spans = before
        self._block(s.orelse)

    def _access(self, s) -> None:
        name = s.buffer.name
        if name in self.local or name not in self.written:
            return
        place = self.affine(s.index)
        if place is None or name in self.inner or not all(k in self.spans for k in place.terms):
            self.known = False
            return
        self.accesses.setdefault(name, []).append(
            (place, {k: self.spans[k] for k in place.terms}))

    def affine(self, e: Expr) -> Affine | None:
        """An index as an affine form; None if it is none."""
        if type(e) is Const:
            return Affine(int(e.value))
        if type(e) is Name:
            if e.name in self.spans:
                return Affine(0, {e.name: 1})
            if e.name in self.lets:
                return self.affine(self.lets[e.name])
            return None if e.name in self.inner else Affine(0, {}, ((1, e.name),))
        if type(e) is not Op or e.name not in ("add", "sub", "mul", "neg"):
            return None
        forms = [self.affine(arg) for arg in e.args]
        if any(form is None for form in forms):
            return None
        if e.name == "neg":
            return forms[0].times(-1)
        a, b = forms
        if e.name != "mul":
            return a.plus(b, 1 if e.name == "add" else -1)
        for n, other in ((a, b), (b, a)):
            if not n.terms and not n.fixed:
                return other.times(n.constant)
        return None

    def separate(self, threads: list[Loop]) -> bool:
        """Whether different threads touch different entries of every buffer written."""
        return self.known and all(_separate(accesses, [loop.index for loop in threads])
                                  for accesses in self.accesses.values())


def _separate(accesses: list, threads: list[str]) -> bool:
    first = accesses[0][0]
    coefficients = {name: first.terms.get(name, 0) for name in threads}
    for place, _ in accesses:
        if place.fixed != first.fixed or any(
                place.terms.get(name, 0) != c for name, c in coefficients.items()):
            return False
    if not all(c > 0 for c in coefficients.values()):
        return False
    order = sorted(threads, key=coefficients.__getitem__)
    bounds = [coefficients[name] for name in order]
    groups = _groups(accesses, set(threads), bounds)
    reach = groups[0][1]
    for k, name in enumerate(order):
        if coefficients[name] <= reach:
            return False
        low = min(spans[name][0] for _, spans in accesses)
        high = max(spans[name][1] for _, spans in accesses)
        reach += coefficients[name] * (high - low)
        step, width = groups[k + 1]
        if step and step <= reach:
            return False
        reach += width
    return True


def _groups(accesses, threads, bounds) -> list[tuple[int, int]]:
    """For the terms below the first thread's coefficient, between the first two, and so on: the
    greatest common divisor of what they add, and the difference between its extremes."""
    lows, highs = [], []
    steps = [0] * (len(bounds) + 1)
    for place, spans in accesses:
        low, high = [0] * len(steps), [0] * len(steps)
        for name, c in place.terms.items():
            if name not in threads:
                k = sum(bound <= abs(c) for bound in bounds)
                ends = [c * end for end in spans[name]]
                low[k], high[k] = low[k] + min(ends), high[k] + max(ends)
                steps[k] = math.gcd(steps[k], c)
        lows.append(low)
        highs.append(high)
    base = accesses[0][0].constant
    for j, (place, _) in enumerate(accesses):
        shift = place.constant - base
        k = max((k for k, step in enumerate(steps) if step and shift % step == 0), default=0)
        if shift:
            steps[k] = math.gcd(steps[k], shift)
        lows[j][k] += shift
        highs[j][k] += shift
    return [(step, max(high[k] for high in highs) - min(low[k] for low in lows))
            for k, step in enumerate(steps)]


# ---- the choice ----------------------------------------------------------------------------------


def is_private(nest: Nest) -> bool:
    """Whether the body changes nothing outside but memory, and calls nothing."""
    own = defined(nest.body)
    return not any(type(s) is Call or type(s) is Assign and s.name not in own
                   or type(s) is Alloc and type(s.count) is not Const
                   for s in statements(nest.body))


def extent(loop: Loop) -> int:
    """Iterations; a guess where the program decides them."""
    if type(loop.start) is Const and type(loop.stop) is Const:
        return max(loop.stop.value - loop.start.value, 0)
    return 64


def size(loops: Iterable[Loop]) -> int:
    return math.prod(extent(loop) for loop in loops)


def threads_of(nest: Nest) -> list[Loop]:
    """The loops that may run side by side: the marked ones that stand outermost, or the largest
    set that the addresses prove; none if there is no such set."""
    if not is_private(nest):
        return []
    marked = []
    for loop in nest.loops:
        if not loop.parallel:
            break
        marked.append(loop)
    if len(marked) == len(nest.loops):
        return marked
    addresses = Addresses(nest)
    best = marked
    if addresses.known:
        for chosen in subsets(nest.loops):
            if size(chosen) > size(best) and addresses.separate(chosen):
                best = chosen
    return best


def subsets(loops: list[Loop]) -> Iterator[list[Loop]]:
    """Subsets of loops of known extent, in their order."""
    known = [loop for loop in loops[:6] if type(loop.start) is Const and type(loop.stop) is Const]
    for count in range(len(known), 0, -1):
        yield from map(list, combinations(known, count))
