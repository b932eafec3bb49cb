"""custom_rule: a function whose derivative is stated by hand.

A rule is either of two linear maps, the tangent map (jvp) or its adjoint (vjp). Given one, the
other is its transpose, and reverse mode transposes linear maps: with ``dy = J dx`` written in
sciad operations, the cotangent of dx through that line is ``J^T g``.

    jvp only:    J^T g  is the pullback of  dx -> jvp(x, dx)  at g
    vjp only:    J dx   is the pullback of  g -> vjp(x, g)    at dx
"""

import functools
import inspect
import threading
import types
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from sciad.core import tree
from sciad.core.arguments import fitted_leaves, fitting, is_number, packed
from sciad.core.array import Array, has_data, is_plain, plain, unwrap_plain
from sciad.core.backend import asnumpy, has_memory
from sciad.core.checking import check_grads
from sciad.core.checkpoint import lent
from sciad.core.derivatives import out_types, values_of
from sciad.core.errors import (
    ArgumentError,
    DerivativeError,
    DTypeError,
    LostGradientError,
    NoRuleError,
    RecordError,
    SciadError,
    at_line,
)
from sciad.core.graph import Graph, Var, type_of
from sciad.core.patterns import DENSE, through, union
from sciad.core.primitive import active, bind
from sciad.core.reach import Reach
from sciad.core.record import record_leaves, recording
from sciad.core.reverse import Reverse
from sciad.core.rules import General, Tools
from sciad.core.sparsity import propagate
from sciad.core.transformed import name_in_module
from sciad.core.transforms import vjp_unstaged


def custom_rule(f: Callable | None = None, *, jvp: Callable | None = None,
                vjp: Callable | None = None) -> Any:
    """A function with its derivative stated by hand.

    Parameters
    ----------
    f : callable
        Any containers in and out. Inside transforms it is called with plain arrays, so it may
        call any library. Under `jit` it is recorded; what cannot be is called with plain arrays
        there too, once with ones to learn the shapes of its results. It must not write into its
        arguments, and whatever it depends on differentiably must be an argument.
    jvp : callable, optional
        ``jvp(primals, tangents) -> (out, tangent)``, tuples of one entry a parameter of `f`.
    vjp : callable, optional
        ``vjp(*primals) -> (out, pullback)``; ``pullback(cotangent)`` gives the cotangents, one a
        parameter (None: zero).

    Returns
    -------
    CustomRule
        Called as `f`. Its methods ``jvp`` and ``vjp`` set the rules, as decorators; ``check``
        compares them with differences. Of the two rules one is enough, and the other is its
        transpose, if it is written in NumPy and sciad operations. So it must be for higher
        derivatives, and for derivatives to be compiled: `f` may call other code under `jit`, such
        as SciPy's or ``float``, a rule may not. Parameters with defaults are among those of the
        rules. Entries that are not floats have tangent and cotangent None. Results are arrays of
        their own.

    Raises
    ------
    NoRuleError
        On differentiating it with neither rule.
    LostGradientError
        If `f` depends on a differentiated value that is not an argument.

    Examples
    --------
    >>> import numpy as np
    >>> import sciad
    >>> @sciad.custom_rule
    ... def log1pexp(x):
    ...     return np.logaddexp(0.0, x)
    >>> @log1pexp.vjp
    ... def pulled(x):
    ...     return log1pexp(x), lambda g: g / (1 + np.exp(-x))
    >>> float(sciad.grad(log1pexp)(0.0)), float(sciad.jvp(log1pexp, (0.0,), (2.0,))[1])
    (0.5, 1.0)
    >>> log1pexp.check(0.3)
    """
    if f is None:
        return functools.partial(custom_rule, jvp=jvp, vjp=vjp)
    return CustomRule(f, jvp, vjp)


