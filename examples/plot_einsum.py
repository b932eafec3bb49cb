"""
Contract a network: the ground state of a chain of spins
========================================================

Twenty spins have a million amplitudes. A matrix product state writes all of them by twenty small
tensors, and the energy is the contraction of a network: ``np.einsum`` along the chain. Its gradient
needs no further thought. The state of least energy is the ground state, and for this chain the
exact answer is known.
"""

# %%
# The network
# -----------
# Each spin :math:`k` has a tensor :math:`A^k_{lsr}`: left bond, spin up or down, right bond. The
# amplitude of a configuration is the product of the matrices that its spins choose. The energy is
# that of Ising's chain in a transverse field,
#
# .. math:: H = -\sum_k \sigma^z_k \sigma^z_{k+1} - g \sum_k \sigma^x_k .
#
# Two layers of the state, one the bra and one the ket, are contracted from left to right. Along
# with the overlap the sweep carries what of the energy is complete, and the bond that
# waits for its second :math:`\sigma^z`.

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import sciad

SITES = 20
X = np.array([[0.0, 1.0], [1.0, 0.0]])
Z = np.diag([1.0, -1.0])


def energy(state, field):
    """<state|H|state> / <state|state>; the tensors are the rows of `state`."""

    def site(sweep, tensor):
        overlap, waiting, complete = sweep
        flipped = np.einsum("ab,asc,st,btd->cd", overlap, tensor, X, tensor)
        closed = np.einsum("ab,asc,st,btd->cd", waiting, tensor, Z, tensor)
        complete = np.einsum("ab,asc,bsd->cd", complete, tensor, tensor)
        waiting = np.einsum("ab,asc,st,btd->cd", overlap, tensor, Z, tensor)
        overlap = np.einsum("ab,asc,bsd->cd", overlap, tensor, tensor)
        return (overlap, waiting, complete - closed - field * flipped), None

    bond = state.shape[1]
    edge = np.zeros((bond, bond))
    edge[0, 0] = 1.0
    (overlap, _, complete), _ = sciad.scan(site, (edge, 0.0 * edge, 0.0 * edge), state)
    return complete[0, 0] / overlap[0, 0]


def random_state(bond):
    random = np.random.default_rng(3)
    aligned = np.einsum("lr,s->lsr", np.eye(bond), np.array([1.0, 0.3]))
    return aligned + 0.1 * random.normal(size=(SITES, bond, 2, bond))


# %%
# `sciad.scan` is the loop ``for tensor in state`` as a function, so that compiled code has a loop
# as well, rather than a copy of the body for each spin.
#
# The gradient by one tensor is the network with that tensor taken out: the environment, which
# textbooks derive by hand. Reverse mode finds all twenty of them in one sweep back. For one tensor
# the two can be written side by side; for the whole network differences must do, in both modes and
# to the second order:

tensor = random_state(bond=3)[0]
weights = np.arange(9.0).reshape(3, 3)
environment = sciad.grad(lambda a: np.einsum("ab,asc,bsc->", weights, a, a))(tensor)
by_hand = np.einsum("ab,bsc->asc", weights + weights.T, tensor)
print(f"by hand and by sciad, largest difference: {np.abs(environment - by_hand).max():.1e}")

sciad.check_grads(energy, (random_state(bond=2), 1.0))
print("the energy's derivatives agree with differences")

# %%
# The minimum
# -----------
# SciPy's BFGS minimises over all entries at once. `sciad.jit` compiles the energy with its
# gradient, and the exact energy comes from free fermions: minus the sum of the singular values of a
# bidiagonal matrix (Lieb, Schultz and Mattis, "Two soluble models of an antiferromagnetic chain",
# 1961; Pfeuty, "The one-dimensional Ising model with a transverse field", 1970).


def exact(field):
    couplings = field * np.eye(SITES) + np.eye(SITES, k=1)
    return -np.sum(np.linalg.svd(couplings, compute_uv=False))


step = sciad.jit(sciad.value_and_grad(energy))


def ground_state(state, field, history=None):
    """The state of least energy near `state`."""

    def objective(entries):
        value, slope = step(entries.reshape(state.shape), field)
        if history is not None:
            history.append(value)
        return value, slope.ravel()

    found = minimize(objective, state.ravel(), jac=True, method="L-BFGS-B",
                     options={"maxiter": 250, "ftol": 1e-12, "gtol": 1e-6})
    return found.x.reshape(state.shape)


histories = {bond: [] for bond in (1, 2, 4, 8)}
for bond, history in histories.items():
    begun = time.perf_counter()
    ground_state(random_state(bond), 1.0, history)
    took = time.perf_counter() - begun
    print(f"bond {bond}: {SITES * 2 * bond**2:4} entries, {len(history):3} gradients in "
          f"{took:.2f} s with the compilation, error {min(history) - exact(1.0):.1e}")

# %%
# What the approximation misses
# -----------------------------
# By the theorem of Hellmann and Feynman the polarisation along the field,
# :math:`\langle\sigma^x\rangle`, is minus the derivative of the ground state's energy by :math:`g`.
# That is a derivative of either energy: of the network's, at its minimum, and of the exact one,
# through the singular values. With bonds of one number (no entanglement: the mean field) the order
# breaks down at :math:`g = 2`, twice the field at which it truly does in a long chain. With two
# the eye sees a difference only near :math:`g = 1`.

fields = np.linspace(0.2, 2.6, 13)
polarisation = sciad.jit(sciad.grad(energy, argnums=1))
curves = {}
for bond in (1, 2, 4):
    state, curves[bond] = random_state(bond), []
    for field in fields:
        state = ground_state(state, field)
        curves[bond].append(-polarisation(state, field) / SITES)

shades = dict(zip(histories, plt.cm.viridis([0.85, 0.6, 0.35, 0.1]), strict=True))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for bond, history in histories.items():
    best = np.minimum.accumulate(history) - exact(1.0)
    left.loglog(np.arange(1, len(best) + 1), best, color=shades[bond], label=f"bond {bond}")
left.set(xlabel="gradients", ylabel="energy above the exact", title="20 spins at $g = 1$")
left.legend(frameon=False)
fine = np.linspace(fields[0], fields[-1], 100)
right.plot(fine, [-sciad.grad(exact)(field) / SITES for field in fine], "k", linewidth=1,
           label="exact")
for (bond, curve), marker in zip(curves.items(), "sox", strict=True):
    right.plot(fields, curve, marker, color=shades[bond], markerfacecolor="none", markersize=7,
               label=f"bond {bond}")
right.set(xlabel="field $g$", ylabel=r"$\langle\sigma^x\rangle$ a spin", title="Polarisation")
right.legend(frameon=False)

truth = np.array([-sciad.grad(exact)(field) / SITES for field in fields])
for bond, curve in curves.items():
    print(f"bond {bond}: polarisation off by {np.abs(curve - truth).max():.4f} at most")
