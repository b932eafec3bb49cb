"""The arguments of one call of a jitted function: which are traced, which count by value."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.compiler.by_value import constant, content, may_count
from sciad.compiler.environment import Environment, pure_run, rebuild
from sciad.compiler.orders import Orders
from sciad.compiler.restoring import restored
from sciad.core import tree
from sciad.core.array import Array, current, unwrap_plain
from sciad.core.backend import on_any_device
from sciad.core.errors import ArgumentError, RecordError
from sciad.core.graph import type_of
from sciad.core.numbers import adopt
from sciad.core.primitive import pack
from sciad.numpy.patching import patched
from sciad.ops.layout import forget_order, rows_first

STATIC = (bool, str, bytes, type(None), np.bool_)
INTEGERS = (int, np.integer)
OF_ANOTHER_ORDER = "not rows first in memory"


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
        Inputs of the graph: the environment's, then the arguments'. `own` holds the objects that
        the caller has in their places.
    error : Exception or None
        What recording raised.
    static_ints : bool
        Whether Python's integers count by value; another thread may learn so meanwhile.
    by_value : frozenset of int
        The captured leaves that count by value; `constants` tells what they are.
    long : bool
        Whether an argument is an integer of more than 64 bits.
    touched : set
        The leaves, arrays of the caller's, that the function has written into when it ran.
    writes : list
        Those whose new content `run` returns behind the result.
    """

    def __init__(self, environment: Environment, given: list, structure, static_ints: bool,
                 orders: Orders, by_value: frozenset[int] = frozenset()):
        self.environment = environment
        self.given = given
        self.structure, self.orders = structure, orders
        self.static_ints = static_ints
        self.captured = len(environment.leaves)
        self.leaves = list(environment.leaves)
        self.own = list(environment.leaves)
        self.refusal = environment.refusal
        self.keep = [environment.keep, orders.keep]
        self.shared = [*environment.shared, *orders.shared]
        self.fixed: dict[int, Any] = {}
        kinds: list[Any] = [_signature(x) for x in self.leaves]
        self.by_value = by_value
        self.constants: dict[int, tuple] = {}
        for k in by_value:
            self._count(k, kinds)
        for k, x in enumerate(given):
            if isinstance(x, STATIC) or static_ints and isinstance(x, INTEGERS) or _is_long(x):
                self.fixed[k] = x
                kinds.append((type(x), x))
            elif type(x) is Static:
                self._fix(k, x.value, x.account, kinds)
            elif isinstance(x, np.ndarray) and type(x) not in (np.ndarray, np.memmap):
                self._fix(k, x, Environment(x, fixed=True), kinds)
            else:
                self.own.append(x)
                x = _leaf(x)
                self.leaves.append(x)
                kinds.append(_signature(x))
        self.signature = tuple(kinds), structure, environment.key, patched(), orders.key
        self.traced = any(type(x) is Array for x in self.leaves)
        self.key: Any = None
        self.found: Any = None
        self.hit = False
        self.reason = ""
        self.error: Exception | None = None
        self.long = any(map(_is_long, given))
        self.touched: set[int] = set()
        self.writes: list[int] = []

    def _fix(self, k, value, account, kinds):
        self.fixed[k] = value
        kinds.append(account.key)
        self.keep.append(account.keep)
        self.shared += account.shared
        self.refusal = self.refusal or account.refusal

    def _count(self, k, kinds):
        """Let a captured leaf count by value."""
        x = self.leaves[k]
        if may_count(x):
            kinds[k] = self.constants[k] = content(x)
        else:
            kinds[k] = (kinds[k], "followed")
            self.refusal = self.refusal or (
                "the value of something that it captures is asked for, which is followed by an "
                "outer transform, or too large")

    def run(self, f: Callable, xs: tuple) -> Any:
        """`f` on traced leaves, with its environment made of them; it must leave as they were
        its environment and the containers among its arguments. Arrays may be written into."""
        with restored(self.shared):
            return self._run(f, xs)

    def _run(self, f, xs):
        for x, leaf in zip(xs, self.leaves, strict=True):
            if not rows_first(leaf):
                forget_order(x)
        nodes = [x._node for x in xs]
        captured = [constant(self.leaves[k]) if k in self.constants else x
                    for k, x in enumerate(xs[:self.captured])]
        function = rebuild(f, list(captured))
        unchanged = pure_run(function, self.environment.key, captured)
        rest = iter(xs[self.captured:])
        given = [self.fixed[k] if k in self.fixed else next(rest) for k in range(len(self.given))]
        args, kwargs = tree.unflatten(self.structure, given)
        before, structure = tree.flatten((args, kwargs))
        try:
            out = function(*args, **kwargs)
        except Exception as error:
            if type(error) is not RecordError:  # which says more, of this program's line
                _require(unchanged())
            raise
        _require(unchanged())
        after, new_structure = tree.flatten((args, kwargs))
        if new_structure != structure or not all(map(operator.is_, after, before)):
            raise RecordError("the function is not pure: it changes a container among its "
                              "arguments")
        self.touched.update(k for k in range(self.captured, len(xs))
                            if xs[k]._node is not nodes[k] and np.ndim(self.leaves[k]))
        return (out, [xs[k] for k in self.writes]) if self.writes else out

    def overlaps(self, writes: list[int]) -> bool:
        """Whether arrays that the function writes into share memory with other arguments."""
        arrays = [x for x in self.own if isinstance(x, np.ndarray)]
        written = [self.own[k] for k in writes if isinstance(self.own[k], np.ndarray)]
        return any(np.may_share_memory(x, y) for x in written for y in arrays if x is not y) or (
            len({id(x) for x in arrays}) < len(arrays))


def _require(unchanged: bool) -> None:
    if not unchanged:
        raise RecordError("the function is not pure: it changes what it reaches outside "
                          "itself (a list, an array, a counter)")


def _is_long(x: Any) -> bool:
    """Whether it is an integer of Python's of more than 64 bits."""
    return type(x) is int and not -2**63 <= x < 2**63


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
    kind = (inner.shape, inner.dtype.char if inner.dtype.kind in "biufc" else inner.dtype)
    return kind if rows_first(x) else (*kind, OF_ANOTHER_ORDER)


_NUMBERS = frozenset([np.float64, complex, np.complex128])


def quick_signature(x: Any) -> Any:
    """The kind of a plain argument; None for what needs a closer look."""
    kind = type(x)
    if kind is float:
        return kind
    if kind is np.ndarray:
        shape = x.shape
        if len(shape) > 1 and not x.flags.c_contiguous:
            return (shape, x.dtype.char, OF_ANOTHER_ORDER)
        return (shape, x.dtype.char)
    return kind if kind in _NUMBERS else None


def check_static(f: Callable, names: tuple[str, ...]) -> None:
    """Refuse names that the function does not have."""
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in names:
        if name not in parameters:
            raise ArgumentError(f"jit: static_argnames has {name!r}, which is no argument of "
                                f"{getattr(f, '__name__', f)}({', '.join(parameters)})")


def with_static(f: Callable, names: tuple[str, ...], args: tuple, kwargs: dict) -> tuple:
    """The arguments, those that count by value marked."""
    try:
        bound = inspect.signature(f).bind(*args, **kwargs)
    except ValueError as error:  # a function of C without a signature
        raise ArgumentError(f"jit: static_argnames needs a signature: {error}") from None
    for name in names:
        if name in bound.arguments and type(bound.arguments[name]) is not Static:
            bound.arguments[name] = Static(bound.arguments[name])
    return bound.args, bound.kwargs
