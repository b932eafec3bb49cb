"""The case table of `scipy.special`."""

import numpy as np
from scipy import special as sp

from sciad import special
from sciad.ops import incomplete
from tests.ops.cases import Case, complex_, positive, real, unit

POINTS = np.array([0.3, 0.9, 2.1])
INNER = np.array([0.15, 0.5, 0.85])


def _one(function, x, name=None, single=True, mirrored=False):
    """A function of one variable: a vector, a number, a matrix, single precision."""
    name = name or function.__name__
    yield Case(name, function, (-x if mirrored else x,))
    yield Case(f"{name}()", function, (x[1],))
    yield Case(f"{name}(1, 2)", lambda x: function(x) * x, (x[None, :2],))
    yield Case(f"{name}(0,)", function, (x[:0],))
    if single:
        yield Case(f"{name}[f32]", function, (x.astype(np.float32),), 1)


def _two(function, x, y):
    name = function.__name__
    yield Case(name, function, (x, y))
    yield Case(f"{name} stretched", function, (x[:2, None], y))
    yield Case(f"{name} left", lambda x: function(x, 0.4), (x,))
    yield Case(f"{name} right", lambda y: function(1.3, y), (y,))
    yield Case(f"{name}[f32]", function, (x.astype(np.float32), y.astype(np.float32)), 1)


def _table():
    yield from _probability()
    yield from _gamma()
    yield from _bessel()
    yield from _others()
    yield from _polynomials()
    yield from _shapes()
    yield from _sums()
    yield from _distributions()
    yield from _oscillation()
    yield from _small()


def _probability():
    for f in [sp.erf, sp.erfc, sp.erfcx, sp.erfi, sp.dawsn, sp.ndtr, sp.log_ndtr]:
        yield from _one(f, POINTS)
        yield Case(f"{f.__name__} of negative", f, (-POINTS,))
    for f in [sp.erfinv, sp.erfcinv, sp.ndtri]:
        yield from _one(f, INNER)
    for f in [sp.erf, sp.erfc, sp.wofz, sp.dawsn]:
        yield Case(f"{f.__name__}[c128]", f, (complex_(3),))
    for f in [sp.expit, sp.log_expit]:
        yield from _one(f, POINTS)
        yield Case(f"{f.__name__} far out", f, (np.array([-60.0, -5.0, 40.0]),))
    yield from _one(sp.logit, INNER)
    yield from _two(sp.xlogy, POINTS, POINTS[::-1])
    yield from _two(sp.xlog1py, POINTS, POINTS[::-1])
    yield Case("xlogy at zero", lambda y: sp.xlogy(0.0, y), (np.array([0.0, 2.0]),), 1)
    yield from _one(sp.entr, POINTS)
    yield from _two(sp.rel_entr, POINTS, POINTS[::-1])
    yield from _two(sp.kl_div, POINTS, POINTS[::-1])


def _gamma():
    for f in [sp.gamma, sp.gammaln, sp.psi, sp.rgamma, sp.loggamma]:
        yield from _one(f, POINTS)
    for f in [sp.gamma, sp.psi, sp.gammaln]:
        yield Case(f"{f.__name__} of negative", f, (np.array([-0.4, -2.6]),))
    yield Case("gammasgn", lambda x: x * sp.gammasgn(x), (np.array([-0.4, 2.6]),))
    yield from _two(sp.beta, POINTS, POINTS[::-1])
    yield from _two(sp.betaln, POINTS, POINTS[::-1])
    yield from _two(sp.poch, POINTS, POINTS[::-1])
    yield from _two(sp.binom, POINTS + 2.0, POINTS[::-1])
    yield Case("zeta", lambda q: special.zeta(2.5, q), (POINTS,))
    for n in range(4):
        yield Case(f"polygamma {n}", lambda x, n=n: special.polygamma(n, x), (POINTS,))
    yield Case("multigammaln", lambda a: special.multigammaln(a, 3), (POINTS + 1.0,))


