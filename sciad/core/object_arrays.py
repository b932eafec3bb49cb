"""Arrays of objects that NumPy makes of followed numbers: errors that name what to write instead.

``np.array([x*y, x - y])`` of Arrays is NumPy's array of objects. Every operation of sciad packs it,
and NumPy's own loops over objects call the Arrays' methods one by one, which differentiates as it
stands. Two things remain:

- What NumPy and SciPy compute on floats alone raises their own TypeError before anything of
  sciad's runs. A transform that such an error leaves explains it (`explained`), if the values
  at hand show that it is about an array of Arrays.
- While recording, a loop that decides (``np.maximum(o, 0)``, ``o > 0``, ``np.sort(o)``) asks one
  question for each entry, and so 2^n branches in place of one operation. `refuse_entrywise`
  raises, so that a compiled function is recorded as it should be, or runs eagerly and says why.
  An ``if x > 0``, ``max(x, y)`` or ``sorted`` of the program's own asks one as well, and is
  welcome: the instruction at which the program stands tells the one from the other.
"""

import re
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from sciad.core import scipy_calls
from sciad.core.array import FILLED, PACKED, Array, ufunc_name
from sciad.core.call_sites import (
    Site,
    Step,
    Unknown,
    callee,
    head,
    is_compiled_by,
    lookup,
    package,
    public_name,
    site,
    spelled,
    steps,
)
from sciad.core.errors import (
    DTypeError,
    LostGradientError,
    NoRuleError,
    RecordError,
    SciadError,
    at_line,
)

MOST_IN_A_ROW = 8
"""Questions at one call of an unknown function, with nothing but comparisons between them."""

_LIBRARIES = ("numpy", "scipy")


def holds_followed(x: Any, depth: int = 3) -> bool:
    """Whether `x` is an Array or holds one, in an array of objects, a list or a tuple."""
    if isinstance(x, Array):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.hasobject and any(isinstance(entry, Array) for entry in x.flat)
    return depth > 0 and isinstance(x, (list, tuple)) and any(
        holds_followed(entry, depth - 1) for entry in x)


# --- questions of entries -------------------------------------------------------------------------


class Streak:
    """How many questions in a row one instruction has asked."""

    __slots__ = ("place", "count", "operations")

    def __init__(self):
        self.place, self.count, self.operations = None, 0, 0

    def add(self, place: Any, operations: int) -> int:
        """Count a question; `operations` are those recorded so far."""
        more = place == self.place and operations <= self.operations + 1
        self.place, self.operations = place, operations
        self.count = self.count + 1 if more else 1
        return self.count


def refuse_entrywise(frame: FrameType, comparison: str, streak: Streak, operations: int) -> None:
    """Raise `RecordError` if the question that `frame` asks comes of a loop over objects.

    Parameters
    ----------
    frame : frame
        The frame that called ``Array.__bool__``, through compiled code perhaps.
    comparison : str
        The operation that gave the truth value.
    streak : Streak
        The questions before this one.
    operations : int
        How many operations have been recorded.
    """
    while frame.f_back is not None and frame.f_code.co_name in ("truth", "__bool__") and (
            package(frame) == "sciad"):
        frame = frame.f_back  # an outer transform's question, handed on
    if package(frame) == "sciad":
        return
    here = site(frame.f_code, frame.f_lasti)
    verdict, name = _judged(frame, here, comparison)
    if verdict is None:
        count = streak.add((id(frame), frame.f_lasti), operations)
        if count <= MOST_IN_A_ROW:
            return
        name = f"one call has asked {count} questions; if it runs over an array of objects, it"
    elif not verdict:
        return
    raise RecordError(
        f"{name} decides on each entry of an array of objects that np.array([...]) made of "
        f"followed numbers, which would compile to a branch for each{at_line()}; {PACKED}"
        if verdict else
        f"{name} would compile to a branch for each entry{at_line()}; {PACKED}; a loop of the "
        "program's own may be written with `if`")


