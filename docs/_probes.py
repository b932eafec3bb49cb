"""A call of every function that has a rule, and what sciad makes of it.

The table of what differentiates is measured, not written: each function is called on small arrays,
plain, differentiated in both modes, with complex numbers, recorded and lowered. A ufunc takes as
many arrays as it has inputs; most functions take the arguments of one of a few `COMMON` calls; the
others stand in `SPECIAL`.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.special

import sciad
from sciad.compiler.native import lower, optimise  # with all native forms registered
from sciad.compiler.values import Unsupported
from sciad.core import tree
from sciad.core.errors import SciadError
from sciad.core.record import record

V, W, U = np.array([0.3, 0.9, 0.6]), np.array([0.5, 0.2, 0.7]), np.array([0.4, 0.8, 0.1])
Z = V + 1j * W
M = np.array([[2.0, 0.3, 0.1], [0.4, 1.5, 0.2], [0.3, 0.1, 1.2]])
SPD = M @ M.T
WIDE = M[:2]
BLOCK = np.arange(8.0).reshape(2, 2, 2) ** 1.5 + 0.1
TIMES = np.array([0.0, 0.4, 1.0])
KEYS = np.array([2, 0, 1])
MASK = np.array([True, False, True])

COMMON = [
    (V,), (V, W), (M,), (M, V), (M, W[:, None]), ([V, W],), (V, 1), (M, 0, 1), (V, KEYS),
    (KEYS,), (KEYS, KEYS), (V, KEYS, KEYS),
]
"""Arguments to try, in this order."""

SCALARS = [(V,), (V, W), (V, W, U), (V, W, U, V + 0.5), (2, V), (2, 5, V), (KEYS,), (M,)]
"""The same for `scipy.special`."""

SPECIAL = {
    "numpy.angle": (Z,), "numpy.apply_along_axis": (np.cumsum, 0, V),
    "numpy.apply_over_axes": (np.sum, M, [0]), "numpy.argpartition": (V, 1),
    "numpy.array_split": (V, 3), "numpy.astype": (V, np.float32), "numpy.bincount": (KEYS, V),
    "numpy.bitwise_and": (MASK, MASK), "numpy.block": ([[M, M]],),
    "numpy.broadcast_to": (V, (2, 3)), "numpy.can_cast": ("f8", "f4"),
    "numpy.choose": (MASK.astype(int), [V, W]), "numpy.clip": (V, 0.4, 0.8),
    "numpy.compress": (MASK, V), "numpy.copyto": (V, W), "numpy.corrcoef": (M,),
    "numpy.cross": (V, W), "numpy.delete": (V, 1), "numpy.diagonal": (M,),
    "numpy.digitize": (V, TIMES), "numpy.dsplit": (BLOCK, 2), "numpy.einsum": ("ij,j->i", M, V),
    "numpy.einsum_path": ("ij,j", M, V), "numpy.expand_dims": (V, 0), "numpy.extract": (MASK, V),
    "numpy.fill_diagonal": (M, 2.0), "numpy.full_like": (V, 0.4), "numpy.hsplit": (V, 3),
    "numpy.imag": (Z,), "numpy.insert": (V, 1, W[:1]), "numpy.interp": (V, TIMES, W),
    "numpy.intersect1d": (V, V[:2]), "numpy.ix_": (KEYS,), "numpy.ldexp": (V, KEYS),
    "numpy.lib.scimath.logn": (2.0, V),
    "numpy.lib.stride_tricks.sliding_window_view": (V, 2), "numpy.linalg.cholesky": (SPD,),
    "numpy.linalg.eigh": (SPD,), "numpy.linalg.eigvalsh": (SPD,), "numpy.linalg.lstsq": (M, V),
    "numpy.linalg.matrix_power": (M, 3), "numpy.linalg.matrix_rank": (M,),
    "numpy.linalg.multi_dot": ([M, M, V],), "numpy.linalg.solve": (M, V[:, None]),
    "numpy.linalg.tensordot": (M, M), "numpy.linalg.tensorinv": (M, 1),
    "numpy.linalg.tensorsolve": (M, V), "numpy.linalg.vector_norm": (V,), "numpy.matmul": (M, M),
    "numpy.matvec": (M, V), "numpy.moveaxis": (WIDE, 0, 1), "numpy.nanpercentile": (V, 30.0),
    "numpy.nanquantile": (V, 0.3), "numpy.pad": (V, 1), "numpy.partition": (V, 1),
    "numpy.percentile": (V, 30.0), "numpy.piecewise": (V, [V > 0.5], [np.sin, np.cos]),
    "numpy.place": (V, MASK, W[:1]), "numpy.polyfit": (TIMES, V, 1), "numpy.polyval": (V, W),
    "numpy.put": (V, [0], W[:1]), "numpy.put_along_axis": (V, np.array([0]), W[:1], 0),
    "numpy.putmask": (V, MASK, W), "numpy.quantile": (V, 0.3),
    "numpy.ravel_multi_index": ((KEYS, KEYS), (3, 3)), "numpy.real": (V,),
    "numpy.reshape": (WIDE, (3, 2)), "numpy.resize": (V, (2, 3)), "numpy.rollaxis": (WIDE, 1),
    "numpy.roll": (V, 1), "numpy.rot90": (M,), "numpy.searchsorted": (TIMES, V),
    "numpy.select": ([V > 0.5, V < 0.2], [V, W]), "numpy.split": (V, 3), "numpy.stack": ([V, W],),
    "numpy.swapaxes": (WIDE, 0, 1), "numpy.take_along_axis": (V, KEYS, 0),
    "numpy.tensordot": (M, M, 1), "numpy.tile": (V, 2), "numpy.trace": (M,),
    "numpy.trapezoid": (V, TIMES), "numpy.unravel_index": (2, (3, 3)), "numpy.unstack": (M,),
    "numpy.unwrap": (V,), "numpy.vander": (V,), "numpy.vecmat": (V, M), "numpy.vsplit": (M, 3),
    "numpy.where": (MASK, V, W),
    "numpy.arccosh": (V + 1,), "special.bdtr": (1.0, 3, V), "special.bdtrc": (1.0, 3, V),
    "special.nbdtr": (1, 3, V), "special.nbdtrc": (1, 3, V), "special.expn": (2, V),
    "special.eval_hermite": (3, V), "special.eval_hermitenorm": (3, V),
    "special.factorial": (V,), "special.kn": (2, V), "special.legendre_p": (3, V),
    "special.multigammaln": (V + 1, 2), "special.polygamma": (1, V),
    "special.spherical_in": (1, V), "special.spherical_jn": (1, V), "special.spherical_kn": (1, V),
    "special.spherical_yn": (1, V), "special.yn": (2, V), "special.zeta": (V + 1, W),
    "special.comb": (V + 2, V),
}


METHODS = {
    "reduce": (V,), "accumulate": (V,), "reduceat": (V, [0, 2]), "outer": (V, W),
    "at": (V, [0, 1], W[:2]),
}
"""Arguments of the methods of ufuncs."""


def written(function):
    """A function that writes into its first argument, as one that returns what it wrote."""

    def probe(x, *rest):
        x = sciad.numpy.array(x)
        function(x, *rest)
        return x

    return probe


def absolute(function):
    """The moduli of what a decomposition returns: eigenvectors have no phase of their own."""
    return lambda x: tuple(map(np.abs, function(x)))


WRAPPED = {f"numpy.{name}": written for name in (
    "copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis")}
WRAPPED |= {f"numpy.linalg.{name}": absolute for name in ("eig", "eigh", "svd", "qr")}


@dataclass(frozen=True)
class Finding:
    """What a probe showed; `fixed` are the arguments by which there is no derivative."""

    derivative: str
    modes: str = ""
    complex: str = ""
    compiled: str = ""
    fixed: tuple[int, ...] = ()


def arguments(name, function):
    """Arguments on which the function itself works; None if none of those here do."""
    original = getattr(scipy.special, name.removeprefix("special."), function)
    method = name.partition(".")[0]
    if name in SPECIAL:
        tries = [SPECIAL[name]]
    elif method in METHODS:
        tries = [METHODS[method], METHODS[method][:2]]
    elif isinstance(original, np.ufunc) and original.signature is None:
        tries = [(V, W, U, V + 0.5)[:original.nin], (KEYS,) * original.nin]
    else:
        tries = COMMON
    for args in tries:
        try:
            with np.errstate(all="ignore"):
                function(*_copied(args))
        except (TypeError, ValueError, IndexError, AttributeError, np.linalg.LinAlgError):
            continue
        return args
    return None


def _copied(args):
    return tree.tree_map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, args)


class Probe:
    """A function of some of its float arrays alone, the other arguments held."""

    def __init__(self, function, args, only=None):
        self.function = function
        self.leaves, self.structure = tree.flatten(args)
        floats = [k for k, x in enumerate(self.leaves)
                  if isinstance(x, np.ndarray) and x.dtype.kind in "fc"]
        self.places = floats if only is None else [floats[k] for k in only]

    @property
    def values(self):
        return [self.leaves[k] for k in self.places]

    def __call__(self, *values):
        leaves = list(self.leaves)
        for k, value in zip(self.places, values, strict=True):
            leaves[k] = value
        out = self.function(*tree.unflatten(self.structure, leaves))
        out = tuple(out) if isinstance(out, tuple) else out         # NumPy's named results
        return [x for x in tree.flatten(out)[0] if _has_floats(x)]

    def pushed(self, *values):
        random = np.random.default_rng(0)
        directions = [_direction(random, x) for x in values]
        return sciad.jvp(self, tuple(values), tuple(directions))[1]

    def pulled(self, *values):
        out, pull = sciad.vjp(self, *values)
        return pull([np.ones(x.shape, x.dtype) for x in out])


def _direction(random, x):
    direction = random.normal(size=x.shape)
    if x.dtype.kind == "c":
        direction = direction + 1j * random.normal(size=x.shape)
    return direction.astype(x.dtype)


def _has_floats(x):
    return getattr(getattr(x, "dtype", None), "kind", None) in ("f", "c")


def works(attempt, *args):
    """Whether the attempt runs; only sciad's own refusals count as failure."""
    try:
        attempt(*args)
    except (SciadError, Unsupported):
        return False
    return True


