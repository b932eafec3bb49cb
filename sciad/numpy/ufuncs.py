"""More ufuncs, and the ufunc methods accumulate, outer, reduce and at."""

import operator

import numpy as np

from sciad.core.array import UFUNC_METHODS, UFUNCS, Array
from sciad.core.errors import LostGradientError, NoRuleError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import functions, indexing, products, reduce, running, views
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
    return e.equal(as_array(x), np.inf)


@implements(np.isneginf)
def isneginf(x):
    return e.equal(as_array(x), -np.inf)


@implements(np.real_if_close)
def real_if_close(a):
    raise NoRuleError("np.real_if_close chooses the dtype by the values, so it has no derivative"
                      f"{at_line()}; use np.real")


# --- ufuncs ---------------------------------------------------------------------------------------


def _packed(rule):
    """`rule` on operands of which some may be lists or object arrays."""

    def call(*args):
        return rule(*(x if isinstance(x, (Array, bool, int, float, complex)) else as_array(x)
                      for x in args))

    return call


def _divmod(x, y):
    return e.floor_divide(x, y), e.remainder(x, y)


def _vecdot(a, b):
    """sum conj(a) b over the last axis."""
    return reduce.sum_((e.conj(a) if a.dtype.kind == "c" else a) * b, -1)


def _ldexp(x, n):
    return x * e.power(2.0, n)


def _bitwise(ufunc, logical):
    """Of truth values; integers are never differentiated, so they come here only recorded."""

    def rule(*args):
        if any(x.dtype != np.bool_ for x in args if hasattr(x, "dtype")):
            raise NoRuleError(f"np.{ufunc.__name__} of other than truth values has no rule in "
                              f"sciad{at_line()}")
        return logical(*args)

    return rule


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
    UFUNCS[np.ldexp] = _packed(_ldexp)
    for ufunc, logical in [(np.bitwise_and, e.logical_and), (np.bitwise_or, e.logical_or),
                           (np.bitwise_xor, e.logical_xor), (np.invert, e.logical_not)]:
        UFUNCS[ufunc] = _bitwise(ufunc, logical)
    for name, rule in [("vecdot", _vecdot), ("matvec", _matvec), ("vecmat", _vecmat)]:
        if hasattr(np, name):
            UFUNCS[getattr(np, name)] = _packed(rule)
    # what NumPy's loops over object arrays call
    for ufunc in (*functions.UFUNC_RULES, *functions.PRIMITIVES):
        if ufunc.nin == 1 and not hasattr(Array, ufunc.__name__):
            setattr(Array, ufunc.__name__, _method(UFUNCS[ufunc]))


def _method(rule):
    return lambda self: rule(self)


# --- methods --------------------------------------------------------------------------------------


def _reduce(ufunc, function):
    def rule(x, axis=0, keepdims=False, **unknown):
        _refuse(ufunc, "reduce", unknown)
        return function(as_array(x), axis=axis, keepdims=keepdims)

    UFUNC_METHODS[ufunc, "reduce"] = rule


def _accumulate(ufunc, function):
    def rule(x, axis=0, **unknown):
        _refuse(ufunc, "accumulate", unknown)
        return function(as_array(x), axis)

    UFUNC_METHODS[ufunc, "accumulate"] = rule


def _outer(ufunc):
    def rule(a, b, **unknown):
        _refuse(ufunc, "outer", unknown)
        a, b = as_array(a), as_array(b)
        return ufunc(reshape(a, a.shape + (1,) * b.ndim), b)

    UFUNC_METHODS[ufunc, "outer"] = rule


def _at(ufunc, change):
    """``ufunc.at(x, index, v)``: an assignment in which repeated indices act one by one."""

    def rule(x, index, *v):
        if not isinstance(x, Array):
            raise LostGradientError(
                f"np.{ufunc.__name__}.at would write a differentiated value into a plain array"
                f"{at_line()}; make the array with `from sciad import numpy as np`")
        views.write(x, Ellipsis, change(x, index, *map(as_array, v)))

    UFUNC_METHODS[ufunc, "at"] = rule


def _once(ufunc):
    """The change of ``ufunc.at`` where no index repeats."""

    def change(x, index, *v):
        blank = np.zeros(x.shape, np.intp)
        np.add.at(blank, index, 1)
        if blank.max(initial=0) > 1:
            raise NoRuleError(f"np.{ufunc.__name__}.at with a repeated index has no rule in sciad"
                              f"{at_line()}; write the loop over the entries")
        return indexing.index_set(x, ufunc(indexing.read(x, index), *v), index)

    return change


def _refuse(ufunc, method, unknown):
    if unknown:
        raise NoRuleError(f"np.{ufunc.__name__}.{method} of a differentiated value does not take "
                          f"{', '.join(unknown)}{at_line()}")


def _install_methods():
    for ufunc, function in [
        (np.add, reduce.sum_), (np.multiply, reduce.prod), (np.maximum, reduce.max_),
        (np.minimum, reduce.min_), (np.logical_and, reduce.all_), (np.logical_or, reduce.any_),
        (np.logaddexp, running.logsumexp),
    ]:
        _reduce(ufunc, function)
    for ufunc, function in [
        (np.add, reduce.cumsum), (np.multiply, running.cumprod),
        (np.maximum, running.cummax), (np.minimum, running.cummin),
    ]:
        _accumulate(ufunc, function)
    for ufunc in list(UFUNCS):
        if ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None:
            _outer(ufunc)
    _at(np.add, lambda x, index, v: indexing.index_add(x, v, index))
    _at(np.subtract, lambda x, index, v: indexing.index_add(x, -v, index))
    for ufunc in [np.multiply, np.divide, np.maximum, np.minimum, np.power, np.negative, np.exp,
                  np.sqrt, np.square]:
        _at(ufunc, _once(ufunc))


_install_ufuncs()
_install_methods()
