"""Differential equations: solve_ivp with native kernels and discrete adjoints."""

from sciad.ode.solution import SolveError
from sciad.ode.solve import OdeResult, solve_ivp
from sciad.ode.tableau import RK45, TSIT5, Tableau

__all__ = ["RK45", "TSIT5", "OdeResult", "SolveError", "Tableau", "solve_ivp"]
