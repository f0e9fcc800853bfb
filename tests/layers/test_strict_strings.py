"""Models that take strings, their files, and what the layers say when something is wrong."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.scope import jit
from tests.golden.string_cases import TEXTS, WORDS

GOLDEN = json.loads(Path("tests/golden/strings.json").read_text(encoding="utf-8"))
REVIEWS = np.array(["a good film", "a bad film", "great, good", "awful bad bad"] * 4)
LABELS = np.array([1, 0, 1, 0] * 4)


def vectorizer(**kwargs):
    layer = layers.TextVectorization(max_tokens=20, output_sequence_length=5, **kwargs)
    layer.adapt(REVIEWS)
    return layer


def text_model(first, start=True):
    staghorn.utils.set_random_seed(1)
    model = staghorn.Sequential([
        *([staghorn.Input((1,), dtype="string")] if start else []),
        first,
        layers.Embedding(20, 4, mask_zero=True),
        layers.GlobalAveragePooling1D(),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile("sgd", "binary_crossentropy")
    return model


def trained(model, x, **kwargs):
    history = model.fit(x, LABELS, epochs=2, batch_size=4, shuffle=False, verbose=0, **kwargs)
    return history.history["loss"], model.get_weights()


def assert_equal(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)


# Training --------------------------------------------------------------------------------------


def numbers_model():
    staghorn.utils.set_random_seed(1)
    model = staghorn.Sequential([
        staghorn.Input((5,), dtype="int32"),
        layers.Embedding(20, 4, mask_zero=True),
        layers.GlobalAveragePooling1D(),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize("form", ["array", "column", "list", "objects", "bytes", "eagerly"])
@pytest.mark.parametrize("start", [True, False])
def test_a_model_of_texts_learns_as_one_of_their_numbers(form, start):
    first = vectorizer()
    wanted = trained(numbers_model(), first(REVIEWS))
    texts = {
        "column": REVIEWS[:, None],
        "list": REVIEWS.tolist(),
        "objects": REVIEWS.astype(object),
        "bytes": REVIEWS.astype("S"),
    }.get(form, REVIEWS)
    model = text_model(first, start)
    if form == "eagerly":
        model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    found = trained(model, texts)
    assert_equal(found[0], wanted[0])
    assert_equal(found[1], wanted[1])


def test_every_way_into_a_model_takes_strings():
    first = vectorizer()
    model, plain = text_model(first), numbers_model()
    ids = first(REVIEWS)
    direct = np.asarray(model(REVIEWS))
    assert_equal([direct], [np.asarray(plain(ids))])
    assert_equal([model(REVIEWS.tolist())], [direct])
    assert_equal([model.predict(REVIEWS, batch_size=3, verbose=0)], [direct])
    assert_equal([model.predict_on_batch(REVIEWS[:3])], [direct[:3]])
    batches = (REVIEWS[i : i + 4] for i in range(0, 16, 4))
    assert_equal([model.predict(batches, verbose=0)], [direct])
    loss = plain.evaluate(ids, LABELS, verbose=0)
    assert model.evaluate(REVIEWS, LABELS, verbose=0) == pytest.approx(loss)
    assert model.test_on_batch(REVIEWS, LABELS) == pytest.approx(loss)
    assert model.train_on_batch(REVIEWS, LABELS) == pytest.approx(loss)


def test_generators_validation_and_resumed_epochs():
    def batches():
        while True:
            for i in range(0, 16, 4):
                yield REVIEWS[i : i + 4], LABELS[i : i + 4]

    first = vectorizer()
    wanted = trained(text_model(first), REVIEWS)
    model = text_model(first)
    logs = model.fit(
        batches(), steps_per_epoch=4, epochs=2, verbose=0, validation_data=(REVIEWS, LABELS)
    )
    assert_equal(logs.history["loss"], wanted[0])
    assert logs.history["val_loss"][1] == pytest.approx(model.evaluate(REVIEWS, LABELS, verbose=0))
    split = text_model(first).fit(REVIEWS, LABELS, validation_split=0.25, verbose=0).history
    assert {"loss", "val_loss"} == set(split)


def test_a_model_inside_another_is_trained():
    inner = text_model(vectorizer())
    texts, numbers = staghorn.Input((1,), dtype="string"), staghorn.Input((2,), name="numbers")
    joined = layers.Concatenate()([inner(texts), inner(texts), numbers])
    model = staghorn.Model([texts, numbers], layers.Dense(1)(joined))
    model.compile("sgd", "mse")
    x = [REVIEWS, np.ones((16, 2), "float32")]
    assert_equal([model.predict(x, verbose=0)], [np.asarray(model(x))])
    before = inner.get_weights()[0]
    model.fit(x, LABELS, verbose=0)
    assert np.abs(inner.get_weights()[0] - before).max() > 0
    outermost = staghorn.Sequential([staghorn.Input((1,), dtype="string"), inner, layers.Dense(2)])
    outermost.compile("sgd", "mse")
    assert_equal([outermost.predict(REVIEWS, verbose=0)], [np.asarray(outermost(REVIEWS))])


def table(pandas=False):
    columns = {"town": np.array(["x", "y", "x", "z"]), "age": np.arange(4.0), "id": [3, 5, 3, 7]}
    if pandas:
        return dict(pytest.importorskip("pandas").DataFrame(columns))
    return columns


def table_model():
    town = staghorn.Input((1,), dtype="string", name="town")
    age, number = staghorn.Input((1,), name="age"), staghorn.Input((1,), dtype="int32", name="id")
    known = layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")(town)
    codes = layers.IntegerLookup(vocabulary=[3, 5])(number)
    crossed = layers.HashedCrossing(4, output_mode="one_hot")([town, codes])
    hashed = layers.Hashing(3, output_mode="one_hot")(number)
    out = layers.Dense(1)(layers.Concatenate()([known, crossed, hashed, layers.Dense(2)(age)]))
    model = staghorn.Model({"town": town, "age": age, "id": number}, out)
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("pandas", [False, True])
def test_tables_with_columns_of_strings(pandas):
    model = table_model()
    history = model.fit(table(pandas), np.arange(4.0), batch_size=3, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    columns = {k: np.array(v)[:, None] for k, v in table().items()}
    eager = model({**columns, "age": columns["age"].astype("float32")})
    assert_equal([model.predict(table(pandas), verbose=0)], [np.asarray(eager)])


def test_integers_are_looked_up_inside_programs():
    for layer in (
        layers.IntegerLookup(vocabulary=[3, 5], output_mode="count"),
        layers.IntegerLookup(vocabulary=[3, 5], num_oov_indices=2),
        layers.Hashing(4, output_mode="multi_hot"),
        layers.Hashing(4, salt=3),
    ):
        ids = np.array([[3, 5, 5], [-1, 7, 3]], "int32")
        compiled, eager = jit(layer)(ids), layer(ids)
        assert compiled.dtype == eager.dtype
        np.testing.assert_array_equal(compiled, eager)


# Files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["int", "count", "tf_idf"])
def test_saved_and_loaded(mode, tmp_path):
    first = layers.TextVectorization(output_mode=mode)
    first.adapt([*TEXTS, "x\x1cy z\x85"])  # what Python takes for line breaks
    words = layers.StringLookup(output_mode="multi_hot")
    words.adapt([["", "b"], ["b", "c"]])  # the last word is empty
    start = staghorn.Input((1,), dtype="string")
    parts = [staghorn.ops.cast(first(start), "float32"), words(start)]
    model = staghorn.Model(start, parts)
    model.save(tmp_path / "model.keras")
    again = staghorn.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.layers, again.layers, strict=True):
        assert ours.get_config() == theirs.get_config()
        if hasattr(ours, "get_vocabulary"):
            assert ours.get_vocabulary() == theirs.get_vocabulary()
    x = np.array([*TEXTS, "b", "c"], dtype=object)[:, None]
    assert_equal(again(x), model(x))
    again.save(tmp_path / "again.keras")
    contents = [zipfile.ZipFile(tmp_path / f"{n}.keras") for n in ("model", "again")]
    for name in contents[0].namelist():
        if name.startswith(("config", "assets")):
            assert contents[0].read(name) == contents[1].read(name), name


def test_files_of_keras():
    text = staghorn.models.load_model("tests/golden/text.keras")
    x = np.array(TEXTS, dtype=object)[:, None]
    np.testing.assert_allclose(text(x), GOLDEN["text"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(text.predict(x, verbose=0), GOLDEN["text"], rtol=1e-5, atol=1e-6)
    table = staghorn.models.load_model("tests/golden/table.keras")
    asked = [np.array([["fire"], ["snow"], ["wind"]]), np.array([[3], [5], [7]])]
    np.testing.assert_allclose(table(asked), GOLDEN["table"], rtol=1e-5)
    np.testing.assert_allclose(table.predict(asked, verbose=0), GOLDEN["table"], rtol=1e-5)


def test_our_files_have_the_members_of_keras(tmp_path):
    for name in ("text", "table"):
        path = f"tests/golden/{name}.keras"
        staghorn.models.load_model(path).save(tmp_path / "ours.keras")
        members = [
            {n: z.read(n) for n in z.namelist() if n.startswith("assets")}
            for z in (zipfile.ZipFile(path), zipfile.ZipFile(tmp_path / "ours.keras"))
        ]
        assert members[0] == members[1]


def test_vocabulary_files(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    for layer in (
        layers.StringLookup(vocabulary=str(path)),
        layers.TextVectorization(vocabulary=str(path)),
    ):
        assert layer.get_vocabulary(include_special_tokens=False) == WORDS
        assert layer.get_config()["vocabulary"] is None
    with pytest.raises(ValueError, match="there is no vocabulary file"):
        layers.StringLookup(vocabulary=str(tmp_path / "none.txt"))
    config = {**layers.StringLookup().get_config(), "vocabulary": str(path)}
    with pytest.raises(ValueError, match="vocabulary"):
        layers.StringLookup.from_config(config)
    lookup = layers.StringLookup()
    lookup.adapt(["a\nb"])
    with pytest.raises(ValueError, match="line break"):
        lookup.save_assets(str(tmp_path))


# Learning a vocabulary -------------------------------------------------------------------------


def test_adapt_again_forgets_and_steps_count():
    layer = layers.StringLookup()
    layer.adapt(["a", "b", "b"])
    layer.adapt(["c"])
    assert layer.get_vocabulary() == ["[UNK]", "c"]
    layer.adapt(iter([["a"], ["b"], ["c"]]), steps=2)
    assert layer.get_vocabulary() == ["[UNK]", "b", "a"]
    layer.reset_state()
    layer.update_state(["x"])
    layer.update_state(["x", "y"])
    layer.finalize_state()
    assert layer.get_vocabulary() == ["[UNK]", "x", "y"]


def test_there_and_back():
    there = layers.StringLookup(vocabulary=WORDS, mask_token="")
    words = np.array([["fire", "", "wind"], ["and", "earth", "fire"]])
    vocabulary = there.get_vocabulary()
    back = layers.StringLookup(vocabulary=vocabulary, mask_token="", invert=True)
    assert back(there(words)).tolist() == words.tolist()


# Errors ----------------------------------------------------------------------------------------

WRONG = [
    (lambda: layers.StringLookup(max_tokens=1), "max_tokens must be a number in"),
    (lambda: layers.StringLookup(pad_to_max_tokens=True), "needs max_tokens="),
    (lambda: layers.StringLookup(output_mode="ints"), "output_mode must be one of"),
    (lambda: layers.StringLookup(invert=True, output_mode="count"), "invert=True needs"),
    (lambda: layers.StringLookup(vocabulary=["a", "b", "a"]), r"twice: \['a'\]"),
    (lambda: layers.StringLookup(vocabulary=["a", ""], mask_token=""), "the mask token ''"),
    (lambda: layers.StringLookup(vocabulary=["a", "b"], max_tokens=2), "max_tokens is 2"),
    (lambda: layers.StringLookup(vocabulary=[]), "the vocabulary is empty"),
    (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), "pass idf_weights="),
    (lambda: layers.StringLookup(vocabulary=["a"]).adapt(["b"]), "made with a vocabulary"),
    (lambda: layers.StringLookup().adapt([]), "got no data"),
    (lambda: layers.StringLookup(vocabulary=["a"])(["a", None]), "a string is missing: None"),
    (lambda: layers.StringLookup(vocabulary=["a"])(np.array(["a", np.nan], object)), "missing"),
    (lambda: layers.StringLookup(vocabulary=["a"])([["a"], ["b", "c"]]), "different lengths"),
    (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), r"\['b'\] are not"),
    (lambda: layers.IntegerLookup(vocabulary_dtype="int32"), "vocabulary_dtype must be 'int64'"),
    (lambda: layers.IntegerLookup(salt=3), "salt= needs oov_method"),
    (lambda: layers.TextVectorization(standardize="upper"), "standardize must be one of"),
    (lambda: layers.TextVectorization(ngrams=0.5), "ngrams must be an int or a tuple"),
    (lambda: layers.TextVectorization(ragged=True), "ragged=True is not supported"),
    (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), "goes with"),
    (lambda: layers.TextVectorization().adapt([]), "got no data"),
    (lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]), "one text in each row"),
    (lambda: layers.Hashing(0), "num_bins must be a positive int"),
    (lambda: layers.Hashing(3, salt=(1, 2, 3)), "salt must be an int or a pair"),
    (lambda: layers.Hashing(3, dtype="float32"), "dtype must be 'int32' or 'int64'"),
    (lambda: layers.HashedCrossing(3)([["a"]]), "two or more features"),
    (lambda: layers.HashedCrossing(3)([["a"], ["b", "c"]]), "two or more features"),
    (lambda: layers.CategoryEncoding(), "num_tokens= is needed"),
    (lambda: layers.CategoryEncoding(3, sparse=True), "sparse=True is not supported"),
    (lambda: layers.CategoryEncoding(3)([1], count_weights=[2.0]), "count_weights go with"),
    (lambda: layers.Discretization(), "bin_boundaries= or num_bins="),
    (lambda: layers.Discretization(num_bins=3)([1.0]), "has no boundaries yet"),
    (lambda: layers.Discretization(num_bins=3).adapt([]), "got no data"),
    (lambda: layers.Discretization([1.0]).adapt([2.0]), "was made with bin_boundaries"),
]


@pytest.mark.parametrize(("wrong", "text"), WRONG, ids=[text for _, text in WRONG])
def test_what_is_wrong_is_said(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()


def test_types_that_do_not_fit():
    lookup = layers.StringLookup(vocabulary=["a"])
    with pytest.raises(TypeError, match=r"expected strings, got 1 \(int\)"):
        lookup([1, 2])
    with pytest.raises(TypeError, match="Use StringLookup for strings"):
        layers.IntegerLookup(vocabulary=[1])(["a"])
    with pytest.raises(RuntimeError, match="has no vocabulary yet"):
        layers.StringLookup(output_mode="count")(["a"])
    with pytest.raises(TypeError, match="takes strings, but it was given numbers"):
        jit(lookup)(np.ones((2, 1), "float32"))
    back = layers.StringLookup(vocabulary=["a"], invert=True)
    with pytest.raises(ValueError, match="returns strings"):
        jit(back)(np.ones((2, 1), "int32"))


def test_models_say_what_they_cannot_take():
    with pytest.raises(ValueError, match=r"encode text .* layers.TextVectorization"):
        numbers_model().fit(REVIEWS, LABELS)
    wrong = {**table(), "age": table()["town"]}
    with pytest.raises(ValueError, match="The data of input 'age' holds str values"):
        table_model().predict(wrong, verbose=0)
    start = staghorn.Input((1,), dtype="string")
    strings = staghorn.Model(start, layers.StringLookup(vocabulary=["a"], invert=True)(
        layers.StringLookup(vocabulary=["a"])(start)))  # fmt: skip
    assert strings(["a", "b"]).tolist() == [["a"], ["[UNK]"]]
