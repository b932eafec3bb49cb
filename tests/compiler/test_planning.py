"""Memory planning: buffers that are alive at once never overlap, others share their place."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.builder import Builder
from sciad.compiler.native import kernel_of
from sciad.compiler.nodes import STACK_TOTAL
from sciad.compiler.planning import constant_sizes, live_spans, placement
from sciad.core.record import record

LARGE = 1000  # entries: more than the stack takes


def copied(b, source, target):
    with b.loop(0, LARGE) as i:
        b.store(target, i, b.load(source, i) + 1.0)


def chain(count):
    """Each buffer is read once, right after it was written."""
    b = Builder("chain", x="ptr<f64>", out="ptr<f64>")
    names = [b.alloc(LARGE) for _ in range(count)]
    for before, after in zip([b.x, *names], [*names, b.out], strict=True):
        copied(b, before, after)
    b.ret(0)
    return b.function(), names


def overlaps(body):
    """Pairs of buffers that are alive at once and share memory."""
    place, sizes = placement(body), constant_sizes(body)
    spans = live_spans(body, set(place.offsets))
    names = sorted(place.offsets)
    return [(a, c) for k, a in enumerate(names) for c in names[:k]
            if spans[a][0] <= spans[c][1] and spans[c][0] <= spans[a][1]
            and place.offsets[a] < place.offsets[c] + sizes[c]
            and place.offsets[c] < place.offsets[a] + sizes[a]]


def test_a_chain_takes_two_places():
    function, names = chain(20)
    place = placement(function.body)
    assert place.total == 2 * 8000 and set(place.offsets) == {name.name for name in names}
    assert overlaps(function.body) == []


def test_many_buffers_of_one_size_share():
    function, _ = chain(400)
    assert placement(function.body).total == 2 * 8000
    assert overlaps(function.body) == []


def test_a_large_buffer_holds_two_small_ones():
    b = Builder("mixed", x="ptr<f64>", out="ptr<f64>")
    large, first, second = b.alloc(2 * LARGE), b.alloc(LARGE), b.alloc(LARGE)
    copied(b, b.x, large)
    copied(b, large, b.out)
    copied(b, b.x, first)
    copied(b, b.x, second)
    with b.loop(0, LARGE) as i:
        b.store(b.out, i, b.load(first, i) * b.load(second, i))
    b.ret(0)
    body = b.function().body
    assert placement(body).total == 2 * 8000 and overlaps(body) == []


def test_small_buffers_stay_on_the_stack():
    b = Builder("small", x="ptr<f64>", out="ptr<f64>")
    names = [b.alloc(100) for _ in range(60)]
    for before, after in zip([b.x, *names], [*names, b.out], strict=True):
        b.store(after, 0, b.load(before, 0))
    b.ret(0)
    place = placement(b.function().body)
    stacked = 60 - len(place.offsets)
    assert 0 < stacked * 832 <= STACK_TOTAL and 832 <= place.total <= 832 * 2


def test_what_a_loop_hands_on_lives_through_it():
    b = Builder("carried", x="ptr<f64>", out="ptr<f64>")
    state, inner, more = b.alloc(LARGE), b.alloc(LARGE), b.alloc(LARGE)
    copied(b, b.x, state)
    with b.loop(0, 5):
        copied(b, state, inner)
        copied(b, inner, more)
        copied(b, more, state)
    copied(b, state, b.out)
    b.ret(0)
    body = b.function().body
    spans = live_spans(body, {"buf", "buf_1", "buf_2"})
    assert spans["buf"][0] < spans["buf_1"][0] <= spans["buf_1"][1] < spans["buf_2"][1]
    assert spans["buf_2"][1] < spans["buf"][1]
    assert overlaps(body) == [] and placement(body).total == 3 * 8000


def test_a_pointer_into_a_buffer_keeps_it():
    b = Builder("pointer", x="ptr<f64>", out="ptr<f64>")
    first, second = b.alloc(LARGE), b.alloc(LARGE)
    copied(b, b.x, first)
    inside = b.address(first, 10)
    copied(b, b.x, second)
    copied(b, second, b.out)
    b.store(b.out, 0, b.load(inside, 0))
    b.ret(0)
    body = b.function().body
    assert placement(body).total == 2 * 8000 and overlaps(body) == []


@pytest.mark.skipif(not llvm.available(), reason="no native code here")
def test_plans_are_the_same_in_every_process():
    """Machine code is kept by its text."""
    program = (
        "import numpy as np, sciad\n"
        "from sciad.compiler import llvm\n"
        "from sciad.compiler.lower import lower\n"
        "from sciad.compiler.passes import optimise\n"
        "import sciad.compiler.native\n"
        "from sciad.core.record import record\n"
        "from tests.compiler.test_outline import nested\n"
        "from tests.compiler.test_planning import smoothed\n"
        "f, x = nested(30)\n"
        "for g, x in [(f, x), (smoothed, np.ones(1500))]:\n"
        "    lowered = lower(optimise(record(sciad.grad(g), x).graph))\n"
        "    print(llvm.render(lowered.module, llvm.host())[0])\n")
    texts = {subprocess.run([sys.executable, "-c", program], check=True, capture_output=True,
                            text=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
             for seed in ("1", "2")}
    assert len(texts) == 1 and "define" in texts.pop()


# --- whole programs -------------------------------------------------------------------------------


def smoothed(x):
    def step(k, u):
        v = np.exp(-u) * np.cumsum(u) / len(u)
        w = np.cumsum(v[::-1])
        return np.tanh(w) + np.cumsum(np.sin(w)) / len(u)

    return np.sum(sciad.fori_loop(0, 4, step, x) ** 2)


@pytest.mark.skipif(not llvm.available(), reason="no native code here")
@pytest.mark.parametrize("f", [smoothed, sciad.grad(smoothed)])
def test_kernels_are_planned(f):
    x = np.sin(np.arange(1500.0))
    recorded = record(f, x)
    kernel = kernel_of(recorded.graph)
    main = kernel.lowered.module.functions[-1]
    assert overlaps(main.body) == []
    assert kernel.lowered.workspace == main.placement.total
    assert 0 < main.placement.total < sum(constant_sizes(main.body).values())
    np.testing.assert_allclose(kernel(*recorded.consts, x)[0], f(x), rtol=1e-11, atol=1e-12)


@pytest.mark.skipif(not llvm.available(), reason="no native code here")
def test_a_large_workspace():
    """Large pages; calls at the same time have workspaces of their own."""
    def f(x):
        return np.cumsum(np.cumsum(x * 1.5)[::-1])

    compiled, outs = sciad.jit(f, strict=True), {}
    x = np.sin(np.arange(700_000.0))
    compiled(x)

    def run(k):
        outs[k] = compiled(x + k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_allclose(outs[k], f(x + k), rtol=1e-9, atol=1e-6)
