"""From explored paths to a structured graph.

The paths form a graph without cycles: questions, two paths each, joined by jumps. Every question
becomes a ``cond`` up to its immediate postdominator (the nearest question that both answers
reach, or the end); a path that raises does not count. What the rest needs of the values made
inside becomes the results of the ``cond``.
"""

from collections.abc import Callable

import numpy as np

from sciad.core.errors import RecordError
from sciad.core.explore import MOST_OPERATIONS
from sciad.core.graph import Atom, Equation, Graph, Literal, Type, Var
from sciad.core.paths import (
    Needs,
    Path,
    Question,
    Raise,
    Return,
    postorder,
    target_of,
)
from sciad.core.primitive import Primitive

END = "end"


class Control:
    """The structured primitives, provided by `sciad.ops.control`, what guards Python's integers,
    by `sciad.ops.python_integers`, and what simplifies a graph, by `sciad.compiler.passes`."""

    cond: Callable
    fail: Callable
    astype: Callable
    guard: Callable
    hold: Primitive
    """A number as a value, set by `sciad.core.transforms`."""
    simplify: Callable = staticmethod(lambda graph: graph)


def structured(root: Path, inputs: list[Var]) -> Graph:
    """One graph for all paths from `root`."""
    if isinstance(root.end, Return):
        return Graph(inputs, root.equations, root.end.atoms)
    return _Builder(root).graph(inputs)


class _Builder:
    def __init__(self, root: Path):
        self.root = root
        self.chains: dict[Question, list] = {}
        self.needs = Needs()
        self.written = 0
        for question in postorder(root):
            self.chains[question] = self._chain(question)

    def graph(self, inputs):
        equations: list[Equation] = []
        outcome = self.emit(self.root, {}, equations, END)
        return Graph(inputs, equations, outcome)

    # --- postdominators ---------------------------------------------------

    def _chain(self, question) -> list:
        """`question` and its postdominators, nearest first; the last is END."""
        both = [self._chain_of_path(question.paths[answer]) for answer in (True, False)]
        both = [chain for chain in both if chain is not None]
        if not both:
            return [question]
        common = [q for q in both[0] if all(q in chain for chain in both[1:])]
        return [question, *common]

    def _chain_of_path(self, path) -> list | None:
        target = target_of(path)
        if isinstance(target, Raise):
            return None
        if isinstance(target, Return):
            return [END]
        chain = self.chains[target]
        return chain if chain[-1] is END else None

    # --- emission ------------------------------------------------------------------------------

    def emit(self, path, names: dict[Var, Atom], equations, stop) -> list[Atom] | Raise:
        """Append the equations of `path` and all it leads to before `stop`; return the atoms
        that `stop` needs (or the results, for END)."""
        self.written += 1 + len(path.equations)
        if self.written > MOST_OPERATIONS:
            raise RecordError("the branches of this function share too little: written out, they "
                              f"are more than {MOST_OPERATIONS} operations; use sciad.cond, "
                              "np.where, or a loop of sciad's")
        for equation in path.equations:
            inputs = [_rename(names, x) for x in equation.inputs]
            outputs = [Var(out.type) for out in equation.outputs]
            names.update(zip(equation.outputs, outputs, strict=True))
            equations.append(Equation(equation.primitive, inputs, outputs, equation.params,
                                      equation.line))
        target = target_of(path)
        if isinstance(target, Raise):
            return target
        values = [_rename(names, x) for x in self.needs.wanted(path)]
        if isinstance(target, Return):
            return values
        while target is not stop:
            names = {**names, **dict(zip(self.needs.of(target), values, strict=True))}
            chain = self.chains[target]
            if len(chain) == 1:
                return self._all_raise(target, names, equations)
            values = self._cond(target, chain[1], names, equations)
            target = chain[1]
        return values

    def _all_raise(self, question, names, equations):
        """Both answers raise: choose which, then report the first as the outcome."""
        self._cond(question, END, names, equations)
        return _some_raise(question)

    def _cond(self, question, merge, names, equations) -> list[Atom]:
        bodies = {}
        for answer in (True, False):
            body: list[Equation] = []
            outcome = self.emit(question.paths[answer], dict(names), body, merge)
            bodies[answer] = body, outcome
        types = _result_types([outcome for _, outcome in bodies.values()])
        operands = _operands(bodies)
        graphs = {answer: _branch(operands, body, outcome, types)
                  for answer, (body, outcome) in bodies.items()}
        outputs = [Var(t) for t in types]
        predicate = _rename(names, question.predicate)
        equations.append(Equation(Control.cond, [predicate, *operands], outputs,
                                  {"true": graphs[True], "false": graphs[False]}))
        return list(outputs)


