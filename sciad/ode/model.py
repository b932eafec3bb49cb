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

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from sciad.compiler import llvm
from sciad.compiler import loops as ir
from sciad.compiler.callbacks import Callback, throw
from sciad.compiler.environment import (
    Environment,
    environment_of,
    is_leaf,
    pure_run,
    rebuild,
)
from sciad.compiler.loops import Name
from sciad.compiler.lower import lower_body
from sciad.compiler.orders import Orders
from sciad.compiler.passes import optimise
from sciad.compiler.purity import watched
from sciad.compiler.realify import realify
from sciad.compiler.restoring import restored
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
from sciad.core.derivatives import cotangent_graph, tangent_graph
from sciad.core.errors import DTypeError, RecordError, SciadError, at_line
from sciad.core.graph import Atom, Equation, Graph, Literal, Type, Var, type_of
from sciad.core.primitive import pack
from sciad.core.record import record_leaves
from sciad.core.rules import is_complex
from sciad.numpy.patching import patched
from sciad.ode import kernels
from sciad.ode.callback import SIGNATURES, CallbackModel, derivative, pick
from sciad.ops.elementwise import add, multiply

_MOST_INLINED = 40


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
    callbacks : dict
        The primitives in it that Python evaluates.
    helpers : list
        The functions that its native functions call.
    """

    def __init__(self, graph: Graph, n: int):
        self.graph, extra = _lift_constants(graph)
        self.n = n
        self.extra = extra
        self.types = [var.type.strong() for var in self.graph.inputs[2:]]
        self.key = self.graph.key
        self.size = sum(t.size for t in self.types)
        self.statuses: list[Exception] = []
        self.callbacks: dict[tuple, Callback] = {}
        self.helpers: list[ir.Function] = []
        self._libraries: dict[str, llvm.Library] = {}
        self._addresses: dict[str, int] = {}

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
        found = self._addresses.get(kind)
        if found is None:
            with _lock:
                function = _lower(self, kind)
                library = llvm.compile_module(
                    ir.Module([*self.helpers, function], function.name))
                self._libraries[kind] = library
                found = self._addresses[kind] = library.address(function.name)
        return found

    def call(self, t, y, *leaves):
        """dy in sciad operations (for the defining program)."""
        return self.graph(t, y, *leaves)[0]

    def failure(self, status: int) -> Exception:
        """What a status that the model returned stands for."""
        throw(status)
        exception = self.statuses[status - FIRST_STATUS]
        fresh = type(exception).__new__(type(exception), *exception.args)
        fresh.__dict__.update(exception.__dict__)
        return fresh


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
    if any(is_complex(x) for x in (*problem.captured, *problem.dynamic)):
        raise DTypeError("solve_ivp: a parameter or a captured array is complex; solve for real "
                         f"and imaginary parts, with real parameters{at_line()}")
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
        self.fixed, self.odd, self.dynamic = {}, [], []
        for k, x in enumerate(given):
            if _is_static(x):
                self.fixed[k] = x
            elif is_leaf(x):
                self.dynamic.append(_leaf(x))
            else:
                self.odd.append(k)
        if self.odd:
            self.target = (fun, *[given[k] for k in self.odd])
            self.environment = Environment(self.target)
        else:
            self.target = fun
            self.environment = environment_of(fun)
        self.captured = [_leaf(x) for x in self.environment.leaves]
        self.types = [type_of(x).strong() for x in [*self.captured, *self.dynamic]]
        orders = Orders(args)
        self.shared = [*self.environment.shared, *orders.shared]
        static = tuple((k, type(x), x) for k, x in self.fixed.items()), orders.key
        self.key = (self.environment.key, self.structure, static, tuple(self.odd),
                    tuple(self.types), n, patched())

    def run(self, target, t, y, dynamic):
        """dy, of `target` in place of the function and the objects among its arguments."""
        function, *objects = target if self.odd else (target,)
        known = {**self.fixed, **dict(zip(self.odd, objects, strict=True))}
        rest = iter(dynamic)
        given = [known[k] if k in known else next(rest)
                 for k in range(len(known) + len(dynamic))]
        return derivative(function(t, y, *tree.unflatten(self.structure, given)), self.n)

    def record(self) -> Model | _Refusal:
        count = len(self.captured)

        def traced(t, y, *xs):
            target = rebuild(self.target, list(xs[:count]))
            unchanged = pure_run(target, self.environment.key, xs[:count])
            with restored(self.shared):
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
            with watched():
                recorded = record_leaves(traced, types, verify=True, repeats=True)
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
    joined: list[Equation] = []

    def lifted(atom):
        if type(atom) is not Literal or atom.type.size <= SMALL:
            return atom
        if (np.asarray(atom.value) == np.ravel(atom.value)[0]).all():
            return atom
        if atom.type.dtype.kind == "c" and np.isfinite(atom.value).all():
            return _of_parts(lifted(Literal(np.ascontiguousarray(atom.value.real))),
                             lifted(Literal(np.ascontiguousarray(atom.value.imag))),
                             atom.type, joined)
        for var, value in zip(inputs, extra, strict=True):
            if value is atom.value:
                return var
        inputs.append(Var(atom.type))
        extra.append(atom.value)
        return inputs[-1]

    equations = [Equation(e.primitive, [lifted(x) for x in e.inputs], e.outputs, e.params, e.line)
                 for e in graph.equations]
    outputs = [lifted(x) for x in graph.outputs]
    return Graph([*graph.inputs, *inputs], joined + equations, outputs), extra


def _of_parts(re: Atom, im: Atom, kind: Type, equations: list[Equation]) -> Var:
    """A complex constant of two real ones."""
    turned, whole = Var(kind), Var(kind)
    unit = Literal(kind.dtype.type(1j))
    equations += [Equation(multiply, [im, unit], [turned], {}),
                  Equation(add, [re, turned], [whole], {})]
    return whole


# --- lowering -------------------------------------------------------------------------------------


def _lower(model: Model, kind: str) -> ir.Function:
    em = Emitter(statuses=model.statuses, callbacks=model.callbacks, functions=model.helpers,
                 linked=True)
    names = {name: Name(name, type) for name, type in SIGNATURES[kind]}
    vector = Type((model.n,), float)
    values = [Scalars((), "f64", [names["t"]]), _slice(em, names["y"], 0, vector)]
    values += _leaves(em, names["theta"], model.types)
    if kind == "rhs":
        (out,) = lower_body(em, optimise(realify(model.graph)), values)
        if not em.dead:
            em.store(out, names["dy"])
    elif kind == "jvp":
        dots = [Scalars((), "f64", [names["tdot"]]), _slice(em, names["ydot"], 0, vector)]
        dots += pick(model.floats[2:], _leaves(em, names["thetadot"], model.types))
        graph = optimise(realify(tangent_graph(model.graph, model.floats)))
        (out,) = lower_body(em, graph, values + dots)
        em.store(out, names["dydot"])
    else:
        _lower_vjp(em, model, values, names, vector)
    em.emit(ir.Return(index(0)))
    if em.constants or em.pointers:
        raise Unsupported("a constant array inside control flow has no place in a native "
                          "right-hand side")
    # the content digest in the name keeps models apart in profiles and dumps
    return ir.Function(f"{kind}_{model.key[:12]}", SIGNATURES[kind], [*em.allocs, *em.block])


def _lower_vjp(em: Emitter, model: Model, values, names, vector):
    graph = optimise(realify(cotangent_graph(model.graph, model.floats)))
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

