"""Array's operators and methods.

Operators write on the tape of an eager reverse interpreter themselves (`interp.fast`); every
other case goes through `bind`. The fast paths are why a small operation costs about a microsecond.
"""

import operator

import numpy as np

from sciad.core.array import UFUNC_METHODS, UFUNCS, Array, current, has_data, plain, write_out
from sciad.core.backend import as_operand, on_any_device
from sciad.core.errors import (
    ArgumentError,
    DTypeError,
    NoRuleError,
    RecordError,
    at_line,
)
from sciad.core.graph import Type
from sciad.core.numbers import Numbers, adopt_beside
from sciad.core.primitive import bind, pack
from sciad.core.reverse import BOTH, LARGE, LEFT, READ, RIGHT, SCALE, UNARY, numbered
from sciad.core.rules import reads
from sciad.ops import (
    bits,
    elementwise,
    indexing,
    layout,
    products,
    reduce,
    shape,
    sparse,
    views,
    windows,
)
from sciad.ops.runs import has_recorded

_NUMBERS = (float, int)


def _binary(primitive, op):
    """The forward and the reflected operator of a primitive with two operands."""
    partials = primitive.partials
    left_partial, right_partial = partials
    left_reads, right_reads = map(reads, partials)
    both, of_left, of_right = map(numbered, (partials, left_partial, right_partial))
    squared = numbered(*elementwise.square.partials) if op is operator.mul else None
    scale_left = _scale(left_partial, left_reads, 1, lambda c: left_partial(None, None, c))
    scale_right = _scale(right_partial, right_reads, 2, lambda c: right_partial(None, c, None))
    empty: dict = {}

    def forward(self, other):
        interp = self._interp
        if interp is not None and interp.fast:
            kind = type(other)
            if kind is Array:
                if other._interp is interp:
                    x, y = self._value, other._value
                    z = op(x, y)
                    tape = interp.tape
                    if type(z) is np.ndarray and z.size > LARGE:
                        if squared is not None and self._node == other._node:
                            entry = (UNARY, squared, None, x, self._node)
                        else:
                            kept = _lighter(partials, z, x, y)
                            entry = (BOTH, both, *kept, self._node, other._node)
                        tape.append(entry)
                    else:
                        tape.append((BOTH, both, z, x, y, self._node, other._node))
                    return Array(z, interp, len(tape) - 1)
            elif kind is float or kind is int:
                x = self._value
                z = op(x, other)
                tape = interp.tape
                if scale_left is not None:
                    tape.append((SCALE, scale_left, other, self._node))
                elif type(z) is np.ndarray and z.size > LARGE:
                    kept = _lighter(partials[:1], z, x, other)
                    tape.append((LEFT, of_left, *kept, self._node))
                else:
                    tape.append((LEFT, of_left, z, x, other, self._node))
                return Array(z, interp, len(tape) - 1)
            elif kind is np.ndarray and other.dtype.kind == "f":
                x = self._value
                z = op(x, other)
                other = interp.keep(other) if left_reads(2) else other
                kept = _lighter(partials[:1], z, x, other)
                tape = interp.tape
                tape.append((LEFT, of_left, *kept, self._node))
                return Array(z, interp, len(tape) - 1)
        other = _listed(other, self if op is operator.mul else None)
        other = _beside(other, self)
        return other if other is NotImplemented else bind(primitive, (self, other), empty)

    def reflected(self, other):
        interp = self._interp
        if interp is not None and interp.fast:
            kind = type(other)
            if kind is float or kind is int:
                x = self._value
                z = op(other, x)
                tape = interp.tape
                if scale_right is not None:
                    tape.append((SCALE, scale_right, other, self._node))
                elif type(z) is np.ndarray and z.size > LARGE:
                    kept = _lighter(partials[1:], z, other, x)
                    tape.append((RIGHT, of_right, *kept, self._node))
                else:
                    tape.append((RIGHT, of_right, z, other, x, self._node))
                return Array(z, interp, len(tape) - 1)
            if kind is np.ndarray and other.dtype.kind == "f":
                x = self._value
                z = op(other, x)
                other = interp.keep(other) if right_reads(1) else other
                kept = _lighter(partials[1:], z, other, x)
                tape = interp.tape
                tape.append((RIGHT, of_right, *kept, self._node))
                return Array(z, interp, len(tape) - 1)
        other = _listed(other, self if op is operator.mul else None)
        other = _beside(other, self)
        return other if other is NotImplemented else bind(primitive, (other, self), empty)

    return forward, reflected


