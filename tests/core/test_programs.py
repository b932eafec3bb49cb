"""Ordinary Python programs: every construct differentiates, in both modes and to second order,
and gives the same compiled."""

import array
import collections
import contextlib
import copy
import dataclasses
import functools
import io
import itertools
import json
import math
import operator
import pickle
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import sciad
from sciad.core.errors import SciadError

X = np.array([1.3, 0.4, 2.1])


# --- control flow ---------------------------------------------------------------------------------


def branch_on_value(x):
    if x[0] > x[1]:
        y = x[0] * x[1]
    elif x[0] > 0:
        y = x[1]
    else:
        y = x[2] ** 2
    return y * x[2]


def branch_expression(x):
    return (x[0] if x[1] < 1 else x[2]) * np.exp(x[1])


def chained_comparison(x):
    return x[0] ** 3 if 0 < x[1] < x[0] < 5 else x[1]


def boolean_operators(x):
    big = x[0] > 1 and x[2] > 1
    small = not (x[1] > 1 or x[0] < 0)
    return x[0] * x[2] if big and small else x[1]


def while_on_value(x):
    y, steps = x[0], 0
    while y < 50.0:
        y = y * x[2] + x[1]
        steps += 1
    return y * steps


def while_else_break_continue(x):
    total, k = 0.0, 0
    while k < 8:
        k += 1
        if k % 2:
            continue
        total = total + x[0] ** k
        if total > 9.0:
            break
    else:
        total = total * x[1]
    return total * x[2]


def for_else_over_range(x):
    total = x[0]
    for k in range(4):
        if k == 7:
            break
        total = total * x[1] + k
    else:
        total = total * x[2]
    return total


def newton_until_converged(x):
    y = x[0]
    for _ in range(50):
        step = (y * y - x[2]) / (2 * y)
        y = y - step
        if abs(step) < 1e-13:
            break
    return y * x[1]


def recursion(x):
    def power(base, n):
        return base if n == 1 else base * power(base, n - 1)

    return power(x[0], 5) + power(x[1] * x[2], 3)


def mutual_recursion(x):
    def even(v, n):
        return v if n == 0 else odd(v * x[0], n - 1)

    def odd(v, n):
        return v if n == 0 else even(v + x[1], n - 1)

    return even(x[2], 6)


def recursion_on_value(x):
    def halve(v):
        return v if v < 0.1 else halve(v / 2) * x[1] + v

    return halve(x[2])


def match_statement(x):
    total = 0.0
    for step in [("scale", 2.0), ("shift", 1.0), {"name": "square"}, None, 3]:
        match step:
            case ("scale", factor):
                total = total + x[0] * factor
            case ("shift", by):
                total = total * x[1] + by
            case {"name": "square"}:
                total = total**2
            case int(n):
                total = total * n
            case _:
                total = total + x[2]
    return total


def walrus(x):
    if (y := x[0] * x[1]) > 0.1:
        return y**2
    return x[2]


def assertion(x):
    assert x[0] > 0, "positive"
    return np.log(x[0])


# --- functions ------------------------------------------------------------------------------------


def closures(x):
    def adder(a):
        return lambda b: a * b + x[2]

    makers = [adder(v) for v in x]
    return makers[0](x[1]) * makers[2](x[0])


def late_binding_closure(x):
    functions = []
    for v in (x[0], x[1], x[2]):
        functions.append(lambda w, v=v: v * w)
    return sum(f(x[1]) for f in functions)


def nonlocal_mutation(x):
    state = x[0]

    def step():
        nonlocal state
        state = state * x[1] + x[2]

    for _ in range(4):
        step()
    return state


def default_arguments(x):
    def f(a, b=2.0, *, c=x[1], d=None):
        return a * b + c * (x[2] if d is None else d)

    return f(x[0]) * f(x[1], 3.0, d=x[0])


def star_arguments(x):
    def f(first, *rest, scale=1.0, **named):
        return first * scale + sum(rest) * named["k"]

    return f(*x, **{"k": x[0], "scale": x[2]})


def lambdas_and_partial(x):
    scaled = functools.partial(lambda a, b, c: a * b + c, x[0], c=x[2])
    return scaled(x[1])


def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) * 2.0

    return wrapper


@traced
def decorated(x):
    return x[0] * x[1] ** 2


def generator(x):
    def terms(v):
        term = v
        for k in range(6):
            yield term
            term = term * v / (k + 2)

    return sum(terms(x[0])) * x[1]


