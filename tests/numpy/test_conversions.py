"""What does not fit into a dtype: cast, it is what NumPy makes of it; assigned, it is refused."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp

WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
BEYOND = np.array([-1.0, 300.0, np.nan, np.inf, -np.inf, 1e10, -1e10, 1e19, -1e19, 2.0**31, 2.0**32,
                   2.0**63, 2.0**64, 3e9, -3e9, 2147483647.5, -2147483648.5, -200.7, 5.5, -0.5])


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("target", WHOLE)
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("size", [5, 200])
def test_casts_out_of_range(source, target, size):
    x = np.resize(BEYOND.astype(source), size)
    if size < 10 and target == "uint32":
        x = np.abs(x[:2])  # NumPy makes one thing of one number, another of many
    got = sciad.jit(lambda x: x.astype(target), strict=True)(x)
    np.testing.assert_array_equal(got, x.astype(target))
    assert got.dtype == target


def assigned(value):
    def write(x):
        x[:2] = value
        return x

    return write


def outcome(f, x):
    try:
        return f(x)
    except (OverflowError, ValueError, TypeError) as error:
        return type(error)


@pytest.mark.filterwarnings("ignore")  # of a call that is not compiled, of NaN in a cast
@pytest.mark.parametrize("dtype", ["bool", *WHOLE, "float32", "float64", "complex128"])
@pytest.mark.parametrize("value", [
    300, -1, 1.7, np.nan, np.inf, 2**63, 1j, True, np.int64(300), np.float64(np.nan), [300, 1],
    [1.5, 2.5], np.array(1), np.array([1.5, 2.5])], ids=repr)
def test_assignment_of_what_may_not_fit(dtype, value):
    want = outcome(assigned(value), np.zeros(3, dtype))
    seen = []

    def inside(t):
        seen.append(outcome(assigned(value), snp.zeros(3, dtype)))
        return t

    sciad.grad(inside)(1.0)
    for got in (seen[0], outcome(sciad.jit(assigned(value)), np.zeros(3, dtype))):
        if isinstance(want, type):
            assert got is want
        else:
            np.testing.assert_array_equal(got, want)
            assert got.dtype == want.dtype


def test_power_with_a_captured_half_is_the_root():
    half = 0.5
    x = np.resize([-np.inf, -0.0, 4.0, 2.0], 40)
    with np.errstate(invalid="ignore"):
        got, want = sciad.jit(lambda x: x ** half, strict=True)(x), x ** half
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got[:3]), np.signbit(want[:3]))


@pytest.mark.parametrize("dtype", ["int8", "float64", "complex128"])
def test_asarray_of_nothing_keeps_its_dtype(dtype):
    x = np.zeros((0, 3), dtype)
    assert sciad.jit(lambda x: np.asarray(x))(x).dtype == dtype
    assert sciad.jit(lambda x: np.asarray(x), strict=True)(x).shape == (0, 3)
