"""IMDB: film reviews as word numbers, and whether they praise."""

from typing import Any

import numpy as np

from staghorn.datasets import sequences
from staghorn.datasets.files import Split, fetch, read_json, read_npz
from staghorn.engine.keywords import reject_unknown
from staghorn.engine.spellings import say_once

KNOWN = (
    "path", "num_words", "skip_top", "maxlen", "seed", "start_char", "oov_char", "index_from",
    "test_split",
)  # fmt: skip


@sequences.with_nb_words
def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> Split:
    """Return 25,000 film reviews to train on and 25,000 to test on.

    x: (n,), lists of word numbers, frequent words first; y: (n,), int64, 1 for praise, 0 for blame.

    Args:
        path: name in the cache, or the path of a file that is somewhere else. Default: "imdb.npz".
        num_words: numbers from here on become `oov_char`. Default: None (all words are kept).
        skip_top: numbers below this become `oov_char`. Default: 0.
        maxlen: only texts with fewer words are kept. Default: None (all).
        seed: for the order of the reviews. Default: 113.
        start_char: put before each review; None puts nothing. Default: 1.
        oov_char: stands for words left out; None drops them. Default: 2.
        index_from: added to each word's number. Default: 3.
        **kwargs: `test_split` of the oldest spelling: the part of all reviews to test on.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.
        ValueError: no review is shorter than `maxlen`.

    Example:
        >>> (x, y), _ = staghorn.datasets.imdb.load_data(num_words=10000)  # doctest: +SKIP
        >>> x.shape, x[0][:5]                                              # doctest: +SKIP
        ((25000,), [1, 14, 22, 16, 43])

    Reference: Maas et al., 2011, https://ai.stanford.edu/~amaas/data/sentiment/
    """
    reject_unknown("imdb.load_data", kwargs, KNOWN)
    names = ("x_train", "y_train", "x_test", "y_test")
    arrays = read_npz(fetch("imdb.npz", path), *names)
    generator = np.random.RandomState(seed)
    (texts, labels), (more_texts, more_labels) = (
        sequences.shuffled(x, y, generator, start_char, index_from, maxlen)
        for x, y in (arrays[:2], arrays[2:])
    )
    count, texts = len(texts), texts + more_texts
    if "test_split" in kwargs:
        say_once("test_split=", "leave it out for 25,000 reviews to test on", "imdb.load_data")
        count = int(len(texts) * (1 - kwargs["test_split"]))
    return sequences.split(texts, labels + more_labels, count, num_words, skip_top, oov_char)


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Return the number of each word, from 1; `load_data` adds `index_from` to it.

    Args:
        path: name in the cache, or the path of a file that is somewhere else. Default:
            "imdb_word_index.json".

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.

    Example:
        >>> numbers = staghorn.datasets.imdb.get_word_index()        # doctest: +SKIP
        >>> words = {i + 3: word for word, i in numbers.items()}     # doctest: +SKIP
        >>> " ".join(words.get(i, "?") for i in x[0][:6])            # doctest: +SKIP
        '? this film was just brilliant'
    """
    return read_json(fetch("imdb_word_index.json", path))
