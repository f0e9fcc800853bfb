"""What people meet in their first hours with the layers for text, tables and pictures."""

import numpy as np
import pytest

import staghorn
from staghorn import layers, ops


def reloaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return staghorn.models.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("column", [(4,), (4, 1)])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_one_mean_for_all_fits_every_shape(column, shape):
    """adapt(table["age"]) sees (rows,), the model's input has (rows, 1)."""
    layer = layers.Normalization(axis=None)
    layer.adapt(np.array([1.0, 2.0, 3.0, 4.0]).reshape(column))
    out = np.asarray(layer(np.full(shape, 2.5)))
    assert out.shape == shape
    np.testing.assert_allclose(out, 0.0)
    assert layer(staghorn.Input(shape[1:])).shape == (None, *shape[1:])


def test_statistics_that_do_not_fit_are_said_when_the_model_is_made():
    layer = layers.Normalization()
    layer.adapt(np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"statistics for 3 entries of axis 1.*axis=None"):
        layer(staghorn.Input((2,)))
    layer = layers.Normalization()
    layer.adapt(np.arange(5.0))
    with pytest.raises(ValueError, match=r"adapt\(column\[:, None\]\)"):
        layer(staghorn.Input((1,)))


def test_errors_speak_of_the_layer_that_was_written():
    with pytest.raises(RuntimeError, match="TextVectorization 'tv' has no vocabulary yet"):
        layers.TextVectorization(name="tv")(["a"])
    with pytest.raises(ValueError, match=r"TextVectorization 'tv'.*no vocabulary file 'words"):
        layers.TextVectorization(vocabulary="words.txt", name="tv")
    with pytest.raises(ValueError, match=r"TextVectorization 'tv'.*pass idf_weights="):
        layers.TextVectorization(vocabulary=["a"], output_mode="tf_idf", name="tv")
    with pytest.raises(RuntimeError, match="StringLookup 'words' has no vocabulary yet"):
        layers.StringLookup(name="words")(["a"])


@pytest.mark.parametrize("cls", [layers.TextVectorization, layers.StringLookup])
def test_strings_need_an_input_of_strings(cls):
    layer = cls(vocabulary=["a", "b"])
    with pytest.raises(TypeError, match=r"takes strings.*float32.*dtype='string'"):
        layer(staghorn.Input((1,)))
    assert layer(staghorn.Input((1,), dtype="string")).dtype == "int64"


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.layers[0], "trainable", False),
        lambda model: model.layers[0].enable_lora(1),
        lambda model: model.quantize("int8"),
    ],
    ids=["frozen", "lora", "int8"],
)
def test_files_of_models_changed_after_training_open(change, tmp_path):
    model = staghorn.Sequential([staghorn.Input((3,)), layers.Dense(2), layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.ones((4, 3), "float32")
    model.fit(x, np.ones(4), verbose=0)
    change(model)
    with pytest.warns(UserWarning, match=r"optimizer's state .* for other weights"):
        again = reloaded(model, tmp_path)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)


def test_image_ops_and_rearrange_come_back_from_files(tmp_path):
    image = staghorn.Input((4, 4, 3))
    gray = ops.image.resize(ops.image.rgb_to_grayscale(image), (2, 2))
    patches = ops.image.extract_patches(image, (2, 2))  # (None, 2, 2, 12)
    flat = ops.rearrange(patches, "b (h p) w c -> b (h p w c)", p=2)
    smooth = ops.image.gaussian_blur(image)
    model = staghorn.Model(image, [gray, flat, smooth, ops.linalg.norm(image, axis=-1)])
    x = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("float32")
    for got, want in zip(reloaded(model, tmp_path)(x), model(x), strict=True):
        np.testing.assert_array_equal(got, want)


class Reader(staghorn.Model):
    """A model of one's own that takes raw texts."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = layers.TextVectorization(output_sequence_length=3)
        self.embedding = layers.Embedding(9, 2)
        self.dense = layers.Dense(1)

    def call(self, texts):
        return self.dense(self.embedding(self.words(texts)))


def test_a_subclassed_model_of_texts_comes_back_from_its_file(tmp_path):
    texts = np.array(["good film", "bad film"])
    model = Reader()
    model.words.adapt(texts)
    expected = model(texts)
    model.save(tmp_path / "reader.keras")
    again = staghorn.models.load_model(tmp_path / "reader.keras", {"Reader": Reader})
    np.testing.assert_array_equal(again(texts), expected)


def test_code_names_layers_as_they_are_imported():
    x = staghorn.Input((4, 6))
    model = staghorn.Model(x, layers.GroupQueryAttention(4, 4, 2)(x, x))
    code = staghorn.utils.model_to_code(model)
    made: dict = {}
    exec(code, made)  # our own text
    assert made["model"].count_params() == model.count_params()


def test_strings_in_a_layer_of_numbers_are_refused_with_what_to_put_before():
    with pytest.raises(TypeError, match=r"Dense 'd' takes numbers, got strings \('a', \.\.\.\)"):
        layers.Dense(2, name="d")(np.array([["a"], ["b"]]))
