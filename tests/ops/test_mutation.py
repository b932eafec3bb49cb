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


def flat_assign(x):
    y = x * x
    y.flat[3] = x[0,0]*5
    y.flat[::4] = x[1,:3]
    return y * x


def flat_all(x):
    y = x * x
    y.flat = x[0,0]
    return y * x


def flat_iter(x):
    y = x * x
    return sum(v*k for k,v in enumerate(y.flat))


def real_imag(x):
    z = x + 1j*x**2
    z.real[0] = x[1]
    z.imag[1] *= x[0]
    z[2] = 1j*x[0]
    return (z*z).real + np.abs(z)


def real_assign(x):
    z = x + 1j*x**2
    z.real = x*3
    z.imag = x[0]
    return (z*z).real


def diagonals(x):
    y = x * x
    return np.diagonal(y)*2 + y.diagonal()


def diag_einsum_view(x):
    y = (x * x)[:, :3].copy()
    np.einsum('ii->i', y)[:] = x[0,:3]
    return y


def fill_diag(x):
    y = x * x
    np.fill_diagonal(y, x[0,0]*7)
    return y * y


def put_entries(x):
    y = x * x
    np.put(y, [0, 5, 5], x[0,:3])
    y.put([1,2], x[1,:2])
    return y * y


def put_along(x):
    y = x * x
    np.put_along_axis(y, np.argmax(X, axis=1)[:,None], x[:, :1]*3, 1)
    return y * y


def copyto(x):
    y = x * x
    np.copyto(y, x[0]*2)
    np.copyto(y[1:], x[:2], where=X[1:]>1)
    return y * y


def place_entries(x):
    y = x * x
    np.place(y, X>1, x[0])
    return y * y


def putmask(x):
    y = x * x
    np.putmask(y, X>1, x*5)
    return y * y


def add_at(x):
    y = x * x
    np.add.at(y, ([0,0,1],[1,1,2]), x[0,:3])
    np.add.at(y[1], [0,0], x[1,1])
    np.subtract.at(y, 2, x[0])
    np.multiply.at(y, (1, [1,2]), x[0,0])
    return y * y


def out_keyword(x):
    y = snp.zeros((3,4))
    np.exp(x, out=y)
    np.add(y, x, out=y)
    np.multiply(y.T, 2.0, out=y.T)
    return y


def out_reduce(x):
    y = snp.zeros(4)
    np.sum(x * x, axis=0, out=y)
    return y


def out_matmul(x):
    y = snp.zeros((3,3))
    np.matmul(x, x.T, out=y)
    np.dot(x, x.T, out=y)
    return y


def out_clip(x):
    y = snp.zeros((3,4))
    np.clip(x, .4, 1.2, out=y)
    return y


def ufunc_where(x):
    y = snp.zeros((3,4))
    np.sqrt(x, out=y, where=X>1)
    return y


def accumulate_out(x):
    y = snp.zeros(4)
    np.add.accumulate(x[0], out=y)
    np.cumsum(x[1], out=y[:])
    return y


def sort_in_place(x):
    y = -x * x
    y.sort()
    y[0].sort()
    y.sort(axis=0)
    return y * x


def sort_view(x):
    y = np.sin(x*9)
    z = y[:, ::2]
    z.sort(axis=0)
    y.T[1].sort()
    return y * x


def partition_in_place(x):
    y = np.sin(x*9)
    y.partition(2)
    return np.sum(y[:, :2])*x


def neg_step(x):
    y = x * x
    y[::-1, ::-2] = x[:, :2]
    y[-1:0:-1] += x[0]
    y[2:0:-1, 1] *= x[:2, 0]
    return y * x


def ellipsis_newaxis(x):
    y = x * x
    y[..., 0] = x[:, 1]
    y[..., None, 1] = x[:, 1:2]*3
    y[None, 0][0, 2:] = x[1, :2]
    y[..., np.newaxis][1, 1, 0] = x[0,0]
    y[...] *= 2
    y[None] += x
    return y * x


def bool2d(x):
    y = x * x
    m = X > 0.9
    y[m] = x[m]*x[0,0]
    y[~m] += 1.0
    y[m] **= 2
    return y * x


def bool_rowcol(x):
    y = x * x
    y[np.array([True,False,True]), 1] = x[:2, 0]
    y[np.array([True,False,True]), 1:3] *= x[1, :2]
    y[:, np.array([True,False,True,False])] -= x[:, :2]
    return y * x


