"""A jitted function recorded and compiled for one kind of arguments."""

from __future__ import annotations

import functools
import operator
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sciad.compiler.arguments import INTEGERS, Call, Static
from sciad.compiler.device import device_kernel
from sciad.compiler.devices import device_named
from sciad.compiler.native import call as evaluated
from sciad.compiler.native import kernel_of
from sciad.compiler.purity import watched
from sciad.compiler.values import Unavailable, Unsupported
from sciad.core import tree
from sciad.core.array import Array
from sciad.core.backend import home_of, module_of, on_any_device
from sciad.core.errors import RecordError
from sciad.core.graph import Graph, type_of
from sciad.core.record import Explored, Recorded, record_leaves, recording
from sciad.core.transforms import Taken
from sciad.ops.control import loop_capacity

_LEAF = tree.flatten(0.0)[1]


class Options(NamedTuple):
    """What the user chose of the machine code; part of the key of a recording."""

    fastmath: bool = False
    device: str = "cpu"

    @classmethod
    def of(cls, fastmath: bool, device: str | None) -> Options:
        return cls(bool(fastmath), device_named(device))

    def kernel(self, graph: Graph, name: str, leaves: Sequence) -> Any:
        """The kernel of a graph where its inputs live; `Unsupported` where there can be none."""
        if home_of(*leaves) is None:
            return kernel_of(graph, name, self.fastmath)
        return device_kernel(leaves, graph, name, self.fastmath)


class Specialisation:
    """A function recorded for one kind of arguments.

    `differentiates` tells that a gradient was taken inside. If its result holds a NaN, the call is
    repeated eagerly, where singular points of entries that a selection dropped are masked.
    `writes` lists the leaves that the function writes into; what they become stands behind the
    results. `given` is what is known of the arguments: their structure, the values that count by
    value, the number of captured leaves. `catches` tells whether the program may handle what is
    raised in it.
    """

    __slots__ = ("graph", "structure", "single", "differentiates", "kernel", "keep", "seconds",
                 "calls", "reason", "available", "writes", "explored", "given", "repeated",
                 "options", "plain", "catches")

    def __init__(self, graph: Graph, structure: Any, given: Given, options: Options,
                 writes: list[int]):
        self.graph, self.structure = graph, structure
        self.single = structure == _LEAF
        self.given, self.options, self.writes = given, options, writes
        self.explored = Explored(0, 0, 0)
        self.keep: list = []
        self.seconds: dict[str, float] = {}
        self.calls = 0
        self.repeated: Counter[str] = Counter()
        self.kernel: Any = None
        self.reason = ""
        self.available = True
        self.differentiates = self.catches = False
        self.plain = not writes

    def compile(self, name: str, leaves: Sequence = ()) -> None:
        """Make the kernel; where there can be none, note why."""
        try:
            self.kernel = self.options.kernel(self.graph, name, leaves)
            self.seconds.update(self.kernel.seconds)
        except Unsupported as error:
            self.reason = str(error)
            self.available = not isinstance(error, Unavailable)

    def run(self, leaves: list, traced: bool) -> list:
        """The outputs for these inputs; `traced` if an outer transform follows one of them."""
        if not traced and self.kernel is not None:
            return self.kernel(*leaves)
        if recording():
            return [own(x) for x in self.graph(*leaves)]
        return list(evaluated(self.graph, leaves, self.options.fastmath))

    @staticmethod
    def any_nan(outs: list) -> bool:
        """Whether a result holds a NaN: the sum of squares is NaN then, and only then."""
        asked: list = []
        for x in outs:
            if type(x) is Array:
                continue
            if on_any_device(x):
                asked.append(module_of(x).isnan(x).any())
                continue
            square = np.vdot(x, x) if type(x) is np.ndarray else x
            if square != square:
                return True
        return bool(functools.reduce(operator.or_, asked)) if asked else False

    def write_back(self, outs: list, leaves: list) -> list:
        """The results alone; what the function writes into its arguments is written there."""
        if self.plain:
            return outs
        count = len(outs) - len(self.writes)
        for k, out in zip(self.writes, outs[count:], strict=True):
            leaves[k][...] = out
        return outs[:count]


class Given(NamedTuple):
    """The arguments that a specialisation was recorded for: `fixed` are those that count by value,
    `marked` those of them that the user declared static; `constants` are the captured leaves that
    count by value."""

    structure: Any
    fixed: dict[int, Any]
    captured: int
    marked: frozenset[int]
    constants: dict[int, tuple] = {}


class Recordings:
    """What was recorded by any jitted function, so that a fresh lambda of known code does not
    record again; the least recently used go first. A text is the reason of a refusal."""

    def __init__(self, most: int):
        self.most = most
        self.found: OrderedDict[Any, Any] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key):
        with self.lock:
            found = self.found.get(key)
            if found is not None:
                self.found.move_to_end(key)
            return found

    def put(self, key, found):
        with self.lock:
            self.found[key] = found
            if len(self.found) > self.most:
                self.found.popitem(last=False)


def specialised(f: Callable, call: Call, options: Options, capacity: int,
                static_ints: bool) -> Specialisation:
    """Record a function for the arguments of a call.

    Raises
    ------
    RecordError and what else recording raises.
    """
    start, taken = time.perf_counter(), Taken.count
    if call.refusal:
        raise RecordError(call.refusal)
    integers = [] if static_ints else [
        k for k, x in enumerate(call.leaves) if isinstance(x, INTEGERS)]
    types = [type_of(x) for x in call.leaves]

    def record() -> Recorded:
        with loop_capacity(capacity), watched():
            return record_leaves(lambda *xs: call.run(f, xs), types, True, integers, True)

    recorded = record()
    if call.touched:
        call.writes = sorted(call.touched)
        recorded = record()
    if recorded.consts:
        raise RecordError("the function uses a differentiated value that it reaches neither "
                          "through its arguments nor its closure")
    structure = recorded.structure.child(0) if call.writes else recorded.structure
    given = Given(call.structure, dict(call.fixed), call.captured,
                  frozenset(k for k, x in enumerate(call.given) if type(x) is Static),
                  call.constants)
    found = Specialisation(recorded.graph, structure, given, options, call.writes)
    found.explored, found.keep = recorded.explored, call.keep
    found.seconds["record"] = time.perf_counter() - start
    found.differentiates = Taken.count > taken
    return found


def own(x: Any) -> Any:
    """A value under a handle of its own, so that writing into one does not change another."""
    return Array(x._value, x._interp, x._node) if type(x) is Array else (
        x.copy() if type(x) is np.ndarray else x)
