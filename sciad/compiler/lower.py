"""Lowering: Graph -> loop IR.

Each primitive has a lowering in a table, filled by the modules `lower_*`: given the emitter, the
equation and the values of its operands, it gives the values of its outputs. A value used by one
equation stays virtual and fuses into its consumer; one used more often is computed once.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sciad.compiler import loops as ir
from sciad.compiler.callbacks import (
    Callback,
    Opaque,
    call_back,
    may_call_back,
    must_call_back,
    opaque_literal,
)
from sciad.compiler.loops import Name
from sciad.compiler.outline import outlined
from sciad.compiler.planning import placement
from sciad.compiler.sinks import Loops
from sciad.compiler.spreading import spread
from sciad.compiler.values import (
    CHEAP,
    DEEPEST,
    KINDS,
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    Value,
    Virtual,
    has_kind,
    index,
    kind_of,
    size_of,
)
from sciad.core.graph import Equation, Graph, Var
from sciad.core.primitive import Primitive

LOWERINGS: dict[Primitive, Callable] = {}
"""Primitive -> lowering(emitter, equation, operand values) -> list of output values."""
_LATE = [f"sciad.compiler.lower_{name}"
         for name in ("decompositions", "random", "special", "signal", "fft")]
"""Native forms that programs seldom use: read when one is missing."""


def lowering(*primitives: Primitive):
    """Register the decorated function as the native form of primitives."""
    def register(function):
        for primitive in primitives:
            LOWERINGS[primitive] = function
        return function

    return register


def _native_form(primitive: Primitive) -> Callable | None:
    found = LOWERINGS.get(primitive)
    while found is None and _LATE:
        importlib.import_module(_LATE.pop())
        found = LOWERINGS.get(primitive)
    return found


@dataclass
class Lowered:
    """A kernel: its module, and what its parameters are.

    Parameters come in this order: inputs (scalars by value, arrays by pointer), constants (arrays,
    then addresses of functions), array outputs, one-element slots of scalar outputs. `workspace`:
    the bytes that a call takes from the heap while it runs, in one piece.
    """

    module: ir.Module
    name: str
    params: list[str]
    results: list[str]
    constants: list
    statuses: list[Exception]
    owners: list
    inlinable: bool
    callbacks: list[str]
    spread: bool
    workspace: int


def lower(graph: Graph, name: str = "kernel", inline: bool = False,
          whole: bool = False, threads: bool = False, fastmath: bool = False,
          library: Callable | None = None) -> Lowered:
    """The graph as one function of the loop IR; `inline` and `fastmath` as in `Emitter`. A long
    function is cut into pieces unless it shall stay `whole`; with `threads`, large loops become
    functions of their own that threads can share. Equations of which `library` says so are called
    back whatever their native form.

    Raises
    ------
    Unsupported
        If a primitive or a dtype has no native form.
    """
    em = Emitter(inline=inline, fast=fastmath, library=library)
    params, kinds, inputs = [], [], []
    for var in graph.inputs:
        shape, label = var.type.shape, em.fresh("x")
        if shape and _odd(var.type.dtype):
            params.append((label, "ptr<i8>"))
            kinds.append("array")
            inputs.append(Opaque(shape, var.type.dtype, Name(label, "ptr<i8>")))
            continue
        kind = kind_of(var.type.dtype)
        if shape:
            params.append((label, f"ptr<{kind}>"))
            kinds.append("array")
            buffer = Buffer(shape, kind, Name(label, f"ptr<{kind}>"))
            inputs.append(em.scalars(buffer) if size_of(shape) <= SMALL else buffer)
        else:
            params.append((label, kind))
            kinds.append(kind)
            inputs.append(Scalars((), kind, [Name(label, kind)]))
    outs = lower_body(em, graph, inputs)
    out_params, results = _store_outputs(em, graph, outs)
    em.emit(ir.Return(index(0)))
    constants = [(label.name, label.type) for label, *_ in [*em.constants, *em.pointers]]
    body = [*em.allocs, *em.block]
    function = ir.Function(name, [*params, *constants, *out_params], body)
    arrays = len(out_params) - len(results)
    *parts, main = spread(function, _safe(em)) if threads else [function]
    functions = [*em.functions, *parts, *([main] if whole else outlined(main))]
    functions[-1].placement = placement(functions[-1].body)
    return Lowered(ir.Module(functions, name), name,
                   kinds + ["array"] * len(em.constants) + ["ptr"] * len(em.pointers)
                   + ["array"] * arrays, results,
                   [array for _, array in em.constants] + [x for _, x, _ in em.pointers],
                   em.statuses, [owner for *_, owner in em.pointers], em.inlinable,
                   [callback.label for callback in em.callbacks.values()], bool(parts),
                   functions[-1].placement.total)


def _safe(em: Emitter) -> set[str]:
    """What several threads may call at once: all but the ways back into Python."""
    names = {name.name for name, _, owner in em.pointers if not isinstance(owner, Callback)}
    return names | {function.name for function in em.functions}


def _odd(dtype) -> bool:
    """Whether native code only hands on values of this dtype."""
    return not (has_kind(dtype) or dtype.hasobject)


def _store_outputs(em: Emitter, graph: Graph, outs: list[Value]):
    if em.dead:
        outs = [Scalars(a.type.shape, KINDS.get(a.type.dtype.name, "i8"), [])
                for a in graph.outputs]
    arrays, slots, results = [], [], []
    for atom, value in zip(graph.outputs, outs, strict=True):
        if type(value) is Opaque and atom.type.shape:
            value = value.bytes()
        kind = value.kind if atom.type.shape else kind_of(atom.type.dtype)
        made_here = _take_alloc(em, value)
        label = made_here or em.fresh("y")
        if atom.type.shape:
            arrays.append((label, f"ptr<{kind}>"))
        else:
            slots.append((label, f"ptr<{kind}>"))
            results.append(kind)
        if not em.dead and not made_here:
            em.store(value, Name(label, f"ptr<{kind}>"))
    return arrays + slots, results


def _take_alloc(em: Emitter, value: Value) -> str:
    """The name of a buffer that the kernel made and no other output has taken: the caller's
    array then stands in its place."""
    if type(value) is Buffer:
        for alloc in em.allocs:
            if alloc.name == value.name.name and alloc.count.value == size_of(value.shape):
                em.allocs.remove(alloc)
                return alloc.name
    return ""


def lower_body(em: Emitter, graph: Graph, inputs: list[Value]) -> list[Value]:
    """The values of a graph's outputs, its equations emitted into the present block."""
    env: dict[Var, Value] = dict(zip(graph.inputs, inputs, strict=True))
    uses = Counter(atom for equation in graph.equations for atom in set(equation.inputs)
                   if type(atom) is Var)
    uses.update(atom for atom in graph.outputs if type(atom) is Var)

    loops = Loops(em, graph, _native_form)

    def read(atom):
        if type(atom) is Var:
            return env[atom]
        return opaque_literal(em, atom) if _odd(atom.type.dtype) else em.literal(atom)

    for k, equation in enumerate(graph.equations):
        operands = [read(atom) for atom in equation.inputs]
        reusable = [_reusable(atom, value, uses) and equation.inputs.count(atom) == 1
                    for atom, value in zip(equation.inputs, operands, strict=True)]
        used = [uses[var] > 0 for var in equation.outputs]
        outs = _lowered(em, Step(equation, reusable, used), operands)
        if em.dead:
            return []
        for var, value in zip(equation.outputs, outs, strict=True):
            if value is None:  # an output that nobody reads
                continue
            value = _disowned(value, operands, reusable)
            env[var] = _keep(em, value, uses[var], var in loops.of)
            loops.joined(k, var, env)
    return [read(atom) for atom in graph.outputs]


