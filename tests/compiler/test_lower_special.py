"""Native forms of the special functions, by pointer and written out, and of the convolution."""

import functools
import warnings

import numpy as np
import pytest
import scipy.special as sp

import sciad
from sciad.compiler import llvm, loops, symbols
from sciad.compiler.lower_special import SEVERAL, _ufuncs, zeta_function
from sciad.compiler.native import kernel_of
from sciad.core.record import record
from sciad.ode import solve_ivp
from sciad.ops import functions, special

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

EXACT = [p for p in dict.fromkeys([*_ufuncs(), *SEVERAL]) if p not in (
    special.erf, special.expit, special.logit, special.log_expit, special.xlogy, special.xlog1py)]
"""What is called by pointer."""
COMPLEX = {"wofz", "hankel1", "hankel2", "hankel1e", "hankel2e"}
WHOLE = {"eval_hermite", "eval_hermitenorm", "expn", "kn", "yn"}
WRITTEN = {special.erf: sp.erf, special.expit: sp.expit, special.logit: sp.logit,
           special.log_expit: sp.log_expit, special.xlogy: sp.xlogy, special.xlog1py: sp.xlog1py,
           functions.logaddexp: np.logaddexp, functions.logaddexp2: np.logaddexp2}
SPECIAL_VALUES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, 3.0, -2.0]


