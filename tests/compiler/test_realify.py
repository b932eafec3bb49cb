"""Complex numbers in compiled code: native = the graph's evaluator = eager."""

import warnings

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad import special
from sciad.compiler import llvm
from sciad.compiler.complex_forms import FORMS
from sciad.compiler.native import call_p, evaluate, kernel_of
from sciad.compiler.passes import optimise
from sciad.compiler.realify import as_complex_array, as_floats, has_complex, realify
from sciad.core import tree
from sciad.core.record import record
from sciad.ode import solve_ivp
from sciad.ops import control
from sciad.ops import elementwise as e
from sciad.ops.control.stopping import check_p
from sciad.ops.running import cumprod_p
from tests.compiler.test_lower import compare

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")
KINDS = [np.complex128, np.complex64]


def kind_id(x):
    return getattr(x, "__name__", None)


# --- the rewritten graph --------------------------------------------------------------------------


def text(function, *args):
    return str(optimise(realify(record(function, *args).graph)))


def test_a_real_graph_is_left_alone():
    graph = record(lambda x: np.sin(x) * x, np.ones(3)).graph
    assert realify(graph) is graph and not has_complex(graph)


def test_a_product_of_scalars():
    assert text(lambda z, w: z * w, np.complex128(1), np.complex128(1)) == """\
graph(a: f64, b: f64, c: f64, d: f64) {
  e: f64 = multiply a c
  f: f64 = multiply b d
  g: f64 = subtract e f
  h: f64 = multiply a d
  i: f64 = multiply b c
  j: f64 = add h i
  return g, j
}"""


def test_arrays_are_interleaved_at_the_boundary():
    assert text(lambda z: z.conj(), np.ones(3, np.complex64)) == """\
graph(a: f32[3,2]) {
  b: f32[3] = getitem[spec=(Ellipsis, 0)] a
  c: f32[3] = getitem[spec=(Ellipsis, 1)] a
  d: f32[3] = negative c
  e: f32[3,2] = interleave b d
  return e
}"""


def test_bodies_of_loops_carry_both_parts():
    def f(z, n):
        return sciad.while_loop(lambda s: s[1] < n, lambda s: (s[0] + z, s[1] + 1.0), (z, 0.0))[0]

    assert text(f, np.complex128(1), np.float64(1)) == """\
graph(a: f64, b: f64, c: f64) {
  d: i64, e: f64, f: f64, g: f64 = while_loop[test_consts=1, body_consts=2, room=None, keep=0] \
c a b a b 0.0:f64
    test(h: f64, i: f64, j: f64, k: f64) {
      l: bool = less k h
      return l
    }
    body(m: f64, n: f64, o: f64, p: f64, q: f64) {
      r: f64 = add o m
      s: f64 = add p n
      t: f64 = add q 1.0
      return r, s, t
    }
  return e, f
}"""


def test_the_rewritten_graph_computes_the_same():
    def f(z, w):
        total, rows = sciad.scan(lambda c, x: (c * x + w, abs(c)), w, z)
        return total, rows, np.fft.fft(z), z @ z, z[::2]

    z, w = np.exp(1j * np.arange(20.0)), np.complex128(1 + 2j)
    graph = record(f, z, w).graph
    real = realify(graph).check()
    assert not has_complex(real)
    want, got = graph(z, w), real(as_floats(z), 1.0, 2.0)
    got = [complex(*got[:2]), got[2], *map(as_complex_array, (got[3], [got[4], got[5]], got[6]))]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


# --- the functions against NumPy ------------------------------------------------------------------

UNARY = [np.negative, np.positive, np.conj, np.square, np.reciprocal, np.absolute, np.sign, np.exp,
         np.log, np.log2, np.log10, np.sqrt, np.sin, np.cos, np.tan, np.arcsin, np.arccos,
         np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.isfinite,
         np.isnan, np.isinf, np.logical_not, np.real, np.imag, np.rint, np.angle]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.less,
          np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.logical_and,
          np.logical_or, np.logical_xor]


