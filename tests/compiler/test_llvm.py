"""Compiled loop programs do what NumPy and the evaluator do."""

import ctypes
import multiprocessing
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciad.compiler import cache, calling, llvm, loops, render, scalars, symbols
from sciad.compiler.loops import Builder, Const, Module, Op
from sciad.core.errors import SciadError

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIAD_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


# ---- operations ----------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
ODD = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-320, 1e300, -7.0, 7.0]
FLOATS = np.array(ODD + list(RNG.normal(size=40)) + list(RNG.uniform(0, 30, 40)))
INTEGERS = np.array([0, 1, -1, 2, -2, 7, -7, 63, 2**62, -(2**63)] + list(RNG.integers(-99, 99, 40)))
EXACT = set(
    "add sub mul div fma neg abs sign max min mod floordiv sqrt floor ceil trunc rint copysign "
    "nextafter fmod lt le gt ge eq ne and or xor not shl shr isnan isfinite isinf signbit select "
    "f64 f32 i64 i32 i8 i1".split()
)
ULPS = 4

CASES = [
    (name, type)
    for name, row in scalars.TABLE.items()
    for type in ("f64", "f32", "i64", "i1")
    if scalars.KIND[type] in row.takes and name != "select"
]


def operands(row, type):
    """Columns of operands: every pair of the odd values, then random ones."""
    dtype = scalars.DTYPES[type]
    with np.errstate(over="ignore"):
        values = {"f": FLOATS, "i": INTEGERS, "b": np.array([False, True])}[scalars.KIND[type]]
        values = values.astype(dtype)
    if row.arity == 1:
        return [values]
    grid = np.meshgrid(*[values] * row.arity) if row.arity == 2 else \
        [RNG.permutation(np.tile(values, 9)) for _ in range(row.arity)]  # fmt: skip
    columns = [np.ascontiguousarray(g.ravel()) for g in grid]
    if row.name in ("shl", "shr"):
        columns[1] = np.abs(columns[1] % 63)
    if row.name == "pow":  # NumPy takes a root where C's pow(-inf, 0.5) is inf
        keep = ~(np.isneginf(columns[0]) & (columns[1] == 0.5))
        columns = [column[keep] for column in columns]
    return columns


def loop_over(name, type, arity):
    """out[i] = name(x0[i], x1[i], ...)"""
    result = scalars.TABLE[name].result or type
    params = {f"x{k}": f"ptr<{type}>" for k in range(arity)}
    b = Builder(f"op_{name}", n="i64", **params, out=f"ptr<{result}>")
    with b.loop(0, b.n) as i:
        b.store(b.out, i, Op(name, tuple(b.load(b[f"x{k}"], i) for k in range(arity))))
    b.ret()
    return b.function(), scalars.DTYPES[result]


def assert_close(got, expected, ulps):
    if expected.dtype.kind != "f":
        assert np.array_equal(got, expected)
        return
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite], equal_nan=True)
    tiny = np.finfo(expected.dtype).tiny
    with np.errstate(all="ignore"):
        size = np.spacing(np.maximum(np.abs(expected[finite]), tiny))
        error = np.abs(got[finite] - expected[finite])
        assert np.all((error == 0) | (error <= ulps * size))


@pytest.mark.parametrize(("name", "type"), CASES, ids=lambda v: v)
def test_operation_is_numpys(name, type):
    row = scalars.TABLE[name]
    columns = operands(row, type)
    function, dtype = loop_over(name, type, row.arity)
    loops.check(Module([function]))
    native = llvm.entry(function, ("i64", *["array"] * (row.arity + 1)))
    with np.errstate(all="ignore"):
        expected = np.array([row.evaluate(*row_) for row_ in zip(*columns, strict=True)], dtype)
    ulps = 0 if name in EXACT else ULPS
    out = np.empty(len(expected), dtype)
    assert native(len(out), *columns, out) is None
    assert_close(out, expected, ulps)
    for k in range(0, len(out), 97):  # one at a time: the scalar remainder of the vector loop
        native(1, *(np.ascontiguousarray(c[k : k + 1]) for c in columns), out)
        assert_close(out[:1], expected[k : k + 1], ulps)


