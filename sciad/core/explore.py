"""Exploring Python branches: one function, run once for each answer to its questions.

``bool(x)`` of a recorded value is a *question*. The function runs on with the answer yes; the
answer no is run later, by replaying the function up to the question. A tree of runs would grow
exponentially in the number of ifs, so runs *join*: a question is known by the user frames' code
and offsets, the untraced state reachable from their locals, and how often the run was there (or
how many turns of a loop it has made). A run that comes to a known question does not explore it
again; it goes through the known continuation as a *shadow*, checking operation by operation that it
would record the same, and learning which of its values stand for which of the first run's. Every
path of the known continuation is checked so before the join is kept. A continuation that differs
anywhere is explored separately. Python numbers that differ from path to path are no state but
values, where there are many paths (`sciad.core.promotion`).

Seven sequential ifs take some 15 runs rather than 128.
"""

import dis
import sys
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NamedTuple

from sciad.core import tree
from sciad.core.array import Array, Objects, current, is_recorded
from sciad.core.call_sites import raised_on_purpose
from sciad.core.errors import (
    ImpureError,
    RecordError,
    SciadError,
    UntoldError,
    at_line,
    is_internal,
    raised_at,
    user_place,
)
from sciad.core.exactness import unfit
from sciad.core.fingerprint import fingerprint
from sciad.core.graph import Atom, Equation, Literal, Var, output_types
from sciad.core.memory_order import ordered
from sciad.core.paths import Jump, Needs, Path, Question, Raise, Return, below, leading, uncovered
from sciad.core.primitive import Primitive
from sciad.core.promotion import Name, Promotions, Restart

MOST_OPERATIONS = 100_000
"""Recorded operations of one function. Replays may run twice as many, and ten times what is
recorded so far: some seconds, after which a loop without an end is given up."""

MOST_QUESTIONS = 1000
"""Branches on one way through the function."""

DEEPEST_RECURSION = 64
"""Calls of one function inside one another, each of which may ask; a recursion whose end depends
on a value has no end here."""


_ENDLESS = ("a recursion whose end depends on a value; write it with sciad.while_loop, or pass "
            "what ends it as an int")


_CALL, _PRECALL = dis.opmap.get("CALL"), dis.opmap.get("PRECALL")


def _offset(frame: FrameType) -> int:
    """Where a frame is. Python 3.11 calls at the instruction CALL, or once it has made the code
    faster at PRECALL, two places before; which of them must not matter."""
    place = frame.f_lasti
    if _PRECALL is not None and place >= 4:
        code = frame.f_code.co_code
        if code[place] == _CALL and code[place - 4] == _PRECALL:
            return place - 4
    return place


class _Differs(BaseException):
    """A shadow run would record something else than the known continuation."""


_RAISE = dis.opmap["RAISE_VARARGS"]


def _of_the_program(exception: BaseException) -> bool:
    """Whether the program raises this itself; Ctrl-C strikes from outside."""
    if isinstance(exception, (Exception, SystemExit)):
        return True
    trace = exception.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (not isinstance(exception, (_Differs, Restart)) and trace is not None
            and trace.tb_frame.f_code.co_code[trace.tb_lasti] == _RAISE)


class Key(NamedTuple):
    """What a question is known by: the place in the program, the untraced state, and how often the
    run was in this state there, an int (or, in a tuple, how many turns of a loop it has made).

    The last only tells which of several questions to try. What else is hidden, how far an iterator
    is, say, shows in what a shadow records on its ways to the end."""

    place: tuple
    state: tuple
    visit: Any