def plane(dtype, seed=0):
    """Points of the whole plane, near the unit circle, near 0, 1 and i, and of moderate size."""
    rng = np.random.default_rng(seed)
    n = 200
    direction = np.exp(1j * rng.uniform(-np.pi, np.pi, n))
    near = rng.choice([0, 1, -1, 1j, -1j], n) + 1e-9 * (rng.normal(size=n) * 1j + direction)
    return np.concatenate([
        direction * np.exp(rng.uniform(-30, 30, n)), direction * (1 + 1e-6 * rng.normal(size=n)),
        near, rng.uniform(-30, 30, n) + 1j * rng.uniform(-30, 30, n), direction]).astype(dtype)


def corners(dtype):
    """All pairs of zeros, infinities, NaN, the largest and the smallest numbers and a few more."""
    finfo = np.finfo(dtype)
    parts = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, np.inf, -np.inf, np.nan, finfo.max,
                      finfo.tiny, 1e-20, 705.0, -705.0, 90.0], finfo.dtype)
    out = np.empty((len(parts), len(parts)), dtype)
    out.real, out.imag = parts[:, None], parts
    return out.ravel()


def assert_parts(got, want, ulps, at=None):
    """Each part within so many units in the last place of the number; infinities and NaNs in the
    same places, the sign of an infinity beside a NaN and of zeros anyhow."""
    assert got.dtype == want.dtype and got.shape == want.shape
    if want.dtype.kind == "b":
        np.testing.assert_array_equal(got, want)
        return
    finfo = np.finfo(want.dtype)
    got, want = (np.stack([x.real, x.imag]) for x in (got, want))
    size = np.max(np.where(np.isfinite(want), abs(want), 0), axis=0)
    size = np.maximum(size, finfo.tiny)
    finite = np.isfinite(got) & np.isfinite(want)
    with np.errstate(all="ignore"):
        close = abs(got / size - want / size) <= ulps * finfo.eps
    open_sign = np.isnan(want).any(axis=0) & (abs(got) == abs(want))
    same = (got == want) | np.isnan(got) & np.isnan(want) | open_sign
    wrong = ~np.where(finite, close, same).all(axis=0)
    assert not wrong.any(), [(x, *got[:, k], *want[:, k]) for k in np.flatnonzero(wrong)[:5]
                             for x in ([y[k] for y in at] if at else [None])]


def against_numpy(f, *args, ulps=4):
    with np.errstate(all="ignore"):
        want = np.asarray(f(*args))
    got = kernel_of(record(f, *args).graph)(*args)[0]
    assert_parts(np.asarray(got), want, ulps, args)


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
@pytest.mark.parametrize("f", UNARY, ids=kind_id)
def test_unary(f, dtype):
    against_numpy(f, plane(dtype))
    z = corners(dtype)
    if f is np.square:  # NumPy's vector loop contracts the products: overflow differs
        z = z[abs(z.real) < 1e10]
    if dtype is np.complex64 and f in (np.exp, np.sin, np.cos, np.sinh, np.cosh):
        z = z[(abs(z.real) != 90) & (abs(z.imag) != 90)]  # beside infinity the other part may
        # underflow on its way
    against_numpy(f, z)


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
@pytest.mark.parametrize("f", BINARY, ids=kind_id)
def test_binary(f, dtype):
    z = plane(dtype)
    against_numpy(f, z, np.random.default_rng(1).permutation(z))
    z, w = map(np.ravel, np.meshgrid(corners(dtype), corners(dtype)))
    if f is np.multiply:  # as for squares
        keep = [all(abs(x) < 1e10 and (x == 0 or abs(x) > 1e-15)
                    for y in pair for x in (y.real, y.imag)) for pair in zip(z, w, strict=True)]
        z, w = z[keep], w[keep]
    against_numpy(f, z, w)


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
def test_functions_of_which_numpy_loses_digits(dtype):
    """expm1 and log1p: NumPy's own are right to the precision of 1 only."""
    z = plane(dtype)
    z = z[abs(z) < 30]
    for f in (np.expm1, np.log1p):
        want = f(z.astype(np.complex128))
        got = kernel_of(record(f, z).graph)(z)[0]
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(got, want, rtol=16 * eps, atol=4 * eps)


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
def test_powers(dtype):
    z = plane(dtype)
    z = z[(abs(z) < 40) & (abs(z) > 1e-3)]
    w = np.random.default_rng(2).permutation(z) / 20
    with np.errstate(all="ignore"):
        argument = abs(w * np.log(z)).max()
    against_numpy(np.power, z, w, ulps=8 + 8 * argument)
    against_numpy(np.exp2, w, ulps=16)
    for n in (-3, -2, -1, 0, 1, 2, 3, 5, 8):
        against_numpy(lambda z, n=n: z**n, z, ulps=16)
        against_numpy(np.power, z, np.full_like(z, n), ulps=16)
        against_numpy(lambda z, n=n: np.power(z, float(n)), z, ulps=16)
    against_numpy(lambda z: z**100, plane(dtype)[-200:], ulps=800)
    zero = np.zeros(20, dtype)
    for w in (0, 1, 2.5, 1 + 1j, -1, 1j, 120):
        against_numpy(np.power, zero, np.full_like(zero, w))
    for n in (-3, 0, 3, 120):
        against_numpy(lambda z, n=n: z**n, zero)


