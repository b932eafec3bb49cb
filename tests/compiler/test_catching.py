"""What a program catches, it catches when compiled."""

import contextlib
import warnings

import numpy as np
import pytest

import sciad
from sciad.compiler.jit import FallbackWarning

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


def inverse(a):
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return a * 0


def cholesky(a):
    try:
        return np.linalg.cholesky(-a)
    except np.linalg.LinAlgError as error:
        return a * len(str(error))


def suppressed(a):
    with contextlib.suppress(np.linalg.LinAlgError):
        return np.linalg.solve(a, np.ones(2))
    return a[0]


def in_a_helper(a):
    return inverse(a) + 1


def finally_only(a):
    try:
        x = np.linalg.inv(a)
    except ValueError:
        x = 2 * a
    finally:
        a = a + 1
    return x + a


PROGRAMS = [inverse, cholesky, suppressed, in_a_helper, finally_only]


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_an_exception_is_caught(f):
    compiled = sciad.jit(f, strict=True)
    for a in (SINGULAR, np.array([[2.0, 1.0], [1.0, 2.0]]), SINGULAR):
        np.testing.assert_allclose(compiled(a), f(a))
    assert sum(compiled.report().signatures[0]["repeated"].values()) == (
        0 if f is cholesky else 2) or f is cholesky


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_an_exception_is_caught_under_derivatives(f):
    def loss(a):
        return np.sum(f(a) * a[0])

    want = sciad.grad(loss)(SINGULAR)
    compiled = sciad.jit(f)
    np.testing.assert_allclose(sciad.jit(sciad.grad(loss))(SINGULAR), want)
    np.testing.assert_allclose(sciad.grad(lambda a: np.sum(compiled(a) * a[0]))(SINGULAR), want)


def test_an_index_out_of_range():
    def f(x, i):
        try:
            return x[i]
        except IndexError:
            return x[0] - 1

    compiled, x = sciad.jit(f, strict=True), np.arange(3.0)
    for i in (np.int64(1), np.int64(7), np.int64(-3), np.int64(-4)):
        assert compiled(x, i) == f(x, i)


def test_an_operation_that_is_there_to_fail():
    def f(a):
        try:
            np.linalg.inv(a)
        except np.linalg.LinAlgError:
            return a * 0
        return a

    compiled = sciad.jit(f)
    with pytest.warns(FallbackWarning, match="the result of solve .* is not used"):
        np.testing.assert_array_equal(compiled(SINGULAR), f(SINGULAR))


def test_a_read_that_is_there_to_fail():
    def f(x, i):
        try:
            x[i]
        except IndexError:
            return x * 0
        return x

    compiled, x = sciad.jit(f), np.ones(2)
    with pytest.warns(FallbackWarning, match="the result of getitem .* is not used"):
        np.testing.assert_array_equal(compiled(x, np.array([5])), [0.0, 0.0])
    np.testing.assert_array_equal(compiled(x, np.array([1])), x)


def test_a_read_whose_value_no_derivative_needs():
    place = np.array([0, 2, 2])

    def f(x):
        with np.errstate(all="ignore"):
            return np.sum(3 * x[place])

    x = np.arange(3.0)
    np.testing.assert_array_equal(sciad.jit(sciad.grad(f), strict=True)(x), [3.0, 0.0, 6.0])


def fits(a, b):
    try:
        return np.dot(a, b)
    except ValueError:
        return np.sum(a) * b


def fits_in_branches(a, b):
    if a[0] > 0:
        try:
            np.dot(a, b)
        except ValueError:
            b = 2 * b
    return fits(a, b)


@pytest.mark.parametrize("f", [fits, fits_in_branches], ids=lambda f: f.__name__)
def test_what_is_caught_while_recording(f):
    compiled = sciad.jit(f, strict=True)
    for a in (np.ones(2), -np.ones(2)):
        np.testing.assert_allclose(compiled(a, np.ones(3)), f(a, np.ones(3)))


def test_what_is_not_caught_is_raised():
    compiled = sciad.jit(lambda a: np.linalg.inv(a))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        compiled(SINGULAR)


def test_writes_before_an_exception_are_done():
    def f(x):
        x[0] = 5.0
        if x[1] > 0:
            raise ValueError("positive")
        return x[0]

    compiled = sciad.jit(f, strict=True)
    x = np.zeros(2)
    assert compiled(x) == 5.0
    x = np.ones(2)
    with pytest.raises(ValueError, match="positive"):
        compiled(x)
    assert x[0] == 5.0


class Stop(BaseException):
    pass


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, Stop],
                         ids=lambda kind: kind.__name__)
def test_a_branch_that_leaves_the_program(kind):
    def f(x):
        if x > 0:
            raise kind("enough")
        return 2 * x

    compiled = sciad.jit(f, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(-1.0) == -2.0
    with pytest.raises(kind, match="enough"):
        compiled(1.0)
    assert compiled(-3.0) == -6.0


def test_a_branch_that_exits():
    import sys

    def f(x):
        if x > 0:
            sys.exit(3)
        return 2 * x

    compiled = sciad.jit(f, strict=True)
    assert compiled(-1.0) == -2.0
    with pytest.raises(SystemExit) as raised:
        compiled(1.0)
    assert raised.value.code == 3
