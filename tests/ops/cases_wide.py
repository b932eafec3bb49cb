"""The case table of ufunc methods, keywords of reductions, quantiles, padding, polynomials."""

import numpy as np

from sciad import numpy as snp
from tests.ops.cases import Case, complex_, positive, real

HOLES = np.array([[True, False, True], [True, True, False]])
PLACES = (np.array([0, 1, 0, 0]), np.array([1, 2, 1, 0]))

METHODS = ["linear", "hazen", "weibull", "median_unbiased", "normal_unbiased",
           "interpolated_inverted_cdf", "inverted_cdf", "averaged_inverted_cdf",
           "closest_observation", "lower", "higher", "midpoint", "nearest"]


def _table():
    yield from _ufunc_methods()
    yield from _keywords()
    yield from _ufuncs()
    yield from _quantiles()
    yield from _padding()
    yield from _polynomials()
    yield from _creation()
    yield from _complex()


def _ufunc_methods():
    def at(ufunc):
        def f(x):
            out = x * x
            ufunc.at(out, PLACES, x[0, 0] * np.arange(1.0, 5.0))
            return out * x

        return f

    for u in [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.fmax, np.fmin,
              np.logaddexp, np.hypot]:
        name = u.__name__
        yield Case(f"{name}.reduce kept", lambda x, u=u: u.reduce(x, axis=1, keepdims=True),
                   (real(2, 3),))
        yield Case(f"{name}.accumulate axis", lambda x, u=u: u.accumulate(x, axis=0), (real(3, 2),))
        yield Case(f"{name}.reduceat", lambda x, u=u: u.reduceat(x, [0, 2, 1], axis=1),
                   (real(2, 4),))
        yield Case(f"{name}.outer", lambda x, u=u: u.outer(x, x[0]), (real(2, 2),))
        yield Case(f"{name}.at", at(u), (real(2, 3),))
    for u in [np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp]:
        yield Case(f"{u.__name__}.reduce where",
                   lambda x, v, u=u: u.reduce(x, axis=None, initial=v, where=HOLES),
                   (real(2, 3), np.float64(0.13)))
    yield Case("sqrt.at", lambda x: _written(np.sqrt, x), (positive(2, 3),))


def _written(ufunc, x):
    out = x * x
    ufunc.at(out, PLACES)
    return out * x


def _keywords():
    for f in [np.sum, np.prod, np.mean, np.var, np.std]:
        name = f.__name__
        yield Case(f"{name} where", lambda x, f=f: f(x, axis=1, where=HOLES, keepdims=True),
                   (real(2, 3),))
        yield Case(f"{name} where[f32]", lambda x, f=f: f(x, where=HOLES),
                   (real(2, 3, dtype=np.float32),), 1)

        def into(x, f=f):
            out = snp.zeros(2)
            f(x, axis=1, out=out)
            return out * x[:, 0]

        yield Case(f"{name} out", into, (real(2, 3),))
    for f in [np.max, np.min]:
        yield Case(f"{f.__name__} where",
                   lambda x, v, f=f: f(x, axis=1, initial=v, where=HOLES),
                   (real(2, 3), np.float64(0.13)))
    yield Case("max of nothing", lambda x: np.max(x[:, :0], axis=1, initial=x[0, 0]), (real(2, 3),))
    yield Case("sum initial", lambda x, v: np.sum(x, axis=0, initial=v), (real(2, 3), real()))
    yield Case("prod initial", lambda x, v: np.prod(x, axis=0, initial=v), (real(2, 3), real()))
    yield Case("var mean", lambda x: np.var(x, axis=0, mean=np.mean(x, axis=0, keepdims=True)),
               (real(3, 2),))
    yield Case("std correction", lambda x: np.std(x, axis=0, correction=1), (real(3, 2),))
    for f in [np.nansum, np.nanprod, np.nanmean, np.nanvar]:
        yield Case(f"{f.__name__} where",
                   lambda x, f=f: f(np.where(HOLES, x, np.nan), axis=1, where=[True, False, True]),
                   (real(2, 3) + 0.1,))
    for f in [np.nanmax, np.nanmin]:
        yield Case(f"{f.__name__} where", lambda x, f=f: f(
            np.where(HOLES, x, np.nan), axis=1, where=[True, False, True], initial=0.13),
                   (real(2, 3),))
    yield Case("nanvar mean", lambda x: np.nanvar(
        x * 1.0, axis=0, mean=np.nanmean(x, axis=0, keepdims=True), correction=1), (real(3, 2),))
    repeats = np.array([1, 2, 3, 1])
    for ddof in [0, 1]:
        yield Case(f"cov weights {ddof}", lambda x, w, d=ddof: np.cov(
            x, aweights=w, fweights=repeats, ddof=d), (real(2, 4), positive(4)))
    yield Case("cov frequencies", lambda x: np.cov(x, fweights=repeats), (real(2, 4),))

    def numbers(x):
        out = snp.array(np.where(HOLES, x, np.nan))
        np.nan_to_num(out, copy=False, nan=2.0)
        return out * x

    yield Case("nan_to_num in place", numbers, (real(2, 3),))
    yield Case("any where", lambda x: x * np.any(x > 0, where=HOLES), (real(2, 3),))
    yield Case("all where", lambda x: x * np.all(x > -9, axis=0, where=HOLES), (real(2, 3),))

    def masked(x, y):
        out = snp.zeros((2, 3))
        np.divide(x, y, out=out, where=HOLES)
        return out * y

    yield Case("divide where", masked, (real(2, 3), positive(3)))

    def parts(x):
        whole, part = snp.zeros(3), snp.ones(3)
        np.modf(3 * x, out=(part, whole))
        return whole * x, part

    yield Case("modf out", parts, (real(3),))


