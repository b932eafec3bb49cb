"""The Python array API standard 2024.12: each of its names, called by its signature.

A call takes the namespace and arrays; inside a transform it must give what NumPy gives, and its
derivative must be that of the differences.
"""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.array import Array
from sciad.core.errors import ArgumentError, LostGradientError

X = np.array([[0.7, -1.2, 2.1], [0.3, -0.4, 1.6]])
P = np.abs(X) / 3 + 0.1
N = np.array([[6, 3, 12], [10, 7, 1]])
M = np.array([[2.0, 0.3, -0.4], [0.3, 1.5, 0.2], [-0.4, 0.2, 3.0]])
Z = X + 1j * P

CONSTANTS = ["e", "inf", "nan", "newaxis", "pi"]

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float32", "float64", "complex64", "complex128"]

CREATION = {
    "arange": lambda xp, x: xp.arange(1.0, stop=7.0, step=2.0, dtype=None, device=None),
    "asarray": lambda xp, x: xp.asarray(x, dtype=xp.float64, device=None, copy=None),
    "empty": lambda xp, x: xp.empty((2, 3), dtype=xp.float64, device=None) * 0.0,
    "empty_like": lambda xp, x: xp.empty_like(x, dtype=None, device=None) * 0.0,
    "eye": lambda xp, x: xp.eye(3, 4, k=1, dtype=None, device=None),
    "from_dlpack": lambda xp, x: xp.from_dlpack(np.ones(3)),
    "full": lambda xp, x: xp.full((2,), 3.0, dtype=None, device=None),
    "full_like": lambda xp, x: xp.full_like(x, 2.0, dtype=None, device=None),
    "linspace": lambda xp, x: xp.linspace(x[0], 2.0, num=4, dtype=None, device=None,
                                          endpoint=False),
    "meshgrid": lambda xp, x: xp.meshgrid(x[0], x[1], indexing="ij"),
    "ones": lambda xp, x: xp.ones((2, 3), dtype=None, device=None),
    "ones_like": lambda xp, x: xp.ones_like(x, dtype=None, device=None),
    "tril": lambda xp, x: xp.tril(x, k=1), "triu": lambda xp, x: xp.triu(x, k=-1),
    "zeros": lambda xp, x: xp.zeros((2, 3), dtype=None, device=None),
    "zeros_like": lambda xp, x: xp.zeros_like(x, dtype=None, device=None),
}

INFORMATION = {
    "astype": lambda xp, x: xp.astype(x, xp.complex128, copy=True, device=None),
    "can_cast": lambda xp, x: x * xp.can_cast(x.dtype, xp.complex128),
    "finfo": lambda xp, x: x * xp.finfo(x.dtype).eps,
    "iinfo": lambda xp, x: x * float(xp.iinfo(xp.int8).max),
    "isdtype": lambda xp, x: x * xp.isdtype(x.dtype, ("real floating", "integral")),
    "result_type": lambda xp, x: xp.ones(1, dtype=xp.result_type(x, 1.0, xp.complex64)),
    "broadcast_shapes": lambda xp, x: x * len(xp.broadcast_shapes(x.shape, (1, 1, 3))),
}

UNARY = {name: X for name in [
    "abs", "atan", "ceil", "cos", "cosh", "exp", "expm1", "floor", "isfinite", "isinf", "isnan",
    "negative", "positive", "real", "round", "sign", "signbit", "sin", "sinh", "square", "tan",
    "tanh", "trunc", "asinh"]}
UNARY |= {name: P for name in ["acos", "asin", "atanh", "log", "log10", "log1p", "log2",
                               "reciprocal", "sqrt"]}
UNARY |= {"acosh": P + 1.5, "conj": Z, "imag": Z}

BINARY = ["add", "atan2", "copysign", "divide", "equal", "floor_divide", "greater",
          "greater_equal", "hypot", "less", "less_equal", "logaddexp", "maximum", "minimum",
          "multiply", "nextafter", "not_equal", "pow", "remainder", "subtract"]

