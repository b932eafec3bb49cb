"""Elementary functions of complex numbers in real operations.

Each follows the formula of the C library that NumPy calls, so that results agree to a few units in
the last place of their absolute value, on the same side of every branch cut, and at infinities and
NaNs (C99, Annex G). With z = x + iy:

    z / w      Smith's quotients (Comm. ACM 5, 1962), in NumPy's order of operations
    log z      log|z| + i arg z; near |z| = 1 the first is log1p((|x| - 1)(|x| + 1) + y^2) / 2
    sqrt z     t = sqrt((|x| + |z|) / 2) and y / 2t, no difference of like numbers
    exp, sinh, cosh    where e^x overflows but e^x cos y may not, x is lowered by 700
    tanh z     (sinh x cosh x + i sin y cos y) / (sinh^2 x + cos^2 y)
    arcsin ... Kahan, "Branch cuts for complex elementary functions" (1987), by square roots of
               1 - z and 1 + z; far from the origin log 2z

Functions of i z follow from those of z by exchanging the parts: sin z = -i sinh iz, and so on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from sciad.compiler.parts import Real, Z, apply, where
from sciad.ops import elementwise as e
from sciad.ops import functions

INF, NAN = math.inf, math.nan
_LN2 = math.log(2.0)


class _Limits(NamedTuple):
    """Of a precision: beyond `large` and below `small` squares and sums are scaled by 2^±shift
    (even); from `exponent` on exp is close to overflow, `top` is its value there; from `far` on
    z^2 ± 1 is z^2."""

    large: float
    small: float
    shift: int
    exponent: float
    far: float

    @property
    def top(self):
        return math.exp(self.exponent)


_DOUBLE = _Limits(2.0**1000, 2.0**-900, 120, 700.0, 2.0**60)
_SINGLE = _Limits(2.0**120, 2.0**-90, 50, 85.0, 2.0**30)


def _limits(x: Real) -> _Limits:
    return _SINGLE if x.single else _DOUBLE


def _of(primitive):
    return lambda *xs: apply(primitive, *xs)


_exp, _log, _log1p, _sqrt, _sin, _cos, _sinh, _cosh, _expm1 = map(_of, (
    e.exp, e.log, e.log1p, e.sqrt, e.sin, e.cos, e.sinh, e.cosh, e.expm1))
_atan2, _hypot, _maximum, _isnan, _isinf, _isfinite, _floor = map(_of, (
    e.arctan2, e.hypot, e.maximum, e.isnan, e.isinf, e.isfinite, e.floor))
_copysign, _asinh = map(_of, (functions.copysign, functions.arcsinh))


def swap(z: Z) -> Z:
    """i conj(z)."""
    return Z(z.im, z.re)


def conj(z: Z) -> Z:
    return Z(z.re, -z.im)


def negative(z: Z) -> Z:
    return Z(-z.re, -z.im)


# --- tests and order ------------------------------------------------------------------------------


def truth(z: Z) -> Real:
    return z.re.ne(0.0) | z.im.ne(0.0)


def isfinite(z: Z) -> Real:
    return _isfinite(z.re) & _isfinite(z.im)


def isnan(z: Z) -> Real:
    return _isnan(z.re) | _isnan(z.im)


def isinf(z: Z) -> Real:
    return _isinf(z.re) | _isinf(z.im)


def equal(z: Z, w: Z) -> Real:
    return z.re.eq(w.re) & z.im.eq(w.im)


def not_equal(z: Z, w: Z) -> Real:
    return z.re.ne(w.re) | z.im.ne(w.im)


def ordered(compare, strict):
    """NumPy's order: by real parts, at a tie by imaginary ones; `strict` compares real parts."""
    def test(z: Z, w: Z) -> Real:
        known = ~(_isnan(z.im) | _isnan(w.im))
        return (apply(strict, z.re, w.re) & known) | (z.re.eq(w.re) & apply(compare, z.im, w.im))

    return test


less = ordered(e.less, e.less)
less_equal = ordered(e.less_equal, e.less)
greater = ordered(e.greater, e.greater)
greater_equal = ordered(e.greater_equal, e.greater)


def maximum(z: Z, w: Z) -> Z:
    return where(isnan(z) | greater_equal(z, w), z, w)


def minimum(z: Z, w: Z) -> Z:
    return where(isnan(z) | less_equal(z, w), z, w)


# --- arithmetic -----------------------------------------------------------------------------------


