"""
A network that reads: an LSTM on ten sonnets
============================================

Given the letters so far, which comes next? A recurrent network answers from a memory that it keeps
as it reads. Here is one from scratch, in plain NumPy and without a library of layers: the long
short-term memory of Hochreiter and Schmidhuber (1997), trained on Shakespeare's sonnets in less
than a minute. Network and text are much too small for poetry, but it learns to spell.
"""

# %%
# The text
# --------
# Letters become numbers. The network sees no words, lines or rhymes, but for what it finds itself.
# It reads nine sonnets. The tenth, "Shall I compare thee to a summer's day?", is kept back, to tell
# what is learnt from what is only learnt by heart.

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
tenth = text.rindex("\n\n") + 2
codes, unseen = codes[:tenth], codes[tenth:]
print(f"{len(codes)} characters to read, {len(unseen)} kept back, {len(letters)} different ones")

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

HIDDEN, LENGTH, BATCH, ROUNDS = 64, 32, 16, 600


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
# Each round takes sixteen pieces of thirty-two letters. `sciad.scan` is the loop over the letters.
# What is compiled: the loss and its gradient, in which forward and backward each become one loop of
# machine code. What is not: the update of the weights, and later the writing, which are plain
# NumPy. (With ``for`` in place of `sciad.scan` the program runs as well, eagerly. Compiled, it has
# the cell thirty-two times over in its machine code, and takes far longer to compile.)

random = np.random.default_rng(0)
weights = untrained = random_weights(random)
print(sum(array.size for array in weights.values()), "weights")


def pieces(codes, starts):
    return codes[starts + np.arange(LENGTH + 1)[:, None]]


step = sciad.jit(sciad.value_and_grad(loss))
batch = pieces(codes, np.arange(BATCH) * LENGTH)
begun = time.perf_counter()
_, slope = step(weights, batch)
print(f"first call, with its compilation: {time.perf_counter() - begun:.1f} s")
print(step.report())

# %%
# Before it is trusted, the gradient is compared with the one without compilation, and that, in a
# random direction of all weights, with a difference quotient.

_, eager = sciad.value_and_grad(loss)(weights, batch)
for name in weights:
    print(f"{name:8} largest entry {np.abs(eager[name]).max():.1e}, "
          f"compiled differs by {np.abs(slope[name] - eager[name]).max():.1e}")
sciad.check_grads(lambda weights: loss(weights, batch), (weights,), order=1)
print("agrees with differences")

# %%
# Now the rounds, with the sonnet that was kept back as a test every now and then.

adam = Adam(lr=lambda count: 0.01 * 0.2 ** (count / ROUNDS))
state = adam.init(weights)
test = pieces(unseen, np.linspace(0, len(unseen) - LENGTH - 1, BATCH).astype(int))
test_loss = sciad.jit(loss)

history, tests = [], {}
begun = time.perf_counter()
for count in (bar := tqdm(range(ROUNDS), desc="training")):
    if count % 20 == 0:
        tests[count] = test_loss(weights, test)
    starts = random.integers(0, len(codes) - LENGTH, size=BATCH)
    value, slope = step(weights, pieces(codes, starts))
    weights, state = adam.update(weights, slope, state)
    history.append(value)
    bar.set_postfix(loss=f"{value:.2f}", refresh=False)
print(f"{ROUNDS} rounds: {time.perf_counter() - begun:.0f} s")

# %%
# The surprise at the sonnets that it reads falls on; the surprise at the one it does not read stops
# falling, and in the end rises. From there on the network learns by heart. The cure would be more
# text.

shares = np.bincount(codes) / len(codes)
shares = shares[shares > 0]
chance = -np.sum(shares * np.log(shares))
smooth = np.convolve(history, np.ones(20) / 20, mode="valid")

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(history, color="C0", linewidth=0.5, alpha=0.4)
ax.plot(np.arange(len(smooth)) + 10, smooth, color="C0", label="nine sonnets, read")
ax.plot(list(tests), list(tests.values()), "o-", color="C1", markersize=3,
        label="the tenth, unread")
ax.axhline(chance, color="0.3", linewidth=1, linestyle=":")
ax.text(ROUNDS, chance, "knowing only how often each letter occurs", ha="right", va="bottom",
        fontsize=8, color="0.3")
ax.set(xlabel="round", ylabel="nats a letter", title="Surprise", ylim=(0, None))
ax.legend(frameon=False, loc="lower left")

# %%
# What it writes
# --------------
# Letter by letter: draw one by the probabilities that the network gives, feed it back. They are
# squared before (a temperature of one half), which makes the likely letters likelier.


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
# the weights but the input: the rows of numbers by which the letters enter. Measured against the
# very last letter, training has made the ones of the last few words count for more.


def reading(rows, weights, following):
    """Surprise at the end of a piece of text, of which the letters enter by their rows."""
    memory = np.zeros(HIDDEN), np.zeros(HIDDEN)
    for row in rows:
        memory = cell({**weights, "letter": row}, memory, ...)
    return surprise(weights, memory[0][None], following)[0]


by_input = sciad.grad(reading)


def influence(weights, count=40, length=30):
    """Mean gradient by the letter 1, 2, 3... places before, as a share of the first."""
    norms = np.zeros(length)
    for start in np.random.default_rng(1).integers(0, len(codes) - length, size=count):
        rows = weights["letter"][codes[start:start + length]]
        slope = by_input(rows, weights, codes[start + length:start + length + 1])
        norms += np.linalg.norm(slope, axis=1)
    return norms[::-1] / norms[-1]


figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, these, line in (("before training", untrained, "s--C1"), ("after", weights, "o-C0")):
    ax.semilogy(np.arange(1, 31), influence(these), line, markersize=4, label=name)
ax.set(xlabel="letters ago", ylabel="gradient by the input, relative", title="Influence")
ax.legend(frameon=False)
