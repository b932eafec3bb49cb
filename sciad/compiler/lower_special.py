"""Native forms of the special functions, of the logistic family, and of what else NumPy's ufuncs
hold beyond arithmetic.

Simple functions are written out, in the way of SciPy and NumPy, so that they fuse and vectorise.
The others are SciPy's own, called by the pointers that ``scipy.special.cython_special`` exports for
its C users: bit for bit what the ufuncs compute. A ufunc has a loop for each combination of types;
NumPy says which one it would take (`resolve_dtypes`), and the pointer of those types is called. In
single precision most of SciPy's loops compute in double precision and round, and so does this.

The Hurwitz zeta function has no such pointer. It is summed by the Euler-Maclaurin formula

    zeta(s, q) = sum_{k<n} (q+k)^-s + (q+n)^(1-s) / (s-1) + (q+n)^-s / 2
                 + sum_j B_2j / (2j)! s (s+1) ... (s+2j-2) (q+n)^(-s-2j+1)

(DLMF 25.11.5, 2.10.1) as in Cephes (Moshier 1989), which SciPy uses: n is the first whole number
from 9 on with q + n > 9.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log

import numpy as np
from scipy import special as sp

from sciad.compiler import loops as ir
from sciad.compiler import symbols
from sciad.compiler.loops import Const, Expr, Function, Name, Op
from sciad.compiler.lower import lowering
from sciad.compiler.lower_elementwise import apply
from sciad.compiler.scalars import TABLE, Row
from sciad.compiler.values import Buffer, Emitter, Unsupported, convert, index
from sciad.core.rules import Elementwise
from sciad.ops import (
    bessel,
    carlson,
    distributions,
    elliptic,
    functions,
    incomplete,
    oscillation,
    special,
)

_LOG2E = 1.0 / log(2.0)

# --- by pointer -----------------------------------------------------------------------------------

_WHOLE = ("expn", "kn", "yn")
"""Functions that warn, through Python, of an order that is no integer type: those are called
back."""
_KINDS = {"d": "f64", "f": "f32", "p": "i64"}
_C_TYPES = {"d": "double", "f": "float", "p": "i64"}


def _ufuncs() -> list[Elementwise]:
    """The operations that are ufuncs of SciPy's."""
    modules = (special, bessel, carlson, distributions, elliptic, incomplete, oscillation)
    return list({p: p for module in modules for p in vars(module).values()
                 if isinstance(p, Elementwise) and isinstance(p.fun, np.ufunc)
                 and getattr(sp, p.fun.__name__, None) is p.fun})


@lowering(*_ufuncs())
def _pointed(em, step, *operands):
    function = step.equation.primitive.fun
    letters = _loop(function, step.equation.inputs)
    name = _operation(function, letters)
    kind, kinds = step.out()[1], [_KINDS[c] for c in letters]
    return apply(em, step, operands, lambda *xs: convert(
        Op(name, tuple(convert(x, k) for x, k in zip(xs, kinds, strict=True))), kind))


def _loop(function: np.ufunc, inputs) -> str:
    """The types that NumPy would compute with, of those that there is a pointer for."""
    given = [_sample(atom.type) for atom in inputs]
    found = function.resolve_dtypes((*given, *[None] * function.nout))[:function.nin]
    letters = "".join("p" if dtype.kind in "iu" else dtype.char for dtype in found)
    for candidate in (letters, letters.replace("f", "d")):
        if candidate[0] != "p" and function.__name__ in _WHOLE:
            break
        if symbols.special_function(function.__name__, candidate):
            return candidate
    raise Unsupported(f"no pointer to {function.__name__} of {letters}")


def _sample(kind):
    return type(kind.dtype.type(0).item()) if kind.weak else kind.dtype


def _operation(function: np.ufunc, letters: str) -> str:
    """A function behind a pointer as an operation of the table of scalars."""
    symbol = f"{symbols.SPECIAL}{function.__name__}_{letters}"
    if symbol not in TABLE:
        result = "f" if set(letters) == {"f"} else "d"
        args = ", ".join(f"{_C_TYPES[c]} {{{k}}}" for k, c in enumerate(letters))
        text = f"call {_C_TYPES[result]} @{symbol}({args}, i32 0)"
        takes = "i" if letters[0] == "p" else "f"
        TABLE[symbol] = Row(symbol, len(letters), takes, _KINDS[result], function,
                            {takes: text}, like=int(letters[0] == "p" and len(letters) > 1))
    return symbol


