"""Primitives without a native form are called back in Python from inside the kernel."""

import sys
import threading

import numpy as np
import pytest

import sciad
from sciad.compiler import callbacks, llvm, loops
from sciad.compiler.native import Kernel, kernel_of
from sciad.compiler.values import Unsupported
from sciad.core import tree
from sciad.core.errors import SciadError
from sciad.core.graph import Type
from sciad.core.primitive import Primitive
from sciad.core.record import record
from sciad.core.rules import Constant, General, elementwise
from sciad.ode import solve_ivp

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")

# Functions that have a derivative and no native form.
wave = elementwise("wave", lambda x: np.sin(x), lambda y, x: swell(x))
swell = elementwise("swell", lambda x: np.cos(x), lambda y, x: -wave(x))
turned = General("turned", lambda x, n: (np.roll(x, n), np.float64(n)),
                 lambda x, n: (x, Type((), np.float64)),
                 lambda dots, outs, args, params: (turned(dots[0], **params)[0], None),
                 lambda gs, needs, outs, args, params: [turned(gs[0], n=-params["n"])[0]],
                 multiple=True)


class Stranded(Exception):
    """What an evaluator raises here."""


def _refuse(x, at):
    if np.any(x > at):
        raise Stranded(f"{np.max(x)} is beyond {at}")
    return x + 1


refuse = General("refuse", _refuse, lambda x, at: x, None, None)


def same(got, want):
    for a, b in zip(tree.flatten(got)[0], tree.flatten(want)[0], strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype
        close = 1e-5 if a.dtype in (np.float32, np.complex64) else 1e-14
        np.testing.assert_allclose(a, b, rtol=close, atol=close * np.max(np.abs(b), initial=1))


def compiled(f, *args):
    """The result of a compiled function, checked to be eager's."""
    jitted = sciad.jit(f, strict=True)
    out = jitted(*args)
    same(out, f(*args))
    loops.check(kernel_of(record(f, *args).graph).lowered.module)
    return jitted


def names(jitted):
    """The primitives that the first signature calls back, without their lines."""
    return [each.split()[0] for each in jitted.report().signatures[0]["callbacks"]]


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (3,), (16,), (17,), (40,), (5, 7), (0,), (0, 30)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_any_shape(shape, dtype):
    x = np.linspace(-3, 3, int(np.prod(shape))).reshape(shape).astype(dtype)[()]
    for f in (wave, lambda x: wave(x * 2) + x, lambda x: np.sum(wave(wave(x))),
              lambda x: (wave(x), x, wave(x))):
        assert set(names(compiled(f, x))) == {"wave"}


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.bool_, np.uint8, np.int16,
                                   np.float16, np.complex64, np.complex128])
@pytest.mark.parametrize("size", [4, 40])
def test_any_dtype(dtype, size):
    x = (np.arange(size) % 5).astype(dtype)
    plain = Primitive("plain", lambda x: np.abs(x[::-1]).astype(np.float64),
                      lambda x: Type(x.shape, np.float64))
    back = Primitive("back", lambda x, to: x.astype(to), lambda x, to: Type(x.shape, to))
    compiled(plain, np.abs(x))
    same(compiled(lambda y: back(y * 2, to=dtype), np.abs(x).astype(float))(np.arange(size) * 1.5),
         (np.arange(size) * 3.0).astype(dtype))
    compiled(lambda y: plain(back(y, to=dtype)) + 1, np.arange(size) / 2.0)


def test_numbers_of_every_dtype_travel_by_value():
    seen = []

    def fun(*xs):
        seen.append(xs)
        return np.float64(sum(map(float, xs)))

    total = Primitive("total", fun, lambda *xs: Type((), np.float64))
    values = (np.float64(1.5), np.float32(0.1), np.int64(-2**60), np.int32(-7), np.int8(-128),
              np.bool_(True))
    f = sciad.jit(lambda *xs: total(*xs, 2.5, 3), strict=True, static_argnames=())
    f(*values)
    assert seen[-1] == (*values, 2.5, 3)
    assert [type(x) for x in seen[-1]] == [*map(type, values), float, int]


def test_complex_values_between_callbacks():
    def power(x):
        return np.sum(np.abs(sciad.special.wofz(x) * (1 + 2j))**2)

    x = np.cos(np.arange(40.0))
    compiled(power, x)
    compiled(sciad.grad(power), x)


