"""Jitted functions as objects: pickled, copied, bound, wrapped, transformed."""

import copy
import functools
import inspect
import multiprocessing
import pickle

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import Jitted

STRICT = llvm.available()
X = np.array([0.5, 1.5, -0.7])


@sciad.jit
def at_module_level(x):
    return np.sum(np.sin(x) * x)


@sciad.jit(static_argnames="n", fastmath=True)
def with_options(x, n=2):
    return x * n


def plain(x):
    return np.sum(x**3)


renamed = sciad.jit(plain)
partial = functools.partial(with_options, n=5)


class Model:
    def __init__(self, rate):
        self.rate = rate

    @sciad.jit
    def run(self, x):
        return x * self.rate if x > 0 else -x

    @classmethod
    @sciad.jit
    def made(cls, x):
        return x * 3.0 + cls.offset

    @sciad.jit
    @staticmethod
    def outer(x):
        return x * 5.0

    @staticmethod
    @sciad.jit
    def inner(x):
        return x * 7.0

    offset = 1.0


def test_decorated_functions_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level
    assert pickle.loads(pickle.dumps(with_options)) is with_options
    assert pickle.loads(pickle.dumps(partial))(2.0) == 10.0


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_jitted_function_of_another_name(protocol):
    again = pickle.loads(pickle.dumps(renamed, protocol))
    assert type(again) is Jitted and again is not renamed
    assert again(X) == renamed(X)
    fast = sciad.jit(plain, fastmath=True, strict=True)
    assert pickle.loads(pickle.dumps(fast, protocol))._made_with() == fast._made_with()


def test_a_lambda_cannot_be_pickled_as_without_jit():
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(sciad.jit(lambda x: x))


def test_bound_methods():
    model = Model(4.0)
    again = pickle.loads(pickle.dumps(model.run))
    assert again(2.0) == 8.0 and again(-2.0) == 2.0
    assert copy.copy(model).run(2.0) == 8.0
    assert copy.deepcopy(model.run)(2.0) == 8.0


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_copies(make):
    k = 3.0
    f = sciad.jit(lambda x: x * k)
    assert f(2.0) == 6.0
    assert make(f)(2.0) == 6.0
    assert make(with_options)(2.0, n=4) == 8.0
    assert make({"f": f})["f"](3.0) == 9.0


def _work(f):
    return float(f(X)), [float(v) for v in sciad.grad(f)(X)]


@pytest.mark.slow
def test_another_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for f in (at_module_level, renamed):
            value, slope = pool.apply(_work, (f,))
            assert value == f(X)
            np.testing.assert_array_equal(slope, sciad.grad(f)(X))


# --- methods and wrappers -------------------------------------------------------------------------


def test_methods_of_all_kinds():
    model = Model(2.0)
    for _ in range(2):
        assert model.run(3.0) == 6.0 and model.run(-3.0) == 3.0
        model.rate = 4.0
        assert model.run(3.0) == 12.0
        model.rate = 2.0
    assert Model.made(2.0) == 7.0 and model.made(2.0) == 7.0
    assert Model.outer(2.0) == 10.0 and model.outer(2.0) == 10.0
    assert Model.inner(2.0) == 14.0 and model.inner(2.0) == 14.0
    assert sciad.grad(model.run)(3.0) == 2.0
    assert sciad.grad(Model.made)(3.0) == 3.0


def test_partial():
    f = sciad.jit(functools.partial(lambda a, x, b: a * x + b, 2.0, b=1.0), strict=STRICT)
    assert f(3.0) == 7.0
    g = functools.partial(sciad.jit(lambda a, x: a * x), 2.0)
    assert g(3.0) == 6.0 and sciad.grad(g)(3.0) == 2.0
    assert sciad.jit(g)(3.0) == 6.0


def test_names_and_docs_are_the_functions():
    assert at_module_level.__name__ == "at_module_level"
    assert at_module_level.__wrapped__ is at_module_level.f
    assert with_options.__module__ == __name__


# --- transforms -----------------------------------------------------------------------------------


def quartic(x):
    return np.sum(x**4) if x[0] > 0 else np.sum(x**2)


TRANSFORMS = {
    "grad": lambda f: sciad.grad(f)(X),
    "value_and_grad": lambda f: sciad.value_and_grad(f)(X),
    "jacobian": lambda f: sciad.jacobian(lambda x: x * f(x))(X),
    "hessian": lambda f: sciad.hessian(f)(X),
    "hvp": lambda f: sciad.hvp(f, (X,), (X,)),
    "jvp": lambda f: sciad.jvp(f, (X,), (2 * X,)),
    "vjp": lambda f: sciad.vjp(f, X)[1](1.0),
    "linearize": lambda f: sciad.linearize(f, X)[1](X),
    "vmap": lambda f: sciad.vmap(f)(np.stack([X, -X])),
    "vmap grad": lambda f: sciad.vmap(sciad.grad(f))(np.stack([X, -X])),
    "third": lambda f: sciad.grad(lambda s: np.sum(sciad.hessian(f)(s * X)))(0.7),
}


