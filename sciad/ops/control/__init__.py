"""Control flow: cond, while_loop, fori_loop, scan, vmap.

With concrete values they are Python: the branch is called, the loop runs, and the derivative is
that of what ran. While recording they become structured equations with graphs as parameters, whose
derivatives are again structured.
"""

from sciad.core.capacity import capacity, loop_capacity
from sciad.ops.control.cond import cond, cond_p
from sciad.ops.control.fori_loop import fori_loop
from sciad.ops.control.scan import scan, scan_p
from sciad.ops.control.stopping import (
    BufferFull,
    Check,
    assume,
    assume_p,
    check_p,
    fail_p,
)
from sciad.ops.control.values import weaken_p
from sciad.ops.control.vmap import vmap
from sciad.ops.control.while_loop import full_buffer, while_loop, while_p
