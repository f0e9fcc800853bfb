"""`Tokenizer` and the like against keras."""

import importlib
import json

import numpy as np
import pytest

from staghorn.preprocessing import text as ours
from tests.oracle import keras

theirs = importlib.import_module(f"{keras.__name__}.src.legacy.preprocessing.text")

TEXTS = [
    "The cat sat on the mat, and the DOG ate the cat's hat!",
    "A dog? a Cat;\tno: mat.\nat all",
    "",
    ["Already", "split", "the", "cat"],
    "the the the unknown",
]
NEW = ["the bird sat on a cat", ["the", "Zebra"], "", "all all mat"]
OPTIONS = {
    "plain": {},
    "few": {"num_words": 4},
    "oov": {"oov_token": "<OOV>"},
    "few oov": {"num_words": 5, "oov_token": "<OOV>"},
    "characters": {"char_level": True, "num_words": 12},
    "capitals": {"lower": False, "filters": "!,", "split": " "},
    "split": {"split": "a", "filters": " "},
    "analyzer": {"analyzer": lambda text: text.split("t")},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_tokenizer(name):
    pair = [module.Tokenizer(**OPTIONS[name]) for module in (ours, theirs)]
    for tokenizer in pair:
        tokenizer.fit_on_texts(TEXTS[:3])
        tokenizer.fit_on_texts(TEXTS[3:])
    a, b = pair
    for attribute in ("word_counts", "word_index", "index_word", "document_count"):
        assert repr(getattr(a, attribute)) == repr(getattr(b, attribute))
    assert a.word_docs == b.word_docs
    assert a.index_docs == b.index_docs
    sequences = a.texts_to_sequences(TEXTS + NEW)
    assert sequences == b.texts_to_sequences(TEXTS + NEW)
    more = [*sequences, [0, 99, 1]]
    assert a.sequences_to_texts(more) == b.sequences_to_texts(more)
    for mode in ("binary", "count", "freq", "tfidf"):
        x, y = a.texts_to_matrix(TEXTS + NEW, mode), b.texts_to_matrix(TEXTS + NEW, mode)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    config, expected = a.get_config(), b.get_config()
    assert list(config) == list(expected)
    for key, value in config.items():
        assert as_value(value) == as_value(expected[key])


def as_value(text):
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def test_json_goes_both_ways():
    tokenizer = ours.Tokenizer(num_words=6, oov_token="?")
    tokenizer.fit_on_texts(TEXTS)
    for module in (ours, theirs):
        copy = module.tokenizer_from_json(tokenizer.to_json(indent=1))
        assert copy.texts_to_sequences(NEW) == tokenizer.texts_to_sequences(NEW)
        assert copy.get_config() == tokenizer.get_config()
        back = ours.tokenizer_from_json(copy.to_json())
        np.testing.assert_array_equal(
            back.texts_to_matrix(NEW, "tfidf"), tokenizer.texts_to_matrix(NEW, "tfidf")
        )
    back.fit_on_texts(["more words"])  # fails in keras after reading
    assert back.document_count == tokenizer.document_count + 1


def test_sequences_without_texts():
    rows = [[1, 2, 2], [3], [1, 4, 9]]
    pair = [module.Tokenizer(num_words=5) for module in (ours, theirs)]
    for tokenizer in pair:
        tokenizer.fit_on_sequences(rows)
    x, y = (tokenizer.sequences_to_matrix(rows, "tfidf") for tokenizer in pair)
    np.testing.assert_array_equal(x, y)
    assert pair[0].index_docs == pair[1].index_docs


def test_the_oldest_spelling():
    assert ours.Tokenizer(nb_words=7).num_words == 7
    assert ours.Tokenizer(7).num_words == 7


@pytest.mark.parametrize(
    "options",
    [{}, {"lower": False}, {"filters": "aeiou"}, {"split": "-", "filters": ", "}],
    ids=repr,
)
def test_words_and_hashes(options):
    for text in (TEXTS[0], TEXTS[1], ""):
        words = ours.text_to_word_sequence(text, **options)
        assert words == theirs.text_to_word_sequence(text, **options)
        assert ours.one_hot(text, 30, **options) == theirs.one_hot(text, 30, **options)
        for function in (None, "md5", len):
            mine = ours.hashing_trick(text, 30, function, **options)
            assert mine == theirs.hashing_trick(text, 30, function, **options)
    assert ours.hashing_trick("ab", 9, "md5", analyzer=list) == theirs.hashing_trick(
        "ab", 9, "md5", analyzer=list
    )


MISTAKES = {
    "argument": (lambda: ours.Tokenizer(num_word=3), TypeError, "Did you mean 'num_words'"),
    "mode": (lambda: ours.Tokenizer(3).texts_to_matrix(["a"], "tf-idf"), ValueError, "'tfidf'"),
    "empty": (lambda: ours.Tokenizer().texts_to_matrix(["a"]), ValueError, "fit_on_texts"),
    "tfidf": (
        lambda: ours.Tokenizer(3).texts_to_matrix(["a"], "tfidf"),
        ValueError,
        "fit_on_texts",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        call()