class CustomRule:
    """A function that carries its derivative; made by `custom_rule`."""

    def __init__(self, f: Callable, jvp: Callable | None, vjp: Callable | None):
        for rule in (f, jvp, vjp):
            if rule is not None and not callable(rule):
                raise ArgumentError(f"custom_rule takes functions, got a {type(rule).__name__}"
                                    f"{at_line()}")
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.jvp_rule = jvp
        self.vjp_rule = vjp

    def __repr__(self):
        rules = [name for name in ("jvp", "vjp") if getattr(self, f"{name}_rule")]
        return f"<custom_rule {self.name}: {' and '.join(rules) or 'no rule yet'}>"

    def __reduce__(self):
        return name_in_module(self) or (CustomRule, (self.f, self.jvp_rule, self.vjp_rule))

    def __copy__(self):
        return CustomRule(self.f, self.jvp_rule, self.vjp_rule)

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    @property
    def name(self) -> str:
        return getattr(self.f, "__name__", type(self.f).__name__)

    def jvp(self, rule: Callable) -> Callable:
        """Set the tangent map, ``rule(primals, tangents) -> (out, tangent)``."""
        self.jvp_rule = rule
        return rule

    def vjp(self, rule: Callable) -> Callable:
        """Set the pullback, ``rule(*primals) -> (out, pullback)``."""
        self.vjp_rule = rule
        return rule

    def check(self, *args: Any, order: int = 1, **tolerances: Any) -> None:
        """Compare the rules' values with the function's, and both modes with central differences,
        at `args`; see `sciad.check_grads`."""
        args = self._positional(args, {})
        call = _Call(self, args)
        value = self.f(*args)
        for name, out in call.values_of_rules(args):
            _require_same_value(self.name, name, out, value)
        check_grads(self, args, order=order, **tolerances)

    def __call__(self, *args, **kwargs):
        if not active():
            return self.f(*args, **kwargs)
        call = _Call(self, self._positional(args, kwargs))
        return call.recorded() if recording() else call.eager()

    def _positional(self, args, kwargs):
        """All arguments by position: that is how rules receive them."""
        if not kwargs and not isinstance(self.f, (types.FunctionType, types.MethodType)):
            return args
        try:
            signature = inspect.signature(self.f)
        except ValueError as error:  # a function of C tells no signature
            raise ArgumentError(f"custom_rule: {self.name} has no signature; pass its arguments "
                                f"by position{at_line()}") from error
        only = [name for name in kwargs if name in signature.parameters
                and signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY]
        if only:
            raise ArgumentError(f"custom_rule: {self.name} has keyword-only parameters {only}"
                                f"{at_line()}; rules take all parameters by position")
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.args


def _require_same_value(name, rule, out, value):
    leaves, structure = tree.flatten(value)
    given = fitted_leaves(structure, out, f"custom_rule {name}", f"value of the {rule} rule")
    for got, want in zip(given, leaves, strict=True):
        if is_number(want) and not (np.shape(got) == np.shape(want) and np.allclose(
                asnumpy(got), asnumpy(want), rtol=1e-6, atol=1e-10, equal_nan=True)):
            raise DerivativeError(f"custom_rule: the {rule} rule of {name} says that the value is "
                                  f"{got}, the function gives {want}")


