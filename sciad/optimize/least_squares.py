"""Nonlinear least squares: SciPy's trust-region methods, given the exact Jacobian."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from sciad.core.errors import ArgumentError, RecordError, at_line
from sciad.core.record import recording
from sciad.optimize.packing import Packing, listed, undifferentiated
from sciad.optimize.residuals import Residuals

_DIFFERENCES = ("2-point", "3-point")


def least_squares(fun: Callable, x0: Any, jac: Callable | str | None = None,
                  bounds: Any = (-np.inf, np.inf), method: str = "trf",
                  ftol: float | None = 1e-8, xtol: float | None = 1e-8,
                  gtol: float | None = 1e-8, x_scale: Any = None,
                  loss: str | Callable = "linear", f_scale: float = 1.0, *,
                  max_nfev: int | None = None, verbose: int = 0, args: tuple = (),
                  kwargs: dict | None = None, jit: bool = True) -> optimize.OptimizeResult:
    """Minimise half the sum of squares of `fun`, with bounds on the variables.

    `scipy.optimize.least_squares` with an exact Jacobian, computed together with the residuals in
    one compiled function, and with containers for variables. The solution itself is not
    differentiated: a call inside `sciad.grad` raises if it would lose a derivative.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs)`` gives the residuals: a vector, or a number.
    x0 : array or container of real numbers and arrays
        The initial guess. A number or a list of numbers is an array, as in SciPy; any other
        container (dict, tuple, dataclass, ...) is what `fun` gets and what `result.x` is.
    jac : callable or {"2-point", "3-point"}, optional
        By default the exact Jacobian, in forward mode if there are no more variables than
        residuals and in reverse mode otherwise. A callable ``jac(x, *args, **kwargs)`` gives its
        own, shape (m, n); the names ask SciPy for finite differences.
    bounds : pair of numbers or containers, or scipy.optimize.Bounds
        Lower and upper bounds: each a number, or like `x0`.
    method : {"trf", "dogbox", "lm"}
    ftol, xtol, gtol : float or None
        Tolerances on the change of the cost, the change of the variables, the gradient.
    x_scale : number, container like `x0`, or "jac", optional
        Characteristic scale of each variable.
    loss : str or callable
        ``rho`` of a robust fit: "linear", "soft_l1", "huber", "cauchy", "arctan".
    f_scale : float
        Residuals beyond this are outliers to a robust loss.
    max_nfev : int, optional
        The most evaluations of the residuals.
    verbose : {0, 1, 2}
        Silent, a report at the end, or one line an iteration.
    args : tuple
        Further arguments of `fun` and `jac`.
    kwargs : dict, optional
        Keyword arguments of `fun` and `jac`.
    jit : bool
        Whether to compile. A function that cannot be recorded runs eagerly, with a warning.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's: `x` in the container of `x0`; `cost`, `fun`, `jac`, `grad`, `optimality`,
        `active_mask`, `status`, `message`, `success`. The columns of `jac` are the entries of
        `x0` in their order (the keys of a dict sorted). With the exact Jacobian, `nfev` and
        `njev` count what was computed: residuals and Jacobian come together until a trial is
        rejected, so `njev` may be one more than the method asked for.

    Raises
    ------
    ArgumentError
        If the residuals are not a finite vector at `x0`, the Jacobian is not finite, or bounds
        do not fit.
    LostGradientError
        If `x0`, or anything `fun` depends on, is being differentiated.

    Examples
    --------
    >>> import numpy as np
    >>> from sciad.optimize import least_squares
    >>> t = np.linspace(0.0, 3.0, 20)
    >>> y = 2.0 * np.exp(-1.5 * t)
    >>> def decay(p):
    ...     return p["height"] * np.exp(-p["rate"] * t) - y
    >>> fit = least_squares(decay, {"height": 1.0, "rate": 1.0})
    >>> print({name: round(float(value), 6) for name, value in fit.x.items()})
    {'height': 2.0, 'rate': 1.5}
    """
    where = at_line()
    if recording():
        raise RecordError(f"least_squares cannot be recorded{where}")
    packing = Packing(x0, where)
    options = {"bounds": _bounds(bounds, packing), "method": method, "ftol": ftol, "xtol": xtol,
               "gtol": gtol, "loss": loss, "max_nfev": max_nfev, "verbose": verbose,
               "f_scale": undifferentiated(f_scale, "f_scale", where)}
    if x_scale is not None:
        named = isinstance(x_scale, str)
        options["x_scale"] = x_scale if named else packing.ravel_like(x_scale, "x_scale")
    exact = _is_exact(jac, where)
    residuals = Residuals(fun, packing, tuple(args), kwargs or {}, jit, jac)
    result = optimize.least_squares(residuals.value, packing.x0,
                                    jac=residuals.jacobian if exact else jac, **options)
    if exact:
        result.nfev, result.njev = residuals.nfev, residuals.njev
    result.x = packing.unravel(result.x)
    return result


def _is_exact(jac, where: str) -> bool:
    if jac is None or callable(jac):
        return True
    if jac in _DIFFERENCES:
        return False
    raise ArgumentError(f"least_squares: jac is {jac!r}{where}, must be None (exact), a callable, "
                        "'2-point' or '3-point'")


def _bounds(bounds, packing: Packing) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(bounds, optimize.Bounds):
        bounds = (bounds.lb, bounds.ub)
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ArgumentError("least_squares: bounds must be a pair (lower, upper), each a number or "
                            f"like x0{packing.where}")
    lower = packing.ravel_like(bounds[0], "the lower bound")
    upper = packing.ravel_like(bounds[1], "the upper bound")
    _require(lower < upper, packing, "the lower bound is not below the upper bound at",
             lower, upper)
    _require((lower <= packing.x0) & (packing.x0 <= upper), packing,
             "x0 is out of bounds at", packing.x0, lower, upper)
    return lower, upper


def _require(right: np.ndarray, packing: Packing, what: str, *vectors) -> None:
    bad = np.flatnonzero(~right).tolist()
    if bad:
        numbers = (f"{packing.entry(k)} ({', '.join(str(v[k]) for v in vectors)})" for k in bad)
        raise ArgumentError(f"least_squares: {what} {listed(numbers)}{packing.where}")
