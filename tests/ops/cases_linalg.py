"""The case table of `numpy.linalg`."""

import numpy as np

from sciad.ops.degenerate import repeated
from sciad.ops.determinant import cofactor_p
from sciad.ops.eigh import slopes, turned
from sciad.ops.pseudoinverse import lstsq_p
from tests.ops.cases import Case, complex_, real


def general(*shape, dtype=np.float64, seed=0):
    """Full rank, singular values well apart."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    rows, columns = shape[-2:]
    u, _, v = np.linalg.svd(x, full_matrices=False)
    return (u * (1.0 + 0.7 * np.arange(min(rows, columns))) @ v).astype(dtype)


def hermitian(n, dtype=np.float64, seed=0):
    """Eigenvalues 1, 1.8, 2.6, ..."""
    q = np.linalg.qr(general(n, n, dtype=dtype, seed=seed))[0]
    return ((q * (1.0 + 0.8 * np.arange(n))) @ q.conj().T).astype(dtype)


DTYPES = [np.float64, np.complex128]


def _table():
    yield from _square()
    for dtype in DTYPES:
        yield from _hermitian(np.dtype(dtype).name, dtype)
        yield from _rectangular(np.dtype(dtype).name, dtype)
    yield from _along_directions()
    yield from _general_eigenvalues()
    yield from _norms()
    yield from _products()


def _along_directions():
    """What a direction does to the values, single and repeated ones."""
    for values in ([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]):
        same, name = repeated(np.array(values)), f"{values[2]:g}"
        for dtype in DTYPES:
            kind, a = np.dtype(dtype).name, hermitian(3, dtype)
            yield Case(f"slopes {name} {kind}",
                       lambda a, same=same: slopes(0.5 * (a + a.conj().T), same), (a,))
        yield Case(f"turned {name}", lambda g, a=a, same=same: turned(a, same, g), (real(3),))


def _square():
    singular = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    for dtype in DTYPES:
        name, a = np.dtype(dtype).name, general(3, 3, dtype=dtype)
        yield Case(f"det {name}", np.linalg.det, (a,), 3)
        yield Case(f"slogdet {name}", lambda a: tuple(np.linalg.slogdet(a)), (a,))
        yield Case(f"inv {name}", np.linalg.inv, (a,))
        for n in [-2, 0, 1, 5]:
            yield Case(f"matrix_power {n} {name}",
                       lambda a, n=n: np.linalg.matrix_power(a, n), (a,))
        yield Case(f"cofactor {name}", cofactor_p, (a,))
    yield Case("det of a stack", np.linalg.det, (general(2, 3, 3),))
    yield Case("det at rank 2", np.linalg.det, (singular,))
    yield Case("det at rank 1", np.linalg.det, (np.outer([1.0, 2.0, -1.0], [0.5, 1.0, 3.0]),))
    yield Case("det at zero", np.linalg.det, (np.zeros((2, 2)),))
    yield Case("det of 1 x 1", np.linalg.det, (np.array([[0.0]]),))
    yield Case("det[f32]", np.linalg.det, (general(3, 3, dtype=np.float32),), 1)
    yield Case("slogdet of a stack", lambda a: np.linalg.slogdet(a)[1], (general(2, 3, 3),))
    yield Case("tensorinv", lambda a: np.linalg.tensorinv(a.reshape(2, 2, 4), 2),
               (general(4, 4),))
    yield Case("tensorsolve", lambda a, b: np.linalg.tensorsolve(a.reshape(2, 2, 4), b),
               (general(4, 4), real(2, 2)))


def _hermitian(name, dtype):
    a = hermitian(3, dtype)
    yield Case(f"cholesky {name}", np.linalg.cholesky, (a,))
    yield Case(f"cholesky upper {name}", lambda a: np.linalg.cholesky(a, upper=True), (a,))
    yield Case(f"cholesky of a stack {name}", np.linalg.cholesky,
               (np.stack([a, hermitian(3, dtype, 1)]),))
    for uplo in "LU":
        yield Case(f"eigvalsh {uplo} {name}", lambda a, u=uplo: np.linalg.eigvalsh(a, u), (a,))

        def function_of_matrix(a, u=uplo):
            w, v = np.linalg.eigh(a, u)
            return (v * np.sin(w)) @ np.conj(v).T

        yield Case(f"eigh {uplo} {name}", function_of_matrix, (a,))
        yield Case(f"eigh vectors {uplo} {name}",
                   lambda a, u=uplo: np.abs(np.linalg.eigh(a, u)[1]) ** 2, (a,))
    yield Case(f"eigvalsh of a stack {name}", np.linalg.eigvalsh,
               (np.stack([a, hermitian(3, dtype, 1)]),))


def _rectangular(name, dtype):
    for rows, columns in [(4, 2), (3, 3), (2, 4)]:
        a = general(rows, columns, dtype=dtype)
        label = f"{rows}x{columns} {name}"
        for mode in ["reduced", "complete"]:
            yield Case(f"qr {mode} {label}", lambda a, m=mode: tuple(np.linalg.qr(a, m)), (a,))
        yield Case(f"qr r {label}", lambda a: np.linalg.qr(a, "r"), (a,))
        yield Case(f"svdvals {label}", np.linalg.svdvals, (a,))
        yield Case(f"svd values {label}", lambda a: np.linalg.svd(a, compute_uv=False), (a,))

        def function_of_matrix(a):
            u, s, vh = np.linalg.svd(a, full_matrices=False)
            return (u * np.sin(s)) @ vh

        def sizes(a):
            return np.abs(np.linalg.svd(a, full_matrices=False)[0]) ** 2

        def projectors(a):
            u, s, vh = np.linalg.svd(a)
            k = s.shape[0]
            left, right = u[:, k - 1:], vh[k - 1:]
            return left @ np.conj(left).T, np.conj(right).T @ right

        yield Case(f"svd {label}", function_of_matrix, (a,))
        yield Case(f"svd vectors {label}", sizes, (a,))
        yield Case(f"svd full {label}", projectors, (a,))
        yield Case(f"pinv {label}", np.linalg.pinv, (a,))
        yield Case(f"lstsq operation {label}", lambda a, b: lstsq_p(a, b, rcond=1e-15),
                   (a, real(rows, 2) + 0 * a[:, :1].real))
    for shape in [(2, 4, 2), (2, 3, 3), (2, 2, 4)]:
        a = general(*shape, dtype=dtype)
        yield Case(f"qr of a stack {shape} {name}", lambda a: tuple(np.linalg.qr(a)), (a,))
        yield Case(f"complete qr of a stack {shape} {name}",
                   lambda a: np.linalg.qr(a, "complete")[0], (a,))
        yield Case(f"svdvals of a stack {shape} {name}", np.linalg.svdvals, (a,))
        yield Case(f"pinv of a stack {shape} {name}", np.linalg.pinv, (a,))


def _general_eigenvalues():
    a = general(3, 3, dtype=np.complex128)
    yield Case("eig", lambda a: tuple(np.linalg.eig(a)), (a,))
    yield Case("eigvals", np.linalg.eigvals, (a,))
    yield Case("eig of a stack", lambda a: tuple(np.linalg.eig(a)),
               (general(2, 3, 3, dtype=np.complex128),))


def _norms():
    x, a = real(4), general(3, 3)
    for order in [0, 0.5, -1, -2, 2.5]:
        yield Case(f"vector norm [{order}]", lambda x, o=order: x * np.linalg.norm(x, o), (x,))
    for order in [2, -2, "nuc"]:
        yield Case(f"spectral norm [{order}]", lambda a, o=order: np.linalg.norm(a, o), (a,))
        yield Case(f"spectral norm axes [{order}]",
                   lambda a, o=order: np.linalg.norm(a, o, (0, 2), True),
                   (general(2, 3, 3).transpose(1, 0, 2),))
    for order in [None, 2, -2, 1, -1, "fro", np.inf, -np.inf, "nuc"]:
        yield Case(f"cond [{order}]", lambda a, o=order: np.linalg.cond(a, o), (a,))
    for order in [1, 2, 3, np.inf]:
        yield Case(f"vector_norm [{order}]",
                   lambda x, o=order: np.linalg.vector_norm(x, axis=(0, 2), ord=o, keepdims=True),
                   (real(2, 3, 2),))
    yield Case("vector_norm", np.linalg.vector_norm, (complex_(2, 3),))
    for order in ["fro", 2, "nuc", 1]:
        yield Case(f"matrix_norm [{order}]",
                   lambda a, o=order: np.linalg.matrix_norm(a, ord=o, keepdims=True),
                   (general(2, 3, 4),))


def _products():
    for k in [-1, 0, 2]:
        yield Case(f"linalg trace {k}", lambda a, k=k: np.linalg.trace(a, offset=k),
                   (real(2, 3, 4),))
        yield Case(f"linalg diagonal {k}", lambda a, k=k: np.linalg.diagonal(a, offset=k) ** 2,
                   (real(2, 3, 4),))
    yield Case("linalg cross", np.linalg.cross, (real(2, 3), real(2, 3, seed=1)))
    yield Case("linalg outer", np.linalg.outer, (real(2), real(3)))
    yield Case("linalg matmul", np.linalg.matmul, (real(2, 3), real(3, 2)))
    yield Case("linalg vecdot", np.linalg.vecdot, (complex_(2, 3), complex_(3, seed=1)))
    yield Case("linalg tensordot", np.linalg.tensordot, (real(2, 3, 2), real(3, 2, 4)))
    yield Case("linalg matrix_transpose", lambda a: np.linalg.matrix_transpose(a) ** 2,
               (real(2, 3, 4),))


CASES = list(_table())
