"""A fresh start inside one Python process."""

import gc

from staghorn import dtype_policies, random
from staghorn.engine import naming

__all__ = ["clear_session"]


def clear_session(free_memory: bool = True) -> None:
    """Forget automatic names, the global dtype policy and the global seed.

    Args:
        free_memory: also run Python's garbage collector. Default: True.

    Example:
        >>> first = staghorn.layers.Dense(1)
        >>> staghorn.utils.clear_session()
        >>> staghorn.layers.Dense(1).name
        'dense'

    Notes: models made before stay as they are. Float type, epsilon and image layout stay too.
    """
    naming.reset()
    dtype_policies.reset_dtype_policy()
    random.reset_global_seed()
    if free_memory:
        gc.collect()
