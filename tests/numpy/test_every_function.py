"""Every public function of NumPy: differentiated right, constant as the mathematics says, refused
by name, or not a function of values. None drops a derivative silently.

Each sample is called with plain NumPy on an array that is differentiated; its results, times a sum
over the array, must have the derivative of their differences. So a constant that is not constant
would be seen.
"""

import types

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.array import Array
from sciad.core.errors import SciadError

X = np.array([[0.7, -1.21, 2.1], [0.31, -0.4, 1.6]])
P = np.abs(X) / 3 + 0.1
M = np.array([[2.0, 0.3, -0.4], [0.3, 1.5, 0.2], [-0.4, 0.2, 3.0]])
V = X.ravel()
N = np.array([4, 1, 6])


def fresh(x):
    """A copy that takes assignments."""
    return x.copy()


def written(write):
    """A function that writes into its first operand, as one that returns it."""
    def f(x):
        out = fresh(x)
        write(out, x)
        return out

    return f


SAMPLES = {
    # of whole arrays
    "all": lambda x: np.all(x > 0, axis=0), "any": lambda x: np.any(x > 0, axis=0),
    "allclose": lambda x: np.allclose(x, x), "amax": lambda x: np.amax(x, 1),
    "amin": lambda x: np.amin(x, 1), "angle": lambda x: np.angle(x + 1j),
    "append": lambda x: np.append(x, x[0]),
    "apply_along_axis": lambda x: np.apply_along_axis(lambda v: v * v[0], 1, x),
    "apply_over_axes": lambda x: np.apply_over_axes(np.sum, x, [0, 1]),
    "argmax": lambda x: np.argmax(x, 1), "argmin": lambda x: np.argmin(x),
    "argpartition": lambda x: np.argpartition(x, 1), "argsort": lambda x: np.argsort(x, 0),
    "argwhere": lambda x: np.argwhere(x > 0), "around": lambda x: np.around(x, 1),
    "array2string": lambda x: len(np.array2string(x)) > 0,
    "array_equal": lambda x: np.array_equal(x, x), "array_equiv": lambda x: np.array_equiv(x, x),
    "array_repr": lambda x: len(np.array_repr(x)) > 0,
    "array_split": lambda x: np.array_split(x, 2, 1),
    "array_str": lambda x: len(np.array_str(x)) > 0,
    "asanyarray": np.asanyarray, "asarray": np.asarray,
    "asarray_chkfinite": np.asarray_chkfinite, "ascontiguousarray": np.ascontiguousarray,
    "asfortranarray": np.asfortranarray, "asmatrix": lambda x: np.asarray(np.asmatrix(x)),
    "bmat": lambda x: np.asarray(np.bmat([[x, x]])), "array": np.array, "require": np.require,
    "astype": lambda x: np.astype(x, complex), "atleast_1d": np.atleast_1d,
    "atleast_2d": np.atleast_2d, "atleast_3d": np.atleast_3d,
    "average": lambda x: np.average(x, 1, weights=x[0] ** 2),
    "bincount": lambda x: np.bincount([0, 2, 1], weights=x[0]),
    "block": lambda x: np.block([[x, x], [x, 2 * x]]),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, x[0]),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "choose": lambda x: np.choose([0, 1, 0], [x[0], x[1]]), "clip": lambda x: np.clip(x, -1, 1),
    "column_stack": lambda x: np.column_stack([x[0], x[1]]),
    "common_type": lambda x: np.common_type(x)(1.0),
    "compress": lambda x: np.compress([True, False, True], x, 1),
    "concat": lambda x: np.concat([x, x]), "concatenate": lambda x: np.concatenate([x, x]),
    "convolve": lambda x: np.convolve(x[0], x[1]), "copy": np.copy,
    "copyto": written(lambda out, x: np.copyto(out, x * x, where=[True, False, True])),
    "corrcoef": lambda x: np.corrcoef(x), "correlate": lambda x: np.correlate(x[0], x[1], "full"),
    "count_nonzero": lambda x: np.count_nonzero(x > 0), "cov": lambda x: np.cov(x),
    "cross": lambda x: np.cross(x[0], x[1]), "cumprod": lambda x: np.cumprod(x, 1),
    "cumsum": lambda x: np.cumsum(x, 0), "cumulative_prod": lambda x: np.cumulative_prod(x, axis=1),
    "cumulative_sum": lambda x: np.cumulative_sum(x, axis=1),
    "delete": lambda x: np.delete(x, 1, 1), "diag": lambda x: np.diag(x[0]),
    "diag_indices_from": lambda x: x[:, :2][np.diag_indices_from(x[:, :2])],
    "diagflat": np.diagflat, "diagonal": np.diagonal, "diff": np.diff,
    "digitize": lambda x: np.digitize(x, [-1.0, 0.0, 1.0]), "dot": lambda x: np.dot(x, x.T),
    "dsplit": lambda x: np.dsplit(x[None], 3), "dstack": lambda x: np.dstack([x, x]),
    "ediff1d": np.ediff1d, "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "einsum_path": lambda x: len(np.einsum_path("ij,kj->ik", x, x)[0]),
    "empty_like": lambda x: np.empty_like(x) * 0, "expand_dims": lambda x: np.expand_dims(x, 1),
    "extract": lambda x: np.extract(x > 0, x),
    "fill_diagonal": written(lambda out, x: np.fill_diagonal(out, x[0, 2])),
    "fix": lambda x: np.fix(3 * x), "flatnonzero": lambda x: np.flatnonzero(x > 0),
    "flip": np.flip, "fliplr": np.fliplr, "flipud": np.flipud,
    "fromfunction": lambda x: np.fromfunction(lambda i, j: x * i + j, (2, 3)),
    "frompyfunc": lambda x: np.frompyfunc(lambda a, b: a * b, 2, 1)(x, x[0]),
    "full": lambda x: np.full(3, x[0, 0]), "full_like": lambda x: np.full_like(x, x[0, 0]),
    "geomspace": lambda x: np.geomspace(1.0, P, 3),
    "gradient": lambda x: np.gradient(x, axis=1), "heaviside": lambda x: np.heaviside(x, 0.5),
    "histogram": lambda x: np.histogram(x, 3, weights=x * x),
    "histogram2d": lambda x: np.histogram2d(X[0], X[1], 2, weights=x[0]),
    "histogram_bin_edges": lambda x: np.histogram_bin_edges(x, 3),
    "histogramdd": lambda x: np.histogramdd(X.T, 2, weights=x[0]),
    "hsplit": lambda x: np.hsplit(x, 3), "hstack": lambda x: np.hstack([x, x]),
    "i0": np.i0, "imag": lambda x: np.imag(x * 1j), "inner": lambda x: np.inner(x, x),
    "insert": lambda x: np.insert(x, 1, x[:, 0], 1),
    "interp": lambda x: np.interp([0.3, 0.9], [0.0, 0.5, 1.0], x[0]),
    "intersect1d": lambda x: np.intersect1d(x, x[0]), "isclose": lambda x: np.isclose(x, x[0]),
    "iscomplex": np.iscomplex, "iscomplexobj": np.iscomplexobj,
    "isin": lambda x: np.isin(np.round(x), [1.0]),
    "isneginf": np.isneginf, "isposinf": np.isposinf, "isreal": np.isreal,
    "isrealobj": np.isrealobj, "isscalar": lambda x: np.isscalar(x), "iterable": np.iterable,
    "ix_": lambda x: x[np.ix_([0, 1], [2, 0])], "kaiser": lambda x: np.kaiser(5, x[0, 0]),
    "kron": lambda x: np.kron(x, x), "lexsort": lambda x: np.lexsort((x[0], x[1])),
    "linspace": lambda x: np.linspace(x, 2 * x, 3), "logspace": lambda x: np.logspace(x, 2 * x, 3),
    "matrix_transpose": np.matrix_transpose, "max": np.max,
    "may_share_memory": lambda x: np.may_share_memory(x, np.ones(3)), "mean": np.mean,
    "median": np.median, "meshgrid": lambda x: np.meshgrid(x[0], x[1]), "min": np.min,
    "min_scalar_type": lambda x: np.min_scalar_type(x).itemsize,
    "moveaxis": lambda x: np.moveaxis(x, 0, 1), "nan_to_num": np.nan_to_num,
    "nanargmax": np.nanargmax, "nanargmin": np.nanargmin, "nancumprod": np.nancumprod,
    "nancumsum": np.nancumsum, "nanmax": np.nanmax, "nanmean": np.nanmean, "nanmedian":
        np.nanmedian, "nanmin": np.nanmin, "nanpercentile": lambda x: np.nanpercentile(x, 30.0),
    "nanprod": np.nanprod, "nanquantile": lambda x: np.nanquantile(x, 0.3), "nanstd": np.nanstd,
    "nansum": np.nansum, "nanvar": np.nanvar, "ndim": np.ndim,
    "nonzero": lambda x: np.nonzero(x > 0), "ones_like": np.ones_like,
    "outer": lambda x: np.outer(x, x), "pad": lambda x: np.pad(x, 1, "reflect"),
    "partition": lambda x: np.sort(np.partition(x, 1)), "percentile": lambda x: np.percentile(x, 3),
    "permute_dims": np.permute_dims, "piecewise": lambda x: np.piecewise(
        x, [x > 0], [np.sin, np.cos]),
    "place": written(lambda out, x: np.place(out, X > 0, x[0] ** 2)),
    "poly": lambda x: np.poly(x[0]), "polyadd": lambda x: np.polyadd(x[0], x[1]),
    "polyder": lambda x: np.polyder(x[0]), "polydiv": lambda x: np.polydiv(x[0], x[1, :2]),
    "polyfit": lambda x: np.polyfit([0.0, 1.0, 3.0], x.T, 1), "polyint": lambda x: np.polyint(x[0]),
    "polymul": lambda x: np.polymul(x[0], x[1]), "polysub": lambda x: np.polysub(x[0], x[1]),
    "polyval": lambda x: np.polyval(x[0], x[1]), "prod": np.prod, "ptp": np.ptp,
    "put": written(lambda out, x: np.put(out, [0, 4], x[1])),
    "put_along_axis": written(lambda out, x: np.put_along_axis(out, np.array([[2], [0]]),
                                                              x[:, :1] ** 2, 1)),
    "putmask": written(lambda out, x: np.putmask(out, x > 0, x * x)),
    "quantile": lambda x: np.quantile(x, 0.3, method="weibull"), "ravel": np.ravel,
    "real": np.real, "real_if_close": lambda x: np.real_if_close(x * 1j),
    "repeat": lambda x: np.repeat(x, 2), "reshape": lambda x: np.reshape(x, (3, 2)),
    "resize": lambda x: np.resize(x, (3, 3)),
    "result_type": lambda x: np.result_type(x, 1j).itemsize, "roll": lambda x: np.roll(x, 1),
    "rollaxis": lambda x: np.rollaxis(x, 1), "roots": lambda x: np.roots(x[0]),
    "rot90": np.rot90, "round": lambda x: np.round(x, 1),
    "searchsorted": lambda x: np.searchsorted([0.0, 1.0], x),
    "select": lambda x: np.select([x > 1, x > 0], [x, x * x], 0.5),
    "setdiff1d": lambda x: np.setdiff1d(x, x[0]), "setxor1d": lambda x: np.setxor1d(x[0], x[1]),
    "shape": np.shape, "shares_memory": lambda x: np.shares_memory(x, np.ones(3)),
    "sinc": np.sinc, "size": np.size, "sort": np.sort,
    "sort_complex": lambda x: np.sort_complex(x), "split": lambda x: np.split(x, 2),
    "squeeze": lambda x: np.squeeze(x[None]), "stack": lambda x: np.stack([x, x]), "std": np.std,
    "sum": np.sum, "swapaxes": lambda x: np.swapaxes(x, 0, 1), "take": lambda x: np.take(x, [4, 0]),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[2], [0]]), 1),
    "tensordot": lambda x: np.tensordot(x, x, ([0, 1], [0, 1])), "tile": lambda x: np.tile(x, 2),
    "trace": np.trace, "transpose": np.transpose, "trapezoid": np.trapezoid,
    "tril": np.tril, "tril_indices_from": lambda x: x[np.tril_indices_from(x)],
    "trim_zeros": lambda x: np.trim_zeros(np.maximum(x[0], 0)), "triu": np.triu,
    "triu_indices_from": lambda x: x[np.triu_indices_from(x)],
    "union1d": lambda x: np.union1d(x, [9.0]), "unique": lambda x: np.unique(x),
    "unique_all": np.unique_all, "unique_counts": np.unique_counts,
    "unique_inverse": np.unique_inverse, "unique_values": np.unique_values,
    "unravel_index": lambda x: np.unravel_index(np.argmax(x), (2, 3)),
    "ravel_multi_index": lambda x: np.ravel_multi_index((np.argmax(x, 0), [0, 1, 2]), (2, 3)),
    "unstack": np.unstack, "unwrap": lambda x: np.unwrap(3 * x),
    "vander": lambda x: np.vander(x[0]),
    "var": np.var, "vdot": lambda x: np.vdot(x, x), "vsplit": lambda x: np.vsplit(x, 2),
    "vstack": lambda x: np.vstack([x, x]), "where": lambda x: np.where(x > 0, x, 2 * x),
    "zeros_like": np.zeros_like, "can_cast": lambda x: np.can_cast(x.dtype, complex),
    "isdtype": lambda x: np.isdtype(x.dtype, "real floating"),
    "typename": lambda x: len(np.typename(x.dtype.char)),
    # ufuncs of other than two real numbers or one in (0, 1)
    "arccosh": lambda x: np.arccosh(x * x + 1.1), "acosh": lambda x: np.acosh(x * x + 1.1),
    "matmul": lambda x: np.matmul(x, x.T), "matvec": lambda x: np.matvec(x, x[0]),
    "vecmat": lambda x: np.vecmat(x[:, 0], x), "vecdot": lambda x: np.vecdot(x, x),
    "ldexp": lambda x: np.ldexp(x, 3), "divmod": lambda x: np.divmod(x, 0.45),
    "float_power": lambda x: np.float_power(x, 3), "conj": lambda x: np.conj(x * 1j),
    "conjugate": lambda x: np.conjugate(x * 1j),
}

