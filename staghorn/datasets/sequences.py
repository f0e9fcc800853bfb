"""Texts as lists of word numbers: what the loaders of IMDB and Reuters have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from staghorn.datasets.files import Split
from staghorn.engine.spellings import say_once


def with_nb_words(load_data: Callable[..., Any]) -> Callable[..., Any]:
    """Let a loader understand `nb_words`, as Keras 1 spelled `num_words`.

    Example:
        >>> from staghorn.datasets.sequences import with_nb_words
        >>> with_nb_words(lambda num_words=None: num_words)(num_words=3)
        3
    """

    @wraps(load_data)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "nb_words" in kwargs:
            say_once("nb_words=", "num_words=", "load_data")
            kwargs.setdefault("num_words", kwargs.pop("nb_words"))
        return load_data(*args, **kwargs)

    return call


def shuffled(
    x: np.ndarray,
    y: np.ndarray,
    generator: np.random.RandomState,
    start_char: int | None,
    index_from: int | None,
    maxlen: int | None,
) -> tuple[list[list[int]], list[Any]]:
    """Return texts and labels in random order, words shifted, and long texts left out.

    Args:
        x: (n,), lists of word numbers.
        y: (n,), labels.
        generator: for the order.
        start_char: put before each text; None puts nothing.
        index_from: added to each number.
        maxlen: only texts of fewer words are kept; None keeps all.

    Raises:
        ValueError: no text is so short.

    Example:
        >>> from staghorn.datasets.sequences import shuffled
        >>> shuffled(np.array([[1, 5]], object), np.array([1]), np.random.RandomState(0), 1, 3, 4)
        ([[1, 4, 8]], [1])
    """
    order = np.arange(len(x))
    generator.shuffle(order)
    head, shift = [] if start_char is None else [start_char], index_from or 0
    texts = [head + [word + shift for word in text] for text in x[order]]
    kept = [i for i, text in enumerate(texts) if not maxlen or len(text) < maxlen]
    if not kept:
        raise ValueError(
            f"load_data: no text has fewer than maxlen={maxlen} words (the start_char counts). "
            f"Give a larger maxlen; the shortest has {min(map(len, texts), default=0)}."
        )
    return [texts[i] for i in kept], y[order][kept].tolist()


def split(
    texts: list[list[int]],
    labels: list[int],
    count: int,
    num_words: int | None,
    skip_top: int,
    oov_char: int | None,
) -> Split:
    """Replace the numbers outside [skip_top, num_words), and return the first `count` texts apart.

    Args:
        texts: lists of word numbers.
        labels: one for each.
        count: how many are to train on.
        num_words: the end of the numbers; None is the largest, which is replaced itself, as in
            Keras.
        skip_top: the first of the numbers.
        oov_char: put for the others; None drops them.

    Example:
        >>> from staghorn.datasets.sequences import split
        >>> (x, y), (x_test, y_test) = split([[1, 4, 8], [1]], [0, 1], 1, 8, 2, oov_char=2)
        >>> x.tolist(), x_test.tolist()
        ([[2, 4, 2]], [[2]])
    """
    end = num_words or max(map(max, filter(None, texts)), default=0)
    x = np.empty(len(texts), dtype=object)  # one axis, also where all texts are equally long
    for i, text in enumerate(texts):
        if oov_char is None:
            x[i] = [word for word in text if skip_top <= word < end]
        else:
            x[i] = [word if skip_top <= word < end else oov_char for word in text]
    y = np.array(labels)
    return (x[:count], y[:count]), (x[count:], y[count:])
