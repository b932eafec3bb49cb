"""Eager chains of 200 small operations: time per operation, forward and backward together."""

from collections.abc import Callable

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

OPERATIONS = 200
POINT = np.array([0.6, -0.3])


def multiply_add(x, sin):
    y = x
    for _ in range(OPERATIONS // 2):
        y = y * x + x
    return y


def scale(x, sin):
    y = x
    for _ in range(OPERATIONS):
        y = 0.99 * y
    return y


def sines(x, sin):
    y = x
    for _ in range(OPERATIONS):
        y = sin(y)
    return y


def scalar_reads(x, sin):
    """Each turn reads two entries, multiplies them and adds: four operations."""
    total = 0.0
    for _ in range(OPERATIONS // 4):
        total = total + x[0] * x[1]
    return total


CHAINS = {
    "y*x + x": multiply_add,
    "const*x": scale,
    "np.sin(x)": sines,
    "x[0]*x[1]": scalar_reads,
}


def torch_run(chain: Callable):
    import torch

    torch.set_num_threads(1)
    point = torch.tensor(POINT, requires_grad=True)

    def gradient():
        return torch.autograd.grad(chain(point, torch.sin).sum(), point)[0]

    return repeated(gradient)


def autograd_run(chain: Callable):
    import autograd
    import autograd.numpy as anp

    gradient = autograd.grad(lambda x: anp.sum(chain(x, anp.sin)))
    return repeated(lambda: gradient(POINT))


def sciad_run(chain: Callable):
    """Plain `import numpy as np` inside the differentiated function."""
    import sciad

    gradient = sciad.grad(lambda x: np.sum(chain(x, np.sin)))
    return repeated(lambda: gradient(POINT))


def case(name: str, chain: Callable) -> Case:
    """One chain against both eager peers; only the first carries a promise against autograd."""
    builders = {
        "torch": lambda: torch_run(chain),
        "autograd": lambda: autograd_run(chain),
        "sciad": lambda: sciad_run(chain),
    }
    against_autograd = 0.2 if chain is multiply_add else None
    return Case(
        lambda: contest(builders, rtol=1e-10, operations=OPERATIONS, budget=3.0),
        (
            Claim(f"eager `{name}`, per operation", peer="torch", ratio=0.6),
            Claim(f"eager `{name}`, per operation", peer="autograd", ratio=against_autograd),
        ),
    )


CASES = {f"eager_{chain.__name__}": case(name, chain) for name, chain in CHAINS.items()}