def generator_with_send(x):
    def running():
        total = 0.0
        while True:
            total = total + (yield total) ** 2

    accumulator = running()
    next(accumulator)
    for v in x:
        last = accumulator.send(v)
    accumulator.close()
    return last * x[0]


def yield_from(x):
    def inner(v):
        yield v
        yield v * v

    def outer():
        for v in x:
            yield from inner(v)

    return functools.reduce(operator.add, outer())


def comprehensions(x):
    squares = [v * v for v in x]
    table = {k: v * x[0] for k, v in enumerate(squares)}
    return sum(table[k] for k in table if k != 1) + sum(a * b for a in squares for b in x)


# --- builtins and the standard library ------------------------------------------------------------


def builtins_zip_enumerate(x):
    total = 0.0
    for k, (a, b) in enumerate(zip(x, x[::-1], strict=True)):
        total = total + a * b * (k + 1)
    return total


def builtins_sum_min_max(x):
    return sum(x, x[0]) * min(x) + max(x[0], x[1], 0.5) * max(x) + min(x[1], 0.5)


def builtins_sorted(x):
    small, middle, large = sorted(x)
    by_key = sorted([(v, -v) for v in x], key=lambda pair: pair[1])
    return small + 2 * middle**2 + 3 * large * small + by_key[0][0] ** 3


def builtins_map_filter_reversed(x):
    large = list(filter(lambda v: v > 1, x))
    return sum(map(lambda a, b: a * b, large, reversed(list(x)))) * len(large)


def builtins_any_all(x):
    return x[0] ** 2 if all(v > 0 for v in x) and any(v > 2 for v in x) else x[1]


def builtins_abs_pow_divmod(x):
    quotient, rest = divmod(x[2], x[1])
    return abs(-x[0]) ** pow(x[1], 2) + rest * quotient + pow(x[0], 3) + x[2] % 0.5 + x[0] // 1


def builtins_int_round_index(x):
    table = [x[1], x[2] ** 2, x[0]]
    return table[int(x[0])] * round(x[2]) + round(x[0], 1) * x[1] + math.floor(x[2]) * x[0]


def reduce_with_operators(x):
    return functools.reduce(operator.mul, x) + functools.reduce(lambda a, b: a - b * x[0], x, x[1])


def iterators(x):
    pairs = itertools.combinations(x, 2)
    run = list(itertools.accumulate(x, operator.mul))
    return sum(a * b for a, b in pairs) * run[-1] + sum(
        a * b for a, b in itertools.product(x, repeat=2)) + sum(itertools.chain(x, run))


def itertools_islice_cycle(x):
    return functools.reduce(lambda a, v: a * 0.5 + v, itertools.islice(itertools.cycle(x), 7))


def operators_module(x):
    first, last = operator.itemgetter(0, 2)(list(x))
    return operator.truediv(first, last) + operator.neg(x[1]) * operator.matmul(x, x)


def math_of_structure(x):
    """`math` on plain numbers beside differentiated ones."""
    return sum(v**k / math.factorial(k) * math.comb(3, k) for k, v in enumerate(x)) * math.pi


def deque_and_counter(x):
    window: collections.deque = collections.deque(maxlen=2)
    total, seen = 0.0, collections.Counter()
    for v in x:
        window.append(v)
        seen[len(window)] += 1
        total = total + functools.reduce(operator.mul, window) * seen[2]
    return total


def default_dict(x):
    groups = collections.defaultdict(list)
    for k, v in enumerate(x):
        groups[k % 2].append(v)
    return groups[0][0] * groups[0][1] + groups[1][0]


def context_manager(x):
    @contextlib.contextmanager
    def scaled(v):
        yield v * 3.0

    with scaled(x[0]) as y, contextlib.suppress(KeyError):
        y = y * x[1]
        raise KeyError
    return y


def try_except_finally(x):
    total = x[0]
    for key in ("a", "b"):
        try:
            total = total * {"a": x[1]}[key]
        except KeyError as error:
            total = total + x[2] * len(error.args)
        else:
            total = total + 1.0
        finally:
            total = total * 2.0
    return total


