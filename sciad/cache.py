"""The disk cache of machine code: where it is, how large it is and may be, and how to empty it.

What is compiled is kept in a folder, under a digest of the LLVM text, the versions of sciad and of
LLVM, and the CPU with its features: another program, version or machine finds other entries. The
next process that needs the code reads it instead of compiling. Entries are written whole and carry
a digest, so several processes may share the folder; a damaged entry is compiled anew.

The environment variables ``SCIAD_CACHE_DIR`` and ``SCIAD_CACHE_BYTES`` set the folder and the most
bytes it may take.
"""

from sciad.compiler.cache import clear, folder, limit, size

__all__ = ["clear", "folder", "limit", "size"]