def bool_scalar(x):
    y = x * x
    y[True] = y*2
    y[False] = 5.0
    return y * x


def bool_scalar_read(x):
    y = x * x
    return y[True][0] + y[None][0]


def empty_slices(x):
    y = x * x
    y[3:] = x[:0]
    y[:0] = 5.0
    y[:, 2:2] *= 3.0
    y[[]] = 1.0
    y[np.zeros((3,4), bool)] = 4.0
    return y * x + y[5:].sum()


def buffer_without_dimensions(x):
    y = snp.array(x[0,0])
    y *= 2.0
    y[()] = y * x[0,1]
    y[...] += 1.0
    y += x[1,1]
    z = y[...]
    z *= 3.0
    return y * z


def zero_d_after_mul(x):
    y = snp.zeros(())
    y += x[0,0]
    y *= x[0,1]
    y[()] = y + 1
    y[...] = y * y
    return y


def full_without_dimensions(x):
    y = snp.full((), x[0,0])
    y[()] = y*2
    return y


def iadd_scalar_not_alias(x):
    s = x[0,0]
    t = s
    s += 1.0
    s *= 2
    return s*t


def reduce_not_alias(x):
    s = x.sum()
    t = s
    s += 1.0
    return s*t


def row_iter(x):
    y = x * x
    for k, row in enumerate(y):
        row[:] = row * x[k] + 1
        row[0] = x[0,0]
    return y * x


def double_index(x):
    y = x * x
    y[0][1] = x[1,1]
    y[1][1:][0] *= x[2,2]
    y[[0,1]][0] = 100.0
    return y * x


def swap_views(x):
    y = x * x
    a, b = y[0], y[1]
    a, b = b, a
    a[0] = x[2,2]
    y[0], y[1] = y[1], y[0]
    return y * x


def swap_copy(x):
    y = x * x
    y[0], y[1] = y[1].copy(), y[0].copy()
    y[[0,1]] = y[[1,0]]
    y[:, [0, 2]] = y[:, [2, 0]]
    return y * x


def overlap(x):
    y = (x * x).ravel()
    y[1:] = y[:-1]
    y[1:] += y[:-1]
    y[:-1] -= y[1:]
    y[:] = y[::-1] * x[0,0]
    y[2:8] = y[:6]
    return y


def repeat_idx(x):
    y = (x * x).ravel()
    y[[0,0,1]] = x[0,:3]
    y[[2,2,3]] += x[1,:3]
    y[np.array([[0,1],[1,0]])] *= x[:2,:2]
    return y


def splits(x):
    y = x * x
    a, b = np.split(y, 2, axis=1)
    a[:] = b
    b *= x[0,0]
    c, d, e = np.vsplit(y, 3)
    c[0,0] = x[1,1]
    h = np.hsplit(y, 2)[1]
    h += 1.0
    u = np.array_split(y, 2)[0]
    u[0] *= 2.0
    return y * x


def unstack_like(x):
    y = x * x
    a, b, c = y
    a[:] = b*c
    return y * x


def flips(x):
    y = x * x
    np.flip(y)[0] = x[1]
    np.fliplr(y)[:, 0] *= x[:, 1]
    np.flipud(y)[1] += x[0]
    np.rot90(y)[0] = x[:,0]
    np.swapaxes(y, 0, 1)[0] -= x[:, 3]
    np.rollaxis(y, 1)[1] *= 2.0
    np.atleast_3d(y)[0,0,0] = x[0,3]
    np.atleast_2d(y)[0,1] = x[0,3]
    return y * x


def reshape_np(x):
    y = x * x
    np.reshape(y, (4,3))[0] = x[:,0]
    np.ravel(y)[5:7] = x[0,:2]
    np.transpose(y)[2] = x[:,1]
    np.squeeze(y[:, :1])[1] = x[0,0]
    np.expand_dims(y, (0, 3))[0,0,0,0] = x[2,2]
    y.reshape(-1, 2).reshape(3,2,2).transpose(2,0,1)[1, :, 0] *= x[:,0]
    return y * x


def asarray_alias(x):
    y = x * x
    z = snp.asarray(y)
    z[0] = x[1]
    return y * x


