"""Recording leaves classes, modules and what hangs on them as they were."""

import collections
import types

import numpy as np
import pytest

import sciad
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.restoring import restored

count = 0
tools = types.ModuleType("tools_of_restoring")


def eagerly(f, *args):
    with pytest.warns(FallbackWarning, match="not pure"):
        return sciad.jit(f)(*args)


def test_a_container_on_a_class():
    class Kept:
        store = {}

    def f(x):
        if "k" not in Kept.store:
            Kept.store["k"] = np.sin(x)
        return Kept.store["k"] * x

    assert eagerly(f, 2.0) == np.sin(2.0) * 2.0
    assert type(Kept.store["k"]) is np.float64
    assert f(3.0) == np.sin(2.0) * 3.0


def test_a_counter_on_a_class():
    class Counted:
        n = 0

    def f(x):
        Counted.n += 1
        return x * 2

    g = sciad.jit(f)
    with pytest.warns(FallbackWarning, match="not pure"):
        g(2.0)
    assert Counted.n == 1
    g(2.0)
    assert Counted.n == 2


def test_a_value_on_a_class():
    class Last:
        value = None

    def f(x):
        Last.value = x * 2
        return Last.value + 1

    assert eagerly(f, 2.0) == 5.0
    assert Last.value == 4.0


def test_a_new_attribute_of_a_class():
    class Grown:
        pass

    def f(x):
        Grown.value = x * 2
        return Grown.value

    assert eagerly(f, 2.0) == 4.0
    assert Grown.value == 4.0


def test_a_module():
    tools.n = 0

    def f(x):
        tools.n += 1
        tools.last = x * 2
        return x * 2

    assert eagerly(f, 2.0) == 4.0
    assert (tools.n, tools.last) == (1, 4.0)


def test_a_global_that_a_method_counts():
    class Counting:
        def f(self, x):
            global count
            count += 1
            return 2 * x

    before, counting = count, Counting()
    assert eagerly(lambda x: counting.f(x), 2.0) == 4.0
    assert count == before + 1


def test_a_global_that_is_written_alone():
    def f(x):
        global written
        written = x * 2
        return x

    try:
        assert eagerly(f, 2.0) == 2.0
        assert written == 4.0  # noqa: F821
    finally:
        globals().pop("written", None)


def test_an_exception_after_a_write():
    class Counted:
        n = 0

    def f(x):
        if x > 0:
            Counted.n += 1
            raise ValueError("positive")
        return x

    g = sciad.jit(f)
    with pytest.warns(FallbackWarning, match="not pure"):
        assert g(-1.0) == -1.0
    assert Counted.n == 0
    with pytest.raises(ValueError, match="positive"):
        g(1.0)
    assert Counted.n == 1


def test_a_static_argument():
    def f(x, log):
        log.append(x)
        return x

    log = []
    with pytest.warns(FallbackWarning):
        assert sciad.jit(f, static_argnames="log")(2.0, log) == 2.0
    assert log == [2.0]


class Slotted:
    __slots__ = ("a",)


def thing_of(kind):
    slotted, plain = Slotted(), types.SimpleNamespace(a=1)
    slotted.a = 1
    return {
        "list": ([1, 2], lambda x: x.append(3), list),
        "dict": ({"a": 1}, lambda x: x.update(b=2), lambda x: list(x.items())),
        "ordered": (collections.OrderedDict(a=1, b=2), lambda x: x.move_to_end("a"),
                    lambda x: list(x.items())),
        "set": ({1}, lambda x: x.add(2), set),
        "deque": (collections.deque([1]), lambda x: x.appendleft(0), list),
        "array": (np.zeros(2), lambda x: x.__setitem__(0, 1.0), np.ndarray.tolist),
        "object": (plain, lambda x: setattr(x, "a", 2), lambda x: x.a),
        "slots": (slotted, lambda x: setattr(x, "a", 2), lambda x: x.a),
        "class": (type("C", (), {"a": 1}), lambda x: (setattr(x, "a", 2), setattr(x, "b", 2)),
                  lambda x: (x.a, hasattr(x, "b"))),
    }[kind]


@pytest.mark.parametrize("kind", ["list", "dict", "ordered", "set", "deque", "array", "object",
                                  "slots", "class"])
def test_objects_are_put_back(kind):
    x, change, told = thing_of(kind)
    before = told(x)
    with pytest.raises(ZeroDivisionError), restored([x]):
        change(x)
        assert told(x) != before
        raise ZeroDivisionError
    assert told(x) == before
