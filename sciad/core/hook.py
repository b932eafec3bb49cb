"""gradient_hook: a look at a cotangent on its way back."""

from collections.abc import Callable
from typing import Any

from sciad.core import tree
from sciad.core.arguments import fitted_leaves, fitting, packed
from sciad.core.array import Array, current
from sciad.core.errors import ArgumentError, at_line
from sciad.core.primitive import bind
from sciad.core.reach import Reach
from sciad.core.record import recording
from sciad.core.rules import General, Tools


class _Hook:
    """A function of cotangents, and the container that they come in."""

    def __init__(self, fn, structure, places):
        self.fn, self.structure, self.places = fn, structure, places
        self.key = self.identity() if recording() else ""

    def identity(self) -> str:
        """What tells this hook from others in the text of a graph."""
        roots = {"fn": self.fn, "of": f"{self.places} {self.structure}"}
        return Reach(roots, identity=False).digest()

    def __eq__(self, other):
        return self is other or isinstance(other, _Hook) and self.key == other.key != ""

    def __hash__(self):
        return hash(self.key)

    def __call__(self, cotangents):
        full: list[Any] = [None] * self.structure.num_leaves
        for k, g in zip(self.places, cotangents, strict=True):
            full[k] = g
        got = self.fn(tree.unflatten(self.structure, full))
        if got is None:
            return cotangents
        leaves = fitted_leaves(self.structure, got, "gradient_hook", "cotangent returned by fn")
        return [g if leaves[k] is None else fitting(leaves[k], g, "cotangent of gradient_hook")
                for k, g in zip(self.places, cotangents, strict=True)]


def gradient_hook(x: Any, fn: Callable) -> Any:
    """`x` itself; in reverse mode its cotangent passes through `fn`.

    Parameters
    ----------
    x : container of numbers and arrays
    fn : callable
        Cotangent shaped like `x` -> cotangent shaped like `x`. It may print it, clip it, flip its
        sign. It is called in each backward pass that reaches `x` (twice where a pass is repeated
        for NaNs). None leaves the
        cotangent as it is.

    Returns
    -------
    container
        The same numbers. Forward mode passes tangents on unchanged.

    Examples
    --------
    >>> import sciad
    >>> clipped = lambda x: sciad.gradient_hook(x, lambda g: min(g, 1.0)) ** 2
    >>> float(sciad.grad(clipped)(5.0))
    1.0
    """
    if not callable(fn):
        raise ArgumentError(f"gradient_hook(x, fn): fn is a {type(fn).__name__}, not a function"
                            f"{at_line()}")
    leaves, structure = tree.flatten(x)
    leaves = [packed(leaf) for leaf in leaves]
    places = [k for k, leaf in enumerate(leaves)
              if type(leaf) is Array and current(leaf)._interp is not None
              and leaf.dtype.kind in "fc"]
    if not places:
        return x
    hook = _Hook(fn, structure, places)
    outs = bind(hook_p, tuple(leaves[k] for k in places), {"hook": hook})
    for k, out in zip(places, outs, strict=True):
        leaves[k] = out
    return tree.unflatten(structure, leaves)


def _hook_vjp(cotangents, needs, outs, args, params):
    seeds = [Tools.zeros(out.shape, out.dtype, out) if g is None else g
             for g, out in zip(cotangents, outs, strict=True)]
    return params["hook"](seeds)


hook_p = General("gradient_hook", lambda *xs, hook: xs,
                 lambda *kinds, hook: tuple(t.strong() for t in kinds),
                 lambda tangents, outs, args, params: tuple(tangents), _hook_vjp, multiple=True)
