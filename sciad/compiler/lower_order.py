"""Native forms of sorting and searching.

The order is NumPy's: NaN comes last. Short lines of scalars are sorted by exchanges of neighbours,
others by merging: runs sorted by insertion, then merged from one memory to the other and back.
Both are stable. (A partition's order is whatever NumPy's algorithm leaves; it is called back.)
"""

from __future__ import annotations

from sciad.compiler import loops as ir
from sciad.compiler.lapack import settled
from sciad.compiler.loops import Builder, Expr, Name, Op
from sciad.compiler.lower import lowering
from sciad.compiler.lower_elementwise import common_kind
from sciad.compiler.values import (
    Emitter,
    Scalars,
    convert,
    flat_index,
    index,
    size_of,
    unflatten_index,
)
from sciad.ops import sorting

EXCHANGES = 8
"""Length up to which a line of scalars is sorted without loops."""

RUN = 12
"""Length of the runs sorted by insertion."""


def less(x: Expr, y: Expr) -> Expr:
    """Whether x comes before y."""
    before = Op("lt", (x, y))
    if not x.type.startswith("f"):
        return before
    return before | (Op("isnan", (y,)) & ~Op("isnan", (x,)))


@lowering(sorting.argsort_p)
def _argsort(em, step, x):
    shape, _ = step.out()
    axis = step.params["axis"]
    if type(x) is Scalars and shape[axis] <= EXCHANGES:
        return [_exchanged(em, x, axis)]
    x = em.addressable(x)
    out = em.buffer(shape, "i64")
    n, stride = shape[axis], size_of(shape[axis + 1:])
    rest = [*shape[:axis], *shape[axis + 1:]]
    keys, order, *spare = (em.alloc(kind, n) for kind in (x.kind, "i64") * 2)
    with em.loops(rest) as place:
        first = em.let(flat_index(shape, [*place[:axis], index(0), *place[axis:]]))
        target = em.let(ir.Address(out.name, first)) if stride == 1 else order
        with em.loop(n, parallel=True) as i:
            em.emit(ir.Store(keys, i, em.at(x, (*place[:axis], i, *place[axis:]))))
        with em.loop(n, parallel=True) as i:
            em.emit(ir.Store(target, i, i))
        em.emit(ir.Call(_sorter(em, x.kind), (index(n), keys, target, *spare), em.fresh("s")))
        if stride > 1:
            with em.loop(n, parallel=True) as i:
                em.emit(ir.Store(out.name, em.let(first + i * stride), ir.Load(order, i)))
    return [settled(em, out)]


def _exchanged(em: Emitter, x: Scalars, axis: int) -> Scalars:
    """Every line in order, by exchanges of neighbours that stand the wrong way round."""
    n, size = x.shape[axis], size_of(x.shape)
    out: list[Expr] = [index(0)] * size
    lines: dict[tuple, list[int]] = {}
    for k in range(size):
        at = [i.value for i in unflatten_index(x.shape, index(k))]
        lines.setdefault((*at[:axis], *at[axis + 1:]), []).append(k)
    for places in lines.values():
        keys, order = [x.entries[k] for k in places], [index(i) for i in range(n)]
        for last in range(n - 1, 0, -1):
            for i in range(last):
                swap = em.let(less(keys[i + 1], keys[i]))
                for row in (keys, order):
                    row[i], row[i + 1] = (em.let(Op("select", (swap, row[i + 1], row[i]))),
                                          em.let(Op("select", (swap, row[i], row[i + 1]))))
        for k, place in zip(places, order, strict=True):
            out[k] = place
    return Scalars(x.shape, "i64", out)


def _sorter(em: Emitter, kind: str) -> str:
    """The function that sorts n keys and what belongs to them, given room for as many."""
    name = f"sort_{kind}"
    if all(known.name != name for known in em.functions):
        em.functions += [_runs(kind), _merge(kind), _sort(kind, name)]
    return name


