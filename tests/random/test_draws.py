"""Draws: their distribution, their derivatives, and the same numbers compiled."""

import numpy as np
import pytest
from scipy import stats

import sciad
from sciad import random
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.core.errors import ArgumentError, DTypeError, RecordError

KEY = random.key(11)


def _generator():
    return np.random.default_rng(11)


SOURCES = {"key": lambda: KEY, "generator": _generator}

CASES = {  # draw(source, *parameters, shape=), parameters, the distribution
    "normal": (random.normal, (1.5, 2.0), stats.norm(1.5, 2.0)),
    "uniform": (random.uniform, (-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    "exponential": (random.exponential, (2.5,), stats.expon(scale=2.5)),
    "gumbel": (random.gumbel, (0.5, 2.0), stats.gumbel_r(0.5, 2.0)),
    "gamma": (random.gamma, (2.5, 3.0), stats.gamma(2.5, scale=3.0)),
    "gamma below 1": (random.gamma, (0.3, 1.0), stats.gamma(0.3)),
    "gamma large": (random.gamma, (200.0, 1.0), stats.gamma(200.0)),
    "beta": (random.beta, (2.0, 0.7), stats.beta(2.0, 0.7)),
    "beta small": (random.beta, (0.2, 0.4), stats.beta(0.2, 0.4)),
}
each_case = pytest.mark.parametrize("draw, parameters, law", CASES.values(), ids=CASES)
each_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)


@each_source
@each_case
def test_law(draw, parameters, law, source):
    x = draw(source(), *parameters, shape=(100, 200))
    assert x.shape == (100, 200) and x.dtype == float
    assert stats.kstest(x.ravel(), law.cdf).pvalue > 1e-3
    spread = law.std() / np.sqrt(x.size)
    assert abs(x.mean() - law.mean()) < 4 * spread


@each_source
@each_case
def test_mean_has_the_derivative_of_the_mean(draw, parameters, law, source):
    """The gradient of the sample's mean and second moment, against differences of the law's."""
    def moments(*parameters):
        x = draw(source(), *parameters, shape=20_000)
        return np.array([np.mean(x), np.mean(x**2)])

    def exact(*parameters):
        frozen = {"uniform": lambda a, b: stats.uniform(a, b - a),
                  "exponential": lambda s: stats.expon(scale=s), "normal": stats.norm,
                  "gumbel": stats.gumbel_r, "beta": stats.beta,
                  "gamma": lambda a, s: stats.gamma(a, scale=s)}[draw.__name__](*parameters)
        return np.array([frozen.mean(), frozen.var() + frozen.mean() ** 2])

    for k, p in enumerate(parameters):
        h = 1e-4 * max(1.0, abs(p))
        moved = [[*parameters[:k], p + step, *parameters[k + 1:]] for step in (h, -h)]
        expected = (exact(*moved[0]) - exact(*moved[1])) / (2 * h)
        got = sciad.jacobian(lambda q, k=k: moments(*parameters[:k], q, *parameters[k + 1:]))(p)
        np.testing.assert_allclose(got, expected, rtol=0.06, atol=0.02)


@each_case
def test_compiled_draws_are_the_same(draw, parameters, law):
    def f(key, parameters):
        return draw(key, *parameters, shape=(3, 20))

    compiled = sciad.jit(f, strict=True)
    for seed in (0, 1):
        key = random.key(seed)
        np.testing.assert_allclose(compiled(key, parameters), f(key, parameters), rtol=1e-12)


@each_case
@pytest.mark.filterwarnings("ignore::sciad.compiler.jit.FallbackWarning")
def test_compiled_gradients_are_the_same(draw, parameters, law):
    def f(parameters):
        return np.sum(np.sin(draw(KEY, *parameters, shape=5)))

    np.testing.assert_allclose(sciad.jit(sciad.grad(f))(parameters), sciad.grad(f)(parameters),
                               rtol=1e-10)


PATHWISE = [name for name in CASES if name.split()[0] not in ("gamma", "beta")]


@pytest.mark.parametrize("name", PATHWISE)
def test_derivatives_of_draws(name):
    draw, parameters, _ = CASES[name]
    sciad.check_grads(lambda *p: draw(KEY, *p, shape=7), parameters)


def test_parameters_broadcast_and_keep_their_dtype():
    loc, scale = np.zeros((3, 1), np.float32), np.ones(4, np.float32)
    x = random.normal(KEY, loc, scale)
    assert x.shape == (3, 4) and x.dtype == np.float32
    assert random.normal(KEY, loc, 2.0).dtype == np.float32
    assert random.normal(KEY, loc, np.ones(4)).dtype == np.float64
    assert random.normal(KEY, 1, 2, shape=3).shape == (3,)
    assert random.gamma(KEY, np.float32(2.0), shape=(2, 0)).shape == (2, 0)
    assert random.normal(KEY, [1.0, 2.0]).shape == (2,)


@each_source
def test_multivariate_normal(source):
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 0.6], [0.6, 0.5]])
    x = random.multivariate_normal(source(), mean, cov, 40_000)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.05)
    distance = np.einsum("ni,ij,nj->n", x - mean, np.linalg.inv(cov), x - mean)
    assert stats.kstest(distance, stats.chi2(2).cdf).pvalue > 1e-3


