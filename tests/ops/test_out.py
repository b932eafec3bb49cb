"""``out=`` an Array of a ufunc whose operands are plain."""

import numpy as np
import pytest
from scipy import special

import sciad
from sciad import numpy as snp
from sciad.core.errors import DTypeError

W = np.arange(1.0, 4.0)

CALLS = {
    "multiply": lambda b, x: np.multiply(W, 2.0, out=b),
    "where": lambda b, x: np.add(W, W, out=b, where=[True, False, True]),
    "positional": lambda b, x: np.exp(W, b), "sin": lambda b, x: np.sin(W, out=b),
    "objects": lambda b, x: np.multiply(np.array([x, x * x, 1.0 * x]), 2.0, out=b),
    "reduce": lambda b, x: np.add.reduce(np.outer(W, W), out=b),
    "reduce with axis": lambda b, x: np.minimum.reduce(np.outer(W, W), axis=1, out=b),
    "accumulate": lambda b, x: np.multiply.accumulate(W, out=b),
    "two results": lambda b, x: np.modf(W / 3, out=(b, snp.zeros(3))),
    "sum": lambda b, x: np.sum(np.outer(W, W), 0, out=b),
    "mean": lambda b, x: np.mean(np.outer(W, W), 0, out=b),
    "gamma": lambda b, x: special.gamma(W, out=b),
    "dtype": lambda b, x: np.add(W, W, out=b, dtype=np.float32),
    "where undefined": lambda b, x: np.log(W - 1, out=b, where=W > 1),
    "view": lambda b, x: np.multiply(W[:2], 3.0, out=b[1:]),
    "followed mask": lambda b, x: np.add(W, 1, out=b, where=b * x > 1),
    "followed operand": lambda b, x: np.multiply(x, W, out=b, where=W > 1.5),
    "itself": lambda b, x: np.add(b, W, out=b),
    "without a rule": lambda b, x: np.spacing(b, out=b),
}


@pytest.mark.parametrize("name", CALLS)
def test_plain_operands_into_an_array(name):
    def f(x):
        b = snp.ones(3)
        CALLS[name](b, x)
        return np.sum(b * b * W) * x

    value, slope = sciad.value_and_grad(f)(2.0)
    np.testing.assert_allclose(value, f(2.0))
    np.testing.assert_allclose(slope, (f(2.0 + 1e-6) - f(2.0 - 1e-6)) / 2e-6, rtol=1e-8)
    np.testing.assert_allclose(sciad.jit(f)(2.0), f(2.0))
    sciad.check_grads(f, (2.0,))


def test_returns_what_it_was_given():
    def f(x):
        b = snp.zeros(3)
        assert np.multiply(W, 2.0, out=b) is b
        return np.sum(b) * x

    assert sciad.grad(f)(2.0) == 12.0


def test_casting_is_numpys():
    def f(x):
        return np.multiply(W, 2.5, out=snp.zeros(3, int))[0] * x

    with pytest.raises(TypeError):
        f(2.0)
    with pytest.raises(DTypeError, match=r"np.multiply: out= of int64 .*test_out.py:\d+"):
        sciad.grad(f)(2.0)