def _sort(kind: str, name: str) -> ir.Function:
    memory = {"keys": f"ptr<{kind}>", "order": "ptr<i64>", "keys2": f"ptr<{kind}>",
              "order2": "ptr<i64>"}
    b = Builder(name, n="i64", **memory)
    b.call(f"runs_{kind}", b.n, b.keys, b.order)
    width = b.var(RUN, type="i64")
    with b.while_(lambda: width < b.n):
        b.call(f"merge_{kind}", b.n, b.let(width), b.keys, b.order, b.keys2, b.order2)
        b.assign(width, width * 2)
        b.call(f"merge_{kind}", b.n, b.let(width), b.keys2, b.order2, b.keys, b.order)
        b.assign(width, width * 2)
    b.ret(0)
    return b.function()


def _runs(kind: str) -> ir.Function:
    """Sort each run by insertion."""
    b = Builder(f"runs_{kind}", n="i64", keys=f"ptr<{kind}>", order="ptr<i64>")
    start = b.var(0, type="i64")
    with b.while_(lambda: start < b.n):
        first = b.let(start)
        stop = b.let(b.op("min", first + RUN, b.n))
        with b.loop(first + 1, stop) as i:
            key, place = b.load(b.keys, i), b.load(b.order, i)
            j = b.var(i)

            def goes_before(j=j, key=key, first=first):
                before = b.load(b.keys, b.op("max", j - 1, first))
                return b.let((j > first) & less(key, before))

            with b.while_(goes_before):
                b.store(b.keys, j, ir.Load(b.keys, j - 1))
                b.store(b.order, j, ir.Load(b.order, j - 1))
                b.assign(j, j - 1)
            b.store(b.keys, j, key)
            b.store(b.order, j, place)
        b.assign(start, stop)
    b.ret(0)
    return b.function()


def _merge(kind: str) -> ir.Function:
    """Merge pairs of neighbouring runs of a width from one memory into another."""
    b = Builder(f"merge_{kind}", n="i64", width="i64", keys=f"ptr<{kind}>", order="ptr<i64>",
                keys2=f"ptr<{kind}>", order2="ptr<i64>")
    start = b.var(0, type="i64")
    last = b.let(b.n - 1)
    with b.while_(lambda: start < b.n):
        first = b.let(start)
        middle = b.let(b.op("min", first + b.width, b.n))
        stop = b.let(b.op("min", middle + b.width, b.n))
        i, j = b.var(first), b.var(middle)
        with b.loop(first, stop) as k:
            left, right = b.let(b.op("min", i, last)), b.let(b.op("min", j, last))
            x, y = b.load(b.keys, left), b.load(b.keys, right)
            take = b.let((j < stop) & ((i >= middle) | less(y, x)))
            b.store(b.keys2, k, b.op("select", take, y, x))
            place = b.let(b.op("select", take, right, left))
            b.store(b.order2, k, ir.Load(b.order, place))
            step = b.let(Op("i64", (take,)))
            b.assign(j, j + step)
            b.assign(i, i + (1 - step))
        b.assign(start, stop)
    b.ret(0)
    return b.function()


# --- searching ------------------------------------------------------------------------------------


@lowering(sorting.searchsorted_p)
def _searchsorted(em, step, a, v):
    """By halving: `step` more entries are passed where the last of them comes before the value."""
    shape, _ = step.out()
    kind = common_kind(step)
    n = a.shape[0]
    a, v = em.to_buffer(a), em.addressable(v)
    out = em.buffer(shape, "i64")
    with em.loops(shape) as place:
        value = em.let(convert(em.at(v, place), kind))
        found = _found(em, a.name, n, value, step.params["side"], kind)
        em.emit(ir.Store(out.name, em.let(flat_index(shape, place)), found))
    return [settled(em, out)]


def _found(em: Emitter, a: Name, n: int, value: Expr, side: str, kind: str) -> Expr:
    spot: Expr = index(0)
    step = 1 << n.bit_length() >> 1
    while step:
        further = em.let(spot + step)
        clipped = em.let(Op("min", (further, index(n))) - 1)
        key = em.let(convert(ir.Load(a, clipped), kind))
        passed = less(key, value) if side == "left" else ~less(value, key)
        spot = em.let(Op("select", ((further <= n) & passed, further, spot)))
        step >>= 1
    return spot
