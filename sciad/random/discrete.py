"""Discrete draws: integers, which have no derivative, and a relaxation that has one.

With independent Gumbel draws g, argmax(logits + g) is k with probability softmax(logits)[k]. A draw
jumps between integers, so its derivative by the logits is 0 wherever it exists, and says nothing of
the expectation. The relaxation softmax((logits + g) / temperature) tends to the one-hot vector of
the draw as the temperature falls, and differentiates: Jang, Gu and Poole, "Categorical
reparameterization with Gumbel-softmax"; Maddison, Mnih and Teh, "The concrete distribution" (both
ICLR 2017).
"""

import operator
from typing import Any

import numpy as np

from sciad.core.array import Array
from sciad.core.errors import ArgumentError, DTypeError, SciadError, at_line
from sciad.core.transforms import stop_gradient
from sciad.ops.elementwise import (
    absolute,
    astype,
    equal,
    exp,
    floor,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    logical_and,
    minimum,
    where,
)
from sciad.ops.indexing import read
from sciad.ops.operators import pack_plain
from sciad.ops.reduce import argmax, max_, sum_
from sciad.ops.shape import broadcast_to, expand_dims, reshape, transpose
from sciad.ops.sorting import argsort
from sciad.random.keys import whole
from sciad.random.source import (
    Rows,
    Source,
    exponentials,
    like,
    parameters,
    require,
    require_positive,
    require_source,
    shape_for,
    uniforms,
)


def categorical(source: Source, logits: Any, shape: Any = None, axis: int = -1) -> Any:
    """Integers k with probability ``softmax(logits)[k]``; the derivative is 0.

    Parameters
    ----------
    source : numpy.random.Generator or Key
    logits : array_like
        Logarithms of the probabilities, up to a constant; -inf excludes an entry.
    shape : int or tuple of int, optional
        By default that of `logits` without `axis`, to which it must broadcast.
    axis : int
        The axis of `logits` that counts the categories.

    See Also
    --------
    relaxed_categorical : the relaxation that differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> k = sciad.random.categorical(sciad.random.key(0), np.log([0.2, 0.8]), shape=10_000)
    >>> print(f"{np.mean(k):.1f}")
    0.8
    """
    require_source(source, "categorical")
    (logits,) = parameters("categorical", stop_gradient(pack_plain(logits)))
    perturbed = _perturbed(source, "categorical", logits, shape, axis)
    return argmax(perturbed, -1)


def relaxed_categorical(source: Source, logits: Any, temperature: Any = 1.0, shape: Any = None,
                        straight_through: bool = False) -> Any:
    """Draws of the Gumbel-softmax distribution: near one-hot vectors that differentiate.

    Parameters
    ----------
    source : numpy.random.Generator or Key
    logits : array_like
        The last axis counts the categories.
    temperature : array_like
        Positive; lower draws are nearer to one-hot, and their derivatives vary more.
    shape : int or tuple of int, optional
        Of the draws without the last axis.
    straight_through : bool
        Whether the value is the one-hot vector itself, with the derivative of the relaxed draw (a
        biased estimate, which this option asks for).

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> x = sciad.random.relaxed_categorical(sciad.random.key(0), np.log([0.2, 0.8]), 0.5)
    >>> print(x.shape, float(np.sum(x)))
    (2,) 1.0
    """
    require_source(source, "relaxed_categorical")
    logits, temperature = parameters("relaxed_categorical", logits, temperature)
    temperature = require_positive(temperature, "relaxed_categorical", "the temperature")
    perturbed = _perturbed(source, "relaxed_categorical", logits, shape, -1)
    if temperature.shape:
        temperature = expand_dims(temperature, -1)
    powers = exp((perturbed - stop_gradient(max_(perturbed, -1, keepdims=True))) / temperature)
    soft = powers / sum_(powers, -1, keepdims=True)
    if not straight_through:
        return soft
    places = np.arange(soft.shape[-1])
    hard = like(equal(expand_dims(argmax(stop_gradient(soft), -1), -1), places), soft)
    return soft + stop_gradient(hard - soft)


def _perturbed(source, name, logits, shape, axis):
    """Logits plus Gumbel draws; the categories along the last axis."""
    if not logits.shape:
        raise ArgumentError(f"{name}: logits need an axis of categories, got a number{at_line()}")
    if not -len(logits.shape) <= axis < len(logits.shape):
        raise ArgumentError(f"{name}: axis={axis} is out of range for logits of shape "
                            f"{logits.shape}{at_line()}")
    order = list(range(len(logits.shape)))
    order.append(order.pop(axis))
    logits = transpose(logits, order) if order != sorted(order) else logits
    count = logits.shape[-1]
    if not count:
        raise ArgumentError(f"{name}: logits of shape {logits.shape} have no category{at_line()}")
    rows = shape_for(name, shape, Rows(logits.shape[:-1]))
    draws = -log(exponentials(source, (*rows, count)))
    return broadcast_to(logits, (*rows, count)) + like(draws, logits)