def test_select_and_bool_buffers():
    b = Builder("choose", n="i64", c="ptr<i1>", x="ptr<f64>", out="ptr<f64>", flag="ptr<i1>")
    with b.loop(0, b.n) as i:
        c, x = b.load(b.c, i), b.load(b.x, i)
        b.store(b.out, i, b.op("select", c, x, -1.0))
        b.store(b.flag, i, ~c & (x > 0.0))
    b.ret()
    c, x = RNG.random(50) < 0.5, RNG.normal(size=50)
    out, flag = np.empty(50), np.empty(50, bool)
    llvm.entry(b.function(), ("i64", *["array"] * 4))(50, c, x, out, flag)
    assert np.array_equal(out, np.where(c, x, -1)) and np.array_equal(flag, ~c & (x > 0))


def test_zero_dividend_signs():
    for name in ("mod", "floordiv"):
        function, _ = loop_over(name, "f64", 2)
        x, y = np.array([0.0, -0.0, 6.0, -6.0]), np.array([-3.0, 3.0, -3.0, 3.0])
        out = np.empty(4)
        llvm.entry(function, ("i64", *["array"] * 3))(4, x, y, out)
        expected = np.mod(x, y) if name == "mod" else np.floor_divide(x, y)
        assert np.array_equal(np.signbit(out), np.signbit(expected))


# ---- random programs -----------------------------------------------------------------------------

UNARY = ("neg", "abs", "sqrt", "floor", "sign", "exp", "tanh")
BINARY = ("add", "sub", "mul", "div", "max", "min", "mod")


@st.composite
def programs(draw):
    """Straight lines, loops, branches and variables over a small buffer."""
    b = Builder("program", x="ptr<f64>", out="ptr<f64>")
    pool = [b.load(b.x, k) for k in range(4)] + [Const(draw(st.floats(-3, 3)))]
    total = b.var(0.0, "total")

    def operation(values):
        if draw(st.booleans()):
            return Op(draw(st.sampled_from(UNARY)), (draw(st.sampled_from(values)),))
        pair = (draw(st.sampled_from(values)), draw(st.sampled_from(values)))
        return Op(draw(st.sampled_from(BINARY)), pair)

    for _ in range(draw(st.integers(1, 8))):
        shape = draw(st.sampled_from(("let", "if", "loop", "while")))
        if shape == "let":
            pool.append(b.let(operation(pool)))
        elif shape == "if":
            with b.if_(draw(st.sampled_from(pool)) < draw(st.sampled_from(pool))):
                b.assign(total, total + operation(pool))
            with b.else_():
                b.store(b.out, draw(st.integers(0, 3)), operation(pool))
        elif shape == "loop":
            with b.loop(0, draw(st.integers(0, 5)), reverse=draw(st.booleans())) as i:
                b.add_to(b.out, i % 4, operation([*pool, Op("f64", (i,))]))
        else:
            count = b.var(0, "count", "i64")
            with b.while_(lambda count=count: count < 3):
                b.assign(count, count + 1)
                b.assign(total, total * 0.5 + draw(st.sampled_from(pool)))
    b.store(b.out, 3, total)
    b.ret()
    return b.function()


