"""Memory order: where NumPy would keep the entries of an Array.

Whether a reshape is a view follows from the strides of the array that owns the memory. Operations
let NumPy compute their values, so the innermost plain value under an owner has NumPy's strides, and
copies keep them. A recorded value has no strides: rows come first (`Var.ordered`), or the order is
not known (`None` here).
"""

import itertools
from collections.abc import Iterator

import numpy as np

from sciad.core.array import Array, current
from sciad.core.graph import Type, Var
from sciad.core.primitive import bind
from sciad.core.rules import Tools
from sciad.ops import shape as shapes

Strides = tuple[int, ...]


def strides_of(x: Array) -> Strides | None:
    """The strides, in bytes, of an Array that owns its memory; None if they are not known."""
    value = x._value
    if type(value) is np.ndarray:
        return _of_owner(value)
    while type(value) is Array:
        x = current(value)
        value = x._value
    if type(value) is np.ndarray:
        return _of_owner(value)
    node = current(x)._node
    if type(value) is Type and type(node) is Var and not node.ordered:
        return None
    return np.empty(x.shape, x.dtype).strides


def _of_owner(value: np.ndarray) -> Strides:
    """An owner has a place for each entry: what was stretched is so no more."""
    if 0 in value.strides and value.size > 1:
        return np.empty_like(value, subok=False).strides
    return value.strides


def blank(x: Array, strides: Strides) -> np.ndarray:
    """An array without content that lies in memory as `x` does with these strides."""
    shape, dtype = x.shape, x.dtype
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)] if 0 not in shape else []
    before, after = -sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
    memory = np.empty(before + after + dtype.itemsize, np.int8)
    return np.ndarray(shape, dtype, memory, before, strides)


def objects_as(x: Array) -> np.ndarray:
    """An array of objects that lies in memory as `x` does, so that NumPy copies it (in
    ``np.ascontiguousarray``, say) where it would copy `x`."""
    seen = next(in_memory(x))
    if seen.flags.c_contiguous or seen.size == 0 or any(s % seen.itemsize for s in seen.strides):
        return np.empty(seen.shape, object)
    steps = [s // seen.itemsize for s in seen.strides]
    reach = [(n - 1) * s for n, s in zip(seen.shape, steps, strict=True)]
    before, after = -sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
    memory = np.empty(before + after + 1, object)[before:]
    return np.lib.stride_tricks.as_strided(memory, seen.shape, [s * memory.itemsize for s in steps])


def orders(x: Array) -> Iterator[np.ndarray]:
    """Blanks of the shape of `x` in every order of its axes."""
    shape = x.shape
    for axes in itertools.permutations(range(len(shape))):
        yield np.empty([shape[k] for k in axes], x.dtype).transpose(np.argsort(axes))


def laid(x: Array, order: str) -> Array:
    """A copy of `x` that lies in memory in the given order."""
    value = x._value
    if type(value) is Array:
        return Array(laid(current(value), order), x._interp, x._node)
    if type(value) is np.ndarray:
        return Array(np.array(value, order=order), x._interp, x._node)
    if type(value) is Type and value.ndim > 1:
        return _recorded(x, order)
    return Array(value, x._interp, x._node)


def _recorded(x: Array, order: str) -> Array:
    if order == "F":
        return shapes.transpose(_recorded(shapes.transpose(x), "C"))
    return bind(shapes.reshape_p, (x,), {"shape": x.shape}) if order == "C" else (
        Array(x._value, x._interp, x._node))


def lies(x: Array, order: str) -> bool:
    """Whether the value of `x` lies in the given order already."""
    value = x._value
    while type(value) is Array:
        x = current(value)
        value = x._value
    if type(value) is np.ndarray:
        flags = value.flags
        return {"C": flags.c_contiguous, "F": flags.f_contiguous}.get(order, flags.forc)
    if type(value) is not Type or value.ndim < 2:
        return True
    node = current(x)._node
    return order == "K" or order == "C" and type(node) is Var and node.ordered


def rows_first(x) -> bool:
    """Whether an argument lies rows first without gaps, as recorded values are taken to."""
    if type(x) is np.ndarray:
        return x.ndim < 2 or x.flags.c_contiguous
    return type(x) is not Array or lies(x, "C")


def in_memory(x: Array) -> Iterator[np.ndarray]:
    """An array without content that lies in memory as `x` does: one, or all that it may be."""
    storage, chain = x._alias or (None, ())
    owner = storage.root if storage else x
    strides = storage.strides if storage else strides_of(x)
    for whole in orders(owner) if strides is None else (blank(owner, strides),):
        for step in chain:
            whole = step.show(whole)
        yield whole


def made_like(x, model, keep: bool = True):
    """A new array in the order in which NumPy makes it from `model`: that of its axes (`keep`), or
    columns first only if `model` lies so without gaps."""
    seen = list(in_memory(model)) if isinstance(model, Array) else [model]
    axes = {tuple(_slowest_first(one, keep)) for one in seen}
    if len(axes) == 1:
        return _in_order(x, axes.pop())
    forget_order(x)
    return x


def _slowest_first(seen: np.ndarray, keep: bool) -> list[int]:
    axes = range(seen.ndim)
    if keep:
        strides = np.empty_like(seen).strides
        return sorted(axes, key=lambda k: -strides[k])
    return list(axes[::-1] if seen.flags.fnc else axes)


def _in_order(x, axes: tuple[int, ...]):
    if axes == tuple(range(len(axes))) or len(axes) != len(x.shape):
        return x.copy() if isinstance(x, Array) else np.ascontiguousarray(x)
    moved = shapes.transpose(x, axes)
    moved = laid(moved, "C") if isinstance(moved, Array) else np.ascontiguousarray(moved)
    return shapes.transpose(moved, np.argsort(axes))


def forget_order(x: Array) -> None:
    """Let the order in memory of a recorded result, just made, count as not known."""
    below = x
    while type(below) is Array:
        value, node = current(below)._value, current(below)._node
        below = value
    if type(node) is Var:
        node.ordered = False
    else:
        Tools.hold(x)
        x._alias[0].strides = None