def try_around_arithmetic(x):
    try:
        return x[0] * (1 // (3 - len(x)))
    except ZeroDivisionError:
        return x[0] * x[1]


def printing(x):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print(x, x[0], f"{x[0]:.3f} {x[1]!r}", "%d %s" % (x[2], x[1]),  # noqa: UP031
              "{:>8.2e}".format(x[2]), format(x[0], ".4f"))  # noqa: UP032
    assert "1.300" in out.getvalue()
    return x[0] * x[1]


# --- containers -----------------------------------------------------------------------------------


def dictionaries(x):
    p = {"a": x[0], "b": {"c": x[1:]}}
    q = p | {"d": x[2] * 2}
    q["a"] *= 3.0
    q.setdefault("e", x[0])
    return q["a"] * q["b"]["c"][0] + q.pop("d") * q.get("z", x[1]) + sum(
        v for k, v in q.items() if k in "ae")


def lists(x):
    y = [x[0], x[1]]
    y.append(x[2] * y[0])
    y += [y[-1] ** 2]
    y[0] = y[1] * 3
    y.insert(1, x[0])
    first, *middle, last = y
    del y[0]
    y.extend(middle)
    return first * last + sum(middle) + y.pop() * len(y) + y[::2][0]


def nested_lists(x):
    grid = [[0.0] * 3 for _ in range(3)]
    for i in range(3):
        for j in range(3):
            grid[i][j] = x[i] * x[j] + i
    return np.sum(np.array(grid) @ np.array(grid)) + sum(map(sum, zip(*grid, strict=True)))


def swap(x):
    a, b = x[0], x[1]
    for _ in range(5):
        a, b = b, a + b * x[2]
    return a


def set_and_dict_of_callables(x):
    table = {"sin": np.sin, "exp": np.exp, "square": lambda v: v * v}
    return sum(table[name](x[0]) * x[1] for name in sorted(set(table)))


def string_dispatch(x):
    def apply(name, v):
        return getattr(np, name)(v)

    return apply("tanh", x[0]) * apply("cos", x[1]) + getattr(x, "sum")()  # noqa: B009


class Point(NamedTuple):
    a: Any
    b: Any

    def product(self):
        return self.a * self.b


def namedtuples(x):
    p = Point(x[0], b=x[1])
    q = p._replace(a=p.product())
    a, b = q
    return a * b + q[0]


@dataclasses.dataclass
class Particle:
    position: Any
    velocity: Any
    mass: float = 2.0
    trail: list = dataclasses.field(default_factory=list)

    def step(self, dt):
        self.velocity = self.velocity - dt * self.position / self.mass
        self.position += dt * self.velocity
        self.trail.append(self.position)
        return self

    @property
    def energy(self):
        return 0.5 * self.mass * self.velocity**2 + 0.5 * self.position**2


def dataclass_with_methods(x):
    p = Particle(x[0], x[1])
    for _ in range(5):
        p.step(0.1)
    q = dataclasses.replace(p, mass=x[2])
    return q.energy + sum(p.trail) * dataclasses.asdict(Particle(1.0, 2.0))["mass"]


class Polynomial:
    """A class with the usual hooks."""

    count = 0

    def __init__(self, *coefficients):
        self.coefficients = coefficients
        type(self).count += 1

    def __call__(self, v):
        return functools.reduce(lambda total, c: total * v + c, reversed(self.coefficients))

    def __add__(self, other):
        return Polynomial(*map(operator.add, self.coefficients, other.coefficients))

    def __mul__(self, factor):
        return Polynomial(*(c * factor for c in self.coefficients))

    __rmul__ = __mul__

    def __getitem__(self, k):
        return self.coefficients[k]

    def __len__(self):
        return len(self.coefficients)

    @property
    def leading(self):
        return self.coefficients[-1]

    @classmethod
    def line(cls, a, b):
        return cls(b, a)

    @staticmethod
    def twice(v):
        return v * 2


def class_with_hooks(x):
    p = Polynomial(*x) + Polynomial(1.0, 2.0, 3.0)
    q = p * x[0]
    return q(x[1]) * p.leading + len(q) * q[0] + Polynomial.line(x[0], x[2])(Polynomial.twice(x[1]))


class Ring:
    def __init__(self, v):
        self.v, self.scale = v, 2.0

    def __iter__(self):
        return iter([v * self.scale for v in self.v])

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)

    def __enter__(self):
        self.scale = 3.0
        return self

    def __exit__(self, *error):
        self.scale = 2.0


def iterable_context_class(x):
    ring = Ring(x)
    with ring as inside:
        y = sum(inside)
    return y * sum(ring)


class Base:
    def energy(self, v):
        return v * v


class Derived(Base):
    def energy(self, v):
        return super().energy(v) * v


def inheritance(x):
    return Derived().energy(x[0]) * Base().energy(x[1])


def slice_objects(x):
    part = slice(None, None, -1)
    return np.sum(x[part] * x) * x[slice(0, 2)][1] + x[-1]


