"""Graphs, containers and what stands in them, as JSON and back.

A value is JSON's own, or an object of one entry, ``{kind: content}``. Arrays stand in a list beside
the text, which refers to them by number. An operation of sciad's is named by the module that
defines it; nothing outside sciad, NumPy and Python's builtins is imported to read a value, except
the classes of containers (named tuples, dataclasses) and of exceptions.
"""

from __future__ import annotations

import base64
import builtins
import importlib
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import optree

from sciad.core import tree
from sciad.core.errors import SciadError
from sciad.core.graph import Atom, Equation, Graph, Literal, Type, Var
from sciad.core.primitive import Primitive


class SaveError(SciadError):
    """A compiled function cannot be saved, or a file holds none that can be loaded here."""


class Writer:
    """Values as JSON; `arrays` collects what stands beside the text."""

    def __init__(self):
        self.arrays: list[np.ndarray] = []

    def value(self, x: Any) -> Any:
        """A value as JSON; `SaveError` names one that cannot be saved."""
        if x is None or type(x) in (bool, int, str):
            return x
        for kinds, write in _WRITERS:
            if isinstance(x, kinds):
                return write(self, x)
        if isinstance(x, tuple) and hasattr(x, "_fields") and _of_sciad(type(x)):
            return {"record": [_name_of(type(x)), self.values(x)]}
        slots = getattr(type(x), "__slots__", None)
        if slots and _of_sciad(type(x)):
            return {"object": [_name_of(type(x)), [[k, self.value(getattr(x, k))] for k in slots]]}
        raise SaveError(f"{_described(x)} cannot be saved in a file")

    def values(self, xs) -> list:
        return [self.value(x) for x in xs]

    def _tuple(self, x):
        if type(x) is not tuple:
            if _of_sciad(type(x)) and hasattr(x, "_fields"):
                return {"record": [_name_of(type(x)), self.values(x)]}
            raise SaveError(f"{_described(x)} cannot be saved in a file")
        return {"tuple": self.values(x)}

    def array(self, x: np.ndarray) -> dict:
        if x.dtype.hasobject:
            raise SaveError(f"an array of dtype {x.dtype} cannot be saved in a file")
        self.arrays.append(x)
        return {"array": len(self.arrays) - 1}

    def scalar(self, x: np.generic) -> dict:
        return {"scalar": [x.dtype.str, base64.b64encode(x.tobytes()).decode()]}

    def graph(self, graph: Graph) -> dict:
        """A graph; variables are numbers, in the order of their definition."""
        numbers: dict[Var, int] = {}

        def define(variables) -> list:
            for var in variables:
                numbers[var] = len(numbers)
            return [self.type(var.type) for var in variables]

        def atom(a: Atom):
            return [self.value(a.value)] if type(a) is Literal else numbers[a]

        inputs, equations = define(graph.inputs), []
        for equation in graph.equations:
            read = [atom(a) for a in equation.inputs]
            try:
                params = {k: self.value(v) for k, v in equation.params.items()}
            except SaveError as error:
                raise SaveError(f"{equation.primitive} ({equation.where}): {error}") from None
            equations.append([_primitive_name(equation.primitive), read, params,
                              define(equation.outputs), list(equation.line)])
        return {"graph": [inputs, equations, [atom(a) for a in graph.outputs]]}

    def type(self, kind: Type) -> list:
        return [list(kind.shape), kind.dtype.str, kind.weak]

    def exception(self, x: BaseException) -> dict:
        try:
            args, state = self.values(x.args), self.value(x.__dict__)
        except SaveError:
            args, state = [str(x)], {"dict": []}
        return {"exception": [_name_of(type(x)), args, state, str(x)]}

    def structure(self, spec: Any) -> Any:
        """The structure of a container."""
        if spec.is_leaf():
            return 0
        if spec.type is type(None):
            return None
        inside = [self.structure(child) for child in spec.children()]
        if spec.type in (dict, OrderedDict, defaultdict):
            sample = spec.one_level().unflatten(list(range(len(inside))))
            pairs = [[self.value(key), inside[k]] for key, k in sample.items()]
            factory = getattr(sample, "default_factory", None)
            return {spec.type.__name__: pairs, "factory": factory and factory.__name__}
        if spec.type in (tuple, list, deque):
            return {spec.type.__name__: inside}
        if spec.type is tree.Fixed:
            return {"fixed": self.value(tree.unflatten(spec, []))}
        return {"class": _name_of(spec.type), "parts": inside}


