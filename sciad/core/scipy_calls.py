"""Functions of SciPy, `statistics` and `numpy.random` that compute on plain numbers, called on
Arrays: a clear error.

They have no hook like NumPy's protocols, and ask for plain arrays or floats. What runs on arrays of
objects as it is differentiates; of the rest, some would only fail deep inside (`COMPILED`), and
others ask for floats themselves. The error names the function that the program called, and what to
write in its place.
"""

import importlib
import sys
from types import FrameType

import numpy as np

from sciad.core.call_sites import package, public_home, public_name, random_draw, running
from sciad.core.errors import NoRuleError

COMPILED = {
    "scipy.linalg": ("_basic", "_decomp", "_matfuncs", "_solvers", "_sketches", "_procrustes"),
    "scipy.fft": ("",),
    "scipy.sparse": ("",),
    "scipy.special": ("_basic", "_logsumexp", "_spherical_bessel", "_orthogonal", "_spfun_stats",
                      "_multiufuncs"),
}
"""Packages, and the modules in them whose functions run compiled code."""

ALLOWED = frozenset({"softmax", "sinc"})

OWN: dict[str, str] = {}
"""Packages of sciad that stand for SciPy's; filled by `sciad.numpy`."""

LIBRARIES = ("scipy", "statistics")

_RULE = "state its derivative by sciad.custom_rule"
_SOLUTION = ("it outside the transform, and state the derivative of the solution by "
             "sciad.custom_rule (the implicit function theorem)")
_FFT2 = ("np.fft.irfft2(np.fft.rfft2(a, s) * np.fft.rfft2(b, s), s), with s the sum of both shapes "
         f"less one, or {_RULE}")

CURES = {
    "scipy.integrate": "fixed nodes (t, w = np.polynomial.legendre.leggauss(n); "
                       f"np.sum(w * f(t))), np.trapezoid, or {_RULE}",
    "scipy.integrate.solve_ivp": "sciad.ode.solve_ivp, which takes the same arguments",
    "scipy.integrate.odeint": "sciad.ode.solve_ivp",
    "scipy.integrate.ode": "sciad.ode.solve_ivp",
    "scipy.integrate.RK": "sciad.ode.solve_ivp",
    "scipy.interpolate": f"np.interp, np.linalg.solve for a spline's coefficients, or {_RULE}",
    "scipy.ndimage": f"np.convolve, np.roll and slices, or {_RULE}",
    "scipy.optimize": _SOLUTION,
    "scipy.optimize.curve_fit": f"sciad.optimize.least_squares for a fit, or {_SOLUTION}",
    "scipy.optimize.least_squares": f"sciad.optimize.least_squares for a fit, or {_SOLUTION}",
    "scipy.signal": f"np.convolve and np.fft, or {_RULE}",
    "scipy.signal.convolve2d": _FFT2,
    "scipy.signal.correlate2d": _FFT2,
    "scipy.signal.lfilter": f"np.convolve, sciad.scan for a recursive filter, or {_RULE}",
    "scipy.sparse": "the products S @ x and x @ S with a sparse matrix S, S.toarray() for what "
                    f"else there is, or {_RULE}",
    "scipy.sparse.linalg": f"np.linalg.solve(S.toarray(), b) and its kin, or {_RULE}",
    "scipy.spatial.distance": f"np.linalg.norm(a[:, None] - b, axis=-1), or {_RULE}",
    "scipy.stats": f"the formula, in the functions of NumPy and sciad.special, or {_RULE}",
    "statistics.fmean": "np.mean",
    "statistics.pstdev": "np.std",
    "statistics.pvariance": "np.var",
    "statistics.stdev": "np.std(x, ddof=1)",
    "statistics.variance": "np.var(x, ddof=1)",
}
"""What to write in place of a function, or of any of a package: the longest prefix counts."""

_ELSE = "sciad.stop_gradient(x) if its derivative is not needed"


_ASKING = ("numpy", "sciad.core.array", "sciad.numpy.methods")


def refusal(floats: bool = False) -> NoRuleError | None:
    """The error, if one of these functions asks for the data of an Array (`floats`: as floats)."""
    frame = sys._getframe(2)
    while frame is not None and _module(frame).startswith(_ASKING):
        frame = frame.f_back
    inner = []
    while frame is not None and package(frame) in LIBRARIES:
        inner.append(frame)
        frame = frame.f_back
    place = f" (at {frame.f_code.co_filename}:{frame.f_lineno})" if frame is not None else ""
    drawn = random_draw(frame) if floats and frame is not None and not inner else None
    if drawn is not None:
        return NoRuleError(f"{drawn} takes no differentiated values{place}; use sciad.random, "
                           "whose draws differentiate by the parameters of their distribution")
    return refusal_of(inner, place, floats)


def refusal_of(frames: list[FrameType], place: str, floats: bool = False) -> NoRuleError | None:
    """The error, if `frames` (innermost first) run compiled code of SciPy, or if they need
    `floats`; `place` tells the program's line."""
    compiled, allowed = None, False
    for frame in frames:
        module, function = running(frame)
        package_name = compiled_in(module)
        if package_name is not None and public_name(frame) is not None:
            compiled, allowed = f"{package_name}.{function}", function in ALLOWED
    if not frames or (compiled is None or allowed) and not floats:
        return None
    names = [name for frame in frames if (name := public_name(frame)) is not None]
    name = names[-1] if names else compiled or f"a function of {public_home(frames[-1])}"
    return NoRuleError(f"{name} takes no differentiated values{place}; use {cure(name)}")


def in_sparse_product(frame: FrameType) -> bool:
    """Whether SciPy asks, for ``S @ x``, if an operand can be an array. It takes an array of one
    object for a no, and leaves the product to the operand's ``__rmatmul__``."""
    return frame.f_code.co_name == "_matmul_dispatch" and package(frame) == "scipy"


def _module(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "")


def compiled_in(module: str) -> str | None:
    """The package in `COMPILED` that a module belongs to."""
    for name, parts in COMPILED.items():
        if module.startswith(tuple(f"{name}.{part}" for part in parts)):
            return name
    return None


def cure(name: str) -> str:
    """What to write in place of a function."""
    home, _, function = name.rpartition(".")
    known = [prefix for prefix in CURES if name.startswith(prefix)]
    if known:
        return f"{CURES[max(known, key=len)]}, or {_ELSE}"
    if home == "scipy.special":
        return _special(function)
    own, text = _NUMPY.get(home, (None, "NumPy"))
    if hasattr(own, function):
        return f"{text}.{function}"
    return f"the functions of {text}, or {_RULE}, or {_ELSE}"


_NUMPY = {"scipy.fft": (np.fft, "np.fft"), "scipy.linalg": (np.linalg, "np.linalg"),
          "statistics": (np, "np")}


def _special(function: str) -> str:
    own = OWN["scipy.special"]
    if function in importlib.import_module(own).__all__:
        return f"{own}.{function}"
    return f"its formula in the functions of {own}, or {_RULE}, or {_ELSE}"
