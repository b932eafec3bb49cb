"""Whether promoted numbers compute as Python's do.

Python's integers have no end, and its division by zero raises; recorded values wrap around, and
give infinity. So integers that are computed from promoted ones are followed as ranges, joined where
paths join, and must stay where floats are exact; what Python would raise is refused.
"""

from sciad.core.graph import Atom, Equation, Literal, Var
from sciad.core.paths import Jump, Path, postorder

Range = tuple[int, int]

_LARGEST = 2**53
_DIVISIONS = ("divide", "floor_divide", "remainder")
_POWERS = ("power", "square")
"""Python's raise where the result is too large."""


def unfit(root: Path, promoted: set[Var]) -> Var | None:
    """The first value that might differ from what Python computes; None if all is well."""
    if not promoted:
        return None
    values = _Values(promoted)
    found = values.follow(root)
    for question in reversed(postorder(root)):
        for path in question.paths.values():
            found = found or values.follow(path)
    return found


class _Values:
    """`own`: what Python computes from its own numbers alone; `ranges` of the integers there."""

    def __init__(self, promoted: set[Var]):
        self.own = set(promoted)
        self.ranges: dict[Var, Range] = {}

    def follow(self, path: Path) -> Var | None:
        """Along a path, whose end may join another."""
        for equation in path.equations:
            if self._concerned(equation) and not self._fits(equation):
                return equation.outputs[0]
        if isinstance(path.end, Jump):
            for var, source in path.end.mapping.items():
                self._join(var, source)
        return None

    def _concerned(self, equation: Equation) -> bool:
        return any(x in self.own for x in (*equation.inputs, *equation.outputs))

    def _fits(self, equation: Equation) -> bool:
        if any(True for _ in equation.graphs()):
            return False  # what goes on there is not followed
        if not all(x in self.own or type(x) is Literal and not x.type.shape
                   for x in equation.inputs):
            return True  # NumPy's own arithmetic
        self.own.update(equation.outputs)
        out = equation.outputs[0]
        if out.type.dtype.kind not in "iu":
            return _as_python(equation)
        found = self._range(equation) if len(equation.outputs) == 1 else None
        if found is None or not _as_python(equation):
            return False
        self._widen(out, found)
        return -_LARGEST < found[0] and found[1] < _LARGEST

    def _join(self, var: Var, source: Atom):
        if type(source) is Var and source not in self.own:
            return
        self.own.add(var)
        if var.type.dtype.kind in "iu":
            self._widen(var, self._of(source))

    def _widen(self, var: Var, found: Range):
        known = self.ranges.get(var, found)
        self.ranges[var] = min(found[0], known[0]), max(found[1], known[1])

    def _of(self, x: Atom) -> Range:
        if type(x) is Var and x.type.dtype.kind == "b":
            return 0, 1
        return (int(x.value), int(x.value)) if type(x) is Literal else self.ranges[x]

    def _range(self, equation: Equation) -> Range | None:
        if any(x.type.dtype.kind not in "iub" for x in equation.inputs):
            return None
        ends = [self._of(x) for x in equation.inputs]
        a, b = ends[0], ends[-1]
        match equation.primitive.name:
            case "stop_gradient":
                return a
            case "add":
                return a[0] + b[0], a[1] + b[1]
            case "subtract":
                return a[0] - b[1], a[1] - b[0]
            case "multiply":
                products = [x * y for x in a for y in b]
                return min(products), max(products)
            case "negative":
                return -a[1], -a[0]
            case "absolute" | "floor_divide" | "remainder":
                most = max(abs(x) for end in ends for x in end)
                return -most, most
            case "square":
                return 0, max(x * x for x in a)
        return None


def _as_python(equation: Equation) -> bool:
    """Whether Python's arithmetic would not raise, or give a complex number."""
    name = equation.primitive.name
    by = equation.inputs[-1]
    if name in _DIVISIONS:
        return type(by) is Literal and by.value != 0
    return name not in _POWERS or equation.outputs[0].type.dtype.kind in "iu"
