"""The errors of sciad, and the line of the user's code they point at."""

import sys
from types import CodeType, FrameType


class SciadError(Exception):
    """Base class of every error that sciad raises on purpose."""


class ArgumentError(SciadError, ValueError):
    """An argument has a value or a shape that the operation does not take."""


class DTypeError(SciadError, TypeError):
    """An argument has a type that the operation does not take."""


class LostGradientError(SciadError, TypeError):
    """The program would drop a derivative, for example through ``float(x)``."""


class NoRuleError(SciadError, NotImplementedError):
    """An operation has no derivative, shape rule or native form."""


class MissingError(SciadError, AttributeError):
    """An Array lacks an attribute that NumPy's arrays have."""


class RecordError(SciadError, TypeError):
    """The program asks a recorded value for data that it does not have.

    `asked` holds the Arrays whose data was asked for, as far as they belong to recordings that are
    still open; `inputs` numbers the inputs of the outermost that they are computed from, if from
    nothing else.
    """

    def __init__(self, *args, asked=()):
        super().__init__(*args)
        self.asked: tuple = asked
        self.inputs: frozenset[int] = frozenset()


class ImpureError(RecordError):
    """A function that is recorded does something else when it is run again; `at` tells where."""

    def __init__(self, *args):
        super().__init__(*args)
        self.at = at_line()


class BoundsError(SciadError, IndexError):
    """Compiled code meets an index that is out of bounds; it does not know the index any more."""

    eager_knows_more = True


class IntegerError(SciadError, ArithmeticError):
    """Compiled code meets what Python's integers can do and those of 64 bits cannot."""

    eager_knows_more = True


class UntoldError(RecordError):
    """A branch raises, and the exception tells a value, or does something besides computing: that
    is for Python. A call that comes to this branch is repeated eagerly."""

    eager_knows_more = True


class DerivativeError(SciadError, AssertionError):
    """A derivative differs from central differences."""


class NaNError(SciadError, FloatingPointError):
    """Inside `sciad.debug_nans`, an operation gives a NaN."""


class GraphError(SciadError, RuntimeError):
    """A graph breaks its own rules; a fault in sciad."""


_PACKAGE = __name__.partition(".")[0]


_internal: dict[CodeType, bool] = {}


def is_internal(frame: FrameType) -> bool:
    """Whether `frame` runs code of sciad or of NumPy rather than the user's."""
    code = frame.f_code
    known = _internal.get(code)
    if known is None:
        known = _internal[code] = is_package(_module(frame))
    return known


def is_package(module: str) -> bool:
    """Whether a module is part of sciad or of NumPy rather than the user's."""
    return module.partition(".")[0] in (_PACKAGE, "numpy", "optree")


def user_frame() -> FrameType | None:
    """The innermost frame of the user's code; SciPy's is as little theirs as NumPy's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (is_internal(frame) or _module(frame).startswith("scipy.")):
        frame = frame.f_back
    return frame


def _module(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "")


def user_place() -> tuple[str, int]:
    """File and line of the user's code now (cheap: nothing is formatted). While a graph is
    evaluated, the line that the present equation came from."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame):
        if frame.f_code in replays and (line := frame.f_locals["equation"].line)[0]:
            return line
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("", 0)


replays: set[CodeType] = set()
"""Code that evaluates graphs; its variable `equation` is the equation at hand."""


def user_line() -> str:
    """Where the user's code is now, as ``file:line`` (empty if unknown)."""
    frame = user_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def raised_at(error: BaseException) -> str:
    """The innermost line of the user's code that an exception came from, as `at_line`."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        if not is_internal(traceback.tb_frame):
            place = f" (at {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


def at_line() -> str:
    """The current line of the user's code as the end of a sentence."""
    line = user_line()
    return f" (at {line})" if line else ""
