"""Graph: equations over typed values. A graph prints, checks and evaluates itself.

Python's control flow is gone from a graph, or has become the structured primitives ``cond``,
``while_loop`` and ``scan``, whose bodies are graphs among their parameters.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sciad.core.array import Array, current
from sciad.core.backend import as_operand
from sciad.core.errors import GraphError, replays
from sciad.core.primitive import Primitive, bind

_DTYPE_NAMES = {np.dtype(name): short for name, short in {
    "float64": "f64", "float32": "f32", "int64": "i64", "int32": "i32", "bool": "bool",
    "complex128": "c128", "complex64": "c64",
}.items()}


class Type:
    """Shape and dtype of a value, in this machine's byte order. A weak type is a Python scalar's:
    it adapts to its partners."""

    __slots__ = ("shape", "dtype", "weak")

    def __init__(self, shape: tuple[int, ...], dtype, weak: bool = False):
        dtype = np.dtype(dtype)
        self.shape = shape
        self.dtype = dtype if dtype.isnative else dtype.newbyteorder("=")
        self.weak = weak

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    def __eq__(self, other):
        return (isinstance(other, Type) and self.shape == other.shape
                and self.dtype == other.dtype and self.weak == other.weak)

    def __hash__(self):
        return hash((self.shape, self.dtype.char, self.weak))

    def __repr__(self):
        name = _DTYPE_NAMES.get(self.dtype) or self.dtype.name
        extents = f"[{','.join(map(str, self.shape))}]" if self.shape else ""
        return name + extents + ("*" if self.weak else "")

    def strong(self) -> "Type":
        return Type(self.shape, self.dtype) if self.weak else self


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a number, an array or an Array."""
    return getattr(x, "shape", ())


def type_of(x: Any) -> Type:
    """The type of a number, an array or an Array."""
    if type(x) is Array:
        live = current(x)
        return live._value if type(live._value) is Type else type_of(live._value)
    if isinstance(x, (np.ndarray, np.generic)):
        return Type(x.shape, x.dtype)
    if isinstance(x, (bool, int, float, complex)):
        return Type((), np.result_type(type(x)), weak=not isinstance(x, bool))
    x = as_operand(x)
    return Type(x.shape, x.dtype)


class Var:
    """A value of a graph, defined once: an input or the output of an equation.

    While it is recorded, `ordered` tells whether NumPy would surely keep it rows first.
    """

    __slots__ = ("type", "ordered")

    def __init__(self, type: Type, ordered: bool = True):
        self.type = type
        self.ordered = ordered


class Literal:
    """A constant of a graph."""

    __slots__ = ("value", "type")

    def __init__(self, value: Any):
        self.type = type_of(value)
        foreign = isinstance(value, np.ndarray) and not value.dtype.isnative
        self.value = value.astype(self.type.dtype) if foreign else value

    def digest(self) -> str:
        """The value as text, by content; a strong scalar names its type, a weak one does not."""
        value = self.value
        if isinstance(value, np.ndarray) and value.size > 8:
            return f"{self.type}#{hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
        if isinstance(value, np.ndarray):
            return f"{self.type}{value.tolist()}"
        if isinstance(value, np.generic):
            return f"{value.item()!r}:{self.type}"
        return repr(value)


Atom = Var | Literal


class Equation:
    """``outputs = primitive(*inputs, **params)``, and the user's (file, line) it came from."""

    __slots__ = ("primitive", "inputs", "outputs", "params", "line")

    def __init__(self, primitive: Primitive, inputs: Sequence[Atom], outputs: Sequence[Var],
                 params: dict, line: tuple[str, int] = ("", 0)):
        self.primitive = primitive
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.params = params
        self.line = line

    @property
    def where(self) -> str:
        """The user's line as text."""
        return f"{self.line[0]}:{self.line[1]}" if self.line[0] else "unknown line"

    def graphs(self) -> Iterator["Graph"]:
        """The graphs among the parameters (bodies of control flow)."""
        return (value for value in self.params.values() if isinstance(value, Graph))


