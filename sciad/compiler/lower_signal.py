"""Native form of the discrete convolution.

    full    y_k = sum_j a_{k-j} v_j            valid    y_k = sum_j a_{k+m-1-j} v_j

Tiny ones are written out. Else the loop that is innermost is the longer of that over results, which
adds a multiple of one factor to the result, and that over terms, which is a scalar product; both
run through memory in order.
"""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.loops import Const, Expr, Op
from sciad.compiler.lower import lowering
from sciad.compiler.values import (
    SMALL,
    Buffer,
    Emitter,
    Scalars,
    Unsupported,
    Value,
    convert,
    index,
    size_of,
)
from sciad.ops.signal import convolve_p

_MOST_TERMS = 64


@lowering(convolve_p)
def _convolve(em, step, a, v):
    (size,), kind = step.out()
    if kind == "i1":
        raise Unsupported("no native form of the convolution of truth values")
    if a.shape[0] < v.shape[0]:  # `full`: either way round is the same
        a, v = v, a
    n, m = a.shape[0], v.shape[0]
    skip = 0 if step.params["mode"] == "full" else m - 1
    if size <= SMALL and size * m <= _MOST_TERMS:
        return [_written_out(em, a, v, size, kind, skip)]
    a, v, out = _of_kind(em, a, kind), _of_kind(em, v, kind), em.buffer((size,), kind)
    if not skip:
        _spread(em, a, v, out, n, m)
    elif size < m:
        _products(em, a, v, out, size, m)
    else:
        _gathered(em, a, v, out, size, m)
    return [out]


def _written_out(em: Emitter, a: Value, v: Value, size: int, kind: str, skip: int) -> Scalars:
    left, right = ([convert(x, kind) for x in em.scalars(value).entries] for value in (a, v))
    entries = []
    for k in range(skip, skip + size):
        terms = [left[k - j] * x for j, x in enumerate(right) if 0 <= k - j < len(left)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        entries.append(em.let(total))
    return Scalars((size,), kind, entries)


def _of_kind(em: Emitter, value: Value, kind: str) -> Buffer:
    """A factor in memory, in the type of the result."""
    value = em.to_buffer(value)
    if value.kind == kind:
        return value
    out = em.buffer(value.shape, kind)
    with em.loop(size_of(value.shape), parallel=True) as i:
        em.emit(ir.Store(out.name, i, convert(ir.Load(value.name, i), kind)))
    return out


def _clear(em: Emitter, out: Buffer) -> None:
    with em.loop(out.shape[0], parallel=True) as k:
        em.emit(ir.Store(out.name, k, Const(0, out.kind)))


def _add(em: Emitter, out: Buffer, place: Expr, term: Expr) -> None:
    place = em.let(place)
    em.emit(ir.Store(out.name, place, Op("add", (ir.Load(out.name, place), term), fast=True)))


def _spread(em, a, v, out, n, m):
    """y_{i+j} += a_i v_j, for each j along a."""
    _clear(em, out)
    with em.loop(m) as j:
        factor = em.let(ir.Load(v.name, j))
        with em.loop(n, parallel=True) as i:
            _add(em, out, i + j, Op("mul", (ir.Load(a.name, i), factor), fast=True))


def _gathered(em, a, v, out, size, m):
    """y_k += a_{k+m-1-j} v_j, for each j along y."""
    _clear(em, out)
    with em.loop(m) as j:
        factor = em.let(ir.Load(v.name, j))
        start = em.let(index(m - 1) - j)
        with em.loop(size, parallel=True) as k:
            _add(em, out, k, Op("mul", (ir.Load(a.name, k + start), factor), fast=True))


def _products(em, a, v, out, size, m):
    """y_k as a scalar product."""
    with em.loop(size) as k:
        total = em.variable(Const(0, out.kind))
        with em.loop(m) as j:
            term = Op("mul", (ir.Load(a.name, k + (index(m - 1) - j)), ir.Load(v.name, j)),
                      fast=True)
            em.emit(ir.Assign(total.name, Op("add", (total, term), fast=True)))
        em.emit(ir.Store(out.name, k, total))