def _bessel():
    for f in [sp.j0, sp.j1, sp.y0, sp.y1, sp.i0, sp.i1, sp.k0, sp.k1, sp.i0e, sp.i1e, sp.k0e,
              sp.k1e]:
        yield from _one(f, POINTS)
    for f in [sp.j0, sp.j1, sp.i0, sp.i1, sp.i0e, sp.i1e]:
        yield Case(f"{f.__name__} of negative", f, (-POINTS,))
    for f in [sp.j1, sp.i1]:
        yield Case(f"{f.__name__} at zero", f, (np.zeros(2),))
    for f in [sp.jv, sp.yv, sp.iv, sp.kv, sp.ive, sp.kve]:
        for v in [0, 2, 0.5, -1.3]:
            yield Case(f"{f.__name__} {v}", lambda x, f=f, v=v: f(v, x), (POINTS,))
    for f in [sp.hankel1, sp.hankel2]:
        yield Case(f.__name__, lambda x, f=f: np.abs(f(1.5, x)) ** 2, (POINTS,))
        yield Case(f"{f.__name__}[c128]", lambda x, f=f: f(1.5, x), (complex_(3),))
    yield Case("jv[c128]", lambda z: sp.jv(0.5, z), (complex_(3),))


def _others():
    for f in [sp.expi, sp.exp1, sp.spence, sp.exp10, sp.cosm1]:
        yield from _one(f, POINTS)
    for f in [sp.ellipk, sp.ellipe, sp.ellipkm1]:
        yield from _one(f, INNER, single=False)
    for f in [sp.ellipk, sp.ellipe]:
        yield Case(f"{f.__name__} at zero", f, (np.array([0.0, 1e-9]),))
        yield Case(f"{f.__name__} of negative", f, (np.array([-0.6, -4.0]),))
    for f in [sp.ellipkinc, sp.ellipeinc]:
        yield Case(f.__name__, f, (POINTS, INNER))
        yield Case(f"{f.__name__} stretched", f, (POINTS[:2, None], -INNER))
        yield Case(f"{f.__name__} at zero", f, (np.array([-0.4, 1.2, 9.0]), np.zeros(1)))
        yield Case(f"{f.__name__} near zero", f,
                   (np.array([0.7, 4.0, 50.0]), np.array([1e-9, -0.05, 0.09])))
    yield Case("spence at one", sp.spence, (np.array([1.0, 1.0 + 1e-9, 40.0]),))
    yield Case("expn", lambda x: sp.expn(3, x), (POINTS,))
    yield Case("hyp2f1", lambda z: sp.hyp2f1(0.4, 1.2, 2.3, z), (INNER,))
    yield Case("hyp1f1", lambda z: sp.hyp1f1(0.4, 1.2, z), (POINTS,))
    yield Case("hyp0f1", lambda z: sp.hyp0f1(1.2, z), (POINTS,))
    yield Case("lambertw", lambda x: special.lambertw(x).real, (POINTS,))
    yield Case("lambertw branch", lambda z: special.lambertw(z, 1), (complex_(3),))
    yield Case("lambertw at zero", lambda x: special.lambertw(x).real, (np.zeros(1),))


def _polynomials():
    x = np.array([-1.0, -0.3, 0.8, 1.0])
    for f in [sp.eval_legendre, sp.eval_chebyt, sp.eval_chebyu, sp.eval_hermite,
              sp.eval_hermitenorm, sp.eval_laguerre]:
        for n in [0, 1, 2, 5]:
            yield Case(f"{f.__name__} {n}", lambda x, f=f, n=n: f(n, x), (x,))
        yield Case(f"{f.__name__} all", lambda x, f=f: f(np.arange(4)[:, None], x), (x,))
    for n in [0, 1, 4]:
        yield Case(f"eval_jacobi {n}", lambda x, n=n: sp.eval_jacobi(n, 0.5, 1.5, x), (x,))
        yield Case(f"eval_gegenbauer {n}", lambda x, n=n: sp.eval_gegenbauer(n, 0.5, x), (x,))
        yield Case(f"eval_genlaguerre {n}", lambda x, n=n: sp.eval_genlaguerre(n, 0.5, x), (x,))
    yield Case("eval_legendre[f32]", lambda x: sp.eval_legendre(3, x), (x.astype(np.float32),), 1)


