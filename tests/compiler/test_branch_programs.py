"""Python's ways to branch, each on every piece: compiled = eager, values and gradients."""

import functools
import itertools

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm
from sciad.ode import solve_ivp

STRICT = llvm.available()
GRID = [-2.5, -1.2, -0.4, 0.3, 0.9, 1.7, 2.6]
POINTS = [np.array(p) for p in itertools.product(GRID[::2], GRID[1::2], GRID[::3])]


class Refused(ValueError):
    def __init__(self, number):
        super().__init__(f"refused: {number}")
        self.number = number


def builtins(x):
    a, b, c = x
    return max(a, b, c) * min(a, b) + abs(c) + sorted([a, b, c])[1] * 2 + sum([a, b]) - max(x)


def any_and_all(x):
    if any(v > 1 for v in x):
        return x[0] * x[1]
    if all(v > -2 for v in x):
        return np.sum(np.sin(x))
    return x[2]


def chained(x):
    a, b, c = x
    if a < b < c:
        return a * b
    if -1 <= c < b or a == b:
        return b - c
    return (a if 0 < a <= 2 < c + 3 else c) * b


def ternaries(x):
    a, b, c = x
    y = a if a > 0 else (b if b > 0 else c)
    return (y if not y > 1 else 1 / y) + (b * b if a > b else 0.0)


def and_or(x):
    a, b, c = x
    first = a > 0 and b
    if a > 0 and b > 0 and c > 0:
        return a * b * c
    if (a > 0 or b > 0) and not (a > 0 and b > 0):
        return a - b
    return c * 2 if first is not False else c


def nested(x):
    a, b, c = x
    if a > 0:
        if b > 0:
            if c > 0:
                y = a * b
            else:
                y = a / (1 + b)
        elif c > 0:
            y = b * c
        else:
            y = a - b
    else:
        y = c * c
        if b > a:
            y = y - b
            if c > b:
                return y * 3
    return y + a


def early(x):
    for k in range(3):
        if x[k] > 2:
            return x[k] * k
        if x[k] < -2:
            break
    else:
        return np.sum(x)
    return np.prod(x)


def skips(x):
    total = 0.0
    for v in x:
        if v < -1:
            continue
        total = total + v * v
        if total > 4:
            total = total / 2
    return total


def raises(x):
    if x[0] > 2:
        raise Refused(7)
    if x[1] < -1 and x[2] > 0:
        raise ZeroDivisionError("x is", 3)
    if x[2] > 2:
        try:
            if x[1] > 0:
                raise KeyError("inside")
            return x[0]
        except KeyError:
            return x[1] * 3
    return np.sum(x * x)


def recursion(x):
    def go(v, depth):
        if depth == 0 or abs(v) < 0.2:
            return v
        if v > 1:
            return go(v / 2, depth - 1) + x[1]
        return go(v + x[2], depth - 1) * 0.5

    return go(x[0], 4)


def mutual(x):
    def even(v, n):
        return v if n == 0 else odd(v * 1.5 if v > 0 else v - 1, n - 1)

    def odd(v, n):
        return -v if n == 0 else even(v + x[1] if v < 2 else v / 3, n - 1)

    return even(x[0], 4) + x[2]


def in_while(x):
    def step(state):
        k, v = state
        if v > 1:
            v = v / 2
        elif v < -1:
            v = -v * x[1]
        else:
            v = v + (x[2] if k < 2 else 0.1)
        return k + 1, v

    return sciad.while_loop(lambda s: s[0] < 5, step, (0, x[0]))[1]


def in_for(x):
    def step(k, v):
        if v > k:
            return v - x[1]
        return v * 0.7 if v > 0 else v + x[2] ** 2

    return sciad.fori_loop(0, 4, step, x[0])


def in_scan(x):
    def step(carry, row):
        if row > carry:
            return row * 0.5, carry
        return (carry - 0.1, row) if carry > 0 else (carry + x[0], carry * row)

    last, rows = sciad.scan(step, x[1], x)
    return last + np.sum(rows)


def in_vmap(x):
    return np.sum(sciad.vmap(lambda v: v * v if v > 0 else (np.sin(v) if v > -1 else v))(x))


def in_cond(x):
    def yes(v):
        return v[0] if v[0] > v[1] else v[1] * 2

    return sciad.cond(x[2] > 0, yes, lambda v: min(v[0], v[1]), x)


def generators(x):
    return sum(v * k if v > 0 else -v for k, v in enumerate(x) if k != 1)


