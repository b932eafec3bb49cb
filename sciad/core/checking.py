"""check_grads: derivatives against differences, in both modes, to any order.

Along a random direction v the fourth-order central difference is

    d = (8 (f(x + h v) - f(x - h v)) - (f(x + 2 h v) - f(x - 2 h v))) / 12 h

(Abramowitz & Stegun, 25.3.6). Forward mode must give d itself; reverse mode, for a random
cotangent w, the same number <w, d> = <vjp(w), v> under Re<a, b>. Order two differentiates
x -> jvp(f, x, v) and x -> vjp(f, x)(w), which are ordinary functions, once more.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.backend import asnumpy, beside, on_any_device
from sciad.core.errors import ArgumentError, DerivativeError, at_line
from sciad.core.transforms import jvp, vjp

_MODES = ("forward", "reverse")

_STREAM = 0x5C1AD
"""Keeps the directions apart from the user's own numbers of the same seed: a direction that is the
point itself sees the derivative along it alone."""

_ROUNDINGS = 1000
"""By how many roundings of its values a difference may be off."""

_DISAGREEMENTS = 10
"""By how much of what its two step sizes disagree in a difference may be off."""


def check_grads(f: Callable, args: Sequence[Any], order: int = 2,
                modes: str | Sequence[str] = _MODES, rtol: float | None = None,
                atol: float | None = None, step: float | None = None, seed: int = 0) -> None:
    """Compare the derivatives of `f` with central differences; raise where they differ.

    Parameters
    ----------
    f : callable
        Any containers in and out. What is not a float (or complex) is held fixed.
    args : sequence
        Where to check: the arguments of `f`.
    order : int
        1 checks jvp and vjp; 2 also jvp of jvp, jvp of vjp, vjp of jvp and vjp of vjp; and so on.
    modes : {"forward", "reverse"} or a sequence of them
        The modes to check.
    rtol, atol : float, optional
        A derivative may differ by ``rtol`` times the largest entry of the difference, by default
        1e-6 in double and 5e-3 in single precision; and by ``atol``, by default the rounding that
        a difference of these values holds, so that small functions are checked as sharply.
    step : float, optional
        The step h of the differences; by default 1e-4 in double and 2e-2 in single precision.
    seed : int
        Of the random directions.

    Raises
    ------
    DerivativeError
        Where a derivative differs; the message names order, mode, function and both numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> sciad.check_grads(lambda x: np.sum(np.sin(x)) ** 2, (np.array([0.3, 1.2]),))
    """
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if order < 1:
        raise ArgumentError(f"check_grads: order={order} checks nothing, must be 1 or more"
                            f"{at_line()}")
    unknown = set(modes) - set(_MODES)
    if unknown or not modes:
        raise ArgumentError(f"check_grads: modes {modes}, must be of {_MODES}{at_line()}")
    if not isinstance(args, (tuple, list)):
        raise ArgumentError(f"check_grads takes a tuple of arguments: check_grads(f, (x,))"
                            f"{at_line()}")
    name = getattr(f, "__name__", type(f).__name__)
    function, point = _flat(f, args)
    if not point:
        raise ArgumentError(f"check_grads: {name} has no float among its arguments{at_line()}")
    single = any(x.dtype in (np.float32, np.complex64) for x in point)
    rtol = (5e-3 if single else 1e-6) if rtol is None else rtol
    step = (2e-2 if single else 1e-4) if step is None else step
    checker = _Checker(name, modes, rtol, atol, step, np.random.default_rng([seed, _STREAM]))
    checker.check(function, point, order, (), 0.0)


def _flat(f, args):
    """`f` as a function from a list of its float leaves to a list of its float results."""
    leaves, structure = tree.flatten(tuple(args))
    places = [k for k, x in enumerate(leaves) if _is_float(x)]
    point = [leaves[k].copy() if on_any_device(leaves[k]) else np.array(leaves[k])[()]
             for k in places]

    def function(*values):
        full = list(leaves)
        for k, value in zip(places, values, strict=True):
            full[k] = value
        outs = tree.flatten(f(*tree.unflatten(structure, full)))[0]
        return [np.asarray(out)[()] if isinstance(out, (float, complex)) else out
                for out in outs if _is_float(out) or _is_object(out)]

    return function, point


def _is_float(x) -> bool:
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    return isinstance(x, (float, complex)) if kind is None else kind in "fc"


def _is_object(x) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.hasobject


class _Checker:
    """One check: names, tolerances and the stream of random directions."""

    def __init__(self, name, modes, rtol, atol, step, rng):
        self.name, self.modes, self.rng = name, modes, rng
        self.rtol, self.atol, self.step = rtol, atol, step

    def check(self, f, point, order, outer, size):
        """Check `f`, itself a derivative made by the modes `outer` of a function with values of
        that `size`, to `order` more orders."""
        v = [self.direction(x) for x in point]
        slope, noise, size = self.difference(f, point, v, size)
        if not slope:
            raise ArgumentError(f"check_grads: {self.name} has no float among its results"
                                f"{at_line()}")
        w = [self.direction(x) for x in slope]
        for mode in self.modes:
            path = (mode, *outer)
            if mode == "forward":
                out, got = jvp(f, point, v)
                self.compare(got, slope, map(_largest, slope), noise, path)

                def derived(*xs):
                    return jvp(f, xs, v)[1]
            else:
                out, pull = vjp(f, *point)
                terms = sum(float(np.sum(np.abs(asnumpy(a) * b)))
                            for a, b in zip(w, slope, strict=True))
                self.compare([_inner(pull(_typed(w, out)), v)], [_inner(w, slope)], [terms],
                             [sum(noise)], path)

                def derived(*xs):
                    out, pull = vjp(f, *xs)
                    return list(pull(_typed(w, out)))

            if order > 1:
                self.check(derived, point, order - 1, path, size)

    def direction(self, x):
        """A random direction of the shape and dtype of `x`, of length about one."""
        v = self.rng.standard_normal(x.shape)
        if x.dtype.kind == "c":
            v = v + 1j * self.rng.standard_normal(x.shape)
        return beside(np.asarray(v / max(1.0, np.sqrt(v.size))).astype(x.dtype)[()], x)

    def difference(self, f, point, v, size):
        """The slopes along `v`, what each may be off by, and the size of the numbers."""
        def shifted(k):
            h = k * self.step
            moved = [(x + h * dx).astype(x.dtype) for x, dx in zip(point, v, strict=True)]
            return [asnumpy(out) for out in f(*moved)]

        slopes, noise, values = [], [], [shifted(k) for k in (1, -1, 2, -2)]
        size = max([size, *(_largest(x) for xs in values for x in xs)])
        for a, b, c, d in zip(*values, strict=True):
            near, far = (a - b) / (2 * self.step), (c - d) / (4 * self.step)
            slopes.append(((4 * near - far) / 3).astype(a.dtype))
            rounding = max(map(_largest, (a, b, c, d))) / self.step + size
            noise.append(_ROUNDINGS * _eps(a) * rounding + _DISAGREEMENTS * _largest(near - far))
        return slopes, noise, size

    def compare(self, got, expected, sizes, noise, path):
        for a, b, size, rounding in zip(map(asnumpy, got), map(asnumpy, expected), sizes, noise,
                                        strict=True):
            if a.shape != b.shape:
                raise DerivativeError(f"{self.about(path)} has shape {a.shape}, the differences "
                                      f"have {b.shape}")
            atol = rounding if self.atol is None else self.atol
            wrong = ~(np.abs(a - b) <= atol + self.rtol * size)
            if wrong.any():
                where = tuple(map(int, np.argwhere(wrong)[0]))
                at = f" at entry {where}" if where else ""
                raise DerivativeError(f"{self.about(path)} is {a[where]}{at}, "
                                      f"central differences give {b[where]}")

    def about(self, path):
        return f"check_grads: order {len(path)}, {' over '.join(path)} mode, of {self.name}"


def _largest(x) -> float:
    """The largest entry; 0 of what has none, or none that is finite."""
    size = np.abs(x).astype(float)
    return float(np.max(size, initial=0.0, where=np.isfinite(size)))


def _eps(x) -> float:
    return float(np.finfo(x.dtype).eps) if x.dtype.kind in "fc" else 0.0


def _typed(w, out):
    return [beside(np.asarray(a).astype(x.dtype)[()], x) for a, x in zip(w, out, strict=True)]


def _inner(a, b):
    """Re<a, b> over lists of arrays."""
    pairs = zip(map(asnumpy, a), map(asnumpy, b), strict=True)
    return sum((float(np.sum(np.real(np.conj(x) * y))) for x, y in pairs), 0.0)
