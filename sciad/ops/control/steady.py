"""Functions that are recorded once and run many times: do they keep state of their own?

The body of a recorded loop runs once, in Python. State that it changes from one iteration to the
next besides what it carries (a counter, a list, an iterator, a generator of random numbers) would
be frozen as it was then, and the numbers would be wrong. So

    what the function reaches is compared before and after the recording: its closure, defaults and
    bound object, the globals it names, and what these hold;
    it is recorded twice, and must do the same: that finds state nobody can look into, such as the
    time or an extension module's. Only the outermost loop does so, for all loops inside it.

Functions of sciad's own keep no state, and are looked through.
"""

import array
import collections
import functools
import io
import itertools
import random
import sys
import threading
import types
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import RecordError, SciadError, at_line
from sciad.core.graph import Atom, Graph, Literal
from sciad.core.record import Recorded, recording

_OWN = "sciad"
_LIBRARIES = {"numpy", "scipy", "optree", "llvmlite", "matplotlib", *sys.stdlib_module_names}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice, range,
          np.dtype, np.generic)
_BUFFERS = (np.ndarray, bytearray, memoryview, array.array)
_MOST_ENTRIES = 1000
"""Of longer containers the entries count by identity; nobody looks into them."""
_MOST_OBJECTS = 10_000
"""How far the search goes, the nearest first; beyond, only the second recording may tell."""


class _Depth(threading.local):
    recording_twice = False


_depth = _Depth()


def record_steady(functions: dict[str, Callable],
                  record: Callable[[], list[Recorded]]) -> list[Recorded]:
    """``record()``, which records these functions; `RecordError` if they keep state.

    Parameters
    ----------
    functions : dict
        What the functions are called -> the functions, as the user gave them.
    record : callable
        Records them all. It is called again, to compare.
    """
    if not recording():  # what is computed eagerly runs in Python anyway
        return record()
    before = _State(functions)
    if not before.foreign:
        return record()
    twice, _depth.recording_twice = not _depth.recording_twice, True
    try:
        recorded = record()
        before.require_same()
        if twice and not _same(recorded, record()):
            raise RecordError(f"{_named(functions)} does something else when it runs again"
                              f"{at_line()}; {_CURE}")
    except SciadError:
        raise
    except Exception as error:  # it may come of the state: an iterator that ends
        before.require_same(error)
        raise
    finally:
        if twice:
            _depth.recording_twice = False
    return recorded


_CURE = ("a recorded loop or branch runs it in Python only once, so carry what changes in the "
         "state, or call without jit")


def _same(first: list[Recorded], second: list[Recorded]) -> bool:
    return all(a.structure == b.structure and _same_graph(a.graph, b.graph)
               for a, b in zip(first, second, strict=True))


def _same_graph(a: Graph, b: Graph) -> bool:
    """Whether two graphs state the same (as ``==``, which prints both, in less time)."""
    if ([x.type for x in a.inputs] != [x.type for x in b.inputs]
            or len(a.equations) != len(b.equations) or len(a.outputs) != len(b.outputs)):
        return False
    names: dict[Atom, Atom] = dict(zip(a.inputs, b.inputs, strict=True))
    for one, other in zip(a.equations, b.equations, strict=True):
        if (one.primitive is not other.primitive or len(one.outputs) != len(other.outputs)
                or not _same_atoms(one.inputs, other.inputs, names)
                or not _same_params(one.params, other.params)):
            return False
        names.update(zip(one.outputs, other.outputs, strict=True))
    return _same_atoms(a.outputs, b.outputs, names)


def _same_atoms(some, others, names) -> bool:
    return len(some) == len(others) and all(
        type(y) is Literal and x.type == y.type and x.digest() == y.digest()
        if type(x) is Literal else names[x] is y for x, y in zip(some, others, strict=True))


def _same_params(some: dict, others: dict) -> bool:
    return some.keys() == others.keys() and all(
        _same_graph(x, others[key]) if type(x) is Graph and type(others[key]) is Graph
        else x == others[key] for key, x in some.items())


def _named(functions: dict[str, Callable]) -> str:
    """The user's functions, with the lines at which they begin."""
    texts = []
    for what, function in functions.items():
        user = _State({what: function}).foreign or function
        user = getattr(user, "__func__", user)
        code = getattr(user, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        name = getattr(user, "__name__", type(user).__name__)
        texts.append(f"{what} {name}{place}")
    return " or ".join(texts)


class _State:
    """An account of the state that functions reach: pairs of a name and what is there.

    Objects count by identity and are kept, so that no other takes their place. `foreign` is the
    first function found that is not sciad's; without one there is no state to speak of.
    """

    def __init__(self, functions: dict[str, Callable]):
        self.account: list[tuple] = []
        self.functions = functions
        self.keep: list[Any] = []
        self.seen: dict[int, int] = {}
        self.foreign: Any = None
        self.buffers: list[tuple[int, Any]] = []
        waiting = collections.deque((what, f) for what, f in functions.items())
        while waiting and len(self.account) < _MOST_OBJECTS:
            waiting += self._visit(*waiting.popleft())
        if self.foreign:
            for place, x in self.buffers:
                self.account[place] += (_checksum(x),)

    def require_same(self, error=None):
        """Raise if the functions now reach something else."""
        after = _State(self.functions)
        changed = next((a[0] for a, b in itertools.zip_longest(
            self.account, after.account, fillvalue=("", None)) if a != b), None)
        if changed is None:
            return
        raise RecordError(f"{_named(self.functions)} changes state that it does not carry "
                          f"({changed}){at_line()}; {_CURE}") from error

    def _visit(self, name: str, x: Any) -> list[tuple[str, Any]]:
        """Note `x`; the parts of it that are to be visited."""
        if isinstance(x, _PLAIN):
            text = x if isinstance(x, (str, bytes, int)) else repr(x)
            self.account.append((name, (type(x), text)))
            return []
        if id(x) in self.seen:
            self.account.append((name, ("again", self.seen[id(x)])))
            return []
        self.seen[id(x)] = len(self.seen)
        self.keep.append(x)
        note, parts = self._parts(name, x)
        if isinstance(x, _BUFFERS):
            self.buffers.append((len(self.account), x))
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
            return id(x), self._of_function(name, x)
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
        return (id(x), type(x)), self._of_object(name, x)

    def _of_array(self, x):
        whole = x._alias[0].root if x._alias else x  # of a view
        inside = (whole._value, whole._interp, whole._node)
        self.keep += inside
        if type(whole._value) is np.ndarray:
            self.buffers.append((len(self.account), whole._value))
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
        parts = _contained(name, x)
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
    raise RecordError(f"the body of a loop reaches an iterator ({type(x).__name__}), of which "
                      f"nobody can tell how far it is{at_line()}; {_CURE}")


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
def _names(code: types.CodeType) -> tuple[str, ...]:
    """The names that code may read globals by, functions inside it included."""
    found = dict.fromkeys(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found.update(dict.fromkeys(_names(const)))
    return tuple(found)
