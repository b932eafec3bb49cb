"""cond: one of two functions.

With a concrete predicate it is Python's ``if``. Recorded it is an equation that holds the graphs
of both branches; its tangent and its cotangent are conds over the branches' tangent or cotangent
graphs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, has_data
from sciad.core.derivatives import (
    cotangent_graph,
    filled,
    out_types,
    spread,
    tangent_graph,
    values_of,
)
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Equation, Graph, Literal, Type, Var, type_of
from sciad.core.primitive import bind
from sciad.core.record import Recorded, record_leaves, recording
from sciad.core.rules import General
from sciad.core.structure import Control
from sciad.ops.control.bodies import strengthened
from sciad.ops.control.calling import Called, shown_structure
from sciad.ops.control.patterns import cond_pattern
from sciad.ops.control.steady import record_steady
from sciad.ops.control.values import (
    joined,
    operand,
    own,
    packed,
    recorded_truth,
    truth,
    weakened,
)
from sciad.ops.elementwise import astype

_FORM = ("cond(pred, true_fun, false_fun, *operands): both functions must take the operands, and "
         "return the same containers and shapes")


def cond(pred: Any, true_fun: Callable, false_fun: Callable, *operands: Any) -> Any:
    """``true_fun(*operands)`` if `pred` holds, else ``false_fun(*operands)``.

    Parameters
    ----------
    pred : bool scalar
    true_fun, false_fun : callable
        Of the operands (any containers), which they may write into: they get copies. They may
        close over differentiated values. When recorded, both must return the same structure and
        shapes; where their dtypes differ, both become what NumPy promotes them to.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> def f(x):
    ...     return sciad.cond(x > 0, np.sin, np.cos, x)
    >>> float(sciad.grad(f)(-np.pi / 2)), float(sciad.grad(f)(0.5)) == float(np.cos(0.5))
    (1.0, True)
    """
    pred = packed(pred)
    if not (recording() and isinstance(pred, Array) and not has_data(pred)):
        chosen = true_fun if truth(pred, "cond: the predicate") else false_fun
        with Called(chosen, len(operands), _FORM):
            return chosen(*tree.tree_map(own, operands))
    pred = recorded_truth(pred, "cond: the predicate")
    leaves, structure = tree.flatten(operands)
    types = [type_of(packed(x)) for x in leaves]
    leaves = [operand(x, "cond") for x in leaves]

    def record_branch(function):
        def run(*xs):
            with Called(function, len(operands), _FORM):
                return function(*tree.unflatten(structure, weakened(list(xs), types)))

        return record_leaves(run, [t.strong() for t in types])

    branches = record_steady({"the branch": true_fun, "the other branch": false_fun},
                             lambda: [record_branch(true_fun), record_branch(false_fun)])
    kinds = _common_types(branches)
    first, second = (_cast(strengthened(branch.graph), kinds) for branch in branches)
    consts = [branch.consts for branch in branches]
    true = _with_spare(first, [], len(consts[0]), consts[1])
    false = _with_spare(second, consts[0], len(consts[1]), [])
    outs = bind(cond_p, (pred, *consts[0], *consts[1], *leaves), {"true": true, "false": false})
    return tree.unflatten(branches[0].structure, weakened(list(outs), kinds))


def _common_types(branches: list[Recorded]) -> list[Type]:
    first, second = ([atom.type for atom in branch.graph.outputs] for branch in branches)
    if branches[0].structure != branches[1].structure:
        raise _unlike("structures", branches, first, second)
    if any(a.shape != b.shape for a, b in zip(first, second, strict=True)):
        raise _unlike("types", branches, first, second)
    return list(map(joined, first, second))


def _unlike(what: str, branches: list[Recorded], first: list[Type], second: list[Type]):
    ours, theirs = (shown_structure(branch.structure, types)
                    for branch, types in zip(branches, (first, second), strict=True))
    return ArgumentError(f"cond: the branches return different {what}, {ours} and {theirs}"
                         f"{at_line()}; true_fun and false_fun must return the same containers, "
                         "and arrays of the same shapes")


def _cast(graph: Graph, kinds: list[Type]) -> Graph:
    """`graph` with its results in other dtypes."""
    equations, outputs = list(graph.equations), []
    for atom, kind in zip(graph.outputs, kinds, strict=True):
        if atom.type.dtype != kind.dtype:
            if type(atom) is Literal:
                atom = Literal(np.asarray(atom.value, kind.dtype)[()])
            else:
                cast = Var(kind.strong())
                equations.append(Equation(astype, [atom], [cast], {"dtype": kind.dtype}))
                atom = cast
        outputs.append(atom)
    return Graph(graph.inputs, equations, outputs)


def _with_spare(graph: Graph, before: list, own: int, after: list) -> Graph:
    """`graph` with inputs for the other branch's constants, which it ignores."""
    spare = [[Var(type_of(x).strong()) for x in others] for others in (before, after)]
    inputs = [*spare[0], *graph.inputs[:own], *spare[1], *graph.inputs[own:]]
    return Graph(inputs, graph.equations, graph.outputs)


def _cond_fun(pred, *operands, true, false):
    return values_of(true if pred else false, operands)


def _cond_jvp(tangents, outs, args, params):
    active = tuple(t is not None for t in tangents[1:])
    graphs = {name: tangent_graph(params[name], active) for name in ("true", "false")}
    dots = bind(cond_p, (*args, *(t for t in tangents[1:] if t is not None)), graphs)
    return spread(dots, out_types(params["true"]))


def _cond_vjp(cotangents, needs, outs, args, params):
    wanted = tuple(needs[1:])
    graphs = {name: cotangent_graph(params[name], wanted) for name in ("true", "false")}
    seeds = filled(cotangents, out_types(params["true"]))
    parts = iter(bind(cond_p, (*args, *seeds), graphs))
    return [None, *(next(parts) if need else None for need in wanted)]


cond_p = General("cond", _cond_fun, lambda *types, true, false: out_types(true),
                 _cond_jvp, _cond_vjp, multiple=True, joint_pattern=cond_pattern)

Control.cond = cond_p
Control.astype = astype
