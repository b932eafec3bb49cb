"""Kernel: a graph as a native function of flat arrays.

    Graph -> passes -> loop IR -> LLVM -> a builtin that Python calls

Kernels are kept by the graph's digest (the least recently used go first); machine code is also
kept on disk, by its text.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict
from types import FunctionType
from typing import Any

import numpy as np

from sciad.compiler import callbacks, llvm, loops
from sciad.compiler import lower_bits as _bits
from sciad.compiler import lower_complex as _complex
from sciad.compiler import lower_control as _control
from sciad.compiler import lower_elementwise as _elementwise
from sciad.compiler import lower_factor as _factor
from sciad.compiler import lower_order as _order
from sciad.compiler import lower_products as _products
from sciad.compiler import lower_reduce as _reduce
from sciad.compiler import lower_shape as _shape
from sciad.compiler.lower import lower, lower_body, lowering
from sciad.compiler.memory import empty
from sciad.compiler.nests import statements
from sciad.compiler.passes import optimise
from sciad.compiler.realify import counts_nothing, realify
from sciad.compiler.values import FIRST_STATUS, Buffer, Unavailable, Unsupported
from sciad.core.capacity import capacity, loop_capacity
from sciad.core.checkpoint import graph_p
from sciad.core.custom import recorded_p
from sciad.core.derivatives import (
    cotangent_graph,
    filled,
    float_results,
    is_float,
    out_types,
    split,
    spread,
    tangent_graph,
)
from sciad.core.graph import Graph
from sciad.core.hook import hook_p
from sciad.core.masking import has_nan
from sciad.core.rules import General
from sciad.core.sparsity import graph_pattern
from sciad.core.transforms import vjp_unstaged
from sciad.ops.control import BufferFull

REGISTERED = (_bits, _complex, _control, _elementwise, _factor, _order, _products,
              _reduce, _shape)
_NOGIL_FROM = 64
"""Statements from which on a call without loops lets go of Python's lock."""
_HOT_FROM = 1000
"""Calls after which a kernel that reaches small models through pointers is compiled again, with
the models inlined: twice as fast, but 0.15 s to compile."""


class Native:
    """A native function of a graph's inputs, called with numbers and arrays.

    `adopt` gives it the function, the arrays of constants that it takes besides, the exceptions
    that its statuses stand for, and the kinds of its scalar results.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.inputs = [None if not var.type.shape else (var.type.shape, var.type.dtype)
                       for var in graph.inputs]
        self.arrays = [(a.type.shape, a.type.dtype) for a in graph.outputs if a.type.shape]
        self.outputs = [(bool(a.type.shape), a.type.dtype.type) for a in graph.outputs]
        self.complex_in = _complex_scalars(graph.inputs)
        self.complex_out = _complex_scalars([a for a in graph.outputs if not a.type.shape])
        self.cold_calls = 0

    def adopt(self, function, constants: list, statuses: list[Exception], results: list[str]):
        self._code = function, constants
        self.statuses = statuses
        self.single = len(results) == 1 and not self.arrays and results[0] in (
            "f64", "f32", "i1")

    def _specialise(self):
        """What follows when `cold_calls` have been counted down."""

    def __call__(self, *leaves: Any) -> list:
        """Run on numbers and arrays of the graph's input types."""
        if self.cold_calls:
            self.cold_calls -= 1
            if not self.cold_calls:
                self._specialise()
        function, constants = self._code
        args = [x if kind is None else _contiguous(x, kind)
                for x, kind in zip(leaves, self.inputs, strict=True)]
        if self.complex_in:
            args = _parts(args, self.complex_in)
        outs = [empty(shape, dtype) for shape, dtype in self.arrays]
        result = function(*args, *constants, *outs)
        if type(result) is int:
            self._fail(result)
        if self.single:
            return [self.outputs[0][1](result)]
        arrays = iter(outs)
        scalars = iter(result if type(result) is tuple else (result,))
        if self.complex_out:
            scalars = _numbers(scalars, self.complex_out)
        return [next(arrays) if is_array else dtype(next(scalars))
                for is_array, dtype in self.outputs]

    def _fail(self, status: int):
        callbacks.throw(status)
        raise failure(self.statuses, status)


