"""Functions of NumPy have NumPy's value, shape and dtype for every dtype and shape.

Each is called with plain NumPy on values that a transform holds as constants, and on values that
are being recorded; what NumPy refuses is refused. Where sciad asks for more than NumPy does, it
raises an error of its own.
"""

import warnings

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.array import unwrap_plain
from sciad.core.errors import SciadError
from sciad.core.record import record

DTYPES = (np.bool_, np.int8, np.int32, np.int64, np.uint8, np.uint64, np.float16, np.float32,
          np.float64, np.complex64, np.complex128)
SHAPES = ((2, 3), (0, 3), ())
MASK = np.array([True, False, True])


# --- how a function is called ---------------------------------------------------------------------


def constant(f, *xs):
    """`f` of values that a transform holds as constants."""
    outs = []

    def program(t):
        outs.append(f(*map(snp.array, xs)))
        return t

    sciad.grad(program)(1.0)
    return outs[0]


def recorded(f, *xs):
    return record(f, *xs)(*xs)


MODES = {"constant": constant, "recorded": recorded}


def leaves(out):
    if isinstance(out, (tuple, list)):
        return [leaf for part in out for leaf in leaves(part)]
    return [unwrap_plain(out)]


# --- values ---------------------------------------------------------------------------------------


def small(dtype, shape):
    """Numbers of a size that nothing overflows."""
    kind, size = np.dtype(dtype).kind, int(np.prod(shape))
    numbers = np.array([2.0, 0.0, 1.0, 3.0, 1.0, 2.0])[:size].reshape(shape)
    if kind in "ifc":
        numbers = numbers * np.array([1, 1, -1, 1, 1, -1])[:size].reshape(shape)
    if kind in "fc":
        numbers = numbers * 0.375
    if kind == "c":
        numbers = numbers + 0.25j * np.arange(size).reshape(shape)
    return numbers.astype(dtype)


def large(dtype, shape):
    """Integers at the ends of their range; floats of which some are no numbers."""
    kind, size = np.dtype(dtype).kind, int(np.prod(shape))
    if kind in "iu":
        most, least = np.iinfo(dtype).max, np.iinfo(dtype).min
        values = [most, most - 1, 3, most // 2, 1, least]
    else:
        values = [np.nan, -0.0, np.inf, -1.5, 0.0, -np.inf] if kind == "f" else [1, 1, 1, 0, 1, 1]
    return np.array(values, dtype)[:size].reshape(shape)


def same(got, want):
    assert got.dtype == want.dtype, f"dtype {got.dtype}, NumPy {want.dtype}"
    assert got.shape == want.shape, f"shape {got.shape}, NumPy {want.shape}"
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
    else:
        digits = {"e": 3, "f": 6, "F": 6}.get(want.dtype.char, 12)
        np.testing.assert_allclose(got, want, rtol=2 * 10.0**-digits, atol=2 * 10.0**-digits)


def outcome(call, f, xs):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return leaves(call(f, *xs)), None
        except Exception as error:
            return None, error


def compare(name, f, xs):
    """How many modes gave values that were compared."""
    kinds = {x.dtype.kind for x in xs}
    want, refusal = outcome(lambda f, *xs: f(*xs), f, xs)
    compared = 0
    for mode, call in MODES.items():
        got, error = outcome(call, f, xs)
        what = f"{name} of {', '.join(f'{x.dtype}{list(x.shape)}' for x in xs)}, {mode}: "
        if refusal is not None:
            assert error is not None or name in GENEROUS, what + f"NumPy raises {refusal!r}"
        elif error is not None:
            allowed = isinstance(error, SciadError) or isinstance(error, (
                TypeError, ValueError, IndexError)) and ("b" in kinds or not xs[0].size)
            assert allowed, what + repr(error)
        else:
            compared += 1
            assert len(got) == len(want)
            for a, b in zip(got, want, strict=True):
                try:
                    same(np.asarray(a), np.asarray(b))
                except AssertionError as failure:
                    raise AssertionError(what + str(failure)) from None
    return compared


# --- functions of one array -----------------------------------------------------------------------

SUMS = ("sum", "prod", "mean", "var", "std")
NAN_SUMS = ("nansum", "nanprod", "nanmean", "nanvar", "nanstd")
REDUCTIONS = (*SUMS, *NAN_SUMS, "max", "min", "any", "all", "ptp", "median", "nanmax", "nanmin",
              "nanmedian", "average", "count_nonzero")
PLACES = ("argmax", "argmin", "nanargmax", "nanargmin")
RUNNING = ("cumsum", "cumprod", "nancumsum", "nancumprod", "cumulative_sum", "cumulative_prod")
METHODS = ("sum", "prod", "mean", "var", "std", "max", "min", "any", "all", "argmax", "argmin",
           "cumsum", "cumprod", "round", "conj", "trace", "squeeze", "copy", "ravel", "flatten")
METHODS_OF = ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "logical_xor",
              "logaddexp", "fmax", "fmin", "subtract", "bitwise_or", "bitwise_and")
