"""IndexLookup: what StringLookup and IntegerLookup share: a vocabulary, numbers for words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

from staghorn import config
from staghorn.engine.arguments import Interval, Is, NonNegative, Options
from staghorn.layers.preprocessing.host_layer import (
    MODES,
    HostLayer,
    current_mode,
    encoded,
    encoded_shape,
    encoding_dtype,
    gives_batches,
    no_sparse,
    salt_pair,
)
from staghorn.ops.fingerprint import fingerprint64, siphash64

_NO_VOCABULARY = """\
{who} has no vocabulary yet. Learn one, layer.adapt(data), or give it one:
    {cls}(vocabulary=[...])"""
_SPECIAL = """\
{who}: the {what} token {token!r} stands inside the vocabulary, at place {place}.
Leave the special tokens out, or put them first, in this order: {special}."""
_UNKNOWN = """\
{who}: with num_oov_indices=0 every value must be in the vocabulary; {values} are not.
Write num_oov_indices=1 to give them a place of their own."""


@dataclass
class Counts:
    """What `adapt` has seen so far."""

    words: Counter = field(default_factory=Counter)
    documents: Counter = field(default_factory=Counter)  # in how many rows a word stands
    rows: int = 0


class IndexLookup(HostLayer):
    """Numbers for the words of a vocabulary: [mask], out of vocabulary ..., first word, ...

    Subclasses say what a word is: `_word` brings one into the form of the table, `_shown` back.
    """

    arguments = {
        "max_tokens": Interval(1, float("inf"), "neither", optional=True),
        "num_oov_indices": NonNegative(int),
        "oov_method": Options("floormod", "farmhash"),
        "output_mode": Options(*MODES, "tf_idf"),
        "invert": Is(bool),
        "pad_to_max_tokens": Is(bool),
    }
    _untracked = HostLayer._untracked | {"input_vocabulary", "input_idf_weights", "_words"}

    def __init__(
        self, max_tokens: int | None, num_oov_indices: int, mask_token: Any, oov_token: Any,
        vocabulary_dtype: str, vocabulary: Any = None, idf_weights: Any = None,
        invert: bool = False, output_mode: str = "int", sparse: bool = False,
        pad_to_max_tokens: bool = False, oov_method: str = "floormod", name: str | None = None,
        salt: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        size = kwargs.pop("vocabulary_size", None)
        fixed = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        told_by = kwargs.pop("told_by", None)
        kept = {k: v for k, v in kwargs.items() if k not in ("trainable", "dtype")}  # in files
        super().__init__(name=name, **kept)
        # The class and name that errors speak of: users of TextVectorization know no lookup.
        self._told_by = told_by or (type(self).__name__, self.name)
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.vocabulary_dtype = vocabulary_dtype
        self.invert = invert
        self.output_mode = current_mode(output_mode)
        self.sparse = sparse
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = oov_method
        self.salt = salt_pair(type(self).__name__, salt)
        self.input_vocabulary = None if isinstance(vocabulary, str) else vocabulary
        self.input_idf_weights = idf_weights
        self._has_input_vocabulary = fixed
        self._frozen_size = size
        self._words: dict[Any, int] | None = None  # word → number, in the order of the numbers
        self._counts = Counts()
        self._idf: np.ndarray | None = None
        self._check_together(idf_weights)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _check_together(self, idf_weights: Any) -> None:
        """Raise for arguments that do not go together."""
        who, mode = self._told_by[0], self.output_mode
        no_sparse(who, self.sparse)
        pads = self.pad_to_max_tokens and self.max_tokens is None
        salts = self.salt and self.vocabulary_dtype != "string" and self.oov_method != "farmhash"
        for wrong, text in (
            (pads, "pad_to_max_tokens=True needs max_tokens=, the width."),
            (self.invert and mode != "int", f"invert=True needs output_mode='int', got {mode!r}."),
            (salts, "salt= needs oov_method='farmhash'."),
            (idf_weights is not None and mode != "tf_idf", "idf_weights= are for 'tf_idf' only."),
        ):
            if wrong:
                raise ValueError(f"{who}: {text}")

    @property
    def _who(self) -> str:
        return "{} '{}'".format(*self._told_by)

    def _check_vocabulary(self) -> None:
        if self._words is None:
            raise RuntimeError(_NO_VOCABULARY.format(who=self._who, cls=self._told_by[0]))

    # What a word is --------------------------------------------------------------------------

    def _word(self, token: Any) -> Any:
        """Return a word in the form of the table: bytes or int."""
        raise NotImplementedError

    def _shown(self, word: Any) -> Any:
        """Return a word of the table as users see it."""
        raise NotImplementedError

    # The vocabulary --------------------------------------------------------------------------

    @property
    def _oov_start(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _token_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    @property
    def _special(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the words in the order of their numbers.

        Args:
            include_special_tokens: whether mask and out-of-vocabulary tokens are listed, so that a
                word's place is its number. Default: True.
        """
        shown = [self._shown(word) for word in self._words or ()]
        return [*self._special, *shown] if include_special_tokens else shown

    def vocabulary_size(self) -> int:
        """Return how many numbers there are, those of special tokens included."""
        if self._words is None and self._frozen_size is not None:
            return self._frozen_size
        return self._token_start + len(self._words or ())

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary instead of learning one.

        Args:
            vocabulary: the words, a list or array with or without the special tokens; or the name
                of a text file with a word in each line.
            idf_weights: for "tf_idf", a weight for each. Default: None.

        Raises:
            ValueError: for words that come twice, special tokens in wrong places, more words than
                `max_tokens`, and weights that are missing or not wanted.
        """
        if self.output_mode == "tf_idf" and idf_weights is None:
            raise ValueError(
                f"{self._who}: output_mode='tf_idf' needs the weight of each word beside a "
                "vocabulary: pass idf_weights=[...], or learn both with layer.adapt(data)."
            )
        if self.output_mode != "tf_idf" and idf_weights is not None:
            raise ValueError(
                f"{self._who}: idf_weights go with output_mode='tf_idf' and no other; output_mode "
                f"is {self.output_mode!r}, idf_weights={idf_weights!r:.60}."
            )
        if isinstance(vocabulary, str):
            given, has_special = self._read(vocabulary), False
        else:
            given = np.asarray(vocabulary, dtype=object).ravel().tolist()
            given = [self._word(token) for token in given]
            special = [None if t is None else self._word(t) for t in self._special]
            has_special = bool(given) and given[: len(special)] == special
        words = given[self._token_start :] if has_special else given
        self._check_words(given, words)
        self._set_words(words)
        if idf_weights is not None:
            self._idf = self._padded_weights(np.asarray(idf_weights), len(given), has_special)

    def _read(self, path: str) -> list[Any]:
        if not Path(path).exists():
            raise ValueError(f"{self._who}: there is no vocabulary file '{path}'.")
        lines = Path(path).read_bytes().split(b"\n")
        lines = lines[:-1] if lines[-1] == b"" else lines
        return [self._word(line.removesuffix(b"\r")) for line in lines]

    def _check_words(self, given: list[Any], words: list[Any]) -> None:
        if not given:
            raise ValueError(f"{self._who}: the vocabulary is empty.")
        if len(set(words)) != len(words):
            twice = [self._shown(w) for w, count in Counter(words).items() if count > 1]
            raise ValueError(f"{self._who}: the vocabulary has these words twice: {twice[:10]}.")
        tokens = [("mask", self.mask_token)] + [("oov", self.oov_token)] * self.invert
        for what, token in tokens:
            if token is not None and self._word(token) in words:
                place, special = given.index(self._word(token)), self._special
                names = {"what": what, "token": token, "place": place, "special": special}
                raise ValueError(_SPECIAL.format(who=self._who, **names))
        size = self._token_start + len(words)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                f"{self._who}: the vocabulary has {size} entries, special tokens included; "
                f"max_tokens is {self.max_tokens}."
            )

    def _set_words(self, words: list[Any]) -> None:
        self._words = {word: number for number, word in enumerate(words, self._token_start)}
        self._frozen_size = self._token_start + len(words)

    def _padded_weights(self, weights: np.ndarray, count: int, has_special: bool) -> np.ndarray:
        """Return a weight for each column; what has none gets the mean, or 0 at the end."""
        if weights.shape != (count,):
            raise ValueError(
                f"{self._who}: idf_weights must have one weight for each of the {count} entries of "
                f"the vocabulary, got shape {weights.shape}."
            )
        front = 0 if has_special else self._token_start
        back = max(0, self._depth - front - count)
        weights = np.concatenate([np.full(front, weights.mean()), weights, np.zeros(back)])
        return weights.astype(config.floatx())

    @property
    def _depth(self) -> int:
        return self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()  # type: ignore[return-value]

    # Learning it -----------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent words first, equal ones from high to low.

        Args:
            data: an array or list, each row a document for "tf_idf"; or batches from a generator
                or loader.
            steps: how many batches to take. Default: all.

        Raises:
            ValueError: if the layer was made with a vocabulary, or there is no data.
        """
        self.reset_state()
        if gives_batches(data):
            for batch in islice(data, steps):
                self.update_state(batch)
        else:
            array = self._array(data)
            self.update_state(array[:, None] if array.ndim == 1 else array)
        if not self._counts.words:
            raise ValueError(f"{self._who}: adapt() got no data.")
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the words of a batch; one with a single axis is one document."""
        array = self._array(data)
        documents = array if self.output_mode == "tf_idf" and array.ndim > 1 else [array]
        self._count(document.ravel().tolist() for document in documents)

    def _count(self, rows: Iterable[list[Any]]) -> None:
        if self._has_input_vocabulary:
            raise ValueError(
                f"{self._who} was made with a vocabulary, so it cannot learn another. Leave "
                "vocabulary= out to use adapt()."
            )
        counts = self._counts
        for row in rows:
            counts.words.update(row)
            counts.rows += 1
            if self.output_mode == "tf_idf":
                counts.documents.update(set(row))

    def finalize_state(self) -> None:
        """Make the vocabulary from what was counted."""
        counts = self._counts
        if self._has_input_vocabulary or not counts.words:
            return
        for token in (self.mask_token, self.oov_token):
            if token is not None:
                counts.words.pop(self._word(token), None)
        found = sorted(counts.words.items(), key=lambda item: item[::-1], reverse=True)
        room = None if self.max_tokens is None else self.max_tokens - self._token_start
        words = [word for word, _ in found[:room]]
        self._set_words(words)
        if self.output_mode == "tf_idf":
            documents = np.array([counts.documents[word] for word in words])
            weights = np.log(1 + counts.rows / (1 + documents)).astype(config.floatx())
            self._idf = self._padded_weights(weights, len(words), False)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._counts = Counts()

    # Calling ---------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        return "int64" if self.invert else self.vocabulary_dtype

    variable_dtype = compute_dtype

    @property
    def _output_dtype(self) -> str:
        return self.vocabulary_dtype if self.invert else encoding_dtype(self.output_mode)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return encoded_shape(input_shape, self.output_mode, self._known_depth())

    def _known_depth(self) -> int:
        if self.output_mode != "int" and not self.pad_to_max_tokens and self._frozen_size is None:
            self._check_vocabulary()
        return self._depth

    def _compute(self, inputs: np.ndarray) -> np.ndarray:
        if self.invert:
            return self._words_of(inputs)
        return self._encoded(self._places_of(inputs.ravel().tolist()).reshape(inputs.shape))

    def _encoded(self, places: np.ndarray) -> np.ndarray:
        if self.output_mode != "tf_idf":
            return encoded(places, self.output_mode, self._depth, self._output_dtype)
        return encoded(places, "count", self._depth, self._output_dtype) * self._idf

    def _places_of(self, flat: list[Any]) -> np.ndarray:
        """Return the number of each word."""
        self._check_vocabulary()
        get = self._words.get  # type: ignore[union-attr]
        places = np.fromiter(map(get, flat, repeat(-1)), np.int64, len(flat))
        unknown = np.flatnonzero(places < 0)
        if self.mask_token is not None and unknown.size:
            mask = self._word(self.mask_token)
            masked = np.fromiter((flat[i] == mask for i in unknown.tolist()), bool, len(unknown))
            # Encodings leave masked words out: no column has this number.
            places[unknown[masked]] = 0 if self.output_mode == "int" else np.iinfo(np.int64).max
            unknown = unknown[~masked]
        if unknown.size:
            places[unknown] = self._oov_start + self._oov_bins([flat[i] for i in unknown.tolist()])
        return places

    def _oov_bins(self, words: list[Any]) -> Any:
        bins = self.num_oov_indices
        if bins == 0:
            values = [self._shown(word) for word in dict.fromkeys(words)]
            raise ValueError(_UNKNOWN.format(who=self._who, values=values[:10]))
        if bins == 1:
            return 0
        numbers = self.vocabulary_dtype != "string"
        if numbers and self.oov_method != "farmhash":
            return np.array(words) % bins
        return hash_bins([b"%d" % word for word in words] if numbers else words, bins, self.salt)

    def _words_of(self, inputs: np.ndarray) -> np.ndarray:
        """Return the word of each number."""
        self._check_vocabulary()
        table = np.array(self.get_vocabulary(), dtype=object)
        table[self._oov_start : self._token_start] = self.oov_token
        inside = (inputs >= 0) & (inputs < len(table))
        words = np.full(np.shape(inputs), self.oov_token, dtype=object)
        words[inside] = table[inputs[inside]]
        return words if self.vocabulary_dtype == "string" else words.astype(np.int64)

    # Config and files ------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        words, weights = self.input_vocabulary, self.input_idf_weights
        if words is not None:
            words = [self._shown(self._word(w)) for w in np.asarray(words, dtype=object).tolist()]
        weights = None if weights is None else np.asarray(weights).tolist()
        sizes = {"vocabulary_size": self._frozen_size}
        return base | sizes | {"vocabulary": words, "idf_weights": weights}

    def get_build_config(self) -> dict[str, Any]:
        return {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        if self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"])

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary, special tokens first, as a text file into a folder."""
        if self.input_vocabulary is not None:  # it stands in the config
            return
        lines = [str(token) for token in self.get_vocabulary()]
        broken = [line for line in lines if "\n" in line]
        if broken:
            raise ValueError(
                f"{self._who}: {broken[0]!r} of the vocabulary has a line break, and its file has "
                "a word in each line. Replace line breaks before adapt()."
            )
        Path(dir_path, "vocabulary.txt").write_bytes("\n".join(lines).encode())

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote, here or in Keras."""
        if self.input_vocabulary is not None:
            return
        data = Path(dir_path, "vocabulary.txt").read_bytes().decode()
        lines = [line.removesuffix("\r") for line in data.split("\n")][: self._frozen_size]
        special = [str(token) for token in self._special]
        lines = lines[len(special) :] if lines[: len(special)] == special else lines
        if lines and lines != [""]:
            words = [self._word(line) for line in lines]
            self._check_words(words, words)
            self._set_words(words)


def hash_bins(values: list[bytes], bins: int, salt: Any) -> np.ndarray:
    """Return a bin for each string: FarmHash, or SipHash with a salt, modulo the bins.

    Example:
        >>> from staghorn.layers.preprocessing.index_lookup import hash_bins
        >>> hash_bins([b"fire", b"and"], 7, None).tolist()
        [2, 6]
    """
    unique = list(dict.fromkeys(values))
    hashes = siphash64(unique, tuple(salt)) if salt else fingerprint64(unique)
    found = dict(zip(unique, (hashes % np.uint64(bins)).astype(np.int64).tolist(), strict=True))
    return np.fromiter((found[value] for value in values), np.int64, len(values))
