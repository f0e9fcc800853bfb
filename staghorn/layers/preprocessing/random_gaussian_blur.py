"""RandomGaussianBlur: smooth images."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import RandomColourLayer, strength
from staghorn.layers.preprocessing.random_transform import Factor
from staghorn.ops.image import gaussian_blur


class RandomGaussianBlur(RandomColourLayer):
    """Smooth some images, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    Each pixel becomes a bell-weighted mean of those around it with chance p ~ Uniform(lower,
    upper) for each image; the bells' widths along both axes are drawn once for the batch.

    Args:
        factor: the chance: a pair (lower, upper) that reaches into [0, 1]; x in [0, 1] stands for
            (0, x). Default: 1.
        kernel_size: how many columns, and how many rows, are averaged: an odd number, or a pair.
            Default: 3.
        sigma: width of the bell, in pixels: a pair that reaches into [0, 1]; x in [0, 1] stands
            for (0, x). Default: 1.
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors, sizes or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomGaussianBlur((1.0, 1.0), kernel_size=5, seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: zeros are assumed outside, as in Keras, so that borders darken.
    """

    ordered_range = False

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)
        pair = isinstance(kernel_size, (list, tuple))
        sizes: tuple[Any, ...] = tuple(kernel_size) if pair else (kernel_size, kernel_size)  # type: ignore[arg-type]
        if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 and n % 2 for n in sizes):
            raise ValueError(
                f"RandomGaussianBlur: kernel_size must be an odd positive int, or a pair of them, "
                f"got {kernel_size!r} ({type(kernel_size).__name__})."
            )
        self.kernel_size = sizes
        self.sigma = strength("RandomGaussianBlur", sigma, *self.limits, name="sigma")

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        chosen = self._drawn_for_each(batch, seed)
        widths = random.uniform((2,), *self.sigma, dtype=self.compute_dtype, seed=seed)
        return {"should_apply_blur": chosen, "blur_factor": widths + 1e-6}

    def _recolour(self, images: Any, should_apply_blur: Any, blur_factor: Any) -> Any:
        smooth = gaussian_blur(images, self.kernel_size, blur_factor, self.data_format)
        return self._clipped(jnp.where(should_apply_blur, smooth, images))
