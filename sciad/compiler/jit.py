"""jit: run a function as machine code, recorded once for each kind of arguments.

A call flattens its arguments, finds the specialisation for their types and for what the function
reaches besides them (`sciad.compiler.environment`), and runs its kernel. What cannot be recorded
or compiled runs eagerly, with one warning that names the line and the reason.
"""

from __future__ import annotations

import functools
import inspect
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sciad.compiler import loops
from sciad.compiler.environment import SEEN_THROUGH, Environment, pure_run, rebuild
from sciad.compiler.native import Kernel, call_p, kernel_of
from sciad.compiler.values import Unsupported
from sciad.core import tree
from sciad.core.array import Array, current, has_data, unwrap_plain
from sciad.core.errors import ArgumentError, NoRuleError, RecordError, SciadError
from sciad.core.graph import Graph, type_of
from sciad.core.primitive import pack
from sciad.core.record import record_leaves, recording
from sciad.core.transforms import Taken
from sciad.ops.control import BufferFull, loop_capacity

_STATIC = (bool, str, bytes, type(None), np.bool_)
_GROWTH = 8
_LEAF = tree.flatten(0.0)[1]


class FallbackWarning(UserWarning):
    """A function that should have been compiled runs eagerly; the message says why."""


def jit(f: Callable | None = None, *, static_argnames: Iterable[str] = (),
        strict: bool = False) -> Any:
    """Compile a function to machine code at its first call.

    Parameters
    ----------
    f : callable
        Any function of containers of numbers and arrays, a transform of one (``grad(f)``), or a
        method. Without it, a decorator is returned.
    static_argnames : iterable of str
        Arguments that count by value rather than being traced.
    strict : bool
        Whether to raise instead of running eagerly when the function cannot be compiled.

    Returns
    -------
    Jitted
        Called as `f`. ``lower(*args)`` shows every stage, ``report()`` what was compiled.

    Warns
    -----
    FallbackWarning
        Once for each reason why a call runs eagerly.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> f = sciad.jit(lambda x: np.sin(x) if x > 0 else -x)
    >>> float(f(0.0)), float(f(-2.0))
    (-0.0, 2.0)
    """
    if f is None:
        return functools.partial(jit, static_argnames=static_argnames, strict=strict)
    if not callable(f):
        raise ArgumentError(f"jit takes a function, got a {type(f).__name__}")
    return f if isinstance(f, Jitted) else Jitted(f, tuple(static_argnames), strict)


class Specialisation:
    """A function recorded for one kind of arguments.

    `differentiates` tells that a gradient was taken inside. If its result holds a NaN, the call is
    repeated eagerly, where singular points of entries that a selection dropped are masked.
    """

    __slots__ = ("graph", "structure", "single", "differentiates", "kernel", "keep", "seconds", "calls", "reason")

    def __init__(self, graph: Graph, structure, keep, seconds: float):
        self.graph = graph
        self.structure = structure
        self.single = structure == _LEAF
        self.keep = keep
        self.seconds = {"record": seconds}
        self.calls = 0
        self.kernel: Kernel | None = None
        self.reason = ""


