"""A right-hand side that is called back in Python, behind the pointers that the kernels know.

It is differentiated eagerly at each call.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.compiler import llvm
from sciad.core.array import Array
from sciad.core.errors import ArgumentError, DTypeError, at_line
from sciad.core.graph import Type
from sciad.core.primitive import pack
from sciad.core.transforms import jvp_unstaged, vjp_unstaged

F64 = "ptr<f64>"
_RAISED = 1999  # status of a callback that raised
SIGNATURES = {
    "rhs": [("t", "f64"), ("y", F64), ("theta", F64), ("dy", F64)],
    "jvp": [("t", "f64"), ("y", F64), ("theta", F64), ("tdot", "f64"), ("ydot", F64),
            ("thetadot", F64), ("dydot", F64)],
    "vjp": [("t", "f64"), ("y", F64), ("theta", F64), ("g", F64), ("gt", F64), ("gy", F64),
            ("gtheta", F64)],
}


class CallbackModel:
    """A right-hand side that is called back in Python."""

    def __init__(self, function: Callable, n: int, types: list[Type], reason: str):
        self.function, self.n, self.types, self.reason = function, n, types, reason
        self.extra: list = []
        self.size = sum(t.size for t in types)
        self.floats = (True, True, *(t.dtype.kind == "f" for t in types))
        self.pending: BaseException | None = None
        self.key = f"callback-{id(self)}"
        self._callbacks: dict[str, Any] = {}

    def __repr__(self):
        return f"<Model called back in Python: y of {self.n}, {self.size} parameters>"

    def address(self, kind: str) -> Any:
        """What a kernel calls: a pointer, or without native code the method itself."""
        if not llvm.available():
            return getattr(self, "_" + kind)
        callback = self._callbacks.get(kind)
        if callback is None:
            kinds = [ctypes.c_double if t == "f64" else ctypes.c_void_p
                     for _, t in SIGNATURES[kind]]
            callback = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(getattr(self, "_" + kind))
            self._callbacks[kind] = callback
        return ctypes.cast(callback, ctypes.c_void_p).value

    def call(self, t, y, *leaves):
        out = self.function(t, y, *leaves)
        return derivative(out, self.n)

    def _guard(self, action) -> int:
        if self.pending is not None:
            return _RAISED
        try:
            action()
        except BaseException as error:  # carried over the native frames, and raised behind them
            self.pending = error
            return _RAISED
        return 0

    @contextlib.contextmanager
    def watched(self):
        """Around a kernel: raises what was raised in the callbacks.

        An exception that strikes between the native code and `_guard`, as Ctrl-C may, reaches
        only Python's hook for exceptions that nothing can catch, while the kernel goes on.
        """
        hook = sys.unraisablehook

        def catch(lost):
            if "ctypes callback" in (lost.err_msg or ""):
                self.pending = self.pending or lost.exc_value
            else:
                hook(lost)

        main = threading.current_thread() is threading.main_thread()  # signals strike only there
        if main:
            sys.unraisablehook = catch
        try:
            yield
        finally:
            if main:
                sys.unraisablehook = hook
            error, self.pending = self.pending, None
            if error is not None:
                raise error

    def _state(self, t, y, theta):
        return t, _vector(y, self.n).copy(), split(_vector(theta, self.size).copy(), self.types)

    def _rhs(self, t, y, theta, dy):
        def action():
            time, state, leaves = self._state(t, y, theta)
            _vector(dy, self.n)[:] = self.call(time, state, *leaves)

        return self._guard(action)

    def _jvp(self, t, y, theta, tdot, ydot, thetadot, dydot):
        def action():
            time, state, leaves = self._state(t, y, theta)
            dots = split(_vector(thetadot, self.size).copy(), self.types)
            live = self.floats[2:]

            def of(time, state, *chosen):
                return self.call(time, state, *_merge(live, chosen, leaves))

            _, out = jvp_unstaged(of, (time, state, *pick(live, leaves)),
                                  (tdot, _vector(ydot, self.n).copy(), *pick(live, dots)))
            _vector(dydot, self.n)[:] = out

        return self._guard(action)

    def _vjp(self, t, y, theta, g, gt, gy, gtheta):
        def action():
            time, state, leaves = self._state(t, y, theta)
            live = self.floats[2:]

            def of(time, state, *chosen):
                return self.call(time, state, *_merge(live, chosen, leaves))

            _, pull = vjp_unstaged(of, (time, state, *pick(live, leaves)))
            parts = pull(_vector(g, self.n).copy())
            _vector(gt, 1)[0] += parts[0]
            _vector(gy, self.n)[:] += parts[1]
            rest, total, place = iter(parts[2:]), _vector(gtheta, self.size), 0
            for kind, flag in zip(self.types, live, strict=True):
                if flag:
                    total[place:place + kind.size] += np.ravel(next(rest))
                place += kind.size

        return self._guard(action)


def _vector(address, size: int) -> np.ndarray:
    """The doubles at an address (a buffer, if the kernel is evaluated in Python)."""
    if not size:
        return np.empty(0)
    if isinstance(address, np.ndarray):
        return address[:size]
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_double)), (size,))


def pick(flags, xs):
    return [x for flag, x in zip(flags, xs, strict=True) if flag]


def _merge(flags, chosen, rest):
    chosen = iter(chosen)
    return [next(chosen) if flag else x for flag, x in zip(flags, rest, strict=True)]


def split(theta, types: list[Type]) -> list:
    """The leaves of a flat vector."""
    leaves, place = [], 0
    for kind in types:
        part = theta[place:place + kind.size].reshape(kind.shape)
        leaves.append(part.astype(kind.dtype) if kind.dtype != part.dtype else part[()])
        place += kind.size
    return leaves


def flat(leaves: list) -> np.ndarray:
    """The leaves as one vector."""
    if not leaves:
        return np.zeros(0)
    if len(leaves) == 1:
        return np.ascontiguousarray(leaves[0], float).reshape(-1)
    return np.concatenate([np.asarray(x, float).ravel() for x in leaves])


def derivative(out: Any, n: int):
    """What a right-hand side returned, as a vector of n."""
    if not isinstance(out, Array):
        out = np.asarray(out)
        out = pack(out) if out.dtype.hasobject and out.size else out
    if out.dtype.kind not in "fiub":
        raise DTypeError(f"solve_ivp: fun returned values of dtype {out.dtype}, must be real "
                         f"numbers{at_line()}")
    if n == 1 and out.shape == ():
        out = out.reshape((1,))
    if out.shape != (n,):
        raise ArgumentError(f"solve_ivp: fun returned shape {out.shape}, y has shape ({n},)"
                            f"{at_line()}")
    return out.astype(float) if out.dtype != np.float64 else out
