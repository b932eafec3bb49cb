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

What is computed
----------------
A step from (t, y) to (t', y'), h = t' - t, in the notation of ``sciad.ode.tableau``:

    S_i = sum_{j<i} a_ij k_j,   Y_i = y + h S_i,   k_i = f(tau_i, Y_i),   tau_i = t + c_i h,

with tau_i = t' exactly where c_i = 1.  The last stage is y' = Y_{s-1}, and k_{s-1} = f(t', y')
serves as k_0 of the next step.  An output time t_e in (t, t'] takes

    u = y + h sum_i w_i k_i,   w_i = b_i(sigma),   sigma = (t_e - t) / h.

March follows scipy.integrate.RK45 in every decision (initial step: Hairer, Norsett and Wanner,
section II.4); see ``march``.

The discrete adjoint
--------------------
Once the steps are known the solve is a composition of the formulas above, a differentiable function
of y_0, theta, every step time and every output time.  Bars denote cotangents.  Going back over the
steps, lambda is the cotangent of y' from all that came after, except through k_{s-1} = f(t', y');
kappa_i is that of k_i, and kappa_{s-1} arrives from the next step, whose first stage it is.

1. Each output u with cotangent g:  ybar += g,  kappa_i += h w_i g,  hbar += sum_i w_i <k_i, g>.
   With v = <du/dt_e, g> = sum_i b_i'(sigma) <k_i, g> the output time takes v, and through sigma
   tbar -= v,  hbar -= sigma v.
2. The last stage, by the model's vjp at (t', y') on kappa_{s-1}:  adds to t'bar, lambda, thetabar.
3. y' = y + h S_{s-1}:  ybar += lambda,  kappa_j += h b_j lambda,  hbar += <S_{s-1}, lambda>.
4. For i = s-2 ... 1, eta by the vjp at (tau_i, Y_i) on kappa_i:  ybar += eta,
   kappa_j += h a_ij eta for j < i,  hbar += <S_i, eta>, and taubar goes to t and h as c_i says.
5. Since h = t' - t:  t'bar += hbar,  tbar -= hbar.  Then lambda = ybar, and kappa_0 is carried to
   the step before; at the first step the vjp at (t_0, y_0) closes the chain.

Stages are recomputed from the saved states, so memory is O(steps); each step costs s-1 calls of rhs
and s-1 of vjp.  March and replay are strict IEEE with explicit fused multiply-adds, which is what
makes them agree to the bit; reassociation is allowed only in the norms and dot products.

Calling
-------
``load(kind, tableau, n)`` gives the compiled function; ``parameters(kind, tableau)`` names its
arguments.  Arrays are float64 and C-contiguous: states row by row (``ys`` is (cap, n), ``out`` is
(m, n)); ``counters`` is int64.  The caller supplies ``work`` with ``workspace(kind, tableau, n)``
elements.  ``t_eval`` runs in the direction of integration and lies between t0 and t1.
"""

from collections.abc import Callable
from functools import lru_cache

from sciad.compiler import llvm, loops
from sciad.compiler.loops import Builder, Const, Expr, Function, Name
from sciad.ode.tableau import Tableau

OK, UNDERFLOW, NON_FINITE, MAX_STEPS, FULL = 0, 1001, 1002, 1003, 1004

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0  # of the step size controller
UNROLLED = 8  # dimensions up to this one have a kernel of their own

BUFFER = "ptr<f64>"


class Program:
    """A builder that knows the dimension: vectors are unrolled, or looped over at run time."""

    def __init__(self, name: str, tableau: Tableau, n: int | None, **params: str):
        self.b = Builder(name, **params, work=BUFFER, n="i64")
        self.tableau, self.fixed = tableau, n
        self.n: int | Name = self.b.n if n is None else n
        self.used = 0  # rows of `work` handed out

    def each(self, body: Callable) -> None:
        """``body(d)`` for every component d."""
        if self.fixed is None:
            with self.b.loop(0, self.n, name="d") as d:
                body(d)
        else:
            for d in range(self.fixed):
                body(d)

    def vector(self, name: str) -> Name:
        """A vector of the workspace."""
        self.used += 1
        return self.row(self.b.work, self.used - 1, name)

    def vectors(self, count: int, name: str) -> list[Name]:
        return [self.vector(f"{name}{i}_") for i in range(count)]

    def row(self, buffer: Name, index, name: str = "row") -> Name:
        """Row ``index`` of a matrix of n columns."""
        if isinstance(index, Expr) or isinstance(self.n, Expr):
            index = loops.lift(index, "i64") * self.n
        else:
            index = index * self.n
        return self.b.address(buffer, index, name)

    def fill(self, target: Name, value: float) -> None:
        self.each(lambda d: self.b.store(target, d, value))

    def copy(self, source: Name, target: Name) -> None:
        self.each(lambda d: self.b.store(target, d, self.b.load(source, d)))

    def combine(self, weights, vectors: list[Name], d) -> Expr:
        """sum_i weights[i] vectors[i][d], in this order, with fused multiply-adds."""
        total = None
        for weight, vector in zip(weights, vectors, strict=False):
            if isinstance(weight, float) and weight == 0.0:
                continue
            weight, term = loops.lift(weight, "f64"), self.b.load(vector, d)
            total = weight * term if total is None else self.b.op("fma", weight, term, total)
        return Const(0.0) if total is None else self.b.let(total)

    def sum(self, term: Callable) -> Name:
        """sum_d term(d), in any order."""
        total = self.b.var(0.0, "sum")
        self.each(lambda d: self.b.assign(total, self.b.op("add", total, term(d), fast=True)))
        return total

    def dot(self, x: Name, y: Name) -> Name:
        return self.sum(lambda d: self.b.load(x, d) * self.b.load(y, d))

    def direction(self, start, stop) -> Name:
        one = Const(1.0)
        return self.b.let(self.b.op("select", stop >= start, one, Const(-1.0)), "direction")

    # ---- the method ----

    def node(self, i: int, t, h, t_new) -> Expr:
        """tau_i"""
        c = float(self.tableau.c[i])
        if c in (0.0, 1.0):
            return t if c == 0.0 else t_new
        return self.b.let(t + h * c, "tau")

    def stages(self, step: "Step", stop: int, call: Callable) -> None:
        """Stages 1 ... stop-1; ``call(i, tau, Y)`` runs the right-hand side into K[i]."""
        for i in range(1, stop):
            row = [float(a) for a in self.tableau.a[i, :i]]
            last = i == self.tableau.stages - 1
            target = step.y_new if last else step.stage

            def component(d, i=i, row=row, target=target):
                slope = self.combine(row, step.k, d)
                if step.slopes is not None:
                    self.b.store(step.slopes[i], d, slope)
                y = self.b.op("fma", step.h, slope, self.b.load(step.y, d))
                self.b.store(target, d, y)

            self.each(component)
            call(i, self.node(i, step.t, step.h, step.t_new), target)

    def interpolant(self, sigma, derivative: bool = False) -> list:
        """b_i(sigma), or b_i'(sigma), by Horner's rule; 0.0 where b_i is no part of it."""
        weights: list = []
        for row in self.tableau.dense:
            if not row.any():
                weights.append(0.0)
                continue
            powers = range(1, len(row) + 1)
            row = [float(p * j) for p, j in zip(row, powers, strict=True)] if derivative else \
                [float(p) for p in row]  # fmt: skip
            total: Expr = Const(row[-1])
            for coefficient in reversed(row[:-1]):
                total = self.b.op("fma", sigma, total, Const(coefficient))
            weights.append(self.b.let(total if derivative else total * sigma, "w"))
        return weights

    def outputs(self, e: Name, t_new, direction, each_one: Callable) -> None:
        """``each_one(t_e)`` for the output times up to ``t_new``; ``e`` counts them."""
        b = self.b

        def more():
            go = b.var(Const(False, "i1"), "go")
            with b.if_(e < b.m):
                b.assign(go, (b.load(b.t_eval, e) - t_new) * direction <= 0.0)
            return go

        with b.while_(more):
            each_one(b.load(b.t_eval, e, "te"))
            b.assign(e, e + 1)

    def dense(self, step: "Step", te, e: Name) -> None:
        """Write the solution at ``te`` to row ``e`` of ``out``."""
        sigma = self.b.let((te - step.t) / step.h, "sigma")
        weights = self.interpolant(sigma)
        row = self.row(self.b.out, e)

        def component(d):
            slope = self.combine(weights, step.k, d)
            self.b.store(row, d, self.b.op("fma", step.h, slope, self.b.load(step.y, d)))

        self.each(component)

    def step(self, k, stage, y_new=None, slopes=None, number=None) -> "Step":
        """Step ``number`` of saved steps, from ``ts`` and ``ys``."""
        b = self.b
        t, t_new = b.load(b.ts, number, "t"), b.load(b.ts, number + 1, "t_new")
        h = b.let(t_new - t, "h")
        y = self.row(b.ys, number, "y")
        y_new = self.row(b.ys, number + 1, "y_new")
        return Step(t, h, t_new, y, y_new, stage, k, slopes)

    def function(self) -> Function:
        self.b.ret(OK)
        return self.b.function()


class Step:
    """The names that one step works with."""

    __slots__ = ("h", "k", "slopes", "stage", "t", "t_new", "y", "y_new")

    def __init__(self, t, h, t_new, y, y_new, stage, k, slopes=None):
        self.t, self.h, self.t_new = t, h, t_new
        self.y, self.y_new, self.stage = y, y_new, stage
        self.k, self.slopes = k, slopes


# ---- march ---------------------------------------------------------------------------------------


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


# ---- replay and its derivatives ------------------------------------------------------------------


def replay(tableau: Tableau, n: int | None) -> tuple[Function, int]:
    """The solve over the ``steps`` + 1 times ``ts``; fills ``ys`` and ``out``."""
    p = Program("replay", tableau, n, rhs="ptr", theta=BUFFER, y0=BUFFER, steps="i64", ts=BUFFER,
                ys=BUFFER, m="i64", t_eval=BUFFER, out=BUFFER)  # fmt: skip
    b = p.b
    k, stage = p.vectors(tableau.stages, "k"), p.vector("stage")
    direction = p.direction(b.load(b.ts, 0), b.load(b.ts, b.steps))
    p.copy(b.y0, b.ys)
    b.call_checked(b.rhs, b.load(b.ts, 0), b.ys, b.theta, k[0])
    written = b.var(0, "written", "i64")
    with b.loop(0, b.steps, name="number") as number:
        step = p.step(k, stage, number=number)
        p.stages(step, tableau.stages,
                 lambda i, tau, y: b.call_checked(b.rhs, tau, y, b.theta, k[i]))
        p.outputs(written, step.t_new, direction, lambda te: p.dense(step, te, written))
        p.copy(k[-1], k[0])
    return p.function(), p.used


def tangent(tableau: Tableau, n: int | None) -> tuple[Function, int]:
    """Replay's derivative along (``ydot``, ``thetadot``, ``ts_dot``, ``t_eval_dot``).

    ``ys`` holds the saved states.  Fills ``out_dot``; ``ydot`` is the tangent of the initial state
    on entry and of the final one on return.
    """
    p = Program("tangent", tableau, n, rhs="ptr", jvp="ptr", theta=BUFFER, thetadot=BUFFER,
                ydot=BUFFER, steps="i64", ts=BUFFER, ts_dot=BUFFER, ys=BUFFER, m="i64",
                t_eval=BUFFER, t_eval_dot=BUFFER, out_dot=BUFFER)  # fmt: skip
    _Tangent(p).emit()
    return p.function(), p.used


class _Tangent:
    def __init__(self, p: Program):
        self.p, self.b = p, p.b
        s = p.tableau.stages
        self.k, self.kdot = p.vectors(s, "k"), p.vectors(s, "kdot")
        self.slopes = p.vectors(s, "slope")
        self.stage, self.stage_dot = p.vector("stage"), p.vector("stage_dot")

    def evaluate(self, i, tau, tau_dot, y, ydot) -> None:
        b = self.b
        b.call_checked(b.rhs, tau, y, b.theta, self.k[i])
        b.call_checked(b.jvp, tau, y, b.theta, tau_dot, ydot, b.thetadot, self.kdot[i])

    def emit(self) -> None:
        b, p = self.b, self.p
        first = b.load(b.ts, 0)
        direction = p.direction(first, b.load(b.ts, b.steps))
        self.evaluate(0, first, b.load(b.ts_dot, 0), b.ys, b.ydot)
        written = b.var(0, "written", "i64")
        with b.loop(0, b.steps, name="number") as number:
            step = p.step(self.k, self.stage, slopes=self.slopes, number=number)
            tdot, t_new_dot = b.load(b.ts_dot, number), b.load(b.ts_dot, number + 1)
            hdot = b.let(t_new_dot - tdot, "hdot")
            # y itself stays as it is until its tangent has served every output of the step
            p.stages(step, p.tableau.stages, lambda i, tau, y: self.stage_tangent(
                step, i, tau, y, tdot, hdot, t_new_dot))
            p.outputs(written, step.t_new, direction,
                      lambda te: self.dense(step, te, written, tdot, hdot))
            p.copy(self.stage_dot, b.ydot)
            p.copy(self.k[-1], self.k[0])
            p.copy(self.kdot[-1], self.kdot[0])

    def stage_tangent(self, step, i, tau, y, tdot, hdot, t_new_dot) -> None:
        b, p = self.b, self.p
        row = [float(a) for a in p.tableau.a[i, :i]]

        def component(d):
            moved = b.op("fma", hdot, b.load(self.slopes[i], d), b.load(b.ydot, d))
            value = b.op("fma", step.h, p.combine(row, self.kdot, d), moved)
            b.store(self.stage_dot, d, value)

        p.each(component)
        c = float(p.tableau.c[i])
        tau_dot = t_new_dot if c == 1.0 else b.let(tdot + hdot * c)
        self.evaluate(i, tau, tau_dot, y, self.stage_dot)

    def dense(self, step, te, e, tdot, hdot) -> None:
        b, p = self.b, self.p
        sigma = b.let((te - step.t) / step.h, "sigma")
        te_dot = b.load(b.t_eval_dot, e)
        sigma_dot = b.let((te_dot - tdot - sigma * hdot) / step.h)
        weights, rates = p.interpolant(sigma), p.interpolant(sigma, derivative=True)
        moved = [w if isinstance(w, float) else b.let(hdot * w + step.h * sigma_dot * r)
                 for w, r in zip(weights, rates, strict=True)]
        row = p.row(b.out_dot, e)

        def component(d):
            slope = p.combine(moved, step.k, d) + b.load(b.ydot, d)
            b.store(row, d, b.op("fma", step.h, p.combine(weights, self.kdot, d), slope))

        p.each(component)


def adjoint(tableau: Tableau, n: int | None) -> tuple[Function, int]:
    """The discrete adjoint of replay, derived at the head of this file.

    From ``g_out`` it writes ``g_y0``, ``g_ts`` (one for every step time) and ``g_t_eval``, and
    adds to ``g_theta``.
    """
    p = Program("adjoint", tableau, n, rhs="ptr", vjp="ptr", theta=BUFFER, steps="i64", ts=BUFFER,
                ys=BUFFER, m="i64", t_eval=BUFFER, g_out=BUFFER, g_y0=BUFFER, g_theta=BUFFER,
                g_ts=BUFFER, g_t_eval=BUFFER)  # fmt: skip
    _Adjoint(p).emit()
    return p.function(), p.used


class _Adjoint:
    def __init__(self, p: Program):
        self.p, self.b = p, p.b
        self.last = p.tableau.stages - 1
        self.k, self.kappa = p.vectors(self.last + 1, "k"), p.vectors(self.last + 1, "kappa")
        self.slopes = p.vectors(self.last + 1, "slope")
        self.stage, self.eta = p.vector("stage"), p.vector("eta")
        self.ybar, self.lam = p.vector("ybar"), p.vector("lam")
        self.gt = self.b.alloc(1, name="gt")

    def emit(self) -> None:
        b, p = self.b, self.p
        end = b.load(b.ts, b.steps, "end")
        self.direction = p.direction(b.load(b.ts, 0), end)
        self.e = b.var(b.m - 1, "e")
        with b.while_(lambda: self.pending(end)):  # times beyond the last step had no output
            b.store(b.g_t_eval, self.e, 0.0)
            b.assign(self.e, self.e - 1)
        p.fill(self.lam, 0.0)
        p.fill(self.kappa[-1], 0.0)
        b.call_checked(b.rhs, end, p.row(b.ys, b.steps), b.theta, self.k[-1])
        self.carry = b.var(0.0, "carry")
        with b.loop(0, b.steps, reverse=True, name="number") as number:
            self.step_back(number)
        gt = self.pull(b.load(b.ts, 0), b.ys, self.kappa[-1], self.lam)
        b.store(b.g_ts, 0, self.carry + gt)
        p.copy(self.lam, b.g_y0)

    def pending(self, t, first=None) -> Name:
        """Whether output e lies after ``t`` (or, in the step ``first`` names, exists)."""
        b = self.b
        go = b.var(Const(False, "i1"), "go")
        with b.if_(self.e >= 0):
            after = (b.load(b.t_eval, self.e) - t) * self.direction > 0.0
            b.assign(go, after if first is None else after | first)
        return go

    def pull(self, tau, y, g, gy) -> Name:
        """The model's vjp: adds to ``gy`` and ``g_theta``, returns the cotangent of ``tau``."""
        b = self.b
        b.store(self.gt, 0, 0.0)
        b.call_checked(b.vjp, tau, y, b.theta, g, self.gt, gy, b.g_theta)
        return b.load(self.gt, 0)

    def step_back(self, number) -> None:
        b, p = self.b, self.p
        step = p.step(self.k, self.stage, slopes=self.slopes, number=number)
        b.call_checked(b.rhs, step.t, step.y, b.theta, self.k[0])
        p.stages(step, self.last,
                 lambda i, tau, y: b.call_checked(b.rhs, tau, y, b.theta, self.k[i]))
        for kappa in self.kappa[:-1]:
            p.fill(kappa, 0.0)
        p.fill(self.ybar, 0.0)
        self.t_bar, self.h_bar = b.var(0.0, "t_bar"), b.var(0.0, "h_bar")
        self.t_new_bar = b.var(self.carry, "t_new_bar")
        with b.while_(lambda: self.pending(step.t, number.eq(0))):
            self.output_back(step, b.load(b.t_eval, self.e, "te"))
            b.assign(self.e, self.e - 1)
        gt = self.pull(step.t_new, step.y_new, self.kappa[-1], self.lam)
        b.assign(self.t_new_bar, self.t_new_bar + gt)
        self.spread(step, self.last, self.lam)
        for i in range(self.last - 1, 0, -1):
            self.stage_back(step, i)
        p.copy(self.kappa[0], self.kappa[-1])
        p.copy(self.k[0], self.k[-1])
        p.copy(self.ybar, self.lam)
        b.store(b.g_ts, number + 1, self.t_new_bar + self.h_bar)
        b.assign(self.carry, self.t_bar - self.h_bar)

    def stage_back(self, step, i: int) -> None:
        b, p = self.b, self.p

        def component(d):
            b.store(self.stage, d,
                    b.op("fma", step.h, b.load(self.slopes[i], d), b.load(step.y, d)))
            b.store(self.eta, d, 0.0)

        p.each(component)
        tau = p.node(i, step.t, step.h, step.t_new)
        gt = self.pull(tau, self.stage, self.kappa[i], self.eta)
        c = float(p.tableau.c[i])
        if c == 1.0:
            b.assign(self.t_new_bar, self.t_new_bar + gt)
        else:
            b.assign(self.t_bar, self.t_bar + gt)
            b.assign(self.h_bar, self.h_bar + gt * c)
        self.spread(step, i, self.eta)

    def spread(self, step, i: int, eta: Name) -> None:
        """Y_i = y + h S_i with cotangent ``eta``: hand it on to y, h and the stages before."""
        b, p = self.b, self.p
        slopes, dot = self.slopes[i], b.var(0.0, "dot")
        row = [float(a) for a in p.tableau.a[i, :i]]

        def component(d):
            g = b.load(eta, d)
            slope = p.combine(row, self.k, d) if i == self.last else b.load(slopes, d)
            b.assign(dot, b.op("add", dot, slope * g, fast=True))
            b.add_to(self.ybar, d, g)
            scaled = b.let(step.h * g)
            for a, kappa in zip(row, self.kappa, strict=False):
                if a != 0.0:
                    b.store(kappa, d, b.op("fma", Const(a), scaled, b.load(kappa, d)))

        p.each(component)
        b.assign(self.h_bar, self.h_bar + dot)

    def output_back(self, step, te) -> None:
        b, p = self.b, self.p
        sigma = b.let((te - step.t) / step.h, "sigma")
        weights, rates = p.interpolant(sigma), p.interpolant(sigma, derivative=True)
        scaled = [w if isinstance(w, float) else b.let(step.h * w) for w in weights]
        g_row = p.row(b.g_out, self.e)
        slope, speed = b.var(0.0, "slope_dot"), b.var(0.0, "speed")

        def component(d):
            g = b.load(g_row, d)
            b.add_to(self.ybar, d, g)
            value = p.combine(weights, self.k, d) * g
            b.assign(slope, b.op("add", slope, value, fast=True))
            rate = p.combine(rates, self.k, d) * g
            b.assign(speed, b.op("add", speed, rate, fast=True))
            for w, kappa in zip(scaled, self.kappa, strict=True):
                if not isinstance(w, float):
                    b.store(kappa, d, b.op("fma", w, g, b.load(kappa, d)))

        p.each(component)
        b.store(b.g_t_eval, self.e, speed)
        b.assign(self.t_bar, self.t_bar - speed)
        b.assign(self.h_bar, self.h_bar + slope - sigma * speed)


# ---- compiled ------------------------------------------------------------------------------------

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


def load(kind: str, tableau: Tableau, n: int):
    """The compiled kernel for dimension n, as a Python function.

    Function pointers are passed as integers.  Returns None, or a status that is not OK.
    """
    return _compiled(kind, tableau, dimension(n))
