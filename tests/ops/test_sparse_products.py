"""S @ x and x @ S with a constant sparse matrix of SciPy's, in both modes and recorded."""

import numpy as np
import pytest
from scipy import sparse

import sciad
from sciad import numpy as snp
from sciad.core.errors import ArgumentError, NoRuleError
from sciad.core.record import record

RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((3, 4)) * (RNG.random((3, 4)) < 0.5)
KINDS = [sparse.csr_array, sparse.csc_matrix, sparse.dia_array, sparse.lil_array, sparse.bsr_array]
X, M = RNG.standard_normal(4), RNG.standard_normal((4, 2))
S = sparse.csr_array(DENSE)

PRODUCTS = {
    "S @ x": (lambda s, x: s @ x, X), "S @ m": (lambda s, m: s @ m, M),
    "S.T.dot(x)": (lambda s, x: s.T.dot(x[:3]), X), "x @ S": (lambda s, x: x[:3] @ s, X),
    "m @ S": (lambda s, m: m[:3].T @ s, M), "S.T @ x": (lambda s, x: s.T @ x[:3], X),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("product, x", PRODUCTS.values(), ids=PRODUCTS)
def test_product(product, x, kind):
    def loss(x):
        return np.sum(np.sin(product(kind(DENSE), x) ** 2))

    def dense(x):
        return np.sum(np.sin(product(DENSE, x) ** 2))

    np.testing.assert_allclose(sciad.grad(loss)(x), sciad.grad(dense)(x), rtol=1e-13)
    np.testing.assert_allclose(sciad.hessian(loss)(x), sciad.hessian(dense)(x), atol=1e-13)
    sciad.check_grads(loss, (x,), order=2)
    np.testing.assert_allclose(record(loss, x)(x), dense(x), rtol=1e-14)


def test_complex_entries_of_either():
    twisted = sparse.csr_array(DENSE * (1 + 2j))
    sciad.check_grads(lambda x: np.abs(twisted @ x) ** 2, (X,), order=2)
    sciad.check_grads(lambda x: (S @ x).real, (X * 1j + X[::-1],), order=2)


def test_stored_twice_empty_and_assignable():
    twice = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 4))
    np.testing.assert_array_equal(sciad.jacobian(lambda x: twice @ x)(X), twice.toarray())
    empty = sparse.csr_array((2, 4))
    np.testing.assert_array_equal(sciad.jacobian(lambda x: empty @ x)(X), np.zeros((2, 4)))

    def filled(x):
        out = snp.zeros(4)
        out[:] = x
        y = S @ out
        y[0] = 0.0
        return y

    np.testing.assert_array_equal(sciad.jacobian(filled)(X)[1:], DENSE[1:])


def test_the_pattern_is_that_of_the_matrix():
    slopes = sciad.jacobian(lambda x: (S @ x) ** 2, sparsity="auto")(X)
    np.testing.assert_array_equal(slopes.toarray() != 0, DENSE != 0)


@pytest.mark.parametrize("function, error, message", [
    (lambda x: S @ x[:2], ArgumentError, r"csr_array.*\(3, 4\) @ \(2,\) do not fit"),
    (lambda x: x @ S, ArgumentError, r"\(4,\) @ \(3, 4\) do not fit"),
    (lambda x: S @ x[0], ArgumentError, r"\(3, 4\) @ \(\) do not fit"),
    (lambda x: S * x, NoRuleError, r"csr_array .*S @ x.*S\.toarray\(\)"),
    (lambda x: x * S, NoRuleError, r"csr_array .*S @ x.*S\.toarray\(\)"),
    (lambda x: S + x, NoRuleError, r"csr_array .*S @ x.*S\.toarray\(\)"),
    (lambda x: sparse.csr_matrix(S) * x, NoRuleError, r"csr_matrix .*S @ x.*S\.toarray\(\)"),
    (lambda x: sparse.coo_array(S).dot(x), NoRuleError, r"coo_array.dot .*S @ x"),
    (lambda x: S.multiply(x), NoRuleError, r"csr_array\.multiply .*S\.toarray\(\)"),
    (lambda x: sparse.csr_array(np.outer(x, x)), NoRuleError, "scipy.sparse.csr_array .*S @ x"),
], ids=range(10))
def test_what_else_there_is_raises(function, error, message):
    with pytest.raises(error, match=message) as caught:
        sciad.vjp(function, X)
    assert f"{__file__}:{function.__code__.co_firstlineno}" in str(caught.value)
