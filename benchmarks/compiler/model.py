"""A right-hand side with its vjp in a native loop: Euler steps of Lotka-Volterra, with adjoint."""

import ctypes

import numpy as np

from benchmarks.baselines import load
from benchmarks.baselines.lotka_volterra import pointer
from benchmarks.case import Case, Claim, contest
from benchmarks.slice.lotka_volterra import RATES, START, model
from benchmarks.timing import repeated

STEPS, STEP = 20_000, 1e-3


def march(sciad, p, y, y_bar):
    """The state forward, its cotangent along with it, and what the rates collect."""

    def step(k, state):
        y, y_bar, p_bar = state
        slope, pull = sciad.vjp(lambda y, p: model(0.0, y, p), y, p)
        of_y, of_p = pull(y_bar)
        return y + STEP * slope, y_bar - STEP * of_y, p_bar + STEP * of_p

    return sciad.fori_loop(0, STEPS, step, (y, y_bar, np.zeros(4)))


def sciad_run():
    import sciad

    call, y_bar = sciad.jit(lambda p, y, y_bar: march(sciad, p, y, y_bar)), np.ones(2)
    return repeated(lambda: call(RATES, START, y_bar))


def jax_run():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def field(y, p):
        eaten = y[0] * y[1]
        return jnp.stack([p[0] * y[0] - p[1] * eaten, p[3] * eaten - p[2] * y[1]])

    def step(k, state):
        y, y_bar, p_bar = state
        slope, pull = jax.vjp(field, y, state_p)
        of_y, of_p = pull(y_bar)
        return y + STEP * slope, y_bar - STEP * of_y, p_bar + STEP * of_p

    state_p = jnp.asarray(RATES)
    first = (jnp.asarray(START), jnp.ones(2), jnp.zeros(4))
    call = jax.jit(lambda state: jax.lax.fori_loop(0, STEPS, step, state))
    return repeated(lambda: jax.block_until_ready(call(first)))


def c_run():
    library = load("euler_adjoint")
    y, y_bar, p_bar = np.zeros(2), np.zeros(2), np.zeros(4)

    def run(n):
        library.march(ctypes.c_long(n), ctypes.c_long(STEPS), ctypes.c_double(STEP),
                      pointer(RATES), pointer(START), *map(pointer, (y, y_bar, p_bar)))
        return y, y_bar, p_bar

    return run


def measure():
    builders = {"C": c_run, "sciad": sciad_run, "jax": jax_run}
    return contest(builders, rtol=1e-9, operations=STEPS, budget=8.0)


LABEL = "Lotka-Volterra right-hand side + vjp, in a native loop"
CASES = {
    "model_loop": Case(
        measure, (Claim(LABEL, peer="C", ratio=1.2), Claim(LABEL, peer="jax"))
    ),
}
