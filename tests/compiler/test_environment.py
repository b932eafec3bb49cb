"""What a function reaches: every change of it is seen, or the function is not compiled."""

import collections
import enum
import functools
import sys
import threading
import types
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import sciad
from sciad.compiler.environment import Environment, rebuild
from sciad.compiler.jit import FallbackWarning

scale, table, names, weights = 2.0, {"a": 2.0}, ["a"], np.array([1.0, 2.0, 3.0])


def helper(x):
    return x * scale


def both(f, x, strict):
    """Compiled and eager; without `strict` a warned fallback is as good as a right result."""
    with warnings.catch_warnings():
        if not strict:
            warnings.simplefilter("ignore", FallbackWarning)
        np.testing.assert_allclose(np.asarray(f(x)), np.asarray(f.f(x)), rtol=1e-13)


class Slotted:
    __slots__ = ("rate", "inner")

    def __init__(self, rate):
        self.rate, self.inner = rate, [rate]


class Plain:
    factor = 2.0
    shared = [2.0]
    vector = np.array([2.0, 3.0])

    def __init__(self, rate):
        self.rate = rate

    def scaled(self, x):
        return x * self.factor * scale * self.rate

    def __call__(self, x):
        return self.scaled(x)

    @property
    def double(self):
        return 2 * self.rate * scale

    @staticmethod
    def fixed(x):
        return x * scale

    @classmethod
    def classy(cls, x):
        return x * cls.factor


class Child(Plain):
    pass


class Listed(list):
    extra = 1.0


class Mapped(dict):
    pass


class Colour(enum.Enum):
    RED = 2.0


@dataclass(frozen=True)
class Frozen:
    rate: float


class Equal:
    """Equal to all of its kind, whatever it holds."""

    def __init__(self, rate):
        self.rate = rate

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __call__(self, x):
        return x * self.rate


def change_global(name, value):
    def change():
        globals()[name] = value

    return change


CASES = []


def case(strict=True):
    def register(make):
        CASES.append(pytest.param(make, strict, id=make.__name__))
        return make

    return register


@case()
def closure_float():
    k = 2.0

    def change():
        nonlocal k
        k = 5.0

    return lambda x: x * k, change


@case()
def closure_array_in_place():
    k = np.array([1.0, 2.0])

    def change():
        k[0] = 7.0

    return lambda x: x * np.sum(k), change


@case()
def closure_array_of_another_shape():
    k = np.array([1.0, 2.0])

    def change():
        nonlocal k
        k = np.ones((3, 4))

    return lambda x: x * np.sum(k), change


@case()
def closure_int_and_string():
    n, how = 2, "up"

    def change():
        nonlocal n, how
        n, how = 3, "down"

    return lambda x: x * n if how == "up" else x - n, change


@case()
def closure_list():
    k = [1.0, 2.0]
    return lambda x: x * sum(k), lambda: k.append(5.0)


@case()
def closure_dict():
    k = {"a": 1.0, "b": 2.0}
    return lambda x: x * sum(k.values()), lambda: k.update(a=9.0)


@case()
def dict_of_keys():
    k = {"a": 1.0}

    def change():
        k["b"] = k.pop("a")

    return lambda x: x if "a" in k else -x, change


@case()
def nested_containers():
    k = {"p": [(1.0, {"q": np.ones(2)})]}

    def change():
        k["p"][0][1]["q"][1] = 8.0

    return lambda x: x * np.sum(k["p"][0][1]["q"]), change


@case()
def global_float():
    return lambda x: x * scale, change_global("scale", 3.0)


@case()
def global_of_a_helper():
    return lambda x: helper(x) + 1, change_global("scale", 4.0)


@case()
def global_dict():
    return lambda x: x * table["a"], lambda: table.update(a=table["a"] + 1)


@case()
def global_list():
    return lambda x: x * len(names), lambda: names.append("b")


@case()
def global_array():
    def change():
        weights[0] += 5.0

    return lambda x: x * np.sum(weights), change


@case()
def defaults():
    def f(x, k=[2.0], *, j={"a": 1.0}):  # noqa: B006
        return x * k[0] + j["a"]

    def change():
        f.__defaults__[0][0] = 9.0
        f.__kwdefaults__["j"]["a"] = 4.0

    return f, change


@case()
def replaced_defaults():
    def f(x, k=2.0):
        return x * k

    def change():
        f.__defaults__ = (7.0,)

    return f, change


@case()
def function_attribute():
    def f(x):
        return x * helper_.rate

    def helper_():
        pass

    helper_.rate = 2.0

    def change():
        helper_.rate = 3.0

    return f, change


@case()
def object_attribute():
    p = Plain(2.0)
    return lambda x: x * p.rate, lambda: setattr(p, "rate", 5.0)


@case()
def object_of_another_kind():
    p = Plain(2.0)
    return lambda x: x * p.rate, lambda: setattr(p, "rate", 5)


@case()
def namespace():
    p = types.SimpleNamespace(rate=2.0)
    return lambda x: x * p.rate, lambda: setattr(p, "rate", 5.0)


