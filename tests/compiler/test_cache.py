"""The disk cache: shared by processes, killed writers, damage, bounds, what its names hang on."""

import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import sciad
from sciad.compiler import cache, llvm
from sciad.compiler import jit as jitting
from sciad.compiler.recent import Recent
from sciad.compiler.recompiling import RecompilationWarning
from sciad.core.errors import ArgumentError

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("SCIAD_CACHE_BYTES", raising=False)
    monkeypatch.setattr(cache, "_limit", None)
    return tmp_path


def fresh(k):
    """A function that no process has compiled yet."""
    return sciad.jit(lambda x: np.sin(x) * (k + 0.5) + np.float64(k), strict=True)


def test_the_public_module(home):
    assert sciad.cache.folder() == home and sciad.cache.size() == 0
    cache.write("a", bytes(1000))
    assert 1000 < sciad.cache.size() < 1200
    sciad.cache.clear()
    assert sciad.cache.size() == 0 and cache.read("a") is None
    (home / "other.txt").write_text("mine")
    sciad.cache.clear()
    assert (home / "other.txt").exists()


def test_an_entry_is_known_by_version_llvm_cpu_and_text(monkeypatch):
    text, machine = "define void @f()", "(20, 1, 8) skylake +avx2,+fma"
    names = {cache.key(text, machine), cache.key(text + " ", machine),
             cache.key(text, machine.replace("20", "21")),
             cache.key(text, machine.replace("skylake", "znver3")),
             cache.key(text, machine.replace("+avx2", "-avx2"))}
    monkeypatch.setattr(cache, "VERSION", "0.0.0")
    names.add(cache.key(text, machine))
    assert len(names) == 6
    assert cache.key("ab", "c") != cache.key("a", "bc")


@native
def test_the_machine_is_part_of_what_compiled_code_is_known_by():
    from llvmlite import binding

    signature = llvm.signature()
    assert str(binding.llvm_version_info) in signature
    assert binding.get_host_cpu_name() in signature
    assert binding.get_host_cpu_features().flatten() in signature


def test_the_limit(home, monkeypatch):
    for k in range(4):
        cache.write(f"e{k}", bytes(1000))
        os.utime(home / f"e{k}.o", (k, k))
    monkeypatch.setenv("SCIAD_CACHE_BYTES", "5000")
    assert sciad.cache.limit() == 5000
    assert cache.read("e0") is not None  # used: now the youngest
    assert sciad.cache.limit(3500) == 3500
    assert sciad.cache.size() <= 3500
    assert cache.read("e0") is not None and cache.read("e1") is None
    sciad.cache.limit(0)
    cache.write("new", b"x")
    assert sciad.cache.size() == 0
    with pytest.raises(ArgumentError, match="bytes"):
        sciad.cache.limit(-1)


def test_the_limit_holds_after_each_write(home, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_BYTES", "20000")
    for k in range(50):
        cache.write(f"e{k}", bytes(500 + 30 * k))
        os.utime(home / f"e{k}.o", (k, k))
        assert sciad.cache.size() <= 20000
    kept = sorted(int(path.stem[1:]) for path in home.glob("*.o"))
    assert kept == list(range(kept[0], 50)) and len(kept) > 7
    cache.write("large", bytes(30000))
    assert sciad.cache.size() <= 20000


def test_a_full_folder_is_not_looked_through_at_each_write(home, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_BYTES", "200000")
    looks, entries = [], cache._entries
    monkeypatch.setattr(cache, "_entries", lambda home: looks.append(1) or entries(home))
    for k in range(300):
        cache.write(f"e{k}", bytes(1000))
    assert len(looks) < 20


def test_what_others_write_is_noticed(home, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_BYTES", "50000")
    cache.write("first", bytes(10))
    for k in range(100):
        (home / f"other{k}.o").write_bytes(bytes(1000))
    for k in range(66):
        cache.write(f"small{k}", bytes(10))
    assert sciad.cache.size() <= 50000


@native
@pytest.mark.parametrize("content", ["noise", "another function"])
def test_an_entry_that_cannot_be_linked_is_compiled_anew(home, content):
    want = run(CODE, home)
    before = {path.stem: path.read_bytes() for path in home.glob("*.o")}
    data = bytes(range(256)) * 8 if content == "noise" else machine_code()
    for name in before:
        cache.write(name, data)
    assert run(CODE, home) == want
    assert {name: (home / f"{name}.o").read_bytes() for name in before} == before


def machine_code():
    """An object file without the functions that are looked for."""
    def other(x):
        return np.sin(x) * 77.5

    f = sciad.jit(other)
    f(0.5)
    (found,) = f._known.values()
    return found.kernel.library.object()


@native
def test_an_entry_under_another_name_is_compiled_anew(home):
    want = run(CODE, home)
    names = [path.name for path in home.glob("*.o")]
    run(CODE.replace("0.123987", "77.5"), home)
    new = next(path for path in home.glob("*.o") if path.name not in names)
    for name in names:
        (home / name).write_bytes(new.read_bytes())
    assert run(CODE, home) == want


def test_what_killed_writers_left_goes(home):
    (home / "sciad-old.tmp").write_bytes(bytes(100))
    (home / "sciad-new.tmp").write_bytes(bytes(100))
    hours = time.time() - 7200
    os.utime(home / "sciad-old.tmp", (hours, hours))
    cache.shrink(home)
    assert not (home / "sciad-old.tmp").exists() and (home / "sciad-new.tmp").exists()


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes()[:50]),
    lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
    lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"),
    lambda path: path.write_bytes(b"\x7fELF" + path.read_bytes()),
], ids=["empty", "cut", "zeros", "changed", "shifted"])
@native
def test_a_damaged_entry_is_compiled_anew(home, damage):
    want = run(CODE, home)
    entries = list(home.glob("*.o"))
    assert entries
    for path in entries:
        damage(path)
    assert run(CODE, home) == want
    assert all(cache.read(path.stem) for path in home.glob("*.o"))


