"""Passes over scans and while_loops.

share_loops  loops that carry the same states from the same start run once, for the results of all
trimmed      carries, rows, constants and results that nobody needs go
settle       carries that no iteration changes become constants
hoist        what depends on nothing that changes is computed before the loop
"""

from __future__ import annotations

from collections.abc import Callable

from sciad.compiler.rewriting import (
    body_digest,
    has_bodies,
    inlined,
    params_key,
    with_bodies,
)
from sciad.core.graph import Atom, Equation, Graph, Literal, Var
from sciad.core.rules import Elementwise
from sciad.ops import control, products, reduce, shape

# --- share_loops ----------------------------------------------------------------------------------


def share_loops(graph: Graph) -> Graph:
    """Run loops over the same states once. The derivative of a loop runs it again to keep its
    states, beside the loop that gives its value."""
    return _share_loops(graph, {})


def _share_loops(graph: Graph, digests) -> Graph:
    groups: dict[tuple, list[Equation]] = {}
    for equation in graph.equations:
        key = _loop_key(equation, digests)
        if key is not None:
            groups.setdefault(key, []).append(equation)
    merged: dict[Equation, Equation | None] = {}
    names: dict[Var, Var] = {}
    for group in groups.values():
        if len(group) > 1:
            merge = _merged_scans if group[0].primitive is control.scan_p else _merged_whiles
            merged.update(dict.fromkeys(group))
            merged[group[0]] = merge(group, names)

    def read(atom):
        return names.get(atom, atom) if type(atom) is Var else atom

    equations = []
    for equation in graph.equations:
        one = merged.get(equation, equation)
        if one is None:
            continue
        one = with_bodies(one, lambda body: _share_loops(body, digests))
        equations.append(Equation(one.primitive, list(map(read, one.inputs)), one.outputs,
                                  one.params, one.line))
    return Graph(graph.inputs, equations, list(map(read, graph.outputs)))


def _loop_key(equation: Equation, digests):
    """What two loops have in common if they carry the same states."""
    params = equation.params
    if equation.primitive is control.scan_p:
        states = _carried(params["body"], params["carry"], digests)
    elif equation.primitive is control.while_p:
        states = params_key(Equation(equation.primitive, (), (), {**params, "keep": 0}), digests)
    else:
        return None
    operands = tuple(x if type(x) is Var else (x.type, x.digest()) for x in equation.inputs)
    plain = repr([(k, v) for k, v in params.items() if k != "keep" and not isinstance(v, Graph)])
    return equation.primitive, operands, plain, states


def _carried(body: Graph, carry: int, digests) -> str:
    """The digest of what a body does to its carries."""
    needed = {x for x in body.outputs[:carry] if type(x) is Var}
    kept = []
    for equation in reversed(body.equations):
        if equation.primitive.effect or has_bodies(equation) \
                or any(out in needed for out in equation.outputs):
            kept.append(equation)
            needed.update(x for x in equation.inputs if type(x) is Var)
    part = Graph(body.inputs, kept[::-1], body.outputs[:carry])
    return body_digest(part, digests)


def _merged_scans(group: list[Equation], names: dict) -> Equation:
    """One scan with the rows of all."""
    first, carry = group[0], group[0].params["carry"]
    body = first.params["body"]
    equations, rows = list(body.equations), list(body.outputs[carry:])
    outputs = [Var(out.type) for out in first.outputs]
    names.update(zip(first.outputs, outputs, strict=True))
    for other in group[1:]:
        rows += inlined(other.params["body"], body.inputs, equations)[carry:]
        more = [Var(out.type) for out in other.outputs[carry:]]
        names.update(zip(other.outputs, [*outputs[:carry], *more], strict=True))
        outputs += more
    merged = Graph(body.inputs, equations, [*body.outputs[:carry], *rows])
    return Equation(first.primitive, first.inputs, outputs, {**first.params, "body": merged},
                    first.line)


def _merged_whiles(group: list[Equation], names: dict) -> Equation:
    """The loop that keeps most of its states, for all; the others keep none or as many."""
    chief = max(group, key=lambda each: each.params["keep"])
    for other in group:
        names.update(zip(other.outputs, chief.outputs, strict=False))
    return Equation(chief.primitive, chief.inputs, chief.outputs, chief.params, chief.line)


# --- trimmed --------------------------------------------------------------------------------------


def trimmed(equation: Equation, needed: set, prune: Callable[[Graph], Graph]) -> Equation:
    """A loop without what nobody needs; `prune` does the same inside a body."""
    if equation.primitive is control.scan_p:
        return _trimmed_scan(equation, needed, prune)
    return _trimmed_while(with_bodies(equation, prune), needed)