def _judged(frame: FrameType, here: Site, comparison: str) -> tuple[bool | None, str]:
    """Whether a loop over objects runs at an instruction (None: it cannot be told), and what."""
    ours = package(frame) in _LIBRARIES
    name = _calling(frame)
    if here.opname == "CALL":
        function = callee(frame, here)
        if function is Unknown:
            return (True if ours or _over_objects(frame, here) else None), name
        return is_compiled_by(function, *_LIBRARIES), name
    if here.opname == "COMPARE_OP" and not here.truth:
        name = name if ours else f"the comparison {here.text}"
        if ours or here.text != "==" and comparison != "equal":
            return True, name  # lists and tuples ask ==, and compare the first that differ
        return (_is_array(head(frame, here.chain)) or _is_array(_named(frame, here))) or None, name
    if here.opname == "CONTAINS_OP":
        return _is_array(_named(frame, here)), "`in`"
    if here.opname.startswith("STORE_S"):
        return None, ""
    return False, ""


def _calling(frame: FrameType) -> str:
    """What the program calls, of which `frame` may be the inner end in NumPy's code."""
    inner = None
    while frame.f_back is not None and package(frame) in _LIBRARIES:
        inner, frame = frame, frame.f_back
    return called(frame, site(frame.f_code, frame.f_lasti), inner)


def called(frame: FrameType, here: Site, inner: FrameType | None) -> str:
    """The name of the function that `frame` calls; `inner` is the first frame within it."""
    function = callee(frame, here)
    if here.opname == "CALL" and here.chain and (
            len(here.chain) > 1 or function is Unknown or not hasattr(function, "__name__")):
        return spelled(here.chain)
    if isinstance(function, np.ufunc):
        return ufunc_name(function)
    if function is not Unknown:
        return f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
    if inner is None:
        return "this operation"
    known = public_name(inner)
    if known is not None:
        return known.replace("numpy", "np", 1)
    name = inner.f_code.co_name.lstrip("_")
    home = next((m.__name__ for m in (np, np.linalg, np.fft) if hasattr(m, name)), None)
    return f"{home}.{name}".replace("numpy", "np", 1) if home else "this operation"


def _over_objects(frame: FrameType, here: Site) -> bool:
    """Whether the text of an instruction names an array of objects that holds Arrays."""
    values = (lookup(frame, name) for name in here.names)
    return any(_is_array(x) and holds_followed(x) for x in values)


def _named(frame: FrameType, here: Site) -> Any:
    return Unknown if here.last is None else lookup(frame, here.last)


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.hasobject


_POLYNOMIAL = ("np.polyfit and np.roots (highest power first), or np.linalg.lstsq with the matrix "
               "of the basis, for example np.polynomial.chebyshev.chebvander(t, degree)")
_CURES = {
    "np.polynomial": _POLYNOMIAL,
    "np.nditer": "a loop over x.reshape(-1), or over np.ndindex(x.shape)",
}
"""What to write in place of functions of NumPy (or of a package) that call no protocol."""

# --- errors of NumPy and SciPy --------------------------------------------------------------------

_OF_OBJECTS = re.compile(
    r"not supported for the input types|dtype\('O'\)|object arrays? (are|is) not supported"
    r"|object dtype|dtype object|has no callable \w+ method|object has no attribute"
    r"|data type '?object'?|array type dtype\(object\)|dtype=object|dtype\[object\]"
    r"|(array|data) type not supported|unsupported data types|input type .* not supported"
    r"|(^Unsupported|not available for this) type|REFS_OK|one has to specify 'initial'"
    r"|array is read-only")
_OF_TYPE = re.compile(r"argument \d+ of type ([\w.]+)|^'([\w.]+)' object has no attribute")
_NUMBERS = ("Array", "bool", "int", "float", "complex", "numpy.dtypes.ObjectDType")
_ERRORS = (TypeError, AttributeError, ValueError, RuntimeError)
_OUTPUT = re.compile(r"output.* from dtype\('O'\)")
_UFUNC = re.compile(r"ufunc '(\w+)'")


