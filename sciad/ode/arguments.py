"""The arguments of solve_ivp, checked and in the form that the operations take.

What is being recorded has no value yet: such a check becomes part of the compiled program, and
stops it with the same error.
"""

from __future__ import annotations

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, has_data, plain
from sciad.core.backend import home_of
from sciad.core.errors import ArgumentError, DTypeError, at_line
from sciad.core.primitive import pack
from sciad.core.structure import Frozen
from sciad.ode.solution import METHODS
from sciad.ops import shape
from sciad.ops.control import check_p
from sciad.ops.elementwise import sign
from sciad.ops.indexing import index_set
from sciad.ops.reduce import min_


def refuse(fun, method, dense_output, events):
    if not callable(fun):
        raise ArgumentError(f"solve_ivp: fun is a {type(fun).__name__}, must be a function "
                            f"fun(t, y, *args){at_line()}")
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError(f"solve_ivp: method is {method!r}, must be one of "
                            f"{sorted(METHODS)}{at_line()}")
    if dense_output:
        raise ArgumentError("solve_ivp: dense_output=True is not supported; give the output times "
                            f"as t_eval{at_line()}")
    if events is not None:
        raise ArgumentError(f"solve_ivp: events are not supported{at_line()}")


def _number(x, name):
    if isinstance(x, Array):
        if x.shape:
            raise ArgumentError(f"solve_ivp: {name} has shape {x.shape}, must be a number"
                                f"{at_line()}")
        return _floats(x, name)
    try:
        return float(x)
    except (TypeError, ValueError):
        raise ArgumentError(f"solve_ivp: {name} is {x!r}, must be a number{at_line()}") from None


def span(t_span):
    try:
        t0, t1 = t_span
    except (TypeError, ValueError):
        raise ArgumentError(f"solve_ivp: t_span must be a pair (t0, t1), got {t_span!r}"
                            f"{at_line()}") from None
    t0, t1 = _number(t0, "t0"), _number(t1, "t1")
    for name, t in (("t0", t0), ("t1", t1)):
        _require(t, np.isfinite, name, "must be finite")
    if abstract(t0, t1):
        t1 = _checked(t1, t1 != t0, "t0 and t1 are equal, which a compiled solve does not take")
    return t0, t1


def vector(x, name):
    x = _floats(x, name)
    if len(x.shape) != 1:
        raise ArgumentError(f"solve_ivp: {name} has shape {x.shape}, must be one-dimensional"
                            f"{at_line()}")
    return x


def require_host(x, name):
    """Raise where an argument, or a part of it, lives on a device."""
    home = home_of(*tree.flatten(x)[0])
    if home is not None and home.evaluate is None:
        raise DTypeError(f"solve_ivp: {name} holds an array of {home.name}, but solve_ivp runs on "
                         f"the CPU{at_line()}; pass {home.name}.asnumpy(...) of it, or write the "
                         "steps as operations on the device")


def _floats(x, name):
    require_host(x, name)
    if not isinstance(x, Array):
        x = np.asarray(x)
        x = pack(x) if x.dtype.hasobject and x.size else x
    if x.dtype.kind == "c":
        raise DTypeError(f"solve_ivp: {name} is complex; solve for real and imaginary parts"
                         f"{at_line()}")
    if x.dtype.kind not in "fiub":
        raise DTypeError(f"solve_ivp: {name} has dtype {x.dtype}, must be numbers{at_line()}")
    return x if x.dtype == np.float64 else x.astype(float)


def output_times(t_eval, t0, t1):
    """`t_eval`, sorted from t0 to t1 and between them."""
    times = vector(t_eval, "t_eval")
    if not times.shape[0]:
        return times
    if abstract(times, t0, t1):
        steps = _gaps(t0, times, t1) * sign(t1 - t0)
        return _checked(times, min_(steps) >= 0.0, "t_eval must be sorted from t0 to t1 and lie "
                                                   "between them")
    ts, a, b = plain(times), float(plain(t0)), float(plain(t1))
    rising = ts if b >= a else ts[::-1]
    if not (rising[0] >= min(a, b) and rising[-1] <= max(a, b)
            and (rising[1:] >= rising[:-1]).all()):
        _refuse_times(ts, rising, a, b)
    return times


