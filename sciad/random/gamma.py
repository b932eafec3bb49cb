"""Gamma and beta draws, with the derivative by their shape parameters.

A draw x of a distribution F(x; a) at a fixed quantile u solves F(x; a) = u, so

    dx/da = -(dF/da) / (dF/dx)                                                  implicit

whatever way x was drawn: the expectation's derivative is that of the draws (Figurnov, Mohamed and
Mnih, "Implicit reparameterization gradients", NeurIPS 2018). dF/da is that of the incomplete gamma
and beta functions (`sciad.ops.incomplete`). Where x has left the floating-point range (x = 0, or
x = 1 for beta) it does not move with a, and the derivative is 0.

The draws themselves, from a key (Marsaglia and Tsang, "A simple method for generating gamma
variables", ACM TOMS 26, 2000): for a >= 1, with d = a - 1/3, c = 1/sqrt(9 d), z normal, u uniform,

    v = (1 + c z)**3;   accept d v  if  v > 0  and  log u < z**2/2 + d - d v + d log v

at least 19 times of 20, else try again with new numbers. For a < 1:  x(a) = x(a + 1) u**(1/a),
kept as log x, since x itself underflows for small a. A beta draw is y = x(a) / (x(a) + x(b)).
"""

from typing import Any

import numpy as np

from sciad.core.rules import Elementwise
from sciad.core.transforms import stop_gradient
from sciad.ops.control import while_loop
from sciad.ops.elementwise import (
    astype,
    exp,
    greater,
    less,
    log,
    logical_and,
    logical_not,
    logical_or,
    sqrt,
    where,
)
from sciad.ops.incomplete import betainc_a, betainc_b, gammainc_a
from sciad.ops.reduce import all_
from sciad.ops.shape import broadcast_to
from sciad.ops.special import betaln, gammaln, xlog1py, xlogy
from sciad.random.keys import Key, fold_in, split
from sciad.random.source import (
    Source,
    like,
    normals,
    parameters,
    require_positive,
    require_scale,
    require_source,
    shape_for,
    uniforms,
)


def _slope(part, density_log, inside, x):
    """-(dF/da) / density, and 0 at the ends of the range."""
    return where(inside, -part * exp(-where(inside, density_log, 0.0)), 0.0 * x)


def _gamma_slope(x, a):
    inside = greater(x, 0.0)
    safe = where(inside, x, 1.0)
    return _slope(gammainc_a(a, safe), xlogy(a - 1.0, safe) - safe - gammaln(a), inside, x)


def _beta_slope(part):
    def slope(y, a, b):
        inside = logical_and(greater(y, 0.0), less(y, 1.0))
        safe = where(inside, y, 0.5)
        density_log = xlogy(a - 1.0, safe) + xlog1py(b - 1.0, -safe) - betaln(a, b)
        return _slope(part(a, b, safe), density_log, inside, y)

    return slope


gamma_draw = Elementwise("gamma_draw", lambda draw, a: np.add(draw, 0.0 * a), None,
                         lambda x, draw, a: _gamma_slope(x, a))
"""``gamma_draw(x, a)``: the draw x, which moves with a at its quantile."""

beta_draw = Elementwise("beta_draw", lambda draw, a, b: np.add(draw, 0.0 * (a + b)), None,
                        lambda y, draw, a, b: _beta_slope(betainc_a)(y, a, b),
                        lambda y, draw, a, b: _beta_slope(betainc_b)(y, a, b))
"""``beta_draw(y, a, b)``: as `gamma_draw`."""


def gamma(source: Source, a: Any, scale: Any = 1.0, shape: Any = None) -> Any:
    """Gamma draws, reparametrised: differentiable by shape parameter and scale.

    Parameters
    ----------
    source : numpy.random.Generator or Key
    a : array_like
        The shape parameter, positive.
    scale : array_like
    shape : int or tuple of int, optional
        By default that of the parameters.

    Notes
    -----
    A draw moves with its parameters as its quantile does (M. Figurnov, S. Mohamed and A. Mnih,
    "Implicit reparameterization gradients", 2018), so gradients of expectations are right.
    Differences of draws tell something else, as rejection takes other numbers at other parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> def mean(a):
    ...     return np.mean(sciad.random.gamma(sciad.random.key(1), a, shape=10_000))
    >>> print(f"{sciad.grad(mean)(2.0):.1f}")
    1.0
    """
    require_source(source, "gamma")
    a, scale = parameters("gamma", a, scale)
    shape = shape_for("gamma", shape, a, scale)
    a, scale = require_positive(a, "gamma", "the shape parameter"), require_scale(scale, "gamma")
    if isinstance(source, Key):
        draw = exp(_log_gamma_draws(source, stop_gradient(a), shape))
    else:
        draw = source.standard_gamma(stop_gradient(a), shape)
    return gamma_draw(like(draw, a), a) * scale


def beta(source: Source, a: Any, b: Any, shape: Any = None) -> Any:
    """Beta draws, reparametrised: differentiable by both shape parameters.

    Parameters
    ----------
    source : numpy.random.Generator or Key
    a, b : array_like
        The shape parameters, positive.
    shape : int or tuple of int, optional
        By default that of the parameters.

    Notes
    -----
    A draw moves with its parameters as its quantile does (M. Figurnov, S. Mohamed and A. Mnih,
    "Implicit reparameterization gradients", 2018), so gradients of expectations are right.
    Differences of draws tell something else, as rejection takes other numbers at other parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> draws = sciad.random.beta(sciad.random.key(1), 2.0, 2.0, shape=10_000)
    >>> print(f"{np.mean(draws):.1f}")
    0.5
    """
    require_source(source, "beta")
    a, b = parameters("beta", a, b)
    shape = shape_for("beta", shape, a, b)
    a = require_positive(a, "beta", "the shape parameter a")
    b = require_positive(b, "beta", "the shape parameter b")
    if isinstance(source, Key):
        one, other = split(source)
        ratio = (_log_gamma_draws(one, stop_gradient(a), shape)
                 - _log_gamma_draws(other, stop_gradient(b), shape))
        draw = 1.0 / (1.0 + exp(-ratio))
    else:
        draw = source.beta(stop_gradient(a), stop_gradient(b), shape)
    return beta_draw(like(draw, a), a, b)


def _log_gamma_draws(key: Key, a: Any, shape: tuple[int, ...]) -> Any:
    """The logarithms of standard gamma draws, in double precision."""
    tries, boost = split(key)
    a = broadcast_to(astype(a, dtype=np.dtype(float)), shape)
    small = less(a, 1.0)
    d = where(small, a + 1.0, a) - 1.0 / 3.0
    c = 1.0 / sqrt(9.0 * d)

    def again(state):
        count, accepted, known = state
        fresh = split(fold_in(tries, count))
        z, u = normals(fresh[0], shape), uniforms(fresh[1], shape)
        v = (1.0 + c * z) ** 3
        positive = greater(v, 0.0)
        log_v = log(where(positive, v, 1.0))
        good = logical_and(positive, less(log(u), 0.5 * z * z + d - d * v + d * log_v))
        new = logical_and(good, logical_not(accepted))
        return count + 1, logical_or(accepted, good), where(new, log(d) + log_v, known)

    start = np.int64(0), np.zeros(shape, bool)[()], np.zeros(shape)[()]
    _, _, out = while_loop(lambda state: logical_not(all_(state[1])), again, start)
    return where(small, out + log(uniforms(boost, shape)) / a, out)
