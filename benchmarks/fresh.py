"""Time the first call in a fresh process.

``python -m benchmarks.fresh OUT PACKAGES MODULE:SCENARIO`` times the import of the packages
(comma-separated), then the scenario's first call, and writes both with the numbers computed to
OUT as JSON. A scenario is a function that prepares data and returns the call to be timed.
"""

import compileall
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Fresh:
    """What one fresh process reported: seconds of the import and of the call, and its numbers."""

    imported: float
    first: float
    answer: list[float]


@dataclass(frozen=True)
class Start:
    """One process of a cold contest; those of equal `cache` share a cache folder, in order."""

    packages: str
    scenario: str
    cache: str = "none"


@cache
def as_installed() -> dict[str, str]:
    """The environment of a process that finds sciad as an installation leaves it: with bytecode."""
    compileall.compile_dir(ROOT / "sciad", quiet=2)
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def start(packages: str, scenario: str, cache_dir: str, timeout: float = 100.0) -> Fresh:
    """Run a scenario in a new interpreter whose sciad cache lives in `cache_dir`."""
    environment = {**as_installed(), "SCIAD_CACHE_DIR": cache_dir, "JAX_ENABLE_X64": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fresh.json"
        command = [sys.executable, "-m", "benchmarks.fresh", str(out), packages, scenario]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode != 0:
            raise RuntimeError(f"{scenario} in a fresh process: {done.stderr.strip()[-2000:]}")
        return Fresh(**json.loads(out.read_text()))


def cold_contest(
    starts: Mapping[str, Start], rounds: int, agree: tuple[tuple[str, ...], ...], rtol: float
):
    """Measure every start once per round, each round with empty cache folders.

    `agree` lists groups of names that must compute the same numbers.
    """
    # imported here: the timed process imports this module and must not load NumPy with it
    from benchmarks.case import Measured, numbers, void_wrong

    measured, answers, imports = Measured(), {}, {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, item in starts.items():
                if name in measured.failures:
                    continue
                try:
                    result = start(item.packages, item.scenario, str(Path(folder) / item.cache))
                except Exception as error:  # any failure of a contestant is a result
                    measured.failures[name] = f"{type(error).__name__}: {error}"
                    continue
                measured.times.setdefault(name, []).append(result.first)
                imports.setdefault(item.packages, []).append(result.imported)
                answers[name] = numbers(result.answer)
    for group in agree:
        void_wrong({n: answers[n] for n in group if n in answers}, rtol, measured.failures)
    for packages, values in imports.items():
        middle = sorted(values)[len(values) // 2]
        measured.notes.append(f"`import {packages}` took {middle:.2f} s, not counted")
    return measured


def main(out: str, packages: str, scenario: str) -> None:
    """Time the imports and the scenario's first call in this process."""
    begin = time.perf_counter()
    for package in packages.split(","):
        importlib.import_module(package)
    imported = time.perf_counter() - begin
    module, name = scenario.split(":")
    call = getattr(importlib.import_module(module), name)()
    begin = time.perf_counter()
    result = call()
    first = time.perf_counter() - begin
    from benchmarks.case import numbers  # after the timing: it imports NumPy

    report = {"imported": imported, "first": first, "answer": numbers(result).tolist()}
    Path(out).write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
