"""Calls back into Python: the native form of a primitive that has no other.

A kernel reaches such a primitive through a function pointer, one of its parameters, so its text
names no address and may lie on disk. (A function that stands behind a pointer itself, as the
right-hand side of an ODE does, has no place for parameters: it calls a symbol, which is linked.)
A scalar operand travels by value, as a double or a 64-bit integer; an array by its address.
Results are written to memory that the kernel owns. The function behind the pointer takes Python's
lock itself (kernels run without it), copies the operands (an evaluator may keep them), evaluates
as eager mode does and copies the results out.

    f(scalar or address, ..., address of result, ...) -> DONE, or why not

What the evaluator raises waits under a number, which is the status that the kernel returns; its
caller raises it (`throw`). An answer that is neither `DONE` nor such a number is no answer: an
exception struck before the function's first line, as Ctrl-C does (`watched` catches it).

A value of a dtype that the loop IR lacks is `Opaque`: bytes that only callbacks understand.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler import symbols
from sciad.compiler.loops import Expr, Name, Op
from sciad.compiler.values import (
    KINDS,
    Buffer,
    Emitter,
    Unsupported,
    Value,
    convert,
    has_kind,
    index,
    size_of,
)
from sciad.core.array import unwrap_plain
from sciad.core.errors import SciadError
from sciad.core.graph import Equation, Literal, Type
from sciad.core.primitive import active

DONE = 0x5C1AD0
INTERRUPTED = 1998
_FIRST_RAISED = 2**40
_MOST_OPERANDS = 500


@dataclass(slots=True)
class Opaque:
    """An array of a dtype that native code does not compute with."""

    shape: tuple[int, ...]
    dtype: np.dtype
    name: Name

    def bytes(self) -> Buffer:
        """Its memory."""
        return Buffer((size_of(self.shape) * self.dtype.itemsize,), "i8", self.name)


# --- exceptions under way -------------------------------------------------------------------------

_raised: OrderedDict[int, BaseException] = OrderedDict()
_numbers = itertools.count(_FIRST_RAISED)
_MOST_RAISED = 1000


def _status_of(error: BaseException) -> int:
    number = next(_numbers)
    _raised[number] = error
    if len(_raised) > _MOST_RAISED:
        _raised.popitem(last=False)
    return number


class KernelError(SciadError, RuntimeError):
    """Machine code ended in a way that the program knows nothing of."""


def throw(status: int) -> None:
    """Raise what a status of a callback stands for; nothing if it is none."""
    error = _raised.pop(status, None)
    if error is None and (status == INTERRUPTED or status >= _FIRST_RAISED):
        error = _lost.pop() if _lost else KernelError(
            "a call back into Python did not run; what stopped it was printed above")
    if error is not None:
        raise error


_lost: list[BaseException] = []
"""What struck before a callback's first line, on the main thread."""


def watched(function: Callable) -> Callable:
    """A kernel with callbacks, as a function that catches what strikes before their first line.

    Python hands such an exception only to its hook for those that nothing can catch. Signals
    strike on the main thread alone.
    """
    def call(*args):
        if threading.get_ident() != threading.main_thread().ident:
            return quietly(args)
        hook = sys.unraisablehook

        def catch(lost):
            if "ctypes callback" in (lost.err_msg or ""):
                _lost[:] = [lost.exc_value]
            else:
                hook(lost)

        sys.unraisablehook = catch
        try:
            return quietly(args)
        finally:
            sys.unraisablehook = hook

    def quietly(args):
        outer, _quiet.on = _quiet.on, True
        try:
            with np.errstate(all="ignore"):  # as machine code
                return function(*args)
        finally:
            _quiet.on = outer

    return call


class _Quiet(threading.local):
    """Whether NumPy's warnings are off on this thread, for the callbacks of a kernel."""

    on = False


_quiet = _Quiet()


# --- the Python side ------------------------------------------------------------------------------


class Callback:
    """A primitive with its parameters and types behind a function pointer.

    Attributes
    ----------
    key : tuple
        What it is made of; callbacks of equal keys do the same.
    label : str
        The primitive and the user's line.
    address : int
        What a kernel calls.
    """

    def __init__(self, equation: Equation):
        self.key = key_of(equation)
        self.primitive, self.params = equation.primitive, equation.params
        self.label = f"{equation.primitive} ({equation.where})"
        self.kinds = [atom.type for atom in equation.inputs]
        self.results = [var.type for var in equation.outputs]
        self.ins = [_reader(atom.type) for atom in equation.inputs]
        self.outs = [_writer(var.type, self.label) for var in equation.outputs]
        self.count = len(self.ins)
        kinds = [_c_type(atom.type) for atom in equation.inputs]
        kinds += [ctypes.c_void_p] * len(self.outs)
        self._function = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(self._run)
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value

    def __repr__(self):
        return f"<Callback: {self.label}>"

    def _run(self, *raw):
        try:
            transforms = active()
            if not transforms and _quiet.on:
                self._evaluate(raw)
            else:
                self._alone(raw)
            return DONE
        except BaseException as error:  # carried over the native frames, and raised behind them
            return _status_of(error)

    def _alone(self, raw):
        """Evaluate: what calls the kernel is no business of the evaluator."""
        transforms = active()
        kept = transforms[:]
        transforms.clear()
        try:
            with np.errstate(all="ignore"):
                self._evaluate(raw)
        finally:
            transforms[:] = kept

    def _evaluate(self, raw):
        args = [read(x) for read, x in zip(self.ins, raw, strict=False)]
        out = self.primitive.fun(*args, **self.params)
        if not self.primitive.multiple:
            self.outs[0](raw[-1], out)
            return
        for write, address, value in zip(self.outs, raw[self.count:], out, strict=True):
            write(address, value)


