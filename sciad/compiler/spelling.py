"""How LLVM spells types, constants and operations."""

import math
import re
import struct
from functools import lru_cache

from sciad.compiler.scalars import DTYPES, KIND, SCALARS, TABLE, Row, conversion

LLVM_TYPES = {"f64": "double", "f32": "float",
              **{name: "i" + name[1:] for name in SCALARS if name[0] in "iu"}}
STORED = {**LLVM_TYPES, "i1": "i8"}  # the type of a buffer's element
_FAST = " reassoc arcp contract"


def llvm_type(type: str | None) -> str:
    return "void" if type is None else LLVM_TYPES.get(type, "ptr")


def constant(value, type: str) -> str:
    """A literal; floats by their bits, so that none is rounded."""
    if value == 0 and KIND[type] == "f":  # the cache takes -0.0 for 0.0
        return "0x8000000000000000" if math.copysign(1.0, value) < 0 else "0x0000000000000000"
    return _constant(value, type)


@lru_cache(maxsize=4096)
def _constant(value, type: str) -> str:
    kind = KIND[type]
    if kind == "b":
        return "true" if value else "false"
    if kind == "i":
        return str(int(value))
    value = DTYPES[type].type(value)
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _spelled(row: Row, source: str) -> str:
    if not row.spell:
        return conversion(source, row.result)
    own = row.spell.get("u") if source[0] == "u" else None
    return row.spell.get(KIND[source]) if own is None else own


@lru_cache(maxsize=4096)
def template(name: str, types: tuple[str, ...], fast: bool, fma: bool):
    """(format string over result and operands, function to declare or None) of an operation.

    An empty format means that the result is the operand itself.
    """
    source, t = types[0], LLVM_TYPES[types[0]]
    row = TABLE[name]
    spelled = _spelled(row, source)
    declared = None
    if spelled == "llvm.fma" and not fma:
        spelled = "{r}a = fmul {t} {0}, {1}\n{r} = fadd {t} {r}a, {2}"
    if re.fullmatch(r"[\w.]+", spelled):
        if spelled.startswith("llvm."):
            spelled = f"{spelled}.{source}"
        elif source == "f32":
            spelled += "f"
        declared = (spelled, t, row.arity)
        operands = ", ".join(f"{t} {{{k}}}" for k in range(row.arity))
        spelled = f"call {t} @{spelled}({operands})"
    if "{r} =" not in spelled and spelled:
        spelled = "{r} = " + spelled
    u = LLVM_TYPES[row.result or types[-1]]
    for old, new in (("{t}", t), ("{u}", u), ("{s}", source), ("{fast}", _FAST if fast else ""),
                     ("{3}", "{4}"), ("{2}", "{3}"), ("{1}", "{2}"), ("{0}", "{1}"),
                     ("\n", "\n  ")):
        spelled = spelled.replace(old, new)
    return re.sub(r"\{r\}([a-z]+)", r"{0}..\1", spelled).replace("{r}", "{0}"), declared


@lru_cache(maxsize=256)
def intrinsics(pattern: str) -> tuple[tuple[str, str], ...]:
    """The (symbol, signature) of every function that a template calls."""
    found = []
    for result, symbol, args in re.findall(r"call (\w+) @([\w.]+)\(([^)]*)\)", pattern):
        types = ", ".join(arg.split()[0] for arg in args.split(","))
        found.append((symbol, f"{result} ({types})"))
    return tuple(found)