def bernoulli(source: Source, p: Any = 0.5, shape: Any = None) -> Any:
    """Truth values that hold with probability `p`; the derivative is 0.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> print(f"{np.mean(sciad.random.bernoulli(sciad.random.key(0), 0.3, shape=10_000)):.1f}")
    0.3
    """
    require_source(source, "bernoulli")
    (p,) = parameters("bernoulli", stop_gradient(pack_plain(p)))
    shape = shape_for("bernoulli", shape, p)
    p = require(p, logical_and(greater_equal(p, 0.0), less_equal(p, 1.0)),
                "bernoulli: p must lie in [0, 1]")
    return less(uniforms(source, shape), p)


def integers(source: Source, low: int, high: int | None = None, shape: Any = ()) -> Any:
    """Integers ``low <= k < high`` of equal probability; of one bound, from 0 up to it.

    Examples
    --------
    >>> import sciad
    >>> 1 <= sciad.random.integers(sciad.random.key(0), 1, 7) <= 6
    np.True_
    """
    require_source(source, "integers")
    low, high = (0, low) if high is None else (low, high)
    try:
        low, high = operator.index(low), operator.index(high)
    except SciadError:
        raise
    except TypeError:
        raise DTypeError(f"integers: low={low!r} and high={high!r} must be ints{at_line()}"
                         ) from None
    if not 0 < high - low <= 2**32:
        raise ArgumentError(f"integers: {low} <= k < {high} is empty or wider than 2**32"
                            f"{at_line()}")
    shape = shape_for("integers", shape)
    places = floor(uniforms(source, shape) * float(high - low))
    return astype(minimum(places, float(high - low - 1)), dtype=np.dtype(np.int64)) + low


def permutation(source: Source, x: Any) -> Any:
    """The integers below `x`, or the rows of an array `x`, in random order.

    The rows keep their derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> sorted(sciad.random.permutation(sciad.random.key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    require_source(source, "permutation")
    rows = x if isinstance(x, Array) else pack_plain(x)
    count = rows.shape[0] if rows.shape else whole(
        "permutation", f"x={x!r}", x, "an int or an array")
    order = argsort(uniforms(source, (count,)))
    return read(rows, order) if rows.shape else order


def choice(source: Source, a: Any, shape: Any = (), replace: bool = True, p: Any = None) -> Any:
    """Draws from the integers below `a`, or from the rows of an array `a`.

    The rows keep their derivatives; the probabilities have none (which row it is jumps).

    Parameters
    ----------
    source : numpy.random.Generator or Key
    a : int or array_like
    shape : int or tuple of int
    replace : bool
        Whether a row may be drawn more than once.
    p : array_like, optional
        Probabilities, which sum to 1; equal ones by default.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> k = sciad.random.choice(sciad.random.key(0), 3, 10_000, p=[0.5, 0.0, 0.5])
    >>> np.unique(k)
    array([0, 2])
    """
    require_source(source, "choice")
    rows = a if isinstance(a, Array) else pack_plain(a)
    count = rows.shape[0] if rows.shape else whole(
        "choice", f"a={a!r}", a, "an int or an array")
    shape = shape_for("choice", shape)
    size = int(np.prod(shape, dtype=int))
    if not count or not replace and size > count:
        raise ArgumentError(f"choice: {size} draws from {count} rows{at_line()}")
    if p is None:
        places = (reshape(argsort(uniforms(source, (count,)))[:size], shape) if not replace
                  else integers(source, count, shape=shape))
    else:
        places = _weighted(source, p, count, shape, size, replace)
    return read(rows, places) if rows.shape else places


def _weighted(source, p, count, shape, size, replace):
    """Places by probability: the largest of log p + Gumbel draws (of several without repetition
    the largest few, which is the same as one after the other)."""
    (p,) = parameters("choice", stop_gradient(pack_plain(p)))
    if p.shape != (count,):
        raise ArgumentError(f"choice: p has shape {p.shape}, must be {(count,)}{at_line()}")
    text = "choice: p must not be negative and must sum to 1"
    p = require(p, logical_and(greater_equal(p, 0.0), less(absolute(sum_(p) - 1.0), 1e-6)), text)
    logits = where(greater(p, 0.0), log(where(greater(p, 0.0), p, 1.0)), -np.inf)
    if replace:
        return argmax(_perturbed(source, "choice", logits, shape, -1), -1)
    enough = greater_equal(sum_(greater(p, 0.0)), size)
    logits = require(logits, enough, f"choice: fewer than {size} rows have p > 0")
    order = argsort(-_perturbed(source, "choice", logits, (), -1))
    return reshape(order[:size], shape)
