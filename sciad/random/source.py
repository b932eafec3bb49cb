"""Where random numbers come from: a NumPy Generator, or a key; the standard draws of both."""

from typing import Any

import numpy as np

from sciad.core.array import Array, has_data, plain
from sciad.core.backend import asnumpy
from sciad.core.errors import ArgumentError, DTypeError, RecordError, at_line
from sciad.core.record import recording
from sciad.core.structure import Frozen
from sciad.ops.control import check_p
from sciad.ops.elementwise import astype, cos, greater, greater_equal, log, sin, sqrt
from sciad.ops.operators import pack_plain
from sciad.ops.reduce import all_
from sciad.ops.shape import concatenate, require_broadcast, reshape
from sciad.random.keys import Key, random_bits, require_key, whole
from sciad.random.threefry import unit

Source = np.random.Generator | Key


def require_source(source: Any, name: str) -> Source:
    """`source`, if one can draw from it here and now."""
    if isinstance(source, np.random.Generator):
        if recording():
            raise RecordError(
                f"{name} draws from a NumPy Generator{at_line()}, whose numbers would become "
                "constants of the compiled function; pass a key: sciad.random.key(seed), and "
                "sciad.random.split or fold_in for the next one")
        return source
    if isinstance(source, Key):
        return require_key(source, name)
    raise DTypeError(f"{name}: the source of random numbers is a {type(source).__name__}, must be "
                     f"a NumPy Generator (np.random.default_rng(seed)) or a key (sciad.random.key("
                     f"seed)){at_line()}")


def uniforms(source: Source, shape: tuple[int, ...]) -> Any:
    """Uniform draws from the open interval (0, 1)."""
    if isinstance(source, Key):
        return reshape(unit(random_bits(source, _size(shape))), shape)
    return unit(source.integers(-2**63, 2**63, shape, np.int64))


def normals(source: Source, shape: tuple[int, ...]) -> Any:
    """Standard normal draws. Of a key two at a time, by Box and Muller (1958), from uniform u, v:

        sqrt(-2 log u) cos(2 pi v),    sqrt(-2 log u) sin(2 pi v)
    """
    if not isinstance(source, Key):
        return np.asarray(source.standard_normal(shape))[()]
    size = _size(shape)
    half = (size + 1) // 2
    both = unit(random_bits(source, 2 * half))
    radius, angle = sqrt(-2.0 * log(both[:half])), 2.0 * np.pi * both[half:]
    pairs = concatenate([radius * cos(angle), radius * sin(angle)], 0)
    return reshape(pairs[:size] if size < 2 * half else pairs, shape)


def exponentials(source: Source, shape: tuple[int, ...]) -> Any:
    """Standard exponential draws."""
    return -log(uniforms(source, shape))


def _size(shape) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


# --- parameters -----------------------------------------------------------------------------------


def parameters(name: str, *values: Any) -> list:
    """The parameters of a distribution as arrays of one dtype; Python numbers adapt."""
    packed = [pack_plain(x) for x in values]
    for x in packed:
        if x.dtype.kind not in "biuf":
            raise DTypeError(f"{name}: a parameter has dtype {x.dtype}, must be real{at_line()}")
    strong = [x.dtype for x, value in zip(packed, values, strict=True)
              if not isinstance(value, (bool, int, float)) and x.dtype.kind == "f"]
    dtype = np.result_type(*strong) if strong else np.dtype(float)
    return [_of_dtype(x, dtype) for x in packed]


def _of_dtype(x, dtype):
    if x.dtype != dtype:
        return astype(x, dtype=dtype)
    return x if isinstance(x, Array) else x[()]


def like(noise: Any, x: Any) -> Any:
    """Draws in the dtype of a parameter."""
    return noise if noise.dtype == x.dtype else astype(noise, dtype=x.dtype)


class Rows:
    """The leading shape of a stack of vectors or matrices, for `shape_for`."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape


def shape_for(name: str, shape: Any, *given: Any) -> tuple[int, ...]:
    """The shape of a draw: as asked, or that of the parameters together."""
    shapes = [x.shape for x in given]
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ArgumentError(f"{name}: parameters of shapes {shapes} do not go together"
                            f"{at_line()}") from None
    if shape is None:
        return common
    shape = extents(name, shape)
    require_broadcast(common, shape)
    return shape


def extents(name: str, shape: Any) -> tuple[int, ...]:
    """A shape as the user gave it: an int, or several in a tuple, list or array."""
    if isinstance(shape, np.ndarray) and shape.ndim == 1:
        shape = shape.tolist()
    if isinstance(shape, (tuple, list)):
        return tuple(whole(name, f"shape={shape!r} has an entry that", n) for n in shape)
    return (whole(name, f"shape={shape!r}", shape, "an int or a tuple of ints"),)


def require(x: Any, ok: Any, text: str, **given: Any) -> Any:
    """`x`, once all of `ok` is known to hold; a compiled program raises when it runs.

    The message tells `x`, or what is `given` instead.
    """
    every = all_(ok)
    if isinstance(every, Array) and not has_data(every):
        error = ArgumentError(f"{text}{at_line()}")
        vars(error)["eager_knows_more"] = True  # the values: jit then calls the function itself
        return check_p(x, every, exception=Frozen(error))
    if not plain(every):
        got = " and ".join(f"{name}={_first_bad(value, ok)}" for name, value in given.items())
        raise ArgumentError(f"{text}, got {got or _first_bad(x, ok)}{at_line()}")
    return x


def _first_bad(x, ok) -> str:
    """A parameter; of many numbers the first that is refused."""
    x, ok = asnumpy(plain(x)), asnumpy(plain(ok))
    if x.size <= 1 or not ok.any():
        return f"{x}"
    x, ok = np.broadcast_arrays(x, ok)
    place = tuple(np.argwhere(~ok)[0].tolist())
    return f"{x[place]} at {list(place)}"


def require_scale(scale: Any, name: str) -> Any:
    return require(scale, greater_equal(scale, 0.0), f"{name}: the scale must be at least 0")


def require_positive(x: Any, name: str, what: str) -> Any:
    return require(x, greater(x, 0.0), f"{name}: {what} must be positive")
