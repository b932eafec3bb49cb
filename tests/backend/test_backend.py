"""sciad over device arrays, on a strict stand-in for CuPy: the case table, programs, errors."""

import inspect
import subprocess
import sys
import types

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad import special
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.values import Unsupported
from sciad.core import backend
from sciad.core.errors import DTypeError, LostGradientError, NoRuleError
from sciad.ode import solve_ivp
from tests.backend import cupy_api
from tests.backend.strict import Entries, StrictArray, Syncs, strict
from tests.backend.tables import CUPY_LACKS, allowed, compare
from tests.core import test_programs
from tests.ops import test_mutation
from tests.ops.cases import Case
from tests.ops.tables import CASES

device = strict.asarray


def to_device(x):
    return device(x) if isinstance(x, (np.ndarray, np.generic)) else x


def to_host(x):
    assert isinstance(x, StrictArray), f"a {type(x).__name__} left the device"
    return x.get()


# --- the case table -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case_is_numpys(case: Case):
    try:
        compare(case, to_device, to_host)
    except (TypeError, NotImplementedError) as error:
        if not allowed(case, error):
            raise


def test_most_of_the_table_runs():
    ran = 0
    for case in CASES[::10]:
        try:
            compare(case, to_device, to_host)
            ran += 1
        except (TypeError, NotImplementedError):
            pass
    assert ran > 0.9 * len(CASES[::10])


def test_what_cupy_lacks_it_lacks():
    has = {name for kinds in cupy_api.UFUNCS.values() for names in kinds.values()
           for name in names.split()}
    has |= {name for functions in cupy_api.FUNCTIONS.values() for name in functions}
    assert not CUPY_LACKS & has


# --- programs -------------------------------------------------------------------------------------


def filled(x):
    out = snp.zeros(3)
    out[0] = x[0] * x[1]
    out[1] = x[2]
    out[2] = out[0] * out[1]
    out *= 2.0
    return np.sum(out**2)


def mutated(x):
    y = x.copy()
    v = y[1:]
    v[0] = x[0] ** 2
    w = y.reshape(3, 1).T
    w *= x[2]
    y[x > 1.5] *= 3.0
    y[[0, 0]] = y[1]
    return np.sum(y * x)


def packed(x):
    return np.sum(np.array([x[0] * x[1], 1.0, np.sin(x[2])]) * x)


def repeated_write(x):
    y = snp.zeros_like(x)
    y[np.array([1, 1, 0])] = x * x
    return np.sum(y**2)


def repeated_add(x):
    y = snp.zeros_like(x)
    np.add.at(y, np.array([1, 1, 0]), x * x)
    return np.sum(y**2)


def branching(x):
    total = 0.0
    for entry in x:
        total = total + (np.sqrt(entry) if entry > 1.2 else entry**3)
    return total


def controlled(x):
    y = sciad.cond(x[0] > 0, np.sin, np.cos, x)
    last, _ = sciad.scan(lambda c, v: (c * v, c), y[0], x)
    return last + np.sum(sciad.while_loop(lambda s: np.sum(s) < 50, lambda s: s * s + 1.0, x))


def checkpointed(x):
    return np.sum(sciad.checkpoint(lambda s: np.sin(s) * s)(x))


def dictionaries(x):
    state = {"position": x, "speed": [x[::-1], x * 0.5]}
    return np.sum(np.stack([state["position"], *state["speed"]]) ** 3)


PROGRAMS = [filled, mutated, packed, repeated_write, repeated_add, branching, controlled,
            checkpointed, dictionaries]
POINT = np.array([1.0, 2.0, 3.0])
DIRECTION = np.array([0.3, -1.0, 0.5])


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_is_numpys(program):
    x, v = device(POINT), device(DIRECTION)
    before = x.get()
    pairs = [
        (sciad.grad(program)(x), sciad.grad(program)(POINT)),
        (sciad.jvp(program, (x,), (v,))[1], sciad.jvp(program, (POINT,), (DIRECTION,))[1]),
        (sciad.jacobian(program, mode="forward")(x), sciad.jacobian(program)(POINT)),
        (sciad.hvp(program, (x,), (v,)), sciad.hvp(program, (POINT,), (DIRECTION,))),
    ]
    for got, expected in pairs:
        np.testing.assert_allclose(to_host(got), expected, rtol=1e-12)
    np.testing.assert_array_equal(x.get(), before)


ORDINARY = [f for f in test_programs.PROGRAMS if f.__module__ == test_programs.__name__]
MUTATIONS = [f for f in vars(test_mutation).values()
             if isinstance(f, types.FunctionType) and f.__module__ == test_mutation.__name__
             and inspect.signature(f).parameters.keys() == {"x"} and not f.__name__.startswith("_")]


