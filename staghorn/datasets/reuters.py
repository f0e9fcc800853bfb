"""Reuters: newswires as word numbers, and their topics."""

import numpy as np

from staghorn.datasets import sequences
from staghorn.datasets.files import Split, check_fraction, fetch, read_json, read_npz

LABELS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi",
    "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin",
    "strategic-metal", "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs", "lei",
    "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip


@sequences.with_nb_words
def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Split:
    """Return 11,228 newswires on 46 topics, a part of them to test on.

    x: (n,), lists of word numbers, frequent words first; y: (n,), int64, the topic's number.

    Args:
        path: name in the cache, or the path of a file that is somewhere else. Default:
            "reuters.npz".
        num_words: numbers from here on become `oov_char`. Default: None (all words are kept).
        skip_top: numbers below this become `oov_char`. Default: 0.
        maxlen: only texts with fewer words are kept. Default: None (all).
        test_split: part of the newswires to test on. Default: 0.2.
        seed: for the order of the newswires. Default: 113.
        start_char: put before each newswire; None puts nothing. Default: 1.
        oov_char: stands for words left out; None drops them. Default: 2.
        index_from: added to each word's number. Default: 3.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.
        ValueError: no newswire is shorter than `maxlen`, or `test_split` is not in [0, 1).

    Example:
        >>> (x, y), _ = staghorn.datasets.reuters.load_data(num_words=10000)  # doctest: +SKIP
        >>> x.shape                                                           # doctest: +SKIP
        (8982,)
    """
    check_fraction(test_split)
    x, y = read_npz(fetch("reuters.npz", path), "x", "y")
    generator = np.random.RandomState(seed)
    texts, labels = sequences.shuffled(x, y, generator, start_char, index_from, maxlen)
    count = int(len(texts) * (1 - test_split))
    return sequences.split(texts, labels, count, num_words, skip_top, oov_char)


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Return the number of each word, from 1; `load_data` adds `index_from` to it.

    Args:
        path: name in the cache, or the path of a file that is somewhere else. Default:
            "reuters_word_index.json".

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.

    Example:
        >>> staghorn.datasets.reuters.get_word_index()["the"]  # doctest: +SKIP
        1
    """
    return read_json(fetch("reuters_word_index.json", path))


def get_label_names() -> tuple[str, ...]:
    """Return the 46 topics, in the order of their numbers.

    Example:
        >>> staghorn.datasets.reuters.get_label_names()[3]
        'earn'
    """
    return LABELS
