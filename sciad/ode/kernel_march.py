r"""The adaptive solve as a loop program.

March follows scipy.integrate.RK45 in every decision (initial step: Hairer, Norsett and Wanner,
section II.4).
"""

from sciad.compiler import loops
from sciad.compiler.loops import Const, Function, Name
from sciad.ode.kernel_program import (
    BUFFER,
    FULL,
    MAX_STEPS,
    NON_FINITE,
    UNDERFLOW,
    Program,
    Step,
)
from sciad.ode.tableau import Tableau

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0  # of the step size controller


def march(tableau: Tableau, n: int | None) -> tuple[Function, int]:
    """The adaptive solve from t0 to t1, in either direction.

    ``atol`` has n elements; ``first_step`` 0 asks for the automatic choice.  ``counters`` (int64:
    evaluations, accepted, rejected, outputs written) and ``state`` (step size, time reached) start
    as zeros.  ``ts`` and ``ys`` have room for ``cap`` points, the initial one among them.

    Status: OK; UNDERFLOW, the step size fell below 10 spacings of t; NON_FINITE, the state or the
    derivative is not finite, at the start or where the step size fell; MAX_STEPS, after
    ``max_steps`` attempts; FULL, ``cap`` points are saved; or what the model returned.  FULL and
    MAX_STEPS can be resumed: give longer ``ts`` and ``ys`` that begin with the old content, or a
    larger ``max_steps``, leave ``counters``, ``state`` and ``work`` alone, and call again.
    """
    p = Program(
        "march", tableau, n, rhs="ptr", theta=BUFFER, y0=BUFFER, t0="f64", t1="f64", rtol="f64",
        atol=BUFFER, first_step="f64", max_step="f64", max_steps="i64", m="i64", t_eval=BUFFER,
        out=BUFFER, cap="i64", ts=BUFFER, ys=BUFFER, counters="ptr<i64>", state=BUFFER,
    )  # fmt: skip
    _March(p).emit()
    return p.function(), p.used


