"""Polynomials as NumPy's first functions have them: coefficients, the highest power first."""

import inspect

import numpy as np

from sciad.core.array import FUNCTIONS, plain
from sciad.core.backend import beside
from sciad.core.errors import ArgumentError, NoRuleError, at_line
from sciad.numpy.dispatch import as_array, implements
from sciad.ops import elementwise as e
from sciad.ops import products, reduce, signal
from sciad.ops.indexing import index_add, read
from sciad.ops.shape import concatenate, reshape, stack


@implements(np.polyval)
def polyval(p, x):
    """Horner's scheme, in the dtype of the operands."""
    if isinstance(x, np.poly1d):
        raise NoRuleError(f"np.polyval of a poly1d has no rule in sciad{at_line()}; pass its "
                          "coefficients to np.polyval")
    p, x = as_array(p), as_array(x)
    out = beside(np.zeros(x.shape, x.dtype), x)
    for k in range(p.shape[0]):
        out = out * x + read(p, k)
    return out


@implements(np.vander, fresh=True)
def vander(x, N=None, increasing=False):
    x = as_array(x)
    if x.ndim != 1:
        raise ArgumentError(f"vander: shape {x.shape} is not a vector{at_line()}")
    x = x.astype(np.promote_types(x.dtype, int))
    count = x.shape[0] if N is None else int(N)
    powers = [np.ones(x.shape, x.dtype)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    if not count:
        return np.ones((x.shape[0], 0), x.dtype)
    return stack(powers if increasing else powers[::-1], 1)


@implements(np.polyadd)
def polyadd(a1, a2):
    a1, a2 = (reshape(as_array(x), (-1,)) for x in (a1, a2))
    size = max(a1.shape[0], a2.shape[0])
    a1, a2 = (concatenate([np.zeros(size - x.shape[0], x.dtype), x], 0) for x in (a1, a2))
    return a1 + a2


@implements(np.polysub)
def polysub(a1, a2):
    return polyadd(a1, -as_array(a2))


@implements(np.polymul)
def polymul(a1, a2):
    """Leading zeros stay (NumPy drops them, which depends on the values)."""
    a1, a2 = (x if x.ndim else reshape(x, (1,)) for x in map(as_array, (a1, a2)))
    return signal.convolve(a1, a2)


@implements(np.poly)
def poly(seq_of_zeros):
    """The coefficients of the polynomial with these zeros (of a square matrix: eigenvalues)."""
    zeros = as_array(seq_of_zeros)
    if zeros.ndim == 2:
        zeros = np.linalg.eigvals(zeros)
    zeros = zeros.astype(np.mintypecode(zeros.dtype.char))
    one = np.ones(1, zeros.dtype)
    out = one
    for k in range(zeros.shape[0]):
        out = signal.convolve(out, concatenate([one, -read(zeros, slice(k, k + 1))], 0))
    return out


@implements(np.roots)
def roots(p):
    """The eigenvalues of the companion matrix; roots that coincide have no derivative."""
    p = as_array(p)
    if p.ndim != 1:
        raise ArgumentError(f"roots: shape {p.shape} is not a vector{at_line()}")
    found = np.nonzero(plain(p, "np.roots"))[0]
    if not found.size:
        return np.array([])
    first, last = int(found[0]), int(found[-1])
    q, degree = read(p, slice(first, last + 1)), last - first
    count = p.shape[0] - 1 - last
    if not degree:
        return np.zeros(count)
    top = reshape(-read(q, slice(1, None)) / read(q, 0), (1, degree))
    companion = concatenate([top, np.eye(degree - 1, degree, dtype=top.dtype)], 0)
    found = np.linalg.eigvals(companion)
    return concatenate([found, np.zeros(count, found.dtype)], 0) if count else found


@implements(np.polydiv)
def polydiv(u, v):
    """Quotient and remainder; as NumPy, the remainder begins at its first entry that is not 0."""
    u, v = (reshape(as_array(x), (-1,)) for x in (u, v))
    u, steps = u + 0.0 * read(v, 0), u.shape[0] - v.shape[0] + 1
    parts, rest = [], u
    for k in range(steps):
        parts.append(read(rest, k) / read(v, 0))
        rest = index_add(rest, -parts[-1] * v, slice(k, k + v.shape[0]))
    quotient = stack(parts, 0) if parts else np.zeros(1, u.dtype)
    rest = read(rest, slice(max(steps, 0), None)) if steps < u.shape[0] else np.zeros(1, u.dtype)
    seen = np.abs(plain(rest, "the remainder of np.polydiv")) > 1e-8
    first = int(np.argmax(seen)) if seen.any() else rest.shape[0] - 1
    return quotient, read(rest, slice(first, None))


@implements(np.polyfit)
def polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """Least squares, columns scaled to one length as in NumPy."""
    matrix, y = vander(x, int(deg) + 1), as_array(y)
    if w is not None:
        w = as_array(w)
        matrix = matrix * reshape(w, (-1, 1))
        y = y * (w if y.ndim == 1 else reshape(w, (-1, 1)))
    count, order = matrix.shape
    if count < order:
        raise ArgumentError(f"polyfit: {count} points do not determine a polynomial of degree "
                            f"{deg}{at_line()}")
    scale = e.sqrt(reduce.sum_(absolute_square(matrix), 0))
    matrix = matrix / scale
    if full:
        rcond = count * np.finfo(matrix.dtype).eps if rcond is None else rcond
        out, *rest = np.linalg.lstsq(matrix, y, rcond)
        return (out / _rows(scale, y), *rest, rcond)
    q, r = np.linalg.qr(matrix)
    out = np.linalg.solve(r, products.matmul(products._adjoint(q), y))
    fit = out / _rows(scale, y)
    return (fit, _covariance(matrix, r, scale, out, y, cov)) if cov else fit


def absolute_square(z):
    return e.real(z) ** 2 + e.imag(z) ** 2 if z.dtype.kind == "c" else z * z


def _rows(scale, y):
    return scale if y.ndim == 1 else reshape(scale, (-1, 1))


def _covariance(matrix, r, scale, fit, y, kind):
    """The covariance of the coefficients, (A^T A)^-1 = R^-1 R^-T, times the mean square rest."""
    if r.dtype.kind == "c":
        raise NoRuleError(f"np.polyfit(cov=) of complex numbers has no rule in sciad{at_line()}")
    inverse = np.linalg.inv(r)
    base = products.matmul(inverse, inverse.T) / products.outer(scale, scale)
    if kind == "unscaled":
        return base if y.ndim == 1 else reshape(base, (*base.shape, 1)) + np.zeros(y.shape[1])
    count, order = matrix.shape
    if count <= order:
        raise ArgumentError(f"polyfit: the covariance needs more than {order} points{at_line()}")
    rest = y - products.matmul(matrix, fit)
    factor = reduce.sum_(rest * rest, 0) / (count - order)
    return base * factor if y.ndim == 1 else reshape(base, (*base.shape, 1)) * factor


@implements(np.polyder)
def polyder(p, m=1):
    p = as_array(p)
    for _ in range(m):
        p = read(p, slice(None, -1)) * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p, m=1, k=None):
    p = as_array(p)
    k = reshape(as_array(0.0 if k is None else k), (-1,))
    if k.shape[0] == 1 and m > 1:
        k = read(k, np.zeros(m, int))
    if k.shape[0] < m:
        raise ArgumentError(f"polyint: {k.shape[0]} constants for {m} integrals{at_line()}")
    for step in range(m):
        p = concatenate([p / np.arange(p.shape[0], 0, -1), read(k, slice(step, step + 1))], 0)
    return p


def _by_its_program(function):
    """NumPy's own Python program, which is right on Arrays."""
    if inspect.unwrap(function) is not function:
        FUNCTIONS[function] = inspect.unwrap(function)


_by_its_program(np.polynomial.polynomial.polyval2d)
