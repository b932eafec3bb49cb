"""The operations behind solve_ivp.

march      finds the steps: times, states, dense output. It has no derivative; the step sizes are
           data, as every adaptive discrete adjoint takes them to be.
replay     the same with the steps given.
solution   the dense output as a function of step times, initial state, output times and theta. Its
           value is the one just computed; its tangent and its adjoint are kernels of their own.
tangent,   derivatives of solution. They differentiate, in turn, through the defining program
adjoint    (`sciad.ode.program`), so every order exists.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sciad.compiler.callbacks import watched
from sciad.compiler.native import call_p
from sciad.core.errors import SciadError
from sciad.core.graph import Type, shape_of, type_of
from sciad.core.record import record_leaves
from sciad.core.rules import Constant, General, Tools
from sciad.core.transforms import jvp_unstaged, vjp_unstaged
from sciad.ode import kernels
from sciad.ode.callback import flat, split
from sciad.ode.model import Model
from sciad.ode.program import replay as program
from sciad.ode.tableau import RK45, TSIT5
from sciad.ops.control import BufferFull

METHODS = {"RK45": RK45, "Tsit5": TSIT5}


class SolveError(SciadError, RuntimeError):
    """A solve that did not reach its end; the message says where and why."""


class CompiledSolveError(SolveError):
    """The same in compiled code, which does not know where: the call is repeated eagerly."""

    eager_knows_more = True


MESSAGES = {
    kernels.UNDERFLOW: "the step size fell below the spacing of floating-point numbers; the "
                       "problem may be stiff or singular there",
    kernels.NON_FINITE: "the state or its derivative is not finite there",
    kernels.MAX_STEPS: "max_steps steps were not enough",
}


def failure(status: int, t: float, model) -> BaseException:
    """The exception for a status of a kernel."""
    if status in MESSAGES:
        return SolveError(f"solve_ivp stopped at t = {t:g}: {MESSAGES[status]}")
    return model.failure(status)


def _contiguous(x) -> np.ndarray:
    return np.ascontiguousarray(x, float)


_POINTERS = {"march": ["rhs"], "replay": ["rhs"], "tangent": ["rhs", "jvp"],
             "adjoint": ["rhs", "vjp"]}


def _work(kind, tableau, n):
    return np.empty(kernels.workspace(kind, tableau, n))


def _launch(kind, tableau, model, *args, work=None) -> int | None:
    """Call a kernel; gives its status, None for success."""
    kernel = kernels.load(kind, tableau, model.n)
    work = _work(kind, tableau, model.n) if work is None else work
    pointers = [model.address(name) for name in _POINTERS[kind]]
    if isinstance(model, Model):
        kernel = watched(kernel) if model.callbacks else kernel
        return kernel(*pointers, *args, work, model.n)
    with model.watched():
        return kernel(*pointers, *args, work, model.n)


# --- march ----------------------------------------------------------------------------------------


def march(model, method, t0, t1, y0, t_eval, controls, leaves, max_steps, capacity=256):
    """The adaptive solve on plain values.

    `controls` is (rtol, atol, first_step, max_step). Returns (out, ts, ys, counters, status);
    counters[1] steps fill the first rows of the buffers ts and ys.
    """
    tableau, n = METHODS[method], model.n
    rtol, atol, first_step, max_step = controls
    t_eval, y0, atol = _contiguous(t_eval), _contiguous(y0), _contiguous(atol)
    out = np.empty((len(t_eval), n))
    ts, ys = np.empty(capacity), np.empty((capacity, n))
    counters, state = np.zeros(4, np.int64), np.zeros(2)
    work, theta = _work("march", tableau, n), flat(leaves)
    while True:
        status = _launch("march", tableau, model, theta, y0, t0, t1, rtol, atol, first_step,
                         max_step, max_steps, len(t_eval), t_eval, out, len(ts), ts, ys, counters,
                         state, work=work)
        if status != kernels.FULL:
            break
        ts, ys = _grown(ts), _grown(ys)
    count = counters[1] + 1
    return out, ts[:count].copy(), ys[:count].copy(), counters, status


def _grown(x):
    bigger = np.empty((4 * len(x), *x.shape[1:]))
    bigger[:len(x)] = x
    return bigger


def _march_fun(t0, t1, rtol, first_step, max_step, y0, t_eval, atol, *leaves, model, method,
               max_steps, capacity):
    out, ts, ys, counters, status = march(model, method, float(t0), float(t1), y0, t_eval, (
        float(rtol), atol, float(first_step), float(max_step)), list(leaves), max_steps, capacity)
    if status is not None:
        raise failure(status, ts[counters[1]], model)
    if len(ts) > capacity:
        raise BufferFull(f"{counters[1]} steps, room for {capacity}")
    return out, padded(ts, counters[1], capacity), padded(ys, counters[1], capacity), counters


def padded(x, last, length):
    """The first rows of a buffer; those after `last` repeat it, as steps of length zero."""
    out = x[:length].copy()
    out[last + 1:] = x[last]
    return out


def _march_types(t0, t1, rtol, first_step, max_step, y0, t_eval, atol, *leaves, model, method,
                 max_steps, capacity):
    n = model.n
    return (Type((t_eval.shape[0], n), float), Type((capacity,), float),
            Type((capacity, n), float), Type((4,), np.int64))


march_p = Constant("ode_march", _march_fun, _march_types, multiple=True, effect=False)

# --- replay ---------------------------------------------------------------------------------------


def _replay_fun(ts, y0, t_eval, *leaves, model, method):
    tableau, n = METHODS[method], model.n
    ts, t_eval = _contiguous(ts), _contiguous(t_eval)
    out, ys = np.empty((len(t_eval), n)), np.empty((len(ts), n))
    status = _launch("replay", tableau, model, flat(leaves), _contiguous(y0), len(ts) - 1, ts, ys,
                     len(t_eval), t_eval, out)
    if status is not None:
        raise failure(status, ts[0], model)
    return out, ys


replay_p = Constant(
    "ode_replay", _replay_fun,
    lambda ts, y0, t_eval, *leaves, model, method: (
        Type((t_eval.shape[0], model.n), float), Type((ts.shape[0], model.n), float)),
    multiple=True)

# --- solution and its derivatives -----------------------------------------------------------------
# operands: out, ys (saved values), steps (their number), then the variables ts, y0, t_eval, *leaves


def _solution_jvp(tangents, out, args, params):
    saved, variables = args[:3], args[3:]
    dots = [Tools.zeros(shape_of(x), np.float64) if t is None else t
            for t, x in zip(tangents[3:], variables, strict=True)]
    return tangent_p(*saved[1:], *variables, *dots, **params)


def _solution_vjp(g, needs, out, args, params):
    parts = adjoint_p(*args[1:3], *args[3:], g, **params)
    return [None, None, None, *(part if need else None
                                for part, need in zip(parts, needs[3:], strict=True))]


solution_p = General(
    "ode_solution", lambda out, *rest, model, method: out,
    lambda out, *rest, model, method: out, _solution_jvp, _solution_vjp)


def _tangent_fun(ys, steps, ts, y0, t_eval, *rest, model, method):
    tableau, n, count = METHODS[method], model.n, len(model.types)
    leaves, (ts_dot, y_dot, te_dot, *dots) = rest[:count], rest[count:]
    out_dot = np.empty((len(t_eval), n))
    status = _launch(
        "tangent", tableau, model, flat(leaves), flat(dots), np.array(y_dot, float), int(steps),
        _contiguous(ts), _contiguous(ts_dot), _contiguous(ys), len(t_eval), _contiguous(t_eval),
        _contiguous(te_dot), out_dot)
    if status is not None:
        raise failure(status, ts[0], model)
    return out_dot


def _adjoint_fun(ys, steps, ts, y0, t_eval, *rest, model, method):
    tableau, n = METHODS[method], model.n
    leaves, g_out = rest[:-1], rest[-1]
    g_y0, g_theta = np.empty(n), np.zeros(model.size)
    g_ts, g_t_eval = np.zeros(len(ts)), np.zeros(len(t_eval))
    status = _launch(
        "adjoint", tableau, model, flat(leaves), int(steps), _contiguous(ts), _contiguous(ys),
        len(t_eval), _contiguous(t_eval), _contiguous(g_out), g_y0, g_theta, g_ts, g_t_eval)
    if status is not None:
        raise failure(status, ts[0], model)
    return (g_ts, g_y0, g_t_eval, *split(g_theta, model.types))


def _tangent_types(ys, steps, ts, y0, t_eval, *rest, model, method):
    return Type((t_eval.shape[0], model.n), float)


def _adjoint_types(ys, steps, ts, y0, t_eval, *rest, model, method):
    return (ts.strong(), y0.strong(), t_eval.strong(), *(t.strong() for t in rest[:-1]))


def _as_program(kind, model, method):
    """`tangent` or `adjoint` as a function of its operands, in sciad operations."""
    tableau = METHODS[method]
    count = 3 + len(model.types)

    def of_tangent(*xs):
        chosen, fixed = _active(model, xs[:count])
        dots, _ = _active(model, xs[count:])
        return jvp_unstaged(lambda *v: _run(model, tableau, fixed(v)), chosen, dots)[1]

    def of_adjoint(*xs):
        chosen, fixed = _active(model, xs[:count])
        _, pull = vjp_unstaged(lambda *v: _run(model, tableau, fixed(v)), chosen)
        parts = iter(pull(xs[count]))
        flags = (True, *model.floats)
        return tuple(next(parts) if flag else 0.0 * x
                     for flag, x in zip(flags, xs[:count], strict=True))

    return of_tangent if kind == "tangent" else of_adjoint


def _active(model, xs):
    """The differentiable ones of (ts, y0, t_eval, *leaves), and how to put them back."""
    flags = (True, True, True, *model.floats[2:])

    def fixed(values):
        values = iter(values)
        return [next(values) if flag else x for flag, x in zip(flags, xs, strict=True)]

    return [x for flag, x in zip(flags, xs, strict=True) if flag], fixed


def _run(model, tableau, variables):
    ts, y0, t_eval, *leaves = variables
    return program(model, tableau, ts, y0, t_eval, leaves)


@lru_cache(maxsize=128)
def _program_graph(kind, model, method, types):
    """The program of tangent or adjoint at these types, recorded."""
    return record_leaves(_as_program(kind, model, method), list(types)).graph


def _through_program_jvp(kind):
    def rule(tangents, out, args, params):
        function = _evaluated(kind, args, params)
        chosen = [k for k in range(2, len(args)) if tangents[k] is not None]

        def of(*values):
            full = list(args[2:])
            for k, value in zip(chosen, values, strict=True):
                full[k - 2] = value
            return function(*full)

        return jvp_unstaged(of, [args[k] for k in chosen], [tangents[k] for k in chosen])[1]

    return rule


def _through_program_vjp(kind):
    def rule(g, needs, out, args, params):
        function = _evaluated(kind, args, params)
        chosen = [k for k in range(2, len(args)) if needs[k]]

        def of(*values):
            full = list(args[2:])
            for k, value in zip(chosen, values, strict=True):
                full[k - 2] = value
            return function(*full)

        outs, pull = vjp_unstaged(of, [args[k] for k in chosen])
        if isinstance(outs, tuple):
            g = tuple(Tools.zeros(x.shape, x.dtype) if part is None else part
                      for part, x in zip(g, outs, strict=True))
        parts = dict(zip(chosen, pull(g), strict=True))
        return [parts.get(k) for k in range(len(args))]

    return rule


def _evaluated(kind, args, params):
    if not isinstance(params["model"], Model):
        return _as_program(kind, **params)
    types = tuple(type_of(x).strong() for x in args[2:])
    graph = _program_graph(kind, types=types, **params)

    def function(*xs):
        outs = call_p(*xs, graph=graph)
        return outs[0] if kind == "tangent" else tuple(outs)

    return function


tangent_p = General("ode_tangent", _tangent_fun, _tangent_types,
                    _through_program_jvp("tangent"), _through_program_vjp("tangent"))
adjoint_p = General("ode_adjoint", _adjoint_fun, _adjoint_types,
                    _through_program_jvp("adjoint"), _through_program_vjp("adjoint"),
                    multiple=True)
