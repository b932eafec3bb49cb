"""The namespace: its names, plain results outside transforms, assignable arrays inside."""

import types

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.array import FUNCTIONS, Array
from sciad.core.errors import ArgumentError, LostGradientError, NoRuleError

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]])

NAMES = """
__array_api_version__
__array_namespace_info__ abs absolute acos acosh add all allclose amax amin angle any append
apply_along_axis apply_over_axes arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax
argmin argpartition argsort argwhere around array array_equal array_equiv array_split asanyarray
asarray asarray_chkfinite ascontiguousarray asfortranarray asin asinh astype atan atan2 atanh
atleast_1d atleast_2d atleast_3d average bartlett bincount bitwise_and bitwise_count bitwise_invert
bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman block bool bool_
broadcast_arrays broadcast_shapes broadcast_to c_ can_cast cbrt ceil choose clip column_stack
complex128 complex64 complexfloating compress concat concatenate conj conjugate convolve copy
copysign copyto corrcoef correlate cos cosh count_nonzero cov cross cumprod cumsum cumulative_prod
cumulative_sum deg2rad degrees delete diag diag_indices diagflat diagonal diff digitize divide
divmod dot dsplit dstack dtype e ediff1d einsum einsum_path emath empty empty_like equal errstate
euler_gamma exp exp2 expand_dims expm1 extract eye fabs fft fill_diagonal finfo fix flatnonzero
flip fliplr flipud float32 float64 float_power floating floor floor_divide fmax fmin fmod frexp
from_dlpack frombuffer fromfunction fromiter fromstring full full_like gcd generic geomspace
gradient greater greater_equal hamming hanning heaviside histogram histogram2d histogram_bin_edges
histogramdd hsplit hstack hypot i0 identity iinfo imag indices inexact inf inner insert int16 int32
int64 int8 integer interp intersect1d invert isclose iscomplex iscomplexobj isdtype isfinite isin
isinf isnan isneginf isposinf isreal isrealobj ix_ kaiser kron lcm ldexp left_shift less less_equal
lexsort linalg linspace log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not
logical_or logical_xor logspace mask_indices matmul matrix_transpose matvec max maximum mean median
meshgrid mgrid min minimum mod modf moveaxis multiply nan nan_to_num nanargmax nanargmin nancumprod
nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar
ndarray ndenumerate ndim ndindex negative newaxis nextafter nonzero not_equal number ogrid ones
ones_like outer pad partition percentile permute_dims pi piecewise place poly poly1d polyadd
polyder polydiv polyfit polyint polymul polysub polyval positive pow power prod promote_types ptp
put put_along_axis putmask quantile r_ rad2deg radians ravel ravel_multi_index real real_if_close
reciprocal remainder repeat require reshape resize result_type right_shift rint roll rollaxis roots
rot90 round searchsorted select setdiff1d setxor1d shape sign signbit sin sinc sinh size sort
sort_complex spacing split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis
tan tanh tensordot tile trace transpose trapezoid tri tril tril_indices trim_zeros triu
triu_indices true_divide trunc uint16 uint32 uint64 uint8 union1d unique unique_all unique_counts
unique_inverse unique_values unravel_index unstack unwrap vander var vdot vecdot vecmat vsplit
vstack where zeros zeros_like
""".split()


OF_SCIPY = ["cumulative_trapezoid"]
"""The one name of the namespace that is scipy.integrate's."""


def test_public_names():
    assert sorted(snp.__all__) == sorted(NAMES + OF_SCIPY)
    assert all(hasattr(snp, name) and hasattr(np, name) for name in NAMES)
    assert set(snp.linalg.__all__) <= set(np.linalg.__all__)
    assert set(snp.fft.__all__) == set(np.fft.__all__)
    assert sciad.numpy is snp


def test_names_are_numpys_own():
    for name in NAMES:
        own, theirs = getattr(snp, name), getattr(np, name)
        if isinstance(own, types.FunctionType):
            assert own.__name__ == theirs.__name__
        elif name not in ("c_", "emath", "fft", "linalg", "mgrid", "ogrid", "r_"):
            assert own is theirs


@pytest.mark.parametrize("name", [name for name in NAMES if getattr(np, name) in FUNCTIONS
                                  and isinstance(getattr(snp, name), types.FunctionType)])
def test_registered_for_plain_numpy(name):
    """np.name(x) and snp.name(x) reach the same rule."""
    assert getattr(np, name) in FUNCTIONS


