"""Creation: inside a transform, arrays that can be assigned into."""

import numpy as np

from sciad.core.array import Array
from sciad.core.primitive import active
from sciad.core.rules import Tools
from sciad.ops.elementwise import conj, negative, real


def buffer(x: np.ndarray):
    """A fresh array: plain outside every transform, an Array inside one."""
    return Array(x) if active() else x


def zeros(shape, dtype=float):
    """A constant zero for rules: plain, broadcast where large."""
    return np.zeros(shape, dtype)[()]


Tools.zeros = zeros
Tools.negative = negative
Tools.conj = conj
Tools.real = real
