"""Captured numbers and small arrays whose value the program asks for.

What a function captures is traced, so that a change of it compiles nothing. Where recording is
refused because the value itself is asked for (``math.sqrt(dt)``, ``range(sizes[0])``), the function
is recorded again with that capture as a constant, which then counts by value in the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sciad.compiler.values import Unsupported
from sciad.core.errors import LostGradientError, NoRuleError, RecordError

_MOST_ENTRIES = 1000
"""Of an array that may count by value."""

_MOST_TRIED = 8
"""Captures of which it is found out one by one whether their values are needed."""


class ByValue(NamedTuple):
    """In place of a specialisation: the captured leaves that must count by value."""

    leaves: frozenset[int]


def may_count(x: Any) -> bool:
    """Whether a captured leaf may count by value: it is plain, and small."""
    if type(x) is np.ndarray:
        return x.size <= _MOST_ENTRIES and not x.dtype.hasobject
    return isinstance(x, (float, np.generic))


def content(x: Any) -> tuple:
    """What tells one value from another: bits, so that zeros keep their sign."""
    if type(x) is np.ndarray:
        return (np.ndarray, x.shape, x.dtype.str, x.tobytes())
    return (type(x), np.asarray(x).tobytes())


def constant(x: Any) -> Any:
    """A captured leaf as recording sees it: what it is now, not to be written into."""
    if type(x) is not np.ndarray:
        return x
    x = x.copy()
    x.flags.writeable = False
    return x


def asked_for(error: Exception, leaves: list, known: frozenset[int],
              records: Callable[[frozenset[int]], bool]) -> ByValue | None:
    """The captured leaves whose values a refused recording needs; None if that is not the reason.

    An error that asks for data tells whose. Others may come of a value without data (NumPy's own,
    of a ``repeat``, say): then it is tried whether the function records with all, and without
    which of them it does not.
    """
    able = frozenset(k for k, x in enumerate(leaves) if may_count(x)) - known
    told = getattr(error, "inputs", frozenset())
    if told:
        return ByValue(known | told) if told <= able else None
    if not able or isinstance(error, (RecordError, Unsupported)):
        return None
    if not records(known | able):
        return None
    for k in sorted(able) if len(able) <= _MOST_TRIED else ():
        if len(able) > 1 and records(known | able - {k}):
            able -= {k}
    return ByValue(known | able)


REFUSALS = (RecordError, NoRuleError, Unsupported, LostGradientError)
"""What recording raises where a function cannot be compiled."""
