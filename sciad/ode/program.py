"""The solution as a program: given the steps, a fixed sequence of sciad operations.

This is what the native kernels compute, and what their derivatives are derivatives of. It serves
where a kernel has no rule of its own: derivatives of the tangent and of the adjoint (hvp).
"""

from __future__ import annotations

import numpy as np

from sciad.core.transforms import stop_gradient
from sciad.ode.tableau import Tableau
from sciad.ops import products, shape
from sciad.ops.control import scan
from sciad.ops.elementwise import astype, less, sign
from sciad.ops.indexing import read
from sciad.ops.reduce import sum_


def replay(model, tableau: Tableau, ts, y0, t_eval, leaves: list):
    """The dense output (m, n) at `t_eval` of the solve over the times `ts`.

    A step of length zero changes nothing, so `ts` may be padded with its last time.
    """
    starts, lengths = ts[:-1], ts[1:] - ts[:-1]

    def advance(y, interval):
        t, h = interval
        return step(model, tableau, t, h, y, leaves)

    _, (ys, stages) = scan(advance, y0, (starts, lengths))
    k = _interval(ts, t_eval)
    h = read(lengths, k)
    sigma = (t_eval - read(starts, k)) / h
    powers = shape.stack([sigma ** (p + 1) for p in range(tableau.dense.shape[1])], 1)
    weights = products.matmul(powers, tableau.dense.T)
    rise = sum_(weights.reshape((*weights.shape, 1)) * read(stages, k), axis=1)
    return read(ys, k) + h.reshape((-1, 1)) * rise


def step(model, tableau, t, h, y, leaves):
    """One Runge-Kutta step: the new state, and (the old state, the stage derivatives)."""
    k: list = []
    stage = y
    for i in range(tableau.stages):
        if i:
            stage = y + h * sum(tableau.a[i, j] * k[j] for j in range(i) if tableau.a[i, j])
        k.append(model.call(t + tableau.c[i] * h, stage, *leaves))
    return stage, (y, shape.stack(k, 0))


def _interval(ts, t_eval):
    """Which step each output time falls into: the first that ends at or after it."""
    ts, t_eval = stop_gradient(ts), stop_gradient(t_eval)
    direction = sign(ts[-1] - ts[0])
    inner = (ts[1:-1] * direction).reshape((1, -1))
    passed = less(inner, (t_eval * direction).reshape((-1, 1)))
    return sum_(astype(passed, dtype=np.dtype(np.int64)), axis=1)
