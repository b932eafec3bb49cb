"""The checker of the loop IR."""

from sciad.compiler.nodes import (
    Address,
    Alloc,
    Assign,
    Call,
    Const,
    Function,
    If,
    Let,
    Load,
    Loop,
    Module,
    Name,
    Op,
    Return,
    Spread,
    Store,
    Var,
    While,
    is_buffer,
    on_stack,
    show,
)
from sciad.compiler.scalars import KIND, SCALARS, TABLE
from sciad.core.errors import SciadError


class LoopError(SciadError):
    """A loop program breaks a rule of the IR."""


class _Checker:
    """Walks one function; ``scope`` maps visible names to types, ``vars`` the mutable ones."""

    def __init__(self, function: Function, signatures: dict[str, Function]):
        self.function, self.signatures = function, signatures
        self.defined: set[str] = set()
        self.vars: set[str] = set()

    def fail(self, message: str):
        raise LoopError(f"{self.function.name}: {message}")

    def run(self):
        scope: dict[str, str] = {}
        for name, type in self.function.params:
            if type not in SCALARS and type != "ptr" and type[4:-1] not in SCALARS:
                self.fail(f"parameter {name} has the unknown type {type!r}")
            self.define(scope, name, type)
        self.block(self.function.body, scope, 0)
        if self.function.result and not _ends(self.function.body):
            self.fail("the body can end without a Return")

    def define(self, scope, name, type):
        if name in self.defined:
            self.fail(f"{name} is defined twice")
        self.defined.add(name)
        scope[name] = type

    def expect(self, expr, type, scope, what):
        if (found := self.expr(expr, scope)) != type:
            self.fail(f"{what} has type {found}, needs {type}: {show(expr)}")

    def expr(self, expr, scope) -> str:
        kind = type(expr)
        if kind is Const:
            if expr.type not in SCALARS:
                self.fail(f"constant of unknown type {expr.type!r}")
        elif kind is Name:
            if expr.name not in scope:
                self.fail(f"{expr.name} is used where it is not defined")
            if scope[expr.name] != expr.type:
                self.fail(f"{expr.name} is {scope[expr.name]}, used as {expr.type}")
        elif kind is Op:
            self.op(expr, scope)
        elif kind in (Load, Address):
            if not is_buffer(self.expr(expr.buffer, scope)):
                self.fail(f"{expr.buffer.name} is not a buffer")
            self.expect(expr.index, "i64", scope, "index")
        else:
            self.fail(f"{expr!r} is not an expression")
        return expr.type

    def op(self, op, scope):
        row = TABLE[op.name]
        types = [self.expr(arg, scope) for arg in op.args]
        if len(types) != row.arity:
            self.fail(f"{op.name} takes {row.arity} operands, got {len(types)}")
        if KIND.get(types[0], "?") not in row.takes:
            self.fail(f"{op.name} does not take {types[0]}: {show(op)}")
        if any(t != types[row.like] for t in types[row.like :]):
            self.fail(f"{op.name} mixes types {', '.join(types)}: {show(op)}")
        if op.fast and op.name not in ("add", "sub", "mul", "div"):
            self.fail(f"fast is for add, sub, mul and div, not {op.name}")

    def block(self, body, scope, depth):
        for k, s in enumerate(body):
            method = _CHECKS.get(type(s))
            if method is None:
                self.fail(f"{s!r} is not a statement")
            method(self, s, scope, depth)
            if type(s) is Return and k != len(body) - 1:
                self.fail("statements follow a Return")

    def let(self, s, scope, depth):
        self.define(scope, s.name, self.expr(s.expr, scope))
        if type(s) is Var:
            self.vars.add(s.name)
            if s.expr.type not in SCALARS:
                self.fail(f"variable {s.name} is not a scalar")

    def assign(self, s, scope, depth):
        if s.name not in scope or s.name not in self.vars:
            self.fail(f"{s.name} is assigned to and is no variable here")
        self.expect(s.expr, scope[s.name], scope, f"the value of {s.name}")

    def store(self, s, scope, depth):
        if not is_buffer(self.expr(s.buffer, scope)):
            self.fail(f"{s.buffer.name} is not a buffer")
        self.expect(s.index, "i64", scope, "index")
        self.expect(s.expr, s.buffer.type[4:-1], scope, f"the value stored in {s.buffer.name}")

    def loop(self, s, scope, depth):
        self.expect(s.start, "i64", scope, "loop start")
        self.expect(s.stop, "i64", scope, "loop stop")
        inner = dict(scope)
        self.define(inner, s.index, "i64")
        self.block(s.body, inner, depth + 1)

    def while_(self, s, scope, depth):
        inner = dict(scope)
        self.block(s.head, inner, depth + 1)
        if s.head and _ends(s.head):
            self.fail("the head of a While returns")
        self.expect(s.condition, "i1", inner, "condition")
        self.block(s.body, inner, depth + 1)

    def if_(self, s, scope, depth):
        self.expect(s.condition, "i1", scope, "condition")
        self.block(s.then, dict(scope), depth + 1)
        self.block(s.orelse, dict(scope), depth + 1)

    def call(self, s, scope, depth):
        types = [self.expr(arg, scope) for arg in s.args]
        if isinstance(s.target, Name):
            if self.expr(s.target, scope) != "ptr":
                self.fail(f"{s.target.name} is called and is no function pointer")
            if s.type != "i64":
                self.fail(f"a function called by pointer returns i64, not {s.type}")
        elif s.target in self.signatures:
            callee = self.signatures[s.target]
            if types != [type for _, type in callee.params] or s.type != callee.result:
                self.fail(f"call of {s.target} does not match its signature: {', '.join(types)}")
        if s.result is not None:
            if s.type is None:
                self.fail(f"{s.target} returns nothing to bind to {s.result}")
            self.define(scope, s.result, s.type)

    def spread(self, s, scope, depth):
        types = ["i64", "i64", *(self.expr(arg, scope) for arg in s.args)]
        self.expect(s.start, "i64", scope, "start")
        self.expect(s.stop, "i64", scope, "stop")
        callee = self.signatures.get(s.target)
        if callee is None or callee.result != "i64":
            self.fail(f"{s.target}, to be spread, is no function of the module that gives a status")
        if types != [type for _, type in callee.params]:
            self.fail(f"spread of {s.target} does not match its signature: {', '.join(types)}")
        if s.grain < 1 or s.cap < 0:
            self.fail(f"spread of {s.target} in pieces of {s.grain} on {s.cap} threads")
        self.define(scope, s.result, "i64")

    def alloc(self, s, scope, depth):
        if s.type not in SCALARS:
            self.fail(f"{s.name} is allocated with the unknown type {s.type!r}")
        self.expect(s.count, "i64", scope, "size")
        if depth and not on_stack(s):
            self.fail(f"{s.name} is a heap allocation inside a block")
        self.define(scope, s.name, f"ptr<{s.type}>")

    def return_(self, s, scope, depth):
        if s.expr is None:
            if self.function.result:
                self.fail("Return without a value")
        else:
            self.expect(s.expr, self.function.result, scope, "the value returned")


_CHECKS = {
    Let: _Checker.let, Var: _Checker.let, Assign: _Checker.assign, Store: _Checker.store,
    Loop: _Checker.loop, Spread: _Checker.spread, While: _Checker.while_, If: _Checker.if_,
    Call: _Checker.call, Alloc: _Checker.alloc, Return: _Checker.return_,
}  # fmt: skip


def _ends(body: list) -> bool:
    """Whether control never runs off the end of this block."""
    if not body:
        return False
    last = body[-1]
    return isinstance(last, Return) or (
        isinstance(last, If) and _ends(last.then) and _ends(last.orelse)
    )


def check(module: Module) -> None:
    """Raise ``LoopError`` unless the module keeps the rules of the IR."""
    signatures: dict[str, Function] = {}
    for function in module.functions:
        if function.name in signatures:
            raise LoopError(f"function {function.name} is defined twice")
        signatures[function.name] = function
    for function in module.functions:
        _Checker(function, signatures).run()
