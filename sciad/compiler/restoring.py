"""Objects that recording runs on as they are are put back as they were.

What a function closes over is copied for a recording (`sciad.compiler.environment.rebuild`).
Classes, modules and what hangs on them cannot be: they are looked up by the program itself. What
a run writes there is undone, so that a dead value does not stay and nothing counts twice.
"""

from __future__ import annotations

import operator
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np


@contextmanager
def restored(shared: list) -> Iterator[None]:
    """Put back, at the end, what these objects hold now."""
    undo = [_undo(x) for x in shared]
    try:
        yield
    finally:
        for each in undo:
            each()


class Scope:
    """Some globals of a module."""

    __slots__ = ("content", "names")

    def __init__(self, content: dict, names: tuple[str, ...]):
        self.content, self.names = content, names


def _undo(x: Any) -> Callable[[], None]:
    """What puts the present content of an object back."""
    if isinstance(x, type):
        return _of_class(x)
    if isinstance(x, Scope):
        return _of_scope(x.content, x.names)
    if isinstance(x, np.ndarray):
        return _of_array(x)
    if isinstance(x, dict):
        return _of_dict(x)
    if isinstance(x, (list, deque, set)):
        return _of_container(x)
    if isinstance(x, (tuple, frozenset, partial, types.MethodType)):
        return _nothing
    return _of_object(x)


def _nothing() -> None:
    """What holds its parts for good has none to put back."""


def _of_class(cls: type) -> Callable[[], None]:
    before = dict(vars(cls))

    def undo():
        now = dict(vars(cls))
        for name in now.keys() - before.keys():
            type.__delattr__(cls, name)
        for name, value in before.items():
            if now.get(name, undo) is not value:
                type.__setattr__(cls, name, value)

    return undo


def _of_scope(content: dict, names: tuple[str, ...]) -> Callable[[], None]:
    """Names that came to be modules were imported meanwhile, and stay."""
    before = {name: content[name] for name in names if name in content}

    def undo():
        for name in names:
            if name not in before and not isinstance(content.get(name), types.ModuleType):
                content.pop(name, None)
        for name, value in before.items():
            if content.get(name, undo) is not value:
                content[name] = value

    return undo


def _of_array(x: np.ndarray) -> Callable[[], None]:
    if not x.flags.writeable or x.dtype.hasobject:
        return _nothing
    before = x.copy()

    def undo():
        if x.tobytes() != before.tobytes():
            x[...] = before

    return undo


def _of_dict(x: dict) -> Callable[[], None]:
    before = dict(x)

    def undo():
        if not _same(before, x) or not _same(before.values(), x.values()):
            kind = OrderedDict if isinstance(x, OrderedDict) else dict
            kind.clear(x)
            kind.update(x, before)

    return undo


def _of_container(x: Any) -> Callable[[], None]:
    before = list(x)

    def undo():
        if not _same(before, x):
            x.clear()
            (x.update if isinstance(x, set) else x.extend)(before)

    return undo


def _of_object(x: Any) -> Callable[[], None]:
    parts = [_of_dict(vars(x))] if isinstance(getattr(x, "__dict__", None), dict) else []
    slots = [(name, getattr(x, name)) for base in type(x).__mro__
             for name in _names(vars(base).get("__slots__", ())) if hasattr(x, name)]

    def undo():
        for part in parts:
            part()
        for name, value in slots:
            if getattr(x, name, undo) is not value:
                object.__setattr__(x, name, value)

    return undo


def _names(slots: Any) -> list[str]:
    return [name for name in ([slots] if isinstance(slots, str) else slots)
            if name not in ("__dict__", "__weakref__")]


def _same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(map(operator.is_, a, b))
