"""
A differentiable ray tracer: where was the lamp?
================================================

A ray tracer turns a scene into an image. It is a program of ordinary Python: classes for spheres
and triangles, a loop over the things that a ray may meet, NumPy for the pixels. Given a photograph,
one would like to run it backwards: which scene made this image? Here the position of the lamp is
found from a picture, by following the gradient of the pixels. The example is one of the paper `A
Differentiable Programming System to Bridge Machine Learning and Scientific Computing
<https://arxiv.org/abs/1907.07587>`_.
"""

# %%
# The scene
# ---------
# Two kinds of surface. Each says how far along a ray it is met (infinity for a miss), and what its
# normal is there. Rays are rows: ``origin`` and ``direction`` have the shape (rays, 3).

import time
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import sciad
from sciad.optimize import Adam


def dot(a, b):
    return np.sum(a * b, axis=-1, keepdims=True)


def unit(a):
    return a / np.sqrt(dot(a, a))


@dataclass
class Sphere:
    center: np.ndarray
    radius: float
    color: np.ndarray

    def distance(self, origin, direction):
        """The root of |origin + t direction - center| = radius nearest to the ray's start."""
        offset = origin - self.center
        half = dot(offset, direction)
        discriminant = half**2 - dot(offset, offset) + self.radius**2
        root = np.sqrt(np.where(discriminant > 0, discriminant, 1.0))
        t = np.where(-half - root > 1e-6, -half - root, -half + root)
        return np.where((discriminant > 0) & (t > 1e-6), t, np.inf)

    def normal(self, point):
        return (point - self.center) / self.radius


@dataclass
class Triangle:
    corners: np.ndarray
    color: np.ndarray

    def distance(self, origin, direction):
        """Möller and Trumbore, "Fast, minimum storage ray/triangle intersection" (1997)."""
        first, second = self.corners[1] - self.corners[0], self.corners[2] - self.corners[0]
        across = np.cross(direction, second)
        determinant = dot(first, across)
        safe = np.where(np.abs(determinant) > 1e-9, determinant, 1.0)
        offset = origin - self.corners[0]
        u = dot(offset, across) / safe
        turned = np.cross(offset, first)
        v = dot(direction, turned) / safe
        t = dot(second, turned) / safe
        inside = (np.abs(determinant) > 1e-9) & (u > 0) & (v > 0) & (u + v < 1) & (t > 1e-6)
        return np.where(inside, t, np.inf)

    def normal(self, point):
        first, second = self.corners[1] - self.corners[0], self.corners[2] - self.corners[0]
        return unit(np.cross(first, second))


scene = [
    Sphere(np.array([-0.9, 0.0, 0.7]), 0.7, np.array([0.85, 0.35, 0.25])),
    Sphere(np.array([0.8, -0.5, 0.45]), 0.45, np.array([0.25, 0.5, 0.85])),
    Triangle(np.array([[-0.2, 1.6, 0.0], [1.9, 0.7, 0.0], [0.9, 1.3, 1.9]]),
             np.array([0.4, 0.7, 0.4])),
    Triangle(np.array([[-4e3, -50.0, 0.0], [4e3, -50.0, 0.0], [0.0, 5e3, 0.0]]),
             np.array([0.75, 0.75, 0.7])),  # the floor
]

# %%
# The camera, and what light does
# -------------------------------
# The nearest thing along each ray gives the pixel its colour: Lambert's law for matt surfaces,
# Phong's highlight, and darkness where something stands between the point and the lamp.

WIDTH, HEIGHT = 168, 112
EYE = np.array([0.3, -5.0, 1.9])


def camera():
    """Unit directions of the rays through the pixels, row by row."""
    forward = unit(np.array([0.0, 0.1, 0.55]) - EYE)
    right = unit(np.cross(forward, np.array([0.0, 0.0, 1.0])))
    up = np.cross(right, forward)
    y, x = np.mgrid[0.33:-0.33:HEIGHT * 1j, -0.5:0.5:WIDTH * 1j]
    return unit(forward + x.reshape(-1, 1) * right + y.reshape(-1, 1) * up)


def visibility(point, lamp, scene):
    """1 where the lamp is seen from the point, 0 in the shadow."""
    way = lamp - point
    far = np.sqrt(dot(way, way))
    lit = 1.0
    for thing in scene:
        lit = np.where(thing.distance(point, way / far) < far, 0.0, lit)
    return lit


def render(lamp, scene):
    """The image as rows of pixels with three colours."""
    direction = camera()
    depth, color, normal = np.inf, np.zeros(3), np.array([0.0, 0.0, 1.0])
    for thing in scene:
        distance = thing.distance(EYE, direction)
        nearer = distance < depth
        depth = np.where(nearer, distance, depth)
        point = EYE + np.where(nearer, distance, 0.0) * direction
        color = np.where(nearer, thing.color, color)
        normal = np.where(nearer, thing.normal(point), normal)
    hit = np.isfinite(depth)
    point = EYE + np.where(hit, depth, 0.0) * direction + 1e-4 * normal

    way = lamp - point
    toward = unit(way)
    lambert = np.maximum(dot(normal, toward), 0.0)
    mirrored = 2.0 * dot(normal, toward) * normal - toward
    shine = np.maximum(dot(mirrored, -direction), 0.0) ** 20
    light = 14.0 / (1.0 + dot(way, way))
    image = 0.12 * color + visibility(point, lamp, scene) * light * (color * lambert + 0.3 * shine)
    return np.where(hit, image, np.array([0.55, 0.65, 0.8])).reshape(HEIGHT, WIDTH, 3)


