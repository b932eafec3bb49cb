"""Array: the one overloaded value.

An Array carries its value, the interpreter it belongs to, and that interpreter's node: a place
on the tape (reverse mode), a tangent (forward mode), a variable of a graph (recording), or
nothing. The value may itself be an Array of a lower interpreter; that is all there is to nesting.
An Array that shares memory with others, as NumPy's views do, knows its storage (`sciad.ops.views`).

Operators, methods and NumPy functions are installed by `sciad.ops` and `sciad.numpy` through the
tables at the top of this file, so that the core knows no particular operation.
"""

import importlib
import math
import operator
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sciad.core import scipy_calls
from sciad.core.call_sites import (
    about_to_raise,
    asks_to_format,
    calls_method,
    is_onlooker,
    numpy_function,
    package,
)
from sciad.core.data_cures import cure_of
from sciad.core.errors import (
    ArgumentError,
    DTypeError,
    LostGradientError,
    NoRuleError,
    RecordError,
    UntoldError,
    at_line,
)

UFUNCS: dict[np.ufunc, Callable] = {}
"""What `numpy` ufuncs mean on Arrays; filled by `sciad.ops`."""

UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable] = {}
"""What ``ufunc.reduce`` and its siblings mean on Arrays."""

FUNCTIONS: dict[Callable, Callable] = {}
"""What other `numpy` functions mean on Arrays; filled by `sciad.numpy`."""

MIRRORS: list[Callable] = []
"""What gives the object array for the entries of an Array, and keeps it true to it."""

WINDOWS: list[Callable] = []
"""What gives the plain array that shares the memory of an Array that no transform follows."""

LATE_RULES: dict[str, str] = {}
"""Modules of ufuncs whose rules are imported once one is called, with the module of the rules."""

FILLED = ("np.zeros(n), np.arange(n) and the like, or a = np.array(a) of one that is there, by "
          "`from sciad import numpy as np`")
"""How to make an array that followed values can be assigned into."""

_FOR_TEXT = "An f-string, f'{x:g}', takes followed values as they are"

_CONVERSIONS = (None, "asarray_chkfinite", "require", "asfarray")

PACKED = ("make the array with np.stack([...]), or by `from sciad import numpy as np`, whose "
          "np.array keeps followed numbers together")
"""What to write instead of NumPy's array of objects."""


class Objects:
    """How often NumPy has made an array of objects of an Array."""

    made = 0


_ASK_FOR_DTYPE = frozenset(
    function.__code__ for name in ("_mean", "_var", "_std")
    if (function := getattr(sys.modules.get("numpy._core._methods"), name, None)) is not None)
"""NumPy's mean, variance and deviation: a sum of objects that has a dtype they convert to it, which
would lose its derivative; one without they divide as it is."""


class _Operator:
    """An operator of Array, for type checkers."""

    def __call__(self, *operands: Any) -> "Array":
        raise NotImplementedError