def add(z: Z, w: Z) -> Z:
    return Z(z.re + w.re, z.im + w.im)


def subtract(z: Z, w: Z) -> Z:
    return Z(z.re - w.re, z.im - w.im)


def multiply(z: Z, w: Z) -> Z:
    return Z(z.re * w.re - z.im * w.im, z.re * w.im + z.im * w.re)


def divide(z: Z, w: Z) -> Z:
    first = abs(w.re) >= abs(w.im)
    p, q = where(first, w.re, w.im), where(first, w.im, w.re)
    x, y = where(first, z.re, z.im), where(first, z.im, z.re)
    zero = p.eq(0.0) & q.eq(0.0)
    ratio = where(zero, 0.0, q / where(zero, 1.0, p))
    scale = where(zero, INF, 1.0 / (p + q * ratio))
    top = where(first, y - x * ratio, x * ratio - y)
    return Z(where(zero, z.re, x + y * ratio) * scale, where(zero, z.im, top) * scale)


def reciprocal(z: Z) -> Z:
    first = abs(z.im) <= abs(z.re)
    p, q = where(first, z.re, z.im), where(first, z.im, z.re)
    ratio = q / p
    below = p + q * ratio
    one, part = 1.0 / below, ratio / below
    return Z(where(first, one, part), -where(first, part, one))


def square(z: Z) -> Z:
    cross = z.re * z.im
    return Z(z.re * z.re - z.im * z.im, cross + cross)


def absolute(z: Z) -> Real:
    return _hypot(z.re, z.im)


def sign(z: Z) -> Z:
    """z / |z|; beside an infinity 0, and where only |z| is infinite its imaginary side."""
    size = absolute(z)
    zero, infinite = size.eq(0.0), _isinf(size)
    safe = where(zero, 1.0, size)
    sides = z.map(_isinf)
    both = sides.re & sides.im
    re = where(sides.re, where(both, NAN, apply(e.sign, z.re)), 0.0)
    im = where(sides.re, where(both, NAN, 0.0), apply(e.sign, z.im))
    return where(infinite, Z(re, im), Z(where(zero, 0.0, z.re / safe),
                                        where(zero, 0.0, z.im / safe)))


# --- powers ---------------------------------------------------------------------------------------

_MOST_BY_PRODUCTS = 100


def integer_power(z: Z, n: int) -> Z:
    """By repeated squares, as NumPy; from 100 on by the logarithm."""
    one = Z(z.re.to.real(1.0), z.re.to.real(0.0))
    if n == 0:
        return one
    if n == 1:
        return z
    if n == 2:
        return square(z)
    if n == -1:
        return reciprocal(z)
    zero = ~truth(z)
    if abs(n) >= _MOST_BY_PRODUCTS:
        out = exp(multiply(Z(z.re.to.real(float(n)), z.re.to.real(0.0)), log(z)))
    else:
        out = _product(z, abs(n))
    if n < 0:
        return where(zero, Z(NAN, NAN), out if -n >= _MOST_BY_PRODUCTS else divide(one, out))
    return where(zero, Z(0.0, 0.0), out) if n >= _MOST_BY_PRODUCTS else out


def _product(z: Z, n: int) -> Z:
    out, factor = None, z
    while n:
        if n & 1:
            out = factor if out is None else multiply(out, factor)
        n >>= 1
        factor = square(factor) if n else factor
    return out


def power(z: Z, w: Z) -> Z:
    """exp(w log z); whole powers below 100 by repeated squares."""
    whole = w.im.eq(0.0) & _floor(w.re).eq(w.re) & (abs(w.re) < _MOST_BY_PRODUCTS)
    left = where(whole, abs(w.re), 0.0)
    one = Z(z.re.to.real(1.0), z.re.to.real(0.0))
    out, factor = one, z
    for _ in range(_MOST_BY_PRODUCTS.bit_length()):
        half = _floor(left * 0.5)
        out = where(left.ne(half + half), multiply(out, factor), out)
        left, factor = half, square(factor)
    out = where(w.re < 0.0, divide(one, out), out)
    general = exp(multiply(w, log(z)))
    origin = where(truth(w), where(w.re > 0.0, Z(0.0, 0.0), Z(NAN, NAN)), one)
    return where(truth(z), where(whole, out, general), origin)


# --- exponentials ---------------------------------------------------------------------------------


def _lowered(x: Real):
    """Where exp is close to overflow: x less so much, and the factor still owed."""
    limits = _limits(x)
    near = x > limits.exponent
    return where(near, x - limits.exponent, x), where(near, limits.top, 1.0)


