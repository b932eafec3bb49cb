"""Repeated eigenvalues and singular values: what has a derivative, in which mode and order."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import ArgumentError

RNG = np.random.default_rng(5)


def turned(values):
    """A symmetric matrix with the given eigenvalues."""
    q = np.linalg.qr(RNG.normal(size=(len(values), len(values))))[0]
    return (q * values) @ q.T


def symmetric(n, dtype=float):
    a = RNG.normal(size=(n, n)).astype(dtype)
    if dtype is complex:
        a = a + 1j * RNG.normal(size=(n, n))
    return a + a.conj().T


TWICE = turned(np.array([1.0, 1.0, 3.0]))
SLOPE = symmetric(3)
NAMES = ["eigvalsh", "svdvals"]


def values_of(name):
    return getattr(np.linalg, name)


@pytest.mark.parametrize("point", [TWICE, np.eye(3), np.diag([2.0, 5.0, 5.0])],
                         ids=["twice", "unit", "top"])
@pytest.mark.parametrize("name", NAMES)
def test_slopes_along_a_direction_are_those_of_the_values(name, point):
    """Forward mode gives one-sided slopes, also of results that tell the values apart."""
    f, step = values_of(name), 1e-7
    slope = sciad.jvp(f, (point,), (SLOPE,))[1]
    np.testing.assert_allclose(slope, (f(point + step * SLOPE) - f(point)) / step, atol=1e-5)
    jitted = sciad.jit(lambda a, d: sciad.jvp(f, (a,), (d,))[1], strict=True)
    np.testing.assert_allclose(jitted(point, SLOPE), slope, atol=1e-13)


def test_slopes_of_a_stack():
    stack = np.stack([TWICE, np.diag([1.0, 2.0, 3.0]), np.eye(3)])
    slopes = sciad.jvp(np.linalg.eigvalsh, (stack,), (np.stack([SLOPE] * 3),))[1]
    for point, slope in zip(stack, slopes, strict=True):
        np.testing.assert_allclose(
            slope, sciad.jvp(np.linalg.eigvalsh, (point,), (SLOPE,))[1], atol=1e-13)


def test_kinks_have_the_slope_of_their_side():
    def largest(t):
        return np.linalg.norm(np.eye(2) + t * np.array([[0.0, 1.0], [1.0, 0.0]]), 2)

    assert sciad.jvp(largest, (0.0,), (1.0,))[1] == pytest.approx(1.0)
    assert sciad.jvp(largest, (0.0,), (-1.0,))[1] == pytest.approx(1.0)
    with pytest.raises(ArgumentError, match="svd: repeated values have no derivative one by one"):
        sciad.grad(largest)(0.0)


def halves(a):
    """The Hermitian part, so that all entries count."""
    return 0.5 * (a + a.conj().T)


ISOTROPIC = {
    "cubes": (lambda w: np.sum(w**3), lambda a: np.trace(a @ a @ a)),
    "log": (lambda w: np.sum(np.log(w)), lambda a: np.linalg.slogdet(a)[1]),
    "mixed": (lambda w: np.sum(w) * np.sum(w**2), lambda a: np.trace(a) * np.trace(a @ a)),
    "powers": (lambda w: np.sum(w**-2.0), lambda a: np.trace(np.linalg.inv(a @ a))),
}


@pytest.mark.parametrize("point", [TWICE, np.eye(3), 2.0 * np.eye(3)],
                         ids=["twice", "unit", "double"])
@pytest.mark.parametrize("name", ISOTROPIC)
def test_second_derivatives_of_symmetric_functions(name, point):
    """As of an elastic energy of the principal values, at the state without strain."""
    of_values, of_matrix = ISOTROPIC[name]

    def spectral(a):
        return of_values(np.linalg.eigvalsh(halves(a)))

    def plain(a):
        return np.real(of_matrix(halves(a)))

    expected = sciad.hessian(plain)(point)
    np.testing.assert_allclose(sciad.hessian(spectral)(point), expected, atol=1e-11)
    np.testing.assert_allclose(sciad.hvp(spectral, (point,), (SLOPE,)),
                               sciad.hvp(plain, (point,), (SLOPE,)), atol=1e-11)
    jitted = sciad.jit(sciad.hessian(spectral), strict=True)
    np.testing.assert_allclose(jitted(point), expected, atol=1e-11)
    direction = symmetric(3, complex)
    np.testing.assert_allclose(sciad.hvp(spectral, (point + 0j,), (direction,)),
                               sciad.hvp(plain, (point + 0j,), (direction,)), atol=1e-11)


def stretch_energy(a):
    s = np.linalg.svdvals(a)
    return np.sum(s**4) - np.sum(s**2)


def strain_energy(a):
    c = a.T @ a
    return np.trace(c @ c) - np.trace(c)


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 5)], ids=str)
def test_second_derivatives_by_singular_values(shape):
    point = np.eye(*shape)
    expected = sciad.hessian(strain_energy)(point)
    np.testing.assert_allclose(sciad.hessian(stretch_energy)(point), expected, atol=1e-11)
    direction = RNG.normal(size=shape)
    np.testing.assert_allclose(sciad.hvp(stretch_energy, (point,), (direction,)),
                               sciad.hvp(strain_energy, (point,), (direction,)), atol=1e-11)
    jitted = sciad.jit(sciad.hessian(stretch_energy), strict=True)
    np.testing.assert_allclose(jitted(point), expected, atol=1e-11)
    np.testing.assert_allclose(jitted(point + 0.1 * direction),
                               sciad.hessian(strain_energy)(point + 0.1 * direction), atol=1e-10)


def test_a_single_value_beside_repeated_ones():
    point = np.diag([1.0, 1.0, 3.0])
    value = sciad.hvp(lambda a: np.linalg.eigvalsh(halves(a))[2], (point,), (np.ones((3, 3)),))
    near = [sciad.grad(lambda a: np.linalg.eigvalsh(halves(a))[2])(
        point + sign * 1e-5 * np.ones((3, 3))) for sign in (1, -1)]
    np.testing.assert_allclose(value, (near[0] - near[1]) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_gradients_name_the_cure(name):
    def slope(a):
        return np.sum(sciad.grad(lambda a: np.sum(values_of(name)(a) ** 3))(a) * SLOPE)

    with pytest.raises(ArgumentError, match=r"sciad\.hessian and sciad\.hvp"):
        sciad.grad(slope)(np.eye(3))


@pytest.mark.parametrize("name", ["eigh", "svd", "eig"])
def test_vectors_of_repeated_values_raise_at_every_basis(name):
    """At the unit matrix the entries of the vectors are stationary in LAPACK's own basis."""
    vectors = {"eigh": lambda a: np.linalg.eigh(a)[1], "svd": lambda a: np.linalg.svd(a)[0],
               "eig": lambda a: np.linalg.eig(a + 0j)[1]}[name]
    with pytest.raises(ArgumentError, match=f"{name}: the vectors of repeated values"):
        sciad.grad(lambda a: np.abs(vectors(a)[0, 0]) ** 2)(np.eye(2))
    slope = sciad.jit(sciad.grad(lambda a: np.abs(vectors(a)[0, 0]) ** 2))
    with pytest.raises(ArgumentError, match=f"{name}: the vectors of repeated values"):
        slope(np.eye(2))


