"""Fits and optimisers: `least_squares` with the exact Jacobian, and `Adam`."""

from sciad.optimize.adam import Adam, AdamState
from sciad.optimize.least_squares import least_squares

__all__ = ["Adam", "AdamState", "least_squares"]
