"""The five programs of the Zygote paper: their gradients, and gradient over function.

"A Differentiable Programming System to Bridge Machine Learning and Scientific Computing" (Innes et
al., 2019), table 1: a scalar expression, a power by a loop, log-sum-exp, logistic regression, a
perceptron with two layers. The table there gives the time of the gradient over that of the
function; here both are native times, with the cost of a call subtracted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

POWER = 10


@dataclass(frozen=True)
class Program:
    """A loss of the namespace and its arguments, the arguments, and the paper's ratio."""

    loss: Callable
    args: Callable[[np.random.Generator], tuple]
    ratio: float


def sin_cos(np, x):
    return np.sin(np.cos(x))


def power(np, x):
    result = 1.0
    for _ in range(POWER):
        result = result * x
    return result


def log_sum_exp(np, x):
    return np.log(np.sum(np.exp(x)))


def logistic_regression(np, w, b, x, y):
    p = 1.0 / (1.0 + np.exp(-(x @ w + b)))
    return -np.sum(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)) / len(y)


def perceptron(np, w1, b1, w2, b2, x, y):
    logits = w2 @ np.maximum(w1 @ x + b1, 0.0) + b2
    logits = logits - np.max(logits)
    return -np.sum(y * (logits - np.log(np.sum(np.exp(logits)))))


def images(generator):
    """The weights of 784-32-10, one image, its class."""
    return (generator.normal(size=(32, 784)) / 28.0, np.zeros(32),
            generator.normal(size=(10, 32)) / 6.0, np.zeros(10),
            generator.random(784), np.eye(10)[3])


PROGRAMS = {
    "SinCos": Program(sin_cos, lambda draw: (np.float64(0.7),), 1.3),
    "Loop": Program(power, lambda draw: (np.float64(1.1),), 7.1),
    "LogSumExp": Program(log_sum_exp, lambda draw: (draw.normal(size=1000),), 1.3),
    "logistic regression": Program(
        logistic_regression,
        lambda draw: (draw.normal(size=10), np.float64(0.1), draw.normal(size=(100, 10)),
                      (draw.random(100) < 0.5) * 1.0), 3.8),
    "perceptron": Program(perceptron, images, 7.5),
}


def wanted(args) -> tuple[int, ...]:
    """The arguments that are differentiated: all but the data."""
    return tuple(range(max(1, len(args) - 2)))


def draw(program: Program) -> tuple:
    return program.args(np.random.default_rng(11))


def sciad_run(program):
    import sciad

    args = draw(program)
    gradient = sciad.jit(sciad.grad(partial(program.loss, np), wanted(args)))
    return repeated(lambda: gradient(*args))


def jax_run(program):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    args = draw(program)
    gradient = jax.jit(jax.grad(partial(program.loss, jnp), wanted(args)))
    args = [jnp.asarray(x) for x in args]
    return repeated(lambda: jax.block_until_ready(gradient(*args)))


def native(f, args) -> Callable[[int], float]:
    """Seconds of so many bare calls of the machine code of a function, results reused."""
    from sciad.compiler.native import kernel_of
    from sciad.core.record import record

    recorded = record(f, *args)
    kernel = kernel_of(recorded.graph)
    leaves = [*recorded.consts, *args]
    outs = [np.empty(shape, dtype) for shape, dtype in kernel.arrays]
    function, constants = kernel.function, kernel.lowered.constants
    flat = [*(np.asarray(x)[()] for x in leaves), *constants, *outs]

    def run(n):
        begin = time.perf_counter()
        for _ in range(n):
            function(*flat)
        return (time.perf_counter() - begin) / n

    return run


def native_ratio(program) -> str:
    """The time of gradient over that of function, without what a call costs: a call of a function
    that takes the same arguments and gives results of the same types, but calculates nothing."""
    import sciad

    args = draw(program)
    loss = partial(program.loss, np)

    def nothing(*xs):
        return xs[0] if np.ndim(xs[0]) < 1 else 0.0 * xs[0][0]

    runs = {"function": native(loss, args),
            "gradient": native(sciad.grad(loss, wanted(args)), args),
            "call": native(lambda *xs: xs[0] if np.ndim(xs[0]) < 1 else 0.0 * xs[0][0], args)}
    best = dict.fromkeys(runs, np.inf)
    for _ in range(30):
        for name, run in runs.items():
            best[name] = min(best[name], run(200))
    function = best["function"] - best["call"]
    gradient = best["gradient"] - best["call"]
    return (f"native gradient {gradient * 1e9:.0f} ns over function {function * 1e9:.0f} ns: "
            f"{gradient / function:.2f} (the paper's {program.ratio:g})")


def measure(program):
    builders = {"jax": partial(jax_run, program), "sciad": partial(sciad_run, program)}
    measured = contest(builders, rtol=1e-9, budget=4.0)
    measured.notes.append(native_ratio(program))
    return measured


CASES = {
    f"zygote_{program.loss.__name__}": Case(
        partial(measure, program),
        (Claim(f"{name} (Zygote's five): gradient", peer="jax", ratio=1.0),),
    )
    for name, program in PROGRAMS.items()
}
