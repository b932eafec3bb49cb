"""Jacobians and Hessians over containers, and both Wirtinger derivatives.

With z = x + i y, a differentiable function of complex numbers has two derivatives,

    df = f_z dz + f_zbar conj(dz),    f_z = (f_x - i f_y) / 2,    f_zbar = (f_x + i f_y) / 2

(W. Wirtinger, 1927). Forward mode along 1 and i gives a = f_z + f_zbar and b = i (f_z - f_zbar).
Reverse mode maps a cotangent g to conj(f_z) g + f_zbar conj(g), so from 1 and i it gives
p = conj(f_z) + f_zbar and q = i (conj(f_z) - f_zbar); a real result has q = 0. Hence

    f_z = (a - i b) / 2 = conj(p - i q) / 2,    f_zbar = (a + i b) / 2 = (p + i q) / 2

and a function of real numbers has the derivative a = p + i q. A Jacobian is f_z, the complex
derivative, where f_zbar = 0 (the Cauchy-Riemann equations); elsewhere there is none.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sciad.core import tree
from sciad.core.arguments import differentiable, one_array, packed, places_of, positions
from sciad.core.array import has_data, plain
from sciad.core.backend import asnumpy
from sciad.core.compressed import sparse_hessian, sparse_jacobian
from sciad.core.errors import ArgumentError, LostGradientError, at_line
from sciad.core.graph import Type, type_of
from sciad.core.linearize import linearized
from sciad.core.numbers import in_kind_of
from sciad.core.record import recording
from sciad.core.rules import Tools
from sciad.core.transformed import transformed
from sciad.core.transforms import _vjp_of, finish, grad, staged

_ROUNDING = 1e4
"""Anti-holomorphic parts up to so many units of rounding, of the largest entry in their row,
are taken for rounding."""

_UNROLLED = 512
"""A recorded derivative of more operations than this, in all columns, is a loop over these."""

_ROWS = 16
"""And in so many rows, by reverse mode."""

_FEW = 8
"""Up to so many columns, forward mode is tried before reverse mode."""


def jacobian(f: Callable, argnums: int | Sequence[int] = 0, mode: str = "auto",
             has_aux: bool = False, sparsity: Any = None) -> Callable:
    """The Jacobian of a function of arrays, or of containers of them.

    Parameters
    ----------
    f : callable
        Returns an array or any container of arrays (or, with `has_aux`, a pair of it and
        anything).
    argnums : int or sequence of int
        The arguments to differentiate; each may be any container of floats and arrays.
    mode : {"auto", "forward", "reverse"}
        ``auto`` takes forward mode unless the results have fewer entries than the arguments.
    has_aux : bool
        Whether `f` returns ``(out, aux)``; the result is then ``(jacobian, aux)``.
    sparsity : {None, "auto"}, scipy.sparse array or boolean matrix
        ``auto`` reads the pattern off the program, as `sciad.sparsity` does; columns (or rows,
        where that takes fewer) that share no row are then computed together, by one product with
        a vector for each of a few colours. A pattern of shape ``(out.size, x.size)`` may be given
        for a program that cannot be recorded, or where it is known to be sparser.

    Returns
    -------
    callable
        Takes the arguments of `f`. For an array `x` and an array result it gives an array of
        shape ``out.shape + x.shape``; in general the container of the result, at each place of
        which stands the container of the argument, of such arrays. A sequence `argnums` adds a
        tuple between the two. For complex arguments it is the complex derivative.

        With `sparsity` it takes one array and gives a ``scipy.sparse.csr_array`` of shape
        ``(out.size, x.size)`` on the host, which stores all entries of the pattern, zeros among
        them. It keeps pattern and colours for later calls, as long as the program is the same.

    Raises
    ------
    LostGradientError
        If a function of complex arguments has no complex derivative there (`conj`, `abs`, a real
        result that varies); `wirtinger` gives both of its derivatives.
    ArgumentError
        If a pattern that is given has the wrong shape, or misses an entry: at each call one more
        product, along a random direction, tells.
    RecordError
        If ``sparsity="auto"`` and `f` cannot be recorded.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> sciad.jacobian(lambda x: np.array([x[0] * x[1], x[0]]))(np.array([2.0, 3.0]))
    array([[3., 2.],
           [1., 0.]])
    >>> slopes = sciad.jacobian(lambda p: {"y": p["a"] * p["b"]})({"a": 2.0, "b": np.ones(2)})
    >>> slopes["y"]["a"]
    array([1., 1.])
    >>> slopes["y"]["b"]
    array([[2., 0.],
           [0., 2.]])

    Three products give all of a tridiagonal matrix:

    >>> slopes = sciad.jacobian(lambda u: np.diff(np.diff(u**2)), sparsity="auto")
    >>> slopes(np.arange(1.0, 6.0)).toarray()
    array([[ 2., -8.,  6.,  0.,  0.],
           [ 0.,  4., -12.,  8.,  0.],
           [ 0.,  0.,  6., -16., 10.]])
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ArgumentError(f"jacobian: mode is {mode!r}, must be 'auto', 'forward' or 'reverse'"
                            f"{at_line()}")
    argnums = positions(argnums)
    run = (_jacobian(f, argnums, mode, has_aux, "jacobian") if sparsity is None else
           sparse_jacobian(f, argnums, mode, has_aux, sparsity))
    return transformed(jacobian, f, argnums, mode, has_aux, sparsity)(run)


