"""Sparse Jacobians and Hessians: one product with a vector for each colour.

The pattern is read off the recorded program, or given; its columns (forward mode), its rows
(reverse mode) or the vertices of its graph (Hessians) are coloured, which makes a plan
(`sciad.core.plans`). The program is linearised once, and the entries are read off its products
with one vector a colour.

A given pattern is checked at every call by one more product, along a random direction: J v from
the entries against J v itself. Where they differ the whole row is computed, which names the entry
that is missing, or shows that it was rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy

from sciad.core import tree
from sciad.core.arguments import differentiable, one_array, pair, places_of
from sciad.core.array import Array, unwrap_plain
from sciad.core.backend import asnumpy
from sciad.core.errors import ArgumentError, DTypeError, LostGradientError, SciadError, at_line
from sciad.core.graph import Type, type_of
from sciad.core.linearize import linearized
from sciad.core.plans import Plan, followed, source_of
from sciad.core.transforms import _vjp_of, grad

_SEED = 20_220_816
_LOOKED_AT = 16
_ROUNDING = 1e3
"""Differences up to so many units of rounding, of the largest in their row, are rounding."""


class _Linear(NamedTuple):
    """A function at a point: its types, and products with its Jacobian from one side."""

    out: Type
    x: Type
    product: Callable
    aux: Any


def sparse_jacobian(f: Callable, argnums, mode: str, has_aux: bool, sparsity) -> Callable:
    """`jacobian` with a pattern."""
    source = source_of(sparsity, mode, False, "jacobian")

    def at(*args, **kwargs):
        g, x = _of_array(f, argnums, args, kwargs, "jacobian", has_aux)
        plan = source.plan(lambda x: g(x)[0], x, "jacobian")
        linear = (_pushed if plan.kind == "columns" else _pulled)(g, x, "jacobian")
        result = _matrix(plan, linear, "jacobian")
        if source.checked:
            _check(result, plan, linear, lambda x: g(x)[0], x, "jacobian")
        return (result, linear.aux) if has_aux else result

    return at


def sparse_hessian(f: Callable, argnums, sparsity) -> Callable:
    """`hessian` with a pattern."""
    source = source_of(sparsity, "forward", True, "hessian")

    def at(*args, **kwargs):
        g, x = _of_array(f, argnums, args, kwargs, "hessian", False)
        if type_of(x).dtype.kind == "c":
            raise DTypeError(f"hessian: with sparsity the argument must be real, it has dtype "
                             f"{x.dtype}{at_line()}")
        plan = source.plan(lambda x: _scalar(g(x)[0]), x, "hessian")
        slope = grad(lambda x: g(x)[0])
        linear = _pushed(lambda x: (slope(x), None), x, "hessian")
        result = _matrix(plan, linear, "hessian")
        if source.checked:
            _check(result, plan, linear, slope, x, "hessian")
        return result

    return at


def _scalar(out):
    if type_of(out).shape != ():
        raise ArgumentError(f"hessian: the function must return a scalar, got shape "
                            f"{type_of(out).shape}{at_line()}")
    return out


def _of_array(f, argnums, args, kwargs, name, has_aux):
    """`f` as a function of one array, which returns (array, aux), and that array."""
    if not isinstance(argnums, int):
        raise ArgumentError(f"{name}: with sparsity argnums must be one int, it is {argnums!r}"
                            f"{at_line()}; sciad.ravel makes one vector of several arguments")
    place = places_of(argnums, len(args), f)[0]
    if tree.flatten(args[place])[1] != tree.flatten(0.0)[1]:
        raise ArgumentError(f"{name}: with sparsity argument {argnums} must be one array, it is a "
                            f"{type(args[place]).__name__}{at_line()}; sciad.ravel makes a vector "
                            "of a container")
    x = unwrap_plain(differentiable(args[place], name))
    if type(x) is Array:
        raise followed(name)

    def g(x):
        full = list(args)
        full[place] = x
        out = f(*full, **kwargs)
        out, aux = pair(out) if has_aux else (out, None)
        return _one(out, name), aux

    return g, x


def _one(out, name):
    if tree.flatten(out)[1] != tree.flatten(0.0)[1] and not isinstance(out, (list, tuple)):
        raise ArgumentError(f"{name}: with sparsity the function must return one array, it "
                            f"returned a {type(out).__name__}{at_line()}; sciad.ravel makes a "
                            "vector of a container")
    return one_array(out, name)


def _plain(x, name) -> np.ndarray:
    """A product as a plain vector."""
    x = unwrap_plain(x)
    if type(x) is Array:
        raise followed(name)
    return asnumpy(x).reshape(-1)


def _pushed(g, x, name) -> _Linear:
    """By forward mode: products J s."""
    done = linearized(g, [x], has_aux=True)
    kind, out = type_of(x).strong(), type_of(one_array(done.outs[0], name)).strong()
    return _Linear(out, kind, lambda s: _plain(done.push([s.reshape(kind.shape)[()]])[0], name),
                   done.aux)


def _pulled(g, x, name) -> _Linear:
    """By reverse mode: the cotangents of s."""
    value, pull, aux = _vjp_of(g, (x,), True)
    kind, out = type_of(x).strong(), type_of(one_array(value, name)).strong()
    return _Linear(out, kind, lambda s: _plain(pull(s.reshape(out.shape)[()])[0], name), aux)


def _matrix(plan: Plan, linear: _Linear, name):
    out, x = linear.out, linear.x
    if plan.pattern.shape != (out.size, x.size):
        raise ArgumentError(
            f"{name}: the pattern has shape {plan.pattern.shape}, the derivative of {out.size} "
            f"results by {x.size} entries has shape {(out.size, x.size)}{at_line()}")
    dtype = np.result_type(out.dtype, x.dtype) if out.dtype.kind in "fc" else x.dtype
    data = np.zeros(plan.pattern.nnz, dtype)
    if out.dtype.kind in "fc":
        data = _entries(plan, linear, dtype, name)
    return _with_pattern(data, plan.pattern)


def _with_pattern(data, pattern):
    """A matrix with index arrays of its own."""
    wide = max(pattern.nnz, *pattern.shape) > np.iinfo(np.int32).max
    indices, ends = (x.astype(np.int64 if wide else np.int32)
                     for x in (pattern.indices, pattern.indptr))
    matrix = scipy.sparse.csr_array((data, indices, ends), shape=pattern.shape)
    matrix.has_canonical_format = True
    return matrix


def _entries(plan, linear, dtype, name):
    """The entries of the pattern; of complex numbers, the complex derivative (`jacobians`)."""
    seeds = linear.x.dtype if plan.kind != "rows" else linear.out.dtype
    a = plan.gathered(linear.product, seeds, dtype)
    if seeds.kind != "c":
        if plan.kind == "rows" and linear.x.dtype.kind == "c":  # a real result, so f_z = conj(p)/2
            return _holomorphic(np.conj(a) * 0.5, a * 0.5, name)
        return a
    b = plan.gathered(lambda s: linear.product(1j * s), seeds, dtype)
    if plan.kind != "rows":
        return _holomorphic((a - 1j * b) * 0.5, (a + 1j * b) * 0.5, name)
    if linear.x.dtype.kind != "c":
        return (a + 1j * b).astype(dtype)
    return _holomorphic(np.conj(a - 1j * b) * 0.5, (a + 1j * b) * 0.5, name)


def _holomorphic(dz, dzbar, name):
    """The complex derivative, once that by conj(z) is known to vanish."""
    sizes = np.maximum(abs(dz), abs(dzbar))
    if np.any(abs(dzbar) > 10 * _ROUNDING * np.finfo(sizes.dtype).eps * sizes):
        raise LostGradientError(
            f"{name}: the function has no complex derivative here: its derivative by conj(z) is "
            f"{dzbar[np.argmax(abs(dzbar))]} at an entry{at_line()}; sciad.wirtinger gives both "
            "derivatives")
    return dz


# --- checks of a given pattern --------------------------------------------------------------------


def _check(matrix, plan: Plan, linear: _Linear, f: Callable, x, name):
    """Compare a product of the matrix with the derivative along the same random direction; where
    they differ, look at the whole row (of a plan by rows: column)."""
    if linear.out.dtype.kind not in "fc" or not all(matrix.shape):
        return
    by_rows = plan.kind == "rows"
    across = matrix.T.tocsr() if by_rows else matrix
    kind = linear.out if by_rows else linear.x
    rng = np.random.default_rng(_SEED)
    v = (rng.uniform(1.0, 2.0, kind.size) * rng.choice((-1.0, 1.0), kind.size)).astype(kind.dtype)
    ours = np.conj(across) @ v if by_rows else across @ v
    ours = ours.real if by_rows and linear.x.dtype.kind != "c" else ours
    scale = abs(across) @ abs(v)
    with np.errstate(invalid="ignore"):
        off = abs(linear.product(v) - ours)
        limit = _ROUNDING * np.finfo(off.dtype).eps * scale
        wrong = np.flatnonzero(off > limit)
    share = off[wrong] / np.maximum(limit[wrong], np.finfo(off.dtype).tiny)
    places = wrong[np.argsort(-share)][:_LOOKED_AT].tolist()
    if places:
        _look_at(places, across, plan, f, x, name)


def _look_at(places, across, plan: Plan, f: Callable, x, name):
    """Raise if the derivative has an entry in one of these lines that is not in the pattern, or
    if it is not symmetric where it should be; else the difference was rounding."""
    by_rows = plan.kind == "rows"
    linear = (_pushed if by_rows else _pulled)(lambda x: (f(x), None), x, name)
    twisted = 0
    for place in places:
        line = _line(linear, place, by_rows)
        inside = slice(*across.indptr[place:place + 2])
        noise = _ROUNDING * np.finfo(line.real.dtype).eps * abs(line).max()
        outside = abs(line)
        outside[across.indices[inside]] = 0.0
        if outside.max() > noise:
            at = int(np.argmax(outside))
            row, column = (at, place) if by_rows else (place, at)
            raise ArgumentError(
                f"{name}: the pattern misses the entry in row {row}, column {column}, which is "
                f"{line[at]:.6g}{at_line()}; add it, or use sparsity='auto'")
        if plan.kind == "stars":
            apart = abs(line[across.indices[inside]] - across.data[inside])
            twisted += bool(np.any(apart > noise))
    if twisted:
        raise SciadError(
            f"{name}: the derivative of the gradient is not symmetric in row {places[0]}, as where "
            f"a custom_rule or gradient_hook is not the derivative{at_line()}; use sciad.jacobian "
            "of sciad.grad with this pattern")


def _line(linear: _Linear, place: int, by_rows: bool) -> np.ndarray:
    """One column of the derivative, or one row (of complex numbers its conjugate)."""
    kind = linear.x if by_rows else linear.out
    unit = np.zeros(kind.size, kind.dtype)
    unit[place] = 1.0
    line = linear.product(unit)
    if not by_rows and kind.dtype.kind == "c" and linear.x.dtype.kind != "c":
        line = line + 1j * linear.product(1j * unit)
    return line
