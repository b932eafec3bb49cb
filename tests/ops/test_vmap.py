"""vmap against the plain loop over entries: eager and compiled, under all transforms."""

import dataclasses
import warnings
from collections import namedtuple
from fractions import Fraction

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core import tree
from sciad.core.errors import ArgumentError
from sciad.core.record import record

RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 3))
B = RNG.standard_normal((3, 4))
W = RNG.standard_normal((2, 3))
Pair = namedtuple("Pair", "p q")


@dataclasses.dataclass
class Ball:
    place: np.ndarray
    mass: float


def total(x):
    return np.sum(np.sin(x) * x)


def branchy(x):
    if x[0] > 0:
        return np.sum(x**2)
    return -x[1] * x[2]


def writing(x, w):
    x[1:] = x[0] * w[1:]
    w[0] = x[2]
    return x * w


def stepping(x):
    y = snp.zeros(3)
    for k in range(3):
        y[k] = x[k] * (y[k - 1] + 1.0)
    return y


# name: (function, in_axes, out_axes, arguments), as JAX takes them
CASES = {
    "scalar entries": (lambda x: np.sin(x) * x, 0, 0, (A[0],)),
    "rows": (total, 0, 0, (A,)),
    "columns": (total, 1, 0, (A,)),
    "negative axis": (total, -1, 0, (A,)),
    "two arguments": (lambda x, y: x @ y, 0, 0, (A, A * 2)),
    "different axes": (lambda x, y: x * y, (0, 1), 0, (A, B)),
    "not mapped": (lambda x, w: w @ x, (0, None), 0, (A, W)),
    "out axis 1": (lambda x, w: w @ x, (0, None), 1, (A, W)),
    "out axis -1": (lambda x: np.outer(x, x), 0, -1, (A,)),
    "out axis -2": (lambda x: np.outer(x, x), 0, -2, (A,)),
    "prefix for a dict": (lambda d: d["a"] * d["b"][0], 0, 0, ({"a": A, "b": [A * 2]},)),
    "axes as a dict": (lambda d: d["a"] * d["b"], ({"a": 0, "b": 1},), 0, ({"a": A, "b": B},)),
    "part of a dict": (lambda d: d["a"] * d["b"], ({"a": 0, "b": None},), 0,
                       ({"a": A, "b": A[0]},)),
    "list of axes": (lambda x, y: x * y, [0, 1], 0, (A, B)),
    "namedtuple": (lambda d: d.p * d.q, (Pair(0, None),), 0, (Pair(A, A[1]),)),
    "results in a dict": (lambda x: {"s": np.sum(x), "v": [x, 2 * x]}, 0, 0, (A,)),
    "out axes as a dict": (lambda x: {"s": np.sum(x), "v": [x, 2 * x]}, 0, {"s": 0, "v": 1}, (A,)),
    "out axis per result": (lambda x: (x, 2 * x), 0, (0, 1), (A,)),
    "result not mapped": (lambda x, w: (x * w, np.sum(w)), (0, None), (0, None), (A, A[0])),
    "None among arguments": (lambda x, n, y: x * y, (0, None, 0), 0, (A, None, A)),
    "constant result": (lambda x: (x, 3.0), 0, 0, (A,)),
    "one entry": (total, 0, 0, (A[:1],)),
    "no entries": (lambda x: (np.sin(x), np.sum(x)), 0, (1, 0), (A[:0],)),
    "nested": (sciad.vmap(np.sin), 0, 0, (A,)),
    "nested across": (sciad.vmap(lambda x, y: x * y, (None, 0)), (0, None), 0, (A[:, 0], A[0])),
}
OWN = {
    "branches": (branchy, 0, 0, (A,)),
    "branches of branches": (lambda x: branchy(x) if x[1] > 0 else total(x), 0, 0, (A,)),
    "mutation": (writing, (0, None), 0, (A, A[0])),
    "mutation of a fresh array": (stepping, 0, 0, (A,)),
    "dataclass": (lambda b: b.place * b.mass, 0, 0, (Ball(A, A[:, 0]),)),
    "gradient": (sciad.grad(total), 0, 0, (A,)),
    "gradient of branches": (sciad.grad(branchy), 0, 0, (A,)),
    "tangent": (lambda x, v: sciad.jvp(total, (x,), (v,))[1], (0, None), 0, (A, A[0])),
    "Hessian": (sciad.hessian(total), 0, 0, (A,)),
    "gradient of nested": (sciad.grad(lambda x: np.sum(sciad.vmap(np.sin)(x) ** 2)), 0, 0, (A,)),
    "cond": (lambda x: sciad.cond(x[0] > 0, np.sin, np.cos, x), 0, 0, (A,)),
    "scan": (lambda x: sciad.scan(lambda c, e: (c * e, c + e), 1.0, x), 0, 0, (A,)),
    "while": (lambda x: sciad.while_loop(lambda s: s < 5.0, lambda s: s * s + 1, x[0]), 0, 0,
              (A,)),
    "object result": (lambda x: np.array([x[0] * x[1], x[2]]), 0, 0, (A,)),
}
ALL = CASES | OWN
BY_NAME = pytest.mark.parametrize("name", ALL)


