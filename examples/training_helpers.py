"""Six helpers around training, on scikit-learn's digits: find a rate, look at gradients, freeze,
learn at different rates, watch every layer, average weights."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from staghorn.callbacks import Statistics, StochasticWeightAveraging
from support import epochs, output_file


def digit_model(classes=10):
    """An encoder that could serve several tasks, and a head for one."""
    encoder = staghorn.Sequential(
        [
            layers.Dense(64, activation="relu", name="wide"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(32, activation="relu", name="code"),
        ],
        name="encoder",
    )
    inputs = staghorn.Input((64,))
    outputs = layers.Dense(classes, activation="softmax", name="head")(encoder(inputs))
    return staghorn.Model(inputs, outputs)


def compiled(model, rate, **options):
    model.compile(
        staghorn.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **options,
    )
    return model


def main():
    count = epochs(__doc__, 20)
    staghorn.utils.set_random_seed(0)
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    x, y = digits.data[order].astype("float32") / 16, digits.target[order]
    x, y, test = x[:1400], y[:1400], (x[1400:], y[1400:])

    # 1. Which learning rate? The model is the same afterwards, bit for bit.
    model = compiled(digit_model(), 1e-3)
    found = model.find_learning_rate(x, y, low=1e-5, high=10.0)
    found.plot(output_file("learning_rates.png"))
    print(f"loss falls fastest at a learning rate of {found.suggestion:.2g}")

    # 2. Gradients of the loss, by layer.
    for path, own in model.gradients(x[:100], y[:100]).items():
        norms = {name: f"{np.linalg.norm(gradient):.3f}" for name, gradient in own.items()}
        print(f"gradient norms of {path}: {norms}")

    # 3. Train on the digits 0 to 4, watching each layer (4.) and averaging late weights (5.).
    compiled(model, found.suggestion or 1e-3)
    few = y < 5
    look = Statistics()
    average = StochasticWeightAveraging(start_epoch=3 * count // 4)
    model.fit(x[few], y[few], epochs=count, verbose=0, callbacks=[look, average])
    look.plot(output_file("norms.png"))
    dead = look.history["activations"]["encoder/code"]["zeros"][-1]
    print(f"mean of {average.count} epochs' weights; {dead:.0%} of the code is zero")

    # 5. A new head on a frozen encoder, ...
    other = digit_model()
    other.get_layer("encoder").set_weights(model.get_layer("encoder").get_weights())
    print("frozen:", ", ".join(other.freeze("encoder*")))
    compiled(other, 1e-2).fit(x, y, epochs=count, verbose=0)
    print(f"frozen encoder: accuracy {other.evaluate(*test, verbose=0)[1]:.3f}")

    # 6. ... and all of it, the encoder ten times slower.
    other.unfreeze("*")
    compiled(other, 1e-3, learning_rate_multipliers={"encoder": 0.1})
    other.fit(x, y, epochs=count, verbose=0)
    print(f"fine-tuned: accuracy {other.evaluate(*test, verbose=0)[1]:.3f}")


if __name__ == "__main__":
    main()
