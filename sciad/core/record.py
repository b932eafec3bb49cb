"""Record: run a function on values that have shape and dtype but no data, and keep its graph.

Python loops, recursion and containers vanish. Python branches are explored (`core.explore`): when
``bool(x)`` is asked of a recorded value, the function is run once for each answer. Values of
outer interpreters that the function closes over are lifted to inputs of the graph.
"""

import enum
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, unwrap_plain
from sciad.core.backend import home_of, on_any_device
from sciad.core.errors import RecordError, UntoldError, at_line
from sciad.core.explore import Explorer
from sciad.core.graph import Atom, Graph, Literal, Type, Var, type_of
from sciad.core.numbers import Numbers
from sciad.core.object_arrays import Streak, refuse_entrywise
from sciad.core.paths import Path, Return, census
from sciad.core.primitive import Interpreter, Primitive, active, pack
from sciad.core.structure import Control, structured


class Recorder(Interpreter):
    """The interpreter of recording: appends equations to the explorer's present path."""

    __slots__ = ("explorer", "latest", "streak", "made")
    has_data = False

    def __init__(self, explorer: Explorer):
        self.explorer = explorer
        self.latest = ""
        self.streak = Streak()
        self.made: dict[Var, tuple[Primitive, tuple[Atom, ...], dict]] = {}

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        if self.explorer.guards:
            self.explorer.guards = False  # those of the guards themselves need none
            try:
                args = Control.guard(primitive, args, params)
            finally:
                self.explorer.guards = True
        inputs = tuple(map(self.atom, args))
        outs = self.explorer.step(primitive, inputs, params)
        self.latest = primitive.name
        if primitive.multiple:
            return tuple(Array(var.type, self, var) for var in outs)
        self.made[outs[0]] = primitive, inputs, params
        return Array(outs[0].type, self, outs[0])

    def atom(self, x: Any) -> Atom:
        """An operand as a variable or a literal; an outer Array is lifted to an input."""
        if type(x) is Array:
            return x._node if x._interp is self else self.explorer.lift(x)
        if type(x) is Numbers:
            raise RecordError(f"numbers of type {x.kind.__name__} cannot be compiled{at_line()}")
        if on_any_device(x):
            raise RecordError(f"it uses an array of {home_of(x).name}, which is not compiled"
                              f"{at_line()}; without jit it computes the same")
        if type(x) is np.ndarray and (x.flags.writeable or x.base is not None):
            x = x.copy("K")
        return _literal(x)

    def truth(self, x: Array) -> bool:
        if x._value.size != 1:
            raise ValueError(f"the truth value of an array of shape {x.shape} is ambiguous; "
                             "use np.any or np.all")
        try:
            refuse_entrywise(sys._getframe(2), self.latest, self.streak, self.explorer.processed)
        except RecordError as error:
            error.asked = (x,)
            self.refusal = error  # NumPy's loops may swallow it
            raise
        if x._value.shape:
            x = x.reshape(())
        if x._value.dtype != np.bool_:
            x = x != 0
        try:
            return self.explorer.ask(x._node, self.hold)
        except RecordError as error:
            error.asked = (x,)
            raise

    def hold(self, number: int | float) -> Array:
        """A Python number as a recorded value."""
        var, = self.explorer.step(Control.hold, (Literal(number),), {})
        return Array(var.type, self, var)

    def resolve(self, x: Array) -> Array:
        raise RecordError("a recorded value is used after its recording ended: the function "
                          "stored it outside itself" + at_line())


class Explored(NamedTuple):
    """How many runs of a function its branches took, the questions asked, the paths joined;
    recordings inside the first run (of a function that is differentiated, say) included."""

    runs: int
    questions: int
    joins: int

    def with_inner(self, runs: int, questions: int, joins: int) -> "Explored":
        return Explored(self.runs + runs - 1, self.questions + questions, self.joins + joins)


class Recorded(NamedTuple):
    """A graph, the outer values lifted to its first inputs, and its result's structure."""

    graph: Graph
    consts: list
    structure: Any
    explored: Explored = Explored(1, 0, 0)

    def __call__(self, *args):
        """Evaluate on arguments shaped like those recorded."""
        leaves = self.graph(*self.consts, *tree.flatten(args)[0])
        return tree.unflatten(self.structure, leaves)


def record(function: Callable, *args: Any) -> Recorded:
    """Record `function` at the types of `args`, which may be any containers.

    Raises
    ------
    RecordError
        When the program needs data: ``float(x)``, a loop whose end depends on a value, and the
        like; the message names the line.
    """
    leaves, structure = tree.flatten(args)
    return record_leaves(lambda *xs: function(*tree.unflatten(structure, list(xs))),
                         [type_of(x) for x in leaves])


