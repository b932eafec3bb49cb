"""Loop IR -> LLVM text.  It only spells; every decision was taken before.

The text is built as a list of lines.  ``values`` maps a name of the loop IR to its LLVM operand:
``Let`` of an operation names its register, ``Let`` of a constant or a name is only an entry in
that map, and a ``Var`` is an ``alloca`` that LLVM's mem2reg turns into registers.
"""

from dataclasses import dataclass, field

from sciad.compiler import mathlib, threads
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
    Placement,
    Return,
    Spread,
    Store,
    Var,
    While,
    allocations,
    on_stack,
)
from sciad.compiler.outline import lifetimes, packed
from sciad.compiler.planning import constant_sizes, on_the_stack
from sciad.compiler.scalars import DTYPES, TABLE
from sciad.compiler.spelling import (
    LLVM_TYPES,
    STORED,
    constant,
    intrinsics,
    llvm_type,
    template,
)
from sciad.compiler.symbols import SPECIAL
from sciad.core.errors import SciadError

SEPARATE = 8
"""Heap allocations that a function makes one by one; more become pieces of one workspace, so that
the text grows linearly: every way out of a function releases all that it allocated."""

INLINED_FROM = 4096
"""Iterations of a loop from which the vector functions that it calls are written into its module,
to be inlined: a sixth faster, for some milliseconds more to compile."""

HUGE_PAGE = 2**21
MANY_PAGES = 2**22
"""Bytes of workspace from which large pages are asked for."""

NO_MEMORY = -1  # the status of a function whose workspace could not be allocated

_WORDS = {s for row in TABLE.values() for s in row.spell.values() if s.isidentifier()}
_PURE = _WORDS | {word + "f" for word in _WORDS}  # the C functions of the table


