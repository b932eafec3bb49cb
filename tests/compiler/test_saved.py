"""Saved functions: the loaded one computes what the jitted one does, here and in another process;
damage is told; what cannot be saved is named."""

import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm, saved
from sciad.compiler.serial import SaveError
from sciad.core.errors import ArgumentError
from sciad.ode import solve_ivp

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.array([0.5, 1.5, -0.7])
scale = 2.0


class Pair(NamedTuple):
    a: float
    b: float


@dataclass
class Point:
    x: float
    y: float


def branches(x):
    if x[0] > 1:
        return np.sin(x)
    if x[1] < -1:
        raise KeyError("too small", 3)
    return x * x if np.sum(x) > 0 else -x


def loops(x):
    def body(state):
        k, y = state
        return k + 1, y * 1.1 + np.sin(y)

    return sciad.while_loop(lambda s: np.sum(s[1]) < 8.0, body, (0, x * x + 1.0))


def chosen(x):
    return sciad.cond(x[0] > 0, lambda v: v[0] * v, lambda v: v - 1.0, x)


def scanned(x):
    return sciad.scan(lambda c, row: (c * row, c + row), x[0], np.arange(40.0))


def containers(tree):
    a, (b, c) = tree["a"], tree["b"]
    return {"z": Pair(a, b), "y": [c, (a, None)], "x": Point(b, c), "n": 3, "t": "text",
            "o": OrderedDict(q=a * 2, p=b)}


def captured(x):
    return x * scale + np.sum(TABLE)


TABLE = np.arange(100.0)

CASES = {
    "branches": (branches, (X,)), "loops": (loops, (X,)), "cond": (chosen, (X,)),
    "scan": (scanned, (X,)), "captured": (captured, (X,)), "scalars": (np.hypot, (3.0, 4.0)),
    "containers": (containers, ({"a": 1.5, "b": (X, np.float32(2.0))},)),
    "gradient": (sciad.grad(lambda x: np.sum(loops(x)[1] ** 2)), (X,)),
    "hessian": (sciad.hessian(lambda x: np.sum(np.tanh(x) ** 3)), (X,)),
    "solve": (lambda x: np.linalg.solve(np.outer(x, x) + 3 * np.eye(3), x), (X,)),
    "indices": (lambda x: (x[::-1], x[[0, 2]], x[None, :2], np.where(x > 0, x, 2.0)), (X,)),
    "integers": (lambda x, n: sum(x * k for k in range(n)), (X, 4)),
    "bools": (lambda x, how, flag: x * 2 if flag and how == "double" else x, (X, "double", True)),
    "empty": (lambda x: x * 2, (np.zeros((0, 3)),)),
}


def same(a, b):
    leaves, structure = sciad.core.tree.flatten(a)
    others, other = sciad.core.tree.flatten(b)
    assert structure == other
    for p, q in zip(leaves, others, strict=True):
        if isinstance(p, str):
            assert p == q
            continue
        assert np.asarray(p).dtype == np.asarray(q).dtype
        np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize("name", CASES)
def test_the_loaded_function_computes_the_same(name, tmp_path):
    f, args = CASES[name]
    compiled = sciad.jit(f, strict=llvm.available())
    want = compiled(*args)
    compiled.save(tmp_path / "f")
    loaded = sciad.load_compiled(tmp_path / "f")
    for _ in range(2):
        same(loaded(*args), want)


