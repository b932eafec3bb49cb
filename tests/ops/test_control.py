"""cond, while_loop and scan: eager and recorded, derivatives in both modes to second order."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.core import tree
from sciad.core.errors import ArgumentError, DTypeError, SciadError
from sciad.core.record import record
from sciad.ops.control import BufferFull, capacity, loop_capacity

X = np.array([0.5, 1.5, -0.7])
NATIVE = llvm.available()


def cond_scalar(x):
    return sciad.cond(x[0] > 0, lambda y: np.sin(y) * y[1], lambda y: np.exp(y), x)


def cond_untaken(x):
    return sciad.cond(x[0] > 9, lambda y: np.sin(y) * y[1], lambda y: np.exp(y) * 2, x)


def cond_closure(x):
    y, z = x * 2, x[1] ** 3
    return sciad.cond(x[1] > 1, lambda: y * z, lambda: y + x[0]) * y


def cond_containers(x):
    out = sciad.cond(x[0] > 0, lambda p: {"a": p["b"] * 2, "n": 3}, lambda p: {"a": p["b"], "n": 4},
                     {"b": x})
    return out["a"] ** 2 * out["n"]


def cond_one_side_constant(x):
    return sciad.cond(x[2] > 0, lambda: x * x, lambda: np.ones(3)) + \
        sciad.cond(x[1] > 0, lambda: x * x, lambda: np.ones(3))


def nested_cond(x):
    def inner(y):
        return sciad.cond(y[1] > 1, np.tanh, np.cos, y * y)

    return sciad.cond(x[0] > 0, inner, np.sin, x) * x


def scan_plain(x):
    return sciad.scan(lambda c, row: (np.sin(c) * row + c, c * row), x[0], x)


def scan_reverse(x):
    return sciad.scan(lambda c, row: (np.sin(c) * row + c, c * row), x[0], x, reverse=True)


def scan_matrix_closure(x):
    m = np.outer(x, x) * 0.3
    return sciad.scan(lambda c, _: (np.tanh(m @ c), np.sum(c)), x, None, length=4)


def scan_containers(x):
    def body(state, row):
        new = {"p": state["p"] + row[0] * row[1], "q": state["q"] * state["p"]}
        return new, (new["q"], row[0])

    init = {"p": 1.0 * x[0], "q": x[1]}
    carry, ys = sciad.scan(body, init, (x, 2 * x))
    return [carry["p"], carry["q"], *ys]


def scan_counter(x):
    def body(state, row):
        k, total = state
        return (k + 1, total + row * row * k), k

    (_, total), _ = sciad.scan(body, (np.int64(1), 0.0 * x[0]), x)
    return total


def scan_unused_carry(x):
    return sciad.scan(lambda c, row: (c, row * 2), x, x)[1]


def scan_with_branch(x):
    def body(c, row):
        if row > 0:
            return c * row, c
        return c + row, c

    return sciad.scan(body, x[1], x)


def scan_of_scan(x):
    def body(c, row):
        inner, _ = sciad.scan(lambda d, entry: (d * 0.5 + entry * c, None), row, x)
        return c + inner * row, inner

    return sciad.scan(body, x[0], x)


def scan_of_nothing(x):
    return sciad.scan(lambda c, row: (c * row, c), x[0] ** 2, x[:0])[0]


def while_powers(x):
    return sciad.while_loop(lambda s: np.sum(s * s) < 50.0, lambda s: s * 1.5 + np.sin(s), x)


def while_closure(x):
    w = x * x + 1
    out = sciad.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] * w * 0.5), (0, x))
    return out[1]


def while_never(x):
    return sciad.while_loop(lambda s: s[0] > 100, lambda s: s * 2, x * x)


def while_newton(x):
    """The root of y**3 = a; its derivative is the solution's."""
    a = x[1] + 2.0

    def step(state):
        y, _ = state
        new = y - (y**3 - a) / (3 * y**2)
        return new, abs(new - y)

    return sciad.while_loop(lambda s: s[1] > 1e-12, step, (a, 1.0 + 0.0 * a))[0]


