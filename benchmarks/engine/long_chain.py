"""A tape of a million nodes: no recursion, and time in proportion to its length."""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

SHORT, LONG = 10**5, 10**6


def chain_of(count: int):
    def chain(x):
        y = x
        for _ in range(count):
            y = y * 0.9999
        return y

    return chain


def sciad_run(count: int):
    import sciad

    gradient = sciad.grad(chain_of(count))
    return repeated(lambda: gradient(2.0))


def torch_run(count: int):
    import torch

    x, chain = torch.tensor(2.0, dtype=torch.float64, requires_grad=True), chain_of(count)
    return repeated(lambda: torch.autograd.grad(chain(x), x)[0])


def check():
    """The derivative is the product of all factors."""
    return repeated(lambda: np.float64(0.9999) ** SHORT)


def measure():
    builders = {
        "product": check,
        "1e5 nodes, torch": lambda: torch_run(SHORT),
        "1e5 nodes": lambda: sciad_run(SHORT),
        "1e6 nodes": lambda: sciad_run(LONG),
    }
    agree = (("product", "1e5 nodes", "1e5 nodes, torch"), ("1e6 nodes",))
    return contest(builders, rtol=1e-9, budget=20.0, agree=agree)


CASES = {
    "long_chain": Case(
        measure,
        (
            Claim("gradient of a chain of 1e6 nodes", "1e6 nodes", "1e5 nodes", ratio=12.0),
            Claim("gradient of a chain of 1e5 nodes", "1e5 nodes", "1e5 nodes, torch"),
        ),
    )
}
