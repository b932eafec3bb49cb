"""Patterns: which entries of a value depend on which entries of the variable.

The pattern of a value is a boolean matrix in compressed rows, one row an entry of the value (in C
order), one column an entry of the variable; None stands for no dependence at all.

A primitive states a form for each operand, which says how rows of the operand's pattern make the
rows of the result's:

    None          the result does not depend on the operand, or is locally constant in it
    IDENTITY      each entry on the entry at the same place
    an array      of the result's shape: each entry on the one entry with that flat number (-1: on
                  none)
    Groups        each entry on all entries of the operand in a group
    Pairs         entry `rows[i]` on entry `columns[i]`
    Doubling      rows joined in turn with those that each array names (running sums)
    DENSE         each entry on all entries: what holds for every operation

A form may name too many entries, never too few. It depends on types and on literal operands, not
on other values, so that the pattern holds at every point.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy

from sciad.core.errors import SciadError

IDENTITY, DENSE, MOVES = "identity", "dense", "moves"
"""Forms; `MOVES` is that of a function of entries in other places, run on their numbers."""

LIMIT = 50_000_000
"""The largest number of entries that a pattern may have: 250 MB."""


class TooDense(SciadError):
    """A pattern has more entries than `LIMIT`."""


class Groups(NamedTuple):
    """Entry i of the result depends on the entries j of the operand with columns[j] == rows[i]."""

    rows: np.ndarray
    columns: np.ndarray


class Pairs(NamedTuple):
    """Entry rows[i] of the result depends on entry columns[i] of the operand."""

    rows: np.ndarray
    columns: np.ndarray


class Doubling(NamedTuple):
    """For each map in turn, entry i takes on what entry map[i] depends on."""

    maps: list


# --- forms ----------------------------------------------------------------------------------------


def ids(x: Any, start: int = 0) -> np.ndarray:
    """The flat numbers of the entries of `x`, in its shape."""
    shape = np.shape(x) if isinstance(x, (int, float, complex)) else x.shape
    return np.arange(start, start + _size(shape)).reshape(shape)


def _size(shape) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def stretched(x: Any, shape: tuple[int, ...]):
    """The form of broadcasting `x` to a shape."""
    return IDENTITY if x.shape == shape else np.broadcast_to(ids(x), shape)


def along(shape: tuple[int, ...], axes: Sequence[int]) -> np.ndarray:
    """The number of the group of each entry, where those along `axes` go together."""
    kept = tuple(1 if k in axes else extent for k, extent in enumerate(shape))
    return np.broadcast_to(np.arange(_size(kept)).reshape(kept), shape)


def lines(x: Any, axes: Sequence[int], out: Any) -> Groups:
    """The form where entries of `x` along `axes` go together, to the results that broadcasting
    brings them to."""
    numbers = along(x.shape, axes)
    first = numbers[tuple(slice(1) if k in axes else slice(None) for k in range(numbers.ndim))]
    return Groups(np.broadcast_to(first, out.shape), numbers)


def reduced(k, out, args, params) -> Groups:
    """The form of a reduction over ``params["axes"]``."""
    return Groups(ids(out), along(args[k].shape, params["axes"]))


def running(k, out, args, params) -> Doubling:
    """The form of a running sum along ``params["axis"]``: each entry on those before it."""
    places = np.moveaxis(ids(args[k]), params["axis"], 0)
    maps, step = [], 1
    while step < len(places):
        early = np.full(places.shape, -1)
        early[step:] = places[:-step]
        maps.append(np.moveaxis(early, 0, params["axis"]))
        step *= 2
    return Doubling(maps)


def by_matrix(k, out, args, params):
    """The form of functions of each matrix of a stack: dense in the matrix, for each result."""
    shape = args[k].shape
    stack = shape[:-2]
    columns = along(shape, (len(shape) - 2, len(shape) - 1))
    forms = [Groups(along(t.shape, range(len(stack), len(t.shape))), columns)
             for t in (out if isinstance(out, tuple) else (out,))]
    return forms if isinstance(out, tuple) else forms[0]


# --- patterns -------------------------------------------------------------------------------------


def matrix(indices: np.ndarray, ends: np.ndarray, columns: int):
    """A pattern of its column numbers, row by row, and of where each row ends."""
    shape = (len(ends) - 1, columns)
    kind = _index_kind(len(indices), columns)
    parts = (np.ones(len(indices), bool), indices.astype(kind, copy=False),
             ends.astype(kind, copy=False))
    return scipy.sparse.csr_array(parts, shape=shape)


def _index_kind(*sizes: int):
    """The integers that count so far: narrow ones where they do, which are quicker."""
    return np.int32 if max(sizes) <= np.iinfo(np.int32).max else np.int64


def through(form: Any, part: Any, size: int):
    """The pattern of a result of so many entries, that an operand with pattern `part` gives."""
    if form is None or part is None or not part.nnz or not size:
        return None
    if form is IDENTITY:
        return part
    if form is DENSE:
        form = Groups(np.zeros(size, np.intp), np.zeros(part.shape[0], np.intp))
    if isinstance(form, (np.ndarray, np.integer)):
        return gathered(part, np.reshape(form, -1))
    if isinstance(form, Doubling):
        for places in form.maps:
            part = union(part, gathered(part, places.reshape(-1)))
        return part
    rows, columns = (np.reshape(x, -1) for x in form)
    if isinstance(form, Pairs):
        return product(relation(rows, columns, (size, part.shape[0])), part)
    count = max(int(rows.max(initial=-1)), int(columns.max(initial=-1))) + 1
    groups = relation(columns, np.arange(len(columns)), (count, len(columns)))
    return gathered(product(groups, part), rows)


def relation(rows, columns, shape):
    """The pattern with these entries."""
    require_room(len(rows))
    ones = np.ones(len(rows), bool)
    return scipy.sparse.csr_array((ones, (rows, columns)), shape=shape)


def gathered(part, places: np.ndarray):
    """The rows of a pattern with these numbers; -1 gives an empty row."""
    lengths = np.where(places >= 0, np.diff(part.indptr)[places], 0)
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    require_room(ends[-1])
    kind = _index_kind(ends[-1], part.nnz)
    shift = np.repeat((part.indptr[places] - ends[:-1]).astype(kind), lengths)
    shift += np.arange(ends[-1], dtype=kind)
    return matrix(part.indices[shift], ends, part.shape[1])


def product(left, part):
    """The pattern of a result each entry of which depends on those that `left` names.

    Done in blocks of rows, so that one too dense is noticed before memory runs out.
    """
    work = np.diff(part.indptr).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(work[left.indices])])[left.indptr]
    if ends[-1] <= LIMIT:
        return left @ part
    blocks, start, total = [], 0, 0
    while start < left.shape[0]:
        stop = int(np.searchsorted(ends, ends[start] + LIMIT, "right")) - 1
        stop = max(stop, start + 1)
        blocks.append(left[start:stop] @ part)
        total += blocks[-1].nnz
        require_room(total)
        start = stop
    return scipy.sparse.csr_array(scipy.sparse.vstack(blocks, format="csr"))


def union(a, b):
    """What depends on what by either pattern."""
    if a is None or b is None or a is b:
        return a if b is None else b
    both = a + b
    require_room(both.nnz)
    return both


def stacked(parts: Sequence, sizes: Sequence[int]):
    """The patterns of values that stand one after the other; None where none depends."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    ends, indices, total = [np.zeros(1, np.int64)], [], 0
    for part, size in zip(parts, sizes, strict=True):
        ends.append(np.full(size, total) if part is None else part.indptr[1:] + np.int64(total))
        if part is not None:
            indices.append(part.indices)
            total += part.nnz
    require_room(total)
    return matrix(np.concatenate(indices), np.concatenate(ends), known[0].shape[1])


def merged(function: Any, parts: Sequence, args: Sequence, params: dict):
    """The pattern of a result whose entries are entries of its operands: `function` is run on
    their numbers, counted through all operands."""
    numbers, sizes, start = [], [], 0
    for x in args:
        numbers.append(ids(x, start))
        sizes.append(numbers[-1].size)
        start += sizes[-1]
    whole = stacked(parts, sizes)
    return None if whole is None else gathered(whole, np.reshape(function(*numbers, **params), -1))


def require_room(count: int) -> None:
    """Raise where a pattern of so many entries would be too large."""
    if count > LIMIT:
        raise TooDense(f"{int(count):,}")
