"""Machine code kept between processes: one small file per object, named by what made it.

Entries are written to a temporary file and moved into place, so that readers and concurrent
writers only ever see whole ones; each carries its own digest, and one that does not match is
thrown away.  The folder's size is bounded; the entries least recently written go first.
"""

import hashlib
import os
import tempfile
from pathlib import Path

VERSION = "1"
MAX_BYTES = 256 * 2**20
_DIGEST = 32
_writes = 0


def folder() -> Path:
    """Where the entries are: ``SCIAD_CACHE_DIR``, else the user's cache folder."""
    if chosen := os.environ.get("SCIAD_CACHE_DIR"):
        return Path(chosen)
    if os.name == "nt" and (base := os.environ.get("LOCALAPPDATA")):
        return Path(base) / "sciad"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sciad"


def key(*parts: str) -> str:
    """The name of the entry made from these texts."""
    digest = hashlib.sha256(VERSION.encode())
    for part in parts:
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()


def read(name: str) -> bytes | None:
    """The entry's bytes; None where there is none that is whole."""
    path = folder() / f"{name}.o"
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(data).digest() == digest:
        return data
    path.unlink(missing_ok=True)
    return None


def write(name: str, data: bytes) -> None:
    """Keep an entry.  A folder that cannot be written to only means that nothing is kept."""
    global _writes
    home = folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=home, prefix="sciad-", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.replace(temporary, home / f"{name}.o")
        except BaseException:
            os.unlink(temporary)
            raise
        _writes += 1
        if _writes % 64 == 1:
            shrink(home)
    except OSError:
        return


def _entries(home: Path) -> list[tuple[float, int, str]]:
    """(time written, size, path) of every file that this module made, oldest first."""
    found = []
    for entry in os.scandir(home) if home.is_dir() else ():
        if entry.name.endswith((".o", ".tmp")):
            try:
                info = entry.stat()
            except FileNotFoundError:  # another process removed it
                continue
            found.append((info.st_mtime, info.st_size, entry.path))
    return sorted(found)


def shrink(home: Path, limit: int = MAX_BYTES) -> None:
    """Remove the oldest entries until the folder is below ``limit`` bytes."""
    entries = _entries(home)
    total = sum(size for _, size, _ in entries)
    for _, size, path in entries:
        if total <= limit:
            break
        Path(path).unlink(missing_ok=True)
        total -= size


def clear() -> None:
    """Remove every entry."""
    for _, _, path in _entries(folder()):
        Path(path).unlink(missing_ok=True)
