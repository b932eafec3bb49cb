"""LAPACK and BLAS in native code: calls by the pointers of scipy, matrices in Fortran's order.

A routine gets a small function of its own in the module, which hands everything on by reference.
"""

from __future__ import annotations

import re

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler.loops import Builder, Expr, Name, Op
from sciad.compiler.values import (
    SMALL,
    Buffer,
    Emitter,
    Value,
    Virtual,
    convert,
    index,
    size_of,
)

LETTER = {"f64": "d", "f32": "s"}


def call(em: Emitter, routine: str, kind: str, *args) -> Name:
    """Emit a call of a LAPACK routine of a kind; gives its status, 0 if all went well.

    Characters and constants of a type are part of the function, integers its parameters.
    """
    return _call(em, routine, kind, args, info=True)


def blas(em: Emitter, routine: str, kind: str, *args) -> None:
    """Emit a call of a BLAS routine of a kind."""
    _call(em, routine, kind, args, info=False)


def _call(em, routine, kind, args, info):
    flags = "".join(a if isinstance(a, str) else re.sub(r"\W", "_", f"_{a.value}_")
                    if type(a) is ir.Const else "" for a in args)
    name = f"{LETTER[kind]}{routine}_{flags}"
    given = [index(a) if isinstance(a, int) else a for a in args
             if not isinstance(a, str) and type(a) is not ir.Const]
    if all(known.name != name for known in em.functions):
        em.functions.append(_wrapper(name, LETTER[kind] + routine, args, info))
    status = em.fresh("s")
    em.emit(ir.Call(name, tuple(given), status))
    return Name(status, "i64")


def _wrapper(name: str, routine: str, args, info: bool) -> ir.Function:
    types = {f"a{k}": "i64" if isinstance(a, int) else a.type for k, a in enumerate(args)
             if not isinstance(a, str) and type(a) is not ir.Const}
    b = Builder(name, **types)
    values = [b[f"a{k}"] if f"a{k}" in types else a for k, a in enumerate(args)]
    if info:
        state = b.alloc(1, "i32", "info")
        b.call_fortran(routine, *values, state)
        b.ret(Op("i64", (b.load(state, 0),)))
    else:
        b.call_fortran(routine, *values)
        b.ret(0)
    return b.function()


# --- stacks of matrices ---------------------------------------------------------------------------


def entry(em: Emitter, x: Value, batch, i, j, kind: str | None = None) -> Expr:
    """An entry of the matrix that stands at `batch` in a stack, which may broadcast."""
    found = em.at(x, (*batch[len(batch) + 2 - len(x.shape):], i, j))
    return found if kind is None else convert(found, kind)


def source(em: Emitter, x: Value, batch: tuple[int, ...] = ()) -> Value:
    """A stack of matrices whose entries are read once each (more often where it is stretched over
    a larger stack: it is then computed before)."""
    x = em.addressable(x)
    if type(x) is Virtual and x.computed and x.shape[:-2] != tuple(batch):
        return em.to_buffer(x)
    return x


def offset(em: Emitter, batch: tuple[int, ...], place, size: int) -> Expr:
    """Where the matrix at `place` of a stack begins in memory."""
    base = index(0)
    for extent, i in zip(batch, place, strict=True):
        base = base * extent + i if type(base) is not ir.Const else i if extent > 1 else base
    return em.let(base * size) if type(base) is not ir.Const else index(base.value * size)


def plus(x: Expr, y: Expr) -> Expr:
    """A sum of places; zeros vanish."""
    if type(x) is ir.Const and x.value == 0:
        return y
    return x if type(y) is ir.Const and y.value == 0 else x + y


def runs_down(x: Value) -> bool:
    """Whether the columns of a matrix lie along memory: a transpose not written out."""
    return type(x) is Virtual and not x.computed


def write_columns(em: Emitter, x: Value, batch, work: Name, triangle: str = "") -> None:
    """Write a matrix to a workspace in Fortran's order (`triangle` "L" or "U": only that part)."""
    rows, columns = x.shape[-2:]
    kind = work.type[4:-1]
    if runs_down(x):
        with em.loop(columns) as j, em.loop(rows, parallel=True) as i:
            em.emit(ir.Store(work, em.let(j * rows + i), entry(em, x, batch, i, j, kind)))
        return
    with em.loop(rows) as i, em.loop(columns, parallel=True) as j:
        em.emit(ir.Store(work, em.let(j * rows + i), entry(em, x, batch, i, j, kind)))


def write_rows(em: Emitter, work: Name, shape: tuple[int, int], out: Name, start: Expr,
               leading: int | None = None) -> None:
    """Write a matrix in Fortran's order to a place in memory, in C order; `leading` is its
    distance between columns, if there are more rows than asked for."""
    rows, columns = shape
    leading = rows if leading is None else leading
    with em.loop(rows) as i, em.loop(columns, parallel=True) as j:
        place = em.let(plus(start, i * columns + j))
        em.emit(ir.Store(out, place, ir.Load(work, em.let(j * leading + i))))


def all_finite(em: Emitter, work: Name, size: int) -> Expr:
    """Whether no entry of a workspace is infinite or a NaN: then x - x is 0 for all."""
    zero = ir.Const(0, work.type[4:-1])
    total = em.variable(zero)
    with em.loop(size) as i:
        x = em.let(ir.Load(work, i))
        em.emit(ir.Assign(total.name, Op("add", (total, Op("sub", (x, x))), fast=True)))
    return em.let(total.eq(zero))


def settled(em: Emitter, out: Buffer) -> Value:
    """A result in memory as its consumers shall find it."""
    return em.scalars(out) if size_of(out.shape) <= SMALL else out


def failure(message: str) -> np.linalg.LinAlgError:
    return np.linalg.LinAlgError(message)
