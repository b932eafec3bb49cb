"""A perceptron with one hidden layer on a batch of 128 images: loss and gradient."""

import numpy as np

from benchmarks.baselines import torch_eager
from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

INPUTS, HIDDEN, CLASSES, BATCH = 784, 256, 10, 128


def start():
    """Weights, images and the class of each image."""
    generator = np.random.default_rng(5)
    weights = [
        generator.normal(size=(INPUTS, HIDDEN)) / np.sqrt(INPUTS), np.zeros(HIDDEN),
        generator.normal(size=(HIDDEN, CLASSES)) / np.sqrt(HIDDEN), np.zeros(CLASSES),
    ]
    labels = np.eye(CLASSES)[generator.integers(CLASSES, size=BATCH)]
    return weights, generator.random((BATCH, INPUTS)), labels


def loss(weights, x, labels, np=np):
    """The mean cross-entropy of the softmax."""
    w1, b1, w2, b2 = weights
    logits = np.tanh(x @ w1 + b1) @ w2 + b2
    logits = logits - np.max(logits, axis=1, keepdims=True)
    normaliser = np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    return -np.sum(labels * (logits - normaliser)) / BATCH


def sciad_run():
    import sciad

    gradient = sciad.jit(sciad.value_and_grad(loss))
    args = start()
    return repeated(lambda: gradient(*args))


def jax_run():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    gradient = jax.jit(jax.value_and_grad(lambda *args: loss(*args, np=jnp)))
    args = jax.tree.map(jnp.asarray, start())
    return repeated(lambda: jax.block_until_ready(gradient(*args)))


def torch_run():
    weights, x, labels = start()

    def flat(np, *args):
        return loss(args[:4], *args[4:], np=np)

    return torch_eager.gradient_run(flat, (*weights, x, labels), range(4), value=True)


def measure():
    return contest({"jax": jax_run, "sciad": sciad_run, "torch": torch_run}, rtol=1e-9)


LABEL = "perceptron 784-256-10, batch 128: loss and gradient"


CASES = {
    "mlp": Case(measure, (Claim(LABEL, peer="jax", ratio=1.0), Claim(LABEL, peer="torch"))),
}
