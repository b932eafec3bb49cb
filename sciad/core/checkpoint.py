"""checkpoint: memory for time in reverse mode.

The tape of a checkpointed call holds its arguments and results only. The backward pass runs the
function again to pull the cotangents through it.

The function may close over followed values and may write into its arguments. So its first run is
watched by an interpreter that stands above all others: it computes with plain values and notes
every outer value that the function reaches. These become operands like the arguments, and what
the function wrote becomes results, written back after the call. When it runs again, each outer
value is lent the value that it then stands for.

While recording, the function becomes a graph, and the call one equation that holds it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.arguments import is_number, packed
from sciad.core.array import Array, current, has_data, plain
from sciad.core.backend import asnumpy, is_array
from sciad.core.derivatives import (
    cotangent_graph,
    filled,
    is_float,
    merge,
    out_types,
    split,
    spread,
    tangent_graph,
    values_of,
)
from sciad.core.errors import SciadError, at_line
from sciad.core.graph import type_of
from sciad.core.numbers import adopt
from sciad.core.primitive import Interpreter, active, bind
from sciad.core.reach import Reach
from sciad.core.record import record_leaves, recording
from sciad.core.reverse import Reverse
from sciad.core.rules import General, Tools
from sciad.core.sparsity import graph_pattern
from sciad.core.transformed import transformed
from sciad.core.transforms import jvp_unstaged, vjp_unstaged


def checkpoint(f: Callable) -> Callable:
    """`f`, whose inner values are computed again in the backward pass rather than kept.

    Parameters
    ----------
    f : callable
        Any containers in and out. It must do the same when it runs again: it may print, but draw
        no fresh random numbers and keep no count. It may close over differentiated values, and
        write into arrays among its arguments; what it makes and does not return is gone after
        the call. A view of an argument that it returns is read-only.

    Returns
    -------
    callable
        The same function. In reverse mode a call keeps its arguments and results only; the price
        is one more run. Without a reverse mode around it, a call of `f`.

    Raises
    ------
    SciadError
        In the backward pass, if `f` gives another result when it runs again or what it closes
        over has changed; if a value made inside is used outside without having been returned; if
        `f` changes a container among its arguments.

    Notes
    -----
    A chain of n steps, cut into checkpointed segments of sqrt(n) steps, needs the memory of
    2 sqrt(n) steps instead of n (A. Griewank, "Achieving logarithmic growth of temporal and
    spatial complexity in reverse automatic differentiation", 1992, treats the general case).

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> @sciad.checkpoint
    ... def segment(x):
    ...     for _ in range(10):
    ...         x = np.sin(x)
    ...     return x
    >>> plain = sciad.grad(lambda x: segment.__wrapped__(segment.__wrapped__(x)))(0.5)
    >>> bool(sciad.grad(lambda x: segment(segment(x)))(0.5) == plain)
    True
    """

    @transformed(checkpoint, f)
    def checkpointed(*args, **kwargs):
        if recording():
            return _recorded(f, args, kwargs)
        if any(type(interp) is Reverse and interp.divert is None for interp in active()):
            return _watched(f, args, kwargs)
        return f(*args, **kwargs)

    return checkpointed


# --- eagerly --------------------------------------------------------------------------------------


class _Watch(Interpreter):
    """Computes with plain values, on behalf of all outer interpreters, and notes their values."""

    __slots__ = ("captured", "diverted")

    def __enter__(self):
        self.diverted = [(interp, interp.fast) for interp in active() if interp.divert is None]
        super().__enter__()
        self.captured: dict[int, tuple] = {}
        for interp, _ in self.diverted:
            interp.divert, interp.fast = self, False
        return self

    def __exit__(self, *error):
        for interp, fast in self.diverted:
            interp.divert, interp.fast = None, fast
        self.diverted = []
        return super().__exit__(*error)

    def process(self, primitive, args, params):
        out = bind(primitive, tuple(map(self.value, args)), params)
        return tuple(map(self.wrap, out)) if primitive.multiple else self.wrap(out)

    def value(self, x):
        if type(x) is not Array:
            return x
        if x._interp is not self:
            self.captured.setdefault(id(x), (x, x._value, x._interp, x._node))
        return x._value if x._interp is self else plain(x)

    def wrap(self, out):
        return Array(out, self) if out.dtype.kind in "fc" else out

    def restore(self):
        """Give the outer values back what they stood for before."""
        for x, value, interp, node in self.captured.values():
            x._value, x._interp, x._node = value, interp, node

    def resolve(self, x):
        raise SciadError("a value made inside a checkpointed function is used outside it"
                         f"{at_line()}; return it from the function (and pass arrays that it "
                         "writes into as arguments, without other views of them)")


@contextmanager
def lent(handles: list[Array], values: list) -> Iterator[None]:
    """Let outer values stand for others meanwhile."""
    before = [(x._value, x._interp, x._node, x._alias) for x in handles]
    try:
        for x, value in zip(handles, values, strict=True):
            new = value if type(value) is Array else Array(value)
            x._value, x._interp, x._node, x._alias = new._value, new._interp, new._node, None
        yield
    finally:
        for x, (value, interp, node, alias) in zip(handles, before, strict=True):
            x._value, x._interp, x._node, x._alias = value, interp, node, alias


class _Segment:
    """A checkpointed call: a function of its numeric arguments and the outer values it reaches.

    Attributes
    ----------
    handles : list of Array
        The outer values.
    written : list of int
        The places among all inputs that the function writes into: further results.
    known : list or None
        The results of the first run, until they are asked for.
    """

    __slots__ = ("f", "structure", "leaves", "places", "wrapped", "handles", "written", "known",
                 "before", "same", "frozen", "out_structure", "out_leaves", "out_places")

    def __init__(self, f, args, kwargs):
        self.f = f
        self.leaves, self.structure = tree.flatten((args, kwargs))
        self.leaves = [packed(x) for x in self.leaves]
        self.places = [k for k, x in enumerate(self.leaves) if is_number(x)]
        self.wrapped = [type(self.leaves[k]) is Array for k in self.places]
        self.handles = []
        self.written = []
        self.before = Reach({"f": f}, identity=False)

    def watch(self):
        """The first run; returns the operands."""
        with _Watch() as watch:
            inputs = [Array(_fresh(plain(x)), watch) if flag else x
                      for x, flag in zip(self.numbers(), self.wrapped, strict=True)]
            before = [x._value if flag else None
                      for x, flag in zip(inputs, self.wrapped, strict=True)]
            try:
                results = self.flat(self.call(inputs), first=True)
                self.note_shared(results, inputs)
                outs = list(map(watch.value, results))
                captured = list(watch.captured.values())
                self.handles = [x for x, *_ in captured]
                changed = [flag and x._value is not old for x, flag, old
                           in zip(inputs, self.wrapped, before, strict=True)]
                changed += [x._value is not value for x, value, *_ in captured]
                self.written = [k for k, flag in enumerate(changed) if flag]
                self.known = outs + list(map(watch.value, self.finals(inputs)))
            finally:
                watch.restore()
        if self.written:
            self.require_apart()
        return [*self.numbers(), *self.handles]

    def require_apart(self):
        """Raise if what is written shares memory with another operand."""
        operands = [*self.numbers(), *self.handles]
        outer = any(operands[k]._alias for k in self.written if k >= len(self.places))
        memory = [id(x._alias[0]) if x._alias else id(x) for x in operands if type(x) is Array]
        if outer or len(set(memory)) != len(memory):
            raise SciadError("checkpoint: the function writes into memory that it reaches in two "
                             f"ways{at_line()}; pass the array once, as an argument, and take "
                             "its views inside")

    def note_shared(self, results, inputs):
        """Which results are an argument itself, and which are views of one."""
        self.same = [next((k for k, x in enumerate(inputs) if x is out and type(x) is Array), None)
                     for out in results]
        storages = {id(x._alias[0]) for x in inputs if type(x) is Array and x._alias}
        self.frozen = [type(out) is Array and out._alias is not None
                       and id(out._alias[0]) in storages for out in results]

    def numbers(self):
        return [self.leaves[k] for k in self.places]

    def call(self, inputs):
        full = list(self.leaves)
        for k, x in zip(self.places, inputs, strict=True):
            full[k] = x
        return _called(self.f, self.structure, full)

    def flat(self, result, first=False):
        leaves, structure = tree.flatten(result)
        leaves = [packed(x) for x in leaves]
        if first:
            self.out_structure, self.out_leaves = structure, leaves
            self.out_places = [k for k, x in enumerate(leaves) if is_number(x)]
        elif structure != self.out_structure:
            raise _differs()
        return [leaves[k] for k in self.out_places]

    def finals(self, inputs):
        return [inputs[k] if k < len(inputs) else self.handles[k - len(inputs)]
                for k in self.written]

    def __call__(self, *values):
        """Run again, for these values of the arguments and of the outer values."""
        if self.known is not None:
            known, self.known = self.known, None
            return known
        changed = self.before.change(Reach({"f": self.f}, identity=False))
        if changed is not None:
            raise SciadError("checkpoint: what the function closes over has changed since it ran "
                             f"({changed}){at_line()}; it must do the same when it runs again "
                             "(pass what changes, and random numbers, as arguments)")
        own = len(self.places)
        inputs = [_handle(x) if flag else x
                  for x, flag in zip(values[:own], self.wrapped, strict=True)]
        with lent(self.handles, list(values[own:])):
            outs = self.flat(self.call(inputs))
            finals = [_handle(x) for x in self.finals(inputs)]
        return outs + finals

    def unflat(self, outs):
        """The result of the call, once what it wrote is written back."""
        count = len(self.out_places)
        operands = [*self.numbers(), *self.handles]
        for k, final in zip(self.written, outs[count:], strict=True):
            operands[k][...] = final
        leaves = list(self.out_leaves)
        for k, out, same, frozen in zip(self.out_places, outs[:count], self.same, self.frozen,
                                        strict=True):
            if same is not None:
                out = operands[same]
            elif frozen and type(out) is Array:
                out = Tools.frozen(out, "view that a checkpointed function returned")
            leaves[k] = out
        return tree.unflatten(self.out_structure, leaves)


def _called(f, structure, leaves):
    """The function of its arguments' leaves, which must leave its containers as they are."""
    args, kwargs = tree.unflatten(structure, leaves)
    result = f(*args, **kwargs)
    after, structure_after = tree.flatten((args, kwargs))
    if structure_after != structure or any(a is not b for a, b in zip(after, leaves, strict=True)):
        raise SciadError("checkpoint: the function puts something into a container among its "
                         f"arguments, or takes it out{at_line()}; return a new container instead")
    return result


def _handle(x):
    return Array(x._value, x._interp, x._node) if type(x) is Array else Array(x)


def _fresh(x):
    return x.copy() if is_array(x) else x


def _differs():
    return SciadError(f"checkpoint: the function gave another result when it ran again{at_line()}"
                      "; it must depend on its arguments only (pass random numbers in)")


def _watched(f, args, kwargs):
    segment = _Segment(f, args, kwargs)
    operands = segment.watch()
    return segment.unflat(list(bind(segment_p, tuple(operands), {"segment": segment})))


def _run(function, *args):
    """A derivative rule, itself checkpointed where a reverse mode follows what it works on."""
    arrays = [x for x in args if type(x) is Array]
    if all(map(has_data, arrays)) and any(map(_in_reverse, arrays)):
        return _watched(function, args, {})
    return function(*args)


def _in_reverse(x) -> bool:
    while type(x) is Array:
        x = current(x)
        if type(x._interp) is Reverse and x._interp.divert is None:
            return True
        x = x._value
    return False


def _segment_fun(*args, segment):
    outs = map(plain, segment(*args))
    return tuple(out if hasattr(out, "dtype") else np.asarray(out)[()] for out in outs)


def _segment_jvp(tangents, outs, args, params):
    segment, active_ = params["segment"], [t is not None for t in tangents]
    floats = [out.dtype.kind in "fc" for out in outs]

    def moved(*inputs):
        values, seeds = inputs[:len(args)], inputs[len(args):]
        chosen, rest = split(active_, values)
        function = _float_results(segment, active_, rest, floats)
        return jvp_unstaged(function, chosen, seeds)[1]

    parts = iter(_run(moved, *args, *(t for t in tangents if t is not None)))
    return tuple(next(parts) if flag else None for flag in floats)


def _segment_vjp(cotangents, needs, outs, args, params):
    segment = params["segment"]
    types = [type_of(out) for out in outs]
    floats = list(map(is_float, types))

    def pulled(*inputs):
        values, seeds = inputs[:len(args)], inputs[len(args):]
        chosen, rest = split(needs, values)
        again, pull = vjp_unstaged(_float_results(segment, needs, rest, floats), chosen)
        _require_same(again, split(floats, outs)[0])
        return [adopt(slope) for slope in pull(list(seeds))]

    parts = iter(_run(pulled, *args, *filled(cotangents, types)))
    return [next(parts) if need else None for need in needs]


def _float_results(segment, flags, rest, floats):
    def function(*chosen):
        return split(floats, segment(*merge(flags, chosen, rest)))[0]

    return function


def _require_same(again, before):
    for a, b in zip(again, before, strict=True):
        if type(a) is Array and not has_data(a):
            continue
        a, b = asnumpy(plain(a)), asnumpy(plain(b))
        if a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            raise _differs()


segment_p = General("checkpoint", _segment_fun, None, _segment_jvp, _segment_vjp, multiple=True)

# --- recorded -------------------------------------------------------------------------------------


def _recorded(f, args, kwargs):
    """The call as an equation that holds the graph of `f`."""
    leaves, structure = tree.flatten((args, kwargs))
    leaves = [packed(x) for x in leaves]
    places = [k for k, x in enumerate(leaves) if type(x) is Array]

    def run(*values):
        full = list(leaves)
        for k, x in zip(places, values, strict=True):
            full[k] = x
        return _called(f, structure, full), list(values)

    recorded = record_leaves(run, [type_of(leaves[k]) for k in places])
    graph = recorded.graph
    outs = bind(graph_p, (*recorded.consts, *(leaves[k] for k in places)), {"graph": graph})
    result, finals = tree.unflatten(recorded.structure, list(outs))
    own = graph.inputs[len(recorded.consts):]
    ends = graph.outputs[len(graph.outputs) - len(places):]
    for k, final, start, end in zip(places, finals, own, ends, strict=True):
        if end is not start:
            leaves[k][...] = final
    return result


def _graph_jvp(tangents, outs, args, params):
    graph = params["graph"]
    moving = tuple(t is not None for t in tangents)
    dots = bind(graph_p, (*args, *(t for t in tangents if t is not None)),
                {"graph": tangent_graph(graph, moving)})
    return spread(dots, out_types(graph))


def _graph_vjp(cotangents, needs, outs, args, params):
    graph = params["graph"]
    wanted = tuple(need and is_float(var.type)
                   for need, var in zip(needs, graph.inputs, strict=True))
    seeds = filled(cotangents, out_types(graph))
    parts: Any = iter(bind(graph_p, (*args, *seeds), {"graph": cotangent_graph(graph, wanted)}))
    return [next(parts) if want else None for want in wanted]


graph_p = General("checkpoint", lambda *args, graph: values_of(graph, args),
                  lambda *types, graph: out_types(graph), _graph_jvp, _graph_vjp, multiple=True,
                  joint_pattern=graph_pattern)
"""A graph as one operation, whose derivatives evaluate it anew."""