@pytest.mark.parametrize("program", ORDINARY, ids=lambda f: f.__name__)
def test_ordinary_program_runs_as_it_stands(program):
    x = test_programs.X
    np.testing.assert_allclose(to_host(sciad.grad(program)(device(x))), sciad.grad(program)(x),
                               rtol=1e-9)


@pytest.mark.parametrize("program", MUTATIONS, ids=lambda f: f.__name__)
def test_mutation_means_the_same(program):
    """Those with a NumPy array of numbers as operand are refused."""
    def loss(x):
        return np.sum(np.real(program(x)))

    x = test_mutation.X
    try:
        expected = sciad.grad(loss)(x), sciad.hvp(loss, (x,), (x,))
    except sciad.SciadError as error:
        with pytest.raises(type(error)):
            sciad.grad(loss)(device(x))
        return
    try:
        got = sciad.grad(loss)(device(x)), sciad.hvp(loss, (device(x),), (device(x),))
    except DTypeError as error:
        assert "meets an array of cupy" in str(error)
        return
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(to_host(a), b, rtol=1e-9)


@pytest.mark.parametrize("program", [mutated, dictionaries])
def test_check_grads_on_the_device(program):
    sciad.check_grads(program, (device(POINT),))


def test_several_arguments_and_a_python_number():
    def loss(p, scale):
        return np.sum(np.tanh(p["w"] @ p["b"]) * scale)

    w = np.arange(6.0).reshape(2, 3) / 7
    slopes, by_scale = sciad.grad(loss, (0, 1))({"w": device(w), "b": device(POINT)}, 2.0)
    expected, by_number = sciad.grad(loss, (0, 1))({"w": w, "b": POINT}, 2.0)
    for name in "wb":
        np.testing.assert_allclose(to_host(slopes[name]), expected[name], rtol=1e-12)
    assert float(by_scale) == pytest.approx(float(by_number))


def test_complex_gradient_is_ascent():
    z = np.array([1 + 2j, -0.5j])
    got = sciad.grad(lambda z: np.sum(np.abs(z) ** 2))(device(z))
    np.testing.assert_allclose(to_host(got), 2 * z)


def test_jacobian_of_a_packed_array():
    got = sciad.jacobian(lambda x: np.array([x[0] * x[1], x[2], 1.0]))(device(POINT))
    np.testing.assert_allclose(to_host(got), [[2, 1, 0], [0, 0, 1], [0, 0, 0]])


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_sparse_derivatives_are_matrices_of_the_host(mode):
    def f(x):
        return x[1:] * x[:-1]

    for sparsity in ("auto", sciad.sparsity(f, POINT)):
        got = sciad.jacobian(f, mode=mode, sparsity=sparsity)(device(POINT))
        np.testing.assert_allclose(got.toarray(), sciad.jacobian(f)(POINT))
    got = sciad.hessian(lambda x: np.sum(f(x) ** 2), sparsity="auto")(device(POINT))
    np.testing.assert_allclose(got.toarray(), sciad.hessian(lambda x: np.sum(f(x) ** 2))(POINT))


def test_custom_rule():
    @sciad.custom_rule
    def cube(x):
        return x**3

    @cube.vjp
    def cube_vjp(x):
        return x**3, lambda g: (3.0 * x**2 * g,)

    got = sciad.grad(lambda x: np.sum(cube(x)))(device(POINT))
    np.testing.assert_allclose(to_host(got), 3 * POINT**2)


def test_special_functions_without_a_transform():
    np.testing.assert_allclose(to_host(special.erf(device(POINT))), special.erf(POINT))
    np.testing.assert_allclose(to_host(special.softmax(device(POINT))), special.softmax(POINT))
    np.testing.assert_allclose(to_host(special.sici(device(POINT))[0]), special.sici(POINT)[0])
    np.testing.assert_allclose(to_host(special.jv(2, device(POINT))), special.jv(2, POINT))


@pytest.mark.parametrize("create", [snp.zeros_like, snp.ones_like, snp.empty_like, snp.array,
                                    lambda x: snp.zeros(3, like=x), lambda x: x.copy()])
def test_created_arrays_live_beside_their_model(create):
    def f(x):
        y = create(x)
        assert isinstance(backend.ground(y), StrictArray)
        y[1] = x[0] * x[2]
        y[0] = y[2] = 0.0
        return y[1] ** 2

    np.testing.assert_allclose(to_host(sciad.grad(f)(device(POINT))), [18.0, 0.0, 6.0])


# --- what waits for the device --------------------------------------------------------------------


def syncs_of(f, *args):
    Syncs.count = 0
    f(*args)
    return Syncs.count


