"""What a function does besides computing happens at every call, or the function is not compiled."""

import io
import logging
import pathlib
import random
import sys
import threading
import warnings

import numpy as np
import pytest
from scipy.optimize import fsolve

import sciad
from sciad.compiler import llvm
from sciad.compiler.jit import FallbackWarning
from sciad.compiler.purity import watched
from sciad.core.errors import RecordError
from sciad.ode import solve_ivp

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")


def compiled(f, reason):
    """A jitted function that the first call finds impure."""
    function = sciad.jit(f)
    with pytest.warns(FallbackWarning, match=f"{f.__name__} runs eagerly: {reason}.*test_purity"):
        function(1.0)
    with pytest.raises(RecordError, match=reason):
        sciad.jit(f, strict=True)(1.0)
    return function


def logs(x):
    logging.warning("x is %s", x)
    return 2 * x


def logs_in_a_branch(x):
    if x > 5:
        logging.getLogger("test").error("large")
    return 2 * x


def logs_what_nobody_hears(x):
    logging.getLogger("test").debug("x is here")
    return 2 * x


def warns(x):
    if x > 2:
        warnings.warn("large", stacklevel=1)
    return 2 * x


def complains(x):
    print("x is there", file=sys.stderr)
    return 2 * x


def test_logs_come_at_every_call(caplog):
    function = compiled(logs, "it logs")
    caplog.clear()
    for _ in range(3):
        function(3.0)
    assert caplog.messages == 3 * ["x is 3.0"]


def by_way(x):
    if x > 0:
        x = 2 * x
    logging.warning("x is %s", x)
    return x


def test_what_every_path_does_keeps_the_function_from_compiling():
    compiled(by_way, "it logs")


def test_a_branch_that_does_more_than_compute_runs_eagerly(caplog):
    function = sciad.jit(logs_in_a_branch, strict=True)
    assert function(1.0) == 2.0 and not caplog.messages
    with pytest.warns(FallbackWarning, match="runs eagerly: it logs.*test_purity.*in a branch"):
        assert function(6.0) == 12.0
    function(1.0), function(7.0)
    assert caplog.messages == 2 * ["large"]
    signature, = function.report().signatures
    (why, count), = signature["repeated"].items()
    assert count == 2 and "it logs" in why
    slope = sciad.jit(sciad.grad(logs_in_a_branch))
    with pytest.warns(FallbackWarning, match="in a branch"):
        assert slope(6.0) == slope(1.0) == 2.0
    assert caplog.messages == 3 * ["large"]


def test_a_log_below_the_level_costs_nothing():
    assert sciad.jit(logs_what_nobody_hears, strict=True)(2.0) == 4.0


