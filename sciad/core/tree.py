"""Containers: nested dicts, lists, tuples, namedtuples, dataclasses and registered classes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from sciad.core.array import Array

_NAMESPACE = "sciad"
_registered: set[type] = set()


_PLAIN = frozenset({Array, float, int, complex, bool, str, np.ndarray, np.float64})
_LEAF = optree.tree_flatten(0.0, namespace=_NAMESPACE)[1]


def flatten(tree: Any) -> tuple[list, Any]:
    """The leaves of a container, and its structure."""
    if type(tree) in _PLAIN:
        return [tree], _LEAF
    leaves, structure = optree.tree_flatten(tree, namespace=_NAMESPACE)
    fresh = [cls for cls in set(map(type, leaves)) - _PLAIN if dataclasses.is_dataclass(cls)]
    if not fresh:
        return leaves, structure
    for cls in fresh:
        _register_dataclass(cls)
    return flatten(tree)


def unflatten(structure: Any, leaves: list) -> Any:
    """The container of a structure, with these leaves."""
    return optree.tree_unflatten(structure, leaves)


def tree_map(function: Callable, tree: Any, *rest: Any) -> Any:
    """Apply a function to corresponding leaves of containers of one structure."""
    leaves, structure = flatten(tree)
    others = [flatten(other)[0] for other in rest]
    return unflatten(structure, list(map(function, leaves, *others)))


def register(cls: type, flatten: Callable, unflatten: Callable) -> type:
    """Let instances of a class be containers of differentiable values.

    Parameters
    ----------
    cls : type
    flatten : callable
        Instance -> sequence of its parts (containers or arrays).
    unflatten : callable
        Sequence of parts -> instance.

    Returns
    -------
    type
        `cls`, so that the call can stand in an expression.

    Examples
    --------
    >>> import sciad
    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> _ = sciad.register(Pair, lambda p: (p.a, p.b), lambda parts: Pair(*parts))
    >>> float(sciad.grad(lambda p: p.a * p.b)(Pair(2.0, 3.0)).a)
    3.0
    """
    optree.register_pytree_node(
        cls,
        lambda instance: (tuple(flatten(instance)), None, None),
        lambda _, parts: unflatten(parts),
        namespace=_NAMESPACE,
    )
    _registered.add(cls)
    return cls


def _register_dataclass(cls: type) -> None:
    if cls in _registered:
        return
    names = [field.name for field in dataclasses.fields(cls)]

    def build(parts):
        instance = object.__new__(cls)
        for name, part in zip(names, parts, strict=True):
            object.__setattr__(instance, name, part)
        return instance

    register(cls, lambda instance: [getattr(instance, name) for name in names], build)
