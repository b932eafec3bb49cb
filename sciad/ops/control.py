"""Control flow: cond, while_loop, scan.

With concrete values they are Python: the branch is called, the loop runs, and the derivative is
that of what ran. While recording they become structured nodes with graphs as parameters, whose
derivatives are again structured:

    cond     tangent and cotangent: a cond over the branches' tangent or cotangent graphs
    scan     forward: tangents are carried along; reverse: a scan stores the carries, a second one
             runs backwards through the body's cotangent graph
    while    as scan, with a buffer for the carries whose capacity grows when it is full
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, has_data, plain
from sciad.core.errors import ArgumentError, SciadError, at_line
from sciad.core.graph import Graph, Type, Var, type_of
from sciad.core.primitive import bind
from sciad.core.record import record_leaves, recording
from sciad.core.rules import Constant, General, Tools
from sciad.core.structure import Control, Frozen
from sciad.ops.derivatives import (
    cotangent_graph,
    filled,
    is_float,
    out_types,
    spread,
    tangent_graph,
    values_of,
)
from sciad.ops.elementwise import astype
from sciad.ops.indexing import index_set, read
from sciad.ops.shape import stack


class BufferFull(SciadError, RuntimeError):
    """A compiled loop needs a larger buffer for its backward pass; handled by `jit`."""


class Capacity:
    """How many iterations a recorded while_loop stores for its backward pass."""

    value = 1024


@contextlib.contextmanager
def loop_capacity(capacity: int):
    """Record while_loops with room for `capacity` iterations."""
    before, Capacity.value = Capacity.value, capacity
    try:
        yield
    finally:
        Capacity.value = before


def _strong(graph_types):
    return [t.strong() for t in graph_types]


def _record(function, types):
    recorded = record_leaves(function, _strong(types))
    return recorded.graph, recorded.consts, recorded.structure


def _operand(x):
    if isinstance(x, (Array, np.ndarray, np.generic)):
        return x
    if isinstance(x, (bool, int, float, complex)):
        return np.asarray(x)[()]
    raise ArgumentError(f"control flow carries numbers and arrays, got a {type(x).__name__}"
                        f"{at_line()}")


# --- cond ----------------------------------------------------------------------------------------


def cond(pred: Any, true_fun: Callable, false_fun: Callable, *operands: Any) -> Any:
    """``true_fun(*operands)`` if `pred` holds, else ``false_fun(*operands)``.

    Parameters
    ----------
    pred : bool scalar
    true_fun, false_fun : callable
        Of the operands (any containers); both must return the same structure, shapes and dtypes
        when recorded. They may close over differentiated values.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> def f(x):
    ...     return sciad.cond(x > 0, np.sin, np.cos, x)
    >>> float(sciad.grad(f)(-np.pi / 2)), float(sciad.grad(f)(0.5)) == float(np.cos(0.5))
    (1.0, True)
    """
    if not (recording() and isinstance(pred, Array) and not has_data(pred)):
        return true_fun(*operands) if bool(plain(pred)) else false_fun(*operands)
    leaves, structure = tree.flatten(operands)
    leaves = [_operand(x) for x in leaves]
    types = [type_of(x) for x in leaves]
    graphs, consts, structures = [], [], []
    for function in (true_fun, false_fun):
        graph, lifted, out = _record(
            lambda *xs, f=function: f(*tree.unflatten(structure, list(xs))), types)
        graphs.append(graph)
        consts.append(lifted)
        structures.append(out)
    _require_same_branches(graphs, structures)
    true = _with_spare(graphs[0], [], len(consts[0]), consts[1])
    false = _with_spare(graphs[1], consts[0], len(consts[1]), [])
    outs = bind(cond_p, (pred, *consts[0], *consts[1], *leaves), {"true": true, "false": false})
    return tree.unflatten(structures[0], list(outs))


def _with_spare(graph: Graph, before: list, own: int, after: list) -> Graph:
    """`graph` with inputs for the other branch's constants, which it ignores."""
    spare = [[Var(type_of(x).strong()) for x in others] for others in (before, after)]
    inputs = [*spare[0], *graph.inputs[:own], *spare[1], *graph.inputs[own:]]
    return Graph(inputs, graph.equations, graph.outputs)


def _require_same_branches(graphs, structures):
    if structures[0] != structures[1]:
        raise ArgumentError(f"cond: the branches return different structures, {structures[0]} "
                            f"and {structures[1]}{at_line()}")
    first, second = map(out_types, graphs)
    if first != second:
        raise ArgumentError(f"cond: the branches return different types, {first} and "
                            f"{second}{at_line()}")


def _cond_fun(pred, *operands, true, false):
    return values_of(true if pred else false, operands)


