"""SciPy functions that work on NumPy's numbers alone, called on Arrays: a clear error.

They have no hook like NumPy's protocols, and ask for a plain array; an array of objects would only
fail deep inside. Other functions of SciPy run on such arrays as they are, and differentiate.
"""

import sys
from types import FrameType

import numpy as np

from sciad.core.errors import NoRuleError

COMPILED = {
    "scipy.linalg": ("_basic", "_decomp", "_matfuncs", "_solvers", "_sketches", "_procrustes"),
    "scipy.fft": ("",),
    "scipy.special": ("_basic", "_logsumexp", "_spherical_bessel", "_orthogonal", "_spfun_stats"),
}
"""Packages, and the modules in them whose functions run compiled code."""

ALLOWED = frozenset({"softmax", "sinc"})


def refusal() -> NoRuleError | None:
    """The error, if the data of an Array is asked for by one of these functions."""
    frame = sys._getframe(2)
    while frame is not None and _module(frame).startswith(("numpy", "sciad.core.array")):
        frame = frame.f_back
    inner = []
    while frame is not None and _module(frame).startswith("scipy."):
        inner.append(frame)
        frame = frame.f_back
    place = f" (at {frame.f_code.co_filename}:{frame.f_lineno})" if frame is not None else ""
    return refusal_of(inner, place)


def refusal_of(frames: list[FrameType], place: str) -> NoRuleError | None:
    """The error, if the outermost function of SciPy among `frames` (innermost first) is one of
    these; `place` tells the program's line."""
    package, name = None, ""
    for frame in frames:
        module, function = _called(frame)
        found = _home(module)
        if found is not None and hasattr(sys.modules.get(found), function):
            package, name = found, function
    if package is None or name in ALLOWED:
        return None
    return NoRuleError(f"{package}.{name} takes no differentiated values{place}; use "
                       f"{_cure(package, name)}")


def _module(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "")


def _called(frame: FrameType) -> tuple[str, str]:
    """Module and name of the function that runs; of a decorator's wrapper, what it wraps."""
    for key in ("f", "fun"):
        wrapped = frame.f_locals.get(key)
        if frame.f_code.co_name == "wrapper" and callable(wrapped):
            return wrapped.__module__, wrapped.__name__
    return _module(frame), frame.f_code.co_name


def _home(module: str) -> str | None:
    """The package in `COMPILED` that a module belongs to."""
    for package, parts in COMPILED.items():
        if module.startswith(tuple(f"{package}.{part}" for part in parts)):
            return package
    return None


def _cure(package: str, name: str) -> str:
    if package == "scipy.special":
        return f"sciad.special.{name}, if it stands there"
    own, text = (np.fft, "np.fft") if package == "scipy.fft" else (np.linalg, "np.linalg")
    if hasattr(own, name):
        return f"{text}.{name}"
    return f"the functions of {text}, or sciad.stop_gradient(x) if its derivative is not needed"
