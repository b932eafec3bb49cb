"""A cheap test, made before each call: does a walk find what the last one found?

What was found is compared by identity, where it was found: cells, the names of scopes (also those
that were missing there), classes, attributes of objects, the entries of lists and dicts.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Mapping
from typing import Any

MISSING = object()


class Watch:
    """What a walk found, and where.

    Set `odd` where only another walk can tell.
    """

    __slots__ = ("odd", "_cells", "_scopes", "_functions", "_defaults", "_mappings", "_sequences",
                 "_classes", "_objects", "_sizes")

    def __init__(self):
        self.odd = False
        self._cells: list[tuple[Any, Any]] = []
        self._scopes: dict[int, tuple[Callable, dict[str, Any]]] = {}
        self._functions: list[tuple[Any, Any]] = []
        self._defaults: list[tuple[Any, Any, Any]] = []
        self._mappings: list[tuple[Mapping, tuple, tuple, bool]] = []
        self._sequences: list[tuple[list, tuple]] = []
        self._classes: list[tuple[type, tuple]] = []
        self._objects: list[tuple[Any, type, Any]] = []
        self._sizes: list[tuple[Mapping, int]] = []

    def function(self, f: types.FunctionType) -> None:
        """Its code, its cells and its defaults."""
        self._functions.append((f, f.__code__))
        if f.__defaults__ or f.__kwdefaults__:
            self._defaults.append((f, f.__defaults__, f.__kwdefaults__))
        for cell in f.__closure__ or ():
            try:
                self._cells.append((cell, cell.cell_contents))
            except ValueError:
                self.odd = True

    def scope(self, names: Mapping, name: str) -> Any:
        """What a name stands for, or `MISSING`."""
        value = names.get(name, MISSING)
        self._scopes.setdefault(id(names), (names.get, {}))[1][name] = value
        return value

    def mapping(self, holder: Mapping) -> None:
        """All keys and values, and their order."""
        keys = tuple(holder)
        texts = all(type(key) is str for key in keys)
        self._mappings.append((holder, keys, tuple(holder.values()), texts))

    def sequence(self, holder: list) -> None:
        """All entries."""
        self._sequences.append((holder, tuple(holder)))

    def class_of(self, cls: type) -> None:
        """What a class defines, and what it inherits from."""
        self._classes.append((cls, cls.__mro__))
        self.mapping(vars(cls))

    def object(self, x: Any) -> None:
        """The class of an object and its attributes."""
        self._objects.append((x, type(x), x.__dict__))
        self.mapping(x.__dict__)

    def size(self, holder: Mapping) -> None:
        """How many names there are: one more may be one that was missing."""
        self._sizes.append((holder, len(holder)))

    def seal(self, attributes_may_come: bool) -> Callable[[], bool]:
        """The test of what was noted: would another walk surely find the same objects?"""
        if self.odd:
            return _never
        if attributes_may_come:
            for f, _ in self._functions:
                self.mapping(f.__dict__)
        functions, cells, names = self._functions, self._cells, self._names()
        rest = self._rest if self._has_rest() else None

        def unchanged() -> bool:
            for f, code in functions:
                if f.__code__ is not code:
                    return False
            for get, name, value in names:
                if get(name, MISSING) is not value:
                    return False
            try:
                for cell, value in cells:
                    if cell.cell_contents is not value:
                        return False
            except ValueError:  # it is empty now
                return False
            return rest is None or rest()

        return unchanged

    def _names(self) -> list[tuple[Callable, str, Any]]:
        return [(get, name, value) for get, found in self._scopes.values()
                for name, value in found.items()]

    def _has_rest(self) -> bool:
        return any((self._defaults, self._classes, self._sizes, self._objects, self._mappings,
                    self._sequences))

    def _rest(self) -> bool:
        for f, defaults, keywords in self._defaults:
            if f.__defaults__ is not defaults or f.__kwdefaults__ is not keywords:
                return False
        for cls, mro in self._classes:
            if cls.__mro__ is not mro:
                return False
        for holder, size in self._sizes:
            if len(holder) != size:
                return False
        return self._objects_unchanged()

    def _objects_unchanged(self) -> bool:
        for x, kind, state in self._objects:
            if type(x) is not kind or x.__dict__ is not state:
                return False
        for holder, values in self._sequences:
            if len(holder) != len(values) or not all(map(operator.is_, holder, values)):
                return False
        for mapping, keys, values, texts in self._mappings:
            if (tuple(mapping) != keys if texts else len(mapping) != len(keys) or not all(
                    map(operator.is_, mapping, keys))):
                return False
            for x, known in zip(mapping.values(), values):  # noqa: B905
                if x is not known:
                    return False
        return True


def _never() -> bool:
    return False
