"""What a transform returns: a callable that knows the function and the options it was made of.

It is called, bound to an instance and inspected as a function is. Unlike a function inside another,
it is pickled and copied: by the name that it has in its module, or else as the call of the
transform that made it.
"""

import functools
import sys
import types
from collections.abc import Callable
from typing import Any


class Transformed:
    """The result of ``transform(f, *options)``: `run`, under the name and signature of `f`."""

    def __init__(self, run: Callable, transform: Callable, f: Callable, options: tuple):
        self.__name__ = self.__qualname__ = transform.__name__
        functools.update_wrapper(self, f, updated=())
        self.run, self.transform, self.f, self.options = run, transform, f, options

    def __call__(self, /, *args, **kwargs):
        return self.run(*args, **kwargs)

    def __repr__(self):
        return f"<{self.transform.__name__} of {getattr(self.f, '__name__', self.f)}>"

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def __set_name__(self, owner, name):
        """In the body of a class: its methods are pickled by the name that they have there."""
        self.__name__, self.__qualname__ = name, f"{owner.__qualname__}.{name}"

    def __reduce__(self):
        return name_in_module(self) or (self.transform, (self.f, *self.options))


def transformed(transform: Callable, f: Callable, *options: Any) -> Callable[[Callable], Callable]:
    """A decorator for the function that ``transform(f, *options)`` returns."""
    return lambda run: Transformed(run, transform, f, options)


def name_in_module(x: Any) -> str | None:
    """The qualified name under which the module of a callable has it, if it has."""
    name = getattr(x, "__qualname__", "")
    found: Any = sys.modules.get(getattr(x, "__module__", None) or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is x else None
