"""Indexing: reads, writes and their adjoints.

An index is split into a static `spec` (integers, slices, None, Ellipsis) and integer arrays,
which are operands (`At` marks their places), so that an index may itself be a recorded value.
Boolean masks become integer arrays.
"""

import operator

import numpy as np

from sciad.core.array import Array, current, plain
from sciad.core.backend import (
    as_operand,
    beside,
    ground,
    home_of,
    moved,
    on_any_device,
)
from sciad.core.errors import ArgumentError, LostGradientError, at_line
from sciad.core.graph import Type, shape_of, type_of
from sciad.core.numbers import Numbers, as_numbers
from sciad.core.patterns import DENSE, IDENTITY, Pairs, ids, merged
from sciad.core.primitive import Primitive, bind, refused
from sciad.core.reverse import READ, READ_ON_DEVICE, WRITE
from sciad.core.rules import Tools
from sciad.ops.elementwise import where
from sciad.ops.shape import unbroadcast


class At:
    """Where index operand `k` stands in a spec."""

    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k

    def __repr__(self):
        return f"@{self.k}"

    def __eq__(self, other):
        return isinstance(other, At) and self.k == other.k

    def __hash__(self):
        return hash(("At", self.k))


def split_index(index) -> tuple[tuple, list]:
    """An index as the user writes it -> (spec, index operands)."""
    entries = index if isinstance(index, tuple) else (index,)
    spec, operands = [], []
    for entry in entries:
        if type(entry) is int:
            spec.append(entry)
        elif isinstance(entry, (int, np.integer)) and not isinstance(entry, bool):
            spec.append(int(entry))
        elif entry is None or entry is Ellipsis:
            spec.append(entry)
        elif isinstance(entry, slice):
            spec.append(slice(_bound(entry.start), _bound(entry.stop), _bound(entry.step)))
        else:
            for array in _index_arrays(entry):
                spec.append(At(len(operands)))
                operands.append(array)
    return tuple(spec), operands


def _bound(x):
    if x is None or type(x) is int:
        return x
    x = plain(x, "a slice bound")
    return operator.index(x.item() if on_any_device(x) else x)


def _index_arrays(entry):
    if not isinstance(entry, Array):
        entry = as_operand(entry)
    kind = entry.dtype.kind
    if kind == "b":
        return np.nonzero(plain(entry, "a boolean mask"))
    if kind in "iu":
        return [entry]
    if isinstance(entry, np.ndarray) and entry.size == 0:
        return [entry.astype(np.intp)]
    raise ArgumentError(f"an index has dtype {entry.dtype}{at_line()}; indices are integers, "
                        "slices, None, Ellipsis, integer arrays or boolean masks")


def full_index(spec, operands) -> tuple:
    return tuple(operands[entry.k] if type(entry) is At else entry for entry in spec)


def _shape_of_read(shape, spec, operands) -> tuple[int, ...]:
    blank = np.broadcast_to(np.zeros((), np.int8), shape)
    stand_ins = [np.zeros(x.shape, np.intp) for x in operands]
    return blank[full_index(spec, stand_ins)].shape


def fixed(operands) -> bool:
    """Whether the values of all index operands are known."""
    return not any(isinstance(x, Type) for x in operands)


class Read(Primitive):
    """x[index]."""

    __slots__ = ()
    routes = True
    typed = 1

    def __init__(self):
        super().__init__("getitem", self._read, self._type)

    @staticmethod
    def _read(x, *operands, spec):
        return x[full_index(spec, operands)]

    @staticmethod
    def _type(x, *operands, spec):
        return Type(_shape_of_read(x.shape, spec, operands), x.dtype)

    def pattern(self, k, out, args, params):
        if k:
            return None
        return self.fun(ids(args[0]), *args[1:], **params) if fixed(args[1:]) else DENSE

    def jvp(self, k, tangent, out, args, params):
        return self(tangent, *args[1:], **params) if k == 0 else None

    def vjp(self, k, cotangent, out, args, params):
        if k:
            return None
        x = args[0]
        blank = Tools.zeros(x.shape, cotangent.dtype, cotangent)
        return index_add_p(blank, cotangent, *args[1:], **params)