def _shapes():
    for f in [sp.gammainc, sp.gammaincc]:
        yield from _two(f, POINTS, POINTS[::-1].copy())
        yield Case(f"{f.__name__} large", f, (np.array([40.0, 40.0]), np.array([25.0, 60.0])))
    for f in [sp.gammaincinv, sp.gammainccinv]:
        yield from _two(f, POINTS, INNER)
    for f in [sp.betainc, sp.betaincc, sp.betaincinv, sp.betainccinv]:
        yield Case(f.__name__, f, (POINTS, POINTS[::-1].copy(), INNER))
        yield Case(f"{f.__name__} stretched", f, (POINTS[:2, None], POINTS[2], INNER))
        yield Case(f"{f.__name__} by x", lambda x, f=f: f(2.0, 3.5, x), (INNER,))
    yield Case("gammainc_a", incomplete.gammainc_a, (POINTS, POINTS[::-1].copy()), 1)
    yield Case("betainc_a", incomplete.betainc_a, (POINTS, POINTS[::-1].copy(), INNER), 1)
    yield Case("betainc_b", incomplete.betainc_b, (POINTS, POINTS[::-1].copy(), INNER), 1)


def _sums():
    for f in [special.logsumexp, special.softmax, special.log_softmax]:
        for axis in [None, 0, -1]:
            yield Case(f"{f.__name__}[{axis}]", lambda x, f=f, a=axis: f(x, axis=a),
                       (real(2, 3),))
        yield Case(f"{f.__name__}[f32]", f, (real(3, dtype=np.float32),), 1)
        yield Case(f"{f.__name__} large", f, (1000.0 + real(3),))
    yield Case("logsumexp weights",
               lambda x, b: special.logsumexp(x, 1, b, keepdims=True), (real(2, 3), positive(3)))
    yield Case("logsumexp sign",
               lambda x, b: special.logsumexp(x, b=b, return_sign=True)[0],
               (real(3), np.array([1.0, -3.0, 0.5])))
    yield Case("logsumexp[c128]", special.logsumexp, (complex_(3),))
    yield Case("softplus", special.softplus, (unit(3),))


def _distributions():
    back = POINTS[::-1].copy()
    for f in [sp.chdtr, sp.chdtrc, sp.owens_t]:
        yield from _two(f, POINTS, back)
    for f in [sp.stdtrit, sp.chdtri]:
        yield from _two(f, back, INNER)
    for f in [sp.fdtr, sp.fdtrc, sp.fdtri, sp.gdtr, sp.gdtrc, sp.gdtrix]:
        yield Case(f.__name__, f, (back, POINTS, INNER))
    yield Case("stdtr", sp.stdtr, (back, POINTS - 1.0))
    yield Case("stdtr at zero", sp.stdtr, (POINTS, np.array([0.0, 1e-8, -1e-3])), 1)
    for f in [sp.bdtr, sp.bdtrc, sp.nbdtr, sp.nbdtrc]:
        yield Case(f.__name__, lambda p, f=f: f(1, 4, p), (INNER,))
    for f in [sp.pdtr, sp.pdtrc]:
        yield Case(f.__name__, lambda m, f=f: f(2, m), (POINTS,))
    yield from _one(sp.ndtri_exp, -POINTS)
    yield Case("voigt_profile", sp.voigt_profile, (POINTS - 1.0, back, INNER))


def _oscillation():
    for f in [sp.airy, sp.fresnel]:
        yield Case(f.__name__, f, (POINTS - 1.0,))
        yield Case(f"{f.__name__}[c128]", f, (complex_(3),))
    for f in [sp.sici, sp.shichi]:
        yield Case(f.__name__, f, (POINTS,))
    yield from _one(sp.wrightomega, POINTS - 1.0)
    for f in [sp.struve, sp.modstruve, sp.jve, sp.yve, sp.kn, sp.yn]:
        for v in [1, 2]:
            yield Case(f"{f.__name__} {v}", lambda x, f=f, v=v: f(v, x), (POINTS,))
    for f in [sp.hankel1e, sp.hankel2e]:
        yield Case(f.__name__, lambda x, f=f: f(1.5, x), (complex_(3),))
    for f in [special.spherical_jn, special.spherical_yn, special.spherical_in,
              special.spherical_kn]:
        for n in [0, 1, 3]:
            yield Case(f"{f.__name__} {n}", lambda x, f=f, n=n: f(n, x), (POINTS,))
        yield Case(f"{f.__name__} slope", lambda x, f=f: f(2, x, derivative=True), (POINTS,))
    yield Case("spherical_jn at zero", lambda x: special.spherical_jn(0, x), (np.zeros(1),))


