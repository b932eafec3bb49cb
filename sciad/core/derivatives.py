"""The derivatives of graphs, as graphs.

What control flow and compiled functions need: for a graph from inputs to outputs, the graph of its
tangents and the graph of its cotangents, recorded once for each set of active inputs. Only inputs
and outputs of floating dtype have either.
"""

from functools import lru_cache

import numpy as np

from sciad.core.capacity import capacity
from sciad.core.graph import Graph, Type
from sciad.core.record import record_leaves
from sciad.core.rules import Tools
from sciad.core.structure import Control
from sciad.core.transforms import jvp_unstaged, vjp_unstaged


def is_float(kind: Type) -> bool:
    return kind.dtype.kind in "fc"


def split(flags, xs):
    chosen = [x for flag, x in zip(flags, xs, strict=True) if flag]
    rest = [x for flag, x in zip(flags, xs, strict=True) if not flag]
    return chosen, rest


def merge(flags, chosen, rest):
    chosen, rest = iter(chosen), iter(rest)
    return [next(chosen) if flag else next(rest) for flag in flags]


def float_results(graph: Graph, flags, rest):
    """`graph` as a function of its flagged inputs, giving its float outputs."""
    def function(*chosen):
        outs = graph(*merge(flags, chosen, rest))
        return [out for out, atom in zip(outs, graph.outputs, strict=True)
                if is_float(atom.type)]
    return function


@lru_cache(maxsize=512)
def tangent_graph(graph: Graph, active: tuple[bool, ...]) -> Graph:
    """Inputs of `graph`, then tangents of the active ones -> tangents of its float outputs."""
    types = [var.type.strong() for var in graph.inputs]
    count = len(types)

    def run(*xs):
        chosen, rest = split(active, xs[:count])
        return jvp_unstaged(float_results(graph, active, rest), chosen, xs[count:])[1]

    return Control.simplify(record_leaves(run, types + split(active, types)[0]).graph)


def cotangent_graph(graph: Graph, needs: tuple[bool, ...]) -> Graph:
    """Inputs of `graph`, then cotangents of its float outputs -> cotangents of needed inputs."""
    return _cotangent_graph(graph, needs, capacity())


@lru_cache(maxsize=512)
def _cotangent_graph(graph, needs, room) -> Graph:
    """`cotangent_graph`, known by the room that its loops have."""
    types = [var.type.strong() for var in graph.inputs]
    outs = [atom.type.strong() for atom in graph.outputs if is_float(atom.type)]
    count = len(types)

    def run(*xs):
        chosen, rest = split(needs, xs[:count])
        _, pull = vjp_unstaged(float_results(graph, needs, rest), chosen)
        return list(pull(list(xs[count:])))

    return Control.simplify(record_leaves(run, types + outs).graph)


def filled(parts, types) -> list:
    """Tangents or cotangents with zeros for None; only those of float types."""
    return [Tools.zeros(t.shape, t.dtype) if part is None else part
            for part, t in zip(parts, types, strict=True) if is_float(t)]


def spread(parts, types) -> tuple:
    """The reverse of `filled`: None where the type is not a float."""
    parts = iter(parts)
    return tuple(next(parts) if is_float(t) else None for t in types)


def values_of(graph: Graph, args) -> tuple:
    """The results of a graph on NumPy values, in the dtypes that it states."""
    return tuple(_typed(out, atom.type.dtype)
                 for out, atom in zip(graph(*args), graph.outputs, strict=True))


def _typed(x, dtype):
    if not hasattr(x, "dtype"):
        return np.asarray(x, dtype)[()]
    return x if x.dtype == dtype else x.astype(dtype)


def out_types(graph: Graph) -> tuple[Type, ...]:
    return tuple(atom.type.strong() for atom in graph.outputs)
