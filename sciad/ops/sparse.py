"""Products of an Array with a constant sparse matrix of SciPy's.

Entry i of S @ x is the sum of S[i, j] x[j] over the entries that S stores: a read, a product and a
sum by rows. These are operations of sciad's, so that derivatives of every order, recorded graphs
and sparsity patterns follow from theirs.
"""

from typing import Any

import numpy as np

from sciad.core import backend
from sciad.core.errors import ArgumentError, NoRuleError, at_line
from sciad.ops.indexing import index_add, read
from sciad.ops.shape import transpose


def is_sparse(x: Any) -> bool:
    """Whether `x` is a sparse array or matrix of SciPy's."""
    return type(x).__module__.startswith("scipy.sparse") and hasattr(x, "tocoo")


def sparse_matmul(matrix: Any, x: Any) -> Any:
    """``matrix @ x`` for a sparse matrix and a vector or matrix `x`."""
    _require_fit(matrix, x, f"{matrix.shape} @ {x.shape}", matrix.shape[-1], x.shape[:1])
    entries = matrix.tocoo()
    data = entries.data.reshape(-1, *(1,) * (x.ndim - 1))
    zeros = backend.zeros((matrix.shape[0], *x.shape[1:]), np.result_type(data, x.dtype), x)
    return index_add(zeros, data * read(x, entries.col), entries.row)


def matmul_sparse(x: Any, matrix: Any) -> Any:
    """``x @ matrix``."""
    _require_fit(matrix, x, f"{x.shape} @ {matrix.shape}", matrix.shape[0], x.shape[-1:])
    return transpose(sparse_matmul(matrix.T, transpose(x)))


def _require_fit(matrix, x, shapes, extent, given):
    if len(matrix.shape) != 2 or x.ndim not in (1, 2) or given != (extent,):
        raise ArgumentError(
            f"matmul of a sparse {type(matrix).__name__} and an Array: shapes {shapes} do not fit"
            f"{at_line()}; it takes a sparse matrix and a vector or a matrix")


def refuse_sparse(x: Any) -> None:
    """Raise if an operand of an operator is a sparse matrix."""
    if is_sparse(x):
        raise NoRuleError(
            f"a sparse {type(x).__name__} of SciPy and an Array have the products S @ x and x @ S "
            f"and no other operator{at_line()}; write S.toarray() in place of S")
