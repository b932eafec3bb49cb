"""Real and imaginary parts as expressions: what the formulas of complex functions are written in.

A `Real` is a value of a graph under construction with Python's operators; a `Z` a pair of them.
Each operation on one is written out as an equation, at once evaluated if its operands are literals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sciad.core.graph import Atom, Equation, Literal, Type, Var, output_types
from sciad.core.primitive import Primitive
from sciad.ops import elementwise as e
from sciad.ops.control.values import weaken_p
from sciad.ops.shape import broadcast_p

_MOST_FOLDED = 16


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of a complex dtype; of another one itself."""
    return np.empty(0, dtype).real.dtype


def part_type(kind: Type) -> Type:
    """The type of the parts of a complex value."""
    return Type(kind.shape, real_dtype(kind.dtype), kind.weak)


def is_complex(kind: Type) -> bool:
    """Whether values of a type are pairs: complex numbers of single or double precision."""
    return kind.dtype.char in "FD"


class Writer:
    """Writes the equations that stand for one equation; knows its parameters and its type."""

    __slots__ = ("equations", "source")

    def __init__(self, equations: list[Equation], source: Equation):
        self.equations = equations
        self.source = source

    @property
    def params(self) -> dict:
        return self.source.params

    @property
    def out(self) -> Type:
        return self.source.outputs[0].type

    @property
    def dtype(self) -> np.dtype:
        """Of the parts of the result."""
        return real_dtype(self.out.dtype)

    def __call__(self, primitive: Primitive, *operands, **params) -> Any:
        """`primitive` of Reals and Python numbers: a Real, or a tuple of them."""
        atoms = [x.atom if type(x) is Real else Literal(x) for x in operands]
        types = output_types(primitive, [x.type for x in atoms], params)
        known = self._known(primitive, atoms, types, params)
        if known is not None:
            return known
        outs = [Var(t) for t in types]
        self.equations.append(Equation(primitive, atoms, outs, params, self.source.line))
        results = tuple(Real(out, self) for out in outs)
        return results if primitive.multiple else results[0]

    def _known(self, primitive, atoms, types, params):
        """What an operation on literals gives, and a selection by one."""
        if primitive is e.where and type(atoms[0]) is Literal and not atoms[0].type.shape:
            chosen = atoms[1 if atoms[0].value else 2]
            if chosen.type.shape == types[0].shape and chosen.type.dtype == types[0].dtype:
                return Real(chosen, self)
        if primitive.multiple or primitive.effect or types[0].size > _MOST_FOLDED or any(
                type(x) is not Literal for x in atoms):
            return None
        with np.errstate(all="ignore"):
            value = primitive.fun(*(_operand(x) for x in atoms), **params)
        if types[0].weak:
            return Real(Literal(np.asarray(value).item()), self)
        return Real(Literal(np.asarray(value, types[0].dtype)[()]), self)

    def real(self, x: Any) -> Real:
        return x if type(x) is Real else Real(Literal(x), self)


def _operand(atom: Literal):
    """A Python float as NumPy's, whose division by zero gives infinity."""
    return np.float64(atom.value) if type(atom.value) is float else atom.value


class Real:
    """A real value of the graph that a `Writer` writes."""

    __slots__ = ("atom", "to")

    def __init__(self, atom: Atom, to: Writer):
        self.atom = atom
        self.to = to

    @property
    def type(self) -> Type:
        return self.atom.type

    @property
    def single(self) -> bool:
        """Whether it has single precision."""
        return self.type.dtype == np.float32

    def eq(self, y) -> Real:
        return self.to(e.equal, self, y)

    def ne(self, y) -> Real:
        return self.to(e.not_equal, self, y)


def _operators():
    """Python's operators on Reals."""
    for name, primitive in (("add", e.add), ("sub", e.subtract), ("mul", e.multiply),
                            ("truediv", e.divide), ("lt", e.less), ("le", e.less_equal),
                            ("gt", e.greater), ("ge", e.greater_equal), ("and", e.logical_and),
                            ("or", e.logical_or)):
        setattr(Real, f"__{name}__", lambda x, y, p=primitive: x.to(p, x, y))
        setattr(Real, f"__r{name}__", lambda y, x, p=primitive: y.to(p, x, y))
    for name, primitive in (("neg", e.negative), ("abs", e.absolute), ("invert", e.logical_not)):
        setattr(Real, f"__{name}__", lambda x, p=primitive: x.to(p, x))


_operators()


class Z(NamedTuple):
    """A complex value by its parts."""

    re: Any
    im: Any

    def map(self, f: Callable) -> Z:
        return Z(f(self.re), f(self.im))


Value = Real | Z


def apply(primitive: Primitive, *xs, **params) -> Any:
    """`primitive` of Reals and numbers, written where the first Real is."""
    to = next(x.to for x in xs if type(x) is Real)
    return to(primitive, *xs, **params)


def where(condition, x, y):
    """Selection, of both parts of complex values."""
    if isinstance(x, Z):
        return Z(where(condition, x.re, y.re), where(condition, x.im, y.im))
    return apply(e.where, condition, x, y)


# --- changes of type ------------------------------------------------------------------------------


def cast(x: Real, dtype: np.dtype) -> Real:
    """A real value in another dtype; one that adapts to its partners goes on doing so."""
    kind = x.type
    if kind.dtype == dtype or kind.weak and kind.dtype.kind == "f":
        return x
    if kind.weak and type(x.atom) is Literal:
        return Real(Literal(float(x.atom.value)), x.to)
    changed = x.to(e.astype, x, dtype=np.dtype(np.float64) if kind.weak else dtype)
    return x.to(weaken_p, changed) if kind.weak else changed


def as_complex(to: Writer, x: Value, dtype: np.dtype) -> Z:
    """A value by parts of a dtype; the imaginary part of a real one is a zero without shape."""
    if isinstance(x, Z):
        return Z(cast(x.re, dtype), cast(x.im, dtype))
    return Z(cast(x, dtype), to.real(0.0))


def settled(x: Real, kind: Type) -> Real:
    """A value in exactly this type."""
    if x.type.shape != kind.shape:
        x = x.to(broadcast_p, x, shape=kind.shape)
    if x.type.dtype != kind.dtype or x.type.weak and not kind.weak:
        x = x.to(e.astype, x, dtype=kind.dtype)
    return x.to(weaken_p, x) if kind.weak and not x.type.weak else x


def parts_of_literal(to: Writer, atom: Literal) -> Z:
    value = atom.value
    if not isinstance(value, np.ndarray):
        return Z(Real(Literal(value.real), to), Real(Literal(value.imag), to))
    parts = (np.asarray(x, order="C") for x in (value.real, value.imag))
    return Z(*(Real(Literal(part), to) for part in parts))
