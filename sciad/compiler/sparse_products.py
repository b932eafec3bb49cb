"""`jit` of a sparse derivative: the products that it takes are machine code, and SciPy's matrix,
which holds plain numbers, is put together of them in Python."""

from typing import Any, TypeGuard

from sciad.compiler.reports import Report, Stages
from sciad.core.errors import ArgumentError, at_line
from sciad.core.jacobians import hessian, jacobian
from sciad.core.transformed import Transformed


def is_sparse(f: Any) -> TypeGuard[Transformed]:
    """Whether a function is what ``jacobian(f, sparsity=...)`` or ``hessian`` so gives."""
    return (isinstance(f, Transformed) and f.transform in (jacobian, hessian)
            and f.options[-1] is not None)


class CompiledProducts(Transformed):
    """A sparse derivative of a jitted function."""

    def __init__(self, derivative: Transformed, jitted: Any):
        run = derivative.transform(jitted, *derivative.options)
        super().__init__(run, derivative.transform, jitted, derivative.options)

    def report(self) -> Report:
        """What was compiled of the function whose products are taken."""
        return self.f.report()

    def lower(self, *args: Any, **kwargs: Any) -> Stages:
        """The stages of the function whose products are taken."""
        return self.f.lower(*args, **kwargs)

    def save(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """A sparse derivative is no single program; save ``jit(f)``, and differentiate that."""
        raise ArgumentError(f"save: a sparse derivative is put together in Python{at_line()}; save "
                            "the jitted function, whose sparse derivative what load_compiled gives "
                            "has as well")
