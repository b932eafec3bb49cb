"""``numpy.emath``: functions that turn complex where the real ones leave their domain.

Whether a result is complex depends on the values, so these need them: recorded programs call the
functions of `sciad.numpy` on complex arguments instead.
"""

import numpy as np

from sciad.core.array import plain
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import functions

__all__ = ["arccos", "arcsin", "arctanh", "log", "log10", "log2", "logn", "power", "sqrt"]


def _widened(x, outside, name):
    """`x`, complex if an entry of it lies where `outside` says."""
    x = as_array(x)
    if x.dtype.kind == "c":
        return x
    x = x if x.dtype.kind == "f" else x.astype(float)
    if not np.any(outside(plain(x, f"np.emath.{name}, whose dtype depends on its values,"))):
        return x
    return x.astype(np.result_type(x.dtype, np.complex64))


def _negative(x):
    return x < 0


def _beyond_one(x):
    return np.abs(x) > 1


@implements(np.emath.sqrt)
def sqrt(x):
    return e.sqrt(_widened(x, _negative, "sqrt"))


@implements(np.emath.log)
def log(x):
    return e.log(_widened(x, _negative, "log"))


@implements(np.emath.log2)
def log2(x):
    return e.log2(_widened(x, _negative, "log2"))


@implements(np.emath.log10)
def log10(x):
    return e.log10(_widened(x, _negative, "log10"))


@implements(np.emath.logn)
def logn(n, x):
    return log(x) / log(n)


@implements(np.emath.power)
def power(x, p):
    p = as_array(p)
    p = p.astype(float) if p.dtype.kind in "iu" and np.any(plain(p) < 0) else p
    return np.power(_widened(x, _negative, "power"), p)


@implements(np.emath.arccos)
def arccos(x):
    return e.arccos(_widened(x, _beyond_one, "arccos"))


@implements(np.emath.arcsin)
def arcsin(x):
    return e.arcsin(_widened(x, _beyond_one, "arcsin"))


@implements(np.emath.arctanh)
def arctanh(x):
    return functions.arctanh(_widened(x, _beyond_one, "arctanh"))
