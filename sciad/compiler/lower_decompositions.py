"""Native forms of QR, eigenvalues, singular values, pseudoinverse, least squares, cofactors.

QR, eigenvalues and singular values are LAPACK's at every size, by the routines that NumPy calls,
with the workspace that these ask for: signs and orders are theirs. (In double precision. The
float32 routines of different builds of OpenBLAS, as NumPy's and SciPy's are, disagree on the signs
of vectors; these are called back.) What NumPy composes of them is composed here, as a graph.
"""

from __future__ import annotations

import importlib
import math

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler.lapack import (
    all_finite,
    call,
    failure,
    offset,
    plus,
    settled,
    source,
    write_columns,
    write_rows,
)
from sciad.compiler.loops import Const, Expr, Name, Op
from sciad.compiler.lower import lower_body, lowering
from sciad.compiler.passes import optimise
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import Emitter, Scalars, Unsupported, Value, index, size_of
from sciad.core.record import record_leaves
from sciad.ops import decompositions, determinant, eigh, pseudoinverse, svd
from sciad.ops.elementwise import absolute, where
from sciad.ops.matrices import column
from sciad.ops.products import _swap, matmul_p
from sciad.ops.reduce import max_

NO_EIGENVALUES = failure("Eigenvalues did not converge")
NO_SINGULAR_VALUES = failure("SVD did not converge")
NO_LEAST_SQUARES = failure("SVD did not converge in Linear Least Squares")
BLOCK = 64
"""Columns that LAPACK treats at once, at most."""


def _workspace(name: str, kind: str, *args, **options) -> list[int]:
    """The sizes that a routine asks for; in float32 the answer itself is rounded. (SciPy's linear
    algebra is imported by the programs that use it.)"""
    lapack = importlib.import_module("scipy.linalg.lapack")
    (query,) = lapack.get_lapack_funcs((name + "_lwork",), dtype=DTYPES[kind])
    *sizes, info = query(*args, **options)
    return [math.ceil(float(np.real(x)) * (1 + 1e-6)) + 1 for x in sizes]


def _require_double(step, kind: str) -> None:
    if kind != "f64":
        raise Unsupported(f"no native form of {step.equation.primitive}'s vectors in float32 "
                          f"({step.equation.where})")


# --- QR -------------------------------------------------------------------------------------------


@lowering(decompositions.qr_p)
def _qr(em, step, a):
    (*batch, rows, columns), kind = step.out()
    a = source(em, a, tuple(batch))
    q, r = em.buffer((*batch, rows, columns), kind), em.buffer((*batch, columns, columns), kind)
    if not size_of((rows, columns)):
        return [q, r]
    work, tau = em.alloc(kind, rows * columns), em.alloc(kind, columns)
    length = BLOCK * columns
    space = em.alloc(kind, length)
    with em.loops(batch) as place:
        write_columns(em, a, place, work)
        call(em, "geqrf", kind, rows, columns, work, rows, tau, space, length)
        _upper(em, work, rows, columns, r.name, offset(em, batch, place, columns * columns))
        if step.used[0]:
            call(em, "orgqr", kind, rows, columns, columns, work, rows, tau, space, length)
            write_rows(em, work, (rows, columns), q.name, offset(em, batch, place, rows * columns))
    return [settled(em, q) if step.used[0] else None, settled(em, r)]


def _upper(em: Emitter, work: Name, rows: int, n: int, out: Name, start: Expr) -> None:
    with em.loop(n) as i, em.loop(n, parallel=True) as j:
        x = Op("select", (j < i, Const(0.0, out.type[4:-1]),
                          ir.Load(work, em.let(j * rows + i))))
        em.emit(ir.Store(out, em.let(plus(start, i * n + j)), x))


# --- eigenvalues of symmetric matrices ------------------------------------------------------------


