"""Special functions of one and two variables, as elementwise operations.

The formulas are those of the NIST Digital Library of Mathematical Functions (chapters 5, 7, 8,
15, 18, 19, 25). A parameter without a derivative here (an order, a degree) raises by name.
"""

import numpy as np
from scipy import special as sp

from sciad.core.backend import as_operand, on_device, special_of
from sciad.core.errors import NoRuleError, at_line
from sciad.core.rules import Elementwise, ElementwiseConstant, elementwise, is_complex
from sciad.ops.elementwise import (
    absolute,
    cos,
    equal,
    exp,
    greater,
    less,
    log,
    log1p,
    not_equal,
    sin,
    trunc,
    where,
)

SQRT_PI = float(np.sqrt(np.pi))


def no_rule(name, operand):
    """The partial derivative of an operand that has none here."""

    def partial(*_):
        raise NoRuleError(f"{name} has no derivative by its {operand}{at_line()}; pass "
                          f"sciad.stop_gradient({operand}) if it is to be held fixed")

    return partial


def whole(k):
    """The whole part of an argument that SciPy truncates; Python numbers stay such, so that they
    widen no other operand."""
    return int(k) if isinstance(k, (int, float)) else trunc(k)


def declare(name, *partials):
    return elementwise(name, getattr(sp, name), *partials)


# --- error function and normal distribution (DLMF 7) ----------------------------------------------

erf = declare("erf", lambda y, x: 2.0 / SQRT_PI * exp(-x * x))
erfc = declare("erfc", lambda y, x: -2.0 / SQRT_PI * exp(-x * x))
erfcx = declare("erfcx", lambda y, x: _slope_of_erfcx(y, x))
erfi = declare("erfi", lambda y, x: 2.0 / SQRT_PI * exp(x * x))
dawsn = declare("dawsn", lambda y, x: _slope_of_dawsn(y, x))
wofz = declare("wofz", lambda y, z: 2j / SQRT_PI - 2.0 * z * y)
erfinv = declare("erfinv", lambda y, x: SQRT_PI / 2.0 * exp(y * y))
erfcinv = declare("erfcinv", lambda y, x: -SQRT_PI / 2.0 * exp(y * y))
ndtr = declare("ndtr", lambda y, x: exp(-0.5 * x * x) / (SQRT_PI * 2.0**0.5))
ndtri = declare("ndtri", lambda y, p: SQRT_PI * 2.0**0.5 * exp(0.5 * y * y))
log_ndtr = declare("log_ndtr", lambda y, x: _inverse_mills_ratio(y, x))

_FAR = 12.0
"""From here on the series below are exact to rounding, and the plain formulas cancel."""


def _series(x, sign):
    """sum_k (2k + 1)!! (sign / 2x^2)^k / x^2, for |x| >= _FAR."""
    t = sign / (2.0 * x * x)
    total = 1.0
    for k in range(23, 1, -2):
        total = 1.0 + float(k) * t * total
    return total / (x * x)


def _slope_of_erfcx(y, x):
    """2 x y - 2 / sqrt(pi), for large x by its asymptotic series (DLMF 7.12.1)."""
    near = 2.0 * x * y - 2.0 / SQRT_PI
    if is_complex(x):
        return near
    far = greater(x, _FAR)
    return where(far, -1.0 / SQRT_PI * _series(where(far, x, _FAR), -1.0), near)


def _slope_of_dawsn(y, x):
    """1 - 2 x y, for large x by its asymptotic series (DLMF 7.12.4)."""
    near = 1.0 - 2.0 * x * y
    if is_complex(x):
        return near
    far = greater(absolute(x), _FAR)
    return where(far, -0.5 * _series(where(far, x, _FAR), 1.0), near)


def _inverse_mills_ratio(y, x):
    """The normal density over the distribution function; left of 0 by erfcx, whose derivatives
    do not cancel either."""
    density = exp(-0.5 * x * x - y) / (SQRT_PI * 2.0**0.5)
    if is_complex(x):
        return density
    left = less(x, 0.0)
    return where(left, (2.0**0.5 / SQRT_PI) / erfcx(where(left, x, -1.0) * -(0.5**0.5)), density)


# --- gamma and beta (DLMF 5, 25.11) ---------------------------------------------------------------

zeta = declare("zeta", no_rule("zeta", "s"), lambda y, s, q: -s * zeta(s + 1, q))
riemann_zeta = elementwise("riemann_zeta", lambda s: sp.zeta(s), no_rule("zeta", "s"))
psi = declare("psi", lambda y, x: (complex_zeta if is_complex(x) else zeta)(2.0, x))
gammaln = declare("gammaln", lambda y, x: psi(x))
loggamma = declare("loggamma", lambda y, z: psi(z))
gamma = declare("gamma", lambda y, x: y * psi(x))
rgamma = declare("rgamma", lambda y, x: _slope_of_rgamma(y, x))


