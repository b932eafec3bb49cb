"""A stacked LSTM cell at batch 1: what the engine adds to each operation.

The arithmetic on vectors of ten takes next to no time, so gradient less function is overhead. The
Zygote paper ("A Differentiable Programming System to Bridge Machine Learning and Scientific
Computing", section 4) measures 569 ns an operation for the backward pass of such a cell.
"""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import Spread, repeated

LAYERS, SIZE = 2, 10
OPERATIONS = LAYERS * 25 + 2
"""A layer: 2 products, 2 sums, 4 reads of a gate, 3 logistic functions of 4, 2 tanh, 3 products
and 1 sum for the state; the loss: a square and a sum."""


def stacked_cell(weights, x, state, tanh, exp):
    """One step of all layers: the hidden vector of the last one."""
    for (w, u, b), (hidden, cell) in zip(weights, state, strict=True):
        gates = w @ x + u @ hidden + b
        enter = 1.0 / (1.0 + exp(-gates[:SIZE]))
        forget = 1.0 / (1.0 + exp(-gates[SIZE:2 * SIZE]))
        leave = 1.0 / (1.0 + exp(-gates[2 * SIZE:3 * SIZE]))
        cell = forget * cell + enter * tanh(gates[3 * SIZE:])
        x = leave * tanh(cell)
    return x


def start():
    """Weights, input and state, drawn once."""
    generator = np.random.default_rng(1)

    def draw(*shape):
        return 0.3 * generator.normal(size=shape)

    weights = [(draw(4 * SIZE, SIZE), draw(4 * SIZE, SIZE), draw(4 * SIZE)) for _ in range(LAYERS)]
    return weights, draw(SIZE), [(draw(SIZE), draw(SIZE)) for _ in range(LAYERS)]


def sciad_run():
    import sciad

    weights, x, state = start()
    gradient = sciad.grad(
        lambda weights: np.sum(stacked_cell(weights, x, state, np.tanh, np.exp) ** 2)
    )
    return repeated(lambda: gradient(weights))


def plain_run():
    weights, x, state = start()
    return repeated(lambda: np.sum(stacked_cell(weights, x, state, np.tanh, np.exp) ** 2))


def torch_run():
    import torch

    torch.set_num_threads(1)
    weights, x, state = start()
    weights = [[torch.tensor(w, requires_grad=True) for w in layer] for layer in weights]
    x, state = torch.tensor(x), [[torch.tensor(s) for s in layer] for layer in state]
    flat = [w for layer in weights for w in layer]

    def gradient():
        out = stacked_cell(weights, x, state, torch.tanh, torch.exp)
        return torch.autograd.grad((out**2).sum(), flat)

    return repeated(gradient)


def autograd_run():
    import autograd
    import autograd.numpy as anp

    weights, x, state = start()
    gradient = autograd.grad(
        lambda weights: anp.sum(stacked_cell(weights, x, state, anp.tanh, anp.exp) ** 2)
    )
    return repeated(lambda: gradient(weights))


def measure():
    builders = {
        "torch": torch_run,
        "autograd": autograd_run,
        "sciad": sciad_run,
        "plain NumPy": plain_run,
    }
    agree = (("torch", "autograd", "sciad"),)
    measured = contest(builders, rtol=1e-9, operations=OPERATIONS, agree=agree)
    if {"sciad", "plain NumPy"} <= set(measured.times):
        added = Spread.of(np.subtract(measured.times["sciad"], measured.times["plain NumPy"]))
        measured.notes.append(
            f"the engine adds {added.median * 1e9:.0f} ns ({added.low * 1e9:.0f} - "
            f"{added.high * 1e9:.0f}) to each of {OPERATIONS} operations, forward and backward"
        )
    return measured


CASES = {
    "lstm": Case(
        measure,
        (
            Claim("stacked LSTM cell, batch 1, per operation", peer="torch", ratio=1.0),
            Claim("stacked LSTM cell, batch 1, per operation", peer="autograd"),
            Claim("stacked LSTM cell, batch 1, per operation", peer="plain NumPy"),
        ),
    )
}
