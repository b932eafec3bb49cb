"""What compiles again and what does not; the warning when it never ends."""

import warnings

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.recompiling import MOST_SIGNATURES, RecompilationWarning

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")
N = MOST_SIGNATURES + 3


def warned(call):
    """The text of the one warning that these calls give."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for k in range(1, N + 1):
            call(k)
    texts = [str(w.message) for w in seen if w.category is RecompilationWarning]
    assert len(texts) == 1 and len(seen) == 1, seen
    return texts[0]


@pytest.mark.parametrize("kind", [float, np.float64, np.array, np.float32])
def test_a_changing_learning_rate_compiles_once(kind):
    step = sciad.jit(lambda x, rate: x - rate * np.sin(x), strict=True)
    x = np.ones(3)
    for k in range(N):
        x = step(x, kind(0.1 / (k + 1)))
    assert len(step.report().signatures) == 1


def test_kinds_of_floats_have_two_signatures_at_most():
    f = sciad.jit(lambda x: x * 2, strict=True)
    for x in (1.0, np.float64(2.0), np.array(3.0), 4.0):
        assert f(x) == 2 * x
    assert len(f.report().signatures) == 2


def test_an_int_whose_value_is_not_asked_for_compiles_once():
    f = sciad.jit(lambda x, n: x * n + n**2, strict=True)
    for n in range(N):
        assert f(2.0, n) == 2.0 * n + n**2
    assert len(f.report().signatures) == 1


@pytest.mark.parametrize("f", [
    lambda x, n: sum(x for _ in range(n)), lambda x, n: np.sum(x * np.ones(n)),
    lambda x, n: [x, 2 * x, 3 * x, *range(20)][n], lambda x, n: np.full((2, n), x),
], ids=["range", "shape", "index", "full"])
def test_an_int_whose_value_is_asked_for_is_named(f):
    compiled = sciad.jit(f)
    text = warned(lambda n: np.testing.assert_array_equal(compiled(2.0, n), f(2.0, n)))
    assert f"argument n is {MOST_SIGNATURES + 1} now, and was {MOST_SIGNATURES}" in text
    assert "float" in text


def test_shapes_and_dtypes_are_named():
    f = sciad.jit(lambda p, y: np.sum(p["w"][0] * y))
    text = warned(lambda n: f({"w": [np.ones(n)]}, 2.0))
    assert "argument p.w[0] is an array of shape (9,) and dtype float64 now" in text
    assert "argument y" not in text
    text = warned(lambda n: sciad.jit(lambda *xs, k=1.0: sum(xs) + k)(*np.ones(n))
                  if n < 0 else g(*np.ones(n), k=2.0))
    assert "is new" in text


g = sciad.jit(lambda *xs, k=1.0: sum(xs) + k)


def test_texts_and_static_arguments_are_named():
    f = sciad.jit(lambda x, mode: x)
    assert "argument mode is 'm9' now" in warned(lambda n: f(1.0, f"m{n}"))
    h = sciad.jit(lambda x, k: x * k, static_argnames="k")
    assert "argument k is 9 now" in warned(lambda n: h(1.0, k=n)).replace("(int, 9)", "9")


def test_captured_constants_are_named():
    level = 0

    @sciad.jit
    def f(x):
        return x * level

    def call(n):
        nonlocal level
        level = n
        assert f(2.0) == 2.0 * n

    assert "captured level is 9 now, and was 8" in warned(call)
    assert "captured n" in warned(lambda n: sciad.jit(lambda x: x * n)(2.0))


def test_methods_count_together():
    class Model:
        def __init__(self, n):
            self.n = n

        @sciad.jit
        def run(self, x):
            return x * self.n

    assert "compiled for the 9th kind" in warned(lambda n: Model(n).run(2.0))
    assert len(Model.run.report().signatures) == N


def test_eight_signatures_are_no_reason_to_warn():
    f = sciad.jit(lambda x: x * 2)
    for n in range(MOST_SIGNATURES):
        f(np.ones(n))
    h = sciad.jit(lambda x: np.sum(x) if x > 1 else x)
    for x in np.linspace(0, 2, N):
        h(x)


def test_closures_of_one_factory_are_not_counted_together():
    def make(f):
        return sciad.jit(lambda x: f(x))

    for _ in range(N):
        make(lambda x: x + 1)(2.0)
    for k in range(N):
        make({0: np.sin, 1: np.cos, 2: np.tan, 3: np.exp, 4: np.log1p, 5: np.sqrt, 6: np.tanh,
              7: np.arctan, 8: np.sinh, 9: np.cosh, 10: np.cbrt}[k])(2.0)


def test_growing_buffers_are_not_counted():
    f = sciad.jit(sciad.grad(lambda x: sciad.while_loop(
        lambda s: s[0] < 3000, lambda s: (s[0] + 1, s[1] * 1.0001), (0, x))[1]))
    assert np.isfinite(f(1.0))


def test_a_recursion_without_an_end_is_refused_at_once():
    def factorial(x):
        return x * factorial(x - 1) if x > 1 else x

    def root(x):
        if abs(x * x - 2.0) < 1e-12:
            return x
        return root(x - (x * x - 2.0) / (2 * x))

    for f in (factorial, root):
        compiled = sciad.jit(f)
        with pytest.warns(FallbackWarning, match="recursion whose end depends on a value"):
            assert compiled(3.5) == f(3.5)
        with pytest.raises(sciad.SciadError, match="while_loop"):
            sciad.jit(f, strict=True)(4.5)


def test_a_truth_value_among_numbers_is_told():
    f = sciad.jit(lambda x, n=2, mode="m": x * n)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for k in range(12):
            x, n = np.ones(k + 1), True if k == 8 else 1.0
            np.testing.assert_array_equal(f(x, n), x)
    assert [w.category for w in seen] == [RecompilationWarning]
