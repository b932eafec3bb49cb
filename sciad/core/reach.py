"""What a function reaches besides its arguments, as an account that changes when any of it does.

The walk goes through closure cells, defaults, globals that the code names, bound objects and
their attributes, and containers; objects of sciad tell what they are made of by `reached`.
Numbers and texts count by value, arrays by a checksum, random generators by their state, and what
else there is by identity. Followed values count by type: who needs them sees them as operands.
"""

import hashlib
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import is_package
from sciad.core.graph import type_of
from sciad.core.reverse import fingerprint

_VALUES = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice, range,
           np.dtype, np.generic)
_CONTAINERS = (list, tuple, set, frozenset, dict, deque)
_MOST = 5000
"""Objects to look at; what lies beyond counts by identity."""


def account(*roots: Any) -> tuple:
    """The account of all that `roots` reach."""
    return tuple(head for _, head in _walk(roots))


def digest(*parts: Any) -> str:
    """A short text that tells accounts apart."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def followed(*roots: Any) -> list[Array]:
    """The followed values among all that `roots` reach."""
    return [x for x, _ in _walk(roots) if type(x) is Array]


def _walk(roots) -> Iterator[tuple[Any, Any]]:
    """Each thing that `roots` reach once, and what it counts as."""
    seen: dict[int, int] = {}
    queue = deque(roots)
    while queue:
        x = queue.popleft()
        if isinstance(x, _VALUES):
            yield None, (type(x), repr(x))
        elif id(x) in seen:
            yield None, seen[id(x)]
        else:
            seen[id(x)] = len(seen)
            head, inside = _parts(x) if len(seen) < _MOST else (id(x), [])
            yield x, head
            queue.extend(inside)


def _parts(x: Any) -> tuple[Any, list]:
    """What an object is, and what it holds."""
    if type(x) is Array:
        kind = type_of(x)
        return ("followed", kind.shape, kind.dtype.str), []
    if isinstance(x, np.ndarray):
        if x.dtype.hasobject:
            return ("objects", x.shape), x.ravel().tolist()
        return ("array", x.shape, x.dtype.str, fingerprint(x)), []
    if isinstance(x, types.FunctionType):
        return ("function", x.__code__), _behind(x)
    if isinstance(x, types.MethodType):
        return "method", [x.__func__, x.__self__]
    if isinstance(x, np.random.Generator):
        return ("generator", repr(x.bit_generator.state)), []
    if isinstance(x, dict):
        return ("dict", tuple(map(_name, x))), list(x.values())
    if isinstance(x, _CONTAINERS):
        return (type(x), len(x)), list(x)
    if hasattr(type(x), "reached"):
        return type(x), x.reached()
    state = getattr(x, "__dict__", None)
    if isinstance(state, dict) and not isinstance(x, (type, types.ModuleType)) and not is_package(
            type(x).__module__):
        return ("object", type(x), tuple(state)), list(state.values())
    return id(x), []


def _name(key):
    return repr(key) if isinstance(key, _VALUES) else id(key)


def _behind(f: types.FunctionType) -> list:
    """The cells and defaults of a function, and the globals that a user's function names."""
    inside = [_contents(cell) for cell in f.__closure__ or ()]
    inside += [f.__defaults__, f.__kwdefaults__]
    if is_package(f.__globals__.get("__name__", "")):
        return inside
    return inside + [f.__globals__[name] for name in _names(f.__code__) if name in f.__globals__]


def _names(code: types.CodeType) -> tuple[str, ...]:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return tuple(dict.fromkeys([*code.co_names, *(n for c in inner for n in _names(c))]))


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
