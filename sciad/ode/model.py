"""A right-hand side as native code behind function pointers.

The function is recorded once for its kind of arguments and lowered, with its tangent and cotangent
graphs, to the three signatures that the kernels know (`sciad.ode.kernels`):

    rhs(t, y*, theta*, dy*)    jvp(t, y*, theta*, tdot, ydot*, thetadot*, dydot*)
    vjp(t, y*, theta*, g*, gt*, gy*, gtheta*)

`theta` is one vector: the extra arguments and everything else that the function reaches, one leaf
after the other. A function that cannot be recorded is called back in Python behind the same
pointers, and differentiated eagerly at each call.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from sciad.compiler import llvm
from sciad.compiler import loops as ir
from sciad.compiler.environment import (
    Environment,
    environment_of,
    is_leaf,
    pure_run,
    rebuild,
)
from sciad.compiler.loops import Name
from sciad.compiler.lower import lower_body
from sciad.compiler.passes import optimise
from sciad.compiler.values import (
    FIRST_STATUS,
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    convert,
    index,
    kind_of,
    size_of,
)
from sciad.core import tree
from sciad.core.array import Array
from sciad.core.errors import ArgumentError, DTypeError, RecordError, SciadError, at_line
from sciad.core.graph import Equation, Graph, Literal, Type, Var, type_of
from sciad.core.primitive import pack
from sciad.core.record import record_leaves
from sciad.core.transforms import jvp_unstaged, vjp_unstaged
from sciad.ode import kernels
from sciad.ops.control import cotangent_graph, tangent_graph

F64 = "ptr<f64>"
_MOST_INLINED = 40
_RAISED = 1999  # status of a callback that raised
_SIGNATURES = {
    "rhs": [("t", "f64"), ("y", F64), ("theta", F64), ("dy", F64)],
    "jvp": [("t", "f64"), ("y", F64), ("theta", F64), ("tdot", "f64"), ("ydot", F64),
            ("thetadot", F64), ("dydot", F64)],
    "vjp": [("t", "f64"), ("y", F64), ("theta", F64), ("g", F64), ("gt", F64), ("gy", F64),
            ("gtheta", F64)],
}


class Model:
    """A recorded right-hand side of dimension n: its graph, and its three native functions.

    Attributes
    ----------
    graph : Graph
        Inputs t, y and the leaves of theta; output dy.
    types : list of Type
        The types of theta's leaves.
    key : str
        Digest of the graph.
    """

    def __init__(self, graph: Graph, n: int):
        self.graph, extra = _lift_constants(graph)
        self.n = n
        self.extra = extra
        self.types = [var.type.strong() for var in self.graph.inputs[2:]]
        self.key = self.graph.key
        self.size = sum(t.size for t in self.types)
        self.statuses: list[Exception] = []
        self._libraries: dict[str, tuple[Any, str]] = {}

    def __eq__(self, other):
        return isinstance(other, Model) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __repr__(self):
        return f"<Model: y of {self.n}, {self.size} parameters, {len(self.graph)} operations>"

    @cached_property
    def floats(self) -> tuple[bool, ...]:
        """Which inputs of the graph can be differentiated."""
        return tuple(var.type.dtype.kind == "f" for var in self.graph.inputs)

    @property
    def small(self) -> bool:
        """Whether inlining into the kernels pays."""
        return self.n <= kernels.UNROLLED and len(self.graph) <= _MOST_INLINED

    def function(self, kind: str) -> ir.Function:
        """``rhs``, ``jvp`` or ``vjp`` in the loop IR, to be inlined."""
        function = _lower(self, kind)
        function.inline = "always"
        return function

    def address(self, kind: str) -> int:
        """The pointer of ``rhs``, ``jvp`` or ``vjp``."""
        found = self._libraries.get(kind)
        if found is None:
            function = _lower(self, kind)
            library = llvm.compile_module(ir.Module([function], function.name))
            found = self._libraries[kind] = (library, function.name)
        return found[0].address(found[1])

    def call(self, t, y, *leaves):
        """dy in sciad operations (for the defining program)."""
        return self.graph(t, y, *leaves)[0]

    def failure(self, status: int) -> Exception:
        """What a status that the model returned stands for."""
        exception = self.statuses[status - FIRST_STATUS]
        fresh = type(exception).__new__(type(exception), *exception.args)
        fresh.__dict__.update(exception.__dict__)
        return fresh


class CallbackModel:
    """A right-hand side that is called back in Python."""

    def __init__(self, function: Callable, n: int, types: list[Type], reason: str):
        self.function, self.n, self.types, self.reason = function, n, types, reason
        self.extra: list = []
        self.size = sum(t.size for t in types)
        self.floats = (True, True, *(t.dtype.kind == "f" for t in types))
        self.pending: BaseException | None = None
        self.key = f"callback-{id(self)}"
        self._callbacks: dict[str, Any] = {}

    def __repr__(self):
        return f"<Model called back in Python: y of {self.n}, {self.size} parameters>"

    def address(self, kind: str) -> int:
        callback = self._callbacks.get(kind)
        if callback is None:
            kinds = [ctypes.c_double if t == "f64" else ctypes.c_void_p
                     for _, t in _SIGNATURES[kind]]
            callback = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(getattr(self, "_" + kind))
            self._callbacks[kind] = callback
        return ctypes.cast(callback, ctypes.c_void_p).value

    def call(self, t, y, *leaves):
        out = self.function(t, y, *leaves)
        return _derivative(out, self.n)

    def _guard(self, action) -> int:
        if self.pending is not None:
            return _RAISED
        try:
            action()
        except BaseException as error:  # carried over the native frames, and raised behind them
            self.pending = error
            return _RAISED
        return 0

    @contextlib.contextmanager
    def watched(self):
        """Around a kernel: raises what was raised in the callbacks.

        An exception that strikes between the native code and `_guard`, as Ctrl-C may, reaches
        only Python's hook for exceptions that nothing can catch, while the kernel goes on.
        """
        hook = sys.unraisablehook

        def catch(lost):
            if "ctypes callback" in (lost.err_msg or ""):
                self.pending = self.pending or lost.exc_value
            else:
                hook(lost)

        main = threading.current_thread() is threading.main_thread()  # signals strike only there
        if main:
            sys.unraisablehook = catch
        try:
            yield
        finally:
            if main:
                sys.unraisablehook = hook
            error, self.pending = self.pending, None
            if error is not None:
                raise error

    def _state(self, t, y, theta):
        return t, _vector(y, self.n).copy(), split(_vector(theta, self.size).copy(), self.types)

    def _rhs(self, t, y, theta, dy):
        def action():
            time, state, leaves = self._state(t, y, theta)
            _vector(dy, self.n)[:] = self.call(time, state, *leaves)

        return self._guard(action)

    def _jvp(self, t, y, theta, tdot, ydot, thetadot, dydot):
        def action():
            time, state, leaves = self._state(t, y, theta)
            dots = split(_vector(thetadot, self.size).copy(), self.types)
            live = self.floats[2:]

            def of(time, state, *chosen):
                return self.call(time, state, *_merge(live, chosen, leaves))

            _, out = jvp_unstaged(of, (time, state, *_pick(live, leaves)),
                                  (tdot, _vector(ydot, self.n).copy(), *_pick(live, dots)))
            _vector(dydot, self.n)[:] = out

        return self._guard(action)

    def _vjp(self, t, y, theta, g, gt, gy, gtheta):
        def action():
            time, state, leaves = self._state(t, y, theta)
            live = self.floats[2:]

            def of(time, state, *chosen):
                return self.call(time, state, *_merge(live, chosen, leaves))

            _, pull = vjp_unstaged(of, (time, state, *_pick(live, leaves)))
            parts = pull(_vector(g, self.n).copy())
            _vector(gt, 1)[0] += parts[0]
            _vector(gy, self.n)[:] += parts[1]
            rest, total, place = iter(parts[2:]), _vector(gtheta, self.size), 0
            for kind, flag in zip(self.types, live, strict=True):
                if flag:
                    total[place:place + kind.size] += np.ravel(next(rest))
                place += kind.size

        return self._guard(action)


def _vector(address, size: int) -> np.ndarray:
    if not size:
        return np.empty(0)
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_double)), (size,))


def _pick(flags, xs):
    return [x for flag, x in zip(flags, xs, strict=True) if flag]


def _merge(flags, chosen, rest):
    chosen = iter(chosen)
    return [next(chosen) if flag else x for flag, x in zip(flags, rest, strict=True)]


def split(theta, types: list[Type]) -> list:
    """The leaves of a flat vector."""
    leaves, place = [], 0
    for kind in types:
        part = theta[place:place + kind.size].reshape(kind.shape)
        leaves.append(part.astype(kind.dtype) if kind.dtype != part.dtype else part[()])
        place += kind.size
    return leaves


def flat(leaves: list) -> np.ndarray:
    """The leaves as one vector."""
    if not leaves:
        return np.zeros(0)
    if len(leaves) == 1:
        return np.ascontiguousarray(leaves[0], float).reshape(-1)
    return np.concatenate([np.asarray(x, float).ravel() for x in leaves])


def _derivative(out: Any, n: int):
    """What a right-hand side returned, as a vector of n."""
    if not isinstance(out, Array):
        out = np.asarray(out)
        out = pack(out) if out.dtype.hasobject and out.size else out
    if out.dtype.kind not in "fiub":
        raise DTypeError(f"solve_ivp: fun returned values of dtype {out.dtype}, must be real "
                         f"numbers{at_line()}")
    if n == 1 and out.shape == ():
        out = out.reshape((1,))
    if out.shape != (n,):
        raise ArgumentError(f"solve_ivp: fun returned shape {out.shape}, y has shape ({n},)"
                            f"{at_line()}")
    return out.astype(float) if out.dtype != np.float64 else out


# --- finding the model ---------------------------------------------------------------------------

_models: OrderedDict[Any, Model | _Refusal] = OrderedDict()
_MOST_MODELS = 256
_lock = threading.RLock()


class _Refusal:
    """Why a right-hand side is called back; `keep` holds what its key names by identity."""

    def __init__(self, reason: str):
        self.reason = reason
        self.keep: list = []


def model_of(fun: Callable, args: tuple, n: int) -> tuple[Model | CallbackModel, list]:
    """The model of ``fun(t, y, *args)``, and the leaves of its theta."""
    problem = _Function(fun, args, n)
    with _lock:
        found = _models.get(problem.key)
        if found is None:
            found = _models[problem.key] = problem.record()
            found.keep = problem.environment.keep
            if len(_models) > _MOST_MODELS:
                _models.popitem(last=False)
        else:
            _models.move_to_end(problem.key)
    if isinstance(found, _Refusal):
        return problem.callback(found.reason)
    return found, [*problem.captured, *problem.dynamic, *found.extra]


def called_back(fun: Callable, args: tuple, n: int, reason: str) -> tuple[CallbackModel, list]:
    """The model that runs `fun` in Python, and the leaves of its theta."""
    return _Function(fun, args, n).callback(reason)


class _Function:
    """A right-hand side and its extra arguments, taken apart.

    Extra arguments that are numbers or arrays are leaves of theta; strings, ints and the like
    count by value; other objects are reached like what the function closes over.
    """

    def __init__(self, fun: Callable, args: tuple, n: int):
        given, self.structure = tree.flatten(args)
        self.n = n
        self.fixed = {k: x for k, x in enumerate(given) if _is_static(x)}
        self.odd = [k for k, x in enumerate(given) if k not in self.fixed and not is_leaf(x)]
        self.dynamic = [_leaf(x) for k, x in enumerate(given)
                        if k not in self.fixed and k not in self.odd]
        if self.odd:
            self.target = (fun, *[given[k] for k in self.odd])
            self.environment = Environment(self.target)
        else:
            self.target = fun
            self.environment = environment_of(fun)
        self.captured = [_leaf(x) for x in self.environment.leaves]
        self.types = [type_of(x).strong() for x in [*self.captured, *self.dynamic]]
        static = tuple((k, type(x), x) for k, x in self.fixed.items())
        self.key = (self.environment.key, self.structure, static, tuple(self.odd),
                    tuple(self.types), n)

    def run(self, target, t, y, dynamic):
        """dy, of `target` in place of the function and the objects among its arguments."""
        function, *objects = target if self.odd else (target,)
        known = {**self.fixed, **dict(zip(self.odd, objects, strict=True))}
        rest = iter(dynamic)
        given = [known[k] if k in known else next(rest)
                 for k in range(len(known) + len(dynamic))]
        return _derivative(function(t, y, *tree.unflatten(self.structure, given)), self.n)

    def record(self) -> Model | _Refusal:
        count = len(self.captured)

        def traced(t, y, *xs):
            target = rebuild(self.target, list(xs[:count]))
            unchanged = pure_run(target, self.environment.key, xs[:count])
            out = self.run(target, t, y, xs[count:])
            if not unchanged():
                raise RecordError("it changes what it reaches outside itself")
            return out

        try:
            if not llvm.available():
                raise Unsupported("native code is not available here")
            if self.environment.refusal:
                raise RecordError(self.environment.refusal)
            types = [Type((), float), Type((self.n,), float), *self.types]
            recorded = record_leaves(traced, types, verify=True)
            if recorded.consts:
                raise RecordError("it reaches a differentiated value in a way that sciad cannot "
                                  "see")
            model = Model(recorded.graph, self.n)
            model.address("rhs")
            return model
        except Exception as reason:  # whatever a user's function makes of values without data
            if isinstance(reason.__cause__, SciadError):
                reason = reason.__cause__  # what NumPy makes of our error in ``out[0] = x``
            return _Refusal(str(reason) if isinstance(reason, SciadError) else repr(reason))

    def callback(self, reason: str) -> tuple[CallbackModel, list]:
        """Python behind the pointer; its closure is traced only if it holds differentiated
        values."""
        count = len(self.captured)
        if not any(type(x) is Array for x in self.captured):
            model = CallbackModel(lambda t, y, *xs: self.run(self.target, t, y, xs), self.n,
                                  self.types[count:], reason)
            return model, self.dynamic

        def rebuilt(t, y, *xs):
            return self.run(rebuild(self.target, list(xs[:count])), t, y, xs[count:])

        return CallbackModel(rebuilt, self.n, self.types, reason), [*self.captured, *self.dynamic]


def _is_static(x) -> bool:
    return isinstance(x, (bool, str, bytes, type(None), int)) and not isinstance(x, float)


def _leaf(x):
    return pack(x) if isinstance(x, np.ndarray) and x.dtype.hasobject else x


def _lift_constants(graph: Graph) -> tuple[Graph, list]:
    """Large literal arrays as inputs: a function behind a pointer has no other place for them."""
    extra: list = []
    inputs: list[Var] = []

    def lifted(atom):
        if type(atom) is not Literal or atom.type.size <= SMALL:
            return atom
        if (np.asarray(atom.value) == np.ravel(atom.value)[0]).all():
            return atom
        for var, value in zip(inputs, extra, strict=True):
            if value is atom.value:
                return var
        inputs.append(Var(atom.type))
        extra.append(atom.value)
        return inputs[-1]

    equations = [Equation(e.primitive, [lifted(x) for x in e.inputs], e.outputs, e.params, e.line)
                 for e in graph.equations]
    outputs = [lifted(x) for x in graph.outputs]
    return Graph([*graph.inputs, *inputs], equations, outputs), extra


# --- lowering -------------------------------------------------------------------------------------


def _lower(model: Model, kind: str) -> ir.Function:
    em = Emitter(statuses=model.statuses)
    names = {name: Name(name, type) for name, type in _SIGNATURES[kind]}
    vector = Type((model.n,), float)
    values = [Scalars((), "f64", [names["t"]]), _slice(em, names["y"], 0, vector)]
    values += _leaves(em, names["theta"], model.types)
    if kind == "rhs":
        (out,) = lower_body(em, optimise(model.graph), values)
        if not em.dead:
            em.store(out, names["dy"])
    elif kind == "jvp":
        dots = [Scalars((), "f64", [names["tdot"]]), _slice(em, names["ydot"], 0, vector)]
        dots += _pick(model.floats[2:], _leaves(em, names["thetadot"], model.types))
        graph = optimise(tangent_graph(model.graph, model.floats))
        (out,) = lower_body(em, graph, values + dots)
        em.store(out, names["dydot"])
    else:
        _lower_vjp(em, model, values, names, vector)
    em.emit(ir.Return(index(0)))
    if em.constants or em.pointers:
        raise Unsupported("a constant array inside control flow has no place in a native "
                          "right-hand side")
    # the content digest in the name keeps models apart in profiles and dumps
    return ir.Function(f"{kind}_{model.key[:12]}", _SIGNATURES[kind], [*em.allocs, *em.block])


def _lower_vjp(em: Emitter, model: Model, values, names, vector):
    graph = optimise(cotangent_graph(model.graph, model.floats))
    parts = lower_body(em, graph, [*values, _slice(em, names["g"], 0, vector)])
    _add_to(em, names["gt"], 0, parts[0])
    _add_to(em, names["gy"], 0, parts[1])
    rest, place = iter(parts[2:]), 0
    for kind, flag in zip(model.types, model.floats[2:], strict=True):
        if flag:
            _add_to(em, names["gtheta"], place, next(rest))
        place += kind.size


def _slice(em: Emitter, vector: Name, place: int, kind: Type):
    """A leaf that stands at a place of a vector."""
    if kind.size <= SMALL:
        entries = [em.let(ir.Load(vector, index(place + k))) for k in range(kind.size)]
        return Scalars(kind.shape, "f64", entries)
    name = vector if place == 0 else em.let(ir.Address(vector, index(place)))
    return Buffer(kind.shape, "f64", name)


def _leaves(em: Emitter, theta: Name, types: list[Type]) -> list:
    leaves, place = [], 0
    for kind in types:
        leaf = _slice(em, theta, place, kind)
        leaves.append(_typed(em, leaf, kind))
        place += kind.size
    return leaves


def _typed(em: Emitter, leaf, kind: Type):
    """A leaf of another dtype than float64, converted."""
    name = kind_of(kind.dtype)
    if name == "f64":
        return leaf
    if type(leaf) is Scalars:
        return Scalars(leaf.shape, name, [convert(x, name) for x in leaf.entries])
    out = em.buffer(kind.shape, name)
    with em.loop(kind.size) as i:
        em.emit(ir.Store(out.name, i, convert(ir.Load(leaf.name, i), name)))
    return out


def _add_to(em: Emitter, vector: Name, place: int, value) -> None:
    """Add a value to a stretch of a vector."""
    if type(value) is Scalars:
        for k, entry in enumerate(value.entries):
            spot = index(place + k)
            em.emit(ir.Store(vector, spot, ir.Load(vector, spot) + convert(entry, "f64")))
        return
    value = value if getattr(value, "flat", True) else em.to_buffer(value)
    with em.loop(size_of(value.shape)) as i:
        spot = em.let(i + place) if place else i
        entry = convert(em.element(value, i), "f64")
        em.emit(ir.Store(vector, spot, ir.Load(vector, spot) + entry))