def copies(x):
    y = copy.copy(x)
    z = copy.deepcopy({"x": [x, x[0]]})
    return np.sum(y * z["x"][0]) * z["x"][1]


def deleted_names(x):
    y = x * x
    z = y[0]
    del y
    return z * x[1]


def item_and_tolist(x):
    return x.item(0) * x.tolist()[1] + np.sum(x.reshape(3, 1).tolist()[2][0]) + x[0].item()


def extended_unpacking(x):
    a, b, c = x
    (d, e), f = x[:2], x[2]
    return a * b * c + d * e + f


def conditional_import(x):
    import math as standard

    return x[0] * standard.tau


def string_building(x):
    name = "".join(chr(ord("a") + k) for k in range(len(x)))
    return dict(zip(name, x, strict=True))["b"] * x[0]


def scalars_of_numpy(x):
    return np.float64(2.0) * x[0] + x[1] * np.int64(3) + np.float32(0.5) * np.sum(x) ** np.int64(2)


def ndim_shape_checks(x):
    if x.ndim != 1 or x.shape[0] != 3 or x.size != 3 or len(x) != 3:
        raise ValueError(x.shape)
    return x[0] * np.ndim(x) * np.shape(x)[0] * np.size(x) * (2 if np.isscalar(x[0]) else 2)


def array_of_results(x):
    y = np.array([x[0] * x[1], x[2], 1.0])
    z = np.array([[x[0], x[1]], [0.0, x[2]]])
    return np.sum(y * y) + np.sum(z @ z) + np.asarray([x[0], 2.0])[0]


def array_methods(x):
    y = x.reshape(3, 1) * x
    return (y.sum(axis=0).max() + y.mean() * y.T[0, 1] + y.ravel()[4] + y.trace() + y.dot(x)[1]
            + x.clip(0.5, 2.0).prod() + y.diagonal().sum() + x.cumsum()[1])


def truth_of_arrays(x):
    if (x > 0).all() and np.any(x > 2) and not np.isnan(x).any():
        return x[0] * x[1]
    return x[2]


def complex_numbers(x):
    z = x[0] + 1j * x[1]
    return abs(z) ** 2 + (z * z.conjugate()).real + np.angle(z) * np.exp(1j * x[2]).imag


PROGRAMS = [value for value in list(globals().values())
            if callable(value) and getattr(value, "__module__", "") == __name__
            and not isinstance(value, type) and value is not traced]

NOT_COMPILED = {"recursion_on_value"}
"""Programs whose end depends on a value: to record them takes too long for a test."""


def ids(f):
    return f.__name__


@pytest.mark.parametrize("program", PROGRAMS, ids=ids)
def test_value_and_derivatives(program):
    expected = program(X.copy())
    value, slope = sciad.value_and_grad(program)(X)
    assert type(value) is np.float64 and type(slope) is np.ndarray
    assert value == pytest.approx(expected, rel=1e-13)
    assert sciad.jvp(program, (X,), (X,))[0] == pytest.approx(expected, rel=1e-13)
    sciad.check_grads(program, (X,))


@pytest.mark.parametrize("program", PROGRAMS, ids=ids)
def test_product_with_the_hessian(program):
    v = np.array([0.3, -1.0, 0.7])
    h = 1e-5
    slope = sciad.grad(program)
    expected = (slope(X + h * v) - slope(X - h * v)) / (2 * h)
    np.testing.assert_allclose(sciad.hvp(program, (X,), (v,)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.__name__ not in NOT_COMPILED],
                         ids=ids)
