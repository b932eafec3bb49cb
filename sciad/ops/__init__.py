"""The operations, by family: function, shape rule and derivative side by side.

Importing this package gives `sciad.core.array.Array` its operators.
"""

from sciad.ops import control, create, device, factor, operators, python_integers

operators.install()

__all__ = ["control", "create", "device", "factor", "operators", "python_integers"]
