"""Whose code a module is: a library's that does not change, an installed package's, the user's."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

_LIBRARIES = frozenset({"sciad", "numpy", "scipy", "optree", "llvmlite", "matplotlib",
                        *sys.stdlib_module_names})
_INSTALLED = ("site-packages", "dist-packages")


def is_library(module: Any) -> bool:
    """Whether what a module of this name holds stays as it is."""
    if not isinstance(module, str):  # classes made in C may lack a name
        return True
    return module.partition(".")[0] in _LIBRARIES and module != "__main__"


def is_installed(module: Any) -> bool:
    """Whether a module of this name belongs to an installed package: its functions are followed
    where the user's code names them, and no further than the globals that they read."""
    return isinstance(module, str) and _installed(module.partition(".")[0])


@functools.lru_cache(maxsize=4096)
def _installed(package: str) -> bool:
    module = sys.modules.get(package)
    file = vars(module).get("__file__") if isinstance(module, types.ModuleType) else None
    return isinstance(file, str) and any(part in file for part in _INSTALLED)
