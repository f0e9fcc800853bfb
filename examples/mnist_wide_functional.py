"""A functional model with a very wide layer (2^14 units), and its picture beside the input.

The wide layer and the one after it compute a second 28x28 picture; the classifier sees both.
"""

import numpy as np

import staghorn
from staghorn.layers import Concatenate, Dense, Flatten, Input, Reshape
from support import data_file, epochs

EPOCHS = epochs(__doc__, default=3)

with np.load(data_file("mnist.npz"), allow_pickle=False) as arrays:
    x_train = (arrays["x_train"] / 255.0).astype("float32")
    x_test = (arrays["x_test"] / 255.0).astype("float32")
    y_train, y_test = arrays["y_train"], arrays["y_test"]

staghorn.utils.set_random_seed(0)
image = Input(shape=[28, 28])
x = Flatten(input_shape=[28, 28])(image)
x = Dense(2**14, activation="relu")(x)
x = Dense(28 * 28, activation="relu")(x)
picture = Reshape((28, 28))(x)
both = Concatenate()([image, picture])  # (batch, 28, 56)
x = Flatten()(both)
digit = Dense(10, activation="softmax")(x)
model = staghorn.Model(inputs=[image], outputs=[digit])
model.summary()

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(
    x_train, y_train, epochs=EPOCHS, batch_size=128, validation_data=(x_test, y_test), verbose=2
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"{model.count_params():,} parameters, test accuracy {accuracy:.4f}")