class Jitted:
    """A compiled function; see `jit`."""

    def __init__(self, f: Callable, static_argnames: tuple[str, ...], strict: bool):
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.static_argnames = static_argnames
        self.strict = strict
        self.hits = 0
        self._known: dict[Any, Specialisation] = {}
        self._fast: dict[tuple, Specialisation] = {}
        self._refused: dict[Any, str] = {}
        self._environment = Environment(f)
        self._static_ints = False
        self._capacity = 1024

    def __repr__(self):
        name = getattr(self.f, "__name__", repr(self.f))
        return f"<jitted {name}: {len(self._known)} signatures>"

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args, **kwargs):
        if self._fast and not kwargs and self._environment.unchanged():
            found = self._fast.get(tuple([_quick_signature(x) for x in args]))
            if found is not None:
                return self._run_fast(found, args)
        return self._run(args, kwargs)

    def _run_fast(self, found, args):
        """Plain numbers and arrays of a kind seen before, nothing else changed."""
        self.hits += 1
        found.calls += 1
        try:
            outs = found.kernel(*self._environment.leaves, *args)
        except BufferFull:
            return self._grow(args, {})
        if found.differentiates and _any_nan(outs):
            return self.f(*args)
        return outs[0] if found.single else tree.unflatten(found.structure, outs)

    def _grow(self, args, kwargs):
        """Record again, with more room for what a loop or a solve stores."""
        self._capacity *= _GROWTH
        self._known.clear()
        self._fast.clear()
        return self(*args, **kwargs)

    def _run(self, args, kwargs):
        call = self._bind(args, kwargs)
        if call.reason:
            return self.f(*args, **kwargs)
        found, leaves = call.found, call.leaves
        found.calls += 1
        if call.traced or found.kernel is None:
            if recording():
                outs = found.graph(*leaves)
            else:
                outs = call_p(*leaves, graph=found.graph)
        else:
            try:
                outs = found.kernel(*leaves)
            except BufferFull:
                return self._grow(args, kwargs)
            if found.differentiates and _any_nan(outs):
                return self.f(*args, **kwargs)
            self._remember(found, args, kwargs)
        return tree.unflatten(found.structure, [unwrap_plain(x) for x in outs])

    def _remember(self, found, args, kwargs):
        """Let later calls with arguments of this kind take the fast path."""
        key = tuple([_quick_signature(x) for x in args])
        if not kwargs and None not in key and not self.static_argnames:
            self._fast[key] = found

    # --- finding the specialisation ------------------------------------------------------------

    def _bind(self, args, kwargs) -> _Call:
        if self.static_argnames:
            args, kwargs, static = self._split_static(args, kwargs)
        else:
            static = ()
        given, structure = tree.flatten((args, kwargs))
        if not self._environment.unchanged():
            self._environment = Environment(self.f)
            self._fast.clear()
        environment = self._environment
        leaves = list(environment.leaves)
        signature: list[Any] = [_signature(x) for x in leaves]
        fixed: dict[int, Any] = {}
        for k, x in enumerate(given):
            if isinstance(x, _STATIC) or type(x) is int and self._static_ints:
                fixed[k] = x
                signature.append((type(x), x))
            else:
                x = _leaf(x)
                leaves.append(x)
                signature.append(_signature(x))
        key = (tuple(signature), structure, static, environment.key)
        traced = any(type(x) is Array for x in leaves)
        found = self._known.get(key)
        if found is not None:
            self.hits += 1
            return _Call(found, leaves, traced)
        reason = self._refused.get(key)
        if reason is None:
            try:
                found = self._specialise(leaves, structure, fixed, static, environment)
                self._known[key] = found
                return _Call(found, leaves, traced)
            except _IntsAreStatic:
                self._static_ints = True
                return self._bind(args, {**kwargs, **dict(static)})
            except (RecordError, NoRuleError, Unsupported) as error:
                if self.strict:
                    raise
                reason = self._refused[key] = str(error)
                self._warn(reason)
        return _Call(None, leaves, traced, reason)

    def _split_static(self, args, kwargs):
        bound = inspect.signature(self.f).bind(*args, **kwargs)
        static = tuple((n, bound.arguments[n]) for n in self.static_argnames
                       if n in bound.arguments)
        rest = {n: v for n, v in bound.arguments.items() if n not in self.static_argnames}
        return (), rest, static

    def _warn(self, reason):
        name = getattr(self.f, "__name__", "the function")
        warnings.warn(f"jit: {name} runs eagerly: {reason}", FallbackWarning, stacklevel=4)

    def _specialise(self, leaves, structure, fixed, static, environment) -> Specialisation:
        if environment.refusal:
            raise RecordError(environment.refusal)
        start, taken = time.perf_counter(), Taken.count
        captured = len(environment.leaves)

        def run(*xs):
            function = rebuild(self.f, list(xs[:captured]))
            unchanged = pure_run(function, environment.key, xs[:captured])
            rest = iter(xs[captured:])
            count = len(xs) - captured + len(fixed)
            given = [fixed[k] if k in fixed else next(rest) for k in range(count)]
            args, kwargs = tree.unflatten(structure, given)
            out = function(*args, **kwargs, **dict(static))
            if not unchanged():
                raise RecordError("the function is not pure: it changes what it reaches outside "
                                  "itself (a list, an array, a counter)")
            return out

        types = [type_of(x) for x in leaves]
        with loop_capacity(self._capacity):
            recorded = self._record(run, types, leaves)
        found = Specialisation(recorded.graph, recorded.structure, environment.keep,
                               time.perf_counter() - start)
        found.differentiates = Taken.count > taken
        try:
            found.kernel = kernel_of(recorded.graph, _kernel_name(self.f))
            found.seconds.update(found.kernel.seconds)
        except Unsupported as error:
            found.reason = str(error)
            if self.strict:
                raise
            self._warn(found.reason)
        return found

    def _record(self, run, types, leaves):
        try:
            recorded = record_leaves(run, types, verify=True)
        except RecordError:
            if not self._static_ints and any(type(x) is int for x in leaves):
                raise _IntsAreStatic from None
            raise
        if recorded.consts:
            raise RecordError("the function uses a differentiated value that it reaches neither "
                              "through its arguments nor its closure")
        return recorded

    # --- showing ---------------------------------------------------------------------------------

    def lower(self, *args, **kwargs) -> Stages:
        """Every stage of the compilation for these arguments."""
        call = self._bind(args, kwargs)
        if call.reason:
            raise RecordError(call.reason)
        kernel = call.found.kernel
        if kernel is None:
            raise Unsupported(call.found.reason)
        return Stages(kernel)

    def report(self) -> Report:
        """What was compiled, how long it took, and what runs eagerly."""
        return Report(self)


