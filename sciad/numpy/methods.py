"""Methods and attributes of NumPy's array and of the array API that come from the namespace:
``x.sort()``, ``x.take(i)``, ``x.sum(axis=0)``, ``x.device``..."""

import sys

import numpy as np

from sciad.core.array import FUNCTIONS, Array, is_plain, plain
from sciad.core.errors import ArgumentError, LostGradientError, MissingError, NoRuleError, at_line
from sciad.numpy import arranging, picking, reductions, sorting, ufuncs

NAMED = {
    arranging: ("diagonal", "repeat", "trace"),
    picking: ("choose", "put", "take"),
    reductions: ("all", "any", "argmax", "argmin", "cumprod", "cumsum", "max", "mean", "min",
                 "prod", "std", "sum", "var"),
    sorting: ("argpartition", "argsort", "searchsorted"),
    ufuncs: ("round",),
}
"""Methods that are functions of the same name."""

OTHERS = {
    "sort": sorting.sort_in_place, "partition": sorting.partition_in_place,
    "compress": lambda x, condition, axis=None, out=None: FUNCTIONS[np.compress](
        condition, x, axis, out),
}

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def _method(function):
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


def _namespace(self, *, api_version=None):
    """The array-API namespace of an Array."""
    if api_version is not None and api_version not in VERSIONS:
        raise ArgumentError(f"__array_namespace__: version {api_version!r} is not among "
                            f"{', '.join(VERSIONS)}{at_line()}")
    return sys.modules[__package__]


def _to_device(self, device, /, *, stream=None):
    """An Array of NumPy's lives on the CPU."""
    if device != "cpu" or stream is not None:
        raise ArgumentError(f"to_device: device {device!r}, must be 'cpu' without a stream"
                            f"{at_line()}")
    return self


def _dlpack(self, **kwargs):
    if not is_plain(self):
        raise LostGradientError(f"from_dlpack would drop the derivative of x{at_line()}; use "
                                "x.copy(), or sciad.stop_gradient(x) for the plain array")
    return np.asarray(plain(self)).__dlpack__(**kwargs)


MEMORY = ("base", "ctypes", "data", "flags", "setflags", "strides", "tobytes", "tofile")
"""Attributes of NumPy's arrays about the memory they lie in."""


def _missing(self, name):
    """What an Array answers where it has no attribute of a name."""
    text = f"'Array' object has no attribute {name!r}"
    if name in MEMORY:
        text += (f"{at_line()}: it is not laid out in memory; shape, dtype, ndim, size and "
                 f"itemsize it has, and sciad.stop_gradient(x).{name} is that of its plain array")
    raise MissingError(text)


def _set_shape(self, shape):
    raise NoRuleError(f"x.shape = {shape} changes x in place{at_line()}; write x = "
                      f"x.reshape({shape})")


def _as_integer_ratio(self):
    """Of a plain number; `statistics` asks for it."""
    return self._scalar("x.as_integer_ratio", "keep x as it is").as_integer_ratio()


def _install():
    for names in NAMED.values():
        for name in names:
            setattr(Array, name, _method(FUNCTIONS[getattr(np, name)]))
    for name, function in OTHERS.items():
        setattr(Array, name, _method(function))
    Array.__array_namespace__ = _namespace
    Array.mT = property(lambda self: np.swapaxes(self, -1, -2))
    Array.device = property(lambda self: "cpu")
    Array.to_device = _to_device
    Array.__getattr__ = _missing
    Array.shape = Array.shape.setter(_set_shape)
    Array.as_integer_ratio = _as_integer_ratio
    Array.__dlpack__ = _dlpack
    Array.__dlpack_device__ = lambda self: (1, 0)


_install()