def test_every_elementwise_function_of_complex_numbers_has_a_form():
    """Those that NumPy defines on complex numbers, apart from the ones that sciad composes."""
    without = {"float_power", "vecdot", "matvec", "vecmat"}
    missing = [p.name for f, p in e.UFUNC_PRIMITIVES.items()
               if any("D" in types.split("->")[0] for types in f.types)
               and p not in FORMS and p.name not in without]
    assert not missing


# --- shapes, dtypes, everything that moves entries ------------------------------------------------


def numbers(*shape, dtype=np.complex128):
    k = np.arange(int(np.prod(shape))).reshape(shape)
    return ((k % 7 - 2.5) + 1j * (k % 5 - 1.5)).astype(dtype)[()]


SHAPES = [(), (1,), (3,), (40,), (5, 7), (2, 3, 4), (0,), (0, 3)]


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape, dtype):
    def f(z, x):
        return (z * z + x / z, np.exp(z), x - z, z.sum(), z.reshape(-1), z.T, abs(z), z * 2,
                1j * x, np.stack([z, x]), np.where(abs(z) > 2, z, x), z.real, z.astype(bool),
                np.isfinite(z), np.any(z > x), z == z, z ** 2.5, np.broadcast_to(z, (2, *shape)))

    compare(f, (numbers(*shape, dtype=dtype), numbers(*shape, dtype=dtype).real), 64)


@native
@pytest.mark.parametrize("other", [np.bool_, np.int64, np.int32, np.float32, np.float64,
                                   np.complex64, np.complex128], ids=kind_id)
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
def test_mixed_dtypes(dtype, other):
    z = numbers(30, dtype=dtype)
    x = numbers(30).astype(other) if np.dtype(other).kind == "c" else \
        (numbers(30).real > 0).astype(other)

    def f(z, x):
        return z + x, x - z, z * x, z / (x + 2), x / z, z == x, np.where(x, z, 1), z < x, \
            np.concatenate([x, z]), np.outer(z, x) @ x, x @ z.reshape(30, 1), np.power(z, x)

    compare(f, (z, x), 256)
    compare(f, (z, x[::-1]), 256)


@native
@pytest.mark.parametrize("n", [2, 9], ids=["scalars", "buffers"])
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
def test_indices_reductions_and_products(n, dtype):
    def f(z, k):
        out = snp.array(z)
        out[0] = 1.0
        out[1:, 0] += z[0, 1:] * 1j
        out[k] = out[k] * 2
        return (out, z[k], z[::-1, 1:], z[None, ..., 0], z.sum(0), z.mean(1), np.prod(z[:2], 0),
                np.cumsum(z, 1), np.var(z), np.any(z, 0), np.all(z, 1), z @ z, z @ z[0],
                z.real @ z, np.einsum("ij,jk->ki", z, z.conj()), np.trace(z), np.diagonal(z),
                np.concatenate([z, z.real]), np.pad(z, 1), np.roll(z, 1, 0), np.tril(z),
                np.linalg.norm(z), np.vdot(z, z), np.kron(z[0], z[1]), np.angle(z),
                z.astype(np.float32) if z.dtype.kind == "f" else z.astype(np.complex64))

    compare(f, (numbers(n, n, dtype=dtype), np.array([1, 0])), 256)