class Graph:
    """A straight sequence of equations from inputs to outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from sciad.core.record import record
    >>> graph = record(lambda x: np.sin(x) * x, np.float64(1.0)).graph
    >>> print(graph)
    graph(a: f64) {
      b: f64 = sin a
      c: f64 = multiply b a
      return c
    }
    >>> graph(0.5)[0] == np.sin(0.5) * 0.5
    np.True_
    """

    __slots__ = ("inputs", "equations", "outputs", "_key", "_last")

    def __init__(self, inputs: Sequence[Var], equations: Sequence[Equation],
                 outputs: Sequence[Atom]):
        self.inputs = tuple(inputs)
        self.equations = list(equations)
        self.outputs = tuple(outputs)
        self._key: str | None = None
        self._last: list[list[Var]] | None = None

    def __call__(self, *args) -> list:
        """Evaluate: bind each equation in turn (on any values, Arrays included)."""
        if len(args) != len(self.inputs):
            raise GraphError(f"graph takes {len(self.inputs)} inputs, got {len(args)}")
        env: dict[Var, Any] = dict(zip(self.inputs, args, strict=True))

        def read(atom):
            return atom.value if type(atom) is Literal else env[atom]

        for equation, done in zip(self.equations, self._done(), strict=True):
            primitive = equation.primitive
            out = bind(primitive, tuple(map(read, equation.inputs)), equation.params)
            if primitive.multiple:
                env.update(zip(equation.outputs, out, strict=True))
            else:
                env[equation.outputs[0]] = out
            del out
            for var in done:
                del env[var]
        return [read(atom) for atom in self.outputs]

    def _done(self) -> list[list[Var]]:
        """For each equation the values that nothing needs after it, whose memory goes back."""
        if self._last is None or len(self._last) != len(self.equations):
            known, last = set(self.outputs), []
            for equation in reversed(self.equations):
                seen = {x for x in (*equation.inputs, *equation.outputs)
                        if type(x) is Var and x not in known}
                known |= seen
                last.append(list(seen))
            self._last = last[::-1]
        return self._last

    def __len__(self):
        return sum(1 + sum(map(len, equation.graphs())) for equation in self.equations)

    def __str__(self):
        return "\n".join(Printer().graph(self))

    def __repr__(self):
        return f"<Graph: {len(self.inputs)} inputs, {len(self)} equations>"

    @property
    def key(self) -> str:
        """A digest of structure, types, parameters and constants."""
        if self._key is None:
            self._key = hashlib.sha256(str(self).encode()).hexdigest()
        return self._key

    def __eq__(self, other):
        return isinstance(other, Graph) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def check(self) -> "Graph":
        """Raise `GraphError` unless every variable is defined once, before its use, and every
        equation has the types its shape rule gives."""
        known = set(self.inputs)
        if len(known) != len(self.inputs):
            raise GraphError("an input stands twice")
        for equation in self.equations:
            _require_known(equation.inputs, known, equation.primitive.name)
            self._check_types(equation)
            for graph in equation.graphs():
                graph.check()
            for out in equation.outputs:
                if out in known:
                    raise GraphError(f"{equation.primitive}: an output is defined twice")
                known.add(out)
        _require_known(self.outputs, known, "return")
        return self

    @staticmethod
    def _check_types(equation):
        types = output_types(equation.primitive, [x.type for x in equation.inputs],
                             equation.params)
        declared = tuple(out.type for out in equation.outputs)
        if tuple(t.strong() for t in types) != tuple(t.strong() for t in declared):
            raise GraphError(f"{equation.primitive}: declared {declared}, shape rule says {types}")


replays.add(Graph.__call__.__code__)


def _require_known(atoms, known, where):
    for atom in atoms:
        if type(atom) is Var and atom not in known:
            raise GraphError(f"{where}: a variable of type {atom.type} is used before definition")


def output_types(primitive: Primitive, types: Sequence[Type], params: dict) -> tuple[Type, ...]:
    """The types of a primitive's outputs, always as a tuple."""
    out = primitive.shape(*types, **params)
    return tuple(out) if primitive.multiple else (out,)


class Printer:
    """The text of graphs. Each definition has a name of its own, so that a body that stands in two
    equations reads as two equal bodies would."""

    def __init__(self):
        self.names: dict[Var, str] = {}
        self.count = 0

    def name(self, var: Var) -> str:
        return self.names.get(var) or self.define(var)

    def define(self, var: Var) -> str:
        number, name = self.count, ""
        while True:
            number, letter = divmod(number, 26)
            name = chr(ord("a") + letter) + name
            if number == 0:
                break
            number -= 1
        self.count += 1
        self.names[var] = name
        return name

    def atom(self, atom: Atom) -> str:
        return self.name(atom) if type(atom) is Var else atom.digest()

    def declare(self, variables) -> str:
        return ", ".join(f"{self.define(v)}: {v.type}" for v in variables)

    def param(self, value: Any) -> str:
        if isinstance(value, np.ndarray):
            return Literal(value).digest()
        key = getattr(value, "key", None)
        if isinstance(key, str):
            return f"{type(value).__name__}:{key[:16]}"
        if isinstance(value, tuple):
            inside = ", ".join(map(self.param, value))
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        return repr(value)

    def graph(self, graph: Graph, indent: str = "", head: str = "graph") -> list[str]:
        lines = [f"{indent}{head}({self.declare(graph.inputs)}) {{"]
        for equation in graph.equations:
            lines += self.equation(equation, indent + "  ")
        outputs = ", ".join(map(self.atom, graph.outputs))
        return [*lines, f"{indent}  return {outputs}".rstrip(), f"{indent}}}"]

    def equation(self, equation: Equation, indent: str) -> list[str]:
        inputs = " ".join(map(self.atom, equation.inputs))
        plain = {k: v for k, v in equation.params.items() if not isinstance(v, Graph)}
        params = ", ".join(f"{k}={self.param(v)}" for k, v in plain.items())
        line = f"{equation.primitive.name}" + (f"[{params}]" if params else "")
        text = f"{indent}{self.declare(equation.outputs)} = {line} {inputs}".rstrip()
        lines = [text if equation.outputs else f"{indent}{line} {inputs}".rstrip()]
        for name, value in equation.params.items():
            if isinstance(value, Graph):
                lines += self.graph(value, indent + "  ", name)
        return lines
