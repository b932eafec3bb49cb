"""The nodes of the loop IR, and its printer.  ``sciad.compiler.loops`` states the rules."""

from __future__ import annotations

from dataclasses import dataclass

from sciad.compiler.scalars import DTYPES, KIND, TABLE

STACK_BYTES = 4096
"""The largest allocation that may stand on the stack."""

STACK_TOTAL = 2**15
"""What all allocations of one function together may take of the stack; a thread may have 256 KiB
of it, and functions call one another."""

# ---- expressions ---------------------------------------------------------------------------------


def lift(value, type: str) -> Expr:
    """``value`` as an expression; a plain number becomes a constant of ``type``."""
    return value if isinstance(value, Expr) else Const(value, type)


def _binary(name):
    def method(self, other):
        return Op(name, (self, lift(other, self.type)))

    return method


def _reflected(name):
    def method(self, other):
        return Op(name, (lift(other, self.type), self))

    return method


class Expr:
    """Base of the expressions; Python's operators build ``Op`` nodes (``==`` stays identity)."""

    __slots__ = ()
    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("sub"), _reflected("sub")
    __mul__, __rmul__ = _binary("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _binary("div"), _reflected("div")
    __mod__, __rmod__ = _binary("mod"), _reflected("mod")
    __floordiv__, __rfloordiv__ = _binary("floordiv"), _reflected("floordiv")
    __pow__, __rpow__ = _binary("pow"), _reflected("pow")
    __lt__, __le__, __gt__, __ge__ = _binary("lt"), _binary("le"), _binary("gt"), _binary("ge")
    __and__, __or__, __xor__ = _binary("and"), _binary("or"), _binary("xor")

    def __neg__(self):
        return Op("neg", (self,))

    def __abs__(self):
        return Op("abs", (self,))

    def __invert__(self):
        return Op("not", (self,))

    def eq(self, other):
        return Op("eq", (self, lift(other, self.type)))

    def ne(self, other):
        return Op("ne", (self, lift(other, self.type)))


@dataclass(slots=True, eq=False)
class Const(Expr):
    value: float | int | bool
    type: str = "f64"


@dataclass(slots=True, eq=False)
class Name(Expr):
    """A parameter, a ``Let``, a ``Var`` (its value now), a loop index or a buffer."""

    name: str
    type: str = "f64"


class Op(Expr):
    """An operation of the table in ``scalars``; ``fast`` allows reassociation and contraction."""

    __slots__ = ("args", "fast", "name", "type")

    def __init__(self, name: str, args: tuple[Expr, ...], fast: bool = False):
        self.name = name
        self.args = args
        self.fast = fast
        row = TABLE[name]
        self.type = row.result or args[row.like].type

    def __repr__(self):
        return f"Op({show(self)})"


class Load(Expr):
    """``buffer[index]``; the index is flat."""

    __slots__ = ("buffer", "index", "type")

    def __init__(self, buffer: Name, index: Expr):
        self.buffer = buffer
        self.index = index
        self.type = buffer.type[4:-1]

    def __repr__(self):
        return f"Load({show(self)})"


class Address(Expr):
    """``&buffer[index]``: a buffer that starts further on."""

    __slots__ = ("buffer", "index", "type")

    def __init__(self, buffer: Name, index: Expr):
        self.buffer = buffer
        self.index = index
        self.type = buffer.type

    def __repr__(self):
        return f"Address({show(self)})"


# ---- statements ----------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Let:
    name: str
    expr: Expr


@dataclass(slots=True, eq=False)
class Var:
    """A mutable scalar, with its first value."""

    name: str
    expr: Expr


@dataclass(slots=True, eq=False)
class Assign:
    name: str
    expr: Expr


@dataclass(slots=True, eq=False)
class Store:
    buffer: Name
    index: Expr
    expr: Expr


@dataclass(slots=True, eq=False)
class Loop:
    """``index`` runs over start <= index < stop, downwards when ``reverse``.

    ``parallel``: no iteration touches a buffer element that another one writes.  ``scratch``: the
    same, but for allocations of the function that this loop alone touches and that an iteration
    writes before it reads: who runs iterations side by side gives each its own.
    ``cap``: the most threads that may share it; 0 is no limit.
    """

    index: str
    start: Expr
    stop: Expr
    body: list
    reverse: bool = False
    parallel: bool = False
    scratch: bool = False
    cap: int = 0


@dataclass(slots=True, eq=False)
class Spread:
    """Calls of ``target``, a function of the module, that cover start <= index < stop in pieces of
    ``grain``, on at most ``cap`` threads (0: as many as there are), in any order.

    The target takes the start and the stop of a piece, then ``args``, and returns a status; of the
    first piece whose status is not 0, it becomes ``result``, and later pieces may not run.
    """

    target: str
    args: tuple[Expr, ...]
    start: Expr
    stop: Expr
    grain: int
    result: str
    cap: int = 0


@dataclass(slots=True, eq=False)
class While:
    """``head`` runs, then ``condition`` is read; ``body`` follows while it is true."""

    head: list
    condition: Expr
    body: list


@dataclass(slots=True, eq=False)
class If:
    condition: Expr
    then: list
    orelse: list


@dataclass(slots=True, eq=False)
class Call:
    """``target``: a name, or a ``Name`` of type ``ptr``.  ``type`` None: nothing comes back."""

    target: str | Name
    args: tuple[Expr, ...]
    result: str | None = None
    type: str | None = "i64"


@dataclass(slots=True, eq=False)
class Alloc:
    """``count`` elements of ``type``, content undefined."""

    name: str
    type: str
    count: Expr


@dataclass(slots=True, eq=False)
class Return:
    expr: Expr | None


@dataclass(slots=True, eq=False)
class Function:
    """``inline``: "always", "never" or None.  ``noalias``: no buffer parameter overlaps another
    that is written to.  ``placement``: where the allocations stand in memory, if that is planned
    (planning.py)."""

    name: str
    params: list[tuple[str, str]]
    body: list
    result: str | None = "i64"
    inline: str | None = None
    noalias: bool = True
    placement: Placement | None = None


@dataclass(slots=True)
class Placement:
    """Bytes from the start of one workspace at which allocations begin, and its size in bytes."""

    offsets: dict[str, int]
    total: int


@dataclass(slots=True, eq=False)
class Module:
    functions: list[Function]
    name: str = "module"


Expression = Const | Name | Op | Load | Address
Statement = Let | Var | Assign | Store | Loop | Spread | While | If | Call | Alloc | Return

# ---- questions about nodes ----------------------------------------------------------------------


def is_buffer(type: str) -> bool:
    return type.startswith("ptr<")


def on_stack(alloc: Alloc) -> bool:
    """Whether this allocation is small and of constant size."""
    return (
        isinstance(alloc.count, Const)
        and alloc.count.value * DTYPES[alloc.type].itemsize <= STACK_BYTES
    )


def expressions(s) -> tuple:
    """The expressions that stand in a statement itself, not in its blocks."""
    kind = type(s)
    if kind is Store:
        return s.buffer, s.index, s.expr
    if kind is Loop:
        return s.start, s.stop
    if kind is Spread:
        return *s.args, s.start, s.stop
    if kind is While:
        return ()
    if kind is If:
        return (s.condition,)
    if kind is Call:
        return s.args
    if kind is Alloc:
        return (s.count,)
    return () if s.expr is None else (s.expr,)


def names_of(e) -> set[str]:
    """The names in an expression."""
    kind = type(e)
    if kind is Name:
        return {e.name}
    if kind is Op:
        return set().union(*map(names_of, e.args))
    if kind is Load or kind is Address:
        return names_of(e.index) | {e.buffer.name}
    return set()


def allocations(body: list):
    """Every allocation of a body, those of its inner blocks included."""
    for s in body:
        kind = type(s)
        if kind is Alloc:
            yield s
        elif kind is Loop:
            yield from allocations(s.body)
        elif kind is While:
            yield from allocations(s.head)
            yield from allocations(s.body)
        elif kind is If:
            yield from allocations(s.then)
            yield from allocations(s.orelse)


# ---- printer -------------------------------------------------------------------------------------


def show(expr: Expr) -> str:
    """One expression as text."""
    kind = type(expr)
    if kind is Name:
        return expr.name
    if kind is Const:
        plain = expr.type in ("f64", "i64", "i1")
        value = {"f": float, "i": int, "b": bool}[KIND[expr.type]](expr.value)
        return repr(value) if plain else f"{value!r}:{expr.type}"
    if kind is Op:
        row, args = TABLE[expr.name], [show(arg) for arg in expr.args]
        mark = "~" if expr.fast else ""
        if row.symbol:
            return f"({args[0]} {row.symbol}{mark} {args[1]})"
        return f"{expr.name}{mark}({', '.join(args)})"
    text = f"{expr.buffer.name}[{show(expr.index)}]"
    return "&" + text if kind is Address else text


def _lines(body: list, indent: str):
    deeper = indent + "    "
    for s in body:
        match s:
            case Let():
                yield f"{indent}{s.name} = {show(s.expr)}"
            case Var():
                yield f"{indent}var {s.name}: {s.expr.type} = {show(s.expr)}"
            case Assign():
                yield f"{indent}{s.name} := {show(s.expr)}"
            case Store():
                yield f"{indent}{s.buffer.name}[{show(s.index)}] = {show(s.expr)}"
            case Loop():
                down = " reversed" * s.reverse + " parallel" * s.parallel + " scratch" * s.scratch
                down += f" cap {s.cap}" if s.cap else ""
                yield f"{indent}for {s.index} in {show(s.start)}..{show(s.stop)}{down}:"
                yield from _lines(s.body, deeper)
            case Spread():
                args, cap = ", ".join(map(show, s.args)), f" cap {s.cap}" if s.cap else ""
                yield (f"{indent}{s.result} = spread {s.target}({show(s.start)}..{show(s.stop)}, "
                       f"{args}) by {s.grain}{cap}")
            case While():
                yield f"{indent}while:"
                yield from _lines(s.head, deeper)
                yield f"{indent}  {show(s.condition)} do:"
                yield from _lines(s.body, deeper)
            case If():
                yield f"{indent}if {show(s.condition)}:"
                yield from _lines(s.then, deeper)
                if s.orelse:
                    yield f"{indent}else:"
                    yield from _lines(s.orelse, deeper)
            case Call():
                target = s.target if isinstance(s.target, str) else "*" + s.target.name
                left = f"{s.result}: {s.type} = " if s.result else ""
                yield f"{indent}{left}call {target}({', '.join(map(show, s.args))})"
            case Alloc():
                yield f"{indent}{s.name} = alloc {s.type}[{show(s.count)}]"
            case Return():
                yield f"{indent}return" + (f" {show(s.expr)}" if s.expr else "")


def text(item: Module | Function) -> str:
    """The program as text, one statement a line."""
    if isinstance(item, Module):
        return "\n\n".join(text(f) for f in item.functions)
    params = ", ".join(f"{name}: {type}" for name, type in item.params)
    arrow = f" -> {item.result}" if item.result else ""
    return "\n".join([f"func {item.name}({params}){arrow}:", *_lines(item.body, "    ")])
