"""The compiler's claims: first calls, Zygote's five, calls, models, long arrays, stencils, nets."""

from benchmarks.compiler import (
    brusselator,
    calls,
    cold,
    elementwise,
    mlp,
    model,
    stencil,
    zygote,
)

CASES = {
    **cold.CASES,
    **calls.CASES,
    **model.CASES,
    **elementwise.CASES,
    **zygote.CASES,
    **stencil.CASES,
    **brusselator.CASES,
    **mlp.CASES,
}
