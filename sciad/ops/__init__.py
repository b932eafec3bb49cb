"""The operations, by family: function, shape rule and derivative side by side.

Importing this package gives `sciad.core.array.Array` its operators.
"""

from sciad.ops import control, create, factor, operators

operators.install()

__all__ = ["control", "create", "factor", "operators"]
