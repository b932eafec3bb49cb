"""Reverse mode: a tape of entries, and one pass backwards over it.

While the program runs, each operation on a tracked value appends one entry; the place on the tape
is the value's node. An entry begins with its pull function, which knows the rest of it: given the
cotangent g of the entry's output, it adds to the cotangents of the operands.

    y = a * x          entry: (pull_both, partials, y, a, x, node of a, node of x)
    backward           cot[a] += g * x,   cot[x] += g * a

Partial derivatives are formed only here, in the backward pass. Values may be Arrays of a lower
interpreter, so the same lines serve nested derivatives and recording.

Cotangents of indexed reads are added in place into a buffer that the pass owns (`own` holds the
nodes whose cotangent nobody else can see), so n reads of an n-vector cost O(n).
"""

import zlib
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import SciadError, user_place
from sciad.core.graph import type_of
from sciad.core.primitive import Interpreter, Primitive, bind
from sciad.core.rules import MINUS, SAME, Linear, Tools

_COPY_BELOW = 64
"""Plain operands of at most this many entries are copied when saved; larger are fingerprinted."""


class Reverse(Interpreter):
    """The interpreter of reverse mode: writes the tape."""

    __slots__ = ("tape", "guards")

    def __enter__(self):
        super().__enter__()
        self.tape: list[tuple] = []
        self.guards: dict[int, tuple] = {}
        self.fast = True
        return self

    def close(self):
        self.tape = []
        self.guards = {}

    def leaf(self, value: Any) -> Array:
        """A tracked input: a copy, since the caller may write into theirs."""
        if type(value) is np.ndarray:
            value = value.copy()
        if value.dtype.kind == "c":
            self.fast = False
        self.tape.append((pull_leaf,))
        return Array(value, self, len(self.tape) - 1)

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        values, nodes = [], []
        for x in args:
            mine = type(x) is Array and x._interp is self
            values.append(x._value if mine else x)
            nodes.append(x._node if mine else None)
        out = bind(primitive, tuple(values), params)
        if isinstance(primitive, Linear):
            saved, kept = [type_of(values[0]), *values[1:]], None
        else:
            saved = [x if node is not None else self.keep(x)
                     for x, node in zip(values, nodes, strict=True)]
            kept = out
        if not primitive.multiple:
            return self._track(out, (pull_general, primitive, kept, saved, nodes, params))
        self.tape.append((pull_general, primitive, kept, saved, nodes, params))
        source = len(self.tape) - 1
        return tuple(self._track(part, (pull_pick, source, k, len(out)))
                     for k, part in enumerate(out))

    def _track(self, out, entry):
        kind = out.dtype.kind
        if kind not in "fc":
            return out
        if kind == "c":
            self.fast = False
        self.tape.append(entry)
        return Array(out, self, len(self.tape) - 1)

    def keep(self, x: Any) -> Any:
        """A plain operand as it is now: a small one copied, a large one fingerprinted
        (unless it is read-only)."""
        if not isinstance(x, np.ndarray):
            return x
        if x.size <= _COPY_BELOW:
            return x.copy()
        if x.base is None and not x.flags.writeable:
            return x
        if id(x) not in self.guards:
            self.guards[id(x)] = (x, fingerprint(x), user_place())
        return x


def fingerprint(x: np.ndarray) -> int:
    """A checksum of the bytes of `x`."""
    return zlib.crc32(np.ascontiguousarray(x).view(np.uint8).reshape(-1).data)


class Tape:
    """What remains of a finished reverse interpreter: enough to pull cotangents back."""

    __slots__ = ("entries", "guards")

    def __init__(self, interp: Reverse):
        self.entries = interp.tape
        self.guards = interp.guards

    def pull(self, seeds: list[tuple[int, Any]], leaves: int) -> list:
        """The cotangents of the first `leaves` entries, from (node, cotangent) pairs."""
        for array, mark, (file, line) in self.guards.values():
            if fingerprint(array) != mark:
                raise SciadError(
                    f"an array of shape {array.shape} used at {file}:{line} was overwritten "
                    "before the backward pass, which needs its old content; write into a copy "
                    "instead"
                )
        cot: list[Any] = [None] * len(self.entries)
        for node, seed in seeds:
            add(cot, node, seed)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            self._sweep(cot, leaves)
        return cot[:leaves]

    def _sweep(self, cot: list, leaves: int) -> None:
        """The pass itself. Singular points are told by their infinities and NaNs in the result,
        not by NumPy's warnings about lines that the user has not written."""
        entries = self.entries
        own: set[int] = set()
        for i in range(len(entries) - 1, leaves - 1, -1):
            g = cot[i]
            if g is not None:
                cot[i] = None
                entry = entries[i]
                entry[0](entry, g, cot, i, own)


