"""Elementwise operations: each function with its partial derivatives beside it.

A partial is a function of (out, *args). `SAME` and `MINUS` stand for 1 and -1. What is not
holomorphic states the derivatives by z and by conj(z) (`Split`).
"""

import numpy as np

from sciad.core.graph import Type
from sciad.core.patterns import IDENTITY, stretched
from sciad.core.primitive import Primitive
from sciad.core.rules import (
    MINUS,
    SAME,
    Elementwise,
    ElementwiseConstant,
    Linear,
    Split,
    Tools,
    elementwise,
    is_complex,
    masked,
)

# --- arithmetic -----------------------------------------------------------------------------------

add = elementwise("add", np.add, SAME, SAME)
subtract = elementwise("subtract", np.subtract, SAME, MINUS)
multiply = elementwise("multiply", np.multiply, lambda z, x, y: y, lambda z, x, y: x)
divide = elementwise("divide", np.divide, lambda z, x, y: _inverse(y),
                     lambda z, x, y: -(z / y))
negative = elementwise("negative", np.negative, MINUS)
positive = elementwise("positive", np.positive, SAME)
power = elementwise("power", np.power, lambda z, x, y: y * x ** _less_one(y),
                    lambda z, x, y: z * log(where(not_equal(x, 0.0), x, 1.0)))
square = elementwise("square", np.square, lambda z, x: 2.0 * x)
reciprocal = elementwise("reciprocal", np.reciprocal, lambda z, x: -(z * z))
floor_divide = ElementwiseConstant("floor_divide", np.floor_divide)
remainder = elementwise("remainder", np.remainder, SAME,
                        lambda z, x, y: -floor_divide(x, y))


def _less_one(y):
    """y - 1, but 1 for y = 0, where the factor y makes the slope of x**y zero also at x = 0."""
    if isinstance(y, (int, float)):
        return y - 1.0 if y else 1.0
    return where(equal(y, 0.0), 1.0, y - 1.0)


def _over_square(x, y):
    """x / (x^2 + y^2), of numbers whose squares would be too large or too small as well."""
    r = hypot(x, y)
    return x / r / r


def _share_of(x, z):
    """x / z, but 0 where z is 0: all derivatives of hypot at the origin are 0, as the norm's."""
    origin = equal(z, 0.0)
    return where(origin, 0.0, x / where(origin, 1.0, z))


def _inverse(y):
    """1 / y, infinite for a plain number 0 as for an array of it."""
    return 1.0 / y if type(y) not in (float, int) or y else np.inf


def _whole_power(x, n):
    """x**n by NumPy's rules: a Python 0.0**-1 would raise."""
    return (np.float64(x) if type(x) is float else x) ** n


class IntegerPower(Elementwise):
    """x**n for a constant Python integer n: polynomial, so smooth at 0 and for negative x."""

    __slots__ = ()

    def __init__(self):
        super().__init__("integer_power", _whole_power, None)

    def _slope(self, x, n):
        return n * integer_power(x, n=n - 1) if n else 0.0 * x

    def pattern(self, k, out, args, params):
        return IDENTITY if params["n"] else None

    def jvp(self, k, tangent, out, args, params):
        return tangent * self._slope(args[0], params["n"])

    def vjp(self, k, cotangent, out, args, params):
        return cotangent * Tools.conj(self._slope(args[0], params["n"]))


integer_power = IntegerPower()

# --- exponentials, trigonometry -------------------------------------------------------------------

