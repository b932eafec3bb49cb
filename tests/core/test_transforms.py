"""The transforms: agreement of modes, nesting, containers, lifetime, cost."""

import dataclasses
import gc
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.errors import ArgumentError, DerivativeError
from sciad.core.primitive import active
from sciad.core.record import record
from sciad.core.reverse import Reverse

X = np.array([0.5, 1.5, -0.7])


def chain(x):
    y = np.sin(x) * x
    for k in range(4):
        y = y * x[k % 3] + np.exp(-y * y)
    return np.sum(y)


# --- agreement ------------------------------------------------------------------------------------


def test_taylors_sine():
    def sine(x):
        total, term, k = 0.0, x, 1
        while abs(term) > 1e-17:
            total = total + term
            term = -term * x * x / ((k + 1) * (k + 2))
            k += 2
        return total

    assert sciad.grad(sine)(1.0) == pytest.approx(0.5403023058681398, abs=1e-15)


def test_both_modes_agree():
    slope = sciad.grad(chain)(X)
    for k in range(3):
        unit = np.eye(3)[k]
        assert sciad.jvp(chain, (X,), (unit,))[1] == pytest.approx(slope[k], rel=1e-13)


def test_jacobian_modes_agree():
    def f(x):
        return np.array([x[0] * x[1], np.sin(x[2]), x[0], 1.0])

    forward = sciad.jacobian(f, mode="forward")(X)
    np.testing.assert_allclose(forward, sciad.jacobian(f, mode="reverse")(X))
    np.testing.assert_allclose(forward, sciad.jacobian(f)(X))
    assert forward.shape == (4, 3)


@pytest.mark.parametrize("shape_in, shape_out", [((), ()), ((2, 3), ()), ((2,), (3, 2)),
                                                 ((0,), (2,)), ((2,), (0,))])
def test_jacobian_shapes(shape_in, shape_out):
    weights = np.ones((*shape_out, int(np.prod(shape_in))))

    def f(x):
        return weights @ np.reshape(x, -1) ** 2

    for mode in ["auto", "forward", "reverse"]:
        out = sciad.jacobian(f, mode=mode)(np.ones(shape_in))
        assert out.shape == shape_out + shape_in
        np.testing.assert_array_equal(out, 2.0)


def test_hessian_is_symmetric_and_hvp_is_its_product():
    hessian = sciad.hessian(chain)(X)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12)
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(sciad.hvp(chain, (X,), (v,)), hessian @ v, rtol=1e-12)
    by_reverse = sciad.jacobian(sciad.grad(chain), mode="reverse")(X)
    np.testing.assert_allclose(by_reverse, hessian, rtol=1e-12)


def test_third_and_fourth_derivative():
    def f(x):
        return np.sin(2 * x)

    g = f
    for order in range(1, 5):
        g = sciad.grad(g)
        assert g(0.3) == pytest.approx(2**order * np.sin(0.6 + order * np.pi / 2), rel=1e-12)


def test_argnums_has_aux_and_kwargs():
    def f(a, b, *, power):
        return np.sum(a * b**power), {"product": a * b}

    slopes, aux = sciad.grad(f, argnums=(1, -2), has_aux=True)(X, 2.0, power=3)
    np.testing.assert_allclose(slopes[0], 12.0 * X.sum())
    np.testing.assert_allclose(slopes[1], np.full(3, 8.0))
    assert type(aux["product"]) is np.ndarray
    (value, _), slope = sciad.value_and_grad(f, has_aux=True)(X, 2.0, power=1)
    assert value == pytest.approx(2 * X.sum())
    np.testing.assert_array_equal(slope, 2.0)


def test_results_are_plain():
    value, slope = sciad.value_and_grad(chain)(X)
    assert type(value) is np.float64 and type(slope) is np.ndarray
    assert type(sciad.grad(np.sin)(1.0)) is np.float64
    assert type(sciad.jvp(np.sin, (X,), (X,))[1]) is np.ndarray


def test_unused_and_constant_results_have_zero_gradient():
    np.testing.assert_array_equal(sciad.grad(lambda x: 3.0)(X), 0.0)
    slopes = sciad.grad(lambda a, b: np.sum(a), (0, 1))(X, X)
    np.testing.assert_array_equal(slopes[1], 0.0)
    np.testing.assert_array_equal(sciad.jvp(lambda x: np.ones(2), (X,), (X,))[1], 0.0)


