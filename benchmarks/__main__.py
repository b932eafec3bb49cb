"""Run a set of benchmarks and write its table: ``python -m benchmarks slice`` (or another set)."""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.case import Case, Measured
from benchmarks.report import page, rows, section

ROOT = Path(__file__).resolve().parents[1]
SETS = ("slice", "engine", "compiler")
PAGE = ROOT / "docs" / "benchmarks.md"
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Contestants calculate on one thread each, so that neither gains by what the other leaves."""


def cases_of(name: str) -> dict[str, Case]:
    """The cases of a set, by name."""
    return importlib.import_module(f"benchmarks.{name}").CASES


def measure_apart(set_name: str, case_name: str, case: Case) -> Measured:
    """Measure one case in a process of its own, so that a crash or a hang stays one row."""
    failed = {claim.mine: "" for claim in case.claims}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        command = [sys.executable, "-m", "benchmarks", set_name, "--measure", case_name]
        try:
            done = subprocess.run(
                [*command, "--out", str(out)],
                cwd=ROOT,
                env={**os.environ, **ONE_THREAD},
                capture_output=True,
                text=True,
                timeout=case.timeout,
            )
        except subprocess.TimeoutExpired:
            why = f"took longer than {case.timeout:g} s"
            return Measured(failures=dict.fromkeys(failed, why))
        if done.returncode != 0 or not out.exists():
            why = f"exit code {done.returncode}\n{done.stderr[-4000:]}"
            return Measured(failures=dict.fromkeys(failed, why))
        return Measured(**json.loads(out.read_text()))


def show(case: Case, measured: Measured) -> None:
    """Print the rows of a case as soon as they are known."""
    for row in rows(case, measured):
        print("  " + " | ".join(filter(None, (*row.cells, row.verdict))), flush=True)
    for name, why in measured.failures.items():
        print(f"  {name} failed: {why.strip().splitlines()[-1]}", flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--only", nargs="+", metavar="CASE", help="measure these cases alone")
    parser.add_argument("--out", type=Path, help="where to write (default: docs/benchmarks.md)")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--measure", metavar="CASE", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; 1 if a contestant failed, 0 otherwise (missed targets included)."""
    options = parse()
    cases = cases_of(options.set)
    if options.measure:
        measured = cases[options.measure].measure()
        options.out.write_text(json.dumps(asdict(measured)))
        return 0
    if options.list:
        print("\n".join(cases))
        return 0
    if unknown := set(options.only or ()) - set(cases):
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}; there are {list(cases)}")
    results, begin = {}, time.perf_counter()
    for name in options.only or cases:
        print(name, flush=True)
        results[name] = measure_apart(options.set, name, cases[name])
        show(cases[name], results[name])
    print(f"{time.perf_counter() - begin:.0f} s")
    out = options.out or (None if options.only else PAGE)
    if out:
        old = out.read_text() if out.exists() else ""
        mine = section(options.set, {name: cases[name] for name in results}, results)
        out.write_text(page(old, options.set, mine, SETS))
        print(f"wrote {out}")
    return 1 if any(measured.failures for measured in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