def exp(z: Z) -> Z:
    x, y = z
    reduced, factor = _lowered(x)
    size = _exp(reduced)
    edge = _isinf(x) & ~_isfinite(y)  # infinity or zero, whatever the direction
    re = where(edge, size, size * _cos(y) * factor)
    im = where(edge, size - size, size * _sin(y) * factor)
    return Z(re, where(y.eq(0.0), y, im))


def expm1(z: Z) -> Z:
    half = _sin(z.im * 0.5)
    return Z(_expm1(z.re) * _cos(z.im) - 2.0 * half * half, _exp(z.re) * _sin(z.im))


def sinh(z: Z) -> Z:
    x, y = z
    c, s = _hyperbolic(x)
    lost = ~_isfinite(y)
    re = where(lost & (x.eq(0.0) | _isinf(x)), x, s[0] * _cos(y) * s[1])
    return Z(re, where(y.eq(0.0), y, c[0] * _sin(y) * c[1]))


def cosh(z: Z) -> Z:
    x, y = z
    c, s = _hyperbolic(x)
    lost = ~_isfinite(y)
    re = where(lost & _isinf(x), abs(x), c[0] * _cos(y) * c[1])
    zero = lost & x.eq(0.0) | y.eq(0.0)
    return Z(re, where(zero, _copysign(0.0, x) * _copysign(1.0, y), s[0] * _sin(y) * s[1]))


def _hyperbolic(x: Real):
    """cosh x and sinh x, each as a number and a factor still owed."""
    limits = _limits(x)
    size = abs(x)
    near = size > limits.exponent
    large = 0.5 * _exp(where(near, size - limits.exponent, 0.0))
    factor = where(near, limits.top, 1.0)
    small = where(near, 0.0, x)
    return ((where(near, large, _cosh(small)), factor),
            (where(near, _copysign(large, x), _sinh(small)), factor))


def tanh(z: Z) -> Z:
    x, y = z
    s, c = _sin(y), _cos(y)
    size = abs(x)
    far = size > 22.0
    bounded = where(far, 0.0, x)
    sx = _sinh(bounded)
    below = sx * sx + c * c
    lost = ~_isfinite(y)
    edge = lost & _isinf(x)
    re = where(far, where(lost & ~edge, NAN, _copysign(1.0, x)), sx * _cosh(bounded) / below)
    im = where(far, where(edge, 0.0, 4.0 * s * c * _exp(-2.0 * size)), s * c / below)
    return Z(where(x.eq(0.0), x, re), where(y.eq(0.0), y, im))


def sin(z: Z) -> Z:
    return swap(sinh(swap(z)))


def cos(z: Z) -> Z:
    return conj(cosh(swap(z)))


def tan(z: Z) -> Z:
    return swap(tanh(swap(z)))


# --- logarithms and roots -------------------------------------------------------------------------


def _scaled(z: Z):
    """z by a power of two, so that squares neither overflow nor vanish: the parts, where they are
    made smaller, where larger, and the power."""
    limits = _limits(z.re)
    size = _maximum(abs(z.re), abs(z.im))
    large, small = size > limits.large, size < limits.small
    factor = where(large, 2.0**-limits.shift, where(small, 2.0**limits.shift, 1.0))
    return Z(z.re * factor, z.im * factor), large, small, limits.shift


def _log_size(z: Z) -> Real:
    """log|z|."""
    scaled, large, small, shift = _scaled(z)
    owed = where(large, shift * _LN2, where(small, -shift * _LN2, 0.0))
    size = _hypot(scaled.re, scaled.im)
    x, y = abs(z.re), abs(z.im)
    first = x >= y
    p, q = where(first, x, y), where(first, y, x)
    close = (size > 0.5) & (size < 2.0) & owed.eq(0.0)
    p, q = where(close, p, 1.0), where(close, q, 0.0)
    return where(close, 0.5 * _log1p((p - 1.0) * (p + 1.0) + q * q), _log(size) + owed)


def log(z: Z) -> Z:
    return Z(_log_size(z), _atan2(z.im, z.re))


def log2(z: Z) -> Z:
    return log(z).map(lambda x: x * (1.0 / _LN2))


def log10(z: Z) -> Z:
    return log(z).map(lambda x: x * (1.0 / math.log(10.0)))


