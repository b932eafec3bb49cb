"""The methods of NumPy's array that come from the namespace: ``x.sort()``, ``x.take(i)``..."""

import sys

import numpy as np

from sciad.core.array import Array
from sciad.numpy import arranging, picking, reductions, sorting, ufuncs

METHODS = {
    "argpartition": sorting.argpartition, "argsort": sorting.argsort,
    "searchsorted": sorting.searchsorted, "sort": sorting.sort_in_place,
    "partition": sorting.partition_in_place, "cumprod": reductions.cumprod,
    "choose": picking.choose, "take": picking.take,
    "diagonal": arranging.diagonal, "repeat": arranging.repeat, "trace": arranging.trace,
    "round": ufuncs.round, "compress": lambda x, condition, axis=None: picking.compress(
        condition, x, axis),
}


def _method(function):
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


def _namespace(self, *, api_version=None):
    """The array-API namespace of an Array."""
    return sys.modules[__package__]


def _install():
    for name, function in METHODS.items():
        setattr(Array, name, _method(function))
    Array.__array_namespace__ = _namespace
    Array.mT = property(lambda self: np.swapaxes(self, -1, -2))


_install()
