"""`tf.image`: a few functions; pictures are read with `staghorn.utils.load_img`."""

from __future__ import annotations

from staghorn import ops
from staghorn.compat.spelled import as_shape, publish, spelled, table
from staghorn.compat.tensorflow.advice import explain


class ResizeMethod:
    """Names of the ways to resize."""

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    NEAREST_NEIGHBOR = "nearest"


def resize(
    images, size, method=ResizeMethod.BILINEAR, preserve_aspect_ratio=False, antialias=False
):
    """Bring images (..., height, width, channels) to another size; floats unless "nearest"."""
    height, width = as_shape(size)
    if preserve_aspect_ratio:
        factor = min(height / images.shape[-3], width / images.shape[-2])
        height, width = round(images.shape[-3] * factor), round(images.shape[-2] * factor)
    images = images if method == "nearest" else ops.cast(images, "float32")
    return ops.image.resize(
        images, (height, width), method, antialias=antialias, data_format="channels_last"
    )


def _per_value(images, delta):
    return ops.add(images, delta)


TABLE = table(
    {
        "adjust_brightness": spelled(_per_value, "image=images delta"),
        "flip_left_right": spelled(ops.flip, "image=x", axis=-2),
        "flip_up_down": spelled(ops.flip, "image=x", axis=-3),
        "rgb_to_grayscale": spelled(
            ops.image.rgb_to_grayscale, "images", data_format="channels_last"
        ),
    }
)

__all__ = publish(globals(), TABLE)
__getattr__ = explain("tf.image", __all__)