INTEGERS = ["bitwise_and", "bitwise_count", "bitwise_invert", "bitwise_left_shift", "bitwise_not",
            "bitwise_or", "bitwise_right_shift", "bitwise_xor", "gcd", "invert", "lcm",
            "left_shift", "right_shift"]

REFUSED = {
    "fromiter": lambda x: np.fromiter(x[0], float), "packbits": lambda x: np.packbits(x),
    "polygrid2d": lambda x: np.polynomial.polynomial.polygrid2d(x[0], x[1], M),
    "save": lambda x: np.save("nowhere", x), "savetxt": lambda x: np.savetxt("nowhere", x),
    "savez": lambda x: np.savez("nowhere", x),
    "savez_compressed": lambda x: np.savez_compressed("nowhere", x),
    "unpackbits": lambda x: np.unpackbits(x),
}

NOT_OF_VALUES = """arange bartlett base_repr binary_repr blackman broadcast_shapes busday_count
busday_offset datetime_as_string datetime_data diag_indices empty eye format_float_positional
format_float_scientific from_dlpack frombuffer fromfile fromregex fromstring genfromtxt get_include
get_printoptions getbufsize geterr geterrcall hamming hanning identity indices info is_busday
isfortran isnat issubdtype load loadtxt mask_indices mintypecode nested_iters ones printoptions
promote_types row_stack set_printoptions setbufsize seterr seterrcall show_config show_runtime test
tri tril_indices triu_indices zeros""".split()