INTEGER = {
    "bitwise_and": lambda xp, n: xp.bitwise_and(n, 5), "bitwise_or": lambda xp, n: n | 5,
    "bitwise_xor": lambda xp, n: xp.bitwise_xor(n, n + 1),
    "bitwise_invert": lambda xp, n: xp.bitwise_invert(n),
    "bitwise_left_shift": lambda xp, n: xp.bitwise_left_shift(n, 2),
    "bitwise_right_shift": lambda xp, n: xp.bitwise_right_shift(n, 1),
    "logical_and": lambda xp, n: xp.logical_and(n > 3, n < 9),
    "logical_or": lambda xp, n: xp.logical_or(n > 9, n < 3),
    "logical_xor": lambda xp, n: xp.logical_xor(n > 3, n < 9),
    "logical_not": lambda xp, n: xp.logical_not(n > 3),
    "operators": lambda xp, n: (n & 6) + (n ^ 3) + (~n) + (n << 1) + (n >> 1) + n // 2 + n % 4,
    "reflected": lambda xp, n: (6 & n) + (3 ^ n) + (1 << n % 4) + (99 >> n % 4) + 50 // n + 50 % n,
}

OTHER = {
    # elementwise and comparison
    "clip": lambda xp, x: xp.clip(x, -1.0, 1.0),
    # indexing, searching, sorting, sets, utilities
    "take": lambda xp, x: xp.take(x, xp.asarray([2, 0]), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.asarray([[1], [2]]), axis=-1),
    "argmax": lambda xp, x: x * xp.argmax(x, axis=1, keepdims=True),
    "argmin": lambda xp, x: x * xp.argmin(x, axis=None, keepdims=False),
    "count_nonzero": lambda xp, x: x * xp.count_nonzero(x, axis=1, keepdims=True),
    "nonzero": lambda xp, x: x[xp.nonzero(x > 0)],
    "searchsorted": lambda xp, x: x * xp.searchsorted(xp.asarray([-1.0, 0.0, 1.0]), x,
                                                      side="right", sorter=None),
    "where": lambda xp, x: xp.where(x > 0, x * x, x),
    "argsort": lambda xp, x: x * xp.argsort(x, axis=-1, stable=True),
    "sort": lambda xp, x: xp.sort(x, axis=0, stable=True),
    "unique_all": lambda xp, x: xp.unique_all(x).values,
    "unique_counts": lambda xp, x: xp.unique_counts(x).values,
    "unique_inverse": lambda xp, x: xp.unique_inverse(x).values,
    "unique_values": lambda xp, x: xp.unique_values(x),
    "all": lambda xp, x: x * xp.all(x > 0, axis=1, keepdims=True),
    "any": lambda xp, x: x * xp.any(x > 0, axis=1, keepdims=True),
    "diff": lambda xp, x: xp.diff(x, axis=-1, n=1, prepend=x[:, :1], append=x[:, :1]),
    # manipulation
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[:, :1]),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, 2, 3)),
    "concat": lambda xp, x: xp.concat([x, x], axis=None),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1),
    "flip": lambda xp, x: xp.flip(x, axis=1),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, 1),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=1),
    "reshape": lambda xp, x: xp.reshape(x, (3, 2), copy=None),
    "roll": lambda xp, x: xp.roll(x, (1, 2), axis=(0, 1)),
    "squeeze": lambda xp, x: xp.squeeze(x[:1], axis=0),
    "stack": lambda xp, x: xp.stack([x, x], axis=1),
    "tile": lambda xp, x: xp.tile(x, (2, 1)),
    "unstack": lambda xp, x: xp.unstack(x, axis=1),
    # statistics
    "cumulative_prod": lambda xp, x: xp.cumulative_prod(x, axis=1, dtype=None,
                                                        include_initial=True),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=0, dtype=None,
                                                      include_initial=True),
    "max": lambda xp, x: xp.max(x, axis=1, keepdims=True),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True),
    "min": lambda xp, x: xp.min(x, axis=(0, 1), keepdims=False),
    "prod": lambda xp, x: xp.prod(x, axis=1, dtype=xp.float64, keepdims=True),
    "std": lambda xp, x: xp.std(x, axis=1, correction=1.0, keepdims=True),
    "sum": lambda xp, x: xp.sum(x, axis=1, dtype=xp.float64, keepdims=True),
    "var": lambda xp, x: xp.var(x, axis=1, correction=1.0, keepdims=True),
    # linear algebra of the main namespace
    "matmul": lambda xp, x: xp.matmul(x, x.T), "matrix_transpose": lambda xp, x:
        xp.matrix_transpose(x), "tensordot": lambda xp, x: xp.tensordot(x, x, axes=((1,), (1,))),
    "vecdot": lambda xp, x: xp.vecdot(x, x, axis=-1),
}

