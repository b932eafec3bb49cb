"""Long programs: cut into pieces, temporaries in bounded stack, values as the eager ones."""

import threading

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.compiler import llvm, outline
from sciad.compiler import loops as ir
from sciad.compiler.builder import Builder
from sciad.compiler.evaluator import evaluate
from sciad.compiler.long_programs import LongProgramWarning
from sciad.compiler.nodes import STACK_TOTAL

pytestmark = pytest.mark.usefixtures("native")
SMALLEST_STACK = 256 * 1024


@pytest.fixture
def native():
    if not llvm.available():
        pytest.skip("no native code here")


def diffusion(steps, n=200):
    x = np.linspace(0, 1, n)

    def loss(D):
        u = snp.zeros(n)
        u[:] = np.exp(-100 * (x - 0.3)**2)
        h = 1 / (n - 1)
        for _ in range(steps):
            flux = 0.5 * (D[1:] + D[:-1]) * (u[1:] - u[:-1]) / h
            u[1:-1] += 0.2 * h * (flux[1:] - flux[:-1])
        return np.sum(u[60:80]**2)

    return loss, 1 + 0.3 * np.sin(7 * x)


def rolled(steps):
    start = np.cos(np.arange(100.0))

    def loss(D):
        u = start
        for _ in range(steps):
            u = u + D * np.roll(u, 1)
        return np.sum(u**2)

    return loss, 0.1 + 0.01 * np.arange(100.0)


def scalars(steps):
    def loss(p):
        x, y = p[0], p[1]
        total = x
        for k in range(steps):
            x, y = x + 0.01 * y, y - 0.01 * np.sin(x) * p[2]
            total = total + x * k if k % 3 else np.maximum(total, y)
        return total

    return loss, np.array([0.5, 0.2, 1.1])


def nested(steps):
    """A long body inside a loop that stays a loop."""
    weights = np.linspace(0, 1, 60)

    def loss(p):
        def body(k, u):
            for _ in range(steps):
                u = u + 0.01 * np.sin(u) * p
            return u

        return np.sum(sciad.fori_loop(0, 3, body, weights * p))

    return loss, 1 + 0.1 * weights


def with_stop(steps):
    """A singular matrix stops the program from within a piece."""
    def loss(p):
        u = p
        for _ in range(steps):
            u = u + 0.01 * np.sin(u)
        A = np.outer(u[:5], u[:5])
        return np.sum(np.linalg.solve(A - A, u[:5]))

    return loss, np.linspace(1, 2, 40)


def nested_scalars(steps):
    """Long bodies inside a while loop inside a scan; their carries are scalars."""
    def loss(p):
        def inner(state):
            k, x, y = state
            for _ in range(steps):
                x, y = x + 0.01 * y * p[1], y - 0.01 * np.sin(x) * p[2]
            return k + 1, x, y

        def outer(carry, row):
            k, x, y = sciad.while_loop(lambda s: s[0] < 2, inner, (0, carry, row))
            for _ in range(steps):
                x = np.cos(x) + 0.1 * y
            return x, np.maximum(x, y)

        last, rows = sciad.scan(outer, p[0], p)
        return last + np.sum(rows)

    return loss, np.array([0.5, 0.2, 1.1])


def nested_stop(steps):
    """A program that stops within a piece of a loop's body, or does not."""
    def loss(p):
        def body(k, u):
            for j in range(steps):
                u = u + 0.01 * np.sin(u)
                if j == steps // 2:
                    u = u[np.arange(len(p)) + k - (p[0] > 0)]
            return u

        return np.sum(sciad.fori_loop(0, 2, body, p))

    return loss, np.linspace(-1, 1, 40)


PROGRAMS = [(diffusion, 40), (rolled, 60), (scalars, 300), (nested, 40), (nested_scalars, 150)]


def in_small_thread(f, *args):
    """Call on the smallest stack that a thread may have."""
    outs = []
    before = threading.stack_size(SMALLEST_STACK)
    try:
        thread = threading.Thread(target=lambda: outs.append(f(*args)))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return outs[0]


@pytest.mark.parametrize(("program", "steps"), PROGRAMS)
@pytest.mark.parametrize("transform", [lambda f: f, sciad.grad], ids=["value", "grad"])
def test_long_programs_on_a_small_stack(program, steps, transform):
    loss, x = program(steps)
    f = sciad.jit(transform(loss), strict=True)
    f.lower(x)
    np.testing.assert_allclose(in_small_thread(f, x), transform(loss)(x), rtol=1e-10, atol=1e-13)


@pytest.mark.slow
def test_many_steps_on_a_small_stack():
    loss, x = diffusion(200)
    f = sciad.jit(sciad.grad(loss))
    f.lower(x)
    np.testing.assert_allclose(in_small_thread(f, x), sciad.grad(loss)(x), rtol=1e-9, atol=1e-13)