def _scale(partial, read, place, factor):
    """The number of the factor by a constant number, if the operation is linear in the operand at
    `place`; else None."""
    if not callable(partial):
        return numbered(partial)
    return None if read(0) or read(place) else numbered(factor)


def _lighter(partials, *values):
    """What an entry keeps of (out, *args): of arrays that no partial reads, the type."""
    used = [reads(partial) for partial in partials]
    return [x if type(x) is not np.ndarray or any(read(k) for read in used)
            else Type(x.shape, x.dtype) for k, x in enumerate(values)]


def _listed(other, x=None):
    """A list beside an Array means an array, as in NumPy; beside a single number it may mean a
    repetition, which would depend on the number's value."""
    if not isinstance(other, (list, tuple)):
        return other
    if x is not None and not x.shape:
        raise _plain_number_wanted(x)
    return pack_plain(other)


def _plain_number_wanted(x):
    text = ("a list times a followed number may mean repetition or a product"
            f"{at_line()}; repeat by a plain int (in jit: static_argnames), or write "
            "np.array(list) * x")
    return DTypeError(text) if has_data(x) else RecordError(text)


def _accepts(other) -> bool:
    return (isinstance(other, (Array, np.ndarray, np.generic, bool, int, float, complex))
            or on_any_device(other))


def _beside(other, x):
    """`other` as an operand beside the Array `x`; NotImplemented if it cannot be one."""
    if isinstance(other, np.ndarray) and other.dtype.hasobject:
        other = pack(other)
        return other if type(other) is Array else adopt_beside(other, x)
    if type(other) in _NUMBERS:
        return adopt_beside(other, x)
    if _accepts(other):
        return other
    sparse.refuse_sparse(other)
    return adopt_beside(other, x)


def ufunc_binary(primitive, op):
    """A binary ufunc applied to at least one Array."""
    forward, reflected = _binary(primitive, op)

    def call(x, y):
        if type(x) is Array:
            out = forward(x, y)
            return bind(primitive, (x, np.asarray(y)), {}) if out is NotImplemented else out
        out = reflected(y, x)
        return bind(primitive, (np.asarray(x), y), {}) if out is NotImplemented else out

    return call


def _unary(primitive, op=None):
    """A function of one operand, as an operator, a method and a ufunc."""
    op = op or primitive.fun
    (partial,) = primitive.partials
    number = numbered(partial)

    def call(self):
        interp = self._interp
        if interp is not None and interp.fast:
            x = self._value
            z = op(x)
            tape = interp.tape
            if type(z) is np.ndarray and z.size > LARGE:
                tape.append((UNARY, number, *_lighter((partial,), z, x), self._node))
            else:
                tape.append((UNARY, number, z, x, self._node))
            return Array(z, interp, len(tape) - 1)
        return bind(primitive, (self,), {})

    return call


def _power(self, other):
    if type(other) is int or isinstance(other, float) and abs(other) < 65 and other == int(other):
        return _integer_power(self, int(other), other)
    if type(other) is float and other == 0.5 and self.dtype.kind in "fc" and not Numbers.in_use:
        return _root(self)
    other = _beside(other, self)
    return other if other is NotImplemented else bind(elementwise.power, (self, other), {})


def _integer_power(self, n, exponent):
    if type(exponent) is int and n == 2 and self.dtype.kind == "b":
        return self.astype(np.int8)  # NumPy's square of truth values
    if self.dtype.kind not in "fc" or not -64 <= n <= 64:
        return bind(elementwise.power, (self, exponent), {})
    if n == 2:
        return _square(self)
    return bind(elementwise.integer_power, (self,), {"n": n})


_square = _unary(elementwise.square, np.square)
_root = _unary(elementwise.sqrt)
_negative = _unary(elementwise.negative, operator.neg)


def _reflected_power(self, other):
    other = _beside(other, self)
    return other if other is NotImplemented else bind(elementwise.power, (other, self), {})


def _comparison(primitive):
    def compare(self, other):
        if isinstance(other, (list, tuple)):
            other = np.asarray(other)
        other = _beside(other, self)
        return other if other is NotImplemented else bind(primitive, (self, other), {})

    return compare


