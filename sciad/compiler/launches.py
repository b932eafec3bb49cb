"""Loop IR -> kernels and the order in which the host launches them.

The body of a lowered function is cut, from the top, into

Serial    statements of one thread: scalars, small loops
Grid      a loop nest whose iterations run side by side (`nests`), one thread each
Product   a call of BLAS: a matrix product of the device's own library
Library   a primitive that the device's array module evaluates, as in eager mode
Repeat    a loop that holds any of these: the host counts
Cycle     a while loop that does: the host reads the condition after each round
Branch    an if that does: the host reads the condition

A loop is cut open only if something in it is worth a launch; a whole program that runs few
statements is one Serial kernel. Accumulations take several kernels (`reductions`). What would keep
a single thread busy for long is refused: such a program runs faster eagerly.

A scalar that one kernel defines and another reads has a slot in the frame; buffers stand in the
workspace, packed as on the host. Sums into an array at run-time indices are atomic: their order,
and so their rounding, is the device's, as in CuPy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sciad.compiler.callbacks import Callback
from sciad.compiler.cuda import (
    AtomicAdd,
    Kernel,
    Place,
    c_type,
    identifier,
    module_text,
    spell,
)
from sciad.compiler.merging import closure, fission, movable, shared_scalars
from sciad.compiler.nests import (
    Nest,
    defined,
    expressions,
    free,
    is_private,
    nest_of,
    nodes,
    size,
    statements,
    threads_of,
    work,
)
from sciad.compiler.nodes import (
    Alloc,
    Assign,
    Call,
    Const,
    Expr,
    Function,
    If,
    Let,
    Loop,
    Module,
    Name,
    Return,
    Store,
    Var,
    While,
    allocations,
    is_buffer,
)
from sciad.compiler.outline import lifetimes, packed
from sciad.compiler.reductions import Accumulation, Split, accumulations, needed
from sciad.compiler.scalars import DTYPES
from sciad.compiler.values import Unsupported

SMALL_PROGRAM = 2048
"""Statements up to which a whole program is one thread's."""

SMALL_NEST = 64
"""Statements up to which a nest is not worth a launch."""

FEW_THREADS = 32
LONG_SERIAL = 1 << 18
"""Statements from which a loop is too long for one thread."""

LONG_SUM = 1024
MANY_THREADS = 1 << 14


@dataclass(slots=True)
class Serial:
    body: list
    kernel: Kernel | None = None


@dataclass(slots=True)
class Grid:
    threads: list[Loop]
    body: list
    kernel: Kernel | None = None


@dataclass(slots=True)
class Product:
    """``c = a @ b`` for matrices in C order of these extents."""

    a: str
    b: str
    c: str
    rows: int
    inner: int
    columns: int
    type: str


@dataclass(slots=True)
class Library:
    """A primitive's operands and results, by name; operands may be constants."""

    callback: Callback
    operands: list[Expr]
    results: list[str]


@dataclass(slots=True)
class Repeat:
    index: str
    start: Expr
    stop: Expr
    body: list
    reverse: bool


@dataclass(slots=True)
class Cycle:
    head: list
    condition: str
    body: list


@dataclass(slots=True)
class Branch:
    condition: str
    then: list
    orelse: list


Node = Serial | Grid | Product | Library | Repeat | Cycle | Branch


@dataclass
class Plan:
    """What the host does: its steps, the text of the kernels, the memory they need.

    `buffers` maps a buffer to its offset in the workspace and its type, `slots` a scalar to its
    place in the frame and its type; `guarded` tells that a kernel may stop the program.
    """

    steps: list[Node]
    text: str = ""
    kernels: list[Kernel] = field(default_factory=list)
    buffers: dict[str, tuple[int, str]] = field(default_factory=dict)
    slots: dict[str, tuple[int, str]] = field(default_factory=dict)
    bytes: int = 0
    guarded: bool = False


def plan(module: Module, on_device: frozenset[str] = frozenset(),
         pointers: dict[str, object] | None = None) -> Plan:
    """The launches of the module's last function. `on_device` are its scalar parameters that
    come as pointers, `pointers` what its function pointers stand for.

    Raises
    ------
    Unsupported
        If something in it has no form on a device.
    """
    function = module.functions[-1]
    return _Planner(module, function, on_device, pointers or {}).run()


