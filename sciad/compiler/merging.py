"""Fewer and wider launches: loops split into nests, scalars moved to where they are read.

Fission. ``for i: A; for j: B; C`` with independent iterations i means ``for i: A``, then
``for i: for j: B``, then ``for i: C``, if nothing but cheap ``Let``s is handed on between them: the
second has a thread for each (i, j).

Sharing. A scalar made of numbers that the host knows is computed again by each kernel that reads
it, rather than once in a kernel of its own. What a single thread does with scalars alone moves
behind the launches that do not read it, where it joins the next single thread.
"""

from __future__ import annotations

from collections.abc import Callable

from sciad.compiler.nests import defined, expressions, free, nodes, statements
from sciad.compiler.nodes import (
    Address,
    Assign,
    Expr,
    Let,
    Load,
    Loop,
    Name,
    Store,
    Var,
)


def fission(loop: Loop) -> list[Loop] | None:
    """The loop as one loop for each inner loop of its body, and for what stands between them;
    None if they hand on more than cheap ``Let``s. The iterations must be independent."""
    written = {s.buffer.name for s in statements([loop]) if type(s) is Store}
    written |= {s.name for s in statements([loop]) if type(s) is Assign}
    groups: list[list] = [[]]
    for s in loop.body:
        if type(s) is Loop:
            groups += [[s], []]
        else:
            groups[-1].append(s)
    groups = [group for group in groups if group]
    if len(groups) < 2:
        return None
    lets: dict[str, Let] = {}
    out = []
    for group in groups:
        needs = closure(free(group), lets)
        out.append([*needs, *group])
        for s in group:
            if type(s) is Let and _reads_nothing_of(s.expr, written):
                lets[s.name] = s
    kept = [group for group in out if any(type(s) is not Let for s in group)]
    made = defined(loop.body)
    if any(name in made for group in kept for name in free(group)):
        return None
    return [Loop(loop.index, loop.start, loop.stop, group, loop.reverse, loop.parallel)
            for group in kept]


def _reads_nothing_of(e: Expr, names: set[str]) -> bool:
    return not any(type(x) is Address or type(x) is Name and x.name in names for x in nodes(e))


def closure(names, lets: dict[str, Let]) -> list[Let]:
    """The ``Let``s of a table that some names depend on, in the table's order."""
    wanted = {name for name in names if name in lets}
    for name in reversed(list(lets)):
        if name in wanted:
            wanted |= {e.name for e in nodes(lets[name].expr)
                       if type(e) is Name and e.name in lets}
    return [let for name, let in lets.items() if name in wanted]


def shared_scalars(bodies: list[list], known: Callable[[str], bool]) -> dict[str, Let]:
    """The ``Let``s at the top of bodies that are made of `known` names alone."""
    found: dict[str, Let] = {}
    for body in bodies:
        for s in body:
            if type(s) is Let and all(
                    type(e) is not Load and type(e) is not Address
                    and (type(e) is not Name or e.name in found or known(e.name))
                    for e in nodes(s.expr)):
                found[s.name] = s
    return found


def movable(body: list) -> bool:
    """Whether statements of a single thread only make scalars of scalars."""
    return all(type(s) in (Let, Var) for s in body) and not any(
        type(e) in (Load, Address) for e in expressions(body))


