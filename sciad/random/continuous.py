"""Continuous distributions by location and scale: a standard draw, moved and stretched."""

from typing import Any

import numpy as np

from sciad.core.errors import ArgumentError, at_line
from sciad.ops.decompositions import cholesky_p
from sciad.ops.elementwise import greater_equal, less, log, logical_and
from sciad.ops.products import matmul
from sciad.ops.shape import broadcast_to, reshape
from sciad.random.source import (
    Rows,
    Source,
    exponentials,
    extents,
    like,
    normals,
    parameters,
    require,
    require_scale,
    require_source,
    shape_for,
    uniforms,
)


def normal(source: Source, loc: Any = 0.0, scale: Any = 1.0, shape: Any = None) -> Any:
    """Normal draws ``loc + scale * z``, differentiable by both parameters.

    Parameters
    ----------
    source : numpy.random.Generator or Key
        A Generator moves on with each draw; a key always gives the same numbers.
    loc, scale : array_like
    shape : int or tuple of int, optional
        By default that of the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> def second_moment(sigma):
    ...     draws = sciad.random.normal(sciad.random.key(0), 0.0, sigma, shape=100_000)
    ...     return np.mean(draws**2)
    >>> print(f"{sciad.grad(second_moment)(3.0):.0f}")
    6
    """
    require_source(source, "normal")
    loc, scale = parameters("normal", loc, scale)
    shape = shape_for("normal", shape, loc, scale)
    return loc + require_scale(scale, "normal") * like(normals(source, shape), loc)


def uniform(source: Source, low: Any = 0.0, high: Any = 1.0, shape: Any = None) -> Any:
    """Uniform draws ``low + (high - low) * u`` with u in (0, 1), differentiable by both ends.

    Examples
    --------
    >>> import sciad
    >>> float(sciad.grad(lambda b: sciad.random.uniform(sciad.random.key(0), -b, b))(1.0)) < 1.0
    True
    """
    require_source(source, "uniform")
    low, high = parameters("uniform", low, high)
    shape = shape_for("uniform", shape, low, high)
    span = high - low
    ordered = logical_and(greater_equal(span, 0.0), less(span, np.inf))
    span = require(span, ordered, "uniform: low and high must be finite, and low <= high",
                   low=low, high=high)
    return low + span * like(uniforms(source, shape), low)


def exponential(source: Source, scale: Any = 1.0, shape: Any = None) -> Any:
    """Exponential draws ``-scale * log(u)``, differentiable by the scale.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> draws = sciad.random.exponential(sciad.random.key(0), 2.0, shape=10_000)
    >>> print(f"{np.mean(draws):.1f}")
    2.0
    """
    require_source(source, "exponential")
    (scale,) = parameters("exponential", scale)
    shape = shape_for("exponential", shape, scale)
    return require_scale(scale, "exponential") * like(exponentials(source, shape), scale)


def gumbel(source: Source, loc: Any = 0.0, scale: Any = 1.0, shape: Any = None) -> Any:
    """Gumbel draws ``loc - scale * log(-log(u))``, differentiable by both parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> draws = sciad.random.gumbel(sciad.random.key(0), shape=100_000)
    >>> print(f"{np.mean(draws):.1f}")       # Euler's constant, 0.577
    0.6
    """
    require_source(source, "gumbel")
    loc, scale = parameters("gumbel", loc, scale)
    shape = shape_for("gumbel", shape, loc, scale)
    draws = -log(exponentials(source, shape))
    return loc + require_scale(scale, "gumbel") * like(draws, loc)


def multivariate_normal(source: Source, mean: Any, cov: Any, shape: Any = ()) -> Any:
    """Draws ``mean + L z`` of a normal vector with covariance ``cov = L L^T``.

    Parameters
    ----------
    source : numpy.random.Generator or Key
    mean : array_like, shape (..., n)
    cov : array_like, shape (..., n, n)
        Symmetric and positive definite.
    shape : int or tuple of int
        How many draws: the result has this shape, then that of the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> cov = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> x = sciad.random.multivariate_normal(sciad.random.key(0), np.zeros(2), cov, 50_000)
    >>> np.round(np.cov(x.T), 1)
    array([[2., 1.],
           [1., 3.]])
    """
    require_source(source, "multivariate_normal")
    mean, cov = parameters("multivariate_normal", mean, cov)
    if not mean.shape or len(cov.shape) < 2 or cov.shape[-2:] != mean.shape[-1:] * 2:
        raise ArgumentError(f"multivariate_normal: a mean of shape {mean.shape} and a covariance "
                            f"of shape {cov.shape} do not fit{at_line()}")
    shape = extents("multivariate_normal", shape)
    batch = shape_for("multivariate_normal", None, Rows(mean.shape[:-1]), Rows(cov.shape[:-2]))
    full = (*shape, *batch, mean.shape[-1])
    z = reshape(like(normals(source, full), mean), (*full, 1))
    return broadcast_to(mean, full) + reshape(matmul(cholesky_p(cov), z), full)
