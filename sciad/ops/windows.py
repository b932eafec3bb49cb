"""Windows: plain arrays that share the memory of an Array which no transform follows.

``b = np.asarray(a)`` of ``a = snp.zeros(3)`` is a view in NumPy's meaning: what is written into
either is seen in both. The memory is shown to NumPy by `Memory`, which is no array, so that every
view that NumPy makes of a window holds the `Memory`, and lives no longer than it.

While a window lives, plain writes into the Array go into the same memory. A write of a followed
value, which a plain array cannot take, is an error.
"""

import weakref
from typing import Any

import numpy as np

from sciad.core.array import Array, current
from sciad.core.errors import LostGradientError, at_line, user_place
from sciad.core.primitive import refused


class Memory:
    """The buffer that windows show, and the line that opened the first."""

    __slots__ = ("buffer", "place", "__weakref__")

    def __init__(self, buffer: np.ndarray):
        self.buffer = buffer
        self.place = user_place()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.buffer.__array_interface__


def opened(storage) -> Memory | None:
    """The memory of a family of views that some living window shows."""
    return storage.memory() if storage.memory is not None else None


def shown(x: Array) -> bool:
    """Whether a living window shows the memory of `x`."""
    return x._alias is not None and opened(x._alias[0]) is not None


def state(x: Array) -> tuple:
    return x._value, x._interp, x._node


def open_window(storage) -> np.ndarray:
    """A window on the whole of a family; its buffer is its own from now on."""
    memory = opened(storage)
    if memory is None:
        memory = Memory(np.array(current(storage.root)._value))
        storage.root = Array(memory.buffer)
        storage.memory = weakref.ref(memory)
    return np.asarray(memory)


def keep_open(storage, memory: Memory, before: tuple) -> None:
    """Bring a write into the memory that windows show; `before` is the root as it was."""
    root = current(storage.root)
    if root._interp is None:
        memory.buffer[...] = root._value
        storage.root = Array(memory.buffer)
        return
    storage.root = Array(*before)
    raise refused(LostGradientError(
        f"np.asarray, at {memory.place[0]}:{memory.place[1]}, gave a plain array that shares the "
        f"memory of the array written to{at_line()}, and cannot take a followed value; use "
        "the array itself (np.asarray of `from sciad import numpy as np` keeps it), or a copy, "
        "np.array(x)"))
