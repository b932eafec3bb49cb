"""Random programs: eager, graph, loops and machine code agree, in values and derivatives.

A program is a list of instructions over a pool of values; each names an operation and the places
of its operands. Drawn by hypothesis, so that a failing one shrinks.
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

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

SMOOTH = [np.sin, np.tanh, np.cos, np.arctan, lambda x: np.exp(-x * x), lambda x: x / (1 + x * x),
          lambda x: np.log(1 + x * x), lambda x: np.sqrt(1 + x * x), np.negative, np.abs,
          lambda x: 0.5 * x + 0.1, lambda x: x**2 / (1 + x**2), lambda x: x]
BINARY = [np.add, np.subtract, lambda x, y: np.tanh(x * y), np.maximum, np.minimum,
          lambda x, y: x / (2 + y * y), lambda x, y: np.where(x > y, x, 0.3 * y), np.hypot,
          np.arctan2]
MOVES = [lambda x: x[::-1], lambda x: np.roll(x, 1), lambda x: x.reshape(2, -1).T.ravel(),
         lambda x: np.cumsum(x) / len(x), lambda x: np.concatenate([x[1:], x[:1] * 2]),
         lambda x: np.broadcast_to(x.mean(), x.shape), lambda x: x - np.max(x),
         lambda x: np.outer(x, x)[1] / len(x),
         lambda x: np.stack([x[::2], x[1::2]]).ravel(), lambda x: x[np.arange(len(x)) // 2],
         lambda x: np.tanh(x * np.sum(x))]


def branch(x, y):
    if x[0] > y[1]:
        if np.sum(y) > 0:
            return x * 0.5 + y
        return x - y
    return np.sin(y)


def early(x, y):
    for k in range(2):
        if x[k] > 0.5:
            return y * x[k]
        x = x + 0.2 * y[k]
    return x


def cond(x, y):
    # the margin keeps sums of the same numbers in another order from deciding by rounding
    return sciad.cond(np.sum(x) > np.sum(y) + 0.0123, lambda a, b: np.tanh(a * b),
                      lambda a, b: a - 0.5 * b, x, y)


def scan(x, y):
    carry, rows = sciad.scan(lambda c, row: (np.tanh(c + row * y), np.sum(c) * row), x, y[:3])
    return carry + rows[0]


def while_loop(x, y):
    def body(state):
        k, z = state
        if z[0] > 0:
            z = z * 0.5
        return k + 1, np.tanh(z + 0.3 * y)

    return sciad.while_loop(lambda s: s[0] < 3, body, (0, x))[1]


def newton(x, y):
    """A loop that ends when the values say so."""
    z = sciad.while_loop(lambda z: np.sum(z * z) < 8.0, lambda z: 1.5 * z + 0.1 + 0.1 * y * y, x)
    return np.tanh(z)


def write(x, y):
    out = snp.copy(x)
    out[1] = y[0] * y[1]
    out[2:] += y[:-2] * 0.5
    return out


def write_view(x, y):
    out = snp.zeros((2, len(x) // 2))
    out[0] = x[:len(x) // 2]
    view = out.T
    view[0] = y[:2]
    out *= 0.7
    flat = out.reshape(-1)
    flat[1:3] = flat[:2].copy()
    return out.ravel() + x


def write_in_branch(x, y):
    out = snp.copy(y)
    if x[0] > 0:
        out[0] = x[1]
        if out[1] > 0:
            out[:2] *= x[0]
    return out


def write_with_arrays(x, y):
    out = snp.copy(x)
    out[np.array([0, 2, 0])] = y[:3]
    out[np.arange(2)] += y[1]
    return out


def largest(x, y):
    return x * y[np.argmax(x)]


def stencil(x, y):
    """Padded, shifted, added up: pieces that are never written out."""
    wide = np.concatenate([y[:1], x, y[-1:] * 0.5])
    return wide[2:] - 2.0 * wide[1:-1] + wide[:-2] * y


def overlapping_writes(x, y):
    out = snp.copy(x)
    out[1:] += y[:-1]
    out[:-1] = out[1:] - y[1:] * 0.25
    out[1:-1] *= out[:-2]
    return out


def relax(x, y):
    """A carry that is made anew in each iteration, beside one that is not."""
    def step(k, state):
        u, total = state
        u[1:-1] += 0.2 * (u[2:] + u[:-2] - 2.0 * u[1:-1]) + 0.01 * k * y[1:-1]
        return u, total + u[1] * y[0]

    u, total = sciad.fori_loop(0, 5, step, (x, x[0]))
    return u * np.tanh(total)


def fill(x, y):
    """A carry that is written entry by entry."""
    def step(k, out):
        out[k] = out[k - 1] * 0.5 + y[k]
        return out

    return sciad.fori_loop(1, 4, step, x)


def exchange(x, y):
    """Carries that go into each other."""
    def step(state, row):
        a, b, c = state
        return (b, np.sin(a) + 0.1 * c, c), (a[0] * row, c)

    (a, b, c), (s, rows) = sciad.scan(step, (x, y, x), y[:3])
    return a - b * np.sum(s) + c + rows[1]


def backwards(x, y):
    carry, rows = sciad.scan(lambda c, row: (0.5 * c[::-1] + row, c), x,
                             np.outer(np.ones(3), y), reverse=True)
    return carry + rows[2] - rows[0]


def nested(x, y):
    def outer(state):
        k, z = state
        z = sciad.fori_loop(0, 2, lambda j, z: np.tanh(z + y * 0.1), z)
        return k + 1, sciad.cond(z[0] > 0.2, lambda z: z[::-1] * 1.0, lambda z: z + y, z)

    return sciad.while_loop(lambda s: s[0] < 3, outer, (0, x))[1]


def constant_in_loop(x, y):
    """What no iteration changes."""
    def step(state, row):
        z, unused = state
        return (z * np.sum(np.sin(y)) * 0.1 + np.exp(-y * y) * row, unused), np.cos(y[0]) * row

    (z, _), rows = sciad.scan(step, (x, y), x[:2])
    return z + np.sum(rows)


def table(x, y):
    """Rows and columns."""
    t = np.outer(x[:4], y) + x
    t = t - np.max(t, axis=1, keepdims=True)
    p = np.exp(t) / np.sum(np.exp(t), axis=1, keepdims=True)
    return np.sum(p * np.sum(t, axis=0), axis=0) + p[:, :2].T.ravel()[0]


def gathered(x, y):
    order = np.argsort(x, kind="stable")
    return x[order] * y[::-1][order % 3] + np.sum(y[order[:2]])


def shifted_views(x, y):
    out = snp.zeros(2 * len(x))
    out[len(x):] = x
    out[:len(x)] = y * 2.0
    out[1::2] -= out[::2]
    return np.roll(out, 3)[:len(x)] + out[len(x):]


TWO = [branch, early, cond, scan, while_loop, newton, write, write_view, write_in_branch,
       write_with_arrays, largest, stencil, overlapping_writes, relax, fill, exchange, backwards,
       nested, constant_in_loop, table, gathered, shifted_views]
INSTRUCTIONS = ([("one", f) for f in SMOOTH + MOVES] + [("two", f) for f in BINARY]
                + [("two", f) for f in TWO] * 2)


def program(steps):
    """A function of an array and a number."""
    def run(x, a):
        pool = [x, a * x, x + a]
        for (kind, f), i, j in steps:
            u, v = pool[i % len(pool)], pool[j % len(pool)]
            pool.append(f(u) if kind == "one" else f(u, v))
        return pool[-1], np.sum(pool[-2]), pool[i % len(pool)][0]

    return run


STEPS = st.lists(st.tuples(st.sampled_from(INSTRUCTIONS), st.integers(0, 9), st.integers(0, 9)),
                 min_size=2, max_size=9)
INPUTS = st.lists(st.floats(-2, 2).map(lambda v: round(v, 2) + 0.003), min_size=20, max_size=20)
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True,
                    suppress_health_check=list(HealthCheck))


def total(function):
    def loss(*args):
        return sum(np.sum(np.sin(leaf)) for leaf in tree.flatten(function(*args))[0])

    return loss


def flat(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def compare(function, args, rtol):
    with np.errstate(all="ignore"):
        eager = flat(function(*args))
        recorded = record(function, *args)
        leaves = [*recorded.consts, *args]
        graph = recorded.graph(*leaves)
        kernel = kernel_of(recorded.graph)
        native = kernel(*leaves)
        looped = by_loops(kernel, leaves) or native
    loops.check(kernel.lowered.module)
    kernel.simplified.check()
    scale = 1 + max((np.abs(e[np.isfinite(e)]).max(initial=0) for e in eager), default=0)
    for e, *others in zip(eager, graph, looped, native, strict=True):
        for other in others:
            assert e.shape == np.shape(other)
            np.testing.assert_allclose(other, e, rtol=rtol, atol=rtol * scale)


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 20])
@SETTINGS
@given(steps=STEPS, entries=INPUTS)
def test_values_and_derivatives(n, steps, entries):
    function, args = program(steps), (np.array(entries[:n]), np.float64(0.7))
    compare(function, args, 1e-10)
    compare(sciad.grad(total(function), (0, 1)), args, 1e-8)


@pytest.mark.slow
@SETTINGS
@given(steps=STEPS.map(lambda steps: steps[:5]), entries=INPUTS)
def test_second_derivatives(steps, entries):
    function, args = program(steps), (np.array(entries[:4]), np.float64(0.7))

    def product(x, a):
        return sciad.hvp(lambda x: total(function)(x, a), (x,), (np.cos(x),))

    compare(product, args, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 16, 18])
@SETTINGS
@given(steps=STEPS, entries=INPUTS)
def test_single_precision(n, steps, entries):
    """Derivatives are left out: they are of the same program."""
    args = np.array(entries[:n], np.float32), np.float32(0.7)
    compare(program(steps), args, 2e-3)


@pytest.mark.parametrize("n", [4, 16, 18, 20])
@pytest.mark.parametrize("f", TWO, ids=lambda f: f.__name__)
def test_each_instruction(f, n):
    x, y = np.linspace(-1, 1.3, n), np.cos(np.arange(float(n)) * 2)
    for args in [(x, y), (y, x), (-x, y), (x, -y)]:
        compare(f, args, 1e-12)
        compare(sciad.grad(total(f), (0, 1)), args, 1e-11)


# --- integers and truth values: exact -------------------------------------------------------------

WHOLE = [np.add, np.subtract, lambda x, y: x * (y % 7), np.maximum, np.minimum,
         lambda x, y: x // (1 + y % 5), lambda x, y: x % (3 + abs(y) % 4),
         lambda x, y: np.where(x > y, x, -y), lambda x, y: np.where((x < y) | (x == 2), y, x % 5),
         lambda x, y: (x >= y).astype(x.dtype) + x, lambda x, y: x[::-1] + np.cumsum(y % 3),
         lambda x, y: x[y % len(x)], lambda x, y: x * np.any(x > y) - np.sum(y == 1),
         lambda x, y: np.roll(x, 2) - np.max(y), lambda x, y: np.concatenate([y[2:], x[:2]]),
         lambda x, y: x + np.argmax(y), lambda x, y: np.abs(x) - np.sign(y),
         lambda x, y: sciad.fori_loop(0, 3, lambda k, z: (z + k * y) % 11, x),
         lambda x, y: sciad.while_loop(lambda z: np.sum(np.abs(z)) > 20, lambda z: z // 2 + 0 * y,
                                       np.abs(x)),
         lambda x, y: sciad.scan(lambda c, r: ((c + r) % 13, c * 2), x, y[:3])[1][1],
         lambda x, y: sciad.cond(x[0] > y[0], lambda: x - y, lambda: y * 2)]


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize("n", [4, 16, 18])
@pytest.mark.parametrize("f", WHOLE)
def test_each_operation_on_integers(f, n, dtype):
    x = (np.arange(n) * 7 % 12 - 4).astype(dtype)
    for args in [(x, x[::-1].copy()), (x[::-1].copy(), x % 5)]:
        compare(f, args, 0)


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 17])
@settings(SETTINGS, max_examples=40)
@given(steps=st.lists(st.tuples(st.sampled_from([("two", f) for f in WHOLE]), st.integers(0, 9),
                                st.integers(0, 9)), min_size=2, max_size=8),
       entries=st.lists(st.integers(-9, 9), min_size=20, max_size=20))
def test_programs_of_integers(n, steps, entries):
    def run(x, a):
        pool = [x, a + x % 9, x[::-1] - a]
        for (_, f), i, j in steps:
            pool.append(f(pool[i % len(pool)], pool[j % len(pool)]) % 1000)
        return pool[-1], np.sum(pool[-2])

    compare(run, (np.array(entries[:n]), np.int64(3)), 0)


@pytest.mark.parametrize("n", [4, 20])
def test_each_operation_once(n):
    for kind, f in INSTRUCTIONS[:-2 * len(TWO)]:
        steps = [((kind, f), 0, 1)]
        compare(program(steps + steps), (np.linspace(-1, 1.3, n), np.float64(0.7)), 1e-12)
