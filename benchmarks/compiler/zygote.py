"""The five programs of the Zygote paper: their gradients, and gradient over function.

"A Differentiable Programming System to Bridge Machine Learning and Scientific Computing" (Innes et
al., 2019), table 1: a scalar expression, a power by a loop, log-sum-exp, logistic regression, a
perceptron with two layers. The table there gives the time of the gradient over that of the
function; here both are native times, with the cost of a call subtracted: that of a function with
the same arguments and results, whose body is empty.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.baselines import torch_eager
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


def torch_run(program):
    args = draw(program)
    return torch_eager.gradient_run(program.loss, args, wanted(args))


def emptied(kernel):
    """The builtin of a kernel without its body: what a call costs."""
    from sciad.compiler import llvm, loops

    [main] = [f for f in kernel.lowered.module.functions if f.name == kernel.entry.function]
    body = [loops.Return(loops.Const(0, "i64"))]
    hollow = loops.Function("hollow", main.params, body)
    return llvm.entry(hollow, kernel.entry.params, kernel.entry.results, kernel.entry.nogil)


def native(f, args) -> tuple[Callable[[], float], Callable[[], float]]:
    """Two timers: seconds of a call of the machine code of a function, and of an empty one."""
    from sciad.compiler.native import kernel_of
    from sciad.core.record import record

    recorded = record(f, *args)
    kernel = kernel_of(recorded.graph)
    leaves = [*recorded.consts, *args]
    outs = [np.empty(shape, dtype) for shape, dtype in kernel.arrays]
    flat = [*(np.asarray(x)[()] for x in leaves), *kernel.lowered.constants, *outs]
    return partial(quickest, kernel.function, flat), partial(quickest, emptied(kernel), flat)


def quickest(function, args, calls: int = 200, blocks: int = 10) -> float:
    """Seconds of a call, in the quickest of some blocks of calls."""
    best = np.inf
    for _ in range(blocks):
        begin = time.perf_counter()
        for _ in range(calls):
            function(*args)
        best = min(best, time.perf_counter() - begin)
    return best / calls


LEAST = 1e-10
"""Seconds below which the difference of two timings means nothing."""


def native_times(program, rounds: int = 30) -> dict[str, list[float]]:
    """Seconds of function and gradient in each round, without what their calls cost."""
    import sciad

    args = draw(program)
    loss = partial(program.loss, np)
    functions = {"function": loss, "native gradient": sciad.grad(loss, wanted(args))}
    timers = {name: native(f, args) for name, f in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, (run, call) in timers.items():
            times[name].append(max(run() - call(), LEAST))
    return times


def measure(program):
    runs = {"jax": jax_run, "sciad": sciad_run, "torch": torch_run}
    builders = {name: partial(run, program) for name, run in runs.items()}
    measured = contest(builders, rtol=1e-9, budget=4.0)
    measured.times.update(native_times(program))
    return measured


def claims(name, program):
    """Against JAX and PyTorch, and the paper's ratio of gradient to function."""
    label = f"{name} (Zygote's five): gradient"
    return (
        Claim(label, peer="jax", ratio=1.0),
        Claim(label, peer="torch"),
        Claim(f"{label}, machine code alone", "native gradient", "function", program.ratio),
    )


CASES = {
    f"zygote_{program.loss.__name__}": Case(partial(measure, program), claims(name, program))
    for name, program in PROGRAMS.items()
}
