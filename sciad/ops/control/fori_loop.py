"""fori_loop: for i in range(lower, upper)."""

from collections.abc import Callable
from typing import Any

from sciad.core import tree
from sciad.core.array import Array, has_data, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import type_of
from sciad.core.record import recording
from sciad.ops.control.calling import FORI_LOOP, Called, require_same_state
from sciad.ops.control.scan import scan
from sciad.ops.control.segments import require_checkpoint
from sciad.ops.control.values import own
from sciad.ops.control.while_loop import while_loop


def fori_loop(lower: Any, upper: Any, body: Callable, init: Any,
              checkpoint: int | bool | None = None) -> Any:
    """``for i in range(lower, upper): state = body(i, state)``.

    Parameters
    ----------
    lower, upper : int
        The bounds. In a compiled function they may be traced values: the loop then runs as often
        as they say, without recording again for other bounds.
    body : callable
        ``(i, state) -> state``, of the same structure and shapes as `init`; `i` is an int. The
        body may write into the state, of which it has copies.
    init : container
        The first state.
    checkpoint : int or bool, optional
        Keep for the backward pass only the state at the start of each segment of so many
        iterations, and run the segments again; True takes about the square root of their number.

    Returns
    -------
    container
        The last state.

    Examples
    --------
    >>> import sciad
    >>> power = lambda x: sciad.fori_loop(0, 3, lambda i, state: state * x, 1.0)
    >>> float(power(2.0)), float(sciad.grad(power)(2.0))
    (8.0, 12.0)
    """
    checkpoint = require_checkpoint(checkpoint, "fori_loop")
    lower, upper = _bound(lower, "lower"), _bound(upper, "upper")

    def step(loop):
        i, state = loop
        with Called(body, 2, FORI_LOOP):
            following = body(i, state)
        require_same_state(state, following, FORI_LOOP)
        return i + 1, following

    if isinstance(lower, Array) or isinstance(upper, Array):
        return while_loop(lambda loop: loop[0] < upper, step, (lower, init), checkpoint)[1]
    if lower >= upper:
        return tree.tree_map(own, init)
    if recording() or checkpoint:
        (_, state), _ = scan(lambda loop, _: (step(loop), None), (lower, init), None,
                             upper - lower, checkpoint=checkpoint)
        return state
    state = tree.tree_map(own, init)
    with Called(body, 2, FORI_LOOP):
        for i in range(lower, upper):
            state = body(i, state)
    return state


def _bound(x, name):
    """A bound as a Python int, or a traced integer scalar."""
    kind = type_of(x)
    if kind.shape or kind.dtype.kind not in "iu":
        raise ArgumentError(f"fori_loop: {name} must be an integer, got {kind}{at_line()}")
    if isinstance(x, Array) and not has_data(x):
        return x
    return int(plain(x))
