"""jit of a sparse derivative compiles its products."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import sciad
from sciad.compiler import llvm
from sciad.core.errors import ArgumentError

pytestmark = pytest.mark.skipif(not llvm.available(), reason="no native code here")
X = np.linspace(0.1, 1.0, 30)


def heat(u, rate=0.3):
    inner = rate * (u[:-2] - 2.0 * u[1:-1] + u[2:]) + np.sin(u[1:-1]) ** 2
    return np.concatenate([u[:1], inner, u[-1:]])


def energy(u):
    return np.sum((u[1:] - u[:-1] ** 2) ** 2)


CASES = {
    "jacobian": (sciad.jacobian(heat, sparsity="auto"), sciad.jacobian(heat)),
    "by rows": (sciad.jacobian(heat, mode="reverse", sparsity="auto"), sciad.jacobian(heat)),
    "given pattern": (sciad.jacobian(heat, sparsity=sciad.sparsity(heat, X)), sciad.jacobian(heat)),
    "hessian": (sciad.hessian(energy, sparsity="auto"), sciad.hessian(energy)),
    "of a jitted function": (sciad.jacobian(sciad.jit(heat), sparsity="auto"),
                             sciad.jacobian(heat)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_is_the_same(name):
    sparse, dense = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = sciad.jit(sparse, strict=True)
        for x in (X, X[::-1].copy(), *([] if name == "given pattern" else [X[:12]])):
            got = compiled(x)
            assert isinstance(got, sp.csr_array) and got.nnz == sparse(x).nnz < got.shape[0] ** 2
            np.testing.assert_allclose(got.toarray(), dense(x), rtol=1e-12, atol=1e-12)
    signatures = compiled.report().signatures
    assert signatures and not any(s["eager"] for s in signatures)
    assert "sin" in str(compiled.lower(X).graph) or name == "hessian"


def test_other_arguments_and_auxiliary_results():
    f = sciad.jit(sciad.jacobian(lambda u, rate: (heat(u, rate), {"rate": rate}), has_aux=True,
                                 sparsity="auto"))
    for rate in (0.5, 2.0):
        matrix, aux = f(X, rate)
        np.testing.assert_allclose(matrix.toarray(), sciad.jacobian(heat)(X, rate), atol=1e-12)
        assert aux == {"rate": rate}


def test_it_pickles_and_tells_what_to_save(tmp_path):
    f = sciad.jit(sciad.jacobian(heat, sparsity="auto"))
    again = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(again(X).data, f(X).data)
    with pytest.raises(ArgumentError, match="save the jitted function"):
        f.save(tmp_path / "f.sciad")
    jitted = sciad.jit(heat)
    jitted.save(tmp_path / "f.sciad", X)
    loaded = sciad.load_compiled(tmp_path / "f.sciad")
    np.testing.assert_allclose(sciad.jacobian(loaded, sparsity="auto")(X).data, f(X).data)