def add(cot, node, part):
    """Add to the cotangent of a node."""
    old = cot[node]
    cot[node] = part if old is None else old + part


def pull_leaf(entry, g, cot, i, own):
    """An input that is not among the leading leaves (none is made at present): keep it."""
    cot[i] = g


def pull_general(entry, g, cot, i, own):
    """Any primitive, through its rule."""
    _, primitive, out, args, nodes, params = entry
    needs = [node is not None for node in nodes]
    parts = primitive.joint_vjp(g, needs, out, args, params)
    for node, part in zip(nodes, parts, strict=True):
        if node is not None and part is not None:
            add(cot, node, part)


def pull_pick(entry, g, cot, i, own):
    """Output k of a primitive with several."""
    _, source, k, count = entry
    if cot[source] is None:
        cot[source] = [None] * count
    cot[source][k] = g


def pull_unary(entry, g, cot, i, own):
    """z = f(x), real."""
    _, partial, z, x, ix = entry
    if partial is MINUS:
        part = -g
    else:
        part = g * partial(z, x)
    old = cot[ix]
    cot[ix] = part if old is None else old + part


def pull_left(entry, g, cot, i, own):
    """z = f(x, c) with a constant c, real."""
    _, partial, z, x, c, ix = entry
    part = g if partial is SAME else g * partial(z, x, c)
    if part.shape != x.shape:
        part = Tools.unbroadcast(part, x.shape)
    old = cot[ix]
    cot[ix] = part if old is None else old + part


def pull_right(entry, g, cot, i, own):
    """z = f(c, x) with a constant c, real."""
    _, partial, z, c, x, ix = entry
    if partial is SAME:
        part = g
    elif partial is MINUS:
        part = -g
    else:
        part = g * partial(z, c, x)
    if part.shape != x.shape:
        part = Tools.unbroadcast(part, x.shape)
    old = cot[ix]
    cot[ix] = part if old is None else old + part


def pull_both(entry, g, cot, i, own):
    """z = f(x, y), both tracked, real."""
    _, (dx, dy), z, x, y, ix, iy = entry
    part = g if dx is SAME else g * dx(z, x, y)
    if part.shape != x.shape:
        part = Tools.unbroadcast(part, x.shape)
    old = cot[ix]
    cot[ix] = part if old is None else old + part
    if dy is SAME:
        part = g
    elif dy is MINUS:
        part = -g
    else:
        part = g * dy(z, x, y)
    if part.shape != y.shape:
        part = Tools.unbroadcast(part, y.shape)
    old = cot[iy]
    cot[iy] = part if old is None else old + part


def pull_read(entry, g, cot, i, own):
    """z = x[index]: the cotangent is added in place into a buffer of x's shape."""
    _, shape, index, basic, ix = entry
    old = cot[ix]
    if type(g) is Array or type(old) is Array:
        if old is None:
            old = Tools.zeros(shape, g.dtype)
        cot[ix] = Tools.index_add(old, g, index)
        return
    if old is None:
        cot[ix] = old = np.zeros(shape, g.dtype)
        own.add(ix)
    elif ix not in own or old.dtype != g.dtype or old.ndim == 0:
        cot[ix] = old = np.array(old, np.result_type(old, g))
        own.add(ix)
    if basic:
        old[index] += g
    else:
        np.add.at(old, index, g)


def pull_write(entry, g, cot, i, own):
    """z = x with x[index] = v: v receives the entries written, x the others.

    The cotangent is zeroed in place where the pass owns it, so that filling an array piece by
    piece costs as much as the array, not as much as the array for each piece.
    """
    _, index, ix, iv, v = entry
    if iv is not None:
        part = g[index]
        if type(part) is not Array:
            part = np.array(part)[()]
        if part.shape != v.shape:
            part = Tools.unbroadcast(part, v.shape)
        add(cot, iv, part)
    if ix is None:
        return
    if type(g) is Array:
        g = Tools.index_set(g, Tools.zeros((), g.dtype), index)
    else:
        if i not in own:
            g = np.array(g)
        g[index] = 0
    if cot[ix] is None:
        cot[ix] = g
        if type(g) is not Array:
            own.add(ix)
    else:
        cot[ix] = cot[ix] + g
