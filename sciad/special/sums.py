"""Functions of `scipy.special` that are no ufuncs, or made of those that have rules."""

import math

import numpy as np
from scipy import special as sp

from sciad.core.array import UFUNCS, Array
from sciad.core.backend import home_of, on_any_device
from sciad.core.errors import ArgumentError, at_line
from sciad.core.transforms import stop_gradient
from sciad.ops import oscillation, special
from sciad.ops.elementwise import (
    absolute,
    equal,
    exp,
    isfinite,
    log,
    not_equal,
    real,
    sign,
    where,
)
from sciad.ops.functions import require_real
from sciad.ops.reduce import max_, sum_
from sciad.special.functions import operand


def _followed(*args) -> bool:
    return any(isinstance(x, Array) or on_any_device(x) for x in args)


def _largest(x, axis):
    """The largest real part along `axis`, held fixed; 0 of nothing."""
    largest = max_ if x.size else sum_
    return stop_gradient(largest(real(x) if x.dtype.kind == "c" else x, axis, keepdims=True))


def _shift(x, axis):
    """The largest real part along `axis`, held fixed; 0 where it is infinite, or of nothing."""
    top = _largest(x, axis)
    return where(isfinite(top), top, 0.0)


def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):
    """``scipy.special.logsumexp``: log(sum(b exp(a))) without overflow.

    Examples
    --------
    >>> import numpy as np, sciad
    >>> from sciad.special import logsumexp
    >>> print(sciad.grad(logsumexp)(np.array([1000.0, 1000.0])))
    [0.5 0.5]
    """
    a, b = operand(a), operand(b)
    if not _followed(a, b):
        return sp.logsumexp(a, axis, b, keepdims, return_sign)
    a = a if isinstance(a, Array) else np.asarray(a)
    counted = a if b is None else where(not_equal(b, 0.0), a, -np.inf)
    top = _largest(counted, axis)
    shift = where(isfinite(top), top, 0.0)
    total = sum_(_terms(a - shift, b), axis, keepdims)
    nothing = equal(top, -np.inf)  # exp(-inf) alone: no derivative is owed to it
    if not keepdims:
        shift, nothing = (x.reshape(total.shape) for x in (shift, nothing))
    if not return_sign:
        return where(nothing, -np.inf, _log(where(nothing, 1.0, total)) + shift)
    size = absolute(total)
    return _log(size) + shift, total / size if total.dtype.kind == "c" else sign(total)


def _terms(x, b):
    """b exp(x), and 0 of what a constant b of 0 leaves out, whose exponential may be too large."""
    if b is None:
        return exp(x)
    if isinstance(b, Array):
        return b * exp(x)
    return where(equal(b, 0.0), 0.0, b * exp(where(equal(b, 0.0), 0.0, x)))


def _log(x):
    with np.errstate(divide="ignore"):
        return log(x)


def softmax(x, axis=None):
    """``scipy.special.softmax``: exp(x) / sum(exp(x))."""
    x = operand(x)
    if not _followed(x):
        return sp.softmax(x, axis)
    terms = exp(x - _shift(x, axis))
    return terms / sum_(terms, axis, keepdims=True)


def log_softmax(x, axis=None):
    """``scipy.special.log_softmax``: x - logsumexp(x)."""
    x = operand(x)
    if not _followed(x):
        return sp.log_softmax(x, axis)
    shifted = x - (_shift(x, axis) if x.dtype.kind != "c" else
                   stop_gradient(max_(x, axis, keepdims=True)))
    return shifted - log(sum_(exp(shifted), axis, keepdims=True))


def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return -special.log_expit(-operand(x))


def zeta(x, q=None):
    """``scipy.special.zeta``: the Hurwitz (or Riemann) zeta function."""
    x, q = operand(x), operand(q)
    if not _followed(x, q):
        return sp.zeta(x, q)
    if q is None and home_of(x) is None:  # which goes on below 1, where Hurwitz's is a NaN
        return special.riemann_zeta(x)
    return special.zeta(x, 1.0 if q is None else q)