class Write(Primitive):
    """A copy of x with x[index] = v."""

    __slots__ = ()
    routes = True
    typed = 2

    def __init__(self):
        super().__init__("index_set", self._set, lambda x, v, *_, spec: x.strong())

    @staticmethod
    def _set(x, v, *operands, spec):
        out = np.array(x)
        out[full_index(spec, operands)] = v
        return out[()]

    def pattern(self, k, out, args, params):
        return (IDENTITY, DENSE)[k] if k < 2 else None

    def joint_pattern(self, parts, outs, args, params):
        if not fixed(args[2:]):
            return super().joint_pattern(parts, outs, args, params)
        return [merged(lambda x, v: self.fun(x, v, *args[2:], **params), parts[:2], args[:2], {})]

    def joint_jvp(self, tangents, out, args, params):
        x, v = args[:2]
        dx = Tools.zeros(x.shape, out.dtype, out) if tangents[0] is None else tangents[0]
        dv = Tools.zeros((), out.dtype) if tangents[1] is None else tangents[1]
        if dx.dtype != out.dtype:  # that of x + 0j is real, and receives complex entries
            dx = dx.astype(out.dtype)
        return self(dx, dv, *args[2:], **params)

    def vjp(self, k, cotangent, out, args, params):
        if k == 0:
            return self(cotangent, Tools.zeros((), cotangent.dtype), *args[2:], **params)
        if k == 1:
            part = read_p(cotangent, *args[2:], **params)
            part = _only_last(part, args[0].shape, args[2:], params["spec"])
            return unbroadcast(part, shape_of(args[1]))
        return None


def _only_last(part, shape, operands, spec):
    """The cotangent of the values written: where an index repeats, only the last one stays."""
    if all(x.size <= 1 for x in operands):
        return part
    number = beside(np.arange(part.size).reshape(part.shape), part)
    blank = Tools.zeros(shape, number.dtype, part)
    last = read_p(index_set_p(blank, number, *operands, spec=spec), *operands, spec=spec) == number
    if isinstance(last, np.ndarray) and last.all():
        return part
    return where(last, part, 0.0)


class Add(Primitive):
    """A copy of x with v added at index; repeated indices add up."""

    __slots__ = ()
    routes = True
    typed = 2

    def __init__(self):
        super().__init__("index_add", self._add, lambda x, v, *_, spec: x.strong())

    @staticmethod
    def _add(x, v, *operands, spec):
        out = np.array(x, np.result_type(x, v))
        index = full_index(spec, operands)
        if operands:
            np.add.at(out, index, v)
        else:  # slices name no place twice
            out[index] += v
        return out[()]

    def pattern(self, k, out, args, params):
        if k == 0:
            return IDENTITY
        if k > 1 or not fixed(args[2:]):
            return DENSE if k == 1 else None
        places = read_p.fun(ids(out), *args[2:], **params)
        return Pairs(places, np.broadcast_to(ids(args[1]), np.shape(places)))

    def joint_jvp(self, tangents, out, args, params):
        x, v = args[:2]
        dx = Tools.zeros(x.shape, out.dtype, out) if tangents[0] is None else tangents[0]
        dv = Tools.zeros((), out.dtype) if tangents[1] is None else tangents[1]
        return self(dx, dv, *args[2:], **params)

    def vjp(self, k, cotangent, out, args, params):
        if k == 0:
            return cotangent
        if k == 1:
            return unbroadcast(read_p(cotangent, *args[2:], **params), shape_of(args[1]))
        return None


_PIECE = 8
"""A piece of at most this part of an array is small."""

read_p = Read()
index_set_p = Write()
index_add_p = Add()


def read(x, index):
    """x[index] as a value (no view)."""
    spec, operands = split_index(index)
    return read_p(x, *operands, spec=spec)