def test_several_results_and_unused_ones():
    x = np.arange(40.0)
    compiled(lambda x: turned(x, n=3), x)
    compiled(lambda x: turned(x, n=3)[0] * 2, x)
    compiled(lambda x: turned(x[:3], n=1)[1] + 1, x)
    compiled(sciad.grad(lambda x: np.sum(turned(x, n=3)[0][:5]**2)), x)


def test_equal_calls_share_a_pointer_and_others_do_not():
    x = np.arange(40.0)
    f = compiled(lambda x: turned(turned(x, n=2)[0], n=2)[0] + turned(x, n=True)[0]
                 + turned(x, n=1)[0] + wave(x) + wave(x[:20]).sum() + wave(wave(x)), x)
    assert sorted(names(f)) == ["turned"] * 3 + ["wave"] * 2


def test_operands_are_the_evaluators_own():
    kept = []
    keep = Primitive("keep", lambda x: kept.append(x) or x * 2, lambda x: x)
    f = sciad.jit(lambda x: keep(x + 1), strict=True)
    x = np.arange(40.0)
    f(x)
    f(x + 5)
    np.testing.assert_array_equal(kept[0], x + 1)
    np.testing.assert_array_equal(kept[1], x + 6)
    x = np.arange(40.0)
    spoil = Primitive("spoil", lambda x: x.fill(0) or x, lambda x: x)
    np.testing.assert_array_equal(sciad.jit(lambda x: spoil(x) + x, strict=True)(x), x)


def test_evaluators_do_not_warn():
    bad = Primitive("bad", lambda x: np.log(x) / x, lambda x: x)
    out = sciad.jit(lambda x: bad(x), strict=True)(np.array([0.0, -1.0, np.inf]))
    np.testing.assert_array_equal(out, [-np.inf, np.nan, np.nan])


# --- derivatives and control flow -----------------------------------------------------------------


@pytest.mark.parametrize("x", [0.7, np.linspace(0, 1, 5), np.linspace(0, 1, 40)], ids=np.shape)
def test_derivatives(x):
    def loss(x):
        return np.sum(wave(x * 2)**2)

    compiled(sciad.grad(loss), x)
    compiled(sciad.grad(lambda x: np.sum(sciad.grad(loss)(x))), x)
    compiled(lambda x: sciad.jvp(loss, (x,), (np.cos(x),)), x)
    same(sciad.grad(sciad.jit(loss, strict=True))(x), sciad.grad(loss)(x))


CONTROL = [
    lambda x: sciad.cond(np.sum(x) > 1, wave, lambda x: swell(x) * 2, x),
    lambda x: sciad.while_loop(lambda s: np.sum(swell(s)) < 0.5 * np.size(s),
                               lambda s: wave(s) / 2, x),
    lambda x: sciad.fori_loop(0, 5, lambda k, s: wave(s) + k, x),
    lambda x: sciad.scan(lambda s, k: (wave(s * k), swell(s)), x, np.arange(4.0)),
    lambda x: sciad.scan(lambda s, k: (turned(s, n=1)[0], np.sum(s)), np.zeros(40) + x,
                         np.arange(4.0)),
    lambda x: sciad.vmap(lambda y: wave(y) * np.sum(wave(x)))(np.ones((6, 2))),
    lambda x: wave(x) if np.sum(x) > 1 else swell(x),
    lambda x: sciad.checkpoint(lambda y: wave(wave(y)))(x),
    lambda x: sciad.jit(lambda y: wave(wave(y)))(x) + 1,
]


@pytest.mark.parametrize("f", CONTROL)
@pytest.mark.parametrize("x", [0.1, 2.0, np.full(40, 2.0)], ids=np.shape)
def test_inside_control_flow(f, x):
    compiled(f, x)
    compiled(sciad.grad(lambda x: sum(np.sum(y) for y in tree.flatten(f(x))[0])), x)


def test_control_flow_itself_is_not_called_back():
    loop = Primitive("loop", lambda x, body: x, lambda x, body: x)
    graph = record(lambda x: loop(x, body=record(lambda y: y, 1.0).graph), 1.0).graph
    with pytest.raises(Unsupported, match="no native form of loop .*test_callbacks.py"):
        Kernel(graph)


