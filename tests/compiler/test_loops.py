"""The loop IR prints itself, checks itself and evaluates itself."""

import numpy as np
import pytest

from sciad.compiler import loops
from sciad.compiler.loops import (
    Address,
    Alloc,
    Assign,
    Builder,
    Call,
    Const,
    Function,
    If,
    Let,
    Load,
    Loop,
    LoopError,
    Module,
    Name,
    Op,
    Return,
    Store,
    Var,
    While,
)

I0, F1, TRUE = Const(0, "i64"), Const(1.0), Const(True, "i1")
X, N = Name("x", "ptr<f64>"), Name("n", "i64")
DONE = Return(I0)


def running_maximum():
    b = Builder("running_maximum", n="i64", x="ptr<f64>", out="ptr<f64>", f="ptr")
    best = b.var(b.load(b.x, 0), "best")
    with b.loop(1, b.n) as i:
        here = b.load(b.x, i, "here")
        with b.if_(here > best):
            b.assign(best, here)
        with b.else_():
            b.add_to(b.out, i, 1.0)
    work = b.alloc(2, name="work")
    b.store(work, 0, b.op("fma", best, 2.0, 1.0))
    with b.loop(0, 2, reverse=True, name="k") as k:
        b.store(work, k, b.op("add", 1.0, best, fast=True))
    with b.while_(lambda: b.load(work, 1, "w") < 3.0):
        b.call_checked(b.f, b.address(work, 1), best)
    b.call("helper", b.n, type=None)
    b.ret()
    return b.function()


PRINTED = """\
func running_maximum(n: i64, x: ptr<f64>, out: ptr<f64>, f: ptr) -> i64:
    t = x[0]
    var best: f64 = t
    for i in 1..n:
        here = x[i]
        if (here > best):
            best := here
        else:
            out[i] = (out[i] + 1.0)
    work = alloc f64[2]
    work[0] = fma(best, 2.0, 1.0)
    for k in 0..2 reversed:
        work[k] = (1.0 +~ best)
    while:
        w = work[1]
      (w < 3.0) do:
        p = &work[1]
        status: i64 = call *f(p, best)
        if (status != 0):
            return status
    call helper(n)
    return 0"""


def test_prints():
    function = running_maximum()
    loops.check(Module([function]))
    assert loops.text(function) == PRINTED


def test_evaluates_with_function_pointers_and_callees():
    helper = Builder("helper", n="i64", result=None)
    helper.ret(None)
    calls = []

    def grow(p, best):
        p[0] += best
        calls.append(float(p[0]))
        return 0

    x, out = np.array([1.0, 0.5, 1.25, 1.0]), np.zeros(4)
    module = Module([running_maximum(), helper.function()])
    loops.check(module)
    assert loops.evaluate(module.functions[0], 4, x, out, grow, module=module) == 0
    assert calls == [3.5] and out.tolist() == [0, 1, 0, 1]
    status = loops.evaluate(module.functions[0], 4, x, out, lambda p, b: 7, module=module)
    assert status == 7


BROKEN = {
    "undefined": [Let("y", Op("add", (Name("z"), F1))), DONE],
    "defined twice": [Let("y", F1), Let("y", F1), DONE],
    "loop index out of scope": [Loop("i", I0, N, []), Store(X, Name("i", "i64"), F1), DONE],
    "let out of scope": [If(TRUE, [Let("y", F1)], []), Let("z", Name("y")), DONE],
    "mixed types": [Let("y", Op("add", (F1, Const(1, "i64")))), DONE],
    "wrong kind": [Let("y", Op("sqrt", (I0,))), DONE],
    "wrong arity": [Let("y", Op("add", (F1,))), DONE],
    "fast root": [Let("y", Op("sqrt", (F1,), fast=True)), DONE],
    "select on a number": [Let("y", Op("select", (F1, F1, F1))), DONE],
    "float index": [Let("y", Load(X, F1)), DONE],
    "address of a scalar": [Let("y", Address(N, I0)), DONE],
    "stored type": [Store(X, I0, I0), DONE],
    "name of another type": [Let("y", Name("n", "f64")), DONE],
    "assign to a let": [Let("y", F1), Assign("y", F1), DONE],
    "assign another type": [Var("y", F1), Assign("y", I0), DONE],
    "assign to an index": [Loop("i", I0, N, [Assign("i", I0)]), DONE],
    "condition": [If(F1, [], []), DONE],
    "while condition": [While([], I0, []), DONE],
    "no return": [Let("y", F1)],
    "return type": [Return(F1)],
    "statements after return": [DONE, Let("y", F1), DONE],
    "heap in a loop": [Loop("i", I0, N, [Alloc("w", "f64", N)]), DONE],
    "call of a number": [Call(N, (), "s"), DONE],
    "callee signature": [Call("broken", (F1,), "s"), DONE],
    "nothing returned": [Call("exit", (), "s", None), DONE],
    "unknown type": [Let("y", Const(1, "i128")), DONE],
    "no statement": [F1, DONE],
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_checker_rejects(body):
    function = Function("broken", [("n", "i64"), ("x", "ptr<f64>")], body)
    with pytest.raises(LoopError, match="broken"):
        loops.check(Module([function]))


def test_checker_rejects_parameters_and_modules():
    with pytest.raises(LoopError, match="unknown type"):
        loops.check(Module([Function("f", [("x", "ptr<f16>")], [DONE])]))
    with pytest.raises(LoopError, match="twice"):
        loops.check(Module([Function("f", [], [DONE]), Function("f", [], [DONE])]))


def test_evaluator_guards_indices():
    function = Function("f", [("x", "ptr<f64>")], [Let("y", Load(X, Const(-1, "i64"))), DONE])
    with pytest.raises(IndexError):
        loops.evaluate(function, np.zeros(3))


def test_builder_names_do_not_collide():
    b = Builder("f", t="f64")
    names = [b.let(1.0).name for _ in range(5)] + [b.let(1.0, "t_1").name]
    assert len({"t", *names}) == 7
    with pytest.raises(AttributeError, match="nothing"):
        _ = b.nothing
