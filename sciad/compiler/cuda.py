"""Loop IR -> CUDA C++ text.  It only spells; what is a kernel was decided in `launches`.

A kernel is a stretch of loop IR under a (possibly empty) list of thread loops. The thread loops are
flattened into one index that each thread takes in strides of the whole grid, so that any number of
threads computes the same:

    for (t = blockIdx.x*blockDim.x + threadIdx.x; t < extent; t += gridDim.x*blockDim.x)

What outlives a kernel is in memory: arrays, the workspace (one block, its pieces at fixed offsets)
and the frame, a row of 8-byte slots. Slot 0 of the frame is the status: 0, or ``FAILED`` less
the status of the IR's ``Return``, of which the greatest stays (the earliest in the text, whichever
thread comes first). A kernel that finds it set does nothing, so what was checked before holds.

Rounding: kernels are compiled with ``--fmad=false``; sums and products that the IR marks ``fast``
contract here, to an explicit ``fma``. Integers wrap around, as in NumPy. The functions are CUDA's.
Its programming guide ("Mathematical Functions") states maximal errors in ulp, double/single: exp,
expm1, log1p, log, log2, cbrt 1/1, exp2 1/2, log10 1/2, cosh 1/2, tanh 1/2, sin, cos 2/2, tan 2/4,
asin 2/2, acos 2/2, atan 2/2, atan2 2/3, sinh 2/3, hypot 2/3, asinh 3/3, acosh 3/4, atanh 2/3,
pow 2/4, erf 2/2, erfc 5/4, lgamma 4/6 and tgamma 10/5; the division, sqrt, fma, fmod and roundings
are exact or correctly rounded.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sciad.compiler.nodes import (
    Address,
    Alloc,
    Assign,
    Const,
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
    is_buffer,
)
from sciad.compiler.scalars import DTYPES, KIND, TABLE
from sciad.compiler.symbols import SPECIAL
from sciad.compiler.values import Unsupported

FAILED = 1 << 30
OPTIONS = ("--fmad=false",)
C_TYPES = {"f64": "double", "f32": "float", "i64": "long long", "i32": "int", "i16": "short",
           "i8": "signed char", "u64": "unsigned long long", "u32": "unsigned int",
           "u16": "unsigned short", "u8": "unsigned char", "i1": "bool"}  # fmt: skip

PRELUDE = r"""
typedef long long ll;
typedef unsigned long long ull;
template <class T> struct wide { typedef ull type; };
template <> struct wide<int> { typedef unsigned int type; };
#define HELPER template <class T> static __device__ inline

