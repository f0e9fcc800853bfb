"""TextVectorization: texts to numbers of words."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from staghorn.engine.arguments import Options, Positive
from staghorn.layers.preprocessing.host_layer import (
    MODES,
    HostLayer,
    current_mode,
    encoded_shape,
    encoding_dtype,
    gives_batches,
    scattered,
    text_array,
)
from staghorn.layers.preprocessing.string_lookup import StringLookup

STANDARDIZERS = (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
SPLITS = (None, "whitespace", "character")

_PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
_LOWER = bytes(range(256)).lower()

_RAGGED = """\
TextVectorization: ragged=True is not supported: arrays have rows of one length.
Leave it out: rows are filled with 0 up to output_sequence_length, or up to the longest."""
_RANK = """\
{who} splits texts, so it takes one text in each row: shape (batch,) or (batch, 1), got {shape}.
Pass split=None for texts that are split already."""


def ngrams_of(rows: list[list[bytes]], widths: tuple[int, ...]) -> list[list[bytes]]:
    """Return neighbouring words joined by blanks, the first width first.

    Example:
        >>> from staghorn.layers.preprocessing.text_vectorization import ngrams_of
        >>> ngrams_of([[b"a", b"b", b"c"]], (1, 2))
        [[b'a', b'b', b'c', b'a b', b'b c']]
    """
    joined = []
    for row in rows:
        several = [zip(*(row[at:] for at in range(width)), strict=False) for width in widths]
        joined.append([b" ".join(words) for group in several for words in group])
    return joined


class TextVectorization(HostLayer):
    """Texts to numbers of words: cleaned, split, and looked up in a vocabulary.

    texts (batch,) or (batch, 1) → ints (batch, length), or (batch, vocabulary) for the encodings

    0 fills rows up, 1 stands for words out of the vocabulary, then come the words, the most
    frequent first.

    Args:
        max_tokens: most entries of the vocabulary, those two included. Default: no limit.
        standardize: "lower", "strip_punctuation", "lower_and_strip_punctuation", None, or a
            function of a NumPy array of strings. ASCII only: other letters and signs stay.
            Default: "lower_and_strip_punctuation".
        split: "whitespace" (ASCII's), "character", None, or a function of a NumPy array of texts
            that returns a list of words for each. Default: "whitespace".
        ngrams: also join so many neighbours, an int for all widths up to it, or a tuple of widths.
            Default: None.
        output_mode: "int"; "multi_hot" (which words are in a text), "count" (how often), "tf_idf"
            (count times weight). Default: "int".
        output_sequence_length: for "int": cut or fill every row to it. Default: the longest row's.
        pad_to_max_tokens: encodings are `max_tokens` wide. Default: False.
        vocabulary: list or array of words, or name of a text file with one in each line.
            Default: `adapt` learns it.
        idf_weights: for "tf_idf" with a vocabulary: the weight of each word. Default: None.
        sparse, ragged: must be False.
        encoding: of bytes. Default: "utf-8".
        name: a label. Default: `text_vectorization`, `text_vectorization_1`, ...
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for arguments that do not go together, and texts in an array of another shape.
        RuntimeError: if it is called before it has a vocabulary.

    Example:
        >>> layer = staghorn.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["The cat sat.", "The hat!"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'sat', 'hat', 'cat']
        >>> np.asarray(layer(["the dog sat"])).tolist()
        [[2, 1, 3, 0]]

    Notes: without TensorFlow, with its words, bytes for bytes; also inside models, which then take
        arrays of strings. Functions get NumPy's strings, as in Keras on JAX.
    """

    arguments = {
        "output_mode": Options(*MODES, "tf_idf"),
        "output_sequence_length": Positive(int, optional=True),
    }

    def __init__(
        self, max_tokens: int | None = None,
        standardize: str | Callable | None = "lower_and_strip_punctuation",
        split: str | Callable | None = "whitespace", ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int", output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False, vocabulary: Any = None, idf_weights: Any = None,
        sparse: bool = False, ragged: bool = False, encoding: str = "utf-8",
        name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        names = ("has_input_vocabulary", "vocabulary_size")
        kept = {key: kwargs.pop(key) for key in names if key in kwargs}
        super().__init__(name=name, **kwargs)
        if ragged:
            raise ValueError(_RAGGED)
        self.standardize = standardize
        self.split = split
        self.ngrams = tuple(ngrams) if isinstance(ngrams, list) else ngrams
        self.output_mode = current_mode(output_mode)
        self.output_sequence_length = output_sequence_length
        self.max_tokens = max_tokens
        self.pad_to_max_tokens = pad_to_max_tokens
        self.sparse = sparse
        self.ragged = ragged
        self.encoding = encoding
        self._check_together()
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens, vocabulary=vocabulary, idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens, mask_token="", output_mode=self.output_mode,
            sparse=sparse, encoding=encoding, told_by=(type(self).__name__, self.name), **kept,
        )  # fmt: skip

    def _check_together(self) -> None:
        for what, accepted in (("standardize", STANDARDIZERS), ("split", SPLITS)):
            value = getattr(self, what)
            if not callable(value) and not Options(*accepted).accepts(value):
                raise ValueError(
                    f"TextVectorization: {what} must be one of {', '.join(map(repr, accepted))}, "
                    f"or a function, got {value!r} ({type(value).__name__})."
                )
        widths = self.ngrams if isinstance(self.ngrams, tuple) else (self.ngrams,)
        if self.ngrams is not None and not all(isinstance(w, int) and w > 0 for w in widths):
            raise ValueError(
                f"TextVectorization: ngrams must be an int or a tuple of ints, got {self.ngrams!r}."
            )
        if self.output_mode != "int" and self.output_sequence_length is not None:
            raise ValueError(
                "TextVectorization: output_sequence_length= goes with output_mode='int', which is "
                f"{self.output_mode!r}."
            )

    # Texts to words --------------------------------------------------------------------------

    def _inputs(self, inputs: Any) -> np.ndarray:
        if not callable(self.standardize):
            return text_array(inputs, self._who)
        return text_array(np.asarray(self.standardize(self._as_strings(inputs))), self._who)

    def _as_strings(self, inputs: Any) -> np.ndarray:
        texts = text_array(inputs, self._who)
        return np.array([t.decode(self.encoding) for t in texts.ravel()]).reshape(texts.shape)

    def _rows(self, texts: np.ndarray) -> list[list[bytes]]:
        """Return the words of each text; without `split`, those along the last axis."""
        flat = texts.ravel().tolist()
        if isinstance(self.standardize, str):
            table = _LOWER if "lower" in self.standardize else None
            drop = _PUNCTUATION if "strip" in self.standardize else b""
            flat = [text.translate(table, drop) for text in flat]
        if self.split is None:
            size = texts.shape[-1] if texts.ndim else 1
            rows = [flat[i : i + size] for i in range(0, len(flat), max(size, 1))]
        elif texts.ndim > 2 or (texts.ndim == 2 and texts.shape[1] != 1):
            raise ValueError(_RANK.format(who=self._who, shape=texts.shape))
        elif self.split == "whitespace":
            rows = [text.split() for text in flat]
        elif self.split == "character":
            rows = [[c.encode() for c in text.decode("utf-8", "replace")] for text in flat]
        else:
            assert callable(self.split)
            given = self.split(self._as_strings(np.array(flat, dtype=object)))
            given = given.to_list() if hasattr(given, "to_list") else given
            rows = [text_array(list(row), self._who).tolist() for row in given]
        if self.ngrams is None:
            return rows
        widths = self.ngrams
        return ngrams_of(rows, tuple(range(1, widths + 1)) if isinstance(widths, int) else widths)

    # Calling ---------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        return "string"

    variable_dtype = compute_dtype

    @property
    def _output_dtype(self) -> str:
        return encoding_dtype(self.output_mode)

    def build(self, input_shape: Any = None) -> None:
        """Make nothing: there are no weights."""

    def compute_output_shape(self, input_shape: Any) -> tuple:
        lead = tuple(input_shape[:1] if self.split else input_shape[:-1])
        if self.output_mode == "int":
            known = self.output_sequence_length
            fixed = None if self.split or self.ngrams or not input_shape else input_shape[-1]
            return (*lead, fixed if known is None else known)
        shape = lead if len(lead) > 1 else (*lead, None)
        return encoded_shape(shape, self.output_mode, self._lookup_layer._known_depth())

    def _compute(self, inputs: np.ndarray) -> np.ndarray:
        rows, lookup = self._rows(inputs), self._lookup_layer
        lead = inputs.shape[:1] if self.split else inputs.shape[:-1]
        length = self.output_sequence_length
        if length is not None:
            rows = [row[:length] for row in rows]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        places = lookup._places_of([word for row in rows for word in row])
        which = np.repeat(np.arange(len(rows)), lengths)
        if self.output_mode in ("multi_hot", "count", "tf_idf") and len(lead) < 2:
            mode = "count" if self.output_mode == "tf_idf" else self.output_mode
            depth = lookup._depth
            out = scattered(which, places, len(rows), mode, depth, self._output_dtype)
            return (out * lookup._idf if self.output_mode == "tf_idf" else out).reshape(
                *lead, depth
            )
        if length is None:
            length = int(lengths.max(initial=0))
        padded = np.full((len(rows), length), 0 if self.output_mode == "int" else -1)
        padded[np.arange(length) < lengths[:, None]] = places
        return lookup._encoded(padded.reshape(*lead, length))

    # The vocabulary --------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary from texts: the most frequent words first.

        Args:
            data: an array or list of texts; or batches of them from a generator or loader.
            batch_size: accepted for Keras's sake.
            steps: how many batches to take. Default: all.

        Raises:
            ValueError: if the layer was made with a vocabulary, or there is no data.
        """
        del batch_size
        self.reset_state()
        if gives_batches(data):
            for batch in islice(data, steps):
                self.update_state(batch)
        else:
            texts = data if isinstance(data, np.ndarray) else np.asarray(data, dtype=object)
            self.update_state(texts[:, None] if texts.ndim == 1 else texts)
        if not self._lookup_layer._counts.rows:
            raise ValueError(f"{self._who}: adapt() got no data.")
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the words of a batch of texts."""
        self._lookup_layer._count(self._rows(self._inputs(data)))

    def finalize_state(self) -> None:
        """Make the vocabulary from what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the words in the order of their numbers; see StringLookup."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Return how many numbers there are, 0 and 1 included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary instead of learning one; see StringLookup."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # Config and files ------------------------------------------------------------------------

    @property
    def _has_input_vocabulary(self) -> bool:
        return self._lookup_layer._has_input_vocabulary

    def get_config(self) -> dict[str, Any]:
        inner = self._lookup_layer.get_config()
        shared = {key: inner[key] for key in ("vocabulary", "idf_weights")}
        return super().get_config() | shared | {"vocabulary_size": self.vocabulary_size()}

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str) -> None:
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        self._lookup_layer.load_assets(dir_path)
