"""Stopping a compiled program with an exception."""

from sciad.core.errors import SciadError
from sciad.core.patterns import IDENTITY
from sciad.core.rules import Constant, General
from sciad.core.structure import Control


class BufferFull(SciadError, RuntimeError):
    """A compiled loop needs a larger buffer for its backward pass; handled by `jit`."""


def _raise(exception):
    raise exception.exception


fail_p = Constant("fail", _raise, lambda exception: (), multiple=True, effect=True)


def _check_fun(x, ok, exception):
    if not ok:
        raise exception.exception
    return x


class Check(General):
    """`x`, once `ok` is known to hold; otherwise the program stops with the exception."""

    __slots__ = ()


check_p = Check("check", _check_fun, lambda x, ok, exception: x,
                lambda tangents, out, args, params: tangents[0],
                lambda g, needs, out, args, params: [g, None], effect=True,
                pattern=IDENTITY)


Control.fail = fail_p
