"""Graph -> machine code: passes, lowering to loops, LLVM."""

import importlib


def __getattr__(name: str):
    """Read when it is first asked for: a part of the compiler alone needs no other."""
    if name == "jit":
        return importlib.import_module("sciad.compiler.jit")
    raise AttributeError(f"module 'sciad.compiler' has no attribute {name!r}")
