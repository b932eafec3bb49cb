"""Adam: stochastic gradient descent with estimated moments.

Kingma & Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1, for gradient g at
step t = 1, 2, ...:

    m <- b1 m + (1 - b1) g            mean of the gradient
    v <- b2 v + (1 - b2) |g|^2        mean of its square
    x <- x - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

The powers undo the bias of moments that start at zero. The modulus keeps v real for complex x.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sciad.core import tree
from sciad.core.errors import ArgumentError, DTypeError, at_line
from sciad.core.graph import shape_of, type_of


class AdamState(NamedTuple):
    """What Adam remembers: the number of steps taken, and both moments, shaped like the params."""

    count: Any
    mean: Any
    variance: Any


@dataclass(frozen=True)
class Adam:
    """The optimiser Adam, over any container of real or complex parameters.

    `init` and `update` are pure functions of arrays: they keep dtypes, write into nothing, and
    can be recorded, as in ``sciad.jit(adam.update)``.

    Parameters
    ----------
    lr : float or callable
        The step size, or a function that gives it for the step count 1, 2, ....
    b1, b2 : float
        Decay rates of the two moments.
    eps : float
        Added to the root of the second moment.

    Examples
    --------
    >>> import sciad
    >>> from sciad.optimize import Adam
    >>> adam = Adam(lr=0.1)
    >>> adam
    Adam(lr=0.1, b1=0.9, b2=0.999, eps=1e-08)
    >>> params = {"x": 3.0}
    >>> state = adam.init(params)
    >>> slope = sciad.grad(lambda p: (p["x"] - 1.0) ** 2)
    >>> for _ in range(300):
    ...     params, state = adam.update(params, slope(params), state)
    >>> print(f"{params['x']:.4f} after {state.count} steps")
    1.0000 after 300 steps
    """

    lr: float | Callable = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self):
        if not callable(self.lr) and not self.lr > 0:
            raise ArgumentError(f"Adam: lr is {self.lr!r}, must be positive or a callable")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"Adam: {name} is {getattr(self, name)!r}, must be in [0, 1)")
        if not self.eps > 0:
            raise ArgumentError(f"Adam: eps is {self.eps!r}, must be positive")

    def init(self, params: Any) -> AdamState:
        """The state before the first step."""
        return AdamState(np.int64(0), tree.tree_map(_zeros, params),
                         tree.tree_map(_real_zeros, params))

    def update(self, params: Any, grads: Any, state: AdamState) -> tuple[Any, AdamState]:
        """One step.

        Parameters
        ----------
        params : container
        grads : container
            The gradient, shaped like `params`.
        state : AdamState
            From `init` or from the last step.

        Returns
        -------
        params, state
            After the step.
        """
        leaves, structure = tree.flatten(params)
        slopes = _leaves_like(grads, leaves, structure, "the gradient")
        means = _leaves_like(state.mean, leaves, structure, "the mean")
        variances = _leaves_like(state.variance, leaves, structure, "the variance")
        count = state.count + 1
        lr = self.lr(count) if callable(self.lr) else self.lr
        step, spread = lr / (1 - self.b1**count), 1 / (1 - self.b2**count)
        moved = [self._leaf(*parts, step, spread) for parts in
                 zip(leaves, slopes, means, variances, strict=True)]
        params, mean, variance = (tree.unflatten(structure, list(part))
                                  for part in zip(*moved, strict=True))
        return params, AdamState(count, mean, variance)

    def _leaf(self, x, slope, mean, variance, step, spread):
        dtype = type_of(x).dtype
        real = _real(dtype)
        slope = _cast(slope, dtype)
        b1, b2, eps, step, spread = (
            _cast(c, real) for c in (self.b1, self.b2, self.eps, step, spread))
        mean = b1 * mean + (1 - b1) * slope
        variance = b2 * variance + (1 - b2) * _square_modulus(slope)
        return x - step * mean / (np.sqrt(spread * variance) + eps), mean, variance


def _leaves_like(value, leaves, structure, what):
    others, other = tree.flatten(value)
    if other != structure:
        raise ArgumentError(f"Adam: {what} has structure {other}, the parameters {structure}"
                            f"{at_line()}")
    for k, (x, y) in enumerate(zip(leaves, others, strict=True)):
        if shape_of(x) != shape_of(y):
            raise ArgumentError(f"Adam: leaf {k} of {what} has shape {shape_of(y)}, of the "
                                f"parameters {shape_of(x)}{at_line()}")
        if type_of(y).dtype.kind == "c" and type_of(x).dtype.kind != "c":
            raise DTypeError(f"Adam: leaf {k} of {what} is complex, the parameters are real"
                             f"{at_line()}")
    return others


def _zeros(x):
    kind = type_of(x)
    if kind.dtype.kind not in "fc":
        raise DTypeError(f"Adam: a parameter has dtype {kind.dtype}, must be float or complex"
                         f"{at_line()}")
    return np.zeros(kind.shape, kind.dtype)[()]


def _real_zeros(x):
    kind = type_of(x)
    return np.zeros(kind.shape, _real(kind.dtype))[()]


def _real(dtype: np.dtype) -> np.dtype:
    return np.finfo(dtype).dtype


def _cast(c, dtype):
    return c.astype(dtype) if hasattr(c, "astype") else dtype.type(c)


def _square_modulus(x):
    if type_of(x).dtype.kind == "c":
        return x.real**2 + x.imag**2
    return x * x
