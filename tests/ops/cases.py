"""The case table: one line a case. Every primitive of `sciad.ops` must occur in one of them.

A case is a name, a function written in plain NumPy, and makers of its arguments. Elementwise lines
expand over shapes, dtypes and broadcasting.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import sciad
from sciad import numpy as snp


class Case(NamedTuple):
    name: str
    function: Callable
    args: tuple
    order: int = 2


def real(*shape, dtype=np.float64, seed=0):
    """Normal numbers, none of them near another or near zero."""
    size = int(np.prod(shape, dtype=int))
    grid = (np.arange(size) - size // 2) * 0.37 + 0.21
    return np.random.default_rng(seed).permutation(grid).reshape(shape).astype(dtype)[()]


def positive(*shape, dtype=np.float64, seed=0):
    return (np.abs(real(*shape, seed=seed)) + 0.5).astype(dtype)[()]


def unit(*shape, dtype=np.float64, seed=0):
    """Numbers in (-0.9, 0.9), none near zero."""
    return (0.9 * np.tanh(real(*shape, seed=seed) + 0.05)).astype(dtype)[()]


def complex_(*shape, dtype=np.complex128, seed=0):
    return (real(*shape, seed=seed) + 1j * positive(*shape, seed=seed + 1)).astype(dtype)[()]


def matrix(n, seed=0):
    """A well-conditioned square matrix."""
    return 2.0 * np.eye(n) + 0.3 * np.random.default_rng(seed).standard_normal((n, n))


SHAPES = [(), (3,), (2, 3), (0,), (2, 0)]
PAIRS = [((), ()), ((3,), ()), ((), (3,)), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)),
         ((0,), (1,)), ((1,), (0,))]


def unary(function, make, holomorphic=False, name=None):
    name = name or function.__name__
    for shape in SHAPES:
        yield Case(f"{name}{shape}", function, (make(*shape),))
    yield Case(f"{name}[f32]", function, (make(3, dtype=np.float32),), 1)
    if holomorphic:
        yield Case(f"{name}[c128]", function, (complex_(3),))
        yield Case(f"{name}[c64]", function, (complex_(2, dtype=np.complex64),), 1)


def binary(function, left, right, holomorphic=False, name=None):
    name = name or function.__name__
    for a, b in PAIRS:
        yield Case(f"{name}{a}{b}", function, (left(*a), right(*b, seed=5)))
    yield Case(f"{name}[f32]", function,
               (left(3, dtype=np.float32), right(1, dtype=np.float32, seed=5)), 1)
    yield Case(f"{name}[same]", lambda x: function(x, x), (positive(3),))
    yield Case(f"{name}[left constant]", lambda y: function(left(2, 1), y), (right(3, seed=5),))
    yield Case(f"{name}[right constant]", lambda x: function(x, right(3, seed=5)), (left(2, 1),))
    yield Case(f"{name}[python]", lambda x: function(x, 1.5) + function(2.5, x), (positive(3),))
    if holomorphic:
        yield Case(f"{name}[c128]", function, (complex_(3), complex_(3, seed=5)))
        yield Case(f"{name}[mixed]", function, (complex_(2, 1), positive(3, seed=5)))
        yield Case(f"{name}[mixed reversed]", function, (positive(3), complex_(2, 1)))


def _table():
    # --- elementwise: arithmetic
    yield from binary(np.add, real, real, True)
    yield from binary(np.subtract, real, real, True)
    yield from binary(np.multiply, real, real, True)
    yield from binary(np.divide, real, positive, True)
    yield from binary(np.power, positive, real, True)
    yield from binary(np.arctan2, real, positive)
    yield from binary(np.hypot, real, positive)
    yield from binary(np.floor_divide, real, positive)
    yield from binary(np.remainder, real, positive)
    yield from unary(np.negative, real, True)
    yield from unary(np.positive, real, True)
    yield from unary(np.square, real, True)
    yield from unary(np.reciprocal, positive, True)
    yield from unary(lambda x: x**3, real, True, "cube")
    yield from unary(lambda x: x**2.0, real, True, "square of float")
    yield from unary(lambda x: x**-2, real, True, "inverse square")
    yield from unary(lambda x: x**0, real, True, "power zero")
    yield from unary(lambda x: x**0.5, positive, True, "power half")
    yield from unary(lambda x: 2.0**x, real, False, "two to the x")
    # --- elementwise: exponentials, trigonometry
    for function in [np.exp, np.expm1, np.sin, np.cos, np.tan, np.arctan, np.sinh, np.cosh,
                     np.tanh]:
        yield from unary(function, unit, True)
    for function in [np.log, np.log2, np.log10, np.log1p, np.sqrt]:
        yield from unary(function, positive, True)
    yield from unary(np.arcsin, unit)
    yield from unary(np.arccos, unit)
    # --- elementwise: comparison, logic, rounding (derivative zero)
    for function in [np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal]:
        yield Case(function.__name__, lambda x, y, f=function: x * f(x, y),
                   (real(3), real(3, seed=3) + 0.1))
    for function in [np.logical_and, np.logical_or, np.logical_xor]:
        yield Case(function.__name__, lambda x, f=function: x * f(x > 0, x < 1), (real(3),))
    yield Case("logical_not", lambda x: x * np.logical_not(x > 0), (real(3),))
    for function in [np.isfinite, np.isnan, np.isinf]:
        yield Case(function.__name__, lambda x, f=function: x * f(x), (real(3),))
    for function in [np.sign, np.floor, np.ceil, np.trunc, np.rint]:
        yield Case(function.__name__, lambda x, f=function: x * f(3 * x), (real(3),))
    # --- elementwise: selection
    yield from binary(np.maximum, real, lambda *s, **k: real(*s, **k) + 0.05, name="maximum")
    yield from binary(np.minimum, real, lambda *s, **k: real(*s, **k) + 0.05, name="minimum")
    yield from binary(lambda x, y: np.where(x > 0.3, x * y, y), real, real, True, "where")
    yield Case("where mask", lambda x, y: np.where(np.array([True, False, True]), x, y),
               (real(2, 1), real(3)))
    yield Case("where scalars", lambda x: np.where(x > 0, x**2, 0.0), (real(3),))
    yield from unary(lambda x: np.clip(x, -0.3, 0.5), real, False, "clip")
    yield Case("clip by arrays", np.clip, (real(3), real(3) - 0.2, real(3) + 0.1))
    # --- elementwise: complex, dtypes
    yield from unary(np.abs, real, True, "abs")
    yield from unary(np.conj, real, True, "conj")
    yield from unary(np.real, real, True, "real")
    for shape in SHAPES:
        yield Case(f"imag{shape}", np.imag, (complex_(*shape),))
    yield Case("angle", np.angle, (complex_(3),))
    yield Case("astype f32", lambda x: x.astype(np.float32) * 1.0, (real(3, dtype=np.float32),), 1)
    yield Case("astype complex", lambda x: np.abs(x.astype(complex) * (1 + 2j)), (real(3),))
    # --- reductions
    for name, f in [("sum", np.sum), ("mean", np.mean), ("max", np.max), ("min", np.min),
                    ("prod", np.prod), ("var", np.var), ("std", np.std)]:
        for axis in [None, 0, -1, (0, 1)]:
            for keep in [False, True]:
                yield Case(f"{name}[{axis},{keep}]",
                           lambda x, f=f, a=axis, k=keep: f(x, axis=a, keepdims=k), (real(2, 3),))
        yield Case(f"{name}[f32]", f, (real(5, dtype=np.float32),), 1)
        yield Case(f"{name}()", lambda x, f=f: f(x) * x, (np.float64(1.5),),
                   1 if name == "std" else 2) if name != "std" else Case(
                   "std()", lambda x: np.std(np.stack([x, 2 * x])), (np.float64(1.5),))
    for name, f in [("sum", np.sum), ("mean", np.mean), ("prod", np.prod), ("var", np.var),
                    ("std", np.std), ("cumsum", np.cumsum)]:
        yield Case(f"{name}[c128]", f, (complex_(2, 3),))
    yield Case("sum of nothing", lambda x: np.sum(x, axis=1), (real(2, 0),))
    yield Case("prod with zeros", np.prod, (np.array([2.0, 0.0, 3.0, -1.0]),))
    yield Case("prod with two zeros", np.prod, (np.array([2.0, 0.0, 0.0, -1.0]),))
    yield Case("prod of nothing", lambda x: np.prod(x, axis=1), (real(2, 0),))
    yield Case("var ddof", lambda x: np.var(x, axis=0, ddof=1), (real(4, 2),))
    yield Case("std ddof", lambda x: np.std(x, ddof=1), (real(4),))
    for axis in [None, 0, 1]:
        yield Case(f"cumsum[{axis}]", lambda x, a=axis: np.cumsum(x, axis=a), (real(2, 3),))
    yield Case("any", lambda x: x * np.any(x > 0, axis=0), (real(2, 3),))
    yield Case("all", lambda x: x * np.all(x > -9, axis=1, keepdims=True), (real(2, 3),))
    yield Case("argmax", lambda x: x[np.argmax(x)] ** 2, (real(4),))
    yield Case("argmin axis", lambda x: x[np.arange(2), np.argmin(x, axis=1)], (real(2, 3),))
    yield Case("diff", lambda x: np.diff(x, n=2, axis=0), (real(4, 2),))
    # --- products, solves
    for a, b in [((3,), (3,)), ((2, 3), (3,)), ((2,), (2, 3)), ((2, 3), (3, 2)),
                 ((4, 2, 3), (3, 2)), ((4, 2, 3), (4, 3, 1)), ((2, 3), (4, 3, 2)),
                 ((3,), (4, 3, 2)), ((4, 2, 3), (3,)), ((0, 3), (3, 2)), ((2, 0), (0, 3))]:
        yield Case(f"matmul{a}{b}", lambda x, y: x @ y, (real(*a), real(*b, seed=3)))
        yield Case(f"dot{a}{b}", np.dot, (real(*a), real(*b, seed=3)))
    yield Case("dot scalar", np.dot, (real(3), real()))
    yield Case("matmul[c128]", np.matmul, (complex_(2, 3), complex_(3, 2)))
    yield Case("matmul[mixed]", np.matmul, (real(2, 3), complex_(3, 2)))
    yield Case("matmul constant", lambda x: matrix(3) @ x, (real(3),))
    yield Case("outer", np.outer, (real(2), real(3)))
    yield Case("inner", np.inner, (real(2, 3), real(4, 3)))
    yield Case("vdot", np.vdot, (complex_(3), complex_(3, seed=2)))
    yield Case("trace", np.trace, (real(3, 2),))
    yield Case("solve vector", np.linalg.solve, (matrix(3), real(3)))
    yield Case("solve matrix", np.linalg.solve, (matrix(3), real(3, 2)))
    yield Case("solve stack", np.linalg.solve, (np.stack([matrix(2), matrix(2, 1)]), real(2, 1)))
    yield Case("solve[c128]", np.linalg.solve, (matrix(2) + 1j * matrix(2, 1), complex_(2)))
    yield Case("solve[mixed]", np.linalg.solve, (matrix(2), complex_(2)))
    yield Case("solve constant", lambda b: np.linalg.solve(matrix(3), b), (real(3),))
    yield Case("inv", np.linalg.inv, (matrix(3),))
    for order in [None, 1, 2, 3, np.inf, -np.inf]:
        yield Case(f"norm[{order}]", lambda x, o=order: np.linalg.norm(x, o), (real(4),))
    for order in [None, "fro", 1, -1, np.inf, -np.inf]:
        yield Case(f"matrix norm[{order}]", lambda x, o=order: np.linalg.norm(x, o), (real(2, 3),))
    yield Case("norm axis", lambda x: np.linalg.norm(x, axis=1, keepdims=True), (real(2, 3),))
    yield Case("norm[c128]", np.linalg.norm, (complex_(3),))
    # --- shapes
    yield Case("reshape", lambda x: np.reshape(x, (3, -1)) ** 2, (real(2, 3),))
    yield Case("ravel", lambda x: np.ravel(x.T) ** 2, (real(2, 3),))
    yield Case("transpose", lambda x: np.transpose(x, (2, 0, 1)) ** 2, (real(2, 3, 2),))
    yield Case("swapaxes", lambda x: np.swapaxes(x, 0, -1) ** 2, (real(2, 3, 2),))
    yield Case("moveaxis", lambda x: np.moveaxis(x, (0, 1), (-1, 0)) ** 2, (real(2, 3, 4),))
    yield Case("expand_dims", lambda x: np.expand_dims(x, (0, 2)) ** 2, (real(2, 3),))
    yield Case("squeeze", lambda x: np.squeeze(x, 1) ** 2, (real(2, 1, 3),))
    yield Case("broadcast_to", lambda x: np.broadcast_to(x, (2, 3)) ** 2, (real(3),))
    yield Case("flip", lambda x: np.flip(x, 1) * x, (real(2, 3),))
    yield Case("roll", lambda x: np.roll(x, 2) * x, (real(2, 3),))
    yield Case("roll axis", lambda x: np.roll(x, -1, axis=0) * x, (real(3, 2),))
    yield Case("concatenate", lambda x, y: np.concatenate([x, y, x], axis=1) ** 2,
               (real(2, 3), real(2, 1)))
    yield Case("concatenate flat", lambda x, y: np.concatenate([x, y], axis=None) ** 2,
               (real(2, 3), real(2)))
    yield Case("concatenate constant", lambda x: np.concatenate([x, np.ones(2), x]) ** 2,
               (real(3),))
    yield Case("stack", lambda x, y: np.stack([x, y], axis=-1) ** 2, (real(2, 3), real(2, 3)))
    yield Case("stack scalars", lambda x: np.stack([x, 2 * x, x]) ** 2, (real(),))
    yield Case("hstack", lambda x, y: np.hstack([x, y]) ** 2, (real(2), real()))
    yield Case("vstack", lambda x, y: np.vstack([x, y]) ** 2, (real(3), real(2, 3)))
    yield Case("column_stack", lambda x, y: np.column_stack([x, y]) ** 2, (real(3), real(3, 2)))
    yield Case("pack", lambda x: np.array([x[0] * x[1], 1.0, x[2]]) * x, (real(3),))
    yield Case("pack matrix", lambda x: np.array([[x[0], x[1]], [x[1] * x[0], 2]]) @ x, (real(2),))
    # --- indexing
    for name, index in [
        ("integer", 1), ("negative", -1), ("pair", (0, 2)), ("slice", slice(1, None)),
        ("step", (slice(None), slice(None, None, -2))), ("ellipsis", (..., 1)),
        ("new axis", (None, slice(None), 0)), ("array", np.array([1, 0, 1])),
        ("arrays", (np.array([0, 1, 1]), np.array([2, 0, 0]))), ("list", [1, 1]),
        ("mixed", (slice(None), [2, 2, 0])), ("mask", np.array([True, False])),
        ("full mask", np.array([[True, False, True], [False, False, True]])),
        ("nothing", slice(0, 0)), ("empty list", []),
    ]:
        yield Case(f"read {name}", lambda x, i=index: x[i] ** 2, (real(2, 3),))

        def write(x, v, i=index):
            out = snp.copy(x)
            out[i] = v * x[i]
            return out * x

        yield Case(f"write {name}", write, (real(2, 3), real()))

        def increase(x, v, i=index):
            out = snp.copy(x)
            out[i] += v * x[i]
            return out * x

        yield Case(f"add {name}", increase, (real(2, 3), real()))
    # --- control flow (eager here; recorded in test_control)
    yield Case("cond", lambda x: sciad.cond(x[0] > 9, np.sin, np.exp, x), (real(3),))
    yield Case("scan", lambda c, xs: sciad.scan(lambda c, x: (c * x + 1, c * c), c, xs),
               (real(), real(3)))
    yield Case("while_loop", lambda x: sciad.while_loop(lambda s: s < 20, lambda s: s * s, x),
               (np.float64(2.2),))
    yield Case("weaken", lambda xs: sciad.scan(lambda c, x: (c * 0.5, c * x), 2.0, xs)[1],
               (real(3).astype(np.float32),))
    yield Case("stop_gradient", lambda x: x + 0.0 * sciad.stop_gradient(x), (real(3),))


CASES = list(_table())
