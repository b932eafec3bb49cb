"""Keys: random numbers without a state, for compiled, mapped and repeated programs.

A key is 64 bits; all that is drawn from it follows from these bits. The counters under one key are
divided by purpose, so that draws, children of `split` and of `fold_in` never coincide:

    counter = purpose << 48 | place          place < 2**48
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array
from sciad.core.errors import ArgumentError, DTypeError, SciadError, at_line
from sciad.core.graph import type_of
from sciad.ops.bits import bitwise_and, bitwise_or
from sciad.random.threefry import threefry

DRAW, SPLIT, FOLD = range(3)
_PURPOSE = 48


@dataclass(frozen=True, eq=False, repr=False)
class Key:
    """The origin of random numbers; made by `key`, `split` and `fold_in`.

    A container: it may be an argument or a result of any transform, and an array of keys is mapped,
    scanned and indexed along its axes.

    Attributes
    ----------
    bits : array of int64
        64 bits a key.
    """

    bits: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """() of one key."""
        return type_of(self.bits).shape

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError(f"a single key has no length{at_line()}; sciad.random.split gives "
                             "an array of keys")
        return self.shape[0]

    def __getitem__(self, index) -> "Key":
        if not self.shape:
            raise DTypeError(f"a single key takes no index{at_line()}; sciad.random.split gives "
                             "an array of keys")
        return _key_of(self.bits[index])

    def __iter__(self) -> Iterator["Key"]:
        return iter([self[k] for k in range(len(self))])

    def __repr__(self):
        if isinstance(self.bits, Array):
            return f"Key({self.bits!r})"
        return f"Key({np.asarray(self.bits).astype(np.uint64)!r})"


tree.register(Key, lambda one: (one.bits,), lambda parts: Key(*parts))


def _key_of(bits) -> Key:
    return Key(bits if isinstance(bits, Array) else np.asarray(bits))


def key(seed: int) -> Key:
    """A key from a seed.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**64.

    Examples
    --------
    >>> import sciad
    >>> sciad.random.uniform(sciad.random.key(7)) == sciad.random.uniform(sciad.random.key(7))
    np.True_
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise DTypeError(f"key: the seed is a {type(seed).__name__}, must be an int{at_line()}; "
                         "for a seed that a compiled function computes use fold_in") from None
    if not 0 <= number < 2**64:
        raise ArgumentError(f"key: the seed {number} must lie in 0 <= seed < 2**64{at_line()}")
    return Key(np.asarray(np.uint64(number)).astype(np.int64))


def split(key: Key, n: int = 2) -> Key:
    """An array of `n` keys that are independent of one another, and of what is drawn from `key`.

    Examples
    --------
    >>> import sciad
    >>> one, other = sciad.random.split(sciad.random.key(7))
    >>> sciad.random.uniform(one) == sciad.random.uniform(other)
    np.False_
    """
    number = whole("split", f"n={n!r}", n)
    bits = require_key(key, "split").bits
    return _key_of(threefry(bits, _counters(SPLIT, number)))


def fold_in(key: Key, data: Any) -> Key:
    """A key of its own for each number: for a step of a loop, say.

    Parameters
    ----------
    key : Key
    data : int or array of ints
        Only the lower 48 bits count. An array gives an array of keys.

    Examples
    --------
    >>> import sciad
    >>> key = sciad.random.key(7)
    >>> draws = [sciad.random.uniform(sciad.random.fold_in(key, k)) for k in range(3)]
    """
    bits = require_key(key, "fold_in").bits
    kind = type_of(data)
    if kind.dtype.kind not in "iu":
        raise DTypeError(f"fold_in takes integers, got {kind.dtype}{at_line()}")
    if not isinstance(data, Array):
        data = np.asarray(data).astype(np.int64)[()]
    elif kind.dtype != np.int64:
        data = data.astype(np.int64)
    place = bitwise_and(data, np.int64(2**_PURPOSE - 1))
    return _key_of(threefry(bits, bitwise_or(place, np.int64(FOLD << _PURPOSE))))


def whole(name: str, what: str, n: Any, kind: str = "an int") -> int:
    """A number of things, 0 or more; `what` says in a message which argument it is."""
    try:
        number = operator.index(n)
    except SciadError:
        raise
    except TypeError:
        raise DTypeError(f"{name}: {what} is a {type(n).__name__}, must be {kind}{at_line()}"
                         ) from None
    if number < 0:
        raise ArgumentError(f"{name}: {what} is negative, must be 0 or more{at_line()}")
    return number


def require_key(key: Any, name: str) -> Key:
    """`key`, if it is one."""
    if not isinstance(key, Key):
        raise DTypeError(f"{name} takes a key, got a {type(key).__name__}{at_line()}; make one "
                         "with sciad.random.key(seed)")
    if key.shape:
        raise ArgumentError(f"{name}: one key is needed, got keys of shape {key.shape}"
                            f"{at_line()}; index them, or map over them")
    return key


def random_bits(key: Key, count: int) -> Any:
    """`count` times 64 random bits, as int64."""
    return threefry(key.bits, _counters(DRAW, count))


def _counters(purpose: int, count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) + (purpose << _PURPOSE)