def _ufuncs():
    n = np.array([12, 7, 3])
    for f in [np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.gcd, np.lcm]:
        yield Case(f.__name__, lambda x, f=f: x * f((x > 0) + n, 6), (real(3),))
    for f in [np.left_shift, np.right_shift]:
        yield Case(f.__name__, lambda x, f=f: x * f((x > 0) + n, 2), (real(3),))
    for f in [np.invert, np.bitwise_count]:
        yield Case(f.__name__, lambda x, f=f: x * f((x > 0) + n), (real(3),))
    yield Case("nextafter", lambda x: np.nextafter(x, 2.0) ** 2, (real(3),))
    yield Case("spacing", lambda x: x * np.spacing(x), (real(3),))
    yield Case("frexp", lambda x: np.frexp(x * x[0])[0] * x, (real(3),))
    yield Case("frexp exponent", lambda x: np.frexp(x)[1] * x, (real(3),))
    yield Case("ldexp list", lambda x: np.ldexp(x, [1, -2, 3]), (real(3),))
    yield Case("float_power", np.float_power, (positive(3), real(3)))
    yield Case("float_power[f32]", lambda x: np.float_power(x, 2),
               (positive(3, dtype=np.float32),), 1)
    for f in [np.hypot, np.arctan2, np.maximum, np.copysign, np.logaddexp]:
        yield Case(f"{f.__name__} of a list", lambda x, f=f: f(x, [1.0, -2.0, 0.3]), (real(3),))
    yield Case("vecdot axis", lambda x, y: np.vecdot(x, y, axis=0), (complex_(3, 2), real(3, 2)))
    yield Case("nanmedian axes", lambda x: np.nanmedian(x * 1.0, axis=(0, 1)), (real(2, 3),))


def _quantiles():
    for method in METHODS:
        yield Case(f"quantile {method}", lambda x, m=method: np.quantile(
            x, [0.1, 0.35, 0.9], axis=1, method=m, keepdims=True), (real(2, 5),))
        yield Case(f"percentile {method}", lambda x, m=method: np.percentile(x, 30.0, method=m),
                   (real(2, 3),))
    for method in METHODS[:6]:
        yield Case(f"quantile by q {method}", lambda x, q, m=method: np.quantile(x, q, method=m),
                   (real(5), np.array([0.13, 0.77])))
        yield Case(f"nanquantile {method}", lambda x, m=method: np.nanquantile(
            np.where(HOLES, x, np.nan), 0.4, axis=1, method=m), (real(2, 3),))
    for q in [0.3, [0.0, 0.6, 1.0]]:
        yield Case(f"weighted quantile {q}", lambda x, w, q=q: x * np.quantile(
            x, q, axis=1, weights=w, method="inverted_cdf", keepdims=True)[..., :1],
                   (real(2, 5), positive(2, 5, seed=3)))
    yield Case("weighted percentile of lines", lambda x, w: np.percentile(
        x, 40.0, axis=(0, 2), weights=w, method="inverted_cdf"), (real(2, 3, 2), positive(2, 2)))
    yield Case("weighted nanquantile", lambda x, w: np.nanquantile(
        np.where(HOLES, x, np.nan), 0.4, axis=1, weights=w, method="inverted_cdf"),
               (real(2, 3), positive(2, 3)))


