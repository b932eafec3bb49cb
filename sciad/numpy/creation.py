"""Creation: plain arrays outside every transform; inside one, Arrays that take assignments."""

import functools

import numpy as np

from sciad.core.array import FUNCTIONS, Array, plain
from sciad.core.backend import has_memory, home_of, on_any_device, where_lives
from sciad.core.errors import NoRuleError, at_line
from sciad.core.primitive import active
from sciad.numpy.dispatch import as_array, implements, is_followed, require_cpu
from sciad.ops.create import buffer
from sciad.ops.elementwise import exp, log, sign
from sciad.ops.layout import made_like
from sciad.ops.shape import broadcast_to, transpose


def _fresh(original):
    """A NumPy function that makes a new array from plain arguments."""

    @functools.wraps(original, updated=())
    def call(*args, like=None, **kwargs):
        made = original(*args, **kwargs)
        return buffer(made if like is None else where_lives(made, like))

    return call


zeros, ones = _fresh(np.zeros), _fresh(np.ones)
eye, identity = _fresh(np.eye), _fresh(np.identity)
indices, tri = _fresh(np.indices), _fresh(np.tri)


@functools.wraps(np.empty, updated=())
def empty(*args, like=None, **kwargs):
    """Zeros inside a transform: what memory happens to hold is not the same twice."""
    made = (np.zeros if active() else np.empty)(*args, **kwargs)
    return buffer(made if like is None else where_lives(made, like))


_plain_arange = _fresh(np.arange)


@functools.wraps(np.arange, updated=())
def arange(*args, like=None, **kwargs):
    """``numpy.arange``; the ends and the step may be differentiated."""
    if is_followed((*args, *kwargs.values())):
        return _followed_arange(*args, **kwargs)
    return _plain_arange(*args, like=like, **kwargs)


def _followed_arange(start, stop=None, step=1, dtype=None, *, device=None):
    require_cpu(device, "arange")
    start, stop = (0, start) if stop is None else (start, stop)
    start, stop, step = map(as_array, (start, stop, step))
    made = np.arange(*(plain(x, "the length of np.arange") for x in (start, stop, step)))
    return _writable((start + step * np.arange(made.size)).astype(dtype or made.dtype))


def full(shape, fill_value, dtype=None, *, device=None, **kwargs):
    """``numpy.full``; the value may be differentiated."""
    require_cpu(device, "full")
    fill_value = as_array(fill_value) if is_followed(fill_value) else fill_value
    if not isinstance(fill_value, Array):
        return buffer(np.full(shape, fill_value, dtype, **kwargs))
    order = kwargs.pop("order", "C")
    _refuse("full", kwargs)
    filled = broadcast_to(fill_value if dtype is None else fill_value.astype(dtype), shape)
    return _writable(filled, order)


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *,
             device=None):
    """``numpy.linspace``; the ends may be differentiated."""
    require_cpu(device, "linspace")
    if not (is_followed(start) or is_followed(stop)):
        made = np.linspace(start, stop, num, endpoint, retstep, dtype, axis)
        return (buffer(made[0]), made[1]) if retstep else buffer(made)
    kind = np.result_type(*(x if isinstance(x, (int, float, complex)) else as_array(x).dtype
                            for x in (start, stop)))
    kind = kind if kind.kind in "fc" else np.dtype(float)
    start, stop = as_array(start).astype(kind), as_array(stop).astype(kind)
    ndim = len(np.broadcast_shapes(start.shape, stop.shape))
    weights = np.linspace(0.0, 1.0, num, endpoint).reshape((num,) + (1,) * ndim)
    weights = weights.astype(np.empty(0, kind).real.dtype)
    out = start * (1.0 - weights) + stop * weights
    out = _along(out, axis)
    out = _writable(out if dtype is None else out.astype(dtype))
    steps = num - 1 if endpoint else num
    return (out, (stop - start) / (steps or np.nan)) if retstep else out


def _along(x, axis):
    """`x` with its first axis as axis number `axis`."""
    if not axis:
        return x
    order = list(range(1, x.ndim))
    order.insert(axis % x.ndim, 0)
    return transpose(x, order)


