"""Peak memory of a gradient, each contestant in a fresh process.

``python -m benchmarks.engine.memory NAME`` prints the growth of the resident set in bytes while
the gradient was taken, and the numbers computed. A small gradient before it loads what is loaded
once. The system's figure sees what PyTorch allocates, which `tracemalloc` would not.
"""

import json
import resource
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np

from benchmarks.case import Case, Claim, Measured, numbers, void_wrong

ROOT = Path(__file__).resolve().parents[2]
LINKS, ENTRIES, ROUNDS = 50, 10**6, 3


def chain(x, sin):
    """Fifty links: products, sums and sines in turn."""
    y = x
    for k in range(LINKS):
        if k % 3 == 0:
            y = y * x
        elif k % 3 == 1:
            y = y + x
        else:
            y = sin(y)
    return (y * y).sum()


def sciad_gradient():
    import sciad

    return sciad.grad(lambda x: chain(x, np.sin))


def torch_gradient():
    import torch

    torch.set_num_threads(1)

    def gradient(x):
        point = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(chain(point, torch.sin), point)[0].numpy()

    return gradient


def autograd_gradient():
    import autograd
    import autograd.numpy as anp

    return autograd.grad(lambda x: anp.sum(chain(x, anp.sin)))


GRADIENTS = {"torch": torch_gradient, "autograd": autograd_gradient, "sciad": sciad_gradient}


def peak() -> int:
    """The largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(name: str) -> None:
    """Take one gradient in this process and print what it took."""
    gradient = GRADIENTS[name]()
    gradient(np.linspace(-1.0, 1.0, 10))
    x = np.linspace(-1.0, 1.0, ENTRIES)
    before = peak()
    slope = gradient(x)
    print(json.dumps({"bytes": peak() - before, "answer": slope[:: ENTRIES // 10].tolist()}))


def measured_apart(name: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.engine.memory", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure():
    measured, answers = Measured(), {}
    for name in GRADIENTS:
        try:
            found = [measured_apart(name) for _ in range(ROUNDS)]
        except (subprocess.CalledProcessError, json.JSONDecodeError):
            measured.failures[name] = traceback.format_exc()
            continue
        measured.times[name] = [float(each["bytes"]) for each in found]
        answers[name] = numbers(found[0]["answer"])
    void_wrong(answers, 1e-10, measured.failures)
    return measured


CASES = {
    "memory": Case(
        measure,
        (
            Claim("peak memory, 50 links on 1e6", peer="torch", ratio=1.0, unit="B"),
            Claim("peak memory, 50 links on 1e6", peer="autograd", unit="B"),
        ),
    )
}

if __name__ == "__main__":
    report(sys.argv[1])
