"""Distribution functions and their inverses, power transforms, losses.

The distribution functions are incomplete gamma and beta functions of other arguments, so they
differentiate by their shape parameters too (`sciad.ops.incomplete`); whole-numbered arguments
(counts) are held fixed. Student's distribution and its inverse state their density, which keeps
the derivative right at 0, and

    boxcox(x, l) = (x^l - 1) / l = log x exprel(l log x)

keeps it right at l = 0.
"""

import numpy as np

from sciad.ops.elementwise import (
    absolute,
    equal,
    exp,
    less,
    less_equal,
    log,
    log1p,
    sign,
    sqrt,
    where,
)
from sciad.ops.incomplete import (
    betainc,
    betaincc,
    betaincinv,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
)
from sciad.ops.special import declare, ellipk, erf, gammaln, hyp1f1, psi, whole, wofz

ROOT_2PI = float(np.sqrt(2.0 * np.pi))

# --- gamma and beta in other words ----------------------------------------------------------------


def chdtr(v, x):
    return gammainc(0.5 * v, 0.5 * x)


def chdtrc(v, x):
    return gammaincc(0.5 * v, 0.5 * x)


def chdtri(v, p):
    return 2.0 * gammainccinv(0.5 * v, p)


def gdtr(a, b, x):
    return gammainc(b, a * x)


def gdtrc(a, b, x):
    return gammaincc(b, a * x)


def gdtrix(a, b, p):
    return gammaincinv(b, p) / a


def pdtr(k, m):
    return gammaincc(whole(k) + 1.0, m)


def pdtrc(k, m):
    return gammainc(whole(k) + 1.0, m)


def fdtr(n, d, x):
    return betainc(0.5 * n, 0.5 * d, n * x / (d + n * x))


def fdtrc(n, d, x):
    return betaincc(0.5 * n, 0.5 * d, n * x / (d + n * x))


def fdtri(n, d, p):
    t = betaincinv(0.5 * n, 0.5 * d, p)
    return d * t / (n * (1.0 - t))


def bdtr(k, n, p):
    k, n = whole(k), whole(n)
    return betaincc(k + 1.0, n - k, p)


def bdtrc(k, n, p):
    k, n = whole(k), whole(n)
    return betainc(k + 1.0, n - k, p)


def nbdtr(k, n, p):
    return betainc(whole(n), whole(k) + 1.0, p)


def nbdtrc(k, n, p):
    return betaincc(whole(n), whole(k) + 1.0, p)


# --- Student's t ----------------------------------------------------------------------------------


def _density(v, t):
    log_factor = gammaln(0.5 * (v + 1.0)) - gammaln(0.5 * v) - 0.5 * log(np.pi * v)
    return exp(log_factor - 0.5 * (v + 1.0) * log1p(t * t / v))


def _by_freedom(v, t):
    """d/dv of the distribution function, from the tail I_w(v/2, 1/2) / 2 = (1 - I_u(1/2, v/2)) / 2
    beyond |t|, with w = v / (v + t^2), u = 1 - w: the latter where u is small. At t = 0 it
    is t times the slope of the density."""
    zero = equal(t, 0.0)
    square = where(zero, 1.0, t * t)
    total = v + square
    near = less(square, v)
    slope = square / (total * total)
    u = where(near, square, 0.5 * v) / where(near, total, v)
    w = where(near, 0.5, v / total)
    small = slope * betainc.partials[2](None, 0.5, 0.5 * v, u) - 0.5 * betainc.partials[1](
        None, 0.5, 0.5 * v, u)
    large = 0.5 * betainc.partials[0](None, 0.5 * v, 0.5, w) + slope * betainc.partials[2](
        None, 0.5 * v, 0.5, w)
    at_zero = 0.5 * (psi(0.5 * (v + 1.0)) - psi(0.5 * v) - 1.0 / v) * _density(v, 0.0)
    return where(zero, t * at_zero, -0.5 * sign(t) * where(near, small, large))


stdtr = declare("stdtr", lambda y, v, t: _by_freedom(v, t), lambda y, v, t: _density(v, t))
stdtrit = declare("stdtrit", lambda t, v, p: -_by_freedom(v, t) / _density(v, t),
                  lambda t, v, p: 1.0 / _density(v, t))

# --- normal ---------------------------------------------------------------------------------------

ndtri_exp = declare("ndtri_exp", lambda x, y: ROOT_2PI * exp(y + 0.5 * x * x))
owens_t = declare(
    "owens_t",
    lambda y, h, a: exp(-0.5 * h * h) * erf(a * h * float(np.sqrt(0.5))) * (-0.5 / ROOT_2PI),
    lambda y, h, a: exp(-0.5 * h * h * (1.0 + a * a)) / (2.0 * np.pi * (1.0 + a * a)))


def voigt_profile(x, sigma, gamma):
    """Re w(z) / (sigma sqrt(2 pi)), z = (x + i gamma) / (sigma sqrt 2)."""
    z = (x + 1j * gamma) / (sigma * float(np.sqrt(2.0)))
    return wofz(z).real / (sigma * ROOT_2PI)


# --- power transforms -----------------------------------------------------------------------------

exprel = declare("exprel", lambda y, x: 0.5 * hyp1f1(2.0, 3.0, x))


def _by_exponent(size, exponent):
    """d/dl of (e^(l s) - 1) / l, s a logarithm."""
    return 0.5 * size * size * hyp1f1(2.0, 3.0, exponent * size)


boxcox = declare("boxcox", lambda y, x, k: x ** (k - 1.0),
                 lambda y, x, k: _by_exponent(log(x), k))
boxcox1p = declare("boxcox1p", lambda y, x, k: (1.0 + x) ** (k - 1.0),
                   lambda y, x, k: _by_exponent(log1p(x), k))
inv_boxcox = declare("inv_boxcox", lambda x, y, k: x ** (1.0 - k),
                     lambda x, y, k: -_by_exponent(log(x), k) * x ** (1.0 - k))
inv_boxcox1p = declare("inv_boxcox1p", lambda x, y, k: (1.0 + x) ** (1.0 - k),
                       lambda x, y, k: -_by_exponent(log1p(x), k) * (1.0 + x) ** (1.0 - k))
powm1 = declare("powm1", lambda z, x, y: y * x ** (y - 1.0),
                lambda z, x, y: (z + 1.0) * log(x))

# --- losses and small functions -------------------------------------------------------------------


def huber(delta, r):
    """r^2 / 2 near 0, linear beyond delta."""
    size = absolute(r)
    return where(less_equal(size, delta), 0.5 * r * r, delta * (size - 0.5 * delta))


def pseudo_huber(delta, r):
    return delta * delta * (sqrt(1.0 + (r / delta) ** 2) - 1.0)


def agm(a, b):
    """pi (a + b) / 4 K(m), m = ((a - b) / (a + b))^2 (DLMF 19.8.6)."""
    return 0.25 * np.pi * (a + b) / ellipk(((a - b) / (a + b)) ** 2)
