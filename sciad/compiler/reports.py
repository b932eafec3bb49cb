"""What `jit` shows of its work: the stages of one compilation, and a table of all."""

from __future__ import annotations

import html
from functools import cached_property
from typing import Any

from sciad.compiler import loops
from sciad.compiler.device import DeviceKernel, cuda_text
from sciad.compiler.lower import Lowered, lower
from sciad.compiler.native import Kernel
from sciad.compiler.passes import optimise
from sciad.compiler.realify import realify
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import Unsupported
from sciad.core.graph import Graph


class Uncompiled:
    """The stages of a graph that has no machine code, for the reason given: those before it."""

    def __init__(self, graph: Graph, reason: str, name: str, fastmath: bool):
        self.graph, self.reason, self.name, self.fastmath = graph, reason, name, fastmath
        self.simplified = optimise(realify(graph))

    @cached_property
    def lowered(self) -> Lowered:
        return lower(self.simplified, self.name, threads=True, fastmath=self.fastmath)

    @property
    def library(self) -> Any:
        raise Unsupported(self.reason)


class Stages:
    """The stages of one compilation, each a text; printing shows the first three.

    Attributes
    ----------
    graph : Graph
        The operations as recorded, one by one.
    simplified : Graph
        What remains after constants are folded, equal operations shared and unused ones dropped.
    """

    def __init__(self, kernel: Kernel | DeviceKernel | Uncompiled):
        self.graph = kernel.graph
        self.simplified = kernel.simplified
        self._kernel = kernel

    @property
    def loops(self) -> str:
        """The loop IR: statements about single numbers, with loops over flat buffers."""
        return loops.text(self._kernel.lowered.module)

    @property
    def llvm(self) -> str:
        """The LLVM text as spelled from the loops, before LLVM optimises it."""
        return self._kernel.library.text

    @property
    def optimised(self) -> str:
        """The LLVM text after optimisation."""
        return self._kernel.library.optimised_text()

    @property
    def assembly(self) -> str:
        """The machine code as assembly."""
        return self._kernel.library.assembly()

    @property
    def cuda(self) -> str:
        """The CUDA text that a device would run."""
        return cuda_text(self.graph, self._kernel.lowered.name)

    def __repr__(self):
        try:
            last = self.loops
        except Unsupported as reason:
            last = f"none: {reason}"
        return (f"# recorded\n{self.graph}\n\n# simplified\n{self.simplified}\n\n"
                f"# loops\n{last}")


class Report:
    """What a jitted function did; prints as a table, and shows as one in a notebook.

    Attributes
    ----------
    name : str
        Of the function.
    hits : int
        Calls that found their machine code.
    eager : list of str
        Why calls ran eagerly, where nothing was recorded.
    signatures : list of dict
        For each kind of arguments: `operations` recorded, `simplified` what remains of them,
        `runs` of the function while it was recorded, `branches` on values, `joins` of their paths,
        `calls`, `seconds` by stage, whether the recording was found in `memory` or the machine
        code on `disk`, why it runs `eager`, how often and why calls were `repeated` eagerly, the
        operations that are `callbacks` to Python, the bytes of `workspace` that a call takes.
    """

    def __init__(self, jitted: Any):
        self.name = getattr(jitted.f, "__name__", repr(jitted.f))
        self.hits = jitted.hits
        state = jitted._state
        self.eager = list(state.refused.values())
        self.signatures = [_signature(found, key in state.recorded)
                           for key, found in state.known.items()]

    @property
    def compile_seconds(self) -> float:
        """Recording and compiling, all signatures."""
        return sum(sum(s["seconds"].values()) for s in self.signatures)

    def __repr__(self):
        lines = [f"jit of {self.name}: {len(self.signatures)} signatures, {self.hits} cache hits"]
        for s in self.signatures:
            stages = ", ".join(f"{k} {v * 1e3:.1f} ms" for k, v in s["seconds"].items())
            lines.append(f"  {s['operations']} operations ({s['simplified']} simplified), "
                         f"{s['calls']} calls, {_code(s)}: {stages}")
            lines += [f"    {note}" for note in _notes(s)]
        lines += [f"  eager: {reason}" for reason in self.eager]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ["operations", "simplified", "runs", "branches", "calls", "compiled in", "code",
                 "notes"]
        rows = [[s["operations"], s["simplified"], s["runs"], s["branches"], s["calls"],
                 f"{sum(s['seconds'].values()) * 1e3:.1f} ms", _code(s), "; ".join(_notes(s))]
                for s in self.signatures]
        body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
        eager = "".join(f"<p>eager: {html.escape(reason)}</p>" for reason in self.eager)
        return (f"<table><caption>jit of {html.escape(self.name)}: {self.hits} cache hits"
                f"</caption><tr>{_cells('th', heads)}</tr>{body}</table>{eager}")


def _cells(tag: str, entries: list) -> str:
    return "".join(f"<{tag}>{html.escape(str(x))}</{tag}>" for x in entries)


def _signature(found: Any, recorded_here: bool) -> dict[str, Any]:
    """What there is to say of one specialisation."""
    kernel = found.kernel
    lowered = getattr(kernel, "lowered", None)
    return {
        "operations": len(found.graph),
        "simplified": len(kernel.simplified) if kernel else None,
        "runs": found.explored.runs,
        "branches": found.explored.questions,
        "joins": found.explored.joins,
        "calls": found.calls,
        "seconds": dict(found.seconds),
        "memory": not recorded_here,
        "disk": bool(kernel and kernel.cached),
        "eager": found.reason,
        "repeated": dict(found.repeated),
        "callbacks": list(getattr(lowered, "callbacks", ())),
        "workspace": workspace(lowered.module) if lowered else 0,
        "fastmath": found.options.fastmath,
        "writes": len(found.writes),
    }


def workspace(module: loops.Module) -> int:
    """The bytes of buffers of constant size that the functions of a module allocate."""
    return sum(_bytes(statement) for function in module.functions
               for statement in _statements(function.body) if isinstance(statement, loops.Alloc))


def _bytes(alloc: loops.Alloc) -> int:
    count = alloc.count
    size = DTYPES[alloc.type].itemsize if alloc.type in DTYPES else 8
    return size * count.value if isinstance(count, loops.Const) else 0


def _statements(body: list):
    for statement in body:
        yield statement
        for name in ("head", "body", "then", "orelse"):
            inner = getattr(statement, name, None)
            if isinstance(inner, list):
                yield from _statements(inner)


def _code(s: dict[str, Any]) -> str:
    if s["eager"]:
        return f"eager ({s['eager']})"
    if s["memory"]:
        return "recorded before"
    return "machine code from disk" if s["disk"] else "compiled here"


def _notes(s: dict[str, Any]) -> list[str]:
    """What is said only where there is something to say."""
    notes = []
    if s["branches"]:
        notes.append(f"{s['branches']} branches on values, {s['runs']} runs, {s['joins']} joins")
    if s["workspace"]:
        notes.append(f"workspace of {s['workspace']} bytes")
    if s["writes"]:
        notes.append(f"writes into {s['writes']} of its arguments")
    if s["callbacks"]:
        notes.append("calls back to Python: " + ", ".join(map(str, s["callbacks"])))
    notes += [f"repeated eagerly {n} times: {why}" for why, n in s["repeated"].items()]
    return notes
