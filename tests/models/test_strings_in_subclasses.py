"""Subclassed models that take strings: fit, evaluate and predict as on numbers made before."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers

TITLES = np.array(["red apple", "green pear", "red", "pear apple pear"] * 4, dtype=object)
COLOURS = np.array([["red"], ["green"], ["blue"], ["red"]] * 4, dtype=object)
PRICES = np.arange(16, dtype="float32").reshape(16, 1) / 16
LABELS = np.arange(16).reshape(16, 1) % 2.0


@staghorn.saving.register_keras_serializable("tests_strings")
class Goods(staghorn.Model):
    """A text, a category and a number; the category also through a model of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = layers.TextVectorization(output_mode="tf_idf")
        self.colour = layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")
        self.crossing = layers.HashedCrossing(5, output_mode="one_hot")
        self.tower = staghorn.Sequential(
            [
                staghorn.Input((1,), dtype="string"),
                layers.StringLookup(vocabulary=["green", "blue"]),
                layers.Embedding(3, 2),
                layers.Flatten(),
            ]
        )
        self.out = layers.Dense(1)

    def call(self, inputs, training=False):
        colour = inputs["colour"]
        parts = [self.words(inputs["title"]), self.colour(colour), self.tower(colour)]
        parts.append(self.crossing((inputs["size"], inputs["size"])))
        return self.out(staghorn.ops.concatenate([*parts, inputs["price"]], axis=-1))


def _data():
    return {"title": TITLES, "colour": COLOURS, "size": COLOURS, "price": PRICES}


def _goods():
    staghorn.utils.set_random_seed(3)
    model = Goods()
    model.words.adapt(TITLES)
    model.compile(staghorn.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return model


def test_fit_equals_steps_by_hand():
    model, twin = _goods(), _goods()
    model.fit(_data(), LABELS, batch_size=16, epochs=3, verbose=0)
    twin(_data())
    for _ in range(3):

        def loss():
            return staghorn.ops.mean((twin(_data()) - LABELS.astype("float32")) ** 2)

        _, gradients = staghorn.value_and_grad(loss, twin.trainable_variables)()
        twin.optimizer.apply(gradients, twin.trainable_variables)
    for ours, by_hand in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, by_hand, atol=1e-5)
    got = model.evaluate(_data(), LABELS, verbose=0, return_dict=True)
    expected = np.asarray(model(_data()))
    np.testing.assert_allclose(got["loss"], np.mean((expected - LABELS) ** 2), rtol=1e-5)
    np.testing.assert_allclose(model.predict(_data(), batch_size=5, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(_data()), expected, atol=1e-6)


def test_a_generator_validation_and_one_batch():
    def batches():
        for start in range(0, 16, 4):
            part = {key: value[start : start + 4] for key, value in _data().items()}
            yield part, LABELS[start : start + 4]

    model, twin = _goods(), _goods()
    first = model.fit(batches(), validation_data=(_data(), LABELS), verbose=0).history
    second = twin.fit(
        _data(), LABELS, 4, shuffle=False, validation_data=batches(), verbose=0
    ).history
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5)
    split = model.fit(_data(), LABELS, validation_split=0.25, verbose=0).history
    assert np.isfinite(split["val_loss"][0])
    assert np.isfinite(model.train_on_batch(_data(), LABELS)[0])


def test_its_file(tmp_path):
    model = _goods()
    model.fit(_data(), LABELS, verbose=0)
    model.save(tmp_path / "goods.keras")
    again = staghorn.models.load_model(tmp_path / "goods.keras")
    np.testing.assert_allclose(
        again.predict(_data(), verbose=0), model.predict(_data(), verbose=0), atol=1e-6
    )
    again.fit(_data(), LABELS, verbose=0)


class Texts(staghorn.Model):
    """One text; `how` says what is done to it first."""

    def __init__(self, how=lambda x: x):
        super().__init__()
        self.how = how
        self.words = layers.TextVectorization(vocabulary=["red", "pear"], output_sequence_length=3)
        self.embed = layers.Embedding(4, 2)
        self.out = layers.Dense(1)

    def call(self, x):
        return self.out(staghorn.ops.mean(self.embed(self.words(self.how(x))), axis=1))