def _carlson():
    back = POINTS[::-1].copy()
    for f in [sp.elliprf, sp.elliprd, sp.elliprg]:
        yield Case(f.__name__, f, (POINTS, back, INNER))
        yield Case(f"{f.__name__} together", lambda x, f=f: f(x, x, 1.0) + f(1.0, x, x),
                   (np.array([1.0, 0.4]),))
        yield Case(f"{f.__name__}(0,)", f, (POINTS[:0], back[:0], INNER[:0]))
    for f in [sp.elliprf, sp.elliprd, sp.elliprg, sp.elliprc, sp.elliprj]:
        args = [POINTS, back, INNER, POINTS + 0.3][-f.nin:]
        yield Case(f"{f.__name__}[f32]", f, tuple(x.astype(np.float32) for x in args), 1)
        yield Case(f"{f.__name__}[c128]", f,
                   tuple(x * (1.0 + 0.2j) - 0.1j * k for k, x in enumerate(args)), 1)
    yield Case("elliprc", sp.elliprc, (POINTS, back))
    yield Case("elliprc principal", sp.elliprc, (POINTS, -back))
    yield Case("elliprj", sp.elliprj, (POINTS, back, INNER, back))
    yield Case("elliprj principal", sp.elliprj, (POINTS, back, INNER, -back))
    yield Case("elliprg complete", lambda y: sp.elliprg(0.0, y, 1.0), (POINTS,))


def _small():
    back = POINTS[::-1].copy()
    for f in [sp.exprel, sp.cbrt, sp.exp2, sp.expm1, sp.log1p]:
        yield from _one(f, POINTS, f"scipy {f.__name__}")
    for f in [sp.sindg, sp.cosdg, sp.tandg, sp.cotdg]:
        yield Case(f.__name__, f, (30.0 * POINTS,))
    for f in [sp.boxcox, sp.boxcox1p, sp.powm1]:
        yield from _two(f, POINTS, back)
    for f in [sp.inv_boxcox, sp.inv_boxcox1p]:
        yield Case(f.__name__, f, (POINTS, back))
    for f in [sp.boxcox, sp.inv_boxcox]:
        yield Case(f"{f.__name__} at zero", lambda k, f=f: f(POINTS, k),
                   (np.array([0.0, 1e-9, 1e-3]),))
    for f in [sp.huber, sp.pseudo_huber]:
        yield Case(f.__name__, f, (back, POINTS - 1.0))
    yield Case("radian", sp.radian, (POINTS, back, INNER))
    yield from _carlson()
    yield Case("agm", sp.agm, (POINTS, back))
    yield Case("comb", lambda n: special.comb(n, 2), (POINTS + 3.0,))
    yield Case("comb with repetition", lambda n: special.comb(n, 2.5, repetition=True), (POINTS,))
    yield Case("factorial", special.factorial, (POINTS,))
    x = np.array([0.1, 0.6])
    for f in [sp.eval_chebyc, sp.eval_chebys, sp.eval_sh_chebyt, sp.eval_sh_chebyu,
              sp.eval_sh_legendre]:
        yield Case(f"{f.__name__} 3", lambda x, f=f: f(3, x), (x,))
    yield Case("eval_sh_jacobi 3", lambda x: sp.eval_sh_jacobi(3, 2.5, 1.5, x), (x,))
    yield Case("eval_sh_jacobi 0", lambda x: sp.eval_sh_jacobi(0, 2.5, 1.5, x) * x, (x,))
    for m, v in [(0, 3), (1, 2), (2, 2.5)]:
        yield Case(f"lpmv {m} {v}", lambda x, m=m, v=v: sp.lpmv(m, v, x), (x - 0.3,))
    for f in [sp.psi, sp.loggamma]:
        yield Case(f"{f.__name__}[c128]", f, (complex_(3),))
        yield Case(f"{f.__name__} left[c128]", f, (complex_(3) - 4.0,))


CASES = list(_table())
