"""Random programs: eager, evaluated graph and machine code agree, in values and derivatives.

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


TWO = [branch, early, cond, scan, while_loop, newton, write, write_view, write_in_branch,
       write_with_arrays, largest]
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
        graph = recorded.graph(*recorded.consts, *args)
        kernel = kernel_of(recorded.graph)
        native = kernel(*recorded.consts, *args)
    loops.check(kernel.lowered.module)
    kernel.simplified.check()
    scale = 1 + max((np.abs(e[np.isfinite(e)]).max(initial=0) for e in eager), default=0)
    for e, g, n in zip(eager, graph, native, strict=True):
        assert e.shape == np.shape(g) == np.shape(n)
        np.testing.assert_allclose(g, e, rtol=rtol, atol=rtol * scale)
        np.testing.assert_allclose(n, e, rtol=rtol, atol=rtol * scale)


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


@pytest.mark.parametrize("n", [4, 20])
@pytest.mark.parametrize("f", TWO, ids=lambda f: f.__name__)
def test_each_instruction(f, n):
    x, y = np.linspace(-1, 1.3, n), np.cos(np.arange(float(n)) * 2)
    for args in [(x, y), (y, x), (-x, y), (x, -y)]:
        compare(f, args, 1e-12)
        compare(sciad.grad(total(f), (0, 1)), args, 1e-11)


@pytest.mark.parametrize("n", [4, 20])
def test_each_operation_once(n):
    for kind, f in INSTRUCTIONS[:-2 * len(TWO)]:
        steps = [((kind, f), 0, 1)]
        compare(program(steps + steps), (np.linspace(-1, 1.3, n), np.float64(0.7)), 1e-12)
