r"""The solve with its steps given, its tangent and its discrete adjoint, as loop programs.

Once the steps are known the solve is a composition of the formulas in
``sciad.ode.kernel_program``, a differentiable function of y_0, theta, every step time and every
output time.  Bars denote cotangents.  Going back over the steps, lambda is the cotangent of y'
from all that came after, except through k_{s-1} = f(t', y'); kappa_i is that of k_i, and
kappa_{s-1} arrives from the next step, whose first stage it is.

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
and s-1 of vjp.
"""

from sciad.compiler.loops import Const, Function, Name
from sciad.ode.kernel_program import BUFFER, Program
from sciad.ode.tableau import Tableau


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
