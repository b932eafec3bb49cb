"""How a function of the namespace meets its arguments.

`implements(np.sum)` declares what ``np.sum`` means on Arrays. The declared function is put into
`sciad.core.array.FUNCTIONS`, so that plain ``np.sum(x)`` reaches it, and becomes the namespace's
own ``sum``, which hands calls without any Array to NumPy itself.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from sciad.core.array import FUNCTIONS, Array, write_out
from sciad.core.backend import as_operand
from sciad.core.errors import ArgumentError, NoRuleError, at_line
from sciad.core.primitive import pack
from sciad.ops.create import buffer
from sciad.ops.shape import stack


def implements(original: Callable, fresh: bool = False) -> Callable:
    """Declare the meaning of a NumPy function on Arrays; keywords it lacks are refused.

    With `fresh`, the arrays that NumPy itself makes can be assigned into inside a transform.
    """

    def decorate(rule):
        checked = _checked(original, rule)
        FUNCTIONS[original] = checked

        @functools.wraps(original, updated=())
        def call(*args, **kwargs):
            if any(map(is_followed, args)) or any(map(is_followed, kwargs.values())):
                return checked(*args, **kwargs)
            out = original(*args, **kwargs)
            return _assignable(out) if fresh else out

        return call

    return decorate


def _assignable(out: Any) -> Any:
    if isinstance(out, (list, tuple)):
        return type(out)(map(_assignable, out))
    return buffer(out) if isinstance(out, np.ndarray) else out


def is_followed(x: Any) -> bool:
    """Whether `x` is an Array or holds one."""
    if isinstance(x, Array):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.hasobject and any(isinstance(entry, Array) for entry in x.flat)
    return isinstance(x, (list, tuple)) and any(map(is_followed, x))


def as_array(x: Any) -> Any:
    """`x` as an Array or a NumPy array; lists and object arrays of Arrays are stacked."""
    if isinstance(x, Array):
        return x
    if isinstance(x, (list, tuple)) and is_followed(x):
        return stack([as_array(entry) for entry in x])
    x = as_operand(x)
    return pack(x) if x.dtype.hasobject else x


def require_cpu(device, name):
    """Raise unless `device` is that of NumPy's arrays."""
    if device not in (None, "cpu"):
        raise ArgumentError(f"{name}: device={device!r}, must be 'cpu'{at_line()}")


def _checked(original, rule):
    """`rule` called by NumPy's signature; what it does not take must have its default.

    NumPy's ``out=`` is served here: the result is written into it.
    """
    parameters = inspect.signature(rule).parameters
    own = list(parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        return _variadic(original, rule, own)
    leading = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    defaults = _defaults(original)
    names = list(defaults) or own
    same = 0
    while same < min(len(own), len(names)) and own[same] == names[same]:
        same += 1
    taken = frozenset(own)
    has_out = "out" in defaults and "out" not in taken

    @functools.wraps(rule)
    def call(*args, **kwargs):
        if len(args) <= same and taken.issuperset(kwargs):
            return rule(*args, **kwargs)
        given = dict(zip(names, args, strict=False)) | kwargs
        out = given.pop("out", None) if has_out else None
        for name in list(given):
            if name not in taken and name in defaults and given[name] is defaults[name]:
                del given[name]
        unknown = [name for name in given if name not in taken]
        if unknown or len(args) > len(names):
            what = ", ".join(unknown) or f"{len(args)} positional arguments"
            raise _unknown(original, what, own)
        result = rule(*(given.pop(name) for name in leading if name in given), **given)
        return result if out is None else write_out(result, out, f"np.{original.__name__}")

    return call


def _unknown(original, what, own):
    return NoRuleError(f"np.{original.__name__} of a differentiated value does not take "
                       f"{what}{at_line()}; it takes {', '.join(own)}")


def _variadic(original, rule, own):
    """`rule` with any number of arrays; keywords that it does not take are refused."""
    taken = frozenset(own[1:])
    takes_all = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(rule).parameters.values())

    @functools.wraps(rule)
    def call(*args, **kwargs):
        out = kwargs.pop("out", None) if "out" not in taken else None
        unknown = [name for name in kwargs if name not in taken]
        if unknown and not takes_all:
            raise _unknown(original, ", ".join(unknown), own)
        result = rule(*args, **kwargs)
        return result if out is None else write_out(result, out, f"np.{original.__name__}")

    return call


def _defaults(original) -> dict[str, Any]:
    """The parameters of a NumPy function that may stand by position or name, with defaults."""
    try:
        parameters = inspect.signature(original).parameters.values()
    except ValueError:
        return {}
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return {}
    return {p.name: p.default for p in parameters}
