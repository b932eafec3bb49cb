"""Elementwise functions beyond the elementary ones, each with its partial derivatives.

Singular points: the slope of cbrt at 0 is infinite, those of arccosh at 1 and arctanh at 1 too;
copysign has slope 0 where its first operand is 0, as abs; fmax and fmin share at ties, as maximum.
"""

import numpy as np

from sciad.core.errors import DTypeError, at_line
from sciad.core.graph import type_of
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


def floats(x):
    """Whole numbers in the precision in which NumPy takes a function of them: half precision from
    8 bits, single from 16, double from more."""
    if getattr(x, "dtype", None) is None or x.dtype.kind not in "biu":
        return x
    return x.astype(np.sqrt(np.ones((), x.dtype)).dtype)


def exp2(x):
    return power(2.0, floats(x))


def require_real(name, *operands):
    """Raise where an operand is complex, which has no order and no whole part."""
    for x in operands:
        if is_complex(x):
            raise DTypeError(f"{name} takes real numbers, got {getattr(x, 'dtype', 'complex')}"
                             f"{at_line()}; use x.real or x.imag")


def deg2rad(x):
    require_real("deg2rad", x)
    require_own_constants("deg2rad", x)
    return floats(x) * DEGREE


def rad2deg(x):
    require_real("rad2deg", x)
    require_own_constants("rad2deg", x)
    return floats(x) * (1.0 / DEGREE)


def fmax(x, y):
    """The larger one; of a number and a NaN the number."""
    return maximum(where(isnan(x), y, x), where(isnan(y), x, y))


def fmin(x, y):
    """The smaller one; of a number and a NaN the number."""
    return minimum(where(isnan(x), y, x), where(isnan(y), x, y))


def fabs(x):
    require_real("np.fabs", x)
    return absolute(floats(x))


def _in_one_dtype(ufunc, *operands):
    """Operands, of which some may be Python numbers, in the dtype of the ufunc's result."""
    dtype = ufunc(*map(_sample, operands)).dtype
    return [x.astype(dtype) if hasattr(x, "dtype") else np.asarray(x, dtype)[()] for x in operands]


def _sample(x):
    """A 1 of the type of an operand; of a Python number's if it adapts to its partners."""
    kind = type_of(x)
    one = np.ones((), kind.dtype)
    return one.item() if kind.weak else one


def heaviside(x, h):
    """0 below zero, `h` at zero, 1 above; NaN at NaN."""
    require_real("heaviside", x, h)
    x, h = _in_one_dtype(np.heaviside, x, h)
    return where(equal(x, 0.0), h, where(isnan(x), x, greater(x, 0.0)))


def modf(x):
    """Fraction and whole part, both with the sign of x."""
    x = floats(x)
    whole = trunc(x)
    fraction = where(signbit(x), -(whole - x), x - whole)
    return where(isfinite(x), fraction, 0.0 * sign(x)), whole


def fix(x):
    return trunc(x)


def around(x, decimals=0):
    """Rounded to even in the last place kept; the slope is 0 wherever there is one."""
    if x.dtype.kind in "iu":
        return _around_whole(x, decimals)
    if x.dtype.kind == "b" and decimals:
        raise DTypeError(f"round: truth values have no decimals{at_line()}")
    if not decimals:
        return rint(x)
    scale = 10.0 ** abs(decimals)
    return rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale


def _around_whole(x, decimals):
    """Integers stay as they are, but for places before the point."""
    if decimals >= 0:
        return x
    scale = 10.0 ** -decimals
    return (rint(x / scale) * scale).astype(x.dtype)


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
    """Whether |a - b| <= atol + rtol |b|, entry by entry; differences of floats, as NumPy's."""
    b = b.astype(np.result_type(b.dtype, 1.0))
    finite = logical_and(isfinite(a), isfinite(b))
    near = logical_and(absolute(a - b) <= atol + rtol * absolute(b), finite)
    same = equal(a, b)
    if equal_nan:
        same = same | (isnan(a) & isnan(b))
    return near | same


UFUNC_RULES = {
    np.exp2: exp2, np.deg2rad: deg2rad, np.radians: deg2rad, np.rad2deg: rad2deg,
    np.degrees: rad2deg, np.fmax: fmax, np.fmin: fmin, np.heaviside: heaviside, np.modf: modf,
    np.frexp: frexp, np.fabs: fabs,
}
"""The ufuncs that are compositions."""

PRIMITIVES = {p.fun: p for p in (logaddexp, logaddexp2, cbrt, arcsinh, arccosh, arctanh,
                                 copysign, signbit, nextafter, spacing, ldexp, fmod)}
"""The ufuncs that are primitives, defined here."""
