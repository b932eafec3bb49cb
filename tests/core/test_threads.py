"""Transforms at once: threads, coroutines, exceptions and re-entrance leave no trace behind."""

import asyncio
import concurrent.futures
import contextvars
import threading
import warnings

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.primitive import active

X = np.array([0.5, 1.5, -0.7])


def chain(x):
    y = np.sin(x) * x
    buffer = snp.zeros(3)
    for k in range(3):
        buffer[k] = y[k] * x[k - 1] if x[k] > 0 else np.exp(-y[k])
    return np.sum(buffer * y)


def nested(x):
    """A gradient inside a tangent inside whatever differentiates this."""
    inner = sciad.grad(lambda y: chain(y * x))(x)
    return np.sum(inner) + sciad.jvp(chain, (x,), (inner,))[1]


def masked(x):
    return np.sum(np.where(x > 0, np.sqrt(np.maximum(x, 0.0)), x))


WORK = [
    sciad.grad(chain), sciad.hessian(chain), sciad.grad(nested), sciad.grad(masked),
    sciad.jit(sciad.grad(chain)), sciad.jit(sciad.value_and_grad(masked)),
    lambda x: sciad.jit(sciad.grad(lambda x: chain(x) * 3.0))(x),
    lambda x: sciad.hvp(chain, (x,), (x,)),
]


def leaves(result):
    return np.concatenate([np.ravel(x) for x in (result if isinstance(result, tuple)
                                                 else (result,))])


def test_eight_threads_with_nested_transforms_and_jit():
    points = [np.random.default_rng(k).standard_normal(3) for k in range(8)]
    expected = [[leaves(work(x)) for work in WORK] for x in points]
    start = threading.Barrier(8)

    def run(k):
        start.wait()
        return [[leaves(WORK[(j + k) % 8](points[k])) for j in range(8)] for _ in range(5)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, range(8)))
    for k, rounds in enumerate(results):
        for got in rounds:
            for j, value in enumerate(got):
                np.testing.assert_allclose(value, expected[k][(j + k) % 8], rtol=1e-12)
    assert not active()


def test_pullback_in_another_thread():
    out, pull = sciad.vjp(lambda x: np.sin(x) * x[0], X)
    (expected,) = pull(np.ones(3))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for (slope,) in pool.map(pull, [np.ones(3)] * 8):
            np.testing.assert_array_equal(slope, expected)


def test_threads_started_inside_a_transform():
    """Work on plain values in other threads does not meet the transform of this one."""
    def f(x):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            slopes = list(pool.map(sciad.grad(chain), [X, X + 1.0]))
        assert all(type(slope) is np.ndarray for slope in slopes)
        return np.sum(x * slopes[0] * slopes[1])

    expected = sciad.grad(chain)(X) * sciad.grad(chain)(X + 1.0)
    np.testing.assert_allclose(sciad.grad(f)(X), expected)


def test_followed_values_in_another_thread_are_right_or_raise():
    def f(x):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            y = pool.submit(lambda: np.sum(np.sin(x) * x)).result()
            slope = pool.submit(lambda: sciad.grad(lambda s: s * s * x[0])(x[1])).result()
        return y * 2.0 + slope

    pure = sciad.grad(lambda x: 2.0 * np.sum(np.sin(x) * x) + 2.0 * x[1] * x[0])(X)
    try:
        slope = sciad.grad(f)(X)
    except sciad.SciadError:
        return
    np.testing.assert_allclose(slope, pure)


# --- coroutines and generators --------------------------------------------------------------------


def test_generator_suspended_inside_a_function():
    """A generator that makes values of one gradient goes on inside that gradient."""
    def f(x):
        def steps():
            y = x
            while True:
                y = y * x
                yield y

        run = steps()
        first, second = next(run), next(run)
        inner = sciad.grad(lambda s: np.sum(s * next(run)))(x)
        return np.sum(first * second * inner)

    np.testing.assert_allclose(sciad.grad(f)(X), 9 * X**8)