def mapped(name):
    function, in_axes, out_axes, args = ALL[name]
    return sciad.vmap(function, in_axes, out_axes), args


def leaves(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def same(a, b, rtol=1e-12):
    for p, q in zip(leaves(a), leaves(b), strict=True):
        assert p.shape == q.shape and p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("nested")])
def test_means_what_jax_means(name):
    function, in_axes, out_axes, args = CASES[name]
    jax = pytest.importorskip("jax", reason="the extra bench has it")
    jax.config.update("jax_enable_x64", True)

    def in_jax(*xs):
        numpy = {"sin": jax.numpy.sin, "sum": jax.numpy.sum, "outer": jax.numpy.outer}
        with pytest.MonkeyPatch.context() as patch:
            for key, value in numpy.items():
                patch.setattr(np, key, value)
            return function(*xs)

    expected = jax.vmap(in_jax, in_axes, out_axes)(*args)
    got = sciad.vmap(function, in_axes, out_axes)(*args)
    for a, b in zip(leaves(got), map(np.asarray, jax.tree.leaves(expected)), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12)


@BY_NAME
def test_recorded(name):
    f, args = mapped(name)
    recorded = record(f, *args)
    recorded.graph.check()
    same(recorded(*args), f(*args))


@BY_NAME
def test_compiled(name):
    f, args = mapped(name)
    same(sciad.jit(f, strict=True)(*args) if sciad_compiles() else sciad.jit(f)(*args), f(*args))


def sciad_compiles():
    from sciad.compiler import llvm

    return llvm.available()


@BY_NAME
def test_derivatives(name):
    f, args = mapped(name)
    if leaves(f(*args))[0].size:
        sciad.check_grads(f, args)


def scalar_of(f):
    def loss(*args):
        return sum((np.sum(np.sin(x)) for x in tree.flatten(f(*args))[0]), 0.0)

    return loss


@BY_NAME
def test_compiled_gradient(name):
    f, args = mapped(name)
    gradient = sciad.grad(scalar_of(f))
    same(sciad.jit(gradient)(*args), gradient(*args), 1e-10)


@pytest.mark.parametrize("name", ["branches", "mutation", "different axes", "not mapped", "scan",
                                  "dataclass", "gradient of branches"])
def test_compiled_second_derivative(name):
    f, args = mapped(name)
    tangents = tree.tree_map(np.cos, args)

    def second(*xs):
        return sciad.hvp(lambda *ys: scalar_of(f)(*ys), xs, tangents)

    same(sciad.jit(second)(*args), second(*args), 1e-9)


@pytest.mark.parametrize("name", ["branches", "mutation", "scan", "rows"])
def test_of_a_jitted_function(name):
    function, in_axes, out_axes, args = ALL[name]
    f = sciad.vmap(sciad.jit(function), in_axes, out_axes)
    plain = sciad.vmap(function, in_axes, out_axes)
    same(f(*args), plain(*args))
    same(sciad.jit(f)(*args), plain(*args))
    same(sciad.grad(scalar_of(f))(*args), sciad.grad(scalar_of(plain))(*args), 1e-10)


