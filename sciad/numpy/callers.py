"""Which call in a frame is running: `calls` tells whether it is the call of a given function.

The Python frame below a function on the stack need not be what called it. Extension modules
(SciPy's, ``numpy.random``) have no frames of their own: what they call finds the frame of the
user's line ``rng.normal(size=3)`` below. So the instruction that the frame is at is read. It must
be a call, and CPython notes for each instruction the columns of its expression (PEP 657). In those
of ``np.zeros(3)`` the callee ``np.zeros`` comes first, so of the parts that begin first it is the
longest. Without columns (``python -X no_debug_ranges``) no call is recognised.
"""

import dis
from types import CodeType, FrameType
from typing import Any

_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")

_callees: dict[CodeType, dict[int, tuple[str, str]]] = {}


def calls(frame: FrameType, name: str, function: Any) -> bool:
    """Whether a frame is at a call of ``something.name``, or of a variable that is `function`."""
    known = _callees.setdefault(frame.f_code, {})
    callee = known.get(frame.f_lasti)
    if callee is None:
        callee = known[frame.f_lasti] = _callee(frame.f_code, frame.f_lasti)
    opcode, found = callee
    if opcode in _ATTRIBUTES:
        return found == name
    if opcode == "LOAD_GLOBAL":
        return frame.f_globals.get(found) is function
    if opcode.startswith("LOAD_"):
        return frame.f_locals.get(found, frame.f_globals.get(found)) is function
    return False


def _callee(code: CodeType, place: int) -> tuple[str, str]:
    """The instruction that loads what the call at `place` calls, and the name it loads; two empty
    texts where `place` is no call, or what it calls is computed in another way."""
    steps = [step for step in dis.get_instructions(code) if step.offset <= place]
    call = steps.pop()
    if not call.opname.startswith("CALL") or None in _span(call):
        return "", ""
    start, end = _span(call)[:2], _span(call)[2:]
    inside = [(*_span(step), k) for k, step in enumerate(steps)
              if step.opname != "PUSH_NULL" and None not in _span(step)
              and start <= _span(step)[:2] and _span(step)[2:] < end]
    first = min(inside, default=(0,))[:2]
    *_, k = max((span for span in inside if span[:2] == first), default=(-1,))
    while k + 1 < len(steps) and steps[k + 1].opname in _ATTRIBUTES:
        k += 1  # an attribute on a line of its own has only the columns of its name
    callee = steps[k]
    return (callee.opname, callee.argval) if k >= 0 and isinstance(callee.argval, str) else ("", "")


def _span(step: dis.Instruction) -> tuple:
    """First line and column, last line and column of the expression of an instruction."""
    p = step.positions
    return (None,) * 4 if p is None else (p.lineno, p.col_offset, p.end_lineno, p.end_col_offset)