class _March:
    """Emits march.  The current state is the last row of ``ys``; a trial goes to the next row."""

    def __init__(self, p: Program):
        self.p, self.b = p, p.b
        self.k = p.vectors(p.tableau.stages, "k")
        self.stage = p.vector("stage")
        self.exponent = -0.5 / (p.tableau.error_order + 1)  # of the norm's square

    def emit(self) -> None:
        b = self.b
        self.direction = self.p.direction(b.t0, b.t1)
        self.start()
        load = b.load
        self.evaluations = b.var(load(b.counters, 0), "evaluations")
        self.accepted = b.var(load(b.counters, 1), "accepted")
        self.rejected = b.var(load(b.counters, 2), "rejected")
        self.written = b.var(load(b.counters, 3), "written")
        self.h_abs = b.var(load(b.state, 0), "h_abs")
        self.t = b.var(load(b.ts, self.accepted), "now")
        self.min_step = b.var(0.0, "min_step")
        self.again = b.var(Const(False, "i1"), "again")  # this step was rejected before
        self.wild = b.var(Const(False, "i1"), "wild")  # ... by numbers that are not finite
        with b.while_(lambda: (self.t - b.t1) * self.direction < 0.0):
            self.attempt()
        self.save()

    def save(self) -> None:
        b = self.b
        for k, counter in enumerate((self.evaluations, self.accepted, self.rejected,
                                     self.written)):
            b.store(b.counters, k, counter)
        b.store(b.state, 0, self.h_abs)
        b.store(b.state, 1, self.t)

    def leave(self, status) -> None:
        self.save()
        self.b.ret(status)

    def start(self) -> None:
        """The first evaluation and the first step size, unless this call resumes."""
        b, p = self.b, self.p
        with b.if_(b.load(b.counters, 0).eq(0)):
            b.store(b.ts, 0, b.t0)
            b.store(b.state, 1, b.t0)
            p.copy(b.y0, b.ys)
            b.call_checked(b.rhs, b.t0, b.ys, b.theta, self.k[0])
            size = p.sum(lambda d: abs(b.load(self.k[0], d)) + abs(b.load(b.ys, d)))
            b.store(b.counters, 0, 1)
            with b.if_(~b.op("isfinite", size)):
                b.ret(NON_FINITE)
            with b.if_(b.first_step > 0.0):
                b.store(b.state, 0, b.first_step)
            with b.else_():
                self.initial_step()
                b.store(b.counters, 0, 2)

    def initial_step(self) -> None:
        b, p = self.b, self.p
        f0, f1, y1 = self.k[0], self.k[1], self.stage
        length = b.let(abs(b.t1 - b.t0))

        def scale(d):
            return b.load(b.atol, d) + abs(b.load(b.ys, d)) * b.rtol

        def norm(term):
            def square(d):
                ratio = b.let(term(d) / scale(d))
                return ratio * ratio

            count = b.op("f64", loops.lift(p.n, "i64"))
            return b.let(b.op("sqrt", p.sum(square) / count), "norm")

        def smaller(x, y):
            return b.op("min", x, y)

        d0 = norm(lambda d: b.load(b.ys, d))
        d1 = norm(lambda d: b.load(f0, d))
        tiny = (d0 < 1e-5) | (d1 < 1e-5)
        h0 = b.let(smaller(b.op("select", tiny, Const(1e-6), d0 * 0.01 / d1), length), "h0")
        h = b.let(h0 * self.direction)
        p.each(lambda d: b.store(y1, d, b.load(b.ys, d) + h * b.load(f0, d)))
        b.call_checked(b.rhs, b.t0 + h, y1, b.theta, f1)
        d2 = b.let(norm(lambda d: b.load(f1, d) - b.load(f0, d)) / h0)
        flat = (d1 <= 1e-15) & (d2 <= 1e-15)
        power = Const(1.0 / (p.tableau.error_order + 1))
        steep = b.let(b.op("pow", Const(0.01) / b.op("max", d1, d2), power))
        h1 = b.let(b.op("select", flat, b.op("max", h0 * 1e-3, 1e-6), steep))
        best = smaller(smaller(h0 * 100.0, h1), smaller(length, b.max_step))
        # where f is not finite at the probe, begin small and let the controller find its way
        b.store(b.state, 0, b.op("select", b.op("isfinite", d2), best, h0 * 1e-3))

    def attempt(self) -> None:
        """One trial step."""
        b, p = self.b, self.p
        with b.if_(~self.again):
            self.begin_step()
        with b.if_(~(self.h_abs >= self.min_step)):
            wild = self.wild | b.op("isnan", self.h_abs)
            self.leave(b.op("select", wild, Const(NON_FINITE, "i64"), Const(UNDERFLOW, "i64")))
        with b.if_(self.accepted + self.rejected >= b.max_steps):
            self.leave(MAX_STEPS)
        t = b.let(self.t, "t")
        t_far = b.let(t + self.h_abs * self.direction)
        past = (t_far - b.t1) * self.direction > 0.0
        t_new = b.let(b.op("select", past, b.t1, t_far), "t_new")
        h = b.let(t_new - t, "h")
        b.assign(self.h_abs, abs(h))
        y = p.row(b.ys, self.accepted, "y")
        y_new = p.row(b.ys, self.accepted + 1, "y_new")
        step = Step(t, h, t_new, y, y_new, self.stage, self.k)
        p.stages(step, p.tableau.stages, self.evaluate)
        error, size = self.error(step)
        with b.if_(error < 1.0):
            self.accept(step, error)
        with b.else_():
            factor = b.let(b.op("pow", error, self.exponent) * SAFETY)
            factor = b.op("select", factor > MIN_FACTOR, factor, Const(MIN_FACTOR))
            b.assign(self.h_abs, self.h_abs * factor)
            b.assign(self.again, Const(True, "i1"))
            b.assign(self.wild, ~b.op("isfinite", size))
            b.assign(self.rejected, self.rejected + 1)

    def begin_step(self) -> None:
        b = self.b
        with b.if_(self.accepted + 1 >= b.cap):
            self.leave(FULL)
        ahead = b.op("nextafter", self.t, self.direction * Const(float("inf")))
        b.assign(self.min_step, abs(ahead - self.t) * 10.0)
        b.assign(self.h_abs, b.op("min", b.op("max", self.h_abs, self.min_step), b.max_step))

    def evaluate(self, i, tau, y) -> None:
        b = self.b
        status = b.call(b.rhs, tau, y, b.theta, self.k[i])
        b.assign(self.evaluations, self.evaluations + 1)
        with b.if_(status.ne(0)):
            self.leave(status)

    def error(self, step: Step) -> tuple[Name, Name]:
        """(square of the error norm, a sum that is finite only if the new state is)

        A state that is not finite has an error that is not below 1.
        """
        b, p = self.b, self.p
        weights = [float(e) for e in p.tableau.e]
        total, size = b.var(0.0, "total"), b.var(0.0, "size")

        def component(d):
            old, new = abs(b.load(step.y, d)), b.let(abs(b.load(step.y_new, d)))
            scale = b.op("fma", b.op("max", old, new), b.rtol, b.load(b.atol, d))
            ratio = b.let(step.h * p.combine(weights, step.k, d) / scale)
            b.assign(total, b.op("add", total, ratio * ratio, fast=True))
            b.assign(size, b.op("add", size, new, fast=True))

        p.each(component)
        mean = b.let(total / b.op("f64", loops.lift(p.n, "i64")))
        whole = b.let(size + mean)
        error = b.op("select", b.op("isfinite", whole), mean, Const(float("inf")))
        return b.let(error, "error"), whole

    def accept(self, step: Step, error) -> None:
        b, p = self.b, self.p
        factor = b.op("min", b.op("pow", error, self.exponent) * SAFETY, MAX_FACTOR)
        factor = b.let(factor, "factor")
        capped = b.op("select", self.again, b.op("min", factor, 1.0), factor)
        b.assign(self.h_abs, self.h_abs * capped)
        p.outputs(self.written, step.t_new, self.direction,
                  lambda te: p.dense(step, te, self.written))
        p.copy(self.k[-1], self.k[0])
        b.assign(self.accepted, self.accepted + 1)
        b.store(b.ts, self.accepted, step.t_new)
        b.assign(self.t, step.t_new)
        b.assign(self.again, Const(False, "i1"))
        b.assign(self.wild, Const(False, "i1"))
