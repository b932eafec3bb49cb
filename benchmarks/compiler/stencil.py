"""A heat equation on 512 x 512 points, 100 steps in a loop: value and gradient."""

import ctypes

import numpy as np

from benchmarks.baselines import load, torch_eager
from benchmarks.baselines.lotka_volterra import pointer
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


def torch_run():
    def loss(namespace, u, k, target):
        for _ in range(STEPS):
            stepped = u.clone()
            stepped[1:-1, 1:-1] += k * flow(u)
            u = stepped
        return ((u - target) ** 2).sum()

    return torch_eager.gradient_run(loss, start(), (0, 1), value=True)


def c_run():
    """Forward with every state kept, and the adjoint back, by hand."""
    first, k, target = start()
    states, pair = np.zeros((STEPS + 1, SIZE, SIZE)), np.zeros((2, SIZE, SIZE))
    loss, u_bar, k_bar, sums = np.zeros(1), np.zeros((SIZE, SIZE)), np.zeros(1), np.zeros(SIZE)
    library = load("heat")

    def run(n):
        library.value_and_grad(
            *map(ctypes.c_long, (n, SIZE, STEPS)), pointer(first), ctypes.c_double(k),
            *map(pointer, (target, states, pair, sums, loss, u_bar, k_bar)))
        return loss, u_bar, k_bar

    return run


def measure():
    builders = {"jax": jax_run, "sciad": sciad_run, "C": c_run, "torch": torch_run}
    return contest(builders, rtol=1e-9, budget=12.0)


def measure_shared():
    return contest({"jax": jax_run, "sciad": sciad_run}, rtol=1e-9, budget=6.0)


LABEL = "heat on 512 x 512, 100 steps: value and gradient"
CASES = {
    "stencil": Case(
        measure,
        (Claim(LABEL, peer="jax", ratio=0.7), Claim(LABEL, peer="C"), Claim(LABEL, peer="torch")),
    ),
    "stencil_shared": Case(
        measure_shared, (Claim(f"{LABEL}, two threads", peer="jax", ratio=0.7),), threads=2
    ),
}