def test_compiled(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = sciad.jit(program)(X)
        slope = sciad.jit(sciad.grad(program))(X)
    assert value == pytest.approx(program(X.copy()), rel=1e-12)
    np.testing.assert_allclose(slope, sciad.grad(program)(X), rtol=1e-11, atol=1e-13)


# --- the paper's example --------------------------------------------------------------------------


def taylor_sine(x):
    """Innes et al., A differentiable programming system to bridge machine learning and scientific
    computing (2019), section 2: a loop, an early return, a factorial and a print."""
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    total = 0.0
    for k in range(16):
        term = (-1) ** k * x ** (2 * k + 1) / factorial(2 * k + 1)
        if abs(term) < 1e-8:
            return total
        print(k, f"{total:.6f}")
        total += term
    return total


def test_sine_of_the_paper(capsys):
    assert sciad.grad(taylor_sine)(1.0) == pytest.approx(0.5403023037918872, abs=1e-15)
    assert "0 0.000000" in capsys.readouterr().out
    assert sciad.jvp(taylor_sine, (1.0,), (1.0,))[1] == pytest.approx(0.5403023037918872)
    assert sciad.hvp(taylor_sine, (1.0,), (1.0,)) == pytest.approx(-np.sin(1.0), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sciad.jit(sciad.grad(taylor_sine))(1.0) == pytest.approx(0.5403023037918872)


# --- state outside the function -------------------------------------------------------------------

calls = 0


def test_global_counter():
    def f(x):
        global calls
        calls += 1
        return x * x * calls

    assert [sciad.grad(f)(3.0) for _ in range(3)] == [6.0, 12.0, 18.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [sciad.jit(sciad.grad(f))(3.0) for _ in range(2)] == [24.0, 30.0]


def test_cache_of_followed_values_is_refused():
    """A followed value has no hash: a cache by value would mix up gradients."""
    @functools.lru_cache
    def square(v):
        return v * v

    with pytest.raises(TypeError, match="unhashable"):
        sciad.grad(lambda x: square(x))(2.0)
    assert sciad.grad(lambda x: square(3.0) * x)(2.0) == 9.0


def test_cache_by_hand_of_plain_keys():
    def fibonacci(x):
        table = {}

        def term(n):
            if n not in table:
                table[n] = x if n < 2 else term(n - 1) + term(n - 2) * x
            return table[n]

        return term(12)

    sciad.check_grads(fibonacci, (0.7,))


# --- leaving the program --------------------------------------------------------------------------


@dataclasses.dataclass
class Summary:
    loss: Any
    parts: dict


def test_results_pickle_copy_and_serialise():
    def f(x):
        parts = {"terms": [x[0] * x[1], np.sin(x)], "name": "run", "count": 3}
        return np.sum(x * x), Summary(x[2], parts)

    (value, aux), slope = sciad.value_and_grad(f, has_aux=True)(X)
    for made in (value, slope, aux):
        again = pickle.loads(pickle.dumps(made))
        assert type(again) is type(made)
    assert aux.parts["name"] == "run" and type(aux.parts["terms"][1]) is np.ndarray
    assert json.loads(json.dumps({"loss": value, "slope": slope.tolist()}))["loss"] == value
    assert copy.deepcopy(slope) is not slope


def test_pickle_of_a_followed_value_gives_its_number():
    seen = []
    sciad.grad(lambda x: (seen.append(pickle.loads(pickle.dumps(x))), x[0])[1])(X)
    np.testing.assert_array_equal(seen[0], X)
    assert type(seen[0]) is np.ndarray


# --- what Python turns into plain numbers ---------------------------------------------------------

DROPS = {
    "float": lambda x: float(x[0]), "complex": lambda x: complex(x[0]).real,
    "math": lambda x: math.sqrt(x[0]), "np.float64": lambda x: np.float64(x[0]) * 2,
    "np.array of floats": lambda x: np.array(x, dtype=float).sum(),
    "np.asarray of a list": lambda x: np.asarray([x[0], 1.0], dtype=np.float64).sum(),
    "array.array": lambda x: array.array("d", [x[0]])[0] * x[1],
    "np.fromiter": lambda x: np.fromiter((v for v in x), float).sum(),
    "percent": lambda x: x[0] * len("%.2f" % x[1]),  # noqa: UP031
    "np.zeros": lambda x: np.add(np.zeros(3), x, out=np.zeros(3)).sum(),
    "sum with float start": lambda x: math.fsum([x[0], x[1]]),
    "statistics": lambda x: math.hypot(x[0], x[1]),
}


@pytest.mark.parametrize("name", DROPS)
def test_conversions_raise_and_name_the_line(name):
    for run in (lambda: sciad.grad(DROPS[name])(X), lambda: sciad.jvp(DROPS[name], (X,), (X,))):
        with pytest.raises(SciadError, match=r"test_programs\.py:\d+"):
            run()


def test_type_checks_see_what_a_followed_value_is():
    """A followed number is neither a float nor a NumPy array. A program that asks should ask
    for what it needs: `np.ndim`, `hasattr(x, "shape")`, `isinstance(x, (float, sciad.Array))`."""
    def kind(x):
        seen.append((isinstance(x, (float, np.ndarray)), isinstance(x, sciad.Array), np.ndim(x),
                     hasattr(x, "shape"), np.shape(x)))
        return x * 1.0

    seen: list = []
    sciad.grad(kind)(2.0)
    assert seen == [(False, True, 0, True, ())]
