"""
Colour matching: inks for a colour on the screen
================================================

A printer has cyan, magenta and yellow. Which share of the paper must each of them cover, so that
the print looks like a given colour of the screen? What "looks like" means was settled by
experiments with observers: the formula CIEDE2000. It is a page of square roots, angles and case
distinctions, written to be computed, and not with a derivative in mind. Here it is differentiated
as it stands.
"""

# %%
# From the screen to the eye
# --------------------------
# Screen colours (sRGB) are stored under a curve with two pieces. Undone, they mix linearly, and a
# matrix gives the three stimuli of the eye, XYZ. Another curve, again with two pieces, gives
# CIELAB: lightness :math:`L^*`, green to red :math:`a^*`, blue to yellow :math:`b^*`.

import matplotlib.pyplot as plt
import numpy as np

import sciad
from sciad.optimize import Adam

# IEC 61966-2-1, adapted to the D50 light of print by Bradford's transform (as in ICC profiles)
TO_XYZ = np.array([[0.4360747, 0.3850649, 0.1430804],
                   [0.2225045, 0.7168786, 0.0606169],
                   [0.0139322, 0.0971045, 0.7141733]])
WHITE = np.array([0.96422, 1.0, 0.82521])


def lab_from_srgb(srgb):
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return lab_from_xyz(TO_XYZ @ light)


def lab_from_xyz(xyz):
    ratio = xyz / WHITE
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def xyz_from_lab(lab):
    y = (lab[0] + 16) / 116
    root = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    return WHITE * np.where(root > 6 / 29, root**3, (116 * root - 16) * 27 / 24389)


def srgb_from_lab(lab):
    """For the swatches: what the screen cannot show is cut off."""
    light = np.clip(np.linalg.solve(TO_XYZ, xyz_from_lab(lab)), 0.0, 1.0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


# %%
# From the inks to the eye
# ------------------------
# Halftone dots of three inks leave eight kinds of spots: bare paper, one ink, two, three.
# If the dots lie independently, their shares are products (Demichel), and the light that comes
# back is the mean over the spots (Neugebauer), taken of :math:`n`-th roots, because light wanders
# sideways in the paper (Yule and Nielsen). The colours of the eight are about those of offset print
# on coated paper, ISO 12647-2.

SPOTS = {  # cyan, magenta, yellow: L*, a*, b*
    (0, 0, 0): (95, 0, -2), (1, 0, 0): (55, -37, -50), (0, 1, 0): (48, 74, -3),
    (0, 0, 1): (89, -5, 93), (0, 1, 1): (47, 68, 48), (1, 0, 1): (50, -65, 27),
    (1, 1, 0): (24, 22, -46), (1, 1, 1): (23, 0, 0),
}
N = 2.0
INKED = np.array(list(SPOTS))
ROOTS = np.array([xyz_from_lab(np.array(lab)) for lab in SPOTS.values()]) ** (1 / N)


def printed(share):
    """CIELAB of a print, from the shares that the inks cover."""
    spots = np.prod(np.where(INKED, share, 1.0 - share), axis=1)
    return lab_from_xyz((spots @ ROOTS) ** N)


# %%
# The difference of two colours
# -----------------------------
# CIEDE2000 in the notation of Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula:
# implementation notes, supplementary test data, and mathematical observations" (2005). About 1 is
# the least difference that the eye sees. Branches are branches: ordinary ``if``.


def hue(a, b):
    return np.degrees(np.arctan2(b, a)) % 360.0


def ciede2000_squared(lab1, lab2):
    L1, a1, b1 = lab1
    L2, a2, b2 = lab2
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    G = 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    a1, a2 = (1 + G) * a1, (1 + G) * a2
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = hue(a1, b1), hue(a2, b2)

    turn, h = h2 - h1, (h1 + h2) / 2  # hues are angles: take the short way round
    if turn > 180:
        turn, h = turn - 360, h - 180
    elif turn < -180:
        turn, h = turn + 360, h + 180

    L, C = (L1 + L2) / 2, (C1 + C2) / 2
    T = (1 - 0.17 * np.cos(np.radians(h - 30)) + 0.24 * np.cos(np.radians(2 * h))
         + 0.32 * np.cos(np.radians(3 * h + 6)) - 0.20 * np.cos(np.radians(4 * h - 63)))
    lightness = (L2 - L1) / (1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2))
    chroma = (C2 - C1) / (1 + 0.045 * C)
    tint = 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * C * T)
    bend = 60 * np.exp(-(((h % 360 - 275) / 25) ** 2))
    twist = -np.sin(np.radians(bend)) * 2 * np.sqrt(C**7 / (C**7 + 25.0**7))
    return lightness**2 + chroma**2 + tint**2 + twist * chroma * tint