def copies_are_apart(x):
    y = x * x
    for z in (y.copy(), np.copy(y), y.flatten(), np.array(y), y[[0, 1]], y[X > 1], y * 1, +y,
              y.astype(float), y.take([0, 1]), np.concatenate([y]), np.tile(y, (1, 1)),
              y.repeat(1)):
        z[0] = 100.0
    return y * x


def astype_nocopy(x):
    y = x * x
    z = y.astype(float, copy=False)
    z[0] = x[1]
    return y * x


def broadcast_read(x):
    y = x * x
    b = np.broadcast_to(y[0], (3,4))
    y[0] = x[1]
    return b * x


def broadcast_arrays(x):
    y = x * x
    a, b = np.broadcast_arrays(y[0], y)
    return a * b


def imatmul(x):
    y = (x * x)[:, :3].copy()
    y @= x[:, :3]
    return y


def broadcasting_iadd(x):
    y = x * x
    y += x[0]
    y -= x[:, :1]
    y[0] *= 3
    y[:, 1] += x[0,0]
    y[1:3, 2:] = x[0, :1]
    return y * x


def list_value(x):
    y = x * x
    y[0] = [x[0,0], 1.0, x[1,1]*2, 3]
    y[1, :2] = (x[0,0], 2)
    y[:2, :2] = [[1.0, x[0,0]], [x[1,1], 0]]
    y[2] = range(4)
    return y * x


def nested_obj(x):
    y = x * x
    y[0] = np.array([x[0,0], 1.0, x[1,1]*2, 3])
    return y * x


def aug_index_array(x):
    y = x * x
    i = np.array([0,2])
    j = np.array([[1],[3]])
    y[i, j] += x[:2, :2]
    y[np.ix_([0,1],[1,2])] *= 2
    y[1, [0,1]] = y[1, [1,0]]
    i[:] = 0
    return y * x


def index_mutated(x):
    i = np.arange(3)
    z = (x * x)[i, i]
    i[:] = 0
    return z * x[0,:3]


def mask_mutated(x):
    m = X > 1
    z = (x * x)[m]
    m[:] = True
    return z * 2


def w_view(x):
    w = np.ones((3,4))
    v = w[:]
    z = x*v
    w[:] = 100
    return z * x


def w_readonly_view(x):
    w = np.ones((3,4))
    v = w[:]
    v.flags.writeable=False
    z = x*v
    w[:] = 100
    return z * x


def buffer_from_plain(x):
    w = np.ones((3,4))
    y = snp.array(w)
    y[0] = x[0]
    y[1] *= 2
    return y * x + w


def like_functions(x):
    y = np.zeros_like(x)
    y[1:] = x[1:]*x[0,0]
    z = np.empty_like(x, shape=(2,))
    z[:] = x[0,:2]
    f = np.full_like(x, 2.0)
    f[0]=x[1]
    o = np.ones_like(x)
    o *= x
    return y * z[0]*f+o


def setitem_tuple_list(x):
    y = x * x
    y[(0,1)] = x[1,1]
    y[([0,1],[1,2])] = x[0,:2]
    y[[True,False,True]] = 0.5
    return y * x


def while_fill(x):
    y = snp.zeros(6)
    y[0] = 1.0
    for k in range(1,6):
        y[k] = y[k-1]*x[0,0] + y[max(k-2,0)]*x[1,1]
        if k % 2:
            y[:k] *= x[0,1]
    return y


def tri_solve(x):
    A = x[:, :3] + 3*np.eye(3)
    b = x[:,0]*1.0
    n = 3
    for k in range(n-1):
        for i in range(k+1,n):
            m = A[i,k]/A[k,k]
            A[i,k:] -= m*A[k,k:]
            b[i] -= m*b[k]
    s = snp.zeros(n)
    for i in range(n-1,-1,-1):
        s[i] = (b[i]-A[i,i+1:]@s[i+1:])/A[i,i]
    return s


def view_method(x):
    y = x * x
    z = y.view()
    z[0] = 1.0
    return y


def squeeze_method(x):
    y = x * x
    y[None].squeeze()[0]=x[1]
    y[None].squeeze(0)[1]=x[0]
    return y * x


def swap_of_entries(x):
    y = x * x
    y[1,1], y[0,0] = y[0,0], y[1,1]
    return y * x


def meshgrid_nocopy(x):
    y = x * x
    a,b = np.meshgrid(y[0], y[1], copy=False)
    return a * b


