"""What functions reach besides their arguments, as an account that changes when any of it does.

The walk goes through closure cells, defaults, the globals that code names, bound objects and their
attributes, the user's classes and modules, containers, iterators and generators. Numbers and texts
count by value, arrays by a checksum, random generators by their state. What else there is counts
either by identity too (is this still the same program in the same place?) or by content alone (are
these two copies of one program?).
"""

import array
import collections
import functools
import hashlib
import io
import random
import sys
import types
import warnings
import zlib
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.graph import type_of

_OWN = "sciad"
_LIBRARIES = {"numpy", "scipy", "optree", "llvmlite", "matplotlib", *sys.stdlib_module_names}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice, range,
          np.dtype, np.generic)
_BUFFERS = (np.ndarray, bytearray, memoryview, array.array)
_MOST_ENTRIES = 1000
"""Of longer containers the entries count by identity; nobody looks into them."""
_MOST_OBJECTS = 10_000
"""How far the search goes, the nearest first."""


class Unreadable(Exception):
    """An iterator of C does not tell how far it is."""


class Reach:
    """An account of what functions and objects reach: pairs of a name and what is there.

    Parameters
    ----------
    roots : dict
        What they are called -> functions or objects.
    identity : bool
        Whether objects count by identity too, and followed values by what stands behind them.
        They are kept, so that no other takes their place. Otherwise a copy has the same account,
        and followed values count by type.

    Attributes
    ----------
    account : list
    followed : list of Array
        The followed values among what was found.
    foreign
        The first function found that is not sciad's; None if there is none.

    Raises
    ------
    Unreadable
        With `identity`, if an iterator is among what was found that does not tell its place.
    """

    def __init__(self, roots: dict[str, Any], identity: bool = True):
        self.identity = identity
        self.account: list[tuple] = []
        self.followed: list[Array] = []
        self.foreign: Any = None
        self._keep: list[Any] = []
        self._seen: dict[int, int] = {}
        self._buffers: list[tuple[int, Any]] = []
        waiting = collections.deque(roots.items())
        while waiting and len(self.account) < _MOST_OBJECTS:
            waiting += self._visit(*waiting.popleft())
        if self.foreign or not identity:
            for place, x in self._buffers:
                self.account[place] += (_checksum(x),)

    def change(self, later: "Reach") -> str | None:
        """The name of the first thing that another walk found changed, or None."""
        pairs = zip(self.account, later.account, strict=False)
        for a, b in pairs:
            if a != b:
                return a[0]
        shorter = min(len(self.account), len(later.account))
        longer = max(self.account, later.account, key=len)
        return longer[shorter][0] if len(longer) > shorter else None

    def digest(self) -> str:
        """A short text that stands for the account."""
        return hashlib.sha256(repr(self.account).encode()).hexdigest()[:24]

    def _visit(self, name: str, x: Any) -> list[tuple[str, Any]]:
        """Note `x`; the parts of it that are to be visited."""
        if isinstance(x, _PLAIN):
            text = x if isinstance(x, (str, bytes, int)) else repr(x)
            self.account.append((name, (type(x), text)))
            return []
        if id(x) in self._seen:
            self.account.append((name, ("again", self._seen[id(x)])))
            return []
        self._seen[id(x)] = len(self._seen)
        self._keep.append(x)
        note, parts = self._parts(name, x)
        if isinstance(x, _BUFFERS):
            self._buffers.append((len(self.account), x))
        self.account.append((name, note))
        return parts

    def _parts(self, name, x) -> tuple[Any, list[tuple[str, Any]]]:
        """What `x` is by itself, and what it holds."""
        if type(x) is Array:
            return self._of_array(x), []
        if isinstance(x, np.ndarray):
            if x.dtype.hasobject:
                return (x.shape, "objects"), [(name, entry) for entry in x.flat]
            return (x.shape, x.dtype.str), []
        if isinstance(x, types.FunctionType):
            return id(x) if self.identity else _text(x.__code__), self._of_function(name, x)
        if isinstance(x, (types.MethodType, functools.partial)):
            if isinstance(x, functools.partial):
                return type(x), [(name, part) for part in (x.func, x.args, x.keywords)]
            return type(x), [(name, x.__func__), (type(x.__self__).__name__, x.__self__)]
        if isinstance(x, (types.BuiltinFunctionType, types.MethodWrapperType)):
            holder = x.__self__
            if holder is None or isinstance(holder, types.ModuleType):
                return id(x), []
            self.foreign = self.foreign or x
            return x.__name__, [(name, holder)]
        if isinstance(x, type):
            return id(x), self._of_class(name, x)
        if isinstance(x, types.ModuleType):
            return id(x), []
        parts = self._of_object(name, x)
        return (type(x) if parts and not self.identity else (id(x), type(x))), parts

    def _of_array(self, x):
        self.followed.append(x)
        if not self.identity:
            kind = type_of(x)
            return kind.shape, kind.dtype.str
        whole = x._alias[0].root if x._alias else x  # of a view
        inside = (whole._value, whole._interp, whole._node)
        self._keep += inside
        if type(whole._value) is np.ndarray:
            self._buffers.append((len(self.account), whole._value))
        return tuple(map(id, inside))

    def _of_function(self, name, f):
        cells = [(free, _contents(cell)) for free, cell in
                 zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)]
        package = f.__module__.partition(".")[0] if f.__module__ else ""
        if package == _OWN:
            return [(name, x) for _, x in cells]
        self.foreign = self.foreign or f
        parts = [*cells, *((name, x) for x in (f.__defaults__, f.__kwdefaults__) if x)]
        if package in _LIBRARIES and f.__module__ != "__main__":
            return parts
        if f.__dict__:
            parts.append((f"attribute of {f.__name__}", f.__dict__))
        names = _names(f.__code__)
        for known in names:
            if known in f.__globals__:
                x = f.__globals__[known]
                parts.append((known, x))
                if isinstance(x, types.ModuleType) and not _of_library(x.__name__):
                    parts += [(f"{known}.{n}", vars(x)[n]) for n in names if n in vars(x)]
        return parts

    def _of_class(self, name, cls):
        if _of_library(cls.__module__):
            return []
        return [(f"{cls.__name__}.{key}", x) for base in cls.__mro__
                if not _of_library(base.__module__) for key, x in vars(base).items()
                if not (key.startswith("__") and key != "__call__") and key != "_abc_impl"]

    def _of_object(self, name, x):
        try:
            parts = _contained(name, x)
        except Unreadable:
            if self.identity:
                raise
            return []
        if parts is None and type(x).__module__.partition(".")[0] == _OWN:
            return [(name, part) for part in _attributes(x).values() if callable(part)]
        parts = parts or []
        if not _of_library(type(x).__module__):
            parts.append(("", type(x)))
        elif isinstance(x, (property, staticmethod, classmethod, functools.cached_property)):
            inside = [getattr(x, part, None) for part in ("fget", "fset", "__func__", "func")]
            return [(name, part) for part in inside if part is not None]
        state = _attributes(x)
        return [*parts, (name, " ".join(state)),
                *((f"{name}.{key}", part) for key, part in state.items())]


