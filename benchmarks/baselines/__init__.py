"""Hand-written C to measure against, compiled by gcc when first asked for."""

import atexit
import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


@cache
def build_folder() -> Path:
    """A temporary folder for shared objects, removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="baselines-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def load(name: str) -> ctypes.CDLL:
    """Compile ``baselines/<name>.c`` and load it."""
    source = Path(__file__).with_name(f"{name}.c")
    target = build_folder() / f"{name}.so"
    done = subprocess.run(
        ["gcc", *FLAGS, str(source), "-o", str(target), "-lm"], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"gcc could not compile {source.name}: {done.stderr.strip()}")
    return ctypes.CDLL(str(target))
