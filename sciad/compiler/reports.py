"""What `jit` shows of its work: the stages of one compilation, and a table of all."""

from __future__ import annotations

from typing import Any

from sciad.compiler import loops
from sciad.compiler.device import DeviceKernel, cuda_text
from sciad.compiler.native import Kernel


class Stages:
    """The stages of one compilation, each a text; printing shows the first three."""

    def __init__(self, kernel: Kernel | DeviceKernel):
        self.graph = kernel.graph
        self.simplified = kernel.simplified
        self._kernel = kernel

    @property
    def loops(self) -> str:
        """The loop IR."""
        return loops.text(self._kernel.lowered.module)

    @property
    def llvm(self) -> str:
        """The LLVM text as rendered."""
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
        return cuda_text(self.simplified, self._kernel.lowered.name)

    def __repr__(self):
        return (f"# recorded\n{self.graph}\n\n# simplified\n{self.simplified}\n\n"
                f"# loops\n{self.loops}")


class Report:
    """What a jitted function did; prints as a table."""

    def __init__(self, jitted: Any):
        self.name = getattr(jitted.f, "__name__", repr(jitted.f))
        self.hits = jitted.hits
        self.eager = list(jitted._refused.values())
        self.signatures = [{
            "operations": len(found.graph),
            "simplified": len(found.kernel.simplified) if found.kernel else None,
            "calls": found.calls,
            "seconds": dict(found.seconds),
            "disk": bool(found.kernel and found.kernel.cached),
            "eager": found.reason,
            "callbacks": list(found.kernel.lowered.callbacks) if found.kernel else [],
        } for found in jitted._known.values()]

    @property
    def compile_seconds(self) -> float:
        """Recording and compiling, all signatures."""
        return sum(sum(s["seconds"].values()) for s in self.signatures)

    def __repr__(self):
        lines = [f"jit of {self.name}: {len(self.signatures)} signatures, {self.hits} cache hits"]
        for s in self.signatures:
            stages = ", ".join(f"{k} {v * 1e3:.1f} ms" for k, v in s["seconds"].items())
            code = f"eager ({s['eager']})" if s["eager"] else (
                "machine code from disk" if s["disk"] else "compiled here")
            lines.append(f"  {s['operations']} operations ({s['simplified']} simplified), "
                         f"{s['calls']} calls, {code}: {stages}")
            if s["callbacks"]:
                lines.append(f"    calls back to Python: {', '.join(s['callbacks'])}")
        lines += [f"  eager: {reason}" for reason in self.eager]
        return "\n".join(lines)
