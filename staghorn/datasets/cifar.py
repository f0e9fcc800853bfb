"""What CIFAR-10 and CIFAR-100 have in common: batches of colour images in a tar archive."""

from __future__ import annotations

import os
import tarfile
from typing import Any

import numpy as np

from staghorn import config
from staghorn.datasets import plain_pickle
from staghorn.datasets.files import fetch, reading
from staghorn.utils.download import cache_folder


def read_batches(folder: str, *names: str) -> list[dict[str, Any]]:
    """Return batches of the archive that holds `folder`, read without extracting it.

    Where the cache has no archive, the folders count that Keras extracts it to, or the archive
    under its name in Keras 2.

    Args:
        folder: folder in the archive, such as "cifar-10-batches-py".
        names: files in it.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.
        CorruptFileError: the archive is damaged, or a batch is missing in it.

    Example:
        >>> from staghorn.datasets.cifar import read_batches
        >>> read_batches("cifar-10-batches-py", "test_batch")[0]["labels"]  # doctest: +SKIP
        [3, 8, 8, 0, ...]
    """
    archive = f"{folder}-target_archive"
    cache = cache_folder(None, "datasets")
    if not os.path.exists(os.path.join(cache, archive)):
        for extracted in (os.path.join(cache, f"{folder}-target", folder), f"{cache}/{folder}"):
            paths = [os.path.join(extracted, name) for name in names]
            if all(map(os.path.isfile, paths)):
                return [_batch(open_and_read(path), path) for path in paths]
    path = fetch(archive)
    with reading(path), tarfile.open(path) as file:
        found = {}
        for member in file:
            content = file.extractfile(member)  # None for folders
            if member.name in [f"{folder}/{name}" for name in names] and content is not None:
                found[os.path.basename(member.name)] = _batch(content.read(), member.name)
        return [found[name] for name in names]


def open_and_read(path: str) -> bytes:
    """Return the bytes of a file.

    Example:
        >>> from staghorn.datasets.cifar import open_and_read
        >>> len(open_and_read(__file__)) > 0
        True
    """
    with open(path, "rb") as file:
        return file.read()


def _batch(content: bytes, name: str) -> dict[str, Any]:
    data = plain_pickle.loads(content, name)
    return {key.decode() if isinstance(key, bytes) else key: data[key] for key in data}


def images(*batches: dict[str, Any]) -> np.ndarray:
    """Join the images of batches, in the layout of `config.image_data_format()`.

    data: (n, 3072) each → (n, 32, 32, 3) or (n, 3, 32, 32), uint8

    Example:
        >>> from staghorn.datasets.cifar import images
        >>> images({"data": np.zeros((2, 3072), "uint8")}).shape
        (2, 32, 32, 3)
    """
    x = np.concatenate([batch["data"].reshape(-1, 3, 32, 32) for batch in batches])
    if config.image_data_format() == "channels_last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # (n, 32, 32, 3)
    return x
