"""Device forms: operations whose value on a device is not NumPy's own call, or has none.

The rest needs nothing here: `sciad.core.backend.evaluate` finds the device's function by its name.
Shapes, derivatives and all that follows from them are the primitives' own.
"""

import numpy as np

from sciad.core.backend import module_of, on_any_device, on_device
from sciad.core.rules import Tools
from sciad.ops import elementwise, factor, indexing, pseudoinverse, shape, sorting

# --- indexing -------------------------------------------------------------------------------------
# Indices may be NumPy arrays, as in CuPy. Where an index repeats, CuPy leaves open which value
# stays; NumPy's is the last. Its number is found first (a maximum, which has no order), and then
# each place is written that one value.


def _full(home, spec, operands):
    return indexing.full_index(spec, [home.module.asarray(i) for i in operands])


def _read(home, x, *operands, spec):
    return home.module.asarray(x)[_full(home, spec, operands)]


def _set(home, x, v, *operands, spec):
    xp = home.module
    out = xp.array(x)
    write(xp, out, _full(home, spec, operands), v, any(i.size > 1 for i in operands))
    return out


def write(xp, out, index, v, repeats):
    """``out[index] = v`` in place; `repeats` says that an index may."""
    if not repeats or not on_any_device(v):
        out[index] = v
        return
    last = xp.zeros(out.shape, np.uint64)
    places = last[index]
    number = xp.arange(places.size, dtype=np.uint64).reshape(places.shape)
    last.scatter_max(index, number)
    out[index] = xp.broadcast_to(v, places.shape).ravel()[last[index].astype(np.int64)]


def _add(home, x, v, *operands, spec):
    xp = home.module
    out = xp.array(x, np.result_type(x, v))
    add(xp, out, _full(home, spec, operands), v, bool(operands))
    return out


def add(xp, out, index, v, repeats):
    """``out[index] += v`` in place, where repeated indices add up."""
    if not repeats:
        out[index] += v
        return
    v = xp.asarray(v, out.dtype)
    if out.dtype == np.int64:  # CUDA adds atomically without a sign; the bits are the same
        out, v = out.view(np.uint64), v.view(np.uint64)
    out.scatter_add(index, v)


def _add_in_place(out, index, v):
    add(module_of(out), out, index, v, True)


Tools.add_in_place = _add_in_place
on_device(indexing.read_p, _read)
on_device(indexing.index_set_p, _set)
on_device(indexing.index_add_p, _add)

# --- selection, packing, dtypes, order ------------------------------------------------------------


def _where(home, condition, x, y):
    return home.module.where(home.module.asarray(condition, bool), x, y)


def _pack(home, *entries, shape):
    xp = home.module
    return xp.stack([xp.asarray(x).reshape(()) for x in entries]).reshape(shape)


on_device(elementwise.where, _where)
on_device(shape.pack_p, _pack)
on_device(elementwise.astype, lambda home, x, dtype: home.module.asarray(x).astype(dtype))
on_device(sorting.searchsorted_p, lambda home, a, v, side: home.module.searchsorted(
    home.module.asarray(a), home.module.asarray(v), side))

# --- linear algebra -------------------------------------------------------------------------------


def _solve(home, a, b):
    """CuPy does not broadcast the stacks."""
    xp = home.module
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return xp.linalg.solve(xp.broadcast_to(a, stack + a.shape[-2:]),
                           xp.broadcast_to(b, stack + b.shape[-2:]))


on_device(factor.solve_p, _solve)
on_device(pseudoinverse.pinv_p,
          lambda home, a, rtol, hermitian: home.module.linalg.pinv(a, rtol))
