"""The NIST Statistical Reference Datasets for nonlinear regression (itl.nist.gov/div898/strd).

Each file holds the data, two starting points, and parameters and standard deviations certified to
eleven digits.
"""

from pathlib import Path

import numpy as np
import pytest

from sciad.optimize import least_squares

DATA = Path(__file__).resolve().parents[1] / "data" / "nist"


def exponentials(b, x):
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def two_peaks(b, x):
    return (b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-((x - b[3]) ** 2) / b[4] ** 2)
            + b[5] * np.exp(-((x - b[6]) ** 2) / b[7] ** 2))


def cycles(b, x):
    total = b[0]
    for cosine, sine, period in ((b[1], b[2], 12.0), (b[4], b[5], b[3]), (b[7], b[8], b[6])):
        phase = 2 * np.pi * x / period
        total = total + cosine * np.cos(phase) + sine * np.sin(phase)
    return total


def rational(numerator, denominator):
    def model(b, x):
        above = sum(b[k] * x**k for k in range(numerator + 1))
        below = 1 + sum(b[numerator + k] * x**k for k in range(1, denominator + 1))
        return above / below

    return model


MODELS = {
    "Misra1a": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Chwirut2": lambda b, x: np.exp(-b[0] * x) / (b[1] + b[2] * x),
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": cycles,
    "Gauss1": two_peaks,
    "Hahn1": rational(3, 3),
    "Kirby2": rational(2, 2),
    "Lanczos3": exponentials,
    "MGH17": lambda b, x: b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4]),
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * np.exp(-b[2] * x[1]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi,
}


def problem(name):
    """Responses, predictors, starts (2, n), certified parameters and standard deviations."""
    lines = (DATA / f"{name}.dat").read_text().splitlines()
    table = np.array([line.split("=")[1].split() for line in lines
                      if line.strip().startswith("b") and " = " in line], dtype=float).T
    begin = max(k for k, line in enumerate(lines) if line.startswith("Data:")) + 1
    y, *x = np.array([line.split() for line in lines[begin:] if line.strip()], dtype=float).T
    if name == "Nelson":
        y = np.log(y)
    return y, x[0] if len(x) == 1 else np.array(x), table[:2], table[2], table[3]


def standard_deviations(fit):
    n, p = fit.jac.shape
    r = np.linalg.qr(fit.jac, mode="r")
    return np.sqrt(2 * fit.cost / (n - p)) * np.linalg.norm(np.linalg.inv(r), axis=1)


@pytest.mark.parametrize("method", ["trf", "lm"])
@pytest.mark.parametrize("name", MODELS)
def test_certified_values(name, method):
    y, x, starts, parameters, deviations = problem(name)

    def residuals(b):
        return MODELS[name](b, x) - y

    fit = least_squares(residuals, starts[1], method=method, x_scale="jac",
                        ftol=1e-15, xtol=1e-15, gtol=1e-15)
    np.testing.assert_allclose(fit.x, parameters, rtol=1e-6)
    np.testing.assert_allclose(standard_deviations(fit), deviations, rtol=1e-6)
