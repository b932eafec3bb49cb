"""``import sciad`` beside what it stands on, in fresh processes."""

import tempfile

from benchmarks.case import Case, Claim, Measured
from benchmarks.fresh import start

ROUNDS = 9
PEER = "numpy,scipy.linalg"


def nothing():
    """The scenario of a process that only imports."""
    return lambda: 0.0


def measure():
    """Each package in a process of its own, in turns; the first turn warms the disk."""
    measured = Measured(times={"import sciad": [], "scipy.linalg": []})
    packages = {"import sciad": "sciad", "scipy.linalg": PEER}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS + 1):
            for name in packages if turn % 2 else reversed(packages):
                seconds = start(packages[name], f"{__name__}:nothing", folder).imported
                if turn:
                    measured.times[name].append(seconds)
    return measured


CASES = {
    "import": Case(
        measure,
        (Claim("`import sciad`, `numpy` included", "import sciad", "scipy.linalg", ratio=1.3),),
    )
}