def _slope_of_rgamma(y, x):
    """-y psi(x); left of 1/2, where psi has poles and 1 / gamma has none, the derivative of
    gamma(1 - x) sin(pi x) / pi (DLMF 5.5.3)."""
    if is_complex(x):
        return -y * psi(x)
    left = less(x, 0.5)
    u, v = where(left, x, 0.25), where(left, 1.0, x)
    turn = cos(np.pi * u) - psi(1.0 - u) * sin(np.pi * u) / np.pi
    return where(left, gamma(1.0 - u) * turn, -y * psi(v))


def _complex_zeta(s, q):
    """sum_k (k + q)^-s over k >= 0 for a whole s > 1: the first terms, and the Euler-Maclaurin
    formula for the rest (DLMF 25.11.5, 2.10.1)."""
    q = as_operand(q)
    first = 20 + max(0, int(np.ceil(-float(q.real.min())))) if q.size else 20
    if first > 10000:
        raise NoRuleError(f"psi: the derivative at complex numbers with a real part below -10000 "
                          f"is not computed here{at_line()}")
    head = sum((q + k) ** -s for k in range(first))
    z = q + first
    term, tail = s * z ** (-s - 1.0), z ** (1.0 - s) / (s - 1.0) + 0.5 * z ** -s
    for j, ratio in enumerate(_BERNOULLI, 1):
        tail = tail + ratio * term
        term = term * (s + 2 * j - 1.0) * (s + 2 * j) / (z * z)
    return (head + tail)[()]


_BERNOULLI = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
              1 / 74724249600]
"""B_2j / (2j)!."""

complex_zeta = elementwise("complex_zeta", _complex_zeta, no_rule("zeta", "s"),
                           lambda y, s, q: -s * complex_zeta(s + 1.0, q))
poch = declare("poch", lambda y, z, m: y * (psi(z + m) - psi(z)), lambda y, z, m: y * psi(z + m))
binom = declare("binom", lambda y, n, k: y * (psi(n + 1.0) - psi(n - k + 1.0)),
                lambda y, n, k: y * (psi(n - k + 1.0) - psi(k + 1.0)))
gammasgn = ElementwiseConstant("gammasgn", sp.gammasgn)
beta = declare("beta", lambda y, a, b: y * (psi(a) - psi(a + b)),
               lambda y, a, b: y * (psi(b) - psi(a + b)))
betaln = declare("betaln", lambda y, a, b: psi(a) - psi(a + b),
                 lambda y, a, b: psi(b) - psi(a + b))

# --- logistic and entropies -----------------------------------------------------------------------

expit = declare("expit", lambda y, x: y * expit(-x))
logit = declare("logit", lambda y, x: 1.0 / (x * (1.0 - x)))
log_expit = declare("log_expit", lambda y, x: expit(-x))


def _ratio(x, y):
    """x / y, and 0 for x = 0 whatever y is: the slope of x log y by y."""
    zero = equal(x, 0.0)
    return where(zero, 0.0 * x, x / where(zero, 1.0, y))


xlogy = declare("xlogy", lambda z, x, y: log(y), lambda z, x, y: _ratio(x, y))
xlog1py = declare("xlog1py", lambda z, x, y: log1p(y), lambda z, x, y: _ratio(x, 1.0 + y))
entr = declare("entr", lambda y, x: -log(x) - 1.0)
rel_entr = declare("rel_entr", lambda z, x, y: log(x / y) + 1.0, lambda z, x, y: -(x / y))
kl_div = declare("kl_div", lambda z, x, y: log(x / y), lambda z, x, y: 1.0 - x / y)

# --- exponential integrals, dilogarithm, Lambert W ------------------------------------------------

expi = declare("expi", lambda y, x: exp(x) / x)
exp1 = declare("exp1", lambda y, x: -exp(-x) / x)


def _expn_slope(y, n, x):
    """-E_{n-1}; that of E_0 = exp(-x) / x by itself."""
    lowest = less(whole(n), 1)
    return -where(lowest, y * (1.0 + 1.0 / x), expn(where(lowest, 0, whole(n) - 1), x))


expn = declare("expn", None, _expn_slope)


def _log_ratio(z):
    """log(z) / (1 - z); near 1 the hypergeometric function that it is (DLMF 15.4.1)."""
    near = less(absolute(z - 1.0), 0.5)
    return where(near, -hyp2f1(1.0, 1.0, 2.0, where(near, 1.0 - z, 0.0)),
                 log(z) / (1.0 - where(near, 0.5, z)))


spence = declare("spence", lambda y, z: _log_ratio(z))


