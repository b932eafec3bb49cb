"""The table of scalar operations: one row says everything about an operation.

A row gives the arity, the types it takes, the type of its result, what it means (evaluated with
NumPy) and how LLVM spells it.  The loop IR, its checker, its evaluator and the LLVM renderer all
read this one table; none of them knows an operation by name.

Spelling
--------
``spell`` maps the class of the first operand's type (``f`` float, ``i`` integer, ``b`` truth value)
to a template; ``u`` spells unsigned integers, where that differs.  ``{r}`` is the result register
(``{r}a``, ``{r}b`` ... are free for intermediate values), ``{t}`` the LLVM type of the first
operand, ``{0} {1} {2}`` the operands, ``{fast}`` the fast-math flags.  A template that is a bare
word is a function: ``llvm.sqrt`` an intrinsic, ``tanh`` a function of the C library (``tanhf`` in
single precision).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

SCALARS = ("f64", "f32", "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8", "i1")
DTYPES = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "i64": np.dtype(np.int64),
    "i32": np.dtype(np.int32),
    "i16": np.dtype(np.int16),
    "i8": np.dtype(np.int8),
    "u64": np.dtype(np.uint64),
    "u32": np.dtype(np.uint32),
    "u16": np.dtype(np.uint16),
    "u8": np.dtype(np.uint8),
    "i1": np.dtype(np.bool_),
}
KIND = {name: "b" if name == "i1" else "f" if name[0] == "f" else "i" for name in SCALARS}


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: ``takes`` lists the kinds allowed for the operands that share a type."""

    name: str
    arity: int
    takes: str
    result: str | None  # None: the type of operand `like`
    evaluate: Callable
    spell: dict[str, str]
    like: int = 0
    symbol: str | None = None  # infix, for the printer


TABLE: dict[str, Row] = {}


def _row(name, arity, takes, evaluate, result=None, like=0, symbol=None, **spell):
    TABLE[name] = Row(name, arity, takes, result, evaluate, spell, like, symbol)


# ---- what NumPy means ----------------------------------------------------------------------------


def _fma(a, b, c):
    """``a*b + c`` rounded once."""
    if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)) or a * b == 0:
        return a * b + c
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:
        return a * b + c if c == 0 else type(c)(0.0)
    try:
        return type(c)(exact.numerator / exact.denominator)
    except OverflowError:
        return type(c)(math.copysign(math.inf, exact))



def _libm(function):
    """A function of Python's ``math`` that returns NaN, not an exception, outside its domain."""

    def evaluate(x):
        return type(x)(function(float(x))) if np.isfinite(x) else np.float64(_LIMITS[function](x))

    return evaluate


_LIMITS = {
    math.erf: lambda x: np.sign(x),
    math.erfc: lambda x: 1 - np.sign(x),
}

# ---- arithmetic ----------------------------------------------------------------------------------

_row("add", 2, "fi", np.add, f="fadd{fast} {t} {0}, {1}", i="add {t} {0}, {1}", symbol="+")
_row("sub", 2, "fi", np.subtract, f="fsub{fast} {t} {0}, {1}", i="sub {t} {0}, {1}", symbol="-")
_row("mul", 2, "fi", np.multiply, f="fmul{fast} {t} {0}, {1}", i="mul {t} {0}, {1}", symbol="*")
_row("div", 2, "f", np.divide, f="fdiv{fast} {t} {0}, {1}", symbol="/")
_row("fma", 3, "f", _fma, f="llvm.fma")
_row("neg", 1, "fi", np.negative, f="fneg {t} {0}", i="sub {t} 0, {0}")
_row("abs", 1, "fi", np.absolute, f="llvm.fabs",
     i="{r}a = icmp slt {t} {0}, 0\n{r}b = sub {t} 0, {0}\n{r} = select i1 {r}a, {t} {r}b, {t} {0}",
     u="")
_row("sign", 1, "fi", np.sign,
     f="{r}a = fcmp ogt {t} {0}, 0.0\n{r}b = fcmp olt {t} {0}, 0.0\n{r}c = fcmp uno {t} {0}, {0}\n"
       "{r}d = select i1 {r}c, {t} {0}, {t} 0.0\n{r}e = select i1 {r}b, {t} -1.0, {t} {r}d\n"
       "{r} = select i1 {r}a, {t} 1.0, {t} {r}e",
     i="{r}a = icmp sgt {t} {0}, 0\n{r}c = icmp slt {t} {0}, 0\n"
       "{r}d = select i1 {r}c, {t} -1, {t} 0\n{r} = select i1 {r}a, {t} 1, {t} {r}d",
     u="{r}a = icmp ne {t} {0}, 0\n{r} = select i1 {r}a, {t} 1, {t} 0")
