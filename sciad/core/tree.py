"""Containers: nested dicts, lists, tuples, namedtuples, dataclasses and registered classes."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import optree

from sciad.core.array import Array
from sciad.core.errors import ArgumentError

NAMESPACE = "sciad"
_registered: set[type] = set()


_PLAIN = frozenset({Array, float, int, complex, bool, str, np.ndarray, np.float64})
_LEAF: Any = optree.tree_flatten(cast(Any, 0.0), namespace=NAMESPACE)[1]


class Fixed:
    """A leaf that belongs to the structure: it counts by value."""

    __slots__ = ("value", "content")

    def __init__(self, value):
        self.value = value
        self.content = ((value.dtype.str, value.shape, value.tobytes())
                        if isinstance(value, np.ndarray) else value)

    def __eq__(self, other):
        return type(self.value) is type(other.value) and self.content == other.content

    def __hash__(self):
        try:
            return hash(self.content)
        except TypeError:
            return hash(type(self.value))


_register: Any = optree.register_pytree_node
_register(Fixed, lambda x: ((), x, None), lambda x, _: x.value, namespace=NAMESPACE)


def flatten(tree: Any, fixed: Callable | None = None) -> tuple[list, Any]:
    """The leaves of a container, and its structure; leaves that are `fixed` belong to it."""
    if fixed is not None:
        leaves, structure = flatten(tree)
        if any(map(fixed, leaves)):
            leaves = [Fixed(x) if fixed(x) else x for x in leaves]
            return flatten(unflatten(structure, leaves))
        return leaves, structure
    if type(tree) in _PLAIN:
        return [tree], _LEAF
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    fresh = [cls for cls in set(map(type, leaves)) - _PLAIN if dataclasses.is_dataclass(cls)]
    if not fresh:
        return leaves, structure
    for cls in fresh:
        _register_dataclass(cls)
    return flatten(tree)


def unflatten(structure: Any, leaves: list) -> Any:
    """The container of a structure, with these leaves."""
    return optree.tree_unflatten(structure, leaves)


def leaves_up_to(structure: Any, tree: Any) -> list:
    """The parts of `tree` at the leaves of a structure; None for a child stands for None at all
    its leaves. ValueError where it has another structure."""
    parts: list[Any] = []
    children = structure.children()
    if not children:
        return [tree] * structure.num_leaves if tree is None else structure.flatten_up_to(tree)
    one_level = structure.one_level()
    for child, part in zip(children, one_level.flatten_up_to(tree), strict=True):
        parts += [None] * child.num_leaves if part is None else leaves_up_to(child, part)
    return parts


def tree_map(function: Callable, tree: Any, *rest: Any) -> Any:
    """Apply a function to corresponding leaves of containers of one structure."""
    leaves, structure = flatten(tree)
    others = [flatten(other)[0] for other in rest]
    return unflatten(structure, list(map(function, leaves, *others)))


def register(cls: type, flatten: Callable | None = None,
             unflatten: Callable | None = None) -> type:
    """Let instances of a class be containers of differentiable values.

    Parameters
    ----------
    cls : type
        Dataclasses and named tuples are containers without registration (the fields of a
        dataclass that hold no floats need the mark below).
    flatten : callable
        Instance -> sequence of its parts (containers or arrays).
    unflatten : callable
        Sequence of parts -> instance. A dataclass needs neither: its fields are its parts, but for
        those declared ``dataclasses.field(metadata={"static": True})``, which stay as they are.

    Raises
    ------
    ArgumentError
        If one of the functions is missing, and `cls` is no dataclass.

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
    if flatten is None and unflatten is None and dataclasses.is_dataclass(cls):
        _register_dataclass(cls)
        return cls
    if flatten is None or unflatten is None:
        raise ArgumentError(f"register: {cls.__name__} is no dataclass, so it takes two functions: "
                            "register(cls, flatten, unflatten)")
    _register(
        cls,
        lambda instance: (tuple(flatten(instance)), None, None),
        lambda _, parts: unflatten(parts),
        namespace=NAMESPACE,
    )
    _registered.add(cls)
    return cls


def _register_dataclass(cls: type) -> None:
    if cls in _registered:
        return
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields]
    static = [bool(field.metadata.get("static")) for field in fields]

    def parts_of(instance):
        parts = [getattr(instance, name) for name in names]
        return [Fixed(part) if fixed and not isinstance(part, optree.PyTreeSpec) else part
                for part, fixed in zip(parts, static, strict=True)]

    def build(parts):
        instance = object.__new__(cls)
        for name, part in zip(names, parts, strict=True):
            object.__setattr__(instance, name, part)
        return instance

    register(cls, parts_of, build)
