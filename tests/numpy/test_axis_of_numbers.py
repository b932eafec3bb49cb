"""An axis of a number, where NumPy takes it for a line of one entry; medians of nothing."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import SciadError

LINES = ["sum", "max", "min", "prod", "cumsum", "cumprod", "argsort", "argmax", "argmin", "any",
         "all", "nansum", "nanmax", "nanmin", "nanprod", "nanmean", "nancumsum", "nancumprod",
         "nanvar", "nanstd", "ptp", "count_nonzero", "squeeze", "argpartition", "take", "repeat"]
NO_LINES = ["mean", "var", "std", "median", "sort", "partition", "average", "flip", "quantile"]
MORE = {"argpartition": (0,), "partition": (0,), "take": ([0, 0],), "repeat": (3,),
        "quantile": (0.5,)}


def along(name, axis):
    function, more = getattr(np, name), MORE.get(name, ())
    return lambda x: function(x, *more, axis=axis)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", LINES)
def test_a_number_is_a_line(name, axis):
    f, x = along(name, axis), np.float64(2.5)
    want = f(x)
    for got in (sciad.vjp(f, x)[0], sciad.jit(f, strict=True)(x)):
        assert np.asarray(got).dtype == np.asarray(want).dtype
        np.testing.assert_array_equal(got, want)
    if np.asarray(want).dtype.kind == "f" and name not in ("ptp", "nanvar", "nanstd"):
        assert sciad.grad(lambda x: np.sum(f(x)))(x) == np.size(want)


@pytest.mark.parametrize("name", [*LINES, *NO_LINES])
def test_other_axes_are_refused(name):
    with pytest.raises((SciadError, ValueError, IndexError)):
        sciad.vjp(along(name, 1), np.float64(2.5))


@pytest.mark.parametrize("name", NO_LINES)
def test_a_number_is_no_line(name):
    with pytest.raises((ValueError, TypeError)):
        along(name, 0)(np.float64(2.5))
    with pytest.raises((SciadError, ValueError)):
        sciad.vjp(along(name, 0), np.float64(2.5))


def test_running_ufuncs_refuse_a_number():
    for ufunc in (np.add, np.multiply, np.maximum):
        with pytest.raises(SciadError, match="accumulate"):
            sciad.vjp(lambda x, ufunc=ufunc: ufunc.accumulate(x, 0), 2.0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["median", "nanmedian"])
@pytest.mark.parametrize("shape, axis, keepdims", [
    ((0,), None, False), ((0, 2), 0, False), ((2, 0), 1, True), ((0, 2), 1, False),
    ((0, 3), None, True)])
def test_medians_of_nothing_are_nan(name, shape, axis, keepdims):
    f = getattr(np, name)
    want = f(np.zeros(shape), axis=axis, keepdims=keepdims)
    for transform in (lambda f: lambda x: sciad.vjp(f, x)[0], lambda f: sciad.jit(f, strict=True)):
        got = transform(lambda x: f(x, axis=axis, keepdims=keepdims))(np.zeros(shape))
        assert np.shape(got) == np.shape(want)
        np.testing.assert_array_equal(got, want)
