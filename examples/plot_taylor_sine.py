"""
Differentiate a program: the sine by its Taylor series
======================================================

A derivative rule for the sine is not needed to differentiate a sine. Here the function is a
*program*: a loop with a condition, an early return and a running sum. It opens the paper `A
Differentiable Programming System to Bridge Machine Learning and Scientific Computing
<https://arxiv.org/abs/1907.07587>`_; this is the same program in plain Python.
"""

# %%
# The program
# -----------
# It knows nothing of derivatives, and stops as soon as a term no longer counts.

import math

import matplotlib.pyplot as plt
import numpy as np

import sciad


def sine(x):
    total, sign = 0.0, 1.0
    for i in range(1, 20, 2):
        term = x**i / math.factorial(i)
        if abs(term) < 1e-8:
            return total
        total = total + sign * term
        sign = -sign
    return total


# %%
# Its derivative
# --------------
# `sciad.grad` differentiates what ran. The result is the exact derivative of the truncated
# series, not a difference quotient, so it agrees with the cosine as far as the series does.

slope = sciad.grad(sine)
print(f"sine(1)  = {sine(1.0):.16f}   numpy {np.sin(1.0):.16f}")
print(f"sine'(1) = {slope(1.0):.16f}   numpy {np.cos(1.0):.16f}")

# %%
# A derivative is a program like any other, so it has a derivative in turn. And `sciad.jit`
# compiles all three. The early return stays a branch of the machine code: one compilation serves
# every ``x``, however many terms it takes.

value, first, second = (sciad.jit(f) for f in (sine, slope, sciad.grad(slope)))
x = np.linspace(-2 * np.pi, 2 * np.pi, 400)
y, dy, ddy = ([f(point) for point in x] for f in (value, first, second))

# %%
# Three curves, and what ten terms are worth
# ------------------------------------------
# The series is cut at the power 19. Far from zero the first term left out shows: as
# :math:`x^{21}/21!` in the value, :math:`x^{20}/20!` in the slope, :math:`x^{19}/19!` in the
# curvature. Near zero the early return sets the error. (At zero itself, and within 1e-8 of it, the
# program returns the constant 0, whose derivative is 0: it is the program that is differentiated.)
# The dotted lines are NumPy's.

figure, (curves, errors) = plt.subplots(2, sharex=True, figsize=(7, 6), layout="constrained")
rows = [
    ("value", y, np.sin(x), "C0"),
    ("first derivative", dy, np.cos(x), "C1"),
    ("second derivative", ddy, -np.sin(x), "C2"),
]
for name, mine, exact, color in rows:
    curves.plot(x, mine, color=color, label=name)
    curves.plot(x, exact, "k:", linewidth=1)
    errors.semilogy(x, np.maximum(np.abs(mine - exact), 1e-17), color=color)
curves.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.18), frameon=False)
curves.set(ylim=(-1.25, 1.25), ylabel="sine by its series")
errors.set(xlabel="x", ylabel="error", ylim=(1e-17, 1))
ticks = np.arange(-2, 3) * np.pi
errors.set_xticks(ticks, ["−2π", "−π", "0", "π", "2π"])
