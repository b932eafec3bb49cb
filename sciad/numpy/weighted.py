"""Quantiles of weighted entries: the first, in order, at which the running share of the weights
reaches q (``method="inverted_cdf"``). An entry is picked, so that the weights do not move it."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from sciad.core.array import Array, has_data, plain
from sciad.core.backend import asnumpy, beside
from sciad.core.errors import ArgumentError, at_line
from sciad.numpy.dispatch import as_array
from sciad.ops import elementwise as e
from sciad.ops import sorting
from sciad.ops.indexing import read
from sciad.ops.reduce import cumsum, sum_
from sciad.ops.shape import broadcast_to, reshape, transpose_p


def weights_like(x, weights, axis, name):
    """The weights in the shape of `x`: they have it, or that of the axes given."""
    weights = as_array(weights)
    if weights.shape == x.shape:
        return weights
    axes = () if axis is None else normalize_axis_tuple(axis, x.ndim)
    if axis is None or weights.shape != tuple(x.shape[k] for k in axes):
        raise ArgumentError(f"{name}: weights of shape {weights.shape} for an array of shape "
                            f"{x.shape} and axis={axis}{at_line()}; they need the shape of the "
                            "array, or of the axes")
    lines = transpose_p(weights, axes=tuple(map(int, np.argsort(axes))))
    spread = tuple(n if k in axes else 1 for k, n in enumerate(x.shape))
    return broadcast_to(reshape(lines, spread), x.shape)


def quantile_of_lines(lines, weights, q, kind, name):
    """For each q, an entry of each line (the first axis)."""
    holes = e.isnan(lines)
    if name.startswith("nan"):
        weights = e.where(holes, 0.0, weights)
    _require_weights(weights, holes, name)
    order = sorting.argsort(lines, 0)
    ranked, weights = (sorting.take_along_axis(x, order, 0) for x in (lines, weights))
    share = cumsum(weights.astype(float), 0)
    share = (share / read(share, -1)).astype(kind)
    share = e.where(e.equal(share, 0.0), -1.0, share)     # what has no weight is never picked
    q = beside(reshape(q, (-1,) + (1,) * lines.ndim), lines)
    below = sum_(e.less(share, q.astype(kind)), 1)
    out = sorting.take_along_axis(ranked, e.minimum(below, lines.shape[0] - 1), 0)
    return out if name.startswith("nan") else e.where(e.isnan(read(ranked, -1)), np.nan, out)


def _require_weights(weights, holes, name):
    """Raise unless the weights are not negative, and those of no line are all zero or infinite."""
    if not (_known(weights) and _known(holes)):
        return
    values = asnumpy(plain(weights))
    total = np.sum(values, 0)
    empty = asnumpy(plain(holes)).all(0)
    if np.any(values < 0) or not np.all(empty | np.isfinite(total) & (total > 0)):
        raise ArgumentError(f"{name}: weights must be non-negative, finite and not all zero"
                            f"{at_line()}")


def _known(x):
    return not isinstance(x, Array) or has_data(x)
