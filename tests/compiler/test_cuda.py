"""CUDA text: it means what the host's code means (emulated on the CPU), and nvcc takes it."""

import shutil
import subprocess

import numpy as np
import pytest

import sciad
from sciad.compiler import device as device_module
from sciad.compiler import launches, reductions
from sciad.compiler.cuda import SPELLING, module_text
from sciad.compiler.device import DeviceKernel, device_kernel
from sciad.compiler.native import kernel_of
from sciad.compiler.values import Unavailable, Unsupported
from sciad.core import tree
from sciad.core.record import record
from tests.backend import emulate
from tests.backend.strict import strict
from tests.ops.cases import CASES, real, unit

pytestmark = pytest.mark.skipif(emulate.GXX is None, reason="no g++ here")
device = strict.asarray


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    emulate.install(monkeypatch)


def flat(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def assert_close(got, want, terms=64):
    """Within 8 units in the last place, or `terms` of them relative to the largest entry."""
    assert got.shape == want.shape and got.dtype == want.dtype
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    eps = np.finfo(want.dtype).eps
    finite = np.abs(want[np.isfinite(want)])
    scale = finite.max() if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=8 * eps, atol=terms * eps * scale)


def kernel_for(function, args):
    """The kernel of a function and the leaves it takes; None if it has no device form."""
    recorded = record(function, *args)
    leaves = [x if x.shape else x[()] for x in [*recorded.consts, *flat(args)]]
    try:
        return device_kernel([device(x) for x in leaves] or [device(1.0)], recorded.graph), leaves
    except Unsupported:
        return None


def run(kernel, leaves, terms=64):
    """On the device, in either order of the threads, against the evaluator of the graph."""
    got = [x.get() for x in kernel(*map(device, leaves))]
    emulate.Order.backwards = True
    try:
        again = [x.get() for x in kernel(*map(device, leaves))]
    finally:
        emulate.Order.backwards = False
    with np.errstate(all="ignore"):
        want = kernel.graph(*leaves)
    for a, b, c, atom in zip(got, again, want, kernel.graph.outputs, strict=True):
        assert_close(a, np.asarray(c).astype(atom.type.dtype), terms)
        if any("add_to_(" in each.text for each in kernel.plan.kernels):
            assert_close(b, a, terms)
        else:
            np.testing.assert_array_equal(a, b)
    return kernel


def compare(function, args, terms=64) -> DeviceKernel:
    return run(*kernel_for(function, args), terms)


@pytest.fixture(params=["as it is", "cut everywhere"])
def thresholds(request, monkeypatch):
    """Programs as they are cut, and cut into as many kernels as can be."""
    if request.param == "cut everywhere":
        device_module._cache.kernels.clear()
        for name, value in {"SMALL_PROGRAM": 0, "SMALL_NEST": 0, "FEW_THREADS": 2,
                            "LONG_SUM": 3}.items():
            monkeypatch.setattr(launches, name, value)
        monkeypatch.setattr(reductions, "PARTS", 16)
        monkeypatch.setattr(reductions, "FEW", 2)
        yield
        device_module._cache.kernels.clear()
    else:
        yield


def loss_of(case):
    def loss(*args):
        return sum(np.sum(np.sin(y)) for y in tree.flatten(case.function(*args))[0]
                   if y.dtype.kind == "f")

    return loss


def check_all(functions, terms):
    """Every function of a list of (name, function, args): all compiled, then all run."""
    kernels = [(name, kernel_for(f, args)) for name, f, args in functions]
    kernels = [(name, found) for name, found in kernels if found is not None]
    for name, (kernel, leaves) in kernels:
        try:
            run(kernel, leaves, terms)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}\n{kernel.text}") from None
    return len(kernels)


CHUNKS = [CASES[k::12] for k in range(12)]


@pytest.mark.parametrize("cases", CHUNKS, ids=range(len(CHUNKS)))
def test_the_case_table(cases, thresholds):
    ran = check_all([(case.name, case.function, case.args) for case in cases], 64)
    assert ran > 0.8 * len(cases)


@pytest.mark.parametrize("cases", CHUNKS, ids=range(len(CHUNKS)))
def test_gradients_of_the_case_table(cases, thresholds):
    jobs = []
    for case in cases:
        floats = [k for k, x in enumerate(case.args) if np.asarray(x).dtype.kind == "f"]
        if case.order > 1 and floats:
            jobs.append((case.name, sciad.grad(loss_of(case), floats), case.args))
    assert check_all(jobs, 256) > 0.8 * len(jobs)
