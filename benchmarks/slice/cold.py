"""First calls in fresh processes: a solve's gradient, and a function of 1,000 operations."""

import random

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.case import Case, Claim
from benchmarks.fresh import Start, cold_contest
from benchmarks.slice.lotka_volterra import RATES, SPAN, START, TIMES, diffrax_loss, sciad_loss

HERE = "benchmarks.slice.cold"
OPERATIONS = 1000


def limited_growth(t, y, p):
    """Another model of two species: hares limited by their own number, lynx that saturate."""
    alpha, beta, gamma, delta = p
    hare, lynx = y
    eaten = beta * hare * lynx / (1.0 + 0.05 * hare)
    return np.array([alpha * hare * (1.0 - 0.01 * hare) - eaten, delta * eaten - gamma * lynx])


def sciad_lotka():
    import sciad

    loss = sciad_loss()
    return lambda: sciad.value_and_grad(loss)(RATES)


def sciad_lotka_jit():
    import sciad

    loss = sciad_loss()
    return lambda: sciad.jit(sciad.value_and_grad(loss))(RATES)


def sciad_other_model():
    import sciad

    loss = sciad_loss(limited_growth)
    return lambda: sciad.value_and_grad(loss)(RATES)


def differences_other_model():
    """The numbers that `sciad_other_model` has to reach: SciPy, tight, central differences."""

    def loss(p):
        options = {"method": "DOP853", "t_eval": TIMES, "rtol": 1e-12, "atol": 1e-12}
        return np.sum(solve_ivp(limited_growth, SPAN, START, args=(p,), **options).y ** 2)

    shifts = np.diag(1e-4 * RATES)
    return lambda: (
        loss(RATES),
        [(loss(RATES + shift) - loss(RATES - shift)) / (2 * shift.sum()) for shift in shifts],
    )


def diffrax_lotka():
    import jax

    loss, p = diffrax_loss()
    return lambda: jax.jit(jax.value_and_grad(loss))(p)


def measure_gradient():
    """One cache folder for sciad's processes: empty, then holding march, then all."""
    starts = {
        "diffrax": Start("diffrax", f"{HERE}:diffrax_lotka"),
        "sciad, empty cache": Start("sciad.ode", f"{HERE}:sciad_lotka", "shared"),
        "sciad, march cached": Start("sciad.ode", f"{HERE}:sciad_other_model", "shared"),
        "sciad, all cached": Start("sciad.ode", f"{HERE}:sciad_lotka", "shared"),
        "differences": Start("scipy", f"{HERE}:differences_other_model"),
        "sciad jit, empty cache": Start("sciad.ode", f"{HERE}:sciad_lotka_jit", "alone"),
    }
    other = ("differences", "sciad, march cached")
    same = tuple(name for name in starts if name not in other)
    return cold_contest(starts, rounds=3, agree=(same, other), rtol=1e-4)


def straight_line(namespace, seed, operations=OPERATIONS):
    """A scalar function of so many operations in a row, drawn at random; every fourth bounds."""
    bounding = [lambda x, y, c: namespace.sin(y), lambda x, y, c: namespace.cos(y)]
    free = [
        lambda x, y, c: y + x,
        lambda x, y, c: y * x,
        lambda x, y, c: c * y,
        lambda x, y, c: y - c,
        lambda x, y, c: namespace.exp(y),
        lambda x, y, c: namespace.tanh(y),
    ]
    generator = random.Random(seed)
    steps = [
        (generator.choice(free if i % 4 else bounding), generator.uniform(0.2, 0.9))
        for i in range(operations)
    ]

    def function(x):
        y = x
        for operation, c in steps:
            y = operation(x, y, c)
        return y

    return function


def jax_straight_line():
    import jax
    import jax.numpy as jnp

    function = straight_line(jnp, seed=1)
    return lambda: jax.block_until_ready(jax.jit(function)(0.5))


def sciad_straight_line():
    import sciad

    function = straight_line(np, seed=1)
    return lambda: sciad.jit(function)(0.5)


def sciad_second_function():
    """The first call of a further function, once the compiler has been used."""
    import sciad

    sciad.jit(straight_line(np, seed=2))(0.5)
    function = straight_line(np, seed=1)
    return lambda: sciad.jit(function)(0.5)


COMPILER = "sciad,sciad.compiler.jit"
"""What a compiled function needs, imported before the timing, as JAX is."""


def measure_straight_line():
    starts = {
        "jax": Start("jax", f"{HERE}:jax_straight_line"),
        "sciad": Start(COMPILER, f"{HERE}:sciad_straight_line", "alone"),
        "sciad, second function": Start(COMPILER, f"{HERE}:sciad_second_function", "warm"),
    }
    return cold_contest(starts, rounds=2, agree=(tuple(starts),), rtol=1e-6)


CASES = {
    "first_gradient": Case(
        measure_gradient,
        (
            Claim("first gradient, empty cache", "sciad, empty cache", "diffrax", seconds=0.3),
            Claim("the same with outer `jit`", "sciad jit, empty cache", "diffrax"),
            Claim("new model, march cached", "sciad, march cached", "diffrax", seconds=0.08),
            Claim("same model, all cached", "sciad, all cached", "diffrax"),
        ),
    ),
    "straight_line": Case(
        measure_straight_line,
        (
            Claim("first call, 1,000 operations, empty cache", "sciad", "jax", seconds=0.1),
            Claim("the same, compiler used before", "sciad, second function", "jax"),
        ),
    ),
}