def test_pullback_may_be_called_again():
    _, pull = sciad.vjp(lambda x: x[0] * x, X)
    first, second = pull(np.ones(3))[0], pull(np.ones(3))[0]
    np.testing.assert_array_equal(first, second)
    first[:] = 7.0
    np.testing.assert_array_equal(pull(np.ones(3))[0], second)


def test_gradient_does_not_alias_the_seed_or_the_input():
    seed = np.ones(3)
    _, pull = sciad.vjp(lambda x: x + 0.0, X)
    (slope,) = pull(seed)
    slope += 5.0
    np.testing.assert_array_equal(seed, 1.0)
    out, pull = sciad.vjp(lambda x: x, X)
    a, b = sciad.grad(lambda a, b: np.sum(a + b), (0, 1))(X, X)
    a += 1.0
    np.testing.assert_array_equal(b, 1.0)


def test_stop_gradient():
    assert sciad.grad(lambda x: x * sciad.stop_gradient(x))(3.0) == 3.0
    held = sciad.grad(lambda x: x * sciad.stop_gradient({"a": [x]})["a"][0])(3.0)
    assert held == 3.0
    assert sciad.grad(sciad.grad(lambda x: x * x * sciad.stop_gradient(x)))(3.0) == 6.0


# --- nesting --------------------------------------------------------------------------------------


def test_no_perturbation_confusion():
    def f(x):
        return x * sciad.grad(lambda y: x + y)(1.0)

    assert sciad.grad(f)(1.0) == 1.0
    assert sciad.jvp(f, (1.0,), (1.0,))[1] == 1.0

    def g(x):
        return x * sciad.jvp(lambda y: x * y, (2.0,), (1.0,))[1]

    assert sciad.grad(g)(3.0) == 6.0
    assert sciad.jvp(g, (3.0,), (1.0,))[1] == 6.0
    assert sciad.grad(sciad.grad(lambda x: x**2 * sciad.grad(lambda y: x * y**2)(x)))(1.0) == 24.0


def test_derivative_of_a_curried_function():
    """The failure of Siskind and Pearlmutter's difference of closures."""
    def shift(offset):
        return lambda f: lambda x: f(x + offset)

    def derivative(f):
        return lambda x: sciad.jvp(f, (x,), (1.0,))[1]

    assert derivative(lambda s: shift(s)(np.exp)(1.0))(0.0) == pytest.approx(np.e)


@pytest.mark.parametrize("outer", ["forward", "reverse"])
@pytest.mark.parametrize("inner", ["forward", "reverse"])
def test_modes_nest(outer, inner):
    def derivative(f, mode):
        if mode == "reverse":
            return sciad.grad(f)
        return lambda x: sciad.jvp(f, (x,), (1.0,))[1]

    f = derivative(derivative(lambda x: x**3 * np.exp(x), inner), outer)
    assert f(0.7) == pytest.approx(np.exp(0.7) * (0.7**3 + 6 * 0.7**2 + 6 * 0.7), rel=1e-12)


def test_closed_over_differentiated_value_in_inner_gradient():
    def f(w):
        slope = sciad.grad(lambda x: np.sum(w * x**3))(X)
        return np.sum(slope**2)

    sciad.check_grads(f, (np.array([1.0, 2.0, 3.0]),))


# --- containers -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Rates:
    birth: Any
    death: Any = 1.0


@dataclasses.dataclass(frozen=True)
class Frozen:
    birth: Any
    rates: Any


class Pair(NamedTuple):
    birth: Any
    other: Any


class Custom:
    def __init__(self, birth, other):
        self.birth, self.other = birth, other


sciad.register(Custom, lambda c: (c.birth, c.other), lambda parts: Custom(*parts))


@dataclasses.dataclass
class Fit:
    rate: Any
    method: str = dataclasses.field(default="RK45", metadata={"static": True})
    columns: Any = dataclasses.field(default=None, metadata={"static": True})


@pytest.mark.parametrize("columns", [None, 3, [1, 2], np.array([0, 2])],
                         ids=["none", "int", "list", "array"])
