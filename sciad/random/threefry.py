"""Threefry-2x32: random bits as a function of a key and a counter.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A block
cipher with 20 rounds encrypts the counter (c0, c1), two words of 32 bits, under the key (k0, k1):

    x0 += k0, x1 += k1                                    with k2 = k0 ^ k1 ^ 0x1BD11BDA
    each round r:    x0 += x1;  x1 = rotate(x1, R[r % 8]) ^ x0
    after round 4i:  x0 += k[i % 3];  x1 += k[(i + 1) % 3] + i

There is no state, so that eager, compiled and mapped programs get the same bits. Here a key, a
counter and a result are one integer of 64 bits each, the first word in the upper half; they are
stored as int64, of which only the bits matter.
"""

import numpy as np

from sciad.core.rules import ElementwiseConstant

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA
ROUNDS = 20


def _words(x):
    """The upper and the lower words of 64-bit integers, as arrays."""
    x = np.atleast_1d(np.asarray(x)).astype(np.uint64)
    return (x >> np.uint64(32)).astype(np.uint32), x.astype(np.uint32)


def _threefry(key, counter):
    shape = np.broadcast_shapes(np.shape(key), np.shape(counter))
    k0, k1 = _words(key)
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    x0, x1 = (c + k for c, k in zip(_words(counter), keys, strict=False))
    rotated = np.empty_like(x1)
    for r in range(ROUNDS):
        rotation = ROTATIONS[r % 8]
        x0 += x1
        np.left_shift(x1, rotation, out=rotated)
        x1 >>= 32 - rotation
        x1 |= rotated
        x1 ^= x0
        if r % 4 == 3:
            i = r // 4 + 1
            x0 += keys[i % 3]
            x1 += keys[(i + 1) % 3] + np.uint32(i)
    bits = x0.astype(np.uint64) << np.uint64(32) | x1
    return bits.view(np.int64).reshape(shape)[()]


threefry = ElementwiseConstant("threefry", _threefry)
"""``threefry(key, counter)``: 64 random bits each, of int64 and broadcast."""


def _unit(bits):
    return ((np.right_shift(bits, 12) & (2**52 - 1)) + 0.5) * 2.0**-52


unit = ElementwiseConstant("unit_interval", _unit)
"""Bits as a float in the open interval (0, 1): the 2**52 midpoints (m + 1/2) / 2**52, exactly."""
