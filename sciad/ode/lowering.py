"""The operations of `sciad.ode.solution` inside a compiled function: calls of the kernels."""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Name
from sciad.compiler.lower import lowering
from sciad.compiler.values import (
    FIRST_STATUS,
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    convert,
    index,
    size_of,
)
from sciad.core.graph import shape_of
from sciad.ode import kernels, solution
from sciad.ode.model import Model
from sciad.ops.control import BufferFull


class _Call:
    """A call of a kernel: its arguments by name, in the kernel's order."""

    def __init__(self, em: Emitter, step, kind: str):
        self.em = em
        self.kind = kind
        self.model: Model = step.params["model"]
        if not isinstance(self.model, Model):
            raise Unsupported(f"the right-hand side is called back in Python: {self.model.reason}")
        self.tableau = solution.METHODS[step.params["method"]]
        self.args: dict = {"n": index(self.model.n)}
        size = kernels.workspace(kind, self.tableau, self.model.n)
        self.args["work"] = em.alloc("f64", size)

    def vector(self, name: str, value) -> None:
        """An operand as a buffer of doubles."""
        self.args[name] = _doubles(self.em, value).name

    def output(self, name: str, shape, kind: str = "f64", zero: bool = False) -> Buffer:
        out = self.em.buffer(shape, kind)
        if zero:
            with self.em.loop(size_of(shape)) as i:
                self.em.emit(ir.Store(out.name, i, Const(0, kind)))
        self.args[name] = out.name
        return out

    def function(self, *kinds: str) -> None:
        """The model's functions: behind pointers, or in the same module to be inlined."""
        self.em.inlinable |= self.model.small
        for kind in kinds:
            if self.inline:
                self.args[kind] = _in_module(self.em, self.model.function(kind))
            else:
                self.args[kind] = self.em.pointer(self.model.address(kind), self.model)
        self.em.callbacks.update(self.model.callbacks)
        for helper in self.model.helpers if self.inline else ():
            _in_module(self.em, helper)

    @property
    def inline(self) -> bool:
        return self.em.inline and self.model.small

    def theta(self, name: str, leaves) -> None:
        """Leaves one after the other in one buffer."""
        em = self.em
        out = em.buffer((max(self.model.size, 1),), "f64")
        place = 0
        for kind, leaf in zip(self.model.types, leaves, strict=True):
            em.store(_as_double(em, leaf), out.name, index(place))
            place += kind.size
        self.args[name] = out.name

    def run(self) -> None:
        """Emit the call; a status stops the program with its exception."""
        em = self.em
        names = [name for name, _ in kernels.parameters(self.kind, self.tableau)]
        if self.inline:
            models = {name: self.args[name] for name in names if isinstance(self.args[name], str)}
            target = _in_module(em, kernels.inlined(
                self.kind, self.tableau, self.model.n, models,
                f"{self.kind}_{self.tableau.name}_{self.model.key[:12]}"))
            names = [name for name in names if name not in models]
        else:
            kernel = kernels.load(self.kind, self.tableau, self.model.n)
            target = em.pointer(kernel.__self__.address(self.kind), kernel)
        args = [self.args[name] for name in names]
        status = em.fresh("s")
        em.emit(ir.Call(target, tuple(args), status))
        status = Name(status, "i64")
        with em.nested() as body:
            self._dispatch(status)
        em.emit(ir.If(status.ne(0), body, []))

    def _dispatch(self, status):
        em = self.em
        known = {code: solution.CompiledSolveError(f"solve_ivp: {text}")
                 for code, text in solution.MESSAGES.items()}
        known[kernels.FULL] = BufferFull("solve_ivp: more steps than there is room for")
        for k, exception in enumerate(self.model.statuses):
            known[FIRST_STATUS + k] = exception
        for code, exception in known.items():
            with em.nested() as stop:
                em.stop(exception)
            em.emit(ir.If(status.eq(code), stop, []))
        em.emit(ir.Return(status))


def _in_module(em: Emitter, function: ir.Function) -> str:
    """Add a function to the module under construction, once; gives its name."""
    if all(known.name != function.name for known in em.functions):
        em.functions.append(function)
    return function.name


def _as_double(em: Emitter, value):
    value = em.forced(value)
    if value.kind == "f64":
        return value
    if type(value) is Scalars:
        return Scalars(value.shape, "f64", [convert(x, "f64") for x in value.entries])
    out = em.buffer(value.shape, "f64")
    with em.loop(size_of(value.shape)) as i:
        em.emit(ir.Store(out.name, i, convert(em.element(value, i), "f64")))
    return out


def _doubles(em: Emitter, value) -> Buffer:
    return em.to_buffer(_as_double(em, value))


def _settle(em: Emitter, out: Buffer):
    return em.scalars(out) if size_of(out.shape) <= SMALL else out


