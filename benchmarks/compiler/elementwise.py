"""Long arrays: a chain in one pass, and the functions of the library of mathematics."""

import ctypes

import numpy as np

from benchmarks.baselines import load
from benchmarks.baselines.lotka_volterra import pointer
from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

LONG, FUNCTION_SIZE = 10**7, 10**6


def chain(x, maximum):
    """Ten operations that cost less than the memory they pass over."""
    y = x * 0.5 + 1.0
    y = maximum(y * x - 0.25, x)
    y = (y + 3.0) * y
    return abs(y - x) * 2.0


def long_array():
    return np.random.default_rng(3).normal(size=LONG)


def copy_run():
    """The same traffic, and nothing calculated: a new array filled from another one by C."""
    library, x = load("copy"), long_array()

    def run(n):
        library.copied(ctypes.c_long(n), pointer(x), ctypes.c_long(LONG))
        return chain(x[:8], np.maximum)

    return run


def copy_again_run():
    """The same into the same memory at each call: what the bandwidth alone would allow."""
    library, x, out = load("copy"), long_array(), np.zeros(LONG)

    def run(n):
        library.copied_again(ctypes.c_long(n), pointer(x), pointer(out), ctypes.c_long(LONG))
        return chain(x[:8], np.maximum)

    return run


def c_chain_run():
    """The chain in C, into new memory at each call."""
    library, x, head = load("copy"), long_array(), np.zeros(8)

    def run(n):
        library.chained(ctypes.c_long(n), pointer(x), ctypes.c_long(LONG), pointer(head))
        return head

    return run


def sciad_chain_run():
    import sciad

    call, x = sciad.jit(lambda x: chain(x, np.maximum)), long_array()

    def run(n):
        for _ in range(n):
            y = call(x)
        return y[:8]

    return run


def jax_chain_run():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    call, x = jax.jit(lambda x: chain(x, jnp.maximum)), jnp.asarray(long_array())

    def run(n):
        for _ in range(n):
            y = jax.block_until_ready(call(x))
        return np.asarray(y[:8])

    return run


def numpy_chain_run():
    x = long_array()
    return repeated(lambda: chain(x, np.maximum)[:8])


def measure_chain():
    builders = {"copy in C": copy_run, "copy in C into the same memory": copy_again_run,
                "C": c_chain_run, "sciad": sciad_chain_run, "jax": jax_chain_run,
                "numpy": numpy_chain_run}
    return contest(builders, rtol=1e-12, budget=10.0)


def measure_chain_shared():
    builders = {"jax": jax_chain_run, "sciad": sciad_chain_run}
    return contest(builders, rtol=1e-12, budget=5.0)


FUNCTIONS = {
    "exp": lambda namespace, x: namespace.exp(x),
    "log": lambda namespace, x: namespace.log(x),
    "tanh": lambda namespace, x: namespace.tanh(x),
    "sin": lambda namespace, x: namespace.sin(x),
    "pow": lambda namespace, x: namespace.power(x, 1.7),
}


def function_runs(name):
    """The same function of 1e6 positive numbers by the three."""
    apply, x = FUNCTIONS[name], np.random.default_rng(4).uniform(0.1, 5.0, FUNCTION_SIZE)

    def sciad_run():
        import sciad

        call = sciad.jit(lambda x: apply(np, x))
        return repeated(lambda: call(x))

    def jax_run():
        import jax

        jax.config.update("jax_enable_x64", True)
        call, at = jax.jit(lambda x: apply(jax.numpy, x)), jax.numpy.asarray(x)
        return repeated(lambda: jax.block_until_ready(call(at)))

    return {"numpy": lambda: repeated(lambda: apply(np, x)), "sciad": sciad_run, "jax": jax_run}


def function_case(name):
    label = f"`{name}` of 1e6 numbers"
    return Case(
        lambda: contest(function_runs(name), rtol=1e-13, budget=4.0),
        (Claim(label, peer="numpy", ratio=1.0), Claim(label, peer="jax", ratio=1.0)),
    )


def shared_function_case(name):
    """The same on two threads, for those who can use them."""
    runs = {who: run for who, run in function_runs(name).items() if who != "numpy"}
    return Case(
        lambda: contest(runs, rtol=1e-13, budget=3.0),
        (Claim(f"`{name}` of 1e6 numbers, two threads", peer="jax", ratio=1.0),),
        threads=2,
    )


CHAIN = "chain of 10 operations on 1e7 numbers"
CASES = {
    "chain_1e7": Case(
        measure_chain,
        (
            Claim(CHAIN, peer="copy in C", ratio=1.25),
            Claim(CHAIN, peer="copy in C into the same memory"),
            Claim(CHAIN, peer="C"),
            Claim(CHAIN, peer="jax", ratio=0.35),
            Claim(CHAIN, peer="numpy"),
        ),
    ),
    "chain_1e7_shared": Case(
        measure_chain_shared,
        (Claim(f"{CHAIN}, two threads", peer="jax", ratio=0.35),),
        threads=2,
    ),
    **{f"{name}_1e6": function_case(name) for name in FUNCTIONS},
    **{f"{name}_1e6_shared": shared_function_case(name) for name in FUNCTIONS},
}
