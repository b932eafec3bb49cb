"""Compiled device code against CuPy itself: ``python -m benchmarks.gpu``, where there is a GPU.

Each case runs as CuPy evaluates it, operation by operation, and as `sciad.jit` compiles it, in one
process; a time is the least of many, each closed by waiting for the device. The chain also gives
its share of the bandwidth that a copy of the same arrays reaches.
"""

import time

import numpy as np

ENTRIES = 10_000_000
SIDE, STEPS = 512, 100


def chain(x):
    """Ten elementwise operations."""
    y = np.sin(x) * 0.5 + x
    z = np.exp(-y * y) + 1.0
    return np.sqrt(z) / (y * y + 2.0)


def heat(u):
    """An explicit step of the heat equation on the inner points."""
    middle = u[1:-1, 1:-1]
    around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
    return np.pad(middle + 0.1 * (around - 4.0 * middle), 1)


def stencil(u):
    """Many steps; the sum of squares at the end."""
    import sciad

    last, _ = sciad.scan(lambda u, _: (heat(u), None), u, None, length=STEPS)
    return np.sum(last * last)


def best(function, *args, repeats: int = 20) -> float:
    """Seconds of the fastest call after two to warm up."""
    import cupy

    wait = cupy.cuda.get_current_stream().synchronize
    for _ in range(2):
        function(*args)
    wait()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*args)
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print, one line a case."""
    import cupy

    import sciad

    x = cupy.linspace(0.1, 2.0, ENTRIES)
    u = cupy.asarray(np.random.default_rng(0).standard_normal((SIDE, SIDE)))
    copied = best(x.copy)
    cases = {
        "chain of 10 on 1e7": (chain, x),
        "its sum": (lambda x: np.sum(chain(x)), x),
        "gradient of its sum": (sciad.grad(lambda x: np.sum(chain(x))), x),
        "heat, 512x512, 100 steps": (stencil, u),
        "its gradient": (sciad.grad(stencil), u),
    }
    print(f"copy of 1e7: {copied * 1e3:.3f} ms")
    for name, (function, arg) in cases.items():
        compiled = sciad.jit(function, strict=True)
        got, want = compiled(arg), function(arg)
        np.testing.assert_allclose(cupy.asnumpy(got), cupy.asnumpy(want), rtol=1e-9, atol=1e-12)
        eager, mine = best(function, arg, repeats=5), best(compiled, arg)
        print(f"{name}: eager {eager * 1e3:.3f} ms, compiled {mine * 1e3:.3f} ms, "
              f"ratio {mine / eager:.3f}, copies {mine / copied:.2f}")


if __name__ == "__main__":
    main()