def record_leaves(function: Callable, types: list[Type], verify: bool = False,
                  integers: Sequence[int] = (), repeats: bool | None = None) -> Recorded:
    """Record a function of flat arguments of the given types.

    With `verify` the function runs once more, and must do the same again (`RecordError`).
    A branch on nothing but the arguments numbered in `integers` is refused (`RecordError`): such
    an argument had better count by value than have every recursion on it explored. Those of them
    that are Python's are guarded (`sciad.ops.python_integers`).
    `repeats` tells that a call which ends in an `UntoldError` will be repeated eagerly, so that a
    branch may end so; by default what the recording around this one says.
    """
    inputs = [Var(t) for t in types]
    if repeats is None:
        outer = _innermost()
        repeats = outer is not None and outer.explorer.repeats
    explorer = Explorer([inputs[k] for k in integers], repeats)
    explorer.guards = any(types[k].weak for k in integers)

    def run() -> tuple[list[Atom], Any]:
        with Recorder(explorer) as recorder:
            out = function(*(Array(var.type, recorder, var) for var in inputs))
            leaves, structure = tree.flatten(out, fixed=is_fixed)
            return [_result(recorder, leaf) for leaf in leaves], structure

    try:
        root = explorer.explore(run)
        if verify:
            explorer.verify(run)
    except RecordError as error:
        _trace(error, explorer, inputs)
        raise
    explored = Explored(explorer.runs - bool(verify), *census(root))
    for inner in explorer.inner:
        explored = explored.with_inner(*inner)
    _tell_outer(explored)
    structure = _common_structure(root)
    graph = structured(root, [*explorer.const_vars, *inputs])
    return Recorded(graph, explorer.consts, structure, explored)


def _innermost() -> Recorder | None:
    return next((x for x in reversed(active()) if isinstance(x, Recorder)), None)


def _trace(error: RecordError, explorer: Explorer, inputs: list[Var]) -> None:
    """Note which inputs, or values of outer recordings, the data asked for is computed from."""
    asked: list[Array] = []
    found: set[Var] = set()
    for x in map(_below, error.asked) if not error.inputs else ():
        if isinstance(x._interp, Recorder) and x._interp.explorer is explorer:
            found |= {var for var, made in explorer.origins(x._node).items() if made is None}
        else:
            asked.append(x)
    outer = dict(zip(explorer.const_vars, explorer.consts, strict=True))
    asked += [outer[var] for var in found if var in outer]
    places = [inputs.index(var) for var in found if var in inputs]
    known = len(places) + len(outer.keys() & found) == len(found)
    error.inputs = frozenset(places) if known and not asked else frozenset()
    error.asked = tuple(asked) if known and not places else ()


def _below(x: Array) -> Array:
    """A recorded value, without the transforms that follow it."""
    while not isinstance(x._interp, Recorder) and type(x._value) is Array:
        x = x._value
    return x


def _tell_outer(explored: Explored) -> None:
    """Let the recording around this one, in its first run, count it."""
    outer = _innermost()
    if outer is not None and outer.explorer.runs == 1:
        outer.explorer.inner.append(explored)


def is_fixed(leaf: Any) -> bool:
    """Whether a result is no number, but may stand in the structure of the results."""
    return isinstance(leaf, (str, bytes, enum.Enum, np.dtype, type))


def _result(recorder: Recorder, leaf: Any) -> Atom:
    if isinstance(leaf, np.ndarray) and leaf.dtype.hasobject:
        leaf = pack(leaf)
    if isinstance(leaf, Array):
        live = unwrap_plain(leaf)
        return recorder.atom(live) if isinstance(live, Array) else Literal(live)
    if isinstance(leaf, (int, float, complex, np.ndarray, np.generic)):
        return _literal(leaf)
    raise RecordError(f"a recorded function returned a {type(leaf).__name__}; only numbers, "
                      "arrays, texts and containers of them can be recorded")


def _literal(x: Any) -> Literal:
    if type(x) is int and not -2**63 <= x < 2**63:
        raise RecordError(f"an integer of {x.bit_length()} bits is more than compiled code can "
                          f"hold{at_line()}; without jit, or as a float, it is what it is")
    return Literal(x)


def _common_structure(root: Path) -> Any:
    ends = root.ends()
    structures = [end.structure for end in ends if isinstance(end, Return)]
    if not structures:
        for end in ends:
            if not isinstance(end, Return) and isinstance(end.exception, UntoldError):
                raise end.exception
        raise RecordError("every path through the function raises")
    if any(structure != structures[0] for structure in structures):
        raise RecordError("the branches of an if return containers of different structure")
    return structures[0]


def recording() -> bool:
    """Whether a recorder is open on this thread."""
    return any(isinstance(interp, Recorder) for interp in active())
