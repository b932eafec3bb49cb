"""`sciad.patch_numpy`: plain np.zeros takes derivatives, and only where the user's code asks."""

import concurrent.futures
import pickle
import sys
import threading
import types
import warnings
from functools import partial

import numpy as np
import pytest
import scipy.cluster.hierarchy
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.sparse.csgraph
import scipy.sparse.linalg
import scipy.spatial.transform
from numpy import zeros as imported_before

import sciad
from sciad.numpy.patching import _MAKERS
from sciad.ode import solve_ivp

OWN = {name: getattr(np, name) for name in _MAKERS}
X = np.array([0.4, 1.3, -0.8])


@pytest.fixture(autouse=True)
def left_as_found():
    yield
    assert all(getattr(np, name) is own for name, own in OWN.items())


def filled(x):
    out = np.zeros(3)
    out[0] = x
    out[1:] = np.array([x * x, 2.0])
    out[2] *= np.sin(x)
    return np.sum(out**2)


def filled_pure(x):
    return x**2 + x**4 + 4 * np.sin(x) ** 2


def rows(x):
    out = np.empty((2, 3))
    out[0], out[1] = x, x * x
    out.T[1] *= x[0]
    return np.sum(np.exp(out))


def rows_pure(x):
    factor = np.where(np.arange(3) == 1, x[0], 1.0)
    return np.sum(np.exp(x * factor)) + np.sum(np.exp(x * x * factor))


PROGRAMS = {"scalar": (filled, filled_pure, 0.7), "rows": (rows, rows_pure, X)}
TRANSFORMS = {
    "grad": lambda f, x: sciad.grad(f)(x),
    "jvp": lambda f, x: sciad.jvp(f, (x,), (x * 0.3,)),
    "hvp": lambda f, x: sciad.hvp(f, (x,), (x * 0.3,)),
    "hessian": lambda f, x: sciad.hessian(f)(x),
    "grad of grad": lambda f, x: sciad.grad(lambda y: np.sum(sciad.grad(f)(y) ** 2))(x),
    "grad of jvp": lambda f, x: sciad.grad(lambda y: sciad.jvp(f, (y,), (x,))[1])(x),
    "jit": lambda f, x: sciad.jit(f, strict=True)(x),
    "jit of grad": lambda f, x: sciad.jit(sciad.grad(f), strict=True)(x),
    "grad of jit": lambda f, x: sciad.grad(sciad.jit(f, strict=True))(x),
    "vmap": lambda f, x: sciad.vmap(f)(np.stack([x, 2.0 * x])),
}


def same(a, b):
    a, b = (x if isinstance(x, tuple) else (x,) for x in (a, b))
    for x, y in zip(a, b, strict=True):
        assert not isinstance(x, sciad.Array)
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_plain_numpy_takes_assignments(program, transform):
    f, pure, x = PROGRAMS[program]
    with sciad.patch_numpy():
        got = TRANSFORMS[transform](f, x)
    same(got, TRANSFORMS[transform](pure, x))


def test_without_the_patch_the_line_raises_and_names_the_fix():
    with pytest.raises(sciad.SciadError, match="from sciad import numpy as np"):
        sciad.grad(filled)(0.7)


# --- each maker -----------------------------------------------------------------------------------

CALLS = {
    "zeros": lambda np: np.zeros((2, 3)), "empty": lambda np: np.empty(4) * 0.0,
    "ones": lambda np: np.ones(3, dtype="float32"), "full": lambda np: np.full((2, 2), 1.5),
    "zeros_like": lambda np: np.zeros_like(X), "empty_like": lambda np: np.empty_like(X) * 0.0,
    "ones_like": lambda np: np.ones_like(X, dtype=int),
    "full_like": lambda np: np.full_like(X, 2.5), "eye": lambda np: np.eye(3, 4, 1),
    "identity": lambda np: np.identity(3), "tri": lambda np: np.tri(3, 4),
    "arange": lambda np: np.arange(1, 7, 2), "linspace": lambda np: np.linspace(0, 1, 5),
    "linspace with step": lambda np: np.linspace(0, 1, 5, retstep=True)[0],
    "logspace": lambda np: np.logspace(0, 1, 5), "geomspace": lambda np: np.geomspace(1, 9, 5),
    "indices": lambda np: np.indices((2, 3)), "array": lambda np: np.array([[1.0, 2], [3, 4]]),
    "asarray": lambda np: np.asarray([1j, 2.0]), "asanyarray": lambda np: np.asanyarray([1, 2]),
    "copy": lambda np: np.copy(X),
}


