r"""Runge-Kutta methods as data.

A method with s stages advances y' = f(t, y) from t to t + h by

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),     y_new = y + h sum_i b_i k_i,

estimates its error by h sum_i e_i k_i, and gives the solution between the ends, at t + sigma h, as
y + h sum_i b_i(sigma) k_i with b_i(sigma) = sum_j dense_ij sigma^(j+1).  The methods here are
"first same as last": the last stage is f(t + h, y_new), the first stage of the next step.

What makes a tableau a method of order p are the order conditions (Butcher; Hairer, Norsett and
Wanner, Solving Ordinary Differential Equations I, section II.2).  For each rooted tree tau with
|tau| <= p nodes, sum_i b_i Phi_i(tau) = 1 / gamma(tau), where for a tree whose root carries the
subtrees tau_1 ... tau_m

    Phi_i(tau) = prod_k sum_j a_ij Phi_j(tau_k),     gamma(tau) = |tau| prod_k gamma(tau_k).

The interpolant has order q if sum_i b_i(sigma) Phi_i(tau) = sigma^|tau| / gamma(tau) for all
|tau| <= q.  The constructor asserts all of it, so a mistyped digit cannot pass.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import polynomial

TOLERANCE = 1e-13

Tree = tuple  # a rooted tree is the sorted tuple of its subtrees


@lru_cache
def trees(order: int) -> tuple[Tree, ...]:
    """The rooted trees with ``order`` nodes."""
    return tuple(sorted(set(_forests(order - 1, order - 1)))) if order > 1 else ((),)


def _forests(nodes: int, largest: int):
    """Sorted tuples of trees of at most ``largest`` nodes each, ``nodes`` in all."""
    if nodes == 0:
        yield ()
    for size in range(min(nodes, largest), 0, -1):
        for rest in _forests(nodes - size, size):
            for tree in trees(size):
                yield tuple(sorted((tree, *rest)))


def size(tree: Tree) -> int:
    return 1 + sum(map(size, tree))


def density(tree: Tree) -> int:
    """gamma(tau)"""
    product = size(tree)
    for child in tree:
        product *= density(child)
    return product


def weights(tree: Tree, a: np.ndarray) -> np.ndarray:
    """Phi_i(tau) for every stage i."""
    product = np.ones(len(a))
    for child in tree:
        product = product * (a @ weights(child, a))
    return product


@dataclass(frozen=True, eq=False)
class Tableau:
    """An explicit, first-same-as-last Runge-Kutta pair with its interpolant.

    Parameters
    ----------
    name : str
    order, error_order, dense_order : int
        Orders of the solution, of the solution that its error is estimated against, and of the
        interpolant.
    c, a, b, e, dense : array_like
        Nodes, stage weights, weights, error weights and the coefficients of the interpolant,
        as in the formulas above; ``a`` is square with zeros on and above the diagonal.
    """

    name: str
    order: int
    error_order: int
    dense_order: int
    c: np.ndarray
    a: np.ndarray
    b: np.ndarray
    e: np.ndarray
    dense: np.ndarray

    def __post_init__(self):
        for field in ("c", "a", "b", "e", "dense"):
            value = np.array(getattr(self, field), dtype=float)
            value.flags.writeable = False
            object.__setattr__(self, field, value)
        self._check_shape()
        self._check_orders()

    @property
    def stages(self) -> int:
        return len(self.b)

    def _require(self, holds, law: str) -> None:
        if not holds:
            raise ValueError(f"{self.name} is no such method: {law}")

    def _check_shape(self) -> None:
        s, a = self.stages, self.a
        self._require(a.shape == (s, s) and self.dense.shape[0] == s, "shapes disagree")
        self._require(len(self.c) == len(self.e) == s, "shapes disagree")
        self._require(not np.triu(a).any(), "a stage depends on itself or a later one")
        self._require(np.allclose(a.sum(1), self.c, rtol=0, atol=TOLERANCE), "row sums are not c")
        self._require(np.array_equal(a[-1], self.b), "the last stage is not the solution")
        self._require(self.c[0] == 0 and self.c[-1] == 1, "it is not first-same-as-last")
        at_end = self.dense.sum(1)
        self._require(np.allclose(at_end, self.b, rtol=0, atol=TOLERANCE), "b(1) is not b")

    def _check_orders(self) -> None:
        for order in range(1, self.order + 1):
            for tree in trees(order):
                phi, goal = weights(tree, self.a), 1 / density(tree)
                residual = self.b @ phi - goal
                self._require(abs(residual) < TOLERANCE, f"order condition of {tree}: {residual}")
                if order <= self.error_order:
                    residual = self.e @ phi
                    self._require(abs(residual) < TOLERANCE, f"error estimate, {tree}: {residual}")
                if order <= self.dense_order:
                    curve = self.dense.T @ phi
                    curve[order - 1] -= goal
                    self._require(np.all(abs(curve) < 10 * TOLERANCE), f"interpolant, {tree}")


def _square(rows) -> np.ndarray:
    a = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        a[i, : len(row)] = row
    return a


def _dormand_prince() -> Tableau:
    b = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0]
    return Tableau(
        "RK45", 5, 4, 4,
        c=[0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1],
        a=_square([
            [],
            [1 / 5],
            [3 / 40, 9 / 40],
            [44 / 45, -56 / 15, 32 / 9],
            [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
            [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
            b,
        ]),
        b=b,
        e=[-71 / 57600, 0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40],
        dense=[
            [1, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432],
            [0, 0, 0, 0],
            [0, 131558114200 / 32700410799, -68118460800 / 10900136933,
             87487479700 / 32700410799],
            [0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072],
            [0, 127303824393 / 49829197408, -318862633887 / 49829197408,
             701980252875 / 199316789632],
            [0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844],
            [0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423],
        ],
    )  # fmt: skip


def _quartics(*factors) -> np.ndarray:
    """Coefficients of sigma ... sigma^4 of products scale * p * q * ..., lowest power first."""
    rows = []
    for scale, *polynomials in factors:
        product = np.array([scale])
        for each in polynomials:
            product = polynomial.polymul(product, each)
        rows.append(product[1:])
    return np.array(rows)


def _tsitouras() -> Tableau:
    b = [0.09646076681806522951816731316512876, 0.01, 0.47988965041449957477524953229059652,
         1.37900857410374189319227482185687277, -3.29006951543608067990104758571136385,
         2.32471052409977398241535591839876580, 0.0]  # fmt: skip
    s2 = (0, 0, 1)
    return Tableau(
        "Tsit5", 5, 4, 4,
        c=[0, 0.161, 0.327, 0.9, 0.98002554090450968572981028628702460, 1, 1],
        a=_square([
            [],
            [0.161],
            [-0.00848065549235698854442687425023077, 0.33548065549235698854442687425023077],
            [2.89715305710549343213043259419293876, -6.35944848997507484314815991238382563,
             4.36229543286958141101772731819088686],
            [5.32586482843925660442887792084051132, -11.74888356406282787774717033978577296,
             7.49553934288983620830460478456435816, -0.09249506636175525],
            [5.86145544294642002865925148698264789, -12.92096931784710929170611868178335940,
             8.15936789857615864318040079453925349, -0.07158497328140099722453054252582974,
             -0.02826905039406838290900305721271224],
            b,
        ]),
        b=b,
        # the weights minus those of the embedded method of order 4
        e=[0.09646076681806522951816731316512876 - 0.09468075576583945807478876255758923,
           0.01 - 0.00918356554034325309677636393664531,
           0.47988965041449957477524953229059652 - 0.48777052842476157078556425996312282,
           1.37900857410374189319227482185687277 - 1.23429756693047898565510967388423765,
           -3.29006951543608067990104758571136385 + 2.70771234998352545488110997505932167,
           2.32471052409977398241535591839876580 - 1.86662841817058703575371939956621150,
           -1 / 66],
        dense=_quartics(
            (-1.0530884977290216, (0, 1), (-1.3299890189751412, 1),
             (0.7139816917074209, -1.4364028541716351, 1)),
            (0.1017, s2, (1.2949852507374631, -2.1966568338249754, 1)),
            (2.490627285651252793, s2, (1.57803468208092486, -2.38535645472061657, 1)),
            (-16.54810288924490272, s2, (-1.21712927295533244, 1), (-0.61620406037800089, 1)),
            (47.37952196281928122, s2, (-1.203071208372362603, 1), (-0.658047292653547382, 1)),
            (-34.87065786149660974, s2, (-1.2, 1), (-2 / 3, 1)),
            (2.5, s2, (-1, 1), (-0.6, 1)),
        ),
    )  # fmt: skip


# J. R. Dormand and P. J. Prince, "A family of embedded Runge-Kutta formulae", J. Comput. Appl.
# Math. 6 (1980) 19-26; interpolant: L. F. Shampine, "Some practical Runge-Kutta formulas", Math.
# Comp. 46 (1986) 135-150, with the digits that scipy.integrate.RK45 uses.
RK45 = _dormand_prince()

# Ch. Tsitouras, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
# assumption", Comput. Math. Appl. 62 (2011) 770-775; more digits as in OrdinaryDiffEq.jl.
TSIT5 = _tsitouras()