def test_static_fields_of_a_dataclass_stay_as_they_are(columns):
    fit = Fit(2.0 * X, "exact", columns)

    def loss(fit):
        assert fit.method == "exact" and fit.columns is columns
        return np.sum(fit.rate[:2] ** 3)

    slope = sciad.grad(loss)(fit)
    assert slope.method == "exact" and slope.columns is columns
    np.testing.assert_allclose(slope.rate, [12 * X[0] ** 2, 12 * X[1] ** 2, 0.0])
    same = Fit(X, "exact", np.array(columns) if isinstance(columns, np.ndarray) else columns)
    assert sciad.jvp(loss, (fit,), (same,))[1] == pytest.approx(np.sum(12 * X[:2] ** 3))
    sciad.check_grads(loss, (fit,))
    with pytest.raises(ArgumentError, match="structure"):
        sciad.jvp(loss, (fit,), (Fit(X, "other", columns),))


def test_jit_compiles_a_static_field_by_value():
    @sciad.jit
    def total(fit):
        return np.sum(fit.rate[fit.columns]) if fit.method == "some" else np.sum(fit.rate)

    columns = np.array([0, 2])
    assert total(Fit(X, "some", columns)) == pytest.approx(X[0] + X[2])
    assert total(Fit(X, "all", columns)) == pytest.approx(np.sum(X))
    columns[0] = 1
    assert total(Fit(X, "some", columns)) == pytest.approx(X[1] + X[2])


@pytest.mark.parametrize("container", [
    Rates(2.0, X), Frozen(2.0, Rates(X, {"k": [X, 1.0]})), Pair(2.0, (X, [1.0])), Custom(2.0, X),
    Rates(2.0, Custom(Pair(X, 1.0), {})),
])
def test_containers(container):
    slope = sciad.grad(lambda p: p.birth**3)(container)
    assert type(slope) is type(container) and slope.birth == pytest.approx(12.0)
    out, pull = sciad.vjp(lambda p: p, container)
    assert type(pull(out)[0]) is type(container)
    assert sciad.jvp(lambda p: p.birth**2, (container,), (container,))[1] == pytest.approx(8.0)


def test_dict_and_nested_lists():
    slope = sciad.grad(lambda p: p["a"][0] * np.sum(p["b"]))({"a": [2.0, ()], "b": X})
    assert slope["a"][0] == pytest.approx(X.sum())
    np.testing.assert_array_equal(slope["b"], 2.0)


def test_object_array_inside_and_as_result():
    def f(x):
        v = np.array([x[0] * x[1], x[2], 1.0])
        w = np.array([[x[0], 0.0], [1.0, x[1]]])
        parts = [np.sum(np.exp(v[:2])), np.dot(v, x), np.linalg.solve(w, x[:2]).sum(),
                 snp.linalg.solve(w, v[:2])[1], (w @ w).sum(), np.where(v > 0, v, 0.0).sum(),
                 np.concatenate([v, x]).max(), (v * v)[1], (2.0 * w)[0, 0]]
        return sum(parts)

    sciad.check_grads(f, (np.array([1.2, 2.3, 0.4]),))
    jacobian = sciad.jacobian(lambda x: np.array([x[0] * x[1], x[2]]))(X)
    np.testing.assert_allclose(jacobian, [[X[1], X[0], 0], [0, 0, 1]])


def test_numpy_refuses_ufuncs_of_object_arrays_with_python_numbers():
    """NumPy's object loops call ``.exp()`` on each entry; it has no hook for a float there."""
    with pytest.raises(TypeError, match="exp"):
        sciad.grad(lambda x: np.sum(np.exp(np.array([x, 1.0]))))(2.0)
    assert sciad.grad(lambda x: np.sum(np.exp(snp.array([x, 1.0]))))(2.0) == np.exp(2.0)


def test_complex_gradient_is_steepest_ascent():
    z = np.array([1.0 + 2.0j, -0.5j])
    np.testing.assert_allclose(sciad.grad(lambda z: np.sum(np.abs(z) ** 2))(z), 2 * z)
    np.testing.assert_allclose(sciad.grad(lambda z: np.real(z[0] ** 2))(z)[0], 2 * np.conj(z[0]))
    sciad.check_grads(lambda z: np.abs(np.sum(z * z)) * np.exp(z), (z,))


# --- lifetime -------------------------------------------------------------------------------------


def test_outliving_values_are_plain_numbers():
    history = []

    def f(x):
        y = np.sin(x)
        history.append(y[0])
        history.append(y)
        return np.sum(y)

    sciad.grad(f)(X)
    assert not active()
    number, vector = history
    assert float(number) == np.sin(X[0])
    np.testing.assert_array_equal(np.asarray(vector), np.sin(X))
    assert np.asarray(vector, dtype=float).dtype == np.float64
    assert type(vector * 2.0) is np.ndarray
    assert sciad.grad(lambda x: x * number)(2.0) == pytest.approx(np.sin(X[0]))


