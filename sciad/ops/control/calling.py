"""What control functions say of the functions they are given: what these take and return."""

import inspect
from collections.abc import Callable
from typing import Any

from sciad.core import tree
from sciad.core.errors import ArgumentError, DTypeError, at_line
from sciad.core.graph import shape_of
from sciad.ops.control.values import packed

SCAN = "scan: body(carry, x) must return (carry, y)"
FORI_LOOP = "fori_loop: body(i, state) must return the next state"
WHILE_BODY = "while_loop: body_fun(state) must return the next state"
WHILE_TEST = "while_loop: cond_fun(state) must return one truth value"


class Called:
    """Around calls of a function: `DTypeError` if it takes another number of arguments. `form`
    tells what it must take and return."""

    __slots__ = ("count", "form", "function")

    def __init__(self, function: Callable, count: int, form: str):
        self.function, self.count, self.form = function, count, form

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None or not issubclass(kind, TypeError):
            return
        signature = _other_signature(self.function, self.count)
        if signature is not None:
            name = getattr(self.function, "__name__", type(self.function).__name__)
            plural = "s" if self.count != 1 else ""
            raise DTypeError(f"{self.form}; called with {self.count} argument{plural}, {name} "
                             f"takes {signature}{at_line()}") from error


def _other_signature(function: Callable, count: int) -> inspect.Signature | None:
    """The signature of a function that cannot be called with so many arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function of C may tell none
        return None
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return signature
    return None


def carry_and_row(returned: Any) -> tuple:
    """The two parts of what the body of a scan returned."""
    try:
        carry, y = returned
    except (TypeError, ValueError):
        raise ArgumentError(f"{SCAN}, the next carry and a row of the results (None for none); it "
                            f"returned {shown(returned)}{at_line()}") from None
    return carry, y


def require_same_state(before: Any, after: Any, form: str) -> None:
    """Raise `ArgumentError` if a state comes out of a body with another structure or shapes."""
    (old, first), (new, second) = tree.flatten(before), tree.flatten(after)
    if first != second or list(map(_shape, old)) != list(map(_shape, new)):
        raise changed("structure" if first != second else "shapes", "state", form, before, after)


def changed(what: str, carried: str, form: str, before: Any, after: Any) -> ArgumentError:
    """The error of a carry or state that changes its structure or shapes."""
    return ArgumentError(f"{form}, of the same containers and shapes; the {carried} changes its "
                         f"{what}, from {shown(before)} to {shown(after)}{at_line()}")


def shown(container: Any) -> str:
    """A container with its leaves in words: ``(number, array of shape (3,))``."""
    leaves, structure = tree.flatten(container)
    return shown_structure(structure, leaves)


def shown_structure(structure: Any, leaves: list) -> str:
    """The container of a structure, its leaves (values or types) in words."""
    try:
        return repr(tree.unflatten(structure, [_Word(x) for x in leaves]))
    except Exception:  # a class of the program's that takes no words
        return str(structure)


class _Word:
    """A leaf in words."""

    def __init__(self, leaf: Any):
        shape = _shape(leaf)
        number = hasattr(leaf, "dtype") or isinstance(leaf, (int, float, complex))
        self.text = f"array of shape {shape}" if shape else (
            "number" if number else type(leaf).__name__)

    def __repr__(self):
        return self.text


def _shape(leaf: Any) -> tuple[int, ...]:
    leaf = packed(leaf)
    return tuple(shape_of(leaf)) if hasattr(leaf, "shape") else ()
