"""Two readers of word numbers: convolutions of several widths, and a Transformer encoder."""

import numpy as np

import staghorn
from staghorn import layers
from support import epochs

WORDS, LENGTH = 200, 40
PHRASES = np.array([[5, 9, 17], [17, 5, 9], [9, 17, 5], [17, 9, 5]])  # the same words, in order


def cnn_text_model(words=WORDS, length=LENGTH, width=32, filters=32, dropout=0.2, classes=4):
    """Each width looks for phrases of that many words; the pooling asks: anywhere? (Kim, 2014)"""
    inputs = staghorn.Input((length,), dtype="int32")
    x = layers.Embedding(words, width)(inputs)
    found = []
    for size in (2, 3, 4):
        y = layers.Conv1D(filters, size, activation="relu")(x)
        found.append(layers.GlobalMaxPooling1D()(y))
    x = layers.Dropout(dropout)(layers.Concatenate()(found))
    return staghorn.Model(inputs, layers.Dense(classes, activation="softmax")(x))


class WordsInPlace(layers.Layer):
    """(batch, length) -> (batch, length, width): what the word is plus where it stands."""

    def __init__(self, words, length, width, **kwargs):
        super().__init__(**kwargs)
        self.words = layers.Embedding(words, width)
        self.places = layers.Embedding(length, width)

    def call(self, inputs):
        places = self.places(staghorn.ops.arange(inputs.shape[1]))  # (length, width)
        return self.words(inputs) + staghorn.ops.expand_dims(places, 0)


class TransformerBlock(layers.Layer):
    """Words look at each other, then each thinks for itself; both add to what was there."""

    def __init__(self, heads, width, hidden, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.think = staghorn.Sequential(
            [layers.Dense(hidden, activation="relu"), layers.Dense(width)]
        )
        self.first_norm = layers.LayerNormalization(epsilon=1e-6)
        self.second_norm = layers.LayerNormalization(epsilon=1e-6)
        self.first_dropout = layers.Dropout(dropout)
        self.second_dropout = layers.Dropout(dropout)

    def call(self, inputs):
        x = self.first_norm(inputs + self.first_dropout(self.attention(inputs, inputs)))
        return self.second_norm(x + self.second_dropout(self.think(x)))


def transformer_model(words=WORDS, length=LENGTH, width=32, heads=2, hidden=64, blocks=1):
    inputs = staghorn.Input((length,), dtype="int32")
    x = WordsInPlace(words, length, width)(inputs)
    for _ in range(blocks):
        x = TransformerBlock(heads, width, hidden)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return staghorn.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def phrases(count, rng):
    """Which of four phrases is in the text? Only the order of its words tells them apart."""
    text = rng.integers(20, WORDS, (count, LENGTH))
    label = rng.integers(0, len(PHRASES), count)
    start = rng.integers(0, LENGTH - 2, count)
    for place in range(3):
        text[np.arange(count), start + place] = PHRASES[label, place]
    return text.astype("int32"), label


def which_first(count, rng):
    """Words 1 and 2 stand anywhere in the text: does 1 come first?"""
    text = rng.integers(20, WORDS, (count, LENGTH))
    places = rng.permuted(np.tile(np.arange(LENGTH), (count, 1)), axis=1)[:, :2]
    text[np.arange(count), places[:, 0]] = 1
    text[np.arange(count), places[:, 1]] = 2
    return text.astype("int32"), (places[:, 0] < places[:, 1]).astype("float32")


def main(number_of_epochs):
    rng = np.random.default_rng(0)
    for model_of, task, loss, chance in (
        (cnn_text_model, phrases, "sparse_categorical_crossentropy", 0.25),
        (transformer_model, which_first, "binary_crossentropy", 0.5),
    ):
        staghorn.utils.set_random_seed(0)
        model = model_of()
        model.compile(staghorn.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
        model.fit(*task(4000, rng), epochs=number_of_epochs, batch_size=32, verbose=0)
        _, accuracy = model.evaluate(*task(1000, rng), verbose=0)
        print(f"{model_of.__name__}: accuracy on new texts {accuracy:.3f} (by chance {chance})")


if __name__ == "__main__":
    main(epochs(__doc__, default=8))
