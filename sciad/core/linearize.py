"""linearize: the derivative at a point as a linear function, without running the program again.

The function runs once in forward mode, its primal values as they are, its tangents without data.
An operation on values is carried out; one on a tangent is only noted. So Python's control flow
follows the values, and what is noted is the linear program

    t1 = cos(x) * dx,   t2 = y * t1,   ...

with all nonlinear work (cos(x), y) done: constants, which may belong to outer transforms. This is
partial evaluation, as in A. Radul et al., "You Only Linearize Once" (2023). Equations that no
result needs are dropped.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.arguments import differentiable, fitting, packed, pair
from sciad.core.array import Array, current
from sciad.core.backend import is_array, on_any_device
from sciad.core.errors import ArgumentError, RecordError, at_line
from sciad.core.forward import Forward
from sciad.core.graph import Atom, Equation, Graph, Literal, Type, Var, output_types, type_of
from sciad.core.primitive import Interpreter, Primitive, active, watch
from sciad.core.rules import Tools
from sciad.core.transforms import _own, _unshared, finish, jvp_unstaged, staged


def linearize(f: Callable, *primals: Any) -> tuple:
    """The value of `f` and its derivative there, as a function that does not run `f` again.

    Parameters
    ----------
    f : callable
        Any containers in and out. It runs once; its branches and loops follow its values.
    *primals
        Where to evaluate.

    Returns
    -------
    out
        ``f(*primals)``.
    f_jvp : callable
        One tangent a primal -> the tangent of `out`. It may be called again, and be
        differentiated; complex tangents are mapped real-linearly.

    Raises
    ------
    RecordError
        If a derivative rule asks for the number in a tangent; use `jvp` then.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> out, f_jvp = sciad.linearize(lambda x: np.sin(x) * x, 0.0)
    >>> float(f_jvp(1.0)), float(f_jvp(2.0))
    (0.0, 0.0)
    >>> out, f_jvp = sciad.linearize(np.multiply, 2.0, 3.0)
    >>> float(f_jvp(1.0, 10.0))
    23.0
    """
    leaves, structure = tree.flatten(tuple(primals))
    leaves = [differentiable(x, "linearize") for x in leaves]
    f = staged(f, *primals)
    done = linearized(lambda *xs: f(*tree.unflatten(structure, list(xs))), leaves)

    def f_jvp(*tangents):
        seeds, seed_structure = tree.flatten(tangents)
        if seed_structure != structure:
            raise ArgumentError(f"linearize: the tangents have structure {seed_structure}, the "
                                f"primals {structure}{at_line()}")
        return tree.unflatten(done.structure, done.push(seeds))

    return tree.unflatten(done.structure, done.outs), f_jvp


def linearized(f: Callable, leaves: list, has_aux: bool = False) -> "Linearized":
    """`linearize` of a function of flat arguments, which asks no questions of recorded values."""
    with Noting() as noting, Forward() as forward:
        inputs = [Array(_held(x), forward, noting.variable(type_of(x).strong())) for x in leaves]
        seeds = [x._node._node for x in inputs]
        result, aux = f(*inputs), None
        if has_aux:
            result, aux = pair(result)
        outs, structure = tree.flatten(result)
        pairs = [_split(packed(out), forward, noting) for out in outs]
        aux = tree.tree_map(lambda x: _own(_split(packed(x), forward, noting)[0]), aux)
        graph = _pruned(Graph(seeds, noting.equations, [atom for _, atom in pairs]))
    values = [_own(finish(value)) for value, _ in pairs]
    done = Linearized(graph, values, structure, tree.tree_map(finish, aux))
    return done if watch() is None else Rerun(done, f, leaves, has_aux)


class Linearized:
    """The results of a function at a point, and its linear program there.

    Attributes
    ----------
    graph : Graph
        From the tangents of the arguments to those of the results.
    outs : list
        The results.
    structure
        Of the container of the results.
    aux
        What the function returned besides.
    """

    __slots__ = ("graph", "outs", "structure", "aux")

    def __init__(self, graph, outs, structure, aux):
        self.graph, self.outs, self.structure, self.aux = graph, outs, structure, aux

    def push(self, seeds: list) -> list:
        """The tangents of the results, from those of the arguments."""
        seeds = [fitting(seed, var.type, "tangent")
                 for seed, var in zip(seeds, self.graph.inputs, strict=True)]
        slopes = [finish(slope) for slope in self.graph(*seeds)]
        constants = [atom.value for atom in self.graph.outputs if type(atom) is Literal]
        return _unshared(slopes, [*seeds, *constants])


class Rerun(Linearized):
    """Inside `debug_nans`, the same derivative by forward mode, which tells the line of a NaN."""

    __slots__ = ("f", "leaves", "has_aux")

    def __init__(self, done, f, leaves, has_aux):
        super().__init__(done.graph, done.outs, done.structure, done.aux)
        self.f, self.leaves, self.has_aux = f, leaves, has_aux

    def push(self, seeds: list) -> list:
        def out(*xs):
            result = self.f(*xs)
            return result[0] if self.has_aux else result

        return tree.flatten(jvp_unstaged(out, self.leaves, seeds)[1])[0]


class Noting(Interpreter):
    """The interpreter of tangents without data: notes what is done with them."""

    __slots__ = ("equations",)
    has_data = False

    def __enter__(self):
        super().__enter__()
        self.equations: list[Equation] = []
        return self

    def close(self):
        self.equations = []

    def variable(self, kind: Type) -> Array:
        return Array(kind, self, Var(kind))

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        if not any(type(x) is Array and x._interp is self for x in args):
            return self._effect(primitive, args, params)
        atoms = [self.atom(x) for x in args]
        types = output_types(primitive, [atom.type for atom in atoms], params)
        outs = [self.variable(kind) for kind in types]
        self.equations.append(Equation(primitive, atoms, [out._node for out in outs], params))
        return tuple(outs) if primitive.multiple else outs[0]

    def _effect(self, primitive, args, params):
        """An operation that concerns no tangent, handed over as it may stop the program."""
        for interp in reversed(active()[:self.level]):
            if not interp.has_data:
                return interp.process(primitive, args, params)
        return primitive.fun(*args, **params)

    def atom(self, x: Any) -> Atom:
        """An operand as a variable or a constant, which stays as it is now."""
        if type(x) is Array and x._interp is self:
            return x._node
        held = type(x) is np.ndarray and x.flags.writeable or on_any_device(x)
        return Literal(x.copy() if held else x)

    def truth(self, x: Array) -> bool:
        raise RecordError(f"linearize: a derivative rule asks for the truth of a tangent"
                          f"{at_line()}, which has no data here; use sciad.jvp")

    def resolve(self, x: Array) -> Array:
        raise RecordError("linearize: a tangent is used after its function ended; a rule stored "
                          f"it outside itself{at_line()}")


def _held(x):
    """An argument as a value of its own, since the caller may write into theirs."""
    return x.copy() if is_array(x) else x


def _split(x, forward, noting) -> tuple[Any, Atom]:
    """A result below forward mode, and its tangent."""
    if type(x) is Array:
        x = current(x)
        if x._interp is forward:
            return x._value, noting.atom(x._node)
    if not hasattr(x, "dtype") and not isinstance(x, (bool, int, float, complex)):
        return x, Literal(0.0)
    kind = type_of(x)
    return x, Literal(Tools.zeros(kind.shape, kind.dtype, x))


def _pruned(graph: Graph) -> Graph:
    """The graph without equations that no output needs."""
    needed = {atom for atom in graph.outputs if type(atom) is Var}
    kept = []
    for equation in reversed(graph.equations):
        if equation.primitive.effect or not needed.isdisjoint(equation.outputs):
            kept.append(equation)
            needed.update(x for x in equation.inputs if type(x) is Var)
    return Graph(graph.inputs, kept[::-1], graph.outputs)
