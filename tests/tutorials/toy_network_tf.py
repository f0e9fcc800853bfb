"""A notebook on tf.keras: the toy network 3-4-4-1 in both APIs, TensorFlow 2 imports."""

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.layers import Dense, Input
from tensorflow.keras.models import Model, Sequential

print("TensorFlow version:", tf.__version__)
print("GPUs:", len(tf.config.list_physical_devices("GPU")))
tf.random.set_seed(42)
np.random.seed(42)

inputs = np.random.rand(1000, 3)
labels = np.random.randint(0, 2, size=(1000, 1))

# The sequential way: a list
model_seq = Sequential(
    [
        Dense(4, activation="relu", input_shape=(3,), name="hidden_1"),
        Dense(4, activation="relu", name="hidden_2"),
        Dense(1, activation="sigmoid", name="answer"),
    ],
    name="toy_sequential",
)
model_seq.summary()

# The functional way: the same, with a name for each tensor
x_in = Input(shape=(3,), name="three_numbers")
x = layers.Dense(4, activation="relu", name="hidden_1")(x_in)
x = layers.Dense(4, activation=tf.nn.relu, name="hidden_2")(x)
x_out = layers.Dense(1, activation="sigmoid", name="answer")(x)
model_fun = Model(inputs=[x_in], outputs=[x_out], name="toy_functional")
model_fun.summary()

keras.utils.plot_model(model_seq, "toy_sequential.png", show_shapes=True)
tf.keras.utils.plot_model(
    model_fun, to_file="toy_functional.png", show_shapes=True, show_dtype=True, rankdir="LR"
)

for model in (model_seq, model_fun):
    model.compile(
        optimizer=tf.keras.optimizers.Adam(learning_rate=0.01),
        loss=tf.keras.losses.BinaryCrossentropy(),
        metrics=["accuracy"],
    )
    history = model.fit(inputs, labels, epochs=5, batch_size=32, validation_split=0.2)
    results = model.evaluate(inputs, labels, batch_size=128)
    print(model.name, "test loss, test acc:", results)

prediction = model_fun.predict(np.array([[0.1, 0.5, 0.9]]))
print("Shape of one prediction:", prediction.shape)
print("Called as a function:", model_fun(inputs[:2]).numpy().shape)

plt.plot(history.history["loss"])
plt.plot(history.history["val_loss"])
plt.title("model loss")
plt.ylabel("loss")
plt.xlabel("epoch")
plt.legend(["train", "validation"], loc="upper right")
plt.savefig("toy_loss.png")
plt.show()
