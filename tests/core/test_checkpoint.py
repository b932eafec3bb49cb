"""checkpoint: the same numbers, a shorter tape, and a word when the function is not the same."""

import gc
import io
import weakref

import numpy as np
import pytest

import sciad
from sciad.core.errors import SciadError
from sciad.core.reverse import Reverse

RNG = np.random.default_rng(3)
X = RNG.normal(size=4)
W = RNG.normal(size=(4, 4))


def make(kind, mark):
    """A program with its segments marked by `mark`."""
    def simple(x, w):
        body = mark(lambda u, w: np.tanh(w @ u) * u)
        return np.sum(body(body(np.sin(x), w), w) ** 2)

    def closing(x, w):
        scale = w * w
        body = mark(lambda u: np.sum(scale) * np.sin(u) * w[0, 0])
        return np.sum(body(x) * x)

    def writing(x, w):
        def body(u):
            u[0] = u[0] * w[0, 0]
            u[1:] *= u[:-1]
            return np.sum(u)

        u = x * 2.0
        total = mark(body)(u)
        return total * np.sum(u**3)

    def nested(x, w):
        inner = mark(lambda u: np.exp(-u) * w[1])
        outer = mark(lambda u: inner(inner(u)) + u)
        return np.sum(outer(x))

    def containers(x, w):
        def body(p, flag="a", scale=2):
            return {"y": p["u"] * scale, "z": (np.sum(p["w"]), flag, 3)}

        out = mark(body)({"u": x, "w": w}, scale=3)
        return np.sum(out["y"]) * out["z"][0] * out["z"][2]

    def branching(x, w):
        body = mark(lambda u: np.sum(u) if u[0] > 0 else np.sum(u * u))
        return body(x) * body(-x)

    def gradient_inside(x, w):
        body = mark(lambda u: sciad.grad(lambda v: np.sum(np.sin(v) * w[0]))(u))
        return np.sum(body(x) ** 2)

    return locals()[kind]


KINDS = ["simple", "closing", "writing", "nested", "containers", "branching", "gradient_inside"]


@pytest.mark.parametrize("kind", KINDS)
class TestSameNumbers:
    def same(self, kind, transform):
        expected = transform(make(kind, lambda f: f))(X, W)
        got = transform(make(kind, sciad.checkpoint))(X, W)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)

    def test_reverse(self, kind):
        self.same(kind, lambda f: sciad.grad(f, (0, 1)))

    def test_forward(self, kind):
        self.same(kind, lambda f: lambda x, w: sciad.jvp(f, (x, w), (x, w)))

    def test_forward_over_reverse(self, kind):
        self.same(kind, lambda f: lambda x, w: sciad.hvp(f, (x, w), (x, w)))

    def test_reverse_over_forward(self, kind):
        self.same(kind, lambda f: sciad.grad(
            lambda x, w: sciad.jvp(f, (x, w), (X, W))[1], (0, 1)))

    def test_reverse_over_reverse(self, kind):
        self.same(kind, lambda f: sciad.grad(
            lambda x, w: np.sum(sciad.grad(f)(x, w) ** 2), (0, 1)))

    def test_compiled(self, kind):
        self.same(kind, lambda f: sciad.jit(sciad.grad(f, (0, 1)), strict=True))

    def test_compiled_second_order(self, kind):
        self.same(kind, lambda f: sciad.jit(
            lambda x, w: sciad.hvp(f, (x, w), (x, w)), strict=True))


def tape_length(f, x):
    """Entries on the tape of a reverse run."""
    with Reverse() as interp:
        f(interp.leaf(x))
        return len(interp.tape)


def test_tape_holds_arguments_and_results_only():
    def chain(x, n=100):
        for _ in range(n):
            x = np.sin(x)
        return x

    assert tape_length(chain, np.float64(1.0)) > 100
    assert tape_length(sciad.checkpoint(chain), np.float64(1.0)) < 5


def test_inner_values_are_freed():
    log = io.StringIO()  # a file: what is written there is no state of the function

    def body(x):
        big = np.sin(x)
        log.write("made ")
        weakref.finalize(big, log.write, "freed ")
        return np.sum(big * big)

    out, pull = sciad.vjp(sciad.checkpoint(body), np.ones(1000))
    gc.collect()
    assert log.getvalue().split() == ["made", "freed"]
    (slope,) = pull(1.0)
    np.testing.assert_allclose(slope, np.sin(2.0 * np.ones(1000)), rtol=1e-14)


def test_fresh_random_numbers_are_told():
    rng = np.random.default_rng(0)
    noisy = sciad.checkpoint(lambda x: x * rng.normal())
    with pytest.raises(SciadError, match="has changed since it ran"):
        sciad.grad(noisy)(1.0)


