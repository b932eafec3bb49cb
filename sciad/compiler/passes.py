"""Passes over graphs, each a pure function Graph -> Graph that keeps IEEE results.

fold      equations of literals are evaluated
simplify  identities without rounding: x * 1, x - 0, -(-x), where(c, x, x), casts to the same type
pieces    reads of what was just written, sums of padded pieces (pieces.py)
select    a cond whose branches are a few cheap scalar operations computes both and selects
share     equal equations are computed once; loops over the same states run once (loop_passes.py)
settle    carries that no iteration changes become constants (loop_passes.py)
hoist     what no iteration of a loop changes is computed before it (loop_passes.py)
prune     what no output needs goes, unless it may stop the program; carries and rows of loops too
"""

from __future__ import annotations

import numpy as np

from sciad.compiler.loop_passes import hoist, settle, share_loops, trimmed
from sciad.compiler.pieces import pieces
from sciad.compiler.rewriting import (
    has_bodies,
    inlined,
    params_key,
    rewritten,
    stops,
    with_bodies,
)
from sciad.core.graph import Atom, Equation, Graph, Literal, Var, output_types
from sciad.core.structure import Control
from sciad.ops import control, elementwise, indexing, shape

_MOST_FOLDED = 1024


def optimise(graph: Graph) -> Graph:
    """All passes, in order."""
    graph = share(_pieces(select(simplify(fold(graph)))))
    if not any(map(has_bodies, graph.equations)):
        return prune(graph)
    return prune(share(hoist(settle(prune(share_loops(graph))))))


def tidy(graph: Graph) -> Graph:
    """The passes that leave derivatives as they are."""
    graph = share(_pieces(simplify(fold(graph))))
    return prune(share_loops(graph) if any(map(has_bodies, graph.equations)) else graph)


def _pieces(graph: Graph) -> Graph:
    """`pieces`, where there are any."""
    known = indexing.read_p, indexing.index_set_p, indexing.index_add_p
    some = any(has_bodies(each) or each.primitive in known for each in graph.equations)
    return pieces(graph) if some else graph


Control.simplify = tidy


def fold(graph: Graph) -> Graph:
    """Evaluate equations whose operands are all literals."""
    def rewrite(equation):
        if (not equation.inputs or equation.primitive.effect or any(equation.graphs())
                or any(type(x) is not Literal for x in equation.inputs)
                or any(out.type.size > _MOST_FOLDED for out in equation.outputs)):
            return None
        with np.errstate(all="ignore"):
            out = equation.primitive.fun(*(x.value for x in equation.inputs), **equation.params)
        values = out if equation.primitive.multiple else (out,)
        literals = [Literal(value) for value in values]
        if any(a.type.strong() != b.type.strong()
               for a, b in zip(literals, equation.outputs, strict=True)):
            return None
        return literals

    return rewritten(graph, rewrite)


def _is(x: Atom, value: float) -> bool:
    """Whether an atom is this number, in all its entries."""
    if type(x) is not Literal or not x.type.size or np.ravel(x.value)[0] != value:
        return False
    return bool(np.all(x.value == value)) and (value != 0 or not np.signbit(x.value).any())


def simplify(graph: Graph) -> Graph:
    """Identities that hold exactly."""
    makers: dict[Var, Equation] = {}

    def rewrite(equation):
        makers.update((out, equation) for out in equation.outputs)
        atom = _simpler(equation, makers)
        if atom is None or atom.type.strong() != equation.outputs[0].type.strong():
            return None
        return [atom]

    return rewritten(graph, rewrite)


def _simpler(equation: Equation, makers) -> Atom | None:
    primitive, inputs = equation.primitive, equation.inputs
    if primitive is elementwise.multiply:
        for x, y in (inputs, inputs[::-1]):
            if _is(y, 1):
                return x
    elif primitive is elementwise.divide and _is(inputs[1], 1):
        return inputs[0]
    elif primitive is elementwise.subtract and _is(inputs[1], 0):
        return inputs[0]
    elif primitive is elementwise.negative:
        maker = makers.get(inputs[0]) if type(inputs[0]) is Var else None
        if maker is not None and maker.primitive is elementwise.negative:
            return maker.inputs[0]
    elif primitive is elementwise.where and inputs[1] is inputs[2]:
        return inputs[1]
    elif primitive is elementwise.integer_power and equation.params["n"] == 1:
        return inputs[0]
    elif primitive in _MOVES or primitive is indexing.read_p and all(
            entry is Ellipsis or entry == slice(None) for entry in equation.params["spec"]):
        return inputs[0]
    return None


_MOVES = (elementwise.astype, shape.reshape_p, shape.broadcast_p)
"""Operations that do nothing when the type stays the same."""


