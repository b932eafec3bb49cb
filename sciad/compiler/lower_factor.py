"""Native forms of dense solves: LU, determinants, Cholesky.

A factorisation has up to three forms, by its size: written out entry by entry, loops, LAPACK. All
choose LAPACK's pivots (the first among the largest) and so stop at the matrices where NumPy does.
A stack runs through the form of its matrices.
"""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.lapack import (
    call,
    entry,
    failure,
    offset,
    plus,
    settled,
    source,
    write_columns,
    write_rows,
)
from sciad.compiler.loops import Const, Expr, Name, Op
from sciad.compiler.lower import lowering
from sciad.compiler.values import SMALL, Buffer, Emitter, Scalars, index, size_of
from sciad.ops import decompositions, determinant, factor

UNROLL = 8
"""Extent of a matrix up to which its factorisation is written out,"""

UNROLLED_WORK = 250
"""as long as it takes no more multiplications than this (compiles in 0.1 s, and runs in half the
time of loops)."""

LAPACK = 48
"""Extent from which LAPACK finds the LU factors of a matrix: below, loops are faster. (Cholesky
factors are written out or LAPACK's: loops are slower.)"""

SINGULAR = failure("Singular matrix")
INDEFINITE = failure("Matrix is not positive definite")


def unrolled(n: int, columns: int = 0) -> bool:
    """Whether the elimination of n columns, with so many right-hand sides, is written out."""
    return n <= UNROLL and n * n * (n // 3 + columns) <= UNROLLED_WORK


def _rows(em: Emitter, x, batch, kind) -> list[list[Expr]]:
    """The entries of a matrix, as expressions."""
    return [[em.let(entry(em, x, batch, index(i), index(j), kind)) for j in range(x.shape[-1])]
            for i in range(x.shape[-2])]


def _put(em: Emitter, rows: list[list[Expr]], out: Buffer, start: Expr) -> None:
    place = 0
    for row in rows:
        for x in row:
            em.emit(ir.Store(out.name, plus(start, index(place)), x))
            place += 1


def _less(em: Emitter, x: Expr, ratio: Expr, y: Expr) -> Expr:
    """x - ratio y."""
    return em.let(Op("sub", (x, Op("mul", (ratio, y), fast=True)), fast=True))


def _select(em: Emitter, test: Expr, x: Expr, y: Expr) -> Expr:
    return x if x is y else em.let(Op("select", (test, x, y)))


def _abs(x: Expr) -> Expr:
    return Op("abs", (x,))


# --- LU, written out ------------------------------------------------------------------------------


def eliminated(em: Emitter, a: list, b: list) -> list[Expr]:
    """Bring the rows of A to upper triangular form in place, those of B with them; gives which
    steps swapped rows."""
    n, swaps = len(a), []
    for k in range(n - 1):
        swaps.append(_pivot(em, a, b, k))
        for i in range(k + 1, n):
            ratio = em.let(a[i][k] / a[k][k])
            for j in range(k + 1, n):
                a[i][j] = _less(em, a[i][j], ratio, a[k][j])
            b[i] = [_less(em, x, ratio, y) for x, y in zip(b[i], b[k], strict=True)]
    return swaps


def _pivot(em: Emitter, a: list, b: list, k: int) -> Expr:
    """Swap row k with the one of the largest entry in column k, the first among equals."""
    n = len(a)
    best, wins = em.let(_abs(a[k][k])), []
    for i in range(k + 1, n):
        size = em.let(_abs(a[i][k]))
        wins.append(em.let(size > best))
        best = _select(em, wins[-1], size, best)
    taken = None  # whether a later row is the one
    for i in range(n - 1, k, -1):
        won = wins[i - k - 1]
        chosen = won if taken is None else em.let(won & ~taken)
        taken = won if taken is None else em.let(won | taken)
        for rows, first in ((a, k), (b, 0)):
            top, row = rows[k][first:], rows[i][first:]
            rows[k] = rows[k][:first] + [_select(em, chosen, y, x)
                                         for x, y in zip(top, row, strict=True)]
            rows[i] = rows[i][:first] + [_select(em, chosen, x, y)
                                         for x, y in zip(top, row, strict=True)]
    return taken


def _solved(em: Emitter, a: list, b: list) -> list:
    """The rows of A^-1 B; singular matrices stop the program."""
    eliminated(em, a, b)
    ok = None
    for k in range(len(a)):
        regular = em.let(a[k][k].ne(0))
        ok = regular if ok is None else em.let(ok & regular)
    if ok is not None:
        em.stop_unless(ok, SINGULAR)
    for k in reversed(range(len(a))):
        b[k] = [em.let(x / a[k][k]) for x in b[k]]
        for i in range(k):
            b[i] = [_less(em, x, a[i][k], y) for x, y in zip(b[i], b[k], strict=True)]
    return b


# --- LU in loops, on a workspace in C order -------------------------------------------------------


def _fill(em: Emitter, x, batch, kind, out: Name, start: Expr) -> None:
    rows, columns = x.shape[-2:]
    with em.loops((rows, columns), parallel=True) as (i, j):
        place = em.let(plus(start, i * columns + j))
        em.emit(ir.Store(out, place, entry(em, x, batch, i, j, kind)))


def _eliminate(em: Emitter, a: Name, n: int, x: Name | None, start: Expr, columns: int,
               odd: Name | None = None, stop: bool = True) -> None:
    """Eliminate in A, and in the right-hand sides at `start` of `x`. `odd` changes with each swap
    of rows; a pivot of 0 stops the program or leaves its column as it is."""
    zero = index(0)
    with em.loop(n) as k:
        row = _largest_below(em, a, k, n)
        with em.nested() as swap:
            _swap_rows(em, a, zero, k, row, n)
            if x is not None:
                _swap_rows(em, x, start, k, row, columns)
            if odd is not None:
                em.emit(ir.Assign(odd.name, ~odd))
        em.emit(ir.If(row.ne(k), swap, []))
        top = em.let(ir.Load(a, em.let(k * n + k)))
        if stop:
            em.stop_unless(top.ne(0), SINGULAR)
        with em.nested() as body, em.loop(em.let(index(n - 1) - k)) as after:
            i = em.let(after + k + 1)
            ratio = em.let(ir.Load(a, em.let(i * n + k)) / top)
            width = em.let(index(n - 1) - k)
            _subtract_row(em, a, em.let(i * n + k + 1), em.let(k * n + k + 1), ratio, width)
            if x is not None:
                _subtract_row(em, x, em.let(plus(start, i * columns)),
                              em.let(plus(start, k * columns)), ratio, columns)
        if stop:
            em.block.extend(body)
        else:
            em.emit(ir.If(top.ne(0), body, []))


def _largest_below(em: Emitter, a: Name, k: Expr, n: int) -> Name:
    """The row from k on whose entry in column k is largest."""
    pivot = em.variable(k)
    best = em.variable(_abs(ir.Load(a, em.let(k * n + k))))
    with em.loop(em.let(index(n - 1) - k)) as after:
        i = em.let(after + k + 1)
        size = em.let(_abs(ir.Load(a, em.let(i * n + k))))
        wins = em.let(size > best)
        em.emit(ir.Assign(pivot.name, Op("select", (wins, i, pivot))))
        em.emit(ir.Assign(best.name, Op("select", (wins, size, best))))
    return em.snapshot(pivot)


def _swap_rows(em: Emitter, buffer: Name, start: Expr, i: Expr, k: Expr, width: int) -> None:
    with em.loop(width) as j:
        p, q = em.let(plus(start, i * width + j)), em.let(plus(start, k * width + j))
        old = em.let(ir.Load(buffer, p))
        em.emit(ir.Store(buffer, p, ir.Load(buffer, q)))
        em.emit(ir.Store(buffer, q, old))


def _subtract_row(em: Emitter, buffer: Name, to: Expr, of: Expr, ratio: Expr, width) -> None:
    """Subtract `ratio` times one row from another, from these places on."""
    with em.loop(width, parallel=True) as j:
        p, q = em.let(to + j), em.let(of + j)
        em.emit(ir.Store(buffer, p, _less(em, ir.Load(buffer, p), ratio, ir.Load(buffer, q))))


def _substitute(em: Emitter, a: Name, n: int, x: Name, start: Expr, columns: int) -> None:
    with em.loop(n, reverse=True) as k:
        top = em.let(ir.Load(a, em.let(k * n + k)))
        own = em.let(plus(start, k * columns))
        with em.loop(columns, parallel=True) as j:
            spot = em.let(own + j)
            em.emit(ir.Store(x, spot, ir.Load(x, spot) / top))
        with em.loop(k) as i:
            _subtract_row(em, x, em.let(plus(start, i * columns)), own,
                          em.let(ir.Load(a, em.let(i * n + k))), columns)


# --- solves ---------------------------------------------------------------------------------------


@lowering(factor.solve_p)
def _solve(em, step, a, b):
    out_shape, kind = step.out()
    n, columns = out_shape[-2:]
    batch = out_shape[:-2]
    if not size_of(out_shape):
        return [em.buffer(out_shape, kind)]
    a, b = source(em, a, batch), source(em, b, batch)
    if unrolled(n, columns) and not batch and size_of(out_shape) <= SMALL:
        rows = _solved(em, _rows(em, a, (), kind), _rows(em, b, (), kind))
        return [Scalars(out_shape, kind, [x for row in rows for x in row])]
    out = em.buffer(out_shape, kind)
    solver = _Solver(em, kind, n, columns)
    with em.loops(batch) as place:
        solver.run(a, b, place, out, offset(em, batch, place, n * columns))
    return [settled(em, out)]


class _Solver:
    """Solves for one matrix after the other; holds the workspace."""

    def __init__(self, em: Emitter, kind: str, n: int, columns: int):
        self.em, self.kind, self.n, self.columns = em, kind, n, columns
        self.unrolled = unrolled(n, columns)
        self.library = n >= LAPACK
        if not self.unrolled:
            self.work = em.alloc(kind, n * n)
        if self.library:
            self.pivots = em.alloc("i32", n)
            self.right = em.alloc(kind, n * columns) if columns > 1 else None

    def run(self, a, b, place, out: Buffer, start: Expr) -> None:
        """The solution at `place` of the stack, written to `start` of `out`."""
        em, n, columns = self.em, self.n, self.columns
        if self.unrolled:
            rows = _rows(em, a, place, self.kind), _rows(em, b, place, self.kind)
            _put(em, _solved(em, *rows), out, start)
        elif self.library:
            self._library(a, b, place, out, start)
        else:
            _fill(em, a, place, self.kind, self.work, index(0))
            _fill(em, b, place, self.kind, out.name, start)
            _eliminate(em, self.work, n, out.name, start, columns)
            _substitute(em, self.work, n, out.name, start, columns)

    def _library(self, a, b, place, out, start):
        em, n, columns = self.em, self.n, self.columns
        write_columns(em, a, place, self.work)
        if columns == 1:
            _fill(em, b, place, self.kind, out.name, start)
            right = em.let(ir.Address(out.name, start))
        else:
            right = self.right
            write_columns(em, b, place, right)
        state = call(em, "gesv", self.kind, n, columns, self.work, n, self.pivots, right, n)
        em.stop_unless(state.eq(0), SINGULAR)
        if columns > 1:
            write_rows(em, right, (n, columns), out.name, start)


# --- determinants ---------------------------------------------------------------------------------


@lowering(determinant.det_p)
def _det(em, step, a):
    out_shape, kind = step.out()
    a = source(em, a, out_shape)
    lu = _Pivots(em, kind, a.shape[-1])
    return [_each(em, out_shape, kind, lambda place: [_product(em, *lu.run(a, place), kind)])[0]]


@lowering(determinant.slogdet_p)
def _slogdet(em, step, a):
    out_shape, kind = step.out()
    a = source(em, a, out_shape)
    lu = _Pivots(em, kind, a.shape[-1])
    return _each(em, out_shape, kind, lambda place: _sign_and_log(em, *lu.run(a, place), kind), 2)


def _each(em: Emitter, batch, kind, function, count: int = 1) -> list:
    """Numbers for each place of a stack."""
    if not batch:
        return [Scalars((), kind, [x]) for x in function(())]
    outs = [em.buffer(batch, kind) for _ in range(count)]
    with em.loops(batch) as place:
        start = offset(em, batch, place, 1)
        for out, x in zip(outs, function(place), strict=True):
            em.emit(ir.Store(out.name, start, x))
    return [settled(em, out) for out in outs]


class _Pivots:
    """The pivots of one matrix after the other, and whether an odd number of rows was swapped."""

    def __init__(self, em: Emitter, kind: str, n: int):
        self.em, self.kind, self.n = em, kind, n
        if n > UNROLL:
            self.work = em.alloc(kind, n * n)
        if n >= LAPACK:
            self.swaps = em.alloc("i32", n)

    def run(self, a, place):
        """(a loop over the pivots, whether they change sign)."""
        em, n = self.em, self.n
        if n <= UNROLL:
            rows = _rows(em, a, place, self.kind)
            odd = Const(False, "i1")
            for swapped in eliminated(em, rows, [[] for _ in rows]):
                odd = em.let(odd ^ swapped)
            return _Listed([rows[k][k] for k in range(n)]), odd
        odd = em.variable(Const(False, "i1"))
        if n >= LAPACK:
            write_columns(em, a, place, self.work)
            call(em, "getrf", self.kind, n, n, self.work, n, self.swaps)
            with em.loop(n) as k:
                moved = em.let(Op("i64", (ir.Load(self.swaps, k),))).ne(k + 1)
                em.emit(ir.Assign(odd.name, odd ^ moved))
        else:
            _fill(em, a, place, self.kind, self.work, index(0))
            _eliminate(em, self.work, n, None, index(0), 0, odd, stop=False)
        return _Diagonal(em, self.work, n), em.snapshot(odd)


class _Listed:
    def __init__(self, pivots):
        self.pivots = pivots

    def each(self, function):
        for x in self.pivots:
            function(x)


class _Diagonal:
    def __init__(self, em, work, n):
        self.em, self.work, self.n = em, work, n

    def each(self, function):
        em = self.em
        with em.loop(self.n) as k:
            function(em.let(ir.Load(self.work, em.let(k * (self.n + 1)))))


def _product(em: Emitter, pivots, odd: Expr, kind: str) -> Expr:
    """The product; by logarithms, as in NumPy, where a partial product nears the ends of the
    range."""
    low, high = (1e-280, 1e280) if kind == "f64" else (1e-30, 1e30)
    total = em.variable(Op("select", (odd, Const(-1.0, kind), Const(1.0, kind))))
    inside = em.variable(Const(True, "i1"))

    def factor_in(x):
        em.emit(ir.Assign(total.name, total * x))
        size = em.let(_abs(total))
        em.emit(ir.Assign(inside.name, inside & (size > low) & (size < high)))

    pivots.each(factor_in)
    with em.nested() as careful:
        sign, log = _sign_and_log(em, pivots, odd, kind)
        em.emit(ir.Assign(total.name, sign * Op("exp", (log,))))
    em.emit(ir.If(~inside, careful, []))
    return em.snapshot(total)


def _sign_and_log(em: Emitter, pivots, odd: Expr, kind: str) -> list[Expr]:
    one, zero = Const(1.0, kind), Const(0.0, kind)
    sign = em.variable(Op("select", (odd, -one, one)))
    log, regular = em.variable(zero), em.variable(Const(True, "i1"))

    def factor_in(x):
        em.emit(ir.Assign(sign.name, Op("select", (x < 0.0, -sign, sign))))
        em.emit(ir.Assign(log.name, log + Op("log", (_abs(x),))))
        em.emit(ir.Assign(regular.name, regular & x.ne(0.0)))

    pivots.each(factor_in)
    return [em.let(Op("select", (regular, sign, zero))),
            em.let(Op("select", (regular, log, Const(float("-inf"), kind))))]


# --- Cholesky: A = L L^T, from the lower triangle -------------------------------------------------


@lowering(decompositions.cholesky_p)
def _cholesky(em, step, a):
    out_shape, kind = step.out()
    *batch, n, _ = out_shape
    a = source(em, a, batch)
    if not batch and size_of(out_shape) <= SMALL:
        rows = _cholesky_rows(em, a, (), kind)
        return [Scalars(out_shape, kind, [x for row in rows for x in row])]
    out = em.buffer(out_shape, kind)
    with em.loops(batch) as place:
        start = offset(em, batch, place, n * n)
        if n <= UNROLL:
            _put(em, _cholesky_rows(em, a, place, kind), out, start)
        else:
            _write_lower(em, a, place, out, start)
            square = em.let(ir.Address(out.name, start))
            state = call(em, "potrf", kind, "U", n, square, n)  # upper in Fortran's order
            em.stop_unless(state.eq(0), INDEFINITE)
    return [settled(em, out)]


def _cholesky_rows(em: Emitter, a, place, kind) -> list[list[Expr]]:
    n, zero = a.shape[-1], Const(0.0, kind)
    rows = [[zero] * n for _ in range(n)]
    for j in range(n):
        for i in range(j, n):
            x = em.let(entry(em, a, place, index(i), index(j), kind))
            for k in range(j):
                x = _less(em, x, rows[i][k], rows[j][k])
            if i == j:
                em.stop_unless(~(x <= 0.0), INDEFINITE)
                x = Op("sqrt", (x,))
            rows[i][j] = em.let(x if i == j else x / rows[j][j])
    return rows


def _write_lower(em: Emitter, a, place, out: Buffer, start: Expr) -> None:
    n, kind = out.shape[-1], out.kind
    with em.loops((n, n), parallel=True) as (i, j):
        x = Op("select", (j > i, Const(0.0, kind), entry(em, a, place, i, j, kind)))
        em.emit(ir.Store(out.name, em.let(plus(start, i * n + j)), x))
