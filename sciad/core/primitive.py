"""Primitive and bind: who handles an operation.

`bind` hands an operation to the highest interpreter among its operands; with none, the operation
is evaluated. Interpreters form a stack per thread; a transform pushes one and pops it at its end.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core.array import Array, current
from sciad.core.errors import LostGradientError, NoRuleError, RecordError, at_line


class _Stack(threading.local):
    def __init__(self):
        self.interpreters: list[Interpreter] = []


_stack = _Stack()


def active() -> list["Interpreter"]:
    """The open interpreters of this thread, outermost first."""
    return _stack.interpreters


class Interpreter:
    """What an operation means to one transform. Subclasses: Reverse, Forward, Recorder.

    Attributes
    ----------
    live : bool
        False once the transform has ended: its Arrays then stand for their primal values.
    has_data : bool
        Whether values below carry numbers (recording has none).
    refusal : Exception or None
        What was raised rather than lose a derivative; raised again if the program swallowed it.
    fast : bool
        Whether the operators may write on the tape themselves (see `sciad.core.reverse`).
    """

    __slots__ = ("level", "live", "fast", "refusal")
    has_data = True

    def __enter__(self):
        stack = _stack.interpreters
        self.level = len(stack)
        self.live = True
        self.fast = False
        self.refusal = None
        stack.append(self)
        return self

    def __exit__(self, kind, error, traceback):
        _stack.interpreters.remove(self)
        self.live = self.fast = False
        self.close()
        if kind is None and self.refusal is not None:
            raise self.refusal  # the program caught it, and may have gone on without a derivative
        if kind is ValueError and isinstance(error.__cause__, (LostGradientError, RecordError)):
            # what NumPy makes of our error in ``out[0] = x`` with a plain `out`
            raise error.__cause__.with_traceback(traceback) from None

    def __repr__(self):
        return f"{type(self).__name__.lower()} level {self.level}"

    def close(self):
        """Let go of what only the transform needed."""

    def resolve(self, x: Array) -> Array:
        """What an Array of this interpreter is after the transform has ended: its primal."""
        value = x._value
        return value if type(value) is Array else Array(value)

    def truth(self, x: Array) -> bool:
        """The answer to ``bool(x)``."""
        return bool(x._value)

    def process(self, primitive: "Primitive", args: tuple, params: dict) -> Any:
        raise NotImplementedError

    def lift(self, x: Any) -> Array:
        """`x` as a constant of this interpreter."""
        raise NotImplementedError


class Primitive:
    """An operation: its value, its shape rule, its derivative in both modes, its native form.

    Parameters
    ----------
    name : str
    fun : callable
        The value: NumPy (or CuPy) arrays in, an array or a tuple of arrays out.
    shape : callable
        The shape rule: `Type` of each operand in, `Type` (or a tuple of them) out.
    multiple : bool
        Whether the operation returns a tuple.
    effect : bool
        Whether it must be kept although nothing uses its result (it may stop the program).

    routes : bool
        A class attribute: whether the operation only moves, sums or drops entries, so that its
        adjoint tells which operands' entries matter (`sciad.core.masking`).

    Subclasses in `sciad.core.rules` add the derivatives. `sciad.compiler.lower` keeps the table
    of native forms.
    """

    __slots__ = ("name", "fun", "shape", "multiple", "effect")
    routes = False

    def __init__(self, name: str, fun: Callable, shape: Callable | None = None, *, multiple=False,
                 effect=False):
        self.name = name
        self.fun = fun
        self.shape = shape
        self.multiple = multiple
        self.effect = effect

    def __repr__(self):
        return self.name

    def __call__(self, *args, **params):
        return bind(self, args, params)

    def jvp(self, k: int, tangent, out, args, params):
        """The tangent of the output owed to operand `k`."""
        raise NoRuleError(f"{self.name} has no derivative{at_line()}")

    def vjp(self, k: int, cotangent, out, args, params):
        """The cotangent of operand `k`."""
        raise NoRuleError(f"{self.name} has no derivative{at_line()}")

    def joint_jvp(self, tangents: list, out, args, params):
        """The tangent of the output, from the tangents of all operands (None: zero)."""
        total = None
        for k, tangent in enumerate(tangents):
            if tangent is not None:
                part = self.jvp(k, tangent, out, args, params)
                if part is not None:
                    total = part if total is None else total + part
        return total

    def joint_vjp(self, cotangent, needs: list, out, args, params) -> list:
        """The cotangents of the operands that are needed; None stands for zero."""
        return [
            self.vjp(k, cotangent, out, args, params) if need else None
            for k, need in enumerate(needs)
        ]


def bind(primitive: Primitive, args: tuple, params: dict) -> Any:
    """Apply `primitive`: the highest interpreter among `args` decides what that means.

    With none, the operation is evaluated; inside a transform, what comes of an Array (made by
    `sciad.numpy`, say) is again an Array, which takes assignments.
    """
    top, held = None, False
    ready = list(args)
    for k, x in enumerate(args):
        if isinstance(x, np.ndarray):
            if x.dtype.hasobject:
                x = ready[k] = pack(x)
        if isinstance(x, Array):
            x = current(x)
            interp = x._interp
            if interp is None:
                ready[k] = x._value
                held = True
            else:
                ready[k] = x
                if top is None or interp.level > top.level:
                    top = interp
    if top is None and primitive.effect:
        top = next((i for i in reversed(_stack.interpreters) if not i.has_data), None)
    if top is None:
        out = primitive.fun(*ready, **params)
        return Array(out) if held and type(out) is np.ndarray and _stack.interpreters else out
    return top.process(primitive, tuple(ready), params)


_packers: list[Callable] = []


def pack(x: np.ndarray) -> Any:
    """An object array of Arrays as one Array; other object arrays unchanged."""
    for packer in _packers:
        return packer(x)
    return x


def install_packer(packer: Callable) -> None:
    """Set the operation that stacks scalars (called once, by `sciad.ops`)."""
    _packers[:] = [packer]