def network(p):
    return np.mean(np.tanh(p[0] @ p[1] + p[2]) ** 2) + 1e-3 * np.sum(np.exp(-p[0]))


def test_a_smooth_gradient_never_waits():
    p = tuple(map(device, (np.ones((4, 3)), POINT, np.ones(4))))
    assert syncs_of(sciad.value_and_grad(network), p) == 0
    assert syncs_of(lambda: sciad.hvp(network, (p,), (p,))) == 0


def test_constants_cost_one_wait_only_if_large():
    for size, expected in [(1000, 0), (100_000, 1)]:
        data = device(np.linspace(0.0, 1.0, size))
        assert syncs_of(sciad.grad(lambda s, d=data: np.sum(np.sin(d * s * d))), 2.0) == expected


def test_selections_cost_one_wait():
    assert syncs_of(sciad.grad(lambda x: np.sum(np.maximum(x, 0.0))), device(POINT)) == 1
    two = sciad.grad(lambda x, y: np.sum(np.maximum(x, y)), (0, 1))
    assert syncs_of(two, device(POINT), device(DIRECTION)) == 1
    assert syncs_of(sciad.grad(filled), device(POINT)) == 1


# --- semantics ------------------------------------------------------------------------------------


def test_singular_points_of_dropped_entries():
    x = device(np.array([0.0, 1.0, 4.0]))
    got = sciad.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)))(x)
    np.testing.assert_array_equal(to_host(got), [0.0, 0.5, 0.25])
    got = sciad.grad(lambda x: np.sqrt(x[1]) + np.sum(np.sqrt(x)[1:]))(x)
    np.testing.assert_array_equal(to_host(got), [0.0, 1.0, 0.25])
    assert np.isnan(to_host(sciad.grad(lambda x: np.sum(np.sqrt(x) ** 2))(x))[0])


def test_overwritten_constants_are_noticed():
    large = device(np.ones(5000))

    def f(s):
        y = np.sum(np.sin(large * s))
        large[3] = 7.0
        return y

    with pytest.raises(sciad.SciadError, match="overwritten before the backward pass"):
        sciad.grad(f)(2.0)
    small = device(np.ones(3))

    def g(s):
        y = np.sum(small * s * s)
        small[:] = 100.0
        return y

    assert float(sciad.grad(g)(2.0)) == 12.0


def test_reads_and_writes_cost_their_own_size():
    """Counted in what the device allocates: n reads of an n-vector, n rows of an n x 4 grid."""
    def reads(x):
        total = 0.0
        for k in range(x.shape[0]):
            total = total + x[k] ** 2
        return total

    def rows(x):
        grid = snp.zeros((x.shape[0], 4), like=x)
        for k in range(x.shape[0]):
            grid[k] = x[k]
        return np.sum(grid * grid)

    for f in (reads, rows):
        n = 300
        x = device(np.linspace(0.0, 1.0, n))
        allocated = strict_entries(sciad.grad(f), x)
        assert allocated < 200 * n, f"{allocated} entries for {n}"
        np.testing.assert_allclose(to_host(sciad.grad(f)(x)),
                                   sciad.grad(f)(np.linspace(0.0, 1.0, n)))


def strict_entries(f, *args):
    Entries.count = 0
    f(*args)
    return Entries.count


def test_results_and_arguments_share_no_memory():
    x = device(POINT)
    value, slope = sciad.vjp(lambda x: x, x)
    value[0] = 9.0
    g = device(POINT)
    (back,) = slope(g)
    back[0] = 9.0
    assert float(x[0]) == float(g[0]) == 1.0


def test_values_print_and_convert():
    def f(x):
        assert f"{x[0]:.2f} {int(x[1])} {round(x[2], 1)}" == "1.00 2 3.0"
        assert "Array" in repr(x)
        return np.sum(x[: int(x[1])] * x[np.argmax(x)])

    np.testing.assert_allclose(to_host(sciad.grad(f)(device(POINT))), [3.0, 3.0, 3.0])


def test_values_that_outlive_their_transform():
    kept = []
    sciad.grad(lambda x: (kept.append(x[0] * 2.0), np.sum(x * x))[1])(device(POINT))
    assert isinstance(kept[0]._value, StrictArray) and float(kept[0] + 1.0) == 3.0


def test_lists_are_assigned():
    def f(x):
        y = snp.zeros_like(x)
        y[:2] = [x[0], 5.0]
        y[2:] = [2.0]
        return np.sum(y * x)

    np.testing.assert_allclose(to_host(sciad.grad(f)(device(POINT))), sciad.grad(f)(POINT))


