"""Einstein sums as transposes, matrix products and sums.

Each operand is first brought to distinct labels: a repeated label is a diagonal, an axis of
extent 1 that others stretch is dropped, a label that stands nowhere else is summed. Then the
operands are joined two by two (in the order that `numpy.einsum_path` finds): shared labels that
are kept form a batch, the other shared ones are contracted by a matrix product.
"""

import string
from functools import lru_cache

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.ops.indexing import read
from sciad.ops.products import matmul_p
from sciad.ops.reduce import sum_
from sciad.ops.shape import normalize_axis, reshape, transpose_p

_LETTERS = string.ascii_uppercase + string.ascii_lowercase


def einsum(subscripts: str, *operands):
    """The Einstein sum of `operands`; ``...`` broadcasts, repeated labels are diagonals."""
    terms, output = _parse(subscripts, tuple(x.shape for x in operands))
    extents = _extents(subscripts, terms, operands)
    parts = [_distinct(x, labels, extents) for x, labels in zip(operands, terms, strict=True)]
    for step in _path(tuple(tuple(labels) for _, labels in parts), tuple(output),
                      tuple(x.shape for x, _ in parts)):
        chosen = [parts[k] for k in step]
        parts = [part for k, part in enumerate(parts) if k not in step]
        needed = set(output).union(*(labels for _, labels in parts))
        joined = chosen[0]
        for k, other in enumerate(chosen[1:], 2):
            later = needed.union(*(labels for _, labels in chosen[k:]))
            joined = _join(*joined, *other, later)
        parts.append(_summed(*joined, needed))
    (x, labels), = parts
    return _arranged(x, labels, output)


def subscripts_of(arguments) -> tuple[str, list]:
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as subscripts and operands."""
    arguments = list(arguments)
    right = "->" + _sublist(arguments.pop()) if len(arguments) % 2 else ""
    return ",".join(map(_sublist, arguments[1::2])) + right, arguments[::2]


def _sublist(labels) -> str:
    return "".join("..." if k is Ellipsis else _LETTERS[k] for k in labels)


def _parse(subscripts, shapes):
    """The labels of each operand and of the result; those of ``...`` are counted from the right."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ArgumentError(f"einsum {subscripts!r} names {len(terms)} operands, got "
                            f"{len(shapes)}{at_line()}")
    labels = [_labels(subscripts, term, len(shape))
              for term, shape in zip(terms, shapes, strict=True)]
    dots = sum(type(label) is tuple for label in set().union(*labels))
    letters = [label for term in labels for label in term if type(label) is str]
    if not arrow:
        once = sorted(label for label in set(letters) if letters.count(label) == 1)
        return labels, [*_dots(dots), *once]
    if dots and "..." not in right:
        raise ArgumentError(f"einsum {subscripts!r}: the result must name the broadcast axes by "
                            f"'...'{at_line()}")
    output = _labels(subscripts, right, len(right.replace("...", "")) + dots)
    if not set(output) <= set(letters).union(_dots(dots)) or len(set(output)) < len(output):
        raise ArgumentError(f"einsum {subscripts!r}: each label of the result must stand in an "
                            f"operand, and once in the result{at_line()}")
    return labels, output


def _dots(count):
    return [("...", k) for k in range(count, 0, -1)]


def _labels(subscripts, term, ndim):
    head, dots, tail = term.partition("...")
    count = ndim - len(head) - len(tail)
    if count < 0 or count and not dots or not (head + tail + "a").isalpha():
        raise ArgumentError(f"einsum {subscripts!r}: {term!r} does not describe an operand of "
                            f"{ndim} dimensions{at_line()}")
    return [*head, *_dots(count), *tail]


def _extents(subscripts, terms, operands):
    extents: dict = {}
    for x, labels in zip(operands, terms, strict=True):
        for label, extent in zip(labels, x.shape, strict=True):
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            elif extent not in (1, known):
                raise ArgumentError(
                    f"einsum {subscripts!r}: shapes {[x.shape for x in operands]} do not fit, "
                    f"label {label!r} is both {known} and {extent}{at_line()}")
    return extents


def _distinct(x, labels, extents):
    """`x` with each label once, and without axes that are only stretched."""
    labels = list(labels)
    for label in [a for k, a in enumerate(labels) if a in labels[:k]]:
        first = labels.index(label)
        second = labels.index(label, first + 1)
        x = diagonal(x, 0, first, second)
        del labels[second], labels[first]
        labels.append(label)
    stretched = [a for a, extent in zip(labels, x.shape, strict=True) if extent < extents[a]]
    if stretched:
        x = reshape(x, tuple(n for a, n in zip(labels, x.shape, strict=True)
                             if a not in stretched))
        labels = [a for a in labels if a not in stretched]
    return x, labels


