"""The memory of large results is used again, and never by two arrays at once."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm, memory

pytestmark = pytest.mark.skipif(not llvm.available() or not sys.platform.startswith("linux"),
                                reason="NumPy's own allocator serves here")
SHAPE = (memory.LEAST // 8,)
FLOAT = np.dtype(float)


def allocator(x):
    return np._core.multiarray.get_handler_name(x)


def test_large_arrays_own_memory_of_ours():
    x = memory.empty((3, *SHAPE), FLOAT)
    assert allocator(x) == "sciad" and x.flags.owndata and x.base is None
    assert x.ctypes.data % 2**21 == 0 and x.shape == (3, *SHAPE)
    assert allocator(np.empty(SHAPE)) != "sciad"


@pytest.mark.parametrize("shape", [(), (10,), (memory.LEAST // 8 - 1,), (0, 10**9),
                                   (memory.MOST // 8 + 1,)])
def test_others_are_numpys(shape):
    assert allocator(memory.empty(shape, FLOAT)) != "sciad"


def test_memory_comes_back():
    x = memory.empty(SHAPE, FLOAT)
    place = x.ctypes.data
    view = x[5:10]
    del x
    gc.collect()
    assert memory.empty(SHAPE, FLOAT).ctypes.data != place  # the view holds it
    view[:] = 1
    del view
    assert place in {memory.empty(SHAPE, FLOAT).ctypes.data for _ in range(3)}
    assert memory.empty((SHAPE[0] + 1,), FLOAT).ctypes.data != place  # of another size


def test_live_arrays_share_nothing():
    rows = [memory.empty(SHAPE, FLOAT) for _ in range(5)]
    for k, row in enumerate(rows):
        row.fill(k)
    for _ in range(4):
        rows.pop(1)
        rows.append(memory.empty(SHAPE, FLOAT))
        rows[-1].fill(rows[-2][0] + 1)
    assert len({row[0] for row in rows}) == 5
    assert all(row[0] == row[-1] and (row == row[0]).all() for row in rows)


def test_resize_in_place():
    x = memory.empty(SHAPE, FLOAT)
    x[:3] = [1, 2, 3]
    x.resize(2 * SHAPE[0], refcheck=False)
    assert x[2] == 3 and x[-1] == 0
    x.resize(3, refcheck=False)
    assert x.tolist() == [1, 2, 3]


def test_compiled_results():
    x = np.linspace(0, 1, SHAPE[0])
    f = sciad.jit(lambda x: x * x + 1.0)
    first, second = f(x), f(x)
    assert allocator(first) == "sciad"
    first[:] = -1.0
    np.testing.assert_array_equal(second, x * x + 1.0)
    for _ in range(4):
        x = f(x) * 0.5
    assert np.isfinite(x).all()


def test_threads():
    wrong = []

    def work(seed):
        for k in range(20):
            x = memory.empty(SHAPE, FLOAT)
            x[:1000] = x[-1000:] = seed * 100 + k
            if not (x[:1000] == seed * 100 + k).all() or x[-1] != seed * 100 + k:
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_arrays_may_outlive_the_compiler():
    program = ("import sys, numpy as np\nfrom sciad.compiler import memory\n"
               f"sys.kept = memory.empty({SHAPE}, np.dtype(float))\nkept = sys.kept[:4]\n"
               f"other = memory.empty({SHAPE}, np.dtype(float))\nother.fill(1)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
