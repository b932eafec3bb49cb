"""Creation: plain arrays outside every transform; inside one, Arrays that take assignments."""

import functools

import numpy as np

from sciad.core.array import FUNCTIONS, Array
from sciad.core.errors import NoRuleError, at_line
from sciad.core.primitive import active
from sciad.numpy.dispatch import as_array, implements, is_followed
from sciad.ops.create import buffer
from sciad.ops.elementwise import exp, log
from sciad.ops.shape import broadcast_to


def _fresh(original):
    """A NumPy function that makes a new array from plain arguments."""

    @functools.wraps(original, updated=())
    def call(*args, **kwargs):
        return buffer(original(*args, **kwargs))

    return call


zeros, ones = _fresh(np.zeros), _fresh(np.ones)
arange, eye, identity = _fresh(np.arange), _fresh(np.eye), _fresh(np.identity)
indices, tri = _fresh(np.indices), _fresh(np.tri)


@functools.wraps(np.empty, updated=())
def empty(*args, **kwargs):
    """Zeros inside a transform: what memory happens to hold is not the same twice."""
    return buffer((np.zeros if active() else np.empty)(*args, **kwargs))


def full(shape, fill_value, dtype=None, **kwargs):
    """``numpy.full``; the value may be differentiated."""
    fill_value = as_array(fill_value) if is_followed(fill_value) else fill_value
    if not isinstance(fill_value, Array):
        return buffer(np.full(shape, fill_value, dtype, **kwargs))
    _refuse("full", kwargs)
    filled = broadcast_to(fill_value if dtype is None else fill_value.astype(dtype), shape)
    return _writable(filled)


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """``numpy.linspace``; the ends may be differentiated (then without `retstep` and `axis`)."""
    if not (is_followed(start) or is_followed(stop)):
        made = np.linspace(start, stop, num, endpoint, retstep, dtype, axis)
        return (buffer(made[0]), made[1]) if retstep else buffer(made)
    _refuse("linspace", {k: v for k, v in (("retstep", retstep), ("axis", axis)) if v})
    start, stop = as_array(start), as_array(stop)
    ndim = len(np.broadcast_shapes(start.shape, stop.shape))
    weights = np.linspace(0.0, 1.0, num, endpoint).reshape((num,) + (1,) * ndim)
    out = start * (1.0 - weights) + stop * weights
    return _writable(out if dtype is None else out.astype(dtype))


def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """``numpy.logspace``; the ends and the base may be differentiated (then without `axis`)."""
    if not any(map(is_followed, (start, stop, base))):
        return buffer(np.logspace(start, stop, num, endpoint, base, dtype, axis))
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    return _writable(_cast(as_array(base) ** exponents, dtype))


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """``numpy.geomspace``; the ends may be differentiated (then they are positive)."""
    if not any(map(is_followed, (start, stop))):
        return buffer(np.geomspace(start, stop, num, endpoint, dtype, axis))
    exponents = linspace(log(as_array(start)), log(as_array(stop)), num, endpoint, axis=axis)
    return _writable(_cast(exp(exponents), dtype))


def _cast(x, dtype):
    return x if dtype is None else x.astype(dtype)


def array(object, dtype=None, *, copy=True, ndmin=0, **kwargs):
    """``numpy.array``; the entries may be differentiated."""
    if not is_followed(object):
        return buffer(np.array(object, dtype, copy=copy, ndmin=ndmin, **kwargs))
    _refuse("array", kwargs)
    out = as_array(object)
    if copy and out is object:
        out = out.copy()
    if dtype is not None and out.dtype != dtype:
        out = out.astype(dtype)
    if len(out.shape) < ndmin:
        out = out.reshape((1,) * (ndmin - len(out.shape)) + out.shape)
    return out if isinstance(out, Array) else buffer(out)


def asarray(a, dtype=None, **kwargs):
    """``numpy.asarray``; an Array stays itself."""
    if not is_followed(a):
        made = np.asarray(a, dtype, **kwargs)
        return made if isinstance(a, np.ndarray) else buffer(made)
    _refuse("asarray", {k: v for k, v in kwargs.items() if v is not None})
    out = as_array(a)
    return out if dtype is None or out.dtype == dtype else out.astype(dtype)


def _refuse(name, kwargs):
    if kwargs:
        raise NoRuleError(f"np.{name} of a differentiated value does not take "
                          f"{', '.join(kwargs)}{at_line()}")


def _writable(x):
    return x.copy() if isinstance(x, Array) else buffer(np.array(x))


def _implements_fresh(original):
    """As `implements`, for what makes new arrays: assignable also where NumPy made them."""

    def decorate(rule):
        dispatched = implements(original)(rule)

        @functools.wraps(original, updated=())
        def call(*args, **kwargs):
            out = dispatched(*args, **kwargs)
            return buffer(out) if isinstance(out, np.ndarray) else out

        return call

    return decorate


def _kind(prototype, dtype, shape) -> dict:
    """Shape and dtype of a prototype, unless others are given."""
    prototype = as_array(prototype)
    return {"shape": prototype.shape if shape is None else shape,
            "dtype": prototype.dtype if dtype is None else dtype}


@_implements_fresh(np.zeros_like)
def zeros_like(a, dtype=None, *, shape=None):
    return zeros(**_kind(a, dtype, shape))


@_implements_fresh(np.ones_like)
def ones_like(a, dtype=None, *, shape=None):
    return ones(**_kind(a, dtype, shape))


@_implements_fresh(np.empty_like)
def empty_like(prototype, dtype=None, *, shape=None):
    return empty(**_kind(prototype, dtype, shape))


@_implements_fresh(np.full_like)
def full_like(a, fill_value, dtype=None, *, shape=None):
    return full(fill_value=fill_value, **_kind(a, dtype, shape))


@_implements_fresh(np.copy)
def copy(a):
    a = as_array(a)
    return a.copy() if isinstance(a, Array) else buffer(np.array(a))


FUNCTIONS[np.linspace] = linspace
FUNCTIONS[np.logspace] = logspace
FUNCTIONS[np.geomspace] = geomspace
