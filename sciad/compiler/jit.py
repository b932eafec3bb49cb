"""jit: run a function as machine code, recorded once for each kind of arguments.

A call flattens its arguments, finds the specialisation for their types and for what the function
reaches besides them (`sciad.compiler.environment`), and runs its kernel. What cannot be recorded
or compiled runs eagerly, with one warning that names the line and the reason.
"""

from __future__ import annotations

import functools
import sys
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sciad.compiler.arguments import (
    INTEGERS,
    Call,
    check_static,
    quick_signature,
    with_static,
)
from sciad.compiler.by_value import REFUSALS, ByValue, asked_for
from sciad.compiler.catching import refuse_idle_stops
from sciad.compiler.collecting import uncollected
from sciad.compiler.device import compiles
from sciad.compiler.devices import DeviceError, moved
from sciad.compiler.environment import SEEN_THROUGH, Environment
from sciad.compiler.long_programs import LongProgramWarning, complaint
from sciad.compiler.nested import Inlined
from sciad.compiler.orders import Orders
from sciad.compiler.recent import Recent
from sciad.compiler.recompiling import Histories, RecompilationWarning
from sciad.compiler.reports import Report, Stages, Uncompiled
from sciad.compiler.saved import save
from sciad.compiler.sparse_products import CompiledProducts, is_sparse
from sciad.compiler.specialise import Options, Recordings, Specialisation, specialised
from sciad.compiler.values import Unsupported
from sciad.core import tree
from sciad.core.array import unwrap_plain
from sciad.core.backend import KINDS, ground, home_of
from sciad.core.errors import (
    ArgumentError,
    BoundsError,
    RecordError,
    SciadError,
    UntoldError,
)
from sciad.core.graph import Graph
from sciad.core.primitive import Watching, watch
from sciad.core.transformed import name_in_module
from sciad.ops.control import BufferFull

_INTS_ARE_STATIC = object()
"""In place of a specialisation: the function asks an integer argument for its value."""

_IMPORTED = object()
"""The same: recording imported a module that the function reads, which is known now."""

_MOST_KNOWN = 256
_GROWTH = 8


class FallbackWarning(UserWarning):
    """A function that should have been compiled runs eagerly; the message says why."""


def jit(f: Callable | None = None, *, static_argnames: str | Iterable[str] = (),
        strict: bool = False, fastmath: bool = False, device: str | None = None) -> Any:
    """Compile a function to machine code at its first call.

    Parameters
    ----------
    f : callable
        Any function of containers of numbers and arrays, a transform of one (``grad(f)``), or a
        method. Without it, a decorator is returned.
    static_argnames : str or iterable of str
        Arguments that count by value rather than being traced.
    strict : bool
        Whether to raise instead of running eagerly when the function cannot be compiled.
    fastmath : bool
        Whether sums, products and quotients may be reordered, contracted (``a*b + c`` rounded
        once) and divided by way of the reciprocal. Results then differ from NumPy's by rounding;
        NaN and infinity keep their meaning. Derivatives of the function follow suit.
    device : {None, "cpu", "gpu"}
        Where it runs; the GPU needs CuPy.

    Returns
    -------
    Jitted
        Called as `f`. ``lower(*args)`` shows every stage, ``report()`` what was compiled,
        ``save(path)`` keeps it in a file.

    Warns
    -----
    FallbackWarning
        Once for each reason why a call runs eagerly.
    RecompilationWarning
        Once, after eight kinds of arguments; the message says what differs from one to the next.

    Notes
    -----
    Numbers are values, so a learning rate that changes compiles nothing. An int is a value too,
    until the function asks for it (``range(n)``, a shape, an index); it then counts by value, as
    texts, truth values and None always do. What the function writes into an array among its
    arguments is written there, as without `jit`. Of a sparse derivative, ``jacobian(f, sparsity=
    "auto")``, the products are compiled; the matrix is put together in Python.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> f = sciad.jit(lambda x: np.sin(x) if x > 0 else -x)
    >>> float(f(0.0)), float(f(-2.0))
    (-0.0, 2.0)
    """
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    options = Options.of(fastmath, device)
    if f is None:
        return lambda f: jit(f, static_argnames=names, strict=strict, fastmath=fastmath,
                             device=device)
    if isinstance(f, (staticmethod, classmethod)):
        return type(f)(jit(f.__func__, static_argnames=names, strict=strict, fastmath=fastmath,
                           device=device))
    if not callable(f):
        raise ArgumentError(f"jit takes a function, got a {type(f).__name__}")
    if isinstance(f, Jitted):
        made = names or f.static_argnames, strict or f.strict, (
            f.options if options == Options() else options)
        return f if made == f._made_with() else Jitted(f.f, *made)
    if is_sparse(f):
        return CompiledProducts(f, jit(f.f, static_argnames=names, strict=strict,
                                       fastmath=fastmath, device=device))
    check_static(f, names)
    return Jitted(f, names, strict, options)


