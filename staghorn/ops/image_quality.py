"""How like each other two images look."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.convolution import conv
from staghorn.ops.core import as_array, as_float, common_type
from staghorn.ops.image_sampling import batched_last, check_rank, is_first


@op
def ssim(
    image1: Any, image2: Any, max_val: float = 1.0, filter_size: int = 11,
    filter_sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03, data_format: str | None = None,
) -> jax.Array:  # fmt: skip
    """Structural similarity of images: 1 for equal ones, less the more they differ.

    (batch, h, w, channels), the same → (batch,);  (h, w, channels), the same → ()
    mean of (2 m1 m2 + c1) (2 s12 + c2) / ((m1² + m2² + c1) (s1² + s2² + c2)), where m, s², s12 are
    means, variances and covariance in a Gaussian window, c1 = (k1 max_val)², c2 = (k2 max_val)²

    Args:
        image1: images.
        image2: as many images of the same size.
        max_val: the largest value of a pixel, 255 for bytes. Default: 1.0.
        filter_size: width of the window in pixels. Default: 11.
        filter_sigma: standard deviation of the window in pixels. Default: 1.5.
        k1: keeps the division by the means finite. Default: 0.01.
        k2: keeps the division by the variances finite. Default: 0.03.
        data_format: "channels_last", or "channels_first" for (batch, channels, h, w).
            Default: `config.image_data_format()`.

    Raises:
        ValueError: if the shapes differ or are not those of images.

    Example:
        >>> images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3))
        >>> staghorn.ops.image.ssim(images, images).round(4)
        Array([1., 1.], dtype=float32)

    Notes:
        The result has the type of `image1`, as in Keras: divide bytes by 255 first, or the result
        is rounded to a whole number.

    Reference: Wang et al. (2004), https://doi.org/10.1109/TIP.2003.819861
    """
    first, original = is_first("ssim", data_format), as_array(image1)
    check_rank("ssim", original.shape)
    a, b = as_float(original), as_float(image2)
    if a.ndim != b.ndim:
        raise ValueError(f"image.ssim: the shapes must be equal, got {a.shape} and {b.shape}.")
    kind = common_type(a.dtype, b.dtype)
    a, b = (batched_last(x.astype(kind), first) for x in (a, b))
    places = jnp.arange(filter_size, dtype=kind) - (filter_size - 1) / 2
    window = jax.nn.softmax(-jnp.square(places) / (2.0 * filter_sigma**2))
    batch, height, width, channels = a.shape
    maps = jnp.stack([a, b, a * a, b * b, a * b])  # (5, batch, h, w, channels)
    maps = jnp.reshape(jnp.moveaxis(maps, -1, 2), (5 * batch * channels, height, width, 1))
    for shape in ((filter_size, 1, 1, 1), (1, filter_size, 1, 1)):
        maps = conv(maps, jnp.reshape(window, shape), data_format="channels_last")
    mean_a, mean_b, aa, bb, ab = jnp.reshape(maps, (5, batch, channels, *maps.shape[1:]))
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    both, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    alike = (2.0 * both + c1) * (2.0 * (ab - both) + c2)
    result = jnp.mean(alike / ((squares + c1) * (aa + bb - squares + c2)), axis=(1, 2, 3, 4))
    return (result if original.ndim == 4 else result[0]).astype(original.dtype)
