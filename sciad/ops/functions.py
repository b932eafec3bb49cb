"""Elementwise functions beyond the elementary ones, each with its partial derivatives.

Singular points: the slope of cbrt at 0 is infinite, those of arccosh at 1 and arctanh at 1 too;
copysign has slope 0 where its first operand is 0, as abs; fmax and fmin share at ties, as maximum.
"""

import numpy as np

from sciad.core.errors import DTypeError, at_line
from sciad.core.numbers import require_own_constants
from sciad.core.rules import SAME, ElementwiseConstant, elementwise, is_complex
from sciad.ops.elementwise import (
    absolute,
    equal,
    exp,
    greater,
    isfinite,
    isnan,
    less,
    logical_and,
    maximum,
    minimum,
    power,
    rint,
    sign,
    sin,
    sqrt,
    trunc,
    where,
)

LN2 = float(np.log(2.0))
DEGREE = float(np.pi / 180.0)


def _finite(z):
    """z, but 0 where it is -inf: there both operands are -inf, and the slopes are 0."""
    return where(equal(z, -np.inf), 0.0, z)


logaddexp = elementwise("logaddexp", np.logaddexp, lambda z, x, y: exp(x - _finite(z)),
                        lambda z, x, y: exp(y - _finite(z)))
logaddexp2 = elementwise("logaddexp2", np.logaddexp2, lambda z, x, y: exp2(x - _finite(z)),
                         lambda z, x, y: exp2(y - _finite(z)))
cbrt = elementwise("cbrt", np.cbrt, lambda y, x: 1.0 / (3.0 * y * y))
# x - -1.0 keeps the sign of a zero imaginary part, which tells the side of a branch cut
arcsinh = elementwise("arcsinh", np.arcsinh, lambda y, x: 1.0 / sqrt(x * x - -1.0))
arccosh = elementwise("arccosh", np.arccosh, lambda y, x: 1.0 / (sqrt(x - 1.0) * sqrt(x - -1.0)))
arctanh = elementwise("arctanh", np.arctanh, lambda y, x: 1.0 / (1.0 - x * x))
copysign = elementwise("copysign", np.copysign, lambda z, x, y: sign(x) * copysign(1.0, y), None)
signbit = ElementwiseConstant("signbit", np.signbit)
nextafter = elementwise("nextafter", np.nextafter, SAME, None)
spacing = ElementwiseConstant("spacing", np.spacing)
# the whole quotient, by what the remainder leaves of x: trunc(x / y) would be one too many where
# x / y is rounded up to it
fmod = elementwise("fmod", np.fmod, SAME, lambda z, x, y: rint((z - x) / y))
gcd = ElementwiseConstant("gcd", np.gcd)
lcm = ElementwiseConstant("lcm", np.lcm)
bitwise_count = ElementwiseConstant("bitwise_count", np.bitwise_count)

# --- x = m 2^n: the exponent is constant between its jumps ----------------------------------------


def _two_to_the(n, x):
    """2^n in the precision of x."""
    return power(2.0, n if isinstance(n, int) else n.astype(x.dtype))


exponent = ElementwiseConstant("exponent", lambda x: np.frexp(x)[1])
mantissa = elementwise("mantissa", lambda x: np.frexp(x)[0],
                       lambda m, x: _two_to_the(-exponent(x), x))
ldexp = elementwise("ldexp", np.ldexp, lambda z, x, n: _two_to_the(n, x), None)


def frexp(x):
    return mantissa(x), exponent(x)


# --- compositions ---------------------------------------------------------------------------------


def exp2(x):
    return power(2.0, x)


def require_real(name, *operands):
    """Raise where an operand is complex, which has no order and no whole part."""
    for x in operands:
        if is_complex(x):
            raise DTypeError(f"{name} takes real numbers, got {getattr(x, 'dtype', 'complex')}"
                             f"{at_line()}; use x.real or x.imag")


def deg2rad(x):
    require_real("deg2rad", x)
    require_own_constants("deg2rad", x)
    return x * DEGREE


def rad2deg(x):
    require_real("rad2deg", x)
    require_own_constants("rad2deg", x)
    return x * (1.0 / DEGREE)


def fmax(x, y):
    """The larger one; of a number and a NaN the number."""
    return maximum(where(isnan(x), y, x), where(isnan(y), x, y))


def fmin(x, y):
    """The smaller one; of a number and a NaN the number."""
    return minimum(where(isnan(x), y, x), where(isnan(y), x, y))


def _of_one_dtype(x, y):
    """Two operands of which one may be a Python number, which takes the dtype of the other."""
    if isinstance(x, (bool, int, float)):
        return np.asarray(x, y.dtype)[()], y
    return x, np.asarray(y, x.dtype)[()] if isinstance(y, (bool, int, float)) else y


def heaviside(x, h):
    """0 below zero, `h` at zero, 1 above; NaN at NaN."""
    require_real("heaviside", x, h)
    x, h = _of_one_dtype(x, h)
    return where(equal(x, 0.0), h, where(isnan(x), x, greater(x, 0.0)))


def modf(x):
    """Fraction and whole part, both with the sign of x."""
    whole = trunc(x)
    return where(isfinite(x), x - whole, 0.0 * sign(x)), whole


def fix(x):
    return trunc(x)


def around(x, decimals=0):
    """Rounded to even in the last place kept; the slope is 0 wherever there is one."""
    if not decimals:
        return rint(x)
    scale = 10.0 ** abs(decimals)
    return rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale


def sinc(x):
    """sin(pi x) / (pi x); near 0 by its series, so that each order of derivative is right there."""
    require_own_constants("sinc", x)
    t = np.pi * x
    near = less(absolute(t), 1.0)
    return where(near, _sinc_series(where(near, t, 0.0)), _sinc_quotient(where(near, 1.0, t)))


def _sinc_quotient(t):
    return sin(t) / t


def _sinc_series(t):
    """sum_k (-t^2)^k / (2k+1)! to k = 10: the rest is below 1e-22 for |t| < 1."""
    square, total = -(t * t), 0.0 * t + 1.0
    for k in range(10, 0, -1):
        total = 1.0 + square / float((2 * k) * (2 * k + 1)) * total
    return total


def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |a - b| <= atol + rtol |b|, entry by entry."""
    finite = logical_and(isfinite(a), isfinite(b))
    near = logical_and(absolute(a - b) <= atol + rtol * absolute(b), finite)
    same = equal(a, b)
    if equal_nan:
        same = same | (isnan(a) & isnan(b))
    return near | same


UFUNC_RULES = {
    np.exp2: exp2, np.deg2rad: deg2rad, np.radians: deg2rad, np.rad2deg: rad2deg,
    np.degrees: rad2deg, np.fmax: fmax, np.fmin: fmin, np.heaviside: heaviside, np.modf: modf,
    np.frexp: frexp,
}
"""The ufuncs that are compositions."""

PRIMITIVES = {p.fun: p for p in (logaddexp, logaddexp2, cbrt, arcsinh, arccosh, arctanh,
                                 copysign, signbit, nextafter, spacing, ldexp, fmod)}
"""The ufuncs that are primitives, defined here."""