exp = elementwise("exp", np.exp, lambda y, x: y)
expm1 = elementwise("expm1", np.expm1, lambda y, x: y + 1.0)
log = elementwise("log", np.log, lambda y, x: 1.0 / x)
log1p = elementwise("log1p", np.log1p, lambda y, x: 1.0 / (1.0 + x))
log2 = elementwise("log2", np.log2, lambda y, x: 1.0 / (x * np.log(2.0)))
log10 = elementwise("log10", np.log10, lambda y, x: 1.0 / (x * np.log(10.0)))
sqrt = elementwise("sqrt", np.sqrt, lambda y, x: 0.5 / y)
sin = elementwise("sin", np.sin, lambda y, x: cos(x))
cos = elementwise("cos", np.cos, lambda y, x: -sin(x))
tan = elementwise("tan", np.tan, lambda y, x: 1.0 + y * y)
arcsin = elementwise("arcsin", np.arcsin, lambda y, x: 1.0 / _root_of_rest(x))
arccos = elementwise("arccos", np.arccos, lambda y, x: -1.0 / _root_of_rest(x))
arctan = elementwise("arctan", np.arctan, lambda y, x: 1.0 / (1.0 + x * x))
sinh = elementwise("sinh", np.sinh, lambda y, x: cosh(x))
cosh = elementwise("cosh", np.cosh, lambda y, x: sinh(x))
tanh = elementwise("tanh", np.tanh, lambda y, x: 1.0 - y * y)
arctan2 = elementwise("arctan2", np.arctan2, lambda z, y, x: _over_square(x, y),
                      lambda z, y, x: -_over_square(y, x))
hypot = elementwise("hypot", np.hypot, lambda z, x, y: _share_of(x, z),
                    lambda z, x, y: _share_of(y, z))



def _root_of_rest(x):
    """sqrt(1 - x^2); for complex x with the sign of the side of the cuts on which x lies."""
    if not is_complex(x):
        return sqrt(1.0 - x * x)
    return sqrt(negative(x - 1.0)) * sqrt(x - -1.0)  # differences that keep the sign of a zero


# --- comparison and logic -------------------------------------------------------------------------

less = ElementwiseConstant("less", np.less)
less_equal = ElementwiseConstant("less_equal", np.less_equal)
greater = ElementwiseConstant("greater", np.greater)
greater_equal = ElementwiseConstant("greater_equal", np.greater_equal)
equal = ElementwiseConstant("equal", np.equal)
not_equal = ElementwiseConstant("not_equal", np.not_equal)
logical_and = ElementwiseConstant("logical_and", np.logical_and)
logical_or = ElementwiseConstant("logical_or", np.logical_or)
logical_not = ElementwiseConstant("logical_not", np.logical_not)
logical_xor = ElementwiseConstant("logical_xor", np.logical_xor)
isfinite = ElementwiseConstant("isfinite", np.isfinite)
isnan = ElementwiseConstant("isnan", np.isnan)
isinf = ElementwiseConstant("isinf", np.isinf)
floor = ElementwiseConstant("floor", np.floor)
ceil = ElementwiseConstant("ceil", np.ceil)
trunc = ElementwiseConstant("trunc", np.trunc)
rint = ElementwiseConstant("rint", np.rint)

# --- selection ------------------------------------------------------------------------------------
# At a tie of maximum and minimum each operand receives half: the mean of the one-sided slopes.


def _share(z, x, y):
    """1 where x is the one selected, 1/2 at a tie, 0 elsewhere."""
    return where(equal(x, y), 0.5, where(equal(z, x), 1.0, 0.0))


class Choice(Elementwise):
    """Elementwise choice of an operand; the tangent of the other one is dropped, not multiplied
    by zero, so that it may be infinite."""

    __slots__ = ()
    routes = True

    def jvp(self, k, tangent, out, args, params):
        share = self.partials[k](out, *args)
        part = where(equal(share, 0.0), 0.0, tangent * share)
        return part if part.shape == out.shape else Tools.broadcast_to(part, out.shape)


maximum = Choice("maximum", np.maximum, _share, lambda z, x, y: _share(z, y, x))
minimum = Choice("minimum", np.minimum, _share, lambda z, x, y: _share(z, y, x))


