"""linalg where the derivative is special, does not exist, or depends on the values."""

import numpy as np
import pytest

import sciad
from sciad import check_grads, grad
from sciad.core.errors import ArgumentError, NoRuleError
from sciad.core.record import record
from tests.ops.cases_linalg import general, hermitian

DEGENERATE = np.diag([1.0, 2.0, 2.0])


def test_eigenvalues_of_a_real_matrix_are_real_where_numpys_are():
    a = np.diag([1.0, 2.0, 4.0]) + 0.1 * general(3, 3)
    assert np.linalg.eigvals(a).dtype == float
    check_grads(np.linalg.eigvals, (a,))
    check_grads(lambda a: tuple(np.linalg.eig(a)), (a,))
    assert grad(lambda a: np.sum(np.linalg.eig(a).eigenvalues))(a).dtype == float


def test_complex_pairs_of_a_real_matrix():
    a = np.array([[1.0, -2.0, 0.3], [1.5, 0.5, 0.2], [0.1, -0.4, 2.5]])
    assert np.linalg.eigvals(a).dtype == complex
    check_grads(lambda a: tuple(np.linalg.eig(a)), (a,))
    slope = grad(lambda a: np.sum(np.abs(np.linalg.eigvals(a))))(a)
    assert slope.dtype == float