def dictionaries(x):
    table = {"low": lambda v: v * v, "high": lambda v: v + 1}
    kind = "low" if x[0] < 0.5 else "high"
    found = {**{"y": x[1]}, **({"y": x[2]} if x[2] > 1 else {})}
    return table[kind](x[1]) * found["y"]


def objects(x):
    class Counter:
        def __init__(self):
            self.total, self.n = 0.0, 0

        def add(self, v):
            if v > self.total:
                self.total, self.n = self.total + v, self.n + 1
            return self

    counter = functools.reduce(lambda c, v: c.add(v), x, Counter())
    return counter.total * (counter.n + 1)


def writes(x):
    out = snp.zeros(4)
    for k, v in enumerate(x):
        if v > 0:
            out[k] = v
        elif v < -1:
            out[k:k + 2] += v * v
    if out[3] > 1:
        out[::2] *= 2
    return np.sum(out * np.arange(4.0))


def tuples(x):
    if x[0] > x[1]:
        a, b = x[0], x[1]
    else:
        a, b = x[1], x[0]
    if (a, b)[0] > 1:
        a, b = b, a
    return a * a - b


def truth_of_arrays(x):
    if np.all(x > 0):
        return np.sum(x)
    if (x > 1).any():
        return x[np.argmax(x)] ** 2
    return np.max(x)


FUNCTIONS = [builtins, any_and_all, chained, ternaries, and_or, nested, early, skips, raises,
             recursion, mutual, in_while, in_for, in_scan, in_vmap, in_cond, generators,
             dictionaries, objects, writes, tuples, truth_of_arrays]


def outcome(f, x):
    try:
        return np.asarray(f(x))
    except Exception as error:
        return type(error), error.args, getattr(error, "number", None)


def agree(compiled, f, x, rtol=1e-12):
    got, want = outcome(compiled, x), outcome(f, x)
    if isinstance(want, tuple):
        assert got == want
    else:
        assert not isinstance(got, tuple), got
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_gradients_on_every_piece(f):
    compiled, slope = sciad.jit(f, strict=STRICT), sciad.jit(sciad.grad(f), strict=STRICT)
    pulled = sciad.grad(compiled)
    for k, x in enumerate(POINTS):
        agree(compiled, f, x)
        if k % 4 == 0:
            agree(slope, sciad.grad(f), x)
        if k % 16 == 0:
            agree(pulled, sciad.grad(f), x)
    assert len(compiled.report().signatures) == 1


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_forward_mode_and_curvature(f):
    tangent = sciad.jit(lambda x: sciad.jvp(f, (x,), (np.ones(3),))[1], strict=STRICT)
    for x in POINTS[::9]:
        agree(tangent, lambda x: sciad.jvp(f, (x,), (np.ones(3),))[1], x)
    second = sciad.jit(sciad.hessian(f), strict=STRICT)
    for x in POINTS[::20]:
        agree(second, sciad.hessian(f), x, 1e-10)


def twelve(x):
    edges = np.arange(-5.0, 6.0)
    for k, edge in enumerate(edges):
        if x < edge:
            return (k + 1) * x ** (k % 4) + np.sin(k * x)
    return x * x


def test_twelve_pieces_of_a_loop():
    compiled, slope = sciad.jit(twelve, strict=STRICT), sciad.jit(sciad.grad(twelve), strict=STRICT)
    for x in [*np.linspace(-6, 6, 49), -5.0, 0.0, 5.0]:
        agree(compiled, twelve, float(x))
        agree(slope, sciad.grad(twelve), float(x), 1e-10)
    if STRICT:
        assert compiled.report().signatures[0]["branches"] == 11


@pytest.mark.slow
def test_a_right_hand_side_with_branches():
    def drive(t, y, p):
        force = p[0] if t < 1 else (p[1] if y[0] > 0.2 else -p[1])
        if y[1] > 0.5:
            force = force - y[1]
        return np.array([y[1], force - p[2] * y[0]])

    def last(p):
        sol = solve_ivp(drive, (0.0, 2.0), np.array([0.1, 0.0]), args=(p,), t_eval=[0.5, 2.0],
                        rtol=1e-6, atol=1e-8)
        return np.sum(sol.y ** 2)

    p = np.array([0.7, 0.4, 1.3])
    assert np.isfinite(last(p))
    np.testing.assert_allclose(sciad.jit(last)(p), last(p), rtol=1e-9)
    np.testing.assert_allclose(sciad.jit(sciad.grad(last))(p), sciad.grad(last)(p), rtol=1e-7)
