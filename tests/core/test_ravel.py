"""ravel: containers as vectors."""

import numpy as np
import pytest

import sciad
from sciad.core.errors import ArgumentError, DTypeError

PARAMS = {"w": np.arange(6.0).reshape(2, 3), "b": (0.5, np.float32(2.0)), "none": np.zeros((0, 2))}


def test_round_trip():
    vector, unravel = sciad.ravel(PARAMS)
    assert vector.shape == (8,) and vector.dtype == np.float64
    back = unravel(vector)
    np.testing.assert_array_equal(back["w"], PARAMS["w"])
    assert back["b"][1].dtype == np.float32 and back["none"].shape == (0, 2)
    back["w"][:] = 9.0
    assert 9.0 not in vector


@pytest.mark.parametrize("params", [{}, (), [np.zeros(0)]])
def test_empty(params):
    vector, unravel = sciad.ravel(params)
    assert vector.shape == (0,)
    assert type(unravel(vector)) is type(params)


def test_dtypes():
    assert sciad.ravel([np.ones(2, np.float32), 0.5])[0].dtype == np.float32
    vector, unravel = sciad.ravel([np.ones(2), 1j * np.ones(1)])
    assert vector.dtype == np.complex128 and unravel(vector)[0].dtype == np.float64
    with pytest.raises(ArgumentError, match="imaginary"):
        unravel(1j * vector)


def test_derivatives_and_jit():
    vector, unravel = sciad.ravel({"a": 2.0, "b": np.arange(3.0)})

    def loss(v):
        p = unravel(v)
        return p["a"] * np.sum(p["b"] ** 2)

    sciad.check_grads(loss, (vector,))
    sciad.check_grads(lambda a, b: sciad.ravel((a, b))[0] ** 2, (2.0, np.arange(3.0)))
    np.testing.assert_allclose(sciad.jit(sciad.grad(loss))(vector), sciad.grad(loss)(vector))


def test_errors():
    vector, unravel = sciad.ravel(PARAMS)
    with pytest.raises(ArgumentError, match="8 entries"):
        unravel(vector[1:])
    for bad in (np.arange(3), "text", True):
        with pytest.raises(DTypeError, match="ravel"):
            sciad.ravel([bad])


def test_a_real_number_beside_complex_ones_comes_back_real():
    vector, unravel = sciad.ravel({"r": 1.5, "c": 1j * np.ones(2), "z": 2j})
    back = unravel(vector)
    assert vector.dtype == np.complex128 and back["z"] == 2j
    assert back["r"].dtype == np.float64 and back["r"] == 1.5
    assert sciad.ravel({"r": 1.5, "c": np.ones(2, np.complex64)})[1](
        np.ones(3, np.complex64))["r"].dtype == np.float32
    with pytest.raises(ArgumentError, match="imaginary part"):
        unravel(vector + 1j)
