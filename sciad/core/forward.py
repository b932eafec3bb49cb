"""Forward mode: each value carries its tangent."""

from typing import Any

from sciad.core.array import Array
from sciad.core.backend import together
from sciad.core.primitive import Interpreter, Primitive, bind, watch


class Forward(Interpreter):
    """The interpreter of forward mode: an Array's node is its tangent."""

    __slots__ = ()

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        values, tangents = [], []
        for x in args:
            mine = type(x) is Array and x._interp is self
            values.append(x._value if mine else x)
            tangents.append(x._node if mine else None)
        out = bind(primitive, tuple(values), params)
        values = together(values, out)
        tangent = primitive.joint_jvp(tangents, out, values, params)
        look = watch()
        if look is not None:
            look.tangent(primitive, tangents, values, tangent)
        if primitive.multiple:
            parts = tangent if tangent is not None else (None,) * len(out)
            return tuple(map(self._join, out, parts))
        return self._join(out, tangent)

    def _join(self, out, tangent):
        dtype = out.dtype
        if tangent is None or dtype.kind not in "fc":
            return out
        if tangent.dtype is not dtype and tangent.dtype.kind == dtype.kind:
            tangent = tangent.astype(dtype)  # constants of a rule may be wider
        return Array(out, self, tangent)
