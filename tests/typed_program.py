"""A user's program with types: mypy reads it, with the package's own annotations."""

from collections.abc import Callable
from typing import Any

import numpy as np

import sciad

Params = dict[str, np.ndarray]


def model(p: Params, x: np.ndarray) -> np.ndarray:
    return np.tanh(x @ p["w"]) + p["b"]


def loss(p: Params, x: np.ndarray, y: np.ndarray) -> np.floating:
    return np.sum((model(p, x) - y) ** 2)


step: Callable[..., Any] = sciad.jit(sciad.value_and_grad(loss))
value, slope = step({"w": np.ones((2, 1)), "b": np.zeros(1)}, np.ones((3, 2)), np.ones((3, 1)))
out, pullback = sciad.vjp(np.sin, 1.0)
_, tangent = sciad.jvp(np.sin, (1.0,), (1.0,))


@sciad.custom_rule
def cube(x: float) -> float:
    return x**3


@cube.vjp
def cube_pulled(x: float) -> tuple[float, Callable[[float], float]]:
    return cube(x), lambda g: 3 * x**2 * g


def followed(x: sciad.Array) -> sciad.Array:
    y = 2.0 * x[1:] + x[:-1] ** 2
    y[0] = -x[0]
    return abs(y).sum() / x.shape[0]


def mapped(x: np.ndarray) -> Any:
    return sciad.vmap(followed)(x) if x.size > 3 else sciad.cond(x[0] > 0, np.sin, np.cos, x)


with sciad.debug_nans():
    vector, unravel = sciad.ravel({"a": 1.0})
