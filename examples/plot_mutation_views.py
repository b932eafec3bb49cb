"""
Mutation and views: an echo from under the ground
=================================================

Simulations are written with assignments. A wave solver keeps three arrays and overwrites the
oldest, damps its borders through views, and fills a table row by row. Programs of this kind are
what automatic differentiation usually asks to have rewritten. Here one is differentiated as it
stands, and the result is a picture: how much each point of the ground matters to an echo.
"""

# %%
# The solver
# ----------
# Pressure :math:`u` in a plane obeys :math:`\partial_t^2 u = c^2 \Delta u`. Leapfrog steps are the
# textbook's, and so is the code, with one change: ``zeros`` comes from ``sciad.numpy``, since the
# arrays of NumPy's own have no room for derivatives.
#
# * ``new[1:-1, 1:-1] = ...`` overwrites the oldest of three arrays, which then change places.
# * ``north, south, west, east`` are views, the last two of a transpose. Damping them damps the
#   array: waves leave through the borders instead of coming back.
# * ``seismogram[k] = ...`` fills one row of the result.

# sphinx_gallery_thumbnail_number = 2
import time

import matplotlib.pyplot as plt
import numpy as np

import sciad
from sciad import numpy as snp

N, STEPS, BORDER = 140, 400, 24
SPACING, TIMESTEP = 10.0, 2e-3  # metres, seconds
SURFACE, BOUNDARY = 26, 78  # rows of the grid
SOURCE, RECEIVER = 42, 98  # columns

seconds = TIMESTEP * np.arange(STEPS)
phase = (np.pi * 12.0 * (seconds - 0.1)) ** 2
pulse = (1 - 2 * phase) * np.exp(-phase)  # Ricker's wavelet, 12 Hz
damping = np.exp(-0.12 * np.linspace(1.0, 0.0, BORDER, endpoint=False)[:, None] ** 2)


def laplacian(u):
    return u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]


def shoot(speed, snapshots=None):
    """Pressure along the surface, one row a time step."""
    old, now, new = (snp.zeros((N, N)) for _ in range(3))
    seismogram = snp.zeros((STEPS, N))
    courant = (speed[1:-1, 1:-1] * TIMESTEP / SPACING) ** 2
    for k in range(STEPS):
        new[1:-1, 1:-1] = 2.0 * now[1:-1, 1:-1] - old[1:-1, 1:-1] + courant * laplacian(now)
        new[SURFACE, SOURCE] += pulse[k]
        for u in (new, now):
            north, south = u[:BORDER], u[:-BORDER - 1:-1]
            west, east = u.T[:BORDER], u.T[:-BORDER - 1:-1]
            for edge in (north, south, west, east):
                edge *= damping
        seismogram[k] = new[SURFACE]
        old, now, new = now, new, old
        if snapshots is not None and k in snapshots:
            snapshots[k] = now.copy()
    return seismogram


# %%
# Waves run through the ground at 1800 m/s, slowly more with the depth, and at 3000 m/s below the
# dashed line. The shot goes off at the star; the triangle listens. One wave goes straight to it,
# another comes back from the boundary.

depth = np.arange(N)[:, None] - SURFACE
speed = 1800.0 + 4.0 * np.broadcast_to(depth, (N, N)).clip(0)
speed[BOUNDARY:] = 3000.0

snapshots = dict.fromkeys((130, 220, 310))
seismogram = shoot(speed, snapshots)

extent = (0, SPACING * N, SPACING * (N - SURFACE), -SPACING * SURFACE)


def show(ax, image, scale):
    drawn = ax.imshow(image, cmap="RdBu_r", vmin=-scale, vmax=scale, extent=extent,
                      interpolation="bilinear")
    ax.plot(SPACING * SOURCE, 0, "k*", markersize=14, markeredgecolor="w")
    ax.plot(SPACING * RECEIVER, 0, "kv", markersize=10, markeredgecolor="w")
    ax.axhline(SPACING * (BOUNDARY - SURFACE), color="0.4", linewidth=0.8, linestyle="--")
    return drawn


figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
for ax, (k, u) in zip(axes, snapshots.items(), strict=True):
    drawn = show(ax, u, 0.15)
    ax.set(title=f"After {seconds[k]:.2f} s", xlabel="metres")
axes[0].set(ylabel="depth, metres")
figure.colorbar(drawn, ax=axes, shrink=0.85, label="pressure")