_WRITERS: list[tuple[Any, Callable[[Writer, Any], Any]]] = [
    (np.generic, Writer.scalar),
    (float, lambda w, x: {"float": x.hex()}),
    (complex, lambda w, x: {"complex": [x.real.hex(), x.imag.hex()]}),
    (tuple, Writer._tuple),
    (list, lambda w, x: {"list": w.values(x)}),
    (dict, lambda w, x: {"dict": [[w.value(k), w.value(v)] for k, v in x.items()]}),
    (frozenset, lambda w, x: {"frozenset": w.values(sorted(x, key=repr))}),
    (bytes, lambda w, x: {"bytes": base64.b64encode(x).decode()}),
    (slice, lambda w, x: {"slice": w.values((x.start, x.stop, x.step))}),
    (range, lambda w, x: {"range": [x.start, x.stop, x.step]}),
    (type(...), lambda w, x: {"ellipsis": None}),
    (np.dtype, lambda w, x: {"dtype": x.str}),
    (np.ndarray, Writer.array),
    (np.ufunc, lambda w, x: {"numpy": x.__name__}),
    (Type, lambda w, x: {"type": w.type(x)}),
    (Graph, Writer.graph),
    (Primitive, lambda w, x: {"primitive": _primitive_name(x)}),
    (BaseException, Writer.exception),
    (optree.PyTreeSpec, lambda w, x: {"structure": w.structure(x)}),
    (type, lambda w, x: {"type of": _name_of(x)}),
]


class Reader:
    """The inverse of `Writer`."""

    def __init__(self, arrays: list[np.ndarray]):
        self.arrays = arrays

    def value(self, x: Any) -> Any:
        """The value that JSON stands for."""
        if type(x) is not dict:
            return x
        (kind, content), = x.items()
        return _READERS[kind](self, content)

    def values(self, xs) -> list:
        return [self.value(x) for x in xs]

    def graph(self, content) -> Graph:
        inputs, equations, outputs = content
        variables: list[Var] = []

        def define(types) -> list[Var]:
            new = [Var(self.type(t)) for t in types]
            variables.extend(new)
            return new

        def atom(a) -> Atom:
            return Literal(self.value(a[0])) if type(a) is list else variables[a]

        first = define(inputs)
        body = []
        for name, operands, params, types, line in equations:
            atoms = [atom(a) for a in operands]
            made = {k: self.value(v) for k, v in params.items()}
            file, number = line
            body.append(Equation(_primitive(name), atoms, define(types), made, (file, number)))
        return Graph(first, body, [atom(a) for a in outputs])

    def type(self, content) -> Type:
        shape, dtype, weak = content
        return Type(tuple(shape), np.dtype(dtype), weak)

    def exception(self, content) -> BaseException:
        name, args, state, text = content
        try:
            kind = found(name)
        except SaveError:
            return SaveError(f"{name.partition(':')[2]}: {text}")
        new = kind.__new__(kind, *self.values(args))
        new.__dict__.update(self.value(state))
        return new

    def structure(self, x: Any) -> Any:
        if x is None:
            return optree.treespec_none()
        if x == 0:
            return optree.treespec_leaf()
        return optree.treespec_from_collection(self._container(x), namespace=tree.NAMESPACE)

    def _container(self, x: dict) -> Any:
        """A container whose entries are structures."""
        if "class" in x:
            return _instance(found(x["class"]), [self.structure(part) for part in x["parts"]])
        if "fixed" in x:
            return tree.Fixed(self.value(x["fixed"]))
        kind, content = next(iter(x.items()))
        if kind in ("tuple", "list", "deque"):
            return _SEQUENCES[kind](map(self.structure, content))
        pairs = [(self.value(key), self.structure(inside)) for key, inside in content]
        if kind == "defaultdict":
            factory = x["factory"]
            return defaultdict(getattr(builtins, factory) if factory else None, pairs)
        return OrderedDict(pairs) if kind == "OrderedDict" else dict(pairs)

    def scalar(self, content) -> np.generic:
        dtype, data = content
        return np.frombuffer(base64.b64decode(data), np.dtype(dtype))[0]

    def record(self, content) -> Any:
        name, values = content
        return _own_class(name)(*self.values(values))

    def object(self, content) -> Any:
        name, attributes = content
        out = object.__new__(_own_class(name))
        for key, value in attributes:
            object.__setattr__(out, key, self.value(value))
        return out


