"""Products of vectors and matrices."""

import string

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import einsum as contraction
from sciad.ops import products, views
from sciad.ops.elementwise import conj
from sciad.ops.indexing import read
from sciad.ops.operators import axes_view
from sciad.ops.shape import normalize_axis, reshape, stack, transpose


@implements(np.dot)
def dot(a, b):
    return products.dot(as_array(a), as_array(b))


@implements(np.outer, fresh=True)
def outer(a, b):
    return products.outer(as_array(a), as_array(b))


@implements(np.vdot)
def vdot(a, b):
    a, b = reshape(as_array(a), (-1,)), reshape(as_array(b), (-1,))
    return products.matmul(conj(a) if a.dtype.kind == "c" else a, b)


@implements(np.inner)
def inner(a, b):
    a, b = as_array(a), as_array(b)
    if not a.shape or not b.shape:
        return a * b
    return products.dot(a, transpose(b, (*range(len(b.shape) - 2), -1, -2)[-len(b.shape):])
                        if len(b.shape) > 1 else b)


@implements(np.einsum)
def einsum(*operands, optimize=None):
    """Subscripts and operands, or operands each followed by its list of labels. Any value of
    `optimize` gives the same sum; the operands are joined two by two in a good order."""
    if isinstance(operands[0], str):
        subscripts, operands = operands[0], operands[1:]
    else:
        subscripts, operands = contraction.subscripts_of(operands)
    operands = [as_array(x) for x in operands]
    if len(operands) == 1 and isinstance(operands[0], Array):
        return _of_one(subscripts, operands[0])
    return contraction.einsum(subscripts, *operands)


def _is_view(subscripts, blank) -> bool:
    try:
        return np.may_share_memory(np.einsum(subscripts, blank), blank)
    except ValueError:
        return False  # the contraction tells what is wrong


def _of_one(subscripts, x):
    """The einsum of one operand: a view unless it sums, as in NumPy."""
    if not _is_view(subscripts, np.empty(x.shape, np.int8)):
        return contraction.einsum(subscripts, x)
    term, arrow, output = subscripts.replace(" ", "").partition("->")
    if arrow and "." not in term and len(output) == len(term):
        return axes_view(x, tuple(map(term.index, output)))
    places = np.einsum(subscripts, np.arange(x.size).reshape(x.shape))
    return views.make_view(x, views.Link("gather", places))


@implements(np.tensordot)
def tensordot(a, b, axes=2):
    return contraction.tensordot(as_array(a), as_array(b), axes)


@implements(np.kron, fresh=True)
def kron(a, b):
    a, b = as_array(a), as_array(b)
    ndim = max(a.ndim, b.ndim)
    rows, columns = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    product = (reshape(a, tuple(n for extent in rows for n in (extent, 1)))
               * reshape(b, tuple(n for extent in columns for n in (1, extent))))
    return reshape(product, tuple(m * n for m, n in zip(rows, columns, strict=True)))


@implements(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """Of vectors with three entries."""
    if axis is not None:
        axisa = axisb = axisc = axis
    left, right = _components(as_array(a), axisa), _components(as_array(b), axisb)
    parts = [left[i] * right[j] - left[j] * right[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return stack(parts, axisc)


def _components(x, axis):
    axis = normalize_axis(axis, x.ndim, "cross")
    if x.shape[axis] != 3:
        raise ArgumentError(f"cross: shape {x.shape} along axis {axis}, a vector needs three "
                            f"entries{at_line()}; of two, write a[0]*b[1] - a[1]*b[0]")
    return [read(x, (slice(None),) * axis + (k,)) for k in range(3)]


@implements(np.linalg.multi_dot)
def multi_dot(arrays):
    """The chain in the order that costs least, by `einsum`."""
    arrays = [as_array(x) for x in arrays]
    ends = [arrays[0].ndim == 1, arrays[-1].ndim == 1]
    letters = string.ascii_letters[:len(arrays) + 1]
    terms = [letters[k:k + 2] for k in range(len(arrays))]
    if ends[0]:
        terms[0] = terms[0][1:]
    if ends[1]:
        terms[-1] = terms[-1][:1]
    out = ("" if ends[0] else letters[0]) + ("" if ends[1] else letters[-1])
    return contraction.einsum(",".join(terms) + "->" + out, *arrays)
