"""How the case table runs on a device: what is compared, and what a device cannot compute.

A case either gives NumPy's value and derivatives, or raises the error that the lists here explain.
"""

import numpy as np

import sciad
from sciad.core.errors import DTypeError, NoRuleError
from tests.ops.cases import Case

CUPY_LACKS = frozenset("""
    dawsn elliprc elliprg elliprj erfi hankel1 hankel1e hankel2 hankel2e hyp0f1 modstruve ndtri_exp
    owens_t spence struve wofz wrightomega
""".split())
"""Functions of SciPy that CuPy does not have and that have no device form here."""

WHOLE_ORDERS = frozenset("jv yv iv kv ive kve".split())
"""Functions that a device computes for whole orders alone."""

HOST_CODE = frozenset({"airy_ai", "fresnel_s"})
"""Operations of sciad's own that NumPy code computes."""

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
        known = operation in CUPY_LACKS | HOST_CODE | WHOLE_ORDERS or (
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
