"""Whether `reshape` and `ravel` are views follows the order in memory that NumPy's arrays have."""

import warnings

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.errors import NoRuleError, RecordError
from sciad.core.record import record

X = np.arange(1.0, 13.0).reshape(3, 4) / 7
W = np.asfortranarray(np.arange(12.0).reshape(3, 4))


def _filled(a, x):
    a[:] = x
    return a


def _definite(x):
    return x[:, :3] @ x[:, :3].T + np.eye(3)


MAKES = {
    "argument": lambda x: x, "array": lambda x: snp.array(x), "product": lambda x: x.T * 1.0,
    "sin": lambda x: np.sin(x.T), "copy": lambda x: x.T.copy(), "np.copy": lambda x: np.copy(x.T),
    "columns": lambda x: x[:, [0, 2, 1]], "rows": lambda x: x[[0, 2, 1]],
    "where": lambda x: np.where(x.T > 1, x.T, 0.5),
    "concatenate": lambda x: np.concatenate([x.T, x.T]), "stack": lambda x: np.stack([x.T, x.T], 1),
    "zeros": lambda x: _filled(snp.zeros((3, 4), order="F"), x),
    "zeros_like": lambda x: _filled(np.zeros_like(x.T * 1.0), x.T),
    "full": lambda x: snp.full((3, 4), x[0]), "full F": lambda x: snp.full((3, 4), x[0], order="F"),
    "array F": lambda x: snp.array(x, order="F"), "matmul": lambda x: x.T @ x,
    "transposed twice": lambda x: (x.T @ x).T * 2, "complex": lambda x: x.T * (1 + 2j),
    "three axes": lambda x: np.swapaxes(np.stack([x, x]), 0, 2)[0] * 1.0,
    "plain factor": lambda x: x * W, "plain term": lambda x: W + x,
    "sum": lambda x: np.sum(np.stack([x, x]).T * 1.0, 1), "cumsum": lambda x: np.cumsum(x.T, 0),
    "broadcast": lambda x: np.broadcast_to(x[0], (3, 4)) * 1.0, "outer": lambda x: np.outer(x, x),
    "kron": lambda x: np.kron(x, x), "tensordot": lambda x: np.tensordot(x, x, ([0], [0])),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "einsum transposed": lambda x: np.einsum("ij,ij->ji", x, x),
    "solve": lambda x: np.linalg.solve(_definite(x), x.T[:3]),
    "inv": lambda x: np.linalg.inv(_definite(x)), "svd": lambda x: np.linalg.svd(x.T)[2],
    "cholesky": lambda x: np.linalg.cholesky(_definite(x)),
    "eigh": lambda x: np.linalg.eigh(_definite(x))[1], "sort": lambda x: np.sort(x.T, 0),
    "astype": lambda x: x.T.astype(float), "positive": lambda x: +x.T, "power": lambda x: x.T**2,
    "roll": lambda x: np.roll(x.T, 1, 0), "pad": lambda x: np.pad(x.T, 1),
    "clip": lambda x: np.clip(x.T, 0, 1), "tile": lambda x: np.tile(x.T, 2),
    "repeat": lambda x: np.repeat(x.T, 2, 0), "tril": lambda x: np.tril(x.T),
    "diff": lambda x: np.diff(x.T), "take": lambda x: np.take(x.T, [0, 2], 0),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[0], "delete": lambda x: np.delete(x.T, 0, 0),
    "insert": lambda x: np.insert(x.T, 1, 0.5, 0), "fft": lambda x: np.fft.fft(x.T).real * 1,
}

TAKES = {
    "ravel": lambda a: a.ravel(), "reshape": lambda a: a.reshape(-1),
    "T.reshape": lambda a: a.T.reshape(-1), "T.ravel": lambda a: np.ravel(a.T),
    "column": lambda a: a[:, 1].ravel(), "column reshaped": lambda a: a[:, 1].reshape(-1),
    "ravel F": lambda a: a.ravel("F"), "reshape F": lambda a: np.reshape(a, (-1,), order="F"),
    "ravel A": lambda a: a.ravel("A"), "reshape A": lambda a: a.reshape(-1, order="A"),
    "ravel K": lambda a: a.ravel("K"), "step": lambda a: a[::2].ravel(),
    "back": lambda a: a[::-1].ravel(), "back reshaped": lambda a: a[::-1].reshape(-1),
    "step reshaped": lambda a: a[:, ::2].reshape(-1), "one": lambda a: a[:1].ravel(),
    "split": lambda a: a.reshape(a.shape[0], 1, -1), "flatten": lambda a: a.flatten("F"),
    "same": lambda a: a.reshape(a.shape), "new axis": lambda a: a[:, None].reshape(-1),
    "copy F": lambda a: a.copy("F").reshape(-1), "real": lambda a: a.real.ravel(),
    "one column": lambda a: a.reshape(-1, 1, order="F"),
}