class Explorer:
    """Runs a function until each question has both answers."""

    def __init__(self, integers=(), repeats=False):
        self.countable: set[Var] = set(integers)
        self.repeats, self.guards = repeats, False
        self.promotions = Promotions()
        self.consts: list[Any] = []
        self.const_vars: list[Var] = []
        self.runs, self.objects = 0, Objects.made
        self._begin()

    def _begin(self):
        self.root = Path()
        self.needs = Needs()
        self.known: dict[Any, Question] = {}
        self.refused: set[tuple[Path, Question]] = set()
        self.pending: list[tuple[list[bool], Jump | None]] = [([], None)]
        self.recorded = self.processed = 0
        self.begun = self.runs
        self.inner: list[tuple[int, int, int]] = []
        self.promotions.forget()

    # --- runs -------------------------------------------------------------------------------

    def explore(self, run: Callable) -> Path:
        """Run until nothing is pending; `run` returns the result's atoms and structure. Begin anew
        where other variables are promoted (see `sciad.core.promotion`)."""
        while True:
            try:
                self._explore(run)
                unlike = unfit(self.root, set(self.promotions.made))
                if unlike is None:
                    return self.root
                self.promotions.give_up(self._promoted_in([unlike]))
            except Restart:
                pass
            except Exception as error:
                asked = [var for x in getattr(error, "asked", ()) for var in _variables(x)]
                if not self.promotions.give_up(self._promoted_in(asked)):
                    raise
            self._begin()

    def _explore(self, run):
        while self.pending:
            script, jump = self.pending.pop()
            try:
                self._run(run, script, jump)
            except _Differs:
                self.refused.add((self.joining, self.shadow.question))
                self.joining.end = None
                self.pending.append((self.script, None))

    def verify(self, run: Callable) -> None:
        """Run the first path again; raise `RecordError` if the function does something else."""
        script, path = [], self.root
        while isinstance(path.end, Question):
            script.append(True)
            path = path.end.paths[True]
        before = path.end
        self._run(run, script, None)
        if isinstance(before, Return) and not _same_return(before, self.last):
            raise ImpureError("the function is not pure: run again, it returned something else")

    def _run(self, run, script, jump):
        self.runs += 1
        self.script, self.asked = script, 0
        self.path, self.cursor = self.root, 0
        self.shadow: _Shadow | None = None
        self.verifying = jump
        self.visits: Counter[Any] = Counter()
        self.turns: Counter[Any] = Counter()
        self.passed: set[Question] = set()
        self.base = sys._getframe(1)
        try:
            end = Return(*run())
        except UntoldError as error:
            end = self._untold(error)
        except SciadError:
            raise
        except RecursionError:
            raise RecordError(_ENDLESS + at_line()) from None
        except BaseException as exception:
            if not self.asked or not _of_the_program(exception):
                raise
            if self.promotions.names and not raised_on_purpose(exception):
                raise
            end = Raise(exception)
            if _tells_a_value(exception):
                end = self._untold(UntoldError(
                    f"a branch raises and tells a value{raised_at(exception)}"))
        self.last = end
        self._finish(end)

    def _untold(self, error) -> Raise:
        """A branch that raises, and tells a value: the end of a path where calls are repeated."""
        if not (self.asked and self.repeats):
            raise error
        return Raise(error)

    def _finish(self, end):
        if self.shadow is not None:
            self.shadow.finish(end)
            jump = self.shadow.jump
            self.joining.end = jump
            if not uncovered(jump):
                if any(var not in jump.mapping for var in self.needs.of(jump.question)):
                    raise _Differs  # a value that no check has seen may differ
                return
            self.pending.append((self.script, jump))
        elif self.path.end is None:
            self.path.end = end

    def origins(self, wanted: Var) -> dict[Var, Equation | None]:
        """The variables that `wanted` is computed from, with the equations that give them."""
        made = {out: equation for path in below(self.root) for equation in path.equations
                for out in equation.outputs}
        waiting, seen = [wanted], {wanted}
        while waiting:
            equation = made.get(waiting.pop())
            new = {x for x in equation.inputs if type(x) is Var} - seen if equation else set()
            seen |= new
            waiting += new
        return {var: made.get(var) for var in seen}

    def _promoted_in(self, wanted) -> set[Name]:
        """The promoted variables of the program that values are computed from."""
        made = self.promotions.made
        return {made[var] for x in wanted for var in self.origins(x) if var in made}

    # --- operations -------------------------------------------------------------------------

    def lift(self, x: Array) -> Var:
        """An outer value as an input of the graph."""
        for var, known in zip(self.const_vars, self.consts, strict=True):
            if (known._interp is x._interp and known._node is x._node
                    and known._value is x._value):
                return var
        var = Var(_outer_type(x))
        self.consts.append(Array(x._value, x._interp, x._node))  # the program may write into x
        self.const_vars.append(var)
        return var

    def step(self, primitive: Primitive, inputs: tuple[Atom, ...], params: dict):
        """One operation: replayed, shadowed or recorded. Returns the output variables."""
        self.processed += 1
        if self.processed > 2 * MOST_OPERATIONS + 10 * self.recorded:
            raise RecordError("recording the branches of this function takes more than "
                              f"{self.processed - 1} operations{at_line()}; use np.where or "
                              "sciad.cond in place of an `if` in a `for`, and sciad.while_loop if "
                              f"the end of a loop depends on a value{self._entrywise()}")
        if self.shadow is not None:
            return self.shadow.step(primitive, inputs, params)
        equations = self.path.equations
        if self.cursor < len(equations):
            equation = equations[self.cursor]
            if not _same_step(equation, primitive, inputs, params, self.const_vars):
                _check_types(primitive, inputs, params)
                raise ImpureError(
                    f"the function is not pure: run again, it does {primitive} where it did "
                    f"{equation.primitive} ({equation.where}){at_line()}")
            self.cursor += 1
            return equation.outputs
        return self._record(primitive, inputs, params)

    def _record(self, primitive, inputs, params):
        if self.path.end is not None:
            _check_types(primitive, inputs, params)
            raise ImpureError(f"the function is not pure: run again, it goes on with {primitive} "
                              f"where it ended{at_line()}")
        self.recorded += 1
        if self.recorded > MOST_OPERATIONS:
            branches = self.runs - self.begun > 1
            raise RecordError(
                f"more than {MOST_OPERATIONS} operations recorded{at_line()}; use sciad.scan, "
                "sciad.fori_loop or sciad.while_loop for long loops"
                f"{', np.where for an `if` in a `for`' if branches else ''}{self._entrywise()}")
        outputs = [Var(t, ordered(primitive, inputs, params, t))
                   for t in output_types(primitive, [x.type for x in inputs], params)]
        self.path.equations.append(Equation(primitive, inputs, outputs, params, user_place()))
        variables = [x for x in inputs if type(x) is Var]
        if self.countable and variables and self.countable.issuperset(variables):
            self.countable.update(outputs)
        self.cursor += 1
        return outputs

    def _entrywise(self) -> str:
        """What there is to say of arrays of objects, if NumPy made any in this recording."""
        if Objects.made == self.objects:
            return ""
        return ("; np.array or np.asarray of followed values gave an array of objects, of which "
                "NumPy computes each entry by itself: take np from `from sciad import numpy as np`")

    # --- questions --------------------------------------------------------------------------

    def ask(self, predicate: Var, hold: Callable) -> bool:
        """The answer that this run takes; `hold` makes a recorded value of a number."""
        if predicate in self.countable:
            raise RecordError(f"a branch on an integer argument{at_line()}")
        if self.asked >= MOST_QUESTIONS:
            raise RecordError(f"more than {MOST_QUESTIONS} branches in a row{at_line()}: if the "
                              "end of a loop depends on a value, use sciad.while_loop")
        if self.promotions.names:
            self.promotions.replace(self._frames(), hold)
        question = key = None
        if self.shadow is None:
            question = self._replayed(predicate)
        if question is None:
            key = self._identify()
            if self.shadow is None:
                question = self._new_question(predicate, key)
        if question is None:
            self.asked += 1
            return self.shadow.ask(predicate, key)
        if self.asked < len(self.script):
            answer = self.script[self.asked]
        else:
            answer = True
            self.pending.append(([*self.script, False], None))
            self.script = [*self.script, True]
        self.asked += 1
        self.passed.add(question)
        self.path, self.cursor = question.paths[answer], 0
        return answer

    def _visit(self, place):
        codes = tuple(code for code, _ in place)
        self.visits[place] += 1
        self.turns[codes] = max(self.turns[codes], self.visits[place])

    def _new_question(self, predicate, key) -> Question | None:
        for name in (key, key._replace(visit=(self._turn(key),))):
            known = self.known.get(name)
            if known is not None and known not in self.passed and (
                    (self.path, known) not in self.refused):
                self._start_shadow(Jump(known))
                return None
        self.promotions.compare((key.place, self.visits[key.place]), self._frames(),
                                self.runs - self.begun)
        question = Question(predicate, key)
        self.known.setdefault(key, question)
        self.known.setdefault(key._replace(visit=(self._turn(key),)), question)
        self.path.end = question
        return question

    def _turn(self, key) -> int:
        """How often the run was at that place of the same functions where it was most often: in a
        loop that asks in each turn, the number of turns."""
        codes = tuple(code for code, _ in key.place)
        return max(count for codes_there, count in self.turns.items() if codes_there == codes)

    def _replayed(self, predicate) -> Question | None:
        """The question that an earlier run asked here, if it stays on its own path."""
        end = self.path.end
        if self.cursor == len(self.path.equations):
            if end is None:
                return None
            if isinstance(end, Jump) and end is self.verifying:
                self._start_shadow(end)
                return None
            if isinstance(end, Question) and end.predicate is predicate:
                self._visit(end.key.place)
                self.visits[end.key[:2]] = end.key.visit
                return end
        raise ImpureError("the function is not pure: run again, it takes another branch"
                          + at_line())

    def _start_shadow(self, jump):
        self.joining = self.path
        self.shadow = _Shadow(jump)

    def _frames(self) -> list[FrameType]:
        """The frames of the program that are running, innermost first."""
        frames = []
        depth: Counter[CodeType] = Counter()
        frame = sys._getframe(2)
        while frame is not None and frame is not self.base:
            if not is_internal(frame):
                depth[frame.f_code] += 1
                if depth[frame.f_code] > DEEPEST_RECURSION:
                    raise RecordError(_ENDLESS + at_line())
                frames.append(frame)
            frame = frame.f_back
        return frames

    def _identify(self) -> "Key":
        """What the present question is known by (see the head of this file)."""
        frames, seen = self._frames(), {}
        place = tuple((frame.f_code, _offset(frame)) for frame in frames)
        state = tuple(fingerprint(frame.f_locals, seen) for frame in frames)
        self._visit(place)
        self.visits[place, state] += 1
        return Key(place, state, self.visits[place, state])


