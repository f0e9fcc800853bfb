"""Words as numbers: `keras.preprocessing.text`."""

from __future__ import annotations

import collections
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from staghorn.engine.keywords import reject_unknown
from staghorn.utils.image import check_option

__all__ = [
    "Tokenizer",
    "hashing_trick",
    "one_hot",
    "text_to_word_sequence",
    "tokenizer_from_json",
]

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "freq", "tfidf")


def text_to_word_sequence(
    input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """Split a text into words.

    Args:
        input_text: the text.
        filters: characters at which it is split too. Default: punctuation, tabs, new lines.
        lower: bool, whether to use small letters. Default: True.
        split: what separates words. Default: " ".

    Example:
        >>> staghorn.preprocessing.text.text_to_word_sequence("The cat, the hat!")
        ['the', 'cat', 'the', 'hat']

    Reference: https://github.com/keras-team/keras-preprocessing
    """
    text = input_text.lower() if lower else input_text
    table: dict[str, Any] = dict.fromkeys(filters, split)
    words = text.translate(str.maketrans(table)).split(split)
    return [word for word in words if word]


def one_hot(input_text: str, n: int, *options: Any, **more: Any) -> list[int]:
    """Give each word of a text a number from 1 to n - 1, by Python's `hash`.

    Args:
        input_text: the text.
        n: one more than the largest number.
        *options: filters, lower, split, analyzer, as in `hashing_trick`.
        **more: the same by name.

    Example:
        >>> numbers = staghorn.preprocessing.text.one_hot("to be or not to be", 50)
        >>> len(numbers), numbers[0] == numbers[4]
        (6, True)

    Notes: Python's `hash` of words differs from run to run. For numbers that stay:
        `hashing_trick(text, n, hash_function="md5")`.

    Reference: https://github.com/keras-team/keras-preprocessing
    """
    return hashing_trick(input_text, n, hash, *options, **more)


def hashing_trick(
    text: str, n: int, hash_function: Callable[[str], int] | str | None = None,
    filters: str = FILTERS, lower: bool = True, split: str = " ",
    analyzer: Callable[[str], Iterable[str]] | None = None,
) -> list[int]:  # fmt: skip
    """Give each word of a text a number from 1 to n - 1, by a hash function.

    Args:
        text: the text.
        n: one more than the largest number.
        hash_function: function from a word to an int; "md5"; or None for Python's `hash`, which
            differs from run to run. Default: None.
        filters: see `text_to_word_sequence`.
        lower: see `text_to_word_sequence`.
        split: see `text_to_word_sequence`.
        analyzer: function that splits the text instead. Default: None.

    Example:
        >>> staghorn.preprocessing.text.hashing_trick("to be or not to be", 50, "md5")
        [15, 5, 8, 36, 15, 5]

    Reference: https://github.com/keras-team/keras-preprocessing
    """
    number: Any = hash if hash_function is None else hash_function
    if hash_function == "md5":
        number = _md5
    words = analyzer(text) if analyzer else text_to_word_sequence(text, filters, lower, split)
    return [number(word) % (n - 1) + 1 for word in words]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer:
    """Numbers for words, the most frequent one first, and texts as sequences of them.

    Number 0 stands for nothing, so that sequences can be padded with it.

    Args:
        num_words: int, numbers from this one on are left out: the num_words - 1 most frequent
            words are kept. Default: None (all).
        filters: see `text_to_word_sequence`.
        lower: see `text_to_word_sequence`.
        split: see `text_to_word_sequence`.
        char_level: bool, whether every character is a word. Default: False.
        oov_token: word that stands for those without a number. Default: None (left out).
        analyzer: function that splits a text into words instead. Default: None.
        **kwargs: `nb_words`, the oldest name of `num_words`; and `document_count`.

    Raises:
        TypeError: for other arguments.

    Example:
        >>> tokenizer = staghorn.preprocessing.text.Tokenizer(num_words=3)
        >>> tokenizer.fit_on_texts(["The cat sat", "the cat"])
        >>> tokenizer.word_index, tokenizer.texts_to_sequences(["the cat sat"])
        ({'the': 1, 'cat': 2, 'sat': 3}, [[1, 2]])
        >>> tokenizer.texts_to_matrix(["cat cat"], mode="count").tolist()
        [[0.0, 0.0, 2.0]]

    Notes: Texts may be lists of words already. `word_docs` is in the order in which words come,
        in Keras in that of a set, which differs from run to run.

    Reference: https://github.com/keras-team/keras-preprocessing
    """

    def __init__(
        self, num_words: int | None = None, filters: str = FILTERS, lower: bool = True,
        split: str = " ", char_level: bool = False, oov_token: str | None = None,
        analyzer: Callable[[str], Iterable[str]] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.num_words = kwargs.pop("nb_words", num_words)
        self.document_count = kwargs.pop("document_count", 0)
        reject_unknown("Tokenizer", kwargs, tuple(Tokenizer.__init__.__annotations__))
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.analyzer = analyzer
        self.word_counts: dict[str, int] = collections.OrderedDict()
        self.word_docs: dict[str, int] = collections.defaultdict(int)
        self.index_docs: dict[int, int] = collections.defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any) -> Iterable[str]:
        if self.char_level or isinstance(text, list):
            if not self.lower:
                return text
            return [word.lower() for word in text] if isinstance(text, list) else text.lower()
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Count the words of texts, and number them; may be called again with more.

        Args:
            texts: strings, or lists of words.
        """
        for text in texts:
            self.document_count += 1
            words = list(self._words(text))
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in dict.fromkeys(words):
                self.word_docs[word] = self.word_docs.get(word, 0) + 1
        words = [] if self.oov_token is None else [self.oov_token]
        words += sorted(self.word_counts, key=self.word_counts.__getitem__, reverse=True)
        self.word_index = {word: number for number, word in enumerate(words, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Any) -> None:
        """Count in how many sequences each number is; needed for "tfidf" without texts.

        Args:
            sequences: lists of numbers.
        """
        self.document_count += len(sequences)
        for sequence in sequences:
            for number in set(sequence):
                self.index_docs[number] = self.index_docs.get(number, 0) + 1

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """Return the numbers of each text's words.

        Args:
            texts: strings, or lists of words.
        """
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """Yield the numbers of each text's words.

        Args:
            texts: strings, or lists of words.
        """
        for text in texts:
            yield self._known(self.word_index.get(word) for word in self._words(text))

    def sequences_to_texts(self, sequences: Iterable[Any]) -> list[str]:
        """Return each sequence as a text, its words separated by spaces.

        Args:
            sequences: lists of numbers.
        """
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Any]) -> Iterator[str]:
        """Yield each sequence as a text.

        Args:
            sequences: lists of numbers.
        """
        for sequence in sequences:
            known = (number if number in self.index_word else None for number in sequence)
            yield " ".join(self.index_word[number] for number in self._known(known))

    def _known(self, numbers: Iterable[int | None]) -> list[int]:
        """Leave out unknown and rare words, or put the number of `oov_token` in their place."""
        other = self.word_index.get(self.oov_token) if self.oov_token is not None else None
        limit = self.num_words or float("inf")
        placed = (other if n is None or n >= limit else n for n in numbers)
        return [number for number in placed if number is not None]

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """Return one row per text, one column per word; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode=mode)

    def sequences_to_matrix(self, sequences: Any, mode: str = "binary") -> np.ndarray:
        """Return one row per sequence, one column per number.

        Args:
            sequences: lists of numbers.
            mode: "binary" (whether it is there), "count" (how often), "freq" (its share of the
                sequence) or "tfidf" ((1 + log count) log(1 + documents / (1 + documents with
                it))). Default: "binary".

        Raises:
            ValueError: if the mode is unknown, or words were not counted yet.
        """
        check_option("Tokenizer", "mode", mode, MODES)
        if not (self.num_words or self.word_index) or (mode == "tfidf" and not self.document_count):
            raise ValueError(
                "Tokenizer: words were not counted yet. First: tokenizer.fit_on_texts(texts)."
            )
        columns = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), columns))
        for row, sequence in zip(matrix, sequences, strict=True):
            for number, count in collections.Counter(sequence).items():
                if number >= columns:
                    continue
                if mode == "tfidf":
                    documents = 1 + self.index_docs.get(number, 0)
                    row[number] = (1 + np.log(count)) * np.log(1 + self.document_count / documents)
                else:
                    row[number] = {"binary": 1, "count": count, "freq": count / len(sequence)}[mode]
        return matrix

    def get_config(self) -> dict[str, Any]:
        """Return arguments and counts, the latter as JSON."""
        names = ("num_words", "filters", "lower", "split", "char_level", "oov_token")
        config = {name: getattr(self, name) for name in (*names, "document_count")}
        return config | {name: json.dumps(getattr(self, name)) for name in _COUNTS}

    def to_json(self, **kwargs: Any) -> str:
        """Return everything as JSON, for `tokenizer_from_json`.

        Args:
            **kwargs: passed to `json.dumps`.
        """
        config = {"class_name": type(self).__name__, "config": self.get_config()}
        return json.dumps(config, **kwargs)


_COUNTS = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """Return the Tokenizer that `to_json` wrote, here or in Keras.

    Args:
        json_string: the text.

    Example:
        >>> text = staghorn.preprocessing.text
        >>> tokenizer = text.Tokenizer()
        >>> tokenizer.fit_on_texts(["a rose is a rose"])
        >>> text.tokenizer_from_json(tokenizer.to_json()).word_index
        {'a': 1, 'rose': 2, 'is': 3}

    Reference: https://github.com/keras-team/keras-preprocessing
    """
    config = json.loads(json_string)["config"]
    counts = {name: json.loads(config.pop(name)) for name in _COUNTS}
    tokenizer = Tokenizer(**config)
    for name, table in counts.items():
        numbered = name.startswith("index_")  # JSON has no numbers as keys
        setattr(tokenizer, name, {int(k): v for k, v in table.items()} if numbered else table)
    return tokenizer