def find(name, function) -> Finding:
    """What sciad makes of a function."""
    args = arguments(name, function)
    if args is None:
        raise LookupError(f"{name}: no arguments of docs/_probes.py fit; add some to SPECIAL")
    if name in WRAPPED or name.startswith("at."):
        function = WRAPPED.get(name, written)(function)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _find(function, args)


def _find(function, args):
    probe = Probe(function, _copied(args))
    if not probe(*probe.values):
        return Finding("constant", compiled=_compiled(Probe(function, _copied(args))))
    alone = [Probe(function, _copied(args), [k]) for k in range(len(probe.places))]
    fixed = tuple(k for k, one in enumerate(alone) if not works(one.pulled, *one.values))
    free = [k for k in range(len(alone)) if k not in fixed]
    if alone and not free:
        return Finding("raises")
    probe = Probe(function, _copied(args), free)
    return Finding(_derivative(probe), _modes(probe), _complex(function, args, free),
                   _compiled(probe), fixed)


def _derivative(probe):
    tangents = probe.pushed(*probe.values)
    return "yes" if any(np.any(np.asarray(t) != 0) for t in tangents) else "constant"


def _modes(probe):
    reverse = works(probe.pulled, *probe.values)
    forward = works(probe.pushed, *probe.values)
    return {(True, True): "both", (True, False): "reverse", (False, True): "forward"}.get(
        (reverse, forward), "none")


def _complex(function, args, free):
    """Whether it differentiates at complex numbers, in the arguments that may be complex; "" where
    NumPy itself takes none."""
    for chosen in [free, *([k] for k in free)]:
        probe = Probe(function, _copied(args), chosen)
        turned = [x * (1 + 0.1j) for x in probe.values]
        try:
            with warnings.catch_warnings(action="error", category=np.exceptions.ComplexWarning):
                probe(*_copied(turned))
        except (TypeError, ValueError, np.linalg.LinAlgError, np.exceptions.ComplexWarning):
            continue
        return "yes" if works(probe.pulled, *turned) else "no"
    return ""


def _compiled(probe):
    """Whether value and derivative have machine code, or which of them is called back."""

    def native(function):
        lowered = lower(optimise(record(function, *probe.values).graph))
        if lowered.callbacks:
            raise Unsupported(", ".join(lowered.callbacks))

    def compiles(function):
        lower(optimise(record(function, *probe.values).graph))

    if not works(native, probe):
        return "called back" if works(compiles, probe) else "no"
    return "yes" if works(native, probe.pulled) else "value only"
