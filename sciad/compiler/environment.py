"""What a function reaches besides its arguments: closure cells, defaults, bound self, globals.

Floats and arrays found there are inputs of the compiled function, read at each call, and so are
values that an outer transform follows; ints, bools and strings count by value; everything else by
identity. The account of it all is part of the cache key, so a fresh lambda of the same code and
structure finds the code compiled before.

`rebuild` makes the same function over traced values, without touching the user's objects.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sciad.core.array import Array

_BY_VALUE = (bool, int, str, bytes, type(None), type(Ellipsis), slice, range, np.dtype, complex)
_MOST_ENTRIES = 1000
_MOST_WALKED = 256
_CONTAINERS = (list, tuple, deque, dict)
_LIBRARIES = {"sciad", "numpy", "scipy", "optree", "llvmlite", "matplotlib",
              *sys.stdlib_module_names}

SEEN_THROUGH: dict[type, Callable[[Any], Callable]] = {}
"""Wrappers that stand for the function inside: type -> how to get at it."""


def is_leaf(x: Any) -> bool:
    """Whether `x` is a number or an array that compiled code takes as an input."""
    if isinstance(x, (float, Array)):
        return True
    if not isinstance(x, (np.ndarray, np.generic)):
        return False
    return x.dtype.kind in "fciub" or x.dtype.hasobject and holds_arrays(x)


def holds_arrays(x: np.ndarray) -> bool:
    """Whether NumPy made an object array of differentiated values."""
    return x.size > 0 and all(isinstance(entry, (Array, float, int, np.generic)) for entry in x.flat
                              ) and any(type(entry) is Array for entry in x.flat)


class Environment:
    """One walk over what a function reaches.

    Attributes
    ----------
    leaves : list
        The numbers and arrays found, in the order of the walk.
    key : tuple
        The account of everything else; equal keys mean that a recording may be used again.
    keep : list
        Objects whose identity is in the key (kept alive with it).
    refusal : str
        Why the function must not be recorded; empty if it may.
    """

    __slots__ = ("leaves", "keep", "key", "_account", "_seen", "_watched", "_contained", "_odd",
                 "refusal")

    def __init__(self, function: Callable):
        self.leaves: list[Any] = []
        self.keep: list[Any] = []
        self._account: list[Any] = []
        self._seen: dict[int, int] = {}
        self._watched: list[tuple[Any, Any, Any]] = []
        self._contained: list[tuple[Any, tuple, tuple]] = []
        self._odd = False
        self.refusal = ""
        self._visit(function)
        self._seen = {}
        self.key = tuple(self._account)

    def unchanged(self) -> bool:
        """Whether another walk would surely find the same objects (a cheap check)."""
        if self._odd:
            return False
        for holder, name, value in self._watched:
            if (_contents(holder) if name is None else holder.get(name)) is not value:
                return False
        for holder, names, values in self._contained:
            if len(holder) != len(values):
                return False
            now = holder.values() if names else holder
            if not all(map(operator.is_, now, values)) or names and tuple(holder) != names:
                return False
        return True

    def _visit(self, x):
        if is_leaf(x):
            self._account.append("leaf")
            self.leaves.append(x)
            return
        if isinstance(x, _BY_VALUE):
            self._account.append((type(x), repr(x) if isinstance(x, slice) else x))
            return
        place = self._seen.get(id(x))
        if place is not None:
            self._account.append(("again", place))
            return
        self._seen[id(x)] = len(self._seen)
        parts = _parts(x)
        if parts is None:
            self._account.append(("is", id(x)))
            self.keep.append(x)
            if isinstance(x, _CONTAINERS):
                self.refusal = (f"it reaches a {type(x).__name__} of {len(x)} entries, too large "
                                "to be watched; make it an array")
            return
        head, inside = parts
        self._watch(x)
        self._account.append(head)
        for part in inside:
            self._visit(part)
        self._account.append("end")

    def _watch(self, x):
        """Note where the walk would find something else if it were repeated."""
        if type(x) is types.FunctionType:
            names, values = _read_globals(x)
            self._watched += [(cell, None, _contents(cell)) for cell in x.__closure__ or ()]
            self._watched += [(x.__globals__, name, v)
                              for name, v in zip(names, values, strict=True)]
        elif type(x) is list:
            self._contained.append((x, (), tuple(x)))
        elif type(x) is dict:
            self._contained.append((x, tuple(x), tuple(x.values())))
        elif _is_record(x) and not _slots(type(x)):
            state = vars(x)
            self._contained.append((state, tuple(state), tuple(state.values())))
        elif not isinstance(x, (tuple, types.MethodType, partial)):
            self._odd = True  # a container that is cheapest to walk again


def _parts(x: Any) -> tuple[Any, list] | None:
    """What an object is by structure, and what it holds; None for one that counts by identity."""
    kind = type(x)
    if kind is types.FunctionType:
        if x.__closure__ is None and _of_library(x):
            return None
        names, values = _read_globals(x)
        cells = [_contents(cell) for cell in x.__closure__ or ()]
        return ("function", x.__code__, tuple(names)), [
            *cells, x.__defaults__, x.__kwdefaults__, *values]
    if kind is types.MethodType:
        return ("method",), [x.__func__, x.__self__]
    if kind is partial:
        return (kind,), [x.func, x.args, x.keywords]
    if kind in SEEN_THROUGH:
        return (kind,), [SEEN_THROUGH[kind](x)]
    if isinstance(x, (list, tuple, deque)):
        return ((kind, len(x)), [*x, *_extra(x)]) if len(x) <= _MOST_ENTRIES else None
    if isinstance(x, dict):
        if len(x) > _MOST_ENTRIES:
            return None
        return (kind, tuple(x)), [*x.values(), *_extra(x)]
    if isinstance(x, (set, frozenset)):
        return (kind, frozenset(x)), _extra(x)
    if _is_record(x):
        state = _state(x)
        return ("object", kind, tuple(state)), list(state.values())
    return None


def _extra(container) -> list:
    """The attributes of a container of a user's class, as one more thing that it holds."""
    state = getattr(container, "__dict__", None)
    return [state] if state else []


