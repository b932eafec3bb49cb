"""Recording and lowering make objects by the ten thousand, and nearly all of them live on; the
garbage collector would walk over them again and again, for a fifth of the time of a compilation."""

from __future__ import annotations

import gc
from contextlib import contextmanager


@contextmanager
def uncollected():
    """Run without Python's cyclic garbage collector."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
