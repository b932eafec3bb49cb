"""What a function reaches besides its arguments: closure cells, defaults, bound self, globals.

Floats and arrays found there are inputs of the compiled function, read at each call, and so are
values that an outer transform follows; ints, bools and strings count by value. What hangs on
classes and modules cannot be replaced by traced values without touching the user's objects: there
floats and arrays count by value too. What cannot change (functions of libraries, their modules and
types, ufuncs) counts by identity; an object whose content cannot be seen (a generator, a file, a
random state) is refused. Of modules of the user's, those attributes count that any code met looks
up (`sciad.compiler.lookups`). The account of it all is part of the cache key, so a fresh lambda of
the same code and structure finds the code compiled before.

`rebuild` makes the same function over traced values, without touching the user's objects.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import hashlib
import importlib.util
import operator
import re
import sys
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np
import optree

from sciad.compiler.lookups import Lookups, lookups
from sciad.compiler.packages import is_installed, is_library
from sciad.compiler.purity import behind
from sciad.compiler.restoring import Scope
from sciad.compiler.watching import MISSING, Watch
from sciad.core.array import Array
from sciad.core.custom import CustomRule
from sciad.core.transformed import Transformed

_BY_VALUE = (bool, int, str, bytes, type(None), type(Ellipsis), slice, range, np.dtype, complex,
             optree.PyTreeSpec)
_SPELLED = (slice, complex, range)
_MOST_ENTRIES = 10_000
_MOST_WALKED = 256
_MOST_TRACED = 64
"""Numbers in longer containers count by value: a parameter each would be slow to compile."""
_CONTAINERS = (list, tuple, deque, dict)

_OF_EVERY_CLASS = ("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__slots__",
                   "__annotations__", "__abstractmethods__", "_abc_impl", "__firstlineno__",
                   "__static_attributes__", "__orig_bases__", "__parameters__", "__hash__",
                   "__match_args__", "__dataclass_fields__", "__dataclass_params__",
                   "__slotnames__")
_CONSTANT = (
    types.BuiltinFunctionType, types.ModuleType, np.ufunc, enum.Enum, re.Pattern, Fraction, Decimal,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType,
    types.GenericAlias, types.UnionType, types.CodeType, types.NotImplementedType,
    type(namedtuple("N", "a").a), type(np.sum), type(len), operator.itemgetter,
    operator.attrgetter, timedelta, datetime, date,
)
"""Types of objects that stay as they are."""

SEEN_THROUGH: dict[type, Callable[[Callable, Any], Any]] = {}
"""Wrappers that stand for the function inside, their `f`, run with their `options`: type -> how to
wrap another one."""


def is_leaf(x: Any) -> bool:
    """Whether `x` is a number or an array that compiled code takes as an input."""
    if type(x) is float or isinstance(x, Array):
        return True
    if type(x) is np.ndarray:
        return x.dtype.kind in "fciu" or x.dtype.hasobject and holds_arrays(x)
    return isinstance(x, np.generic) and x.dtype.kind in "fc"


def holds_arrays(x: np.ndarray) -> bool:
    """Whether NumPy made an object array of differentiated values."""
    return x.size > 0 and all(isinstance(entry, (Array, float, int, np.generic)) for entry in x.flat
                              ) and any(type(entry) is Array for entry in x.flat)


class Environment:
    """One walk over what a function (or a value) reaches; with `fixed`, all counts by value.

    Attributes
    ----------
    leaves : list
        The numbers and arrays found, in the order of the walk.
    by_value : frozenset of int
        Those of them that `jit` has found to count by value (`sciad.compiler.by_value`).
    key : tuple
        The account of everything else; equal keys mean that a recording may be used again.
    keep : list
        Objects whose identity is in the key (kept alive with it).
    refusal : str
        Why the function must not be recorded; empty if it may.
    shared : list
        What a rebuilt function still has in common with this one: classes, modules and what
        hangs on them.
    catches : bool
        Whether code met has a handler of exceptions.
    unchanged : callable
        Whether another walk would surely find the same objects (a cheap check).
    """

    __slots__ = ("leaves", "by_value", "keep", "key", "refusal", "shared", "catches", "unchanged",
                 "_account", "_seen", "_watch", "_arrays", "_fixed", "_behind", "_later",
                 "_attributes", "_dynamic", "_classes", "_modules", "_read", "_whole", "_named",
                 "_deep", "_awaited", "_depth")

    def __init__(self, function: Any, fixed: bool = False):
        self.leaves: list[Any] = []
        self.by_value: frozenset[int] = frozenset()
        self.keep: list[Any] = []
        self.shared: list[Any] = []
        self.refusal = ""
        self._account: list[Any] = []
        self._seen: dict[Any, int] = {}
        self._arrays: dict[int, int] = {}
        self._watch = Watch()
        self._fixed = self._behind = fixed
        self._dynamic = self.catches = False
        self._later: list[tuple[Callable, Any]] = []
        self._attributes: dict[str, None] = {}
        self._classes: set[type] = set()
        self._modules: list[types.ModuleType] = []
        self._read: set[tuple[int, str]] = set()
        self._whole: set[int] = set()
        self._awaited: list[str] = []
        self._named: dict[int, dict[str, None]] = {}
        self._deep: set[int] = set()
        self._depth = 0
        self._visit(function)
        self._walk_behind()
        self.key = tuple(self._account)
        self.unchanged = self._watch.seal(self.catches or self._dynamic)
        self._seen = {}

    def _walk_behind(self):
        """Classes and modules, and what they hold, until nothing new is found."""
        self._seen, self._fixed, self._behind = {}, True, True
        self._depth += 1
        while self._later or self._of_modules():
            while self._later:
                visit, holder = self._later.pop()
                visit(holder)
        self.shared += [Scope(vars(x), tuple(self._names_in(x))) for x in self._modules]

    def _visit(self, x):
        while type(x) in SEEN_THROUGH:
            if x.options.fastmath:
                self._account.append(x.options)
            x = x.f
        if isinstance(x, _BY_VALUE) and not isinstance(x, enum.Enum):
            self._account.append((type(x), repr(x) if isinstance(x, _SPELLED) else x))
            self._attributes_besides(x)
            return
        if not self._fixed and is_leaf(x):
            self._leaf(x)
            return
        if isinstance(x, (float, np.ndarray, np.generic, Array)):
            self._value(x)
            if isinstance(x, float):
                self._attributes_besides(x)
            return
        place = self._seen.get(id(x))
        if place is not None:
            self._account.append(("again", place))
            return
        self._seen[id(x)] = len(self._seen)
        parts = _parts(x)
        if parts is None:
            self._opaque(x)
            return
        head, inside = parts
        self._note(x)
        self._account.append(head)
        self._keys(x)
        fixed, self._fixed = self._fixed, self._fixed or _is_long(x)
        is_function = type(x) is types.FunctionType
        self._depth += is_function
        for part in inside:
            self._visit(part)
        self._depth -= is_function
        self._fixed = fixed
        self._account.append("end")
        if not is_library(type(x).__module__):
            self._later.append((self._class, type(x)))

    def _keys(self, x):
        """The keys of a dict, the members of a set; they count by value."""
        if isinstance(x, defaultdict):
            self._later.append((self._visit, x.default_factory))
        keys = _keys_of(x)
        if all(type(key) is str for key in keys):
            self._account.append(tuple(keys))
            return
        fixed, self._fixed = self._fixed, True
        for key in keys:
            self._visit(key)
        self._fixed = fixed
        self._account.append("keys")

    def _leaf(self, x):
        """An input; an array that is reached twice is one."""
        place = self._arrays.get(id(x))
        if place is not None:
            self._account.append(("leaf again", place))
            return
        if isinstance(x, (Array, np.ndarray)):
            self._arrays[id(x)] = len(self.leaves)
        self._account.append("leaf")
        self.leaves.append(x)

    def _value(self, x):
        """A number or an array that counts by value."""
        if isinstance(x, Array):
            self.refusal = "it reaches a differentiated value through a class or a module"
        elif isinstance(x, np.ndarray) and (type(x) is not np.ndarray or x.dtype.hasobject):
            self.refusal = f"it reaches a {type(x).__name__} of dtype {x.dtype}"
        elif isinstance(x, np.ndarray):
            self._watch.odd = True  # its content may change at any time
            if self._behind:
                self.shared.append(x)
            self._account.append((x.shape, x.dtype.str, hashlib.sha256(x.tobytes()).digest()))
        else:
            self._account.append((type(x), repr(x)))

    def _opaque(self, x):
        """Something that counts by identity, if its content cannot change or be seen."""
        self._account.append(("is", id(x)))
        self.keep.append(x)
        if isinstance(x, _CONTAINERS):
            self.refusal = (f"it reaches a {type(x).__name__} of {len(x)} entries, too large "
                            "to be watched; make it an array")
        elif isinstance(x, type):
            self._later.append((self._class, x))
        elif isinstance(x, types.ModuleType):
            self._later.append((self._module, x))
            if self._behind and not self._depth:
                self._whole.add(id(x))
        elif isinstance(x, types.BuiltinFunctionType):
            self._bound(x)
        elif isinstance(x, enum.Enum):
            self._later.append((self._member, x))
        elif not _is_constant(x):
            self.refusal = (f"it reaches a {type(x).__name__} ({type(x).__module__}), whose "
                            "content cannot be watched; pass what it holds as arguments")

    def _bound(self, x):
        """A function of C; one that is a method of an object may change it."""
        if not isinstance(x.__self__, (types.ModuleType, type, type(None), str, bytes)):
            self.refusal = (f"it reaches the method {x.__name__} of a "
                            f"{type(x.__self__).__name__}, whose content cannot be watched")

    def _class(self, cls: type):
        """The classes of the user's that an object has its methods and defaults from."""
        users = [base for base in cls.__mro__ if not is_library(base.__module__)]
        if not users:
            return
        self._account.append(("class", tuple(map(id, cls.__mro__))))
        for base in users:
            self._attributes_of(base)
        if not is_library(type(cls).__module__):
            self._class(type(cls))

    def _attributes_of(self, cls: type):
        """What a class defines counts by value."""
        if cls in self._classes:
            return
        self._classes.add(cls)
        self._watch.class_of(cls)
        self.shared.append(cls)
        self.keep.append(cls)
        names = [name for name in vars(cls) if name not in _OF_EVERY_CLASS]
        self._account.append((id(cls), tuple(names)))
        for name in names:
            self._member_value(vars(cls)[name])

    def _member_value(self, value):
        inside = [getattr(value, part) for part in ("fget", "fset", "__func__", "func")
                  if isinstance(value, (property, staticmethod, classmethod, cached_property))
                  and getattr(value, part, None) is not None]
        for part in inside or [value]:
            self._visit(part)

    def _attributes_besides(self, x):
        """A number or a text of a class of the user's may have attributes besides."""
        if hasattr(x, "__dict__"):
            self._later.append((self._member, x))

    def _member(self, x: Any):
        """The attributes of a value of a class of the user's."""
        if is_library(type(x).__module__):
            return
        self._class(type(x))
        self.shared.append(vars(x))
        self._watch.mapping(vars(x))
        for name, value in list(vars(x).items()):
            self._account.append(name)
            self._visit(value)

    def _module(self, x: types.ModuleType, deep: bool = False):
        """A module; of the user's, the attributes that code looks up are walked at the end.
        `deep` tells that an installed package holds it."""
        if deep and is_installed(x.__name__):
            self._deep.add(id(x))
        if not is_library(x.__name__) and not any(x is known for known in self._modules):
            self._modules.append(x)
            self._watch.size(vars(x))
            self.keep.append(x)

    def _of_modules(self) -> bool:
        """Attributes of modules under the names that any code met so far looks up; whether there
        were new ones."""
        fresh = [(x, name) for x in self._modules for name in self._names_in(x)
                 if (id(x), name) not in self._read]
        for x, name in fresh:
            self._read.add((id(x), name))
            known, value = self.refusal, vars(x).get(name, MISSING)
            if value is not MISSING or self.catches:
                self._watch.scope(vars(x), name)
            if value is not MISSING:
                self._account.append((id(x), name))
                self._attribute(x, value)
            if name not in self._attributes:  # no code names it: it may not be meant at all
                self.refusal = known
        return bool(fresh)

    def _attribute(self, x: types.ModuleType, value):
        """What a module holds. Inside an installed package plain values are looked at; the rest
        counts by identity."""
        if isinstance(value, types.ModuleType) and is_installed(x.__name__):
            self._account.append(("is", id(value)))
            self._module(value, True)
        elif id(x) not in self._deep or isinstance(value, _PLAIN):
            self._visit(value)
        else:
            self._account.append(("is", id(value)))
            self.keep.append(value)

    def _names_in(self, x: types.ModuleType) -> list[str]:
        names = {**self._attributes, **self._named.get(id(x), {}), "__getattr__": None}
        if is_installed(x.__name__):
            return list(names)
        if self._dynamic or id(x) in self._whole:
            names.update((name, None) for name in vars(x) if not name.startswith("__"))
        return list(names)

    def _note(self, x):
        """Note where the walk would find something else if it were repeated."""
        if self._behind:
            self.shared.append(x)
        if type(x) is types.FunctionType:
            self._function(x)
        elif type(x) is list:
            self._watch.sequence(x)
        elif type(x) is dict:
            self._watch.mapping(x)
        elif _is_record(x) and not _slots(type(x)):
            self._watch.object(x)
        elif not isinstance(x, (tuple, types.MethodType, partial, Transformed)):
            self._watch.odd = True  # a container that is cheapest to walk again

    def _function(self, f: types.FunctionType):
        """The names that a function looks up."""
        self._watch.function(f)
        if _function_state(f):
            self._watch.mapping(f.__dict__)
        if _of_library(f):
            return
        found = lookups(f.__code__)
        if is_installed(f.__globals__.get("__name__")):
            self._of_installed(f, found)
        else:
            self._attributes.update(dict.fromkeys(found.attributes))
            self._dynamic |= found.dynamic
            self._imports(f, found)
        self.catches |= found.catches
        if self._behind:
            self.shared.append(Scope(f.__globals__, found.scope))
        for name in found.scope:
            if self._watch.scope(f.__globals__, name) is MISSING:
                self._builtin(f, name)

    def _of_installed(self, f, found: Lookups):
        """The names in code of an installed package count for the modules that it reads itself."""
        for name in found.scope:
            x = f.__globals__.get(name)
            if isinstance(x, types.ModuleType):
                self._named.setdefault(id(x), {}).update(dict.fromkeys(found.attributes))

    def _builtin(self, f, name: str):
        """A name that is not among a function's globals."""
        value = behind(self._watch.scope(f.__builtins__, name))
        self._account.append((name, id(value)))
        self.keep.append(value)
        if any(value is each for each in _REACH_ANYTHING) and not is_installed(
                f.__globals__.get("__name__")):
            self.refusal = (f"{f.__name__} calls {name}, and what that reaches cannot be watched; "
                            "write the names themselves")
        elif value is not MISSING and not is_library(type(value).__module__):
            self._later.append((self._visit, value))

    def _imports(self, f, found: Lookups):
        """The modules of the user's that a function imports when it is called."""
        for name, level in found.imports:
            try:
                path = importlib.util.resolve_name(
                    "." * level + name, f.__globals__.get("__package__")).split(".")
            except ImportError:
                continue
            for end in range(1, len(path) + 1):
                self._imported(".".join(path[:end]))

    def _imported(self, name: str):
        if not is_library(name):
            module = self._watch.scope(sys.modules, name)
            if isinstance(module, types.ModuleType):
                self._account.append((name, id(module)))
                self._later.append((self._module, module))
            else:
                self._awaited.append(name)

    def imported_since(self) -> bool:
        """Whether a module that a function imports when it is called was not there, and is now."""
        return any(name in sys.modules for name in self._awaited)


