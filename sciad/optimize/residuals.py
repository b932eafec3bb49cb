"""Residuals and their exact Jacobian, as a trust-region method asks for them.

The method evaluates the residuals at a trial point and, if it accepts the point, asks for the
Jacobian there. Nearly every trial of a well-behaved fit is accepted, and a forward derivative
carries the value along with it. So both are computed together, by one function compiled once,
until the first trial is rejected; from then on a trial costs its residuals alone. At most one
Jacobian is computed in vain.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.compiler.jit import jit
from sciad.core import tree
from sciad.core.array import Array
from sciad.core.errors import ArgumentError, DTypeError
from sciad.core.graph import type_of
from sciad.core.primitive import pack
from sciad.core.transforms import jvp_unstaged, staged, vjp_unstaged
from sciad.numpy.shaping import concatenate, stack
from sciad.optimize.packing import Packing, listed, undifferentiated


class Residuals:
    """The residuals of one fit at a vector of parameters, and their Jacobian.

    Attributes
    ----------
    nfev, njev : int
        How many residuals and Jacobians were computed.

    With a `jac` given, the residuals are computed alone.
    """

    def __init__(self, fun: Callable, packing: Packing, args: tuple, kwargs: dict, compile: bool,
                 jac: Callable | str | None = None):
        self.packing, self.args, self.kwargs = packing, args, kwargs
        self._fun, self._both = _compiled(fun) if compile else (fun, value_and_jacobian(fun))
        self._jac = jac
        self._together = jac is None
        self._x: np.ndarray | None = None
        self._value: np.ndarray = np.empty(0)
        self._jacobian: np.ndarray | None = None
        self._accepted = True
        self.nfev = self.njev = 0

    def value(self, x: np.ndarray) -> np.ndarray:
        """The residuals at `x`, shape (m,)."""
        if not self._at(x):
            self._together = self._together and self._accepted
            self._accepted = False
            value, jacobian = self._compute(x)
            value = self._checked(value)
            if not self.nfev:
                self._require_finite(value)
            elif value.size != self._value.size:
                raise self._error(f"fun returned {value.size} residuals, {self._value.size} before")
            self._x, self._value, self._jacobian = x.copy(), value, jacobian
            self.nfev += 1
            self.njev += jacobian is not None
        return self._value.copy()

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The derivative of the residuals at `x` by the parameters, shape (m, n)."""
        self.value(x)
        self._accepted = True
        if callable(self._jac):
            self.njev += 1
            slopes = self._call(self._jac, x)
            return undifferentiated(slopes, "the result of jac", self.packing.where)
        if self._jacobian is None:
            self._jacobian = self._call(self._both, x)[1]
            self.njev += 1
        self._require_finite_columns(self._jacobian)
        return self._jacobian.copy()

    def _at(self, x):
        return self._x is not None and np.array_equal(x, self._x)

    def _call(self, function, x):
        return function(self.packing.unravel(x), *self.args, **self.kwargs)

    def _compute(self, x):
        if self._together:
            try:
                return self._call(self._both, x)
            except Exception:  # a derivative may not exist at a trial point that is then rejected
                if not self.nfev:
                    raise
                self._together = False
        return self._call(self._fun, x), None

    def _checked(self, value) -> np.ndarray:
        value = undifferentiated(as_vector(value), "the result of fun", self.packing.where)
        return np.array(value, dtype=np.float64)

    def _require_finite(self, value):
        bad = np.flatnonzero(~np.isfinite(value))
        if bad.size:
            raise self._error(f"{bad.size} of {value.size} residuals are not finite at x0: "
                              + listed(f"{k} is {value[k]}" for k in bad)
                              + "; start elsewhere, or set bounds")

    def _require_finite_columns(self, jacobian):
        if not np.isfinite(jacobian).all():
            bad = np.flatnonzero(~np.isfinite(jacobian).all(axis=0)).tolist()
            raise self._error("the derivative of the residuals by "
                              + listed(map(self.packing.entry, bad)) + " is not finite at x = "
                              + repr(self.packing.unravel(self._x)))

    def _error(self, what: str) -> ArgumentError:
        return ArgumentError(f"least_squares: {what}{self.packing.where}")


def _compiled(fun: Callable) -> tuple[Callable, Callable]:
    try:
        return _compiled_once(fun)
    except TypeError:  # an unhashable callable
        return _compiled_once.__wrapped__(fun)


@functools.lru_cache(maxsize=32)
def _compiled_once(fun: Callable) -> tuple[Callable, Callable]:
    """The compiled residuals, and residuals with Jacobian; a later fit finds them ready."""
    return jit(fun), jit(value_and_jacobian(fun))


def value_and_jacobian(fun: Callable) -> Callable:
    """Residuals (m,) and Jacobian (m, n) by all entries of the first argument, a container."""

    @functools.wraps(fun, updated=())
    def both(x, *args, **kwargs):
        leaves, structure = tree.flatten(x)

        def of_leaves(*leaves):
            return as_vector(fun(tree.unflatten(structure, list(leaves)), *args, **kwargs))

        f = staged(of_leaves, *leaves)
        value, first = _column(f, leaves, 0, 0)
        if type_of(value).size < sum(type_of(leaf).size for leaf in leaves):
            return _by_rows(f, leaves)
        columns = [_column(f, leaves, k, j)[1] for k, leaf in enumerate(leaves)
                   for j in range(type_of(leaf).size) if k or j]
        return value, stack([first, *columns], 1)

    return both


def _column(f, leaves, k, j):
    """The value, and its derivative by entry `j` of leaf `k`, in forward mode."""
    kind = type_of(leaves[k])
    unit = np.zeros(kind.size, kind.dtype)
    unit[j] = 1.0
    before, after = leaves[:k], leaves[k + 1:]
    return jvp_unstaged(lambda leaf: f(*before, leaf, *after), (leaves[k],),
                        (unit.reshape(kind.shape)[()],))


def _by_rows(f, leaves):
    value, pullback = vjp_unstaged(f, leaves)
    units = np.eye(type_of(value).size, dtype=type_of(value).dtype)
    rows = [concatenate([slope.reshape(-1) for slope in pullback(unit)]) for unit in units]
    return value, stack(rows, 0)


def as_vector(out: Any) -> Any:
    """What the user's function returned, as one array of shape (m,)."""
    if isinstance(out, (list, tuple)):
        out = np.array(out)
    if isinstance(out, np.ndarray) and out.dtype.hasobject:
        out = pack(out)
    if not isinstance(out, (Array, np.ndarray, np.generic, float, int)):
        raise ArgumentError("least_squares: fun must return an array of residuals, got a "
                            f"{type(out).__name__}")
    kind = type_of(out)
    if kind.dtype.kind == "c":
        raise DTypeError("least_squares: the residuals are complex; return their real and "
                         "imaginary parts, np.concatenate([r.real, r.imag])")
    if kind.dtype.kind not in "iufb":
        raise DTypeError(f"least_squares: the residuals have dtype {kind.dtype}, must be real")
    if kind.ndim > 1 or kind.size == 0:
        raise ArgumentError(f"least_squares: the residuals have shape {kind.shape}; return a "
                            "vector (r.ravel()) or a number")
    return out if kind.ndim else np.reshape(out, (1,))
