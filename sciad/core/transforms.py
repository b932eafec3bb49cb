"""The transforms: grad, value_and_grad, vjp, jvp, hvp, stop_gradient.

Each is a few lines over an interpreter. While a recorder is open, a transform first records the
function to a graph and then differentiates the graph's evaluation: questions that the function
asks have then become ``cond`` nodes, which have a derivative rule like any operation.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.arguments import (
    differentiable,
    fitting,
    packed,
    pair,
    places_of,
    positions,
    require_scalar,
    require_tuples,
)
from sciad.core.array import Array, current, unwrap_plain
from sciad.core.backend import is_array
from sciad.core.errors import ArgumentError, at_line
from sciad.core.forward import Forward
from sciad.core.graph import type_of
from sciad.core.masking import has_nan, pull_masked
from sciad.core.numbers import Numbers, in_kind_of, plain_numbers
from sciad.core.primitive import bind, pack, watch
from sciad.core.record import record, recording
from sciad.core.reverse import Reverse, Tape, as_it_lay
from sciad.core.rules import Constant, Tools
from sciad.core.structure import Control
from sciad.core.transformed import transformed


def grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The gradient of a scalar function.

    Parameters
    ----------
    f : callable
        Returns a real number (or, with `has_aux`, a pair of it and anything).
    argnums : int or sequence of int
        The positional arguments to differentiate; each may be any container of floats and arrays.
    has_aux : bool
        Whether `f` returns ``(loss, aux)``; the result is then ``(gradient, aux)``.

    Returns
    -------
    callable
        Takes the arguments of `f`, returns gradients shaped like the arguments chosen. For
        complex arguments it is the direction of steepest ascent, du/dx + i du/dy.

    Raises
    ------
    ArgumentError
        If the result is not a real scalar, or `argnums` does not fit.
    DTypeError
        If an argument to differentiate holds integers, strings or objects.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> sciad.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    argnums = positions(argnums)
    both = _value_and_slope(f, argnums, has_aux)

    @transformed(grad, f, argnums, has_aux)
    def gradient(*args, **kwargs):
        value, slope = both(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return gradient


def value_and_grad(f: Callable, argnums: int | Sequence[int] = 0,
                   has_aux: bool = False) -> Callable:
    """The value and the gradient of a scalar function, in one pass; see `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> value, slope = sciad.value_and_grad(np.sin)(0.0)
    >>> float(value), float(slope)
    (0.0, 1.0)
    """
    argnums = positions(argnums)
    return transformed(value_and_grad, f, argnums, has_aux)(_value_and_slope(f, argnums, has_aux))


def _value_and_slope(f, argnums, has_aux):

    def both(*args, **kwargs):
        places = places_of(argnums, len(args), f)
        chosen = [args[k] for k in places]

        def of_chosen(*values):
            full = list(args)
            for k, value in zip(places, values, strict=True):
                full[k] = value
            return f(*full, **kwargs)

        out, pull, aux = _vjp(of_chosen, chosen, has_aux)
        require_scalar(out, f)
        slopes = pull(np.ones((), type_of(out).dtype)[()])
        slope = slopes[0] if isinstance(argnums, int) else tuple(slopes)
        return ((out, aux), slope) if has_aux else (out, slope)

    return both


def vjp(f: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """The value of `f` and its pullback.

    Parameters
    ----------
    f : callable
        Any containers in and out.
    *primals
        Where to evaluate.
    has_aux : bool
        Whether `f` returns ``(out, aux)``.

    Returns
    -------
    out
        ``f(*primals)``.
    pullback : callable
        Cotangent shaped like `out` -> tuple of cotangents, one a primal; may be called again.
    aux
        Only with `has_aux`.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> out, pullback = sciad.vjp(np.multiply, 2.0, 3.0)
    >>> tuple(map(float, pullback(1.0)))
    (3.0, 2.0)
    """
    out, pull, aux = _vjp(f, primals, has_aux)

    def pullback(cotangent):
        return tuple(pull(cotangent))

    return (out, pullback, aux) if has_aux else (out, pullback)


def jvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple:
    """The value of `f` and its derivative along `tangents`, in forward mode.

    Parameters
    ----------
    f : callable
        Any containers in and out.
    primals, tangents : sequences
        One entry an argument, of the same structure and shapes.

    Returns
    -------
    out, tangent
        Both shaped like the result of `f`.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> out, slope = sciad.jvp(np.sin, (0.0,), (2.0,))
    >>> float(slope)
    2.0
    """
    require_tuples("jvp", primals, tangents)
    return jvp_unstaged(staged(f, *primals), primals, tangents)


def jvp_unstaged(f, primals, tangents):
    """`jvp` of a function that asks no questions of recorded values."""
    leaves, structure = tree.flatten(tuple(primals))
    seeds, seed_structure = tree.flatten(tuple(tangents))
    if seed_structure != structure:
        raise ArgumentError(f"jvp: the tangents have structure {seed_structure}, the primals "
                            f"{structure}{at_line()}")
    leaves = [differentiable(x, "jvp") for x in leaves]
    seeds = [fitting(seed, x, "tangent") for seed, x in zip(seeds, leaves, strict=True)]
    with Forward() as interp:
        inputs = [as_it_lay(Array(x, interp, seed), x)
                  for x, seed in zip(leaves, seeds, strict=True)]
        outs, out_structure = tree.flatten(f(*tree.unflatten(structure, inputs)))
        pairs = [_split_tangent(out, interp) for out in outs]
    values = [_own(finish(value)) for value, _ in pairs]
    slopes = _unshared([finish(in_kind_of(slope, value)) for value, slope in pairs], seeds)
    return tree.unflatten(out_structure, values), tree.unflatten(out_structure, slopes)


def hvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a vector, forward over reverse.

    Parameters
    ----------
    f : callable
        Scalar function of all `primals`.
    primals, tangents : sequences
        One entry an argument, of the same structure and shapes.

    Returns
    -------
    tuple or container
        The product, shaped like `primals` (just the entry if there is one).

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> sciad.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    require_tuples("hvp", primals, tangents)
    gradient = grad(f, tuple(range(len(primals))))
    _, product = jvp(gradient, primals, tangents)
    return product[0] if len(primals) == 1 else product


def _identity(x):
    return x


stop_p = Constant("stop_gradient", _identity, _identity)
Control.hold = stop_p


def stop_gradient(x: Any) -> Any:
    """`x` (any container) as a constant: no derivative passes through it.

    Examples
    --------
    >>> import sciad
    >>> float(sciad.grad(lambda x: x * sciad.stop_gradient(x))(3.0))
    3.0
    """
    return tree.tree_map(_stop_one, x)


def _stop_one(x):
    x = pack(x) if isinstance(x, np.ndarray) and x.dtype.hasobject else x
    while type(x) is Array:
        x = current(x)
        if x._interp is None:
            return plain_numbers(x._value)
        if not x._interp.has_data:
            return bind(stop_p, (x,), {})
        x = x._value
        if type(x) is np.ndarray:
            x = x.copy()  # the operations keep x for the backward pass; the caller may write
    return plain_numbers(x)


def staged(f: Callable, *args: Any) -> Callable:
    """`f` itself, or under a recorder the evaluation of its graph at these arguments."""
    chosen: Any = record(f, *args) if recording() else f
    return chosen


def vjp_unstaged(f, primals):
    """`vjp` of a function that asks no questions of recorded values."""
    return _vjp_of(f, tuple(primals), False)[:2]


def _vjp(f, primals, has_aux):
    return _vjp_of(staged(f, *primals), tuple(primals), has_aux)


class Taken:
    """How many pullbacks were ever built; tells `jit` whether a recording took a gradient."""

    count = 0


def _vjp_of(f, primals, has_aux):
    Taken.count += 1
    leaves, structure = tree.flatten(primals)
    leaves = [differentiable(x, "reverse mode") for x in leaves]
    with Reverse() as interp:
        inputs = [interp.leaf(x) for x in leaves]
        result = f(*tree.unflatten(structure, inputs))
        if has_aux:
            result, aux = pair(result)
        outs, out_structure = tree.flatten(result)
        outs = [packed(out) for out in outs]
        ends = [_end(out, interp) for out in outs]
        values = [_own(value) for value, _ in ends]
        aux = tree.tree_map(lambda x: _own(_end(packed(x), interp)[0]), aux) if has_aux else None
        tape = Tape(interp)

    def pull(cotangent):
        seeds, seed_structure = tree.flatten(cotangent)
        if seed_structure != out_structure:
            raise ArgumentError(f"pullback: the cotangent has structure {seed_structure}, the "
                                f"result {out_structure}{at_line()}")
        pairs = [(node, fitting(seed, value, "cotangent"))
                 for seed, (value, node) in zip(seeds, ends, strict=True) if node is not None]
        slopes = tape.pull(pairs, len(leaves))
        if has_nan(slopes, tape.entries):
            slopes = pull_masked(tape, pairs, len(leaves))
        look = watch()
        if look is not None and tape.places is not None:
            look.backward(tape, pairs, slopes, len(leaves))
        slopes = [finish(_as_gradient(slope, x)) for slope, x in zip(slopes, leaves, strict=True)]
        return tree.unflatten(structure, _unshared(slopes, [seed for _, seed in pairs]))

    out = tree.unflatten(out_structure, [finish(value) for value in values])
    return out, pull, tree.tree_map(finish, aux) if has_aux else None


def _end(x, interp):
    """The value of a result below `interp`, and its node (None: it does not depend)."""
    if type(x) is Array:
        x = current(x)
        return (x._value, x._node) if x._interp is interp else (x, None)
    return x, None


def _split_tangent(x, interp):
    x = packed(x)
    if type(x) is Array:
        x = current(x)
        if x._interp is interp:
            return x._value, x._node
    kind = type_of(x)
    return x, Tools.zeros(kind.shape, kind.dtype, x)


def finish(x: Any) -> Any:
    """A value as it leaves a transform: plain, unless an outer transform follows it."""
    return plain_numbers(unwrap_plain(x))


def _own(x):
    """A result as an array of its own, which the caller may write into."""
    return x.copy() if is_array(x) else x


def _unshared(slopes: list, others: list) -> list:
    """Derivatives as arrays of their own: not `others`, nor one another, nor a view."""
    taken = set(map(id, others))
    for k, slope in enumerate(slopes):
        if is_array(slope):
            if slope.base is not None or id(slope) in taken:
                slopes[k] = slope = slope.copy()
            taken.add(id(slope))
    return slopes


def _as_gradient(slope, x):
    if slope is None:
        return in_kind_of(Tools.zeros(x.shape, x.dtype, x), x)
    if type(x) is Numbers or type(slope) is Numbers:  # the latter: of constants beside floats
        return in_kind_of(slope, x)
    if slope.dtype != x.dtype:
        return slope.astype(x.dtype)
    return slope
