"""
Learn a vector field: a neural ODE on a spiral
==============================================

Thirty points of a spiral are given, and no equation. A small network stands in for the right-hand
side of an ODE; training it means differentiating through the solver. The data come from

.. math:: y' = A^T y^3, \\qquad y(0) = (2, 0),

which the network never sees. The idea is that of `Neural Ordinary Differential Equations
<https://arxiv.org/abs/1806.07366>`_; the spiral has been its standard first trial since.
"""

# %%
# The data
# --------

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import sciad
from sciad.ode import solve_ivp
from sciad.optimize import Adam

A = np.array([[-0.1, 2.0], [-2.0, -0.1]])
START = np.array([2.0, 0.0])
TIMES = np.linspace(0.0, 1.5, 30)


def spiral(t, y):
    return A.T @ y**3


def solve(field, times, *args):
    """States of the solution at `times`, one column each."""
    solution = solve_ivp(field, (times[0], times[-1]), START, method="Tsit5", t_eval=times,
                         args=args, rtol=1e-6, atol=1e-8)
    return solution.y


data = solve(spiral, TIMES)

# %%
# The model
# ---------
# Two inputs, fifty tanh units, two outputs, fed with the cubes of the state. The parameters live
# in a plain dictionary; any container serves.


def network(t, y, weights):
    hidden = np.tanh(weights["W1"] @ y**3 + weights["b1"])
    return weights["W2"] @ hidden + weights["b2"]


def loss(weights):
    return np.sum((solve(network, TIMES, weights) - data) ** 2)


random = np.random.default_rng(2)
weights = {
    "W1": random.normal(size=(50, 2)) * np.sqrt(2 / 52),
    "b1": np.zeros(50),
    "W2": random.normal(size=(2, 50)) * np.sqrt(2 / 52),
    "b2": np.zeros(2),
}
untrained = weights

# %%
# The training
# ------------
# One call returns the loss and its gradient with respect to all 252 numbers: the solve and its
# discrete adjoint, compiled together once and then run in every round. The step size falls as the
# training goes on, so that it settles.

step = sciad.jit(sciad.value_and_grad(loss))
adam = Adam(lr=lambda count: 0.05 * 0.999**count)
state = adam.init(weights)
history = []
for _ in (bar := tqdm(range(3000), desc="training")):
    value, slope = step(weights)
    weights, state = adam.update(weights, slope, state)
    history.append(value)
    bar.set_postfix(loss=f"{value:.2e}", refresh=False)

print(f"loss: {history[0]:.3g} before training, {history[-1]:.3g} after {len(history)} rounds")

# %%
# What it learned
# ---------------
# Left, the loss. Right, the plane of the two states, with the network's field as streamlines.
# Along the data its solution covers the true one. Run on past them (dashed), it leaves the truth:
# there it has seen nothing.

figure, (left, plane) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained",
                                     width_ratios=(2, 3))
left.semilogy(history, color="C0", linewidth=1)
left.set(xlabel="round", ylabel="sum of squares", title="Loss")

edge = np.linspace(-2.3, 2.3, 41)
grid = np.array([[network(0.0, np.array([a, b]), weights) for a in edge] for b in edge])
plane.streamplot(edge, edge, grid[..., 0], grid[..., 1], color="0.8", linewidth=0.7,
                 arrowsize=0.7, density=1.3)
further = np.linspace(0.0, 4.0, 400)
fine = np.linspace(0.0, 1.5, 200)
plane.plot(*solve(spiral, further), color="0.3", linewidth=1, label="truth")
plane.plot(*solve(network, fine, untrained), color="C1", linewidth=1.5, label="before training")
plane.plot(*solve(network, fine, weights), color="C0", linewidth=2, label="after training")
plane.plot(*solve(network, further, weights), "--", color="C0", linewidth=1, label="on to t = 4")
plane.plot(*data, "o", color="k", markersize=4, label="data, t ≤ 1.5")
plane.set(xlabel="$y_1$", ylabel="$y_2$", title="Phase plane", aspect="equal",
          xlim=(-2.3, 2.3), ylim=(-2.3, 2.3))
figure.legend(loc="outside lower center", ncols=5, frameon=False)
