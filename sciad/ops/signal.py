"""Discrete convolution.

    full    y_k = sum_j a_{k-j} v_j              n + m - 1 entries
    valid   y_k = sum_j a_{k+m-1-j} v_j          n - m + 1 entries, n >= m

The adjoint of `full` in either factor is `valid` with the other one reversed and conjugated, and
the other way round.
"""

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Type
from sciad.core.patterns import Pairs, require_room
from sciad.core.rules import Multilinear, is_complex
from sciad.ops.elementwise import conj
from sciad.ops.indexing import read


def _type(a, v, mode):
    (n,), (m,) = a.shape, v.shape
    return Type((n + m - 1 if mode == "full" else n - m + 1,), np.result_type(a.dtype, v.dtype))


def _reversed(x):
    return read(x, slice(None, None, -1))


def _conj(x):
    return conj(x) if is_complex(x) else x


def _as(g, x):
    return g.real if is_complex(g) and not is_complex(x) else g


def _left_adjoint(g, a, v, mode):
    other = _conj(_reversed(v))
    return _as(convolve_p(g, other, mode="valid" if mode == "full" else "full"), a)


def _right_adjoint(g, a, v, mode):
    if mode == "full":
        return _as(convolve_p(g, _conj(_reversed(a)), mode="valid"), v)
    return _as(_reversed(convolve_p(_conj(a), _reversed(g), mode="valid")), v)


def _pattern(k, out, args, params):
    """Entry i of one factor counts with entry j of the other in entry i + j of the full result;
    the entries of a known factor that are zero do not."""
    x, other = args[k], args[1 - k]
    j = np.arange(other.shape[0]) if isinstance(other, Type) else np.flatnonzero(other)
    require_room(x.size * len(j))
    i = np.arange(x.size).reshape(-1, 1)
    skip = 0 if params["mode"] == "full" else args[1].shape[0] - 1
    rows = i + j - skip
    inside = (rows >= 0) & (rows < out.size)
    return Pairs(rows[inside], np.broadcast_to(i, rows.shape)[inside])


convolve_p = Multilinear("convolve", lambda a, v, mode: np.convolve(a, v, mode), _type,
                         (_left_adjoint, _right_adjoint), pattern=_pattern)


def convolve(a, v, mode="full", name="convolve", skip=None):
    """NumPy's convolution of two vectors; `skip` is where "same" begins in the full result."""
    if len(a.shape) != 1 or len(v.shape) != 1 or not a.shape[0] or not v.shape[0]:
        raise ArgumentError(f"{name}: shapes {a.shape} and {v.shape}; both operands must be "
                            f"vectors with at least one entry{at_line()}")
    n, m = a.shape[0], v.shape[0]
    if mode == "valid":
        return convolve_p(*((a, v) if n >= m else (v, a)), mode="valid")
    full = convolve_p(a, v, mode="full")
    if mode == "full":
        return full
    if mode != "same":
        raise ArgumentError(f"{name}: mode {mode!r}, must be 'full', 'same' or 'valid'{at_line()}")
    start = (min(n, m) - 1) // 2 if skip is None else skip
    return read(full, slice(start, start + max(n, m)))


def correlate(a, v, mode="valid"):
    """c_k = sum_n a_{n+k} conj(v_n), as NumPy's."""
    n, m = (x.shape[0] if x.shape else 0 for x in (a, v))
    skip = (m - 1) // 2 if n >= m else n // 2
    return convolve(a, _conj(_reversed(v)) if m else v, mode, "correlate", skip)
