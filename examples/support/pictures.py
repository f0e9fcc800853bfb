"""Pictures of one shape each, with everything known about them."""

import numpy as np


def shapes(count, size, rng):
    """Draw discs and squares of random place and size in noise.

    Returns `images` (count, size, size, 1), and of each: `masks` (same shape, 1 inside the shape),
    `square` (1.0) or disc (0.0), `centre` (row and column, 0 to 1) and `radius` (0 to 0.5).
    """
    radius = rng.uniform(0.12, 0.3, count)
    centre = rng.uniform(radius[:, None], 1 - radius[:, None], (count, 2))
    square = rng.random(count) < 0.5
    middles = (np.arange(size) + 0.5) / size
    down = middles[None, :, None] - centre[:, 0, None, None]  # (count, size, 1)
    right = middles[None, None, :] - centre[:, 1, None, None]  # (count, 1, size)
    round_distance = np.hypot(down, right)  # (count, size, size)
    square_distance = np.maximum(np.abs(down), np.abs(right))
    distance = np.where(square[:, None, None], square_distance, round_distance)
    masks = (distance < radius[:, None, None])[..., None].astype("float32")
    images = masks * 0.6 + rng.normal(0.2, 0.25, masks.shape)
    return images.astype("float32"), {
        "masks": masks,
        "square": square.astype("float32"),
        "centre": centre.astype("float32"),
        "radius": radius.astype("float32"),
    }