def test_a_value_kept_outside_is_told():
    kept = []

    @sciad.checkpoint
    def body(x):
        kept.append(x * 2)
        return x * 3

    with pytest.raises(SciadError, match="return it from the function"):
        sciad.grad(lambda x: body(x) + kept[0])(1.0)


def test_writing_into_memory_reached_twice_is_told():
    def body(u, v):
        u[0] = 2 * u[0]
        return np.sum(u) + np.sum(v)

    def f(x):
        u = x * 1.0
        return sciad.checkpoint(body)(u, u[:2])

    with pytest.raises(SciadError, match="reaches in two ways"):
        sciad.grad(f)(X)


def test_a_written_outer_array():
    def f(x, mark):
        u = x * 1.0

        def body(v):
            u[0] = u[0] * v
            return v * v

        return mark(body)(x[1]) * np.sum(u**2)

    expected = sciad.grad(lambda x: f(x, lambda g: g))(X)
    np.testing.assert_allclose(sciad.grad(lambda x: f(x, sciad.checkpoint))(X), expected,
                               rtol=1e-13)


def test_an_exception_leaves_everything_as_it_was():
    def f(x):
        u = x * 1.0

        @sciad.checkpoint
        def body(v):
            u[0] = v * 100
            raise KeyError("stop")

        try:
            body(x[1])
        except KeyError:
            pass
        return np.sum(u * u)

    np.testing.assert_allclose(sciad.grad(f)(X), 2 * X)


def test_what_is_not_a_number_passes_through():
    @sciad.checkpoint
    def body(x, name="a"):
        return {"y": x * 2, "name": name, "count": 3, "none": None}

    def f(x):
        out = body(x, name="b")
        return out["y"] * (out["name"] == "b") * out["count"]

    assert sciad.grad(f)(1.0) == 6.0


def test_outside_a_transform_it_is_the_function():
    assert sciad.checkpoint(lambda x: x + 1)(2) == 3


def test_differences():
    sciad.check_grads(make("nested", sciad.checkpoint), (X, W))


class TestWhatChangesIsTold:
    """Whatever would make the second run another function raises, at points where the results
    of both runs agree too."""

    def test_an_array_it_closes_over(self):
        def f(x):
            w = np.zeros(4)
            y = sciad.checkpoint(lambda x: np.sin(x) * (1 + w))(x)
            w[:] = 100.0
            return np.sum(y)

        with pytest.raises(SciadError, match="has changed since it ran"):
            sciad.grad(f)(np.zeros(4))

    def test_a_loop_variable(self):
        def f(x):
            total = 0.0
            for k in range(3):
                total = total + sciad.checkpoint(lambda x: np.sum(x * x * k))(x)  # noqa: B023
            return total

        with pytest.raises(SciadError, match="has changed since it ran"):
            sciad.grad(f)(np.zeros(4))

    def test_an_array_it_writes(self):
        w = np.ones(4)

        def body(x):
            w[:] = w * 2
            return np.sum(x * w)

        with pytest.raises(SciadError, match="has changed since it ran"):
            sciad.grad(sciad.checkpoint(body))(X)

    def test_a_container_among_its_arguments(self):
        def f(x):
            kept = [x * 1.0]
            sciad.checkpoint(lambda kept: kept.append(kept[0] * 2))(kept)
            return np.sum(kept[-1]) * len(kept)

        with pytest.raises(SciadError, match="container among its arguments"):
            sciad.grad(f)(X)


class TestSharedMemory:
    def test_an_argument_returned_is_the_argument(self):
        def f(x, mark):
            y = x * 1.0
            r = mark(lambda a: a)(y)
            r *= 3
            return np.sum(y**3) + np.sum(r)

        expected = sciad.grad(lambda x: f(x, lambda g: g))(X)
        np.testing.assert_array_equal(sciad.grad(lambda x: f(x, sciad.checkpoint))(X), expected)

    def test_a_view_returned_is_read_only(self):
        def f(x):
            y = x * 1.0
            r = sciad.checkpoint(lambda a: a[1:])(y)
            r *= 3
            return np.sum(y**3)

        with pytest.raises(SciadError, match="read-only"):
            sciad.grad(f)(X)
        np.testing.assert_array_equal(
            sciad.grad(lambda x: np.sum(sciad.checkpoint(lambda a: a[1:])(x * 1.0)))(X),
            [0, 1, 1, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_hessian(kind):
    expected = sciad.hessian(make(kind, lambda f: f))(X, W)
    got = sciad.hessian(make(kind, sciad.checkpoint))(X, W)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