def test_warnings_come_at_every_call():
    function = sciad.jit(warns, strict=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for x in (1.0, 3.0, 4.0):
            function(x)
    large = [warning for warning in seen if warning.category is UserWarning]
    assert [str(warning.message) for warning in large] == 2 * ["large"]
    assert all(warning.filename == __file__ for warning in seen) and len(seen) == 3


def test_errors_are_printed_at_every_call(capsys):
    function = compiled(complains, "it prints")
    capsys.readouterr()
    function(1.0), function(1.0)
    assert capsys.readouterr().err == 2 * "x is there\n"


def test_files_are_written_and_read_at_every_call(tmp_path):
    path = str(tmp_path / "numbers")
    np.savetxt(path, [2.0])

    def appends(x):
        with open(path, "a") as file:
            file.write("3.0\n")
        return 2 * x

    def reads(x):
        return x * len(pathlib.Path(path).read_text().split())

    def loads(x):
        return x * np.sum(np.loadtxt(path))

    function = compiled(appends, "it opens a file")
    before = len(pathlib.Path(path).read_text().split())
    function(1.0), function(1.0)
    assert len(pathlib.Path(path).read_text().split()) == before + 2
    for f in (reads, loads):
        function = compiled(f, "it opens a file")
        assert function(1.0) == f(1.0)
        appends(1.0)
        assert function(1.0) == f(1.0)


def test_a_right_hand_side_that_logs(caplog):
    def rhs(t, y):
        logging.getLogger("test").warning("called")
        return -y

    solve_ivp(rhs, (0.0, 1.0), np.ones(1))
    assert len(caplog.messages) > 6


def test_a_swallowed_refusal_is_raised():
    def f(x):
        try:
            logging.warning("now")
        except TypeError:
            return x
        return 2 * x

    assert compiled(f, "it logs")(1.0) == 2.0


def test_the_hooks_refuse_one_thread_and_leave_nothing_behind():
    before = (sys.stdout, sys.stderr, sys.excepthook, open, io.open, warnings.warn,
              logging.Logger.handle)
    inside, leave = threading.Event(), threading.Event()

    def record():
        with watched():
            inside.set()
            leave.wait(30)

    other = threading.Thread(target=record)
    with watched():
        other.start()
        inside.wait(30)
        for refused in (lambda: print("x"), lambda: open(__file__), lambda: logging.error("x")):
            with pytest.raises(RecordError):
                refused()
    with open(__file__) as file:  # this thread is not watched any more, the other one is
        assert file.read(1) == '"'
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn("here", stacklevel=1)
    assert seen[0].filename == __file__
    leave.set()
    other.join()
    assert before == (sys.stdout, sys.stderr, sys.excepthook, open, io.open, warnings.warn,
                      logging.Logger.handle)


def test_what_a_function_could_do_and_does_not_is_no_matter(tmp_path):
    def f(x, path=None):
        if path is not None:
            with open(path, "w") as file:
                file.write("x")
        if x.size > 5:
            warnings.warn("many", stacklevel=1)
            print("many", file=sys.stderr)
        return 2 * x

    np.testing.assert_array_equal(sciad.jit(f, strict=True)(np.ones(3)), [2, 2, 2])


DRAWING = {
    "summand": (lambda x: np.sum(x + np.random.normal(size=3)), "np.random"),
    "factor": (lambda x: x * random.random(), "random"),
    "branch": (lambda x: x if np.random.normal() > 0.0 else 2 * x, "np.random"),
    "in a branch": (lambda x: x * np.random.normal() if x > 0 else x, "np.random"),
    "derivative": (sciad.grad(lambda x: x * np.random.normal()), "np.random"),
}


@pytest.mark.parametrize("name", DRAWING)
def test_global_draws_are_named_with_their_cure(name):
    f, home = DRAWING[name]
    place = "" if name == "branch" else r" \(at .*test_purity.py:\d+\)"
    cure = rf"global generator of {home}{place}.*sciad\.random\.normal\(key"
    with pytest.raises(RecordError, match=cure):
        sciad.jit(f, strict=True)(1.0)


def fsolved(a):
    return fsolve(lambda x: x**2 - a, 1.0)[0]


def test_what_a_callback_of_compiled_code_raises_is_not_printed(capfd):
    root = sciad.custom_rule(fsolved)
    root.vjp(lambda a: (root(a), lambda g: g / (2 * root(a))))
    assert sciad.jit(root, strict=True)(2.0) == pytest.approx(2**0.5)
    assert sciad.jit(sciad.grad(root), strict=True)(2.0) == pytest.approx(0.5 / 2**0.5)
    assert capfd.readouterr() == ("", "")


def test_what_it_raises_of_its_own_is_printed_as_without_jit(capfd):
    def f(x):
        try:
            fsolve(lambda y: y if y[0] == 1.0 else ["text"], 1.0)
        except Exception:
            return 2 * x

    eager = f(1.0), capfd.readouterr().err.count("ValueError")
    with pytest.warns(FallbackWarning, match="it prints an exception.*test_purity"):
        assert (sciad.jit(f)(1.0), capfd.readouterr().err.count("ValueError")) == eager