# NumPy's maximum and minimum hand on a NaN from either side.
_row("max", 2, "fi", np.maximum,
     f="{r}a = fcmp ogt {t} {0}, {1}\n{r}b = fcmp uno {t} {0}, {0}\n{r}c = or i1 {r}a, {r}b\n"
       "{r} = select i1 {r}c, {t} {0}, {t} {1}",
     i="{r}a = icmp sgt {t} {0}, {1}\n{r} = select i1 {r}a, {t} {0}, {t} {1}",
     u="{r}a = icmp ugt {t} {0}, {1}\n{r} = select i1 {r}a, {t} {0}, {t} {1}")
_row("min", 2, "fi", np.minimum,
     f="{r}a = fcmp olt {t} {0}, {1}\n{r}b = fcmp uno {t} {0}, {0}\n{r}c = or i1 {r}a, {r}b\n"
       "{r} = select i1 {r}c, {t} {0}, {t} {1}",
     i="{r}a = icmp slt {t} {0}, {1}\n{r} = select i1 {r}a, {t} {0}, {t} {1}",
     u="{r}a = icmp ult {t} {0}, {1}\n{r} = select i1 {r}a, {t} {0}, {t} {1}")
# Python's rules: the quotient is rounded down and the remainder has the sign of the divisor.
# Integers: x // 0 == x % 0 == 0, as in NumPy; the division itself never sees 0 or -1, which trap.
_FMOD = ("{r}a = frem {t} {0}, {1}\n{r}b = fcmp olt {t} {r}a, 0.0\n{r}c = fcmp olt {t} {1}, 0.0\n"
         "{r}d = xor i1 {r}b, {r}c\n{r}e = fcmp one {t} {r}a, 0.0\n{r}f = and i1 {r}d, {r}e\n"
         "{r}g = fadd {t} {r}a, {1}\n{r}h = call {t} @llvm.copysign.{s}({t} 0.0, {t} {1})\n"
         "{r}i = fcmp oeq {t} {r}a, 0.0\n{r}j = select i1 {r}i, {t} {r}h, {t} {r}a\n"
         "{r}m = select i1 {r}f, {t} {r}g, {t} {r}j\n")
_IDIV = ("{r}a = icmp eq {t} {1}, 0\n{r}b = icmp eq {t} {1}, -1\n{r}c = or i1 {r}a, {r}b\n"
         "{r}d = select i1 {r}c, {t} 1, {t} {1}\n{r}e = srem {t} {0}, {r}d\n"
         "{r}f = xor {t} {r}e, {r}d\n{r}g = icmp slt {t} {r}f, 0\n{r}h = icmp ne {t} {r}e, 0\n"
         "{r}i = and i1 {r}g, {r}h\n")
_UDIV = "{r}a = icmp eq {t} {1}, 0\n{r}b = select i1 {r}a, {t} 1, {t} {1}\n"
_row("mod", 2, "fi", np.mod, symbol="%",
     f=_FMOD + "{r} = fadd {t} {r}m, -0.0",
     i=_IDIV + "{r}j = add {t} {r}e, {1}\n{r}k = select i1 {r}i, {t} {r}j, {t} {r}e\n"
               "{r} = select i1 {r}c, {t} 0, {t} {r}k",
     u=_UDIV + "{r}c = urem {t} {0}, {r}b\n{r} = select i1 {r}a, {t} 0, {t} {r}c")
_row("fmod", 2, "fi", np.fmod, f="fmod",  # the remainder of C, which has the sign of the dividend
     i=_IDIV + "{r} = select i1 {r}c, {t} 0, {t} {r}e",
     u=_UDIV + "{r}c = urem {t} {0}, {r}b\n{r} = select i1 {r}a, {t} 0, {t} {r}c")
