"""Values that one loop computes: no memory between, the same results."""

from collections import OrderedDict

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm, loops, sinks
from sciad.compiler import native as native_code
from sciad.compiler.lower import LOWERINGS
from sciad.compiler.native import kernel_of
from sciad.compiler.sinks import of_one_loop
from sciad.core.record import record
from tests.compiler.test_lower import compare

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.linspace(0.1, 1.0, 40)
Z = np.exp(1j * np.arange(40.0))


def fused(function, *args):
    graph = record(function, *args).graph
    found = of_one_loop(graph, LOWERINGS.get)
    return [e.primitive.name for e in graph.equations
            if e.outputs[0] in found and e.outputs[0].type.shape]


def test_all_uses_in_one_loop():
    def f(x):
        y = np.sin(x)
        return np.sum(y * y + y)

    assert fused(f, X) == ["sin", "multiply", "add"]


def test_two_results_are_two_loops():
    def f(x):
        y = np.sin(x)
        return y * y, np.cos(y)

    assert fused(f, X) == ["multiply", "cos"]


def test_other_entries_of_a_value_are_wanted_elsewhere():
    assert fused(lambda x: np.sin(x)[::-1] + np.exp(x), X) == ["getitem", "exp", "add"]
    assert fused(lambda x: (y := np.sin(x)) + np.sum(y), X) == ["add"]


def chain(n):
    """A long chain of cheap operations, each value used twice."""

    def f(x):
        y = x
        for k in range(n):
            y = np.sin(y) * x + y * 0.5 if k % 7 == 0 else y * 0.3 + x * y * 0.5
        return y

    return f


def product(z):
    for _ in range(5):
        z = z * z * 0.5 + 1 / (z + 3)
    return z


def allocations(function, *args):
    module = kernel_of(record(function, *args).graph).lowered.module
    return loops.text(module).count(" = alloc ")


@native
def test_a_complex_chain_runs_through_memory_once():
    assert allocations(np.exp, Z) == 0
    assert allocations(lambda z: np.sum(abs(z * z + 1 / (z + 3))), Z) == 0


@native
@pytest.mark.parametrize("most", [1, 2, 7, 128, 10_000])
@pytest.mark.parametrize("f, x", [
    (chain(60), X), (sciad.grad(lambda x: np.sum(chain(30)(x))), X), (product, Z),
    (sciad.grad(lambda z: np.sum(abs(product(z)))), Z),
    (lambda x: np.sum(np.outer(chain(9)(x), x), 0), X)], ids=list("abcde"))
def test_wherever_chains_are_cut(f, x, most, monkeypatch):
    monkeypatch.setattr(sinks, "MOST_FUSED", most)
    monkeypatch.setattr(native_code._cache, "kernels", OrderedDict())
    compare(f, (x,), 4096)


@native
def test_a_long_chain_needs_no_recursion():
    np.testing.assert_allclose(sciad.jit(chain(1500), strict=True)(X), chain(1500)(X), rtol=1e-10)
