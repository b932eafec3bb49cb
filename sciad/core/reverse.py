"""Reverse mode: a tape of entries, and one pass backwards over it.

While the program runs, each operation on a tracked value appends one entry; the place on the tape
is the value's node. An entry begins with the number of its pull function, which knows the rest of
it: given the cotangent g of the entry's output, it adds to the cotangents of the operands.

    y = a * x          entry: (BOTH, number of the partials, y, a, x, node of a, node of x)
    backward           cot[a] += g * x,   cot[x] += g * a

Functions stand in entries by number, so that an entry of numbers and arrays is nothing that the
garbage collector follows: over a long tape it would take longer than the program. Partial
derivatives are formed only here, in the backward pass. Values may be Arrays of a lower interpreter,
so the same lines serve nested derivatives and recording.

Cotangents of indexed reads are added in place into a buffer that the pass owns (`own` holds the
nodes whose cotangent nobody else can see), so n reads of an n-vector cost O(n).
"""

import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.backend import (
    beside,
    checksum,
    ground,
    module_of,
    on_any_device,
    together,
    zeros,
)
from sciad.core.errors import SciadError, user_place
from sciad.core.graph import type_of
from sciad.core.numbers import Numbers
from sciad.core.primitive import Interpreter, Primitive, bind, watch
from sciad.core.rules import MINUS, SAME, Tools

(LEAF, GENERAL, RULE, PICK, UNARY, SCALE, LEFT, RIGHT, BOTH, READ, READ_ON_DEVICE,
 WRITE) = range(12)
"""The kinds of entries: places in `PULLS`."""

PARTIALS: list = []
"""The partial derivatives that entries name by their place here."""


@cache
def numbered(partial: Any) -> int:
    """The number of a partial derivative, or of a pair of them."""
    PARTIALS.append(partial)
    return len(PARTIALS) - 1


LARGE = 1024
"""Arrays of more entries than this are worth a thought before they are kept or copied."""

_COPY_BELOW = 64
"""Plain operands of at most this many entries are copied when saved; larger are fingerprinted."""

_COPY_BELOW_ON_DEVICE = 4096
"""The same on a device, where a copy costs no more than the launch of its kernel, and to compare
checksums the program must wait for the device, once a pass."""


_ON_HOST = frozenset({np.ndarray, np.float64, np.float32, np.complex128, np.complex64, type(None)})
"""The commonest types of cotangents."""

_FUNCTIONAL = (Array, Numbers)
"""Cotangents that are never written into."""


def as_it_lay(x: Array, given: Any) -> Array:
    """An input, which knows the strides of the caller's array if it is a piece of another."""
    if type(given) is np.ndarray and not given.flags.forc:
        Tools.hold(x, given.strides)
    return x


class Reverse(Interpreter):
    """The interpreter of reverse mode: writes the tape."""

    __slots__ = ("tape", "guards", "places")

    def __enter__(self):
        super().__enter__()
        self.tape: list[tuple] = []
        self.guards: dict[int, tuple] = {}
        self.places: dict[int, tuple] | None = {} if watch() is not None else None
        self.fast = self.places is None
        return self

    def close(self):
        self.tape = []
        self.guards = {}

    def leaf(self, value: Any) -> Array:
        """A tracked input: a copy, since the caller may write into theirs."""
        given = value
        if type(value) is np.ndarray:
            value = value.copy("K")
        elif on_any_device(value):
            value = value.copy()
            self.fast = False
        if value.dtype.kind == "c" or Numbers.in_use and type(ground(value)) is Numbers:
            self.fast = False
        self.tape.append((LEAF,))
        return as_it_lay(Array(value, self, len(self.tape) - 1), given)

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        values, nodes = [], []
        for x in args:
            if type(x) is Array and x._interp is self:
                node, x = x._node, x._value
            else:
                node = None
            values.append(x)
            nodes.append(node)
        out = bind(primitive, tuple(values), params)
        values = together(values, out)
        typed = primitive.typed
        saved = [type_of(x) if k < typed else x if node is not None else self.keep(x)
                 for k, (x, node) in enumerate(zip(values, nodes, strict=True))]
        kept = None if typed else out
        if kept is not None and type(out) is np.ndarray and out.size > LARGE:
            kept, saved = primitive.lighten(out, saved)
        if not primitive.multiple:
            return self._track(out, (GENERAL, primitive, kept, saved, nodes, params))
        if self.places is not None:
            self.places[len(self.tape)] = _watched_place()
        self.tape.append((GENERAL, primitive, kept, saved, nodes, params))
        source = len(self.tape) - 1
        return tuple(self._track(part, (PICK, source, k, len(out)))
                     for k, part in enumerate(out))

    def _track(self, out, entry):
        kind = out.dtype.kind
        if kind not in "fc":
            return out
        if kind == "c" or on_any_device(out):
            self.fast = False
        if self.places is not None:
            self.places[len(self.tape)] = _watched_place()
        self.tape.append(entry)
        return Array(out, self, len(self.tape) - 1)

    def keep(self, x: Any) -> Any:
        """A plain operand as it is now: a small one copied, a large one fingerprinted
        (unless it is read-only)."""
        if not isinstance(x, np.ndarray):
            return self._keep_on_device(x) if on_any_device(x) else x
        if x.size <= _COPY_BELOW:
            return x.copy()
        if x.base is None and not x.flags.writeable:
            return x
        if id(x) not in self.guards:
            self.guards[id(x)] = (x, fingerprint(x), user_place())
        return x

    def _keep_on_device(self, x):
        if x.size <= _COPY_BELOW_ON_DEVICE or type(x) is Numbers:
            return x.copy()
        if id(x) not in self.guards:
            self.guards[id(x)] = (x, checksum(x), user_place())
        return x


