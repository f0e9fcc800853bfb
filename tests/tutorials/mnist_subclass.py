"""The three-ways article, third way: MNIST with a subclassed model, 10 epochs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow.keras import Model
from tensorflow.keras.layers import Dense, Dropout, Flatten

mnist = tf.keras.datasets.mnist
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0
tf.random.set_seed(3)


class DigitClassifier(Model):
    """Layers are made in the constructor and joined in `call`."""

    def __init__(self, units=128, num_classes=10, **kwargs):
        super(DigitClassifier, self).__init__(**kwargs)  # noqa: UP008
        self.flatten = Flatten()
        self.dense_1 = Dense(units, activation="relu")
        self.dropout = Dropout(0.2)
        self.dense_2 = Dense(num_classes, activation="softmax")

    def call(self, inputs, training=False):
        x = self.flatten(inputs)
        x = self.dense_1(x)
        if training:
            x = self.dropout(x, training=training)
        return self.dense_2(x)


model = DigitClassifier(name="digit_classifier")
model.build(input_shape=(None, 28, 28))
model.summary()
tf.keras.utils.plot_model(model, to_file="mnist_subclass.png", show_shapes=True, expand_nested=True)

model.compile(
    optimizer="adam",
    loss=tf.keras.losses.SparseCategoricalCrossentropy(),
    metrics=[tf.keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
)
history = model.fit(x_train, y_train, epochs=10, batch_size=64, validation_data=(x_test, y_test))

pd.DataFrame(history.history).plot(figsize=(8, 5))
plt.grid(True)
plt.savefig("subclass_curves.png")
plt.show()

test_loss, test_acc = model.evaluate(x_test, y_test, verbose=2)
print("Test accuracy:", test_acc)

predictions = model.predict(x_test[:4])
print("most likely:", np.argmax(predictions, axis=1), "labels:", y_test[:4])
print("called directly:", type(model(x_test[:4]).numpy()).__name__, model(x_test[:4]).shape)
