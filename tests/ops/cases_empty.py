"""The case table of arrays without entries, where NumPy takes them."""

import numpy as np

from sciad import numpy as snp
from tests.ops.cases import Case, complex_, real

LINES = {
    name: getattr(np, name) for name in (
        "max", "min", "sum", "mean", "prod", "var", "std", "ptp", "median", "nanmax", "nansum",
        "cumsum", "cumprod", "sort", "flip", "diff")
} | {
    "quantile": lambda x, axis: np.quantile(x, 0.3, axis=axis),
    "maximum.reduce": lambda x, axis: np.maximum.reduce(x, axis=axis),
    "maximum.accumulate": lambda x, axis: np.maximum.accumulate(x, axis=axis),
    "logaddexp.reduce": lambda x, axis: np.exp(np.logaddexp.reduce(x, axis=axis)),
    "fft": lambda x, axis: np.abs(np.fft.fft(x, axis=axis)),
    "rfft": lambda x, axis: np.abs(np.fft.rfft(x, axis=axis)),
    "irfft": lambda x, axis: np.fft.irfft(x, 4, axis=axis),
    "norm": lambda x, axis: np.linalg.norm(x, axis=axis),
}
"""Functions along an axis."""

BARE = ("sum", "prod", "nansum", "cumsum", "cumprod", "sort", "flip", "norm")
"""Those of them that take an axis without entries."""


def _table():
    for name, f in LINES.items():
        yield Case(f"empty {name}", lambda x, f=f: f(x, axis=0) * 2.0, (real(3, 0),))
    for name in BARE:
        yield Case(f"{name} of nothing at all", lambda x, f=LINES[name]: f(x, axis=1) * 2.0,
                   (real(3, 0),))
    yield Case("fft to 4 of nothing", lambda x: np.fft.fft(x, 4), (complex_(2, 0),))
    yield Case("fft2 of nothing", lambda x: np.fft.fft2(x, axes=(0, 1)), (complex_(3, 2, 0),))
    yield Case("max of empty[c128]", lambda x: np.max(x, axis=0), (complex_(3, 0),))
    yield Case("cumsum of empty[c128]", lambda x: np.cumsum(x, axis=1), (complex_(3, 0),))
    yield Case("add to nothing", _added, (real(3, 0), real(2, 0)))
    yield Case("add nothing at all", lambda x, v: _added(x, v[:0], np.zeros(0, int)),
               (real(3, 2), real(2, 2)))
    yield Case("write to nothing", _written, (real(3, 0), real(2, 0)))
    for shapes in [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0))]:
        yield Case(f"einsum of nothing {shapes}", lambda x, y: np.einsum("ij,jk->ik", x, y),
                   tuple(real(*shape) for shape in shapes))
    for name in ("det", "inv"):
        yield Case(f"{name} of no matrices", getattr(np.linalg, name), (real(0, 2, 2),))
    yield Case("solve no systems", np.linalg.solve, (real(0, 2, 2), real(0, 2, 1)))
    yield Case("interp at no points", lambda x, y: np.interp(x, [0.0, 1.0, 2.0], y),
               (real(0), real(3)))


def _added(x, v, rows=(0, 2)):
    out = x * x
    np.add.at(out, np.asarray(rows), v)
    return out * x


def _written(x, v):
    out = snp.copy(x)
    out[np.array([0, 2])] = v
    return out * x


CASES = list(_table())
