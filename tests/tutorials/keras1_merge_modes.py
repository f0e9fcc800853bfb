"""The Keras 1 guide to `merge`: every mode, and a function as the mode."""

import numpy as np
from keras.layers import Dense, Input, merge
from keras.models import Model

a = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])
b = np.array([[4.0, -5.0, 6.0], [1.0, 1.0, 1.0]])
input_a = Input(shape=(3,), name="a")
input_b = Input(shape=(3,), name="b")

for mode in ("sum", "mul", "ave", "max", "concat", "dot", "cos"):
    merged = merge([input_a, input_b], mode=mode)
    model = Model(input=[input_a, input_b], output=merged)
    print(mode, model.predict([a, b], verbose=0).round(3).tolist())

difference = merge(
    [input_a, input_b], mode=lambda pair: pair[0] - pair[1], output_shape=lambda shapes: shapes[0]
)
model = Model(input=[input_a, input_b], output=difference)
print("function", model.predict([a, b], verbose=0).tolist())

# A shared layer and a cosine: are two rows about the same thing?
encoder = Dense(8, activation="tanh", init="lecun_uniform")
similarity = merge([encoder(input_a), encoder(input_b)], mode="cos", dot_axes=1)
model = Model(input=[input_a, input_b], output=similarity)
model.compile(optimizer="sgd", loss="mse")
model.fit([a, b], np.ones((2, 1)), nb_epoch=3, verbose=0)
print("similarity", model.predict([a, b], verbose=0).shape)
