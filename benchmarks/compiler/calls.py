"""What one call of a jitted function costs: a scalar, and a gradient of a small vector."""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.slice.calls import jax_run, sciad_run
from benchmarks.timing import repeated


def measure_scalar():
    return contest({"jax": jax_run, "sciad": sciad_run}, rtol=1e-12, budget=4.0)


def cubes(x):
    return (x * x * x).sum()


def jax_gradient_run():
    import jax

    jax.config.update("jax_enable_x64", True)
    gradient, x = jax.jit(jax.grad(cubes)), jax.numpy.arange(3.0)
    return repeated(lambda: jax.block_until_ready(gradient(x)))


def sciad_gradient_run():
    import sciad

    gradient, x = sciad.jit(sciad.grad(cubes)), np.arange(3.0)
    return repeated(lambda: gradient(x))


def measure_gradient():
    builders = {"jax": jax_gradient_run, "sciad": sciad_gradient_run}
    return contest(builders, rtol=1e-12, budget=4.0)


CASES = {
    "call_scalar": Case(
        measure_scalar, (Claim("call of a jitted `x*x + 1`", peer="jax", ratio=0.5),)
    ),
    "call_gradient": Case(
        measure_gradient, (Claim("call of a jitted gradient of a 3-vector", peer="jax"),)
    ),
}
