"""Products by BLAS: operands of any layout, stacks, vectors, float32."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm, loops
from tests.compiler.test_lower import compare

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

FLOATS = [np.float64, np.float32]


def grid(*shape, dtype=np.float64):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


LAYOUTS = {
    "plain": lambda x: x, "transpose": lambda x: x.T, "rows": lambda x: x[3:], "turned": lambda x:
    x[::-1], "columns": lambda x: x[:, 2:70], "every other": lambda x: x[:, ::2],
    "block of a transpose": lambda x: x.T[1:, 5:], "computed": lambda x: np.sin(x).T,
    "reshaped": lambda x: x.reshape(40, -1), "reshaped transpose": lambda x: x.T.reshape(40, -1),
    "stretched": lambda x: np.broadcast_to(x[0], x.shape), "joined": lambda x:
    np.concatenate([x[:3], x]), "one row": lambda x: x[4:5], "one column": lambda x: x[:, 4:5],
    "of a stack": lambda x: x.reshape(2, 40, 80)[1], "picked": lambda x: x[np.array([3, 1, 70])],
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name, dtype):
    view, x = LAYOUTS[name], grid(80, 80, dtype=dtype)
    height, width = view(x).shape
    left, right = grid(90, height, dtype=dtype), grid(width, 90, dtype=dtype)
    compare(lambda x, y: view(x) @ y, (x, right), 4000)
    compare(lambda x, y: y @ view(x), (x, left), 4000)
    compare(lambda x: view(x) @ view(x).T, (x,), 4000)
    compare(lambda x, v: view(x) @ v, (x, right[:, 0].copy()), 4000)
    compare(lambda x, v: v @ view(x), (x, left[0].copy()), 4000)
    compare(lambda x, y: y[0] @ view(x) + np.sum(view(x) @ y[:width, 0]), (x, grid(
        max(height, width), height, dtype=dtype)), 4000)
    compare(sciad.grad(lambda x, y: np.sum(np.sin(view(x) @ y)), (0, 1)), (x, right / 9), 10000)


@pytest.mark.parametrize("dtype", FLOATS)
def test_stacks(dtype):
    x, y = grid(3, 70, 80, dtype=dtype), grid(3, 80, 90, dtype=dtype)
    compare(lambda x, y: x @ y, (x, y), 4000)
    compare(lambda x, y: x @ y[0], (x, y), 4000)
    compare(lambda x, y: x[1] @ y, (x, y), 4000)
    compare(lambda x, y: x[:, None] @ y[:2], (x, y), 4000)
    compare(lambda x, y: np.swapaxes(y, -1, -2) @ np.swapaxes(x, 1, 2), (x, y), 4000)
    compare(lambda x, y: np.einsum("nij,njk->nik", x, y), (x, y), 4000)
    compare(lambda x, y: np.tensordot(x, y, ([2, 0], [1, 0])), (x, y), 4000)
    compare(lambda x, y: x @ y[:, :, 0][..., None], (x, y), 4000)
    compare(sciad.grad(lambda x, y: np.sum((x @ y) ** 2), (0, 1)), (x / 9, y / 9), 10000)


@pytest.mark.parametrize("shape", [(15, 16, 16), (16, 16, 16), (17, 16, 16), (1, 256, 256),
                                   (257, 256, 1), (1, 9000, 1), (9000, 1, 64), (64, 1, 9000)],
                         ids=str)
def test_extents_around_the_limits(shape):
    rows, inner, columns = shape
    compare(lambda x, y: x @ y, (grid(rows, inner), grid(inner, columns)), 40000)


def test_a_transpose_is_not_written_out():
    kernel = compare(lambda x: x @ x.T, (grid(100, 120),), 4000)
    assert " alloc " not in loops.text(kernel.lowered.module).split("func kernel")[-1]


def test_rows_of_a_loop():
    def f(xs, w):
        return sciad.scan(lambda c, x: (np.tanh(w @ c) + x @ w.T, c @ w), np.zeros((70, 70)), xs)

    compare(lambda xs, w: f(xs, w)[0], (grid(3, 70, 70) / 9, grid(70, 70) / 9), 4000)