def _contained(name, x) -> list[tuple[str, Any]] | None:
    """What a container, an iterator or a generator holds; None of anything else."""
    if isinstance(x, (list, tuple, collections.deque, set, frozenset, dict)):
        entries = list(x)
        if isinstance(x, dict):
            entries += list(x.values())
        if len(entries) > _MOST_ENTRIES:
            return [(name, repr(list(map(id, entries))))]
        return [(name, len(entries)), *((name, entry) for entry in entries)]
    if isinstance(x, types.GeneratorType):
        frame = x.gi_frame
        return [(name, frame and frame.f_lasti), (name, dict(frame.f_locals) if frame else None)]
    if isinstance(x, np.random.Generator):
        return [(name, repr(x.bit_generator.state))]
    if isinstance(x, np.random.RandomState):
        return [(name, repr(x.get_state(legacy=False)))]
    if isinstance(x, random.Random):
        return [(name, repr(x.getstate()))]
    if (hasattr(x, "__next__") and _of_library(type(x).__module__)
            and not isinstance(x, (io.IOBase, type))):
        return [(name, _rest_of_iterator(x))]
    return None


def _rest_of_iterator(x) -> Any:
    """What an iterator of C is at, without moving it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return x.__reduce__()
        except (TypeError, RuntimeError):
            pass
    raise Unreadable(type(x).__name__)


def _attributes(x) -> dict[str, Any]:
    """The attributes that an object has, in ``__dict__`` and in slots."""
    state = getattr(x, "__dict__", None)
    found = dict(state) if isinstance(state, dict) else {}
    for base in type(x).__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if not slot.startswith("__") and hasattr(x, slot):
                found[slot] = getattr(x, slot)
    return found


def _checksum(x: Any) -> int:
    if not isinstance(x, np.ndarray):
        return zlib.crc32(x)
    if x.dtype.hasobject:
        return 0
    return zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _of_library(module: str | None) -> bool:
    package = (module or "").partition(".")[0]
    return (package == _OWN or package in _LIBRARIES) and module != "__main__"


@functools.lru_cache(maxsize=4096)
def _text(code: types.CodeType) -> str:
    """What code does, by content: an address may be another code's later."""
    constants = [_text(x) if isinstance(x, types.CodeType) else repr(x) for x in code.co_consts]
    content = code.co_code, constants, code.co_names, code.co_filename, code.co_firstlineno
    return hashlib.sha256(repr(content).encode()).hexdigest()[:24]


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """The names that code may read globals by, functions inside it included."""
    found = dict.fromkeys(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found.update(dict.fromkeys(_names(const)))
    return tuple(found)