def public(module):
    return {name: value for name, value in vars(module).items()
            if not name.startswith("_") and callable(value)
            and not isinstance(value, (type, types.ModuleType))}


def ufunc_sample(ufunc):
    def f(x):
        return ufunc(x) if ufunc.nin == 1 else ufunc(x, x[::-1] + 0.05)

    return f


def samples():
    for name, value in public(np).items():
        if name in SAMPLES:
            yield pytest.param(SAMPLES[name], X, id=name)
        elif name in INTEGERS:
            operands = (N, np.array([1, 2, 3]))[:value.nin]
            yield pytest.param(lambda x, u=value, o=operands: u(*o), X, id=name)
        elif isinstance(value, np.ufunc) and name not in NOT_OF_VALUES:
            yield pytest.param(ufunc_sample(value), P, id=name)


LINALG = {
    "cholesky": lambda a: np.linalg.cholesky(a @ a.T), "cond": np.linalg.cond,
    "cross": lambda a: np.linalg.cross(a, a[::-1]), "det": np.linalg.det,
    "diagonal": np.linalg.diagonal, "eig": lambda a: tuple(np.linalg.eig(a @ a.T)),
    "eigh": lambda a: np.linalg.eigh(a @ a.T)[0], "eigvals": lambda a: np.linalg.eigvals(a @ a.T),
    "eigvalsh": lambda a: np.linalg.eigvalsh(a @ a.T), "inv": np.linalg.inv,
    "lstsq": lambda a: np.linalg.lstsq(a[:, :2], a[:, 2])[::3] + np.linalg.lstsq(
        a[:, :2], a[:, 2])[1:3],
    "matmul": lambda a: np.linalg.matmul(a, a), "matrix_norm": np.linalg.matrix_norm,
    "matrix_power": lambda a: np.linalg.matrix_power(a, -2), "matrix_rank": np.linalg.matrix_rank,
    "matrix_transpose": np.linalg.matrix_transpose,
    "multi_dot": lambda a: np.linalg.multi_dot([a, a[:, :2], a[:2]]), "norm": np.linalg.norm,
    "outer": lambda a: np.linalg.outer(a[0], a[1]), "pinv": lambda a: np.linalg.pinv(a[:, :2]),
    "qr": lambda a: tuple(np.linalg.qr(a)), "slogdet": lambda a: tuple(np.linalg.slogdet(a)),
    "solve": lambda a: np.linalg.solve(a, a[0]), "svd": lambda a: tuple(np.linalg.svd(a)),
    "svdvals": np.linalg.svdvals, "tensordot": lambda a: np.linalg.tensordot(a, a),
    "tensorinv": lambda a: np.linalg.tensorinv(a, 1),
    "tensorsolve": lambda a: np.linalg.tensorsolve(a, a[0]), "trace": np.linalg.trace,
    "vecdot": lambda a: np.linalg.vecdot(a, a), "vector_norm": np.linalg.vector_norm,
}