def _in_place(op):
    """``x += y``: NumPy's meaning, a write into x that its views see."""

    def method(self, other):
        if self.ndim == 0 and self._alias is None:
            return op(self, other)
        out = op(self, other)
        if not np.can_cast(out.dtype, self.dtype, "same_kind"):
            raise DTypeError(f"an in-place operation cannot store {out.dtype} in an array of "
                             f"{self.dtype}{at_line()}; make the array of floats")
        views.write(self, Ellipsis, out)
        return self

    return method


def _logical(rule):
    """The operators & | ^: of truth values, or of the bits of integers; << and >> of bits."""
    def operate(self, other):
        return rule(self, other) if _accepts(other) else NotImplemented

    def reflected(self, other):
        return rule(other, self) if _accepts(other) else NotImplemented

    return operate, reflected


def _getitem(self, index):
    interp = self._interp
    if interp is not None and interp.fast:
        value, kind = self._value, type(index)
        if kind is int or kind is tuple and all(type(entry) is int for entry in index):
            shape = value.shape
            if len(shape) == (1 if kind is int else len(index)):
                out = value[index]
                tape = interp.tape
                tape.append((READ, shape, index, True, self._node))
                return Array(out, interp, len(tape) - 1)
            if kind is int and shape:
                return views.make_view(self, views.Link("index", (index,)))
    if views.is_truth(index):
        return views.read_where(self, index)
    if has_recorded(index):
        self, index = views.of_runs(self, index)
        interp = self._interp
    spec, operands = indexing.split_index(index)
    if operands or _is_scalar_read(spec, self):
        if interp is not None and not any(type(x) is Array for x in operands) and (
                interp.fast and isinstance(self._value, np.ndarray)
                or indexing.reads_on_device(self)):
            return indexing.eager_read(self, spec, operands)
        return bind(indexing.read_p, (self, *operands), {"spec": spec})
    return views.make_view(self, views.Link("index", spec))


def _is_scalar_read(spec, x) -> bool:
    return len(spec) == len(x.shape) and all(type(entry) is int for entry in spec)


def _matmul(self, other):
    if sparse.is_sparse(other):
        return sparse.matmul_sparse(self, other)
    return products.matmul(self, pack_plain(other))


def _rmatmul(self, other):
    if sparse.is_sparse(other):
        return sparse.sparse_matmul(other, self)
    return products.matmul(pack_plain(other), self)


def pack_plain(x):
    """An operand as an array: lists become arrays, object arrays of Arrays are packed."""
    if type(x) is Array:
        return x
    x = as_operand(x)
    return pack(x) if x.dtype.hasobject else x


def reshape_view(self, *shape_, order="C"):
    target = shape_[0] if len(shape_) == 1 else shape_
    target = shape._resolve_shape(self.size, target)
    if order != "C" and _order(self, order, "reshape") == "F":
        return axes_view(_reshaped(axes_view(self), target[::-1]))
    return _reshaped(self, target)


def _reshaped(self, target):
    if target == self.shape:
        return views.make_view(self, views.Link("index", (Ellipsis,)))
    return views.make_view(self, views.Link("reshape", target))


def ravel_view(self, order="C"):
    """A view where the entries lie together in this order already, else a copy."""
    if order != "C" and _order(self, order, "ravel") == "F":
        self = axes_view(self)
    return views.make_view(self, views.Link("reshape", (self.size,)), flat=True)


def _order(x, order, name):
    """NumPy's `order`, of which "A" and "K" ask how the array lies in memory, as "C" or "F"."""
    if order in ("C", "F"):
        return order
    if order not in ("A", "K"):
        raise ArgumentError(f"{name}: order is 'C', 'F', 'A' or 'K', not {order!r}{at_line()}")
    lies = {_lying(seen, order) for seen in layout.in_memory(x)}
    if len(lies) == 1 and (chosen := lies.pop()):
        return chosen
    raise NoRuleError(f"{name}(order={order!r}) asks for an order in memory that "
                      f"is neither rows nor columns first, or not known{at_line()}; take 'C' or "
                      "'F'")


def _lying(seen, order):
    if order == "A":
        return "F" if seen.flags.fnc else "C"
    steps = [stride for n, stride in zip(seen.shape, seen.strides, strict=True) if n > 1]
    if steps == sorted(steps, key=abs, reverse=True):
        return "C"
    return "F" if steps == sorted(steps, key=abs) else ""