FUNCTIONS = {
    "round(2)": lambda x: np.round(x, 2), "round(-1)": lambda x: np.round(x, -1),
    "fix": np.fix, "sinc": np.sinc, "nan_to_num": np.nan_to_num, "real": np.real,
    "imag": np.imag, "angle": np.angle, "sort": np.sort, "argsort": np.argsort, "diff": np.diff,
    "ediff1d": np.ediff1d, "gradient": np.gradient, "trapezoid": np.trapezoid,
    "clip": lambda x: np.clip(x, 0, 2), "clip(0.5)": lambda x: np.clip(x, 0.5, 1.5),
    "quantile": lambda x: np.quantile(x, 0.3), "percentile": lambda x: np.percentile(x, 30),
    "quantile(lower)": lambda x: np.quantile(x, 0.3, method="lower"),
    "quantile([])": lambda x: np.quantile(x, [0.3, 0.5], axis=0),
    "nanquantile": lambda x: np.nanquantile(x, 0.3),
    "polyval": lambda x: np.polyval(x.ravel()[:3], x),
    "polyval([1, 2, 3])": lambda x: np.polyval([1, 2, 3], x),
    "poly": lambda x: np.poly(x.ravel()[:3] * (1j if x.dtype.kind == "c" else 1)),
    "vander": lambda x: np.vander(x.ravel()),
    "polyder": lambda x: np.polyder(x.ravel()), "polyint": lambda x: np.polyint(x.ravel()),
    "polyadd": lambda x: np.polyadd(x.ravel(), x.ravel()[:2]),
    "polymul": lambda x: np.polymul(x.ravel(), x.ravel()),
    "norm": np.linalg.norm, "vector_norm": np.linalg.vector_norm,
    "matrix_norm": np.linalg.matrix_norm,
    **{f"norm({p})": lambda x, p=p: np.linalg.norm(x.ravel(), p)
       for p in (0, 1, 2, 3, 0.5, -1, np.inf, -np.inf)},
    **{f"matrix_norm({p})": lambda x, p=p: np.linalg.norm(x, p) for p in (1, -1, 2, -2, np.inf)},
    "average(weights)": lambda x: np.average(x, weights=x),
    "average(returned)": lambda x: np.average(x, axis=0, returned=True),
    "convolve": lambda x: np.convolve(x.ravel(), x.ravel()),
    "dot": lambda x: np.dot(x, x.T), "inner": lambda x: np.inner(x, x),
    "outer": lambda x: np.outer(x, x), "vdot": lambda x: np.vdot(x, x),
    "kron": lambda x: np.kron(x, x), "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "trace": np.trace, "isclose": lambda x: np.isclose(x, x[..., ::-1] if x.ndim else x),
    "where": lambda x: np.where(x > 0, x, 1), "where(0.5)": lambda x: np.where(x > 0, x, 0.5),
    "select": lambda x: np.select([x > 1, x > 0], [x, x * 2], 3),
    "interp": lambda x: np.interp(x, [0, 1, 2], [1, 3, 5]),
    "searchsorted": lambda x: np.searchsorted(np.array([0, 1, 2]), x),
    "tril": np.tril, "diag": np.diag, "roll": lambda x: np.roll(x, 1), "flip": np.flip,
    "tile": lambda x: np.tile(x, 2), "repeat": lambda x: np.repeat(x, 2),
    "concatenate": lambda x: np.concatenate([x, np.ones(x.shape, np.int8)]),
    "stack": lambda x: np.stack([x, x]), "pad": lambda x: np.pad(x, 1),
    "pad(mean)": lambda x: np.pad(x, 1, mode="mean"),
    "linspace": lambda x: np.linspace(x, x + 1, 3),
    "geomspace": lambda x: snp.geomspace(x - 9.5, 2 * x - 19.0, 3),
    "isposinf": np.isposinf, "isreal": np.isreal, "insert": lambda x: np.insert(x, 1, 5),
    "sort_complex": np.sort_complex, "cond": lambda x: np.linalg.cond(x[:2, :2], 1),
    "matrix_power": lambda x: np.linalg.matrix_power(x[:2, :2], 3),
    "matrix_power(0)": lambda x: np.linalg.matrix_power(x[:2, :2], 0),
    "solve": lambda x: np.linalg.solve(x[:2, :2], x[:2, 2]),
    "histogram": lambda x: np.histogram(x, 3), "zeros_like": np.zeros_like,
    "fft": np.fft.fft, "rfft": np.fft.rfft, "matmul": lambda x: x @ x.T,
    "+ 1": lambda x: x + 1, "+ 1.5": lambda x: x + 1.5, "1 -": lambda x: 1 - x,
    "/ 2": lambda x: x / 2, "2 /": lambda x: 2 / x, "** 2": lambda x: x ** 2,
    "** 3": lambda x: x ** 3, "** 0.5": lambda x: x ** 0.5, "** 0": lambda x: x ** 0,
    "** 2.0": lambda x: x ** 2.0, "2 **": lambda x: 2 ** abs(x), "2.0 **": lambda x: 2.0 ** x,
    "// 2": lambda x: x // 2, "% 2": lambda x: x % 2, "% 1.5": lambda x: x % 1.5,
    "-": lambda x: -x, "abs": abs, "~": lambda x: ~x, "< 1": lambda x: x < 1,
    "< 300": lambda x: x < 300, "& 1": lambda x: x & 1, "<< 1": lambda x: x << 1,
    "+ True": lambda x: x + True, "* 1j": lambda x: x * 1j, "+ 300": lambda x: x + 300,
    "divmod": lambda x: divmod(x, 2), "- float32": lambda x: x - np.float32(1),
    "- int64": lambda x: x - np.int64(1), "to float64": lambda x: x.astype(np.float64),
    "to uint8": lambda x: np.abs(x).astype(np.uint8), "to bool": lambda x: x.astype(bool),
    "to complex": lambda x: x.astype(complex),
}


