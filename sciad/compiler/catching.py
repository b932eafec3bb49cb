"""Programs that catch what NumPy raises.

A compiled call that stops is repeated eagerly, where the program's own handlers see the exception.
An operation whose result nothing needs is not done at all, so it does not stop either; with a
handler at hand that may change what the program returns.
"""

from __future__ import annotations

from sciad.core.errors import RecordError
from sciad.core.graph import Equation, Graph, Var

_MAY_STOP = {"solve", "cholesky", "eig", "eigh", "svd", "spectral_svd", "pinv", "lstsq"}
_INDEXED = {"read", "index_set", "index_add"}


def refuse_idle_stops(graph: Graph) -> None:
    """Raise `RecordError` if an operation that can fail is there for its failure alone."""
    needed = {x for x in graph.outputs if type(x) is Var}
    for equation in reversed(graph.equations):
        idle = needed.isdisjoint(equation.outputs)
        if idle and _may_stop(equation):
            raise RecordError(f"it catches exceptions, and the result of {equation.primitive.name} "
                              f"(line {equation.line[1]}) is not used: only whether it fails is")
        if not idle or equation.primitive.effect:
            needed.update(x for x in equation.inputs if type(x) is Var)
        for body in equation.graphs():
            refuse_idle_stops(body)


def _may_stop(equation: Equation) -> bool:
    name = equation.primitive.name
    return name in _MAY_STOP or name in _INDEXED and len(equation.inputs) > 1 + (name != "read")
