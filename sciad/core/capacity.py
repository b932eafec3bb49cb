"""How many iterations a recorded while_loop has room for in its backward pass.

A recorded loop whose end depends on data stores its states in buffers of fixed size. `jit` records
with more room when one is full. The number is part of what a recording depends on, like the types
of its arguments; each thread has its own.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Room(threading.local):
    iterations = 1024


_room = _Room()


def capacity() -> int:
    """The iterations that a while_loop recorded now has room for."""
    return _room.iterations


@contextmanager
def loop_capacity(iterations: int) -> Iterator[None]:
    """Record while_loops with room for so many iterations."""
    before, _room.iterations = _room.iterations, iterations
    try:
        yield
    finally:
        _room.iterations = before
