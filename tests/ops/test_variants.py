"""The variants of the case table: layouts, float32, complex numbers."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import SciadError
from sciad.core.record import record
from tests.backend.tables import random_like
from tests.ops.cases import Case
from tests.ops.tables import REFUSALS, VARIANTS
from tests.ops.test_derivatives import _same


def _leaves(x):
    return x if isinstance(x, tuple) else (x,)


def _single(out):
    return all(np.asarray(x).dtype in (np.float32, np.complex64) for x in _leaves(out))


def _inner(xs, ys):
    """Re <x, y>, and the size of its terms."""
    products = [np.real(np.conj(x) * y).astype(float) for x, y in zip(xs, ys, strict=True)]
    return sum(map(np.sum, products)), sum(np.sum(np.abs(x)) for x in products)


def _modes_agree(case: Case, pull):
    """<w, J v> = <J^T w, v> to single precision, in the dtypes of results and arguments."""
    v = [random_like(x, k) for k, x in enumerate(case.args)]
    out, pushed = sciad.jvp(case.function, case.args, v)
    w = [random_like(x, 7 + k) for k, x in enumerate(_leaves(out))]
    assert [x.dtype for x in _leaves(pushed)] == [x.dtype for x in _leaves(out)]
    forward, size = _inner(w, _leaves(pushed))
    reverse, other = _inner(pull(tuple(w) if isinstance(out, tuple) else w[0]), v)
    np.testing.assert_allclose(forward, reverse, rtol=0, atol=1e-4 * (size + other + 1e-30))


@pytest.mark.parametrize("case", VARIANTS, ids=[case.name for case in VARIANTS])
def test_variant(case: Case):
    expected = case.function(*case.args)
    out, pull = sciad.vjp(case.function, *case.args)
    _same(out, expected)
    ones = tuple(map(np.ones_like, out)) if isinstance(out, tuple) else np.ones_like(out)
    for slope, x in zip(pull(ones), case.args, strict=True):
        assert slope.dtype == x.dtype and slope.shape == x.shape
    sciad.check_grads(case.function, case.args, order=case.order)
    if _single(expected):
        _modes_agree(case, pull)
    _same(record(case.function, *case.args)(*case.args), expected)


@pytest.mark.parametrize("case", REFUSALS, ids=[case.name for case in REFUSALS])
def test_what_numpy_refuses_is_refused(case: Case):
    with pytest.raises((TypeError, SciadError)):
        sciad.jvp(case.function, case.args, case.args)
