"""The evaluator of the loop IR: the oracle of the tests, and the way where LLVM is missing."""

from collections.abc import Callable

import numpy as np

from sciad.compiler.nodes import (
    Address,
    Alloc,
    Assign,
    Call,
    Const,
    Function,
    If,
    Let,
    Loop,
    Module,
    Name,
    Op,
    Return,
    Spread,
    Store,
    Var,
    While,
    show,
)
from sciad.compiler.scalars import DTYPES, SCALARS, TABLE


class _Returned(Exception):  # noqa: N818  (control flow, not an error)
    def __init__(self, value):
        self.value = value


class _Evaluator:
    def __init__(self, functions: dict[str, Callable]):
        self.functions = functions

    def expr(self, e, env):
        kind = type(e)
        if kind is Name:
            return env[e.name]
        if kind is Const:
            return DTYPES[e.type].type(e.value)
        if kind is Op:
            if e.name == "select":
                return self.expr(e.args[1 if self.expr(e.args[0], env) else 2], env)
            return TABLE[e.name].evaluate(*(self.expr(arg, env) for arg in e.args))
        buffer, index = self.expr(e.buffer, env), int(self.expr(e.index, env))
        if kind is Address:
            return buffer[index:]
        if index < 0:
            raise IndexError(f"{show(e)}: index {index}")
        return buffer[index]

    def block(self, body, env):
        for s in body:
            self.statement(s, env)

    def spread(self, s, env):
        start, stop = int(self.expr(s.start, env)), int(self.expr(s.stop, env))
        args = [self.expr(arg, env) for arg in s.args]
        for first in range(start, stop, s.grain):
            status = self.functions[s.target](first, min(first + s.grain, stop), *args)
            if status:
                return np.int64(status)
        return np.int64(0)

    def statement(self, s, env):
        match s:
            case Let() | Var() | Assign():
                env[s.name] = self.expr(s.expr, env)
            case Store():
                if (index := int(self.expr(s.index, env))) < 0:
                    raise IndexError(f"{s.buffer.name}[{index}]")
                self.expr(s.buffer, env)[index] = self.expr(s.expr, env)
            case Loop():
                span = range(int(self.expr(s.start, env)), int(self.expr(s.stop, env)))
                for k in reversed(span) if s.reverse else span:
                    env[s.index] = np.int64(k)
                    self.block(s.body, env)
            case Spread():
                env[s.result] = self.spread(s, env)
            case While():
                self.block(s.head, env)
                while self.expr(s.condition, env):
                    self.block(s.body, env)
                    self.block(s.head, env)
            case If():
                self.block(s.then if self.expr(s.condition, env) else s.orelse, env)
            case Call():
                called = (self.functions[s.target] if isinstance(s.target, str)
                          else env[s.target.name])  # fmt: skip
                value = called(*(self.expr(arg, env) for arg in s.args))
                if s.result is not None:
                    env[s.result] = DTYPES[s.type].type(value)
            case Alloc():
                env[s.name] = np.empty(int(self.expr(s.count, env)), DTYPES[s.type])
            case Return():
                raise _Returned(None if s.expr is None else self.expr(s.expr, env))


def evaluate(function: Function, *args, module: Module | None = None, symbols=None):
    """Run a function in Python: buffers are 1-d NumPy arrays, function pointers are callables.

    ``module`` supplies the functions that it calls, ``symbols`` the external ones by name.
    """
    functions = dict(symbols or {})
    for other in module.functions if module else ():
        functions[other.name] = lambda *a, f=other: evaluate(f, *a, module=module, symbols=symbols)
    env = {}
    for (name, type), value in zip(function.params, args, strict=True):
        env[name] = DTYPES[type].type(value) if type in SCALARS else value
    try:
        with np.errstate(all="ignore"):
            _Evaluator(functions).block(function.body, env)
    except _Returned as returned:
        return returned.value
    return None
