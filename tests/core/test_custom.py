"""custom_rule: either rule serves both modes; gradient_hook: a look at the cotangent."""

from dataclasses import dataclass

import numpy as np
import pytest

import sciad
from sciad.core.errors import (
    ArgumentError,
    DerivativeError,
    LostGradientError,
    NoRuleError,
    SciadError,
)

X = np.array([0.3, -0.7, 1.1])


def hypotenuse(x, y):
    return np.sqrt(x * x + y * y)


def by_jvp(f):
    rule = sciad.custom_rule(f)

    @rule.jvp
    def tangent(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        r = rule(x, y)
        return r, (x * dx + y * dy) / r

    return rule


def by_vjp(f):
    rule = sciad.custom_rule(f)

    @rule.vjp
    def pulled(x, y):
        r = rule(x, y)
        return r, lambda g: (g * x / r, g * y / r)

    return rule


def by_both(f):
    rule = by_vjp(f)
    rule.jvp(by_jvp(f).jvp_rule)
    return rule


@pytest.mark.parametrize("make", [by_jvp, by_vjp, by_both])
class TestOneRuleServesBothModes:
    def test_differences(self, make):
        rule = make(hypotenuse)
        rule.check(X, X + 2.0)
        sciad.check_grads(lambda x, y: np.sum(rule(x, y) ** 3), (X, X + 2.0), order=2)

    def test_compiled(self, make):
        rule = make(hypotenuse)

        def loss(x, y):
            return np.sum(rule(np.sin(x), y) ** 2 * rule(x, y))

        def plain(x, y):
            return np.sum(hypotenuse(np.sin(x), y) ** 2 * hypotenuse(x, y))

        for transform in (sciad.grad, sciad.hessian):
            expected = transform(plain)(X, X + 2.0)
            np.testing.assert_allclose(transform(loss)(X, X + 2.0), expected, rtol=1e-12)
            got = sciad.jit(transform(loss), strict=True)(X, X + 2.0)
            np.testing.assert_allclose(got, expected, rtol=1e-12)
            got = transform(sciad.jit(loss, strict=True))(X, X + 2.0)
            np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_rule_is_used_not_the_function():
    @sciad.custom_rule
    def rule(x):
        return x * 3

    rule.vjp(lambda x: (x * 3, lambda g: g * 100))
    assert sciad.grad(rule)(1.0) == 100
    assert sciad.jvp(rule, (1.0,), (2.0,))[1] == 200
    assert sciad.jit(sciad.grad(rule), strict=True)(1.0) == 100
    assert sciad.grad(sciad.jit(rule, strict=True))(1.0) == 100
    assert sciad.jit(lambda x: sciad.jvp(rule, (x,), (2.0,))[1], strict=True)(1.0) == 200


def test_a_library_inside():
    from scipy.optimize import brentq

    @sciad.custom_rule
    def root(a):
        return brentq(lambda y: y**3 + y - a, -10, 10, xtol=1e-14)

    @root.jvp
    def tangent(primals, tangents):
        (a,), (da,) = primals, tangents
        y = root(a)
        return y, da / (3 * y**2 + 1)

    sciad.check_grads(lambda a: np.sin(root(a * a)), (1.3,), order=2, rtol=1e-5)


def test_the_forward_run_is_not_repeated():
    runs = []

    @sciad.custom_rule
    def rule(x):
        raise AssertionError("the vjp rule gives the value too")

    @rule.vjp
    def pulled(x):
        runs.append("run")
        return np.sin(x), lambda g: g * np.cos(x)

    assert sciad.grad(rule)(0.5) == np.cos(0.5)
    assert runs == ["run"]


@dataclass
class Lens:
    focus: float
    name: str

    @sciad.custom_rule
    def image(self, x):
        return 1 / (1 / self.focus - 1 / x)


@Lens.image.vjp
def _image(lens, x):
    b = 1 / (1 / lens.focus - 1 / x)
    return b, lambda g: (Lens(g * b**2 / lens.focus**2, None), -g * b**2 / x**2)


def test_methods_and_containers():
    lens = Lens(0.2, "plano")
    slope = sciad.grad(lambda lens: lens.image(0.5))(Lens(0.2, 1.0)).focus
    expected = sciad.grad(lambda f: 1 / (1 / f - 1 / 0.5))(0.2)
    np.testing.assert_allclose(slope, expected)
    sciad.check_grads(lambda f, x: Lens(f, lens.name).image(x), (0.2, 0.5), order=1)


def test_complex():
    @sciad.custom_rule
    def square(z):
        return z * z

    square.vjp(lambda z: (z * z, lambda g: g * np.conj(2 * z)))
    z = np.array([1 + 2j, -0.5j])
    square.check(z)
    sciad.check_grads(lambda z: np.sum(np.abs(square(z))), (z,), order=2)


def test_wrong_rules_are_found():
    rule = sciad.custom_rule(np.sin, vjp=lambda x: (np.sin(x), lambda g: g * np.sin(x)))
    with pytest.raises(DerivativeError):
        rule.check(0.3)


class TestErrors:
    def test_no_rule(self):
        with pytest.raises(NoRuleError, match="neither"):
            sciad.grad(sciad.custom_rule(lambda x: x))(1.0)

    def test_closing_over_a_differentiated_value(self):
        def f(x):
            rule = sciad.custom_rule(lambda y: x * y, jvp=lambda p, t: (p[0], t[0]))
            return rule(2.0)

        with pytest.raises(LostGradientError, match="not among its arguments"):
            sciad.grad(f)(1.0)
        with pytest.raises(LostGradientError, match="not among its arguments"):
            sciad.jit(sciad.grad(f), strict=True)(1.0)

    def test_wrong_number_of_cotangents(self):
        rule = sciad.custom_rule(lambda x, y: x * y, vjp=lambda x, y: (x * y, lambda g: (g,)))
        with pytest.raises(ArgumentError, match="2 cotangents"):
            sciad.grad(rule)(1.0, 2.0)

    def test_wrong_shape(self):
        rule = sciad.custom_rule(np.sum, vjp=lambda x: (np.sum(x), lambda g: g))
        with pytest.raises(ArgumentError, match="shape"):
            sciad.grad(rule)(X)

    def test_no_pair(self):
        rule = sciad.custom_rule(lambda x: x, vjp=lambda x: x)
        with pytest.raises(ArgumentError, match="pullback"):
            sciad.grad(rule)(1.0)

    def test_writing_into_an_argument(self):
        def f(x):
            x[0] = 0.0
            return np.sum(x)

        rule = sciad.custom_rule(f, jvp=lambda p, t: (np.sum(p[0]), np.sum(t[0])))
        with pytest.raises(SciadError, match="writes into its argument"):
            sciad.grad(rule)(X)
        with pytest.raises(SciadError, match="writes into its argument"):
            sciad.jit(sciad.grad(rule), strict=True)(X)

    def test_keyword_only(self):
        def f(x, *, power=2):
            return x**power

        with pytest.raises(ArgumentError, match="keyword-only"):
            sciad.grad(lambda x: sciad.custom_rule(f)(x, power=3))(1.0)


class TestGradientHook:
    def test_it_changes_the_cotangent(self):
        f = lambda x: np.sum(sciad.gradient_hook(x, lambda g: -g) ** 2)  # noqa: E731
        np.testing.assert_array_equal(sciad.grad(f)(X), -2 * X)
        np.testing.assert_array_equal(sciad.jit(sciad.grad(f), strict=True)(X), -2 * X)
        np.testing.assert_array_equal(sciad.grad(sciad.jit(f, strict=True))(X), -2 * X)

    def test_it_sees_the_cotangent(self):
        seen = []
        f = lambda x: np.sum(sciad.gradient_hook(x, seen.append) ** 2)  # noqa: E731
        np.testing.assert_array_equal(sciad.grad(f)(X), 2 * X)
        np.testing.assert_array_equal(seen[0], 2 * X)

    def test_containers(self):
        def f(p):
            p = sciad.gradient_hook(p, lambda g: {"a": g["b"], "b": g["a"] * 10})
            return p["a"] * 2 + p["b"] * 3

        slope = sciad.grad(f)({"a": 1.0, "b": 1.0})
        assert slope == {"a": 3.0, "b": 20.0}

    def test_forward_mode_is_unchanged(self):
        f = lambda x: sciad.gradient_hook(x, lambda g: g * 0) ** 2  # noqa: E731
        assert sciad.jvp(f, (3.0,), (1.0,))[1] == 6.0

    def test_wrong_shape(self):
        f = lambda x: np.sum(sciad.gradient_hook(x, np.sum))  # noqa: E731
        with pytest.raises(ArgumentError, match="shape"):
            sciad.grad(f)(X)

    def test_without_a_transform(self):
        assert sciad.gradient_hook(2.0, print) == 2.0


FACTOR = 3.0


@sciad.custom_rule
def scaled(x):
    return x * FACTOR


scaled.vjp(lambda x: (x * FACTOR, lambda g: g * FACTOR))


class TestWhatItReaches:
    """Compiled functions follow what a rule closes over."""

    def test_a_global(self, monkeypatch):
        value = sciad.jit(lambda x: scaled(x), strict=True)
        slope = sciad.jit(sciad.grad(lambda x: scaled(x)), strict=True)
        both = sciad.grad(value)
        assert (value(1.0), slope(1.0), both(1.0)) == (3.0, 3.0, 3.0)
        monkeypatch.setitem(globals(), "FACTOR", 10.0)
        assert (value(1.0), slope(1.0), both(1.0)) == (10.0, 10.0, 10.0)

    @pytest.mark.parametrize("held", [[2.0], np.array([2.0])], ids=["list", "array"])
    def test_a_container(self, held):
        rule = sciad.custom_rule(lambda x: x * held[0], jvp=lambda p, t: (None, t[0] * held[0]))
        rule.jvp(lambda p, t: (p[0] * held[0], t[0] * held[0]))
        slope = sciad.jit(sciad.grad(lambda x: rule(x) ** 2), strict=True)
        assert slope(1.0) == 8.0
        held[0] = 9.0
        assert slope(1.0) == 162.0

    def test_another_rule(self):
        rule = sciad.custom_rule(lambda x: x * 2, vjp=lambda x: (x * 2, lambda g: g * 2))
        slope = sciad.jit(sciad.grad(lambda x: rule(x)), strict=True)
        assert slope(1.0) == 2.0
        rule.vjp(lambda x: (x * 2, lambda g: g * 50))
        assert slope(1.0) == 50.0

    def test_the_object_of_a_method(self):
        class Spring:
            def __init__(self, k):
                self.k = k

            @sciad.custom_rule
            def force(self, x):
                return self.k * x

            @force.vjp
            def _(self, x):
                return self.k * x, lambda g: (None, g * self.k)

        spring = Spring(2.0)
        value = sciad.jit(lambda x: spring.force(x), strict=True)
        slope = sciad.jit(sciad.grad(lambda x: spring.force(x)), strict=True)
        assert (value(1.0), slope(1.0), sciad.grad(value)(1.0)) == (2.0, 2.0, 2.0)
        spring.k = 5.0
        assert (value(1.0), slope(1.0), sciad.grad(value)(1.0)) == (5.0, 5.0, 5.0)


class TestTransposes:
    def test_a_tangent_by_the_function_itself(self):
        rule = sciad.custom_rule(lambda y: np.cumsum(y))
        rule.jvp(lambda p, t: (rule(p[0]), rule(t[0])))
        np.testing.assert_array_equal(sciad.jvp(rule, (X,), (X,))[1], np.cumsum(X))
        with pytest.raises(NoRuleError, match="give .* a vjp rule as well"):
            sciad.grad(lambda y: np.sum(rule(y)))(X)

    def test_a_tangent_by_a_library(self):
        from scipy.interpolate import CubicSpline

        def spline(y):
            return CubicSpline(np.arange(3.0), y)(1.3)

        rule = sciad.custom_rule(spline, jvp=lambda p, t: (spline(p[0]), spline(t[0])))
        with pytest.raises(NoRuleError, match="cannot be transposed.*give spline a vjp rule"):
            sciad.grad(rule)(X)

    def test_not_linear(self):
        rule = sciad.custom_rule(np.sin, jvp=lambda p, t: (np.sin(p[0]), t[0] + 1))
        with pytest.raises(ArgumentError, match="not linear"):
            sciad.grad(lambda x: np.sum(rule(x)))(X)


def test_defaults_are_parameters_of_the_rules():
    @sciad.custom_rule
    def power(x, n=2):
        return x**n

    power.vjp(lambda x, n: (x**n, lambda g: (g * n * x ** (n - 1), None)))
    assert sciad.grad(power)(3.0) == 6.0
    assert sciad.grad(power)(3.0, 3) == 27.0
    assert sciad.grad(power)(3.0, n=3) == 27.0


def test_the_value_of_a_rule_is_checked():
    rule = sciad.custom_rule(np.sin, vjp=lambda x: (np.array([1.0, 2.0, 3.0]), lambda g: g))
    with pytest.raises(DerivativeError, match="says that the value is"):
        rule.check(X)
    rule = sciad.custom_rule(np.sin, jvp=lambda p, t: (np.sum(p[0]), t[0]))
    with pytest.raises(ArgumentError, match="has shape"):
        sciad.jvp(rule, (X,), (X,))


def test_nans_of_a_rule_are_found():
    rule = sciad.custom_rule(np.sin, vjp=lambda x: (np.sin(x), lambda g: g * np.nan))
    with pytest.raises(FloatingPointError, match="custom_rule"), sciad.debug_nans():
        sciad.grad(lambda x: np.sum(rule(x)))(X)