@lowering(eigh.eigh_p)
def _eigh(em, step, a):
    (*batch, n), kind = step.out()
    vectors, lower = step.used[1], step.params["lower"]
    if vectors:
        _require_double(step, kind)
    a = source(em, a, tuple(batch))
    w, v = em.buffer((*batch, n), kind), em.buffer((*batch, n, n), kind)
    if not n:
        return [w, v]
    work = em.alloc(kind, n * n)
    length, integers = _workspace("syevd", kind, n, compute_v=vectors, lower=lower)
    space, whole = em.alloc(kind, length), em.alloc("i32", integers)
    with em.loops(batch) as place:
        write_columns(em, a, place, work)
        values = em.let(ir.Address(w.name, offset(em, batch, place, n)))
        state = call(em, "syevd", kind, "NV"[vectors], "UL"[lower], n, work, n, values, space,
                     length, whole, integers)
        em.stop_unless(state.eq(0), NO_EIGENVALUES)
        if vectors:
            write_rows(em, work, (n, n), v.name, offset(em, batch, place, n * n))
    return [settled(em, w), settled(em, v) if vectors else None]


# --- singular values ------------------------------------------------------------------------------


@lowering(svd.svd_p)
def _svd(em, step, a):
    *batch, rows, columns = a.shape
    (u_shape, kind), (s_shape, _), (v_shape, _) = (step.out(k) for k in range(3))
    u, s, v = (em.buffer(shape, kind) for shape in (u_shape, s_shape, v_shape))
    vectors = step.used[0] or step.used[2]
    if vectors:
        _require_double(step, kind)
    if not size_of((rows, columns)):
        return [_identities(em, u), s, _identities(em, v)]
    a = source(em, a, tuple(batch))
    job = _Svd(em, kind, rows, columns, u_shape[-1], v_shape[-2], vectors)
    with em.loops(batch) as place:
        starts = [offset(em, batch, place, size_of(x.shape[len(batch):])) for x in (u, s, v)]
        job.run(a, place, (u.name, s.name, v.name), starts)
    return [settled(em, u) if vectors else None, settled(em, s),
            settled(em, v) if vectors else None]


def _identities(em: Emitter, out) -> Value:
    """What NumPy gives for the vectors of empty matrices."""
    rows, columns = out.shape[-2:]
    with em.loops(out.shape[:-2]) as batch, em.loops((rows, columns)) as (i, j):
        x = Op("select", (i.eq(j), Const(1.0, out.kind), Const(0.0, out.kind)))
        start = offset(em, out.shape[:-2], batch, rows * columns)
        em.emit(ir.Store(out.name, em.let(plus(start, i * columns + j)), x))
    return settled(em, out)


class _Svd:
    """Decomposes one matrix after the other; holds the workspace. LAPACK may loop for ever on
    infinities, which have no singular values: they stop the program as NaNs do."""

    def __init__(self, em: Emitter, kind, rows, columns, u_columns, v_rows, vectors):
        self.em, self.kind, self.shape, self.vectors = em, kind, (rows, columns), vectors
        self.u_columns, self.v_rows = (u_columns, v_rows) if vectors else (1, 1)
        full = u_columns > min(rows, columns) or v_rows > min(rows, columns)
        self.flag = ("A" if full or rows == columns else "S") if vectors else "N"
        (self.length,) = _workspace("gesdd", kind, rows, columns, compute_uv=vectors,
                                    full_matrices=self.flag != "S")
        sizes = {"work": rows * columns, "u": rows * u_columns, "v": v_rows * columns,
                 "space": self.length}
        self.memory = {name: em.alloc(kind, size if vectors or name in ("work", "space") else 1)
                       for name, size in sizes.items()}
        self.whole = em.alloc("i32", 8 * min(rows, columns))

    def run(self, a, place, outs, starts) -> None:
        em, (rows, columns), memory = self.em, self.shape, self.memory
        write_columns(em, a, place, memory["work"])
        em.stop_unless(all_finite(em, memory["work"], rows * columns), NO_SINGULAR_VALUES)
        values = em.let(ir.Address(outs[1], starts[1]))
        leading = rows if self.vectors else 1
        state = call(em, "gesdd", self.kind, self.flag, rows, columns, memory["work"], rows, values,
                     memory["u"], leading, memory["v"], self.v_rows, memory["space"], self.length,
                     self.whole)
        em.stop_unless(state.eq(0), NO_SINGULAR_VALUES)
        if self.vectors:
            write_rows(em, memory["u"], (rows, self.u_columns), outs[0], starts[0])
            write_rows(em, memory["v"], (self.v_rows, columns), outs[2], starts[2])


