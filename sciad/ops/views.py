"""Views: Arrays that share memory as NumPy's would, written functionally.

Arrays that are views of one another belong to one `Storage`. It keeps the whole (`root`), and
each member knows the chain of links (index, reshape, transpose, real, imag) that leads from the
root to it.
Reading costs nothing. Writing through any member puts the new piece back along its chain, then
brings every living member up to date; the derivative is that of the sequential program.
"""

import weakref
from typing import Any, NamedTuple

import numpy as np

from sciad.core.array import Array, current
from sciad.core.errors import ArgumentError, at_line
from sciad.ops import elementwise, indexing, shape


class Link(NamedTuple):
    """One step from a whole to its view."""

    kind: str
    data: Any

    def take(self, whole):
        if self.kind == "index":
            return indexing.read(whole, self.data)
        if self.kind == "reshape":
            return shape.reshape_p(whole, shape=self.data)
        if self.kind == "transpose":
            return shape.transpose_p(whole, axes=self.data)
        if self.kind in ("real", "imag"):
            return getattr(elementwise, self.kind)(whole)
        return shape.broadcast_p(whole, shape=self.data)

    def put(self, whole: Array, piece):
        """`whole` with its view replaced by `piece`."""
        if self.kind == "index":
            indexing.store(whole, self.data, piece)
            return whole
        if self.kind == "reshape":
            return shape.reshape_p(piece, shape=whole.shape)
        if self.kind == "transpose":
            return shape.transpose(piece, np.argsort(self.data))
        if self.kind == "real":
            return piece + 1j * elementwise.imag(whole)
        if self.kind == "imag":
            return elementwise.real(whole) + 1j * piece
        raise ArgumentError(f"assignment into a broadcast array, which is read-only{at_line()}; "
                            "copy it first")

    def blank(self, whole: np.ndarray) -> np.ndarray:
        """The same step on a plain array, to see whether it is a view."""
        if self.kind == "index":
            return whole[self.data]
        if self.kind == "reshape":
            return whole.reshape(self.data)
        if self.kind == "transpose":
            return whole.transpose(self.data)
        if self.kind in ("real", "imag"):
            return whole
        return np.broadcast_to(whole, self.data)


class Storage:
    """The whole that a family of views shares, and its living members."""

    __slots__ = ("root", "members")

    def __init__(self, first: Array):
        self.root = Array(first._value, first._interp, first._node)
        self.members = [weakref.ref(first)]

    def living(self) -> list[Array]:
        alive = [(ref, ref()) for ref in self.members]
        self.members = [ref for ref, member in alive if member is not None]
        return [member for _, member in alive if member is not None]


def hold(x: Array) -> None:
    """Make `x` the owner of memory: a 0-d array, which ``x += 1`` changes, not a scalar."""
    x._alias = (Storage(x), ())


def make_view(x: Array, link: Link) -> Array:
    """The view of `x` that `link` describes; a fresh Array where NumPy would copy."""
    chain = x._alias[1] if x._alias else ()
    out = link.take(x)
    if not isinstance(out, Array):
        out = Array(out)
    elif out is x:
        out = Array(x._value, x._interp, x._node)
    if link.kind == "reshape" and not _shares(x, chain, link):
        return out
    if x._alias is None:
        x._alias = (Storage(x), ())
    storage = x._alias[0]
    out._alias = (storage, (*chain, link))
    storage.members.append(weakref.ref(out))
    return out


def _shares(x: Array, chain, link) -> bool:
    whole = np.empty(x._alias[0].root.shape if x._alias else x.shape, np.int8)
    for step in chain:
        whole = step.blank(whole)
    return np.may_share_memory(whole, link.blank(whole))


def write(x: Array, index, v) -> None:
    """``x[index] = v``."""
    if x._alias is None:
        indexing.store(x, index, v)
        return
    storage, chain = x._alias
    if isinstance(v, Array) and v._alias is not None and v._alias[0] is storage:
        v = Array(v._value, v._interp, v._node)
    piece = Array(x._value, x._interp, x._node)
    members = storage.living()
    for member in members:
        member._value = None
    try:
        if chain:
            indexing.store(piece, index, v)
            _put(storage, chain, piece)
        else:
            del piece
            indexing.store(storage.root, index, v)
    finally:
        for member in members:
            _refresh(member, storage)


def _put(storage, chain, piece):
    wholes = [storage.root]
    for link in chain[:-1]:
        whole = link.take(wholes[-1])
        wholes.append(whole if isinstance(whole, Array) else Array(whole))
    for link, whole in zip(reversed(chain), reversed(wholes), strict=True):
        piece = link.put(whole, piece)
    if piece is not storage.root:
        piece = piece if isinstance(piece, Array) else Array(piece)
        root = current(piece)
        storage.root = Array(root._value, root._interp, root._node)


def _refresh(member: Array, storage: Storage):
    out = storage.root
    for link in member._alias[1]:
        out = link.take(out)
    if isinstance(out, Array):
        member._value, member._interp, member._node = out._value, out._interp, out._node
    else:
        member._value, member._interp, member._node = out, None, None