def _refuse_times(ts, rising, a, b):
    if not np.isfinite(ts).all():
        raise ArgumentError(f"solve_ivp: t_eval holds a time that is not finite{at_line()}")
    if (rising[1:] < rising[:-1]).any():
        raise ArgumentError(f"solve_ivp: t_eval is not sorted from t0 to t1{at_line()}")
    raise ArgumentError(f"solve_ivp: t_eval, from {ts[0]:g} to {ts[-1]:g}, leaves t_span "
                        f"({a:g}, {b:g}){at_line()}")


def step_times(steps, t0, t1):
    """The times to replay: strictly from t0 to t1, the ends as functions of t_span."""
    ts = vector(steps, "steps")
    if ts.shape[0] < 2:
        raise ArgumentError(f"solve_ivp: steps needs at least two times{at_line()}")
    if abstract(ts, t0, t1):
        gaps = _gaps(t0, ts, t1)
        inner, outer = gaps[1:-1] * sign(t1 - t0), abs(gaps[0]) + abs(gaps[-1])
        ts = _checked(ts, min_(inner) > 0.0, "steps must run strictly from t0 to t1")
        ts = _checked(ts, outer <= 0.0, "steps must begin at t0 and end at t1")
    else:
        _require_steps(*(np.asarray(plain(x)) for x in (ts, t0, t1)))
    for place, end in ((0, t0), (-1, t1)):
        if isinstance(end, Array):
            ts = index_set(ts, end, place)
    return ts


def _require_steps(ts, a, b):
    if not np.all(np.diff(ts) * np.sign(b - a) > 0):
        raise ArgumentError(f"solve_ivp: steps must run strictly from t0 to t1{at_line()}")
    if ts[0] != a or ts[-1] != b:
        raise ArgumentError(f"solve_ivp: steps, from {ts[0]:g} to {ts[-1]:g}, must "
                            f"begin at t0 = {a:g} and end at t1 = {b:g}{at_line()}")


def _gaps(t0, times, t1):
    whole = shape.concatenate([shape.stack([t0]), times, shape.stack([t1])])
    return whole[1:] - whole[:-1]


def _checked(x, ok, text):
    return check_p(x, ok, exception=Frozen(ArgumentError(f"solve_ivp: {text}")))


def controls(rtol, atol, first_step, max_step, n):
    if (type(rtol) is type(atol) is float and first_step is None and max_step == np.inf
            and 0 < rtol < 1 and atol >= 0):
        return rtol, np.full(n, atol), 0.0, np.inf
    rtol = _number(rtol, "rtol")
    atol = _floats(atol, "atol")
    if atol.shape not in ((), (n,)):
        raise ArgumentError(f"solve_ivp: atol has shape {atol.shape}, y0 has ({n},){at_line()}")
    _require(atol, lambda x: np.all(x >= 0), "atol", "must not be negative")
    first = np.inf if first_step is None else _number(first_step, "first_step")
    largest = _number(max_step, "max_step")
    _require(rtol, lambda x: 0 <= x < 1, "rtol", "must lie in [0, 1)")
    if not abstract(rtol, atol) and plain(rtol) == 0 and not np.any(plain(atol)):
        raise ArgumentError(f"solve_ivp: rtol and atol are both 0{at_line()}")
    _require(first, lambda x: x > 0, "first_step", "must be positive")
    _require(largest, lambda x: x > 0, "max_step", "must be positive")
    first = 0.0 if first_step is None else first
    return rtol, shape.broadcast_to(atol, (n,)), first, largest


def _require(x, law, name, text):
    """Check what is known of a control; a recorded one has no value yet."""
    if not abstract(x) and not law(plain(x)):
        raise ArgumentError(f"solve_ivp: {name} is {plain(x)}, {text}{at_line()}")


def arguments(args) -> tuple:
    """A tuple or list holds the arguments; anything else is the one argument."""
    if args is None:
        return ()
    require_host(args, "args")
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def same(a, b) -> bool:
    return not abstract(a, b) and float(plain(a)) == float(plain(b))


def abstract(*values) -> bool:
    """Whether any of the values is being recorded."""
    return any(isinstance(x, Array) and not has_data(x) for x in values)
