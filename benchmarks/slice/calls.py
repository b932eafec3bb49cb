"""What one call of a jitted scalar function costs."""

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated


def parabola(x):
    return x * x + 1


def jax_run():
    """No waiting inside the loop: JAX's fastest way to be called."""
    import jax

    jax.config.update("jax_enable_x64", True)
    call = jax.jit(parabola)
    return repeated(lambda: call(3.0))


def sciad_run():
    import sciad

    call = sciad.jit(parabola)
    return repeated(lambda: call(3.0))


def measure():
    builders = {"plain Python": lambda: repeated(lambda: parabola(3.0))}
    return contest({**builders, "jax": jax_run, "sciad": sciad_run}, rtol=1e-12, budget=4.0)


CASES = {
    "scalar_call": Case(measure, (Claim("call of a jitted `x*x + 1`", peer="jax", ratio=0.6),)),
}
