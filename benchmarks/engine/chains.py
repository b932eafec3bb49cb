"""Chains of 200 small operations on a 2-vector: forward and backward, per operation.

The chains of reading and calculating are those of the first claims; here they are joined by
chains that write, which autograd does not take.
"""

from benchmarks.case import Case, Claim, contest
from benchmarks.slice.eager import CHAINS, OPERATIONS, sciad_run, torch_run


def writes(x, sin):
    """Each turn writes one entry with a number that depends on `x`: one operation."""
    y = 1.0 * x
    first, second = x[0], x[1]
    for _ in range(OPERATIONS // 2):
        y[0] = second
        y[1] = first
    return y


def read_and_write(x, sin):
    """Each turn reads an entry and writes it to the other place: two operations."""
    y = 1.0 * x
    for _ in range(OPERATIONS // 4):
        y[0] = y[1]
        y[1] = y[0]
    return y * x


def case(name: str, chain) -> Case:
    """One chain against PyTorch."""
    builders = {"torch": lambda: torch_run(chain), "sciad": lambda: sciad_run(chain)}
    return Case(
        lambda: contest(builders, rtol=1e-10, operations=OPERATIONS, budget=3.0),
        (Claim(f"200 x `{name}`, per operation", peer="torch", ratio=0.6),),
    )


ALL = {**CHAINS, "x[i] = v": writes, "x[i] = x[j]": read_and_write}
CASES = {f"chain_{chain.__name__}": case(name, chain) for name, chain in ALL.items()}
