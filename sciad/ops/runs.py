"""Slices of a known length from a recorded place: ``x[i:i + k]``.

Where such a slice begins is known when the program runs; its length must be known before, and is
the difference of its bounds, which are followed back through sums and products to what they share.
NumPy cuts a slice that reaches beyond the end, which changes its length: a compiled call that
meets one is repeated eagerly.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from sciad.core.array import Array, current, has_data, plain
from sciad.core.errors import RecordError, at_line
from sciad.core.graph import Literal, Var, type_of
from sciad.core.primitive import refused
from sciad.ops import elementwise as e
from sciad.ops.control.stopping import assume
from sciad.ops.indexing import read, store

_DEEPEST = 50


def has_recorded(index: Any) -> bool:
    """Whether an index holds a slice with a bound that has no data."""
    if type(index) is slice:
        return _is_recorded(index.start) or _is_recorded(index.stop)
    return type(index) is tuple and any(type(x) is slice and has_recorded(x) for x in index)


def _is_recorded(bound) -> bool:
    return type(bound) is Array and not has_data(bound)


class Run(NamedTuple):
    """Places along an axis, so many, at this distance from one another."""

    axis: int
    places: Array
    count: int
    step: int

    @property
    def index(self) -> tuple:
        return (slice(None),) * self.axis + (self.places,)

    def take(self, whole):
        return read(whole, self.index)

    def put(self, whole: Array, piece) -> Array:
        """`whole` with `piece` in these places."""
        store(whole, self.index, piece)
        return whole

    def blank(self, whole: np.ndarray) -> np.ndarray:
        """A part of a plain array that lies in memory as this one does."""
        run = slice(0, (self.count - 1) * abs(self.step) + 1 if self.count else 0, abs(self.step))
        part = whole[(slice(None),) * self.axis + (run,)]
        return part if self.step > 0 else np.flip(part, self.axis)


def without(index: Any, shape: tuple[int, ...]) -> tuple[list[Run], tuple]:
    """The runs of an index, and the rest of it, which is of the array that the runs give."""
    entries = index if type(index) is tuple else (index,)
    known = sum(map(_dimensions, entries))
    runs: list[Run] = []
    rest, axis = [], 0
    for entry in entries:
        if type(entry) is slice and has_recorded(entry):
            runs.append(_run(entry, axis, shape[axis]))
            entry = slice(None)
        rest.append(entry)
        axis += len(shape) - known if entry is Ellipsis else _dimensions(entry)
    return runs, tuple(rest)


def _dimensions(entry) -> int:
    """The dimensions that an entry of an index takes."""
    if entry is None or entry is Ellipsis or isinstance(entry, (bool, np.bool_)):
        return 0
    if isinstance(entry, (int, slice, np.integer)):
        return 1
    kind = type_of(entry) if type(entry) is Array else np.asarray(entry)
    return len(kind.shape) if kind.dtype == np.bool_ else 1


def _run(entry: slice, axis: int, extent: int) -> Run:
    step = 1 if entry.step is None else int(plain(entry.step, "the step of a slice"))
    if step == 0:
        raise ValueError("slice step cannot be zero")
    start, stop = entry.start, entry.stop
    length = None if start is None or stop is None else _difference(stop, start)
    if length is None:
        raise refused(RecordError(
            f"the length of a slice depends on a value that is being recorded{at_line()}; where it "
            "is a number k, write x[i:i + k], or np.take(x, i + np.arange(k), axis=...)",
                asked=tuple(x for x in (start, stop) if type(x) is Array)))
    count = max(0, -(-length // step))
    if count > extent:
        raise refused(RecordError(f"a slice of {count} entries is longer than the axis, which has "
                                  f"{extent}{at_line()}"))
    start = assume(start, _inside(start, stop, step > 0, extent),
                   f"a slice of {count} entries reaches beyond the {extent} of its axis")
    return Run(axis, start + step * np.arange(count), count, step)


def _inside(start, stop, upwards, extent):
    """Whether the slice has all its entries: both bounds count from the start, or from the end."""
    if upwards:
        return (start >= 0) & (stop <= extent) | (start >= -extent) & (stop < 0)
    return (stop >= 0) & (start < extent) | (stop >= -extent - 1) & (start < 0)


# --- differences of recorded integers -------------------------------------------------------------


def _difference(stop, start) -> int | None:
    """The difference of two integers, if it is the same whatever the recorded values are."""
    terms = _terms(stop, 0)
    terms.subtract(_terms(start, 0))
    number = terms.pop(None, 0)
    return None if any(terms.values()) else number


def _terms(x, depth: int) -> Counter:
    """An integer as a sum: the factors of what is not known, and under None the number."""
    if type(x) is Literal:
        x = x.value
    if type(x) is not Array:
        return Counter({None: int(x)})
    x = current(x)
    if has_data(x):
        return Counter({None: int(plain(x))})
    while type(x._value) is Array:
        x = current(x._value)
    return _of_variable(x._interp, x._node, depth)


def _of_variable(recorder, variable: Var, depth: int) -> Counter:
    primitive, inputs, params = recorder.made.get(variable, (None, (), {}))
    unknown = Counter({variable: 1})
    if depth > _DEEPEST:
        return unknown

    def terms(atom):
        return Counter({None: int(atom.value)}) if type(atom) is Literal else _of_variable(
            recorder, atom, depth + 1)

    if primitive in (e.add, e.subtract):
        total, other = map(terms, inputs)
        (total.update if primitive is e.add else total.subtract)(other)
        return total
    if primitive is e.negative:
        return _scaled(terms(inputs[0]), -1)
    if primitive is e.multiply:
        first, second = map(terms, inputs)
        if not set(first) - {None}:
            return _scaled(second, first[None])
        if not set(second) - {None}:
            return _scaled(first, second[None])
    if primitive is not None and all(not atom.type.shape for atom in inputs):
        parts = tuple(tuple(sorted(terms(atom).items(), key=repr)) for atom in inputs)
        return Counter({(primitive, parts, repr(params)): 1})
    return unknown


def _scaled(terms: Counter, factor: int) -> Counter:
    return Counter({key: factor * n for key, n in terms.items()})
