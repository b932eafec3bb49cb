"""Numbers that NumPy knows only as objects, differentiated as they are.

`Numbers` is an array of them, of any shape, that serves as the value of an Array: `adopt` makes one
of a Fraction, a Decimal, an mpmath or uncertainties number, or of an object array of such, when it
enters a transform, and `plain_numbers` gives the number or the object array back at the end. It is
a backend of its own (`sciad.core.backend`): values and rules of primitives are evaluated entry by
entry with the type's arithmetic, so that what is exact stays exact, mpmath keeps its precision, and
an uncertainty is carried through the derivative.

Its dtype is that of a real number, float64: what the rules need to know. Python numbers and arrays
of floats beside it become numbers of its type; a Fraction meets floats as a float, as in Python.
"""

import math
import numbers
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.backend import KINDS, Backend, ground
from sciad.core.errors import DTypeError, at_line
from sciad.core.number_types import (
    ASIDE,
    TRUTHS,
    exact,
    function_of,
    is_number_type,
    require_unrounded,
)

_REAL = np.dtype(float)


class Numbers:
    """An array of numbers of one type."""

    __slots__ = ("data", "kind")
    in_use = False
    dtype = _REAL
    base = None
    flags = SimpleNamespace(writeable=True)

    def __init__(self, data: np.ndarray, kind: type | None = None):
        Numbers.in_use = True
        entries = [x[()] if isinstance(x, np.ndarray) else x for x in data.ravel().tolist()]
        self.kind = _kind_of(entries) if kind is None else kind
        self.data = np.empty(data.shape, object)
        flat = self.data.reshape(-1)
        for k, entry in enumerate(entries):
            flat[k] = entry = exact(entry, self.kind)
            if isinstance(entry, numbers.Complex) and not isinstance(entry, numbers.Real):
                raise DTypeError(f"complex numbers of type {type(entry).__name__} are not "
                                 f"differentiated{at_line()}; use complex128")

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)

    def __repr__(self):
        return repr(plain_numbers(self))

    def __format__(self, spec):
        return format(plain_numbers(self), spec)

    def __bool__(self):
        return bool(self.data)

    def __float__(self):
        return float(self.data[()])

    def __int__(self):
        return int(self.data[()])

    def __round__(self, digits=None):
        return round(self.data[()], digits)

    def __floor__(self):
        return math.floor(self.data[()])

    def __ceil__(self):
        return math.ceil(self.data[()])

    def __trunc__(self):
        return math.trunc(self.data[()])

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype)

    def __getitem__(self, index):
        return _wrapped(self.data[index], self.kind)

    def __setitem__(self, index, v):
        v = as_numbers(v, self)
        if self.kind in ASIDE and v.kind is not self.kind:
            self.kind, self.data = v.kind, _entries(self, v.kind)
        self.data[index] = v.data if v.ndim else v.data[()]

    def scatter_add(self, index, v):
        """Add at places that may repeat."""
        np.add.at(self.data, index, v.data)

    def copy(self):
        return Numbers(self.data, self.kind)

    def reshape(self, *shape):
        return Numbers(self.data.reshape(*shape), self.kind)

    def astype(self, dtype, copy=True):
        return self if np.dtype(dtype) == _REAL else self.data.astype(dtype)

    def any(self, axis=None, keepdims=False):
        return np.any(self.data != 0, axis=axis, keepdims=keepdims)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or kwargs:
            return NotImplemented
        return apply(ufunc.__name__, inputs)


def _operator(name, swapped=False):
    def method(self, other):
        if isinstance(other, Array):
            return NotImplemented
        return apply(name, (other, self) if swapped else (self, other))

    return method


for _symbol, _name in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
                       "floordiv": "floor_divide", "mod": "remainder", "pow": "power"}.items():
    setattr(Numbers, f"__{_symbol}__", _operator(_name))
    setattr(Numbers, f"__r{_symbol}__", _operator(_name, swapped=True))
for _symbol, _name in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
                       "eq": "equal", "ne": "not_equal"}.items():
    setattr(Numbers, f"__{_symbol}__", _operator(_name))
Numbers.__neg__ = lambda self: apply("negative", (self,))
Numbers.__abs__ = lambda self: apply("absolute", (self,))
Numbers.__hash__ = None


# --- in and out -----------------------------------------------------------------------------------


def adopt(x: Any) -> Any:
    """A number object, or an object array of them, as `Numbers`; anything else unchanged."""
    if isinstance(x, np.ndarray):
        if x.dtype.hasobject and x.size and all(
                is_number_type(type(entry)) or isinstance(entry, (int, float, np.generic))
                for entry in x.flat):
            return Numbers(x)
        return x
    return _single(x) if is_number_type(type(x)) else x


def _single(x, kind=None):
    data = np.empty((), object)
    data[()] = x
    return Numbers(data, kind)


def plain_numbers(x: Any) -> Any:
    """The number, or the object array, that `Numbers` stand for; anything else unchanged."""
    if type(x) is not Numbers:
        return x
    return x.data.copy() if x.data.ndim else x.data[()]


def in_kind_of(slope: Any, x: Any) -> Any:
    """A derivative as numbers of the type of the value it belongs to, where it is exact; beside
    floats a Fraction is one."""
    below = ground(x)
    if type(below) is not Numbers:
        plain = type(slope) is Numbers and slope.kind is Fraction
        return slope.data.astype(float)[()] if plain else slope
    if isinstance(slope, Array):
        return slope
    if type(slope) is Numbers and slope.kind not in ASIDE:
        return Numbers(slope.data, slope.kind)
    return Numbers(np.asarray(slope.data if type(slope) is Numbers else slope, object), below.kind)


