"""Plain functions that copy an array only if it does not lie as they need it."""

import numpy as np
import pytest

import sciad

X = np.arange(1.0, 7.0).reshape(2, 3)

PLAIN = {
    "asarray": np.asarray, "ascontiguousarray": np.ascontiguousarray,
    "asfortranarray": np.asfortranarray, "piece": lambda y: np.asarray(y)[1:, ::2],
    "require": lambda y: np.require(y, requirements="C"), "ravel": lambda y: np.asarray(y).ravel(),
    "reshape": lambda y: np.asarray(y).reshape(-1), "T": lambda y: np.asarray(y).T.reshape(-1),
    "copy": np.array,
}
MAKES = {
    "C": lambda x: x * 2.0, "F": lambda x: np.sin(x.T), "transposed": lambda x: (x * 2.0).T,
    "gaps": lambda x: (x * 2.0)[:, ::2], "back": lambda x: (x * 2.0)[::-1],
    "broadcast": lambda x: np.broadcast_to(x[0] * 2.0, (2, 3)), "real": lambda x: (x * 2j).imag,
}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("plain", PLAIN)
def test_sees_later_writes_where_numpys_does(plain, make):
    def f(x):
        x = x * 1.0
        y = MAKES[make](x)
        seen = PLAIN[plain](y)
        if make != "broadcast":
            y[...] = y * x[0, 0] + 1.0
        return np.sum(seen * np.arange(1.0, 1.0 + seen.size).reshape(seen.shape)) + np.sum(y)

    np.testing.assert_allclose(sciad.value_and_grad(f)(X + 0.5)[0], f(X + 0.5))
    sciad.check_grads(f, (X + 0.5,))