def drawn(dtype, seed, wide=True):
    """Numbers of all sizes, the special ones among them; without `wide` up to 50."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=60) * 3, rng.uniform(0, 1, 60), rng.uniform(0, 50, 60)]
    parts += [SPECIAL_VALUES[5:]] if not wide else [
        SPECIAL_VALUES, [1e300, -1e300, 5e-324, 1e-300, 1e5], rng.lognormal(0, 5, 60)]
    with np.errstate(over="ignore"):
        return rng.permutation(np.concatenate(parts))[:190].astype(dtype)


def native(primitive, *args):
    """The value of a primitive from a kernel that calls nothing back."""
    kernel = kernel_of(record(lambda *xs: primitive(*xs), *args).graph)
    loops.check(kernel.lowered.module)
    assert kernel.lowered.callbacks == []
    return kernel(*args)[0]


def count(primitive):
    if primitive is special.zeta:
        return 2
    return primitive.fun.nin if isinstance(primitive.fun, np.ufunc) else 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("primitive", [p for p in [*EXACT, special.zeta]
                                       if p.name not in COMPLEX | WHOLE], ids=repr)
def test_pointers_give_what_scipy_gives(primitive, dtype):
    wide = "hyp" not in primitive.name and "eval" not in primitive.name
    args = [drawn(dtype, k, wide) for k in range(count(primitive))]
    with np.errstate(all="ignore"):
        want = primitive.fun(*args)
    got = native(primitive, *args)
    assert got.dtype == want.dtype
    if primitive is special.erfc and dtype is np.float32:
        np.testing.assert_array_max_ulp(got[np.isfinite(args[0])], want[np.isfinite(args[0])], 4)
    elif primitive is special.zeta:
        np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps)
    else:
        np.testing.assert_array_equal(got, want)
    number = native(primitive, *(x[7] for x in args))
    np.testing.assert_array_equal(number, got[7])
    np.testing.assert_array_equal(native(primitive, *(x[:5] for x in args)), got[:5])


@pytest.mark.parametrize("name", ["eval_legendre", "eval_hermite", "eval_hermitenorm",
                                  "eval_chebyt", "eval_laguerre", "kn", "yn", "expn", "jv"])
@pytest.mark.parametrize("kind", [np.int64, np.int32, float, int])
def test_whole_orders_take_the_loop_of_integers(name, kind):
    primitive = next(p for p in _ufuncs() if p.name == name)
    if name in WHOLE and kind is float:
        return
    x = drawn(np.float64, 1, wide=False)
    for n in (0, 1, 4):
        order = kind(n) if kind in (int, float) else np.full(x.shape, n, kind)
        with np.errstate(all="ignore"):
            want = getattr(sp, name)(order, x)
        kernel = kernel_of(record(functools.partial(primitive, order), x).graph)
        assert kernel.lowered.callbacks == []
        np.testing.assert_array_equal(kernel(x)[0], want)


def test_orders_that_would_be_truncated_are_called_back():
    f = sciad.jit(lambda x: sciad.special.kn(np.full(3, 2.5), x), strict=True)
    with pytest.warns(RuntimeWarning, match="truncated"):
        np.testing.assert_array_equal(f(np.ones(3)), sp.kn(2, np.ones(3)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("primitive", WRITTEN, ids=repr)
def test_functions_written_out(primitive, dtype):
    args = [drawn(dtype, k) for k in range(count(primitive))]
    with np.errstate(all="ignore"):
        want = WRITTEN[primitive](*args)
    got = native(primitive, *args)
    assert got.dtype == want.dtype
    eps = np.finfo(dtype).eps
    largest = np.max([np.where(np.isfinite(x), np.abs(x), 0) for x in args], axis=0)
    sums = largest if "logadd" in primitive.name else 0 * largest  # they may cancel
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    got, want, sums = got[finite], want[finite], sums[finite]
    assert np.all(np.abs(got - want) <= 4 * eps * (np.abs(want) + sums))
    np.testing.assert_array_equal(native(primitive, *(x[3] for x in args)).dtype, dtype)


def test_special_values_of_sums_of_logarithms():
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL_VALUES, SPECIAL_VALUES))
    with np.errstate(all="ignore"):
        for primitive in (functions.logaddexp, functions.logaddexp2, special.xlogy,
                          special.xlog1py):
            np.testing.assert_allclose(native(primitive, x, y), WRITTEN[primitive](x, y),
                                       rtol=1e-15, atol=1e-16)


def test_zeta_as_a_program():
    program = zeta_function()
    for s, q in [(2.0, 0.3), (3.5, 12.0), (2.0, -1.5), (2.0, -3.0), (1.0, 2.0), (0.5, 2.0),
                 (3.0, 1e9), (60.0, 0.7), (2.5, -1.5)]:
        np.testing.assert_allclose(loops.evaluate(program, s, q), sp.zeta(s, q), rtol=1e-15)


DIFFERENTIATED = {
    "polygamma": lambda x: sciad.special.polygamma(1, x), "digamma": sciad.special.digamma,
    "gammaln": sciad.special.gammaln, "ndtr": sciad.special.ndtr,
    "log_ndtr": sciad.special.log_ndtr, "erfinv": sciad.special.erfinv, "j1": sciad.special.j1,
    "betaln": lambda x: sciad.special.betaln(x, x + 1), "sinc": lambda x: np.sinc(x),
    "expit": sciad.special.expit, "gammainc": lambda x: sciad.special.gammainc(2.0, x),
    "softmax": lambda x: sciad.special.softmax(np.sin(x) * x),
    "logsumexp": lambda x: sciad.special.logsumexp(x * np.arange(1, 6)),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("shape", [(), (5,), (40, 1)])
def test_derivatives_call_nothing_back(name, shape):
    f = DIFFERENTIATED[name]
    x = np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)[()]

    def loss(x):
        return np.sum(np.sin(f(x)))

    for function in (sciad.grad(loss), sciad.grad(lambda x: np.sum(sciad.grad(loss)(x)))):
        jitted = sciad.jit(function, strict=True)
        np.testing.assert_allclose(jitted(x), function(x), rtol=1e-13, atol=1e-13)
        assert jitted.report().signatures[0]["callbacks"] == []


def test_in_control_flow_and_right_hand_sides():
    def walk(x):
        return sciad.fori_loop(0, 5, lambda k, s: sciad.special.zeta(2.0, s) + special.erfc(s), x)

    f = sciad.jit(sciad.grad(walk), strict=True)
    np.testing.assert_allclose(f(1.3), sciad.grad(walk)(1.3), rtol=1e-13)

    def loss(a):
        sol = solve_ivp(lambda t, y, a: -a * sciad.special.psi(y + a), (0.0, 1.0),
                        np.array([1.0, 2.0]), args=(a,), t_eval=[0.5, 1.0], rtol=1e-8)
        return np.sum(sol.y**2)

    slope = (loss(1.2 + 1e-5) - loss(1.2 - 1e-5)) / 2e-5
    f = sciad.jit(sciad.grad(loss), strict=True)
    np.testing.assert_allclose([sciad.grad(loss)(1.2), f(1.2)], slope, rtol=1e-5)
    assert f.report().signatures[0]["callbacks"] == []
    for _ in range(1001):  # beyond that, the model is inlined
        f(1.2)
    np.testing.assert_allclose(f(1.2), slope, rtol=1e-5)


def test_functions_without_a_pointer_are_called_back(monkeypatch):
    monkeypatch.setattr(symbols, "special_function", lambda *args: None)
    kernel = kernel_of(record(lambda x: special.gammaln(x) + 0.125, 2.5).graph)
    assert [each.split()[0] for each in kernel.lowered.callbacks] == ["gammaln"]
    assert kernel(2.5)[0] == sp.gammaln(2.5) + 0.125


# --- convolution ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sciad.compiler.recompiling.RecompilationWarning")
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtypes", [(float, float), (np.float32, np.float32), (int, int),
                                    (int, float), (bool, float)],
                         ids=lambda pair: "-".join(np.dtype(kind).name for kind in pair))
def test_convolve(mode, dtypes):
    rng = np.random.default_rng(0)
    f = sciad.jit(lambda a, v: np.convolve(a, v, mode), strict=True)
    for n in (1, 2, 5, 17, 60):
        for m in (1, 2, 5, 17, 60):
            a, v = (rng.normal(size=k) * 10 for k in (n, m))
            a, v = a.astype(dtypes[0]), v.astype(dtypes[1])
            got, want = f(a, v), np.convolve(a, v, mode)
            assert got.shape == want.shape and got.dtype == want.dtype
            bound = np.convolve(abs(a), abs(v), mode)
            eps = np.finfo(want.dtype).eps if want.dtype.kind == "f" else 0
            assert np.all(np.abs(got - want) <= eps * min(n, m) * bound)
    assert not any(each["callbacks"] for each in f.report().signatures)


def test_convolution_of_truth_values_is_called_back():
    a = np.array([True, False, True])
    f = sciad.jit(np.convolve, strict=True)
    np.testing.assert_array_equal(f(a, a), np.convolve(a, a))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_gradients_of_convolutions(mode):
    rng = np.random.default_rng(0)
    a, v = rng.normal(size=50), rng.normal(size=7)
    slope = sciad.grad(lambda a, v: np.sum(np.sin(np.correlate(a, v, mode))), (0, 1))
    for x, y in zip(sciad.jit(slope, strict=True)(a, v), slope(a, v), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-13, atol=1e-13)


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = sciad.jit(lambda x: special.gamma(x) + special.xlogy(x, x), strict=True)(
            np.array([-1.0, 0.0, 200.0, np.nan]))
    assert np.isnan(out[0])