def test_generator_that_outlives_its_gradient():
    kept = []

    def f(x):
        def steps():
            while True:
                yield x * 2.0

        kept.append(steps())
        return np.sum(next(kept[0]) * x)

    np.testing.assert_allclose(sciad.grad(f)(X), 4 * X)
    np.testing.assert_allclose(np.asarray(next(kept[0]), float), 2 * X)
    slope = sciad.grad(lambda x: np.sum(x * next(kept[0])))(X)
    np.testing.assert_allclose(slope, 2 * X)


def test_generators_of_gradients_interleave():
    def descent(start):
        x = start
        for _ in range(5):
            x = x - 0.1 * sciad.grad(chain)(x)
            yield x

    alone = [list(descent(X)), list(descent(X + 0.3))]
    together = list(zip(descent(X), descent(X + 0.3), strict=True))
    np.testing.assert_array_equal([a for a, _ in together], alone[0])
    np.testing.assert_array_equal([b for _, b in together], alone[1])


def test_transforms_in_asyncio_tasks():
    async def work(x):
        out = []
        for _ in range(4):
            out.append(sciad.grad(chain)(x))
            await asyncio.sleep(0)
        return out

    async def main():
        return await asyncio.gather(*(work(X + 0.1 * k) for k in range(4)))

    for k, slopes in enumerate(asyncio.run(main())):
        for slope in slopes:
            np.testing.assert_array_equal(slope, sciad.grad(chain)(X + 0.1 * k))
    assert not active()


def test_transform_in_a_copied_context():
    slope = contextvars.copy_context().run(sciad.grad(chain), X)
    np.testing.assert_array_equal(slope, sciad.grad(chain)(X))


# --- exceptions and re-entrance -------------------------------------------------------------------


class Stop(BaseException):
    """As KeyboardInterrupt: no `Exception`."""


TRANSFORMS = {
    "grad": lambda f: sciad.grad(f)(X), "jvp": lambda f: sciad.jvp(f, (X,), (X,)),
    "hessian": lambda f: sciad.hessian(f)(X), "jit": lambda f: sciad.jit(f)(X),
    "jit of grad": lambda f: sciad.jit(sciad.grad(f))(X),
    "grad of jit": lambda f: sciad.grad(sciad.jit(f))(X),
    "grad of grad": lambda f: sciad.grad(lambda x: np.sum(sciad.grad(f)(x)))(X),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("error", [ValueError, KeyError, KeyboardInterrupt, Stop, GeneratorExit,
                                   StopIteration, SystemExit])
def test_exceptions_leave_the_stack_clean(name, error):
    def f(x):
        y = np.sum(x * x)
        raise error("on purpose")
        return y

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error):
            TRANSFORMS[name](f)
    assert not active()
    np.testing.assert_allclose(sciad.grad(lambda x: np.sum(x * x))(X), 2 * X)


def test_exception_of_an_inner_transform_may_be_caught():
    def f(x):
        def inner(y):
            if y[0] > 0:
                raise ZeroDivisionError
            return np.sum(y * x)

        try:
            slope = sciad.grad(inner)(x)
        except ZeroDivisionError:
            slope = sciad.grad(inner)(-x)
        return np.sum(slope * x)

    np.testing.assert_allclose(sciad.grad(f)(X), 2 * X)
    assert not active()


def test_exception_between_two_pullbacks():
    out, pull = sciad.vjp(lambda x: x * x, X)
    with pytest.raises(sciad.SciadError):
        pull(np.ones(4))
    np.testing.assert_allclose(pull(np.ones(3))[0], 2 * X)


def test_a_gradient_calls_itself():
    def f(x, depth):
        if depth == 0:
            return x * x * x
        return sciad.grad(f)(x, depth - 1) * x

    assert f(2.0, 3) == pytest.approx(27 * 8.0)
    assert sciad.grad(f)(2.0, 2) == pytest.approx(27 * 4.0)


def test_recursion_error_leaves_the_stack_clean():
    def f(x):
        return f(x * 1.0)

    with pytest.raises(RecursionError):
        sciad.grad(f)(1.0)
    assert not active()
    assert sciad.grad(np.sin)(0.0) == 1.0
