"""The case table of the wide namespace: functions of `sciad.numpy` beyond the elementary ones."""

import numpy as np

from sciad import numpy as snp
from tests.ops.cases import Case, binary, complex_, matrix, positive, real, unary, unit


def _table():
    yield from _more_elementwise()
    yield from _contractions()
    yield from _orders()
    yield from _arrangements()
    yield from _calculus()
    yield from _picks()
    yield from _dtypes()


def _more_elementwise():
    yield from binary(np.logaddexp, real, real)
    yield from binary(np.logaddexp2, real, real)
    yield from binary(np.copysign, real, real)
    yield from binary(np.fmod, real, positive)
    yield from binary(np.fmax, real, lambda *s, **k: real(*s, **k) + 0.05, name="fmax")
    yield from binary(np.fmin, real, lambda *s, **k: real(*s, **k) + 0.05, name="fmin")
    yield from binary(lambda x, y: np.heaviside(x, y) * x, real, real, name="heaviside")
    yield Case("heaviside at zero", lambda x: np.heaviside([-1.0, 0.0, 2.0], x), (real(3),))
    yield Case("fmax of NaN", lambda x: np.fmax(np.array([np.nan, 9.0, -9.0]), x), (real(3),))
    yield Case("logaddexp at a tie", lambda x: np.logaddexp(x, 2 * x - 1.0), (np.ones(2),))
    yield Case("logaddexp of -inf", lambda x: np.logaddexp(x, -np.inf), (real(3),))
    for function in [np.arcsinh, np.arctanh]:
        yield from unary(function, unit, True)
    yield from unary(np.exp2, unit, True)
    yield from unary(np.arccosh, lambda *s, **k: positive(*s, **k) + 1, True, "arccosh")
    for function in [np.cbrt, np.deg2rad, np.rad2deg, np.fix]:
        yield from unary(function, real)
    yield from unary(np.sinc, real, True)
    yield Case("sinc at zero", np.sinc, (np.array([0.0, 1e-3, 0.31, 0.32]),))
    yield Case("modf", lambda x: np.modf(3 * x), (real(4),))
    yield Case("divmod", lambda x: np.divmod(x, 0.4), (real(4),))
    yield Case("round", lambda x: x * np.round(x, 1), (real(4),))
    yield Case("signbit", lambda x: x * np.signbit(x), (real(4),))
    yield Case("isclose", lambda x: x * np.isclose(x, x[0]), (real(4),))
    yield Case("nan_to_num", lambda x: np.nan_to_num(
        np.where([True, False, False], x, [0.0, np.nan, np.inf]), nan=2.0, posinf=3.0) ** 2,
               (real(3),))
    yield Case("angle degrees", lambda z: np.angle(z, deg=True), (complex_(3),))
    yield Case("ldexp", lambda x: np.ldexp(x, np.array([1, -2, 3])), (real(3),))
    yield Case("bitwise", lambda x: x * (np.bitwise_and(x > 0, x < 1) | np.invert(x > -1)),
               (real(4),))
    yield Case("isposinf", lambda x: x * ~np.isposinf(x) * ~np.isneginf(x), (real(4),))
    yield Case("transpose of matrices", lambda x: np.matrix_transpose(x) ** 2, (real(2, 1, 3),))
    yield Case("amax", lambda x: np.amax(x, axis=0) - np.amin(x), (real(2, 3),))
    yield Case("astype function", lambda x: np.astype(x, complex) * 1j, (real(3),))
    yield Case("vecdot", np.vecdot, (complex_(2, 3), complex_(3, seed=2)))