HELPER T add_(T a, T b) { return (T)((typename wide<T>::type)a + (typename wide<T>::type)b); }
HELPER T sub_(T a, T b) { return (T)((typename wide<T>::type)a - (typename wide<T>::type)b); }
HELPER T mul_(T a, T b) { return (T)((typename wide<T>::type)a * (typename wide<T>::type)b); }
HELPER T neg_(T a) { return sub_((T)0, a); }
HELPER T max_(T a, T b) { return a > b || a != a ? a : b; }
HELPER T min_(T a, T b) { return a < b || a != a ? a : b; }
HELPER T sign_(T a) { return a > (T)0 ? (T)1 : a < (T)0 ? (T)-1 : a != a ? a : (T)0; }
HELPER T abs_(T a) { return a < (T)0 ? neg_(a) : a; }
HELPER T shl_(T a, T b) {
    return b >= 0 && b < (T)(8 * sizeof(T)) ? (T)((typename wide<T>::type)a << b) : (T)0;
}
HELPER T shr_(T a, T b) {
    return b >= 0 && b < (T)(8 * sizeof(T)) ? (T)(a >> b) : a < (T)0 ? (T)-1 : (T)0;
}
HELPER T mod_(T a, T b) {
    if (b == (T)0 || b == (T)-1) return b == (T)0 || (T)-1 < (T)0 ? (T)0 : a % b;
    T r = a % b;
    return r != (T)0 && (r < (T)0) != (b < (T)0) ? (T)(r + b) : r;
}
HELPER T rest_(T a, T b) {
    return b == (T)0 || b == (T)-1 && (T)-1 < (T)0 ? (T)0 : (T)(a % b);
}
HELPER T floordiv_(T a, T b) {
    if (b == (T)0) return (T)0;
    if (b == (T)-1 && (T)-1 < (T)0) return neg_(a);
    T q = a / b;
    return a % b != (T)0 && (a % b < (T)0) != (b < (T)0) ? (T)(q - (T)1) : q;
}
HELPER T fmod_(T a, T b) {
    T r = fmod(a, b);
    if (r == (T)0) return copysign((T)0, b);
    return (r < (T)0) != (b < (T)0) ? r + b : r;
}
HELPER T ffloordiv_(T a, T b) {
    if (b == (T)0) return a / b;
    T r = fmod(a, b), q = (a - r) / b;
    if (r != (T)0 && (r < (T)0) != (b < (T)0)) q -= (T)1;
    if (q == (T)0) return copysign((T)0, a / b);
    T f = floor(q);
    return q - f > (T)0.5 ? f + (T)1 : f;
}
template <class R, class T> static __device__ inline R whole_(T x, R low, R high) {
    return x != x ? (R)0 : x <= (T)low ? low : x >= (T)high ? high : (R)x;
}
static __device__ inline void stop_(ll* frame, ll status) {
    if (status) atomicMax((ull*)frame, (ull)(FAILED_ - status));
}
static __device__ inline void add_to_(double* x, double v) { atomicAdd(x, v); }
static __device__ inline void add_to_(float* x, float v) { atomicAdd(x, v); }
static __device__ inline void add_to_(int* x, int v) { atomicAdd(x, v); }
static __device__ inline void add_to_(ll* x, ll v) { atomicAdd((ull*)x, (ull)v); }
""".replace("FAILED_", str(FAILED))

_MATH = ("exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh "
         "acosh atanh cbrt erf erfc pow atan2 hypot nextafter sqrt floor ceil trunc rint "
         "copysign lgamma tgamma fma").split()
SPELLING: dict[str, dict[str, str]] = {
    **{name: {"f": f"{name}{{s}}({{args}})"} for name in _MATH},
    "add": {"f": "({0} + {1})", "i": "add_({0}, {1})"},
    "sub": {"f": "({0} - {1})", "i": "sub_({0}, {1})"},
    "mul": {"f": "({0} * {1})", "i": "mul_({0}, {1})"},
    "div": {"f": "({0} / {1})"},
    "neg": {"f": "(-{0})", "i": "neg_({0})"},
    "abs": {"f": "fabs{s}({0})", "i": "abs_({0})"},
    "sign": {"f": "sign_({0})", "i": "sign_({0})"},
    "max": {"f": "max_({0}, {1})", "i": "max_({0}, {1})"},
    "min": {"f": "min_({0}, {1})", "i": "min_({0}, {1})"},
    "mod": {"f": "fmod_({0}, {1})", "i": "mod_({0}, {1})"},
    "fmod": {"f": "fmod{s}({0}, {1})", "i": "rest_({0}, {1})"},
    "floordiv": {"f": "ffloordiv_({0}, {1})", "i": "floordiv_({0}, {1})"},
    "not": {"i": "({t})~{0}", "b": "!{0}"},
    "shl": {"i": "shl_({0}, {1})"},
    "shr": {"i": "shr_({0}, {1})"},
    "isnan": {"f": "({0} != {0})"},
    "isfinite": {"f": "(fabs{s}({0}) < {inf})"},
    "isinf": {"f": "(fabs{s}({0}) == {inf})"},
    "signbit": {"f": "(copysign{s}(({t})1, {0}) < ({t})0)"},
    "select": {"b": "({0} ? {1} : {2})"},
    **{name: dict.fromkeys("ib", f"({{t}})({{0}} {sign} {{1}})")
       for name, sign in (("and", "&"), ("or", "|"), ("xor", "^"))},
    **{name: dict.fromkeys("fib", f"({{0}} {sign} {{1}})")
       for name, sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="),
                          ("ne", "!="))},
}
"""How CUDA spells the operations of `scalars.TABLE`, by the kind of the first operand."""

OWN_FUNCTIONS = {f"{SPECIAL}erfc_d": "erfc", f"{SPECIAL}erf_d": "erf"}
"""SciPy's functions, reached by pointer on the host, for which CUDA has its own; for the others
the array module is called."""


def c_type(type: str) -> str:
    found = C_TYPES.get(type[4:-1] if is_buffer(type) else type)
    if found is None:
        raise Unsupported(f"no device code for values of type {type}")
    return found


def identifier(name: str) -> str:
    return name.replace(".", "_")


def constant(value, type: str) -> str:
    """A literal of exactly this value and type."""
    if KIND[type] == "b":
        return "true" if value else "false"
    if KIND[type] == "i":
        value = int(value)
        if type == "i64" and value != -2**63:
            return f"{value}LL" if value >= 0 else f"({value}LL)"
        return f"(({c_type(type)}){value & 2**64 - 1:#x}ULL)"
    value = float(DTYPES[type].type(value))
    if math.isfinite(value):
        text = repr(value) + ("f" if type == "f32" else "")
        return f"({text})" if math.copysign(1, value) < 0 else text
    if type == "f64":
        return f"__longlong_as_double((ll){struct.unpack('<Q', struct.pack('<d', value))[0]:#x}ULL)"
    return f"__int_as_float((int){struct.unpack('<I', struct.pack('<f', value))[0]:#x}U)"


@dataclass(slots=True)
class Kernel:
    """One launch. `threads` are the loops that the grid runs over (none: a single thread), `head`
    what each thread computes before;
    `arguments` names what its caller passes, in order."""

    name: str
    threads: list[Loop]
    body: list
    head: list = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def extent(self) -> int | None:
        """How many threads there is work for; None if only the device knows."""
        total = 1
        for loop in self.threads:
            if type(loop.start) is not Const or type(loop.stop) is not Const:
                return None
            total *= max(loop.stop.value - loop.start.value, 0)
        return total


@dataclass(slots=True)
class Place:
    """Where a kernel finds a name from outside: the C++ parameter it needs, what its caller
    passes for it, and the line that gives it its name."""

    argument: str
    parameter: str
    line: str = ""


class Spelling:
    """Spells the body of one kernel."""

    def __init__(self):
        self.lines: list[str] = []
        self.indent = "    "

    def line(self, text: str) -> None:
        self.lines.append(self.indent + text)

    # ---- expressions ----

    def expr(self, e) -> str:
        kind = type(e)
        if kind is Name:
            return identifier(e.name)
        if kind is Const:
            return constant(e.value, e.type)
        if kind is Op:
            return self.op(e)
        if kind is Load:
            return f"{identifier(e.buffer.name)}[{self.expr(e.index)}]"
        if kind is Address:
            return f"({identifier(e.buffer.name)} + {self.expr(e.index)})"
        raise Unsupported(f"no device code for the expression {e!r}")

    def op(self, e: Op) -> str:
        source = e.args[0].type
        if e.name in DTYPES:
            return self.conversion(e, source)
        if e.fast and e.name == "add" and KIND[source] == "f":
            for product, other in (e.args, e.args[::-1]):
                if type(product) is Op and product.name == "mul" and product.fast:
                    return self.op(Op("fma", (*product.args, other)))
        spelled = SPELLING.get(OWN_FUNCTIONS.get(e.name, e.name), {}).get(KIND[source])
        if spelled is None:
            raise Unsupported(f"no device code for {e.name} of {source}")
        args = [self.expr(arg) for arg in e.args]
        single = source == "f32"
        infinity = constant(math.inf, source) if "{inf}" in spelled else ""
        return spelled.format(*args, args=", ".join(args), s="f" if single else "",
                              t=c_type(source), inf=infinity)

    def conversion(self, e: Op, source: str) -> str:
        x, target = self.expr(e.args[0]), c_type(e.type)
        if e.type == "i1":
            return f"({x} != 0)"
        if KIND[source] == "f" and KIND[e.type] == "i":
            info = DTYPES[e.type]
            bits = 8 * info.itemsize - (info.kind == "i")
            low = -(1 << bits) if info.kind == "i" else 0
            return (f"whole_<{target}>({x}, {constant(low, e.type)}, "
                    f"{constant((1 << bits) - 1, e.type)})")
        return f"({target}){x}"

    # ---- statements ----

    def block(self, body: Iterable) -> None:
        for s in body:
            method: Callable | None = _SPELL.get(type(s))
            if method is None:
                raise Unsupported(f"no device code for a {type(s).__name__.lower()}")
            method(self, s)

    def inside(self, head: str, body: Iterable) -> None:
        self.line(head + " {")
        self.indent += "    "
        self.block(body)
        self.indent = self.indent[4:]
        self.line("}")

    def let(self, s: Let) -> None:
        star = "*" if is_buffer(s.expr.type) else ""
        self.line(f"const {c_type(s.expr.type)}{star} {identifier(s.name)} = {self.expr(s.expr)};"
                  if not star else
                  f"{c_type(s.expr.type)}* {identifier(s.name)} = {self.expr(s.expr)};")

    def var(self, s: Var) -> None:
        self.line(f"{c_type(s.expr.type)} {identifier(s.name)} = {self.expr(s.expr)};")

    def assign(self, s: Assign) -> None:
        self.line(f"{identifier(s.name)} = {self.expr(s.expr)};")

    def store(self, s: Store) -> None:
        self.line(f"{identifier(s.buffer.name)}[{self.expr(s.index)}] = {self.expr(s.expr)};")

    def loop(self, s: Loop) -> None:
        i, start, stop = identifier(s.index), self.expr(s.start), self.expr(s.stop)
        if s.reverse:
            head = f"for (ll {i} = {stop} - 1, {i}_ = {start}; {i} >= {i}_; --{i})"
        else:
            head = f"for (ll {i} = {start}, {i}_ = {stop}; {i} < {i}_; ++{i})"
        self.inside(head, s.body)

    def while_(self, s: While) -> None:
        self.line("for (;;) {")
        self.indent += "    "
        self.block(s.head)
        self.line(f"if (!{self.expr(s.condition)}) break;")
        self.block(s.body)
        self.indent = self.indent[4:]
        self.line("}")

    def if_(self, s: If) -> None:
        self.inside(f"if ({self.expr(s.condition)})", s.then)
        if s.orelse:
            self.inside("else", s.orelse)

    def alloc(self, s: Alloc) -> None:
        if type(s.count) is not Const:
            raise Unsupported("no device code for memory of a size that a kernel decides")
        self.line(f"{c_type(s.type)} {identifier(s.name)}[{max(int(s.count.value), 1)}];")

    def return_(self, s: Return) -> None:
        if type(s.expr) is not Const or s.expr.value:
            self.line(f"stop_(frame, {self.expr(s.expr)});")
        self.line("return;")

    def atomic(self, s: AtomicAdd) -> None:
        self.line(f"add_to_({identifier(s.buffer.name)} + {self.expr(s.index)}, "
                  f"{self.expr(s.expr)});")


@dataclass(slots=True, eq=False)
class AtomicAdd:
    """``buffer[index] += expr`` from many threads."""

    buffer: Name
    index: object
    expr: object


_SPELL = {
    Let: Spelling.let, Var: Spelling.var, Assign: Spelling.assign, Store: Spelling.store,
    Loop: Spelling.loop, While: Spelling.while_, If: Spelling.if_, Alloc: Spelling.alloc,
    Return: Spelling.return_, AtomicAdd: Spelling.atomic,
}  # fmt: skip


def spell(kernel: Kernel, places: list[Place], tail: list[str], guarded: bool) -> None:
    """Write a kernel's text; `tail` are the lines that store what later kernels read."""
    passed = {place.parameter: place.argument for place in places if place.parameter}
    out = Spelling()
    if guarded:
        out.line("if (frame[0]) return;")
    for place in places:
        if place.line:
            out.line(place.line)
    out.block(kernel.head)
    if kernel.threads:
        _spell_threads(out, kernel)
    else:
        out.block(kernel.body)
        if not kernel.body or type(kernel.body[-1]) is not Return:
            for line in tail:
                out.line(line)
    kernel.arguments = list(passed.values())
    head = f'extern "C" __global__ void {kernel.name}({", ".join(passed)})'
    kernel.text = "\n".join([head, "{", *out.lines, "}"])


