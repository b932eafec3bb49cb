"""The devices that `jit` can be told to run on.

Compiled code runs where its arrays live (`sciad.compiler.device`). A function made for the GPU has
the arrays among its arguments moved there first.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.errors import ArgumentError, SciadError

_NAMES = {None: "cpu", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}


class DeviceError(SciadError, RuntimeError):
    """A function is to run on a device that is not to be had here."""


def device_named(name: str | None) -> str:
    """The device of a name that the user gave."""
    if name not in _NAMES:
        raise ArgumentError(f"jit: device={name!r}; it takes None, 'cpu', 'gpu' or 'cuda'")
    return _NAMES[name]


def moved(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments, NumPy's arrays among them copied to the GPU.

    Raises
    ------
    DeviceError
        If there is no GPU, or no CuPy.
    """
    asarray = _cupy().asarray
    return tree.tree_map(
        lambda x: asarray(x) if type(x) is np.ndarray and x.dtype.kind in "biufc" else x,
        (args, kwargs))


def _cupy() -> Any:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise DeviceError("jit: device='gpu' needs CuPy, which is not installed here: pip install "
                          "sciad[gpu], or leave out `device`") from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:  # CuPy's, where the driver is missing
        raise DeviceError(f"jit: device='gpu': CuPy finds no GPU ({error})") from None
    if not count:
        raise DeviceError("jit: device='gpu': CuPy finds no GPU")
    return cupy
