"""Assignment, in-place operators, views: NumPy's meaning, the sequential program's derivative."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sciad
from sciad import numpy as snp
from sciad.core.record import record

X = np.arange(1.0, 13.0).reshape(3, 4) / 7


def fill_by_rows(x):
    out = snp.zeros((3, 4))
    for i in range(3):
        out[i] = x[i] * x[(i + 1) % 3]
    return out


def in_place_operators(x):
    y = x * 1.0
    y += x
    y *= x[0]
    y -= 0.5
    y /= x + 2
    y **= 2
    return y


def write_through_slice(x):
    y = x * x
    y[1:][0] = 3 * x[0]
    return y * x


def write_through_transpose(x):
    y = x * x
    y.T[2] = x[:, 0] * x[:, 1]
    return y * x


def write_through_reshape(x):
    y = x * x
    y.reshape(2, 6)[1] = x.ravel()[:6] * 2
    return y * x


def write_through_ravel(x):
    y = x * x
    flat = y.ravel()
    flat[::3] = x[0] ** 2
    return y * x


def ravel_of_transpose_copies(x):
    y = x * x
    flat = y.T.ravel()
    flat[:] = 0.0
    return y * x + flat.sum()


def reshape_of_slice_of_transpose(x):
    y = x * x
    z = y.T[1:3].reshape(2, 3, 1)
    z[0, 1] = x[1, 1] * 4
    z[1] *= x[0, 0]
    return y * x + z.sum()


def sibling_views(x):
    y = x * x
    left, right, block = y[:, :3], y[:, 1:], y[1:, 1:]
    left *= x[0, 0]
    block[...] = block * x[2, 3]
    right[0] = left[1]
    return y + left.sum() * right.sum() * block.sum()


def overlapping_copy(x):
    y = x[0] * x[1]
    y[1:] = y[:-1]
    y[:-1] += y[1:]
    return y


def reversed_onto_itself(x):
    y = x[0] * x[1]
    y[:] = y[::-1]
    return y * x[2]


def chain_of_views(x):
    y = x * x
    a = y.T
    b = a[::2]
    c = b.swapaxes(0, 1)
    c[0] = x[0, :2]
    b += 1.0
    return y * x


def view_keeps_old_value_in_products(x):
    y = x * x
    z = y * y
    y[0] = 0.0
    return z + y


def base_changes_after_view(x):
    y = x * x
    v = y[1]
    y[1] = x[0] * 5
    w = v * 2
    y[1, 1] = x[2, 2]
    return w * v


def copy_is_apart(x):
    y = x * x
    z = y.copy()
    z[0] = 0.0
    y[1] = 1.0
    return y * z


def mask_and_index(x):
    y = x * x
    y[y > 1.1] *= x[0, 1]
    y[[0, 2], [1, 3]] = x[1, :2]
    y[np.array([True, False, True])] += x[1]
    return y


def increments_by_loop(x):
    y = snp.zeros(4)
    for i in range(3):
        for j in range(4):
            y[j] += x[i, j] * (i + 1)
            y[0] -= y[j] * 0.1
    return y


def assign_row_views(x):
    y = x * x
    for row in y:
        row *= x[1]
    return y


def zero_dimensional(x):
    y = snp.zeros(())
    y[()] = x[0, 0]
    z = y
    y += x[0, 1]
    return y * z


def squeeze_and_expand(x):
    y = x * x
    np.expand_dims(y, 1)[:, 0, 0] = x[:, 3]
    np.squeeze(y[:1])[1] = x[2, 2]
    np.moveaxis(y, 0, 1)[3] *= x[:, 0]
    return y * x


def ufunc_out(x):
    y = snp.zeros((3, 4))
    np.multiply(x, x, out=y)
    np.add(y[:2], x[0], out=y[:2])
    return y


def write_scalar_view_of_row(x):
    y = x * x
    row = y[2]
    row[1] = row[0] * row[3]
    row[1:3] = row[2:4]
    return y


def fill_method(x):
    y = x * x
    y[1].fill(2.5)
    y[2].fill(x[0, 0])
    return y * x


FUNCTIONS = [value for value in list(globals().values())
             if callable(value) and getattr(value, "__module__", "") == __name__]


def _plainly(function, x):
    """NumPy's own result: the function on a plain array."""
    return function(x.copy())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_value_is_numpys(function):
    expected = _plainly(function, X)
    np.testing.assert_allclose(sciad.vjp(function, X)[0], expected, rtol=1e-14)
    np.testing.assert_allclose(sciad.jvp(function, (X,), (X,))[0], expected, rtol=1e-14)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_derivatives(function):
    sciad.check_grads(function, (X,))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_callers_array_is_untouched(function):
    x = X.copy()
    sciad.vjp(function, x)
    sciad.jvp(function, (x,), (x,))
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_recorded(function):
    if function is mask_and_index:
        pytest.skip("a mask that depends on data cannot be recorded")
    recorded = record(function, X)
    recorded.graph.check()
    np.testing.assert_allclose(recorded(X), _plainly(function, X), rtol=1e-14)


