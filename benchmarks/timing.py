"""Time contestants in turns, so that drift of the machine reaches all of them alike.

A contestant is a ``Run``: called with n it does its work n times and returns the last result.
Blocks of calls, each some milliseconds long, alternate between the contestants; every round gives
one time per contestant, and one ratio per pair. Medians and quartiles of these are reported.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[int], Any]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values) -> "Spread":
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        return cls(float(median), float(low), float(high))


def repeated(call: Callable[[], Any]) -> Run:
    """The run that makes the call n times."""

    def run(n):
        result = None
        for _ in range(n):
            result = call()
        return result

    return run


def seconds(run: Run, n: int) -> float:
    """Seconds per repetition over one block of n."""
    start = time.perf_counter()
    run(n)
    return (time.perf_counter() - start) / n


def block_length(run: Run, block: float) -> int:
    """How many repetitions fill a block of the given seconds; warms the run up on the way."""
    n = 1
    while (each := seconds(run, n)) * n < block / 2 and n < 10**7:
        n *= 4
    return max(1, round(block / each))


def alternate(
    runs: Mapping[str, Run], budget: float = 6.0, block: float = 0.01, rounds: int = 60
) -> dict[str, list[float]]:
    """Seconds per repetition of each run, one entry per round, within a budget of seconds.

    At least three rounds are made. What is alive after the warm-up is hidden from the garbage
    collector, which stays on: contestants pay for their own garbage, not for imported packages.
    """
    lengths = {name: block_length(run, block) for name, run in runs.items()}
    gc.collect()
    gc.freeze()
    times: dict[str, list[float]] = {name: [] for name in runs}
    start = time.perf_counter()
    for turn in range(rounds):
        order = list(runs) if turn % 2 == 0 else list(reversed(runs))
        for name in order:
            times[name].append(seconds(runs[name], lengths[name]))
        if turn >= 2 and time.perf_counter() - start > budget:
            break
    gc.unfreeze()
    return times
