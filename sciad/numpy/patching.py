"""`patch_numpy`: NumPy's makers of arrays, for programs that cannot change their import.

NumPy gives no way into ``np.zeros(3)``: it has no argument that a transform follows. So while a
patch is in place, the attributes ``numpy.zeros``, ``numpy.empty`` and so on are functions of this
file. Each looks at two things, and is NumPy's own function unless both hold:

- a transform is active on this thread (`sciad.core.primitive.active`), and
- the call stands in Python code (`sciad.numpy.callers`), of a module that is none of the libraries
  that rely on plain arrays.

So extension modules get plain arrays, for which many of them have no check, and so does a call
that Python does not spell (``map(np.zeros, sizes)``). What is made of dtypes that are no numbers
(texts, dates, objects, records) stays plain.
Only the attributes of the module ``numpy`` are replaced, so a name that was imported before
(``from numpy import zeros``) is NumPy's own function for good.
"""

import functools
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from sciad.core.array import Array, is_plain, unwrap_plain
from sciad.core.primitive import active
from sciad.numpy import creation, making
from sciad.numpy.callers import calls

_LIBRARIES = frozenset({"sciad", "numpy", "scipy", "matplotlib", "optree", "pandas"})
_NUMBERS = "biufc"

_MAKERS: dict[str, tuple[Callable, int]] = {
    "zeros": (creation.zeros, 1), "empty": (creation.empty, 1), "ones": (creation.ones, 1),
    "full": (creation.full, 2), "zeros_like": (creation.zeros_like, 1),
    "empty_like": (creation.empty_like, 1), "ones_like": (creation.ones_like, 1),
    "full_like": (creation.full_like, 2), "eye": (creation.eye, 3),
    "identity": (creation.identity, 1), "tri": (creation.tri, 3), "arange": (creation.arange, 3),
    "linspace": (creation.linspace, 5), "logspace": (creation.logspace, 5),
    "geomspace": (creation.geomspace, 4), "indices": (creation.indices, 1),
    "array": (creation.array, 1), "asarray": (creation.asarray, 1),
    "asanyarray": (making.asanyarray, 1), "copy": (creation.copy, -1),
}
"""By NumPy's name: the function of `sciad.numpy`, and the place of ``dtype`` among the arguments
(-1: it has none)."""


class _State:
    """How many patches are in place."""

    lock = threading.Lock()
    depth = 0


def patched() -> bool:
    """Whether a patch is in place; part of the key of what is compiled."""
    return _State.depth > 0


def _maker(theirs: Callable, ours: Callable, place: int) -> Callable:
    """What stands in for a function of NumPy's; once no patch is left, it calls that function."""

    @functools.wraps(theirs, updated=())
    def make(*args, **kwargs):
        if not (_State.depth and active() and _of_user(sys._getframe(1), theirs.__name__, make)):
            return theirs(*args, **kwargs)
        dtype = kwargs.get("dtype", args[place] if 0 <= place < len(args) else None)
        if dtype is not None and np.dtype(dtype).kind not in _NUMBERS:
            return theirs(*args, **kwargs)
        made = ours(*args, **kwargs)
        if type(made) is Array and is_plain(made) and made.dtype.kind not in _NUMBERS:
            return unwrap_plain(made)
        return made

    return make


def _of_user(frame: FrameType, name: str, maker: Callable) -> bool:
    """Whether the call of a maker that a frame is at stands in the user's code."""
    module = str(frame.f_globals.get("__name__", ""))
    if module.partition(".")[0] in _LIBRARIES and _is_own(frame, module):
        return False
    return calls(frame, name, maker)


def _is_own(frame: FrameType, module: str) -> bool:
    """Whether a frame runs in the namespace of a module itself, not in a copy (of a doctest)."""
    return frame.f_globals is vars(sys.modules.get(module, sys))


_STAND_INS = {name: (getattr(np, name), _maker(getattr(np, name), ours, place))
              for name, (ours, place) in _MAKERS.items()}


def _replace(name: str, old: Any, new: Any) -> None:
    if getattr(np, name) is old:  # else another tool has replaced it, and keeps it
        setattr(np, name, new)


def _install() -> None:
    with _State.lock:
        if not _State.depth:
            for name, (original, stand_in) in _STAND_INS.items():
                _replace(name, original, stand_in)
        _State.depth += 1


def _uninstall() -> None:
    with _State.lock:
        _State.depth -= 1
        if not _State.depth:
            for name, (original, stand_in) in _STAND_INS.items():
                _replace(name, stand_in, original)


class Patch:
    """One call of `patch_numpy`: in place until `restore`, or until its ``with`` block ends."""

    __slots__ = ("_held", "_entered", "_lock")

    def __init__(self):
        self._held, self._entered, self._lock = False, 0, threading.Lock()
        self._hold()

    def _hold(self):
        if not self._held:
            _install()
            self._held = True

    def restore(self) -> None:
        """Take the patch back; calling it again does nothing."""
        with self._lock:
            if self._held:
                self._held = False
                _uninstall()

    def __enter__(self):
        with self._lock:
            self._hold()
            self._entered += 1
        return self

    def __exit__(self, *error):
        with self._lock:
            self._entered -= 1
            last = not self._entered
        if last:
            self.restore()

    def __repr__(self):
        return f"<patch of numpy, {'in place' if self._held else 'restored'}>"


def patch_numpy() -> Patch:
    """Let plain ``np.zeros`` and its kin make arrays that a differentiated value can enter.

    While the patch is in place, ``np.zeros``, ``empty``, ``ones``, ``full``, their ``_like``
    forms, ``eye``, ``identity``, ``tri``, ``arange``, ``linspace``, ``logspace``, ``geomspace``,
    ``indices``, ``array``, ``asarray``, ``asanyarray`` and ``copy`` are those of `sciad.numpy` to
    code that runs inside a transform. Outside every transform, and for NumPy's, SciPy's,
    matplotlib's and pandas' own code, they remain NumPy's.

    The patch holds in all threads. It reaches ``np.zeros(3)``, not a name that was imported from
    NumPy before (``from numpy import zeros``), not a call that Python does not spell
    (``map(np.zeros, sizes)``), and not ``x.copy()`` of a plain array `x`. Where the import can be
    changed, ``from sciad import numpy as np`` does the same and patches nothing.

    Returns
    -------
    Patch
        A context manager, already in place; its ``restore()`` takes it back. Patches are counted:
        NumPy is as it was once each has been restored.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> def loss(x):
    ...     out = np.zeros(3)
    ...     out[0] = x
    ...     return np.sum(out**2)
    >>> with sciad.patch_numpy():
    ...     slope = sciad.grad(loss)(3.0)
    >>> float(slope)
    6.0
    """
    return Patch()
