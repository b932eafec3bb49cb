"""The numbers of `sciad/compiler/mathlib.py`: polynomials and tables, made anew.

    python -m tools.fit_mathlib

A polynomial interpolates its function at the Chebyshev points of the interval in 60-digit
arithmetic, which is within a factor of two of the minimax error; coefficients are then rounded to
the working precision, the first ones last to be touched by that. The table of logarithms holds, for
each of 16 pieces of [0.703125, 1.40625), a number close to the reciprocal of the piece's middle
whose logarithm happens to be a multiple of 2**-43 to 2**-62 (the idea of S. Gal, "An accurate
elementary mathematical library for the IEEE floating point standard", ACM TOMS 17, 1991).
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60
PIECES = 16
FIRST = 0.703125  # the left end of piece 0; piece k starts k sixteenths of a binade later


def interpolated(f, low, high, degree):
    """Coefficients, lowest first, of the interpolant at the Chebyshev points."""
    middle, half = mp.mpf(low + high) / 2, mp.mpf(high - low) / 2
    nodes = [middle + half * mp.cos(mp.pi * (2 * k + 1) / (2 * degree + 2))
             for k in range(degree + 1)]
    rows = mp.matrix([[node**j for j in range(degree + 1)] for node in nodes])
    return list(mp.lu_solve(rows, mp.matrix([f(node) for node in nodes])))


def taylor_free(f, skip, series):
    """``(f(r) - skipped terms) / r**skip``, by its series near 0."""
    def quotient(r):
        if abs(r) < mp.mpf(10)**-8:
            return sum(c * r**k for k, c in enumerate(series))
        return f(r) / r**skip

    return quotient


def exp_tail(low, high, degree):
    """``(exp(r) - 1 - r) / r**2``"""
    series = [1 / mp.factorial(k + 2) for k in range(6)]
    return interpolated(taylor_free(lambda r: mp.expm1(r) - r, 2, series), low, high, degree)


def log_tail(low, high, degree, skip):
    """``(log(1 + r) - r [+ r**2 / 2]) / r**skip``"""
    def rest(r):
        return mp.log1p(r) - r + (r * r / 2 if skip == 3 else 0)

    series = [mp.mpf(-1)**(k + skip + 1) / (k + skip) for k in range(6)]
    return interpolated(taylor_free(rest, skip, series), low, high, degree)


def edges():
    """The ends of the pieces: the first nine steps are a 32nd wide, the others a 16th."""
    bits = np.float64(FIRST).view(np.int64) + (np.arange(PIECES + 1, dtype=np.int64) << 48)
    return bits.view(np.float64)


def reciprocals(rng):
    """Reciprocals whose logarithms are nearly multiples of 2**-43."""
    table = []
    for low, high in zip(edges()[:-1], edges()[1:], strict=True):
        if low < 1 < high:
            table.append(1.0)
            continue
        middle = 2 / (low + high)
        tries = middle * (1 + rng.uniform(-1e-4, 1e-4, 2**19))
        logs = -np.log(tries.astype(np.longdouble)) * np.longdouble(2)**43
        table.append(float(tries[np.argmin(np.abs(logs - np.rint(logs)))]))
    return table


def logarithms(table):
    """(multiples of 2**-43, what they leave)"""
    high = [float(mp.nint(-mp.log(mp.mpf(c)) * mp.mpf(2)**43) / mp.mpf(2)**43) for c in table]
    low = [float(-mp.log(mp.mpf(c)) - mp.mpf(h)) for c, h in zip(table, high, strict=True)]
    return high, low


def show(name, values, dtype=np.float64):
    numbers = [repr(float(dtype(float(value)))) for value in values]
    print(f"{name} = ({', '.join(numbers)})")


def main():
    third = float(mp.log(2) / 2) * 1.001
    show("EXP", exp_tail(-third, third, 9))
    show("EXP_F", exp_tail(-third, third, 4), np.float32)
    show("EXP_SHORT", exp_tail(-third, third, 5))
    edge = 1 / 32 * 1.01
    show("LOG", log_tail(-edge, edge, 7, 2))
    show("LOG_POW", log_tail(-edge, edge, 8, 3))
    show("LOG_SHORT", log_tail(-edge, edge, 4, 2))
    show("LOG_F", log_tail(float(mp.sqrt(0.5)) - 1, float(mp.sqrt(2)) - 1, 7, 3), np.float32)
    table = reciprocals(np.random.default_rng(0))
    high, low = logarithms(table)
    show("RECIPROCAL", table)
    show("LOG_HIGH", high)
    show("LOG_LOW", low)
    two = mp.log(2)
    high = mp.nint(two * mp.mpf(2)**42) / mp.mpf(2)**42
    show("LN2 (multiple of 2**-42, rest)", [high, two - high])
    single = mp.nint(two * 2**15) / 2**15
    show("LN2_F (multiple of 2**-15, rest)", [single, two - single], np.float32)
    show("LN2_D", [two, two - mp.mpf(float(two))])


if __name__ == "__main__":
    main()
