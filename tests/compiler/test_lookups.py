"""What code looks up by name is part of the cache key: where it was found, and what."""

import builtins
import collections
import dataclasses
import enum
import functools
import operator
import sys
import types
import warnings

import numpy as np
import pytest

import sciad
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.lookups import lookups

op, dtype, lib, cls = max, np.float32, np, None
CASES = []
made = []


def case(make):
    """Register a maker of a function and of what changes it."""
    CASES.append(pytest.param(make, id=make.__name__))
    return make


def sets(name, value):
    return lambda: globals().__setitem__(name, value)


@pytest.fixture(autouse=True)
def only_real_modules():
    """No module made here stays behind."""
    yield
    while made:
        sys.modules.pop(made.pop(), None)


def module(name, **content):
    found = types.ModuleType(name)
    vars(found).update(content)
    sys.modules[name] = found
    made.append(name)
    return found


@case
def builtin_function():
    return lambda x: op(x, 2.0), sets("op", min)


@case
def function_of_the_standard_library():
    globals()["op"] = operator.add
    return lambda x: op(x, 2.0), sets("op", operator.mul)


@case
def function_of_numpy():
    globals()["op"] = np.sum
    return lambda x: op(x * np.ones(3)), sets("op", np.max)


@case
def gradient_of_a_function():
    globals()["op"] = operator.add
    return sciad.grad(lambda x: op(x, 2.0) * x), sets("op", operator.mul)


@case
def library_class():
    return lambda x: (x * np.ones(1) / 3).astype(dtype), sets("dtype", np.float64)


@case
def library_module():
    return lambda x: lib.sin(x), sets("lib", module("other", sin=np.cos))


@case
def module_in_a_closure():
    m = module("closed", rate=2.0)
    return lambda x: x * m.rate, lambda: setattr(m, "rate", 5.0)


@case
def module_in_a_default():
    m = module("defaulted", rate=2.0)
    return lambda x, m=m: x * m.rate, lambda: setattr(m, "rate", 5.0)


@case
def module_passed_to_a_helper():
    m = module("passed", rate=2.0)

    def helper(place):
        return place.rate

    return lambda x: x * helper(m), lambda: setattr(m, "rate", 5.0)


@case
def module_inside_a_module():
    inner = module("package.inner", rate=2.0)
    m = module("package", inner=inner)
    return lambda x: x * m.inner.rate, lambda: setattr(inner, "rate", 5.0)


@case
def attribute_by_text():
    m = module("spelled", rate=2.0)
    return lambda x: x * getattr(m, "rate"), lambda: setattr(m, "rate", 5.0)  # noqa: B009


@case
def attribute_by_a_text_that_is_made():
    m = module("made", rate_of=2.0)
    end = "of"
    return lambda x: x * getattr(m, f"rate_{end}"), lambda: setattr(m, "rate_of", 5.0)


@case
def import_inside_the_function():
    m = module("inside", rate=2.0)

    def f(x):
        from inside import rate
        return x * rate

    return f, lambda: setattr(m, "rate", 5.0)


@case
def module_named_by_text():
    m = module("listed", rate=2.0)
    return lambda x: x * sys.modules["listed"].rate, lambda: setattr(m, "rate", 5.0)


@case
def module_with_getattr():
    m = module("lazy")
    rates = [2.0]
    vars(m)["__getattr__"] = lambda name: rates[0]
    return lambda x: x * m.rate, lambda: rates.insert(0, 5.0)


@case
def attribute_that_a_module_gets():
    m = module("getting")

    def f(x):
        try:
            return x * m.rate
        except AttributeError:
            return x

    return f, lambda: setattr(m, "rate", 5.0)


@case
def inherited_attribute_overridden():
    class Base:
        rate = 2.0

    class Derived(Base):
        pass

    x0 = Derived()
    return lambda x: x * x0.rate, lambda: setattr(Derived, "rate", 5.0)