_row("floordiv", 2, "fi", np.floor_divide, symbol="//",
     f=_FMOD +
       "{r}n = fsub {t} {0}, {r}a\n{r}o = fdiv {t} {r}n, {1}\n{r}p = fsub {t} {r}o, 1.0\n"
       "{r}q = select i1 {r}f, {t} {r}p, {t} {r}o\n{r}s = call {t} @llvm.floor.{s}({t} {r}q)\n"
       "{r}t = fsub {t} {r}q, {r}s\n{r}u = fcmp ogt {t} {r}t, 0.5\n{r}v = fadd {t} {r}s, 1.0\n"
       "{r}w = select i1 {r}u, {t} {r}v, {t} {r}s\n{r}x = fdiv {t} {0}, {1}\n"
       "{r}y = call {t} @llvm.copysign.{s}({t} 0.0, {t} {r}x)\n{r}z = fcmp oeq {t} {r}q, 0.0\n"
       "{r}aa = select i1 {r}z, {t} {r}y, {t} {r}w\n{r}ab = fcmp oeq {t} {1}, 0.0\n"
       "{r} = select i1 {r}ab, {t} {r}x, {t} {r}aa",
     i=_IDIV + "{r}j = sdiv {t} {0}, {r}d\n{r}k = sub {t} {r}j, 1\n"
               "{r}l = select i1 {r}i, {t} {r}k, {t} {r}j\n{r}m = sub {t} 0, {0}\n"
               "{r}n = select i1 {r}b, {t} {r}m, {t} {r}l\n{r} = select i1 {r}a, {t} 0, {t} {r}n",
     u=_UDIV + "{r}c = udiv {t} {0}, {r}b\n{r} = select i1 {r}a, {t} 0, {t} {r}c")

# ---- functions -----------------------------------------------------------------------------------

for _name, _ufunc in {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "cbrt": np.cbrt, "erf": _libm(math.erf), "erfc": _libm(math.erfc),
}.items():
    _row(_name, 1, "f", _ufunc, f=_name)
for _name, _ufunc in {
    "pow": np.power, "atan2": np.arctan2, "hypot": np.hypot,
    "nextafter": np.nextafter,
}.items():
    _row(_name, 2, "f", _ufunc, f=_name)
for _name, _ufunc, _llvm in (
    ("sqrt", np.sqrt, "sqrt"), ("floor", np.floor, "floor"), ("ceil", np.ceil, "ceil"),
    ("trunc", np.trunc, "trunc"), ("rint", np.rint, "rint"),
):
    _row(_name, 1, "f", _ufunc, f="llvm." + _llvm)
_row("copysign", 2, "f", np.copysign, f="llvm.copysign")

# ---- comparison and logic ------------------------------------------------------------------------

for _name, _ufunc, _f, _i, _symbol in (
    ("lt", np.less, "olt", "slt", "<"), ("le", np.less_equal, "ole", "sle", "<="),
    ("gt", np.greater, "ogt", "sgt", ">"), ("ge", np.greater_equal, "oge", "sge", ">="),
    ("eq", np.equal, "oeq", "eq", "=="), ("ne", np.not_equal, "une", "ne", "!="),
):
    _unsigned = _i.replace("s", "u", 1) if _i[0] == "s" else _i
    _row(_name, 2, "fib", _ufunc, "i1", symbol=_symbol,
         f="fcmp " + _f + " {t} {0}, {1}", i="icmp " + _i + " {t} {0}, {1}",
         b="icmp " + _unsigned + " {t} {0}, {1}", u="icmp " + _unsigned + " {t} {0}, {1}")
for _name, _ufunc, _symbol in (("and", np.bitwise_and, "&"), ("or", np.bitwise_or, "|"),
                               ("xor", np.bitwise_xor, "^")):
    _row(_name, 2, "ib", _ufunc, i=_name + " {t} {0}, {1}", b=_name + " {t} {0}, {1}",
         symbol=_symbol)
_row("not", 1, "ib", np.invert, i="xor {t} {0}, -1", b="xor {t} {0}, true")
_row("shl", 2, "i", np.left_shift, i="shl {t} {0}, {1}", symbol="<<")
_row("shr", 2, "i", np.right_shift, i="ashr {t} {0}, {1}", u="lshr {t} {0}, {1}",
     symbol=">>")
_row("isnan", 1, "f", np.isnan, "i1", f="fcmp uno {t} {0}, {0}")
_INF = "0x7FF0000000000000"
_row("isfinite", 1, "f", np.isfinite, "i1",
     f="{r}a = call {t} @llvm.fabs.{s}({t} {0})\n{r} = fcmp olt {t} {r}a, " + _INF)