LINALG = {
    "cholesky": lambda xp, a: xp.linalg.cholesky(a @ a.mT, upper=True),
    "cross": lambda xp, a: xp.linalg.cross(a, a[::-1], axis=-1),
    "det": lambda xp, a: xp.linalg.det(a),
    "diagonal": lambda xp, a: xp.linalg.diagonal(a, offset=1),
    "eigh": lambda xp, a: xp.linalg.eigh(a @ a.mT).eigenvalues,
    "eigvalsh": lambda xp, a: xp.linalg.eigvalsh(a @ a.mT),
    "inv": lambda xp, a: xp.linalg.inv(a),
    "matmul": lambda xp, a: xp.linalg.matmul(a, a),
    "matrix_norm": lambda xp, a: xp.linalg.matrix_norm(a, keepdims=True, ord=2),
    "matrix_power": lambda xp, a: xp.linalg.matrix_power(a, 3),
    "matrix_rank": lambda xp, a: a * xp.linalg.matrix_rank(a, rtol=None),
    "matrix_transpose": lambda xp, a: xp.linalg.matrix_transpose(a),
    "outer": lambda xp, a: xp.linalg.outer(a[0], a[1]),
    "pinv": lambda xp, a: xp.linalg.pinv(a, rtol=1e-10),
    "qr": lambda xp, a: tuple(xp.linalg.qr(a, mode="complete")),
    "slogdet": lambda xp, a: xp.linalg.slogdet(a).logabsdet,
    "solve": lambda xp, a: xp.linalg.solve(a, a[0]),
    "svd": lambda xp, a: xp.linalg.svd(a, full_matrices=False).S,
    "svdvals": lambda xp, a: xp.linalg.svdvals(a),
    "tensordot": lambda xp, a: xp.linalg.tensordot(a, a, axes=1),
    "trace": lambda xp, a: xp.linalg.trace(a, offset=1, dtype=None),
    "vecdot": lambda xp, a: xp.linalg.vecdot(a, a, axis=0),
    "vector_norm": lambda xp, a: xp.linalg.vector_norm(a, axis=0, keepdims=True, ord=3),
}

FFT = {
    "fft": lambda xp, x: xp.fft.fft(x, n=4, axis=0, norm="ortho"),
    "ifft": lambda xp, x: xp.fft.ifft(x, n=4, axis=0, norm="ortho"),
    "fftn": lambda xp, x: xp.fft.fftn(x, s=(2, 4), axes=(0, 1), norm="forward"),
    "ifftn": lambda xp, x: xp.fft.ifftn(x, s=(2, 4), axes=(0, 1), norm="forward"),
    "rfft": lambda xp, x: xp.fft.rfft(x, n=5, axis=-1, norm="backward"),
    "irfft": lambda xp, x: xp.fft.irfft(x, n=5, axis=-1, norm="backward"),
    "rfftn": lambda xp, x: xp.fft.rfftn(x, s=None, axes=None, norm="backward"),
    "irfftn": lambda xp, x: xp.fft.irfftn(x, s=None, axes=None, norm="backward"),
    "hfft": lambda xp, x: xp.fft.hfft(x, n=4, axis=-1, norm="backward"),
    "ihfft": lambda xp, x: xp.fft.ihfft(x, n=4, axis=-1, norm="backward"),
    "fftfreq": lambda xp, x: xp.fft.fftfreq(5, d=0.1, device=None),
    "rfftfreq": lambda xp, x: xp.fft.rfftfreq(5, d=0.1, device=None),
    "fftshift": lambda xp, x: xp.fft.fftshift(x, axes=(1,)),
    "ifftshift": lambda xp, x: xp.fft.ifftshift(x, axes=None),
}


