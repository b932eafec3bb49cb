"""Machine code kept between processes: one small file per object, named by what made it.

Entries are written to a temporary file and moved into place, so that readers and concurrent
writers only ever see whole ones; each carries a digest of its name and content, and one that does
not match is thrown away.  The folder's size is bounded; the entries least recently used go first,
a tenth of the bound at a time, so that a full folder is not looked through at each write.
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
_LOOK_AGAIN = 64
"""Writes after which a process looks how much the others have written."""
_ROOM = 0.9
_known: dict[Path, tuple[int, int]] = {}
"""Of each folder: the bytes in it as far as this process knows, and its writes since it looked."""
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
        _known.pop(folder(), None)
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
    whole = _digest(name, data) == digest
    try:
        os.utime(path) if whole else path.unlink(missing_ok=True)
    except OSError:  # a folder that is read only
        pass
    return data if whole else None


def _digest(name: str, data: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + data).digest()


def write(name: str, data: bytes) -> None:
    """Keep an entry.  A folder that cannot be written to only means that nothing is kept."""
    home, most = folder(), limit()
    if not most:
        return
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=home, prefix="sciad-", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(name, data) + data)
            os.replace(temporary, home / f"{name}.o")
        except BaseException:
            os.unlink(temporary)
            raise
        _bound(home, most, _DIGEST + len(data))
    except OSError:
        return


def _bound(home: Path, most: int, new: int) -> None:
    """Keep the folder within its bound after a write of so many bytes."""
    taken, writes = _known.get(home, (0, _LOOK_AGAIN))
    taken, writes = taken + new, writes + 1
    if writes > _LOOK_AGAIN:
        taken, writes = shrink(home, most), 0
    if taken > most:
        taken, writes = shrink(home, int(_ROOM * most)), 0
    _known[home] = taken, writes


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


def shrink(home: Path, most: int = MAX_BYTES) -> int:
    """Remove the entries least recently used until the folder is below ``most`` bytes, and what
    killed writers left; gives the bytes that remain."""
    entries = _entries(home)
    total = sum(size for _, size, _ in entries)
    old = time.time() - _STALE
    for used, size, path in entries:
        if total > most or path.endswith(".tmp") and used < old:
            Path(path).unlink(missing_ok=True)
            total -= size
    return total


def clear() -> None:
    """Remove every entry; what is in memory goes on."""
    for _, _, path in _entries(folder()):
        Path(path).unlink(missing_ok=True)
    _known.pop(folder(), None)
