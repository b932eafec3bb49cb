"""The Lotka-Volterra baseline in C, reached through ctypes and checked against differences."""

import ctypes

import numpy as np

from benchmarks.baselines import load
from benchmarks.timing import Run


def pointer(array: np.ndarray):
    """The address of a contiguous float64 array, for C."""
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


class Baseline:
    """Loss (sum of squares at the save points) and gradient of one solve, by hand-written C."""

    def __init__(self, y0, span, times, rtol, atol):
        self.library = load("lotka_volterra")
        self.library.replay.restype = ctypes.c_double
        self.y0, self.times = np.array(y0, dtype=float), np.array(times, dtype=float)
        self.t0, self.t1 = map(ctypes.c_double, span)
        self.rtol, self.atol = ctypes.c_double(rtol), ctypes.c_double(atol)
        self.loss, self.y_bar, self.p_bar = np.zeros(1), np.zeros(2), np.zeros(4)

    def problem(self, p: np.ndarray) -> tuple:
        """The arguments that `solve` and `value_and_grad` share, and where the loss goes."""
        saves = (pointer(self.times), len(self.times))
        span = (self.t0, self.t1)
        return (
            *(pointer(p), pointer(self.y0), *span, *saves, self.rtol, self.atol),
            pointer(self.loss),
        )

    def gradient_run(self, p: np.ndarray) -> Run:
        """The run whose n repetitions happen inside C: no call overhead in its time."""
        arguments = (*self.problem(p), pointer(self.y_bar), pointer(self.p_bar))

        def run(n):
            self.check_steps(self.library.value_and_grad(n, *arguments))
            return self.loss[0], self.p_bar

        return run

    def solve_run(self, p: np.ndarray) -> Run:
        """As `gradient_run`, the loss alone."""
        arguments = self.problem(p)

        def run(n):
            self.check_steps(self.library.solve(n, *arguments))
            return self.loss[0]

        return run

    def check_steps(self, n: int) -> None:
        """Keep the number of steps taken; negative means that the solve failed."""
        if n < 0:
            raise RuntimeError("the C baseline failed: step size underflow or too many steps")
        self.n_steps = n

    def verify(self, p: np.ndarray, rtol: float = 1e-7) -> None:
        """Compare the adjoint's gradient with central differences of the replayed steps."""
        _, slope = self.gradient_run(p)(1)
        ends = np.zeros(self.n_steps)
        self.library.last_steps(self.n_steps, pointer(ends))

        def replay(q):
            return self.library.replay(
                *(pointer(q), pointer(self.y0), self.t0, pointer(ends), self.n_steps),
                *(pointer(self.times), len(self.times)),
            )

        shifts = np.diag(1e-5 * p)
        differences = [
            (replay(p + shift) - replay(p - shift)) / (2 * shift.sum()) for shift in shifts
        ]
        np.testing.assert_allclose(slope, differences, rtol=rtol)
