"""Products of vectors and matrices."""

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import products
from sciad.ops.elementwise import conj
from sciad.ops.reduce import sum_
from sciad.ops.shape import reshape, transpose


@implements(np.dot)
def dot(a, b):
    return products.dot(as_array(a), as_array(b))


@implements(np.outer)
def outer(a, b):
    return products.outer(as_array(a), as_array(b))


@implements(np.vdot)
def vdot(a, b):
    a, b = reshape(as_array(a), (-1,)), reshape(as_array(b), (-1,))
    return products.matmul(conj(a), b)


@implements(np.inner)
def inner(a, b):
    a, b = as_array(a), as_array(b)
    if not a.shape or not b.shape:
        return a * b
    return products.dot(a, transpose(b, (*range(len(b.shape) - 2), -1, -2)[-len(b.shape):])
                        if len(b.shape) > 1 else b)


@implements(np.trace)
def trace(a):
    a = as_array(a)
    if a.ndim != 2:
        raise ArgumentError(f"trace: shape {a.shape} is not a matrix{at_line()}")
    places = np.arange(min(a.shape))
    return sum_(a[places, places])
