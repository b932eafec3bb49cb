"""Which values all their uses meet in one loop, so that they need no memory.

Both parts of a complex product read both parts of its factors: nearly every value of a complex
chain is used more than once, yet all uses end in the loop that writes the result. So each value is
traced to the loops that its entries are wanted in: an elementwise operation passes on those of its
result, if the shapes are the same; a reduction or an interleaving is a loop. A value with one such
loop stays an expression, which the loop computes once (`Once`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const
from sciad.compiler.realify import interleave_p
from sciad.compiler.values import CHEAP, Buffer, Emitter, Value, Virtual, flat_index, size_of
from sciad.core.graph import Graph, Var
from sciad.core.primitive import Primitive
from sciad.core.rules import Elementwise
from sciad.core.transforms import stop_p
from sciad.ops import elementwise as e
from sciad.ops import reduce

_ENDS = frozenset([interleave_p, reduce.sum_p, reduce.max_p, reduce.min_p, reduce.any_p,
                   reduce.all_p])
_PASSES = frozenset([e.astype, stop_p])

MOST_FUSED = 128
"""Operations that one loop computes; then it stores what is wanted later."""
_SHORT = 12


def of_one_loop(graph: Graph, native_form: Callable[[Primitive], Any]) -> dict[Var, Any]:
    """The variables whose uses are all within one loop and at the same entry, with that loop."""
    ends: dict[Var, set[Any]] = {}
    for k, atom in enumerate(graph.outputs):
        if type(atom) is Var:
            ends.setdefault(atom, set()).add(("output", k))
    for equation in reversed(graph.equations):
        primitive = equation.primitive
        passes = primitive in _PASSES or (
            isinstance(primitive, Elementwise) and native_form(primitive) is not None)
        for atom in equation.inputs:
            if type(atom) is not Var:
                continue
            mine = ends.setdefault(atom, set())
            if passes and atom.type.shape == equation.outputs[0].type.shape:
                mine |= _loops_of(equation.outputs[0], ends)
            else:
                mine.add(id(equation) if primitive in _ENDS else None)
    return {var: next(iter(loops)) for var, loops in ends.items()
            if len(loops) == 1 and None not in loops}


def _loops_of(out: Var, ends: dict[Var, set[Any]]) -> set[Any]:
    """The loop in which an entry of a result is computed: where it is wanted, if that is one
    place; else where it is stored."""
    wanted = ends.get(out, set())
    return wanted if len(wanted) == 1 and None not in wanted else {("stored", out)}


class Loops:
    """The loops of a graph while it is lowered: what each is to compute."""

    def __init__(self, em: Emitter, graph: Graph, native_form: Callable[[Primitive], Any]):
        self.em = em
        self.of = of_one_loop(graph, native_form)
        self.last = {atom: k for k, equation in enumerate(graph.equations)
                     for atom in equation.inputs if type(atom) is Var}
        self.members: dict[Any, list[Var]] = {}

    def joined(self, k: int, var: Var, env: dict[Var, Value]) -> None:
        """Note that equation `k` defines `var`; where its loop has become long, all that is
        wanted later is stored by one that ends here."""
        loop = self.of.get(var)
        if loop is None or type(env[var]) is not Virtual:
            return
        members = self.members.setdefault(loop, [])
        members.append(var)
        if len(members) >= MOST_FUSED:
            wanted = [x for x in members
                      if self.last.get(x, -1) > k and env[x].computed and env[x].cost > CHEAP]
            env.update(zip(wanted, _stored(self.em, [env[x] for x in wanted]), strict=True))
            members.clear()


def _stored(em: Emitter, values: list[Virtual]) -> list[Buffer]:
    """Values of one shape in memory, written by one loop."""
    outs = [em.buffer(x.shape, x.kind) for x in values]
    if not outs:
        return []
    if all(x.flat is not None for x in values):
        with em.loop(size_of(values[0].shape), parallel=True) as i:
            for x, out in zip(values, outs, strict=True):
                em.emit(ir.Store(out.name, i, em.element(x, i)))
    else:
        with em.loops(values[0].shape, parallel=True) as indices:
            place = em.let(flat_index(values[0].shape, indices))
            for x, out in zip(values, outs, strict=True):
                em.emit(ir.Store(out.name, place, x.at(indices)))
    return outs


class Once:
    """What makes an entry of a place, computed once where the same place is asked for again in one
    block. `sources`: those of the operands that are asked for the same place; where they stand on
    long chains, the chains are computed from their beginnings, not by recursion."""

    __slots__ = ("em", "make", "sources", "long", "known")

    def __init__(self, em: Emitter, make: Callable[[Any], Any], sources: Sequence, depth: int):
        self.em = em
        self.make = make
        self.sources = [x for x in sources if type(x) is Once]
        self.long = depth > _SHORT
        self.known: tuple | None = None

    def __call__(self, place):
        if not self.knows(place):
            for step in self.pending(place) if self.long else ():
                step(place)
            value = self.make(place)
            block = self.em.block
            self.known = (block, place, len(block), block[-1] if block else None, value)
        return self.known[-1]

    def knows(self, place) -> bool:
        """Whether the entry stands in the present block."""
        if self.known is None:
            return False
        block, before, length, last, _ = self.known
        return block is self.em.block and _same(before, place) and (
            not length or len(block) >= length and block[length - 1] is last)

    def pending(self, place) -> list[Once]:
        """What it is made of and not known yet, each after what that is made of."""
        found: dict[Once, None] = {}
        stack = [(x, False) for x in self.sources]
        while stack:
            step, ready = stack.pop()
            if ready:
                found[step] = None
            elif step not in found and not step.knows(place):
                stack.append((step, True))
                stack += [(x, False) for x in step.sources]
        return list(found)


def _same(a, b) -> bool:
    """Whether two indices, or tuples of them, are the same."""
    if type(a) is tuple:
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or type(a) is Const and type(b) is Const and a.value == b.value
