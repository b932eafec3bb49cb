"""The patterns of branches and loops.

The body of a loop is looked at once: with the identity as the pattern of its inputs it gives a
local pattern, in blocks C (new carry) and Y (row of results) for carry, constants and row. Then

    scan     S' = C_s S + C_f F + C_r X_k      iterated over the rows X_k
             ys = (I x Y_s) [S_0 S_1 ...] + 1 x (Y_f F) + (I x Y_r) X
    while    S = S_0 + C_f F + C_s S           the least solution: any number of iterations

where x is the Kronecker product, + union. In a while loop all entries of a strongly connected
component of C_s depend on the same, so what is iterated has no cycles.

A short scan whose local pattern depends on known integers (a counter, rows of indices) is gone
through iteration by iteration, so that the places where it reads are known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from sciad.core.graph import Graph, Type
from sciad.core.patterns import (
    gathered,
    matrix,
    product,
    relation,
    require_room,
    stacked,
    union,
)
from sciad.core.sparsity import propagate, propagated

_SHORT = 20_000
"""Up to so many equations, a scan is gone through iteration by iteration."""


def cond_pattern(parts, outs, args, params) -> list:
    """What depends by one of the branches; by the one taken, where that is known."""
    if not isinstance(args[0], Type):
        return propagate(params["true" if args[0] else "false"], parts[1:], args[1:])
    first, second = (propagate(params[name], parts[1:], args[1:]) for name in ("true", "false"))
    return list(map(union, first, second))


class _Operands(NamedTuple):
    """Patterns of a loop's constants, carry and arrays, and what is known of the constants."""

    fixed: list
    state: list
    xs: list
    values: list


class _Local:
    """The local pattern of a body, in blocks by what its inputs are: (state, constants, rows)."""

    def __init__(self, body: Graph, operands: _Operands, known: Sequence | None = None):
        types = [var.type for var in body.inputs]
        known = types[len(operands.fixed):] if known is None else known
        n, m = len(operands.fixed), len(operands.state)
        order = [*range(n, n + m), *range(n), *range(n + m, len(types))]
        self.starts = np.cumsum([0] + [types[k].size for k in order])
        total = int(self.starts[-1])
        moving = [part is not None for part in operands.fixed] + [True] * m \
            + [part is not None for part in operands.xs]
        units: list = [None] * len(types)
        for k, start in zip(order, self.starts, strict=False):
            if moving[k]:
                size = types[k].size
                units[k] = matrix(np.arange(start, start + size), np.arange(size + 1), total)
        self.sizes = [t.size for t in types[n:n + m]]
        self.cuts = [0, self.starts[m], self.starts[m + n]]
        outs = propagate(body, units, [*operands.values, *known])
        self.carry = stacked(outs[:m], self.sizes)
        self.rows = outs[m:]
        self.fixed = stacked(operands.fixed, [t.size for t in types[:n]])
        self.ends = [(self.starts[k], self.starts[k + 1]) for k in range(n + m, len(types))]

    def same(self, other: "_Local") -> bool:
        return all(map(_same, [self.carry, *self.rows], [other.carry, *other.rows]))

    def by_state(self, local):
        return _columns(local, self.cuts[0], self.cuts[1])

    def by_constants(self, local):
        """The pattern that comes of the constants."""
        return _times(_columns(local, self.cuts[1], self.cuts[2]), self.fixed)

    def by_rows(self, local, xs, length):
        """The patterns of all iterations that come of the arrays."""
        total = None
        for part, (start, stop) in zip(xs, self.ends, strict=True):
            if part is not None:
                total = union(total, _times(_repeated(_columns(local, start, stop), length), part))
        return total


