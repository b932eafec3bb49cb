"""A stand-in for CuPy: arrays on a "device" that NumPy cannot see into.

It has what CuPy 14.2 has (`cupy_api`), computes with NumPy, and refuses what CuPy refuses:
conversion to NumPy other than by ``.get()``, NumPy arrays among the operands, scalars where CuPy
wants arrays, functions, parameters, dtypes and attributes that CuPy lacks. Reductions and scalar
reads give 0-d arrays. Where CuPy leaves open which of several values written to one place stays,
the first does here, as it never does in NumPy. Each time that CuPy would wait for its device,
`syncs` counts.
"""

import functools
import operator
import types

import numpy as np
import scipy.special

from sciad.core.backend import register_backend
from tests.backend.cupy_api import ATTRIBUTES, FUNCTIONS, UFUNCS

NUMBERS = (bool, int, float, complex, np.bool_, np.number)


class Syncs:
    """How often the program waited for the device."""

    count = 0


class Entries:
    """How many entries were allocated on the device."""

    count = 0


def wait():
    Syncs.count += 1


class StrictArray:
    """What ``cupy.ndarray`` is to CuPy."""

    __array_priority__ = 100
    __hash__ = None
    __slots__ = ("_a", "base", "__weakref__")

    def __init__(self, host, base=None):
        self._a = host
        self.base = base
        if base is None:
            Entries.count += host.size

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
                        "to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        found = getattr(strict, ufunc.__name__, None)
        if method != "__call__" or found is None:
            return NotImplemented
        if not all(isinstance(x, (StrictArray, np.ndarray, *NUMBERS)) for x in inputs):
            return NotImplemented
        return found(*inputs, **kwargs)

    def __array_function__(self, function, kinds, args, kwargs):
        try:
            module = functools.reduce(getattr, function.__module__.split(".")[1:], strict)
            found = getattr(module, function.__name__)
        except AttributeError:
            return NotImplemented
        if found is function or any(kind not in (StrictArray, np.ndarray) for kind in kinds):
            return NotImplemented
        return found(*args, **kwargs)

    def get(self):
        wait()
        return self._a.copy()

    def item(self, *index):
        wait()
        return self._a.item(*index)

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __complex__(self):
        return complex(self.get())

    def __repr__(self):
        return repr(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __deepcopy__(self, memo):
        return self.copy()

    def __getitem__(self, index):
        return wrap(self._a[_index(index)], self)

    def __setitem__(self, index, value):
        value = _value(value)
        index = _index(index)
        entries = index if isinstance(index, tuple) else (index,)
        if not any(isinstance(x, np.ndarray) for x in entries):
            self._a[index] = value
            return
        places = np.arange(self._a.size).reshape(self._a.shape)[index]
        value = np.broadcast_to(value, places.shape)
        self._a.reshape(-1)[places.ravel()[::-1]] = value.ravel()[::-1]

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        return wrap(self._a.astype(dtype, copy=copy), self)

    def view(self, dtype=None):
        return wrap(self._a.view(dtype) if dtype is not None else self._a.view(), self)

    def fill(self, value):
        self._a.fill(_value(value))

    def scatter_add(self, index, value):
        _require_atomics(self, "add", "fcFC")
        np.add.at(self._a, _index(index), _value(value))

    def scatter_max(self, index, value):
        _require_atomics(self, "maximum", "f")
        np.maximum.at(self._a, _index(index), _value(value))

    @property
    def flags(self):
        flags = self._a.flags
        return types.SimpleNamespace(c_contiguous=flags.c_contiguous,
                                     f_contiguous=flags.f_contiguous, owndata=self.base is None)

    @property
    def data(self):
        raise NotImplementedError("device memory")


def _require_atomics(x, name, kinds):
    """What CUDA's atomic functions take: no 64-bit integers with a sign."""
    known = {"u4", "u8", "i4", "f4", "f8"} | ({"c8", "c16"} if "c" in kinds else set())
    if x.dtype.str[1:] not in known:
        raise TypeError(f"scatter_{name} does not take {x.dtype}")


def _index(index):
    """An index in NumPy's terms: lists and arrays of integers or truth values may stand in it."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, StrictArray):
        if index._a.dtype == bool:
            wait()
        return index._a
    if isinstance(index, slice):
        for bound in (index.start, index.stop, index.step):
            if bound is not None:
                operator.index(bound)
    return np.asarray(index) if isinstance(index, list) and index else index


def _value(x):
    if isinstance(x, StrictArray):
        return x._a
    if isinstance(x, NUMBERS):
        return x
    raise ValueError(f"a {type(x).__name__} cannot be used for fill")


def wrap(x, *sources):
    """A result of NumPy's as one of the device's; what shares memory with a source is its view."""
    if isinstance(x, tuple | list):
        return type(x)(*(wrap(y, *sources) for y in x)) if hasattr(x, "_fields") else type(x)(
            wrap(y, *sources) for y in x)
    if isinstance(x, np.generic):
        return StrictArray(np.array(x))
    if not isinstance(x, np.ndarray):
        return x
    for source in sources:
        if x is source._a:
            return source
        if x.base is not None and np.may_share_memory(x, source._a):
            return StrictArray(x, source if source.base is None else source.base)
    return StrictArray(x)


def host(x):
    """An operand in NumPy's terms; NumPy's own arrays are refused."""
    if isinstance(x, StrictArray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}")
    if isinstance(x, (tuple, list)):
        return type(x)(map(host, x))
    return x


def _arrays(x):
    """The device arrays among operands."""
    if isinstance(x, StrictArray):
        return [x]
    if isinstance(x, (tuple, list)):
        return [array for entry in x for array in _arrays(entry)]
    return []


# --- functions ------------------------------------------------------------------------------------


def _ufunc(name, original, kind):
    """A ufunc with loops up to numbers of a kind."""
    allowed = {"integer": "?biu", "real": "?biuf", "complex": "?biufc"}[kind]

    def call(*args, **kwargs):
        values = [host(x) for x in args]
        for x in values:
            if not isinstance(x, (np.ndarray, *NUMBERS)):
                raise TypeError(f"Unsupported type {type(x)}")
            if np.result_type(x).kind not in allowed:
                raise TypeError(f"Wrong type ({np.result_type(x)}) of arguments for cupy_{name}")
        keywords = {k: host(x) for k, x in kwargs.items() if k != "out"}
        with np.errstate(all="ignore"):
            out = wrap(original(*values, **keywords), *_arrays(args))
        if kwargs.get("out") is None:
            return out
        (target,) = kwargs["out"] if isinstance(kwargs["out"], tuple) else (kwargs["out"],)
        target[...] = out
        return target

    def at(x, index, value):
        {"add": x.scatter_add, "maximum": x.scatter_max}[name](index, value)

    call.__name__, call.at, call.nin = name, at, getattr(original, "nin", 1)
    return call


CREATION = frozenset(("arange array asarray ascontiguousarray diag_indices empty eye full identity "
                      "indices linspace logspace ones tri tril_indices triu_indices zeros "
                      "result_type can_cast promote_types shares_memory may_share_memory "
                      "common_type ndim shape size").split())
JOINS = frozenset(("append block column_stack concat concatenate dstack hstack ix_ lexsort "
                   "meshgrid row_stack stack vstack").split())
WAITS = frozenset("argwhere extract flatnonzero nonzero trim_zeros unique unique_all unique_counts "
                  "unique_inverse unique_values union1d bincount histogram repeat".split())


def _function(name, original, parameters):
    """A function with CuPy's parameters."""
    names = parameters.split()
    open_ended = any(p.startswith("*") for p in names)

    def call(*args, **kwargs):
        if not open_ended and (len(args) > len(names) or not set(kwargs) <= set(names)):
            raise TypeError(f"{name}() got unexpected arguments: {args[len(names):]} "
                            f"{set(kwargs) - set(names)}")
        _require_arrays(name, [*args, *kwargs.values()])
        if name in WAITS:
            wait()
        with np.errstate(all="ignore"):
            out = _call(original, list(map(host, args)), {k: host(x) for k, x in kwargs.items()})
        return wrap(out, *_arrays([*args, *kwargs.values()]))

    call.__name__ = name
    return call


def _call(original, positional, keywords):
    """cuSOLVER does not raise where a matrix is singular."""
    try:
        return original(*positional, **keywords)
    except np.linalg.LinAlgError as error:
        if "ingular" not in str(error) and "positive definite" not in str(error):
            raise
        shape = np.shape((positional or list(keywords.values()))[-1])
        return np.full(shape, np.nan)


def _require_arrays(name, values):
    if name in CREATION or not values:
        return
    first = values[0]
    if name == "einsum":
        first = values[1]
    if name in JOINS:
        parts = first if isinstance(first, (tuple, list)) else values
        if not all(isinstance(x, StrictArray) for x in parts):
            raise TypeError("Only cupy arrays can be concatenated")
    elif not isinstance(first, StrictArray) and not isinstance(first, (tuple, list)):
        raise TypeError(f"{name}: Unsupported type {type(first)}")


def _searchsorted(a, v, side="left", sorter=None):
    if not isinstance(v, (StrictArray, int, float, complex)) or not isinstance(a, StrictArray):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    return wrap(np.asarray(np.searchsorted(a._a, host(v), side)))


def _where(condition, x=None, y=None):
    if not isinstance(condition, StrictArray):
        raise AttributeError("where: the condition must be an array")
    if x is None and y is None:
        wait()
        return wrap(np.nonzero(condition._a))
    return wrap(np.asarray(np.where(condition._a, host(x), host(y))))


def _solve(a, b):
    """No broadcasting of stacks."""
    for x in (a, b):
        if not isinstance(x, StrictArray):
            raise TypeError("cupy.linalg only supports cupy.ndarray")
    if b.ndim != 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
    return wrap(_call(np.linalg.solve, [a._a, b._a], {}))


def _asarray(a, dtype=None, order=None, copy=None, blocking=False):
    if isinstance(a, StrictArray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    if isinstance(a, (tuple, list)) and _arrays(a):
        return wrap(np.array([host(x) for x in a], dtype))
    return StrictArray(np.array(a, dtype))


def _array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, blocking=False):
    out = _asarray(obj, dtype)
    return out.copy() if out is obj and copy else out


def _module(name, original, key):
    module = types.ModuleType(name)
    for function, parameters in FUNCTIONS[key].items():
        setattr(module, function, _function(function, getattr(original, function), parameters))
    for kind, names in UFUNCS.get(key, {}).items():
        for ufunc in names.split():
            setattr(module, ufunc, _ufunc(ufunc, getattr(original, ufunc), kind))
    return module


strict = _module("strict", np, "")
strict.linalg = _module("strict.linalg", np.linalg, "linalg")
strict.fft = _module("strict.fft", np.fft, "fft")
strict.linalg.solve = _solve
strict.searchsorted, strict.where = _searchsorted, _where
strict.asarray, strict.array, strict.ndarray = _asarray, _array, StrictArray
strict.asnumpy = lambda x: x.get()
for _name in ("inf", "nan", "pi", "e", "newaxis", "float64", "float32", "complex128", "int64"):
    setattr(strict, _name, getattr(np, _name))
special = _module("strict.special", scipy.special, "special")


# --- operators, attributes, methods ---------------------------------------------------------------


def _operator(name, ufunc):
    def forward(self, other):
        if not isinstance(other, (StrictArray, np.ndarray, *NUMBERS)):
            return NotImplemented
        return getattr(strict, ufunc)(self, other)

    def reflected(self, other):
        return getattr(strict, ufunc)(other, self)

    def in_place(self, other):
        self[...] = getattr(strict, ufunc)(self, other).astype(self.dtype)
        return self

    setattr(StrictArray, f"__{name}__", forward)
    if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(StrictArray, f"__r{name}__", reflected)
        setattr(StrictArray, f"__i{name}__", in_place)


def _attribute(name):
    def read(self):
        return wrap(getattr(self._a, name), self)

    return property(read)


def _method(name):
    def call(self, *args, **kwargs):
        if name in WAITS:
            wait()
        with np.errstate(all="ignore"):
            out = getattr(self._a, name)(*map(host, args),
                                         **{k: host(x) for k, x in kwargs.items()})
        return wrap(out, self)

    return call


def _install():
    for name, ufunc in {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
        "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "and": "bitwise_and",
        "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
        "ne": "not_equal", "matmul": "matmul",
    }.items():
        _operator(name, ufunc)
    StrictArray.__neg__ = lambda self: strict.negative(self)
    StrictArray.__pos__ = lambda self: strict.positive(self)
    StrictArray.__abs__ = lambda self: strict.absolute(self)
    StrictArray.__invert__ = lambda self: strict.invert(self)
    for name in ATTRIBUTES.split():
        if hasattr(StrictArray, name) or not hasattr(np.ndarray, name):
            continue
        method = callable(getattr(np.ndarray, name))
        setattr(StrictArray, name, _method(name) if method else _attribute(name))


_install()
register_backend(StrictArray, "cupy", strict, special, strict.asnumpy)