SEEN_THROUGH[Jitted] = lambda jitted: jitted.f


class _Call:
    __slots__ = ("found", "leaves", "traced", "reason")

    def __init__(self, found, leaves, traced, reason=""):
        self.found, self.leaves, self.traced, self.reason = found, leaves, traced, reason


class _IntsAreStatic(SciadError):
    """The function asks an integer argument for its value: it must count by value."""


class Stages:
    """The stages of one compilation, each a text; printing shows the first three."""

    def __init__(self, kernel: Kernel):
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

    def __repr__(self):
        return (f"# recorded\n{self.graph}\n\n# simplified\n{self.simplified}\n\n"
                f"# loops\n{self.loops}")


class Report:
    """What a jitted function did; prints as a table."""

    def __init__(self, jitted: Jitted):
        self.name = getattr(jitted.f, "__name__", repr(jitted.f))
        self.hits = jitted.hits
        self.eager = list(jitted._refused.values())
        self.signatures = [{
            "operations": len(found.graph),
            "simplified": len(found.kernel.simplified) if found.kernel else None,
            "calls": found.calls,
            "seconds": dict(found.seconds),
            "disk": bool(found.kernel and found.kernel.library.cached),
            "eager": found.reason,
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
        lines += [f"  eager: {reason}" for reason in self.eager]
        return "\n".join(lines)


def _leaf(x: Any) -> Any:
    if type(x) is Array:
        live = unwrap_plain(x)
        return current(live) if type(live) is Array else live
    if isinstance(x, np.ndarray) and x.dtype.hasobject:
        x = pack(x)
    if isinstance(x, (Array, np.ndarray, np.generic, float, int, complex)):
        return x
    if isinstance(x, (list, tuple)) or hasattr(x, "__array__"):
        return np.asarray(x)
    raise ArgumentError(f"jit: an argument is a {type(x).__name__}; pass numbers, arrays and "
                        "containers of them, or name it in static_argnames")


def _signature(x: Any) -> Any:
    kind = type(x)
    if kind is float or kind is int:
        return kind
    if kind is np.ndarray:
        return (x.shape, x.dtype.char)
    if kind is Array:
        inner = type_of(x)
        return ((inner.shape, inner.dtype.char) if not inner.weak or has_data(x) else float)
    inner = type_of(x)
    return (inner.shape, inner.dtype.char, inner.weak)


def _any_nan(outs: list) -> bool:
    """Whether a result holds a NaN: the sum of squares is NaN then, and only then."""
    for x in outs:
        if type(x) is Array:
            continue
        square = np.vdot(x, x) if type(x) is np.ndarray else x
        if square != square:
            return True
    return False


def _quick_signature(x: Any) -> Any:
    """The kind of a plain argument; None for what needs a closer look."""
    kind = type(x)
    if kind is float:
        return kind
    if kind is np.ndarray:
        return (x.shape, x.dtype.char)
    return kind if kind is np.float64 else None


def _kernel_name(f) -> str:
    name = getattr(f, "__name__", "kernel")
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name) or "kernel"
