"""Handwritten digits with three dense layers, 784-256-128-10: 235,146 parameters."""

import numpy as np

import staghorn
from staghorn.layers import Dense, Flatten
from support import data_file, epochs, output_file

EPOCHS = epochs(__doc__, default=10)

with np.load(data_file("mnist.npz"), allow_pickle=False) as arrays:
    x_train, y_train = arrays["x_train"] / 255.0, arrays["y_train"]
    x_test, y_test = arrays["x_test"] / 255.0, arrays["y_test"]

staghorn.utils.set_random_seed(0)
model = staghorn.Sequential()
model.add(Flatten(input_shape=(28, 28)))
model.add(Dense(256, activation="relu"))
model.add(Dense(128, activation="relu"))
model.add(Dense(10, activation="softmax"))
model.summary()

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
early = staghorn.callbacks.EarlyStopping(
    monitor="val_accuracy", patience=5, restore_best_weights=True
)
model.fit(x_train, y_train, epochs=EPOCHS, batch_size=32, validation_split=0.1, callbacks=[early])

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"{model.count_params():,} parameters, test accuracy {accuracy:.4f}")

path = output_file("mnist_mlp.keras")
model.save(path)
rebuilt = staghorn.models.load_model(path)
first = rebuilt.predict(x_test[:8], verbose=0)
print("digits seen by the rebuilt model:", first.argmax(axis=1), "true:", y_test[:8])