def test_seeds_may_be_numpys():
    out, pull = sciad.vjp(np.sin, device(POINT))
    np.testing.assert_allclose(to_host(pull(DIRECTION)[0]), np.cos(POINT) * DIRECTION)
    np.testing.assert_allclose(to_host(sciad.jvp(np.sin, (device(POINT),), (DIRECTION,))[1]),
                               np.cos(POINT) * DIRECTION)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [
    lambda x: np.sum(x * np.ones(3)), lambda x: np.sum(np.ones(3) - x),
    lambda x: np.ones(3) @ x, lambda x: np.sum(np.concatenate([x, np.ones(2)])),
    lambda x: np.sum(np.hypot(np.ones(3), x)), lambda x: np.sum(np.linalg.solve(np.eye(3), x)),
    lambda x: np.sum(np.power(x, np.ones((2, 1)))),
])
def test_numpy_operand_is_refused(f):
    with pytest.raises(DTypeError, match=r"NumPy array of shape .*cupy\.asarray\(\.\.\.\)"):
        sciad.grad(f)(device(POINT))


def test_numpy_value_is_not_written():
    def f(x):
        y = x.copy()
        y[:] = np.ones(3)
        return np.sum(y * x)

    with pytest.raises(DTypeError, match="assignment: a NumPy array"):
        sciad.grad(f)(device(POINT))


@pytest.mark.parametrize("f", [lambda x: np.sum(x * np.float64(2.0)), lambda x: 2 * np.sum(x),
                               lambda x: np.sum(x * np.array(2.0))])
def test_numbers_go_along(f):
    np.testing.assert_allclose(to_host(sciad.grad(f)(device(POINT))), [2.0, 2.0, 2.0])


def test_missing_function_is_named():
    with pytest.raises(NoRuleError, match=r"wofz does not exist for arrays of cupy.*asnumpy"):
        special.wofz(device(POINT))
    with pytest.raises(NoRuleError, match="yv does not exist for arrays of cupy .order 101"):
        sciad.grad(lambda x: np.sum(special.yn(100, x)))(device(POINT))


def test_lost_gradient_and_integers():
    with pytest.raises(LostGradientError, match="would drop the derivative"):
        sciad.grad(lambda x: float(x[0]))(device(POINT))
    with pytest.raises(DTypeError, match="int64"):
        sciad.grad(np.sum)(device(np.arange(3)))


def test_jit_runs_eagerly_with_one_warning():
    x = device(POINT)
    f = sciad.jit(lambda x: np.sum(x**2))
    with pytest.warns(FallbackWarning, match="arrays of cupy, which are not compiled"):
        assert float(f(x)) == 14.0
    assert float(f(x)) == 14.0
    np.testing.assert_allclose(to_host(sciad.grad(f)(x)), 2 * POINT)
    with pytest.raises(Unsupported, match="not compiled"):
        sciad.jit(np.sum, strict=True)(x)
    g = sciad.jit(lambda s: np.sum(x * s))
    with pytest.warns(FallbackWarning, match="uses an array of cupy"):
        assert float(g(2.0)) == 12.0


@pytest.mark.parametrize("y0, args", [(device(POINT), (2.0,)), (POINT, (device(POINT),))])
def test_solve_ivp_asks_for_numpy(y0, args):
    with pytest.raises(DTypeError, match=r"solve_ivp runs on the CPU.*cupy\.asnumpy"):
        solve_ivp(lambda t, y, p: -p * y, (0.0, 1.0), y0, args=args)


# --- the registry ---------------------------------------------------------------------------------


def test_modules_of_values():
    x = device(POINT)
    assert backend.module_of(2.0, POINT) is np
    assert backend.module_of(2.0, x) is strict
    assert backend.is_array(x) and backend.is_array(POINT) and not backend.is_array(2.0)
    np.testing.assert_array_equal(backend.asnumpy(x), POINT)


def test_import_leaves_cupy_alone():
    code = "import sys, sciad; raise SystemExit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_checksum_sees_every_entry():
    for x in (np.arange(50.0), np.arange(7, dtype=np.int16), np.ones(5, bool),
              np.ones((3, 4), np.complex64)[:, ::2]):
        moved = device(x)
        before = int(backend.checksum(moved))
        assert before == int(backend.checksum(device(x)))
        for place in np.ndindex(x.shape):
            changed = device(x.copy())
            changed[place] = 0 if x[place] else 1
            assert int(backend.checksum(changed)) != before


def test_device_types_of_cupy_register_themselves():
    """A type that calls itself cupy's is looked up in the module of that name."""
    module = types.ModuleType("cupy")
    module.asnumpy = StrictArray.get
    kind = type("ndarray", (), {"__module__": "cupy"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", module)
        found = backend.home_of(kind())
    assert found.module is module and found.special == "cupyx.scipy.special"
