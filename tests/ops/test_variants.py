"""The variants of the case table: layouts, float32, complex numbers."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import SciadError
from sciad.core.record import record
from tests.ops.cases import Case
from tests.ops.tables import REFUSALS, VARIANTS
from tests.ops.test_derivatives import _same


@pytest.mark.parametrize("case", VARIANTS, ids=[case.name for case in VARIANTS])
def test_variant(case: Case):
    expected = case.function(*case.args)
    out, pull = sciad.vjp(case.function, *case.args)
    _same(out, expected)
    ones = tuple(map(np.ones_like, out)) if isinstance(out, tuple) else np.ones_like(out)
    for slope, x in zip(pull(ones), case.args, strict=True):
        assert slope.dtype == x.dtype and slope.shape == x.shape
    sciad.check_grads(case.function, case.args, order=case.order)
    _same(record(case.function, *case.args)(*case.args), expected)


@pytest.mark.parametrize("case", REFUSALS, ids=[case.name for case in REFUSALS])
def test_what_numpy_refuses_is_refused(case: Case):
    with pytest.raises((TypeError, SciadError)):
        sciad.jvp(case.function, case.args, case.args)
