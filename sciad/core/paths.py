"""Paths through a program: equations between questions, and how they end.

The data that `sciad.core.explore` collects and `sciad.core.structure` turns into a graph.
"""

from typing import Any

from sciad.core.graph import Atom, Equation, Var


class Question:
    """``bool(predicate)``, and the paths of both answers."""

    __slots__ = ("predicate", "key", "paths")

    def __init__(self, predicate: Var, key: Any):
        self.predicate = predicate
        self.key = key
        self.paths = {True: Path(), False: Path()}


class Jump:
    """A path joins a known question; `mapping` says which of its values stand for which."""

    __slots__ = ("question", "mapping", "covered")

    def __init__(self, question: Question):
        self.question = question
        self.mapping: dict[Var, Atom] = {}
        self.covered: set[Path] = set()


class Return:
    __slots__ = ("atoms", "structure")

    def __init__(self, atoms, structure):
        self.atoms = atoms
        self.structure = structure


class Raise:
    __slots__ = ("exception",)

    def __init__(self, exception: Exception):
        self.exception = exception


class Path:
    """Equations from one question (or the start) to the next, or to the end."""

    __slots__ = ("equations", "end")

    def __init__(self):
        self.equations: list[Equation] = []
        self.end: Question | Jump | Return | Raise | None = None

    def ends(self) -> list[Return | Raise]:
        """The ends that the path leads to."""
        found, stack, seen = [], [self], set()
        while stack:
            path = stack.pop()
            end = path.end.question if isinstance(path.end, Jump) else path.end
            if isinstance(end, (Return, Raise)):
                found.append(end)
            if isinstance(end, Question) and end not in seen:
                seen.add(end)
                stack += [end.paths[False], end.paths[True]]
        return found


def below(path: Path) -> list[Path]:
    """`path` and the paths of the questions it leads to (jumps not followed)."""
    found, stack = [], [path]
    while stack:
        path = stack.pop()
        found.append(path)
        if isinstance(path.end, Question):
            stack += path.end.paths.values()
    return found


def census(root: Path) -> tuple[int, int]:
    """The questions below a path, and the paths that join a known one."""
    paths = below(root)
    return (sum(isinstance(path.end, Question) for path in paths),
            sum(isinstance(path.end, Jump) for path in paths))


def uncovered(jump: Jump) -> list[Path]:
    """The paths of the joined continuation, jumps followed, that no shadow run has checked."""
    return [path for question in postorder(_to(jump.question)) for path in question.paths.values()
            if path not in jump.covered]


def leading(jump: Jump) -> set[Path]:
    """The paths of the joined continuation on which one comes to a path not yet checked."""
    found: set[Path] = set()
    for question in postorder(_to(jump.question)):
        for path in question.paths.values():
            target = target_of(path)
            if path.end is not None and path not in jump.covered or isinstance(
                    target, Question) and not found.isdisjoint(target.paths.values()):
                found.add(path)
    return found


def _to(question: Question) -> Path:
    path = Path()
    path.end = question
    return path


def target_of(path: Path):
    return path.end.question if isinstance(path.end, Jump) else path.end


def postorder(root: Path, known=()) -> list[Question]:
    """The questions that `root` leads to, each after those it leads to."""
    order, seen = [], set(known)
    stack: list[tuple[Question, bool]] = []

    def push(path):
        target = target_of(path)
        if isinstance(target, Question) and target not in seen:
            stack.append((target, False))

    push(root)
    while stack:
        question, done = stack.pop()
        if done:
            order.append(question)
        elif question not in seen:
            seen.add(question)
            stack.append((question, True))
            for path in question.paths.values():
                push(path)
    return order


class Needs:
    """What each question's continuation uses of the values made before it."""

    def __init__(self):
        self.known: dict[Question, list[Var]] = {}

    def of(self, question: Question) -> list[Var]:
        """The variables, in the order of their use. The continuation must be complete."""
        if question not in self.known:
            for below_it in postorder(_to(question), self.known):
                self.known[below_it] = self._free(below_it)
        return self.known[question]

    def _free(self, question) -> list[Var]:
        free = {question.predicate: None}
        for answer in (True, False):
            free.update(dict.fromkeys(self._free_of_path(question.paths[answer])))
        return list(free)

    def _free_of_path(self, path):
        defined, used = set(), {}
        for equation in path.equations:
            used.update((x, None) for x in equation.inputs if type(x) is Var)
            defined.update(equation.outputs)
        used.update((x, None) for x in self.wanted(path) if type(x) is Var)
        return [var for var in used if var not in defined]

    def wanted(self, path) -> list[Atom]:
        """The atoms that the end of a path uses."""
        end = path.end
        if isinstance(end, Return):
            return end.atoms
        if isinstance(end, Question):
            return self.of(end)
        if isinstance(end, Jump):
            return [end.mapping.get(var, var) for var in self.of(end.question)]
        return []