def while_with_mutation(x):
    def body(state):
        k, y = state
        out = snp.copy(y)
        out[k] = y[k] * y[k - 1] + x[0]
        return k + 1, out

    return sciad.while_loop(lambda s: s[0] < 3, body, (0, x * 2))[1]


FUNCTIONS = [value for value in list(globals().values())
             if callable(value) and getattr(value, "__module__", "") == __name__]
BY_NAME = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def _flat(x):
    return [np.asarray(leaf) for leaf in sciad.core.tree.flatten(x)[0]]


def _same(a, b, rtol=1e-13):
    for p, q in zip(_flat(a), _flat(b), strict=True):
        assert p.shape == q.shape and p.dtype == q.dtype
        np.testing.assert_allclose(p, q, rtol=rtol, atol=1e-14)


@BY_NAME
def test_recorded_value(function):
    recorded = record(function, X)
    recorded.graph.check()
    _same(recorded(X), function(X))


@BY_NAME
def test_eager_derivatives(function):
    sciad.check_grads(function, (X,))


@BY_NAME
def test_derivatives_of_recorded(function):
    """The rules of the structured primitives."""
    recorded = record(function, X)
    sciad.check_grads(recorded, (X,))


def _floats(function):
    def of_floats(x):
        return [y for y in sciad.core.tree.flatten(function(x))[0] if y.dtype.kind == "f"]

    return of_floats


def _pulled(function):
    def cotangents(x):
        out, pull = sciad.vjp(_floats(function), x)
        return pull([np.cos(y) for y in out])[0]

    return cotangents


@BY_NAME
def test_recorded_derivatives(function):
    """Differentiated while recording, to second order."""
    first = _pulled(function)
    recorded = record(first, X)
    recorded.graph.check()
    _same(recorded(X), first(X), 1e-11)

    def tangent(x):
        return sciad.jvp(_floats(function), (x,), (np.cos(x),))[1]

    _same(record(tangent, X)(X), tangent(X), 1e-11)
    second = _pulled(first)
    recorded = record(second, X)
    recorded.graph.check()
    _same(recorded(X), second(X), 1e-10)


def test_branches_must_agree_when_recorded():
    with pytest.raises(ArgumentError, match="different types"):
        record(lambda x: sciad.cond(x[0] > 0, lambda: x, lambda: x[:2]), X)
    with pytest.raises(ArgumentError, match="different structures"):
        record(lambda x: sciad.cond(x[0] > 0, lambda: x, lambda: (x, x)), X)


def test_carry_keeps_its_type_when_recorded():
    with pytest.raises(ArgumentError, match="scan: .*the carry changes"):
        record(lambda x: sciad.scan(lambda c, r: (x, r), x[0], x), X)
    with pytest.raises(ArgumentError, match="while_loop: .*the state changes"):
        record(lambda x: sciad.while_loop(lambda c: c[0] < 1, lambda c: c[:1], x), X)


@pytest.mark.parametrize("call, message", [
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0), "give xs or length"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, (X, X[:2])), "differ"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, X, length=2), "differ"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, 1.0), "leading axis"),
    (lambda: sciad.scan(lambda c, r: (c, r), 0.0, "abc"), "numbers and arrays"),
])
def test_bad_arguments(call, message):
    with pytest.raises(SciadError, match=message):
        call()


def test_full_buffer_of_a_recorded_loop_is_an_error_not_a_number():
    def f(x):
        return sciad.while_loop(lambda s: s < 100.0, lambda s: s + 1.0, x)

    with loop_capacity(10):
        slope = record(sciad.grad(f), 0.5)
    with pytest.raises(BufferFull, match="more iterations"):
        slope(0.5)
    assert slope(95.5) == 1.0


def test_an_exception_in_a_recorded_branch():
    def f(x):
        y = np.sin(x)
        if y > 0.5:
            raise ValueError("too steep")
        return y * x

    recorded = record(f, 1.0)
    assert recorded(0.1) == pytest.approx(0.1 * np.sin(0.1))
    with pytest.raises(ValueError, match="too steep"):
        recorded(1.0)
    with pytest.raises(ValueError, match="too steep"):
        sciad.grad(recorded)(1.0)
    with pytest.raises(ValueError, match="too steep"):
        record(sciad.grad(f), 1.0)(1.0)