def lin_in_place(x):
    y = x * x
    np.negative(y, y)
    np.add(y, 1, y)
    np.maximum(y, 0.2, out=y)
    np.divide(y, x, out=y[:])
    return y


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


# --- what shares memory, and what does not --------------------------------------------------------

VIEWS = {
    "diagonal": np.diagonal, "diag": np.diag, "diagonal of blocks": lambda y: np.diagonal(
        y[:, None, :], 0, 0, 2), "diagonal of transpose": lambda y: y.T.diagonal(1),
    "einsum diagonal": lambda y: np.einsum("ii->i", y[:, :3]),
    "einsum transpose": lambda y: np.einsum("ij->ji", y),
    "einsum dots": lambda y: np.einsum("i...->...i", y),
    "broadcast_to": lambda y: np.broadcast_to(y, (2, 3, 4)),
    "split": lambda y: np.split(y, 2, 1)[1],
    "flip": np.flip, "rot90": np.rot90, "rollaxis": lambda y: np.rollaxis(y, 1),
    "moveaxis": lambda y: np.moveaxis(y, 0, 1), "squeeze": lambda y: np.squeeze(y[None]),
    "expand_dims": lambda y: np.expand_dims(y, 1), "atleast_3d": np.atleast_3d, "ravel": np.ravel,
    "reshape": lambda y: np.reshape(y, (2, 6)), "real": np.real, "asarray": np.asarray,
    "matrix_transpose": np.matrix_transpose, "astype": lambda y: y.astype(float, copy=False),
    "view": lambda y: y.view(), "ravel of transpose": lambda y: y.T.ravel(),
    "rows": lambda y: next(iter(y)), "flatten": lambda y: y.flatten(), "positive": lambda y: +y,
    "take": lambda y: y.take([0], 0), "mask": lambda y: y[X > 1], "clip": lambda y: y.clip(-9, 9),
    "np.array": np.array, "slice of asarray": lambda y: np.asarray(y)[1:, ::2],
}


def _value(function):
    """NumPy's result, sciad's, or the kind of error."""
    def outcome(run):
        try:
            return np.asarray(run())
        except ValueError:
            return "refused"

    return outcome(lambda: function(X.copy())), outcome(lambda: sciad.vjp(function, X)[0])


@pytest.mark.parametrize("name", VIEWS)
def test_view_sees_what_its_base_becomes(name):
    def f(x):
        y = x * x
        v = VIEWS[name](y)
        y[:] = y[::-1, ::-1] * x[0, 0]
        return v * 1.0

    expected, got = _value(f)
    np.testing.assert_allclose(got, expected)
    sciad.check_grads(f, (X,))


@pytest.mark.parametrize("name", [name for name in VIEWS if "asarray" not in name])
def test_base_sees_what_is_written_into_its_view(name):
    def f(x):
        y = x * x
        v = VIEWS[name](y)
        v[...] = v * x[0, 0]
        return y * x

    expected, got = _value(f)
    if isinstance(expected, str):
        assert isinstance(got, str) and got == expected
        return
    np.testing.assert_allclose(got, expected)
    sciad.check_grads(f, (X,))


def test_stopped_value_is_a_copy():
    def f(x):
        y = x * x
        z = y * y
        held = sciad.stop_gradient(y)
        held[:] = 100.0
        return np.sum(z + y)

    np.testing.assert_allclose(sciad.grad(f)(X), 4 * X**3 + 2 * X)


# --- saved values ---------------------------------------------------------------------------------


def _through_view(w):
    return w[:]


def _through_reading_view(w):
    v = w[:]
    v.flags.writeable = False
    return v