def scan_pattern(parts, outs, args, params) -> list | tuple[list, list]:
    """The patterns of the last carry and of the rows."""
    length, carry = params["length"], params["carry"]
    cuts = np.cumsum([params["counted"], params["consts"], carry])
    operands = _Operands(parts[cuts[0]:cuts[1]], parts[cuts[1]:cuts[2]], parts[cuts[2]:],
                         args[cuts[0]:cuts[1]])
    if not length:
        return [*operands.state, *[None] * (len(outs) - carry)]
    local = _Local(params["body"], operands)
    values, columns = args[cuts[1]:cuts[2]], args[cuts[2]:]
    if not params["counted"] and _by_known_integers([*values, *columns], params):
        inside = [x if isinstance(x, Type) else x[0] for x in columns]
        if not local.same(_Local(params["body"], operands, [*values, *inside])):
            return _unrolled(operands, values, columns, outs, params)
    keep = any(local.by_state(row) is not None for row in local.rows)
    last, before = _iterated(local, operands, params, keep)
    results = _pieces(last, local.sizes)
    states = stacked(before, [sum(local.sizes)] * length) if keep else None
    for row, out in zip(local.rows, outs[carry:], strict=True):
        part = union(_times(_repeated(local.by_state(row), length), states),
                     local.by_rows(row, operands.xs, length))
        results.append(union(part, _tiled(local.by_constants(row), out.size // length, length)))
    return results


def _by_known_integers(args, params) -> bool:
    """Whether integers are known, which may be indices, in a loop short enough to go through."""
    return params["length"] * len(params["body"]) <= _SHORT and any(
        not isinstance(x, Type) and np.asarray(x).dtype.kind in "iu" for x in args)


def _unrolled(operands, values, columns, outs, params) -> tuple[list, list]:
    """The patterns of a scan, iteration by iteration, and its values, as far as known."""
    body, length, carry = params["body"], params["length"], params["carry"]
    kinds = [var.type for var in body.inputs[len(operands.fixed) + carry:]]
    state, results = operands.state, [[None] * length for _ in outs[carry:]]
    learnt: list[list] = [[None] * length for _ in outs[carry:]]
    for k in range(length)[::-1] if params["reverse"] else range(length):
        parts = [None if part is None else _some(part[k * t.size:(k + 1) * t.size])
                 for part, t in zip(operands.xs, kinds, strict=True)]
        inside = [t if isinstance(x, Type) else x[k] for x, t in zip(columns, kinds, strict=True)]
        found, known = propagated(body, [*operands.fixed, *state, *parts],
                                  [*operands.values, *values, *inside])
        state, values = found[:carry], known[:carry]
        for column, part, row, value in zip(results, found[carry:], learnt, known[carry:],
                                            strict=True):
            column[k], row[k] = part, value
    parts = [stacked(column, [out.size // length] * length)
             for column, out in zip(results, outs[carry:], strict=True)]
    rows = [np.stack(row) if out.dtype.kind in "iub" and not any(isinstance(x, Type) for x in row)
            else out for row, out in zip(learnt, outs[carry:], strict=True)]
    return [*state, *parts], [*values, *rows]


def _iterated(local, operands, params, keep):
    """The carry after the last iteration, and if `keep` before each, in the order of the rows.

    Where the number of iterations is not known, the last may be any.
    """
    length, reverse = params["length"], params["reverse"]
    size = sum(local.sizes)
    state, before, room, last = stacked(operands.state, local.sizes), [], 0, None
    step, constant = local.by_state(local.carry), local.by_constants(local.carry)
    rows = local.by_rows(local.carry, operands.xs, length)
    for k in range(length)[::-1] if reverse else range(length):
        if keep:
            before.append(state)
            room += 0 if state is None else state.nnz
            require_room(room)
        if params["counted"]:
            last = union(last, state)
        row = None if rows is None else _some(rows[k * size:(k + 1) * size])
        after = union(union(_times(step, state), constant), row)
        if rows is None and _same(after, state):
            break
        state = after
    before += [state] * (length - len(before)) if keep else []
    return union(last, state), before[::-1] if reverse else before


def while_pattern(parts, outs, args, params) -> list:
    """The patterns of the number of iterations, of the last state, and of those kept."""
    start, stop = params["test_consts"], params["test_consts"] + params["body_consts"]
    operands = _Operands(parts[start:stop], parts[stop:], [], args[start:stop])
    local = _Local(params["body"], operands)
    seed = union(stacked(operands.state, local.sizes), local.by_constants(local.carry))
    states = _pieces(_closure(local.by_state(local.carry), seed), local.sizes)
    if not params["keep"]:
        return [None, *states]
    return [None, *states, *(_tiled(part, size, params["keep"])
                             for part, size in zip(states, local.sizes, strict=True))]


def _closure(step, part):
    """The least pattern that holds `part` and what `step` makes of it."""
    if step is None or part is None:
        return part
    count, labels = scipy.sparse.csgraph.connected_components(step, connection="strong")
    part = product(relation(labels, np.arange(len(labels)), (count, len(labels))), part)
    rows, columns = (labels[place] for place in step.nonzero())
    step = relation(rows[rows != columns], columns[rows != columns], (count, count))
    step.sum_duplicates()
    order = _sources_first(step)
    place = np.empty_like(order)
    place[order] = np.arange(count)
    part = _solved(step[order][:, order], gathered(part, order))
    return gathered(part, place[labels])


def _sources_first(step) -> np.ndarray:
    """The numbers of the entries, each after those that it depends on; there are no cycles."""
    waiting, dependents = np.diff(step.indptr), step.T.tocsr()
    ready, order = np.flatnonzero(waiting == 0), []
    while ready.size:
        order.append(ready)
        reached = gathered(dependents, ready).indices
        np.subtract.at(waiting, reached, 1)
        ready = np.unique(reached[waiting[reached] == 0])
    return np.concatenate(order)


def _solved(step, part):
    """The least X = part + step X, for a strictly lower triangular `step`, by halves."""
    if not step.nnz:
        return part
    half = part.shape[0] // 2
    first = _solved(step[:half, :half], part[:half])
    rest = union(part[half:], product(step[half:, :half], first))
    return stacked([first, _solved(step[half:, half:], rest)], [half, part.shape[0] - half])


# --- patterns, None where empty -------------------------------------------------------------------


def _some(part):
    return part if part is not None and part.nnz else None


def _columns(local, start, stop):
    return None if local is None or start == stop else _some(local[:, start:stop])


def _times(left, part):
    return None if left is None or part is None else _some(product(left, part))


def _same(a, b) -> bool:
    if a is None or b is None:
        return a is b
    return a.nnz == b.nnz and (a != b).nnz == 0


def _repeated(local, count: int):
    """The pattern of so many values, each by `local` from its own operand."""
    if local is None:
        return None
    require_room(local.nnz * count)
    step = np.arange(count).reshape(-1, 1)
    ends = step * local.nnz + local.indptr[1:]
    return matrix((step * local.shape[1] + local.indices).reshape(-1),
                   np.concatenate([[0], ends.reshape(-1)]), count * local.shape[1])


def _tiled(part, size: int, count: int):
    """The pattern of a value that stands so many times."""
    return None if part is None else gathered(part, np.tile(np.arange(size), count))


def _pieces(whole, sizes: Sequence[int]) -> list:
    """The patterns of values that stand one after the other."""
    ends = np.cumsum([0, *sizes])
    return [None if whole is None else _some(whole[start:stop])
            for start, stop in zip(ends[:-1], ends[1:], strict=True)]
