"""jit: run a function as machine code, recorded once for each kind of arguments.

A call flattens its arguments, finds the specialisation for their types and for what the function
reaches besides them (`sciad.compiler.environment`), and runs its kernel. What cannot be recorded
or compiled runs eagerly, with one warning that names the line and the reason.
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import threading
import time
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sciad.compiler.arguments import INTEGERS, Call, Static
from sciad.compiler.collecting import uncollected
from sciad.compiler.device import compiles, device_kernel
from sciad.compiler.environment import SEEN_THROUGH, Environment
from sciad.compiler.long_programs import LongProgramWarning, complaint
from sciad.compiler.native import call_p, kernel_of
from sciad.compiler.purity import watched
from sciad.compiler.reports import Report, Stages
from sciad.compiler.values import Unavailable, Unsupported
from sciad.core import tree
from sciad.core.array import Array, unwrap_plain
from sciad.core.backend import KINDS, ground, home_of, module_of, on_any_device
from sciad.core.errors import (
    ArgumentError,
    LostGradientError,
    NoRuleError,
    RecordError,
    SciadError,
)
from sciad.core.graph import Graph, type_of
from sciad.core.primitive import Watching, watch
from sciad.core.record import record_leaves, recording
from sciad.core.transforms import Taken
from sciad.ops.control import BufferFull, loop_capacity

_INTS_ARE_STATIC = object()
"""In place of a specialisation: the function asks an integer argument for its value."""

_MOST_KNOWN = 256
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

    __slots__ = ("graph", "structure", "single", "differentiates", "kernel", "keep", "seconds",
                 "calls", "reason", "available")

    def __init__(self, graph: Graph, structure, keep, seconds: float):
        self.graph = graph
        self.structure = structure
        self.single = structure == _LEAF
        self.keep = keep
        self.seconds = {"record": seconds}
        self.calls = 0
        self.kernel: Any = None  # Kernel or DeviceKernel
        self.reason = ""
        self.available = True
        self.differentiates = False


class _Recordings:
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


_recordings = _Recordings(most=1024)


class Jitted:
    """A compiled function; see `jit`."""

    def __init__(self, f: Callable, static_argnames: tuple[str, ...], strict: bool):
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.static_argnames = static_argnames
        self.strict = strict
        self.hits = 0
        self._known: OrderedDict[Any, Specialisation] = OrderedDict()
        self._refused: dict[Any, str] = {}
        self._warned: set[str] = set()
        self._fast: tuple[Environment | None, dict[tuple, Specialisation]] = (None, {})
        self._static_ints = False
        self._capacity = 1024

    def __repr__(self):
        name = getattr(self.f, "__name__", repr(self.f))
        return f"<jitted {name}: {len(self._known)} signatures>"

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return Jitted(types.MethodType(self.f, instance), self.static_argnames, self.strict)

    def __reduce__(self):
        """Pickled by the name it has in its module, or by its function."""
        found: Any = sys.modules.get(self.__module__)
        for part in self.__qualname__.split("."):
            found = getattr(found, part, None)
        return self.__qualname__ if found is self else (
            Jitted, (self.f, self.static_argnames, self.strict))

    def __call__(self, *args, **kwargs):
        if Watching.threads and watch() is not None:
            return self.f(*args, **kwargs)
        environment, table = self._fast
        if table and not kwargs and environment.unchanged():
            found = table.get(tuple([_quick_signature(x) for x in args]))
            if found is not None:
                return self._run_fast(found, environment, args)
        return self._run(args, kwargs)

    def _run_fast(self, found, environment, args):
        """Plain numbers and arrays of a kind seen before, nothing else changed."""
        self.hits += 1
        found.calls += 1
        try:
            outs = found.kernel(*environment.leaves, *args)
        except BufferFull:
            return self._grow(args, {})
        except SciadError as error:
            if not getattr(error, "eager_knows_more", False):
                raise
            return self.f(*args)
        if found.differentiates and _any_nan(outs):
            return self.f(*args)
        return outs[0] if found.single else tree.unflatten(found.structure, outs)

    def _grow(self, args, kwargs):
        """Record again, with more room for what a loop or a solve stores."""
        self._capacity *= _GROWTH
        self._known.clear()
        self._fast = (None, {})
        return self(*args, **kwargs)

    def _run(self, args, kwargs):
        call = self._bind(args, kwargs)
        if call.error is not None:
            return self._run_after(call, args, kwargs)
        if call.reason:
            return self.f(*args, **kwargs)
        found, leaves = call.found, call.leaves
        found.calls += 1
        if call.traced or found.kernel is None:
            if recording():
                outs = [_own(x) for x in found.graph(*leaves)]
            else:
                try:
                    outs = call_p(*leaves, graph=found.graph)
                except BufferFull:
                    return self._grow(args, kwargs)
                if found.differentiates and not call.traced and _any_nan(outs):
                    return self.f(*args, **kwargs)
        else:
            try:
                outs = found.kernel(*leaves)
            except BufferFull:
                return self._grow(args, kwargs)
            except SciadError as error:
                if not getattr(error, "eager_knows_more", False):
                    raise
                return self.f(*args, **kwargs)
            if found.differentiates and _any_nan(outs):
                return self.f(*args, **kwargs)
            self._remember(call, args, kwargs)
        return tree.unflatten(found.structure, [unwrap_plain(x) for x in outs])

    def _run_after(self, call, args, kwargs):
        """Recording raised an exception. If the function itself raises, that is what the caller
        sees; else the exception came of values without data."""
        if self.strict:
            raise call.error
        out = self.f(*args, **kwargs)
        self._refuse(call.key, f"recording it raised {call.error!r}")
        return out

    def _remember(self, call, args, kwargs):
        """Let later calls with arguments of this kind take the fast path."""
        environment, table = self._fast
        if environment is not call.environment:
            self._fast = call.environment, (table := {})
        key = tuple([_quick_signature(x) for x in args])
        if not kwargs and None not in key and not self.static_argnames:
            table[key] = call.found

    # --- finding the specialisation ------------------------------------------------------------

    def _bind(self, args, kwargs) -> Call:
        if self.static_argnames:
            args, kwargs = self._with_static(args, kwargs)
        given, structure = tree.flatten((args, kwargs))
        environment = self._fast[0]
        if environment is None or not environment.unchanged():
            environment = Environment(self.f)
        call = Call(environment, given, structure, self._static_ints)
        home = home_of(*call.leaves)
        if home is not None and not compiles(call.leaves):
            call.reason = "arrays of the host meet those of a device"
            return call
        on_device = [KINDS[type(ground(x))] is not None for x in call.leaves] if home else []
        call.key = (*call.signature, self._capacity, *on_device)
        found = self._known.get(call.key) or _recordings.get(call.key)
        if found is None:
            found = self._specialise(call)
        elif type(found) is Specialisation:
            self.hits += 1
        if found is _INTS_ARE_STATIC:
            self._static_ints = True
            return self._bind(args, kwargs)
        if type(found) is str:
            if self.strict:
                raise RecordError(found)
            self._refuse(call.key, found)
            call.reason = found
        elif found is not None:
            self._adopt(call, found)
        return call

    def _adopt(self, call, found):
        call.found = found
        if call.key not in self._known:
            self._known[call.key] = found
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        if found.reason and found.available:
            if self.strict:
                raise Unsupported(found.reason)
            self._warn(found.reason)
        if found.reason and home_of(*call.leaves) is not None:
            call.reason = found.reason

    def _with_static(self, args, kwargs):
        """The arguments, those that count by value marked."""
        try:
            bound = inspect.signature(self.f).bind(*args, **kwargs)
        except ValueError as error:  # a function of C without a signature
            raise ArgumentError(f"jit: static_argnames needs a signature: {error}") from None
        for name in self.static_argnames:
            if name in bound.arguments and type(bound.arguments[name]) is not Static:
                bound.arguments[name] = Static(bound.arguments[name])
        return bound.args, bound.kwargs

    def _refuse(self, key, reason):
        _recordings.put(key, reason)
        self._refused[key] = reason
        if len(self._refused) > _MOST_KNOWN:
            self._refused.pop(next(iter(self._refused)))
        self._warn(reason)

    def _warn(self, reason):
        if reason in self._warned:
            return
        self._warned.add(reason)
        name = getattr(self.f, "__name__", "the function")
        warnings.warn(f"jit: {name} runs eagerly: {reason}", FallbackWarning, stacklevel=_depth())

    def _warn_if_long(self, graph):
        text = complaint(graph)
        if text and LongProgramWarning.__name__ not in self._warned:
            self._warned.add(LongProgramWarning.__name__)
            name = getattr(self.f, "__name__", "the function")
            warnings.warn(f"jit: {name}: {text}", LongProgramWarning, stacklevel=_depth())

    def _specialise(self, call) -> Any:
        """What comes of recording: a specialisation, a reason not to, or None after an exception,
        which is then in `call`."""
        found: Any
        try:
            with uncollected():
                found = self._recorded(call)
        except (RecordError, NoRuleError, Unsupported, LostGradientError) as error:
            if not self._static_ints and any(isinstance(x, INTEGERS) for x in call.leaves):
                found = _INTS_ARE_STATIC
            elif self.strict:
                raise
            else:
                found = str(error)
        except Exception as error:  # the program's own, or NumPy's about a value without data
            call.error = error
            return None
        _recordings.put(call.key, found)
        return found

    def _recorded(self, call) -> Specialisation:
        start, taken = time.perf_counter(), Taken.count
        if call.refusal:
            raise RecordError(call.refusal)
        types = [type_of(x) for x in call.leaves]
        with loop_capacity(self._capacity), watched():
            integers = [] if self._static_ints else [
                k for k, x in enumerate(call.leaves) if isinstance(x, INTEGERS)]
            recorded = record_leaves(lambda *xs: call.run(self.f, xs), types, True, integers)
        if recorded.consts:
            raise RecordError("the function uses a differentiated value that it reaches neither "
                              "through its arguments nor its closure")
        self._warn_if_long(recorded.graph)
        found = Specialisation(recorded.graph, recorded.structure, call.keep,
                               time.perf_counter() - start)
        found.differentiates = Taken.count > taken
        try:
            make: Callable = kernel_of if home_of(*call.leaves) is None else functools.partial(
                device_kernel, call.leaves)
            found.kernel = make(recorded.graph, _kernel_name(self.f))
            found.seconds.update(found.kernel.seconds)
        except Unsupported as error:
            found.reason = str(error)
            found.available = not isinstance(error, Unavailable)
        return found

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


class _Inlined:
    """A jitted function inside another, recorded with it. Its results are its own, as a compiled
    function's: writing into one changes neither another nor an argument."""

    __slots__ = ("f",)

    def __init__(self, f):
        self.f = f

    def __call__(self, *args, **kwargs):
        return tree.tree_map(_own, self.f(*args, **kwargs))


SEEN_THROUGH[Jitted] = SEEN_THROUGH[_Inlined] = _Inlined


def _any_nan(outs: list) -> bool:
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


_NUMBERS = frozenset([np.float64, complex, np.complex128])


def _quick_signature(x: Any) -> Any:
    """The kind of a plain argument; None for what needs a closer look."""
    kind = type(x)
    if kind is float:
        return kind
    if kind is np.ndarray:
        return (x.shape, x.dtype.char)
    return kind if kind in _NUMBERS else None


def _kernel_name(f) -> str:
    name = getattr(f, "__name__", "kernel")
    return "py_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name)


def _own(x: Any) -> Any:
    """A value under a handle of its own, so that writing into one does not change another."""
    return Array(x._value, x._interp, x._node) if type(x) is Array else (
        x.copy() if type(x) is np.ndarray else x)


def _depth() -> int:
    """How far up the stack the user's code is (for `warnings`)."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame, depth = frame.f_back, depth + 1
    return depth
