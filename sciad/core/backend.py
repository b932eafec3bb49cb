"""Backends: arrays that live outside NumPy's memory, and the modules that compute on them.

An operation takes its array module from its operands. NumPy's arrays and scalars belong to the
host; what a registered type holds lives on a device. Python numbers and NumPy scalars go along with
either; constants of rules, indices and seeds are moved to the device; an array of numbers that the
user's own line hands over is refused, as CuPy refuses it. CuPy registers itself when its first
array is met; it is never imported before.

Evaluation on a device (`evaluate`) replaces a primitive's value function by, in this order, its
device form (`on_device`), the device module's function of the same name, or NumPy's own
dispatch. What the device lacks raises and names the operation.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from sciad.core.array import Array, current
from sciad.core.errors import DTypeError, NoRuleError, SciadError, at_line, is_internal


class Backend(NamedTuple):
    """A device: its array module, the names of its special functions, its way back to NumPy.

    `evaluate`, if given, replaces the evaluation of primitives described above.
    """

    name: str
    module: Any
    special: Any
    to_host: Callable
    evaluate: Callable | None = None


class _Kinds(dict):
    """The backend of each array type met, None for the host's."""

    def __missing__(self, kind):
        if kind.__module__ in ("builtins", "numpy", __package__ + ".array"):
            self[kind] = None
        elif kind.__module__.partition(".")[0] == "cupy" and kind.__name__ == "ndarray":
            module = sys.modules["cupy"]
            register_backend(kind, "cupy", module, "cupyx.scipy.special", module.asnumpy)
        return self.get(kind)


KINDS = _Kinds()

_HOST = frozenset({np.ndarray, np.float64})
"""The commonest types of results, which need no look at the table."""

FORMS: dict[Any, Callable] = {}
"""The device forms of primitives: ``form(backend, *operands, **params)``."""


def register_backend(kind: type, name: str, module: Any, special: Any,
                     to_host: Callable) -> None:
    """Let arrays of a type be differentiated where they live.

    Parameters
    ----------
    kind : type
        The array type; it follows NumPy's interface and its protocols.
    name : str
        What error messages call the module.
    module : module
        Functions of NumPy's names and meaning on these arrays.
    special : module, str or None
        The module of special functions, or its name: it is imported when one is needed.
    to_host : callable
        Array -> NumPy array.
    """
    KINDS[kind] = Backend(name, module, special, to_host)


def on_device(primitive: Any, form: Callable) -> None:
    """Declare the device form of a primitive."""
    FORMS[primitive] = form


def only_on_host(*primitives: Any) -> None:
    """Declare primitives whose value is computed by code for NumPy's arrays alone."""
    for primitive in primitives:
        FORMS[primitive] = functools.partial(_refuse, primitive.name)


def _refuse(name, home, *args, **params):
    raise missing(home, name)


# --- where a value lives --------------------------------------------------------------------------


def ground(x: Any) -> Any:
    """The value under every interpreter of `x` (of a recorded value: its type)."""
    while type(x) is Array:
        x = current(x)._value
    return x


def home_of(*values: Any) -> Backend | None:
    """The device that the first value not on the host lives on; None for the host."""
    for x in values:
        home = KINDS[type(ground(x))]
        if home is not None:
            return home
    return None


def module_of(*values: Any) -> Any:
    """The array module of the values: ``numpy``, or that of their device.

    Examples
    --------
    >>> import numpy as np
    >>> from sciad.core.backend import module_of
    >>> module_of(np.zeros(3), 2.0).__name__
    'numpy'
    """
    home = home_of(*values)
    return np if home is None else home.module


def is_array(x: Any) -> bool:
    """Whether `x` is an array of NumPy's or of a device (no Array, no scalar of NumPy's)."""
    return isinstance(x, np.ndarray) or KINDS[type(x)] is not None


def on_any_device(x: Any) -> bool:
    """Whether `x` itself is an array of a device."""
    return KINDS[type(x)] is not None


def has_memory(x: Any) -> bool:
    """Whether `x` is an array of NumPy's or of a device, whose entries somebody may overwrite."""
    home = KINDS[type(x)]
    return isinstance(x, np.ndarray) if home is None else home.evaluate is None


def asnumpy(x: Any) -> np.ndarray:
    """A plain value as a NumPy array; a device array is copied to the host."""
    home = KINDS[type(x)]
    return np.asarray(x) if home is None else home.to_host(x)


def as_operand(x: Any) -> Any:
    """`x` as an array, wherever it lives; Arrays and device arrays stay as they are."""
    return x if isinstance(x, (Array, np.ndarray)) or on_any_device(x) else np.asarray(x)


def beside(x: Any, *values: Any) -> Any:
    """A value of the host, where `values` live; anything else unchanged.

    For the constants of rules and the cotangents that begin as plain ones, never for operands
    of the user's.
    """
    if type(x) is Array or KINDS[type(x)] is not None:
        return x
    home = home_of(*values)
    return x if home is None else home.module.asarray(x)