def _jacobian(f, argnums, mode, has_aux, name):

    def run(*args, **kwargs):
        found = _derivatives(f, argnums, args, kwargs, mode, has_aux, name)
        result = found.tree(lambda block: _holomorphic(block, f, name))
        return (result, found.aux) if has_aux else result

    return run


def hessian(f: Callable, argnums: int | Sequence[int] = 0, sparsity: Any = None) -> Callable:
    """The Hessian of a scalar function, forward over reverse: the Jacobian of its gradient.

    Parameters
    ----------
    f : callable
        Returns a real number.
    argnums : int or sequence of int
        The arguments to differentiate; each may be any container of floats and arrays.
    sparsity : {None, "auto"}, scipy.sparse array or boolean matrix
        As for `jacobian`: the pattern, which ``auto`` reads off the gradient. Entry and mirror
        image are one number, so fewer products do (a star colouring). Of a pattern that is given,
        one triangle is enough.

    Returns
    -------
    callable
        For one array an array of shape ``x.shape + x.shape``; in general the container of the
        argument, at each place of which it stands again. With `sparsity`, for one real array, a
        symmetric ``scipy.sparse.csr_array`` of shape ``(x.size, x.size)``.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> sciad.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    >>> curvature = sciad.hessian(lambda x: np.sum(x[0] * x[1:] ** 2), sparsity="auto")
    >>> curvature(np.array([1.0, 3.0, 4.0])).toarray()
    array([[0., 6., 8.],
           [6., 2., 0.],
           [8., 0., 2.]])
    """
    argnums = positions(argnums)
    run = (_jacobian(grad(f, argnums), argnums, "forward", False, "hessian") if sparsity is None
           else sparse_hessian(f, argnums, sparsity))
    return transformed(hessian, f, argnums, sparsity)(run)