# %%
# The question
# ------------
# The triangle hears the direct wave, and later the echo from the boundary. How would the echo
# change if the ground were a little faster, here or there? The energy of the echo is a number, and
# its gradient by the whole field of speeds answers for all 19,600 points at once: one simulation,
# and one sweep back through all its assignments.

window = slice(290, STEPS)


def echo(speed):
    return np.sum(shoot(speed)[window, RECEIVER] ** 2)


begun = time.perf_counter()
energy, slope = sciad.value_and_grad(echo)(speed)
took = time.perf_counter() - begun

begun = time.perf_counter()
shoot(speed)
alone = time.perf_counter() - begun
print(f"simulation {alone:.2f} s, energy and gradient {took:.2f} s")

# %%
# Simulating twice for each point, to take differences, would cost 39,200 simulations. The
# gradient costs as much as some ten or twenty: on a grid as small as this one, most of its time
# goes into keeping the record of more than ten thousand small operations.
#
# The picture is the answer. The blue legs of the V are the ray down to the boundary and up again,
# and each is not a line but a band: waves feel their surroundings. The ellipse joins the points
# from which an echo would arrive in the same instant as the one from the boundary; a scatterer
# anywhere on it would be mistaken for it. A seismologist who sums such pictures over many shots
# makes an image of the ground.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained",
                                     width_ratios=(4, 5))
left.plot(seismogram[:, RECEIVER], seconds, color="0.2", linewidth=1.2)
left.axhspan(seconds[window][0], seconds[-1], color="C1", alpha=0.2, linewidth=0)
left.text(0.33, 0.5, "direct wave", ha="right")
left.text(0.33, 0.7, "echo", ha="right")
left.set(xlabel="pressure", ylabel="seconds", ylim=(seconds[-1], 0), title="At the triangle")
inside = np.abs(slope[SURFACE + 6:-BORDER, BORDER:-BORDER]).max()
drawn = show(right, 1e6 * slope, 0.6e6 * inside)
right.set(title="What each point matters to the echo", xlabel="metres", ylabel="depth, metres")
figure.colorbar(drawn, ax=right, shrink=0.9,
                label="energy by speed, millionths a m/s")

# %%
# Is it right?
# ------------
# First against the same physics without an assignment: each step makes its arrays anew, the damping
# is one product, and the rows are stacked at the end. Then against a difference quotient, in a
# random direction.

fade = np.ones((N, N))
for edge in (fade[:BORDER], fade[:-BORDER - 1:-1], fade.T[:BORDER], fade.T[:-BORDER - 1:-1]):
    edge *= damping
shot = np.zeros((N, N))
shot[SURFACE, SOURCE] = 1.0


def pure_echo(speed):
    courant = (speed[1:-1, 1:-1] * TIMESTEP / SPACING) ** 2
    old = now = np.zeros((N, N))
    rows = []
    for k in range(STEPS):
        inner = 2.0 * now[1:-1, 1:-1] - old[1:-1, 1:-1] + courant * laplacian(now)
        new = fade * (np.pad(inner, 1) + pulse[k] * shot)
        old, now = fade * now, new
        rows.append(new[SURFACE])
    return np.sum(np.stack(rows)[window, RECEIVER] ** 2)


begun = time.perf_counter()
pure_energy, pure_slope = sciad.value_and_grad(pure_echo)(speed)
pure_took = time.perf_counter() - begun

direction = np.random.default_rng(0).normal(size=(N, N))
nudge = 1e-3
quotient = (echo(speed + nudge * direction) - echo(speed - nudge * direction)) / (2 * nudge)

print(f"with assignments {took:.2f} s, without {pure_took:.2f} s")
print(f"largest entry {np.abs(slope).max():.1e}, "
      f"largest difference of the two {np.abs(slope - pure_slope).max():.1e}")
print(f"along a random direction: gradient {np.sum(slope * direction):.9f}, "
      f"differences {quotient:.9f}")

# %%
# Who may write where
# -------------------
# Within the function a view shares its memory with its base, as in NumPy, whichever of the two is
# written to. Outside, nothing changes: a transform never writes into the arrays of its caller,
# even where the function assigns to its own argument.


def overwrite(x):
    table = x.reshape(2, 3)
    table.T[1] *= 10.0  # a view of a view of x
    return np.sum(x**2)


numbers = np.arange(6.0)
print("gradient", sciad.grad(overwrite)(numbers))
print("the caller's numbers", numbers)