_REACH_ANYTHING = (globals, eval, exec)
_PLAIN = (*_BY_VALUE, float, np.ndarray, np.generic, Array, *_CONTAINERS, set, frozenset)


def _parts(x: Any) -> tuple[Any, list] | None:
    """What an object is by structure, and what it holds; None for one that counts by identity."""
    kind = type(x)
    if kind is types.FunctionType:
        if x.__closure__ is None and _of_library(x):
            return None
        names, values = _read_globals(x)
        cells = [_contents(cell) for cell in x.__closure__ or ()]
        return ("function", x.__code__, tuple(names)), [
            *cells, x.__defaults__, x.__kwdefaults__, *values, *_function_state(x)]
    if kind is types.MethodType:
        return ("method",), [x.__func__, x.__self__]
    if kind is partial:
        return (kind,), [x.func, x.args, x.keywords]
    if kind is Transformed:
        return (kind, x.transform), [x.f, x.options]
    if isinstance(x, (list, tuple, deque)):
        return ((kind, len(x)), [*x, *_extra(x)]) if len(x) <= _MOST_ENTRIES else None
    if isinstance(x, dict):
        if len(x) > _MOST_ENTRIES:
            return None
        return (kind, len(x)), [*x.values(), *_extra(x)]
    if isinstance(x, (set, frozenset)):
        return ((kind, len(x)), _extra(x)) if len(x) <= _MOST_ENTRIES else None
    if _is_record(x):
        state = _state(x)
        return ("object", kind, tuple(state)), list(state.values())
    return None