def test_general_eigenvalues_that_part_have_no_tangent():
    slope = sciad.jvp(np.linalg.eigvals, (np.eye(2) + 0j,), (np.array([[0, 1], [1, 0]]) + 0j,))[1]
    assert np.isnan(slope).all()
    slope = sciad.jvp(np.linalg.eigvals, (np.eye(2) + 0j,), (np.diag([1.0, 2.0]) + 0j,))[1]
    np.testing.assert_allclose(slope, [1.0, 2.0])


@pytest.mark.parametrize("order", [None, "fro", "nuc", 2, -2])
def test_norms_of_the_zero_matrix_have_slope_zero(order):
    zero = np.zeros((2, 2))
    np.testing.assert_array_equal(sciad.grad(lambda a: np.linalg.norm(a, order))(zero), zero)


def test_singular_values_at_zero_have_slope_zero():
    """The nuclear norm of a matrix of low rank: U1 V1^T, the shortest of its subgradients."""
    u, v = np.array([3.0, 4.0]) / 5.0, np.array([1.0, 0.0, 0.0])
    low = 2.0 * np.outer(u, v)
    np.testing.assert_allclose(sciad.grad(lambda a: np.linalg.norm(a, "nuc"))(low),
                               np.outer(u, v), atol=1e-15)
    np.testing.assert_allclose(
        sciad.jvp(np.linalg.svdvals, (low,), (np.ones((2, 3)),))[1], [1.4, 0.0], atol=1e-15)


def test_the_logarithm_of_a_singular_value_at_zero_is_not_a_number():
    with np.errstate(divide="ignore"):
        slope = sciad.grad(lambda a: np.sum(np.log(np.linalg.svdvals(a))))(np.zeros((2, 2)))
    assert np.isnan(slope).all()


DROPPED = {
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], np.ones((2, 2))),
    "qr": (lambda a: np.sum(np.linalg.qr(a)[0], (-2, -1)), np.ones((2, 2))),
    "eig": (lambda a: np.sum(np.linalg.eigvals(a + 0j).real ** 2, -1),
            np.array([[1.0, 1.0], [0.0, 1.0]])),
    "svd": (lambda a: np.sum(np.linalg.svd(a)[0] ** 3, (-2, -1)), np.ones((2, 2))),
    "eigh": (lambda a: np.linalg.eigh(a)[1][..., 0, 0] ** 3, np.eye(2)),
}


@pytest.mark.parametrize("name", DROPPED)
def test_a_matrix_that_a_selection_drops_does_no_harm(name):
    """Of a stack, one whose result is not used; and one that ``where`` does not take."""
    f, bad = DROPPED[name]
    good = np.array([[2.0, 0.5], [0.3, 1.0]])
    stack = np.stack([good, bad])
    slope = sciad.grad(lambda a: f(a)[0])(stack)
    np.testing.assert_allclose(slope, [sciad.grad(f)(good), np.zeros((2, 2))], atol=1e-14)
    jitted = sciad.jit(sciad.grad(lambda a: f(a)[0]), strict=True)
    np.testing.assert_allclose(jitted(stack), slope, atol=1e-13)

    def chosen(a):
        return np.where(False, f(a), a[0, 0] ** 2)

    np.testing.assert_allclose(sciad.grad(chosen)(bad), [[2 * bad[0, 0], 0.0], [0.0, 0.0]])


def test_the_third_derivative_of_a_singular_determinant_raises():
    with pytest.raises(ArgumentError, match="det: the third derivative"):
        sciad.jacobian(sciad.hessian(np.linalg.det))(np.zeros((3, 3)))
