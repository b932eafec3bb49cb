"""What code looks up by name: globals, attributes, modules that it imports."""

from __future__ import annotations

import dis
import functools
import types
from typing import NamedTuple

_DYNAMIC = {"getattr", "hasattr", "vars", "dir", "attrgetter", "__dict__", "__getattribute__"}
_LOADS_MODULES = {"modules", "import_module"}


class Lookups(NamedTuple):
    """The names in code, functions inside it included.

    `scope` are globals or builtins, read or written; `attributes` those of any object, and the
    texts that may be names of one; `imports` pairs of a module's name and its level. `dynamic` code
    may look up an attribute by a name that it makes; code that `catches` has a handler of
    exceptions, or a `with`.
    """

    scope: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[tuple[str, int], ...]
    dynamic: bool
    catches: bool


@functools.lru_cache(maxsize=4096)
def lookups(code: types.CodeType) -> Lookups:
    """What `code` looks up."""
    scope: dict[str, None] = {}
    attributes: dict[str, None] = {}
    imports: dict[tuple[str, int], None] = {}
    steps = [x for x in dis.get_instructions(code) if x.opname != "EXTENDED_ARG"]
    for k, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            imports[step.argval, _level(steps[k - 2])] = None
        elif "GLOBAL" in step.opname or step.opname == "LOAD_NAME":
            scope[step.argval] = None
    attributes.update(dict.fromkeys(code.co_names))
    constants = [x for const in code.co_consts for x in _flat(const)]
    attributes.update((x, None) for x in constants if isinstance(x, str) and x.isidentifier())
    named = scope.keys() | attributes.keys()
    if named & _LOADS_MODULES:
        imports.update(((x, 0), None) for x in constants if isinstance(x, str) and x)
    dynamic = bool(named & _DYNAMIC)
    inside = [lookups(x) for x in code.co_consts if isinstance(x, types.CodeType)]
    for each in inside:
        scope.update(dict.fromkeys(each.scope))
        attributes.update(dict.fromkeys(each.attributes))
        imports.update(dict.fromkeys(each.imports))
    return Lookups(tuple(scope), tuple(attributes), tuple(imports),
                   dynamic or any(each.dynamic for each in inside),
                   bool(code.co_exceptiontable) or any(each.catches for each in inside))


def _level(step) -> int:
    """How many packages up an import starts, from what stands on the stack."""
    return step.argval if isinstance(step.argval, int) else 0


def _flat(const) -> list:
    return list(const) if isinstance(const, (tuple, frozenset)) else [const]