def _contractions():
    for subscripts, *shapes in [
        ("ij,jk->ik", (2, 3), (3, 2)), ("ij,jk", (2, 3), (3, 2)), ("ij->ji", (2, 3)),
        ("ij->", (2, 3)), ("ii", (3, 3)), ("ii->i", (3, 3)), ("iij->j", (2, 2, 3)),
        ("iji->j", (2, 3, 2)), ("iii->i", (2, 2, 2)), ("i,i", (3,), (3,)), ("i,j", (2,), (3,)),
        ("bij,bjk->bik", (2, 2, 3), (2, 3, 1)), ("...ij,...jk", (4, 2, 3), (3, 2)),
        ("...i->...", (2, 3)), ("i...,i...->...", (2, 3), (2, 1)), ("ij,ij->ij", (1, 3), (2, 3)),
        ("ijk,kl,jm->ilm", (2, 3, 2), (2, 2), (3, 2)), ("i,ij,j", (2,), (2, 3), (3,)),
        ("ab,bc,cd,de->ae", (2, 2), (2, 3), (3, 2), (2, 2)), ("ij,i->i", (2, 3), (2,)),
        ("ba,cb", (2, 3), (2, 2)), ("i,->i", (3,), ()), ("i,i->i", (0,), (0,)),
        ("ij,jk->ik", (2, 0), (0, 3)),
    ]:
        args = tuple(real(*shape, seed=k) for k, shape in enumerate(shapes))
        yield Case(f"einsum {subscripts} {shapes}",
                   lambda *xs, s=subscripts: np.einsum(s, *xs), args)
    yield Case("einsum same operand", lambda x: np.einsum("ij,kj->ik", x, x), (real(2, 3),))
    yield Case("einsum lists", lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]),
               (real(2, 3), real(3, 2)))
    yield Case("einsum lists, ellipsis", lambda x: np.einsum(x, [Ellipsis, 1, 1]), (real(2, 3, 3),))
    yield Case("einsum optimize", lambda x: np.einsum("ij,jk,kl->il", x, x, x, optimize=True),
               (matrix(2),))
    yield Case("einsum[c128]", lambda x, y: np.einsum("ij,jk->i", x, y),
               (complex_(2, 3), complex_(3, 2)))
    yield Case("einsum[mixed]", lambda x, y: np.einsum("ij,j->i", x, y), (real(2, 3), complex_(3)))
    yield Case("einsum[f32]", lambda x: np.einsum("ij,kj->ik", x, x),
               (real(2, 3, dtype=np.float32),), 1)
    for axes, a, b in [(1, (2, 3), (3, 2)), (2, (2, 3, 2), (3, 2)), (0, (2,), (3,)),
                       (([0, 1], [1, 0]), (2, 3, 2), (3, 2)), ((1, 0), (2, 3), (3,)),
                       ((-1, -1), (2, 3), (4, 3))]:
        yield Case(f"tensordot {axes} {a} {b}", lambda x, y, k=axes: np.tensordot(x, y, k),
                   (real(*a), real(*b, seed=3)))
    for a, b in [((2,), (3,)), ((2, 2), (1, 3)), ((2,), (2, 2)), ((), (2,))]:
        yield Case(f"kron {a} {b}", np.kron, (real(*a), real(*b, seed=3)))
    yield Case("cross", np.cross, (real(3), real(3, seed=2)))
    yield Case("cross stack", np.cross, (real(2, 3), real(3, seed=2)))
    yield Case("cross axes", lambda x, y: np.cross(x, y, axisa=0, axisc=0),
               (real(3, 2), real(2, 3, seed=2)))
    yield Case("multi_dot", lambda *xs: np.linalg.multi_dot(xs), (real(3), real(3, 2), real(2, 3)))
    yield Case("trace offset", lambda x: np.trace(x, offset=1, axis1=1, axis2=2), (real(2, 2, 3),))
    yield Case("outer ufunc", lambda x, y: np.multiply.outer(x, y), (real(2), real(2, 2)))
    yield Case("subtract outer", lambda x: np.subtract.outer(x, x), (real(3),))