def _is_record(x) -> bool:
    """An instance of a user's class that is no more than its attributes."""
    kind = type(x)
    if kind is types.SimpleNamespace:
        return len(vars(x)) <= _MOST_ENTRIES
    if isinstance(x, (type, Array, types.ModuleType, list, tuple, deque, dict, set, frozenset)):
        return False
    return ((kind.__module__.partition(".")[0] not in _LIBRARIES or dataclasses.is_dataclass(x))
            and (isinstance(getattr(x, "__dict__", None), dict) or bool(_slots(kind)))
            and kind.__reduce_ex__ is object.__reduce_ex__ and len(_state(x)) <= _MOST_ENTRIES)


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _state(x) -> dict[str, Any]:
    """The attributes of an object, in ``__dict__`` and in slots."""
    state = dict(getattr(x, "__dict__", ()))
    state.update((name, getattr(x, name)) for name in _slots(type(x)) if hasattr(x, name))
    return state


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _of_library(f: types.FunctionType) -> bool:
    return f.__globals__.get("__name__", "").partition(".")[0] in _LIBRARIES


def _read_globals(f: types.FunctionType) -> tuple[list[str], list]:
    """The globals a user's function may read that are neither modules nor classes."""
    if _of_library(f):
        return [], []
    names, values = [], []
    for name in _names(f.__code__):
        if name in f.__globals__:
            value = f.__globals__[name]
            if not isinstance(value, (types.ModuleType, type, types.BuiltinFunctionType)):
                names.append(name)
                values.append(value)
    return names, values


_name_cache: dict[types.CodeType, tuple[str, ...]] = {}


def _names(code: types.CodeType) -> tuple[str, ...]:
    known = _name_cache.get(code)
    if known is None:
        found = dict.fromkeys(code.co_names)
        for const in code.co_consts:
            if isinstance(const, types.CodeType):
                found.update(dict.fromkeys(_names(const)))
        known = _name_cache[code] = tuple(found)
    return known