# %%
# The picture that is given, and a first guess of where its lamp was. (Screens want the square root
# of the light, about.)

TRUTH, GUESS = np.array([1.6, -2.2, 3.2]), np.array([-2.5, -3.0, 2.0])
target = render(TRUTH, scene)


def show(ax, image, title):
    ax.imshow(np.sqrt(np.clip(image, 0.0, 1.0)))
    ax.set(title=title, xticks=[], yticks=[])


figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
show(axes[0], target, "The target: lamp at ({}, {}, {})".format(*TRUTH))
show(axes[1], render(GUESS, scene), "The guess: lamp at ({}, {}, {})".format(*GUESS))

# %%
# Downhill
# --------
# The loss is the mean square of what the pixels differ by. `sciad.jit` compiles the loss and its
# gradient; the scene, which the function finds among its globals, is read at each call. A look at
# the difference quotients first:


def loss(lamp):
    return np.mean((render(lamp, scene) - target) ** 2)


step = sciad.jit(sciad.value_and_grad(loss))
begun = time.perf_counter()
_, slope = step(GUESS)
compiled = time.perf_counter() - begun
print(f"first call, with its compilation: {compiled:.1f} s")

quotients = [(loss(GUESS + move) - loss(GUESS - move)) / 2e-6 for move in 1e-6 * np.eye(3)]
print("gradient   ", slope)
print("differences", np.array(quotients))

# %%
# Three hundred steps of Adam:

adam = Adam(lr=lambda count: 0.1 * 0.99**count)
lamp, state = GUESS, adam.init(GUESS)
lamps, losses = [GUESS], []
begun = time.perf_counter()
for _ in range(300):
    value, slope = step(lamp)
    lamp, state = adam.update(lamp, slope, state)
    lamps.append(lamp)
    losses.append(value)
took = time.perf_counter() - begun

lamps = np.array(lamps)
print(f"300 steps: {took:.1f} s, {took / 300 * 1e3:.1f} ms for an image and its gradient")
print("the lamp was at", TRUTH, "and is found at", np.round(lamp, 4))

# %%
figure, axes = plt.subplots(2, 3, figsize=(10, 4.9), layout="constrained")
for ax, k in zip(axes.flat, (0, 15, 30, 45, 300), strict=False):
    show(ax, render(lamps[k], scene), f"Step {k}" if k else "The guess")
show(axes[1, 2], target, "The target")

# %%
# The stairs in the loss are edges of shadows that fall into place, pixel by pixel.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.semilogy(losses, color="C0")
left.set(xlabel="step", ylabel="mean square of the difference", title="Loss")
for k, (name, color) in enumerate({"x": "C0", "y": "C1", "z": "0.2"}.items()):
    right.plot(lamps[:, k], color=color)
    right.axhline(TRUTH[k], color=color, linewidth=0.8, linestyle=":")
    right.text(302, TRUTH[k] + 0.1, f"${name}$", color=color, ha="right", va="bottom")
right.set(xlabel="step", ylabel="metres", title="Position of the lamp (dotted: the truth)")

# %%
# What a shadow's edge means
# --------------------------
# ``visibility`` jumps from 1 to 0. Where it is constant its derivative is zero, and that is what
# sciad returns, as any program that differentiates what ran; at the edge of a shadow there is none.
# So the gradient knows that a pixel in the light would become brighter or darker, but not that the
# edge would pass over it. The picture shows it: on the left the derivative of every pixel by the
# lamp's :math:`x`, in one forward pass (`sciad.jvp`); in the middle, differences over a move
# of 10 cm. They agree but for the edges of shadows.

sideways = np.array([1.0, 0.0, 0.0])
_, derivative = sciad.jvp(lambda lamp: render(lamp, scene), (TRUTH,), (sideways,))
after, before = (render(TRUTH + move * sideways, scene) for move in (0.05, -0.05))
quotient = (after - before) / 0.1

figure, axes = plt.subplots(1, 3, figsize=(10, 2.2), layout="constrained")
pictures = {"Derivative": derivative, "Differences": quotient,
            "What the derivative misses": quotient - derivative}
for ax, (title, image) in zip(axes, pictures.items(), strict=True):
    drawn = ax.imshow(image.mean(axis=2), cmap="RdBu_r", vmin=-0.3, vmax=0.3)
    ax.set(title=title, xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, shrink=0.9, label="light a metre")

missed = np.abs(quotient - derivative).max(axis=2) > 0.05
print(f"the two differ by more than 0.05 in {missed.sum()} of {missed.size} pixels")

# %%
# Here the shading alone leads to the lamp. A scene in which only shadows tell where the light
# stands would need a lamp with an extent, whose penumbra is smooth, or rules for the edges
# themselves.
#
# The scene is differentiable too
# -------------------------------
# A dataclass of numbers and arrays is a container like a dictionary or a list, so the scene can be
# the argument as well. Its gradient is again a list of spheres and triangles: how the loss changes
# with each of their fields.


def loss_of(scene):
    return np.mean((render(GUESS, scene) - target) ** 2)


red, blue, *_ = sciad.grad(loss_of)(scene)
print(f"red sphere:  center {np.round(red.center, 4)}, radius {red.radius:.4f}, "
      f"color {np.round(red.color, 4)}")
print(f"blue sphere: center {np.round(blue.center, 4)}, radius {blue.radius:.4f}, "
      f"color {np.round(blue.color, 4)}")
