r"""Native solves of y' = f(t, y, theta) with explicit Runge-Kutta pairs, and their derivatives.

Four programs in the loop IR, each written once for every tableau and dimension.

``march``    the adaptive solve: finds the steps, saves them, and fills the dense output as it goes.
``replay``   the same arithmetic with the steps given; its numbers equal march's bit for bit.
``tangent``  replay's derivative along one direction.
``adjoint``  replay's derivative, transposed: the discrete adjoint.

They reach the model through function pointers, each returning a status, 0 for success:

    rhs(t, y*, theta*, dy*)                                       dy = f
    jvp(t, y*, theta*, tdot, ydot*, thetadot*, dydot*)            dydot = f_t tdot + f_y ydot + ...
    vjp(t, y*, theta*, g*, gt*, gy*, gtheta*)                     gt += f_t^T g, gy += f_y^T g, ...

Calling
-------
``load(kind, tableau, n)`` gives the compiled function; ``parameters(kind, tableau)`` names its
arguments.  Arrays are float64 and C-contiguous: states row by row (``ys`` is (cap, n), ``out`` is
(m, n)); ``counters`` is int64.  The caller supplies ``work`` with ``workspace(kind, tableau, n)``
elements.  ``t_eval`` runs in the direction of integration and lies between t0 and t1.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from sciad.compiler import llvm, loops
from sciad.compiler.loops import Function
from sciad.ode.kernel_march import march
from sciad.ode.kernel_program import FULL, MAX_STEPS, NON_FINITE, OK, UNDERFLOW
from sciad.ode.kernel_replay import adjoint, replay, tangent
from sciad.ode.tableau import Tableau

__all__ = ["FULL", "MAX_STEPS", "NON_FINITE", "OK", "UNDERFLOW", "dimension", "load", "parameters",
           "workspace"]

# Dimensions up to this one have a kernel of their own: measured, it compiles in a third of the time
# of the one that reads its dimension at run time and runs as fast; beyond, the latter runs faster.
UNROLLED = 4

KERNELS = {"march": march, "replay": replay, "tangent": tangent, "adjoint": adjoint}


def dimension(n: int) -> int | None:
    """The dimension that a kernel is compiled for: None where it is read at run time."""
    return n if n <= UNROLLED else None


@lru_cache(maxsize=128)
def program(kind: str, tableau: Tableau, n: int | None) -> tuple[Function, int]:
    """The loop program of a kernel, and how many vectors its workspace holds."""
    return KERNELS[kind](tableau, n)


def parameters(kind: str, tableau: Tableau) -> list[tuple[str, str]]:
    """Names and types of a kernel's arguments, in order."""
    return program(kind, tableau, None)[0].params


def workspace(kind: str, tableau: Tableau, n: int) -> int:
    """How many elements ``work`` needs."""
    return max(1, program(kind, tableau, dimension(n))[1] * n)


@lru_cache(maxsize=128)
def _compiled(kind: str, tableau: Tableau, n: int | None):
    function, _ = program(kind, tableau, n)
    kinds = ["array" if loops.is_buffer(type) else type for _, type in function.params]
    return llvm.entry(function, kinds, nogil=True)


def _evaluated(kind: str, tableau: Tableau, n: int | None):
    function, _ = program(kind, tableau, n)

    def run(*args):
        flat = [_flat(x) for x in args]
        return int(loops.evaluate(function, *flat)) or None

    return run


def _flat(x):
    """A buffer as the evaluator takes it: one-dimensional and writeable, over the same memory."""
    if not isinstance(x, np.ndarray):
        return x
    return x.reshape(-1) if x.flags.writeable else x.reshape(-1).copy()


def load(kind: str, tableau: Tableau, n: int):
    """The compiled kernel for dimension n, as a Python function.

    Function pointers are passed as integers.  Returns None, or a status that is not OK.  Without
    native code it is the program evaluated in Python, and function pointers are callables.
    """
    if not llvm.available():
        return _evaluated(kind, tableau, dimension(n))
    return _compiled(kind, tableau, dimension(n))


def inlined(kind: str, tableau: Tableau, n: int, models: dict[str, str], name: str) -> Function:
    """The program of a kernel that calls functions of its own module instead of pointers.

    `models` names the function that stands for each pointer; the pointers are no longer
    parameters.
    """
    function, _ = program(kind, tableau, dimension(n))
    params = [param for param in function.params if param[0] not in models]
    return replace(function, name=name, params=params, body=_retargeted(function.body, models))


def _retargeted(body: list, models: dict[str, str]) -> list:
    def new(s):
        match s:
            case loops.Call() if isinstance(s.target, loops.Name) and s.target.name in models:
                return replace(s, target=models[s.target.name])
            case loops.Loop():
                return replace(s, body=_retargeted(s.body, models))
            case loops.While():
                return replace(s, head=_retargeted(s.head, models),
                               body=_retargeted(s.body, models))
            case loops.If():
                return replace(s, then=_retargeted(s.then, models),
                               orelse=_retargeted(s.orelse, models))
        return s

    return [new(s) for s in body]