@case
def inherited_method_overridden():
    class Base:
        def scaled(self, x):
            return 2 * x

    class Derived(Base):
        pass

    x0 = Derived()
    return x0.scaled and (lambda x: x0.scaled(x)), lambda: setattr(
        Derived, "scaled", lambda self, x: 5 * x)


@case
def property_over_an_attribute():
    class Base:
        pass

    x0 = Base()
    x0.rate = 2.0
    return lambda x: x * x0.rate, lambda: setattr(Base, "rate", property(lambda self: 5.0))


@case
def attribute_that_a_class_gets():
    class Base:
        pass

    return lambda x: x * getattr(Base, "rate", 2.0), lambda: setattr(Base, "rate", 5.0)


@case
def attribute_that_a_function_gets():
    def helper():
        pass

    return lambda x: x * getattr(helper, "rate", 2.0), lambda: setattr(helper, "rate", 5.0)


@case
def class_among_the_globals_of_a_method():
    class Inner:
        rate = 2.0

    class Outer:
        inner = Inner

        def scaled(self, x):
            return x * self.inner.rate

    x0 = Outer()
    return lambda x: x0.scaled(x), lambda: setattr(Inner, "rate", 5.0)


@case
def global_over_a_builtin():
    return lambda x: abs(x - 9.0), sets("abs", lambda x: x)


@case
def builtin_replaced():
    known = builtins.abs

    def change():
        builtins.abs = lambda x: x if type(x) is not float else known(x)

    return lambda x: abs(x * np.ones(1) - 9.0), change


@case
def global_that_comes_later():
    def f(x):
        try:
            return x * later_on
        except NameError:
            return x

    return f, sets("later_on", 5.0)


@case
def code_of_a_helper():
    def helper(x):
        return 2 * x

    def other(x):
        return 5 * x

    return lambda x: helper(x), lambda: setattr(helper, "__code__", other.__code__)


@case
def code_of_the_function():
    def f(x):
        return 2 * x

    def other(x):
        return 5 * x

    return f, lambda: setattr(f, "__code__", other.__code__)


@case
def class_of_an_object():
    class One:
        rate = 2.0

    class Other:
        rate = 5.0

    x0 = One()
    return lambda x: x * x0.rate, lambda: setattr(x0, "__class__", Other)


@case
def attributes_of_an_object_replaced():
    x0 = type("Any", (), {})()
    x0.rate = 2.0
    return lambda x: x * x0.rate, lambda: setattr(x0, "__dict__", {"rate": 5.0})


@case
def bases_of_a_class():
    class One:
        rate = 2.0

    class Other:
        rate = 5.0

    class Derived(One):
        pass

    x0 = Derived()
    return lambda x: x * x0.rate, lambda: setattr(Derived, "__bases__", (Other,))


@case
def attribute_of_a_metaclass():
    class Meta(type):
        rate = 2.0

    class Made(metaclass=Meta):
        pass

    return lambda x: x * Made.rate, lambda: setattr(Meta, "rate", 5.0)


@case
def attribute_of_a_member_of_an_enumeration():
    class Colour(enum.Enum):
        RED = 1

    Colour.RED.rate = 2.0
    return lambda x: x * Colour.RED.rate, lambda: setattr(Colour.RED, "rate", 5.0)


@case
def keys_of_another_type():
    k = {1: 2.0}

    def change():
        k.clear()
        k[True] = 2.0

    return lambda x: x * sum(v for key, v in k.items() if key is True), change


@case
def object_in_a_set():
    p = type("Any", (), {})()
    p.rate = 2.0
    k = {p}
    return lambda x: x * sum(each.rate for each in k), lambda: setattr(p, "rate", 5.0)


@case
def object_as_a_key():
    p = type("Any", (), {})()
    p.rate = 2.0
    k = {p: 1.0}
    return lambda x: x * sum(p.rate * v for p, v in k.items()), lambda: setattr(p, "rate", 5.0)


@case
def object_that_is_member_and_variable():
    p = type("Any", (), {})()
    k = {p}
    return lambda x: 2 * x if p in k else x, k.clear


