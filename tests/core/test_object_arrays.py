"""Plain ``np.array([x*y, x - y])`` of followed numbers, an array of objects.

NumPy's functions on it mean what they mean on the packed array, or raise and name the fix; none
becomes a branch for each entry while recording.
"""

import bisect
import dis
import functools
import heapq
import operator

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.special

import sciad
from sciad.core.call_sites import site
from sciad.core.errors import DTypeError, LostGradientError, RecordError
from sciad.core.record import record

X = np.array([0.7, 0.3])
FIX = r"np\.stack\(\[\.\.\.\]\), or by `from sciad import numpy as np`"


def of_objects(x):
    a, b = x
    return np.array([a * b, a - b, 0.5 * a])


def packed(x):
    a, b = x
    return np.stack([a * b, a - b, 0.5 * a])


def square_of_objects(x):
    a, b = x
    return np.array([[a, b], [b, 3 * a]])


def weighed(value):
    value = np.asarray(value)
    return np.sum(value * np.arange(1.0, 1 + value.size).reshape(value.shape))


# --- values and gradients are those of the packed array -------------------------------------------

SAME = {
    "maximum": lambda o: np.maximum(o, 0.3), "minimum": lambda o: np.minimum(0.3, o),
    "fmax": lambda o: np.fmax(o, 0.3), "max": np.max, "o.max": lambda o: o.max(),
    "min": np.min, "sort": np.sort, "clip": lambda o: np.clip(o, 0.25, 0.36),
    "o.clip": lambda o: o.clip(0.25, 0.36), "where": lambda o: np.where(o > 0.3, o**2, -o),
    "mask": lambda o: o[o > 0.3], "sign": lambda o: np.sign(o) * o, "abs": np.abs,
    "fabs": np.fabs, "mean": np.mean, "o.mean": lambda o: o.mean(), "var": np.var, "std": np.std,
    "ddof": lambda o: np.std(o, ddof=1), "median": np.median,
    "mean, axis": lambda o: np.mean(np.array([o, 2 * o]), axis=0),
    "mean, keepdims": lambda o: np.mean(o, keepdims=True),
    "var, axis": lambda o: np.var(np.array([o, o**2]), axis=1),
    "arctan2": lambda o: np.arctan2(o, 2.0), "arctan2 of two": lambda o: np.arctan2(o, o**2),
    "hypot": lambda o: np.hypot(o, 2.0), "fmod": lambda o: np.fmod(o, 0.17),
    "unique": np.unique, "ptp": np.ptp, "unwrap": np.unwrap, "sinc": np.sinc,
    "norm": np.linalg.norm, "argmax": lambda o: o[np.argmax(o)], "nansum": np.nansum,
    "average": lambda o: np.average(o, weights=[1.0, 2.0, 3.0]), "cumsum": np.cumsum,
}


@pytest.mark.parametrize("operation", SAME.values(), ids=SAME.keys())
def test_means_what_it_means_on_the_packed_array(operation):
    def loss(x):
        return weighed(operation(of_objects(x)))

    value, slope = sciad.value_and_grad(loss)(X)
    expected = sciad.value_and_grad(lambda x: weighed(operation(packed(x))))(X)
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(value, weighed(operation(of_objects(X))), rtol=1e-14)
    sciad.check_grads(loss, (X,), order=2)


def test_a_followed_number_keeps_its_dtype_outside_the_mean():
    def f(x):
        assert x[0].dtype == x.dtype == np.float64
        assert np.result_type(x[0].dtype) == np.float64
        return np.mean(np.array([x[0], x[1]]))

    np.testing.assert_allclose(sciad.grad(f)(X), 0.5)


# --- what computes on floats alone says what to write ---------------------------------------------