@case()
def slots():
    p = Slotted(2.0)
    return lambda x: x * p.rate + p.inner[0], lambda: (setattr(p, "rate", 5.0), p.inner.append(1.0))


@case()
def frozen_dataclass():
    p = Frozen(2.0)
    return lambda x: x * p.rate, lambda: object.__setattr__(p, "rate", 5.0)


@case()
def class_attribute():
    return lambda x: x * Plain.factor, lambda: setattr(Plain, "factor", Plain.factor + 1)


@case()
def class_attribute_by_instance():
    p = Child(2.0)
    return lambda x: x * p.factor, lambda: setattr(Plain, "factor", Plain.factor + 1)


@case()
def class_attribute_in_method():
    p = Child(2.0)
    return lambda x: p.scaled(x), lambda: setattr(Plain, "factor", Plain.factor + 1)


@case()
def shadowed_class_attribute():
    p = Child(2.0)
    return lambda x: p.scaled(x), lambda: setattr(p, "factor", 11.0)


@case()
def global_in_method():
    p = Plain(2.0)
    return lambda x: p.scaled(x), change_global("scale", 7.0)


@case()
def global_in_property():
    p = Plain(2.0)
    return lambda x: x * p.double, change_global("scale", 8.0)


@case()
def global_in_static_and_class_methods():
    return lambda x: Plain.fixed(x) + Plain.classy(x), change_global("scale", 9.0)


@case()
def list_on_a_class():
    return lambda x: x * sum(Plain.shared), lambda: Plain.shared.append(1.0)


@case()
def array_on_a_class():
    def change():
        Plain.vector[0] += 1.0

    return lambda x: x * np.sum(Plain.vector), change


@case()
def method_replaced():
    p = Plain(2.0)
    p.scaled = lambda x: x * 2
    return lambda x: p.scaled(x), lambda: setattr(p, "scaled", lambda x: x * 3)


@case()
def method_replaced_on_the_class():
    p = Child(2.0)
    return lambda x: p.fixed(x), lambda: setattr(Child, "fixed", staticmethod(lambda x: x * 31.0))


@case()
def bound_method():
    p = Plain(2.0)
    return p.scaled, lambda: setattr(p, "rate", 6.0)


@case()
def callable_object():
    p = Plain(2.0)
    return p, lambda: setattr(p, "rate", 6.0)


@case()
def callable_object_equal_to_others():
    p = Equal(2.0)
    return p, lambda: setattr(p, "rate", 6.0)


@case()
def partial_function():
    k = [2.0]
    return functools.partial(lambda x, k: x * k[0], k=k), lambda: k.insert(0, 3.0)


@case()
def subclass_of_list():
    k = Listed([1.0, 2.0])
    return lambda x: x * sum(k) * k.extra, lambda: (k.append(3.0), setattr(k, "extra", 2.0))


@case()
def subclass_of_dict():
    k = Mapped(a=1.0)
    return lambda x: x * k["a"], lambda: k.update(a=2.0)


@case()
def default_and_ordered_dicts():
    k, m = collections.defaultdict(float, a=1.0), collections.OrderedDict(b=2.0)
    return lambda x: x * k["a"] * m["b"], lambda: (k.update(a=2.0), m.update(b=3.0))


@case()
def named_tuple_of_lists():
    k = collections.namedtuple("K", "a b")([1.0], 2.0)
    return lambda x: x * k.a[0] * k.b, lambda: k.a.insert(0, 3.0)


@case()
def counted():
    k = collections.Counter("aab")
    return lambda x: x * k["a"], lambda: k.update("a")


@case()
def double_ended_queue():
    k = collections.deque([1.0, 2.0])
    return lambda x: x * k[0], lambda: k.rotate(1)


@case()
def sets():
    k = {1, 2}
    return lambda x: x * len(k), lambda: k.add(3)


@case()
def mask():
    k = np.array([True, False, True])
    return lambda x: np.sum((x * weights)[k]), lambda: k.__setitem__(1, True)


@case()
def integers():
    k = np.array([0, 1])
    n = np.int64(2)

    def change():
        nonlocal n
        n = np.int64(3)
        k[0] = 2

    return lambda x: np.sum((x * weights)[k]) * sum(1 for _ in range(n)), change


@case()
def strings_of_numpy():
    k = np.array(["a", "b"])
    return lambda x: x if k[0] == "a" else -x, lambda: k.__setitem__(0, "c")


@case()
def module_attribute():
    module = types.ModuleType("somewhere")
    module.rate = 2.0
    sys.modules["somewhere"] = module
    globals()["somewhere"] = module
    return lambda x: x * somewhere.rate, lambda: setattr(module, "rate", 5.0)  # noqa: F821


@case()
def members_of_enums():
    return lambda x: x * Colour.RED.value, lambda: None


@case(strict=False)
def objects_in_an_array():
    k = np.array([2, None], dtype=object)
    return lambda x: x * k[0], lambda: k.__setitem__(0, 3)


