"""ContrastLimitedAdaptiveHistogramEqualization: equalize each part of an image by itself."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Is
from staghorn.layers.preprocessing.colour_layer import ColourLayer, rescaled
from staghorn.ops.image_sampling import batched_last, restored


class ContrastLimitedAdaptiveHistogramEqualization(ColourLayer):
    """Equalize the values of each part of an image by itself, always.

    (batch, height, width, channels) → (batch, height, width, channels)
    Images are cut into tiles; each tile and channel gets a curve, the cumulative histogram of its
    256 values, and each pixel is read from the curves of the four tiles around, by distance.

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        clip_limit: how many times the mean a histogram's bar may be high; what is above is spread
            over all bars, so that noise in plain parts is not strengthened. 0 for no limit.
            Default: 4.
        tile_grid_size: how many tiles there are down and across. Default: (8, 8).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other ranges or sizes, or images of another rank.

    Example:
        >>> layer = staghorn.layers.ContrastLimitedAdaptiveHistogramEqualization()
        >>> layer(np.ones((2, 16, 16, 3), "float32")).shape
        (2, 16, 16, 3)

    Notes: whole numbers stay whole, as in Keras.

    Reference: https://en.wikipedia.org/wiki/Adaptive_histogram_equalization
    """

    arguments = {**ColourLayer.arguments, "clip_limit": Is(float)}
    ordered_range = False
    always = True
    whole = True

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format=data_format, **kwargs)
        self.clip_limit = clip_limit
        self.tile_grid_size = tile_grid_size
        sizes = tile_grid_size if isinstance(tile_grid_size, (tuple, list)) else ()
        if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ValueError(
                f"{type(self).__name__}: tile_grid_size must be two positive ints, such as "
                f"(8, 8), got {tile_grid_size!r}."
            )

    def _recolour(self, images: Any) -> Any:
        batch = batched_last(images, self._channels_first).astype("float32")
        batch = rescaled(batch, self.value_range, (0, 255))
        batch = adapted(batch, tuple(self.tile_grid_size), self.clip_limit)
        return restored(rescaled(batch, (0, 255), self.value_range), images, self._channels_first)


def adapted(images: jax.Array, grid: tuple[int, ...], limit: float) -> jax.Array:
    """Equalize images with values 0 to 255 tile by tile: (b, h, w, c) → (b, h, w, c), float32."""
    batch, height, width, channels = images.shape
    tile = [-(-length // count) for length, count in zip((height, width), grid, strict=True)]
    margins = [(0, t * n - s) for t, n, s in zip(tile, grid, (height, width), strict=True)]
    padded = jnp.pad(images, [(0, 0), *margins, (0, 0)], mode="symmetric")
    pixels = jnp.clip(padded, 0, 255).astype("int32")
    along = [jnp.arange(t * n) for t, n in zip(tile, grid, strict=True)]
    b, y, x, c = jnp.ix_(jnp.arange(batch), *along, jnp.arange(channels))
    counts = jnp.zeros((batch, *grid, channels, 256), "float32")
    counts = counts.at[b, y // tile[0], x // tile[1], c, pixels].add(1.0)
    curves = _curves(counts, tile[0] * tile[1], limit)
    (y0, y1, down), (x0, x1, across) = (
        _between(place, size, count) for place, size, count in zip((y, x), tile, grid, strict=True)
    )
    top, bottom = (
        curves[b, row, x0, c, pixels] * (1.0 - across) + curves[b, row, x1, c, pixels] * across
        for row in (y0, y1)
    )
    return (top * (1.0 - down) + bottom * down)[:, :height, :width]


def _curves(counts: jax.Array, pixels: int, limit: float) -> jax.Array:
    """Turn histograms into curves from 0 to 255: (…, 256) → (…, 256)."""
    if limit > 0:
        clipped = jnp.clip(counts, 0, limit * pixels / 256.0)
        counts = clipped + jnp.sum(counts - clipped, axis=-1, keepdims=True) / 256.0
    below = jnp.cumsum(counts, axis=-1)
    lowest = jnp.min(below, axis=-1, keepdims=True)
    others = pixels - lowest
    return jnp.clip((below - lowest) * 255.0 / jnp.where(others == 0, 1.0, others), 0, 255)


def _between(place: jax.Array, size: int, count: int) -> tuple[jax.Array, ...]:
    """Return the tiles before and after a pixel, and how near the second one is."""
    position = (place.astype("float32") - size / 2.0) / size
    before = jnp.floor(position)
    tiles = (jnp.clip(before + step, 0, count - 1).astype("int32") for step in (0, 1))
    return *tiles, position - before
