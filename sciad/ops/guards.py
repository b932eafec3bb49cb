"""Conditions on values without which a derivative does not exist.

Where the values are known, a violated condition raises at once; in a recorded program it becomes
an operation that stops the program.
"""

from typing import Any

import numpy as np

from sciad.core.array import has_data, plain
from sciad.core.errors import ArgumentError, at_line
from sciad.core.rules import Tools
from sciad.core.structure import Frozen
from sciad.ops.control.stopping import check_p


def known(*xs: Any) -> tuple:
    """The values under all interpreters, if every one has data; otherwise the operands."""
    return tuple(map(plain, xs)) if all(map(has_data, xs)) else xs


def require(x: Any, ok: Any, message: str, kind: type[Exception] = ArgumentError) -> Any:
    """`x`, where the truth value `ok` holds; an error of that kind otherwise."""
    if not has_data(ok):
        return check_p(x, ok, exception=Frozen(kind(message + at_line())))
    if not np.all(plain(ok)):
        raise kind(message + at_line())
    return x


Tools.require = require