def _spell_threads(out: Spelling, kernel: Kernel) -> None:
    """The grid's loop, and the indices of the thread loops from the flat one."""
    extents = []
    for loop in kernel.threads:
        i = identifier(loop.index)
        out.line(f"const ll {i}_0 = {out.expr(loop.start)}, "
                 f"{i}_n = max_({out.expr(loop.stop)} - {i}_0, 0LL);")
        extents.append(f"{i}_n")
    out.line(f"for (ll t_ = blockIdx.x * (ll)blockDim.x + threadIdx.x; t_ < {' * '.join(extents)}; "
             "t_ += (ll)gridDim.x * blockDim.x) {")
    out.indent += "    "
    for k, loop in enumerate(kernel.threads):
        below = " * ".join(extents[k + 1:])
        place = f"t_ / ({below})" if below else "t_"
        place = f"{place} % {extents[k]}" if k else place
        i = identifier(loop.index)
        out.line(f"const ll {i} = {i}_0 + {place};")
    out.block(kernel.body)
    out.indent = out.indent[4:]
    out.line("}")


def module_text(kernels: Iterable[Kernel]) -> str:
    return PRELUDE + "\n\n" + "\n\n".join(kernel.text for kernel in kernels) + "\n"


def unspelled() -> set[str]:
    """The operations of the table that have no CUDA form."""
    return {name for name in TABLE if name not in SPELLING and name not in DTYPES
            and not name.startswith(SPECIAL)}
