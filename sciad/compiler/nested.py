"""A jitted function inside another: recorded with it, as part of its program."""

from __future__ import annotations

from collections.abc import Callable

from sciad.compiler.native import call
from sciad.compiler.specialise import Options, own
from sciad.core import tree
from sciad.core.array import Array
from sciad.core.graph import type_of
from sciad.core.record import record_leaves, recording


class Inlined:
    """The function of a jitted one. Its results are its own, as a compiled function's: writing
    into one changes neither another nor an argument. One with `fastmath` becomes an operation of
    its own, so that its arithmetic alone is reordered."""

    __slots__ = ("f", "options")

    def __init__(self, f: Callable, options: Options):
        self.f, self.options = f, options

    def __call__(self, *args, **kwargs):
        out = self._apart(args, kwargs) if self.options.fastmath and recording() else None
        return tree.tree_map(own, self.f(*args, **kwargs) if out is None else out[0])

    def _apart(self, args, kwargs) -> tuple | None:
        """The results, by a graph of its own; None if the function writes into its arguments."""
        given, structure = tree.flatten((args, kwargs))
        places = [k for k, x in enumerate(given) if type(x) is Array]
        touched = False

        def run(*xs):
            nonlocal touched
            leaves, nodes = list(given), [x._node for x in xs]
            for k, x in zip(places, xs, strict=True):
                leaves[k] = x
            inner_args, inner_kwargs = tree.unflatten(structure, leaves)
            out = self.f(*inner_args, **inner_kwargs)
            touched |= any(x._node is not node for x, node in zip(xs, nodes, strict=True))
            return out

        recorded = record_leaves(run, [type_of(given[k]) for k in places])
        if touched:
            return None
        leaves = [*recorded.consts, *(given[k] for k in places)]
        outs = call(recorded.graph, leaves, self.options.fastmath)
        return (tree.unflatten(recorded.structure, list(outs)),)
