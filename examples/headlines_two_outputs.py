"""Headlines and five numbers in, two answers out: named data, named losses, weighted losses."""

import numpy as np

import staghorn
from staghorn import layers
from support import epochs

WORDS, LENGTH, NUMBERS = 10_000, 100, 5
HOT_WORDS = 200  # in this made-up language the first 200 words make people click


def headline_model(words=WORDS, length=LENGTH, width=512, units=32, hidden=64):
    """The text alone must already answer (auxiliary); text and numbers together answer (main)."""
    text = staghorn.Input((length,), dtype="int32", name="text")
    numbers = staghorn.Input((NUMBERS,), name="numbers")

    meaning = layers.LSTM(units)(layers.Embedding(words, width)(text))  # (batch, units)
    auxiliary = layers.Dense(1, activation="sigmoid", name="auxiliary")(meaning)

    x = layers.concatenate([meaning, numbers])
    for _ in range(3):
        x = layers.Dense(hidden, activation="relu")(x)
    main = layers.Dense(1, activation="sigmoid", name="main")(x)
    return staghorn.Model(
        {"text": text, "numbers": numbers}, {"main": main, "auxiliary": auxiliary}
    )


def headlines(count, rng):
    """Half the texts have hot words; hot texts are popular unless published at a bad hour."""
    text = rng.integers(HOT_WORDS, WORDS, (count, LENGTH))
    hot = rng.random(count) < 0.5
    replaced = hot[:, None] & (rng.random(text.shape) < 0.3)
    text = np.where(replaced, rng.integers(0, HOT_WORDS, text.shape), text)
    numbers = rng.normal(size=(count, NUMBERS)).astype("float32")
    popular = hot & (numbers[:, 0] > -0.5)
    return {"text": text.astype("int32"), "numbers": numbers}, popular.astype("float32")


def main(number_of_epochs):
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)
    model = headline_model()
    model.compile(
        optimizer=staghorn.optimizers.Adam(2e-3),
        loss={"main": "binary_crossentropy", "auxiliary": "binary_crossentropy"},
        loss_weights={"main": 1.0, "auxiliary": 0.2},
        metrics={"main": ["accuracy"], "auxiliary": ["accuracy"]},
    )
    x, popular = headlines(1600, rng)
    targets = {"main": popular, "auxiliary": popular}
    model.fit(x, targets, epochs=number_of_epochs, batch_size=32, verbose=0)

    x, popular = headlines(800, rng)
    scores = model.evaluate(x, {"main": popular, "auxiliary": popular}, verbose=0, return_dict=True)
    usual = max(popular.mean(), 1 - popular.mean())
    print(
        f"text and numbers: accuracy {scores['main_accuracy']:.3f} on new headlines (1.0 at best)"
    )
    print(f"text alone: accuracy {scores['auxiliary_accuracy']:.3f} (0.85 at best)")
    print(f"always the more frequent answer: {usual:.3f}")


if __name__ == "__main__":
    main(epochs(__doc__, default=2))
