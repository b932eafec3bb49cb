"""Plain SciPy calls on differentiated values: right, or an error that names the function."""

import statistics
import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.spatial.distance
import scipy.stats
from scipy import special as sp

import sciad
from sciad.core.errors import NoRuleError

X = np.array([0.3, 0.5, 2.0])
A = np.eye(3) + 0.1

REFUSED = {
    "scipy.linalg.solve.*np.linalg.solve": lambda x: scipy.linalg.solve(A * x[0], X),
    "scipy.linalg.inv.*np.linalg.inv": lambda x: scipy.linalg.inv(A * x[0]),
    "scipy.linalg.cholesky.*np.linalg.cholesky": lambda x: scipy.linalg.cholesky(A * x[0]),
    "scipy.linalg.eigh.*np.linalg.eigh": lambda x: scipy.linalg.eigh(A * x[0]),
    "scipy.linalg.expm.*stop_gradient": lambda x: scipy.linalg.expm(A * x[0]),
    "scipy.linalg.lu_factor": lambda x: scipy.linalg.lu_factor(A * x[0]),
    "scipy.fft.rfft.*np.fft.rfft": lambda x: scipy.fft.rfft(x),
    "scipy.special.logsumexp.*sciad.special.logsumexp": lambda x: sp.logsumexp(x),
    "scipy.special.polygamma": lambda x: sp.polygamma(1, x),
    "scipy.special.multigammaln": lambda x: sp.multigammaln(x[2] + 3, 2),
    "scipy.special.spherical_jn": lambda x: sp.spherical_jn(1, x),
    "scipy.special.comb": lambda x: sp.comb(x, 2),
    "scipy.special.diric takes.*formula in": lambda x: sp.diric(x, 3),
    "scipy.special.legendre_p takes.*sciad.special.legendre_p": lambda x: sp.legendre_p(2, x),
    "scipy.special.assoc_legendre_p takes.*formula in": lambda x: sp.assoc_legendre_p(2, 1, x),
    "scipy.special.sph_harm_y takes.*formula in": lambda x: sp.sph_harm_y(2, 1, x, x),
    "scipy.special.legendre_p_all takes.*formula in": lambda x: sp.legendre_p_all(2, x),
}


def decay(t, y, rate):
    return -rate * y