# --- second order, compiled -----------------------------------------------------------------------


@BY_NAME
def test_compiled_derivatives(function):
    def loss(x):
        return sum((np.sum(np.sin(y)) for y in _floats(function)(x)), 0.0)

    _same(sciad.jit(function, strict=NATIVE)(X), function(X))
    _same(sciad.jit(sciad.grad(loss), strict=NATIVE)(X), sciad.grad(loss)(X), 1e-10)

    def second(x):
        return sciad.hvp(loss, (x,), (np.cos(x),))

    _same(sciad.jit(second, strict=NATIVE)(X), second(X), 1e-9)

    def twice(x):
        return sciad.grad(lambda y: np.sum(np.cos(sciad.grad(loss)(y))))(x)

    _same(sciad.jit(twice, strict=NATIVE)(X), twice(X), 1e-9)


def complex_scan(z):
    return sciad.scan(lambda c, r: (c * r + 0.5 * np.conj(c), c * 1j), z[0], z)


def complex_while(z):
    return sciad.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * z + 1j), (0, z))[1]


def complex_fori(z):
    return sciad.fori_loop(0, 3, lambda i, s: np.sin(s) * z + i, z)


def complex_cond(z):
    return sciad.cond(np.real(z[0]) > 0, lambda: z * z, lambda: np.exp(z))


@pytest.mark.parametrize("function", [complex_scan, complex_while, complex_fori, complex_cond],
                         ids=lambda f: f.__name__)
def test_complex_carries(function):
    z = X * np.exp(1j * X[::-1])
    sciad.check_grads(function, (z,))
    sciad.check_grads(record(function, z), (z,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        _same(sciad.jit(function)(z), function(z))
        gradient = sciad.grad(lambda z: np.sum(np.abs(tree.flatten(function(z))[0][0]) ** 2))
        _same(sciad.jit(gradient)(z), gradient(z), 1e-10)


# --- room for the backward pass -------------------------------------------------------------------


def doubling(x, most):
    return sciad.while_loop(lambda s: s < most, lambda s: s + 1.0, x)


@pytest.mark.parametrize("outer", [
    lambda x: sciad.scan(lambda c, r: (c + doubling(r, 3000.0) * c, None), 1.0, x)[0],
    lambda x: sciad.cond(x[0] > 0, lambda: doubling(x[0], 3000.0) * x[1], lambda: x[1]),
    lambda x: sciad.while_loop(lambda s: s[0] < 2,
                               lambda s: (s[0] + 1, s[1] + doubling(s[1] * x[0], 3000.0)),
                               (0, x[1]))[1],
    lambda x: np.sum(sciad.vmap(lambda r: doubling(r, 3000.0) * r)(x)),
], ids=["scan", "cond", "while_loop", "vmap"])
def test_loops_inside_get_room_for_more_iterations(outer):
    x = np.array([0.5, 1.0])
    _same(sciad.jit(sciad.grad(outer))(x), sciad.grad(outer)(x), 1e-10)
    _same(sciad.grad(sciad.jit(outer))(x), sciad.grad(outer)(x), 1e-10)


def sizes(graph):
    for equation in graph.equations:
        yield from (out.type.size for out in equation.outputs)
        for inner in equation.graphs():
            yield from sizes(inner)


def test_each_order_keeps_states_only():
    def f(x):
        return sciad.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, np.sin(s[1]) * x),
                                (0, x))[1]

    first, second = sciad.grad(f), sciad.grad(sciad.grad(f))
    with loop_capacity(50):
        for derivative in (first, second, sciad.grad(second)):
            assert max(sizes(record(derivative, 0.7).graph)) == 50


def test_the_room_belongs_to_a_thread():
    seen = []
    with loop_capacity(7):
        thread = threading.Thread(target=lambda: seen.append(capacity()))
        thread.start()
        thread.join()
        assert capacity() == 7
    assert seen == [1024] and capacity() == 1024


