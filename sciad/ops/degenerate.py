"""Where the values and vectors of a decomposition have no derivative: repeated values, free phases.

Let a group of values coincide. Along a direction they part with the eigenvalues of the direction's
coupling among their vectors (first-order perturbation theory; T. Kato, "Perturbation Theory for
Linear Operators", section II.2.3). These slopes are not linear in the direction, so the values have
a directional derivative one by one, and a gradient only in symmetric functions of the group. The
vectors jump.

- Forward mode answers along its direction: slopes of values as they part; NaN for vectors that a
  direction couples, since a tangent may be one that nobody asked for.
- Reverse mode raises where a cotangent tells values of a group apart, or reaches their vectors.
"""

import numpy as np

from sciad.core.array import has_data, plain
from sciad.core.backend import beside
from sciad.ops.elementwise import (
    absolute,
    equal,
    logical_and,
    logical_not,
    logical_or,
    where,
)
from sciad.ops.guards import known, require
from sciad.ops.matrices import column, row
from sciad.ops.products import _swap
from sciad.ops.reduce import all_, any_, max_


def repeated(values):
    """The pairs of values that coincide, up to rounding (never a value and itself)."""
    (values,) = known(values)
    n = values.shape[-1]
    spread = absolute(row(values) - column(values))
    off = beside(~np.eye(n, dtype=bool), spread)
    if not spread.size:
        return logical_and(spread > 0, off)
    limit = 10 * n * float(np.finfo(spread.dtype).eps) * column(column(max_(absolute(values), -1)))
    return logical_and(spread <= limit, off)


def coupled(same, couplings):
    """Which pairs of repeated values a matrix of couplings connects."""
    same, strength = known(same, absolute(couplings))
    if not strength.size:
        return same
    limit = 10 * float(np.finfo(strength.dtype).eps) * max_(strength, (-2, -1), keepdims=True)
    return logical_and(same, strength + _swap(strength) > limit)


def inverse(gaps, same):
    """1 / gaps, and 0 on the diagonal and for repeated values."""
    skip = logical_or(same, beside(np.eye(gaps.shape[-1], dtype=bool), gaps))
    return where(skip, 0.0, 1.0 / where(skip, 1.0, gaps))


def undefined(inverse, bad):
    """`inverse`, but NaN for the pairs that are `bad`."""
    return where(bad, np.nan, inverse) if not has_data(bad) or np.any(plain(bad)) else inverse


def unused(x, same, cotangent, name):
    """`x`; raises where a cotangent, a column for each vector, reaches those of repeated values."""
    same, strength = known(same, absolute(cotangent))
    if not strength.size:
        return x
    eps = float(np.finfo(strength.dtype).eps)
    used = max_(strength, -2) > 10 * eps * max_(strength)
    return require(x, logical_not(any_(logical_and(same, row(used)))),
                   f"{name}: the vectors of repeated values have no derivative; use the values "
                   "alone, or functions that do not need these vectors (solve, inv, pinv)")


def usable(x, ok, cotangents, message):
    """Square matrices `x`; where one is not `ok`, the unit matrix in its place if no cotangent
    reaches it, as where a selection dropped its result, and an error otherwise."""
    ok, *seen = known(ok, *(g for g in cotangents if g is not None))
    if has_data(ok) and np.all(plain(ok)):
        return x
    for g in seen:
        inner = tuple(range(len(ok.shape), len(g.shape)))
        idle = all_(equal(g, 0.0), inner) if inner else equal(g, 0.0)
        x = require(x, all_(logical_or(ok, idle)), message)
    eye = beside(np.eye(x.shape[-1], dtype=x.dtype), x)
    return where(column(column(ok)), x, eye)


def symmetric_in(g, same, name):
    """The cotangent of values, where those that repeat have the same: a result that tells them
    apart has no derivative."""
    seen, same = known(g, same)
    if not same.size:
        return g
    eps = float(np.finfo(seen.dtype).eps)
    apart = absolute(row(seen) - column(seen)) > eps**0.5 * max_(absolute(seen))
    return require(g, logical_not(any_(logical_and(same, apart))),
                   f"{name}: repeated values have no derivative one by one; functions symmetric in "
                   "them have (their sum, the trace, the determinant, the Frobenius norm)")


def without_phase(x, phase, scale, vectors, name):
    """`x`; raises where a cotangent depends on the free phase of (complex) vectors."""
    phase, scale = known(absolute(phase), absolute(scale))
    if not phase.size:
        return x
    limit = 1e4 * float(np.finfo(vectors.dtype).eps) * max_(scale)
    return require(x, all_(logical_or(phase <= limit, equal(phase, 0.0))),
                   f"{name}: the result depends on the phase of complex vectors, which the matrix "
                   "does not determine; use |v|**2 or products v v^H")