class Array:
    """A value that a transform follows: it differentiates, records, and behaves as NumPy's array.

    Users meet Arrays only inside a function that is being differentiated or recorded; results of
    transforms are plain NumPy arrays.
    """

    __slots__ = ("_value", "_interp", "_node", "_alias", "__weakref__")
    __array_priority__ = 1000.0
    def __init__(self, value, interp=None, node=None):
        self._value = value
        self._interp = interp
        self._node = node
        self._alias = None

    if TYPE_CHECKING:  # what `sciad.ops` and `sciad.numpy` install
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _Operator()
        __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _Operator()
        __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _Operator()
        __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _Operator()
        __lt__ = __le__ = __gt__ = __ge__ = __getitem__ = _Operator()
        __neg__ = __pos__ = __abs__ = __invert__ = _Operator()
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    @property
    def shape(self) -> tuple[int, ...]:
        return current(self)._value.shape

    @property
    def dtype(self) -> np.dtype:
        value = current(self)._value
        if not value.shape and sys._getframe(1).f_code in _ASK_FOR_DTYPE:
            raise AttributeError("NumPy's mean of objects divides their sum as it is")
        return value.dtype

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
        if len(shape) != 1:
            if not shape:
                raise TypeError("len() of a 0-d sciad Array")
            if calls_method(sys._getframe(1), "shuffle"):
                raise _refusal(current(self), NoRuleError(
                    "shuffle swaps the rows of x in place through views, which would write the "
                    f"same row twice{at_line()}; write x = x[rng.permutation(len(x))], or take "
                    "sciad.random.permutation(rng, x)"))
        return shape[0]

    def __iter__(self):
        for index in range(len(self)):
            yield self[index]

    def __hash__(self) -> int:
        if is_recorded(self) and package(sys._getframe(1)) not in ("sciad", "numpy", "optree"):
            plain(self, "a key of a dict or a member of a set")
        raise TypeError(f"unhashable type: {type(self).__name__!r}")

    def __repr__(self) -> str:
        if is_recorded(self) and not is_onlooker(sys._getframe(1)):
            plain(self, "repr()")
        return _sketch(self)

    def __str__(self) -> str:
        return _sketch(self) if is_onlooker(sys._getframe(1)) else str(plain(self, "str()"))

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
        purpose = "a boolean mask" if self.dtype.kind == "b" and self.ndim else "an index"
        return operator.index(_able(plain(self, purpose), "__index__"))

    def __round__(self, digits=None):
        return round(_able(plain(self, "round()"), "__round__"), digits)

    def __floor__(self) -> int:
        return math.floor(plain(self, "math.floor()"))

    def __ceil__(self) -> int:
        return math.ceil(plain(self, "math.ceil()"))

    def __trunc__(self) -> int:
        return math.trunc(plain(self, "math.trunc()"))

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
            theirs = scipy_calls.refusal(floats=True)
            plain(live, f"{name}(x)", f"; {theirs}" if theirs is not None else None)
        error = scipy_calls.refusal(floats=True)
        if error is not None:
            raise _refusal(live, error)
        function = numpy_function()
        if function is not None:
            name = f"{name}(x), called by np.{function},"
            cure = f"If it runs over an array of objects, {PACKED}"
        else:
            name = f"{name}(x)"
            cure = _FOR_TEXT if asks_to_format(sys._getframe(2)) else (
                f"Use NumPy functions (np.sin, not math.sin) and {cure}; to store x in an "
                f"array, make that array by {FILLED}")
        raise _refusal(live, LostGradientError(
            f"{name} would drop the derivative of x, an Array of shape {live.shape}{at_line()}. "
            f"{cure}; sciad.stop_gradient(x) gives the plain number."
        ))

    def __array__(self, dtype=None, copy=None):
        live = current(self)
        if scipy_calls.in_sparse_product(sys._getframe(1)):
            out = np.empty((), dtype=object)
            out[()] = self
            return out
        if is_plain(live):
            return _plain_array(self, live, dtype, copy)
        if sys._getframe(1).f_code is np.lib.stride_tricks.as_strided.__code__:
            raise _refusal(live, NoRuleError(
                "np.lib.stride_tricks.as_strided would lay strides of bytes over references to "
                f"followed numbers{at_line()}; use np.lib.stride_tricks.sliding_window_view, or "
                "an index array, x[i]"))
        error = scipy_calls.refusal(floats=dtype is not None and np.dtype(dtype) != object)
        if error is not None:
            raise _refusal(live, error)
        if dtype is not None and np.dtype(dtype) != object:
            if not has_data(live):
                plain(live, "np.asarray(x, dtype=...)")
            function = numpy_function()
            caller = "" if function in _CONVERSIONS else f", called by np.{function},"
            cure = (f"If it runs over an array of objects, {PACKED}" if caller else
                    "Leave the conversion out (x is an array), or write x.astype(...); to assign "
                    f"into an array, make it by {FILLED}, whose asarray takes x too")
            raise _refusal(live, LostGradientError(
                f"np.asarray(x, dtype={np.dtype(dtype)}){caller} would drop the derivative of x, "
                f"an Array of shape {live.shape}{at_line()}. {cure}; sciad.stop_gradient(x) gives "
                "the plain array."
            ))
        if dtype is None and not live.size:
            return np.empty(live.shape, live.dtype)
        if dtype is None and live.dtype.kind == "c" and package(sys._getframe(1)) not in (
                "sciad", "numpy", "scipy"):
            cure = ("x is an array already: leave out np.asarray, or take that of `from sciad "
                    "import numpy as np`") if live.shape else PACKED
            raise _refusal(live, DTypeError(
                f"np.array of followed complex numbers would be an array of objects{at_line()}, "
                "which NumPy takes for real numbers (.imag is zero, a norm lacks its conjugate); "
                f"{cure}"))
        out = np.empty(live.shape, dtype=object)
        Objects.made += 1
        if not copy and live.shape:
            for mirror in MIRRORS:
                out = mirror(self)
        for index in np.ndindex(live.shape):
            out[index] = live[index] if index else live
        if not copy:
            out = out.view()
            out.flags.writeable = False  # NumPy has no way to tell x of a write into it
        return out

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__":
            rule = UFUNCS.get(ufunc)
            if rule is not None and not kwargs:
                return rule(*inputs)
        else:
            rule = UFUNC_METHODS.get((ufunc, method))
        if "out" in kwargs and not any(
                isinstance(x, Array) for x in (*inputs, kwargs.get("initial"))):
            return _plain_into_outs(ufunc, method, inputs, kwargs)
        rule = rule or _late_rule(ufunc, method)
        if rule is None:
            if not any(isinstance(x, Array) and not is_plain(x) for x in inputs):
                return getattr(ufunc, method)(*map(unwrap_plain, inputs), **kwargs)
            raise NoRuleError(f"{ufunc_name(ufunc, method)} has no derivative rule in sciad"
                              f"{at_line()}")
        if method == "__call__":
            return _ufunc_with_keywords(rule, ufunc_name(ufunc, method), inputs, kwargs)
        return _method_with_keywords(rule, ufunc_name(ufunc, method), inputs, kwargs)

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
        return (_restored, (plain(self, "pickle"),))


