"""Python branches in compiled code: compiled = eager on random inputs, values and derivatives."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm
from sciad.ode import solve_ivp

RANDOM = np.random.default_rng(7)


def busy(x):
    """Nested and sequential ifs, early return, max, abs, and, or, not, chains; it raises."""
    a, b, c = x[0], x[1], x[2]
    if a > 2.5 and b > 0:
        raise ValueError("a and b are too large")
    if abs(a) < 0.1:
        return a * b
    y = a * b if a < b else a - b
    if -1 < c <= 1 or not y > 0:
        y = y + np.sin(c)
        if y > 0:
            if c > 0.5:
                return y * y
            y = y / 2
        else:
            y = max(y, c) - abs(b)
    elif y > 3:
        raise ArithmeticError("y is too large", 3)
    else:
        y = min(y, b, 1.0)
    z = 0.0
    for k in range(3):
        if x[k] > 0:
            z = z + x[k] ** (k + 1)
        elif x[k] < -1:
            z = z - y
            continue
        z = z * 1.5
    return y + (z if z < 4 else 4.0 * np.tanh(z))


def pieces(x):
    """A piecewise function of 12 pieces."""
    if x < -5:
        return -x
    if x < -4:
        return x * x
    if x < -3:
        return np.sin(x)
    if x < -2:
        return 1.0 + 0 * x
    if x < -1:
        return x**3
    if x < 0:
        return np.exp(x)
    if x < 1:
        return np.cos(x)
    if x < 2:
        return x - 1
    if x < 3:
        return np.sqrt(x)
    if x < 4:
        return 1 / x
    if x < 5:
        return np.log(x)
    return x * np.exp(-x)


def mutating(x):
    out = snp.zeros(3)
    for k in range(3):
        if x[k] > 0:
            out[k] = x[k] ** 2
        else:
            out[k:] += x[k]
    if np.sum(out) > 1:
        out *= 0.5
    view = out[::2]
    if view[0] > view[1]:
        view[:] = view * x[1]
    return out


def recursive(x):
    def power(y, depth):
        if depth == 0:
            return y
        if y > 1:
            return power(y / 2, depth - 1) * x[0]
        return power(y + 0.7, depth - 1)

    return power(abs(x[1]), 5) + x[2]


def inside_while(x):
    def body(state):
        k, y = state
        if y > 1:
            y = y - x[0] ** 2
        else:
            y = np.where(y > 0, 1.5 * y, -y) + 0.1
        return k + 1, y

    return sciad.while_loop(lambda s: s[0] < 5, body, (0, x[1]))[1] * x[2]


class OutOfRange(ArithmeticError):
    def __init__(self, value):
        super().__init__(f"{value:.2f} is out of range")
        self.value = value


def raises_by_text(x):
    if x[0] > 1:
        raise ValueError(f"x is too large: {x}")
    if x[1] > 1:
        raise ValueError("second: " + str(x[1]))
    return x * x[2]


def raises_with_value(x):
    if x[0] > 1:
        raise ValueError("too large", x[0])
    return x * x[2]


def raises_by_message(x):
    if x[0] > 1:
        message = "first: {:.3f}, all: {}".format(x[0], [f"{entry:.1f}" for entry in x])
        raise KeyError(message)
    if not x[1] < 1:
        raise AssertionError(f"second is {x[1]}")
    if np.any(x > 2):
        raise OutOfRange(np.max(x))
    return np.sin(x)


def raises_in_a_loop(x):
    def body(i, y):
        if y > 2:
            raise ArithmeticError(f"{y} at iteration {i}")
        return y + x[1] ** 2

    return sciad.fori_loop(0, 5, body, x[0])


def while_condition_branches(x):
    def go(state):
        if state[0] < 3:
            return state[1] < 50.0
        return state[1] < 20.0

    return sciad.while_loop(go, lambda s: (s[0] + 1, s[1] * 1.7 + abs(x[0])),
                            (0, abs(x[1]) + 0.5))[1]


def inside_scan(x):
    def body(c, row):
        if row > 0 and c < 2:
            return c + row * x[0], c
        if c > 1.5:
            c = c / 2
        return c * 0.9, row

    return sciad.scan(body, x[1], snp.concatenate([x, x * x - 0.5]))


def containers(x):
    state = {"p": x[0], "q": [x[1], x[2]]}
    if state["p"] > 0:
        state["q"][0] = state["q"][0] * 2
        state["r"] = state["q"][0]
    else:
        state["r"] = state["q"][1]
    if state["r"] > 0.2:
        state = {**state, "p": -state["p"]}
    return [state["p"], state["q"][0] + state["r"]]


def large(x):
    y = np.outer(x, np.linspace(0.5, 1.5, 20))
    if np.sum(y) > 0:
        y = np.sin(y)
        if y[0, 3] > 0.2:
            y = y * y[:, :1]
    return np.sum(y, axis=0) @ np.arange(20.0)


def counting(x):
    n = 0
    for k in range(3):
        if x[k] > 0:
            n += 1
    return x * n + n


FUNCTIONS = [busy, mutating, recursive, inside_while, while_condition_branches, inside_scan,
             containers, large, counting]
TELLING = [raises_by_text, raises_with_value, raises_by_message, raises_in_a_loop]


def outcome(f, *args):
    """The leaves of the result, or the exception's type and message."""
    try:
        out = f(*args)
    except (ValueError, ArithmeticError, KeyError, AssertionError) as error:
        return type(error), str(error)
    return [np.asarray(leaf) for leaf in sciad.core.tree.flatten(out)[0]]


