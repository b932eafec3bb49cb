"""Variants of a case, made rather than listed: other layouts in memory, precisions, numbers.

strided   the same values in arrays that are neither contiguous nor in C order, and read-only
single    float32, where the case has but float64 arguments
complex   complex numbers, where the function takes them
complex64 these in single precision, where the case has complex arguments or takes them
"""

import re
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from tests.ops.cases import Case


def strided(x):
    """`x` as a reversed, transposed view of its mirror image."""
    mirror = np.array(x.T[..., ::-1])
    view = mirror[..., ::-1].T
    view.flags.writeable = False
    return view


def complexed(x, k):
    """Complex numbers near the real ones, none of them real."""
    return (x * (1.0 + 0.15j) + 0.1j * (k + 1)).astype(complex)[()]


def _arrays(case):
    return all(isinstance(x, (np.ndarray, np.generic)) for x in case.args)


def _double(case):
    return case.args and all(x.dtype == np.float64 for x in case.args)


def layouts(cases: Iterable[Case]) -> Iterator[Case]:
    """Each case of at least one array with more than one entry, on strided arrays."""
    for case in cases:
        if _arrays(case) and any(x.ndim and x.size > 1 for x in case.args):
            args = tuple(strided(x) if x.ndim else x for x in case.args)
            yield Case(f"{case.name}[strided]", case.function, args, 1)


def singles(cases: Iterable[Case]) -> Iterator[Case]:
    """Each case of float64 arguments in float32, where differences can see the derivative."""
    for case in cases:
        if _arrays(case) and _double(case) and not NOT_SINGLE.match(case.name):
            yield Case(f"{case.name}[single]", case.function,
                       tuple(x.astype(np.float32) for x in case.args), 1)


def complexes(cases: Iterable[Case]) -> Iterator[Case]:
    """Each case of float64 arguments in complex128, where NumPy takes these."""
    for case in _complexed(cases):
        if _taken(case):
            yield case


def single_complexes(cases: Iterable[Case]) -> Iterator[Case]:
    """Each case of complex128 arguments, and those of `complexes`, in complex64."""
    for case in cases:
        if _arrays(case) and any(x.dtype == np.complex128 for x in case.args):
            name = case.name.removesuffix("[complex]")
            if not (NOT_SINGLE.match(name) or NOT_SINGLE_COMPLEX.match(name)):
                yield Case(f"{name}[complex64]", case.function,
                           tuple(map(_halved, case.args)), 1)


def _halved(x):
    """Numbers in single precision; others as they are."""
    return x.astype({"f": np.float32, "c": np.complex64}.get(x.dtype.kind, x.dtype))


def refusals(cases: Iterable[Case]) -> Iterator[Case]:
    """The complex variants that NumPy refuses."""
    for case in _complexed(cases):
        if not _taken(case):
            yield case


def _complexed(cases):
    for case in cases:
        if _arrays(case) and _double(case) and not NOT_COMPLEX.match(case.name):
            yield Case(f"{case.name}[complex]", case.function,
                       tuple(complexed(x, k) for k, x in enumerate(case.args)), 1)


def _taken(case) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            case.function(*case.args)
        except (TypeError, np.exceptions.ComplexWarning):
            return False
    return True


NOT_SINGLE = re.compile(
    "round|method round|frexp$|quantile by q"  # differences straddle a jump
    "|polygamma|multigammaln|kaiser|vectorize|chebval|Polynomial|.* out$"  # other mixed precision
    "|n?bdtr|pdtr|spherical|comb|factorial|eval_sh"  # SciPy computes in double precision
)

NOT_SINGLE_COMPLEX = re.compile(
    r"(maximum|minimum|fmax|fmin)\(2, 3\)\(3,\)|min where|while_loop"  # straddled as well
)

NOT_COMPLEX = re.compile(
    ".*median|.*quantile|.*percentile|pad median"  # complex numbers have no order here
    "|pack( matrix)?$"  # NumPy takes objects for real numbers: refused
    "|turned"  # by the slopes of eigenvalues, which are real
    "|elliprj principal"  # SciPy has NaN beside some complex numbers where it has a value
    "|interp period|searchsorted NaN|factorial|.*(gammainc|betainc)_|polyfit cov"
)
