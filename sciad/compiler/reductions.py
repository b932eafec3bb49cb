"""Accumulations over a nest, rewritten for many threads.

    total := total + entry            out[i] = out[i] + entry

A nest that does nothing else is a sum (a maximum, an "any") over its remaining loops, whose
iterations are numbered 0 <= r < n. Where the operation may be reassociated, `parts` threads take
the iterations r = p, p + parts, ... each and leave a partial result; a second kernel folds many
partials into few, and the last step adds these to the target in order. `parts` depends on n alone,
so a program gives the same sum on every device and at every call. Kernels synchronise only by
following one another. Otherwise one thread for each target accumulates in a register.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciad.compiler.nests import Nest, defined, nodes, size
from sciad.compiler.nodes import Assign, Const, Expr, Let, Load, Loop, Name, Op, Store, Var, show
from sciad.compiler.scalars import DTYPES, KIND
from sciad.compiler.values import flat_index, index, size_of, unflatten_index

PARTS = 1 << 16
FEW = 256
OPERATIONS = ("add", "mul", "max", "min", "and", "or", "xor")


@dataclass(slots=True)
class Accumulation:
    """``target = operation(target, entry)``; the target is a Var, or ``buffer[index]``."""

    operation: Op
    entry: Expr
    target: str | Load

    def combined(self, total: Name, entry: Expr) -> Op:
        return Op(self.operation.name, (total, entry), self.operation.fast)

    @property
    def type(self) -> str:
        return self.operation.type

    @property
    def reassociates(self) -> bool:
        op = self.operation
        if op.name in ("add", "mul"):
            return op.fast or KIND[op.type] != "f"
        return op.name in ("max", "min", "and", "or", "xor")

    def identity(self) -> Const:
        name, type = self.operation.name, self.type
        if name in ("max", "min"):
            if KIND[type] == "f":
                return Const(-np.inf if name == "max" else np.inf, type)
            info = np.iinfo(DTYPES[type])
            return Const(int(info.min if name == "max" else info.max), type)
        if name == "and":
            return Const(True if type == "i1" else -1, type)
        if name == "mul":
            return Const(1, type)
        return Const(-0.0 if KIND[type] == "f" else 0, type)


def accumulations(nest: Nest) -> list[Accumulation]:
    """The targets of a nest that only accumulates; none if it does anything else."""
    found = []
    for s in nest.body:
        if type(s) is Let:
            continue
        target: str | Load | None = None
        if type(s) is Assign:
            target = s.name
        elif type(s) is Store:
            target = Load(s.buffer, s.index)
        each = _split(s.expr, target) if target is not None else None
        if each is None:
            return []
        found.append(each)
    names = {x.target if type(x.target) is str else x.target.buffer.name for x in found}
    own = defined(nest.body)
    used = [e for s in nest.body if type(s) is Let for e in nodes(s.expr)]
    used += [e for x in found for e in nodes(x.entry)]
    if len(names) != len(found) or names & own or any(
            type(e) is Name and e.name in names for e in used):
        return []
    return found


def _split(e: Expr, target) -> Accumulation | None:
    if type(e) is not Op or e.name not in OPERATIONS:
        return None
    wanted = target if type(target) is str else show(target)
    for k in (0, 1) if e.name not in ("max", "min") else (0,):
        old = e.args[k]
        if type(old) in (Name, Load) and show(old) == wanted:
            return Accumulation(e, e.args[1 - k], target)
    return None


class Split:
    """The kernels of an accumulation nest: ``(threads, body)`` pairs and what is left to do.

    `scratch` gives a buffer for partial results: ``scratch(type, count) -> Name``.
    """

    def __init__(self, nest: Nest, threads: list[Loop], targets: list[Accumulation], fresh,
                 scratch):
        self.lets = [s for s in nest.body if type(s) is Let]
        self.threads, self.targets = threads, targets
        self.rest = [loop for loop in nest.loops if loop not in threads]
        self.columns_last = nest.loops[-1] in threads
        self.fresh, self.scratch = fresh, scratch
        self.count, self.columns = size(self.rest), size(threads)

    def whole(self) -> tuple[list[Loop], list]:
        """One thread for each target: it accumulates in registers, in the nest's order."""
        names = [Name(self.fresh("a"), x.type) for x in self.targets]
        body: list = [*self.lets, *(Assign(name.name, x.combined(name, x.entry))
                                    for name, x in zip(names, self.targets, strict=True))]
        for loop in reversed(self.rest):
            body = [Loop(loop.index, loop.start, loop.stop, body, loop.reverse)]
        head = needed(self.lets, [x.target.index for x in self.targets])
        first = [Var(name.name, x.target) for name, x in zip(names, self.targets, strict=True)]
        last = [Store(x.target.buffer, x.target.index, name)
                for name, x in zip(names, self.targets, strict=True)]
        return self.threads, [*head, *first, *body, *last]

    def split(self) -> tuple[list[tuple[list[Loop], list]], list]:
        """The kernels, and the statements of a single thread that follow if targets are Vars."""
        parts_ = max(1, min(PARTS // self.columns, self.count // 4))
        if not self.columns_last:
            parts_ = max(parts_, 32)
        parts_ = min(parts_, self.count)
        partials = [self.scratch(x.type, parts_ * self.columns) for x in self.targets]
        kernels = [self._first(parts_, partials)]
        if parts_ > 2 * FEW:
            folded = [self.scratch(x.type, FEW * self.columns) for x in self.targets]
            kernels.append(self._fold(parts_, partials, folded))
            parts_, partials = FEW, folded
        if type(self.targets[0].target) is str:
            return kernels, self._into_vars(parts_, partials)
        kernels.append(self._into_memory(parts_, partials))
        return kernels, []

    def _grid(self, parts_: int) -> tuple[list[Loop], Name]:
        p = Name(self.fresh("p"), "i64")
        loop = Loop(p.name, index(0), index(parts_), [], parallel=True)
        return ([loop, *self.threads] if self.columns_last else [*self.threads, loop]), p

    def _place(self, parts_: int, p: Expr) -> Expr:
        """Where the partial result of part p stands."""
        shape = [loop.stop.value - loop.start.value for loop in self.threads]
        inner = [Name(loop.index, "i64") - loop.start.value if loop.start.value
                 else Name(loop.index, "i64") for loop in self.threads]
        if self.columns_last:
            return flat_index((parts_, *shape), (p, *inner))
        return flat_index((*shape, parts_), (*inner, p))

    def _accumulate(self, extent: int, parts_: int, p: Name, entries, out) -> list:
        """Combine entries p, p + parts, ... below `extent` and store what comes of each target."""
        names = [Name(self.fresh("a"), x.type) for x in self.targets]
        q, r = Name(self.fresh("q"), "i64"), Name(self.fresh("r"), "i64")
        lets, values = entries(r)
        body = [Let(r.name, q * parts_ + p), *lets,
                *(Assign(name.name, x.combined(name, value))
                  for name, x, value in zip(names, self.targets, values, strict=True))]
        start = [Var(name.name, x.identity())
                 for name, x in zip(names, self.targets, strict=True)]
        return [*start,
                Loop(q.name, index(0), (Const(extent - 1, "i64") - p) // parts_ + 1, body),
                *(Store(buffer, self._place(parts_, p), name)
                  for buffer, name in zip(out, names, strict=True))]

    def _first(self, parts_: int, partials) -> tuple[list[Loop], list]:
        threads, p = self._grid(parts_)
        shape = tuple(loop.stop.value - loop.start.value for loop in self.rest)

        def entries(r):
            digits = zip(self.rest, unflatten_index(shape, r), strict=True)
            lets = [Let(loop.index, i + loop.start.value if loop.start.value else i)
                    for loop, i in digits]
            return [*lets, *self.lets], [x.entry for x in self.targets]

        return threads, self._accumulate(size_of(shape), parts_, p, entries, partials)

    def _fold(self, parts_: int, partials, folded) -> tuple[list[Loop], list]:
        threads, p = self._grid(FEW)

        def entries(r):
            return [], [Load(buffer, self._place(parts_, r)) for buffer in partials]

        return threads, self._accumulate(parts_, FEW, p, entries, folded)

    def _into_vars(self, parts_: int, partials) -> list:
        p = Name(self.fresh("p"), "i64")
        body = [Assign(x.target, x.combined(Name(x.target, x.type), Load(buffer, p)))
                for x, buffer in zip(self.targets, partials, strict=True)]
        return [Loop(p.name, index(0), index(parts_), body)]

    def _into_memory(self, parts_: int, partials) -> tuple[list[Loop], list]:
        p = Name(self.fresh("p"), "i64")
        names = [Name(self.fresh("a"), x.type) for x in self.targets]
        body = [Assign(name.name, x.combined(name, Load(buffer, self._place(parts_, p))))
                for name, x, buffer in zip(names, self.targets, partials, strict=True)]
        return self.threads, [
            *needed(self.lets, [x.target.index for x in self.targets]),
            *(Var(name.name, x.target) for name, x in zip(names, self.targets, strict=True)),
            Loop(p.name, index(0), index(parts_), body),
            *(Store(x.target.buffer, x.target.index, name)
              for name, x in zip(names, self.targets, strict=True))]


def needed(lets: list[Let], wanted: list[Expr]) -> list[Let]:
    """The ``Let``s that some expressions depend on."""
    names = {e.name for x in wanted for e in nodes(x) if type(e) is Name}
    kept = []
    for s in reversed(lets):
        if s.name in names:
            names |= {e.name for e in nodes(s.expr) if type(e) is Name}
            kept.append(s)
    return kept[::-1]
