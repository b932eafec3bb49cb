"""The program that mypy reads also runs."""

import numpy as np

from tests import typed_program


def test_it_runs():
    assert typed_program.slope["w"].shape == (2, 1)
    assert typed_program.mapped(np.ones(2)).shape == (2,)
    typed_program.cube.check(0.7)