def axes_view(self, *axes):
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else (axes or None)
    ndim = self.ndim
    axes = tuple(range(ndim))[::-1] if axes is None else tuple(int(a) % ndim for a in axes)
    if len(axes) != ndim:
        return shape.transpose(self, axes)
    return views.make_view(self, views.Link("transpose", axes))


def swap_view(self, a, b):
    axes = list(range(self.ndim))
    axes[a], axes[b] = axes[b], axes[a]
    return axes_view(self, axes)


def _copy(self, order="C"):
    value = self._value
    if windows.shown(self) or not (
            value.flags.c_contiguous and order == "C" if type(value) is np.ndarray
            else layout.lies(self, order)):
        return layout.laid(current(self), order)
    return Array(self._value, self._interp, self._node)


def _fill(self, value):
    views.write(self, Ellipsis, value)


def _astype(self, dtype, copy=True):
    dtype = np.dtype(dtype)
    if dtype == self.dtype:
        return _copy(self, "K") if copy else self
    return bind(elementwise.astype, (self,), {"dtype": dtype})


def _squeeze(self, axis=None):
    return reshape_view(self, shape.squeeze(np.broadcast_to(0, self.shape), axis).shape)


def _method(function):
    def method(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    return method


def _dot(self, other):
    return products.dot(self, pack_plain(other))


def install() -> None:
    """Give Array its operators, methods and ufuncs."""
    e = elementwise
    for name, primitive, op in [
        ("add", e.add, operator.add), ("sub", e.subtract, operator.sub),
        ("mul", e.multiply, operator.mul), ("truediv", e.divide, operator.truediv),
        ("floordiv", e.floor_divide, operator.floordiv), ("mod", e.remainder, operator.mod),
    ]:
        forward, reflected = _binary(primitive, op) if primitive.partials else _constant(primitive)
        setattr(Array, f"__{name}__", forward)
        setattr(Array, f"__r{name}__", reflected)
        setattr(Array, f"__i{name}__", _in_place(op))
        UFUNCS[primitive.fun] = (ufunc_binary(primitive, primitive.fun) if primitive.partials
                                 else primitive)
    for name, primitive in [("lt", e.less), ("le", e.less_equal), ("gt", e.greater),
                            ("ge", e.greater_equal), ("eq", e.equal), ("ne", e.not_equal)]:
        setattr(Array, f"__{name}__", _comparison(primitive))
    for name, rule, op in [
        ("and", bits.either("&", e.logical_and, bits.bitwise_and), operator.and_),
        ("or", bits.either("|", e.logical_or, bits.bitwise_or), operator.or_),
        ("xor", bits.either("^", e.logical_xor, bits.bitwise_xor), operator.xor),
        ("lshift", bits.either("<<", None, bits.left_shift), operator.lshift),
        ("rshift", bits.either(">>", None, bits.right_shift), operator.rshift),
    ]:
        forward, reflected = _logical(rule)
        setattr(Array, f"__{name}__", forward)
        setattr(Array, f"__r{name}__", reflected)
        setattr(Array, f"__i{name}__", _in_place(op))
    Array.__imatmul__ = _in_place(operator.matmul)
    Array.__invert__ = bits.either("~", e.logical_not, bits.invert)
    Array.__pow__, Array.__rpow__ = _power, _reflected_power
    Array.__ipow__ = _in_place(operator.pow)
    Array.__neg__ = _negative
    Array.__pos__ = lambda self: _copy(self, "K")
    Array.__abs__ = lambda self: bind(e.absolute, (self,), {})
    Array.__matmul__, Array.__rmatmul__ = _matmul, _rmatmul
    Array.__getitem__, Array.__setitem__ = _getitem, views.write
    _install_methods()
    _install_ufuncs()


def _constant(primitive):
    return (lambda self, other: bind(primitive, (self, other), {}),
            lambda self, other: bind(primitive, (other, self), {}))


def _part(self, kind):
    """The real or the imaginary part: a view, unless of a single number."""
    if not self.shape:
        return bind(getattr(elementwise, kind), (self,), {})
    return views.make_view(self, views.Link(kind, None))


def _set_real(self, v):
    if self.dtype.kind == "c":
        v = v + 1j * bind(elementwise.imag, (self,), {})
    views.write(self, Ellipsis, v)


def _set_imag(self, v):
    if self.dtype.kind != "c":
        raise DTypeError(f"an array of {self.dtype} has no imaginary part to set{at_line()}")
    views.write(self, Ellipsis, bind(elementwise.real, (self,), {}) + 1j * v)


def _view(self, dtype=None):
    if dtype is not None and np.dtype(dtype) != self.dtype:
        raise NoRuleError(f"x.view({np.dtype(dtype)}) reads the bits of x anew, which has no "
                          f"derivative{at_line()}; use x.astype, or x.real and x.imag")
    return views.make_view(self, views.Link("index", (Ellipsis,)))


def _resize(self, *shape_, refcheck=True):
    raise NoRuleError(f"x.resize changes the memory of x in place{at_line()}; use np.resize(x, "
                      "shape), which makes a new array")


def _clip(self, min=None, max=None, out=None):
    result = elementwise.clip(self, min, max)
    return result if out is None else write_out(result, out, "clip")


def _install_methods():
    e = elementwise
    for name, function in {
        "reshape": reshape_view, "ravel": ravel_view, "transpose": axes_view, "swapaxes": swap_view,
        "copy": _copy, "fill": _fill, "astype": _astype, "squeeze": _squeeze, "dot": _dot,
        "sum": _method(reduce.sum_), "mean": _method(reduce.mean), "max": _method(reduce.max_),
        "min": _method(reduce.min_), "var": _method(reduce.var), "std": _method(reduce.std),
        "any": _method(reduce.any_), "all": _method(reduce.all_),
        "prod": _method(reduce.prod), "cumsum": _method(reduce.cumsum),
        "argmax": _method(reduce.argmax), "argmin": _method(reduce.argmin),
        "clip": _clip, "view": _view, "resize": _resize,
        "nonzero": lambda self: np.nonzero(plain(self, "nonzero()")),
        "__divmod__": lambda self, other: (self // other, self % other),
        "__rdivmod__": lambda self, other: (other // self, other % self),
        "__deepcopy__": lambda self, memo: _copy(self, "K"),
        "__copy__": lambda self: _copy(self, "K"),
    }.items():
        setattr(Array, name, function)
    Array.flatten = lambda self, order="C": _copy(ravel_view(self, order))
    Array.conj = Array.conjugate = lambda self: (
        bind(e.conj, (self,), {}) if self.dtype.kind == "c" else self)
    Array.T = property(lambda self: axes_view(self))
    Array.flat = property(views.Flat, lambda self, v: views.Flat(self).fill(v))
    Array.real = property(lambda self: _part(self, "real")
                          if self.dtype.kind == "c" else self, _set_real)
    Array.imag = property(lambda self: _part(self, "imag")
                          if self.dtype.kind == "c" else bind(e.imag, (self,), {}), _set_imag)
    # what NumPy's loops over object arrays call
    for primitive in e.UFUNC_PRIMITIVES.values():
        if primitive.fun.nin == 1 and not hasattr(Array, primitive.name):
            setattr(Array, primitive.name, _method(primitive))


def _install_ufuncs():
    for ufunc, primitive in elementwise.UFUNC_PRIMITIVES.items():
        if ufunc in UFUNCS:
            continue
        if ufunc.nin == 1 and _simple(primitive):
            UFUNCS[ufunc] = _unary(primitive)
        else:
            UFUNCS[ufunc] = primitive
    UFUNCS[np.power] = lambda x, y: (_power(x, y) if type(x) is Array
                                     else bind(elementwise.power, (x, y), {}))
    UFUNCS[np.float_power] = UFUNCS[np.power]
    UFUNCS[np.fabs] = elementwise.absolute
    UFUNCS[np.matmul] = lambda a, b: products.matmul(pack_plain(a), pack_plain(b))
    UFUNC_METHODS[np.add, "reduce"] = reduce_like(reduce.sum_)
    UFUNC_METHODS[np.maximum, "reduce"] = reduce_like(reduce.max_)
    UFUNC_METHODS[np.minimum, "reduce"] = reduce_like(reduce.min_)


def reduce_like(function):
    def rule(x, axis=0, keepdims=False):
        return function(x, axis=axis, keepdims=keepdims)

    return rule


def _simple(primitive) -> bool:
    """Whether the fast backward path applies: one holomorphic partial."""
    partials = primitive.partials
    return len(partials) == 1 and (callable(partials[0])) and type(primitive) is type(
        elementwise.exp)

