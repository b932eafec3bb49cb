"""SciPy's ufuncs that have derivatives."""

import functools

import numpy as np
from scipy import special as sp

from sciad.core.array import UFUNCS, Array
from sciad.core.backend import on_any_device
from sciad.core.rules import Elementwise
from sciad.ops import (
    bessel,
    carlson,
    device_special,  # noqa: F401  (declares their device forms)
    distributions,
    elementwise,
    elliptic,
    incomplete,
    oscillation,
    special,
)
from sciad.ops import functions as elementary
from sciad.ops.functions import require_real
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
        if kwargs or not any(isinstance(x, Array) or on_any_device(x) for x in args):
            return original(*args, **kwargs)
        return primitive(*args)

    return call


def _composed(original: np.ufunc, function):
    """As `_public`, for what is made of other operations."""
    takes_complex = any("D" in kind for kind in original.types)
    name = original.__name__

    def rule(*args):
        args = [operand(x) for x in args]
        if not takes_complex:
            require_real(name, *args)
        kinds = [np.dtype(x.dtype.char.lower()) if x.dtype.kind == "c" else x.dtype
                 for x in args if hasattr(x, "dtype")]
        dtype = np.result_type(*kinds)
        return function(*(np.asarray(x, dtype)[()] if type(x) is float else x for x in args))

    UFUNCS[original] = rule

    @functools.wraps(original, assigned=("__name__", "__doc__"), updated=())
    def call(*args, **kwargs):
        args = [operand(x) for x in args]
        if kwargs or not any(isinstance(x, Array) or on_any_device(x) for x in args):
            return original(*args, **kwargs)
        return rule(*args)

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

ndtri_exp = _public(distributions.ndtri_exp)
owens_t = _public(distributions.owens_t)
voigt_profile = _composed(sp.voigt_profile, distributions.voigt_profile)
stdtr = _public(distributions.stdtr)
stdtrit = _public(distributions.stdtrit)
bdtr = _composed(sp.bdtr, distributions.bdtr)
bdtrc = _composed(sp.bdtrc, distributions.bdtrc)
chdtr = _composed(sp.chdtr, distributions.chdtr)
chdtrc = _composed(sp.chdtrc, distributions.chdtrc)
chdtri = _composed(sp.chdtri, distributions.chdtri)
fdtr = _composed(sp.fdtr, distributions.fdtr)
fdtrc = _composed(sp.fdtrc, distributions.fdtrc)
fdtri = _composed(sp.fdtri, distributions.fdtri)
gdtr = _composed(sp.gdtr, distributions.gdtr)
gdtrc = _composed(sp.gdtrc, distributions.gdtrc)
gdtrix = _composed(sp.gdtrix, distributions.gdtrix)
nbdtr = _composed(sp.nbdtr, distributions.nbdtr)
nbdtrc = _composed(sp.nbdtrc, distributions.nbdtrc)
pdtr = _composed(sp.pdtr, distributions.pdtr)
pdtrc = _composed(sp.pdtrc, distributions.pdtrc)

boxcox = _public(distributions.boxcox)
boxcox1p = _public(distributions.boxcox1p)
inv_boxcox = _public(distributions.inv_boxcox)
inv_boxcox1p = _public(distributions.inv_boxcox1p)
powm1 = _public(distributions.powm1)
exprel = _public(distributions.exprel)
huber = _composed(sp.huber, distributions.huber)
pseudo_huber = _composed(sp.pseudo_huber, distributions.pseudo_huber)

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

cbrt = _composed(sp.cbrt, elementary.cbrt)
exp2 = _composed(sp.exp2, elementary.exp2)
expm1 = _composed(sp.expm1, elementwise.expm1)
log1p = _composed(sp.log1p, elementwise.log1p)
sindg = _composed(sp.sindg, lambda x: elementwise.sin(x * elementary.DEGREE))
cosdg = _composed(sp.cosdg, lambda x: elementwise.cos(x * elementary.DEGREE))
tandg = _composed(sp.tandg, lambda x: elementwise.tan(x * elementary.DEGREE))
cotdg = _composed(sp.cotdg, lambda x: 1.0 / elementwise.tan(x * elementary.DEGREE))
radian = _composed(sp.radian, lambda d, m, s: (d + m / 60.0 + s / 3600.0) * elementary.DEGREE)

hyp0f1 = _public(special.hyp0f1)
hyp1f1 = _public(special.hyp1f1)
hyp2f1 = _public(special.hyp2f1)
ellipk = _public(special.ellipk)
ellipkm1 = _public(special.ellipkm1)
ellipe = _public(special.ellipe)
ellipkinc = _public(elliptic.ellipkinc)
ellipeinc = _public(elliptic.ellipeinc)
elliprc = _public(carlson.elliprc)
elliprd = _public(carlson.elliprd)
elliprf = _public(carlson.elliprf)
elliprg = _public(carlson.elliprg)
elliprj = _public(carlson.elliprj)
agm = _composed(sp.agm, distributions.agm)

eval_jacobi = _public(special.eval_jacobi)
eval_legendre = _public(special.eval_legendre)
eval_gegenbauer = _public(special.eval_gegenbauer)
eval_chebyt = _public(special.eval_chebyt)
eval_chebyu = _public(special.eval_chebyu)
eval_hermite = _public(special.eval_hermite)
eval_hermitenorm = _public(special.eval_hermitenorm)
eval_sh_jacobi = _composed(sp.eval_sh_jacobi, special.eval_sh_jacobi)
eval_genlaguerre = _public(special.eval_genlaguerre)
eval_laguerre = _public(special.eval_laguerre)
eval_chebyc = _composed(sp.eval_chebyc, lambda n, x: 2.0 * special.eval_chebyt(n, 0.5 * x))
eval_chebys = _composed(sp.eval_chebys, lambda n, x: special.eval_chebyu(n, 0.5 * x))
eval_sh_chebyt = _composed(sp.eval_sh_chebyt,
                           lambda n, x: special.eval_chebyt(n, 2.0 * x - 1.0))
eval_sh_chebyu = _composed(sp.eval_sh_chebyu,
                           lambda n, x: special.eval_chebyu(n, 2.0 * x - 1.0))
eval_sh_legendre = _composed(sp.eval_sh_legendre,
                             lambda n, x: special.eval_legendre(n, 2.0 * x - 1.0))
lpmv = _public(special.lpmv)

airy = _composed(sp.airy, oscillation.airy)
fresnel = _composed(sp.fresnel, oscillation.fresnel)
sici = _composed(sp.sici, oscillation.sici)
shichi = _composed(sp.shichi, oscillation.shichi)
struve = _public(oscillation.struve)
modstruve = _public(oscillation.modstruve)
wrightomega = _public(oscillation.wrightomega)

jv = jn = _public(bessel.jv)
yv = _public(bessel.yv)
hankel1 = _public(bessel.hankel1)
hankel2 = _public(bessel.hankel2)
iv = _public(bessel.iv)
kv = _public(bessel.kv)
ive = _public(bessel.ive)
kve = _public(bessel.kve)
jve = _public(bessel.jve)
yve = _public(bessel.yve)
hankel1e = _public(bessel.hankel1e)
hankel2e = _public(bessel.hankel2e)
kn = _public(bessel.kn)
yn = _public(bessel.yn)
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
