"""A heat equation on 512 x 512 points, 100 steps in a loop: value and gradient."""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

SIZE, STEPS = 512, 100


def start():
    """The first temperature, the diffusivity and the temperature that was measured."""
    generator = np.random.default_rng(3)
    return generator.normal(size=(SIZE, SIZE)), np.float64(0.2), np.zeros((SIZE, SIZE))


def flow(u):
    """What diffuses into each inner point."""
    return u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]


def sciad_loss(u, k, target):
    import sciad

    def step(_, u):
        u[1:-1, 1:-1] += k * flow(u)
        return u

    return np.sum((sciad.fori_loop(0, STEPS, step, u) - target) ** 2)


def sciad_run():
    import sciad

    gradient = sciad.jit(sciad.value_and_grad(sciad_loss, (0, 1)))
    args = start()
    return repeated(lambda: gradient(*args))


def jax_run():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def loss(u, k, target):
        def step(_, u):
            return u.at[1:-1, 1:-1].add(k * flow(u))

        return jnp.sum((jax.lax.fori_loop(0, STEPS, step, u) - target) ** 2)

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))
    args = [jnp.asarray(x) for x in start()]
    return repeated(lambda: jax.block_until_ready(gradient(*args)))


def measure():
    return contest({"jax": jax_run, "sciad": sciad_run}, rtol=1e-9, budget=20.0)


CASES = {
    "stencil": Case(
        measure,
        (Claim("heat on 512 x 512, 100 steps: value and gradient", peer="jax", ratio=0.7),),
    )
}