SEVERAL = {
    oscillation.airy_ai: ("airy", 0), oscillation.airy_aip: ("airy", 1),
    oscillation.airy_bi: ("airy", 2), oscillation.airy_bip: ("airy", 3),
    oscillation.fresnel_s: ("fresnel", 0), oscillation.fresnel_c: ("fresnel", 1),
    oscillation.sine_integral: ("sici", 0), oscillation.cosine_integral: ("sici", 1),
    oscillation.sinh_integral: ("shichi", 0), oscillation.cosh_integral: ("shichi", 1),
}
"""Results of functions that give several, by address."""
_RESULTS = {"airy": 4, "fresnel": 2, "sici": 2, "shichi": 2}


@lowering(*SEVERAL)
def _one_of_several(em, step, x):
    name, place = SEVERAL[step.equation.primitive]
    count = _RESULTS[name]
    letters = "d" + "o" * count
    if not symbols.special_function(name, letters):
        raise Unsupported(f"no pointer to {name}")
    shape, kind = step.out()
    x, out, room = em.addressable(x), em.buffer(shape, kind), em.alloc("f64", count)
    places = [em.let(ir.Address(room, index(k))) for k in range(count)]
    with em.loops(shape) as indices:
        entry = em.let(convert(em.at(x, indices), "f64"))
        em.emit(ir.Call(f"{symbols.SPECIAL}{name}_{letters}", (entry, *places), None, None))
        result = convert(ir.Load(room, index(place)), kind)
        em.emit(ir.Store(out.name, _flat(shape, indices), result))
    return [Buffer(out.shape, kind, out.name, owned=True)]


def _flat(shape, indices) -> Expr:
    place = index(0)
    for extent, i in zip(shape, indices, strict=True):
        place = place * extent + i
    return place


_pointed.by_pointer = _one_of_several.by_pointer = True  # type: ignore[attr-defined]


# --- written out ----------------------------------------------------------------------------------


def written(primitive: Elementwise):
    """The decorated function of entries, all of the result's type, as the native form of an
    elementwise operation. It takes the emitter first."""
    def register(function: Callable[..., Expr]):
        @lowering(primitive)
        def lower(em, step, *operands):
            kind = step.out()[1]
            return apply(em, step, operands,
                         lambda *xs: function(em, *(em.let(convert(x, kind)) for x in xs)))

        return function

    return register


def _call(name: str, *xs: Expr) -> Expr:
    return Op(name, xs)


def _select(condition: Expr, x: Expr, y: Expr) -> Expr:
    return Op("select", (condition, x, y))


def _number(value: float, like: Expr) -> Const:
    return Const(value, like.type)


@written(special.erf)
def _erf(em, x):
    return _call("erf", x)


@lowering(special.erfc)
def _erfc(em, step, x):
    """SciPy's tails are hundreds of units in the last place from those of the C library."""
    if step.out()[1] == "f64":
        return _pointed(em, step, x)
    return apply(em, step, (x,), lambda a: _call("erfc", convert(a, "f32")))


@written(special.expit)
def _expit(em, x):
    return 1.0 / (_call("exp", -x) + 1.0)


@written(special.log_expit)
def _log_expit(em, x):
    tail = em.let(_call("log1p", _call("exp", -abs(x))))
    return _select(x < 0.0, x - tail, -tail)


@written(special.logit)
def _logit(em, x):
    """log(x / (1 - x)); in the middle without the cancellation of that."""
    twice = em.let((x - 0.5) * 2.0)
    middle = em.let((x < 0.3) | (x > 0.65))
    return _select(middle, _call("log", x / (1.0 - x)),
                   _call("log1p", twice) - _call("log1p", -twice))


@written(special.xlogy)
def _xlogy(em, x, y):
    known = Op("not", (_call("isnan", y),))
    return _select(x.eq(0.0) & known, _number(0.0, x), x * _call("log", y))


@written(special.xlog1py)
def _xlog1py(em, x, y):
    known = Op("not", (_call("isnan", y),))
    return _select(x.eq(0.0) & known, _number(0.0, x), x * _call("log1p", y))


