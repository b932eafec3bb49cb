"""Every lowering: native = graph evaluator = eager, small (scalars) and large (loops)."""

import traceback

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad import ops
from sciad.compiler import llvm, loops
from sciad.compiler.lower import LOWERINGS
from sciad.compiler.native import Kernel, kernel_of
from sciad.compiler.values import Unsupported
from sciad.core import tree
from sciad.core.graph import Graph
from sciad.core.primitive import Primitive
from sciad.core.record import record
from sciad.ode import solution
from sciad.ops import elementwise as e
from tests.ops.cases import CASES, matrix, positive, real, unit

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")


def flat(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def assert_close(got, want, terms=8):
    """Within 8 units in the last place, or `terms` of them relative to the largest entry."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and got.dtype == want.dtype
    if want.dtype.kind == "c":
        got, want = (np.stack([x.real, x.imag]) for x in (got, want))
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    eps = np.finfo(want.dtype).eps
    finite = np.abs(want[np.isfinite(want)])
    scale = finite.max() if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=8 * eps, atol=terms * eps * scale)


def compare(function, args, terms=8):
    """Native against the evaluator of the graph and against eager; gives the kernel."""
    recorded = record(function, *args)
    leaves = [*recorded.consts, *flat(args)]
    leaves = [x if x.shape else x[()] for x in leaves]
    kernel = kernel_of(recorded.graph)
    loops.check(kernel.lowered.module)
    kernel.simplified.check()
    with np.errstate(all="ignore"):
        got, graph, eager = kernel(*leaves), recorded.graph(*leaves), flat(function(*args))
    assert len(got) == len(eager)
    for a, b, c in zip(got, graph, eager, strict=True):
        assert_close(a, np.asarray(b).astype(c.dtype), terms)
        assert_close(a, c, terms)
    return kernel


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_case_table(case):
    compare(case.function, case.args, 64)


@pytest.mark.parametrize("case", [c for c in CASES if c.order > 1], ids=lambda c: c.name)
def test_gradients_of_the_case_table(case):
    floats = [k for k, x in enumerate(case.args) if np.asarray(x).dtype.kind in "fc"]

    def loss(*args):
        return sum(np.sum(np.real(np.sin(y))) for y in tree.flatten(case.function(*args))[0]
                   if y.dtype.kind in "fc")

    compare(sciad.grad(loss, floats), case.args, 256)


# --- shapes, layouts and dtypes -------------------------------------------------------------------

UNARY = [np.negative, np.positive, np.square, np.absolute, np.sign, np.floor, np.ceil, np.trunc,
         np.rint, np.isfinite, np.isnan, np.isinf, np.logical_not, np.conj, np.real, np.imag]
FLOAT_UNARY = [np.exp, np.expm1, np.sin, np.cos, np.tan, np.arctan, np.sinh, np.cosh, np.tanh,
               np.log, np.log2, np.log10, np.log1p, np.sqrt, np.reciprocal, np.arcsin, np.arccos]
BINARY = [np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.less, np.less_equal,
          np.greater, np.greater_equal, np.equal, np.not_equal, np.logical_and, np.logical_or,
          np.logical_xor, np.floor_divide, np.remainder, np.fmod]
FLOAT_BINARY = [np.divide, np.power, np.arctan2, np.hypot]
SHAPES = [(), (1,), (3,), (40,), (5, 7), (2, 3, 4), (0,), (0, 30), (1, 1)]
PAIRS = [((), (40,)), ((40,), ()), ((5, 1), (1, 7)), ((5, 7), (7,)), ((1,), (40,)),
         ((3, 1, 4), (5, 1)), ((2, 1), (3,)), ((0, 1), (30,)), ((2, 3, 4), (2, 3, 4))]


def numbers(shape, dtype, seed=0):
    kind = np.dtype(dtype).kind
    if kind == "f":
        return unit(*shape, seed=seed).astype(dtype) + np.dtype(dtype).type(1.0 if seed else 0)
    grid = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 7 + (1 if seed else -3)
    return (grid % 2 == 0 if kind == "b" else grid).astype(dtype)[()]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.bool_])
@pytest.mark.parametrize("f", UNARY + FLOAT_UNARY, ids=lambda f: f.__name__)
def test_unary_over_shapes_and_dtypes(f, dtype):
    kind = np.dtype(dtype).kind
    if kind != "f" and f in FLOAT_UNARY or kind == "b" and f in (
            np.negative, np.positive, np.sign, np.square, np.floor, np.ceil, np.trunc, np.rint):
        return
    for shape in SHAPES:
        x = numbers(shape, dtype)
        if f in (np.log, np.log2, np.log10, np.sqrt):
            x = abs(x)
        compare(f, (x,))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.bool_])
@pytest.mark.parametrize("f", BINARY + FLOAT_BINARY, ids=lambda f: f.__name__)
def test_binary_over_shapes_and_dtypes(f, dtype):
    kind = np.dtype(dtype).kind
    if kind != "f" and f in FLOAT_BINARY or kind == "b" and f in (
            np.subtract, np.floor_divide, np.remainder, np.fmod):
        return
    for a, b in [*PAIRS, *((s, s) for s in SHAPES)]:
        compare(f, (abs(numbers(a, dtype)) if f is np.power else numbers(a, dtype),
                    numbers(b, dtype, 5)))


MIXED = [(np.float64, np.float32), (np.int64, np.float64), (np.bool_, np.float64),
         (np.int32, np.int64), (np.bool_, np.int64), (np.int32, np.float32)]


@pytest.mark.parametrize("kinds", MIXED, ids=lambda k: "-".join(np.dtype(x).name for x in k))
@pytest.mark.parametrize("f", [np.add, np.multiply, np.maximum, np.less, np.equal, np.power,
                               np.divide, np.floor_divide, np.logical_and])
def test_mixed_dtypes(f, kinds):
    for shape in [(), (3,), (40,)]:
        x, y = numbers(shape, kinds[0]), numbers(shape, kinds[1], 5)
        if f is np.power:
            x = abs(x)
            if np.result_type(x, y).kind != "f":
                continue
        compare(f, (x, y))
        compare(f, (y, x) if f is not np.floor_divide else (y, np.maximum(abs(y), y)))


@pytest.mark.parametrize("f", [
    lambda x: x + 1, lambda x: 1.5 * x, lambda x: x / 2, lambda x: 2**x, lambda x: x > 1,
    lambda x: x**3, lambda x: x**0, lambda x: x**5, lambda x: x**9, lambda x: np.where(x > 1, x, 0),
    lambda x: x.astype(np.int64), lambda x: x.astype(np.float32), lambda x: x.astype(bool),
    lambda x: x.astype(np.int32) * True, lambda x: x // 2, lambda x: x % 3, lambda x: -x,
])
@pytest.mark.parametrize("x", [1.25, 2, np.float32(1.25), np.int64(2), np.int32(2),
                               np.arange(40.0) / 8, np.arange(40), np.arange(3, dtype=np.int32),
                               np.arange(40, dtype=np.float32)], ids=repr)
def test_python_scalars_adapt_to_their_partners(f, x):
    if isinstance(x, (int, float)) and not hasattr(x, "astype"):
        x = np.asarray(x)[()]
    compare(f, (x,))


def test_special_values():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e308, 5e-324, -1.5, 2.5])
    with np.errstate(all="ignore"):
        for many in (1, 5):
            v = np.tile(x, many)
            for f in [np.sign, np.floor, np.rint, np.sqrt, np.exp, np.log, np.abs, np.negative,
                      np.isnan, np.isinf, np.isfinite, np.tanh, np.square, np.sum, np.max, np.min]:
                compare(f, (v,))
            a, b = (w.ravel() for w in np.meshgrid(v, v))
            for f in [np.add, np.multiply, np.divide, np.maximum, np.minimum, np.remainder,
                      np.floor_divide, np.arctan2, np.less, np.equal, np.not_equal]:
                compare(f, (a, b))


def of_all_magnitudes(dtype, seed, count=2000):
    """Special values, then random numbers of both signs between the smallest and the largest."""
    info, rng = np.finfo(dtype), np.random.default_rng(seed)
    most = np.log10(float(info.max)) - 1
    special = [0.0, 0.1, 0.5, 1.0, 2.5, 3.0, info.max, info.tiny, info.smallest_subnormal, np.inf]
    exponents = rng.uniform(-most, most, count)
    drawn = rng.standard_normal(count) * 10.0 ** np.where(exponents % 1 < 0.5, 1.0, exponents)
    return np.array([*special, *np.negative(special), np.nan], dtype), drawn.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("f", [np.fmod, np.remainder, np.floor_divide, np.divmod],
                         ids=lambda f: f.__name__)
def test_remainders_are_numpys_to_the_last_bit(f, dtype):
    special, drawn = of_all_magnitudes(dtype, 0)
    x, y = (grid.ravel() for grid in np.meshgrid(special, special))
    x, y = np.concatenate([x, drawn]), np.concatenate([y, of_all_magnitudes(dtype, 1)[1]])
    compiled = sciad.jit(f)
    with np.errstate(all="ignore"):
        expected = np.atleast_2d(f(x, y))
        one_by_one = np.array([np.atleast_1d(compiled(*pair)) for pair in zip(x, y, strict=True)])
        for got in (compiled(x, y), sciad.vjp(f, x, y)[0], one_by_one.T):
            got = np.atleast_2d(got)
            np.testing.assert_array_equal(got, expected)
            zeros = expected == 0
            np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(expected[zeros]))


def test_the_slope_of_fmod_counts_whole_divisors():
    assert sciad.jit(np.fmod)(1.0, 0.1) == np.fmod(1.0, 0.1)
    for slope in (sciad.grad(np.fmod, 1), sciad.jit(sciad.grad(np.fmod, 1))):
        assert slope(1.0, 0.1) == -9.0 and slope(-7.0, 2.0) == 3.0  # 1 / 0.1 is rounded to 10


def test_signs_of_zeros_survive():
    for n in (3, 40):
        kernel = compare(lambda x: (x * 1 - 0.0, x + np.zeros(x.shape) * -1.0),
                         (np.full(n, -0.0),))
        for out in kernel(np.full(n, -0.0)):
            assert np.signbit(out).all()
    zeros = np.where(np.arange(40) % 2, 0.0, -0.0)
    out = compare(lambda x: x * zeros, (np.ones(40),))(np.ones(40))[0]
    np.testing.assert_array_equal(np.signbit(out), np.signbit(zeros))


@pytest.mark.parametrize("make", [lambda x: x.T, lambda x: x[::2], lambda x: x[:, ::-1],
                                  np.asfortranarray, lambda x: x.astype(">f8"),
                                  lambda x: np.broadcast_to(x[0], x.shape)])
def test_layouts_of_inputs(make):
    for shape in [(2, 4), (8, 6)]:
        x = make(real(*shape))
        kernel = kernel_of(record(lambda x: (np.sin(x), np.sum(x, 0)), np.array(x, float)).graph)
        got = kernel(x)
        assert_close(got[0], np.sin(np.array(x, float)))
        assert_close(got[1], np.sum(np.array(x, float), 0), 64)


# --- reductions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.sum, np.max, np.min, np.mean, np.any, np.all, np.prod, np.var])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.bool_])
def test_reductions(f, dtype):
    if np.dtype(dtype).kind != "f" and f in (np.mean, np.var, np.prod):
        return
    for shape in [(3,), (2, 3), (40,), (5, 7), (3, 4, 5), (1, 30), (30, 1), ()]:
        for axis in [None, *range(-len(shape), len(shape))]:
            compare(lambda x, a=axis: f(x, axis=a), (numbers(shape, dtype),), 400)
            compare(lambda x, a=axis: f(x, axis=a, keepdims=True), (numbers(shape, dtype),), 400)
    compare(lambda x: f(x, axis=(0, 2)), (numbers((3, 4, 5), dtype),), 400)


@pytest.mark.parametrize("f", [np.argmax, np.argmin])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.bool_])
def test_places_of_extrema(f, dtype):
    for shape in [(3,), (5, 7), (3, 4, 5)]:
        for axis in [None, *range(len(shape))]:
            compare(lambda x, a=axis: f(x, axis=a), (numbers(shape, dtype),))
    if dtype is np.float64:
        compare(f, (np.array([1.0, np.nan, 3.0, np.nan]),))


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_running_sums(axis):
    for dtype in (np.float64, np.int64, np.int32):
        compare(lambda x: np.cumsum(x, axis=axis), (numbers((4, 3, 5), dtype),), 64)
    compare(lambda x: np.cumsum(x, axis=axis), (real(1, 2, 0),))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (30, 0), (0, 30)])
def test_empty_arrays(shape):
    x = real(*shape)
    compare(lambda x: (np.sum(x), np.sum(x, axis=0), np.sum(x, axis=-1)), (x,))
    compare(lambda x: (x.T * 2, np.concatenate([x, x]), x[..., :0], np.any(x > 0)), (x,))


def test_the_place_of_the_largest_of_nothing_raises():
    with pytest.raises(ValueError, match="empty sequence"):
        sciad.jit(np.argmax)(np.zeros(0))


# --- products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("a, b", [
    ((3, 3), (3, 3)), ((20, 30), (30,)), ((30,), (30, 20)), ((20, 30), (30, 10)),
    ((1, 50), (50, 1)), ((50, 1), (1, 50)), ((80, 70), (70, 90)),
    ((4, 20, 3), (3, 8)), ((2, 1, 5, 6), (3, 6, 4)),
    ((0, 30), (30, 20)), ((30, 0), (0, 30)), ((2, 20), (20, 2)),
])
def test_products(a, b):
    x, y = real(*a) / 10, real(*b, seed=3) / 10
    compare(lambda x, y: x @ y, (x, y), 400)
    compare(lambda x, y: x.T @ x + np.sin(y).sum(), (x, y), 4000) if len(a) == 2 else None
    compare(sciad.grad(lambda x, y: np.sum(np.sin(x @ y)), (0, 1)), (x, y), 4000)


def test_products_of_integers_and_mixed():
    compare(lambda x, y: x @ y, (np.arange(6).reshape(2, 3), np.arange(3)))
    compare(lambda x, y: x @ y, (np.arange(600).reshape(20, 30), np.arange(30)))
    compare(lambda x, y: x @ y, (np.arange(600).reshape(20, 30), real(30)), 400)
    compare(lambda x, y: x @ y, (real(20, 30, dtype=np.float32), real(30)), 400)


def test_products_of_expressions():
    compare(lambda a, b: np.tanh(a * b[:, None]).T @ (np.exp(b) + 1),
            (real(20, 30) / 9, real(20) / 9), 400)
    compare(lambda a: np.broadcast_to(a, (20, 30)) @ a, (real(30),), 4000)


@pytest.mark.parametrize("n", [1, 3, 12])
def test_solves(n):
    a, b = matrix(n), real(n)
    compare(np.linalg.solve, (a, b), 4000)
    compare(np.linalg.solve, (a, real(n, 4)), 4000)
    compare(np.linalg.solve, (np.stack([a, matrix(n, 1)]), real(2, n, 2)), 4000)
    compare(np.linalg.solve, (a.astype(np.float32), b.astype(np.float32)), 4000)
    compare(lambda b: np.linalg.solve(np.eye(len(b))[::-1] * 2, b), (b,), 4000)
    compare(sciad.grad(lambda a, b: np.sum(np.linalg.solve(a * a, b) ** 2), (0, 1)), (a, b), 1e5)


@pytest.mark.parametrize("n", [2, 6])
def test_a_singular_matrix_raises(n):
    f = sciad.jit(np.linalg.solve, strict=True)
    f(matrix(n), real(n))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        f(np.ones((n, n)), real(n))


# --- moving entries -------------------------------------------------------------------------------

MOVES = {
    "transpose": lambda x: np.transpose(x, (2, 0, 1)), "reshape": lambda x: x.reshape(-1, 2),
    "swap": lambda x: np.swapaxes(x, 0, 1), "flip": lambda x: x[:, ::-1],
    "step": lambda x: x[::2, 1],
    "broadcast": lambda x: np.broadcast_to(x, (3, *x.shape)),
    "stretch": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "join": lambda x: np.concatenate([x, x[:, :1], 2 * x], axis=1),
    "join last": lambda x: np.concatenate([x, np.ones(x.shape)], axis=-1),
    "stack": lambda x: np.stack([x, x], axis=1),
    "chain": lambda x: x.T[1:].reshape(-1)[::-1].copy(),
    "ravel of transpose": lambda x: (x.T * 2).ravel(),
    "sum of transpose": lambda x: (x.T + 1).sum(0),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("shape", [(2, 3, 2), (4, 5, 6)])
def test_moves(name, shape):
    compare(MOVES[name], (real(*shape),), 64)
    compare(lambda x: np.sin(MOVES[name](np.cos(x))) + 1, (real(*shape),), 64)


def indices(n, m):
    return {
        "rows": np.array([n - 1, 0, -1, 1]), "grid": (np.array([[0], [2]]), np.array([1, -1])),
        "pairs": (np.array([0, 1, 2]), np.array([2, 1, 0])), "mixed": (slice(None), [0, 0, -1]),
        "after": (..., np.array([1, 0])), "int and array": (1, np.array([0, 2])),
        "int apart": (0, slice(None), np.array([0, 1])), "new axis": (None, np.array([2, 1])),
        "apart": (np.array([0, 1]), slice(None), np.array([1, 0])), "mask": np.arange(n) % 2 == 0,
        "none": np.zeros(0, int), "matrix": np.array([[0, 1], [2, 0]]),
    }


@pytest.mark.parametrize("name", indices(3, 3))
@pytest.mark.parametrize("shape", [(3, 3, 2), (4, 5, 6)])
def test_index_arrays(name, shape):
    index = indices(*shape[:2])[name]
    compare(lambda x: x[index] * 2, (real(*shape),))

    def write(x, v):
        out = snp.copy(x)
        out[index] = v
        out[index] += 2 * v
        return out

    compare(write, (real(*shape), np.float64(1.5)))
    compare(lambda x: sciad.grad(lambda x: np.sum(x[index] ** 3))(x), (real(*shape),), 64)


@pytest.mark.parametrize("n", [4, 40])
def test_run_time_indices(n):
    x = real(n)

    def read(x, k):
        return x[k], x[k[:, None]], np.sin(x)[k[0]]

    compare(read, (x, np.array([0, -1, n - 1, -n])))

    def write(x, k, v):
        out = snp.copy(x)
        out[k[0]] = v
        out[k[1]] += 3 * v
        out[k] *= 2.0
        return out

    compare(write, (x, np.array([1, -1]), np.float64(2.5)))

    def row(a, k):
        return np.sum(a[k] * a[:, k]), a[k, k], a[1:, k]

    compare(row, (real(n, n), np.int64(2)), 400)
    compare(row, (real(n, n), np.int64(-2)), 400)


@pytest.mark.parametrize("n", [4, 40])
@pytest.mark.parametrize("k", ["n", "-n - 1", "2**62"])
def test_an_index_out_of_range_raises(n, k):
    k = np.int64(eval(k))
    for f in (lambda x, k: x[k], lambda x, k: snp.copy(x)[np.stack([k, k])],
              lambda x, k: sciad.ops.indexing.index_set(x, 1.0, k),
              lambda x, k: sciad.ops.indexing.index_add(x, 1.0, k)):
        compiled = sciad.jit(f, strict=True)
        compiled(real(n), np.int64(1))
        with pytest.raises(IndexError, match=f"index {k} is out of bounds for axis 0 with size"):
            compiled(real(n), k)


def second_row(x, k):
    return np.outer(x, x)[1, k] * x


def pairs(x, k):
    return np.sum(x[np.stack([k, k - 1])] ** 2)


def in_a_loop(x, k):
    return sciad.fori_loop(0, 4, lambda i, s: s + x[i + k - 3], 0.0)


def written(x, k):
    y = snp.copy(x)
    y[k] = 1.0
    return np.sum(y * x)


@pytest.mark.parametrize("f", [second_row, pairs, in_a_loop, written], ids=lambda f: f.__name__)
def test_an_index_out_of_bounds_is_told_as_numpy_tells_it(f, tmp_path):
    def total(x, k):
        return np.sum(f(x, k))

    x, good, bad = real(4), np.int64(3), np.int64(7)
    for g in (f, sciad.grad(total), lambda x, k: sciad.vmap(lambda y: f(y, k))(np.stack([x, x]))):
        compiled = sciad.jit(g, strict=True)
        compiled(x, good)
        with pytest.raises(IndexError) as expected:
            g(x, bad)
        for _ in range(2):
            with pytest.raises(IndexError) as caught:
                compiled(x, bad)
            assert str(caught.value) == str(expected.value)
            files = [frame.filename for frame in traceback.extract_tb(caught.tb)]
            assert files.count(__file__) > 1, "the line of the program is among the frames"
    with pytest.raises(IndexError, match="index 4|index 7"):
        sciad.grad(lambda x: np.sum(compiled(x, bad)))(x)
    sciad.jit(f).save(tmp_path / "f", x, good)
    for _ in range(2):
        with pytest.raises(IndexError, match=r"index \d is out of bounds .*\(at .*test_lower.py:"):
            sciad.load_compiled(tmp_path / "f")(x, bad)


def test_an_index_of_a_right_hand_side():
    table = np.arange(1.0, 4.0)

    def rhs(t, y):
        return -y * table[np.floor(10 * t).astype(int)]

    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        sciad.ode.solve_ivp(rhs, (0.0, 1.0), np.ones(1))


def test_repeated_indices_add_up_and_the_last_write_wins():
    def f(x, k, v):
        added = sciad.ops.indexing.index_add(x, v, k)
        return added, sciad.ops.indexing.index_set(x, v, k)

    for n in (4, 40):
        compare(f, (real(n), np.array([1, 1, 0, 1, -n]), real(5)), 64)


def test_a_piece_of_an_array_written_onto_itself():
    def reverse(x):
        return sciad.ops.indexing.index_set(2 * x, (2 * x)[::-1], slice(None))

    def same(x):
        y = np.sin(x)
        return sciad.ops.indexing.index_set(y, y, slice(None, None, -1))

    def add(x):
        y = np.sin(x)
        return sciad.ops.indexing.index_add(y, y, slice(None, None, -1))

    for n in (5, 40):
        for f in (reverse, same, add):
            compare(f, (real(n),))


def test_values_read_before_a_write_keep_their_content():
    def f(x):
        y = snp.copy(np.sin(x))
        before, view = y[1:].copy(), y.T
        y[2] = 5.0
        return before, view, y, y.reshape(-1, 2)

    for n in (6, 40):
        compare(f, (real(n),))


# --- fusion ---------------------------------------------------------------------------------------


def test_long_chains_of_large_arrays():
    def f(x):
        for _ in range(1500):
            x = x * 0.999 + 0.001
        return x

    compare(f, (real(40),), 4000)


def test_squaring_again_and_again_stays_linear():
    def f(x):
        for _ in range(30):
            x = x * x
        return x

    kernel = compare(f, (unit(40),), 2**31)
    assert len(loops.text(kernel.lowered.module)) < 20_000


def test_a_chain_and_its_sum_are_one_loop():
    kernel = compare(lambda x: np.sum(np.sin(x) ** 2 * 3.0), (real(40),), 400)
    assert loops.text(kernel.lowered.module).count("for ") == 1


def test_results_are_written_in_place():
    """A result made by loops goes straight into the caller's array."""
    kernel = compare(lambda a, x: a @ x, (real(20, 30), real(30)), 400)
    assert " alloc " not in loops.text(kernel.lowered.module)
    compare(lambda x: (x[::-1] @ np.ones((40, 40)),) * 2, (real(40),), 400)
    compare(lambda a, x: [y := a @ x, np.sin(y), y[1:], y.reshape(4, 5)], (real(20, 30), real(30)),
            4000)


# --- completeness ---------------------------------------------------------------------------------

EXEMPT: dict[Primitive, str] = {}
"""Primitives without a native form, and why."""


def primitives():
    found = {}
    for module in (ops.elementwise, ops.reduce, ops.shape, ops.products, ops.factor, ops.indexing,
                   ops.control, solution):
        for value in vars(module).values():
            if isinstance(value, Primitive):
                found[value] = value.name
    return found


@pytest.mark.parametrize("primitive", primitives(), ids=lambda p: p.name)
def test_every_primitive_has_a_native_form(primitive):
    assert primitive in LOWERINGS or primitive in EXEMPT
    assert not (primitive in LOWERINGS and primitive in EXEMPT)


def primitives_in(graph: Graph):
    for equation in graph.equations:
        yield equation.primitive
        for inner in equation.graphs():
            yield from primitives_in(inner)


def test_control_flow_of_unknown_form_is_refused_by_name():
    graph = record(lambda x: np.sin(x), 1.0).graph
    unknown = Primitive("mystery", lambda x, body: np.sin(x), lambda x, body: x)
    graph.equations[0].primitive = unknown
    graph.equations[0].params = {"body": record(lambda x: x, 1.0).graph}
    with pytest.raises(Unsupported, match="mystery.*test_lower"):
        Kernel(graph)


def test_integer_powers_agree_with_numpy():
    for n in range(-3, 12):
        compare(lambda x, n=n: e.integer_power(x, n=n), (positive(40),))
        compare(lambda x, n=n: e.integer_power(x, n=n), (positive(3),))


# --- powers by products and roots -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [0.0, 1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 1.5, -0.5, -2.0, 2.5, 1 / 3])
def test_powers_at_special_values(n, dtype):
    """NumPy's result to 4 ulp, at zeros of either sign, infinities, the ends of the range too."""
    limits = np.finfo(dtype)
    x = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, limits.tiny, limits.max,
                  limits.smallest_subnormal, 2.0, 0.3, -0.7, 1e-20, 1e20, limits.tiny * 1e3, 7.1],
                 dtype)
    for values, power in [(x, dtype(n)), (x[:5], dtype(n)), (x, np.full(len(x), n, dtype))]:
        with np.errstate(all="ignore"):
            expected = np.power(values, power)
            graph = record(lambda x, power=power: np.power(x, power), values)
            (native,) = kernel_of(graph.graph)(*graph.consts, values)
        np.testing.assert_array_equal(np.signbit(native[~np.isnan(native)]),
                                      np.signbit(expected[~np.isnan(expected)]))
        np.testing.assert_array_max_ulp(native, expected, 4, dtype)


@pytest.mark.parametrize("n", [-3, -2, -1, 0, 1, 5, 8, 9])
def test_integer_powers(n):
    x = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 1e-30, 1e30, 3.3])
    with np.errstate(all="ignore"):
        expected = np.power(x, float(n))
        graph = record(lambda x: x**n, x)
        (native,) = kernel_of(graph.graph)(*graph.consts, x)
    np.testing.assert_array_max_ulp(native, expected, 4)