def _orders():
    for name, f in [("sort", np.sort), ("cumprod", np.cumprod), ("ptp", np.ptp),
                    ("median", np.median), ("argsort", lambda x, axis: x * (
                        np.argsort(x, axis).reshape(x.shape)))]:
        for axis in [None, 0, -1]:
            yield Case(f"{name}[{axis}]", lambda x, f=f, a=axis: f(x, axis=a), (real(3, 4),))
    yield Case("sort[c128]", np.sort, (complex_(5),))
    yield Case("sort[f32]", np.sort, (real(5, dtype=np.float32),), 1)
    yield Case("sort of nothing", np.sort, (real(0),))
    yield Case("cumprod with zeros", np.cumprod, (np.array([2.0, 0.0, 3.0, 0.0, 1.5]),))
    yield Case("cumprod[c128]", np.cumprod, (complex_(4),))
    yield Case("partition", lambda x: np.partition(x, 2)[2], (real(6),))
    yield Case("partition several", lambda x: np.partition(x, [1, 3], axis=0)[[1, 3]],
               (real(5, 2),))
    yield Case("argpartition", lambda x: x[np.argpartition(x, 1)[1]], (real(5),))
    yield Case("median keepdims", lambda x: np.median(x, axis=(0, 1), keepdims=True), (real(2, 3),))
    yield Case("median stack", lambda x: np.median(x, axis=(0, 2)), (real(2, 3, 2),))
    for q in [0.0, 0.3, 1.0, [0.25, 0.5], [[0.1], [0.9]]]:
        yield Case(f"quantile {q}", lambda x, q=q: np.quantile(x, q, axis=0), (real(5, 2),))
    yield Case("percentile", lambda x: np.percentile(x, [10, 50], keepdims=True), (real(2, 3),))
    for name, f in [("add", np.add), ("multiply", np.multiply), ("maximum", np.maximum),
                    ("minimum", np.minimum)]:
        yield Case(f"{name}.accumulate", lambda x, f=f: f.accumulate(x, axis=1), (real(2, 5),))
        yield Case(f"{name}.reduce", lambda x, f=f: f.reduce(x), (real(3, 2),))
    yield Case("logaddexp.reduce", lambda x: np.logaddexp.reduce(x, axis=1), (real(2, 4),))
    yield Case("searchsorted", lambda x: x * np.searchsorted(np.arange(-1.0, 1.0, 0.3), x),
               (real(4),))
    for n in [1, 2, 7, 8]:
        nodes = np.linspace(-1.0, 1.0, n)
        yield Case(f"searchsorted right {n}", lambda x, a=nodes: x * np.searchsorted(a, x, "right"),
                   (real(4),))
        yield Case(f"searchsorted NaN {n}", lambda x, a=nodes: x * np.searchsorted(a, np.nan * x),
                   (real(4),))
    yield Case("searchsorted of nothing", lambda x: x * np.searchsorted([], x), (real(4),))
    yield Case("digitize", lambda x: x * np.digitize(x, [-1.0, 0.0, 0.4]), (real(4),))
    yield Case("digitize down", lambda x: x * np.digitize(x, [0.4, 0.0, -1.0], True), (real(4),))
    yield Case("average", lambda x, w: np.average(x, axis=0, weights=w), (real(3, 2), positive(3)))
    yield Case("average returned", lambda x, w: np.average(x, weights=w, returned=True),
               (real(3, 2), positive(3, 2)))
    yield Case("average plain", lambda x: np.average(x, axis=1), (real(3, 2),))
    yield Case("cov", np.cov, (real(3, 4),))
    yield Case("cov two", lambda x, y: np.cov(x, y, ddof=0), (real(4), real(4, seed=2)))
    yield Case("cov columns", lambda x: np.cov(x, rowvar=False, bias=True), (real(4, 2),))
    yield Case("cov vector", np.cov, (real(4),))
    yield Case("cov[c128]", np.cov, (complex_(2, 4),))
    yield Case("corrcoef", np.corrcoef, (real(3, 4),))
    holes = np.array([[1.0, np.nan, 1.0, 1.0], [np.nan, 1.0, 1.0, np.nan]])
    for f in [np.nansum, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.nanprod]:
        yield Case(f.__name__, lambda x, f=f: f(np.where(holes > 0, x, np.nan), axis=1),
                   (real(2, 4),))
        yield Case(f"{f.__name__} of all", lambda x, f=f: f(x * 1.0, keepdims=True), (real(2, 3),))
    for q in [0.3, [0.0, 1.0]]:
        yield Case(f"nanquantile {q}", lambda x, q=q: np.nanquantile(
            np.where(holes > 0, x, np.nan), q, axis=1), (real(2, 4),))
    yield Case("nanmedian", lambda x: np.nanmedian(np.where(holes > 0, x, np.nan), keepdims=True),
               (real(2, 4),))
    yield Case("nanpercentile", lambda x: np.nanpercentile(x * 1.0, 30, axis=0), (real(5, 2),))
    for f in [np.nancumsum, np.nancumprod]:
        yield Case(f.__name__, lambda x, f=f: f(np.where(holes > 0, x, np.nan), axis=1),
                   (real(2, 4),))