def test_effects_keep_their_order_and_are_not_dropped():
    seen = []
    note = Primitive("note", lambda x: seen.append(float(x)), lambda x: (), multiple=True,
                     effect=True)
    note.fun = lambda x: seen.append(float(x)) or ()

    def f(x):
        for k in range(3):
            note(x + k)
            x = wave(x)
        return x

    jitted = sciad.jit(f, strict=True)
    out = jitted(0.3)
    del seen[:]
    assert jitted(0.3) == out
    first = list(seen)
    del seen[:]
    assert f(0.3) == out and len(first) == 3
    np.testing.assert_allclose(first, seen, rtol=1e-15)


def test_the_interpreters_of_the_caller_are_out_of_sight():
    active = []
    look = General("look", lambda x: active.append(len(callbacks.active())) or x * 2,
                   lambda x: x, None, lambda g, needs, out, args, params: [2 * g])
    f = sciad.jit(lambda x: look(x) * x, strict=True)
    assert sciad.grad(f)(3.0) == 12.0
    assert set(active) == {0}


# --- failure --------------------------------------------------------------------------------------


def test_what_an_evaluator_raises_is_raised_by_the_call():
    f = sciad.jit(lambda x: wave(refuse(x * 2, at=5.0)), strict=True)
    x = np.ones(40)
    same(f(x), np.sin(x * 2 + 1))
    for bad in (3.5, 4.0):
        with pytest.raises(Stranded, match=f"^{2 * bad} is beyond 5.0$"):
            f(bad * x)
    same(f(x), np.sin(x * 2 + 1))
    assert not callbacks._raised


def test_the_calls_after_a_raise_are_not_made():
    made = []
    first = Primitive("first", lambda x: made.append(1) or _refuse(x, 0.0), lambda x: x)
    second = Primitive("second", lambda x: made.append(2) or x, lambda x: x)
    f = sciad.jit(lambda x: sciad.fori_loop(0, 3, lambda k, s: second(first(s)), x), strict=True)
    with pytest.raises(Stranded):
        f(1.0)
    assert made[-1] == 1


def test_errors_of_numpy_have_their_type_and_message():
    f = sciad.jit(lambda a: np.linalg.eigvalsh(a)[0], strict=True)
    with pytest.raises(np.linalg.LinAlgError, match="did not converge"):
        f(np.full((3, 3), np.nan))


@pytest.mark.parametrize("wrong", [lambda x: x[:2], lambda x: x * 1j, lambda x: (x, x),
                                   lambda x: None])
def test_a_result_of_another_kind_is_no_result(wrong):
    odd = Primitive("odd", wrong, lambda x: x)
    with pytest.raises(SciadError, match="odd .*test_callbacks.py.*shape rule"):
        sciad.jit(lambda x: odd(x), strict=True)(np.ones(40))


def test_an_interrupt_reaches_the_caller():
    def strike(x):
        raise KeyboardInterrupt

    stop = Primitive("stop", strike, lambda x: x)
    with pytest.raises(KeyboardInterrupt):
        sciad.jit(lambda x: stop(x), strict=True)(1.0)


@pytest.mark.parametrize("struck", [KeyboardInterrupt, RecursionError])
def test_what_strikes_before_the_first_line_reaches_the_caller(struck, monkeypatch):
    def lost(self, *raw):
        raise struck("early")

    monkeypatch.setattr(callbacks.Callback, "_run", lost)
    times = 1 + len(struck.__name__)  # a kernel of its own
    f = sciad.jit(lambda x: sciad.fori_loop(0, times, lambda k, s: swell(s), x), strict=True)
    hook = sys.unraisablehook
    with pytest.raises(struck, match="early"):
        f(1.0)
    assert sys.unraisablehook is hook and not callbacks._lost


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning",
                            "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_strikes_on_another_thread_is_no_success(monkeypatch):
    def lost(self, *raw):
        raise RecursionError

    monkeypatch.setattr(callbacks.Callback, "_run", lost)
    f = sciad.jit(lambda x: swell(x) * 3, strict=True)
    raised = []

    def work():
        with pytest.raises(RuntimeError, match="did not run"):
            f(1.0)
        raised.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert raised


# --- threads, the disk, the report ----------------------------------------------------------------