# --- least squares --------------------------------------------------------------------------------


@lowering(pseudoinverse.lstsq_p)
def _lstsq(em, step, a, b):
    (columns, count), kind = step.out()
    rows, tall = a.shape[0], max(a.shape)
    out = em.buffer((columns, count), kind)
    if not rows or not columns or not count:
        with em.loop(columns * count) as i:
            em.emit(ir.Store(out.name, i, Const(0.0, kind)))
        return [settled(em, out)]
    a, b = source(em, a), source(em, b)
    work, right = em.alloc(kind, rows * columns), em.alloc(kind, tall * count)
    values, rank = em.alloc(kind, min(rows, columns)), em.alloc("i32", 1)
    rcond = step.params["rcond"]
    length, integers = _workspace("gelsd", kind, rows, columns, count, rcond)
    space, whole = em.alloc(kind, length), em.alloc("i32", integers)
    write_columns(em, a, (), work)
    _write_tall(em, b, right, tall, kind)
    finite = all_finite(em, work, rows * columns) & all_finite(em, right, tall * count)
    em.stop_unless(finite, NO_LEAST_SQUARES)
    state = call(em, "gelsd", kind, rows, columns, count, work, rows, right, tall, values,
                 Const(rcond, kind), rank, space, length, whole)
    em.stop_unless(state.eq(0), NO_LEAST_SQUARES)
    write_rows(em, right, (columns, count), out.name, index(0), tall)
    return [settled(em, out)]


def _write_tall(em: Emitter, b, work: Name, tall: int, kind: str) -> None:
    """Right-hand sides in Fortran's order, each with room for a longer solution."""
    rows, count = b.shape
    with em.loop(tall * count) as i:
        em.emit(ir.Store(work, i, Const(0.0, kind)))
    with em.loops((rows, count)) as (i, j):
        x = em.at(b, (i, j))
        em.emit(ir.Store(work, em.let(j * tall + i), x if x.type == kind else Op(kind, (x,))))


# --- composed -------------------------------------------------------------------------------------


def _composed(primitive, function):
    """The native form of a primitive that other operations make up."""

    @lowering(primitive)
    def lower(em, step, *operands):
        equation = step.equation
        recorded = record_leaves(lambda *xs: function(*xs, **equation.params),
                                 [atom.type for atom in equation.inputs])
        operands = [x if type(x) is Scalars else em.to_buffer(x) for x in operands]
        return lower_body(em, optimise(recorded.graph), operands)

    return lower


def _pinv(a, rtol, hermitian):
    """V diag(1/s) U^T, where s is large enough."""
    if hermitian:
        w, u = eigh.eigh_p(a, lower=True, vectors=True)
        size, left, right = absolute(w), u, u
    else:
        left, w, vh = svd.svd_p(a, full=False, vectors=True)
        size, right = w, _swap(vh)
    if not min(a.shape[-2:]):
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    large = size > rtol * max_(size, -1, keepdims=True)
    inverse = where(large, 1.0 / where(large, w, 1.0), 0.0)
    return matmul_p(right, column(inverse) * _swap(left))


_composed(pseudoinverse.pinv_p, _pinv)
_composed(determinant.cofactor_p, determinant.cofactor_p.fun)
_composed(determinant.cofactor_change_p, determinant.cofactor_change_p.fun)
_composed(eigh.slopes, eigh.slopes.fun)
_composed(eigh.turned, eigh.turned.fun)
_composed(eigh.spectral_p, eigh.spectral_p.fun)
_composed(svd.spectral_svd_p, svd.spectral_svd_p.fun)