def test_inside_a_loop_inside_a_compiled_gradient():
    def loss(x):
        def body(c, row):
            inner = sciad.vmap(lambda e, w: np.tanh(e * w) if e > 0 else e * w * w[0], (0, None))
            out = inner(row, c)
            return c * 0.9 + np.sum(out), np.sum(out * c)

        return np.sum(sciad.scan(body, x[0], x)[1])

    same(sciad.jit(sciad.grad(loss))(A), sciad.grad(loss)(A), 1e-10)
    sciad.check_grads(loss, (A,))


def test_is_one_loop_of_the_graph():
    graph = record(sciad.vmap(total), np.ones((1000, 3))).graph
    assert len(graph) < 10


def test_arguments_stay_as_they_are():
    x, w = A.copy(), A[0].copy()
    first = sciad.vmap(writing, (0, None))(x, w)
    assert np.array_equal(x, A) and np.array_equal(w, A[0])
    loop = np.stack([writing(row.copy(), w.copy()) for row in A])
    np.testing.assert_array_equal(first, loop)

    def held(x):
        y = x * 1.0
        z = sciad.vmap(writing, (0, None))(y, y[0])
        return np.sum(z) + np.sum(y * y)

    sciad.check_grads(held, (A,))
    same(sciad.jit(sciad.grad(held))(A), sciad.grad(held)(A), 1e-10)


def test_results_do_not_share_a_buffer_of_the_function():
    buffer = np.zeros(3)

    def f(x):
        buffer[:] = x
        return buffer

    assert np.array_equal(sciad.vmap(f)(A), A)


def test_closures():
    def loss(w):
        return np.sum(sciad.vmap(lambda row: np.tanh(w @ row))(A) ** 2)

    sciad.check_grads(loss, (W,))
    same(sciad.jit(sciad.grad(loss))(W), sciad.grad(loss)(W), 1e-10)


def test_keywords_are_mapped_over_axis_0():
    f = sciad.vmap(lambda x, scale: x * scale, in_axes=1)
    same(f(B, scale=A[:, 0]), B.T * A[:, :1])
    same(sciad.jit(lambda x, s: f(x, scale=s))(B, A[:, 0]), B.T * A[:, :1])


def test_other_values_pass_through():
    def f(x, name, table):
        return x * table[name]

    table = {"a": 2.0, "b": 3.0}
    same(sciad.vmap(f, (0, None, None))(A, "b", table), A * 3)
    halves = np.array([Fraction(1, 2), Fraction(1, 3)], object)
    assert list(sciad.vmap(lambda q: q * 2)(halves)) == [1, Fraction(2, 3)]


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.int64])
def test_dtypes(dtype):
    x = (A * 3).astype(dtype)
    f = sciad.vmap(lambda row: row[0] * 2 * row)
    same(f(x), x[:, :1] * 2 * x)
    assert f(x).dtype == dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sciad.compiler.jit.FallbackWarning)
        same(sciad.jit(f)(x), f(x))
    if dtype != np.int64:
        sciad.check_grads(f, (x,))


def test_python_numbers_among_results_adapt():
    x = np.array([1, -1, 2], np.float32)
    f = sciad.vmap(lambda e: e * 2 if e > 0 else 0.0)
    assert f(x).dtype == np.float32
    assert sciad.jit(f)(x).dtype == np.float32
    assert sciad.vmap(lambda e: 1)(x).dtype == np.int64


def test_many_entries_take_linear_time():
    """Rows are read, and their cotangents added, in time that does not grow with their number."""
    x = np.ones((3000, 50))
    slope = sciad.grad(lambda x: np.sum(sciad.vmap(lambda row: row @ row)(x)))(x)
    assert np.array_equal(slope, 2 * x)


@pytest.mark.parametrize("out_axis", [0, 1, -1])
def test_results_are_joined_in_groups(out_axis):
    x = RNG.standard_normal((200, 3))

    def loss(f, x):
        y = f(x)
        return np.sum(np.sin(y) * np.arange(y.size).reshape(y.shape))

    def plain(x):
        return np.moveaxis(x * x[:, :1], 0, out_axis)

    f = sciad.vmap(lambda row: row * row[0], 0, out_axis)
    same(f(x), plain(x))
    same(sciad.grad(loss, 1)(f, x), sciad.grad(loss, 1)(plain, x))


