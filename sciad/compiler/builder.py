"""A helper that makes loop programs written by hand read like programs.

>>> from sciad.compiler import loops
>>> b = Builder("axpy", n="i64", a="f64", x="ptr<f64>", out="ptr<f64>")
>>> with b.loop(0, b.n) as i:
...     b.store(b.out, i, b.a * b.load(b.x, i) + 1.0)
>>> b.ret(0)
>>> print(loops.text(b.function()))
func axpy(n: i64, a: f64, x: ptr<f64>, out: ptr<f64>) -> i64:
    for i in 0..n:
        t = x[i]
        out[i] = ((a * t) + 1.0)
    return 0
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sciad.compiler.nodes import (
    Address,
    Alloc,
    Assign,
    Call,
    Const,
    Expr,
    Function,
    If,
    Let,
    Load,
    Loop,
    Name,
    Op,
    Return,
    Store,
    Var,
    While,
    lift,
)


class Builder:
    """Collects the statements of one function; parameters are attributes (``b.x``)."""

    def __init__(self, name: str, result: str | None = "i64", inline: str | None = None,
                 noalias: bool = True, **params: str):
        self._head = (name, list(params.items()), result, inline, noalias)
        self._used: dict[str, int] = dict.fromkeys(params, 0)
        self._blocks: list[list] = [[]]
        self._params = {name: Name(name, type) for name, type in params.items()}

    def __getattr__(self, name: str) -> Name:
        try:
            return self.__dict__["_params"][name]
        except KeyError:
            raise AttributeError(f"no parameter {name!r}") from None

    def __getitem__(self, name: str) -> Name:
        return self._params[name]

    def function(self) -> Function:
        name, params, result, inline, noalias = self._head
        return Function(name, params, self._blocks[0], result, inline, noalias)

    def fresh(self, stem: str) -> str:
        """A name not used so far in this function."""
        count = self._used.get(stem)
        if count is None:
            self._used[stem] = 0
            return stem
        self._used[stem] = count + 1
        return self.fresh(f"{stem}_{count + 1}")

    def emit(self, statement) -> None:
        self._blocks[-1].append(statement)

    # ---- values ----

    def let(self, expr, name: str = "t", type: str = "f64") -> Name:
        """Evaluate here, once; the result is a name."""
        expr = lift(expr, type)
        name = self.fresh(name)
        self.emit(Let(name, expr))
        return Name(name, expr.type)

    def load(self, buffer: Name, index, name: str = "t") -> Name:
        return self.let(Load(buffer, lift(index, "i64")), name)

    def address(self, buffer: Name, index, name: str = "p") -> Name:
        return self.let(Address(buffer, lift(index, "i64")), name)

    def store(self, buffer: Name, index, expr) -> None:
        self.emit(Store(buffer, lift(index, "i64"), lift(expr, buffer.type[4:-1])))

    def add_to(self, buffer: Name, index, expr) -> None:
        """``buffer[index] += expr``"""
        index = lift(index, "i64")
        self.emit(Store(buffer, index, Load(buffer, index) + expr))

    def var(self, expr, name: str = "v", type: str = "f64") -> Name:
        """A mutable scalar; reading the name gives its value at that moment."""
        expr = lift(expr, type)
        name = self.fresh(name)
        self.emit(Var(name, expr))
        return Name(name, expr.type)

    def assign(self, var: Name, expr) -> None:
        self.emit(Assign(var.name, lift(expr, var.type)))

    def alloc(self, count, type: str = "f64", name: str = "buf") -> Name:
        name = self.fresh(name)
        self.emit(Alloc(name, type, lift(count, "i64")))
        return Name(name, f"ptr<{type}>")

    def op(self, name: str, *args, fast: bool = False, type: str = "f64") -> Op:
        """``op("max", x, 1.0)``: plain numbers take the type of the expressions beside them."""
        for arg in reversed(args):
            if isinstance(arg, Expr):
                type = arg.type
        if name == "select":
            type = next((a.type for a in args[1:] if isinstance(a, Expr)), "f64")
        return Op(name, tuple(lift(arg, type) for arg in args), fast)

    # ---- control ----

    @contextmanager
    def _block(self) -> Iterator[list]:
        body: list = []
        self._blocks.append(body)
        yield body
        self._blocks.pop()

    @contextmanager
    def loop(self, start, stop, reverse: bool = False, name: str = "i",
             parallel: bool = False) -> Iterator[Name]:
        name = self.fresh(name)
        with self._block() as body:
            yield Name(name, "i64")
        self.emit(Loop(name, lift(start, "i64"), lift(stop, "i64"), body, reverse, parallel))

    @contextmanager
    def if_(self, condition: Expr) -> Iterator[None]:
        with self._block() as body:
            yield
        self.emit(If(condition, body, []))

    @contextmanager
    def else_(self) -> Iterator[None]:
        """The other branch of the ``if_`` just closed."""
        branch = self._blocks[-1][-1]
        with self._block() as body:
            yield
        branch.orelse.extend(body)

    @contextmanager
    def while_(self, condition) -> Iterator[None]:
        """``condition``: an expression, or a function that emits statements and returns one."""
        with self._block() as head:
            test = condition() if callable(condition) else condition
        with self._block() as body:
            yield
        self.emit(While(head, test, body))

    # ---- calls ----

    def call(self, target: str | Name, *args, type: str | None = "i64",
             name: str = "status") -> Name | None:
        """Call and bind the result, if any; plain ints pass as i64, floats as f64."""
        values = tuple(lift(a, "i64" if isinstance(a, int) else "f64") for a in args)
        if type is None:
            self.emit(Call(target, values, None, None))
            return None
        name = self.fresh(name)
        self.emit(Call(target, values, name, type))
        return Name(name, type)

    def call_checked(self, target: str | Name, *args) -> None:
        """Call a function that returns a status; hand a status other than 0 on to the caller."""
        status = self.call(target, *args)
        self.emit(If(status.ne(0), [Return(status)], []))

    def call_fortran(self, target: str, *args) -> None:
        """Call a BLAS or LAPACK subroutine: everything by reference.

        Buffers pass as they are; str becomes a character, integers (int, i64) 32-bit integers,
        floats (float, f64) doubles.
        """
        self.emit(Call(target, tuple(map(self._by_reference, args)), None, None))

    def _by_reference(self, arg) -> Name:
        if isinstance(arg, str):
            arg = Const(ord(arg), "i8")
        arg = lift(arg, "i32" if isinstance(arg, int) else "f64")
        if arg.type.startswith("ptr"):
            return arg
        if arg.type == "i64":
            arg = Op("i32", (arg,))
        slot = self.alloc(1, arg.type, "ref")
        self.store(slot, 0, arg)
        return slot

    def ret(self, expr=0, type: str | None = None) -> None:
        if expr is None:
            self.emit(Return(None))
        else:
            self.emit(Return(lift(expr, type or self._head[2])))
