"""Captured values that the program asks for: constants of machine code, which count by value."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.recompiling import MOST_SIGNATURES, RecompilationWarning
from sciad.core.errors import LostGradientError

STRICT = llvm.available()
X = np.array([1.0, 2.0, -3.0])
step, count, order = 0.25, 3.0, np.inf
sizes, weights = np.array([1, 2, 0]), np.array([1.0, 2.0, 4.0])


def marched(x):
    t = 0.0
    while t < 1.0:
        x, t = x + step * x, t + step
    return x


def kept(x):
    return sciad.grad(lambda y: np.sum(y * y) * math.sqrt(2 * step))(x)


PROGRAMS = {
    "math.sqrt": lambda x: x * math.sqrt(step),
    "of an expression": lambda x: x * math.sqrt(2 * step + 1),
    "int": lambda x: sum(x * i for i in range(int(count / step))),
    "round": lambda x: x * round(step, 1),
    "arange": lambda x: np.sum(x) * np.arange(0, 1, step),
    "norm": lambda x: np.linalg.norm(x, order),
    "norm of an expression": lambda x: np.linalg.norm(x, ord=count - 1.5),
    "repeat": lambda x: np.repeat(x, sizes),
    "range": lambda x: sum(x * i for i in range(sizes[1])),
    "index of a list": lambda x: [x, 2 * x, 3 * x][sizes[1]],
    "shape": lambda x: np.ones(sizes[1]) * x[0],
    "axis": lambda x: np.sum(np.stack([x, 2 * x]), axis=sizes[2]),
    "slice": lambda x: x[: sizes[1]],
    "roll": lambda x: np.roll(x, sizes[0]),
    "format": lambda x: x * len(f"{step:.3f}"),
    "text": lambda x: x * len(str(step)),
    "key of a dict": lambda x: {0.25: x}.get(step, -x),
    "asarray": lambda x: x * np.asarray(weights, dtype=float),
    "loop without an end": marched,
    "in a gradient": kept,
}


def compiled(f):
    """`f`, which must compile."""
    return sciad.jit(f, strict=STRICT)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_captured_value_that_is_asked_for_compiles(name, monkeypatch):
    f = PROGRAMS[name]
    jitted = compiled(f)
    for _ in range(3):
        np.testing.assert_allclose(jitted(X), f(X), rtol=1e-14)
    assert len(jitted.report().signatures) == STRICT
    home = globals()
    for key, value in {"step": 0.5, "count": 4.0, "order": 1.0, "sizes": np.array([3, 1, 0]),
                       "weights": -weights}.items():
        monkeypatch.setitem(home, key, value)
        np.testing.assert_allclose(jitted(X), f(X), rtol=1e-14)
        np.testing.assert_allclose(jitted(X), f(X), rtol=1e-14)


def test_an_array_that_is_written_into_counts_anew():
    sizes = np.array([1, 2, 0])

    def f(x):
        return np.repeat(x, sizes)

    jitted = compiled(f)
    for k in (0, 3, 1, 0, 3):
        sizes[2] = k
        np.testing.assert_array_equal(jitted(X), f(X))
    assert jitted.hits == 2 or not STRICT


def test_values_count_by_their_bits():
    k = 0.0
    jitted = compiled(lambda x: x * math.copysign(1.0, k))
    assert jitted(2.0) == 2.0
    k = -0.0
    assert jitted(2.0) == -2.0
    k = math.nan
    assert jitted(2.0) == 2.0
    k = np.float32(-1.0)
    assert jitted(2.0) == -2.0


def test_only_what_is_asked_for_counts():
    rate, dt, big = 2.0, 0.25, np.arange(2000.0)
    jitted = compiled(lambda x: x * rate * math.sqrt(dt) + big[3])
    told = compiled(lambda x: np.repeat(x * rate, int(dt * 4)))
    tried = compiled(lambda x: {0.25: x * rate}[dt])
    for rate in (2.0, 3.0, 4.0):
        assert jitted(2.0) == rate + 3.0
        assert tried(2.0) == 2.0 * rate
        np.testing.assert_array_equal(told(X), X * rate)
    for f in (jitted, told, tried):
        assert len(f.report().signatures) == STRICT


def test_attributes_and_containers():
    model = SimpleNamespace(dt=0.25, table={"k": [1.0, 9.0]})
    jitted = compiled(lambda x: x * math.sqrt(model.dt) * math.sqrt(model.table["k"][1]))
    assert jitted(2.0) == 3.0
    model.dt = 1.0
    assert jitted(2.0) == 6.0
    model.table["k"][1] = 4.0
    assert jitted(2.0) == 4.0


def test_a_fresh_function_finds_what_was_compiled():
    def made(dt):
        return compiled(lambda x: x * math.sqrt(dt))

    assert [made(dt)(2.0) for dt in (4.0, 9.0, 4.0)] == [4.0, 6.0, 4.0]
    if STRICT:
        again = made(9.0)
        again(2.0)
        assert not again._state.recorded


def test_a_float_argument_stays_as_it_is():
    jitted = sciad.jit(lambda x: x * math.sqrt(x))
    with pytest.warns(FallbackWarning, match="needs the data of a value"):
        assert jitted(4.0) == 8.0
    mixed = sciad.jit(lambda x: x * int(x * step))
    with pytest.warns(FallbackWarning, match="needs the data of a value"):
        assert mixed(8.0) == 16.0


def test_the_text_of_an_argument_is_none():
    with pytest.warns(FallbackWarning, match="str.. needs the data of a value"):
        assert sciad.jit(lambda x: x * len(str(x)))(0.25) == 1.0


def test_an_integer_argument_beside_it():
    jitted = compiled(lambda x, n: sum(x * k for k in range(int(n * count))))
    assert jitted(1.0, 2) == 15.0 and jitted(1.0, 1) == 3.0


def test_a_captured_array_that_is_written_into_is_no_constant():
    work = np.array([1.0, 2.0])

    def f(x):
        work[0] = 5.0
        return x * float(work[0] + work[1])

    with pytest.warns(FallbackWarning):
        assert sciad.jit(f)(2.0) == 14.0
    assert work[0] == 5.0


def test_a_followed_value_is_no_constant():
    def loss(k):
        return sciad.jit(lambda x: x * math.sqrt(k))(2.0)

    assert loss(4.0) == 4.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        with pytest.raises(LostGradientError, match="math.sin"):
            sciad.grad(loss)(4.0)


def test_no_order_of_a_norm():
    p = np.inf
    with pytest.raises(LostGradientError, match="norm has no derivative by its order"):
        sciad.grad(lambda p: np.linalg.norm(p * X, p))(3.0)
    with pytest.warns(FallbackWarning, match="the order of a norm needs the data"):
        assert sciad.jit(lambda p: np.linalg.norm(X, p))(p) == 3.0


def test_endless_compilation_is_told_of():
    dt = 0.0
    jitted = sciad.jit(lambda x: x * math.exp(dt))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for k in range(MOST_SIGNATURES + 2):
            dt = float(k)
            assert jitted(1.0) == pytest.approx(math.exp(dt))
    text, = [str(w.message) for w in seen if w.category is RecompilationWarning]
    assert "captured dt is 8.0 now, and was 7.0" in text and "np.sqrt" in text


@pytest.mark.skipif(not STRICT, reason="no native code here")
def test_saved(tmp_path):
    dt = 4.0
    jitted = compiled(lambda x: x * math.sqrt(dt))
    assert jitted(1.0) == 2.0
    dt = 9.0
    assert jitted(1.0) == 3.0
    jitted.save(tmp_path / "f.sciad")
    assert sciad.load_compiled(tmp_path / "f.sciad")(2.0) == 6.0
