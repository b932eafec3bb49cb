"""The compiler's claims: first calls, Zygote's five, calls, models, long arrays, stencils, nets."""

from benchmarks.compiler import calls, cold, elementwise, model

CASES = {
    **cold.CASES,
    **calls.CASES,
    **model.CASES,
    **elementwise.CASES,
}