# what SciPy's own zeta and lambertw call
UFUNCS[sp._ufuncs._riemann_zeta] = zeta
UFUNCS[sp._ufuncs._zeta] = zeta


def _branch(z, k, tol):
    return special.lambertw(operand(z), k=int(k))


UFUNCS[sp._ufuncs._lambertw] = _branch


def polygamma(n, x):
    """``scipy.special.polygamma`` for a whole number `n`: the nth derivative of psi."""
    x = operand(x)
    if not _followed(n, x):
        return sp.polygamma(n, x)
    if not isinstance(n, (int, np.integer)) or n < 0:
        raise ArgumentError(f"polygamma: n={n!r} must be a whole number{at_line()}")
    require_real("polygamma", x)
    x = x.astype(np.result_type(x.dtype, np.float64))
    if n == 0:
        return special.psi(x)
    return (-1.0) ** (n + 1) * float(math.factorial(n)) * special.zeta(n + 1.0, x)


def multigammaln(a, d):
    """``scipy.special.multigammaln``: the logarithm of the multivariate gamma function."""
    a = operand(a)
    if not _followed(a):
        return sp.multigammaln(a, d)
    a = a.astype(np.result_type(a.dtype, np.float64))
    halves = 0.5 * np.arange(d)
    terms = special.gammaln(a.reshape((*a.shape, 1)) - halves)
    return sum_(terms, -1) + d * (d - 1) * 0.25 * float(np.log(np.pi))


def lambertw(z, k=0, tol=1e-8):
    """``scipy.special.lambertw`` on branch `k`; a complex result, as SciPy's."""
    z = operand(z)
    return special.lambertw(z, k=int(k)) if _followed(z) else sp.lambertw(z, k, tol)


def _spherical(name):
    original, primitive = getattr(sp, name), getattr(oscillation, name)

    def call(n, z, derivative=False):
        z = operand(z)
        if not _followed(n, z):
            return original(n, z, derivative)
        if derivative:
            return primitive.partials[1](None, n, z)
        return primitive(n, z)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``scipy.special.{name}``: of order `n`, or its derivative by `z`."
    return call


spherical_jn = _spherical("spherical_jn")
spherical_yn = _spherical("spherical_yn")
spherical_in = _spherical("spherical_in")
spherical_kn = _spherical("spherical_kn")

jvp, yvp, ivp, kvp, h1vp, h2vp = sp.jvp, sp.yvp, sp.ivp, sp.kvp, sp.h1vp, sp.h2vp
assoc_laguerre, sinc = sp.assoc_laguerre, sp.sinc


def legendre_p(n, z, *, diff_n=0):
    """``scipy.special.legendre_p`` for whole `n`; without its derivatives, which `grad` gives."""
    z = operand(z)
    if not _followed(n, z):
        return sp.legendre_p(n, z, diff_n=diff_n)
    if diff_n:
        raise ArgumentError(f"legendre_p: diff_n={diff_n!r} of a followed value{at_line()}; take "
                            "legendre_p(n, z) and differentiate it")
    return special.eval_legendre(n, z)[None]


def comb(N, k, *, exact=False, repetition=False):
    """``scipy.special.comb``: of differentiated values by the gamma function."""
    N, k = operand(N), operand(k)
    if not _followed(N, k):
        return sp.comb(N, k, exact=exact, repetition=repetition)
    return special.binom(N + k - 1.0 if repetition else N, k)


def factorial(n, exact=False):
    """``scipy.special.factorial``: of a differentiated value gamma(n + 1), 0 where n < 0."""
    n = operand(n)
    if not _followed(n):
        return sp.factorial(n, exact)
    require_real("factorial", n)
    return where(n < 0.0, 0.0, special.gamma(n + 1.0))