class Kernel(Native):
    """The native form of a graph.

    Attributes
    ----------
    graph, simplified : Graph
        As recorded, and after the passes.
    lowered : Lowered
        The loop IR and what its parameters are.
    library : Library
        The machine code.
    seconds : dict
        Time by stage.
    fastmath : bool
        Whether elementwise arithmetic may be reassociated and contracted.
    """

    def __init__(self, graph: Graph, name: str = "kernel", fastmath: bool = False):
        super().__init__(graph)
        self.fastmath = fastmath
        start = time.perf_counter()
        self.simplified = optimise(realify(graph))
        self.seconds = {"passes": time.perf_counter() - start}
        self._adopt(self._compile(name))
        self.cold_calls = _HOT_FROM if self.lowered.inlinable else 0

    def _compile(self, name: str, inline: bool = False):
        start = time.perf_counter()
        lowered = lower(self.simplified, name, inline, threads=True, fastmath=self.fastmath)
        self.seconds["lower"] = time.perf_counter() - start
        entry = self.entry = llvm.Entry(
            name, tuple(lowered.params), tuple(lowered.results),
            nogil=self._has_arrays() or takes_time(lowered.module))
        library = llvm.compile_module(lowered.module, (entry,))
        self.seconds.update(library.seconds)
        return lowered, library, library.function(entry)

    def _adopt(self, compiled):
        self.lowered, self.library, self.function = compiled
        function = callbacks.watched(self.function) if self.lowered.callbacks else self.function
        self.adopt(function, self.lowered.constants, self.lowered.statuses, self.lowered.results)

    def _specialise(self):
        """Compile again with the models of its solves inlined, while the calls go on."""
        name = self.lowered.name
        threading.Thread(target=lambda: self._adopt(self._compile(name, inline=True)),
                         name="sciad-specialise").start()

    @property
    def cached(self) -> bool:
        """Whether the machine code came from the disk."""
        return self.library.cached

    def _has_arrays(self):
        return any(var.type.shape for var in self.graph.inputs)

    def __repr__(self):
        return f"<Kernel: {len(self.simplified)} operations>"


def takes_time(module: loops.Module) -> bool:
    """Whether a call may take long enough to let other threads of Python run meanwhile: it loops,
    calls something, or is long."""
    count = 0
    for function in module.functions:
        for statement in statements(function.body):
            count += 1
            if count > _NOGIL_FROM or isinstance(statement, (
                    loops.Loop, loops.While, loops.Spread, loops.Call)):
                return True
    return False


def failure(statuses: list[Exception], status: int) -> Exception:
    """The exception that a kernel's status stands for."""
    if status >= FIRST_STATUS:
        return _again(statuses[status - FIRST_STATUS])
    if status == -1:
        return MemoryError("a compiled function could not allocate its workspace")
    return callbacks.KernelError(f"a compiled function returned the unknown status {status}")


def _again(exception: Exception) -> Exception:
    """An exception of the program, made anew. One of a class with an initialiser of its own is
    not initialised again: its `args` need not be what that takes."""
    kind = type(exception)
    if isinstance(kind.__init__, FunctionType):
        new = kind.__new__(kind, *exception.args)
        new.__dict__.update(exception.__dict__)
        return new
    try:
        return copy.copy(exception)
    except TypeError:
        return exception.with_traceback(None)


def _complex_scalars(atoms) -> list[bool] | None:
    """Which of these are complex scalars; None if none is."""
    flags = [not atom.type.shape and atom.type.dtype.kind == "c" for atom in atoms]
    return flags if any(flags) else None


def _parts(args: list, flags: list[bool]) -> list:
    """Complex scalars as two numbers."""
    out = []
    for x, flag in zip(args, flags, strict=True):
        out += (x.real, x.imag) if flag else (x,)
    return out


def _numbers(scalars, flags: list[bool]):
    """Two numbers as one complex scalar."""
    return (complex(next(scalars), next(scalars)) if flag else next(scalars) for flag in flags)


def _contiguous(x: Any, kind) -> np.ndarray:
    if type(x) is np.ndarray and x.dtype is kind[1] and x.flags.c_contiguous:
        return x
    return np.ascontiguousarray(x, kind[1]).reshape(kind[0])


