"""Native form of the discrete Fourier transforms: NumPy's own loops, by pointer.

Each is a generalised ufunc of ``numpy.fft``, whose inner loop runs without Python: it transforms so
many lines of memory, with any distance between the lines and between the entries of one. A small
function of LLVM text, one in a process for each loop, hands it its arrays of pointers and sizes.
Complex arrays stand interleaved in memory (see `sciad.compiler.realify`), as the loops take them.
"""

from __future__ import annotations

import ctypes
import importlib
from functools import lru_cache
from math import prod

import numpy as np

from sciad.compiler import loops as ir
from sciad.compiler import symbols
from sciad.compiler.loops import Builder, Name
from sciad.compiler.lower import lowering
from sciad.compiler.realify import interleaved
from sciad.compiler.values import Buffer, Emitter, Unsupported, Value, convert, index, size_of
from sciad.ops.fft import SWAPPED, fft_p, irfft_p, rfft_p

LETTER = {"f64": "d", "f32": "f"}
_TYPES = {"fft": "{c}{r}->{c}", "ifft": "{c}{r}->{c}", "irfft": "{c}{r}->{r}",
          "rfft_n_even": "{r}{r}->{c}", "rfft_n_odd": "{r}{r}->{c}"}
"""The loops: the line, the factor, the result; {c} complex, {r} real."""
_FUNCTIONS_OF_UFUNC = 32  # PyUFuncObject: head, nin, nout, nargs, identity, then the loops,
_DATA_OF_UFUNC = 40  # and what each is given last


# --- the loops ------------------------------------------------------------------------------------


@lru_cache
def _loop(name: str, letter: str) -> tuple[int, int] | None:
    """Where NumPy's loop is, and what it is given last; None where NumPy has another design."""
    try:
        ufunc = getattr(importlib.import_module("numpy.fft._pocketfft_umath"), name)
        place = ufunc.types.index(_TYPES[name].format(r=letter, c=letter.upper()))
    except (ImportError, AttributeError, ValueError):
        return None
    loop, last = (_entry(id(ufunc) + offset, place)
                  for offset in (_FUNCTIONS_OF_UFUNC, _DATA_OF_UFUNC))
    return (loop, last) if loop else None


def _entry(holder: int, place: int) -> int:
    """The entry of a table of pointers whose address stands at `holder`; 0 if there is no table."""
    start = ctypes.c_void_p.from_address(holder).value
    if start is None:
        return 0
    return ctypes.c_void_p.from_address(start + ctypes.sizeof(ctypes.c_void_p) * place).value or 0


_TEXT = """
define void @NAME(ptr %x, ptr %out, ptr %lines, ptr %n, ptr %m, ptr %from, ptr %to, ptr %step,
                  ptr %stride, ptr %scale) {
  %args = alloca [3 x ptr]
  %dims = alloca [3 x i64]
  %steps = alloca [5 x i64]
  %factor = alloca double
STORES
  call void @LOOP(ptr %args, ptr %dims, ptr %steps, ptr LAST)
  ret void
}
declare void @LOOP(ptr, ptr, ptr, ptr)
"""


def _text(symbol: str, loop: str, last: str, letter: str) -> str:
    """The function that calls a loop: everything by reference, as BLAS takes it; distances count
    real numbers."""
    lines: list[str] = []

    def put(holder: str, kind: str, place: int, value: str) -> None:
        lines.append(f"  %p{len(lines)} = getelementptr {kind}, ptr {holder}, i64 {place}")
        lines.append(f"  store {kind} {value}, ptr %p{len(lines) - 1}")

    def number(name: str, scale: int = 1) -> str:
        k = len(lines)
        lines.extend([f"  %q{k} = load i32, ptr {name}", f"  %r{k} = sext i32 %q{k} to i64",
                      f"  %s{k} = mul i64 %r{k}, {scale}"])
        return f"%s{k}"

    size = 8 if letter == "d" else 4
    lines.append("  %given = load double, ptr %scale")
    if letter == "f":
        lines.append("  %single = fptrunc double %given to float")
    lines.append("  store " + ("double %given" if letter == "d" else "float %single")
                 + ", ptr %factor")
    for k, name in enumerate(("%x", "%factor", "%out")):
        put("%args", "ptr", k, name)
    for k, name in enumerate(("%lines", "%n", "%m")):
        put("%dims", "i64", k, number(name))
    for k, name in enumerate(("%from", None, "%to", "%step", "%stride")):
        put("%steps", "i64", k, "0" if name is None else number(name, size))
    return (_TEXT.replace("NAME", symbol).replace("STORES", "\n".join(lines))
            .replace("LOOP", loop).replace("LAST", f"@{last}" if last else "null")
            + (f"@{last} = external global i8\n" if last else ""))


@lru_cache
def _symbol(name: str, letter: str) -> str:
    """The function that runs a loop, ready to be called by compiled code."""
    from sciad.compiler import llvm

    found = _loop(name, letter)
    if found is None or not llvm.available():
        raise Unsupported(f"no pointer to NumPy's {name}")
    symbol = f"sciad_{name}_{letter}"
    loop, last = f"numpy_{name}_{letter}", f"numpy_{name}_{letter}_last" if found[1] else ""
    needed = {loop: found[0], **({last: found[1]} if last else {})}
    for each, address in needed.items():
        symbols.register(each, address)
    library = llvm.plain_library(_text(symbol, loop, last, letter), [symbol], list(needed))
    symbols.register(symbol, library.address(symbol))
    return symbol


# --- calls ----------------------------------------------------------------------------------------


