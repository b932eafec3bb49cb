"""Every pass is followed by a check of what it made: graphs, loops, places in memory.

The passes are those that a kernel goes through, in place, over the tables of cases and programs
with branches, loops and writes, and over their gradients.
"""

from collections import Counter

import numpy as np
import pytest

import sciad
from sciad.compiler import loops, lower, native, passes
from sciad.compiler.planning import placement
from sciad.core import tree
from sciad.core.errors import RecordError
from sciad.core.record import record
from tests.compiler.test_planning import overlaps
from tests.compiler.test_random_programs import TWO
from tests.ops.tables import CASES

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning")]

GRAPHS = {passes: ["fold", "simplify", "pieces", "select", "share", "share_loops", "settle",
                   "hoist", "prune"],
          native: ["realify", "optimise"]}
LOOPS = {lower: ["spread", "outlined"]}


def check_graph(before, after, name):
    after.check()
    if name != "realify":  # which makes two numbers of a complex one
        assert [x.type for x in after.inputs] == [x.type for x in before.inputs]
        assert [x.type.strong() for x in after.outputs] == [x.type.strong() for x in before.outputs]


class CheckFunctions:
    """Of what `spread` made and `outlined` cut, with the parts that threads share."""

    def __init__(self):
        self.parts = []

    def __call__(self, before, after, name):
        if name == "spread":
            loops.check(loops.Module([before]))
            self.parts = after[:-1]
            loops.check(loops.Module(after))
        else:
            loops.check(loops.Module([*self.parts, *after]))


def check_places(body):
    assert overlaps(body) == []
    return placement(body)


@pytest.fixture
def seen(monkeypatch):
    """How often each pass ran and was checked."""
    counts = Counter()

    def watch(module, name, check):
        run = getattr(module, name)

        def checked(first, *rest):
            out = run(first, *rest)
            check(first, out, name)
            counts[name] += 1
            return out

        monkeypatch.setattr(module, name, checked)

    for check, table in ((check_graph, GRAPHS), (CheckFunctions(), LOOPS)):
        for module, names in table.items():
            for name in names:
                watch(module, name, check)
    monkeypatch.setattr(lower, "placement", check_places)
    return counts


def compiled(function, args):
    """The passes of a kernel, down to its loops."""
    with np.errstate(all="ignore"):
        try:
            graph = record(function, *args).graph
        except RecordError:  # those that must be recorded are in `test_every_case`
            return
    simplified = native.optimise(native.realify(graph))
    loops.check(lower.lower(simplified, threads=True).module)


def gradient(function, args):
    def loss(*args):
        return sum(np.sum(np.sin(y.real if y.dtype.kind == "c" else y))
                   for y in tree.flatten(function(*args))[0] if y.dtype.kind in "fcO")

    floats = [k for k, x in enumerate(args) if np.asarray(x).dtype.kind in "fc"]
    return sciad.grad(loss, floats)


@pytest.mark.parametrize("part", range(4))
def test_the_tables_of_cases(part, seen):
    for case in CASES[part::8]:
        compiled(case.function, case.args)
    assert all(seen[name] > 50 for name in ("realify", "fold", "share", "prune", "outlined"))


@pytest.mark.parametrize("n", [4, 20])
def test_branches_loops_and_writes(n, seen):
    x, y = np.linspace(-1, 1.3, n), np.cos(np.arange(float(n)) * 2)
    for f in TWO:
        compiled(f, (x, y))
        compiled(gradient(f, (x, y)), (x, y))
    assert all(seen[name] for names in (*GRAPHS.values(), *LOOPS.values()) for name in names)


def test_large_loops_and_long_programs(seen):
    x = np.linspace(-1, 1, 200_000)

    def long(x):
        for k in range(300):
            x = np.sin(x) * (1.0 + k) - x[::-1]
        return x

    compiled(gradient(lambda x: np.tanh(x) * np.sum(x * x), (x,)), (x,))
    compiled(gradient(long, (x[:6],)), (x[:6],))
    compiled(lambda x: sciad.vmap(lambda row: np.cumsum(np.sin(row)))(x), (x.reshape(-1, 100),))
    assert seen["spread"] == seen["outlined"] == 3