@given(programs(), st.lists(st.floats(-5, 5), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_native_is_the_evaluators(program, x):
    loops.check(Module([program]))
    x = np.array(x)
    expected, got = np.zeros(4), np.zeros(4)
    loops.evaluate(program, x, expected)
    llvm.entry(program, ("array", "array"))(x, got)
    assert np.allclose(got, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


# ---- structure -----------------------------------------------------------------------------------


def test_calls_pointers_and_heap():
    inner = Builder("inner", x="ptr<f64>", k="i64", result="f64", inline="always")
    inner.ret(inner.load(inner.x, inner.k) * 2.0)
    b = Builder("outer", n="i64", f="ptr", out="ptr<f64>")
    work = b.alloc(b.n, name="work")
    with b.loop(0, b.n) as i:
        b.store(work, i, b.op("f64", i))
    b.call_checked(b.f, b.address(work, 1))
    with b.loop(0, b.n) as i:
        b.store(b.out, i, b.call("inner", work, i, type="f64"))
    b.ret()
    module = Module([b.function(), inner.function()])
    loops.check(module)
    native = llvm.entry(*module.functions[:1], ("i64", "ptr", "array"), others=module.functions[1:])

    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.POINTER(ctypes.c_double))
    def callback(p):
        p[0] = 100.0
        return 5 if p[1] > 2.5 else 0

    pointer = ctypes.cast(callback, ctypes.c_void_p).value
    out = np.zeros(4)
    assert native(3, pointer, out) is None and out.tolist() == [0, 200, 4, 0]
    callback_bad = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(lambda p: 5)
    assert native(3, ctypes.cast(callback_bad, ctypes.c_void_p).value, out) == 5


def test_blas_and_lapack_by_pointer():
    b = Builder("solve", n="i64", a="ptr<f64>", x="ptr<f64>", y="ptr<f64>")
    pivots, info = b.alloc(b.n, "i32"), b.alloc(1, "i32")
    b.call_fortran("dgemv", "T", b.n, b.n, 1.0, b.a, b.n, b.x, 1, 0.0, b.y, 1)
    b.call_fortran("dgesv", b.n, 1, b.a, b.n, pivots, b.x, b.n, info)
    b.ret(b.op("i64", b.load(info, 0)))
    loops.check(Module([b.function()]))
    a, x, y = RNG.normal(size=(5, 5)), RNG.normal(size=5), np.empty(5)
    matrix, solution = a.copy(), x.copy()
    assert llvm.entry(b.function(), ("i64", *["array"] * 3))(5, matrix, solution, y) is None
    assert np.allclose(y, a @ x) and np.allclose(solution, np.linalg.solve(a.T, x))


def test_unknown_symbol_names_itself():
    b = Builder("f", x="f64")
    b.call("no_such_function", b.x, type="f64")
    b.ret()
    with pytest.raises(SciadError, match="no_such_function"):
        llvm.compile_module(Module([b.function()]))


def test_registered_symbol():
    callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x + 1)
    symbols.register("one_more", ctypes.cast(callback, ctypes.c_void_p).value)
    b = Builder("f", x="f64", out="ptr<f64>")
    b.store(b.out, 0, b.call("one_more", b.x, type="f64"))
    b.ret()
    assert llvm.entry(b.function(), ("f64",), ("f64",))(2.0) == 3.0


def vector_symbol(name):
    forms = llvm.host().vector_functions.get(name)
    if not forms:
        pytest.skip("no vector functions here")
    return forms[0][1]


def test_elementwise_loop_calls_the_vector_function():
    symbol = vector_symbol("tanh")
    function, _ = loop_over("tanh", "f64", 1)
    library = llvm.compile_module(Module([function]))
    assert f"@{symbol}(<" in library.optimised_text().split("define", 1)[1].split("declare")[0]
    assert symbol in library.assembly()


def shift(parallel):
    b = Builder("shift", n="i64", m="i64", x="ptr<f64>")
    far = b.address(b.x, b.m)
    with b.loop(0, b.n, parallel=parallel) as i:
        b.store(far, i, b.load(b.x, i) + 1.0)
    b.ret()
    return b.function()


def test_a_parallel_loop_needs_no_overlap_checks():
    texts = [llvm.compile_module(Module([shift(p)])).optimised_text() for p in (True, False)]
    checks = [text.count("icmp") for text in texts]
    assert " x double>" in texts[0] and checks[0] < checks[1]
    for parallel in (True, False):
        x = np.arange(20.0)
        llvm.entry(shift(parallel), ("i64", "i64", "array"))(10, 10, x)
        assert np.array_equal(x[10:], x[:10] + 1)


def total(fast):
    b = Builder("total", n="i64", x="ptr<f64>", out="ptr<f64>")
    s = b.var(0.0)
    with b.loop(0, b.n) as i:
        b.assign(s, b.op("add", s, b.load(b.x, i), fast=fast))
    b.store(b.out, 0, s)
    b.ret()
    return b.function()


def test_only_a_fast_sum_reassociates():
    assert "llvm.vector.reduce.fadd" in llvm.compile_module(Module([total(True)])).optimised_text()
    strict = llvm.compile_module(Module([total(False)])).optimised_text()
    assert "reduce" not in strict and " x double>" not in strict
    x = RNG.normal(size=1000)
    for fast in (True, False):
        got = llvm.entry(total(fast), ("i64", "array"), ("f64",))(1000, x)
        assert np.isclose(got, x.sum(), rtol=1e-12)


def test_products_are_not_contracted():
    b = Builder("f", x="f64", y="f64", out="ptr<f64>")
    b.store(b.out, 0, b.op("sqrt", b.x * b.x - b.y * b.y))
    b.ret()
    native = llvm.entry(b.function(), ("f64", "f64"), ("f64",))
    assert all(native(x, x) == 0.0 for x in RNG.normal(size=200))


def test_fma_without_the_instruction():
    b = Builder("f", x="f64")
    b.let(b.op("fma", b.x, 2.0, 1.0))
    b.ret()
    text, _ = render.render(Module([b.function()]), render.Host(fma=False))
    assert "llvm.fma" not in text and "fmul" in text


# ---- entries -------------------------------------------------------------------------------------


def scaled(kind="f64"):
    b = Builder("scaled", x=kind, out=f"ptr<{kind}>")
    b.store(b.out, 0, b.x + b.x if kind != "i1" else ~b.x)
    b.ret()
    return b.function()


@pytest.mark.parametrize(
    ("kind", "argument", "result"),
    [("f64", 2.5, 5.0), ("f64", 3, 6.0), ("f64", np.float64(1), 2.0), ("f64", -1.0, -2.0),
     ("f64", -0.5, -1.0), ("f32", 0.5, 1.0), ("i64", -1, (-2,)), ("i32", 4, (8,)),
     ("i1", True, False), ("f64", np.array(1.5), 3.0)],
)  # fmt: skip
@pytest.mark.parametrize("nogil", [False, True])
def test_scalar_results(kind, argument, result, nogil):
    got = llvm.entry(scaled(kind), (kind,), (kind,), nogil=nogil)(argument)
    assert got == result and type(got) is type(result)


def test_several_results_and_status():
    b = Builder("both", x="f64", a="ptr<f64>", c="ptr<i1>")
    b.store(b.a, 0, -b.x)
    b.store(b.c, 0, b.x > 0.0)
    b.ret(b.op("select", b.x > 9.0, Const(3, "i64"), Const(0, "i64")))
    native = llvm.entry(b.function(), ("f64",), ("f64", "i1"))
    assert native(2.0) == (-2.0, True)
    assert native(10.0) == 3


BAD_CALLS = [(), (1,), (1, 2.0, 3, 4), ("1", 2.0, np.zeros(1)), (1, "x", np.zeros(1)),
             (1, 2.0, [1.0]), (1.5, 2.0, np.zeros(1)), (None, None, None)]  # fmt: skip


@pytest.mark.parametrize("args", BAD_CALLS, ids=repr)
@pytest.mark.parametrize("way", ["builtin", "foreign"])
def test_bad_arguments_raise(args, way, monkeypatch):
    b = Builder("fill", n="i64", v="f64", out="ptr<f64>")
    with b.loop(0, b.n) as i:
        b.store(b.out, i, b.v)
    b.ret()
    if way == "foreign":
        monkeypatch.setattr(llvm, "layout_known", lambda: False)
    native = llvm.entry(b.function(), ("i64", "f64", "array"))
    out = np.zeros(3)
    assert native(2, 7.0, out) is None and out.tolist() == [7, 7, 0]
    with pytest.raises(TypeError):
        native(*args)


def test_foreign_results(monkeypatch):
    monkeypatch.setattr(llvm, "layout_known", lambda: False)
    assert llvm.entry(scaled(), ("f64",), ("f64",))(2.0) == 4.0
    assert llvm.entry(scaled("i64"), ("i64",), ("i64",))(2) == (4,)


def test_layout_probe():
    assert calling.layout_known()


def test_entry_must_fit_its_function():
    with pytest.raises(SciadError, match="do not fit"):
        llvm.entry(scaled(), ("i64",), ("f64",))
    with pytest.raises(SciadError, match="do not fit"):
        llvm.entry(scaled(), ("f64",))


def test_code_outlives_the_library_object():
    natives = [llvm.entry(total(True), ("i64", "array"), ("f64",)) for _ in range(3)]
    assert natives[0].__self__ is natives[2].__self__
    x = np.ones(10)
    assert natives.pop()(10, x) == 10.0
    del natives


@pytest.mark.parametrize("nogil", [True, False])
def test_the_gil_is_released_when_asked(nogil):
    """A kernel that waits for another Python thread can only end if that thread may run."""
    b = Builder("wait", noalias=False, flag="ptr<i64>", limit="i64")
    count = b.var(0, "count", "i64")
    with b.while_(lambda: b.load(b.flag, 0).eq(0) & (count < b.limit)):
        b.call("sched_yield", type="i32")
        b.assign(count, count + 1)
    b.ret(b.op("select", b.load(b.flag, 0).eq(0), Const(1, "i64"), Const(0, "i64")))
    native = llvm.entry(b.function(), ("array", "i64"), nogil=nogil)
    flag = np.zeros(1, np.int64)
    started = threading.Event()

    def raise_flag():
        started.wait()
        flag[0] = 1

    thread = threading.Thread(target=raise_flag)
    thread.start()
    started.set() if nogil else None
    try:
        assert native(flag, 10**9 if nogil else 10**4) == (None if nogil else 1)
    finally:
        started.set()
        thread.join()


def test_not_available_says_so(monkeypatch):
    monkeypatch.setenv("SCIAD_JIT", "0")
    assert not llvm.available()
    with pytest.raises(SciadError, match="SCIAD_JIT"):
        llvm.compile_module(Module([scaled()]))


# ---- cache ---------------------------------------------------------------------------------------


def unique(value):
    b = Builder("unique", out="ptr<f64>")
    b.store(b.out, 0, Const(value))
    b.ret()
    return b.function()


def run_unique(value):
    return llvm.entry(unique(value), (), ("f64",))


def test_second_process_reads_the_object(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path / "new"))
    first = run_unique(1.5)
    assert not first.__self__.cached and first() == 1.5
    llvm._libraries.clear()
    second = run_unique(1.5)
    assert second.__self__.cached and second() == 1.5
    cache.clear()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_corrupted_entry_is_recompiled(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path))
    run_unique(2.5)
    (path,) = tmp_path.glob("*.o")
    path.write_bytes(path.read_bytes()[:-9] + b"different" if damage is None else damage)
    llvm._libraries.clear()
    again = run_unique(2.5)
    assert not again.__self__.cached and again() == 2.5
    llvm._libraries.clear()
    assert run_unique(2.5).__self__.cached


def write_many(folder, seed):
    os.environ["SCIAD_CACHE_DIR"] = folder
    for k in range(200):
        cache.write("shared", bytes([seed]) * (1000 + k))
        data = cache.read("shared")
        assert data is not None and len(set(data)) == 1


def test_concurrent_writers(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(tmp_path), s)) for s in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["shared.o"]


def test_size_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path))
    for k in range(5):
        cache.write(f"e{k}", bytes(1000))
    cache.shrink(tmp_path, most=2500)
    assert len(list(tmp_path.iterdir())) == 2


def test_unwritable_folder_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path / "file"))
    cache.write("name", b"data")
    assert cache.read("name") is None
    assert run_unique(3.5)() == 3.5