def _arrangements():
    for mode in ["constant", "edge", "reflect", "symmetric", "wrap"]:
        yield Case(f"pad {mode}", lambda x, m=mode: np.pad(x, ((2, 1), (0, 3)), m), (real(3, 2),))
        yield Case(f"pad line {mode}", lambda x, m=mode: np.pad(x, 2, m) ** 2, (real(3),))
    yield Case("pad value", lambda x, v: np.pad(x, 1, constant_values=v), (real(2, 2), real()))
    yield Case("pad values", lambda x, v: np.pad(x, ((1, 2), (2, 1)), constant_values=v),
               (real(2, 2), real(2, 2)))
    for reps in [2, (2, 1), (2, 1, 3), ()]:
        yield Case(f"tile {reps}", lambda x, r=reps: np.tile(x, r), (real(2, 3),))
    yield Case("repeat", lambda x: np.repeat(x, 2), (real(2, 3),))
    yield Case("repeat axis", lambda x: np.repeat(x, [2, 0, 1], axis=1), (real(2, 3),))
    yield Case("roll axes", lambda x: np.roll(x, (1, -2), axis=(0, 1)), (real(2, 3),))
    for k in range(5):
        yield Case(f"rot90 {k}", lambda x, k=k: np.rot90(x, k, axes=(1, 2)), (real(2, 2, 3),))
    for f in [np.fliplr, np.flipud, np.triu, np.tril, np.diag, np.diagonal, np.diagflat,
              np.atleast_3d]:
        yield Case(f.__name__, lambda x, f=f: f(x) ** 2, (real(2, 3),))
    for k in [-1, 2]:
        yield Case(f"triu {k}", lambda x, k=k: np.triu(x, k), (real(2, 3, 4),))
        yield Case(f"tril {k}", lambda x, k=k: np.tril(x, k), (real(3, 4),))
        yield Case(f"diag {k}", lambda x, k=k: np.diag(x, k), (real(3),))
        yield Case(f"diag of matrix {k}", lambda x, k=k: np.diag(x, k), (real(3, 4),))
        yield Case(f"diagflat {k}", lambda x, k=k: np.diagflat(x, k), (real(2, 2),))
    yield Case("diagonal stack", lambda x: np.diagonal(x, 1, 0, 2), (real(2, 2, 3),))
    yield Case("meshgrid", lambda x, y: np.meshgrid(x, y), (real(2), real(3)))
    yield Case("meshgrid ij sparse", lambda x, y: np.meshgrid(x, y, sparse=True, indexing="ij"),
               (real(2), real(3)))
    yield Case("array_split", lambda x: tuple(np.array_split(x, 2)), (real(5),))
    yield Case("split at", lambda x: tuple(np.split(x, [1, 2], axis=1)), (real(2, 4),))
    for f in [np.hsplit, np.vsplit]:
        yield Case(f.__name__, lambda x, f=f: tuple(f(x, 2)), (real(2, 4),))
    yield Case("dsplit", lambda x: tuple(np.dsplit(x, 2)), (real(1, 2, 2),))
    yield Case("unstack", lambda x: np.unstack(x, axis=1), (real(2, 3),))
    yield Case("dstack", lambda x, y: np.dstack([x, y]), (real(2), real(2)))
    yield Case("block", lambda x, y: np.block([[x, y[:, None]], [y, 1.0]]), (real(2, 2), real(2)))
    yield Case("block line", lambda x: np.block([x, 1.0, x]), (real(2),))
    yield Case("atleast several", lambda x, y: np.atleast_2d(x, y), (real(), real(3)))
    yield Case("append", lambda x, y: np.append(x, y), (real(2, 2), real(2)))
    yield Case("append axis", lambda x: np.append(x, x[:1], axis=0), (real(2, 2),))
    yield Case("delete", lambda x: np.delete(x, [0, 2], axis=1), (real(2, 4),))
    yield Case("delete slice", lambda x: np.delete(x, slice(1, 3)), (real(4),))
    yield Case("insert", lambda x, y: np.insert(x, 1, y), (real(3), real()))
    yield Case("insert several", lambda x, y: np.insert(x, [0, 2, 2], y), (real(3), real(3)))
    yield Case("insert row", lambda x, y: np.insert(x, 1, y, axis=0), (real(2, 3), real(3)))
    yield Case("insert column", lambda x, y: np.insert(x, 1, y, axis=1), (real(2, 3), real(2)))
    yield Case("insert columns", lambda x, y: np.insert(x, [1, 2], y, axis=1),
               (real(2, 3), real(2, 2)))
    yield Case("resize", lambda x: np.resize(x, (2, 4)), (real(3),))
    yield Case("rollaxis", lambda x: np.rollaxis(x, 2, 1) ** 2, (real(1, 2, 3),))
    yield Case("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y), (real(2, 1), real(3)))


def _calculus():
    yield Case("diff ends", lambda x, y: np.diff(x, prepend=y, append=x[:, :1], axis=1),
               (real(2, 3), real()))
    yield Case("ediff1d", lambda x: np.ediff1d(x, to_begin=x[0], to_end=[1.0, 2.0]), (real(4),))
    for order in [1, 2]:
        yield Case(f"gradient {order}", lambda x, k=order: np.gradient(x, edge_order=k),
                   (real(4, 3),))
        yield Case(f"gradient spacing {order}",
                   lambda f, h, k=order: np.gradient(f, h, axis=1, edge_order=k),
                   (real(3, 5), positive()))
        yield Case(f"gradient coordinates {order}",
                   lambda f, h, k=order: np.gradient(f, np.cumsum(h), edge_order=k),
                   (real(5), positive(5)))
    yield Case("gradient two points", np.gradient, (real(2),))
    yield Case("trapezoid", lambda y, dx: np.trapezoid(y, dx=dx, axis=0), (real(4, 2), positive()))
    yield Case("trapezoid at", lambda y, x: np.trapezoid(y, x), (real(2, 4), positive(4)))
    yield Case("trapezoid at each", lambda y, x: np.trapezoid(y, x, axis=0),
               (real(4, 2), positive(4, 2)))
    yield Case("cumulative_trapezoid", lambda y, dx: snp.cumulative_trapezoid(y, dx=dx, axis=0),
               (real(4, 2), positive()))
    yield Case("cumulative_trapezoid at", lambda y, x, s: snp.cumulative_trapezoid(
        y, x, initial=s), (real(2, 4), positive(4), real()))
    yield Case("cumulative_trapezoid at each", lambda y, x: snp.cumulative_trapezoid(y, x, axis=0),
               (real(4, 2), positive(4, 2)))
    nodes = np.array([0.1, 0.7, 1.2, 2.5])
    places = np.array([[-0.3, 0.2], [1.0, 2.9]])
    yield Case("interp", lambda x, f: np.interp(x, nodes, f), (places, real(4)))
    yield Case("interp nodes", np.interp, (places, nodes, real(4)))
    yield Case("interp ends", lambda x, a: np.interp(x, nodes, nodes**2, left=a, right=3 * a),
               (places, real()))
    yield Case("interp[c128]", lambda x, f: np.interp(x, nodes, f), (places, complex_(4)))
    yield Case("interp period", lambda x, f: np.interp(x, [0.5, 4.0, 2.0], f, period=3.3),
               (places, real(3)))
    yield Case("interp one node", lambda x, f: np.interp(x, [0.5], f), (places, real(1)))
    yield Case("interp constant", lambda f: np.interp(0.9, nodes, f), (real(4),))
    yield Case("unwrap", lambda x: np.unwrap(5 * x), (real(6),))
    yield Case("unwrap period", lambda x: np.unwrap(5 * x, axis=0, period=2.0, discont=1.5),
               (real(4, 2),))
    for mode in ["full", "same", "valid"]:
        for n, m in [(5, 3), (3, 5), (4, 4), (4, 1), (5, 2), (2, 5)]:
            for f in [np.convolve, np.correlate]:
                yield Case(f"{f.__name__} {mode} {n} {m}", lambda a, v, f=f, k=mode: f(a, v, k),
                           (real(n), real(m, seed=2)))
        for f in [np.convolve, np.correlate]:
            yield Case(f"{f.__name__} {mode} [c128]", lambda a, v, f=f, k=mode: f(a, v, k),
                       (complex_(4), complex_(2, seed=2)))
    yield Case("convolve[mixed]", np.convolve, (real(3), complex_(2)))
    yield Case("polyval", np.polyval, (real(4), real(2, 3)))
    yield Case("polyval scalar", np.polyval, (real(3), real()))
    yield Case("vander", np.vander, (real(3),))
    yield Case("vander increasing", lambda x: np.vander(x, 4, increasing=True), (real(3),))
    yield Case("polyadd", np.polyadd, (real(2), real(4)))
    yield Case("polysub", np.polysub, (real(4), real(2)))
    yield Case("polymul", np.polymul, (real(4), real(2)))
    yield Case("polyder", lambda p: np.polyder(p, 2), (real(5),))
    yield Case("polyint", np.polyint, (real(4),))
    yield Case("poly", np.poly, (real(3),))
    yield Case("polyfit", lambda y: np.polyfit(np.arange(5.0), y, 2), (real(5),))
    yield Case("polyfit weights", lambda x, y, w: np.polyfit(x, y, 1, w=w),
               (real(4), real(4, 2, seed=2), positive(4)))
    yield Case("cumulative_sum", lambda x: np.cumulative_sum(x, include_initial=True), (real(4),))
    yield Case("cumulative_prod", lambda x: np.cumulative_prod(x, axis=1), (real(2, 3),))
    yield Case("logspace", lambda x: np.logspace(x, 2.0, 4), (real(),))
    yield Case("geomspace", lambda x, y: np.geomspace(x, y, 4), (positive(), positive() + 1))


def _picks():
    yield Case("take", lambda x: np.take(x, [[0, 2], [1, 1]], axis=1), (real(2, 3),))
    yield Case("take flat", lambda x: np.take(x, 4), (real(2, 3),))
    yield Case("take wrap", lambda x: np.take(x, [7, -1], mode="wrap"), (real(3),))
    yield Case("take clip", lambda x: np.take(x, [7, -1], mode="clip"), (real(3),))
    order = np.array([[0, 2], [1, 1]])
    yield Case("take_along_axis", lambda x: np.take_along_axis(x, order, axis=1), (real(2, 3),))
    yield Case("take_along_axis broadcast",
               lambda x: np.take_along_axis(x, np.array([[1, 0, 1]]), axis=0), (real(2, 3),))

    def put(x, v):
        out = snp.copy(x)
        np.put_along_axis(out, np.array([[0, 2], [1, 0]]), v * x[:, :2], axis=1)
        return out * x

    yield Case("put_along_axis", put, (real(2, 3), real()))

    def fill(x, v):
        out = x * x
        np.fill_diagonal(out, v)
        return out * x

    yield Case("fill_diagonal", fill, (real(3, 3), real()))

    def fill_on(x, v):
        out = x * x
        np.fill_diagonal(out, v, wrap=True)
        return out * x

    yield Case("fill_diagonal wrapped", fill_on, (real(6, 2), real(3)))
    yield Case("fill_diagonal of a wide matrix", fill_on, (real(2, 4), real()))

    def copy_over(x, v):
        out = x * x
        np.copyto(out, v, where=np.array([True, False, True]))
        return out * x

    yield Case("copyto", copy_over, (real(2, 3), real(3)))

    def add_at(x, v):
        out = x * x
        np.add.at(out, np.array([0, 2, 0]), v)
        np.subtract.at(out, [1], v[0])
        np.multiply.at(out, np.array([2, 1]), v[1:])
        return out * x

    def put_flat(x, v):
        out = x * x
        np.put(out, [0, 4, -1], v)
        np.place(out, np.eye(2, 3), v[:1])
        return out * x

    yield Case("put and place", put_flat, (real(2, 3), real(2)))
    yield Case("apply_along_axis", lambda x: np.apply_along_axis(lambda r: r[:2] * np.sum(r), 1, x),
               (real(2, 3, 2),))
    yield Case("apply_along_axis number", lambda x: np.apply_along_axis(np.prod, 0, x),
               (real(2, 3),))
    yield Case("apply_over_axes", lambda x: np.apply_over_axes(np.sum, x**2, [0, 2]),
               (real(2, 3, 2),))
    yield Case("sliding_window_view", lambda x: np.lib.stride_tricks.sliding_window_view(
        x, (2, 2)) ** 2, (real(3, 4),))
    yield Case("sliding_window_view axis", lambda x: np.lib.stride_tricks.sliding_window_view(
        x, 3, axis=0) ** 2, (real(4, 2),))
    yield Case("ufunc at", add_at, (real(3), real(3)))

    def sorted_in_place(x):
        out = x * x
        out.sort()
        return out * x

    yield Case("sort in place", sorted_in_place, (real(5),))
    yield Case("choose", lambda x, y: np.choose(np.array([[0, 1, 2]]), [x, y, 7.0], mode="clip"),
               (real(2, 3), real(3)))
    yield Case("select", lambda x, y: np.select([x > 0.5, x > 0], [x * y, y], x**2),
               (real(2, 3), real(3)))
    yield Case("compress", lambda x: np.compress([True, False, True], x, axis=1), (real(2, 3),))
    yield Case("extract", lambda x: np.extract(np.eye(2), x), (real(2, 2),))
    for name, f in [("round", lambda x: x * x.round(1)), ("take", lambda x: x.take([1, 0])),
                    ("diagonal", lambda x: x.diagonal()), ("trace", lambda x: x.trace()),
                    ("cumprod", lambda x: x.cumprod(axis=0)), ("repeat", lambda x: x.repeat(2)),
                    ("argsort", lambda x: x * x.argsort())]:
        yield Case(f"method {name}", f, (real(2, 2),))


def _dtypes():
    """Complex numbers and single precision through the compositions."""
    for name, f in {
        "kron": lambda z: np.kron(z, z), "tensordot": lambda z: np.tensordot(z, z, 1),
        "cross": lambda z: np.cross(z, z[0]), "inner": lambda z: np.inner(z, z[::-1]),
        "vdot": lambda z: np.vdot(z, z), "trace": np.trace, "diag": np.diag,
        "diag of vector": lambda z: np.diag(z[0], 1), "triu": np.triu,
        "tile": lambda z: np.tile(z, 2),
        "pad": lambda z: np.pad(z, 1, constant_values=2j), "repeat": lambda z: np.repeat(z, 2),
        "trapezoid": lambda z: np.trapezoid(z, dx=0.5),
        "gradient": lambda z: np.gradient(z, axis=0),
        "diff": lambda z: np.diff(z, prepend=1j), "average": lambda z: np.average(z, 0, z),
        "cumprod": lambda z: np.cumprod(z, axis=1), "nansum": lambda z: np.nansum(z, axis=0),
        "nanmean": np.nanmean, "nanvar": lambda z: np.nanvar(z, axis=0),
        "nan_to_num": lambda z: np.nan_to_num(z) ** 2, "polyval": lambda z: np.polyval(z[0], z),
        "vander": lambda z: np.vander(z[0]), "take": lambda z: np.take(z, [1, 0], axis=1),
        "select": lambda z: np.select([z.real > 0.5], [z * z], 1j),
        "block": lambda z: np.block([[z, z], [z, 1j * z]]), "round": lambda z: z * np.round(z),
        "corrcoef": np.corrcoef, "unstack": lambda z: np.unstack(z), "exp2": np.exp2,
        "outer": lambda z: np.multiply.outer(z, z[0]), "vecmat": lambda z: np.vecmat(z[0], z),
        "matvec": lambda z: np.matvec(z, z[0]), "isclose": lambda z: z * np.isclose(z, z.conj()),
        "einsum": lambda z: np.einsum("ij,kj,ki->k", z, z.conj(), z),
    }.items():
        yield Case(f"complex {name}", f, (complex_(3, 3),))
    for name, f in {
        "median": np.median, "quantile": lambda x: np.quantile(x, 0.3, axis=0),
        "nanquantile": lambda x: np.nanquantile(x, 0.3, axis=0), "nanmean": np.nanmean,
        "nanvar": lambda x: np.nanvar(x, axis=1), "average": np.average, "cov": np.cov,
        "corrcoef": np.corrcoef, "trapezoid": np.trapezoid,
        "gradient": lambda x: np.gradient(x, axis=1), "pad": lambda x: np.pad(x, 1),
        "sinc": np.sinc, "polyval": lambda x: np.polyval(x[0], x),
        "vander": lambda x: np.vander(x[0]),
        "convolve": lambda x: np.convolve(x[0], x[1]), "cumprod": np.cumprod, "tril": np.tril,
        "diag": lambda x: np.diag(x[0]), "deg2rad": np.deg2rad, "exp2": np.exp2,
        "logaddexp": lambda x: np.logaddexp(x, x[0]), "ptp": np.ptp, "cbrt": np.cbrt,
        "unwrap": np.unwrap, "fmax": lambda x: np.fmax(x, 0.0),
        "copysign": lambda x: np.copysign(x, -1.0), "modf": lambda x: np.modf(x + 0.3)[0],
        "nan_to_num": np.nan_to_num, "average of weights":
        lambda x: np.average(x, axis=0, weights=x[:, 0] ** 2), "append": lambda x: np.append(x, x),
        "select": lambda x: np.select([x > 0], [x]), "nansum": np.nansum, "diff": np.diff,
        "interp": lambda x: np.interp(x, [0.0, 1.0], [1.0, 3.0]), "nancumsum": np.nancumsum,
    }.items():
        yield Case(f"single {name}", f, (real(3, 4, dtype=np.float32) / 2,), 1)


CASES = list(_table())
