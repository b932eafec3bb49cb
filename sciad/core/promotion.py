"""Promotion: Python numbers that differ where paths meet become recorded values.

A counter (``if v > 0: n += 1``), the ends of a bisection, a step size that is halved or grown are
Python's own numbers. Every path has others, so that no two would ever be in the same state, and
paths could not join. Where many runs come to one question with different numbers in a
variable, the exploration begins anew, and from then on each question replaces what the variable
holds by a recorded constant. The states agree then, and the number is a value like any other.

Where a promoted number is asked for by value (a ``range``, an index of a list), or the recording
fails for another reason, it is a Python number again (`Promotions.give_up`).
"""

import ctypes
import inspect
import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any

from sciad.core.array import Array
from sciad.core.errors import is_package
from sciad.core.graph import Var, type_of

Name = tuple[CodeType, str]
"""A variable: the code of its function, and what it is called there."""

_LARGEST = 2**53
"""Integers beyond have no exact float."""

_TELLING = frozenset({"isinstance", "issubclass", "type", "hasattr", "getattr", "isscalar",
                      "vars", "locals", "eval", "exec", "singledispatch"})
"""Names by which code may tell a Python number from a recorded value."""


UNPROMOTED_RUNS = 64
"""Runs of an exploration before anything is promoted: few paths had better stay as they are, with
no questions about numbers that Python knows."""

MOST_PROMOTED_RUNS = 500
"""Runs after which promoted variables are no more, as they brought no end of it."""


class Restart(BaseException):
    """Other variables are promoted: the exploration begins anew."""


class Promotions:
    """The variables whose Python numbers are recorded values at each question.

    `made` tells the variables of the graph that stand for their numbers.
    """

    def __init__(self):
        self.names: set[Name] = set()
        self.differing: set[Name] = set()
        self.banned: set[Name] = set()
        self.made: dict[Var, Name] = {}
        self.met: dict[Any, dict[tuple[int, Name], Any]] = {}
        self._telling: dict[CodeType, bool] = {}

    def replace(self, frames: Iterable[FrameType], hold: Callable) -> None:
        """Let recorded values stand for the promoted numbers in frames that are running."""
        nodes: set[int] = set()
        for frame in frames:
            held = {}
            for name, value in self._numbers(frame):
                if (frame.f_code, name) in self.names:
                    held[name] = x = hold(value)
                    self.made[x._node] = frame.f_code, name
            held.update(self._again(frame, nodes))
            if held:
                _write(frame, held)

    def _again(self, frame: FrameType, nodes: set[int]) -> Iterator[tuple[str, Array]]:
        """Values of their own for promoted variables that hold one and the same: on other paths
        they may differ."""
        values = frame.f_locals
        for code, name in sorted(self.names, key=operator.itemgetter(1)):
            x = values.get(name) if code is frame.f_code else None
            if type(x) is Array and type_of(x).weak and not x.shape:
                if id(x._node) in nodes:
                    yield name, x * 1
                nodes.add(id(x._node))

    def compare(self, place: Any, frames: Iterable[FrameType], runs: int) -> None:
        """Note the numbers that differ from those of another run that came to this place. Raise
        `Restart` if that is reason to promote them, or after many `runs` to promote none."""
        if not _WRITABLE:
            return
        if self.names and runs > MOST_PROMOTED_RUNS:
            self.give_up(set())
            raise Restart
        numbers = {(k, (frame.f_code, name)): value for k, frame in enumerate(frames)
                   for name, value in self._numbers(frame)}
        before = self.met.setdefault(place, numbers)
        self.differing |= {key[1] for key, value in numbers.items()
                           if _differ(before.get(key), value)}
        new = self.differing - self.banned - self.names
        if new and (self.names or runs > UNPROMOTED_RUNS):
            self.names |= new
            raise Restart

    def give_up(self, names: set[Name]) -> bool:
        """Promote some variables no more, or all if none of them is; whether there were any."""
        given_up = names & self.names or self.names
        self.banned |= given_up
        self.names = self.names - given_up
        return bool(given_up)

    def forget(self) -> None:
        """What was met is of an exploration before."""
        self.made, self.met = {}, {}

    def _numbers(self, frame: FrameType) -> Iterator[tuple[str, Any]]:
        """The Python numbers in the variables of a function that is running."""
        code = frame.f_code
        if not code.co_flags & inspect.CO_OPTIMIZED or self._tells(frame):
            return
        values = frame.f_locals
        for name in code.co_varnames:
            value = values.get(name)
            if name not in code.co_cellvars and (
                    type(value) is float or type(value) is int and abs(value) < _LARGEST):
                yield name, value

    def _tells(self, frame: FrameType) -> bool:
        code = frame.f_code
        if code not in self._telling:
            self._telling[code] = _tells(code, frame.f_globals, frame.f_locals)
        return self._telling[code]


def _differ(a: Any, b: Any) -> bool:
    """Whether two numbers of one type differ."""
    return type(a) is type(b) and repr(a) != repr(b)


def _tells(code: CodeType, scope: dict, cells: Any) -> bool:
    """Whether code, or what it calls by name, looks at types."""
    waiting, seen = [(code, scope, cells)], {code}
    while waiting:
        code, scope, cells = waiting.pop()
        if not _TELLING.isdisjoint(code.co_names):
            return True
        inside = [(const, scope, {}) for const in code.co_consts if isinstance(const, CodeType)]
        values = [scope.get(name) for name in code.co_names]
        values += [cells.get(name) for name in (*code.co_freevars, *code.co_cellvars)]
        inside += [(f.__code__, f.__globals__, _cells(f)) for f in values
                   if type(f) is FunctionType and not is_package(f.__module__ or "")]
        waiting += [each for each in inside if each[0] not in seen]
        seen.update(each[0] for each in inside)
    return False


def _cells(f: FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


# --- variables of running functions ---------------------------------------------------------------

_WRITABLE = sys.implementation.name == "cpython"


def _write(frame: FrameType, values: dict[str, Any]) -> None:
    """Set variables of a function that is running. From Python 3.13 on ``f_locals`` writes
    through (PEP 667); before, a debugger's call makes it so."""
    frame.f_locals.update(values)
    if sys.version_info < (3, 13):
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
