"""Operations on arrays and symbolic tensors: what `keras.ops` offers, one function each.

Every one takes JAX and NumPy arrays, numbers, lists, Variables and KerasTensors; with a KerasTensor
it records the call and returns a KerasTensor.
"""

# ruff: noqa: F401, F403

from typing import TYPE_CHECKING

from staghorn.engine.registry import missing_names as _missing_names
from staghorn.ops import image, linalg, math, nn, numpy
from staghorn.ops.activation import *
from staghorn.ops.attention import *
from staghorn.ops.convolution import *
from staghorn.ops.core import *
from staghorn.ops.creation import *
from staghorn.ops.ctc import *
from staghorn.ops.elementwise import *
from staghorn.ops.joining import *
from staghorn.ops.linalg import *
from staghorn.ops.math import *
from staghorn.ops.nn import *
from staghorn.ops.pooling import *
from staghorn.ops.products import *
from staghorn.ops.rearranging import *
from staghorn.ops.reduction import *
from staghorn.ops.searching import *
from staghorn.ops.shaping import *

# Every public function imported above; written out it would be this list a second time.
__all__ = sorted(name for name, thing in globals().items() if callable(thing) and name[0] != "_")

if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = _missing_names(__name__, __all__)
