"""Notebooks between Keras 2.0 and tf.keras 2.3: every old habit in one script."""

import os

import keras
import keras.backend as K
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
)
from keras.layers.core import Activation, Dense, Dropout
from keras.models import Sequential, model_from_json
from keras.optimizers import Adam
from keras.utils.generic_utils import get_custom_objects

print("keras", keras.__version__, "tf", tf.__version__)
print("GPU:", tf.config.list_physical_devices("GPU"))
tf.random.set_seed(11)
np.random.seed(11)
K.clear_session()

X = np.random.normal(size=(1200, 8))
y = (np.sin(X[:, 0]) + X[:, 1] * X[:, 2] > 0).astype("float32")
x_train, y_train, x_val, y_val = X[:1000], y[:1000], X[1000:], y[1000:]


def swish_like(x):
    """An activation of our own, known by its name from here on."""
    return x * K.sigmoid(x)


get_custom_objects().update({"swish_like": Activation(swish_like)})

model = Sequential()
model.add(Dense(32, input_dim=8, activation="swish_like"))
model.add(Dropout(0.1))
model.add(Dense(32, activation="relu"))
model.add(Dense(1, activation="sigmoid"))


def rmse(y_true, y_pred):
    """A metric of our own, from backend functions."""
    return K.sqrt(K.mean(K.square(y_pred - y_true)))


model.compile(
    loss="binary_crossentropy", optimizer=Adam(lr=0.01, decay=1e-4), metrics=["accuracy", rmse]
)
print("learning rate:", K.get_value(model.optimizer.lr))


class StopWhenGood(Callback):
    """Stops once the accuracy is high enough."""

    def on_epoch_end(self, epoch, logs=None):
        if logs.get("acc") > 0.97:
            print("\nGood enough, so stop training!")
            self.model.stop_training = True


def generator(features, labels, batch_size=50):
    """Pick rows by chance, for ever."""
    while True:
        rows = np.random.randint(len(features), size=batch_size)
        yield features[rows], labels[rows]


history = model.fit_generator(
    generator(x_train, y_train),
    steps_per_epoch=20,
    epochs=15,
    verbose=2,
    validation_data=(x_val, y_val),
    callbacks=[
        EarlyStopping(monitor="val_acc", patience=10),
        ModelCheckpoint(
            "best.weights.h5", monitor="val_acc", save_best_only=True, save_weights_only=True
        ),
        ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=4, min_lr=1e-5),
        CSVLogger("training.csv"),
        TensorBoard(log_dir="logs"),
        StopWhenGood(),
    ],
    workers=1,
)

acc = history.history["acc"]
val_acc = history.history["val_acc"]
epochs = range(1, len(acc) + 1)
plt.plot(epochs, acc, "bo", label="Training acc")
plt.plot(epochs, val_acc, "b", label="Validation acc")
plt.title("Training and validation accuracy")
plt.legend()
plt.savefig("accuracy.png")
plt.show()

print("classes:", model.predict_classes(x_val[:5]).shape)
print("Final val_acc:", model.evaluate(x_val, y_val, verbose=0)[1])

# the architecture as text, the weights in a file
model.save_weights("model.weights.h5")
with open("model.json", "w") as json_file:
    json_file.write(model.to_json())
with open("model.json") as json_file:
    loaded_model = model_from_json(json_file.read(), custom_objects={"rmse": rmse})
loaded_model.load_weights("model.weights.h5")
print("same predictions:", np.allclose(loaded_model.predict(x_val), model.predict(x_val)))

model.save("model.keras")
restored = keras.models.load_model("model.keras", custom_objects={"rmse": rmse})
print("restored:", np.allclose(restored.predict(x_val), model.predict(x_val)))
print("best was saved:", os.path.exists("best.weights.h5"))
