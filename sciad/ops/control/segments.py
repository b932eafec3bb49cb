"""Loops in segments, for the memory of their backward pass.

A loop of n iterations keeps n states for reverse mode. Cut into segments of m iterations it keeps
the n / m states at which they start, and runs each segment again when the backward pass comes to
it, which keeps m more: for m = sqrt(n) that is 2 sqrt(n) in all, for one more run of the loop
(A. Griewank, "Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
differentiation", 1992).

Where n is not known, the k-th segment has k iterations: after K segments n = K (K + 1) / 2, so both
the number of segments and the longest are some sqrt(2 n).

In eager mode a segment is a checkpointed call. A recorded loop needs no such thing: its derivative
rule stores states only and runs the body again, so the loop of segments stores their starts, and
the rule of the loop inside runs the segment again.
"""

import math
from collections.abc import Callable

import numpy as np

from sciad.core.checkpoint import checkpoint as checkpointed
from sciad.core.errors import ArgumentError, at_line
from sciad.core.record import recording


def require_checkpoint(checkpoint, name: str) -> int | bool | None:
    """`checkpoint`, if it is a segment length, True, False or None."""
    if checkpoint is None or isinstance(checkpoint, bool):
        return checkpoint
    if not isinstance(checkpoint, (int, np.integer)) or checkpoint < 1:
        raise ArgumentError(f"{name}: checkpoint={checkpoint!r} must be the length of a segment, "
                            f"or True for about the square root of all iterations{at_line()}")
    return int(checkpoint)


def segment_length(checkpoint, length: int) -> int:
    """The iterations of a segment, of `length` in all."""
    return max(1, math.isqrt(length)) if checkpoint is True else min(checkpoint, length)


def rerun(segment: Callable) -> Callable:
    """A segment as a function whose inner values are computed again in the backward pass."""
    return segment if recording() else checkpointed(segment)