def test_every_maker_has_a_call():
    assert {name.partition(" ")[0] for name in CALLS} == set(_MAKERS)


@pytest.mark.parametrize("name", CALLS)
def test_a_maker_is_numpys_own_outside_and_assignable_inside(name):
    expected = CALLS[name](np)

    def inside(x):
        made = CALLS[name](np)
        assert isinstance(made, sciad.Array)
        assert made.shape == expected.shape and made.dtype == expected.dtype
        np.testing.assert_array_equal(sciad.stop_gradient(made), expected)
        if expected.dtype == float:
            made[..., 0] = x
            return np.sum(made)
        return np.sum(made * x).real

    with sciad.patch_numpy():
        outside = CALLS[name](np)
        assert type(outside) is np.ndarray and outside.dtype == expected.dtype
        np.testing.assert_array_equal(outside, expected)
        slope = sciad.grad(inside)(2.0)
    entries = np.ones_like(expected[..., 0]) if expected.dtype == float else expected
    assert slope == pytest.approx(np.sum(entries).real)


def test_entries_that_are_differentiated_may_stand_in_every_maker():
    def f(x):
        a = np.array([x, x * x], dtype=float)
        b = np.asarray([[x, 1.0]])
        c, d = np.full(2, x), np.linspace(0.0, x, 3)
        return np.sum(a) + np.sum(b) + np.sum(c) + np.sum(d) + np.sum(np.full_like(a, x))

    with sciad.patch_numpy():
        assert sciad.grad(f)(3.0) == pytest.approx(1 + 6 + 1 + 2 + 1.5 + 2)


@pytest.mark.parametrize("make", [
    lambda: np.array(["a", "b"]), lambda: np.empty(3, dtype=object), lambda: np.empty(3, object),
    lambda: np.zeros(2, dtype=[("a", float)]), lambda: np.array([1, 2], dtype="datetime64[s]"),
    lambda: np.full(2, "text"),
])
def test_what_is_no_number_stays_plain(make):
    def f(x):
        assert type(make()) is np.ndarray
        return x * x

    with sciad.patch_numpy():
        sciad.grad(f)(1.0)


def test_integers_serve_as_indices_and_keys():
    def f(x):
        table = {k: k * x for k in np.arange(3)}
        order = np.argsort(np.array([3.0, 1.0, 2.0]))
        return table[2] + np.array([x, 2 * x, 3 * x])[order][0] + [x, x, 5 * x][np.arange(3)[2]]

    with sciad.patch_numpy():
        assert sciad.grad(f)(1.0) == 2 + 2 + 5


# --- who sees it ----------------------------------------------------------------------------------


def module(name, code):
    made = types.ModuleType(name)
    exec("import numpy as np\n" + code, made.__dict__)
    return made


@pytest.mark.parametrize("name, plain", [
    ("numpy.lib.something", True), ("scipy.something", True), ("sciad.ops.something", True),
    ("numpy_tools", False), ("my.scipy", False), ("script", False),
])
def test_the_module_of_the_calling_frame_decides(name, plain, monkeypatch):
    made = module(name, "def make():\n    return np.zeros(3)\n")
    monkeypatch.setitem(sys.modules, name, made)

    def f(x):
        assert isinstance(made.make(), np.ndarray if plain else sciad.Array)
        return x * 1.0

    with sciad.patch_numpy():
        sciad.grad(f)(1.0)