def index_set(x, v, index):
    """A copy of x with x[index] = v."""
    spec, operands = split_index(index)
    return index_set_p(x, v, *operands, spec=spec)


def index_add(x, v, index):
    """A copy of x with v added at index."""
    spec, operands = split_index(index)
    return index_add_p(x, v, *operands, spec=spec)


def reads_on_device(x: Array) -> bool:
    """Whether `x` is a device array on an eager tape, real and just above plain values."""
    return (on_any_device(x._value) and hasattr(x._interp, "tape") and x._interp.divert is None
            and x._value.dtype.kind == "f")


def eager_read(x: Array, spec, operands) -> Array:
    """A read on the tape of an eager reverse interpreter, with its O(1) entry.

    A small piece is a copy, so that saving it for the backward pass does not hold the whole, which
    would have to be copied at the next write.
    """
    interp = x._interp
    index = full_index(spec, [interp.keep(i) for i in operands]) if operands else spec
    value = x._value
    out = value[index]
    if not operands and type(out) is np.ndarray and _PIECE * out.size <= value.size:
        out = out.copy("K")
    kind = READ_ON_DEVICE if on_any_device(value) else READ
    interp.tape.append((kind, value.shape, index, not operands, x._node))
    return Array(out, interp, len(interp.tape) - 1)


def read_part(x, spec):
    """x[spec] of an index without arrays, by the fast path where there is one."""
    if type(x) is Array:
        interp = x._interp
        if interp is not None and interp.fast and type(x._value) is np.ndarray:
            return eager_read(x, spec, ())
    return read_p(x, spec=spec)


def store(handle: Array, index, v) -> None:
    """``handle[index] = v`` on an Array that shares its memory with no other Array.

    In meaning the handle becomes a new value; the buffer is written in place if nothing else
    holds it (a saved operand, a plain view), and copied first otherwise.
    """
    if type(index) is int and type(v) is Array and _store_on_tape(handle, index, v):
        return
    spec, operands = split_index(index)
    x = current(handle)
    v = _storable(v, x)
    if not operands and _eager(x) and _eager_operand(v):
        _store_in_place(handle, x, spec, v)
        return
    home = home_of(x, v)
    if home is not None and not operands and _store_on_device(handle, x, spec, v, home):
        return
    if home is None and x._interp is None and type(v) is not Array and not _any_array(operands):
        buffer = _owned(handle, x)
        buffer[full_index(spec, operands)] = v
        _settle(handle, Array(buffer))
        return
    out = bind(index_set_p, (x, v, *operands), {"spec": spec})
    _settle(handle, out if type(out) is Array else Array(out))


def _store_on_tape(handle, index, v) -> bool:
    """``handle[k] = v`` of a `v` on a fast tape; False where the general way is needed."""
    top, mine, piece = v._interp, handle._interp, v._value
    if top is None or not top.fast or mine is not top and mine is not None \
            or type(handle._value) is not np.ndarray or type(piece) is Array \
            or piece.dtype != handle._value.dtype:
        return False
    entry = (WRITE, (index,), handle._node if mine is top else None, v._node,
             Type(piece.shape, piece.dtype))
    buffer = _owned(handle, handle)
    buffer[index] = piece
    top.tape.append(entry)
    handle._value, handle._interp, handle._node = buffer, top, len(top.tape) - 1
    return True


def _any_array(operands):
    return any(type(x) is Array for x in operands)