def diagonal(x, offset=0, axis1=0, axis2=1):
    """The entries x[i, i + offset] of two axes, as a last axis."""
    ndim = len(x.shape)
    axis1, axis2 = (normalize_axis(a, ndim, "diagonal") for a in (axis1, axis2))
    if axis1 == axis2:
        raise ArgumentError(f"diagonal: axis1 and axis2 are both {axis1}{at_line()}")
    rest = [k for k in range(ndim) if k not in (axis1, axis2)]
    x = transpose_p(x, axes=(*rest, axis1, axis2))
    index = diagonal_slice(*x.shape[-2:], offset)
    return read(reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1])), (..., index))


def diagonal_slice(rows, columns, offset) -> slice:
    """Where a diagonal stands in the flat entries of a matrix."""
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = offset if offset >= 0 else -offset * columns
    return slice(start, start + count * (columns + 1), columns + 1) if count else slice(0, 0)


@lru_cache(maxsize=1024)
def _path(terms, output, shapes):
    """Which operands to join, in order; the result of a step goes to the end of the list."""
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    labels = list(set().union(*terms))
    if len(labels) > len(_LETTERS):
        raise ArgumentError(f"einsum: more than {len(_LETTERS)} labels{at_line()}")
    letter = dict(zip(labels, _LETTERS, strict=False))
    text = ",".join("".join(letter[a] for a in term) for term in terms)
    text += "->" + "".join(letter[a] for a in output)
    blanks = [np.broadcast_to(0.0, shape) for shape in shapes]
    return [tuple(step) for step in np.einsum_path(text, *blanks, optimize="greedy")[0][1:]]


def _summed(x, labels, needed):
    axes = tuple(k for k, label in enumerate(labels) if label not in needed)
    return (sum_(x, axes) if axes else x), [label for label in labels if label in needed]


def _join(a, a_labels, b, b_labels, needed):
    """The product of two operands, the labels that only they share contracted."""
    a, a_labels = _summed(a, a_labels, needed.union(b_labels))
    b, b_labels = _summed(b, b_labels, needed.union(a_labels))
    shared = [label for label in a_labels if label in b_labels]
    batch = [label for label in shared if label in needed]
    inner = [label for label in shared if label not in needed]
    rows = [label for label in a_labels if label not in shared]
    columns = [label for label in b_labels if label not in shared]
    a = _arranged(a, a_labels, batch + rows + inner)
    b = _arranged(b, b_labels, batch + inner + columns)
    cut, inside = len(batch), len(batch) + len(rows)
    shape = (*a.shape[:inside], *b.shape[cut + len(inner):])
    lead, row_shape = a.shape[:cut], a.shape[cut:inside]
    if not inner:
        out = (reshape(a, (*lead, *row_shape, *(1,) * len(columns)))
               * reshape(b, (*lead, *(1,) * len(rows), *b.shape[cut:])))
    else:
        size = _size(a.shape[inside:])
        out = matmul_p(reshape(a, (*lead, _size(row_shape), size)),
                       reshape(b, (*lead, size, _size(b.shape[cut + len(inner):]))))
    return reshape(out, shape), batch + rows + columns


def _size(shape):
    size = 1
    for extent in shape:
        size *= extent
    return size


def _arranged(x, labels, order):
    """`x` with its axes in the order of `order`."""
    if list(labels) == list(order):
        return x
    return transpose_p(x, axes=tuple(labels.index(label) for label in order))


def tensordot(a, b, axes=2):
    """Contract the axes given by a number (the last of `a`, the first of `b`) or a pair."""
    if isinstance(axes, (int, np.integer)):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left, right = ([k] if isinstance(k, (int, np.integer)) else list(k) for k in axes)
    left = [normalize_axis(k, a.ndim, "tensordot") for k in left]
    right = [normalize_axis(k, b.ndim, "tensordot") for k in right]
    if [a.shape[k] for k in left] != [b.shape[k] for k in right]:
        raise ArgumentError(f"tensordot: shapes {a.shape} and {b.shape} do not fit along axes "
                            f"{left} and {right}{at_line()}")
    rows = [k for k in range(a.ndim) if k not in left]
    columns = [k for k in range(b.ndim) if k not in right]
    shape = tuple(a.shape[k] for k in rows) + tuple(b.shape[k] for k in columns)
    inner = _size(a.shape[k] for k in left)
    outer = _size(a.shape[k] for k in rows), _size(b.shape[k] for k in columns)
    product = matmul_p(reshape(transpose_p(a, axes=(*rows, *left)), (outer[0], inner)),
                       reshape(transpose_p(b, axes=(*right, *columns)), (inner, outer[1])))
    return reshape(product, shape)
