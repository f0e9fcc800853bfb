"""IntegerLookup: integers such as ids to a dense range of numbers, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from staghorn.engine.variable import Variable
from staghorn.layers.preprocessing.index_lookup import IndexLookup


class IntegerLookup(IndexLookup):
    """Numbers for integers, by their place in a vocabulary that is given or learned.

    ints (...) → ints (...), or (..., vocabulary) for the encodings

    Numbers go to the mask token (if there is one, 0), ints out of the vocabulary, and its entries.

    Args:
        max_tokens: most entries of the vocabulary, special tokens included. Default: no limit.
        num_oov_indices: how many numbers ints out of the vocabulary share, chosen by `oov_method`;
            with 0 such ints are errors. Default: 1.
        mask_token: the int with the number 0, which encodings leave out. Default: None.
        oov_token: stands for ints out of the vocabulary with `invert`. Default: -1.
        vocabulary: list or array, or name of a text file with one in each line.
            Default: `adapt` learns it.
        vocabulary_dtype: must be "int64".
        idf_weights: for "tf_idf" with a vocabulary: the weight of each entry. Default: None.
        invert: numbers back to ints. Default: False.
        output_mode: "int", "one_hot", "multi_hot", "count", "tf_idf", as in StringLookup.
            Default: "int".
        sparse: must be False.
        pad_to_max_tokens: encodings are `max_tokens` wide. Default: False.
        oov_method: "floormod" (the rest of a division) or "farmhash". Default: "floormod".
        salt: an int or two, for "farmhash": SipHash. Default: None.
        name: a label. Default: the class name in snake case, numbered.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for arguments that do not go together.
        RuntimeError: if it is called before it has a vocabulary.

    Example:
        >>> layer = staghorn.layers.IntegerLookup(vocabulary=[12, 36])
        >>> np.asarray(layer([[36, 12, 7]])).tolist()
        [[2, 1, 0]]

    Notes: without TensorFlow; inside a compiled program the host is asked.
    """

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1,
        mask_token: int | None = None, oov_token: int = -1, vocabulary: Any = None,
        vocabulary_dtype: str = "int64", idf_weights: Any = None, invert: bool = False,
        output_mode: str = "int", sparse: bool = False, pad_to_max_tokens: bool = False,
        oov_method: str = "floormod", salt: Any = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if vocabulary_dtype != "int64":
            raise ValueError(
                f"IntegerLookup: vocabulary_dtype must be 'int64', got {vocabulary_dtype!r}."
            )
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary_dtype, vocabulary,
            idf_weights, invert, output_mode, sparse, pad_to_max_tokens, oov_method, name, salt,
            **kwargs,
        )  # fmt: skip

    def _array(self, value: Any) -> np.ndarray:
        array = np.asarray(value.value if isinstance(value, Variable) else value)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"{self._who}: expected integers, got {array.dtype}. Use StringLookup for strings."
            )
        return array.astype(np.int64)

    def _word(self, token: Any) -> int:
        return int(token)

    def _shown(self, word: int) -> int:
        return word

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("mask_token", "oov_token"):
            config[key] = None if config[key] is None else int(config[key])
        return config
