"""Machine code kept between processes: one small file per object, named by what made it.

Entries are written to a temporary file and moved into place, so that readers and concurrent
writers only ever see whole ones; each carries its own digest, and one that does not match is
thrown away.  The folder's size is bounded; the entries least recently used go first.
"""

import hashlib
import os
import tempfile
import time
from pathlib import Path

from sciad.core.errors import ArgumentError
from sciad.core.version import VERSION

MAX_BYTES = 256 * 2**20
_DIGEST = 32
_STALE = 3600.0
"""Seconds after which a temporary file is what a killed writer left."""
_writes = 0
_limit: int | None = None


def folder() -> Path:
    """Where the entries are: ``SCIAD_CACHE_DIR``, else the user's cache folder."""
    if chosen := os.environ.get("SCIAD_CACHE_DIR"):
        return Path(chosen)
    if os.name == "nt" and (base := os.environ.get("LOCALAPPDATA")):
        return Path(base) / "sciad"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sciad"


def limit(most: int | None = None) -> int:
    """The bytes that the folder may take, after setting them for this process if `most` is given.

    The first of these counts: what was set, ``SCIAD_CACHE_BYTES``, 256 MiB.

    Examples
    --------
    >>> import sciad
    >>> before = sciad.cache.limit()
    >>> sciad.cache.limit(2**30)
    1073741824
    >>> _ = sciad.cache.limit(before)
    """
    global _limit
    if most is not None:
        if most < 0:
            raise ArgumentError(f"cache.limit({most}): a number of bytes, 0 to keep nothing")
        _limit = int(most)
        shrink(folder(), _limit)
    if _limit is not None:
        return _limit
    text = os.environ.get("SCIAD_CACHE_BYTES", "")
    return int(text) if text.isdigit() else MAX_BYTES


def size() -> int:
    """The bytes that the entries take now."""
    return sum(size for _, size, _ in _entries(folder()))


def key(*parts: str) -> str:
    """The name of the entry made from these texts by this version of sciad."""
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
    try:
        if hashlib.sha256(data).digest() == digest:
            os.utime(path)
            return data
        path.unlink(missing_ok=True)
    except OSError:  # a folder that is read only
        return data if hashlib.sha256(data).digest() == digest else None
    return None


def write(name: str, data: bytes) -> None:
    """Keep an entry.  A folder that cannot be written to only means that nothing is kept."""
    global _writes
    home, most = folder(), limit()
    if not most:
        return
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
            shrink(home, most)
    except OSError:
        return


def _entries(home: Path) -> list[tuple[float, int, str]]:
    """(time of use, size, path) of every file that this module made, oldest first."""
    found = []
    for entry in os.scandir(home) if home.is_dir() else ():
        if entry.name.endswith((".o", ".tmp")):
            try:
                info = entry.stat()
            except FileNotFoundError:  # another process removed it
                continue
            found.append((info.st_mtime, info.st_size, entry.path))
    return sorted(found)


def shrink(home: Path, most: int = MAX_BYTES) -> None:
    """Remove the entries least recently used until the folder is below ``most`` bytes, and what
    killed writers left."""
    entries = _entries(home)
    total = sum(size for _, size, _ in entries)
    old = time.time() - _STALE
    for used, size, path in entries:
        if total > most or path.endswith(".tmp") and used < old:
            Path(path).unlink(missing_ok=True)
            total -= size


def clear() -> None:
    """Remove every entry; what is in memory goes on."""
    for _, _, path in _entries(folder()):
        Path(path).unlink(missing_ok=True)
