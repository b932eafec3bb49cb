r"""
Python branches in machine code: a sphere falls through the drag crisis
=======================================================================

How strongly a fluid holds a sphere back is known from a century of measurements, and the accepted
summary is a chain of ten formulas, one for each range of the Reynolds number. In Python that is a
chain of ``if``. `sciad.jit` compiles it as it stands: it runs the function on a value that has no
number, asks at each ``if`` what follows from *yes* and what from *no*, and turns the answers into
branches of machine code. So do its derivatives, and so does a solver that calls it.
"""

# %%
# Ten formulas
# ------------
# The drag coefficient of a smooth sphere against the Reynolds number, from R. Clift, J. R. Grace,
# M. E. Weber, *Bubbles, Drops, and Particles* (1978), table 5.2.

import time

import matplotlib.pyplot as plt
import numpy as np

import sciad
from sciad.ode import solve_ivp


def drag(reynolds):
    w = np.log10(reynolds)
    if reynolds <= 0.01:
        return 4.5 + 24 / reynolds
    if reynolds <= 20:
        return 24 / reynolds * (1 + 0.1315 * reynolds ** (0.82 - 0.05 * w))
    if reynolds <= 260:
        return 24 / reynolds * (1 + 0.1935 * reynolds**0.6305)
    if reynolds <= 1500:
        return 10 ** (1.6435 - 1.1242 * w + 0.1558 * w**2)
    if reynolds <= 1.2e4:
        return 10 ** (-2.4571 + 2.5558 * w - 0.9295 * w**2 + 0.1049 * w**3)
    if reynolds <= 4.4e4:
        return 10 ** (-1.9181 + 0.6370 * w - 0.0636 * w**2)
    if reynolds <= 3.38e5:
        return 10 ** (-4.3390 + 1.5809 * w - 0.1546 * w**2)
    if reynolds <= 4e5:
        return 29.78 - 5.3 * w
    if reynolds <= 1e6:
        return 0.1 * w - 0.49
    return 0.19 - 8e4 / reynolds


# %%
# One compilation serves every range. The recorded graph is a ladder of ``cond``; its first rungs:

compiled = sciad.jit(drag)
compiled(100.0)
print("\n".join(str(compiled.lower(100.0).graph).splitlines()[:16]))

# %%
# The slope of the curve
# ----------------------
# The exponent :math:`\mathrm{d}\log c / \mathrm{d}\log\mathrm{Re}` says which law holds: -1 for
# Stokes' creeping flow, about 0 for Newton's, and far below at the crisis, where the boundary layer
# turns turbulent. Each point is one call of the same machine code, whatever its range.

exponent = sciad.jit(lambda re: re * sciad.grad(drag)(re) / drag(re))
reynolds = np.geomspace(1e-3, 1e7, 1500)
curve = np.array([compiled(re) for re in reynolds])
slope = np.array([exponent(re) for re in reynolds])
edges = [0.01, 20, 260, 1500, 1.2e4, 4.4e4, 3.38e5, 4e5, 1e6]
piece = np.searchsorted(edges, reynolds)

figure, axes = plt.subplots(2, sharex=True, figsize=(7, 6), layout="constrained")
for values, axis in zip((curve, slope), axes, strict=True):
    axis.scatter(reynolds, values, c=piece, cmap="tab10", s=4)
axes[0].set(xscale="log", yscale="log", ylabel="drag coefficient")
axes[1].set(ylim=(-6, 1), xlabel="Reynolds number", ylabel="local exponent")
axes[0].set_title("One compiled function, a colour for each branch")

# %%
# What it costs
# -------------
# Called from Python, the compiled slope answers in microseconds; without `sciad.jit` the same
# program is followed anew by every call.


points = reynolds[::5].tolist()


def each(call):
    call(1.0)  # the first call compiles
    start = time.perf_counter()
    for re in points:
        call(re)
    return (time.perf_counter() - start) / len(points) * 1e6