@written(functions.logaddexp)
def _logaddexp(em, x, y):
    return _log_of_sum(em, x, y, "exp", 1.0, log(2.0))


@written(functions.logaddexp2)
def _logaddexp2(em, x, y):
    return _log_of_sum(em, x, y, "exp2", _LOG2E, 1.0)


def _log_of_sum(em: Emitter, x, y, power, unit, log_two):
    """max + log(1 + power^-|x - y|); equal ones, infinite ones among them, differ by nothing."""
    gap = em.let(x - y)
    tail = em.let(_call("log1p", _call(power, -abs(gap))) * unit)
    return _select(x.eq(y), x + log_two,
                   _select(gap > 0.0, x + tail, _select(gap <= 0.0, y + tail, gap)))


@lowering(functions.signbit)
def _sign(em, step, x):
    if x.kind[0] != "f":
        raise Unsupported("no native form of signbit of integers")
    return apply(em, step, (x,), lambda a: _call("signbit", a))


@lowering(functions.nextafter)
def _nextafter(em, step, x, y):
    kind = step.out()[1]
    return apply(em, step, (x, y), lambda a, b: _call("nextafter", convert(a, kind),
                                                      convert(b, kind)))


# --- the Hurwitz zeta function --------------------------------------------------------------------

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510,
              43867 / 798, -174611 / 330, 854513 / 138, -236364091 / 2730)
_ZETA = "sciad_zeta"


@lowering(special.zeta)
def _zeta(em, step, s, q):
    if all(f.name != _ZETA for f in em.functions):
        em.functions.append(zeta_function())
    kind = step.out()[1]

    def scalar(s, q):
        label = em.fresh("z")
        em.emit(ir.Call(_ZETA, (convert(s, "f64"), convert(q, "f64")), label, "f64"))
        return convert(Name(label, "f64"), kind)

    return apply(em, step, (s, q), scalar)


def zeta_function() -> Function:
    """zeta(s, q) as a function of the loop IR."""
    em = Emitter()
    s, q = Name("s", "f64"), Name("q", "f64")

    def leave(condition, value):
        em.emit(ir.If(condition, [ir.Return(value)], []))

    one, nan, inf = (Const(value, "f64") for value in (1.0, np.nan, np.inf))
    leave(s.eq(1.0), inf)
    leave(Op("not", (s >= 1.0,)), nan)
    whole = _call("floor", q).eq(q)
    with em.nested() as low:
        leave(whole, inf)
        leave(_call("floor", s).ne(s), nan)
    em.emit(ir.If(q <= 0.0, low, []))
    leave(q > 1e8, (one / (s - 1.0) + one / (q * 2.0)) * _call("pow", q, 1.0 - s))
    total, a, b = (em.variable(x) for x in (_call("pow", q, -s), q, Const(0.0, "f64")))
    count = em.variable(index(0))
    with em.nested() as body:
        em.emit(ir.Assign(count.name, count + 1))
        em.emit(ir.Assign(a.name, a + 1.0))
        em.emit(ir.Assign(b.name, _call("pow", a, -s)))
        em.emit(ir.Assign(total.name, total + b))
        leave(abs(b / total) < 2.0**-53, total)
    em.emit(ir.While([], (count < 9) | (a <= 9.0), body))
    em.emit(ir.Assign(total.name, total + b * a / (s - 1.0)))
    em.emit(ir.Assign(total.name, total - b * 0.5))
    _tail(em, s, total, a, b, leave)
    em.emit(ir.Return(total))
    return Function(_ZETA, [("s", "f64"), ("q", "f64")], em.block, "f64", "never")


def _tail(em, s, total, a, b, leave):
    """The terms of the Bernoulli numbers, until they no longer count."""
    factor, k = em.variable(Const(1.0, "f64")), 0
    for j, bernoulli in enumerate(_BERNOULLI, 1):
        em.emit(ir.Assign(factor.name, factor * (s + float(k))))
        em.emit(ir.Assign(b.name, b / a))
        term = em.let(factor * b / (factorial(2 * j) / bernoulli))
        em.emit(ir.Assign(total.name, total + term))
        leave(abs(term / total) < 2.0**-53, total)
        k += 1
        em.emit(ir.Assign(factor.name, factor * (s + float(k))))
        em.emit(ir.Assign(b.name, b / a))
        k += 1
