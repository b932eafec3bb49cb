"""Functions of `scipy.special` that have no derivative here: SciPy's own, for plain values."""

import functools

from scipy import special as sp

from sciad.core.array import Array, is_plain
from sciad.core.errors import NoRuleError, at_line
from sciad.special.functions import operand


@functools.cache
def without_rule(name):
    """SciPy's function of that name; a followed value among its arguments raises."""
    original = getattr(sp, name)
    if isinstance(original, type):
        return original

    @functools.wraps(original, assigned=("__name__", "__doc__"), updated=())
    def call(*args, **kwargs):
        if any(map(_followed, (*args, *kwargs.values()))):
            raise NoRuleError(f"special.{name} has no derivative in sciad{at_line()}; write it in "
                              "terms of functions that have one, state it by sciad.custom_rule, "
                              "or pass sciad.stop_gradient(x) if it is not needed")
        return original(*args, **kwargs)

    return call


def _followed(x):
    x = operand(x)
    return isinstance(x, Array) and not is_plain(x)
