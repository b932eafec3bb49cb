"""Watching a function while it is recorded: does it do what a recording cannot repeat?

A recording runs a function a few times and never again, so what it prints, logs, warns of or writes
to files, what it reads from them, and the global random numbers that it draws, would be lost.

The hooks stand while any thread records, and refuse what a recording thread does alone.
"""

from __future__ import annotations

import builtins
import functools
import io
import logging
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import numpy as np

from sciad.core.call_sites import package
from sciad.core.errors import ImpureError, RecordError, SciadError, UntoldError
from sciad.core.primitive import refused

_LIBRARY = frozenset(sys.stdlib_module_names)
_ARRAYS = frozenset(["numpy", "scipy", "optree"])


class _Recording(threading.local):
    """How many recordings are under way on this thread, inside one another."""

    depth = 0


_here = _Recording()


def _refuse(what: str, own: frozenset[str] = frozenset()) -> None:
    """Raise `UntoldError` if this thread records and a program does `what`, which sciad itself and
    packages among `own` may do. In a branch, calls that come there are then repeated eagerly."""
    if not _here.depth:
        return
    through = _LIBRARY | _ARRAYS - own
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and package(frame) in through:
        frame = frame.f_back
    if frame is not None and package(frame) != "sciad" and package(frame) not in own:
        place = f" (at {frame.f_code.co_filename}:{frame.f_lineno})"
        raise refused(UntoldError(what + place))


# --- the hooks ------------------------------------------------------------------------------------


class _Stream:
    """A standard stream that a recording thread may not write to; warnings are watched as such."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        if package(sys._getframe(1)) != "warnings":
            _refuse("it prints")
        return self._stream.write(text)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def _logging(handle):
    def watched_handle(logger, record):
        _refuse("it logs")
        return handle(logger, record)

    return functools.wraps(handle)(watched_handle)


def _warning(warn):
    def watched_warn(message, category=None, stacklevel=1, source=None, **more):
        _refuse("it warns", _ARRAYS)
        return warn(message, category, stacklevel + 1, source, **more)

    return functools.wraps(warn)(watched_warn)


def _opening(opened):
    def watched_open(*args, **kwargs):
        _refuse("it opens a file")
        return opened(*args, **kwargs)

    return functools.wraps(opened)(watched_open)


def _reporting(hook):
    """Of what its callback raises, compiled code of a library may print and pass over: a refusal of
    sciad's, which the recording ends in all the same, is not printed."""

    def watched_hook(kind, error, traceback):
        if not (_here.depth and isinstance(error, SciadError)):
            with suppress(UntoldError):  # noted with the recording; nothing is raised by a hook
                _refuse("it prints an exception")
                hook(kind, error, traceback)

    return functools.wraps(hook)(watched_hook)


_WATCHED: list[tuple[Any, str, Callable]] = [
    (sys, "stdout", _Stream), (sys, "stderr", _Stream), (logging.Logger, "handle", _logging),
    (sys, "excepthook", _reporting), (warnings, "warn", _warning), (builtins, "open", _opening),
    (io, "open", _opening),
]
if hasattr(np.lib, "_datasource"):  # what np.loadtxt and np.genfromtxt open files by
    _WATCHED.append((np.lib._datasource, "open", _opening))

_lock = threading.Lock()
_installed: list[tuple[Any, str, Any, Any]] = []
_recordings = 0


def behind(value: Any) -> Any:
    """What a hook stands for; anything else is itself."""
    for _, _, original, hook in _installed:
        if value is hook:
            return original
    return value


def _enter() -> None:
    global _recordings
    with _lock:
        _recordings += 1
        if _recordings == 1:
            for holder, name, hook_of in _WATCHED:
                original = getattr(holder, name)
                hook = hook_of(original)
                setattr(holder, name, hook)
                _installed.append((holder, name, original, hook))
    _here.depth += 1


def _leave() -> None:
    global _recordings
    _here.depth -= 1
    with _lock:
        _recordings -= 1
        while not _recordings and _installed:
            holder, name, original, hook = _installed.pop()
            if getattr(holder, name) is hook:
                setattr(holder, name, original)


# --- random numbers -------------------------------------------------------------------------------


def _random_state() -> dict[str, tuple]:
    legacy = np.random.get_state()
    return {"random": random.getstate(), "np.random": (legacy[1].tobytes(), *legacy[2:])}


def _drawn(before: dict[str, tuple], place: str = "") -> None:
    """Raise `RecordError` if a global generator is not in the state that it was in before."""
    now = _random_state()
    names = [name for name in now if now[name] != before[name]]
    if names:
        raise RecordError(
            f"it draws random numbers from the global generator of {' and of '.join(names)}{place}"
            "; draw them outside and pass them as arguments, or pass a key of sciad.random and "
            "draw by sciad.random.normal(key, ...)")


@contextmanager
def watched() -> Iterator[None]:
    """Raise `RecordError` if what runs inside prints, logs, warns, opens files or draws global
    random numbers."""
    state = _random_state()
    _enter()
    try:
        yield
    except ImpureError as error:
        _drawn(state, error.at)
        raise
    finally:
        _leave()
    _drawn(state)