@dataclass(frozen=True, slots=True)
class Host:
    """What the renderer needs to know of the machine.

    ``vector_functions`` maps a scalar function (``tanh``, ``tanhf``) to its vector forms, each as
    (lanes, symbol); ``fma`` says whether one instruction does it; ``vector_width`` is in bits.
    """

    fma: bool = True
    vector_width: int = 0
    vector_functions: dict[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    aligned: bool = True  # the C library has aligned_alloc
    threads: bool = False  # the pool of `sciad.compiler.threads` works here
    huge: bool = False  # the system gives large pages on request (madvise)

    __hash__ = object.__hash__


class _Renderer:
    """Renders one function; ``declared`` collects what the module must declare."""

    def __init__(self, host: Host, declared: dict[str, str]):
        self.host = host
        self.declared = declared
        self.metadata: list[str] = []
        self.trips = 0  # iterations of the loops around, as far as they are known; 0 outside loops
        self.tasks: dict[str, list[str]] = {}  # what the pool calls, by the name of the function
        self.vectors: dict[str, int] = {}  # C functions with vector forms: most `trips` of a call

    def function(self, f: Function) -> list[str]:
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.values: dict[str, str] = {}
        self.vars: dict[str, str] = {}
        self.heap: list[str] = []
        self.count = 0
        self.calls = 0  # of functions that have vector forms
        self.group = ""  # the mark of buffer accesses in a parallel loop
        self.open = True  # the current basic block has no terminator yet
        self.result = f.result
        params = []
        for name, type in f.params:
            self.values[name] = f"%{name}"
            mark = " noalias" if f.noalias and type.startswith("ptr<") else ""
            params.append(f"{llvm_type(type)}{mark} %{name}")
        self.workspace(f.body, f.placement)
        self.block(f.body)
        if self.open:
            self.leave("ret void" if f.result is None else "unreachable")
        inline = {"always": " alwaysinline", "never": " noinline", None: ""}[f.inline]
        kind = "internal " if f.inline == "always" else ""
        head = f"define {kind}{llvm_type(f.result)} @{f.name}({', '.join(params)}){inline} #0 {{"
        return [head, *self.entry, *self.lines, "}"]

    # ---- pieces ----

    def register(self) -> str:
        self.count += 1
        return f"%.{self.count}"

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.open = True

    def labels(self, *stems: str) -> list[str]:
        self.count += 1
        return [f"{stem}.{self.count}" for stem in stems]

    def jump(self, label: str) -> None:
        if self.open:
            self.lines.append(f"  br label %{label}")
            self.open = False

    def leave(self, terminator: str) -> None:
        for pointer in self.heap:
            self.need("free", "void (ptr)")
            self.lines.append(f"  call void @free(ptr {pointer})")
        self.lines.append(f"  {terminator}")
        self.open = False

    def need(self, symbol: str, signature: str) -> None:
        self.declared.setdefault(symbol, signature)

    # ---- expressions ----

    def expr(self, e, into: str | None = None) -> str:
        """Emit what computes ``e``; gives its operand (register ``into``, if it needs one)."""
        kind = type(e)
        if kind is Name:
            slot = self.vars.get(e.name)
            if slot is None:
                value = self.values[e.name]
                return value or self.piece(self.offsets[e.name], into)
            into = into or self.register()
            self.lines.append(f"  {into} = load {LLVM_TYPES[e.type]}, ptr {slot}")
            return into
        if kind is Const:
            return constant(e.value, e.type)
        if kind is Op:
            return self.op(e, into)
        if kind is Load:
            return self.load(e, into)
        if kind is Address:
            return self.address(e.buffer, e.index, into)
        raise SciadError(f"no loop expression: {e!r}")

    def op(self, e: Op, into: str | None) -> str:
        args = e.args
        types = tuple([arg.type for arg in args])
        pattern, declared = template(e.name, types, e.fast, self.host.fma)
        operands = [self.expr(arg) for arg in args]
        if not pattern:
            return operands[0]
        if declared is not None:
            symbol, t, arity = declared
            if symbol not in self.declared:
                self.declared[symbol] = f"{t} ({', '.join([t] * arity)})"
            if self.trips and symbol in self.host.vector_functions:
                self.vectors[symbol] = max(self.trips, self.vectors.get(symbol, 0))
                self.calls += 1
        if declared is None and "@" in pattern:
            for symbol, signature in intrinsics(pattern):
                self.need(symbol, signature)
        into = into or self.register()
        self.lines.append("  " + pattern.format(into, *operands))
        return into

    def address(self, buffer: Name, index, into: str | None = None) -> str:
        base = self.expr(buffer)
        if type(index) is Const and index.value == 0:
            return base
        offset = self.expr(index)
        into = into or self.register()
        stored = STORED[buffer.type[4:-1]]
        self.lines.append(f"  {into} = getelementptr inbounds {stored}, ptr {base}, i64 {offset}")
        return into

    def load(self, e: Load, into: str | None) -> str:
        pointer = self.address(e.buffer, e.index)
        into = into or self.register()
        if e.type == "i1":
            self.lines.append(f"  {into}..a = load i8, ptr {pointer}{self.group}")
            self.lines.append(f"  {into} = icmp ne i8 {into}..a, 0")
        else:
            self.lines.append(f"  {into} = load {LLVM_TYPES[e.type]}, ptr {pointer}{self.group}")
        return into

    # ---- statements ----

    def block(self, body: list) -> None:
        for s in body:
            _RENDER[type(s)](self, s)

    def let(self, s: Let) -> None:
        self.values[s.name] = self.expr(s.expr, f"%{s.name}")

    def var(self, s: Var) -> None:
        slot = self.vars[s.name] = f"%{s.name}..var"
        self.entry.append(f"  {slot} = alloca {LLVM_TYPES[s.expr.type]}")
        self.assign(Assign(s.name, s.expr))

    def assign(self, s: Assign) -> None:
        value = self.expr(s.expr)
        self.lines.append(f"  store {LLVM_TYPES[s.expr.type]} {value}, ptr {self.vars[s.name]}")

    def store(self, s: Store) -> None:
        value = self.expr(s.expr)
        if s.expr.type == "i1":
            byte = self.register()
            self.lines.append(f"  {byte} = zext i1 {value} to i8")
            value = byte
        pointer = self.address(s.buffer, s.index)
        self.lines.append(f"  store {STORED[s.expr.type]} {value}, ptr {pointer}{self.group}")

    def loop(self, s: Loop) -> None:
        start, stop = self.expr(s.start), self.expr(s.stop)
        before, head, body, latch, end = self.labels("pre", "for", "body", "next", "end")
        index = self.values[s.index] = f"%{s.index}"
        step = self.register()
        first, bound, test, move = start, stop, "slt", 1
        if s.reverse:
            first = self.register()
            self.lines.append(f"  {first} = add nsw i64 {stop}, -1")
            bound, test, move = start, "sge", -1
        self.jump(before)
        self.label(before)
        self.jump(head)
        self.label(head)
        self.lines += [
            f"  {index} = phi i64 [ {first}, %{before} ], [ {step}, %{latch} ]",
            f"  {step}c = icmp {test} i64 {index}, {bound}",
            f"  br i1 {step}c, label %{body}, label %{end}",
        ]
        self.label(body)
        mark = self.loop_body(s)
        self.jump(latch)
        self.label(latch)
        self.lines.append(f"  {step} = add nsw i64 {index}, {move}")
        self.lines.append(f"  br label %{head}{mark}")
        self.label(end)

    def loop_body(self, s: Loop) -> str:
        """The body; gives the mark of the loop."""
        outer = self.group, self.trips, self.calls
        hints, self.group = [], ""
        known = type(s.start) is Const and type(s.stop) is Const
        self.trips = max(outer[1], 1) * (max(s.stop.value - s.start.value, 1) if known else 1)
        if s.parallel:
            access = self.note("distinct !{}")
            self.group = f", !llvm.access.group {access}"
            hints.append(self.note(f'!{{!"llvm.loop.parallel_accesses", {access}}}'))
        self.block(s.body)
        if self.calls != outer[2]:  # several calls side by side would only spill registers
            hints.append(self.note('!{!"llvm.loop.interleave.count", i32 1}'))
        self.group, self.trips = outer[:2]
        if not hints:
            return ""
        itself = f"!{len(self.metadata)}"
        mark = self.note(f"distinct !{{{', '.join([itself, *hints])}}}")
        return f", !llvm.loop {mark}"

    def note(self, text: str) -> str:
        """A new metadata node."""
        self.metadata.append(f"!{len(self.metadata)} = {text}")
        return f"!{len(self.metadata) - 1}"

    def while_(self, s: While) -> None:
        head, body, end = self.labels("while", "do", "done")
        self.jump(head)
        self.label(head)
        self.block(s.head)
        condition = self.expr(s.condition)
        self.lines.append(f"  br i1 {condition}, label %{body}, label %{end}")
        self.label(body)
        self.block(s.body)
        self.jump(head)
        self.label(end)

    def if_(self, s: If) -> None:
        then, orelse, end = self.labels("then", "else", "fi")
        condition = self.expr(s.condition)
        other = orelse if s.orelse else end
        self.lines.append(f"  br i1 {condition}, label %{then}, label %{other}")
        self.label(then)
        self.block(s.then)
        fell = self.open or not s.orelse
        self.jump(end)
        if s.orelse:
            self.label(orelse)
            self.block(s.orelse)
            fell = fell or self.open
            self.jump(end)
        if fell:
            self.label(end)

    def call(self, s: Call) -> None:
        args = [f"{llvm_type(arg.type)} {self.expr(arg)}" for arg in s.args]
        if isinstance(s.target, str):
            target = f"@{s.target}"
            types = ", ".join(llvm_type(arg.type) for arg in s.args)
            self.need(s.target, f"{llvm_type(s.type)} ({types})")
        else:
            target = self.expr(s.target)
        left = ""
        if s.result is not None:
            left = f"%{s.result} = "
            self.values[s.result] = f"%{s.result}"
        self.lines.append(f"  {left}call {llvm_type(s.type)} {target}({', '.join(args)})")

    def spread(self, s: Spread) -> None:
        start, stop = self.expr(s.start), self.expr(s.stop)
        args = [(llvm_type(arg.type), self.expr(arg)) for arg in s.args]
        self.values[s.result] = f"%{s.result}"
        if not self.host.threads:
            passed = ", ".join(f"{type} {value}" for type, value in args)
            self.lines.append(f"  %{s.result} = call i64 @{s.target}(i64 {start}, i64 {stop}"
                              f"{', ' * bool(args)}{passed})")
            return
        context = self.register()
        self.entry.append(f"  {context} = alloca [{max(len(args), 1)} x i64]")
        for k, (type, value) in enumerate(args):
            self.lines += [f"  {context}.{k} = getelementptr inbounds i64, ptr {context}, i64 {k}",
                           f"  store {type} {value}, ptr {context}.{k}"]
        self.tasks[s.target] = _task(s.target, [type for type, _ in args])
        self.need(threads.SYMBOL, "i64 (ptr, ptr, i64, i64, i64, i64)")
        self.lines.append(
            f"  %{s.result} = call i64 @{threads.SYMBOL}(ptr @{s.target}..task, ptr {context}, "
            f"i64 {start}, i64 {stop}, i64 {s.grain}, i64 {s.cap})")

    def workspace(self, body: list, placement: Placement | None) -> None:
        """Place the allocations of constant size: the small ones on the stack as long as there is
        room, the others on the heap, where many share one piece of memory."""
        sizes = constant_sizes(body)
        small = {s.name for s in allocations(body) if on_stack(s)}
        self.stacked, self.offsets, self.base = on_the_stack(sizes, small), {}, ""
        rest = {name: size for name, size in sizes.items() if name not in self.stacked}
        if placement is not None:
            self.offsets = {k: v for k, v in placement.offsets.items() if k not in self.stacked}
            if self.offsets:
                self.base = "%..work"
                self.heap_piece(self.base, str(placement.total))
        elif len(rest) > SEPARATE or not small <= self.stacked:
            self.base = "%..work"
            self.offsets, total = packed(rest, lifetimes(body))
            self.heap_piece(self.base, str(total))

    def alloc(self, s: Alloc) -> None:
        pointer = self.values[s.name] = f"%{s.name}"
        stored = STORED[s.type]
        if s.name in self.stacked:
            count = max(int(s.count.value), 1)
            align = 64 if count > 2 else 16
            self.entry.append(f"  {pointer} = alloca {stored}, i64 {count}, align {align}")
        elif s.name in self.offsets:
            self.values[s.name] = ""  # computed where it is used: a register kept alive costs more
        else:
            r = self.register()
            self.lines += [f"  {r}a = mul i64 {self.expr(s.count)}, {DTYPES[s.type].itemsize}",
                           f"  {r}b = add i64 {r}a, 127", f"  {r}c = and i64 {r}b, -64"]
            self.heap_piece(pointer, f"{r}c")

    def piece(self, offset: int, into: str | None = None) -> str:
        """The address of a piece of the workspace."""
        into = into or self.register()
        self.lines.append(f"  {into} = getelementptr inbounds i8, ptr {self.base}, i64 {offset}")
        return into

    def heap_piece(self, pointer: str, size: str) -> None:
        """Allocate `size` bytes, a multiple of 64; every way out of the function releases them."""
        r = self.register()
        ok, none = self.labels("ok", "none")
        huge = self.host.huge and size.isdigit() and int(size) >= MANY_PAGES
        if self.host.aligned:
            self.need("aligned_alloc", "ptr (i64, i64)")
            align = HUGE_PAGE if huge else 64
            size = str(-(-int(size) // HUGE_PAGE) * HUGE_PAGE) if huge else size
            self.lines.append(
                f"  {pointer} = call noalias align 64 ptr @aligned_alloc(i64 {align}, i64 {size})")
        else:
            self.need("malloc", "ptr (i64)")
            self.lines.append(f"  {pointer} = call noalias ptr @malloc(i64 {size})")
        self.lines += [f"  {r} = icmp eq ptr {pointer}, null",
                       f"  br i1 {r}, label %{none}, label %{ok}"]
        self.label(none)
        self.leave(f"ret i64 {NO_MEMORY}" if self.result == "i64" else "unreachable")
        self.label(ok)
        if huge:  # otherwise the system hands out memory 4 KiB at a time, and that takes longer
            self.need("madvise", "i32 (ptr, i64, i32)")
            self.lines.append(f"  {r}h = call i32 @madvise(ptr {pointer}, i64 {size}, i32 14)")
        self.heap.append(pointer)

    def return_(self, s: Return) -> None:
        value = "void" if s.expr is None else f"{llvm_type(s.expr.type)} {self.expr(s.expr)}"
        self.leave(f"ret {value}")


_RENDER = {
    Let: _Renderer.let, Var: _Renderer.var, Assign: _Renderer.assign, Store: _Renderer.store,
    Loop: _Renderer.loop, Spread: _Renderer.spread, While: _Renderer.while_, If: _Renderer.if_,
    Call: _Renderer.call, Alloc: _Renderer.alloc, Return: _Renderer.return_,
}  # fmt: skip


def _task(target: str, types: list[str]) -> list[str]:
    """What unpacks the arguments of a function and calls it."""
    lines = [f"define internal i64 @{target}..task(ptr %context, i64 %start, i64 %stop) #0 {{"]
    for k, type in enumerate(types):
        lines += [f"  %p{k} = getelementptr inbounds i64, ptr %context, i64 {k}",
                  f"  %x{k} = load {type}, ptr %p{k}"]
    args = "".join(f", {type} %x{k}" for k, type in enumerate(types))
    return [*lines, f"  %status = call i64 @{target}(i64 %start, i64 %stop{args})",
            "  ret i64 %status", "}"]


def _declarations(declared: dict[str, str], defined: set[str],
                  forms: dict[str, tuple[tuple[int, str], ...]]) -> list[str]:
    """Declarations of external functions; vector forms of C functions are named beside them."""
    lines, groups, used = [], [], []
    for symbol, signature in declared.items():
        if symbol in defined:
            continue
        result, args = signature.split(" (", 1)
        line = f"declare {result} @{symbol}({args}"
        if symbol.startswith("llvm."):
            lines.append(line)
        elif symbol in forms:
            lines.append(f"{line} #{len(groups) + 3}")
            names = []
            for lanes, vector in forms[symbol]:
                t = f"<{lanes} x {result}>"
                names.append(f"_ZGV_LLVM_N{lanes}{'v' * (args.count(',') + 1)}_{symbol}({vector})")
                if vector not in defined:
                    lines.append(f"declare {t} @{vector}({', '.join([t] * (args.count(',') + 1))})")
                used.append(f"ptr @{vector}")
            groups.append(f'attributes #{len(groups) + 3} = {{ nounwind willreturn memory(none) '
                          f'"vector-function-abi-variant"="{",".join(names)}" }}')
        else:
            pure = symbol in _PURE or symbol.startswith(SPECIAL) and result != "void"
            lines.append(line + (" #2" if pure else " #1"))
    if used:
        lines.append(f"@llvm.compiler.used = appending global [{len(used)} x ptr] "
                     f'[{", ".join(used)}], section "llvm.metadata"')
    return lines + groups


def _inlined(vectors: dict[str, int], host: Host) -> dict[str, mathlib.Written]:
    """The vector functions that are written into the module."""
    found = [name for scalar, trips in vectors.items() if trips >= INLINED_FROM
             for _, name in host.vector_functions[scalar] if name.startswith(mathlib.PREFIX)]
    return {name: mathlib.written(name, inline=True) for name in found}


def render(module: Module, host: Host) -> tuple[str, list[str]]:
    """The LLVM text of a module, and the external symbols that it needs."""
    declared: dict[str, str] = {}
    renderer = _Renderer(host, declared)
    lines: list[str] = []
    for function in module.functions:
        lines += renderer.function(function)
    for task in renderer.tasks.values():
        lines += task
    inlined = _inlined(renderer.vectors, host)
    for one in inlined.values():
        lines += one.lines
    forms = {scalar: host.vector_functions[scalar] for scalar in renderer.vectors}
    defined = {function.name for function in module.functions} | inlined.keys()
    width = f' "prefer-vector-width"="{host.vector_width}"' if host.vector_width else ""
    lines += sorted(set().union(*(one.declared for one in inlined.values())))
    lines += _declarations(declared, defined, forms) + renderer.metadata
    lines += [
        f"attributes #0 = {{ nounwind{width} }}",
        "attributes #1 = { nounwind }",
        "attributes #2 = { nounwind willreturn memory(none) }",
    ]
    names = [symbol for symbol in declared if not symbol.startswith("llvm.")]
    names += [vector for each in forms.values() for _, vector in each]
    return "\n".join(lines) + "\n", [name for name in names if name not in defined]