def _scalar(em: Emitter, value):
    return convert(em.element(value, index(0)), "f64")


@lowering(solution.march_p)
def _march(em, step, t0, t1, rtol, first_step, max_step, y0, t_eval, atol, *leaves):
    call = _Call(em, step, "march")
    n, capacity, m = call.model.n, step.params["capacity"], t_eval.shape[0]
    call.function("rhs")
    call.theta("theta", leaves)
    for name, value in (("y0", y0), ("atol", atol), ("t_eval", t_eval)):
        call.vector(name, value)
    for name, value in (("t0", t0), ("t1", t1), ("rtol", rtol), ("first_step", first_step),
                        ("max_step", max_step)):
        call.args[name] = _scalar(em, value)
    call.args |= {"max_steps": index(step.params["max_steps"]), "m": index(m),
                  "cap": index(capacity)}
    out = call.output("out", (m, n))
    ts, ys = call.output("ts", (capacity,)), call.output("ys", (capacity, n))
    counters = call.output("counters", (4,), "i64", zero=True)
    call.output("state", (2,), zero=True)
    call.run()
    counters = em.scalars(counters)
    _pad(em, ts.name, em.let(counters.entries[1] + 1), capacity)
    return [_settle(em, out), ts, ys, counters]


def _pad(em: Emitter, ts: Name, count, capacity: int):
    """Repeat the last step time to the end: steps of length zero."""
    last = em.let(ir.Load(ts, count - 1))
    name = em.fresh("i")
    em.emit(ir.Loop(name, count, index(capacity), [ir.Store(ts, Name(name, "i64"), last)]))


@lowering(solution.replay_p)
def _replay(em, step, ts, y0, t_eval, *leaves):
    call = _Call(em, step, "replay")
    n, m, count = call.model.n, t_eval.shape[0], ts.shape[0]
    call.function("rhs")
    call.theta("theta", leaves)
    for name, value in (("ts", ts), ("y0", y0), ("t_eval", t_eval)):
        call.vector(name, value)
    call.args |= {"steps": index(count - 1), "m": index(m)}
    out, ys = call.output("out", (m, n)), call.output("ys", (count, n))
    call.run()
    return [_settle(em, out), _settle(em, ys)]


@lowering(solution.solution_p)
def _solution(em, step, out, *rest):
    return [out]


@lowering(solution.tangent_p)
def _tangent(em, step, ys, steps, ts, y0, t_eval, *rest):
    call = _Call(em, step, "tangent")
    count = len(call.model.types)
    leaves, (ts_dot, y_dot, te_dot, *dots) = rest[:count], rest[count:]
    call.function("rhs", "jvp")
    call.theta("theta", leaves)
    call.theta("thetadot", dots)
    for name, value in (("ys", ys), ("ts", ts), ("ts_dot", ts_dot), ("t_eval", t_eval),
                        ("t_eval_dot", te_dot)):
        call.vector(name, value)
    ydot = em.buffer((call.model.n,), "f64")
    em.store(_as_double(em, y_dot), ydot.name)
    call.args |= {"ydot": ydot.name, "steps": convert(em.element(steps, index(0)), "i64"),
                  "m": index(t_eval.shape[0])}
    out = call.output("out_dot", (t_eval.shape[0], call.model.n))
    call.run()
    return [_settle(em, out)]


@lowering(solution.adjoint_p)
def _adjoint(em, step, ys, steps, ts, y0, t_eval, *rest):
    call = _Call(em, step, "adjoint")
    leaves, g_out = rest[:-1], rest[-1]
    n, m = call.model.n, t_eval.shape[0]
    call.function("rhs", "vjp")
    call.theta("theta", leaves)
    for name, value in (("ys", ys), ("ts", ts), ("t_eval", t_eval), ("g_out", g_out)):
        call.vector(name, value)
    call.args |= {"steps": convert(em.element(steps, index(0)), "i64"), "m": index(m)}
    g_y0 = call.output("g_y0", (n,))
    g_theta = call.output("g_theta", (max(call.model.size, 1),), zero=True)
    g_ts = call.output("g_ts", (ts.shape[0],), zero=True)
    g_t_eval = call.output("g_t_eval", (m,), zero=True)
    call.run()
    outs = [_settle(em, g_ts), _settle(em, g_y0), _settle(em, g_t_eval)]
    place = 0
    for kind, leaf in zip(call.model.types, leaves, strict=True):
        outs.append(_part(em, g_theta.name, place, shape_of(leaf), kind.size))
        place += kind.size
    return outs


def _part(em: Emitter, vector: Name, place: int, shape, size: int):
    if size <= SMALL:
        return Scalars(shape, "f64", [em.let(ir.Load(vector, index(place + k)))
                                      for k in range(size)])
    return Buffer(shape, "f64", em.let(ir.Address(vector, index(place))))