def ufuncs(operands):
    found = {u.__name__: u for u in vars(np).values() if isinstance(u, np.ufunc)
             and u.nin == operands and u.signature is None and u is not np.isnat}
    return dict(sorted(found.items()))


def masked(f, **keywords):
    return lambda x: f(x, where=MASK[:x.shape[-1]] if x.ndim else True, **keywords)


def table():
    cases = {**ufuncs(1), **FUNCTIONS}
    for name in (*REDUCTIONS, *PLACES):
        f = getattr(np, name)
        cases[name] = f
        cases[f"{name}(axis=0)"] = lambda x, f=f: f(x, axis=0)
        cases[f"{name}(keepdims)"] = lambda x, f=f: f(x, axis=-1, keepdims=True)
        cases[f"{name}(axis=(0,))"] = lambda x, f=f: f(x, axis=(0,))
    for name in RUNNING:
        f = getattr(np, name)
        cases[f"{name}(axis=0)"] = lambda x, f=f: f(x, axis=0)
        if name[:10] != "cumulative":
            cases[name] = f
    for name in (*SUMS, *NAN_SUMS, "cumsum", "cumprod"):
        f = getattr(np, name)
        for dtype in ("int8", "int64", "float32", "float64", "complex128"):
            cases[f"{name}({dtype})"] = lambda x, f=f, dtype=dtype: f(x, dtype=dtype)
    for name in (*SUMS, *NAN_SUMS, "any", "all"):
        cases[f"{name}(where)"] = masked(getattr(np, name))
        cases[f"{name}(where, axis=0)"] = masked(getattr(np, name), axis=0)
    for name in ("var", "std", "nanvar", "nanstd"):
        f = getattr(np, name)
        for ddof in (1, 1.5, 2, 6, 9):
            cases[f"{name}(ddof={ddof})"] = lambda x, f=f, ddof=ddof: f(x, ddof=ddof)
    for name in ("max", "min", "nanmax", "nanmin", "sum", "prod", "nansum", "nanprod"):
        f = getattr(np, name)
        for first in (1.5, 10):
            cases[f"{name}(initial={first})"] = lambda x, f=f, first=first: f(x, initial=first)
        cases[f"{name}(where, initial)"] = masked(f, initial=0)
    for name in METHODS_OF:
        u = getattr(np, name)
        cases |= {f"{name}.reduce": u.reduce, f"{name}.accumulate": u.accumulate,
                  f"{name}.outer": lambda x, u=u: u.outer(x, x),
                  f"{name}.reduceat": lambda x, u=u: u.reduceat(x, [0, 0])}
        if u.identity is not None or u in (np.maximum, np.minimum):
            cases[f"{name}.reduce(None)"] = lambda x, u=u: u.reduce(x, axis=None)
    for name in METHODS:
        cases[f".{name}()"] = lambda x, name=name: getattr(x, name)()
    return cases


