"""Views: Arrays that share memory as NumPy's would, written functionally.

Arrays that are views of one another belong to one `Storage`. It keeps the whole (`root`), and
each member knows the chain of links (index, reshape, transpose, real, imag...) that leads from the
root to it.
Reading costs nothing. Writing through any member puts the new piece back along its chain, then
brings every living member up to date; the derivative is that of the sequential program.
"""

import weakref
from typing import Any, NamedTuple

import numpy as np

from sciad.core.array import MIRRORS, WINDOWS, Array, current, plain
from sciad.core.errors import ArgumentError, RecordError, at_line
from sciad.core.primitive import refused
from sciad.core.rules import Tools
from sciad.ops import elementwise, indexing, layout, overlap, shape, windows
from sciad.ops.runs import has_recorded, without


class Link(NamedTuple):
    """One step from a whole to its view."""

    kind: str
    data: Any

    def take(self, whole):
        if self.kind == "index":
            return indexing.read_part(whole, self.data)
        if self.kind == "reshape":
            return shape.reshape_p(whole, shape=self.data)
        if self.kind == "transpose":
            return shape.transpose_p(whole, axes=self.data)
        if self.kind in ("real", "imag"):
            return getattr(elementwise, self.kind)(whole)
        if self.kind in ("gather", "computed") and _is_memory(whole):
            return Array(self.show(whole._value))
        if self.kind == "gather":
            return indexing.read(whole, np.unravel_index(self.data, whole.shape))
        if self.kind == "computed":
            return self.data[0](whole)
        if self.kind == "run":
            return self.data.take(whole)
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
        if self.kind == "gather":
            indexing.store(whole, np.unravel_index(self.data, whole.shape), piece)
            return whole
        if self.kind == "run":
            return self.data.put(whole, piece)
        name = self.data[1] if self.kind == "computed" else "broadcast array"
        raise ArgumentError(f"assignment into a {name}, which is read-only{at_line()}; copy it "
                            "first (np.fill_diagonal writes the diagonal of a square matrix)")

    def show(self, whole: np.ndarray) -> np.ndarray:
        """The same step on a plain array, as NumPy's view."""
        if self.kind == "index":
            return whole[self.data]
        if self.kind == "reshape":
            return whole.reshape(self.data)
        if self.kind == "transpose":
            return whole.transpose(self.data)
        if self.kind in ("real", "imag"):
            return getattr(whole, self.kind)
        if self.kind == "gather":
            return _at_places(whole, self.data)
        if self.kind == "computed":
            return self.data[2](whole)
        if self.kind == "run":
            return self.data.blank(whole)
        return np.broadcast_to(whole, self.data)


def _is_memory(whole) -> bool:
    return type(whole) is Array and whole._interp is None and type(whole._value) is np.ndarray


