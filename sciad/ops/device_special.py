"""Device forms of special functions that CuPy lacks, composed of those it has.

Bessel functions of whole order come from those of order 0 and 1: upwards where that is stable,
else by the power series; orthogonal polynomials of whole degree by their three terms;
hypergeometric functions by their integrals. Other orders and parameters raise, naming the function.
"""

import math

import numpy as np

from sciad.core.backend import missing, on_any_device, on_device, special_of
from sciad.ops import bessel, carlson, distributions, functions, incomplete, oscillation, special

# --- Bessel functions, and spherical ones: of order n + half (DLMF 10.6.1, 10.29.1, 10.51.1,
# 10.51.4; series 10.2.2, 10.25.2, 10.53) ----------------------------------------------------------


def _upward(n, x, low, high, outer, inner, half):
    """Order n, by C_{k+1} = outer C_{k-1} + inner 2 (k + half) / x C_k."""
    if n == 0:
        return low
    for k in range(1, n):
        low, high = high, outer * low + inner * (2.0 * (k + half) / x) * high
    return high


def _series(n, x, sign, half, terms=80):
    """(x/2)^n sum_k (sign x^2/4)^k / (k! (n+half)_k), as order 0 is scaled."""
    square = 0.25 * sign * x * x
    total = 0.0 * x + 1.0
    for k in range(terms, 0, -1):
        total = 1.0 + square / (k * (n + half + k)) * total
    return (0.5 * x) ** n * (math.gamma(1.0 + half) / math.gamma(n + half + 1.0)) * total


def _whole_order(home, name, v, most):
    """The order as an integer, if it is one of at most `most`."""
    if on_any_device(v) or np.ndim(v) or float(v) != int(v) or abs(v) > most:
        raise missing(home, name, f" (order {v}, of which whole ones up to {most} do)")
    return int(v)


def _recessive(name, start, sign, half=0.0, scale=None):
    """Like J (`sign` -1) and I (1): upwards only where x is large enough for the order."""
    most = 20 if sign < 0 else 8

    def form(home, v, x):
        n, xp = _whole_order(home, name, v, most), home.module
        turned = -1.0 if sign < 0 and n < 0 and n % 2 else 1.0
        n = abs(n)
        near = xp.absolute(x) <= (max(n, 1) if sign < 0 else 32.0)
        small, large = xp.where(near, x, 0.0 * x), xp.where(near, 0.0 * x + 1.0, x)
        head = _series(n, small, sign, half)
        head = head if scale is None else head * scale(xp, small)
        tail = _upward(n, large, *start(home, large), sign, -sign, half)
        return turned * xp.where(near, head, tail)

    return form


def _dominant(name, start, outer, half=0.0):
    """Like Y (`outer` -1) and K (1): upwards everywhere; C_{-1} = outer C_1."""
    def form(home, v, x):
        n = _whole_order(home, name, v, 100)
        turned = outer if n < 0 and n % 2 else 1.0
        return turned * _upward(abs(n), x, *start(home, x), outer, 1.0, half)

    return form


def _pair(low, high):
    """Orders 0 and 1, which CuPy has."""
    return lambda home, x: (getattr(special_of(home), low)(x), getattr(special_of(home), high)(x))


def _spherical(wave, slope, turn):
    """Orders 0 and 1 of w / x and -(w / x)' turned."""
    def start(home, x):
        w, dw = wave(home.module, x), slope(home.module, x)
        return w / x, turn * (w / x - dw) / x

    return start


def _decay(xp, x):
    return xp.exp(-xp.absolute(x))


def _half_decay(xp, x):
    return 0.5 * np.pi * xp.exp(-x)


for _primitive, _form in {
    bessel.jv: _recessive("jv", _pair("j0", "j1"), -1.0),
    bessel.jve: _recessive("jve", _pair("j0", "j1"), -1.0),
    bessel.iv: _recessive("iv", _pair("i0", "i1"), 1.0),
    bessel.ive: _recessive("ive", _pair("i0e", "i1e"), 1.0, scale=_decay),
    bessel.yv: _dominant("yv", _pair("y0", "y1"), -1.0),
    bessel.yve: _dominant("yve", _pair("y0", "y1"), -1.0),
    bessel.kv: _dominant("kv", _pair("k0", "k1"), 1.0),
    bessel.kn: _dominant("kn", _pair("k0", "k1"), 1.0),
    bessel.kve: _dominant("kve", _pair("k0e", "k1e"), 1.0),
    oscillation.spherical_jn: _recessive("spherical_jn", _spherical(
        lambda xp, x: xp.sin(x), lambda xp, x: xp.cos(x), 1.0), -1.0, 0.5),
    oscillation.spherical_in: _recessive("spherical_in", _spherical(
        lambda xp, x: xp.sinh(x), lambda xp, x: xp.cosh(x), -1.0), 1.0, 0.5),
    oscillation.spherical_yn: _dominant("spherical_yn", _spherical(
        lambda xp, x: -xp.cos(x), lambda xp, x: xp.sin(x), 1.0), -1.0, 0.5),
    oscillation.spherical_kn: _dominant("spherical_kn", _spherical(
        _half_decay, lambda xp, x: -_half_decay(xp, x), 1.0), 1.0, 0.5),
}.items():
    on_device(_primitive, _form)