def _late_rule(ufunc, method):
    """The rule of a ufunc whose rules have not been imported yet; what `np.frompyfunc` makes calls
    its Python function on each entry."""
    if method == "__call__" and all(set(kind) <= set("O->") for kind in ufunc.types):
        return lambda *xs: ufunc(*(np.asarray(x) if isinstance(x, Array) else x for x in xs))
    for home, rules in LATE_RULES.items():
        if getattr(sys.modules.get(home), ufunc.__name__, None) is ufunc:
            importlib.import_module(rules)
            return UFUNCS.get(ufunc) if method == "__call__" else UFUNC_METHODS.get((ufunc, method))
    return None


def ufunc_name(ufunc, method="__call__"):
    """A ufunc, or a method of it, with the module it is known by."""
    home = "np" if getattr(np, ufunc.__name__, None) is ufunc else next(
        (home for home in LATE_RULES
         if getattr(sys.modules.get(home), ufunc.__name__, None) is ufunc), "ufunc")
    return f"{home}.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")


def _ufunc_with_keywords(rule, name, inputs, kwargs):
    """Apply a ufunc rule with NumPy's ``out=``, ``where=`` and ``dtype=``; what is not computed
    stays in `out` as it was."""
    outs, dtype = kwargs.pop("out", None), kwargs.pop("dtype", None)
    where = kwargs.pop("where", True)
    if where is not True and any(out is None for out in outs or (None,)):
        raise NoRuleError(f"{name}(..., where=) leaves entries undefined{at_line()}; give out=, an "
                          "array made by `from sciad import numpy as np`, or use np.where")
    unknown = [key for key in kwargs if key not in getattr(rule, "keywords", ())]
    if unknown:
        function = numpy_function()
        hint = f"; np.{function} takes no array of objects: {PACKED}" if function else ""
        raise NoRuleError(f"{name} of a differentiated value does not take {', '.join(unknown)}"
                          f"{at_line()}{hint}")
    with np.errstate(**({} if where is True else {"all": "ignore"})):
        result = rule(*inputs, **kwargs)
    results = result if isinstance(result, tuple) else (result,)
    if dtype is not None:
        results = tuple(x.astype(dtype) for x in results)
    return _into_outs(results, outs, name, where)


def _into_outs(results, outs, name, where):
    """The results of a ufunc, written into the arrays given for them; one alone is no tuple."""
    if outs is not None:
        results = tuple(x if out is None else write_out(x, out, name, where)
                        for x, out in zip(results, outs, strict=True))
    return results if len(results) > 1 else results[0]


def _plain_into_outs(ufunc, method, inputs, kwargs):
    """A ufunc of plain operands, or a method of it, whose result is written into an Array."""
    outs = kwargs.pop("out")
    where = kwargs.pop("where", True) if method == "__call__" else True
    with np.errstate(**({} if where is True else {"all": "ignore"})):
        result = getattr(ufunc, method)(*inputs, **kwargs)
    results = result if isinstance(result, tuple) else (result,)
    name = ufunc_name(ufunc, method)
    for x, out in zip(results, outs, strict=True):
        if out is not None and not np.can_cast(x.dtype, out.dtype, kwargs.get(
                "casting", "same_kind")) and not x.dtype.hasobject:
            raise DTypeError(f"{name}: out= of {out.dtype} cannot take {x.dtype}{at_line()}; make "
                             "it of that type")
    return _into_outs(results, outs, name, where)


