"""A long guide to architectures, use case residual networks: `layers.add`."""

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.callbacks import LearningRateScheduler
from tensorflow.keras.regularizers import l2

tf.random.set_seed(0)
digits = load_digits()
images = digits.images[..., np.newaxis] / 16.0
x_train, x_test, y_train, y_test = train_test_split(
    images, digits.target, train_size=1280, test_size=512, random_state=0
)


def resnet_layer(inputs, num_filters=16, strides=1, activation="relu"):
    """Convolution, batch normalization, activation."""
    x = layers.Conv2D(
        num_filters,
        kernel_size=3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=l2(1e-4),
    )(inputs)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation is not None else x


inputs = keras.Input(shape=images.shape[1:])
x = resnet_layer(inputs)
for stack, num_filters in enumerate((16, 32)):
    strides = 1 if stack == 0 else 2
    y = resnet_layer(x, num_filters, strides=strides)
    y = resnet_layer(y, num_filters, activation=None)
    if strides == 2:  # the shortcut must have the same shape
        x = layers.Conv2D(num_filters, 1, strides=2, padding="same")(x)
    x = layers.add([x, y])
    x = layers.Activation("relu")(x)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(10, activation="softmax")(x)
model = keras.Model(inputs, outputs, name="small_resnet")
model.summary()
keras.utils.plot_model(model, "resnet.png", show_shapes=True, dpi=80)


def lr_schedule(epoch):
    """Ten times smaller after two thirds of the way."""
    lr = 1e-2 if epoch < 8 else 1e-3
    print("Learning rate:", lr)
    return lr


model.compile(
    loss="sparse_categorical_crossentropy",
    optimizer=keras.optimizers.Adam(learning_rate=lr_schedule(0)),
    metrics=["accuracy"],
)
model.fit(
    x_train,
    y_train,
    batch_size=64,
    epochs=12,
    validation_data=(x_test, y_test),
    callbacks=[LearningRateScheduler(lr_schedule)],
    verbose=2,
)
scores = model.evaluate(x_test, y_test, verbose=0)
print("Test accuracy:", scores[1])
print("add layers:", sum(isinstance(layer, layers.Add) for layer in model.layers))
