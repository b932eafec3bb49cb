"""The right-hand side of a reaction-diffusion system on 1,000 points: compiling its gradient.

The Brusselator in one dimension (Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations
I", section I.16), by the method of lines. Loops over the points must stay loops.
"""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.fresh import Start, cold_contest
from benchmarks.timing import repeated

HERE = "benchmarks.compiler.brusselator"
POINTS = 1000


def rates(y, p, concatenate):
    """The rates of change of both concentrations, one after the other in `y`."""
    a, b, alpha = p[0], p[1], p[2]
    u, v = y[:POINTS], y[POINTS:]
    left_u, left_v = np.ones(1), np.full(1, 3.0)
    wide_u = concatenate([left_u, u, left_u])
    wide_v = concatenate([left_v, v, left_v])
    scale = alpha * (POINTS + 1) ** 2
    react = u * u * v
    du = a + react - (b + 1.0) * u + scale * (wide_u[:-2] - 2.0 * u + wide_u[2:])
    dv = b * u - react + scale * (wide_v[:-2] - 2.0 * v + wide_v[2:])
    return concatenate([du, dv])


def start():
    """Concentrations, parameters, and the weights of the rates in the sum."""
    x = np.linspace(0.0, 1.0, POINTS + 2)[1:-1]
    y = np.concatenate([1.0 + np.sin(2.0 * np.pi * x), np.full(POINTS, 3.0)])
    return y, np.array([1.0, 3.0, 0.02]), np.cos(np.arange(2.0 * POINTS))


def sciad_gradient():
    import sciad

    return sciad.jit(sciad.grad(
        lambda y, p, w: np.sum(w * rates(y, p, np.concatenate)), (0, 1)))


def jax_gradient():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    gradient = jax.jit(jax.grad(
        lambda y, p, w: jnp.sum(w * rates(y, p, jnp.concatenate)), (0, 1)))
    return lambda *args: jax.block_until_ready(gradient(*args))


def sciad_cold():
    import sciad.compiler.jit  # noqa: F401  the import is not what is measured

    call, args = sciad_gradient(), start()
    return lambda: call(*args)


def jax_cold():
    call, args = jax_gradient(), start()
    return lambda: call(*args)


def measure_first():
    """Fresh processes with empty caches: recording, passes and machine code of one gradient."""
    starts = {
        "jax": Start("jax", f"{HERE}:jax_cold"),
        "sciad": Start("sciad", f"{HERE}:sciad_cold"),
    }
    return cold_contest(starts, rounds=3, agree=(tuple(starts),), rtol=1e-9)


def measure():
    args = start()
    builders = {"jax": jax_gradient, "sciad": sciad_gradient}

    def build(make):
        call = make()
        return lambda: repeated(lambda: call(*args))

    return contest({name: build(make) for name, make in builders.items()}, rtol=1e-9)


CASES = {
    "brusselator": Case(
        measure,
        (Claim("gradient of the Brusselator's rates, 1,000 points", peer="jax"),),
    ),
    "brusselator_first": Case(
        measure_first,
        (
            Claim("its first call: record and compile", seconds=0.3),
            Claim("its first call: record and compile", peer="jax"),
        ),
    ),
}