def _transform(em: Emitter, name: str, kind: str, x, out, lines: int, n: int, m: int,
               distances: tuple[int, int, int, int], scale: float) -> None:
    """Emit the transform of so many lines from `x` into `out`: n entries into m. The distances
    count real numbers: between lines there and here, between entries there and here."""
    symbol = _symbol(name, LETTER[kind])
    wrapper = f"call_{symbol}_{scale.hex()}".replace(".", "_").replace("+", "_").replace("-", "m")
    counts = (lines, n, m, *distances)
    if all(known.name != wrapper for known in em.functions):
        types = {"x": f"ptr<{kind}>", "out": f"ptr<{kind}>",
                 **{f"a{k}": "i64" for k in range(len(counts))}}
        b = Builder(wrapper, **types)
        b.call_fortran(symbol, b["x"], b["out"], *(b[f"a{k}"] for k in range(len(counts))),
                       float(scale))
        b.ret(0)
        em.functions.append(b.function())
    status = em.fresh("s")
    em.emit(ir.Call(wrapper, (x, out, *map(index, counts)), status))


def _along(em: Emitter, name: str, kind: str, source: Name, target: Name, shapes, axis: int,
           widths: tuple[int, int], scale: float) -> None:
    """Transform along an axis, from one buffer into another; `widths`: the real numbers of an
    entry, there and here."""
    (before, after), (n, m) = ([prod(shapes[0][:axis]), prod(shapes[0][axis + 1:])],
                               [shape[axis] for shape in shapes])
    wide, thin = widths
    if after == 1:
        _transform(em, name, kind, source, target, before, n, m, (n * wide, m * thin, wide, thin),
                   scale)
        return
    with em.loop(before) as k:
        x, out = (em.let(ir.Address(buffer, em.let(k * (extent * after * width))))
                  for buffer, extent, width in ((source, n, wide), (target, m, thin)))
        _transform(em, name, kind, x, out, after, n, m, (wide, thin, after * wide, after * thin),
                   scale)


def _scale(norm: str | None, n: int, inverse: bool, kind: str) -> float:
    """The factor of a transform over n entries, rounded as NumPy rounds it."""
    norm = SWAPPED[norm] if inverse else norm
    dtype = np.dtype(np.float64 if kind == "f64" else np.float32)
    if norm in (None, "backward"):
        return 1.0
    return float(np.reciprocal(np.sqrt(n, dtype=dtype) if norm == "ortho" else dtype.type(n)))


def _copied(em: Emitter, x: Value, shape, kind: str) -> Buffer:
    """`x` in memory of its own: complex numbers interleaved, with 0 as the imaginary part of real
    ones."""
    out = em.buffer((*shape, 2), kind)
    real = len(x.shape) == len(shape)
    zero = ir.Const(0, kind)
    with em.loops(shape) as place:
        start = index(0)
        for extent, i in zip(shape, place, strict=True):
            start = start * extent + i
        start = em.let(start * 2)
        for part in range(2):
            entry = (convert(em.at(x, place), kind) if not part else zero) if real else \
                convert(em.at(x, (*place, index(part))), kind)
            em.emit(ir.Store(out.name, em.let(start + part), entry))
    return out


def _kind(step) -> tuple[tuple[int, ...], str]:
    shape, kind = step.out()
    if kind not in LETTER or not size_of(shape):
        raise Unsupported(f"no native form of {step.equation.primitive} of {kind} "
                          f"({step.equation.where})")
    return tuple(shape), kind


@lowering(interleaved(fft_p, (True,)), interleaved(fft_p, (False,)))
def _full(em, step, x):
    (*shape, _), kind = _kind(step)
    params = step.equation.params
    name = "ifft" if params["inverse"] else "fft"
    axes = [axis % len(shape) for axis in params["axes"]]
    _symbol(name, LETTER[kind])
    out = _copied(em, em.addressable(x), shape, kind)
    for axis in axes:
        scale = _scale(params["norm"], shape[axis], params["inverse"], kind)
        _along(em, name, kind, out.name, out.name, (shape, shape), axis, (2, 2), scale)
    return [out]


@lowering(interleaved(rfft_p, (False,)))
def _real(em, step, x):
    (*shape, _), kind = _kind(step)
    n, axis, norm = (step.equation.params[key] for key in ("n", "axis", "norm"))
    axis %= len(shape)
    if x.shape[axis] != n:
        raise Unsupported(f"no native form of an rfft that pads ({step.equation.where})")
    name = "rfft_n_odd" if n % 2 else "rfft_n_even"
    _symbol(name, LETTER[kind])
    source = em.to_buffer(x)
    if source.kind != kind:
        raise Unsupported(f"no native form of rfft of {source.kind} ({step.equation.where})")
    out = em.buffer((*shape, 2), kind)
    _along(em, name, kind, source.name, out.name, (x.shape, shape), axis, (1, 2),
           _scale(norm, n, False, kind))
    return [out]


@lowering(interleaved(irfft_p, (True,)))
def _back_to_real(em, step, x):
    shape, kind = _kind(step)
    n, axis, norm = (step.equation.params[key] for key in ("n", "axis", "norm"))
    axis %= len(shape)
    _symbol("irfft", LETTER[kind])
    source = em.to_buffer(x)
    out = em.buffer(shape, kind)
    _along(em, "irfft", kind, source.name, out.name, (x.shape[:-1], shape), axis, (2, 1),
           _scale(norm, n, True, kind))
    return [out]


_full.by_pointer = _real.by_pointer = True  # type: ignore[attr-defined]
_back_to_real.by_pointer = True  # type: ignore[attr-defined]
