"""Native forms of products.

Small products unroll; the others are three loops, ordered so that the innermost runs along
memory; large ones call BLAS.
"""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.lapack import LETTER, blas, offset
from sciad.compiler.loops import Const, Op
from sciad.compiler.lower import lowering
from sciad.compiler.strided import Strided, strided
from sciad.compiler.values import (
    Buffer,
    Emitter,
    Scalars,
    Value,
    convert,
    flat_index,
    index,
)
from sciad.ops import products

UNROLL = 128
"""Multiplications up to which a product of small matrices is written out."""

BLAS = 16**3
"""Multiplications from which a product calls BLAS."""


VECTOR = 256**2
"""Multiplications from which a product with a vector does."""


def _add(x, y):
    return x | y if x.type == "i1" else Op("add", (x, y), fast=x.type[0] == "f")


def _mul(x, y):
    return x & y if x.type == "i1" else Op("mul", (x, y), fast=x.type[0] == "f")


def calls_blas(rows: int, inner: int, columns: int) -> bool:
    """Whether products of floats of these extents are left to BLAS."""
    least = BLAS if min(rows, columns) > 1 else VECTOR
    return rows * inner * columns >= least and max(rows, columns) > 1


@lowering(products.matmul_p)
def _matmul(em, step, a, b):
    out_shape, kind = step.out()
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    work = rows * inner * columns
    if type(a) is Scalars and type(b) is Scalars and len(out_shape) == 2 and work <= UNROLL:
        return [_unrolled(em, a, b, out_shape, kind)]
    a, b = _operand(em, a, kind), _operand(em, b, kind)
    out = em.buffer(out_shape, kind)
    if kind in LETTER and calls_blas(rows, inner, columns):
        _blas(em, a, b, out)
        return [out]
    with em.loops(out_shape[:-2]) as batch:
        _loops(em, a, b, out, batch, (rows, inner, columns))
    return [out]


def _operand(em: Emitter, x: Value, kind) -> Value:
    """A matrix whose entries cost nothing to read."""
    x = em.addressable(x)
    if x.kind != kind:
        return em.to_buffer(_converted(em, x, kind))
    return em.to_buffer(x) if getattr(x, "computed", False) else x


def _converted(em, x, kind):
    out = em.buffer(x.shape, kind)
    with em.loops(x.shape, parallel=True) as indices:
        em.emit(ir.Store(out.name, flat_index(x.shape, indices),
                         convert(em.at(x, indices), kind)))
    return out


def _unrolled(em, a, b, out_shape, kind):
    inner, columns = a.shape[1], b.shape[1]
    x = [convert(entry, kind) for entry in a.entries]
    y = [convert(entry, kind) for entry in b.entries]
    entries = []
    for i in range(a.shape[0]):
        for j in range(columns):
            total = None
            for k in range(inner):
                term = _mul(x[i * inner + k], y[k * columns + j])
                total = term if total is None else _add(total, term)
            entries.append(em.let(total) if total is not None else Const(0, kind))
    return Scalars(out_shape, kind, entries)


def _transposed(x: Value) -> bool:
    """Whether the first axis runs along memory (a transpose not written out)."""
    return type(x) is not Buffer and type(x) is not Scalars


def _loops(em, a, b, out, batch, extents):
    rows, inner, columns = extents

    def left(i, k):
        return em.at(a, (*batch[len(batch) + 2 - len(a.shape):], i, k))

    def right(k, j):
        return em.at(b, (*batch[len(batch) + 2 - len(b.shape):], k, j))

    def place(i, j):
        return em.let(flat_index(out.shape, (*batch, i, j)))

    def accumulate(spot, i, k, j):
        em.emit(ir.Store(out.name, spot, _add(ir.Load(out.name, spot),
                                              _mul(left(i, k), right(k, j)))))

    dots = inner > 1 and (columns == 1 and not _transposed(a)
                          or _transposed(b) and not _transposed(a))
    if dots or inner == 0:
        with em.loop(rows, parallel=True) as i, em.loop(columns, parallel=True) as j:
            total = em.variable(Const(0, out.kind))
            with em.loop(inner) as k:
                em.emit(ir.Assign(total.name, _add(total, _mul(left(i, k), right(k, j)))))
            em.emit(ir.Store(out.name, place(i, j), total))
        return
    with em.loop(rows, parallel=True) as i, em.loop(columns, parallel=True) as j:
        em.emit(ir.Store(out.name, place(i, j), _mul(left(i, index(0)), right(index(0), j))))
    if inner == 1:
        return
    with em.loop(inner - 1) as before:
        k = em.let(before + 1)
        if columns == 1:
            with em.loop(rows, parallel=True) as i:
                accumulate(place(i, index(0)), i, k, index(0))
        else:
            with em.loop(rows, parallel=True) as i, em.loop(columns, parallel=True) as j:
                accumulate(place(i, j), i, k, j)


# --- BLAS -----------------------------------------------------------------------------------------


def _placed(em: Emitter, x: Value) -> Strided:
    """An operand as BLAS takes it; written out if it does not lie in memory so."""
    found = strided(em, x)
    if found is None or found.layout() is None:
        found = strided(em, em.to_buffer(x))
    return found


def _blas(em: Emitter, a: Value, b: Value, out: Buffer) -> None:
    """C = A B in C order is C^T = B^T A^T in Fortran's, for which a matrix in C order is already
    transposed."""
    left, right = _placed(em, a), _placed(em, b)
    (rows, columns), inner, kind = out.shape[-2:], a.shape[-1], out.kind
    (flip_a, step_a), (flip_b, step_b) = left.layout(), right.layout()
    one, zero = Const(1.0, kind), Const(0.0, kind)
    with em.loops(out.shape[:-2]) as place:
        x, y = left.address(em, place), right.address(em, place)
        z = em.let(ir.Address(out.name, offset(em, out.shape[:-2], place, rows * columns)))
        if columns == 1:
            _vector(em, kind, "NT"[flip_a == "N"], (rows, inner), x, step_a, y, right.rows, z)
        elif rows == 1:
            _vector(em, kind, flip_b, (columns, inner), y, step_b, x, left.columns, z)
        else:
            blas(em, "gemm", kind, flip_b, flip_a, columns, rows, inner, one, y, step_b, x, step_a,
                 zero, z, columns)


def _vector(em, kind, flip, extents, matrix, step, x, spacing, out) -> None:
    """A product of a matrix (of so many results and terms) with a vector."""
    if flip == "T":
        extents = extents[::-1]
    blas(em, "gemv", kind, flip, *extents, Const(1.0, kind), matrix, step, x, spacing,
         Const(0.0, kind), out, 1)
