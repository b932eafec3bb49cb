"""Reads and writes of pieces of arrays, simplified without changing a bit of the result.

With s a static index (numbers and slices), x[s := v] a copy of x with its piece replaced, and
x[s += v] one with v added to its piece:

    x[s := v][s] = v                   x[s := x[s]] = x            x[s := u][s := v] = x[s := v]
    x[s := u][s += v] = x[s := u + v]  x[:] = x                    x[: := v] = v
    x[s := 0] + 0[s += x[s]] = x + 0

The backward pass of a stencil is a sum of pieces in fields of zeros. A field with a piece added
joins the sum: x + 0[s += v] = x[s += v]. That holds to the last bit if no entry of x is -0.0,
since -0.0 + 0.0 = 0.0; so the pass keeps account of values that hold no -0.0. In round to nearest
a sum is -0.0 only where both its terms are (IEEE 754-2019, section 6.3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciad.compiler.rewriting import rewritten
from sciad.core.graph import Atom, Equation, Graph, Literal, Var
from sciad.ops import elementwise, indexing, shape


def pieces(graph: Graph) -> Graph:
    """Simplify what reads and writes pieces."""
    return rewritten(graph, _Pieces().rewrite, pieces)


class _Pieces:
    """The makers of variables, those without -0.0, and the literals that were looked at."""

    def __init__(self):
        self.makers: dict[Var, Equation] = {}
        self.unsigned: set[Var] = set()
        self.literals: dict[int, tuple[Literal, bool, bool]] = {}

    def rewrite(self, equation: Equation) -> list:
        while True:
            rule = _RULES.get(equation.primitive)
            found = rule(self, equation) if rule is not None else None
            if type(found) is not Equation:
                break
            equation = found
        if found is not None and type(found) is not list:
            return [found]
        made = found or [equation]
        for each in made:
            self.makers.update((out, each) for out in each.outputs)
            if self._makes_no_minus_zero(each):
                self.unsigned.update(each.outputs)
        return made

    # --- facts ----------------------------------------------------------------------------------

    def maker(self, atom: Atom, primitive) -> Equation | None:
        """The equation of this primitive that made a variable, if it did."""
        equation = self.makers.get(atom) if type(atom) is Var else None
        return equation if equation is not None and equation.primitive is primitive else None

    def _look(self, literal: Literal) -> tuple[Literal, bool, bool]:
        """Whether a literal is all +0.0, and whether it has no -0.0."""
        if id(literal) not in self.literals:
            value = np.asarray(literal.value)
            minus = np.signbit(value) if value.dtype.kind == "f" else np.zeros((), bool)
            plain = value.dtype.kind != "c"
            zeros = plain and not value.any()
            self.literals[id(literal)] = (literal, bool(zeros and not minus.any()),
                                          bool(plain and not (minus & (value == 0)).any()))
        return self.literals[id(literal)]

    def is_zero(self, atom: Atom) -> bool:
        return type(atom) is Literal and self._look(atom)[1]

    def no_minus_zero(self, atom: Atom) -> bool:
        if atom.type.dtype.kind in "iub":
            return True
        return self._look(atom)[2] if type(atom) is Literal else atom in self.unsigned

    def _makes_no_minus_zero(self, equation: Equation) -> bool:
        primitive, inputs = equation.primitive, equation.inputs
        if primitive is elementwise.add or primitive is indexing.index_add_p:
            some = inputs if primitive is elementwise.add else inputs[:1]
            return any(map(self.no_minus_zero, some)) and all(
                x.type.dtype.kind != "c" for x in inputs)
        if primitive in _NEVER:
            return equation.outputs[0].type.dtype.kind == "f"
        if primitive is indexing.index_set_p:
            return all(map(self.no_minus_zero, inputs[:2]))
        return primitive in _MOVES and all(map(self.no_minus_zero, inputs))


_NEVER = (elementwise.exp, elementwise.square, elementwise.absolute)
_MOVES = (indexing.read_p, shape.reshape_p, shape.transpose_p, shape.broadcast_p,
          shape.concatenate_p)


def _static(spec) -> bool:
    return not any(type(entry) is indexing.At for entry in spec)


def _whole(spec, extents) -> bool:
    """Whether a static spec reads everything, in order."""
    if any(entry is None or type(entry) is int for entry in spec):
        return False
    slices = [entry for entry in spec if entry is not Ellipsis]
    places = list(range(len(extents)))
    if Ellipsis in spec:
        k = spec.index(Ellipsis)
        places = places[:k] + places[len(places) - len(spec) + k + 1:]
    return all(range(*entry.indices(extents[axis])) == range(extents[axis])
               for entry, axis in zip(slices, places, strict=False))


def _fills(v: Atom, x: Atom, extents) -> bool:
    """Whether `v`, written to a piece of these extents of `x`, is that piece afterwards."""
    return v.type.shape == tuple(extents) and v.type.dtype == x.type.dtype


def _piece(equation: Equation) -> tuple[int, ...]:
    """The extents of the piece that a static write changes."""
    blank = np.broadcast_to(np.zeros((), np.int8), equation.inputs[0].type.shape)
    return blank[equation.params["spec"]].shape


def _read(self: _Pieces, equation: Equation):
    x, spec = equation.inputs[0], equation.params["spec"]
    if not _static(spec):
        return None
    if _whole(spec, x.type.shape):
        return x
    write = self.maker(x, indexing.index_set_p)
    if write is not None and write.params["spec"] == spec and _fills(
            write.inputs[1], x, equation.outputs[0].type.shape):
        return write.inputs[1]
    return None


def _write(self: _Pieces, equation: Equation):
    x, v = equation.inputs[:2]
    spec = equation.params["spec"]
    if not _static(spec):
        return None
    if _whole(spec, x.type.shape):
        if _fills(v, x, x.type.shape):
            return v
        if type(v) is Literal and not v.type.shape and x.type.shape:
            entry = Literal(np.asarray(v.value).astype(x.type.dtype)[()])
            return Equation(shape.broadcast_p, [entry], equation.outputs,
                            {"shape": x.type.shape}, equation.line)
    read = self.maker(v, indexing.read_p)
    if read is not None and read.params["spec"] == spec and read.inputs == (x,):
        return x
    before = self.maker(x, indexing.index_set_p)
    if before is not None and before.params["spec"] == spec:
        return Equation(equation.primitive, [before.inputs[0], v], equation.outputs,
                        equation.params, equation.line)
    return None


def _add_to(self: _Pieces, equation: Equation):
    """x[s := u][s += v] = x[s := u + v]"""
    x, v = equation.inputs[:2]
    before = self.maker(x, indexing.index_set_p)
    if not _static(equation.params["spec"]) or before is None \
            or before.params["spec"] != equation.params["spec"]:
        return None
    u, extents = before.inputs[1], _piece(equation)
    if not _fills(v, x, extents) or u.type.shape not in ((), v.type.shape) \
            or u.type.dtype != v.type.dtype:
        return None
    total = Var(v.type.strong())
    return [Equation(elementwise.add, [u, v], [total], {}, equation.line),
            Equation(indexing.index_set_p, [before.inputs[0], total], equation.outputs,
                     equation.params, equation.line)]


def _add(self: _Pieces, equation: Equation):
    out = equation.outputs[0].type.strong()
    if out.dtype.kind != "f":
        return None
    for x, y in (equation.inputs, equation.inputs[::-1]):
        if x.type.strong() != out:
            continue
        if self.is_zero(y) and self.no_minus_zero(x):
            return x
        padded = self.maker(y, indexing.index_add_p)
        if padded is None or not self.is_zero(padded.inputs[0]) or y.type.strong() != out \
                or padded.inputs[1].type.dtype != out.dtype or not _static(padded.params["spec"]):
            continue
        if self.no_minus_zero(x):
            return Equation(indexing.index_add_p, [x, padded.inputs[1]], equation.outputs,
                            padded.params, equation.line)
        hole = self.maker(x, indexing.index_set_p)
        read = self.maker(padded.inputs[1], indexing.read_p)
        if hole is not None and read is not None and self.is_zero(hole.inputs[1]) \
                and hole.params["spec"] == padded.params["spec"] == read.params["spec"] \
                and read.inputs == (hole.inputs[0],):
            return Equation(elementwise.add, [hole.inputs[0], Literal(out.dtype.type(0.0))],
                            equation.outputs, {}, equation.line)
    return None


_RULES: dict[object, Callable] = {
    indexing.read_p: _read, indexing.index_set_p: _write, indexing.index_add_p: _add_to,
    elementwise.add: _add,
}
"""Primitive -> rule(account, equation): an atom or an equation that stands for it, equations that
do, or None."""