def test_multivariate_normal_differentiates():
    def f(mean, factor):
        x = random.multivariate_normal(KEY, mean, factor @ factor.T + np.eye(3), (2,))
        return np.sum(np.sin(x))

    factor = np.random.default_rng(0).normal(size=(3, 3))
    sciad.check_grads(f, (np.zeros(3), factor))
    stacked = random.multivariate_normal(KEY, np.zeros((4, 1, 3)), np.eye(3) * np.ones((5, 1, 1)))
    assert stacked.shape == (4, 5, 3)


def test_generator_moves_on():
    rng = _generator()
    assert random.normal(rng) != random.normal(rng)
    assert random.normal(_generator()) == _generator().standard_normal()


def test_nested_transforms_of_a_generator_draw():
    def f(a):
        return random.gamma(_generator(), a) * random.normal(_generator(), 0.0, a)

    # x(a) z a, so the second derivative is (2 x' + a x'') z, whichever modes are nested
    a, z = np.float64(2.0), random.normal(_generator())
    slope = sciad.grad(lambda a: random.gamma(_generator(), a))
    expected = (2 * slope(a) + a * sciad.grad(slope)(a)) * z
    np.testing.assert_allclose(sciad.hessian(f)(a), expected, rtol=1e-10)
    np.testing.assert_allclose(sciad.grad(sciad.grad(f))(a), expected, rtol=1e-10)


def test_generator_is_not_compiled_into_a_constant():
    def f(x):
        return random.normal(np.random.default_rng(0), x)

    with pytest.raises(RecordError, match="pass a key"):
        sciad.jit(f, strict=True)(1.0)
    with pytest.warns(FallbackWarning, match="sciad.random.key"):
        assert sciad.jit(f)(1.0) == f(1.0)


@pytest.mark.parametrize("call, error, text", [
    (lambda: random.normal(KEY, 0.0, -1.0), ArgumentError, "scale must be at least 0"),
    (lambda: random.normal(KEY, 0.0, np.nan), ArgumentError, "at least 0, got nan"),
    (lambda: random.normal(KEY, 0.0, np.array([1.0, -2.0])), ArgumentError, r"got -2.0 at \[1\]"),
    (lambda: random.uniform(KEY, 2.0, 1.0), ArgumentError, "got low=2.0 and high=1.0"),
    (lambda: random.uniform(KEY, np.zeros(2), np.array([1.0, -1.0])), ArgumentError,
     r"high=-1.0 at \[1\]"),
    (lambda: random.uniform(KEY, 0.0, np.inf), ArgumentError, "must be finite.*high=inf"),
    (lambda: random.uniform(KEY, np.nan, 1.0), ArgumentError, "low=nan"),
    (lambda: random.uniform(KEY, shape=2.7), DTypeError, "uniform: shape=2.7 is a float"),
    (lambda: random.normal(KEY, shape="ab"), DTypeError, "normal: shape='ab' is a str"),
    (lambda: random.gamma(KEY, 1.0, shape=(2, 1.5)), DTypeError, r"shape=\(2, 1.5\) has an entry"),
    (lambda: random.normal(KEY, shape=-2), ArgumentError, "shape=-2 is negative"),
    (lambda: random.exponential(KEY, shape=(2, -1)), ArgumentError, "entry that is negative"),
    (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(2), 1.5), DTypeError,
     "shape=1.5 is a float"),
    (lambda: random.gamma(KEY, 0.0), ArgumentError, "shape parameter must be positive"),
    (lambda: random.beta(KEY, 1.0, np.nan), ArgumentError, "shape parameter b must be positive"),
    (lambda: random.exponential(KEY, 1j), DTypeError, "must be real"),
    (lambda: random.normal(KEY, np.zeros(3), np.ones(2)), ArgumentError, "do not go together"),
    (lambda: random.normal(KEY, np.zeros(3), shape=2), ArgumentError, "cannot broadcast"),
    (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(3)), ArgumentError, "do not fit"),
])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_compiled_parameters_are_checked_when_it_runs():
    compiled = sciad.jit(lambda s: random.exponential(KEY, s), strict=True)
    assert compiled(1.0) > 0
    with pytest.raises(ArgumentError, match="scale must be at least 0"):
        compiled(-1.0)
    bounds = sciad.jit(lambda low: random.uniform(KEY, low, 1.0), strict=True)
    assert 0.5 <= bounds(0.5) <= 1.0
    known = "got low=2.0 and high=1.0" if llvm.available() else ""
    with pytest.raises(ArgumentError, match=f"low <= high.*{known}.*test_draws.py"):
        bounds(2.0)
    with pytest.raises(ArgumentError, match="scale must be at least 0.*test_draws.py"):
        sciad.grad(compiled)(-1.0)


def test_shapes_may_be_of_numpy():
    for shape in (np.int64(3), (np.int32(3),), [3], np.array([3])):
        assert random.normal(KEY, shape=shape).shape == (3,)
    assert random.uniform(KEY, 1.0, 1.0) == 1.0
