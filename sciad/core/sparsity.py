"""sparsity: which results of a function depend on which entries of its argument.

The function is recorded, and patterns pass through its graph from the argument to the result, each
operation by the form that it states (`sciad.core.patterns`). Only derivatives count: comparisons,
integers and `stop_gradient` carry none. Both branches of a condition count.

This is the propagation of index domains of A. Walther, "Computing sparse Hessians with automatic
differentiation" (2008), section 2, on whole arrays at a time.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy

from sciad.core import tree
from sciad.core.arguments import differentiable
from sciad.core.errors import ArgumentError, SciadError, at_line
from sciad.core.graph import Equation, Graph, Literal, Printer, Type, Var, type_of
from sciad.core.patterns import LIMIT, TooDense
from sciad.core.record import record_leaves


def sparsity(f: Callable, x: Any):
    """Where the Jacobian of a function can have nonzero entries.

    Parameters
    ----------
    f : callable
        Array -> array. It must be a program that can be recorded, as for `sciad.jit`.
    x : array
        Only its shape and dtype count; a container becomes a vector by `sciad.ravel`.

    Returns
    -------
    scipy.sparse.csr_array of bool, shape (out.size, x.size)
        True where entry i of ``f(x)`` may depend on entry j of `x`, both counted in C order. It
        holds at every point, and may name more entries than the Jacobian has: where indices
        depend on data, and for operations whose result depends on all they are given.

    Raises
    ------
    RecordError
        If `f` needs data in a way that cannot be recorded, such as ``float(x)``.
    SciadError
        If the pattern gets too large: over fifty million entries.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> def heat(u):
    ...     du = -2.0 * u
    ...     du[1:] += u[:-1]
    ...     du[:-1] += u[1:]
    ...     return du
    >>> sciad.sparsity(heat, np.ones(4)).toarray().astype(int)
    array([[1, 1, 0, 0],
           [1, 1, 1, 0],
           [0, 1, 1, 1],
           [0, 0, 1, 1]])
    """
    kind = _type_of_argument(x)
    recorded = record_leaves(f, [kind])
    graph = recorded.graph
    if not _is_leaf(recorded.structure):
        raise ArgumentError(f"sparsity: the function returns a container of {len(graph.outputs)} "
                            f"values{at_line()}; return one array, np.concatenate of them say")
    return pattern_of(graph)


def pattern_of(graph: Graph):
    """The pattern of a graph's one result by its last input."""
    variable = graph.inputs[-1].type
    part = propagate(graph, [None] * (len(graph.inputs) - 1) + [unit(variable.size)])[0]
    size = graph.outputs[0].type.size
    if part is None:
        return scipy.sparse.csr_array((size, variable.size), dtype=bool)
    part = scipy.sparse.csr_array(part)
    part.sum_duplicates()
    return part


def program_key(graph: Graph) -> str:
    """What tells graphs apart by all that their patterns depend on: two of the same key have the
    same pattern. Of known numbers that is what rules of patterns see, as where they are zero; in
    a graph with loops or branches, which may compute with them, their value."""
    if any(True for equation in graph.equations for _ in equation.graphs()):
        return graph.key
    printer, parts = Printer(), []
    numbers: dict[Any, int] = {}
    for var in graph.inputs:
        numbers[var] = len(numbers)
        parts.append(repr(var.type))
    for equation in graph.equations:
        args = [x.value if type(x) is Literal else x.type for x in equation.inputs]
        parts.append(equation.primitive.name)
        parts += [repr(numbers.get(x, x.type)) for x in equation.inputs]
        parts += [Literal(x).digest() for x in equation.primitive.seen(args)
                  if not isinstance(x, Type)]
        parts += [f"{name}={printer.param(value)}" for name, value in equation.params.items()]
        for var in equation.outputs:
            numbers[var] = len(numbers)
    parts += [repr(numbers.get(x, x.type)) for x in graph.outputs]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _type_of_argument(x) -> Type:
    if not _is_leaf(tree.flatten(x)[1]):
        raise ArgumentError(f"sparsity: x is a {type(x).__name__}, must be one array{at_line()}; "
                            "sciad.ravel makes a vector of a container")
    return type_of(differentiable(x, "sparsity")).strong()


