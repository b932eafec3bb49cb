"""Sorting, searching, running sums: in NumPy's order, ties and NaNs included."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.lower_order import EXCHANGES, RUN
from sciad.ops.running import cumprod_p
from sciad.ops.sorting import argsort_p, searchsorted_p
from tests.compiler.test_lower import compare

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

SIZES = [0, 1, 3, EXCHANGES, EXCHANGES + 1, RUN + 1, 17, 2 * RUN + 1, 1000]
DTYPES = [np.float64, np.float32, np.int32, np.bool_]


def entries(shape, dtype, seed=0, nan=True):
    """Entries with many ties; floats with zeros of both signs, infinities and NaNs."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 9, shape)
    if np.dtype(dtype).kind != "f":
        return (x % 2 == 0 if dtype is np.bool_ else x).astype(dtype)
    odd = np.array([np.nan if nan else 1.0, np.inf, -np.inf, 0.0, -0.0])
    return np.where(rng.random(shape) < 0.2, rng.choice(odd, shape), x).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_sorting_a_line(n, dtype):
    for seed in range(3):
        x = entries(n, dtype, seed)
        compare(lambda x: argsort_p(x, axis=0), (x,))
        compare(np.sort, (x,))
    for x in (np.arange(n), np.arange(n)[::-1], np.zeros(n)):
        compare(lambda x: argsort_p(x, axis=0), (x.astype(dtype),))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 2), (20, 5), (3, 14, 4), (0, 3), (3, 0), (1, 40)],
                         ids=str)
def test_sorting_along_an_axis(shape):
    x = entries(shape, np.float64)
    for axis in [None, *range(-len(shape), len(shape))]:
        compare(lambda x, a=axis: np.sort(x, axis=a), (x,))
        compare(lambda x, a=axis: np.argsort(x, axis=a, kind="stable"), (x,))
        compare(lambda x, a=axis: np.sort(x.T * 2 + 1, axis=a), (x,))


@pytest.mark.parametrize("n", [3, 12, 60])
def test_what_is_made_of_an_order(n):
    x = entries((4, n), np.float64, nan=False)
    x = np.where(np.isinf(x), 3.5, x)
    for axis in (None, 0, 1):
        compare(lambda x, a=axis: np.median(x, axis=a), (x,), 64)
        compare(lambda x, a=axis: np.quantile(x, 0.3, axis=a), (x,), 64)
        compare(lambda x, a=axis: np.sort(np.partition(x, 2, axis=a or 0), axis=a), (x,))
        compare(sciad.grad(lambda x, a=axis: np.sum(np.sort(x, axis=a)[1:] ** 2)), (x,), 64)
    compare(sciad.grad(lambda x: np.sum(np.median(x, axis=1) ** 2)), (x,), 64)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 100])
def test_searching(n, side):
    for dtype in (np.float64, np.int64):
        a = np.sort(entries(n, dtype))
        for shape in [(), (3,), (0,), (3, 5, 4)]:
            v = entries(shape, dtype, 5)[()]
            compare(lambda a, v: np.searchsorted(a, v, side), (a, v))
            compare(lambda a, v: searchsorted_p(a, v, side=side), (a, v * 2.0))
            compare(lambda v, a=a: np.searchsorted(a, v, side), (v,))


@pytest.mark.parametrize("shape", [(5,), (100,), (4, 5), (3, 20, 4), (20, 1), (0, 4)], ids=str)
def test_running_products_and_extrema(shape):
    x = 1.0 + 0.1 * entries(shape, np.float64, nan=False)
    x = np.where(np.isfinite(x), x, 0.5)
    for axis in range(len(shape)):
        compare(lambda x, a=axis: cumprod_p(x, axis=a), (x,), 64)
        compare(lambda x, a=axis: np.cumprod(x, axis=a), (x,), 64)
        compare(lambda x, a=axis: np.cumsum(x[::-1], axis=a), (x,), 64)
        compare(lambda x, a=axis: np.maximum.accumulate(x, axis=a), (x,))
        compare(lambda x, a=axis: np.count_nonzero(x > 1, axis=a), (x,))
    zero = np.full(40, -0.0)
    out = compare(np.cumsum, (zero,))(zero)[0]
    assert np.signbit(out).all()
