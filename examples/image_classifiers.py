"""Three families of convolutional networks, in small: Inception, DenseNet, ResNet."""

from sklearn.datasets import load_digits

import staghorn
from staghorn import layers
from support import epochs


def normalize():
    """Keras's momentum, 0.99, is for long training: an epoch here has 44 steps."""
    return layers.BatchNormalization(momentum=0.9)


def inception(x, filters):
    """One look at four scales side by side: 1x1, 3x3, 5x5 and the largest neighbour."""
    fine = layers.Conv2D(filters, 1, padding="same", activation="relu")(x)
    middle = layers.Conv2D(filters, 1, padding="same", activation="relu")(x)
    middle = layers.Conv2D(filters, 3, padding="same", activation="relu")(middle)
    coarse = layers.Conv2D(filters // 2, 1, padding="same", activation="relu")(x)
    coarse = layers.Conv2D(filters, 5, padding="same", activation="relu")(coarse)
    pooled = layers.MaxPooling2D(3, strides=1, padding="same")(x)
    pooled = layers.Conv2D(filters, 1, padding="same", activation="relu")(pooled)
    return layers.Concatenate()([fine, middle, coarse, pooled])  # (..., 4 * filters)


def inception_model(size=8, filters=16, classes=10):
    inputs = staghorn.Input((size, size, 1))
    x = inception(inputs, filters)
    x = layers.MaxPooling2D(2)(x)
    x = inception(x, filters)
    x = layers.GlobalAveragePooling2D()(x)
    return staghorn.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def normalized_convolution(x, filters, kernel_size):
    """The order of DenseNet: normalize, cut off below zero, convolve."""
    x = layers.ReLU()(normalize()(x))
    return layers.Conv2D(filters, kernel_size, padding="same", use_bias=False)(x)


def dense_block(x, depth, growth):
    """Every step adds `growth` channels to what all earlier steps made."""
    for _ in range(depth):
        new = normalized_convolution(x, 4 * growth, 1)
        new = normalized_convolution(new, growth, 3)
        x = layers.Concatenate()([x, new])
    return x


def densenet_model(size=8, depth=3, growth=8, classes=10):
    inputs = staghorn.Input((size, size, 1))
    x = layers.Conv2D(2 * growth, 3, padding="same", use_bias=False)(inputs)
    x = dense_block(x, depth, growth)
    x = normalized_convolution(x, x.shape[-1] // 2, 1)  # between blocks: half the channels
    x = layers.AveragePooling2D(2)(x)  # and half the height and width
    x = dense_block(x, depth, growth)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(normalize()(x)))
    return staghorn.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def residual_block(x, filters, strides=1):
    """Adds a correction to what came in; where the shape changes, a 1x1 convolution fits it."""
    y = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
    y = layers.ReLU()(normalize()(y))
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = normalize()(y)
    if strides > 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
        x = normalize()(x)
    return layers.ReLU()(layers.Add()([x, y]))


def resnet_model(size=8, filters=(16, 32), classes=10):
    inputs = staghorn.Input((size, size, 1))
    x = layers.Conv2D(filters[0], 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(normalize()(x))
    for stage, width in enumerate(filters):
        x = residual_block(x, width, strides=1 if stage == 0 else 2)
        x = residual_block(x, width)
    x = layers.GlobalAveragePooling2D()(x)
    return staghorn.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def main(number_of_epochs):
    digits = load_digits()
    x = (digits.images / 16).astype("float32")[..., None]  # (1797, 8, 8, 1)
    y = digits.target
    for build in (inception_model, densenet_model, resnet_model):
        staghorn.utils.set_random_seed(0)
        model = build()
        model.compile(
            staghorn.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        model.fit(x[:1400], y[:1400], epochs=number_of_epochs, batch_size=32, verbose=0)
        _, accuracy = model.evaluate(x[1400:], y[1400:], verbose=0)
        print(
            f"{build.__name__}: {model.count_params():,} parameters, "
            f"accuracy on new digits {accuracy:.3f} (by chance 0.1)"
        )


if __name__ == "__main__":
    main(epochs(__doc__, default=15))
