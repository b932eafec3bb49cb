"""Graphs with complex values as graphs of real values.

Every complex variable becomes two real ones, every primitive on complex operands the real
primitives of its form (`sciad.compiler.complex_forms`); bodies of control flow take, carry and give
both parts. So whatever works on graphs and below knows real numbers only.

At the boundary of a kernel a complex array of shape S is one real array of shape (*S, 2), which is
how it lies in memory: the parts are slices of it, and results are interleaved. A complex scalar is
two scalars.

A primitive that has no form keeps its complex meaning behind real operands: it becomes a primitive
of interleaved arrays (`interleaved`), which views them as complex numbers and calls the first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sciad.compiler.complex_forms import FORMS
from sciad.compiler.parts import (
    Real,
    Value,
    Writer,
    Z,
    is_complex,
    part_type,
    parts_of_literal,
    real_dtype,
    settled,
)
from sciad.compiler.values import Unsupported
from sciad.core.backend import evaluate, on_device
from sciad.core.checkpoint import graph_p
from sciad.core.custom import recorded_p
from sciad.core.graph import Atom, Equation, Graph, Literal, Type, Var, output_types
from sciad.core.hook import hook_p
from sciad.core.primitive import Primitive
from sciad.ops import control
from sciad.ops.indexing import read_p


def has_complex(graph: Graph) -> bool:
    """Whether a value of the graph, or of a body in it, is complex."""
    return _has_complex(graph, {})


def _has_complex(graph: Graph, known: dict[int, tuple[Graph, bool]]) -> bool:
    if id(graph) not in known:
        known[id(graph)] = graph, any(is_complex(x.type) for x in graph.inputs) or any(
            is_complex(x.type) for x in graph.outputs) or any(
            _touches_complex(equation, known) for equation in graph.equations)
    return known[id(graph)][1]


def _touches_complex(equation: Equation, known) -> bool:
    return (any(is_complex(x.type) for x in equation.inputs)
            or any(is_complex(x.type) for x in equation.outputs)
            or any(_has_complex(body, known) for body in equation.graphs()))


def realify(graph: Graph) -> Graph:
    """`graph` on real values, complex arrays interleaved at its boundary; itself if it is real.

    Raises
    ------
    Unsupported
        If a primitive that holds graphs has no real form.
    """
    known: dict[int, tuple[Graph, bool]] = {}
    return _Pass(known).whole(graph) if _has_complex(graph, known) else graph


class _Pass:
    """The pass over one graph and its bodies, each of which is rewritten once."""

    def __init__(self, known: dict):
        self.known = known
        self.bodies: dict[int, tuple[Graph, Graph]] = {}

    def whole(self, graph: Graph) -> Graph:
        """A graph with a boundary of interleaved arrays."""
        env: dict[Var, Value] = {}
        equations: list[Equation] = []
        inputs: list[Var] = []
        for var in graph.inputs:
            to = Writer(equations, Equation(read_p, (), (var,), {}))
            if not is_complex(var.type):
                inputs.append(var)
            elif not var.type.shape:
                inputs += (parts := _parts(var))
                env[var] = Z(*(Real(part, to) for part in parts))
            else:
                inputs.append(Var(joined_type(var.type)))
                env[var] = separated(to, Real(inputs[-1], to))
        outs = self.rewrite(graph, env, equations)
        outputs: list[Atom] = []
        for value in outs:
            if isinstance(value, Z) and value.re.type.shape:
                outputs.append(interleaved_parts(value).atom)
            else:
                outputs += _flat(value)
        return Graph(inputs, equations, outputs)

    def body(self, graph: Graph) -> Graph:
        """A graph whose complex inputs and outputs are pairs."""
        if not _has_complex(graph, self.known):
            return graph
        if id(graph) not in self.bodies:
            env: dict[Var, Value] = {}
            equations: list[Equation] = []
            inputs: list[Var] = []
            for var in graph.inputs:
                parts = _parts(var)
                inputs += parts
                if is_complex(var.type):
                    to = Writer(equations, Equation(read_p, (), (var,), {}))
                    env[var] = Z(*(Real(part, to) for part in parts))
            outs = self.rewrite(graph, env, equations)
            new = Graph(inputs, equations, [atom for value in outs for atom in _flat(value)])
            self.bodies[id(graph)] = graph, new
        return self.bodies[id(graph)][1]

    def rewrite(self, graph: Graph, env: dict[Var, Value], equations: list) -> list[Value]:
        """The equations of a graph into `equations`; gives its results."""
        for equation in graph.equations:
            to = Writer(equations, equation)
            if _touches_complex(equation, self.known):
                outs = self.expanded(to, [_read(to, env, x) for x in equation.inputs])
                for var, value in zip(equation.outputs, outs, strict=True):
                    env[var] = _settled(value, var.type)
            else:
                inputs = [env[x].atom if x in env else x for x in equation.inputs]
                equations.append(Equation(equation.primitive, inputs, equation.outputs,
                                          equation.params, equation.line))
        to = Writer(equations, Equation(read_p, (), (), {}))
        return [_settled(_read(to, env, x), x.type) for x in graph.outputs]

    def expanded(self, to: Writer, operands: list[Value]) -> list[Value]:
        """The results of an equation that touches complex numbers."""
        primitive, equation = to.source.primitive, to.source
        if primitive in _CONTROL:
            return self.control(to, operands, _CONTROL[primitive](equation))
        if any(equation.graphs()):
            raise Unsupported(f"no native form of {primitive} of complex numbers "
                              f"({equation.where})")
        form = FORMS.get(primitive)
        if form is None or _is_long(equation):
            return _called(to, operands)
        return [form(to, *operands)]

    def control(self, to: Writer, operands: list[Value], params: dict) -> list[Value]:
        """An equation of control flow: pairs in, pairs out."""
        params |= {key: self.body(value) for key, value in to.params.items()
                   if isinstance(value, Graph)}
        params = {**to.params, **params}
        outs = [_parts(var) for var in to.source.outputs]
        to.equations.append(Equation(
            to.source.primitive, [atom for x in operands for atom in _flat(x)],
            [var for parts in outs for var in parts], params, to.source.line))
        values: list[list[Real]] = [[Real(var, to) for var in parts] for parts in outs]
        return [Z(*parts) if len(parts) == 2 else parts[0] for parts in values]


def _is_long(equation: Equation) -> bool:
    """Whether it has to do with complex numbers of a precision without native form."""
    return any(x.type.dtype.char == "G" for x in (*equation.inputs, *equation.outputs))


def _parts(var: Var) -> list[Var]:
    """The variables that stand for one."""
    return [Var(part_type(var.type)) for _ in range(2)] if is_complex(var.type) else [var]


def _flat(value: Value) -> list[Atom]:
    return [value.re.atom, value.im.atom] if isinstance(value, Z) else [value.atom]


def _read(to: Writer, env: dict[Var, Value], atom: Atom) -> Value:
    if type(atom) is Literal:
        return parts_of_literal(to, atom) if is_complex(atom.type) else Real(atom, to)
    value = env.get(atom)
    if value is None:
        return Real(atom, to)
    if isinstance(value, Z):
        return Z(Real(value.re.atom, to), Real(value.im.atom, to))
    return Real(value.atom, to)


def _settled(value: Value, kind: Type) -> Value:
    if isinstance(value, Z):
        return value.map(lambda x: settled(x, part_type(kind)))
    return settled(value, kind)


# --- control flow ---------------------------------------------------------------------------------
#
# For each primitive whose parameters hold graphs, the parameters that count operands.


def _doubled(variables) -> int:
    return sum(1 + is_complex(x.type) for x in variables)


def _of_while(equation: Equation) -> dict:
    test, body = equation.params["test_consts"], equation.params["body_consts"]
    return {"test_consts": _doubled(equation.inputs[:test]),
            "body_consts": _doubled(equation.inputs[test:test + body])}


def _of_scan(equation: Equation) -> dict:
    start = equation.params["counted"]
    middle = start + equation.params["consts"]
    stop = middle + equation.params["carry"]
    return {"consts": _doubled(equation.inputs[start:middle]),
            "carry": _doubled(equation.inputs[middle:stop])}


_CONTROL: dict[Primitive, Callable[[Equation], dict]] = {
    control.while_p: _of_while, control.scan_p: _of_scan,
    **dict.fromkeys((control.cond_p, graph_p, recorded_p, hook_p), lambda equation: {}),
}


def counts_nothing(primitive: Primitive) -> None:
    """Say that no parameter of a primitive that holds graphs counts operands."""
    _CONTROL[primitive] = lambda equation: {}


# --- interleaved arrays ---------------------------------------------------------------------------


def joined_type(kind: Type) -> Type:
    """The type of an interleaved array."""
    return Type((*kind.shape, 2), real_dtype(kind.dtype))


def separated(to: Writer, x: Real) -> Z:
    """The parts of an interleaved array."""
    return Z(*(to(read_p, x, spec=(Ellipsis, k)) for k in range(2)))


interleave_p = Primitive("interleave", lambda re, im: np.stack([re, im], -1),
                         lambda re, im: Type((*re.shape, 2), re.dtype))
"""Two arrays as the parts of complex numbers in memory."""


def interleaved_parts(z: Z) -> Real:
    return z.re.to(interleave_p, z.re, z.im)


def as_floats(x: np.ndarray) -> np.ndarray:
    """A complex array as the real one that lies in its memory."""
    x = np.ascontiguousarray(x).reshape(np.shape(x))
    return x.reshape(-1).view(real_dtype(x.dtype)).reshape(*x.shape, 2)


def as_complex_array(x: np.ndarray) -> np.ndarray:
    """An interleaved array as the complex one in its memory."""
    x = np.ascontiguousarray(x)
    dtype = np.result_type(x.dtype, np.complex64)
    return x.reshape(-1).view(dtype).reshape(x.shape[:-1])[()]


@lru_cache(maxsize=512)
def interleaved(primitive: Primitive, flags: tuple[bool, ...]) -> Primitive:
    """A primitive with its complex operands (flagged) and results as interleaved arrays."""
    def complex_type(x: Type) -> Type:
        return Type(x.shape[:-1], np.result_type(x.dtype, np.complex64))

    def fun(*xs, **params):
        operands = [as_complex_array(x) if flag else x for x, flag in zip(xs, flags, strict=True)]
        out = primitive.fun(*operands, **params)
        outs = out if primitive.multiple else (out,)
        return tuple(as_floats(x) if np.asarray(x).dtype.char in "FD" else x for x in outs)

    def types(*xs, **params):
        before = [complex_type(x) if flag else x for x, flag in zip(xs, flags, strict=True)]
        return tuple(joined_type(t) if is_complex(t) else t
                     for t in output_types(primitive, before, params))

    kinds = ", ".join("complex" if flag else "real" for flag in flags)
    made = Primitive(f"{primitive.name} of {kinds}", fun, types, multiple=True,
                     effect=primitive.effect)
    on_device(made, functools.partial(_interleaved_on_device, primitive, flags))
    return made


def _interleaved_on_device(primitive, flags, home, *xs, **params):
    """The same on a device, whose arrays are viewed alike."""
    operands = [x.reshape(-1).view(np.result_type(x.dtype, np.complex64)).reshape(x.shape[:-1])
                if flag else x for x, flag in zip(xs, flags, strict=True)]
    out = evaluate(primitive, home, operands, params)
    outs = out if primitive.multiple else (out,)
    return tuple(home.module.stack([x.real, x.imag], axis=-1) if x.dtype.kind == "c" else x
                 for x in outs)


def _called(to: Writer, operands: list[Value]) -> list[Value]:
    """The results of a primitive without a form, by way of interleaved arrays."""
    flags = tuple(isinstance(x, Z) for x in operands)
    whole = [interleaved_parts(x) if isinstance(x, Z) else x for x in operands]
    outs = to(interleaved(to.source.primitive, flags), *whole, **to.params)
    return [separated(to, x) if is_complex(var.type) else x
            for x, var in zip(outs, to.source.outputs, strict=True)]
