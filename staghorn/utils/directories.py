"""Data sets of files whose folders are their classes."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from staghorn import config as defaults
from staghorn.training.py_dataset import PyDataset
from staghorn.utils.image import check_option, img_to_array, load_img

__all__ = [
    "FileDataset",
    "image_dataset_from_directory",
    "list_files",
    "subfolders",
    "text_dataset_from_directory",
]

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
LABEL_MODES = ("int", "categorical", "binary", None)
SUBSETS = ("training", "validation", "both", None)
COLOR_MODES = ("rgb", "rgba", "grayscale")


# Resizing -----------------------------------------------------------------------------------
# In NumPy, with the kernels of `ops.image.resize`: JAX would compile a program for each size
# that a picture of the folder has.


def _keys(x: np.ndarray) -> np.ndarray:
    """Keys's cubic kernel with a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(radius: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


KERNELS: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
    "bilinear": lambda x: np.maximum(0.0, 1.0 - x),
    "nearest": None,
    "bicubic": _keys,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}


def _weights(before: int, after: int, interpolation: str) -> np.ndarray:
    """Return the matrix (after, before) that resamples one axis."""
    places = (np.arange(after) + 0.5) * before / after - 0.5
    kernel = KERNELS[interpolation]
    if kernel is None:
        return np.eye(before, dtype="float32")[np.floor(places + 0.5).astype(int)]
    weights = kernel(np.abs(places[:, None] - np.arange(before)))  # (after, before)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def _resized(x: np.ndarray, size: tuple[int, int], interpolation: str, fit: str) -> np.ndarray:
    """Bring a picture (height, width, channels) to a size; `fit`: "stretch", "crop" or "pad"."""
    lengths = x.shape
    for axis, other in ((0, 1), (1, 0)) if fit != "stretch" else ():
        length, wanted = lengths[axis], int(float(lengths[other] * size[axis]) / size[other])
        if fit == "crop" and wanted < length:
            start = (length - max(wanted, 1)) // 2
            x = np.take(x, range(start, start + max(wanted, 1)), axis)
        elif fit == "pad" and wanted > length:
            pads = [(0, 0)] * 3
            pads[axis] = ((wanted - length) // 2,) * 2
            x = np.pad(x, pads)
    rows, columns = (_weights(x.shape[a], size[a], interpolation) for a in (0, 1))
    return np.einsum("ah,hwc,bw->abc", rows, x, columns, optimize=True)


# Files --------------------------------------------------------------------------------------


def list_files(folder: str, endings: tuple[str, ...], follow_links: bool = False) -> Iterator[str]:
    """Yield the files below a folder, as paths from it: folders in order, and files in order.

    Args:
        folder: where to begin.
        endings: of the names that are wanted, in small letters.
        follow_links: whether to go into linked folders. Default: False.

    Example:
        >>> from staghorn.utils.directories import list_files
        >>> "directories.py" in list_files(staghorn.utils.__path__[0], (".py",))
        True
    """
    for root, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda w: w[0]):
        for name in sorted(names):
            if name.lower().endswith(endings):
                yield os.path.relpath(os.path.join(root, name), folder)


def subfolders(folder: str) -> list[str]:
    """Return the names of the folders in a folder, in order: the classes.

    Example:
        >>> from staghorn.utils.directories import subfolders
        >>> "layers" in subfolders(staghorn.__path__[0])
        True
    """
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _stacked(samples: list) -> np.ndarray:
    """Return samples as one array: strings as objects, shorter arrays filled up with zeros."""
    if isinstance(samples[0], str):
        return np.array(samples, dtype=object)
    longest = max(map(len, samples))
    return np.stack(
        [np.pad(x, ((0, longest - len(x)), *((0, 0),) * (x.ndim - 1))) for x in samples]
    )


