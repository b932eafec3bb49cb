"""Native forms of products.

Small products unroll; the others are three loops, ordered so that the innermost runs along
memory; large ones call BLAS.
"""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.loops import Builder, Const, Op
from sciad.compiler.lower import lowering
from sciad.compiler.values import (
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    Value,
    convert,
    flat_index,
    index,
)
from sciad.ops import products

UNROLL = 128
"""Multiplications up to which a product of small matrices is written out."""

BLAS = 64**3
"""Multiplications from which a product calls BLAS."""


def _add(x, y):
    return Op("add", (x, y), fast=True)


def _mul(x, y):
    return Op("mul", (x, y), fast=True)


@lowering(products.matmul_p)
def _matmul(em, step, a, b):
    out_shape, kind = step.out()
    if kind == "i1":
        raise Unsupported(f"no native form of matmul of truth values ({step.equation.where})")
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    work = rows * inner * columns
    if type(a) is Scalars and type(b) is Scalars and len(out_shape) == 2 and work <= UNROLL:
        return [_unrolled(em, a, b, out_shape, kind)]
    a, b = _operand(em, a, kind), _operand(em, b, kind)
    out = em.buffer(out_shape, kind)
    if len(out_shape) == 2 and work >= BLAS and kind == "f64":
        _blas(em, em.to_buffer(a), em.to_buffer(b), out)
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
        with em.loop(rows) as i, em.loop(columns) as j:
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


def _blas(em: Emitter, a: Buffer, b: Buffer, out: Buffer):
    """C = A B in C order is C^T = B^T A^T in Fortran's."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    helper = Builder(em.fresh("dgemm"), a="ptr<f64>", b="ptr<f64>", c="ptr<f64>")
    helper.call_fortran("dgemm", "N", "N", columns, rows, inner, 1.0, helper.b, columns,
                        helper.a, inner, 0.0, helper.c, columns)
    helper.ret(0)
    function = helper.function()
    em.functions.append(function)
    em.emit(ir.Call(function.name, (a.name, b.name, out.name), em.fresh("s")))