CODE = """
import numpy as np
import sciad
f = sciad.jit(lambda x: np.cos(x) * 0.123987, strict=True)
print(f(0.5))
"""


def start(code, home, **more):
    env = {**os.environ, "SCIAD_CACHE_DIR": str(home), "PYTHONPATH": os.getcwd(), **more}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finished(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out.strip()


def run(code, home, **more):
    return finished(start(code, home, **more))


@native
@pytest.mark.slow
def test_four_processes_share_an_empty_folder(home):
    processes = [start(CODE, home) for _ in range(4)]
    assert {float(finished(p)) for p in processes} == {np.cos(0.5) * 0.123987}
    assert not list(home.glob("*.tmp"))
    assert all(cache.read(path.stem) for path in home.glob("*.o"))


KILLED = """
import os, sys
from sciad.compiler import cache
replace = os.replace
os.replace = lambda *args: os._exit(9)
import numpy as np
import sciad
sciad.jit(lambda x: np.cos(x) * 0.123987, strict=True)(0.5)
"""


@native
@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_no_half_entry(home):
    process = start(KILLED, home)
    process.communicate(timeout=120)
    assert process.returncode == 9
    assert list(home.glob("*.tmp")) and not list(home.glob("*.o"))
    assert float(run(CODE, home)) == np.cos(0.5) * 0.123987


@native
@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(home):
    assert float(run(CODE, home)) == np.cos(0.5) * 0.123987
    home.chmod(0o500)
    try:
        assert float(run(CODE, home)) == np.cos(0.5) * 0.123987
    finally:
        home.chmod(0o700)


@native
def test_a_folder_that_cannot_be(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(home / "file" / "inside"))
    assert fresh(31)(1.0) == np.sin(1.0) * 31.5 + 31
    assert sciad.cache.size() == 0
    sciad.cache.clear()


@native
def test_a_read_entry_that_cannot_be_touched_still_serves(home, monkeypatch):
    cache.write("a", b"content")

    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.read("a") == b"content"


def test_recordings_in_memory_are_bounded():
    from sciad.compiler.specialise import Recordings

    recordings = Recordings(most=3)
    for k in range(5):
        recordings.put(k, str(k))
        assert recordings.get(2) == ("2" if k >= 2 else None)
    assert list(recordings.found) == [3, 4, 2]


class Counted:
    def __init__(self):
        self.calls = 1


def test_of_what_is_called_the_least_recent_goes():
    table, hot = Recent(4), Counted()
    table.add("hot", hot)
    for k in range(20):
        table.add(k, Counted())
        hot.calls += 1
        assert len(table) <= 4 and table.looked.keys() == table.keys()
    assert "hot" in table and 19 in table and 0 not in table
    table.clear()
    assert not table and not table.looked


@native
def test_a_function_of_many_shapes_remembers_some(monkeypatch):
    monkeypatch.setattr(jitting, "_MOST_KNOWN", 4)
    f = sciad.jit(lambda x: np.sum(x * 1.25), strict=True)
    hot = np.ones(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecompilationWarning)
        for n in range(2, 14):
            assert f(hot) == 1.25 and f(np.ones(n)) == f(np.ones(n)) == 1.25 * n
            assert len(f._known) <= 4 and len(f._fast[1]) <= 4 and len(f._state.recorded) <= 9
    calls = f.hits
    assert f(hot) == 1.25 and f.hits == calls + 1 and f(np.ones(2)) == 2.5