class FileDataset(PyDataset):
    """Batches of files and their labels, read when they are needed.

    Args:
        file_paths: names of the files.
        labels: array with a row for each, or None.
        class_names: the classes, or None.
        read: function from a name to what is in the file.
        batch_size: int; None gives single samples without a batch axis.
        seed: int that decides another order for every epoch; None keeps the order. Default: None.

    Example:
        >>> from staghorn.utils.directories import FileDataset
        >>> data = FileDataset(["a", "b", "c"], np.arange(3), None, str.upper, batch_size=2)
        >>> [(x.tolist(), y.tolist()) for x, y in data.map(lambda x, y: (x, 10 * y)).take(1)]
        [(['A', 'B'], [0, 10])]

    Notes: `take`, `skip`, `map`, `cache`, `prefetch` and `shuffle` are there because scripts
        write them after `image_dataset_from_directory`. The last three have no effect: the files
        are read anew, `workers` decides how far ahead, and the data set knows whether to shuffle.
    """

    def __init__(
        self, file_paths: Sequence[str], labels: np.ndarray | None, class_names: list[str] | None,
        read: Callable[[str], Any], batch_size: int | None, seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.file_paths = list(file_paths)
        self.labels = labels
        self.class_names = class_names
        self.batch_size = batch_size
        self._read = read
        self._rng = None if seed is None else np.random.RandomState(seed)
        self._order = np.arange(len(self.file_paths))
        self._batches = range(-(-len(self.file_paths) // (batch_size or 1)))
        self._maps: tuple[Callable, ...] = ()

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        place = self._batches[index] * (self.batch_size or 1)  # IndexError past the end
        rows = self._order[place : place + (self.batch_size or 1)]
        x: Any = [self._read(self.file_paths[row]) for row in rows]
        x = _stacked(x)
        parts = (x,) if self.labels is None else (x, self.labels[rows])
        if self.batch_size is None:
            parts = tuple(part[0] for part in parts)
        for function in self._maps:
            result = function(*parts)
            parts = result if isinstance(result, tuple) else (result,)
        return parts if len(parts) > 1 else parts[0]

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        if self._rng is not None:
            self._order = self._rng.permutation(len(self._order))

    def _changed(self, **attributes: Any) -> FileDataset:
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    def take(self, count: int) -> FileDataset:
        """Return the first batches; all for -1."""
        return self if count < 0 else self._changed(_batches=self._batches[:count])

    def skip(self, count: int) -> FileDataset:
        """Return all but the first batches."""
        return self._changed(_batches=self._batches[count:])

    def map(self, map_func: Callable, *_: Any, **__: Any) -> FileDataset:
        """Return batches to which a function of x, or of x and y, was applied."""
        return self._changed(_maps=(*self._maps, map_func))

    def _itself(self, *_: Any, **__: Any) -> FileDataset:
        return self

    cache = prefetch = shuffle = _itself


def image_dataset_from_directory(
    directory: str | os.PathLike[str], labels: Any = "inferred", label_mode: str | None = "int",
    class_names: Sequence[str] | None = None, color_mode: str = "rgb", batch_size: int | None = 32,
    image_size: int | Sequence[int] = (256, 256), shuffle: bool = True, seed: int | None = None,
    validation_split: float | None = None, subset: str | None = None,
    interpolation: str = "bilinear", follow_links: bool = False, crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False, data_format: str | None = None, format: str = "tf",
    verbose: bool = True,
) -> Any:  # fmt: skip
    """Make a data set of the pictures in a folder that has a folder for each class.

    files → batches of (batch, height, width, channels) in 0 ... 255, or of these and labels

    Args:
        directory: the folder.
        labels: "inferred" from the folders; a list with one int per file, in the order of their
            names; or None. Default: "inferred".
        label_mode: "int", "categorical" (one-hot rows), "binary" (0.0 and 1.0) or None.
            Default: "int".
        class_names: the folders to use, in this order. Default: None (all, sorted).
        color_mode: "rgb", "rgba" or "grayscale". Default: "rgb".
        batch_size: int; None gives single samples. Default: 32.
        image_size: (height, width), or one int for both. Default: (256, 256).
        shuffle: bool, whether files come in random order. Default: True.
        seed: int that decides the order. Default: None (from `np.random`).
        validation_split: share of the files for validation. Default: None.
        subset: "training", "validation" or "both" (a pair of data sets), with
            `validation_split`. Default: None (all).
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
            Default: "bilinear".
        follow_links: bool, whether to go into linked folders. Default: False.
        crop_to_aspect_ratio: bool, cut the middle out instead of stretching. Default: False.
        pad_to_aspect_ratio: bool, add black borders instead of stretching. Default: False.
        data_format: "channels_last" or "channels_first". Default: None (`image_data_format()`).
        format: "tf" or "grain", taken for compatibility; has no effect.
        verbose: bool, whether to say what was found. Default: True.

    Returns:
        A `FileDataset` with `class_names` and `file_paths`; for `subset="both"` a list of two.

    Raises:
        ValueError: if an option is unknown, options contradict each other, or nothing is found.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     staghorn.utils.save_img(folder / name / "1.png", np.ones((4, 4, 3)))
        >>> data = staghorn.utils.image_dataset_from_directory(folder, image_size=(8, 8))
        Found 2 files belonging to 2 classes.
        >>> for x, y in data.take(1):
        ...     print(x.shape, sorted(y.tolist()), data.class_names)
        (2, 8, 8, 3) [0, 1] ['cat', 'dog']

    Notes: Keras returns a tf.data.Dataset or a grain one; here it is a `PyDataset`. Files,
        labels and the split are Keras's for the same seed; orders of later epochs are not.

    Reference: https://keras.io/api/data_loading/image/#imagedatasetfromdirectory-function
    """
    name = "image_dataset_from_directory"
    check_option(name, "color_mode", color_mode, COLOR_MODES)
    interpolation = check_option(name, "interpolation", interpolation.lower(), tuple(KERNELS))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(f"{name}: crop_to_aspect_ratio and pad_to_aspect_ratio: choose one.")
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2:
        raise ValueError(f"{name}: image_size must be (height, width), got {image_size!r}.")
    first = (data_format or defaults.image_data_format()) == "channels_first"

    def read(path: str) -> np.ndarray:
        pixels = img_to_array(load_img(path, color_mode), "channels_last", "float32")
        pixels = _resized(pixels, size, interpolation, fit)
        return pixels.transpose(2, 0, 1) if first else pixels

    split = validation_split, subset
    found = directory, labels, label_mode, class_names, PICTURES, follow_links, verbose
    return datasets_of_files(name, found, read, batch_size, shuffle, seed, split, format)


def text_dataset_from_directory(
    directory: str | os.PathLike[str], labels: Any = "inferred", label_mode: str | None = "int",
    class_names: Sequence[str] | None = None, batch_size: int | None = 32,
    max_length: int | None = None, shuffle: bool = True, seed: int | None = None,
    validation_split: float | None = None, subset: str | None = None, follow_links: bool = False,
    format: str = "tf", verbose: bool = True,
) -> Any:  # fmt: skip
    """Make a data set of the `.txt` files in a folder that has a folder for each class.

    files → batches of (batch,) strings, or of these and labels

    Args:
        directory: the folder.
        labels: see `image_dataset_from_directory`. Default: "inferred".
        label_mode: see there. Default: "int".
        class_names: see there. Default: None.
        batch_size: int; None gives single samples. Default: 32.
        max_length: characters that are kept of a text. Default: None (all).
        shuffle: bool, whether files come in random order. Default: True.
        seed: int that decides the order. Default: None (from `np.random`).
        validation_split: share of the files for validation. Default: None.
        subset: see `image_dataset_from_directory`. Default: None.
        follow_links: bool, whether to go into linked folders. Default: False.
        format: "tf" or "grain", taken for compatibility; has no effect.
        verbose: bool, whether to say what was found. Default: True.

    Returns:
        A `FileDataset` with `class_names` and `file_paths`; for `subset="both"` a list of two.

    Raises:
        ValueError: if an option is unknown, options contradict each other, or nothing is found.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("bad", "good"):
        ...     (folder / name).mkdir()
        ...     _ = (folder / name / "1.txt").write_text(f"a {name} film")
        >>> data = staghorn.utils.text_dataset_from_directory(folder, shuffle=False)
        Found 2 files belonging to 2 classes.
        >>> data[0][0].tolist(), data[0][1].tolist()
        (['a bad film', 'a good film'], [0, 1])

    Notes: Texts are strings of Python in an array of objects (UTF-8 in the files); tf.data gives
        bytes.

    Reference: https://keras.io/api/data_loading/text/#textdatasetfromdirectory-function
    """

    def read(path: str) -> str:
        with open(path, encoding="utf-8") as file:
            return file.read()[:max_length]

    split = validation_split, subset
    found = directory, labels, label_mode, class_names, (".txt",), follow_links, verbose
    name = "text_dataset_from_directory"
    return datasets_of_files(name, found, read, batch_size, shuffle, seed, split, format)


def datasets_of_files(
    name: str, found: tuple, read: Callable[[str], Any], batch_size: int | None, shuffle: bool,
    seed: int | None, split: tuple[float | None, str | None], format: str,
) -> Any:  # fmt: skip
    """Return the data set or the two data sets of files."""
    share, subset = split
    check_option(name, "format", format, ("tf", "grain"))
    check_option(name, "subset", subset, SUBSETS)
    if bool(share) != bool(subset) or (share and not 0 < share < 1):
        raise ValueError(
            f"{name}: validation_split must be between 0 and 1 and goes with subset='training', "
            f"'validation' or 'both'; got {share!r} and subset={subset!r}."
        )
    if share and shuffle and seed is None:
        raise ValueError(
            f"{name}: two subsets of shuffled files need the same seed, or they overlap. "
            "Pass seed=0, for instance, in both calls."
        )
    if seed is None:
        seed = np.random.randint(10**6)
    paths, targets, class_names = _files(name, *found)
    order = np.arange(len(paths))
    if shuffle:
        np.random.RandomState(seed).shuffle(order)
    count = int((share or 0) * len(paths))
    middle = len(paths) - count
    parts = {"training": order[:middle], "validation": order[middle:], None: order}
    made = []
    for part in ("training", "validation") if subset == "both" else (subset,):
        rows = parts[part]
        if share and found[-1]:
            print(f"Using {len(rows)} files for {part}.")
        if not len(rows):
            raise ValueError(
                f"{name}: there are no files {f'for {part} ' if part else ''}in "
                f"{os.fspath(found[0])!r}; it looks for names that end with {', '.join(found[4])}."
            )
        again = seed if shuffle and not (subset == "both" and part == "validation") else None
        names = [paths[row] for row in rows]
        chosen = None if targets is None else targets[rows]
        made.append(FileDataset(names, chosen, class_names, read, batch_size, again))
    return made if subset == "both" else made[0]


def _files(
    name: str, directory: str | os.PathLike[str], labels: Any, label_mode: str | None,
    class_names: Sequence[str] | None, endings: tuple[str, ...], follow_links: bool, verbose: bool,
) -> tuple[list[str], np.ndarray | None, list[str] | None]:  # fmt: skip
    """Return the files of a folder, their labels as the data set gives them, and the classes."""
    check_option(name, "label_mode", label_mode, LABEL_MODES)
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not (labels is None or isinstance(labels, (list, tuple)) or labels == "inferred"):
        raise ValueError(
            f"{name}: labels must be 'inferred', None or a list of ints, got {labels!r}."
        )
    if class_names is not None and labels != "inferred":
        raise ValueError(f"{name}: class_names goes with labels='inferred' only.")
    folder = os.fspath(directory)
    names, numbers = [""], list(labels or ()) if labels != "inferred" else []
    if label_mode is None:
        labels = None
    if labels == "inferred":
        there = [sub for sub in subfolders(folder) if not sub.startswith(".")]
        names = list(class_names or there)
        for missing in set(names) - set(there):
            raise ValueError(f"{name}: {folder!r} has no folder for the class {missing!r}.")
    paths = []
    for number, sub in enumerate(names):
        files = list(list_files(os.path.join(folder, sub), endings, follow_links))
        paths += [os.path.join(folder, sub, file) for file in files]
        numbers += [number] * len(files) if labels == "inferred" else []
    if labels is None:
        if verbose:
            print(f"Found {len(paths)} files.")
        return paths, None, None
    if len(numbers) != len(paths):
        raise ValueError(f"{name}: there are {len(numbers)} labels, but {len(paths)} files.")
    if labels != "inferred":
        names = [str(label) for label in sorted(set(labels))]
    if verbose:
        print(f"Found {len(paths)} files belonging to {len(names)} classes.")
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(f"{name}: label_mode='binary' needs 2 classes, got {names!r}.")
    targets = np.array(numbers, dtype="int32")
    if label_mode == "binary":
        targets = targets.astype("float32")[:, None]  # (files, 1)
    elif label_mode == "categorical":
        targets = np.eye(len(names), dtype="float32")[targets]  # (files, classes)
    return paths, targets, names