def _used(graph: Graph) -> set[Var]:
    """The variables that a pruned graph reads."""
    used = {x for equation in graph.equations for x in equation.inputs if type(x) is Var}
    return used | {x for x in graph.outputs if type(x) is Var}


def _picked(xs, places) -> list:
    return [xs[k] for k in places]


def _trimmed_scan(equation: Equation, needed, prune) -> Equation:
    params, body = equation.params, equation.params["body"]
    counted, consts, carry = params["counted"], params["consts"], params["carry"]
    rows = [k for k in range(carry, len(equation.outputs)) if equation.outputs[k] in needed]
    live = {k for k in range(carry) if equation.outputs[k] in needed}
    while True:
        outs = [*sorted(live), *rows]
        part = prune(Graph(body.inputs, body.equations, _picked(body.outputs, outs)))
        used = _used(part)
        more = {k for k in range(carry) if body.inputs[consts + k] in used} - live
        if not more:
            break
        live |= more
    keep = [k for k, var in enumerate(body.inputs)
            if var in used or consts <= k < consts + carry and k - consts in live]
    new = Graph(_picked(body.inputs, keep), part.equations, part.outputs)
    operands = [*equation.inputs[:counted], *_picked(equation.inputs[counted:], keep)]
    return Equation(equation.primitive, operands, _picked(equation.outputs, outs), {
        **params, "body": new, "consts": sum(k < consts for k in keep), "carry": len(live)},
        equation.line)


def _trimmed_while(equation: Equation, needed) -> Equation:
    """Its constants and states, as far as someone needs them."""
    params, body, test = equation.params, equation.params["body"], equation.params["test"]
    n_test, n_body = params["test_consts"], params["body_consts"]
    outputs, many = equation.outputs, len(body.outputs)
    of_test = _used(test)
    live = {k for k in range(many) if outputs[1 + k] in needed
            or params["keep"] and outputs[1 + many + k] in needed
            or test.inputs[n_test + k] in of_test}
    effects = any(each.primitive.effect for each in body.equations)
    while True:
        reached = set(_picked(body.outputs, live))
        for each in reversed(body.equations):
            if effects or each.primitive.effect or has_bodies(each) or any(
                    out in reached for out in each.outputs):
                reached.update(each.inputs)
        more = {k for k in range(many) if body.inputs[n_body + k] in reached} - live
        if not more:
            break
        live |= more
    states = sorted(live)
    tests = [k for k in range(n_test) if test.inputs[k] in of_test]
    bodies = [k for k in range(n_body) if body.inputs[k] in reached]
    kept = [e for e in body.equations if any(out in reached for out in e.outputs)
            or e.primitive.effect or has_bodies(e)]
    fixed = equation.inputs
    operands = [*_picked(fixed, tests), *(fixed[n_test + k] for k in bodies),
                *(fixed[n_test + n_body + k] for k in states)]
    outs = [outputs[0], *(outputs[1 + k] for k in states)]
    if params["keep"]:
        outs += [outputs[1 + many + k] for k in states]
    places = [*bodies, *(n_body + k for k in states)]
    return Equation(equation.primitive, operands, outs, {
        **params, "test_consts": len(tests), "body_consts": len(bodies),
        "test": Graph(_picked(test.inputs, [*tests, *(n_test + k for k in states)]),
                      test.equations, test.outputs),
        "body": Graph(_picked(body.inputs, places), kept, _picked(body.outputs, states))},
        equation.line)


# --- settle ---------------------------------------------------------------------------------------


def settle(graph: Graph) -> Graph:
    """Make constants of carries that come out of each iteration as they went in."""
    names: dict[Var, Atom] = {}
    equations = []

    def read(atom):
        return names.get(atom, atom) if type(atom) is Var else atom

    for equation in graph.equations:
        equation = with_bodies(equation, settle)
        equation = Equation(equation.primitive, list(map(read, equation.inputs)),
                            equation.outputs, equation.params, equation.line)
        if equation.primitive is control.scan_p:
            equation = _settled_scan(equation, names)
        elif equation.primitive is control.while_p and not equation.params["keep"]:
            equation = _settled_while(equation, names)
        equations.append(equation)
    return Graph(graph.inputs, equations, list(map(read, graph.outputs)))


def _unchanged(body: Graph, first: int, starts, outputs) -> list[int]:
    """The carries that a body hands on, from those that begin as `starts`; a start of a weak type
    would make other types of what it meets later."""
    return [k for k, (start, out) in enumerate(zip(starts, outputs, strict=True))
            if body.outputs[k] is body.inputs[first + k] and start.type == out.type]


def _without(xs, gone) -> list:
    return [x for k, x in enumerate(xs) if k not in gone]


