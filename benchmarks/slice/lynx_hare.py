"""The fit of Lotka-Volterra to the Hudson Bay pelts, against SciPy with finite differences.

Both sides run SciPy's trust-region least squares on the differences of logarithms, from the same
guess, over a solve by RK45 with the same tolerances; SciPy differences its own solve (2-point),
sciad brings the exact Jacobian.
"""

from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.fresh import Start, cold_contest
from benchmarks.slice.lotka_volterra import model
from benchmarks.timing import repeated

HERE = "benchmarks.slice.lynx_hare"
PELTS = Path(__file__).resolve().parents[2] / "examples" / "data" / "lynx_hare.csv"
OPTIONS = {"method": "RK45", "rtol": 1e-8, "atol": 1e-8}


@cache
def pelts():
    """Years since the first, and the logarithms of hares and lynx, shape (2, years)."""
    year, hare, lynx = np.loadtxt(PELTS, delimiter=",", skiprows=2, unpack=True)
    return year - year[0], np.log(np.array([hare, lynx]))


def guess():
    """Logarithms of four rough rates and of the first year's pelts."""
    _, observed = pelts()
    return np.concatenate([np.log([0.5, 0.025, 0.8, 0.025]), observed[:, 0]])


def residual_by(solve_ivp):
    """The residual function of the six unknowns, with either package's solver."""
    years, observed = pelts()
    span = (years[0], years[-1])

    def residual(unknowns):
        natural = np.exp(unknowns)
        solution = solve_ivp(model, span, natural[4:], args=(natural[:4],), t_eval=years, **OPTIONS)
        return (np.log(solution.y) - observed).reshape(-1)

    return residual


def scipy_fit():
    from scipy.integrate import solve_ivp
    from scipy.optimize import least_squares

    residual, start = residual_by(solve_ivp), guess()
    return lambda: least_squares(residual, start, jac="2-point").x


def sciad_fit():
    from sciad.ode import solve_ivp
    from sciad.optimize import least_squares

    residual, start = residual_by(solve_ivp), guess()
    return lambda: least_squares(residual, start).x


def measure_warm():
    builders = {
        "scipy": lambda: repeated(scipy_fit()),
        "sciad": lambda: repeated(sciad_fit()),
    }
    return contest(builders, rtol=1e-3, budget=10.0)


def measure_cold():
    starts = {
        "scipy": Start("scipy", f"{HERE}:scipy_fit"),
        "sciad": Start("sciad.optimize,sciad.ode", f"{HERE}:sciad_fit", "alone"),
    }
    return cold_contest(starts, rounds=3, agree=(("scipy", "sciad"),), rtol=1e-3)


CASES = {
    "fit_warm": Case(measure_warm, (Claim("lynx-hare fit, warm", peer="scipy", ratio=0.2),)),
    "fit_cold": Case(
        measure_cold,
        (Claim("lynx-hare fit, fresh process, empty cache", peer="scipy", ratio=1.0),),
    ),
}
