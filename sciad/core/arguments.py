"""Arguments and results of the transforms, checked: what can be differentiated, and what fits."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array
from sciad.core.backend import beside, is_array, on_any_device
from sciad.core.errors import ArgumentError, DTypeError, at_line
from sciad.core.graph import type_of
from sciad.core.numbers import adopt
from sciad.core.primitive import pack

_NUMBERS = "fc"


def packed(x):
    return adopt(pack(x) if isinstance(x, np.ndarray) and x.dtype.hasobject else x)


def is_number(x: Any) -> bool:
    """Whether a leaf can carry a derivative."""
    return isinstance(x, (Array, float, complex)) or (
        (isinstance(x, np.generic) or is_array(x)) and x.dtype.kind in _NUMBERS)


def differentiable(x: Any, where: str) -> Any:
    """An argument as an array that can be differentiated."""
    x = packed(x)
    if type(x) is Array:
        kind = x.dtype.kind
    elif isinstance(x, (bool, str, bytes)):
        kind = "b"
    elif isinstance(x, (float, int)):
        return np.float64(x)
    elif isinstance(x, complex):
        return np.complex128(x)
    elif isinstance(x, (np.ndarray, np.generic)) or on_any_device(x):
        kind = x.dtype.kind
    else:
        kind = "O"
    if kind not in _NUMBERS:
        what = f"dtype {x.dtype}" if hasattr(x, "dtype") else f"type {type(x).__name__}"
        raise DTypeError(f"{where}: cannot differentiate with respect to a value of {what}"
                         f"{at_line()}; {_cure(x, kind)}")
    return x


_STATIC = 'declare it dataclasses.field(metadata={"static": True}) if it is a field of a dataclass'


def _cure(x, kind) -> str:
    """What to do about an argument that is no float."""
    if kind in "biu" and not isinstance(x, (str, bytes)):
        return f"pass floats, for example x.astype(float), or {_STATIC}"
    name = type(x).__name__
    if kind == "O" and type(x).__module__ != "builtins" and not isinstance(x, np.ndarray):
        return (f"to differentiate by what it holds, sciad.register({name}, flatten, unflatten) "
                f"makes {name} a container; else choose other arguments by argnums")
    return f"choose other arguments by argnums, keep it out of the container, or {_STATIC}"


def fitting(seed: Any, x: Any, what: str) -> Any:
    """A tangent or cotangent, checked against the value it belongs to."""
    seed = packed(seed)
    if not isinstance(seed, (Array, np.ndarray, np.generic)) and not on_any_device(seed):
        seed = np.asarray(seed)[()]
    if seed.shape != x.shape:
        raise ArgumentError(f"a {what} of shape {seed.shape} does not fit a value of shape "
                            f"{x.shape}{at_line()}")
    if seed.dtype.kind == "c" and x.dtype.kind != "c":
        raise DTypeError(f"a complex {what} does not fit a value of dtype {x.dtype}{at_line()}")
    return beside(seed.astype(x.dtype) if seed.dtype != x.dtype else seed, x)


def positions(argnums: Any) -> int | tuple[int, ...]:
    """`argnums` as an int, or as a tuple of them."""
    try:
        return operator.index(argnums)
    except TypeError:
        pass
    try:
        return tuple(map(operator.index, argnums))
    except TypeError:
        raise ArgumentError(f"argnums={argnums!r}: must be an int or a tuple of ints, "
                            f"positions of arguments from 0{at_line()}") from None


def places_of(argnums: int | tuple[int, ...], count: int, f) -> list[int]:
    """The places in a list of `count` arguments that `positions` name."""
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    for k in places:
        if not -count <= k < count:
            name = getattr(f, "__name__", "the function")
            raise ArgumentError(f"argnums={argnums!r}: {name} got {count} positional "
                                f"argument{'s' if count != 1 else ''}{at_line()}")
    places = [k % count for k in places]
    if len(set(places)) != len(places):
        raise ArgumentError(f"argnums={argnums!r} names an argument twice{at_line()}")
    return places


def pair(result):
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError("has_aux=True: the function must return a pair (out, aux), got a "
                            f"{type(result).__name__}{at_line()}")
    return result


def require_scalar(out, f):
    name, out = getattr(f, "__name__", "the function"), packed(out)
    if not isinstance(out, (Array, np.generic, float, int)) and not is_array(out):
        raise ArgumentError(f"grad: {name} must return a real scalar, got a "
                            f"{type(out).__name__}{at_line()}")
    kind = type_of(out)
    if kind.shape != ():
        raise ArgumentError(f"grad: {name} must return a scalar, got shape {kind.shape}; sum it, "
                            f"or use sciad.jacobian{at_line()}")
    if kind.dtype.kind == "c":
        raise DTypeError(f"grad: {name} returned a complex number; take np.real or np.abs of it, "
                         f"or use sciad.vjp{at_line()}")


def one_array(out, where):
    out = packed(out)
    if isinstance(out, (list, tuple)):
        out = packed(np.array(out))
    if not isinstance(out, (Array, np.generic, float, int)) and not is_array(out):
        raise ArgumentError(f"{where}: the function must return one array, got a "
                            f"{type(out).__name__}{at_line()}")
    return out


def require_tuples(name: str, primals: Sequence, tangents: Sequence) -> None:
    """Raise unless `primals` and `tangents` are tuples, one entry an argument."""
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise DTypeError(f"{name} takes a tuple of primals and a tuple of tangents{at_line()}: "
                         f"{name}(f, (x,), (dx,))")


def fitted_leaves(structure, parts, name, what):
    """The leaves of `parts` at the places of a structure."""
    try:
        return tree.leaves_up_to(structure, parts)
    except ValueError as error:
        raise ArgumentError(f"{name}: a {what} does not fit the containers {structure}"
                            f"{at_line()}: {error}") from None