FFT = {"fftfreq": None, "rfftfreq": None, "test": None}

EMATH = {"power": lambda x: np.emath.power(x, 2.5), "logn": lambda x: np.emath.logn(3.0, x)}


def inner_samples():
    for name in public(np.linalg):
        if name != "test":
            yield pytest.param(LINALG[name], M, id=f"linalg.{name}")
    for name, value in public(np.fft).items():
        if name not in FFT:
            yield pytest.param(value, X, id=f"fft.{name}")
    for name, value in public(np.emath).items():
        yield pytest.param(EMATH.get(name, value), X, id=f"emath.{name}")
    yield pytest.param(lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 1), X,
                       id="sliding_window_view")
    yield pytest.param(lambda x: np.vectorize(lambda a: a * a)(x), X, id="vectorize")
    yield pytest.param(lambda x: np.poly1d(x[0])(x[1]), X, id="poly1d")
    yield pytest.param(lambda x: (np.r_[x[0], 1.0], np.c_[x[0], x[1]]), X, id="r_ c_")
    yield pytest.param(lambda x: np.polynomial.polynomial.polyval2d(x[0], x[1], M), X,
                       id="polynomial.polyval2d")
    for name in ["chebyshev", "hermite", "hermite_e", "laguerre", "legendre", "polynomial"]:
        kind = getattr(np.polynomial, name)
        value = next(getattr(kind, key) for key in dir(kind) if key.endswith("val"))
        yield pytest.param(lambda x, f=value: f(x[0], x[1]), X, id=f"polynomial.{name}")


