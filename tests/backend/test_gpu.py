"""The case table and the programs of `test_backend` on CuPy; skipped where there is no device."""

import warnings

import numpy as np
import pytest

import sciad
from sciad.compiler.device import device_kernel
from sciad.compiler.values import Unsupported
from sciad.core import backend, tree
from sciad.core.record import record
from tests.backend.tables import allowed, compare
from tests.backend.test_backend import DIRECTION, POINT, PROGRAMS, network
from tests.compiler import test_cuda as compiled
from tests.ops.cases import CASES as FEW_CASES
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


# --- compiled -------------------------------------------------------------------------------------


def moved(args):
    return [cupy.asarray(x) if isinstance(x, np.ndarray) else x for x in args]


@pytest.mark.parametrize("name", compiled.PROGRAMS)
def test_compiled_program_is_numpys(name):
    function, *args = compiled.PROGRAMS[name]
    got = sciad.jit(function, strict=True)(*moved(args))
    want = function(*args)
    for a, b in zip(tree.flatten(got)[0], compiled.flat(want), strict=True):
        scale = np.max(np.abs(b[np.isfinite(b)]), initial=1.0) if b.dtype.kind in "fc" else 0.0
        eps = 1e-6 if b.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(to_host(a), b, rtol=eps, atol=eps * scale)


@pytest.mark.parametrize("case", FEW_CASES, ids=[case.name for case in FEW_CASES])
def test_compiled_case_is_numpys(case: Case):
    """The device's functions are within 10 ulp of NumPy's (the bounds stand in `cuda`)."""
    recorded = record(case.function, *case.args)
    leaves = [*recorded.consts, *compiled.flat(case.args)]
    try:
        kernel = device_kernel([cupy.asarray(x) for x in leaves] or [cupy.ones(())],
                               recorded.graph)
    except Unsupported as reason:
        pytest.skip(str(reason))
    try:
        got = kernel(*(cupy.asarray(x) for x in leaves))
    except (TypeError, NotImplementedError) as error:
        if not allowed(case, error):
            raise
        return
    with np.errstate(all="ignore"):
        want = recorded.graph(*leaves)
    for a, b in zip(got, want, strict=True):
        eps = np.finfo(a.dtype).eps if a.dtype.kind in "fc" else 0
        b = np.asarray(b)
        finite = np.abs(b[np.isfinite(b)])
        scale = finite.max() if finite.size else 1.0
        np.testing.assert_allclose(a.get(), b, rtol=16 * eps, atol=64 * eps * scale)


@pytest.mark.parametrize("name", ["chain", "softmax", "heat", "gather"])
def test_gradient_of_a_compiled_program(name):
    function, x = compiled.PROGRAMS[name]

    def loss(x):
        return np.sum(np.sin(function(x)))

    want = sciad.grad(loss)(x)
    for f in (sciad.jit(sciad.grad(loss), strict=True), sciad.grad(sciad.jit(loss, strict=True))):
        np.testing.assert_allclose(f(cupy.asarray(x)).get(), want, rtol=1e-11, atol=1e-11)


def test_sums_are_the_same_at_every_call():
    f = sciad.jit(lambda x: np.sum(np.sin(x)), strict=True)
    x = cupy.linspace(0.0, 9.0, 1_000_000)
    assert len({float(f(x)) for _ in range(5)}) == 1


def test_compiled_index_out_of_range_raises():
    f = sciad.jit(lambda x, k: np.sum(x[k]), strict=True)
    x, k = cupy.arange(5000.0), cupy.arange(5000)
    assert float(f(x, k)) == 5000 * 4999 / 2
    with pytest.raises(IndexError, match="out of range"):
        f(x, k * 2)
    assert float(f(x, k)) == 5000 * 4999 / 2
