"""CUDA text on the CPU: the kernels compiled by g++, their threads run one after another.

`RawModule` is what ``cupy.RawModule`` is to CuPy. Kernels that synchronise only by following one
another mean the same in whatever order their threads run; `Order.backwards` turns it round.
"""

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tests.backend.strict import StrictArray, strict

GXX = shutil.which("g++")

SHIM = r"""
#include <math.h>
#include <string.h>
#define __global__
#define __device__
struct dim3_ { unsigned x, y, z; };
static thread_local dim3_ blockIdx, threadIdx, blockDim, gridDim;
template <class T> static T atomicAdd(T* at, T v) { T old = *at; *at = old + v; return old; }
template <class T> static T atomicMax(T* at, T v) {
    T old = *at; if (v > old) *at = v; return old;
}
static double __longlong_as_double(long long bits) {
    double x; memcpy(&x, &bits, 8); return x;
}
static float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
"""

LAUNCH = """
extern "C" void launch_{name}(unsigned grid, unsigned block, int backwards, void** args) {{
    gridDim.x = grid;
    blockDim.x = block;
    for (unsigned long long k = 0, n = (unsigned long long)grid * block; k < n; ++k) {{
        unsigned long long t = backwards ? n - 1 - k : k;
        blockIdx.x = t / block;
        threadIdx.x = t % block;
        {name}({args});
    }}
}}
"""

C_TYPES = {"double": ctypes.c_double, "float": ctypes.c_float, "ll": ctypes.c_longlong,
           "long long": ctypes.c_longlong, "int": ctypes.c_int, "bool": ctypes.c_bool,
           "signed char": ctypes.c_byte}  # fmt: skip


class Order:
    """The order of the threads, and how many kernels were launched."""

    backwards = False
    launches = 0


def signatures(text: str) -> dict[str, list[str]]:
    """The kernels of a text, with the types of their parameters."""
    found = {}
    for name, params in re.findall(r'extern "C" __global__ void (\w+)\(([^)]*)\)', text):
        found[name] = [re.sub(r"\b(const|__restrict__)\b", "", p.rsplit(None, 1)[0]).strip()
                       for p in params.split(",") if p.strip()]
    return found


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="sciad-emulated-"))


def key_of(text: str) -> str:
    return "k" + hashlib.sha256(text.encode()).hexdigest()[:20]


def apart_text(text: str, more: str = "") -> str:
    """A text with names of its own, so that it can stand beside others."""
    key = key_of(text)
    text = re.sub(r'(extern "C" __global__ void \w+)\(', rf"\1_{key}(", text)
    return f"namespace {key} {{\n{text}{more}}}\n"


def apart(text: str) -> str:
    """The same, with functions that launch its kernels."""
    key, wrappers = key_of(text), []
    for name, kinds in signatures(text).items():
        args = ", ".join(f"*({kind}*)args[{k}]" for k, kind in enumerate(kinds))
        wrappers.append(LAUNCH.format(name=f"{name}_{key}", args=args))
    return apart_text(text, "".join(wrappers))


WAITING: dict[str, str] = {}
BUILT: dict[str, ctypes.CDLL] = {}


def library_of(key: str) -> ctypes.CDLL:
    """The library with the kernels of a text; all texts that wait are compiled at once."""
    if key not in BUILT:
        built = _compile("".join(map(apart, WAITING.values())))
        BUILT.update(dict.fromkeys(WAITING, built))
        WAITING.clear()
    return BUILT[key]


def _compile(text: str) -> ctypes.CDLL:
    stem = _folder() / key_of(text)
    source, library = stem.with_suffix(".cc"), stem.with_suffix(".so")
    source.write_text(SHIM + text)
    done = subprocess.run(
        [GXX, "-std=c++17", "-O1", "-ffp-contract=off", "-fwrapv", "-Wall", "-Wextra",
         "-Wno-unused", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


class RawModule:
    """CuPy's class of this name, as far as sciad uses it."""

    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc",
                 translate_cucomplex=False, enable_cooperative_groups=False,
                 name_expressions=None, jitify=False):
        assert "--fmad=false" in options and not any("fast" in option for option in options)
        self.code = code
        self.kinds = signatures(code)
        self.key = key_of(code)
        if self.key not in BUILT:
            WAITING[self.key] = code

    def get_function(self, name):
        kinds = self.kinds[name]

        def kernel(grid, block, args, *, shared_mem=0):
            assert len(grid) <= 3 and len(block) <= 3 and block[0] <= 1024
            assert len(args) == len(kinds)
            function = getattr(library_of(self.key), f"launch_{name}_{self.key}")
            Order.launches += 1
            values = [_argument(x, kind) for x, kind in zip(args, kinds, strict=True)]
            pointers = (ctypes.c_void_p * len(values))(
                *(ctypes.addressof(value) for value in values))
            function(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]),
                     ctypes.c_int(Order.backwards), pointers)

        return kernel


def _argument(x, kind):
    """An argument as the kernel reads it: CuPy passes arrays by address, NumPy's scalars as they
    are."""
    if kind.endswith("*"):
        assert isinstance(x, StrictArray) and x._a.flags.c_contiguous
        return ctypes.c_void_p(x._a.ctypes.data)
    assert isinstance(x, np.generic) and np.dtype(C_TYPES[kind]) == x.dtype
    return C_TYPES[kind](x.item())


def install(monkeypatch):
    """Give the stand-in of CuPy the emulated compiler."""
    monkeypatch.setattr(strict, "RawModule", RawModule, raising=False)
