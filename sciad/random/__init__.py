"""Random draws that differentiate by the parameters of their distribution.

The first argument is the source: a NumPy Generator, which moves on with each draw, or a key, which
gives the same numbers each time, eagerly, compiled and mapped. One key serves one draw; `split` and
`fold_in` make the next ones.

Examples
--------
>>> import numpy as np
>>> import sciad
>>> key = sciad.random.key(0)
>>> @sciad.jit
... def loss(mu, key):
...     return np.mean((sciad.random.normal(key, mu, 1.0, shape=1000) - 2.0) ** 2)
>>> slope = sciad.jit(sciad.grad(loss))(0.0, key)
>>> print(f"{slope:.0f}")
-4
"""

from sciad.random.continuous import exponential, gumbel, multivariate_normal, normal, uniform
from sciad.random.discrete import (
    bernoulli,
    categorical,
    choice,
    integers,
    permutation,
    relaxed_categorical,
)
from sciad.random.gamma import beta, gamma
from sciad.random.keys import Key, fold_in, key, split

__all__ = [
    "Key", "bernoulli", "beta", "categorical", "choice", "exponential", "fold_in", "gamma",
    "gumbel", "integers", "key", "multivariate_normal", "normal", "permutation",
    "relaxed_categorical", "split", "uniform",
]
