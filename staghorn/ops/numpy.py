"""NumPy's functions with Keras's names, arguments and type rules: `keras.ops.numpy`.

The functions live in files by kind; here they get their one public address, and symbolic tensors
get their operators.
"""

# ruff: noqa: F403

from collections.abc import Callable
from functools import wraps
from typing import Any

from staghorn.engine.symbolic import KerasTensor
from staghorn.ops import elementwise, products, shaping
from staghorn.ops.creation import *
from staghorn.ops.elementwise import *
from staghorn.ops.joining import *
from staghorn.ops.products import *
from staghorn.ops.reduction import *
from staghorn.ops.searching import *
from staghorn.ops.shaping import *

# --- operators of symbolic tensors ----------------------------------------------------------------


def _reversed(function: Callable) -> Callable:
    @wraps(function)
    def method(self: Any, other: Any) -> Any:
        return function(other, self)

    return method


_BOTH_SIDES = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "matmul": products.matmul,
    "truediv": elementwise.true_divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.mod,
    "pow": elementwise.power,
    "and": elementwise.logical_and,
    "or": elementwise.logical_or,
    "xor": elementwise.logical_xor,
}
# No `__eq__`: tensors are compared and hashed by identity, so that sets, dicts and lists hold them.
_ONE_SIDE = {
    "neg": elementwise.negative,
    "abs": elementwise.absolute,
    "invert": elementwise.logical_not,
    "round": elementwise.round,
    "lt": elementwise.less,
    "le": elementwise.less_equal,
    "gt": elementwise.greater,
    "ge": elementwise.greater_equal,
    "ne": elementwise.not_equal,
    "getitem": shaping.get_item,
}
for _name, _function in _BOTH_SIDES.items():
    setattr(KerasTensor, f"__{_name}__", _function)
    setattr(KerasTensor, f"__r{_name}__", _reversed(_function))
for _name, _function in _ONE_SIDE.items():
    setattr(KerasTensor, f"__{_name}__", _function)
