"""What can be told apart of untraced Python state: the key of a question, and of a cache entry."""

import sys
import types
from typing import Any

import numpy as np

from sciad.core.array import Array, current

_ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice, range, np.dtype)
_SMALL = 1000
_ITERATORS = (type(iter(range(0))), type(iter([])), type(iter(())), type(iter({})), enumerate, zip,
              reversed)
"""Iterators whose ``__reduce__`` tells what is left of them, and leaves them as they are."""


def _own_locals() -> Any:
    return sys._getframe().f_locals


_MAPPINGS = (dict, type(_own_locals()))
"""Since Python 3.13, the variables of a running function are no dict, but a view of the frame."""


def fingerprint(x: Any, seen: dict[int, tuple[int, Any]]) -> Any:
    """A hashable account of `x`: values of what is plain, types of what is traced.

    `seen` numbers the objects met, so that the account tells shared from equal objects, and
    cycles end; it keeps them, so that none takes the place in memory of one met before.
    """
    if isinstance(x, _ATOMS):
        return (type(x).__name__, repr(x) if isinstance(x, (float, complex, slice)) else x)
    place = seen.get(id(x))
    if place is not None:
        return ("again", place[0])
    seen[id(x)] = len(seen), x
    if type(x) is Array:
        live = current(x)
        return ("traced", live.shape, live.dtype.str)
    if isinstance(x, (np.ndarray, np.generic)):
        return _of_numpy(x, seen)
    if isinstance(x, (list, tuple)):
        return (type(x).__name__, tuple(fingerprint(entry, seen) for entry in x))
    if isinstance(x, _MAPPINGS):
        return ("dict", tuple((fingerprint(k, seen), fingerprint(v, seen)) for k, v in x.items()))
    return _of_object(x, seen)


def _of_numpy(x, seen):
    if x.dtype.hasobject:
        return ("objects", x.shape, tuple(fingerprint(entry, seen) for entry in x.flat))
    if x.size <= _SMALL:
        return ("numpy", x.shape, x.dtype.str, x.tobytes())
    return ("numpy", x.shape, x.dtype.str, id(x))


def _of_object(x, seen):
    if isinstance(x, types.FunctionType):
        cells = [_contents(cell) for cell in x.__closure__ or ()]
        return ("function", x.__code__, fingerprint([cells, x.__defaults__], seen))
    if isinstance(x, types.MethodType):
        return ("method", fingerprint([x.__func__, x.__self__], seen))
    if isinstance(x, _ITERATORS):
        return ("iterator", fingerprint(list(x.__reduce__()), seen))
    if isinstance(x, types.GeneratorType):
        frame = x.gi_frame
        return ("generator", x.gi_code, frame and frame.f_lasti,
                fingerprint(frame.f_locals, seen) if frame else None)
    if isinstance(x, (types.ModuleType, type, types.BuiltinFunctionType)):
        return ("id", id(x))
    state = getattr(x, "__dict__", None)
    if isinstance(state, dict):
        return ("object", id(type(x)), fingerprint(state, seen))
    return ("id", id(x))


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return None