_recordings = Recordings(most=512)


class _State:
    """What a jitted function knows; shared with its bound methods."""

    def __init__(self, f: Callable):
        self.hits = 0
        self.known = Recent(_MOST_KNOWN)
        self.recorded: set[Any] = set()
        self.refused: dict[Any, str] = {}
        self.warned: set[str] = set()
        self.static_ints = False
        self.capacity = 1024
        self.history = Histories(f)


class Jitted:
    """A compiled function; see `jit`."""

    def __init__(self, f: Callable, static_argnames: tuple[str, ...], strict: bool,
                 options: Options, state: _State | None = None):
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.static_argnames = static_argnames
        self.strict = strict
        self.options = options
        self._state = state or _State(f)
        self._fast: tuple[Environment | None, Recent] = (None, Recent(_MOST_KNOWN))

    @property
    def _known(self) -> Recent:
        return self._state.known

    @property
    def hits(self) -> int:
        """Calls that found their machine code."""
        return self._state.hits

    def _made_with(self) -> tuple:
        return self.static_argnames, self.strict, self.options

    def __repr__(self):
        name = getattr(self.f, "__name__", repr(self.f))
        return f"<jitted {name}: {len(self._known)} signatures>"

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return Jitted(types.MethodType(self.f, instance), *self._made_with(), self._state)

    def __reduce__(self):
        """Pickled by the name it has in its module, or by its function."""
        return name_in_module(self) or (Jitted, (self.f, *self._made_with()))

    def __call__(self, *args, **kwargs):
        if Watching.threads and watch() is not None:
            return self.f(*args, **kwargs)
        environment, table = self._fast
        if table and not kwargs and environment.unchanged():
            found = table.get(tuple([quick_signature(x) for x in args]))
            if found is not None:
                return self._run_fast(found, environment, args)
        return self._run(args, kwargs)

    def _run_fast(self, found, environment, args):
        """Plain numbers and arrays of a kind seen before, nothing else changed."""
        self._state.hits += 1
        found.calls += 1
        try:
            outs = found.kernel(*environment.leaves, *args)
        except BufferFull:
            return self._grow(args, {})
        except Exception as error:
            return self._repeated(found, args, {}, error)
        if found.differentiates and found.any_nan(outs):
            return self._repeated(found, args, {})
        return outs[0] if found.single else tree.unflatten(found.structure, outs)

    def _grow(self, args, kwargs):
        """Record again, with more room for what a loop or a solve stores."""
        self._state.capacity *= _GROWTH
        self._known.clear()
        self._fast = (None, Recent(_MOST_KNOWN))
        return self(*args, **kwargs)

    def _repeated(self, found, args, kwargs, error: Exception | None = None):
        """Run eagerly what machine code has no answer to. An exception is one: the program may
        catch it, or write into its arguments before."""
        if isinstance(error, (MemoryError, RecursionError)) or isinstance(
                error, SciadError) and not getattr(error, "eager_knows_more", False):
            raise error
        if isinstance(error, np.linalg.LinAlgError) and not found.catches:
            raise error  # it is NumPy's own, and some libraries never end where there are NaNs
        if isinstance(error, BoundsError) and home_of(*tree.flatten((args, kwargs))[0]) is not None:
            raise error  # a device's arrays do not look at bounds
        found.repeated[_why_repeated(error)] += 1
        out = self.f(*args, **kwargs)
        if isinstance(error, UntoldError):  # it did not raise after all
            self._warn(f"{error}, in a branch")
        return out

    def _run(self, args, kwargs):
        if self.options.device == "cuda":
            args, kwargs = moved(args, kwargs)
        call = self._bind(args, kwargs)
        if call.error is not None:
            return self._run_after(call, args, kwargs)
        if call.reason:
            return self.f(*args, **kwargs)
        found = call.found
        if found.writes and call.overlaps(found.writes):
            found.repeated["it writes into an array that is reached in two ways"] += 1
            return self.f(*args, **kwargs)
        found.calls += 1
        self._state.hits += call.hit
        try:
            outs = found.run(call.leaves, call.traced)
        except BufferFull:
            return self._grow(args, kwargs)
        except Exception as error:
            return self._repeated(found, args, kwargs, error)
        if found.differentiates and not call.traced and found.any_nan(outs):
            return self._repeated(found, args, kwargs)
        if found.kernel is not None and not call.traced:
            self._remember(call, args, kwargs)
        outs = found.write_back(outs, call.own)
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
            self._fast = call.environment, (table := Recent(_MOST_KNOWN))
        key = tuple([quick_signature(x) for x in args])
        if any(type(call.leaves[k]) is np.ndarray for k in call.by_value):
            return  # its content may change at any time
        if not kwargs and None not in key and not self.static_argnames and call.found.plain:
            table.add(key, call.found)

    # --- finding the specialisation ------------------------------------------------------------

    def _bind(self, args, kwargs, by_value: frozenset[int] = frozenset()) -> Call:
        if self.static_argnames:
            args, kwargs = with_static(self.f, self.static_argnames, args, kwargs)
        given, structure = tree.flatten((args, kwargs))
        environment = self._fast[0]
        if environment is None or not environment.unchanged():
            environment = Environment(self.f)
        environment.by_value |= by_value
        call = Call(environment, given, structure, self._state.static_ints,
                    Orders((args, kwargs)), environment.by_value)
        home = home_of(*call.leaves)
        if home is not None and not compiles(call.leaves):
            call.reason = "arrays of the host meet those of a device"
            return call
        on_device = [KINDS[type(ground(x))] is not None for x in call.leaves] if home else []
        call.key = (*call.signature, self._state.capacity, self.options, *on_device)
        found = self._known.get(call.key) or _recordings.get(call.key)
        if found is None:
            found = self._specialise(call)
        elif type(found) is Specialisation:
            call.hit = True
        if found is _INTS_ARE_STATIC:
            self._state.static_ints = True
            return self._bind(args, kwargs)
        if found is _IMPORTED:
            return self._bind(args, kwargs, by_value)
        if type(found) is ByValue:
            return self._bind(args, kwargs, found.leaves)
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
            self._known.add(call.key, found)
            if len(self._state.recorded) > 2 * _MOST_KNOWN:
                self._state.recorded.intersection_update(self._known)
        if found.reason and found.available:
            if self.strict:
                raise Unsupported(found.reason)
            self._warn(found.reason)
        if found.reason and home_of(*call.leaves) is not None:
            call.reason = found.reason

    def _refuse(self, key, reason):
        _recordings.put(key, reason)
        self._state.refused[key] = reason
        if len(self._state.refused) > _MOST_KNOWN:
            self._state.refused.pop(next(iter(self._state.refused)))
        self._warn(reason)

    def _warn(self, reason):
        if reason in self._state.warned:
            return
        self._state.warned.add(reason)
        self._notify(f"runs eagerly: {reason}", FallbackWarning)

    def _warn_if_long(self, graph: Graph):
        text = complaint(graph)
        if text and LongProgramWarning.__name__ not in self._state.warned:
            self._state.warned.add(LongProgramWarning.__name__)
            self._notify(f"is long: {text}", LongProgramWarning)

    def _notify(self, text, category):
        name = getattr(self.f, "__name__", "the function")
        warnings.warn(f"jit: {name} {text}", category, stacklevel=_depth())

    def _specialise(self, call) -> Any:
        """What comes of recording: a specialisation, a reason not to, or None after an exception,
        which is then in `call`."""
        found: Any
        try:
            with uncollected():
                found = self._recorded(call)
        except REFUSALS as error:
            if call.environment.imported_since():
                return _IMPORTED
            found = self._asked_for(error, call)
            if found is not None:
                pass
            elif not call.static_ints and not call.long and any(
                    isinstance(x, INTEGERS) for x in call.leaves):
                found = _INTS_ARE_STATIC
            elif self.strict:
                raise
            else:
                found = str(error)
        except DeviceError:
            raise
        except Exception as error:  # the program's own, or NumPy's about a value without data
            found = self._asked_for(error, call)
            if found is None:
                call.error = error
                return None
        _recordings.put(call.key, found)
        self._state.recorded.add(call.key)
        return found

    def _asked_for(self, error, call) -> ByValue | None:
        """The captured leaves whose values recording has asked for."""

        def records(by_value) -> bool:
            again = Call(call.environment, call.given, call.structure, call.static_ints,
                         call.orders, by_value)
            try:
                specialised(self.f, again, self.options, self._state.capacity, call.static_ints)
            except Exception:  # whatever the program makes of it
                return False
            return True

        return asked_for(error, call.leaves[:call.captured], call.by_value, records)

    def _recorded(self, call) -> Specialisation:
        found = specialised(self.f, call, self.options, self._state.capacity, call.static_ints)
        found.catches = call.environment.catches
        if found.catches:
            refuse_idle_stops(found.graph)
        self._warn_if_long(found.graph)
        found.compile(_kernel_name(self.f), call.leaves)
        text = self._state.history.note(self.f, call)
        if text:
            self._notify(f"is {text}", RecompilationWarning)
        return found

    # --- showing ---------------------------------------------------------------------------------

    def lower(self, *args, **kwargs) -> Stages:
        """Every stage of the compilation for these arguments.

        Where there is no machine code, as with ``SCIAD_JIT=0``, these are the stages before it.
        """
        call = self._bind(args, kwargs)
        if call.reason:
            raise RecordError(call.reason)
        found = call.found
        return Stages(found.kernel or Uncompiled(
            found.graph, found.reason, _kernel_name(self.f), self.options.fastmath))

    def report(self) -> Report:
        """What was compiled, how long it took, and what runs eagerly.

        Examples
        --------
        >>> import sciad
        >>> f = sciad.jit(lambda x: x * x if x > 0 else -x)
        >>> for x in (1.0, -2.0, 3.0):
        ...     _ = f(x)
        >>> signature, = f.report().signatures
        >>> signature["calls"], signature["runs"], signature["branches"]
        (3, 2, 1)
        """
        return Report(self)

    def save(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Keep what was compiled in a file, for `sciad.load_compiled`.

        Parameters
        ----------
        path : str or path
            The file; one that exists is replaced.
        *args, **kwargs
            Arguments to compile for first, if given. All signatures compiled so far are kept.

        Raises
        ------
        SaveError
            If nothing was compiled, or what was compiled reaches what a file cannot hold; the
            message names it.

        Notes
        -----
        The file holds machine code for this CPU, and the graph, from which another CPU or another
        version of sciad compiles anew. What the function reaches besides its arguments (numbers
        and arrays of closures and globals) is kept as it is now.

        Examples
        --------
        >>> import os, tempfile
        >>> import sciad
        >>> path = os.path.join(tempfile.mkdtemp(), "square.sciad")
        >>> sciad.jit(lambda x: x * x).save(path, 3.0)
        >>> float(sciad.load_compiled(path)(5.0))
        25.0
        """
        if args or kwargs:
            self._bind_for_saving(args, kwargs)
        save(path, self)

    def _bind_for_saving(self, args, kwargs):
        call = self._bind(args, kwargs)
        if call.error is not None:
            raise call.error
        if call.reason:
            raise RecordError(call.reason)


SEEN_THROUGH[Jitted] = SEEN_THROUGH[Inlined] = Inlined


def _why_repeated(error: Exception | None) -> str:
    if error is None:
        return "a gradient holds a NaN: entries that a selection dropped are masked eagerly"
    return str(error) if isinstance(error, SciadError) else f"it stopped with {error!r}"


def _kernel_name(f) -> str:
    name = getattr(f, "__name__", "kernel")
    return "py_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name)


def _depth() -> int:
    """How far up the stack the user's code is (for `warnings`)."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame, depth = frame.f_back, depth + 1
    return depth
