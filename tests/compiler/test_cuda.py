"""CUDA text: it means what the host's code means (emulated on the CPU), and nvcc takes it."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad import special
from sciad.compiler import device as device_module
from sciad.compiler import launches, loops, reductions
from sciad.compiler.cuda import SPELLING, unspelled
from sciad.compiler.device import DeviceKernel, device_kernel
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.launches import plan
from sciad.compiler.scalars import DTYPES, TABLE
from sciad.compiler.values import Unsupported
from sciad.core import tree
from sciad.core.errors import DTypeError
from sciad.core.record import record
from tests.backend import emulate
from tests.backend.strict import StrictArray, Syncs, strict
from tests.ops.cases import CASES, real, unit

pytestmark = pytest.mark.skipif(emulate.GXX is None or os.environ.get("SCIAD_JIT") == "0",
                                reason="no g++ here, or SCIAD_JIT=0")
device = strict.asarray


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    emulate.install(monkeypatch)


def flat(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def assert_close(got, want, terms=64):
    """Within 8 units in the last place, or `terms` of them relative to the largest entry."""
    assert got.shape == want.shape and got.dtype == want.dtype
    if want.dtype.kind not in "fc":
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
        for name, module in list(sys.modules.items()):
            if name.startswith("sciad.compiler") and hasattr(module, "SMALL"):
                monkeypatch.setattr(module, "SMALL", 1)
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
    assert ran == len(cases)


@pytest.mark.parametrize("cases", CHUNKS, ids=range(len(CHUNKS)))
def test_gradients_of_the_case_table(cases, thresholds):
    jobs = []
    for case in cases:
        floats = [k for k, x in enumerate(case.args) if np.asarray(x).dtype.kind == "f"]
        if case.order > 1 and floats:
            jobs.append((case.name, sciad.grad(loss_of(case), floats), case.args))
    assert check_all(jobs, 256) == len(jobs)


# --- programs over arrays -------------------------------------------------------------------------


def heat(u):
    def step(u, _):
        new = snp.array(u)
        new[1:-1, 1:-1] = u[1:-1, 1:-1] + 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:]
                                                 + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
        return new, None

    return sciad.scan(step, u, None, length=7)[0]


def written(x, index, value):
    out = snp.array(x)
    out[index] = value
    return out


def layer(m, w):
    return np.sum(np.tanh(m @ w))


def softmax(m):
    e = np.exp(m - np.max(m, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


LINE, GRID, WEIGHTS = unit(5000), real(80, 90), real(90, 70)
PLACES = np.random.default_rng(0).integers(-5000, 5000, 3000)
MANY = np.resize(PLACES, 300_000)
PROGRAMS = {
    "chain": (lambda x: np.exp(-x) * np.sin(x) + np.sqrt(x + 2), LINE),
    "reversed": (lambda x: x[::-1][10:] * 2, LINE),
    "sum": (lambda x: np.sum(np.sin(x) * x), LINE),
    "sum along the first axis": (lambda m: np.sum(m, axis=0), GRID),
    "sum along the last axis": (lambda m: np.sum(m, axis=1), GRID),
    "long columns": (lambda x: np.sum(x.reshape(-1, 2), axis=0), LINE),
    "long rows": (lambda x: np.max(x.reshape(2, -1), axis=1), LINE),
    "middle axis": (lambda m: np.sum(m.reshape(4, 20, 90), axis=1), GRID),
    "outer axes": (lambda m: np.sum(m.reshape(40, 2, 90), axis=(0, 2)), GRID),
    "used again": (lambda x: np.mean(x) * x, LINE),
    "variance": (np.var, LINE),
    "softmax": (softmax, GRID),
    "layer": (layer, GRID, WEIGHTS),
    "gradient of a layer": (sciad.grad(layer, (0, 1)), GRID, WEIGHTS),
    "small product": (lambda m, w: m[:20, :30] @ w[:30, :10], GRID, WEIGHTS),
    "batched product": (lambda m: np.matmul(m.reshape(10, 8, 90), m.reshape(10, 90, 8)), GRID),
    "contraction": (lambda m, w: np.einsum("ij,jk->ki", m, w), GRID, WEIGHTS),
    "gather": (lambda x: x[PLACES], LINE),
    "gradient of a gather": (sciad.grad(lambda x: np.sum(x[PLACES] ** 2)), LINE),
    "repeated writes": (lambda x: written(x, PLACES, np.arange(3000.0)), LINE),
    "written row": (lambda m: written(m, (slice(1, -1), 3), 2.0), GRID),
    "argmax": (lambda m: np.argmax(m, axis=1), GRID),
    "argmax of columns": (lambda m: np.argmax(m, axis=0), GRID),
    "cumsum": (lambda m: np.cumsum(m, axis=1), GRID),
    "cumsum of columns": (lambda m: np.cumsum(m, axis=0), GRID),
    "long cumsum": (np.cumsum, LINE),
    "heat": (heat, GRID),
    "gradient of heat": (sciad.grad(lambda u: np.sum(heat(u) ** 2)), GRID),
    "while": (lambda x: sciad.while_loop(lambda s: np.sum(s) < 1e5, lambda s: s * s + 1.0, x),
              LINE),
    "cond": (lambda x: sciad.cond(np.sum(x) > 0, np.sin, np.cos, x), LINE),
    "other cond": (lambda x: sciad.cond(np.sum(x) > 1e9, np.sin, np.cos, x), LINE),
    "branches": (lambda x: np.sin(x) if np.sum(x) > 0 else x * 2, LINE),
    "scan over numbers": (lambda x: sciad.scan(lambda c, v: (c * 0.5 + v, c), 0.0, x), LINE),
    "scan over arrays": (lambda m: sciad.scan(
        lambda c, v: (np.sin(c) + 0.01 * (v @ m.T @ m), c), m[0], m), GRID),
    "gradient of a loop": (sciad.grad(lambda x: np.sum(sciad.fori_loop(
        0, 5, lambda k, x: np.sin(x) * 0.9 + k, x))), LINE),
    "vmap": (lambda m: sciad.vmap(lambda r: np.sum(np.sin(r)) * r)(m), GRID),
    "hessian": (sciad.hessian(lambda x: np.sum(np.sin(x) * x**2)), LINE[:40]),
    "joined": (lambda x: np.concatenate([x, x[::-1], np.sin(x)]), LINE),
    "outer": (lambda x: np.outer(x[:100], x[:200]), LINE),
    "roll and pad": (lambda m: np.pad(np.roll(m, 3, axis=1), 2), GRID),
    "integers": (lambda k: np.sum(k * k % 7) // 3, np.arange(4000)),
    "truth": (lambda x: np.any(x > 0.9) & np.all(x > -2), LINE),
    "single": (lambda x: np.sum(np.exp(-x) * x), LINE.astype(np.float32)),
    "nothing": (lambda x: np.sum(x[:0]) + x, LINE),
    "transform": (lambda x: np.real(np.fft.fft(x)), LINE),
    "complex": (lambda x: np.abs(np.exp(1j * x) * x) + np.real(np.mean(x + 2j)), LINE),
    "complex number": (lambda x: np.sum(np.exp(1j * x)), LINE),
    "solve": (lambda m: np.linalg.solve(m[:40, :40] + 10 * np.eye(40), m[:40, 40:45]), GRID),
    "gradient of an inverse": (sciad.grad(lambda m: np.sum(np.linalg.inv(
        m[:30, :30] + 10 * np.eye(30)))), GRID),
    "sorted": (np.sort, LINE),
    "median": (np.median, LINE),
    "called with a number of the device": (
        lambda x: special.gammainc(2.0, np.sum(x**2)) * x, LINE),
    "interp": (lambda x: np.interp(x * 0.9, np.linspace(-1, 1, 50), np.linspace(0, 1, 50) ** 2),
               LINE),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, *args = PROGRAMS[name]
    compare(function, args, 256)


def shape_of(steps):
    """The steps of a plan, by their initials."""
    return "".join(type(s).__name__[0] for s in steps)


@pytest.mark.parametrize("name, steps", [
    ("chain", "G"), ("sum", "GGS"), ("layer", "LGGS"), ("gather", "G"), ("argmax", "L"),
    ("vmap", "G"), ("small product", "GGL"), ("batched product", "L"), ("softmax", "GGGG"),
    ("heat", "GRG"), ("while", "GSCSG"), ("scan over numbers", "S"), ("transform", "LG"),
])
def test_how_programs_are_cut(name, steps):
    function, *args = PROGRAMS[name]
    kernel, _ = kernel_for(function, args)
    assert shape_of(kernel.plan.steps) == steps


def test_small_programs_are_one_kernel():
    kernel = compare(lambda x: np.sum(np.sin(x) * x), (unit(12),))
    assert shape_of(kernel.plan.steps) == "S"


# --- jit over device arrays -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chain", "sum", "layer", "gather", "heat", "while", "branches"])
def test_jit_on_the_device(name):
    function, *args = PROGRAMS[name]
    compiled = sciad.jit(function, strict=True)
    before = emulate.Order.launches
    got = compiled(*map(device, args))
    assert emulate.Order.launches > before and isinstance(got, StrictArray)
    np.testing.assert_allclose(got.get(), function(*args), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(compiled(*args), function(*args), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["chain", "softmax", "heat", "gather"])
def test_gradients_of_jit_on_the_device(name):
    function, x = PROGRAMS[name]

    def loss(x):
        return np.sum(np.sin(function(x)))

    want = sciad.grad(loss)(x)
    for f in (sciad.jit(sciad.grad(loss), strict=True), sciad.grad(sciad.jit(loss, strict=True))):
        before = emulate.Order.launches
        np.testing.assert_allclose(f(device(x)).get(), want, rtol=1e-12, atol=1e-12)
        assert emulate.Order.launches > before


def test_smooth_programs_never_wait():
    f = sciad.jit(lambda x, a: a * np.sum(np.exp(x)), strict=True)
    x = device(LINE)
    f(x, 2.0)
    Syncs.count = 0
    y = f(x, 3.0)
    assert Syncs.count == 0
    np.testing.assert_allclose(y.get(), 3.0 * np.sum(np.exp(LINE)))


def test_numbers_come_by_value_or_from_the_device():
    f = sciad.jit(lambda x, a: {"y": x * a, "a": a + 1.0}, strict=True)
    for a in (2.0, np.float64(2.0), device(2.0), 3):
        out = f(device(LINE), a)
        np.testing.assert_array_equal(out["y"].get(), LINE * float(a))
        assert float(out["a"]) == float(a) + 1.0


def test_index_out_of_range_raises():
    f = sciad.jit(lambda x, k: np.sum(x[k]) + np.sum(x), strict=True)
    good, bad = np.arange(3000), np.arange(3000) * 2
    np.testing.assert_allclose(f(device(LINE), device(good)).get(),
                               LINE[good].sum() + LINE.sum(), rtol=1e-13)
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size"):
        f(device(LINE), device(bad))


def test_an_exception_stops_loops_of_the_host():
    def f(x):
        def step(s):
            if np.sum(s) > 50000:
                raise ValueError("too much")
            return s + 1.0

        return sciad.while_loop(lambda s: np.sum(s) < 1e9, step, x)

    with pytest.raises(ValueError, match="too much"):
        sciad.jit(f, strict=True)(device(LINE))


def test_arrays_of_the_host_are_refused_as_eagerly():
    f = sciad.jit(lambda x, y: x * y)
    with pytest.raises(TypeError, match="Unsupported type"):
        f(device(LINE), LINE)
    with pytest.raises(DTypeError, match="meets an array of cupy"):
        sciad.grad(lambda x, y: np.sum(f(x, y)))(device(LINE), LINE)


def test_stages_and_report():
    f = sciad.jit(lambda x: np.sum(np.sin(x)))
    f(device(LINE))
    assert "compiled here" in repr(f.report())
    assert "__global__" in f.lower(device(LINE)).cuda and "sin(" in f.lower(LINE).cuda


def test_without_a_compiler_of_the_device(monkeypatch):
    monkeypatch.delattr(strict, "RawModule")
    f = sciad.jit(lambda x: np.sum(x**2))
    with pytest.warns(FallbackWarning, match="arrays of cupy, which are not compiled"):
        assert float(f(device(np.ones(3)))) == 3.0
    with pytest.raises(Unsupported, match="arrays of cupy, which are not compiled"):
        sciad.jit(np.sum, strict=True)(device(LINE))


def test_what_has_no_device_form_is_named():
    y = np.ones(300_000)
    f = sciad.jit(lambda x, y: written(x, MANY, y * 2))
    with pytest.warns(FallbackWarning, match="loop of 300000 steps.*no device form"):
        got = f(device(LINE), device(y))
    np.testing.assert_array_equal(got.get(), written(LINE, MANY, y * 2))


# --- the text -------------------------------------------------------------------------------------


def every_operation() -> list:
    """Programs that hold each spelled operation in each kind of number."""
    out = []
    for name, kinds in SPELLING.items():
        row = TABLE.get(name)
        for kind in kinds if row is not None else ():
            for type in {"f": ("f64", "f32"), "i": ("i64", "i32", "i8"), "b": ("i1",)}[kind]:
                types = [type] * row.arity if name != "select" else ["i1", "f64", "f64"]
                b = loops.Builder(f"{name}_{type}", x=f"ptr<{types[-1]}>", c=f"ptr<{types[0]}>")
                args = [b.load(b.c if k == 0 else b.x, k) for k in range(row.arity)]
                result = b.let(loops.Op(name, tuple(args)))
                b.store(b.x, 0, loops.Op(types[-1], (result,)))
                b.ret(0)
                out.append(plan(loops.Module([b.function()])).text)
    return out


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc here")
def test_nvcc_takes_the_text(tmp_path):
    kernels = [kernel_for(f, args) for f, *args in PROGRAMS.values()]
    texts = [kernel.text for kernel, _ in filter(None, kernels)] + every_operation()
    source = tmp_path / "all.cu"
    source.write_text("".join(map(emulate.apart_text, dict.fromkeys(texts))))
    done = subprocess.run(["nvcc", "--fmad=false", "-arch=sm_90", "-diag-suppress", "177", "-ptx",
                           str(source), "-o", str(tmp_path / "all.ptx")],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_every_operation_has_a_spelling():
    assert not unspelled()


@pytest.mark.parametrize("value, kind", [
    (0.1, "f64"), (-0.0, "f64"), (np.inf, "f64"), (-np.inf, "f32"), (np.nan, "f64"),
    (1e-310, "f64"), (0.1, "f32"), (2**63 - 1, "i64"), (-2**63, "i64"), (-5, "i32"),
    (-128, "i8"), (True, "i1")])
def test_constants_are_exact(value, kind):
    b = loops.Builder("constant", out=f"ptr<{kind}>")
    b.store(b.out, 0, loops.Const(value, kind))
    b.ret(0)
    made = plan(loops.Module([b.function()]))
    out = device(np.zeros(1, DTYPES[kind]))
    module = emulate.RawModule(made.text, options=("--fmad=false",))
    module.get_function("constant_0")((1,), (1,), (out,))
    np.testing.assert_array_equal(out.get(), np.array([value], DTYPES[kind]))
    assert np.signbit(out.get()) == np.signbit(np.array([value], DTYPES[kind]))
