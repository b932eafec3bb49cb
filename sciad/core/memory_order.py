"""Whether a recorded value lies in memory rows first, as far as NumPy's order is known.

NumPy's operations keep the order of their operands, so what is computed of a transposed array is
transposed in memory. A recorded value has no strides; it is `ordered` where rows surely come first.
"""

from typing import Any

from sciad.core.graph import Literal

FRESH = frozenset({"matmul", "pack", "solve", "cholesky", "eigh", "eig", "svd", "pinv", "lstsq"})
"""Operations that give rows first, whatever the order of their operands."""

_OF_FIRST = frozenset({"getitem", "index_set", "index_add"})


def ordered(primitive: Any, inputs: tuple, params: dict, out: Any) -> bool:
    """Whether a result of an operation surely lies rows first."""
    if sum(extent > 1 for extent in out.shape) < 2 or primitive.name in FRESH:
        return True
    if primitive.name == "reshape" and inputs[0].type.shape == out.shape:
        return True  # how a copy in this order is recorded
    if primitive.name == "transpose":
        return _in_order(inputs[0]) and _keeps(params["axes"], inputs[0].type.shape)
    if primitive.name == "getitem" and len(inputs) > 1 and _rearranges(params["spec"]):
        return False
    return all(map(_in_order, inputs[:1] if primitive.name in _OF_FIRST else inputs))


def _keeps(axes: tuple, shape: tuple) -> bool:
    moved = [k for k in axes if shape[k] > 1]
    return moved == sorted(moved)


def _rearranges(spec: tuple) -> bool:
    """Whether NumPy reads the entries of an index with arrays in an order of its own."""
    first = spec[0]
    return first is None or first is Ellipsis or isinstance(first, slice)


def _in_order(x: Any) -> bool:
    if type(x) is Literal:
        flags = getattr(x.value, "flags", None)
        return flags is None or not hasattr(flags, "c_contiguous") or flags.c_contiguous
    return x.ordered