def test_long_programs_are_cut():
    loss, x = rolled(60)
    f = sciad.jit(sciad.grad(loss))
    f.lower(x)
    module = next(iter(f._known.values())).kernel.lowered.module
    assert len(module.functions) > 3
    ir.check(module)


@pytest.mark.parametrize(("program", "steps"), [(nested, 150), (nested_scalars, 300)])
def test_long_bodies_of_loops_are_cut(program, steps):
    loss, x = program(steps)
    f = sciad.jit(sciad.value_and_grad(loss))
    f.lower(x)
    module = next(iter(f._known.values())).kernel.lowered.module
    ir.check(module)
    lines = [len(ir.text(ir.Module([function])).splitlines()) for function in module.functions]
    assert len(lines) > 5 and max(lines) < sum(lines) / 3


def test_exceptions_leave_a_piece_of_a_loop():
    loss, x = nested_stop(150)
    f = sciad.jit(loss, strict=True)
    np.testing.assert_allclose(f(abs(x)), loss(abs(x)), rtol=1e-12)
    with pytest.raises(IndexError):
        f(x)


def test_exceptions_leave_a_piece():
    loss, x = with_stop(200)
    f = sciad.jit(loss, strict=True)
    f.lower(x)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        f(x)


def long_function(count):
    """Scalars, a mutable scalar and a buffer that live across many statements."""
    b = Builder("long", n="i64", x="ptr<f64>", out="ptr<f64>")
    buffer = b.alloc(8)
    early = b.let(b.load(b.x, 0) * 2.0)
    flag = b.let(early > 1.0)
    total = b.var(0.0)
    for k in range(count):
        with b.loop(0, 8) as i:
            b.store(buffer, i, b.load(b.x, i) + float(k))
        b.assign(total, total + b.load(buffer, 3))
    held = b.let(total)
    for k in range(count):
        with b.loop(0, 8, reverse=True) as i:
            b.store(b.out, i, b.load(buffer, i) + b.op("select", flag, early, held) * float(k))
    with b.if_(b.n < 0):
        b.ret(7)
    b.ret(0)
    return b.function()


@pytest.mark.parametrize(("n", "status"), [(1, 0), (-1, 7)])
def test_pieces_do_what_the_whole_does(n, status):
    whole = long_function(100)
    pieces = outline.outlined(whole)
    assert len(pieces) > 2
    cut = ir.Module(pieces)
    ir.check(cut)
    x = np.linspace(-1, 2, 8)
    expected, found = np.zeros(8), np.zeros(8)
    assert evaluate(whole, n, x, expected) == status
    assert evaluate(pieces[-1], n, x, found, module=cut) == status
    np.testing.assert_array_equal(found, expected)


def test_short_functions_stay_whole():
    whole = long_function(2)
    assert outline.outlined(whole) == [whole]


def test_stack_of_a_function_is_bounded():
    b = Builder("many", x="ptr<f64>", out="ptr<f64>")
    names = [b.alloc(100) for _ in range(200)]
    for k, name in enumerate(names):
        before = b.x if k == 0 else names[k - 1]
        with b.loop(0, 100) as i:
            b.store(name, i, b.load(before, i) + 1.0)
    with b.loop(0, 100) as i:
        b.store(b.out, i, b.load(names[-1], i) + b.load(names[0], i))
    b.ret(0)
    f = llvm.entry(b.function(), ["array", "array"])
    text = llvm.render(ir.Module([b.function()]), llvm.host())[0]
    assert 0 < text.count("alloca double, i64 100") * 800 <= STACK_TOTAL
    x, out = np.arange(100.0), np.empty(100)
    f(x, out)
    np.testing.assert_array_equal(out, 2 * x + 201)


@pytest.mark.parametrize("transform", [lambda f: f, sciad.grad], ids=["value", "grad"])
def test_a_very_long_recording_warns_and_names_the_loop(monkeypatch, transform):
    monkeypatch.setattr("sciad.compiler.long_programs.LONG_RECORDING", 50)
    loss, x = rolled(30)
    f = sciad.jit(transform(loss))
    line = rolled.__code__.co_firstlineno + 6
    with pytest.warns(LongProgramWarning,
                      match=rf"operations.*test_outline\.py:{line}.*fori_loop") as seen:
        f(x)
    assert seen[0].filename == __file__


def test_the_lines_of_calls_back_in_a_gradient():
    def loss(x):
        return np.sum(np.abs(sciad.special.wofz(x))**2)

    line = loss.__code__.co_firstlineno + 1
    f = sciad.jit(sciad.grad(loss))
    f(np.arange(5.0))
    (found,) = f.report().signatures
    assert any("wofz" in each and f"test_outline.py:{line})" in each
               for each in found["callbacks"])
