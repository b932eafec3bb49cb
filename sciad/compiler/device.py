"""A graph on a device: kernels of CUDA text, launched through the device's array module.

    Graph -> passes -> loop IR -> launches -> text -> RawModule (NVRTC) -> kernels

The array module (CuPy) compiles the text, owns the memory and the stream. A call copies nothing to
the host and waits for nothing, unless the program can stop with an exception (its status is read
once, at the end) or the host decides what comes next (the condition of a loop over arrays).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

from sciad.compiler.cuda import FAILED, OPTIONS
from sciad.compiler.launches import Branch, Cycle, Library, Plan, Product, Repeat, plan
from sciad.compiler.lower import LOWERINGS, Lowered, lower
from sciad.compiler.lower_factor import UNROLL
from sciad.compiler.lower_products import calls_blas
from sciad.compiler.native import call_p, failure
from sciad.compiler.nodes import Const, is_buffer
from sciad.compiler.parts import real_dtype
from sciad.compiler.passes import optimise
from sciad.compiler.realify import realify
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import Unavailable, Unsupported
from sciad.core.backend import KINDS, Backend, evaluate, ground, home_of, on_device
from sciad.core.graph import Equation, Graph, Type

BLOCK = 256
MOST_BLOCKS = 1 << 14
UNKNOWN_BLOCKS = 1 << 10


LIBRARY = {"argsort": 0, "argmax": 16, "argmin": 16, "cumsum": 16, "cumprod": 16}
"""Primitives whose loops need one another, and the entries from which the array module, which has
parallel forms of them, is asked."""

FACTORISATIONS = {"solve": UNROLL, "det": UNROLL, "slogdet": UNROLL, "cholesky": UNROLL,
                  **dict.fromkeys(("qr", "eigh", "svd", "lstsq", "pinv", "cofactor",
                                   "cofactor_change"), 0)}
"""Factorisations, and up to which extent of a matrix they are written out."""


def in_library(equation: Equation) -> bool:
    """Whether the array module shall evaluate an equation that has a native form."""
    name, shapes = equation.primitive.name, [atom.type.shape for atom in equation.inputs]
    if name == "matmul" and equation.outputs[0].type.dtype.kind == "f":
        return calls_blas(*shapes[0][-2:], shapes[1][-1])
    if name in FACTORISATIONS:
        return max(shapes[0][-2:]) > FACTORISATIONS[name]
    if getattr(LOWERINGS.get(equation.primitive), "by_pointer", False):
        return True
    return name in LIBRARY and any(math.prod(shape) > LIBRARY[name] for shape in shapes)


def labels_of(kind: Type, names: Iterator[str]) -> list[str]:
    """The parameters that stand for a value: a complex number is two."""
    return [next(names) for _ in range(2 if kind.dtype.kind == "c" and not kind.shape else 1)]


def pointers(lowered: Lowered) -> dict[str, Any]:
    """What the function pointers among the parameters stand for."""
    names = [name for name, kind in lowered.module.functions[-1].params if kind == "ptr"]
    return dict(zip(names, lowered.owners, strict=True))


class DeviceKernel:
    """The device form of a graph.

    Attributes
    ----------
    graph, simplified : Graph
        As recorded, and after the passes.
    text : str
        The CUDA text.
    plan : Plan
        What the host launches.
    seconds : dict
        Time by stage.
    """

    cached = False

    def __init__(self, graph: Graph, home: Backend, name: str = "kernel",
                 pointed: tuple[bool, ...] = (), fastmath: bool = False):
        self.graph, self.home = graph, home
        start = time.perf_counter()
        self.simplified = optimise(realify(graph))
        middle = time.perf_counter()
        self.lowered = lower(self.simplified, name, whole=True, fastmath=fastmath,
                             library=in_library)
        names = iter([label for label, _ in self.lowered.module.functions[-1].params])
        self.inputs = [(labels_of(var.type, names), var.type) for var in graph.inputs]
        scalars = frozenset(
            label for (labels, kind), flag in zip(self.inputs, pointed, strict=True)
            for label in labels if flag and not kind.shape)
        arrays = self.lowered.constants[:len(self.lowered.constants) - len(self.lowered.owners)]
        self.constants = {next(names): home.module.asarray(x) for x in arrays}
        for _ in self.lowered.owners:
            next(names)
        self.results = self._results(names)
        self.plan: Plan = plan(self.lowered.module, scalars, pointers(self.lowered))
        self.text = self.plan.text
        end = time.perf_counter()
        self.seconds = {"passes": middle - start, "lower": end - middle}
        self.module = home.module.RawModule(code=self.text, options=OPTIONS)
        self.functions = {kernel.name: self.module.get_function(kernel.name)
                          for kernel in self.plan.kernels}
        self.seconds["emit"] = time.perf_counter() - end

    def _results(self, names) -> list:
        """The labels and types of the results, in their order; the program has its results of
        shape () last."""
        kinds = [atom.type for atom in self.graph.outputs]
        order = sorted(range(len(kinds)), key=lambda k: not kinds[k].shape)
        labels = {k: labels_of(kinds[k], names) for k in order}
        return [(labels[k], kind) for k, kind in enumerate(kinds)]

    def __call__(self, *leaves: Any) -> list:
        """Run on numbers, and arrays of the device of the graph's input types."""
        return _Run(self, leaves).results()

    def __repr__(self):
        return f"<DeviceKernel: {len(self.simplified)} operations, {len(self.functions)} kernels>"


