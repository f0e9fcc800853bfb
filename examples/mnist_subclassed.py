"""A classifier as a class of its own, with switches for BatchNormalization and Dropout."""

import numpy as np

import staghorn
from staghorn import layers
from support import data_file, epochs

EPOCHS = epochs(__doc__, default=5)


class MLP(staghorn.Model):
    def __init__(self, units=(256, 128), classes=10, use_batch_norm=False, dropout=0.0):
        super().__init__()
        self.flatten = layers.Flatten()
        self.blocks = []
        for width in units:
            self.blocks.append(layers.Dense(width))
            if use_batch_norm:
                self.blocks.append(layers.BatchNormalization())
            self.blocks.append(layers.ReLU())
            if dropout:
                self.blocks.append(layers.Dropout(dropout))
        self.classify = layers.Dense(classes, activation="softmax")

    def call(self, inputs):
        x = self.flatten(inputs)
        for layer in self.blocks:
            x = layer(x)
        return self.classify(x)


with np.load(data_file("mnist.npz"), allow_pickle=False) as arrays:
    x_train = (arrays["x_train"] / 255.0).astype("float32")
    x_test = (arrays["x_test"] / 255.0).astype("float32")
    y_train, y_test = arrays["y_train"], arrays["y_test"]

for switches in (
    {},
    {"use_batch_norm": True},
    {"dropout": 0.3},
    {"use_batch_norm": True, "dropout": 0.3},
):
    staghorn.utils.set_random_seed(0)
    model = MLP(**switches)
    model.compile(
        optimizer=staghorn.optimizers.Adam(1e-3),
        loss=staghorn.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    model.fit(x_train, y_train, batch_size=64, epochs=EPOCHS, verbose=0)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"{switches or 'plain'}: {model.count_params():,} parameters, accuracy {accuracy:.4f}")
