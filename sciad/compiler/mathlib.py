"""Vector forms of exp, log, tanh and pow, where they are faster than the C library's.

A loop that calls `exp` is vectorised with a function of 8 doubles (or 16 floats); glibc's libmvec
has one, and here are faster ones, as LLVM text. Scalar code calls the C library, as ever.

Scaled exponential.  With k the integer nearest to x / log 2 and r = x - k log 2 (log 2 in two
parts, the first with so many trailing zeros that its product with k is exact; Cody and Waite,
"Software Manual for the Elementary Functions", 1980),

    exp(x) = 2**k exp(r),   exp(r) = 1 + r + r**2 p(r),   |r| <= log(2) / 2

and AVX-512 scales by 2**k with one rounding, down to subnormal results and up to infinity.

Logarithm.  x = 2**k m with m in [0.703125, 1.40625), which 16 pieces cover: a sixteenth of a
binade each, one of them around 1. For the piece of m a table holds c near 1/m and log(1/c)
(Tang, "Table-driven implementation of the logarithm function in IEEE floating-point arithmetic",
ACM TOMS 16, 1990); AVX-512 reads it with one permutation of two registers. With r = m c - 1,

    log(x) = k log 2 + log(1/c) + log(1 + r),   log(1 + r) = r + r**2 p(r),   |r| <= 1/32

The sum of the first two terms is exact: both are multiples of 2**-43 (the numbers c were searched
for that). Around 1 it is zero and c = 1, so that the result is good to the last bit there too.

Power.  exp(y log(x)) needs the logarithm to some 65 bits: its terms are kept as sums of two
doubles (Muller et al., "Handbook of Floating-Point Arithmetic", chapters 4 and 11: Fast2Sum, and
products whose error the fused multiply-add gives). In single precision, doubles serve.

Hyperbolic tangent.  With e = exp(-2|x|) - 1, taken without cancellation from the pieces of the
exponential, tanh(|x|) = -e / (2 + e).

Lanes that the fast way does not serve (zeros, negative numbers, subnormals, infinities, NaN and
results out of range, for log and pow) are given to the C library, one by one. Errors, measured
against 200-bit arithmetic: below 1 ulp (exp, log), 1.1 (pow) and
2.5 (tanh). The numbers come from
`tools/fit_mathlib.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# ---- numbers (tools/fit_mathlib.py) -------------------------------------------------------------

EXP = (0.5000000000000001, 0.16666666666666669, 0.041666666666623824, 0.008333333333330039,
       0.0013888888917367081, 0.00019841269863171557, 2.4801521057868204e-05,
       2.7557268276905696e-06, 2.7620201591031547e-07, 2.5100472505694996e-08)
EXP_SINGLE = (0.5, 0.16666576266288757, 0.04166655242443085, 0.00836323294788599,
              0.0013926250394433737)
EXP_SHORT = (0.500000001353873, 0.16666666681704215, 0.04166646419740569, 0.008333310844647862,
             0.0013933730715792083, 0.00019891080463998843)
LOG = (-0.4999999999999992, 0.33333333333333265, -0.25000000002475586, 0.20000000002250592,
       -0.16666654243142873, 0.1428570299134199, -0.1251994659353549, 0.11129244696594687)
LOG_AFTER_SQUARE = (0.3333333333333333, -0.2499999999999971, 0.19999999999999732,
                    -0.16666666670535635, 0.14285714289285714, -0.12499986020882167,
                    0.1111109820706847, -0.10018702539114759, 0.0910817321901953)
LOG_SHORT = (-0.5, 0.33333328898693787, -0.24999996119582982, 0.20017802926090839,
             -0.1668224457201783)
LOG_SINGLE = (0.3333333134651184, -0.25000306963920593, 0.20001044869422913, -0.166412815451622,
              0.14214496314525604, -0.12998183071613312, 0.12622319161891937,
              -0.0790274366736412)
RECIPROCAL = (1.3913364296547415, 1.3332581094324851, 1.2800652824817491, 1.2307161918459377,
              1.1852687774386022, 1.142771914050887, 1.1034521687519738, 1.0666301028543603,
              1.0321860566145207, 1.0, 0.9410938533843812, 0.8888914169653481,
              0.8421270234970105, 0.7999440175077864, 0.7618823530420555, 0.7272863497106513)
LOG_HIGH = (-0.3302647454190719, -0.28762565293459375, -0.24691107856983763,
            -0.2075962697244904, -0.16996956527202656, -0.13345681463817982,
            -0.09844360073850567, -0.06450424197601023, -0.031678938226718856, 0.0,
            0.060712406448487855, 0.11778019157441122, 0.1718244168578167, 0.22321353187805926,
            0.2719631275484744, 0.3184350004418093)
LOG_LOW = (1.7431576283610932e-19, -8.772525431144632e-21, 1.6141611280124395e-20,
           -1.1273928691023745e-19, 1.239347073701021e-20, -9.39956920800427e-20,
           -5.674136213822125e-21, -3.36251320515125e-20, -3.340276346567269e-20, 0.0,
           7.658511976189668e-21, 6.860201504663178e-20, -1.3306636711035526e-19,
           1.5573826152740125e-20, -6.877931009779148e-20, -1.180917998473201e-19)
LN2 = (0.6931471805598903, 5.497923018708371e-14)  # a multiple of 2**-42, and the rest
LN2_SINGLE = (0.693145751953125, 1.428606765330187e-06)  # a multiple of 2**-15, and the rest
LOG2_E = 1.4426950408889634
FIRST_BITS = 0x3FE6800000000000  # of 0.703125
ROOT_HALF_BITS = 0x3F3504F3  # of sqrt(1/2), in single precision

# ---- writing -----------------------------------------------------------------------------------


def _literal(value: float) -> str:
    """A float by its bits, so that it is not rounded."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class _Text:
    """The lines of one vector function, `lanes` wide; methods give the register they write."""

    def __init__(self, lanes: int, single: bool):
        self.lanes, self.single = lanes, single
        self.lines: list[str] = []
        self.count = 0
        self.declared: set[str] = set()
        self.float = "float" if single else "double"
        self.integer = "i32" if single else "i64"
        self.t, self.i = self.vector(self.float), self.vector(self.integer)
        self.mask = self.vector("i1")

    def vector(self, element: str) -> str:
        return f"<{self.lanes} x {element}>"

    def line(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %r{self.count} = {text}")
        return f"%r{self.count}"

    def number(self, value) -> str:
        """A constant in all lanes; registers pass."""
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            return self.spread(f"{self.integer} {value}")
        if self.single:
            value = float(np.float32(value))
        return self.spread(f"{self.float} {_literal(value)}")

    def spread(self, entry: str) -> str:
        return f"<{', '.join([entry] * self.lanes)}>"

    def binary(self, op: str, x, y) -> str:
        return self.line(f"{op} {self.t} {self.number(x)}, {self.number(y)}")

    def add(self, x, y) -> str:
        return self.binary("fadd", x, y)

    def sub(self, x, y) -> str:
        return self.binary("fsub", x, y)

    def mul(self, x, y) -> str:
        return self.binary("fmul", x, y)

    def div(self, x, y) -> str:
        return self.binary("fdiv", x, y)

    def neg(self, x) -> str:
        return self.line(f"fneg {self.t} {x}")

    def whole(self, op: str, x, y) -> str:
        """An operation on the bits."""
        return self.line(f"{op} {self.i} {self.number(x)}, {self.number(y)}")

    def call(self, name: str, *args) -> str:
        suffix = f"v{self.lanes}f{32 if self.single else 64}"
        types = ", ".join([self.t] * len(args))
        self.declared.add(f"declare {self.t} @llvm.{name}.{suffix}({types})")
        operands = ", ".join(f"{self.t} {self.number(x)}" for x in args)
        return self.line(f"call {self.t} @llvm.{name}.{suffix}({operands})")

    def fma(self, x, y, z) -> str:
        return self.call("fma", x, y, z)

    def compare(self, test: str, x, y) -> str:
        return self.line(f"fcmp {test} {self.t} {self.number(x)}, {self.number(y)}")

    def select(self, mask, x, y) -> str:
        return self.line(f"select {self.mask} {mask}, {self.t} {self.number(x)}, "
                         f"{self.t} {self.number(y)}")

    def least(self, x, bound: float) -> str:
        """min(x, bound); a NaN stays."""
        return self.select(self.compare("ogt", x, bound), bound, x)

    def most(self, x, bound: float) -> str:
        return self.select(self.compare("olt", x, bound), bound, x)

    def bits(self, x) -> str:
        return self.line(f"bitcast {self.t} {x} to {self.i}")

    def from_bits(self, x) -> str:
        return self.line(f"bitcast {self.i} {x} to {self.t}")

    def polynomial(self, coefficients, x) -> str:
        """By pairs (Estrin), so that products do not wait for one another."""
        level, power = [self.number(c) for c in coefficients], x
        while len(level) > 1:
            pairs = [self.fma(high, power, low)
                     for low, high in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[2 * len(pairs):]
            power = self.mul(power, power) if len(level) > 1 else power
        return level[0]

    def scale(self, x, k) -> str:
        """x 2**k, rounded once."""
        kind, mask = ("ps", "i16") if self.single else ("pd", "i8")
        name = f"@llvm.x86.avx512.mask.scalef.{kind}.512"
        self.declared.add(f"declare {self.t} {name}({self.t}, {self.t}, {self.t}, {mask}, i32)")
        return self.line(f"call {self.t} {name}({self.t} {x}, {self.t} {k}, {self.t} {x}, "
                         f"{mask} -1, i32 4)")

    def table(self, entries, place) -> str:
        """entries[place & 15]"""
        halves = []
        for part in (entries[:8], entries[8:]):
            halves.append("<" + ", ".join(f"double {_literal(value)}" for value in part) + ">")
        name = "@llvm.x86.avx512.vpermi2var.pd.512"
        self.declared.add(f"declare {self.t} {name}({self.t}, {self.i}, {self.t})")
        return self.line(f"call {self.t} {name}({self.t} {halves[0]}, {self.i} {place}, "
                         f"{self.t} {halves[1]})")

    def to_float(self, k) -> str:
        return self.line(f"sitofp {self.i} {k} to {self.t}")


# ---- the functions -----------------------------------------------------------------------------


def _reduced(t: _Text, x, ln2, rest=None) -> tuple[str, str]:
    """(k, r) with x + rest = k log 2 + r."""
    k = t.call("rint", t.mul(x, LOG2_E))
    r = t.fma(t.neg(k), ln2[0], x)
    if rest is not None:
        r = t.add(r, rest)
    return k, t.fma(t.neg(k), ln2[1], r)


def _exp(t: _Text, x: str) -> str:
    high, low, ln2, tail = (90.0, -110.0, LN2_SINGLE, EXP_SINGLE) if t.single else (
        710.0, -760.0, LN2, EXP)
    x = t.most(t.least(x, high), low)
    k, r = _reduced(t, x, ln2)
    return t.scale(t.add(1.0, t.fma(t.mul(r, r), t.polynomial(tail, r), r)), k)


def _tanh(t: _Text, x: str) -> str:
    ln2, tail = (LN2_SINGLE, EXP_SINGLE) if t.single else (LN2, EXP)
    size = t.call("fabs", x)
    twice = t.mul(t.least(size, 10.0 if t.single else 20.0), -2.0)
    k, r = _reduced(t, twice, ln2)
    p = t.fma(t.mul(r, r), t.polynomial(tail, r), r)
    two_k = t.scale(t.number(1.0), k)
    e = t.fma(two_k, p, t.sub(two_k, 1.0))
    return t.call("copysign", t.div(t.neg(e), t.add(e, 2.0)), x)


def _split(t: _Text, x: str) -> tuple[str, str, str]:
    """(k, m, the piece of m) of positive normal doubles."""
    shifted = t.whole("sub", t.bits(x), FIRST_BITS)
    k = t.to_float(t.whole("ashr", shifted, 52))
    m = t.from_bits(t.whole("sub", t.bits(x), t.whole("and", shifted, -(1 << 52))))
    return k, m, t.whole("lshr", shifted, 48)


def _normal(t: _Text, x: str) -> str:
    """Which lanes are positive, normal and finite."""
    first, last = (0x00800000, 0x7F800000) if t.single else (0x0010 << 48, 0x7FF0 << 48)
    return t.line(f"icmp ult {t.i} {t.whole('sub', t.bits(x), first)}, {t.number(last - first)}")


def _log(t: _Text, x: str) -> tuple[str, str]:
    if t.single:
        return _log_single(t, x), _normal(t, x)
    k, m, piece = _split(t, x)
    high = t.fma(k, LN2[0], t.table(LOG_HIGH, piece))
    r = t.fma(m, t.table(RECIPROCAL, piece), -1.0)
    tail = t.fma(t.mul(r, r), t.polynomial(LOG, r), t.mul(k, LN2[1]))
    return t.add(high, t.add(r, tail)), _normal(t, x)


def _log_single(t: _Text, x: str) -> str:
    """By one polynomial over [sqrt(1/2), sqrt(2))."""
    shifted = t.whole("sub", t.bits(x), ROOT_HALF_BITS)
    k = t.to_float(t.whole("ashr", shifted, 23))
    m = t.from_bits(t.whole("sub", t.bits(x), t.whole("and", shifted, -(1 << 23))))
    r = t.sub(m, 1.0)
    square = t.mul(r, r)
    tail = t.fma(t.mul(square, r), t.polynomial(LOG_SINGLE, r), t.mul(k, LN2_SINGLE[1]))
    half = t.fma(square, -0.5, tail)
    return t.fma(k, LN2_SINGLE[0], t.add(r, half))


def _pow(t: _Text, x: str, y: str) -> tuple[str, str]:
    if t.single:
        return _pow_single(t, x, y)
    high, low = _long_log(t, x)
    z = t.mul(y, high)
    rest = t.fma(y, low, t.fma(y, high, t.neg(z)))
    k, r = _reduced(t, z, LN2, rest)
    power = t.scale(t.add(1.0, t.fma(t.mul(r, r), t.polynomial(EXP, r), r)), k)
    small = t.compare("olt", t.call("fabs", z), 708.0)
    return power, t.line(f"and {t.mask} {small}, {_normal(t, x)}")


def _long_log(t: _Text, x: str) -> tuple[str, str]:
    """log(x) as a sum of two doubles."""
    k, m, piece = _split(t, x)
    c = t.table(RECIPROCAL, piece)
    product = t.mul(m, c)
    error = t.fma(m, c, t.neg(product))
    r = t.sub(product, 1.0)  # exact; m c - 1 = r + error
    first = t.fma(k, LN2[0], t.table(LOG_HIGH, piece))  # exact
    rest = t.fma(k, LN2[1], t.table(LOG_LOW, piece))
    rest = t.add(rest, t.fma(t.neg(r), error, error))  # the slope of log(1 + r) is 1 - r + ...
    linear = t.add(first, r)
    lost = t.add(t.sub(first, linear), r)
    half = t.mul(r, -0.5)
    square = t.mul(r, half)
    lost_square = t.fma(r, half, t.neg(square))
    both = t.add(linear, square)
    lost_both = t.add(t.sub(linear, both), square)
    cube = t.mul(t.mul(r, r), r)
    rest = t.fma(cube, t.polynomial(LOG_AFTER_SQUARE, r), rest)
    rest = t.add(t.add(lost, rest), t.add(lost_square, lost_both))
    high = t.add(both, rest)
    return high, t.add(t.sub(both, high), rest)


def _pow_single(t: _Text, x: str, y: str) -> tuple[str, str]:
    """Halves of the lanes, in doubles."""
    inner = _Text(t.lanes // 2, single=False)
    inner.lines, inner.declared, inner.count = t.lines, t.declared, t.count
    parts, fine = [], []
    for start in (0, inner.lanes):
        a, b = (_half(t, inner, each, start) for each in (x, y))
        k, m, piece = _split(inner, a)
        r = inner.fma(m, inner.table(RECIPROCAL, piece), -1.0)
        high = inner.fma(k, sum(LN2), inner.table(LOG_HIGH, piece))
        log = inner.add(high, inner.fma(inner.mul(r, r), inner.polynomial(LOG_SHORT, r), r))
        z = inner.mul(b, log)
        n, r = _reduced(inner, z, (sum(LN2), LN2[1] * 0.0))
        p = inner.fma(inner.mul(r, r), inner.polynomial(EXP_SHORT, r), r)
        wide = inner.scale(inner.add(1.0, p), n)
        parts.append(inner.line(f"fptrunc {inner.t} {wide} to {inner.vector('float')}"))
        fine.append(inner.compare("olt", inner.call("fabs", z), 87.0))
    t.count = inner.count
    both = _joined(t, inner.lanes, "float", parts)
    small = _joined(t, inner.lanes, "i1", fine)
    return both, t.line(f"and {t.mask} {small}, {_normal(t, x)}")


def _half(t: _Text, inner: _Text, x: str, start: int) -> str:
    places = ", ".join(f"i32 {start + k}" for k in range(inner.lanes))
    inner.count += 1
    inner.lines.append(f"  %r{inner.count} = shufflevector {t.t} {x}, {t.t} poison, "
                       f"<{inner.lanes} x i32> <{places}>")
    return inner.line(f"fpext {inner.vector('float')} %r{inner.count} to {inner.t}")


def _joined(t: _Text, lanes: int, element: str, parts: list[str]) -> str:
    places = ", ".join(f"i32 {k}" for k in range(2 * lanes))
    kind = f"<{lanes} x {element}>"
    return t.line(f"shufflevector {kind} {parts[0]}, {kind} {parts[1]}, "
                  f"<{2 * lanes} x i32> <{places}>")


# ---- modules -----------------------------------------------------------------------------------

_FUNCTIONS: dict[str, tuple[int, Callable]] = {
    "exp": (1, _exp), "log": (1, _log), "tanh": (1, _tanh), "pow": (2, _pow)}
"""By the name in the C library: number of operands, and what writes the lines. It gives the result,
or the result and which lanes it serves."""

PREFIX = "sciad_vector_"


def vector_functions(features: dict[str, bool]) -> dict[str, tuple[tuple[int, str], ...]]:
    """Scalar name -> ((lanes, symbol),), where this machine has what the functions use."""
    if not all(features.get(name) for name in ("avx512f", "avx512dq", "avx512vl", "fma")):
        return {}
    return {name + suffix: ((lanes, PREFIX + name + suffix),)
            for name in _FUNCTIONS for suffix, lanes in (("", 8), ("f", 16))}


@dataclass(slots=True)
class Written:
    """A vector function as text: what it declares, its definitions, and the C function it calls."""

    declared: set[str]
    lines: list[str]
    needs: str | None


def written(symbol: str, inline: bool) -> Written:
    """The function `symbol`: to be inlined, or to stand in a module of its own."""
    scalar = symbol.removeprefix(PREFIX)
    single = scalar not in _FUNCTIONS
    arity, write = _FUNCTIONS[scalar.removesuffix("f") if single else scalar]
    t = _Text(16 if single else 8, single)
    operands = ["%x", "%y"][:arity]
    made = write(t, *operands)
    params = ", ".join(f"{t.t} {x}" for x in operands)
    kind, mark = ("internal ", "alwaysinline ") if inline else ("", "")
    head = f"define {kind}{t.t} @{symbol}({params}) {mark}{_ATTRIBUTES} {{"
    if isinstance(made, str):
        return Written(t.declared, [head, *t.lines, f"  ret {t.t} {made}", "}"], None)
    value, served = made
    word = f"i{t.lanes}"
    t.declared |= {f"declare {word} @llvm.cttz.{word}({word}, i1)",
                   "declare i1 @llvm.expect.i1(i1, i1)"}
    lines = [*t.lines,
             f"  %left = xor {t.mask} {served}, {t.spread('i1 true')}",
             f"  %word = bitcast {t.mask} %left to {word}",
             f"  %none = icmp eq {word} %word, 0",
             "  %likely = call i1 @llvm.expect.i1(i1 %none, i1 true)",
             "  br i1 %likely, label %done, label %others",
             "done:", f"  ret {t.t} {value}", "others:",
             f"  %mended = call {t.t} @{symbol}..others({params}, {t.t} {value}, {word} %word)",
             f"  ret {t.t} %mended", "}"]
    return Written(t.declared, [head, *lines, *_others(t, symbol, scalar, operands)], scalar)


def module(symbol: str) -> tuple[str, list[str]]:
    """One function as a module, and the symbols that it needs."""
    one = written(symbol, inline=False)
    declared = sorted(one.declared)
    if one.needs is None:
        return "\n".join([*declared, *one.lines]) + "\n", []
    f = "float" if one.needs not in _FUNCTIONS else "double"
    arity = _FUNCTIONS[one.needs if f == "double" else one.needs.removesuffix("f")][0]
    declared.append(f"declare {f} @{one.needs}({', '.join([f] * arity)}) {_PLAIN}")
    return "\n".join([*declared, *one.lines]) + "\n", [one.needs]


_PLAIN = "nounwind willreturn memory(none)"
_ATTRIBUTES = 'nounwind "prefer-vector-width"="512"'


def _others(t: _Text, symbol: str, scalar: str, operands) -> list[str]:
    """The function that computes the lanes in `word` by the C library."""
    word, f = f"i{t.lanes}", t.float
    params = ", ".join(f"{t.t} {x}" for x in operands)
    entries = [f"  {x}k = extractelement {t.t} {x}, {word} %lane" for x in operands]
    args = ", ".join(f"{f} {x}k" for x in operands)
    return [
        f"define internal {t.t} @{symbol}..others({params}, {t.t} %first, {word} %word) "
        f"noinline cold {_ATTRIBUTES} {{",
        "entry:", "  br label %next", "next:",
        f"  %value = phi {t.t} [ %first, %entry ], [ %mended, %next ]",
        f"  %open = phi {word} [ %word, %entry ], [ %rest, %next ]",
        f"  %lane = call {word} @llvm.cttz.{word}({word} %open, i1 true)",
        *entries,
        f"  %one = call {f} @{scalar}({args})",
        f"  %mended = insertelement {t.t} %value, {f} %one, {word} %lane",
        f"  %less = sub {word} %open, 1",
        f"  %rest = and {word} %open, %less",
        f"  %over = icmp eq {word} %rest, 0",
        "  br i1 %over, label %end, label %next", "end:", f"  ret {t.t} %mended", "}"]