SPELLINGS = [
    lambda: np.zeros(3), lambda: np.zeros(3 if X[0] > 0 else 4), lambda: np.zeros(*[3]),
    lambda: np.zeros(**{"shape": 3}), lambda: np.zeros(3, dtype=float), lambda: [np.zeros(3)][0],
    lambda: np.zeros(np.zeros(2).size + 1), lambda: (np.zeros)(3), lambda: [
        np.zeros(k) for k in (3,)][0], lambda: (np.
                                                zeros(
                                                    3)),
    lambda: (lambda make: make(3))(np.zeros), lambda: sys.modules["numpy"].zeros(3),
    lambda: np.zeros(3)[:].reshape(-1).T,
]


@pytest.mark.parametrize("make", SPELLINGS)
def test_every_spelling_of_a_call(make):
    def f(x):
        out = make()
        out[0] = x
        return np.sum(out)

    with sciad.patch_numpy():
        assert sciad.grad(f)(2.0) == 1.0


@pytest.mark.parametrize("make", [
    lambda: next(map(np.zeros, (3,))), lambda: partial(np.zeros, 3)(), lambda: {
        "zeros": np.zeros}["zeros"](3),
])
def test_a_call_that_python_does_not_spell_is_numpys_own(make):
    made = []
    with sciad.patch_numpy():
        sciad.grad(lambda x: made.append(make()) or x * 2)(1.0)
    assert [type(x) for x in made] == [np.ndarray]


EXTENSIONS = {
    "default_rng": lambda: np.random.default_rng(7).normal(size=3),
    "choice": lambda: np.random.default_rng(7).choice(X, 4),
    "permutation": lambda: np.random.default_rng(7).permutation(5),
    "multivariate_normal": lambda: np.random.default_rng(7).multivariate_normal(
        np.zeros(2), np.eye(2)),
    "RandomState": lambda: np.random.RandomState(7).rand(2, 2),
    "SeedSequence": lambda: np.random.SeedSequence(5).generate_state(3),
    "cKDTree": lambda: scipy.spatial.cKDTree(X[:, None]).query([[0.5], [-1.0]])[0],
    "Rotation": lambda: scipy.spatial.transform.Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix(),
    "label": lambda: scipy.ndimage.label([1, 0, 1, 1])[0],
    "csr": lambda: (scipy.sparse.csr_array([[1.0, 0], [2, 3]]) @ [1.0, 2.0]),
    "splu": lambda: scipy.sparse.linalg.spsolve(scipy.sparse.csc_array([[1.0, 0], [2, 3]]),
                                                np.ones(2)),
    "lfilter": lambda: scipy.signal.lfilter([1.0, 2.0], [1.0, 0.5], X),
    "Delaunay": lambda: scipy.spatial.Delaunay([[0, 0], [0, 1], [1, 0], [1.0, 1]]).simplices,
    "make_interp_spline": lambda: scipy.interpolate.make_interp_spline([0.0, 1, 2, 3], [
        1.0, 2, 0, 1])(1.5),
    "shortest_path": lambda: scipy.sparse.csgraph.shortest_path(np.ones((2, 2))),
    "linkage": lambda: scipy.cluster.hierarchy.linkage(X[:, None]),
    "linear_sum_assignment": lambda: scipy.optimize.linear_sum_assignment([[1.0, 2], [2, 1]])[1],
}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extension_modules_meet_plain_arrays(name):
    expected, seen = EXTENSIONS[name](), []

    def f(x):
        seen.append(EXTENSIONS[name]())
        return x * 1.0

    with sciad.patch_numpy():
        sciad.grad(f)(1.0)
    assert not isinstance(seen[0], sciad.Array)
    np.testing.assert_array_equal(seen[0], expected)


