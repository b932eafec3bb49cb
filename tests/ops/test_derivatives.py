"""The case table: values as NumPy's, derivatives as differences', recorded as eager."""

import importlib
import pkgutil

import numpy as np
import pytest

import sciad
import sciad.ops
from sciad.core.primitive import Primitive
from sciad.core.record import record
from tests.ops.cases import Case
from tests.ops.tables import CASES

IDS = [case.name for case in CASES]


def _leaves(x):
    return x if isinstance(x, tuple) else (x,)


def _same(got, expected):
    for a, b in zip(_leaves(got), _leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        b = np.array(b.tolist()) if b.dtype == object else b
        assert a.dtype == b.dtype and a.shape == b.shape
        tolerance = 1e-5 if a.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_names_are_distinct():
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_value_is_numpys(case: Case):
    expected = case.function(*case.args)
    _same(sciad.vjp(case.function, *case.args)[0], expected)
    zeros = tuple(map(np.zeros_like, case.args))
    _same(sciad.jvp(case.function, case.args, zeros)[0], expected)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_derivatives(case: Case):
    sciad.check_grads(case.function, case.args, order=case.order)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_gradient_has_dtype_of_argument(case: Case):
    out, pull = sciad.vjp(case.function, *case.args)
    ones = tuple(map(np.ones_like, out)) if isinstance(out, tuple) else np.ones_like(out)
    for slope, x in zip(pull(ones), case.args, strict=True):
        assert slope.dtype == x.dtype and slope.shape == x.shape
        assert isinstance(slope, (np.ndarray, np.generic))


def _recordable(case):
    return "mask" not in case.name or case.name == "where mask" or "[" not in case.name


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_recorded_is_eager(case: Case):
    recorded = record(case.function, *case.args)
    recorded.graph.check()
    _same(recorded(*case.args), case.function(*case.args))


def _cotangents(case):
    def function(*args):
        out, pull = sciad.vjp(case.function, *args)
        ones = tuple(np.ones_like(x) for x in out) if isinstance(out, tuple) else np.ones_like(out)
        return pull(ones)

    return function


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_recorded_derivative_is_eager(case: Case):
    function = _cotangents(case)
    recorded = record(function, *case.args)
    recorded.graph.check()
    _same(recorded(*case.args), function(*case.args))


def _primitives_of(graph, found):
    for equation in graph.equations:
        found.add(equation.primitive)
        for inner in equation.graphs():
            _primitives_of(inner, found)
    return found


def _defined():
    """Every Primitive object in the modules of sciad.ops."""
    for info in pkgutil.iter_modules(sciad.ops.__path__):
        module = importlib.import_module(f"sciad.ops.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Primitive):
                yield value


EFFECTS = {"fail", "check", "assume"}
"""Operations that only stop a program: tested with control flow."""


EAGER = {"cumprod", "searchsorted"}
"""Operations that need to see the values: recorded programs contain others in their place."""


WITHOUT_RULE = {"riemann_zeta"}
"""Operations whose one operand has no derivative here, which raise by name."""


def test_every_primitive_stands_in_the_table():
    found: set[Primitive] = set()
    for case in CASES:
        for function in (case.function, _cotangents(case)):
            _primitives_of(record(function, *case.args).graph, found)
    missing = {p.name for p in _defined()} - {p.name for p in found}
    missing -= EFFECTS | EAGER | WITHOUT_RULE
    assert not missing
