"""Addresses of the functions that compiled code calls: libm, libmvec, CPython, BLAS and LAPACK."""

import ctypes
import importlib
import os
from functools import lru_cache

import numpy as np

from sciad.core.errors import SciadError

_registered: dict[str, int] = {}


class MissingSymbol(SciadError):
    """No library here offers a function that compiled code calls."""



# Functions of one or two arguments that glibc's libmvec offers for vectors.
_VECTOR_UNARY = (
    "exp exp2 exp10 expm1 log log2 log10 log1p sin cos tan asin acos atan "
    "sinh cosh tanh asinh acosh atanh cbrt erf erfc"
).split()
_VECTOR_BINARY = ("pow", "atan2", "hypot")


def register(name: str, address: int) -> None:
    """Make a function known to compiled code under ``name``."""
    _registered[name] = address


def address(name: str) -> int:
    """Where the external symbol ``name`` is."""
    found = _registered.get(name)
    if found is None:
        found = _registered[name] = _find(name)
    return found


def _find(name: str) -> int:
    if name in ("PyArray_Type", "PyExc_TypeError", "Py_None"):
        objects = {"PyArray_Type": np.ndarray, "PyExc_TypeError": TypeError, "Py_None": None}
        return id(objects[name])
    for library in _libraries():
        function = getattr(library, name, None)
        if function is not None:
            return ctypes.cast(function, ctypes.c_void_p).value
    for module in ("scipy.linalg.cython_blas", "scipy.linalg.cython_lapack"):
        capsule = importlib.import_module(module).__pyx_capi__.get(name)
        if capsule is not None:
            return _pointer(capsule)
    raise MissingSymbol(f"compiled code calls {name!r}, which no library here offers")


@lru_cache
def _libraries() -> tuple:
    names = {"nt": ["ucrtbase"]}.get(os.name, [None, "libm.so.6"])
    return (ctypes.pythonapi, *filter(None, map(_open, names)), *filter(None, (_vector_library(),)))


def _open(name):
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


@lru_cache
def _vector_library():
    try:
        return ctypes.CDLL("libmvec.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


def _pointer(capsule) -> int:
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer(capsule, name(capsule))


def vector_functions(features: dict[str, bool]) -> dict[str, tuple[tuple[int, str], ...]]:
    """The vector forms of C functions on this machine: scalar name -> ((lanes, symbol), ...).

    Letters of the vector ABI: ``e`` AVX-512, ``d`` AVX2.
    """
    isas = [("e", 8)] if features.get("avx512f") else []
    isas += [("d", 4)] if features.get("avx2") else []
    library = _vector_library() if isas else None
    if library is None:
        return {}
    table = {}
    for names, arity in ((_VECTOR_UNARY, 1), (_VECTOR_BINARY, 2)):
        for name in names:
            for suffix, scale in (("", 1), ("f", 2)):
                end = f"{'v' * arity}_{name}{suffix}"
                forms = [(n * scale, f"_ZGV{letter}N{n * scale}{end}") for letter, n in isas]
                table[name + suffix] = tuple(f for f in forms if hasattr(library, f[1]))
    return {name: forms for name, forms in table.items() if forms}