def as_numbers(x: Any, like: Numbers) -> Numbers:
    """A plain value as `Numbers` of the type of `like`, unless it has one of its own."""
    x = adopt(x)
    return x if type(x) is Numbers else Numbers(np.asarray(x, object), like.kind)


def as_their_numbers(operands: tuple) -> tuple:
    """Operands of which an Array may hold `Numbers`: what plain ones stand beside it become numbers
    of its type, so that a rule does not divide two of them as floats."""
    below = [ground(x) if type(x) is Array else x for x in operands]
    like = next((x for x in below if type(x) is Numbers), None)
    if like is None:
        return operands
    return tuple(as_numbers(x, like) if type(x) in (int, float) or isinstance(
        x, (np.ndarray, np.generic)) and x.dtype.kind in "iuf" else x for x in operands)


def require_own_constants(name: str, x: Any) -> None:
    """Raise where a function would bring a rounded constant among numbers of more digits."""
    below = ground(x)
    if type(below) is Numbers:
        require_unrounded(name, below.kind)


def adopt_beside(x: Any, other: Array) -> Any:
    """`adopt`, for an operand beside an Array; NotImplemented if `x` is no number, or of a type
    that does not go together with floats. A Fraction beside a float is a float, as in Python."""
    below, adopted = ground(other), adopt(x)
    if type(below) is Numbers and isinstance(x, (int, float)):
        return as_numbers(x, below)
    if type(adopted) is not Numbers:
        return x if isinstance(x, (np.ndarray, int, float)) else NotImplemented
    if type(below) is Numbers:
        return adopted
    if adopted.kind is Fraction:
        return adopted.data.astype(float)[()]
    return NotImplemented if adopted.kind is Decimal else adopted


def _kind_of(entries) -> type:
    return next((type(x) for x in entries if type(x) not in ASIDE
                 and is_number_type(type(x))), Fraction)


# --- evaluation -----------------------------------------------------------------------------------


def _common_kind(operands) -> type:
    """The type that the numbers among the operands become."""
    found = [x.kind for x in operands if type(x) is Numbers]
    return next((kind for kind in found if kind not in ASIDE), found[0])


def apply(name: str, operands: tuple) -> Any:
    """An elementwise function, by NumPy's name."""
    kind = _common_kind(operands)
    function = function_of(name, kind)
    arrays = [_entries(x, kind) for x in operands]
    if len(arrays) > 1:
        arrays = np.broadcast_arrays(*arrays)
    out = np.empty(arrays[0].shape, bool if name in TRUTHS else object)
    flat = out.reshape(-1)
    for k, entries in enumerate(zip(*(x.ravel() for x in arrays), strict=True)):
        try:
            flat[k] = value = function(*entries)
        except (TypeError, AttributeError) as error:
            raise DTypeError(f"{name} of {' and '.join(type(x).__name__ for x in entries)}"
                             f"{at_line()}: {error}") from error
        if kind is Fraction and isinstance(value, (float, complex)):
            raise DTypeError(f"{name} of {' and '.join(map(str, entries))} is no Fraction"
                             f"{at_line()}; convert to float, or to mpmath.mpf")
    return out[()] if name in TRUTHS else Numbers(out, kind)


def _entries(x: Any, kind: type) -> np.ndarray:
    """An operand as an object array of numbers of a type; truth values and ints as they are."""
    data = x.data if type(x) is Numbers else np.asarray(x)
    if data.dtype.kind in "biu":
        return data.astype(object)
    out = np.empty(data.shape, object)
    flat = out.reshape(-1)
    for k, entry in enumerate(data.ravel().tolist()):
        flat[k] = exact(entry, kind)
    return out


def _evaluate(primitive: Any, args: list, params: dict) -> Any:
    """The value of a primitive of which an operand is `Numbers`."""
    if isinstance(primitive.fun, np.ufunc) and primitive.fun.signature is None:
        return apply(primitive.fun.__name__, tuple(args))
    kind = _common_kind(args)
    require_unrounded(primitive.name, kind)
    ready = [(x.data if x.kind is kind else _entries(x, kind)) if type(x) is Numbers else
             _entries(x, kind) if isinstance(x, float) or getattr(x, "dtype", _REAL).kind == "f"
             and isinstance(x, (np.ndarray, np.generic)) else x for x in args]
    try:
        out = primitive.fun(*ready, **params)
    except (TypeError, AttributeError) as error:
        raise DTypeError(f"{primitive.name} has no meaning for numbers of type {kind.__name__}"
                         f"{at_line()} ({error}); convert them to float") from error
    if primitive.multiple:
        return tuple(_wrapped(x, kind) for x in out)
    return _wrapped(out, kind)


def _wrapped(out: Any, kind: type) -> Any:
    if isinstance(out, np.ndarray):
        return Numbers(out, kind) if out.dtype.hasobject else out
    return out if isinstance(out, np.generic) else _single(out, kind)


class _Module:
    """Where `sciad.core.backend` looks for functions: constants here, the rest NumPy's."""

    @staticmethod
    def asarray(x, dtype=None):
        return x if type(x) is Numbers else Numbers(np.asarray(x, object), Fraction)

    @staticmethod
    def zeros(shape, dtype=None):
        return Numbers(np.zeros(shape, object), Fraction)


KINDS[Numbers] = Backend("number objects", _Module, None, plain_numbers, _evaluate)