CALLS = [
    lambda np: np.zeros((2, 3)), lambda np: np.ones(3, dtype=np.float32),
    lambda np: np.full((2,), 7.0), lambda np: np.arange(2, 9, 3), lambda np: np.linspace(0, 1, 5),
    lambda np: np.linspace(0, 1, 5, endpoint=False), lambda np: np.eye(3, k=1),
    lambda np: np.identity(2), lambda np: np.array([[1, 2], [3, 4]], dtype=float),
    lambda np: np.array(X), lambda np: np.array(2.0), lambda np: np.asarray([1.0, 2.0]),
    lambda np: np.array(X, ndmin=3), lambda np: np.zeros_like(X), lambda np: np.ones_like(X, int),
    lambda np: np.full_like(X, 2.5), lambda np: np.copy(X), lambda np: np.zeros_like(X, shape=4),
    lambda np: np.sum(X, axis=0, where=X > 0), lambda np: np.mean(X, dtype=np.float32),
    lambda np: np.where(X > 0), lambda np: np.clip(X, 0, None), lambda np: np.std(X, ddof=1),
    lambda np: np.linalg.solve(X @ X.T, [1.0, 2.0]), lambda np: np.linalg.norm(X),
    lambda np: np.linalg.inv(X @ X.T), lambda np: np.argmax(X, axis=1), lambda np: np.prod(X),
    lambda np: np.concatenate([X, X], axis=-1), lambda np: np.stack([X, X], 1),
    lambda np: np.hstack([1.0, [2.0]]), lambda np: np.vstack([[1.0], [2.0]]),
    lambda np: np.size(X, 1), lambda np: np.shape([[1, 2]]), lambda np: np.ndim(3.0),
    lambda np: np.allclose(X, X), lambda np: np.array_equal(X, X + 1), lambda np: np.real(X * 1j),
    lambda np: np.dot([1.0, 2.0], [3.0, 4.0]), lambda np: np.outer([1, 2], [3, 4]),
    lambda np: np.diff(X, prepend=0.0), lambda np: np.transpose(X),
    lambda np: np.result_type(X, 1j),
]


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_outside_transforms_as_numpy(call):
    got, expected = call(snp), call(np)
    assert type(got) is type(expected)
    if not isinstance(expected, tuple):
        assert getattr(got, "dtype", None) == getattr(expected, "dtype", None)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_inside_transforms_the_same_values(call):
    seen = []

    def f(x):
        seen.append(call(snp))
        return x * 1.0

    sciad.grad(f)(1.0)
    np.testing.assert_array_equal(seen[0], call(np))


MAKERS = [
    lambda x: snp.zeros(3), lambda x: snp.ones(3), lambda x: snp.empty(3) * 0.0 + snp.zeros(3),
    lambda x: snp.full(3, 2.0), lambda x: snp.full(3, x[0]), lambda x: snp.arange(3.0),
    lambda x: snp.linspace(0.0, 1.0, 3), lambda x: snp.linspace(x[0], x[1], 3),
    lambda x: snp.eye(3)[1], lambda x: snp.array([1.0, 2.0, 3.0]), lambda x: snp.array(x),
    lambda x: snp.array([x[0], 2.0, x[1]]), lambda x: snp.zeros_like(x), lambda x: np.zeros_like(x),
    lambda x: np.ones_like(x), lambda x: snp.full_like(x, x[0]), lambda x: snp.copy(x),
    lambda x: np.copy(x), lambda x: snp.zeros((3, 3))[:, 1], lambda x: np.empty_like(x) * 0,
    lambda x: np.broadcast_to(x[0], 3).copy(), lambda x: np.full_like(x, x[1]),
    lambda x: snp.zeros_like(np.ones(3)),
]


@pytest.mark.parametrize("make", MAKERS, ids=range(len(MAKERS)))
def test_inside_transforms_assignable(make):
    def f(x):
        out = make(x)
        out[0] = x[0] * x[1]
        out[1:] += x[1:] ** 2
        return np.sum(out * out)

    sciad.check_grads(f, (np.array([0.5, -1.5, 2.0]),))


def test_array_of_nested_lists():
    def f(x):
        m = snp.array([[x[0], 1.0], [x[1:], np.array([2.0, x[0]])][0]])
        return m @ x[:2]

    sciad.check_grads(f, (np.array([0.5, -1.5, 2.0]),))
    assert sciad.grad(lambda x: np.sum(snp.array([x, 2.0], dtype=complex).real))(1.0) == 1.0