REFUSED = {
    "np.linalg.inv": lambda x: np.linalg.inv(square_of_objects(x)),
    "np.linalg.det": lambda x: np.linalg.det(square_of_objects(x)),
    "np.linalg.eigvalsh": lambda x: np.linalg.eigvalsh(square_of_objects(x)),
    "np.linalg.svd": lambda x: np.linalg.svd(square_of_objects(x), compute_uv=False),
    "np.linalg.solve": lambda x: np.linalg.solve(np.eye(3), of_objects(x)),
    "np.fft.ifft": lambda x: np.fft.ifft(of_objects(x)).real,
    "np.fft.rfft": lambda x: np.abs(np.fft.rfft(of_objects(x))),
    "np.interp": lambda x: np.interp(of_objects(x), [0.0, 1.0], [0.0, 2.0]),
    "np.isnan": lambda x: np.where(np.isnan(of_objects(x)), 0.0, 1.0),
    "np.logaddexp": lambda x: np.logaddexp(of_objects(x), 1.0),
    "np.heaviside": lambda x: np.heaviside(of_objects(x), 1.0),
    "np.copysign": lambda x: np.copysign(1.0, of_objects(x)),
    "np.arctan2": lambda x: np.arctan2(1.0, of_objects(x)),
    "np.sin": lambda x: np.sin(np.array([x[0], 1.0])),
    "np.cov": lambda x: np.cov(of_objects(x)),
    "np.angle": lambda x: np.angle(of_objects(x)),
    "np.quantile": lambda x: np.quantile(of_objects(x), 0.4),
    "np.gradient": lambda x: np.gradient(of_objects(x)),
    "np.nanmean": lambda x: np.nanmean(of_objects(x)),
    "scipy.special.erf": lambda x: scipy.special.erf(of_objects(x)),
    "scipy.special.jv": lambda x: scipy.special.jv(1.0, of_objects(x)),
    "scipy.special.expit": lambda x: scipy.special.expit([x[0], x[1]]),
    "sciad.special.logsumexp": lambda x: scipy.special.logsumexp(of_objects(x)),
    "scipy.linalg.inv": lambda x: scipy.linalg.inv(square_of_objects(x)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_floats_alone_names_itself_the_line_and_the_fix(name):
    operation = REFUSED[name]
    with pytest.raises(sciad.SciadError, match=FIX) as caught:
        sciad.grad(lambda x: weighed(operation(x)))(X)
    assert name in str(caught.value)
    assert f"{__file__}:{operation.__code__.co_firstlineno}" in str(caught.value)


NO_PROTOCOL = {
    r"np\.polynomial\.chebyshev\.chebfit .*np\.linalg\.lstsq":
        lambda x: np.polynomial.chebyshev.chebfit([0.0, 1.0], x, 1),
    r"np\.polynomial\.polynomial\.polyroots .*np\.roots":
        lambda x: np.polynomial.polynomial.polyroots(np.append(x, 1.0)),
    r"np\.polynomial\.Polynomial\.fit .*np\.polyfit":
        lambda x: np.polynomial.Polynomial.fit([0.0, 1.0], x, 1).coef,
    r"np\.polynomial\.Polynomial\.roots .*np\.roots":
        lambda x: np.polynomial.Polynomial([x[0], 0.0, x[1]]).roots(),
    r"np\.nditer .*x\.reshape": lambda x: [y for y in np.nditer(x)],
}


@pytest.mark.parametrize("message", NO_PROTOCOL)
def test_functions_of_numpy_that_call_no_protocol(message):
    with pytest.raises(DTypeError, match="^" + message) as caught:
        sciad.grad(NO_PROTOCOL[message])(X)
    line = NO_PROTOCOL[message].__code__.co_firstlineno
    assert f"{__file__}:{line}" in str(caught.value)


def test_their_cures_work():
    t = np.array([0.0, 0.4, 1.0])
    basis = np.polynomial.chebyshev.chebvander(t, 1)
    for cure in (lambda v: np.polyfit(t, v, 1), np.roots,
                 lambda v: np.linalg.lstsq(basis, v, rcond=None)[0]):
        sciad.check_grads(cure, (np.array([1.0, 3.0, 0.5]),))


def test_the_error_is_the_same_in_each_transform_and_keeps_the_one_of_numpy():
    def f(x):
        return np.sum(np.linalg.inv(square_of_objects(x)))

    for run in (lambda: sciad.jvp(f, (X,), (X,)), lambda: sciad.vjp(f, X), lambda: record(f, X),
                lambda: sciad.hessian(f)(X), lambda: sciad.grad(lambda x: sciad.grad(f)(x)[0])(X)):
        with pytest.raises(DTypeError, match=r"np\.linalg\.inv takes no array of obj") as e:
            run()
        assert isinstance(e.value.__cause__, TypeError)


def test_the_fix_works():
    from sciad import numpy as snp

    def f(x):
        a, b = x
        return np.sum(np.linalg.inv(snp.array([[a, b], [b, 3 * a]])))

    sciad.check_grads(f, (X,), order=2)
    sciad.check_grads(lambda x: np.sum(scipy.special.erf(packed(x))), (X,), order=2)


def test_in_place_into_a_plain_array():
    def f(x):
        total = np.ones(3)
        total += of_objects(x)
        return np.sum(total)

    with pytest.raises(LostGradientError, match=r"write `a = a \+ x`"):
        sciad.grad(f)(X)


@pytest.mark.parametrize("make, fix", [
    (lambda x: np.array([1j * x[0], 2j * x[1]]), FIX),
    (lambda x: np.asarray(1j * x), "leave out np.asarray"),
], ids=["array", "asarray"])
def test_objects_that_are_complex_are_refused_as_numpy_would_drop_a_part(make, fix):
    with pytest.raises(DTypeError, match="followed complex numbers.*" + fix):
        sciad.grad(lambda x: np.sum(make(x).imag**2))(X)
    sciad.check_grads(lambda x: np.sum(np.stack([1j * x[0], 2j * x[1]]).imag**2), (X,), order=2)


def _raises(text):
    raise TypeError(text)


OWN = {
    "no such attribute": (lambda o: o.foo, AttributeError),
    "no such argument": (lambda o: np.mean(o, foo=1), TypeError),
    "a shape of text": (lambda o: np.reshape(o, "a"), TypeError),
    "the program's": (lambda o: _raises("dtype('O')"), TypeError),
    "a matrix wanted": (lambda o: np.linalg.inv(o), np.linalg.LinAlgError),
    "a text among them": (lambda o: np.sin(np.array([o[0], "a"], dtype=object)), TypeError),
    "too many": (lambda o: np.sin(o, o, o), TypeError),
    "None": (lambda o: np.sum(o) + None, TypeError),
    "int": (lambda o: len(3), TypeError),
}


@pytest.mark.parametrize("operation, kind", OWN.values(), ids=OWN.keys())
def test_other_errors_stay_as_they_are(operation, kind):
    with pytest.raises(kind) as caught:
        sciad.grad(lambda x: weighed(operation(of_objects(x))))(X)
    assert not isinstance(caught.value, sciad.SciadError)


def test_a_program_may_catch_numpys_error():
    def f(x):
        o = of_objects(x)
        try:
            return np.sum(scipy.special.erf(o))
        except TypeError:
            return np.sum(o)

    np.testing.assert_allclose(sciad.grad(f)(X), sciad.grad(lambda x: np.sum(packed(x)))(X))


# --- recording: no branch for each entry ----------------------------------------------------------


class Model:
    relu = np.maximum
    low = staticmethod(np.minimum)

    def __init__(self):
        self.act = np.fmax


MODEL = Model()
TABLE = {"relu": np.maximum, "list": [np.minimum]}

ENTRYWISE = {
    "np.maximum": lambda o: np.maximum(o, 0.3), "scalar first": lambda o: np.maximum(0.3, o),
    "out=": lambda o: np.maximum(o, 0.3, out=o), "starred": lambda o: np.maximum(*[o, 0.3]),
    "partial": lambda o: functools.partial(np.maximum, 0.3)(o),
    "attribute": lambda o: MODEL.act(o, 0.3), "of the class": lambda o: MODEL.relu(o, 0.3),
    "static": lambda o: MODEL.low(o, 0.3), "item": lambda o: TABLE["relu"](o, 0.3),
    "item of item": lambda o: TABLE["list"][0](o, 0.3),
    "by a call": lambda o: operator.itemgetter("relu")(TABLE)(o, 0.3),
    "over lines": lambda o: (np
                             .maximum(o, 0.3)),
    "max": np.max, "o.max": lambda o: o.max(), "reduce": lambda o: np.maximum.reduce(o),
    "sort": np.sort, "o.sort": lambda o: o.sort() or o, "argmax": np.argmax, "argsort": np.argsort,
    "clip": lambda o: np.clip(o, 0, 0.2), "o.clip": lambda o: o.clip(0, 0.2), "sign": np.sign,
    "sinc": np.sinc, "median": np.median, "unique": np.unique,
    "allclose": lambda o: np.allclose(o, 0),
    ">": lambda o: o > 0.3, "< reflected": lambda o: 0.3 < o, "!=": lambda o: o != 0.3,
    "==": lambda o: o == 0.3, "where": lambda o: np.where(o <= 0.3, o, 0.0),
    "of a temporary": lambda o: (2 * o > 0.3).any(), "if": lambda o: 1.0 if (o > 0).all() else o,
    "in": lambda o: 0.3 in o, "logical_and": lambda o: np.logical_and(o, 1.0),
    "searchsorted": lambda o: np.searchsorted([0.0, 1.0], o),
}


@pytest.mark.parametrize("operation", ENTRYWISE.values(), ids=ENTRYWISE.keys())
def test_recording_refuses_a_loop_that_asks_each_entry(operation):
    with pytest.raises(RecordError, match=FIX):
        record(lambda x: weighed(operation(of_objects(x))), X)


def test_recording_refuses_it_under_every_transform():
    def f(x):
        return np.sum(np.maximum(of_objects(x), 0.3))

    for g in (sciad.grad(f), sciad.hessian(f), lambda x: sciad.jvp(f, (x,), (x,))[1]):
        with pytest.raises(RecordError, match=r"np\.maximum decides on each entry.*" + FIX):
            record(g, X)


def test_an_unknown_function_may_ask_a_few_questions():
    def f(x, n):
        pick = operator.itemgetter("relu")
        return np.sum(pick(TABLE)(np.array([x[0] * k for k in range(n)]), 0.3))

    assert record(lambda x: f(x, 2), X) is not None
    with pytest.raises(RecordError, match=r"has asked 9 questions.*" + FIX):
        record(lambda x: f(x, 20), X)


def test_jit_runs_it_eagerly_and_says_so():
    f = sciad.jit(lambda x: np.sum(np.maximum(of_objects(x), 0.3)))
    expected = np.sum(np.maximum(packed(X), 0.3))
    try:
        with pytest.warns(UserWarning, match="decides on each entry"):
            value = f(X)
    except pytest.fail.Exception:
        pytest.skip("jit is switched off")
    np.testing.assert_allclose(value, expected)


def _jumps(x, y):
    total = 0.0
    if x > y:
        total = total + x
    total = total + (y if x <= 0.5 else 2 * y)
    if not (x < 0.1) and y > 0.0 or x == y:
        total = total * 3
    return total + sum(v for v in (x, y) if 0.2 < v < 0.5)


def _listed(x, y):
    entries = [x, y, 0.5]
    entries.sort()
    heapq.heapify(entries)
    bisect.insort(entries, x * y)
    return entries[0] + 2 * entries[1]


BRANCHES = {
    "jumps": _jumps, "max": lambda x, y: max(x, y, 0.5), "min": lambda x, y: min(x, y),
    "key": lambda x, y: max([x, y], key=lambda v: v * v), "list": _listed,
    "sorted": lambda x, y: sorted([x, y, 0.6])[1] * x, "any": lambda x, y: x * any([x > y, y > 1]),
    "all": lambda x, y: y * all((x > y, y > 0)), "bool": lambda x, y: x * bool(x > y),
    "tuples": lambda x, y: x if (x, 1) < (y, 2) else y, "lists": lambda x, y: x + ([x] == [y]),
    "in": lambda x, y: x + (x in [y, 0.5]),
    "filter": lambda x, y: x * len([*filter(None, [x > y, y])]),
    "reduce": lambda x, y: functools.reduce(max, [x, y, 0.4]),
    "partial": lambda x, y: functools.partial(max, x)(y),
    "table": lambda x, y: {"m": max}["m"](x, y),
    "ufunc of numbers": lambda x, y: np.maximum(x, y) + np.sign(x - y) * x,
}


@pytest.mark.parametrize("branch", BRANCHES.values(), ids=BRANCHES.keys())
def test_branches_of_the_program_itself_are_recorded(branch):
    recorded = record(branch, 0.7, 0.3)
    for x, y in [(0.7, 0.3), (0.3, 0.7), (0.45, 0.45), (0.05, 0.9)]:
        np.testing.assert_allclose(recorded(x, y), branch(x, y), rtol=1e-14)


def test_packed_arrays_are_recorded_whole():
    def f(x):
        o = packed(x)
        return np.sum(np.maximum(o, 0.3) + np.sort(o) + np.where(o > 0.3, o, 0.0))

    recorded = record(f, X)
    assert not any(equation.primitive.name == "cond" for equation in recorded.graph.equations)
    np.testing.assert_allclose(recorded(X), f(X))


@pytest.mark.parametrize("reduction", [np.sum, np.mean])
def test_where_of_a_reduction_names_the_fix(reduction):
    def f(x):
        return reduction(of_objects(x), where=np.array([True, False, True]))

    with pytest.raises(DTypeError, match=rf"np\.{reduction.__name__} .*{FIX}"):
        sciad.grad(f)(X)


# --- call sites -----------------------------------------------------------------------------------


def _sites(function, prefix):
    code = function.__code__
    found = [site(code, instruction.offset) for instruction in dis.get_instructions(code)]
    return [here for here in found if here.opname.startswith(prefix)]


def test_a_call_site_names_callee_and_arguments():
    def f(a, table, model):
        return table["k"].inner(a, model.b[0](a))

    texts = {here.chain and tuple(map(str, here.chain)) for here in _sites(f, "CALL")}
    assert ("table", "['k']", "inner") in texts and ("model", "b", "[0]") in texts
    assert {"table", "a", "model"} in [set(here.names) for here in _sites(f, "CALL")]


def test_a_comparison_names_its_operands():
    def f(a, b):
        return a.x < b

    (here,) = _sites(f, "COMPARE_OP")
    assert here.text == "<" and here.chain == ("a", "x") and here.last == "b"