print(f"the function in Python   {each(drag):6.1f} us a call")
print(f"its gradient, followed   {each(sciad.grad(drag)):6.1f} us")
print(f"its gradient, compiled   {each(sciad.jit(sciad.grad(drag))):6.1f} us")

# %%
# A solver that calls it
# ----------------------
# A steel ball, let go in water, gains speed until the drag carries its weight. The right-hand side
# holds the whole chain of ``if`` (and a ``max``, for the moment of rest), and is compiled into the
# steps of the solver with it.

WATER = {"density": 998.0, "viscosity": 1.0e-3}  # kg/m3, Pa s
STEEL, GRAVITY = 7850.0, 9.81


def falling(t, state, diameter):
    """Depth and speed (m, m/s) of a sphere of steel in water; the added mass is half its own."""
    speed = state[1]
    number = max(WATER["density"] * abs(speed) * diameter / WATER["viscosity"], 1e-6)
    volume, section = np.pi / 6 * diameter**3, np.pi / 4 * diameter**2
    weight = (STEEL - WATER["density"]) * volume * GRAVITY
    held = 0.5 * WATER["density"] * drag(number) * section * speed * abs(speed)
    return np.array([speed, (weight - held) / ((STEEL + 0.5 * WATER["density"]) * volume)])


def fall(diameter, times):
    start = np.zeros(2)
    return solve_ivp(falling, (0.0, times[-1]), start, t_eval=times, args=(diameter,),
                     rtol=1e-8, atol=1e-10).y


times = np.linspace(0.0, 3.0, 200)
figure, (speeds, ends) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for diameter in (0.002, 0.01, 0.03, 0.06, 0.12):
    speed = fall(diameter, times)[1]
    number = WATER["density"] * speed[-1] * diameter / WATER["viscosity"]
    speeds.plot(times, speed, label=f"{diameter * 1e3:.0f} mm, Re {number:.0e}")
speeds.set(xlabel="time (s)", ylabel="speed (m/s)", ylim=(0, 16))
speeds.legend(title="diameter, last Reynolds number", fontsize="small")

# %%
# How deep the ball is after three seconds, and what a millimetre more would add: the second curve
# is the derivative of the solve, through the branches. Where it shoots up, a slightly larger ball
# meets the crisis and falls nearly free.

depth = sciad.jit(sciad.value_and_grad(lambda d: fall(d, times)[0, -1]))
diameters = np.geomspace(0.002, 0.2, 120)
depths, gains = np.transpose([depth(d) for d in diameters])
ends.loglog(diameters * 1e3, depths, label="depth after 3 s (m)")
ends.loglog(diameters * 1e3, np.abs(gains) * 1e-3, label="gain for 1 mm more (m)")
ends.set(xlabel="diameter (mm)")
ends.legend()

d, step = 0.01, 1e-6
differences = (fall(d + step, times)[0, -1] - fall(d - step, times)[0, -1]) / (2 * step)
print(f"at 10 mm: {depth(d)[1]:.3f} by sciad, {differences:.3f} by differences")

# %%
# Why it stays small
# ------------------
# Thirty ifs in a row have a thousand million ways through. They are not all walked: a run that
# comes to a known ``if``, in a known place and in a known state, has nothing new to find, and joins
# there. What is recorded grows with the number of ifs, not with the number of ways.


def folded(x):
    total = 0.0
    for k in range(len(x)):
        if x[k] > 0:
            total = total + x[k]
        else:
            total = total - 0.5 * x[k]
    return total


lengths = [1, 2, 4, 8, 16, 24, 32]
operations = []
for n in lengths:
    many = sciad.jit(folded)
    many(np.ones(n))
    operations.append(many.report().signatures[0]["operations"])

figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
axis.semilogy(lengths, [2.0**n for n in lengths], "o--", color="0.6", label="ways through")
axis.semilogy(lengths, operations, "o-", label="operations recorded")
axis.set(xlabel="ifs in a row")
axis.legend()