_SEQUENCES: dict[str, Callable] = {"tuple": tuple, "list": list, "deque": deque}
_READERS: dict[str, Callable[[Reader, Any], Any]] = {
    "scalar": Reader.scalar,
    "float": lambda r, x: float.fromhex(x),
    "complex": lambda r, x: complex(*map(float.fromhex, x)),
    "tuple": lambda r, x: tuple(r.values(x)),
    "list": Reader.values,
    "dict": lambda r, x: {r.value(k): r.value(v) for k, v in x},
    "frozenset": lambda r, x: frozenset(r.values(x)),
    "bytes": lambda r, x: base64.b64decode(x),
    "slice": lambda r, x: slice(*r.values(x)),
    "range": lambda r, x: range(*x),
    "ellipsis": lambda r, x: ...,
    "dtype": lambda r, x: np.dtype(x),
    "array": lambda r, x: r.arrays[x],
    "numpy": lambda r, x: getattr(np, x),
    "type": Reader.type,
    "graph": Reader.graph,
    "primitive": lambda r, x: _primitive(x),
    "exception": Reader.exception,
    "structure": Reader.structure,
    "type of": lambda r, x: found(x),
    "record": Reader.record,
    "object": Reader.object,
}


def _of_sciad(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "sciad"


def _described(x: Any) -> str:
    name = getattr(x, "__qualname__", "")
    return f"{name} ({type(x).__name__})" if name else f"a {type(x).__qualname__}"


def _name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def found(name: str) -> Any:
    """A class by its module and name, which is imported if need be."""
    module, _, path = name.partition(":")
    try:
        holder: Any = importlib.import_module(module)
        for part in path.split("."):
            holder = getattr(holder, part)
    except (ImportError, AttributeError):
        raise SaveError(f"the file refers to {path} of module {module}, which is not to be had "
                        "here") from None
    if not isinstance(holder, type):
        raise SaveError(f"the file refers to {name} as a class, which it is not")
    return holder


def _own_class(name: str) -> Any:
    if name.partition(".")[0] != "sciad":
        raise SaveError(f"the file refers to {name} as a class of sciad's")
    return found(name)


def _instance(cls: type, parts: list) -> Any:
    """An instance of a registered class, from its parts."""
    if hasattr(cls, "_fields"):
        return cls(*parts)
    if optree.register_pytree_node.get(cls, namespace=tree.NAMESPACE) is None:  # type: ignore
        tree.register(cls)
    entry: Any = optree.register_pytree_node.get(cls, namespace=tree.NAMESPACE)  # type: ignore
    return entry.unflatten_func(None, tuple(parts))


def _primitive_name(primitive: Primitive) -> str:
    """The module and the name that define a primitive."""
    name = _primitive_names().get(primitive)
    if name is None:  # a module of sciad's was imported since
        _primitive_names.cache_clear()
        name = _primitive_names().get(primitive)
    if name is None:
        raise SaveError(f"the operation {primitive} is no operation of sciad's own")
    return name


@lru_cache(maxsize=1)
def _primitive_names() -> dict[Primitive, str]:
    names: dict[Primitive, str] = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith("sciad.") and module is not None:
            for attribute, value in vars(module).items():
                if isinstance(value, Primitive):
                    names.setdefault(value, f"{name}:{attribute}")
    return names


def _primitive(name: str) -> Primitive:
    module, _, attribute = name.partition(":")
    if not module.startswith("sciad."):
        raise SaveError(f"the file refers to {name} as an operation of sciad's")
    try:
        primitive = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        primitive = None
    if not isinstance(primitive, Primitive):
        raise SaveError(f"the file uses the operation {name}, which this version of sciad lacks")
    return primitive
