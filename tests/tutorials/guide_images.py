"""A long beginners' guide, use case images: a CNN on MNIST with augmentation."""

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from tensorflow.keras.datasets import mnist
from tensorflow.keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from tensorflow.keras.models import Sequential
from tensorflow.keras.preprocessing.image import ImageDataGenerator

(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train = np.expand_dims(x_train, -1).astype("float32") / 255.0
x_test = np.expand_dims(x_test, -1).astype("float32") / 255.0
print("x_train shape:", x_train.shape)
tf.random.set_seed(5)

train_datagen = ImageDataGenerator(
    rotation_range=10, width_shift_range=0.1, height_shift_range=0.1, zoom_range=0.1
)
train_generator = train_datagen.flow(x_train, y_train, batch_size=64, seed=5)
images, labels = next(train_generator)
print("one batch:", images.shape, labels.shape)
plt.figure(figsize=(6, 2))
for i in range(6):
    plt.subplot(1, 6, i + 1)
    plt.imshow(images[i, :, :, 0], cmap="gray")
    plt.axis("off")
plt.savefig("augmented.png")

model = Sequential(
    [
        Conv2D(16, (3, 3), activation="relu", input_shape=(28, 28, 1)),
        MaxPooling2D((2, 2)),
        Conv2D(32, (3, 3), activation="relu"),
        MaxPooling2D(pool_size=(2, 2)),
        Flatten(),
        Dense(64, activation="relu"),
        Dropout(0.5),
        Dense(10, activation="softmax"),
    ]
)
model.summary()
tf.keras.utils.plot_model(model, "cnn.png", show_shapes=True, show_layer_activations=True)

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    train_generator,
    steps_per_epoch=len(x_train) // 64,
    epochs=2,
    validation_data=(x_test, y_test),
)

loss, acc = model.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {acc}")

# What did the first convolution learn?
first = model.layers[0]
filters, biases = first.get_weights()
print("filters:", filters.shape, "biases:", biases.shape)
activations = tf.keras.models.Model(inputs=model.inputs, outputs=first.output)
feature_maps = activations.predict(x_test[:1])
print("feature maps:", feature_maps.shape)