class _Call:
    """One call: which leaves of its arguments and results are numbers, and the rule.

    Attributes
    ----------
    pullback : callable or None
        Of the run with plain values, if that was for reverse mode.
    handles : list of Array
        Recorded values that the rules reach besides their arguments; lent what they then stand
        for when a rule runs.
    """

    def __init__(self, rule: CustomRule, args: tuple):
        self.rule = rule
        self.count = len(args)
        leaves, self.structure = tree.flatten(tuple(args))
        self.leaves = [packed(x) for x in leaves]
        self.places = [k for k, x in enumerate(self.leaves) if is_number(x)]
        self.pullback: Callable | None = None
        self.key = ""

    def identify(self):
        """Set what tells this call from others in the text of a graph, and the followed values
        that the rules reach besides their arguments."""
        rest = [x for k, x in enumerate(self.leaves) if k not in self.places]
        rules = {"jvp": self.rule.jvp_rule, "vjp": self.rule.vjp_rule, "rest": rest}
        self.handles = [x for x in Reach(rules, identity=False).followed if not is_plain(x)]
        whole = Reach({"f": self.rule.f, **rules, "of": str(self.structure)}, identity=False)
        self.key = whole.digest()

    def __eq__(self, other):
        return self is other or isinstance(other, _Call) and self.key == other.key != ""

    def __hash__(self):
        return hash(self.key)

    # --- the function itself ---------------------------------------------------------------------

    def eager(self):
        operands = tuple(self.leaves[k] for k in self.places)
        followed = any(type(x) is Array and not is_plain(x) for x in operands)
        reverse = any(type(interp) is Reverse for interp in active())
        outs = bind(custom_p, operands, {"call": self, "keep": followed and reverse})
        return self.result(outs)

    def value(self, *values, keep):
        """The function on plain values; for reverse mode, its pullback too."""
        values = [x.copy() if has_memory(x) else x for x in values]
        before = [x.copy() if has_memory(x) else x for x in values]
        primals = self.primals(values)
        if keep and self.rule.vjp_rule is not None:
            out, self.pullback = self.pair(self.rule.vjp_rule(*primals), "vjp", "(out, pullback)")
        else:
            out = self.rule.f(*primals)
        self.require_unwritten(before, values)
        return self.flat_outs(out)

    def require_unwritten(self, before, after):
        for old, new in zip(before, after, strict=True):
            if has_memory(old) and not bool(np.all((old == new) | (old != old))):
                raise SciadError(f"custom_rule: {self.rule.name} writes into its argument of shape "
                                 f"{old.shape}{at_line()}; let it copy the argument first")

    def flat_outs(self, out):
        leaves, self.out_structure = tree.flatten(out)
        self.out_leaves = [unwrap_plain(packed(x)) for x in leaves]
        self.out_places = [k for k, x in enumerate(self.out_leaves) if is_number(x)]
        outs = [self.out_leaves[k] for k in self.out_places]
        if any(type(x) is Array for x in outs):
            raise self.closes_over()
        return tuple(x if hasattr(x, "dtype") else np.asarray(x)[()] for x in outs)

    def closes_over(self):
        return LostGradientError(
            f"custom_rule: {self.rule.name} depends on a differentiated value that is not among "
            f"its arguments{at_line()}; pass it as an argument, or take sciad.stop_gradient of it")

    def result(self, outs):
        leaves = list(self.out_leaves)
        for k, out in zip(self.out_places, outs, strict=True):
            leaves[k] = out
        return tree.unflatten(self.out_structure, leaves)

    def recorded(self):
        """The call as an equation that holds the graph of the function."""
        self.places = [k for k in self.places if type(self.leaves[k]) is Array]
        self.identify()
        operands = [self.leaves[k] for k in self.places]
        try:
            recorded = record_leaves(lambda *xs: (self.rule.f(*self.primals(xs)), list(xs)),
                                     [type_of(x) for x in operands])
        except (RecordError, LostGradientError, NoRuleError, DTypeError) as error:
            return self.called_back(operands, error)
        graph, consts = recorded.graph, recorded.consts
        own = graph.inputs[len(consts):]
        ends = graph.outputs[len(graph.outputs) - len(own):]
        if any(end is not start for start, end in zip(own, ends, strict=True)):
            raise SciadError(f"custom_rule: {self.rule.name} writes into its argument{at_line()}; "
                             "let it copy the argument first")
        spare = [Var(type_of(x)) for x in self.handles]
        graph = Graph([*graph.inputs[:len(consts)], *spare, *own], graph.equations,
                      graph.outputs[:len(graph.outputs) - len(own)])
        outs = bind(recorded_p, (*consts, *self.handles, *operands),
                    {"graph": graph, "call": self, "consts": len(consts) + len(spare)})
        out, _ = tree.unflatten(recorded.structure, [*outs, *operands])
        self.out_leaves, self.out_structure = tree.flatten(out)
        self.out_places = list(range(len(outs)))
        return out

    def called_back(self, operands, reason):
        """The call as an operation that runs the function on plain arrays when it is evaluated."""
        try:
            ones = [np.ones(x.shape, x.dtype)[()] for x in operands]
            outs = self.value(*ones, keep=False)
        except Exception as error:  # the function's own, of arguments that it was not written for
            raise RecordError(f"custom_rule: the code of {self.rule.name} cannot be recorded "
                              f"({reason}), and called with ones it raised {error!r}; what calls "
                              "it runs eagerly") from error
        types = tuple(type_of(x) for x in outs)
        return self.result(bind(called_p, tuple(operands), {"call": self, "types": types}))

    def of_types(self, types, values):
        """The function on plain values, whose results must have these types."""
        outs = self.value(*values, keep=False)
        if tuple(type_of(x) for x in outs) != types:
            error = SciadError(f"custom_rule: the types of what {self.rule.name} returns depend "
                               f"on the values of its arguments: {types} and {outs}")
            vars(error)["eager_knows_more"] = True
            raise error
        return outs

    # --- its derivative --------------------------------------------------------------------------

    def primals(self, values):
        full = list(self.leaves)
        for k, x in zip(self.places, values, strict=True):
            full[k] = x
        return tree.unflatten(self.structure, full)

    def directions(self, seeds):
        """Tangents in the containers of the arguments; None where there is none."""
        full: list[Any] = [None] * len(self.leaves)
        for k, seed in zip(self.places, seeds, strict=True):
            full[k] = seed
        return tree.unflatten(self.structure, full)

    @contextmanager
    def explaining(self, rule):
        """Around a rule: errors of values that have no data, or no derivative, name it."""
        try:
            yield
        except (RecordError, LostGradientError, NoRuleError) as error:
            text = str(error)
            if "custom_rule:" not in text and getattr(error, "asked", True):
                error.args = (
                    f"{text}; custom_rule: the {rule} rule of {self.rule.name} must be written in "
                    "NumPy and sciad operations to be compiled or differentiated again",)
            raise

    def pair(self, got, rule, form):
        if not isinstance(got, tuple) or len(got) != 2:
            raise ArgumentError(f"custom_rule: the {rule} rule of {self.rule.name} must return "
                                f"{form}, got a {type(got).__name__}{at_line()}")
        return got

    def push(self, args, seeds, outs):
        """The tangents of the numeric results, by the jvp rule."""
        with self.explaining("jvp"):
            got = self.rule.jvp_rule(self.primals(args), self.directions(seeds))
        out, tangent = self.pair(got, "jvp", "(out, tangent)")
        self.require_shapes(out, outs, "jvp")
        return self.fitted(tangent, self.out_structure, self.out_places, outs, "tangent")

    def pull(self, args, seeds):
        """The cotangents of the numeric arguments, by the vjp rule."""
        pullback = self.pullback
        if pullback is None or any(type(x) is Array for x in args):
            with self.explaining("vjp"):
                got = self.rule.vjp_rule(*self.primals(args))
            out, pullback = self.pair(got, "vjp", "(out, pullback)")
            self.require_shapes(out, seeds, "vjp")
        full: list[Any] = [None] * len(self.out_leaves)
        for k, seed in zip(self.out_places, seeds, strict=True):
            full[k] = seed
        with self.explaining("vjp"):
            parts = pullback(tree.unflatten(self.out_structure, full))
        if self.count == 1 and not (isinstance(parts, tuple) and len(parts) == 1):
            parts = (parts,)
        if not isinstance(parts, (tuple, list)) or len(parts) != self.count:
            raise ArgumentError(f"custom_rule: the pullback of {self.rule.name} must give "
                                f"{self.count} cotangents, one a parameter{at_line()}")
        return self.fitted(tuple(parts), self.structure, self.places, args, "cotangent")

    def require_shapes(self, out, values, rule):
        """Raise where a rule's value has other shapes than the function's."""
        leaves = fitted_leaves(self.out_structure, out, f"custom_rule {self.rule.name}",
                        f"value of the {rule} rule")
        for k, value in zip(self.out_places, values, strict=True):
            got, want = type_of(packed(leaves[k])), type_of(value)
            if got.shape != want.shape:
                raise ArgumentError(f"custom_rule: the value of the {rule} rule of "
                                    f"{self.rule.name} has shape {got.shape}, that of the "
                                    f"function {want.shape}{at_line()}")

    def values_of_rules(self, args):
        """What each rule says that the value is."""
        if self.rule.vjp_rule is not None:
            yield "vjp", self.pair(self.rule.vjp_rule(*args), "vjp", "(out, pullback)")[0]
        if self.rule.jvp_rule is not None:
            zeros = self.directions(_zeros([self.leaves[k] for k in self.places]))
            got = self.rule.jvp_rule(tuple(args), zeros)
            yield "jvp", self.pair(got, "jvp", "(out, tangent)")[0]

    def fitted(self, parts, structure, places, values, what):
        leaves = fitted_leaves(structure, parts, f"custom_rule {self.rule.name}", what)
        values = [x if hasattr(x, "dtype") else np.asarray(x)[()] for x in values]
        return [Tools.zeros(x.shape, x.dtype, x) if leaves[k] is None else
                fitting(leaves[k], x, f"{what} of {self.rule.name}")
                for k, x in zip(places, values, strict=True)]