def where_lives(x: Any, like: Any) -> Any:
    """A fresh array of the host, on the device of `like` if it lives on one."""
    home = home_of(like)
    return x if home is None or home.evaluate is not None else home.module.asarray(x)


def together(values: list, out: Any) -> list:
    """The operands of a result, as rules take them: constants of the host moved to its device."""
    if type(out) in _HOST:
        return values
    home = KINDS[type(ground(out[0] if type(out) is tuple and out else out))]
    if home is None or home.evaluate is not None:
        return values
    return [home.module.asarray(x) if isinstance(x, np.ndarray) else x for x in values]


def zeros(shape: tuple, dtype: Any, like: Any = None) -> Any:
    """A constant zero where `like` lives; a scalar of NumPy's for shape ``()`` on the host."""
    home = None if like is None else home_of(like)
    return np.zeros(shape, dtype)[()] if home is None else home.module.zeros(shape, dtype)


def checksum(x: Any) -> Any:
    """A checksum of the bytes of a device array, as a number that stays on the device.

    The words of the array, each times an odd number that depends on its place, summed modulo 2^64.
    """
    xp = module_of(x)
    width = next(width for width in (4, 2, 1) if x.dtype.itemsize % width == 0)
    words = x.ravel().view(np.dtype(f"u{width}"))
    places = xp.arange(words.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((places | np.uint64(1)) * words).sum()


# --- evaluation -----------------------------------------------------------------------------------


def evaluate(primitive: Any, home: Backend, args: list, params: dict) -> Any:
    """The value of a primitive on device operands."""
    if home.evaluate is not None:
        return home.evaluate(primitive, args, params)
    args = [moved(primitive.name, home, x) if isinstance(x, np.ndarray) else x for x in args]
    form = FORMS.get(primitive)
    try:
        if form is not None:
            return form(home, *args, **params)
        ufunc = _own_ufunc(home, primitive.fun)
        if ufunc is not None:
            return ufunc(*args, **params)
        args = [home.module.asarray(x) if isinstance(x, np.generic) else x for x in args]
        return primitive.fun(*args, **params)
    except (TypeError, NotImplementedError) as error:
        if isinstance(error, SciadError):
            raise
        raise missing(home, primitive.name, f" ({error})") from error


def moved(name: str, home: Backend, x: np.ndarray) -> Any:
    """A NumPy operand on the device: a constant of a rule, an index, a scalar. An array of numbers
    that the user's own line hands over is refused, as CuPy refuses it."""
    if not x.ndim:
        return x[()]
    if x.dtype.kind in "fc" and _handed_over(x):
        raise mixed(name, home, x)
    return home.module.asarray(x)


def mixed(name: str, home: Backend, x: np.ndarray) -> DTypeError:
    """The error for an array of NumPy's among operands on a device."""
    return DTypeError(f"{name}: a NumPy array of shape {x.shape} meets an array of {home.name}"
                      f"{at_line()}; move it once with {home.name}.asarray(...), outside the "
                      "function that is differentiated")


def _handed_over(x) -> bool:
    """Whether `x` is an argument of the function of ours that the user's line called, or a view
    of one."""
    frame: FrameType | None = sys._getframe(1)
    entry = None
    while frame is not None and is_internal(frame):
        frame, entry = frame.f_back, frame
    return entry is not None and any(np.may_share_memory(x, y)
                                     for y in _host_arrays(_arguments(entry)))


def _arguments(frame) -> list:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return [frame.f_locals.get(name) for name in code.co_varnames[:count]]


def _host_arrays(x):
    if isinstance(x, np.ndarray):
        yield x
    elif isinstance(x, (list, tuple)):
        for entry in x:
            yield from _host_arrays(entry)
    elif isinstance(x, dict):
        yield from _host_arrays(list(x.values()))


def _own_ufunc(home, function):
    """The device's function for a ufunc of NumPy's or a function of SciPy's; None for others."""
    if isinstance(function, np.ufunc):
        return ufunc_of(home, function)
    if getattr(function, "__module__", "").startswith("scipy.special"):
        return _found(home, special_of(home), function.__name__)
    return None


def ufunc_of(home: Backend, ufunc: np.ufunc) -> Callable:
    """The device's function of the name of a ufunc of NumPy's or SciPy's."""
    own = getattr(np, ufunc.__name__, None) is ufunc
    return _found(home, home.module if own else special_of(home), ufunc.__name__)


def _found(home, module, name):
    function = getattr(module, name, None)
    if function is None:
        raise missing(home, name)
    return function


def special_of(home: Backend) -> Any:
    """The module of special functions of a device."""
    if home.special is None:
        raise missing(home, "scipy.special")
    return import_module(home.special) if isinstance(home.special, str) else home.special


def missing(home: Backend, name: str, why: str = "") -> NoRuleError:
    """The error for what a device has no function for."""
    return NoRuleError(f"{name} does not exist for arrays of {home.name}{why}{at_line()}; compute "
                       f"it on the CPU, on {home.name}.asnumpy(x)")