def _cond_jvp(tangents, outs, args, params):
    active = tuple(t is not None for t in tangents[1:])
    graphs = {name: tangent_graph(params[name], active) for name in ("true", "false")}
    dots = bind(cond_p, (*args, *(t for t in tangents[1:] if t is not None)), graphs)
    return spread(dots, out_types(params["true"]))


def _cond_vjp(cotangents, needs, outs, args, params):
    wanted = tuple(needs[1:])
    graphs = {name: cotangent_graph(params[name], wanted) for name in ("true", "false")}
    seeds = filled(cotangents, out_types(params["true"]))
    parts = iter(bind(cond_p, (*args, *seeds), graphs))
    return [None, *(next(parts) if need else None for need in wanted)]


cond_p = General("cond", _cond_fun, lambda *types, true, false: out_types(true),
                 _cond_jvp, _cond_vjp, multiple=True)

# --- scan ----------------------------------------------------------------------------------------


def scan(body: Callable, init: Any, xs: Any = None, length: int | None = None,
         reverse: bool = False) -> tuple:
    """Carry a state over the leading axis of `xs`: ``carry, y = body(carry, x)``.

    Parameters
    ----------
    body : callable
        ``(carry, x) -> (carry, y)``; the carry keeps its structure, shapes and dtypes.
    init : container
        The first carry.
    xs : container, optional
        Arrays with one leading axis of common length.
    length : int, optional
        The number of iterations; needed without `xs`.
    reverse : bool
        Whether to run from the last entry to the first (results stay in the order of `xs`).

    Returns
    -------
    carry, ys
        The last carry, and the `y` stacked along a new leading axis.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> carry, ys = sciad.scan(lambda c, x: (c + x, c * x), 0.0, np.array([1.0, 2.0, 3.0]))
    >>> float(carry), ys
    (6.0, array([0., 2., 9.]))
    """
    xs_leaves, xs_structure = tree.flatten(xs)
    xs_leaves = [_operand(x) for x in xs_leaves]
    length = _scan_length(xs_leaves, length)
    if length and not recording():
        return _python_scan(body, init, xs_leaves, xs_structure, length, reverse)
    carry, structure = tree.flatten(init)
    carry = [_operand(x) for x in carry]

    def flat_body(*values):
        state = tree.unflatten(structure, list(values[:len(carry)]))
        x = tree.unflatten(xs_structure, list(values[len(carry):]))
        return body(state, x)

    types = [type_of(x).strong() for x in carry]
    rows = [Type(t.shape[1:], t.dtype) for t in map(type_of, xs_leaves)]
    graph, consts, out_structure = _record(flat_body, types + rows)
    _require_same_carry("scan", types, out_types(graph)[:len(carry)])
    outs = bind(scan_p, (*consts, *carry, *xs_leaves),
                {"body": graph, "length": length, "consts": len(consts), "carry": len(carry),
                 "reverse": reverse})
    return tree.unflatten(out_structure, list(outs))


def _scan_length(leaves, length):
    lengths = {x.shape[0] if x.shape else None for x in leaves}
    if None in lengths:
        raise ArgumentError(f"scan: xs must have a leading axis, got a scalar{at_line()}")
    lengths |= set() if length is None else {length}
    if len(lengths) != 1:
        raise ArgumentError(f"scan: lengths {sorted(lengths)} differ{at_line()}" if lengths else
                            f"scan: give xs or length{at_line()}")
    return lengths.pop()


def _require_same_carry(name, before, after):
    if list(before) != list(after):
        raise ArgumentError(f"{name}: the carry changes its type, from {list(before)} to "
                            f"{list(after)}{at_line()}")


def _python_scan(body, carry, leaves, structure, length, reverse):
    order = range(length)[::-1] if reverse else range(length)
    rows = []
    for k in order:
        carry, y = body(carry, tree.unflatten(structure, [x[k] for x in leaves]))
        rows.append(y)
    rows = rows[::-1] if reverse else rows
    flat = [tree.flatten(row)[0] for row in rows]
    columns = [stack([np.asarray(x) if not isinstance(x, Array) else x for x in column])
               for column in zip(*flat, strict=True)]
    return carry, tree.unflatten(tree.flatten(rows[0])[1], columns)


def _scan_fun(*args, body, length, consts, carry, reverse):
    fixed, state, xs = args[:consts], list(args[consts:consts + carry]), args[consts + carry:]
    kinds = out_types(body)[carry:]
    stacked = [np.empty((length, *t.shape), t.dtype) for t in kinds]
    for k in range(length)[::-1] if reverse else range(length):
        outs = values_of(body, (*fixed, *state, *(x[k] for x in xs)))
        state = outs[:carry]
        for column, y in zip(stacked, outs[carry:], strict=True):
            column[k] = y
    return (*state, *stacked)


