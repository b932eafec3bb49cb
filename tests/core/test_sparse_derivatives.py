"""Sparse Jacobians and Hessians equal the dense ones; a pattern that misses an entry is told."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import sciad
from sciad.core import plans
from sciad.core.errors import (
    ArgumentError,
    DTypeError,
    LostGradientError,
    RecordError,
    SciadError,
)
from sciad.core.sparsity import program_key
from tests.core.test_sparsity import EXACT, X, stencil

MODES = ["auto", "forward", "reverse"]


def dense(f, x):
    return np.reshape(sciad.jacobian(f)(x), (np.size(f(x)), np.size(x)))


def close(found, expected):
    assert sp.issparse(found) and found.format == "csr"
    assert found.has_canonical_format
    assert found.dtype == expected.dtype
    rtol = 1e-4 if expected.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found.toarray(), expected, rtol=rtol, atol=rtol)


def stored(matrix):
    return sp.csr_array((np.ones(matrix.nnz, bool), matrix.indices, matrix.indptr),
                        shape=matrix.shape).toarray()


def rows_of_arrow(x):
    return np.concatenate([x[:1] * np.sum(x, keepdims=True), x[1:] ** 2])


def columns_of_arrow(x):
    return x**2 * x[0]


def laplace(u):
    """The five points of a square grid, with a reaction."""
    n = int(np.sqrt(u.size))
    u = u.reshape(n, n)
    out = u**2 - 4.0 * u
    out[1:] += u[:-1]
    out[:-1] += u[1:]
    out[:, 1:] += u[:, :-1]
    out[:, :-1] += u[:, 1:]
    return out.reshape(-1)


# --- Jacobians ------------------------------------------------------------------------------------

CASES = {name: case for name, case in EXACT.items() if name != "complex"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_equals_the_dense_jacobian(name, mode):
    f, x = CASES[name]
    expected = dense(f, x)
    found = sciad.jacobian(f, mode=mode, sparsity="auto")(x)
    close(found, expected)
    np.testing.assert_array_equal(stored(found), sciad.sparsity(f, x).toarray())
    close(sciad.jacobian(f, mode=mode, sparsity=sciad.sparsity(f, x))(x), expected)


@st.composite
def programs(draw):
    """A function with a random pattern, and a point."""
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    matrix = rng.normal(size=(rows, columns))
    matrix *= rng.random((rows, columns)) < draw(st.sampled_from([0.1, 0.3, 0.8]))
    return lambda x: matrix @ np.sin(x) * 2.0, rng.normal(size=columns)


@given(programs(), st.sampled_from(MODES))
@settings(max_examples=40, deadline=None)
def test_random_patterns(program, mode):
    f, x = program
    close(sciad.jacobian(f, mode=mode, sparsity="auto")(x), dense(f, x))


def test_fewer_products_are_chosen():
    x = np.arange(1.0, 8.0)
    for f, kind in ((rows_of_arrow, "rows"), (columns_of_arrow, "columns")):
        plan = plans.plan_of(sciad.sparsity(f, x), "auto")
        assert (plan.kind, plan.count) == (kind, 2)
        close(sciad.jacobian(f, sparsity="auto")(x), dense(f, x))


def test_five_points_take_seven_products_at_most():
    plan = plans.plan_of(sciad.sparsity(laplace, np.ones(400)), "auto")
    assert plan.count <= 7


def counted(f):
    def calls(*args):
        calls.count += 1
        return f(*args)

    calls.count = 0
    return calls


def test_the_plan_is_kept(monkeypatch):
    made = counted(plans.pattern_of)
    monkeypatch.setattr(plans, "pattern_of", made)
    past = np.ones(6)
    slopes = sciad.jacobian(lambda u, dt: u - past - dt * stencil(u), sparsity="auto")
    u = np.arange(6.0)
    for dt in (0.1, 0.2):
        past = past + 1.0  # new numbers in the closure, and another argument
        close(slopes(u, dt), np.eye(6) - dt * dense(stencil, u))
    assert made.count == 1
    close(slopes(np.arange(8.0)[:6], 0.1), np.eye(6) - 0.1 * dense(stencil, u))
    past = np.ones(8)
    close(slopes(np.arange(8.0), 0.1), np.eye(8) - 0.1 * dense(stencil, np.arange(8.0)))
    assert made.count == 2


def test_the_plan_of_a_hessian_is_kept(monkeypatch):
    made = counted(plans.pattern_of)
    monkeypatch.setattr(plans, "pattern_of", made)
    target = np.ones(6)

    def loss(x, a):
        return np.sum((a * x[1:] * x[:-1] - target[1:]) ** 2)

    curvature = sciad.hessian(loss, sparsity="auto")
    for a in (2.0, 3.0):
        target = target + 1.0
        close(curvature(Y, a), sciad.hessian(loss)(Y, a))
    assert made.count == 1
    close(curvature(Y, 0.0), np.zeros((6, 6)))


KNOWN = [lambda x, c: x * c, lambda x, c: x / c, lambda x, c: c / x, lambda x, c: x**c,
         lambda x, c: np.arctan2(x, c), lambda x, c: np.where(c > 0, x, x[::-1]),
         lambda x, c: np.clip(x, c, 5.0), lambda x, c: np.fmod(x, c), lambda x, c: x * c * c * x,
         lambda x, c: np.convolve(x, c), lambda x, c: np.diag(c) @ x, lambda x, c: np.outer(x, c),
         lambda x, c: np.cross(x[:3], c[:3])]


@pytest.mark.parametrize("f", KNOWN)
def test_programs_of_one_key_have_one_pattern(f):
    rng, x, found = np.random.default_rng(0), np.array([0.3, 0.4, 0.5, 0.6]), {}
    for _ in range(30):
        c = rng.choice([0.0, 1.0, 2.0, -1.0, np.inf, np.nan, 1e308, 1e-308], 4)
        with np.errstate(all="ignore"):
            graph = plans._program(lambda x, c=c: f(x, c), x, "jacobian")
            pattern = plans.pattern_of(graph).toarray()
        np.testing.assert_array_equal(found.setdefault(program_key(graph), pattern), pattern)
    assert len(found) < 30


def test_the_plan_follows_what_the_function_reaches():
    shift, weights = 1, np.ones(6)

    def f(x):
        return weights * np.roll(x, shift) * x

    slopes = sciad.jacobian(f, sparsity="auto")
    x = np.arange(1.0, 7.0)
    for shift in (1, 2, 1, 3):  # noqa: B007
        close(slopes(x), dense(f, x))
    weights[:3] = 0.0
    close(slopes(x), dense(f, x))
    assert slopes(x).nnz == 9
    weights[:3] = 2.0
    close(slopes(x), dense(f, x))


def test_the_plan_follows_the_zeros_of_known_numbers():
    matrix, divisor, choice = np.eye(4), np.ones(4), np.array([True, False, True, False])

    def f(x):
        return np.where(choice, matrix @ x, x[::-1]) / divisor

    slopes = sciad.jacobian(f, sparsity="auto")
    x = np.arange(1.0, 5.0)
    close(slopes(x), dense(f, x))
    for array, place, value in ((matrix, (0, 3), 2.0), (choice, 1, True), (divisor, 2, np.inf),
                                (matrix, (1, 1), 0.0), (divisor, 2, 3.0)):
        array[place] = value
        close(slopes(x), dense(f, x))


def test_all_branches_count():
    def f(x):
        if x[0] > 0:
            return x[1:] * x[:-1]
        return x[1:] + x[0]

    slopes = sciad.jacobian(f, sparsity="auto")
    for x in (X + 10.0, X - 10.0):
        found = slopes(x)
        close(found, dense(f, x))
        np.testing.assert_array_equal(stored(found), sciad.sparsity(f, x).toarray())


def test_arguments_keywords_and_aux():
    def f(a, x, *, power):
        return a * x**power * np.roll(x, 1), {"a": a, "sum": np.sum(x)}

    found, aux = sciad.jacobian(f, argnums=1, has_aux=True, sparsity="auto")(2.0, X, power=2)
    close(found, dense(lambda x: f(2.0, x, power=2)[0], X))
    assert aux == {"a": 2.0, "sum": np.sum(X)}
    found, aux = sciad.jacobian(f, -1, "reverse", True, "auto")(2.0, X, power=2)
    close(found, dense(lambda x: f(2.0, x, power=2)[0], X))
    close(sciad.jacobian(lambda x: [x[0] * x[1], x[2], 1.0], sparsity="auto")(X),
          dense(lambda x: np.array([x[0] * x[1], x[2], 1.0]), X))


def test_arrays_of_any_shape():
    x = np.arange(12.0).reshape(3, 4)
    f = lambda x: np.stack([x[1:] * x[:-1], x[1:] ** 2], -1)  # noqa: E731
    assert sciad.jacobian(f, sparsity="auto")(x).shape == (16, 12)
    close(sciad.jacobian(f, sparsity="auto")(x), dense(f, x))
    close(sciad.jacobian(np.sin, sparsity="auto")(0.5), np.array([[np.cos(0.5)]]))


@pytest.mark.parametrize("mode", MODES)
def test_without_entries(mode):
    slopes = sciad.jacobian(lambda x: x[:0] * 2.0, mode=mode, sparsity="auto")
    assert slopes(X).shape == (0, 5)
    assert sciad.jacobian(lambda x: x * 2.0, mode=mode, sparsity="auto")(np.ones(0)).shape == (0, 0)
    for f in (lambda x: np.ones(3), lambda x: np.floor(x[:3]), lambda x: np.argsort(x)[:3]):
        found = sciad.jacobian(f, mode=mode, sparsity="auto")(X)
        assert found.shape == (3, 5) and found.nnz == 0
    f = lambda x: np.concatenate([np.zeros(2), x[1:3], np.zeros(1)])  # noqa: E731
    close(sciad.jacobian(f, mode=mode, sparsity="auto")(X), dense(f, X))


COMPLEX = {
    "square": (lambda z: z**2 * np.roll(z, 1), X + 1j * X[::-1]),
    "of real numbers": (lambda x: np.exp(1j * x) * np.roll(x, 1), X),
    "gather": (lambda z: z[[0, 2, 2]] * (1 + 2j), X + 2j),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers(name, mode):
    f, x = COMPLEX[name]
    close(sciad.jacobian(f, mode=mode, sparsity="auto")(x), dense(f, x))
    close(sciad.jacobian(f, mode=mode, sparsity=sciad.sparsity(f, x))(x), dense(f, x))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("f", [np.conj, np.real, lambda z: z * np.roll(abs(z), 1)])
def test_without_a_complex_derivative(f, mode):
    with pytest.raises(LostGradientError, match="sciad.wirtinger"):
        sciad.jacobian(f, mode=mode, sparsity="auto")(X + 1j)


def test_results_are_the_callers():
    slopes = sciad.jacobian(stencil, sparsity="auto")
    first = slopes(X)
    expected = first.toarray()
    first.indices[:] = 0
    first.data[:] = 0
    np.testing.assert_array_equal(slopes(X).toarray(), expected)


def test_one_callable_on_several_threads():
    slopes = sciad.jacobian(laplace, sparsity="auto")
    points = [np.full(n * n, 1.0 + n) for n in (3, 4, 5, 6)] * 2
    found = [None] * len(points)

    def run(k):
        found[k] = slopes(points[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(points))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, matrix in zip(points, found, strict=True):
        close(matrix, dense(laplace, x))


# --- Hessians -------------------------------------------------------------------------------------


def chain(x):
    return np.sum(np.sin(x[1:] * x[:-1])) + np.sum(x**4)


def star(x):
    return np.sum(x[0] * np.exp(x[1:]))


def grid(x):
    u = x.reshape(3, -1)
    return np.sum((u[1:] - u[:-1]) ** 4) + np.sum((u[:, 1:] - u[:, :-1]) ** 4)


def entries(x):
    return x[0] * x[1] * x[2] + x[3] ** 3 / (1 + x[0] ** 2)


HESSIANS = {
    "chain": chain, "star": star, "grid": grid, "entries": entries,
    "separable": lambda x: np.sum(np.cos(x)),
    "linear": lambda x: np.sum(x * np.arange(6.0)),
    "constant": lambda x: 3.0,
    "dense": lambda x: np.sum(x) ** 3,
    "branch": lambda x: np.sum(x[1:] * x[:-1]) if x[0] > 0 else np.sum(x**2),
    "stopped": lambda x: np.sum(x**2 * sciad.stop_gradient(x[::-1]) ** 2),
    "matrix": lambda x: x @ np.diag(np.arange(6.0)) @ x,
    "where": lambda x: np.sum(np.where(x > 0, x**2, x**3)),
    "loop": lambda x: sciad.fori_loop(0, 5, lambda k, s: s + np.sin(x[k] * x[k + 1]), 0.0),
    "jit": sciad.jit(chain),
}
Y = np.array([0.3, -1.2, 0.7, 1.9, -0.4, 1.1])


@pytest.mark.parametrize("name", HESSIANS)
def test_equals_the_dense_hessian(name):
    f = HESSIANS[name]
    expected = sciad.hessian(f)(Y)
    found = sciad.hessian(f, sparsity="auto")(Y)
    close(found, expected)
    assert (found != found.T).nnz == 0
    np.testing.assert_array_equal(stored(found), stored(found).T)
    close(sciad.hessian(f, sparsity=expected != 0)(Y), expected)
    close(sciad.hessian(f, sparsity=np.tril(expected != 0))(Y), expected)


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.3, 0.7]))
@settings(max_examples=40, deadline=None)
def test_random_hessians(seed, share):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 14))
    i, j = np.nonzero(rng.random((n, n)) < share)

    def f(x):
        return np.sum(np.sin(x[i] * x[j]))

    x = rng.normal(size=n)
    close(sciad.hessian(f, sparsity="auto")(x), sciad.hessian(f)(x))


def test_singular_points_are_those_of_the_dense_hessian():
    def f(x):
        return np.sum(np.where(x > 0, np.sqrt(abs(x)), 0.0))

    x = np.array([0.0, 1.0, 4.0])
    with np.errstate(all="ignore"):
        close(sciad.hessian(f, sparsity="auto")(x), sciad.hessian(f)(x))


def test_kinds_and_sizes():
    close(sciad.hessian(chain, sparsity="auto")(Y.astype(np.float32)),
          sciad.hessian(chain)(Y.astype(np.float32)))
    close(sciad.hessian(np.sin, sparsity="auto")(0.5), np.array([[-np.sin(0.5)]]))
    assert sciad.hessian(chain, sparsity="auto")(np.ones(0)).shape == (0, 0)
    close(sciad.hessian(lambda x: np.sum(x[1:] * x[:-1]), sparsity="auto")(np.ones((3, 2))),
          sciad.hessian(lambda x: np.sum(x[1:] * x[:-1]))(np.ones((3, 2))).reshape(6, 6))


def test_stars_take_few_products():
    for f, count in ((star, 2), (chain, 3), (HESSIANS["separable"], 1)):
        pattern = sciad.hessian(f, sparsity="auto")(np.ones(30))
        assert plans.star_plan(pattern.astype(bool)).count == count


@sciad.custom_rule
def bent(x):
    return np.sin(x)


@bent.vjp
def _bent_vjp(x):
    return bent(x), lambda g: (g * np.roll(x, 1),)  # on purpose no derivative of anything


def test_gradients_that_are_stated_need_not_be_symmetric():
    def f(x):
        return np.sum(bent(x)) + np.sum(x**2)

    expected = sciad.hessian(f)(Y)
    assert np.any(expected != expected.T)
    close(sciad.hessian(f, sparsity="auto")(Y), expected)
    close(sciad.jacobian(sciad.grad(f), sparsity=expected != 0)(Y), expected)
    with pytest.raises(SciadError, match="not symmetric.*sciad.jacobian of sciad.grad"):
        sciad.hessian(f, sparsity=expected != 0)(Y)

    def hooked(x):
        return np.sum(sciad.gradient_hook(x, lambda g: g * np.roll(g, 1)) ** 2)

    close(sciad.hessian(hooked, sparsity="auto")(Y), sciad.hessian(hooked)(Y))


# --- patterns that are given ----------------------------------------------------------------------

GRID = np.arange(1.0, 17.0) / 7


@pytest.mark.parametrize("convert", [sp.csr_array, sp.csc_matrix, sp.coo_array, np.asarray,
                                     lambda x: x.astype(float), lambda x: x.tolist()])
def test_kinds_of_patterns(convert):
    found = sciad.jacobian(laplace, sparsity=convert(sciad.sparsity(laplace, GRID).toarray()))
    close(found(GRID), dense(laplace, GRID))


def test_a_wider_pattern_holds_zeros():
    found = sciad.jacobian(stencil, sparsity=np.ones((5, 5), bool))(X)
    assert found.nnz == 25
    close(found, dense(stencil, X))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("entry", [(0, 0), (3, 2), (3, 7), (15, 14)])
def test_a_missing_entry_is_named(entry, mode):
    pattern = sciad.sparsity(laplace, GRID).toarray()
    pattern[entry] = False
    slopes = sciad.jacobian(laplace, mode=mode, sparsity=pattern)
    with pytest.raises(ArgumentError, match="misses the entry in row {}, column {}".format(*entry)):
        slopes(GRID)


@pytest.mark.parametrize("entry", [(0, 0), (1, 2), (4, 5)])
def test_a_missing_entry_of_a_hessian_is_named(entry):
    pattern = sciad.hessian(chain, sparsity="auto")(Y).toarray() != 0
    pattern[entry] = pattern[entry[::-1]] = False
    with pytest.raises(ArgumentError, match="misses the entry in row "):
        sciad.hessian(chain, sparsity=pattern)(Y)


def test_entries_that_come_later_are_told():
    slopes = sciad.jacobian(lambda x: x * np.maximum(x[0], 0.0), sparsity=np.eye(5))
    close(slopes(-np.ones(5)), np.zeros((5, 5)))
    with pytest.raises(ArgumentError, match="misses the entry"):
        slopes(np.ones(5))


def test_rounding_is_no_missing_entry():
    def f(x):
        return (1e9 * x + x[::-1]) - 1e9 * x

    found = sciad.jacobian(f, sparsity=sciad.sparsity(f, X))(X)
    np.testing.assert_allclose(found.toarray(), np.eye(5)[::-1], atol=1e-6)


def test_a_program_that_cannot_be_recorded():
    def f(x):
        return x * np.roll(x, 1) * float(sciad.stop_gradient(x[0]))

    pattern = np.eye(5) + np.roll(np.eye(5), 1, 0)
    close(sciad.jacobian(f, sparsity=pattern)(X), dense(f, X))
    with pytest.raises(RecordError):
        sciad.jacobian(f, sparsity="auto")(X)


def test_a_program_that_is_another_one_each_time():
    runs = [0]

    def f(x):
        runs[0] += 1
        return x * np.roll(x, runs[0])

    with pytest.raises(RecordError, match="another program each time"):
        sciad.jacobian(f, sparsity="auto")(X)
    rng = np.random.default_rng()
    found = sciad.jacobian(lambda x: x * rng.random(5), sparsity="auto")(X)
    np.testing.assert_array_equal(stored(found), np.eye(5))  # other numbers, but the same pattern


def test_the_arguments_stay_as_they_are():
    def f(x):
        x[0] = x[1] ** 2
        return x * x

    for mode in MODES:
        x = X.copy()
        close(sciad.jacobian(f, mode=mode, sparsity="auto")(x), dense(f, X.copy()))
        np.testing.assert_array_equal(x, X)


# --- wrong use ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, error, text", [
    (lambda: sciad.jacobian(stencil, sparsity=np.eye(4))(X), ArgumentError, r"shape \(4, 4\)"),
    (lambda: sciad.jacobian(stencil, sparsity="yes"), ArgumentError, "must be None, 'auto'"),
    (lambda: sciad.jacobian(stencil, sparsity=np.ones(5)), ArgumentError, r"shape \(5,\)"),
    (lambda: sciad.jacobian(stencil, sparsity=3), ArgumentError, r"shape \(\)"),
    (lambda: sciad.jacobian(stencil, mode="both", sparsity="auto"), ArgumentError, "'both'"),
    (lambda: sciad.jacobian(stencil, (0,), sparsity="auto")(X), ArgumentError, "sciad.ravel"),
    (lambda: sciad.jacobian(stencil, 1, sparsity="auto")(X), ArgumentError, "argnums=1"),
    (lambda: sciad.jacobian(lambda p: p["a"], sparsity="auto")({"a": X}), ArgumentError,
     "a dict.*sciad.ravel"),
    (lambda: sciad.jacobian(lambda x: {"a": x}, sparsity="auto")(X), ArgumentError,
     "a dict.*sciad.ravel"),
    (lambda: sciad.jacobian(stencil, sparsity="auto")(np.arange(5)), DTypeError, "dtype int64"),
    (lambda: sciad.hessian(stencil, sparsity="auto")(X), ArgumentError, "scalar"),
    (lambda: sciad.hessian(stencil, sparsity=np.eye(5))(X), ArgumentError, "scalar"),
    (lambda: sciad.hessian(chain, sparsity=np.ones((2, 3))), ArgumentError, "square"),
    (lambda: sciad.hessian(lambda z: abs(np.sum(z)), sparsity="auto")(X + 1j), DTypeError, "real"),
])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("sparsity", ["auto", np.ones((5, 5), bool)], ids=["auto", "given"])
@pytest.mark.parametrize("call", [
    lambda slopes: sciad.grad(lambda x: slopes(x).sum())(X),
    lambda slopes: sciad.jvp(slopes, (X,), (X,)),
    lambda slopes: sciad.jit(lambda x: slopes(x).data, strict=True)(X),
])
def test_inside_a_transform(call, sparsity):
    with pytest.raises(LostGradientError, match="sciad.linearize or sciad.vjp"):
        call(sciad.jacobian(stencil, sparsity=sparsity))


@pytest.mark.parametrize("sparsity", ["auto", np.ones((5, 5), bool)], ids=["auto", "given"])
def test_closing_over_a_followed_value(sparsity):
    def loss(a):
        return sciad.jacobian(lambda x: a * x * np.roll(x, 1), sparsity=sparsity)(X).sum()

    with pytest.raises(LostGradientError, match="sciad.linearize or sciad.vjp"):
        sciad.grad(loss)(2.0)


def test_constants_inside_a_transform():
    def loss(a):
        return np.sum(a * (sciad.jacobian(stencil, sparsity="auto")(X) @ X))

    assert np.isclose(sciad.grad(loss)(2.0), np.sum(dense(stencil, X) @ X))


# --- large ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("f, width", [(stencil, 3), (laplace, 5)])
def test_a_million_entries(f, width):
    n = 1000 * 1000
    u = np.random.default_rng(0).random(n)
    slopes = sciad.jacobian(f, sparsity="auto")(u)
    assert n * (width - 1) < slopes.nnz <= n * width
    v = np.random.default_rng(1).random(n)
    np.testing.assert_allclose(slopes @ v, sciad.jvp(f, (u,), (v,))[1], rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_a_hessian_of_a_million_entries():
    u, v = np.random.default_rng(0).random((2, 1_000_000))
    curvature = sciad.hessian(chain, sparsity="auto")(u)
    np.testing.assert_allclose(curvature @ v, sciad.hvp(chain, (u,), (v,)), rtol=1e-10, atol=1e-10)