def _lowered(em: Emitter, step: Step, operands: list[Value]) -> list[Value]:
    """The values of an equation's outputs: by its native form, else by a call back."""
    equation = step.equation
    function = _native_form(equation.primitive)
    refusal: Unsupported | None = None
    called = must_call_back(equation) or em.library is not None and em.library(equation)
    if function is not None and not (called and may_call_back(equation)):
        mark = em.mark()
        try:
            return function(em, step, *operands)
        except Unsupported as error:
            em.back_to(mark)
            refusal = error
    if not may_call_back(equation):
        raise refusal or Unsupported(f"no native form of {equation.primitive} ({equation.where})")
    return call_back(em, equation, operands)


@dataclass(slots=True)
class Step:
    """An equation, which of its operands' buffers may be overwritten (this is their last use),
    and which of its outputs are read; in place of another the lowering may give None."""

    equation: Equation
    reusable: list[bool]
    used: list[bool]

    @property
    def params(self) -> dict:
        return self.equation.params

    def out(self, k: int = 0) -> tuple[tuple[int, ...], str]:
        kind = self.equation.outputs[k].type
        return kind.shape, kind_of(kind.dtype)


def _reusable(atom, value, uses) -> bool:
    return type(atom) is Var and type(value) is Buffer and value.owned and uses[atom] == 1


def _disowned(value: Value, operands, reusable) -> Value:
    """A result that is an operand's own memory may be overwritten only if the operand may."""
    if type(value) is Buffer and value.owned:
        for x, free in zip(operands, reusable, strict=True):
            if type(x) is Buffer and x.name is value.name and not free:
                return Buffer(value.shape, value.kind, value.name)
    return value


def _keep(em: Emitter, value: Value, uses: int, fused: bool) -> Value:
    """A value as its consumers shall find it; `fused`: all of them in one loop."""
    if type(value) is Opaque:
        return value
    if size_of(value.shape) <= SMALL:
        return em.scalars(value)
    if type(value) is Virtual and not fused and (
            value.computed and uses > 1 and value.cost > CHEAP or value.depth > DEEPEST):
        return em.to_buffer(value)
    return value