def _scan_types(*types, body, length, consts, carry, reverse):
    outs = out_types(body)
    return (*outs[:carry], *(Type((length, *t.shape), t.dtype) for t in outs[carry:]))


def _regroup(graph: Graph, order_in: list[int], order_out: list[int]) -> Graph:
    """`graph` with its inputs and outputs in another order."""
    return Graph([graph.inputs[k] for k in order_in], graph.equations,
                 [graph.outputs[k] for k in order_out])


def _scan_jvp(tangents, outs, args, params):
    body, consts, carry = params["body"], params["consts"], params["carry"]
    types = [type_of(x).strong() for x in args]
    inputs = [var.type.strong() for var in body.inputs]
    active = tuple(map(is_float, inputs))
    dot = tangent_graph(body, active)
    floats = [k for k, flag in enumerate(active) if flag]
    groups = [range(consts), range(consts, consts + carry), range(consts + carry, len(inputs))]

    def joined(*xs):
        values, dots = xs[:len(inputs)], xs[len(inputs):]
        return [*body(*values), *dot(*values, *dots)]

    order = []
    for group in groups:
        order += list(group) + [len(inputs) + floats.index(k) for k in group if k in floats]
    graph = record_leaves(joined, inputs + [inputs[k] for k in floats]).graph
    kinds = out_types(body)
    out_floats = [k for k, t in enumerate(kinds) if is_float(t)]
    out_order = [*range(carry), *(len(kinds) + i for i, k in enumerate(out_floats) if k < carry),
                 *range(carry, len(kinds)),
                 *(len(kinds) + i for i, k in enumerate(out_floats) if k >= carry)]
    seeds = {k: part for k, part in zip(floats, filled(tangents, types), strict=True)}
    operands = []
    for group in groups:
        operands += [args[k] for k in group] + [seeds[k] for k in group if k in seeds]
    moved = sum(k in seeds for k in groups[0]), sum(k in seeds for k in groups[1])
    results = bind(scan_p, tuple(operands), {
        "body": _regroup(graph, order, out_order), "length": params["length"],
        "consts": consts + moved[0], "carry": carry + moved[1], "reverse": params["reverse"]})
    place = {k: i for i, k in enumerate(out_order)}
    return tuple(results[place[len(kinds) + out_floats.index(k)]] if k in out_floats else None
                 for k in range(len(kinds)))


def _scan_vjp(cotangents, needs, outs, args, params):
    body, length = params["body"], params["length"]
    consts, carry, reverse = params["consts"], params["carry"], params["reverse"]
    fixed, state, xs = args[:consts], args[consts:consts + carry], args[consts + carry:]
    inputs = [var.type.strong() for var in body.inputs]
    kinds = out_types(body)
    stored = _store_carries(body, fixed, state, xs, params)
    floats = tuple(map(is_float, inputs))
    pull = cotangent_graph(body, floats)
    const_types = [t for t in inputs[:consts] if is_float(t)]
    state_types = [t for t in inputs[consts:consts + carry] if is_float(t)]
    g_state = filled(cotangents[:carry], kinds[:carry])
    g_rows = filled(cotangents[carry:],
                     [Type((length, *t.shape), t.dtype) for t in kinds[carry:]])
    n_const, n_state = len(const_types), len(state_types)

    def back(sums, *row):
        sums, g = sums[:n_const], sums[n_const:]
        carries, x_row, g_row = row[0]
        parts = pull(*fixed, *carries, *x_row, *g, *g_row)
        new = [a + b for a, b in zip(sums, parts[:n_const], strict=True)]
        return (new + parts[n_const:n_const + n_state], parts[n_const + n_state:])

    init = [Tools.zeros(t.shape, t.dtype) for t in const_types] + g_state
    rows = (list(stored), list(xs), g_rows)
    last, g_xs = scan(back, init, rows, length, not reverse)
    parts = iter([*last, *g_xs])
    return [next(parts) if flag else None for flag in floats]


def _store_carries(body, fixed, state, xs, params):
    """The carry before each iteration, stacked."""
    carry = params["carry"]

    def step(values, row):
        outs = body(*fixed, *values, *row)
        return outs[:carry], list(values)

    _, stored = scan(step, list(state), list(xs), params["length"], params["reverse"])
    return stored or []


scan_p = General("scan", _scan_fun, _scan_types, _scan_jvp, _scan_vjp, multiple=True)

# --- while_loop -----------------------------------------------------------------------------------