@native
def test_a_cast_to_real_drops_the_imaginary_part():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (np.float64, np.float32, np.int64, np.bool_):
            compare(lambda z, t=dtype: e.astype(z, dtype=np.dtype(t)), (numbers(20),))


@native
@pytest.mark.parametrize("n", [2, 6])
def test_solves(n):
    a = numbers(n, n) + 5 * np.eye(n)
    for b in (numbers(n), numbers(n, 3), numbers(n).real):
        for m in (a, a.real):
            np.testing.assert_allclose(sciad.jit(np.linalg.solve, strict=True)(m, b),
                                       np.linalg.solve(m, b), rtol=1e-12)
    np.testing.assert_allclose(sciad.jit(np.linalg.inv, strict=True)(a), np.linalg.inv(a),
                               rtol=1e-12)
    with pytest.raises(np.linalg.LinAlgError):
        sciad.jit(np.linalg.solve, strict=True)(np.zeros((n, n), complex), numbers(n))


# --- calls ----------------------------------------------------------------------------------------


def same(got, want, rtol=1e-12):
    ours, theirs = tree.flatten(got), tree.flatten(want)
    assert ours[1] == theirs[1]
    for a, b in zip(ours[0], theirs[0], strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape
        rough = b.dtype.name in ("complex64", "float32")
        np.testing.assert_allclose(a, b, rtol=2e-4 if rough else rtol,
                                   atol=1e-5 if rough else 1e-13)


@native
@pytest.mark.parametrize("z", [
    1 + 2j, np.complex128(1 - 1j), np.complex64(0.5j), np.array(1j), numbers(4), numbers(30),
    numbers(6, 8)[::2, ::3], np.asfortranarray(numbers(5, 6)), numbers(30).astype(">c16"),
    [1j, 2.0], {"a": 1j, "b": (numbers(3), 2.0)}, 2.0, np.arange(3)], ids=str)
def test_arguments_and_results(z):
    def f(given):
        leaves = tree.flatten(given)[0]
        return sum(np.sum(x * (1 + 0.5j)) for x in leaves), [x * x - 1j for x in leaves]

    compiled = sciad.jit(f, strict=True)
    for _ in range(3):
        same(compiled(z), f(z))


@native
def test_complex_scalars_take_the_fast_path():
    f = sciad.jit(lambda z, x: (z * x, abs(z)), strict=True)
    for z in (1 + 1j, np.complex128(2j)):
        f(z, 2.0)
        before = f.hits
        assert f(z, 2.0) == (z * 2.0, abs(z)) and f.hits == before + 1
    assert len(f._fast[1]) == 2


@native
def test_a_python_number_adapts_to_single_precision():
    f = sciad.jit(lambda z, w: z * w + 1j, strict=True)
    out = f(numbers(3, dtype=np.complex64), 1 + 1j)
    assert out.dtype == np.complex64
    same(out, numbers(3, dtype=np.complex64) * (1 + 1j) + 1j)


@native
def test_calls_of_compiled_functions():
    inner = sciad.jit(lambda z: np.exp(z) * z)
    z = numbers(5)
    same(sciad.jit(lambda z: inner(z) + inner(z[:2]).sum(), strict=True)(z),
         np.exp(z) * z + (np.exp(z) * z)[:2].sum())
    graph = record(lambda z: np.exp(z) * z, z).graph
    same(evaluate(graph, z)[0], np.exp(z) * z)
    same(kernel_of(record(lambda z: call_p(z, graph=graph)[0] + 1, z).graph)(z)[0],
         np.exp(z) * z + 1)
    same(sciad.grad(lambda z: abs(inner(z)).sum())(z),
         sciad.grad(lambda z: abs(np.exp(z) * z).sum())(z))


def test_evaluation_without_native_code(monkeypatch):
    monkeypatch.setattr(llvm, "available", lambda: False)
    graph = record(lambda z: (z * 1j, abs(z)), 1j).graph
    out, size = evaluate(graph, 2 + 1j)
    assert out == -1 + 2j and type(out) is np.complex128 and size == abs(2 + 1j)


# --- primitives without a form are called back ----------------------------------------------------

CALLED = [
    np.fft.fft, lambda z: np.fft.rfft(z.real), np.fft.irfft, special.wofz,
    lambda z: np.linalg.det(z.reshape(4, 4)) * z,
    lambda z: np.linalg.eigh(z.reshape(4, 4) + z.reshape(4, 4).conj().T)[0],
    lambda z: np.sort(abs(z)), lambda z: cumprod_p(z, axis=0), lambda z: np.convolve(z, z),
]


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
@pytest.mark.parametrize("f", CALLED)
def test_primitives_without_a_form(f, dtype):
    z = np.exp(1j * np.arange(16.0)).astype(dtype)
    same(sciad.jit(f, strict=True)(z), f(z))


@native
def test_long_complex_numbers():
    z = np.arange(3).astype(np.clongdouble) + 1j
    w = np.arange(3) * 1j
    got = sciad.jit(lambda z, w: (z * w, np.exp(z) + w * w), strict=True)(z, w)
    np.testing.assert_array_equal(got[0], z * w)
    np.testing.assert_array_equal(got[1], np.exp(z) + w * w)


# --- programs -------------------------------------------------------------------------------------


def newton(a):
    """A cube root of a by Newton's iteration."""
    return sciad.while_loop(lambda z: abs(z * z * z - a) > 1e-5,
                            lambda z: z - (z * z * z - a) / (3 * z * z), a * 0 + (1 + 0.5j))


def recurrence(z):
    rows = np.exp(1j * np.linspace(0, 1, 20)).astype(z.dtype)
    last, sizes = sciad.scan(lambda c, x: (c * x * 0.9 + z, abs(c)), z, rows)
    return last * sizes.sum()


def two_level(z):
    """A spin under pulses of these amplitudes, by products of matrices."""
    energy = np.array([[1.0, 0.5j], [-0.5j, -1.0]]).astype(z.dtype)
    drive = np.array([[0.0, 1.0], [1.0, 0.0]]).astype(z.dtype)
    state = np.array([1.0, 0.0]).astype(z.dtype)
    for k in range(4):
        h = energy + abs(z + k) * drive
        state = (np.eye(2).astype(z.dtype) - 0.1j * h - 0.005 * (h @ h)) @ state
    return state[0] * z


def mandelbrot(z):
    def step(state):
        w, n = state
        return w * w * 0.5 + z, n + 1

    w, n = sciad.while_loop(lambda s: (abs(s[0]) < 2) & (s[1] < 8), step, (z * 0, 0))
    return w


def branch(z):
    return np.exp(z) if abs(z) > 1 else z * z.conjugate() * (1 + 0j)


def nested(z):
    def step(w, x):
        w = sciad.while_loop(lambda v: abs(v) > 1, lambda v: v / 2, w * x)
        return sciad.cond(np.real(w) > 0, lambda w: w + z, lambda w: w.conj() - 1j, w), w

    return sciad.scan(step, z, np.arange(1.0, 5.0).astype(z.real.dtype))[0]


def mutation(z):
    out = snp.zeros(20, dtype=z.dtype)
    out[:] = z
    out[3] = z * z
    out[5:9] *= 1j
    out[::2] += np.conj(z)
    return np.prod(out[2:6]) + out.sum()


PROGRAMS = [newton, recurrence, two_level, mandelbrot, branch, nested, mutation]
POINTS = [0.3 + 0.7j, -1.2 + 0.4j]


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
@pytest.mark.parametrize("f", PROGRAMS, ids=kind_id)
def test_programs(f, dtype):
    for z in map(dtype, POINTS):
        same(sciad.jit(f, strict=True)(z), f(z))


def size(f):
    return lambda z: abs(f(z)) ** 2


@native
@pytest.mark.parametrize("dtype", KINDS, ids=kind_id)
@pytest.mark.parametrize("f", PROGRAMS, ids=kind_id)
def test_derivatives_of_programs(f, dtype):
    z, v = dtype(POINTS[0]), dtype(0.6 - 0.8j)
    for g, args in [
            (sciad.grad(size(f)), (z,)), (sciad.value_and_grad(size(f)), (z,)),
            (lambda z, v: sciad.jvp(f, (z,), (v,)), (z, v)),
            (lambda z, v: sciad.vjp(f, z)[1](v), (z, v)),
            (lambda z: sciad.wirtinger(f)(z), (z,))]:
        same(sciad.jit(g, strict=True)(*args), g(*args), 1e-9)
    same(sciad.grad(sciad.jit(size(f)))(z), sciad.grad(size(f))(z), 1e-9)


@native
@pytest.mark.parametrize("f", [recurrence, two_level, branch], ids=kind_id)
def test_second_derivatives(f):
    z, v = np.complex128(POINTS[0]), np.complex128(0.6 - 0.8j)

    def g(z, v):
        return sciad.jvp(sciad.grad(size(f)), (z,), (v,))[1]

    same(sciad.jit(g, strict=True)(z, v), g(z, v), 1e-9)


@native
def test_real_parameters_of_a_complex_program():
    def loss(x):
        state = np.exp(1j * x)
        return np.sum(abs(state + state[::-1] * (1 + 1j) + 1 / (x + 2j)) ** 2)

    x = np.linspace(0.1, 1.0, 20)
    for g in (sciad.grad(loss), sciad.hessian(loss), sciad.value_and_grad(loss)):
        same(sciad.jit(g, strict=True)(x), g(x), 1e-10)


@native
def test_jacobians_and_vmap():
    def f(z):
        return np.stack([z[0] * z[1].conj(), np.exp(z[0]), abs(z[1]) + 0j])

    z = np.array([0.3 + 1j, -0.5 + 0.2j])
    same(sciad.jit(sciad.wirtinger(f), strict=True)(z), sciad.wirtinger(f)(z))
    grid = np.linspace(-1, 1, 20) + 0.3j
    same(sciad.jit(sciad.vmap(mandelbrot), strict=True)(grid), sciad.vmap(mandelbrot)(grid))


@native
def test_checkpoints_custom_rules_and_hooks():
    def chain(z):
        return sciad.checkpoint(lambda w: np.exp(w) * w)(z * z)

    z = 0.4 + 0.2j
    g = sciad.grad(size(chain))
    same(sciad.jit(g, strict=True)(z), g(z))
    rows = np.exp(1j * np.arange(9.0))

    def loss(z):
        return abs(sciad.scan(lambda c, x: (c * x + z, None), z, rows, checkpoint=True)[0])

    same(sciad.jit(sciad.grad(loss), strict=True)(z), sciad.grad(loss)(z))


@native
def test_a_check_stops_a_complex_program():
    error = control.stopping.BufferFull("stop here")

    class Holder:
        exception = error

    def f(z):
        return check_p(z * 1j, abs(z) < 1, exception=Holder)

    kernel = kernel_of(record(f, 0.5j).graph)
    assert kernel(0.5j) == [0.5j * 1j]
    with pytest.raises(control.stopping.BufferFull, match="stop here"):
        kernel(2j)


@native
def test_complex_numbers_inside_a_right_hand_side():
    def rhs(t, y, p):
        phases = np.exp(1j * np.arange(20.0))  # a constant that is no scalar
        z = np.sum(phases * np.exp(1j * y[0])) * p
        return np.array([z.real, np.imag(z * z) - y[1]])

    def last(p):
        y0, at = np.array([0.3, 1.0]), np.array([0.5, 1.0])
        return solve_ivp(rhs, (0.0, 1.0), y0, args=(p,), t_eval=at, rtol=1e-9, atol=1e-9).y.sum()

    slope = sciad.jit(sciad.grad(last), strict=True)(0.7)
    same(slope, sciad.grad(last)(0.7))
    assert abs(slope - (last(0.7 + 1e-5) - last(0.7 - 1e-5)) / 2e-5) < 1e-6