@pytest.mark.parametrize("name", ["branches", "loops", "gradient", "scan", "solve"])
def test_where_the_machine_differs_the_graph_is_compiled_anew(name, tmp_path, monkeypatch):
    f, args = CASES[name]
    compiled = sciad.jit(f)
    want = compiled(*args)
    with monkeypatch.context() as patch:
        patch.setattr(saved, "machine", lambda: "another")
        compiled.save(tmp_path / "f")
    linked = []
    patch = monkeypatch
    patch.setattr(saved, "_kernel", lambda *args: linked.append(args))
    loaded = sciad.load_compiled(tmp_path / "f")
    assert not linked
    same(loaded(*args), want)
    patch.setenv("SCIAD_JIT", "0")
    loaded = sciad.load_compiled(tmp_path / "f")
    for a, b in zip(sciad.core.tree.flatten(loaded(*args))[0], sciad.core.tree.flatten(want)[0],
                    strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@native
def test_machine_code_from_the_file_is_used(tmp_path, monkeypatch):
    sciad.jit(branches).save(tmp_path / "f", X)

    def never(*args):
        raise AssertionError("compiled again")

    monkeypatch.setattr(llvm, "compile_module", never)
    same(sciad.load_compiled(tmp_path / "f")(X), branches(X))


def test_every_signature_is_saved(tmp_path):
    compiled = sciad.jit(lambda x: x + 1)
    for x in (1.0, X, np.ones((2, 2), np.float32)):
        compiled(x)
    compiled.save(tmp_path / "f", 2)
    loaded = sciad.load_compiled(tmp_path / "f")
    for x in (1.0, X, np.ones((2, 2), np.float32), 5, np.float64(2.0)):
        same(np.asarray(loaded(x)), np.asarray(x + 1))
    with pytest.raises(ArgumentError, match=r"not saved for .*\(4,\).*it was for"):
        loaded(np.ones(4))


def test_static_arguments_and_keywords(tmp_path):
    def f(x, how, *, power=2):
        return x**power if how == "power" else x * power

    compiled = sciad.jit(f, static_argnames=("how", "power"))
    compiled(X, "power")
    compiled(X, how="times", power=3)
    compiled.save(tmp_path / "f")
    loaded = sciad.load_compiled(tmp_path / "f")
    same(loaded(X, "power"), X**2)
    same(loaded(X, how="power"), X**2)
    same(loaded(X, "times", power=3), X * 3)
    with pytest.raises(ArgumentError, match="not saved"):
        loaded(X, "times", power=4)


def test_captured_values_are_as_they_were(tmp_path):
    rate, table = 3.0, np.ones(3)
    compiled = sciad.jit(lambda x: x * rate + table)
    compiled.save(tmp_path / "f", X)
    rate, table[0] = 4.0, 100.0
    same(sciad.load_compiled(tmp_path / "f")(X), X * 3.0 + 1.0)


def test_exceptions_of_the_function(tmp_path):
    compiled = sciad.jit(branches)
    compiled.save(tmp_path / "f", X)
    loaded = sciad.load_compiled(tmp_path / "f")
    with pytest.raises(KeyError) as caught:
        loaded(np.array([0.0, -2.0, 0.0]))
    assert caught.value.args == ("too small", 3)


def test_what_is_written_into_arguments(tmp_path):
    def f(x):
        x[0] = 7.0
        return np.sum(x)

    sciad.jit(f).save(tmp_path / "f", X.copy())
    x = X.copy()
    assert sciad.load_compiled(tmp_path / "f")(x) == 7.0 + X[1] + X[2]
    assert x[0] == 7.0


def test_the_loaded_function_differentiates_and_nests(tmp_path):
    def f(x):
        return np.sum(np.sin(x) * x) if x[0] > 0 else np.sum(x**3)

    sciad.jit(f).save(tmp_path / "f", X)
    loaded = sciad.load_compiled(tmp_path / "f")
    for x in (X, -X):
        np.testing.assert_allclose(sciad.grad(loaded)(x), sciad.grad(f)(x), rtol=1e-13)
        np.testing.assert_allclose(sciad.hessian(loaded)(x), sciad.hessian(f)(x), rtol=1e-12)
        same(sciad.jit(lambda v: loaded(v) * 2)(x), f(x) * 2)
        np.testing.assert_allclose(sciad.jit(sciad.grad(loaded))(x), sciad.grad(f)(x), rtol=1e-13)
    sciad.check_grads(loaded, (X,))
    two = np.stack([X, -X])
    np.testing.assert_allclose(sciad.vmap(loaded)(two), [f(X), f(-X)], rtol=1e-13)


def test_a_gradient_at_a_singular_point_warns(tmp_path):
    def f(x):
        return np.sum(np.where(x > 0, np.sqrt(np.abs(x)), 0.0))

    compiled = sciad.jit(sciad.grad(f))
    x = np.array([4.0, 0.0])
    assert (compiled(x) == [0.25, 0.0]).all()
    compiled.save(tmp_path / "f")
    loaded = sciad.load_compiled(tmp_path / "f")
    with pytest.warns(RuntimeWarning, match="NaN"):
        assert np.isnan(loaded(x)[1])
    assert (loaded(np.array([4.0, 1.0])) == [0.25, 0.5]).all()


SCRIPT = """
import sys
import numpy as np
import sciad
f = sciad.load_compiled(sys.argv[1])
x = np.array([0.5, 1.5, -0.7])
print(repr(f(x).tolist()), repr(sciad.grad(lambda x: np.sum(f(x)))(x).tolist()))
"""


@pytest.mark.parametrize("jit", ["1", "0"])
def test_another_process_needs_no_source(tmp_path, jit):
    sciad.jit(captured).save(tmp_path / "f", X)
    env = {**os.environ, "SCIAD_JIT": jit, "SCIAD_CACHE_DIR": str(tmp_path / "cache"),
           "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "f")], env=env, cwd="/",
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{captured(X).tolist()!r} [2.0, 2.0, 2.0]"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [
    lambda data: data[:-20], lambda data: data[:200] + bytes(10) + data[210:],
    lambda data: data + b"x", lambda data: data[:30],
])
def test_a_damaged_file_is_told(tmp_path, damage):
    path = tmp_path / "f"
    sciad.jit(branches).save(path, X)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SaveError, match="damaged"):
        sciad.load_compiled(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"something else", bytes(100)])