def _is_leaf(structure) -> bool:
    return structure == tree.flatten(0.0)[1]


def unit(size: int):
    """The pattern of the variable itself."""
    return scipy.sparse.eye_array(size, dtype=bool, format="csr")


def propagate(graph: Graph, parts: Sequence, values: Sequence | None = None) -> list:
    """The patterns of a graph's results, from those of its inputs (see `propagated`)."""
    return propagated(graph, parts, values)[0]


def propagated(graph: Graph, parts: Sequence, values: Sequence | None = None) -> tuple[list, list]:
    """The patterns of a graph's results, and what is known of their values.

    Parameters
    ----------
    graph : Graph
    parts : sequence
        The pattern of each input, or None.
    values : sequence, optional
        What is known of each input: its value, or its Type.
    """
    env: dict[Any, Any] = {var: part for var, part in zip(graph.inputs, parts, strict=True)
                           if _moves(var, part)}
    known = {} if values is None else {
        var: x for var, x in zip(graph.inputs, values, strict=True) if not isinstance(x, Type)}
    uses = Counter(x for equation in graph.equations for x in equation.inputs)
    uses.update(graph.outputs)
    for equation in graph.equations:
        if not any(x in env for x in equation.inputs):
            _fold(equation, known)
            continue
        found, learnt = _step(equation, env, known)
        for var, part, value in zip(equation.outputs, found, learnt, strict=True):
            if _moves(var, part):
                env[var] = part
            if not isinstance(value, Type):
                known[var] = value
        for x in equation.inputs:
            uses[x] -= 1
            if not uses[x]:
                env.pop(x, None)
    return [env.get(x) for x in graph.outputs], [_argument(x, known) for x in graph.outputs]


def _moves(var: Var, part) -> bool:
    """Whether a variable of this pattern carries a derivative."""
    return part is not None and part.nnz > 0 and var.type.dtype.kind in "fc"


def _step(equation: Equation, env: dict, known: dict) -> tuple[Sequence, Sequence]:
    """The patterns of an equation's results, and what is known of their values."""
    parts = [env.get(x) for x in equation.inputs]
    args = [_argument(x, known) for x in equation.inputs]
    outs = tuple(var.type for var in equation.outputs)
    rule = equation.primitive.joint_pattern
    try:
        try:
            found = rule(parts, outs, args, equation.params)
        except IndexError:  # an index out of range, in a branch that is not taken
            found = rule(parts, outs, [x.type for x in equation.inputs], equation.params)
        return found if isinstance(found, tuple) else (found, outs)
    except TooDense as error:
        raise SciadError(
            f"sparsity: {equation.primitive.name} ({equation.where}) gives a pattern of {error} "
            f"entries or more, at most {LIMIT:,} can be kept: {max(outs, key=_size)} "
            "depends on too many entries of x. Where indices or orders depend on data, or lie in "
            "a long loop, all entries count; indices known beforehand keep it sparse") from None


def _size(kind: Type) -> int:
    return kind.size


def _argument(atom, known):
    """An operand as rules of patterns see it: a value where it is known, else a Type."""
    return atom.value if type(atom) is Literal else known.get(atom, atom.type)


def _fold(equation: Equation, known: dict) -> None:
    """Keep the value of an equation in the body of a loop or branch, where it is known."""
    primitive = equation.primitive
    args = [_argument(x, known) for x in equation.inputs]
    if not known or primitive.multiple or primitive.effect or not args \
            or any(isinstance(x, Type) for x in args):
        return
    try:
        with np.errstate(all="ignore"):
            known[equation.outputs[0]] = primitive.fun(*args, **equation.params)
    except (IndexError, ValueError, ArithmeticError):
        pass  # in a branch that is not taken, or the function raises there as well


def graph_pattern(parts, outs, args, params) -> list:
    """The rule of an operation that is a graph."""
    return propagate(params["graph"], parts, args)
