"""What the structure of containers does not tell: the order of dicts, the classes of the user's."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import optree

from sciad.compiler.environment import environment_of
from sciad.core import tree
from sciad.core.array import Array

_WITHOUT = frozenset({Array, float, int, complex, bool, str, bytes, type(None), np.ndarray,
                      np.float64, np.float32, np.int64})
_BUILTIN = frozenset({tuple, list, deque, dict, OrderedDict, defaultdict})


class Orders:
    """Of all containers among some arguments.

    Attributes
    ----------
    key : tuple
        The keys of all dicts, each with its type, in the order of iteration; the accounts of the
        classes.
    shared : list
        What hangs on the classes.
    """

    __slots__ = ("key", "shared", "keep")

    def __init__(self, container: Any):
        keys: list[tuple] = []
        classes: dict[type, None] = {}
        _collect(container, keys, classes)
        found = [environment_of(cls) for cls in classes]
        self.key = tuple(keys), tuple(each.key for each in found)
        self.shared = [x for each in found for x in each.shared]
        self.keep = [each.keep for each in found]


def _collect(x: Any, keys: list[tuple], classes: dict[type, None]) -> None:
    kind = type(x)
    if kind is tuple or kind is list:
        parts = x
    elif isinstance(x, dict):
        keys += [(type(key), key) for key in x]
        parts = x.values()
    else:
        parts = _parts(x)
        if parts and kind not in _BUILTIN:
            classes[kind] = None
    for part in parts:
        if type(part) not in _WITHOUT:
            _collect(part, keys, classes)


def _parts(x: Any) -> list:
    """The parts of a container of another kind; none of a leaf."""
    if optree.tree_structure(x, namespace=tree.NAMESPACE).is_leaf():
        return []
    return optree.tree_flatten_one_level(x, namespace=tree.NAMESPACE)[0]
