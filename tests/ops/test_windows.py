"""``np.asarray`` of an Array that no transform follows shares its memory, as NumPy's does."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.errors import LostGradientError, SciadError


def written_through(x):
    a = snp.zeros(3)
    b = np.asarray(a)
    b[1] = 5.0
    del b
    a[0] = x
    return np.sum(a * a)


def both_ways(x):
    a = snp.zeros((3, 3))
    b = np.asarray(a[1:].T)
    b[1] = 5.0
    a[0] = 1.0
    a[2, 0] = 7.0
    c = a.copy()
    b[:] = b + 1
    return np.sum(c * x) * b.sum() + np.sum(a * np.arange(9.0).reshape(3, 3) * x * x)


def diagonals(x):
    a = snp.zeros((3, 4))
    d, e = np.einsum("ii->i", a[:, 1:]), np.diagonal(a)
    b = np.asarray(d)
    b[:] = [1.0, 2.0, 3.0]
    np.asarray(a)[1, 1] = 9.0
    d[2] = 8.0
    return np.sum(d * [1, 10, 100]) * x + np.sum(b) * x * x + np.sum(e) * x


def parts(x):
    a = snp.zeros(3, complex)
    np.asarray(a.imag)[1:] = 2.0
    return np.sum(np.abs(a) ** 2) * x


def iterated(x):
    a = snp.zeros(3)
    with np.nditer(a, op_flags=["readwrite"]) as entries:
        for entry in entries:
            entry[...] = 4.0
    del entries, entry
    a[0] = x
    return np.sum(a * a)


def other_names(x):
    a = snp.zeros(4)
    b = np.ascontiguousarray(a)
    np.asanyarray(a)[2] = 3.0
    np.asarray(a, dtype=float)[3] = 1.0
    total = float(b.sum())
    del b
    a[0] = x
    return np.sum(a * a) * total


def copies(x):
    a = snp.zeros(3)
    b, c = np.array(a), np.asarray(a, dtype=np.float32)
    b[0] = c[1] = 5.0
    a[0] = x
    return np.sum(a * a) + b[1]


def overlapping(x):
    a = snp.array(np.arange(5.0))
    b = np.asarray(a)
    a[1:] = b[:-1]
    return np.sum(a * b) * x


@pytest.mark.parametrize("f", [written_through, both_ways, diagonals, parts, iterated, other_names,
                               copies, overlapping])
def test_shares_memory(f):
    assert sciad.value_and_grad(f)(2.0)[0] == f(2.0)
    assert sciad.jvp(f, (2.0,), (1.0,))[0] == f(2.0)
    assert sciad.jit(f)(2.0) == f(2.0)
    sciad.check_grads(f, (2.0,))


@pytest.mark.parametrize("show", [np.asarray, np.asanyarray, np.ascontiguousarray,
                                  lambda a: np.asarray(a)[1:][:1], lambda a: a[None]])
def test_followed_value_under_a_window_is_refused(show):
    def f(x):
        a = snp.zeros(3)
        b = np.asarray(show(a))
        a[0] = x
        return np.sum(b * b)

    with pytest.raises(LostGradientError, match=r"np.asarray, at .*test_windows.py:\d+"):
        sciad.value_and_grad(f)(2.0)


def test_swallowed_refusal_is_raised():
    def f(x):
        a = snp.ones(3)
        b = np.asarray(a)
        try:
            a[0] = x
        except TypeError:
            pass
        return np.sum(b * x)

    with pytest.raises(LostGradientError):
        sciad.grad(f)(2.0)


def test_used_array_that_a_window_changes_is_told():
    def f(x):
        a = snp.ones(100)
        b = np.asarray(a)
        y = x * a
        b[3] = 7.0
        return np.sum(y)

    with pytest.raises(SciadError, match="overwritten before"):
        sciad.grad(f)(2.0)
