"""Nothing drops a derivative silently: each way to do so raises and names the fix."""

import copy
import dataclasses
import math
import statistics

import numpy as np
import pytest
import scipy.signal

import sciad
from sciad import numpy as snp
from sciad.core.errors import (
    ArgumentError,
    DTypeError,
    LostGradientError,
    MissingError,
    NoRuleError,
    RecordError,
    SciadError,
)

X = np.array([1.0, 2.0, 3.0])
PLAIN = np.zeros(3)
RNG = np.random.default_rng(0)
ONE, TWO = "%g", "%.3f, %d"


@dataclasses.dataclass
class Tank:
    level: object


class Pump:
    rate = 1.0


def assign_into_plain(x):
    out = np.zeros(3)
    out[0] = x[0]
    return out.sum()


def assign_vector_into_plain(x):
    out = np.zeros(3)
    out[:] = x
    return out.sum()


def in_place_on_plain(x):
    a = np.zeros(3)
    a += x
    return a.sum()


def in_place_scalar_on_plain(x):
    a = np.zeros(3)
    a *= x[0]
    return a.sum()


def write_into_asarray(x):
    y = np.asarray(x)
    y[0] = 5.0
    return y.sum()


def scale_asarray(x):
    y = np.asarray(x)
    y *= 2
    return y.sum()


def sort_asarray(x):
    y = np.asarray(x)
    y.sort()
    return y[0]


def fill_piece_of_asarray(x):
    y = np.asarray(x)[1:]
    np.multiply(y, 2.0, out=y)
    return y.sum()


def write_into_integers(x):
    out = snp.zeros(3, dtype=int)
    out[0] = x[0]
    return np.sum(out)


def write_complex_into_real(x):
    out = snp.zeros(3)
    out[0] = x[0] * 1j
    return np.sum(out)


def write_into_broadcast(x):
    y = np.broadcast_to(x, (2, 3))
    y[0] = 1.0
    return np.sum(y)


LOST = [
    (lambda x: float(x[0]), r"float\(x\) would drop the derivative.*np\.sin.*stop_gradient"),
    (lambda x: math.sin(x[0]), r"float\(x\) would drop.*np\.sin, not math\.sin"),
    (lambda x: complex(x[0]), r"complex\(x\) would drop"),
    (lambda x: np.asarray(x, dtype=float).sum(), r"np\.asarray\(x, dtype=float64\) would drop"),
    (lambda x: np.array([x[0], x[1]], dtype=float).sum(), r"from sciad import numpy as np"),
    (lambda x: np.float64(x[0]), r"would drop"),
    (assign_into_plain, r"from sciad import numpy as np"),
    (assign_vector_into_plain, r"from sciad import numpy as np"),
    (in_place_on_plain, r"a = a \+ x"),
    (in_place_scalar_on_plain, r"from sciad import numpy as np"),
    (lambda x: np.add(x, 1.0, out=PLAIN).sum(), r"drop out="),
    (lambda x: np.mean(x, out=PLAIN[0, ...]), r"np\.mean would write.*drop out="),
    (lambda x: np.full_like(PLAIN, x[0]), r"np\.full_like would.*from sciad import numpy as np"),
    (lambda x: np.arange(x[0], 4.0), r"np\.arange\(n\).* by `from sciad import numpy as np`"),
    (lambda x: ONE % x[0] and x[1], r"float\(x\) would drop.*f-string, f'\{x:g\}'"),
    (lambda x: TWO % (x[0], 2) and x[1], r"f-string, f'\{x:g\}'"),
    (write_into_asarray, r"y = x\.copy\(\).*from sciad import numpy as np"),
    (scale_asarray, r"y = x\.copy\(\)"), (sort_asarray, r"y = x\.copy\(\)"),
    (fill_piece_of_asarray, r"y = x\.copy\(\)"),
    (write_into_integers, r"dtype int64.*floats"),
    (write_complex_into_real, r"np\.real"),
]


@pytest.mark.parametrize("function, message", LOST, ids=range(len(LOST)))
def test_lost_gradient_raises(function, message):
    with pytest.raises(LostGradientError, match=message):
        sciad.grad(function)(X)
    with pytest.raises(LostGradientError, match=message):
        sciad.jvp(function, (X,), (X,))
    np.testing.assert_array_equal(PLAIN, 0.0)


