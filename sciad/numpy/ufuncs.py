"""More ufuncs."""

import operator

import numpy as np

from sciad.core.array import LATE_RULES, UFUNCS, Array, plain
from sciad.core.primitive import Primitive, bind
from sciad.core.scipy_calls import OWN
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import bits, functions, products, reduce
from sciad.ops import elementwise as e
from sciad.ops.operators import _simple, _unary
from sciad.ops.shape import expand_dims, reshape

# --- functions ------------------------------------------------------------------------------------


@implements(np.sinc)
def sinc(x):
    return functions.sinc(as_array(x))


@implements(np.fix)
def fix(x):
    return functions.fix(as_array(x))


@implements(np.round)
def round(a, decimals=0):
    return functions.around(as_array(a), operator.index(decimals))


around = implements(np.around)(round.__wrapped__) if np.around is not np.round else round


@implements(np.isclose)
def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return functions.isclose(as_array(a), as_array(b), rtol, atol, equal_nan)


@implements(np.iscomplex)
def iscomplex(x):
    return e.not_equal(as_array(x).imag, 0.0)


@implements(np.isreal)
def isreal(x):
    return e.equal(as_array(x).imag, 0.0)


@implements(np.isposinf)
def isposinf(x):
    functions.require_real("np.isposinf", x := as_array(x))
    return e.equal(x, np.inf)


@implements(np.isneginf)
def isneginf(x):
    functions.require_real("np.isneginf", x := as_array(x))
    return e.equal(x, -np.inf)


@implements(np.real_if_close)
def real_if_close(a, tol=100):
    """Whether the result is complex depends on the values."""
    a = as_array(a)
    if a.dtype.kind != "c":
        return a
    parts = plain(a, "np.real_if_close, whose dtype depends on its values,").imag
    limit = tol * np.finfo(parts.dtype).eps if tol > 1 else tol
    return a.real if np.all(np.absolute(parts) < limit) else a


# --- ufuncs ---------------------------------------------------------------------------------------


def _packed(rule):
    """`rule` on operands of which some may be lists or object arrays."""

    def call(*args, **keywords):
        return rule(*(x if isinstance(x, (Array, bool, int, float, complex)) else as_array(x)
                      for x in args), **keywords)

    call.keywords = getattr(rule, "keywords", ())
    return call


_LISTS = frozenset({list, tuple})


def _unlisted(primitive):
    """A primitive on operands of which some may be lists."""
    if primitive.fun.nin == 1:
        return lambda x: bind(primitive, (as_array(x) if type(x) in _LISTS else x,), {})

    def call(x, y):
        if type(x) in _LISTS or type(y) in _LISTS:
            x, y = (as_array(v) if type(v) in _LISTS else v for v in (x, y))
        return bind(primitive, (x, y), {})

    return call


def _divmod(x, y):
    return e.floor_divide(x, y), e.remainder(x, y)


def _vecdot(a, b, axis=-1, keepdims=False):
    """sum conj(a) b over an axis."""
    return reduce.sum_((e.conj(a) if a.dtype.kind == "c" else a) * b, axis, keepdims)


_vecdot.keywords = ("axis", "keepdims")  # type: ignore[attr-defined]


def _float_power(x, y):
    """In double precision at least."""
    x, y = (v if isinstance(v, (bool, int, float, complex)) else as_array(v) for v in (x, y))
    dtype = np.result_type(*(getattr(v, "dtype", type(v)) for v in (x, y)), np.float64)
    return np.power(*(v.astype(dtype) if hasattr(v, "dtype") else v for v in (x, y)))


def _matvec(a, b):
    return reshape_last(products.matmul(a, expand_dims(b, -1)), -1)


def _vecmat(a, b):
    a = e.conj(a) if a.dtype.kind == "c" else a
    return reshape_last(products.matmul(expand_dims(a, -2), b), -2)


def reshape_last(x, axis):
    """`x` without an axis of extent 1."""
    shape = list(x.shape)
    del shape[axis]
    return reshape(x, tuple(shape))


def _install_ufuncs():
    for ufunc, rule in functions.UFUNC_RULES.items():
        UFUNCS[ufunc] = _packed(rule)
    for ufunc, primitive in functions.PRIMITIVES.items():
        UFUNCS[ufunc] = _unary(primitive) if ufunc.nin == 1 and _simple(primitive) else primitive
    UFUNCS[np.divmod] = _packed(_divmod)
    UFUNCS[np.float_power] = _float_power
    for primitive in (functions.gcd, functions.lcm, functions.bitwise_count):
        UFUNCS[primitive.fun] = bits.either(f"np.{primitive.name}", None, primitive)
    for ufunc, logical, bitwise in [
        (np.bitwise_and, e.logical_and, bits.bitwise_and),
        (np.bitwise_or, e.logical_or, bits.bitwise_or),
        (np.bitwise_xor, e.logical_xor, bits.bitwise_xor), (np.invert, e.logical_not, bits.invert),
        (np.left_shift, None, bits.left_shift), (np.right_shift, None, bits.right_shift),
    ]:
        UFUNCS[ufunc] = bits.either(f"np.{ufunc.__name__}", logical, bitwise)
    for ufunc, rule in list(UFUNCS.items()):
        if isinstance(rule, Primitive):
            UFUNCS[ufunc] = _unlisted(rule)
    for name, rule in [("vecdot", _vecdot), ("matvec", _matvec), ("vecmat", _vecmat)]:
        if hasattr(np, name):
            UFUNCS[getattr(np, name)] = _packed(rule)
    # what NumPy's loops over object arrays call
    for ufunc in (*functions.UFUNC_RULES, *functions.PRIMITIVES):
        if ufunc.nin == 1 and not hasattr(Array, ufunc.__name__):
            setattr(Array, ufunc.__name__, _method(UFUNCS[ufunc]))
    for ufunc in (np.arctan2, np.hypot, np.fmod, np.fabs):
        setattr(Array, ufunc.__name__, _method(UFUNCS[ufunc]))


def _method(rule):
    return lambda self, *others: rule(self, *others)


_install_ufuncs()
OWN["scipy.special"] = "sciad.special"
LATE_RULES.update({"scipy.special": "sciad.special", "scipy.special._ufuncs": "sciad.special",
                   "scipy.special._special_ufuncs": "sciad.special"})
