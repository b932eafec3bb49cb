"""vmap: a function of one entry, over an axis of its arguments.

Eagerly a Python loop over the entries, their results stacked. Recorded it is a scan that carries
nothing: a loop of the compiled program, in which Python branches on an entry are branches. The
function knows nothing of the axis, so no operation needs a rule for it.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, current, plain
from sciad.core.backend import asnumpy, beside
from sciad.core.errors import ArgumentError, at_line
from sciad.core.forward import Forward
from sciad.core.graph import Graph, Type, Var, shape_of, type_of
from sciad.core.record import is_fixed, record_leaves, recording
from sciad.core.rules import Tools
from sciad.core.transformed import transformed
from sciad.ops.control.axes import (
    argument_axes,
    from_front,
    name_of,
    normalized,
    placed,
    result_axes,
    to_front,
)
from sciad.ops.control.calling import shown_structure
from sciad.ops.control.scan import mapped as mapped_rows
from sciad.ops.control.values import own, packed, row, stacked


def vmap(f: Callable, in_axes: Any = 0, out_axes: Any = 0,
         threads: int | None = None) -> Callable:
    """`f`, applied to each entry along an axis of its arguments.

    Parameters
    ----------
    f : callable
        Of one entry; any containers in and out. What it writes into its arguments stays in that
        entry's call.
    in_axes : int, None, or containers of them
        The axis of each positional argument that is mapped over; None passes the argument whole.
        One entry for all arguments, or a tuple with one an argument, which may be a container
        where the argument is one. Negative axes count from the end. Keyword arguments are mapped
        over axis 0.
    out_axes : int, None, or containers of them
        Where the new axis stands in the results. None says that a result is the same for all
        entries, and returns it once. A text among the results must be the same, and has no axis.
    threads : int, optional
        The most threads that a compiled call may use; as many as `sciad.threads` says by default.
        Eager calls run on the calling thread. No result depends on it.

    Returns
    -------
    callable
        Takes the arguments of `f` with the mapped axes, returns its results with the new ones.

    Raises
    ------
    ArgumentError
        If the mapped axes differ in size, an axis does not exist, or nothing is mapped.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> slopes = sciad.vmap(sciad.grad(lambda x, k: x**2 if x > 0 else k * x), in_axes=(0, None))
    >>> slopes(np.array([-1.0, 2.0]), 5.0)
    array([5., 4.])
    """
    if not callable(f):
        raise ArgumentError(f"vmap takes a function, got a {type(f).__name__}{at_line()}")
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ArgumentError(f"vmap: threads={threads!r} must be a number of threads{at_line()}")

    @transformed(vmap, f, in_axes, out_axes, threads)
    def mapped(*args, **kwargs):
        call = _Call(f, args, kwargs, in_axes)
        if call.size and not recording():
            return call.in_python(out_axes)
        return call.recorded(out_axes, threads)

    return mapped


class _Call:
    """The arguments of one call, and the axis of each leaf that is mapped over."""

    def __init__(self, f, args, kwargs, in_axes):
        self.f = f
        leaves, self.structure = tree.flatten((args, kwargs))
        self.leaves = [packed(x) for x in leaves]
        axes = argument_axes(in_axes, args, kwargs)
        self.axes = [None if axis is None else
                     normalized(axis, x, functools.partial(name_of, args, kwargs, k))
                     for k, (x, axis) in enumerate(zip(self.leaves, axes, strict=True))]
        self.size = self._common_size(args, kwargs)

    def _common_size(self, args, kwargs) -> int:
        sizes = {k: x.shape[axis] for k, (x, axis) in enumerate(
            zip(self.leaves, self.axes, strict=True)) if axis is not None}
        if not sizes:
            raise ArgumentError(f"vmap: in_axes maps over no array{at_line()}; give the axis of at "
                                "least one argument")
        if len(set(sizes.values())) > 1:
            each = ", ".join(
                f"{name_of(args, kwargs, k)} has {size} (axis {self.axes[k]} of shape "
                f"{self.leaves[k].shape})" for k, size in sizes.items())
            raise ArgumentError(f"vmap: the mapped axes differ in size: {each}{at_line()}")
        return next(iter(sizes.values()))

    def entry(self, rows) -> Any:
        """`f` of one entry, given the rows of the mapped leaves."""
        rest = iter(rows)
        full = [own(x) if axis is None else next(rest)
                for x, axis in zip(self.leaves, self.axes, strict=True)]
        args, kwargs = tree.unflatten(self.structure, full)
        return self.f(*args, **kwargs)

    def rows(self, k: int) -> list:
        return [row(x, k, axis) for x, axis in zip(self.leaves, self.axes, strict=True)
                if axis is not None]

    # --- eagerly ----------------------------------------------------------------------------------

    def in_python(self, out_axes):
        results = []
        for k in range(self.size):
            leaves, structure = tree.flatten(self.entry(self.rows(k)), is_fixed)
            if k == 0:
                first = structure
            elif structure != first:
                raise ArgumentError(
                    "vmap: the function returns different structures, "
                    f"{shown_structure(first, results[0])} for entry 0 and "
                    f"{shown_structure(structure, leaves)} for entry {k}{at_line()}")
            results.append([own(x) for x in leaves])
        columns = [list(column) for column in zip(*results, strict=True)]
        axes = result_axes(out_axes, first, len(columns))
        if None in axes:
            self._require_same([place for place, axis in enumerate(axes) if axis is None], columns)
        return tree.unflatten(first, [
            column[0] if axis is None else
            stacked(column, placed(axis, shape_of(column[0])), "vmap")
            for column, axis in zip(columns, axes, strict=True)])

    def _require_same(self, places, columns):
        """Raise unless these results are the same for all entries, their derivatives too."""
        with Forward() as probe:
            marked = [Array(x, probe, beside(np.zeros(x.shape, x.dtype), x)) if _followed(x) else x
                      for x in self.rows(0)]
            leaves = [packed(x) for x in tree.flatten(self.entry(marked), is_fixed)[0]]
            depends = [type(x) is Array and current(x)._interp is probe for x in leaves]
        for place in places:
            first, *others = columns[place]
            if depends[place] or not all(_equal(first, x) for x in others):
                raise _not_the_same(place)

    # --- recorded ---------------------------------------------------------------------------------

    def recorded(self, out_axes, threads):
        columns = [to_front(x, axis) for x, axis in zip(self.leaves, self.axes, strict=True)
                   if axis is not None]
        ys = mapped_rows(self.entry, columns, self.size, threads)
        leaves, structure = tree.flatten(ys, is_fixed)
        axes = result_axes(out_axes, structure, len(leaves))
        if None in axes:
            rows = [Type(x.shape[1:], x.dtype) for x in map(type_of, columns)]
            graph = record_leaves(lambda *rows: self.entry(rows), rows).graph
            depends = _dependent(graph, graph.inputs[len(graph.inputs) - len(rows):])
            if not self.size:
                raise ArgumentError("vmap: out_axes=None asks for the common result of no "
                                    f"entries{at_line()}")
        for place, axis in enumerate(axes):
            if axis is None and depends[place]:
                raise _not_the_same(place)
        return tree.unflatten(structure, [
            row(y, 0) if axis is None else from_front(y, axis)
            for y, axis in zip(leaves, axes, strict=True)])


def _followed(x) -> bool:
    return type(x) is Array and current(x)._interp is not None and x.dtype.kind in "fc"


def _equal(a, b) -> bool:
    a, b = asnumpy(plain(a)), asnumpy(plain(b))
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")


def _not_the_same(place):
    return ArgumentError(f"vmap: out_axes is None for result {place}, which is not the same for "
                         f"all entries{at_line()}; give it an axis")


def _dependent(graph: Graph, sources) -> list[bool]:
    """Which results of a graph depend on these of its inputs."""
    reached: set[Var] = set(sources)
    for equation in graph.equations:
        if any(type(x) is Var and x in reached for x in equation.inputs):
            reached.update(equation.outputs)
    return [type(x) is Var and x in reached for x in graph.outputs]


Tools.vmap = vmap