def select(graph: Graph) -> Graph:
    """Conds as selections, where that is cheaper; the innermost first."""
    names: dict[Var, Atom] = {}
    equations: list[Equation] = []

    def read(atom):
        return names.get(atom, atom) if type(atom) is Var else atom

    for equation in graph.equations:
        new = with_bodies(equation, select)
        if names and not names.keys().isdisjoint(new.inputs):
            new = Equation(new.primitive, list(map(read, new.inputs)), new.outputs, new.params,
                           new.line)
        results = _selected(new, equations) if equation.primitive is control.cond_p else None
        if results is None:
            equations.append(new)
        else:
            names.update(zip(equation.outputs, results, strict=True))
    return Graph(graph.inputs, equations, list(map(read, graph.outputs)))


_MOST_SELECTED = 8
_CHEAP = frozenset([
    elementwise.add, elementwise.subtract, elementwise.multiply, elementwise.divide,
    elementwise.negative, elementwise.absolute, elementwise.maximum, elementwise.minimum,
    elementwise.square, elementwise.sqrt, elementwise.where, elementwise.less,
    elementwise.less_equal, elementwise.greater, elementwise.greater_equal, elementwise.equal,
    elementwise.not_equal, elementwise.logical_and, elementwise.logical_or,
    elementwise.logical_not, elementwise.logical_xor, elementwise.astype, shape.reshape_p,
])


def _selected(cond: Equation, equations: list[Equation]) -> list[Atom] | None:
    """The results of a cond after its branches are written out into `equations`; None (and
    nothing written) if it must stay."""
    predicate, *operands = cond.inputs
    if type(predicate) is Literal:
        chosen = cond.params["true" if predicate.value else "false"]
        return inlined(chosen, operands, equations)
    graphs = [cond.params["true"], cond.params["false"]]
    body = [equation for graph in graphs for equation in graph.equations]
    values = [out for equation in body for out in equation.outputs] + list(cond.outputs)
    if len(body) > _MOST_SELECTED or any(e.primitive not in _CHEAP for e in body) or any(
            value.type.shape for value in values):
        return None
    kinds = [output_types(elementwise.where, [predicate.type, a.type, b.type], {})[0].strong()
             for a, b in zip(graphs[0].outputs, graphs[1].outputs, strict=True)]
    if kinds != [out.type.strong() for out in cond.outputs]:
        return None
    first, second = (inlined(graph, operands, equations) for graph in graphs)
    for out, a, b in zip(cond.outputs, first, second, strict=True):
        equations.append(Equation(elementwise.where, [predicate, a, b], [out], {}, cond.line))
    return list(cond.outputs)


def share(graph: Graph) -> Graph:
    """Compute equal equations once."""
    return _share(graph, {}, {})


def _share(graph: Graph, digests: dict, effects: dict) -> Graph:
    known: dict[tuple, tuple[Var, ...]] = {}

    def rewrite(equation):
        if stops(equation, effects):
            return None
        key = (equation.primitive, tuple(map(_key, equation.inputs)),
               params_key(equation, digests))
        before = known.setdefault(key, equation.outputs)
        return None if before is equation.outputs else before

    return rewritten(graph, rewrite, lambda body: _share(body, digests, effects))


def _key(atom: Atom):
    return atom if type(atom) is Var else (atom.type, atom.digest())


def prune(graph: Graph) -> Graph:
    """Drop equations that nothing needs, unused operands of conds, and unused results."""
    return _prune(graph, {})


def _prune(graph: Graph, effects) -> Graph:
    needed = {x for x in graph.outputs if type(x) is Var}
    kept = []
    for equation in reversed(graph.equations):
        if not any(out in needed for out in equation.outputs) and not stops(equation, effects):
            continue
        if equation.primitive is control.cond_p:
            equation = _pruned_cond(equation, needed, effects)
        elif equation.primitive in (control.scan_p, control.while_p):
            equation = trimmed(equation, needed, lambda body: _prune(body, effects))
        else:
            equation = with_bodies(equation, lambda body: _prune(body, effects))
        kept.append(equation)
        needed.update(x for x in equation.inputs if type(x) is Var)
    return Graph(graph.inputs, kept[::-1], graph.outputs)


def _pruned_cond(equation: Equation, needed, effects) -> Equation:
    outs = [k for k, out in enumerate(equation.outputs) if out in needed]
    graphs = {}
    for name in ("true", "false"):
        graph = equation.params[name]
        graphs[name] = _prune(Graph(graph.inputs, graph.equations,
                                    [graph.outputs[k] for k in outs]), effects)
    used = [_used_inputs(graph) for graph in graphs.values()]
    places = [k for k in range(len(equation.inputs) - 1) if any(k in u for u in used)]
    graphs = {name: Graph([graph.inputs[k] for k in places], graph.equations, graph.outputs)
              for name, graph in graphs.items()}
    inputs = [equation.inputs[0], *(equation.inputs[k + 1] for k in places)]
    return Equation(equation.primitive, inputs, [equation.outputs[k] for k in outs], graphs,
                    equation.line)


def _used_inputs(graph: Graph) -> set[int]:
    used = {x for e in graph.equations for x in e.inputs} | set(graph.outputs)
    return {k for k, var in enumerate(graph.inputs) if var in used}