def test_another_file_is_told(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SaveError, match="no file"):
        sciad.load_compiled(tmp_path / "f")
    with pytest.raises(FileNotFoundError):
        sciad.load_compiled(tmp_path / "g")


def test_nothing_compiled_yet(tmp_path):
    with pytest.raises(SaveError, match="nothing was compiled"):
        sciad.jit(branches).save(tmp_path / "f")
    assert not list(tmp_path.iterdir())


@native
def test_a_solver_is_named(tmp_path):
    def f(y0):
        return solve_ivp(lambda t, y: -y, (0.0, 1.0), y0, t_eval=[0.5, 1.0]).y

    with pytest.raises(SaveError, match="ode_march.*Model"):
        sciad.jit(f).save(tmp_path / "f", np.ones(2))
    assert not list(tmp_path.iterdir())


def test_a_function_as_a_static_argument_is_named(tmp_path):
    compiled = sciad.jit(lambda x, f: f(x), static_argnames="f")
    with pytest.raises(SaveError, match="sine"):
        compiled.save(tmp_path / "f", X, sine)


def sine(x):
    return np.sin(x)


def test_what_runs_eagerly_is_not_saved(tmp_path):
    with pytest.raises(sciad.SciadError, match="float"):
        sciad.jit(lambda x: x * float(x), strict=True).save(tmp_path / "f", 1.0)


def test_a_value_of_an_outer_transform_is_refused(tmp_path):
    def outer(y):
        sciad.jit(lambda x: x * y).save(tmp_path / "f", 2.0)
        return y

    with pytest.raises(SaveError, match="differentiated"):
        sciad.grad(outer)(1.0)


def test_a_class_that_is_missing_is_named(tmp_path, monkeypatch):
    sciad.jit(lambda x: Pair(x, x)).save(tmp_path / "f", 1.0)
    monkeypatch.delattr(sys.modules[__name__], "Pair")
    with pytest.raises(SaveError, match="Pair of module"):
        sciad.load_compiled(tmp_path / "f")
