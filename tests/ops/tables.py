"""All case tables together, and the variants that are made of them."""

from tests.ops import (
    cases,
    cases_empty,
    cases_fft,
    cases_linalg,
    cases_numpy,
    cases_special,
    cases_wide,
    variants,
)

CASES = [*cases.CASES, *cases_fft.CASES, *cases_linalg.CASES, *cases_special.CASES,
         *cases_numpy.CASES, *cases_wide.CASES, *cases_empty.CASES]

_COMPLEX = list(variants.complexes(CASES))

VARIANTS = [*variants.layouts(CASES), *variants.singles(CASES), *_COMPLEX,
            *variants.single_complexes([*CASES, *_COMPLEX])]

REFUSALS = list(variants.refusals(CASES))
