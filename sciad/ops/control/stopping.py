"""Stopping a compiled program with an exception."""

from sciad.core.errors import SciadError, at_line
from sciad.core.patterns import IDENTITY
from sciad.core.rules import Constant, General
from sciad.core.structure import Control, Frozen


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


def _assume_jvp(tangents, out, args, params):
    return assume_p(tangents[0], args[1], **params)


def _assume_vjp(g, needs, out, args, params):
    return [assume_p(g, args[1], **params), None]


assume_p: Check = Check("assume", _check_fun, lambda x, ok, exception: x,
                        _assume_jvp, _assume_vjp, pattern=IDENTITY)


def assume(x, ok, text):
    """`x` while recording, whose shape rests on `ok`: where that does not hold, a compiled call is
    repeated eagerly. Nothing is asked where nothing needs `x`."""
    error = SciadError(f"{text}{at_line()}")
    vars(error)["eager_knows_more"] = True
    return assume_p(x, ok, exception=Frozen(error))


Control.fail = fail_p
