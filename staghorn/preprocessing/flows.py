"""Endless batches of pictures from arrays, folders or tables: `ImageDataGenerator`'s flows."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections.abc import Iterator as Endless
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from staghorn import config as defaults
from staghorn.training.py_dataset import PyDataset
from staghorn.utils.directories import list_files, subfolders
from staghorn.utils.image import check_option, img_to_array, load_img, save_img

if TYPE_CHECKING:
    from staghorn.preprocessing.image import ImageDataGenerator

__all__ = ["DataFrameIterator", "DirectoryIterator", "Iterator", "NumpyArrayIterator"]

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
SUBSETS = ("training", "validation")

_CLASSES_DIFFER = """\
{name}: the first {count} samples, which validation_split makes the validation data, have other \
classes than the rest. Rows sorted by class need to be shuffled first:
    order = np.random.permutation(len(x)); x, y = x[order], y[order]"""


class Iterator(PyDataset):
    """Base of data sets that are also endless iterators over random batches.

    Batch `i` of a pass is `flow[i]`; `next(flow)` goes on without end, with another order in each
    pass. Both make the same numbers as Keras's for the same seed. A subclass has
    `_get_batches_of_transformed_samples(index_array)`, which returns the batch of these rows.

    Args:
        n: int, number of samples.
        batch_size: int, samples in a batch; the last one of a pass may be smaller.
        shuffle: bool, whether the order is random.
        seed: int that decides orders and changes; None: NumPy's global generator does.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `PyDataset`.

    Example:
        >>> class Rows(staghorn.preprocessing.image.Iterator):
        ...     def _get_batches_of_transformed_samples(self, index_array):
        ...         return index_array
        >>> rows = Rows(5, batch_size=2, shuffle=False, seed=None)
        >>> len(rows), [next(rows).tolist() for _ in range(4)]
        (3, [[0, 1], [2, 3], [4], [0, 1]])

    Reference: https://github.com/keras-team/keras-preprocessing
    """

    white_list_formats = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
    lock = threading.RLock()  # of the class, so that flows can be sent to worker processes

    def __init__(
        self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.n = n
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.batch_index = 0
        self.total_batches_seen = 0
        self.index_array: np.ndarray | None = None

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, idx: int) -> Any:
        if not 0 <= idx < len(self):
            # An IndexError is what ends Python's own loops.
            raise IndexError(f"{type(self).__name__}: there is no batch {idx}, only {len(self)}.")
        self._seed()
        self.total_batches_seen += 1
        if self.index_array is None:
            self._set_index_array()
        return self._get_batches_of_transformed_samples(self._rows(idx))

    def __iter__(self) -> Endless[Any]:
        return self

    def __next__(self) -> Any:
        with self.lock:
            index_array = next(self.index_generator)
        return self._get_batches_of_transformed_samples(index_array)

    def next(self) -> Any:
        """Return the next batch, as `next(flow)` does."""
        return next(self)

    def reset(self) -> None:
        """Let `next(flow)` begin a new pass."""
        self.batch_index = 0

    def on_epoch_begin(self) -> None:
        """Fix the order before worker processes get a copy each."""
        if self.use_multiprocessing and self.index_array is None:
            self._set_index_array()

    def on_epoch_end(self) -> None:
        """Draw the order of the next pass."""
        self._set_index_array()

    @property
    def index_generator(self) -> Endless[np.ndarray]:
        """The rows of one batch after the other, going on where the last one ended."""
        return (self._next_rows() for _ in itertools.count())

    def _seed(self) -> None:
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)

    def _set_index_array(self) -> None:
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _rows(self, idx: int) -> np.ndarray:
        assert self.index_array is not None
        return self.index_array[self.batch_size * idx : self.batch_size * (idx + 1)]

    def _next_rows(self) -> np.ndarray:
        self._seed()
        if self.batch_index == 0 or self.index_array is None:
            self._set_index_array()
        current = self.batch_index
        self.batch_index = current + 1 if current + 1 < len(self) else 0
        self.total_batches_seen += 1
        return self._rows(current)

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} has no _get_batches_of_transformed_samples(self, index_array), "
            "which returns the batch of these rows."
        )


_KEPT = {
    "image_data_generator", "data_format", "dtype", "save_to_dir", "save_prefix", "save_format",
    "target_size", "color_mode", "interpolation", "keep_aspect_ratio", "class_mode",
}  # fmt: skip


class _Pictures(Iterator):
    """What the flows below have in common: how pictures are changed, and copies kept."""

    hashes = 10**7  # the names of copies end with a random number below this one

    image_data_generator: ImageDataGenerator | None
    data_format: str
    dtype: Any
    save_to_dir: str | None
    save_prefix: str
    save_format: str
    sample_weight: np.ndarray | None

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Make attributes of a constructor's arguments, in which they are named alike."""
        for name in _KEPT & set(arguments):
            setattr(self, name, arguments[name])
        self.data_format = self.data_format or defaults.image_data_format()
        self.dtype = self.dtype or defaults.floatx()

    def _read(self, row: int) -> np.ndarray:
        """Return one picture as it was."""
        raise NotImplementedError

    def _changed(self, index_array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return these pictures as a batch, changed at random."""
        batch = np.zeros((len(index_array), *shape), dtype=self.dtype)
        generator = self.image_data_generator
        for place, row in enumerate(index_array):
            x = self._read(row)
            if generator is not None:
                parameters = generator.get_random_transform(x.shape)
                x = generator.standardize(generator.apply_transform(x, parameters))
            batch[place] = x
        if self.save_to_dir:
            for x, row in zip(batch, index_array, strict=True):
                name = f"{self.save_prefix}_{row}_{np.random.randint(self.hashes)}"
                path = os.path.join(self.save_to_dir, f"{name}.{self.save_format}")
                save_img(path, x, self.data_format)
        return batch

    def _with_targets(self, x: Any, y: Any, index_array: np.ndarray) -> Any:
        """Return a batch in the form that `fit` takes."""
        if y is None:
            return x
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[index_array])

    def _share(self, subset: str | None, count: int) -> slice:
        """Return which of so many samples belong to a subset."""
        if subset is None:
            return slice(0, count)
        check_option(type(self).__name__, "subset", subset, SUBSETS)
        share = getattr(self.image_data_generator, "_validation_split", 0.0)
        if subset == "validation" and not share:
            raise ValueError(
                f"{type(self).__name__}: subset='validation' needs to know how much is kept for "
                "validation: ImageDataGenerator(validation_split=0.2)."
            )
        middle = int(share * count)
        return slice(0, middle) if subset == "validation" else slice(middle, count)


class NumpyArrayIterator(_Pictures):
    """Endless batches of pictures in an array; `ImageDataGenerator.flow` returns one.

    Args:
        x: array (samples, height, width, channels); or a pair of it and further arrays, which are
            handed on unchanged.
        y: array of targets, or None.
        image_data_generator: the `ImageDataGenerator`.
        batch_size: int. Default: 32.
        shuffle: bool. Default: False.
        sample_weight: array, or None. Default: None.
        seed: int, or None. Default: None.
        data_format: "channels_last" or "channels_first". Default: None (`image_data_format()`).
        save_to_dir: folder into which a copy of each changed picture goes. Default: None (none).
        save_prefix: beginning of their names. Default: "".
        save_format: their format. Default: "png".
        subset: "training" or "validation", with the generator's `validation_split`.
            Default: None (all).
        ignore_class_split: bool, whether the subsets may have different classes. Default: False.
        dtype: type of the batches. Default: None (`floatx()`).

    Raises:
        ValueError: if x is no batch of pictures, or lengths differ.

    Example:
        >>> generator = staghorn.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
        >>> flow = generator.flow(np.ones((5, 4, 4, 3)), np.arange(5), batch_size=2)
        >>> x, y = next(flow)
        >>> x.shape, y.shape, len(flow), flow.n
        ((2, 4, 4, 3), (2,), 3, 5)
    """

    hashes = 10**4

    def __init__(
        self, x: Any, y: Any, image_data_generator: ImageDataGenerator, batch_size: int = 32,
        shuffle: bool = False, sample_weight: Any = None, seed: int | None = None,
        data_format: str | None = None, save_to_dir: str | None = None, save_prefix: str = "",
        save_format: str = "png", subset: str | None = None, ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self._keep(locals())
        more: list[Any] = []
        if isinstance(x, (tuple, list)):
            x, more = x[0], list(x[1]) if isinstance(x[1], list) else [x[1]]
        arrays = {f"x[1][{i}]": array for i, array in enumerate(more)}
        arrays |= {"y": y, "sample_weight": sample_weight}
        for name, array in arrays.items():
            if array is not None and len(array) != len(x):
                raise ValueError(
                    f"NumpyArrayIterator: there are {len(x)} pictures, but {name} has "
                    f"{len(array)} rows."
                )
        kept = self._share(subset, len(x))
        if subset is not None and y is not None and not ignore_class_split:
            cut = int(len(x) * image_data_generator._validation_split)
            if not np.array_equal(np.unique(y[:cut]), np.unique(y[cut:])):
                raise ValueError(_CLASSES_DIFFER.format(name=type(self).__name__, count=cut))
        self.x = np.asarray(x[kept], dtype=self.dtype)
        self.x_misc = [np.asarray(array)[kept] for array in more]
        self.y = None if y is None else np.asarray(y)[kept]
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)[kept]
        check_pictures(type(self).__name__, self.x, self.data_format)
        Iterator.__init__(self, len(self.x), batch_size, shuffle, seed)

    def _read(self, row: int) -> np.ndarray:
        return self.x[row].copy()

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        x: Any = self._changed(index_array, self.x.shape[1:])
        if self.x_misc:
            x = [x, *(array[index_array] for array in self.x_misc)]
        y = None if self.y is None else self.y[index_array]
        return self._with_targets(x, y, index_array)


class _Files(_Pictures):
    """Flows of pictures in files."""

    class_modes: tuple[str | None, ...] = ()
    class_mode: str | None
    color_mode: str
    target_size: tuple[int, ...]
    interpolation: str
    keep_aspect_ratio: bool
    directory: str
    filenames: list[str]
    classes: Any
    class_indices: dict[str, int]
    sample_weight = None
    targets: Any = None  # of "raw" and "multi_output"

    def _keep(self, arguments: dict[str, Any]) -> None:
        super()._keep(arguments)
        check_option(type(self).__name__, "color_mode", self.color_mode, CHANNELS)
        check_option(type(self).__name__, "class_mode", self.class_mode, self.class_modes)
        self.directory = os.fspath(arguments["directory"] or "")
        self.target_size = tuple(self.target_size)
        channels = (CHANNELS[self.color_mode],)
        first = self.data_format == "channels_first"
        self.image_shape = channels + self.target_size if first else self.target_size + channels

    @property
    def samples(self) -> int:
        """Number of files."""
        return len(self.filenames)

    @property
    def filepaths(self) -> list[str]:
        """Their names, with the folder."""
        return [os.path.join(self.directory, name) for name in self.filenames]

    @property
    def labels(self) -> Any:
        """The targets of all files: numbers of classes, or values from a table."""
        return self.classes if self.targets is None else self.targets

    def _read(self, row: int) -> np.ndarray:
        path = os.path.join(self.directory, self.filenames[row])
        how = self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio
        return img_to_array(load_img(path, *how), self.data_format)

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        x = self._changed(index_array, self.image_shape)
        return self._with_targets(x, self._targets(x, index_array), index_array)

    def _targets(self, x: np.ndarray, index_array: np.ndarray) -> Any:
        if self.class_mode is None:
            return None
        if self.class_mode == "input":
            return x.copy()
        if self.class_mode == "multi_output":
            return [output[index_array] for output in self.targets]
        if self.class_mode == "raw":
            return self.targets[index_array]
        if self.class_mode == "categorical":
            y = np.zeros((len(x), len(self.class_indices)), dtype=self.dtype)
            for place, row in enumerate(index_array):
                y[place, self.classes[row]] = 1.0
            return y
        return np.array([self.classes[row] for row in index_array], dtype=self.dtype)


class DirectoryIterator(_Files):
    """Endless batches of pictures in folders; `ImageDataGenerator.flow_from_directory` returns one.

    Args:
        directory: the folder that holds them.
        image_data_generator: what changes the pictures, an `ImageDataGenerator`, or None.
        target_size: (height, width). Default: (256, 256).
        color_mode: "rgb", "rgba" or "grayscale". Default: "rgb".
        classes: names of the folders to use, in this order. Default: None (all, sorted).
        class_mode: what goes with the pictures: "categorical" (one-hot rows), "binary" or
            "sparse" (numbers), "input" (the pictures themselves), or None. Default:
            "categorical".
        batch_size: int. Default: 32.
        shuffle: bool. Default: True.
        seed: int, or None. Default: None.
        data_format, dtype: of the pictures. Default: None, those of the configuration.
        save_to_dir: folder into which a copy of each changed picture goes. Default: None.
        save_prefix: beginning of their names. Default: "".
        save_format: their format. Default: "png".
        follow_links: bool, whether to go into linked folders. Default: False.
        subset: "training" or "validation", with `validation_split`. Default: None (all).
        interpolation: see `load_img`. Default: "nearest".
        keep_aspect_ratio: see `load_img`. Default: False.

    Attributes:
        class_indices: dict from the class's name to its number.
        classes: the class of each file.
        filenames: names of the files, from the folder on.
        samples: number of files.
        num_classes: number of classes.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     staghorn.utils.save_img(folder / name / "1.png", np.ones((4, 4, 3)))
        >>> generator = staghorn.preprocessing.image.ImageDataGenerator()
        >>> flow = generator.flow_from_directory(folder, target_size=(2, 2))
        Found 2 images belonging to 2 classes.
        >>> flow.class_indices, flow.classes.tolist()
        ({'cat': 0, 'dog': 1}, [0, 1])
    """

    class_modes = ("categorical", "binary", "sparse", "input", None)

    def __init__(
        self, directory: str | os.PathLike[str], image_data_generator: ImageDataGenerator | None,
        target_size: Sequence[int] = (256, 256), color_mode: str = "rgb",
        classes: Sequence[str] | None = None, class_mode: str | None = "categorical",
        batch_size: int = 32, shuffle: bool = True, seed: int | None = None,
        data_format: str | None = None, save_to_dir: str | None = None, save_prefix: str = "",
        save_format: str = "png", follow_links: bool = False, subset: str | None = None,
        interpolation: str = "nearest", keep_aspect_ratio: bool = False, dtype: Any = None,
    ) -> None:  # fmt: skip
        self._keep(locals())
        names = list(classes or subfolders(self.directory))
        self.num_classes = len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.filenames, numbers = [], []
        for number, name in enumerate(names):
            folder = os.path.join(self.directory, name)
            files = list(list_files(folder, self.white_list_formats, follow_links))
            files = files[self._share(subset, len(files))]
            self.filenames += [os.path.join(name, file) for file in files]
            numbers += [number] * len(files)
        self.classes = np.array(numbers, dtype="int32")
        print(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        Iterator.__init__(self, self.samples, batch_size, shuffle, seed)


class DataFrameIterator(_Files):
    """Endless batches of pictures named in a table; `flow_from_dataframe` returns one.

    Args:
        dataframe: the table.
        directory: folder that holds the files. Default: None (the names are complete).
        image_data_generator: what changes the pictures. Default: None, nothing.
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
        data_format, dtype: of the pictures. Default: "channels_last", "float32".
        save_to_dir: folder into which a copy of each changed picture goes. Default: None.
        save_prefix: beginning of their names. Default: "".
        save_format: their format. Default: "png".
        subset: "training" or "validation", with `validation_split`. Default: None (all).
        interpolation: see `load_img`. Default: "nearest".
        validate_filenames: bool, whether rows without a picture are left out. Default: True.
        keep_aspect_ratio: see `load_img`. Default: False.

    Attributes:
        class_indices: dict from the class's name to its number.
        filenames: names of the files.
        samples: number of files.

    Example:
        >>> import pathlib, tempfile
        >>> import pandas as pd                                    # doctest: +SKIP
        >>> folder = tempfile.mkdtemp()
        >>> staghorn.utils.save_img(pathlib.Path(folder) / "1.png", np.ones((4, 4, 3)))
        >>> table = pd.DataFrame({"filename": ["1.png"], "class": ["cat"]})  # doctest: +SKIP
        >>> generator = staghorn.preprocessing.image.ImageDataGenerator()
        >>> flow = generator.flow_from_dataframe(table, folder)    # doctest: +SKIP
        Found 1 validated image filenames belonging to 1 classes.
    """

    class_modes = ("binary", "categorical", "input", "multi_output", "raw", "sparse", None)

    def __init__(
        self, dataframe: Any, directory: str | os.PathLike[str] | None = None,
        image_data_generator: ImageDataGenerator | None = None, x_col: str = "filename",
        y_col: str | Sequence[str] = "class", weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256), color_mode: str = "rgb",
        classes: Sequence[str] | None = None, class_mode: str | None = "categorical",
        batch_size: int = 32, shuffle: bool = True, seed: int | None = None,
        data_format: str | None = "channels_last", save_to_dir: str | None = None,
        save_prefix: str = "", save_format: str = "png", subset: str | None = None,
        interpolation: str = "nearest", keep_aspect_ratio: bool = False, dtype: Any = "float32",
        validate_filenames: bool = True,
    ) -> None:  # fmt: skip
        self._keep(locals())
        grouped = class_mode in ("binary", "categorical", "sparse")
        names = dataframe[x_col].tolist()
        labels = dataframe[y_col].tolist() if grouped else []
        _check_columns(names, labels, x_col, y_col, class_mode, classes)
        rows: Sequence[int] = range(len(names))
        if validate_filenames:
            rows = self._with_files(names, x_col)
        found = ""
        if grouped:
            known = list(
                dict.fromkeys(classes or sorted({c for i in rows for c in _all(labels[i])}))
            )
            self.class_indices = {name: number for number, name in enumerate(known)}
            found = f" belonging to {len(known)} classes"
            numbers = {i: _numbers(labels[i], self.class_indices) for i in rows}
            rows = [i for i in rows if numbers[i] is not None]
        rows = rows[self._share(subset, len(rows))]
        if grouped:
            self.classes = [numbers[i] for i in rows]
        self.filenames = [names[i] for i in rows]
        table = dataframe.iloc[list(rows)]
        if weight_col:
            self.sample_weight = table[weight_col].to_numpy()
        if class_mode == "multi_output":
            self.targets = [np.array(table[column].tolist()) for column in y_col]
        elif class_mode == "raw":
            self.targets = table[y_col].to_numpy()
        kind = "validated" if validate_filenames else "non-validated"
        print(f"Found {self.samples} {kind} image filenames{found}.")
        Iterator.__init__(self, self.samples, batch_size, shuffle, seed)

    def _with_files(self, names: list[str], x_col: str) -> list[int]:
        """Return the rows whose files exist and are pictures."""
        paths = [os.path.join(self.directory, name) for name in names]
        rows = [
            i
            for i, path in enumerate(paths)
            if path.lower().endswith(self.white_list_formats) and os.path.isfile(path)
        ]
        if len(rows) < len(names):
            wrong = next(path for i, path in enumerate(paths) if i not in set(rows))
            warnings.warn(
                f"flow_from_dataframe: {len(names) - len(rows)} of {len(names)} rows are left out, "
                f"because column {x_col!r} names no picture there, such as {wrong!r}. Check "
                "directory, and that names end with .png, .jpg, ...",
                stacklevel=4,
            )
        return rows


def _all(label: Any) -> Sequence[str]:
    return label if isinstance(label, (list, tuple)) else [label]


def _numbers(label: Any, class_indices: dict[str, int]) -> Any:
    """Return the number of a label, or of each in a list; None where none is known."""
    if not isinstance(label, (list, tuple)):
        return class_indices.get(label)
    return [class_indices[part] for part in label if part in class_indices] or None


def _check_columns(
    names: list[Any], labels: list[Any], x_col: str, y_col: Any, class_mode: str | None,
    classes: Sequence[str] | None,
) -> None:  # fmt: skip
    kinds = (str, list, tuple) if class_mode == "categorical" else (str,)
    for column, values, allowed in ((x_col, names, (str,)), (y_col, labels, kinds)):
        for value in values:
            if not isinstance(value, allowed):
                raise TypeError(
                    f"flow_from_dataframe: column {column!r} must hold strings, got {value!r} "
                    f"({type(value).__name__}). Use dataframe[{column!r}].astype(str), or "
                    "class_mode='raw' for targets that are numbers."
                )
    count = len(set(classes or labels)) if class_mode == "binary" else 2
    if count != 2:
        raise ValueError(
            f"flow_from_dataframe: class_mode='binary' needs 2 classes, got {count}. "
            "Use class_mode='categorical'."
        )
    if class_mode == "multi_output" and not isinstance(y_col, list):
        raise TypeError(
            "flow_from_dataframe: with class_mode='multi_output' y_col must be a list of columns, "
            f"got {y_col!r}."
        )


def check_pictures(name: str, x: np.ndarray, data_format: str) -> None:
    """Raise if an array is no batch of pictures; warn about the number of channels.

    Example:
        >>> from staghorn.preprocessing.flows import check_pictures
        >>> check_pictures("flow", np.ones((2, 8, 8, 3)), "channels_last")
    """
    if x.ndim != 4:
        hint = " Add the axis of the channels: x[..., None]." if x.ndim == 3 else ""
        raise ValueError(
            f"{name}: pictures have shape (samples, height, width, channels), got {x.shape}.{hint}"
        )
    axis = 1 if data_format == "channels_first" else 3
    if x.shape[axis] not in (1, 3, 4):
        warnings.warn(
            f"{name}: pictures have 1, 3 or 4 channels, but x of shape {x.shape} has "
            f"{x.shape[axis]} with data_format={data_format!r}.",
            stacklevel=4,
        )