def _watched_place() -> tuple[str, int, str]:
    """Where an operation stands: file, line, and the operation that it passes a cotangent of."""
    look = watch()
    return (*user_place(), "") if look is None else look.here()


def fingerprint(x: np.ndarray) -> int:
    """A checksum of the bytes of `x`."""
    return zlib.crc32(np.ascontiguousarray(x).view(np.uint8).reshape(-1).data)


class Tape:
    """What remains of a finished reverse interpreter: enough to pull cotangents back."""

    __slots__ = ("entries", "guards", "places")

    def __init__(self, interp: Reverse):
        self.entries = interp.tape
        self.places = interp.places
        self.guards = interp.guards

    def pull(self, seeds: list[tuple[int, Any]], leaves: int) -> list:
        """The cotangents of the first `leaves` entries, from (node, cotangent) pairs."""
        on_device = []
        for array, mark, place in self.guards.values():
            if on_any_device(array):
                on_device.append((array, mark != checksum(array), place))
            elif fingerprint(array) != mark:
                raise _overwritten(array, place)
        cot: list[Any] = [None] * len(self.entries)
        for node, seed in seeds:
            add(cot, node, seed, set())
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            self._sweep(cot, leaves)
        if on_device:
            _require_unchanged(on_device)
        return cot[:leaves]

    def order(self, leaves: int) -> Iterable[int]:
        """The entries as the backward pass takes them."""
        order = range(len(self.entries) - 1, leaves - 1, -1)
        look = watch()
        if look is None or self.places is None:
            return order
        return look.passing(self.entries, self.places, order)

    def _sweep(self, cot: list, leaves: int) -> None:
        """The pass itself. Singular points are told by their infinities and NaNs in the result,
        not by NumPy's warnings about lines that the user has not written."""
        entries = self.entries
        own: set[int] = set()
        for i in self.order(leaves):
            g = cot[i]
            if g is not None:
                cot[i] = None
                entry = entries[i]
                PULLS[entry[0]](entry, g, cot, i, own)


def _require_unchanged(found):
    """Wait, once, for what the device says of (array, whether it changed, place used)."""
    changed = [flag for _, flag, _ in found]
    if bool(module_of(*changed).stack(changed).any()):
        raise _overwritten(*next((array, place) for array, flag, place in found if bool(flag)))


def _overwritten(array, place):
    return SciadError(
        f"an array of shape {array.shape} used at {place[0]}:{place[1]} was overwritten before "
        "the backward pass, which needs its old content; write into a copy instead")


def add(cot, node, part, own):
    """Add to the cotangent of a node."""
    old = cot[node]
    if old is None:
        cot[node] = part
    else:
        join(cot, node, old, part, own)


def join(cot, node, old, part, own):
    """Add to a cotangent that is there already: in place where it is the pass's own."""
    if node in own and type(part) is np.ndarray and part.dtype == old.dtype \
            and part.shape == old.shape:
        old += part
        return
    cot[node] = total = old + part
    if type(total) is np.ndarray and total.size > LARGE:
        own.add(node)


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
            add(cot, node, part, own)


def pull_rule(entry, g, cot, i, own):
    """An operation that states the parts of its operands itself: ``rule(g, saved, nodes)``.

    The last field tells whether it routes entries (`Primitive.routes`).
    """
    _, rule, saved, nodes, _ = entry
    for node, part in zip(nodes, rule(g, saved, nodes), strict=True):
        if node is not None:
            add(cot, node, part, own)


def pull_pick(entry, g, cot, i, own):
    """Output k of a primitive with several."""
    _, source, k, count = entry
    if cot[source] is None:
        cot[source] = [None] * count
    cot[source][k] = g


def pull_unary(entry, g, cot, i, own):
    """z = f(x), real."""
    _, number, z, x, ix = entry
    partial = PARTIALS[number]
    if partial is MINUS:
        part = -g
    else:
        part = g * partial(z, x)
    old = cot[ix]
    if old is None:
        cot[ix] = part
    else:
        join(cot, ix, old, part, own)