@pytest.mark.parametrize("texts", [list(TITLES), TITLES.astype(str), TITLES[:, None]])
def test_every_form_of_one_text(texts):
    model = Texts()
    model.compile("sgd", "mse")
    model.fit(texts, LABELS, verbose=0)
    expected = np.asarray(model(np.asarray(texts, dtype=object)))
    np.testing.assert_allclose(model.predict(texts, verbose=0), expected, atol=1e-6)


def test_the_call_is_looked_through_once_for_data_of_one_kind(monkeypatch):
    model = Texts()
    traced = []
    model.how = lambda x: (traced.append(x), x)[1]
    model.predict(TITLES, verbose=0)
    count = len(traced)
    model.predict(TITLES, verbose=0)
    assert len(traced) == count


def test_another_layer_in_its_place_is_seen():
    model = Texts()
    model.predict(TITLES, verbose=0)
    model.words = layers.TextVectorization(vocabulary=["apple"], output_sequence_length=3)
    found = [owner for owner, _ in model._text_calls[1]]
    model.predict(TITLES, verbose=0)
    assert [owner for owner, _ in model._text_calls[1]] == [model.words] != found


def test_strings_that_were_changed_on_the_way():
    model = Texts(how=lambda x: np.array([text.upper() for text in x], dtype=object))
    with pytest.raises(TypeError, match=r"(?s)not an input of the model as it came.*unchanged"):
        model.predict(TITLES, verbose=0)


def test_two_layers_of_one_name():
    class Two(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.a = layers.StringLookup(vocabulary=["red"], name="same")
            self.b = layers.StringLookup(vocabulary=["pear"], name="same")

        def call(self, x):
            return self.a(x) + self.b(x)

    with pytest.raises(ValueError, match="'same' take the same strings in two ways"):
        Two().predict(TITLES, verbose=0)


def test_a_layer_that_takes_strings_only_while_training():
    class Late(Texts):
        def __init__(self):
            super().__init__()
            self.more = layers.StringLookup(vocabulary=["red"])

        def call(self, x, training=False):
            out = super().call(x)
            return out + staghorn.ops.cast(self.more(x), "float32")[:, None] if training else out

    model = Late()
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"StringLookup .* in every case"):
        model.fit(TITLES, LABELS, verbose=0)


def test_no_layer_takes_them():
    class Numbers(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    with pytest.raises((TypeError, ValueError), match="TextVectorization"):
        Numbers().predict(TITLES, verbose=0)


def test_what_is_compiled_has_no_strings():
    model = Texts()
    encoded = model._host_encoded(TITLES)
    assert list(encoded) == [f"{model.words.name}, host layer"]
    assert jax.tree.leaves(encoded)[0].shape == (16, 3)


@pytest.mark.parametrize("mode", ["multi_hot", "count", "tf_idf"])
def test_a_vocabulary_that_was_learned_sizes_weights_in_the_file(tmp_path, mode):
    @staghorn.saving.register_keras_serializable("tests_strings", name=f"Bag_{mode}")
    class Bag(staghorn.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.words = layers.TextVectorization(output_mode=mode)
            self.out = layers.Dense(1)

        def call(self, x):
            return self.out(self.words(x))

    model = Bag()
    model.words.adapt(TITLES)
    model.compile("adam", "mse")
    model.fit(TITLES, LABELS, verbose=0)
    model.save(tmp_path / "bag.keras")
    again = staghorn.models.load_model(tmp_path / "bag.keras")
    np.testing.assert_array_equal(again(TITLES), model(TITLES))
    assert again.optimizer.iterations.numpy() == 1


def test_the_longest_text_of_all_decides_on_the_width():
    class Wide(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.words = layers.TextVectorization(vocabulary=["red", "pear"])
            self.out = layers.Dense(1)

        def call(self, x):
            return self.out(staghorn.ops.cast(self.words(x), "float32"))

    model = Wide()
    model.compile("sgd", "mse")
    model.fit(TITLES, LABELS, verbose=0)
    assert model.out.kernel.shape == (3, 1)