def test_threads():
    f = sciad.jit(lambda x: sciad.fori_loop(0, 50, lambda k, s: wave(s) + refuse(s, at=1e3), x),
                  strict=True)
    cases = [np.linspace(0, 1, 40) + k for k in range(4)] + [np.full(40, 1e4)] * 2
    want = [f(x) for x in cases[:4]]
    got: dict = {}

    def work(k):
        for _ in range(20):
            try:
                got[k] = f(cases[k])
            except Stranded as error:
                got[k] = error

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        same(got[k], want[k])
    assert all(isinstance(got[k], Stranded) for k in (4, 5))


def test_no_address_in_the_text():
    texts = {Kernel(record(lambda x: wave(wave(x)), np.ones(40)).graph).library.text
             for _ in range(2)}
    assert len(texts) == 1


def test_the_report_names_each_callback():
    def f(x):
        return wave(x) + swell(x)

    jitted = sciad.jit(f, strict=True)
    jitted(1.0)
    (found,) = jitted.report().signatures
    line = f.__code__.co_firstlineno + 1
    assert [each.split()[0] for each in found["callbacks"]] == ["wave", "swell"]
    assert all(each.endswith(f"test_callbacks.py:{line})") for each in found["callbacks"])
    assert "calls back to Python: wave (" in repr(jitted.report())


def test_nothing_is_called_back_that_has_a_native_form():
    f = sciad.jit(lambda x: np.sum(np.sin(x)), strict=True)
    f(np.ones(3))
    assert f.report().signatures[0]["callbacks"] == []


def test_throw_ignores_the_statuses_of_others():
    assert callbacks.throw(2000) is None and callbacks.throw(-1) is None


def test_constants_of_a_callback():
    table = Primitive("table", lambda x, t: x + t, lambda x, t: x)
    weights = np.arange(40.0)**2
    compiled(lambda x: table(x, weights) + table(x, np.ones(40)) + table(x, np.full(40, 2)),
             np.ones(40))
    codes = np.arange(40, dtype=np.uint8)
    pick = Constant("pick", lambda x, k: x[k], lambda x, k: x)
    compiled(lambda x: pick(x, codes[::-1].copy()), np.arange(40.0))


# --- right-hand sides of ODEs ---------------------------------------------------------------------


def rhs(t, y, a):
    return -a * wave(y) + turned(y, n=1)[0] * np.cos(t)


def stranded_rhs(t, y, a):
    return refuse(-a * y, at=0.5)


def end(a, rhs=rhs, n=3):
    return solve_ivp(rhs, (0.0, 1.0), np.linspace(1, 2, n), args=(a,), t_eval=[1.0]).y[:, -1]


@pytest.mark.parametrize("n", [1, 3, 40])
def test_right_hand_sides_stay_native(n):
    def native(t, y, a):
        return -a * np.sin(y) + np.roll(y, 1) * np.cos(t)

    def loss(a, rhs=rhs):
        return np.sum(end(a, rhs, n)**2)

    same(end(1.3, n=n), end(1.3, native, n))
    same(sciad.grad(loss)(1.3), sciad.grad(lambda a: loss(a, native))(1.3))
    same(sciad.jvp(loss, (1.3,), (1.0,)), sciad.jvp(lambda a: loss(a, native), (1.3,), (1.0,)))
    f = compiled(loss, 1.3)
    assert set(names(f)) >= {"wave", "turned"}
    assert set(names(compiled(sciad.grad(loss), 1.3))) >= {"wave", "turned", "swell"}


def test_what_a_right_hand_side_raises():
    with pytest.raises(Stranded, match="is beyond 0.5"):
        end(-1.0, stranded_rhs)
    with pytest.raises(Stranded, match="is beyond 0.5"):
        sciad.jit(lambda a: end(a, stranded_rhs), strict=True)(-1.0)
    assert not callbacks._raised


def test_right_hand_sides_that_differ_in_what_cannot_be_named():
    class Times:
        def __init__(self, factor):
            self.factor = factor

        def __repr__(self):
            return "Times"

    scaled = Primitive("scaled", lambda y, by: by.factor * y, lambda y, by: y)
    for factor in (1.0, -1.0):
        by = Times(factor)
        out = end(1.0, lambda t, y, a, by=by: scaled(y, by=by))
        np.testing.assert_allclose(out, np.exp(factor) * np.linspace(1, 2, 3), rtol=1e-3)