@pytest.mark.parametrize("function, message", LOST, ids=range(len(LOST)))
def test_message_names_the_line(function, message):
    with pytest.raises(LostGradientError, match=r"test_never_silent\.py:\d+"):
        sciad.grad(function)(X)


REFUSED = [
    (lambda x: np.savetxt("nowhere", x), "numpy.savetxt has no rule"),
    (lambda x: np.packbits(x), "numpy.packbits has no rule"),
    (lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (4, 4)),
     r"as_strided.*sliding_window_view"),
    (lambda x: np.divmod.outer(x, x), "np.divmod.outer has no derivative rule"),
    (lambda x: np.sin(x, where=X > 1), "where="),
    (lambda x: np.sort(x, order="a"), "np.sort.*order"),
    (lambda x: np.linalg.qr(np.outer(x, x), "raw"), "mode='raw'"),
    (lambda x: RNG.permutation(x), r"RNG\.permutation .*x\[rng\.permutation\(len\(x\)\)\]"),
    (lambda x: np.random.permutation(x), r"np\.random\.permutation .*sciad\.random\.permutation"),
    (lambda x: RNG.shuffle(np.outer(x, x)), r"shuffle swaps the rows.*rng\.permutation\(len"),
    (lambda x: np.random.shuffle(np.outer(x, x)), r"shuffle swaps the rows"),
    (lambda x: np.random.default_rng(0).shuffle(np.outer(x, x)), r"shuffle swaps the rows"),
    (lambda x: RNG.normal(x[0]), r"RNG\.normal takes no differentiated.*use sciad\.random"),
    (lambda x: np.random.normal(1.0, x), r"np\.random\.normal takes no.*use sciad\.random"),
    (lambda x: np.random.default_rng(0).normal(0, x[0], 10),
     r"^the draw \.normal\(\.\.\.\) of np\.random takes no.*silent\.py:\d+.*use sciad\.random"),
    (lambda x: np.random.RandomState(0).poisson(x), r"the draw \.poisson.*use sciad\.random"),
    (lambda x: scipy.signal.convolve2d(np.outer(x, x), np.ones((2, 2))),
     r"^scipy\.signal\.convolve2d takes.*silent\.py:\d+.*np\.fft\.irfft2\(np\.fft\.rfft2\(a, s\)"),
    (lambda x: scipy.signal.correlate2d(np.outer(x, x), np.ones((2, 2))), "correlate2d takes no"),
    (lambda x: scipy.signal.convolve(np.outer(x, x), np.ones((2, 2))), r"signal\.convolve takes"),
    (lambda x: scipy.signal.wiener(np.outer(x, x)), r"^scipy\.signal\.wiener takes no"),
    (lambda x: setattr(x, "shape", (3, 1)), r"x\.shape = \(3, 1\) .*x\.reshape\(\(3, 1\)\)"),
    (lambda x: statistics.mean(x), r"^statistics\.mean .*use np\.mean$"),
    (lambda x: statistics.stdev(x), r"^statistics\.stdev .*np\.std\(x, ddof=1\)"),
]


@pytest.mark.parametrize("function, message", REFUSED, ids=range(len(REFUSED)))
def test_what_has_no_rule_raises(function, message):
    with pytest.raises(NoRuleError, match=message):
        sciad.vjp(function, X)


@pytest.mark.parametrize("name", ["flags", "strides", "data", "base", "ctypes", "tobytes"])
def test_memory_that_an_array_has_none_of(name):
    with pytest.raises(MissingError, match=rf"no attribute '{name}' \(at .*_silent\.py:\d+.*dtype"):
        sciad.grad(lambda x: getattr(x, name))(X)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        sciad.grad(lambda x: x.nonsense)(X)
    assert sciad.grad(lambda x: x[0] * (not hasattr(x, name)))(X)[0] == 1.0


def test_the_cures_of_arange_and_shuffle_work():
    order = RNG.permutation(3)
    for f in (lambda x: snp.arange(x[0], x[0] + 2.5) * x, lambda x: snp.arange(1.0, 4.0, x[1]),
              lambda x: snp.arange(2 * x[1]), lambda x: snp.full_like(PLAIN, x[0]) * x,
              lambda x: np.outer(x, x)[order], lambda x: len(f"{x[0]:.1f}") * x):
        sciad.check_grads(f, (X + 0.1,))
    np.testing.assert_array_equal(sciad.jacobian(lambda x: snp.arange(x, x + 2.5))(1.0), [1, 1, 1])
    assert snp.arange(5).tolist() == [0, 1, 2, 3, 4] and snp.arange(1, stop=3).dtype == int


