"""What functions mean on numbers that are objects: fractions, decimals, mpmath, uncertainties.

Arithmetic is the type's own. Functions come from its package (mpmath's context,
``uncertainties.umath``), from its methods under NumPy's names (what NumPy's own loops over object
arrays call), or do not exist: the square root of a Fraction is no Fraction, and raises.
"""

import datetime
import math
import numbers
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from sciad.core.errors import DTypeError, at_line

_PLAIN = (bool, int, float, complex, str, bytes, np.generic, type(None))
_ARITHMETIC = ("__add__", "__mul__", "__truediv__", "__neg__", "__pow__")
_NOT_OF_NUMBERS = ("__len__", "__iter__", "__array__", "shape")

ASIDE = (int, float, Fraction)
"""Types that become that of the numbers they meet."""


@lru_cache(maxsize=512)
def is_number_type(kind: type) -> bool:
    """Whether objects of a type are numbers that NumPy knows only as objects."""
    if issubclass(kind, (*_PLAIN, datetime.timedelta)):
        return False
    if _family(kind) == "mpmath" and not hasattr(kind, "context"):
        return False  # an interval, which is neither larger nor smaller than one it meets
    if issubclass(kind, numbers.Number):
        return True
    return all(hasattr(kind, name) for name in _ARITHMETIC) and not any(
        hasattr(kind, name) for name in _NOT_OF_NUMBERS)


def exact(x: Any, kind: type) -> Any:
    """A plain number as one of a type, without rounding where the type has none.

    A float is the binary fraction that it stands for: ``Fraction(0.5)`` is 1/2.
    """
    x = x.item() if isinstance(x, np.generic) else x
    x = int(x) if isinstance(x, bool) else x
    if type(x) is kind or type(x) not in ASIDE:
        return x
    if isinstance(x, float) and not math.isfinite(x):
        return x if kind is Fraction else Decimal(x) if kind is Decimal else x
    if kind is Fraction:
        return Fraction(x)
    if kind is Decimal:
        return Decimal(x.numerator) / x.denominator if type(x) is Fraction else Decimal(x)
    if _family(kind) == "mpmath":
        return kind.context.convert(x)
    return float(x) if type(x) is Fraction else x


def _family(kind: type) -> str:
    return kind.__module__.partition(".")[0]


# --- functions ------------------------------------------------------------------------------------

_SHORT = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
          "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh"}
"""NumPy's names that other packages shorten."""

_OF_DECIMALS = {"sqrt": "sqrt", "exp": "exp", "log": "ln"}

_OF_MPMATH = {**_SHORT, **{name: name for name in (
    "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log1p", "sqrt", "cbrt",
    "hypot", "floor", "ceil", "gamma")}, "rint": "nint", "psi": "digamma", "gammaln": "loggamma"}
"""mpmath's functions that mean what NumPy's and SciPy's of the name mean: its ``fmod`` has another
sign, its ``gammainc`` another integral."""

_WITH_ROUNDED_CONSTANT = frozenset({
    "log2", "log10", "degrees", "radians", "deg2rad", "rad2deg", "sinc", "erf", "erfc",
    "erfinv", "erfcinv", "erfcx", "ndtr"})
"""Functions whose derivative here holds the float nearest to pi or to a logarithm."""


def _larger(a, b):
    return a if a >= b or a != a else b


def _smaller(a, b):
    return a if a <= b or a != a else b


def _sign(x):
    return (x > 0) - (x < 0) if x == x else x


def _truncated(x):
    return x.context.floor(x) if x >= 0 else x.context.ceil(x)


def _is_finite(x):
    return x == x and x not in (math.inf, -math.inf)


def _rest(a, b):
    """The remainder with the sign of a."""
    rest = abs(a) % abs(b)
    return -rest if _nominal(a) < 0 else rest


COMMON: dict[str, Callable] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "negative": operator.neg, "positive": lambda x: x,
    "power": operator.pow, "float_power": operator.pow, "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "fmod": _rest,
    "absolute": abs, "fabs": abs,
    "conjugate": lambda x: x, "sign": _sign, "maximum": _larger, "minimum": _smaller,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt,
    "greater_equal": operator.ge, "equal": operator.eq, "not_equal": operator.ne,
    "isnan": lambda x: x != x, "isfinite": _is_finite,
    "isinf": lambda x: x in (math.inf, -math.inf),
    "logical_not": operator.not_, "logical_and": lambda a, b: bool(a and b),
    "logical_or": lambda a, b: bool(a or b), "logical_xor": lambda a, b: bool(a) != bool(b),
}
_WHOLE = {"floor": math.floor, "ceil": math.ceil, "trunc": math.trunc, "rint": round}
TRUTHS = frozenset({"less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isnan",
                    "isfinite", "isinf", "logical_not", "logical_and", "logical_or", "logical_xor",
                    "signbit"})


def _nominal(x):
    return getattr(x, "nominal_value", x)


def _by_nominal(function):
    return lambda *xs: function(*map(_nominal, xs))


_OF_UNCERTAIN: dict[str, Callable] = {
    **{name: _by_nominal(COMMON[name]) for name in (
        "less", "less_equal", "greater", "greater_equal", "sign", "isnan", "isfinite", "isinf")},
    **{name: _by_nominal(function) for name, function in _WHOLE.items()},
    "maximum": lambda a, b: a if _larger(_nominal(a), _nominal(b)) is _nominal(a) else b,
    "minimum": lambda a, b: a if _smaller(_nominal(a), _nominal(b)) is _nominal(a) else b,
}
"""Uncertain numbers are compared and rounded by their nominal values; one minus itself may keep an
uncertainty in its last digit, so that it may differ from itself."""


def require_unrounded(name: str, kind: type) -> None:
    """Raise where a derivative would be rounded to a float among numbers of more digits."""
    if name in _WITH_ROUNDED_CONSTANT and (_family(kind) == "mpmath" or kind is Decimal):
        raise DTypeError(f"{name} of a {kind.__name__}{at_line()}: its derivative holds a constant "
                         "that is rounded to a float; write it with np.exp, np.log or np.sin and "
                         f"a constant of type {kind.__name__}")


def function_of(name: str, kind: type) -> Callable:
    """The function of NumPy's name on numbers of a type."""
    require_unrounded(name, kind)
    family, short = _family(kind), _SHORT.get(name, name)
    if family == "uncertainties" and name in _OF_UNCERTAIN:
        return _OF_UNCERTAIN[name]
    if name in COMMON:
        return COMMON[name]
    found = None
    if family == "mpmath":
        found = getattr(kind.context, _OF_MPMATH.get(name, ""), None)
        if name == "trunc":
            found = _truncated
    elif family == "uncertainties":
        found = getattr(import_module("uncertainties.umath"), short, None)
    elif kind is Decimal:
        method = _OF_DECIMALS.get(name)
        found = operator.methodcaller(method) if method else None
    elif hasattr(kind, name):
        found = operator.methodcaller(name)
    found = found or _WHOLE.get(name)
    if found is None:
        raise DTypeError(f"{name} has no meaning for numbers of type {kind.__name__}{at_line()}; "
                         "convert them to float, or to a type that has it (mpmath.mpf)")
    return found