@pytest.mark.parametrize("call, message", [
    (lambda: sciad.vmap(3), "takes a function, got a int"),
    (lambda: sciad.vmap(np.add)(A, A[:2]),
     r"argument 0 has 4 \(axis 0 of shape \(4, 3\)\), argument 1 has 2 \(axis 0 of shape"),
    (lambda: sciad.vmap(lambda d, s: d)({"k": [A, A[:3]]}, s=A[:2]),
     r"argument 0\['k'\]\[0\] has 4.*argument 0\['k'\]\[1\] has 3.*keyword argument s has 2"),
    (lambda: sciad.vmap(np.sin, 2)(A), r"axis 2 is out of range for argument 0, of shape \(4, 3"),
    (lambda: sciad.vmap(np.sin, -3)(A), "axis -3 is out of range"),
    (lambda: sciad.vmap(np.sin)(np.float64(1.0)), r"axis 0 is out of range for argument 0, of sh"),
    (lambda: sciad.vmap(np.sin)(1.0), "argument 0 is a float, which has no axis.*give None"),
    (lambda: sciad.vmap(lambda a, b: a)(A, "x"), "argument 1 is a str"),
    (lambda: sciad.vmap(np.sin, None)(A), "maps over no array"),
    (lambda: sciad.vmap(np.sin, (None,))(A), "maps over no array"),
    (lambda: sciad.vmap(lambda: 1.0)(), "maps over no array"),
    (lambda: sciad.vmap(np.sin, (0, 0))(A), "2 entries for 1 positional"),
    (lambda: sciad.vmap(np.sin, "a")(A), "must be integers"),
    (lambda: sciad.vmap(np.sin, 1.0)(A), "must be integers"),
    (lambda: sciad.vmap(np.sin, True)(A), "must be integers"),
    (lambda: sciad.vmap(lambda d: d, ({"b": 0},))({"a": A}), r"in_axes=.*does not fit the arg"),
    (lambda: sciad.vmap(np.sin, 0, 2)(A), r"out_axes has 2, out of range for results of shape"),
    (lambda: sciad.vmap(np.sin, 0, (0, 0))(A), "out_axes=.*does not fit the result"),
    (lambda: sciad.vmap(np.sin, 0, None)(A), "not the same for all entries"),
    (lambda: sciad.vmap(lambda x: x[:int(x[0] > 0)])(A), "results differ in shape"),
    (lambda: sciad.vmap(lambda x: x if x[0] > 0 else (x, x))(A), "different structures"),
    (lambda: sciad.vmap(lambda x: "big" if x[0] > 0 else "small")(A), "different structures"),
    (lambda: sciad.vmap(lambda x: object())(A), "returned a object"),
])
def test_errors(call, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        call()
    assert "test_vmap.py" in str(caught.value)


def test_a_common_result_must_not_depend_on_the_entry():
    """Also where the values happen to agree: the derivative would be that of one entry."""
    f = sciad.vmap(lambda x: x, out_axes=None)
    with pytest.raises(ArgumentError, match="not the same for all entries"):
        sciad.grad(f)(np.ones(3))
    with pytest.raises(ArgumentError, match="not the same for all entries"):
        record(f, np.ones(3))


@pytest.mark.parametrize("out_axes", [0, -1, {"a": 0, "b": None}, {"a": None, "b": 0}])
def test_a_text_is_the_same_for_all_entries(out_axes):
    def f(x):
        constant = isinstance(out_axes, dict) and out_axes["a"] is None
        return sciad.vmap(lambda row: {"a": 2.0 if constant else row, "b": "s"}, 0, out_axes)(x)

    eager, recorded = f(A), record(f, A)(A)
    assert eager["b"] == recorded["b"] == "s"
    same(eager["a"], recorded["a"])
    carry, ys = sciad.scan(lambda c, row: (c + 1, ("s", row)), 0, A)
    assert carry == len(A) and ys[0] == "s"
    same(ys[1], A)