def _rename(names, atom: Atom) -> Atom:
    return names.get(atom, atom) if type(atom) is Var else atom


def _some_raise(question) -> Raise:
    target = target_of(question.paths[True])
    return target if isinstance(target, Raise) else _some_raise(target)


def _result_types(outcomes) -> list[Type]:
    """The common types of what the branches give (a raising branch gives anything)."""
    lists = [[atom.type for atom in outcome] for outcome in outcomes
             if not isinstance(outcome, Raise)]
    if not lists:
        return []
    if len(lists) == 1:
        return lists[0]
    if len(lists[0]) != len(lists[1]):
        raise RecordError("the branches of an if return containers of different structure")
    return [_join(a, b) for a, b in zip(*lists, strict=True)]


def _join(a: Type, b: Type) -> Type:
    if a == b:
        return a
    if a.shape != b.shape:
        raise RecordError(f"the branches of an if give different shapes, {a} and {b}; "
                          "make them agree, or the function runs eagerly")
    if a.weak != b.weak and a.dtype == b.dtype:
        return a.strong()
    if a.weak and a.dtype.kind in "iuf" and b.dtype.kind == "f":
        return b
    if b.weak and b.dtype.kind in "iuf" and a.dtype.kind == "f":
        return a
    raise RecordError(f"the branches of an if give different dtypes, {a} and {b}; "
                      "make them agree, or the function runs eagerly")


def _operands(bodies) -> list[Var]:
    """The outer variables that the branches use."""
    found: dict[Var, None] = {}
    for body, outcome in bodies.values():
        defined = {out for equation in body for out in equation.outputs}
        used = [x for equation in body for x in equation.inputs]
        used += [] if isinstance(outcome, Raise) else outcome
        found.update((x, None) for x in used if type(x) is Var and x not in defined)
    return list(found)


def _branch(operands, body, outcome, types) -> Graph:
    inputs = {var: Var(var.type) for var in operands}
    equations = [Equation(e.primitive, [_rename(inputs, x) for x in e.inputs], e.outputs,
                          e.params, e.line) for e in body]
    if isinstance(outcome, Raise):
        fail = Equation(Control.fail, [], [], {"exception": Frozen(outcome.exception)})
        return Graph(inputs.values(), [*equations, fail], [_zero(t) for t in types])
    results = [_cast(_rename(inputs, atom), t, equations)
               for atom, t in zip(outcome, types, strict=True)]
    return Graph(inputs.values(), equations, results)


def _zero(kind: Type) -> Literal:
    return Literal(np.zeros(kind.shape, kind.dtype)[()])


def _cast(atom, kind: Type, equations):
    if atom.type.dtype == kind.dtype and atom.type.shape == kind.shape:
        return atom
    if type(atom) is Literal:
        return Literal(kind.dtype.type(atom.value))
    out = Var(kind.strong())
    equations.append(Equation(Control.astype, [atom], [out], {"dtype": kind.dtype}))
    return out


class Frozen:
    """An exception as a parameter: printed and compared by type and arguments."""

    __slots__ = ("exception",)

    def __init__(self, exception: Exception):
        self.exception = exception

    def __repr__(self):
        return repr(self.exception)

    def __eq__(self, other):
        return isinstance(other, Frozen) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))
