"""Creation: inside a transform, arrays that can be assigned into."""

import numpy as np

from sciad.core import backend
from sciad.core.array import Array
from sciad.core.primitive import active
from sciad.core.rules import Tools
from sciad.ops.elementwise import conj, negative, real, where
from sciad.ops.views import hold


def buffer(x: np.ndarray):
    """A fresh array: plain outside every transform, an Array inside one."""
    if not active():
        return x
    out = Array(x)
    if not out.ndim:
        hold(out)
    return out


Tools.zeros = backend.zeros
Tools.negative = negative
Tools.where = where
Tools.conj = conj
Tools.real = real