@pytest.mark.parametrize("use", [
    lambda x, w: x * w, lambda x, w: w / (x + 2.0), lambda x, w: np.where(w > 0, x, 0.0) * w,
    lambda x, w: np.dot(w, x) * x, lambda x, w: x ** w, lambda x, w: np.maximum(x, w),
    lambda x, w: x[np.argsort(-w)] * 2.0, lambda x, w: x[w > 2] ** 2, lambda x, w: x * list(w),
    lambda x, w: np.interp(x, np.arange(w.size), w), lambda x, w: np.convolve(x, w),
    lambda x, w: np.outer(x, w), lambda x, w: sciad.jit(lambda x: x * w)(x),
    lambda x, w: x * np.asarray([w, w])[0],
], ids=range(14))
@pytest.mark.parametrize("look", [lambda w: w, _through_view, _through_reading_view])
@pytest.mark.parametrize("size", [4, 500])
def test_operand_overwritten_later_is_right_or_raises(use, look, size):
    rng = np.random.default_rng(3)
    x, plain = rng.uniform(0.2, 0.9, size), rng.uniform(0.5, 3.0, size)

    def f(x):
        w = plain.copy()
        y = use(x, look(w))
        w[:] = 100.0
        return np.sum(y * y)

    expected = sciad.grad(lambda x: np.sum(use(x, plain) ** 2))(x)
    try:
        slope = sciad.grad(f)(x)
    except sciad.SciadError as error:
        assert size > 64 and "overwritten" in str(error)
    else:
        np.testing.assert_allclose(slope, expected)


@pytest.mark.parametrize("size", [4, 500])
def test_overwritten_indices_and_masks_are_right_or_raise(size):
    x = np.linspace(0.1, 0.9, size)

    def f(x):
        index, mask = np.arange(size)[::-1].copy(), np.arange(size) % 2 == 0
        y, z = x[index] * x, x[mask]
        buffer = snp.zeros(size)
        buffer[index] = x * x
        index[:], mask[:] = 0, True
        return np.sum(y * x) + np.sum(z) + np.sum(buffer * x)

    expected = 4 * x * x[::-1] + x[::-1] ** 2 * 2 + (np.arange(size) % 2 == 0)
    expected = sciad.grad(lambda x: np.sum(2 * x * x * x[::-1]) + np.sum(x[::2]))(x)
    try:
        slope = sciad.grad(f)(x)
    except sciad.SciadError as error:
        assert size > 64 and "overwritten" in str(error)
    else:
        np.testing.assert_allclose(slope, expected)


@pytest.mark.parametrize("dtype, factor, error", [
    (np.float32, 1.0, None), (np.int64, 1.0, "floats"), (bool, 1.0, "floats"),
    (np.float64, 1j, "np.real"), (np.complex128, 1j, None), (np.complex64, 1.0, None),
])
def test_dtype_of_what_is_written(dtype, factor, error):
    def f(x):
        y = snp.zeros(3, dtype)
        y[1:] = x[:2] * factor
        assert y.dtype == dtype
        return np.sum(np.abs(y) ** 2)

    x = np.array([1.0, 2.0, 3.0])
    if error:
        with pytest.raises(sciad.SciadError, match=error):
            sciad.grad(f)(x)
    else:
        np.testing.assert_allclose(sciad.grad(f)(x), [2.0, 4.0, 0.0], rtol=1e-6)


def test_memory_that_cannot_follow_is_refused():
    x = np.array([1.0, 2.0, 3.0])
    for f, message in [(lambda x: x.resize((2, 2)), "np.resize"),
                       (lambda x: x.view(np.int64), "astype"),
                       (lambda x: setattr(x, "imag", 1.0), "imaginary")]:
        with pytest.raises(sciad.SciadError, match=message):
            sciad.vjp(f, x)


def _spin(x):
    psi = x + 0j
    psi[0] = 1j * x[0] ** 2
    return np.sum(np.abs(psi * (1 + 0.5j) + 0.2j) ** 4)


def _spin_in_parts(x):
    z = x * (1 + 0j)
    np.add.at(z, [0, 0], 1j * x[:2])
    z.imag[1] = x[0] ** 2
    z[:1] *= 1 + 1j * x[1]
    return np.sum(np.abs(z) ** 3)


@pytest.mark.parametrize("f", [_spin, _spin_in_parts])
def test_complex_writes_into_what_was_real(f):
    """The tangent of ``x + 0j`` is real until a complex one is written into it."""
    x = np.array([0.3, 0.7])
    sciad.check_grads(f, (x,))
    difference = [(sciad.grad(f)(x + e) - sciad.grad(f)(x - e)) / 2e-6 for e in 1e-6 * np.eye(2)]
    np.testing.assert_allclose(sciad.hessian(f)(x), np.stack(difference), atol=1e-7)
    np.testing.assert_allclose(sciad.jit(lambda x: sciad.jvp(f, (x,), (np.ones(2),))[1])(x),
                               np.sum(sciad.grad(f)(x)), rtol=1e-13)
