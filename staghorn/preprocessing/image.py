"""Pictures changed at random while a model trains: `keras.preprocessing.image`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staghorn import config as defaults
from staghorn.engine.keywords import reject_unknown
from staghorn.preprocessing.flows import DataFrameIterator as DataFrameIterator
from staghorn.preprocessing.flows import DirectoryIterator as DirectoryIterator
from staghorn.preprocessing.flows import Iterator as Iterator
from staghorn.preprocessing.flows import NumpyArrayIterator as NumpyArrayIterator
from staghorn.preprocessing.flows import check_pictures
from staghorn.preprocessing.transforms import apply_affine_transform as apply_affine_transform
from staghorn.preprocessing.transforms import apply_brightness_shift as apply_brightness_shift
from staghorn.preprocessing.transforms import apply_channel_shift as apply_channel_shift
from staghorn.preprocessing.transforms import pair
from staghorn.preprocessing.transforms import random_brightness as random_brightness
from staghorn.preprocessing.transforms import random_channel_shift as random_channel_shift
from staghorn.preprocessing.transforms import random_rotation as random_rotation
from staghorn.preprocessing.transforms import random_shear as random_shear
from staghorn.preprocessing.transforms import random_shift as random_shift
from staghorn.preprocessing.transforms import random_zoom as random_zoom
from staghorn.utils.image import array_to_img as array_to_img
from staghorn.utils.image import check_option
from staghorn.utils.image import img_to_array as img_to_array
from staghorn.utils.image import load_img as load_img
from staghorn.utils.image import save_img as save_img
from staghorn.utils.image import smart_resize as smart_resize

__all__ = [
    "DataFrameIterator", "DirectoryIterator", "ImageDataGenerator", "Iterator",
    "NumpyArrayIterator", "apply_affine_transform", "apply_brightness_shift",
    "apply_channel_shift", "array_to_img", "img_to_array", "load_img", "random_brightness",
    "random_channel_shift", "random_rotation", "random_shear", "random_shift", "random_zoom",
    "save_img", "smart_resize",
]  # fmt: skip

_NOT_FIT = """\
ImageDataGenerator: {name}=True, but it was not fit to data, so nothing is done for it. \
First: generator.fit(x_train)"""


class ImageDataGenerator:
    """Batches of pictures, changed at random and brought to one scale.

    Each picture is turned, shifted, sheared, zoomed, shifted in its channels, flipped and made
    brighter, in this order, where its argument asks for it; then come `preprocessing_function`,
    `rescale` and the normalizations.

    Args:
        featurewise_center: bool, subtract the mean of the data (see `fit`). Default: False.
        samplewise_center: bool, subtract the mean of each picture. Default: False.
        featurewise_std_normalization: bool, divide by the standard deviation of the data.
            Default: False.
        samplewise_std_normalization: bool, divide by that of each picture. Default: False.
        zca_whitening: bool, remove correlations between pixels. Default: False.
        zca_epsilon: float, keeps that from dividing by zero. Default: 1e-6.
        rotation_range: degrees to turn at most. Default: 0.
        width_shift_range: shift at most: a share of the width below 1, pixels from 1 on, or a
            list of pixels to choose from. Default: 0.0.
        height_shift_range: the same for the height. Default: 0.0.
        brightness_range: (low, high), 1.0 is the picture itself. Default: None.
        shear_range: degrees of shear at most. Default: 0.0.
        zoom_range: (low, high), or a number z for (1 - z, 1 + z). Default: 0.0.
        channel_shift_range: what is added to all values at most. Default: 0.0.
        fill_mode: "nearest", "constant", "reflect" or "wrap", what lies outside.
            Default: "nearest".
        cval: value outside for "constant". Default: 0.0.
        horizontal_flip: bool, mirror every second picture. Default: False.
        vertical_flip: bool, turn every second one upside down. Default: False.
        rescale: factor for all values, such as 1 / 255. Default: None.
        preprocessing_function: function of one picture, which returns one. Default: None.
        data_format: "channels_last" or "channels_first". Default: None (`image_data_format()`).
        validation_split: share of the data for `subset="validation"`. Default: 0.0.
        interpolation_order: 0 to 5, order of the interpolating splines. Default: 1.
        dtype: type of the batches. Default: None (`floatx()`).

    Raises:
        ValueError: if a range or an option cannot be.

    Example:
        >>> generator = staghorn.preprocessing.image.ImageDataGenerator(
        ...     rotation_range=20, horizontal_flip=True, rescale=1 / 255)
        >>> pictures, classes = np.full((6, 8, 8, 3), 255.0), np.arange(6)
        >>> x, y = next(generator.flow(pictures, classes, batch_size=4, seed=1))
        >>> x.shape, float(x.max()), y.shape
        ((4, 8, 8, 3), 1.0, (4,))

    Notes: Numbers are those of Keras 3.15.1 for the same seed, also where they surprise:
        `height_shift_range` is drawn from the height and moves along the width, and the other
        way round (for square pictures both are alike); see `apply_affine_transform` for the
        middle of the others. Faster, and on the device: layers such as `RandomFlip`,
        `RandomRotation` and `RandomZoom`.

    Reference: https://github.com/keras-team/keras-preprocessing
    """

    def __init__(
        self, featurewise_center: bool = False, samplewise_center: bool = False,
        featurewise_std_normalization: bool = False, samplewise_std_normalization: bool = False,
        zca_whitening: bool = False, zca_epsilon: float = 1e-6, rotation_range: float = 0,
        width_shift_range: Any = 0.0, height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None, shear_range: float = 0.0,
        zoom_range: Any = 0.0, channel_shift_range: float = 0.0, fill_mode: str = "nearest",
        cval: float = 0.0, horizontal_flip: bool = False, vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None, validation_split: float = 0.0, interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self.featurewise_center = featurewise_center
        self.samplewise_center = samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening = zca_whitening
        self.zca_epsilon = zca_epsilon
        self.rotation_range = rotation_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.brightness_range = brightness_range
        self.shear_range = shear_range
        if isinstance(zoom_range, (float, int)):
            zoom_range = [1 - zoom_range, 1 + zoom_range]
        self.zoom_range = list(pair(name, "zoom_range", zoom_range))
        self.channel_shift_range = channel_shift_range
        self.fill_mode = fill_mode
        self.cval = cval
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.data_format = data_format or defaults.image_data_format()
        self.interpolation_order = interpolation_order
        self.dtype = dtype or defaults.floatx()
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None
        check_option(name, "data_format", self.data_format, ("channels_last", "channels_first"))
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        if not 0 <= validation_split < 1:
            raise ValueError(
                f"{name}: validation_split must be between 0 and 1, got {validation_split!r}."
            )
        self._validation_split = validation_split
        if brightness_range is not None:
            pair(name, "brightness_range", brightness_range)
        self._set("zca_whitening", "featurewise_center", True)
        self._set("zca_whitening", "featurewise_std_normalization", False)
        self._set("featurewise_std_normalization", "featurewise_center", True)
        self._set("samplewise_std_normalization", "samplewise_center", True)

    def _set(self, cause: str, name: str, value: bool) -> None:
        """Give an option the value that another one needs, and say so."""
        if getattr(self, cause) and bool(getattr(self, name)) != value:
            setattr(self, name, value)
            warnings.warn(
                f"ImageDataGenerator: {cause}=True needs {name}={value}, which it is now.",
                stacklevel=3,
            )

    # Batches ----------------------------------------------------------------------------------

    def flow(
        self, x: Any, y: Any = None, batch_size: int = 32, shuffle: bool = True,
        sample_weight: Any = None, seed: int | None = None, save_to_dir: str | None = None,
        save_prefix: str = "", save_format: str = "png", ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:  # fmt: skip
        """Return endless batches of pictures in an array; the arguments of `NumpyArrayIterator`."""
        return NumpyArrayIterator(**self._arguments(locals()))

    def flow_from_directory(
        self, directory: str | os.PathLike[str], target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb", classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical", batch_size: int = 32, shuffle: bool = True,
        seed: int | None = None, save_to_dir: str | None = None, save_prefix: str = "",
        save_format: str = "png", follow_links: bool = False, subset: str | None = None,
        interpolation: str = "nearest", keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:  # fmt: skip
        """Return endless batches of pictures in folders, one folder per class.

        Args:
            directory: the folder that holds them.
            target_size: (height, width). Default: (256, 256).
            color_mode: "rgb", "rgba" or "grayscale". Default: "rgb".
            classes: names of the folders to use, in this order. Default: None (all, sorted).
            class_mode: what goes with the pictures: "categorical" (one-hot rows), "binary" or
                "sparse" (numbers), "input" (the pictures themselves), or None. Default:
                "categorical".
            batch_size: int. Default: 32.
            shuffle: bool. Default: True.
            seed: int, or None. Default: None.
            save_to_dir: folder into which a copy of each changed picture goes. Default: None.
            save_prefix: beginning of their names. Default: "".
            save_format: their format. Default: "png".
            follow_links: bool, whether to go into linked folders. Default: False.
            subset: "training" or "validation", with `validation_split`. Default: None (all).
            interpolation: see `load_img`. Default: "nearest".
            keep_aspect_ratio: see `load_img`. Default: False.

        Raises:
            ValueError: if an option is unknown.
            FileNotFoundError: if there is no such folder.
        """
        return DirectoryIterator(**self._arguments(locals()))

    def flow_from_dataframe(
        self, dataframe: Any, directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename", y_col: str | Sequence[str] = "class",
        weight_col: str | None = None, target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb", classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical", batch_size: int = 32, shuffle: bool = True,
        seed: int | None = None, save_to_dir: str | None = None, save_prefix: str = "",
        save_format: str = "png", subset: str | None = None, interpolation: str = "nearest",
        validate_filenames: bool = True, **kwargs: Any,
    ) -> DataFrameIterator:  # fmt: skip
        """Return endless batches of pictures that a pandas DataFrame names.

        Args:
            dataframe: the table.
            directory: folder that holds the files. Default: None (the names are complete).
            x_col: column of names. Default: "filename".
            y_col: column of classes or values; a list of columns for "multi_output" and "raw".
                Default: "class".
            weight_col: column of sample weights. Default: None.
            target_size: (height, width). Default: (256, 256).
            color_mode: "rgb", "rgba" or "grayscale". Default: "rgb".
            classes: the classes to use, in this order. Default: None (all, sorted).
            class_mode: "categorical", "binary", "sparse", "input", "raw" (the column's values),
                "multi_output" (one array per column) or None. Default: "categorical".
            batch_size: int. Default: 32.
            shuffle: bool. Default: True.
            seed: int, or None. Default: None.
            save_to_dir: folder into which a copy of each changed picture goes. Default: None.
            save_prefix: beginning of their names. Default: "".
            save_format: their format. Default: "png".
            subset: "training" or "validation", with `validation_split`. Default: None (all).
            interpolation: see `load_img`. Default: "nearest".
            validate_filenames: bool, whether rows without a picture are left out. Default: True.
            **kwargs: `has_ext`, `sort` and `drop_duplicates` are taken for compatibility.

        Raises:
            ValueError: if an option is unknown.
            TypeError: if a column has values of another kind.
        """
        arguments = self._arguments(locals())
        old = ("has_ext", "sort", "drop_duplicates")
        reject_unknown("flow_from_dataframe", arguments.pop("kwargs"), old)
        if class_mode == "other":  # the old name
            arguments["class_mode"] = "raw"
        return DataFrameIterator(**arguments)

    def _arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return a flow's arguments, from the `locals()` of a method that has just begun."""
        own = {"data_format": self.data_format, "dtype": self.dtype, "image_data_generator": self}
        return {name: value for name, value in given.items() if name != "self"} | own

    # One picture ------------------------------------------------------------------------------

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """Apply `preprocessing_function`, `rescale` and the normalizations.

        Args:
            x: a picture, or a batch of them; arrays of floats are changed in place.

        Returns:
            The normalized pictures.
        """
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        if not (isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.flags.writeable):
            x = np.array(x, dtype=self.dtype)
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + 1e-6
        mean = self._statistic("featurewise_center", self.mean)
        if mean is not None:
            x -= mean
        std = self._statistic("featurewise_std_normalization", self.std)
        if std is not None:
            x /= std + 1e-6
        matrix = self._statistic("zca_whitening", self.zca_whitening_matrix)
        if matrix is not None:
            flat = x.reshape(-1, np.prod(x.shape[-3:]))  # (pictures, values)
            x = (flat @ matrix).reshape(x.shape)
        return x

    def _statistic(self, name: str, value: np.ndarray | None) -> np.ndarray | None:
        """Return what `fit` found, if the option `name` asks for it; warn where it is missing."""
        if not getattr(self, name):
            return None
        if value is None:
            warnings.warn(_NOT_FIT.format(name=name), stacklevel=3)
        return value

    def get_random_transform(
        self, img_shape: Sequence[int], seed: int | None = None
    ) -> dict[str, Any]:
        """Draw the parameters of one random change.

        Args:
            img_shape: shape of the picture.
            seed: int for NumPy's global generator. Default: None (as it is).

        Returns:
            A dict for `apply_transform`: theta, tx, ty, shear, zx, zy, flip_horizontal,
            flip_vertical, channel_shift_intensity, brightness.
        """
        if seed is not None:
            np.random.seed(seed)
        uniform = np.random.uniform
        drawn: dict[str, Any] = {}

        def symmetric(limit: Any) -> Any:
            return uniform(-limit, limit) if limit else 0

        def shift(limit: Any, length: int) -> Any:
            if not limit:
                return 0
            try:  # a list, or one whole number n for range(n), as NumPy's `choice` takes it
                distance = np.random.choice(limit) * np.random.choice([-1, 1])
            except ValueError:
                distance = uniform(-limit, limit)
            return distance * length if np.max(limit) < 1 else distance

        drawn["theta"] = symmetric(self.rotation_range)
        drawn["tx"] = shift(self.height_shift_range, img_shape[self.row_axis - 1])
        drawn["ty"] = shift(self.width_shift_range, img_shape[self.col_axis - 1])
        drawn["shear"] = symmetric(self.shear_range)
        low, high = self.zoom_range
        drawn["zx"], drawn["zy"] = (1, 1) if low == high == 1 else uniform(low, high, 2)
        # Both are drawn always, so that one option does not change the numbers of the others.
        drawn["flip_horizontal"] = (np.random.random() < 0.5) * self.horizontal_flip
        drawn["flip_vertical"] = (np.random.random() < 0.5) * self.vertical_flip
        drawn["channel_shift_intensity"] = symmetric(self.channel_shift_range) or None
        bright = self.brightness_range
        drawn["brightness"] = None if bright is None else uniform(bright[0], bright[1])
        return drawn

    def apply_transform(self, x: np.ndarray, transform_parameters: dict[str, Any]) -> np.ndarray:
        """Change a picture in a given way.

        Args:
            x: a picture of three axes.
            transform_parameters: dict as from `get_random_transform`; what is missing does
                nothing.

        Example:
            >>> generator = staghorn.preprocessing.image.ImageDataGenerator()
            >>> x = np.arange(3.0).reshape(1, 3, 1)
            >>> generator.apply_transform(x, {"flip_horizontal": True}).ravel().tolist()
            [2.0, 1.0, 0.0]
        """
        row, col, channel = (a - 1 for a in (self.row_axis, self.col_axis, self.channel_axis))
        affine = {
            name: transform_parameters[name]
            for name in ("theta", "tx", "ty", "shear", "zx", "zy")
            if name in transform_parameters
        }
        x = apply_affine_transform(
            x,
            **affine,
            row_axis=row,
            col_axis=col,
            channel_axis=channel,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        intensity = transform_parameters.get("channel_shift_intensity")
        if intensity is not None:
            x = apply_channel_shift(x, intensity)
        if transform_parameters.get("flip_horizontal"):
            x = np.flip(x, col)
        if transform_parameters.get("flip_vertical"):
            x = np.flip(x, row)
        brightness = transform_parameters.get("brightness")
        if brightness is not None:
            x = apply_brightness_shift(x, brightness, False, self.data_format)
        return x

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Change a picture at random.

        Args:
            x: a picture of three axes.
            seed: int for NumPy's global generator. Default: None (as it is).
        """
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Find mean, standard deviation and whitening matrix of data, where they are asked for.

        Args:
            x: array (samples, height, width, channels).
            augment: bool, whether of randomly changed pictures. Default: False.
            rounds: int, how many changed copies of each. Default: 1.
            seed: int for NumPy's global generator. Default: None (as it is).

        Raises:
            ValueError: if x is no batch of pictures.

        Example:
            >>> generator = staghorn.preprocessing.image.ImageDataGenerator(
            ...     featurewise_center=True)
            >>> generator.fit(np.full((2, 4, 4, 3), 5.0))
            >>> generator.mean.ravel().tolist()
            [5.0, 5.0, 5.0]
        """
        x = np.array(x, dtype=self.dtype)  # a copy
        check_pictures("ImageDataGenerator.fit", x, self.data_format)
        if seed is not None:
            np.random.seed(seed)
        if self.rescale:
            x *= self.rescale
        if augment:
            changed = [self.random_transform(picture) for _ in range(rounds) for picture in x]
            x = np.array(changed, dtype=self.dtype)
        shape = [1, 1, 1]
        shape[self.channel_axis - 1] = x.shape[self.channel_axis]
        axes = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            self.mean = np.mean(x, axis=axes).reshape(shape)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axis=axes).reshape(shape)
            x /= self.std + 1e-6
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)  # (samples, values)
            u, s, _ = np.linalg.svd(flat.T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T