class _Shadow:
    """A run through a known continuation.

    `present` maps the known run's variables to this run's; `origin` names, for a variable that a
    jump on the way has renamed, the one to learn about.
    """

    def __init__(self, jump: Jump):
        self.jump = jump
        self.question = jump.question
        self.present: dict[Var, Atom] = dict(jump.mapping)
        self.origin: dict[Var, Var] = {}
        self.local: set[Var] = set()
        self.path: Path | None = None
        self.next: Question | None = jump.question
        self.leading = leading(jump)
        self.cursor = 0

    def match(self, known: Atom, mine: Atom):
        """`mine` stands where the known run had `known`."""
        if type(known) is Literal or type(mine) is Literal:
            if not _same_atom(known, mine):
                raise _Differs
        elif known in self.present:
            if self.present[known] is not mine:
                raise _Differs
        elif known.type != mine.type:
            raise _Differs
        else:
            self.present[known] = mine
            first = self.origin.get(known, known)
            if self.jump.mapping.setdefault(first, mine) is not mine:
                raise _Differs

    def step(self, primitive, inputs, params):
        if self.path is None or self.cursor >= len(self.path.equations):
            raise _Differs
        equation = self.path.equations[self.cursor]
        if (equation.primitive is not primitive or len(inputs) != len(equation.inputs)
                or equation.params != params):
            raise _Differs
        for known, mine in zip(equation.inputs, inputs, strict=True):
            self.match(known, mine)
        outputs = [Var(out.type, out.ordered) for out in equation.outputs]
        self.present.update(zip(equation.outputs, outputs, strict=True))
        self.cursor += 1
        return outputs

    def ask(self, predicate, key):
        question = self.next or self._arrive()
        self.next = None
        if question.key[:2] != key[:2]:
            raise _Differs
        self.match(question.predicate, predicate)
        answer = self._choose(question)
        self.path, self.cursor = question.paths[answer], 0
        self.jump.covered.add(self.path)
        return answer

    def _arrive(self) -> Question:
        """The question at the end of the present path; a jump renames on the way."""
        if self.cursor != len(self.path.equations):
            raise _Differs
        end = self.path.end
        if isinstance(end, Jump):
            self._rename(end.mapping)
            return end.question
        if isinstance(end, Question):
            return end
        raise _Differs

    def _rename(self, mapping):
        present, origin = dict(self.present), dict(self.origin)
        for var, source in mapping.items():
            present.pop(var, None)
            if type(source) is Literal:
                present[var] = source
            elif source in self.present:
                present[var] = self.present[source]
            else:
                origin[var] = self.origin.get(source, source)
        self.present, self.origin = present, origin

    def _choose(self, question) -> bool:
        """A path not yet checked; else the way to one; else any."""
        covered, paths = self.jump.covered, question.paths
        for answer in (True, False):
            if paths[answer].end is not None and paths[answer] not in covered:
                return answer
        for answer in (True, False):
            if paths[answer] in self.leading:
                return answer
        return paths[True].end is not None

    def finish(self, end):
        known = self.path.end if self.path is not None else None
        if self.path is None or self.cursor != len(self.path.equations):
            raise _Differs
        if isinstance(known, Return) and isinstance(end, Return):
            if known.structure != end.structure or len(known.atoms) != len(end.atoms):
                raise _Differs
            for theirs, mine in zip(known.atoms, end.atoms, strict=True):
                self.match(theirs, mine)
        elif not (isinstance(known, Raise) and isinstance(end, Raise)
                  and type(known.exception) is type(end.exception)
                  and known.exception.args == end.exception.args):
            raise _Differs


