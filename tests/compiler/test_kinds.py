"""Integers of every width and sign, and float32: NumPy's results to the bit."""

import itertools

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from tests.compiler.test_lower import compare

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

INTEGERS = [np.dtype(x) for x in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
PAIRS = list(itertools.combinations_with_replacement(INTEGERS, 2))


def native(function, args):
    """As `compare`, and nothing is called back."""
    assert "ptr" not in compare(function, args).lowered.params


def ends(dtype, n, seed=0):
    """Integers from everywhere in the range, its ends and zero among them."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    x = rng.integers(limits.min, limits.max, n, dtype, endpoint=True)
    x[:6] = np.array([limits.min, limits.max, 0, 1, 7, limits.max - 1], dtype)[:n]
    return rng.permutation(x)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda t: t.name)
def test_arithmetic_wraps(dtype):
    for n in (8, 40):
        x, y = ends(dtype, n), ends(dtype, n, 1)
        for a, b in ((x, y), (y, np.zeros_like(x)), (x[0], y[1]), (x, y[3])):
            native(lambda a, b: (a + b, a - b, a * b, -a, abs(a), np.sign(a), a**3, a * a,
                                  np.maximum(a, b), np.minimum(a, b), a // b, a % b), (a, b))
            native(lambda a, b: (a < b, a <= b, a > b, a >= b, a == b, a != b, ~a, a & b, a | b,
                                  a ^ b, np.where(a > b, a, b), np.logical_and(a, b)), (a, b))


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda t: t.name)
def test_shifts(dtype):
    x = ends(dtype, 40)
    places = (np.arange(40) * 2 % 80).astype(dtype)
    if dtype.kind == "i":
        places[-1] = -1
    native(lambda x, n: (x << n, x >> n, x << 3, x >> 1), (x, places))
    compare(lambda x, n: (x << n, x >> n), (x[3], places[4]))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: "-".join(t.name for t in p))
def test_mixed_signs_and_widths(pair):
    x, y = ends(pair[0], 40), ends(pair[1], 40, 1)
    native(lambda a, b: (a < b, b <= a, a > b, b >= a, a == b, b != a, a + b, a * b), (x, y))


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda t: t.name)
def test_conversions(dtype):
    x = ends(dtype, 40)
    for other in [*INTEGERS, np.dtype(np.float64), np.dtype(np.float32), np.dtype(bool)]:
        native(lambda x, t=other: x.astype(t), (x,))
        compare(lambda x, t=other: x.astype(t), (x[5],))
    inside = np.linspace(0.0, 120.0, 40)
    for floats in (np.float64, np.float32):
        compare(lambda x: x.astype(dtype), (inside.astype(floats),))
    compare(lambda x: (x / 2, np.sqrt(abs(x.astype(float))), x + 1.5), (x,))


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda t: t.name)
@pytest.mark.parametrize("shape", [(3,), (40,), (5, 8), ()], ids=str)
def test_reductions_and_products(dtype, shape):
    x = ends(dtype, 40)[:int(np.prod(shape))].reshape(shape)[()]
    for axis in [None, *range(len(shape))]:
        compare(lambda x, a=axis: (np.sum(x, a), np.max(x, a), np.min(x, a), np.any(x, a),
                                   np.all(x, a), np.cumsum(x, a)), (x,))
        if shape:
            compare(lambda x, a=axis: (np.argmax(x, a), np.sort(x, a)), (x,))
    if shape:
        native(lambda x: (x @ x.T, x.T @ x), (x,))


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda t: t.name)
def test_python_integers_adapt(dtype):
    for x in (ends(dtype, 40), ends(dtype, 3), ends(dtype, 6)[0]):
        native(lambda x: (x + 1, 3 * x, x // 2, x % 5, x & 3, x << 1, x > 2, x == 1), (x,))
        native(lambda x: (x > -1, x < 2**20, x == -5, 2**40 != x), (x,))


@pytest.mark.parametrize("dtype", [t for t in INTEGERS if t.itemsize < 8], ids=lambda t: t.name)
def test_a_python_integer_out_of_range_raises(dtype):
    limit = int(np.iinfo(dtype).max) + 1
    for x in (np.zeros(40, dtype), np.zeros(3, dtype)):
        with pytest.raises(OverflowError):
            x + limit
        with pytest.raises(OverflowError):
            sciad.jit(lambda x: x + limit)(x)
        with pytest.raises(OverflowError):
            sciad.jit(lambda x, n: x + n)(x, limit)


@pytest.mark.parametrize("n", [3, 40])
def test_products_of_truth_values(n):
    x = np.random.default_rng(n).random((n, n)) < 0.05
    native(lambda x, y: (x @ y, x @ y[0], x.T @ x), (x, ~x))


@pytest.mark.parametrize("n", [3, 40])
def test_single_precision_stays_single(n):
    x = np.linspace(0.1, 3.0, n, dtype=np.float32)
    compare(lambda x: (x * 0.1, x + np.float32(1 / 3), x**2, x**0.5, x / 3, np.sin(x) * 2.5,
                       np.sqrt(x), np.exp(-x), x.mean(), np.where(x > 1, x, 0.5)), (x,))
    compare(sciad.grad(lambda x: np.sum(np.tanh(0.1 * x) ** 3 / x)), (x,), 16)
    compare(lambda x, k: (x * k, x + k), (x, np.int16(3)))
    compare(lambda x, k: (x * k, x + k), (x, np.uint8(200)))