def agree(compiled, f, x, rtol=1e-11):
    a, b = outcome(compiled, x), outcome(f, x)
    if isinstance(b, tuple):
        assert a == b
        return
    assert len(a) == len(b), (a, b)
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-12)


def summed(f):
    def total(x):
        return sum(np.sum(np.sin(leaf)) for leaf in sciad.core.tree.flatten(f(x))[0])

    return total


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_gradients(f):
    compiled = sciad.jit(f, strict=True)
    slope = sciad.jit(sciad.grad(summed(f)), strict=True)
    outcomes = set()
    for k in range(300 if f is busy else 60):
        x = RANDOM.normal(size=3) * 1.7
        agree(compiled, f, x)
        if k % 3 == 0:
            agree(slope, sciad.grad(summed(f)), x)
        outcomes.add(str(outcome(f, x)[0]) if isinstance(outcome(f, x), tuple) else "value")
    if f is busy:
        assert len(outcomes) == 3, "both exceptions and values must occur"


@pytest.mark.parametrize("f", TELLING, ids=lambda f: f.__name__)
def test_a_branch_that_raises_may_tell_values(f):
    compiled = sciad.jit(f, strict=True)
    slope = sciad.jit(sciad.grad(summed(f)), strict=True)
    outer = sciad.jit(lambda x: 2 * compiled(x), strict=True)
    raised = 0
    for k in range(40):
        x = RANDOM.normal(size=3) * 1.5
        agree(compiled, f, x)
        agree(outer, lambda x: 2 * f(x), x)
        if k % 4 == 0:
            agree(slope, sciad.grad(summed(f)), x)
            agree(sciad.grad(summed(compiled)), sciad.grad(summed(f)), x)
        raised += isinstance(outcome(f, x), tuple)
    assert 5 < raised < 35
    signature, = compiled.report().signatures
    assert signature["branches"] and not compiled.report().eager
    assert all("a branch raises and tells a value" in why and "test_branches.py:" in why
               for why in signature["repeated"])
    assert sum(signature["repeated"].values()) >= raised