def test_the_cure_of_convolve2d_works():
    a, b, s = np.outer(X, X), np.ones((2, 3)), (4, 5)

    def cured(a):
        return np.fft.irfft2(np.fft.rfft2(a, s) * np.fft.rfft2(b, s), s)

    np.testing.assert_allclose(cured(a), scipy.signal.convolve2d(a, b), atol=1e-12)
    sciad.check_grads(cured, (a,))


def test_what_scipy_asks_of_a_recorded_value_names_the_function():
    with pytest.raises(RecordError, match=r"float\(x\) needs .*; scipy\.signal\.hilbert takes no"):
        sciad.jit(lambda x: np.sum(scipy.signal.hilbert(x).real), strict=True)(X)


def test_empty_arrays():
    from sciad.special import logsumexp

    with pytest.raises(ArgumentError, match=r"cond: a matrix of shape \(0, 0\)"):
        sciad.grad(lambda x: np.linalg.cond(x[:0].reshape(0, 0)))(X)
    out, pull = sciad.vjp(lambda x: logsumexp(x[:0]), X)
    assert out == -np.inf and pull(1.0)[0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("keepdims", [False, True])
def test_logaddexp_of_nothing(keepdims):
    def f(x):
        return np.logaddexp.reduce(np.stack([x, x])[:0], 0, keepdims=keepdims)

    out, pull = sciad.vjp(f, X)
    assert np.array_equal(out, f(X)) and np.array_equal(sciad.jit(f)(X), f(X))
    np.testing.assert_array_equal(pull(np.ones(out.shape))[0], 0.0)


def test_write_into_broadcast_raises():
    with pytest.raises(ArgumentError, match="read-only"):
        sciad.grad(write_into_broadcast)(X)


@pytest.mark.parametrize("call, error, message", [
    (lambda: sciad.grad(np.sum)(np.array([1, 2])), DTypeError, "dtype int64.*astype"),
    (lambda: sciad.grad(np.sum)("abc"), DTypeError, "type str"),
    (lambda: sciad.grad(np.sum)(Tank("x")), DTypeError,
     r'type str.*metadata=\{"static": True\}'),
    (lambda: sciad.grad(np.sum)(Tank(PLAIN.astype(int))), DTypeError, "int64.*astype.*static"),
    (lambda: sciad.grad(np.sum)([Pump()]), DTypeError,
     r"type Pump.*sciad\.register\(Pump, flatten, unflatten\)"),
    (lambda: sciad.grad(np.sum)(None), ArgumentError, "NoneType"),
    (lambda: sciad.grad(np.sum)(True), DTypeError, "type bool"),
    (lambda: sciad.grad(np.sin)(X), ArgumentError, r"scalar, got shape \(3,\).*jacobian"),
    (lambda: sciad.grad(lambda x: x * 1j)(1.0), DTypeError, "complex"),
    (lambda: sciad.grad(lambda x: None)(1.0), ArgumentError, "scalar, got a NoneType"),
    (lambda: sciad.grad(lambda x: [x])(1.0), ArgumentError, "scalar, got a list"),
    (lambda: sciad.grad(np.sum, argnums=1)(X), ArgumentError, "argnums=1.*1 positional"),
    (lambda: sciad.grad(np.sum, argnums="x")(X), ArgumentError, "argnums='x'"),
    (lambda: sciad.grad(np.sum, has_aux=True)(X), ArgumentError, "pair"),
    (lambda: sciad.jvp(np.sin, (X,), (X[:2],)), ArgumentError, r"tangent of shape \(2,\)"),
    (lambda: sciad.jvp(np.sin, X, X), DTypeError, "tuple"),
    (lambda: sciad.jvp(np.sin, (X,), (X, X)), ArgumentError, "structure"),
    (lambda: sciad.jvp(np.sin, (X,), (X * 1j,)), DTypeError, "complex tangent"),
    (lambda: sciad.vjp(np.sin, X)[1](X[:2]), ArgumentError, r"cotangent of shape \(2,\)"),
    (lambda: sciad.vjp(np.sin, X)[1]([X]), ArgumentError, "structure"),
    (lambda: sciad.jacobian(np.sin, mode="both")(X), ArgumentError, "mode is 'both'"),
    (lambda: sciad.check_grads(np.sin, X), ArgumentError, "tuple"),
    (lambda: sciad.check_grads(np.sin, (X,), modes=("up",)), ArgumentError, "modes"),
    (lambda: sciad.check_grads(np.sin, (1,)), ArgumentError, "no float among its arguments"),
    (lambda: sciad.check_grads(lambda x: 1, (X,)), ArgumentError, "no float among its results"),
    (lambda: sciad.check_grads(np.sin, (X,), order=0), ArgumentError, "order=0 checks nothing"),
    (lambda: sciad.check_grads(np.sin, (X,), modes="up"), ArgumentError, r"modes \('up',\)"),
    (lambda: sciad.grad(np.sum, argnums=1.0), ArgumentError, r"argnums=1\.0: must be an int"),
    (lambda: sciad.grad(np.sum, argnums=None), ArgumentError, "argnums=None: must be an int"),
    (lambda: sciad.jacobian(np.sin, argnums=(0.5,)), ArgumentError, r"argnums=\(0\.5,\): must be"),
    (lambda: sciad.hessian(np.sum, argnums="x"), ArgumentError, "argnums='x': must be an int"),
    (lambda: sciad.wirtinger(np.sin, argnums=[None]), ArgumentError, "must be an int"),
    (lambda: sciad.hvp(np.sum, X, X), DTypeError, r"^hvp takes a tuple.*hvp\(f, \(x,\)"),
])
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("one, both", [
    (np.int64(1), (np.int64(0), np.uint8(1))), (np.array(1), np.array([0, 1])), (True, range(2)),
])
def test_any_integer_is_a_position(one, both):
    def f(a, b):
        return np.sum(a * b**2)

    for transform in (sciad.grad, sciad.jacobian, sciad.hessian):
        np.testing.assert_array_equal(transform(f, one)(X, X), transform(f, 1)(X, X))
        for found, expected in zip(transform(f, both)(X, X), transform(f, (0, 1))(X, X),
                                   strict=True):
            np.testing.assert_array_equal(found, expected)


def test_check_grads_of_a_constant_and_of_one_mode():
    sciad.check_grads(lambda x: 1.0, (X,))
    sciad.check_grads(np.sin, (X,), modes="forward")


@pytest.mark.parametrize("function, message", [
    (lambda x: np.linalg.solve(x, x), "solve.*square"),
    (lambda x: x @ np.ones((2, 2)), r"matmul: shapes \(3,\) and \(2, 2\)"),
    (lambda x: np.concatenate([x, np.ones((2, 2))]), "concatenate"),
    (lambda x: np.stack([x, x[:2]]), "stack"),
    (lambda x: np.reshape(x, (2, 2)), "reshape 3 entries"),
    (lambda x: np.sum(x, axis=1), "sum: axis 1"),
    (lambda x: np.squeeze(x, 0), "squeeze"),
    (lambda x: np.broadcast_to(x, (2,)), "broadcast"),
    (lambda x: np.where(x > 0, x), "where"),
    (lambda x: x[0.5], "index"),
])
def test_bad_shapes(function, message):
    with pytest.raises(SciadError, match=message):
        sciad.vjp(function, X)


def test_overwritten_large_operand_raises():
    w = np.ones(1000)

    def f(x):
        y = x * w
        w[:] = 100.0
        return np.sum(y)

    with pytest.raises(SciadError, match=r"test_never_silent\.py:\d+ was overwritten"):
        sciad.grad(f)(np.ones(1000))


@pytest.mark.parametrize("size", [3, 1000])
def test_overwritten_matrix_operand_is_right_or_raises(size):
    w = np.ones((size, 2))

    def f(x):
        y = w @ x
        w[:] = 100.0
        return np.sum(y)

    try:
        slope = sciad.grad(f)(np.ones(2))
    except SciadError:
        assert size > 64
    else:
        np.testing.assert_array_equal(slope, [size, size])


@pytest.mark.parametrize("function", [
    lambda x: int(x[0]) * x[1], lambda x: round(x[0]) * x[1], lambda x: len(f"{x[0]:.2f}") * x[0],
    lambda x: x[0] if x[0] > 0 else -x[0], lambda x: x[0] if x.any() else x[1],
    lambda x: copy.deepcopy(x)[0], lambda x: copy.copy(x)[0], lambda x: max(x[0], x[1]),
    lambda x: sum(x), lambda x: [1, 2][int(x[0] * 0)] * x[0], lambda x: len(repr(x)) * 0 + x[0],
    lambda x: {str(y): y for y in x}[str(x[1])], lambda x: x[0] * bool("%s" % x[1]),  # noqa: UP031
    lambda x: x.tolist()[0], lambda x: x.item(0), lambda x: (x[0] > 1 or x[1] > 1) * x[0],
])
def test_harmless_reads_work(function):
    sciad.check_grads(function, (X + 0.1,), order=1)


def test_asarray_still_differentiates():
    slope = sciad.grad(lambda x: np.sum(np.exp(np.asarray(x)) * 2))(X)
    np.testing.assert_allclose(slope, 2 * np.exp(X))


# --- a refusal that the program swallows ----------------------------------------------------------


def _item(a, x):
    a[0] = x[0]


def _slice(a, x):
    a[:] = x


def _flat(a, x):
    a.flat[0] = x[0]


def _augmented(a, x):
    a += x


def _augmented_product(a, x):
    a *= x[0]


WRITES = [
    _item, _slice, _flat, _augmented, _augmented_product, lambda a, x: np.copyto(a, x),
    lambda a, x: np.add(a, x, out=a), lambda a, x: np.add.at(a, [0], x[0]),
    lambda a, x: np.put(a, [0], x[0]), lambda a, x: a.put([0], x[0]), lambda a, x: a.fill(x[0]),
    lambda a, x: np.put_along_axis(a, np.array([0]), x[:1], 0),
    lambda a, x: np.place(a, a > -1, x), lambda a, x: np.putmask(a, a > -1, x),
]


@pytest.mark.parametrize("write", WRITES, ids=range(len(WRITES)))
def test_write_into_a_plain_array_raises_also_if_swallowed(write):
    def f(x):
        a = np.zeros(3)
        write(a, x)
        return np.sum(a)

    def swallowing(x):
        try:
            return f(x)
        except Exception:  # what a careless program does
            return np.sum(x)

    for program in (f, swallowing):
        with pytest.raises(LostGradientError, match="from sciad import numpy as np"):
            sciad.grad(program)(X)
        with pytest.raises(LostGradientError, match=r"test_never_silent\.py:\d+"):
            sciad.jvp(program, (X,), (X,))


# --- arrays that take followed values -------------------------------------------------------------

WEIGHTS = np.array([3.0, 1.0, 2.0])
MADE = {
    "outer": lambda: snp.outer(WEIGHTS, WEIGHTS), "kron": lambda: snp.kron(WEIGHTS, WEIGHTS),
    "vander": lambda: snp.vander(WEIGHTS), "sort": lambda: snp.sort(WEIGHTS),
    "where": lambda: snp.where(WEIGHTS > 1, WEIGHTS, 0.0), "cumsum": lambda: snp.cumsum(WEIGHTS),
    "cumprod": lambda: snp.cumprod(WEIGHTS), "array": lambda: snp.array(WEIGHTS),
    "copy": lambda: snp.copy(WEIGHTS), "asarray of a list": lambda: snp.asarray([1.0, 2.0, 3.0]),
    "ascontiguousarray of a list": lambda: snp.ascontiguousarray([1.0, 2.0, 3.0]),
    "random, copied": lambda: snp.array(snp.random.default_rng(0).normal(size=3)),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_what_the_namespace_makes_takes_followed_values(make):
    def f(x):
        a = make()
        a[0] = x[0]
        a[1:] = a[1:] * x[1]
        return a

    sciad.check_grads(f, (X,))
    assert isinstance(make(), np.ndarray)
    np.testing.assert_array_equal(WEIGHTS, [3.0, 1.0, 2.0])


@pytest.mark.parametrize("shared", [
    snp.asarray, snp.ascontiguousarray, snp.ravel,
    lambda w: snp.random.default_rng(0).normal(size=3),
], ids=["asarray", "ascontiguousarray", "ravel", "random"])
def test_what_shares_memory_does_not_and_the_cure_is_named(shared):
    def f(x):
        a = shared(WEIGHTS)
        a[0] = x[0]
        return np.sum(a)

    with pytest.raises(LostGradientError, match=r"a = np\.array\(a\).*from sciad import numpy"):
        sciad.grad(f)(X)
    assert isinstance(snp.where(WEIGHTS > 1)[0], np.ndarray)