def _keys_of(x) -> list:
    return list(x) if isinstance(x, (dict, set, frozenset)) else []


def _extra(container) -> list:
    """The attributes of a container of a user's class, as one more thing that it holds."""
    state = getattr(container, "__dict__", None)
    return [state] if state else []


def _function_state(f) -> list:
    """The attributes of a function, as one more thing that it holds."""
    return [f.__dict__] if f.__dict__.keys() - {"__wrapped__"} and not _of_library(f) else []


def _of_sciad(kind: type) -> bool:
    return str(kind.__module__).partition(".")[0] == "sciad"


def _is_constant(x) -> bool:
    """Whether an object that is not walked stays as it is."""
    return isinstance(x, _CONSTANT) or _of_sciad(type(x)) or isinstance(
        x, types.FunctionType)


def _is_record(x) -> bool:
    """An instance of a user's class that is no more than its attributes."""
    kind = type(x)
    if kind is types.SimpleNamespace:
        return len(vars(x)) <= _MOST_ENTRIES
    if isinstance(x, (type, Array, np.ndarray, enum.Enum, types.ModuleType, *_CONTAINERS, set,
                      frozenset)):
        return False
    return ((not is_library(kind.__module__) or dataclasses.is_dataclass(x)
             or kind is CustomRule)
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
    return is_library(f.__globals__.get("__name__", ""))


def _read_globals(f: types.FunctionType) -> tuple[list[str], list]:
    """The globals that a user's function may read."""
    if _of_library(f):
        return [], []
    names = [name for name in lookups(f.__code__).scope if name in f.__globals__]
    return names, [f.__globals__[name] for name in names]


def captured_by(f: Any) -> list[tuple[str, Any]]:
    """The variables that a function reaches besides its arguments, by name."""
    while type(f) in SEEN_THROUGH or type(f) is Transformed:
        f = f.f
    f = getattr(f, "__func__", f)
    if type(f) is not types.FunctionType:
        return []
    names, values = _read_globals(f)
    cells = zip(f.__code__.co_freevars, map(_contents, f.__closure__ or ()), strict=True)
    return [(name, x) for name, x in (*cells, *zip(names, values, strict=True))
            if not isinstance(x, types.ModuleType)]


def _is_long(x) -> bool:
    """Whether what `x` holds counts by value."""
    return isinstance(x, CustomRule) or isinstance(x, _CONTAINERS) and len(x) > _MOST_TRACED


def _with_keys(out, x, keys: list):
    """A copy of a dict or a set with other keys."""
    if isinstance(x, frozenset):
        return type(x)(keys)
    out.clear()
    out.update(dict(zip(keys, x.values(), strict=True)) if isinstance(x, dict) else keys)
    return out


class Rebuilder:
    """Copies a function and what it reaches, with other leaves in the same places."""

    def __init__(self, leaves: list):
        self.leaves = iter(leaves)
        self.seen: dict[int, Any] = {}
        self.arrays: dict[int, Any] = {}
        self.fixed = False

    def build(self, x: Any) -> Any:
        if type(x) in SEEN_THROUGH:
            return SEEN_THROUGH[type(x)](self.build(x.f), x.options)
        if is_leaf(x):
            return x if self.fixed else self._leaf(x)
        if isinstance(x, (*_BY_VALUE, float)):
            return x
        if id(x) in self.seen:
            return self.seen[id(x)]
        parts = _parts(x)
        if parts is None:
            return x
        fixed, self.fixed = self.fixed, self.fixed or _is_long(x)
        out = self._build(x, parts)
        self.fixed = fixed
        return out

    def _leaf(self, x):
        if not isinstance(x, (Array, np.ndarray)):
            return next(self.leaves)
        if id(x) not in self.arrays:
            self.arrays[id(x)] = next(self.leaves)
        return self.arrays[id(x)]

    def _build(self, x, parts):
        kind = type(x)
        if kind is types.FunctionType:
            return self._function(x)
        if kind is types.MethodType:
            function = self.build(x.__func__)
            return types.MethodType(function, self.build(x.__self__))
        if kind is partial:
            out = self.seen[id(x)] = partial(self.build(x.func), *self.build(x.args),
                                             **self.build(x.keywords))
            return out
        if kind is Transformed:
            out = self.seen[id(x)] = x.transform(self.build(x.f), *self.build(x.options))
            return out
        if isinstance(x, tuple):
            out = self.seen[id(x)] = tuple.__new__(kind, map(self.build, tuple(x)))
            self._attributes(out, x)
            return out
        if isinstance(x, (dict, set, frozenset)):
            return self._keyed(x)
        out = self.seen[id(x)] = copy.copy(x)
        if isinstance(x, (list, deque)):
            out.clear()
            out.extend(map(self.build, x))
            self._attributes(out, x)
        else:
            inside = getattr(out, "__dict__", {})
            for name, value in _state(x).items():
                if name in inside:  # a property of the class may hide it
                    inside[name] = self.build(value)
                else:
                    object.__setattr__(out, name, self.build(value))
        return out

    def _keyed(self, x):
        """A dict or a set. Its keys count by value, but are copied if they are objects."""
        out = self.seen[id(x)] = copy.copy(x)
        before, fixed = _keys_of(x), self.fixed
        if not all(type(key) is str for key in before):
            self.fixed = True
            keys = list(map(self.build, before))
            self.fixed = fixed
            if not all(map(operator.is_, keys, before)):
                out = self.seen[id(x)] = _with_keys(out, x, keys)
            before = keys
        if isinstance(x, dict):  # Counter's own update would add
            dict.update(out, zip(before, map(self.build, list(x.values())), strict=True))
        self._attributes(out, x)
        return out

    def _attributes(self, out, x):
        for state in _extra(x):
            vars(out).update(self.build(state))

    def _function(self, f):
        names, values = _read_globals(f)
        scope = dict(f.__globals__) if names else f.__globals__
        cells = tuple(types.CellType() for _ in f.__closure__ or ())
        out = types.FunctionType(f.__code__, scope, f.__name__, None, cells or None)
        out.__qualname__ = f.__qualname__
        out.__dict__.update(f.__dict__)
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
        for state in _function_state(f):
            out.__dict__.update(self.build(state))
        return out


_walked: OrderedDict[Callable, Environment] = OrderedDict()


def environment_of(function: Callable) -> Environment:
    """The environment of a function or a class, walked again only if something it reaches may
    differ."""
    if not isinstance(function, (types.FunctionType, types.MethodType, Transformed, type)):
        return Environment(function)  # equal objects may differ in what they reach
    found = _walked.get(function)
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

    `key` is the account of the environment before, `leaves` stand in it: Arrays, or constants that
    cannot be written into.
    """
    arrays = [x for x in leaves if type(x) is Array]
    nodes = [x._node for x in arrays]

    def unchanged() -> bool:
        after = Environment(function)
        return (after.key == key and all(map(operator.is_, after.leaves, leaves))
                and all(x._node is node for x, node in zip(arrays, nodes, strict=True)))

    return unchanged
