"""Matrices that lie in memory as they are: a transpose, a slice or a stack of them need no copy.

An operand that only moves entries is asked for the entry at (i, j); where what it then reads is
one load whose index is a_0 + a_i i + a_j j, the matrix has strides, as BLAS takes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sciad.compiler import loops as ir
from sciad.compiler.lapack import offset
from sciad.compiler.loops import Const, Expr, Load, Name, Op
from sciad.compiler.values import Buffer, Emitter, Value, Virtual, index


@dataclass(frozen=True, slots=True)
class Strided:
    """A stack of matrices in memory: the steps between rows and between columns."""

    value: Value
    rows: int
    columns: int

    def address(self, em: Emitter, place) -> Expr:
        """Where the matrix at `place` of the stack that the product makes begins."""
        shape = self.value.shape
        own = place[len(place) + 2 - len(shape):]
        if type(self.value) is Buffer:
            own = [index(0) if n == 1 else i for n, i in zip(shape[:-2], own, strict=True)]
            start = offset(em, shape[:-2], own, shape[-2] * shape[-1])
            return em.let(ir.Address(self.value.name, start))
        entry = em.at(self.value, (*own, index(0), index(0)))
        load = _loaded(em.block, entry)
        return em.let(ir.Address(load.buffer, load.index))

    def layout(self) -> tuple[str, int] | None:
        """("N", step between rows) in C order, ("T", step between columns) in Fortran's."""
        height, width = self.value.shape[-2:]
        if self.columns == 1 and self.rows >= width:
            return "N", self.rows
        return ("T", self.columns) if self.rows == 1 and self.columns >= height else None


def strided(em: Emitter, x: Value) -> Strided | None:
    """The strides of the matrices of a stack, if they lie in memory with constant ones."""
    if type(x) is Buffer:
        return Strided(x, x.shape[-1], 1)
    if type(x) is not Virtual or x.computed:
        return None
    indices = [Name(em.fresh("i"), "i64") for _ in x.shape]
    with em.nested() as block:
        load = _loaded(block, em.at(x, tuple(indices)))
    if load is None or any(type(s) is not ir.Let for s in block):
        return None
    lets = {s.name: s.expr for s in block if type(s) is ir.Let}
    steps = _linear(load.index, lets, {i.name for i in indices})
    if steps is None:
        return None
    height, width = x.shape[-2:]
    rows, columns = (steps.get(i.name, 0) for i in indices[-2:])
    if height == 1:
        rows = max(width, 1)
    return Strided(x, rows, 1 if width == 1 else columns)


def _loaded(block: list, entry: Expr) -> Load | None:
    """The load that gives an entry, if nothing else happens to it."""
    if type(entry) is Name and block and type(block[-1]) is ir.Let \
            and block[-1].name == entry.name:
        entry = block[-1].expr
    return entry if type(entry) is Load else None


def _linear(expr: Expr, lets: dict[str, Expr], names: set[str]) -> dict[str, int] | None:
    """The factors of `names` in an index, that of the constant under ""; None if it is not linear
    in them, or a factor is not known."""
    if type(expr) is Const:
        return {"": expr.value}
    if type(expr) is Name:
        if expr.name in lets:
            return _linear(lets[expr.name], lets, names)
        return {expr.name: 1} if expr.name in names else {}
    if type(expr) is not Op or expr.name not in ("add", "sub", "mul"):
        return None
    parts = [_linear(arg, lets, names) for arg in expr.args]
    if None in parts:
        return None
    x, y = parts
    if expr.name == "mul":
        if not isinstance(expr.args[1], Const):
            return None
        return {name: n * expr.args[1].value for name, n in x.items()}
    sign = 1 if expr.name == "add" else -1
    return {name: x.get(name, 0) + sign * y.get(name, 0) for name in {**x, **y}}
