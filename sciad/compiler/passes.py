"""Passes over graphs, each a pure function Graph -> Graph that keeps IEEE results.

fold      equations of literals are evaluated
simplify  identities without rounding: x * 1, x - 0, -(-x), where(c, x, x), casts to the same type
share     equal equations are computed once
prune     what no output needs goes, unless it may stop the program
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciad.core.graph import Atom, Equation, Graph, Literal, Var
from sciad.ops import control, elementwise, shape

_MOST_FOLDED = 1024


def optimise(graph: Graph) -> Graph:
    """All passes, in order."""
    return prune(share(simplify(fold(graph))))


def _rewritten(graph: Graph, rewrite: Callable, whole: Callable | None = None) -> Graph:
    """Each equation through ``rewrite(equation)``: atoms that replace its outputs, or None to keep
    it. Bodies of control flow first, through `whole` if given."""
    inner = whole or (lambda body: _rewritten(body, rewrite))
    names: dict[Var, Atom] = {}
    equations = []
    for equation in graph.equations:
        inputs = [names.get(x, x) if type(x) is Var else x for x in equation.inputs]
        params = {key: inner(value) if isinstance(value, Graph) else value
                  for key, value in equation.params.items()}
        new = Equation(equation.primitive, inputs, equation.outputs, params, equation.line)
        atoms = rewrite(new)
        if atoms is None:
            equations.append(new)
        else:
            names.update(zip(equation.outputs, atoms, strict=True))
    outputs = [names.get(x, x) if type(x) is Var else x for x in graph.outputs]
    return Graph(graph.inputs, equations, outputs)


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

    return _rewritten(graph, rewrite)


def _is(x: Atom, value: float) -> bool:
    return type(x) is Literal and not x.type.shape and x.value == value and (
        value != 0 or not np.signbit(x.value))


def simplify(graph: Graph) -> Graph:
    """Identities that hold exactly."""
    makers: dict[Var, Equation] = {}

    def rewrite(equation):
        makers.update((out, equation) for out in equation.outputs)
        atom = _simpler(equation, makers)
        if atom is None or atom.type.strong() != equation.outputs[0].type.strong():
            return None
        return [atom]

    return _rewritten(graph, rewrite)


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
    elif primitive in _MOVES:
        return inputs[0]
    return None


_MOVES = (elementwise.astype, shape.reshape_p, shape.broadcast_p)
"""Operations that do nothing when the type stays the same."""


def share(graph: Graph) -> Graph:
    """Compute equal equations once."""
    known: dict[tuple, tuple[Var, ...]] = {}

    def rewrite(equation):
        if equation.primitive.effect or any(_stops(g) for g in equation.graphs()):
            return None
        key = (equation.primitive, tuple(map(_key, equation.inputs)), _params_key(equation))
        before = known.setdefault(key, equation.outputs)
        return None if before is equation.outputs else before

    return _rewritten(graph, rewrite, share)


def _key(atom: Atom):
    return atom if type(atom) is Var else (atom.type, atom.digest())


def _params_key(equation: Equation) -> str:
    return "" if not equation.params else repr(
        [(k, v.key if isinstance(v, Graph) else v) for k, v in equation.params.items()])


def _stops(graph: Graph) -> bool:
    return any(e.primitive.effect or any(_stops(g) for g in e.graphs()) for e in graph.equations)


def prune(graph: Graph) -> Graph:
    """Drop equations that nothing needs, unused operands of conds, and unused results."""
    needed = {x for x in graph.outputs if type(x) is Var}
    kept = []
    for equation in reversed(graph.equations):
        effect = equation.primitive.effect or any(_stops(g) for g in equation.graphs())
        if not effect and not any(out in needed for out in equation.outputs):
            continue
        if equation.primitive is control.cond_p:
            equation = _pruned_cond(equation, needed)
        elif any(equation.graphs()):
            params = {k: prune(v) if isinstance(v, Graph) else v
                      for k, v in equation.params.items()}
            equation = Equation(equation.primitive, equation.inputs, equation.outputs, params,
                                equation.line)
        kept.append(equation)
        needed.update(x for x in equation.inputs if type(x) is Var)
    return Graph(graph.inputs, kept[::-1], graph.outputs)


def _pruned_cond(equation: Equation, needed) -> Equation:
    outs = [k for k, out in enumerate(equation.outputs) if out in needed]
    graphs = {}
    for name in ("true", "false"):
        graph = equation.params[name]
        graphs[name] = prune(Graph(graph.inputs, graph.equations,
                                   [graph.outputs[k] for k in outs]))
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