class _Planner:
    def __init__(self, module: Module, function: Function, on_device: frozenset[str], pointers):
        self.module, self.function, self.on_device = module, function, on_device
        self.pointers = pointers
        self.answered: set[str] = set()  # the statuses of library calls
        self.params = dict(function.params)
        self.hosted: set[str] = set()
        self.count = 0
        self.scratch_used = self.scratch_most = 0
        self.scratches: dict[str, tuple[int, str]] = {}
        self.plan = Plan([])

    def run(self) -> Plan:
        body = self.function.body
        if type(body[-1]) is Return and _is_zero(body[-1].expr):
            body = body[:-1]
        if any(type(s) is Return and _is_zero(s.expr) for s in statements(body)):
            raise Unsupported("a program that ends early has no device form")
        self._place_buffers(body)
        body = [s for s in body if type(s) is not Alloc]
        steps = [Serial(body)] if work(body) <= SMALL_PROGRAM and not _calls(body) \
            else self.block(body)
        self.plan.steps = self.tidy(steps)
        self.plan.guarded = any(type(s) is Return for step in _kernels(steps)
                                for s in statements(step.body))
        self.plan.buffers.update((name, (self.plan.bytes + offset, kind))
                                 for name, (offset, kind) in self.scratches.items())
        self.plan.bytes += self.scratch_most
        self._spell()
        return self.plan

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    # ---- memory ----

    def _place_buffers(self, body) -> None:
        """Constant sizes, packed by lifetime; what a block allocates has its own place."""
        sizes = {}
        for s in (s for s in body if type(s) is Alloc):
            if type(s.count) is not Const:
                raise Unsupported("memory of a size that the program decides has no device form")
            sizes[s.name] = -(-max(s.count.value, 1) * DTYPES[s.type].itemsize // 64) * 64
        types = {s.name: s.type for s in body if type(s) is Alloc}
        offsets, total = packed(sizes, lifetimes(body)) if sizes else ({}, 0)
        self.plan.buffers = {name: (offset, types[name]) for name, offset in offsets.items()}
        self.plan.bytes = total

    def scratch(self, type: str, count: int) -> Name:
        """A buffer for partial results, free again after the accumulation."""
        name = self.fresh("partial")
        self.scratches[name] = self.scratch_used, type
        self.scratch_used += -(-count * DTYPES[type].itemsize // 64) * 64
        self.scratch_most = max(self.scratch_most, self.scratch_used)
        return Name(name, f"ptr<{type}>")

    # ---- cutting ----

    def block(self, body: list) -> list[Node]:
        steps: list[Node] = []
        for s in body:
            kind = type(s)
            if kind is Loop:
                found = self.loop(s)
            elif kind is While:
                found = self.while_(s)
            elif kind is If:
                if self._asks_status(s):
                    continue
                found = self.if_(s)
            elif kind is Call:
                found = [self.call(s)]
            else:
                found = None
            for step in found or [Serial([s])]:
                if type(step) is Serial and steps and type(steps[-1]) is Serial:
                    steps[-1] = Serial([*steps[-1].body, *step.body])
                else:
                    steps.append(step)
        return steps

    def loop(self, s: Loop) -> list[Node] | None:
        if work([s]) <= SMALL_NEST:
            return None
        nest = nest_of(s)
        threads = threads_of(nest)
        if len(threads) < len(nest.loops):
            found = self.accumulation(nest, threads) or self.scatter(nest)
            if found is not None:
                return found
        wider = self.fission(s, nest, threads)
        if wider is not None:
            return wider
        if size(threads) >= FEW_THREADS:
            return [self.grid(nest, threads)]
        inner = self.block(s.body)
        if all(type(step) is Serial for step in inner):
            if size(threads) > 1:
                return [self.grid(nest, threads)]
            if work([s]) > LONG_SERIAL:
                raise Unsupported(f"a loop of {size(nest.loops)} steps that need one another, or "
                                  "may write to one place, has no device form")
            return None
        self.hosted.add(s.index)
        self._place_inner(s.body)
        start, before = self.bound(s.start)
        stop, more = self.bound(s.stop)
        return [*before, *more, Repeat(s.index, start, stop, inner, s.reverse)]

    def fission(self, s: Loop, nest: Nest, threads: list[Loop]) -> list[Node] | None:
        """The loop as several, if one of them has more threads than it has."""
        if s not in threads or size(threads) >= MANY_THREADS:
            return None
        inner = threads[-1] if len(threads) == len(nest.loops) else s
        pieces = fission(Loop(inner.index, inner.start, inner.stop, nest.body))
        if pieces is None:
            return None
        steps: list[Node] = []
        for piece in pieces:
            for loop in reversed([x for x in nest.loops if x is not inner]):
                piece = Loop(loop.index, loop.start, loop.stop, [piece], parallel=loop.parallel)
            steps += self.block([piece])
        wide = [step for step in steps if type(step) is Grid
                and size(step.threads) > size(threads)]
        return steps if wide else None

    def bound(self, e: Expr) -> tuple[Expr, list[Node]]:
        """A bound of a loop of the host, and the statement that computes it."""
        if type(e) is Const:
            return e, []
        name = self.fresh("bound")
        return Name(name, "i64"), [Serial([Let(name, e)])]

    def grid(self, nest: Nest, threads: list[Loop]) -> Grid:
        body = nest.body
        for loop in reversed([loop for loop in nest.loops if loop not in threads]):
            body = [Loop(loop.index, loop.start, loop.stop, body, loop.reverse)]
        return Grid(threads, body)

    def while_(self, s: While) -> list[Node] | None:
        name = self.fresh("go")
        head = self.block([*s.head, Let(name, s.condition)])
        body = self.block(s.body)
        if all(type(step) is Serial for step in [*head, *body]):
            return None
        self._place_inner([*s.head, *s.body])
        return [Cycle(head, name, body)]

    def if_(self, s: If) -> list[Node] | None:
        then, orelse = self.block(s.then), self.block(s.orelse)
        if all(type(step) is Serial for step in [*then, *orelse]):
            return None
        name = self.fresh("taken")
        self._place_inner([*s.then, *s.orelse])
        return [Serial([Let(name, s.condition)]), Branch(name, then, orelse)]

    def _place_inner(self, body) -> None:
        """Buffers allocated in a block that several kernels share."""
        for s in allocations([s for s in body if type(s) is Alloc]):
            self.plan.buffers[s.name] = self.plan.bytes, s.type
            self.plan.bytes += -(-max(s.count.value, 1) * DTYPES[s.type].itemsize // 64) * 64

    # ---- forms of nests ----

    def accumulation(self, nest: Nest, threads: list[Loop]) -> list[Node] | None:
        targets = accumulations(nest)
        if not targets or any(type(x.start) is not Const or type(x.stop) is not Const
                              for x in nest.loops):
            return None
        in_vars = {type(x.target) is str for x in targets}
        if len(in_vars) > 1:
            return None
        if True in in_vars:
            threads = []
        rest = [loop for loop in nest.loops if loop not in threads]
        if not rest or True not in in_vars and _depends(nest, targets, rest):
            return None
        split = Split(nest, threads, targets, self.fresh, self.scratch)
        if not all(x.reassociates for x in targets) or not _worthwhile(split):
            return [Grid(*split.whole())] if size(threads) >= FEW_THREADS else None
        self.scratch_used = 0
        kernels, after = split.split()
        steps: list[Node] = [Grid(*kernel) if kernel[0] else Serial(kernel[1])
                             for kernel in kernels]
        return [*steps, Serial(after)] if after else steps

    def scatter(self, nest: Nest) -> list[Node] | None:
        """Sums at run-time places: every iteration a thread, the sums atomic."""
        last = nest.body[-1] if nest.body else None
        if type(last) is not Store or not is_private(nest) or any(
                type(x.start) is not Const for x in nest.loops):
            return None
        targets = accumulations(Nest(nest.loops, [
            s for s in nest.body if type(s) is Let or s is last]))
        others = [s for s in statements(nest.body) if type(s) is Store and s is not last]
        if len(targets) != 1 or others or targets[0].operation.name != "add" or targets[
                0].type not in ("f64", "f32", "i64", "i32") or size(nest.loops) < FEW_THREADS:
            return None
        body = [*nest.body[:-1], AtomicAdd(last.buffer, last.index, targets[0].entry)]
        if last.buffer.name in {e.name for e in expressions(nest.body[:-1]) if type(e) is Name}:
            return None
        return [Grid(nest.loops, body)]

    def _asks_status(self, s: If) -> bool:
        """Whether this looks at how a library call went: it raises by itself."""
        return any(type(e) is Name and e.name in self.answered for e in nodes(s.condition))

    def call(self, s: Call) -> Product | Library:
        owner = self.pointers.get(s.target.name) if type(s.target) is Name else None
        if isinstance(owner, Callback):
            if s.result is not None:
                self.answered.add(s.result)
            count = len(owner.kinds)
            return Library(owner, list(s.args[:count]), [x.name for x in s.args[count:]])
        helper = next((f for f in self.module.functions if f.name == s.target), None)
        found = _product(helper, s) if helper is not None else None
        if found is None:
            target = s.target if type(s.target) is str else s.target.name
            inner = [x.target for x in helper.body if type(x) is Call] if helper else [target]
            raise Unsupported(f"a call of {', '.join(map(str, inner))} has no device form")
        return found

    # ---- fewer launches ----

    def tidy(self, steps: list[Node]) -> list[Node]:
        """Scalars that the host's numbers make are shared; other scalars move behind launches."""
        asked = {name for name, _ in _asked(steps)}
        bodies = [step.body for step in _kernels(steps) if type(step) is Serial]
        self.shared = shared_scalars(
            bodies, lambda name: name in self.params or name in self.hosted)
        for name in closure(asked, self.shared):
            self.shared.pop(name.name)
        return self._sunk(steps)

    def _sunk(self, steps: list[Node]) -> list[Node]:
        out: list[Node] = []
        for step in steps:
            if type(step) is Repeat:
                step.body = self._sunk(step.body)
            elif type(step) is Cycle:
                step.head, step.body = self._sunk(step.head), self._sunk(step.body)
            elif type(step) is Branch:
                step.then, step.orelse = self._sunk(step.then), self._sunk(step.orelse)
            elif type(step) is Serial:
                body = [s for s in step.body if type(s) is not Let or s.name not in self.shared]
                if not body:
                    continue
                step = Serial(body)
            before = out[-1] if out else None
            if type(before) is Serial and type(step) is Serial:
                out[-1] = Serial([*before.body, *step.body])
            elif type(before) is Serial and type(step) is Grid and movable(before.body) and not (
                    defined(before.body) & set(free([*step.threads, *step.body]))):
                out[-1:] = [step, before]
            else:
                out.append(step)
        return out

    # ---- spelling ----

    def _spell(self) -> None:
        kernels = list(_kernels(self.plan.steps))
        for step in kernels:
            step.body = [s for s in step.body
                         if type(s) is not Alloc or s.name not in self.plan.buffers]
            if type(step) is Grid:
                step.threads = [Loop(x.index, x.start, x.stop, []) for x in step.threads]
        asked = [*_asked(self.plan.steps)]
        heads = []
        reads = []
        for step in kernels:
            body = [*step.threads, *step.body] if type(step) is Grid else step.body
            heads.append(closure(free(body), self.shared))
            reads.append(free([*heads[-1], *body]))
        for each in reads:
            for name, type_ in each.items():
                self._slot(name, type_)
        for name, type_ in asked:
            self._slot(name, type_)
        for k, (step, names) in enumerate(zip(kernels, reads, strict=True)):
            threads = step.threads if type(step) is Grid else []
            step.kernel = Kernel(f"{identifier(self.function.name)}_{k}", threads, step.body,
                                 heads[k])
            written = {s.buffer.name for s in statements(step.body)
                       if type(s) in (Store, AtomicAdd)}
            places = [place for name, type_ in names.items()
                      for place in self._places(name, type_, name in written)]
            tail = [] if threads else self._tail(step.body)
            if self.plan.guarded or tail:
                places.append(Place("frame", "ll* frame"))
            spell(step.kernel, places, tail, self.plan.guarded)
        self.plan.kernels = [step.kernel for step in kernels]
        self.plan.text = module_text(self.plan.kernels)

    def _slot(self, name: str, type: str) -> None:
        """A place in the frame for a name that is neither memory nor the host's."""
        known = name in self.params or name in self.plan.buffers or name in self.hosted
        if known or name in self.plan.slots:
            return
        if is_buffer(type) or type == "ptr":
            raise Unsupported(f"a pointer ({name}) that several kernels share has no device form")
        self.plan.slots[name] = len(self.plan.slots) + 1, type

    def _places(self, name: str, type: str, written: bool) -> list[Place]:
        i = identifier(name)
        if name in self.plan.buffers:
            offset, kind = self.plan.buffers[name]
            t = c_type(kind)
            return [Place("work", "char* work", f"{t}* {i} = ({t}*)(work + {offset}LL);")]
        t = c_type(type)
        if name in self.plan.slots:
            slot = self.plan.slots[name][0]
            return [Place("frame", "ll* frame", f"{t} {i} = *(const {t}*)(frame + {slot});")]
        if is_buffer(type):
            const = "" if written else "const "
            return [Place(name, f"{const}{t}* __restrict__ {i}")]
        if name in self.on_device:
            return [Place(name, f"const {t}* __restrict__ {i}_p", f"const {t} {i} = *{i}_p;")]
        return [Place(name, f"const {t} {i}")]

    def _tail(self, body: list) -> list[str]:
        """The lines that keep what later kernels read."""
        made = {s.name for s in body if type(s) in (Let, Var)}
        made |= {s.name for s in statements(body) if type(s) is Assign} - (defined(body) - made)
        return [f"*({c_type(type)}*)(frame + {slot}) = {identifier(name)};"
                for name, (slot, type) in self.plan.slots.items() if name in made]


def _worthwhile(split: Split) -> bool:
    if not split.columns or split.count < LONG_SUM:
        return False
    return split.columns < MANY_THREADS or not split.columns_last and split.columns < 1 << 20


def _depends(nest: Nest, targets: list[Accumulation], rest: list[Loop]) -> bool:
    """Whether an address depends on the loops that are summed over."""
    wanted = [x.target.index for x in targets]
    lets = needed([s for s in nest.body if type(s) is Let], wanted)
    names = {e.name for x in [*wanted, *(s.expr for s in lets)] for e in nodes(x)
             if type(e) is Name}
    return bool(names & {loop.index for loop in rest})


def _is_zero(e) -> bool:
    return type(e) is Const and e.value == 0


def _calls(body) -> bool:
    return any(type(s) is Call for s in statements(body))


def _kernels(steps):
    for step in steps:
        if type(step) in (Serial, Grid):
            yield step
        elif type(step) is Repeat:
            yield from _kernels(step.body)
        elif type(step) is Cycle:
            yield from _kernels([*step.head, *step.body])
        elif type(step) is Branch:
            yield from _kernels([*step.then, *step.orelse])


def _asked(steps):
    """The names that the host reads."""
    for step in steps:
        if type(step) is Library:
            yield from ((x.name, x.type) for x in step.operands
                        if type(x) is Name and not is_buffer(x.type))
        elif type(step) is Repeat:
            yield from ((x.name, "i64") for x in (step.start, step.stop) if type(x) is Name)
            yield from _asked(step.body)
        elif type(step) is Cycle:
            yield step.condition, "i1"
            yield from _asked([*step.head, *step.body])
        elif type(step) is Branch:
            yield step.condition, "i1"
            yield from _asked([*step.then, *step.orelse])


def _product(helper: Function, s: Call) -> Product | None:
    """The matrix product that a helper function asks of BLAS, if it is a plain one: in Fortran's
    order C' = B' A', all matrices contiguous."""
    call = next((x for x in helper.body if type(x) is Call), None)
    if call is None or call.target not in ("dgemm", "sgemm") or len(call.args) < 13 or any(
            type(x) is not Name for x in s.args):
        return None
    slots = {x.buffer.name: x.expr for x in helper.body if type(x) is Store}
    passed = dict(zip((name for name, _ in helper.params), s.args, strict=True))
    values = [slots.get(x.name, passed.get(x.name)) for x in call.args[:13]]
    ta, tb, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc = values
    numbers = [ta, tb, n, m, k, alpha, ldb, lda, beta, ldc]
    if any(type(x) is not Const for x in numbers) or None in (a, b, c):
        return None
    ta, tb, n, m, k, alpha, ldb, lda, beta, ldc = (x.value for x in numbers)
    if (ta, tb, alpha, beta, ldb, lda, ldc) != (ord("N"), ord("N"), 1.0, 0.0, n, k, n):
        return None
    return Product(a.name, b.name, c.name, m, k, n, a.type[4:-1])