# --- orthogonal polynomials: p_{k+1} = (A x + B) p_k - C p_{k-1} (DLMF 18.9.1, 18.9.2) ------------


def _legendre(k):
    return (2 * k + 1) / (k + 1), 0.0, k / (k + 1)


def _gegenbauer(k, a):
    return 2.0 * (k + a) / (k + 1), 0.0, (k + 2.0 * a - 1.0) / (k + 1)


def _laguerre(k, a=0.0):
    return -1.0 / (k + 1), (2 * k + a + 1.0) / (k + 1), (k + a) / (k + 1)


def _jacobi(k, a, b):
    if k == 0:
        return 0.5 * (a + b + 2.0), 0.5 * (a - b), 0.0
    s = 2 * k + a + b
    ahead = (s + 1.0) / (2.0 * (k + 1) * (s - k + 1.0))
    return (ahead * (s + 2.0), ahead * (a * a - b * b) / s,
            2.0 * ahead * (k + a) * (k + b) * (s + 2.0) / (s * (s + 1.0)))


def _polynomial(primitive, coefficients):
    def form(home, n, *rest):
        *parameters, x = rest
        xp, top = home.module, _highest(home, primitive.name, n)
        dtype = _dtype(primitive, (n, *rest))
        x = xp.asarray(x, dtype)
        before, last = 0.0, sum((0.0 * y for y in (*parameters, n)), 0.0 * x + 1.0)
        out = last
        for k in range(top):
            a, b, c = coefficients(k, *parameters)
            before, last = last, (a * x + b) * last - c * before
            out = xp.where(n == k + 1, last, out) if on_any_device(n) else last
        return out.astype(dtype)

    return form


def _highest(home, name, n):
    """The highest degree; it waits for an array of them."""
    if not on_any_device(n):
        low = high = float(n)
        whole = low.is_integer()
    else:
        low, high = (float(n.min()), float(n.max())) if n.size else (0.0, 0.0)
        whole = n.dtype.kind in "iu" or bool((n == home.module.floor(n)).all())
    if low < 0 or not whole:
        raise missing(home, name, " (a degree that is no whole number)")
    return int(high)


def _dtype(primitive, args):
    return primitive.fun(*(np.ones(1, x.dtype) if hasattr(x, "dtype") else x for x in args)).dtype


for _primitive, _coefficients in {
    special.eval_legendre: _legendre,
    special.eval_chebyt: lambda k: (2.0 if k else 1.0, 0.0, 1.0),
    special.eval_chebyu: lambda k: (2.0, 0.0, 1.0),
    special.eval_gegenbauer: _gegenbauer,
    special.eval_hermite: lambda k: (2.0, 0.0, 2.0 * k),
    special.eval_hermitenorm: lambda k: (1.0, 0.0, float(k)),
    special.eval_laguerre: _laguerre,
    special.eval_genlaguerre: _laguerre,
    special.eval_jacobi: _jacobi,
}.items():
    on_device(_primitive, _polynomial(_primitive, _coefficients))

# --- hypergeometric functions: Euler's integrals (DLMF 13.4.1, 15.6.1) ----------------------------
# int_0^1 t^(p-1) (1-t)^(q-1) kernel(t) dt / B(p, q), by the trapezoidal rule in s = logit t: the
# integrand is analytic for |Im s| < pi, and Re t lies in [0, 1] for half of that.

_POINTS, _CHUNK = 768, 4096


def _beta_mean(xp, p, q, z, kernel):
    """The mean of ``kernel(z, t, 1 - t)`` under the beta distribution of p and q."""
    s = np.linspace(-60.0 / p, 40.0 / q + 37.0, _POINTS)
    t, rest = 1.0 / (1.0 + np.exp(-s)), 1.0 / (1.0 + np.exp(s))
    log_beta = math.lgamma(p) + math.lgamma(q) - math.lgamma(p + q)
    weights = (s[1] - s[0]) * np.exp(p * np.log(t) + q * np.log(rest) - log_beta)
    t, rest, weights = map(xp.asarray, (t, rest, weights))
    flat = xp.asarray(z, float).reshape(-1, 1)
    parts = [kernel(flat[k:k + _CHUNK], t, rest) @ weights
             for k in range(0, flat.shape[0], _CHUNK)]
    return xp.concatenate(parts or [flat[:, 0]]).reshape(z.shape)


