"""The case table and the programs of `test_backend` on CuPy; skipped where there is no device."""

import warnings

import numpy as np
import pytest

import sciad
from sciad.core import backend
from tests.backend.tables import allowed, compare
from tests.backend.test_backend import DIRECTION, POINT, PROGRAMS, network
from tests.ops.cases import Case
from tests.ops.tables import CASES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CuPy's, where it finds no CUDA
    cupy = pytest.importorskip("cupy")
    if not cupy.is_available():
        pytest.skip("CuPy finds no CUDA device", allow_module_level=True)

pytestmark = pytest.mark.gpu


def to_device(x):
    return cupy.asarray(x) if isinstance(x, (np.ndarray, np.generic)) else x


def to_host(x):
    assert isinstance(x, cupy.ndarray), f"a {type(x).__name__} left the device"
    return x.get()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case_is_numpys(case: Case):
    try:
        compare(case, to_device, to_host)
    except (TypeError, NotImplementedError) as error:
        if not allowed(case, error):
            raise


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_is_numpys(program):
    x, v = cupy.asarray(POINT), cupy.asarray(DIRECTION)
    np.testing.assert_allclose(sciad.grad(program)(x).get(), sciad.grad(program)(POINT), rtol=1e-9)
    np.testing.assert_allclose(sciad.hvp(program, (x,), (v,)).get(),
                               sciad.hvp(program, (POINT,), (DIRECTION,)), rtol=1e-9)


def test_gradient_of_a_network():
    p = (np.ones((4, 3)), POINT, np.ones(4))
    got = sciad.grad(network)(tuple(map(cupy.asarray, p)))
    for a, b in zip(got, sciad.grad(network)(p), strict=True):
        np.testing.assert_allclose(a.get(), b, rtol=1e-9)


def test_checksum_sees_every_entry():
    x = cupy.arange(10_000.0)
    before = backend.checksum(x)
    for place in (0, 4567, 9999):
        x[place] += 1e-12 + abs(x[place]) * 1e-15
        after = backend.checksum(x)
        assert bool(before != after)
        before = after


def test_registered_by_its_first_array():
    assert backend.module_of(cupy.zeros(2)) is cupy
    assert backend.home_of(cupy.zeros(2)).name == "cupy"
