"""Python's integers under jit are Python's: where 64 bits do not hold them, Python computes."""

import operator

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.core.errors import RecordError

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")

OPERATIONS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "pow": operator.pow,
              "floordiv": operator.floordiv, "mod": operator.mod, "truediv": operator.truediv,
              "lshift": operator.lshift, "divmod": divmod}
NUMBERS = [0, 1, -1, 2, 3, -7, 40, 63, 64, 2**31, -(2**32), 2**62, 2**63 - 1, -(2**63), 2**70]


def outcome(f, *args):
    try:
        return f(*args)
    except (ArithmeticError, ValueError) as error:
        return type(error), str(error)


def manageable(name, a, b):
    return name not in ("pow", "lshift") or abs(b) <= 64


@native
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.filterwarnings("ignore::sciad.compiler.jit.FallbackWarning")
@pytest.mark.filterwarnings("ignore::sciad.compiler.recompiling.RecompilationWarning")
def test_operations_give_pythons_numbers(name):
    operation = OPERATIONS[name]
    compiled = sciad.jit(lambda a, b: operation(a, b))
    calls = 0
    for a in NUMBERS:
        for b in NUMBERS:
            if manageable(name, a, b):
                assert outcome(compiled, a, b) == outcome(operation, a, b), (a, b)
                calls += 1
    traced = compiled.report().signatures[0]
    assert traced["calls"] > 100 > sum(traced["repeated"].values()) > 0


@native
@pytest.mark.filterwarnings("ignore::sciad.compiler.jit.FallbackWarning")
@pytest.mark.filterwarnings("ignore::sciad.compiler.recompiling.RecompilationWarning")
@pytest.mark.parametrize("f", [
    lambda n: -n, abs, lambda n: n**2, lambda n: n**5, lambda n: n * n * n, lambda n: n + 1,
    lambda n: 3 * n - 1, lambda n: 10**18 * n, lambda n: 1 << n if n < 90 else n,
    lambda n: n * n if n > 0 else 5 // n, lambda n: n % 3 + n // 2,
], ids=range(11))
def test_functions_of_one_integer(f):
    compiled = sciad.jit(f)
    for n in (5, 2, 0, 1, -3, 40, 70, 2**40, -(2**50), 2**63 - 1, -(2**63)):
        assert outcome(compiled, n) == outcome(f, n), n


@native
def test_what_fits_is_native():
    f = sciad.jit(lambda x, n: x * (n * n + 1), strict=True)
    assert f(2.0, 10) == 202.0 and f(2.0, 2**40) == 2.0 * (2**80 + 1)
    assert sciad.grad(f)(2.0, 2**40) == 2**80 + 1
    repeated = [sum(s["repeated"].values()) for s in f.report().signatures]
    assert sum(repeated) == 2 and not f.report().eager
    assert sciad.jit(sciad.grad(lambda x, n: x * n**3), strict=True)(1.0, 2**30) == 2.0**90


@native
def test_halves_need_no_check():
    stages = sciad.jit(lambda n: n / 2 + n // 2 + n % 3).lower(5)
    assert "check" not in str(stages.graph)


@native
def test_numpys_integers_wrap():
    f = sciad.jit(lambda a: a * 4 + a, strict=True)
    assert f(np.int64(2**62)) == 2**62
    np.testing.assert_array_equal(f(np.array([2**62, 3])), [2**62, 15])
    assert not f.report().signatures[0]["repeated"]


@native
def test_an_integer_of_many_bits_runs_eagerly():
    f = sciad.jit(lambda x, n: x * n)
    with pytest.warns(FallbackWarning, match="integer of 71 bits.*test_python_integers"):
        assert f(1.5, 2**70) == 1.5 * 2**70
    assert f(1.5, 2) == 3.0
    with pytest.raises(RecordError, match="integer of 81 bits"):
        sciad.jit(lambda x: (x, 2**80), strict=True)(1.0)