def _numbers(home, name, *parameters):
    """The parameters as numbers, the last two (p and q) positive."""
    if any(on_any_device(x) or np.ndim(x) for x in parameters) or min(parameters[-2:]) <= 0:
        raise missing(home, name, " (with these parameters)")
    return map(float, parameters)


def _hyp1f1(home, a, b, z):
    p, q = _numbers(home, "hyp1f1", a, b - a)
    xp = home.module
    top = xp.maximum(z, 0.0 * z)
    mean = _beta_mean(xp, p, q, z, lambda z, t, rest: xp.exp(
        xp.where(z > 0.0, -z * rest, z * t)))
    return (mean * xp.exp(top)).astype(z.dtype)


def _hyp2f1(home, a, b, c, z):
    """For z < 1; at 1 it is infinite or not computed here, beyond NaN."""
    a, p, q = _numbers(home, "hyp2f1", a, b, c - b)
    xp = home.module
    inside = z < 1.0
    mean = _beta_mean(xp, p, q, xp.where(inside, z, 0.0 * z),
                      lambda z, t, rest: (rest + (1.0 - z) * t) ** -a)
    beyond = xp.where(z == 1.0, 0.0 * z + (np.inf if a >= q else np.nan), 0.0 * z + np.nan)
    return xp.where(inside, mean, beyond).astype(z.dtype)


on_device(special.hyp1f1, _hyp1f1)
on_device(special.hyp2f1, _hyp2f1)

# --- one formula each -----------------------------------------------------------------------------


def _betaincc(home, a, b, x):
    """DLMF 8.17.4."""
    return special_of(home).betainc(b, a, 1.0 - x)


def _betainccinv(home, a, b, p):
    return 1.0 - special_of(home).betaincinv(b, a, p)


def _powm1(home, x, y):
    xp = home.module
    x = xp.asarray(x)
    positive = x > 0.0
    return xp.where(positive, xp.expm1(y * xp.log(xp.where(positive, x, 1.0 + 0.0 * x))),
                    x ** y - 1.0)


def _spacing(home, x):
    xp = home.module
    size = xp.absolute(x)
    return xp.copysign(xp.nextafter(size, 0.0 * x + np.inf) - size, x)


def _stdtr(home, v, t):
    """Student's distribution, from either end of the incomplete beta function (DLMF 8.17.4)."""
    xp, own = home.module, special_of(home)
    v, t = xp.asarray(v), xp.asarray(t)
    square, sign = t * t, xp.sign(t)
    middle = 0.5 + 0.5 * sign * own.betainc(0.5, 0.5 * v, square / (v + square))
    tail = 0.5 * own.betainc(0.5 * v, 0.5, v / (v + square))
    return xp.where(square < v, middle, xp.where(sign > 0.0, 1.0 - tail, tail))


def _stdtrit(home, v, p):
    xp, own = home.module, special_of(home)
    v, p = xp.asarray(v), xp.asarray(p)
    shift = 2.0 * p - 1.0
    u = own.betaincinv(0.5, 0.5 * v, xp.absolute(shift))
    w = own.betaincinv(0.5 * v, 0.5, 2.0 * xp.minimum(p, 1.0 - p))
    ratio = xp.where(xp.absolute(shift) < 0.5, u / (1.0 - u), (1.0 - w) / w)
    return xp.sign(shift) * xp.sqrt(v * ratio)


on_device(distributions.stdtr, _stdtr)
on_device(distributions.stdtrit, _stdtrit)
on_device(incomplete.betaincc, _betaincc)
on_device(carlson.elliprf, lambda home, *z: 0.5 * carlson.integral(*z, b=(0.5, 0.5, 0.5)))
on_device(carlson.elliprd, lambda home, *z: 1.5 * carlson.integral(*z, b=(0.5, 0.5, 1.5)))
on_device(incomplete.betainccinv, _betainccinv)
on_device(distributions.powm1, _powm1)
on_device(functions.spacing, _spacing)
on_device(special.ellipe, lambda home, m: special_of(home).ellipeinc(0.5 * np.pi, m))
for _primitive, _function, _place in (
        (oscillation.sine_integral, "sici", 0), (oscillation.cosine_integral, "sici", 1),
        (oscillation.sinh_integral, "shichi", 0), (oscillation.cosh_integral, "shichi", 1)):
    on_device(_primitive, lambda home, x, f=_function, k=_place: getattr(special_of(home), f)(x)[k])