def test_argument_itself_may_be_written():
    def f(x):
        x[0] = x[1] * x[2]
        x *= 2.0
        return np.sum(x**2)

    x = np.array([1.0, 2.0, 3.0])
    sciad.check_grads(lambda x: f(x * 1.0), (x,))
    np.testing.assert_allclose(sciad.grad(f)(x), sciad.grad(lambda x: f(x * 1.0))(x))
    np.testing.assert_array_equal(x, [1.0, 2.0, 3.0])


def test_outer_buffer_written_inside_inner_transform():
    def f(x):
        y = x * x

        def inner(s):
            y[0] = x[1] * 3.0
            return s * y[0]

        slope = sciad.grad(inner)(2.0)
        return slope * y[0] + y[1]

    def pure(x):
        return (3.0 * x[1]) ** 2 + x[1] ** 2

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(sciad.grad(f)(x), sciad.grad(pure)(x))


def test_inner_value_in_outer_buffer_is_right_or_raises():
    def f(x):
        y = x * x

        def inner(s):
            y[0] = s * x[1]
            return y[0] * s

        slope = sciad.grad(inner)(x[0])
        return slope + y[0]

    x = np.array([1.5, 2.0])
    np.testing.assert_allclose(sciad.grad(f)(x), sciad.grad(lambda x: 3 * x[0] * x[1])(x))


def test_plain_operand_overwritten_later_keeps_the_gradient():
    w = np.array([1.0, 2.0])

    def f(x):
        y = x * w
        w[:] = 100.0
        return np.sum(y * x)

    np.testing.assert_allclose(sciad.grad(f)(np.ones(2)), [2.0, 4.0])


# --- random programs of views and assignments -----------------------------------------------------

PROGRAM = st.lists(
    st.tuples(st.sampled_from(["view", "write", "scale", "copy", "use"]), st.integers(0, 11),
              st.integers(0, 11)),
    min_size=1, max_size=12)


def _views_of(y):
    """Ways of looking at an array, by its number of dimensions."""
    ways = [lambda y: y.T, lambda y: y.reshape(-1), lambda y: y[::-1], lambda y: y[1:],
            lambda y: y[..., ::2], lambda y: y[..., None]]
    if y.ndim > 1:
        ways += [lambda y: y[0], lambda y: y.swapaxes(0, 1), lambda y: y[:, 1:]]
    return ways


def _run(program, x):
    handles = [x * x]
    total = 0.0
    for action, i, j in program:
        y = handles[i % len(handles)]
        if y.size == 0 or y.ndim > 4:
            continue
        if action == "view":
            ways = _views_of(y)
            handles.append(ways[j % len(ways)](y))
        elif action == "write":
            other = handles[j % len(handles)]
            if y.ndim and other.size:
                y[j % len(y)] = other.reshape(-1)[i % other.size] * x[0, 0]
        elif action == "scale":
            y *= x.reshape(-1)[j]
        elif action == "copy":
            handles.append(y.copy())
        else:
            total = total + np.sum(y * y) * x[1, 1]
    return total + sum(np.sum(y * (k + 1)) for k, y in enumerate(handles))


@given(PROGRAM)
def test_random_programs(program):
    def f(x):
        return _run(program, x)

    expected = f(X.copy())
    value, slope = sciad.value_and_grad(f)(X)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    v = np.cos(np.arange(12.0)).reshape(3, 4)
    tangent = sciad.jvp(f, (X,), (v,))[1]
    np.testing.assert_allclose(np.sum(slope * v), tangent, rtol=1e-10)
    h = 1e-30
    np.testing.assert_allclose(tangent, f(X + 1j * h * v).imag / h, rtol=1e-10, atol=1e-10)
    recorded = record(f, X)
    np.testing.assert_allclose(recorded(X), expected, rtol=1e-12)
    np.testing.assert_allclose(sciad.grad(lambda x: recorded(x))(X), slope, rtol=1e-10)