def _variables(x: Any) -> list[Var]:
    """The variables that an Array stands for, at every level."""
    found = []
    while type(x) is Array:
        found += [x._node] if type(x._node) is Var else []
        x = x._value
    return found


def _tells_a_value(exception: Exception) -> bool:
    """Whether an exception holds values without data."""
    held = tree.flatten((exception.args, vars(exception)))[0]
    return any(isinstance(x, Array) and is_recorded(x, ended=True) for x in held)


def _check_types(primitive, inputs, params) -> None:
    """Raise what the operation raised when it was met first, and the program caught."""
    output_types(primitive, [x.type for x in inputs], params)


def _outer_type(x: Array):
    from_value = current(x)._value
    while type(from_value) is Array:
        from_value = current(from_value)._value
    if hasattr(from_value, "weak"):
        return from_value
    return Literal(from_value).type


def _same_return(a: Return, b: Any) -> bool:
    return isinstance(b, Return) and a.structure == b.structure and all(
        _same_atom(x, y) for x, y in zip(a.atoms, b.atoms, strict=True))


def _same_atom(a: Atom, b: Atom) -> bool:
    if a is b:
        return True
    if type(a) is Literal and type(b) is Literal:
        return a.type == b.type and a.digest() == b.digest()
    return False


def _same_step(equation, primitive, inputs, params, consts) -> bool:
    return (equation.primitive is primitive and len(inputs) == len(equation.inputs)
            and all(_same_atom(a, b) or (a in consts and b in consts and a.type == b.type)
                    for a, b in zip(equation.inputs, inputs, strict=True))
            and equation.params == params)