def _padding():
    widths = ((1, 2), (3, 7))
    for mode in ["linear_ramp", "maximum", "mean", "median", "minimum"]:
        yield Case(f"pad {mode}", lambda x, m=mode: np.pad(x, widths, m), (real(3, 4) ** 3,))
    lengths = ((2, 1), (3, 2))
    yield Case("pad statistics of parts", lambda x: np.pad(x, 2, "mean", stat_length=lengths),
               (real(3, 4),))
    yield Case("pad ramp to", lambda x, v: np.pad(x, 2, "linear_ramp", end_values=v),
               (real(2, 3), real(2, 2)))
    for mode in ["reflect", "symmetric"]:
        for width in [(1, 2), (4, 5), (9, 3)]:
            yield Case(f"pad {mode} odd {width}", lambda x, m=mode, w=width: np.pad(
                x, (w, (0, 2)), m, reflect_type="odd"), (real(3, 2),))


def _polynomials():
    z = np.array([0.3, -0.2, 1.4, 2.2, 0.9])
    weights = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    yield Case("polyfit cov", lambda y: np.polyfit(z, y, 2, cov=True, w=weights), (real(5),))
    yield Case("polyfit cov unscaled", lambda x: np.polyfit(x, z, 2, cov="unscaled")[1], (real(5),))
    yield Case("polyfit several", lambda y: np.polyfit(z, y, 1), (real(5, 2),))
    yield Case("polyint constants", lambda p, k: np.polyint(p, 2, k), (real(3), real(2)))
    yield Case("chebval", lambda c: np.polynomial.chebyshev.chebval(z, c), (real(3),))
    yield Case("Polynomial", lambda c: np.polynomial.Polynomial(c)(z), (real(3),))


def _creation():
    yield Case("ix_", lambda x, y: np.ix_(x, y)[0] * np.ix_(x, y)[1], (real(3), real(2)))
    yield Case("linspace axis", lambda a, b: np.linspace(a, b, 4, axis=1, retstep=True),
               (real(2), real(2, seed=1)))
    yield Case("linspace open", lambda a: np.linspace(a, 3.0, 4, endpoint=False, axis=-1),
               (real(2),))
    yield Case("logspace base", lambda a, b: np.logspace(a, 2.0, 3, base=b), (real(), positive()))
    yield Case("kaiser", lambda b: np.kaiser(5, b), (positive(),))
    yield Case("numpy i0", np.i0, (real(3),))
    yield Case("r_ and c_", lambda x: (snp.r_[x, 1.0, x[0]], snp.c_[x, 2 * x]), (real(3),))
    yield Case("vectorize", lambda x: np.vectorize(lambda t, k: t**k)(x, 3), (real(2, 2),))
    yield Case("fromfunction", lambda x: np.fromfunction(lambda i, j: x * i + j, (2, 3)),
               (real(3),))


def _complex():
    yield Case("sign of complex", np.sign, (complex_(3),))
    beyond = np.array([1.7, -2.1, 0.4])
    yield Case("arcsin on the cuts", lambda x: np.arcsin(x + 0j), (beyond,))
    yield Case("arccos on the cuts", lambda x: np.arccos(x + 0j), (beyond,))
    for name in ["arccosh", "arctanh", "log", "sqrt", "arcsinh", "log1p"]:
        f, turn = getattr(np, name), 1j if name == "arcsinh" else 1.0
        yield Case(f"{name} on the cuts", lambda x, f=f, t=turn: f(x * t + 0j), (beyond,))
        yield Case(f"{name} below the cuts",
                   lambda x, f=f, t=turn: f(np.conj(x * np.conj(t) + 0j)), (beyond,))
    yield Case("arcsin below the cuts", lambda x: np.arcsin(np.conj(x + 0j)), (beyond,))


CASES = list(_table())
