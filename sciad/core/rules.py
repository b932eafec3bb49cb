"""The kinds of derivative. A rule is declared beside its function, and serves both modes.

elementwise   out_i = f(x_i, y_i, ...): the partial derivatives are stated, as functions of
              (out, *args); broadcasting is undone here.
linear        real-linear in its first operand: the function is its own tangent map, the adjoint
              under Re<a, b> is stated.
multilinear   linear in each differentiated operand, the others held: one adjoint an operand.
general       both modes by hand, for the few that need it.

Rules are written in sciad operations, so that each order of derivative, both modes, both
backends and the compiler get them from the one statement.
"""

import dis
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from sciad.core.errors import NoRuleError, at_line
from sciad.core.graph import Type, shape_of, type_of
from sciad.core.patterns import DENSE, IDENTITY, ids, merged, stretched
from sciad.core.primitive import Primitive


class Tools:
    """The few operations that rules need and `sciad.ops` provides."""

    unbroadcast: Callable
    broadcast_to: Callable
    negative: Callable
    conj: Callable
    real: Callable
    zeros: Callable
    index_add: Callable
    add_in_place: Callable
    index_set: Callable
    pack: Callable
    frozen: Callable
    stack: Callable
    where: Callable
    concatenate: Callable
    vmap: Callable
    require: Callable


SAME, MINUS = "same", "minus"
"""Partial derivatives 1 and -1, which need no product."""

_VARIABLE = 0x04 | 0x08
"""The flags of code that takes ``*args`` or ``**kwargs``."""


@lru_cache(maxsize=1024)
def reads(partial: Callable | str | None) -> Callable[[int], bool]:
    """Which places of (out, *args) a partial derivative reads, told by its code."""
    if not callable(partial):
        return frozenset().__contains__
    code = getattr(partial, "__code__", None)
    if code is None or code.co_flags & _VARIABLE:
        return _everything
    names = set()
    for step in dis.get_instructions(code):
        if "FAST" in step.opname or "DEREF" in step.opname or "CLOSURE" in step.opname:
            names.update((step.argval,) if isinstance(step.argval, str) else step.argval)
    used = {k for k, name in enumerate(code.co_varnames[:code.co_argcount]) if name in names}
    return used.__contains__


def _everything(place):
    return True


