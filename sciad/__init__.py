"""sciad: derivatives of scientific programs in plain NumPy, at native speed."""

import importlib
from typing import TYPE_CHECKING

from sciad import numpy  # noqa: F401  (gives Array its operators and NumPy its functions)
from sciad.core.array import Array
from sciad.core.checking import check_grads
from sciad.core.checkpoint import checkpoint
from sciad.core.custom import custom_rule
from sciad.core.debugging import debug_nans
from sciad.core.errors import SciadError
from sciad.core.hook import gradient_hook
from sciad.core.jacobians import hessian, jacobian, wirtinger
from sciad.core.linearize import linearize
from sciad.core.ravel import ravel
from sciad.core.sparsity import sparsity
from sciad.core.transforms import (
    grad,
    hvp,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from sciad.core.tree import register
from sciad.core.version import VERSION
from sciad.numpy.patching import patch_numpy
from sciad.ops.control import cond, fori_loop, scan, vmap, while_loop

if TYPE_CHECKING:
    from sciad import cache
    from sciad.compiler.jit import FallbackWarning, jit
    from sciad.compiler.long_programs import LongProgramWarning
    from sciad.compiler.recompiling import RecompilationWarning
    from sciad.compiler.saved import load_compiled
    from sciad.compiler.threads import threads

__version__ = VERSION

__all__ = [
    "Array",
    "cache",
    "check_grads",
    "checkpoint",
    "cond",
    "custom_rule",
    "fori_loop",
    "debug_nans",
    "FallbackWarning",
    "grad",
    "gradient_hook",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "linearize",
    "load_compiled",
    "LongProgramWarning",
    "patch_numpy",
    "ravel",
    "RecompilationWarning",
    "register",
    "scan",
    "SciadError",
    "sparsity",
    "stop_gradient",
    "threads",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
    "wirtinger",
]


_NAMESPACES = ("cache", "compiler", "ode", "optimize", "random", "special")
_OF_THE_COMPILER = {
    "FallbackWarning": "jit",
    "jit": "jit",
    "load_compiled": "saved",
    "LongProgramWarning": "long_programs",
    "RecompilationWarning": "recompiling",
    "threads": "threads",
}
"""Read when they are first asked for, as the namespaces are: `import sciad` alone needs no
compiler."""


def __getattr__(name: str):
    if name in _OF_THE_COMPILER:
        module = importlib.import_module(f"sciad.compiler.{_OF_THE_COMPILER[name]}")
        globals()[name] = getattr(module, name)
        return globals()[name]
    if name in _NAMESPACES:
        return importlib.import_module(f"sciad.{name}")
    raise AttributeError(f"module 'sciad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_NAMESPACES})
