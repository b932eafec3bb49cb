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
from functools import partial
from pathlib import Path

from benchmarks.case import Case, Measured
from benchmarks.report import page, rows, section

ROOT = Path(__file__).resolve().parents[1]
SETS = ("slice", "engine", "compiler")
PAGE = ROOT / "docs" / "benchmarks.md"
POOLS = ("SCIAD_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Who keeps threads of its own: each contestant gets as many as the others."""


def cases_of(name: str) -> dict[str, Case]:
    """The cases of a set, by name."""
    return importlib.import_module(f"benchmarks.{name}").CASES


def environment(threads: int) -> dict[str, str]:
    """The environment of a measurement: every pool has so many threads."""
    pools = dict.fromkeys(POOLS, str(threads))
    if not hasattr(os, "sched_setaffinity") and threads == 1:  # else bound to one core: see `bind`
        pools["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return {**os.environ, **pools}


def cores() -> list[int]:
    """The cores that this process may use; their numbers mean nothing where none can be chosen."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind(threads: int) -> None:
    """Bind this process, all that it starts included, to as many cores as there are threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:threads])


def measure_apart(set_name: str, case_name: str, case: Case) -> Measured:
    """Measure one case in a process of its own, so that a crash or a hang stays one row."""
    if case.threads > len(cores()):
        return Measured(notes=[f"needs {case.threads} cores"])
    failed = {claim.mine: "" for claim in case.claims}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        command = [sys.executable, "-m", "benchmarks", set_name, "--measure", case_name]
        try:
            done = subprocess.run(
                [*command, "--out", str(out)],
                cwd=ROOT,
                env=environment(case.threads),
                preexec_fn=partial(bind, case.threads),
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