def _pieces(shape, *step):
    return np.zeros(shape)[step]


ARGUMENTS = {
    "C": lambda: np.zeros((3, 4)), "F": lambda: np.zeros((3, 4), order="F"),
    "piece": lambda: _pieces((6, 12), slice(None, None, 2), slice(None, None, 3)),
    "back": lambda: _pieces((3, 4), slice(None, None, -1)),
}


def program(make, take):
    def f(x):
        a = make(x)
        r = take(a)
        r *= 10.0
        return a
    return f


def outcome(f, *args):
    try:
        return f(*args)
    except NoRuleError:
        return None


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("make", MAKES)
def test_view_or_copy_is_numpys(make, argument):
    for name, take in TAKES.items():
        f = program(MAKES[make], take)
        expected, got = (outcome(g, _filled(ARGUMENTS[argument](), X))
                         for g in (f, lambda x, f=f: sciad.vjp(f, x)[0]))
        if got is None:
            assert name == "ravel K"  # of an order of its own
        else:
            np.testing.assert_allclose(got, expected, err_msg=name)


@pytest.mark.parametrize("make", ["argument", "product", "columns", "zeros", "zeros_like", "sort"])
def test_derivatives(make):
    for name, take in TAKES.items():
        f = program(lambda x: MAKES[make](x * x), take)
        sciad.check_grads(f, (X,))
        expected = f(X.copy())
        got = sciad.jvp(f, (X,), (X,))[0]
        np.testing.assert_allclose(got, expected, err_msg=name)


SURE = {"argument", "array", "copy", "rows", "full", "matmul", "outer", "kron", "tensordot",
        "solve", "inv", "cholesky", "meshgrid", "broadcast"}


@pytest.mark.parametrize("make", MAKES)
def test_recorded_as_numpy_or_refused(make):
    for name, take in TAKES.items():
        f = program(MAKES[make], take)
        try:
            got = record(f, X)(X)
        except (RecordError, NoRuleError) as error:
            assert "order" in str(error)
            assert name == "ravel K" or make not in SURE
            continue
        np.testing.assert_allclose(got, f(X.copy()), err_msg=name)


def test_refusal_when_recorded_names_the_cure():
    def f(x):
        a = x.T * 2.0
        r = a.reshape(-1)
        a += 1.0
        return np.sum(r)

    with pytest.raises(RecordError, match=r"test_layout.py:\d+.*x.copy\(\)"):
        record(f, X)
    assert sciad.value_and_grad(f)(X)[0] == f(X.copy())


def test_recorded_reads_and_lone_writes_are_not_refused():
    def f(x):
        r = (x.T * 2.0).reshape(-1)
        r[1:] *= 3.0
        s = (x.T * x.T).reshape(2, 6)
        return np.sum(r[1:] * s.ravel()[1:])

    np.testing.assert_allclose(sciad.jit(f)(X), f(X.copy()))


def test_order_is_checked():
    for order in ("K", "x"):
        with pytest.raises((ValueError, NotImplementedError), match="order"):
            sciad.grad(lambda x, order=order: np.sum(np.swapaxes(
                np.stack([x, x]), 0, 1).ravel(order)))(X)


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_compiled_with_arguments_of_every_order(argument):
    def f(x):
        r = x.reshape(-1)
        r *= 10.0
        return np.sum(x)

    def reads(x):
        return np.sum(x.reshape(-1)[1:] * x.T.ravel()[1:])

    compiled, read_only = sciad.jit(f), sciad.jit(reads)
    np.testing.assert_allclose(compiled(X.copy()), f(X.copy()))
    x, y = (_filled(ARGUMENTS[argument](), X) for _ in range(2))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        np.testing.assert_allclose(compiled(x), f(y))
    assert bool(told) == (argument != "C")
    np.testing.assert_array_equal(x, y)
    np.testing.assert_allclose(read_only(y), reads(y))
