"""All case tables together."""

from tests.ops import cases, cases_fft, cases_linalg, cases_numpy

CASES = [*cases.CASES, *cases_fft.CASES, *cases_linalg.CASES,
         *cases_numpy.CASES]