def test_scipys_functions_meet_plain_arrays():
    def values():
        return [
            scipy.linalg.expm(0.1 * X[:, None] * X),
            scipy.interpolate.CubicSpline([0.0, 1.0, 2.0, 4.0], [1.0, 2.0, 0.0, 3.0])(1.7),
            scipy.optimize.minimize(lambda v: np.sum((v - X) ** 2), np.ones(3)).x,
            scipy.integrate.solve_ivp(decay, (0.0, 1.0), [1.0, 2.0]).y[:, -1],
            scipy.optimize.root(lambda v: v**3 - X, np.ones(3)).x,
            scipy.integrate.quad(lambda t: np.array([t * t])[0], 0.0, 1.0)[0],
        ]

    def decay(t, y):
        out = np.zeros(2)
        out[0], out[1] = -y[0], -2.0 * y[1]
        return out

    expected, seen = values(), []

    def f(x):
        seen.extend(values())
        return np.sum(x * seen[0][0])

    with sciad.patch_numpy():
        slope = sciad.grad(f)(X)
    np.testing.assert_allclose(slope, expected[0][0])
    for got, value in zip(seen, expected, strict=True):
        assert not isinstance(got, sciad.Array)
        np.testing.assert_array_equal(got, value)


def test_a_name_imported_before_is_numpys_own():
    with sciad.patch_numpy():
        assert imported_before is OWN["zeros"] is not np.zeros
        sciad.grad(lambda x: x * float(isinstance(imported_before(2), np.ndarray)))(1.0)


def test_a_name_imported_meanwhile_is_numpys_own_again_afterwards():
    with sciad.patch_numpy():
        kept = np.zeros
    with pytest.raises(sciad.SciadError, match="from sciad import numpy as np"):
        sciad.grad(lambda x: module("late", "def fill(out, x): out[0] = x; return out").fill(
            kept(2), x)[0])(1.0)


def test_the_stand_ins_look_like_numpys_functions():
    with sciad.patch_numpy():
        for name, own in OWN.items():
            made = getattr(np, name)
            assert made.__name__ == own.__name__ and made.__doc__ == own.__doc__
        assert pickle.loads(pickle.dumps(np.zeros)) is np.zeros


# --- in place and restored ------------------------------------------------------------------------


def test_a_plain_call_holds_until_restore():
    patch = sciad.patch_numpy()
    try:
        assert sciad.grad(filled)(0.7) == pytest.approx(sciad.grad(filled_pure)(0.7))
        assert "in place" in repr(patch)
    finally:
        patch.restore()
    assert np.zeros is OWN["zeros"] and "restored" in repr(patch)
    patch.restore()  # once more does nothing
    with sciad.patch_numpy():
        patch.restore()
        assert np.zeros is not OWN["zeros"]


def test_patches_are_counted():
    with sciad.patch_numpy() as outer:
        with sciad.patch_numpy():
            pass
        assert np.zeros is not OWN["zeros"]
        with outer:
            pass
        assert np.zeros is not OWN["zeros"]
    assert np.zeros is OWN["zeros"]
    with outer:
        assert np.zeros is not OWN["zeros"]


def test_exceptions_restore():
    def fails(x):
        np.zeros(2)[0] = x
        raise KeyError("the program's own")

    with pytest.raises(KeyError, match="own"), sciad.patch_numpy():
        sciad.grad(fails)(1.0)
    assert np.zeros is OWN["zeros"]


def test_another_tools_replacement_stays(monkeypatch):
    def theirs(*args):
        return OWN["ones"](*args)

    def meanwhile(*args):
        return ours(*args)

    monkeypatch.setattr(np, "ones", theirs)
    monkeypatch.setattr(np, "empty", np.empty)  # for the undoing
    with sciad.patch_numpy():
        assert np.ones is theirs
        ours, np.empty = np.empty, meanwhile
    assert np.ones is theirs and np.empty is meanwhile
    with sciad.patch_numpy():
        assert np.empty is meanwhile and np.empty(3).shape == (3,)
    monkeypatch.undo()


