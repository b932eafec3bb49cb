"""All case tables together, and the variants that are made of them."""

from tests.ops import (
    cases,
    cases_fft,
    cases_linalg,
    cases_numpy,
    cases_special,
    cases_wide,
    variants,
)

CASES = [*cases.CASES, *cases_fft.CASES, *cases_linalg.CASES, *cases_special.CASES,
         *cases_numpy.CASES, *cases_wide.CASES]

VARIANTS = [*variants.layouts(CASES), *variants.singles(CASES), *variants.complexes(CASES)]

REFUSALS = list(variants.refusals(CASES))
