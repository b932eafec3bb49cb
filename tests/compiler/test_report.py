"""Reports and stages tell what happened."""

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.compiler.reports import Stages, Uncompiled
from sciad.compiler.values import Unsupported
from sciad.core.record import record

native = pytest.mark.skipif(not llvm.available(), reason="no native code here")


def sevenfold(x):
    for k in range(7):
        if x[k] > 0:
            x = x * 1.5
        else:
            x = x - 0.25
    return np.sum(x)


@native
def test_paths_and_joins():
    f = sciad.jit(sevenfold, strict=True)
    f(np.ones(7))
    signature, = f.report().signatures
    assert signature["branches"] == 7
    assert signature["joins"] == 6
    assert signature["runs"] < 20 < 2**7
    assert signature["calls"] == 1


@native
def test_branches_of_a_function_that_is_differentiated_count():
    slope = sciad.jit(sciad.grad(sevenfold), strict=True)
    slope(np.ones(7))
    slope.lower(np.ones(7))
    signature, = slope.report().signatures
    assert (signature["branches"], signature["joins"], signature["calls"]) == (7, 6, 1)
    assert slope.report().hits == 0


@native
def test_stages_of_time_and_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIAD_CACHE_DIR", str(tmp_path))
    def f(x):
        return np.sin(x) * 0.123456

    first = sciad.jit(f)
    for x in (1.0, 2.0, 3.0):
        first(x)
    report = first.report()
    signature, = report.signatures
    assert {"record", "passes", "lower", "render", "link"} <= signature["seconds"].keys()
    assert report.hits == 2 and not signature["memory"]
    assert 0 < report.compile_seconds < 60
    again = sciad.jit(f)
    again(1.0)
    assert again.report().signatures[0]["memory"] and again.report().hits == 1


@native
def test_workspace_and_what_is_written():
    def f(x):
        y = np.sort(np.sin(x)) if False else np.cumsum(np.sin(x) + 1)
        x[0] = 3.0
        return np.sum(y * y[::-1])

    compiled = sciad.jit(f)
    compiled(np.ones(1000))
    signature, = compiled.report().signatures
    assert signature["workspace"] >= 8000 and signature["workspace"] % 8 == 0
    assert signature["writes"] == 1
    assert f"workspace of {signature['workspace']} bytes" in repr(compiled.report())
    small = sciad.jit(lambda x: x + 1)
    small(2.0)
    assert small.report().signatures[0]["workspace"] == 0


@native
def test_reasons_are_told():
    eager = sciad.jit(lambda x: x * float(x))
    with pytest.warns(sciad.compiler.jit.FallbackWarning):
        eager(1.0)
    assert "float" in eager.report().eager[0] and "float" in repr(eager.report())

    slope = sciad.jit(sciad.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(np.abs(x)), 0.0))))
    for _ in range(3):
        assert (slope(np.array([4.0, 0.0])) == [0.25, 0.0]).all()
    (reason, count), = slope.report().signatures[0]["repeated"].items()
    assert count == 3 and "NaN" in reason and "repeated eagerly 3 times" in repr(slope.report())


def test_without_native_code(monkeypatch):
    monkeypatch.setenv("SCIAD_JIT", "0")
    f = sciad.jit(lambda x: x * 2 + 0.777)
    assert f(1.0) == 2.777
    assert "native code is not available" in f.report().signatures[0]["eager"]
    assert "eager" in repr(f.report())


def test_the_stages_before_machine_code_need_none(monkeypatch):
    monkeypatch.setenv("SCIAD_JIT", "0")
    stages = sciad.jit(lambda x: np.sum(np.tanh(x) * 0.778)).lower(np.ones(100))
    assert "tanh" in str(stages.graph) and "tanh" in str(stages.simplified)
    assert "for " in stages.loops and "# loops" in repr(stages)
    for text in ("llvm", "optimised", "assembly"):
        with pytest.raises(Unsupported, match="native code is not available"):
            getattr(stages, text)


def test_the_graph_of_what_has_no_native_code():
    stages = Stages(Uncompiled(record(np.sin, 0.5).graph, "no such machine", "f", False))
    assert "sin" in str(stages.graph) and "sin" in stages.loops
    with pytest.raises(Unsupported, match="no such machine"):
        _ = stages.llvm


@native
def test_html():
    f = sciad.jit(sevenfold)
    f(np.ones(7))
    page = f.report()._repr_html_()
    assert page.count("<tr>") == 2 and "7 branches" in page
    h = sciad.jit(lambda x: x)
    assert "&lt;lambda&gt;" in h.report()._repr_html_()


@native
def test_every_stage_is_text():
    stages = sciad.jit(sevenfold, strict=True).lower(np.ones(7))
    assert "cond" in str(stages.graph) or "where" in str(stages.graph)
    assert len(stages.simplified) <= len(stages.graph)
    for text in (stages.loops, stages.llvm, stages.optimised, stages.assembly, repr(stages)):
        assert isinstance(text, str) and len(text) > 100
    assert "define" in stages.llvm and "define" in stages.optimised
