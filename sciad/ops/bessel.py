"""Bessel functions of real order, by their argument (DLMF 10.6, 10.29).

    2 C_v' = C_{v-1} - C_{v+1}   for J, Y, H1, H2
    2 I_v' = I_{v-1} + I_{v+1},  2 K_v' = -(K_{v-1} + K_{v+1})

The scaled ones carry exp(-|Re x|) (I), exp(-|Im x|) (J, Y), exp(x) (K), exp(-ix) and exp(ix) (H).
The derivative by the order raises by name.
"""

from scipy import special as sp

from sciad.core.rules import Split, is_complex
from sciad.ops.elementwise import imag, real, sign
from sciad.ops.special import declare, no_rule, whole


def _of_order(name, slope):
    return declare(name, no_rule(name, "v"), slope)


def _scaled(name, part, slope):
    """exp(-|part x|) times a holomorphic function of that `slope`: for complex x the factor is
    not holomorphic, so both derivatives are stated."""
    missing = no_rule(name, "v")

    def dz(y, v, x):
        turn = 0.5 if part is real else -0.5j
        return slope(v, x) - turn * sign(part(x)) * y

    def dzbar(y, v, x):
        turn = 0.5 if part is real else 0.5j
        return -turn * sign(part(x)) * y

    def dx(y, v, x):
        return slope(v, x) - (sign(x) * y if part is real else 0.0)

    return Split(name, getattr(sp, name), (missing, missing),
                 (lambda y, v, x: dz(y, v, x) if is_complex(x) else dx(y, v, x),
                  lambda y, v, x: dzbar(y, v, x) if is_complex(x) else 0.0))


jv = _of_order("jv", lambda y, v, x: 0.5 * (jv(v - 1, x) - jv(v + 1, x)))
yv = _of_order("yv", lambda y, v, x: 0.5 * (yv(v - 1, x) - yv(v + 1, x)))
hankel1 = _of_order("hankel1", lambda y, v, x: 0.5 * (hankel1(v - 1, x) - hankel1(v + 1, x)))
hankel2 = _of_order("hankel2", lambda y, v, x: 0.5 * (hankel2(v - 1, x) - hankel2(v + 1, x)))
iv = _of_order("iv", lambda y, v, x: 0.5 * (iv(v - 1, x) + iv(v + 1, x)))
kv = _of_order("kv", lambda y, v, x: -0.5 * (kv(v - 1, x) + kv(v + 1, x)))
ive = _scaled("ive", real, lambda v, x: 0.5 * (ive(v - 1, x) + ive(v + 1, x)))
jve = _scaled("jve", imag, lambda v, x: 0.5 * (jve(v - 1, x) - jve(v + 1, x)))
yve = _scaled("yve", imag, lambda v, x: 0.5 * (yve(v - 1, x) - yve(v + 1, x)))
hankel1e = _of_order("hankel1e", lambda y, v, x: 0.5 * (hankel1e(v - 1, x) - hankel1e(v + 1, x))
                     - 1j * y)
hankel2e = _of_order("hankel2e", lambda y, v, x: 0.5 * (hankel2e(v - 1, x) - hankel2e(v + 1, x))
                     + 1j * y)
kn = declare("kn", None, lambda y, n, x: -0.5 * (kv(whole(n) - 1, x) + kv(whole(n) + 1, x)))
yn = declare("yn", None, lambda y, n, x: 0.5 * (yv(whole(n) - 1, x) - yv(whole(n) + 1, x)))
kve = _of_order("kve", lambda y, v, x: y - 0.5 * (kve(v - 1, x) + kve(v + 1, x)))

j0 = declare("j0", lambda y, x: -j1(x))
j1 = declare("j1", lambda y, x: 0.5 * (j0(x) - jv(2, x)))
y0 = declare("y0", lambda y, x: -y1(x))
y1 = declare("y1", lambda y, x: 0.5 * (y0(x) - yv(2, x)))
i0 = declare("i0", lambda y, x: i1(x))
i1 = declare("i1", lambda y, x: 0.5 * (i0(x) + iv(2, x)))
k0 = declare("k0", lambda y, x: -k1(x))
k1 = declare("k1", lambda y, x: -0.5 * (k0(x) + kv(2, x)))
i0e = declare("i0e", lambda y, x: i1e(x) - sign(x) * y)
i1e = declare("i1e", lambda y, x: 0.5 * (i0e(x) + ive(2, x)) - sign(x) * y)
k0e = declare("k0e", lambda y, x: y - k1e(x))
k1e = declare("k1e", lambda y, x: y - 0.5 * (k0e(x) + kve(2, x)))