def cases():
    for table, x in [(CREATION, X), (INFORMATION, X), (OTHER, X), (LINALG, M), (FFT, X)]:
        for name, call in table.items():
            yield pytest.param(call, x, id=name)
    for name, x in UNARY.items():
        yield pytest.param(lambda xp, x, n=name: getattr(xp, n)(x), x, id=name)
    for name in BINARY:
        yield pytest.param(lambda xp, x, n=name: getattr(xp, n)(x, x[::-1] + 0.05), P, id=name)
        yield pytest.param(lambda xp, x, n=name: getattr(xp, n)(x, 0.513), P, id=f"{name} number")
        yield pytest.param(lambda xp, x, n=name: getattr(xp, n)(0.513, x), P, id=f"number {name}")


@pytest.mark.parametrize("call, x", list(cases()))
def test_function(call, x):
    def f(x):
        out = call(x.__array_namespace__() if isinstance(x, Array) else np, x)
        parts = out if isinstance(out, (tuple, list)) else (out,)
        return [part * np.sum(x) for part in parts]

    for got, expected in zip(sciad.vjp(f, x)[0], f(x), strict=True):
        assert np.asarray(got).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    sciad.check_grads(f, (x,), order=1)


@pytest.mark.parametrize("call", INTEGER.values(), ids=INTEGER)
def test_integers(call):
    def f(x):
        n = snp.asarray(N) + (x > 9)
        return call(x.__array_namespace__(), n) * x

    got = sciad.vjp(f, X)[0]
    np.testing.assert_array_equal(got, call(np, N) * X)
    np.testing.assert_array_equal(sciad.jit(f)(X), got)


@pytest.mark.parametrize("name", CONSTANTS + DTYPES)
def test_constants_and_dtypes(name):
    assert getattr(snp, name) is getattr(np, name)


METHODS = """__abs__ __add__ __and__ __array_namespace__ __bool__ __complex__ __dlpack__
__dlpack_device__ __eq__ __float__ __floordiv__ __ge__ __getitem__ __gt__ __index__ __int__
__invert__ __le__ __lshift__ __lt__ __matmul__ __mod__ __mul__ __ne__ __neg__ __or__ __pos__
__pow__ __rshift__ __setitem__ __sub__ __truediv__ __xor__ to_device __radd__ __rsub__ __rmul__
__rtruediv__ __rfloordiv__ __rmod__ __rpow__ __rmatmul__ __rand__ __ror__ __rxor__ __rlshift__
__rrshift__ __iadd__ __isub__ __imul__ __itruediv__ __ifloordiv__ __imod__ __ipow__ __imatmul__
__iand__ __ior__ __ixor__ __ilshift__ __irshift__ dtype device mT ndim shape size T""".split()


@pytest.mark.parametrize("name", METHODS)
def test_arrays_have_the_method(name):
    assert hasattr(Array, name)


def test_methods():
    def f(x):
        if not isinstance(x, Array):
            return np.sum(x.mT @ x)
        assert x.__array_namespace__(api_version="2024.12") is snp
        assert x.device == "cpu" and x.to_device("cpu") is x and x.mT.shape == (3, 2)
        assert x.__dlpack_device__() == X.__dlpack_device__()
        with pytest.raises(ArgumentError, match="version '1999.1'"):
            x.__array_namespace__(api_version="1999.1")
        with pytest.raises(ArgumentError, match="device 'gpu'"):
            x.to_device("gpu")
        return np.sum(x.mT @ x)

    sciad.check_grads(f, (X,))
    with pytest.raises(LostGradientError, match="from_dlpack"):
        sciad.grad(lambda x: np.sum(np.from_dlpack(x)))(X)


def test_inspection():
    assert snp.__array_api_version__ == np.__array_api_version__
    info = snp.__array_namespace_info__()
    assert info.default_device() == "cpu" and "cpu" in info.devices()
    assert info.default_dtypes()["real floating"] == np.float64
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert info.capabilities()["boolean indexing"]


def test_constants_of_the_namespace():
    assert (snp.e, snp.pi, snp.newaxis) == (np.e, np.pi, None)
    assert snp.inf == np.inf and np.isnan(snp.nan)
