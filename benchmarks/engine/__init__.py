"""The engine's claims: small and large eager operations, writes, memory, long tapes, imports."""

from benchmarks.engine import (
    adbench,
    chains,
    large,
    long_chain,
    lstm,
    memory,
    reads,
    starting,
    writes,
)

CASES = {
    **chains.CASES,
    **writes.CASES,
    **lstm.CASES,
    **large.CASES,
    **adbench.CASES,
    **reads.CASES,
    **memory.CASES,
    **long_chain.CASES,
    **starting.CASES,
}
