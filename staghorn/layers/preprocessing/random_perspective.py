"""RandomPerspective: look at images from the side."""

from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Interval
from staghorn.layers.preprocessing.colour_layer import strength
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer

_UNMOVED = (1, 0, 0, 0, 1, 0, 0, 0)


class RandomPerspective(RandomAffineLayer):
    """Move the corners of each image at random, and everything else with them, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    corner ← corner * (1 + shift), shift ~ Uniform(-scale / 2, scale / 2)

    Args:
        factor: probability that an image is touched: x for one drawn from (0, x), or a pair
            (lower, upper) for one drawn between them. Default: 1.
        scale: in [0, 1], how far corners move. Default: 1.
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        fill_value: what lies outside the image. Default: 0.
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other factors or options, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomPerspective(scale=0.3, seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: coordinates are multiplied, so the corner at (0, 0) stays, as in Keras. Boxes come back
    in the layer's format; in Keras as "xyxy".
    """

    arguments = {**RandomAffineLayer.arguments, "scale": Interval(0, 1)}

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "constant", interpolation, seed, fill_value, data_format=data_format, **kwargs
        )
        self.factor = strength(type(self).__name__, factor, 0, 1)
        self.scale = scale

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("fill_mode")  # the base's; here it is no argument
        return config

    def _draw_matrix(self, batch: int, height: int, width: int, seed: Any) -> list[Any]:
        chosen = self._chosen(self.factor, batch, seed)
        reach = 0.5 * self.scale
        shift = random.uniform((batch, 4, 2), -reach, reach, dtype=self.compute_dtype, seed=seed)
        corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]
        start = jnp.broadcast_to(jnp.asarray(corners, self.compute_dtype), shift.shape)
        end = start + start * shift
        transform = homography(end.astype("float32"), start.astype("float32"))
        still = jnp.asarray(_UNMOVED, "float32")
        return [jnp.where(chosen, transform[:, k], still[k]) for k in range(8)]


def homography(source: Any, target: Any) -> Any:
    """Return a0 … c1 of the map that takes four points to four others.

    (batch, 4, 2), (batch, 4, 2) → (batch, 8)
    """
    x, y, u, v = source[..., 0], source[..., 1], target[..., 0], target[..., 1]  # (batch, 4)
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    rows = [
        jnp.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=-1),
        jnp.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=-1),
    ]
    known = jnp.concatenate([u, v], axis=-1)[..., None]  # (batch, 8, 1)
    return jnp.linalg.solve(jnp.concatenate(rows, axis=-2), known)[..., 0]
