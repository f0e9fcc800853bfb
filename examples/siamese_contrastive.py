"""One network sees two images; a loss of our own pulls equal digits together, others apart."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs

MARGIN = 1.0


def contrastive_loss(same, distance):
    """`same * d² + (1 - same) * max(margin - d, 0)²` (Hadsell, Chopra and LeCun, 2006)."""
    near = staghorn.ops.square(distance)
    far = staghorn.ops.square(staghorn.ops.maximum(MARGIN - distance, 0.0))
    return staghorn.ops.mean(same * near + (1.0 - same) * far, axis=-1)


def encoder_model(size=8, filters=16, places=8):
    return staghorn.Sequential(
        [
            staghorn.Input((size, size, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.Conv2D(2 * filters, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(places, use_bias=False),  # the difference would cancel a bias
        ],
        name="encoder",
    )


def siamese_model(size=8, filters=16, places=8):
    """The encoder is called twice, so both sides share its weights; the answer is a distance."""
    encoder = encoder_model(size, filters, places)
    left = staghorn.Input((size, size, 1), name="left")
    right = staghorn.Input((size, size, 1), name="right")
    gap = layers.Subtract()([encoder(left), encoder(right)])
    squares = staghorn.ops.sum(staghorn.ops.square(gap), axis=-1, keepdims=True)
    # The slope of the root has no end at 0: two equal images would give NaN.
    distance = staghorn.ops.sqrt(squares + 1e-7)
    return staghorn.Model({"left": left, "right": right}, distance)


def pairs(images, digits, rng):
    """Each image twice: beside one of its own digit (1.0), then beside one of another (0.0)."""
    partner, other = np.empty(len(digits), int), np.empty(len(digits), int)
    for digit in range(10):
        rows = np.flatnonzero(digits == digit)
        partner[rows] = rng.permutation(rows)
        other[rows] = rng.choice(np.flatnonzero(digits != digit), len(rows))
    same = np.repeat(np.array([1.0, 0.0], "float32"), len(digits))
    left = np.concatenate([images, images])
    right = np.concatenate([images[partner], images[other]])
    return {"left": left, "right": right}, same[:, None]


def main(number_of_epochs):
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)

    model = siamese_model()
    model.compile(staghorn.optimizers.Adam(1e-3), contrastive_loss)
    model.fit(*pairs(images[:1400], digits.target[:1400], rng), epochs=number_of_epochs, verbose=0)

    x, same = pairs(images[1400:], digits.target[1400:], rng)
    distance = model.predict(x, verbose=0)
    right = (distance < MARGIN / 2) == (same == 1)
    print(f"mean distance: same digit {distance[same == 1].mean():.2f}", end=", ")
    print(f"other digit {distance[same == 0].mean():.2f}")
    print(f"pairs told right: {right.mean():.3f} (by chance 0.5)")


if __name__ == "__main__":
    main(epochs(__doc__, default=20))