@case(strict=False)
def bytes_that_change():
    k = bytearray(b"\x02")
    return lambda x: x * k[0], lambda: k.__setitem__(0, 3)


@case(strict=False)
def method_of_a_list():
    k = [2.0]
    get = k.__getitem__
    return lambda x: x * get(0), lambda: k.insert(0, 3.0)


@case(strict=False)
def matrix():
    k = np.matrix([[1.0, 2.0]])
    return lambda x: x * np.sum(k), lambda: k.__setitem__((0, 0), 5.0)


@case(strict=False)
def large_list():
    k = [1.0] * 5000
    return lambda x: x * k[0], lambda: k.__setitem__(0, 5.0)


@case(strict=False)
def cached_function():
    k = [2.0]
    rate = functools.lru_cache(lambda: k[0])
    return lambda x: x * rate(), lambda: (k.insert(0, 3.0), rate.cache_clear())


@case(strict=False)
def view_of_a_dict():
    k = {"a": 2.0}
    view = types.MappingProxyType(k)
    return lambda x: x * view["a"], lambda: k.update(a=3.0)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("make, strict", CASES)
def test_changes_are_seen(make, strict):
    """Called twice (the second call takes the fast path), changed, called again twice."""
    kept = dict(globals())
    attributes = {cls: dict(vars(cls)) for cls in (Plain, Child)}
    try:
        f, change = make()
        compiled = sciad.jit(f, strict=strict)
        for x in (1.5, 2.5):
            both(compiled, x, strict)
        change()
        for x in (1.5, 2.5):
            both(compiled, x, strict)
        fresh = sciad.jit(f, strict=strict)
        both(fresh, 1.5, strict)
    finally:
        globals().update(kept)
        for cls, before in attributes.items():
            for name in set(vars(cls)) - set(before):
                delattr(cls, name)
            if cls is Plain:
                Plain.factor = before["factor"]


OPAQUE = [np.random.default_rng(0), iter([1.0]), (k for k in [1.0]), memoryview(b"a"),
          bytearray(b"a"), threading.Lock()]


@pytest.mark.parametrize("thing", OPAQUE, ids=lambda x: type(x).__name__)
def test_objects_whose_content_cannot_be_seen_are_refused(thing):
    compiled = sciad.jit(lambda x: x * 2 if thing is not None else x)
    with pytest.warns(FallbackWarning, match=f"reaches a {type(thing).__name__}"):
        assert compiled(1.0) == 2.0


def test_a_random_generator_is_drawn_from_at_each_call():
    rng = np.random.default_rng(0)
    compiled = sciad.jit(lambda x: x * rng.random())
    with pytest.warns(FallbackWarning):
        first = compiled(1.0)
    want = np.random.default_rng(0)
    assert (first, compiled(1.0)) == (want.random(), want.random())


def test_equal_structure_gives_equal_keys():
    def make(k, n, f):
        return lambda x: f(x * k) + n

    key = Environment(make(1.0, 2, np.sin)).key
    assert Environment(make(3.0, 2, np.sin)).key == key
    assert Environment(make(3.0, 3, np.sin)).key != key
    assert Environment(make(3.0, 2, np.cos)).key != key
    assert Environment(make(3, 2, np.sin)).key != key
    assert Environment(make(True, 2, np.sin)).key != Environment(make(1, 2, np.sin)).key


def test_cycles_end():
    def even(n, x):
        return x if n == 0 else odd(n - 1, x * k["k"])

    def odd(n, x):
        return even(n - 1, x + 1)

    k = {"k": 2.0}
    k["self"] = k
    f = sciad.jit(lambda x: even(4, x), strict=True)
    assert f(1.0) == even(4, 1.0)
    k["k"] = 3.0
    assert f(1.0) == even(4, 1.0)


def test_rebuilding_leaves_the_users_objects_alone():
    p, box = Plain(2.0), {"a": [1.0]}

    def f(x):
        return p.rate * x + box["a"][0] + scale

    environment = Environment(f)
    copy = rebuild(f, [10.0] * len(environment.leaves))
    assert copy(1.0) == 30.0 and f(1.0) == 3.0 + scale
    assert p.rate == 2.0 and box == {"a": [1.0]} and globals()["scale"] == 2.0


def test_shared_and_separate_objects_are_told_apart():
    a, b = [1.0], [1.0]

    def make(p, q):
        return lambda x: x * (p[0] if p is q else q[0] + 1)

    assert Environment(make(a, a)).key != Environment(make(a, b)).key
    assert sciad.jit(make(a, a))(2.0) == 2.0
    assert sciad.jit(make(a, b))(2.0) == 4.0


def test_a_differentiated_value_on_a_class_is_not_lost():
    def f(x):
        Plain.factor = x
        compiled = sciad.jit(lambda y: y * Plain.factor)
        with pytest.warns(FallbackWarning, match="class or a module"):
            return compiled(2.0)

    before = Plain.factor
    try:
        assert sciad.grad(f)(3.0) == 2.0
    finally:
        Plain.factor = before
