"""Functions that look at values, singular points, views, and errors of the wide namespace."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid

import sciad
from sciad import numpy as snp
from sciad.core.errors import ArgumentError, DTypeError, LostGradientError, NoRuleError

X = np.array([0.7, -1.2, 2.1, 0.3, -0.4, 1.6])

BY_VALUE = {
    "piecewise": lambda x: np.piecewise(x, [x < 0, x > 1], [lambda t: t**2, np.sin, 3.0]),
    "piecewise one": lambda x: np.piecewise(x, x > 0, [lambda t, k: t**k, lambda t, k: k * t], 2.0),
    "piecewise of a number": lambda x: np.piecewise(x[0], [x[0] > 0], [np.exp, np.sin]),
    "piecewise overlap": lambda x: np.piecewise(x, [x < 1, x > 0], [np.sin, np.cos]),
    "piecewise rest": lambda x: np.piecewise(x, [x < 0], [np.square]),
    "piecewise sums": lambda x: np.piecewise(x, [x > 0], [lambda t: t * np.sum(t)]),
    "unique": lambda x: np.unique(np.concatenate([x, x[:2]])),
    "unique all": lambda x: np.unique(x, return_index=True, return_inverse=True,
                                      return_counts=True)[0],
    "union1d": lambda x: np.union1d(x, [0.0, 5.0]),
    "unique functions": lambda x: (np.unique_all(x).values, np.unique_counts(x)[0],
                                   np.unique_inverse(x).values, np.unique_values(x)),
    "roots": lambda x: np.sort(np.abs(np.roots(x))),
    "roots with zeros": lambda x: np.roots(np.concatenate([[0.0], x[:3], [0.0]])),
    "histogram": lambda x: np.histogram(x, 3),
    "histogram weights": lambda x: np.histogram([0.1, 0.9, 1.5, 3.0, 0.2, 2.0], [0, 1, 2],
                                                weights=x),
    "histogram density": lambda x: np.histogram(X, 3, weights=x**2, density=True),
    "bincount": lambda x: np.bincount([0, 2, 2, 1, 0, 4], x, minlength=7),
    "compress": lambda x: np.compress(x > 0, x),
    "extract": lambda x: np.extract(x > 0, x),
    "mask": lambda x: x[x > 0] ** 2,
    "nonzero": lambda x: x[np.nonzero(x > 0)],
    "where": lambda x: x[np.where(x > 0)],
    "argwhere": lambda x: x[np.argwhere(x > 0)],
    "flatnonzero": lambda x: x[np.flatnonzero(x > 0)],
    "count_nonzero": lambda x: x * np.count_nonzero(x > 0),
    "lexsort": lambda x: x[np.lexsort((x, np.round(x)))],
    "isin": lambda x: x * np.isin(np.round(x), [0.0, 2.0]),
    "trim_zeros": lambda x: np.trim_zeros(np.maximum(x, 0)[1:5]),
    "choose": lambda x: np.choose((x > 0).astype(int), [x, x**2]),
    "putmask": lambda x: _put(x),
    "histogram2d": lambda x: np.histogram2d(X, X[::-1] + 0.03, [3, 2], weights=x * x),
    "histogram2d density": lambda x: np.histogram2d(x, X[::-1] + 0.03, 2, density=True, weights=x),
    "histogram2d edges": lambda x: np.histogram2d(x, X, [-2.0, 0.0, 1.0, 3.0]),
    "histogramdd": lambda x: np.histogramdd(np.stack([X, X**2], 1), 3, weights=x)[0],
    "histogramdd ranges": lambda x: np.histogramdd(
        (X, X**2), (3, 2), [(-1, 1), (0, 2)], weights=x, density=True)[0],
    "histogram auto": lambda x: np.histogram(x, "auto"),
    "histogram_bin_edges": lambda x: np.histogram_bin_edges(x, 4),
    "intersect1d": lambda x: np.intersect1d(x, x[1:4], return_indices=True)[0],
    "setdiff1d": lambda x: np.setdiff1d(x, x[1:3]),
    "setxor1d": lambda x: np.setxor1d(x[:4], x[2:]),
    "unique axis": lambda x: np.unique(np.stack([x, x, 2 * x]), axis=0, return_counts=True)[0],
    "unique inverse": lambda x: x[0] * np.unique([x, x], return_inverse=True)[1],
    "polydiv": lambda x: np.polydiv(x, x[:2] + 2),
    "polydiv without rest": lambda x: np.polydiv(np.polymul(x, x[:2]), x)[0],
    "polydiv of a lower degree": lambda x: np.polydiv(x[:2], x),
    "polyfit full": lambda x: np.polyfit(np.arange(6.0), x, 2, full=True)[:2],
    "poly1d": lambda x: (np.poly1d(x)(X), (np.poly1d(x[:2]) * np.poly1d(x)).coeffs),
    "emath sqrt": lambda x: np.emath.sqrt(x), "emath log": lambda x: np.emath.log(x),
    "emath log2": lambda x: np.emath.log2(x), "emath power": lambda x: np.emath.power(x, 1.5),
    "emath logn": lambda x: np.emath.logn(3.0, np.abs(x)),
    "emath arccos": lambda x: np.emath.arccos(x), "emath arcsin": lambda x: np.emath.arcsin(x / 9),
    "emath arctanh": lambda x: np.emath.arctanh(x),
    "real_if_close": lambda x: np.real_if_close(x + 0j),
    "nanquantile by steps": lambda x: np.nanquantile(
        np.where(X > 0, x, np.nan), [0.2, 0.7], method="higher"),
    "nanquantile of lines": lambda x: np.nanquantile(
        np.where(X > 0, x, np.nan).reshape(2, 3), 0.6, axis=1, method="inverted_cdf"),
    "searchsorted in order": lambda x: x * np.searchsorted(x, [0.5, 1.0], sorter=np.argsort(x))[0],
    "r_ of strings": lambda x: snp.r_["0,2", x, x],
}


def _put(x):
    out = x * x
    np.putmask(out, x > 0, x[:2])
    return out


@pytest.mark.parametrize("name", BY_VALUE)
def test_functions_of_values(name):
    f = BY_VALUE[name]
    got, expected = sciad.vjp(f, X)[0], f(X)
    for a, b in zip(got if isinstance(got, tuple) else (got,),
                    expected if isinstance(expected, tuple) else (expected,), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    sciad.check_grads(f, (X,))


@pytest.mark.parametrize("f", [
    lambda x: sum(np.unique(x, return_counts=True)[1]), lambda x: np.allclose(x, x),
    lambda x: np.array_equal(x, x), lambda x: np.array_equiv(x, x), lambda x: np.isreal(x).all(),
    lambda x: np.nanargmax(x), lambda x: np.histogram(x, [0.0, 1.0])[0][0],
])
def test_constants_are_constant(f):
    assert np.all(sciad.grad(lambda x: x[0] * f(x))(X)[1:] == 0)


@pytest.mark.parametrize("f", [
    np.argmax, lambda x: np.floor(x[0]), lambda x: np.sum(np.sign(x)), lambda x: np.sum(x > 0),
    lambda x: np.digitize(x, [0.0])[1], lambda x: np.linalg.matrix_rank(np.outer(x, x)),
    lambda x: np.searchsorted([0.0, 1.0], x[0]), lambda x: np.sum(np.argsort(x)[:2]),
    lambda x: np.count_nonzero(x), lambda x: np.sum(np.round(x)), lambda x: np.frexp(x)[1][0],
    lambda x: np.histogram(x, [0.0, 1.0])[0][0], lambda x: np.sum(np.trunc(x)),
    lambda x: np.bincount((x > 0).astype(int))[0], lambda x: np.sum(np.heaviside(x, 0.5)),
])
def test_steps_have_gradient_zero(f):
    np.testing.assert_array_equal(sciad.grad(lambda x: f(x) * 1.0)(X), np.zeros(6))
    out, tangent = sciad.jvp(lambda x: f(x) * 1.0, (X,), (np.ones(6),))
    assert out == f(X) and tangent == 0.0


# --- singular points ------------------------------------------------------------------------------


def test_a_stable_sort_gives_each_tied_entry_its_own_place():
    x = np.array([2.0, 1.0, 1.0])
    np.testing.assert_array_equal(sciad.jacobian(np.sort)(x), [[0, 1, 0], [0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [2.0, 0.0, 3.0, 0.0, 1.0], [0.0, 0.0]])
def test_running_products_at_zeros(x):
    sciad.check_grads(np.cumprod, (np.array(x),))


def test_fmax_and_running_maxima_share_at_ties():
    assert sciad.grad(lambda x: np.fmax(x, 1.0))(1.0) == 0.5
    slopes = sciad.jacobian(np.maximum.accumulate)(np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(slopes.sum(axis=1), 1.0)


def test_untaken_choices_are_harmless():
    with np.errstate(all="ignore"):
        for f in [lambda x: np.select([x > 0], [np.sqrt(np.maximum(x, 0.0))]),
                  lambda x: np.triu(np.sqrt(np.maximum(x, 0.0) * np.ones((2, 1))), 1)]:
            slope = sciad.grad(lambda x, f=f: np.sum(f(x)))(np.array([0.0, 4.0]))
            np.testing.assert_array_equal(slope, [0.0, 0.25])


def test_nan_in_a_line_is_its_median():
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 4.0]])
    np.testing.assert_array_equal(sciad.vjp(lambda x: np.median(x, axis=1), x)[0], [np.nan, 2.0])


def test_sinc_at_zero_has_all_its_derivatives():
    f = np.sinc
    for expected in [1.0, 0.0, -np.pi**2 / 3, 0.0, np.pi**4 / 5]:
        np.testing.assert_allclose(f(0.0), expected, atol=1e-13)
        f = sciad.grad(f)


def test_logaddexp_of_nothing_has_no_slope():
    assert sciad.grad(lambda x: np.exp(np.logaddexp(x, -np.inf)))(-np.inf) == 0.0
    assert sciad.grad(lambda y: np.logaddexp(-np.inf, y))(0.5) == 1.0


# --- views ----------------------------------------------------------------------------------------

VIEWS = [
    np.diagonal,
    lambda a: np.split(a, 3)[1], lambda a: np.array_split(a, 2, axis=1)[1],
    lambda a: np.hsplit(a, 3)[0], lambda a: np.fliplr(a)[0], lambda a: np.rot90(a)[0],
    lambda a: np.rot90(a, 2)[0], lambda a: np.atleast_3d(a)[0], lambda a: np.unstack(a)[1],
    lambda a: np.rollaxis(a, 1)[0],
]


@pytest.mark.parametrize("view", VIEWS, ids=range(len(VIEWS)))
def test_views_see_writes(view):
    """A write into the whole is seen through the view, as in NumPy."""
    def f(x):
        y = x * x
        part = view(y)
        y[...] = 2.0 * x
        return part * x[0, 0]

    x = np.arange(1.0, 10.0).reshape(3, 3)
    np.testing.assert_allclose(sciad.vjp(f, x)[0], f(x))
    sciad.check_grads(f, (x,))


def test_ufunc_out_and_at_into_plain_arrays_raise():
    with pytest.raises(LostGradientError, match="add.at"):
        sciad.grad(lambda x: np.add.at(np.zeros(3), [0], x))(1.0)
    with pytest.raises(LostGradientError, match="put_along_axis"):
        sciad.grad(lambda x: np.put_along_axis(np.zeros(3), np.array([0]), x[:1], 0))(X)


def test_accumulate_out():
    def f(x):
        out = snp.zeros(6)
        np.add.accumulate(x * x, out=out)
        return out

    sciad.check_grads(f, (X,))


def test_other_numbers_pass_through():
    """Object arrays of fractions mean what they mean in NumPy."""
    x = np.array([Fraction(1, 3), Fraction(-2, 7), Fraction(1, 2)])
    for f in [snp.sort, snp.sum, snp.cumprod, snp.diff, lambda x: snp.einsum("i,i", x, x),
              lambda x: snp.convolve(x, x), lambda x: snp.tile(x, 2), snp.diag]:
        got = np.asarray(f(x))
        assert all(isinstance(entry, (Fraction, int)) for entry in got.flat)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, error, message", [
    (lambda x: np.einsum("ij", x), ArgumentError, "einsum 'ij'.*1 dimensions"),
    (lambda x: np.einsum("i,i", x), ArgumentError, "names 2 operands, got 1"),
    (lambda x: np.einsum("i,i", x, x[:2]), ArgumentError, "label 'i' is both 6 and 2"),
    (lambda x: np.einsum("i->j", x), ArgumentError, "label of the result"),
    (lambda x: np.einsum("...i->i", x[None]), ArgumentError, "broadcast axes"),
    (lambda x: np.einsum("i", x, dtype=complex), NoRuleError, "np.einsum.*dtype"),
    (lambda x: np.tensordot(x, x[:2], 1), ArgumentError, "tensordot: shapes"),
    (lambda x: np.cross(x[:2], x[:2]), ArgumentError, "three entries"),
    (lambda x: np.pad(x, 1, "other"), NoRuleError, "mode='other'.*edge"),
    (lambda x: np.pad(x, -1), ArgumentError, "pad_width -1"),
    (lambda x: np.quantile(x, 0.5, method="low"), ArgumentError, "method='low'.*linear.*lower"),
    (lambda x: np.quantile(x, 1.5), ArgumentError, r"in \[0, 1\]"),
    (lambda x: np.quantile(x, 0.5, weights=x), ArgumentError, "method='inverted_cdf'"),
    (lambda x: np.quantile(x, 0.5, weights=x[:2], method="inverted_cdf"), ArgumentError,
     r"weights of shape \(2,\)"),
    (lambda x: np.quantile(x, 0.5, weights=0.0 * x, method="inverted_cdf"), ArgumentError,
     "not all zero"),
    (lambda x: np.quantile(x, 0.5, weights=-x**2, method="inverted_cdf"), ArgumentError,
     "non-negative"),
    (lambda x: np.median(x * 1j), ArgumentError, "no order"),
    (lambda x: np.take_along_axis(x, np.array([[0]]), 0), ArgumentError, "as many dimensions"),
    (lambda x: np.select([x > 0], [x, x]), ArgumentError, "1 conditions for 2 choices"),
    (lambda x: np.select([x], [x]), ArgumentError, "must be bool"),
    (lambda x: np.piecewise(x, [x > 0], [1, 2, 3]), ArgumentError, "1 conditions for 3"),
    (lambda x: np.choose([7], [x, x]), ArgumentError, r"not in \[0, 2\)"),
    (lambda x: np.split(x, 4), ArgumentError, "array_split"),
    (lambda x: np.gradient(x, 1.0, 2.0), ArgumentError, "2 spacings for 1 axes"),
    (lambda x: np.gradient(x[:1]), ArgumentError, "at least 2 points"),
    (lambda x: np.gradient(x, np.ones(3)), ArgumentError, "axis of 6 points"),
    (lambda x: np.interp(1.0, x, x[:2]), ArgumentError, "two vectors of one length"),
    (lambda x: np.convolve(x[None], x), ArgumentError, "must be vectors"),
    (lambda x: np.convolve(x, x, "half"), ArgumentError, "mode 'half'"),
    (lambda x: np.diag(x[None, None]), ArgumentError, "neither a vector nor a matrix"),
    (lambda x: np.diagonal(x[None], 0, 1, 1), ArgumentError, "both 1"),
    (lambda x: np.searchsorted(x[None], 1.0), ArgumentError, "one-dimensional"),
    (lambda x: np.quantile(X, 2.0 + x[0]), ArgumentError, r"in \[0, 1\]"),
    (lambda x: np.digitize(x, [0.0, 2.0, 1.0]), ArgumentError, "digitize: .* in order"),
    (lambda x: np.histogram(x, [0.0, 2.0, 1.0]), ArgumentError, "histogram: .* in order"),
    (lambda x: np.histogram(X, 3, weights=x[:2]), ArgumentError, "2 weights for 6 entries"),
    (lambda x: np.bincount([-1, 2], x[:2]), ArgumentError, ">= 0"),
    (lambda x: np.bincount([1, 2], x), ArgumentError, r"shape \(6,\)"),
    (lambda x: np.add(x, x, casting="unsafe"), NoRuleError, "casting"),
    (lambda x: np.cov(x, aweights=x[:2]), ArgumentError, "cov: weights"),
    (lambda x: np.sort(x, order="a"), NoRuleError, "order"),
    (lambda x: np.nan_to_num(np.ones(6), copy=False, nan=x[0]), LostGradientError,
     "plain array"),
    (lambda x: np.add.reduceat(x, [0, 9]), ArgumentError, r"not all in \[0, 6\)"),
    (lambda x: np.divide.reduce(x, axis=None) if x.ndim > 1 else np.divide.reduce(x[None], None),
     ArgumentError, "takes one axis"),
    (lambda x: np.max(x, where=x > 0), ArgumentError, "where= needs initial="),
    (lambda x: np.sin(x, where=x > 0), NoRuleError, "give out="),
    (lambda x: np.add(x, x, out=snp.zeros(3)), ArgumentError, r"out= has \(3,\)"),
    (lambda x: np.gcd(x, x), DTypeError, "np.gcd takes integers"),
    (lambda x: np.average(x, weights=np.ones(3)), ArgumentError, r"weights of shape \(3,\)"),
    (lambda x: np.vander(x[None]), ArgumentError, "not a vector"),
    (lambda x: np.meshgrid(x, indexing="ab"), ArgumentError, "indexing 'ab'"),
    (lambda x: np.cumulative_sum(x[None]), ArgumentError, "need an axis"),
    (lambda x: np.histogramdd(x, [2, 3]), ArgumentError, "2 sets of bins"),
    (lambda x: np.polyint(x, 3, [1.0, 2.0]), ArgumentError, "2 constants for 3 integrals"),
    (lambda x: np.polyfit(x[:2], x[:2], 3), ArgumentError, "2 points"),
    (lambda x: snp.asarray_chkfinite(x * np.inf), ArgumentError, "infinities"),
    (lambda x: np.rot90(x[None], axes=(0, 0)), ArgumentError, "must differ"),
    (lambda x: np.block([[x], []]), ArgumentError, "list is empty"),
])
def test_errors_name_the_operation(call, error, message):
    with pytest.raises(error, match=message):
        sciad.vjp(call, X)


@pytest.mark.parametrize("keywords", [
    {}, {"dx": 0.5}, {"axis": 0}, {"initial": 0}, {"axis": 0, "initial": 2.0},
    {"x": np.array([0.0, 1.0, 1.5, 4.0])}, {"x": np.arange(12.0).reshape(3, 4) ** 2}], ids=str)
def test_cumulative_trapezoid_is_scipys(keywords):
    y = np.random.default_rng(0).normal(size=(3, 4))
    if keywords.get("initial") == 2.0:  # SciPy takes 0 only
        expected = cumulative_trapezoid(y, **{**keywords, "initial": 0})
        expected[0] = 2.0
    else:
        expected = cumulative_trapezoid(y, **keywords)
    np.testing.assert_allclose(snp.cumulative_trapezoid(y, **keywords), expected, rtol=1e-14)


@pytest.mark.parametrize("coefficients", [[1.0, 2.0, 3.0], [1.0, -3.0, 2.0],
                                          [0.0, 1.0, 2.0, 3.0, 0.0]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_roots_keep_their_precision(coefficients, dtype):
    p = np.array(coefficients, dtype)
    got, expected = sciad.vjp(np.roots, p)[0], np.roots(p)
    assert got.dtype.char.lower() == expected.dtype.char.lower()
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_meshgrid_without_copies_sees_writes():
    def f(x):
        a = snp.array(x)
        rows, columns = np.meshgrid(a, a * 2, copy=False, sparse=True)
        rows *= 3.0
        grid = np.meshgrid(a, a, copy=False)
        copies = np.meshgrid(a, a)
        a[0] = 7.0
        return np.sum(a * a) + np.sum(grid[0] * grid[1] * copies[0]) + np.sum(columns)

    x = X[:3].copy()
    np.testing.assert_allclose(sciad.value_and_grad(f)(x)[0], f(x.copy()))
    sciad.check_grads(f, (x,))
