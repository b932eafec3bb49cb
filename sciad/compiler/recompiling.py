"""A warning for functions that are compiled again and again, with what differs each time."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from sciad.compiler.arguments import Call
from sciad.compiler.environment import SEEN_THROUGH, Environment, captured_by
from sciad.core.errors import is_package

_TRACED = (float, np.ndarray, *np.sctypeDict.values())
"""Types of what is traced unless its value is asked for."""

MOST_SIGNATURES = 8
"""Signatures of one function that are compiled before a warning says what differs."""


class RecompilationWarning(UserWarning):
    """A function is compiled for ever new kinds of arguments; the message says what differs."""


class Histories:
    """What one jitted function was compiled for, and, by kinds of arguments, all that share its
    code: so that a lambda made anew each time, over a constant that changes, is noticed too."""

    def __init__(self, f: Callable):
        self.own = _Count()
        self.shared = _shared_by_code(f)

    def note(self, f: Callable, call: Call) -> str:
        """Count one more signature; the text of the warning, if it is time for one."""
        if hash(call.signature) in self.own.seen:  # recorded again, with more room for its loops
            return ""
        self.own.seen.add(hash(call.signature))
        now = _account(f, call)
        kinds = call.signature[0][call.captured:], call.structure
        shared = self.shared.setdefault(kinds, _Count())
        if len(self.shared) > _MOST_GROUPS:
            self.shared.pop(next(iter(self.shared)))
        text = self.own.note(now)
        if shared.last is None or _constants_changed(shared.last, now):
            text = text or shared.note(now)
        self.own.warned = shared.warned = self.own.warned or shared.warned
        return text


class _Count:
    """How many signatures there were, and the account of the last."""

    def __init__(self):
        self.count = 0
        self.warned = False
        self.seen: set[int] = set()
        self.last: dict[str, Any] | None = None

    def note(self, now: dict[str, Any]) -> str:
        self.count += 1
        last, self.last = self.last, now
        if self.warned or self.count <= MOST_SIGNATURES or last is None:
            return ""
        self.warned = True
        return (f"compiled for the {self.count}th kind of arguments: {differences(last, now)}."
                f"{_cure(last, now)}")


_by_code: weakref.WeakKeyDictionary[Any, dict[Any, _Count]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_MOST_GROUPS = 64


def _shared_by_code(f: Any) -> dict[Any, _Count]:
    while type(f) in SEEN_THROUGH:
        f = f.f
    f = getattr(f, "__func__", f)
    code = getattr(f, "__code__", None)
    if code is None or is_package(f.__globals__.get("__name__", "")):
        return {}
    with _lock:
        return _by_code.setdefault(code, {})


def _account(f: Callable, call: Call) -> dict[str, Any]:
    """What the signature of a call is made of, each under its name."""
    found: dict[str, Any] = {"the structure of the arguments": call.structure}
    names = names_of(f, call.structure)
    kinds = call.signature[0][call.captured:]
    found.update((f"argument {name}", kind) for name, kind in zip(names, kinds, strict=True))
    for name, value in captured_by(f):
        found[f"captured {name}"] = _captured(value, [call.leaves[k] for k in call.constants])
    return found


def _captured(value: Any, counted: list) -> tuple:
    """What of a captured value the signature depends on; leaves that are `counted` count."""
    inside = Environment(value)
    kinds = [(type(x), np.asarray(x).tolist()) if any(x is y for y in counted) else kind_of(x)
             for x in inside.leaves]
    if inside.key == ("leaf",) and any(value is y for y in counted):
        return (tuple(kinds), [])
    return (inside.key, kinds)


def names_of(f: Callable, structure: Any) -> list[str]:
    """The leaves of the arguments by the names that the function gives them: ``p['w'][0]``."""
    return [_spelled(f, path) for path in optree.treespec_paths(structure)]


def _spelled(f: Callable, path: tuple) -> str:
    where, first, *rest = path
    if where == 0:
        names = _positional(f)
        if first < len(names):
            head = names[first]
        else:
            head = f"number {first + 1}"
    else:
        head = str(first)
    return head + "".join(f".{k}" if isinstance(k, str) and k.isidentifier() else f"[{k!r}]"
                          for k in rest)


def _positional(f: Callable) -> list[str]:
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def kind_of(x: Any) -> Any:
    """What of a captured leaf the signature depends on."""
    return (np.shape(x), getattr(x, "dtype", type(x)))


def differences(last: dict[str, Any], now: dict[str, Any]) -> str:
    """What two accounts differ in, as a sentence."""
    parts = [f"{name} {_change(last.get(name), value)}" for name, value in now.items()
             if name not in last or not _same(last[name], value)]
    if len(parts) > 1:  # of a new structure the entries say more
        parts = [part for part in parts if not part.startswith("the structure")] or parts
    return "; ".join(parts[:3]) or "something that it reaches through a class or a module differs"


def _constants_changed(last: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two accounts differ in captured constants, and in nothing else."""
    changed = [name for name in now if not _same(last.get(name), now[name])]
    return bool(changed) and all(name.startswith("captured") and name in last
                                 and _constant(last[name]) and _constant(now[name])
                                 for name in changed)


def _constant(kind: Any) -> bool:
    """Whether a captured value is one that counts by value."""
    return (len(kind) == 2 and isinstance(kind[0], tuple) and len(kind[0]) == 1
            and _by_value(kind[0][0]))


def _same(a, b) -> bool:
    try:
        return bool(a == b)
    except (TypeError, ValueError):
        return False


def _change(old: Any, new: Any) -> str:
    if old is None:
        return "is new"
    if _by_value(old) and _by_value(new):
        return f"is {new[1]!r} now, and was {old[1]!r}"
    if isinstance(old, (tuple, type)) and isinstance(new, (tuple, type)) and _kind(old) and _kind(
            new):
        return f"is {_kind(new)} now, and was {_kind(old)}"
    return "differs"


def _by_value(kind: Any) -> bool:
    return isinstance(kind, tuple) and len(kind) == 2 and isinstance(kind[0], type)


def _kind(kind: Any) -> str:
    """The kind of a traced leaf in words."""
    if isinstance(kind, type):
        return f"a {kind.__name__}"
    if len(kind) == 2 and isinstance(kind[0], tuple) and all(isinstance(n, int) for n in kind[0]):
        return f"an array of shape {kind[0]} and dtype {np.dtype(kind[1])}"
    if len(kind) == 1 and _by_value(kind[0]):  # a static argument
        return repr(kind[0][1])
    if _constant(kind):
        return repr(kind[0][0][1])
    return ""


def _cure(last: dict[str, Any], now: dict[str, Any]) -> str:
    changed = [name for name, value in now.items() if not _same(last.get(name), value)]
    if any(_by_value(now[name]) for name in changed):
        return (" An int counts by value once the function asks for it (a range, a shape, an "
                "index), as do texts and truth values: pass a float or an array where a number is "
                "meant, or use sciad.fori_loop")
    if any(name.startswith("captured") and _constant(now[name])
           and now[name][0][0][0] in _TRACED for name in changed):
        return (" A captured number counts by value once its value is asked for (math.sqrt(x), "
                "round(x), a range); NumPy's functions (np.sqrt) take it as it is")
    if any(name.startswith("captured") for name in changed):
        return " A number that changes is better an argument, or a float or an array"
    return " Arrays of one shape, padded or in a fixed number of sizes, are compiled once"
