"""Questions about whole arrays: counts, comparisons, ranks. Their answers have no derivative.

Where the values have data they are asked of NumPy; a recorded value answers by operations, whose
results have a shape that is known beforehand.
"""

from collections.abc import Callable

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.graph import Type
from sciad.core.rules import Constant
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import functions, reduce
from sciad.ops.shape import reshape


def _answered(original: Callable, recorded: Callable, *arrays, **options):
    """``original`` of plain arrays; while recording, ``recorded`` of the arrays."""
    arrays = tuple(map(as_array, arrays))
    if all(has_data(x) for x in arrays if type(x) is Array):
        return original(*(plain(x, f"np.{original.__name__}") for x in arrays), **options)
    return recorded(*arrays, **options)


@implements(np.count_nonzero)
def count_nonzero(a, axis=None, *, keepdims=False):
    return _answered(np.count_nonzero, _count, a, axis=axis, keepdims=keepdims)


def _count(a, axis, keepdims):
    return reduce.sum_(e.not_equal(a, 0).astype(np.intp), axis, keepdims)


@implements(np.allclose)
def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return _answered(np.allclose, lambda a, b, **tolerance: reduce.all_(
        functions.isclose(a, b, **tolerance)), a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


@implements(np.array_equal)
def array_equal(a1, a2, equal_nan=False):
    return _answered(np.array_equal, _equal, a1, a2, equal_nan=equal_nan)


def _equal(a, b, equal_nan=False):
    if a.shape != b.shape:
        return False
    same = e.equal(a, b)
    if equal_nan:
        same = e.logical_or(same, e.logical_and(e.isnan(a), e.isnan(b)))
    return reduce.all_(same)


@implements(np.array_equiv)
def array_equiv(a1, a2):
    return _answered(np.array_equiv, _equivalent, a1, a2)


def _equivalent(a, b):
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return reduce.all_(e.equal(a, b))


def _line_type(x, axis, keepdims):
    kept = [1 if k == axis % len(x.shape) else n for k, n in enumerate(x.shape)]
    shape = kept if keepdims else [n for k, n in enumerate(x.shape) if k != axis % len(x.shape)]
    return Type(tuple(shape), np.intp)


nanargmax_p = Constant("nanargmax", np.nanargmax, _line_type)
nanargmin_p = Constant("nanargmin", np.nanargmin, _line_type)


def _nan_extremum(original, primitive):
    @implements(original)
    def rule(a, axis=None, *, keepdims=False):
        def recorded(a, axis, keepdims):
            if axis is not None:
                return primitive(a, axis=axis, keepdims=keepdims)
            out = primitive(reshape(a, (-1,)), axis=0, keepdims=False)
            return reshape(out, (1,) * len(a.shape)) if keepdims else out

        return _answered(original, recorded, a, axis=axis, keepdims=keepdims)

    return rule


nanargmax = _nan_extremum(np.nanargmax, nanargmax_p)
nanargmin = _nan_extremum(np.nanargmin, nanargmin_p)

isin_p = Constant("isin", np.isin, lambda x, y, **options: Type(x.shape, np.bool_))
matrix_rank_p = Constant("matrix_rank", np.linalg.matrix_rank,
                         lambda a, **options: Type(a.shape[:-2], np.intp))


@implements(np.isin)
def isin(element, test_elements, assume_unique=False, invert=False):
    return _answered(np.isin, isin_p, element, test_elements, assume_unique=assume_unique,
                     invert=invert)


@implements(np.linalg.matrix_rank)
def matrix_rank(A, tol=None, hermitian=False, *, rtol=None):
    tol, rtol = (None if x is None else plain(as_array(x), "a tolerance of np.linalg.matrix_rank")
                 for x in (tol, rtol))
    return _answered(np.linalg.matrix_rank, matrix_rank_p, A, tol=tol, hermitian=hermitian,
                     rtol=rtol)