class LambertW(Elementwise):
    """W(z) on branch k: W exp(W) = z, so W' = exp(-W) / (1 + W)."""

    __slots__ = ()

    def __init__(self):
        super().__init__("lambertw", lambda z, k: sp.lambertw(z, k),
                         lambda w, z: exp(-w) / (1.0 + w))


lambertw = LambertW()
on_device(lambertw, lambda home, z, k: special_of(home).lambertw(z, k))
exp10 = declare("exp10", lambda y, x: y * float(np.log(10.0)))
cosm1 = declare("cosm1", lambda y, x: -sin(x))

# --- hypergeometric functions and complete elliptic integrals (DLMF 15.5, 19.5) -------------------
# K and E are hypergeometric in m, which keeps every order of derivative right at m = 0.

hyp2f1 = declare("hyp2f1", *(no_rule("hyp2f1", k) for k in "abc"),
                 lambda y, a, b, c, z: (a * b / c) * hyp2f1(a + 1.0, b + 1.0, c + 1.0, z))
hyp1f1 = declare("hyp1f1", no_rule("hyp1f1", "a"), no_rule("hyp1f1", "b"),
                 lambda y, a, b, z: (a / b) * hyp1f1(a + 1.0, b + 1.0, z))
hyp0f1 = declare("hyp0f1", no_rule("hyp0f1", "v"),
                 lambda y, v, z: hyp0f1(v + 1.0, z) / v)
ellipk = declare("ellipk", lambda y, m: float(np.pi / 8) * hyp2f1(1.5, 1.5, 2.0, m))
ellipkm1 = declare("ellipkm1", lambda y, p: float(-np.pi / 8) * hyp2f1(1.5, 1.5, 2.0, 1.0 - p))
ellipe = declare("ellipe", lambda y, m: float(-np.pi / 8) * hyp2f1(0.5, 1.5, 2.0, m))

# --- orthogonal polynomials as evaluated, by x (DLMF 18.9) ----------------------------------------


def _less(n):
    """n - 1, and 0 for n = 0, where `_some` makes the derivative 0."""
    if isinstance(n, (int, float)):
        return n - 1 if n else n
    return n - not_equal(n, 0) * 1


def _some(n):
    """1, and 0 for n = 0."""
    return float(n != 0) if isinstance(n, (int, float)) else not_equal(n, 0) * 1.0


def _polynomial(name, slope, parameters=("n",)):
    return declare(name, *(no_rule(name, p) for p in parameters), slope)


eval_jacobi = _polynomial(
    "eval_jacobi",
    lambda y, n, a, b, x: (_some(n) * 0.5 * (n + a + b + 1.0)
                           * eval_jacobi(_less(n), a + 1.0, b + 1.0, x)),
    ("n", "alpha", "beta"))
eval_legendre = _polynomial(
    "eval_legendre",
    lambda y, n, x: _some(n) * 0.5 * (n + 1.0) * eval_jacobi(_less(n), 1.0, 1.0, x))
eval_gegenbauer = _polynomial(
    "eval_gegenbauer",
    lambda y, n, a, x: _some(n) * 2.0 * a * eval_gegenbauer(_less(n), a + 1.0, x),
    ("n", "alpha"))
eval_chebyu = _polynomial(
    "eval_chebyu",
    lambda y, n, x: _some(n) * 2.0 * eval_gegenbauer(_less(n), 2.0, x))
eval_chebyt = _polynomial("eval_chebyt", lambda y, n, x: n * eval_chebyu(_less(n), x))
eval_hermite = _polynomial("eval_hermite", lambda y, n, x: 2.0 * n * eval_hermite(_less(n), x))
eval_hermitenorm = _polynomial("eval_hermitenorm",
                               lambda y, n, x: n * eval_hermitenorm(_less(n), x))
eval_genlaguerre = _polynomial(
    "eval_genlaguerre",
    lambda y, n, a, x: _some(n) * -1.0 * eval_genlaguerre(_less(n), a + 1.0, x),
    ("n", "alpha"))
eval_laguerre = _polynomial(
    "eval_laguerre",
    lambda y, n, x: _some(n) * -1.0 * eval_genlaguerre(_less(n), 1.0, x))


def eval_sh_jacobi(n, p, q, x):
    """By a Jacobi polynomial of 2x - 1 (DLMF 18.1.2)."""
    return eval_jacobi(n, p - q, q - 1.0, 2.0 * x - 1.0) / binom(2.0 * n + p - 1.0, n)


def _associated_slope(y, m, v, x):
    """DLMF 14.10.5; NaN at x = 1 and -1, which are singular for odd m."""
    return ((m - v - 1.0) * lpmv(m, v + 1.0, x) + (v + 1.0) * x * y) / (1.0 - x * x)


lpmv = declare("lpmv", no_rule("lpmv", "m"), no_rule("lpmv", "v"), _associated_slope)
