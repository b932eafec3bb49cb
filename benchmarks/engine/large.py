"""Large operations: a gradient costs a small multiple of the function."""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

ENTRIES, SIDE, FACTORS = 10**6, 1000, 4


def elementwise_chain(x, sin, tanh):
    """Ten operations on a long vector."""
    y = sin(x)
    for _ in range(3):
        y = tanh(y * x + x)
    return (y * y).sum()


def matrix_chain(x, weights):
    """Products of square matrices, each tracked."""
    for w in weights:
        x = x @ w
    return x.sum()


def elementwise_runs():
    import sciad

    x = np.linspace(-1.0, 1.0, ENTRIES)

    def loss(x):
        return elementwise_chain(x, np.sin, np.tanh)

    gradient = sciad.value_and_grad(loss)
    return {
        "function": lambda: repeated(lambda: loss(x)),
        "gradient": lambda: repeated(lambda: gradient(x)[0]),
        "torch gradient": lambda: torch_elementwise(x),
    }


def torch_elementwise(x):
    import torch

    torch.set_num_threads(1)
    point = torch.tensor(x, requires_grad=True)

    def gradient():
        value = elementwise_chain(point, torch.sin, torch.tanh)
        torch.autograd.grad(value, point)
        return value.detach()

    return repeated(gradient)


def matrix_runs():
    import sciad

    generator = np.random.default_rng(2)
    x, *weights = generator.normal(size=(FACTORS + 1, SIDE, SIDE)) / np.sqrt(SIDE)
    gradient = sciad.value_and_grad(matrix_chain, argnums=(0, 1))
    return {
        "function": lambda: repeated(lambda: matrix_chain(x, weights)),
        "gradient": lambda: repeated(lambda: gradient(x, weights)[0]),
        "torch gradient": lambda: torch_matrix(x, weights),
    }


def torch_matrix(x, weights):
    import torch

    torch.set_num_threads(1)
    x, *weights = (torch.tensor(w, requires_grad=True) for w in (x, *weights))

    def gradient():
        value = matrix_chain(x, weights)
        torch.autograd.grad(value, (x, *weights))
        return value.detach()

    return repeated(gradient)


CASES = {
    "elementwise_1e6": Case(
        lambda: contest(elementwise_runs(), rtol=1e-10, budget=10.0),
        (
            Claim("elementwise chain on 1e6", "gradient", "function", ratio=3.0),
            Claim("elementwise chain on 1e6", "gradient", "torch gradient"),
        ),
    ),
    "matmul_1000": Case(
        lambda: contest(matrix_runs(), rtol=1e-8, budget=20.0),
        (
            Claim("chain of 1000x1000 products", "gradient", "function", ratio=3.2),
            Claim("chain of 1000x1000 products", "gradient", "torch gradient"),
        ),
    ),
}
