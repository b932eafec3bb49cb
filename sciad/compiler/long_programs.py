"""A warning for recordings that hold a long unrolled loop of Python."""

from __future__ import annotations

from collections import Counter

from sciad.core.errors import user_place
from sciad.core.graph import Graph

LONG_RECORDING = 20_000
"""Operations from which a recording is said to be long; compiling it takes seconds."""


class LongProgramWarning(UserWarning):
    """A loop of Python was unrolled into so many operations that compiling takes long."""


def complaint(graph: Graph) -> str:
    """What there is to say of a graph's length; empty if it is not long. Operations of a backward
    pass stand at the line of the present call, which says nothing of the loop."""
    count = len(graph.equations)
    if count <= LONG_RECORDING:
        return ""
    places = Counter(equation.line for equation in graph.equations)
    if len(places) > 1:
        places.pop(user_place(), None)
    (file, line), most = places.most_common(1)[0]
    where = f", {most} of them from {file}:{line}" if file else ""
    return (f"recording unrolled it into {count} operations{where}, which takes long to compile; "
            "write the loop with sciad.fori_loop or sciad.scan, which record its body once")
