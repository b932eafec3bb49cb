"""sparsity: the pattern holds all nonzeros of the Jacobian, and no more where that can be known."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core import patterns
from sciad.core.errors import ArgumentError, DTypeError, LostGradientError, RecordError, SciadError
from tests.ops.cases import real
from tests.ops.tables import CASES

X = real(5)
GRID = real(3, 4)


def nonzeros(f, x):
    """Where the Jacobian is not zero at x, as a matrix."""
    parts = sciad.wirtinger(f)(x) if np.iscomplexobj(x) else [sciad.jacobian(f)(x)]
    return sum(np.abs(part) for part in parts).reshape(np.size(f(x)), np.size(x)) != 0


def pattern(f, x):
    found = sciad.sparsity(f, x)
    assert found.dtype == bool and found.format == "csr"
    assert found.has_canonical_format
    return found.toarray()


# --- the law: no dependence is missed -------------------------------------------------------------


def _entries(out):
    outs = out if isinstance(out, tuple) else (out,)
    return np.concatenate([np.reshape(y, -1) for y in outs])


def _followed(case):
    return [k for k, x in enumerate(case.args)
            if np.asarray(x).dtype in (np.float64, np.complex128)]


def _of_vector(case, places):
    """A case as a function of one vector, which holds these of its arguments; and the vector."""
    values = [np.asarray(case.args[k]) for k in places]
    ends = np.cumsum([0] + [x.size for x in values])

    def f(vector):
        args = list(case.args)
        for k, x, start, stop in zip(places, values, ends[:-1], ends[1:], strict=True):
            part = vector[start:stop].reshape(x.shape)
            args[k] = part if x.dtype == vector.dtype else np.real(part)
        return _entries(case.function(*args))

    return f, np.concatenate([np.reshape(x, -1) for x in values])


WHOLE = [case for case in CASES if _followed(case)]
ONE = [(case, k) for case in WHOLE for k in _followed(case) if len(_followed(case)) > 1]


@pytest.mark.parametrize("case", WHOLE, ids=[case.name for case in WHOLE])
def test_holds_the_jacobian(case):
    f, x = _of_vector(case, _followed(case))
    assert np.all(nonzeros(f, x) <= pattern(f, x))


@pytest.mark.parametrize("case, k", ONE, ids=[f"{case.name}-{k}" for case, k in ONE])
def test_holds_the_jacobian_with_known_operands(case, k):
    f, x = _of_vector(case, [k])
    try:
        expected = nonzeros(f, x)
    except LostGradientError:
        return  # a function of NumPy's that must be given an Array first
    assert np.all(expected <= pattern(f, x))


# --- where it can be known, it is exact -----------------------------------------------------------

BAND = np.diag([2.0] * 5) + np.diag([1.0] * 4, 1) - np.diag([3.0] * 4, -1)
TALL = np.array([[1.0, 0, 0, 2, 0], [0, 0, 3, 0, 0]])
PLACE = np.array([3, 0, 0, 4])


def stencil(u):
    du = -2.0 * u
    du[1:] += u[:-1]
    du[:-1] += u[1:] * u[1:]
    return du


def written(x):
    y = np.ones(6)
    y = snp.asarray(y) * x[0]
    y[2] = x[1] * x[2]
    y[PLACE] = x[1:]
    y[1] = 7.0
    return y


def by_row(carry, x):
    return carry * 0.5 + x, np.sin(x) * x


def swap(carry, x):
    a, b = carry
    return (b, a * x), a + 1.0


def delay(carry, x):
    return x * x, carry * x


def _step_along(k, y):
    y[k] = y[k] + y[k - 1] ** 2
    return y


def halved(state):
    k, y = state
    return k + 1, y * 0.5


def pieces(x):
    return sciad.cond(np.sum(x) > 0, lambda x: x[:2] * 2.0, lambda x: np.sin(x[:2]), x)


def rotated(x):
    return sciad.vmap(lambda row: np.roll(row, 1) * row)(x)


@sciad.custom_rule
def doubled(x):
    return np.floor(2 * x)


@doubled.vjp
def _doubled_vjp(x):
    return doubled(x), lambda g: (2 * g,)


EXACT = {
    "identity": (lambda x: x, X),
    "constant": (lambda x: np.ones(3), X),
    "comparison": (lambda x: np.where(x > 0, 1.0, 2.0), X),
    "stopped": (lambda x: x[0] + sciad.stop_gradient(x), X),
    "rounded": (lambda x: np.floor(x) + np.sign(x) * x[::-1], X),
    "elementwise": (lambda x: np.sin(x) * np.exp(-x) / (1 + x**2), X),
    "literal zeros": (lambda x: x * np.array([1.0, 0, 2, 0, 3]), X),
    "literal choice": (lambda x: np.where(np.arange(5) % 2, x, x[::-1]), X),
    "broadcast": (lambda x: x[:, None] * x[None, ::-1], X),
    "broadcast rows": (lambda x: x * x[1] + np.ones((2, 1, 1)), GRID),
    "neighbours": (lambda x: x[1:] * x[:-1], X),
    "stencil": (stencil, X),
    "stencil twice": (lambda u: stencil(stencil(u)), X),
    "rolled": (lambda x: np.roll(x, 2) + np.flip(x), X),
    "padded": (lambda x: np.pad(x, 2, "wrap"), X),
    "diff": (lambda x: np.diff(np.diff(x)), X),
    "transposed": (lambda x: (x.T * np.ones((4, 3)))[::-1], GRID),
    "reshaped": (lambda x: x.reshape(2, 6)[:, ::2], GRID),
    "gathered": (lambda x: x[PLACE] * x[-1], X),
    "mask": (lambda x: x[np.array([True, False, True, True, False])], X),
    "written": (written, X),
    "concatenated": (lambda x: np.concatenate([x[2:], np.ones(2), x * x]), X),
    "stacked": (lambda x: np.stack([x, x[::-1], np.zeros(5)], 1), X),
    "packed": (lambda x: np.array([x[0] * x[1], 1.0, x[4]]), X),
    "sum": (np.sum, X),
    "sum of rows": (lambda x: np.sum(x, 1), GRID),
    "mean of columns": (lambda x: x - np.mean(x, 0), GRID),
    "product": (lambda x: np.prod(x, 1), GRID),
    "norms": (lambda x: np.linalg.norm(x, axis=0), GRID),
    "cumsum": (np.cumsum, X),
    "cumsum of columns": (lambda x: np.cumsum(x, 0) * x[::-1], GRID),
    "cumprod": (lambda x: np.cumprod(x, 1), GRID),
    "banded": (lambda x: BAND @ x, X),
    "banded from the right": (lambda x: x.T @ BAND[:3, :4], GRID),
    "banded stack": (lambda x: BAND[:4, :3] @ np.stack([x, x * x]), GRID),
    "rectangular": (lambda x: TALL @ np.exp(x), X),
    "einsum": (lambda x: np.einsum("ij,kj->ik", x, TALL[:, :4]), GRID),
    "matrix product": (lambda x: x @ x.T, GRID),
    "convolved": (lambda x: np.convolve(x, [1.0, 0.0, 2.0]), X),
    "correlated": (lambda x: np.correlate(x, [1.0, 3.0], "same"), X),
    "solved": (lambda x: np.linalg.solve(np.eye(3) + 0.1, x), GRID),
    "cond": (pieces, abs(X)),
    "rows of a scan": (lambda x: sciad.scan(by_row, x[0] * 0, x)[1], GRID),
    "carry of a scan": (lambda x: sciad.scan(by_row, x[0] * x[1], x)[0], GRID),
    "reverse scan": (lambda x: sciad.scan(lambda c, x: (c + x, c), 0.0, x, reverse=True)[1], X),
    "swapped": (lambda x: sciad.scan(swap, (x[0], x[1]), x)[1], X),
    "delay": (lambda x: sciad.scan(delay, 1.0, x)[1], X),
    "loop without rows": (lambda x: sciad.fori_loop(0, 4, lambda k, y: stencil(y), x), real(9)),
    "counted reads": (lambda x: sciad.fori_loop(0, 3, lambda k, y: y + x[k] * x[k + 1], 0.0), X),
    "counted writes": (lambda x: sciad.fori_loop(1, 5, _step_along, x), X),
    "rows of indices": (lambda x: sciad.scan(lambda c, k: (c, x[k] * x[k - 1]), 0.0, PLACE)[1], X),
    "while": (lambda x: sciad.while_loop(lambda s: s[0] < 3, halved, (0, x))[1], X),
    "vmap": (rotated, GRID),
    "checkpoint": (sciad.checkpoint(stencil), X),
    "jit": (sciad.jit(stencil), X),
    "complex": (lambda z: np.abs(z) * np.conj(z[::-1]), X + 1j),
    "float32": (stencil, X.astype(np.float32)),
    "gradient": (sciad.grad(lambda x: np.sum(np.sin(x[1:] * x[:-1]))), X),
    "gradient of a counted loop": (sciad.grad(lambda x: sciad.fori_loop(
        0, 4, lambda k, y: y + np.sin(x[k + 1] * x[k]), 0.0)), X),
    "gradient of a scan": (sciad.grad(lambda x: sciad.scan(lambda c, x: (c + x**3, None),
                                                           0.0, x)[0]), X),
}


@pytest.mark.parametrize("name", EXACT)
def test_is_exact(name):
    f, x = EXACT[name]
    np.testing.assert_array_equal(pattern(f, x), nonzeros(f, x))


def test_holds_at_every_point():
    branch = pattern(pieces, X)
    for x in (X, -X, np.zeros(5)):
        np.testing.assert_array_equal(branch, pattern(pieces, x))

    def piecewise(x):
        return x[0] * x[1] if x[0] > 0 else x[2]

    np.testing.assert_array_equal(pattern(piecewise, X), [[1, 1, 1, 0, 0]])


@sciad.custom_rule
def sheared(x, y):
    return x + y[::-1], np.sum(y)


@sheared.jvp
def _sheared_jvp(primals, tangents):
    x, y = tangents
    return sheared(*primals), (x + y[::-1], np.sum(y))


def test_custom_rule_counts_by_its_derivative():
    np.testing.assert_array_equal(pattern(doubled, X), np.eye(5, dtype=bool))
    np.testing.assert_array_equal(pattern(lambda x: sheared(x, x[::-1])[0], X), np.eye(5))
    np.testing.assert_array_equal(pattern(lambda x: sheared(x, x[1] * np.ones(5))[1], X),
                                  [[0, 1, 0, 0, 0]])


def test_custom_rule_that_cannot_be_recorded_is_dense():
    @sciad.custom_rule
    def tripled(x):
        return 3.0 * x

    @tripled.jvp
    def _(primals, tangents):
        float(primals[0][0])
        return tripled(*primals), 3.0 * tangents[0]

    assert pattern(tripled, X).all()


def test_indices_out_of_range_in_a_branch_that_is_not_taken():
    def f(x):
        def step(k, y):
            return y + sciad.cond(k < 4, lambda: x[k + 1], lambda: x[2] * 0.0)

        return sciad.fori_loop(0, 5, step, 0.0)

    np.testing.assert_array_equal(pattern(f, X), [[0, 1, 1, 1, 1]])

    def unknown(x):
        return sciad.cond(np.sum(x) > 0, lambda: x[np.array([7])], lambda: x[:1])

    assert pattern(unknown, X).all()


def test_data_dependent_indices_are_dense():
    assert pattern(np.sort, X).all()
    assert pattern(lambda x: x[np.argmax(x)], X).all()


def test_while_loop_is_closed():
    def run(x):
        return sciad.while_loop(lambda y: np.sum(y) < 10, lambda y: np.roll(y, 1) + y[0] * 0, x)

    assert pattern(run, X).all()

    def chain(x):
        return sciad.while_loop(lambda y: y[-1] < 10, stencil_up, x)

    def stencil_up(y):
        return np.concatenate([y[:1] * 2, y[1:] + y[:-1]])

    np.testing.assert_array_equal(pattern(chain, X), np.tri(5, dtype=bool))


def _random_matrix(seed, n=7):
    rng = np.random.default_rng(seed)
    return (rng.random((n, n)) < 1.2 / n) * 1.0


@pytest.mark.parametrize("seed", range(12))
def test_while_loop_is_the_closure(seed):
    step, seed_of = _random_matrix(seed), _random_matrix(seed + 100)
    found = pattern(lambda x: sciad.while_loop(lambda y: y[0] < 3, lambda y: step @ y,
                                               seed_of @ x), real(7))
    reached = np.linalg.matrix_power(np.eye(7) + step, 7) @ seed_of
    np.testing.assert_array_equal(found, reached != 0)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_scan_is_the_loop_in_python(seed, reverse):
    matrices = [_random_matrix(10 * seed + k) for k in range(5)]

    def step(carry, row, fixed):
        a, b = carry
        row = np.concatenate([row, row[:3]])
        new = matrices[0] @ a + matrices[1] @ row, matrices[2] @ a + fixed
        return new, matrices[3] @ b + matrices[4] @ row

    def structured(x):
        (a, b), ys = sciad.scan(lambda carry, row: step(carry, row, x[0, 0]),
                                (np.zeros(7), x.reshape(-1)[:7]), x, reverse=reverse)
        return np.concatenate([a, b, ys.reshape(-1)])

    def unrolled(x):
        carry, ys = (np.zeros(7), x.reshape(-1)[:7]), [None] * 3
        for k in (2, 1, 0) if reverse else (0, 1, 2):
            carry, ys[k] = step(carry, x[k], x[0, 0])
        return np.concatenate([*carry, *ys])

    np.testing.assert_array_equal(pattern(structured, GRID), pattern(unrolled, GRID))


# --- large and wrong ------------------------------------------------------------------------------


def test_large_stencil():
    n = 100_000
    found = sciad.sparsity(lambda u: stencil(np.sin(u)), np.ones(n))
    assert found.shape == (n, n) and found.nnz == 3 * n - 2


def test_few_columns_of_a_long_running_sum():
    found = sciad.sparsity(lambda p: np.cumsum(p[0] * np.ones(50_000)) * p[1], np.ones(2))
    assert found.nnz == 100_000


TOO_DENSE = {
    "multiply": lambda x: np.sum(x) * x,
    "cumsum": np.cumsum,
    "matmul": lambda x: np.ones((2000, 2000)) @ x,
    "sort": np.sort,
    "convolve": lambda x: np.convolve(x, np.ones(2000)),
    "while_loop": lambda x: sciad.while_loop(lambda y: y[0] < 9, lambda y: np.roll(y, 1), x),
    "scan": lambda x: sciad.scan(lambda c, x: (c + x, c), 0.0, x)[1],
}


@pytest.mark.parametrize("name", TOO_DENSE)
def test_too_dense(name, monkeypatch):
    monkeypatch.setattr(patterns, "LIMIT", 1_000_000)
    with pytest.raises(SciadError, match=r"sparsity: \w+ \(.*test_sparsity.*entries or more"):
        sciad.sparsity(TOO_DENSE[name], np.ones(2000))


def test_products_in_blocks(monkeypatch):
    monkeypatch.setattr(patterns, "LIMIT", 40)
    found = pattern(lambda x: BAND @ (BAND @ x), X)
    np.testing.assert_array_equal(found, nonzeros(lambda x: BAND @ (BAND @ x), X))


@pytest.mark.parametrize("f, x, error, text", [
    (lambda x: x * float(x[0]), X, RecordError, "float"),
    (lambda x: (x, x), X, ArgumentError, "container of 2"),
    (lambda p: p["a"], {"a": X}, ArgumentError, "sciad.ravel"),
    (np.sin, np.arange(3), DTypeError, "sparsity: cannot differentiate"),
])
def test_errors(f, x, error, text):
    with pytest.raises(error, match=text):
        sciad.sparsity(f, x)


def test_results_without_entries():
    assert sciad.sparsity(lambda x: x[:0], X).shape == (0, 5)
    assert sciad.sparsity(lambda x: x * 2, np.ones(0)).shape == (0, 0)
    assert sciad.sparsity(lambda x: x * 2, 1.5).toarray().tolist() == [[True]]
    assert sciad.sparsity(lambda x: 3.0, X).shape == (1, 5)