def log1p(z: Z) -> Z:
    """More accurate than NumPy's, whose real part loses what is small beside 1."""
    x = z.re + 1.0
    size = _hypot(x, z.im)
    near = (size > 0.5) & (size < 2.0)
    p, q = where(near, z.re, 0.0), where(near, z.im, 0.0)
    return Z(where(near, 0.5 * _log1p(p * (2.0 + p) + q * q), _log(size)), _atan2(z.im, x))


def sqrt(z: Z) -> Z:
    (x, y), large, small, shift = _scaled(z)
    t = _sqrt((abs(x) + _hypot(x, y)) * 0.5)
    other = where(t.eq(0.0), y, y / (2.0 * where(t.eq(0.0), 1.0, t)))
    right = x >= 0.0
    re, im = where(right, t, abs(other)), where(right, other, _copysign(t, y))
    owed = where(large, 2.0**(shift // 2), where(small, 2.0**-(shift // 2), 1.0))
    infinite = _isinf(z.im)
    return Z(where(infinite, INF, re * owed), where(infinite, z.im, im * owed))


# --- inverse functions ----------------------------------------------------------------------------


def _is_far(z: Z) -> Real:
    return _maximum(abs(z.re), abs(z.im)) > _limits(z.re).far


def _near(z: Z, far: Real) -> Z:
    return where(far, Z(0.5, 0.5), z)


def _imaginary_product(z: Z, w: Z) -> Real:
    """Im(conj(z) w)."""
    return z.re * w.im - z.im * w.re


def arcsin(z: Z) -> Z:
    far = _is_far(z) | isnan(z)
    x, y = near = _near(z, far)
    below, above = sqrt(Z(1.0 - x, -y)), sqrt(Z(1.0 + x, y))
    re = _atan2(near.re, below.re * above.re - below.im * above.im)
    im = _asinh(_imaginary_product(below, above))
    return Z(where(z.re.eq(0.0), z.re, where(far, _atan2(z.re, abs(z.im)), re)),
             where(far, _copysign(_log_size(z) + _LN2, z.im), im))


def arccos(z: Z) -> Z:
    far = _is_far(z) | isnan(z)
    x, y = _near(z, far)
    below, above = sqrt(Z(1.0 - x, -y)), sqrt(Z(1.0 + x, y))
    re = 2.0 * _atan2(below.re, above.re)
    im = _asinh(_imaginary_product(above, below))
    return Z(where(z.re.eq(0.0), math.pi / 2, where(far, _atan2(abs(z.im), z.re), re)),
             where(far, -_copysign(_log_size(z) + _LN2, z.im), im))


def arcsinh(z: Z) -> Z:
    return swap(arcsin(swap(z)))


def arccosh(z: Z) -> Z:
    far = _is_far(z) | isnan(z)
    x, y = _near(z, far)
    below, above = sqrt(Z(x - 1.0, y)), sqrt(Z(x + 1.0, y))
    re = _asinh(below.re * above.re + below.im * above.im)
    im = 2.0 * _atan2(below.im, above.re)
    im = where(z.re.eq(0.0), _copysign(math.pi / 2, z.im), where(far, _atan2(z.im, z.re), im))
    return Z(where(far, _log_size(z) + _LN2, re), im)


def arctanh(z: Z) -> Z:
    x, y = abs(z.re), abs(z.im)
    far = (_maximum(x, y) > _limits(z.re).far) | _isinf(x) | _isinf(y)
    close = x.eq(1.0) & (y < 2.0**-27)
    p, q = where(far, 2.0, x), where(far, 0.0, y)
    im = 0.5 * _atan2(2.0 * q, (1.0 - p) * (1.0 + p) - q * q)
    p = where(close, 2.0, p)
    re = 0.25 * _log1p(4.0 * p / ((1.0 - p) * (1.0 - p) + q * q))
    re = where(close, 0.5 * (_LN2 - _log(y)), re)
    re = where(x.eq(0.0), x, where(far, _small_part(x, y), re))
    im = where(far, where(_isnan(y), NAN, math.pi / 2), im)
    return Z(_copysign(re, z.re), _copysign(im, z.im))


def _small_part(x: Real, y: Real) -> Real:
    """x / (x^2 + y^2) of numbers of which one is large."""
    first = (x >= y) | _isnan(y)
    p, q = where(first, x, y), where(first, y, x)
    ratio = where(_isinf(p), 0.0, q / p)
    return where(first, 1.0 / p, ratio / p) / (1.0 + ratio * ratio)


def arctan(z: Z) -> Z:
    return swap(arctanh(swap(z)))
