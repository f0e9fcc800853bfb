"""StringLookup: strings to numbers and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from staghorn.layers.preprocessing.host_layer import text_array
from staghorn.layers.preprocessing.index_lookup import IndexLookup


class StringLookup(IndexLookup):
    """Numbers for strings, by their place in a vocabulary that is given or learned.

    strings (...) → ints (...), or (..., vocabulary) for the encodings; with `invert` ints → strings

    Numbers go to the mask token (if there is one, 0), strings out of the vocabulary, and the words.

    Args:
        max_tokens: most entries of the vocabulary, special tokens included. Default: no limit.
        num_oov_indices: how many numbers strings out of the vocabulary share; with several, a hash
            chooses; with 0 such strings are errors. Default: 1.
        mask_token: the string with the number 0, which encodings leave out. Default: None.
        oov_token: stands for strings out of the vocabulary where numbers become strings.
            Default: "[UNK]".
        vocabulary: list or array of words, or name of a text file with one in each line.
            Default: `adapt` learns it.
        idf_weights: for "tf_idf" with a vocabulary: the weight of each word. Default: None.
        invert: numbers to strings. Default: False.
        output_mode: "int"; "one_hot" (each string), "multi_hot" (which words are in a row), "count"
            (how often), "tf_idf" (count times weight). Default: "int".
        pad_to_max_tokens: encodings are `max_tokens` wide, also with a smaller vocabulary.
            Default: False.
        sparse: must be False.
        encoding: of bytes. Default: "utf-8".
        salt: an int or two: strings out of the vocabulary are hashed with SipHash. Default: None.
        name: a label. Default: the class name in snake case, numbered.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for arguments that do not go together, and with `num_oov_indices=0` for strings
            out of the vocabulary.
        RuntimeError: if it is called before it has a vocabulary.

    Example:
        >>> layer = staghorn.layers.StringLookup(vocabulary=["earth", "wind"])
        >>> np.asarray(layer([["wind", "fire"]])).tolist()
        [[2, 0]]
        >>> back = staghorn.layers.StringLookup(vocabulary=layer.get_vocabulary(), invert=True)
        >>> back([[2, 0]]).tolist()
        [['wind', '[UNK]']]

    Notes: without TensorFlow; strings that come out are `str` in a NumPy array. Encodings are
        floats at once, where Keras gives integers until it is in a model.
    """

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1,
        mask_token: str | None = None, oov_token: str = "[UNK]", vocabulary: Any = None,
        idf_weights: Any = None, invert: bool = False, output_mode: str = "int",
        pad_to_max_tokens: bool = False, sparse: bool = False, encoding: str = "utf-8",
        name: str | None = None, salt: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.encoding = encoding
        kwargs.pop("vocabulary_dtype", None)
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, "string", vocabulary,
            idf_weights, invert, output_mode, sparse, pad_to_max_tokens, name=name, salt=salt,
            **kwargs,
        )  # fmt: skip

    def _array(self, value: Any) -> np.ndarray:
        return super()._array(value) if self.invert else text_array(value, self._who)

    def _word(self, token: Any) -> bytes:
        return token.encode("utf-8", "surrogatepass") if isinstance(token, str) else bytes(token)

    def _shown(self, word: bytes) -> str:
        return word.decode(self.encoding, "surrogatepass" if self.encoding == "utf-8" else "strict")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["vocabulary_dtype"]
        return config
