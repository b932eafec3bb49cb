"""Which axis of which leaf: ``in_axes`` and ``out_axes`` of vmap, spread over containers."""

import operator
from typing import Any

import numpy as np
import optree

from sciad.core import tree
from sciad.core.array import Array
from sciad.core.backend import is_array
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import shape_of
from sciad.core.record import is_fixed
from sciad.ops.shape import transpose

_NAMESPACE = "sciad"


def argument_axes(in_axes: Any, args: tuple, kwargs: dict) -> list:
    """The axis of each leaf of ``(args, kwargs)``, None where it is not mapped over."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if in_axes is not None and not isinstance(in_axes, tuple):
        in_axes = _axis(in_axes, "in_axes")
    elif isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ArgumentError(f"vmap: in_axes={in_axes!r} has {len(in_axes)} entries for "
                            f"{len(args)} positional arguments{at_line()}")
    return _spread(in_axes, args, "in_axes", "arguments") + [0] * len(tree.flatten(kwargs)[0])


def result_axes(out_axes: Any, structure: Any, count: int) -> list:
    """The axis of each leaf of a result, None where it is the same for all entries."""
    whole = tree.unflatten(structure, [0] * count)
    return _spread(out_axes, whole, "out_axes", "result", is_fixed)


def _spread(axes, whole, name, what, skipped=lambda leaf: False) -> list:
    """A container of axes, each standing for all leaves that `whole` has there."""
    try:
        spread = optree.broadcast_prefix(axes, whole, none_is_leaf=True, namespace=_NAMESPACE)
    except ValueError as error:
        raise ArgumentError(f"vmap: {name}={axes!r} does not fit the {what}: {error}{at_line()}"
                            ) from None
    leaves = optree.tree_leaves(whole, none_is_leaf=True, namespace=_NAMESPACE)
    return [None if axis is None else _axis(axis, name)
            for axis, leaf in zip(spread, leaves, strict=True)
            if leaf is not None and not skipped(leaf)]


def _axis(axis, name) -> int:
    try:
        if not isinstance(axis, (bool, np.bool_)):
            return operator.index(axis)
    except TypeError:
        pass
    raise ArgumentError(f"vmap: {name} must be integers, None, or containers of them, got "
                        f"{axis!r}{at_line()}")


def name_of(args: tuple, kwargs: dict, k: int) -> str:
    """Leaf `k` as the user would name it."""
    arguments: Any = (args, kwargs)
    path = optree.tree_accessors(arguments, namespace=_NAMESPACE)[k]
    which = "argument" if path.path[0] == 0 else "keyword argument"
    return f"{which} {path.path[1]}{path[2:].codify('')}"


def normalized(axis: int, x: Any, name: Any) -> int:
    """The axis of a mapped argument, counted from the front."""
    if not isinstance(x, (Array, np.generic)) and not is_array(x):
        raise ArgumentError(f"vmap: {name()} is a {type(x).__name__}, which has no axis to map "
                            f"over{at_line()}; give None for it in in_axes")
    ndim = len(x.shape)
    if not -ndim <= axis < ndim:
        raise ArgumentError(f"vmap: axis {axis} is out of range for {name()}, of shape {x.shape}"
                            f"{at_line()}")
    return axis % ndim


def placed(axis: int, shape: tuple[int, ...]) -> int:
    """Where the new axis stands in a result whose entries have this shape."""
    ndim = len(shape) + 1
    if not -ndim <= axis < ndim:
        raise ArgumentError(f"vmap: out_axes has {axis}, out of range for results of shape "
                            f"{shape}{at_line()}")
    return axis % ndim


def to_front(x: Any, axis: int) -> Any:
    """`x` with this axis first."""
    if not axis:
        return x
    return transpose(x, (axis, *(k for k in range(len(x.shape)) if k != axis)))


def from_front(y: Any, axis: int) -> Any:
    """`y` with its first axis moved to this place."""
    axis = placed(axis, shape_of(y)[1:])
    return y if not axis else transpose(y, (*range(1, axis + 1), 0, *range(axis + 1, len(y.shape))))
