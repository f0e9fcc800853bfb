"""The three-ways article, first way: MNIST with the Sequential API, 20 epochs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

(X_train_full, y_train_full), (X_test, y_test) = keras.datasets.mnist.load_data()
print("training images:", X_train_full.shape, X_train_full.dtype)

X_valid, X_train = X_train_full[:2000] / 255.0, X_train_full[2000:] / 255.0
y_valid, y_train = y_train_full[:2000], y_train_full[2000:]
X_test = X_test / 255.0

plt.figure(figsize=(8, 2))
for index in range(8):
    plt.subplot(1, 8, index + 1)
    plt.imshow(X_train[index], cmap="binary")
    plt.axis("off")
    plt.title(y_train[index])
plt.savefig("digits.png")

keras.backend.clear_session()
np.random.seed(42)
tf.random.set_seed(42)

model = keras.models.Sequential()
model.add(keras.layers.Flatten(input_shape=[28, 28]))
model.add(keras.layers.Dense(300, activation="relu"))
model.add(keras.layers.Dense(100, activation="relu"))
model.add(keras.layers.Dense(10, activation="softmax"))

model.summary()
keras.utils.plot_model(model, "mnist_sequential.png", show_shapes=True)
print(model.layers[1].name, model.layers[1].get_weights()[0].shape)

model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
history = model.fit(X_train, y_train, epochs=20, validation_data=(X_valid, y_valid))
print(history.params)
print("epochs run:", len(history.epoch))

pd.DataFrame(history.history).plot(figsize=(8, 5))
plt.grid(True)
plt.gca().set_ylim(0, 1)
plt.savefig("learning_curves.png")
plt.show()

loss, accuracy = model.evaluate(X_test, y_test)
print("Test accuracy:", accuracy)

X_new = X_test[:3]
y_proba = model.predict(X_new)
print(y_proba.round(2))
print("sums to one:", np.allclose(y_proba.sum(axis=1), 1, atol=1e-5))
print("predicted:", np.argmax(y_proba, axis=-1), "true:", y_test[:3])
