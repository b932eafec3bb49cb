"""Bodies of loops as graphs.

A carry must come out of the body with the type it went in with. Where it does not, both types are
joined as NumPy promotes (a Python number adapts to its partners, int and float make float), and
the body is recorded again, until nothing changes; types only ever grow, so that ends.
"""

from collections.abc import Callable
from typing import Any

from sciad.core import tree
from sciad.core.errors import ArgumentError
from sciad.core.graph import Atom, Equation, Graph, Type, Var, output_types, type_of
from sciad.core.record import Recorded, record_leaves
from sciad.ops.control.calling import SCAN, changed
from sciad.ops.control.values import as_type, joined, operand, packed, weaken_p, weakened


class Carry:
    """The state of a loop: its leaves, their types and its structure. `form` tells what its body
    must return."""

    def __init__(self, init: Any, form: str):
        leaves, self.structure = tree.flatten(init)
        self.form, self.name = form, form.partition(":")[0]
        self.types = [type_of(packed(x)) for x in leaves]
        self.leaves = [operand(x, self.name) for x in leaves]

    def __len__(self):
        return len(self.types)

    def unflatten(self, xs) -> Any:
        """The state of these leaves, as the body sees it."""
        return tree.unflatten(self.structure, weakened(list(xs), self.types))

    def flatten(self, state: Any) -> list:
        """The leaves that a body returned, checked."""
        leaves, structure = tree.flatten(state)
        if structure != self.structure:
            raise self._changed("structure", state)
        for x in leaves:
            operand(x, self.name)
        leaves = [packed(x) for x in leaves]
        after = [type_of(x) for x in leaves]
        if any(a.shape != b.shape for a, b in zip(self.types, after, strict=True)):
            raise self._changed("shapes", state)
        return leaves

    def _changed(self, what: str, state: Any) -> ArgumentError:
        carried = "carry" if self.form is SCAN else "state"
        before = tree.unflatten(self.structure, self.leaves)
        return changed(what, carried, self.form, before, state)

    def operands(self) -> list:
        """The first leaves, in the types of the loop."""
        return [as_type(x, t) for x, t in zip(self.leaves, self.types, strict=True)]


def record_body(function: Callable, carry: Carry, rows: list[Type]) -> Recorded:
    """Record ``function(state, *rows) -> (state, rest)``, both any containers, as a function to
    the list of the state's leaves and `rest`; `carry` then has the types that last."""
    while True:
        lasting = carry.types

        def run(*xs):
            nonlocal lasting
            state, rest = function(carry.unflatten(xs[:len(carry)]), *xs[len(carry):])
            leaves = carry.flatten(state)
            lasting = [joined(t, type_of(x)) for t, x in zip(lasting, leaves, strict=True)]
            return [as_type(x, t) for x, t in zip(leaves, carry.types, strict=True)], rest

        recorded = record_leaves(run, [t.strong() for t in carry.types] + rows)
        if lasting == carry.types:
            return recorded._replace(graph=strengthened(recorded.graph))
        carry.types = lasting


def strengthened(graph: Graph) -> Graph:
    """`graph` without the operations that let scalars adapt, if every dtype is the same without
    them, as it is where all floats are double."""
    if not any(equation.primitive is weaken_p for equation in graph.equations):
        return graph
    names: dict[Atom, Atom] = {}
    equations = []
    for equation in graph.equations:
        inputs = [names.get(x, x) for x in equation.inputs]
        if equation.primitive is weaken_p:
            names[equation.outputs[0]] = inputs[0]
            continue
        types = output_types(equation.primitive, [x.type for x in inputs], equation.params)
        if any(t.strong() != out.type.strong()
               for t, out in zip(types, equation.outputs, strict=True)):
            return graph
        outputs = [Var(t) for t in types]
        names.update(zip(equation.outputs, outputs, strict=True))
        equations.append(Equation(equation.primitive, inputs, outputs, equation.params,
                                  equation.line))
    return Graph(graph.inputs, equations, [names.get(x, x) for x in graph.outputs])
