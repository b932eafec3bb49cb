"""Plain SciPy calls on differentiated values: right, or an error that names the function."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.linalg
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
}


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
