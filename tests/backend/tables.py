"""How the case table runs on a device: what is compared, and what a device cannot compute.

A case either gives NumPy's value and derivatives, or raises the error that the lists here explain.
"""

import numpy as np

import sciad
from sciad.core.errors import DTypeError, NoRuleError
from tests.ops.cases import Case

CUPY_LACKS = frozenset("""
    betaincc betainccinv dawsn ellipe elliprc elliprd elliprf elliprg elliprj erfi eval_chebyt
    eval_chebyu eval_gegenbauer eval_genlaguerre eval_hermite eval_hermitenorm eval_jacobi
    eval_laguerre eval_legendre hankel1 hankel1e hankel2 hankel2e hyp0f1 hyp1f1 hyp2f1 iv ive jv
    jve kn kv kve modstruve ndtri_exp owens_t powm1 spacing spence stdtr stdtrit struve wofz
    wrightomega yv yve
""".split())
"""Functions of NumPy and SciPy that CuPy does not have, whether a case calls them or the
derivative of one that CuPy has needs them (that of j1 by x needs jv, say)."""

HOST_CODE = frozenset("""
    airy_ai betainc_a betainc_b carlson_integral complex_zeta elliptic_moment fresnel_s gammainc_a
    sine_integral sinh_integral spherical_in spherical_jn spherical_kn spherical_yn
""".split())
"""Operations of sciad's own that are integrals or series computed by NumPy code."""

REAL_IN_CUPY = frozenset({"erf", "erfc"})
"""Functions that take complex numbers in SciPy and not in CuPy."""

CUPYS_OWN_ERROR = frozenset("""
    bitwise_and bitwise_or bitwise_xor gcd lcm left_shift right_shift invert bitwise_count
""".split()) | {"any where", "all where"}
"""Cases in which a plain device array, which no transform follows, meets a NumPy array or a
parameter that CuPy lacks: that is between the program and CuPy."""


def leaves(x):
    return x if isinstance(x, tuple) else (x,)


def random_like(x, seed):
    """A direction of the shape and dtype of `x`; None for what has none."""
    x = np.asarray(x)
    if x.dtype.kind not in "fc":
        return None
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(x.shape)
    if x.dtype.kind == "c":
        v = v + 1j * rng.standard_normal(x.shape)
    return np.asarray(v).astype(x.dtype)[()]


def same(got, expected, to_host):
    for a, b in zip(leaves(got), leaves(expected), strict=True):
        a, b = to_host(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape
        tolerance = 2e-5 if a.dtype in (np.float32, np.complex64) else 1e-9
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def allowed(case: Case, error: Exception) -> bool:
    """Whether a case may raise this instead."""
    operation = str(error).partition(" ")[0]
    if isinstance(error, NoRuleError):
        known = operation in CUPY_LACKS | HOST_CODE or (
            operation in REAL_IN_CUPY and "c128" in case.name)
        return known and "does not exist for arrays of cupy" in str(error)
    if isinstance(error, DTypeError):  # the case holds a NumPy array of numbers
        return "meets an array of cupy" in str(error) and "cupy.asarray" in str(error)
    return case.name in CUPYS_OWN_ERROR and isinstance(error, TypeError)


def compare(case: Case, to_device, to_host):
    """Value, vjp and jvp of a case on the device, against NumPy's."""
    args = [np.float64(x) if isinstance(x, float) else x for x in case.args]
    moved = [to_device(x) for x in args]
    out, pull = sciad.vjp(case.function, *args)
    moved_out, moved_pull = sciad.vjp(case.function, *moved)
    same(moved_out, out, to_host)
    seeds = [random_like(x, k) for k, x in enumerate(leaves(out))]
    if not any(x is None for x in seeds):
        same(moved_pull(_shaped(out, list(map(to_device, seeds)))), pull(_shaped(out, seeds)),
             to_host)
    tangents = [random_like(x, 9 + k) for k, x in enumerate(args)]
    value, slope = sciad.jvp(case.function, args, tangents)
    moved_value, moved_slope = sciad.jvp(case.function, moved, list(map(to_device, tangents)))
    same(moved_value, value, to_host)
    same(moved_slope, slope, to_host)


def _shaped(out, parts):
    return tuple(parts) if isinstance(out, tuple) else parts[0]
