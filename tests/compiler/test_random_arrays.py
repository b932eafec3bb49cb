"""Random programs over arrays of every kind: 0 to 3 dimensions, empty ones, floats of both widths,
complex numbers, integers, mixed. Eager, graph, loops and machine code agree, and gradients too.

As in `test_random_programs`, a program is a list of instructions over a pool of values.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm, loops
from sciad.compiler.native import kernel_of
from sciad.core import tree
from sciad.core.record import record
from tests.compiler.oracle import by_loops

pytestmark = [pytest.mark.skipif(not llvm.available(), reason="no native code here"),
              pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning")]

SHAPES = [(), (), (1,), (3,), (5,), (0,), (2, 3), (3, 1), (1, 1), (0, 2), (2, 0), (2, 2, 2),
          (1, 3, 2), (2, 0, 1)]
MOST = 40


def lines(f, least=1):
    """Only of arrays with a first axis of so many entries."""
    return lambda x: f(x) if x.ndim and x.shape[0] >= least else x


def real(f):
    """Only of real numbers."""
    return lambda x: x if x.dtype.kind == "c" else f(x)


def bounded(x):
    return x / (2 + np.abs(x))


ENTRYWISE = [
    np.sin, lambda x: np.exp(-bounded(x)), bounded, lambda x: x * x, np.negative, np.conj, np.abs,
    lambda x: x.real, lambda x: x.imag, lambda x: x * (1 - 0.5j), lambda x: x * np.float32(0.5),
    lambda x: 0.25 * x + 1, lambda x: x**3, lambda x: np.sqrt(bounded(x) + 2),
    lambda x: np.where(x.real > 0.2, x, 0.5 * x), lambda x: x.astype(np.complex64),
    lambda x: np.log(3 + np.abs(x)), lambda x: (np.abs(x) > 0.7) * x, lambda x: np.square(x) - x,
    real(lambda x: np.maximum(x, 0.1)), real(lambda x: np.clip(x, -0.6, 0.4)), real(np.sign),
    real(lambda x: np.floor(x * 3) + x), real(lambda x: x.astype(np.float32)),
    real(lambda x: x % 0.7), real(lambda x: np.hypot(x, 2)),
]
SHAPING = [
    lambda x: x.T, np.ravel, lambda x: x.reshape(-1, 1), lambda x: x[..., None], np.squeeze,
    lambda x: x[None], np.atleast_2d, lambda x: np.broadcast_to(x, (2, *x.shape)),
    lambda x: np.stack([x, x + 1], axis=-1), lambda x: np.pad(x, 1), lambda x: np.tile(x, 2),
    lines(lambda x: x[::-1]), lines(lambda x: x[..., ::-1]), lines(lambda x: x[1:]),
    lines(lambda x: x[::2]), lines(lambda x: x[[0, -1, 0]]), lines(lambda x: x[-1]),
    lines(lambda x: np.concatenate([x, x * 2], axis=0)), lines(lambda x: np.roll(x, 1, axis=0)),
    lines(lambda x: np.repeat(x, 2, axis=-1)), lines(lambda x: np.swapaxes(x, 0, -1)),
    lambda x: np.triu(np.atleast_2d(x)), lines(lambda x: np.flip(x, 0)),
]
ALONG = [
    np.sum, lines(lambda x: np.sum(x, axis=0), 0), lambda x: np.sum(x, axis=-1, keepdims=True)
    if x.ndim else x, lines(lambda x: np.cumsum(x, axis=0), 0), lines(lambda x: x.mean(axis=0)),
    lines(lambda x: np.diff(x, axis=0)), lambda x: np.prod(0.1 * x + 1),
    lines(lambda x: np.prod(0.1 * x + 1, axis=-1)), lines(lambda x: np.var(x, axis=0)),
    real(lines(lambda x: np.max(x, axis=0))), real(lines(lambda x: np.sort(x, axis=0))),
    real(lines(lambda x: x[np.argsort(x[:, 0] if x.ndim == 2 and x.shape[1] else x.sum(
        axis=tuple(range(1, x.ndim))))])),
    real(lines(lambda x: np.argmax(x, axis=0) + x)),
    real(lines(lambda x: np.minimum.accumulate(x, axis=0))),
    lambda x: x - x.sum() / (1 + x.size),
]


def written(x):
    out = snp.array(x, copy=True)
    out[0] = out[-1] * 2
    out[1:] += out[:-1]
    return out


def through_views(x):
    out = snp.array(x, copy=True)
    view = out[::2]
    view *= 2
    out.reshape(-1)[:1] = 1
    return out


def branch(x):
    return np.cos(x) * 2 if np.sum(x.real) > 0.123 else np.sin(x)


def scanned(x):
    carry, rows = sciad.scan(lambda c, row: (c * 0.5 + np.sum(row), c * row), np.sum(x) * 1.0, x)
    return rows + carry


def window(x):
    """Slices that begin at a counter."""
    return sciad.fori_loop(0, x.shape[0] - 1, lambda i, c: c + np.sum(x[i:i + 2]) * i,
                           np.sum(x) * 1.0)


def repeated(x):
    return sciad.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, np.sin(s[1])), (0, x * 1.0))[1]


CONTROL = [
    lines(written), lines(through_views), branch, lines(scanned, 0), lines(window), repeated,
    lambda x: sciad.fori_loop(0, 3, lambda i, c: bounded(c) + x * i, x * 1.0),
    lines(lambda x: sciad.vmap(lambda row: np.sin(row) * np.sum(row))(x)),
    lambda x: sciad.cond(np.sum(np.abs(x)) > 1.234, lambda x: x * 2, lambda x: x - 1, x),
]


def fitting(f):
    """Of two arrays that broadcast, else of the first and the other's sum."""
    def apply(x, y):
        try:
            np.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            y = np.sum(y)
        return f(x, y)

    return apply


