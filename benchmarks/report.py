"""The table: what was measured, where, and whether the promises hold."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.case import Case, Claim, Measured
from benchmarks.timing import Spread

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sciad", "numpy", "scipy", "llvmlite", "torch", "jax", "diffrax", "autograd")


@dataclass(frozen=True)
class Row:
    """One claim with its cells spelled; the verdict is empty where nothing was promised."""

    cells: tuple[str, str, str, str, str]
    verdict: str


def amount(value: float, unit: str) -> str:
    """A measured value with its unit: seconds or bytes.

    >>> amount(2.5e8, "B")
    '250 MB'
    """
    return duration(value) if unit == "s" else f"{value * 1e-6:.3g} MB"


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(1.234e-5)
    '12.3 us'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def timed(measured: Measured, name: str, unit: str = "s") -> str:
    """Median and quartiles of a contestant, or that it failed."""
    if name in measured.failures:
        return "void" if measured.failures[name].startswith("void") else "failed"
    if name not in measured.times:
        return "not run"
    spread = Spread.of(measured.times[name])
    low, high = amount(spread.low, unit), amount(spread.high, unit)
    return f"{amount(spread.median, unit)} ({low} - {high})"


def ratio_of(measured: Measured, claim: Claim) -> Spread | None:
    """Ratios of `mine` to `peer` in each round, if both were measured."""
    pair = [
        measured.times.get(name)
        for name in (claim.mine, claim.peer)
        if name not in measured.failures
    ]
    if len(pair) < 2 or None in pair:
        return None
    mine, peer = map(np.array, pair)
    return Spread.of(mine / peer)


def verdict(measured: Measured, claim: Claim, ratio: Spread | None) -> str:
    """Whether the promise holds: no if `mine` failed, undecided if the peer did, or neither ran."""
    if claim.ratio is None and claim.seconds is None:
        return ""
    if claim.mine in measured.failures:
        return "no"
    if claim.mine not in measured.times or (claim.ratio is not None and ratio is None):
        return "not measured"
    if claim.ratio is not None:
        return "yes" if ratio.median <= claim.ratio else "no"
    return "yes" if Spread.of(measured.times[claim.mine]).median <= claim.seconds else "no"


def target(claim: Claim) -> str:
    """The promise in words."""
    if claim.ratio is not None:
        return f"<= {claim.ratio:g}x {claim.peer}"
    return "" if claim.seconds is None else f"<= {duration(claim.seconds)}"


def rows(case: Case, measured: Measured) -> list[Row]:
    """The rows of one case."""
    table = []
    for claim in case.claims:
        ratio = ratio_of(measured, claim)
        unit, peer = claim.unit, claim.peer
        shown = "" if peer is None else f"{peer} {timed(measured, peer, unit)}"
        if ratio is None:
            quotient = ""
        else:
            quotient = f"{ratio.median:.3g}x ({ratio.low:.3g} - {ratio.high:.3g})"
        cells = (claim.label, timed(measured, claim.mine, unit), shown, quotient, target(claim))
        table.append(Row(cells, verdict(measured, claim, ratio)))
    return table


def machine() -> str:
    """Processor, number of cores, system, and the load when asked."""
    try:
        with open("/proc/cpuinfo") as text:
            names = re.findall(r"model name\s*: (.*)", text.read())
    except OSError:
        names = []
    processor = names[0] if names else platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, load {load:.1f} at the end"


def versions() -> str:
    """Python, the packages installed, and gcc."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} absent")
    try:
        gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True)
        found.append(f"gcc {gcc.stdout.strip()}")
    except FileNotFoundError:
        found.append("gcc absent")
    return ", ".join(found)


def relative(text: str) -> str:
    """The text with paths counted from the project's folder and from the Python library."""
    return text.replace(f"{ROOT}/", "").replace(f"{sys.prefix}/", "")


def failure_lines(results: dict[str, Measured]) -> list[str]:
    """Every failure in full, so that the table can stay short."""
    lines = []
    for name, measured in results.items():
        for contestant, why in measured.failures.items():
            lines += [f"`{name}`, {contestant}:", "", "```text", relative(why.strip()), "```", ""]
    return ["### Failures", "", *lines] if lines else []


HEAD = """# Benchmarks

Contestants run alternately in one process (cold starts and memory: each in a fresh process), which
is bound to one core, so that each has one thread; where a row speaks of two threads, to two cores,
so that each may have two. They compute the same numbers, which is checked; times and ratios are
medians with quartiles over the rounds, all in float64. Each table is written by the command above
it.
"""


def marked(name: str) -> tuple[str, str]:
    """The comments around the section of a set."""
    return f"<!-- begin {name} -->", f"<!-- end {name} -->"


def page(old: str, name: str, new: str, order: tuple[str, ...]) -> str:
    """The page `docs/benchmarks.md`: `old` with the section of one set replaced by `new`."""
    sections = {}
    for each in order:
        begin, end = marked(each)
        if begin in old and end in old:
            sections[each] = old[old.index(begin):old.index(end) + len(end)]
    begin, end = marked(name)
    sections[name] = f"{begin}\n{new}\n{end}"
    return "\n".join([HEAD, *(sections[each] + "\n" for each in order if each in sections)])


def section(title: str, cases: dict[str, Case], results: dict[str, Measured]) -> str:
    """The section of one set: where it was measured, the table, notes and failures."""
    lines = [
        f"## `python -m benchmarks {title}`",
        "",
        f"- {time.strftime('%Y-%m-%d')}, {machine()}",
        f"- {versions()}",
        "",
        "| case | sciad | peer | ratio (quartiles) | target | met? |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, measured in results.items():
        for row in rows(cases[name], measured):
            lines.append(f"| {' | '.join(row.cells)} | {row.verdict} |")
    notes = [f"- `{name}`: {note}" for name, m in results.items() for note in m.notes]
    lines += ["", *notes, "", *failure_lines(results)]
    return "\n".join(lines).rstrip()
