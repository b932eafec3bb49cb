"""
A network that reads: an LSTM on ten sonnets
============================================

Given the letters so far, which comes next? A recurrent network answers from a memory that it keeps
as it reads. Here is one from scratch, in plain NumPy and without a library of layers: the long
short-term memory of Hochreiter and Schmidhuber (1997), trained on ten of Shakespeare's sonnets, in
less than a minute on a laptop. It is much too small to write poetry, but it learns to spell.
"""

# %%
# The text
# --------
# Letters become numbers. The network sees no words, lines or rhymes, but for what it finds itself.

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import sciad
from sciad.optimize import Adam

here = Path(sys.argv[0]).parent
text = (here / "data/sonnets.txt").read_text().lower()
letters = sorted(set(text))
codes = np.array([letters.index(letter) for letter in text])
print(f"{len(text)} characters, {len(letters)} different ones")

# %%
# The network
# -----------
# The memory :math:`c` changes by three gates, numbers between 0 and 1: how much of a new candidate
# goes in, how much of the old content stays, how much is shown to the outside as :math:`h`.
#
# .. math::
#
#    c \leftarrow f \odot c + i \odot \tanh(\hat c), \qquad h \leftarrow o \odot \tanh(c)
#
# All four are linear in the letter and in the last :math:`h`, so one product makes them together.
# The parameters are a dictionary of arrays.

HIDDEN, LENGTH, BATCH, ROUNDS = 64, 32, 16, 1000


def sigmoid(x):
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def cell(weights, state, letter):
    """One step of the LSTM: the new (h, c)."""
    h, c = state
    mixed = weights["letter"][letter] + h @ weights["state"] + weights["bias"]
    into, stay, out = (sigmoid(mixed[..., k * HIDDEN:(k + 1) * HIDDEN]) for k in range(3))
    c = stay * c + into * np.tanh(mixed[..., 3 * HIDDEN:])
    return out * np.tanh(c), c


def surprise(weights, h, letter):
    """Minus the logarithm of the probability that the network gives to a letter."""
    scores = h @ weights["out"] + weights["out bias"]
    scores = scores - np.max(scores, axis=-1, keepdims=True)
    chosen = scores[np.arange(len(letter)), letter]
    return np.log(np.sum(np.exp(scores), axis=-1)) - chosen


def loss(weights, batch):
    """The mean surprise, in nats a letter; `batch` has one column a piece of text."""

    def step(state, pair):
        letter, following = pair
        state = cell(weights, state, letter)
        return state, surprise(weights, state[0], following)

    empty = np.zeros((batch.shape[1], HIDDEN))
    _, surprises = sciad.scan(step, (empty, empty), (batch[:-1], batch[1:]))
    return np.mean(surprises)


def random_weights(random):
    bias = np.zeros(4 * HIDDEN)
    bias[HIDDEN:2 * HIDDEN] = 1.0  # at first, the memory stays
    return {
        "letter": 0.5 * random.normal(size=(len(letters), 4 * HIDDEN)),
        "state": random.normal(size=(HIDDEN, 4 * HIDDEN)) / np.sqrt(HIDDEN),
        "bias": bias,
        "out": random.normal(size=(HIDDEN, len(letters))) / np.sqrt(HIDDEN),
        "out bias": np.zeros(len(letters)),
    }


# %%
# The training
# ------------
# Each round takes sixteen pieces of thirty-two letters. `sciad.scan` is the loop over the letters;
# compiled, forward and backward each become one loop of machine code. (With ``for`` in its place
# the program runs as well, eagerly; compiled, it would repeat the cell thirty-two times.)

random = np.random.default_rng(0)
weights = untrained = random_weights(random)
step = sciad.jit(sciad.value_and_grad(loss))
adam = Adam(lr=lambda count: 0.01 * 0.2 ** (count / ROUNDS))
state = adam.init(weights)

begun = time.perf_counter()
step(weights, np.zeros((LENGTH + 1, BATCH), codes.dtype))
compiled = time.perf_counter() - begun

history = []
begun = time.perf_counter()
for _ in (bar := tqdm(range(ROUNDS), desc="training")):
    starts = random.integers(0, len(codes) - LENGTH, size=BATCH)
    batch = codes[starts + np.arange(LENGTH + 1)[:, None]]
    value, slope = step(weights, batch)
    weights, state = adam.update(weights, slope, state)
    history.append(value)
    bar.set_postfix(loss=f"{value:.2f}", refresh=False)
took = time.perf_counter() - begun

entries = sum(array.size for array in weights.values())
print(f"{entries} weights; first call, with its compilation, {compiled:.1f} s; "
      f"{ROUNDS} rounds {took:.0f} s")

# %%
# What it writes
# --------------
# Letter by letter: draw one by the probabilities that the network gives, feed it back.


def write(weights, count, temperature=0.5):
    random = np.random.default_rng(5)
    memory = np.zeros(HIDDEN), np.zeros(HIDDEN)
    letter, written = letters.index("\n"), ""
    for _ in range(count):
        memory = cell(weights, memory, letter)
        scores = (memory[0] @ weights["out"] + weights["out bias"]) / temperature
        chances = np.exp(scores - scores.max())
        letter = random.choice(len(letters), p=chances / chances.sum())
        written += letters[letter]
    return written


print("--- before\n" + write(untrained, 120))
print("\n--- after\n" + write(weights, 420))

# %%
# How far back it looks
# ---------------------
# The gradient answers a question about the finished network too: how much would its surprise at a
# letter change if it had read another letter some places before? What is differentiated now is not
# the weights but the input: the rows of numbers by which the letters enter. Training made the last
# few letters, about the length of a word, count for more.



def reading(rows, weights, following):
    """Surprise at the end of a piece of text, of which the letters enter by their rows."""
    memory = np.zeros(HIDDEN), np.zeros(HIDDEN)
    for row in rows:
        memory = cell({**weights, "letter": row}, memory, ...)
    return surprise(weights, memory[0][None], following)[0]


by_input = sciad.grad(reading)


def influence(weights, pieces=40, length=30):
    norms = np.zeros(length)
    for start in np.random.default_rng(1).integers(0, len(codes) - length, size=pieces):
        rows = weights["letter"][codes[start:start + length]]
        slope = by_input(rows, weights, codes[start + length:start + length + 1])
        norms += np.linalg.norm(slope, axis=1)
    return norms[::-1] / norms.max()


smooth = np.convolve(history, np.ones(20) / 20, mode="valid")
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(history, color="C0", linewidth=0.5, alpha=0.4)
left.plot(np.arange(len(smooth)) + 10, smooth, color="C0")
shares = np.bincount(codes) / len(codes)
left.axhline(-np.sum(shares * np.log(shares)), color="0.5", linewidth=0.8, linestyle=":")
left.text(ROUNDS, -np.sum(shares * np.log(shares)), "who knows only how often letters occur",
          ha="right", va="bottom", fontsize=8, color="0.4")
left.set(xlabel="round", ylabel="nats a letter", title="Surprise", ylim=(0, None))
for name, these, color in (("before", untrained, "C1"), ("after training", weights, "C0")):
    right.semilogy(np.arange(1, 31), influence(these), "o-", color=color, markersize=3, label=name)
right.set(xlabel="letters ago", ylabel="gradient by the input, relative", title="Influence")
right.legend(frameon=False)
