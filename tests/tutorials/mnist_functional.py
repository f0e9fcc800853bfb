"""The three-ways article, second way: MNIST with the Functional API, 20 epochs."""

import matplotlib.pyplot as plt
import pandas as pd
from tensorflow.keras import Input, Model, datasets, layers, utils

(x_train, y_train), (x_test, y_test) = datasets.mnist.load_data()
x_train = x_train.reshape(-1, 784).astype("float32") / 255
x_test = x_test.reshape(-1, 784).astype("float32") / 255
num_classes = 10
y_train = utils.to_categorical(y_train, num_classes)
y_test = utils.to_categorical(y_test, num_classes)

utils.set_random_seed(1)

# A wide path around the deep one: what a Sequential model cannot say
inputs = Input(shape=(784,), name="pixels")
hidden_1 = layers.Dense(128, activation="relu")(inputs)
hidden_2 = layers.Dense(64, activation="relu")(hidden_1)
joined = layers.Concatenate()([inputs, hidden_2])
outputs = layers.Dense(num_classes, activation="softmax")(joined)
model = Model(inputs=inputs, outputs=outputs, name="wide_and_deep")

model.summary()
utils.plot_model(model, "mnist_functional.png", show_shapes=True)

model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=128, epochs=20, validation_split=0.2, verbose=2)

pd.DataFrame(history.history).plot(figsize=(8, 5))
plt.grid(True)
plt.savefig("functional_curves.png")
plt.show()

score = model.evaluate(x_test, y_test, verbose=0)
print("Test loss:", score[0])
print("Test accuracy:", score[1])

for image, label in zip(x_test[:5], y_test[:5], strict=True):
    guess = model.predict(image[None], verbose=0).argmax()
    print("predicted", guess, "label", label.argmax())
