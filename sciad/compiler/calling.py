"""The door from Python into a compiled function.

``entry_text`` spells, in LLVM, a function with CPython's fast calling convention

    PyObject *entry(PyObject *self, PyObject *const *args, Py_ssize_t n)

that unpacks the arguments, calls the kernel and packs its scalar results; ``builtin`` makes it a
Python object.  So a call costs what a call of a C extension costs.  An array's data pointer is
read straight from its ``PyArrayObject``; ``layout_known`` checks once that it is where we read it,
and where it is not, ``foreign`` reaches the same kernel through ctypes.

What comes back: without results, None; one ``f64``, ``f32`` or ``i1``, a Python float or bool;
an ``i64`` or several results, a tuple.  A status other than 0 comes back as a Python int, which is
none of these.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from sciad.compiler.scalars import DTYPES, KIND
from sciad.compiler.spelling import LLVM_TYPES, STORED
from sciad.core.errors import SciadError

_DATA, _TYPE = 16, 8  # byte offsets in PyArrayObject


@dataclass(frozen=True, slots=True)
class Entry:
    """How Python calls ``function``.

    ``params``: one kind for each parameter: a scalar type, ``array`` or ``ptr`` (an address, as an
    int).  ``results``: the scalar types of the kernel's last parameters, each a buffer of one
    element that the entry supplies.  ``nogil``: release the GIL around the kernel.
    """

    function: str
    params: tuple[str, ...]
    results: tuple[str, ...] = ()
    nogil: bool = False

    @property
    def symbol(self) -> str:
        return f"{self.function}..entry"


def layout_known() -> bool:
    """Whether the data pointer and the type of an array are where the entries read them."""
    probe = np.empty(3)
    return (
        ctypes.c_void_p.from_address(id(probe) + _DATA).value == probe.ctypes.data
        and ctypes.c_void_p.from_address(id(probe) + _TYPE).value == id(np.ndarray)
    )


_API = {
    "PyFloat_AsDouble": "double (ptr)", "PyLong_AsLongLong": "i64 (ptr)",
    "PyLong_AsUnsignedLongLongMask": "i64 (ptr)", "PyLong_FromUnsignedLongLong": "ptr (i64)",
    "PyLong_AsVoidPtr": "ptr (ptr)", "PyObject_IsTrue": "i32 (ptr)", "PyErr_Occurred": "ptr ()",
    "PyErr_SetString": "void (ptr, ptr)", "PyFloat_FromDouble": "ptr (double)",
    "PyLong_FromLongLong": "ptr (i64)", "PyBool_FromLong": "ptr (i64)", "PyTuple_New": "ptr (i64)",
    "PyTuple_SetItem": "i32 (ptr, i64, ptr)", "Py_IncRef": "void (ptr)",
    "PyEval_SaveThread": "ptr ()", "PyEval_RestoreThread": "void (ptr)",
}  # fmt: skip
_OBJECTS = ("PyArray_Type", "PyExc_TypeError", "Py_None")
EXTERNALS = (*_API, *_OBJECTS)


def declarations() -> list[str]:
    """What a module with entries declares."""
    lines = [f"declare {s.replace(' (', f' @{name}(')} #1" for name, s in _API.items()]
    return lines + [f"@{name} = external global i8" for name in _OBJECTS]


class _Text:
    """The lines of one entry."""

    def __init__(self, entry: Entry):
        self.entry = entry
        self.lines: list[str] = []
        self.globals: list[str] = []

    def emit(self, *lines: str) -> None:
        self.lines += [f"  {line}" for line in lines]

    def error(self, label: str, message: str) -> None:
        """A block that raises TypeError."""
        data = message.encode() + b"\0"
        name = f"@{self.entry.symbol}..{label}"
        spelled = "".join(f"\\{byte:02X}" for byte in data)
        self.globals.append(f'{name} = private constant [{len(data)} x i8] c"{spelled}"')
        self.lines.append(f"{label}:")
        self.emit(f"call void @PyErr_SetString(ptr @PyExc_TypeError, ptr {name})", "ret ptr null")

    def argument(self, k: int, kind: str) -> str:
        """Unpack argument ``k``; gives the operand to hand to the kernel."""
        self.emit(f"%slot{k} = getelementptr inbounds ptr, ptr %args, i64 {k}",
                  f"%arg{k} = load ptr, ptr %slot{k}")
        if kind == "array":
            self.emit(f"%type{k} = getelementptr inbounds i8, ptr %arg{k}, i64 {_TYPE}",
                      f"%is{k} = load ptr, ptr %type{k}",
                      f"%good{k} = icmp eq ptr %is{k}, @PyArray_Type",
                      f"br i1 %good{k}, label %next{k}, label %wrong{k}")
            self.error(f"wrong{k}", f"{self.entry.function}: argument {k + 1} must be "
                                    "a numpy.ndarray")
            self.lines.append(f"next{k}:")
            self.emit(f"%data{k} = getelementptr inbounds i8, ptr %arg{k}, i64 {_DATA}",
                      f"%x{k} = load ptr, ptr %data{k}")
            return f"ptr %x{k}"
        reader, type, failed = {
            "f": ("PyFloat_AsDouble", "double", f"fcmp oeq double %v{k}, -1.0"),
            "i": ("PyLong_AsLongLong", "i64", f"icmp eq i64 %v{k}, -1"),
            "u": ("PyLong_AsUnsignedLongLongMask", "i64", f"icmp eq i64 %v{k}, -1"),
            "b": ("PyObject_IsTrue", "i32", f"icmp eq i32 %v{k}, -1"),
            "p": ("PyLong_AsVoidPtr", "ptr", f"icmp eq ptr %v{k}, null"),
        }["b" if kind == "i1" else kind[0]]
        self.emit(f"%v{k} = call {type} @{reader}(ptr %arg{k})", f"%odd{k} = {failed}",
                  f"br i1 %odd{k}, label %check{k}, label %next{k}")
        self.lines.append(f"check{k}:")
        self.emit(f"%raised{k} = call ptr @PyErr_Occurred()",
                  f"%fine{k} = icmp eq ptr %raised{k}, null",
                  f"br i1 %fine{k}, label %next{k}, label %fail")
        self.lines.append(f"next{k}:")
        if LLVM_TYPES[kind] == type if kind != "ptr" else True:
            return f"{type} %v{k}"
        narrow = "fptrunc" if kind == "f32" else "trunc"
        self.emit(f"%x{k} = {narrow} {type} %v{k} to {LLVM_TYPES[kind]}")
        return f"{LLVM_TYPES[kind]} %x{k}"

    def boxed(self, k: int, kind: str) -> str:
        """Make the Python object of result ``k``."""
        stored = STORED[kind]
        self.emit(f"%r{k} = load {stored}, ptr %out{k}")
        value, maker = f"%r{k}", "PyFloat_FromDouble"
        if kind[0] == "u":
            maker = "PyLong_FromUnsignedLongLong"
        elif kind[0] == "i":
            maker = "PyBool_FromLong" if kind == "i1" else "PyLong_FromLongLong"
        wide = "double" if kind[0] == "f" else "i64"
        if stored != wide:
            widen = {"f": "fpext", "u": "zext", "i": "sext"}[kind[0]]
            self.emit(f"%w{k} = {widen} {stored} %r{k} to {wide}")
            value = f"%w{k}"
        self.emit(f"%o{k} = call ptr @{maker}({wide} {value})")
        return f"%o{k}"


def entry_text(entry: Entry) -> list[str]:
    """The LLVM text of an entry."""
    t = _Text(entry)
    count = len(entry.params)
    t.emit(*(f"%out{k} = alloca {STORED[kind]}" for k, kind in enumerate(entry.results)),
           f"%right = icmp eq i64 %n, {count}", "br i1 %right, label %unpack, label %number")
    t.error("number", f"{entry.function} takes {count} argument{'s' * (count != 1)}")
    t.lines.append("unpack:")
    operands = [t.argument(k, kind) for k, kind in enumerate(entry.params)]
    operands += [f"ptr %out{k}" for k in range(len(entry.results))]
    if entry.nogil:
        t.emit("%thread = call ptr @PyEval_SaveThread()")
    t.emit(f"%status = call i64 @{entry.function}({', '.join(operands)}) noinline")
    if entry.nogil:
        t.emit("call void @PyEval_RestoreThread(ptr %thread)")
    t.emit("%done = icmp eq i64 %status, 0", "br i1 %done, label %pack, label %stop")
    t.lines.append("stop:")
    t.emit("%number.status = call ptr @PyLong_FromLongLong(i64 %status)", "ret ptr %number.status")
    t.lines.append("fail:")
    t.emit("ret ptr null")
    t.lines.append("pack:")
    _pack(t, entry.results)
    head = f'define ptr @{entry.symbol}(ptr %self, ptr %args, i64 %n) #1 {{'
    return [*t.globals, head, *t.lines, "}"]


def _pack(t: _Text, results: tuple[str, ...]) -> None:
    if not results:
        t.emit("call void @Py_IncRef(ptr @Py_None)", "ret ptr @Py_None")
        return
    objects = [t.boxed(k, kind) for k, kind in enumerate(results)]
    if not in_tuple(results):
        t.emit(f"ret ptr {objects[0]}")
        return
    t.emit(f"%tuple = call ptr @PyTuple_New(i64 {len(objects)})")
    for k, value in enumerate(objects):
        t.emit(f"%set{k} = call i32 @PyTuple_SetItem(ptr %tuple, i64 {k}, ptr {value})")
    t.emit("ret ptr %tuple")


def in_tuple(results: tuple[str, ...]) -> bool:
    """Whether the results come in a tuple: an int alone would look like a status."""
    return len(results) > 1 or KIND[results[0]] == "i"


# ---- the Python objects --------------------------------------------------------------------------


class _MethodDef(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p),
                ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


_METH_FASTCALL = 0x80


def builtin(address: int, name: str, owner):
    """The Python function at ``address``; ``owner`` lives as long as it does (``__self__``).

    ``owner.method_definitions`` keeps the record that CPython reads by pointer.
    """
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    definition = _MethodDef(name.encode(), address, _METH_FASTCALL, None)
    owner.method_definitions.append(definition)
    return make(ctypes.addressof(definition), owner, None)


_C_TYPES = {"f64": ctypes.c_double, "f32": ctypes.c_float, "i64": ctypes.c_int64,
            "i32": ctypes.c_int32, "i16": ctypes.c_int16, "i8": ctypes.c_int8,
            "u64": ctypes.c_uint64, "u32": ctypes.c_uint32, "u16": ctypes.c_uint16,
            "u8": ctypes.c_uint8, "i1": ctypes.c_bool}  # fmt: skip


def foreign(address: int, entry: Entry, owner):
    """The same function through ctypes, for a Python whose arrays are laid out otherwise."""
    kinds = [_C_TYPES.get(kind, ctypes.c_void_p) for kind in entry.params]
    prototype = ctypes.CFUNCTYPE if entry.nogil else ctypes.PYFUNCTYPE
    signature = kinds + [ctypes.c_void_p] * len(entry.results)
    kernel = prototype(ctypes.c_int64, *signature)(address)
    kernel.owner = owner

    def call(*args):
        if len(args) != len(entry.params):
            raise TypeError(f"{entry.function} takes {len(entry.params)} arguments")
        slots = [np.empty(1, DTYPES[kind]) for kind in entry.results]
        values = [_unpack(entry, k, arg) for k, arg in enumerate(args)]
        status = kernel(*values, *(slot.ctypes.data for slot in slots))
        if status:
            return status
        results = tuple(slot.item() for slot in slots)
        if not results:
            return None
        return results if in_tuple(entry.results) else results[0]

    return call


def _unpack(entry: Entry, k: int, value):
    kind = entry.params[k]
    if kind == "array":
        if type(value) is not np.ndarray:
            raise TypeError(f"{entry.function}: argument {k + 1} must be a numpy.ndarray")
        return value.ctypes.data
    if kind == "i1":
        return bool(value)
    return _C_TYPES.get(kind, ctypes.c_void_p)(value)


def check_entry(entry: Entry, params: list[tuple[str, str]]) -> None:
    """Raise unless the entry's kinds fit the parameters of its function."""
    kinds = list(entry.params) + ["array"] * len(entry.results)
    fits = len(kinds) == len(params) and all(
        kind == type or (kind == "array" and type.startswith("ptr<"))
        for kind, (_, type) in zip(kinds, params, strict=True)
    )
    if not fits:
        raise SciadError(
            f"entry of {entry.function}: kinds {kinds} do not fit the parameters {params}"
        )
