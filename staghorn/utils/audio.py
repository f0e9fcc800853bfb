"""Data sets of sound files whose folders are their classes."""

import math
import os
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from staghorn.utils.directories import datasets_of_files

_KINDS = {1: "u1", 2: "<i2", 4: "<i4"}  # bytes of a sample → how they are stored


def read_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a `.wav` file of whole numbers: (samples, channels) in -1 ... 1, samples per second.

    Raises:
        ValueError: if it is no such file.
    """
    try:
        with wave.open(os.fspath(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is no WAV file of whole numbers (PCM): {error}."
        ) from error
    if width == 3:  # with a zero byte below, they are whole numbers of four
        triples = np.frombuffer(data, "u1").reshape(-1, 3)
        data, width = np.pad(triples, ((0, 0), (1, 0))).tobytes(), 4
    samples = np.frombuffer(data, _KINDS[width]).astype("float32")
    middle = 128.0 if width == 1 else 0.0
    return ((samples - middle) / 2.0 ** (8 * width - 1)).reshape(-1, channels), rate


def audio_dataset_from_directory(
    directory: str | os.PathLike[str], labels: Any = "inferred", label_mode: str | None = "int",
    class_names: Sequence[str] | None = None, batch_size: int | None = 32,
    sampling_rate: int | None = None, output_sequence_length: int | None = None,
    ragged: bool = False, shuffle: bool = True, seed: int | None = None,
    validation_split: float | None = None, subset: str | None = None, follow_links: bool = False,
    verbose: bool = True,
) -> Any:  # fmt: skip
    """Make a data set of the `.wav` files in a folder that has a folder for each class.

    files → batches of (batch, samples, channels) in -1 ... 1, or of these and labels

    Args:
        directory: the folder.
        labels: see `image_dataset_from_directory`. Default: "inferred".
        label_mode: see there. Default: "int".
        class_names: see there. Default: None.
        batch_size: int; None gives single samples. Default: 32.
        sampling_rate: samples per second to bring all files to. Default: None, as they are.
        output_sequence_length: samples to cut or fill each file to. Default: None, the longest
            file of each batch.
        ragged: must be False. Default: False.
        shuffle: bool, whether files come in random order. Default: True.
        seed: int that decides the order. Default: None (from `np.random`).
        validation_split: share of the files for validation. Default: None.
        subset: see `image_dataset_from_directory`. Default: None.
        follow_links: bool, whether to go into linked folders. Default: False.
        verbose: bool, whether to say what was found. Default: True.

    Returns:
        A `FileDataset` with `class_names` and `file_paths`; for `subset="both"` a list of two.

    Raises:
        ValueError: if an option is unknown, options contradict each other, or nothing is found.

    Example:
        >>> import pathlib, tempfile, wave
        >>> folder = pathlib.Path(tempfile.mkdtemp(), "beep")
        >>> folder.mkdir()
        >>> with wave.open(str(folder / "1.wav"), "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        ...     file.writeframes(np.full(100, 16384, "<i2").tobytes())
        >>> data = staghorn.utils.audio_dataset_from_directory(folder.parent)
        Found 1 files belonging to 1 classes.
        >>> x, y = data[0]
        >>> x.shape, float(x.max()), y.tolist()
        ((1, 100, 1), 0.5, [0])

    Notes: 8, 24 and 32 bits are read too, Keras reads 16. Files are cut after they were brought
        to `sampling_rate`, in Keras before. Batches are padded with zeros instead of ragged.

    Reference: https://keras.io/api/data_loading/audio/
    """
    name = "audio_dataset_from_directory"
    if ragged:
        raise ValueError(f"{name}: ragged=True is not supported; rows are filled with zeros.")
    for what, value in (("sampling_rate", sampling_rate), ("length", output_sequence_length)):
        if value is not None and (not isinstance(value, int) or value <= 0):
            raise ValueError(f"{name}: {what} must be a positive int, got {value!r}.")

    def read(path: str) -> np.ndarray:
        samples, rate = read_wav(path)
        if sampling_rate not in (None, rate):
            from scipy.signal import resample_poly  # a dependency of JAX; slow to import

            common = math.gcd(sampling_rate, rate)
            samples = resample_poly(samples, sampling_rate // common, rate // common)
        length = output_sequence_length or len(samples)
        samples = samples[:length].astype("float32")
        return np.pad(samples, ((0, length - len(samples)), (0, 0)))

    split = validation_split, subset
    found = directory, labels, label_mode, class_names, (".wav",), follow_links, verbose
    return datasets_of_files(name, found, read, batch_size, shuffle, seed, split, "tf")