def test_threads_record_loops_of_their_own():
    def work(n):
        slope = sciad.jit(sciad.grad(lambda x: doubling(x * x, 10.0 * n)))
        return [float(slope(0.1 * n + 0.01 * k)) for k in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for n, got in zip(range(1, 5), pool.map(work, range(1, 5)), strict=True):
            assert got == pytest.approx([2 * (0.1 * n + 0.01 * k) for k in range(20)])


# --- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [
    lambda x: sciad.scan(lambda c, r: (c + r, c), 0, x)[0],
    lambda x: sciad.scan(lambda c, r: (c + r, c * r), 0.0, x),
    lambda x: sciad.scan(lambda c, r: (c * 0.5, r * c), 2.0, x)[1],
    lambda x: sciad.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * s[0] + x), (0, x)),
    lambda x: sciad.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + x[0]), (0, 0))[1],
    lambda x: sciad.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + x[0], s[1]), (0, 1))[0],
    lambda x: sciad.scan(lambda c, r: ((c[1], c[1] + r), None), (0, 0), x)[0],
    lambda x: sciad.fori_loop(0, 3, lambda i, s: s + i * x[1], 0),
    lambda x: sciad.cond(x[0] > 0, lambda: 2, lambda: x[0]) * x,
    lambda x: sciad.cond(x[0] > 0, lambda y: y * 2, lambda y: 0.5, 1.5) * x,
], ids=range(10))
def test_python_numbers_take_the_type_of_their_partners(f, dtype):
    """Carries that start as Python numbers, and branches that return one."""
    x = X.astype(dtype)
    for a, b in zip(_flat(sciad.jit(f)(x)), _flat(f(x)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6 if dtype == np.float32 else 1e-13)


def test_branches_of_two_dtypes_promote():
    def f(x, k):
        return sciad.cond(x[0] > 0, lambda: k, lambda: x)

    both = sciad.jit(f)(X, np.arange(3)), sciad.jit(f)(-X, np.arange(3))
    assert all(out.dtype == float for out in both)
    assert np.array_equal(both[0], [0.0, 1.0, 2.0]) and np.array_equal(both[1], -X)
    single = X.astype(np.float32)
    mixed = record(lambda x: sciad.cond(x[0] > 0, lambda: x, lambda: X), single)
    assert mixed(single).dtype == mixed(-single).dtype == float


def test_a_carry_that_grows_is_the_larger_type_from_the_start():
    def f(x):
        return sciad.scan(lambda c, r: (c + r, c), np.int64(1), x)

    carry, ys = record(f, X)(X)
    assert ys.dtype == float and ys[0] == 1.0
    _same(carry, f(X)[0])
    sciad.check_grads(record(f, X), (X,))
    z = X.astype(np.float32)
    wide = record(lambda z: sciad.scan(lambda c, r: (c * np.float64(2.0), c), z[0], z), z)(z)
    assert wide[0].dtype == float and wide[1].dtype == float


def test_an_integer_argument_serves_as_a_length():
    f = sciad.jit(lambda x, n: sciad.scan(lambda c, _: (c * x, None), 1.0, length=n)[0],
                  strict=NATIVE)
    assert f(2.0, 3) == 8.0 and f(2.0, 5) == 32.0


# --- values of their own --------------------------------------------------------------------------


def adding_in_place(c, r):
    c += r
    return c, c


LOOPS_THAT_WRITE = {
    "scan": lambda x: sciad.scan(adding_in_place, x, np.outer([1.0, 2.0, 3.0], x)),
    "rows": lambda x: sciad.scan(lambda c, r: (c + adding_in_place(r, 1.0)[0], r), x,
                                 np.outer([1.0, 2.0, 3.0], x)),
    "while_loop": lambda x: sciad.while_loop(lambda s: np.sum(s) < 9,
                                             lambda s: adding_in_place(s, 1.0)[0], x),
    "fori_loop": lambda x: sciad.fori_loop(0, 2, lambda i, s: adding_in_place(s, i)[0], x),
    "cond": lambda x: sciad.cond(x[0] > 0, lambda y: adding_in_place(y, y)[0], np.sin, x),
}


@pytest.mark.parametrize("name", LOOPS_THAT_WRITE)
def test_bodies_write_into_values_of_their_own(name):
    f = LOOPS_THAT_WRITE[name]
    x = X.copy()
    out = f(x)
    assert np.array_equal(x, X)
    _same(sciad.jit(f, strict=NATIVE)(X), out)

    def held(x):
        y = x * 1.0
        return tree.flatten(f(y))[0][-1] * y

    sciad.check_grads(held, (X,))
    _same(sciad.jit(held, strict=NATIVE)(X), held(X))


def test_results_stacked_are_those_of_their_iteration():
    _, ys = sciad.scan(adding_in_place, np.zeros(1), np.ones((3, 1)))
    assert ys.ravel().tolist() == [1.0, 2.0, 3.0]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, message", [
    (lambda x: sciad.cond(x > 0, np.sin, np.cos, x), r"cond: the predicate must be one truth val"),
    (lambda x: sciad.while_loop(lambda s: s < 9, lambda s: s * 2, x),
     r"while_loop: the condition must be one truth value, got an array of shape \(3,\)"),
    (lambda x: sciad.while_loop(lambda s: (s[0] < 1, s[0] > 2), lambda s: s * 2, x),
     "the condition must be one truth value, got 2"),
    (lambda x: sciad.scan(lambda c, r: ((c, c), r), x, x),
     r"scan: body\(carry, x\) must return \(carry, y\).*; the carry changes its structure, from "
     r"array of shape \(3,\) to \(array of shape \(3,\), array of shape \(3,\)\)"),
    (lambda x: sciad.scan(lambda c, r: (c[:1], r), x, x), "the carry changes its shapes.*3.*1"),
    (lambda x: sciad.scan(lambda c, r: ("text", r), x[0], x), "numbers and arrays, got a str"),
    (lambda x: sciad.scan(lambda c, r: (c, r), x, x, length=2.5), "must be a number of iterations"),
    (lambda x: sciad.scan(lambda c, r: (c, r), x, None, length=-1), "must be a number of iter"),
    (lambda x: sciad.cond(x[0] > 0, np.sin, np.cos, "text"), "numbers and arrays, got a str"),
], ids=range(9))
def test_errors_name_the_line(call, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        record(call, X)
    assert "test_control.py" in str(caught.value)


@pytest.mark.parametrize("call", [
    lambda x: sciad.cond(x > 0, np.sin, np.cos, x),
    lambda x: sciad.while_loop(lambda s: s < 9, lambda s: s * 2, x),
], ids=["cond", "while_loop"])
def test_a_truth_value_is_one_number(call):
    for run in (call, sciad.grad(lambda x: np.sum(call(x)))):
        with pytest.raises(ArgumentError, match="must be one truth value.*test_control.py"):
            run(X)


def recorded(f):
    return lambda x: record(f, x)


MISFITS = {
    "no pair": (lambda x: sciad.scan(lambda c, r: c + r, 0.0, x), ArgumentError,
                r"^scan: body\(carry, x\) must return \(carry, y\).*it returned number"),
    "three": (lambda x: sciad.scan(lambda c, r: (c, [r], {"a": x}), 0.0, x), ArgumentError,
              r"scan: .* returned \(number, \[number\], {'a': array of shape \(3,\)}\)"),
    "scan of one": (lambda x: sciad.scan(lambda c: (c, c), 0.0, x), DTypeError,
                    r"^scan: body\(carry, x\) .* called with 2 arguments, <lambda> takes \(c\)"),
    "fori_loop of one": (lambda x: sciad.fori_loop(0, 3, lambda s: s, x), DTypeError,
                         r"^fori_loop: body\(i, state\) must .* called with 2 .* takes \(s\)"),
    "body of two": (lambda x: sciad.while_loop(lambda s: s[0][0] < 9, lambda a, b: (a, b), (x, x)),
                    DTypeError, r"^while_loop: body_fun\(state\) .* takes \(a, b\)"),
    "condition of two": (lambda x: sciad.while_loop(lambda a, b: True, lambda s: s, (x, x)),
                         DTypeError, r"^while_loop: cond_fun\(state\) .* takes \(a, b\)"),
    "branch of none": (lambda x: sciad.cond(x[0] > 0, lambda: x, lambda: x, x), DTypeError,
                       r"^cond\(pred, true_fun, .* called with 1 argument, <lambda> takes \(\)"),
}


@pytest.mark.parametrize("run", [lambda f: f, recorded, lambda f: sciad.jit(f, strict=True)],
                         ids=["eager", "recorded", "compiled"])
@pytest.mark.parametrize("name", MISFITS)
def test_a_function_that_does_not_fit_is_told_what_it_must_take_and_return(name, run):
    call, error, message = MISFITS[name]
    with pytest.raises(error, match=message + r".*test_control.py:\d+\)"):
        run(call)(X)


CHANGES = {
    "fori_loop": (lambda x: sciad.fori_loop(0, 3, lambda i, s: (s, s), x[0]),
                  r"^fori_loop: body\(i, state\) .*structure, from number to \(number, number\)"),
    "no return": (lambda x: sciad.fori_loop(0, 3, lambda i, s: None, x[0]),
                  "^fori_loop: .* the state changes its structure, from number to None"),
    "traced bound": (lambda x: sciad.fori_loop(0, np.argmax(x), lambda i, s: [s], x[0]),
                     r"^fori_loop: .* the state changes its structure, from number to \[number\]"),
    "shapes": (lambda x: sciad.fori_loop(0, 3, lambda i, s: np.stack([s, s]), x[0]),
               r"^fori_loop: .* changes its shapes, from number to array of shape \(2,\)"),
    "while_loop": (lambda x: sciad.while_loop(lambda s: s[0] < 3, lambda s: s[0], (x[0], x)),
                   r"^while_loop: .*, from \(number, array of shape \(3,\)\) to number"),
    "cond": (lambda x: sciad.cond(x[0] > 0, lambda: {"a": x}, lambda: (x, x[0])),
             r"^cond: .* {'a': array of shape \(3,\)} and \(array of shape \(3,\), number\)"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_is_told_in_words(name):
    call, message = CHANGES[name]
    with pytest.raises(ArgumentError, match=message + r".*test_control.py:\d+\)"):
        record(call, X)


def test_a_type_error_of_the_bodys_own_stays_as_it_is():
    def body(c, r):
        return (lambda q: q)(c, r)

    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        sciad.scan(body, 0.0, X)
    with pytest.raises(ArgumentError, match="returned number"):
        sciad.scan(np.add, 0.0, X)


def test_an_eager_scan_names_results_of_different_structure():
    with pytest.raises(ArgumentError, match="different structures.*test_control.py"):
        sciad.scan(lambda c, r: (c, r if r > 0 else (r, r)), 0.0, X)
    with pytest.raises(ArgumentError, match="differ in shape.*iteration 1.*test_control.py"):
        sciad.scan(lambda c, r: (c + 1, np.ones(int(c) + 1)), 0, X)


def tripling(x):
    while x < 100.0:
        x = 3 * x
    return x


def tripling_with_break(x):
    count = 0
    while True:
        x, count = 3 * x, count + 1
        if x > 100.0:
            break
    return x + 0.0 * count


def tripling_loop(x):
    return sciad.while_loop(lambda x: x < 100.0, lambda x: 3 * x, x)


@pytest.mark.parametrize("function", [
    tripling, pytest.param(tripling_with_break, marks=pytest.mark.slow)])
def test_a_while_on_values_falls_back_and_names_the_cure(function):
    with pytest.warns(FallbackWarning, match=r"test_control.py:\d+.*sciad.while_loop"):
        assert sciad.jit(function)(1.0) == 243.0
    assert sciad.jit(tripling_loop, strict=NATIVE)(1.0) == 243.0
