"""Mixed precision under Keras's older names; `dtype_policies` has the policies themselves."""

from typing import TYPE_CHECKING

from staghorn.dtype_policies import DTypePolicy as DTypePolicy
from staghorn.dtype_policies import dtype_policy as dtype_policy
from staghorn.dtype_policies import set_dtype_policy as set_dtype_policy
from staghorn.engine.registry import missing_names
from staghorn.optimizers import LossScaleOptimizer as LossScaleOptimizer

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy",
    "set_dtype_policy", "set_global_policy",
]  # fmt: skip

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