def test_tape_is_let_go(monkeypatch):
    tapes = []

    class Watched(list):
        pass

    opened = Reverse.__enter__

    def enter(self):
        opened(self)
        self.tape = Watched()
        tapes.append(weakref.ref(self.tape))
        return self

    monkeypatch.setattr(Reverse, "__enter__", enter)
    history = []

    def f(x):
        history.append(np.sum(x**2))
        return history[-1]

    sciad.grad(f)(X)
    gc.collect()
    assert tapes and all(ref() is None for ref in tapes) and float(history[0]) > 0


def test_exception_closes_the_transform():
    with pytest.raises(ZeroDivisionError):
        sciad.grad(lambda x: x / (1 // 0))(1.0)
    assert not active()
    with pytest.raises(ZeroDivisionError):
        record(lambda x: x / (1 // 0), 1.0)
    assert not active()


def test_outliving_inner_value_differentiates_in_the_outer_transform():
    def f(x):
        kept = []

        def inner(y):
            kept.append(x * y)
            return x * y

        slope = sciad.grad(inner)(2.0)
        return slope * kept[0]

    assert sciad.grad(f)(3.0) == pytest.approx(12.0)


# --- cost -----------------------------------------------------------------------------------------


class Counting(np.ndarray):
    """An array that counts the entries touched by whole-array operations."""


@pytest.mark.parametrize("n", [100, 400])
def test_scalar_reads_cost_linear(n):
    """n reads append n entries, and the pass owns one buffer: it never makes a second."""
    made = []
    zeros = np.zeros

    def counted(shape, *args, **kwargs):
        out = zeros(shape, *args, **kwargs)
        made.append(out.size)
        return out

    def f(x):
        total = x[0]
        for k in range(n):
            total = total + x[k]
        return total

    _, pull = sciad.vjp(f, np.ones(n))
    np.zeros = counted
    try:
        (slope,) = pull(1.0)
    finally:
        np.zeros = zeros
    assert sum(made) <= 2 * n
    assert slope[0] == 2.0


@pytest.mark.parametrize("n", [50, 200])
def test_row_writes_cost_linear(n, monkeypatch):
    """Filling n rows copies the buffer a bounded number of times, forwards and backwards."""
    copied = []
    array = np.array

    def counted(x, *args, **kwargs):
        out = array(x, *args, **kwargs)
        copied.append(out.nbytes)
        return out

    def f(x):
        out = snp.zeros((n, n))
        for k in range(n):
            out[k] = x * k
        return np.sum(out * out)

    x = np.ones(n)
    monkeypatch.setattr(np, "array", counted)
    slope = sciad.grad(f)(x)
    monkeypatch.undo()
    assert sum(copied) <= 6 * n * n * 8
    np.testing.assert_allclose(slope, 2 * np.sum(np.arange(n) ** 2.0))


def test_eight_threads_at_once():
    points = [np.random.default_rng(k).standard_normal(3) for k in range(8)]
    expected = [sciad.hessian(chain)(x) for x in points]
    results: list[Any] = [None] * 8
    start = threading.Barrier(8)

    def work(k):
        start.wait()
        for _ in range(20):
            results[k] = sciad.hessian(chain)(points[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_array_equal(got, want)


# --- check_grads ----------------------------------------------------------------------------------


def test_check_grads_finds_wrong_rules():
    def wrong(x):
        return sciad.stop_gradient(x) * x

    with pytest.raises(DerivativeError, match=r"order 1, forward mode, of wrong is .* central"):
        sciad.check_grads(wrong, (X,))
    with pytest.raises(DerivativeError, match="order 1, reverse mode"):
        sciad.check_grads(wrong, (X,), modes=("reverse",))

    def wrong_twice(x):
        return 3 * sciad.stop_gradient(x**2) * x - 2 * sciad.stop_gradient(x**3)

    with pytest.raises(DerivativeError, match="order 2, forward over forward"):
        sciad.check_grads(wrong_twice, (X,))


def test_check_grads_takes_containers_and_integers():
    sciad.check_grads(lambda p, n: {"out": p["a"] ** n, "n": n}, ({"a": X, "name": 3}, 2))
