"""One seed for everything random."""

import random as python_random

import numpy as np

from staghorn import random

__all__ = ["get_random_seed", "set_random_seed"]


def set_random_seed(seed: int) -> None:
    """Seed Python's `random`, NumPy, and Staghorn's draws: weights, dropout, shuffling.

    Args:
        seed: an int in [0, 2**32), NumPy's range.

    Raises:
        ValueError: if the seed is not such an int.

    Example:
        >>> staghorn.utils.set_random_seed(7)
        >>> first = staghorn.initializers.GlorotUniform()((2, 3))
        >>> staghorn.utils.set_random_seed(7)
        >>> bool((staghorn.initializers.GlorotUniform()((2, 3)) == first).all())
        True

    Notes: initial weights then equal those of Keras on JAX with the same seed.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(
            f"set_random_seed: seed must be an int in [0, 2**32), got {seed!r} "
            f"({type(seed).__name__})."
        )
    seed = int(seed)
    random.reset_global_seed(seed)
    python_random.seed(seed)
    np.random.seed(seed)


def get_random_seed() -> int | None:
    """Return the seed last given to `set_random_seed`, or None.

    Example:
        >>> staghorn.utils.set_random_seed(7)
        >>> staghorn.utils.get_random_seed()
        7
    """
    return random.global_seed()