@pytest.mark.parametrize("call, message", [
    (lambda x: np.sort(x, order="a"), "np.sort .*order.*takes a, axis, kind"),
    (lambda x: np.concatenate([x, x], casting="unsafe"), "casting"),
    (lambda x: snp.array(x, subok=True), "np.array .*subok"),
    (lambda x: np.clip(x, 0, 1, casting="unsafe"), "np.clip .*casting"),
    (lambda x: np.zeros_like(x, order="F"), "order"),
])
def test_unsupported_keywords_are_named(call, message):
    with pytest.raises(NoRuleError, match=message):
        sciad.vjp(call, np.ones(3))


@pytest.mark.parametrize("call", [
    lambda x: np.sum(x, None, None, None, True), lambda x: np.sum(x, out=None),
    lambda x: np.mean(a=x, axis=0), lambda x: np.reshape(x, shape=(3, 1)),
    lambda x: np.clip(x, min=0.0, max=1.0), lambda x: np.clip(x, 0.0, None),
    lambda x: np.transpose(a=x), lambda x: np.std(x, None, None, None, 1),
    lambda x: np.sum(x, dtype=np.float32),
    lambda x: np.sort(x, 0, "heapsort"), lambda x: np.argsort(x, kind="stable") * 1.0 * x,
    lambda x: np.einsum("i,i->", x, x, optimize="optimal"), lambda x: np.ptp(x, keepdims=True),
    lambda x: np.quantile(x, 0.5, None, None, False, "linear"), lambda x: np.round(a=x, decimals=1),
    lambda x: np.concat([x, x], axis=0), lambda x: np.permute_dims(x[None], (1, 0)),
    lambda x: np.take(x, [0], 0, None, "wrap"), lambda x: x.__array_namespace__().asin(x / 9)
    if hasattr(x, "_interp") else np.asin(x / 9),
    lambda x: np.concatenate((x, x), axis=0, dtype=complex),
    lambda x: np.dot(x, x, snp.zeros(())), lambda x: np.clip(x, 0, 1, snp.zeros(3)),
    lambda x: np.sum(x, axis=0, out=snp.zeros(())), lambda x: x.mean(0, None, snp.zeros(())),
    lambda x: np.einsum("i,i->i", x, x, out=snp.zeros(3)), lambda x: np.std(x, correction=1),
    lambda x: x.sum(initial=2.0, where=[True, False, True]), lambda x: x.prod(dtype=complex),
])
def test_supported_spellings(call):
    x = np.array([-0.5, 0.5, 2.0])
    got, expected = sciad.vjp(call, x)[0], call(x)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected)


def test_views_are_shared_as_numpys():
    views = [
        lambda a: np.reshape(a, (3, 2)), lambda a: np.transpose(a), lambda a: np.ravel(a),
        lambda a: np.squeeze(a[:1]), lambda a: np.expand_dims(a, 0), lambda a: np.swapaxes(a, 0, 1),
        lambda a: np.moveaxis(a, 0, 1), lambda a: np.flip(a), lambda a: np.ravel(np.transpose(a)),
        lambda a: np.reshape(np.transpose(a), (6,)), lambda a: np.atleast_1d(a[0]),
        lambda a: np.atleast_2d(a[0]),
    ]
    for view in views:
        def f(x, view=view):
            y = x * x
            view(y)[...] = 7.0
            return y * x

        expected = f(X.copy())
        np.testing.assert_array_equal(sciad.vjp(f, X)[0], expected)


def test_plain_buffers_in_in_place_operators():
    def f(x):
        a = np.zeros(3)
        a += snp.ones(3)
        return np.sum(a * x)

    np.testing.assert_array_equal(sciad.grad(f)(np.ones(3)), 1.0)

    def lost(x):
        a = np.zeros(3)
        a += x
        return np.sum(a)

    with pytest.raises(LostGradientError):
        sciad.grad(lost)(np.ones(3))


def test_like_functions_of_arrays_give_arrays_inside():
    def f(x):
        assert isinstance(np.zeros_like(x), Array) and isinstance(snp.zeros(2), Array)
        assert isinstance(snp.full_like(np.ones(2), 3.0), Array)
        assert isinstance(snp.copy(np.ones(2)) * 2.0, Array)
        return np.sum(x)

    sciad.grad(f)(np.ones(3))


def test_size_of_a_missing_axis():
    with pytest.raises(ArgumentError, match="size: axis 2"):
        sciad.grad(lambda x: np.size(x, 2) * x[0, 0])(X)
