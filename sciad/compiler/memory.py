"""Memory of large results: used again, and aligned.

A fresh array of 80 MB costs more than the loop that fills it: the system hands out zeroed pages one
fault at a time. So the memory of large results is kept when they die and given to the next result
of the same size. NumPy asks an allocator of our own for it (NEP 49), hence the arrays own their
memory as any others do. At most `SLOTS` blocks wait, none above `MOST` bytes, and the system is
told that it may take their pages whenever it needs them (MADV_FREE).

New blocks begin on a huge page: fewer faults, and stores of 64 bytes that never cross a line.

The allocator is LLVM text, since NumPy calls it by pointer. A waiting block holds its size in its
first bytes; slots are exchanged atomically.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any

import numpy as np

from sciad.compiler import llvm

LEAST = 2**25
"""Bytes from which memory is kept: what is smaller, the C library keeps itself."""

MOST = 2**28
SLOTS = 2
_HUGE = 2**21
_SET_HANDLER = 304  # place of PyDataMem_SetHandler in NumPy's table of functions, since 1.22


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8),
                ("context", ctypes.c_void_p), ("malloc", ctypes.c_void_p),
                ("calloc", ctypes.c_void_p), ("realloc", ctypes.c_void_p),
                ("free", ctypes.c_void_p)]


_kept: list = []  # what NumPy refers to as long as an array of ours lives


@lru_cache(maxsize=1)
def _switch() -> Any:
    """(what sets NumPy's allocator, ours); None where there is none."""
    if not sys.platform.startswith("linux") or not llvm.available():
        return None
    address = llvm.plain_library(_TEXT, _EXPORTS, _IMPORTS).address
    handler = _Handler(b"sciad", 1, None, *(address(name) for name in _EXPORTS))
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_New.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    table = api.PyCapsule_GetPointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    place = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[_SET_HANDLER]
    capsule = api.PyCapsule_New(ctypes.addressof(handler), b"mem_handler", None)
    _kept.extend((handler, capsule))
    for each in (_kept, handler, capsule):  # arrays may die after this module
        api.Py_IncRef(ctypes.py_object(each))
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(place), capsule


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """`np.empty`, in memory that is used again where that is large."""
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    if not LEAST <= size <= MOST or (switch := _switch()) is None:
        return np.empty(shape, dtype)
    set_handler, ours = switch
    before = set_handler(ours)
    try:
        return np.empty(shape, dtype)
    finally:
        set_handler(before)


_EXPORTS = ["sciad_take", "sciad_zeroed", "sciad_resize", "sciad_give"]
_IMPORTS = ["aligned_alloc", "calloc", "realloc", "free", "madvise"]
_TEXT = f"""
@slots = internal global [{SLOTS} x ptr] zeroinitializer
@turn = internal global i64 0

declare ptr @aligned_alloc(i64, i64)
declare ptr @calloc(i64, i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)
declare i32 @madvise(ptr, i64, i32)

define ptr @sciad_take(ptr %context, i64 %size) nounwind {{
entry:
  br label %look
look:
  %k = phi i64 [ 0, %entry ], [ %following, %next ]
  %slot = getelementptr inbounds ptr, ptr @slots, i64 %k
  %block = atomicrmw xchg ptr %slot, ptr null acq_rel
  %none = icmp eq ptr %block, null
  br i1 %none, label %next, label %measure
measure:
  %has = load i64, ptr %block
  %fits = icmp eq i64 %has, %size
  br i1 %fits, label %found, label %back
found:
  ret ptr %block
back:
  %displaced = atomicrmw xchg ptr %slot, ptr %block acq_rel
  call void @free(ptr %displaced)
  br label %next
next:
  %following = add i64 %k, 1
  %more = icmp slt i64 %following, {SLOTS}
  br i1 %more, label %look, label %fresh
fresh:
  %up = add i64 %size, {_HUGE - 1}
  %whole = and i64 %up, {-_HUGE}
  %new = call ptr @aligned_alloc(i64 {_HUGE}, i64 %whole)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %end, label %advise
advise:
  %a = call i32 @madvise(ptr %new, i64 %whole, i32 14)
  br label %end
end:
  ret ptr %new
}}

define ptr @sciad_zeroed(ptr %context, i64 %count, i64 %size) nounwind {{
  %new = call ptr @calloc(i64 %count, i64 %size)
  ret ptr %new
}}

define ptr @sciad_resize(ptr %context, ptr %block, i64 %size) nounwind {{
  %new = call ptr @realloc(ptr %block, i64 %size)
  ret ptr %new
}}

define void @sciad_give(ptr %context, ptr %block, i64 %size) nounwind {{
entry:
  %large = icmp sge i64 %size, {LEAST}
  %fine = icmp sle i64 %size, {MOST}
  %keep = and i1 %large, %fine
  %place = ptrtoint ptr %block to i64
  %low = and i64 %place, {_HUGE - 1}
  %aligned = icmp eq i64 %low, 0
  %ours = and i1 %keep, %aligned
  br i1 %ours, label %store, label %release
store:
  %second = getelementptr inbounds i8, ptr %block, i64 {_HUGE}
  %rest = sub i64 %size, {_HUGE}
  %pages = and i64 %rest, -4096
  %a = call i32 @madvise(ptr %second, i64 %pages, i32 8)
  store i64 %size, ptr %block
  %turn = atomicrmw add ptr @turn, i64 1 monotonic
  %k = urem i64 %turn, {SLOTS}
  %slot = getelementptr inbounds ptr, ptr @slots, i64 %k
  %displaced = atomicrmw xchg ptr %slot, ptr %block acq_rel
  call void @free(ptr %displaced)
  ret void
release:
  call void @free(ptr %block)
  ret void
}}
"""
