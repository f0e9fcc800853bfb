"""Networks whose answer is a picture: a U-Net that segments, an autoencoder that removes noise."""

import numpy as np
from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs
from support.pictures import shapes


def two_convolutions(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)


def unet_model(size=32, filters=8, depth=2):
    """Down to see what it is, up again to say where; each floor hands its picture across."""
    inputs = staghorn.Input((size, size, 1))
    x, across = inputs, []
    for floor in range(depth):
        x = two_convolutions(x, filters * 2**floor)
        across.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = two_convolutions(x, filters * 2**depth)
    for floor in reversed(range(depth)):
        x = layers.Conv2DTranspose(filters * 2**floor, 2, strides=2, padding="same")(x)
        x = layers.Concatenate()([across[floor], x])
        x = two_convolutions(x, filters * 2**floor)
    return staghorn.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def convolutional_autoencoder_model(size=8, filters=16):
    """Halves the picture twice, then doubles it twice."""
    inputs = staghorn.Input((size, size, 1))
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    for _ in range(2):
        x = layers.UpSampling2D(2)(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return staghorn.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def overlap(masks, predictions):
    """Share of the pixels in either shape that are in both (intersection over union)."""
    found = predictions > 0.5
    truth = masks > 0.5
    return (found & truth).sum() / (found | truth).sum()


def main(number_of_epochs):
    rng = np.random.default_rng(0)
    staghorn.utils.set_random_seed(0)

    images, known = shapes(640, 32, rng)
    unet = unet_model()
    unet.compile(staghorn.optimizers.Adam(3e-3), "binary_crossentropy")
    unet.fit(images[:512], known["masks"][:512], epochs=number_of_epochs, verbose=0)
    found = unet.predict(images[512:], verbose=0)
    threshold = overlap(known["masks"][512:], images[512:])
    print(
        f"U-Net: overlap with the true shape {overlap(known['masks'][512:], found):.3f} "
        f"(bright pixels alone: {threshold:.3f})"
    )

    clean = (load_digits().images / 16).astype("float32")[..., None]
    noisy = (clean + rng.normal(0, 0.3, clean.shape)).astype("float32")
    autoencoder = convolutional_autoencoder_model()
    autoencoder.compile(staghorn.optimizers.Adam(3e-3), "mse")
    autoencoder.fit(noisy[:1400], clean[:1400], epochs=number_of_epochs, verbose=0)
    error = autoencoder.evaluate(noisy[1400:], clean[1400:], verbose=0)
    before = np.square(noisy[1400:] - clean[1400:]).mean()
    print(f"autoencoder: squared error {before:.4f} before, {error:.4f} after")


if __name__ == "__main__":
    main(epochs(__doc__, default=15))