def _zeros(values):
    return [Tools.zeros(type_of(x).shape, type_of(x).dtype, x) for x in values]


def _tangents(call, seeds, outs, args):
    seeds = [zero if seed is None else seed
             for seed, zero in zip(seeds, _zeros(args), strict=True)]
    if call.rule.jvp_rule is not None:
        return call.push(args, seeds, outs)
    if call.rule.vjp_rule is None:
        raise _without(call)
    return _transposed(call, "vjp", lambda *g: call.pull(args, g), _zeros(outs), seeds)


def _cotangents(call, seeds, outs, args):
    seeds = [zero if seed is None else seed
             for seed, zero in zip(seeds, _zeros(outs), strict=True)]
    if call.rule.vjp_rule is not None:
        return call.pull(args, seeds)
    if call.rule.jvp_rule is None:
        raise _without(call)
    return _transposed(call, "jvp", lambda *t: call.push(args, t, outs), _zeros(args), seeds)


class _Transposing(threading.local):
    """The rules that this thread is transposing."""

    def __init__(self):
        self.rules: list[CustomRule] = []


_transposing = _Transposing()


def _transposed(call, name, linear, zeros, seeds):
    """The adjoint of one rule's linear map, applied to `seeds`."""
    rule, other = call.rule, "vjp" if name == "jvp" else "jvp"
    cure = f"give {rule.name} a {other} rule as well"
    if sum(rule is busy for busy in _transposing.rules) > len(active()) + 1:
        raise NoRuleError(f"custom_rule: the {name} rule of {rule.name} calls {rule.name} on what "
                          f"it is linear in, so it has no transpose of its own{at_line()}; {cure}")
    _transposing.rules.append(rule)
    try:
        start, back = vjp_unstaged(linear, zeros)
        parts = list(back(seeds))
    except (LostGradientError, NoRuleError, RecordError) as error:
        raise NoRuleError(f"custom_rule: the {name} rule of {rule.name} cannot be transposed: "
                          f"{error}; {cure}") from error
    finally:
        _transposing.rules.pop()
    if any(has_data(x) and np.any(asnumpy(plain(x)) != 0) for x in start if type(x) is Array) or \
            any(np.any(asnumpy(x) != 0) for x in start if type(x) is not Array):
        raise ArgumentError(f"custom_rule: the {name} rule of {rule.name} is not linear: it maps "
                            f"zero to something else{at_line()}")
    return parts


