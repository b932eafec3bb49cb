"""All case tables together."""

from tests.ops import cases, cases_fft, cases_linalg, cases_numpy, cases_special

CASES = [*cases.CASES, *cases_fft.CASES, *cases_linalg.CASES, *cases_special.CASES,
         *cases_numpy.CASES]
