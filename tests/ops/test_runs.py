"""Slices of a known length from a place that is known when the program runs."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.core.errors import RecordError
from sciad.core.record import record

needs_llvm = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.arange(6.0) ** 1.5 + 0.2
SQUARE = np.outer(np.sin(X), np.cos(X))


def loop(n, body):
    """What the body makes of a copy of its argument, n times in a row."""
    return lambda x: sciad.fori_loop(0, n, lambda i, y: body(i, y, x), x * 1.0)


def summed(n, entry):
    return lambda x: sciad.fori_loop(0, n, lambda i, c: c + np.sum(np.sin(entry(x, i))), 0.0)


def shifted(i, y, x):
    y[i:i + 2] = y[i + 1:i + 3] * 2.0
    y[i + 3:i:-2] += x[0]
    return y


def through_a_view(i, y, x):
    part = y[i:i + 3]
    part *= 3.0
    part[0] = part[1] * x[0]
    part[1:][0] += part.reshape(3, 1)[2, 0]
    return y


def of_a_matrix(i, y, x):
    y[i:i + 2, 1:3] = y[i + 1:i + 3, i:i + 2] @ y[i:i + 2, 2:4]
    y[-i - 1, i:i + 3] = y[::2, i]
    return y


def of_three_dimensions(i, y, x):
    cube = y.reshape(2, 3, 6) * 1.0
    cube[..., i:i + 2] = cube[None, :, i:i + 2, 1, None].sum() + cube[i, ..., i + 1:i + 3]
    return cube.reshape(6, 6)


CASES = {
    "read": (summed(3, lambda x, i: x[i:i + 2]), X),
    "multiples": (summed(3, lambda x, i: x[2 * i:2 * i + 2]), X),
    "blocks": (summed(3, lambda x, i: x[2 * i:2 * (i + 1)]), X),
    "products": (summed(2, lambda x, i: x[i * i:i * i + 3]), X),
    "backwards": (summed(3, lambda x, i: x[i + 3:i:-1]), X),
    "strides": (summed(3, lambda x, i: x[i:i + 4:3]), X),
    "from the end": (summed(3, lambda x, i: x[-i - 3:-i - 1]), X),
    "negated": (summed(3, lambda x, i: x[-(i - 2):2 - i + 3]), X),
    "nothing": (summed(3, lambda x, i: np.append(x[i:i], i)), X),
    "rows": (summed(3, lambda x, i: x[i:i + 2]), SQUARE),
    "columns": (summed(3, lambda x, i: x[1, ..., i:i + 2]), SQUARE),
    "with an index": (summed(3, lambda x, i: x[[0, 2], i:i + 2]), SQUARE),
    "written": (loop(2, shifted), X),
    "view": (loop(2, through_a_view), X),
    "matrix": (loop(2, of_a_matrix), SQUARE),
    "three dimensions": (loop(2, of_three_dimensions), SQUARE),
    "scan": (lambda x: sciad.scan(lambda c, i: (c + np.sum(x[i:i + 2]), x[i:i + 3] * c), 1.0,
                                  np.arange(3))[1], X),
    "vmap": (lambda x: sciad.vmap(lambda i: np.cumsum(x[i:i + 3]))(np.arange(4)), X),
    "nested loops": (lambda x: sciad.fori_loop(0, 2, lambda i, a: sciad.fori_loop(
        0, 3, lambda j, b: b + x[i:i + 2] * x[j:j + 2], a), np.zeros(2)), X),
}


def directions(f):
    return lambda x: sciad.jvp(f, (x,), (np.cos(x),))[1]


def loss(f):
    return lambda x: np.sum(np.sin(f(x)))


@needs_llvm
@pytest.mark.parametrize("mode", ["value", "forward", "reverse", "second"])
@pytest.mark.parametrize("name", CASES)
def test_compiled_as_eager(name, mode):
    f, x = CASES[name]
    f = {"value": f, "forward": directions(f), "reverse": sciad.grad(loss(f)),
         "second": sciad.grad(loss(directions(loss(f))))}[mode]
    np.testing.assert_allclose(sciad.jit(f, strict=True)(x), f(x), rtol=1e-12, atol=1e-12)


@needs_llvm
@pytest.mark.parametrize("start", range(-9, 9))
@pytest.mark.parametrize("step", [1, 2, -1, -2])
def test_every_start_is_numpys(start, step):
    def f(x, i):
        return x[i:i + 3 * step:step]

    jitted = sciad.jit(f)
    jitted(X, np.int64(4))
    np.testing.assert_array_equal(jitted(X, np.int64(start)), f(X, start))
    for signature in jitted.report().signatures:
        assert not signature["eager"]


@needs_llvm
def test_a_slice_cut_short_is_repeated_eagerly():
    jitted = sciad.jit(lambda x: sciad.fori_loop(0, 6, lambda i, c: c + np.sum(x[i:i + 2]), 0.0))
    np.testing.assert_allclose(jitted(X), 2.0 * np.sum(X) - X[0])
    assert "reaches beyond the 6" in str(jitted.report())


@pytest.mark.parametrize("name, take", {
    "no stop": lambda x, i: x[i:], "no start": lambda x, i: x[:i],
    "constant stop": lambda x, i: x[i:4],
    "two values": lambda x, i: x[i:2 * i], "other": lambda x, i: x[i:i + np.argmax(x)],
}.items())
def test_other_bounds_name_the_cure(name, take):
    with pytest.raises(RecordError, match=r"x\[i:i \+ k\], or np.take\(x, i \+ np.arange\(k\)"):
        record(lambda x, i: np.sum(take(x, i)), X, np.int64(2))


def test_too_long_a_slice_is_refused():
    with pytest.raises(RecordError, match="a slice of 7 entries is longer than the axis"):
        record(lambda x, i: x[i:i + 7], X, np.int64(0))