T = np.arange(3.0)
FOLLOWED_INSIDE = {
    "scipy.integrate.solve_ivp .*use sciad.ode.solve_ivp":
        lambda x: scipy.integrate.solve_ivp(lambda t, y: -x[0] * y, (0, 1), [1.0]).y,
    "scipy.integrate.solve_ivp .*sciad.ode.solve_ivp.*stop_gradient":
        lambda x: scipy.integrate.solve_ivp(decay, (0, 1), x, args=(2.0,)).y,
    "scipy.integrate.odeint .*sciad.ode.solve_ivp":
        lambda x: scipy.integrate.odeint(lambda y, t: -x[0] * y, [1.0], [0.0, 1.0]),
    "scipy.integrate.quad .*leggauss.*custom_rule":
        lambda x: scipy.integrate.quad(lambda t: x[0] * t, 0, 1)[0],
    "scipy.integrate.quad ": lambda x: scipy.integrate.quad(lambda t: t, 0, x[0])[0],
    "scipy.optimize.minimize .*custom_rule":
        lambda x: scipy.optimize.minimize(lambda t: (t[0] - x[0])**2, [0.0]).x,
    "scipy.optimize.minimize ": lambda x: scipy.optimize.minimize(lambda t: np.sum(t**2), x).x,
    "scipy.optimize.least_squares .*sciad.optimize.least_squares":
        lambda x: scipy.optimize.least_squares(lambda t: t - x[0], [0.0]).x,
    "scipy.optimize.curve_fit .*least_squares":
        lambda x: scipy.optimize.curve_fit(lambda t, a: a * t, T, x)[0],
    "scipy.optimize.fsolve .*implicit": lambda x: scipy.optimize.fsolve(lambda t: t - x[0], [0.0]),
    "scipy.optimize.brentq .*implicit":
        lambda x: scipy.optimize.brentq(lambda t: x[0] - t, 0.0, 5.0),
    "scipy.interpolate.interp1d .*np.interp": lambda x: scipy.interpolate.interp1d(T, x)(0.5),
    "scipy.interpolate.interp1d ": lambda x: scipy.interpolate.interp1d(T, T)(x),
    "scipy.interpolate.CubicSpline .*custom_rule":
        lambda x: scipy.interpolate.CubicSpline(T, x)(0.5),
    "scipy.interpolate.CubicSpline ": lambda x: scipy.interpolate.CubicSpline(T, T)(x),
    "scipy.signal.lfilter .*sciad.scan": lambda x: scipy.signal.lfilter([1.0], [1.0, 0.5], x),
    "scipy.signal.fftconvolve .*np.convolve": lambda x: scipy.signal.fftconvolve(x, x),
    "scipy.signal.savgol_filter ": lambda x: scipy.signal.savgol_filter(x, 3, 1),
    "scipy.ndimage.gaussian_filter .*custom_rule":
        lambda x: scipy.ndimage.gaussian_filter(x, 1.0),
    "scipy.ndimage.convolve ": lambda x: scipy.ndimage.convolve(x, [1.0, 1.0]),
    "scipy.ndimage.map_coordinates ": lambda x: scipy.ndimage.map_coordinates(A, [x, x]),
    "scipy.stats.norm.pdf .*sciad.special": lambda x: scipy.stats.norm.pdf(x),
    "scipy.stats.norm.cdf ": lambda x: scipy.stats.norm(loc=1.0).cdf(x),
    "scipy.stats.gamma.logpdf ": lambda x: scipy.stats.gamma.logpdf(T, x[0]),
    "scipy.stats.multivariate_normal.pdf ":
        lambda x: scipy.stats.multivariate_normal.pdf(x, np.zeros(3), A),
    "scipy.stats.zscore ": lambda x: scipy.stats.zscore(x),
    "scipy.stats.gaussian_kde ": lambda x: scipy.stats.gaussian_kde(x)(0.5),
    "scipy.spatial.distance.cdist .*np.linalg.norm":
        lambda x: scipy.spatial.distance.cdist(x[None], x[None]),
    "statistics.fmean .*np.mean": lambda x: statistics.fmean(x),
}


@pytest.mark.parametrize("message", FOLLOWED_INSIDE)
@pytest.mark.parametrize("transform", [
    lambda f: sciad.vjp(f, X), lambda f: sciad.jvp(f, (X,), (X,)),
])
def test_a_function_is_named_as_the_program_calls_it(transform, message):
    with pytest.raises(NoRuleError, match="^" + message) as caught:
        transform(FOLLOWED_INSIDE[message])
    line = FOLLOWED_INSIDE[message].__code__.co_firstlineno
    assert f"test_scipy_calls.py:{line})" in str(caught.value)


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("transform", [
    lambda f: sciad.vjp(f, X), lambda f: sciad.jvp(f, (X,), (X,)),
])
def test_refused(transform, message):
    with pytest.raises(NoRuleError, match=message):
        transform(REFUSED[message])


def test_the_line_is_the_users():
    with pytest.raises(NoRuleError, match=r"scipy.linalg.det .*test_scipy_calls\.py:\d+"):
        sciad.grad(lambda x: scipy.linalg.det(A * x[0]))(X)


@pytest.mark.parametrize("f", [
    lambda x: sp.softmax(x), lambda x: sp.zeta(2.5, x),
    lambda x: sp.lambertw(x).real, lambda x: scipy.linalg.norm(x),
    lambda x: scipy.linalg.toeplitz(x), lambda x: scipy.integrate.trapezoid(x),
    lambda x: scipy.linalg.block_diag(x[:2], x[2]),
])
def test_differentiated(f):
    sciad.check_grads(f, (X,))


PROGRAM = """
import numpy as np, scipy.special as sp, sciad
f = lambda x: np.sum(sp.erf(x) * sp.gammaln(x + 1))
import sys
assert "sciad.special" not in sys.modules
sciad.check_grads(f, (np.array([0.3, 1.2]),))
from sciad.core.record import record
assert abs(record(f, np.ones(2))(np.ones(2)) - f(np.ones(2))) < 1e-14
"""


def test_rules_are_imported_when_they_are_needed():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