class _Run:
    """One call: what the names of the program stand for."""

    def __init__(self, kernel: DeviceKernel, leaves: tuple):
        self.kernel, self.xp, self.plan = kernel, kernel.home.module, kernel.plan
        self.values: dict[str, Any] = dict(kernel.constants)
        for (labels, type), x in zip(kernel.inputs, leaves, strict=True):
            parts = [x] if len(labels) == 1 else [x.real, x.imag]
            self.values.update(zip(labels, [self._passed(part, type) for part in parts],
                                   strict=True))
        self.outs = [self._result(labels, type) for labels, type in kernel.results]
        if self.plan.bytes:
            self.values["work"] = self.xp.empty(self.plan.bytes, np.int8)
        if self.plan.slots or self.plan.guarded:
            self.values["frame"] = self.xp.zeros(len(self.plan.slots) + 1, np.int64)

    def _passed(self, x, type: Type):
        """An input as kernels take it: an array of the device, or a number by value."""
        if KINDS[x.__class__] is not None:
            return self.xp.ascontiguousarray(x, type.dtype) if type.shape else x
        if type.shape:
            return self.xp.asarray(np.asarray(x, type.dtype))
        return (real_dtype(type.dtype) if type.dtype.kind == "c" else type.dtype).type(x)

    def _result(self, labels: list[str], type: Type):
        """Memory for a result; a complex number is two real ones there."""
        if len(labels) == 1:
            out = self.values[labels[0]] = self.xp.empty(type.shape, type.dtype)
            return out
        out = self.xp.empty(1, type.dtype)
        real = out.view(real_dtype(type.dtype))
        self.values.update({labels[0]: real[:1], labels[1]: real[1:]})
        return out.reshape(())

    def results(self) -> list:
        self.block(self.plan.steps)
        if self.plan.guarded:
            self.frame()
        return self.outs

    def frame(self) -> np.ndarray:
        """The frame on the host; raises if the program stopped."""
        found = self.kernel.home.to_host(self.values["frame"])
        if found[0]:
            raise failure(self.kernel.lowered.statuses, FAILED - int(found[0]))
        return found

    def read(self, name: str):
        slot, kind = self.plan.slots[name]
        return self.frame()[slot:slot + 1].view(DTYPES[kind])[0]

    def block(self, steps) -> None:
        for step in steps:
            kind = type(step)
            if kind is Repeat:
                self.repeat(step)
            elif kind is Cycle:
                self.block(step.head)
                while self.read(step.condition):
                    self.block(step.body)
                    self.block(step.head)
            elif kind is Branch:
                self.block(step.then if self.read(step.condition) else step.orelse)
            elif kind is Product:
                self.product(step)
            elif kind is Library:
                self.library(step)
            else:
                self.launch(step.kernel)

    def launch(self, kernel) -> None:
        extent = kernel.extent
        if extent == 0:
            return
        blocks = UNKNOWN_BLOCKS if extent is None else min(-(-extent // BLOCK), MOST_BLOCKS)
        threads = BLOCK if kernel.threads else 1
        self.kernel.functions[kernel.name](
            (blocks,), (threads,), tuple([self.values[name] for name in kernel.arguments]))

    def repeat(self, step: Repeat) -> None:
        start, stop = (int(x.value) if type(x) is Const else int(self.read(x.name))
                       for x in (step.start, step.stop))
        steps = range(start, stop)
        for k in reversed(steps) if step.reverse else steps:
            self.values[step.index] = np.int64(k)
            self.block(step.body)

    def product(self, step: Product) -> None:
        """By the device's own library (cuBLAS), on views of the operands."""
        dtype = DTYPES[step.type]
        a = self.array(step.a, (step.rows, step.inner), dtype)
        b = self.array(step.b, (step.inner, step.columns), dtype)
        self.array(step.c, (step.rows, step.columns), dtype)[...] = self.xp.matmul(a, b)

    def library(self, step: Library) -> None:
        """By the array module, as in eager mode."""
        callback = step.callback
        args = [self.operand(x, kind)
                for x, kind in zip(step.operands, callback.kinds, strict=True)]
        out = evaluate(callback.primitive, self.kernel.home, args, callback.params)
        results = out if callback.primitive.multiple else (out,)
        for name, value, kind in zip(step.results, results, callback.results, strict=True):
            self.array(name, kind.shape, kind.dtype)[...] = value

    def operand(self, x, kind):
        """An operand of a library call: an array, a number, or a number that is on the device."""
        if type(x) is Const:
            return x.value if kind.weak else kind.dtype.type(x.value)
        if is_buffer(x.type):
            return self.array(x.name, kind.shape, kind.dtype)
        if x.name not in self.plan.slots:
            return self.values[x.name]
        slot = self.plan.slots[x.name][0]
        found = self.values["frame"][slot:slot + 1].view(DTYPES[x.type]).reshape(())
        return found.astype(kind.dtype)

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype):
        """An array of the program, wherever it stands."""
        found = self.plan.buffers.get(name)
        if found is None:
            return self.values[name].reshape(shape)
        size = math.prod(shape) * dtype.itemsize
        return self.values["work"][found[0]:found[0] + size].view(dtype).reshape(shape)


def cuda_text(graph: Graph, name: str = "kernel") -> str:
    """The CUDA text of a graph whose scalar inputs come by value."""
    lowered = lower(optimise(realify(graph)), name, whole=True, library=in_library)
    return plan(lowered.module, pointers=pointers(lowered)).text


# ---- the kernels of graphs -----------------------------------------------------------------------


class _Cache:
    """Kernels by graph and device, the least recently used dropped first."""

    def __init__(self, most: int):
        self.most = most
        self.kernels: OrderedDict[Any, DeviceKernel | Unsupported] = OrderedDict()
        self.lock = threading.RLock()

    def get(self, key, make) -> DeviceKernel:
        with self.lock:
            found = self.kernels.get(key)
            if found is None:
                try:
                    found = make()
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


def device_kernel(leaves: Any, graph: Graph, name: str = "kernel",
                  fastmath: bool = False) -> DeviceKernel:
    """The kernel of a graph for leaves of which some live on a device, compiled at most once.

    Raises
    ------
    Unsupported
        If something in the graph has no device form, or the device takes no CUDA text.
    """
    home = home_of(*leaves)
    if home is None:
        raise Unsupported("no argument lives on a device")
    if os.environ.get("SCIAD_JIT", "1") == "0":
        raise Unavailable("native code is not available here (SCIAD_JIT=0)")
    if not hasattr(home.module, "RawModule"):
        raise Unsupported(f"it takes arrays of {home.name}, which are not compiled: the module has "
                          "no RawModule")
    pointed = tuple(KINDS[type(ground(x))] is not None for x in leaves)
    return _cache.get((graph.key, home.name, pointed, fastmath),
                      lambda: DeviceKernel(graph, home, name, pointed, fastmath))


def compiles(leaves: Any) -> bool:
    """Whether these values may be a compiled function's: arrays of numbers of the host's among
    those of a device are refused by eager code, which names the line."""
    return not any(isinstance(x, np.ndarray) and x.ndim and x.dtype.kind in "fc" for x in leaves)


def _call_on_device(home: Backend, *leaves, graph, fastmath=False):
    leaves = [ground(x) for x in leaves]
    try:
        kernel = device_kernel(leaves, graph, fastmath=fastmath)
    except Unsupported:
        return tuple(graph(*leaves))
    return tuple(kernel(*leaves))


on_device(call_p, _call_on_device)