def _without(call):
    return NoRuleError(f"custom_rule: {call.rule.name} has neither a jvp nor a vjp rule"
                       f"{at_line()}; set one by @{call.rule.name}.jvp or .vjp")


def _custom_jvp(tangents, outs, args, params):
    return tuple(_tangents(params["call"], tangents, outs, args))


def _custom_vjp(cotangents, needs, outs, args, params):
    parts = _cotangents(params["call"], cotangents, outs, args)
    return [part if need else None for part, need in zip(parts, needs, strict=True)]


custom_p = General("custom_rule", lambda *args, call, keep: call.value(*args, keep=keep), None,
                   _custom_jvp, _custom_vjp, multiple=True)


called_p = General("custom_rule_call", lambda *args, call, types: call.of_types(types, args),
                   lambda *args, call, types: types, _custom_jvp, _custom_vjp, multiple=True)


def _recorded_jvp(tangents, outs, args, params):
    call, consts = params["call"], params["consts"]
    if any(t is not None for t in tangents[:consts]):
        raise call.closes_over()
    with lent(call.handles, args[consts - len(call.handles):consts]):
        return tuple(_tangents(call, tangents[consts:], outs, args[consts:]))


def _recorded_vjp(cotangents, needs, outs, args, params):
    call, consts = params["call"], params["consts"]
    if any(needs[:consts]):
        raise call.closes_over()
    with lent(call.handles, args[consts - len(call.handles):consts]):
        parts = _cotangents(call, cotangents, outs, args[consts:])
    return [None] * consts + [part if need else None
                              for part, need in zip(parts, needs[consts:], strict=True)]


def _recorded_pattern(parts, outs, args, params):
    """By the graph of the tangents, as the rule gives them; dense where it cannot be recorded."""
    call, graph, consts = params["call"], params["graph"], params["consts"]
    if any(part is not None for part in parts[:consts]):
        raise call.closes_over()
    kinds = [var.type.strong() for var in graph.inputs]
    moving = [part is not None for part in parts[consts:]]

    def run(*xs):
        values, seeds = xs[:len(kinds)], iter(xs[len(kinds):])
        tangents = [next(seeds) if moves else None for moves in moving]
        return _tangents(call, tangents, graph(*values), values[consts:])

    seeds = [part for part in parts[consts:] if part is not None]
    types = [kind for kind, moves in zip(kinds[consts:], moving, strict=True) if moves]
    try:
        rule = record_leaves(run, kinds + types).graph
    except RecordError:
        whole = functools.reduce(union, (through(DENSE, part, 1) for part in seeds))
        return [through(DENSE, whole, out.size) for out in outs]
    return propagate(rule, [None] * (len(rule.inputs) - len(seeds)) + seeds)


recorded_p = General("custom_rule", lambda *args, graph, call, consts: values_of(graph, args),
                     lambda *types, graph, call, consts: out_types(graph),
                     _recorded_jvp, _recorded_vjp, multiple=True,
                     joint_pattern=_recorded_pattern)
