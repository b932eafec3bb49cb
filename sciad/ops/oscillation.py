"""Airy, Fresnel, Struve and spherical Bessel functions, sine and cosine integrals (DLMF 6, 7, 9,
10.51, 11.4). Functions with several results are made of one operation for each."""

import numpy as np
from scipy import special as sp

from sciad.core.backend import only_on_host
from sciad.core.rules import elementwise
from sciad.ops.elementwise import absolute, cos, cosh, equal, sin, sinh, where
from sciad.ops.special import declare, no_rule

HALF_PI = float(0.5 * np.pi)


def _part(function, k, name, *partials):
    """Result `k` of a function with several."""
    return elementwise(name, lambda *args: function(*args)[k], *partials)


# --- Airy functions: w'' = z w --------------------------------------------------------------------

airy_ai = _part(sp.airy, 0, "airy_ai", lambda y, z: airy_aip(z))
airy_aip = _part(sp.airy, 1, "airy_aip", lambda y, z: z * airy_ai(z))
airy_bi = _part(sp.airy, 2, "airy_bi", lambda y, z: airy_bip(z))
airy_bip = _part(sp.airy, 3, "airy_bip", lambda y, z: z * airy_bi(z))


def airy(z):
    return airy_ai(z), airy_aip(z), airy_bi(z), airy_bip(z)


# --- integrals ------------------------------------------------------------------------------------


def _nonzero(z):
    return where(equal(z, 0.0), 1.0, z)


def _sinc(z, sine, at_zero):
    """sine(z) / z."""
    return where(equal(z, 0.0), at_zero, sine(z) / _nonzero(z))


fresnel_s = _part(sp.fresnel, 0, "fresnel_s", lambda y, z: sin(HALF_PI * z * z))
fresnel_c = _part(sp.fresnel, 1, "fresnel_c", lambda y, z: cos(HALF_PI * z * z))
sine_integral = _part(sp.sici, 0, "sine_integral", lambda y, x: _sinc(x, sin, 1.0))
cosine_integral = _part(sp.sici, 1, "cosine_integral", lambda y, x: cos(x) / x)
sinh_integral = _part(sp.shichi, 0, "sinh_integral", lambda y, x: _sinc(x, sinh, 1.0))
cosh_integral = _part(sp.shichi, 1, "cosh_integral", lambda y, x: cosh(x) / x)


def fresnel(z):
    return fresnel_s(z), fresnel_c(z)


def sici(x):
    return sine_integral(x), cosine_integral(x)


def shichi(x):
    return sinh_integral(x), cosh_integral(x)


# --- Struve functions, by x: H_v' = H_{v-1} - (v / x) H_v -----------------------------------------

struve = declare("struve", no_rule("struve", "v"),
                 lambda y, v, x: struve(v - 1, x) - v / x * y)
modstruve = declare("modstruve", no_rule("modstruve", "v"),
                    lambda y, v, x: modstruve(v - 1, x) - v / x * y)

# --- spherical Bessel functions, by z: (2n+1) f_n' = n f_{n-1} -+ (n+1) f_{n+1} -------------------


def _spherical(name, before, after):
    """With ``(2n+1) f_n' = before n f_{n-1} + after (n+1) f_{n+1}``."""
    original = getattr(sp, name)

    def slope(y, n, z):
        low, high = primitive(absolute(n - 1), z), primitive(n + 1, z)
        return (before * n * low + after * (n + 1) * high) / (2 * n + 1)

    primitive = elementwise(name, lambda n, z: original(n, z), no_rule(name, "n"), slope)
    return primitive


spherical_jn = _spherical("spherical_jn", 1, -1)
spherical_yn = _spherical("spherical_yn", 1, -1)
spherical_in = _spherical("spherical_in", 1, 1)
spherical_kn = _spherical("spherical_kn", -1, -1)

# --- the Wright omega function: w + log w = z -----------------------------------------------------

wrightomega = declare("wrightomega", lambda w, z: w / (1.0 + w))

only_on_host(airy_ai, airy_aip, airy_bi, airy_bip, fresnel_s, fresnel_c)
