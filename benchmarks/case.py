"""What a benchmark is: contestants that compute the same numbers, and claims about their times."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.timing import Run, alternate


@dataclass(frozen=True)
class Claim:
    """One row of the table: the time of `mine`, beside that of `peer`, and what is promised."""

    label: str
    mine: str = "sciad"
    peer: str | None = None
    ratio: float | None = None  # promised: mine <= ratio * peer
    seconds: float | None = None  # promised: mine <= seconds
    unit: str = "s"  # of what was measured: seconds, or "B" for bytes


@dataclass
class Measured:
    """Seconds (or bytes) per repetition and round of each contestant; why others have none."""

    times: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """A measurement and the claims read from it. Runs in a process of its own, which is bound to
    as many cores as each contestant may have threads."""

    measure: Callable[[], Measured]
    claims: tuple[Claim, ...]
    timeout: float = 120.0
    threads: int = 1


def numbers(result: Any) -> np.ndarray:
    """All numbers in a result, in one vector; containers are flattened in order."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return np.concatenate([numbers(part) for part in result])
    return np.ravel(np.asarray(result, dtype=float))


def disagreement(answer: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference relative to the largest entry; infinite if shapes differ."""
    if answer.shape != reference.shape or not np.all(np.isfinite(answer)):
        return np.inf
    return float(np.max(np.abs(answer - reference)) / np.max(np.abs(reference)))


def shown(answer: np.ndarray) -> str:
    """The first numbers of an answer, on one line."""
    return np.array2string(answer[:6], precision=8, max_line_width=200)


def void_wrong(answers: Mapping[str, np.ndarray], rtol: float, failures: dict[str, str]) -> None:
    """Record as failed each contestant whose numbers differ from the first one's."""
    reference_name = next(iter(answers), None)
    for name, answer in answers.items():
        off = disagreement(answer, answers[reference_name])
        if not off <= rtol:
            failures[name] = (
                f"void: its numbers {shown(answer)} differ from {reference_name}'s "
                f"{shown(answers[reference_name])} by {off:.1e} (allowed {rtol:.1e})"
            )


def contest(
    builders: Mapping[str, Callable[[], Run]],
    rtol: float,
    operations: int = 1,
    budget: float = 6.0,
    block: float = 0.01,
    agree: tuple[tuple[str, ...], ...] = (),
) -> Measured:
    """Build the contestants, check that their numbers agree with the first one's, time them.

    A contestant that is missing, raises, or computes other numbers is reported as failed and the
    rest go on. Times are divided by `operations`. Where contestants do unlike work, `agree` lists
    the groups of names that must compute the same numbers.
    """
    measured, runs, answers = Measured(), {}, {}
    for name, build in builders.items():
        try:
            run = build()
            answers[name] = numbers(run(1))
            runs[name] = run
        except Exception:  # any failure of a contestant is a result, shown in the table
            measured.failures[name] = traceback.format_exc()
    for group in agree or (tuple(builders),):
        void_wrong({n: answers[n] for n in group if n in answers}, rtol, measured.failures)
    sound = {name: run for name, run in runs.items() if name not in measured.failures}
    for name, times in alternate(sound, budget, block).items():
        measured.times[name] = [each / operations for each in times]
    return measured