def explained(error: BaseException | None, traceback: TracebackType | None) -> SciadError | None:
    """What an error of NumPy's or SciPy's about an array of Arrays means, or None if it is none."""
    if not isinstance(error, _ERRORS) or isinstance(error, SciadError):
        return None
    text = str(error)
    frames = steps(traceback)
    inner = _library_frames(frames)
    user = frames[len(frames) - len(inner) - 1] if len(inner) < len(frames) else None
    if user is not None and "is read-only" in text and _holds_mirror(user, inner) and (
            "shuffle" not in _operation(text, inner, user)):
        return LostGradientError(
            "np.asarray(x) of a followed x, which shares its memory, cannot be written into (at "
            f"{user[0].f_code.co_filename}:{user[2]}); copy x first, y = x.copy(), or take "
            "np.asarray and np.array of `from sciad import numpy as np`")
    about = bool(_OF_OBJECTS.search(text))
    kind = _OF_TYPE.search(text)
    if kind is not None and (kind[1] or kind[2]) not in _NUMBERS:
        about = False  # a text or None among the entries
    if user is None or not about or package(user[0]) == "sciad" or not _shown(inner, user):
        return None
    place = f" (at {user[0].f_code.co_filename}:{user[2]})"
    library = [frame for frame, _, _ in reversed(inner) if package(frame) == "scipy"]
    scipys = scipy_calls.refusal_of(library, place)
    if scipys is not None:
        return type(scipys)(f"{scipys}; {PACKED}")
    if library:
        return scipy_calls.refusal_of(library, place, floats=True)
    if _OUTPUT.search(text) and not inner:
        return LostGradientError(
            "an in-place operation would write followed numbers into a plain array"
            f"{place}; instead of `a += x` write `a = a + x`, or make a by {FILLED}")
    operation = _operation(text, inner, user)
    if "read-only" in text:
        return NoRuleError(
            f"{operation} would write into np.asarray(x) of a followed x{place}; write "
            "x[rng.permutation(len(x))], or take sciad.random.permutation(rng, x)")
    cure = next((_CURES[name] for name in _CURES if operation.startswith(name)), None)
    if cure is not None:
        return DTypeError(f"{operation} takes plain numbers only, and was given followed ones"
                          f"{place}; use {cure}")
    return DTypeError(f"{operation} takes no array of objects, and np.array([...]) of followed "
                      f"numbers is one{place}; {PACKED}")


def _library_frames(frames: list[Step]) -> list[Step]:
    """The frames of NumPy's and SciPy's code at the inner end."""
    k = len(frames)
    while k and package(frames[k - 1][0]) in _LIBRARIES:
        k -= 1
    return frames[k:]


def _holds_mirror(user: Step, inner: list[Step]) -> bool:
    """Whether a read-only array of Arrays is at hand, as ``np.asarray`` gives it."""
    frame, offset, _ = user
    here = site(frame.f_code, offset)
    values = [x for frame, _, _ in (user, *inner) for x in frame.f_locals.values()]
    values.append(head(frame, here.chain) if here.chain else None)
    return any(_is_array(x) and not x.flags.writeable and holds_followed(x) for x in values)


def _shown(inner: list[Step], user: Step) -> bool:
    """Whether an array of Arrays is at hand: in NumPy's frames, or named in the user's text."""
    if any(_is_array(x) and holds_followed(x)
           for frame, _, _ in inner for x in frame.f_locals.values()):
        return True
    frame, offset, _ = user
    here = site(frame.f_code, offset)
    if any(frame.f_locals for frame, _, _ in inner) or here.opname not in ("CALL", "BINARY_OP"):
        return False
    function = callee(frame, here)
    if function is not Unknown and not is_compiled_by(function, *_LIBRARIES):
        return False
    return any(holds_followed(lookup(frame, name)) for name in here.names)


def _operation(text: str, inner: list[Step], user: Step) -> str:
    """The name of what failed, as the user calls it where the text shows."""
    frame, offset, _ = user
    name = called(frame, site(frame.f_code, offset), inner[0][0] if inner else None)
    found = _UFUNC.search(text)
    return f"the ufunc {found[1]}" if found and name == "this operation" else name