def broadcast_shapes(name: str, shapes: Sequence[tuple]) -> tuple[int, ...]:
    """NumPy's broadcast shape, or an error that names the operation."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    return np.broadcast_shapes(*shapes)


class Elementwise(Primitive):
    """out_i = f(x_i, y_i, ...), with one partial derivative an operand.

    A partial is a function of (out, *args), `SAME`, `MINUS`, or None (no derivative: the
    operation is locally constant in that operand).
    """

    __slots__ = ("partials",)

    def __init__(self, name, fun, *partials):
        super().__init__(name, fun, self._shape)
        self.partials = partials

    def _shape(self, *types, **params):
        shape = broadcast_shapes(self.name, [t.shape for t in types])
        dtype, weak = _elementwise_dtype(self.fun, tuple((t.dtype, t.weak) for t in types),
                                         tuple(params.items()))
        return Type(shape, dtype, weak)

    def lighten(self, out, args):
        if type(self) is not Elementwise:
            return out, args
        used = [reads(partial) for partial in self.partials]
        return (out if any(read(0) for read in used) else None,
                [x if any(read(k) for read in used) else type_of(x)
                 for k, x in enumerate(args, 1)])

    def pattern(self, k, out, args, params):
        form = stretched(args[k], out.shape)
        if type(self) is not Elementwise:
            return form
        partial = self.partials[k]
        if not callable(partial):
            return None if partial is None else form
        moving = _moving(partial, args)
        return form if moving is None else masked(form, args[k], out, moving)

    def seen(self, args):
        if type(self) is Elementwise:
            masks = [_moving(partial, args) for partial in self.partials if callable(partial)]
            return [mask for mask in masks if mask is not None]
        return [x for x in args if isinstance(x, Type) or np.result_type(x).kind not in "fc"]

    def _times(self, k, seed, out, args):
        partial = self.partials[k]
        if partial is None:
            return None
        if partial is SAME:
            return seed
        if partial is MINUS:
            return -seed
        return seed * partial(out, *args)

    def jvp(self, k, tangent, out, args, params):
        part = self._times(k, tangent, out, args)
        if part is not None and part.shape != out.shape:
            part = Tools.broadcast_to(part, out.shape)
        return part

    def vjp(self, k, cotangent, out, args, params):
        partial = self.partials[k]
        if partial is None:
            return None
        if partial is SAME:
            part = cotangent
        elif partial is MINUS:
            part = -cotangent
        else:
            factor = partial(out, *args)
            part = cotangent * (Tools.conj(factor) if is_complex(factor) else factor)
        return _project(part, args[k])


def _moving(partial, args):
    """Where a partial derivative is not zero, if it reads known operands alone."""
    read = reads(partial)
    if read(0) or any(isinstance(x, Type) for j, x in enumerate(args, 1) if read(j)):
        return None
    with np.errstate(all="ignore"):
        return np.not_equal(partial(None, *args), 0)


def masked(form, x, out: Type, mask):
    """An elementwise form without the entries of the result where the derivative is known to be
    zero."""
    if np.all(mask):
        return form
    places = ids(x) if form is IDENTITY else form
    return np.where(np.broadcast_to(mask, out.shape), places, -1)


class Split(Elementwise):
    """Elementwise and not holomorphic: each operand states ``d/dz`` and ``d/d conj(z)``.

    `partials` are pairs of functions of (out, *args). For a real operand only their sum counts.
    """

    __slots__ = ()

    def _times(self, k, seed, out, args):
        dz, dzbar = self.partials[k]
        if args[k].dtype.kind != "c":
            return seed * (dz(out, *args) + dzbar(out, *args))
        return seed * dz(out, *args) + Tools.conj(seed) * dzbar(out, *args)

    def jvp(self, k, tangent, out, args, params):
        part = super().jvp(k, tangent, out, args, params)
        return Tools.real(part) if out.dtype.kind != "c" and is_complex(part) else part

    def vjp(self, k, cotangent, out, args, params):
        dz, dzbar = self.partials[k]
        x = args[k]
        if x.dtype.kind != "c":
            part = cotangent * Tools.conj(dz(out, *args) + dzbar(out, *args))
        else:
            part = (cotangent * Tools.conj(dz(out, *args))
                    + Tools.conj(cotangent) * dzbar(out, *args))
        return _project(part, x)


def is_complex(x) -> bool:
    """Whether a number, an array or an Array is complex."""
    dtype = getattr(x, "dtype", None)
    return isinstance(x, complex) if dtype is None else dtype.kind == "c"


def _project(cotangent, x):
    """A cotangent in the space of `x`: broadcasting undone, the real part for a real `x`."""
    if cotangent.shape != x.shape:
        cotangent = Tools.unbroadcast(cotangent, x.shape)
    if cotangent.dtype.kind == "c" and x.dtype.kind != "c":
        cotangent = Tools.real(cotangent)
    return cotangent


@lru_cache(maxsize=4096)
def _elementwise_dtype(fun, kinds, params):
    """The dtype NumPy gives, found by asking it (weak operands are Python scalars)."""
    samples = [_python_one(dtype) if weak else np.ones(1, dtype) for dtype, weak in kinds]
    if all(weak for _, weak in kinds):
        out = np.asarray(fun(*samples, **dict(params)))
        return out.dtype, out.dtype.kind in "ifc"
    with np.errstate(all="ignore"):
        return fun(*samples, **dict(params)).dtype, False


def _python_one(dtype):
    return {"b": True, "i": 1, "u": 1, "f": 1.0, "c": 1 + 0j}[dtype.kind]


class Linear(Primitive):
    """Real-linear in its first operand; `transpose(cotangent, x, **params)` is the adjoint.

    `x` is the operand's type: a linear map saves shapes, never values.
    """

    __slots__ = ("transpose",)
    routes = True
    typed = 1

    def __init__(self, name, fun, shape, transpose, pattern=DENSE):
        super().__init__(name, fun, shape, pattern=pattern)
        self.transpose = transpose

    def jvp(self, k, tangent, out, args, params):
        return self(tangent, *args[1:], **params) if k == 0 else None

    def vjp(self, k, cotangent, out, args, params):
        if k:
            raise NoRuleError(f"{self.name} has no derivative for operand {k}{at_line()}")
        return self.transpose(cotangent, *args, **params)


class Multilinear(Primitive):
    """Linear in each operand that has an adjoint, the others held.

    ``transposes[k](cotangent, *args, **params)``; None for an operand without derivative.
    A single function serves a variable number of operands: ``transposes(k, cotangent, ...)``.
    With `joint`, the map is linear in all operands together (concatenate, not matmul), and each
    entry of its result is one of theirs.
    """

    __slots__ = ("transposes", "joint")

    def __init__(self, name, fun, shape, transposes, joint=False, pattern=DENSE):
        super().__init__(name, fun, shape, pattern=pattern)
        self.transposes = transposes
        self.joint = joint

    def joint_pattern(self, parts, outs, args, params):
        if self.joint:
            return [merged(self.fun, parts, args, params)]
        return super().joint_pattern(parts, outs, args, params)

    def seen(self, args):
        return [] if self.joint else [np.not_equal(x, 0) for x in args if type(x) is not Type]

    @property
    def routes(self) -> bool:
        return self.joint

    def lighten(self, out, args):
        return None, [type_of(x) for x in args] if self.joint else args

    def jvp(self, k, tangent, out, args, params):
        if not callable(self.transposes) and self.transposes[k] is None:
            return None
        if not self.joint:
            return self(*args[:k], tangent, *args[k + 1:], **params)
        zeros = [Tools.zeros(x.shape, x.dtype, x) for x in args]
        zeros[k] = tangent
        return self(*zeros, **params)

    def joint_jvp(self, tangents, out, args, params):
        if not self.joint:
            return super().joint_jvp(tangents, out, args, params)
        full = [Tools.zeros(shape_of(x), out.dtype, out) if t is None else t
                for t, x in zip(tangents, args, strict=True)]
        return self(*full, **params)

    def vjp(self, k, cotangent, out, args, params):
        if callable(self.transposes):
            return self.transposes(k, cotangent, *args, **params)
        transpose = self.transposes[k]
        return None if transpose is None else transpose(cotangent, *args, **params)


class General(Primitive):
    """Both modes by hand: ``jvp(tangents, out, args, params)`` gives the output's tangent,
    ``vjp(cotangent, needs, out, args, params)`` a cotangent (or None) for each operand.

    For a primitive with several outputs, tangent and cotangent are tuples (None: zero).
    """

    __slots__ = ("forward_rule", "reverse_rule")

    def __init__(self, name, fun, shape, jvp, vjp, **flags):
        super().__init__(name, fun, shape, **flags)
        self.forward_rule = jvp
        self.reverse_rule = vjp

    def joint_jvp(self, tangents, out, args, params):
        return self.forward_rule(tangents, out, args, params)

    def joint_vjp(self, cotangent, needs, out, args, params):
        return self.reverse_rule(cotangent, needs, out, args, params)


class Constant(Primitive):
    """An operation whose derivative is zero wherever it exists (comparisons, floor, argmax)."""

    __slots__ = ()

    def pattern(self, k, out, args, params):
        return None

    def jvp(self, k, tangent, out, args, params):
        return None

    def vjp(self, k, cotangent, out, args, params):
        return None


class ElementwiseConstant(Elementwise):
    """Elementwise with zero derivative: comparisons, logic, sign, floor."""

    __slots__ = ()

    def pattern(self, k, out, args, params):
        return None

    def jvp(self, k, tangent, out, args, params):
        return None

    def vjp(self, k, cotangent, out, args, params):
        return None


def elementwise(name: str, fun: Callable, *partials) -> Elementwise:
    """Declare an elementwise operation with its partial derivatives (see `Elementwise`)."""
    return Elementwise(name, fun, *partials)

