"""What a kernel's loops compute, by their evaluator in Python."""

import numpy as np

from sciad.compiler import loops
from sciad.compiler.scalars import DTYPES, SCALARS


def by_loops(kernel, leaves) -> list | None:
    """The results of a kernel by its loop IR; None where it reaches functions by pointer, or such
    that only machine code can call."""
    lowered = kernel.lowered
    if "ptr" in lowered.params:
        return None
    module = lowered.module
    main = next(f for f in module.functions if f.name == lowered.name)
    scalars = [np.asarray(x, var.type.dtype) for x, var in zip(leaves, kernel.graph.inputs,
                                                              strict=True)]
    args = [part for x in scalars for part in _parts(x)]
    outs = [np.zeros(atom.type.shape, atom.type.dtype) for atom in kernel.graph.outputs]
    arrays = [part for x in outs if x.shape for part in _parts(x)]
    results = [np.zeros(1, DTYPES[kind]) for kind in lowered.results]
    given = [_seen(x, type) for x, (_, type) in zip(
        [*args, *lowered.constants, *arrays, *results], main.params, strict=True)]
    try:
        status = loops.evaluate(main, *given, module=module)
    except KeyError:  # a function of a library
        return None
    assert status == 0
    numbers = iter(results)
    return [x if x.shape else _number(x, numbers) for x in outs]


def _parts(x):
    """The parameters of an operand: a complex number comes as two."""
    return [x] if x.shape or x.dtype.kind != "c" else [x.real, x.imag]


def _seen(x, type):
    """A number, or the memory of an array as a buffer."""
    if type in SCALARS:
        return np.asarray(x).reshape(())[()]
    return np.ascontiguousarray(x).reshape(-1).view(DTYPES[type[4:-1]])


def _number(x, numbers):
    real = next(numbers)[0]
    return x.dtype.type(complex(real, next(numbers)[0]) if x.dtype.kind == "c" else real)
