"""Primitive and bind: who handles an operation.

`bind` hands an operation to the highest interpreter among its operands; with none, the operation
is evaluated. Interpreters form a stack per thread; a transform pushes one and pops it at its end.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sciad.core.array import Array, current
from sciad.core.backend import KINDS, evaluate, is_array
from sciad.core.errors import LostGradientError, NoRuleError, RecordError, SciadError, at_line
from sciad.core.numbers import Numbers, adopt, as_their_numbers
from sciad.core.object_arrays import explained
from sciad.core.patterns import DENSE, MOVES, ids, through, union


class _Stack(threading.local):
    def __init__(self):
        self.interpreters: list[Interpreter] = []
        self.watch: Any = None


_stack = _Stack()


def active() -> list["Interpreter"]:
    """The open interpreters of this thread, outermost first."""
    return _stack.interpreters


class Watching:
    """How many threads look at each operation (see `sciad.core.debugging`)."""

    threads = 0


def watch() -> Any:
    """What looks at each operation of this thread, or None."""
    return _stack.watch if Watching.threads else None


@contextmanager
def watching(new: Any) -> Iterator[None]:
    """Let `new` look at each operation of this thread."""
    before, _stack.watch = _stack.watch, new
    Watching.threads += 1
    try:
        yield
    finally:
        _stack.watch = before
        Watching.threads -= 1


def refused(error: Exception) -> Exception:
    """`error`, noted with the innermost transform, which raises it if the program swallows it."""
    if _stack.interpreters:
        _stack.interpreters[-1].refusal = error
    return error


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
    divert : Interpreter or None
        Who handles operations in its place for now (see `sciad.core.checkpoint`).
    """

    __slots__ = ("level", "live", "fast", "refusal", "divert")
    has_data = True

    def __enter__(self):
        stack = _stack.interpreters
        self.level = len(stack)
        self.live = True
        self.fast = False
        self.refusal = None
        self.divert = None
        stack.append(self)
        return self

    def __exit__(self, kind, error, traceback):
        _stack.interpreters.remove(self)
        self.live = self.fast = False
        self.close()
        if kind is None and self.refusal is not None:
            raise self.refusal  # the program caught it, and may have gone on without a derivative
        if kind in (ValueError, SystemError, TypeError):
            # what NumPy makes of our error in ``out[0] = x`` with a plain `out`, and in
            # ``np.ones(n)``, and C code that calls back
            if isinstance(error.__cause__, (LostGradientError, NoRuleError, RecordError)):
                raise error.__cause__.with_traceback(traceback) from None
        if self.refusal is not None and error.__cause__ is None and (
                issubclass(kind, Exception) and not issubclass(kind, SciadError)):
            raise self.refusal from error  # what compiled code made of it
        clearer = explained(error, traceback)
        if clearer is not None:
            raise clearer from error

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
    """An operation: its value, its shape rule, its derivative in both modes, its pattern, its
    native form.

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
    pattern : optional
        Which entries of the result depend on which of each operand: a form of
        `sciad.core.patterns`, or a function of (k, out, args, params) that gives one.
    joint_pattern : callable, optional
        What stands for `Primitive.joint_pattern`.

    routes : bool
        A class attribute: whether the operation only moves, sums or drops entries, so that its
        adjoint tells which operands' entries matter (`sciad.core.masking`).
    typed : int
        A class attribute: of how many leading operands the adjoint needs only the type. If of
        any, it does not need the result either, and none of these is saved.

    Subclasses in `sciad.core.rules` add the derivatives. `sciad.compiler.lower` keeps the table
    of native forms.
    """

    __slots__ = ("name", "fun", "shape", "multiple", "effect", "form", "joint_form")
    routes = False
    typed = 0

    def __init__(self, name: str, fun: Callable, shape: Callable | None = None, *, multiple=False,
                 effect=False, pattern: Any = DENSE, joint_pattern: Callable | None = None):
        self.name = name
        self.fun = fun
        self.shape = shape
        self.multiple = multiple
        self.effect = effect
        self.form = pattern
        self.joint_form = joint_pattern

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

    def pattern(self, k: int, out, args: list, params: dict):
        """How the result depends on operand `k`: a form of `sciad.core.patterns`; for a primitive
        with several outputs one for all, or a list of them.

        `out` and `args` are types, the latter values where these are known.
        """
        if callable(self.form):
            return self.form(k, out, args, params)
        if self.form is MOVES:
            return self.fun(ids(args[0]), *args[1:], **params) if k == 0 else None
        return self.form

    def joint_pattern(self, parts: list, outs: tuple, args: list, params: dict) -> list:
        """The patterns of the outputs, from those of all operands (None: no dependence); or a
        pair of these and what is known of the outputs, a value or a type for each."""
        if self.joint_form is not None:
            return self.joint_form(parts, outs, args, params)
        totals: list = [None] * len(outs)
        for k, part in enumerate(parts):
            if part is not None:
                form = self.pattern(k, outs if self.multiple else outs[0], args, params)
                forms = form if isinstance(form, list) else [form] * len(outs)
                totals = [union(total, through(one, part, out.size))
                          for total, one, out in zip(totals, forms, outs, strict=True)]
        return totals

    def seen(self, args: list) -> list:
        """What the pattern reads of the values of operands; `args` are values where these are
        known, else types, which do not count."""
        return args[self.typed:]

    def lighten(self, out, args: list) -> tuple:
        """`out` and `args` as the adjoint needs them: what it does not read is dropped, or
        replaced by its type."""
        return out, args

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
    top, held, home, ready = None, False, None, args
    for k, x in enumerate(args):
        if isinstance(x, np.ndarray):
            if not x.dtype.hasobject:
                continue
            x = adopt(pack(x))
        if type(x) is Array:
            x = current(x)
            interp = x._interp
            if interp is None:
                x, held = x._value, True
                home = KINDS[type(x)] or home
            elif top is None or interp.level > top.level:
                top = interp
        else:
            home = KINDS[type(x)] or home
        if x is not args[k]:
            ready = (*ready[:k], x, *ready[k + 1:])
    if top is None and primitive.effect:
        top = next((i for i in reversed(_stack.interpreters) if not i.has_data), None)
    if top is None:
        out = (primitive.fun(*ready, **params) if home is None
               else evaluate(primitive, home, ready, params))
        if Watching.threads and _stack.watch is not None:
            _stack.watch.value(primitive, ready, out)
        return Array(out) if held and is_array(out) and _stack.interpreters else out
    if Numbers.in_use and isinstance(primitive.fun, np.ufunc):
        ready = as_their_numbers(ready)
    while top.divert is not None:
        top = top.divert
    return top.process(primitive, ready, params)


_packers: list[Callable] = []


def pack(x: np.ndarray) -> Any:
    """An object array of Arrays as one Array; other object arrays unchanged."""
    for packer in _packers:
        return packer(x)
    return x


def install_packer(packer: Callable) -> None:
    """Set the operation that stacks scalars (called once, by `sciad.ops`)."""
    _packers[:] = [packer]