def _storable(v, x):
    """The value written, in the dtype of the array that receives it."""
    if type(v) is not Array and type(below := ground(x)) is Numbers:
        v = Tools.pack(v) if isinstance(v, np.ndarray) and v.dtype.hasobject else v
        return v if type(v) is Array else as_numbers(v, below)
    given, v = v, as_operand(v)
    if isinstance(v, np.ndarray) and v.dtype.hasobject:
        from_pack = Tools.pack(v)
        given = v = from_pack if isinstance(from_pack, Array) else v.astype(x.dtype)
    if type(v) is not Array:
        fits = v is given or type(given) is float and x.dtype.kind in "fc"
        return v if fits else _assigned(given, v.shape, x.dtype)
    v = current(v)
    if v._interp is None:
        return v._value
    kind, own = v.dtype.kind, x.dtype.kind
    if kind in "fc" and own not in "fc":
        raise refused(LostGradientError(
            f"writing a differentiated value into an array of dtype {x.dtype} "
            f"would drop its derivative{at_line()}; make the array of floats"))
    if kind == "c" and own != "c":
        raise refused(LostGradientError(
            "writing a complex value into a real array drops its imaginary "
            f"part{at_line()}; take np.real of it, or make the array complex"))
    return v.astype(x.dtype) if v.dtype != x.dtype else v


def _assigned(v, shape, dtype) -> np.ndarray:
    """A number or list in the dtype that receives it, or NumPy's error if it does not fit."""
    out = np.empty(shape, dtype)
    out[...] = v
    return out


def _eager(x: Array) -> bool:
    """Whether `x` is a plain buffer or on an eager tape just above plain values."""
    return _writes_tape(x._interp) and isinstance(x._value, np.ndarray)


def _writes_tape(interp) -> bool:
    return interp is None or hasattr(interp, "tape") and interp.divert is None


def _eager_operand(v) -> bool:
    return isinstance(v, np.ndarray) or type(v) is Array and (
        _writes_tape(v._interp) and isinstance(v._value, (np.ndarray, np.generic)))


def _store_on_device(handle, x, spec, v, home) -> bool:
    """A write in place on a device; a buffer of the host moves to where its new entries live.
    False where the write is not one on an eager tape."""
    plain_v = v._value if type(v) is Array else v
    if not _writes_tape(x._interp) or type(v) is Array and not _writes_tape(v._interp) \
            or type(x._value) is Array or type(plain_v) is Array:
        return False
    if not on_any_device(x._value):
        x = Array(home.module.asarray(x._value), x._interp, x._node)
    if isinstance(v, np.ndarray):
        v = moved("an assignment", home, v)
    _store_in_place(handle, x, spec, v)
    return True


def _store_in_place(handle, x, spec, v):
    mine, theirs = x._interp, v._interp if type(v) is Array else None
    top = theirs if mine is None or (theirs is not None and theirs.level > mine.level) else mine
    if mine is not None and theirs is not None and mine is not theirs:
        out = bind(index_set_p, (x, v), {"spec": spec})
        _settle(handle, out)
        return
    node = x._node if mine is top else None
    entry = (WRITE, spec, node, v._node if theirs is not None else None,
             type_of(v) if theirs is not None else None)
    buffer = _owned(handle, x)
    buffer[spec] = v._value if theirs is not None else v
    if top is None:
        _settle(handle, Array(buffer))
        return
    top.tape.append(entry)
    _settle(handle, Array(buffer, top, len(top.tape) - 1))


def _settle(handle, new: Array):
    handle._value, handle._interp, handle._node = new._value, new._interp, new._node


_REFERENCES = 0


def _owned(handle: Array, x: Array) -> np.ndarray:
    """The buffer under `x`, copied unless nothing but `x` and `handle` holds it."""
    holders = 1 if x is handle else 2
    value = x._value
    if value.base is None and getattr(value.flags, "writeable", True) \
            and references(value) <= holders:
        return value
    return value.copy() if on_any_device(value) else np.array(value)


def references(value) -> int:
    """How many references to `value` there are besides those of the call chain."""
    import sys

    return sys.getrefcount(value) - _REFERENCES


def _calibrate() -> int:
    """The references that `_owned` and `references` themselves hold; measured, since it depends
    on the version of Python."""
    seen = []

    class Probe:
        base = None

        class flags:
            writeable = True

    handle = Array(Probe())

    def owned(handle, x):
        value = x._value
        return references(value)

    seen.append(owned(handle, handle))
    return seen[0] - 1


_REFERENCES = _calibrate()
Tools.index_add = index_add
Tools.index_set = index_set
