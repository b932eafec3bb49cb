"""Packing: a container of numbers as one vector of float64, and back."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.array import Array, has_data, is_plain, unwrap_plain
from sciad.core.errors import ArgumentError, DTypeError, LostGradientError, RecordError
from sciad.core.primitive import pack


class Packing:
    """How a container lies in a vector.

    A number or a list of numbers is an array, as SciPy takes it; every other container keeps its
    structure.

    Parameters
    ----------
    x0 : container of real numbers and arrays
    where : str
        The user's line, as the end of a message.
    """

    def __init__(self, x0: Any, where: str = ""):
        self.where = where
        if np.isscalar(x0) or isinstance(x0, list) and all(map(np.isscalar, x0)):
            x0 = np.atleast_1d(np.asarray(x0))
        leaves, self.structure = tree.flatten(x0)
        if not leaves:
            raise ArgumentError(f"least_squares: x0 holds no numbers{where}")
        self.names = [_subscripts(path) for path in self.structure.paths()]
        arrays = [self._real(leaf, f"x0{name}") for leaf, name in
                  zip(leaves, self.names, strict=True)]
        self.shapes = [array.shape for array in arrays]
        self.ends = np.cumsum([array.size for array in arrays]).tolist()
        self.x0 = np.concatenate([array.ravel() for array in arrays])
        if not self.x0.size:
            raise ArgumentError(f"least_squares: x0 holds no numbers{where}")

    def unravel(self, vector: np.ndarray) -> Any:
        """The container of these numbers, in memory of its own."""
        parts = np.split(vector.copy(), self.ends[:-1])
        return tree.unflatten(self.structure, [
            part.reshape(shape)[()] for part, shape in zip(parts, self.shapes, strict=True)])

    def ravel_like(self, value: Any, what: str) -> np.ndarray:
        """A number, or a container like x0 of what broadcasts to its parts, as a vector."""
        if np.isscalar(value) or isinstance(value, Array):
            return np.full(self.x0.size, self._real(value, what))
        try:
            leaves = self.structure.flatten_up_to(value)
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"least_squares: {what} does not have the structure of x0, "
                                f"{self.structure}{self.where}; give one number, or a container "
                                f"like x0 ({error})") from None
        return np.concatenate([
            self._spread(leaf, shape, what + name).ravel()
            for leaf, shape, name in zip(leaves, self.shapes, self.names, strict=True)])

    def entry(self, k: int) -> str:
        """The name of entry `k` of the vector, such as ``x['rates'][2]``."""
        leaf = int(np.searchsorted(self.ends, k, side="right"))
        shape = self.shapes[leaf]
        start = self.ends[leaf - 1] if leaf else 0
        index = ", ".join(map(str, map(int, np.unravel_index(k - start, shape)))) if shape else ""
        return f"x{self.names[leaf]}" + (f"[{index}]" if index else "")

    def _spread(self, leaf, shape, what):
        array = self._real(leaf, what)
        try:
            return np.broadcast_to(array, shape)
        except ValueError:
            raise ArgumentError(f"least_squares: {what} has shape {array.shape}, x0 there has "
                                f"shape {shape}{self.where}") from None

    def _real(self, leaf: Any, what: str) -> np.ndarray:
        array = np.asarray(undifferentiated(leaf, what, self.where))
        if array.dtype.kind not in "iuf":
            cure = ("; fit the real and the imaginary part" if array.dtype.kind == "c" else "")
            raise DTypeError(f"least_squares: {what} has dtype {array.dtype}, must be real numbers"
                             f"{self.where}{cure}")
        return array.astype(np.float64)


def undifferentiated(x: Any, what: str, where: str) -> Any:
    """`x` as a plain value; raises if a transform follows it, whose derivative would be lost."""
    if isinstance(x, np.ndarray) and x.dtype.hasobject:
        x = pack(x)
    if type(x) is not Array or is_plain(x):
        return unwrap_plain(x)
    if not has_data(x):
        raise RecordError(f"least_squares cannot be recorded: {what} depends on a recorded value"
                          f"{where}")
    raise LostGradientError(
        f"least_squares: {what} is being differentiated{where}, and the solution of a fit has no "
        "derivative rule; hold it fixed before the fit, w = sciad.stop_gradient(w), or "
        "differentiate the residuals instead")


def _subscripts(path: tuple) -> str:
    return "".join(f"[{key!r}]" for key in path)


def listed(words: Iterable[str], most: int = 5) -> str:
    """The first few words, as in a sentence."""
    words = list(words)
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")