def _method_with_keywords(rule, name, inputs, kwargs):
    """As `_ufunc_with_keywords`, of a method (whose ``where=`` is the rule's own)."""
    (out,), dtype = kwargs.pop("out", None) or (None,), kwargs.pop("dtype", None)
    if dtype is not None:
        inputs = (inputs[0].astype(dtype), *inputs[1:])
    result = rule(*inputs, **kwargs)
    if dtype is not None:
        result = result.astype(dtype)
    return result if out is None else write_out(result, out, name)


def write_out(result: Any, out: Any, name: str, where: Any = True) -> Any:
    """Write a result into the array given as ``out=``, where `where` holds."""
    result = unwrap_plain(result)
    if isinstance(out, np.ndarray) and out.dtype.hasobject and out.shape == result.shape:
        out[...] = np.asarray(result) if where is True else np.where(where, result, out)
        return out
    if not isinstance(out, Array) and isinstance(result, Array):
        raise _refusal(result, LostGradientError(
            f"{name} would write a differentiated value into a plain array"
            f"{at_line()}; drop out= (or `a += x`: write `a = a + x`), or make the array one that "
            f"takes it: np.zeros_like(x) of a followed x, or {FILLED}"
        ))
    pairs = zip(result.shape[::-1], out.shape[::-1], strict=False)
    if len(result.shape) > len(out.shape) or any(a not in (1, b) for a, b in pairs):
        raise ArgumentError(f"{name}: the result has shape {result.shape}, out= has {out.shape}"
                            f"{at_line()}")
    out[...] = result if where is True else np.where(where, result, out)
    return out


def _plain_array(x: Array, live: Array, dtype: Any, copy: Any) -> np.ndarray:
    """What `np.asarray` gives of an Array that no transform follows: its memory, if there is no
    reason to copy it."""
    value = live._value
    if copy or not isinstance(value, np.ndarray) or dtype not in (None, value.dtype) \
            or package(sys._getframe(2)) == "sciad":
        return np.array(value, dtype=dtype)
    for window in WINDOWS:
        shared = window(x)
        if shared is not None:
            return shared
    return np.array(value)


def _restored(x: Any) -> Any:
    """What a pickled Array comes back as: its plain value, an array."""
    return np.asarray(x) if isinstance(x, (np.ndarray, np.generic)) else x


def _sketch(x: Array) -> str:
    """A text for a reader."""
    if not is_recorded(x, ended=True):
        x = current(x)
    return f"Array({x._value!r}, {x._interp or 'plain'})"


def _able(x, method: str):
    """A value, or its Python number where the type (a device's array) lacks a method."""
    return x if hasattr(type(x), method) else x.item()


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


def is_recorded(x: Array, ended: bool = False) -> bool:
    """Whether a recording follows `x`, or one that has `ended` did."""
    while type(x) is Array:
        if x._interp is not None and not x._interp.has_data and (ended or x._interp.live):
            return True
        x = x._value
    return False


def is_plain(x: Array) -> bool:
    """Whether no transform follows `x` (any more)."""
    return current(x)._interp is None


def unwrap_plain(x: Any) -> Any:
    """The NumPy value of an Array that no transform follows; anything else unchanged."""
    if type(x) is not Array:
        return x
    live = current(x)
    return live._value if live._interp is None else live


def plain(x: Any, purpose: str = "its value", cure: str | None = None) -> Any:
    """The number or array under every interpreter; raises where there is none (recording), and
    names the cure, by default that of the purpose."""
    while type(x) is Array:
        live = current(x)
        if live._interp is not None and not live._interp.has_data:
            if about_to_raise(sys._getframe(1)):
                raise _refusal(live, UntoldError(
                    f"a branch raises and tells a value, by {purpose}{at_line()}", asked=(live,)))
            cure = cure_of(purpose) if cure is None else cure
            raise _refusal(live, RecordError(
                f"{purpose} needs the data of a value that is being recorded, which has only "
                f"shape {live.shape} and dtype {live.dtype}{at_line()}{cure}",
                asked=(live,)
            ))
        x = live._value
    return x
