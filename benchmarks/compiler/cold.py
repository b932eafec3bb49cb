"""First calls in fresh processes: scalar functions of 1,000 and 5,000 operations."""

import numpy as np

from benchmarks.case import Case, Claim
from benchmarks.fresh import Start, cold_contest
from benchmarks.slice.cold import COMPILER, straight_line

HERE = "benchmarks.compiler.cold"


def jax_call(operations):
    import jax
    import jax.numpy as jnp

    function = straight_line(jnp, 1, operations)
    return lambda: jax.block_until_ready(jax.jit(function)(0.5))


def sciad_call(operations):
    import sciad

    function = straight_line(np, 1, operations)
    return lambda: sciad.jit(function)(0.5)


def jax_1000():
    return jax_call(1000)


def jax_5000():
    return jax_call(5000)


def sciad_1000():
    return sciad_call(1000)


def sciad_5000():
    return sciad_call(5000)


def measure(operations, rounds):
    starts = {
        "jax": Start("jax", f"{HERE}:jax_{operations}"),
        "sciad": Start(COMPILER, f"{HERE}:sciad_{operations}", "alone"),
    }
    return cold_contest(starts, rounds=rounds, agree=(tuple(starts),), rtol=1e-6)


def case(operations, seconds, rounds):
    label = f"first call, {operations:,} operations, empty cache"
    return Case(
        lambda: measure(operations, rounds),
        (Claim(label, seconds=seconds), Claim(label, peer="jax", ratio=0.05)),
        timeout=600.0,
    )


CASES = {"first_1000": case(1000, 0.1, 5), "first_5000": case(5000, 0.5, 3)}