_BY_VALUE = {"f": (ctypes.c_double, "f64"), "u": (ctypes.c_uint64, "u64")}
"""How a scalar operand travels, if not as a 64-bit integer."""


def _c_type(kind: Type):
    if kind.shape or not has_kind(kind.dtype):
        return ctypes.c_void_p
    return _BY_VALUE.get(kind.dtype.kind, (ctypes.c_int64,))[0]


def _view(kind: Type) -> Callable[[int], np.ndarray]:
    """What makes an array over an address."""
    shape, dtype = kind.shape, kind.dtype
    if not kind.size:
        return lambda address: np.empty(shape, dtype)
    memory = (ctypes.c_char * (kind.size * dtype.itemsize)).from_address
    return lambda address: np.ndarray(shape, dtype, memory(address))


def _reader(kind: Type) -> Callable[[Any], Any]:
    """What makes an operand: a number, or an array of its own."""
    if not kind.shape and has_kind(kind.dtype):
        return (lambda x: x) if kind.weak else kind.dtype.type
    view = _view(kind)
    return lambda address: view(address).copy()[()]


def _writer(kind: Type, label: str) -> Callable[[int, Any], None]:
    """What stores a result."""
    view = _view(kind)

    def write(address, value):
        value = np.asarray(unwrap_plain(value))
        if value.shape != kind.shape or not (
                value.dtype == kind.dtype or np.can_cast(value.dtype, kind.dtype, "same_kind")):
            raise SciadError(
                f"{label}: its shape rule says {kind.dtype} of shape {kind.shape}, it gave "
                f"{value.dtype} of shape {value.shape}; state the shape rule anew")
        view(address)[...] = value

    def write_number(address, value):
        if type(value) is np.float64:
            ctypes.c_double.from_address(address).value = value
        else:
            write(address, value)

    return write_number if not kind.shape and kind.dtype == np.float64 else write


# --- the native side ------------------------------------------------------------------------------


def must_call_back(equation: Equation) -> bool:
    """Whether an equation has to do with dtypes that native code does not compute with."""
    return not all(has_kind(x.type.dtype) for x in (*equation.inputs, *equation.outputs))


def may_call_back(equation: Equation) -> bool:
    """Whether the evaluator of an equation can stand for it: not for control flow, whose bodies
    would run in Python as a whole."""
    return (next(equation.graphs(), None) is None and len(equation.inputs) <= _MOST_OPERANDS
            and not any(atom.type.dtype.hasobject
                        for atom in (*equation.inputs, *equation.outputs)))


def opaque_literal(em: Emitter, atom: Literal) -> Opaque:
    """A constant of a dtype that the loop IR lacks."""
    if atom.type.dtype.hasobject:
        raise Unsupported(f"no native code for dtype {atom.type.dtype}")
    name = Name(em.fresh("k"), "ptr<i8>")
    em.constants.append((name, np.ascontiguousarray(atom.value)))
    return Opaque(atom.type.shape, atom.type.dtype, name)


def call_back(em: Emitter, equation: Equation, operands: Sequence[Value | Opaque]) -> list:
    """Emit the call of an equation's evaluator; gives the values of its outputs."""
    callback = em.callbacks.get(key_of(equation))
    if callback is None:
        callback = Callback(equation)
        em.callbacks[callback.key] = callback
    args = [_argument(em, atom.type, value)
            for atom, value in zip(equation.inputs, operands, strict=True)]
    outs = [_result(em, var.type) for var in equation.outputs]
    label = em.fresh("s")
    status = Name(label, "i64")
    target = symbol_of(callback) if em.linked else em.pointer(callback.address, callback)
    em.emit(ir.Call(target, (*args, *(out.name for out in outs)), label))
    known = Op("select", (status < _FIRST_RAISED, index(INTERRUPTED), status))
    em.emit(ir.If(status.ne(DONE), [ir.Return(known)], []))
    return outs


def _argument(em: Emitter, kind: Type, value: Value | Opaque) -> Expr:
    if type(value) is Opaque:
        return value.name
    if kind.shape:
        return em.to_buffer(value).name
    return em.let(convert(em.scalars(value).entries[0],
                          _BY_VALUE.get(kind.dtype.kind, (None, "i64"))[1]))


def _result(em: Emitter, kind: Type) -> Buffer | Opaque:
    name = KINDS.get(kind.dtype.name)
    if name is None:
        memory = em.alloc("i8", kind.size * kind.dtype.itemsize)
        return Opaque(kind.shape, kind.dtype, memory)
    return em.buffer(kind.shape, name)


# --- names ----------------------------------------------------------------------------------------


def key_of(equation: Equation) -> tuple:
    """Equations of equal keys may share a callback. It holds its parameters alive, so that those
    that are no plain numbers or texts may count by identity."""
    return (equation.primitive, tuple((k, _constant(v)) for k, v in equation.params.items()),
            tuple((x.type, str(x.type.dtype)) for x in (*equation.inputs, *equation.outputs)))


def _constant(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_constant, value))
    if type(value) in (bool, int, float, str, type(None)):
        return type(value).__name__, repr(value)
    return type(value).__name__, id(value)


_symbols: dict[str, Callback] = {}
_lock = threading.Lock()


def symbol_of(callback: Callback) -> str:
    """The symbol under which linked code finds a callback, or one that does the same; it lives as
    long as the process. The name tells little of the content: the code is linked anew in each
    process, with what the name stands for there."""
    primitive, params, types = callback.key
    content = f"{primitive.name} {params} {types}"
    stem = f"sciad_callback_{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    with _lock:
        names = (f"{stem}_{k}" for k in itertools.count())
        name = next(x for x in names if _symbols.setdefault(x, callback).key == callback.key)
        symbols.register(name, _symbols[name].address)
    return name
