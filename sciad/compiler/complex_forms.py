"""The primitives on complex numbers, in real primitives: one table.

A form is given the `Writer` and the operands, complex ones as `Z`, real ones as `Real`, and gives
the result (a list, for a primitive with several).

A real operand of an elementwise operation counts as a complex number with imaginary part 0, and the
products with this 0 are made, as NumPy does: they tell where infinities and NaNs come out. In
products of matrices a real matrix is multiplied by both parts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciad.compiler import complex_math as cm
from sciad.compiler.parts import Real, Value, Writer, Z, as_complex, cast, where
from sciad.core.graph import Literal
from sciad.core.primitive import Primitive
from sciad.core.transforms import stop_p
from sciad.ops import elementwise as e
from sciad.ops import functions, indexing, reduce, shape
from sciad.ops.control.stopping import assume_p, check_p
from sciad.ops.control.values import weaken_p
from sciad.ops.factor import solve_p
from sciad.ops.products import matmul_p

FORMS: dict[Primitive, Callable] = {}


def form(*primitives: Primitive):
    """Register the decorated function as the form of primitives."""
    def register(function):
        for primitive in primitives:
            FORMS[primitive] = function
        return function

    return register


# --- elementwise ----------------------------------------------------------------------------------

OF_ONE = {
    e.negative: cm.negative, e.positive: lambda z: z, e.conj: cm.conj, e.square: cm.square,
    e.reciprocal: cm.reciprocal, e.absolute: cm.absolute, e.sign: cm.sign, e.exp: cm.exp,
    e.expm1: cm.expm1, e.log: cm.log, e.log2: cm.log2, e.log10: cm.log10, e.log1p: cm.log1p,
    e.sqrt: cm.sqrt, e.sin: cm.sin, e.cos: cm.cos, e.tan: cm.tan, e.arcsin: cm.arcsin,
    e.arccos: cm.arccos, e.arctan: cm.arctan, e.sinh: cm.sinh, e.cosh: cm.cosh, e.tanh: cm.tanh,
    functions.arcsinh: cm.arcsinh, functions.arccosh: cm.arccosh,
    functions.arctanh: cm.arctanh, e.isfinite: cm.isfinite, e.isnan: cm.isnan, e.isinf: cm.isinf,
    e.logical_not: lambda z: ~cm.truth(z), e.real: lambda z: z.re, e.imag: lambda z: z.im,
}
OF_TWO = {
    e.add: cm.add, e.subtract: cm.subtract, e.multiply: cm.multiply, e.divide: cm.divide,
    e.maximum: cm.maximum, e.minimum: cm.minimum, e.less: cm.less, e.less_equal: cm.less_equal,
    e.greater: cm.greater, e.greater_equal: cm.greater_equal, e.equal: cm.equal,
    e.not_equal: cm.not_equal,
}


def _register_elementwise():
    for primitive, function in OF_ONE.items():
        FORMS[primitive] = lambda to, z, f=function: f(z)
    for primitive, function in OF_TWO.items():
        FORMS[primitive] = lambda to, z, w, f=function: f(*_together(to, z, w))
    for primitive in (e.logical_and, e.logical_or, e.logical_xor):
        FORMS[primitive] = lambda to, z, w, p=primitive: to(p, _truth(z), _truth(w))


def _together(to: Writer, *operands: Value) -> list[Z]:
    """Operands by parts of the dtype that NumPy computes in."""
    if to.out.dtype.kind == "c":
        dtype = to.dtype
    else:
        kinds = [x.re.type if isinstance(x, Z) else x.type for x in operands]
        strong = [t.dtype for t in kinds if not t.weak] or [t.dtype for t in kinds]
        dtype = np.result_type(*strong, np.float32)
    return [as_complex(to, x, dtype) for x in operands]


def _truth(x: Value) -> Real:
    return cm.truth(x) if isinstance(x, Z) else x


@form(e.where)
def _where(to, c, x, y):
    return where(_truth(c), *_together(to, x, y))


@form(e.integer_power)
def _integer_power(to, z):
    return cm.integer_power(z, to.params["n"])


@form(e.power)
def _power(to, z, w):
    n = _whole(w)
    z, w = _together(to, z, w)
    return cm.power(z, w) if n is None else cm.integer_power(z, n)


def _whole(w: Value) -> int | None:
    """A constant exponent that is a whole number."""
    re, im = w if isinstance(w, Z) else (w, None)
    if type(re.atom) is not Literal or re.type.shape or im is not None and (
            type(im.atom) is not Literal or im.atom.value != 0):
        return None
    value = float(re.atom.value)
    return int(value) if value.is_integer() and abs(value) < 2**31 else None


@form(e.rint)
def _rint(to, z):
    return z.map(lambda x: to(e.rint, x))


@form(e.astype)
def _astype(to, x):
    dtype = to.params["dtype"]
    if np.dtype(dtype).kind == "b":
        return cm.truth(x)
    if np.dtype(dtype).kind != "c":
        return to(e.astype, x.re, dtype=dtype)
    if isinstance(x, Z):
        return x.map(lambda part: to(e.astype, part, dtype=to.dtype))
    return Z(to(e.astype, x, dtype=to.dtype), to.real(0.0))


# --- what moves, sums or joins entries ------------------------------------------------------------


@form(shape.reshape_p, shape.transpose_p, shape.broadcast_p, reduce.sum_p, reduce.cumsum_p,
      stop_p, weaken_p, indexing.read_p)
def _each_part(to, z, *rest):
    return z.map(lambda x: to(to.source.primitive, x, *rest, **to.params))


@form(shape.pack_p, shape.concatenate_p)
def _joined(to, *xs):
    whole = [as_complex(to, _full(to, x), to.dtype) for x in xs]
    return Z(*(to(to.source.primitive, *parts, **to.params)
               for parts in zip(*whole, strict=True)))


def _full(to: Writer, x: Value) -> Z:
    """A value with an imaginary part of its own shape."""
    if isinstance(x, Z):
        return x
    zero = to.real(to.dtype.type(0))
    return Z(x, to(shape.broadcast_p, zero, shape=x.type.shape) if x.type.shape else zero)


@form(indexing.index_set_p, indexing.index_add_p)
def _written(to, x, v, *places):
    x, v = as_complex(to, _full(to, x), to.dtype), as_complex(to, v, to.dtype)
    return Z(*(to(to.source.primitive, part, new, *places, **to.params)
               for part, new in zip(x, v, strict=True)))


@form(reduce.any_p, reduce.all_p)
def _of_truths(to, z):
    return to(to.source.primitive, cm.truth(z), **to.params)


@form(check_p, assume_p)
def _check(to, z, ok):
    primitive = to.source.primitive
    if not isinstance(z, Z):
        return to(primitive, z, cm.truth(ok), **to.params)
    return Z(to(primitive, z.re, _truth(ok), **to.params), z.im)


# --- products -------------------------------------------------------------------------------------


@form(matmul_p)
def _matmul(to, a, b):
    if not isinstance(b, Z):
        b = cast(b, to.dtype)
        return Z(*(to(matmul_p, cast(part, to.dtype), b) for part in a))
    if not isinstance(a, Z):
        a = cast(a, to.dtype)
        return Z(*(to(matmul_p, a, cast(part, to.dtype)) for part in b))
    a, b = as_complex(to, a, to.dtype), as_complex(to, b, to.dtype)
    return Z(to(matmul_p, a.re, b.re) - to(matmul_p, a.im, b.im),
             to(matmul_p, a.re, b.im) + to(matmul_p, a.im, b.re))


@form(solve_p)
def _solve(to, a, b):
    """The real system of twice the size,

        ( Re A  -Im A ) ( Re x )   ( Re b )
        ( Im A   Re A ) ( Im x ) = ( Im b ) ,

    whose condition is that of A; for a real matrix, the parts of b side by side.
    """
    b = _full(to, as_complex(to, b, to.dtype) if isinstance(b, Z) else cast(b, to.dtype))
    if not isinstance(a, Z):
        x = to(solve_p, cast(a, to.dtype), _concatenate(to, *b, axis=-1))
        return _halves(to, x, -1)
    a = as_complex(to, a, to.dtype)
    whole = _concatenate(to, _concatenate(to, a.re, -a.im, axis=-1),
                         _concatenate(to, a.im, a.re, axis=-1), axis=-2)
    return _halves(to, to(solve_p, whole, _concatenate(to, *b, axis=-2)), -2)


def _concatenate(to: Writer, *xs: Real, axis: int) -> Real:
    return to(shape.concatenate_p, *xs, axis=axis + len(xs[0].type.shape))


def _halves(to: Writer, x: Real, axis: int) -> Z:
    half = x.type.shape[axis] // 2
    rest = (slice(None),) * (-1 - axis)
    return Z(*(to(indexing.read_p, x, spec=(Ellipsis, slice(*ends), *rest))
               for ends in ((0, half), (half, 2 * half))))


_register_elementwise()
