"""check_grads sees what is wrong, however small the function and however its point was drawn."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import DerivativeError


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e-12, 1e-23, 1e12])
def test_it_is_as_sharp_for_small_functions(scale):
    sciad.check_grads(lambda x: scale * np.sin(x) * x, (2.0,))
    with pytest.raises(DerivativeError):
        sciad.check_grads(lambda x: scale * x * sciad.stop_gradient(x), (2.0,))


@pytest.mark.parametrize("seed", range(3))
def test_directions_are_not_the_seeded_point(seed):
    """A rule that is right along the point alone is found wrong at a point drawn with any seed."""
    @sciad.custom_rule
    def norm(x):
        return np.sqrt(np.sum(x * x))

    @norm.vjp
    def pulled(x):
        out = norm(x)
        wrong = x[::-1] * np.sum(x * x) / np.sum(x * x[::-1])
        return out, lambda g: g * wrong / out

    with pytest.raises(DerivativeError):
        norm.check(np.random.default_rng(seed).standard_normal(3))


@pytest.mark.parametrize("f, x", [
    (lambda x: np.arctan2(x, x), np.array([0.5, 2.0])),
    (lambda a: np.linalg.det(a), np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0])),
    (lambda x: x - x, np.array([1.0, 3.0])),
], ids=["constant", "rank 1", "zero"])
def test_it_takes_rounding_for_what_it_is(f, x):
    sciad.check_grads(f, (x,))
