"""Custom rules whose code cannot be recorded: compiled programs call them."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.core.errors import LostGradientError, SciadError

needs_llvm = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.array([0.3, 1.3, 2.3])


@sciad.custom_rule
def waves(x, power):
    """By a library that wants plain numbers."""
    total = float(np.sum(x)) ** float(power)
    return {"sin": np.array([math.sin(total)]), "cos": math.cos(total)}


@waves.vjp
def pulled(x, power):
    out = waves(x, power)
    total = np.sum(x)
    inner = power * total ** (power - 1.0)

    def pull(g):
        slope = g["sin"][0] * out["cos"] - g["cos"] * out["sin"][0]
        return slope * inner * np.ones(3), slope * total**power * np.log(total)

    return out, pull


def program(x, power):
    out = waves(x * 2.0, power)
    return np.sum(out["sin"]) * x[0] + out["cos"]


@needs_llvm
@pytest.mark.parametrize("transform", ["value", "grad", "jvp", "hessian", "vmap"])
def test_it_is_called_from_compiled_code(transform):
    f = {
        "value": program,
        "grad": sciad.grad(program, (0, 1)),
        "jvp": lambda x, power: sciad.jvp(program, (x, power), (np.cos(x), 1.0)),
        "hessian": sciad.hessian(program),
        "vmap": lambda x, power: sciad.vmap(lambda t: program(t, power))(np.stack([x, x + 1.0])),
    }[transform]
    jitted = sciad.jit(f, strict=True)
    for power in (1.0, 2.0):
        got, want = sciad.core.tree.flatten(jitted(X, power))[0], f(X, power)
        for a, b in zip(got, sciad.core.tree.flatten(want)[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert "custom_rule_call" in str(jitted.report())


@needs_llvm
def test_types_that_depend_on_values_are_repeated_eagerly():
    @sciad.custom_rule
    def counted(x):
        return np.ones(int(float(np.sum(x))))

    jitted = sciad.jit(lambda x: np.sum(counted(x)))
    assert jitted(np.ones(3)) == 3.0
    assert jitted(np.full(3, 2.0)) == 6.0
    assert "depend on the values" in str(jitted.report())


def test_one_that_refuses_ones_runs_eagerly():
    @sciad.custom_rule
    def picky(x):
        if float(x) < 1.5:
            raise ValueError("too small")
        return float(x) * 2.0

    jitted = sciad.jit(lambda x: picky(x) + 1.0)
    with pytest.warns(FallbackWarning, match="called with ones it raised"):
        assert jitted(3.0) == 7.0


def square(a):
    return a * a


def cofactor(a):
    return np.sum(a * a)


FOREIGN = {
    "float in a pullback": (square, "vjp", lambda a: (a * a, lambda g: g * 2 * float(a))),
    "float in a vjp rule": (square, "vjp", lambda a: (a * a, lambda g, b=float(a): g * 2 * b)),
    "quad in a jvp rule": (square, "jvp", lambda p, t: (p[0]**2, t[0] * scipy.integrate.quad(
        lambda s: 2 * p[0], 0, 1)[0])),
    "expm in a vjp rule": (cofactor, "vjp", lambda a: (np.sum(a * a), lambda g: (
        g * 2 * a + 0 * scipy.linalg.expm(a)))),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_rule_that_calls_other_code_is_named_when_it_is_compiled(name):
    f, kind, stated = FOREIGN[name]
    rule = sciad.custom_rule(f, **{kind: stated})
    x = np.eye(2) if f is cofactor else 2.0
    message = (rf"test_custom_called_back.py:\d+\).*; custom_rule: the {kind} rule of {f.__name__} "
               "must be written in NumPy and sciad operations to be compiled")
    with pytest.raises(SciadError, match=message):
        sciad.jit(sciad.grad(rule), strict=True)(x)
    np.testing.assert_allclose(sciad.grad(rule)(x), 2 * x)
    with pytest.warns(FallbackWarning, match=message):
        np.testing.assert_allclose(sciad.jit(sciad.grad(rule))(x), 2 * x)


def test_a_rule_that_calls_other_code_is_named_when_it_is_differentiated_again():
    _, kind, stated = FOREIGN["float in a pullback"]
    rule = sciad.custom_rule(square, **{kind: stated})
    with pytest.raises(LostGradientError, match="the vjp rule of square .*differentiated again"):
        sciad.hessian(rule)(2.0)
