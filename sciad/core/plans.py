"""Plans of sparse derivatives: which product with a vector each entry is read off, and where.

With s_c the direction that is 1 in the columns of colour c, the products y_c = J s_c hold each
entry of J once, and so do those from the other side, or fewer of them if J is symmetric:

    J[i, j] = y_c[i],  c the colour of j             columns
    J[i, j] = (s_c^T J)[j],  c the colour of i       rows
    H[i, j] = H[j, i] = y_c[i],  c the colour of j, if no other neighbour of i has it, nor i;
                        y_c[j],  c the colour of i, otherwise          stars

Patterns that are read off a program are so at every call, which costs as much as a run of the
program in Python and is what makes the result right whatever the function closes over; a plan is
used again as long as the program is the same.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import scipy

from sciad.core.colouring import column_colours, star_colours
from sciad.core.custom import recorded_p
from sciad.core.errors import ArgumentError, LostGradientError, RecordError, at_line
from sciad.core.graph import Graph, type_of
from sciad.core.hook import hook_p
from sciad.core.record import record_leaves
from sciad.core.sparsity import pattern_of, program_key
from sciad.core.transforms import grad

_KEPT = 8
"""Plans that a sparse derivative keeps: one for each program that the function was."""


class Plan:
    """A pattern, coloured: which products give the entries.

    Attributes
    ----------
    pattern : csr_array of bool
    kind : {"columns", "rows", "stars"}
    colours : array
        Of each column, row or vertex.
    count : int
        The number of colours.
    """

    __slots__ = ("pattern", "kind", "colours", "count", "_entries", "_places", "_ends")

    def __init__(self, pattern, kind: str, colours: np.ndarray):
        self.pattern, self.kind, self.colours = pattern, kind, colours
        self.count = int(colours.max(initial=-1)) + 1
        rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
        columns = pattern.indices
        if kind == "columns":
            source, places = colours[columns], rows
        elif kind == "rows":
            source, places = colours[rows], columns
        else:
            source, places = _read_off(rows, columns, colours, self.count)
        small = np.uint16 if self.count < 1 << 16 else np.int64
        self._entries = np.argsort(source.astype(small), kind="stable")
        self._places = places[self._entries]
        self._ends = np.cumsum(np.bincount(source, minlength=self.count))

    def direction(self, colour: int, dtype) -> np.ndarray:
        """The direction of a colour."""
        return (self.colours == colour).astype(dtype)

    def gathered(self, product: Callable, seeds, dtype) -> np.ndarray:
        """The entries, in the order of the pattern; `product` maps a direction to a vector."""
        data = np.zeros(self.pattern.nnz, dtype)
        start = 0
        for colour, end in enumerate(self._ends):
            vector = product(self.direction(colour, seeds))
            data[self._entries[start:end]] = vector[self._places[start:end]]
            start = end
        return data


def _read_off(rows, columns, colours, count):
    """For each entry of a symmetric pattern the colour and the place to read it off; the same
    for an entry and its mirror image, so that the result is symmetric exactly."""
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    keys = rows.astype(np.int64) * count + colours[columns]
    if len(colours) * count <= 4 * len(keys) + 1000:
        often = np.bincount(keys, minlength=len(colours) * count)
        alone = often[high.astype(np.int64) * count + colours[low]] == 1
    else:
        known, often = np.unique(keys, return_counts=True)
        alone = often[np.searchsorted(known, high.astype(np.int64) * count + colours[low])] == 1
    return np.where(alone, colours[low], colours[high]), np.where(alone, high, low)


def plan_of(pattern, mode: str) -> Plan:
    """The plan of a Jacobian; in mode ``auto`` by columns unless rows need fewer colours."""
    if mode == "forward":
        return Plan(pattern, "columns", column_colours(pattern))
    if mode == "reverse":
        return Plan(pattern, "rows", column_colours(pattern.T.tocsr()))
    least = [int(np.bincount(pattern.indices, minlength=1).max()),
             int(np.diff(pattern.indptr).max(initial=0))]
    first, second = ("reverse", "forward") if least[0] < least[1] else ("forward", "reverse")
    plan = plan_of(pattern, first)
    if plan.count <= max(least) or _same(pattern, _canonical(pattern.T)):
        return plan
    other = plan_of(pattern, second)
    return other if other.count < plan.count else plan


def star_plan(pattern) -> Plan:
    """The plan of a Hessian, given a symmetric pattern."""
    return Plan(pattern, "stars", star_colours(pattern))


# --- where plans come from ------------------------------------------------------------------------


class Read:
    """Plans of the patterns that are read off the program."""

    checked = False

    def __init__(self, mode: str, symmetric: bool):
        self.mode, self.symmetric = mode, symmetric
        self.plans: OrderedDict[str, Plan] = OrderedDict()
        self.slopes: OrderedDict[str, str] = OrderedDict()
        self.lock = threading.Lock()

    def plan(self, f: Callable, x, name: str) -> Plan:
        """The plan of a function of one array, at the type of `x`."""
        graph = _program(f, x, name)
        with self.lock:
            key = self._key(graph)
            if key not in self.plans:
                if self._key(_program(f, x, name)) != key:
                    raise RecordError(f"{name}: the function is another program each time it runs, "
                                      f"so its pattern cannot be read off it{at_line()}; give the "
                                      "pattern as sparsity")
                _keep(self.plans, key, self._fresh(graph))
            self.plans.move_to_end(key)
            return self.plans[key]

    def _key(self, graph: Graph) -> str:
        """What tells a program from those of another pattern (of a Hessian: its gradient)."""
        if not self.symmetric:
            return program_key(graph)
        key = self.slopes.get(graph.key)
        if key is None:
            key = f"{program_key(_slope(graph))} {_has_stated_rules(graph)}"
            _keep(self.slopes, graph.key, key)
        return key

    def _fresh(self, graph: Graph) -> Plan:
        """The plan of a program; one that is there already, where its pattern is the same."""
        symmetric = self.symmetric and not _has_stated_rules(graph)
        pattern = pattern_of(_slope(graph) if self.symmetric else graph)
        if symmetric:
            pattern = _both(pattern)
        kinds = ("stars",) if symmetric else ("columns", "rows")
        for plan in reversed(self.plans.values()):
            if plan.kind in kinds and _same(plan.pattern, pattern):
                return plan
        return star_plan(pattern) if symmetric else plan_of(pattern, self.mode)


class Given:
    """The plan of a pattern that is given."""

    checked = True

    def __init__(self, pattern, mode: str, symmetric: bool, name: str):
        self.pattern = _as_pattern(pattern, name)
        if symmetric:
            if self.pattern.shape[0] != self.pattern.shape[1]:
                raise ArgumentError(f"{name}: the pattern of a Hessian is square, this one has "
                                    f"shape {self.pattern.shape}{at_line()}")
            self.pattern = _canonical(self.pattern + self.pattern.T)
        self.mode, self.symmetric = mode, symmetric
        self.made: Plan | None = None

    def plan(self, f: Callable, x, name: str) -> Plan:
        if self.made is None:
            self.made = (star_plan(self.pattern) if self.symmetric
                         else plan_of(self.pattern, self.mode))
        return self.made


def _as_pattern(pattern, name):
    if not scipy.sparse.issparse(pattern):
        pattern = np.asarray(pattern)
        if pattern.dtype.kind not in "biuf" or pattern.ndim != 2:
            raise ArgumentError(f"{name}: sparsity is an array of dtype {pattern.dtype} and shape "
                                f"{pattern.shape}{at_line()}; give \"auto\", a scipy.sparse array "
                                "or a boolean matrix")
        pattern = pattern != 0
    elif pattern.ndim != 2:
        raise ArgumentError(f"{name}: sparsity has shape {pattern.shape}{at_line()}; a pattern is "
                            "a matrix")
    places = scipy.sparse.coo_array(pattern)
    return _canonical(scipy.sparse.csr_array(
        (np.ones(places.nnz, bool), (places.row, places.col)), shape=places.shape))


def _canonical(pattern):
    pattern = scipy.sparse.csr_array(pattern)
    pattern.sum_duplicates()
    return pattern


def _both(pattern):
    """What stands in a pattern on both sides of the diagonal: a symmetric matrix has no more."""
    return _canonical(pattern.multiply(pattern.T.tocsr()))


def _same(a, b) -> bool:
    return (a.shape == b.shape and np.array_equal(a.indptr, b.indptr)
            and np.array_equal(a.indices, b.indices))


def _keep(found: OrderedDict, key: str, value) -> None:
    """Add an entry; the oldest one goes where they get many."""
    found[key] = value
    if len(found) > _KEPT:
        found.popitem(last=False)


def _program(f: Callable, x, name: str) -> Graph:
    """A function of one array as a graph."""
    recorded = record_leaves(f, [type_of(x).strong()])
    if recorded.consts:
        raise followed(name)
    return recorded.graph


def _slope(graph: Graph) -> Graph:
    """The gradient of a graph of one number."""
    return record_leaves(grad(lambda x: graph(x)[0]), [graph.inputs[0].type]).graph


def _has_stated_rules(graph: Graph) -> bool:
    """Whether derivatives are stated by hand, whose own derivatives need not be symmetric."""
    return any(equation.primitive in (recorded_p, hook_p)
               or any(map(_has_stated_rules, equation.graphs())) for equation in graph.equations)


def source_of(sparsity, mode: str, symmetric: bool, name: str):
    """Where the plans of a derivative come from, by its argument `sparsity`."""
    if isinstance(sparsity, str):
        if sparsity != "auto":
            raise ArgumentError(f"{name}: sparsity is {sparsity!r}, must be None, 'auto', a "
                                f"scipy.sparse array or a boolean matrix{at_line()}")
        return Read(mode, symmetric)
    return Given(sparsity, mode, symmetric, name)


def followed(name) -> LostGradientError:
    """The error where numbers are asked for that an outer transform follows."""
    return LostGradientError(
        f"{name}: with sparsity the result is a scipy.sparse array, which holds plain numbers, but "
        f"an outer transform (grad, jvp, jit) follows the values here{at_line()}; take the "
        "sparse derivative outside of it, or products with it by sciad.linearize or sciad.vjp, "
        "or a dense array with sparsity=None")