def test_values_that_outlive_the_transform_are_plain():
    kept = []

    def f(x):
        out = np.zeros(2)
        out[0] = x
        kept.append(np.ones(2))
        return np.sum(out), out

    with sciad.patch_numpy():
        _, aux = sciad.grad(f, has_aux=True)(3.0)
    assert type(aux) is np.ndarray and aux.tolist() == [3.0, 0.0]
    assert np.asarray(kept[0]).tolist() == [1.0, 1.0]


# --- threads --------------------------------------------------------------------------------------


def test_eight_threads_that_patch_and_restore_at_once():
    start = threading.Barrier(8)
    expected = {k: sciad.grad(filled_pure)(0.1 * k) for k in range(8)}

    def work(k):
        start.wait()
        for _ in range(20):
            with sciad.patch_numpy():
                assert sciad.grad(filled)(0.1 * k) == pytest.approx(expected[k], abs=1e-14)
                assert type(np.zeros(2)) is np.ndarray
        return True

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(switch)


def test_a_thread_without_a_transform_sees_numpys_own():
    def f(x):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert type(pool.submit(np.zeros, 3).result()) is np.ndarray
        return x * 1.0

    with sciad.patch_numpy():
        sciad.grad(f)(1.0)


# --- jit ------------------------------------------------------------------------------------------


def test_jit_knows_with_and_without_the_patch():
    f = sciad.jit(filled)
    with pytest.warns(sciad.compiler.jit.FallbackWarning, match="plain|float"):
        assert f(0.7) == pytest.approx(filled_pure(0.7))
    with sciad.patch_numpy(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f(0.7) == pytest.approx(filled_pure(0.7))
        assert sciad.jit(filled, strict=True)(0.7) == pytest.approx(filled_pure(0.7))
    strict = sciad.jit(filled, strict=True)
    with pytest.raises(sciad.SciadError):
        strict(0.7)
    with sciad.patch_numpy():
        assert strict(0.9) == pytest.approx(filled_pure(0.9))


def test_jit_reuses_what_it_compiled_under_an_earlier_patch():
    f = sciad.jit(sciad.grad(filled), strict=True)
    for k in range(3):
        with sciad.patch_numpy():
            assert f(0.2 * k) == pytest.approx(sciad.grad(filled_pure)(0.2 * k))
    assert len(f._known) == 1


def test_jit_of_functions_that_hold_the_stand_in():
    with sciad.patch_numpy():
        make = np.zeros

        def f(x, make=make):
            out = make(2)
            out[0] = x
            return np.sum(out * x)

        assert sciad.jit(sciad.grad(f), strict=True)(3.0) == pytest.approx(6.0)


def test_jit_of_a_function_that_patches_by_itself():
    @partial(sciad.jit, strict=True)
    def f(x):
        with sciad.patch_numpy():
            return filled(x)

    assert f(0.7) == pytest.approx(filled_pure(0.7))
    assert sciad.grad(f)(0.7) == pytest.approx(sciad.grad(filled_pure)(0.7))


def test_a_right_hand_side_that_fills_an_array():
    def rhs(t, y, p):
        out = np.empty(2)
        out[0] = -p[0] * y[0]
        out[1] = p[0] * y[0] - p[1] * y[1]
        return out

    def last(p, rhs):
        return np.sum(solve_ivp(rhs, (0.0, 2.0), [1.0, 0.5], args=(p,), rtol=1e-8,
                                atol=1e-8).y[:, -1] ** 2)

    p = np.array([0.7, 0.3])
    with sciad.patch_numpy():
        slope = sciad.grad(last)(p, rhs)
    pure = sciad.grad(last)(p, lambda t, y, p: np.array(
        [-p[0] * y[0], p[0] * y[0] - p[1] * y[1]]))
    np.testing.assert_allclose(slope, pure, rtol=1e-9)
