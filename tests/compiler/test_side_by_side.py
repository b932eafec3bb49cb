"""Compiled calls of two threads are inside machine code at once.

Nothing is timed: each call waits in its middle until the other one is there, too. In machine code
they meet at a barrier of the system, so that a call that kept Python's lock would wait for ever;
that part runs in a process of its own, which can be ended.
"""

import ctypes
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.core.rules import Constant

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")
BARRIER = threading.Barrier(2, timeout=60.0)
ARMED = []


def wait(x):
    if ARMED:
        BARRIER.wait()
    return x


meet = Constant("meet", wait, lambda x: x, effect=True)
"""`x`, once both threads are here; without a native form, so that compiled code calls back."""


def test_two_calls_meet_in_a_callback():
    f = sciad.jit(lambda x: sciad.fori_loop(0, 3, lambda k, y: np.sin(meet(y)) + x, x), strict=True)
    g = sciad.jit(lambda x: meet(np.cos(x)) + meet(x) + meet(x * x), strict=True)
    points = np.float64(0.3), np.float64(0.4)
    want = [f(points[0]), g(points[1])]
    found = [None, None]

    def work(k, function):
        found[k] = function(points[k])

    assert "calls back" in str(f.report()) and "calls back" in str(g.report())
    ARMED.append(True)
    try:
        threads = [threading.Thread(target=work, args=pair) for pair in enumerate((f, g))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
    finally:
        ARMED.clear()
    assert found == want and not BARRIER.broken


MEETING = """
import ctypes, threading
import numpy as np
import sciad
from sciad.compiler import loops as ir
from sciad.compiler.lower import lowering
from sciad.core.rules import Constant

libc = ctypes.CDLL(None)
barrier = ctypes.create_string_buffer(128)
libc.pthread_barrier_init(barrier, None, 2)
meet_p = Constant("meet", lambda x: x, lambda x: x, effect=True)

@lowering(meet_p)
def _meet(em, step, x):
    wait = em.pointer(ctypes.cast(libc.pthread_barrier_wait, ctypes.c_void_p).value, libc)
    where = em.pointer(ctypes.addressof(barrier), barrier)
    em.emit(ir.Call(wait, (where,), em.fresh("s")))
    return [x]

def program(x):
    return sciad.fori_loop(0, 5, lambda k, y: np.sin(meet_p(y)) + x, x)

functions = [sciad.jit(lambda x: program(x)), sciad.jit(lambda x: np.sum(program(x)))]
found = [None, None]

def work(k, x):
    found[k] = functions[k](x)

args = np.linspace(0.0, 1.0, 300), np.linspace(0.0, 1.0, 200)
threads = [threading.Thread(target=work, args=pair) for pair in enumerate(args)]
for t in threads: t.start()
for t in threads: t.join()
for k, x in enumerate(args):
    y = x
    for _ in range(5): y = np.sin(y) + x
    np.testing.assert_allclose(found[k], (y, y.sum())[k], rtol=1e-12)
print("met")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or not hasattr(ctypes.CDLL(None), "pthread_barrier_wait"),
                    reason="no barriers here")
def test_two_calls_meet_in_machine_code():
    done = subprocess.run([sys.executable, "-c", MEETING], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.stdout.strip() == "met", done.stderr
