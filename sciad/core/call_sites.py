"""What a frame is doing at its present instruction: which function it calls, what it compares.

Compiled code has no frame of its own. Where NumPy's loop over an array of objects calls a method
of an Array, the innermost Python frame is the program's line, and its instruction tells what runs:
a CALL of ``np.maximum``, a comparison, a jump. The operands' stack cannot be read; but Python
(>= 3.11) keeps for each instruction the span of source text that it comes from, and the names that
load a callee or a left operand begin where the span begins. Names and attributes are looked up
without running any code of the program.
"""

import dis
import functools
import sys
from inspect import getattr_static
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, NamedTuple

import numpy as np


class Unknown:
    """A value that only running the program would tell."""


_NAMES = ("LOAD_FAST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_TELLING = ("CALL", "PRECALL", "COMPARE_OP", "CONTAINS_OP", "STORE_S", "BINARY_OP")
_SILENT = ("PUSH_NULL", "KW_NAMES", "CACHE", "RESUME", "NOP", "COPY_FREE_VARS")


class Item(NamedTuple):
    """A subscript: a constant, or a name."""

    key: Any
    named: bool

    def __str__(self):
        return f"[{self.key if self.named else repr(self.key)}]"


class Site(NamedTuple):
    """An instruction, with what the source text around it names.

    `opname` is "CALL" for calls of every kind. `chain` holds the name, the attributes and the
    items that lead to the callee or the left operand (None: not by these alone), `method` the
    attribute that is called, `last` the name that ends the text, and `names` all that the text
    loads. `truth` tells that a comparison asks for the truth as well, as in an ``if`` of
    Python >= 3.13.
    """

    opname: str
    text: str
    truth: bool
    chain: "tuple[str | Item, ...] | None"
    method: str | None
    last: str | None
    names: tuple[str, ...]


@functools.lru_cache(maxsize=1024)
def site(code: CodeType, offset: int) -> Site:
    """The instruction of `code` at an offset (a frame's `f_lasti`)."""
    while offset > 0 and dis.opname[code.co_code[offset]] == "CACHE":
        offset -= 2  # where a call of a Python function leaves its caller
    opname = dis.opname[code.co_code[offset]] if offset >= 0 else ""
    if not opname.startswith(_TELLING):
        return Site(opname, "", False, None, None, None, ())
    instructions = _instructions(code)
    here = next((k for k, i in enumerate(instructions) if i.offset == offset), None)
    if here is None:
        return Site("", "", False, None, None, None, ())
    found = instructions[here]
    is_call = found.opname.startswith(("CALL", "PRECALL")) and "INTRINSIC" not in found.opname
    text = str(found.argrepr)
    truth = text.startswith("bool(")
    text = text[5:-1] if truth else text
    inside = _inside(instructions[:here], found)
    return Site("CALL" if is_call else found.opname, text, truth, _chain(inside, found, is_call),
                _method(inside, found) if is_call else None, _last(inside, found),
                tuple(name for i in inside for name in _loaded(i)))


@functools.lru_cache(maxsize=32)
def _instructions(code: CodeType) -> list[dis.Instruction]:
    return list(dis.get_instructions(code))


def _inside(instructions, found) -> list:
    """The instructions before `found` whose text lies within its text."""
    start, end = _start(found), _end(found)
    if None in start + end:
        return []
    return [i for i in instructions
            if None not in _start(i) + _end(i) and start <= _start(i) and _end(i) <= end]


def _start(i) -> tuple:
    return (i.positions.lineno, i.positions.col_offset)


def _end(i) -> tuple:
    return (i.positions.end_lineno, i.positions.end_col_offset)


def _loaded(i) -> tuple[str, ...]:
    """The names that an instruction loads (Python >= 3.13 may load two at once)."""
    if not i.opname.startswith(_NAMES):
        return ()
    return i.argval if isinstance(i.argval, tuple) else (i.argval,)


def _chain(inside, found, is_call) -> tuple[str | Item, ...] | None:
    """Name, attributes and items at the head of the text, as far as the callee or left operand."""
    chain: list[str | Item] = []
    for before, i in zip([None, *inside], inside, strict=False):
        if _start(i) != _start(found) or i.opname in _SILENT:
            continue
        if is_call and _end(i) == _end(found):
            break  # what the call itself is made of: BUILD_TUPLE of its arguments
        names = _loaded(i)
        if names and not chain:
            chain.append(names[0])
        elif chain and i.opname.startswith(_ATTRIBUTES):
            chain.append(i.argval)
        elif chain and (i.opname == "BINARY_SUBSCR" or i.argrepr == "[]") and (
                before.opname == "LOAD_CONST" or _loaded(before)):
            chain.append(Item(before.argval, bool(_loaded(before))))
        else:
            return None
    return tuple(chain) or None


def _method(inside, found) -> str | None:
    """The attribute that a call names last before its arguments."""
    heads = [i for i in inside if _start(i) == _start(found) and i.opname not in _SILENT
             and _end(i) != _end(found)]
    return heads[-1].argval if heads and heads[-1].opname.startswith(_ATTRIBUTES) else None


def _last(inside, found) -> str | None:
    """The name that ends the text: a right operand that is a name."""
    for i in reversed(inside):
        if _end(i) == _end(found):
            names = _loaded(i)
            return names[-1] if names else None
    return None


# --- values ---------------------------------------------------------------------------------------


def lookup(frame: FrameType, name: str) -> Any:
    """The value of a name in a frame, or `Unknown`."""
    for space in (frame.f_locals, frame.f_globals, frame.f_builtins):
        if name in space:
            return space[name]
    return Unknown


def head(frame: FrameType, chain: tuple[str | Item, ...] | None) -> Any:
    """The value that a chain leads to in a frame, or `Unknown`."""
    if chain is None:
        return Unknown
    value = lookup(frame, str(chain[0]))
    for step in chain[1:]:
        if isinstance(step, Item):
            value = _item(value, lookup(frame, step.key) if step.named else step.key)
        elif isinstance(value, (ModuleType, np.ndarray, np.ufunc)):
            value = getattr(value, step, Unknown)
        else:
            value = getattr_static(value, step, Unknown)
            value = value.__func__ if isinstance(value, staticmethod) else value
    return value


def _item(value: Any, key: Any) -> Any:
    if type(value) not in (dict, list, tuple) or type(key) not in (str, int, bool):
        return Unknown
    try:
        return value[key]
    except (LookupError, TypeError):
        return Unknown


def callee(frame: FrameType, here: Site) -> Any:
    """The function that an instruction calls, or `Unknown`."""
    value = head(frame, here.chain) if here.opname == "CALL" else Unknown
    while isinstance(value, functools.partial):
        value = value.func
    return value if callable(value) else Unknown


def spelled(chain: tuple[str | Item, ...]) -> str:
    """A chain as the program writes it."""
    return "".join(f".{step}" if isinstance(step, str) else str(step) for step in chain)[1:]


def is_compiled_by(value: Any, *packages: str) -> bool:
    """Whether a callee belongs to one of some packages, as function, ufunc or method."""
    owner = getattr(value, "__self__", None)
    if isinstance(value, np.ufunc) or isinstance(owner, (np.ufunc, np.ndarray)):
        return True
    return package_of(getattr(value, "__module__", None)) in packages


def calls_method(frame: FrameType, name: str) -> bool:
    """Whether a frame calls an attribute, or a global function, of that name."""
    if name not in frame.f_code.co_names:
        return False
    here = site(frame.f_code, frame.f_lasti)
    return here.opname == "CALL" and (here.method or (here.chain or ("",))[-1]) == name


def random_draw(frame: FrameType) -> str | None:
    """The function of `numpy.random` that a frame calls, as the program writes it, or None."""
    here = site(frame.f_code, frame.f_lasti)
    if here.opname != "CALL":
        return None
    function = head(frame, here.chain)
    if function is Unknown:  # of a generator that a call made, or a property gives
        known = here.method in _DRAWS
    else:
        known = str(getattr(function, "__module__", None)).startswith("numpy.random")
    if not known:
        return None
    return spelled(here.chain) if here.chain else f"the draw .{here.method}(...) of np.random"


_DRAWS = frozenset({*dir(np.random.Generator), *dir(np.random.RandomState)} - {*dir(np.ndarray)})
"""Methods of NumPy's generators."""


def asks_to_format(frame: FrameType) -> bool:
    """Whether a frame runs ``text % values``."""
    here = site(frame.f_code, frame.f_lasti)
    return here.opname.startswith("BINARY_OP") and here.text.startswith("%")


def package_of(module: Any) -> str:
    """The top package of a module's name."""
    return module.partition(".")[0] if isinstance(module, str) else ""


def package(frame: FrameType) -> str:
    """The top package whose code a frame runs."""
    return package_of(frame.f_globals.get("__name__", ""))


_ONLOOKERS = frozenset("""
    IPython _pydevd_bundle _pytest bdb debugpy ipdb pdb pluggy pudb pydevd pydevd_bundle traceback
""".split())
"""Packages of debuggers and of what reports errors."""


def is_onlooker(frame: FrameType | None) -> bool:
    """Whether `frame` asks for a value's text to show it to a reader, as sciad's own messages and
    debuggers do, rather than for the program."""
    asked = False
    while frame is not None:
        name = package(frame)
        if name in _ONLOOKERS or name == "sciad" and not asked:
            return True
        if name == "sciad":
            return False
        asked = asked or name != "numpy"
        frame = frame.f_back
    return False


_LEAVES_THE_LINE = frozenset([*dis.hasjrel, *dis.hasjabs, *(
    code for name, code in dis.opmap.items() if name.startswith(("RETURN", "YIELD", "RERAISE")))])


def about_to_raise(frame: FrameType | None) -> bool:
    """Whether the program will raise next: what `frame` asks for becomes part of an exception."""
    asked = False
    while frame is not None and not (asked and package(frame) == "sciad"):
        if package(frame) not in ("sciad", "numpy"):
            asked = True
            if _leads_to_raise(frame.f_code, frame.f_lasti):
                return True
        frame = frame.f_back
    return False


@functools.lru_cache(maxsize=256)
def _leads_to_raise(code: CodeType, offset: int) -> bool:
    """Whether a `raise` follows an instruction, with no jump before it."""
    for instruction in _instructions(code):
        if instruction.offset >= offset:
            if instruction.opname == "RAISE_VARARGS":
                return True
            if instruction.opcode in _LEAVES_THE_LINE:
                return False
    return False


def raised_on_purpose(error: BaseException) -> bool:
    """Whether a `raise` of the program's own raised an exception, which is none about types."""
    traceback = error.__traceback__
    if traceback is None or isinstance(error, TypeError):
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame, offset = traceback.tb_frame, traceback.tb_lasti
    return package(frame) not in ("sciad", "numpy") and (
        dis.opname[frame.f_code.co_code[offset]] == "RAISE_VARARGS")


def numpy_function() -> str | None:
    """Of what calls sciad now: the function of NumPy that the program has called, or None."""
    frame: FrameType | None = sys._getframe(1)
    name = None
    while frame is not None and package(frame) == "sciad":
        frame = frame.f_back
    while frame is not None and package(frame) == "numpy":
        name, frame = frame.f_code.co_name, frame.f_back
    return name


# --- public names ---------------------------------------------------------------------------------


def public_name(frame: FrameType) -> str | None:
    """What users call the function of a library that a frame runs, or None if it is internal."""
    module, function = running(frame)
    if function.startswith(f"{module}."):  # of Cython's, with the path to it
        owner, _, function = function[len(module) + 1:].rpartition(".")
        known = _exported(module, owner or function)
        return f"{known}.{function}" if known and owner else known
    first = frame.f_code.co_varnames[:1]
    owner = frame.f_locals.get(first[0]) if first in (("self",), ("cls",)) else None
    if owner is None:
        return _exported(module, function)
    owner = _owner_name(owner, package_of(module))
    if owner is None or function.startswith("__"):
        return owner
    return None if function.startswith("_") else f"{owner}.{function}"


def public_home(frame: FrameType) -> str:
    """The innermost public package or module that holds the code of a frame."""
    return _homes(running(frame)[0])[-1]


def running(frame: FrameType) -> tuple[str, str]:
    """Module and name of the function that runs; of a decorator's wrapper, what it wraps."""
    for key in ("f", "fun"):
        wrapped = frame.f_locals.get(key)
        if frame.f_code.co_name == "wrapper" and callable(wrapped):
            return wrapped.__module__, wrapped.__name__
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _owner_name(owner: Any, library: str) -> str | None:
    """The public name of a class, or of its instance that a library has a name for."""
    cls = owner if isinstance(owner, type) else type(owner)
    for base in cls.__mro__:
        if package_of(base.__module__) != library:
            continue
        for home in _homes(base.__module__)[-1:] if cls is not owner else ():
            named = {name: x for name, x in vars(sys.modules[home]).items() if type(x) is cls}
            if named:
                return f"{home}.{min(named, key=lambda name: named[name] is not owner)}"
        known = _exported(base.__module__, base.__name__)
        if known is not None:
            return known
    return None


def _exported(module: str, name: str) -> str | None:
    """The shortest public path to what a module defines under a name."""
    if name.startswith("_"):
        return None
    own = getattr(sys.modules.get(module), name, Unknown)
    homes = [home for home in _homes(module) if hasattr(sys.modules.get(home), name)]
    same = [home for home in homes if getattr(sys.modules[home], name) is own]
    if not same and _homes(module)[-1:] != homes[-1:]:
        return None
    return f"{(same or homes[-1:])[0]}.{name}" if homes else None


def _homes(module: str) -> list[str]:
    """The public packages and modules that a module lies in, outermost first."""
    parts = module.split(".")
    public = next((k for k, part in enumerate(parts) if part.startswith("_")), len(parts))
    return [".".join(parts[:k]) for k in range(1, public + 1)]


Step = tuple[FrameType, int, int]
"""A frame of a traceback with the offset and the line where it stood."""


def steps(traceback: TracebackType | None) -> list[Step]:
    """The frames of a traceback, outermost first."""
    found = []
    while traceback is not None:
        found.append((traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found