def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """``numpy.logspace``; the ends and the base may be differentiated."""
    if not any(map(is_followed, (start, stop, base))):
        return buffer(np.logspace(start, stop, num, endpoint, base, dtype, axis))
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    base = base if isinstance(base, (int, float)) else as_array(base)
    return _writable(_cast(base ** exponents, dtype))


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """``numpy.geomspace``; the ends may be differentiated."""
    if not any(map(is_followed, (start, stop))):
        return buffer(np.geomspace(start, stop, num, endpoint, dtype, axis))
    start, stop = (x.astype(np.result_type(x.dtype, float)) for x in map(as_array, (start, stop)))
    side = sign(start) if start.dtype.kind == "f" else 1.0  # -1 where both ends are negative
    out = exp(linspace(log(start / side), log(stop / side), num, endpoint)) * side
    return _writable(_cast(_along(out, axis), dtype))


def _cast(x, dtype):
    return x if dtype is None else x.astype(dtype)


def array(object, dtype=None, *, copy=True, ndmin=0, **kwargs):
    """``numpy.array``; the entries may be differentiated."""
    if not is_followed(object) and not on_any_device(object):
        return buffer(np.array(object, dtype, copy=copy, ndmin=ndmin, **kwargs))
    order = kwargs.pop("order", None) or "K"
    _refuse("array", kwargs)
    out = as_array(object)
    if order in ("C", "F") or copy and out is object:
        out = out.copy(order)
    if dtype is not None and out.dtype != dtype:
        out = out.astype(dtype)
    if len(out.shape) < ndmin:
        out = out.reshape((1,) * (ndmin - len(out.shape)) + out.shape)
    return out if isinstance(out, Array) else buffer(out)


def asarray(a, dtype=None, *, device=None, copy=None, **kwargs):
    """``numpy.asarray``; an Array stays itself, unless `copy` is True."""
    require_cpu(device, "asarray")
    if copy is not None:
        kwargs["copy"] = copy
    if not is_followed(a) and not on_any_device(a):
        made = np.asarray(a, dtype, **kwargs)
        return made if isinstance(a, np.ndarray) else buffer(made)
    kwargs.pop("copy", None)
    _refuse("asarray", {k: v for k, v in kwargs.items() if v is not None})
    out = as_array(a)
    if dtype is not None and out.dtype != dtype:
        return out.astype(dtype)
    return out.copy() if copy else out


def _refuse(name, kwargs):
    if kwargs:
        raise NoRuleError(f"np.{name} of a differentiated value does not take "
                          f"{', '.join(kwargs)}{at_line()}")


def _writable(x, order="C"):
    return x.copy(order) if isinstance(x, Array) else buffer(np.array(x, order=order))


def _implements_fresh(original):
    """As `implements`, for what makes new arrays: assignable also where NumPy made them."""

    def decorate(rule):
        dispatched = implements(original)(rule)

        @functools.wraps(original, updated=())
        def call(*args, **kwargs):
            out = dispatched(*args, **kwargs)
            return buffer(out) if has_memory(out) else out

        return call

    return decorate


def _kind(prototype, dtype, shape) -> dict:
    """Shape and dtype of a prototype, unless others are given."""
    prototype = as_array(prototype)
    return {"shape": prototype.shape if shape is None else shape,
            "dtype": prototype.dtype if dtype is None else dtype}


def _as(prototype, made, shape):
    """What was made of a prototype, in its order in memory."""
    prototype = as_array(prototype)
    if shape is not None or prototype.ndim < 2 or home_of(made) is not None \
            or not isinstance(made, Array):
        return made
    return made_like(made, prototype)


@_implements_fresh(np.zeros_like)
def zeros_like(a, dtype=None, *, shape=None, device=None):
    return _as(a, zeros(**_kind(a, dtype, shape), device=device, like=a), shape)


@_implements_fresh(np.ones_like)
def ones_like(a, dtype=None, *, shape=None, device=None):
    return _as(a, ones(**_kind(a, dtype, shape), device=device, like=a), shape)


@_implements_fresh(np.empty_like)
def empty_like(prototype, dtype=None, *, shape=None, device=None):
    made = empty(**_kind(prototype, dtype, shape), device=device, like=prototype)
    return _as(prototype, made, shape)


@_implements_fresh(np.full_like)
def full_like(a, fill_value, dtype=None, *, shape=None, device=None):
    if home_of(a) is not None:
        out = zeros_like(a, dtype, shape=shape, device=device)
        out[...] = fill_value
        return out
    return _as(a, full(fill_value=fill_value, **_kind(a, dtype, shape), device=device), shape)


@_implements_fresh(np.copy)
def copy(a, order="K"):
    a = as_array(a)
    return a.copy(order) if isinstance(a, Array) else buffer(a.copy(order))


FUNCTIONS[np.linspace] = linspace
FUNCTIONS[np.logspace] = logspace
FUNCTIONS[np.geomspace] = geomspace
