"""Every ufunc of `scipy.special`, by every argument: the derivative is that of the differences, or
an error names the function."""

import numpy as np
import pytest
from scipy import special as sp

import sciad
from sciad.core.errors import NoRuleError

NAMES = [name for name in dir(sp) if isinstance(getattr(sp, name), np.ufunc)
         and getattr(sp, name).signature is None]

VALUES = [(0.31, 0.42, 0.57, 0.63), (1.0, 0.42, 1.6, 0.7), (1.3, 2.4, 0.57, 0.9),
          (1.0, 1.0, 0.4, 1.2), (2.0, 3.0, 0.3, 0.4), (0.62, 1.4, 2.3, 0.8),
          (1.0, 2.0, 3.0, 0.3), (3.0, 6.0, 0.4, 0.3), (2.0, 1.5, 0.7, 2.5)]


def outputs(function, args):
    """The results, as one real vector."""
    out = function(*args)
    parts = out if isinstance(out, tuple) else (out,)
    return np.concatenate([[np.real(part), np.imag(part)] for part in parts]).astype(float)


def point(function):
    """A point at which the function is finite."""
    for values in VALUES:
        args = values[:function.nin]
        try:
            if np.all(np.isfinite(outputs(function, args))):
                return args
        except TypeError:
            continue
    return None


def slope(function, args, k):
    """Differences, and whether two step sizes agree on them."""
    def difference(h):
        moved = [outputs(function, (*args[:k], args[k] + s * h, *args[k + 1:]))
                 for s in (-2, -1, 1, 2)]
        return (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * h)

    wide, narrow = difference(1e-3), difference(5e-4)
    return narrow, np.all(np.abs(wide - narrow) <= 1e-6 * (1 + np.abs(narrow)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_derivative_or_named_error(name):
    function = getattr(sp, name)
    args = point(function)
    if args is None:
        pytest.skip("no point of the list lies in its domain")
    for k in range(function.nin):
        def f(x, k=k):
            return function(*args[:k], x, *args[k + 1:])

        try:
            got = outputs(lambda x, f=f: sciad.jvp(f, (x,), (1.0,))[1], (args[k],))
        except NoRuleError as error:
            assert "has no derivative" in str(error)
            continue
        expected, smooth = slope(function, args, k)
        if smooth:
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_all_have_been_seen():
    assert sum(point(getattr(sp, name)) is not None for name in NAMES) > 0.9 * len(NAMES)
