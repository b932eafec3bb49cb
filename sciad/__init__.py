"""sciad: derivatives of scientific programs in plain NumPy, at native speed."""

from sciad import numpy  # noqa: F401  (gives Array its operators and NumPy its functions)
from sciad.compiler.jit import jit
from sciad.core.array import Array
from sciad.core.checking import check_grads
from sciad.core.errors import SciadError
from sciad.core.transforms import (
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from sciad.core.tree import register
from sciad.ops.control import cond, scan, while_loop

__version__ = "0.1.0"

__all__ = [
    "Array", "SciadError", "check_grads", "cond", "grad", "hessian", "hvp", "jacobian", "jit",
    "jvp", "register", "scan", "stop_gradient", "value_and_grad", "vjp", "while_loop",
]