def pull_scale(entry, g, cot, i, own):
    """z = f(x, c) or f(c, x), linear in x, with a constant number c: nothing else is kept."""
    _, number, c, ix = entry
    factor = PARTIALS[number]
    part = g if factor is SAME else -g if factor is MINUS else g * factor(c)
    old = cot[ix]
    if old is None:
        cot[ix] = part
    else:
        join(cot, ix, old, part, own)


def pull_left(entry, g, cot, i, own):
    """z = f(x, c) with a constant c, real."""
    _, number, z, x, c, ix = entry
    partial = PARTIALS[number]
    part = g if partial is SAME else g * partial(z, x, c)
    if part.shape != x.shape:
        part = Tools.unbroadcast(part, x.shape)
    old = cot[ix]
    if old is None:
        cot[ix] = part
    else:
        join(cot, ix, old, part, own)


def pull_right(entry, g, cot, i, own):
    """z = f(c, x) with a constant c, real."""
    _, number, z, c, x, ix = entry
    partial = PARTIALS[number]
    if partial is SAME:
        part = g
    elif partial is MINUS:
        part = -(g if g.shape == x.shape else Tools.unbroadcast(g, x.shape))
    else:
        part = g * partial(z, c, x)
    if part.shape != x.shape:
        part = Tools.unbroadcast(part, x.shape)
    old = cot[ix]
    if old is None:
        cot[ix] = part
    else:
        join(cot, ix, old, part, own)


def pull_both(entry, g, cot, i, own):
    """z = f(x, y), both tracked, real."""
    _, number, z, x, y, ix, iy = entry
    dx, dy = PARTIALS[number]
    part = g if dx is SAME else g * dx(z, x, y)
    if part.shape != x.shape:
        part = Tools.unbroadcast(part, x.shape)
    old = cot[ix]
    if old is None:
        cot[ix] = part
    else:
        join(cot, ix, old, part, own)
    if dy is SAME:
        part = g
    elif dy is MINUS:
        part = -g
    else:
        part = g * dy(z, x, y)
    if part.shape != y.shape:
        part = Tools.unbroadcast(part, y.shape)
    old = cot[iy]
    if old is None:
        cot[iy] = part
    else:
        join(cot, iy, old, part, own)


def pull_read(entry, g, cot, i, own):
    """z = x[index]: the cotangent is added in place into a buffer of x's shape."""
    _, shape, index, basic, ix = entry
    old = cot[ix]
    if type(g) not in _ON_HOST or type(old) not in _ON_HOST:
        if type(g) in _FUNCTIONAL or type(old) in _FUNCTIONAL:
            if old is None:
                old = Tools.zeros(shape, g.dtype, g)
            cot[ix] = Tools.index_add(old, g, index)
            return
        if on_any_device(g) or on_any_device(old):
            pull_read_on_device(entry, g, cot, i, own)
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


def pull_read_on_device(entry, g, cot, i, own):
    """As `pull_read`, of a device array, or of one of the host with cotangents on a device."""
    _, shape, index, basic, ix = entry
    old = cot[ix]
    if type(g) in _FUNCTIONAL or type(old) in _FUNCTIONAL:
        pull_read(entry, g, cot, i, own)
        return
    g = beside(g, old)
    if old is not None and not on_any_device(old):
        old = beside(old, g)
        own.discard(ix)
    if old is None:
        cot[ix] = old = zeros(shape, g.dtype, g)
        own.add(ix)
    elif ix not in own or old.dtype != g.dtype:
        cot[ix] = old = old.astype(np.result_type(old, g))
        own.add(ix)
    if basic:
        old[index] += g
    else:
        Tools.add_in_place(old, index, g)


def pull_write(entry, g, cot, i, own):
    """z = x with x[index] = v: v receives the entries written, x the others.

    The cotangent is zeroed in place where the pass owns it, so that filling an array piece by
    piece costs as much as the array, not as much as the array for each piece.
    """
    _, index, ix, iv, v = entry
    if iv is not None:
        part = g[index]
        if part.shape != v.shape:
            part = Tools.unbroadcast(part, v.shape)
        if type(part) is not np.ndarray or iv in own and cot[iv] is not None:
            add(cot, iv, part.copy() if on_any_device(part) else part, own)
        else:
            add(cot, iv, part.copy(), own)
            own.add(iv)
    if ix is None:
        return
    if type(g) in _FUNCTIONAL:
        g = Tools.index_set(g, Tools.zeros((), g.dtype), index)
    else:
        if i not in own or not g.ndim:  # a sum of 0-d arrays is a scalar
            g = g.copy() if on_any_device(g) else np.array(g)
        g[index] = 0
    if cot[ix] is None:
        cot[ix] = g
        if type(g) not in _FUNCTIONAL:
            own.add(ix)
    else:
        join(cot, ix, cot[ix], g, own)


PULLS = (pull_leaf, pull_general, pull_rule, pull_pick, pull_unary, pull_scale, pull_left,
         pull_right, pull_both, pull_read, pull_read_on_device, pull_write)
"""The pull functions, in the order of their kinds."""
