"""A graph on a device: kernels of CUDA text, launched through the device's array module.

    Graph -> passes -> loop IR -> launches -> text -> RawModule (NVRTC) -> kernels

The array module (CuPy) compiles the text, owns the memory and the stream. A call copies nothing to
the host and waits for nothing, unless the program can stop with an exception (its status is read
once, at the end) or the host decides what comes next (the condition of a loop over arrays).
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np

from sciad.compiler.cuda import FAILED, OPTIONS
from sciad.compiler.launches import Branch, Cycle, Plan, Product, Repeat, plan
from sciad.compiler.lower import lower
from sciad.compiler.native import call_p, failure
from sciad.compiler.nodes import Const
from sciad.compiler.passes import optimise
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import Unavailable, Unsupported
from sciad.core.backend import KINDS, Backend, ground, home_of, on_device
from sciad.core.graph import Graph

BLOCK = 256
MOST_BLOCKS = 1 << 14
UNKNOWN_BLOCKS = 1 << 10


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
        self.simplified = optimise(graph)
        middle = time.perf_counter()
        self.lowered = lower(self.simplified, name, whole=True, fastmath=fastmath)
        if self.lowered.callbacks:
            raise Unsupported(f"{', '.join(sorted(set(self.lowered.callbacks)))} has no device "
                              "form")
        if self.lowered.owners:
            raise Unsupported("a function pointer has no device form")
        names = [label for label, _ in self.lowered.module.functions[-1].params]
        self.inputs = list(zip(names, graph.inputs, strict=False))
        on_device = frozenset(label for (label, var), flag in zip(self.inputs, pointed, strict=True)
                              if flag and not var.type.shape)
        self.plan: Plan = plan(self.lowered.module, on_device)
        self.text = self.plan.text
        self._name_results(names[len(self.inputs):])
        end = time.perf_counter()
        self.seconds = {"passes": middle - start, "lower": end - middle}
        self.module = home.module.RawModule(code=self.text, options=OPTIONS)
        self.functions = {kernel.name: self.module.get_function(kernel.name)
                          for kernel in self.plan.kernels}
        self.seconds["emit"] = time.perf_counter() - end

    def _name_results(self, names: list[str]) -> None:
        """Constants, then array results, then results of shape ()."""
        constants = self.lowered.constants
        asarray = self.home.module.asarray
        self.constants = {label: asarray(x)
                          for label, x in zip(names, constants, strict=False)}
        names = names[len(constants):]
        order = sorted(range(len(self.graph.outputs)),
                       key=lambda k: not self.graph.outputs[k].type.shape)
        labels = dict(zip(order, names, strict=True))
        self.results = [(labels[k], atom.type.shape, atom.type.dtype)
                        for k, atom in enumerate(self.simplified.outputs)]

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
        for (label, var), x in zip(kernel.inputs, leaves, strict=True):
            self.values[label] = self._passed(x, var.type)
        self.outs = {label: self.xp.empty(shape, dtype) for label, shape, dtype in kernel.results}
        self.values.update(self.outs)
        if self.plan.bytes:
            self.values["work"] = self.xp.empty(self.plan.bytes, np.int8)
        if self.plan.slots or self.plan.guarded:
            self.values["frame"] = self.xp.zeros(len(self.plan.slots) + 1, np.int64)

    def _passed(self, x, kind):
        if KINDS[type(x)] is None:
            return (self.xp.asarray(np.asarray(x, kind.dtype)) if kind.shape
                    else kind.dtype.type(x))
        return self.xp.ascontiguousarray(x, kind.dtype) if kind.shape else x

    def results(self) -> list:
        self.block(self.plan.steps)
        if self.plan.guarded:
            self.frame()
        return [self.outs[label] for label, *_ in self.kernel.results]

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
        a = self.matrix(step.a, step.rows, step.inner, step.type)
        b = self.matrix(step.b, step.inner, step.columns, step.type)
        self.matrix(step.c, step.rows, step.columns, step.type)[...] = self.xp.matmul(a, b)

    def matrix(self, name: str, rows: int, columns: int, kind: str):
        found = self.plan.buffers.get(name)
        if found is None:
            return self.values[name].reshape(rows, columns)
        dtype = DTYPES[kind]
        piece = self.values["work"][found[0]:found[0] + rows * columns * dtype.itemsize]
        return piece.view(dtype).reshape(rows, columns)


def cuda_text(graph: Graph, name: str = "kernel") -> str:
    """The CUDA text of a graph whose scalar inputs come by value."""
    return plan(lower(graph, name, whole=True).module).text


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
