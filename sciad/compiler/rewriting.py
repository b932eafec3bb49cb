"""What the passes over graphs share: walking, digests of bodies, what may stop the program."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sciad.core.graph import Atom, Equation, Graph, Var


def rewritten(graph: Graph, rewrite: Callable, whole: Callable | None = None) -> Graph:
    """Each equation through ``rewrite(equation)``, which gives atoms that replace its outputs, or
    equations that stand in its place (the last one with its outputs), or None to keep it. Bodies
    of control flow first, through `whole` if given."""
    inner = whole or (lambda body: rewritten(body, rewrite))
    names: dict[Var, Atom] = {}
    equations = []
    for equation in graph.equations:
        new = equation
        if has_bodies(equation) or names and not names.keys().isdisjoint(equation.inputs):
            params = {key: inner(value) if isinstance(value, Graph) else value
                      for key, value in equation.params.items()}
            new = Equation(equation.primitive, [names.get(x, x) if type(x) is Var else x
                                                for x in equation.inputs],
                           equation.outputs, params, equation.line)
        result = rewrite(new)
        if result is None:
            equations.append(new)
        elif result and type(result[0]) is Equation:
            equations.extend(result)
        else:
            names.update(zip(equation.outputs, result, strict=True))
    outputs = [names.get(x, x) if type(x) is Var else x for x in graph.outputs]
    return Graph(graph.inputs, equations, outputs)


def has_bodies(equation: Equation) -> bool:
    """Whether an equation has graphs among its parameters."""
    return bool(equation.params) and any(
        isinstance(value, Graph) for value in equation.params.values())


def with_bodies(equation: Equation, change: Callable[[Graph], Graph]) -> Equation:
    """An equation with its bodies changed."""
    if not has_bodies(equation):
        return equation
    params = {k: change(v) if isinstance(v, Graph) else v for k, v in equation.params.items()}
    return Equation(equation.primitive, equation.inputs, equation.outputs, params, equation.line)


def inlined(graph: Graph, operands, equations: list[Equation]) -> list[Atom]:
    """The results of a graph, its equations written out with variables of their own."""
    names: dict[Var, Atom] = dict(zip(graph.inputs, operands, strict=True))

    def read(atom):
        return names[atom] if type(atom) is Var else atom

    for equation in graph.equations:
        outputs = [Var(out.type) for out in equation.outputs]
        equations.append(Equation(equation.primitive, list(map(read, equation.inputs)), outputs,
                                  equation.params, equation.line))
        names.update(zip(equation.outputs, outputs, strict=True))
    return list(map(read, graph.outputs))


def params_key(equation: Equation, digests: dict) -> str:
    """The parameters of an equation as text, its bodies by their digests."""
    return "" if not equation.params else repr(
        [(k, body_digest(v, digests) if isinstance(v, Graph) else v)
         for k, v in equation.params.items()])


def body_digest(graph: Graph, known: dict[int, tuple[Graph, str]]) -> str:
    """What a body does, as a short text. Each body is read once: an outer one takes the inner
    ones by their digests."""
    if id(graph) in known:
        return known[id(graph)][1]
    numbers = {var: k for k, var in enumerate(graph.inputs)}

    def name(atom):
        return str(numbers[atom]) if type(atom) is Var else f"{kind(atom.type)}:{atom.digest()}"

    def kind(type):
        return f"{type.dtype.str}{type.shape}{type.weak:d}"

    lines = [" ".join(kind(var.type) for var in graph.inputs)]
    for equation in graph.equations:
        lines.append(f"{equation.primitive.name} {params_key(equation, known)} "
                     f"{' '.join(map(name, equation.inputs))}")
        for out in equation.outputs:
            numbers[out] = len(numbers)
    lines.append(" ".join(map(name, graph.outputs)))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    known[id(graph)] = graph, digest
    return digest


def stops(equation: Equation, known: dict[int, tuple[Graph, bool]]) -> bool:
    """Whether an equation may stop the program; `known` keeps the answers for bodies."""
    return equation.primitive.effect or has_bodies(equation) and any(
        _body_stops(g, known) for g in equation.graphs())


def _body_stops(graph: Graph, known: dict[int, tuple[Graph, bool]]) -> bool:
    if id(graph) not in known:
        known[id(graph)] = graph, any(stops(equation, known) for equation in graph.equations)
    return known[id(graph)][1]
