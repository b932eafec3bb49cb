"""Array: the one overloaded value.

An Array carries its value, the interpreter it belongs to, and that interpreter's node: a place
on the tape (reverse mode), a tangent (forward mode), a variable of a graph (recording), or
nothing. The value may itself be an Array of a lower interpreter; that is all there is to nesting.
An Array that shares memory with others, as NumPy's views do, knows its storage (`sciad.ops.views`).

Operators, methods and NumPy functions are installed by `sciad.ops` and `sciad.numpy` through the
tables at the top of this file, so that the core knows no particular operation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core.errors import LostGradientError, NoRuleError, RecordError, at_line

UFUNCS: dict[np.ufunc, Callable] = {}
"""What `numpy` ufuncs mean on Arrays; filled by `sciad.ops`."""

UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable] = {}
"""What ``ufunc.reduce`` and its siblings mean on Arrays."""

FUNCTIONS: dict[Callable, Callable] = {}
"""What other `numpy` functions mean on Arrays; filled by `sciad.numpy`."""


class Array:
    """A value that a transform follows: it differentiates, records, and behaves as NumPy's array.

    Users meet Arrays only inside a function that is being differentiated or recorded; results of
    transforms are plain NumPy arrays.
    """

    __slots__ = ("_value", "_interp", "_node", "_alias", "__weakref__")
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value, interp=None, node=None):
        self._value = value
        self._interp = interp
        self._node = node
        self._alias = None

    @property
    def shape(self) -> tuple[int, ...]:
        return current(self)._value.shape

    @property
    def dtype(self) -> np.dtype:
        return current(self)._value.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise TypeError("len() of a 0-d sciad Array")
        return shape[0]

    def __iter__(self):
        for index in range(len(self)):
            yield self[index]

    def __repr__(self) -> str:
        live = current(self)
        return f"Array({live._value!r}, {live._interp or 'plain'})"

    def __format__(self, spec: str) -> str:
        return format(plain(self, "format()"), spec)

    def __bool__(self) -> bool:
        live = current(self)
        if live._interp is not None:
            return live._interp.truth(live)
        return bool(live._value)

    def __float__(self) -> float:
        return float(self._scalar("float", "keep x as it is"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex", "x * (1 + 0j)"))

    def __int__(self) -> int:
        return int(plain(self, "int()"))

    def __index__(self) -> int:
        return plain(self, "an index").__index__()

    def __round__(self, digits=None):
        return round(plain(self, "round()"), digits)

    def item(self, *index):
        """The element as a differentiable scalar (NumPy's ``item`` gives a Python number)."""
        return self[np.unravel_index(index[0], self.shape)] if index else self.reshape(()).copy()

    def tolist(self):
        """Nested lists of differentiable scalars."""
        return [entry.tolist() if entry.ndim else entry for entry in self] if self.ndim else self

    def _scalar(self, name: str, cure: str):
        live = current(self)
        if is_plain(live):
            return live._value
        if not has_data(live):
            plain(live, f"{name}(x)")
        raise _refusal(live, LostGradientError(
            f"{name}(x) would drop the derivative of x, an Array of shape {live.shape}{at_line()}. "
            f"Use NumPy functions (np.sin, not math.sin) and {cure}; to store x in an array, make "
            "the array by `from sciad import numpy as np`; sciad.stop_gradient(x) gives the "
            "plain number."
        ))

    def __array__(self, dtype=None, copy=None):
        live = current(self)
        if is_plain(live):
            return np.array(live._value, dtype=dtype)
        if dtype is not None and np.dtype(dtype) != object:
            if not has_data(live):
                plain(live, "np.asarray(x, dtype=...)")
            raise _refusal(live, LostGradientError(
                f"np.asarray(x, dtype={np.dtype(dtype)}) would drop the derivative of x, an Array "
                f"of shape {live.shape}{at_line()}. Leave out dtype=, use x.astype(...), or assign "
                "into an array made by `from sciad import numpy as np`; "
                "sciad.stop_gradient(x) gives the plain array."
            ))
        out = np.empty(live.shape, dtype=object)
        for index in np.ndindex(live.shape):
            out[index] = live[index] if index else live
        out.flags.writeable = False  # NumPy has no way to tell x of a write into it
        return out

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__":
            rule = UFUNCS.get(ufunc)
            if rule is not None and not kwargs:
                return rule(*inputs)
        else:
            rule = UFUNC_METHODS.get((ufunc, method))
        if rule is None:
            if not any(isinstance(x, Array) and not is_plain(x) for x in inputs):
                return getattr(ufunc, method)(*map(unwrap_plain, inputs), **kwargs)
            name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
            raise NoRuleError(f"{name} has no derivative rule in sciad{at_line()}")
        return _ufunc_with_keywords(rule, ufunc, inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        rule = FUNCTIONS.get(function)
        if rule is None:
            name = f"{function.__module__}.{function.__name__}"
            raise NoRuleError(
                f"{name} has no rule in sciad{at_line()}; write it in terms of supported functions "
                "or pass sciad.stop_gradient(x) if its derivative is not needed"
            )
        return rule(*args, **kwargs)

    def __reduce__(self):
        return (np.asarray, (plain(self, "pickle"),))


def _ufunc_with_keywords(rule, ufunc, inputs, kwargs):
    """Apply a ufunc rule with NumPy's ``out=`` and ``dtype=``; other keywords are refused."""
    outs = kwargs.pop("out", None)
    dtype = kwargs.pop("dtype", None)
    if kwargs.pop("where", True) is not True or outs and len(outs) > 1:
        raise NoRuleError(f"np.{ufunc.__name__}(..., where=) has no rule in sciad{at_line()}")
    result = rule(*inputs, **kwargs)
    if dtype is not None:
        result = result.astype(dtype)
    if outs is None:
        return result
    (out,) = outs
    result = unwrap_plain(result)
    if isinstance(out, np.ndarray) and out.dtype.hasobject and out.shape == result.shape:
        out[...] = np.asarray(result)
        return out
    if not isinstance(out, Array) and isinstance(result, Array):
        raise LostGradientError(
            f"np.{ufunc.__name__} would write a differentiated value into a plain array"
            f"{at_line()}; drop out= (or `a += x`: write `a = a + x`), or make the array with "
            "`from sciad import numpy as np`"
        )
    out[...] = result
    return out


def current(x: Array) -> Array:
    """`x`, or what it stands for if it outlived its transform: the primal value."""
    interp = x._interp
    while interp is not None and not interp.live:
        x = interp.resolve(x)
        interp = x._interp
    return x


def _refusal(x: Array, error: Exception) -> Exception:
    """`error`, noted with the transform of `x` in case the program swallows it."""
    x._interp.refusal = error
    return error


def has_data(x: Array) -> bool:
    """Whether there is a number or array under every interpreter of `x`."""
    while type(x) is Array:
        x = current(x)
        if x._interp is not None and not x._interp.has_data:
            return False
        x = x._value
    return True


def is_plain(x: Array) -> bool:
    """Whether no transform follows `x` (any more)."""
    return current(x)._interp is None


def unwrap_plain(x: Any) -> Any:
    """The NumPy value of an Array that no transform follows; anything else unchanged."""
    if type(x) is not Array:
        return x
    live = current(x)
    return live._value if live._interp is None else live


def plain(x: Any, purpose: str = "its value") -> Any:
    """The number or array under every interpreter; raises where there is none (recording)."""
    while type(x) is Array:
        live = current(x)
        if live._interp is not None and not live._interp.has_data:
            raise _refusal(live, RecordError(
                f"{purpose} needs the data of a value that is being recorded, which has only "
                f"shape {live.shape} and dtype {live.dtype}{at_line()}"
            ))
        x = live._value
    return x
