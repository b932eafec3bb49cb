"""Dense solves.

    x = A^-1 b        dx = A^-1 (db - dA x)        b* = A^-H g,   A* = -b* x^H
"""

import numpy as np

from sciad.core.backend import as_operand
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type
from sciad.core.patterns import lines
from sciad.core.rules import General, is_complex
from sciad.ops.products import _adjoint, matmul_p
from sciad.ops.shape import reshape, unbroadcast


def _solve_type(a, b):
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    dtypes = (x.dtype if x.dtype.kind in "fc" else np.float64 for x in (a, b))
    return Type((*batch, *b.shape[-2:]), np.result_type(*dtypes, np.float32))


def _solve_jvp(tangents, x, args, params):
    da, db = tangents
    a = args[0]
    right = db
    if da is not None:
        change = matmul_p(da, x)
        right = -change if db is None else db - change
    return solve_p(a, right)


def _solve_vjp(g, needs, x, args, params):
    a, b = args
    gb = solve_p(_adjoint(a), g)
    ga = None
    if needs[0]:
        ga = _like(unbroadcast(-matmul_p(gb, _adjoint(x)), a.shape), a)
    return [ga, _like(unbroadcast(gb, b.shape), b) if needs[1] else None]


def _like(g, x):
    return g.real if is_complex(g) and not is_complex(x) else g


def _pattern(k, out, args, params):
    """Dense by the matrix; each column of the solution on its own right-hand side."""
    last = len(args[k].shape) - 1
    return lines(args[k], (last - 1,) if k else (last - 1, last), out)


solve_p = General("solve", np.linalg.solve, _solve_type, _solve_jvp, _solve_vjp,
                  pattern=_pattern)


def solve(a, b):
    """Solve ``a @ x = b`` for a vector or a matrix `b`, NumPy's meaning for stacks.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is singular.
    """
    a, b = as_operand(a), as_operand(b)
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise ArgumentError(f"solve: the matrix has shape {a.shape}, must be square{at_line()}")
    if not b.shape or b.shape[0 if len(b.shape) == 1 else -2] != a.shape[-1]:
        raise ArgumentError(f"solve: shapes {a.shape} and {b.shape} do not fit{at_line()}")
    if len(b.shape) == 1:
        x = solve_p(a, reshape(b, (-1, 1)))
        return reshape(x, x.shape[:-1])
    return solve_p(a, b)


