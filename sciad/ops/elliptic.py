"""Incomplete elliptic integrals F and E, by amplitude and parameter (DLMF 19.4).

    dF/dm = (E / (1 - m) - F - m sin cos / ((1 - m) D)) / 2m,    dE/dm = (E - F) / 2m,
    D = sqrt(1 - m sin^2 phi)

cancel near m = 0. There the integrals themselves are differentiated,

    I_jk(phi, m) = int_0^phi sin^2j D^-k,   F = I_01,   E = I_0,-1,
    dI_jk/dm = k/2 I_{j+1,k+2},             dI_jk/dphi = sin^2j D^-k

with a Gauss-Legendre rule over at most a quarter period (24 points; |m| < 0.1: 1e-15).
"""

import numpy as np

from sciad.core.backend import module_of
from sciad.core.rules import Elementwise
from sciad.ops.elementwise import absolute, cos, less, sin, sqrt, where
from sciad.ops.special import declare

_SMALL = 0.1
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _integrand(s, m, j, k):
    squares = s * s
    return squares**j * (1.0 - m * squares) ** (-0.5 * k)


def _moment(phi, m, j, k):
    xp = module_of(phi, m)
    dtype = np.result_type(*(getattr(x, "dtype", x) for x in (phi, m)))
    phi, m = xp.asarray(phi, float), xp.asarray(m, float)
    nodes, weights = xp.asarray(_NODES + 1.0), xp.asarray(_WEIGHTS)
    periods = xp.rint(phi / np.pi)

    def over(upper):
        half = 0.5 * upper
        theta = half[..., None] * nodes
        return half * (_integrand(xp.sin(theta), m[..., None], j, k) @ weights)

    quarter = over(0.0 * (phi + m) + 0.5 * np.pi)
    out = 2.0 * periods * quarter + over(phi - np.pi * periods)
    return xp.asarray(out).astype(dtype if dtype.kind == "f" else float)[()]


class Moment(Elementwise):
    """I_jk for small |m|."""

    __slots__ = ()

    def __init__(self):
        super().__init__("elliptic_moment", _moment, None, None)

    def _slope(self, operand, args, j, k):
        phi, m = args
        return (_integrand(sin(phi), m, j, k) if operand == 0
                else 0.5 * k * moment(phi, m, j=j + 1, k=k + 2))

    def jvp(self, k, tangent, out, args, params):
        return Elementwise(self.name, None, *self._partials(args, params)).jvp(
            k, tangent, out, args, {})

    def vjp(self, k, cotangent, out, args, params):
        return Elementwise(self.name, None, *self._partials(args, params)).vjp(
            k, cotangent, out, args, {})

    def _partials(self, args, params):
        return [lambda out, *xs, i=i: self._slope(i, xs, **params) for i in range(2)]


moment = Moment()


def _delta(phi, m):
    s = sin(phi)
    return sqrt(1.0 - m * (s * s))


def _by_parameter(formula, k):
    """The slope by m: the formula, or the integral where m is small."""

    def partial(y, phi, m):
        small = less(absolute(m), _SMALL)
        near = 0.5 * k * moment(phi, where(small, m, 0.0), j=1, k=k + 2)
        return where(small, near, formula(phi, where(small, 0.5, m)))

    return partial


def _first(phi, m):
    rest = m * sin(phi) * cos(phi) / ((1.0 - m) * _delta(phi, m))
    return (ellipeinc(phi, m) / (1.0 - m) - ellipkinc(phi, m) - rest) / (2.0 * m)


def _second(phi, m):
    return (ellipeinc(phi, m) - ellipkinc(phi, m)) / (2.0 * m)


ellipkinc = declare("ellipkinc", lambda y, phi, m: 1.0 / _delta(phi, m), _by_parameter(_first, 1))
ellipeinc = declare("ellipeinc", lambda y, phi, m: _delta(phi, m), _by_parameter(_second, -1))
