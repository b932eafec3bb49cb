"""Every case of every table: compiled without falling back, values and gradients are eager's.

What has no native form is called back, so that nothing here may run eagerly as a whole.
"""

import re

import numpy as np
import pytest

import sciad
from sciad.compiler import llvm
from sciad.core import tree
from tests.ops.tables import CASES

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not llvm.available(), reason="no native code here"),
              pytest.mark.filterwarnings("ignore::RuntimeWarning")]

UNRECORDED = re.compile(r"imag\(\)|\w+\.at|(matrix |vector )?norm ?\[(inf|-inf|0.5|2.5)\]|"
                        r"cond \[-?inf\]|vector_norm \[inf\]")
"""Cases that write into what they close over, and those that ask a captured number for its value
(the kind of a norm, an index): recording refuses these."""


def flat(x):
    return [np.asarray(leaf) for leaf in tree.flatten(x)[0]]


def same(got, want):
    got, want = flat(got), flat(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        if b.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, b)
            continue
        eps = np.finfo(b.dtype).eps
        largest = np.max(np.abs(b[np.isfinite(b)]), initial=0.0) or 1.0
        np.testing.assert_allclose(a, b, rtol=64 * eps, atol=512 * eps * largest)


@pytest.mark.parametrize("case", [c for c in CASES if not UNRECORDED.fullmatch(c.name)],
                         ids=lambda c: c.name)
def test_every_case_compiles(case):
    def loss(*args):
        return sum(np.sum(np.sin(y.real if y.dtype.kind == "c" else y))
                   for y in tree.flatten(case.function(*args))[0] if y.dtype.kind in "fcO")

    floats = [k for k, x in enumerate(case.args) if np.asarray(x).dtype.kind in "fc"]
    functions = [case.function]
    if case.order > 1 and floats:
        functions.append(sciad.grad(loss, floats))
    for f in functions:
        with np.errstate(all="ignore"):
            want = f(*case.args)
        same(sciad.jit(f, strict=True)(*case.args), want)