ONE = table()
TWO = ufuncs(2)
GENEROUS = {
    "quantile", "percentile", "quantile([])", "nanquantile",  # of truth values
    "tril",  # of a number: NumPy asks for two axes
    "pad(mean)",  # of nothing
    "average(keepdims)",  # of nothing along one axis: NumPy divides by no entries
    "average(weights)",  # that sum to zero, recorded
}
"""What gives numbers where NumPy raises."""


@pytest.mark.parametrize("name", ONE)
def test_of_one_array(name):
    compared = 0
    for shape in SHAPES:
        for dtype in DTYPES:
            compared += compare(name, ONE[name], (small(dtype, shape),))
    assert compared or "(axis=(0,))" in name


NOT_EXTREME = {
    "cond", "solve", "histogram",  # nothing to compare, rounding, memory
    "linspace", "geomspace",  # infinite ends
    "quantile([])",  # NumPy's overflow
}


@pytest.mark.parametrize("name", [name for name in ONE if name not in NOT_EXTREME])
def test_of_extreme_numbers(name):
    for shape in ((2, 3), ()):
        for dtype in DTYPES[:-2]:
            compare(name, ONE[name], (large(dtype, shape),))


@pytest.mark.parametrize("name", TWO)
def test_of_two_arrays(name):
    for first in DTYPES:
        for second in DTYPES:
            x, y = small(first, (2, 3)), small(second, (2, 3))[:, ::-1]
            y = np.abs(y) if name in ("power", "left_shift", "right_shift", "ldexp") else y
            compare(name, TWO[name], (x, y))


@pytest.mark.parametrize("x", [[-3.0, -0.0, 0.0, 3.0, -np.inf, np.inf], [-3, 0, 3]], ids=len)
def test_zeros_of_modf_have_the_sign_of_the_number(x):
    want = np.modf(np.array(x))[0]
    for call in MODES.values():
        with np.errstate(invalid="ignore"):
            got = call(np.modf, np.array(x))[0]
        np.testing.assert_array_equal(np.signbit(unwrap_plain(got)), np.signbit(want))