def _at_places(whole: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The view of a plain array whose entries stand at `places`, evenly along each axis."""
    at = np.unravel_index(places, whole.shape)
    offsets = sum(np.multiply(k, stride) for k, stride in zip(at, whole.strides, strict=True))
    first = (0,) * offsets.ndim
    steps = tuple(int(offsets[(*first[:k], 1, *first[k + 1:])] - offsets[first]) if extent > 1
                  else 0 for k, extent in enumerate(offsets.shape))
    start = tuple(slice(int(k[first]), None) for k in at)
    return np.lib.stride_tricks.as_strided(whole[start], places.shape, steps)


class Storage:
    """The whole that a family of views shares, its living members, and the arrays that
    ``np.asarray`` made of them, which NumPy's meaning also lets share the memory: arrays of
    objects (`mirrors`) and plain windows (`memory`, see `sciad.ops.windows`). `strides` are those
    of the whole in NumPy's memory, None if they are not known; `doubts` are the links of
    which it is not known whether they are views."""

    __slots__ = ("root", "members", "mirrors", "memory", "strides", "doubts")

    def __init__(self, first: Array, strides: layout.Strides | None = None):
        self.strides = strides or layout.strides_of(first)
        self.doubts: list[Link] = []
        self.root = Array(first._value, first._interp, first._node)
        self.members = [weakref.ref(first)]
        self.mirrors: list[tuple] = []
        self.memory: weakref.ref | None = None

    def living(self) -> list[Array]:
        alive = [(ref, ref()) for ref in self.members]
        self.members = [ref for ref, member in alive if member is not None]
        return [member for _, member in alive if member is not None]


def hold(x: Array, strides: layout.Strides | None = None) -> None:
    """Make `x` the owner of memory (which lies as the strides tell): a 0-d array, which ``x += 1``
    changes, not a scalar."""
    x._alias = (Storage(x, strides), ())


Tools.hold = hold


def frozen(x: Array, name: str) -> Array:
    """`x` as an array that refuses assignments."""
    out = Array(x._value, x._interp, x._node)
    out._alias = (Storage(out), (Link("computed", (lambda whole: whole, name)),))
    return out


Tools.frozen = frozen


def make_view(x: Array, link: Link, flat: bool = False) -> Array:
    """The view of `x` that `link` describes; a fresh Array where NumPy would copy: a reshape that
    strides cannot express, or (`flat`, as by ``ravel``) one of anything but contiguous memory.

    A recorded value has no strides. Where NumPy might as well copy, the view is doubtful, and a
    write that would tell a view from a copy is refused.
    """
    out = link.take(x)
    if not isinstance(out, Array):
        out = Array(out)
    elif out is x:
        out = Array(x._value, x._interp, x._node)
    shares = _shares(x, link, flat) if link.kind == "reshape" else True
    if shares is False:
        return out
    if x._alias is None:
        x._alias = (Storage(x), ())
    storage, chain = x._alias
    if shares is None:
        storage.doubts.append(link)
    out._alias = (storage, (*chain, link))
    storage.members.append(weakref.ref(out))
    return out


def of_runs(x: Array, index) -> tuple[Array, Any]:
    """The part of `x` in the runs of an index (see `sciad.ops.runs`), and the rest of it."""
    found, rest = without(index, x.shape)
    for run in found:
        x = make_view(x, Link("run", run))
    return x, rest


def computed(x: Array, take, name: str, original) -> Array:
    """A view that cannot be written: `take` of `x` as an operation, `original` as NumPy's view."""
    return make_view(x, Link("computed", (take, name, original)))


def is_truth(index) -> bool:
    """Whether an index is one truth value, which NumPy takes for a mask without dimensions."""
    return isinstance(index, (bool, np.bool_)) or (
        isinstance(index, (Array, np.ndarray)) and not index.shape and index.dtype == np.bool_)


def read_where(x: Array, index):
    """``x[True]`` and ``x[False]``: a copy with a first axis of extent 1 or 0."""
    one = shape.reshape_p(x, shape=(1, *x.shape))
    return indexing.read(one, np.flatnonzero(plain(index, "a boolean mask")))


def _without_first(v, ndim):
    v = v if isinstance(v, Array) else np.asarray(v)
    return v.reshape(v.shape[1:]) if len(v.shape) > ndim else v


class Flat:
    """``x.flat``: the entries in order, read and written by one index."""

    __slots__ = ("x",)

    def __init__(self, x: Array):
        self.x = x

    def __len__(self):
        return self.x.size

    def __iter__(self):
        return iter(self.x.reshape(-1))

    def __getitem__(self, index):
        out = self.x.reshape(-1)[index]
        return out if not out.shape else out.copy()

    def __setitem__(self, index, v):
        """A value too short is repeated, as NumPy does."""
        places = np.arange(self.x.size)[index]
        v = v if isinstance(v, Array) else np.asarray(v)
        given, v = v, overlap.entry_by_entry(self.x, places, v)
        if v is given and (v.size not in (1, places.size) or len(v.shape) > 1):
            v = np.resize(v, places.size)
        write(self.x, np.unravel_index(places, self.x.shape), v)

    def fill(self, v):
        """``x.flat = v``; NumPy copies a `v` with gaps where `x` lies columns first."""
        x = self.x
        together = next(layout.in_memory(x)).flags.f_contiguous
        if isinstance(v, Array) and together and not next(layout.in_memory(v)).flags.f_contiguous:
            v = v.copy()
        self[...] = v

    def copy(self):
        return self.x.reshape(-1).copy()


def _shares(x: Array, link: Link, flat: bool) -> bool | None:
    """Whether a reshape is a view of `x`, or None if it depends on an order that is not known."""
    answers = set()
    for seen in layout.in_memory(x):
        answers.add(seen.flags.c_contiguous if flat else
                    np.may_share_memory(seen, link.show(seen)))
        if len(answers) > 1:
            return None
    return answers.pop()


def _require_agreement(storage, members):
    """Raise if a write would tell a view from a copy, and it is not known which NumPy makes."""
    chains = [member._alias[1] for member in members]
    chains += [chain for ref, chain in storage.mirrors if ref() is not None]
    for doubt in storage.doubts:
        if 0 < sum(any(link is doubt for link in chain) for chain in chains) < len(chains):
            raise _refused_doubt(members[0])


def _refused_doubt(x):
    return refused(RecordError(
        "a write into an array and its reshape, of which NumPy may make a view or a copy: the "
        "array comes of a transposed one, and a recorded value does not tell its order in memory"
        f"{at_line()}; copy it before the reshape, x.copy(), or after it"))


def write(x: Array, index, v) -> None:
    """``x[index] = v``."""
    if type(index) is not int:
        if has_recorded(index):
            x, index = of_runs(x, index)
        if is_truth(index):
            if not plain(index, "a boolean mask"):
                return
            index, v = Ellipsis, _without_first(v, x.ndim)
    if x._alias is None:
        indexing.store(x, index, v)
        return
    storage, chain = x._alias
    if isinstance(v, Array) and v._alias is not None and v._alias[0] is storage:
        v = Array(v._value, v._interp, v._node)
    piece = Array(x._value, x._interp, x._node)
    members = storage.living()
    if storage.doubts:
        _require_agreement(storage, members)
    memory = windows.opened(storage)
    before = windows.state(storage.root) if memory is not None else ()
    for member in members:
        member._value = None
    try:
        if chain:
            indexing.store(piece, index, v)
            _put(storage, chain, piece)
        else:
            del piece
            indexing.store(storage.root, index, v)
        if memory is not None:
            windows.keep_open(storage, memory, before)
    finally:
        for member in members:
            _refresh(member, storage)
        if storage.mirrors:
            _refresh_mirrors(storage)


def _refresh_mirrors(storage):
    storage.mirrors = [pair for pair in storage.mirrors if pair[0]() is not None]
    for ref, chain in storage.mirrors:
        whole, objects = storage.root, ref()
        for link in chain:
            whole = link.take(whole)
        if objects is not None:
            for index in np.ndindex(objects.shape):
                objects[index] = whole[index]


def _mirror(x: Array) -> np.ndarray:
    """The object array of which ``np.asarray(x)`` gives a view; writes into `x` reach it."""
    if x._alias is None:
        hold(x)
    storage, chain = x._alias
    objects = layout.objects_as(x)
    storage.mirrors.append((weakref.ref(objects), chain))
    return objects


def _window(x: Array) -> np.ndarray | None:
    """The plain array that shares the memory of `x`; None of a number, which has no memory."""
    if x._alias is None:
        if not x.shape:
            return None
        hold(x)
    storage, chain = x._alias
    out = windows.open_window(storage)
    for member in storage.living():
        _refresh(member, storage)
    for link in chain:
        out = link.show(out)
    return out


MIRRORS.append(_mirror)
WINDOWS.append(_window)


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
