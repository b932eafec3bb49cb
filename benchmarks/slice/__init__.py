"""The first claims: a Lotka-Volterra gradient, cold starts, eager chains, calls, two fits."""

from benchmarks.slice import calls, cold, eager, lotka_volterra, lynx_hare, spiral

CASES = {
    **lotka_volterra.CASES,
    **cold.CASES,
    **calls.CASES,
    **eager.CASES,
    **spiral.CASES,
    **lynx_hare.CASES,
}