class Where(Elementwise):
    """where(c, x, y): the cotangent goes to the entries selected, exact zeros elsewhere (by
    selection, not by product, so an infinite partial of the other side is never multiplied)."""

    __slots__ = ()
    routes = True

    def pattern(self, k, out, args, params):
        if k == 0:
            return None
        form, chosen = stretched(args[k], out.shape), args[0]
        if isinstance(chosen, Type):
            return form
        return masked(form, args[k], out, chosen if k == 1 else np.logical_not(chosen))

    def _part(self, k, seed, c):
        return where(c, seed, 0.0) if k == 1 else where(c, 0.0, seed)

    def _times(self, k, seed, out, args):
        return None if k == 0 else self._part(k, seed, args[0])

    def vjp(self, k, cotangent, out, args, params):
        if k == 0:
            return None
        part = self._part(k, cotangent, args[0])
        x = args[k]
        if part.shape != x.shape:
            part = Tools.unbroadcast(part, x.shape)
        return Tools.real(part) if part.dtype.kind == "c" and x.dtype.kind != "c" else part


def _where(c, x, y):
    return np.where(c, x, y)[()]


where = Where("where", _where, None, None, None)



def clip(x, low=None, high=None):
    """`x` held between bounds; at a bound the slope is 1/2, as at any tie."""
    if low is None and high is None:
        return x.copy()
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


# --- complex numbers and dtypes -------------------------------------------------------------------


def _zero(*_):
    return 0.0


def _phase(y, x):
    """conj(x) / |x|, and 0 at 0: the documented derivative of abs there."""
    safe = where(equal(y, 0.0), 1.0, y)
    return where(equal(y, 0.0), 0.0, conj(x) / safe)


class Sign(Split):
    """Of real numbers constant between the jumps; of complex ones z / |z|."""

    __slots__ = ()

    def pattern(self, k, out, args, params):
        return IDENTITY if is_complex(out) else None

    def jvp(self, k, tangent, out, args, params):
        return super().jvp(k, tangent, out, args, params) if is_complex(out) else None

    def vjp(self, k, cotangent, out, args, params):
        return super().vjp(k, cotangent, out, args, params) if is_complex(out) else None


def _half_inverse(x):
    """1 / 2|x|, and 0 at 0."""
    zero = equal(x, 0.0)
    return where(zero, 0.0, 0.5 / where(zero, 1.0, absolute(x)))


sign = Sign("sign", np.sign, (lambda y, x: _half_inverse(x),
                              lambda y, x: -(y * y) * _half_inverse(x)))
absolute = Split("absolute", np.absolute,
                 (lambda y, x: 0.5 * _phase(y, x), lambda y, x: 0.5 * conj(_phase(y, x))))
conj = Split("conj", np.conjugate, (_zero, lambda y, x: 1.0))
real = Split("real", lambda x: _entry(np.real(x)), (lambda y, x: 0.5, lambda y, x: 0.5))
imag = Split("imag", lambda x: _entry(np.imag(x)), (lambda y, x: -0.5j, lambda y, x: 0.5j))


def _entry(part):
    """A scalar rather than an array of no dimensions; of a Python number NumPy gives a float."""
    return part if type(part) is float else part[()]


class Cast(Primitive):
    """Change of dtype; the cotangent returns in the operand's own."""

    __slots__ = ()
    routes = True

    def __init__(self):
        super().__init__("astype", lambda x, dtype: np.asarray(x).astype(dtype)[()], _cast_shape,
                         pattern=IDENTITY)

    def jvp(self, k, tangent, out, args, params):
        return astype(tangent, **params) if out.dtype.kind in "fc" else None

    def vjp(self, k, cotangent, out, args, params):
        x = args[0]
        if cotangent.dtype.kind == "c" and x.dtype.kind != "c":
            cotangent = real(cotangent)
        return astype(cotangent, dtype=x.dtype)


def _cast_shape(x, dtype):
    from_type = type(x)
    return from_type(x.shape, dtype)


astype = Cast()

UFUNC_PRIMITIVES = {
    p.fun: p for p in list(globals().values())
    if isinstance(p, (Elementwise, Linear)) and isinstance(p.fun, np.ufunc)
}
"""The primitive of each NumPy ufunc."""