def while_loop(cond_fun: Callable, body_fun: Callable, init: Any) -> Any:
    """``while cond_fun(state): state = body_fun(state)``.

    Parameters
    ----------
    cond_fun : callable
        State -> bool scalar.
    body_fun : callable
        State -> state, of the same structure, shapes and dtypes.
    init : container

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
    if not recording():
        state = init
        while bool(plain(cond_fun(state), "the condition of while_loop")):
            state = body_fun(state)
        return state
    carry, structure = tree.flatten(init)
    carry = [_operand(x) for x in carry]
    types = [type_of(x).strong() for x in carry]
    body, body_consts, _ = _record(
        lambda *xs: body_fun(tree.unflatten(structure, list(xs))), types)
    test, test_consts, _ = _record(
        lambda *xs: cond_fun(tree.unflatten(structure, list(xs))), types)
    _require_same_carry("while_loop", types, out_types(body))
    outs = bind(while_p, (*test_consts, *body_consts, *carry),
                {"test": test, "body": body, "test_consts": len(test_consts),
                 "body_consts": len(body_consts)})
    return tree.unflatten(structure, list(outs))


def _while_parts(args, test_consts, body_consts):
    both = test_consts + body_consts
    return args[:test_consts], args[test_consts:both], list(args[both:])


def _while_fun(*args, test, body, test_consts, body_consts):
    for_test, for_body, state = _while_parts(args, test_consts, body_consts)
    while test(*for_test, *state)[0]:
        state = values_of(body, (*for_body, *state))
    return tuple(state)


def _while_jvp(tangents, outs, args, params):
    test, body = params["test"], params["body"]
    for_test, for_body, state = _while_parts(args, params["test_consts"], params["body_consts"])
    d_body, d_state = tangents[len(for_test):][:len(for_body)], tangents[len(args) - len(state):]
    inputs = [var.type.strong() for var in body.inputs]
    dot = tangent_graph(body, tuple(map(is_float, inputs)))
    d_fixed = filled(d_body, inputs[:len(for_body)])
    kinds = inputs[len(for_body):]

    def step(pair):
        x, dx = pair
        return body(*for_body, *x), dot(*for_body, *x, *d_fixed, *dx)

    _, dots = while_loop(lambda pair: test(*for_test, *pair[0])[0], step,
                         (state, filled(d_state, kinds)))
    return spread(dots, kinds)


def _while_vjp(cotangents, needs, outs, args, params):
    test, body = params["test"], params["body"]
    for_test, for_body, state = _while_parts(args, params["test_consts"], params["body_consts"])
    inputs = [var.type.strong() for var in body.inputs]
    floats = tuple(map(is_float, inputs))
    pull = cotangent_graph(body, floats)
    kinds = inputs[len(for_body):]
    count, stored = _store_states(test, body, for_test, for_body, state, kinds)
    const_types = [t for t in inputs[:len(for_body)] if is_float(t)]
    sums = [Tools.zeros(t.shape, t.dtype) for t in const_types]
    n = len(sums)

    def back(loop):
        k, sums, g = loop
        x = [read(column, k - 1) for column in stored]
        parts = pull(*for_body, *x, *g)
        return k - 1, [a + b for a, b in zip(sums, parts[:n], strict=True)], parts[n:]

    _, sums, g = while_loop(lambda loop: loop[0] > 0, back,
                            (count, sums, filled(cotangents, kinds)))
    parts = iter([*sums, *g])
    return [None] * len(for_test) + [next(parts) if flag else None for flag in floats]


def _store_states(test, body, for_test, for_body, state, kinds):
    """Run the loop again, keeping the state before each iteration."""
    room = Capacity.value
    buffers = [np.zeros((room, *t.shape), t.dtype) for t in kinds]

    def step(loop):
        k, x, buffers = loop
        k = check(k, k < room, "while_loop ran more iterations than its buffer holds")
        kept = [index_set(column, value, k) for column, value in zip(buffers, x, strict=True)]
        return k + 1, body(*for_body, *x), kept

    count, _, stored = while_loop(lambda loop: test(*for_test, *loop[1])[0], step,
                                  (np.int64(0), list(state), buffers))
    return count, stored


while_p = General("while_loop", _while_fun,
                  lambda *types, test, body, test_consts, body_consts: out_types(body),
                  _while_jvp, _while_vjp, multiple=True)

# --- stopping -------------------------------------------------------------------------------------


def _raise(exception):
    raise exception.exception


fail_p = Constant("fail", _raise, lambda exception: (), multiple=True, effect=True)


def _check_fun(x, ok, exception):
    if not ok:
        raise exception.exception
    return x


class Check(General):
    """`x`, once `ok` is known to hold; otherwise the program stops with the exception."""

    __slots__ = ()


check_p = Check("check", _check_fun, lambda x, ok, exception: x,
                lambda tangents, out, args, params: tangents[0],
                lambda g, needs, out, args, params: [g, None], effect=True)


def check(x, ok, message):
    return check_p(x, ok, exception=Frozen(BufferFull(message)))


Control.cond = cond_p
Control.fail = fail_p
Control.astype = astype
