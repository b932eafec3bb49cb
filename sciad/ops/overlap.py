"""Writes whose source overlaps their target, entry by entry.

Most of NumPy's assignments copy an overlapping source first. ``x.flat[i] = v`` and ``np.place`` do
not: each entry written may be the source of a later one. What is written in the end are entries
of the old memory, found here by the same walk over its places.
"""

import numpy as np

from sciad.core.array import Array
from sciad.ops import indexing, layout, shape


def entry_by_entry(x: Array, targets: np.ndarray, v):
    """What stands at the flat indices `targets` of `x` after its entries are written one by one
    from those of `v`, again and again; `v` itself where it shares no memory with them."""
    if not isinstance(v, Array) or v is not x and not _same_memory(x, v):
        return v
    root = x._alias[0].root if x._alias else x
    places = np.arange(root.size).reshape(root.shape)
    into, source = (_at(places, y).ravel() for y in (x, v))
    into = into[targets].ravel()
    if not np.isin(into, source).any():
        return v
    holds = places.ravel()
    for place, taken in zip(into, np.resize(source, into.size), strict=True):
        holds[place] = holds[taken]
    whole = shape.reshape(root, (-1,))
    return shape.reshape(indexing.read(whole, holds[into]), targets.shape)


def _same_memory(x: Array, y: Array) -> bool:
    return x._alias is not None and y._alias is not None and x._alias[0] is y._alias[0]


def _at(places: np.ndarray, y: Array) -> np.ndarray:
    for link in y._alias[1] if y._alias else ():
        places = places if link.kind in ("real", "imag") else link.show(places)
    return places


def lies_together(x) -> bool:
    """Whether an array surely lies rows first without gaps, so that NumPy need not copy it."""
    return not isinstance(x, Array) or all(
        seen.flags.c_contiguous for seen in layout.in_memory(x))
