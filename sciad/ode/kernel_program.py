r"""One Runge-Kutta step as a loop program, for any tableau and any dimension.

A step from (t, y) to (t', y'), h = t' - t, in the notation of ``sciad.ode.tableau``:

    S_i = sum_{j<i} a_ij k_j,   Y_i = y + h S_i,   k_i = f(tau_i, Y_i),   tau_i = t + c_i h,

with tau_i = t' exactly where c_i = 1.  The last stage is y' = Y_{s-1}, and k_{s-1} = f(t', y')
serves as k_0 of the next step.  An output time t_e in (t, t'] takes

    u = y + h sum_i w_i k_i,   w_i = b_i(sigma),   sigma = (t_e - t) / h.

The programs are strict IEEE with explicit fused multiply-adds, which is what
makes them agree to the bit; reassociation is allowed only in the norms and dot products.
"""

from collections.abc import Callable

from sciad.compiler import loops
from sciad.compiler.loops import Builder, Const, Expr, Function, Name
from sciad.ode.tableau import Tableau

OK, UNDERFLOW, NON_FINITE, MAX_STEPS, FULL = 0, 1001, 1002, 1003, 1004  # statuses

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
            with self.b.loop(0, self.n, name="d", parallel=True) as d:
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
