"""Programs that catch what NumPy raises.

A compiled call that stops is repeated eagerly, where the program's own handlers see the exception.
An operation whose result nothing needs is not done at all, so it does not stop either; with a
handler at hand that may change what the program returns.
"""

from __future__ import annotations

from sciad.core.errors import RecordError
from sciad.core.graph import Equation, Graph, Var

_MAY_STOP = {"solve", "cholesky", "eig", "eigh", "svd", "spectral_svd", "pinv", "lstsq"}
_FIRST_PLACE = {"getitem": 1, "index_set": 2, "index_add": 2}


def refuse_idle_stops(graph: Graph) -> None:
    """Raise `RecordError` if an operation that can fail is there for its failure alone."""
    needed = {x for x in graph.outputs if type(x) is Var}
    checked: set[Var] = set()
    for equation in reversed(graph.equations):
        idle = needed.isdisjoint(equation.outputs)
        places = _places(equation)
        if idle and not checked.issuperset(places) or idle and equation.primitive.name in _MAY_STOP:
            raise RecordError(f"it catches exceptions, and the result of {equation.primitive.name} "
                              f"(line {equation.line[1]}) is not used: only whether it fails is")
        if not idle or equation.primitive.effect:
            needed.update(x for x in equation.inputs if type(x) is Var)
            checked.update(places)
        for body in equation.graphs():
            refuse_idle_stops(body)


def _places(equation: Equation) -> list[Var]:
    """The indices of a read or a write that are known when it runs. A backward pass checks the
    indices of reads whose values it does not need."""
    first = _FIRST_PLACE.get(equation.primitive.name)
    return [] if first is None else [x for x in equation.inputs[first:] if type(x) is Var]
