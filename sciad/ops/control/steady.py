"""Functions that are recorded once and run many times: do they keep state of their own?

The body of a recorded loop runs once, in Python. State that it changes from one iteration to the
next besides what it carries (a counter, a list, an iterator, a generator of random numbers) would
be frozen as it was then, and the numbers would be wrong. So

    what the function reaches is compared before and after the recording: its closure, defaults and
    bound object, the globals it names, and what these hold;
    it is recorded twice, and must do the same: that finds state nobody can look into, such as the
    time or an extension module's. Only the outermost loop does so, for all loops inside it.

Functions of sciad's own keep no state, and are looked through.
"""

import threading
from collections.abc import Callable

from sciad.core.errors import RecordError, SciadError, at_line
from sciad.core.graph import Atom, Graph, Literal
from sciad.core.reach import Reach, Unreadable
from sciad.core.record import Recorded, recording


class _Depth(threading.local):
    recording_twice = False


_depth = _Depth()


def record_steady(functions: dict[str, Callable],
                  record: Callable[[], list[Recorded]]) -> list[Recorded]:
    """``record()``, which records these functions; `RecordError` if they keep state.

    Parameters
    ----------
    functions : dict
        What the functions are called -> the functions, as the user gave them.
    record : callable
        Records them all. It is called again, to compare.
    """
    if not recording():  # what is computed eagerly runs in Python anyway
        return record()
    before = _reach(functions)
    if not before.foreign:
        return record()
    twice, _depth.recording_twice = not _depth.recording_twice, True
    try:
        recorded = record()
        _require_same(functions, before)
        if twice and not _same(recorded, record()):
            raise RecordError(f"{_named(functions)} does something else when it runs again"
                              f"{at_line()}; {_CURE}")
    except SciadError:
        raise
    except Exception as error:  # it may come of the state: an iterator that ends
        _require_same(functions, before, error)
        raise
    finally:
        if twice:
            _depth.recording_twice = False
    return recorded


_CURE = ("a recorded loop or branch runs it in Python only once, so carry what changes in the "
         "state, or call without jit")


def _reach(functions: dict[str, Callable]) -> Reach:
    try:
        return Reach(functions)
    except Unreadable as error:
        raise RecordError(f"the body of a loop reaches an iterator ({error}), of which nobody can "
                          f"tell how far it is{at_line()}; {_CURE}") from None


def _require_same(functions: dict[str, Callable], before: Reach, error=None) -> None:
    """Raise if the functions now reach something else."""
    changed = before.change(_reach(functions))
    if changed is not None:
        raise RecordError(f"{_named(functions)} changes state that it does not carry "
                          f"({changed}){at_line()}; {_CURE}") from error


def _same(first: list[Recorded], second: list[Recorded]) -> bool:
    return all(a.structure == b.structure and _same_graph(a.graph, b.graph)
               for a, b in zip(first, second, strict=True))


def _same_graph(a: Graph, b: Graph) -> bool:
    """Whether two graphs state the same (as ``==``, which prints both, in less time)."""
    if ([x.type for x in a.inputs] != [x.type for x in b.inputs]
            or len(a.equations) != len(b.equations) or len(a.outputs) != len(b.outputs)):
        return False
    names: dict[Atom, Atom] = dict(zip(a.inputs, b.inputs, strict=True))
    for one, other in zip(a.equations, b.equations, strict=True):
        if (one.primitive is not other.primitive or len(one.outputs) != len(other.outputs)
                or not _same_atoms(one.inputs, other.inputs, names)
                or not _same_params(one.params, other.params)):
            return False
        names.update(zip(one.outputs, other.outputs, strict=True))
    return _same_atoms(a.outputs, b.outputs, names)


def _same_atoms(some, others, names) -> bool:
    return len(some) == len(others) and all(
        type(y) is Literal and x.type == y.type and x.digest() == y.digest()
        if type(x) is Literal else names[x] is y for x, y in zip(some, others, strict=True))


def _same_params(some: dict, others: dict) -> bool:
    return some.keys() == others.keys() and all(
        _same_graph(x, others[key]) if type(x) is Graph and type(others[key]) is Graph
        else x == others[key] for key, x in some.items())


def _named(functions: dict[str, Callable]) -> str:
    """The user's functions, with the lines at which they begin."""
    texts = []
    for what, function in functions.items():
        user = _reach({what: function}).foreign or function
        user = getattr(user, "__func__", user)
        code = getattr(user, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        name = getattr(user, "__name__", type(user).__name__)
        texts.append(f"{what} {name}{place}")
    return " or ".join(texts)
