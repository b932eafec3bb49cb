"""The arguments of one call of a jitted function: which are traced, which count by value."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.compiler.environment import Environment, pure_run, rebuild
from sciad.core import tree
from sciad.core.array import Array, current, unwrap_plain
from sciad.core.backend import on_any_device
from sciad.core.errors import ArgumentError, RecordError
from sciad.core.graph import type_of
from sciad.core.numbers import adopt
from sciad.core.primitive import pack
from sciad.numpy.patching import patched

STATIC = (bool, str, bytes, type(None), np.bool_)
INTEGERS = (int, np.integer)


class Static:
    """An argument that counts by value, with the account of its content."""

    __slots__ = ("value", "account")

    def __init__(self, value):
        self.value = value
        self.account = Environment(value, fixed=True)


class Call:
    """The arguments of one call, sorted into leaves and values that count; what came of them.

    Attributes
    ----------
    signature : tuple
        The kinds of the leaves, and all else that the recording depends on.
    leaves : list
        Inputs of the graph: the environment's, then the arguments'.
    error : Exception or None
        What recording raised.
    """

    def __init__(self, environment: Environment, given: list, structure, static_ints: bool):
        self.environment = environment
        self.given = given
        self.structure = structure
        self.captured = len(environment.leaves)
        self.leaves = list(environment.leaves)
        self.refusal = environment.refusal
        self.keep = [environment.keep]
        self.fixed: dict[int, Any] = {}
        kinds: list[Any] = [_signature(x) for x in self.leaves]
        for k, x in enumerate(given):
            if isinstance(x, STATIC) or static_ints and isinstance(x, INTEGERS):
                self.fixed[k] = x
                kinds.append((type(x), x))
            elif type(x) is Static:
                self._fix(k, x.value, x.account, kinds)
            elif isinstance(x, np.ndarray) and type(x) not in (np.ndarray, np.memmap):
                self._fix(k, x, Environment(x, fixed=True), kinds)
            else:
                x = _leaf(x)
                self.leaves.append(x)
                kinds.append(_signature(x))
        self.signature = tuple(kinds), structure, environment.key, patched()
        self.traced = any(type(x) is Array for x in self.leaves)
        self.key: Any = None
        self.found: Any = None
        self.reason = ""
        self.error: Exception | None = None

    def _fix(self, k, value, account, kinds):
        self.fixed[k] = value
        kinds.append(account.key)
        self.keep.append(account.keep)
        self.refusal = self.refusal or account.refusal

    def run(self, f: Callable, xs: tuple) -> Any:
        """`f` on traced leaves, with its environment made of them; it must leave as they were
        its environment and the containers among its arguments."""
        captured = xs[:self.captured]
        function = rebuild(f, list(captured))
        unchanged = pure_run(function, self.environment.key, captured)
        rest = iter(xs[self.captured:])
        given = [self.fixed[k] if k in self.fixed else next(rest) for k in range(len(self.given))]
        args, kwargs = tree.unflatten(self.structure, given)
        before, structure = tree.flatten((args, kwargs))
        out = function(*args, **kwargs)
        if not unchanged():
            raise RecordError("the function is not pure: it changes what it reaches outside "
                              "itself (a list, an array, a counter)")
        after, new_structure = tree.flatten((args, kwargs))
        if new_structure != structure or not all(map(operator.is_, after, before)):
            raise RecordError("the function is not pure: it changes a container among its "
                              "arguments")
        return out


def _leaf(x: Any) -> Any:
    if type(x) is Array:
        live = unwrap_plain(x)
        return current(live) if type(live) is Array else live
    if isinstance(x, np.ndarray) and x.dtype.hasobject:
        x = pack(x)
    x = adopt(x)
    if isinstance(x, (Array, np.ndarray, np.generic, float, int, complex)) or on_any_device(x):
        return x
    if isinstance(x, (list, tuple)) or hasattr(x, "__array__"):
        return np.asarray(x)
    raise ArgumentError(f"jit: an argument is a {type(x).__name__}; pass numbers, arrays and "
                        "containers of them, or name it in static_argnames")


def _signature(x: Any) -> Any:
    kind = type(x)
    if kind is float or kind is int:
        return kind
    inner = type_of(x)
    if inner.weak:
        return {"f": float, "i": int, "c": complex}[inner.dtype.kind]
    return (inner.shape, inner.dtype.char if inner.dtype.kind in "biufc" else inner.dtype)
