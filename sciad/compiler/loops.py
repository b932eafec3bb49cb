"""The loop IR: scalars, flat buffers, loops.  Data that prints, checks and evaluates itself.

A ``Module`` is a list of functions; a ``Function`` has parameters and a body of statements;
statements hold expressions.  Nodes are made by the thousand, so constructing one validates nothing:
``check(module)`` does that, once.  Nodes are never written to after they are made.

Types are strings: the scalars ``f64 f32 i64 i32 i8 i1``, buffers ``ptr<f64>`` and so on (``i1``
buffers hold one byte an element, as NumPy's bool), and ``ptr`` for a pointer to a function.

Rules
-----
- ``Let`` names are single-assignment, unique in their function, and visible to the end of the
  block that defines them.  An expression is evaluated where it stands: one that reads a ``Var`` or
  a buffer and is needed later must be bound by ``Let``.  A node used twice is computed twice.
- Arithmetic is strict IEEE; ``fast`` on ``add sub mul div`` allows reassociation and contraction.
- A function returns an ``i64`` status (0 is success) unless ``result`` says otherwise.
- ``Alloc`` of a constant size up to 4 KiB is stack as long as a function's take no more than
  32 KiB together; others come from the heap and are released by ``Return``.  Allocations above
  4 KiB stand at the top level of the body.
- ``Spread`` calls a function of the module over pieces of a range, maybe on several threads.
- ``Call`` reaches a function of the module, an external symbol (BLAS, LAPACK, the C library) by
  its name, or a function pointer by a ``Name`` of type ``ptr``; the last always returns a status.
"""

from sciad.compiler.builder import Builder
from sciad.compiler.checker import LoopError, check
from sciad.compiler.evaluator import evaluate
from sciad.compiler.nodes import (
    Address,
    Alloc,
    Assign,
    Call,
    Const,
    Expr,
    Expression,
    Function,
    If,
    Let,
    Load,
    Loop,
    Module,
    Name,
    Op,
    Return,
    Spread,
    Statement,
    Store,
    Var,
    While,
    is_buffer,
    lift,
    on_stack,
    show,
    text,
)

__all__ = [
    "Address",
    "Alloc",
    "Assign",
    "Builder",
    "Call",
    "Const",
    "Expr",
    "Expression",
    "Function",
    "If",
    "Let",
    "Load",
    "Loop",
    "LoopError",
    "Module",
    "Name",
    "Op",
    "Return",
    "Spread",
    "Statement",
    "Store",
    "Var",
    "While",
    "check",
    "evaluate",
    "is_buffer",
    "lift",
    "on_stack",
    "show",
    "text",
]