# %%
# Four pairs of the paper's table, of which two need the turn:

pairs = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]
for first, second, published in pairs:
    mine = np.sqrt(ciede2000_squared(np.array(first), np.array(second)))
    print(f"{mine:.4f}, published {published:.4f}")

# %%
# The search
# ----------
# Coverage lies between 0 and 1, so each is the squared sine of a free number. Adam starts with all
# three inks at one half, once for every target; `sciad.jit` compiles the gradient once.
# The square of the difference is minimised: at a perfect match the difference itself has a
# corner, its square none.

targets = {
    "moss": (0.42, 0.52, 0.22), "brick": (0.70, 0.28, 0.20), "sky": (0.47, 0.68, 0.87),
    "sand": (0.87, 0.77, 0.58), "plum": (0.42, 0.22, 0.40), "neon green": (0.1, 1.0, 0.1),
}


def cover(free):
    return np.sin(free) ** 2


def loss(free, target):
    return ciede2000_squared(printed(cover(free)), lab_from_srgb(target))


step = sciad.jit(sciad.value_and_grad(loss))
adam = Adam(lr=0.1)


def match(target, rounds=200):
    free = np.full(3, np.pi / 4)
    state = adam.init(free)
    path, differences = [], []
    for _ in range(rounds):
        value, slope = step(free, target)
        path.append(cover(free))
        differences.append(np.sqrt(value))
        free, state = adam.update(free, slope, state)
    return np.array(path), differences


found = {name: match(np.array(target)) for name, target in targets.items()}
print("target       cyan  magenta  yellow   CIEDE2000")
for name, (path, differences) in found.items():
    cyan, magenta, yellow = 100 * path[-1]
    print(f"{name:11} {cyan:4.0f} % {magenta:5.0f} % {yellow:6.0f} % {differences[-1]:9.2f}")
print(step.report())

# %%
# Is the derivative right, through all the roots and angles? `sciad.check_grads` compares it with
# differences, in both modes and to the second order, and raises where one is off:

for target in targets.values():
    sciad.check_grads(loss, (np.array([0.5, 0.9, 0.7]), np.array(target)))
print(f"derivatives agree with differences for {len(targets)} colours")

# %%
# The strips show the way from equal inks to the match. Four colours of the six end far below the
# dotted line, where no eye sees a difference. The sky ends without yellow and would want still
# less: it lies a little beyond what these inks can print. The neon green of a screen lies far
# beyond: the search ends at the colour that comes nearest, half of cyan and much yellow, with no
# magenta.

shown = [0, 3, 6, 12, 25, 50, 100, 199]
figure, (strips, curves) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained",
                                        width_ratios=(3, 2))
image = np.array([[*(srgb_from_lab(printed(path[k])) for k in shown), target, target]
                  for (path, _), target in zip(found.values(), targets.values(), strict=True)])
strips.imshow(image, aspect="auto")
strips.set_xticks([*range(len(shown)), 8.5], [*map(str, shown), "target"])
strips.set_yticks(range(len(targets)), targets)
strips.set(xlabel="round", title="Prints on the way")
strips.axvline(len(shown) - 0.5, color="w", linewidth=3)
strips.tick_params(length=0)
for edge in range(1, len(targets)):
    strips.axhline(edge - 0.5, color="w", linewidth=3)
lines = ["-", "--", "-", "-", "-.", "--"]
for (name, (_, differences)), line in zip(found.items(), lines, strict=True):
    curves.semilogy(differences, line, color=targets[name], linewidth=1.8, label=name)
curves.axhline(1.0, color="0.3", linewidth=1, linestyle=":")
curves.set(xlabel="round", ylabel="CIEDE2000", title="Difference to the target", ylim=(1e-3, 100))
curves.legend(fontsize=8, ncols=2)
