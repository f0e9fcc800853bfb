"""The rows of the golden files of the string and categorical layers: class, arguments, data.

Plain Python and NumPy, since both libraries read it: `make_strings.py` runs every row in Keras with
TensorFlow and writes `strings.json`; the tests run it here and compare.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Row:
    """One layer, what it learns from, and what it is called on.

    Args:
        layer: name of the class.
        kwargs: its arguments; a callable is a function of a NumPy array of strings.
        call: what it is called on: (inputs, ...), each once.
        adapt: data to learn from; `Batches` stands for a generator. Default: nothing.
        vocabulary: for `set_vocabulary`: (words,) or (words, weights). Default: nothing.
        more: keywords of the call.
        label: tells rows apart that would look alike.
    """

    layer: str
    kwargs: dict[str, Any]
    call: tuple = ()
    adapt: Any = None
    vocabulary: tuple | None = None
    more: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    def __str__(self):
        given = ", ".join(
            f"{k}={getattr(v, '__name__', v)}" for k, v in self.kwargs.items() if k != "vocabulary"
        )
        return f"{self.layer}({given}){self.label}"


class Batches(list):
    """Batches that a generator gives, one after the other."""


def shout(texts):
    return np.char.add(np.char.upper(texts), "!")


def on_commas(texts):
    return [str(text).split(",") for text in np.asarray(texts).tolist()]


WORDS = ["earth", "wind", "and", "fire"]
SEEN = [["fire", "and", "earth"], ["earth", "and", "fire"], ["fire", "", "rain"]]
ASKED = [["earth", "wind", "snow"], ["", "fire", "fire"]]
UNICODE = ["Ünïcode", "naïve", "日本語", "emoji 🎉", "ÀÉÎ", "ß", "", "a\u00a0b"]
TEXTS = [
    "The quick brown Fox, jumps over the lazy dog!",
    "the fox... and the DOG's bone",
    "",
    "  Tabs\tand\nnew lines\x0b\x0c\r  ",
    "Ünïcode ÀÉÎ naïve — “quoted” 日本語、です。 a\u00a0b\u3000c\u2003d\x1ce\x85f",
    "dog dog dog, fox; it's_a [test] {x} \\ ^ ~ ` | @ # $ % & * ( ) + - / : < = > ? \"'",
]
ASKED_TEXTS = ["the dog and the unseen Cat", "FOX", "", "ÀÉÎ naïve it's_a"]
IDS = [[12, 36, 1138, 42], [42, 7, -5, 0]]
COLUMN = [["earth"], ["snow"], ["fire"]]
MODES = ("one_hot", "multi_hot", "count")
FLOATS = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 9.9]], "float32")
SAMPLE = np.random.default_rng(0).normal(size=400).astype("float32")

LOOKUPS = [
    Row("StringLookup", {"vocabulary": WORDS}, (ASKED, COLUMN, "fire", ["and", "x"])),
    Row("StringLookup", {"vocabulary": WORDS, "mask_token": ""}, (ASKED, "")),
    Row("StringLookup", {"vocabulary": np.array(WORDS), "num_oov_indices": 0}, (COLUMN[2:],)),
    Row("StringLookup", {"vocabulary": WORDS, "num_oov_indices": 0, "mask_token": ""},
        (["", "wind"],)),
    Row("StringLookup", {"vocabulary": WORDS, "num_oov_indices": 3}, (ASKED, UNICODE)),
    Row("StringLookup", {"vocabulary": WORDS, "num_oov_indices": 5, "salt": [133, 137],
                         "oov_method": "farmhash", "mask_token": "m"}, (ASKED, UNICODE)),
    Row("StringLookup", {"vocabulary": ["", "[UNK]", *WORDS], "mask_token": ""}, (ASKED,),
        label="special tokens given"),
    Row("StringLookup", {"vocabulary": ["[UNK]", *WORDS]}, (ASKED, "[UNK]")),
    Row("StringLookup", {"vocabulary": UNICODE[:5]}, (UNICODE, "àéî"), label="unicode"),
    Row("StringLookup", {"vocabulary": WORDS, "invert": True}, ([[1, 2, 4], [0, 9, 3]], 2)),
    Row("StringLookup", {"vocabulary": WORDS, "invert": True, "mask_token": "",
                         "oov_token": "?"}, ([[0, 1, 2, 5, 77]],)),
    Row("StringLookup", {"vocabulary": UNICODE[:4], "invert": True}, ([1, 2, 3, 4],),
        label="unicode"),
    *(Row("StringLookup", {"vocabulary": WORDS, "output_mode": mode, "mask_token": mask},
          (ASKED, COLUMN, ["fire", ""], "wind", [])) for mode in MODES for mask in (None, "")),
    *(Row("StringLookup", {"vocabulary": WORDS, "output_mode": mode, "max_tokens": 9,
                           "pad_to_max_tokens": True, "num_oov_indices": 2}, (ASKED,))
      for mode in MODES),
    Row("StringLookup", {"vocabulary": WORDS, "output_mode": "tf_idf",
                         "idf_weights": [0.25, 0.75, 0.6, 0.4]}, (ASKED, "fire", COLUMN)),
    Row("StringLookup", {"vocabulary": ["[UNK]", *WORDS], "output_mode": "tf_idf",
                         "idf_weights": [0.9, 0.25, 0.75, 0.6, 0.4], "max_tokens": 8,
                         "pad_to_max_tokens": True}, (ASKED,)),
    Row("StringLookup", {"output_mode": "tf_idf"}, (ASKED,),
        vocabulary=(WORDS, [0.25, 0.75, 0.6, 0.4])),
    Row("StringLookup", {}, (ASKED,), vocabulary=(["a", "fire"],)),
    Row("StringLookup", {}, (ASKED, "snow")),
    Row("StringLookup", {}, (ASKED,), adapt=SEEN),
    Row("StringLookup", {"mask_token": ""}, (ASKED,), adapt=SEEN),
    Row("StringLookup", {"max_tokens": 4}, (ASKED,), adapt=["b", "a", "c", "a", "[UNK]", "b"]),
    Row("StringLookup", {"max_tokens": 4, "mask_token": "", "num_oov_indices": 2}, (ASKED,),
        adapt=Batches(SEEN)),
    Row("StringLookup", {}, (UNICODE,), adapt=UNICODE, label="unicode"),
    Row("StringLookup", {"invert": True}, ([[1, 2, 3]],), adapt=SEEN),
    Row("StringLookup", {"output_mode": "count"}, (ASKED,), adapt=SEEN),
    Row("StringLookup", {"output_mode": "tf_idf"}, (ASKED,), adapt=SEEN),
    Row("StringLookup", {"output_mode": "tf_idf"}, (ASKED,), adapt=["a", "fire", "a"],
        label="a list"),
    Row("StringLookup", {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True},
        (ASKED,), adapt=Batches([np.array(SEEN), ["fire", "fire"]])),
    Row("IntegerLookup", {"vocabulary": [12, 36, 1138, 42]}, (IDS, 12, [[42], [3]])),
    Row("IntegerLookup", {"vocabulary": [12, 36, 1138, 42], "mask_token": 0}, (IDS,)),
    Row("IntegerLookup", {"vocabulary": [12, 36], "num_oov_indices": 3}, (IDS,)),
    Row("IntegerLookup", {"vocabulary": [12, 36], "num_oov_indices": 3, "mask_token": 0,
                          "oov_method": "farmhash"}, (IDS, [100, 300, 700, 1100, 1700, 2000])),
    Row("IntegerLookup", {"vocabulary": [10], "num_oov_indices": 4, "oov_method": "farmhash",
                          "salt": 7}, (IDS,)),
    Row("IntegerLookup", {"vocabulary": [12, 36, 1138, 42], "invert": True},
        ([[1, 3, 4], [4, 0, 9]],)),
    Row("IntegerLookup", {"vocabulary": [0, -1, 12, 36], "mask_token": 0, "invert": True},
        ([0, 1, 2, 3],)),
    *(Row("IntegerLookup", {"vocabulary": [12, 36, 1138, 42], "output_mode": mode},
          (IDS, [[42], [3]], [42, 42])) for mode in MODES),
    Row("IntegerLookup", {"vocabulary": [12, 36, 1138, 42], "output_mode": "tf_idf",
                          "idf_weights": [0.25, 0.75, 0.6, 0.4]}, (IDS,)),
    Row("IntegerLookup", {}, (IDS,), adapt=[[3, 3, 12], [12, 5, 3]]),
    Row("IntegerLookup", {"max_tokens": 3, "mask_token": 0}, (IDS,),
        adapt=Batches([np.array([0, 42, 42]), np.array([7, 12, 7])])),
    Row("IntegerLookup", {"output_mode": "multi_hot"}, (IDS,), adapt=np.array([42, 7, 7])),
]  # fmt: skip

TEXT = [
    *(Row("TextVectorization", {"standardize": how, "split": split}, (ASKED_TEXTS, TEXTS),
          adapt=TEXTS)
      for how in (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
      for split in ("whitespace", "character", None)),
    Row("TextVectorization", {"standardize": shout, "split": on_commas}, (["a,b,b", "c"],),
        adapt=["a,b", "b,d d"]),
    *(Row("TextVectorization", {"ngrams": n, "output_sequence_length": length},
          (ASKED_TEXTS, [["fox dog fox"]], "the fox"), adapt=np.array(TEXTS))
      for n in (None, 2, (2,), (1, 3)) for length in (None, 4)),
    *(Row("TextVectorization", {"output_mode": mode, "max_tokens": size,
                                "pad_to_max_tokens": size is not None},
          (ASKED_TEXTS, "the the fox"), adapt=[[text] for text in TEXTS])
      for mode in ("multi_hot", "count", "tf_idf") for size in (None, 50)),
    Row("TextVectorization", {"output_mode": "tf_idf", "max_tokens": 7, "ngrams": 2},
        (ASKED_TEXTS,), adapt=Batches([TEXTS[:3], TEXTS[3:]])),
    Row("TextVectorization", {"max_tokens": 5}, (ASKED_TEXTS, ["", ""]), adapt=Batches([TEXTS])),
    Row("TextVectorization", {"vocabulary": WORDS, "output_sequence_length": 3},
        (["earth, wind and FIRE", "fire"], np.array([["Wind?"], ["snow"]]))),
    Row("TextVectorization", {"vocabulary": ["", "[UNK]", *WORDS]}, (["fire earth"],)),
    Row("TextVectorization", {"vocabulary": WORDS, "output_mode": "tf_idf",
                              "idf_weights": [0.1, 0.2, 0.3, 0.4]}, (["fire fire snow", ""],)),
    Row("TextVectorization", {"split": None, "standardize": None, "vocabulary": WORDS,
                              "output_sequence_length": 4}, (ASKED,)),
    Row("TextVectorization", {"split": None, "output_mode": "multi_hot", "vocabulary": WORDS},
        (ASKED, ["fire"])),
    Row("TextVectorization", {}, (["a b"],)),
]  # fmt: skip

HASHES = [
    *(Row("Hashing", {"num_bins": 7, "salt": salt, "mask_value": mask},
          (ASKED, UNICODE, IDS, "fire", 12) if mask is None else
          (ASKED,) if mask == "" else (IDS,))
      for salt in (None, 133, [133, 137]) for mask in (None, "", 7)),
    Row("Hashing", {"num_bins": 1, "mask_value": ""}, (ASKED,)),
    Row("Hashing", {"num_bins": 5, "dtype": "int32"},
        (FLOATS, np.array([[True], [False]]), np.array([3, 200], "uint8"))),
    *(Row("Hashing", {"num_bins": 6, "output_mode": mode}, (ASKED, COLUMN, ["fire", "x"], IDS))
      for mode in MODES),
    *(Row("HashedCrossing", {"num_bins": 9, "output_mode": mode},
          ((["A", "B", "A"], np.array([101, 101, 102])), (COLUMN, [["a"], ["b"], ["日本"]]),
           (np.array([[1], [-2]]), np.array([[3], [4]])), ("a", 3),
           (["a"], ["b"], [5])))
      for mode in ("int", "one_hot")),
]  # fmt: skip

NUMBERS = [
    *(Row("Discretization", {"bin_boundaries": [0.0, 1.0, 2.0], "output_mode": mode},
          (FLOATS, [[-1.0], [1.0]], np.array([0.5, 7.0])))
      for mode in ("int", *MODES)),
    Row("Discretization", {"num_bins": 4}, (FLOATS,), adapt=SAMPLE),
    Row("Discretization", {"num_bins": 5, "epsilon": 0.1}, (FLOATS,), adapt=SAMPLE),
    Row("Discretization", {"num_bins": 3, "epsilon": 0.05}, (FLOATS,),
        adapt=Batches(np.split(SAMPLE.reshape(-1, 2), [7, 50, 51, 170]))),
    Row("Discretization", {"num_bins": 3, "output_mode": "multi_hot"}, (FLOATS,),
        adapt=np.array([1.0, 2.0, 3.0, 4.0, 5.0])),
    *(Row("CategoryEncoding", {"num_tokens": 5, "output_mode": mode},
          ([[3, 1], [0, 0]], [[2], [4]], [1, 3, 3], 2)) for mode in MODES),
    Row("CategoryEncoding", {"num_tokens": 4, "output_mode": "count"}, ([[0, 1], [0, 0]],),
        more={"count_weights": np.array([[0.1, 0.2], [0.4, 0.2]])}),
]  # fmt: skip

ROWS = [*LOOKUPS, *TEXT, *HASHES, *NUMBERS]

SPACE = {
    "age": [30.0, 40.0, 50.0, 20.0, 61.0],
    "size": [1.0, 2.0, 3.0, 4.0, 9.0],
    "height": [1.0, 5.0, 2.0, 4.0, 3.0],
    "raw": [0.1, 0.2, 0.3, 0.4, 0.5],
    "colour": ["red", "blue", "red", "green", "red"],
    "code": [3, 5, 3, 9, 5],
    "town": ["x", "y", "z", "x", "日本"],
    "number": [11, 12, 13, 14, 15],
}


def spaces(make):
    """Return feature spaces by name: over all kinds of features, and one of plain codes."""
    every = {
        "age": "float_normalized",
        "size": make.float_discretized(num_bins=3),
        "height": make.float_rescaled(scale=0.5, offset=1.0),
        "raw": "float",
        "colour": make.string_categorical(num_oov_indices=2),
        "code": "integer_categorical",
        "town": make.string_hashed(num_bins=4),
        "number": make.integer_hashed(num_bins=4),
    }
    crosses = [("colour", "code"), make.cross(("town", "code"), crossing_dim=5)]
    codes = {
        "colour": make.string_categorical(output_mode="int"),
        "code": make.integer_categorical(output_mode="int", max_tokens=3),
    }
    cross = make.cross(("colour", "code"), crossing_dim=8, output_mode="int")
    return {
        "concat": make(every, crosses=crosses, crossing_dim=6),
        "dict": make(codes, crosses=[cross], output_mode="dict"),
    }
