"""debug_nans: the operation, and the line, where the first NaN comes from.

While it is open, operators leave their shortcuts, so that each operation passes through `bind`
and can be looked at; compiled functions run eagerly; tapes remember the user's line of each entry.
The backward pass itself runs as always. Only if a gradient ends in a NaN is it run again, entry by
entry: NaNs at entries that a selection dropped are not the gradient's, and are not reported.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.backend import asnumpy, has_memory
from sciad.core.errors import NaNError, user_place
from sciad.core.graph import Type, shape_of
from sciad.core.masking import pull_masked
from sciad.core.primitive import Primitive, watching
from sciad.core.reverse import GENERAL, Tape


@contextmanager
def debug_nans(infs: bool = False) -> Iterator[None]:
    """Within this context, the first operation on followed values that makes a NaN raises.

    Parameters
    ----------
    infs : bool
        Whether an infinity counts as well.

    Raises
    ------
    NaNError
        Names the operation, the user's line, whether its value, its tangent or its cotangent
        became NaN, the first such entry, and the operands there. NaNs among the inputs are passed
        on without complaint.

    Notes
    -----
    What runs outside every transform is plain NumPy, and is not looked at (`numpy.errstate` is
    for that). Slow: meant for finding a fault. Functions compiled by `jit` run eagerly meanwhile.
    It holds for the thread that opens it.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> with sciad.debug_nans():
    ...     sciad.grad(lambda x: np.sum(np.sqrt(x) ** 2))(np.array([4.0, 0.0]))
    Traceback (most recent call last):
    sciad.core.errors.NaNError: backward pass of sqrt ...: the cotangent of operand 0 is nan at...
    """
    with watching(_Watch(infs)):
        yield


class _Watch:
    """Looks at values, tangents and cotangents as they are made."""

    def __init__(self, infs: bool):
        self.bad = (lambda x: ~np.isfinite(x)) if infs else np.isnan
        self.passed: tuple | None = None  # the entry at which a backward pass is

    def passing(self, entries: list, places: dict, order: Iterable[int]) -> Iterator[int]:
        """`order`, while a backward pass goes through it."""
        before = self.passed
        try:
            for i in order:
                entry = entries[i]
                if entry[0] == GENERAL:
                    self.passed = (*places.get(i, ("", 0))[:2], entry[1].name)
                yield i
        finally:
            self.passed = before

    def here(self) -> tuple[str, int, str]:
        """File, line, and the operation whose cotangent a backward pass hands on there."""
        return self.passed or (*user_place(), "")

    def first(self, x: Any) -> tuple | None:
        """The index of the first bad entry."""
        if type(x) is Array:
            if not has_data(x):
                return None
            x = plain(x)
        if x is None or type(x) is Type or getattr(x, "dtype", np.dtype(object)).kind not in "fc":
            return None
        found = np.argwhere(self.bad(asnumpy(x) if has_memory(x) else x))
        return tuple(map(int, found[0])) if len(found) else None

    def value(self, primitive: Primitive, args: tuple, out: Any) -> None:
        """The results of an operation on plain values, but for those of backward passes, which
        may have NaNs at entries that are dropped."""
        if self.passed is not None:
            return
        for part in out if primitive.multiple else (out,):
            where = self.first(part)
            if where is not None and all(self.first(x) is None for x in args):
                raise NaNError(f"forward pass of {_named(primitive, self.here())}: the value is "
                               f"{_entry(part, where)}{_at(where)}{_operands(args, part, where)}")

    def tangent(self, primitive: Primitive, tangents: list, args, tangent: Any) -> None:
        """The tangent of an operation in forward mode."""
        for part in tangent if primitive.multiple and tangent is not None else (tangent,):
            where = self.first(part)
            if where is not None and all(self.first(x) is None for x in (*tangents, *args)):
                raise NaNError(f"forward mode of {_named(primitive, self.here())}: the tangent is "
                               f"{_entry(part, where)}{_at(where)}{_operands(args, part, where)}")

    def backward(self, tape: Tape, seeds: list, slopes: list, leaves: int) -> None:
        """The gradients that a backward pass ended with."""
        if all(self.first(slope) is None for slope in slopes):
            return
        if all(self.first(seed) is None for _, seed in seeds):
            pull_masked(tape, seeds, leaves, lambda i, g, cots: self.entry(tape, i, g, cots))

    def entry(self, tape, i, g, cots):
        entry = tape.entries[i]
        if entry[0] != GENERAL or entry[1].multiple and any(x is None for x in g):
            return
        _, primitive, out, args, nodes, _ = entry
        if any(self.first(x) is not None
               for x in (*(g if primitive.multiple else (g,)), *args, out) if hasattr(x, "dtype")):
            return
        for k, node in enumerate(nodes):
            where = None if node is None else self.first(cots.value[node])
            if where is not None:
                name = _named(primitive, tape.places.get(i, ("", 0, "")))
                seen = "" if primitive.multiple else _operands((*args, out, g), args[k], where, (
                    *(f"operand {j}" for j in range(len(args))), "the result", "its cotangent"))
                raise NaNError(f"backward pass of {name}: the cotangent of operand {k} is "
                               f"{_entry(cots.value[node], where)}{_at(where)}{seen}")


def _named(primitive: Primitive, place: tuple[str, int, str]) -> str:
    """An operation, with where it stands."""
    file, line, passed = place
    inside = f", in the backward pass of {passed}" if passed else ""
    return f"{primitive.name}{inside}" + (f" (at {file}:{line})" if file else "")


def _entry(x, where):
    return asnumpy(plain(x) if type(x) is Array else x)[where]


def _at(where: tuple) -> str:
    return f" at entry {where}" if where else ""


def _operands(args, like, where, names=None) -> str:
    """What stands at the bad entry, for operands that match its shape."""
    shape, told = shape_of(like), []
    for k, x in enumerate(args):
        if hasattr(x, "dtype") and shape_of(x) == shape and (type(x) is not Array or has_data(x)):
            told.append(f"{names[k] if names else f'operand {k}'} is {_entry(x, where)}")
        elif isinstance(x, (int, float, complex)):
            told.append(f"{names[k] if names else f'operand {k}'} is {x}")
    return f"; there {', '.join(told)}" if told else ""