def _settled_scan(loop: Equation, names: dict) -> Equation:
    params, body = loop.params, loop.params["body"]
    counted, consts, carry = params["counted"], params["consts"], params["carry"]
    first = counted + consts
    starts = loop.inputs[first:first + carry]
    gone = _unchanged(body, consts, starts, loop.outputs[:carry])
    if not gone:
        return loop
    names.update((loop.outputs[k], starts[k]) for k in gone)
    states = body.inputs[consts:consts + carry]
    inputs = [*body.inputs[:consts], *_picked(states, gone), *_without(states, gone),
              *body.inputs[consts + carry:]]
    operands = [*loop.inputs[:first], *_picked(starts, gone), *_without(starts, gone),
                *loop.inputs[first + carry:]]
    new = Graph(inputs, body.equations, _without(body.outputs, gone))
    return Equation(loop.primitive, operands, _without(loop.outputs, gone), {
        **params, "body": new, "consts": consts + len(gone), "carry": carry - len(gone)},
        loop.line)


def _settled_while(loop: Equation, names: dict) -> Equation:
    params, body, test = loop.params, loop.params["body"], loop.params["test"]
    n_test, n_body = params["test_consts"], params["body_consts"]
    fixed = loop.inputs[:n_test + n_body]
    starts = loop.inputs[n_test + n_body:]
    gone = _unchanged(body, n_body, starts, loop.outputs[1:])
    if not gone:
        return loop
    names.update((loop.outputs[1 + k], starts[k]) for k in gone)

    def moved(graph, many):
        states = graph.inputs[many:]
        return [*graph.inputs[:many], *_picked(states, gone), *_without(states, gone)]

    mine = _picked(starts, gone)
    operands = [*fixed[:n_test], *mine, *fixed[n_test:], *mine, *_without(starts, gone)]
    return Equation(loop.primitive, operands, [loop.outputs[0], *_without(loop.outputs[1:], gone)],
                    {**params, "test_consts": n_test + len(gone), "body_consts": n_body + len(gone),
                     "test": Graph(moved(test, n_test), test.equations, test.outputs),
                     "body": Graph(moved(body, n_body), body.equations,
                                   _without(body.outputs, gone))}, loop.line)


# --- hoist ----------------------------------------------------------------------------------------


def hoist(graph: Graph) -> Graph:
    """Compute before a loop what is the same in each of its iterations."""
    equations: list[Equation] = []
    for equation in graph.equations:
        equation = with_bodies(equation, hoist)
        if equation.primitive is control.scan_p:
            equation = _hoisted(equation, "consts", equation.params["counted"], equations)
        elif equation.primitive is control.while_p:
            equation = _hoisted(equation, "body_consts", equation.params["test_consts"], equations)
        equations.append(equation)
    return Graph(graph.inputs, equations, graph.outputs)


_MOVES = (shape.reshape_p, shape.transpose_p)


def _certain(equation: Equation) -> bool:
    """Whether it may run where the loop would not have: it cannot fail."""
    primitive = equation.primitive
    return isinstance(primitive, Elementwise) or primitive in (
        *_MOVES, reduce.sum_p, products.matmul_p)


def _hoisted(loop: Equation, name: str, before: int, equations: list[Equation]) -> Equation:
    """The loop without what depends on its constants alone: that goes to `equations`, its results
    become constants (number ``params[name]`` of them, after `before` other operands)."""
    body, consts = loop.params["body"], loop.params[name]
    outside: dict[Var, object] = dict(zip(body.inputs[:consts],
                                          loop.inputs[before:before + consts], strict=True))
    inside, moved = [], set()
    for each in body.equations:
        if _certain(each) and all(type(x) is Literal or x in outside for x in each.inputs) and any(
                type(x) is Var for x in each.inputs):
            outputs = [Var(out.type) for out in each.outputs]
            equations.append(Equation(
                each.primitive, [outside[x] if type(x) is Var else x for x in each.inputs],
                outputs, each.params, each.line))
            outside.update(zip(each.outputs, outputs, strict=True))
            moved.update(each.outputs)
        else:
            inside.append(each)
    read = {x for each in inside for x in each.inputs} | set(body.outputs)
    new = [var for var in outside if var in moved and var in read]
    if not moved:
        return loop
    inputs = [*body.inputs[:consts], *new, *body.inputs[consts:]]
    operands = [*loop.inputs[:before + consts], *(outside[var] for var in new),
                *loop.inputs[before + consts:]]
    return Equation(loop.primitive, operands, loop.outputs, {
        **loop.params, "body": Graph(inputs, inside, body.outputs), name: consts + len(new)},
        loop.line)
