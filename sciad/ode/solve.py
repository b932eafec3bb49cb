"""solve_ivp: SciPy's interface over native kernels and their adjoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sciad.compiler.callbacks import throw
from sciad.compiler.values import FIRST_STATUS
from sciad.core.array import Array, plain
from sciad.core.capacity import capacity
from sciad.core.errors import ArgumentError, BoundsError, RecordError, UntoldError, at_line
from sciad.core.transforms import stop_gradient
from sciad.ode import arguments as _arguments
from sciad.ode import lowering as _lowering
from sciad.ode.model import CallbackModel, Model, called_back, model_of
from sciad.ode.program import step
from sciad.ode.solution import METHODS, failure, march, march_p, padded, replay_p, solution_p
from sciad.ops import shape
from sciad.ops.indexing import index_set

REGISTERED = (_lowering,)


class _Raised(Exception):
    """The native right-hand side came to a ``raise``."""


class OdeResult:
    """A solution, with SciPy's fields.

    Attributes
    ----------
    t : ndarray, shape (m,)
        Output times.
    y : ndarray, shape (n, m)
        The states there.
    steps : ndarray, shape (s,)
        The times of the steps taken; ``solve_ivp(..., steps=sol.steps)`` replays them.
    nfev : int
        Evaluations of the right-hand side.
    accepted, rejected : int
        Steps.
    status : int
        0: the end was reached.
    message : str
    success : bool
    native : bool
        Whether the right-hand side ran as machine code; `reason` says why not.
    """

    def __init__(self, t, y, steps, counters, model):
        self.t = t
        self.y = y
        self.steps = steps
        self.counters = counters
        self.status = 0
        self.message = "The solver successfully reached the end of the integration interval."
        self.success = True
        self.t_events = self.y_events = self.sol = None
        self.njev = self.nlu = 0
        self.native = isinstance(model, Model)
        self.reason = "" if self.native else model.reason

    @property
    def nfev(self):
        return self._counter(0)

    @property
    def accepted(self):
        return self._counter(1)

    @property
    def rejected(self):
        return self._counter(2)

    def _counter(self, k):
        count = self.counters[k]
        return count if isinstance(count, Array) else int(count)

    def __getitem__(self, name):
        return getattr(self, name)

    def __repr__(self):
        y = self.y
        where = "native" if self.native else f"called back in Python ({self.reason})"
        if isinstance(y, Array):
            return f"<OdeResult: y of shape {y.shape}, {where}>"
        return (f"<OdeResult: t {self.t[0]:g} to {self.t[-1]:g}, y of shape {y.shape}, "
                f"{self.accepted} steps, {self.rejected} rejected, {self.nfev} evaluations, "
                f"{where}>")


def solve_ivp(fun: Callable, t_span: Sequence[float], y0: Any, method: str = "RK45",
              t_eval: Any = None, *, args: Any = None, rtol: Any = 1e-3, atol: Any = 1e-6,
              first_step: float | None = None, max_step: float = np.inf,
              max_steps: int = 100_000, steps: Any = None, dense_output: bool = False,
              events: Any = None, vectorized: bool = False) -> OdeResult:
    """Solve ``dy/dt = fun(t, y, *args)`` from ``y(t0) = y0``, differentiably.

    Parameters
    ----------
    fun : callable
        The right-hand side in plain NumPy: scalar t, y of shape (n,), extra arguments; returns
        n numbers (array, list or tuple). It is recorded once and runs as machine code; one that
        cannot be recorded is called back in Python.
    t_span : pair of float
        First and last time; either direction.
    y0 : array_like, shape (n,)
        Initial state (float64).
    method : {"RK45", "Tsit5"}
        Dormand and Prince's pair, as SciPy's, or Tsitouras' (2011).
    t_eval : array_like, optional
        Output times, sorted along the direction and within `t_span`; by default the steps taken.
    args : tuple, optional
        Extra arguments of `fun`: numbers, arrays and containers of them. What is no tuple or list
        counts as the one argument.
    rtol, atol : float, float or array_like of shape (n,)
        The local error is kept below ``atol + rtol * abs(y)``, in root mean square.
    first_step, max_step : float
        As SciPy's.
    max_steps : int
        Attempted steps after which the solve fails.
    steps : array_like, optional
        Step times from t0 to t1: replay these instead of choosing steps. Differences of a replay
        are meaningful, those of an adaptive solve are not.

    Returns
    -------
    OdeResult
        With SciPy's fields. ``y`` depends differentiably on `args`, `y0`, `t_span`, `t_eval`,
        `steps` and on everything that `fun` closes over. The derivative is the discrete one: of
        the numbers that were computed, with the step sizes held.

    Raises
    ------
    SolveError
        If the solve does not reach the end: step size underflow, a state that is not finite,
        `max_steps`. The message names the time.
    ArgumentError
        If arguments do not fit.

    References
    ----------
    Dormand, Prince, "A family of embedded Runge-Kutta formulae", 1980; Tsitouras, "Runge-Kutta
    pairs of order 5(4) satisfying only the first column simplifying assumption", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> from sciad.ode import solve_ivp
    >>> def decay(t, y, rate):
    ...     return -rate * y
    >>> def last(rate):
    ...     sol = solve_ivp(decay, (0.0, 1.0), [1.0], t_eval=[1.0], args=(rate,),
    ...                     rtol=1e-9, atol=1e-9)
    ...     return sol.y[0, -1]
    >>> value, slope = sciad.value_and_grad(last)(2.0)
    >>> bool(abs(value - np.exp(-2.0)) < 1e-8), bool(abs(slope + np.exp(-2.0)) < 1e-8)
    (True, True)
    """
    _arguments.refuse(fun, method, dense_output, events)
    t0, t1 = _arguments.span(t_span)
    y0 = _arguments.vector(y0, "y0")
    if not y0.shape[0]:
        raise ArgumentError(f"solve_ivp: y0 is empty{at_line()}")
    t_eval = None if t_eval is None else _arguments.output_times(t_eval, t0, t1)
    controls = _arguments.controls(rtol, atol, first_step, max_step, y0.shape[0])
    if not isinstance(max_steps, (int, np.integer)) or max_steps < 1:
        raise ArgumentError(f"solve_ivp: max_steps is {max_steps!r}, must be a positive "
                            f"integer{at_line()}")
    args = _arguments.arguments(args)
    model, leaves = model_of(fun, args, y0.shape[0])
    problem = _Problem(model, method, t0, t1, y0, t_eval, leaves)
    if _arguments.same(t0, t1):
        return problem.standstill()
    if steps is None and _arguments.abstract(t0, t1, y0, t_eval, *controls, *leaves):
        return problem.recorded(controls, max_steps)
    times = None if steps is None else _arguments.step_times(steps, t0, t1)

    def solved(problem):
        return problem.solved(controls, max_steps) if times is None else problem.replayed(times)

    try:
        return solved(problem)
    except (_Raised, BoundsError, UntoldError):  # Python shall tell what is raised, and where
        model, leaves = called_back(fun, args, y0.shape[0], "it raises an exception")
        return solved(_Problem(model, method, t0, t1, y0, t_eval, leaves))


class _Problem:
    def __init__(self, model, method, t0, t1, y0, t_eval, leaves):
        self.model, self.method = model, method
        self.t0, self.t1, self.y0, self.t_eval, self.leaves = t0, t1, y0, t_eval, leaves
        self.params = {"model": model, "method": method}

    def solved(self, controls, max_steps) -> OdeResult:
        """The adaptive solve with data at hand."""
        t_eval = np.empty(0) if self.t_eval is None else plain(self.t_eval)
        numbers = [np.asarray(plain(x)) for x in self.leaves]
        t0, t1, y0 = float(plain(self.t0)), float(plain(self.t1)), plain(self.y0)
        out, ts, ys, counters, status = march(
            self.model, self.method, t0, t1, y0, t_eval, tuple(map(plain, controls)), numbers,
            max_steps)
        if status is not None:
            throw(status)
            raise _Raised if status >= FIRST_STATUS else failure(
                status, ts[counters[1]], self.model)
        count = int(counters[1])
        steps = ts[:count + 1]
        if self.t_eval is None:
            times, out = self._steps_of(steps, count), ys[:count + 1]
        else:
            times = self.t_eval
        if any(isinstance(x, Array) for x in (self.t0, self.t1, self.y0, times, *self.leaves)):
            room = 1 << count.bit_length()  # solves of about as many steps then share the code of
            ts, ys = padded(ts, count, room), padded(ys, count, room)  # their second derivatives
            out = self._differentiable(out, ys, count, self._steps_of(ts, count), times)
        return self._result(times, out, steps, counters)

    def _steps_of(self, ts, count):
        """The step times, the first and the last as functions of t_span."""
        for place, end in ((0, self.t0), (count, self.t1)):
            if isinstance(end, Array):
                ts = index_set(ts, end, place)
        return ts

    def _differentiable(self, out, ys, steps, ts, times):
        variables = (ts, self.y0, times, *self.leaves)
        if not any(isinstance(x, Array) for x in variables):
            return out
        for x in (out, ys, ts):
            if isinstance(x, np.ndarray):
                x.flags.writeable = False  # saved for the backward pass as it is
        if isinstance(times, np.ndarray):
            times = times.copy()
            times.flags.writeable = False
        variables = (ts, self.y0, times, *self.leaves)
        return solution_p(out, ys, steps, *variables, **self.params)

    def _result(self, times, out, steps, counters) -> OdeResult:
        y = shape.transpose_p(out, axes=(1, 0))
        plain_times = times if isinstance(times, Array) else np.array(times)
        return OdeResult(plain_times, y, steps, counters, self.model)

    def replayed(self, ts) -> OdeResult:
        """The steps are given."""
        times = ts if self.t_eval is None else self.t_eval
        if _arguments.abstract(ts, self.y0, times, *self.leaves):
            self._require_native()
        fixed = [stop_gradient(x) for x in (ts, self.y0, times, *self.leaves)]
        out, ys = replay_p(*fixed, **self.params)
        out = ys if self.t_eval is None else out
        count = ts.shape[0] - 1
        out = self._differentiable(out, ys, count, ts, times)
        counters = np.array([count * (METHODS[self.method].stages - 1) + 1, count, 0, 0])
        return self._result(times, out, stop_gradient(ts), counters)

    def _require_native(self):
        if isinstance(self.model, CallbackModel):
            raise RecordError(f"the right-hand side cannot be recorded: {self.model.reason}")

    def recorded(self, controls, max_steps) -> OdeResult:
        """While recording: room for a bounded number of steps, grown by `jit` when it is full."""
        if self.t_eval is None:
            raise RecordError("solve_ivp without t_eval returns as many points as it takes steps, "
                              "which is not known while recording; give t_eval")
        self._require_native()
        rtol, atol, first_step, max_step = map(stop_gradient, controls)
        fixed = [stop_gradient(x) for x in (self.y0, self.t_eval)]
        out, ts, ys, counters = march_p(
            stop_gradient(self.t0), stop_gradient(self.t1), rtol, first_step, max_step, *fixed,
            atol, *map(stop_gradient, self.leaves), **self.params, max_steps=max_steps,
            capacity=capacity())
        count = counters[1]
        out = self._differentiable(out, ys, count, self._steps_of(ts, count), self.t_eval)
        return self._result(self.t_eval, out, ts, counters)

    def standstill(self) -> OdeResult:
        """t0 equals t1: nothing moves, but the state still depends on when that is."""
        ts = shape.stack([self.t0, self.t1], 0)
        times = ts if self.t_eval is None else self.t_eval
        rows = [self._reached(times[k]) for k in range(times.shape[0])]
        out = shape.stack(rows, 0) if rows else np.empty((0, self.model.n))
        steps = np.array([plain(self.t0), plain(self.t1)])
        return self._result(times, out, steps, np.zeros(4, np.int64))

    def _reached(self, t):
        """The state at `t`, equal to t0: y0, or where times are followed one step of length 0."""
        if not any(isinstance(x, Array) for x in (self.t0, t)):
            return self.y0
        return step(self.model, METHODS[self.method], self.t0, t - self.t0, self.y0,
                    self.leaves)[0]