def both_real(f):
    return fitting(lambda x, y: x + y if "c" in x.dtype.kind + y.dtype.kind else f(x, y))


def product(x, y):
    if x.ndim and y.ndim and x.shape[-1] == y.shape[-min(2, y.ndim)]:
        return x @ y
    return x.ravel()[:3, None] * y.ravel()[:2]


TWO = [
    *map(fitting, (np.add, np.subtract, np.multiply, lambda x, y: x / (3 + np.abs(y)),
                   lambda x, y: np.where(x.real > y.real, x, y), lambda x, y: x * np.conj(y))),
    *map(both_real, (np.maximum, np.arctan2, np.minimum, lambda x, y: (x > y) * x - y)), product,
]
ONE = [("one", f) for f in ENTRYWISE + SHAPING + ALONG + CONTROL * 2]
INSTRUCTIONS = [*ONE, *(("two", f) for f in TWO * 2)]


def program(steps):
    def run(x, y):
        pool = [x, y]
        for (kind, f), i, j in steps:
            u, v = pool[i % len(pool)], pool[j % len(pool)]
            out = f(u) if kind == "one" else f(u, v)
            pool.append(out if out.size <= MOST else out.ravel()[:7])
        return pool[-1], pool[-2]

    return run


def array(numbers, shape, dtype):
    """An array of drawn numbers, some of which are its imaginary parts."""
    size = int(np.prod(shape, dtype=int))
    values = np.resize(np.array(numbers), (2, size))
    if np.dtype(dtype).kind in "iu":
        return (values[0] * 3).astype(dtype).reshape(shape)[()]
    values = values[0] + (1j * values[1] if np.dtype(dtype).kind == "c" else 0.0)
    return values.astype(dtype).reshape(shape)[()]


FLOATS = [np.float64, np.float64, np.float32, np.complex128, np.complex64]
KINDS = [*FLOATS, np.int64, np.int32]
DRAWN = st.floats(-1.5, 1.5).map(lambda v: round(v, 2) + 0.003)
NUMBERS = st.lists(DRAWN, min_size=23, max_size=23)
ARGS = st.tuples(st.builds(array, NUMBERS, st.sampled_from(SHAPES), st.sampled_from(FLOATS)),
                 st.builds(array, NUMBERS, st.sampled_from(SHAPES), st.sampled_from(KINDS)))
STEPS = st.lists(st.tuples(st.sampled_from(INSTRUCTIONS), st.integers(0, 7), st.integers(0, 7)),
                 min_size=1, max_size=5)


def loss(function):
    def total(*args):
        return sum(np.sum(np.sin(leaf.real) + 0.5 * leaf.imag)
                   for leaf in tree.flatten(function(*args))[0])

    return total


def flat(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def compare(function, args, rtol) -> bool:
    """Compare the four; whether the loops could be evaluated."""
    with np.errstate(all="ignore"):
        eager = flat(function(*args))
        recorded = record(function, *args)
        leaves = [*recorded.consts, *args]
        graph = recorded.graph(*leaves)
        kernel = kernel_of(recorded.graph)
        native = kernel(*leaves)
        looped = by_loops(kernel, leaves)
    loops.check(kernel.lowered.module)
    kernel.simplified.check()
    for e, *others in zip(eager, native, graph, looped or native, strict=True):
        assert e.dtype == np.asarray(others[0]).dtype
        single = e.dtype in (np.float32, np.complex64) or any(
            x.dtype in (np.float32, np.complex64) for x in args)
        near = 2e-3 if single else rtol
        scale = 1 + np.abs(e[np.isfinite(e)]).max(initial=0)
        for other in others:
            assert e.shape == np.shape(other)
            np.testing.assert_allclose(other, e, rtol=near, atol=near * scale)
    return looped is not None


SETTINGS = settings(max_examples=80, deadline=None, derandomize=True,
                    suppress_health_check=list(HealthCheck))


@SETTINGS
@given(steps=STEPS, args=ARGS)
def test_values(steps, args):
    compare(program(steps), args, 1e-11)


@SETTINGS
@given(steps=STEPS, args=ARGS)
def test_gradients(steps, args):
    wanted = [k for k, x in enumerate(args) if x.dtype.kind in "fc"]
    compare(sciad.grad(loss(program(steps)), wanted), args, 1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.complex64, np.int64])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3)])
def test_each_instruction(shape, dtype):
    x = array(np.linspace(-1.3, 1.1, 11), shape, dtype)
    evaluated = [compare(program([(step, 0, 1)]), (x, x + x), 1e-11) for step in INSTRUCTIONS[::3]]
    assert np.mean(evaluated) > 0.9
