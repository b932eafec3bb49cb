"""Right-hand sides that the tests of solve_ivp share."""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """``fun(t, y, *args)`` over `span` from `y0`."""

    name: str
    fun: object
    span: tuple
    y0: np.ndarray
    args: tuple = ()


def lotka_volterra(t, y, p):
    alpha, beta, gamma, delta = p
    hare, lynx = y
    return np.array([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])


def forced_decay(t, y, rate, size):
    return -rate * y + size * np.sin(3.0 * t)


def lorenz_96(t, y, force):
    return (np.roll(y, -1) - np.roll(y, 2)) * np.roll(y, 1) - y + force


def pendulums(t, y, p):
    """Two coupled pendulums; y holds angles and speeds, p is nested."""
    angle, speed = y[:2], y[2:4]
    pull = p["stiffness"] * (angle[::-1] - angle)
    return np.concatenate([speed, -p["gravity"][0] * np.sin(angle) + pull - t * 0.1 * speed, y[:1]])


def network(t, y, w):
    return w["w2"] @ np.tanh(w["w1"] @ y**3 + w["b1"]) + w["b2"]


def weights(hidden=5, seed=0):
    rng = np.random.default_rng(seed)
    return {"w1": rng.normal(size=(hidden, 2)) / 2, "b1": rng.normal(size=hidden) / 5,
            "w2": rng.normal(size=(2, hidden)) / 3, "b2": rng.normal(size=2) / 5}


RATES = np.array([1.1, 0.4, 0.4, 0.1])
PREY = np.array([10.0, 5.0])

PROBLEMS = [
    Problem("forced decay", forced_decay, (0.5, 3.0), np.array([1.5]), (0.7, 1.2)),
    Problem("Lotka-Volterra", lotka_volterra, (0.0, 6.0), PREY, (RATES,)),
    Problem("backwards", lotka_volterra, (4.0, 1.0), np.array([3.0, 2.0]), (RATES,)),
    Problem("pendulums", pendulums, (0.0, 3.0), np.array([0.3, -1.0, 0.1, 0.5, 0.0]),
            ({"stiffness": 0.8, "gravity": [9.81, {}]},)),
    Problem("network", network, (0.0, 1.0), np.array([1.2, -0.3]), (weights(),)),
    Problem("Lorenz 96", lorenz_96, (0.0, 0.8),
            8.0 + np.random.default_rng(3).normal(size=30), (8.0,)),
]
NAMES = [problem.name for problem in PROBLEMS]
METHODS = ["RK45", "Tsit5"]
