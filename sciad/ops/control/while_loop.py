"""while_loop: as long as a condition holds.

Eagerly a Python loop. Recorded it is an equation that holds the graphs of condition and body, and
gives the number of iterations and the last state:

    forward   tangents are carried along
    reverse   the loop runs again and keeps the state before each iteration, in buffers of fixed
              size; then a scan of so many rows runs backwards through the cotangent graph of the
              body. Where a buffer is full the program stops, and `jit` records again with more
              room.

A loop that keeps its states is itself differentiated without running it again: the states that its
rule needs are among its results. So each order of derivative needs memory for the states only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, has_data, plain
from sciad.core.capacity import capacity
from sciad.core.derivatives import (
    cotangent_graph,
    filled,
    is_float,
    out_types,
    spread,
    tangent_graph,
    values_of,
)
from sciad.core.errors import ArgumentError, at_line
from sciad.core.graph import Graph, Type, Var
from sciad.core.primitive import bind
from sciad.core.record import record_leaves, recording
from sciad.core.rules import General, Tools
from sciad.ops.control.bodies import Carry, record_body, strengthened
from sciad.ops.control.calling import WHILE_BODY, WHILE_TEST, Called
from sciad.ops.control.patterns import while_pattern
from sciad.ops.control.scan import counted_scan
from sciad.ops.control.segments import require_checkpoint, rerun
from sciad.ops.control.steady import record_steady
from sciad.ops.control.stopping import BufferFull
from sciad.ops.control.values import own, recorded_truth, truth

_CONDITION = "while_loop: the condition"


def while_loop(cond_fun: Callable, body_fun: Callable, init: Any,
               checkpoint: int | bool | None = None) -> Any:
    """``while cond_fun(state): state = body_fun(state)``.

    Parameters
    ----------
    cond_fun : callable
        State -> bool scalar.
    body_fun : callable
        State -> state, of the same structure and shapes. When recorded, a state whose dtype grows
        (an int that becomes a float) has the larger one from the start. The body may write into
        the state, of which it has copies.
    init : container
    checkpoint : int or bool, optional
        Keep for the backward pass only the state at the start of each segment of so many
        iterations, and run the segments again; True makes each segment one iteration longer than
        the one before, for memory like the square root of their number.

    Returns
    -------
    container
        The last state.

    Examples
    --------
    >>> import sciad
    >>> f = lambda x: sciad.while_loop(lambda s: s < 10.0, lambda s: s * s, x)
    >>> float(f(2.0)), float(sciad.grad(f)(2.0))
    (16.0, 32.0)
    """
    checkpoint = require_checkpoint(checkpoint, "while_loop")
    if checkpoint:
        return _in_segments(cond_fun, body_fun, init, checkpoint)
    if recording():
        return _structured(cond_fun, body_fun, init, None)
    state = tree.tree_map(own, init)
    with Called(cond_fun, 1, WHILE_TEST), Called(body_fun, 1, WHILE_BODY):
        while truth(cond_fun(state), _CONDITION):
            state = body_fun(state)
    return state


def _in_segments(cond_fun, body_fun, init, checkpoint):
    """A loop of loops, the inner ones bounded in length."""
    def segment(size, state):
        def goes_on(loop):
            k, state = loop
            return (k < size) & truth_of(cond_fun(state))

        def step(loop):
            k, state = loop
            return k + 1, body_fun(state)

        room = None if checkpoint is True else checkpoint
        if recording():
            return _structured(goes_on, step, (0, state), room)[1]
        return while_loop(goes_on, step, (0, state))[1]

    def truth_of(x):
        return recorded_truth(x, _CONDITION) if recording() else truth(x, _CONDITION)

    def outer(loop):
        size, state = loop
        return size + (checkpoint is True), rerun(segment)(size, state)

    size = 1 if checkpoint is True else checkpoint
    return while_loop(lambda loop: cond_fun(loop[1]), outer, (size, init))[1]


def _structured(cond_fun, body_fun, init, room):
    carry = Carry(init, WHILE_BODY)

    def step(state):
        with Called(body_fun, 1, WHILE_BODY):
            return body_fun(state), ()

    def goes_on(*xs):
        with Called(cond_fun, 1, WHILE_TEST):
            answer = cond_fun(carry.unflatten(xs))
        return recorded_truth(_one(answer), _CONDITION)

    def record():
        body = record_body(step, carry, [])
        test = record_leaves(goes_on, [t.strong() for t in carry.types])
        return [body, test]

    body, test = record_steady({"the body": body_fun, "the condition": cond_fun}, record)
    _, *state = bind(while_p, (*test.consts, *body.consts, *carry.operands()),
                     {"test": strengthened(test.graph), "body": body.graph,
                      "test_consts": len(test.consts), "body_consts": len(body.consts),
                      "room": room, "keep": 0})
    return carry.unflatten(state)


def _one(answer):
    leaves, _ = tree.flatten(answer)
    if len(leaves) != 1:
        raise ArgumentError(f"{_CONDITION} must be one truth value, got {len(leaves)}{at_line()}")
    return leaves[0]


# --- the operation --------------------------------------------------------------------------------
#
# Operands: what the condition closes over, what the body closes over, the state. Results: the
# number of iterations, the last state, and with `keep` the states before each iteration, stacked
# in arrays of so many rows. `room` is the largest number of iterations, where it is known.


def full_buffer() -> BufferFull:
    return BufferFull("while_loop ran more iterations than its buffer holds")


def _split(args, params):
    both = params["test_consts"] + params["body_consts"]
    return list(args[:params["test_consts"]]), list(args[params["test_consts"]:both]), \
        list(args[both:])


def _while_fun(*args, test, body, keep, **params):
    for_test, for_body, state = _split(args, params)
    stacked = [np.zeros((keep, *t.shape), t.dtype) for t in out_types(body) if keep]
    count = 0
    while test(*for_test, *state)[0]:
        if keep and count == keep:
            raise full_buffer()
        for column, x in zip(stacked, state if keep else (), strict=True):
            column[count] = x
        state = values_of(body, (*for_body, *state))
        count += 1
    return (np.int64(count), *state, *stacked)


def _while_types(*types, body, keep, **params):
    states = out_types(body)
    stacked = [Type((keep, *t.shape), t.dtype) for t in states if keep]
    return (Type((), np.int64), *states, *stacked)


def _while_jvp(tangents, outs, args, params):
    test, body, keep = params["test"], params["body"], params["keep"]
    for_test, for_body, state = _split(args, params)
    _, d_body, d_state = _split(tangents, params)
    inputs = [var.type.strong() for var in body.inputs]
    fixed, kinds = inputs[:len(for_body)], inputs[len(for_body):]
    dot = tangent_graph(body, tuple(map(is_float, inputs)))
    d_fixed, d_state = filled(d_body, fixed), filled(d_state, kinds)
    moving = [list(filter(is_float, types)) for types in (fixed, kinds)]
    cuts = np.cumsum([len(fixed), len(d_fixed), len(state)]).tolist()

    def step(*xs):
        values = xs[:cuts[0]] + xs[cuts[1]:cuts[2]]
        return [*body(*values), *dot(*values, *xs[cuts[0]:cuts[1]], *xs[cuts[2]:])]

    pair = record_leaves(step, fixed + moving[0] + kinds + moving[1]).graph
    test = Graph([*test.inputs, *map(Var, moving[1])], test.equations, test.outputs)
    results = bind(while_p, (*for_test, *for_body, *d_fixed, *state, *d_state),
                   {**params, "test": test, "body": pair,
                    "body_consts": len(for_body) + len(d_fixed)})
    results = results[1:]
    if not keep:
        return None, *spread(results[len(state):], kinds)
    both = len(state) + len(d_state)
    return (None, *spread(results[len(state):both], kinds),
            *spread(results[both + len(state):], kinds))


def _while_vjp(cotangents, needs, outs, args, params):
    body = params["body"]
    for_test, for_body, state = _split(args, params)
    inputs = [var.type.strong() for var in body.inputs]
    floats = tuple(map(is_float, inputs))
    pull = cotangent_graph(body, floats)
    fixed, kinds = inputs[:len(for_body)], inputs[len(for_body):]
    many = len(kinds)
    if not params["keep"]:
        params = {**params, "keep": _rows_to_keep(outs[0], params)}
        outs = bind(while_p, tuple(args), params)
        cotangents = [*cotangents, *[None] * many]
    count, stacked, length = outs[0], list(outs[1 + many:]), params["keep"]
    g_state = filled(cotangents[1:1 + many], kinds)
    g_rows = filled(cotangents[1 + many:], [Type((length, *t.shape), t.dtype) for t in kinds])
    sums = [Tools.zeros(t.shape, t.dtype) for t in fixed if is_float(t)]
    n = len(sums)

    def back(carried, rows):
        sums, g = carried
        x, g_row = rows
        parts = pull(*for_body, *x, *g)
        return ([a + b for a, b in zip(sums, parts[:n], strict=True)],
                [a + b for a, b in zip(parts[n:], g_row, strict=True)]), None

    (sums, g), _ = counted_scan(back, (sums, g_state), (stacked, g_rows), count, length)
    parts = iter([*sums, *g])
    return [None] * len(for_test) + [next(parts) if flag else None for flag in floats]


def _rows_to_keep(count, params) -> int:
    """Room for the states: their number, or where that is not known yet a guess."""
    if isinstance(count, Array) and not has_data(count):
        return params["room"] or capacity()
    return max(1, int(plain(count)))


while_p = General("while_loop", _while_fun, _while_types, _while_jvp, _while_vjp, multiple=True,
                  joint_pattern=while_pattern)
