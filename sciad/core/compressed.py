"""Sparse Jacobians and Hessians: one product with a vector for each colour.

The pattern is read off the recorded program, or given; its columns (forward mode), its rows
(reverse mode) or the vertices of its graph (Hessians) are coloured (`sciad.core.colouring`), and
the program is linearised once. With s_c the direction that is 1 in the columns of colour c, the
products y_c = J s_c hold each entry once:

    J[i, j] = y_c[i],  c the colour of j             columns
    J[i, j] = (s_c^T J)[j],  c the colour of i       rows
    H[i, j] = H[j, i] = y_c[i],  c the colour of j, if no other neighbour of i has it, nor i;
                        y_c[j],  c the colour of i, otherwise          stars

A `Plan` says for each entry which product it is read off, and where. Patterns that are read off
the program are so at every call, which costs as much as a run of the program in Python and is
what makes the result right whatever the function closes over; a plan is used again as long as
the program is the same. A given pattern is checked at every call by one more product, along a
random direction: J v from the entries against J v itself.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy

from sciad.core import tree
from sciad.core.arguments import differentiable, one_array, pair, places_of
from sciad.core.array import Array, unwrap_plain
from sciad.core.backend import asnumpy
from sciad.core.colouring import column_colours, star_colours
from sciad.core.custom import recorded_p
from sciad.core.errors import ArgumentError, DTypeError, LostGradientError, SciadError, at_line
from sciad.core.graph import Graph, Type, type_of
from sciad.core.hook import hook_p
from sciad.core.linearize import linearized
from sciad.core.record import record_leaves
from sciad.core.sparsity import pattern_of, program_key
from sciad.core.transforms import _vjp_of, grad

_KEPT = 8
"""Plans that a sparse Jacobian keeps: one for each program that the function was."""

_SEED = 20_220_816
_LOOKED_AT = 16
_ROUNDING = 1e3
"""Entries up to so many units of rounding, of the largest in their row, are taken for rounding."""


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
        self.lock = threading.Lock()

    def plan(self, f: Callable, x, name: str) -> Plan:
        """The plan of a function of one array, at the type of `x`."""
        recorded = record_leaves(f, [type_of(x).strong()])
        if recorded.consts:
            raise _followed(name)
        graph = recorded.graph
        with self.lock:
            key = graph.key if self.symmetric else program_key(graph)
            plan = self.plans.get(key)
            if plan is None:
                plan = self._fresh(graph)
                self.plans[key] = plan
                if len(self.plans) > _KEPT:
                    self.plans.popitem(last=False)
            self.plans.move_to_end(key)
        return plan

    def _fresh(self, graph: Graph) -> Plan:
        """The plan of a program; one that is there already, where its pattern is the same."""
        symmetric = self.symmetric and not _has_stated_rules(graph)
        pattern = _gradient_pattern(graph) if self.symmetric else pattern_of(graph)
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


def _gradient_pattern(graph: Graph):
    """The pattern of the Hessian of a graph of one number."""
    kind = graph.inputs[0].type
    slope = record_leaves(grad(lambda x: graph(x)[0]), [kind]).graph
    return pattern_of(slope)


def _has_stated_rules(graph: Graph) -> bool:
    """Whether derivatives are stated by hand, whose own derivatives need not be symmetric."""
    return any(equation.primitive in (recorded_p, hook_p)
               or any(map(_has_stated_rules, equation.graphs())) for equation in graph.equations)


# --- the derivative -------------------------------------------------------------------------------


class _Linear(NamedTuple):
    """A function at a point: its types, and products with its Jacobian from either side."""

    out: Type
    x: Type
    product: Callable
    aux: Any


def sparse_jacobian(f: Callable, argnums, mode: str, has_aux: bool, sparsity) -> Callable:
    """`jacobian` with a pattern."""
    source = _source(sparsity, mode, False, "jacobian")

    def at(args, kwargs):
        g, x = _of_array(f, argnums, args, kwargs, "jacobian", has_aux)
        plan = source.plan(lambda x: g(x)[0], x, "jacobian")
        linear = (_pushed if plan.kind == "columns" else _pulled)(g, x, "jacobian")
        result = _matrix(plan, linear, "jacobian")
        if source.checked:
            _check(result, plan, linear, lambda x: g(x)[0], x, "jacobian")
        return (result, linear.aux) if has_aux else result

    return at


def sparse_hessian(f: Callable, argnums, sparsity) -> Callable:
    """`hessian` with a pattern."""
    source = _source(sparsity, "forward", True, "hessian")

    def at(args, kwargs):
        g, x = _of_array(f, argnums, args, kwargs, "hessian", False)
        if type_of(x).dtype.kind == "c":
            raise DTypeError(f"hessian: with sparsity the argument must be real, it has dtype "
                             f"{x.dtype}{at_line()}")
        plan = source.plan(lambda x: _scalar(g(x)[0]), x, "hessian")
        slope = grad(lambda x: g(x)[0])
        linear = _pushed(lambda x: (slope(x), None), x, "hessian")
        result = _matrix(plan, linear, "hessian")
        if source.checked:
            _check(result, plan, linear, slope, x, "hessian")
        return result

    return at


def _scalar(out):
    if type_of(out).shape != ():
        raise ArgumentError(f"hessian: the function must return a scalar, got shape "
                            f"{type_of(out).shape}{at_line()}")
    return out


def _source(sparsity, mode, symmetric, name):
    if isinstance(sparsity, str):
        if sparsity != "auto":
            raise ArgumentError(f"{name}: sparsity is {sparsity!r}, must be None, 'auto', a "
                                f"scipy.sparse array or a boolean matrix{at_line()}")
        return Read(mode, symmetric)
    return Given(sparsity, mode, symmetric, name)


def _of_array(f, argnums, args, kwargs, name, has_aux):
    """`f` as a function of one array, which returns (array, aux), and that array."""
    if not isinstance(argnums, int):
        raise ArgumentError(f"{name}: with sparsity argnums must be one int, it is {argnums!r}"
                            f"{at_line()}; sciad.ravel makes one vector of several arguments")
    place = places_of(argnums, len(args), f)[0]
    if tree.flatten(args[place])[1] != tree.flatten(0.0)[1]:
        raise ArgumentError(f"{name}: with sparsity argument {argnums} must be one array, it is a "
                            f"{type(args[place]).__name__}{at_line()}; sciad.ravel makes a vector "
                            "of a container")
    x = unwrap_plain(differentiable(args[place], name))
    if type(x) is Array:
        raise _followed(name)

    def g(x):
        full = list(args)
        full[place] = x
        out = f(*full, **kwargs)
        out, aux = pair(out) if has_aux else (out, None)
        return _one(out, name), aux

    return g, x


def _one(out, name):
    if tree.flatten(out)[1] != tree.flatten(0.0)[1] and not isinstance(out, (list, tuple)):
        raise ArgumentError(f"{name}: with sparsity the function must return one array, it "
                            f"returned a {type(out).__name__}{at_line()}; sciad.ravel makes a "
                            "vector of a container")
    return one_array(out, name)


def _followed(name):
    return LostGradientError(
        f"{name}: with sparsity the result is a scipy.sparse array, which holds plain numbers, but "
        f"an outer transform (grad, jvp, jit, vmap) follows the values here{at_line()}; take the "
        "sparse derivative outside of it, or products with it by sciad.linearize or sciad.vjp, "
        "or a dense array with sparsity=None")


def _plain(x, name) -> np.ndarray:
    """A product as a plain vector."""
    x = unwrap_plain(x)
    if type(x) is Array:
        raise _followed(name)
    return asnumpy(x).reshape(-1)


def _pushed(g, x, name) -> _Linear:
    """By forward mode: products J s."""
    done = linearized(g, [x], has_aux=True)
    kind, out = type_of(x).strong(), type_of(one_array(done.outs[0], name)).strong()
    return _Linear(out, kind, lambda s: _plain(done.push([s.reshape(kind.shape)[()]])[0], name),
                   done.aux)


def _pulled(g, x, name) -> _Linear:
    """By reverse mode: the cotangents of s."""
    value, pull, aux = _vjp_of(g, (x,), True)
    kind, out = type_of(x).strong(), type_of(one_array(value, name)).strong()
    return _Linear(out, kind, lambda s: _plain(pull(s.reshape(out.shape)[()])[0], name), aux)


def _matrix(plan: Plan, linear: _Linear, name):
    out, x = linear.out, linear.x
    if plan.pattern.shape != (out.size, x.size):
        raise ArgumentError(
            f"{name}: the pattern has shape {plan.pattern.shape}, the derivative of {out.size} "
            f"results by {x.size} entries has shape {(out.size, x.size)}{at_line()}")
    dtype = np.result_type(out.dtype, x.dtype) if out.dtype.kind in "fc" else x.dtype
    data = np.zeros(plan.pattern.nnz, dtype)
    if out.dtype.kind in "fc":
        data = _entries(plan, linear, dtype, name)
    return _with_pattern(data, plan.pattern)


def _with_pattern(data, pattern):
    """A matrix with index arrays of its own."""
    wide = max(pattern.nnz, *pattern.shape) > np.iinfo(np.int32).max
    indices, ends = (x.astype(np.int64 if wide else np.int32)
                     for x in (pattern.indices, pattern.indptr))
    matrix = scipy.sparse.csr_array((data, indices, ends), shape=pattern.shape)
    matrix.has_canonical_format = True
    return matrix


def _entries(plan, linear, dtype, name):
    """The entries of the pattern; of complex numbers, the complex derivative (`jacobians`)."""
    seeds = linear.x.dtype if plan.kind != "rows" else linear.out.dtype
    a = plan.gathered(linear.product, seeds, dtype)
    if seeds.kind != "c":
        if plan.kind == "rows" and linear.x.dtype.kind == "c":  # a real result, so f_z = conj(p)/2
            return _holomorphic(np.conj(a) * 0.5, a * 0.5, name)
        return a
    b = plan.gathered(lambda s: linear.product(1j * s), seeds, dtype)
    if plan.kind != "rows":
        return _holomorphic((a - 1j * b) * 0.5, (a + 1j * b) * 0.5, name)
    if linear.x.dtype.kind != "c":
        return (a + 1j * b).astype(dtype)
    return _holomorphic(np.conj(a - 1j * b) * 0.5, (a + 1j * b) * 0.5, name)


def _holomorphic(dz, dzbar, name):
    """The complex derivative, once that by conj(z) is known to vanish."""
    sizes = np.maximum(abs(dz), abs(dzbar))
    if np.any(abs(dzbar) > 10 * _ROUNDING * np.finfo(sizes.dtype).eps * sizes):
        raise LostGradientError(
            f"{name}: the function has no complex derivative here: its derivative by conj(z) is "
            f"{dzbar[np.argmax(abs(dzbar))]} at an entry{at_line()}; sciad.wirtinger gives both "
            "derivatives")
    return dz


# --- checks of a given pattern --------------------------------------------------------------------


def _check(matrix, plan: Plan, linear: _Linear, f: Callable, x, name):
    """Compare a product of the matrix with the derivative along the same random direction; where
    they differ, look at the whole row (of a plan by rows: column)."""
    if linear.out.dtype.kind not in "fc" or not all(matrix.shape):
        return
    by_rows = plan.kind == "rows"
    across = matrix.T.tocsr() if by_rows else matrix
    kind = linear.out if by_rows else linear.x
    rng = np.random.default_rng(_SEED)
    v = (rng.uniform(1.0, 2.0, kind.size) * rng.choice((-1.0, 1.0), kind.size)).astype(kind.dtype)
    ours = np.conj(across) @ v if by_rows else across @ v
    ours = ours.real if by_rows and linear.x.dtype.kind != "c" else ours
    scale = abs(across) @ abs(v)
    with np.errstate(invalid="ignore"):
        off = abs(linear.product(v) - ours)
        limit = _ROUNDING * np.finfo(off.dtype).eps * scale
        wrong = np.flatnonzero(off > limit)
    share = off[wrong] / np.maximum(limit[wrong], np.finfo(off.dtype).tiny)
    places = wrong[np.argsort(-share)][:_LOOKED_AT].tolist()
    if places:
        _look_at(places, across, plan, f, x, name)


def _look_at(places, across, plan: Plan, f: Callable, x, name):
    """Raise if the derivative has an entry in one of these lines that is not in the pattern, or
    if it is not symmetric where it should be; else the difference was rounding."""
    by_rows = plan.kind == "rows"
    linear = (_pushed if by_rows else _pulled)(lambda x: (f(x), None), x, name)
    twisted = 0
    for place in places:
        line = _line(linear, place, by_rows)
        inside = slice(*across.indptr[place:place + 2])
        noise = _ROUNDING * np.finfo(line.real.dtype).eps * abs(line).max()
        outside = abs(line)
        outside[across.indices[inside]] = 0.0
        if outside.max() > noise:
            at = int(np.argmax(outside))
            row, column = (at, place) if by_rows else (place, at)
            raise ArgumentError(
                f"{name}: the pattern misses the entry in row {row}, column {column}, which is "
                f"{line[at]:.6g}{at_line()}; add it, or use sparsity='auto'")
        if plan.kind == "stars":
            apart = abs(line[across.indices[inside]] - across.data[inside])
            twisted += bool(np.any(apart > noise))
    if twisted:
        raise SciadError(
            f"{name}: the derivative of the gradient is not symmetric in row {places[0]}, as where "
            f"a custom_rule or gradient_hook is not the derivative{at_line()}; use sciad.jacobian "
            "of sciad.grad with this pattern")


def _line(linear: _Linear, place: int, by_rows: bool) -> np.ndarray:
    """One column of the derivative, or one row (of complex numbers its conjugate)."""
    kind = linear.x if by_rows else linear.out
    unit = np.zeros(kind.size, kind.dtype)
    unit[place] = 1.0
    line = linear.product(unit)
    if not by_rows and kind.dtype.kind == "c" and linear.x.dtype.kind != "c":
        line = line + 1j * linear.product(1j * unit)
    return line
