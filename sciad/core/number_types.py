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
    if issubclass(kind, numbers.Number):
        return True
    return all(hasattr(kind, name) for name in _ARITHMETIC) and not any(
        hasattr(kind, name) for name in _NOT_OF_NUMBERS)


def exact(x: Any, kind: type) -> Any:
    """A plain number as one of a type, without rounding where the type has none.

    A float is the binary fraction that it stands for: ``Fraction(0.5)`` is 1/2.
    """
    x = x.item() if isinstance(x, np.generic) else x
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

_OF_DECIMALS = {"sqrt": "sqrt", "exp": "exp", "log": "ln", "log10": "log10"}


def _larger(a, b):
    return a if a >= b or a != a else b


def _smaller(a, b):
    return a if a <= b or a != a else b


def _sign(x):
    return (x > 0) - (x < 0) if x == x else x


def _is_finite(x):
    return x == x and x not in (math.inf, -math.inf)


COMMON: dict[str, Callable] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "negative": operator.neg, "positive": lambda x: x,
    "power": operator.pow, "float_power": operator.pow, "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "absolute": abs, "fabs": abs,
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


def function_of(name: str, kind: type) -> Callable:
    """The function of NumPy's name on numbers of a type."""
    if name in COMMON:
        return COMMON[name]
    family, short = _family(kind), _SHORT.get(name, name)
    found = None
    if family == "mpmath":
        found = getattr(kind.context, short, None)
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
