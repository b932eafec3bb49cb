"""The vector functions are as good as they say, and agree with NumPy where numbers end."""

import mpmath
import numpy as np
import pytest

from sciad.compiler import llvm, mathlib
from sciad.compiler.loops import Builder, Op

pytestmark = pytest.mark.skipif(
    not llvm.available() or "exp" not in mathlib.vector_functions(llvm.features()),
    reason="no vector functions for this machine")

EXACT = {"exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh, "pow": mpmath.power}
NUMPY = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "pow": np.power}
ULPS = {"exp": 1, "log": 1, "tanh": 2.5, "pow": 1.2}
KINDS = {"f64": np.float64, "f32": np.float32}
RNG = np.random.default_rng(5)
COUNT = 400


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path))


def through(name, kind, *columns, inline=False):
    """The function over arrays whose length is a multiple of the lanes, in one vectorised loop."""
    size = len(columns[0])
    params = {f"x{k}": f"ptr<{kind}>" for k in range(len(columns))}
    b = Builder(f"{name}_{kind}", n="i64", **params, out=f"ptr<{kind}>")
    extent = 8192 if inline else b.n
    with b.loop(0, extent, parallel=True) as i:
        b.store(b.out, i, Op(name, tuple(b.load(b[p], i) for p in params)))
    b.ret()
    f = llvm.entry(b.function(), ("i64",) + ("array",) * (len(columns) + 1))
    if inline:
        columns = [np.resize(x, 8192) for x in columns]
    out = np.empty_like(columns[0])
    f(len(out), *columns, out)
    text = f.__self__.optimised_text()
    assert (f"@{mathlib.PREFIX}{name}" in text) and ("define internal <" in text) == inline
    return out[:size]


def regions(name, kind):
    """Columns of operands: where the pieces join, where numbers are small, large and near 1."""
    double = kind == "f64"
    big = 700 if double else 86
    if name == "exp":
        return [(RNG.uniform(-1, 1, COUNT),), (RNG.uniform(-big, big, COUNT),),
                (RNG.normal(size=COUNT) * 1e-9,),
                (RNG.uniform(-745, -705, COUNT) if double else RNG.uniform(-103, -86, COUNT),)]
    if name == "log":
        return [(RNG.uniform(0.9, 1.1, COUNT),), (1 + RNG.normal(size=COUNT) * 1e-6,),
                (np.exp(RNG.uniform(-big, big, COUNT)),), (edges(),)]
    if name == "tanh":
        return [(RNG.uniform(-1, 1, COUNT),), (RNG.normal(size=COUNT) * 1e-7,),
                (RNG.uniform(-25, 25, COUNT),), (RNG.uniform(0.15, 0.19, COUNT),)]
    near = (1 + RNG.normal(size=COUNT) * 1e-3, RNG.normal(size=COUNT) * (1e5 if double else 1e4))
    return [(RNG.uniform(0, 2, COUNT), RNG.uniform(-3, 3, COUNT)), near,
            (np.exp(RNG.uniform(-big, big, COUNT)), RNG.uniform(-1, 1, COUNT)),
            (edges(), RNG.uniform(-50, 50, COUNT))]


def edges():
    """Numbers about the ends of the pieces of the logarithm."""
    ends = np.float64(0.703125).view(np.int64) + (np.arange(17) << 48)
    around = (ends[:, None] + np.arange(-12, 12)).ravel()[:COUNT]
    return around.view(np.float64)


def error(got, columns, exact):
    """The largest distance from the exact result, in units of the last place."""
    worst = 0.0
    with mpmath.workprec(200):
        for k, value in enumerate(got):
            true = exact(*(mpmath.mpf(float(x[k])) for x in columns))
            unit = np.spacing(np.abs(value.dtype.type(float(true))))
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - true)
                                     / mpmath.mpf(float(unit))))
    return worst


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EXACT)
def test_error(name, kind):
    for columns in regions(name, kind):
        columns = [np.resize(x, COUNT).astype(KINDS[kind]) for x in columns]
        if name == "pow":
            columns[0] = np.abs(columns[0])
        assert error(through(name, kind, *columns), columns, EXACT[name]) < ULPS[name]


def odd(kind):
    info = np.finfo(KINDS[kind])
    few = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 2.0, 3.0, -3.0, 1e30, -1e30, np.inf, -np.inf, np.nan,
           info.max, -info.max, info.tiny, info.smallest_subnormal, -info.smallest_subnormal,
           709.5, -745.0, 710.0, -746.0, 88.9, -103.9, 1.5, 1 - info.epsneg, 1 + info.eps]
    return np.array(few, KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_numbers_end(name, kind, inline):
    """Zeros, their signs, infinities, NaN, negative bases, subnormals, over- and underflow."""
    values = odd(kind)
    columns = [values]
    if name == "pow":
        columns = [np.ascontiguousarray(x.ravel()) for x in np.meshgrid(values, values)]
    columns = [np.resize(x, -(-len(x) // 16) * 16) for x in columns]
    got, expected = through(name, kind, *columns, inline=inline), NUMPY[name](*columns)
    keep = np.ones(len(got), bool)
    if name == "pow":  # NumPy takes a root where C's pow(-inf, 0.5) is inf
        keep = ~(np.isneginf(columns[0]) & (columns[1] == 0.5))
    assert np.array_equal(np.isnan(got[keep]), np.isnan(expected[keep]))
    assert np.array_equal(np.signbit(got[keep & ~np.isnan(got)]),
                          np.signbit(expected[keep & ~np.isnan(got)]))
    np.testing.assert_allclose(got[keep], expected[keep], rtol=4 * np.finfo(KINDS[kind]).eps,
                               atol=float(np.finfo(KINDS[kind]).smallest_subnormal))


def test_numbers_keep_what_they_promise():
    """The sum of k log 2 and the table's logarithm is exact; reciprocals keep r below 1/32."""
    grid = 2.0**43
    for high in (*mathlib.LOG_HIGH, mathlib.LN2[0]):
        assert (high * grid).is_integer()
    ends = (np.float64(0.703125).view(np.int64) + (np.arange(17) << 48)).view(np.float64)
    for c, low, high in zip(mathlib.RECIPROCAL, ends[:-1], ends[1:], strict=True):
        assert -1 / 32 <= low * c - 1 and high * c - 1 <= 1 / 32
    with mpmath.workprec(200):
        for c, high, low in zip(mathlib.RECIPROCAL, mathlib.LOG_HIGH, mathlib.LOG_LOW, strict=True):
            assert abs(-mpmath.log(mpmath.mpf(c)) - high - low) < mpmath.mpf(2)**-110
        assert abs(mpmath.log(2) - sum(map(mpmath.mpf, mathlib.LN2))) < mpmath.mpf(2)**-95
