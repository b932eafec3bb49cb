"""Carlson's symmetric elliptic integrals (DLMF 19.16), by each argument.

All are multiples of one integral with half-integer exponents, which differentiates within itself:

    I_b(z) = int_0^inf prod_j (t + z_j)^-b_j dt,      dI_b/dz_j = -b_j I_{b + e_j}
    R_F = I/2 (1/2, 1/2, 1/2),          R_C = I/2 (1/2, 1),
    R_D = 3/2 I (1/2, 1/2, 3/2),        R_J = 3/2 I (1/2, 1/2, 1/2, 1)      (19.16.1, 2, 5; 19.2.17)
    dR_G/dz = (R_F - z R_D(x, y, z) / 3) / 4                                (19.16.3, 19.18.4)

so nothing cancels where arguments meet. With t = e^s the integrand is analytic for |Im s| < pi,
and the trapezoidal rule converges geometrically (DLMF 3.5(i)); for complex arguments the path is
turned to lie midway between them. Principal values (R_C for y < 0, R_J for p < 0) have the slopes
that partial fractions give, which are safe there, as no arguments meet.
"""

import numpy as np

from sciad.core.backend import module_of
from sciad.core.rules import Elementwise, is_complex
from sciad.ops.elementwise import equal, imag, less, logical_and, real, sqrt, where
from sciad.ops.special import declare

_POINTS, _CHUNK = 256, 4096


def _integral(*z, b):
    """I_b, by the trapezoidal rule in s = log t."""
    xp = module_of(*z)
    dtype = np.result_type(*(getattr(x, "dtype", x) for x in z), np.float32)
    z = xp.broadcast_arrays(*(xp.asarray(x, complex if dtype.kind == "c" else float) for x in z))
    flat = xp.stack([x.ravel() for x in z])
    parts = [_sums(xp, flat[:, k:k + _CHUNK], b) for k in range(0, flat.shape[1], _CHUNK)]
    return xp.concatenate(parts or [flat[0]]).reshape(z[0].shape).astype(dtype)[()]


def _sums(xp, z, b):
    """The rule for each column of `z`, over all s where the integrand is not negligible."""
    zero, size = z == 0.0, xp.abs(z)
    steepest = sum(b) - 1.0
    with np.errstate(all="ignore"):
        least = xp.where(zero, np.inf, size).min(0)
        low = xp.log(least) - xp.where(zero.any(0), 76.0, 38.0)
        step = (xp.log(size.max(0)) + 38.0 / steepest - low) / _POINTS
        arg = xp.angle(z) if z.dtype.kind == "c" else 0.0 * z
        turn = 0.5j * (arg.max(0) + arg.min(0)) if z.dtype.kind == "c" else 0.0
        s = low + turn + step * xp.arange(_POINTS)[:, None]
        powers = sum(bj * xp.log(xp.exp(s) + zj) for zj, bj in zip(z, b, strict=True))
        total = step * xp.exp(s - powers).sum(0)
    order = sum(bj * zj for bj, zj in zip(b, zero, strict=True))
    return xp.where(order >= 1.0, np.inf, total)


class Carlson(Elementwise):
    """I_b."""

    __slots__ = ()

    def __init__(self):
        super().__init__("carlson_integral", _integral)

    def jvp(self, k, tangent, out, args, params):
        return self._with_slopes(**params).jvp(k, tangent, out, args, {})

    def vjp(self, k, cotangent, out, args, params):
        return self._with_slopes(**params).vjp(k, cotangent, out, args, {})

    def _with_slopes(self, b):
        return Elementwise(self.name, None, *_slopes(1.0, *b))


integral = Carlson()


def _slope(scale, b, j):
    """d/dz_j of `scale` I_b."""
    raised = (*b[:j], b[j] + 1.0, *b[j + 1:])
    return lambda out, *z: -scale * b[j] * integral(*z, b=raised)


def _slopes(scale, *b):
    """The partial derivatives of `scale` I_b."""
    return [_slope(scale, b, j) for j in range(len(b))]


def _beside_principal(near, far):
    """The slope, `far` where the last argument is negative: a principal value."""

    def partial(out, *z):
        *rest, p = z
        negative = less(real(p), 0.0)
        if is_complex(p):
            negative = logical_and(negative, equal(imag(p), 0.0))
        return where(negative, far(out, *rest, where(negative, p, -1.0)),
                     near(out, *rest, where(negative, 1.0, p)))

    return partial


# --- R_F, R_D, R_G --------------------------------------------------------------------------------


def _second_kind(x, y, z):
    """dR_G/dz; R_D is infinite at z = 0, but z R_D is 0."""
    zero = equal(z, 0.0)
    weighted = where(zero, 0.0, z * elliprd(x, y, where(zero, 1.0, z)))
    return 0.25 * (elliprf(x, y, z) - weighted * (1.0 / 3.0))


elliprf = declare("elliprf", lambda r, x, y, z: elliprd(y, z, x) * (-1.0 / 6.0),
                  lambda r, x, y, z: elliprd(x, z, y) * (-1.0 / 6.0),
                  lambda r, x, y, z: elliprd(x, y, z) * (-1.0 / 6.0))
elliprd = declare("elliprd", *_slopes(1.5, 0.5, 0.5, 1.5))
elliprg = declare("elliprg", lambda r, x, y, z: _second_kind(y, z, x),
                  lambda r, x, y, z: _second_kind(z, x, y),
                  lambda r, x, y, z: _second_kind(x, y, z))

# --- R_C, R_J -------------------------------------------------------------------------------------


def _first_by_fractions(r, x, y):
    """dR_C/dx, from 1/((t+x)(t+y)) = (1/(t+x) - 1/(t+y)) / (y - x)."""
    return 0.5 * (r - 1.0 / sqrt(x)) / (y - x)


def _last_by_fractions(r, x, y):
    """dR_C/dy, since R_C is homogeneous of degree -1/2 (19.18.11)."""
    return -(0.5 * r + x * _first_by_fractions(r, x, y)) / y


def _third_by_fractions(r, x, y, z, p):
    """dR_J/dz."""
    return 0.5 * (r - elliprd(x, y, z)) / (p - z)


def _parameter_by_fractions(r, x, y, z, p):
    """dR_J/dp, from the sum of all slopes (19.18.8)."""
    total = sum(_third_by_fractions(r, *w, p) for w in [(x, y, z), (y, z, x), (z, x, y)])
    return -1.5 / (sqrt(x * y * z) * p) - total


elliprc = declare("elliprc", *map(_beside_principal, _slopes(0.5, 0.5, 1.0),
                                  [_first_by_fractions, _last_by_fractions]))
elliprj = declare("elliprj", *map(_beside_principal, _slopes(1.5, 0.5, 0.5, 0.5, 1.0), [
    lambda r, x, y, z, p: _third_by_fractions(r, y, z, x, p),
    lambda r, x, y, z, p: _third_by_fractions(r, z, x, y, p),
    _third_by_fractions, _parameter_by_fractions]))
