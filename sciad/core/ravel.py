"""ravel: a container of numbers and arrays as one vector, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.arguments import differentiable, packed
from sciad.core.array import Array, has_data, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import type_of
from sciad.core.rules import Tools
from sciad.core.transforms import finish


def ravel(params: Any) -> tuple[Any, Callable]:
    """All entries of a container as one vector, and the function that puts them back.

    Parameters
    ----------
    params : container
        Of floats and float or complex arrays. A Python int counts as a float, as everywhere;
        arrays of integers, truth values and strings raise, since they could not follow the
        vector: keep them outside `params`.

    Returns
    -------
    vector : array, shape (n,)
        Of the dtype that NumPy finds for all entries together.
    unravel : callable
        Takes a vector of n entries, gives a container like `params`, with its shapes and dtypes
        (a Python number comes back in the precision of the vector).

    Raises
    ------
    DTypeError
        If `params` holds what cannot be differentiated.
    ArgumentError
        By `unravel`, for a vector of another shape, or for an imaginary part in a place that was
        real.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> vector, unravel = sciad.ravel({"rate": 0.5, "start": np.array([1.0, 2.0])})
    >>> vector
    array([0.5, 1. , 2. ])
    >>> unravel(2 * vector)["start"]
    array([2., 4.])
    """
    leaves, structure = tree.flatten(params)
    arrays = [differentiable(x, "ravel") for x in leaves]
    dtype = _common(leaves, arrays)
    kinds = [(type_of(a).shape, _in_kind_of(x, dtype) if _weak(x) else type_of(a).dtype)
             for x, a in zip(leaves, arrays, strict=True)]
    flat = [_cast(a.reshape(-1), dtype) for a in arrays]
    vector = finish(Tools.concatenate(flat, 0)) if flat else np.zeros(0, dtype)
    count = type_of(vector).size
    places = tree.unflatten(structure, list(range(len(leaves))))  # plain data, which jit can read

    def unravel(vector):
        vector = _vector(vector, count)
        parts, start = [], 0
        for shape, kind in kinds:
            stop = start + int(np.prod(shape, dtype=int))
            part = finish(_restored(vector[start:stop], kind, start).reshape(shape))
            parts.append(part[()] if type(part) is np.ndarray else part)
            start = stop
        return tree.tree_map(lambda k: _own(parts[k]), places)

    return vector, unravel


def _weak(x) -> bool:
    """Whether `x` is a Python number, which adapts to the dtype of its partners."""
    return type(x) in (int, float, complex)


def _in_kind_of(x, dtype):
    """The dtype in which a Python number comes back."""
    return dtype if type(x) is complex else np.empty(0, dtype).real.dtype


def _common(leaves, arrays):
    """The dtype of the vector."""
    kinds = [0j if type(x) is complex else 0.0 if _weak(x) else type_of(a).dtype
             for x, a in zip(leaves, arrays, strict=True)]
    return np.result_type(*kinds) if kinds else np.dtype(float)


def _cast(x, dtype):
    return x if x.dtype == dtype else x.astype(dtype)


def _vector(vector, count):
    vector = packed(vector)
    if not isinstance(vector, Array):
        vector = packed(np.asarray(vector))
    shape = type_of(vector).shape
    if shape != (count,):
        raise ArgumentError(f"unravel: a vector of shape {shape}, the parameters have {count} "
                            f"entries: pass shape ({count},){at_line()}")
    return vector


def _restored(part, dtype, start):
    """A piece of the vector in the dtype that it came from."""
    if part.dtype.kind == "c" and dtype.kind != "c":
        if (type(part) is not Array or has_data(part)) and np.any(np.imag(plain(part))):
            raise ArgumentError(f"unravel: entry {start} or one after it belongs to a real "
                                f"parameter, but has an imaginary part{at_line()}")
        part = Tools.real(part)
    return _cast(part, dtype)


def _own(x):
    return x.copy() if type(x) is np.ndarray else x[()] if not type_of(x).shape else x
