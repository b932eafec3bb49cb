"""debug_nans: the operation, the line and the entry that a NaN comes from."""

import threading

import numpy as np
import pytest

import sciad
from sciad.core.errors import NaNError

X = np.array([4.0, 0.0, -1.0])


def message(f, *args):
    with pytest.raises(NaNError) as caught, np.errstate(all="ignore"), sciad.debug_nans():
        f(*args)
    return str(caught.value)


def test_value():
    text = message(sciad.grad(lambda x: np.sum(np.sqrt(x))), X)
    assert text.startswith("forward pass of sqrt (at ") and "test_debugging.py" in text
    assert "nan at entry (2,)" in text and "operand 0 is -1.0" in text


def test_backward():
    text = message(sciad.grad(lambda x: np.sum(np.sqrt(x) ** 2)), np.array([4.0, 0.0]))
    assert text.startswith("backward pass of sqrt (at ")
    assert "entry (1,)" in text and "operand 0 is 0.0" in text and "its cotangent is 0.0" in text


def test_forward():
    text = message(lambda x: sciad.jvp(lambda x: np.sqrt(x), (x,), (np.zeros(2),)),
                   np.array([4.0, 0.0]))
    assert text.startswith("forward mode of sqrt (at ") and "entry (1,)" in text


def test_dropped_entries_are_no_fault():
    def f(x):
        return np.sum(np.where(x > 0, np.sqrt(x), 0.0))

    with sciad.debug_nans():
        np.testing.assert_array_equal(sciad.grad(f)(np.array([4.0, 0.0])), [0.25, 0.0])


def test_a_nan_of_the_input_is_passed_on():
    with sciad.debug_nans():
        assert np.isnan(sciad.grad(lambda x: np.sum(x * x))(np.array([1.0, np.nan]))[1])


def test_infinities_on_request():
    with sciad.debug_nans():
        assert np.isinf(sciad.grad(np.sqrt)(0.0))
    with pytest.raises(NaNError, match="backward pass of sqrt"), sciad.debug_nans(infs=True):
        sciad.grad(np.sqrt)(0.0)


def test_compiled_functions_are_looked_into():
    f = sciad.jit(sciad.grad(lambda x: np.sum(np.sqrt(x) ** 2)))
    x = np.array([4.0, 0.0])
    assert np.isnan(f(x)[1])
    assert message(f, x).startswith("backward pass of sqrt")
    assert np.isnan(f(x)[1])


def loss(x):
    distance = np.sqrt(x)
    return np.sum(distance**3)


def dropped(x):
    return np.sum(np.where(x > 0, np.sqrt(x) ** 3, 0.0))


def total_slope(x):
    return np.sum(sciad.grad(loss)(x))


ORIGIN = np.array([4.0, 0.0])
SECOND = {
    "hessian": (sciad.hessian(loss), "backward pass of sqrt (at "),
    "hvp": (lambda x: sciad.hvp(loss, (x,), (x,)), "forward mode of sqrt (at "),
    "jacobian": (sciad.jacobian(lambda x: loss(x) * x), "forward mode of sqrt (at "),
    "of jit": (sciad.jit(sciad.hessian(loss)), "backward pass of sqrt (at "),
    "linearize": (lambda x: sciad.linearize(loss, x)[1](x), "forward mode of sqrt (at "),
    "reverse over reverse": (sciad.grad(total_slope), "backward pass of sqrt (at "),
}


@pytest.mark.parametrize("derivative, start", SECOND.values(), ids=SECOND)
def test_higher_orders_name_the_line_and_the_direction(derivative, start):
    line = loss.__code__.co_firstlineno + 1
    text = message(derivative, ORIGIN)
    assert text.startswith(start) and f"test_debugging.py:{line})" in text
    assert "nan at entry (1,)" in text and "operand 0 is 0.0" in text


def test_a_second_derivative_that_the_first_lacks_nan_in():
    """The first derivative 1.5 sqrt(x) is 0 at 0, the second one infinite: 0 * inf."""
    def smooth(x):
        return np.sum(x**1.5)

    line = smooth.__code__.co_firstlineno + 1
    with sciad.debug_nans():
        assert sciad.grad(smooth)(np.zeros(2)).tolist() == [0.0, 0.0]
    for derivative in (lambda x: sciad.jvp(sciad.grad(smooth), (x,), (np.zeros(2),)),
                       sciad.hessian(smooth),
                       lambda x: sciad.vjp(sciad.grad(smooth), x)[1](np.zeros(2))):
        text = message(derivative, np.zeros(2))
        assert "in the backward pass of power (at " in text
        assert f"test_debugging.py:{line})" in text


@pytest.mark.parametrize("derivative", [
    sciad.grad(lambda x: np.sum(sciad.grad(dropped)(x))), sciad.grad(dropped),
])
def test_dropped_entries_are_no_fault_at_second_order(derivative):
    with sciad.debug_nans():
        assert np.all(np.isfinite(derivative(ORIGIN)))


def test_it_ends_with_the_context_and_stays_in_its_thread():
    f = sciad.grad(lambda x: np.sum(np.sqrt(x) ** 2))
    found = []
    with sciad.debug_nans():
        thread = threading.Thread(target=lambda: found.append(f(np.array([4.0, 0.0]))))
        thread.start()
        thread.join()
    assert np.isnan(found[0][1]) and np.isnan(f(np.array([4.0, 0.0]))[1])
