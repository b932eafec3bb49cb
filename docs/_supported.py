"""The directive ``.. supported:: ufuncs``: names of NumPy functions that differentiate.

The lists are read from the package when the pages are built, so they are always those of the code.
"""

import numpy as np
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import sciad.numpy
from sciad.core.array import FUNCTIONS, UFUNCS


def names(kind):
    """Sorted names of one of the lists: ufuncs, functions, linalg, or makers of arrays."""
    functions = {f"{f.__module__}.{f.__name__}" for f in FUNCTIONS}
    linalg = {name for name in functions if name.startswith("numpy.linalg.")}
    lists = {
        "ufuncs": {f.__name__ for f in UFUNCS},
        "functions": {name.removeprefix("numpy.") for name in functions - linalg},
        "linalg": {name.removeprefix("numpy.") for name in linalg},
        "makers": {name for name in sciad.numpy.__all__ if is_maker(name)},
    }
    return sorted(lists[kind])


def is_maker(name):
    """Whether only ``sciad.numpy`` can offer it: NumPy's own never asks the arrays it is given."""
    mine, original = getattr(sciad.numpy, name), getattr(np, name, None)
    return callable(mine) and mine is not original and original not in FUNCTIONS


class Supported(SphinxDirective):
    required_arguments = 1

    def run(self):
        paragraph = nodes.paragraph()
        for name in names(self.arguments[0]):
            paragraph += [nodes.literal(text=name), nodes.Text(" ")]
        return [paragraph]


def setup(app):
    app.add_directive("supported", Supported)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