def test_a_raise_that_the_program_catches_is_told_of():
    @sciad.jit
    def caught(x):
        try:
            return raises_by_text(x)
        except ValueError:
            return 0 * x

    assert (caught(np.zeros(3)) == 0).all()
    with pytest.warns(sciad.compiler.jit.FallbackWarning, match="a branch raises and tells"):
        assert (caught(np.full(3, 2.0)) == 0).all()
    assert (caught(np.full(3, 0.5)) == 0.25).all()


@pytest.mark.skipif(not llvm.available(), reason="no native code here")
def test_right_hand_sides_raise_with_their_values():
    def falling(t, y):
        if y[0] < 0.5:
            raise ValueError(f"too low: {y[0] < 0.5}")
        return -y

    def end(y0, stop=2.0):
        return solve_ivp(falling, (0.0, stop), y0, t_eval=[stop]).y[0, -1]

    def stepped(y0):
        return solve_ivp(falling, (0.0, 2.0), y0, steps=np.linspace(0.0, 2.0, 20)).y[0, -1]

    for f in (end, stepped):
        for g in (f, sciad.jit(f, strict=True), sciad.grad(f), sciad.jit(sciad.grad(f))):
            with pytest.raises(ValueError, match="too low: True"):
                g(np.ones(1))
    assert sciad.ode.model.model_of(falling, (), 1)[0].graph
    np.testing.assert_allclose(sciad.jit(end)(np.ones(1), 0.5), np.exp(-0.5), rtol=1e-2)


@pytest.mark.parametrize("f", FUNCTIONS[1:], ids=lambda f: f.__name__)
def test_second_derivatives(f):
    total = summed(f)
    second = sciad.jit(sciad.hessian(total), strict=True)
    for _ in range(8):
        x = RANDOM.normal(size=3) * 1.2
        agree(second, sciad.hessian(total), x, 1e-9)
    agree(sciad.grad(sciad.jit(total, strict=True)), sciad.grad(total), x)
    agree(sciad.hessian(sciad.jit(total, strict=True)), sciad.hessian(total), x, 1e-9)


def test_twelve_pieces():
    compiled, slope = sciad.jit(pieces, strict=True), sciad.jit(sciad.grad(pieces), strict=True)
    curvature = sciad.jit(sciad.grad(sciad.grad(pieces)), strict=True)
    for x in [*np.linspace(-6, 6, 61), -5.0, 0.0, 4.0, np.nan]:
        agree(compiled, pieces, float(x))
        if x == x:
            agree(slope, sciad.grad(pieces), float(x))
            agree(curvature, sciad.grad(sciad.grad(pieces)), float(x))
    assert len(compiled.report().signatures) == 1


def test_a_branch_on_an_argument_of_each_type():
    f = sciad.jit(lambda x: x * 2 if x > 1 else x - 1, strict=True)
    for x in (0.5, 1.5, 2, 0, np.float32(1.5), np.int64(3), np.array(0.5)):
        want = x * 2 if x > 1 else x - 1
        assert f(x) == want


def test_branches_of_different_types_run_eagerly():
    def f(x):
        return np.ones(2) * x if x > 1 else x

    compiled = sciad.jit(f)
    with pytest.warns(sciad.compiler.jit.FallbackWarning, match="different shapes"):
        assert compiled(0.5) == 0.5
    assert (compiled(2.0) == 2.0).all()
    whole = sciad.jit(lambda x: 1 if x > 1 else x)
    for x in (0.5, 2.0):
        assert whole(x) == (1 if x > 1 else x)


def test_truth_of_numbers_and_small_arrays():
    f = sciad.jit(lambda x: x * 2 if x else x + 1, strict=True)
    assert f(0.0) == 1.0 and f(3.0) == 6.0 and np.isnan(f(np.nan))
    g = sciad.jit(lambda x: x if x[:1] > 0 else -x, strict=True)
    assert (g(np.array([1.0, -1.0])) == [1, -1]).all()
    with pytest.raises(ValueError, match="ambiguous"):
        sciad.jit(lambda x: x if x > 0 else -x)(np.ones(2))