class _Cache:
    """Kernels by graph digest, the least recently used dropped first."""

    def __init__(self, most: int):
        self.most = most
        self.kernels: OrderedDict[Any, Any] = OrderedDict()
        self.lock = threading.RLock()

    def get(self, graph: Graph, name: str, fastmath: bool) -> Kernel:
        key = graph.key, fastmath
        with self.lock:
            found = self.kernels.get(key)
            if found is None:
                try:
                    found = Kernel(graph, name, fastmath)
                except Unsupported as reason:
                    found = reason
                self.kernels[key] = found
                if len(self.kernels) > self.most:
                    self.kernels.popitem(last=False)
            else:
                self.kernels.move_to_end(key)
        if isinstance(found, Unsupported):
            raise found
        return found


_cache = _Cache(most=512)


def kernel_of(graph: Graph, name: str = "kernel", fastmath: bool = False) -> Kernel:
    """The kernel of a graph, compiled at most once.

    Raises
    ------
    Unsupported
        If something in the graph has no native form, or native code is not available here.
    """
    if not llvm.available():
        raise Unavailable("native code is not available here (SCIAD_JIT=0, or no LLVM)")
    return _cache.get(graph, name, fastmath)


def evaluate(graph: Graph, *leaves: Any, fastmath: bool = False) -> list:
    """Run a graph natively, or by its own evaluator where that is not possible."""
    try:
        kernel = kernel_of(graph, fastmath=fastmath)
    except Unsupported:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # as machine code
            outs = graph(*leaves)
        # an entry may be an input, or a view or a constant of the graph: copy
        return [x.astype(atom.type.dtype) if hasattr(x, "dtype") else atom.type.dtype.type(x)
                for x, atom in zip(outs, graph.outputs, strict=True)]
    return kernel(*leaves)


# --- a compiled function as an operation ----------------------------------------------------------


def call(graph: Graph, leaves, fastmath: bool = False) -> tuple:
    """Run a graph on any values as one operation."""
    return call_p(*leaves, **_params(graph, fastmath))


def _params(graph: Graph, fastmath: bool) -> dict:
    return {"graph": graph, "fastmath": True} if fastmath else {"graph": graph}


def _call_fun(*leaves, graph, fastmath=False):
    return tuple(evaluate(graph, *leaves, fastmath=fastmath))


def _call_jvp(tangents, outs, args, params):
    graph, fastmath = params["graph"], params.get("fastmath", False)
    active = tuple(t is not None for t in tangents)
    dots = call(tangent_graph(graph, active), [*args, *(t for t in tangents if t is not None)],
                fastmath)
    return spread(dots, out_types(graph))


_room: dict[str, int] = {}
"""Iterations that the backward pass of a graph has room for, where more were needed than usual."""


def _pulled(graph: Graph, wanted: tuple[bool, ...], args: tuple, fastmath: bool) -> list:
    """The cotangents of a graph's inputs; its loops get more room until they have enough."""
    while True:
        room = _room.get(graph.key, capacity())
        with loop_capacity(room):
            pull = cotangent_graph(graph, wanted)
        try:
            return list(call(pull, args, fastmath))
        except BufferFull:
            _room[graph.key] = 8 * room


def _call_vjp(cotangents, needs, outs, args, params):
    graph = params["graph"]
    wanted = tuple(need and is_float(var.type)
                   for need, var in zip(needs, graph.inputs, strict=True))
    seeds = filled(cotangents, out_types(graph))
    parts = _pulled(graph, wanted, (*args, *seeds), params.get("fastmath", False))
    if has_nan(parts):  # singular points of dropped entries are masked by the eager pass
        chosen, rest = split(wanted, args)
        parts = vjp_unstaged(float_results(graph, wanted, rest), chosen)[1](seeds)
    parts = iter(parts)
    return [next(parts) if want else None for want in wanted]


call_p = General("call", _call_fun, lambda *types, graph, fastmath=False: out_types(graph),
                 _call_jvp, _call_vjp, multiple=True, joint_pattern=graph_pattern)
"""A graph as one operation: natively evaluated, differentiated through its derivative graphs."""


counts_nothing(call_p)


@lowering(call_p, graph_p, recorded_p)
def _lower_call(em, step, *operands):
    inputs = [em.forced(x) for x in operands]
    inputs = [Buffer(x.shape, x.kind, x.name) if type(x) is Buffer else x for x in inputs]
    outer, em.fast = em.fast, em.fast or step.params.get("fastmath", False)
    outs = lower_body(em, step.params["graph"], inputs)
    em.fast = outer
    return outs


@lowering(hook_p)
def _lower_hook(em, step, *operands):
    return list(operands)
