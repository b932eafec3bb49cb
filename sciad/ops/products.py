"""Products of vectors and matrices."""

import numpy as np

from sciad.core.array import Array
from sciad.core.backend import as_operand
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type
from sciad.core.patterns import Pairs, lines, require_room
from sciad.core.reverse import RULE
from sciad.core.rules import Multilinear, is_complex
from sciad.ops.elementwise import conj
from sciad.ops.shape import reshape, transpose_p, unbroadcast


def _matmul_type(a, b):
    dtype = np.result_type(a.dtype, b.dtype)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Type((*batch, a.shape[-2], b.shape[-1]), dtype)


def _swap(x):
    axes = list(range(len(x.shape)))
    axes[-2:] = axes[:-3:-1]
    return transpose_p(x, axes=tuple(axes))


def _adjoint(x):
    """The conjugate transpose of the last two axes."""
    return conj(_swap(x)) if is_complex(x) else _swap(x)


def _product_pattern(k, out, args, params):
    """Rows on rows of the left operand, columns on columns of the right one; by the nonzero
    entries of the other operand, where it is a known matrix that has zeros."""
    x, other = args[k], args[1 - k]
    if not isinstance(other, Type) and other.ndim == 2 and not np.all(other):
        return _through_matrix(k, x, np.nonzero(other), other.shape)
    return lines(x, (len(x.shape) - 1 - k,), out)


def _through_matrix(k, x, nonzero, shape):
    """The pattern of a product with a known matrix, for each matrix of the stack `x`."""
    j, i = nonzero if k == 0 else nonzero[::-1]
    width, height = shape if k == 0 else shape[::-1]
    rest = x.shape[-1] if k else 1
    count = x.size // (width * rest) if width * rest else 0
    require_room(count * len(i) * rest)
    line = np.arange(count).reshape(-1, 1, 1)
    place = np.arange(rest)
    rows = (line * height + i.reshape(-1, 1)) * rest + place
    columns = (line * width + j.reshape(-1, 1)) * rest + place
    return Pairs(rows, columns)


matmul_p = Multilinear("matmul", np.matmul, _matmul_type, (
    lambda g, a, b: _real_like(unbroadcast(matmul_p(g, _adjoint(b)), a.shape), a),
    lambda g, a, b: _real_like(unbroadcast(matmul_p(_adjoint(a), g), b.shape), b),
), pattern=_product_pattern)


def _real_like(g, x):
    return g.real if is_complex(g) and not is_complex(x) else g


def _operand(x):
    return as_operand(x)


def matmul(a, b):
    """Matrix product with NumPy's meaning for vectors and stacks of matrices."""
    a, b = _operand(a), _operand(b)
    if not a.shape or not b.shape:
        raise ArgumentError(f"matmul: a scalar operand, shapes {a.shape} and {b.shape}; "
                            f"use *{at_line()}")
    inner = b.shape[0] if len(b.shape) == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ArgumentError(f"matmul: shapes {a.shape} and {b.shape} do not fit, "
                            f"{a.shape[-1]} != {inner}{at_line()}")
    row, column = len(a.shape) == 1, len(b.shape) == 1
    out = _on_tape(a, b)
    if out is not None:
        return out
    out = matmul_p(reshape(a, (1, -1)) if row else a, reshape(b, (-1, 1)) if column else b)
    shape = out.shape
    if column:
        shape = shape[:-1]
    if row:
        shape = shape[:-2] + shape[-1:] if not column else shape[:-1]
    return reshape(out, shape) if shape != out.shape else out


def _on_tape(a, b):
    """The product of vectors and matrices on the tape of an eager reverse interpreter."""
    interp = a._interp if type(a) is Array else b._interp if type(b) is Array else None
    if interp is None or not interp.fast:
        return None
    values, nodes = [], []
    for x in (a, b):
        mine = type(x) is Array and x._interp is interp
        value = x._value if mine else x
        if type(value) is not np.ndarray or value.dtype.kind != "f" or value.ndim > 2:
            return None
        values.append(value)
        nodes.append(x._node if mine else None)
    out = np.matmul(*values)
    saved = [x if node is not None else interp.keep(x)
             for x, node in zip(values, nodes, strict=True)]
    interp.tape.append((RULE, _product_parts, saved, nodes, False))
    return Array(out, interp, len(interp.tape) - 1)


def _product_parts(g, saved, nodes):
    (a, b), (left, right) = saved, nodes
    column = g.reshape(-1, 1) if b.ndim == 1 and a.ndim == 2 and left is not None else g
    if b.ndim == 1:
        part_a = None if left is None else column * b
    else:
        part_a = None if left is None else g @ b.T
    if a.ndim == 1:
        row = a.reshape(-1, 1) if b.ndim == 2 and right is not None else a
        return part_a, None if right is None else row * g
    return part_a, None if right is None else a.T @ g


def dot(a, b):
    """NumPy's dot: inner products over the last axis of `a` and the last but one of `b`."""
    a, b = _operand(a), _operand(b)
    if not a.shape or not b.shape:
        return a * b
    if len(b.shape) <= 2 and len(a.shape) <= 2:
        return matmul(a, b)
    if len(b.shape) == 1:
        return matmul(a, b)
    inner = a.shape[-1]
    if inner != b.shape[-2]:
        raise ArgumentError(f"dot: shapes {a.shape} and {b.shape} do not fit{at_line()}")
    axes = (len(b.shape) - 2, *range(len(b.shape) - 2), len(b.shape) - 1)
    flat = matmul(reshape(a, (-1, inner)), reshape(transpose_p(b, axes=axes), (inner, -1)))
    return reshape(flat, a.shape[:-1] + b.shape[:-2] + b.shape[-1:])


def outer(a, b):
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))