def numbers_of(out):
    """The results as a list of arrays."""
    if isinstance(out, (tuple, list)):
        return [part for entry in out for part in numbers_of(entry)]
    return [out]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("call, x", [*samples(), *inner_samples()])
def test_derivative(call, x):
    def f(x):
        return [part * np.sum(x) for part in numbers_of(call(x))]

    for got, expected in zip(sciad.vjp(f, x)[0], f(x), strict=True):
        np.testing.assert_allclose(np.asarray(got).astype(complex),
                                   np.asarray(expected).astype(complex), rtol=1e-10, atol=1e-13)
    sciad.check_grads(f, (x,), order=1)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(SciadError):
        sciad.vjp(REFUSED[name], X)


def test_every_name_is_accounted_for():
    listed = {*SAMPLES, *INTEGERS, *REFUSED, *NOT_OF_VALUES}
    missing = {name for name, value in public(np).items()
               if name not in listed and not isinstance(value, np.ufunc)}
    assert not missing
    assert not {name for name in public(np.linalg) if name not in LINALG} - {"test"}


def test_the_namespace_has_all_of_numpy():
    missing = [name for name in np.__all__ if not hasattr(snp, name)]
    assert missing in ([], ["__version__"])
    assert isinstance(sciad.vjp(lambda x: snp.mgrid[0:3] * x[0], X[0])[0], np.ndarray)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = snp.nonsense


@pytest.mark.parametrize("make", [
    lambda: snp.mgrid[0:3], lambda: snp.ogrid[0:3, 0:2][0], lambda: snp.r_[0.0, 1.0],
    lambda: snp.c_[[0.0, 1.0]], lambda: snp.hanning(4), lambda: snp.kaiser(4, 2.0),
    lambda: snp.fromiter([1.0, 2.0], float), lambda: snp.fromfunction(lambda i: i, (3,)),
    lambda: snp.tile(0.0, 3), lambda: snp.concatenate([[0.0], [1.0]]), lambda: snp.diag([1.0, 2.0]),
    lambda: snp.meshgrid([0.0, 1.0], [2.0])[1], lambda: snp.stack([np.ones(2)] * 2),
    lambda: snp.concat([np.ones(2), np.ones(1)]), lambda: snp.pad(np.ones(2), 1),
    lambda: snp.repeat([0.0, 1.0], 2), lambda: snp.vstack([np.ones(2)] * 2),
])
def test_what_is_made_inside_takes_assignments(make):
    def f(x):
        assert isinstance(make(), Array)
        return x

    sciad.grad(f)(1.0)
    assert isinstance(make(), np.ndarray)
