"""
Fit a model to data: lynx and hare
==================================

For two centuries the Hudson's Bay Company counted the pelts it bought. Its figures for the snowshoe
hare and the Canada lynx are the textbook case of predator and prey, and of the equations of Lotka
and Volterra. Here the four rates, the two initial populations and the noise are estimated from
twenty-one years of pelts, with standard errors and with the uncertainty of the fitted curves.
"""

# %%
# Data and model
# --------------
# The model is plain NumPy, as one would write it for SciPy.

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import sciad
from sciad.ode import solve_ivp
from sciad.optimize import least_squares

here = Path(sys.argv[0]).parent
years, *pelts = np.loadtxt(here / "data/lynx_hare.csv", delimiter=",", skiprows=2).T
since_1900 = years - 1900
log_pelts = np.log(pelts)


def lotka_volterra(t, y, alpha, beta, gamma, delta):
    hare, lynx = y
    return np.array([alpha*hare - beta*hare*lynx, delta*hare*lynx - gamma*lynx])


# %%
# All six parameters are positive, so the fit works with their logarithms. The noise of a count is a
# factor rather than a summand: pelts are log-normal about the model, and the residuals are
# differences of logarithms.


def log_populations(log_parameters, times):
    *rates, hare, lynx = np.exp(log_parameters)
    start = np.array([hare, lynx])
    solution = solve_ivp(lotka_volterra, (times[0], times[-1]), start, method="Tsit5",
                         t_eval=times, args=tuple(rates), rtol=1e-8, atol=1e-8)
    return np.log(solution.y)


def residuals(log_parameters):
    return (log_populations(log_parameters, since_1900) - log_pelts).ravel()


# %%
# The fit
# -------
# `sciad.optimize.least_squares` is SciPy's, except that the Jacobian it is given is exact: sciad
# differentiates the residuals, the solver included. Both run as machine code.

guess = np.log([0.5, 0.02, 1.0, 0.02, 30.0, 5.0])
begun = time.perf_counter()
fit = least_squares(residuals, guess)
first = time.perf_counter() - begun

# %%
# Standard errors
# ---------------
# With :math:`J` the Jacobian at the optimum, :math:`n = 42` residuals and :math:`p = 6` parameters,
# the noise is :math:`\hat\sigma^2 = \sum r_i^2 / (n - p)`, and the covariance of the log parameters
# is :math:`\hat\sigma^2 (J^T J)^{-1}`. The delta method carries it back: the standard error of
# :math:`\theta = e^q` is :math:`\theta` times that of :math:`q`.

n, p = fit.jac.shape
sigma = np.sqrt(2 * fit.cost / (n - p))
covariance = sigma**2 * np.linalg.inv(fit.jac.T @ fit.jac)
estimates = np.exp(fit.x)
errors = estimates * np.sqrt(np.diag(covariance))

names = ["alpha", "beta", "gamma", "delta", "hare 1900", "lynx 1900", "noise"]
stan = [0.55, 0.028, 0.80, 0.024, 33.9, 5.9, 0.25]
rows = zip(names, [*estimates, sigma], [*errors, sigma / np.sqrt(2 * (n - p))], stan, strict=True)
print("parameter   estimate  std.error   Stan's posterior mean")
for name, estimate, error, reference in rows:
    print(f"{name:10} {estimate:9.4g} {error:10.2g} {reference:11.4g}")
print(f"\nobjective {fit.cost:.4f}, {fit.nfev} evaluations, {fit.njev} Jacobians: {fit.message}")

# %%
# Where the time went
# -------------------
# A second fit finds its machine code ready; what the first one took longer is recording and
# compilation. (Machine code is kept on disk, so the first fit of a later run is quicker.) An
# evaluation of the Jacobian carries the residuals along, so the time of the solves is that of the
# Jacobians, and of the residuals that were computed alone. The rest is SciPy's trust region.


def seconds(call, *args, repeats=20):
    """Mean time of a call whose machine code exists."""
    call(*args)
    begun = time.perf_counter()
    for _ in range(repeats):
        call(*args)
    return (time.perf_counter() - begun) / repeats


again = seconds(least_squares, residuals, guess)
solve = fit.njev * seconds(sciad.jit(sciad.jacobian(residuals)), fit.x)
solve += max(fit.nfev - fit.njev, 0) * seconds(sciad.jit(residuals), fit.x)
print(f"time of the first fit: {1e3 * first:.1f} ms, of which")
print(f"  compile {1e3 * (first - again):8.2f} ms")
print(f"  solve   {1e3 * solve:8.2f} ms")
print(f"  rest    {1e3 * (again - solve):8.2f} ms")

# %%
# The uncertainty of the curve
# ----------------------------
# The same covariance, carried through the Jacobian of the *prediction*, gives the standard error of
# the curve at every time. Adding the noise gives the range in which a new count would fall.

fine = np.linspace(0.0, 20.0, 401)


def curve(log_parameters):
    return log_populations(log_parameters, fine)


log_curve = curve(fit.x)
slopes = sciad.jacobian(curve)(fit.x)
variance = np.einsum("stp,pq,stq->st", slopes, covariance, slopes)
curve_band = np.exp(1.96 * np.sqrt(variance))
count_band = np.exp(1.96 * np.sqrt(variance + sigma**2))

figure, axes = plt.subplots(2, sharex=True, figsize=(8, 6), layout="constrained")
for ax, name, color, counts, center, narrow, wide in zip(
    axes, ("hare", "lynx"), ("C0", "C1"), pelts, np.exp(log_curve), curve_band, count_band,
    strict=True,
):
    ax.fill_between(1900 + fine, center / wide, center * wide, color=color, alpha=0.12,
                    linewidth=0, label="95 % of counts")
    ax.fill_between(1900 + fine, center / narrow, center * narrow, color=color, alpha=0.35,
                    linewidth=0, label="95 % of curves")
    ax.plot(1900 + fine, center, color=color, label="fit")
    ax.plot(years, counts, "ko", markersize=4, label="pelts")
    ax.set(ylabel=f"{name}, thousands", ylim=(0, 1.15 * np.max(center * wide)))
    ax.legend(loc="upper right", ncols=4, fontsize=8, frameon=False)
axes[1].xaxis.get_major_locator().set_params(integer=True)
figure.savefig("lynx_hare.png", dpi=150)
print("figure: lynx_hare.png")
