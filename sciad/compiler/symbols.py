"""Addresses of the functions that compiled code calls: libm, libmvec, CPython, BLAS and LAPACK."""

import ctypes
import importlib
import os
import re
from functools import lru_cache

import numpy as np

from sciad.core.errors import SciadError

SPECIAL = "sciad_special_"
"""Prefix of a function of ``scipy.special.cython_special``; its name and the letters of its types
follow, as in ``sciad_special_jv_dd``."""

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
    if name.startswith(SPECIAL):
        stem, letters = name[len(SPECIAL):].rsplit("_", 1)
        if found := special_function(stem, letters):
            return found
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


def _signature(capsule) -> bytes:
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return name(capsule)


def _pointer(capsule) -> int:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer(capsule, _signature(capsule))


_LETTERS = {"double": "d", "float": "f", "Py_ssize_t": "p", "double *": "o",
            "int __pyx_skip_dispatch": ""}


@lru_cache(maxsize=1)
def _special_functions() -> dict[tuple[str, str], int]:
    """(name, letters of the types of its arguments) -> where it is, of the functions of real
    numbers in ``scipy.special.cython_special``. A function of several types has several entries
    there, of names that start with ``__pyx_fuse_``."""
    module = importlib.import_module("scipy.special.cython_special")
    table = {}
    for name, capsule in module.__pyx_capi__.items():
        result, args = _signature(capsule).decode().split(" (", 1)
        letters = [_LETTERS.get(kind) for kind in args.rstrip(")").split(", ")]
        if None in letters or result not in ("double", "float", "void"):
            continue
        stem = re.sub(r"^__pyx_fuse_[\d_]*?(?=[a-zA-Z])", "", name)
        table[stem, "".join(letters)] = _pointer(capsule)
    return table


def special_function(name: str, letters: str) -> int | None:
    """Where the function ``name`` of SciPy's is, for arguments of these types: ``d`` double, ``f``
    float, ``p`` integer of the size of a pointer, ``o`` address of a double for a result."""
    return _special_functions().get((name, letters))


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
