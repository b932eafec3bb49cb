"""n scalar reads of an n-vector: the gradient takes time in proportion to n, not to n**2."""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

FEW, MANY = 2_000, 20_000


def sum_of_squares(x):
    total = 0.0
    for k in range(len(x)):
        total = total + x[k] * x[k]
    return total


def sciad_run(count: int):
    import sciad

    gradient = sciad.grad(sum_of_squares)
    x = np.linspace(0.0, 1.0, count)
    return repeated(lambda: gradient(x))


def torch_run(count: int):
    import torch

    torch.set_num_threads(1)
    x = torch.tensor(np.linspace(0.0, 1.0, count), requires_grad=True)
    return repeated(lambda: torch.autograd.grad(sum_of_squares(x), x)[0])


def measure():
    builders = {
        "2e3 reads, torch": lambda: torch_run(FEW),
        "2e3 reads": lambda: sciad_run(FEW),
        "2e4 reads": lambda: sciad_run(MANY),
    }
    return contest(builders, rtol=1e-10, agree=(("2e3 reads, torch", "2e3 reads"), ("2e4 reads",)))


CASES = {
    "scalar_reads": Case(
        measure,
        (
            Claim("2e4 scalar reads of a vector of 2e4", "2e4 reads", "2e3 reads", ratio=12.0),
            Claim("2e3 scalar reads of a vector of 2e3", "2e3 reads", "2e3 reads, torch"),
        ),
    )
}