def wirtinger(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """Both Wirtinger derivatives, by z and by conj(z), of a function of complex numbers.

    Parameters
    ----------
    f : callable
        Takes complex arrays (a real argument is taken as complex), returns real or complex ones;
        containers as for `jacobian`.
    argnums : int or sequence of int
        The arguments to differentiate.

    Returns
    -------
    callable
        Gives a pair ``(d/dz, d/dconj(z))``, each shaped as `jacobian`'s result and complex, such
        that ``df = d/dz @ dz + d/dconj(z) @ conj(dz)``.

    Examples
    --------
    >>> import sciad
    >>> dz, dzbar = sciad.wirtinger(lambda z: z**2 + 3 * z.conj())(1.0 + 2.0j)
    >>> complex(dz), complex(dzbar)
    ((2+4j), (3+0j))
    """
    argnums = positions(argnums)

    @transformed(wirtinger, f, argnums)
    def derivatives(*args, **kwargs):
        full = list(args)
        for k in places_of(argnums, len(args), f):
            full[k] = tree.tree_map(_complex, args[k])
        found = _derivatives(f, argnums, full, kwargs, "auto", False, "wirtinger")
        return found.tree(lambda block: block.dz), found.tree(lambda block: block.dzbar)

    return derivatives


def _complex(x):
    x = differentiable(x, "wirtinger")
    return x.astype(np.result_type(x.dtype, np.complex64))


class _Block(NamedTuple):
    """The derivatives of one array by one array; `dzbar` is None for a real argument."""

    dz: Any
    dzbar: Any
    out: Type
    x: Type


class _Found(NamedTuple):
    """Blocks [result][argument], and the containers that they stand for."""

    blocks: list
    out_structure: Any
    structure: Any
    aux: Any

    def tree(self, choose):
        rows = [tree.unflatten(self.structure, [choose(block) for block in row])
                for row in self.blocks]
        return tree.unflatten(self.out_structure, rows)


def _derivatives(f, argnums, args, kwargs, mode, has_aux, name) -> _Found:
    """The derivatives of each result by each argument chosen."""
    places = places_of(argnums, len(args), f)
    chosen = args[places[0]] if isinstance(argnums, int) else tuple(args[k] for k in places)
    leaves, structure = tree.flatten(chosen)
    leaves = [differentiable(x, name) for x in leaves]

    def of_leaves(*values):
        full = list(args)
        inside = tree.unflatten(structure, list(values))
        for k, value in zip(places, [inside] if isinstance(argnums, int) else inside, strict=True):
            full[k] = value
        return f(*full, **kwargs)

    found = _found(staged(of_leaves, *leaves), leaves, structure, mode, has_aux, name)
    return found._replace(blocks=[list(map(_of_its_kind, row, leaves)) for row in found.blocks])


def _of_its_kind(block, x):
    """A block by a fraction, say, as fractions."""
    return block._replace(dz=finish(in_kind_of(packed(block.dz), x)))


def _found(f, leaves, structure, mode, has_aux, name):
    xs = [type_of(x).strong() for x in leaves]
    columns = _count(xs)
    if mode == "auto" and columns > _FEW or mode == "reverse":
        out, pull, aux = _vjp_of(f, tuple(leaves), has_aux)
        outs, out_structure = tree.flatten(out)
        kinds = _kinds(outs, name)
        if mode == "reverse" or _count(kinds) < columns:
            parts = _backward(lambda seeds: pull(tree.unflatten(out_structure, seeds)), xs, kinds,
                              recording() and _count(kinds) > _ROWS)
            return _Found(parts, out_structure, structure, aux)
    done = linearized(f, leaves, has_aux)
    kinds = _kinds(done.outs, name)
    if mode == "auto" and columns <= _FEW and _count(kinds) < columns:
        return _found(f, leaves, structure, "reverse", has_aux, name)
    looped = recording() and columns * len(done.graph.equations) > _UNROLLED
    parts = _forward(done.push, xs, kinds, looped)
    return _Found(parts, done.structure, structure, done.aux)


def _kinds(outs, name) -> list[Type]:
    return [type_of(one_array(out, name)).strong() for out in outs]


def _count(kinds) -> int:
    """The number of real entries."""
    return sum(kind.size * len(_units(kind)) for kind in kinds)


def _units(kind: Type) -> tuple:
    """1, and i where it is another direction; none for what has no derivative."""
    return {"c": (1.0, 1j), "f": (1.0,)}.get(kind.dtype.kind, ())


def _forward(push, xs, outs, looped) -> list:
    """Blocks by columns."""
    rows: list[list] = [[] for _ in outs]
    for i, x in enumerate(xs):
        tangents = [_pushed(push, xs, i, unit, len(outs), looped) for unit in _units(x)]
        for o, out in enumerate(outs):
            dtype = _block_dtype(out, x)
            a, *b = [_joined(found[o], -1, out.shape + x.shape, dtype) for found in tangents]
            rows[o].append(_split(a, b[0], out, x) if b else _Block(finish(a), None, out, x))
    return rows


def _backward(pull, xs, outs, looped) -> list:
    """Blocks by rows."""
    rows: list[list] = []
    for o, out in enumerate(outs):
        cotangents = [_pushed(pull, outs, o, unit, len(xs), looped) for unit in _units(out)]
        rows.append([])
        for i, x in enumerate(xs):
            dtype = _block_dtype(out, x)
            parts = [_joined(found[i], 0, out.shape + x.shape, dtype) for found in cotangents]
            parts = parts or [_joined([], 0, out.shape + x.shape, dtype)]
            rows[-1].append(_from_rows(parts, out, x))
    return rows


def _pushed(push, kinds, i, unit, count, looped) -> list:
    """What `push` gives along each basis vector of space `i`: for each of `count` results a list,
    or one stack where a loop computes it."""
    zeros = [np.zeros(kind.shape, kind.dtype)[()] for kind in kinds]

    def along(seed):
        return push([*zeros[:i], seed, *zeros[i + 1:]])

    basis = list(_basis(kinds[i], unit))
    if looped and basis:
        return Tools.vmap(along)(np.stack(basis))
    found = [along(seed) for seed in basis]
    return [[row[k] for row in found] for k in range(count)]


def _from_rows(parts, out, x):
    p = parts[0]
    if x.dtype.kind != "c":
        return _Block(finish(p + 1j * parts[1] if parts[1:] else p), None, out, x)
    q = parts[1] if parts[1:] else None
    dz = Tools.conj(p if q is None else p - 1j * q) * 0.5
    return _Block(finish(dz), finish((p if q is None else p + 1j * q) * 0.5), out, x)


def _split(a, b, out, x):
    return _Block(finish((a - 1j * b) * 0.5), finish((a + 1j * b) * 0.5), out, x)


def _basis(kind: Type, unit):
    """The unit vectors of a space, times `unit`."""
    for k in range(kind.size):
        vector = np.zeros(kind.size, kind.dtype)
        vector[k] = unit
        yield vector.reshape(kind.shape)[()]


def _block_dtype(out: Type, x: Type):
    return np.result_type(out.dtype, x.dtype) if out.dtype.kind in "fc" else x.dtype


def _joined(parts, axis, shape, dtype):
    """The rows or columns of a block, a list or stacked along the first axis, as one array."""
    if isinstance(parts, list):
        if not parts:
            return np.zeros(shape, dtype)
        parts = [packed(x) for x in parts]
        stacked = Tools.stack(parts, axis if axis == 0 else len(parts[0].shape))
    else:
        stacked = parts if axis == 0 else parts.transpose((*range(1, len(parts.shape)), 0))
    stacked = stacked.reshape(shape)
    if type(stacked) is np.ndarray:
        stacked = stacked[()]  # a number, as the gradient of one is
    return stacked if stacked.dtype == dtype else stacked.astype(dtype)


def _holomorphic(block: _Block, f, name):
    """The complex derivative, once the other one is known to vanish."""
    if block.dzbar is None or not block.out.size or not block.x.size:
        return block.dz
    data = has_data(block.dz) and has_data(block.dzbar)
    rest, sizes = (abs(asnumpy(plain(x)) if data else x) for x in (block.dzbar, block.dz))
    inner = tuple(range(len(block.out.shape), len(sizes.shape)))
    scale = np.maximum(sizes, rest).max(axis=inner, keepdims=True)
    wrong = rest > _ROUNDING * np.finfo(rest.dtype).eps * scale
    label = getattr(f, "__name__", "the function")
    told = f"{name}: {label} has no complex derivative here"
    cure = ("use sciad.wirtinger for both derivatives, or sciad.grad for the gradient of a real "
            "number")
    if not data:
        return Tools.require(block.dz, ~np.any(wrong), f"{told}; {cure}", LostGradientError)
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        where = f" at entry {at}" if at else ""
        raise LostGradientError(f"{told}, its derivative by conj(z) is "
                                f"{asnumpy(plain(block.dzbar))[at]}{where}{at_line()}; {cure}")
    return block.dz