_row("isinf", 1, "f", np.isinf, "i1",
     f="{r}a = call {t} @llvm.fabs.{s}({t} {0})\n{r} = fcmp oeq {t} {r}a, " + _INF)
_row("signbit", 1, "f", np.signbit, "i1",
     f="{r}a = call {t} @llvm.copysign.{s}({t} 1.0, {t} {0})\n{r} = fcmp olt {t} {r}a, 0.0")
# select(condition, x, y): only the truth value's kind is checked against `takes`.
_row("select", 3, "b", lambda c, x, y: x if c else y, like=1, b="select i1 {0}, {u} {1}, {u} {2}")


# ---- conversions: named by the type they make ----------------------------------------------------


def _convert(dtype):
    """C's conversion; of a float out of range, and of NaN, as x86-64 does it (see `_float_to`)."""

    def evaluate(x):
        if dtype.kind in "iu" and isinstance(x, np.floating):
            low_bits = _truncated(float(x), dtype) & (1 << 64) - 1
            return np.uint64(low_bits).astype(dtype)
        return np.asarray(x).astype(dtype)[()]

    return evaluate


def _truncated(x: float, dtype) -> int:
    bits = max(8 * dtype.itemsize, 32)
    top = 1 << bits - 1
    above = dtype.kind == "u" and bits == 8 * dtype.itemsize and x >= top
    x = x - top if above else x
    whole = int(x) if -top - 1 < x < top else -top
    return whole + top if above else whole


for _name in SCALARS:
    _row(_name, 1, "fib", _convert(DTYPES[_name]), _name)


def conversion(source: str, target: str) -> str:
    """The LLVM instruction, as a template, that takes ``source`` to ``target``."""
    width = {name: 8 * dtype.itemsize for name, dtype in DTYPES.items()}
    kinds = KIND[source] + KIND[target]
    if source == target:
        return ""
    if target == "i1":
        return "fcmp une {t} {0}, 0.0" if KIND[source] == "f" else "icmp ne {t} {0}, 0"
    if kinds == "ff":
        return "fpext {t} {0} to {u}" if target == "f64" else "fptrunc {t} {0} to {u}"
    if kinds == "fi":
        return _float_to(target, width[target])
    if kinds[1] == "f":
        return ("uitofp" if source in ("i1", "u64", "u32", "u16", "u8") else "sitofp") \
            + " {t} {0} to {u}"
    if source == "i1":
        return "zext {t} {0} to {u}"
    if width[target] == width[source]:
        return ""
    wider = "zext" if source[0] == "u" else "sext"
    return (wider if width[target] > width[source] else "trunc") + " {t} {0} to {u}"


def _float_to(target: str, width: int) -> str:
    """Float to integer, as NumPy's compiled code does it on x86-64: by the instruction for 32 or
    64 bits, which gives the least number for NaN and for all that is out of range; narrower
    integers keep the low bits of it. Unsigned ones of full width subtract 2^(width - 1) first where
    there is that much."""
    bits = max(width, 32)
    top = "0x" + {32: "41E", 64: "43E"}[bits] + 13 * "0"
    least = f"-{1 << bits - 1}"
    cut = (f"{{r}}c = call i{bits} @llvm.fptosi.sat.i{bits}.{{s}}({{t}} {{r}}a)\n"
           f"{{r}}d = fcmp olt {{t}} {{r}}a, {top}\n")
    if target[0] == "u" and width == bits:
        return (f"{{r}}e = fcmp oge {{t}} {{0}}, {top}\n{{r}}b = fsub {{t}} {{0}}, {top}\n"
                f"{{r}}a = select i1 {{r}}e, {{t}} {{r}}b, {{t}} {{0}}\n{cut}"
                f"{{r}}f = select i1 {{r}}d, i{bits} {{r}}c, i{bits} {least}\n"
                f"{{r}}g = xor i{bits} {{r}}f, {least}\n"
                f"{{r}} = select i1 {{r}}e, {{u}} {{r}}g, {{u}} {{r}}f")
    cut = cut.replace("{r}a", "{0}")
    whole = f"select i1 {{r}}d, i{bits} {{r}}c, i{bits} {least}"
    if width == bits:
        return f"{cut}{{r}} = {whole}"
    return f"{cut}{{r}}e = {whole}\n{{r}} = trunc i{bits} {{r}}e to {{u}}"
