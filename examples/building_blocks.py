"""Five shapes a functional model can take, each trained on scikit-learn's bundled digits."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs


def residual_model():
    """Each block adds what it computed to what it was given."""
    inputs = staghorn.Input((64,))
    x = layers.Dense(64, activation="relu")(inputs)
    for _ in range(3):
        y = layers.Dense(64, activation="relu")(x)
        y = layers.Dense(64)(y)
        x = layers.ReLU()(layers.Add()([x, y]))
    return staghorn.Model(inputs, layers.Dense(10, activation="softmax")(x))


def siamese_model():
    """Two images, one encoder (the same weights twice): do they show the same digit?"""
    encoder = staghorn.Sequential(
        [layers.Dense(64, activation="relu"), layers.Dense(32, activation="tanh")], name="encoder"
    )
    left, right = staghorn.Input((64,), name="left"), staghorn.Input((64,), name="right")
    gap = staghorn.ops.abs(encoder(left) - encoder(right))
    same = layers.Dense(1, activation="sigmoid")(gap)
    return staghorn.Model({"left": left, "right": right}, same)


def autoencoder_model():
    """Squeezes an image into 16 numbers and draws it again; the encoder is a model of its own."""
    inputs = staghorn.Input((64,))
    code = layers.Dense(16, activation="relu", name="code")(
        layers.Dense(64, activation="relu")(inputs)
    )
    drawing = layers.Dense(64, activation="sigmoid")(layers.Dense(64, activation="relu")(code))
    return staghorn.Model(inputs, drawing)


def densely_connected_model():
    """Every layer sees all that came before it."""
    inputs = staghorn.Input((64,))
    seen = [inputs]
    for _ in range(3):
        x = layers.Concatenate()(seen) if len(seen) > 1 else inputs
        seen.append(layers.Dense(32, activation="relu")(x))
    return staghorn.Model(inputs, layers.Dense(10, activation="softmax")(layers.concatenate(seen)))


def multi_task_model():
    """One trunk, three answers: the digit, whether it is even, and how much ink it takes."""
    inputs = staghorn.Input((64,))
    trunk = layers.Dense(64, activation="relu")(inputs)
    digit = layers.Dense(10, activation="softmax", name="digit")(trunk)
    even = layers.Dense(1, activation="sigmoid", name="even")(trunk)
    ink = layers.Dense(1, name="ink")(layers.Dense(16, activation="relu")(trunk))
    return staghorn.Model(inputs, {"digit": digit, "even": even, "ink": ink})


def pairs(x, y, rng):
    """As many pairs as there are images; half of them show the same digit twice."""
    partner = rng.permutation(len(x))
    for digit in range(10):
        rows = np.flatnonzero(y == digit)
        keep = rows[: len(rows) // 2]
        partner[keep] = rng.permutation(rows)[: len(keep)]
    same = (y == y[partner]).astype("float32")
    return {"left": x, "right": x[partner]}, same


def main(number_of_epochs):
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)

    for name, model in (
        ("residual", residual_model()),
        ("dense connections", densely_connected_model()),
    ):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=number_of_epochs, validation_split=0.2, verbose=0)
        print(f"{name}: validation accuracy {history.history['val_accuracy'][-1]:.3f}")

    siamese = siamese_model()
    siamese.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    siamese.fit(*pairs(x[:1400], y[:1400], rng), epochs=number_of_epochs, verbose=0)
    _, accuracy = siamese.evaluate(*pairs(x[1400:], y[1400:], rng), verbose=0)
    print(f"siamese pair: accuracy on new pairs {accuracy:.3f}")

    autoencoder = autoencoder_model()
    autoencoder.compile("adam", "mse")
    history = autoencoder.fit(x, x, epochs=number_of_epochs, validation_split=0.2, verbose=0)
    encoder = staghorn.Model(autoencoder.input, autoencoder.get_layer("code").output)
    codes = encoder.predict(x, verbose=0)
    print(f"autoencoder: validation error {history.history['val_loss'][-1]:.4f}, {codes.shape=}")

    multi = multi_task_model()
    multi.compile(
        "adam",
        loss={
            "digit": "sparse_categorical_crossentropy",
            "even": "binary_crossentropy",
            "ink": "mse",
        },
        loss_weights={"digit": 1.0, "even": 0.5, "ink": 0.1},
        metrics={"digit": ["accuracy"], "even": ["accuracy"], "ink": ["mae"]},
    )
    targets = {"digit": y, "even": (y % 2 == 0).astype("float32"), "ink": x.mean(axis=1)}
    multi.fit(x, targets, epochs=number_of_epochs, verbose=0)
    scores = multi.evaluate(x, targets, verbose=0, return_dict=True)
    print("multi-task:", {key: round(float(value), 3) for key, value in scores.items()})


if __name__ == "__main__":
    main(epochs(__doc__, default=30))