class Rebuilder:
    """Copies a function and what it reaches, with other leaves in the same places."""

    def __init__(self, leaves: list):
        self.leaves = iter(leaves)
        self.seen: dict[int, Any] = {}

    def build(self, x: Any) -> Any:
        if is_leaf(x):
            return next(self.leaves)
        if isinstance(x, _BY_VALUE):
            return x
        if id(x) in self.seen:
            return self.seen[id(x)]
        parts = _parts(x)
        if parts is None:
            return x
        return self._build(x, parts)

    def _build(self, x, parts):
        kind = type(x)
        if kind is types.FunctionType:
            return self._function(x)
        if kind is types.MethodType:
            function = self.build(x.__func__)
            return types.MethodType(function, self.build(x.__self__))
        if kind in SEEN_THROUGH:
            return self.build(SEEN_THROUGH[kind](x))
        if kind is partial:
            out = self.seen[id(x)] = partial(self.build(x.func), *self.build(x.args),
                                             **self.build(x.keywords))
            return out
        if isinstance(x, tuple):
            out = self.seen[id(x)] = tuple.__new__(kind, map(self.build, tuple(x)))
            self._attributes(out, x)
            return out
        out = self.seen[id(x)] = copy.copy(x)
        if isinstance(x, (list, deque)):
            out.clear()
            out.extend(map(self.build, x))
            self._attributes(out, x)
        elif isinstance(x, dict):
            out.update((k, self.build(v)) for k, v in x.items())
            self._attributes(out, x)
        elif isinstance(x, (set, frozenset)):
            self._attributes(out, x)
        else:
            for name, value in _state(x).items():
                object.__setattr__(out, name, self.build(value))
        return out

    def _attributes(self, out, x):
        for state in _extra(x):
            vars(out).update(self.build(state))

    def _function(self, f):
        names, values = _read_globals(f)
        scope = dict(f.__globals__) if names else f.__globals__
        cells = tuple(types.CellType() for _ in f.__closure__ or ())
        out = types.FunctionType(f.__code__, scope, f.__name__, None, cells or None)
        out.__qualname__, out.__dict__ = f.__qualname__, dict(f.__dict__)
        self.seen[id(f)] = out
        for cell, old in zip(cells, f.__closure__ or (), strict=True):
            empty = _contents(old) is None
            value = self.build(_contents(old))
            if not empty:
                cell.cell_contents = value
            else:
                cell.cell_contents = None
        out.__defaults__ = self.build(f.__defaults__)
        out.__kwdefaults__ = self.build(f.__kwdefaults__)
        for name, value in zip(names, values, strict=True):
            scope[name] = self.build(value)
        return out


_walked: OrderedDict[Callable, Environment] = OrderedDict()


def environment_of(function: Callable) -> Environment:
    """The environment of a function, walked again only if something it reaches may differ."""
    try:
        found = _walked.get(function)
    except TypeError:  # not hashable
        return Environment(function)
    if found is None or not found.unchanged():
        found = _walked[function] = Environment(function)
        if len(_walked) > _MOST_WALKED:
            _walked.popitem(last=False)
    return found


def rebuild(function: Callable, leaves: list) -> Callable:
    """`function` over other leaves (as many as `Environment(function).leaves`)."""
    return Rebuilder(leaves).build(function)


def pure_run(function: Callable, key: tuple, leaves: list) -> Callable[[], bool]:
    """A test, for after a run of a rebuilt function: has it left all that it reaches as it was?

    `key` is the account of the environment before, `leaves` are the Arrays that stand in it.
    """
    nodes = [x._node for x in leaves]

    def unchanged() -> bool:
        after = Environment(function)
        return (after.key == key and all(map(operator.is_, after.leaves, leaves))
                and all(x._node is node for x, node in zip(leaves, nodes, strict=True)))

    return unchanged
