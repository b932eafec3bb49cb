"""A grid filled row by row: the gradient costs as much as the grid, not as much for each row."""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

WIDTH = 1000
FEW, MANY = 100, 1000


def rows_of(count: int):
    """The loss whose grid has `count` rows, each written with a row that depends on `x`."""
    from sciad import numpy as snp

    weights = np.linspace(1.0, 2.0, count)

    def loss(x):
        grid = snp.zeros((count, WIDTH))
        for k in range(count):
            grid[k] = x
        return grid.sum(1) @ weights

    return loss


def steps_of(count: int):
    """The same, where each row is computed from the one before, as in time stepping."""
    from sciad import numpy as snp

    weights = np.linspace(1.0, 2.0, count)

    def loss(x):
        grid = snp.zeros((count, WIDTH))
        grid[0] = x
        for k in range(1, count):
            grid[k] = 0.99 * grid[k - 1]
        return grid.sum(1) @ weights

    return loss


def measure(loss_of):
    """Gradients at both lengths, and the plain program of NumPy at the longer one."""
    import sciad

    x = np.linspace(0.5, 1.5, WIDTH)

    def gradient(count):
        gradient = sciad.value_and_grad(loss_of(count))
        return repeated(lambda: gradient(x)[0])

    def plain():
        loss = loss_of(MANY)
        return repeated(lambda: loss(x))

    builders = {
        "1e3 rows": lambda: gradient(MANY),
        "1e2 rows": lambda: gradient(FEW),
        "plain NumPy": plain,
    }
    return contest(builders, rtol=1e-10, agree=(("plain NumPy", "1e3 rows"), ("1e2 rows",)))


def case(what: str, loss_of) -> Case:
    return Case(
        lambda: measure(loss_of),
        (
            Claim(f"gradient of 1e3 {what}", "1e3 rows", "1e2 rows", ratio=12.0),
            Claim(f"gradient of 1e3 {what}", "1e3 rows", "plain NumPy", ratio=10.0),
        ),
    )


CASES = {
    "row_writes": case("row writes `grid[k] = x`", rows_of),
    "row_steps": case("row steps `grid[k] = c * grid[k-1]`", steps_of),
}