def leaves(tree):
    return sciad.core.tree.flatten(tree)[0]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_jitted_and_jitted_transforms(name):
    apply = TRANSFORMS[name]
    want = leaves(apply(quartic))
    compiled = sciad.jit(quartic, strict=STRICT)
    for way in (lambda: apply(compiled), sciad.jit(lambda: apply(quartic), strict=STRICT),
                sciad.jit(lambda: apply(compiled)), lambda: apply(sciad.jit(compiled))):
        for a, b in zip(leaves(way()), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def cubes(x):
    return x**3


class Well:
    def __init__(self, depth):
        self.depth = depth

    def energy(self, x):
        return self.depth * np.sum(x**4)

    force = sciad.grad(energy, argnums=1)


well = Well(3.0)
weighted = functools.partial(np.dot, X)


@sciad.grad
def decorated(x):
    return np.sum(np.cos(x))


@sciad.custom_rule
def ruled(x):
    return x * 2.0


@ruled.jvp
def ruled_jvp(primals, tangents):
    return 2.0 * primals[0], 3.0 * tangents[0]


OBJECTS = {
    "grad": sciad.grad(quartic),
    "grad of a method": sciad.grad(well.energy),
    "grad of a partial": sciad.grad(weighted),
    "value_and_grad": sciad.value_and_grad(quartic, has_aux=False),
    "jacobian": sciad.jacobian(cubes, mode="reverse"),
    "hessian": sciad.hessian(quartic),
    "wirtinger": sciad.wirtinger(cubes),
    "vmap": sciad.vmap(np.square, out_axes=-1),
    "checkpoint": sciad.checkpoint(quartic),
    "grad of grad": sciad.grad(sciad.checkpoint(sciad.hessian(np.sin))),
    "of a rule": sciad.grad(ruled),
    "jit grad": sciad.jit(sciad.grad(quartic)),
    "jit value_and_grad": sciad.jit(sciad.value_and_grad(quartic)),
    "jit vmap": sciad.jit(sciad.vmap(np.sin)),
    "jit hessian": sciad.jit(sciad.hessian(quartic)),
    "grad jit": sciad.grad(renamed),
    "decorated": decorated,
    "bound": well.force,
    "partial of grad": functools.partial(sciad.grad(Well.energy, argnums=1), well),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("make", [lambda f: pickle.loads(pickle.dumps(f)), copy.copy,
                                  copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_results_of_transforms_are_pickled_and_copied(make, name):
    f = OBJECTS[name]
    x = 0.7 if name in ("grad of grad", "of a rule") else X
    for a, b in zip(leaves(make(f)(x)), leaves(f(x)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sparse_jacobian_is_pickled():
    slopes = pickle.loads(pickle.dumps(sciad.jacobian(cubes, sparsity="auto")))
    np.testing.assert_array_equal(slopes(X).toarray(), np.diag(3 * X**2))
    assert slopes.options == (0, "auto", False, "auto")


def test_transforms_of_lambdas_say_what_cannot_be_pickled():
    for f in (sciad.grad(lambda x: x), sciad.jit(sciad.vmap(lambda x: x))):
        with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
            pickle.dumps(f)


def test_results_of_transforms_look_like_their_function():
    f = sciad.grad(well.energy)
    assert f.__name__ == "energy" and f.__wrapped__ == well.energy
    assert list(inspect.signature(f).parameters) == ["x"]
    assert repr(f) == "<grad of energy>" and repr(sciad.vmap(np.sin)) == "<vmap of sin>"
    assert Well.force.__qualname__ == "Well.force" and pickle.loads(
        pickle.dumps(Well.force)) is Well.force
    assert sciad.grad(weighted).__name__ == "grad"


def test_a_jitted_transform_reads_what_its_function_closes_over():
    k = 2.0
    f = sciad.jit(sciad.vmap(sciad.grad(lambda x: k * x)), strict=STRICT)
    assert f(X)[0] == 2.0
    k = 5.0
    assert f(X)[0] == 5.0
    assert len(f.report().signatures) == 1


@pytest.mark.slow
def test_a_pool_maps_a_gradient():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for f in (OBJECTS["grad"], OBJECTS["jit grad"], OBJECTS["grad of a method"]):
            for got, want in zip(pool.map(f, [X, 2 * X]), map(f, [X, 2 * X]), strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("make, args", [
    (lambda: sciad.vjp(quartic, X)[1], (1.0,)),
    (lambda: sciad.linearize(quartic, X)[1], (X,)),
    (lambda: sciad.vjp(lambda p: {"a": p["x"] * 2.0, "b": (p["x"] ** 2, 1.0)}, {"x": X})[1],
     ({"a": X, "b": (X, 0.0)},)),
], ids=["vjp", "linearize", "containers"])
def test_closures_of_transforms_compile(make, args):
    closure = make()
    compiled = sciad.jit(closure, strict=STRICT)
    for a, b in zip(leaves(compiled(*args)), leaves(closure(*args)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
