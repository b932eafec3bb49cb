"""
Sparse Jacobian of a reaction-diffusion system by colouring
===========================================================

An implicit step of a reaction-diffusion system solves a linear system with the Jacobian of its
right side. On a grid of :math:`m \\times m` points that matrix has :math:`4 m^4` entries, nearly
all of them zero: each point knows only its neighbours. Here the Jacobian is computed by a dozen
products with vectors, whatever the size of the grid, and carries a Brusselator from noise to
stripes and spots.
"""

# %%
# The system
# ----------
# The Brusselator is a model of a chemical oscillator, with two species that diffuse on a square
# whose opposite edges meet:
#
# .. math::
#    \partial_t u = A - (B + 1) u + u^2 v + D_u \Delta u, \qquad
#    \partial_t v = B u - u^2 v + D_v \Delta v
#
# The right side is plain NumPy, a function of one vector.

import time

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

import sciad
from sciad.core.colouring import column_colours

A, B, D_U, D_V = 4.5, 7.5, 2.0, 16.0


def laplacian(w):
    return np.roll(w, 1, 0) + np.roll(w, -1, 0) + np.roll(w, 1, 1) + np.roll(w, -1, 1) - 4.0 * w


def brusselator(state):
    m = round((state.size / 2) ** 0.5)
    u, v = state.reshape(2, m, m)
    reaction = u * u * v
    return np.stack([A - (B + 1.0) * u + reaction + D_U * laplacian(u),
                     B * u - reaction + D_V * laplacian(v)]).reshape(-1)


# %%
# Pattern and colours
# -------------------
# `sciad.sparsity` reads off the program which result depends on which entry. Two columns that have
# no entry in the same row can share a direction: the product of the Jacobian with the sum of their
# unit vectors holds both. A colouring deals all columns out to a few such groups. In the picture
# each entry has the colour of its column; no row holds a colour twice.

small = 8
pattern = sciad.sparsity(brusselator, np.ones(2 * small**2))
colours = column_colours(pattern)
rows, columns = pattern.nonzero()

figure, ax = plt.subplots(figsize=(6.5, 6), layout="constrained")
dots = ax.scatter(columns, rows, c=colours[columns], s=7, cmap="turbo", marker="s")
ax.set(xlim=(-1, pattern.shape[1]), ylim=(pattern.shape[0], -1), aspect="equal",
       xlabel="column", ylabel="row",
       title=f"{pattern.shape[1]} columns, {colours.max() + 1} colours")
figure.colorbar(dots, label="colour", shrink=0.8)
figure.savefig("sparse_jacobian_pattern.png", dpi=150)

# %%
# ``sciad.jacobian(f, sparsity="auto")`` does all of it: it linearises the program once, takes one
# product for each colour, and gives a ``scipy.sparse.csr_array``. Pattern and colours are kept for
# later calls.

jacobian = sciad.jacobian(brusselator, sparsity="auto")
state = np.random.default_rng(0).uniform(1.0, 2.0, 2 * small**2)
compressed = jacobian(state)
print(f"largest difference from the dense Jacobian: "
      f"{abs(compressed.toarray() - sciad.jacobian(brusselator)(state)).max():.1e}")

# %%
# Time against size
# -----------------
# A dense Jacobian takes a product for each column, so its time grows as the square of the number of
# unknowns. The compressed one takes as many products for a hundred unknowns as for a million.


def seconds(call, *args):
    begun = time.perf_counter()
    call(*args)
    return time.perf_counter() - begun


sizes, first, later, dense = [], [], [], []
for m in (5, 16, 32, 100, 316, 707):
    state = np.random.default_rng(m).uniform(1.0, 2.0, 2 * m**2)
    jacobian = sciad.jacobian(brusselator, sparsity="auto")
    sizes.append(state.size)
    first.append(seconds(jacobian, state))
    later.append(min(seconds(jacobian, state) for _ in range(2)))
    if m <= 32:
        dense.append(seconds(sciad.jacobian(brusselator), state))

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ax.loglog(sizes[:len(dense)], dense, "C3s-", label="dense")
ax.loglog(sizes, first, "C0o--", label="compressed, first call: pattern and colours too")
ax.loglog(sizes, later, "C0o-", label="compressed, later calls")
ax.set(xlabel="unknowns", ylabel="seconds for one Jacobian")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
figure.savefig("sparse_jacobian_time.png", dpi=150)
for n, begin, again in zip(sizes, first, later, strict=True):
    print(f"{n:8} unknowns: first call {begin:8.4f} s, later {again:8.4f} s")

# %%
# An implicit step
# ----------------
# Explicit Euler is stable for steps up to about :math:`h^2 / 4 D_v = 0.016`. The implicit step
#
# .. math:: w = w_{\text{old}} + \Delta t \, f(w)
#
# has no such bound. Newton's method solves it: each iteration takes one Jacobian, which becomes one
# sparse linear system.

jacobian = sciad.jacobian(brusselator, sparsity="auto")


def implicit_euler(old, dt, tolerance=1e-8):
    state, identity = old, scipy.sparse.eye_array(old.size)
    for iteration in range(1, 20):
        defect = state - old - dt * brusselator(state)
        step = spsolve((identity - dt * jacobian(state)).tocsc(), defect)
        state = state - step
        if np.linalg.norm(step) < tolerance * np.linalg.norm(state):
            return state, iteration
    raise RuntimeError("Newton's method did not converge; take a smaller step")


# %%
# The uniform state :math:`u = A, v = B/A` is steady, but not stable: for
# :math:`B > (1 + A \sqrt{D_u / D_v})^2 = 6.7` stripes and spots of one width grow out of any noise
# (Turing, 1952).

m, dt = 40, 0.5
noise = np.random.default_rng(1).normal(scale=0.05, size=(2, m, m))
begin = (np.array([A, B / A]).reshape(2, 1, 1) + noise).reshape(-1)
state, iterations = begin, 0
begun = time.perf_counter()
for _ in range(60):
    state, count = implicit_euler(state, dt)
    iterations += count
print(f"60 steps of {dt}, {iterations} Jacobians and sparse solves of {state.size} unknowns: "
      f"{time.perf_counter() - begun:.1f} s")

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for ax, values, title in zip(axes, (begin, state), ("t = 0", f"t = {60 * dt:g}"), strict=True):
    image = ax.imshow(values.reshape(2, m, m)[0], cmap="magma", interpolation="bicubic")
    ax.set(title=title, xticks=[], yticks=[])
    figure.colorbar(image, ax=ax, shrink=0.8, label="u")
figure.savefig("sparse_jacobian_spots.png", dpi=150)