@case
def ranges():
    k = [range(0, 3, 2)]
    return lambda x: x * k[0].stop, lambda: k.__setitem__(0, range(0, 4, 2))


@case
def order_of_a_dict():
    k = {"a": 1.0, "b": 2.0}
    return (lambda x: x * sum(v * 10**i for i, v in enumerate(k.values())),
            lambda: k.update(a=k.pop("a")))


@case
def factory_of_a_dict():
    k = collections.defaultdict(lambda: 2.0)
    return lambda x: x * k.default_factory(), lambda: setattr(k, "default_factory", lambda: 5.0)


class Scaled(float):
    pass


@case
def attribute_of_a_number():
    k = Scaled(3.0)
    k.rate = 2.0
    return lambda x: x * k.rate, lambda: setattr(k, "rate", 5.0)


@case
def attribute_of_a_text():
    k = type("Text", (str,), {})("a")
    k.rate = 2.0
    return lambda x: x * k.rate, lambda: setattr(k, "rate", 5.0)


@pytest.mark.parametrize("make", CASES)
def test_changes_are_seen(make):
    """Called twice, the second call by the fast path, changed, called again twice."""
    kept, known = dict(globals()), builtins.abs
    try:
        f, change = make()
        compiled = sciad.jit(f, strict=True)
        for x in (1.5, 2.5):
            np.testing.assert_array_equal(compiled(x), f(x))
        before = f(1.5)
        change()
        assert np.asarray(f(1.5)).tobytes() != np.asarray(before).tobytes() or f(1.5) is None
        for x in (1.5, 2.5):
            np.testing.assert_array_equal(compiled(x), f(x))
        np.testing.assert_array_equal(sciad.jit(f)(1.5), f(1.5))
    finally:
        builtins.abs = known
        for name in globals().keys() - kept.keys():
            del globals()[name]
        globals().update(kept)


@dataclasses.dataclass
class Scale:
    by: float
    rate = 2.0

    def scaled(self, x):
        return x * self.by * self.rate


class Pair(collections.namedtuple("Pair", "by")):
    rate = 2.0

    def scaled(self, x):
        return x * self.by * self.rate


@pytest.mark.parametrize("kind", [Scale, Pair], ids=lambda kind: kind.__name__)
def test_the_class_of_an_argument(kind):
    f = sciad.jit(lambda p: p.scaled(3.0), strict=True)
    known = kind.rate, kind.scaled
    try:
        assert f(kind(1.0)) == 6.0
        kind.rate = 5.0
        assert f(kind(1.0)) == 15.0
        kind.scaled = lambda self, x: self.by
        assert f(kind(1.0)) == 1.0
    finally:
        kind.rate, kind.scaled = known