@pytest.mark.parametrize("b", [np.arange(5.0), np.arange(10.0).reshape(5, 2)])
def test_lstsq(b):
    a = general(5, 2)
    check_grads(lambda a, b: np.linalg.lstsq(a, b)[:2], (a, b))
    check_grads(lambda a, b: np.linalg.lstsq(a, b, rcond=-1)[3], (a, b))
    for got, expected in zip(sciad.vjp(lambda a: tuple(np.linalg.lstsq(a, b)[:2]), a)[0],
                             np.linalg.lstsq(a, b)[:2], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    ranks = []
    grad(lambda a: ranks.append(np.linalg.lstsq(a, b)[2]) or np.sum(a))(a)
    assert ranks == [2]


def test_lstsq_underdetermined_and_rank_deficient():
    check_grads(lambda a, b: np.linalg.lstsq(a, b)[0], (general(2, 4), np.arange(2.0)))
    flat = np.outer(np.arange(1.0, 5.0), [1.0, 2.0])
    b = np.array([1.0, -1.0, 2.0, 0.5])
    # along matrices of the same rank
    check_grads(lambda u, v: np.linalg.lstsq(np.outer(u, v), b)[0], (flat[:, 0], flat[0]))
    check_grads(lambda u, v: np.linalg.pinv(np.outer(u, v)), (flat[:, 0], flat[0]))


def test_multi_dot():
    check_grads(lambda *xs: np.linalg.multi_dot(xs),
                (general(2, 5), general(5, 1), general(1, 3), np.arange(3.0)))


def test_matrix_rank_is_constant():
    slope = grad(lambda a: np.linalg.matrix_rank(a) * np.sum(a))(general(3, 2))
    np.testing.assert_array_equal(slope, 2.0 * np.ones((3, 2)))


@pytest.mark.parametrize("order", [None, 1, 2, 3, np.inf])
def test_norm_at_zero_has_slope_zero(order):
    np.testing.assert_array_equal(
        grad(lambda x: np.linalg.norm(x, order))(np.zeros(3)) * np.zeros(3), np.zeros(3))
    if order in (None, 2, 3):
        np.testing.assert_array_equal(grad(lambda x: np.linalg.norm(x, order))(np.zeros(3)), 0.0)


def test_the_triangle_that_is_read_carries_the_derivative():
    for function in (np.linalg.cholesky, np.linalg.eigvalsh):
        slope = grad(lambda a, f=function: np.sum(f(a)))(hermitian(3))
        assert np.all(slope[np.triu_indices(3, 1)] == 0.0)


def test_symmetric_programs_do_not_see_the_triangle():
    b = general(3, 3)
    check_grads(lambda b: np.linalg.cholesky(b @ b.T), (b,))
    check_grads(lambda b: np.linalg.eigvalsh(b @ b.T), (b,))


def test_repeated_eigenvalues():
    np.testing.assert_allclose(grad(lambda a: np.sum(np.linalg.eigvalsh(a)))(DEGENERATE),
                               np.eye(3), atol=1e-14)
    np.testing.assert_allclose(
        grad(lambda a: np.sum(np.linalg.eigh(a)[0] ** 2))(DEGENERATE), 2 * DEGENERATE, atol=1e-14)
    with pytest.raises(ArgumentError, match="eigh: the vectors of repeated values"):
        grad(lambda a: np.sum(np.linalg.eigh(a)[1][:, 1] * np.arange(3)))(DEGENERATE)
    (values, vectors) = sciad.jvp(lambda a: tuple(np.linalg.eigh(a)), (DEGENERATE,),
                                  (np.ones((3, 3)),))[1]
    assert np.all(np.isfinite(values)) and np.all(np.isnan(vectors[:, 1:]))
    with pytest.raises(ArgumentError, match="eig: the vectors of repeated values"):
        grad(lambda a: np.sum(np.linalg.eig(a)[1][:, 1] * np.arange(3)))(DEGENERATE)
    # a vector of a single eigenvalue is fine
    slope = grad(lambda a: np.linalg.eigh(a)[1][0, 0] ** 2)(DEGENERATE + 0.0)
    np.testing.assert_allclose(slope, 0.0, atol=1e-14)


def test_repeated_singular_values():
    np.testing.assert_allclose(grad(lambda a: np.linalg.norm(a, "nuc"))(np.eye(3)), np.eye(3),
                               atol=1e-14)
    with pytest.raises(ArgumentError, match="svd: the vectors of repeated values"):
        grad(lambda a: np.sum(np.linalg.svd(a)[0] * np.arange(9.0).reshape(3, 3)))(np.eye(3))


@pytest.mark.parametrize("function", [
    lambda a: np.linalg.eigh(a)[1], lambda a: np.linalg.svd(a)[0], lambda a: np.linalg.svd(a)[2],
])
def test_a_free_phase_raises(function):
    weights = general(3, 3, seed=4)
    with pytest.raises(ArgumentError, match="phase of complex vectors"):
        grad(lambda a: np.sum((function(a) * weights).real))(general(3, 3, dtype=complex))


def test_the_null_space_basis_raises():
    with pytest.raises(ArgumentError, match="svd with full_matrices"):
        grad(lambda a: np.sum(np.linalg.svd(a)[0] * general(4, 4, seed=2)))(general(4, 2))


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("function, message", [
    (lambda a: np.linalg.slogdet(a)[1], "slogdet: .* singular"),
    (lambda a: np.sum(np.linalg.qr(np.stack([a[0], a[0], a[0]]))[0]), "qr: linearly dependent"),
    (lambda a: np.linalg.svd(a[:, :1] * np.zeros((2, 1)))[0][0, 0], "svd: .*rank-deficient"),
    (lambda a: np.sum(np.linalg.det(a[0])), r"det: .*\(2,\).*square"),
    (lambda a: np.linalg.norm(a, "max"), "norm: ord='max' is no norm"),
    (lambda a: np.linalg.eigvalsh(a, "X")[0], "UPLO='X'"),
    (lambda a: np.sum(np.linalg.lstsq(a, np.ones(3))[0]), "lstsq: shapes"),
])
def test_errors_name_the_operation(function, message):
    with pytest.raises(ArgumentError, match=message):
        grad(function)(SINGULAR)


def test_qr_raw_is_refused():
    with pytest.raises(NoRuleError, match="mode='raw'"):
        grad(lambda a: np.sum(np.linalg.qr(a, "raw")[0]))(SINGULAR)


def test_results_are_named():
    def function(a):
        q, r = np.linalg.qr(a)
        return (np.linalg.eigh(a).eigenvalues[0] + np.linalg.svd(a).S[0]
                + np.linalg.slogdet(a).logabsdet + np.linalg.qr(a).R[0, 0])

    check_grads(function, (hermitian(3),))


@pytest.mark.parametrize("f", [
    lambda a: np.linalg.eigvalsh(a)[1], lambda a: np.linalg.eigh(a)[0][2] ** 2,
    lambda a: np.linalg.norm(a, 2), lambda a: np.linalg.svdvals(a)[0],
])
def test_repeated_values_told_apart_raise(f):
    with pytest.raises(ArgumentError, match="repeated values have no derivative one by one"):
        grad(f)(DEGENERATE)


@pytest.mark.parametrize("f, expected", [
    (lambda a: np.sum(np.linalg.eigvalsh(a) ** 3), 3 * DEGENERATE**2),
    (lambda a: np.prod(np.linalg.svdvals(a)),
     np.linalg.det(DEGENERATE) * np.linalg.inv(DEGENERATE)),
    (lambda a: np.sum(np.linalg.eigvals(a).real ** 2), 2 * DEGENERATE),
    (lambda a: np.sum(np.log(np.linalg.eigvalsh(a))), np.linalg.inv(DEGENERATE)),
])
def test_symmetric_functions_of_repeated_values(f, expected):
    np.testing.assert_allclose(grad(f)(DEGENERATE), expected, atol=1e-13)


JORDAN = np.array([[1.0, 1.0], [0.0, 1.0]])


def test_a_defective_matrix_raises():
    turn = general(2, 2)
    for a in [JORDAN, turn @ JORDAN @ np.linalg.inv(turn)]:
        with pytest.raises(ArgumentError, match="eig: the matrix is defective"):
            grad(lambda a: np.sum(np.linalg.eigvals(a).real ** 2))(a)
        with pytest.raises(ArgumentError, match="eig: the matrix is defective"):
            sciad.jvp(lambda a: np.linalg.eigvals(a), (a,), (a,))


RECORDED = [
    (lambda a: np.sum(np.linalg.eigh(a)[1][:, 1] * np.arange(3)), DEGENERATE, "eigh: the vectors"),
    (lambda a: np.linalg.eigvalsh(a)[1], DEGENERATE, "eigh: repeated values"),
    (lambda a: np.sum(np.linalg.svd(a)[0] * np.arange(9.0).reshape(3, 3)), np.eye(3), "svd"),
    (lambda a: np.linalg.svdvals(a)[0], np.eye(3), "svd: repeated values"),
    (lambda a: np.sum(np.linalg.qr(a)[0]), np.ones((2, 2)), "qr: linearly dependent"),
    (lambda a: np.linalg.slogdet(a)[1], np.ones((2, 2)), "slogdet: .* singular"),
    (lambda a: np.sum(np.abs(np.linalg.eigvals(a + 0j)) ** 2), JORDAN, "eig: .* defective"),
]


@pytest.mark.parametrize("f, bad, message", RECORDED)
def test_recorded_programs_stop_at_degenerate_points(f, bad, message):
    """What raises eagerly raises when the recorded derivative runs; elsewhere both agree."""
    slope = record(grad(f), bad)
    with pytest.raises(ArgumentError, match=message):
        slope(bad)
    good = bad + 0.1 * general(*bad.shape, seed=7)
    np.testing.assert_allclose(slope(good), grad(f)(good), rtol=1e-12)


def test_recorded_tangents_of_repeated_vectors_are_nan():
    tangent = record(lambda a, da: sciad.jvp(lambda a: np.linalg.eigh(a)[1], (a,), (da,))[1],
                     DEGENERATE, DEGENERATE)
    assert np.isnan(tangent(DEGENERATE, np.ones((3, 3)))).any()
    assert np.isfinite(tangent(hermitian(3), np.ones((3, 3)))).all()


@pytest.mark.parametrize("vectors", [True, False])
def test_hermitian_svd(vectors):
    a = hermitian(3) - 1.5 * np.eye(3)
    options = {"hermitian": True, "compute_uv": vectors}
    got = sciad.vjp(lambda a: np.linalg.svd(a, **options), a)[0]
    for part, expected in zip(got if vectors else [got],
                              np.linalg.svd(a, **options) if vectors else
                              [np.linalg.svd(a, **options)], strict=True):
        np.testing.assert_allclose(part, expected)
    check_grads(lambda a: np.linalg.svd(a + a.T, hermitian=True, compute_uv=False), (a,))


EMPTY = {
    "det": np.linalg.det, "inv": np.linalg.inv, "slogdet": lambda a: tuple(np.linalg.slogdet(a)),
    "cholesky": np.linalg.cholesky, "eigh": lambda a: tuple(np.linalg.eigh(a)),
    "eigvalsh": np.linalg.eigvalsh, "eig": lambda a: tuple(np.linalg.eig(a)),
    "svd": lambda a: tuple(np.linalg.svd(a)), "svdvals": np.linalg.svdvals,
    "qr": lambda a: tuple(np.linalg.qr(a)), "pinv": np.linalg.pinv,
    "solve": lambda a: np.linalg.solve(a, a), "norm": np.linalg.norm, "trace": np.linalg.trace,
    "matrix_power": lambda a: np.linalg.matrix_power(a, 3),
}


@pytest.mark.parametrize("shape", [(0, 0), (0, 3, 3), (2, 0, 0)])
@pytest.mark.parametrize("name", EMPTY)
def test_empty_matrices_and_stacks(name, shape):
    f, a = EMPTY[name], np.ones(shape)
    out, pull = sciad.vjp(f, a)
    parts, expected = (x if isinstance(x, tuple) else (x,) for x in (out, f(a)))
    for part, wanted in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part, wanted)
    slope = pull(tuple(map(np.ones_like, out)) if isinstance(out, tuple) else np.ones_like(out))
    assert slope[0].shape == shape
    sciad.jvp(f, (a,), (a,))
