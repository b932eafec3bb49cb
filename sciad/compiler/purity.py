"""Watching a function while it is recorded: does it do what a recording cannot repeat?

A recording runs a function a few times and never again, so what it prints, and the global random
numbers that it draws, would be lost.
"""

from __future__ import annotations

import random
import sys
import threading
from contextlib import contextmanager

import numpy as np

from sciad.core.errors import RecordError, at_line


class _Silent:
    """Standard output that refuses to be written to by one thread, and serves the others."""

    def __init__(self, stream):
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text):
        if threading.get_ident() == self._thread:
            raise RecordError(f"it prints{at_line()}")
        return self._stream.write(text)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def _random_state() -> tuple:
    legacy = np.random.get_state()
    return random.getstate(), legacy[1].tobytes(), legacy[2:]


@contextmanager
def watched():
    """Raise `RecordError` if what runs inside prints or draws global random numbers."""
    stream, state = sys.stdout, _random_state()
    sys.stdout = silent = _Silent(stream)
    try:
        yield
    finally:
        if sys.stdout is silent:
            sys.stdout = stream
    if _random_state() != state:
        raise RecordError("it draws random numbers; draw them outside and pass them as arguments")