def test_a_module_imported_by_the_first_call(tmp_path, monkeypatch):
    (tmp_path / "first_call.py").write_text("rate = 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def f(x):
        import first_call
        return x * first_call.rate

    compiled = sciad.jit(f, strict=True)
    assert compiled(3.0) == 6.0
    sys.modules["first_call"].rate = 5.0
    assert compiled(3.0) == 15.0


def test_functions_of_one_text_and_other_globals_are_told_apart():
    text, one, two = "def f(x): return op(x, 2.0)", {"op": operator.add}, {"op": operator.mul}
    exec(text, one)
    exec(text, two)
    assert sciad.jit(one["f"])(5.0) == 7.0
    assert sciad.jit(two["f"])(5.0) == 10.0


def test_a_module_as_a_static_argument():
    m = module("static", rate=2.0)
    f = sciad.jit(lambda x, place: x * place.rate, static_argnames="place")
    assert f(3.0, m) == 6.0
    m.rate = 5.0
    assert f(3.0, m) == 15.0


def test_globals_by_name_run_eagerly():
    f = sciad.jit(lambda x: x * globals()["op_rate"])
    globals()["op_rate"] = 2.0
    try:
        with pytest.warns(FallbackWarning, match="calls globals"):
            assert f(3.0) == 6.0
        globals()["op_rate"] = 5.0
        assert f(3.0) == 15.0
    finally:
        del globals()["op_rate"]


ORDERS = [dict, functools.partial(collections.defaultdict, float), collections.OrderedDict]


@pytest.mark.parametrize("kind", ORDERS, ids=["dict", "defaultdict", "OrderedDict"])
def test_the_order_of_a_dict_among_the_arguments(kind):
    f = sciad.jit(lambda d: sum(v * 10**i for i, v in enumerate(d.values())), strict=True)
    assert f(kind({"a": 1.0, "b": 2.0})) == 21.0
    assert f(kind({"b": 2.0, "a": 1.0})) == 12.0
    assert f(kind({"a": 1.0, "b": 2.0})) == 21.0


def test_the_order_of_dicts_inside_and_of_keywords():
    f = sciad.jit(lambda d: sum(v * 10**i for i, v in enumerate(d[0]["p"].values())), strict=True)
    assert f([{"p": {"a": 1.0, "b": 2.0}}]) == 21.0
    assert f([{"p": {"b": 2.0, "a": 1.0}}]) == 12.0
    g = sciad.jit(lambda **d: sum(v * 10**i for i, v in enumerate(d.values())), strict=True)
    assert (g(a=1.0, b=2.0), g(b=2.0, a=1.0)) == (21.0, 12.0)


def test_the_type_of_keys_among_the_arguments():
    f = sciad.jit(lambda d: sum(v for k, v in d.items() if k is True) + 0 * d[1], strict=True)
    assert (f({1: 2.0}), f({True: 2.0})) == (0.0, 2.0)


def test_the_order_of_a_dict_is_kept_in_a_file(tmp_path):
    f = sciad.jit(lambda d: sum(v * 10**i for i, v in enumerate(d.values())))
    for d in ({"b": 2.0, "a": 1.0}, {"a": 1.0, "b": 2.0}):
        f(d)
    f.save(tmp_path / "f")
    loaded = sciad.load_compiled(tmp_path / "f")
    assert loaded({"a": 1.0, "b": 2.0}) == 21.0
    assert loaded({"b": 2.0, "a": 1.0}) == 12.0


def test_a_right_hand_side_sees_the_order_of_its_arguments():
    def fun(t, y, d):
        return sum(v * 10**i for i, v in enumerate(d.values())) * y**0

    def end(d):
        return sciad.ode.solve_ivp(fun, (0.0, 1.0), np.zeros(1), args=(d,)).y[0, -1]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(end({"a": 1.0, "b": 2.0}), 21.0)
        np.testing.assert_allclose(end({"b": 2.0, "a": 1.0}), 12.0)


def test_lookups_of_code():
    def f(x):
        from somewhere.inside import rate
        return op(x.shape, rate, key="text") + (lambda: lib.sin)()

    found = lookups(f.__code__)
    assert found.scope == ("op", "lib")
    assert {"shape", "rate", "sin", "text"} <= set(found.attributes)
    assert found.imports == (("somewhere.inside", 0),)
    assert not found.dynamic and not found.catches


@pytest.mark.parametrize("inner", [False, True])
def test_an_installed_package_counts_by_the_names_of_the_program(tmp_path, monkeypatch, inner):
    package = tmp_path / "site-packages" / f"installed_{inner}"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import sub\nrate = 2.0\n")
    (package / "sub" / "__init__.py").write_text(
        "import threading\nrate = 2.0\nlock = threading.Lock()\n")
    monkeypatch.syspath_prepend(str(package.parent))
    installed = __import__(package.name)
    place = installed.sub if inner else installed
    f = sciad.jit((lambda x: x * installed.sub.rate) if inner else (lambda x: x * installed.rate),
                  strict=True)
    assert f(3.0) == 6.0
    place.rate = 5.0
    assert f(3.0) == 15.0
