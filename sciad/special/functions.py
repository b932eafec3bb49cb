"""SciPy's ufuncs that have derivatives."""

import functools

import numpy as np

from sciad.core.array import UFUNCS, Array
from sciad.core.rules import Elementwise
from sciad.ops import bessel, elliptic, incomplete, special
from sciad.ops.operators import pack_plain


def operand(x):
    """`x`, or the Array that a list or an object array of differentiated values stands for."""
    return pack_plain(x) if isinstance(x, (list, tuple, np.ndarray)) else x


def _public(primitive: Elementwise):
    """The function that users call; SciPy's own ufunc means the same from now on."""
    original = primitive.fun
    UFUNCS[original] = primitive

    @functools.wraps(original, assigned=("__name__", "__doc__"), updated=())
    def call(*args, **kwargs):
        args = [operand(x) for x in args]
        if kwargs or not any(isinstance(x, Array) for x in args):
            return original(*args, **kwargs)
        return primitive(*args)

    return call


erf = _public(special.erf)
erfc = _public(special.erfc)
erfcx = _public(special.erfcx)
erfi = _public(special.erfi)
dawsn = _public(special.dawsn)
wofz = _public(special.wofz)
erfinv = _public(special.erfinv)
erfcinv = _public(special.erfcinv)
ndtr = _public(special.ndtr)
ndtri = _public(special.ndtri)
log_ndtr = _public(special.log_ndtr)

psi = _public(special.psi)
gamma = _public(special.gamma)
gammaln = _public(special.gammaln)
gammasgn = _public(special.gammasgn)
loggamma = _public(special.loggamma)
rgamma = _public(special.rgamma)
poch = _public(special.poch)
binom = _public(special.binom)
beta = _public(special.beta)
betaln = _public(special.betaln)
digamma = psi

expit = _public(special.expit)
logit = _public(special.logit)
log_expit = _public(special.log_expit)
xlogy = _public(special.xlogy)
xlog1py = _public(special.xlog1py)
entr = _public(special.entr)
rel_entr = _public(special.rel_entr)
kl_div = _public(special.kl_div)

expi = _public(special.expi)
exp1 = _public(special.exp1)
expn = _public(special.expn)
spence = _public(special.spence)
exp10 = _public(special.exp10)
cosm1 = _public(special.cosm1)

hyp0f1 = _public(special.hyp0f1)
hyp1f1 = _public(special.hyp1f1)
hyp2f1 = _public(special.hyp2f1)
ellipk = _public(special.ellipk)
ellipkm1 = _public(special.ellipkm1)
ellipe = _public(special.ellipe)
ellipkinc = _public(elliptic.ellipkinc)
ellipeinc = _public(elliptic.ellipeinc)

eval_jacobi = _public(special.eval_jacobi)
eval_legendre = _public(special.eval_legendre)
eval_gegenbauer = _public(special.eval_gegenbauer)
eval_chebyt = _public(special.eval_chebyt)
eval_chebyu = _public(special.eval_chebyu)
eval_hermite = _public(special.eval_hermite)
eval_hermitenorm = _public(special.eval_hermitenorm)
eval_genlaguerre = _public(special.eval_genlaguerre)
eval_laguerre = _public(special.eval_laguerre)

jv = _public(bessel.jv)
yv = _public(bessel.yv)
hankel1 = _public(bessel.hankel1)
hankel2 = _public(bessel.hankel2)
iv = _public(bessel.iv)
kv = _public(bessel.kv)
ive = _public(bessel.ive)
kve = _public(bessel.kve)
j0 = _public(bessel.j0)
j1 = _public(bessel.j1)
y0 = _public(bessel.y0)
y1 = _public(bessel.y1)
i0 = _public(bessel.i0)
i1 = _public(bessel.i1)
k0 = _public(bessel.k0)
k1 = _public(bessel.k1)
i0e = _public(bessel.i0e)
i1e = _public(bessel.i1e)
k0e = _public(bessel.k0e)
k1e = _public(bessel.k1e)

gammainc = _public(incomplete.gammainc)
gammaincc = _public(incomplete.gammaincc)
gammaincinv = _public(incomplete.gammaincinv)
gammainccinv = _public(incomplete.gammainccinv)
betainc = _public(incomplete.betainc)
betaincc = _public(incomplete.betaincc)
betaincinv = _public(incomplete.betaincinv)
betainccinv = _public(incomplete.betainccinv)
