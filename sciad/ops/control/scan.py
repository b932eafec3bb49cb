"""scan: carry a state over the leading axis of arrays.

Eagerly a Python loop. Recorded it is an equation that holds the graph of its body:

    forward   tangents are carried along and stacked beside the values
    reverse   a first scan stores the carries, a second runs backwards through the cotangent graph
              of the body; cotangents of what the body closes over add up in its carry
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, plain
from sciad.core.derivatives import (
    cotangent_graph,
    filled,
    is_float,
    out_types,
    spread,
    tangent_graph,
    values_of,
)
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type, type_of
from sciad.core.primitive import bind
from sciad.core.record import is_fixed, record_leaves, recording
from sciad.core.rules import General, Tools
from sciad.ops.control.bodies import Carry, record_body
from sciad.ops.control.calling import SCAN, Called, carry_and_row, shown_structure
from sciad.ops.control.patterns import scan_pattern
from sciad.ops.control.segments import require_checkpoint, rerun, segment_length
from sciad.ops.control.steady import record_steady
from sciad.ops.control.values import operand, own, row, stacked
from sciad.ops.indexing import read
from sciad.ops.reduce import sum_
from sciad.ops.shape import concatenate, reshape

BLOCKS = 16
BLOCKS_FROM = 128
"""Iterations from which the backward pass of a scan that carries nothing runs in blocks."""


def scan(body: Callable, init: Any, xs: Any = None, length: int | None = None,
         reverse: bool = False, checkpoint: int | bool | None = None) -> tuple:
    """Carry a state over the leading axis of `xs`: ``carry, y = body(carry, x)``.

    Parameters
    ----------
    body : callable
        ``(carry, x) -> (carry, y)``; the carry keeps its structure and shapes. When recorded, a
        carry whose dtype grows (an int that becomes a float) has the larger one from the start.
        The body may write into what it is given: carries and rows are copies.
    init : container
        The first carry.
    xs : container, optional
        Arrays with one leading axis of common length.
    length : int, optional
        The number of iterations; needed without `xs`.
    reverse : bool
        Whether to run from the last entry to the first (results stay in the order of `xs`).
    checkpoint : int or bool, optional
        Keep for the backward pass only the carries at the start of each segment of so many
        iterations, and run the segments again; True takes the square root of their number.

    Returns
    -------
    carry, ys
        The last carry, and the `y` stacked along a new leading axis.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> carry, ys = sciad.scan(lambda c, x: (c + x, c * x), 0.0, np.array([1.0, 2.0, 3.0]))
    >>> float(carry), ys
    (6.0, array([0., 2., 9.]))
    """
    checkpoint = require_checkpoint(checkpoint, "scan")
    leaves, structure = tree.flatten(xs)
    leaves = [operand(x, "scan") for x in leaves]
    length = _common_length(leaves, length)
    if checkpoint and length:
        size = segment_length(checkpoint, length)
        return _in_segments(body, init, leaves, structure, length, reverse, size)
    if length and not recording():
        return _python_scan(body, init, leaves, structure, length, reverse)
    return _structured(body, init, leaves, structure, length, reverse)


def _common_length(leaves, length) -> int:
    if any(not x.shape for x in leaves):
        raise ArgumentError(f"scan: xs must have a leading axis, got a scalar{at_line()}")
    lengths = {x.shape[0] for x in leaves}
    lengths |= set() if length is None else {_counted(length)}
    if len(lengths) != 1:
        raise ArgumentError(f"scan: lengths {sorted(lengths)} differ{at_line()}" if lengths else
                            f"scan: give xs or length{at_line()}")
    return lengths.pop()


def _counted(length) -> int:
    if isinstance(length, Array):
        length = plain(length, "the length of a scan")
    if not isinstance(length, (int, np.integer)) or isinstance(length, bool) or length < 0:
        raise ArgumentError(f"scan: length={length!r} must be a number of iterations{at_line()}")
    return int(length)


def _in_segments(body, init, leaves, structure, length, reverse, size):
    """A scan of scans; what is left over is one more segment at the end of `xs`."""
    many, rest = divmod(length, size)

    def segment(carry, rows):
        return scan(body, carry, tree.unflatten(structure, rows), len(rows[0]) if rows else size,
                    reverse)

    def whole(carry):
        heads = [reshape(read(x, slice(0, many * size)), (many, size, *x.shape[1:]))
                 for x in leaves]
        carry, ys = scan(rerun(segment), carry, heads, many, reverse)
        return carry, tree.tree_map(
            lambda y: reshape(y, (many * size, *y.shape[2:])), ys)

    def last(carry):
        rows = [read(x, slice(many * size, length)) for x in leaves]
        return rerun(scan)(body, carry, tree.unflatten(structure, rows), rest, reverse)

    if not rest:
        return whole(init)
    first, second = (last, whole) if reverse else (whole, last)
    carry, a = first(init)
    carry, b = second(carry)
    a, b = (b, a) if reverse else (a, b)
    return carry, tree.tree_map(lambda x, y: concatenate([x, y]), a, b)


def _python_scan(body, init, leaves, structure, length, reverse):
    carry = tree.tree_map(own, init)
    order = range(length)[::-1] if reverse else range(length)
    results: list[list] = []
    for k in order:
        with Called(body, 2, SCAN):
            returned = body(carry, tree.unflatten(structure, [row(x, k) for x in leaves]))
        carry, y = carry_and_row(returned)
        flat, kind = tree.flatten(y, is_fixed)
        if not results:
            first = kind
        elif kind != first:
            raise ArgumentError(
                f"{SCAN}, each y of the same containers; the body returns different structures, "
                f"{shown_structure(first, results[0])} and {shown_structure(kind, flat)}"
                f"{at_line()}")
        results.append([own(x) for x in flat])
    results = results[::-1] if reverse else results
    columns = [stacked(list(column), 0, "scan") for column in zip(*results, strict=True)]
    return carry, tree.unflatten(first, columns)


def _structured(body, init, leaves, structure, length, reverse, count=(), threads=None):
    carry = Carry(init, SCAN)

    def run(state, *rows):
        with Called(body, 2, SCAN):
            returned = body(state, tree.unflatten(structure, list(rows)))
        return carry_and_row(returned)

    rows = [Type(t.shape[1:], t.dtype) for t in map(type_of, leaves)]
    (recorded,) = record_steady({"the body": body}, lambda: [
        record_body(run, carry, rows)])
    outs = bind(scan_p, (*count, *recorded.consts, *carry.operands(), *leaves),
                {"body": recorded.graph, "length": length, "consts": len(recorded.consts),
                 "carry": len(carry), "reverse": reverse, "counted": len(count),
                 **({"threads": threads} if threads else {})})
    state, ys = tree.unflatten(recorded.structure, list(outs))
    return carry.unflatten(state), ys


def mapped(body, xs, length: int, threads: int | None):
    """The results of `body` for each row, on at most `threads` threads."""
    leaves, structure = tree.flatten(xs)
    leaves = [operand(x, "vmap") for x in leaves]

    def step(nothing, rows):
        return nothing, body(rows)

    return _structured(step, (), leaves, structure, length, False, (), threads)[1]


def counted_scan(body, init, xs, count, length: int):
    """A scan over the first `count` of the `length` rows of `xs`, the last of them first."""
    leaves, structure = tree.flatten(xs)
    return _structured(body, init, leaves, structure, length, True, (count,))


# --- the operation --------------------------------------------------------------------------------
#
# Operands: the number of iterations if `counted`, what the body closes over, the carry, the arrays.
# Results: the last carry, and arrays of `length` rows. A counted scan touches the first rows only;
# what its other rows hold is nobody's concern.


def _split(args, params):
    """The operands by what they are: count, constants, carry, arrays."""
    counted, consts = params["counted"], params["counted"] + params["consts"]
    carry = consts + params["carry"]
    return (list(args[:counted]), list(args[counted:consts]), list(args[consts:carry]),
            list(args[carry:]))


def _scan_fun(*args, body, length, reverse, **params):
    count, fixed, state, xs = _split(args, params)
    carry = len(state)
    columns = [np.zeros((length, *t.shape), t.dtype) for t in out_types(body)[carry:]]
    steps = range(int(count[0]) if count else length)
    for k in reversed(steps) if reverse else steps:
        outs = values_of(body, (*fixed, *state, *(x[k] for x in xs)))
        state = outs[:carry]
        for column, y in zip(columns, outs[carry:], strict=True):
            column[k] = y
    return (*state, *columns)


def _scan_types(*types, body, length, carry, **params):
    outs = out_types(body)
    return (*outs[:carry], *(Type((length, *t.shape), t.dtype) for t in outs[carry:]))


def _scan_jvp(tangents, outs, args, params):
    body = params["body"]
    count, *groups = _split(args, params)
    seeds = [filled(dots, [type_of(x).strong() for x in xs])
             for xs, dots in zip(groups, _split(tangents, params)[1:], strict=True)]
    inputs = [var.type.strong() for var in body.inputs]
    dot = tangent_graph(body, tuple(map(is_float, inputs)))
    kinds, sizes = out_types(body), [len(group) for group in groups]
    parts = [inputs[:sizes[0]], inputs[sizes[0]:-sizes[2] or None][:sizes[1]],
             inputs[sizes[0] + sizes[1]:]]
    moving = [list(filter(is_float, part)) for part in parts]
    many = params["carry"]
    moved = sum(map(is_float, kinds[:many]))

    def both(*xs):
        rest = iter(xs)
        values, dots = [], []
        for part, floats in zip(parts, moving, strict=True):
            values += [next(rest) for _ in part]
            dots += [next(rest) for _ in floats]
        ys, dys = body(*values), dot(*values, *dots)
        return [*ys[:many], *dys[:moved], *ys[many:], *dys[moved:]]

    types = [t for part, floats in zip(parts, moving, strict=True) for t in part + floats]
    graph = record_leaves(both, types).graph
    operands = [x for group, dots in zip(groups, seeds, strict=True) for x in group + dots]
    results = list(bind(scan_p, (*count, *operands), {
        **params, "body": graph, "consts": sizes[0] + len(seeds[0]),
        "carry": many + len(seeds[1])}))
    last = many + moved
    return spread(results[many:last] + results[last + len(kinds) - many:], kinds)


def _scan_vjp(cotangents, needs, outs, args, params):
    body, length, carry = params["body"], params["length"], params["carry"]
    count, fixed, state, xs = _split(args, params)
    inputs = [var.type.strong() for var in body.inputs]
    kinds = out_types(body)
    floats = tuple(map(is_float, inputs))
    pull = cotangent_graph(body, floats)
    sums = [Tools.zeros(t.shape, t.dtype) for t in inputs[:len(fixed)] if is_float(t)]
    g_state = filled(cotangents[:carry], kinds[:carry])
    g_rows = filled(cotangents[carry:],
                    [Type((length, *t.shape), t.dtype) for t in kinds[carry:]])
    n_const, n_state = len(sums), len(g_state)

    def back(carried, rows):
        sums, g = carried
        carries, x_row, g_row = rows
        parts = pull(*fixed, *carries, *x_row, *g, *g_row)
        new = [a + b for a, b in zip(sums, parts[:n_const], strict=True)]
        return (new, parts[n_const:n_const + n_state]), parts[n_const + n_state:]

    stored = _stored_carries(args, params)
    if sums and not carry and not count and length >= BLOCKS_FROM and recording():
        sums, g_xs = _in_blocks(back, sums, (xs, g_rows), params)
        parts = iter([*sums, *g_xs])
        return [next(parts) if flag else None for flag in floats]
    (sums, g), g_xs = _again(back, (sums, g_state), (stored, xs, g_rows), count, params,
                             not params["reverse"])
    parts = iter([*sums, *g, *g_xs])
    return [None] * len(count) + [next(parts) if flag else None for flag in floats]


def _in_blocks(back, sums, xs, params) -> tuple[list, list]:
    """The backward pass of independent iterations: the cotangents of what they share add up in
    blocks, which threads may share, and then block by block."""
    length = params["length"]
    size = length // BLOCKS
    leaves, structure = tree.flatten(xs)

    def part(rows, extent):
        nothing = [Tools.zeros(x.shape, x.dtype) for x in sums]
        (total, _), ys = scan(lambda carried, row: back(carried, ((), *row)), (nothing, []),
                              tree.unflatten(structure, rows), extent)
        return total, ys

    whole = BLOCKS * size
    blocks = [reshape(read(x, slice(0, whole)), (BLOCKS, size, *x.shape[1:])) for x in leaves]
    totals, ys = mapped(lambda rows: part(rows, size), blocks, BLOCKS, params.get("threads"))
    totals = [sum_(total, 0) for total in totals]
    ys = [reshape(y, (whole, *y.shape[2:])) for y in ys]
    if whole < length:
        more, rest = part([read(x, slice(whole, length)) for x in leaves], length - whole)
        totals = [a + b for a, b in zip(totals, more, strict=True)]
        ys = [concatenate([a, b]) for a, b in zip(ys, rest, strict=True)]
    return totals, ys


def _stored_carries(args, params) -> list:
    """The carry before each iteration, stacked."""
    body, carry = params["body"], params["carry"]
    count, fixed, state, xs = _split(args, params)

    def step(values, rows):
        return body(*fixed, *values, *rows)[:carry], list(values)

    return _again(step, state, xs, count, params, params["reverse"])[1]


def _again(body, init, xs, count, params, reverse):
    """Another scan of so many iterations."""
    threads = params.get("threads")
    if not count and not threads:
        return scan(body, init, xs, params["length"], reverse)
    leaves, structure = tree.flatten(xs)
    return _structured(body, init, leaves, structure, params["length"], reverse, count, threads)


scan_p = General("scan", _scan_fun, _scan_types, _scan_jvp, _scan_vjp, multiple=True,
                 joint_pattern=scan_pattern)
